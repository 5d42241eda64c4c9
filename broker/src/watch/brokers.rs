//! Which of several brokers judges an identity.
//!
//! Every broker that hears reports keeps windows, so that it is warm when another one goes; the one
//! that the identity's rendezvous hash chooses among the live brokers writes the verdicts. While two of
//! them disagree about who is live, both or neither may: both do no harm, because a verdict is called
//! by its content (see [`naming`](super::naming)); neither lasts as long as the disagreement, and what
//! a window holds is judged again with the next report. One broker judges everybody.

use std::sync::{PoisonError, RwLock};

use lanyard_drift::rendezvous;
use lanyard_token::NodeId;

/// The brokers that are live, as this one knows them.
#[derive(Debug)]
pub(super) struct Brokers(RwLock<Live>);

#[derive(Debug)]
struct Live {
    own: u64,
    all: Vec<u64>,
}

impl Default for Brokers {
    /// Alone.
    fn default() -> Self {
        Self(RwLock::new(Live {
            own: 0,
            all: vec![0],
        }))
    }
}

impl Brokers {
    /// These are live now, and this one is `own`.
    pub(super) fn set(&self, own: u64, all: Vec<u64>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Live { own, all };
    }

    /// Whether this broker judges an identity.
    pub(super) fn is_judge(&self, identity: NodeId) -> bool {
        let live = self.0.read().unwrap_or_else(PoisonError::into_inner);
        rendezvous(identity.as_u64(), live.all.iter().copied()) == Some(live.own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_the_live_exactly_one_judges() {
        let rooms: Vec<Brokers> = (10..13)
            .map(|own| {
                let brokers = Brokers::default();
                brokers.set(own, vec![10, 11, 12]);
                brokers
            })
            .collect();
        for identity in (0..500).map(NodeId::from_u64) {
            let judges = rooms.iter().filter(|room| room.is_judge(identity));
            assert_eq!(judges.count(), 1);
            assert!(Brokers::default().is_judge(identity));
        }
    }
}
