//! Whose turn it is where credentials of several secrets are listed together.
//!
//! Each of two rotations there would take what the other one makes for something that nobody knows, and end it. So one
//! goes on at a time: who has looked has its turn until it is over, and its steps in the log say so to every later
//! process. Of those that have not, whoever is urgent goes first, then whoever began first; who begins to look holds its
//! turn in memory, and gives way between two looks to one that is more urgent, since nothing was made before.
//!
//! *Why not simply the oldest:* a scheduled one that cannot look would hold back one after a leak.
//! *What it misses:* nobody is hurried for somebody else's sake. One with an overlap of days holds back what comes after
//! it for days; when that is urgent, or it stands still, somebody is told within a minute and may abort it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lanyard_token::NodeId;

use super::drive::{Halted, Journal as _};
use super::hurry::is_urgent;
use super::machine::{Alarm, Fact, Step};
use super::patience::TOLD_AFTER;
use super::state::Under;
use super::third_party::listed_at;
use super::{LOOK, LogJournal, Rotations};

/// Who goes on and who waits, in this process.
#[derive(Default)]
pub(super) struct Turns {
    turns: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By where they are listed.
    taken: HashMap<String, NodeId>,
    /// Who waits, for whom, and whether it is urgent.
    waiting: HashMap<NodeId, (NodeId, bool)>,
}

/// A turn, until it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    at: Option<String>,
    rotation: NodeId,
}

impl Turns {
    /// Whom a rotation waits for.
    pub(super) fn waits_for(&self, rotation: NodeId) -> Option<NodeId> {
        let waiting = self.lock().waiting.get(&rotation).copied();
        waiting.map(|(other, _)| other)
    }

    /// Whether somebody urgent waits for a rotation.
    pub(super) fn is_pressed(&self, rotation: NodeId) -> bool {
        let turns = self.lock();
        let mut waiting = turns.waiting.values();
        waiting.any(|waits| *waits == (rotation, true))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is one line.
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        turns.waiting.remove(&self.rotation);
        if let Some(at) = &self.at {
            turns.taken.remove(at);
        }
    }
}

impl Rotations {
    /// Waits until it is this one's turn.
    pub(super) async fn turn(&self, journal: &LogJournal) -> Result<Turn<'_>, Halted> {
        let rotation = journal.rotation;
        // Whoever gives up waiting waits no more.
        let mut turn = Turn {
            turns: &self.turns,
            at: None,
            rotation,
        };
        loop {
            let other = match self.take(rotation) {
                Ok(at) => {
                    turn.at = at;
                    return Ok(turn);
                }
                Err(other) => other,
            };
            self.tell_of_waiting(journal, other).await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes a turn, where turns are taken, or says who goes first.
    fn take(&self, rotation: NodeId) -> Result<Option<String>, NodeId> {
        let Some(ours) = self.state.rotation(rotation) else {
            return Ok(None);
        };
        // What it made is there already: waiting would help nobody.
        if *ours.rotation.step() != Step::Looking {
            return Ok(None);
        }
        let Some(at) = self.listed_at(&ours) else {
            return Ok(None);
        };
        let mut turns = self.turns.lock();
        let taken = turns.taken.get(&at).copied();
        let others = self.state.all_under_way().into_iter();
        let mut first = others
            .filter(|other| *other != rotation)
            .filter_map(|other| Some((other, self.state.rotation(other)?)))
            .filter(|(other, under)| {
                Some(*other) == taken
                    || *under.rotation.step() != Step::Looking
                    || rank(*other, under) < rank(rotation, &ours)
            })
            .filter(|(_, under)| self.listed_at(under).as_ref() == Some(&at));
        if let Some((other, _)) = first.next() {
            turns
                .waiting
                .insert(rotation, (other, is_urgent(ours.cause)));
            return Err(other);
        }
        turns.waiting.remove(&rotation);
        turns.taken.insert(at.clone(), rotation);
        Ok(Some(at))
    }

    fn listed_at(&self, under: &Under) -> Option<String> {
        listed_at(&self.state.plan(under.secret)?)
    }

    /// Somebody is told when waiting is no matter of time: it is urgent, or whoever goes first does not get on.
    async fn tell_of_waiting(&self, journal: &LogJournal, other: NodeId) -> Result<(), Halted> {
        let (Some(ours), Some(first)) = (
            self.state.rotation(journal.rotation),
            self.state.rotation(other),
        ) else {
            return Ok(());
        };
        let waited = self.vault.clock.now().millis_since(ours.rotation.since());
        let is_of_concern = is_urgent(ours.cause) || first.rotation.alarm().is_some();
        if waited < TOLD_AFTER || !is_of_concern || ours.rotation.is_known_to_stand() {
            return Ok(());
        }
        let why = format!(
            "it waits for rotation {other}, whose credentials are listed at the same place and which stands at `{}`",
            first.rotation.step().word()
        );
        let alarm = Alarm::Stuck { why };
        journal.record(Fact::Alarmed { alarm }, None).await
    }
}

/// Less is sooner.
const fn rank(rotation: NodeId, under: &Under) -> (bool, u64) {
    (!is_urgent(under.cause), rotation.as_u64())
}
