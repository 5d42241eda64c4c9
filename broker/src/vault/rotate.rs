//! Exchanging secrets at third parties.

pub mod aws_iam;
pub mod driver;
pub mod http;
pub mod machine;
pub mod postgres;
