//! A folder of policies without what is taken: the permits' lists, the cases that come out otherwise, the grants' pages
//! and the matrix.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lanyard_token::Scope;

use super::super::super::CliError;
use super::super::folder::{trial, untried};
use super::super::matrix::Matrix;
use super::cases;
use super::patch::{self, Splice, applied};
use crate::policy::tighten::{
    Evidence, List, NarrowedPermit, Removal, Window, list_of, narrow_permit, permits,
};
use crate::policy::trial::Trial;
use crate::policy::{Bundle, Rule};

/// What becomes of a folder.
pub(super) struct NarrowedFolder {
    /// Its permits, with the lists they have.
    pub(super) permits: Vec<(NarrowedPermit, Option<List>)>,
    /// Its policies as they would be.
    pub(super) after: Bundle,
    /// The difference.
    pub(super) patch: String,
    /// Cases that come out otherwise.
    pub(super) cases: usize,
}

/// Takes out of a folder what nobody used. `reason` says why, in a line.
pub(super) fn narrowed(
    folder: &Path,
    before: &Bundle,
    (evidence, window, owner): (&Evidence, Window, Option<&str>),
    reason: impl Fn(&Removal) -> String,
) -> Result<NarrowedFolder, CliError> {
    let (mut files, mut narrowed) = (Files::default(), Vec::new());
    let is_meant = |rule: &&Rule| owner.is_none() || rule.owner.as_deref() == owner;
    for rule in permits(before).filter(is_meant) {
        let text = files.text(&rule.file)?;
        let list = list_of(text, rule.line);
        let permit = narrow_permit(evidence, rule, list.as_ref(), window);
        if let Some(list) = list.as_ref().filter(|_| !permit.removed.is_empty()) {
            let splices = shorter(text, list, &permit, &reason);
            files.change(&rule.file, splices);
            files.note(folder, rule, &permit, &reason)?;
        }
        narrowed.push((permit, list));
    }
    let after =
        Bundle::load_with(folder, &files.texts()).map_err(|broken| CliError::usage(&broken))?;
    let trial = trial(folder)?;
    let turned = cases(folder, &trial, (before, &after), &narrowed, &mut files)?;
    matrix(folder, &trial, &after, &mut files)?;
    Ok(NarrowedFolder {
        permits: narrowed,
        after,
        patch: files.patch(),
        cases: turned,
    })
}

/// The list without what is taken, and above its line why.
fn shorter(
    text: &str,
    list: &List,
    permit: &NarrowedPermit,
    reason: &impl Fn(&Removal) -> String,
) -> Vec<Splice> {
    let removed: BTreeSet<&str> = permit.removed.iter().map(|one| one.right.name()).collect();
    let scopes = list.scopes.iter().map(Scope::as_str);
    let left: Vec<_> = scopes
        .filter(|scope| !removed.contains(scope))
        .map(|scope| format!("\"{scope}\""))
        .collect();
    let begin = text
        .get(..list.range.start)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let line = text.get(begin..).unwrap_or_default();
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    let indent = line.get(..indent).unwrap_or_default();
    let notes = permit.removed.iter();
    let notes = notes.map(|removal| format!("{indent}// {}\n", reason(removal)));
    vec![
        Splice {
            range: begin..begin,
            text: notes.collect(),
        },
        Splice {
            range: list.range.clone(),
            text: format!("[{}]", left.join(", ")),
        },
    ]
}

/// Cases that come out otherwise say so, and what is left of them is a case of its own.
fn cases(
    folder: &Path,
    trial: &Trial,
    bundles: (&Bundle, &Bundle),
    permits: &[(NarrowedPermit, Option<List>)],
    files: &mut Files,
) -> Result<usize, CliError> {
    let removed: BTreeSet<&str> = permits
        .iter()
        .flat_map(|(permit, _)| &permit.removed)
        .map(|removal| removal.right.name())
        .collect();
    if removed.is_empty() {
        return Ok(0);
    }
    let mut turned = 0;
    for (grant, cases) in &trial.cases {
        let file = folder.join(grant).join("cases.json");
        let text = files.text(&file)?;
        let splices = cases::turned(text, cases, (&trial.fixtures, bundles), &removed)
            .map_err(|why| untried(&why))?;
        turned += splices.len();
        files.change(&file, splices);
    }
    Ok(turned)
}

fn matrix(folder: &Path, trial: &Trial, after: &Bundle, files: &mut Files) -> Result<(), CliError> {
    let file = folder.join("matrix.txt");
    let Some(classes) = trial.classes.as_ref().filter(|_| file.exists()) else {
        return Ok(());
    };
    if files.is_unchanged() {
        // Whether it was current before is for `matrix --check` to say.
        return Ok(());
    }
    let new = Matrix::of(after, &trial.fixtures, classes)?.text;
    let old = files.text(&file)?;
    let splice = between(old, &new);
    files.change(&file, splice.into_iter().collect());
    Ok(())
}

/// The one change between two texts, of whole lines.
fn between(old: &str, new: &str) -> Option<Splice> {
    if old == new {
        return None;
    }
    let lines =
        |text: &str| -> Vec<String> { text.split_inclusive('\n').map(str::to_owned).collect() };
    let (before, after) = (lines(old), lines(new));
    let same = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let head = same(&mut before.iter().zip(&after));
    let tails = before.len().min(after.len()) - head;
    let tail = same(&mut before.iter().rev().zip(after.iter().rev())).min(tails);
    let bytes = |lines: &[String]| lines.iter().map(String::len).sum::<usize>();
    let begin = bytes(before.get(..head)?);
    let end = bytes(before.get(..before.len() - tail)?);
    Some(Splice {
        range: begin..end,
        text: after.get(head..after.len() - tail)?.concat(),
    })
}

/// Files that were read, and what changes in them.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, (String, Vec<Splice>)>);

impl Files {
    fn text(&mut self, path: &Path) -> Result<&str, CliError> {
        if !self.0.contains_key(path) {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CliError::cannot(format!("read `{}`", path.display()), &error))?;
            self.0.insert(path.to_owned(), (text, Vec::new()));
        }
        Ok(self.0.get(path).map_or("", |(text, _)| text.as_str()))
    }

    fn change(&mut self, path: &Path, splices: Vec<Splice>) {
        if let Some((_, changes)) = self.0.get_mut(path) {
            changes.extend(splices);
        }
    }

    /// The page of the grant says what was taken and why.
    fn note(
        &mut self,
        folder: &Path,
        rule: &Rule,
        permit: &NarrowedPermit,
        reason: &impl Fn(&Removal) -> String,
    ) -> Result<(), CliError> {
        let page = folder.join(&rule.grant).join("README.md");
        if !page.exists() {
            return Ok(());
        }
        let text = self.text(&page)?;
        let end = text.len();
        let gap = if text.ends_with('\n') { "\n" } else { "\n\n" };
        let lines = permit.removed.iter();
        let lines = lines.map(|removal| format!("- `{}`: {}\n", rule.id, reason(removal)));
        let note = Splice {
            range: end..end,
            text: gap.to_owned() + &lines.collect::<String>(),
        };
        self.change(&page, vec![note]);
        Ok(())
    }

    fn is_unchanged(&self) -> bool {
        self.0.values().all(|(_, splices)| splices.is_empty())
    }

    /// Those that change, as they would be.
    fn texts(&self) -> BTreeMap<PathBuf, String> {
        let changed = self
            .0
            .iter()
            .filter(|(_, (_, splices))| !splices.is_empty());
        changed
            .map(|(path, (text, splices))| (path.clone(), applied(text, splices)))
            .collect()
    }

    fn patch(&self) -> String {
        let files = self.0.iter();
        files
            .map(|(path, (text, splices))| {
                patch::unified(&path.display().to_string(), text, splices)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_texts_differ_in_the_lines_between_what_they_share() {
        let splice = between("a\nb\nc\nd\n", "a\nx\nd\n").unwrap();
        assert_eq!((splice.range, splice.text.as_str()), (2..6, "x\n"));
        assert_eq!(between("a\n", "a\n"), None);
        let splice = between("a\na\n", "a\na\na\n").unwrap();
        assert_eq!(applied("a\na\n", &[splice]), "a\na\na\n");
    }
}
