//! Whether an administrator would be left.
//!
//! One is left when some identity of that kind can come in over the network (it, its owner and one of its keys are
//! usable) and could have policies read again and administer administrators. The identity behind the Unix socket's
//! tokens counts apart: whoever can use it can use the socket, which asks no policy.

use std::collections::HashSet;

use lanyard_token::NodeId;

use super::super::Issue;
use super::super::administration::LOCAL_ADMINISTRATOR;
use super::super::decision::{Seen, moment};
use super::super::identity::Book;
use super::{Change, Deed, has_administrators};
use crate::clock::UnixMillis;
use crate::policy::Bundle;
use crate::policy::administration::{Act, Action, LockedOut, MENDING, On};
use crate::store::event::Kind;

/// It would end the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nobody could then administer administrators over the network: whoever means it does it through the broker's \
     Unix socket"
)]
pub struct LastAdministrator;

/// Who could mend things.
#[derive(Clone, Debug, Default)]
pub(in crate::issue) struct Able {
    /// Somebody over the network.
    pub(in crate::issue) remote: bool,
    /// The identity behind the Unix socket's tokens.
    pub(in crate::issue) local: bool,
    /// Why one of the others could not.
    pub(in crate::issue) locked_out: Option<LockedOut>,
}

/// An administrator that can come in.
struct Candidate {
    seen: Seen,
    local: bool,
}

impl Issue {
    /// Whether a deed can leave fewer administrators.
    pub fn may_end_administrators(&self, deed: &Deed) -> bool {
        let concerned = |book: &Book| deed.to.iter().any(|node| has_administrators(book, *node));
        takes(deed.action) && self.state().read(concerned)
    }

    /// Whether a deed leaves an administrator, if there is one.
    pub fn leaves_an_administrator(&self, deed: &Deed) -> Result<(), LastAdministrator> {
        let now = self.now();
        let bundle = self.policies();
        let (before, after) = self.state().read(|book| {
            let before = self.candidates(book, now);
            (before, self.candidates_after(book, deed, now))
        });
        let left = |candidates: &[Candidate]| able(&bundle, candidates, now).remote;
        if left(&before) && !left(&after) {
            return Err(LastAdministrator);
        }
        Ok(())
    }

    /// Who could mend things under these policies.
    pub(in crate::issue) fn able(&self, bundle: &Bundle) -> Able {
        let now = self.now();
        let candidates = self.state().read(|book| self.candidates(book, now));
        able(bundle, &candidates, now)
    }

    /// Who could mend things under these policies, keys or no keys: an expired key is no fault of theirs.
    pub(in crate::issue) fn able_by_role(&self, bundle: &Bundle) -> Able {
        let now = self.now();
        let candidates = self.state().read(|book| {
            let all = book
                .identities()
                .filter(|(_, found)| found.grant.name != LOCAL_ADMINISTRATOR)
                .map(|(node, _)| node)
                .collect();
            self.with_keys(book, &all, now)
        });
        able(bundle, &candidates, now)
    }

    fn candidates(&self, book: &Book, now: UnixMillis) -> Vec<Candidate> {
        let with_keys: HashSet<NodeId> = book
            .credentials()
            .filter(|(node, _)| book.lineage_of(*node, now).is_ok())
            .map(|(_, credential)| credential.identity)
            .collect();
        self.with_keys(book, &with_keys, now)
    }

    fn with_keys(&self, book: &Book, keys: &HashSet<NodeId>, now: UnixMillis) -> Vec<Candidate> {
        book.identities()
            .filter(|(_, found)| found.grant.kind == Kind::Administrator)
            .filter_map(|(node, found)| {
                let local = found.grant.name == LOCAL_ADMINISTRATOR && !keys.contains(&node);
                let comes_in =
                    book.usable_identity(node, now).is_ok() && (local || keys.contains(&node));
                let seen = self.seen(book, node, now).ok().filter(|_| comes_in)?;
                Some(Candidate { seen, local })
            })
            .collect()
    }

    /// As if it had been done.
    fn candidates_after(&self, book: &Book, deed: &Deed, now: UnixMillis) -> Vec<Candidate> {
        let touched: HashSet<NodeId> = deed.to.iter().copied().collect();
        match &deed.change {
            Change::None => {
                let keys = book
                    .credentials()
                    .filter(|(node, _)| !touched.contains(node))
                    .filter(|(node, _)| book.lineage_of(*node, now).is_ok())
                    .map(|(_, credential)| credential.identity)
                    .collect();
                let mut left = self.with_keys(book, &keys, now);
                left.retain(|candidate| {
                    let (node, owner) = candidate.seen.nodes();
                    !touched.contains(&node) && !touched.contains(&owner)
                });
                left
            }
            Change::New(_) | Change::Gateway => self.candidates(book, now),
            Change::Changed(change) => {
                let mut left = self.candidates(book, now);
                for candidate in &mut left {
                    let (node, _) = candidate.seen.nodes();
                    if let Some(tags) = change.tags.as_ref().filter(|_| touched.contains(&node)) {
                        candidate.seen.label(tags.clone());
                    }
                }
                left
            }
            Change::Transferred(to) => {
                let name = book.owner(*to).map(|owner| owner.name.clone());
                let mut left = self.candidates(book, now);
                for candidate in &mut left {
                    let (node, owner) = candidate.seen.nodes();
                    if touched.contains(&node) || touched.contains(&owner) {
                        candidate.seen.give_to(name.clone().unwrap_or_default());
                    }
                }
                left
            }
        }
    }
}

/// Whether it can leave fewer administrators.
const fn takes(action: Action) -> bool {
    // Other labels may be another role.
    action.ends() || matches!(action, Action::IdentitiesWrite)
}

fn able(bundle: &Bundle, candidates: &[Candidate], now: UnixMillis) -> Able {
    let mut able = Able::default();
    for candidate in candidates {
        match locked_out(bundle, &candidate.seen, now) {
            None if candidate.local => able.local = true,
            None => able.remote = true,
            Some(why) => able.locked_out = Some(why),
        }
    }
    able
}

/// Why somebody could not mend things under any circumstances.
fn locked_out(bundle: &Bundle, seen: &Seen, now: UnixMillis) -> Option<LockedOut> {
    let who = seen.party();
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
            time: moment(now),
        };
        bundle.could(&act).unwrap_or_else(|unfit| {
            Some(LockedOut {
                action,
                place: None,
                words: unfit,
            })
        })
    })
}
