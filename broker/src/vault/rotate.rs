//! Exchanging secrets at third parties.

pub mod machine;
