//! Reading and saving what was learned.

use std::sync::{Arc, Mutex, PoisonError};

use lanyard_drift::desk::Limits;

use super::Watch;
use super::baseline::{BaselineError, BaselineStore, Saved};
use super::closed::Kept;
use super::series::Series;
use super::shards::{Shards, Shared};
use super::state::WatchState;
use crate::clock::UnixMillis;
use crate::store::Event;

/// Between two saves, in milliseconds: what a crash may cost of learning.
const SAVE_EVERY: u64 = 60_000;
/// Between two versions that the log is told of, in milliseconds: see [`super::baseline`].
const TELL_EVERY: u64 = 3_600_000;

/// When and where baselines were saved.
pub(super) struct Saver {
    store: Arc<dyn BaselineStore>,
    at: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    version: u64,
    saved: Option<UnixMillis>,
    told: Option<UnixMillis>,
}

impl Saver {
    /// Reads what was saved last. What cannot be read is set aside, and its reason comes back.
    pub(super) fn open(
        store: Box<dyn BaselineStore>,
        state: &WatchState,
        limits: Limits,
    ) -> (Self, Shards, Shared<Kept>, Option<BaselineError>) {
        let store: Arc<dyn BaselineStore> = Arc::from(store);
        let told = state.saved_baselines();
        let (saved, refused) = match Saved::load(store.as_ref(), told) {
            Ok(saved) => (saved, None),
            Err(error) => {
                tracing::error!(error = %error, "the saved baselines are refused");
                if let Err(error) = store.set_aside() {
                    tracing::error!(error = %error, "the refused baselines stay where they are until the next save");
                }
                (last_good(store.as_ref(), told), Some(error))
            }
        };
        let progress = Progress {
            version: saved.version.max(told),
            ..Progress::default()
        };
        let known = saved.baselines.into_iter().take(limits.identities);
        (
            Self {
                store,
                at: Mutex::new(progress),
            },
            Shards::with_habits(known, state).having_seen(saved.seen),
            Shared::of(Kept::of(Series::of(saved.series), saved.pager)),
            refused,
        )
    }

    /// The next version to save, when it is time; notes it as saved.
    fn begin(&self, now: UnixMillis, last: bool) -> Option<u64> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = match at.saved {
            None => {
                at.saved = Some(now);
                last
            }
            Some(saved) => last || now.millis_since(saved) >= SAVE_EVERY,
        };
        due.then(|| {
            at.saved = Some(now);
            at.version = at.version.saturating_add(1);
            at.version
        })
    }

    /// Whether the log is to be told of a version now; notes it as told.
    fn tells(&self, now: UnixMillis, last: bool) -> bool {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let tells = last
            || at
                .told
                .is_none_or(|told| now.millis_since(told) >= TELL_EVERY);
        if tells {
            at.told = Some(now);
        }
        tells
    }
}

/// The copy before the refused one, if that is good; else everybody is new.
fn last_good(store: &dyn BaselineStore, told: u64) -> Saved {
    match Saved::load_before(store, told) {
        Ok(before) if !before.baselines.is_empty() => {
            tracing::warn!(
                version = before.version,
                "going on with the copy of the baselines before it"
            );
            before
        }
        Ok(_) => {
            tracing::error!("starting without baselines: everybody is new");
            Saved::default()
        }
        Err(error) => {
            tracing::error!(error = %error, "starting without baselines: everybody is new");
            Saved::default()
        }
    }
}

impl Watch {
    /// Saves baselines if they changed and a minute has passed, or at the end.
    pub(super) async fn save_baselines(&self, last: bool) {
        let now = self.clock.now();
        if !self.shards.is_changed() {
            return;
        }
        let Some(version) = self.learning.begin(now, last) else {
            return;
        };
        let baselines = self.shards.copy();
        // After the habits: what is counted in between is lost to a crash, never counted twice.
        let seen = self.shards.copy_seen();
        let (series, pager) = {
            let kept = self.kept.lock();
            (kept.series.saved(), Some(kept.pager.clone()))
        };
        let saved = Saved {
            version,
            baselines,
            seen,
            series,
            pager,
        };
        let store = Arc::clone(&self.learning.store);
        let saving = tokio::task::spawn_blocking(move || saved.save(store.as_ref()));
        match saving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %error, "baselines were not saved");
                self.shards.keep_changed();
                return;
            }
            Err(_) => return,
        }
        if self.learning.tells(now, last) {
            // Told after the save: a crash in between leaves a newer copy than the log knows, which is fine.
            if let Err(error) = self
                .store
                .append(vec![Event::BaselinesSaved { version }])
                .await
            {
                tracing::warn!(error = %error, version, "the log was not told of the saved baselines");
            }
        }
    }
}
