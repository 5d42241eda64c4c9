//! What gateways send, read strictly; and which of it was already counted.
//!
//! A report counts once: `(gateway, epoch, seq)` names it, an epoch being one run of one gateway
//! process (an enrolment may have many), so reports may arrive twice and out of order. What was seen
//! is saved with the habits, so a report that is repeated after a restart does not count again; a crash
//! loses both alike, at most the last minute's, so what is counted again then is in no habit yet.

use std::collections::VecDeque;

use lanyard_drift::parcel::{self, Parcel};
use lanyard_drift::{OperationId, TokenReport, Unreadable};
use lanyard_token::{NodeId, Rev};
use serde::{Deserialize, Serialize};

use super::opaque::node;
use crate::store::event::TokenDigest;

/// The largest report, in bytes.
pub const MAX_REPORT_BYTES: usize = parcel::PARCEL_BYTES;
/// The most tokens in one report.
pub const MAX_ENTRIES: usize = parcel::ENTRIES;
/// The media type of the compact form.
pub const MEDIA_TYPE: &str = "application/vnd.lanyard.reports";
/// The most routes that were called and do not exist, in one report.
pub const MAX_SHADOW_ROUTES: usize = 64;
/// The most operations that one report names.
pub const MAX_OPERATIONS: usize = 1_024;
/// The most tokens that one report shows, and that one receipt asks for.
pub const MAX_SHOWN: usize = 16;
/// The longest method and path of such a route, in bytes.
const MAX_SHADOW_BYTES: usize = 512;

/// One report of one gateway process.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Chosen at random when the gateway process started.
    pub epoch: u64,
    /// Counts up from the start of the process.
    pub seq: u64,
    /// What tokens did since they were last reported.
    pub entries: Vec<Entry>,
    /// What operations are called that the entries speak of: `GET /orders/{id}`, as task scopes name them.
    #[serde(default)]
    pub operations: Vec<String>,
    /// What each of `operations` demands, in their order: scopes with spaces between them. Absent from gateways of
    /// before, and where nothing is demanded.
    #[serde(skip)]
    pub scopes: Vec<String>,
    /// Names were told before, of operations that the entries speak of and `operations` leaves out.
    #[serde(skip)]
    pub named_before: bool,
    /// Calls that matched no route.
    #[serde(default)]
    pub shadow_routes: Vec<ShadowRoute>,
    /// Tokens that an earlier receipt asked to see.
    #[serde(default)]
    pub shown: Vec<ShownToken>,
}

/// What a report in the compact form says in words, as JSON; nothing where there is nothing to say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Words {
    operations: Vec<String>,
    scopes: Vec<String>,
    named_before: bool,
    shadow_routes: Vec<ShadowRoute>,
    shown: Vec<ShownToken>,
}

/// The text of a token: whoever holds it can use it, so it is never printed.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct ShownToken(String);

impl ShownToken {
    /// The text.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ShownToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShownToken(..)")
    }
}

/// What one token did.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number (`jti`).
    pub token: NodeId,
    /// Whose, as the token says (the identity of its lineage).
    pub identity: NodeId,
    /// First eight bytes of SHA-256 over its signing input, hexadecimal.
    pub digest: TokenDigest,
    /// What it did.
    pub report: TokenReport,
}

/// Calls that matched no route of a gateway.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowRoute {
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Who asked first, where the gateway knows.
    #[serde(default)]
    pub identity: Option<NodeId>,
    /// How many calls.
    pub calls: u64,
}

/// What became of a report, in entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Counted now.
    pub accepted: u64,
    /// In a report that was counted before.
    pub duplicate: u64,
    /// About tokens this gateway has no business with, or that are long gone.
    pub refused: u64,
    /// Tokens that the gateway should show: the log does not know them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<Wanted>,
    /// Up to here the log holds everything that the report led to; absent while some of it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rev: Option<Rev>,
}

/// A token that the broker wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Its number, as the gateway reported it.
    pub token: NodeId,
    /// Its digest, as the gateway reported it.
    pub digest: TokenDigest,
}

/// Why a report was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Not of this form: do not send it again.
    #[error("not a report: {0}")]
    Malformed(String),
    /// Written by a later release: wait until this broker is of that release too.
    #[error("a report {0}")]
    Version(Unreadable),
    /// Send it again with the names of all operations that it speaks of.
    #[error(
        "this broker has not been told what some of these operations are called: name them all"
    )]
    NamesMissing,
    /// Split it.
    #[error(
        "a report has at most {MAX_ENTRIES} entries, {MAX_OPERATIONS} operations, {MAX_SHADOW_ROUTES} shadow routes and {MAX_SHOWN} shown tokens"
    )]
    TooLong,
    /// Only enrolled gateways report.
    #[error("identity `{0}` is not a gateway")]
    NotAGateway(NodeId),
}

impl Report {
    /// Reads the JSON of gateways of the release before this one. Unknown and repeated members are errors.
    pub fn parse(body: &[u8]) -> Result<Self, ReportError> {
        let report: Self = serde_json::from_slice(body)
            .map_err(|error| ReportError::Malformed(error.to_string()))?;
        for entry in &report.entries {
            entry.report.adds_up().map_err(malformed)?;
        }
        report.bounded()
    }

    /// Reads the compact form: see [`lanyard_drift::parcel`].
    pub fn read(body: &[u8]) -> Result<Self, ReportError> {
        let parcel = Parcel::read(body).map_err(malformed)?;
        let words = if parcel.words.is_empty() {
            Words::default()
        } else {
            serde_json::from_slice(parcel.words)
                .map_err(|error| ReportError::Malformed(error.to_string()))?
        };
        let entry = |entry: parcel::Entry| Entry {
            token: node(entry.token),
            identity: node(entry.identity),
            digest: TokenDigest(entry.digest),
            report: entry.report,
        };
        Self {
            epoch: parcel.run,
            seq: parcel.number,
            entries: parcel.entries.into_iter().map(entry).collect(),
            operations: words.operations,
            scopes: words.scopes,
            named_before: words.named_before,
            shadow_routes: words.shadow_routes,
            shown: words.shown,
        }
        .bounded()
    }

    /// The operations that its entries speak of.
    pub(super) fn spoken_of(&self) -> impl Iterator<Item = OperationId> + '_ {
        self.entries
            .iter()
            .flat_map(|entry| entry.report.spoken_of())
    }

    fn bounded(self) -> Result<Self, ReportError> {
        if self.entries.len() > MAX_ENTRIES
            || self.operations.len() > MAX_OPERATIONS
            || self.scopes.len() > self.operations.len()
            || self.shadow_routes.len() > MAX_SHADOW_ROUTES
            || self.shown.len() > MAX_SHOWN
        {
            return Err(ReportError::TooLong);
        }
        let long = |route: &ShadowRoute| route.method.len() + route.path.len() > MAX_SHADOW_BYTES;
        if self.shadow_routes.iter().any(long) {
            return Err(ReportError::Malformed(
                "a shadow route is too long".to_owned(),
            ));
        }
        Ok(self)
    }
}

fn malformed(why: Unreadable) -> ReportError {
    match why {
        Unreadable::Version(_) => ReportError::Version(why),
        _ => ReportError::Malformed(why.to_string()),
    }
}

/// Reports of one gateway that were counted, over its latest runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Seen {
    /// Least recently heard first.
    runs: VecDeque<Run>,
}

/// Runs remembered per gateway: more than replicas share one enrolment.
const RUNS: usize = 128;

/// Reports of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    epoch: u64,
    highest: u64,
    /// Bit `n` is set when `highest - n` was counted.
    recent: u128,
}

impl Seen {
    /// As it was saved, within bounds whatever was saved.
    pub(super) fn restored(mut self) -> Self {
        while self.runs.len() > RUNS {
            self.runs.pop_front();
        }
        self
    }

    /// Counts a report; `false` when it was counted before, or is too far behind to know.
    pub(super) fn count(&mut self, epoch: u64, seq: u64) -> bool {
        let Some(at) = self.runs.iter().position(|run| run.epoch == epoch) else {
            if self.runs.len() >= RUNS {
                self.runs.pop_front();
            }
            self.runs.push_back(Run {
                epoch,
                highest: seq,
                recent: 1,
            });
            return true;
        };
        let Some(mut run) = self.runs.remove(at) else {
            return false;
        };
        let fresh = run.count(seq);
        self.runs.push_back(run);
        fresh
    }
}

impl Run {
    fn count(&mut self, seq: u64) -> bool {
        if seq > self.highest {
            let ahead = seq - self.highest;
            let kept = u32::try_from(ahead)
                .ok()
                .and_then(|ahead| self.recent.checked_shl(ahead))
                .unwrap_or(0);
            (self.highest, self.recent) = (seq, kept | 1);
            return true;
        }
        let behind = u32::try_from(self.highest - seq)
            .ok()
            .and_then(|behind| 1_u128.checked_shl(behind));
        match behind {
            Some(bit) if self.recent & bit == 0 => {
                self.recent |= bit;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_report_counts_once_whenever_it_comes() {
        let mut seen = Seen::default();
        for seq in [1, 3, 2] {
            assert!(seen.count(7, seq), "{seq}");
        }
        for seq in [1, 2, 3] {
            assert!(!seen.count(7, seq), "{seq}");
        }
        assert!(seen.count(8, 1), "another run counts for itself");
    }

    #[test]
    fn far_behind_is_taken_for_a_repetition() {
        let mut seen = Seen::default();
        assert!(seen.count(1, 10_000));
        assert!(!seen.count(1, 1));
        assert!(seen.count(1, u64::MAX));
        assert!(!seen.count(1, u64::MAX));
    }

    #[test]
    fn a_thousand_runs_do_not_grow_what_is_kept() {
        let mut seen = Seen::default();
        for epoch in 0..1_000 {
            assert!(seen.count(epoch, 1));
        }
        assert_eq!(seen.runs.len(), RUNS);
    }

    #[test]
    fn what_is_not_a_report_is_refused_in_words() {
        for (body, word) in [
            ("", "EOF"),
            (r#"{"epoch":1,"seq":1}"#, "entries"),
            (r#"{"epoch":1,"seq":1,"entries":[],"more":1}"#, "more"),
            (r#"{"epoch":1,"epoch":1,"seq":1,"entries":[]}"#, "duplicate"),
            (r#"{"epoch":-1,"seq":1,"entries":[]}"#, "invalid value"),
            (
                r#"{"epoch":1,"seq":1,"entries":[{"token":"1"}]}"#,
                "16 lower-case",
            ),
        ] {
            let error = Report::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    #[test]
    fn what_was_counted_is_known_again_after_it_was_saved() {
        let mut seen = Seen::default();
        for seq in [1, 2, 100, 130] {
            assert!(seen.count(7, seq), "{seq}");
        }
        let saved = serde_json::to_string(&seen).unwrap();
        let mut again = serde_json::from_str::<Seen>(&saved).unwrap().restored();
        assert_eq!(again, seen);
        for seq in [2, 100, 130] {
            assert!(!again.count(7, seq), "{seq}");
        }
        assert!(again.count(7, 99) && again.count(7, 131));
    }

    #[test]
    fn numbers_that_are_none_are_refused_in_words() {
        let token = r#""token":"0000000000000001","identity":"0000000000000002""#;
        for number in ["NaN", "Infinity", "-Infinity", "1e999", "-1", "1.5", "null"] {
            let bodies = [
                format!(r#"{{"epoch":{number},"seq":1,"entries":[]}}"#),
                format!(r#"{{"epoch":1,"seq":{number},"entries":[]}}"#),
                format!(
                    r#"{{"epoch":1,"seq":1,"entries":[{{{token},"digest":"0000000000000003","report":{{"calls":{number}}}}}]}}"#
                ),
            ];
            for body in bodies {
                let error = Report::parse(body.as_bytes()).unwrap_err().to_string();
                assert!(error.starts_with("not a report: "), "{body}: {error}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_count_each_number_once(
            sequence in proptest::collection::vec(1_u64..100, 1..300),
        ) {
            let mut seen = Seen::default();
            let counted: usize = sequence.iter().map(|seq| usize::from(seen.count(1, *seq))).sum();
            let distinct: std::collections::BTreeSet<_> = sequence.iter().collect();
            prop_assert_eq!(counted, distinct.len());
        }

        #[test]
        fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Report::parse(&body);
        }
    }
}
