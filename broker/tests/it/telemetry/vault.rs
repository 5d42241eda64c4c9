//! Twenty secrets are put, and then nobody finds one anywhere.

use reqwest::Method;
use serde_json::json;

use super::sinks::{Secrets, files};
use crate::edge::harness::{Dev, client, lanyard, words};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_put_is_in_no_file_line_metric_or_answer() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (at, variables) = (data.to_str().unwrap(), [("RUST_LOG", "trace")]);
    let dev = Dev::start_with(&data, &variables);
    let client = client(None);
    let mut secrets = Secrets::default();
    let mut sinks = Vec::new();
    for n in 0..20 {
        let value = format!("sk_live/canary+{n:02}\"{}=", "x7Kq9".repeat(3 + n));
        secrets.plant(&format!("secret {n}"), value.as_bytes());
        let (name, owner) = (format!("team/key-{}", n % 12), "dev");
        if n % 2 == 0 {
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
    for path in [
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
