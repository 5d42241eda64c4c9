//! One spelling per path.
//!
//! What it catches: a path that the gateway reads one way and the service behind it another:
//! dot segments, encoded dots and slashes, double encoding, empty segments, matrix parameters,
//! backslashes, NUL, overlong UTF-8. Nothing is repaired. A path is either already the only
//! accepted spelling of itself, or it is refused; so what the gateway matched is byte for byte
//! what the service sees.
//!
//! The rule is one table: every byte of a decoded segment has one accepted spelling or none.
//! Bytes that RFC 3986 (3.3, `pchar`) lets stand are written raw, the others as `%` and two
//! upper-case digits. `/ \ ; ? # %` and control characters have no spelling inside a segment:
//! each of them has meant "another path" to some server. Decoding is therefore one-to-one on what
//! is accepted, and no decoding is needed to compare two paths.
//!
//! What it does not do: `/admin/` and `/Admin` are proper spellings of *other* paths. They match
//! no template of `/admin`, which is a refusal too.
//!
//! Why not normalise, as RFC 3986 (6.2.2) describes: whoever normalises has to forward the result,
//! and a checker that sits beside the request (a sidecar asked for its opinion) cannot.

/// Longest accepted path in bytes. Templates are far shorter; the rest is somebody's probe.
pub const MAX_PATH_BYTES: usize = 2_048;

/// Most segments of an accepted path.
pub const MAX_SEGMENTS: usize = 32;

/// A path in its one accepted spelling, beginning with a slash, without query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalPath<'a>(&'a str);

/// The path is not in its one accepted spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is not in canonical form")]
pub struct NotCanonical;

impl<'a> CanonicalPath<'a> {
    /// Takes a path as it stood on the request line.
    pub fn parse(path: &'a str) -> Result<Self, NotCanonical> {
        let bytes = path.as_bytes();
        if bytes.len() > MAX_PATH_BYTES {
            return Err(NotCanonical);
        }
        if is_plain(bytes) {
            return Ok(Self(path));
        }
        let Some((b'/', mut rest)) = bytes.split_first() else {
            return Err(NotCanonical);
        };
        let mut segments = 1;
        let mut segment = Segment::default();
        while let Some((&byte, after)) = rest.split_first() {
            rest = match spelling(byte) {
                Spelling::Raw => {
                    segment.take(byte)?;
                    after
                }
                Spelling::Slash => {
                    segment.finish_inner()?;
                    segment = Segment::default();
                    segments += 1;
                    after
                }
                Spelling::Percent => {
                    let (byte, after) = escaped(after)?;
                    segment.take_escaped(byte)?;
                    after
                }
                Spelling::None => return Err(NotCanonical),
            };
        }
        segment.finish_last()?;
        if segments > MAX_SEGMENTS {
            return Err(NotCanonical);
        }
        Ok(Self(path))
    }

    /// The path.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// The segments between the slashes, in order. The root has one empty segment, and a path that
    /// ends in a slash ends in one.
    #[must_use]
    pub fn segments(self) -> Segments<'a> {
        Segments(Some(self.0.strip_prefix('/').unwrap_or(self.0)))
    }

    /// The segment with this number, beginning with 0.
    pub(crate) fn segment(self, position: usize) -> Option<&'a str> {
        self.segments().nth(position)
    }
}

/// The segments of a path that are left.
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a>(Option<&'a str>);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0?;
        // By hand: segments are short, and a search that is good at long texts takes longer to begin.
        let slash = rest.bytes().position(|byte| byte == b'/');
        let parts = slash.and_then(|slash| rest.split_at_checked(slash));
        let segment = parts.map_or(rest, |(segment, _)| segment);
        self.0 = parts.and_then(|(_, rest)| rest.get(1..));
        Some(segment)
    }
}

/// Whether a path is canonical at first sight: letters, digits, `-` and `_` between single slashes. What
/// is not may be canonical all the same. Nearly every path is, and every call has one, so each byte costs a
/// look into a table and no branch.
fn is_plain(path: &[u8]) -> bool {
    let (mut segments, mut foreign) = (0_usize, 0);
    // As if something stood before the first byte, which must be a slash then.
    let mut before = PLAIN;
    for byte in path {
        let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(FOREIGN);
        // Two slashes in a row have the same bit twice.
        foreign |= (kind & FOREIGN) | (kind & before & SLASH);
        segments += usize::from(kind & SLASH);
        before = kind;
    }
    path.first() == Some(&b'/') && foreign == 0 && segments <= MAX_SEGMENTS
}

const SLASH: u8 = 1;
const PLAIN: u8 = 2;
const FOREIGN: u8 = 4;

/// What each byte is at first sight.
static KINDS: [u8; 256] = kinds();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which fails beyond the end"
)]
const fn kinds() -> [u8; 256] {
    let mut kinds = [FOREIGN; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'/' => SLASH,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => PLAIN,
            _ => FOREIGN,
        };
        byte += 1;
    }
    kinds
}

/// What has been seen of the current segment.
#[derive(Default)]
struct Segment {
    length: usize,
    only_dots: bool,
    utf8: Utf8,
}

impl Segment {
    fn take(&mut self, byte: u8) -> Result<(), NotCanonical> {
        self.only_dots = byte == b'.' && (self.length == 0 || self.only_dots);
        self.length += 1;
        self.utf8.expect_boundary()
    }

    fn take_escaped(&mut self, byte: u8) -> Result<(), NotCanonical> {
        self.only_dots = false;
        self.length += 1;
        self.utf8.take(byte)
    }

    /// A segment that another follows.
    fn finish_inner(&self) -> Result<(), NotCanonical> {
        if self.length == 0 {
            Err(NotCanonical)
        } else {
            self.finish_last()
        }
    }

    /// The last segment may be empty: that is the trailing slash.
    fn finish_last(&self) -> Result<(), NotCanonical> {
        self.utf8.expect_boundary()?;
        if self.only_dots && self.length <= 2 {
            Err(NotCanonical)
        } else {
            Ok(())
        }
    }
}

/// The decoded bytes of escapes must be well-formed UTF-8 (RFC 3629, table in section 4): overlong
/// forms, surrogates and lone continuation bytes are second spellings of something else.
#[derive(Default)]
struct Utf8 {
    /// Continuation bytes still owed.
    owed: u8,
    /// The range the next continuation byte must lie in.
    low: u8,
    high: u8,
}

impl Utf8 {
    fn expect_boundary(&self) -> Result<(), NotCanonical> {
        if self.owed == 0 {
            Ok(())
        } else {
            Err(NotCanonical)
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), NotCanonical> {
        if self.owed > 0 {
            if !(self.low..=self.high).contains(&byte) {
                return Err(NotCanonical);
            }
            self.owed -= 1;
            (self.low, self.high) = (0x80, 0xBF);
            return Ok(());
        }
        (self.owed, self.low, self.high) = match byte {
            // C1 controls (U+0080..U+009F) begin with C2 80..9F and have no place in a path.
            0xC2 => (1, 0xA0, 0xBF),
            0xC3..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xE1..=0xEC | 0xEE..=0xEF => (2, 0x80, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            byte if byte < 0x80 && must_be_escaped(byte) => (0, 0, 0),
            _ => return Err(NotCanonical),
        };
        Ok(())
    }
}

enum Spelling {
    Raw,
    Slash,
    Percent,
    None,
}

const fn spelling(byte: u8) -> Spelling {
    match byte {
        b'/' => Spelling::Slash,
        b'%' => Spelling::Percent,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => Spelling::Raw,
        // RFC 3986: the other unreserved characters, the sub-delims without `;`, `:` and `@`.
        b'-' | b'.' | b'_' | b'~' => Spelling::Raw,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
            Spelling::Raw
        }
        _ => Spelling::None,
    }
}

/// ASCII that cannot stand raw in a path and means nothing special when it is decoded.
const fn must_be_escaped(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}'
    )
}

/// The byte behind a `%`: two hexadecimal digits, letters in upper case.
fn escaped(rest: &[u8]) -> Result<(u8, &[u8]), NotCanonical> {
    let [high, low, after @ ..] = rest else {
        return Err(NotCanonical);
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(NotCanonical),
    };
    Ok((digit(*high)? << 4 | digit(*low)?, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Attack 49 and its relatives: each must be refused, never matched.
    const HOSTILE: &[&str] = &[
        "/a/..;/admin",
        "/a/%2e%2e/admin",
        "/a/%2E%2E/admin",
        "/a/.%2e/admin",
        "/a/%252e%252e/admin",
        "/a/%252E/admin",
        "/a/%25",
        "//admin",
        "/a//b",
        "/admin//",
        "/admin%00",
        "/admin%00.png",
        "/admin\0",
        "/%61dmin",
        "/%41dmin",
        "/admin%2f",
        "/a%2Fb",
        "/a%5Cb",
        "/a\\b",
        "\\admin",
        "/..\\admin",
        "/admin;jsessionid=1",
        "/admin;",
        "/a;x=1/b",
        "/a%3Bb",
        "/a/%c0%ae%c0%ae/admin",
        "/a/%C0%AE%C0%AE/admin",
        "/a/%C0%AF",
        "/%E0%80%AE",
        "/%F0%80%80%AE",
        "/%ED%A0%80",
        "/%F4%90%80%80",
        "/%FF",
        "/%80",
        "/%C3",
        "/%C3/%A9",
        "/%C3a",
        "/caf%c3%a9",
        "/%C2%85",
        "/caf\u{e9}",
        "/admin#x",
        "/admin%23",
        "/admin?x",
        "/admin%3F",
        "/.",
        "/..",
        "/./admin",
        "/a/./b",
        "/a/../b",
        "/a/..",
        "/a b",
        "/a\tb",
        "/a\r\nb",
        "/a%0D%0Ab",
        "/a%7F",
        "/a%",
        "/a%2",
        "/a%G0",
        "/a%%20",
        "/a%2C",
        "/a%2D",
        "/a%7E",
        "/a%3A",
        "/{a}",
        "/a|b",
        "",
        "*",
        "admin",
        "http://x/admin",
        "?x",
        "%2Fadmin",
        ".",
        "../admin",
    ];

    #[test]
    fn every_second_spelling_is_refused() {
        for path in HOSTILE {
            assert_eq!(CanonicalPath::parse(path), Err(NotCanonical), "{path:?}");
        }
    }

    #[test]
    fn ordinary_paths_are_taken_as_they_are() {
        for path in [
            "/",
            "/orders",
            "/orders/",
            "/orders/4711",
            "/a.b/c..d/...",
            "/a%20b",
            "/caf%C3%A9",
            "/Admin",
            "/a:b@c",
            "/%F0%9F%98%80",
            "/.well-known/x",
            "/a,b=c&d",
        ] {
            assert_eq!(
                CanonicalPath::parse(path).map(CanonicalPath::as_str),
                Ok(path),
                "{path:?}"
            );
        }
    }

    #[test]
    fn a_plain_path_is_one_that_the_long_way_accepts_too() {
        for path in ["/a", "/", "/a/", "/orders/4711", "/A-b_c/9"] {
            assert!(is_plain(path.as_bytes()), "{path}");
        }
        for path in HOSTILE.iter().chain(&["/a.b", "/a%20b", "a", ""]) {
            assert!(!is_plain(path.as_bytes()), "{path:?}");
        }
    }

    #[test]
    fn overlong_and_overdeep_paths_are_refused() {
        let long = format!("/{}", "a".repeat(MAX_PATH_BYTES));
        assert_eq!(CanonicalPath::parse(&long), Err(NotCanonical));
        let deep = "/a".repeat(MAX_SEGMENTS);
        assert!(CanonicalPath::parse(&deep).is_ok());
        assert_eq!(
            CanonicalPath::parse(&format!("{deep}/a")),
            Err(NotCanonical)
        );
    }

    /// What a lenient server makes of a path: decode every escape, fold slashes and dot segments,
    /// cut matrix parameters, query and fragment.
    fn as_a_lenient_server_reads_it(path: &str) -> String {
        let mut text = path.to_owned();
        for _ in 0..3 {
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                if byte == b'%' {
                    let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                    if let Some(value) = hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
                        bytes.push(value);
                        rest = &after[2..];
                        continue;
                    }
                }
                bytes.push(if byte == b'\\' { b'/' } else { byte });
            }
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let text = text.split(['?', '#', '\0']).next().unwrap_or_default();
        let mut out: Vec<&str> = Vec::new();
        let trailing = text.ends_with('/');
        for segment in text.split('/') {
            match segment.split(';').next().unwrap_or_default() {
                "" | "." => {}
                ".." => drop(out.pop()),
                segment => out.push(segment),
            }
        }
        let joined = format!("/{}", out.join("/"));
        if trailing && joined != "/" {
            format!("{joined}/")
        } else {
            joined
        }
    }

    fn pathlike() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/", "a", "b", "admin", ".", "..", "%2e", "%2E", "%61", "%2F", "%25", "%20", "%C3%A9",
            "%c3%a9", ";", ";x=1", "\\", "//", "%00", "é", "~", "%7E", ":", "%3A", "A", "?", "#",
            " ", "%C0%AE", "%",
        ]);
        prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        /// A lenient server reads every accepted path as one path and no two accepted ones alike.
        #[test]
        fn two_accepted_paths_never_mean_the_same_to_a_lenient_server(a in pathlike(), b in pathlike()) {
            if CanonicalPath::parse(&a).is_ok() && CanonicalPath::parse(&b).is_ok() && a != b {
                prop_assert_ne!(as_a_lenient_server_reads_it(&a), as_a_lenient_server_reads_it(&b));
            }
        }

        #[test]
        fn an_accepted_path_is_a_fixed_point(path in "\\PC{0,40}") {
            let path = format!("/{path}");
            if let Ok(canonical) = CanonicalPath::parse(&path) {
                prop_assert_eq!(canonical.as_str(), path.as_str());
                prop_assert_eq!(CanonicalPath::parse(canonical.as_str()), Ok(canonical));
                let joined = canonical.segments().collect::<Vec<_>>().join("/");
                prop_assert_eq!(format!("/{joined}"), path);
            }
        }
    }
}
