//! What was found where it does not belong: is it a key or a token of ours?

use lanyard_token::NodeId;

use super::Issue;
use super::limits::{Network, TooMany};
use super::proof::api_key::ApiKey;

/// A key or token of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaked {
    /// It could still be used: this ends it.
    Living(NodeId),
    /// Nobody can use it any more.
    Ended,
}

impl Issue {
    /// What a text is; `None`: nothing of ours, or nothing that is known any more. What has not the form of one costs
    /// no hash and no look-up.
    pub fn leaked(&self, text: &str) -> Option<Leaked> {
        if !ApiKey::is_meant(text) {
            return self
                .not_ended(text)
                .map(|claims| Leaked::Living(claims.jti));
        }
        let hash = self.hasher.hash(&ApiKey::parse(text)?);
        self.state.read(|book| {
            let (credential, row) = book.credential_by_hash(&hash)?;
            Some(if row.disabled {
                Leaked::Ended
            } else {
                Leaked::Living(credential)
            })
        })
    }

    /// One more report from there.
    pub fn count_report(&self, network: Network) -> Result<(), TooMany> {
        self.limits.failure(network)
    }
}
