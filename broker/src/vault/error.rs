//! Why the vault does not do what it was asked, and the words it takes.

use lanyard_token::NodeId;

use super::lease::LeaseRefused;
use super::name::InvalidName;
use super::versions::MoveRefused;
use crate::crypto::CryptoError;
use crate::store::StoreError;
use crate::store::event::Reference;
use crate::store::plain::is_plain_line;

/// Why the vault does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// Choose another name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Correct the member.
    #[error("`{member}` {why}")]
    Invalid { member: &'static str, why: String },
    /// Create it, or look for its name.
    #[error("there is no {kind} `{name}`")]
    NotFound { kind: &'static str, name: String },
    /// Say who answers for it.
    #[error("the secret `{name}` is new: say who answers for it (`owner`)")]
    OwnerNeeded { name: String },
    /// Transfer it first.
    #[error("the secret `{name}` answers to `{owner}`: transfer it first, or leave `owner` out")]
    OtherOwner { name: String, owner: String },
    /// Enable the owner, or name another.
    #[error("the owner `{owner}` is disabled")]
    OwnerDisabled { owner: String },
    /// Wait until it is over, or abort it.
    #[error("`{name}` is being exchanged: wait for it, or `lanyard rotation abort {rotation}`")]
    BeingExchanged { name: String, rotation: NodeId },
    /// Look how its versions stand.
    #[error(transparent)]
    Move(#[from] MoveRefused),
    /// Look how its versions stand.
    #[error(transparent)]
    Lease(#[from] LeaseRefused),
    /// Put it again, and look at the disk: nothing uses what was written.
    #[error("what was written could not be read back as it was given: nothing uses it")]
    NotReadBack,
    /// Sealed under a key that is not there, or changed.
    #[error("the secret cannot be sealed or opened")]
    Seal(#[from] CryptoError),
    /// Nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The longest reason.
const LONGEST_REASON: usize = 512;
/// The longest name that a third party has for a credential.
pub(super) const LONGEST_REFERENCE: usize = 256;

pub(super) fn plain_reason(text: &str) -> Result<String, VaultError> {
    line("reason", text, LONGEST_REASON)
}

pub(super) fn reference(text: &str) -> Result<Reference, VaultError> {
    line("reference", text, LONGEST_REFERENCE).map(Reference)
}

/// One line of text: it ends up in logs and on consoles.
fn line(member: &'static str, text: &str, longest: usize) -> Result<String, VaultError> {
    let text = text.trim();
    if text.is_empty() || text.len() > longest || !is_plain_line(text) {
        let why = format!("is one line of 1 to {longest} bytes");
        return Err(VaultError::Invalid { member, why });
    }
    Ok(text.to_owned())
}
