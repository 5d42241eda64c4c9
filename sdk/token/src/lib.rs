//! What a Lanyard access token is, and when it may be believed.
//!
//! No I/O and no clock: `now` is an argument, keys and watermarks are given.
//!
//! The way of a token through this crate: [`UnverifiedToken::parse`] refuses junk for next to
//! nothing, [`UnverifiedToken::verify`] gives a [`VerifiedToken`] (the only type the rest of
//! Lanyard believes), [`Liveness::check`] says whether it has been revoked since. Which keys may
//! sign tokens and feed messages comes from [`Delegation`]s under the pinned [`RootKey`].
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod actor;
pub mod address;
mod audience;
mod base64url;
mod claims;
mod delegation;
mod frame;
mod header;
pub mod integration;
mod kept;
mod key;
mod lineage;
mod liveness;
mod node;
mod rejection;
mod rev;
mod scope;
mod strict;
mod task;
mod thumbprint;
mod trust;
mod verify;

#[cfg(feature = "testing")]
pub mod testing;

pub use actor::{Actor, InvalidActor};
pub use audience::{Audience, InvalidAudience};
pub use claims::{Claims, ClaimsFault, Confirmation, SigningHeader, signing_input};
pub use delegation::{Delegation, DelegationFault, InvalidRootKey, KeyUse, RootKey};
pub use frame::{
    Checkpoint, Entry, FeedKeys, FeedMessage, Frame, FrameError, Heartbeat, MAX_ENTRIES,
    MAX_MESSAGE_BYTES, Snapshot, Suspension, UnverifiedMessage, VerifiedMessage, frame_hash,
};
pub use header::HeaderFault;
pub use kept::KeptToken;
pub use key::{Algorithm, InvalidKey, KeySet, PublicKey};
pub use lineage::{Lineage, TooDeep};
pub use liveness::{Dead, Liveness};
pub use node::{InvalidNodeId, NodeId};
pub use rejection::{Outside, Rejection};
pub use rev::Rev;
pub use scope::{InvalidScope, Scope, ScopeSet};
pub use task::{InvalidTask, TaskScope, Wider};
pub use thumbprint::{InvalidThumbprint, KeyId, Thumbprint};
pub use trust::TrustedKeys;
pub use verify::{
    Expectations, InvalidLeeway, MAX_TOKEN_BYTES, UnverifiedToken, VerifiedToken, token_digest,
};
