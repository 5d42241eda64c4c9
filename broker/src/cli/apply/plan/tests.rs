use std::path::Path;

use super::*;

const TEAM: NodeId = NodeId::from_u64(1);
const OTHERS: NodeId = NodeId::from_u64(2);

fn files(content: &str) -> Desired {
    let mut desired = Desired::default();
    desired.add(Path::new("fleet.toml"), content).unwrap();
    desired
}

fn refused(content: &str) -> String {
    let mut desired = Desired::default();
    desired.add(Path::new("fleet.toml"), content).unwrap_err()
}

pub(super) const FLEET: &str = r#"
[[owner]]
name = "team"
contact = "team@example.com"

[[identity]]
name = "billing"
owner = "team"
kind = "service"
tags = ["prod"]
audiences = ["https://orders.example"]
scopes = ["orders:read"]

[[gateway]]
name = "door"
owner = "team"
audiences = ["https://orders.example"]
"#;

fn owner(id: NodeId, name: &str) -> PresentOwner {
    PresentOwner {
        id,
        name: name.to_owned(),
        contact: Some("team@example.com".to_owned()),
        disabled: false,
    }
}

fn identity(name: &str, kind: Kind, scopes: &str) -> PresentIdentity {
    PresentIdentity {
        name: name.to_owned(),
        owner: TEAM,
        kind,
        tags: if kind == Kind::Service {
            vec!["prod".to_owned()]
        } else {
            Vec::new()
        },
        audiences: vec!["https://orders.example".parse().unwrap()],
        scopes: scopes.parse().unwrap(),
        max_lifetime: 3_600,
        disabled: false,
        sole_witness: false,
    }
}

pub(super) fn fleet() -> Present {
    Present {
        owners: vec![owner(TEAM, "team")],
        identities: vec![
            identity("billing", Kind::Service, "orders:read"),
            identity("door", Kind::Gateway, "lanyard:feed lanyard:report"),
        ],
        integrations: Vec::new(),
    }
}

fn words(present: &Present, prune: bool) -> Vec<String> {
    let steps = plan(&files(FLEET), present, prune).unwrap();
    steps
        .iter()
        .map(|step| format!("{} {}", step.sign(), step.words()))
        .collect()
}

#[test]
fn an_empty_broker_gets_everything_in_an_order_that_works() {
    assert_eq!(
        words(&Present::default(), false),
        [
            "+ owner team (contact team@example.com)",
            "+ identity billing (service of team): orders:read for https://orders.example",
            "! gateway door: enrol it by hand: lanyard gateway add door --owner team --audience \
             https://orders.example --out FILE",
        ]
    );
}

#[test]
fn a_gateway_is_enrolled_where_there_is_a_folder_for_its_enrolment() {
    let alone = format!("{FLEET}sole_witness = true\n");
    let desired = Desired {
        enrolments: Some("out".into()),
        ..files(&alone)
    };
    let steps = plan(&desired, &Present::default(), false).unwrap();
    let step = steps.last().unwrap();
    assert_eq!(
        (step.sign(), step.words().as_str(), step.enrolment()),
        (
            '+',
            "gateway door (of team): enrolled for https://orders.example, as sole witness, its enrolment in `out/door.json`",
            Some(Path::new("out/door.json"))
        )
    );
    let (path, body) = step.call().unwrap();
    assert_eq!(path, "v1/gateways");
    assert_eq!(body["sole_witness"], true);
    assert_eq!(body["audiences"], json!(["https://orders.example"]));
    assert_eq!(step.told()["enrolment"], "out/door.json");
    // By hand it takes the same.
    let steps = plan(&files(&alone), &Present::default(), false).unwrap();
    assert!(
        steps
            .last()
            .unwrap()
            .words()
            .contains(" --sole-witness --out FILE")
    );
    // And it never becomes so, or no longer.
    let refused = plan(&files(&alone), &fleet(), false).unwrap_err();
    assert!(
        refused.contains("enrolled without sole witness"),
        "{refused}"
    );
    let mut present = fleet();
    present.identities[1].sole_witness = true;
    assert!(plan(&files(&alone), &present, false).unwrap().is_empty());
    assert!(
        words(&present, false).is_empty(),
        "what a file does not say stays"
    );
}

#[test]
fn whoever_is_disabled_stays_so_and_is_told_of() {
    let mut present = fleet();
    present.identities[0].disabled = true;
    assert_eq!(
        words(&present, true),
        [
            "! identity billing: disabled, and stays so: `lanyard identity enable billing` lets it work again"
        ]
    );
}

#[test]
fn what_is_as_the_files_say_is_left_alone() {
    assert!(words(&fleet(), false).is_empty());
    assert!(words(&fleet(), true).is_empty());
}

#[test]
fn each_difference_is_said_with_what_is_and_what_shall_be() {
    let mut present = fleet();
    present.owners[0].contact = None;
    present.owners.push(owner(OTHERS, "others"));
    present.identities[0].owner = OTHERS;
    present.identities[0].scopes = "orders:read orders:write".parse().unwrap();
    present.identities[0].tags.clear();
    assert_eq!(
        words(&present, false),
        [
            "~ owner team: contact - -> team@example.com",
            "> identity billing: owner others -> team",
            "~ identity billing: tags - -> prod, scopes orders:read orders:write -> orders:read",
        ]
    );
}

#[test]
fn only_pruning_ends_what_no_file_names_and_never_administrators() {
    let mut present = fleet();
    present.owners.push(owner(OTHERS, "others"));
    present.owners.push(owner(NodeId::from_u64(3), "lanyard"));
    present
        .identities
        .push(identity("forgotten", Kind::Agent, "orders:read"));
    let mut below = identity("below", Kind::Agent, "orders:read");
    below.owner = OTHERS;
    present.identities.push(below);
    let mut root = identity("root", Kind::Administrator, "lanyard:admin");
    root.owner = NodeId::from_u64(3);
    present.identities.push(root);
    assert!(words(&present, false).is_empty());
    assert_eq!(
        words(&present, true),
        [
            "- identity forgotten: disabled",
            "- owner others: disabled, and everything below it",
        ]
    );
    present.owners[1].disabled = true;
    assert_eq!(
        words(&present, true),
        ["- identity forgotten: disabled"],
        "what is below an ended owner has ended"
    );
}

#[test]
fn an_identity_that_moves_away_is_moved_before_its_old_owner_ends() {
    let mut present = fleet();
    present.owners.push(owner(OTHERS, "others"));
    present.identities[0].owner = OTHERS;
    assert_eq!(
        words(&present, true),
        [
            "> identity billing: owner others -> team",
            "- owner others: disabled, and everything below it",
        ]
    );
}

#[test]
fn an_owner_that_is_missing_or_disabled_and_another_kind_are_refused_with_their_place() {
    let orphan = "[[identity]]\nname = \"a\"\nowner = \"nobody\"\nkind = \"service\"\n";
    let refused =
        |files: &Desired, present: &Present, prune| plan(files, present, prune).unwrap_err();
    let words = refused(&files(orphan), &fleet(), false);
    assert!(
        words.contains("fleet.toml: identity `a`: there is no owner `nobody`"),
        "{words}"
    );
    let elsewhere = orphan.replace("nobody", "team");
    assert!(plan(&files(&elsewhere), &fleet(), false).is_ok());
    let words = refused(&files(&elsewhere), &fleet(), true);
    assert!(words.contains("must be in the files"), "{words}");
    let mut present = fleet();
    present.owners[0].disabled = true;
    let words = refused(&files(FLEET), &present, false);
    assert!(words.contains("lanyard owner enable team"), "{words}");
    let mut present = fleet();
    present.identities[0].kind = Kind::Agent;
    let words = refused(&files(FLEET), &present, false);
    assert!(words.contains("a kind never changes"), "{words}");
}

#[test]
fn files_that_cannot_be_meant_are_refused_with_their_place() {
    let owner = "[[owner]]\nname = \"team\"\n";
    for (content, expected) in [
        ("[[owner]]\nname = \"team\"\nsecret = \"x\"\n", "line 3"),
        ("[[person]]\nname = \"team\"\n", "unknown field `person`"),
        ("[[owner]]\nname = ", "line 2"),
        (
            owner.repeat(2).as_str(),
            "owner `team`: it is there already",
        ),
        ("[[owner]]\nname = \"Team\"\n", "`name` is 1 to 63"),
        (
            "[[identity]]\nname = \"a\"\nowner = \"team\"\nkind = \"gateway\"\n",
            "`[[gateway]]`",
        ),
        (
            "[[gateway]]\nname = \"a\"\nowner = \"team\"\naudiences = [\"no uri\"]\n",
            "`audiences` is refused",
        ),
        (
            "[[identity]]\nname = \"a\"\nowner = \"team\"\nkind = \"agent\"\nscopes = [\"\\\"\"]\n",
            "`scopes` is refused",
        ),
    ] {
        let words = refused(content);
        assert!(
            words.starts_with("fleet.toml: ") && words.contains(expected),
            "{content}: {words}"
        );
    }
    let mut desired = files(FLEET);
    let again = desired.add(Path::new("more.toml"), FLEET).unwrap_err();
    assert!(
        again.contains("more.toml: owner `team`") && again.contains("fleet.toml: owner `team`"),
        "{again}"
    );
}

#[test]
fn a_million_identities_in_one_file_are_refused_in_words() {
    let one = "[[owner]]\nname='a'\n";
    let words = refused(&one.repeat(100_001));
    assert!(words.contains("more than 100000"), "{words}");
}
