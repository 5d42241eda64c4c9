//! Exchanging secrets at third parties.

pub mod driver;
pub mod machine;
pub mod postgres;
