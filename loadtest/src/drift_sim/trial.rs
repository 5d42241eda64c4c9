//! One attack from beginning to end: what it got, when it was noticed, when it was over, what its victim lost.

use std::collections::BTreeSet;

use lanyard_drift::ladder::Response;
use lanyard_drift::{Measure, Millis};

use super::books::TokenId;
use super::ledger::Fate;
use super::office::Happening;
use crate::attacker::{Attack, Class, Loot, Strike};

/// Where an attack stands.
pub(super) enum Stage {
    /// Waits for its moment, and for what it needs.
    Waiting,
    /// Its next strike.
    Striking(Strike),
    /// It is over.
    Over,
}

/// What the attacker had done when something happened to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: Millis,
    pub(super) strikes: u64,
    pub(super) taken: u64,
    pub(super) measure: Option<Measure>,
}

/// One attack.
pub(super) struct Trial {
    pub(super) attack: Attack,
    pub(super) stage: Stage,
    /// The token in the attacker's hand.
    pub(super) token: Option<TokenId>,
    pub(super) began: Option<Millis>,
    last: Millis,
    strikes: u64,
    taken: u64,
    tokens: BTreeSet<TokenId>,
    /// First use of the forged token in hand.
    first_use: Millis,
    /// Milliseconds from each forged token's first use until it was flagged.
    pub(super) forged_after: Vec<u64>,
    pub(super) forged_used: u64,
    /// First enforced response to what the attacker did.
    pub(super) flagged: Option<Mark>,
    /// When it could not go on.
    pub(super) cut: Option<Mark>,
    pub(super) owner_failed: u64,
    pub(super) owner_suspended: u64,
    pub(super) owner_revoked: u64,
    /// Responses to the victim before it was attacked.
    before: Vec<Millis>,
}

impl Trial {
    pub(super) fn new(attack: Attack) -> Self {
        Self {
            attack,
            stage: Stage::Waiting,
            token: None,
            began: None,
            last: Millis(0),
            strikes: 0,
            taken: 0,
            tokens: BTreeSet::new(),
            first_use: Millis(0),
            forged_after: Vec::new(),
            forged_used: 0,
            flagged: None,
            cut: None,
            owner_failed: 0,
            owner_suspended: 0,
            owner_revoked: 0,
            before: Vec::new(),
        }
    }

    /// Whether its moment has come.
    pub(super) fn is_ready(&self, now: Millis) -> bool {
        matches!(self.stage, Stage::Waiting) && now >= self.attack.begins
    }

    /// When it strikes next.
    pub(super) const fn due(&self) -> Option<Millis> {
        match &self.stage {
            Stage::Striking(strike) => Some(strike.at),
            Stage::Waiting | Stage::Over => None,
        }
    }

    /// A token is in the attacker's hand.
    pub(super) fn hold(&mut self, token: TokenId, now: Millis) {
        if self.token != Some(token) {
            self.first_use = now;
        }
        self.token = Some(token);
        self.tokens.insert(token);
    }

    /// A strike was made.
    pub(super) fn struck(&mut self, strike: &Strike) {
        self.began.get_or_insert(strike.at);
        self.last = strike.at;
        self.strikes += 1;
    }

    /// It was let through.
    pub(super) fn served(&mut self, strike: &Strike) {
        self.taken += u64::from(strike.takes);
    }

    /// A call was refused because of what it was: noticed, and not carried out.
    pub(super) fn denied(&mut self, now: Millis) {
        let mark = self.mark(now, Some(Measure::OutsideTask));
        self.flagged.get_or_insert(mark);
        self.cut.get_or_insert(mark);
    }

    /// One of the owner's own requests since it began.
    pub(super) fn owner(&mut self, fate: Fate) {
        self.owner_failed += u64::from(fate == Fate::Failed);
    }

    /// The office did something about the victim's identity.
    pub(super) fn happened(&mut self, happening: &Happening, now: Millis) {
        let ends = matches!(happening.response, Response::Suspend | Response::Revoke);
        let alerts = happening.whole && happening.response == Response::Alert;
        let milder = matches!(happening.response, Response::Recycle | Response::Narrow);
        let counts = happening.enforced && (ends || alerts || milder);
        if !counts {
            return;
        }
        if self.began.is_none() {
            self.before.push(now);
            return;
        }
        if matches!(self.stage, Stage::Over) && now.since(self.last) > AFTERMATH {
            return;
        }
        let mine = self.tokens.contains(&happening.token);
        let mark = self.mark(now, happening.measure);
        if self.attack.class == Class::Forge {
            if mine && happening.measure.is_none() {
                self.forged_after.push(now.since(self.first_use));
                self.flagged.get_or_insert(mark);
                self.cut.get_or_insert(mark);
            }
            return;
        }
        self.owner_suspended += u64::from(happening.response == Response::Suspend);
        self.owner_revoked += u64::from(happening.response == Response::Revoke);
        if mine || ends || alerts {
            self.flagged.get_or_insert(mark);
        }
        let bearer = matches!(self.attack.class.loot(), Loot::Token | Loot::Session);
        if ends || (bearer && mine && happening.response == Response::Recycle) {
            self.cut.get_or_insert(mark);
        }
    }

    /// Whether something like its discovery happened to the victim in an equally long time before.
    pub(super) fn by_chance(&self) -> bool {
        let Some(began) = self.began else {
            return false;
        };
        let until = self.flagged.map_or(self.last, |mark| mark.at);
        let as_long = until.since(began).max(AFTERMATH);
        self.before.iter().any(|at| began.since(*at) <= as_long)
    }

    /// Milliseconds from its first strike.
    pub(super) fn since_it_began(&self, mark: Mark) -> u64 {
        self.began.map_or(0, |began| mark.at.since(began))
    }

    const fn mark(&self, now: Millis, measure: Option<Measure>) -> Mark {
        Mark {
            at: now,
            strikes: self.strikes,
            taken: self.taken,
            measure,
        }
    }
}

/// How long after its last strike what is done still counts for an attack: the last reports arrive.
const AFTERMATH: u64 = 600_000;
