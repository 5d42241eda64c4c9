//! Integrations through the real binary, and what egress is given for them.

use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::harness::{Dev, answer, client, json as run_json, lanyard, refused, words};

const SECRET: &str = "payments/stripe/api-key";

struct World {
    dev: Dev,
    client: Client,
    folder: tempfile::TempDir,
}

/// A gateway's enrolment.
struct Gateway {
    id: String,
    key: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dev = Dev::start(&folder.path().join("data"));
        let world = Self {
            dev,
            client: client(None),
            folder,
        };
        world.on(&["owner", "add", "payments"]);
        world.put(SECRET, "payments", "sk_live_first");
        world
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_str().unwrap().to_owned()
    }

    fn on(&self, arguments: &[&str]) -> Value {
        run_json(&[arguments, &["--json", "--data-dir", &self.data()]].concat())
    }

    fn refuses(&self, arguments: &[&str], code: i32) -> String {
        refused(&[arguments, &["--data-dir", &self.data()]].concat(), code)
    }

    fn put(&self, name: &str, owner: &str, value: &str) {
        let file = self.folder.path().join("value");
        std::fs::write(&file, value).unwrap();
        let file = file.to_str().unwrap();
        self.on(&["secret", "put", name, "--owner", owner, "--file", file]);
    }

    fn enrol(&self, name: &str, more: &[&str]) -> Gateway {
        let out = self.folder.path().join(format!("{name}.json"));
        let at = out.to_str().unwrap();
        let add = ["gateway", "add", name, "--owner", "payments", "--audience"];
        let arguments = [&add[..], &["https://egress.example", "--out", at], more].concat();
        let mut command = lanyard(&[&arguments[..], &["--data-dir", &self.data()]].concat());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", words(&output.stderr));
        let enrolment = read(&out);
        Gateway {
            id: enrolment["client_id"].as_str().unwrap().to_owned(),
            key: enrolment["client_secret"].as_str().unwrap().to_owned(),
        }
    }

    fn add(&self, name: &str, owner: &str, secret: &str) -> Value {
        self.on(&[
            "integration",
            "add",
            name,
            "--owner",
            owner,
            "--gateway",
            "egress-eu",
            "--upstream",
            "https://api.stripe.com",
            "--secret",
            secret,
            "--allow",
            "GET /v1/charges/{id}",
        ])
    }

    async fn token(&self, gateway: &Gateway) -> String {
        let (status, answer) = self
            .dev
            .token(&self.client, &gateway.id, &gateway.key)
            .await;
        assert_eq!(status, 200, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn leases(&self, token: &str, query: &str, body: Value) -> (StatusCode, Value) {
        let url = format!("{}/v1/egress/leases{query}", self.dev.text("issuer"));
        answer(self.client.post(url).bearer_auth(token).json(&body)).await
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_given_the_secrets_of_its_integrations_for_a_minute() {
    let world = World::new();
    let gateway = world.enrol("egress-eu", &["--egress"]);
    let added = world.add("stripe", "payments", SECRET);
    assert_eq!(
        (&added["usable"], &added["gateways"][0]["allowed"]),
        (&json!(true), &json!(true))
    );
    let token = world.token(&gateway).await;
    let (status, given) = world.leases(&token, "", json!({})).await;
    assert_eq!(status, 200, "{given}");
    let [lease] = &given["leases"].as_array().unwrap()[..] else {
        panic!("{given}")
    };
    assert_eq!(
        (
            &lease["integration"],
            &lease["value"],
            &lease["version"],
            &lease["reference"]
        ),
        (
            &json!("stripe"),
            &json!("sk_live_first"),
            &json!(1),
            &Value::Null
        )
    );
    let lasts = lease["until"].as_u64().unwrap() - given["now"].as_u64().unwrap();
    assert!((1..=60_000).contains(&lasts), "{lasts}");
    assert_eq!(given["integrations"][0]["integration"]["name"], "stripe");
    assert_eq!(given["integrations"][0]["owner"], "payments");

    // What it knows is not told again; what it used is counted once, however often it tells.
    let uses = json!([{
        "integration": "stripe", "secret": lease["secret"], "version": 1, "calls": 17, "last_at": given["now"],
    }]);
    for _ in 0..2 {
        let asked = json!({"known": given["hash"], "boot": "00000000000000aa", "uses": uses});
        let (status, again) = world.leases(&token, "", asked).await;
        assert_eq!(
            (status, &again["integrations"]),
            (StatusCode::OK, &Value::Null)
        );
    }
    let restarted = json!({"known": given["hash"], "boot": "00000000000000ab", "uses": uses});
    world.leases(&token, "", restarted).await;
    let who = world.on(&["secret", "who", SECRET]);
    assert_eq!(who["uses"][0]["calls"], 34, "{who}");
    assert_eq!(who["uses"][0]["gateway"], "egress-eu");
    assert_eq!(who["holders"][0]["name"], "egress-eu");
    for bad in [
        json!({"uses": uses}),
        json!({"uses": uses, "boot": "zz"}),
        json!({"uses": uses, "boot": "0000000000000000"}),
        json!({"uses": [{"integration": "stripe"}], "boot": "00000000000000aa"}),
        json!([]),
    ] {
        assert_eq!(
            world.leases(&token, "", bad).await.0,
            StatusCode::BAD_REQUEST
        );
    }

    // The next version reaches whoever waits at once.
    let known = given["hash"].clone();
    let began = Instant::now();
    let waiting = world.leases(&token, "?wait=20", json!({"known": known}));
    let putting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::block_in_place(|| world.put(SECRET, "payments", "sk_live_second"));
    };
    let ((status, next), ()) = tokio::join!(waiting, putting);
    assert_eq!(
        (status, &next["leases"][0]["value"]),
        (StatusCode::OK, &json!("sk_live_second"))
    );
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );

    // An owner that left has nothing called for it, and neither has one whose integration was removed.
    world.on(&["owner", "disable", "payments", "--reason", "left"]);
    let shown = world.on(&["integration", "show", "stripe"]);
    assert_eq!(
        (&shown["usable"], &shown["why"]),
        (&json!(false), &json!("its owner is disabled"))
    );
    world.on(&["owner", "enable", "payments"]);
    world.on(&["integration", "remove", "stripe", "--reason", "over"]);
    let token = world.token(&gateway).await;
    let (_, nothing) = world.leases(&token, "", json!({})).await;
    assert_eq!(
        (&nothing["leases"], &nothing["integrations"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_have_a_secret_gets_none_and_is_told_why() {
    let world = World::new();
    let gateway = world.enrol("egress-eu", &["--egress"]);
    let plain = world.enrol("door", &[]);
    world.on(&["owner", "add", "shop"]);
    let theirs = world.add("shop-stripe", "shop", SECRET);
    assert_eq!(theirs["usable"], false);
    let why =
        format!("`{SECRET}` answers to `payments`, the integration to `shop`: no policy allows it");
    assert_eq!(theirs["why"], why);
    let token = world.token(&gateway).await;
    let (_, given) = world.leases(&token, "", json!({})).await;
    assert_eq!(given["leases"], json!([]));
    assert_eq!(
        given["refused"],
        json!([{"integration": "shop-stripe", "why": "no policy allows it"}])
    );
    let plain = world.token(&plain).await;
    assert_eq!(
        world.leases(&plain, "", json!({})).await.0,
        StatusCode::FORBIDDEN
    );
    let demo = world.dev.demo_token(&world.client).await;
    assert_eq!(
        world.leases(&demo, "", json!({})).await.0,
        StatusCode::UNAUTHORIZED
    );

    // A secret out of use takes its integrations along.
    world.add("stripe", "payments", SECRET);
    world.on(&["secret", "retire", SECRET, "--all"]);
    let shown = world.on(&["integration", "show", "stripe"]);
    assert!(
        shown["why"]
            .as_str()
            .unwrap()
            .contains("no version in force"),
        "{shown}"
    );
    let (_, given) = world.leases(&token, "", json!({})).await;
    assert_eq!(given["leases"], json!([]), "{given}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_many_times_is_one_use_and_starts_without_end_are_counted_as_one() {
    let world = World::new();
    let gateway = world.enrol("egress-eu", &["--egress"]);
    world.add("stripe", "payments", SECRET);
    let token = world.token(&gateway).await;
    let (_, given) = world.leases(&token, "", json!({})).await;
    let used = |calls: u64| {
        json!({
            "integration": "stripe", "secret": given["leases"][0]["secret"], "version": 1,
            "calls": calls, "last_at": given["now"],
        })
    };
    let copies: Vec<Value> = (1..=4_096).map(|_| used(17)).collect();
    let asked = json!({"boot": "00000000000000aa", "uses": copies});
    let (status, answer) = world.leases(&token, "", asked).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let who = world.on(&["secret", "who", SECRET]);
    assert_eq!(who["uses"][0]["calls"], 17, "{who}");

    // A new start with each request: 63 more of 17 calls each, and all the others are one.
    for boot in 0x100..0x180 {
        let asked = json!({"boot": format!("{boot:016x}"), "uses": [used(17)]});
        let mut answered = world.leases(&token, "", asked.clone()).await.0;
        while answered == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(Duration::from_millis(250)).await;
            answered = world.leases(&token, "", asked.clone()).await.0;
        }
        assert_eq!(answered, StatusCode::OK);
    }
    let who = world.on(&["secret", "who", SECRET]);
    assert_eq!(who["uses"][0]["calls"], 65 * 17, "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_at_once_that_a_secret_or_a_gateway_has_another_owner() {
    let world = World::new();
    let gateway = world.enrol("egress-eu", &["--egress"]);
    world.add("stripe", "payments", SECRET);
    world.on(&["owner", "add", "shop"]);
    let token = world.token(&gateway).await;
    let (_, mut given) = world.leases(&token, "", json!({})).await;
    assert_eq!(given["leases"].as_array().unwrap().len(), 1, "{given}");
    for (owner, leases) in [("shop", 0), ("payments", 1)] {
        let began = Instant::now();
        let known = json!({"known": given["hash"]});
        let waiting = world.leases(&token, "?wait=20", known);
        let moving = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tokio::task::block_in_place(|| {
                world.on(&["secret", "transfer", SECRET, "--to", owner]);
            });
        };
        let ((status, next), ()) = tokio::join!(waiting, moving);
        assert_eq!(status, StatusCode::OK, "{next}");
        assert_eq!(next["leases"].as_array().unwrap().len(), leases, "{next}");
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{:?}",
            began.elapsed()
        );
        given = next;
    }
}

#[test]
fn what_an_owner_hands_over_goes_on_with_its_secret() {
    let world = World::new();
    world.enrol("egress-eu", &["--egress"]);
    world.add("stripe", "payments", SECRET);
    world.on(&["owner", "add", "shop"]);
    world.on(&["owner", "transfer", "payments", "--to", "shop"]);
    world.on(&["owner", "disable", "payments", "--reason", "left"]);
    let shown = world.on(&["integration", "show", "stripe"]);
    assert_eq!(
        (&shown["owner"], &shown["usable"]),
        (&json!("shop"), &json!(true)),
        "{shown}"
    );
}

#[test]
fn a_gateway_is_given_no_more_rules_than_egress_carries() {
    let world = World::new();
    world.enrol("egress-eu", &["--egress"]);
    let rules: String = (0..256)
        .map(|at| format!("[[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/r{at}\"\n"))
        .collect();
    let file = world.folder.path().join("many.toml");
    let text = format!(
        "upstream = \"https://api.example.com\"\n[inject]\nkind = \"header\"\nsecret = \"{SECRET}\"\n{rules}"
    );
    std::fs::write(&file, text).unwrap();
    let of_file = |name: &'static str| {
        let add = ["integration", "add", name, "--owner", "payments"];
        let with = ["--gateway", "egress-eu", "--file", file.to_str().unwrap()];
        [&add[..], &with[..]].concat()
    };
    for name in [
        "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13",
        "p14", "p15",
    ] {
        world.on(&of_file(name));
    }
    let refused = world.refuses(&of_file("one-more"), 1);
    assert!(
        refused.contains("4352 rules") && refused.contains("egress-eu"),
        "{refused}"
    );
    // In the place of one of them there is room.
    world.on(&of_file("p3"));
}

#[test]
fn an_integration_that_could_not_work_is_refused_and_the_same_again_changes_nothing() {
    let world = World::new();
    world.enrol("egress-eu", &["--egress"]);
    world.enrol("door", &[]);
    let add = |gateway: &str, owner: &str, secret: &str, upstream: &str, rule: &str, code: i32| {
        world.refuses(
            &[
                "integration",
                "add",
                "stripe",
                "--owner",
                owner,
                "--gateway",
                gateway,
                "--upstream",
                upstream,
                "--secret",
                secret,
                "--allow",
                rule,
            ],
            code,
        )
    };
    let (https, rule) = ("https://api.stripe.com", "GET /v1/charges");
    assert!(add("door", "payments", SECRET, https, rule, 1).contains("not registered for egress"));
    assert!(add("nobody", "payments", SECRET, https, rule, 1).contains("no gateway"));
    assert!(add("egress-eu", "nobody", SECRET, https, rule, 1).contains("no owner"));
    assert!(add("egress-eu", "payments", "none", https, rule, 1).contains("no secret"));
    assert!(
        add(
            "egress-eu",
            "payments",
            SECRET,
            "http://api.stripe.com",
            rule,
            2
        )
        .contains("http")
    );
    add("egress-eu", "payments", SECRET, https, "CONNECT /x", 2);
    add("egress-eu", "payments", SECRET, https, "GET /../x", 2);
    assert_eq!(
        world.on(&["integration", "list"])["integrations"],
        json!([])
    );

    let first = world.add("stripe", "payments", SECRET);
    let second = world.add("stripe", "payments", SECRET);
    assert_eq!(first, second);
    let listed = world.on(&["integration", "list"]);
    assert_eq!(listed["integrations"].as_array().unwrap().len(), 1);
    // SigV4 needs to know what the third party calls the key.
    let file = world.folder.path().join("s3.toml");
    let text = format!(
        "upstream = \"https://s3.eu-central-1.amazonaws.com\"\n[inject]\nkind = \"aws-sigv4\"\nsecret = \"{SECRET}\"\n\
         region = \"eu-central-1\"\nservice = \"s3\"\n[[rule]]\nmethod = \"GET\"\ntemplate = \"/bucket/{{key}}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let of_file = [
        "integration",
        "add",
        "s3",
        "--owner",
        "payments",
        "--gateway",
        "egress-eu",
        "--file",
        file.to_str().unwrap(),
    ];
    assert!(world.refuses(&of_file, 1).contains("--reference"));
    // What egress could believe nobody by.
    let tokens = "kind = \"oauth-client-credentials\"\nclient_id = \"me\"\ntoken_url = \"https://a.example/token\"";
    for (member, above, within) in [
        ("certificates", "certificates = \"/etc/ca.pem\"\n", ""),
        ("certificates", "certificates = \"\"\n", ""),
        (
            "inject.certificates",
            "",
            "certificates = \"/etc/ca.pem\"\n",
        ),
    ] {
        let text = format!(
            "upstream = \"https://a.example\"\n{above}[inject]\n{tokens}\nsecret = \"{SECRET}\"\n{within}\
             [[rule]]\nmethod = \"GET\"\ntemplate = \"/\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let said = world.refuses(&of_file, 1);
        assert!(
            said.contains(&format!("`{member}`")) && said.contains("PEM"),
            "{said}"
        );
    }
    let gone = world.refuses(&["integration", "show", "nobody"], 1);
    assert!(gone.contains("no integration"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_believed_of_the_versions_that_it_had_and_of_no_others() {
    let world = World::new();
    let gateway = world.enrol("egress-eu", &["--egress"]);
    world.add("stripe", "payments", SECRET);
    // Nobody had the first one.
    world.put(SECRET, "payments", "sk_live_second");
    let token = world.token(&gateway).await;
    let (_, given) = world.leases(&token, "", json!({})).await;
    let lease = &given["leases"][0];
    assert_eq!(lease["version"], 2);
    let used = |version: u64, calls: u64| {
        json!({
            "integration": "stripe", "secret": lease["secret"], "version": version, "calls": calls,
            "last_at": given["now"],
        })
    };
    let uses = [used(1, 5), used(2, 3), used(3, 7)];
    let asked = json!({"boot": "00000000000000aa", "uses": uses});
    assert_eq!(world.leases(&token, "", asked).await.0, StatusCode::OK);
    let who = world.on(&["secret", "who", SECRET]);
    let told = who["uses"].as_array().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|used| (&used["version"], &used["calls"]))
        .collect();
    assert_eq!(told, [(&json!(2), &json!(3))], "{who}");
}

#[test]
fn files_that_are_applied_bring_an_integration_once_change_it_and_take_it_away_only_when_asked() {
    let world = World::new();
    let file = world.folder.path().join("fleet.toml");
    let text = "[[owner]]\nname = \"payments\"\n[[gateway]]\nname = \"egress-eu\"\nowner = \"payments\"\n\
         audiences = [\"https://egress.example\"]\negress = true\n";
    let stripe = format!(
        "[[integration]]\nname = \"stripe\"\nowner = \"payments\"\ngateways = [\"egress-eu\"]\n\
         upstream = \"https://api.stripe.com\"\n[integration.inject]\nkind = \"header\"\nsecret = \"{SECRET}\"\n\
         [[integration.rule]]\nmethod = \"GET\"\ntemplate = \"/v1/charges\"\n"
    );
    let apply = |content: &str, more: &[&str]| {
        std::fs::write(&file, content).unwrap();
        let arguments = ["apply", "-f", file.to_str().unwrap()];
        world.on(&[&arguments, more].concat())
    };
    let steps = |answer: &Value| -> Vec<String> {
        let steps = answer["steps"].as_array().unwrap().iter();
        steps
            .map(|step| step["step"].as_str().unwrap().to_owned())
            .collect()
    };
    let both = format!("{text}{stripe}");
    let waits = ["enrol_gateway_by_hand", "integration_waits_for_gateways"];
    assert_eq!(steps(&apply(&both, &[])), waits);
    world.enrol("egress-eu", &["--egress"]);
    assert_eq!(steps(&apply(&both, &["--plan"])), ["create_integration"]);
    assert_eq!(
        world.on(&["integration", "list"])["integrations"],
        json!([])
    );
    assert_eq!(apply(&both, &[])["done"], 1);
    assert_eq!(world.on(&["integration", "show", "stripe"])["usable"], true);
    assert_eq!(steps(&apply(&both, &[])), [""; 0]);
    let more = both.replace("/v1/charges", "/v1/refunds");
    assert_eq!(steps(&apply(&more, &[])), ["change_integration"]);
    assert_eq!(steps(&apply(&more, &[])), [""; 0]);
    assert_eq!(
        steps(&apply(text, &[])),
        [""; 0],
        "only --prune ends anything"
    );
    let pruned = steps(&apply(text, &["--prune"]));
    assert!(
        pruned.contains(&"remove_integration".to_owned()),
        "{pruned:?}"
    );
    assert_eq!(
        world.on(&["integration", "list"])["integrations"],
        json!([])
    );
    let off = both.replace("egress = true", "egress = false");
    std::fs::write(&file, off).unwrap();
    let said = world.refuses(&["apply", "-f", file.to_str().unwrap()], 2);
    assert!(said.contains("never changes"), "{said}");
}
