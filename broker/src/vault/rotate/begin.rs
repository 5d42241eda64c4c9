//! Begins what is due, and keeps in view what cannot begin or what only a person can end.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use futures::StreamExt;
use lanyard_token::NodeId;

use super::due::due;
use super::hurry::is_urgent;
use super::state::Under;
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
        let mut kept_waiting = self.begin(self.what_is_due(now), now).await;
        self.keep_in_view(&mut kept_waiting);
        let mut known = self.kept_waiting();
        // What the urgent told of meanwhile stays.
        known.retain(|_, waiting| waiting.since > now);
        known.append(&mut kept_waiting);
    }

    /// Begins what somebody may have a copy of, beside whatever else is being begun.
    pub(super) async fn begin_what_is_urgent(&self, now: UnixMillis) {
        let mut due_now = self.what_is_due(now);
        due_now.retain(|(_, cause)| is_urgent(*cause));
        let mut more = Waiting::new();
        self.keep_in_view(&mut more);
        self.kept_waiting().append(&mut more);
        let mut more = self.begin(due_now, now).await;
        self.kept_waiting().append(&mut more);
    }

    /// What is due and not under way, the urgent first.
    fn what_is_due(&self, now: UnixMillis) -> Vec<(SecretView, RotationCause)> {
        let mut due_now = Vec::new();
        for plan in self.state.plans() {
            let Ok(view) = self.vault.shown(plan.secret) else {
                continue;
            };
            if self.state.under_way(plan.secret).is_none()
                && let Some(cause) = due(&plan, &view, self.state.undone(plan.secret), now)
            {
                due_now.push((view, cause));
            }
        }
        due_now.sort_by_key(|(_, cause)| !is_urgent(*cause));
        due_now
    }

    /// Begins these; gives back those that cannot begin.
    async fn begin(&self, due_now: Vec<(SecretView, RotationCause)>, now: UnixMillis) -> Waiting {
        let mut kept_waiting = Waiting::new();
        let begun = futures::stream::iter(due_now).map(async |(view, cause)| {
            let begun = self.rotate(&view.name, cause, By::Broker).await;
            (view, cause, begun)
        });
        let mut begun = std::pin::pin!(begun.buffer_unordered(AT_ONCE));
        while let Some((view, cause, begun)) = begun.next().await {
            match begun {
                // Somebody else began it meanwhile.
                Ok(_) | Err(RotateError::UnderWay { .. }) => {}
                Err(error) => {
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
        }
        kept_waiting
    }

    /// What no exchange that could begin now would end.
    fn keep_in_view(&self, kept_waiting: &mut Waiting) {
        for view in self.vault.list() {
            self.keep_unplanned_waiting(&view, kept_waiting);
            self.keep_reverted_waiting(&view, kept_waiting);
            self.keep_found_waiting(&view, kept_waiting);
        }
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
        // Those two are the exchange's: one is ended by it, and the other one is exchanged after it or made anew.
        let under = self.state.under_way(view.id);
        let under = under.and_then(|rotation| self.state.rotation(rotation));
        for known in &view.versions {
            let is_about = |under: &Under| under.rotation.is_about(known.version);
            if under.as_ref().is_some_and(is_about) {
                continue;
            }
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
