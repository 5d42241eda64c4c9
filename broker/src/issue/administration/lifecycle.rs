//! Whose an identity is, and what it may ask for, after it was made.
//!
//! What an identity holds when it gets another owner or other labels, or may ask for less, was obtained under what was
//! true before: its tokens name the old owner, whose end would end them, and not the new one's, whose
//! end would not. So they end in the very record that says what is true now; whoever uses the identity
//! asks again with its key and loses milliseconds.

use std::collections::BTreeSet;

use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};

use super::input::{self, InvalidInput, NewIdentity};
use super::{AdminError, IdentityView};
use crate::issue::Issue;
use crate::issue::identity::Identified;
use crate::store::event::{By, Cause, Identity, Kind};
use crate::store::{Event, MAX_EVENTS};

/// A transfer takes two events of each identity.
const TRANSFERS_AT_ONCE: usize = MAX_EVENTS / 2;

/// What an identity shall be from now on; what is absent stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeIdentity {
    /// Free labels.
    pub tags: Option<Vec<String>>,
    /// Where its tokens may be good for.
    pub audiences: Option<Vec<String>>,
    /// What they may allow there, separated by spaces.
    pub scopes: Option<String>,
    /// Longest lifetime of its tokens, in seconds.
    pub max_lifetime: Option<u64>,
}

/// What an owner shall be from now on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeOwner {
    /// How to reach them; `null`: nobody knows. Never absent: an empty document must not forget it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub contact: Option<String>,
}

/// Identities that have another owner now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Transferred {
    /// Which.
    pub identities: Vec<NodeId>,
    /// Who answers for them now.
    pub owner: NodeId,
    /// From here on: tokens of before are dead. `None`: there was nothing to transfer.
    pub rev: Option<Rev>,
}

impl Issue {
    /// Gives an identity to another owner, and ends what it had obtained before.
    pub async fn transfer_identity(
        &self,
        identity: &str,
        to: &str,
        by: By,
        reason: Option<&str>,
    ) -> Result<Transferred, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let node = self.find_identity(identity)?;
        let owner = self.enabled_owner(to)?;
        let owned = self.state().read(|book| {
            book.identity(node)
                .is_some_and(|found| found.grant.owner == owner)
        });
        if owned {
            return Err(AdminError::OwnedAlready {
                identity: identity.to_owned(),
                owner: to.to_owned(),
            });
        }
        self.transfer_alone(vec![node], owner, by, reason).await
    }

    /// Gives everything of an owner to another one: the way out when somebody leaves.
    pub async fn transfer_owner(
        &self,
        from: &str,
        to: &str,
        by: By,
        reason: Option<&str>,
    ) -> Result<Transferred, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let (from, owner) = (self.find_owner(from)?, self.enabled_owner(to)?);
        if from == owner {
            return Err(input::InvalidInput::new("to", "is the same owner").into());
        }
        let mut nodes: Vec<NodeId> = self.state().read(|book| {
            let of_owner = |(_, found): &(NodeId, &Identified)| found.grant.owner == from;
            let owned = book.identities().filter(of_owner);
            owned.map(|(node, _)| node).collect()
        });
        nodes.sort_unstable();
        self.transfer_alone(nodes, owner, by, reason).await
    }

    async fn transfer_alone(
        &self,
        identities: Vec<NodeId>,
        owner: NodeId,
        by: By,
        reason: Option<&str>,
    ) -> Result<Transferred, AdminError> {
        let reason = reason.map(input::reason).transpose()?;
        let mut rev = None;
        for some in identities.chunks(TRANSFERS_AT_ONCE) {
            let mut events = Vec::with_capacity(some.len() * 2);
            for identity in some {
                let transferred = Event::IdentityTransferred {
                    identity: *identity,
                    owner,
                    by: by.clone(),
                    reason: reason.clone(),
                };
                events.extend(ending_what_it_holds(*identity, transferred, &by));
            }
            rev = Some(self.store.append(events).await?);
        }
        Ok(Transferred {
            identities,
            owner,
            rev,
        })
    }

    /// Changes what an identity is and may ask for. Where that may be less than before, what it had obtained
    /// ends.
    pub async fn change_identity(
        &self,
        identity: &str,
        change: ChangeIdentity,
        by: By,
    ) -> Result<IdentityView, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let node = self.find_identity(identity)?;
        let found = self.state().read(|book| book.identity(node).cloned());
        let Some(Identified {
            grant, disabled, ..
        }) = found
        else {
            return Err(AdminError::NotFound {
                kind: "identity",
                name: identity.to_owned(),
            });
        };
        let wanted = wanted(&grant, change);
        let changed = Identity {
            // Said at its enrolment, and by nobody since.
            sole_witness: grant.sole_witness,
            ..input::identity(wanted, grant.owner, self.reserved(), self.lifetimes())?
        };
        if grant.kind == Kind::Gateway && changed.scopes != grant.scopes {
            let why = "of a gateway are said at its enrolment";
            return Err(InvalidInput::new("scopes", why).into());
        }
        if changed != grant {
            let event = Event::IdentityChanged {
                identity: node,
                grant: Box::new(changed.clone()),
                by: by.clone(),
            };
            let events = if may_be_less(&changed, &grant) {
                ending_what_it_holds(node, event, &by).into()
            } else {
                vec![event]
            };
            self.store.append(events).await?;
        }
        Ok(IdentityView::new(node, &changed, disabled))
    }

    /// Changes how to reach an owner.
    pub async fn change_owner(
        &self,
        owner: &str,
        change: ChangeOwner,
        by: By,
    ) -> Result<NodeId, AdminError> {
        let _one_at_a_time = self.administration.lock().await;
        let node = self.find_owner(owner)?;
        let contact = input::contact(change.contact)?;
        let stands = self.state().read(|book| {
            book.owner(node)
                .is_some_and(|found| found.contact == contact)
        });
        if !stands {
            let event = Event::OwnerChanged {
                owner: node,
                contact,
                by,
            };
            self.store.append(vec![event]).await?;
        }
        Ok(node)
    }

    /// An owner who can answer for something.
    pub(super) fn enabled_owner(&self, name: &str) -> Result<NodeId, AdminError> {
        let node = self.find_owner(name)?;
        let disabled = self
            .state()
            .read(|book| book.owner(node).is_none_or(|owner| owner.disabled));
        if disabled {
            return Err(AdminError::OwnerDisabled {
                owner: name.to_owned(),
            });
        }
        Ok(node)
    }
}

/// The record that ends what an identity holds and says what has changed. Whether it may ask again is not
/// said: who disables it meanwhile is not overruled.
fn ending_what_it_holds(identity: NodeId, change: Event, by: &By) -> [Event; 2] {
    let ended = Event::Revoked {
        node: identity,
        cause: Cause::Changed,
        by: by.clone(),
    };
    [ended, change]
}

fn wanted(grant: &Identity, change: ChangeIdentity) -> NewIdentity {
    let present = || grant.audiences.iter().map(ToString::to_string).collect();
    NewIdentity {
        name: grant.name.clone(),
        owner: grant.owner.to_string(),
        kind: grant.kind,
        tags: change.tags.unwrap_or_else(|| grant.tags.clone()),
        audiences: change.audiences.unwrap_or_else(present),
        scopes: change.scopes.unwrap_or_else(|| grant.scopes.to_string()),
        max_lifetime: Some(change.max_lifetime.unwrap_or(grant.max_lifetime)),
    }
}

/// Whether a token of before could allow what a new one may not. A gateway's audiences are what it
/// serves: no token of its own says them. What other labels take away only the policies know, and those of tomorrow too.
fn may_be_less(new: &Identity, old: &Identity) -> bool {
    let audiences = new.kind != Kind::Gateway
        && old
            .audiences
            .iter()
            .any(|audience| !new.audiences.contains(audience));
    let labels = |identity: &Identity| BTreeSet::from_iter(identity.tags.clone());
    audiences
        || labels(new) != labels(old)
        || !old.scopes.is_subset_of(&new.scopes)
        || new.max_lifetime < old.max_lifetime
}
