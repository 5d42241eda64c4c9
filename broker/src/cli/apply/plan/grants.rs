use std::path::Path;

use super::tests::{FLEET, fleet};
use super::*;

const REFUNDS: &str = r#"
[[grant]]
identity = "billing"
audience = "https://orders.example"
scopes = ["refunds:write"]
"#;

fn files(grants: &str) -> Result<Desired, String> {
    let mut desired = Desired::default();
    desired.add(Path::new("teams/refunds.toml"), grants)?;
    desired.add(Path::new("fleet.toml"), FLEET)?;
    desired.merged()
}

fn refused(grants: &str) -> String {
    files(grants).unwrap_err()
}

#[test]
fn a_grant_is_added_to_its_identity_and_told_with_its_place() {
    let steps = plan(&files(REFUNDS).unwrap(), &fleet(), false).unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(
        steps[0].words(),
        "identity billing: scopes orders:read -> orders:read refunds:write"
    );
    assert_eq!(
        steps[0].grants(),
        ["refunds:write for https://orders.example (teams/refunds.toml: grant to `billing`)"]
    );
    assert!(steps[0].told()["grants"][0].is_string());
    let mut present = fleet();
    present.identities[0].scopes = "orders:read refunds:write".parse().unwrap();
    assert!(
        plan(&files(REFUNDS).unwrap(), &present, true)
            .unwrap()
            .is_empty()
    );
    let without = plan(&files("").unwrap(), &present, false).unwrap();
    assert_eq!(
        without[0].words(),
        "identity billing: scopes orders:read refunds:write -> orders:read",
        "a grant that is taken out of the files is taken away"
    );
    assert!(without[0].grants().is_empty());
    let everything = plan(&files(REFUNDS).unwrap(), &Present::default(), false).unwrap();
    let granted: usize = everything.iter().map(|step| step.grants().len()).sum();
    assert_eq!(granted, 1);
}

#[test]
fn an_audience_is_granted_with_all_that_holds_there() {
    let stock = REFUNDS
        .replace("orders.example", "stock.example")
        .replace("refunds:write", "orders:read");
    let steps = plan(&files(&stock).unwrap(), &fleet(), false).unwrap();
    assert_eq!(
        steps[0].words(),
        "identity billing: audiences https://orders.example -> https://orders.example https://stock.example"
    );
}

#[test]
fn a_grant_that_would_give_what_nobody_wrote_is_refused() {
    let stock = REFUNDS.replace("orders.example", "stock.example");
    let words = refused(&stock);
    assert!(
        words.starts_with("teams/refunds.toml: grant to `billing`: ")
            && words.contains("which nobody wrote"),
        "{words}"
    );
    // Where every pair is written, there is nothing to guess.
    let both = format!(
        "{REFUNDS}{}",
        stock.replace(
            "[\"refunds:write\"]",
            "[\"refunds:write\", \"orders:read\"]"
        )
    );
    assert!(files(&both).is_ok());
}

#[test]
fn grants_that_cannot_be_meant_are_refused_with_their_place() {
    let own = REFUNDS.replace("refunds:write", "orders:read");
    for (grants, expected) in [
        (
            REFUNDS.replace("billing", "nobody"),
            "no file has an `[[identity]]`",
        ),
        (REFUNDS.replace("billing", "door"), "a gateway's rights"),
        (
            REFUNDS.replace("https://orders.example", "no uri"),
            "`audience` is refused",
        ),
        (
            REFUNDS.replace("refunds:write", "re\u{430}d"),
            "`scopes` is refused",
        ),
        (
            REFUNDS.replace("\"refunds:write\"", ""),
            "names at least one",
        ),
        (own, "it adds nothing"),
        (REFUNDS.repeat(2), "it adds nothing"),
        (
            format!("{REFUNDS}until = 2030-01-01\n"),
            "unknown field `until`",
        ),
    ] {
        let words = refused(&grants);
        assert!(words.contains(expected), "{grants}: {words}");
        assert!(words.starts_with("teams/refunds.toml: "), "{words}");
    }
}
