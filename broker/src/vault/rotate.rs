//! Exchanging secrets at third parties.

pub mod aws_iam;
pub mod drive;
pub mod driver;
pub mod http;
pub mod machine;
mod patience;
pub mod postgres;
