//! Files of `lanyard apply` without what is taken: each right with its reason, in place.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::super::super::CliError;
use super::patch::Splice;
use crate::policy::tighten::{Narrowed, Removal, Right};

/// A file as far as it is changed here; what else stands in it was read before, by stricter eyes.
#[derive(Deserialize)]
struct Document {
    #[serde(default, rename = "identity")]
    identities: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    audiences: Option<List>,
    scopes: Option<List>,
}

type List = Spanned<Vec<Spanned<String>>>;

/// A file, and what changes in it.
pub(super) struct Changed {
    pub(super) text: String,
    pub(super) splices: Vec<Splice>,
    /// How many rights are taken out.
    pub(super) taken: usize,
}

/// Takes out of a file what is taken of its identities. `reason` says why, in a line.
pub(super) fn changed(
    path: &Path,
    narrowed: &BTreeMap<&str, &Narrowed>,
    reason: impl Fn(&Removal) -> String,
) -> Result<Changed, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::cannot(format_args!("read `{}`", path.display()), &error))?;
    let document: Document = toml::from_str(&text)
        .map_err(|error| CliError::Usage(format!("{}: {}", path.display(), error.message())))?;
    let (mut splices, mut taken) = (Vec::new(), 0);
    for entry in &document.identities {
        let Some(narrowed) = narrowed.get(entry.name.as_str()) else {
            continue;
        };
        for (list, is_of) in [
            (&entry.audiences, Right::is_audience as fn(&Right) -> bool),
            (&entry.scopes, Right::is_scope),
        ] {
            let removed: BTreeMap<&str, &Removal> = narrowed
                .removed
                .iter()
                .filter(|removal| is_of(&removal.right))
                .map(|removal| (removal.right.name(), removal))
                .collect();
            if let Some(list) = list {
                taken += without(&text, list, &removed, &reason, &mut splices);
            }
        }
    }
    Ok(Changed {
        text,
        splices,
        taken,
    })
}

/// Takes words out of a list; how many.
fn without(
    text: &str,
    list: &List,
    removed: &BTreeMap<&str, &Removal>,
    reason: &impl Fn(&Removal) -> String,
    splices: &mut Vec<Splice>,
) -> usize {
    let items = list.get_ref();
    let words = items.iter().flat_map(|item| item.get_ref().split(' '));
    let taken: Vec<&&Removal> = words.filter_map(|word| removed.get(word)).collect();
    if taken.is_empty() {
        return 0;
    }
    let rest = |item: &Spanned<String>| {
        let words = item.get_ref().split(' ');
        let words: Vec<_> = words.filter(|word| !removed.contains_key(word)).collect();
        words.join(" ")
    };
    let lines: Vec<_> = items
        .iter()
        .map(|item| alone_on_its_line(text, item.span().start, item.span().end))
        .collect();
    if lines.iter().all(Option::is_some) {
        for (item, line) in items.iter().zip(lines.into_iter().flatten()) {
            let left = rest(item);
            if left == *item.get_ref() {
                continue;
            }
            let there = text.get(line.clone()).unwrap_or_default();
            let indent = indent(there);
            let words = item.get_ref().split(' ');
            let mut new: String = words
                .filter_map(|word| removed.get(word))
                .map(|removal| format!("{indent}# {}\n", reason(removal)))
                .collect();
            if !left.is_empty() {
                new.push_str(&format!("{indent}{},\n", quoted(&left)));
            }
            splices.push(Splice {
                range: line,
                text: new,
            });
        }
        return taken.len();
    }
    let begin = text
        .get(..list.span().start)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let indent = indent(text.get(begin..).unwrap_or_default());
    let notes = taken
        .iter()
        .map(|removal| format!("{indent}# {}\n", reason(removal)));
    splices.push(Splice {
        range: begin..begin,
        text: notes.collect(),
    });
    let left = items.iter().map(rest).filter(|left| !left.is_empty());
    let left: Vec<_> = left.map(|left| quoted(&left)).collect();
    splices.push(Splice {
        range: list.span(),
        text: format!("[{}]", left.join(", ")),
    });
    taken.len()
}

/// The whole line of an item that has one to itself, with its comma and perhaps a comment.
fn alone_on_its_line(text: &str, start: usize, end: usize) -> Option<std::ops::Range<usize>> {
    let begin = text.get(..start)?.rfind('\n')? + 1;
    let before = text.get(begin..start)?;
    let after = text.get(end..)?;
    let length = after.find('\n')? + 1;
    let rest = after.get(..length)?.trim();
    let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    let alone = before.trim().is_empty() && (rest.is_empty() || rest.starts_with('#'));
    alone.then(|| begin..end + length)
}

fn indent(line: &str) -> &str {
    let length = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..length).unwrap_or_default()
}

/// Names of audiences and scopes hold nothing that TOML would have escaped.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::super::patch::applied;
    use super::*;

    fn taken_out(text: &str, scopes: &[&str], audiences: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identities.toml");
        std::fs::write(&path, text).unwrap();
        let removal = |right| Removal {
            right,
            last_used: None,
            in_tokens: 0,
        };
        let scopes = scopes
            .iter()
            .map(|name| Right::Scope(name.parse().unwrap()));
        let audiences = audiences
            .iter()
            .map(|name| Right::Audience(name.parse().unwrap()));
        let narrowed = Narrowed {
            identity: "billing".to_owned(),
            owner: "payments".to_owned(),
            active_days: 20,
            removed: scopes.chain(audiences).map(removal).collect(),
            stays: Vec::new(),
            left: None,
        };
        let by_name = BTreeMap::from([("billing", &narrowed)]);
        let why = |removal: &Removal| format!("{} is taken out", removal.right.name());
        let changed = changed(&path, &by_name, why).unwrap();
        applied(&changed.text, &changed.splices)
    }

    #[test]
    fn a_list_on_one_line_has_its_reasons_above_and_the_rest_of_the_file_stays() {
        let text = "# ours\n[[identity]]\nname = \"billing\"\nowner = \"payments\"\nkind = \"service\"\n\
                    audiences = [\"https://a.example\", \"https://b.example\"]\nscopes = [\"a:read\", \"a:write\"] # both\n\n\
                    [[identity]]\nname = \"other\"\nscopes = [\"a:write\"]\n";
        assert_eq!(
            taken_out(text, &["a:write"], &["https://b.example"]),
            "# ours\n[[identity]]\nname = \"billing\"\nowner = \"payments\"\nkind = \"service\"\n\
             # https://b.example is taken out\naudiences = [\"https://a.example\"]\n\
             # a:write is taken out\nscopes = [\"a:read\"] # both\n\n\
             [[identity]]\nname = \"other\"\nscopes = [\"a:write\"]\n"
        );
    }

    #[test]
    fn a_line_of_its_own_gives_its_place_to_the_reason() {
        let text = "[[identity]]\nname = \"billing\"\nscopes = [\n    \"a:read\", # looked at\n    \"a:write a:delete\",\n    \"b:read\"\n]\n";
        assert_eq!(
            taken_out(text, &["a:write", "b:read"], &[]),
            "[[identity]]\nname = \"billing\"\nscopes = [\n    \"a:read\", # looked at\n    # a:write is taken out\n    \
             \"a:delete\",\n    # b:read is taken out\n]\n"
        );
    }

    #[test]
    fn what_stands_on_one_line_with_another_list_is_taken_out_of_both() {
        let text = "identity = [{name = \"billing\", scopes = [\"a\", \"b\"], audiences = [\"https://a.example\"]}]\n";
        assert_eq!(
            taken_out(text, &["a"], &["https://a.example"]),
            "# https://a.example is taken out\n# a is taken out\n\
             identity = [{name = \"billing\", scopes = [\"b\"], audiences = []}]\n"
        );
    }
}
