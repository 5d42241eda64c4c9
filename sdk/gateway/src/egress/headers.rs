//! What of a message is for the next hop alone, or for nobody: taken off on both ways.

use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION,
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
const NOT_FROM_CALLERS: [&str; 40] = [
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

/// Hides the credential in what is left, also in names: one that shows it is taken off.
pub fn hide(headers: &mut HeaderMap, needles: &Needles) -> u64 {
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
        .filter(|name| needles.hide(name.as_str().as_bytes()).is_some())
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
mod tests {
    use super::*;

    fn injection(text: &str) -> Injection {
        toml::from_str(text).unwrap()
    }

    fn header() -> Injection {
        injection("kind = \"header\"\nsecret = \"s\"\nheader = \"x-api-key\"")
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_a_third_party_must_not_hear_is_taken_off() {
        let mut sent = headers(&[
            ("authorization", "Bearer lanyard"),
            ("proxy-authorization", "x"),
            ("proxy-anything", "x"),
            ("cookie", "a=b"),
            ("forwarded", "for=1.2.3.4"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil"),
            ("host", "evil"),
            ("connection", "close, X-Hop"),
            ("connection", "x-second"),
            ("x-hop", "1"),
            ("x-second", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("accept-encoding", "gzip"),
            ("x-api-key", "the caller's"),
            ("x-http-method-override", "DELETE"),
            ("lanyard-min-rev", "1"),
            ("x-lanyard-identity", "1"),
            ("content-type", "application/json"),
            ("user-agent", "agent"),
        ]);
        clean_request(&mut sent, &header());
        assert_eq!(
            names(&sent),
            ["accept-encoding", "content-type", "user-agent"]
        );
        assert_eq!(sent["accept-encoding"], "identity");
    }

    #[test]
    fn what_a_caller_must_not_hear_is_taken_off_or_hidden() {
        let needles = Needles::of(["sk_live_4711"]);
        let mut got = headers(&[
            ("set-cookie", "session=1"),
            ("alt-svc", "h3"),
            ("x-api-key", "sk_live_4711"),
            ("x-echo", "key=sk_live_4711;"),
            ("sk_live_4711", "as a name"),
            ("keep-alive", "timeout=5"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-type", "text/plain"),
        ]);
        assert_eq!(clean_answer(&mut got, &header(), &needles), 1);
        assert_eq!(names(&got), ["content-type", "x-echo"]);
        assert_eq!(got["x-echo"], "key=************;");
    }

    #[test]
    fn a_redirect_shows_no_parameter_that_was_put_in() {
        let query = injection("kind = \"query\"\nsecret = \"s\"\nparameter = \"key\"");
        let needles = Needles::of(["sk_live_4711"]);
        for (location, shown) in [
            ("/next?key=other&page=2#top", "/next?page=2#top"),
            ("https://x.example/?k%65y=other", "https://x.example/"),
            ("/next?page=2", "/next?page=2"),
            ("/next/sk_live_4711", "/next/************"),
        ] {
            let mut got = headers(&[("location", location)]);
            clean_answer(&mut got, &query, &needles);
            assert_eq!(got["location"], shown, "{location}");
        }
    }

    #[test]
    fn a_name_that_some_server_takes_for_the_injected_one_is_taken_off() {
        let injected = header();
        for name in [
            "x_api_key",
            "x_api-key",
            "x.api.key",
            "x-api_key",
            "authorization_",
            "x!api|key",
        ] {
            let mut sent = headers(&[(name, "mine"), ("x-api-key-id", "4711")]);
            clean_request(&mut sent, &injected);
            let is_kept = name == "authorization_";
            assert_eq!(sent.contains_key(name), is_kept, "{name}");
            assert!(sent.contains_key("x-api-key-id"));
        }
        for name in [
            "true-client-ip",
            "true_client_ip",
            "cf-connecting-ip",
            "CF_Connecting_IP",
            "client_ip",
            "x_forwarded_for",
            "x-original-forwarded-for",
            "remote_user",
            "transfer_encoding",
            "content_length",
            "proxy_authorization",
            "x_http_method_override",
            "lanyard_min_rev",
        ] {
            let mut sent = headers(&[(name, "mine")]);
            clean_request(&mut sent, &injected);
            assert_eq!(names(&sent), ["accept-encoding"], "{name}");
        }
    }

    #[test]
    fn a_parameter_is_found_however_it_is_spelled() {
        let without = |query| query_without(query, |name| is_taken_for(name, "api_key"));
        assert_eq!(without("a=1&api_key=x&b=2"), "a=1&b=2");
        assert_eq!(without("a=1;api_key=x;b=2&c=3"), "a=1;b=2&c=3");
        for spelled in [
            "api%5Fkey=x&api_key",
            "API_KEY=x",
            "api.key=x",
            "api_key[]=x",
            "api_key%5B0%5D=x",
            "+api_key=x",
            "%20api_key=x",
            "api_key%00y=x",
            "api key=x",
            "a=1;api_key=x",
        ] {
            let left = if spelled.starts_with("a=1") {
                "a=1"
            } else {
                ""
            };
            assert_eq!(without(spelled), left, "{spelled}");
        }
        for kept in [
            "a=api_key",
            "a=b;c&d",
            "api_key_id=1",
            "my_api_key=1",
            "api=key",
        ] {
            assert_eq!(without(kept), kept);
        }
    }
}
