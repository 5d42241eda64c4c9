use super::*;

const STRIPE: &str = r#"{
    "name": "stripe", "upstream": "https://api.stripe.com/v1",
    "inject": {"kind": "header", "secret": "payments/stripe/api-key"},
    "rule": [{"method": "GET", "template": "/charges/{id}", "scopes": "stripe:read", "object": "id"},
             {"method": "POST", "template": "/refunds"}],
    "budget": {"calls_per_minute": 600}
}"#;

fn with(member: &str, value: serde_json::Value) -> Result<Integration, serde_json::Error> {
    let mut written: serde_json::Value = serde_json::from_str(STRIPE).unwrap();
    written[member] = value;
    serde_json::from_value(written)
}

#[test]
fn what_is_kept_reads_as_what_was_written() {
    let stripe: Integration = serde_json::from_str(STRIPE).unwrap();
    assert_eq!(stripe.upstream().host(), "api.stripe.com");
    assert_eq!(
        (stripe.upstream().port(), stripe.upstream().base()),
        (443, "/v1")
    );
    let [charges, refunds] = stripe.rules() else {
        panic!("two rules")
    };
    assert_eq!(stripe.scopes(charges).to_string(), "stripe:read");
    assert_eq!(stripe.scopes(refunds).to_string(), "stripe:use");
    assert_eq!(refunds.class(), RuleClass::Strict);
    let Injection::Header { header, prefix, .. } = stripe.injection() else {
        panic!("a header")
    };
    assert_eq!(
        (header.as_str(), prefix.as_str()),
        ("authorization", "Bearer ")
    );
    let kept = serde_json::to_string(&stripe).unwrap();
    assert_eq!(serde_json::from_str::<Integration>(&kept).unwrap(), stripe);
}

#[test]
fn an_upstream_is_written_one_way_only() {
    for good in [
        "https://api.example.com",
        "https://api.example.com/v1/beta",
        "https://10.0.0.1:8443",
        "https://[2001:db8::1]:8443/x",
        "https://localhost:9443",
    ] {
        let read: Upstream = good.parse().unwrap();
        assert_eq!(read.to_string(), good);
    }
    for bad in [
        "ftp://a.example",
        "api.example.com",
        "https://",
        "https://API.example",
        "https://a.example/",
        "https://a.example:443",
        "https://a.example:0",
        "https://a.example:080",
        "https://u@a.example",
        "https://u:p@a.example",
        "https://a.example?x",
        "https://a.example/#f",
        "https://a.example/../b",
        "https://a.example/%2e",
        "https://a.example//b",
        "https://0x7f.1",
        "https://2130706433",
        "https://127.1",
        "https://0177.0.0.1",
        "https://a..b",
        "https://-a.example",
        "https://a.example.",
        "https://[::1",
        "https://[0:0::1]",
        "https://[fe80::1%25eth0]",
        "https://ex\u{430}mple.com",
        "https://a b",
        "https://a\\b",
        "https://a.example\r\nHost: b",
    ] {
        assert!(bad.parse::<Upstream>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_network_has_nothing_set_behind_its_prefix() {
    let network: Network = "10.1.0.0/16".parse().unwrap();
    assert!(network.contains("10.1.255.1".parse().unwrap()));
    assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!network.contains("10.2.0.1".parse().unwrap()));
    assert!(
        "0.0.0.0/0"
            .parse::<Network>()
            .unwrap()
            .contains("192.0.2.1".parse().unwrap())
    );
    assert!(
        "fd00::/8"
            .parse::<Network>()
            .unwrap()
            .contains("fdff::1".parse().unwrap())
    );
    for bad in [
        "10.1.0.1/16",
        "10.1.0.0",
        "10.1.0.0/33",
        "10.1.0.0/016",
        "::1/0",
        "fd00:0::/8",
        "x/8",
        "",
    ] {
        assert!(bad.parse::<Network>().is_err(), "{bad:?}");
    }
}

#[test]
fn what_would_show_or_misplace_the_credential_is_refused() {
    use serde_json::json;
    let header = |name: &str| json!({"kind": "header", "secret": "s", "header": name});
    for bad in [
        "host",
        "Content-Length",
        "content-length",
        "transfer-encoding",
        "connection",
        "a b",
        "",
        "x:y",
        "x\n",
    ] {
        assert!(with("inject", header(bad)).is_err(), "{bad:?}");
    }
    assert!(with("inject", header("x-api-key")).is_ok());
    assert!(
        with(
            "inject",
            json!({"kind": "basic", "secret": "s", "user": "a:b"})
        )
        .is_err()
    );
    assert!(
        with(
            "inject",
            json!({"kind": "header", "secret": "s", "prefix": "Bearer\r\n"})
        )
        .is_err()
    );
    assert!(with("inject", json!({"kind": "telepathy", "secret": "s"})).is_err());
    assert!(
        with(
            "inject",
            json!({"kind": "basic", "secret": "s", "value": "hunter2"})
        )
        .is_err()
    );
    assert!(with("upstream", json!("http://10.0.0.1")).is_err());
    assert!(with("private", json!(["10.0.0.0/8"])).is_ok());
    assert!(with("surprise", json!(1)).is_err());
}

#[test]
fn a_token_endpoint_is_reached_over_tls_and_by_rules_of_its_own_where_it_has_some() {
    use serde_json::json;
    let tokens = |more: serde_json::Value| {
        let mut inject = json!({
            "kind": "oauth-client-credentials", "secret": "s", "token_url": "https://login.example/token",
        });
        let members = inject.as_object_mut().unwrap();
        members.extend(more.as_object().unwrap().clone());
        with("inject", inject)
    };
    let networks = |integration: &Integration| match integration.injection() {
        Injection::OauthClientCredentials { private, .. } => private.as_ref().map(Vec::len),
        _ => panic!("a token"),
    };
    for (more, expected) in [
        (json!({}), None),
        (json!({"private": []}), Some(0)),
        (
            json!({"private": ["10.1.0.0/16"], "certificates": "PEM"}),
            Some(1),
        ),
    ] {
        let read = tokens(more).unwrap();
        assert_eq!(networks(&read), expected);
        let kept = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Integration>(&kept).unwrap(), read);
    }
    for bad in [
        json!({"private": ["10.1.0.1/16"]}),
        json!({"private": "10.1.0.0/16"}),
        json!({"token_url": "http://login.example/token"}),
        json!({"token_url": "http://10.1.0.1/token", "private": ["10.1.0.0/16"]}),
    ] {
        assert!(tokens(bad.clone()).is_err(), "{bad}");
    }
    let elsewhere = json!({"kind": "header", "secret": "s", "private": []});
    assert!(with("inject", elsewhere).is_err());
}

#[test]
fn what_may_be_called_is_said_and_said_once() {
    use serde_json::json;
    let rule = |method: &str, template: &str| json!({"method": method, "template": template});
    assert!(with("rule", json!([])).is_err());
    assert!(
        with(
            "rule",
            json!([rule("GET", "/a/{x}"), rule("GET", "/a/{y}")])
        )
        .is_err()
    );
    assert!(
        with(
            "rule",
            json!([rule("GET", "/a/{x}"), rule("POST", "/a/{y}")])
        )
        .is_ok()
    );
    // What ends in a slash is another path.
    for template in ["/", "/a/", "/{x}/"] {
        assert!(
            with("rule", json!([rule("GET", template), rule("GET", "/a")])).is_ok(),
            "{template}"
        );
    }
    for (method, template) in [
        ("get", "/a"),
        ("TRACE", "/a"),
        ("CONNECT", "/a"),
        ("", "/a"),
        ("GET", "a"),
        ("GET", ""),
        ("GET", "//"),
        ("GET", "/a//"),
        ("GET", "//a"),
        ("GET", "/a//b"),
        ("GET", "/a/../b"),
        ("GET", "/{x}/{x}"),
        ("GET", "/a{x}"),
        ("GET", "/%61"),
        ("GET", "/a?b"),
        ("GET", "/*"),
    ] {
        assert!(
            with("rule", json!([rule(method, template)])).is_err(),
            "{method} {template}"
        );
    }
}

#[test]
fn a_name_is_a_segment_and_a_scope() {
    for good in ["stripe", "s3", "open-ai"] {
        assert!(good.parse::<IntegrationName>().is_ok());
    }
    for bad in ["", "S3", "3s", "a/b", "a.b", "-a", "ä", &"a".repeat(64)] {
        assert!(bad.parse::<IntegrationName>().is_err(), "{bad:?}");
    }
}
