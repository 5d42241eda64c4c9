//! A closed window, as it is kept for rehearsals.

use serde::{Deserialize, Serialize};

use crate::event::{Millis, OperationId};
use crate::evidence::Level;
use crate::ladder::{Place, Response, SubjectId};
use crate::report::TokenReport;
use crate::verdict::Verdict;

/// What one token did until its window closed, what it weighed, and what was done about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedWindow {
    /// When it closed.
    pub at: Millis,
    /// The place in the log at that time: tokens issued above it were minted after.
    pub place: Place,
    /// Which token.
    pub token: SubjectId,
    /// The nodes above it: owner, identity, credential, then the tokens it was exchanged from.
    pub path: Vec<SubjectId>,
    /// Where it was issued.
    pub issued_at: Place,
    /// What sort of thing the identity is: thresholds are per kind.
    pub kind: String,
    /// Whose reports stand behind it.
    pub gateways: Vec<SubjectId>,
    /// Those of them that each carried its verdict, where it was malicious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carried_by: Option<Vec<SubjectId>>,
    /// Everything that was weighed, before any bar.
    pub findings: Verdict,
    /// What was said of it under the thresholds in force.
    pub level: Level,
    /// What was done about verdicts on this window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Done>,
    /// What operations in it are called, as far as that is known; fit for display.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<(OperationId, String)>,
    /// The calls themselves, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<TokenReport>>,
}

/// Something that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What.
    pub response: Response,
    /// To what.
    pub node: Option<SubjectId>,
    /// Whether it was carried out, or only written down.
    pub enforced: bool,
}

/// Where identity and credential stand in a path.
const IDENTITY: usize = 1;
const CREDENTIAL: usize = 2;

impl RecordedWindow {
    /// Whose.
    #[must_use]
    pub fn identity(&self) -> SubjectId {
        self.path.get(IDENTITY).copied().unwrap_or_default()
    }

    /// Who carries a grave verdict on it. Of a window that was judged milder in its time nobody knows, so
    /// each of its gateways may: a rehearsal rather pauses than ends.
    #[must_use]
    pub fn carried_by(&self) -> &[SubjectId] {
        self.carried_by.as_deref().unwrap_or(&self.gateways)
    }

    /// What an operation is called.
    #[must_use]
    pub fn name(&self, operation: OperationId) -> Option<String> {
        let named = self.names.iter().find(|(named, _)| *named == operation);
        named.map(|(_, name)| name.clone())
    }

    /// What the token was issued for.
    #[must_use]
    pub fn credential(&self) -> SubjectId {
        self.path.get(CREDENTIAL).copied().unwrap_or_default()
    }
}
