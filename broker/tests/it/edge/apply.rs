//! `lanyard apply` against a running broker.

use std::os::unix::fs::PermissionsExt;

use lanyard_sdk::Enrolment;

use super::harness::{Dev, client, json, refused, run, words};

const FLEET: &str = r#"
[[owner]]
name = "platform"
contact = "platform@example.com"

[[identity]]
name = "billing"
owner = "platform"
kind = "service"
tags = ["prod", "eu"]
audiences = ["https://orders.example"]
scopes = ["orders:write", "orders:read"]

[[gateway]]
name = "door"
owner = "platform"
audiences = ["https://orders.example"]
"#;

fn signs(answer: &serde_json::Value) -> Vec<(String, String)> {
    let steps = answer["steps"].as_array().unwrap();
    let text = |step: &serde_json::Value, member: &str| step[member].as_str().unwrap().to_owned();
    steps
        .iter()
        .map(|step| (text(step, "step"), text(step, "name")))
        .collect()
}

#[test]
fn files_are_planned_applied_and_applied_again_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("fleet.toml"));
    let _dev = Dev::start(&data);
    let (data, path) = (data.to_str().unwrap(), file.to_str().unwrap());
    let apply = |more: &[&str]| {
        let arguments = ["--json", "apply", "-f", path, "--data-dir", data];
        json(&[&arguments, more].concat())
    };
    let listed = |noun: &str| {
        let members = if noun == "owner" {
            "owners"
        } else {
            "identities"
        };
        json(&["--json", noun, "list", "--data-dir", data])[members].clone()
    };
    std::fs::write(&file, FLEET).unwrap();
    let before = listed("identity");
    let planned = apply(&["--plan"]);
    assert_eq!(
        (&planned["planned_only"], &planned["done"]),
        (&true.into(), &0.into())
    );
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = |(step, name): &(&str, &str)| ((*step).to_owned(), (*name).to_owned());
        pairs.iter().map(own).collect()
    };
    let expected = pairs(&[
        ("create_owner", "platform"),
        ("create_identity", "billing"),
        ("enrol_gateway_by_hand", "door"),
    ]);
    assert_eq!(signs(&planned), expected);
    assert_eq!(listed("identity"), before, "a plan changes nothing");

    let applied = apply(&[]);
    assert_eq!((signs(&applied), &applied["done"]), (expected, &2.into()));
    assert!(
        !applied.to_string().contains("lyk_"),
        "no key is made unasked"
    );
    let billing = json(&["--json", "identity", "show", "billing", "--data-dir", data]);
    assert_eq!(billing["tags"], serde_json::json!(["eu", "prod"]));
    let keys = json(&["--json", "key", "list", "billing", "--data-dir", data]);
    assert_eq!(keys["keys"], serde_json::json!([]));
    let again = apply(&[]);
    assert_eq!(
        (signs(&again), &again["done"]),
        (pairs(&[("enrol_gateway_by_hand", "door")]), &0.into())
    );

    // Somebody enrols the gateway, the files change, and an owner has had its day.
    let enrol = [
        "gateway",
        "add",
        "door",
        "--owner",
        "platform",
        "--audience",
        "https://orders.example",
    ];
    json(&[enrol.as_slice(), &["--json", "--data-dir", data]].concat());
    let changed = FLEET
        .replace("platform@", "on-call@")
        .replace(", \"eu\"", "")
        .replace("\"orders:write\", ", "");
    std::fs::write(&file, changed).unwrap();
    let pruned = apply(&["--prune"]);
    let pruned = signs(&pruned);
    assert_eq!(
        pruned[..2],
        pairs(&[("change_owner", "platform"), ("change_identity", "billing")])
    );
    assert!(
        pruned.contains(&("disable_owner".to_owned(), "dev".to_owned())),
        "{pruned:?}"
    );
    assert!(signs(&apply(&["--prune"])).is_empty());
    let owners = listed("owner");
    let of = |name: &str| {
        let owners = owners.as_array().unwrap();
        owners
            .iter()
            .find(|owner| owner["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(of("platform")["contact"], "on-call@example.com");
    assert_eq!(of("dev")["disabled"], true);
    assert_eq!(
        of("lanyard")["disabled"],
        false,
        "an apply does not close the door behind itself"
    );
    let output = run(&["apply", "-f", path, "--data-dir", data]);
    assert_eq!(
        words(&output.stdout),
        "nothing to do: everything is as the files say\n"
    );
}

#[tokio::test]
async fn new_gateways_are_enrolled_into_files_of_their_own_and_no_key_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, file, out) = (path("data"), path("fleet.toml"), path("enrolments"));
    let dev = Dev::start(data.as_ref());
    let apply = |out: &str, more: &[&'static str]| -> Vec<String> {
        let arguments = [
            "apply",
            "-f",
            &file,
            "--data-dir",
            &data,
            "--enrolments",
            out,
        ];
        let all = arguments.iter().chain(more);
        all.map(|argument| (*argument).to_owned()).collect()
    };
    let ran = |arguments: &[String]| {
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let said = words(&output.stdout) + &words(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    let gateways = || {
        let listed = json(&["--json", "gateway", "list", "--data-dir", &data]);
        listed["gateways"].as_array().unwrap().len()
    };
    std::fs::write(&file, format!("{FLEET}sole_witness = true\n")).unwrap();
    let door = folder.path().join("enrolments/door.json");
    let planned = ran(&apply(&out, &["--plan"]));
    assert!(
        planned.contains("+ gateway door (of platform): enrolled for"),
        "{planned}"
    );
    assert!(!door.exists(), "a plan makes nothing");

    let said = ran(&apply(&out, &[]));
    assert!(
        said.contains("3 done\n") && !said.contains("lyk_"),
        "{said}"
    );
    assert_eq!(door.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let enrolment = Enrolment::read(&door).unwrap();
    let client = client(None);
    let (id, key) = (&enrolment.client_id, enrolment.client_secret.expose());
    let (status, answer) = dev.token(&client, id, key).await;
    assert_eq!(status, 200, "{answer}");
    let listed = json(&["--json", "gateway", "list", "--data-dir", &data]);
    assert_eq!(listed["gateways"][0]["sole_witness"], true);
    let again = ran(&apply(&out, &[]));
    assert_eq!(again, "nothing to do: everything is as the files say\n");

    // What has no place is not made, and what the broker refuses leaves nothing behind.
    let window = "\n[[gateway]]\nname = \"window\"\nowner = \"platform\"\naudiences = [\"https://orders.example\"]\n";
    std::fs::write(&file, format!("{FLEET}{window}")).unwrap();
    let before = gateways();
    let fails = |out: &str| {
        let arguments = apply(out, &[]);
        refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 1)
    };
    std::fs::write(folder.path().join("enrolments/window.json"), "another's").unwrap();
    let said = fails(&out);
    assert!(said.contains("window.json` exists already"), "{said}");
    let said = fails(&file);
    assert!(said.contains("cannot make"), "{said}");
    let own = window.replace("https://orders.example", dev.text("issuer"));
    std::fs::write(&file, format!("{FLEET}{own}")).unwrap();
    let said = fails(&path("others"));
    assert!(said.contains("gateway window"), "{said}");
    assert!(!folder.path().join("others/window.json").exists());
    assert_eq!(gateways(), before);
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_before_any_broker_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fleet.toml");
    let secret = format!("lyk_{}", "a".repeat(36));
    std::fs::write(
        &file,
        format!("[[owner]]\nname = \"team\"\nkey = \"{secret}\"\n"),
    )
    .unwrap();
    let arguments = [
        "apply",
        "-f",
        file.to_str().unwrap(),
        "--data-dir",
        "/nowhere",
    ];
    let said = refused(&arguments, 2);
    assert!(said.contains("line 3: unknown field `key`"), "{said}");
    assert!(!said.contains(&secret), "{said}");
    std::fs::write(&file, format!("[[owner]]\nname = \"{secret}\"\n")).unwrap();
    let said = refused(&arguments, 2);
    assert!(
        said.contains("looks like an API key") || said.contains("`name`"),
        "{said}"
    );
    assert!(!said.contains(&secret), "{said}");
}

#[test]
fn files_are_applied_only_under_the_policies_they_were_reviewed_with() {
    let folder = tempfile::tempdir().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("fleet.toml"));
    let bundle = folder.path().join("policies");
    std::fs::create_dir_all(bundle.join("grant")).unwrap();
    let schema = include_str!("../../../../policies/schema.cedarschema");
    std::fs::write(bundle.join("schema.cedarschema"), schema).unwrap();
    let policy = |id: &str| {
        let text = format!(
            "@id(\"{id}\") @owner(\"team\") @why(\"w\") permit(principal, action == Lanyard::Action::\"issue\", resource);"
        );
        std::fs::write(bundle.join("grant/policy.cedar"), text).unwrap();
    };
    policy("first");
    let in_force = bundle.to_str().unwrap();
    let _dev = Dev::start_with(&data, &[("LANYARD_POLICY__BUNDLE", in_force)]);
    std::fs::write(&file, format!("[policy]\nbundle = \"policies\"\n{FLEET}")).unwrap();
    let arguments = [
        "apply",
        "-f",
        file.to_str().unwrap(),
        "--data-dir",
        data.to_str().unwrap(),
    ];
    assert_eq!(
        json(&[["--json"].as_slice(), &arguments].concat())["done"],
        2
    );
    policy("second");
    let said = refused(&arguments, 1);
    assert!(
        said.contains("nothing was done") && said.contains("reload"),
        "{said}"
    );
    std::fs::write(bundle.join("grant/policy.cedar"), "permit(").unwrap();
    let said = refused(&arguments, 2);
    assert!(said.contains("grant/policy.cedar"), "{said}");
}
