//! The edge in: one thin file per group of routes. Extract, one call into a room, respond.

pub mod admin;
pub mod audited;
pub mod begun;
pub mod caller;
pub mod drift;
pub mod duties;
pub mod egress;
pub mod feed;
pub mod health;
pub mod leaks;
pub mod listener;
pub mod metadata;
pub mod oauth;
pub mod problem;
pub mod reports;
pub mod socket;
pub mod source;
pub mod tls;
pub mod wording;
