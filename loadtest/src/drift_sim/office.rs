//! The control plane of a simulated world: it takes reports, judges and responds.
//!
//! Judging and responding are the engine's own desk and ladder, with the broker's rules around them: who is
//! believed about what, what a response means for a token or a credential, what is remembered. There is no
//! HTTP and no disk, and time comes with every question.

use std::collections::BTreeSet;

use lanyard_drift::desk::{Bench, Closed, Desk, Heard, Limits, Portrait, Register, RoleId, Sight};
use lanyard_drift::ladder::{
    Action, Caps, Drifted, History, Mode, Narrowed, Policy, Recycled, Response, Situation, Spent,
    SubjectId, decide, on_identity,
};
use lanyard_drift::{Bounds, Level, Measure, Millis, Thresholds, TokenReport, Verdict};

use super::books::{self, Books, TokenId, path, subject};
use super::gateways::Known;
use crate::world::World;

/// Members of a role that stand beside one of them.
const ROLE_MEMBERS: usize = 32;
/// Sets the numbers of one sort apart from another's.
const VERDICTS: u64 = 4 << 40;
const GATEWAYS: u64 = 5 << 40;

/// How old the copy of an identity's habits may be that gateways have, in milliseconds: as with the SDK.
const PORTRAIT_FRESHNESS: u64 = 300_000;

/// Something the office did, for whoever keeps the score.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) identity: usize,
    pub(super) token: TokenId,
    pub(super) response: Response,
    pub(super) enforced: bool,
    /// Whether it is about the identity as a whole.
    pub(super) whole: bool,
    /// What weighed most; `None` for a token that was never issued.
    pub(super) measure: Option<Measure>,
}

/// Roles as the world has them.
struct Roles {
    peers: Vec<Vec<SubjectId>>,
    roles: Vec<RoleId>,
    thresholds: Thresholds,
}

impl Register for Roles {
    fn peers(&self, identity: SubjectId) -> Vec<SubjectId> {
        let peers = self.peers.get(books::identity(identity));
        peers.cloned().unwrap_or_default()
    }

    fn role(&self, identity: SubjectId) -> RoleId {
        let role = self.roles.get(books::identity(identity));
        role.copied().unwrap_or_default()
    }

    fn thresholds(&self, _: SubjectId) -> &Thresholds {
        &self.thresholds
    }
}

impl Roles {
    fn of(world: &World) -> Self {
        let known = world.identities();
        let peers = known.iter().enumerate().map(|(own, identity)| {
            let siblings = known.iter().enumerate();
            siblings
                .filter(|(other, sibling)| *other != own && sibling.role == identity.role)
                .take(ROLE_MEMBERS)
                .map(|(other, _)| subject(other))
                .collect()
        });
        Self {
            peers: peers.collect(),
            roles: known
                .iter()
                .map(|known| RoleId(known.role as u64))
                .collect(),
            thresholds: Thresholds::default(),
        }
    }

    fn bench(&self, now: Millis) -> Bench<'_> {
        Bench {
            register: self,
            limits: Limits::default(),
            now,
        }
    }
}

/// The control plane.
pub(super) struct Office {
    pub(super) books: Books,
    desk: Desk,
    roles: Roles,
    policy: Policy,
    caps: Caps,
    spent: Spent,
    histories: Vec<History>,
    /// What gateways may know of each identity, and how often that has changed.
    bounds: Vec<(u64, Bounds)>,
    /// How each of them calls, and when it was looked up.
    portraits: Vec<(Millis, Option<Portrait>)>,
    blocked: BTreeSet<TokenId>,
    narrowed: BTreeSet<TokenId>,
    verdicts: u64,
}

impl Office {
    /// With everybody in a world registered, nothing learned, and enforcement on.
    pub(super) fn new(world: &World) -> Self {
        let roles = Roles::of(world);
        let count = world.identities().len();
        Self {
            books: Books::new(world),
            desk: Desk::default(),
            policy: Policy {
                mode: Mode::Enforce,
                ..Policy::default()
            },
            caps: Caps::default(),
            spent: Spent::default(),
            histories: vec![History::default(); count],
            bounds: vec![(0, Bounds::cold(&roles.thresholds)); count],
            portraits: vec![(Millis(0), None); count],
            blocked: BTreeSet::new(),
            narrowed: BTreeSet::new(),
            verdicts: 0,
            roles,
        }
    }

    /// What gateways may know of an identity, and how often that has changed.
    pub(super) fn bounds(&self, identity: usize) -> Option<&(u64, Bounds)> {
        self.bounds.get(identity)
    }

    /// What gateways may know of an identity.
    pub(super) fn known(&self, identity: usize) -> Option<Known<'_>> {
        Some(Known {
            bounds: self.bounds.get(identity)?,
            portrait: self.portraits.get(identity)?.1.as_ref(),
        })
    }

    /// Looks up how an identity calls, if gateways would ask by now.
    pub(super) fn portray(&mut self, identity: usize, now: Millis) {
        let Some((at, portrait)) = self.portraits.get_mut(identity) else {
            return;
        };
        if now.since(*at) >= PORTRAIT_FRESHNESS {
            *at = now;
            *portrait = self
                .desk
                .portrait(&self.roles.bench(now), subject(identity));
        }
    }

    /// Whether the number of a token that was never issued is blocked.
    pub(super) fn is_blocked(&self, token: TokenId) -> bool {
        self.blocked.contains(&token)
    }

    /// Whether a token keeps only the scopes its identity uses anyway.
    pub(super) fn is_narrowed(&self, token: TokenId) -> bool {
        self.narrowed.contains(&token)
    }

    /// Takes one entry of a gateway's report.
    pub(super) fn take(
        &mut self,
        gateway: u8,
        token: TokenId,
        claimed: usize,
        report: &TokenReport,
        now: Millis,
    ) -> Vec<Happening> {
        let gateway_id = SubjectId(GATEWAYS + u64::from(gateway));
        let Some(issued) = self.books.token(token) else {
            return self.never_issued(gateway_id, token, claimed, now);
        };
        let serves = issued.audience.gateways().contains(&gateway);
        let ended = self.books.is_ended(token, now);
        if !serves || issued.identity != claimed || ended {
            return Vec::new();
        }
        let heard = Heard {
            token: SubjectId(token),
            identity: subject(claimed),
            gateway: gateway_id,
        };
        let sight = self.desk.look(&self.roles.bench(now), heard, report);
        let mut happened = self.on_token(token, claimed, &sight, now);
        let full = self
            .desk
            .close_if_full(&self.roles.bench(now), SubjectId(token));
        if let Some((_, verdict)) = full {
            happened.extend(self.on_identity(token, claimed, &verdict, now));
        }
        self.pass_on_bounds();
        happened
    }

    /// Closes windows of tokens that fell silent.
    pub(super) fn close_silent(&mut self, now: Millis) -> Vec<Happening> {
        let closed = self.desk.close_silent(&self.roles.bench(now));
        let about = |closed: Closed| {
            let Closed {
                token, identity, ..
            } = closed;
            self.on_identity(token.0, books::identity(identity), &closed.verdict, now)
        };
        let happened = closed.into_iter().filter_map(about).collect();
        self.pass_on_bounds();
        happened
    }

    fn on_token(
        &mut self,
        token: TokenId,
        identity: usize,
        sight: &Sight,
        now: Millis,
    ) -> Vec<Happening> {
        let (Some(issued), Some(history)) = (self.books.token(token), self.histories.get(identity))
        else {
            return Vec::new();
        };
        if !sight.is_news(now) {
            return Vec::new();
        }
        let situation = Situation {
            token: SubjectId(token),
            path: &path(identity),
            place: issued.place,
            gateways: &sight.gateways,
            carried_by: &sight.carried_by,
            sole_witnesses: &[],
            history,
        };
        let caps = (self.caps, &mut self.spent);
        let decision = decide(&sight.verdict, &situation, &self.policy, caps, now);
        let verdict = self.number();
        self.desk.note(SubjectId(token), sight.noted(verdict, now));
        self.drifted(identity, token, verdict, sight, now);
        let mut happened = Vec::new();
        for action in decision.actions {
            self.carry_out(identity, verdict, &action, now);
            happened.push(happening(identity, token, &sight.verdict, &action, false));
        }
        happened
    }

    fn on_identity(
        &mut self,
        token: TokenId,
        identity: usize,
        verdict: &Verdict,
        now: Millis,
    ) -> Option<Happening> {
        let history = self.histories.get(identity)?;
        let action = on_identity(subject(identity), history, now);
        let number = self.number();
        self.carry_out(identity, number, &action, now);
        Some(happening(identity, token, verdict, &action, true))
    }

    /// A valid signature that was never issued here: its number is blocked at every gateway.
    fn never_issued(
        &mut self,
        gateway: SubjectId,
        token: TokenId,
        identity: usize,
        now: Millis,
    ) -> Vec<Happening> {
        let known = self.blocked.contains(&token);
        if known || !self.spent.spend_never_issued(self.caps, gateway, now) {
            return Vec::new();
        }
        self.blocked.insert(token);
        vec![Happening {
            identity,
            token,
            response: Response::Revoke,
            enforced: true,
            whole: false,
            measure: None,
        }]
    }

    fn drifted(
        &mut self,
        identity: usize,
        token: TokenId,
        number: SubjectId,
        sight: &Sight,
        now: Millis,
    ) {
        let issued = self.books.token(token);
        if let (Some(issued), Some(history)) = (issued, self.histories.get_mut(identity))
            && sight.verdict.level == Level::Malicious
        {
            history.add_drifted(Drifted {
                token: SubjectId(token),
                path: path(identity).to_vec(),
                place: issued.place,
                at: now,
                verdict: number,
                carried_by: sight.carried_by.clone(),
            });
        }
    }

    /// What an action means for access, and for the next one.
    fn carry_out(&mut self, identity: usize, verdict: SubjectId, action: &Action, now: Millis) {
        let rev = self.books.advance();
        let Some(history) = self.histories.get_mut(identity) else {
            return;
        };
        let [_, _, credential] = path(identity);
        match (action.response, action.node) {
            (Response::Alert, _) => history.alerted(now),
            (Response::Recycle, Some(token)) if action.enforced => {
                history.add_recycled(Recycled {
                    token,
                    credential,
                    at: now,
                    rev,
                    verdict,
                });
                self.books.end(token);
            }
            (Response::Narrow, Some(token)) if action.enforced => {
                history.add_narrowed(Narrowed { token, verdict });
                self.narrowed.insert(token.0);
            }
            (Response::Suspend, Some(node)) if action.enforced => {
                let until = action.until.unwrap_or(now);
                history.add_suspended(node, until);
                self.books.suspend(identity, until);
            }
            (Response::Revoke, Some(node)) if action.enforced => {
                if node == credential {
                    self.books.revoke(identity);
                }
                self.books.end(node);
            }
            _ => {}
        }
    }

    fn pass_on_bounds(&mut self) {
        for identity in self.desk.take_tally().learned {
            let known = self.bounds.get_mut(books::identity(identity));
            if let (Some(habits), Some((changes, bounds))) = (self.desk.habits(identity), known) {
                *changes += 1;
                *bounds = habits.bounds(&self.roles.thresholds);
            }
        }
    }

    const fn number(&mut self) -> SubjectId {
        self.verdicts += 1;
        SubjectId(VERDICTS + self.verdicts)
    }
}

fn happening(
    identity: usize,
    token: TokenId,
    verdict: &Verdict,
    action: &Action,
    whole: bool,
) -> Happening {
    Happening {
        identity,
        token,
        response: action.response,
        enforced: action.enforced,
        whole,
        measure: verdict.evidence.first().map(|first| first.measure),
    }
}
