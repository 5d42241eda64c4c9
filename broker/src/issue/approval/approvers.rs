//! Whose approval counts: as long as they could approve it.
//!
//! An approval is the word of somebody with a right. So whoever is paused is not counted, what was said with something
//! that has ended since counts no more, and neither does the word of whoever has lost the right since, by another role or by
//! other policies ([`crate::policy::Bundle::could_still`]).
//! Through the Unix socket no policy is asked, and what was approved there stands until it is taken back.

use std::collections::BTreeSet;

use super::{Approval, Book, Given, Standing};
use crate::clock::UnixMillis;
use crate::issue::Issue;
use crate::issue::administration::LOCAL_ADMINISTRATOR;
use crate::issue::decision::{Seen, moment};
use crate::policy::Bundle;
use crate::policy::administration::{Act, Action, On};

/// Who approved something, as one look saw them.
pub(in crate::issue) struct Approvers(Vec<Seen>);

impl Issue {
    /// Whoever approved something of what stands.
    pub(in crate::issue) fn approvers(
        &self,
        book: &Book,
        standing: &Standing,
        now: UnixMillis,
    ) -> Approvers {
        let names = standing.0.iter().flat_map(|approved| &approved.by);
        self.seen_approvers(book, names.collect(), now)
    }

    /// Whoever approved this.
    pub(in crate::issue) fn approvers_of(
        &self,
        book: &Book,
        approval: &Approval,
        now: UnixMillis,
    ) -> Approvers {
        let names = names(book, &approval.given, now);
        self.seen_approvers(book, names.iter().collect(), now)
    }

    fn seen_approvers(&self, book: &Book, names: BTreeSet<&String>, now: UnixMillis) -> Approvers {
        let remote = names
            .into_iter()
            .filter(|name| *name != LOCAL_ADMINISTRATOR);
        let seen = remote.filter_map(|name| self.seen(book, book.find_identity(name)?, now).ok());
        Approvers(seen.collect())
    }
}

/// Those of them whose word stands on nothing that is ended or paused, by name.
pub(in crate::issue) fn names(book: &Book, given: &[Given], now: UnixMillis) -> BTreeSet<String> {
    let standing = given.iter().filter(|given| super::counts(book, given, now));
    standing
        .filter_map(|given| super::named(book, &given.by))
        .collect()
}

impl Approvers {
    /// Whether this name counts under these policies, for this identity.
    pub(in crate::issue) fn counts(
        &self,
        name: &str,
        (subject, bundle): (&Seen, &Bundle),
        now: UnixMillis,
    ) -> bool {
        if name == LOCAL_ADMINISTRATOR {
            return true;
        }
        let Some(who) = self.0.iter().find(|seen| seen.party().name == name) else {
            return false;
        };
        let who = who.party();
        bundle.could_still(&Act {
            who,
            action: Action::ApprovalsGive,
            on: On::Identity(subject.party()),
            wider: false,
            scopes: who.scopes,
            network: None,
            time: moment(now),
        })
    }
}
