//! What gateways tell of their uses: counted since their start, so that telling again changes nothing.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use lanyard_token::NodeId;
use serde::Deserialize;

use super::super::starts::OTHERS;
use super::super::state::{Carried, UseKey};
use super::super::{Integrations, invalid};
use super::AskedLeases;
use crate::clock::UnixMillis;
use crate::store::event::{SecretUse, Version};
use crate::store::{Event, MAX_EVENTS};
use crate::vault::VaultError;

/// The most uses that one request tells of; the next one tells of the others.
pub const MOST_TOLD: usize = 4_096;

/// How often a gateway used a version.
#[derive(Debug, Deserialize)]
pub struct ToldUse {
    /// For which integration, by name.
    pub integration: String,
    /// Of which secret.
    pub secret: NodeId,
    /// Which version.
    pub version: Version,
    /// Calls since its start.
    pub calls: u64,
    /// When last.
    pub last_at: UnixMillis,
}

impl Integrations {
    /// Writes down what a gateway told.
    pub async fn told(&self, gateway: NodeId, asked: &AskedLeases) -> Result<(), VaultError> {
        if asked.uses.is_empty() {
            return Ok(());
        }
        if asked.uses.len() > MOST_TOLD {
            let why = format!("are at most {MOST_TOLD} at once");
            return Err(invalid("uses", why));
        }
        let boot = asked.boot.as_deref().and_then(boot).ok_or_else(|| {
            let why = "is 16 hexadecimal digits beside `uses`, and not 0 alone";
            invalid("boot", why.to_owned())
        })?;
        let now = self.vault.clock.now();
        let boot = self.start(gateway, boot, now);
        let carried = self.state.carried_by(gateway);
        let known = asked.uses.iter().filter_map(|told| {
            let last_at = self.believed(gateway, told, now)?;
            let used = self.known_use(gateway, &carried, told)?;
            Some(SecretUse {
                boot,
                last_at,
                ..used
            })
        });
        let told = merged(known);
        let is_new = |(key, used): &(UseKey, SecretUse)| used.calls > self.state.told(*key, boot);
        let new = told.into_iter().filter(is_new);
        let events: Vec<Event> = new
            .map(|(_, used)| Event::SecretUsed(Box::new(used)))
            .collect();
        for some in events.chunks(MAX_EVENTS) {
            self.vault.store.append(some.to_vec()).await?;
        }
        Ok(())
    }

    /// The number a start is counted under.
    fn start(&self, gateway: NodeId, boot: u64, now: UnixMillis) -> u64 {
        // A panic elsewhere leaves it whole.
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = starts.entry(gateway).or_default().number(boot, now);
        if number != boot {
            tracing::warn!(
                name: "lanyard.uses.too_many_starts",
                { lanyard.identity = %gateway },
                "a gateway tells of more starts than are counted apart"
            );
        }
        number
    }

    /// What was told of one of a gateway's own secrets.
    fn known_use(&self, gateway: NodeId, carried: &[Carried], told: &ToldUse) -> Option<SecretUse> {
        let mut named = carried.iter();
        let carried =
            named.find(|carried| carried.kept.integration.name().as_str() == told.integration)?;
        let secret = carried.kept.integration.injection().secret();
        let secret = self.vault.show(secret).ok()?;
        (secret.id == told.secret).then_some(SecretUse {
            integration: carried.id,
            secret: told.secret,
            version: told.version,
            gateway,
            boot: 0,
            calls: told.calls,
            last_at: told.last_at,
        })
    }
}

/// The same use once, however often one request tells it: the log knows of none of them yet.
fn merged(told: impl Iterator<Item = SecretUse>) -> BTreeMap<UseKey, SecretUse> {
    let mut uses: BTreeMap<UseKey, SecretUse> = BTreeMap::new();
    for used in told {
        let known = uses.entry(key_of(&used)).or_insert_with(|| used.clone());
        known.calls = known.calls.max(used.calls);
        known.last_at = known.last_at.max(used.last_at);
    }
    uses
}

const fn key_of(used: &SecretUse) -> UseKey {
    UseKey {
        secret: used.secret,
        version: used.version,
        integration: used.integration,
        gateway: used.gateway,
    }
}

/// 16 hexadecimal digits. Under 0 are counted those that are not counted apart.
fn boot(text: &str) -> Option<u64> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (text.len() == 16 && text.bytes().all(is_hex)).then_some(())?;
    u64::from_str_radix(text, 16)
        .ok()
        .filter(|boot| *boot != OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_request_tells_many_times_is_one_use_with_the_largest_count() {
        let used = |version: u32, calls: u64, last_at: u64| SecretUse {
            integration: NodeId::from_u64(1),
            secret: NodeId::from_u64(2),
            version: Version(version),
            gateway: NodeId::from_u64(3),
            boot: 4,
            calls,
            last_at: UnixMillis(last_at),
        };
        let told = (0..4_096).map(|at| used(1, at % 18, 5_000 - at));
        let merged = merged(told.chain([used(2, 1, 1)]));
        let uses: Vec<_> = merged.values().cloned().collect();
        assert_eq!(uses, [used(1, 17, 5_000), used(2, 1, 1)]);
    }
}
