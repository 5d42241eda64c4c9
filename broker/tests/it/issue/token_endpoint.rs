//! `POST /oauth/token`: what is accepted, what is refused, and in exactly which words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lanyard_token::Algorithm;

use super::world::{
    ACCESS_TOKEN, API_KEY, Answer, EXCHANGE, Holder, ISSUER, NO_LIMITS, NOW, ORDERS, STOCK, World,
};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_client_gets_an_rfc_9068_token_by_basic_and_by_post() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let world = World::with(NO_LIMITS, algorithm).await;
        let billing = world.identity("billing").await;
        let id = billing.id.to_string();
        let grant = [("grant_type", "client_credentials"), ("audience", ORDERS)];
        let mut by_post = grant.to_vec();
        by_post.extend([
            ("client_id", id.as_str()),
            ("client_secret", billing.secret.as_str()),
        ]);
        let answers = [
            world.post("/oauth/token", Some(&billing), &grant).await,
            world.post("/oauth/token", None, &by_post).await,
        ];
        for answer in answers {
            let body = answer.json();
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(body["token_type"], "Bearer");
            assert_eq!(body["expires_in"], 300);
            assert_eq!(body["scope"], "orders:read orders:write");
            assert!(body.get("issued_token_type").is_none());
            assert!(body.get("refresh_token").is_none());
            let claims = world.claims(&answer.token());
            assert_eq!(claims.iss, ISSUER);
            assert_eq!(
                (claims.sub.as_str(), claims.client_id.as_str()),
                (id.as_str(), id.as_str())
            );
            assert_eq!(claims.aud.as_str(), ORDERS);
            assert_eq!((claims.iat, claims.exp), (NOW, NOW + 300));
            assert_eq!(claims.lin.credential(), billing.credential);
            assert!(claims.lin.tokens().is_empty() && claims.act.is_none());
        }
    }
}

#[tokio::test]
async fn scope_is_told_only_when_it_is_not_what_was_asked_for() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let ask = |scope| {
        let form = [
            ("grant_type", "client_credentials"),
            ("audience", ORDERS),
            ("scope", scope),
        ];
        let (world, billing) = (&world, &billing);
        async move { world.post("/oauth/token", Some(billing), &form).await }
    };
    assert!(ask("orders:read").await.json().get("scope").is_none());
    assert!(
        ask("orders:write orders:read")
            .await
            .json()
            .get("scope")
            .is_none()
    );
}

#[tokio::test]
async fn a_lifetime_is_cut_and_the_answer_says_so() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    for (asked, given) in [
        ("1", 1),
        ("60", 60),
        ("86400", 3_600),
        ("99999999999999999999", 3_600),
    ] {
        let form = [
            ("grant_type", "client_credentials"),
            ("audience", ORDERS),
            ("requested_lifetime", asked),
        ];
        let answer = world.post("/oauth/token", Some(&billing), &form).await;
        assert_eq!(answer.json()["expires_in"], given, "{asked}");
    }
    for bad in [
        "0",
        "-1",
        "1.5",
        "1e3",
        " 5",
        "five",
        "999999999999999999999",
    ] {
        let form = [
            ("grant_type", "client_credentials"),
            ("audience", ORDERS),
            ("requested_lifetime", bad),
        ];
        world
            .post("/oauth/token", Some(&billing), &form)
            .await
            .assert_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn every_bad_request_has_its_exact_answer() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let token = world.token(&billing).await;
    let cc = ("grant_type", "client_credentials");
    let exchange = ("grant_type", EXCHANGE);
    let orders = ("audience", ORDERS);
    let subject = [
        ("subject_token", token.as_str()),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    let many = (0..65)
        .map(|n| format!("s{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    let ended = format!(r#"[{{"type":"lanyard_task","expires_at":{NOW}}}]"#);
    type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str);
    let table: Vec<Row<'_>> = vec![
        ("no grant type", vec![orders], 400, "invalid_request"),
        (
            "an empty grant type",
            vec![("grant_type", ""), orders],
            400,
            "invalid_request",
        ),
        (
            "an unknown grant type",
            vec![("grant_type", "password")],
            400,
            "unsupported_grant_type",
        ),
        ("no audience of two", vec![cc], 400, "invalid_target"),
        (
            "a foreign audience",
            vec![cc, ("audience", "https://x.example")],
            400,
            "invalid_target",
        ),
        (
            "an audience in another case",
            vec![cc, ("audience", "https://ORDERS.example")],
            400,
            "invalid_target",
        ),
        (
            "an audience with a slash",
            vec![cc, ("audience", "https://orders.example/")],
            400,
            "invalid_target",
        ),
        (
            "the broker itself",
            vec![cc, ("audience", ISSUER)],
            400,
            "invalid_target",
        ),
        (
            "two audiences",
            vec![cc, orders, ("audience", STOCK)],
            400,
            "invalid_target",
        ),
        (
            "audience and another resource",
            vec![cc, orders, ("resource", STOCK)],
            400,
            "invalid_target",
        ),
        (
            "a resource with a fragment",
            vec![cc, ("resource", "https://orders.example#a")],
            400,
            "invalid_target",
        ),
        (
            "a relative resource",
            vec![cc, ("resource", "orders")],
            400,
            "invalid_target",
        ),
        (
            "a foreign scope",
            vec![cc, orders, ("scope", "admin")],
            400,
            "invalid_scope",
        ),
        (
            "a wider scope",
            vec![cc, orders, ("scope", "orders:read admin")],
            400,
            "invalid_scope",
        ),
        (
            "a homoglyph",
            vec![cc, orders, ("scope", "orders:re\u{430}d")],
            400,
            "invalid_scope",
        ),
        (
            "a fullwidth letter",
            vec![cc, orders, ("scope", "orders:rea\u{ff44}")],
            400,
            "invalid_scope",
        ),
        (
            "a zero-width space",
            vec![cc, orders, ("scope", "orders:read\u{200b}")],
            400,
            "invalid_scope",
        ),
        (
            "a no-break space",
            vec![cc, orders, ("scope", "orders:read\u{a0}orders:write")],
            400,
            "invalid_scope",
        ),
        (
            "a tab",
            vec![cc, orders, ("scope", "orders:read\torders:write")],
            400,
            "invalid_scope",
        ),
        (
            "a star",
            vec![cc, orders, ("scope", "*")],
            400,
            "invalid_scope",
        ),
        (
            "a leading plus",
            vec![cc, orders, ("scope", "+orders:read")],
            400,
            "invalid_scope",
        ),
        (
            "two spaces",
            vec![cc, orders, ("scope", "orders:read  orders:write")],
            400,
            "invalid_scope",
        ),
        (
            "65 scopes",
            vec![cc, orders, ("scope", &many)],
            400,
            "invalid_scope",
        ),
        (
            "no task",
            vec![cc, orders, ("authorization_details", "{}")],
            400,
            "invalid_authorization_details",
        ),
        (
            "another task",
            vec![cc, orders, ("authorization_details", r#"[{"type":"x"}]"#)],
            400,
            "invalid_authorization_details",
        ),
        (
            "an ended task",
            vec![cc, orders, ("authorization_details", &ended)],
            400,
            "invalid_authorization_details",
        ),
        ("no subject", vec![exchange], 400, "invalid_request"),
        (
            "no subject type",
            vec![exchange, subject[0]],
            400,
            "invalid_request",
        ),
        (
            "an unknown subject type",
            vec![exchange, subject[0], ("subject_token_type", "urn:x")],
            400,
            "invalid_request",
        ),
        (
            "a token as an API key",
            vec![exchange, subject[0], ("subject_token_type", API_KEY)],
            400,
            "invalid_request",
        ),
        (
            "an actor without its type",
            vec![exchange, subject[0], subject[1], ("actor_token", &token)],
            400,
            "invalid_request",
        ),
        (
            "a type without an actor",
            vec![
                exchange,
                subject[0],
                subject[1],
                ("actor_token_type", ACCESS_TOKEN),
            ],
            400,
            "invalid_request",
        ),
        (
            "a SAML assertion wanted",
            vec![
                exchange,
                subject[0],
                subject[1],
                (
                    "requested_token_type",
                    "urn:ietf:params:oauth:token-type:saml2",
                ),
            ],
            400,
            "invalid_request",
        ),
        (
            "a wider scope out",
            vec![exchange, subject[0], subject[1], ("scope", "admin")],
            400,
            "invalid_scope",
        ),
        (
            "another audience out",
            vec![exchange, subject[0], subject[1], ("audience", STOCK)],
            400,
            "invalid_target",
        ),
    ];
    let head = world.head();
    for (name, form, status, error) in table {
        let answer = world.post("/oauth/token", Some(&billing), &form).await;
        println!("{name}");
        answer.assert_error(status, error);
        assert!(answer.header("www-authenticate").is_none());
    }
    assert_eq!(world.head(), head, "no refusal changes anything");
}

#[tokio::test]
async fn a_bad_client_is_told_one_thing_and_challenged_only_when_it_used_the_header() {
    let world = World::new().await;
    let (billing, other) = (
        world.identity("billing").await,
        world.identity("other").await,
    );
    let id = billing.id.to_string();
    let unknown = Holder {
        id: lanyard_token::NodeId::from_u64(99),
        ..billing.clone()
    };
    let swapped = Holder {
        secret: other.secret.clone(),
        ..billing.clone()
    };
    let junk = Holder {
        secret: "lyk_junk".to_owned(),
        ..billing.clone()
    };
    let empty = Holder {
        secret: String::new(),
        ..billing.clone()
    };
    let grant = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    let mut bodies = Vec::new();
    for bad in [&unknown, &swapped, &junk, &empty] {
        let answer = world.post("/oauth/token", Some(bad), &grant).await;
        answer.assert_error(401, "invalid_client");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );
        bodies.push(answer.body);
        let bad_id = bad.id.to_string();
        let mut form = grant.to_vec();
        form.extend([
            ("client_id", bad_id.as_str()),
            ("client_secret", bad.secret.as_str()),
        ]);
        let answer = world.post("/oauth/token", None, &form).await;
        answer.assert_error(401, "invalid_client");
        assert!(answer.header("www-authenticate").is_none());
        bodies.push(answer.body);
    }
    world
        .post("/oauth/token", None, &grant)
        .await
        .assert_error(401, "invalid_client");
    world
        .post(
            "/oauth/token",
            None,
            &[grant[0], grant[1], ("client_id", &id)],
        )
        .await
        .assert_error(401, "invalid_client");
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[tokio::test]
async fn two_ways_to_say_who_one_is_are_refused() {
    let world = World::new().await;
    let (billing, other) = (
        world.identity("billing").await,
        world.identity("other").await,
    );
    let (id, other_id) = (billing.id.to_string(), other.id.to_string());
    let grant = [("grant_type", "client_credentials"), ("audience", ORDERS)];
    let ask = |more: Vec<(&'static str, String)>| {
        let (world, billing) = (&world, &billing);
        async move {
            let mut form = grant.to_vec();
            form.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            world.post("/oauth/token", Some(billing), &form).await
        }
    };
    let secret = billing.secret.clone();
    ask(vec![("client_id", id.clone()), ("client_secret", secret)])
        .await
        .assert_error(400, "invalid_request");
    ask(vec![("client_id", other_id)])
        .await
        .assert_error(400, "invalid_request");
    assert_eq!(
        ask(vec![("client_id", id)]).await.status,
        200,
        "saying the same again harms nobody"
    );
    ask(vec![("client_assertion", "x".to_owned())])
        .await
        .assert_error(401, "invalid_client");
}

#[tokio::test]
async fn strange_authorization_headers_are_no_client() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let good = STANDARD.encode(format!("{}:{}", billing.id, billing.secret));
    let body = format!("grant_type=client_credentials&audience={ORDERS}");
    let send = |values: Vec<String>| {
        let mut request = world.http.post(format!("{}/oauth/token", world.url));
        request = request.header("content-type", FORM).body(body.clone());
        for value in values {
            request = request.header("authorization", value);
        }
        async move { Answer::read(request.send().await.unwrap()).await }
    };
    assert_eq!(send(vec![format!("Basic {good}")]).await.status, 200);
    assert_eq!(send(vec![format!("bAsIc {good}")]).await.status, 200);
    for bad in ["Basic", "Basic !", "Bearer x", "Basic YQ=="] {
        send(vec![bad.to_owned()])
            .await
            .assert_error(401, "invalid_client");
    }
    let twice = vec![format!("Basic {good}"), format!("Basic {good}")];
    send(twice).await.assert_error(400, "invalid_request");
}

#[tokio::test]
async fn bodies_that_are_not_one_plain_form_are_refused() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let good = format!("grant_type=client_credentials&audience={ORDERS}");
    let repeated = format!("{good}&scope=orders:read&scope=admin");
    let table: Vec<(&str, Vec<u8>)> = vec![
        (
            "application/json",
            br#"{"grant_type":"client_credentials"}"#.to_vec(),
        ),
        ("", good.clone().into_bytes()),
        ("text/plain", good.clone().into_bytes()),
        (
            "application/x-www-form-urlencoded; charset=utf-16",
            good.clone().into_bytes(),
        ),
        (FORM, repeated.into_bytes()),
        (FORM, format!("{good}&x=%ff").into_bytes()),
        (FORM, [good.as_bytes(), b"&x=\xff"].concat()),
        (FORM, Vec::new()),
    ];
    for (content_type, body) in table {
        let answer = world
            .post_raw("/oauth/token", Some(&billing), content_type, body)
            .await;
        answer.assert_error(400, "invalid_request");
    }
    let long = format!("{good}{}", format!("&x={}", "a".repeat(20_000)).repeat(5)).into_bytes();
    world
        .post_raw("/oauth/token", Some(&billing), FORM, long)
        .await
        .assert_error(413, "invalid_request");
    let query = world
        .post_raw(
            "/oauth/token?scope=admin",
            Some(&billing),
            FORM,
            good.clone().into_bytes(),
        )
        .await;
    query.assert_error(400, "invalid_request");
    let utf8 = format!("{FORM}; charset=UTF-8");
    let answer = world
        .post_raw("/oauth/token", Some(&billing), &utf8, good.into_bytes())
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let world = World::new().await;
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        for method in [
            reqwest::Method::GET,
            reqwest::Method::PUT,
            reqwest::Method::TRACE,
        ] {
            let request = world.http.request(method, format!("{}{path}", world.url));
            let answer = Answer::read(request.send().await.unwrap()).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some("POST")),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn junk_keys_cost_no_hash() {
    let world = World::new().await;
    let billing = world.identity("billing").await;
    let hashed = world.issue.keys_hashed();
    let mut wrong_checksum = billing.secret.clone();
    let last = if wrong_checksum.pop() == Some('0') {
        '1'
    } else {
        '0'
    };
    wrong_checksum.push(last);
    for _ in 0..10_000 {
        let id = billing.id.to_string();
        assert!(
            world
                .issue
                .authenticate(&id, &wrong_checksum, None)
                .is_err()
        );
    }
    assert_eq!(world.issue.keys_hashed(), hashed);
    world.client(&billing);
    assert_eq!(world.issue.keys_hashed(), hashed + 1);
}
