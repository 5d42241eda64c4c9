//! Deployments: what is new on many replicas of a role at once is the operator's doing.
//!
//! **Catches** a new release on replicas of a role: operations and client fingerprints that nobody
//! knew, seen on at least a third of the role's known members, and on at least [`MEMBERS`], within
//! [`SOON`]. From then on, for [`LEARNING`], they are taken out of a window before it is judged again
//! and, when nothing else speaks against it, the window is learned; of such operations the frozen
//! anchor learns too, or the release would be strange to it for ever. **Also** what an operator
//! announces: everything new is taken out until the announced end, and what was called by then is
//! deployed.
//! **Misses** a rollout slower than that, replica by replica: each is recycled once, which costs its
//! owner milliseconds. **Warms up** not at all. **Recovers** by forgetting after [`SOON`].
//!
//! What it gives away: whoever holds credentials of a third of a role's members teaches it new
//! operations. Hard rules, amounts and networks are never discounted: a walk through ids stays one,
//! and copied tokens that turn up in one strange network are not a rollout.
//!
//! Why not per identity: an attacker moves one identity, a deployment moves the role. Why not discount
//! from the first replica: then a thief would be a deployment until proven otherwise.

use std::collections::HashMap;

use crate::baseline::Baseline;
use crate::event::{Millis, OperationId};
use crate::ladder::SubjectId;
use crate::report::TokenReport;

/// Members of a role on which something must be new: two may be one thief's.
const MEMBERS: usize = 3;
/// One in so many of the members, where there are more.
const SHARE: usize = 3;
/// How near together, in milliseconds: longer than rolling out, shorter than stealing one by one.
const SOON: u64 = 600_000;
/// How long what was deployed is discounted, in milliseconds: by then every member, and every daily
/// job, has called it.
const LEARNING: u64 = 86_400_000;
/// New things followed per role; a release with more is recognised by the first of them.
const PIECES: usize = 64;
/// Members remembered per new thing: a third of the members that speak for a role.
const SPEAKERS: usize = 16;
/// Roles with something new at the same time.
const ROLES: usize = 1_024;

/// The role of an identity: an opaque number, the same for all its members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(pub u64);

/// One thing in a window that the habits do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Operation(OperationId),
    Client(u64),
    Network(u64),
    Destination(u64),
}

impl News {
    /// Whether replicas share it when they are deployed.
    const fn is_of_a_release(self) -> bool {
        matches!(self, Self::Operation(_) | Self::Client(_))
    }
}

/// What is new in roles.
#[derive(Default)]
pub(super) struct Deployments {
    roles: HashMap<RoleId, Role>,
}

#[derive(Default)]
struct Role {
    /// Oldest first.
    pieces: Vec<Piece>,
    announced_until: Millis,
}

struct Piece {
    news: News,
    /// On whom, and when last.
    on: Vec<(SubjectId, Millis)>,
    deployed_until: Option<Millis>,
}

impl Deployments {
    /// Somebody says that this role is being deployed.
    pub(super) fn announce(&mut self, role: RoleId, until: Millis, now: Millis) {
        if let Some(role) = self.of(role, now) {
            role.announced_until = until;
        }
    }

    /// Takes note of what is new in a member's window. `members`: how many of the role are known.
    pub(super) fn note(
        &mut self,
        (role, members): (RoleId, usize),
        identity: SubjectId,
        (report, baseline): (&TokenReport, &Baseline),
        now: Millis,
    ) {
        let enough = MEMBERS.max(members.div_ceil(SHARE)).min(SPEAKERS);
        let news = report.news(baseline);
        let mut shared = news.filter(|news| news.is_of_a_release()).peekable();
        if shared.peek().is_none() {
            return;
        }
        let Some(role) = self.of(role, now) else {
            return;
        };
        let announced = now < role.announced_until;
        let enough = if announced { 1 } else { enough };
        for news in shared {
            role.note(news, identity, enough, now);
        }
    }

    /// What in a member's window is being deployed.
    pub(super) fn deployed(
        &self,
        role: RoleId,
        (report, baseline): (&TokenReport, &Baseline),
        now: Millis,
    ) -> Vec<News> {
        let Some(role) = self.roles.get(&role) else {
            return Vec::new();
        };
        let nothing = Baseline::empty();
        let known_by_now = report.news(&nothing);
        let mut deployed: Vec<News> = known_by_now
            .filter(|news| role.is_deployed(*news, now))
            .collect();
        if now < role.announced_until {
            deployed.extend(report.news(baseline));
        }
        deployed
    }

    /// The role's own news, if there is room for them.
    fn of(&mut self, role: RoleId, now: Millis) -> Option<&mut Role> {
        if !self.roles.contains_key(&role) && self.roles.len() >= ROLES {
            self.roles.retain(|_, role| !role.is_over(now));
            if self.roles.len() >= ROLES {
                return None;
            }
        }
        let role = self.roles.entry(role).or_default();
        role.pieces.retain(|piece| !piece.is_over(now));
        Some(role)
    }
}

impl Role {
    fn note(&mut self, news: News, identity: SubjectId, enough: usize, now: Millis) {
        let at = self.pieces.iter().position(|piece| piece.news == news);
        let at = at.unwrap_or_else(|| {
            if self.pieces.len() >= PIECES {
                self.pieces.remove(0);
            }
            self.pieces.push(Piece {
                news,
                on: Vec::new(),
                deployed_until: None,
            });
            self.pieces.len() - 1
        });
        if let Some(piece) = self.pieces.get_mut(at) {
            piece.note(identity, enough, now);
        }
    }

    fn is_deployed(&self, news: News, now: Millis) -> bool {
        let piece = self.pieces.iter().find(|piece| piece.news == news);
        piece.is_some_and(|piece| piece.deployed_until.is_some_and(|until| now < until))
    }

    fn is_over(&self, now: Millis) -> bool {
        self.announced_until <= now && self.pieces.iter().all(|piece| piece.is_over(now))
    }
}

impl Piece {
    fn note(&mut self, identity: SubjectId, enough: usize, now: Millis) {
        self.on
            .retain(|(member, at)| *member != identity && now.since(*at) <= SOON);
        if self.on.len() < SPEAKERS {
            self.on.push((identity, now));
        }
        if self.on.len() >= enough {
            self.deployed_until
                .get_or_insert_with(|| now.plus(LEARNING));
        }
    }

    fn is_over(&self, now: Millis) -> bool {
        let recent = self.on.iter().any(|(_, at)| now.since(*at) <= SOON);
        !recent && self.deployed_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::Bounds;
    use crate::event::Event;
    use crate::thresholds::Thresholds;
    use crate::tracker::Tracker;

    const ROLE: RoleId = RoleId(1);

    fn window(client: u64) -> Box<TokenReport> {
        let mut tracker = Tracker::new(Millis(0), Bounds::cold(&Thresholds::default()));
        let _ = tracker.observe(
            &Event {
                source: Some(9),
                client: Some(client),
                ..Event::of(OperationId::of("GET /new"))
            },
            Millis(1),
        );
        Box::new(tracker.report().unwrap())
    }

    fn discounts(deployments: &Deployments, now: u64) -> bool {
        let (window, nothing) = (window(5), Baseline::empty());
        let found = deployments.deployed(ROLE, (&window, &nothing), Millis(now));
        !found.is_empty()
    }

    fn noted(members: usize, on: impl Iterator<Item = (u64, u64)>) -> Deployments {
        let mut deployments = Deployments::default();
        let (window, nothing) = (window(5), Baseline::empty());
        for (identity, at) in on {
            deployments.note(
                (ROLE, members),
                SubjectId(identity),
                (&window, &nothing),
                Millis(at),
            );
        }
        deployments
    }

    #[test]
    fn three_members_at_once_are_a_deployment_and_one_three_times_is_not() {
        assert!(!discounts(&noted(3, (0..2).map(|n| (n, n))), 10));
        assert!(discounts(&noted(3, (0..3).map(|n| (n, n))), 10));
        assert!(!discounts(&noted(3, (0..9).map(|n| (7, n))), 10));
    }

    #[test]
    fn a_large_role_needs_a_third_of_its_members() {
        assert!(!discounts(&noted(33, (0..10).map(|n| (n, n))), 10));
        assert!(discounts(&noted(33, (0..11).map(|n| (n, n))), 10));
    }

    #[test]
    fn one_after_the_other_over_hours_is_no_deployment() {
        let slowly = noted(3, (0..20).map(|n| (n, n * (SOON + 1))));
        assert!(!discounts(&slowly, 20 * (SOON + 1)));
    }

    #[test]
    fn what_was_deployed_is_discounted_for_a_day_and_then_no_more() {
        let deployments = noted(3, (0..3).map(|n| (n, 0)));
        assert!(discounts(&deployments, LEARNING - 1));
        assert!(!discounts(&deployments, LEARNING));
    }

    #[test]
    fn only_an_announcement_covers_networks() {
        let mut deployments = noted(3, (0..3).map(|n| (n, 0)));
        let (window, nothing) = (window(5), Baseline::empty());
        let left = |deployments: &Deployments| {
            let found = deployments.deployed(ROLE, (&window, &nothing), Millis(10));
            window.without(&found).news(&nothing).collect::<Vec<_>>()
        };
        assert_eq!(left(&deployments), [News::Network(9)]);
        deployments.announce(ROLE, Millis(20), Millis(10));
        assert_eq!(left(&deployments), []);
    }

    #[test]
    fn floods_of_news_and_roles_stay_within_bounds() {
        let mut deployments = Deployments::default();
        let nothing = Baseline::empty();
        for n in 0..3_000 {
            let window = window(n);
            for role in [ROLE, RoleId(n)] {
                deployments.note((role, 3), SubjectId(n), (&window, &nothing), Millis(n));
            }
        }
        assert!(deployments.roles.len() <= ROLES);
        assert!(deployments.roles[&ROLE].pieces.len() <= PIECES);
    }
}
