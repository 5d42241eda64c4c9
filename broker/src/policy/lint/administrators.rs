//! Whether somebody could still come in over the network, mend the policies and administer administrators.
//!
//! The administrators of fixtures/ are looked at, or where there are none, one without a role: what every
//! administrator is until it is given one. One that is registered for nothing there is taken to be registered as a
//! broker does it: for the admin listener, which the catalogue may name. A broker looks at the administrators that it
//! has.

use lanyard_token::{Audience, Scope, ScopeSet};
use time::OffsetDateTime;
use time::macros::datetime;

use super::super::administration::{ADMIN_SCOPE, Act, Action, LockedOut, MENDING, On};
use super::super::asked::Proof;
use super::super::bundle::Bundle;
use super::super::trial::{Fixture, Fixtures, Kind};
use super::Finding;

/// An admin listener, where nobody says which.
const SOME_LISTENER: &str = "https://lanyard.example/admin";
/// Circumstances lock nobody out, so any time will do.
const ORDINARY_TIME: OffsetDateTime = datetime!(2026-01-05 10:00 UTC);
/// What administrators come in with; which of them has what only a broker knows.
const PROOFS: [Proof; 2] = [Proof::ApiKey, Proof::Oidc];

/// What locks all of them out, if something does.
pub fn administrators(bundle: &Bundle, fixtures: &Fixtures) -> Option<Finding> {
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
    let mut found = None;
    for hand in &mut hands {
        register(bundle, hand);
        found = Some(locked_out(bundle, hand)?);
    }
    found
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

fn locked_out(bundle: &Bundle, hand: &Fixture) -> Option<Finding> {
    let who = hand.party();
    let token = hand.audiences.first().and_then(|listener| {
        let come_in = bundle.could_come_in(who, listener, &PROOFS, ORDINARY_TIME);
        come_in.ok().flatten()
    });
    let mut mending = MENDING.into_iter();
    let locked = token.or_else(|| mending.find_map(|action| could_not(bundle, hand, action)))?;
    Some(Finding {
        place: locked.place.unwrap_or_else(|| "policies".to_owned()),
        words: format!("every administrator would be locked out: {}", locked.words),
    })
}

fn could_not(bundle: &Bundle, hand: &Fixture, action: Action) -> Option<LockedOut> {
    let who = hand.party();
    let on = match action {
        Action::AdministratorsWrite => On::Identity(who),
        _ => On::System,
    };
    let act = Act {
        who,
        action,
        on,
        wider: false,
        scopes: who.scopes,
        network: None,
        time: ORDINARY_TIME,
    };
    bundle.could(&act).ok().flatten()
}
