//! What of a message is for the next hop alone, or for nobody: taken off on both ways.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, LOCATION,
};
use lanyard_token::integration::Injection;
use percent_encoding::percent_decode_str;

use super::scrub::Needles;

/// Headers of a hop (RFC 9110, 7.6.1), and older ones of the kind; whatever begins with `proxy-` besides.
const OF_A_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// What a caller says that a third party must not hear: whose credential the call is made with, where it comes from, for
/// whom it is made and how its body is framed is egress's to say; and what would make another call of it than the rule
/// allowed.
const NOT_FROM_CALLERS: [&str; 42] = [
    "a-im",
    "accept-charset",
    "accept-encoding",
    "authorization",
    "baggage",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "host",
    "remote-addr",
    "remote-user",
    "true-client-ip",
    "via",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-forwarded",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-remote-user",
    "x-rewrite-url",
];

/// Whatever begins so is not a caller's to say either.
const NOT_FROM_CALLERS_EITHER: [&str; 3] =
    ["x-forwarded-", "x-original-forwarded-", "sec-websocket-"];

/// What a third party says that a caller must not hear: a session at the third party is a credential, and callers
/// are not to go elsewhere next time.
const NOT_FROM_THIRD_PARTIES: [&str; 5] = [
    "alt-svc",
    "authorization",
    "set-cookie",
    "set-cookie2",
    "refresh",
];

/// Takes off what the third party is not to see, and asks for an answer that can be searched.
pub fn clean_request(headers: &mut HeaderMap, injection: &Injection) {
    clean(headers, |name| {
        NOT_FROM_CALLERS.contains(&name)
            || NOT_FROM_CALLERS_EITHER
                .iter()
                .any(|beginning| name.starts_with(beginning))
            || is_injected(injection, name)
    });
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Takes off what the caller is not to see, and hides the credential in the rest. How often it was there.
pub fn clean_answer(headers: &mut HeaderMap, injection: &Injection, needles: &Needles) -> u64 {
    clean(headers, |name| {
        NOT_FROM_THIRD_PARTIES.contains(&name) || is_injected(injection, name)
    });
    if let Injection::Query { parameter, .. } = injection {
        let cleaned = headers
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .and_then(|location| location_without(location, parameter));
        if let Some(location) = cleaned.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(LOCATION, location);
        }
    }
    hide(headers, needles)
}

/// What comes after an answer's body is cleaned like its head; and it says nothing that belongs there alone (RFC 9110,
/// 6.5.1). How often the credential was there.
pub fn clean_trailers(trailers: &mut HeaderMap, injection: &Injection, needles: &Needles) -> u64 {
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION] {
        trailers.remove(name);
    }
    clean_answer(trailers, injection, needles)
}

/// Hides the credential in what is left, also in names: one that shows it is taken off.
fn hide(headers: &mut HeaderMap, needles: &Needles) -> u64 {
    let mut found = 0;
    for (name, value) in headers.iter_mut() {
        if let Some(hidden) = needles.hide(value.as_bytes()) {
            found += 1;
            // A length stays what it was; it is a number, and no number is a credential.
            if name != CONTENT_LENGTH {
                *value = HeaderValue::from_bytes(&hidden)
                    .unwrap_or_else(|_| HeaderValue::from_static("*"));
            }
        }
    }
    let showing: Vec<HeaderName> = headers
        .keys()
        .filter(|name| needles.are_in_name(name.as_str()))
        .cloned()
        .collect();
    for name in showing {
        headers.remove(name);
    }
    found
}

/// A query without what is unwanted by its decoded name. `;` parts parameters as `&` does: some servers have it so
/// (HTML 4.01, B.2.2).
#[must_use]
pub fn query_without(query: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(query.len());
    for pair in query.split_inclusive(['&', ';']) {
        let name = pair.trim_end_matches(['&', ';']);
        let name = name.split('=').next().unwrap_or_default();
        if !unwanted(&percent_decode_str(name).decode_utf8_lossy()) {
            kept.push_str(pair);
        }
    }
    kept.truncate(kept.trim_end_matches(['&', ';']).len());
    kept
}

/// Whether some server takes a parameter for one of this name: there are those that look at no case, cut at `[` and NUL,
/// pass over blanks before it, and take whatever is neither letter nor digit for `_`.
#[must_use]
pub fn is_taken_for(written: &str, name: &str) -> bool {
    let written = written.trim_start_matches(['+', ' ']);
    let end = written.find(['[', '\0']).unwrap_or(written.len());
    let folded = |text: &str| -> String {
        let plain = |letter: char| match letter {
            letter if letter.is_alphanumeric() => letter.to_ascii_lowercase(),
            _ => '_',
        };
        text.chars().map(plain).collect()
    };
    let shown = written.get(..end).unwrap_or_default();
    written == name || folded(shown) == folded(name)
}

fn location_without(location: &str, parameter: &str) -> Option<String> {
    let (before, rest) = location.split_once('?')?;
    let (query, fragment) = match rest.split_once('#') {
        Some((query, fragment)) => (query, Some(fragment)),
        None => (rest, None),
    };
    let mut text = before.to_owned();
    let query = query_without(query, |name| is_taken_for(name, parameter));
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    if let Some(fragment) = fragment {
        text.push('#');
        text.push_str(fragment);
    }
    Some(text)
}

/// Takes off what is of a hop, and what `also` says of a name as it is once `_` and its like are `-`: a server that keeps
/// headers as variables (CGI) cannot tell `X_Api_Key` from `X-Api-Key`.
fn clean(headers: &mut HeaderMap, also: impl Fn(&str) -> bool) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let written = name.as_str();
            let name = folded(written);
            let name = name.as_ref();
            OF_A_HOP.contains(&name)
                || name.starts_with("proxy-")
                || name.starts_with("lanyard-")
                || name.starts_with("x-lanyard-")
                || named.iter().any(|named| named == written)
                || also(name)
        })
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

/// A header's name with `-` for whatever is neither letter nor digit.
fn folded(name: &str) -> Cow<'_, str> {
    let is_odd = |letter: char| !letter.is_ascii_alphanumeric() && letter != '-';
    if name.contains(is_odd) {
        name.replace(is_odd, "-").into()
    } else {
        name.into()
    }
}

fn is_injected(injection: &Injection, name: &str) -> bool {
    match injection {
        Injection::Header { header, .. } => folded(header) == name,
        Injection::AwsSigv4 { .. } => {
            matches!(
                name,
                "x-amz-date" | "x-amz-content-sha256" | "x-amz-security-token"
            )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
