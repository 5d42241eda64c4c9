//! What nobody uses any more: reported after a month, and identities disabled after the days that the
//! operator allows. A forgotten identity is one whose theft nobody notices.
//!
//! Use is counted in tokens obtained: whatever works with Lanyard obtains one every hour at least.
//! Gateways are reported and never disabled, because a verifier that falls silent is an outage; the
//! administrator of the Unix socket is neither, because it is the way back in. Keys are reported only:
//! one beside another may be kept for a bad day.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lanyard_token::NodeId;
use serde::Serialize;

use super::{CredentialKind, LOCAL_ADMINISTRATOR};
use crate::clock::UnixMillis;
use crate::issue::Issue;
use crate::issue::identity::{Book, Identified};
use crate::store::event::{By, Cause, Kind};
use crate::store::{Event, MAX_EVENTS, StoreError};

/// How often the room looks. Days are counted, so once an hour is soon enough.
pub const LOOK_FOR_UNUSED: Duration = Duration::from_secs(3_600);
/// After how many days something is reported when nobody says.
pub const REPORTED_AFTER_DAYS: u64 = 30;

/// Something that nobody has used for long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// Which identity.
    pub id: NodeId,
    /// What it is called.
    pub name: String,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Who answers for it, by name.
    pub owner: String,
    /// For how many whole days nobody used it.
    pub quiet_days: u64,
    /// The day it was last used.
    pub last_used: Option<UnixMillis>,
    /// Already.
    pub disabled: bool,
    /// In how many days it will be disabled; absent: never, or it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_in_days: Option<u64>,
}

/// A credential and how old it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyAge {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub kind: CredentialKind,
    /// Whose, by name.
    pub identity: String,
    /// Who answers for that, by name.
    pub owner: String,
    /// What it is called.
    pub label: Option<String>,
    /// For how many whole days it exists.
    pub age_days: u64,
    /// For how many whole days nobody used it.
    pub quiet_days: u64,
    /// The day it was last used.
    pub last_used: Option<UnixMillis>,
    /// When it stops working, in Unix milliseconds.
    pub expires_at: Option<UnixMillis>,
}

impl Issue {
    /// Identities that nobody has used for so many whole days, the longest first.
    pub fn unused(&self, days: u64) -> Vec<Unused> {
        let now = self.now();
        let limit = self.settings.unused_days;
        self.state().read(|book| unused(book, days, limit, now))
    }

    /// All API keys that work, the oldest first.
    pub fn key_ages(&self) -> Vec<KeyAge> {
        let now = self.now();
        self.state().read(|book| key_ages(book, now))
    }

    /// How many identities nobody had used for [`REPORTED_AFTER_DAYS`] at the last look.
    pub fn identities_unused(&self) -> usize {
        self.unused.load(Ordering::Relaxed)
    }

    /// Counts what is not used, and disables what has not been for longer than the operator allows.
    pub async fn disable_unused(&self) -> Result<usize, StoreError> {
        let _one_at_a_time = self.administration.lock().await;
        let unused = self.unused(REPORTED_AFTER_DAYS);
        let living = unused.iter().filter(|one| !one.disabled);
        self.unused.store(living.count(), Ordering::Relaxed);
        let over: Vec<&Unused> = unused
            .iter()
            .filter(|one| one.disabled_in_days == Some(0))
            .collect();
        for some in over.chunks(MAX_EVENTS) {
            let ended = |one: &&Unused| Event::Revoked {
                node: one.id,
                cause: Cause::Unused,
                by: By::Broker,
            };
            self.store.append(some.iter().map(ended).collect()).await?;
        }
        for one in &over {
            tracing::warn!(
                name: "lanyard.identity.unused",
                { lanyard.identity = %one.id, days = one.quiet_days },
                "an identity was disabled because nobody used it"
            );
        }
        Ok(over.len())
    }

    pub(in crate::issue) async fn look_for_unused(&self) {
        if let Err(error) = self.disable_unused().await {
            tracing::warn!(%error, "what is not used could not be disabled now");
        }
    }
}

fn unused(book: &Book, days: u64, limit: Option<u64>, now: UnixMillis) -> Vec<Unused> {
    let awake = book.awake_since();
    let mut found: Vec<Unused> = book
        .identities()
        .filter(|(_, found)| found.grant.name != LOCAL_ADMINISTRATOR)
        .filter(|(_, found)| found.usage.quiet_days(awake, now) >= days)
        .map(|(id, found)| {
            let quiet_days = found.usage.quiet_days(awake, now);
            Unused {
                id,
                name: found.grant.name.clone(),
                kind: found.grant.kind,
                owner: owner_name(book, found),
                quiet_days,
                last_used: found.usage.last,
                disabled: found.disabled,
                disabled_in_days: limit
                    .filter(|_| !found.disabled && found.grant.kind != Kind::Gateway)
                    .map(|limit| limit.saturating_sub(quiet_days)),
            }
        })
        .collect();
    found.sort_by(|one, other| (other.quiet_days, &one.name).cmp(&(one.quiet_days, &other.name)));
    found
}

fn key_ages(book: &Book, now: UnixMillis) -> Vec<KeyAge> {
    let awake = book.awake_since();
    let works = |end: Option<UnixMillis>| end.is_none_or(|end| end > now);
    let mut ages: Vec<KeyAge> = book
        .credentials()
        .filter(|(_, credential)| !credential.disabled && works(credential.expires_at))
        .filter_map(|(id, credential)| {
            let identity = book.identity(credential.identity)?;
            Some(KeyAge {
                id,
                kind: CredentialKind::from(&credential.proof),
                identity: identity.grant.name.clone(),
                owner: owner_name(book, identity),
                label: credential.label.clone(),
                age_days: credential.usage.age_days(now),
                quiet_days: credential.usage.quiet_days(awake, now),
                last_used: credential.usage.last,
                expires_at: credential.expires_at,
            })
        })
        .collect();
    ages.sort_by(|one, other| (other.age_days, one.id).cmp(&(one.age_days, other.id)));
    ages
}

pub(super) fn owner_name(book: &Book, identity: &Identified) -> String {
    book.owner(identity.grant.owner)
        .map_or_else(String::new, |owner| owner.name.clone())
}
