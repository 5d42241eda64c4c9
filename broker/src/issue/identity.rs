//! What the issue room knows: owners, identities, credentials, live tokens, signing keys, and what
//! has been revoked. A projection of the log.

mod approvals;
mod book;
mod rights;
mod risk;
mod row;
mod usage;

use std::sync::{PoisonError, RwLock};

use tokio::sync::Notify;

use crate::store::{DamagedRow, Event, Projection, Record, Row};

pub use approvals::{Approval, Given};
pub use book::{Acting, Book, Credential, Identified, LiveToken, Owner, Proof, Unusable};
pub use rights::{Right, Rights};
pub use usage::{Awake, Usage, quiet_days, whole_days};

/// The issue room's projection.
///
/// A reader sees the state between two records, together with the `rev` it stands at: a decision
/// takes both at once, so a token never claims to know of a revocation its decision had not read.
#[derive(Default)]
pub struct IssueState {
    book: RwLock<Book>,
    /// A signing key was removed, by whomever: another one may be due.
    key_gone: Notify,
}

impl IssueState {
    /// Empty: before the first record.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads. Keep it short: records wait meanwhile.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        // A panic while applying could at worst leave one record half applied in memory; the log is
        // whole, and refusing every later mint would not repair it.
        look(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a signing key has been removed.
    pub(in crate::issue) async fn key_is_gone(&self) {
        self.key_gone.notified().await;
    }

    fn write<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        change(&mut self.book.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Projection for IssueState {
    fn name(&self) -> &'static str {
        "issue-v6"
    }

    fn apply(&self, record: &Record) {
        self.write(|book| book.apply(record));
        let removed = |event: &Event| matches!(event, Event::SigningKeyRemoved { .. });
        if record.events.iter().any(removed) {
            self.key_gone.notify_one();
        }
    }

    fn changed_rows(&self) -> Vec<Row> {
        self.write(row::changed)
    }

    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        self.write(|book| row::load(book, key, value))
    }

    fn reset(&self) {
        self.write(|book| *book = Book::default());
    }
}

#[cfg(test)]
mod tests;
