//! Files of `lanyard apply` without what is taken: each right with its reason, in place, also out of grants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

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
    #[serde(default, rename = "grant")]
    grants: Vec<Grant>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    audiences: Option<List>,
    scopes: Option<List>,
}

/// What an identity may ask for beyond its own entry, perhaps in another file.
#[derive(Deserialize)]
struct Grant {
    identity: Spanned<String>,
    audience: Spanned<String>,
    scopes: List,
}

type List = Spanned<Vec<Spanned<String>>>;

/// A file, and what changes in it.
pub(super) struct Changed {
    pub(super) text: String,
    pub(super) splices: Vec<Splice>,
    /// How many rights are taken out.
    pub(super) taken: usize,
}

/// Takes out of files what is taken of their identities. `reason` says why, in a line.
pub(super) fn changed(
    files: &[PathBuf],
    narrowed: &BTreeMap<&str, &Narrowed>,
    reason: impl Fn(&Removal) -> String,
) -> Result<Vec<Changed>, CliError> {
    let mut read = Vec::with_capacity(files.len());
    for path in files {
        let text = std::fs::read_to_string(path)
            .map_err(|error| CliError::cannot(format_args!("read `{}`", path.display()), &error))?;
        let document: Document = toml::from_str(&text)
            .map_err(|error| CliError::Usage(format!("{}: {}", path.display(), error.message())))?;
        read.push((text, document));
    }
    let mut rights = Rights::new();
    let mut changes: Vec<(Vec<Splice>, usize)> = Vec::with_capacity(read.len());
    for (text, document) in &read {
        let (mut splices, mut taken) = (Vec::new(), 0);
        for entry in &document.identities {
            let Some(narrowed) = narrowed.get(entry.name.as_str()) else {
                continue;
            };
            let (audiences, scopes) = removed_of(narrowed);
            for (list, removed) in [(&entry.audiences, &audiences), (&entry.scopes, &scopes)] {
                if let Some(list) = list {
                    taken += without(text, list, removed, &reason, &mut splices);
                }
            }
            let here = rights.entry(&entry.name).or_default();
            for audience in left(entry.audiences.as_ref(), &audiences) {
                let scopes = left(entry.scopes.as_ref(), &scopes);
                here.extend(scopes.map(|scope| (audience, scope)));
            }
        }
        changes.push((splices, taken));
    }
    // Grants add to what their identities have, so they come after all of these.
    for ((text, document), (splices, taken)) in read.iter().zip(&mut changes) {
        for grant in &document.grants {
            let Some(narrowed) = narrowed.get(grant.identity.get_ref().as_str()) else {
                continue;
            };
            let (audiences, scopes) = removed_of(narrowed);
            let here = rights.entry(grant.identity.get_ref()).or_default();
            let audience = grant.audience.get_ref().as_str();
            let given: BTreeSet<_> = match audiences.contains_key(audience) {
                true => BTreeSet::new(),
                false => left(Some(&grant.scopes), &scopes)
                    .map(|scope| (audience, scope))
                    .collect(),
            };
            let loses = words(Some(&grant.scopes)).any(|word| scopes.contains_key(word));
            // A grant that adds nothing is one that `lanyard apply` refuses.
            *taken += if (loses || given.is_empty()) && given.is_subset(here) {
                let removed = audiences.get(audience).into_iter();
                let of_it = words(Some(&grant.scopes)).filter_map(|word| scopes.get(word));
                let removed: Vec<_> = removed.chain(of_it).copied().collect();
                splices.push(without_grant(text, grant, &removed, &reason)?);
                removed.len()
            } else {
                without(text, &grant.scopes, &scopes, &reason, splices)
            };
            here.extend(given);
        }
    }
    let changes = read.into_iter().zip(changes);
    Ok(changes
        .map(|((text, _), (splices, taken))| Changed {
            text,
            splices,
            taken,
        })
        .collect())
}

/// What each identity keeps: audiences with scopes.
type Rights<'d> = BTreeMap<&'d str, BTreeSet<(&'d str, &'d str)>>;
type Removed<'n> = BTreeMap<&'n str, &'n Removal>;

/// The audiences and the scopes that are taken.
fn removed_of(narrowed: &Narrowed) -> (Removed<'_>, Removed<'_>) {
    let of = |is_of: fn(&Right) -> bool| {
        let removed = narrowed.removed.iter();
        let removed = removed.filter(|removal| is_of(&removal.right));
        removed
            .map(|removal| (removal.right.name(), removal))
            .collect()
    };
    (of(Right::is_audience), of(Right::is_scope))
}

fn words(list: Option<&List>) -> impl Iterator<Item = &str> {
    let items = list.into_iter().flat_map(|list| list.get_ref());
    items.flat_map(|item| item.get_ref().split(' '))
}

fn left<'l>(list: Option<&'l List>, removed: &Removed<'_>) -> impl Iterator<Item = &'l str> {
    words(list).filter(|word| !removed.contains_key(word))
}

/// A grant of which nothing is left gives its place to the reasons.
fn without_grant(
    text: &str,
    grant: &Grant,
    removed: &[&Removal],
    reason: &impl Fn(&Removal) -> String,
) -> Result<Splice, CliError> {
    const HEADER: &str = "[[grant]]";
    let spans = [
        grant.identity.span(),
        grant.audience.span(),
        grant.scopes.span(),
    ];
    let first = spans.iter().map(|span| span.start).min().unwrap_or(0);
    let last = spans.iter().map(|span| span.end).max().unwrap_or(first);
    let before = text.get(..first).unwrap_or_default();
    let begin = before
        .rfind(HEADER)
        .filter(|at| *at == 0 || before.get(..*at).is_some_and(|text| text.ends_with('\n')));
    let Some(begin) = begin else {
        return Err(CliError::Usage(format!(
            "nothing is left of the grant to `{}`: write it below a line `{HEADER}`, so that it can be taken out",
            grant.identity.get_ref()
        )));
    };
    let rest = text.get(last..).unwrap_or_default();
    let end = last + rest.find('\n').map_or(rest.len(), |at| at + 1);
    let mut notes: String = removed
        .iter()
        .map(|removal| format!("# {}\n", reason(removal)))
        .collect();
    if notes.is_empty() {
        notes = format!(
            "# a grant to `{}` that added nothing is taken out\n",
            grant.identity.get_ref()
        );
    }
    Ok(Splice {
        range: begin..end,
        text: notes,
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
    use super::super::super::super::apply::Registrations;
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
        let mut changed = changed(std::slice::from_ref(&path), &by_name, why).unwrap();
        let changed = changed.remove(0);
        let after = applied(&changed.text, &changed.splices);
        if text.contains("[[grant]]") {
            std::fs::write(&path, &after).unwrap();
            if let Err(error) = Registrations::read(&[path]) {
                panic!("`lanyard apply` reads no more: {error:?}\n{after}");
            }
        }
        after
    }

    const ENTRY: &str = "[[owner]]\nname = \"payments\"\n\n[[identity]]\nname = \"billing\"\nowner = \"payments\"\n\
                         kind = \"service\"\naudiences = [\"https://a.example\"]\nscopes = [\"a:read\"]\n\n";

    #[test]
    fn what_a_grant_adds_is_taken_out_of_it() {
        let grant = "[[grant]]\nidentity = \"billing\"\naudience = \"https://a.example\"\nscopes = [\"a:write\", \"a:delete\"]\n";
        let after = taken_out(&format!("{ENTRY}{grant}"), &["a:delete"], &[]);
        assert_eq!(
            after,
            format!(
                "{ENTRY}[[grant]]\nidentity = \"billing\"\naudience = \"https://a.example\"\n\
                 # a:delete is taken out\nscopes = [\"a:write\"]\n"
            )
        );
    }

    #[test]
    fn a_grant_that_would_add_nothing_any_more_is_taken_out_whole() {
        let grant = |scopes: &str| {
            format!(
                "# for the migration\n[[grant]]\nidentity = \"billing\"\naudience = \"https://a.example\"\n\
                 scopes = [{scopes}] # soon\n\n# next\n"
            )
        };
        for scopes in ["\"a:write\"", "\"a:read\", \"a:write\""] {
            let after = taken_out(&format!("{ENTRY}{}", grant(scopes)), &["a:write"], &[]);
            assert_eq!(
                after,
                format!("{ENTRY}# for the migration\n# a:write is taken out\n\n# next\n")
            );
        }
        let elsewhere = "[[grant]]\nidentity = \"billing\"\naudience = \"https://b.example\"\nscopes = [\"a:read\"]\n";
        let after = taken_out(&format!("{ENTRY}{elsewhere}"), &[], &["https://b.example"]);
        assert_eq!(after, format!("{ENTRY}# https://b.example is taken out\n"));
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
