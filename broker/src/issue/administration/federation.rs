//! Trusting another issuer's subject: a credential that is no secret, see
//! [`oidc`](crate::issue::proof::oidc).

use lanyard_token::NodeId;
use serde::Deserialize;

use super::input::{self, InvalidInput};
use super::view::{self, KeyView};
use super::{AdminError, Issue};
use crate::clock::UnixMillis;
use crate::store::Event;
use crate::store::event::{By, Pinned};

/// The longest subject: what the gate reads of one.
const LONGEST_SUBJECT: usize = 512;

/// Whom another issuer vouches for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTrust {
    /// One of the issuers that the operator trusts.
    pub issuer: String,
    /// The `sub` of its tokens, letter for letter.
    pub subject: String,
    /// What it is for.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether one token may be shown again while it lives.
    #[serde(default)]
    pub reusable: bool,
}

impl Issue {
    /// From now on whoever comes with such a token is this identity (by name or number).
    pub async fn trust_issuer(
        &self,
        identity: &str,
        new: NewTrust,
        expires_at: Option<UnixMillis>,
        by: By,
    ) -> Result<KeyView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let identity = self.find_identity(identity)?;
        let label = input::label(new.label)?;
        if !self.federation.trusts(&new.issuer) {
            let why =
                "is not trusted by this broker: its operator lists it in `federation.issuers`";
            return Err(InvalidInput::new("issuer", why).into());
        }
        if expires_at.is_some_and(|end| end <= self.now()) {
            return Err(InvalidInput::new("expires_at", "is in the past").into());
        }
        let pinned = Pinned {
            issuer: new.issuer,
            subject: subject(&new.subject)?,
            reusable: new.reusable,
        };
        let taken = self.state().read(|book| {
            let mut same = book.credentials_by_pin(&pinned.issuer, &pinned.subject);
            same.any(|(_, found, _)| found.identity == identity && !found.disabled)
        });
        if taken {
            return Err(AdminError::Taken {
                kind: "subject",
                name: pinned.subject,
            });
        }
        let credential = self.store.nodes().next();
        let event = Event::IssuerTrusted {
            credential,
            identity,
            label,
            pinned: Box::new(pinned),
            expires_at,
            by,
        };
        self.store.append(vec![event]).await?;
        self.show_key(credential)
    }

    /// One credential of an identity.
    pub fn show_key(&self, credential: NodeId) -> Result<KeyView, AdminError> {
        let found = self.state().read(|book| {
            let found = book.credential(credential)?;
            Some(view::key(credential, found))
        });
        found.ok_or_else(|| AdminError::NotFound {
            kind: "key",
            name: credential.to_string(),
        })
    }
}

/// Letter for letter: a star would be a star, and nobody would get in; whoever wrote it meant many, and a
/// platform puts into a subject what strangers choose (a branch, a pull request, a fork's name).
fn subject(text: &str) -> Result<String, InvalidInput> {
    if text.contains('*') {
        let why = "is compared letter for letter: write out each subject, without `*`";
        return Err(InvalidInput::new("subject", why));
    }
    if text.trim() != text {
        return Err(InvalidInput::new("subject", "begins or ends with a space"));
    }
    input::words("subject", text, LONGEST_SUBJECT)
}
