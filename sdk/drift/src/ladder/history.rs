//! What happened to an identity lately: the part of the past that decides the next response.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::subject::{Place, SubjectId};
use crate::event::Millis;

/// How many of each are kept per identity: escalation needs a handful.
const KEPT: usize = 32;

/// Milliseconds in a day.
const DAY: u64 = 86_400_000;

/// The recent past of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Tokens that were recycled, oldest first.
    pub recycled: VecDeque<Recycled>,
    /// Tokens that drifted gravely, oldest first: a hard rule, or malicious by two witnesses.
    pub drifted: VecDeque<Drifted>,
    /// Tokens that were narrowed to their baseline, oldest first.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub narrowed: VecDeque<Narrowed>,
    /// What is paused, and until when.
    pub suspended: VecDeque<(SubjectId, Millis)>,
    /// The last day (since the origin of time) on which somebody was alerted.
    pub alerted_on: Option<u64>,
}

/// A token that was recycled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycled {
    /// Which.
    pub token: SubjectId,
    /// What it was issued for.
    pub credential: SubjectId,
    /// When.
    pub at: Millis,
    /// Where it ended: tokens issued above it were minted after.
    pub rev: Place,
    /// Because of.
    pub verdict: SubjectId,
}

/// A token that was narrowed to its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowed {
    /// Which.
    pub token: SubjectId,
    /// Because of.
    pub verdict: SubjectId,
}

/// A token that drifted gravely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// Which.
    pub token: SubjectId,
    /// The nodes above it, owner first.
    pub path: Vec<SubjectId>,
    /// Where it was issued.
    pub place: Place,
    /// When it drifted.
    pub at: Millis,
    /// Which verdict said so.
    pub verdict: SubjectId,
    /// The gateways that each carry that verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried_by: Vec<SubjectId>,
}

impl History {
    /// Whether somebody was already alerted about this identity on the day of `now`.
    #[must_use]
    pub fn is_alerted(&self, now: Millis) -> bool {
        self.alerted_on == Some(now.0 / DAY)
    }

    /// Whether this token was narrowed.
    #[must_use]
    pub fn is_narrowed(&self, token: SubjectId) -> bool {
        self.narrowed.iter().any(|narrowed| narrowed.token == token)
    }

    /// Whether this node is paused.
    #[must_use]
    pub fn is_paused(&self, node: SubjectId, now: Millis) -> bool {
        let running = |(paused, until): &(SubjectId, Millis)| *paused == node && *until > now;
        self.suspended.iter().any(running)
    }

    /// A token was narrowed.
    pub fn add_narrowed(&mut self, narrowed: Narrowed) {
        if !self.narrowed.contains(&narrowed) {
            push(&mut self.narrowed, narrowed);
        }
    }

    /// A token drifted gravely. Saying so twice because of one verdict is saying it once, as with
    /// everything that is added here.
    pub fn add_drifted(&mut self, drifted: Drifted) {
        let told =
            |known: &Drifted| (known.token, known.verdict) == (drifted.token, drifted.verdict);
        if !self.drifted.iter().any(told) {
            push(&mut self.drifted, drifted);
        }
    }

    /// A token was recycled.
    pub fn add_recycled(&mut self, recycled: Recycled) {
        let told =
            |known: &Recycled| (known.token, known.verdict) == (recycled.token, recycled.verdict);
        if !self.recycled.iter().any(told) {
            push(&mut self.recycled, recycled);
        }
    }

    /// Something was paused.
    pub fn add_suspended(&mut self, node: SubjectId, until: Millis) {
        push(&mut self.suspended, (node, until));
    }

    /// Somebody was alerted.
    pub const fn alerted(&mut self, now: Millis) {
        self.alerted_on = Some(now.0 / DAY);
    }

    /// What was fine does not count towards the next response.
    pub fn clear(&mut self, verdict: SubjectId) {
        self.recycled.retain(|recycled| recycled.verdict != verdict);
        self.narrowed.retain(|narrowed| narrowed.verdict != verdict);
        self.drifted.retain(|drifted| drifted.verdict != verdict);
    }
}

fn push<T>(kept: &mut VecDeque<T>, item: T) {
    if kept.len() >= KEPT {
        kept.pop_front();
    }
    kept.push_back(item);
}
