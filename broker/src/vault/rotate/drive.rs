//! Carries a rotation on, step by step: asks the machine what to do, does it, writes down what became certain.
//!
//! It may be stopped between any two lines, by a signal or by a power cut: whoever goes on reads the facts, and
//! begins where they end. So nothing is kept here that matters, and an intention is durable before the call.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::BoxFuture;

use super::driver::{Credential, Driver, InUse, Made, Order};
use super::journal::password;
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
    /// What third parties call the versions of other secrets: none of it is ended, wherever it is found.
    fn kept_elsewhere(&self) -> BTreeSet<Reference> {
        BTreeSet::new()
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

/// Carries a rotation on until it is over.
pub(super) async fn drive(
    journal: &dyn Journal,
    driver: &dyn Driver,
    clock: &dyn Clock,
    patience: &mut Patience,
) -> Result<(), Halted> {
    let (mut compared, mut seen, mut asked_again) = (None, None, None);
    loop {
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
        let around = Around {
            old_used: journal.old_used().max(seen.filter(|_| now < held_until)),
            compared,
            asked_again: asked_again.filter(|_| now < held_until),
        };
        let (answer, made) = match rotation.next(&rules, around, now) {
            Todo::Nothing => return Ok(()),
            Todo::Wait(until) => {
                let sleep = Duration::from_millis(until.millis_since(now)).min(LONGEST_SLEEP);
                tokio::time::sleep(sleep).await;
                continue;
            }
            // Some third parties know better than the vault whether somebody is still there.
            Todo::Record(Fact::Drained) => {
                match old_is_used(journal, driver, &rotation).await {
                    InUse::Yes if now < held_until => {
                        patience.answered(About::Uses);
                        seen = Some(now);
                        asked_again = Some(now.plus_millis(ASKED_AGAIN));
                        continue;
                    }
                    InUse::Unclear(why) if now < held_until => {
                        let pause = patience.wear(About::Uses, &why, now);
                        asked_again = Some(now.plus_millis(pause));
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
                    compared = Some(now);
                }
                (ask(journal, driver, &call).await?, None)
            }
            // Somebody made it by hand for another secret, and gave it to the vault meanwhile.
            Todo::Change(Call::Revoke(reference))
                if clears(&rotation) && journal.kept_elsewhere().contains(&reference) =>
            {
                journal.record(Fact::Cleared { reference }, None).await?;
                continue;
            }
            Todo::Change(call) => {
                journal
                    .record(Fact::Asked { call: call.clone() }, None)
                    .await?;
                let made = change(journal, driver, &call).await?;
                (made.answer, made.secret)
            }
        };
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
                let pause = patience.wear(About::Steps, &why(&answer), now);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }
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
    match fact {
        Some(fact) if rotation.gets_on_by(fact) => Came::Step,
        Some(Fact::Confirmed | Fact::Cleared { .. }) => Came::Circle,
        None if waits && !rotation.is_abandoned() && is_as_expected(answer) => Came::AsExpected,
        _ => Came::Nothing,
    }
}

async fn ask(journal: &dyn Journal, driver: &dyn Driver, call: &Call) -> Result<Answer, Halted> {
    let verify = async |version| {
        let opened = journal.version(version)?;
        Ok::<_, Halted>(driver.verify(&opened.as_credential()).await)
    };
    match call {
        Call::Find => {
            let manager = journal.manager()?;
            let mut answer = driver.find(&manager.as_credential()).await;
            if let Answer::Found(found) = &mut answer
                && *journal.rotation().step() != Step::Looking
            {
                let others = journal.kept_elsewhere();
                found.retain(|reference| !others.contains(reference));
            }
            Ok(answer)
        }
        Call::VerifyWrong(version) => {
            let opened = journal.version(*version)?;
            let wrong = password().map_err(|error| Halted::Missing(error.to_string()))?;
            let credential = Credential {
                reference: &opened.reference,
                secret: &wrong,
            };
            Ok(match driver.verify(&credential).await {
                Answer::Works => Answer::LetsEverybodyIn,
                Answer::Dead => Answer::Discerned,
                answer => answer,
            })
        }
        Call::Verify(version) => verify(*version).await,
        Call::Compare { new, old } => {
            let works = |answer: &Answer| match answer {
                Answer::Works => Some(true),
                Answer::Dead => Some(false),
                _ => None,
            };
            let (new, old) = (verify(*new).await?, verify(*old).await?);
            Ok(Answer::Compared {
                new: works(&new),
                old: works(&old),
            })
        }
        Call::Create(_) | Call::Revoke(_) => Ok(Answer::Unclear("it was not asked for".to_owned())),
    }
}

async fn old_is_used(journal: &dyn Journal, driver: &dyn Driver, rotation: &Rotation) -> InUse {
    let Some(old) = rotation.old() else {
        return InUse::No;
    };
    match journal.manager() {
        Ok(manager) => {
            let manager = manager.as_credential();
            driver.is_used(&manager, &old.reference).await
        }
        // Without a manager nobody can ask, which is no answer.
        Err(halted) => InUse::Unclear(halted.to_string()),
    }
}

async fn change(journal: &dyn Journal, driver: &dyn Driver, call: &Call) -> Result<Made, Halted> {
    let manager = journal.manager()?;
    match call {
        Call::Create(version) => {
            let proposed = if journal.rotation().is_proposed() {
                Some(journal.version(*version)?)
            } else {
                None
            };
            let key = journal.idempotency_key(*version);
            let order = Order {
                idempotency_key: &key,
                proposed: proposed.as_ref().map(Opened::as_credential),
            };
            Ok(driver.create(&manager.as_credential(), order).await)
        }
        Call::Revoke(reference) => Ok(driver
            .revoke(&manager.as_credential(), reference)
            .await
            .into()),
        Call::Find | Call::Verify(_) | Call::VerifyWrong(_) | Call::Compare { .. } => {
            Ok(Answer::Unclear("it changes nothing".to_owned()).into())
        }
    }
}

/// What is in force works: nothing to worry about.
fn is_as_expected(answer: &Answer) -> bool {
    matches!(
        answer,
        Answer::Compared {
            new: Some(true),
            ..
        }
    )
}

fn why(answer: &Answer) -> String {
    match answer {
        Answer::Refused(why) | Answer::Unclear(why) => why.clone(),
        Answer::Dead => "the new credential does not work yet".to_owned(),
        Answer::LetsEverybodyIn => "a credential that cannot be right is let in".to_owned(),
        Answer::Works => "the old credential still works".to_owned(),
        Answer::Compared { .. } => {
            "the credential in force does not work, or does not say".to_owned()
        }
        Answer::Found(_) => "what is there is not what should be there".to_owned(),
        Answer::Created(_) | Answer::Revoked | Answer::Discerned => {
            "the answer belongs to another question".to_owned()
        }
    }
}
