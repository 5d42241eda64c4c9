//! What a step asks a third party, as which credential, and how a failure is told.

use super::super::driver::{Credential, Driver, InUse, Made, Order};
use super::super::journal::password;
use super::super::machine::{Answer, Call, Rotation, Step};
use super::{Halted, Journal, Opened};

/// What changes nothing.
pub(super) async fn ask(
    journal: &dyn Journal,
    driver: &dyn Driver,
    call: &Call,
) -> Result<Answer, Halted> {
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
                let (others, in_force) = (journal.kept_elsewhere(), journal.in_force());
                found.retain(|reference| {
                    !others.contains(reference) && in_force.as_ref() != Some(reference)
                });
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
            // At once: one after the other a silent third party would take twice as long to be noticed.
            let (new, old) = futures::join!(verify(*new), verify(*old));
            let (new, old) = (new?, old?);
            for (which, said) in [("new", &new), ("old", &old)] {
                if let Answer::Unclear(why) | Answer::Refused(why) = said {
                    tracing::warn!(which, why, "whether a credential works was not said");
                }
            }
            Ok(Answer::Compared {
                new: works(&new),
                old: works(&old),
            })
        }
        Call::Create(_) | Call::Revoke(_) => Ok(Answer::Unclear("it was not asked for".to_owned())),
    }
}

/// Whether the third party knows of somebody who is logged in with the old one.
pub(super) async fn old_is_used(
    journal: &dyn Journal,
    driver: &dyn Driver,
    rotation: &Rotation,
) -> InUse {
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

/// What makes or ends a credential.
pub(super) async fn change(
    journal: &dyn Journal,
    driver: &dyn Driver,
    call: &Call,
) -> Result<Made, Halted> {
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

/// For the operator.
pub(super) fn why(answer: &Answer) -> String {
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
