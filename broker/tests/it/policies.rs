//! Policies as files, through the real command and without a broker.

mod ages;
mod broken;
mod change;
mod explained;
mod given;
mod recorded;
mod responses;
mod suspicious;
mod tightened;
mod used;

use std::fs;
use std::path::{Path, PathBuf};

use super::edge::harness::{json, lanyard, run, words};

/// The repository's folder.
fn ours() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("policies")
}

/// A copy of it, to be changed.
struct Copied {
    home: tempfile::TempDir,
}

impl Copied {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        copy(&ours(), &home.path().join("policies"));
        Self { home }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("policies").join(name)
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
    }

    fn append(&self, name: &str, more: &str) {
        let mut text = fs::read_to_string(self.file(name)).unwrap();
        text.push_str(more);
        fs::write(self.file(name), text).unwrap();
    }

    /// Runs `lanyard policy …` where the folder lies: exit code, standard output, standard error.
    fn policy(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = lanyard(&[&["policy"], arguments].concat())
            .current_dir(self.home.path())
            .output()
            .unwrap();
        let code = output.status.code().unwrap();
        (code, words(&output.stdout), words(&output.stderr))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_folder_that_comes_with_lanyard_is_without_fault_tested_and_its_matrix_current() {
    let folder = ours();
    let folder = folder.to_str().unwrap();
    let check = json(&["policy", "check", folder, "--json"]);
    assert_eq!(check["findings"].as_array().unwrap().len(), 0, "{check}");
    assert!(check["policies"].as_u64().unwrap() > 10);
    let test = json(&["policy", "test", folder, "--strict", "--json"]);
    assert!(test["cases"].as_u64().unwrap() > 50, "{test}");
    let matrix = json(&["policy", "matrix", folder, "--check", "--json"]);
    assert_eq!(matrix["current"], true, "{matrix}");
}

#[test]
fn without_a_folder_the_policies_that_came_with_the_program_are_meant() {
    let nowhere = tempfile::tempdir().unwrap();
    let output = lanyard(&["policy", "check"])
        .current_dir(nowhere.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", words(&output.stderr));
    assert!(words(&output.stdout).starts_with("9 policies: 9 permits, 0 forbids"));
    let said = "there is no policies/ here: these came with the program";
    assert_eq!(words(&output.stderr).trim_end(), said);
    let there = Copied::new().policy(&["check"]);
    assert_eq!((there.0, there.2.as_str()), (0, ""));
}

#[test]
fn a_test_without_cases_fails() {
    let nowhere = tempfile::tempdir().unwrap();
    let output = lanyard(&["policy", "test"])
        .current_dir(nowhere.path())
        .output()
        .unwrap();
    let said = words(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there is no policies/ here"), "{said}");
    assert!(said.contains("there are no cases to try"), "{said}");
}

#[test]
fn a_folder_that_was_named_has_to_be_there() {
    for verb in ["check", "test", "matrix"] {
        let output = run(&["policy", verb, "/nowhere/policies"]);
        assert_eq!(output.status.code(), Some(2), "{verb}");
        assert!(
            words(&output.stderr).contains("there is no folder `/nowhere/policies`"),
            "{verb}: {}",
            words(&output.stderr)
        );
    }
}

#[test]
fn a_case_that_comes_out_otherwise_is_named_with_what_was_expected() {
    let folder = Copied::new();
    folder.replace(
        "database-migration/policy.cedar",
        "@max_ttl(\"30m\")",
        "@max_ttl(\"20m\")",
    );
    let (code, told, said) = folder.policy(&["test"]);
    assert_eq!(code, 1);
    assert_eq!(
        told,
        "policies/database-migration/cases.json: at night, approved by somebody else\n  \
         lifetime: expected 1800, got 1200\n\
         policies/database-migration/policy.cedar:1: `database-migration`: no case is allowed by it\n\
         98 cases, 97 as expected; 1 policy untested\n"
    );
    assert!(said.contains("1 of 98 cases differ"), "{said}");
}

#[test]
fn a_policy_that_no_case_is_determined_by_fails_only_a_strict_test() {
    let folder = Copied::new();
    folder.append(
        "partner-webhook/policy.cedar",
        "\n@id(\"partner-reads\") @owner(\"partners\") @why(\"nobody knows\")\npermit (\n  principal in \
         Lanyard::Tag::\"grant.other\",\n  action == Lanyard::Action::\"issue\",\n  resource is Lanyard::Scope\n);\n",
    );
    let (code, told, _) = folder.policy(&["test"]);
    assert_eq!(code, 0, "{told}");
    assert!(
        told.contains("`partner-reads`: no case is allowed by it"),
        "{told}"
    );
    let (code, _, said) = folder.policy(&["test", "--strict"]);
    assert_eq!(code, 1);
    assert!(said.contains("no case is determined by 1 policy"), "{said}");
}

#[test]
fn a_policy_that_cannot_be_evaluated_fails_its_cases_in_words() {
    let folder = Copied::new();
    folder.append(
        "break-glass/policy.cedar",
        "\n@id(\"overflowing\") @owner(\"platform\") @why(\"too much\")\nforbid (\n  principal in \
         Lanyard::Tag::\"grant.break-glass\",\n  action == Lanyard::Action::\"issue\",\n  resource is \
         Lanyard::Scope\n)\nwhen { context.lifetime + 9223372036854775807 > 0 };\n",
    );
    let (code, told, _) = folder.policy(&["test"]);
    assert_eq!(code, 1);
    assert!(told.contains("overflow"), "{told}");
}
