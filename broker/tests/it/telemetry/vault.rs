//! Sixty secrets are put, leased, refused and reported as leaked, and then nobody finds one anywhere but in the answer that
//! leases them. What egress makes of them is looked through where egress is tested.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::sinks::{Secrets, files};
use crate::edge::harness::{Dev, answer, client, lanyard, words};

const PLANTED: usize = 60;
/// Secrets that they are versions of.
const NAMES: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_put_is_in_no_file_line_metric_trace_or_answer() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let receiver = Receiver::start(folder.path());
    let mut variables = receiver.as_ref().map_or_else(Vec::new, Receiver::variables);
    variables.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let at = data.to_str().unwrap();
    let dev = Dev::start_with(&data, &variables);
    let client = client(None);
    let mut secrets = Secrets::default();
    let mut sinks = Vec::new();
    for n in 0..PLANTED {
        let value = value(n);
        secrets.plant(&format!("secret {n}"), value.as_bytes());
        let (name, owner) = (format!("team/key-{}", n % NAMES), "dev");
        if n % 4 > 0 {
            let put = json!({"name": name, "owner": owner, "value": value});
            let (status, answer) = dev.admin(&client, Method::POST, "/v1/secrets", put).await;
            assert_eq!(status, 201, "{answer}");
            sinks.push((format!("the answer to put {n}"), answer.to_string()));
        } else {
            let file = folder.path().join("value");
            std::fs::write(&file, &value).unwrap();
            let mut command =
                lanyard(&["secret", "put", &name, "--owner", owner, "--data-dir", at]);
            command
                .env("RUST_LOG", "trace")
                .args(["--file", file.to_str().unwrap()]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", words(&output.stderr));
            sinks.push((
                format!("lanyard secret put {n}"),
                words(&output.stdout) + &words(&output.stderr),
            ));
        }
        // The same value where it does not belong.
        for (what, body) in [
            (
                "a refused put",
                json!({"name": name, "owner": "nobody", "value": value}),
            ),
            (
                "a name",
                json!({"name": value, "owner": owner, "value": "x"}),
            ),
            (
                "an owner",
                json!({"name": "new", "owner": value, "value": "x"}),
            ),
            (
                "a reference",
                json!({"name": "new", "value": "x", "reference": format!("{value}\n")}),
            ),
            (
                "a line break in it",
                json!({"name": name, "value": format!("{value}\r\nX: y")}),
            ),
            (
                "a member",
                json!({"name": name, "value": "x", "pending": value}),
            ),
        ] {
            let (status, answer) = dev.admin(&client, Method::POST, "/v1/secrets", body).await;
            assert!(status.is_client_error(), "{what}: {answer}");
            sinks.push((format!("the answer to {what}"), answer.to_string()));
        }
    }
    let (leased, others) = use_and_leak(&dev, &client).await;
    let given = secrets.found_in(&leased, &[]).len();
    assert_eq!(
        given, NAMES,
        "what is leased is found, or the search finds nothing"
    );
    sinks.extend(others);
    for path in [
        "/v1/integrations",
        "/v1/rotations",
        "/v1/secrets",
        "/v1/secrets/team%2Fkey-3",
        "/v1/secrets/team%2Fkey-3/who",
        "/v1/status",
        "/metrics",
    ] {
        let request = client
            .get(format!("{}{path}", dev.text("admin_url")))
            .bearer_auth(dev.text("admin_token"));
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert!(!answer.is_empty());
        sinks.push((path.to_owned(), answer));
    }
    let backup = lanyard(&[
        "backup",
        folder.path().join("copy").to_str().unwrap(),
        "--data-dir",
        at,
    ])
    .output()
    .unwrap();
    assert!(backup.status.success(), "{}", words(&backup.stderr));
    sinks.extend(files(&folder.path().join("copy")));
    // While it runs, and after it ended and saved its index.
    sinks.extend(files(&data));
    dev.running.signal("TERM");
    sinks.push(("standard error".to_owned(), dev.running.said_at_the_end()));
    sinks.extend(files(&data));
    if let Some(received) = receiver.map(Receiver::end) {
        for signal in ["traces", "metrics", "logs"] {
            let printed = received.printed(signal);
            assert!(printed.contains("service.name"), "no {signal} arrived");
            sinks.push((format!("{signal} over OTLP"), printed.to_owned()));
        }
    }
    println!(
        "{PLANTED} planted, {given} leased, looked for in {} places",
        sinks.len()
    );
    assert!(
        sinks.iter().any(|(sink, _)| sink.contains("index")) && sinks.len() > 150,
        "only {} sinks",
        sinks.len()
    );
    let leaks: Vec<String> = sinks
        .iter()
        .flat_map(|(sink, text)| {
            secrets
                .found_in(text, &[])
                .into_iter()
                .map(move |name| format!("{name} in {sink}"))
        })
        .collect();
    assert!(
        leaks.is_empty(),
        "{} of {} planted: {}",
        leaks.len(),
        secrets.len(),
        leaks.join("\n")
    );
}

fn value(n: usize) -> String {
    format!("sk_live/canary+{n:02}\"{}=", "x7Kq9".repeat(3 + n))
}

/// What egress is answered; and the answers to whoever asks wrongly, tells of uses, or reports values as leaked.
async fn use_and_leak(dev: &Dev, client: &Client) -> (String, Vec<(String, String)>) {
    let mut sinks = Vec::new();
    let gateway = json!({
        "name": "egress-eu", "owner": "dev", "audiences": ["https://egress.example"],
        "egress": true,
    });
    let (status, enrolment) = dev
        .admin(client, Method::POST, "/v1/gateways", gateway)
        .await;
    assert_eq!(status, 201, "{enrolment}");
    for n in 0..NAMES {
        let integration = json!({
            "owner": "dev", "gateways": ["egress-eu"],
            "integration": {
                "name": format!("party-{n}"), "upstream": "https://api.example.com",
                "inject": {"kind": "header", "secret": format!("team/key-{n}")},
                "rule": [{"method": "GET", "template": "/v1/{what}"}],
            },
        });
        let (status, answer) = dev
            .admin(client, Method::POST, "/v1/integrations", integration)
            .await;
        assert!(status.is_success(), "{answer}");
        sinks.push((format!("the answer to integration {n}"), answer.to_string()));
    }
    let key = |member: &str| enrolment[member].as_str().unwrap().to_owned();
    let (status, token) = dev
        .token(client, &key("client_id"), &key("client_secret"))
        .await;
    assert_eq!(status, 200, "{token}");
    let token = token["access_token"].as_str().unwrap();
    let url = format!("{}/v1/egress/leases", dev.text("issuer"));
    let ask = |body: Value| answer(client.post(&url).bearer_auth(token).json(&body));
    let (status, leased) = ask(json!({})).await;
    assert_eq!(status, 200, "{leased}");
    let newest = value(PLANTED - 1);
    for (what, body) in [
        (
            "a use of a secret by its value",
            json!({"boot": "00000000000000aa", "uses": [
                {"integration": newest, "secret": newest, "version": 1, "calls": 1, "last_at": 1},
            ]}),
        ),
        (
            "a start that is a value",
            json!({"boot": newest, "uses": []}),
        ),
        (
            "a hash that is a value",
            json!({"known": newest, "uses": newest}),
        ),
    ] {
        let (_, mut answer) = ask(body).await;
        // What is leased along with it is looked at above.
        answer["leases"] = Value::Null;
        sinks.push((format!("the answer to {what}"), answer.to_string()));
    }
    for n in [0, PLANTED - 1] {
        let leak = json!({"token": value(n), "url": "https://git.example/x"});
        let url = format!("{}/v1/leaks", dev.text("issuer"));
        let (status, answer) = answer(client.post(url).json(&leak)).await;
        assert!(status.is_success(), "{answer}");
        sinks.push((format!("the answer to leak {n}"), answer.to_string()));
    }
    (leased.to_string(), sinks)
}
