//! The layout is a promise: this draws the import graph and fails on a sideways arrow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each part of the broker may name as `crate::…`. A part that is not listed is refused, so a new
/// folder has to find its place here first.
const MAY_USE: [(&str, &[&str]); 17] = [
    ("clock", &[]),
    ("outbound", &[]),
    ("crypto", &["clock", "store"]),
    ("store", &["clock", "crypto"]),
    ("policy", &["store"]),
    ("issue", &["policy", "store", "crypto", "clock", "outbound"]),
    ("watch", &["policy", "store", "crypto", "clock"]),
    ("revoke", &["store", "crypto", "clock"]),
    ("vault", &["policy", "store", "crypto", "clock", "outbound"]),
    ("audit", &["store", "crypto", "clock"]),
    ("telemetry", &["store", "clock"]),
    ("config", &["clock", "store", "telemetry"]),
    (
        "http",
        &[
            "issue",
            "watch",
            "revoke",
            "vault",
            "audit",
            "policy",
            "store",
            "crypto",
            "clock",
            "config",
            "telemetry",
        ],
    ),
    (
        "broker",
        &[
            "issue",
            "watch",
            "revoke",
            "vault",
            "audit",
            "policy",
            "store",
            "crypto",
            "clock",
            "outbound",
            "config",
            "http",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "broker",
            "issue",
            "watch",
            "revoke",
            "vault",
            "audit",
            "policy",
            "store",
            "crypto",
            "clock",
            "config",
            "http",
            "telemetry",
        ],
    ),
    ("main", &["cli", "config", "telemetry", "crypto"]),
    ("lib", &[]),
];

/// What each crate may depend on of ours. `sdk/fuzz` is none of the workspace.
const CRATES: [(&str, &[&str]); 9] = [
    ("sdk/token", &[]),
    ("sdk/drift", &[]),
    ("sdk/fuzz", &["lanyard-drift"]),
    ("sdk/rust", &["lanyard-token", "lanyard-drift"]),
    ("sdk/telemetry", &[]),
    // It parses what strangers send: nothing of the broker is in it.
    (
        "sdk/gateway",
        &["lanyard-token", "lanyard-sdk", "lanyard-telemetry"],
    ),
    (
        "broker",
        &[
            "lanyard-token",
            "lanyard-drift",
            "lanyard-sdk",
            "lanyard-telemetry",
        ],
    ),
    (
        "loadtest",
        &["lanyard-token", "lanyard-drift", "lanyard-sdk"],
    ),
    // It measures the broker's mint, which is on no other way to be had; nothing of it is shipped.
    (
        "loadtest/guard",
        &["lanyard", "lanyard-token", "lanyard-drift", "lanyard-sdk"],
    ),
];

#[test]
fn rooms_never_import_one_another() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<_, BTreeSet<_>> = MAY_USE
        .iter()
        .map(|(part, uses)| (*part, uses.iter().copied().collect()))
        .collect();
    let mut arrows = 0;
    let mut wrong = Vec::new();
    for file in rust_files(&source) {
        let part = part_of(file.strip_prefix(&source).unwrap());
        let Some(may_use) = allowed.get(part.as_str()) else {
            wrong.push(format!(
                "{}: `{part}` has no place in the picture",
                file.display()
            ));
            continue;
        };
        let text = fs::read_to_string(&file).unwrap();
        for named in crate_names(&production_part(&text)) {
            arrows += 1;
            if named != part && !may_use.contains(named.as_str()) {
                wrong.push(format!(
                    "{}: `{part}` may not use `{named}`",
                    file.display()
                ));
            }
        }
    }
    assert!(
        arrows > 50,
        "the graph has only {arrows} arrows: is it read at all?"
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_uses_the_sdk() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let users: BTreeSet<_> = rust_files(&source)
        .into_iter()
        .filter(|file| production_part(&fs::read_to_string(file).unwrap()).contains("lanyard_sdk"))
        .map(|file| part_of(file.strip_prefix(&source).unwrap()))
        .collect();
    assert!(
        users.is_subset(&BTreeSet::from(["cli".to_owned()])),
        "{users:?}"
    );
}

#[test]
fn access_tokens_are_signed_in_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let signers: Vec<_> = rust_files(&source)
        .into_iter()
        .filter(|file| {
            production_part(&fs::read_to_string(file).unwrap()).contains("signing_input(")
        })
        .map(|file| {
            file.strip_prefix(&source)
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|file| !file.starts_with("issue/keys") && !file.starts_with("crypto"))
        .collect();
    assert_eq!(signers, ["issue/mint.rs"]);
}

#[test]
fn crates_depend_only_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (folder, may_use) in CRATES {
        let text = fs::read_to_string(root.join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for name in dependencies
            .keys()
            .filter(|name| name.starts_with("lanyard"))
        {
            assert!(
                may_use.contains(&name.as_str()),
                "{folder} may not depend on {name}"
            );
        }
    }
}

/// `issue/keys.rs` and `issue.rs` belong to `issue`.
fn part_of(file: &Path) -> String {
    let first = file.iter().next().unwrap().to_string_lossy().into_owned();
    first
        .strip_suffix(".rs")
        .map_or(first.clone(), str::to_owned)
}

/// Tests may look sideways: they put rooms together.
fn production_part(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every `crate::name` that is used, also inside braces of a `use crate::{…}`.
fn crate_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let preceded_by_name =
            text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if preceded_by_name {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            names.extend(top_level_names(list));
        } else {
            names.extend(identifier(rest));
        }
    }
    names
}

fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut fresh, mut names) = (0, true, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && c.is_alphabetic() => {
                names.extend(identifier(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_format_of_the_log_has_its_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let source = fs::read_to_string(root.join("broker/src/store/log/header.rs")).unwrap();
    let (_, rest) = source.split_once("const FORMAT: u32 = ").unwrap();
    let newest: usize = rest.split(';').next().unwrap().parse().unwrap();
    let pages: Vec<String> = fs::read_dir(root.join("migrations"))
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    for format in 1..=newest {
        let number = format!("{format:04}-");
        assert!(
            pages.iter().any(|page| page.starts_with(&number)),
            "migrations/ says nothing about format {format}"
        );
    }
    assert_eq!(
        pages.len(),
        newest + 1,
        "a page for each format, and the README"
    );
}
