//! Rotations at a third party in memory that goes wrong for ever, on a clock that passes as fast as it is waited for.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::*;
use crate::vault::rotate::driver::{Made, Order, Unsuitable};
use crate::vault::rotate::machine::{Creation, Known, Outcome};

const BEGAN: UnixMillis = UnixMillis(1_000_000);
/// Those of a plan that names none.
const RULES: Rules = crate::vault::rotate::USUAL_RULES;
/// Until when somebody has to be told.
const TOLD: u64 = 60_000;

/// Goes by the time that tokio's sleeps take.
struct Passing(Instant);

impl Clock for Passing {
    fn now(&self) -> UnixMillis {
        BEGAN.plus_millis(u64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// What the third party does otherwise than it should.
type Odd = fn(&Call, UnixMillis) -> Option<Answer>;

struct World {
    clock: Passing,
    cause: RotationCause,
    odd: Odd,
    in_use: fn(UnixMillis) -> InUse,
    /// Whether an end that is said ends nothing.
    is_undead: bool,
    /// What other secrets have.
    elsewhere: BTreeSet<Reference>,
    /// Another secret that has the old one too.
    held_by: Mutex<Option<String>>,
    /// Versions that were found somewhere.
    leaked: BTreeSet<Version>,
    /// How long the third party takes to say whether a credential works.
    takes: fn(UnixMillis) -> Duration,
    rotation: Mutex<Rotation>,
    facts: Mutex<Vec<(Fact, UnixMillis)>>,
    calls: Mutex<Vec<Call>>,
    there: Mutex<BTreeMap<Reference, u32>>,
}

fn as_it_should(_: &Call, _: UnixMillis) -> Option<Answer> {
    None
}

fn role(version: u32) -> Reference {
    Reference(format!("role-{version}"))
}

impl World {
    /// A rotation of version 1, which is there.
    fn new(odd: Odd) -> Self {
        let old = Known {
            version: Version(1),
            reference: role(1),
        };
        Self {
            clock: Passing(Instant::now()),
            cause: RotationCause::Asked,
            odd,
            in_use: |_| InUse::NotTold,
            is_undead: false,
            elsewhere: BTreeSet::new(),
            held_by: Mutex::default(),
            leaked: BTreeSet::new(),
            takes: |_| Duration::ZERO,
            rotation: Mutex::new(
                Rotation::begin(Creation::Returned, Some(old), Version(2), BEGAN).discerning(true),
            ),
            facts: Mutex::default(),
            calls: Mutex::default(),
            there: Mutex::new(BTreeMap::from([(role(1), 1)])),
        }
    }

    /// Carried on for so long, or until it is over.
    async fn pass(&self, seconds: u64) {
        let mut patience = Patience::default();
        let (_tell, mut again) = tokio::sync::watch::channel(0);
        let driven = drive(self, self, &self.clock, &mut patience, &mut again);
        if let Ok(ended) = timeout(Duration::from_secs(seconds), driven).await {
            ended.unwrap();
        }
    }

    /// When these became certain, in seconds since the beginning.
    fn when(&self, which: impl Fn(&Fact) -> bool) -> Vec<u64> {
        let facts = self.facts.lock().unwrap();
        let those = facts.iter().filter(|(fact, _)| which(fact));
        those
            .map(|(_, at)| at.millis_since(BEGAN) / 1_000)
            .collect()
    }

    fn told(&self, word: &str) -> Vec<u64> {
        self.when(|fact| matches!(fact, Fact::Alarmed { alarm } if alarm.word() == word))
    }

    /// Somebody was told once, in time after `first`, and what it is can still be seen.
    fn is_told_once_after(&self, first: u64, word: &str) {
        let told = self.told(word);
        let [told] = told[..] else {
            panic!(
                "{word}: told at {told:?} s: {:?}",
                self.facts.lock().unwrap()
            );
        };
        assert!(
            told.saturating_sub(first) * 1_000 <= TOLD,
            "{told} s after {first} s"
        );
        assert_eq!(self.alarm().as_deref(), Some(word));
    }

    fn alarm(&self) -> Option<String> {
        let rotation = self.rotation.lock().unwrap();
        rotation.alarm().map(|alarm| alarm.word().to_owned())
    }

    fn count(&self, which: impl Fn(&Call) -> bool) -> usize {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| which(call)).count()
    }

    fn called(&self, call: Call) -> Answer {
        let odd = (self.odd)(&call, self.clock.now());
        self.calls.lock().unwrap().push(call.clone());
        if let Some(odd) = odd {
            return odd;
        }
        let mut there = self.there.lock().unwrap();
        match call {
            Call::Find => Answer::Found(there.keys().cloned().collect()),
            Call::Create(version) => {
                there.insert(role(version.0), version.0);
                Answer::Created(role(version.0))
            }
            Call::Verify(version) if there.contains_key(&role(version.0)) => Answer::Works,
            Call::Verify(_) => Answer::Dead,
            Call::Revoke(reference) => {
                if !self.is_undead {
                    there.remove(&reference);
                }
                Answer::Revoked
            }
            Call::VerifyWrong(_) => Answer::Discerned,
            Call::Compare { .. } => unreachable!("it is two calls"),
        }
    }
}

impl Journal for World {
    fn rotation(&self) -> Rotation {
        self.rotation.lock().unwrap().clone()
    }

    fn rules(&self) -> Rules {
        RULES
    }

    fn kept_elsewhere(&self) -> BTreeSet<Reference> {
        self.elsewhere.clone()
    }

    fn held_by_another(&self, version: Version) -> BoxFuture<'_, Result<Option<String>, Halted>> {
        let held_by = self.held_by.lock().unwrap().clone();
        let is_old = version == Version(1);
        Box::pin(std::future::ready(Ok(held_by.filter(|_| is_old))))
    }

    fn new_leaked(&self) -> bool {
        self.leaked.contains(&self.rotation().version())
    }

    fn cause(&self) -> RotationCause {
        self.cause
    }

    fn old_used(&self) -> Option<UnixMillis> {
        None
    }

    fn record(&self, fact: Fact, _: Option<SecretValue>) -> BoxFuture<'_, Result<(), Halted>> {
        let now = self.clock.now();
        self.rotation.lock().unwrap().apply(&fact, &RULES, now);
        self.facts.lock().unwrap().push((fact, now));
        Box::pin(std::future::ready(Ok(())))
    }

    fn manager(&self) -> Result<Opened, Halted> {
        self.version(Version(0))
    }

    fn version(&self, version: Version) -> Result<Opened, Halted> {
        Ok(Opened {
            reference: role(version.0),
            secret: SecretValue::parse(Zeroizing::new(version.0.to_string())).unwrap(),
        })
    }

    fn idempotency_key(&self, version: Version) -> String {
        version.0.to_string()
    }
}

impl Driver for World {
    fn creation(&self, _: Option<&Reference>) -> Result<Creation, Unsuitable> {
        Ok(Creation::Returned)
    }

    fn find<'a>(&'a self, _: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(self.called(Call::Find)))
    }

    fn create<'a>(&'a self, _: &'a Credential<'a>, order: Order<'a>) -> BoxFuture<'a, Made> {
        let version = Version(order.idempotency_key.parse().unwrap());
        Box::pin(std::future::ready(
            self.called(Call::Create(version)).into(),
        ))
    }

    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        let Ok(version) = credential.secret.expose().parse() else {
            return Box::pin(std::future::ready(Answer::Dead));
        };
        Box::pin(async move {
            tokio::time::sleep((self.takes)(self.clock.now())).await;
            self.called(Call::Verify(Version(version)))
        })
    }

    fn revoke<'a>(
        &'a self,
        _: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(std::future::ready(
            self.called(Call::Revoke(reference.clone())),
        ))
    }

    fn is_used<'a>(&'a self, _: &'a Credential<'a>, _: &'a Reference) -> BoxFuture<'a, InUse> {
        Box::pin(std::future::ready((self.in_use)(self.clock.now())))
    }
}

fn unclear() -> Option<Answer> {
    Some(Answer::Unclear("no answer in time".to_owned()))
}

fn refused() -> Option<Answer> {
    Some(Answer::Refused("not now".to_owned()))
}

fn is_lost(fact: &Fact) -> bool {
    matches!(fact, Fact::Lost { .. } | Fact::Declined { .. })
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_refused_or_lost_for_ever_is_told_of_and_asked_for_ever_more_rarely() {
    let ends: [Odd; 2] = [
        |call, _| matches!(call, Call::Revoke(_)).then(refused).flatten(),
        |call, _| matches!(call, Call::Revoke(_)).then(unclear).flatten(),
    ];
    for odd in ends {
        let world = World::new(odd);
        world.pass(3_600).await;
        let first = world.when(is_lost)[0];
        world.is_told_once_after(first, "stuck");
        let asked = world.count(|call| matches!(call, Call::Revoke(_)));
        assert!(
            (40..=200).contains(&asked),
            "asked {asked} times in an hour"
        );
        assert_eq!(world.there.lock().unwrap().len(), 2, "nothing was ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_or_lost_for_ever_is_told_of_and_asked_for_ever_more_rarely() {
    let makes: [Odd; 2] = [
        |call, _| matches!(call, Call::Create(_)).then(refused).flatten(),
        |call, _| matches!(call, Call::Create(_)).then(unclear).flatten(),
    ];
    for odd in makes {
        let world = World::new(odd);
        world.pass(3_600).await;
        world.is_told_once_after(world.when(is_lost)[0], "stuck");
        let asked = world.count(|call| matches!(call, Call::Create(_)));
        assert!(
            (40..=200).contains(&asked),
            "asked {asked} times in an hour"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_naming_what_was_ended_is_told_of_and_not_asked_without_a_pause() {
    let world = World::new(|call, _| {
        let listed = [role(1), role(2)].into_iter().collect();
        matches!(call, Call::Find).then_some(Answer::Found(listed))
    });
    // What is there before is nobody else's business, so the stranger comes later.
    let mut begun = world.rotation();
    begun.apply(
        &Fact::Looked {
            before: [role(1)].into_iter().collect(),
        },
        &RULES,
        BEGAN,
    );
    *world.rotation.lock().unwrap() = begun;
    world.pass(3_600).await;
    let buried = world.when(|fact| *fact == Fact::Buried);
    world.is_told_once_after(buried[0], "stuck");
    let asked = world.count(|call| matches!(call, Call::Find));
    assert!(asked <= 200, "asked {asked} times in an hour");
}

#[tokio::test(start_paused = true)]
async fn one_answer_that_is_missing_while_both_are_good_alarms_nobody() {
    let world = World::new(|call, now| {
        let is_away = (30_000..42_000).contains(&now.millis_since(BEGAN));
        (is_away && matches!(call, Call::Verify(_)))
            .then(unclear)
            .flatten()
    });
    world.pass(3_600).await;
    assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
    assert_eq!(world.told("stuck"), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_was_told_is_told_too_that_it_is_over() {
    let world = World::new(|call, now| {
        let is_away = (20_000..80_000).contains(&now.millis_since(BEGAN));
        (is_away && matches!(call, Call::Verify(_)))
            .then(unclear)
            .flatten()
    });
    world.pass(115).await;
    let told = world.told("stuck");
    assert!(told.len() == 1 && (45..=80).contains(&told[0]), "{told:?}");
    let recovered = world.when(|fact| *fact == Fact::Recovered);
    assert!(
        recovered.len() == 1 && (80..=112).contains(&recovered[0]),
        "{recovered:?}"
    );
    assert_eq!(world.alarm(), None);
}

#[tokio::test(start_paused = true)]
async fn who_stays_logged_in_holds_back_the_end_for_a_while_and_of_a_leak_not_at_all() {
    let overlap_and_quiet = (RULES.overlap + RULES.quiet) / 1_000;
    for (cause, held) in [
        (RotationCause::Asked, overlap_and_quiet),
        (RotationCause::Schedule, overlap_and_quiet),
        (RotationCause::Leak, RULES.quiet / 1_000),
        (RotationCause::Drift, RULES.quiet / 1_000),
        (RotationCause::OwnerEnded, RULES.quiet / 1_000),
    ] {
        let world = World {
            cause,
            in_use: |_| InUse::Yes,
            ..World::new(as_it_should)
        };
        world.pass(3_600).await;
        let began = world.when(|fact| *fact == Fact::Overlapped)[0];
        let drained = world.when(|fact| *fact == Fact::Drained);
        assert_eq!(drained.len(), 1, "{cause:?}");
        let waited = drained[0] - began;
        assert!((held..=held + 2).contains(&waited), "{cause:?}: {waited} s");
        assert_eq!(world.told("still_used"), drained, "{cause:?}");
        assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
        assert_eq!(world.alarm(), None, "what was cut off is over");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_of_sessions_is_not_taken_for_none() {
    let world = World {
        in_use: |_| InUse::Unclear("no answer in time".to_owned()),
        ..World::new(as_it_should)
    };
    world.pass(3_600).await;
    let began = world.when(|fact| *fact == Fact::Overlapped)[0];
    let drained = world.when(|fact| *fact == Fact::Drained)[0];
    assert!(
        (drained - began) * 1_000 >= RULES.overlap + RULES.quiet,
        "drained after {} s",
        drained - began
    );
    let told = world.told("stuck");
    let asked = began + RULES.quiet / 1_000;
    assert!(
        told.len() == 1 && told[0] <= asked + TOLD / 1_000,
        "{told:?}"
    );
    // Whoever is gone is not waited for.
    let world = World {
        in_use: |now| {
            if now.millis_since(BEGAN) < 200_000 {
                InUse::Yes
            } else {
                InUse::No
            }
        },
        ..World::new(as_it_should)
    };
    world.pass(3_600).await;
    let drained = world.when(|fact| *fact == Fact::Drained)[0];
    // Somebody was seen once, and nobody a while later.
    let quiet = began + 2 * RULES.quiet / 1_000;
    assert!((quiet..quiet + 2).contains(&drained), "{drained} s");
    assert_eq!(world.told("still_used"), [0_u64; 0]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_never_work_are_told_of_once() {
    let world = World::new(|call, _| {
        let is_new = matches!(call, Call::Verify(version) if *version != Version(1));
        is_new.then_some(Answer::Dead)
    });
    world.pass(3_600).await;
    let disproved = world.when(|fact| *fact == Fact::Disproved);
    assert!(disproved.len() > 10, "{disproved:?}");
    world.is_told_once_after(disproved[0], "never_worked");
    assert!(world.there.lock().unwrap().contains_key(&role(1)));
}

#[tokio::test(start_paused = true)]
async fn an_old_key_that_works_although_it_was_ended_is_told_of_once() {
    let world = World {
        is_undead: true,
        ..World::new(as_it_should)
    };
    world.pass(3_600).await;
    let undead = world.when(|fact| *fact == Fact::Undead);
    assert!(undead.len() > 10, "{undead:?}");
    world.is_told_once_after(undead[0], "undead");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_secret_has_by_now_is_not_ended_even_when_it_might_be_ours() {
    for is_kept in [true, false] {
        let mut world = World::new(|call, now| {
            let is_lost = now.millis_since(BEGAN) < 5_000 && matches!(call, Call::Create(_));
            is_lost.then(unclear).flatten()
        });
        if is_kept {
            world.elsewhere.insert(role(9));
        }
        world.pass(60).await;
        assert!(matches!(world.rotation().step(), Step::Overlapping { .. }));
        world.there.lock().unwrap().insert(role(9), 9);
        world.pass(3_600).await;
        assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
        let is_there = world.there.lock().unwrap().contains_key(&role(9));
        assert_eq!(is_there, is_kept, "a create was lost");
    }
}

#[tokio::test(start_paused = true)]
async fn what_leaked_before_it_was_in_force_never_is() {
    let world = World {
        leaked: BTreeSet::from([Version(2), Version(3)]),
        ..World::new(as_it_should)
    };
    world.pass(3_600).await;
    assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
    assert_eq!(world.rotation().version(), Version(4));
    let there: Vec<_> = world.there.lock().unwrap().keys().cloned().collect();
    assert_eq!(there, [role(4)]);
}

/// The longest that a plan may allow a call to take.
#[tokio::test(start_paused = true)]
async fn a_third_party_that_keeps_silent_is_told_of_in_time_however_long_a_call_may_take() {
    for seconds in [10, 20, 24, 30, 60] {
        let takes: [fn(UnixMillis) -> Duration; 2] = [
            |now| match now.millis_since(BEGAN) {
                0..1_000 => Duration::ZERO,
                _ => Duration::from_secs(60),
            },
            |_| Duration::from_secs(60),
        ];
        for takes in takes {
            let world = World {
                takes,
                ..World::new(|call, now| {
                    let is_silent = now.millis_since(BEGAN) > 1_000;
                    let is_asked = matches!(call, Call::Verify(_)) && is_silent;
                    is_asked.then(unclear).flatten()
                })
            };
            // As the driver of a plan does.
            let limited = Limited(world, Duration::from_secs(seconds));
            let mut patience = Patience::default();
            let (_tell, mut again) = tokio::sync::watch::channel(0);
            let Limited(world, _) = &limited;
            let driven = drive(world, &limited, &world.clock, &mut patience, &mut again);
            let _ = timeout(Duration::from_secs(600), driven).await;
            let told = world.told("stuck");
            assert!(
                told.first().is_some_and(|told| *told <= TOLD / 1_000),
                "calls of {seconds} s: {told:?}"
            );
        }
    }
}

/// Ends a call after so long.
struct Limited(World, Duration);

impl Driver for Limited {
    fn creation(&self, old: Option<&Reference>) -> Result<Creation, Unsuitable> {
        self.0.creation(old)
    }

    fn find<'a>(&'a self, manager: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        self.0.find(manager)
    }

    fn create<'a>(&'a self, manager: &'a Credential<'a>, order: Order<'a>) -> BoxFuture<'a, Made> {
        self.0.create(manager, order)
    }

    fn verify<'a>(&'a self, credential: &'a Credential<'a>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let verified = timeout(self.1, self.0.verify(credential)).await;
            verified.unwrap_or_else(|_| unclear().unwrap())
        })
    }

    fn revoke<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, Answer> {
        self.0.revoke(manager, reference)
    }

    fn is_used<'a>(
        &'a self,
        manager: &'a Credential<'a>,
        reference: &'a Reference,
    ) -> BoxFuture<'a, InUse> {
        self.0.is_used(manager, reference)
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_not_heard_of_the_new_one_yet_turns_nothing_back_and_a_dead_one_does() {
    // Published at once; the next answers come from a server that is late.
    let world = World::new(|call, now| {
        let is_new = matches!(call, Call::Verify(version) if *version != Version(1));
        let is_late = (100..15_000).contains(&now.millis_since(BEGAN));
        (is_new && is_late).then_some(Answer::Dead)
    });
    *world.rotation.lock().unwrap() = world.rotation().discerning(true);
    world.pass(3_600).await;
    assert_eq!(world.when(|fact| *fact == Fact::Reverted), [0_u64; 0]);
    assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
    // Dead from the second minute on: two looks.
    let world = World::new(|call, now| {
        let is_new = matches!(call, Call::Verify(version) if *version != Version(1));
        (is_new && now.millis_since(BEGAN) > 60_000).then_some(Answer::Dead)
    });
    world.pass(90).await;
    let reverted = world.when(|fact| *fact == Fact::Reverted);
    assert_eq!(reverted.len(), 1, "{:?}", world.facts.lock().unwrap());
    let longest = 60 + (RULES.watch + 4_000) / 1_000;
    assert!((62..=longest).contains(&reverted[0]), "{reverted:?}");
}

#[tokio::test(start_paused = true)]
async fn the_old_one_is_not_ended_while_another_secret_has_it_and_somebody_is_told() {
    let world = World::new(as_it_should);
    *world.held_by.lock().unwrap() = Some("storage/key".to_owned());
    world.pass(7_200).await;
    let stands = world.when(|fact| *fact == Fact::Confirmed)[0];
    world.is_told_once_after(stands, "stuck");
    let alarm = format!("{:?}", world.rotation().alarm());
    assert!(alarm.contains("storage/key"), "{alarm}");
    assert_eq!(world.count(|call| matches!(call, Call::Revoke(_))), 0);
    *world.held_by.lock().unwrap() = None;
    world.pass(120).await;
    assert_eq!(world.rotation().outcome(), Some(Outcome::Rotated));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_breaks_off_a_pause_and_no_call() {
    let world = World {
        takes: |_| Duration::from_secs(8),
        ..World::new(as_it_should)
    };
    let mut patience = Patience::default();
    let (tell, mut again) = tokio::sync::watch::channel(0);
    let driven = drive(&world, &world, &world.clock, &mut patience, &mut again);
    let tells = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        tell.send_modify(|count| *count += 1);
    };
    let (ended, ()) = futures::join!(driven, tells);
    assert!(matches!(ended, Err(Halted::Again)), "{ended:?}");
    let now = world.clock.now().millis_since(BEGAN);
    assert!((8_000..8_100).contains(&now), "{now}: while it was proved");
    let proved = world.when(|fact| *fact == Fact::Proved);
    assert_eq!(proved.len(), 1, "its answer counts");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_undone_while_the_old_one_does_not_say_is_asked_about_ever_more_rarely() {
    let world = World::new(|call, now| {
        let is_old = matches!(call, Call::Verify(Version(1)));
        let is_silent = now.millis_since(BEGAN) > 300_000;
        (is_old && is_silent).then(unclear).flatten()
    });
    *world.held_by.lock().unwrap() = Some("storage/key".to_owned());
    world.pass(320).await;
    assert!(matches!(world.rotation().step(), Step::Revoking { .. }));
    world.record(Fact::Abandoned, None).await.unwrap();
    let before = world.calls.lock().unwrap().len();
    world.pass(3_600).await;
    let asked = world.calls.lock().unwrap().len() - before;
    assert!(
        (100..=400).contains(&asked),
        "asked {asked} times in an hour"
    );
}
