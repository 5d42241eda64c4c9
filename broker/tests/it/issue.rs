//! The issue room behind its real doors, over a loopback listener.

mod administration;
mod approvals;
mod approvers;
mod break_glass;
mod exchange;
mod federation;
mod hostile;
pub(crate) mod issuer;
mod keys;
mod lifecycle;
mod limits;
mod lineage;
mod own_approvals;
mod policies;
mod race;
mod revocation;
mod risk;
mod token_endpoint;
mod world;
