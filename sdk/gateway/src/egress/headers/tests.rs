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
fn what_comes_after_a_body_is_cleaned_like_its_head() {
    let needles = Needles::of(["Sk_Live_4711"]);
    let mut got = headers(&[
        ("set-cookie", "session=1"),
        ("x-api-key", "Sk_Live_4711"),
        ("content-length", "7"),
        ("transfer-encoding", "chunked"),
        ("x-sk_live_4711", "as a name, whose capitals are gone"),
        ("grpc-status", "0"),
        ("grpc-message", "for Sk_Live_4711"),
    ]);
    assert_eq!(clean_trailers(&mut got, &header(), &needles), 1);
    assert_eq!(names(&got), ["grpc-message", "grpc-status"]);
    assert_eq!(got["grpc-message"], "for ************");
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
