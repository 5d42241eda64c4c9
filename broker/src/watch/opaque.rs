//! The engine's opaque numbers and the log's own: the same bits, in two types.

use lanyard_drift::Millis;
use lanyard_drift::ladder::{Place, SubjectId};
use lanyard_token::{NodeId, Rev};

use crate::clock::UnixMillis;

/// A node, as the engine compares it.
pub(super) const fn subject(node: NodeId) -> SubjectId {
    SubjectId(node.as_u64())
}

/// A node again.
pub(super) const fn node(subject: SubjectId) -> NodeId {
    NodeId::from_u64(subject.0)
}

/// Nodes, as the engine compares them.
pub(super) fn subjects(nodes: &[NodeId]) -> Vec<SubjectId> {
    nodes.iter().copied().map(subject).collect()
}

/// Nodes again.
pub(super) fn nodes(subjects: &[SubjectId]) -> Vec<NodeId> {
    subjects.iter().copied().map(node).collect()
}

/// A place in the log, as the engine orders it.
pub(super) const fn place(rev: Rev) -> Place {
    Place(rev.as_u64())
}

/// A moment, as the engine counts it.
pub(super) const fn millis(at: UnixMillis) -> Millis {
    Millis(at.0)
}

/// A moment again.
pub(super) const fn unix(at: Millis) -> UnixMillis {
    UnixMillis(at.0)
}
