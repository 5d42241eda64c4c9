//! The edge in: one thin file per group of routes. Extract, one call into a room, respond.

pub mod caller;
pub mod problem;
