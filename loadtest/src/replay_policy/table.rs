//! A rehearsal as a table for people.

use std::fmt::Write;

use lanyard_drift::Millis;
use lanyard_drift::rehearsal::{Step, Tally};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Replayed;

/// Steps shown one by one; JSON has more.
const SHOWN: usize = 40;

/// The whole table.
pub(super) fn of(replayed: &Replayed) -> String {
    let rehearsal = &replayed.rehearsal;
    let mut text = format!(
        "{} windows of {} identities, {} calls",
        rehearsal.windows, rehearsal.identities, rehearsal.calls
    );
    if let Some((first, last)) = rehearsal.between {
        let _ = write!(text, ", {} to {}", moment(first), moment(last));
    }
    let levels = rehearsal.levels;
    let _ = writeln!(
        text,
        "\n{} benign, {} anomalous, {} malicious; {} more of tokens that had been recycled\n",
        levels.benign, levels.anomalous, levels.malicious, rehearsal.moved_windows
    );
    let _ = writeln!(
        text,
        "{:<10}{:>10}{:>10}{:>10}",
        "response", "would", "did", "both"
    );
    for (response, count) in RESPONSES {
        let _ = writeln!(
            text,
            "{response:<10}{:>10}{:>10}{:>10}",
            count(&rehearsal.would),
            count(&rehearsal.done),
            count(&rehearsal.both)
        );
    }
    let _ = writeln!(
        text,
        "\n{} calls would have been refused after that, whoever made them; a cap would have been met {} times",
        rehearsal.refused_calls, rehearsal.capped
    );
    if replayed.unread > 0 {
        let _ = writeln!(
            text,
            "{} lines could not be read as windows",
            replayed.unread
        );
    }
    for step in rehearsal.steps.iter().take(SHOWN) {
        line(&mut text, step);
    }
    let more = rehearsal.steps.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(text, "… and {more} more; --json has them");
    }
    text
}

type Count = fn(&Tally) -> u64;

const RESPONSES: [(&str, Count); 5] = [
    ("alert", |tally| tally.alert),
    ("recycle", |tally| tally.recycle),
    ("narrow", |tally| tally.narrow),
    ("suspend", |tally| tally.suspend),
    ("revoke", |tally| tally.revoke),
];

fn line(text: &mut String, step: &Step) {
    let node = step
        .node
        .map_or_else(|| "-".to_owned(), |node| node.to_string());
    let _ = writeln!(
        text,
        "{}  {:<8} {node}  of {}{}  {}",
        moment(step.at),
        step.response.word(),
        step.identity,
        if step.also_done { ", also done" } else { "" },
        // Names came from elsewhere: control characters are shown, not obeyed.
        step.sentence.escape_debug()
    );
}

fn moment(at: Millis) -> String {
    let seconds = i64::try_from(at.0 / 1_000).ok();
    let time = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "-".to_owned())
}
