//! Whether somebody could still mend the policies and administer administrators over the network.
//!
//! The administrators of fixtures/ are looked at, or where there are none, one without a role: what every
//! administrator is until it is given one. A broker looks at the administrators that it has.

use lanyard_token::ScopeSet;
use time::macros::datetime;

use super::super::administration::{Act, Action, MENDING, On};
use super::super::bundle::Bundle;
use super::super::trial::{Fixture, Fixtures, Kind};
use super::Finding;

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
    for hand in &hands {
        found = Some(locked_out(bundle, hand)?);
    }
    found
}

fn locked_out(bundle: &Bundle, hand: &Fixture) -> Option<Finding> {
    let who = hand.party();
    MENDING.into_iter().find_map(|action| {
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
            time: datetime!(2026-01-05 10:00 UTC),
        };
        let locked = bundle.could(&act).ok().flatten()?;
        Some(Finding {
            place: locked.place.unwrap_or_else(|| "policies".to_owned()),
            words: format!("every administrator would be locked out: {}", locked.words),
        })
    })
}
