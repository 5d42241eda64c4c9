//! This program under valgrind, and what its measured functions took.
//!
//! Callgrind notes for each call the instructions from there to its return, callees included. A measured function is
//! never inlined and is called from one place alone, so the sum over its calls is what the path took: starting up,
//! making keys and getting warm are not in it, and other threads are not either.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// The module of the measured functions, as their names begin.
const MEASURED: &str = "lanyard_guard::cases::measured::";

/// Instructions of one call on average, by function.
pub(crate) type Counts = BTreeMap<String, f64>;

/// Why nothing could be counted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallgrindError {
    /// Install it.
    #[error("valgrind cannot be started: is the package `valgrind` installed?")]
    Start(#[source] io::Error),
    /// The program, or valgrind, said why.
    #[error("valgrind ended with an error")]
    Failed,
    /// The counts cannot be read.
    #[error("what callgrind wrote cannot be read")]
    Unreadable(#[source] io::Error),
    /// The functions were inlined, renamed or never called.
    #[error("callgrind saw no call of a measured function")]
    Nothing,
}

/// Runs `program --play` and counts.
pub(crate) fn count(program: &Path) -> Result<Counts, CallgrindError> {
    let folder = std::env::temp_dir().join(format!("lanyard-guard-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(CallgrindError::Unreadable)?;
    let counted = count_in(&folder, program);
    // What is left in a temporary folder harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    counted
}

fn count_in(folder: &Path, program: &Path) -> Result<Counts, CallgrindError> {
    let out = folder.join("counts");
    let mut option = std::ffi::OsString::from("--callgrind-out-file=");
    option.push(&out);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        // Names in full at each place, so that a line can be read by itself.
        .args(["--compress-strings=no", "--compress-pos=no"])
        .arg(option)
        .arg(program)
        .arg("--play")
        .stdin(Stdio::null())
        .status()
        .map_err(CallgrindError::Start)?;
    if !status.success() {
        return Err(CallgrindError::Failed);
    }
    let text = std::fs::read(&out).map_err(CallgrindError::Unreadable)?;
    let counts = read(&String::from_utf8_lossy(&text));
    match counts.is_empty() {
        true => Err(CallgrindError::Nothing),
        false => Ok(counts),
    }
}

/// Sums up `cfn=NAME`, `calls=NUMBER …` and the line after it, whose last word is the cost.
fn read(text: &str) -> Counts {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut called = None;
    let mut calls: Option<f64> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            called = measured(name);
        } else if let Some(rest) = line.strip_prefix("calls=") {
            calls = rest.split(' ').next().and_then(|word| word.parse().ok());
        } else if let Some(number) = calls.take()
            && let Some(name) = called.take()
        {
            let cost: f64 = line
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0.0);
            let sum = sums.entry(name).or_insert((0.0, 0.0));
            *sum = (sum.0 + cost, sum.1 + number);
        }
    }
    sums.into_iter()
        .map(|(name, (cost, calls))| (name.to_owned(), cost / calls.max(1.0)))
        .collect()
}

/// The last part of a measured function's name; whatever the compiler adds to it is cut off.
fn measured(name: &str) -> Option<&str> {
    let rest = name.get(name.find(MEASURED)? + MEASURED.len()..)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    rest.get(..end.unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_up_over_all_places_and_other_functions_are_left_out() {
        let text = "\
fn=main
cfn=lanyard_guard::cases::measured::seen_token::h0123
calls=3 0
12 300
cfn=somebody_else
calls=7 0
13 7000
fn=other
cfn=lanyard_guard::cases::measured::seen_token::h0123
calls=1 0
14 500
15 99
";
        let counts = read(text);
        assert_eq!(counts.len(), 1);
        assert_eq!(counts["seen_token"], 200.0);
    }
}
