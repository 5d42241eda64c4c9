//! The policies in force at this broker: announced in the log, exchanged without a pause.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Issue;
use super::denials::Denials;
use super::rights::Reader;
use crate::clock::UnixMillis;
use crate::policy::administration::LockedOut;
use crate::policy::{Broken, Bundle};
use crate::store::event::By;
use crate::store::{Event, MAX_EVENTS, StoreError};

/// Why the policies were not exchanged. The last good ones stay in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Correct what stands at the place.
    #[error("{0}")]
    Broken(#[from] Broken),
    /// They could not be announced, so they are not in force.
    #[error("the policies could not be announced in the log")]
    Store(#[from] StoreError),
    /// The task that reads them was ended.
    #[error("the policies were not read to the end")]
    Ended,
}

/// The policies in force at this broker.
#[derive(Clone, Debug)]
pub struct InForce {
    /// They.
    pub bundle: Arc<Bundle>,
    /// Since when; absent: not announced yet.
    pub since: Option<Since>,
}

/// Since when policies are in force here.
#[derive(Clone, Debug)]
pub struct Since {
    /// When they were read, or the broker began with them.
    pub at: UnixMillis,
    /// Who had them read.
    pub by: By,
    /// What is strange about them, though not wrong.
    pub warning: Option<String>,
}

impl Issue {
    /// The policies in force.
    pub fn policies(&self) -> Arc<Bundle> {
        self.policies.current()
    }

    /// The policies in force, and since when they are.
    pub fn policies_in_force(&self) -> InForce {
        let since = self.activated.lock();
        let since = since.unwrap_or_else(PoisonError::into_inner).clone();
        InForce {
            bundle: self.policies.current(),
            since,
        }
    }

    fn activated(&self, by: By, warning: Option<String>) -> Option<Since> {
        let since = Some(Since {
            at: self.now(),
            by,
            warning,
        });
        let mut last = self
            .activated
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.clone_from(&since);
        since
    }

    /// How often policies were refused since the start.
    pub fn policies_refused(&self) -> u64 {
        self.policies_refused.load(Ordering::Relaxed)
    }

    /// Writes which policies are in force: every decision after this record was made with them.
    pub async fn announce_policies(&self, by: By) -> Result<(), StoreError> {
        let bundle = self.policies.current();
        self.store
            .append(vec![activated(&bundle, by.clone())])
            .await?;
        let warning = joined(bundle.warnings());
        if let Some(warning) = &warning {
            tracing::warn!(name: "lanyard.policy.warned", "{warning}");
        }
        self.activated(by, warning);
        Ok(())
    }

    /// From now on policies are read from this folder; of none: they are those that came with the program. Nothing
    /// changes until they are read.
    pub fn read_policies_from(&self, folder: Option<&Path>) {
        self.policies.read_from(folder);
    }

    /// Reads the policies again. A broken bundle changes nothing; a good one is announced before it is in force.
    /// `reader` is whoever has them read over the network.
    pub async fn reload_policies(
        &self,
        by: By,
        reader: Option<Reader>,
    ) -> Result<InForce, ReloadError> {
        let _alone = self.activation.lock().await;
        let policies = Arc::clone(&self.policies);
        let read = tokio::task::spawn_blocking(move || policies.read())
            .await
            .map_err(|_| ReloadError::Ended)?;
        // Only now: a slow disk keeps nobody from ending a stolen administrator.
        let _nobody_is_ended = self.one_ending_at_a_time().await;
        let (bundle, warning) = match read.and_then(|read| self.without_lock_out(read, reader)) {
            Ok((bundle, warning)) => (Arc::new(bundle), warning),
            Err(broken) => {
                self.policies_refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    name: "lanyard.policy.refused",
                    "the policies are not read again: {broken}"
                );
                return Err(broken.into());
            }
        };
        if let Some(warning) = &warning {
            tracing::warn!(name: "lanyard.policy.warned", "{warning}");
        }
        self.store
            .append(vec![activated(&bundle, by.clone())])
            .await?;
        self.policies.swap(Arc::clone(&bundle));
        let since = self.activated(by, warning);
        Ok(InForce { bundle, since })
    }

    /// The same bundle, if it leaves somebody who can mend it, with the hours at which nobody can. It may be as bad as
    /// the one before.
    fn without_lock_out(
        &self,
        bundle: Bundle,
        reader: Option<Reader>,
    ) -> Result<(Bundle, Option<String>), Broken> {
        let current = self.policies.current();
        let (before, after) = (self.able(&current), self.able(&bundle));
        let nobody = after.remote.is_empty();
        let lost_remote = !before.remote.is_empty() && nobody;
        let lost_local = !before.local.is_empty() && nobody && after.local.is_empty();
        if lost_remote || lost_local {
            return Err(self.locks_out(after.locked_out(&before)));
        }
        if let Some(why) = reader.and_then(|reader| self.shuts_out(reader, &current, &bundle)) {
            let mut broken = self.locks_out(Some(why));
            broken.words = format!("from where they are read again {}", broken.words);
            broken.advice = Some(
                "correct the circumstances they speak of, or have them read again from where you would be let in"
                    .to_owned(),
            );
            return Err(broken);
        }
        let closed = before.remote.without(after.remote);
        let shut = (!closed.is_empty()).then(|| {
            let why = after.locked_out(&before).map(|why| why.words);
            let why = why.unwrap_or_default();
            format!(
                "nobody can mend the policies over the network at some hours (UTC: {closed}): {why}"
            )
        });
        let warnings = shut.into_iter().chain(bundle.warnings()).collect();
        Ok((bundle, joined(warnings)))
    }

    /// Refuses to begin with policies that lock out every administrator whom the roles that come with Lanyard would
    /// let in. Which policies were in force before nobody knows at a start, and where there is no administrator yet,
    /// nobody is locked out.
    pub fn check_administrators(&self) -> Result<(), Broken> {
        let usual = self.able(&Bundle::embedded()?);
        let now = self.able_by_role(&self.policies.current());
        if !usual.remote.is_empty() && now.remote.is_empty() {
            return Err(self.locks_out(now.locked_out(&usual)));
        }
        Ok(())
    }

    fn locks_out(&self, why: Option<LockedOut>) -> Broken {
        let (place, words) = why.map_or((None, String::new()), |why| (why.place, why.words));
        Broken {
            place: place.unwrap_or_else(|| self.policies.place()),
            words: format!("every administrator would be locked out: {words}"),
            advice: Some(
                "let somebody with a key have a token for the admin listener, and do `policy:reload` and `administrators:write`"
                    .to_owned(),
            ),
        }
    }

    /// Writes the denials of whole minutes that are over (`everything`: also of this one).
    pub async fn write_denials(&self, everything: bool) -> Result<(), StoreError> {
        let over = (!everything).then(|| self.clock.now());
        let denials = self.denials().take(over);
        for some in denials.chunks(MAX_EVENTS) {
            let events = some
                .iter()
                .map(|denial| Event::Denied(Box::new(denial.clone())))
                .collect();
            self.store.append(events).await?;
        }
        Ok(())
    }

    pub(super) fn denials(&self) -> MutexGuard<'_, Denials> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn activated(bundle: &Bundle, by: By) -> Event {
    Event::PolicyActivated {
        bundle: bundle.hash(),
        policies: u32::try_from(bundle.rules().len()).unwrap_or(u32::MAX),
        by,
    }
}

fn joined(warnings: Vec<String>) -> Option<String> {
    (!warnings.is_empty()).then(|| warnings.join("; "))
}
