//! JOSE headers: exactly the members we write, in any order, and nothing else.
//!
//! Read by hand and not by a JSON library: a header is at most 256 characters of a flat object of
//! plain strings, it stands before every signature check, and refusing junk here costs neither an
//! allocation nor an error text. What a general JSON reader would also accept (escapes, nested
//! values, numbers) never occurs in a header of ours.

use crate::{Algorithm, KeyId, base64url};

/// The `typ` of access tokens (RFC 9068 section 2.1).
const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The same, spelled as a whole media type (RFC 9068 section 4).
const ACCESS_TOKEN_MEDIA_TYPE: &str = "application/at+jwt";

/// Longest header in base64url characters; ours have about 120.
const MAX_TEXT_BYTES: usize = 256;

/// What is wrong with a header. For the audit log alone: outsiders are told `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderFault {
    /// Not canonical base64url, or longer than any header of ours.
    #[error("the header is not base64url of a plausible length")]
    Encoding,
    /// Not a flat JSON object of plain strings.
    #[error("the header is not an object of plain strings")]
    Syntax,
    /// A member we never write: `crit`, `jwk`, `jku`, `x5u`, `b64`, `zip` and all others.
    #[error("the header has an unknown member")]
    UnknownMember,
    /// A member stands twice.
    #[error("the header has a repeated member")]
    RepeatedMember,
    /// A member is missing.
    #[error("the header lacks a member")]
    MissingMember,
    /// Another kind of JWT.
    #[error("the header has another `typ`")]
    Type,
    /// An algorithm we do not use, or not the one of the key.
    #[error("the header has another `alg`")]
    Algorithm,
    /// `kid` is no name of a key.
    #[error("the header has a `kid` that names no key")]
    KeyId,
}

/// The header of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: KeyId,
}

impl Header {
    /// Reads the header of an access token: exactly `alg`, `typ` and `kid`.
    pub(crate) fn parse(text: &str) -> Result<Self, HeaderFault> {
        if let Some(header) = Self::as_written(text) {
            return Ok(header);
        }
        let mut buffer = [0; MAX_TEXT_BYTES];
        let members = Members::parse(decode(text, &mut buffer)?)?;
        if !matches!(members.typ, ACCESS_TOKEN_TYPE | ACCESS_TOKEN_MEDIA_TYPE) {
            return Err(HeaderFault::Type);
        }
        let kid = members.kid.ok_or(HeaderFault::MissingMember)?;
        Ok(Self {
            algorithm: Algorithm::from_name(members.alg).ok_or(HeaderFault::Algorithm)?,
            kid: kid.parse().map_err(|_| HeaderFault::KeyId)?,
        })
    }

    /// Whether it begins as our broker writes headers: a comparison, where reading it is hundreds of steps.
    pub(crate) fn begins_as_written(text: &str) -> bool {
        BEGINNINGS
            .iter()
            .any(|(_, begins)| text.starts_with(begins))
    }

    /// A header exactly as our broker writes it, which is what nearly every header is: only the name of the
    /// key is read. What is written otherwise may be good all the same.
    fn as_written(text: &str) -> Option<Self> {
        /// What follows [`BEGINNINGS`] in base64url: a quote, the name, a quote and a brace.
        const REST: usize = 1 + KeyId::LENGTH + 2;
        let (algorithm, rest) = BEGINNINGS.iter().find_map(|(algorithm, beginning)| {
            let rest = text.strip_prefix(beginning)?;
            Some((*algorithm, rest))
        })?;
        let rest: [u8; REST] = base64url::decode_exact(rest)?;
        let kid = rest.strip_prefix(b"\"")?.strip_suffix(b"\"}")?;
        let kid = std::str::from_utf8(kid).ok()?.parse().ok()?;
        Some(Self { algorithm, kid })
    }
}

/// How a header as we write it begins, in base64url: `{"alg":"…","typ":"at+jwt","kid":` with as many bytes as
/// are whole groups of it.
const BEGINNINGS: [(Algorithm, &str); 2] = [
    (
        Algorithm::Es256,
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6",
    ),
    (
        Algorithm::EdDsa,
        "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6",
    ),
];

/// The header of an access token, as we write it.
pub(crate) fn access_token_json(algorithm: Algorithm, kid: &KeyId) -> String {
    format!(
        r#"{{"alg":"{}","typ":"{ACCESS_TOKEN_TYPE}","kid":"{kid}"}}"#,
        algorithm.name()
    )
}

/// Makes sure that this is the header of another JWT of ours: exactly `alg` and `typ`, both as
/// given. The key is known beforehand, so there is no `kid`.
pub(crate) fn check_without_kid(
    text: &str,
    algorithm: Algorithm,
    typ: &str,
) -> Result<(), HeaderFault> {
    let mut buffer = [0; MAX_TEXT_BYTES];
    let members = Members::parse(decode(text, &mut buffer)?)?;
    if members.kid.is_some() {
        return Err(HeaderFault::UnknownMember);
    }
    if members.typ != typ {
        return Err(HeaderFault::Type);
    }
    if members.alg != algorithm.name() {
        return Err(HeaderFault::Algorithm);
    }
    Ok(())
}

/// The header that [`check_without_kid`] reads.
pub(crate) fn json_without_kid(algorithm: Algorithm, typ: &str) -> String {
    format!(r#"{{"alg":"{}","typ":"{typ}"}}"#, algorithm.name())
}

fn decode<'b>(text: &str, buffer: &'b mut [u8; MAX_TEXT_BYTES]) -> Result<&'b [u8], HeaderFault> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(HeaderFault::Encoding);
    }
    base64url::decode_into(text, buffer).ok_or(HeaderFault::Encoding)
}

struct Members<'h> {
    alg: &'h str,
    typ: &'h str,
    kid: Option<&'h str>,
}

impl<'h> Members<'h> {
    fn parse(json: &'h [u8]) -> Result<Self, HeaderFault> {
        let mut rest = Cursor(json);
        let (mut alg, mut typ, mut kid) = (None, None, None);
        rest.expect(b'{')?;
        loop {
            let slot = match rest.string()? {
                "alg" => &mut alg,
                "typ" => &mut typ,
                "kid" => &mut kid,
                _ => return Err(HeaderFault::UnknownMember),
            };
            rest.expect(b':')?;
            if slot.replace(rest.string()?).is_some() {
                return Err(HeaderFault::RepeatedMember);
            }
            match rest.next_after_space() {
                Some(b',') => {}
                Some(b'}') => break,
                _ => return Err(HeaderFault::Syntax),
            }
        }
        if rest.next_after_space().is_some() {
            return Err(HeaderFault::Syntax);
        }
        match (alg, typ) {
            (Some(alg), Some(typ)) => Ok(Self { alg, typ, kid }),
            _ => Err(HeaderFault::MissingMember),
        }
    }
}

/// What is left to read.
struct Cursor<'h>(&'h [u8]);

impl<'h> Cursor<'h> {
    /// The next byte that is no JSON whitespace (RFC 8259 section 2).
    fn next_after_space(&mut self) -> Option<u8> {
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
        }
        None
    }

    fn expect(&mut self, wanted: u8) -> Result<(), HeaderFault> {
        match self.next_after_space() {
            Some(byte) if byte == wanted => Ok(()),
            _ => Err(HeaderFault::Syntax),
        }
    }

    /// A string of visible ASCII without escapes.
    fn string(&mut self) -> Result<&'h str, HeaderFault> {
        self.expect(b'"')?;
        let end = self
            .0
            .iter()
            .position(|byte| *byte == b'"')
            .ok_or(HeaderFault::Syntax)?;
        let (text, rest) = self.0.split_at_checked(end).ok_or(HeaderFault::Syntax)?;
        if !text
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'\\')
        {
            return Err(HeaderFault::Syntax);
        }
        self.0 = rest.get(1..).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| HeaderFault::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kid() -> KeyId {
        KeyId::of_digest(&[1; 32])
    }

    fn read(json: &str) -> Result<Header, HeaderFault> {
        Header::parse(&base64url::encode(json.as_bytes()))
    }

    #[test]
    fn our_own_header_is_read_in_any_order_and_spacing() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let header = Header {
                algorithm,
                kid: kid(),
            };
            assert_eq!(read(&access_token_json(algorithm, &kid())), Ok(header));
            let spaced = format!(
                "\n{{ \"kid\" :\"{}\",\t\"typ\":\"application/at+jwt\" , \"alg\": \"{}\" }} ",
                kid(),
                algorithm.name()
            );
            assert_eq!(read(&spaced), Ok(header));
        }
    }

    #[test]
    fn a_header_as_we_write_it_is_known_at_sight_and_no_other_is() {
        let text = |json: &str| base64url::encode(json.as_bytes());
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let header = Header {
                algorithm,
                kid: kid(),
            };
            let written = access_token_json(algorithm, &kid());
            assert_eq!(Header::as_written(&text(&written)), Some(header));
            for (part, other) in [("\"}", "x}"), ("\"}", "\" }"), ("kid\":", "kid\": ")] {
                let other = text(&written.replace(part, other));
                assert_eq!(Header::as_written(&other), None, "{part}");
            }
        }
    }

    #[test]
    fn every_other_header_is_refused_for_its_own_reason() {
        use HeaderFault::*;
        let kid = kid();
        let head = |rest: &str| format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"{rest}"#);
        for (json, fault) in [
            (head(r#","crit":["x"]}"#), UnknownMember),
            (head(r#","jku":"http://127.0.0.1"}"#), UnknownMember),
            (head(r#","alg":"ES256"}"#), RepeatedMember),
            (head(",}"), Syntax),
            (head("}x"), Syntax),
            (head(""), Syntax),
            (format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), MissingMember),
            (
                r#"{"alg":"ES256","typ":"at+jwt"}"#.to_owned(),
                MissingMember,
            ),
            (
                format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{kid}"}}"#),
                Algorithm,
            ),
            (
                format!(r#"{{"alg":null,"typ":"at+jwt","kid":"{kid}"}}"#),
                Syntax,
            ),
            (
                format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#),
                Type,
            ),
            (
                format!(r#"{{"alg":"ES256","typ":"AT+JWT","kid":"{kid}"}}"#),
                Type,
            ),
            (
                r#"{"alg":"ES256","typ":"at+jwt","kid":"../../dev/null"}"#.to_owned(),
                KeyId,
            ),
            (
                r#"{"\u0061lg":"ES256","typ":"at+jwt","kid":"a"}"#.to_owned(),
                Syntax,
            ),
            (r#"["ES256","at+jwt","a"]"#.to_owned(), Syntax),
            ("{}".to_owned(), Syntax),
            (String::new(), Syntax),
            (" ".repeat(200), Encoding),
        ] {
            assert_eq!(read(&json), Err(fault), "{json}");
        }
    }
}
