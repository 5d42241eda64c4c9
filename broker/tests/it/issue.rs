//! The issue room behind its real doors, over a loopback listener.

mod administration;
mod approvals;
mod break_glass;
mod exchange;
mod hostile;
mod keys;
mod lifecycle;
mod limits;
mod lineage;
mod policies;
mod race;
mod revocation;
mod token_endpoint;
mod world;
