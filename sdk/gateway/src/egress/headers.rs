//! What of a message is for the next hop alone, or for nobody: taken off on both ways.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use lanyard_token::integration::Injection;

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

/// What a caller says that a third party must not hear: whose credential the call is made with, where it comes from and
/// how its body is framed is egress's to say; and what would make another call of it than the rule allowed.
const NOT_FROM_CALLERS: [&str; 20] = [
    "accept-encoding",
    "authorization",
    "baggage",
    "content-length",
    "cookie",
    "cookie2",
    "expect",
    "forwarded",
    "host",
    "via",
    "x-forwarded",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

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
            || name.starts_with("x-forwarded-")
            || name.starts_with("sec-websocket-")
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

/// A query without a parameter, however its name is spelled.
#[must_use]
pub fn query_without(query: &str, unwanted: impl Fn(&str) -> bool) -> String {
    let is_wanted = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        let mut decoded = url::form_urlencoded::parse(name.as_bytes());
        !decoded
            .next()
            .is_some_and(|(name, _)| unwanted(name.as_ref()))
    };
    let kept: Vec<&str> = query.split('&').filter(is_wanted).collect();
    kept.join("&")
}

fn location_without(location: &str, parameter: &str) -> Option<String> {
    let (before, rest) = location.split_once('?')?;
    let (query, fragment) = match rest.split_once('#') {
        Some((query, fragment)) => (query, Some(fragment)),
        None => (rest, None),
    };
    let mut text = before.to_owned();
    let query = query_without(query, |name| name == parameter);
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
            let name = name.as_str();
            OF_A_HOP.contains(&name)
                || name.starts_with("proxy-")
                || name.starts_with("lanyard-")
                || name.starts_with("x-lanyard-")
                || named.iter().any(|named| named == name)
                || also(name)
        })
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

fn is_injected(injection: &Injection, name: &str) -> bool {
    match injection {
        Injection::Header { header, .. } => header == name,
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
    fn a_parameter_is_found_however_it_is_spelled() {
        let without = |query| query_without(query, |name| name == "api_key");
        assert_eq!(without("a=1&api_key=x&b=2"), "a=1&b=2");
        assert_eq!(without("api%5Fkey=x&api_key"), "");
        assert_eq!(without("API_KEY=x"), "API_KEY=x");
        assert_eq!(without("a=api_key"), "a=api_key");
    }
}
