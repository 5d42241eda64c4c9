//! The log as telemetry: one `lanyard.log.*` event for each event of the log, from the moment it is
//! durable. Rooms tell of their own doings within the request's span; this is the complete record.
//!
//! It is a projection without rows. What is replayed at the start was told when it happened, so nothing
//! is told until [`Export::begin`]; `rev` on every line makes a gap provable. Ids, words and numbers
//! only: a token, a key or a sealed thing is never a field.

mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lanyard_drift::Level;
use lanyard_token::Rev;

use self::together::{Revocations, Told};
use super::Counters;
use crate::store::event::{Fact, IssuedToken};
use crate::store::{DamagedRow, Event, Projection, Record, Row};

/// Tells telemetry what became durable.
#[derive(Debug, Default)]
pub struct Export {
    counters: Arc<Counters>,
    begun: AtomicBool,
}

impl Export {
    /// Silent until [`Export::begin`].
    pub fn new(counters: Arc<Counters>) -> Self {
        Self {
            counters,
            begun: AtomicBool::new(false),
        }
    }

    /// The replay is over: what comes now is new.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    fn tell_of_many(&self, many: &Revocations<'_>) {
        self.counters.revoked(many.count as u64);
        tracing::info!(
            name: "lanyard.log.revoked",
            first = many.first.as_u64(), rev = many.last.as_u64(), count = many.count, "lanyard.nodes" = many.nodes,
            "lanyard.reason" = ?many.cause, by = ?many.by, "revoked together"
        );
    }

    fn tell(&self, rev: Rev, event: &Event) {
        let rev = rev.as_u64();
        match event {
            Event::TokenIssued(token) => self.issued(rev, token),
            Event::Revoked { node, cause, by } => {
                self.counters.revoked(1);
                tracing::info!(
                    name: "lanyard.log.revoked",
                    rev, "lanyard.node" = %node, "lanyard.reason" = ?cause, by = ?by, "revoked"
                );
            }
            Event::Suspended {
                node,
                until,
                cause,
                by,
            } => tracing::info!(
                name: "lanyard.log.suspended",
                rev, "lanyard.node" = %node, until = until.seconds(), "lanyard.reason" = ?cause, by = ?by, "suspended"
            ),
            Event::Resumed { node, by, .. } => {
                tracing::info!(name: "lanyard.log.resumed", rev, "lanyard.node" = %node, by = ?by, "resumed");
            }
            Event::Enabled { node, by, .. } => {
                tracing::info!(name: "lanyard.log.enabled", rev, "lanyard.node" = %node, by = ?by, "enabled");
            }
            Event::PolicyActivated {
                bundle,
                policies,
                by,
            } => tracing::info!(
                name: "lanyard.log.policy_activated",
                rev, bundle = %bundle, policies, by = ?by, "policies are in force"
            ),
            Event::OwnerCreated { owner, by, .. } => {
                tracing::info!(name: "lanyard.log.owner_created", rev, "lanyard.node" = %owner, by = ?by, "owner created");
            }
            Event::IdentityCreated {
                identity,
                grant,
                by,
            } => tracing::info!(
                name: "lanyard.log.identity_created",
                rev, "lanyard.identity" = %identity, kind = ?grant.kind, by = ?by, "identity created"
            ),
            Event::OwnerChanged { owner, by, .. } => {
                tracing::info!(name: "lanyard.log.owner_changed", rev, "lanyard.node" = %owner, by = ?by, "owner changed");
            }
            Event::IdentityTransferred {
                identity,
                owner,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.identity_transferred",
                rev, "lanyard.identity" = %identity, "lanyard.node" = %owner, by = ?by, "identity transferred"
            ),
            Event::IdentityChanged { identity, by, .. } => tracing::info!(
                name: "lanyard.log.identity_changed",
                rev, "lanyard.identity" = %identity, by = ?by, "identity changed"
            ),
            Event::KeyIssued {
                credential,
                identity,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.key_issued",
                rev, "lanyard.identity" = %identity, "lanyard.credential" = %credential, by = ?by, "API key issued"
            ),
            Event::IssuerTrusted {
                credential,
                identity,
                pinned,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.issuer_trusted",
                rev, "lanyard.identity" = %identity, "lanyard.credential" = %credential, issuer = pinned.issuer,
                subject = pinned.subject, by = ?by, "another issuer's subject is trusted"
            ),
            Event::ApprovalRequested {
                approval,
                request,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.approval_requested",
                rev, "lanyard.approval" = %approval, "lanyard.identity" = %request.identity, until = request.until.0,
                by = ?by, "approval is asked for"
            ),
            Event::ApprovalGiven { approval, hash, by } => tracing::info!(
                name: "lanyard.log.approval_given",
                rev, "lanyard.approval" = %approval, hash = %hash, by = ?by, "approved"
            ),
            Event::ApprovalRefused { approval, by, .. } => tracing::info!(
                name: "lanyard.log.approval_refused", rev, "lanyard.approval" = %approval, by = ?by, "not approved"
            ),
            Event::SigningKeyAdded(key) => tracing::info!(
                name: "lanyard.log.signing_key_added",
                rev, kid = %key.key, "use" = ?key.key_use, signs_from = key.signs_from.seconds(), "signing key added"
            ),
            Event::SigningKeyRemoved { key, by, .. } => {
                tracing::warn!(name: "lanyard.log.signing_key_removed", rev, kid = %key, by = ?by, "signing key removed");
            }
            Event::Judged(judgement) => {
                let level = level(judgement.verdict.level);
                self.counters.verdict(level);
                tracing::info!(
                    name: "lanyard.log.drift_verdict",
                    rev, "lanyard.verdict" = %judgement.id, "lanyard.identity" = %judgement.identity,
                    "lanyard.credential.id" = %judgement.token, "lanyard.decision" = level,
                    "lanyard.reason" = judgement.sentence(), "verdict"
                );
            }
            Event::Responded {
                verdict,
                identity,
                response: kind,
                enforced,
                ..
            } => {
                let kind = kind.word();
                self.counters.response(kind);
                tracing::info!(
                    name: "lanyard.log.response",
                    rev, "lanyard.verdict" = %verdict, "lanyard.identity" = %identity, "lanyard.decision" = kind,
                    enforced, "response"
                );
            }
            Event::VerdictCleared { verdict, by, .. } => tracing::info!(
                name: "lanyard.log.drift_cleared", rev, "lanyard.verdict" = %verdict, by = ?by, "verdict cleared"
            ),
            Event::Rehearsed {
                rehearsal,
                kind,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.rehearsed", rev, rehearsal = %rehearsal, kind = ?kind, by = ?by, "thresholds rehearsed"
            ),
            Event::ThresholdsFrozen {
                kind,
                rehearsal,
                by,
                ..
            } => tracing::warn!(
                name: "lanyard.log.thresholds_frozen", rev, rehearsal = %rehearsal, kind = ?kind, by = ?by,
                "thresholds changed"
            ),
            Event::DeploymentAnnounced {
                kind, until, by, ..
            } => tracing::info!(
                name: "lanyard.log.deployment_announced", rev, kind = ?kind, until = until.0, by = ?by,
                "what is new in a role is learned"
            ),
            Event::BudgetSet { goal, by } => tracing::info!(
                name: "lanyard.log.budget_set", rev, goal = ?goal, by = ?by, "the pager's budget was set"
            ),
            Event::Paged {
                identity,
                verdict,
                reach,
            } => tracing::warn!(
                name: "lanyard.log.paged", rev, "lanyard.verdict" = %verdict, "lanyard.identity" = %identity, reach,
                "somebody was paged"
            ),
            Event::EpochStarted { kept, by, .. } => tracing::warn!(
                name: "lanyard.log.epoch_started", rev, kept = kept.as_u64(), by = ?by, "an older copy of the log was accepted"
            ),
            Event::Booted { boot, version } => {
                tracing::info!(name: "lanyard.log.booted", rev, boot, version, "booted");
            }
            Event::SecretCreated {
                secret, owner, by, ..
            } => tracing::info!(
                name: "lanyard.log.secret_created",
                rev, "lanyard.secret" = %secret, "lanyard.node" = %owner, by = ?by, "secret created"
            ),
            Event::SecretTransferred {
                secret, owner, by, ..
            } => tracing::info!(
                name: "lanyard.log.secret_transferred",
                rev, "lanyard.secret" = %secret, "lanyard.node" = %owner, by = ?by, "secret transferred"
            ),
            Event::SecretVersionAdded(added) => tracing::info!(
                name: "lanyard.log.secret_version_added",
                rev, "lanyard.secret" = %added.secret, version = added.version.0, by = ?added.by, "a version was kept"
            ),
            Event::SecretVersionMoved {
                secret,
                version,
                state,
                by,
                ..
            } => tracing::info!(
                name: "lanyard.log.secret_version_moved",
                rev, "lanyard.secret" = %secret, version = version.0, state = state.word(), by = ?by,
                "a version stands elsewhere"
            ),
            Event::SecretLeased {
                secret,
                version,
                to,
                until,
                decided,
            } => tracing::info!(
                name: "lanyard.log.secret_leased",
                rev, "lanyard.secret" = %secret, version = version.0, "lanyard.identity" = %to, until = until.0,
                "lanyard.integration" = decided.as_ref().map(|decided| tracing::field::display(decided.integration)),
                policies = decided.as_ref().map(|decided| decided.policies.join(" ")),
                "a version was handed out"
            ),
            Event::SecretLeaked {
                secret,
                version,
                found_at,
            } => tracing::warn!(
                name: "lanyard.log.secret_leaked",
                rev, "lanyard.secret" = %secret, version = version.0, ?found_at, "a version was found elsewhere"
            ),
            Event::IntegrationChanged(kept) => tracing::info!(
                name: "lanyard.log.integration_changed",
                rev, "lanyard.integration" = kept.integration.name(), by = ?kept.by,
                "what may be called at a third party"
            ),
            Event::IntegrationRemoved {
                integration, by, ..
            } => tracing::info!(
                name: "lanyard.log.integration_removed",
                rev, "lanyard.node" = %integration, by = ?by, "a third party is called no more"
            ),
            Event::SecretUsed(used) => tracing::info!(
                name: "lanyard.log.secret_used",
                rev, "lanyard.secret" = %used.secret, version = used.version.0, "lanyard.identity" = %used.gateway,
                calls = used.calls, "a version was used"
            ),
            Event::RotationPlanned { plan, by } => tracing::info!(
                name: "lanyard.log.rotation_planned",
                rev, "lanyard.secret" = %plan.secret, by = ?by, "how a secret is exchanged"
            ),
            Event::RotationUnplanned { secret, by } => tracing::info!(
                name: "lanyard.log.rotation_unplanned",
                rev, "lanyard.secret" = %secret, by = ?by, "a secret is exchanged no more"
            ),
            Event::RotationQueued { secret, cause, by } => tracing::warn!(
                name: "lanyard.log.rotation_queued",
                rev, "lanyard.secret" = %secret, cause = cause.word(), by = ?by, "a secret should be exchanged"
            ),
            Event::RotationBegun(begun) => {
                self.counters.rotation(begun.cause.word());
                tracing::info!(
                name: "lanyard.log.rotation_begun",
                rev, "lanyard.rotation" = %begun.rotation, "lanyard.secret" = %begun.secret, cause = begun.cause.word(),
                by = ?begun.by,
                "a secret is being exchanged"
                );
            }
            Event::RotationStepped { rotation, fact, by } => match &**fact {
                Fact::Alarmed { alarm } => {
                    self.counters.rotation_alarm(alarm.word());
                    tracing::error!(
                        name: "lanyard.log.rotation_alarmed",
                        rev, "lanyard.rotation" = %rotation, ?alarm, "somebody has to look at a rotation"
                    );
                }
                fact => tracing::info!(
                    name: "lanyard.log.rotation_stepped",
                    rev, "lanyard.rotation" = %rotation, by = ?by, step = fact.word(), "a rotation made a step"
                ),
            },
            // Told when they happened, or of interest to gateways alone, or to whoever asks what is not used.
            Event::Refused(_)
            | Event::Used(_)
            | Event::Denied(_)
            | Event::Administered { .. }
            | Event::FloorRaised { .. }
            | Event::BaselinesSaved { .. } => {}
        }
    }

    fn issued(&self, rev: u64, token: &IssuedToken) {
        self.counters.issued();
        let claims = &token.claims;
        tracing::info!(
            name: "lanyard.log.token_issued",
            rev, "lanyard.identity" = claims.client_id, "lanyard.credential.id" = %claims.jti,
            "lanyard.decision" = "issued", audience = claims.aud.as_str(), scope = %claims.scope,
            expires = claims.exp, grant = ?token.grant, "token issued"
        );
    }
}

impl Projection for Export {
    fn name(&self) -> &'static str {
        "export-v1"
    }

    fn apply(&self, record: &Record) {
        if self.begun.load(Ordering::Acquire) {
            for told in together::told(record) {
                match told {
                    Told::One(rev, event) => self.tell(rev, event),
                    Told::Revocations(many) => self.tell_of_many(&many),
                }
            }
        }
    }

    fn changed_rows(&self) -> Vec<Row> {
        Vec::new()
    }

    fn load_row(&self, _: &[u8], _: &[u8]) -> Result<(), DamagedRow> {
        Err(DamagedRow)
    }

    fn reset(&self) {}
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Benign => "benign",
        Level::Anomalous => "anomalous",
        Level::Malicious => "malicious",
    }
}
