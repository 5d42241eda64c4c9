//! A world with its attackers, gateways and control plane, played from the first call to the last.

use std::collections::BTreeMap;

use lanyard_drift::{Event, Millis, OperationId, Outcome};

use super::books::{NoToken, TokenId};
use super::gateways::{Answer, Entry, Gateways, Visit};
use super::ledger::{Fate, Ledger};
use super::office::{Happening, Office};
use super::trial::{Stage as Standing, Trial};
use crate::attacker::{Attack, Loot, Strike};
use crate::world::calendar::BEGIN;
use crate::world::catalogue::Operation;
use crate::world::{Call, World};

/// The first number of a token that somebody made with a stolen signing key.
const FORGED: TokenId = 1 << 60;

/// What an honest client has in hand.
#[derive(Clone, Copy, Default)]
struct Wallet {
    token: Option<TokenId>,
    session: u32,
}

/// A world being played.
pub(super) struct Stage {
    world: World,
    office: Office,
    gateways: Gateways,
    wallets: Vec<Wallet>,
    pub(super) trials: Vec<Trial>,
    /// Which trial has which victim.
    victims: BTreeMap<usize, usize>,
    pub(super) ledger: Ledger,
    forged: u64,
}

impl Stage {
    /// A world and the attacks on it, with gateways that have their fast detector or not.
    pub(super) fn new(world: World, attacks: Vec<Attack>, detecting: bool) -> Self {
        let trials: Vec<Trial> = attacks.into_iter().map(Trial::new).collect();
        let victims = trials.iter().enumerate();
        Self {
            office: Office::new(&world),
            gateways: Gateways::new(BEGIN, detecting),
            wallets: vec![Wallet::default(); world.identities().len()],
            victims: victims
                .map(|(at, trial)| (trial.attack.victim, at))
                .collect(),
            trials,
            ledger: Ledger::default(),
            forged: 0,
            world,
        }
    }

    /// Plays on until so many more honest calls were made; `false` when the world is over.
    pub(super) fn play(&mut self, calls: u64) -> bool {
        let mut left = calls;
        while left > 0 {
            let Some(due) = self.world.due() else {
                return false;
            };
            let strike = self.next_strike();
            let now = strike.map_or(due, |(at, _)| at.min(due));
            while self.gateways.due() <= now {
                let at = self.gateways.due();
                let entries = self.gateways.tick();
                self.report(entries, at);
                let happened = self.office.close_silent(at);
                self.heed(&happened, at);
            }
            match strike {
                Some((at, trial)) if at <= due => self.strike(trial),
                _ => {
                    if let Some(call) = self.world.next_call() {
                        self.honest(&call);
                        left -= 1;
                    }
                }
            }
        }
        true
    }

    /// The world being played.
    pub(super) const fn world(&self) -> &World {
        &self.world
    }

    fn next_strike(&self) -> Option<(Millis, usize)> {
        let due = self.trials.iter().enumerate();
        due.filter_map(|(at, trial)| Some((trial.due()?, at))).min()
    }

    fn honest(&mut self, call: &Call) {
        let wallet = self.wallets.get(call.identity).copied().unwrap_or_default();
        let renewed = wallet.session != call.session;
        let alive = wallet
            .token
            .is_some_and(|token| self.office.books.is_alive(token, call.at));
        let fate = if renewed || !alive {
            self.renew(call.identity, call.session, call.at)
        } else {
            wallet.token.ok_or(NoToken::Revoked)
        };
        let fate = match fate {
            Ok(token) => self.call(call, token),
            Err(_) => Fate::Failed,
        };
        self.count(call.identity, fate);
        self.wake(call.identity, call.at, renewed || !alive);
    }

    /// Calls with a token; with another one if that ends on the way.
    fn call(&mut self, call: &Call, token: TokenId) -> Fate {
        match self.visit(
            call.gateway,
            token,
            call.identity,
            (&call.event, &call.outcome),
            call.at,
        ) {
            Answer::Served => Fate::Served,
            Answer::Denied => Fate::Failed,
            Answer::Ended => {
                let Ok(token) = self.renew(call.identity, call.session, call.at) else {
                    return Fate::Failed;
                };
                let seen = (&call.event, &call.outcome);
                match self.visit(call.gateway, token, call.identity, seen, call.at) {
                    Answer::Served => Fate::Retried,
                    Answer::Ended | Answer::Denied => Fate::Failed,
                }
            }
        }
    }

    fn renew(&mut self, identity: usize, session: u32, now: Millis) -> Result<TokenId, NoToken> {
        let token = self.office.books.mint(identity, now)?;
        if let Some(wallet) = self.wallets.get_mut(identity) {
            *wallet = Wallet {
                token: Some(token),
                session,
            };
        }
        Ok(token)
    }

    fn visit(
        &mut self,
        gateway: u8,
        token: TokenId,
        identity: usize,
        (event, outcome): (&Event, &Outcome),
        now: Millis,
    ) -> Answer {
        let visit = Visit {
            gateway,
            token,
            identity,
            event,
            outcome,
            now,
        };
        self.office.portray(identity, now);
        let Some(known) = self.office.known(identity) else {
            return Answer::Denied;
        };
        let (answer, entry) = self.gateways.observe(&visit, known);
        if answer == Answer::Ended {
            self.office.books.end_at_gateway(token);
        }
        // Seen all the same, so that whoever goes on is seen to.
        let allowed = !self.office.is_narrowed(token) || self.is_usual(identity, event.operation);
        self.report(entry, now);
        if allowed { answer } else { Answer::Denied }
    }

    /// Whether an operation needs a scope that its identity uses anyway: reading or changing one resource.
    fn is_usual(&self, identity: usize, operation: OperationId) -> bool {
        let known = self.office.bounds(identity).map(|(_, bounds)| bounds);
        let Some(known) = known.filter(|known| known.is_established()) else {
            return true;
        };
        let all = &self.world.catalogue().operations;
        let wanted = all.iter().find(|other| other.id == operation);
        wanted.is_none_or(|wanted| {
            let alike =
                |other: &&Operation| (other.backend, other.reads) == (wanted.backend, wanted.reads);
            all.iter().filter(alike).any(|other| known.knows(other.id))
        })
    }

    fn report(&mut self, entries: impl IntoIterator<Item = Entry>, now: Millis) {
        for Entry {
            gateway,
            token,
            identity,
            report,
        } in entries
        {
            let happened = self.office.take(gateway, token, identity, &report, now);
            self.heed(&happened, now);
        }
    }

    fn heed(&mut self, happened: &[Happening], now: Millis) {
        for happening in happened {
            let trial = self.victims.get(&happening.identity);
            let trial = trial.and_then(|at| self.trials.get_mut(*at));
            let attacked = trial.is_some_and(|trial| {
                trial.happened(happening, now);
                trial.began.is_some()
            });
            let kind = self.world.identities().get(happening.identity);
            if let Some(known) = kind.filter(|_| !attacked) {
                self.ledger.happened(known.kind, happening);
            }
        }
    }

    fn count(&mut self, identity: usize, fate: Fate) {
        let trial = self.victims.get(&identity);
        let trial = trial.and_then(|at| self.trials.get_mut(*at));
        match trial.filter(|trial| trial.began.is_some()) {
            Some(trial) => trial.owner(fate),
            None => {
                if let Some(known) = self.world.identities().get(identity) {
                    self.ledger.request(known.kind, fate);
                }
            }
        }
    }

    /// The victim has just called, and minted a token for that or not: whoever waited for it begins.
    fn wake(&mut self, identity: usize, now: Millis, minted: bool) {
        let token = self.wallets.get(identity).and_then(|wallet| wallet.token);
        let Some(at) = self.victims.get(&identity).copied() else {
            return;
        };
        let Some(trial) = self.trials.get_mut(at).filter(|trial| trial.is_ready(now)) else {
            return;
        };
        match (trial.attack.class.loot(), token) {
            (Loot::Token, Some(token)) if minted => trial.hold(token, now),
            (Loot::Token, _) => return,
            _ => {}
        }
        self.plan(at, now);
    }

    fn plan(&mut self, at: usize, now: Millis) {
        if let Some(trial) = self.trials.get_mut(at) {
            trial.stage = match trial.attack.strike(&self.world, now) {
                Some(strike) => Standing::Striking(strike),
                None => Standing::Over,
            };
        }
    }

    fn strike(&mut self, at: usize) {
        let Some((loot, victim, strike)) = self.trials.get(at).and_then(|trial| {
            let Standing::Striking(strike) = &trial.stage else {
                return None;
            };
            Some((trial.attack.class.loot(), trial.attack.victim, *strike))
        }) else {
            return;
        };
        let now = strike.at;
        let on = match loot {
            Loot::Token => self.with_copied_token(at, victim, &strike),
            Loot::Key => self.with_key(at, victim, &strike),
            Loot::Session => self.in_session(at, victim, &strike),
            Loot::SigningKey => self.with_signing_key(at, victim, &strike),
            Loot::Gateway => self.lie(at, victim, &strike),
            Loot::Nothing => {
                // It does not verify: no gateway counts it, nobody is told.
                self.struck(at, &strike);
                true
            }
        };
        if on {
            self.plan(at, now);
        } else if let Some(trial) = self.trials.get_mut(at) {
            trial.stage = Standing::Over;
        }
    }

    fn struck(&mut self, at: usize, strike: &Strike) {
        if let Some(trial) = self.trials.get_mut(at) {
            trial.struck(strike);
        }
    }

    /// When the token is dead, that was all.
    fn with_copied_token(&mut self, at: usize, victim: usize, strike: &Strike) -> bool {
        let token = self.trials.get(at).and_then(|trial| trial.token);
        let alive = token.filter(|token| self.office.books.is_alive(*token, strike.at));
        let Some(token) = alive else {
            return false;
        };
        self.attempt(at, token, victim, strike) != Answer::Ended
    }

    /// Mints whenever it needs to; a suspension is waited for, a revocation is the end.
    fn with_key(&mut self, at: usize, victim: usize, strike: &Strike) -> bool {
        let held = self.trials.get(at).and_then(|trial| trial.token);
        let alive = held.filter(|token| self.office.books.is_alive(*token, strike.at));
        let token = match alive {
            Some(token) => Ok(token),
            None => self.office.books.mint(victim, strike.at),
        };
        match token {
            Ok(token) => {
                if let Some(trial) = self.trials.get_mut(at) {
                    trial.hold(token, strike.at);
                }
                self.attempt(at, token, victim, strike);
                true
            }
            Err(NoToken::Suspended) => {
                self.struck(at, strike);
                true
            }
            Err(NoToken::Revoked) => false,
        }
    }

    /// The agent itself, with whatever token it has, minting anew as it always does.
    fn in_session(&mut self, at: usize, victim: usize, strike: &Strike) -> bool {
        let wallet = self.wallets.get(victim).copied().unwrap_or_default();
        let alive = wallet
            .token
            .filter(|token| self.office.books.is_alive(*token, strike.at));
        let token = match alive {
            Some(token) => Ok(token),
            None => self.renew(victim, wallet.session, strike.at),
        };
        let Ok(token) = token else {
            return false;
        };
        if let Some(trial) = self.trials.get_mut(at) {
            trial.hold(token, strike.at);
        }
        self.attempt(at, token, victim, strike);
        true
    }

    fn with_signing_key(&mut self, at: usize, victim: usize, strike: &Strike) -> bool {
        let held = self.trials.get(at).and_then(|trial| trial.token);
        let token = match held.filter(|_| !strike.renews) {
            Some(token) => token,
            None => {
                self.forged += 1;
                FORGED + self.forged
            }
        };
        if let Some(trial) = self.trials.get_mut(at) {
            trial.forged_used += u64::from(held != Some(token));
            trial.hold(token, strike.at);
        }
        if self.office.is_blocked(token) {
            self.struck(at, strike);
        } else {
            self.attempt(at, token, victim, strike);
        }
        true
    }

    /// Nobody calls; a gateway says that somebody did.
    fn lie(&mut self, at: usize, victim: usize, strike: &Strike) -> bool {
        let token = self.wallets.get(victim).and_then(|wallet| wallet.token);
        if let Some(token) = token {
            let visit = Visit {
                gateway: strike.gateway,
                token,
                identity: victim,
                event: &strike.event,
                outcome: &strike.outcome,
                now: strike.at,
            };
            if let Some(known) = self.office.known(victim) {
                let (_, entry) = self.gateways.observe(&visit, known);
                self.struck(at, strike);
                self.report(entry, strike.at);
            }
        }
        true
    }

    fn attempt(&mut self, at: usize, token: TokenId, victim: usize, strike: &Strike) -> Answer {
        // Counted before the gateway's report arrives: the call that gives it away was made.
        self.struck(at, strike);
        let seen = (&strike.event, &strike.outcome);
        let answer = self.visit(strike.gateway, token, victim, seen, strike.at);
        if let Some(trial) = self.trials.get_mut(at) {
            match answer {
                Answer::Served => trial.served(strike),
                Answer::Denied if strike.is_outside_task() => trial.denied(strike.at),
                Answer::Denied => {}
                Answer::Ended => {}
            }
        }
        answer
    }
}
