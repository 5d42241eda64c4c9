use super::*;
use crate::bounds::Bounds;
use crate::event::{Event, OperationId};
use crate::thresholds::Thresholds;
use crate::tracker::Tracker;

const GATEWAY: SubjectId = SubjectId(7);

/// Two identities of one role.
struct Pair(Thresholds);

impl Register for Pair {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        vec![SubjectId(3 - identity.0)]
    }
    fn role(&self, _: SubjectId) -> RoleId {
        RoleId(1)
    }
    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

fn pair() -> Pair {
    Pair(Thresholds::default())
}

fn bench(register: &Pair, now: u64) -> Bench<'_> {
    Bench {
        register,
        limits: Limits::default(),
        now: Millis(now),
    }
}

fn heard(token: u64) -> Heard {
    Heard {
        token: SubjectId(token),
        identity: SubjectId(1),
        gateway: GATEWAY,
    }
}

/// This many calls of one operation, a second apart, from `start`.
fn calls(operation: &str, count: u64, start: u64) -> TokenReport {
    let mut tracker = Tracker::new(Millis(start), Bounds::cold(&Thresholds::default()));
    for n in 0..count {
        let event = Event::of(OperationId::of(operation));
        let _ = tracker.observe(&event, Millis(start + n * 1_000));
    }
    tracker.report().unwrap()
}

#[test]
fn a_full_benign_window_becomes_habit_and_an_open_one_does_not() {
    let (register, mut desk) = (pair(), Desk::default());
    let bench = bench(&register, 1_000_000);
    desk.look(&bench, heard(10), &calls("GET /a", 60, 0));
    assert_eq!(desk.close_if_full(&bench, SubjectId(10)), None);
    assert_eq!(desk.habits(SubjectId(1)).unwrap().calls(), 0);
    desk.look(&bench, heard(10), &calls("GET /a", 60, 60_000));
    assert_eq!(desk.close_if_full(&bench, SubjectId(10)), None);
    assert_eq!(desk.habits(SubjectId(1)).unwrap().calls(), 120);
    let tally = desk.take_tally();
    assert_eq!((tally.absorbed, tally.withheld), (1, 0));
    assert_eq!(tally.learned, BTreeSet::from([SubjectId(1)]));
    assert_eq!(desk.take_tally(), Tally::default());
}

#[test]
fn short_lived_tokens_teach_together_once_they_fall_silent() {
    let (register, mut desk) = (pair(), Desk::default());
    for token in 0..11 {
        let bench = bench(&register, token * 1_000);
        desk.look(
            &bench,
            heard(100 + token),
            &calls("GET /a", 10, token * 1_000),
        );
    }
    assert!(desk.close_silent(&bench(&register, 119_999)).is_empty());
    assert_eq!(desk.windows.len(), 11);
    assert!(desk.close_silent(&bench(&register, 130_000)).is_empty());
    assert_eq!(desk.windows.len(), 0);
    // The eleventh is the beginning of the next window.
    assert_eq!(desk.habits(SubjectId(1)).unwrap().calls(), 100);
}

#[test]
fn a_window_that_is_not_benign_is_kept_for_whoever_may_clear_it() {
    let (register, mut desk) = (pair(), Desk::default());
    for n in 0..12 {
        let bench = bench(&register, n * 100_000);
        desk.look(&bench, heard(10), &calls("GET /a", 100, n * 100_000));
        assert_eq!(desk.close_if_full(&bench, SubjectId(10)), None);
    }
    let now = Millis(2_000_000);
    let bench = bench(&register, now.0);
    let sight = desk.look(&bench, heard(11), &calls("DELETE /all", 100, now.0));
    assert!(sight.is_news(now), "{sight:?}");
    assert_eq!(sight.gateways, [GATEWAY]);
    desk.note(SubjectId(11), sight.noted(SubjectId(900), now));
    let again = desk.look(&bench, heard(11), &calls("DELETE /all", 1, now.0));
    assert!(!again.is_news(now), "said a moment ago");
    assert!(again.is_news(now.plus(QUIET_IS_OVER)));
    let before = desk.habits(SubjectId(1)).unwrap().calls();
    assert_eq!(desk.close_if_full(&bench, SubjectId(11)), None);
    assert_eq!(desk.habits(SubjectId(1)).unwrap().calls(), before);
    assert!(!desk.learn_cleared(SubjectId(901), SubjectId(1)));
    assert!(desk.learn_cleared(SubjectId(900), SubjectId(1)));
    assert_eq!(desk.habits(SubjectId(1)).unwrap().calls(), before + 101);
    assert!(!desk.learn_cleared(SubjectId(900), SubjectId(1)), "once");
}

const QUIET_IS_OVER: u64 = 10_000;

#[test]
fn the_order_in_which_gateways_report_does_not_change_the_verdict() {
    let register = pair();
    let parts = [
        calls("GET /a", 30, 0),
        calls("GET /b", 30, 7_000),
        calls("PUT /c", 30, 90_000),
    ];
    let orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]];
    let verdicts: Vec<Verdict> = orders
        .iter()
        .map(|order| {
            let (mut desk, bench) = (Desk::default(), bench(&register, 500_000));
            let mut last = None;
            for part in order {
                let heard = Heard {
                    gateway: SubjectId(100 + part),
                    ..heard(10)
                };
                last = Some(desk.look(&bench, heard, &parts[usize::try_from(*part).unwrap()]));
            }
            last.unwrap().verdict
        })
        .collect();
    assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]));
}

#[test]
fn nothing_on_the_desk_grows_without_bound() {
    let (register, mut desk) = (pair(), Desk::default());
    let limits = Limits {
        identities: 2,
        windows: 3,
        copies: 0,
    };
    let report = calls("GET /a", 5, 0);
    for n in 0..1_000 {
        let bench = Bench {
            limits,
            ..bench(&register, 1_000)
        };
        let heard = Heard {
            token: SubjectId(n),
            identity: SubjectId(1 + n % 2 + 2 * (n % 5)),
            gateway: SubjectId(n),
        };
        desk.look(&bench, heard, &report);
        desk.note(
            SubjectId(n),
            Noted {
                id: SubjectId(n),
                level: Level::Anomalous,
                hard: false,
                at: Millis(0),
            },
        );
    }
    assert_eq!((desk.habits.len(), desk.windows.len()), (2, 3));
    assert!(desk.withheld.len() <= WITHHELD);
    assert!(desk.take_tally().crowded_out > 900);
}

/// Four replicas of one role.
struct Fleet(Thresholds);

impl Register for Fleet {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        let others = (1..=4).map(SubjectId);
        others.filter(|other| *other != identity).collect()
    }
    fn role(&self, _: SubjectId) -> RoleId {
        RoleId(1)
    }
    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

/// A full window of one replica; the verdict.
fn window(desk: &mut Desk, fleet: &Fleet, replica: u64, now: u64, operations: &[&str]) -> Verdict {
    let bench = Bench {
        register: fleet,
        limits: Limits::default(),
        now: Millis(now),
    };
    let mut tracker = Tracker::new(Millis(now), Bounds::cold(&fleet.0));
    for n in 0..100 {
        let operation = operations[usize::try_from(n).unwrap() % operations.len()];
        let event = Event::of(OperationId::of(operation));
        let _ = tracker.observe(&event, Millis(now + n * 500));
    }
    let heard = Heard {
        token: SubjectId(now * 10 + replica),
        identity: SubjectId(replica),
        gateway: GATEWAY,
    };
    let sight = desk.look(&bench, heard, &tracker.report().unwrap());
    let _ = desk.close_if_full(&bench, heard.token);
    sight.verdict
}

fn learned_fleet(fleet: &Fleet) -> Desk {
    let mut desk = Desk::default();
    for round in 0..15 {
        for replica in 1..=4 {
            let verdict = window(
                &mut desk,
                fleet,
                replica,
                round * 60_000,
                &["GET /a", "GET /b"],
            );
            assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
        }
    }
    desk
}

const RELEASE: [&str; 6] = ["GET /a", "GET /b", "GET /c", "GET /d", "PUT /e", "PUT /f"];

#[test]
fn what_is_new_on_a_third_of_a_role_at_once_is_learned_and_not_recycled() {
    let fleet = Fleet(Thresholds::default());
    let mut desk = learned_fleet(&fleet);
    let now = 1_000_000;
    let levels: Vec<Level> = (1..=4)
        .map(|replica| window(&mut desk, &fleet, replica, now + replica, &RELEASE).level)
        .collect();
    assert_ne!(levels[0], Level::Benign, "one alone may be a thief");
    assert_ne!(levels[1], Level::Benign);
    assert_eq!(levels[2..], [Level::Benign, Level::Benign]);
    assert_eq!(desk.habits(SubjectId(4)).unwrap().operations().count(), 6);
    for round in 1..=30 {
        for replica in 1..=4 {
            let then = now + round * 3_600_000;
            let verdict = window(&mut desk, &fleet, replica, then, &RELEASE);
            assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
        }
    }
}

#[test]
fn one_replica_that_changes_alone_stays_anomalous() {
    let fleet = Fleet(Thresholds::default());
    let mut desk = learned_fleet(&fleet);
    for round in 0..5 {
        let now = 1_000_000 + round * 60_000;
        let verdict = window(&mut desk, &fleet, 1, now, &RELEASE);
        assert_ne!(verdict.level, Level::Benign);
    }
}

#[test]
fn an_announced_deployment_is_learned_from_the_first_replica_and_not_after_its_end() {
    let fleet = Fleet(Thresholds::default());
    let mut desk = learned_fleet(&fleet);
    desk.announce_deployment(RoleId(1), Millis(1_100_000), Millis(1_000_000));
    let verdict = window(&mut desk, &fleet, 1, 1_000_000, &RELEASE);
    assert_eq!(verdict.level, Level::Benign, "{}", verdict.sentence());
    let other = ["GET /u", "GET /v", "GET /w", "GET /x", "GET /y"];
    let late = window(&mut desk, &fleet, 2, 1_100_000, &other);
    assert_ne!(late.level, Level::Benign);
}

#[test]
fn closed_windows_are_kept_only_when_somebody_wants_them() {
    let (register, mut desk) = (pair(), Desk::default());
    let bench = bench(&register, 1_000_000);
    desk.look(&bench, heard(10), &calls("GET /a", 100, 0));
    let _ = desk.close_if_full(&bench, SubjectId(10));
    assert_eq!(desk.take_closed(), []);
    desk.keep_closed();
    desk.look(&bench, heard(10), &calls("GET /a", 100, 100_000));
    let _ = desk.close_if_full(&bench, SubjectId(10));
    let closed = desk.take_closed();
    let [window] = &closed[..] else {
        panic!("{closed:?}")
    };
    assert_eq!(
        (window.token, window.identity),
        (SubjectId(10), SubjectId(1))
    );
    assert_eq!((window.report.calls(), window.level), (100, Level::Benign));
    assert_eq!(window.gateways, [GATEWAY]);
    assert!((0.0..1.0).contains(&window.reach), "{}", window.reach);
    assert_eq!(desk.take_closed(), []);
}

#[test]
fn a_closed_window_names_its_own_verdicts_and_not_those_of_the_window_before() {
    let (register, mut desk) = (pair(), Desk::default());
    let bench = bench(&register, 1_000_000);
    desk.keep_closed();
    for verdict in [77, 78] {
        let sight = desk.look(
            &bench,
            heard(10),
            &calls("GET /a", 100, verdict * 1_000_000),
        );
        desk.note(SubjectId(10), sight.noted(SubjectId(verdict), bench.now));
        let _ = desk.close_if_full(&bench, SubjectId(10));
    }
    let named: Vec<_> = desk.take_closed().into_iter().map(|w| w.verdicts).collect();
    assert_eq!(named, [vec![SubjectId(77)], vec![SubjectId(78)]]);
}

#[test]
fn what_nobody_fetches_is_let_go_of_and_counted() {
    let (register, mut desk) = (pair(), Desk::default());
    let bench = bench(&register, 1_000_000);
    desk.keep_closed();
    let window = calls("GET /a", 100, 0);
    for token in 0..1_028 {
        desk.look(&bench, heard(token), &window);
        let _ = desk.close_if_full(&bench, SubjectId(token));
    }
    assert_eq!(desk.take_tally().unfetched, 4);
    let closed = desk.take_closed();
    assert_eq!((closed.len(), closed[0].token), (1_024, SubjectId(4)));
}

/// Six identities of two roles.
struct TwoRoles(Thresholds);

impl Register for TwoRoles {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        let all = (0..6).map(SubjectId);
        all.filter(|other| *other != identity && self.role(*other) == self.role(identity))
            .collect()
    }
    fn role(&self, identity: SubjectId) -> RoleId {
        RoleId(identity.0 % 2)
    }
    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.0
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(16))]

    /// So desks may be sharded by role.
    #[test]
    fn roles_on_one_desk_and_on_desks_of_their_own_are_judged_alike(
        windows in proptest::collection::vec((0_u64..6, 0_usize..8, 1_u64..120), 1..120),
    ) {
        let register = TwoRoles(Thresholds { established_calls: 100, minimum_history: 200, ..Thresholds::default() });
        let operations = ["GET /a", "GET /a", "GET /a", "GET /b", "GET /b", "PUT /c", "DELETE /d", "GET /e"];
        let mut together = Desk::default();
        let mut apart = [Desk::default(), Desk::default()];
        for (at, (identity, operation, count)) in windows.into_iter().enumerate() {
            let now = at as u64 * 20_000;
            let bench = Bench { register: &register, limits: Limits::default(), now: Millis(now) };
            let report = calls(operations[operation], count, now);
            let heard = Heard {
                token: SubjectId(100 + identity * 10 + (at as u64 / 30)),
                identity: SubjectId(identity),
                gateway: GATEWAY,
            };
            let own = &mut apart[usize::try_from(identity % 2).unwrap()];
            let mut sights = Vec::new();
            for desk in [&mut together, own] {
                let sight = desk.look(&bench, heard, &report);
                let whole = desk.close_if_full(&bench, heard.token);
                sights.push((sight, whole));
            }
            proptest::prop_assert_eq!(&sights[0], &sights[1]);
            let mut silent = together.close_silent(&bench);
            let mut elsewhere: Vec<_> = apart.iter_mut().flat_map(|desk| desk.close_silent(&bench)).collect();
            silent.sort_by_key(|closed| closed.token);
            elsewhere.sort_by_key(|closed| closed.token);
            proptest::prop_assert_eq!(silent, elsewhere);
        }
    }
}

#[test]
fn a_role_is_what_merging_its_members_anew_would_make_it() {
    let (register, mut desk) = (pair(), Desk::default());
    let (one, other) = (SubjectId(1), SubjectId(2));
    let mut kept = 0;
    for n in 0..60u64 {
        let bench = bench(&register, n * 100_000);
        // The second calls now and then, so that there is mostly nothing new to merge for the first.
        let identity = if n % 5 == 0 { other } else { one };
        let heard = Heard {
            identity,
            ..heard(10 * identity.0)
        };
        let operation = format!("GET /{}", n % 3);
        let before = desk.habits.get(&identity).and_then(|h| h.role.clone());
        desk.look(&bench, heard, &calls(&operation, 100, n * 100_000));
        let habits = &desk.habits[&identity];
        if let Some(role) = &habits.role {
            let anew = desk.role(&register.peers(identity)).unwrap();
            assert_eq!(role.habits(), anew.habits());
            assert_eq!(role.others(), anew.others());
            kept += usize::from(before.is_some_and(|before| Arc::ptr_eq(&before, role)));
        }
        let _ = desk.close_if_full(&bench, heard.token);
    }
    assert!(kept > 20, "merged anew but {kept} times");
}
