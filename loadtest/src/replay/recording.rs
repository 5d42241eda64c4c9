//! Recorded traffic, parsed: what was called apart from what somebody later said about it.
//!
//! The format is one zstd-compressed CSV row per observed call; a file has the columns its source knew, and an
//! absent value is empty. A row becomes a [`Call`] and a [`Label`] in two separate lists: only calls can be
//! replayed, so no label can reach the broker by accident. A scenario is the task of an agent, but the name of the
//! attack where one was staged, so it is kept with the labels.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, macros::format_description};

/// What was observed, in the order of the recorded clock.
#[derive(Debug, Default)]
pub struct Recording {
    /// The calls.
    pub calls: Vec<Call>,
    /// What is known about each call, for scoring only: `labels[i]` belongs to `calls[i]`.
    pub labels: Vec<Label>,
    /// What each call was part of, by the same index: the task of an agent, or the attack that was staged.
    pub scenarios: Vec<String>,
    /// Rows that recorded no call (sessions that ended before they made one).
    pub without_call: usize,
}

/// One observed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Whose credential.
    pub identity: String,
    /// Which run or access key; `None` when it was not recorded.
    pub session: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub at_millis: u64,
    /// What was called.
    pub operation: String,
    /// On what; `None` when it was not recorded.
    pub resource: Option<String>,
    /// From where; `None` when it was not recorded or is not an address.
    pub source: Option<IpAddr>,
    /// Client fingerprint.
    pub agent: Option<String>,
    /// Size of the answer.
    pub bytes: Option<u64>,
    /// Answer as an HTTP status.
    pub status: u16,
}

/// What somebody later said about a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(pub String);

/// The recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// No such file, or it is not zstd.
    #[error("cannot read the recording `{path}`; LANYARD_DATA names the folder of recordings")]
    Open { path: PathBuf, source: io::Error },
    /// A row is not CSV or lacks a column.
    #[error("row {row} of `{path}` cannot be read")]
    Row {
        path: PathBuf,
        row: usize,
        source: csv::Error,
    },
    /// A time is in no known form.
    #[error("row {row} of `{path}`: `{text}` is no time")]
    Time {
        path: PathBuf,
        row: usize,
        text: String,
    },
    /// The file has no calls.
    #[error("the recording `{path}` has no calls")]
    Empty { path: PathBuf },
}

/// Files without a clock are replayed as one call a second.
const SECONDS_BETWEEN_UNTIMED_CALLS: u64 = 1;

#[derive(Deserialize)]
struct Row {
    identity: String,
    #[serde(default)]
    session: String,
    #[serde(default)]
    seq: Option<i64>,
    #[serde(default)]
    ts: String,
    operation: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    bytes: Option<u64>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    scenario: String,
}

impl Recording {
    /// Reads a `.csv.zst` file.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |source| RecordingError::Open {
            path: path.to_owned(),
            source,
        };
        let text = zstd::Decoder::new(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
        Self::read(text, path)
    }

    fn read(text: impl io::Read, path: &Path) -> Result<Self, RecordingError> {
        let mut rows = Vec::new();
        let mut without_call = 0;
        for (index, row) in csv::Reader::from_reader(text)
            .deserialize::<Row>()
            .enumerate()
        {
            // The header is line 1.
            let number = index + 2;
            let row = row.map_err(|source| RecordingError::Row {
                path: path.to_owned(),
                row: number,
                source,
            })?;
            if row.seq.is_some_and(|seq| seq < 0) || row.operation.is_empty() {
                without_call += 1;
                continue;
            }
            let untimed = (index as u64).saturating_mul(SECONDS_BETWEEN_UNTIMED_CALLS * 1_000);
            let at_millis = if row.ts.is_empty() {
                untimed
            } else {
                time_of(&row.ts).ok_or_else(|| RecordingError::Time {
                    path: path.to_owned(),
                    row: number,
                    text: row.ts.clone(),
                })?
            };
            let known_later = (Label(row.label.clone()), row.scenario.clone());
            rows.push((call(row, at_millis), known_later));
        }
        if rows.is_empty() {
            return Err(RecordingError::Empty {
                path: path.to_owned(),
            });
        }
        // Some servers log in the order of completion; the sort is stable, so equal times keep their order.
        rows.sort_by_key(|(call, _)| call.at_millis);
        let (calls, known_later): (_, Vec<_>) = rows.into_iter().unzip();
        let (labels, scenarios) = known_later.into_iter().unzip();
        Ok(Self {
            calls,
            labels,
            scenarios,
            without_call,
        })
    }

    /// Keeps the first calls only.
    pub fn truncate(&mut self, calls: usize) {
        self.calls.truncate(calls);
        self.labels.truncate(calls);
        self.scenarios.truncate(calls);
    }
}

fn call(row: Row, at_millis: u64) -> Call {
    let some = |text: String| (!text.is_empty()).then_some(text);
    Call {
        identity: row.identity,
        session: some(row.session),
        at_millis,
        status: status_of(&row.status),
        operation: row.operation,
        resource: some(row.resource),
        source: row.source.parse().ok(),
        agent: some(row.agent),
        bytes: row.bytes,
    }
}

/// RFC 3339, or the form web servers log in.
fn time_of(text: &str) -> Option<u64> {
    let web_log = format_description!(
        "[day]/[month repr:short]/[year]:[hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
    );
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(text, web_log))
        .ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Recordings of APIs that are not HTTP say `ok` or an error's name.
fn status_of(text: &str) -> u16 {
    if let Ok(status) = text.parse::<u16>()
        && (200..=599).contains(&status)
    {
        return status;
    }
    let has = |part: &str| text.contains(part);
    match text {
        "" | "ok" => 200,
        _ if has("Denied") || has("Unauthorized") || has("Forbidden") => 403,
        _ if has("NotFound") || has("NoSuch") => 404,
        _ if has("Throttl") || has("Limit") => 429,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIL: &str = "identity,session,seq,ts,operation,resource,source,agent,bytes,status,label,scenario\n\
        a,,1,2023-07-10T11:42:23Z,s3:GetObject,bucket=x,10.0.0.1,Boto3,12,AccessDenied,attack,\n\
        a,,0,2023-07-10T11:42:18Z,iam:ListUsers,,cloudtrail.amazonaws.com,,,ok,unlabelled,\n\
        a,,-1,,,,,,,,clean,\n";

    fn read(text: &str) -> Recording {
        Recording::read(text.as_bytes(), Path::new("test.csv")).unwrap()
    }

    #[test]
    fn calls_come_in_the_order_of_the_recorded_clock() {
        let recording = read(TRAIL);
        assert_eq!(recording.calls.len(), 2);
        assert_eq!(recording.without_call, 1);
        assert_eq!(recording.calls[0].operation, "iam:ListUsers");
        assert_eq!(
            recording.calls[1].at_millis - recording.calls[0].at_millis,
            5_000
        );
        assert_eq!(recording.labels[1], Label("attack".to_owned()));
    }

    #[test]
    fn what_was_not_recorded_is_absent_not_zero() {
        let recording = read(TRAIL);
        assert_eq!(recording.calls[0].source, None, "a host name is no address");
        assert_eq!(recording.calls[0].bytes, None);
        assert_eq!(recording.calls[0].resource, None);
        assert_eq!(recording.calls[0].session, None);
        assert_eq!(recording.calls[1].bytes, Some(12));
    }

    #[test]
    fn statuses_are_http() {
        for (text, status) in [
            ("ok", 200),
            ("", 200),
            ("AccessDenied", 403),
            ("NoSuchBucket", 404),
            ("301", 301),
            ("odd", 400),
        ] {
            assert_eq!(status_of(text), status, "{text}");
        }
    }

    #[test]
    fn web_server_times_are_read() {
        assert_eq!(
            time_of("18/Jan/2015:02:31:50 -0800"),
            Some(1_421_577_110_000)
        );
        assert_eq!(time_of("yesterday"), None);
    }

    #[test]
    fn a_file_without_a_clock_runs_at_one_call_a_second() {
        let recording = read("identity,seq,operation,label\nu,0,ls,train\nu,1,cat,train\n");
        assert_eq!(recording.calls[1].at_millis, 1_000);
    }
}
