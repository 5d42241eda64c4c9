//! Which gateway is given which secret, as files: explained, and written into the matrix.

use std::fs;

use super::Copied;

const ASKED: [&str; 9] = [
    "explain",
    "--identity",
    "egress-eu",
    "--secret",
    "payments/stripe/api-key",
    "--secret-owner",
    "payments",
    "--integration",
    "stripe",
];

/// The lines of a text that begin with this word, with single spaces.
fn lines(text: &str, first: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| line.starts_with(first))
        .collect()
}

/// The part of the matrix about gateways.
fn part(folder: &Copied) -> String {
    let matrix = fs::read_to_string(folder.file("matrix.txt")).unwrap();
    let (_, part) = matrix.split_once("# Which gateways").unwrap();
    part.to_owned()
}

#[test]
fn why_a_gateway_is_given_a_secret_or_not_is_told_by_the_policies_about_it() {
    let folder = Copied::new();
    let (code, told, said) = folder.policy(&ASKED);
    assert_eq!(code, 0, "{said}");
    assert!(
        told.starts_with("allowed by egress.own-integrations\n"),
        "{told}"
    );
    assert!(
        told.contains("payments/stripe/api-key (of payments) for integration stripe (of payments)"),
        "{told}"
    );
    let others = [&ASKED[..], &["--integration-owner", "shop"]].concat();
    let (_, told, _) = folder.policy(&others);
    assert!(told.starts_with("denied: nothing permits it\n"), "{told}");
    for part in [
        "no permit  egress.own-integrations",
        "`resource.owner == context.integration_owner`",
        "context.integration_owner is \"shop\"",
        "resource.owner is \"payments\"",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(
        !told.contains("registered"),
        "what is about tokens has no say in it: {told}"
    );
}

#[test]
fn a_case_about_a_use_is_explained_by_its_name_or_a_part_of_it() {
    let folder = Copied::new();
    for name in ["who is no gateway uses none", "no gateway uses"] {
        let (code, told, said) = folder.policy(&["explain", "--case", name, "--all"]);
        assert_eq!(code, 0, "{said}");
        assert!(
            told.contains("the identity is not in tag `kind:gateway`"),
            "{told}"
        );
    }
    let half = [&ASKED[..5], &["--integration", "stripe"]].concat();
    let (code, _, said) = folder.policy(&half);
    assert_eq!(code, 2);
    assert!(said.contains("--secret-owner"), "{said}");
}

#[test]
fn a_schema_without_secrets_gives_none_and_says_so() {
    let folder = Copied::new();
    fs::remove_dir_all(folder.file("egress")).unwrap();
    let schema = fs::read_to_string(folder.file("schema.cedarschema")).unwrap();
    let (before, rest) = schema.split_once("entity Secret").unwrap();
    let (_, after) = rest.split_once(';').unwrap();
    let without = format!("{before}{after}");
    let (before, rest) = without.split_once("action \"use\"").unwrap();
    let (_, after) = rest.split_once("};").unwrap();
    fs::write(
        folder.file("schema.cedarschema"),
        format!("{before}{after}"),
    )
    .unwrap();
    let (code, told, said) = folder.policy(&ASKED);
    assert_eq!(code, 0, "{said}");
    assert!(
        told.starts_with("denied: nothing permits it\n")
            && told.contains("the schema has no word of secrets"),
        "{told}"
    );
}

#[test]
fn the_matrix_says_whose_secrets_gateways_are_given_and_grows_stale_with_the_policies() {
    let folder = Copied::new();
    assert_eq!(
        lines(&part(&folder), "egress "),
        [
            "egress others same egress.own-integrations",
            "egress own own egress.own-integrations",
            "egress payments/stripe/api-key stripe egress.own-integrations",
        ]
    );
    let condition = "resource.owner == context.integration_owner";
    folder.replace(
        "egress/policy.cedar",
        condition,
        "resource.owner != \"nobody-else\"",
    );
    let (code, told, _) = folder.policy(&["matrix", "--check"]);
    assert_eq!(code, 1);
    assert_eq!(
        lines(&told, "+ egress"),
        [
            "+ egress any any egress.own-integrations",
            "+ egress payments/stripe/api-key shop-stripe egress.own-integrations",
        ]
    );
    assert_eq!(lines(&told, "- egress").len(), 2, "{told}");
}

#[test]
fn a_permit_for_a_secret_has_a_row_once_the_secret_is_listed_and_is_named_until_then() {
    let folder = Copied::new();
    folder.append(
        "egress/policy.cedar",
        "\n@id(\"egress.shop\") @owner(\"platform\") @why(\"the shop pays with it\")\npermit (\n  principal in \
         Lanyard::Tag::\"kind:gateway\",\n  action == Lanyard::Action::\"use\",\n  resource == \
         Lanyard::Secret::\"payments/new/key\"\n) when { context.integration_owner == \"shop\" };\n",
    );
    folder.policy(&["matrix"]);
    let unmet =
        "# `egress.shop` permits nothing here: no class of gateways meets it with these secrets";
    assert!(part(&folder).contains(unmet), "{}", part(&folder));
    folder.replace(
        "classes.json",
        "\"uses\": [",
        "\"uses\": [{\"secret\": {\"name\": \"payments/new/key\", \"owner\": \"payments\"}, \"integration\": \"new\", \
         \"integration_owner\": \"shop\"},",
    );
    folder.policy(&["matrix"]);
    assert!(!part(&folder).contains(unmet));
    assert_eq!(
        lines(&part(&folder), "egress payments/new/key"),
        ["egress payments/new/key new egress.shop"]
    );
    // Without a class of gateways everything about them is missing, and that is said too.
    folder.replace(
        "classes.json",
        "\"kind\": \"gateway\"",
        "\"kind\": \"service\"",
    );
    folder.policy(&["matrix"]);
    assert!(lines(&part(&folder), "egress").is_empty());
    assert!(
        part(&folder).contains("# `egress.own-integrations` permits nothing here"),
        "{}",
        part(&folder)
    );
}
