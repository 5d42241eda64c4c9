//! Carries a rotation on, step by step: asks the machine what to do, does it, writes down what became certain.
//!
//! It may be stopped between any two lines, by a signal or by a power cut: whoever goes on reads the facts, and
//! begins where they end. So nothing is kept here that matters, and an intention is durable before the call.

mod attended;
mod calls;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;

use self::attended::attended;
use self::calls::{ask, change, old_is_used, why};
use self::seen::Seen;
use super::driver::{Credential, Driver, InUse};
use super::machine::{
    Alarm, Answer, Around, Call, Fact, Reference, Rotation, Rules, Step, Todo, Version,
};
use super::patience::{About, Patience};
use crate::clock::{Clock, UnixMillis};
use crate::store::event::RotationCause;
use crate::vault::SecretValue;

/// The longest sleep: a clock may be set, and an administrator may have something else in mind.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long after somebody was seen it is asked again, in milliseconds, where nobody has to have been away for longer.
const ASKED_AGAIN: u64 = 1_000;

/// Why a rotation does not go on in this process. Another one, or a later one, does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Halted {
    /// Nothing can be written: it goes on when something can.
    #[error("the log takes nothing")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A credential that is needed is not there, or cannot be opened.
    #[error("{0}")]
    Missing(String),
    /// Another one goes first, before anything was done.
    #[error("another rotation goes first")]
    GivesWay,
    /// A bug of ours: it is tried again like anything else.
    #[error("it broke off over something unforeseen")]
    BrokeOff,
    /// Somebody does not wait for the next try, or planned otherwise: from the facts, at once.
    #[error("it is begun again")]
    Again,
}

/// A credential out of the vault.
pub struct Opened {
    /// What the third party calls it.
    pub reference: Reference,
    /// What only its holder knows.
    pub secret: SecretValue,
}

impl Opened {
    fn as_credential(&self) -> Credential<'_> {
        Credential {
            reference: &self.reference,
            secret: &self.secret,
        }
    }
}

/// Where a rotation is kept.
pub trait Journal: Send + Sync {
    /// As far as it is.
    fn rotation(&self) -> Rotation;
    /// Its numbers, as of now: it may have become urgent.
    fn rules(&self) -> Rules;
    /// Why it goes on, as of now.
    fn cause(&self) -> RotationCause;
    /// When the old version was used last, or its last lease ends.
    fn old_used(&self) -> Option<UnixMillis>;
    /// Whether the new version was found somewhere.
    fn new_leaked(&self) -> bool {
        false
    }
    /// What third parties call the versions of other secrets: none of it is ended, wherever it is found.
    fn kept_elsewhere(&self) -> BTreeSet<Reference> {
        BTreeSet::new()
    }
    /// Another secret that has the same credential in use as a version of this one.
    fn held_by_another(&self, _: Version) -> BoxFuture<'_, Result<Option<String>, Halted>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// What the version in force is called: never ended as something that was only found.
    fn in_force(&self) -> Option<Reference> {
        None
    }
    /// Whether another one goes first, as long as nothing was done.
    fn gives_way(&self) -> bool {
        false
    }
    /// Makes a fact durable, with what belongs to it: the value of a version that was made, the version that is
    /// in force from here on.
    fn record(&self, fact: Fact, made: Option<SecretValue>) -> BoxFuture<'_, Result<(), Halted>>;
    /// What whoever manages credentials shows, as of now.
    fn manager(&self) -> Result<Opened, Halted>;
    /// A version of the secret.
    fn version(&self, version: Version) -> Result<Opened, Halted>;
    /// The same for the same version, however often it is asked for.
    fn idempotency_key(&self, version: Version) -> String;
}

/// Carries a rotation on until it is over, or until somebody says that it shall begin again. A call is never broken off for
/// that: its answer would be lost.
pub(super) async fn drive(
    journal: &dyn Journal,
    driver: &dyn Driver,
    clock: &dyn Clock,
    patience: &mut Patience,
    again: &mut Again,
) -> Result<(), Halted> {
    let mut seen = Seen::default();
    loop {
        if again.has_changed().unwrap_or(false) {
            return Err(Halted::Again);
        }
        let (rotation, rules) = (journal.rotation(), journal.rules());
        if *rotation.step() == Step::Looking && journal.gives_way() {
            return Err(Halted::GivesWay);
        }
        let now = clock.now();
        if let Some(why) = patience.is_over(now)
            && !rotation.is_known_to_stand()
        {
            let alarm = Alarm::Stuck {
                why: why.to_owned(),
            };
            journal.record(Fact::Alarmed { alarm }, None).await?;
            continue;
        }
        let held_until = rotation.sessions_hold_until(&rules, journal.cause());
        let around = seen.around(&rotation, now, held_until);
        let around = Around {
            old_used: journal.old_used().max(around.old_used),
            new_leaked: journal.new_leaked(),
            ..around
        };
        let (answer, made) = match rotation.next(&rules, around, now) {
            Todo::Nothing => return Ok(()),
            Todo::Wait(until) => {
                let sleep = Duration::from_millis(until.millis_since(now)).min(LONGEST_SLEEP);
                rest(sleep, again).await?;
                continue;
            }
            // Some third parties know better than the vault whether somebody is still there.
            Todo::Record(Fact::Drained) => {
                let asked = old_is_used(journal, driver, &rotation);
                match attended(journal, patience, clock, asked).await {
                    InUse::Yes if now < held_until => {
                        patience.answered(About::Uses);
                        seen.used = Some(now);
                        seen.asked_again = Some(now.plus_millis(ASKED_AGAIN));
                        continue;
                    }
                    InUse::Unclear(why) if now < held_until => {
                        let pause = patience.wear(About::Uses, &why, now, clock.now());
                        seen.asked_again = Some(now.plus_millis(pause));
                        continue;
                    }
                    InUse::Yes => {
                        let alarm = Alarm::StillUsed;
                        journal.record(Fact::Alarmed { alarm }, None).await?;
                    }
                    InUse::No | InUse::NotTold | InUse::Unclear(_) => {}
                }
                journal.record(Fact::Drained, None).await?;
                patience.restore();
                continue;
            }
            Todo::Record(fact) => {
                journal.record(fact, None).await?;
                continue;
            }
            Todo::Ask(call) => {
                if matches!(call, Call::Compare { .. }) {
                    seen.compared = Some(now);
                }
                let answer =
                    attended(journal, patience, clock, ask(journal, driver, &call)).await?;
                let answer = seen.take(&call, answer, &rotation, &rules, clock.now());
                (answer, None)
            }
            // Somebody made it by hand for another secret, and gave it to the vault meanwhile.
            Todo::Change(Call::Revoke(reference))
                if clears(&rotation)
                    && (journal.in_force().as_ref() == Some(&reference)
                        || journal.kept_elsewhere().contains(&reference)) =>
            {
                journal.record(Fact::Cleared { reference }, None).await?;
                continue;
            }
            Todo::Change(call) => {
                if let Some(why) = holds_back(journal, &rotation).await? {
                    let pause = patience.wear(About::Steps, &why, now, clock.now());
                    rest(Duration::from_millis(pause), again).await?;
                    continue;
                }
                let looked = clock.now();
                if ends_the_old(&rotation) && looked.millis_since(now) > rules.watch {
                    continue;
                }
                journal
                    .record(Fact::Asked { call: call.clone() }, None)
                    .await?;
                // Not written: it was undone meanwhile.
                if !is_asked(&journal.rotation(), &call) {
                    continue;
                }
                // The log took so long that what was seen before is not worth anything any more.
                if ends_the_old(&rotation) && clock.now().millis_since(looked) > rules.watch {
                    let why = "the log took too long, so it was not asked for".to_owned();
                    let pause = patience.wear(About::Steps, &why, now, clock.now());
                    journal.record(Fact::Declined { why }, None).await?;
                    rest(Duration::from_millis(pause), again).await?;
                    continue;
                }
                let changed = change(journal, driver, &call);
                let made = attended(journal, patience, clock, changed).await?;
                (made.answer, made.secret)
            }
        };
        let began = now;
        let now = clock.now();
        // As it is now: an administrator may have written something meanwhile.
        let fact = journal.rotation().learn(&rules, &answer, now);
        let came = weigh(&rotation, fact.as_ref(), &answer);
        if let Some(fact) = fact {
            journal.record(fact, made).await?;
        }
        match came {
            Came::Step => patience.restore(),
            Came::Circle => {}
            Came::AsExpected => {
                patience.answered(About::Steps);
                // What was told of has passed: told of again it would not be news.
                if !patience.is_worn() && matches!(rotation.alarm(), Some(Alarm::Stuck { .. })) {
                    journal.record(Fact::Recovered, None).await?;
                }
            }
            Came::Nothing => {
                let pause = patience.wear(About::Steps, &why(&answer), began, now);
                rest(Duration::from_millis(pause), again).await?;
            }
        }
    }
}

/// Told when a rotation shall not wait for its next try.
pub(super) type Again = tokio::sync::watch::Receiver<u64>;

/// A pause, unless somebody does not wait for its end.
async fn rest(pause: Duration, again: &mut Again) -> Result<(), Halted> {
    tokio::select! {
        () = tokio::time::sleep(pause) => Ok(()),
        Ok(()) = again.changed() => Err(Halted::Again),
    }
}

/// Why the old one must not be ended now, whatever the plan says: nothing of another secret's is.
async fn holds_back(journal: &dyn Journal, rotation: &Rotation) -> Result<Option<String>, Halted> {
    let Some(old) = rotation.old().filter(|_| ends_the_old(rotation)) else {
        return Ok(None);
    };
    let other = journal.held_by_another(old.version).await?;
    Ok(other.map(|other| {
        format!(
            "`{other}` has the same credential, which would be ended: put another one there, or retire it there"
        )
    }))
}

/// Whether a call was written down as asked for.
fn is_asked(rotation: &Rotation, call: &Call) -> bool {
    let step = rotation.step();
    let is_written = !matches!(
        step,
        Step::Creating { asked: false } | Step::Probing { .. } | Step::Revoking { asked: false }
    );
    is_written && rotation.wants(call)
}

const fn ends_the_old(rotation: &Rotation) -> bool {
    matches!(rotation.step(), Step::Revoking { .. })
}

/// Whether what it ends was only found, and never ours for certain.
const fn clears(rotation: &Rotation) -> bool {
    matches!(
        rotation.step(),
        Step::Clearing { .. } | Step::Tidying { .. }
    )
}

/// What came of a try.
enum Came {
    /// It got on.
    Step,
    /// It did what has to be done, and may have done before.
    Circle,
    /// Both work, and it is not time yet.
    AsExpected,
    /// It did not get on.
    Nothing,
}

fn weigh(rotation: &Rotation, fact: Option<&Fact>, answer: &Answer) -> Came {
    let waits = matches!(rotation.step(), Step::Overlapping { .. } | Step::Draining);
    let looks_again = matches!(
        rotation.step(),
        Step::Publishing | Step::Revoking { asked: false } | Step::Tidying { .. }
    );
    match fact {
        Some(fact) if rotation.gets_on_by(fact) => Came::Step,
        Some(Fact::Confirmed | Fact::Cleared { .. }) => Came::Circle,
        None if looks_again && !rotation.is_abandoned() && is_as_expected(answer) => Came::Circle,
        None if waits && !rotation.is_abandoned() && is_as_expected(answer) => Came::AsExpected,
        _ => Came::Nothing,
    }
}

/// What is in force works: nothing to worry about.
const fn is_as_expected(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Works
            | Answer::Compared {
                new: Some(true),
                ..
            }
    )
}
