//! Secrets in every place of a request, on every route.

use reqwest::Client;
use serde_json::json;

use super::super::sinks::Secrets;
use super::{Answers, lookalikes};
use crate::edge::harness::Dev;

const ROUTES: &str = include_str!("../../edge/routes.txt");

/// Every route of both listeners with secrets in path, query, headers and body.
pub(super) async fn every_route(
    dev: &Dev,
    client: &Client,
    secrets: &mut Secrets,
    answers: &mut Answers,
) {
    for line in ROUTES.lines().filter(|line| !line.starts_with('#')) {
        let [door, method, path, _] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let base = match door {
            "public" => dev.text("issuer"),
            "admin" => dev.text("admin_url"),
            _ => continue,
        };
        // A stream has no end to wait for.
        if path == "/v1/feed" {
            continue;
        }
        for admitted in [false, true] {
            // What ends the demo's own things would end the test.
            let what = format!("{line} ({admitted})");
            let [in_path, _] = lookalikes(secrets, &format!("{what}: path"));
            let [in_query, in_header] = lookalikes(secrets, &format!("{what}: query, header"));
            let [in_body, in_agent] = lookalikes(secrets, &format!("{what}: body, agent"));
            let mut concrete = String::new();
            for segment in path.split('/').skip(1) {
                concrete.push('/');
                concrete.push_str(if segment.starts_with('{') {
                    &in_path
                } else {
                    segment
                });
            }
            let url =
                format!("{base}{concrete}?access_token={in_query}&verbose=1&after={in_query}");
            let mut request = client
                .request(method.parse().unwrap(), url)
                .header("user-agent", format!("agent {in_agent}"))
                .header("cookie", format!("session={in_header}"))
                .header("x-api-key", &in_header)
                .header("tracestate", format!("a={in_header}"))
                .header("baggage", format!("key={in_header}"))
                .header("traceparent", &in_header);
            request = match admitted {
                true => request.bearer_auth(dev.text("admin_token")),
                false => request.bearer_auth(&in_header),
            };
            if method == "POST" {
                let body = json!({"password": in_body, in_body.as_str(): 1});
                request = request.json(&body);
            }
            answers.ask(what, request).await;
            if method == "POST" && admitted {
                for member in [
                    "name",
                    "owner",
                    "kind",
                    "tags",
                    "audiences",
                    "scopes",
                    "max_lifetime",
                    "node",
                    "nodes",
                    "tokens",
                    "seconds",
                    "wait",
                    "label",
                    "expires_in",
                    "entries",
                    "epoch",
                    "instance",
                    "rev",
                ] {
                    let [value, _] = lookalikes(secrets, &format!("{line}: member {member}"));
                    let known = json!({member: value});
                    let request = client
                        .request(method.parse().unwrap(), format!("{base}{concrete}"))
                        .bearer_auth(dev.text("admin_token"))
                        .json(&known);
                    answers.ask(format!("{line}, {member}"), request).await;
                }
                let [value, _] = lookalikes(secrets, &format!("{line}: not JSON"));
                let request = client
                    .request(method.parse().unwrap(), format!("{base}{concrete}"))
                    .bearer_auth(dev.text("admin_token"))
                    .header("content-type", "application/json")
                    .body(format!("{{\"name\": {value}"));
                answers.ask(format!("{line}, not JSON"), request).await;
            }
        }
    }
}

/// The OAuth routes with every member, and every header, that could hold a secret.
pub(super) async fn bad_forms(
    dev: &Dev,
    client: &Client,
    secrets: &mut Secrets,
    answers: &mut Answers,
) {
    let issuer = dev.text("issuer").to_owned();
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/introspect"] {
        for member in [
            "client_id",
            "client_secret",
            "password",
            "username",
            "assertion",
            "client_assertion",
            "token",
            "subject_token",
            "actor_token",
            "subject_token_type",
            "actor_token_type",
            "grant_type",
            "scope",
            "audience",
            "resource",
            "requested_lifetime",
            "requested_token_type",
            "authorization_details",
            "code",
            "refresh_token",
            "wait",
            "token_type_hint",
        ] {
            for secret in lookalikes(secrets, &format!("{path}: {member}")) {
                let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
                let mut form = vec![(member, secret.as_str())];
                for (name, value) in [
                    (
                        "grant_type",
                        if member.contains("_token") {
                            exchange
                        } else {
                            "client_credentials"
                        },
                    ),
                    ("token", "x"),
                    ("subject_token", "x"),
                    (
                        "subject_token_type",
                        "urn:ietf:params:oauth:token-type:access_token",
                    ),
                ] {
                    if name != member {
                        form.push((name, value));
                    }
                }
                let request = || client.post(format!("{issuer}{path}")).form(&form);
                answers.ask(format!("{path}, {member}"), request()).await;
                let known =
                    request().basic_auth(dev.text("client_id"), Some(dev.text("client_secret")));
                answers.ask(format!("{path}, {member}, known"), known).await;
            }
        }
        for scheme in [
            "Basic ",
            "Bearer ",
            "bearer  ",
            "Digest response=",
            "Negotiate ",
            "",
            "Basic\t",
            "Bearer x,",
        ] {
            for secret in lookalikes(secrets, &format!("{path}: `{scheme}`")) {
                let request = client
                    .post(format!("{issuer}{path}"))
                    .header("authorization", format!("{scheme}{secret}"))
                    .form(&[("grant_type", "client_credentials"), ("token", "x")]);
                answers.ask(format!("{path}, `{scheme}`"), request).await;
            }
        }
        for (id, what) in [
            ("nobody", "an unknown client"),
            (dev.text("client_id"), "a wrong key"),
        ] {
            for secret in lookalikes(secrets, &format!("{path}: {what}")) {
                let request = client
                    .post(format!("{issuer}{path}"))
                    .basic_auth(id, Some(&secret))
                    .form(&[("grant_type", "client_credentials"), ("token", "x")]);
                answers.ask(format!("{path}, {what}"), request).await;
            }
        }
        let [body, _] = lookalikes(secrets, &format!("{path}: not a form"));
        let request = client
            .post(format!("{issuer}{path}"))
            .header("content-type", "application/json")
            .body(body);
        answers.ask(format!("{path}, not a form"), request).await;
    }
}
