//! What a gateway is given, as it is answered.

use lanyard_token::NodeId;
use lanyard_token::integration::Integration;
use serde::Serialize;
use zeroize::Zeroizing;

use super::Given;
use crate::clock::UnixMillis;
use crate::store::event::{ContentHash, Version};

#[derive(Serialize)]
struct ToldIntegration<'a> {
    id: NodeId,
    owner: &'a str,
    integration: &'a Integration,
}

#[derive(Serialize)]
struct ToldLease<'a> {
    integration: &'a str,
    secret: NodeId,
    version: Version,
    reference: Option<&'a str>,
    value: &'a str,
    until: UnixMillis,
}

#[derive(Serialize)]
struct Refused<'a> {
    integration: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct Answer<'a> {
    hash: ContentHash,
    integrations: Option<Vec<ToldIntegration<'a>>>,
    leases: Vec<ToldLease<'a>>,
    refused: Vec<Refused<'a>>,
    now: UnixMillis,
}

impl Given {
    /// As it is answered; holds values.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let integrations = self.integrations.as_ref().map(|all| {
            let all = all.iter();
            all.map(|(id, owner, integration)| ToldIntegration {
                id: *id,
                owner,
                integration,
            })
            .collect()
        });
        let leases = self.leases.iter();
        let leases = leases.map(|(integration, reference, lease)| ToldLease {
            integration,
            secret: lease.secret,
            version: lease.version,
            reference: reference.as_deref(),
            value: lease.value.expose(),
            until: lease.until,
        });
        let refused = self.refused.iter();
        let answer = Answer {
            hash: self.hash,
            integrations,
            leases: leases.collect(),
            refused: refused
                .map(|(integration, why)| Refused { integration, why })
                .collect(),
            now: self.now,
        };
        let mut counted = Counted(0);
        let _ = serde_json::to_writer(&mut counted, &answer);
        // All the room there will be: what grows leaves copies behind.
        let mut json = Zeroizing::new(Vec::with_capacity(counted.0));
        let _ = serde_json::to_writer(&mut *json, &answer);
        json
    }
}

/// Counts what is written.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
