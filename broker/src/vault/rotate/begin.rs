//! Begins what is due, and keeps in view what cannot begin or what only a person can end.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use futures::StreamExt;
use lanyard_token::NodeId;

use super::due::due;
use super::{KeptWaiting, RotateError, Rotations};
use crate::clock::UnixMillis;
use crate::store::event::{By, RotationCause, Version, VersionState};
use crate::vault::SecretView;

/// How many begin at the same time. A third party that does not answer takes a place for as long as a call may take; more
/// at once would come down on one third party with all that was planned for it.
const AT_ONCE: usize = 16;

/// What waits: a secret, or one version of it that only a person can end.
pub(super) type Waiting = BTreeMap<(NodeId, Option<Version>), KeptWaiting>;

impl Rotations {
    /// Begins all of it, and says what cannot begin.
    pub(super) async fn begin_what_is_due(&self, now: UnixMillis) {
        let mut kept_waiting = Waiting::new();
        let mut due_now = Vec::new();
        for plan in self.state.plans() {
            let Ok(view) = self.vault.shown(plan.secret) else {
                continue;
            };
            if self.state.under_way(plan.secret).is_some() {
                self.keep_reverted_waiting(&view, &mut kept_waiting);
            } else if let Some(cause) = due(&plan, &view, now) {
                due_now.push((view, cause));
            }
        }
        let begun = futures::stream::iter(due_now).map(async |(view, cause)| {
            let begun = self.rotate(&view.name, cause, By::Broker).await;
            (view, cause, begun)
        });
        let mut begun = std::pin::pin!(begun.buffer_unordered(AT_ONCE));
        while let Some((view, cause, begun)) = begun.next().await {
            if let Err(error) = begun {
                tracing::error!(
                    secret = view.name, cause = cause.word(), %error,
                    "a secret is due and cannot be exchanged"
                );
                let known = self.kept_waiting().get(&(view.id, None)).cloned();
                let waiting = KeptWaiting {
                    secret: view.name,
                    cause,
                    since: known.map_or(now, |known| known.since),
                    why: error.to_string(),
                };
                kept_waiting.insert((view.id, None), waiting);
            }
        }
        for view in self.vault.list() {
            self.keep_unplanned_waiting(&view, &mut kept_waiting);
            self.keep_found_waiting(&view, &mut kept_waiting);
        }
        *self.kept_waiting() = kept_waiting;
    }

    /// Somebody may have a copy, and nobody said how it is exchanged: only a person can do that.
    fn keep_unplanned_waiting(&self, view: &SecretView, kept_waiting: &mut Waiting) {
        if view.planned || view.active.is_none() {
            return;
        }
        let secret = view.name.clone();
        let why = RotateError::NoPlan { secret }.to_string();
        self.keep_queued_waiting(view, why, kept_waiting);
    }

    /// What somebody may have a copy of came into force again, since the one in its place stopped working. Another exchange
    /// begins when this one is over, and may come to the same.
    fn keep_reverted_waiting(&self, view: &SecretView, kept_waiting: &mut Waiting) {
        let Some(rotation) = self.state.under_way(view.id) else {
            return;
        };
        let under = self.state.rotation(rotation);
        if under.is_some_and(|under| under.rotation.is_reverted()) {
            let why = format!(
                "the new one stopped working, so the one before is in force again: it is exchanged anew after rotation \
                 {rotation}"
            );
            self.keep_queued_waiting(view, why, kept_waiting);
        }
    }

    fn keep_queued_waiting(&self, view: &SecretView, why: String, kept_waiting: &mut Waiting) {
        let Some(since) = view.rotation_queued else {
            return;
        };
        let cause = view.queued_because.unwrap_or(RotationCause::OwnerEnded);
        // Once is enough: it may never change, and the metric and the list say it until it does.
        if !self.kept_waiting().contains_key(&(view.id, None)) {
            tracing::error!(
                secret = view.name,
                cause = cause.word(),
                error = why,
                "a secret should be exchanged, and is not"
            );
        }
        let waiting = KeptWaiting {
            secret: view.name.clone(),
            cause,
            since,
            why,
        };
        kept_waiting.insert((view.id, None), waiting);
    }

    /// Versions that were found elsewhere and are not in force: no exchange ends them at the third party.
    fn keep_found_waiting(&self, view: &SecretView, kept_waiting: &mut Waiting) {
        if self.state.under_way(view.id).is_some() {
            return;
        }
        for known in &view.versions {
            let is_out = matches!(known.state, VersionState::Pending | VersionState::Draining);
            let Some(exposed) = known.exposed.filter(|_| is_out) else {
                continue;
            };
            if exposed.cause != RotationCause::Leak {
                continue;
            }
            let (name, version) = (&view.name, known.version);
            let why = format!(
                "version {version} was found elsewhere and is not in force: end it at the third party, then `lanyard \
                 secret retire {name} {version}`"
            );
            let place = (view.id, Some(version));
            if !self.kept_waiting().contains_key(&place) {
                tracing::error!(
                    secret = name,
                    version = version.0,
                    error = why,
                    "somebody has a copy of a version, and nobody ends it"
                );
            }
            let waiting = KeptWaiting {
                secret: name.clone(),
                cause: exposed.cause,
                since: exposed.at,
                why,
            };
            kept_waiting.insert(place, waiting);
        }
    }

    /// Secrets that are due and cannot be exchanged, which are tried every minute, and versions that a person has to end.
    pub fn waiting(&self) -> Vec<KeptWaiting> {
        self.kept_waiting().values().cloned().collect()
    }

    fn kept_waiting(&self) -> MutexGuard<'_, Waiting> {
        // It is replaced as a whole.
        self.kept_waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
