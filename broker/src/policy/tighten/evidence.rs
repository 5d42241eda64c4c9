//! What was asked for and used, identity by identity.

use std::collections::BTreeMap;

use lanyard_token::{Audience, Scope};
use time::{Date, OffsetDateTime};

use super::super::bundle::Bundle;
use super::super::difference::{Recorded, Source};
use super::super::rehearsal::audience;
use super::super::trial::{Asking, Fixture, Kind, Verdict};
use super::Stays;
use super::days::{Days, Place, Window};

/// How often something was done, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// On which days of the window.
    pub days: Days,
    /// How often on those.
    pub count: u64,
    /// The last day, also before the window.
    pub last: Option<Date>,
}

impl Use {
    fn add(&mut self, (time, place): (OffsetDateTime, Place), count: u64) {
        self.last = self.last.max(Some(time.date()));
        if let Place::Within(day) = place {
            self.days.add(day);
            self.count = self.count.saturating_add(count);
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            days: self.days.and(other.days),
            count: self.count.saturating_add(other.count),
            last: self.last.max(other.last),
        }
    }
}

/// A scope at an audience.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ScopeUse {
    /// Requests that named it, and would have come to nothing without it.
    pub(super) named: Use,
    /// Tokens that had it, and would have been given without it.
    pub(super) given: Use,
    /// Calls that needed it, as gateways saw.
    pub(super) seen: Use,
    /// Administrators had approved it.
    pub(super) approved: bool,
}

/// An audience.
#[derive(Clone, Debug, Default)]
pub(super) struct At {
    pub(super) asked: Use,
    pub(super) seen: Use,
    pub(super) approved: bool,
    pub(super) scopes: BTreeMap<Scope, ScopeUse>,
}

impl At {
    /// Whether gateways tell what is used here: on at least half of the days on which it obtained tokens. One that
    /// began to tell yesterday says nothing about the month before.
    pub(super) fn is_watched(&self) -> bool {
        let told = self.seen.days.count();
        told > 0 && told * 2 >= self.asked.days.count()
    }
}

/// Whose habits say what is usual for an identity: those of the same kind with the same labels.
pub(super) type RoleName = (Kind, Vec<String>);

/// What is known of an identity.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it was registered last.
    pub(super) registered: Fixture,
    /// As of then.
    as_of: OffsetDateTime,
    /// Since when it was registered for all of that.
    pub(super) since: OffsetDateTime,
    /// On which days it obtained anything.
    pub(super) active: Days,
    pub(super) at: BTreeMap<Audience, At>,
}

impl Known {
    fn new(recorded: &Recorded) -> Self {
        let time = recorded.request.time;
        Self {
            registered: recorded.identity.clone(),
            as_of: time,
            since: recorded.since.unwrap_or(time),
            active: Days::default(),
            at: BTreeMap::new(),
        }
    }

    /// Lines come in any order. Who does not say since when it is so is taken to be registered for what a line
    /// says since the first such line.
    fn register(&mut self, recorded: &Recorded) {
        let time = recorded.request.time;
        let more = |new: &Fixture, old: &Fixture| {
            !new.scopes.is_subset_of(&old.scopes)
                || new
                    .audiences
                    .iter()
                    .any(|audience| !old.audiences.contains(audience))
        };
        if time >= self.as_of {
            if more(&recorded.identity, &self.registered) {
                self.since = time;
            }
            self.registered = recorded.identity.clone();
            self.as_of = time;
        } else if !more(&self.registered, &recorded.identity) {
            self.since = self.since.min(time);
        }
        if let Some(since) = recorded.since.filter(|_| time == self.as_of) {
            self.since = since;
        }
    }

    pub(super) fn role(&self) -> RoleName {
        let mut tags = self.registered.tags.clone();
        tags.sort();
        (self.registered.kind, tags)
    }

    /// How a scope was used, anywhere. Where no gateway tells, whatever a token had was used.
    pub(super) fn scope(&self, scope: &Scope) -> Use {
        let each = self.at.values().filter_map(|at| {
            let found = at.scopes.get(scope)?;
            let used = found.named.and(found.seen);
            Some(if at.is_watched() {
                used
            } else {
                used.and(found.given)
            })
        });
        each.fold(Use::default(), Use::and)
    }

    /// How an audience was used.
    pub(super) fn audience(&self, audience: &Audience) -> Use {
        let at = self.at.get(audience);
        at.map_or_else(Use::default, |at| at.asked.and(at.seen))
    }
}

/// What is known of everybody.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    pub(super) known: BTreeMap<String, Known>,
    /// What permits gave, by policy, audience and scope, and to whom.
    pub(super) by_permit: BTreeMap<Given, BTreeMap<String, ScopeUse>>,
    /// On which days a permit gave anything.
    pub(super) gave: BTreeMap<String, Days>,
}

/// A policy, and a scope at an audience that it gave.
pub(super) type Given = (String, Audience, Scope);

impl Evidence {
    /// Gathers it; what lies after the window is not looked at. A request that these policies deny is no use.
    pub fn gather(bundle: &Bundle, requests: &[Recorded], window: Window) -> Self {
        let mut evidence = Self::default();
        for recorded in requests {
            let time = recorded.request.time;
            let place = window.place(time);
            if place != Place::After {
                evidence.take(bundle, recorded, (time, place));
            }
        }
        evidence
    }

    /// Whether any line that was looked at is of this identity.
    pub fn speaks_of(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    fn take(&mut self, bundle: &Bundle, recorded: &Recorded, when: (OffsetDateTime, Place)) {
        let name = recorded.identity.name.clone();
        let known = self
            .known
            .entry(name)
            .or_insert_with(|| Known::new(recorded));
        known.register(recorded);
        let request = &recorded.request;
        let Some(audience) = audience(request, &recorded.identity) else {
            return;
        };
        let (count, is_approved) = (recorded.count, !request.approvals.is_empty());
        if recorded.source == Source::Gateway {
            let at = known.at.entry(audience.clone()).or_default();
            at.seen.add(when, count);
            for scope in request.scopes.iter().flatten() {
                let used = at.scopes.entry(scope.clone()).or_default();
                used.seen.add(when, count);
            }
            self.attribute(bundle, recorded, &audience, |used| {
                used.seen.add(when, count)
            });
            return;
        }
        let outcome = recorded.through(bundle).ok();
        let Some(outcome) = outcome.filter(|outcome| outcome.decision == Verdict::Allow) else {
            return;
        };
        if let Place::Within(day) = when.1 {
            known.active.add(day);
        }
        let at = known.at.entry(audience.clone()).or_default();
        at.asked.add(when, count);
        at.approved |= is_approved;
        // With `partial` less is welcome.
        let insists = request.scopes.is_some() && !request.partial;
        let note = |used: &mut ScopeUse| {
            used.approved |= is_approved;
            if insists {
                used.named.add(when, count);
            } else {
                used.given.add(when, count);
            }
        };
        for scope in &outcome.scopes {
            note(at.scopes.entry(scope.clone()).or_default());
        }
        if let Place::Within(day) = when.1 {
            for policy in &outcome.policies {
                self.gave.entry(policy.clone()).or_default().add(day);
            }
        }
        let exactly = Recorded {
            request: Asking {
                scopes: Some(outcome.scopes.iter().cloned().collect()),
                ..request.clone()
            },
            ..recorded.clone()
        };
        self.attribute(bundle, &exactly, &audience, note);
    }

    /// Notes of each scope that a request names which permits give it.
    fn attribute(
        &mut self,
        bundle: &Bundle,
        recorded: &Recorded,
        audience: &Audience,
        note: impl Fn(&mut ScopeUse),
    ) {
        for (scope, policies) in recorded.permits(bundle, audience) {
            for policy in policies {
                let given = (policy, audience.clone(), scope.clone());
                let users = self.by_permit.entry(given).or_default();
                note(users.entry(recorded.identity.name.clone()).or_default());
            }
        }
    }

    /// How a permit's scope was used, by anybody, and why it stays if no gateway saw it used.
    pub(super) fn permit(&self, given: &Given) -> (Use, Option<Stays>) {
        let (mut whole, mut why) = (Use::default(), None);
        let mut is_seen = false;
        for (name, used) in self.by_permit.get(given).into_iter().flatten() {
            let at = self
                .known
                .get(name)
                .and_then(|known| known.at.get(&given.1));
            let is_watched = at.is_some_and(At::is_watched);
            whole = whole.and(used.named).and(used.seen);
            is_seen |= !used.seen.days.is_empty();
            if used.approved {
                why = Some(Stays::Approved);
            } else if is_watched && !used.named.days.is_empty() {
                why = why.or(Some(Stays::Named));
            } else if !is_watched {
                whole = whole.and(used.given);
                why = why.or(Some(Stays::NoWitness).filter(|_| !used.given.days.is_empty()));
            }
        }
        (whole, why.filter(|_| !is_seen))
    }
}
