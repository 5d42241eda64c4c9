//! Standard error, where one record is one line, whatever is in it.
//!
//! Formatters escape most of what callers send, but not all of it in all places: a line break in the
//! words of an error would begin a line that looks like a record of ours. So control characters are
//! escaped once more where bytes leave the process.

use std::io::{self, Stderr, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Makes a writer for each record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    /// Colours are escape sequences of the formatter itself, which escapes those in values.
    pub(super) colours: bool,
}

/// Writes one record.
pub(super) struct Line<W> {
    to: W,
    colours: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            to: io::stderr(),
            colours: self.colours,
        }
    }
}

impl<W: Write> Write for Line<W> {
    /// The formatter hands over a whole record at once.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        // Most records are: that is seen without taking them apart, durations in microseconds (`\u{b5}s`) among them.
        let line = record.strip_suffix(b"\n").map(std::str::from_utf8);
        if line.is_some_and(|line| line.is_ok_and(|line| line.chars().all(is_plain))) {
            self.to.write_all(record)?;
            return Ok(record.len());
        }
        let text = String::from_utf8_lossy(record);
        self.to
            .write_all(one_line(&text, self.colours).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Letters of Latin-1 at most: what of the others moves a cursor is looked at one by one.
const fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{ff}')
}

fn one_line(record: &str, colours: bool) -> String {
    let record = record.strip_suffix('\n').unwrap_or(record);
    let mut line = String::with_capacity(record.len() + 1);
    for c in record.chars() {
        let harmless = !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        if harmless || c == '\t' || (colours && c == '\u{1b}') {
            line.push(c);
        } else {
            line.extend(c.escape_default());
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_begin_a_line_or_steer_a_terminal_is_escaped() {
        let said = "refused: a\r\n2026-01-01 INFO forged\u{1b}[2J\u{9b}1m\u{2028}\0\n";
        assert_eq!(
            one_line(said, false),
            "refused: a\\r\\n2026-01-01 INFO forged\\u{1b}[2J\\u{9b}1m\\u{2028}\\u{0}\n"
        );
        assert_eq!(
            one_line("\u{1b}[32mINFO\u{1b}[0m\n", true),
            "\u{1b}[32mINFO\u{1b}[0m\n"
        );
    }

    #[test]
    fn a_record_arrives_whole() {
        let mut line = Line {
            to: Vec::new(),
            colours: false,
        };
        line.write_all("größer\n".as_bytes()).unwrap();
        line.write_all(b"plain\n").unwrap();
        line.write_all("12 \u{b5}s\u{9b}\n".as_bytes()).unwrap();
        line.write_all("12 \u{b5}s\n".as_bytes()).unwrap();
        line.write_all(b"without an end").unwrap();
        line.write_all(b"two\nlines\n").unwrap();
        let all = "größer\nplain\n12 \u{b5}s\\u{9b}\n12 \u{b5}s\nwithout an end\ntwo\\nlines\n";
        assert_eq!(line.to, all.as_bytes());
    }
}
