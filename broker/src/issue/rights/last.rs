//! Whether an administrator would be left.
//!
//! One is left when some identity of that kind can come in over the network (it, its owner and one of its keys are
//! usable), could get a token for the admin listener with it, have policies read again and administer administrators.
//! The identity behind the Unix socket's tokens counts apart: whoever can use it can use the socket, which asks no
//! policy for its tokens.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use lanyard_token::NodeId;
use tokio::sync::MutexGuard;

use super::super::Issue;
use super::super::administration::LOCAL_ADMINISTRATOR;
use super::super::decision::{Seen, moment};
use super::super::identity::{Book, Credential, Proof as Proves};
use super::{Change, Deed, has_administrators};
use crate::clock::UnixMillis;
use crate::policy::administration::{Action, Around, Hand, Hours, LockedOut, Mends};
use crate::policy::{Bundle, Proof};
use crate::store::event::Kind;

/// It would end the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "nobody could then administer administrators over the network: whoever means it does it through the broker's \
     Unix socket"
)]
pub struct LastAdministrator;

/// Who could mend things, and when.
#[derive(Clone, Debug, Default)]
pub(in crate::issue) struct Able {
    /// Somebody over the network.
    pub(in crate::issue) remote: Hours,
    /// The identity behind the Unix socket's tokens.
    pub(in crate::issue) local: Hours,
    /// Each that was looked at.
    each: Vec<(NodeId, Mends)>,
}

impl Able {
    /// Why one of those could not who could before; where there is none, why somebody could not.
    pub(in crate::issue) fn locked_out(&self, before: &Self) -> Option<LockedOut> {
        let could = |node: &NodeId| {
            let found = before.each.iter().find(|(one, _)| one == node);
            found.is_some_and(|(_, mends)| !mends.hours.is_empty())
        };
        let shut = || {
            self.each
                .iter()
                .filter(|(_, mends)| mends.locked_out.is_some())
        };
        let named = shut()
            .find(|(node, _)| could(node))
            .or_else(|| shut().next_back());
        named.and_then(|(_, mends)| mends.locked_out.clone())
    }
}

/// Who has policies read again, and where from.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    /// Whose token it is.
    pub who: NodeId,
    /// Where from, when it is known.
    pub network: Option<IpAddr>,
}

/// An administrator that can come in.
struct Candidate {
    seen: Seen,
    /// What it proves itself with over the network; `None`: it has its tokens from the Unix socket.
    proofs: Option<Vec<Proof>>,
}

/// What identities prove themselves with.
type Keys = HashMap<NodeId, Vec<Proof>>;

impl Issue {
    /// Held while somebody looks whether an administrator is left, and until what they looked at is done: two that end each
    /// other, or one that ends whom the policies being read rely on, come one after the other.
    pub async fn one_ending_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.endings.lock().await
    }

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
        let left = |candidates: &[Candidate]| {
            let able = self.able_of(&bundle, candidates, Around::Anywhere, now);
            !able.remote.is_empty()
        };
        if left(&before) && !left(&after) {
            return Err(LastAdministrator);
        }
        Ok(())
    }

    /// Who could mend things under these policies.
    pub(in crate::issue) fn able(&self, bundle: &Bundle) -> Able {
        let now = self.now();
        let candidates = self.state().read(|book| self.candidates(book, now));
        self.able_of(bundle, &candidates, Around::Anywhere, now)
    }

    /// Why whoever reads them could not mend things from where they are under these policies, and could under those
    /// before, when nobody else surely could.
    pub(in crate::issue) fn shuts_out(
        &self,
        reader: Reader,
        before: &Bundle,
        after: &Bundle,
    ) -> Option<LockedOut> {
        let network = Some(reader.network?);
        let now = self.now();
        let candidates = self.state().read(|book| self.candidates(book, now));
        let here = candidates
            .iter()
            .find(|one| one.seen.nodes().0 == reader.who)?;
        let mends = |bundle| self.mends(bundle, here, network, Around::Here, now);
        if mends(before).hours.is_empty() {
            return None;
        }
        let after_it = mends(after);
        let surely = || self.able_of(after, &candidates, Around::Surely, now).remote;
        if !after_it.hours.is_empty() || !surely().is_empty() {
            return None;
        }
        after_it.locked_out
    }

    /// Who could mend things under these policies, keys or no keys: an expired key is no fault of theirs.
    pub(in crate::issue) fn able_by_role(&self, bundle: &Bundle) -> Able {
        let now = self.now();
        let candidates = self.state().read(|book| {
            let all = book
                .identities()
                .filter(|(_, found)| found.grant.name != LOCAL_ADMINISTRATOR)
                .map(|(node, _)| (node, vec![Proof::ApiKey, Proof::Oidc]))
                .collect();
            self.with_keys(book, &all, now)
        });
        self.able_of(bundle, &candidates, Around::Anywhere, now)
    }

    fn candidates(&self, book: &Book, now: UnixMillis) -> Vec<Candidate> {
        self.with_keys(book, &keys(book, &HashSet::new(), now), now)
    }

    fn with_keys(&self, book: &Book, keys: &Keys, now: UnixMillis) -> Vec<Candidate> {
        book.identities()
            .filter(|(_, found)| found.grant.kind == Kind::Administrator)
            .filter_map(|(node, found)| {
                let proofs = keys.get(&node).cloned();
                let local = found.grant.name == LOCAL_ADMINISTRATOR;
                let comes_in =
                    book.usable_identity(node, now).is_ok() && (local || proofs.is_some());
                let seen = self.seen(book, node, now).ok().filter(|_| comes_in)?;
                Some(Candidate { seen, proofs })
            })
            .collect()
    }

    fn able_of(
        &self,
        bundle: &Bundle,
        candidates: &[Candidate],
        around: Around,
        now: UnixMillis,
    ) -> Able {
        let mut able = Able::default();
        for candidate in candidates {
            let mends = self.mends(bundle, candidate, None, around, now);
            let hours = match candidate.proofs {
                None => &mut able.local,
                Some(_) => &mut able.remote,
            };
            *hours = hours.and(mends.hours);
            able.each.push((candidate.seen.nodes().0, mends));
        }
        able
    }

    fn mends(
        &self,
        bundle: &Bundle,
        candidate: &Candidate,
        network: Option<IpAddr>,
        around: Around,
        now: UnixMillis,
    ) -> Mends {
        let proofs = candidate.proofs.as_deref();
        bundle.mends(&Hand {
            who: candidate.seen.party(),
            door: proofs.map(|proofs| (self.admin_audience(), proofs)),
            network,
            around,
            time: moment(now),
        })
    }

    /// As if it had been done.
    fn candidates_after(&self, book: &Book, deed: &Deed, now: UnixMillis) -> Vec<Candidate> {
        let touched: HashSet<NodeId> = deed.to.iter().copied().collect();
        match &deed.change {
            Change::None => {
                let mut left = self.with_keys(book, &keys(book, &touched, now), now);
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
                let owner = to.and_then(|to| book.owner(to));
                let name = owner.map(|owner| owner.name.clone());
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

/// The usable keys there are, but for these.
fn keys(book: &Book, without: &HashSet<NodeId>, now: UnixMillis) -> Keys {
    let usable = |(node, _): &(NodeId, &Credential)| {
        !without.contains(node) && book.lineage_of(*node, now).is_ok()
    };
    let mut keys = Keys::new();
    for (_, credential) in book.credentials().filter(usable) {
        let proof = match credential.proof {
            Proves::Hash(_) => Proof::ApiKey,
            Proves::Oidc(_) => Proof::Oidc,
        };
        let proofs = keys.entry(credential.identity).or_default();
        if !proofs.contains(&proof) {
            proofs.push(proof);
        }
    }
    keys
}
