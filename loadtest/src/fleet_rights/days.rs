//! Thirty days of a fleet's work, as `lanyard policy requests` prints them.

use std::fmt::Write as _;

use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use super::fleet::{Asks, Fleet, Kind, Member, Need, audience};
use crate::world::random::Random;

/// Days that are recorded.
pub(super) const DAYS: u32 = 30;
/// The first of them: in the middle of a month, so that days of the month fall on both sides of the cut.
pub(super) const FIRST: OffsetDateTime = datetime!(2026-01-12 10:00 UTC);
/// How often what is needed now and then is needed, in days.
const NOW_AND_THEN: f64 = 12.0;
/// Tokens and calls of something that is not daily work, on its day.
const SIDE_WORK: (u64, u64) = (1, 50);
/// An agent works on so many of five working days.
const AGENT_WORKS: f64 = 0.6;

/// The requests, a line of JSON each, those of a day together.
pub(super) fn recorded(fleet: &Fleet, random: &mut Random) -> String {
    let mut lines = String::new();
    for day in 0..DAYS {
        for member in &fleet.members {
            if works(member, day, random) {
                work(fleet, member, day, random, &mut lines);
            }
        }
    }
    lines
}

/// When a day is.
pub(super) fn time(day: u32) -> OffsetDateTime {
    FIRST + Duration::days(i64::from(day))
}

fn works(member: &Member, day: u32, random: &mut Random) -> bool {
    let weekday = time(day).weekday().number_days_from_monday();
    let is_working_day = weekday < 5;
    match member.kind {
        Kind::Service => true,
        Kind::WeeklyJob => u32::from(weekday) == member.runs % 7,
        Kind::MonthlyJob => u32::from(time(day).day()) == member.runs,
        Kind::Agent => is_working_day && random.chance(AGENT_WORKS),
        Kind::Partner => is_working_day,
    }
}

fn is_needed(need: Need, day: u32, random: &mut Random) -> bool {
    let time = time(day);
    match need {
        Need::Core => true,
        Need::Weekly(weekday) => u32::from(time.weekday().number_days_from_monday()) == weekday,
        Need::Monthly(of_month) => u32::from(time.day()) == of_month,
        Need::Rarely => random.chance(1.0 / NOW_AND_THEN),
        Need::From(first) => day >= first,
        Need::Never => false,
    }
}

fn work(fleet: &Fleet, member: &Member, day: u32, random: &mut Random, lines: &mut String) {
    let of = |wanted: fn(Need) -> bool| -> Vec<&str> {
        let scopes = member.scopes.iter();
        let scopes = scopes.filter(|(_, need)| wanted(**need));
        scopes.map(|(scope, _)| scope.as_str()).collect()
    };
    let daily = |need: Need| matches!(need, Need::Core | Need::From(_));
    let mut core = of(|need| need == Need::Core);
    core.extend(
        member
            .scopes
            .iter()
            .filter(|(_, need)| matches!(need, Need::From(first) if day >= *first))
            .map(|(scope, _)| scope.as_str()),
    );
    let busy = member.kind.busy();
    let mut done = vec![(core, busy)];
    for (scope, need) in &member.scopes {
        if !daily(*need) && is_needed(*need, day, random) {
            done.push((vec![scope.as_str()], SIDE_WORK));
        }
    }
    for (scopes, (tokens, calls)) in done {
        let asked = match member.asks {
            Asks::ByName => Some(scopes.clone()),
            Asks::ForEverything => None,
            Asks::TooMuch => Some(of(|_| true)),
        };
        line(member, day, (asked, None), tokens, lines);
        if fleet.is_watched(member.audience) {
            // Each call needs one scope.
            for scope in &scopes {
                let share = calls / scopes.len() as u64;
                line(
                    member,
                    day,
                    (Some(vec![scope]), Some("gateway")),
                    share,
                    lines,
                );
            }
        }
    }
}

fn line(
    member: &Member,
    day: u32,
    (scopes, source): (Option<Vec<&str>>, Option<&str>),
    count: u64,
    lines: &mut String,
) {
    let mut request = json!({
        "identity": member.name,
        "audience": audience(member.audience),
        "time": stamp(day),
    });
    if let (Some(scopes), Some(request)) = (scopes, request.as_object_mut()) {
        request.insert("scopes".to_owned(), json!(scopes));
    }
    let mut recorded = json!({
        "count": count,
        "identity": {
            "name": member.name,
            "owner": "fleet",
            "kind": member.kind.word(),
            "tags": [member.tag],
            "audiences": audiences(member),
            "scopes": member.scopes.keys().collect::<Vec<_>>(),
        },
        "request": request,
        // Everybody is there for long: a young registration is left anyway.
        "since": "2025-06-01T00:00:00Z",
    });
    if let (Some(source), Some(recorded)) = (source, recorded.as_object_mut()) {
        recorded.insert("source".to_owned(), json!(source));
    }
    // Writing to memory cannot fail.
    let _ = writeln!(lines, "{recorded}");
}

/// Whom it is registered for.
fn audiences(member: &Member) -> Vec<String> {
    let mut all = vec![member.audience];
    all.extend(
        member
            .other_audience
            .filter(|other| *other != member.audience),
    );
    all.into_iter().map(audience).collect()
}

fn stamp(day: u32) -> String {
    let time = time(day);
    format!("{}T10:00:00Z", time.date())
}

/// The fleet as a file of `lanyard apply`.
pub(super) fn registrations(fleet: &Fleet) -> String {
    let mut text = String::from("[[owner]]\nname = \"fleet\"\n");
    for member in &fleet.members {
        let list = |items: Vec<String>| {
            let items: Vec<_> = items.iter().map(|item| format!("\"{item}\"")).collect();
            items.join(", ")
        };
        let scopes = member.scopes.keys().cloned().collect();
        let _ = write!(
            text,
            "\n[[identity]]\nname = \"{}\"\nowner = \"fleet\"\nkind = \"{}\"\ntags = [\"{}\"]\naudiences = [{}]\nscopes = [{}]\n",
            member.name,
            member.kind.word(),
            member.tag,
            list(audiences(member)),
            list(scopes),
        );
    }
    text
}
