use time::macros::{date, datetime};
use time::{Duration, OffsetDateTime};

use super::super::difference::{Recorded, Source};
use super::super::trial::Asking;
use super::super::{Bundle, trial::Fixture};
use super::*;

/// The day on which the twenty days begin.
const FIRST: OffsetDateTime = datetime!(2026-01-01 10:00 UTC);
const A: &str = "https://a.example";

fn window() -> Window {
    Window::before(date!(2026 - 01 - 21), 20).unwrap()
}

fn identity(name: &str, tags: &[&str], scopes: &str) -> Fixture {
    Fixture {
        name: name.to_owned(),
        owner: "team".to_owned(),
        kind: Kind::Service,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        audiences: vec![A.parse().unwrap()],
        scopes: scopes.parse().unwrap(),
        max_lifetime: 3_600,
        age_days: None,
        unused_days: None,
    }
}

/// Lines of one identity.
struct Lines {
    identity: Fixture,
    since: OffsetDateTime,
    lines: Vec<Recorded>,
}

impl Lines {
    fn of(identity: Fixture) -> Self {
        Self {
            identity,
            since: FIRST - Duration::days(100),
            lines: Vec::new(),
        }
    }

    fn line(&mut self, day: i64, scopes: Option<&str>, source: Source) -> &mut Recorded {
        self.lines.push(Recorded {
            count: 100,
            identity: self.identity.clone(),
            actor: None,
            request: Asking {
                audience: self.identity.audiences.first().cloned(),
                scopes: scopes.map(|scopes| scopes.parse().unwrap()),
                time: FIRST + Duration::days(day),
                ..Asking::of(&self.identity.name)
            },
            since: Some(self.since),
            source,
        });
        self.lines.last_mut().unwrap()
    }

    /// Asks for everything on these days, and gateways see this much used.
    fn works(mut self, days: impl IntoIterator<Item = i64>, used: &str) -> Self {
        for day in days {
            self.line(day, None, Source::Asked);
            self.line(day, Some(used), Source::Gateway);
        }
        self
    }

    fn asks(mut self, days: impl IntoIterator<Item = i64>, scopes: Option<&str>) -> Self {
        for day in days {
            self.line(day, scopes, Source::Asked);
        }
        self
    }
}

fn narrow_all(all: &[&Lines]) -> Vec<Narrowed> {
    let lines: Vec<Recorded> = all.iter().flat_map(|one| one.lines.clone()).collect();
    let bundle = Bundle::embedded().unwrap();
    narrow(&Evidence::gather(&bundle, &lines, window()), window())
}

fn narrow_one(lines: &Lines) -> Narrowed {
    narrow_all(&[lines]).remove(0)
}

fn taken(narrowed: &Narrowed) -> Vec<&str> {
    let removed = narrowed.removed.iter();
    removed.map(|removal| removal.right.name()).collect()
}

#[test]
fn what_no_gateway_saw_used_goes_although_every_token_had_it() {
    let lines = Lines::of(identity("billing", &[], "a:read a:write")).works(0..20, "a:read");
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), ["a:write"]);
    assert_eq!(narrowed.removed[0].in_tokens, 2_000);
    assert_eq!(narrowed.removed[0].last_used, None);
    assert!(narrowed.stays.is_empty() && narrowed.left.is_none());
}

#[test]
fn without_a_gateway_that_tells_whatever_a_token_had_stays() {
    let lines = Lines::of(identity("billing", &[], "a:read a:write")).asks(0..20, None);
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), [""; 0]);
    let why: Vec<_> = narrowed.stays.iter().map(|(_, why)| *why).collect();
    assert_eq!(why, [Stays::NoWitness, Stays::NoWitness]);
}

#[test]
fn a_gateway_that_began_to_tell_yesterday_says_nothing_about_the_month_before() {
    let billing = || identity("billing", &[], "a:read a:write");
    let late = Lines::of(billing())
        .asks(0..11, None)
        .works(11..20, "a:read");
    assert_eq!(taken(&narrow_one(&late)), [""; 0]);
    let early = Lines::of(billing())
        .asks(0..10, None)
        .works(10..20, "a:read");
    assert_eq!(taken(&narrow_one(&early)), ["a:write"]);
}

#[test]
fn without_a_gateway_what_is_not_asked_for_goes() {
    let billing = identity("billing", &[], "a:read a:write");
    let lines = Lines::of(billing).asks(0..20, Some("a:read"));
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), ["a:write"]);
    assert!(narrowed.stays.is_empty());
}

#[test]
fn what_a_client_names_stays_because_it_would_get_nothing_at_all_without() {
    let mut lines = Lines::of(identity("billing", &[], "a:read a:write"));
    for day in 0..20 {
        lines.line(day, Some("a:read a:write"), Source::Asked);
        lines.line(day, Some("a:read"), Source::Gateway);
    }
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), [""; 0]);
    assert_eq!(narrowed.stays.len(), 1);
    assert_eq!(narrowed.stays[0].1, Stays::Named);
    for line in &mut lines.lines {
        line.request.partial = line.source == Source::Asked;
    }
    assert_eq!(taken(&narrow_one(&lines)), ["a:write"], "less is welcome");
}

#[test]
fn a_single_use_in_the_window_is_enough_and_one_before_it_is_told() {
    let lines = Lines::of(identity("billing", &[], "a:read a:write a:delete"))
        .works(0..20, "a:read")
        .works([7], "a:write")
        .works([-3], "a:delete");
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), ["a:delete"]);
    assert_eq!(narrowed.removed[0].last_used, Some(date!(2025 - 12 - 29)));
}

#[test]
fn a_request_that_was_denied_is_no_use() {
    let mut lines = Lines::of(identity("billing", &[], "a:read a:write")).works(0..20, "a:read");
    lines.line(5, Some("a:write b:read"), Source::Asked);
    assert_eq!(taken(&narrow_one(&lines)), ["a:write"]);
}

#[test]
fn an_audience_that_nobody_came_to_goes() {
    let mut wide = identity("billing", &[], "a:read");
    wide.audiences.push("https://b.example".parse().unwrap());
    let narrowed = narrow_one(&Lines::of(wide.clone()).works(0..20, "a:read"));
    assert_eq!(taken(&narrowed), ["https://b.example"]);
    let narrower = narrowed.registered(&wide);
    assert_eq!(narrower.audiences, [A.parse().unwrap()]);
    assert_eq!(narrower.scopes, wide.scopes);
}

#[test]
fn who_is_young_silent_seldom_there_or_lanyards_own_is_left() {
    let billing = || identity("billing", &[], "a:read a:write");
    let mut young = Lines::of(billing());
    young.since = FIRST + Duration::days(1);
    let young = young.works(1..20, "a:read");
    let silent = Lines::of(billing()).works([-10, 25], "a:read");
    let seldom = Lines::of(billing()).works([3, 17], "a:read");
    let mut gateway = billing();
    gateway.kind = Kind::Gateway;
    let gateway = Lines::of(gateway).works(0..20, "a:read");
    for (lines, left) in [
        (young, Left::Young),
        (silent, Left::Silent),
        (seldom, Left::SeldomActive),
        (gateway, Left::Lanyards),
    ] {
        let narrowed = narrow_one(&lines);
        assert_eq!((narrowed.left, narrowed.removed.len()), (Some(left), 0));
    }
}

#[test]
fn who_does_not_say_since_when_is_as_old_as_the_first_line_that_has_it_all() {
    let mut lines = Lines::of(identity("billing", &[], "a:read a:write")).works(-2..20, "a:read");
    for line in &mut lines.lines {
        line.since = None;
    }
    assert_eq!(taken(&narrow_one(&lines)), ["a:write"]);
    // Until the tenth day it was registered for less.
    for line in &mut lines.lines {
        if line.request.time < FIRST + Duration::days(10) {
            line.identity.scopes = "a:read".parse().unwrap();
        }
    }
    assert_eq!(narrow_one(&lines).left, Some(Left::Young));
    lines.lines.reverse();
    assert_eq!(narrow_one(&lines).left, Some(Left::Young), "in any order");
}

#[test]
fn what_others_of_the_role_do_seldom_or_mostly_stays_with_who_does_not() {
    let member = |name: &str| identity(name, &["shop"], "a:read a:close a:ship a:write");
    let monthly = Lines::of(member("one"))
        .works(0..20, "a:read a:ship")
        .works([4], "a:close");
    let shipping = Lines::of(member("two")).works(0..20, "a:read a:ship");
    let quiet = Lines::of(member("three")).works(0..20, "a:read");
    let mut stranger = identity("four", &["other"], "a:read a:close a:ship a:write");
    stranger.owner = "others".to_owned();
    let stranger = Lines::of(stranger).works(0..20, "a:read");
    let all = narrow_all(&[&monthly, &shipping, &quiet, &stranger]);
    let of = |name: &str| {
        let mut found = all.iter();
        found.find(|narrowed| narrowed.identity == name).unwrap()
    };
    assert_eq!(taken(of("three")), ["a:write"]);
    let stays: Vec<_> = of("three")
        .stays
        .iter()
        .map(|(right, why)| (right.name(), *why))
        .collect();
    assert_eq!(
        stays,
        [
            ("a:close", Stays::SeldomInRole),
            ("a:ship", Stays::UsualInRole)
        ]
    );
    assert_eq!(taken(of("one")), ["a:write"]);
    assert_eq!(taken(of("four")), ["a:close", "a:ship", "a:write"]);
}

#[test]
fn what_administrators_approved_is_never_taken() {
    let mut lines = Lines::of(identity("billing", &[], "a:read a:write")).works(0..20, "a:read");
    let approved = lines.line(-1, Some("a:write"), Source::Asked);
    approved.request.approvals = vec!["alice".to_owned()];
    let narrowed = narrow_one(&lines);
    assert_eq!(taken(&narrowed), [""; 0]);
    assert_eq!(narrowed.stays[0].1, Stays::Approved);
}

#[test]
fn later_requests_are_tried_and_each_that_would_be_refused_says_what_it_lacks() {
    let mut lines = Lines::of(identity("billing", &[], "a:read a:write")).works(0..25, "a:read");
    lines.line(22, Some("a:read a:write"), Source::Asked).count = 7;
    lines.line(23, Some("a:write"), Source::Gateway).count = 3;
    lines.line(23, Some("b:read"), Source::Asked);
    let bundle = Bundle::embedded().unwrap();
    let narrowed = narrow_all(&[&lines]);
    assert_eq!(
        taken(&narrowed[0]),
        ["a:write"],
        "the later days are not seen"
    );
    let narrower = Narrower {
        before: &bundle,
        after: &bundle,
        identities: &narrowed,
        permits: &[],
    };
    let judged = judge(narrower, &lines.lines, window());
    assert_eq!((judged.good, judged.blocked), (1_010, 10));
    let because: Vec<_> = judged
        .requests
        .iter()
        .flat_map(|blocked| &blocked.because)
        .map(|removal| removal.right.name())
        .collect();
    assert_eq!(because, ["a:write", "a:write"]);
}
