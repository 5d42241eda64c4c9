//! What somebody may say about how a secret is exchanged: what is wrong is named by its member, and never repeated.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use lanyard::vault::rotate::NewPlan;
use serde_json::{Value, json};

use super::http::DESCRIPTIONS;
use crate::edge::harness::{Dev, json as on_json, lanyard, run, words};

/// What somebody may have written where it does not belong.
const CANARY: &str = "hunter2-4eC39HqLyjWDarjtT1zdp7dc";

fn described() -> Value {
    let text = toml::from_str::<toml::Value>(DESCRIPTIONS[0].1).unwrap();
    let mut third_party = serde_json::to_value(text).unwrap();
    third_party["kind"] = json!("http");
    json!({"third_party": third_party, "manager": "third/manager"})
}

fn postgres() -> Value {
    json!({"third_party": {
        "kind": "postgres", "host": "db.example", "database": "shop", "roles": ["shop_a", "shop_b"],
    }})
}

fn aws() -> Value {
    json!({"third_party": {"kind": "aws_iam", "user": "shop"}})
}

/// Why a plan is refused.
fn why(plan: &Value) -> Option<String> {
    let written = serde_json::from_str(&plan.to_string()).unwrap();
    NewPlan::read(written)
        .err()
        .map(|refused| refused.to_string())
}

/// The plan with one member set, or taken out.
fn with(mut plan: Value, at: &str, value: Value) -> Value {
    let (table, member) = at.rsplit_once('/').unwrap();
    let table = plan.pointer_mut(table).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        table.remove(member);
    } else {
        table.insert(member.to_owned(), value);
    }
    plan
}

/// The member as whoever wrote it knows it.
fn named(at: &str) -> String {
    format!("`{}", at.trim_start_matches('/').replace('/', "."))
}

#[test]
fn the_plans_that_are_shown_as_examples_are_taken() {
    for plan in [described(), postgres(), aws()] {
        assert_eq!(why(&plan), None);
    }
    for (_, text) in DESCRIPTIONS {
        let text = toml::from_str::<toml::Value>(text).unwrap();
        let plan = with(
            described(),
            "/third_party",
            serde_json::to_value(text).unwrap(),
        );
        assert_eq!(why(&with(plan, "/third_party/kind", json!("http"))), None);
    }
    let all = json!(["10.1.0.0/16", "127.0.0.0/8", "fd00::/8"]);
    assert_eq!(why(&with(postgres(), "/private", all)), None);
}

#[test]
fn a_misspelt_member_is_named_in_whichever_table_it_stands() {
    for at in [
        "/evry_days",
        "/privat",
        "/third_party/bass",
        "/third_party/manager/vaule",
        "/third_party/credential/heder",
        "/third_party/find/itmes",
        "/third_party/find/pages/nxt",
        "/third_party/create/refrence",
        "/third_party/verify/wroks",
        "/third_party/revoke/endde",
    ] {
        let refused = why(&with(described(), at, json!(CANARY))).unwrap();
        assert!(
            refused.starts_with(&(named(at) + "` is no member: there are `")),
            "{refused}"
        );
        assert!(!refused.contains(CANARY), "{refused}");
    }
    for (plan, at) in [
        (postgres(), "/third_party/hots"),
        (aws(), "/third_party/usr"),
    ] {
        let refused = why(&with(plan, at, json!(1))).unwrap();
        assert!(refused.starts_with(&named(at)), "{refused}");
    }
    // One that could be a credential is not repeated.
    let refused = why(&with(
        described(),
        &format!("/third_party/find/{CANARY}"),
        json!(1),
    ))
    .unwrap();
    assert!(
        refused.contains("`third_party.find`") && !refused.contains(CANARY),
        "{refused}"
    );
    for text in [
        r#"{"manager":"a","manager":"b"}"#,
        r#"{"third_party":{"kind":"http","kind":"http"}}"#,
    ] {
        assert!(
            serde_json::from_str::<lanyard::vault::rotate::Written>(text).is_err(),
            "{text}"
        );
    }
}

#[test]
fn numbers_have_bounds_and_networks_are_private() {
    let days = 92 * 24 * 60 * 60;
    for (at, least, most) in [
        ("/call_seconds", 1, 14),
        ("/settle_seconds", 11, 3_600),
        ("/spread_seconds", 0, 3_600),
        ("/overlap_seconds", 0, days),
        ("/quiet_seconds", 0, days),
        ("/every_days", 1, 3_650),
    ] {
        for good in [least, most] {
            assert_eq!(
                why(&with(postgres(), at, json!(good))),
                None,
                "{at}: {good}"
            );
        }
        let most = if at == "/call_seconds" { 60 } else { most };
        for bad in [
            json!(most + 1),
            json!(-1),
            json!(1.5),
            json!("10"),
            json!([]),
            json!(1_u64 << 32),
        ] {
            let refused = why(&with(postgres(), at, bad.clone())).unwrap();
            assert!(
                refused.starts_with(&named(at)) && refused.contains(&most.to_string()),
                "{bad}: {refused}"
            );
        }
    }
    for (at, bad) in [
        ("/call_seconds", 0),
        ("/settle_seconds", 10),
        ("/call_seconds", 15),
        ("/every_days", 0),
    ] {
        let refused = why(&with(postgres(), at, json!(bad))).unwrap();
        assert!(refused.contains(&named(at)), "{refused}");
    }
    for good in [
        "10.0.0.0/8",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "fc00::/7",
        "fd00::/8",
        "198.18.0.0/16",
        "2001:db8::/32",
    ] {
        assert_eq!(
            why(&with(postgres(), "/private", json!([good]))),
            None,
            "{good}"
        );
    }
    for bad in [
        json!("127.0.0.0/8"),
        json!(["127.0.0.1"]),
        json!(["10.0.0.1/8"]),
        json!([CANARY]),
        json!(["0.0.0.0/0"]),
        json!(["::/0"]),
        json!(["8.0.0.0/7"]),
        // As wide as a private one, and none.
        json!(["::/7"]),
        json!(["168.0.0.0/8"]),
        json!(["2000::/8"]),
        json!(vec!["10.0.0.0/8"; 17]),
    ] {
        let refused = why(&with(postgres(), "/private", bad.clone())).unwrap();
        assert!(
            refused.starts_with("`private`") && !refused.contains(CANARY),
            "{bad}: {refused}"
        );
    }
}

#[test]
fn a_description_that_cannot_work_is_refused_by_the_member_that_is_wrong() {
    let text = |text: &str| json!(text);
    let secret = |before: &str, after: &str| json!(format!("{before}{CANARY}{after}"));
    for (at, bad) in [
        ("/third_party/kind", text("htttp")),
        ("/third_party/base", Value::Null),
        ("/third_party/base", secret("", "")),
        (
            "/third_party/base",
            secret("https://", "@api.vendor.example"),
        ),
        (
            "/third_party/base",
            secret("http://me:", "@api.vendor.example"),
        ),
        (
            "/third_party/base",
            secret("https://api.vendor.example/", ""),
        ),
        ("/third_party/manager", secret("", "")),
        ("/third_party/manager/value", secret("Bearer ", "")),
        ("/third_party/manager/value", secret("Bearer {secret} ", "")),
        ("/third_party/manager/value", secret("Bearer {", "}")),
        (
            "/third_party/manager/value",
            secret("Bearer {secret} {", ""),
        ),
        ("/third_party/manager/value", text("Bearer {secret")),
        ("/third_party/manager/value", text("Bearer {key}")),
        ("/third_party/manager/value", text("Bearer")),
        (
            "/third_party/manager/value",
            text("Bearer {secret}\r\nx: y"),
        ),
        ("/third_party/manager/value", text("Bearer {secret}\0")),
        ("/third_party/manager/value", json!(1)),
        ("/third_party/manager/header", text("")),
        ("/third_party/manager/header", text("Authori zation")),
        ("/third_party/manager/header", text("Authorization:")),
        ("/third_party/manager/header", text("x\r\ny")),
        ("/third_party/manager/header", text("Host")),
        ("/third_party/manager/header", text("Transfer-Encoding")),
        ("/third_party/manager/user", text("{secret}")),
        (
            "/third_party/credential",
            json!({"user": CANARY, "password": "{secret}"}),
        ),
        ("/third_party/find/method", text("get")),
        ("/third_party/find/method", text("TRACE")),
        ("/third_party/find/method", text("DELETE")),
        (
            "/third_party/find/method",
            text("GET / HTTP/1.1\r\nx: y\r\n\r\n"),
        ),
        ("/third_party/create/method", text("GET")),
        ("/third_party/find/headers", json!({"X-Api-Key": CANARY})),
        (
            "/third_party/find/headers",
            json!({"authorization": "Bearer {secret}"}),
        ),
        ("/third_party/find/headers", json!({"Accept": "a\r\nx: y"})),
        ("/third_party/find/headers", json!({"Content-Length": "0"})),
        ("/third_party/find/headers", json!({"Accept": "{nothing}"})),
        ("/third_party/find/headers", json!({"Accept": 1})),
        ("/third_party/find/path", text("v1/keys")),
        ("/third_party/find/path", text("//elsewhere.example/")),
        ("/third_party/find/path", text("/v1/../keys")),
        ("/third_party/find/path", text("/v1/%2e%2e/keys")),
        ("/third_party/find/path", text("/v1\\keys")),
        ("/third_party/find/path", text("/v1/keys#all")),
        ("/third_party/find/path", text("/v1/ke ys")),
        ("/third_party/find/path", text("/v1/keys\r\nx: y")),
        ("/third_party/find/path", text("/v1/{secret}")),
        ("/third_party/find/path", text("/v1/{key}")),
        ("/third_party/find/path", secret("/v1/keys?api_key=", "")),
        ("/third_party/find/json", json!({})),
        ("/third_party/find/items", text("data")),
        ("/third_party/find/items", text("/a~2")),
        ("/third_party/find/items", Value::Null),
        ("/third_party/find/reference", text("id")),
        ("/third_party/find/only", json!({"name": "lanyard"})),
        ("/third_party/find/found", json!([])),
        ("/third_party/find/found", json!([500])),
        (
            "/third_party/find/pages",
            json!({"next": "last", "parameter": "after"}),
        ),
        (
            "/third_party/find/pages",
            json!({"next": "/last", "parameter": ""}),
        ),
        ("/third_party/find/pages", json!([])),
        (
            "/third_party/create/json",
            json!({"data": [{"api_key": CANARY}]}),
        ),
        ("/third_party/create/json", json!({"name": "{nothing}"})),
        ("/third_party/create/form", json!({"a": "b"})),
        ("/third_party/create/made", json!([])),
        ("/third_party/create/made", json!([409])),
        ("/third_party/create/reference", text("/value")),
        ("/third_party/create/secret", text("value")),
        (
            "/third_party/create/idempotency_header",
            text("Idempotency Key"),
        ),
        ("/third_party/verify/works", json!([])),
        ("/third_party/verify/works", json!([200, 401])),
        ("/third_party/verify/works", json!("200")),
        ("/third_party/verify/works", json!([70_000])),
        ("/third_party/verify/dead", json!([])),
        ("/third_party/verify/dead", json!([200])),
        ("/third_party/verify/dead", json!([401, 429])),
        ("/third_party/verify/dead", json!([503])),
        ("/third_party/revoke/ended", json!([])),
        ("/third_party/revoke/ended", json!([204, 403])),
        ("/third_party/revoke/ended", json!([500])),
        ("/third_party/revoke/path", text("/v1/keys")),
    ] {
        let refused = why(&with(described(), at, bad.clone()));
        let refused = refused.unwrap_or_else(|| panic!("{at} = {bad} is taken"));
        // Some are wrong by what they are beside: the table is named.
        let (table, _) = at.rsplit_once('/').unwrap();
        let place = refused.starts_with(&named(at)) || refused.starts_with(&(named(table) + "` "));
        assert!(place, "{at} = {bad}: {refused}");
        assert!(!refused.contains("hunter2"), "{at}: {refused}");
    }
    for (plan, at, bad) in [
        (
            postgres(),
            "/third_party/roles",
            json!(["shop_a", "shop_a"]),
        ),
        (postgres(), "/third_party/roles", json!(["shop_a"])),
        (postgres(), "/third_party/roles", json!(["shop_a", "a\0b"])),
        (postgres(), "/third_party/database", json!("")),
        (postgres(), "/third_party/host", json!("")),
        (postgres(), "/third_party/host", json!("me@db.example")),
        (postgres(), "/third_party/host", json!("db.example\0.other")),
        (postgres(), "/third_party/port", json!(0)),
        (postgres(), "/third_party/port", json!(65_536)),
        (postgres(), "/third_party/plain", json!(true)),
        (aws(), "/third_party/user", json!("")),
        (aws(), "/third_party/user", json!("a&UserName=b")),
        (aws(), "/third_party/region", json!("us east")),
        (aws(), "/third_party/iam", json!("http://iam.example/")),
        (
            aws(),
            "/third_party/sts",
            json!(format!("https://me:{CANARY}@sts.example/")),
        ),
    ] {
        let refused = why(&with(plan, at, bad.clone()));
        let refused = refused.unwrap_or_else(|| panic!("{at} = {bad} is taken"));
        assert!(
            refused.starts_with(&named(at)) && !refused.contains("hunter2"),
            "{bad}: {refused}"
        );
    }
}

fn put(folder: &Path, name: &str, owner: &str) {
    let mut child = lanyard(&[
        "secret",
        "put",
        name,
        "--owner",
        owner,
        "--reference",
        "key-1",
    ])
    .args(["--data-dir", folder.to_str().unwrap()])
    .stdin(Stdio::piped())
    .stdout(Stdio::null())
    .spawn()
    .unwrap();
    child.stdin.take().unwrap().write_all(b"a-value").unwrap();
    assert!(child.wait().unwrap().success());
}

/// Through the real binary: a file, the broker, the log, and what is shown.
#[test]
fn a_plan_goes_in_by_file_and_nothing_of_a_credential_in_it_comes_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let dev = Dev::start(&data);
    let here = ["--data-dir", data.to_str().unwrap()];
    let on = |arguments: &[&str]| on_json(&[arguments, &["--json"], &here].concat());
    on(&["owner", "add", "platform"]);
    put(&data, "third/key", "dev");
    put(&data, "third/manager", "dev");
    put(&data, "other/manager", "platform");
    let file = folder.path().join("plan.toml");
    let plan = |private: &str, manager: &str, change: (&str, &str)| {
        let description = DESCRIPTIONS[0]
            .1
            .replace("https://api.vendor.example", "http://127.0.0.1:9")
            .replacen('[', "[third_party.", 6);
        let description =
            description.replacen("base =", "[third_party]\nkind = \"http\"\nbase =", 1);
        let text = format!("manager = \"{manager}\"\n{private}\n{description}");
        let changed = text.replacen(change.0, change.1, 1);
        assert!(change.0 == change.1 || changed != text, "{change:?}");
        std::fs::write(&file, changed).unwrap();
        let arguments = [
            "rotation",
            "plan",
            "third/key",
            "--file",
            file.to_str().unwrap(),
        ];
        run(&[&arguments[..], &here].concat())
    };
    let private = "private = [\"127.0.0.0/8\"]";
    let literal = format!("value = \"Bearer {CANARY}\"");
    for (private, manager, change, says) in [
        ("", "third/manager", ("", ""), "name it in `private`"),
        (private, "other/manager", ("", ""), "another owner"),
        (
            private,
            "third/manager",
            ("path = \"/v1/me\"", "path = \"/v1/me\"\nworks = []"),
            "verify.works",
        ),
        (
            private,
            "third/manager",
            ("path = \"/v1/me\"", "path = \"/v1/me\"\nwroks = [200]"),
            "verify.wroks",
        ),
        (
            private,
            "third/manager",
            ("value = \"Bearer {secret}\"", literal.as_str()),
            "manager.value",
        ),
    ] {
        let refused = plan(private, manager, change);
        let said = words(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains(says),
            "{change:?}: {said}"
        );
        assert!(
            !said.contains("hunter2") && refused.stdout.is_empty(),
            "{said}"
        );
    }
    let show = ["rotation", "plan", "third/key", "--show"];
    assert!(!run(&[&show[..], &here].concat()).status.success());
    let taken = plan(private, "third/manager", ("", ""));
    assert!(taken.status.success(), "{}", words(&taken.stderr));
    let shown = on(&show);
    assert_eq!(shown["private"], json!(["127.0.0.0/8"]));
    assert_eq!(shown["third_party"]["manager"]["value"], "Bearer {secret}");
    // Whoever answers for the manager now has said nothing about it.
    on(&["secret", "transfer", "third/manager", "--to", "platform"]);
    let begun = run(&[&["secret", "rotate", "third/key"][..], &here].concat());
    assert!(
        words(&begun.stderr).contains("another owner"),
        "{}",
        words(&begun.stderr)
    );
    assert!(
        !dev.running.said().contains("hunter2"),
        "{}",
        dev.running.said()
    );
}
