//! Habits, kept beside the log.
//!
//! Baselines are not events: they change with every window, and losing a minute of learning costs
//! nothing. So they are saved whole, now and then. What must not happen is that somebody puts back
//! older or other habits: the saved form is sealed, and its version is told to the log once an hour
//! and at the end, so a copy older than that is refused. (A copy from within the last hour passes:
//! an hour of learning is what that attacker wins.)

mod file;

use std::path::PathBuf;

use lanyard_drift::Baseline;
use lanyard_token::NodeId;
use ring::digest;
use serde::{Deserialize, Serialize};

pub use file::BaselineFile;

use super::intake::Seen;
use super::paging::Pager;
use super::series::Point;
use crate::crypto::CryptoError;

/// A place that keeps one sealed copy of all baselines.
pub trait BaselineStore: Send + Sync + 'static {
    /// What was saved last; `None` when nothing ever was.
    fn load(&self) -> Result<Option<Vec<u8>>, BaselineError>;
    /// What was saved before that: the last good one when that cannot be read.
    fn load_before(&self) -> Result<Option<Vec<u8>>, BaselineError>;
    /// Replaces what was saved last, at once or not at all, and keeps that as what was before.
    fn save(&self, plain: &[u8]) -> Result<(), BaselineError>;
    /// Moves what was saved last out of the way, for a person to look at.
    fn set_aside(&self) -> Result<(), BaselineError>;
}

/// Why baselines cannot be read or saved. The broker goes on without: everybody is new to it then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// Sealed under another key, or changed.
    #[error("the saved baselines were changed, cut, or sealed under another key")]
    Damaged,
    /// Written by another release, or not by Lanyard.
    #[error("the saved baselines cannot be read: {0}")]
    Format(String),
    /// The log was told of a newer copy.
    #[error("the saved baselines are an older copy: version {found}, the log knows {expected}")]
    RolledBack { found: u64, expected: u64 },
    /// The operating system said no.
    #[error("cannot {action} `{path}`")]
    Io {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    /// Could not be sealed.
    #[error("cannot seal the baselines")]
    Seal(#[from] CryptoError),
}

/// All baselines, as they are saved.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    /// One higher each time.
    pub(super) version: u64,
    pub(super) baselines: Vec<(NodeId, Box<Baseline>)>,
    /// Reports that were counted, by gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) seen: Vec<(NodeId, Seen)>,
    /// How far windows went over time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) series: Vec<(NodeId, Vec<Point>)>,
    /// What the pager has spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pager: Option<Pager>,
}

impl Saved {
    /// Reads what was saved last, if the log knows of nothing newer.
    pub(super) fn load(store: &dyn BaselineStore, expected: u64) -> Result<Self, BaselineError> {
        Self::read(store.load()?, expected)
    }

    /// The same with the copy before it, for when that cannot be read. It may be one version older than
    /// the log knows, as it is after every orderly end: a minute of learning, where whoever can write
    /// the folder wins an hour's anyway.
    pub(super) fn load_before(
        store: &dyn BaselineStore,
        expected: u64,
    ) -> Result<Self, BaselineError> {
        Self::read(store.load_before()?, expected.saturating_sub(1))
    }

    fn read(saved: Option<Vec<u8>>, expected: u64) -> Result<Self, BaselineError> {
        let saved: Self = match saved {
            Some(plain) => serde_json::from_slice(&plain)
                .map_err(|error| BaselineError::Format(error.to_string()))?,
            None => Self::default(),
        };
        if saved.version < expected {
            return Err(BaselineError::RolledBack {
                found: saved.version,
                expected,
            });
        }
        Ok(saved)
    }

    pub(super) fn save(&self, store: &dyn BaselineStore) -> Result<(), BaselineError> {
        let plain =
            serde_json::to_vec(self).map_err(|error| BaselineError::Format(error.to_string()))?;
        store.save(&plain)
    }
}

/// Names a baseline, or bounds, by its content: SHA-256 over its serialised form, hexadecimal.
pub(super) fn content_hash(content: &impl Serialize) -> String {
    use std::fmt::Write as _;
    let bytes = serde_json::to_vec(content).unwrap_or_default();
    let mut text = String::with_capacity(64);
    for byte in digest::digest(&digest::SHA256, &bytes).as_ref() {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps the copy in memory.
    #[derive(Default)]
    pub(in crate::watch) struct InMemory(pub(in crate::watch) Mutex<Option<Vec<u8>>>);

    impl BaselineStore for InMemory {
        fn load(&self) -> Result<Option<Vec<u8>>, BaselineError> {
            Ok(self.0.lock().unwrap().clone())
        }
        fn load_before(&self) -> Result<Option<Vec<u8>>, BaselineError> {
            Ok(None)
        }
        fn save(&self, plain: &[u8]) -> Result<(), BaselineError> {
            *self.0.lock().unwrap() = Some(plain.to_vec());
            Ok(())
        }
        fn set_aside(&self) -> Result<(), BaselineError> {
            *self.0.lock().unwrap() = None;
            Ok(())
        }
    }

    #[test]
    fn an_older_copy_than_the_log_knows_is_refused() {
        let store = InMemory::default();
        Saved {
            version: 4,
            ..Saved::default()
        }
        .save(&store)
        .unwrap();
        assert_eq!(Saved::load(&store, 4).unwrap().version, 4);
        let error = Saved::load(&store, 5).unwrap_err().to_string();
        assert_eq!(
            error,
            "the saved baselines are an older copy: version 4, the log knows 5"
        );
        store.set_aside().unwrap();
        assert!(
            Saved::load(&store, 5).is_err(),
            "a missing copy is an older one too"
        );
        assert_eq!(Saved::load(&store, 0).unwrap().version, 0);
    }

    #[test]
    fn another_format_is_refused_in_words() {
        let store = InMemory::default();
        let mut baseline = serde_json::to_value(Baseline::empty()).unwrap();
        baseline["version"] = 99.into();
        let saved =
            serde_json::json!({"version": 1, "baselines": [["0000000000000001", baseline]]});
        store.save(&serde_json::to_vec(&saved).unwrap()).unwrap();
        let error = Saved::load(&store, 0).unwrap_err().to_string();
        assert!(error.contains("version 99"), "{error}");
    }

    #[test]
    fn equal_habits_have_equal_names() {
        assert_eq!(
            content_hash(&Baseline::empty()),
            content_hash(&Baseline::empty())
        );
        assert_eq!(content_hash(&Baseline::empty()).len(), 64);
    }
}
