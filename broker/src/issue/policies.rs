//! The policies in force at this broker: announced in the log, exchanged without a pause.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::Issue;
use super::denials::Denials;
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

impl Issue {
    /// The policies in force.
    pub fn policies(&self) -> Arc<Bundle> {
        self.policies.current()
    }

    /// How often policies were refused since the start.
    pub fn policies_refused(&self) -> u64 {
        self.policies_refused.load(Ordering::Relaxed)
    }

    /// Writes which policies are in force: every decision after this record was made with them.
    pub async fn announce_policies(&self, by: By) -> Result<(), StoreError> {
        let bundle = self.policies.current();
        self.store.append(vec![activated(&bundle, by)]).await?;
        Ok(())
    }

    /// From now on policies are read from this folder; of none: they are those that came with the program. Nothing
    /// changes until they are read.
    pub fn read_policies_from(&self, folder: Option<&Path>) {
        self.policies.read_from(folder);
    }

    /// Reads the policies again. A broken bundle changes nothing; a good one is announced before it is in force.
    pub async fn reload_policies(&self, by: By) -> Result<Arc<Bundle>, ReloadError> {
        let _alone = self.activation.lock().await;
        let policies = Arc::clone(&self.policies);
        let read = tokio::task::spawn_blocking(move || policies.read())
            .await
            .map_err(|_| ReloadError::Ended)?;
        let bundle = match read.and_then(|bundle| self.without_lock_out(bundle)) {
            Ok(bundle) => Arc::new(bundle),
            Err(broken) => {
                self.policies_refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    name: "lanyard.policy.refused",
                    "the policies are not read again: {broken}"
                );
                return Err(broken.into());
            }
        };
        self.store.append(vec![activated(&bundle, by)]).await?;
        self.policies.swap(Arc::clone(&bundle));
        Ok(bundle)
    }

    /// The same bundle, if it leaves somebody who can mend it. It may be as bad as the one before.
    fn without_lock_out(&self, bundle: Bundle) -> Result<Bundle, Broken> {
        let (before, after) = (self.able(&self.policies.current()), self.able(&bundle));
        let lost_remote = before.remote && !after.remote;
        let lost_local = before.local && !before.remote && !after.local && !after.remote;
        if lost_remote || lost_local {
            return Err(self.locks_out(after.locked_out));
        }
        Ok(bundle)
    }

    /// Refuses to begin with policies that lock out every administrator whom the roles that come with Lanyard would
    /// let in. Which policies were in force before nobody knows at a start, and where there is no administrator yet,
    /// nobody is locked out.
    pub fn check_administrators(&self) -> Result<(), Broken> {
        let usual = self.able(&Bundle::embedded()?);
        let now = self.able_by_role(&self.policies.current());
        if usual.remote && !now.remote {
            return Err(self.locks_out(now.locked_out));
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
