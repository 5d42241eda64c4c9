//! What the engine costs: bytes that it keeps.

use lanyard_drift::{Baseline, Tracker};
use serde::Serialize;

/// Footprint of the engine.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct State {
    pub(super) bytes_per_identity: usize,
    pub(super) bytes_per_token: usize,
}

/// Counts the bytes.
pub(super) fn measure() -> State {
    State {
        bytes_per_identity: size_of::<Baseline>(),
        bytes_per_token: size_of::<Tracker>(),
    }
}
