//! Heads of HTTP/1.1 requests, read before the server reads them: what another server could read in another way is refused.
//!
//! **What it catches.** A head with `Content-Length` and `Transfer-Encoding`, with two of either, with an encoding that is
//! not `chunked` alone, or with a line that a line feed alone ends.
//!
//! **What it misses.** What stands in bodies: the server takes those apart, and breaks off at what is no chunk. Extensions
//! of chunks are let through, since whoever reads chunks must ignore those it does not know (RFC 9112, 7.1.1): they end
//! here, because the third party gets chunks of egress's own making.
//!
//! **Why here?** Of `Content-Length` and `Transfer-Encoding` the server keeps one and tells nobody of the other.
//!
//! **How it knows where a head begins.** At first, after a head without a body, and so many bytes later as a head
//! promised. After a chunked body or an upgrade nothing more is read: see [`ends_connection`].

use http::HeaderMap;
use http::header::{TRANSFER_ENCODING, UPGRADE};

/// The longest line of a head that is looked at; the server refuses heads that are longer as a whole.
const LONGEST_LINE: usize = 64 * 1024;
/// The first line of a connection that speaks HTTP/2 (RFC 9113, 3.4): its frames have their lengths once.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// Where one connection is.
pub(super) struct Framing {
    state: State,
    /// The line that has begun.
    line: Vec<u8>,
}

enum State {
    /// Within a head; what its lines said so far.
    Head(Head),
    /// Within a body of so many more bytes.
    Body(u64),
    /// What comes is not looked at.
    Over,
}

#[derive(Default)]
struct Head {
    has_begun: bool,
    length: Option<u64>,
    is_chunked: bool,
    is_upgrade: bool,
}

/// Two servers could take it for two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ambiguous;

impl Default for Framing {
    fn default() -> Self {
        Self {
            state: State::Head(Head::default()),
            line: Vec::new(),
        }
    }
}

impl Framing {
    /// Takes what came next. What is refused begins at the place that is given, or before what was given here.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), (usize, Ambiguous)> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.state {
                State::Over => return Ok(()),
                State::Body(left) => {
                    let some = (*left).min(rest.len() as u64);
                    *left -= some;
                    at += usize::try_from(some).unwrap_or(rest.len());
                    if *left == 0 {
                        self.state = State::Head(Head::default());
                    }
                }
                State::Head(head) => {
                    let Some(end) = memchr::memchr(b'\n', rest).map(|end| end + 1) else {
                        self.line.extend_from_slice(rest);
                        if self.line.len() > LONGEST_LINE {
                            self.state = State::Over;
                        }
                        return Ok(());
                    };
                    let line = rest.get(..end).unwrap_or_default();
                    let next = if self.line.is_empty() {
                        head.line(line)
                    } else {
                        self.line.extend_from_slice(line);
                        head.line(&self.line)
                    };
                    let next = next.map_err(|ambiguous| (at, ambiguous))?;
                    at += end;
                    self.line.clear();
                    if let Some(next) = next {
                        self.state = next;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Head {
    /// Takes one line; gives what comes after the last one.
    fn line(&mut self, line: &[u8]) -> Result<Option<State>, Ambiguous> {
        let line = line.strip_suffix(b"\r\n").ok_or(Ambiguous)?;
        if line.is_empty() {
            // Before the first line some clients send empty ones.
            return Ok(self.has_begun.then(|| self.after()));
        }
        if !self.has_begun {
            self.has_begun = true;
            return Ok((line == HTTP_2).then_some(State::Over));
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        let value = value.unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_second = self.length.is_some() || self.is_chunked;
            self.length = Some(number(value).filter(|_| !is_second).ok_or(Ambiguous)?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.length.is_some() || self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Ambiguous);
            }
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.is_upgrade = true;
        }
        Ok(None)
    }

    fn after(&self) -> State {
        match self.length {
            _ if self.is_chunked || self.is_upgrade => State::Over,
            None | Some(0) => State::Head(Self::default()),
            Some(length) => State::Body(length),
        }
    }
}

/// Digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let is_plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_plain)?;
    text.parse().ok()
}

/// Whether the connection of a request over HTTP/1.1 has to end with its answer: nobody looks at the heads that come after
/// a chunked body, or after an upgrade that did not become one.
pub(in super::super) fn ends_connection(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str, chunk: usize) -> Result<(), Ambiguous> {
        let mut framing = Framing::default();
        for part in text.as_bytes().chunks(chunk) {
            framing.take(part).map_err(|(_, ambiguous)| ambiguous)?;
        }
        Ok(())
    }

    const FIRST: &str = "POST /x HTTP/1.1\r\nhost: x\r\n";

    #[test]
    fn what_two_servers_read_in_two_ways_is_refused_over_every_border() {
        for lines in [
            "content-length: 4\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "transfer-encoding: identity, chunked\r\n",
            "transfer-encoding: chunked, chunked\r\n",
            "transfer-encoding: gzip\r\n",
            "transfer-encoding:\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "content-length: 4\r\ncontent-length: 4\r\n",
            "content-length: 4\r\ncontent-length: 5\r\n",
            "content-length: 4, 4\r\n",
            "content-length: +4\r\n",
            "content-length: 0x4\r\n",
            "content-length: 4 4\r\n",
            "content-length:\r\n",
            "content-length: 99999999999999999999999\r\n",
            "x: y\ncontent-length: 4\r\n",
            "x: y\n",
        ] {
            let text = format!("{FIRST}{lines}\r\n");
            for chunk in 1..=text.len() {
                assert_eq!(judged(&text, chunk), Err(Ambiguous), "{lines:?} by {chunk}");
            }
            // And behind one that is in order.
            let later = format!("{FIRST}content-length: 3\r\n\r\n\n\n\n{text}");
            assert_eq!(judged(&later, 7), Err(Ambiguous), "{lines:?}");
        }
    }

    #[test]
    fn what_is_read_in_one_way_passes() {
        for text in [
            format!("{FIRST}\r\n{FIRST}\r\n"),
            format!("\r\n\r\n{FIRST}content-length: 5\r\n\r\na\nb\nc{FIRST}\r\n"),
            format!("{FIRST}content-length: 0\r\n\r\n{FIRST}\r\n"),
            format!("{FIRST}Transfer-Encoding:  Chunked \r\n\r\n5;x=\"y\"\r\nhello\r\n0\r\n\r\n"),
            format!("{FIRST}upgrade: websocket\r\n\r\n\u{1}\n\n"),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\0".to_owned(),
            format!("{FIRST}x-content-length: 4\r\nte: chunked\r\n\r\n"),
        ] {
            for chunk in 1..=text.len() {
                assert_eq!(judged(&text, chunk), Ok(()), "{text:?} by {chunk}");
            }
        }
    }

    #[test]
    fn what_is_refused_begins_where_it_is_said() {
        let good = format!("{FIRST}\r\n");
        let bad = format!("{FIRST}x: y\n\r\n");
        let (at, _) = Framing::default()
            .take(format!("{good}{bad}").as_bytes())
            .unwrap_err();
        assert_eq!(at, good.len() + FIRST.len());
    }
}
