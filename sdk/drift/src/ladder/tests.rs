use std::collections::VecDeque;

use super::*;
use crate::event::OperationId;
use crate::evidence::{Evidence, Measure};

const NOW: Millis = Millis(1_700_000_000_000);
const OWNER: u64 = 1;
const IDENTITY: u64 = 2;
const CREDENTIAL: u64 = 3;
/// The gateway that carries every earlier verdict, and another one.
const CARRIER: u64 = 1_001;
const OTHER: u64 = 1_002;

fn node(n: u64) -> SubjectId {
    SubjectId(n)
}

/// The nodes above a token that hangs below the credential and then `above`.
fn path(above: &[u64]) -> Vec<SubjectId> {
    [OWNER, IDENTITY, CREDENTIAL]
        .iter()
        .chain(above)
        .map(|n| node(*n))
        .collect()
}

/// A token issued at `place`, below the credential and then `above`.
fn issued(above: &[u64], place: u64) -> (Vec<SubjectId>, Place) {
    (path(above), Place(place))
}

fn verdict(level: Level, hard_rule: Option<HardRule>, measures: &[Measure]) -> Verdict {
    let evidence = measures.iter().map(|measure| Evidence {
        measure: *measure,
        operation: None,
        observed: 9.0,
        expected: 1.0,
        weight: 9.0,
        strength: Strength::Strong,
    });
    Verdict {
        level,
        evidence: evidence.collect(),
        hard_rule,
        calls: 100,
        history: 5_000,
        since: Millis(0),
        judged_at: Millis(1),
        takeover: Default::default(),
        pulse: Default::default(),
        heaviest: Vec::new(),
    }
}

fn walk() -> Verdict {
    let operation = OperationId::of("GET /orders/{id}");
    let rule = HardRule::EnumerationRun {
        observed: 31,
        bound: 30,
        operation,
    };
    verdict(Level::Malicious, Some(rule), &[Measure::LongestRun])
}

fn outside_task() -> Verdict {
    let operation = OperationId::of("POST /mail");
    let rule = HardRule::TaskDestination { operation };
    verdict(Level::Malicious, Some(rule), &[Measure::OutsideTask])
}

fn two_families() -> Verdict {
    verdict(
        Level::Malicious,
        None,
        &[Measure::NewNetworkAndClient, Measure::OrderScore],
    )
}

/// One recycled token at place 10, and these tokens that drifted since: `(token, above, place)`.
fn after_recycling(drifted: &[(u64, &[u64], u64)]) -> History {
    let recycled = Recycled {
        token: node(100),
        credential: node(CREDENTIAL),
        at: NOW,
        rev: Place(10),
        verdict: node(900),
    };
    let drifted: VecDeque<Drifted> = drifted
        .iter()
        .map(|(token, above, place)| Drifted {
            token: node(*token),
            path: path(above),
            place: Place(*place),
            at: NOW,
            verdict: node(901),
            carried_by: vec![node(CARRIER)],
        })
        .collect();
    History {
        recycled: VecDeque::from([recycled]),
        drifted,
        ..History::default()
    }
}

struct Case<'a> {
    verdict: Verdict,
    issued: (Vec<SubjectId>, Place),
    history: &'a History,
    /// Who carries the verdict in question.
    carried_by: &'a [u64],
    sole_witnesses: &'a [u64],
    mode: Mode,
    allowance: Allowance,
}

impl<'a> Case<'a> {
    fn new(verdict: Verdict, issued: (Vec<SubjectId>, Place), history: &'a History) -> Self {
        Self {
            verdict,
            issued,
            history,
            carried_by: &[OTHER],
            sole_witnesses: &[],
            mode: Mode::Enforce,
            allowance: Allowance::FULL,
        }
    }

    fn actions(&self) -> Vec<Action> {
        let nodes = |numbers: &[u64]| numbers.iter().copied().map(node).collect::<Vec<_>>();
        let situation = Situation {
            token: node(200),
            path: &self.issued.0,
            place: self.issued.1,
            gateways: &nodes(&[CARRIER, OTHER]),
            carried_by: &nodes(self.carried_by),
            sole_witnesses: &nodes(self.sole_witnesses),
            history: self.history,
        };
        let policy = Policy {
            mode: self.mode,
            ..Policy::default()
        };
        respond(&self.verdict, &situation, &policy, self.allowance, NOW)
    }

    /// The strongest response, its node and whether it is carried out.
    fn strongest(&self) -> (Response, Option<SubjectId>, bool) {
        let actions = self.actions();
        let action = actions.iter().max_by_key(|action| action.response).unwrap();
        (action.response, action.node, action.enforced)
    }
}

#[test]
fn a_benign_verdict_and_a_spent_task_lead_to_nothing() {
    let history = History::default();
    let benign = verdict(Level::Benign, None, &[]);
    assert!(
        Case::new(benign, issued(&[], 5), &history)
            .actions()
            .is_empty()
    );
    let spent = verdict(Level::Benign, Some(HardRule::TaskCalls), &[]);
    assert!(
        Case::new(spent, issued(&[], 5), &history)
            .actions()
            .is_empty()
    );
}

#[test]
fn the_first_offence_of_any_kind_recycles_the_token_alone() {
    let history = History::default();
    for first in [
        walk(),
        outside_task(),
        two_families(),
        verdict(Level::Anomalous, None, &[Measure::Pause]),
    ] {
        let case = Case::new(first, issued(&[], 5), &history);
        assert_eq!(
            case.strongest(),
            (Response::Recycle, Some(node(200)), true),
            "{:?}",
            case.verdict
        );
    }
}

#[test]
fn in_observe_mode_statistics_are_written_down_and_hard_rules_act() {
    let history = History::default();
    for (seen, enforced) in [
        (walk(), true),
        (outside_task(), true),
        (two_families(), false),
    ] {
        let case = Case {
            mode: Mode::Observe,
            ..Case::new(seen, issued(&[], 5), &history)
        };
        assert_eq!(
            case.strongest(),
            (Response::Recycle, Some(node(200)), enforced)
        );
    }
}

#[test]
fn a_walk_is_revoked_when_two_tokens_minted_after_recycling_walk_again() {
    let one = after_recycling(&[]);
    assert_eq!(
        Case::new(walk(), issued(&[], 20), &one).strongest().0,
        Response::Recycle
    );
    let two = after_recycling(&[(150, &[], 15)]);
    let revoked = (Response::Revoke, Some(node(CREDENTIAL)), true);
    assert_eq!(
        Case::new(walk(), issued(&[], 20), &two).strongest(),
        revoked
    );
}

#[test]
fn a_token_from_before_the_recycling_never_escalates() {
    let history = after_recycling(&[(150, &[], 15), (151, &[], 16)]);
    let case = Case::new(walk(), issued(&[], 5), &history);
    assert_eq!(case.strongest(), (Response::Recycle, Some(node(200)), true));
}

#[test]
fn tokens_exchanged_from_one_parent_end_with_the_parent_and_the_credential_stays() {
    let history = after_recycling(&[(150, &[77], 15)]);
    let case = Case::new(walk(), issued(&[77], 20), &history);
    assert_eq!(case.strongest(), (Response::Revoke, Some(node(77)), true));
    let other_branch = Case::new(walk(), issued(&[78], 20), &history);
    assert_eq!(
        other_branch.strongest(),
        (Response::Revoke, Some(node(CREDENTIAL)), true)
    );
}

#[test]
fn tokens_of_another_credential_do_not_add_up() {
    let mut history = after_recycling(&[(150, &[], 15)]);
    for drifted in &mut history.drifted {
        drifted.path[2] = node(4);
    }
    assert_eq!(
        Case::new(walk(), issued(&[], 20), &history).strongest().0,
        Response::Recycle
    );
}

#[test]
fn leaving_the_task_again_suspends_and_once_more_revokes() {
    let one = after_recycling(&[]);
    let actions = Case::new(outside_task(), issued(&[], 20), &one).actions();
    let suspended = actions
        .iter()
        .find(|action| action.response == Response::Suspend)
        .unwrap();
    assert_eq!(suspended.node, Some(node(CREDENTIAL)));
    assert_eq!(suspended.until, Some(NOW.plus(900_000)));
    let two = after_recycling(&[(150, &[], 15)]);
    assert_eq!(
        Case::new(outside_task(), issued(&[], 20), &two)
            .strongest()
            .0,
        Response::Revoke
    );
}

#[test]
fn statistics_revoke_only_with_two_families_a_second_word_and_a_long_history() {
    let history = after_recycling(&[(150, &[], 15)]);
    let case = || Case::new(two_families(), issued(&[], 20), &history);
    assert_eq!(case().strongest().0, Response::Revoke);

    let one_word = Case {
        carried_by: &[CARRIER],
        ..case()
    };
    assert_eq!(one_word.strongest().0, Response::Suspend);

    let mut cold = case();
    cold.verdict.history = 999;
    assert_eq!(cold.strongest().0, Response::Suspend);

    let one_family = verdict(
        Level::Malicious,
        None,
        &[Measure::OrderScore, Measure::RefusedShare],
    );
    assert_eq!(
        Case {
            verdict: one_family,
            ..case()
        }
        .strongest()
        .0,
        Response::Suspend
    );

    let mild = verdict(
        Level::Anomalous,
        None,
        &[Measure::NewNetworkAndClient, Measure::OrderScore],
    );
    assert_eq!(
        Case {
            verdict: mild,
            ..case()
        }
        .strongest()
        .0,
        Response::Recycle
    );
}

#[test]
fn a_hard_rule_ends_a_credential_only_when_no_gateway_alone_says_so() {
    let (first, second, both) = ([CARRIER], [OTHER], [CARRIER, OTHER]);
    // Who carries the verdict, whom an administrator trusts alone, and what is done.
    let table: [(&[u64], &[u64], Response); 7] = [
        (&first, &[], Response::Suspend),
        (&second, &[], Response::Revoke),
        (&[], &[], Response::Revoke),
        // Each is needed, and the first was all there was before.
        (&both, &[], Response::Suspend),
        (&first, &first, Response::Revoke),
        (&first, &second, Response::Suspend),
        (&both, &first, Response::Revoke),
    ];
    let history = after_recycling(&[(150, &[], 15)]);
    for (carried_by, sole_witnesses, expected) in table {
        for rule in [walk(), outside_task()] {
            let case = Case {
                carried_by,
                sole_witnesses,
                ..Case::new(rule, issued(&[], 20), &history)
            };
            let done = (expected, Some(node(CREDENTIAL)), true);
            assert_eq!(case.strongest(), done, "{carried_by:?} {sole_witnesses:?}");
        }
    }
}

#[test]
fn a_gateway_that_is_trusted_alone_is_so_for_hard_rules_and_not_for_statistics() {
    let history = after_recycling(&[(150, &[], 15)]);
    let case = Case {
        carried_by: &[CARRIER],
        sole_witnesses: &[CARRIER],
        ..Case::new(two_families(), issued(&[], 20), &history)
    };
    assert_eq!(case.strongest().0, Response::Suspend);
}

#[test]
fn who_waits_for_a_second_word_is_told_of_once_an_hour_and_recycled_in_between() {
    let mut history = after_recycling(&[(150, &[], 15)]);
    history.alerted(NOW);
    let actions = |history: &History| {
        let case = Case {
            carried_by: &[CARRIER],
            ..Case::new(walk(), issued(&[], 20), history)
        };
        let held_back = |action: Action| (action.response, action.held_back);
        case.actions()
            .into_iter()
            .map(held_back)
            .collect::<Vec<_>>()
    };
    let held_back = Some(Response::Revoke);
    let told = [(Response::Alert, None), (Response::Suspend, held_back)];
    assert_eq!(actions(&history), told, "although somebody was told today");
    history.add_suspended(node(CREDENTIAL), NOW.plus(1));
    assert_eq!(actions(&history), [(Response::Observe, held_back)]);
    history.suspended[0].1 = NOW;
    assert_eq!(actions(&history), [(Response::Recycle, held_back)]);
    history.suspended[0].1 = Millis(NOW.0 - 2_700_001);
    assert_eq!(actions(&history), told, "an hour after it began");
}

#[test]
fn an_old_recycling_is_forgotten() {
    let mut history = after_recycling(&[(150, &[], 15)]);
    for recycled in &mut history.recycled {
        recycled.at = Millis(NOW.0 - 3_600_001);
    }
    assert_eq!(
        Case::new(walk(), issued(&[], 20), &history).strongest().0,
        Response::Recycle
    );
}

#[test]
fn a_running_suspension_is_not_prolonged() {
    let mut history = after_recycling(&[]);
    history.suspended.push_back((node(CREDENTIAL), NOW.plus(1)));
    let actions = Case::new(outside_task(), issued(&[], 20), &history).actions();
    assert!(
        actions
            .iter()
            .all(|action| action.response <= Response::Alert),
        "{actions:?}"
    );
    assert!(
        actions
            .iter()
            .any(|action| action.response == Response::Observe)
    );
}

#[test]
fn one_identity_alerts_once_a_day() {
    let mut history = History {
        alerted_on: Some(NOW.0 / 86_400_000),
        ..History::default()
    };
    let alerts = |history: &History| {
        let actions = Case::new(walk(), issued(&[], 5), history).actions();
        actions
            .iter()
            .filter(|action| action.response == Response::Alert)
            .count()
    };
    assert_eq!(alerts(&history), 0);
    history.alerted_on = Some(NOW.0 / 86_400_000 - 1);
    assert_eq!(alerts(&history), 1);
}

#[test]
fn a_met_cap_makes_the_response_milder_and_tells_somebody() {
    let history = after_recycling(&[(150, &[], 15)]);
    let no_ends = Allowance {
        recycle: true,
        end: false,
    };
    let case = Case {
        allowance: no_ends,
        ..Case::new(walk(), issued(&[], 20), &history)
    };
    assert_eq!(case.strongest(), (Response::Recycle, Some(node(200)), true));
    assert!(
        case.actions()
            .iter()
            .any(|action| action.response == Response::Alert)
    );

    let nothing = Allowance {
        recycle: false,
        end: false,
    };
    let case = Case {
        allowance: nothing,
        ..Case::new(walk(), issued(&[], 20), &history)
    };
    assert_eq!(case.strongest(), (Response::Alert, None, true));
}

fn probing(strength: Strength) -> Verdict {
    let measures = [Measure::NewOperations, Measure::RefusedShare];
    let mut verdict = verdict(Level::Anomalous, None, &measures);
    verdict.evidence[0].strength = strength;
    verdict.evidence[1].strength = Strength::Notable;
    verdict
}

#[test]
fn new_operations_that_nobody_refuses_are_never_narrowed() {
    let history = History::default();
    let mut release = probing(Strength::Strong);
    release.evidence.truncate(1);
    let case = Case::new(release, issued(&[], 5), &history);
    assert_eq!(case.strongest().0, Response::Recycle);
}

#[test]
fn whoever_comes_back_from_two_recyclings_is_recycled_no_more_for_an_anomaly() {
    let strange = || verdict(Level::Anomalous, None, &[Measure::NewNetworkAndClient]);
    let mut history = after_recycling(&[]);
    let strongest = |history: &History, place| {
        Case::new(strange(), issued(&[], place), history)
            .strongest()
            .0
    };
    assert_eq!(strongest(&history, 20), Response::Recycle);
    history.add_recycled(Recycled {
        token: node(101),
        rev: Place(15),
        verdict: node(902),
        ..history.recycled[0]
    });
    assert_eq!(strongest(&history, 20), Response::Observe);
    assert_eq!(
        strongest(&history, 12),
        Response::Recycle,
        "a copy from before"
    );
    let grave = Case::new(two_families(), issued(&[], 20), &history);
    assert!(grave.strongest().0 > Response::Recycle);
    for recycled in &mut history.recycled {
        recycled.at = Millis(NOW.0 - 3_600_001);
    }
    assert_eq!(strongest(&history, 20), Response::Recycle, "an hour later");
}

#[test]
fn probing_is_narrowed_once_and_then_recycled() {
    let mut history = History::default();
    let strongest =
        |history: &History, verdict| Case::new(verdict, issued(&[], 5), history).strongest();
    let narrowed = (Response::Narrow, Some(node(200)), true);
    assert_eq!(strongest(&history, probing(Strength::Strong)), narrowed);
    history.add_narrowed(Narrowed {
        token: node(200),
        verdict: node(900),
    });
    let recycled = (Response::Recycle, Some(node(200)), true);
    assert_eq!(strongest(&history, probing(Strength::Strong)), recycled);
    history.clear(node(900));
    assert_eq!(strongest(&history, probing(Strength::Strong)), narrowed);
}

#[test]
fn a_hint_of_probing_or_a_short_history_recycles_instead_of_narrowing() {
    let history = History::default();
    let hint = Case::new(probing(Strength::Notable), issued(&[], 5), &history);
    assert_eq!(hint.strongest().0, Response::Recycle);
    let mut young = Case::new(probing(Strength::Strong), issued(&[], 5), &history);
    young.verdict.history = 999;
    assert_eq!(young.strongest().0, Response::Recycle);
}

#[test]
fn scraping_is_suspended_and_never_revoked() {
    let history = after_recycling(&[(150, &[], 15), (151, &[], 16)]);
    let scraping = verdict(
        Level::Malicious,
        None,
        &[Measure::CallsPerMinute, Measure::OrderScore],
    );
    let case = Case::new(scraping, issued(&[], 20), &history);
    assert_eq!(case.strongest().0, Response::Suspend);
}

#[test]
fn bytes_with_a_witness_are_told_at_once_even_when_only_anomalous() {
    let history = History::default();
    let bytes = verdict(Level::Anomalous, None, &[Measure::BytesPerMinute]);
    let actions = Case::new(bytes, issued(&[], 5), &history).actions();
    let taken: Vec<_> = actions.iter().map(|action| action.response).collect();
    assert_eq!(taken, [Response::Alert, Response::Recycle]);
}

#[test]
fn no_table_ends_more_than_a_token_because_of_an_anomaly() {
    let history = after_recycling(&[(150, &[], 15), (151, &[], 16)]);
    let harsh = Rungs {
        anomalous: Response::Revoke,
        first: Response::Revoke,
        again: Response::Revoke,
        then: Response::Revoke,
    };
    let policy = Policy {
        mode: Mode::Enforce,
        table: Table {
            change: harsh,
            ..Table::default()
        },
        ..Policy::default()
    };
    let situation = Situation {
        token: node(200),
        path: &path(&[]),
        place: Place(20),
        gateways: &[node(1), node(2)],
        carried_by: &[],
        sole_witnesses: &[],
        history: &history,
    };
    let verdict = verdict(Level::Anomalous, None, &[Measure::OrderScore]);
    for action in respond(&verdict, &situation, &policy, Allowance::FULL, NOW) {
        assert!(action.response <= Response::Narrow, "{action:?}");
    }
}

/// Says the same of everything, and keeps what it was asked and told.
struct Always {
    step: Response,
    asked: Vec<Question>,
    carried_out: Vec<Response>,
}

impl Always {
    fn says(step: Response) -> Self {
        Self {
            step,
            asked: Vec::new(),
            carried_out: Vec::new(),
        }
    }
}

impl Steps for Always {
    fn step(&mut self, question: &Question, _: Millis) -> Response {
        self.asked.push(*question);
        self.step
    }

    fn carried_out(&mut self, response: Response, _: Millis) {
        self.carried_out.push(response);
    }
}

fn decided(
    case: &Case<'_>,
    (gateways, minimum_history): (&[SubjectId], u64),
    steps: &mut Always,
) -> Decision {
    let carried_by: Vec<SubjectId> = case.carried_by.iter().copied().map(node).collect();
    let situation = Situation {
        token: node(200),
        path: &case.issued.0,
        place: case.issued.1,
        gateways,
        carried_by: &carried_by,
        sole_witnesses: &[],
        history: case.history,
    };
    let policy = Policy {
        mode: case.mode,
        minimum_history,
        ..Policy::default()
    };
    let spending = (Caps::default(), &mut Spent::default());
    decide_by(&case.verdict, &situation, (&policy, steps), spending, NOW)
}

#[test]
fn whoever_chooses_steps_is_told_kind_rung_and_how_much_speaks_for_it() {
    let history = History::default();
    let case = Case::new(two_families(), issued(&[], 5), &history);
    let mut steps = Always::says(Response::Recycle);
    let decision = decided(&case, (&[node(CARRIER), node(OTHER)], 1_000), &mut steps);
    let expected = Question {
        identity: node(IDENTITY),
        abuse: Abuse::Theft,
        rung: Rung::First,
        hard_rule: false,
        families: 2,
        gateways: 2,
        own_calls: 5_000,
    };
    assert_eq!(steps.asked, [expected]);
    assert_eq!(decision.question, Some(expected));
    assert_eq!(steps.carried_out, [Response::Alert, Response::Recycle]);
}

#[test]
fn nobody_who_chooses_steps_ends_anything_on_one_word_or_one_family_or_for_an_anomaly() {
    let history = History::default();
    let strictest = |verdict: Verdict, carried_by: &'static [u64], minimum_history| {
        let mut case = Case::new(verdict, issued(&[], 5), &history);
        case.carried_by = carried_by;
        let mut steps = Always::says(Response::Revoke);
        let decision = decided(&case, (&[node(OTHER)], minimum_history), &mut steps);
        let responses = decision.actions.iter().map(|action| action.response);
        responses.max().unwrap()
    };
    assert_eq!(strictest(two_families(), &[], 1_000), Response::Revoke);
    assert_eq!(
        strictest(two_families(), &[OTHER], 1_000),
        Response::Suspend
    );
    assert_eq!(strictest(two_families(), &[], 5_001), Response::Suspend);
    let one_family = verdict(Level::Malicious, None, &[Measure::NewNetworkAndClient]);
    assert_eq!(strictest(one_family, &[], 1_000), Response::Suspend);
    let anomaly = verdict(Level::Anomalous, None, &[Measure::NewNetworkAndClient]);
    assert!(strictest(anomaly, &[], 1_000) <= Response::Narrow);
}

#[test]
fn a_step_that_is_only_to_tell_somebody_is_written_down_when_they_were_told_today() {
    let mut history = History::default();
    let case = Case::new(two_families(), issued(&[], 5), &history);
    let mut steps = Always::says(Response::Alert);
    let actions = decided(&case, (&[node(OTHER)], 1_000), &mut steps).actions;
    assert_eq!(actions, [Action::new(Response::Alert, None, true)]);

    history.alerted(NOW);
    let case = Case::new(two_families(), issued(&[], 5), &history);
    let actions = decided(&case, (&[node(OTHER)], 1_000), &mut steps).actions;
    let observed = Action::new(Response::Observe, Some(node(200)), true);
    assert_eq!(actions, [observed]);
}

#[test]
fn every_step_has_the_next_milder_one_down_to_observing() {
    for (milder, step) in Response::ALL.iter().zip(&Response::ALL[1..]) {
        assert_eq!(step.milder(), *milder);
    }
    assert_eq!(Response::Observe.milder(), Response::Observe);
}
