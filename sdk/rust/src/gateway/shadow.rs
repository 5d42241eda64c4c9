//! Calls that no route names.
//!
//! A verified caller who asks for what is not in the table is either early (a deployment ahead of
//! its table) or looking around. Both are worth knowing, neither is worth memory without bound: the
//! first paths are kept with their counts, the rest is one number.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::Method;
use serde::Serialize;

use super::canonical::CanonicalPath;

/// Paths told apart between two reports.
const MAX_PATHS: usize = 64;
/// Bytes of a path that are kept.
const MAX_PATH_BYTES: usize = 128;

/// One unknown path, and how often verified callers asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShadowRoute {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) calls: u64,
}

#[derive(Default)]
pub(super) struct ShadowRoutes(Mutex<BTreeMap<(String, String), u64>>);

impl ShadowRoutes {
    #[cold]
    pub(super) fn note(&self, method: &Method, path: CanonicalPath<'_>) {
        // A canonical path is ASCII, so any place is a boundary.
        let path = path.as_str().get(..MAX_PATH_BYTES).unwrap_or(path.as_str());
        let mut method = method.as_str().to_owned();
        method.truncate(32);
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = paths.len() >= MAX_PATHS;
        let key = (method, path.to_owned());
        let key = if full && !paths.contains_key(&key) {
            ("*".to_owned(), "/*".to_owned())
        } else {
            key
        };
        let count = paths.entry(key).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// All since the last time.
    pub(super) fn take(&self) -> Vec<ShadowRoute> {
        let paths = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        paths
            .into_iter()
            .map(|((method, path), count)| ShadowRoute {
                method,
                path,
                calls: count,
            })
            .collect()
    }
}
