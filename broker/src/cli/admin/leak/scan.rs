//! Finds API keys of Lanyard in files.
//!
//! *Catches* every key that stands there as it is, whatever is around it: `lyk_`, 36 letters and digits, of which
//! the last six are the checksum of all before. *Misses* keys that are encoded, compressed or broken over lines.
//! *Why not the pattern alone:* text of that form that is no key would be reported; the checksum lets
//! one in four billion through.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::super::super::CliError;
use super::super::super::output::{self, Output};
use crate::issue::proof::api_key::ApiKey;

/// A key's length, in bytes.
const LENGTH: usize = 40;
/// Read at once.
const CHUNK: usize = 1 << 20;

/// A key, and where it stands. Enough of it to be recognised, too little to be used.
#[derive(Debug, Serialize)]
struct Hit {
    path: String,
    line: u64,
    key: String,
}

/// Looks, and fails when there is one.
pub(super) fn run(paths: &[PathBuf], output: Output) -> Result<(), CliError> {
    let (mut hits, mut files) = (Vec::new(), 0_u64);
    let mut left: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = left.pop() {
        let cannot = |error: std::io::Error| {
            CliError::cannot(format_args!("read `{}`", path.display()), &error)
        };
        let about = std::fs::symlink_metadata(&path).map_err(cannot)?;
        if about.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(cannot)? {
                left.push(entry.map_err(cannot)?.path());
            }
        } else if about.is_file() {
            files += 1;
            let file = File::open(&path).map_err(cannot)?;
            look(file, |line, key| hits.push(hit(&path, line, key))).map_err(cannot)?;
        }
    }
    let answer = json!({"files": files, "found": hits});
    output.print(&answer, |_| {
        let lines = hits.iter();
        let lines =
            lines.map(|hit| format!("{}:{}: {}\n", output::line(&hit.path), hit.line, hit.key));
        let lines: String = lines.collect();
        format!("{lines}{files} files, {} keys", hits.len())
    });
    match hits.len() {
        0 => Ok(()),
        number => Err(CliError::Failed(format!(
            "{number} found: report them (`lanyard leak report`), then take them out"
        ))),
    }
}

fn hit(path: &Path, line: u64, key: &str) -> Hit {
    Hit {
        path: path.display().to_string(),
        line,
        key: format!("{}…", key.get(..8).unwrap_or_default()),
    }
}

/// Tells every key in it with its line.
fn look(mut from: impl Read, mut found: impl FnMut(u64, &str)) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK + LENGTH);
    let mut line = 1;
    loop {
        let read = match (&mut from).take(CHUNK as u64).read_to_end(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let done = search(&buffer, read == 0, &mut line, &mut found);
        if read == 0 {
            return Ok(());
        }
        buffer.drain(..done);
    }
}

/// Searches what was read; says how much of it need not be looked at again.
fn search(text: &[u8], is_end: bool, line: &mut u64, found: &mut impl FnMut(u64, &str)) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let next = rest.iter().position(|byte| matches!(byte, b'l' | b'\n'));
        let Some(next) = next else {
            return text.len();
        };
        at += next;
        if rest.get(next) == Some(&b'\n') {
            *line += 1;
            at += 1;
            continue;
        }
        let Some(candidate) = text.get(at..at + LENGTH) else {
            if is_end {
                at += 1;
                continue;
            }
            // It may go on in what comes next.
            return at;
        };
        let key = std::str::from_utf8(candidate).ok();
        match key.filter(|key| ApiKey::parse(key).is_some()) {
            Some(key) => {
                found(*line, key);
                at += LENGTH;
            }
            None => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that keys could stand in: letters, line breaks, and what looks like the beginning of one.
    struct Noise {
        state: u64,
        left: usize,
        keys: Vec<String>,
        pending: Vec<u8>,
        every: usize,
    }

    impl Noise {
        fn next(&mut self) -> u64 {
            // xorshift64*: a stream that is the same every time.
            self.state ^= self.state >> 12;
            self.state ^= self.state << 25;
            self.state ^= self.state >> 27;
            self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        fn more(&mut self) {
            let mut block = Vec::with_capacity(self.every + 64);
            while block.len() < self.every {
                let word = self.next();
                match word % 97 {
                    0 => block.push(b'\n'),
                    1 => block.extend_from_slice(b"lyk_"),
                    2 => block.extend_from_slice("lyk_é".as_bytes()),
                    _ => block.extend(word.to_le_bytes().iter().map(|byte| b' ' + byte % 94)),
                }
            }
            if let Some(key) = self.keys.pop() {
                block.extend_from_slice(key.as_bytes());
            }
            self.left = self.left.saturating_sub(block.len());
            self.pending = block;
        }
    }

    impl Read for Noise {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.pending.is_empty() && (self.left > 0 || !self.keys.is_empty()) {
                self.more();
            }
            // In odd pieces, so that keys lie across them.
            let length = self.pending.len().min(into.len()).min(4_093);
            into[..length].copy_from_slice(&self.pending[..length]);
            self.pending.drain(..length);
            Ok(length)
        }
    }

    #[test]
    fn ten_thousand_planted_keys_are_all_found_and_nothing_else_is() {
        let keys: Vec<String> = (0..10_000)
            .map(|_| ApiKey::generate().unwrap().expose().to_owned())
            .collect();
        let mut planted = keys.clone();
        let noise = Noise {
            state: 0x9e37_79b9_7f4a_7c15,
            left: 100 << 20,
            keys,
            pending: Vec::new(),
            every: 10_450,
        };
        let mut found = Vec::new();
        look(noise, |_, key| found.push(key.to_owned())).unwrap();
        planted.sort();
        found.sort();
        assert_eq!(found.len(), 10_000);
        assert!(found == planted);
    }

    #[test]
    fn a_key_is_found_with_its_line_whatever_is_around_it() {
        let key = ApiKey::generate().unwrap();
        let text = format!(
            "a\nKEY=\"{0}\"\n{0}{0}\nlyk_{0}x\n{1}\n",
            key.expose(),
            &key.expose()[..39]
        );
        let mut lines = Vec::new();
        look(text.as_bytes(), |line, _| lines.push(line)).unwrap();
        assert_eq!(lines, [2, 3, 3, 4]);
    }
}
