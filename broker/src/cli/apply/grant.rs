//! Grants: what an identity may ask for beyond its own entry, in files that other teams review.
//!
//! A broker knows one list of audiences and one of scopes for each identity, and every scope holds at every
//! audience. So a grant is merged into both lists, and refused when that would give more than anybody wrote:
//! reviewers of one line must not give what stands on none. Nothing here ends by itself: a time box is an
//! approval's (`lanyard approval request`).

use std::collections::BTreeSet;
use std::fmt::Display;

use lanyard_token::{Audience, Scope, ScopeSet};
use serde::Deserialize;

use super::file::{Desired, Identity, at, shown};
use crate::store::event::Kind;

/// `[[grant]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantEntry {
    identity: String,
    audience: String,
    scopes: Vec<String>,
}

/// What an identity may ask for beyond its own entry.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) identity: String,
    pub(super) audience: Audience,
    pub(super) scopes: ScopeSet,
    /// Where it stands, for messages.
    pub(super) place: String,
}

impl Grant {
    pub(super) fn read(file: &str, entry: GrantEntry) -> Result<Self, String> {
        let place = format!("{file}: grant to `{}`", shown(&entry.identity));
        let refused = |member: &str, why: &dyn Display| {
            at(&place, format_args!("`{member}` is refused: {why}"))
        };
        let audience = entry
            .audience
            .parse()
            .map_err(|why| refused("audience", &why))?;
        let scopes: ScopeSet = entry
            .scopes
            .join(" ")
            .parse()
            .map_err(|why| refused("scopes", &why))?;
        if scopes.is_empty() {
            return Err(at(&place, "`scopes` names at least one"));
        }
        Ok(Self {
            identity: entry.identity,
            audience,
            scopes,
            place,
        })
    }

    /// One line.
    pub(super) fn words(&self) -> String {
        format!("{} for {} ({})", self.scopes, self.audience, self.place)
    }
}

/// Merges all grants into the entries of their identities.
pub(super) fn merge(desired: &mut Desired) -> Result<(), String> {
    for grant in std::mem::take(&mut desired.grants) {
        let Some(identity) = desired.identities.get_mut(&grant.identity) else {
            let words = "no file has an `[[identity]]` of that name: a grant adds to one";
            return Err(at(&grant.place, words));
        };
        let fixed = match identity.kind {
            Kind::Gateway => Some("a gateway's rights are always the same"),
            Kind::Administrator => Some("an administrator's rights are the broker's to say"),
            Kind::Service | Kind::Integration | Kind::Agent => None,
        };
        if let Some(why) = fixed {
            return Err(at(&grant.place, why));
        }
        identity.grants.push(grant);
    }
    for (name, identity) in &mut desired.identities {
        widen(name, identity)?;
    }
    Ok(())
}

/// What is allowed where.
type Rights = BTreeSet<(Audience, Scope)>;

fn widen(name: &str, identity: &mut Identity) -> Result<(), String> {
    if identity.grants.is_empty() {
        return Ok(());
    }
    let mut scopes = identity.scopes.clone().unwrap_or_default();
    let mut rights = everywhere(&identity.audiences, &scopes);
    for grant in &identity.grants {
        let given = everywhere(std::slice::from_ref(&grant.audience), &grant.scopes);
        if given.is_subset(&rights) {
            let words = format!("it adds nothing: `{name}` has that already");
            return Err(at(&grant.place, words));
        }
        rights.extend(given);
        scopes = scopes.iter().chain(grant.scopes.iter()).cloned().collect();
        if !identity.audiences.contains(&grant.audience) {
            identity.audiences.push(grant.audience.clone());
        }
    }
    identity.audiences.sort();
    let unwritten = everywhere(&identity.audiences, &scopes)
        .into_iter()
        .find(|right| !rights.contains(right));
    if let (Some((audience, scope)), Some(last)) = (unwritten, identity.grants.last()) {
        let words = format!(
            "`{name}` would get `{scope}` for {audience} too, which nobody wrote: an identity's scopes hold at all \
             of its audiences; make it an identity of its own, or a policy"
        );
        return Err(at(&last.place, words));
    }
    identity.scopes = Some(scopes);
    Ok(())
}

fn everywhere(audiences: &[Audience], scopes: &ScopeSet) -> Rights {
    let at = |audience: &Audience| {
        let audience = audience.clone();
        let here = move |scope: &Scope| (audience.clone(), scope.clone());
        scopes.iter().map(here).collect::<Vec<_>>()
    };
    audiences.iter().flat_map(at).collect()
}
