//! The machine against a third party in memory that forgets to answer, lies about what it did and loses keys,
//! and a process that dies at each point. The drivers are tried against real servers elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    call: 2_000,
    settle: 5_000,
    spread: 10_000,
    overlap: 60_000,
    quiet: 30_000,
    watch: 10_000,
};

/// More than any of these takes.
const MOST_ACTIONS: usize = 2_000;

/// What goes wrong with one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// It happens, and then there is no answer.
    NoAnswer,
    /// It does not happen, and there is no answer.
    NeverArrived,
    /// It happens a while after there was no answer.
    Late,
    /// No.
    Refused,
    /// The process dies before it writes what it will do.
    DiesBefore,
    /// The process dies after it wrote what it will do.
    DiesAsked,
    /// The process dies before it writes the answer.
    DiesAfter,
    /// Every credential stops working; after five minutes they work again.
    AllDead,
    /// An administrator wants it undone.
    Abandoned,
    /// The new one is found somewhere.
    Leaked,
}

const FAULTS: [Fault; 10] = [
    Fault::NoAnswer,
    Fault::NeverArrived,
    Fault::Late,
    Fault::Refused,
    Fault::DiesBefore,
    Fault::DiesAsked,
    Fault::DiesAfter,
    Fault::AllDead,
    Fault::Abandoned,
    Fault::Leaked,
];

/// A third party, and what we keep.
struct World {
    creation: Creation,
    /// What is there: its name and its value.
    there: BTreeMap<Reference, u64>,
    made: u64,
    answers: BTreeMap<Version, (Reference, u64)>,
    /// What we keep: each version's value.
    kept: BTreeMap<Version, u64>,
    late: Vec<(UnixMillis, Call)>,
    dead_until: UnixMillis,
}

impl World {
    fn works(&self, version: Version, now: UnixMillis) -> bool {
        now >= self.dead_until
            && self
                .kept
                .get(&version)
                .is_some_and(|value| self.there.values().any(|there| there == value))
    }

    /// Carries out a call that changes something.
    fn carry_out(&mut self, call: &Call) -> Answer {
        match call {
            Call::Create(version) => match &self.creation {
                Creation::Proposed(role) => {
                    let value = self.kept[version];
                    self.there.insert(role.clone(), value);
                    Answer::Created(role.clone())
                }
                Creation::Repeatable if self.answers.contains_key(version) => {
                    Answer::Created(self.answers[version].0.clone())
                }
                Creation::Returned | Creation::Repeatable => {
                    self.made += 1;
                    let made = (Reference(format!("key-{}", self.made)), 100 + self.made);
                    self.there.insert(made.0.clone(), made.1);
                    self.answers.insert(*version, made.clone());
                    Answer::Created(made.0)
                }
            },
            Call::Revoke(reference) => {
                self.there.remove(reference);
                Answer::Revoked
            }
            _ => unreachable!("it changes nothing"),
        }
    }

    fn ask(&self, call: &Call, now: UnixMillis) -> Answer {
        match call {
            Call::Find => Answer::Found(self.there.keys().cloned().collect()),
            Call::Verify(version) if self.works(*version, now) => Answer::Works,
            Call::Verify(_) => Answer::Dead,
            Call::VerifyWrong(_) => Answer::Discerned,
            Call::Compare { new, old } => Answer::Compared {
                new: Some(self.works(*new, now)),
                old: Some(self.works(*old, now)),
            },
            _ => unreachable!("it changes something"),
        }
    }
}

/// A rotation under way.
struct Run {
    world: World,
    facts: Vec<(Fact, UnixMillis)>,
    begun: Rotation,
    rotation: Rotation,
    now: UnixMillis,
    compared: Option<UnixMillis>,
    worked: Option<(Version, UnixMillis)>,
    leaked: BTreeSet<Version>,
    alarmed: BTreeMap<&'static str, UnixMillis>,
    faults: BTreeMap<usize, Fault>,
    actions: usize,
}

impl Run {
    fn new(creation: &Creation, with_old: bool, faults: &[(usize, Fault)]) -> Self {
        let now = UnixMillis(1_000_000);
        let mut there = BTreeMap::from([(Reference("a stranger's".to_owned()), 1)]);
        let mut kept = BTreeMap::new();
        let old = with_old.then(|| {
            let reference = Reference("role_a".to_owned());
            there.insert(reference.clone(), 2);
            kept.insert(Version(1), 2);
            Known {
                version: Version(1),
                reference,
            }
        });
        let begun = Rotation::begin(creation.clone(), old, Version(2), now);
        if matches!(creation, Creation::Proposed(_)) {
            // Proposals are kept before anybody hears of them.
            kept.extend((2..200).map(|version| (Version(version), 1_000 + u64::from(version))));
        }
        Self {
            world: World {
                creation: creation.clone(),
                there,
                made: 0,
                answers: BTreeMap::new(),
                kept,
                late: Vec::new(),
                dead_until: UnixMillis(0),
            },
            facts: Vec::new(),
            rotation: begun.clone(),
            begun,
            now,
            compared: None,
            worked: None,
            leaked: BTreeSet::new(),
            alarmed: BTreeMap::new(),
            faults: faults.iter().copied().collect(),
            actions: 0,
        }
    }

    /// The version that callers use.
    fn in_force(&self) -> Option<Version> {
        if self.rotation.published {
            Some(self.rotation.version)
        } else {
            self.rotation.old.as_ref().map(|old| old.version)
        }
    }

    fn record(&mut self, fact: Fact) {
        // Whoever holds a version that was made keeps its value with the fact, in one record.
        if let Fact::Created { reference } = &fact
            && !matches!(self.world.creation, Creation::Proposed(_))
            && let Some(value) = self.world.there.get(reference)
        {
            self.world.kept.insert(self.rotation.version, *value);
        }
        if let Fact::Alarmed { .. } = fact {
            self.alarmed.entry("alarm").or_insert(self.now);
        }
        assert!(
            fact != Fact::Published || !self.leaked.contains(&self.rotation.version),
            "what was found somewhere comes into force"
        );
        self.rotation.apply(&fact, &RULES, self.now);
        self.facts.push((fact, self.now));
    }

    fn around(&self) -> Around {
        Around {
            compared: self.compared,
            new_worked: self
                .worked
                .filter(|(version, _)| *version == self.rotation.version)
                .map(|(_, at)| at),
            new_leaked: self.leaked.contains(&self.rotation.version),
            ..Around::default()
        }
    }

    /// The process dies; another one reads the log.
    fn die(&mut self) {
        let mut again = self.begun.clone();
        for (fact, at) in &self.facts {
            again.apply(fact, &RULES, *at);
        }
        assert_eq!(again, self.rotation, "the facts are the whole state");
        (self.compared, self.worked) = (None, None);
        self.now = self.now.plus_millis(3_000);
    }

    fn check(&self) {
        let Some(version) = self.in_force() else {
            return;
        };
        assert!(
            self.now < self.world.dead_until || self.world.works(version, self.now),
            "version {version:?} is in force and does not work at {:?}",
            self.rotation
        );
        assert!(
            self.world
                .there
                .contains_key(&Reference("a stranger's".to_owned())),
            "what was there before was touched"
        );
    }

    /// Runs to the end; says how it ended.
    fn run_through(&mut self) -> Outcome {
        while self.actions < MOST_ACTIONS {
            let now = self.now;
            let due: Vec<Call> = self
                .world
                .late
                .extract_if(.., |(at, _)| *at <= now)
                .map(|(_, call)| call)
                .collect();
            for call in due {
                self.world.carry_out(&call);
            }
            self.check();
            let todo = self.rotation.next(&RULES, self.around(), self.now);
            if let Todo::Wait(until) = todo {
                assert!(until > self.now, "a wait is for something to come");
                self.now = until;
                continue;
            }
            let fault = self.faults.remove(&self.actions);
            self.actions += 1;
            self.now = self.now.plus_millis(100);
            if fault == Some(Fault::Abandoned) && self.rotation.can_be_abandoned() {
                self.record(Fact::Abandoned);
                continue;
            }
            if fault == Some(Fault::Leaked) {
                // What is not kept yet is recognised nowhere.
                if self.world.kept.contains_key(&self.rotation.version) {
                    self.leaked.insert(self.rotation.version);
                }
                continue;
            }
            if fault == Some(Fault::AllDead) {
                self.world.dead_until = self.now.plus_millis(300_000);
                continue;
            }
            if fault == Some(Fault::DiesBefore) {
                self.die();
                continue;
            }
            match todo {
                Todo::Nothing => return self.rotation.outcome().expect("nothing is left to do"),
                Todo::Record(fact) => {
                    self.record(fact);
                    if fault == Some(Fault::DiesAfter) {
                        self.die();
                    }
                }
                Todo::Ask(call) => self.answer(&call, fault),
                Todo::Change(call) => {
                    self.record(Fact::Asked { call: call.clone() });
                    if fault == Some(Fault::DiesAsked) {
                        self.die();
                        continue;
                    }
                    if let Call::Revoke(reference) = &call {
                        self.nothing_good_is_ended(reference);
                    }
                    self.answer(&call, fault);
                }
                Todo::Wait(_) => unreachable!("handled above"),
            }
        }
        panic!("it does not end: {:?}", self.rotation);
    }

    /// What is about to be ended is not the last one that works.
    fn nothing_good_is_ended(&self, reference: &Reference) {
        let Some(version) = self.in_force() else {
            return;
        };
        let value = self.world.kept.get(&version);
        assert!(
            value.is_none() || self.world.there.get(reference) != value,
            "{reference:?} is in force and is ended"
        );
    }

    fn answer(&mut self, call: &Call, fault: Option<Fault>) {
        let changes = matches!(call, Call::Create(_) | Call::Revoke(_));
        let unclear = || Answer::Unclear("a connection was closed".to_owned());
        let answer = match fault {
            Some(Fault::Refused) => Answer::Refused("not now".to_owned()),
            Some(Fault::NeverArrived) => unclear(),
            Some(Fault::NoAnswer) => {
                if changes {
                    self.world.carry_out(call);
                }
                unclear()
            }
            Some(Fault::Late) => {
                if changes {
                    let later = self.now.plus_millis(RULES.settle / 2);
                    self.world.late.push((later, call.clone()));
                }
                unclear()
            }
            _ if changes => self.world.carry_out(call),
            _ => self.world.ask(call, self.now),
        };
        if fault == Some(Fault::DiesAfter) {
            self.die();
            return;
        }
        if matches!(call, Call::Compare { .. }) {
            self.compared = Some(self.now);
        }
        match (call, &answer) {
            (Call::Verify(version), Answer::Works) => self.worked = Some((*version, self.now)),
            (Call::Compare { new, .. }, Answer::Compared { new: said, .. }) => {
                self.worked = (*said == Some(true)).then_some((*new, self.now));
            }
            _ => {}
        }
        match self.rotation.learn(&RULES, &answer, self.now) {
            Some(fact) => self.record(fact),
            None if self.worked.is_some_and(|(_, at)| at == self.now) => {}
            None => self.now = self.now.plus_millis(1_000),
        }
    }

    fn ended_well(&mut self) {
        let outcome = self.run_through();
        self.now = self.now.max(self.world.dead_until);
        let mut expected = BTreeSet::from([Reference("a stranger's".to_owned())]);
        if let Some(version) = self.in_force() {
            assert!(
                self.world.works(version, self.now),
                "what is in force works"
            );
            let value = self.world.kept[&version];
            expected.extend(
                self.world
                    .there
                    .iter()
                    .filter(|(_, there)| **there == value)
                    .map(|(reference, _)| reference.clone()),
            );
        }
        let there: BTreeSet<Reference> = self.world.there.keys().cloned().collect();
        assert_eq!(
            there, expected,
            "{outcome:?}: nothing is left over: {:?}",
            self.facts
        );
        let published = self.facts.iter().any(|(fact, _)| *fact == Fact::Published);
        assert_eq!(
            outcome == Outcome::Abandoned,
            !published,
            "what was published is rotated or reverted"
        );
    }
}

fn creations() -> [Creation; 3] {
    [
        Creation::Proposed(Reference("role_b".to_owned())),
        Creation::Returned,
        Creation::Repeatable,
    ]
}

#[test]
fn with_nothing_in_the_way_the_new_one_is_in_force_and_the_old_one_is_dead() {
    for creation in creations() {
        for with_old in [true, false] {
            let mut run = Run::new(&creation, with_old, &[]);
            run.ended_well();
            assert_eq!(run.rotation.outcome(), Some(Outcome::Rotated));
            assert_eq!(run.in_force(), Some(Version(2)));
        }
    }
}

#[test]
fn whatever_goes_wrong_once_or_twice_it_ends_well() {
    let mut cases = 0;
    for creation in creations() {
        for with_old in [true, false] {
            let length = {
                let mut run = Run::new(&creation, with_old, &[]);
                run.run_through();
                run.actions + 8
            };
            for first in 0..length {
                for one in FAULTS {
                    Run::new(&creation, with_old, &[(first, one)]).ended_well();
                    for second in first + 1..length {
                        for two in FAULTS {
                            Run::new(&creation, with_old, &[(first, one), (second, two)])
                                .ended_well();
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(cases > 10_000, "{cases} pairs of faults were tried");
}

#[test]
fn when_both_die_somebody_is_told_and_nothing_is_ended() {
    let rules = Rules {
        quiet: 3_600_000,
        ..RULES
    };
    let mut run = Run::new(&Creation::Returned, true, &[]);
    while *run.rotation.step() != Step::Draining {
        match run.rotation.next(&rules, run.around(), run.now) {
            Todo::Wait(until) => run.now = until,
            Todo::Record(fact) => run.record(fact),
            Todo::Ask(call) => run.answer(&call, None),
            Todo::Change(call) => {
                run.record(Fact::Asked { call: call.clone() });
                run.answer(&call, None);
            }
            Todo::Nothing => panic!("it is not over"),
        }
    }
    let died = run.now;
    run.world.dead_until = UnixMillis(u64::MAX);
    while run.now < died.plus_millis(7_200_000) {
        match run.rotation.next(&rules, run.around(), run.now) {
            Todo::Wait(until) => run.now = until,
            Todo::Record(fact) => run.record(fact),
            Todo::Ask(call) => run.answer(&call, None),
            Todo::Change(call) => panic!("{call:?} while nothing works"),
            Todo::Nothing => panic!("it is not over"),
        }
    }
    assert_eq!(run.rotation.alarm(), Some(&Alarm::BothDead));
    let told = run.alarmed["alarm"].millis_since(died);
    assert!(told <= 60_000, "somebody was told after {told} ms");
    assert_eq!(run.world.there.len(), 3, "nothing was ended");
}

/// Goes on until it stands at a step, without anything in the way.
fn run_to(run: &mut Run, is_there: impl Fn(&Step) -> bool) {
    for _ in 0..MOST_ACTIONS {
        if is_there(run.rotation.step()) {
            return;
        }
        match run.rotation.next(&RULES, run.around(), run.now) {
            Todo::Wait(until) => run.now = until,
            Todo::Record(fact) => run.record(fact),
            Todo::Ask(call) => run.answer(&call, None),
            Todo::Change(call) => {
                run.record(Fact::Asked { call: call.clone() });
                run.answer(&call, None);
            }
            Todo::Nothing => panic!("it is over"),
        }
    }
    panic!("it does not come there: {:?}", run.rotation);
}

#[test]
fn what_somebody_else_made_meanwhile_is_told_of_and_left_alone() {
    for creation in creations() {
        let mut run = Run::new(&creation, true, &[]);
        run_to(&mut run, |step| matches!(step, Step::Overlapping { .. }));
        let by_hand = Reference("made by hand".to_owned());
        run.world.there.insert(by_hand.clone(), 7);
        assert_eq!(run.run_through(), Outcome::Rotated);
        assert_eq!(run.world.there.get(&by_hand), Some(&7));
        let references = BTreeSet::from([by_hand]);
        let told = Alarm::Strangers { references };
        assert_eq!(run.rotation.alarm(), Some(&told), "also when it is over");
        let is_told = |(fact, _): &&(Fact, UnixMillis)| matches!(fact, Fact::Alarmed { .. });
        assert_eq!(run.facts.iter().filter(is_told).count(), 1);
    }
    // What may be ours is ended: the answer to a create was lost.
    let mut run = Run::new(&Creation::Returned, true, &[(1, Fault::Late)]);
    run.ended_well();
    assert!(
        run.facts
            .iter()
            .any(|(fact, _)| matches!(fact, Fact::Lost { .. }))
    );
}

#[test]
fn what_was_found_somewhere_before_anybody_got_it_is_ended_and_another_one_is_made() {
    for creation in creations() {
        for with_old in [true, false] {
            for stands_at in [
                Step::Publishing,
                Step::Proving {
                    since: UnixMillis(0),
                },
            ] {
                let mut run = Run::new(&creation, with_old, &[]);
                run_to(&mut run, |step| step.word() == stands_at.word());
                run.leaked.insert(Version(2));
                run.ended_well();
                assert_eq!(run.rotation.outcome(), Some(Outcome::Rotated));
                assert_eq!(run.in_force(), Some(Version(3)));
            }
        }
    }
    // What did not come back from disk before it was asked for is never asked for.
    let proposed = Creation::Proposed(Reference("role_b".to_owned()));
    let mut run = Run::new(&proposed, true, &[]);
    run_to(&mut run, |step| matches!(step, Step::Creating { .. }));
    run.record(Fact::Asked {
        call: Call::Create(Version(2)),
    });
    let why = Unfit::NotReadBack;
    run.record(Fact::Unfit { why });
    run.ended_well();
    assert_eq!(run.in_force(), Some(Version(3)));
    // Once it is in force it is exchanged like any other.
    let mut run = Run::new(&Creation::Returned, true, &[]);
    run_to(&mut run, |step| matches!(step, Step::Overlapping { .. }));
    run.leaked.insert(Version(2));
    run.ended_well();
    assert_eq!(run.in_force(), Some(Version(2)));
}

#[test]
fn nothing_is_published_where_everybody_is_let_in_until_that_ends() {
    let mut run = Run::new(&Creation::Returned, false, &[]);
    run_to(&mut run, |step| *step == Step::Publishing);
    for told in [1, 1, 1] {
        let todo = run.rotation.next(&RULES, Around::default(), run.now);
        assert_eq!(todo, Todo::Ask(Call::VerifyWrong(Version(2))));
        for answer in [
            Answer::Unclear("not now".to_owned()),
            Answer::LetsEverybodyIn,
        ] {
            if let Some(fact) = run.rotation.learn(&RULES, &answer, run.now) {
                run.record(fact);
            }
        }
        assert_eq!(run.rotation.alarm(), Some(&Alarm::LetsEverybodyIn));
        let is_told = |(fact, _): &&(Fact, UnixMillis)| matches!(fact, Fact::Alarmed { .. });
        assert_eq!(run.facts.iter().filter(is_told).count(), told);
    }
    run.ended_well();
    assert_eq!(run.rotation.outcome(), Some(Outcome::Rotated));
    assert_eq!(run.rotation.alarm(), None);
    // And it can be given up.
    let mut run = Run::new(&Creation::Returned, false, &[]);
    run_to(&mut run, |step| *step == Step::Publishing);
    run.record(Fact::Abandoned);
    run.ended_well();
    assert_eq!(run.rotation.outcome(), Some(Outcome::Abandoned));
}

#[test]
fn the_old_one_is_ended_only_by_who_has_just_seen_the_new_one_work() {
    for dies in [true, false] {
        for creation in creations() {
            let mut run = Run::new(&creation, true, &[]);
            run_to(&mut run, |step| *step == Step::Revoking { asked: false });
            // The process ends, and the next one begins an hour later.
            run.die();
            run.now = run.now.plus_millis(3_600_000);
            if dies {
                let gone = run.rotation.reference.clone().unwrap();
                run.world.there.remove(&gone);
            }
            let todo = run.rotation.next(&RULES, run.around(), run.now);
            assert!(matches!(todo, Todo::Ask(Call::Compare { .. })), "{todo:?}");
            if dies {
                // They change places, with what is still there.
                let Todo::Ask(call) = todo else {
                    unreachable!()
                };
                run.answer(&call, None);
                assert_eq!(run.in_force(), Some(Version(1)), "{:?}", run.rotation);
            }
            assert!(run.world.works(Version(1), run.now));
            run.ended_well();
        }
    }
}

#[test]
fn what_was_proved_long_ago_is_proved_again_before_it_comes_into_force() {
    let mut run = Run::new(&Creation::Returned, true, &[]);
    run_to(&mut run, |step| *step == Step::Publishing);
    let gone = run.rotation.reference.clone().unwrap();
    run.world.there.remove(&gone);
    run.die();
    run.now = run.now.plus_millis(3_600_000);
    run.ended_well();
    assert_eq!(run.rotation.outcome(), Some(Outcome::Rotated));
    assert_eq!(run.in_force(), Some(Version(3)), "another one was made");
}

#[test]
fn an_overlap_lasts_until_the_new_one_is_known_everywhere() {
    let hasty = Rules {
        overlap: 0,
        ..RULES
    };
    let mut run = Run::new(&Creation::Returned, true, &[]);
    run_to(&mut run, |step| *step == Step::Publishing);
    run.rotation.apply(&Fact::Published, &hasty, run.now);
    let around = Around {
        compared: Some(run.now),
        ..run.around()
    };
    let todo = run.rotation.next(&hasty, around, run.now);
    assert_eq!(todo, Todo::Wait(run.now.plus_millis(hasty.spread)));
    let later = run.now.plus_millis(hasty.spread);
    let todo = run.rotation.next(&hasty, around, later);
    assert_eq!(todo, Todo::Record(Fact::Overlapped));
}

/// As an earlier release wrote them: what was over stays over.
#[test]
fn facts_of_an_earlier_release_fold_as_they_did() {
    let mut run = Run::new(&Creation::Repeatable, true, &[]);
    let before = run.world.there.keys().cloned().collect();
    let asked = Fact::Asked {
        call: Call::Create(Version(2)),
    };
    let why = "not now".to_owned();
    run.record(Fact::Looked { before });
    for _ in 0..3 {
        run.record(asked.clone());
        run.record(Fact::Lost { why: why.clone() });
    }
    for _ in 0..3 {
        run.record(asked.clone());
        run.record(Fact::Declined { why: why.clone() });
    }
    run.record(Fact::Abandoned);
    run.record(Fact::Swept);
    assert_eq!(run.rotation.outcome(), Some(Outcome::Abandoned));
}

/// A third party that answers the same key in the same way for ever, and be it with an error.
#[test]
fn an_error_that_is_remembered_by_its_key_is_asked_for_no_more_than_three_times() {
    for is_made in [true, false] {
        let mut run = Run::new(&Creation::Repeatable, true, &[]);
        run_to(&mut run, |step| matches!(step, Step::Creating { .. }));
        let mut asked = 0;
        while run.rotation.version == Version(2) {
            match run.rotation.next(&RULES, run.around(), run.now) {
                Todo::Wait(until) => run.now = until,
                Todo::Record(fact) => run.record(fact),
                Todo::Ask(call) => run.answer(&call, None),
                Todo::Change(call @ Call::Create(_)) => {
                    asked += 1;
                    run.record(Fact::Asked { call: call.clone() });
                    if is_made && asked == 1 {
                        run.world.carry_out(&call);
                    }
                    let answer = Answer::Unclear("500".to_owned());
                    let fact = run.rotation.learn(&RULES, &answer, run.now);
                    run.record(fact.unwrap());
                }
                todo => panic!("{todo:?}"),
            }
            assert!(asked <= 3, "{:?}", run.rotation);
        }
        run.ended_well();
        assert_eq!(run.rotation.outcome(), Some(Outcome::Rotated));
        assert_eq!(run.in_force(), Some(Version(3)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_goes_wrong_however_often_it_ends_well(
        creation in 0_usize..3,
        with_old: bool,
        faults in proptest::collection::btree_map(0_usize..60, 0_usize..FAULTS.len(), 0..12),
    ) {
        let faults: Vec<(usize, Fault)> =
            faults.into_iter().map(|(at, fault)| (at, FAULTS[fault])).collect();
        Run::new(&creations()[creation], with_old, &faults).ended_well();
    }
}
