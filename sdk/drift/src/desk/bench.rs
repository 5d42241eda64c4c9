//! What a desk is told with every look: who plays which role, how much may be kept, what time it is.

use super::RoleId;
use crate::event::Millis;
use crate::ladder::SubjectId;
use crate::thresholds::Thresholds;

/// Bounds of the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Identities with habits at hand: some 25 KiB each.
    pub identities: usize,
    /// Open windows: some 10 KiB each.
    pub windows: usize,
    /// What each of several gateways said of an open window, kept apart: some 10 KiB each. Beyond, gateways
    /// of one window are not told apart.
    pub copies: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            identities: 10_000,
            windows: 16_384,
            copies: 16_384,
        }
    }
}

/// Who plays which role, and by which thresholds an identity is judged.
pub trait Register {
    /// The members of an identity's role, the identity itself left out.
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId>;
    /// The role itself.
    fn role(&self, identity: SubjectId) -> RoleId;
    /// The thresholds of its kind.
    fn thresholds(&self, identity: SubjectId) -> &Thresholds;
}

/// The fixed arguments of judging.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// Roles and thresholds.
    pub register: &'a dyn Register,
    /// How much is kept.
    pub limits: Limits,
    /// The time of whoever receives the reports; windows fall silent by it.
    pub now: Millis,
}

/// Whose report lies on the desk, and who brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which token.
    pub token: SubjectId,
    /// Whose.
    pub identity: SubjectId,
    /// Which gateway says so.
    pub gateway: SubjectId,
}
