//! Ways to prove who you are: one file each.

pub mod access_token;
pub mod api_key;
pub mod oidc;
pub mod seen;
