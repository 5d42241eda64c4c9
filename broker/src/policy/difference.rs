//! What another set of policies would change.

use std::collections::BTreeMap;

use lanyard_token::{Audience, Scope};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::grant::Ruling;
use super::matrix::Row;
use super::rehearsal::{Untried, rehearse};
use super::trial::{Asking, Fixture, Fixtures, Outcome, Verdict};

/// A request that was made, with all that has to be known of who made it. One a line, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// How often it was made so.
    #[serde(default = "once")]
    pub count: u64,
    /// Who asked, as registered then.
    pub identity: Fixture,
    /// Who acted, if somebody else did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Fixture>,
    /// What was asked.
    pub request: Asking,
    /// Since when the identity is registered for all of that, where it is known.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub since: Option<OffsetDateTime>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Source::is_asked")]
    pub source: Source,
}

/// Who says that a request was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It was asked for.
    #[default]
    Asked,
    /// A gateway saw these scopes used: as if they had been asked for, in the circumstances of the token.
    Gateway,
}

impl Source {
    const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked)
    }
}

const fn once() -> u64 {
    1
}

impl Recorded {
    /// What policies would make of it.
    pub fn through(&self, bundle: &Bundle) -> Result<Outcome, Untried> {
        let mut fixtures = Fixtures::default().with(self.identity.clone());
        if let Some(actor) = &self.actor {
            fixtures = fixtures.with(actor.clone());
        }
        rehearse(bundle, &fixtures, &self.request)
    }

    /// Which permits give each of the scopes that it names.
    pub(super) fn permits(
        &self,
        bundle: &Bundle,
        audience: &Audience,
    ) -> Vec<(Scope, Vec<String>)> {
        let asked = self
            .request
            .asked((&self.identity, self.actor.as_ref()), audience);
        let scopes: Vec<_> = self.request.scopes.iter().flatten().map(Some).collect();
        let rulings = bundle.rulings(&asked, &scopes).unwrap_or_default();
        let given = rulings.into_iter().filter(Ruling::is_given);
        given
            .filter_map(|ruling| {
                let permits = ruling.permits.iter().map(|rule| rule.id.clone());
                Some((ruling.scope?, permits.collect()))
            })
            .collect()
    }

    /// The same request by an identity that is registered otherwise.
    pub(super) fn registered(&self, identity: Fixture) -> Self {
        Self {
            identity,
            ..self.clone()
        }
    }
}

/// In which way a request would come out otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// It was given, and is no longer.
    NewlyDenied,
    /// It was denied, and is given.
    NewlyAllowed,
    /// It is given with other scopes.
    OtherScopes,
    /// It is given for another time.
    OtherLifetime,
}

/// A request that would come out otherwise.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// How.
    pub ways: Vec<Way>,
    /// The request.
    pub recorded: Recorded,
    /// What came out of it.
    pub before: Outcome,
    /// What would come out.
    pub after: Outcome,
}

/// The requests that would come out otherwise, in their order. `registered` says how an identity is registered
/// afterwards.
pub fn changed(
    before: &Bundle,
    after: &Bundle,
    requests: &[Recorded],
    registered: impl Fn(&Fixture) -> Fixture,
) -> Result<Vec<Changed>, Untried> {
    let mut found = Vec::new();
    for recorded in requests {
        let afterwards = recorded.registered(registered(&recorded.identity));
        let (old, new) = (recorded.through(before)?, afterwards.through(after)?);
        let ways = ways(&old, &new);
        if !ways.is_empty() {
            found.push(Changed {
                ways,
                recorded: recorded.clone(),
                before: old,
                after: new,
            });
        }
    }
    Ok(found)
}

fn ways(old: &Outcome, new: &Outcome) -> Vec<Way> {
    match (old.decision, new.decision) {
        (Verdict::Allow, Verdict::Deny) => vec![Way::NewlyDenied],
        (Verdict::Deny, Verdict::Allow) => vec![Way::NewlyAllowed],
        (Verdict::Deny, Verdict::Deny) => Vec::new(),
        (Verdict::Allow, Verdict::Allow) => [
            (old.scopes != new.scopes).then_some(Way::OtherScopes),
            (old.lifetime != new.lifetime).then_some(Way::OtherLifetime),
        ]
        .into_iter()
        .flatten()
        .collect(),
    }
}

/// A cell of the matrix that is otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The class.
    pub class: String,
    /// Where.
    pub audience: Audience,
    /// What.
    pub scope: Scope,
    /// Under which circumstance.
    pub circumstance: String,
    /// Seconds it is given for; `None`: it is not.
    pub before: Option<u64>,
    /// Seconds it would be given for.
    pub after: Option<u64>,
}

/// Cells of two matrices that differ, `circumstances` being all there are.
pub fn cells(before: &[Row], after: &[Row], circumstances: &[String]) -> Vec<Cell> {
    let (old, new) = (spread(before, circumstances), spread(after, circumstances));
    let mut places: Vec<_> = old.keys().chain(new.keys()).collect();
    places.sort();
    places.dedup();
    places
        .into_iter()
        .filter(|place| old.get(place) != new.get(place))
        .map(|place| {
            let (class, audience, scope, circumstance) = place.clone();
            Cell {
                class,
                audience,
                scope,
                circumstance,
                before: old.get(place).copied(),
                after: new.get(place).copied(),
            }
        })
        .collect()
}

type Place = (String, Audience, Scope, String);

/// A row for each circumstance.
fn spread(rows: &[Row], circumstances: &[String]) -> BTreeMap<Place, u64> {
    let mut cells = BTreeMap::new();
    for row in rows {
        let any = row.circumstances.iter().any(|name| name == "any");
        let under = if any {
            circumstances
        } else {
            &row.circumstances
        };
        for circumstance in under {
            let place = (
                row.class.clone(),
                row.audience.clone(),
                row.scope.clone(),
                circumstance.clone(),
            );
            cells.insert(place, row.lifetime);
        }
    }
    cells
}
