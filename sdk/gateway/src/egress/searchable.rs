//! Whether a credential in an answer could be found: what is encoded on its way here is not handed on.
//!
//! **What it catches.** Codings of the content or the transfer, differences to an earlier answer (RFC 3229), several parts
//! in one answer that a value could be cut between, and texts in which a letter is not the byte that ASCII has for it.
//!
//! **What it misses.** Whoever says nothing, or something else than what he sends: a third party that wants to give its
//! caller the credential can. An honest one does not by accident.

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, TRANSFER_ENCODING};

/// What an answer has that is only a difference.
const DIFFERENCE: HeaderName = HeaderName::from_static("im");
/// Several ranges of one thing, each in a part of its own (RFC 9110, 14.6).
const RANGES: &str = "multipart/byteranges";
/// How the names of character sets begin in which ASCII is ASCII.
const LIKE_ASCII: [&str; 19] = [
    "ansi_x3.4",
    "ascii",
    "big5",
    "cp125",
    "cp866",
    "euc-",
    "gb18030",
    "gb2312",
    "gbk",
    "iso-8859-",
    "iso8859-",
    "koi8-",
    "latin",
    "shift-jis",
    "shift_jis",
    "us-ascii",
    "utf-8",
    "utf8",
    "windows-",
];

/// Whether an answer with this head can be searched.
pub(super) fn is_searchable(headers: &HeaderMap) -> bool {
    is_only(headers, &CONTENT_ENCODING, "identity")
        // Chunks alone are taken off on the way here.
        && is_only(headers, &TRANSFER_ENCODING, "chunked")
        && !headers.contains_key(&DIFFERENCE)
        && headers
            .get_all(CONTENT_TYPE)
            .iter()
            .all(|value| is_plain_text(value.as_bytes()))
}

fn is_only(headers: &HeaderMap, name: &HeaderName, plain: &str) -> bool {
    headers.get_all(name).iter().all(|value| {
        value
            .as_bytes()
            .trim_ascii()
            .eq_ignore_ascii_case(plain.as_bytes())
    })
}

/// Whether letters of this kind of content are bytes of ASCII, one after the other.
fn is_plain_text(kind: &[u8]) -> bool {
    let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    if parts.next() == Some(RANGES) {
        return false;
    }
    let mut sets = parts.filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "charset").then(|| value.trim().trim_matches('"'))
    });
    sets.all(|set| {
        LIKE_ASCII
            .iter()
            .any(|beginning| set.starts_with(beginning))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(name: &'static str, value: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        is_searchable(&headers)
    }

    #[test]
    fn what_could_hide_a_credential_is_not_searched() {
        for (name, value) in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity, gzip"),
            ("transfer-encoding", "gzip, chunked"),
            ("im", "vcdiff"),
            ("content-type", "multipart/byteranges; boundary=x"),
            ("content-type", "Multipart/ByteRanges"),
            ("content-type", "text/plain;charset=UTF-16"),
            ("content-type", "text/plain; a=b; charset = \"utf-32le\""),
            ("content-type", "text/plain; charset=utf-8; charset=utf-7"),
            ("content-type", "application/json; charset=IBM037"),
            ("content-type", "text/html; charset="),
        ] {
            assert!(!says(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn what_an_honest_third_party_says_is() {
        assert!(is_searchable(&HeaderMap::new()));
        for (name, value) in [
            ("content-encoding", "Identity"),
            ("transfer-encoding", "chunked"),
            ("content-type", "application/json"),
            ("content-type", "application/json; charset=utf-8"),
            ("content-type", "text/html;Charset=\"ISO-8859-1\""),
            ("content-type", "text/plain; charset=Shift_JIS"),
            ("content-type", "multipart/mixed; boundary=charset=utf-16"),
        ] {
            assert!(says(name, value), "{name}: {value}");
        }
    }
}
