//! Whether somebody could still come in over the network, mend the policies and administer administrators.
//!
//! The administrators of fixtures/ are looked at, or where there are none, one without a role: what every
//! administrator is until it is given one. One that is registered for nothing there is taken to be registered as a
//! broker does it: for the admin listener, which the catalogue may name. A broker looks at the administrators that it
//! has.

use lanyard_token::{Audience, Scope, ScopeSet};
use time::OffsetDateTime;
use time::macros::datetime;

use super::super::administration::{ADMIN_SCOPE, Around, Hand, Hours};
use super::super::asked::Proof;
use super::super::bundle::Bundle;
use super::super::trial::{Fixture, Fixtures, Kind};
use super::Finding;

/// An admin listener, where nobody says which.
const SOME_LISTENER: &str = "https://lanyard.example/admin";
/// Every hour is tried, so any day will do.
const ORDINARY_TIME: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);
/// What administrators come in with; which of them has what only a broker knows.
const PROOFS: [Proof; 2] = [Proof::ApiKey, Proof::Oidc];

/// What locks all of them out, if something does: always, or at some hours of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shut {
    /// At every hour.
    Always(Finding),
    /// At some, which may be meant.
    AtTimes(Finding),
}

/// Whether any of them could mend things, at every hour.
pub fn administrators(bundle: &Bundle, fixtures: &Fixtures) -> Option<Shut> {
    let named = fixtures.names().filter_map(|name| fixtures.get(name));
    let mut hands: Vec<Fixture> = named
        .filter(|fixture| fixture.kind == Kind::Administrator)
        .cloned()
        .collect();
    if hands.is_empty() {
        hands.push(Fixture {
            name: "administrator".to_owned(),
            owner: "nobody".to_owned(),
            kind: Kind::Administrator,
            tags: Vec::new(),
            audiences: Vec::new(),
            scopes: ScopeSet::default(),
            max_lifetime: Fixture::LONGEST,
            age_days: None,
            unused_days: None,
        });
    }
    let (mut hours, mut why) = (Hours::default(), None);
    for hand in &mut hands {
        register(bundle, hand);
        let door = hand.audiences.first();
        let mends = bundle.mends(&Hand {
            who: hand.party(),
            door: door.map(|listener| (listener, &PROOFS[..])),
            network: None,
            around: Around::Anywhere,
            time: ORDINARY_TIME,
        });
        // Whoever has some hours is told about first.
        if why.is_none() || !mends.hours.is_empty() {
            why = mends.locked_out.or(why);
        }
        hours = hours.and(mends.hours);
    }
    let closed = Hours::ALL.without(hours);
    if closed.is_empty() {
        return None;
    }
    let (place, words) = why.map_or((None, String::new()), |why| (why.place, why.words));
    let finding = |begin: String| Finding {
        place: place.unwrap_or_else(|| "policies".to_owned()),
        words: format!("{begin}: {words}"),
    };
    Some(if hours.is_empty() {
        Shut::Always(finding(
            "every administrator would be locked out".to_owned(),
        ))
    } else {
        Shut::AtTimes(finding(format!(
            "every administrator is locked out at some hours (UTC: {closed})"
        )))
    })
}

/// As a broker registers administrators.
fn register(bundle: &Bundle, hand: &mut Fixture) {
    if hand.audiences.is_empty() {
        let is_admin = |scope: &Scope| scope.as_str() == ADMIN_SCOPE;
        let mut known = bundle.catalogue().iter();
        let known = known.find(|(_, scopes)| scopes.iter().any(is_admin));
        let listener = known.map(|(audience, _)| audience.clone());
        hand.audiences
            .extend(listener.or_else(|| SOME_LISTENER.parse::<Audience>().ok()));
    }
    if hand.scopes.is_empty() {
        hand.scopes = ADMIN_SCOPE.parse().unwrap_or_default();
    }
}
