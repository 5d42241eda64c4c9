//! What would have been done, one by one and counted.

use serde::{Deserialize, Serialize};

use crate::event::Millis;
use crate::evidence::Level;
use crate::ladder::{Response, SubjectId};

/// Something the candidate would have carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When: at the end of the window.
    pub at: Millis,
    /// Whose.
    pub identity: SubjectId,
    /// The token whose window it was.
    pub token: SubjectId,
    /// What.
    pub response: Response,
    /// To what.
    pub node: Option<SubjectId>,
    /// For a suspension: until when.
    pub until: Option<Millis>,
    /// What the candidate says of the window.
    pub level: Level,
    /// Whether the same was carried out in truth.
    pub also_done: bool,
    /// Why, in one sentence.
    pub sentence: String,
}

/// Responses, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Somebody told.
    pub alert: u64,
    /// Tokens ended, whose owners mint anew.
    pub recycle: u64,
    /// Tokens narrowed to what the baseline knows.
    pub narrow: u64,
    /// Nodes paused.
    pub suspend: u64,
    /// Nodes ended.
    pub revoke: u64,
}

impl Tally {
    /// One more.
    pub(super) const fn add(&mut self, response: Response) {
        let counted = match response {
            Response::Observe => return,
            Response::Alert => &mut self.alert,
            Response::Recycle => &mut self.recycle,
            Response::Narrow => &mut self.narrow,
            Response::Suspend => &mut self.suspend,
            Response::Revoke => &mut self.revoke,
        };
        *counted += 1;
    }
}
