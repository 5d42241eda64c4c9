//! What a caller sends and a third party is not to see: values in the place of the credential, and the caller's token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::smuggling::recorder;
use crate::support::{HEADER, VALUE, World, party};

#[tokio::test]
async fn a_second_value_of_an_injected_parameter_or_header_does_not_reach_the_third_party() {
    let (upstream, recorded) = recorder().await;
    let query = "kind = \"query\"\nsecret = \"party/key\"\nparameter = \"api_key\"";
    let world = World::new(&party(upstream, query, "")).await;
    for query in [
        "api_key=mine",
        "a=1;api_key=mine",
        "a=1;api%5fkey=mine;b=2",
        "API_KEY=mine&a=1",
        "api.key=mine",
        "api_key[]=mine",
        "+api_key=mine",
    ] {
        let answer = world.get(&format!("/party/v1/x?{query}")).await;
        assert_eq!(answer.status(), 200, "{query}");
    }
    let header = "kind = \"header\"\nsecret = \"party/key\"\nheader = \"x-api-key\"\nprefix = \"\"";
    let other = World::new(&party(upstream, header, "")).await;
    for name in [
        "x-api-key",
        "X_API_KEY",
        "x_api-key",
        "true-client-ip",
        "True_Client_IP",
        "cf-connecting-ip",
        "fastly-client-ip",
        "x-cluster-client-ip",
        "x_forwarded_for",
        "x-original-url",
        "remote_user",
    ] {
        let request = crate::support::http().get(other.url("/party/v1/x"));
        let request = request
            .bearer_auth(other.token("party:use"))
            .header(name, "mine");
        assert_eq!(request.send().await.unwrap().status(), 200, "{name}");
    }
    let recorded = recorded.lock().unwrap();
    let text = String::from_utf8_lossy(&recorded);
    assert!(!text.contains("mine"), "{text}");
    let encoded = VALUE.replace('/', "%2F");
    assert_eq!(text.matches(&format!("api_key={encoded}")).count(), 7);
    assert_eq!(text.matches(&format!("x-api-key: {VALUE}")).count(), 11);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_calls_of_many_shapes_carry_no_token_out() {
    let (upstream, recorded) = recorder().await;
    let world = World::new(&party(upstream, HEADER, "")).await;
    let token = world.token("party:use");
    let http = crate::support::http();
    let percent = token.replace('.', "%2e");
    let encoded = [
        STANDARD.encode(&token),
        STANDARD.encode(format!("a:{token}")),
    ];
    let [plain, within] = &encoded;
    let hexadecimal: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
    // Names that are never handed on, and names that nobody has a list of.
    let shapes = [
        ("cookie", format!("token={token}")),
        ("x-forwarded-authorization", format!("Bearer {token}")),
        ("proxy-authorization", format!("Bearer {token}")),
        ("forwarded", format!("by={token}")),
        ("x-lanyard-token", token.clone()),
        ("lanyard-token", token.clone()),
        ("x-auth-token", token.clone()),
        ("x-amz-meta-anything", format!("a, {token}")),
        ("user-agent", format!("program/1 ({token})")),
        ("referer", format!("https://a.example/?t={percent}&u=v")),
        ("x-basic", format!("Basic {within}")),
        ("traceparent", plain.clone()),
        ("sec-websocket-protocol", token.clone()),
        ("x-hexadecimal", hexadecimal.clone()),
    ];
    let mut sent = 0_usize;
    while sent < 10_000 {
        let calls = (0..50).map(|at| {
            let (name, value) = &shapes[(sent + at) % shapes.len()];
            let request = http.get(world.url("/party/v1/x")).bearer_auth(&token);
            let request = request.header(*name, value);
            async move { request.send().await.unwrap().status() }
        });
        for status in futures::future::join_all(calls).await {
            assert_eq!(status, 200);
            sent += 1;
        }
    }
    for address in [
        format!("/party/v1/{token}"),
        format!("/party/v1/x?token={token}"),
        format!("/party/v1/x?a=b&{percent}"),
        format!("/party/v1/x?a={}", plain.trim_end_matches('=')),
        format!("/party/v1/x?{hexadecimal}=b"),
    ] {
        let request = http.get(world.url(&address)).bearer_auth(&token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{address}");
        let said = answer.text().await.unwrap();
        assert!(
            said.contains("token_in_address") && !said.contains(&token),
            "{said}"
        );
    }
    let recorded = recorded.lock().unwrap();
    assert_eq!(
        memchr::memmem::find_iter(&recorded, b"GET /base/v1/").count(),
        sent
    );
    for form in [
        &token,
        &percent,
        plain,
        &within[12..within.len() - 4],
        &hexadecimal,
    ] {
        assert!(memchr::memmem::find(&recorded, form.as_bytes()).is_none());
    }
}
