//! What is done about drift, as files: checked, tried, explained and written into the matrix.

use super::Copied;

const EXAMPLES: &str = "response-examples/policy.cedar";

#[test]
fn what_stands_above_a_policy_of_responses_wrongly_is_refused_with_file_and_line() {
    for (from, to, line, words) in [
        (
            "@canary(\"10%\")",
            "@canary(\"0%\")",
            46,
            "`0%` is no share of identities",
        ),
        (
            "@cap(\"5/min/owner\")",
            "@cap(\"5/day\")",
            13,
            "`5/day` is no cap",
        ),
        (
            "@response(\"narrow\")",
            "@response(\"throttle\")",
            1,
            "`throttle` is no response",
        ),
        (
            "@override(\"security\")",
            "@override(\"\")",
            1,
            "names nobody who may override",
        ),
    ] {
        let folder = Copied::new();
        folder.replace(EXAMPLES, from, to);
        let (code, _, said) = folder.policy(&["check"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
        let place = format!("policies/{EXAMPLES}:{line}: ");
        assert!(said.contains(&place), "{place}: {said}");
    }
}

#[test]
fn a_permit_of_a_step_that_is_forbidden_altogether_is_refused() {
    let folder = Copied::new();
    folder.append(
        EXAMPLES,
        "\n@id(\"storage-suspends\") @owner(\"storage\") @why(\"by mistake\") @response(\"suspend\")\npermit (\n  \
         principal in Lanyard::Owner::\"storage\",\n  action == Lanyard::Action::\"respond\",\n  resource\n);\n",
    );
    let (code, _, said) = folder.policy(&["check"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("`storage-suspends` permits nothing: `response.storage-observe`"),
        "{said}"
    );
}

#[test]
fn a_rung_that_never_comes_is_refused_with_its_line() {
    let folder = Copied::new();
    folder.replace(
        EXAMPLES,
        "[\"again\", \"then\"].contains(context.rung)",
        "[\"agian\", \"then\"].contains(context.rung)",
    );
    let (code, _, said) = folder.policy(&["check"]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("`response.payments-suspend` compares `context.rung` with `agian`"),
        "{said}"
    );
}

#[test]
fn a_response_that_comes_out_otherwise_is_named_and_explained() {
    let folder = Copied::new();
    folder.replace(
        EXAMPLES,
        "@response(\"suspend\")\n@cap",
        "@response(\"revoke\")\n@cap",
    );
    folder.replace(
        EXAMPLES,
        "@response(\"revoke\")\nforbid",
        "@response(\"suspend\")\nforbid",
    );
    let (code, _, said) = folder.policy(&["check"]);
    assert_eq!(code, 2, "the forbid leaves nothing of it: {said}");

    let folder = Copied::new();
    folder.replace(
        EXAMPLES,
        "@response(\"revoke\")\nforbid",
        "@response(\"narrow\")\nforbid",
    );
    folder.replace(
        EXAMPLES,
        "@response(\"narrow\")\n@override",
        "@response(\"recycle\")\n@override",
    );
    folder.replace(
        EXAMPLES,
        "@response(\"suspend\")\n@cap",
        "@response(\"recycle\")\n@cap",
    );
    let (code, told, _) = folder.policy(&["test"]);
    assert_eq!(code, 1, "{told}");
    assert!(
        told.contains("response-examples/responses.json: payments are narrowed first\n  step: expected narrow, got recycle"),
        "{told}"
    );
}

#[test]
fn explaining_a_response_says_what_each_policy_made_of_it() {
    let folder = Copied::new();
    let (code, told, said) = folder.policy(&[
        "explain",
        "--identity",
        "shipper",
        "--abuse",
        "theft",
        "--rung",
        "first",
    ]);
    assert_eq!(code, 0, "{said}");
    for words in [
        "recycle by response.recycle\n",
        "theft of `shipper`, first\n",
        "it is tried on a share of identities, and this one is not among them",
        "it is not so that `[\"again\", \"then\"].contains(context.rung)` (context.rung is \"first\")",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let (_, told, _) = folder.policy(&["explain", "--case", "the sixth suspension of payments"]);
    assert!(
        told.contains("narrow instead of suspend, because its cap is met"),
        "{told}"
    );
}

#[test]
fn the_matrix_says_what_is_done_about_whom_and_grows_stale_with_the_policies() {
    let folder = Copied::new();
    folder.replace(EXAMPLES, "@canary(\"10%\")", "@canary(\"20%\")");
    let (code, told, _) = folder.policy(&["matrix", "--check"]);
    assert_eq!(code, 0, "who is in a share is not in the matrix: {told}");
    folder.replace(EXAMPLES, "@canary(\"20%\")\n", "");
    let (code, told, _) = folder.policy(&["matrix", "--check"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("- theft"), "{told}");
}

#[test]
fn a_case_about_nobody_or_a_rung_that_there_is_not_is_refused_with_its_place() {
    let folder = Copied::new();
    folder.replace("response/responses.json", "\"stranger\"", "\"nobody\"");
    let (code, _, said) = folder.policy(&["test"]);
    assert_eq!(code, 2);
    assert!(said.contains("speaks of `nobody`"), "{said}");

    let folder = Copied::new();
    folder.replace("response/responses.json", "\"anomalous\"", "\"odd\"");
    let (code, _, said) = folder.policy(&["test"]);
    assert_eq!(code, 2);
    assert!(
        said.contains("policies/response/responses.json:4:") && said.contains("`odd` is none of"),
        "{said}"
    );
}

#[test]
fn a_difference_in_what_is_done_about_drift_is_told_by_class_kind_and_rung() {
    let folder = Copied::new();
    folder.replace(
        "response/policy.cedar",
        "resource != Lanyard::Abuse::\"scraping\"",
        "true",
    );
    let ours = super::ours();
    let (code, told, said) = folder.policy(&["diff", ours.to_str().unwrap(), "policies"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        told.contains("what is done about drift differs in 16 places"),
        "{told}"
    );
    let row = told
        .lines()
        .find(|line| line.starts_with("partner "))
        .unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells,
        ["partner", "all", "scraping", "then", "suspend", "revoke"]
    );
}
