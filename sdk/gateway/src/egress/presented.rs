//! The token that a call came with: no third party is to see it, wherever in the call's head it stands again.
//!
//! **What it catches.** The token in the path, the query and any header, in all the forms in which a credential is looked
//! for in answers: see [`super::scrub`].
//!
//! **What it misses.** What those miss, another token than the one that the call came with, and the body: that is the
//! caller's own word to the third party, may be of any length and form, and is not searched.
//!
//! **Why not names of headers alone?** Nobody knows all names that programs put tokens into.

use std::cell::OnceCell;

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, request};

use super::answer::Problem;
use super::scrub::Needles;

/// Takes the token off the headers. It must not stand in the address: what a path or a query means without it, nobody knows.
pub(super) fn keep_back(parts: &mut request::Parts) -> Result<(), Problem> {
    let Some(authorization) = parts.headers.remove(AUTHORIZATION) else {
        return Ok(());
    };
    let Some(presented) = Presented::of(&authorization) else {
        return Ok(());
    };
    let address = parts.uri.path_and_query();
    if address.is_some_and(|address| presented.is_in(address.as_str().as_bytes())) {
        return Err(Problem::TokenInAddress);
    }
    let showing = |(name, value): (&HeaderName, &HeaderValue)| {
        let shows = presented.is_in(value.as_bytes()) || presented.is_in_name(name);
        shows.then(|| name.clone())
    };
    let gone: Vec<_> = parts.headers.iter().filter_map(showing).collect();
    for name in gone {
        parts.headers.remove(name);
    }
    Ok(())
}

/// Its forms are made once something is long enough to hold one: hardly a call has that.
struct Presented<'h> {
    token: &'h str,
    needles: OnceCell<Needles>,
}

impl<'h> Presented<'h> {
    fn of(authorization: &'h HeaderValue) -> Option<Self> {
        let text = std::str::from_utf8(authorization.as_bytes()).ok()?;
        let (_, token) = text.split_once(' ')?;
        let needles = OnceCell::new();
        (!token.is_empty()).then_some(Self { token, needles })
    }

    fn is_in(&self, text: &[u8]) -> bool {
        // No form of it is shorter.
        text.len() >= self.token.len() && self.needles().hide(text).is_some()
    }

    fn is_in_name(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        name.len() >= self.token.len() && self.needles().are_in_name(name)
    }

    fn needles(&self) -> &Needles {
        self.needles.get_or_init(|| Needles::of([self.token]))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use http::{HeaderMap, Request};

    use super::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiIxIn0.c2lnbmF0dXJl-_4";

    fn kept_back(uri: &str, headers: &[(&str, String)]) -> Result<HeaderMap, Problem> {
        let mut request = Request::get(uri).header("authorization", format!("Bearer {TOKEN}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        keep_back(&mut parts).map(|()| parts.headers)
    }

    /// The token as programs write it.
    fn forms() -> Vec<String> {
        let hexadecimal = TOKEN.bytes().map(|byte| format!("{byte:02X}")).collect();
        let percent = TOKEN.replace('.', "%2E").replace('-', "%2d");
        let all_percent = TOKEN.bytes().map(|byte| format!("%{byte:02x}")).collect();
        vec![
            TOKEN.to_owned(),
            percent,
            all_percent,
            hexadecimal,
            STANDARD.encode(TOKEN),
            STANDARD.encode(format!("user:{TOKEN}")),
            URL_SAFE_NO_PAD.encode(format!("a{TOKEN}b")),
        ]
    }

    #[test]
    fn it_is_taken_off_whatever_header_it_stands_in() {
        for form in forms() {
            for name in [
                "x-auth-token",
                "x-anything",
                "user-agent",
                "sec-websocket-protocol",
            ] {
                for value in [form.clone(), format!("a=1, token=\"{form}\"; b")] {
                    let headers = [
                        (name, "before".to_owned()),
                        (name, value.clone()),
                        ("x-other", "stays".to_owned()),
                        ("x-long", "stays".repeat(100)),
                    ];
                    let left = kept_back("/party/x?a=b", &headers).unwrap();
                    let mut names: Vec<_> = left.keys().map(HeaderName::as_str).collect();
                    names.sort_unstable();
                    assert_eq!(names, ["x-long", "x-other"], "{name}: {value}");
                }
            }
        }
        let hexadecimal: String = TOKEN.bytes().map(|byte| format!("{byte:02x}")).collect();
        let left = kept_back("/party/x", &[(&format!("x-{hexadecimal}"), "1".to_owned())]);
        assert!(left.unwrap().is_empty());
    }

    #[test]
    fn an_address_that_shows_it_is_refused() {
        for form in forms() {
            let form = form.replace('+', "%2B");
            for address in [
                format!("/party/{form}"),
                format!("/party/x?token={form}"),
                format!("/party/x?{form}"),
                format!("/party/x?a=b&c=d{form}&e"),
            ] {
                let refused = kept_back(&address, &[]);
                assert_eq!(refused.err(), Some(Problem::TokenInAddress), "{address}");
            }
        }
        // Long, and nothing of it: other tokens of the same beginning among them.
        let other = format!("{}other", &TOKEN[..TOKEN.len() - 9]);
        for harmless in [
            "y=1&",
            "%D0%BF",
            "%25",
            "%7B%22a%22%3A%5B1%2C2%5D%7D",
            "ey",
            "eyJhbGciOiJFUzI1NiJ9.",
            &other,
            "ZXlKaGJHY2lP",
        ] {
            let query = harmless.repeat(8_000 / harmless.len());
            let address = format!("/party/{}?{query}", "x".repeat(500));
            let headers = [("x-long", query.clone())];
            let left = kept_back(&address, &headers);
            assert!(left.is_ok_and(|left| left.len() == 1), "{harmless}");
        }
    }
}
