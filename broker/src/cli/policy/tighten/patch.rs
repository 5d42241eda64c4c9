//! A difference that `git apply` and `patch -p1` take, of changes whose places are known.
//!
//! Places are known because whoever makes the changes has read the file, so nothing has to be searched for and ten
//! thousand changes of one file cost what one costs.

use std::ops::Range;

/// Lines around a change.
const CONTEXT: usize = 3;

/// Text that takes the place of other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Splice {
    /// Bytes of the file.
    pub(super) range: Range<usize>,
    /// Instead of them.
    pub(super) text: String,
}

/// Lines that take the place of others.
struct Change {
    from: usize,
    to: usize,
    lines: Vec<String>,
}

/// The text with all splices, which do not overlap.
pub(super) fn applied(text: &str, splices: &[Splice]) -> String {
    let mut splices: Vec<_> = splices.iter().collect();
    splices.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let (mut whole, mut at) = (String::with_capacity(text.len()), 0);
    for splice in splices {
        whole.push_str(text.get(at..splice.range.start).unwrap_or_default());
        whole.push_str(&splice.text);
        at = splice.range.end.max(at);
    }
    whole.push_str(text.get(at..).unwrap_or_default());
    whole
}

/// The difference that splices make to a file.
pub(super) fn unified(path: &str, text: &str, splices: &[Splice]) -> String {
    let old: Vec<&str> = text.split_inclusive('\n').collect();
    let changes = changes(text, splices);
    let mut patch = String::new();
    let mut rest = changes.as_slice();
    let mut shift = 0_isize;
    while !rest.is_empty() {
        // Changes whose surroundings touch stand in one hunk.
        let together = 1 + rest
            .windows(2)
            .take_while(|pair| matches!(pair, [one, next] if next.from <= one.to + 2 * CONTEXT))
            .count();
        let (hunk, later) = rest.split_at(together);
        patch.push_str(&written(&old, hunk, &mut shift));
        rest = later;
    }
    if patch.is_empty() {
        return patch;
    }
    let path = path.trim_start_matches("./").trim_start_matches('/');
    format!("--- a/{path}\n+++ b/{path}\n{patch}")
}

/// Whole lines, those that touch together.
fn changes(text: &str, splices: &[Splice]) -> Vec<Change> {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let line_of = |at: usize| {
        starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1)
    };
    let start_of = |line: usize| starts.get(line).copied().unwrap_or(text.len());
    let mut sorted: Vec<Splice> = splices.to_vec();
    sorted.sort_by_key(|splice| (splice.range.start, splice.range.end));
    let mut groups: Vec<(Range<usize>, Vec<Splice>)> = Vec::new();
    for splice in sorted {
        let from = line_of(splice.range.start);
        let ends_at_a_start =
            start_of(from) == splice.range.start && starts.contains(&splice.range.end);
        let to = if ends_at_a_start {
            line_of(splice.range.end)
        } else {
            line_of(splice.range.end.saturating_sub(1).max(splice.range.start)) + 1
        };
        match groups.last_mut() {
            Some((lines, there)) if from <= lines.end => {
                lines.end = lines.end.max(to);
                there.push(splice);
            }
            _ => groups.push((from..to, vec![splice])),
        }
    }
    let change = |(lines, splices): (Range<usize>, Vec<Splice>)| {
        let (begin, end) = (start_of(lines.start), start_of(lines.end));
        let moved: Vec<_> = splices
            .into_iter()
            .map(|splice| Splice {
                range: splice.range.start - begin..splice.range.end - begin,
                text: splice.text,
            })
            .collect();
        let old = text.get(begin..end).unwrap_or_default();
        changed(lines.start, old, &applied(old, &moved))
    };
    groups.into_iter().map(change).collect()
}

/// The lines from `from` on that are really others: what both begin and end with is no change.
fn changed(from: usize, old: &str, new: &str) -> Change {
    let (old, new): (Vec<&str>, Vec<&str>) = (
        old.split_inclusive('\n').collect(),
        new.split_inclusive('\n').collect(),
    );
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
        pairs.take_while(|(one, other)| one == other).count()
    };
    let head = same(&mut old.iter().zip(&new));
    let most = old.len().min(new.len()) - head;
    let tail = same(&mut old.iter().rev().zip(new.iter().rev())).min(most);
    let lines = new.get(head..new.len() - tail).unwrap_or_default();
    Change {
        from: from + head,
        to: from + old.len() - tail,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn written(old: &[&str], hunk: &[Change], shift: &mut isize) -> String {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return String::new();
    };
    let begin = first.from.saturating_sub(CONTEXT);
    let end = (last.to + CONTEXT).min(old.len());
    let mut body = String::new();
    let (mut at, mut added, mut removed) = (begin, 0, 0);
    for change in hunk {
        for line in old.get(at..change.from).unwrap_or_default() {
            push(&mut body, ' ', line);
        }
        for line in old.get(change.from..change.to).unwrap_or_default() {
            push(&mut body, '-', line);
            removed += 1;
        }
        for line in &change.lines {
            push(&mut body, '+', line);
            added += 1;
        }
        at = change.to;
    }
    for line in old.get(at..end).unwrap_or_default() {
        push(&mut body, ' ', line);
    }
    let before = end - begin;
    let after = before + added - removed;
    let number = |count: usize, at: usize| at + usize::from(count > 0);
    let head = format!(
        "@@ -{},{before} +{},{after} @@\n",
        number(before, begin),
        number(after, begin.saturating_add_signed(*shift)),
    );
    *shift += added as isize - removed as isize;
    head + &body
}

fn push(body: &mut String, sign: char, line: &str) {
    body.push(sign);
    body.push_str(line);
    if !line.ends_with('\n') {
        body.push_str("\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(text: &str, of: &str, by: &str) -> Splice {
        let at = text.find(of).unwrap();
        Splice {
            range: at..at + of.len(),
            text: by.to_owned(),
        }
    }

    #[test]
    fn changes_that_are_near_share_a_hunk_and_places_move_on() {
        let text: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let splices = [
            splice(&text, "line 2\n", "second\nand more\n"),
            splice(&text, "5", "five"),
            splice(&text, "line 25\n", ""),
        ];
        assert_eq!(
            unified("a.toml", &text, &splices),
            "--- a/a.toml\n+++ b/a.toml\n@@ -1,8 +1,9 @@\n line 1\n-line 2\n+second\n+and more\n line 3\n line 4\n-line 5\n\
             +line five\n line 6\n line 7\n line 8\n@@ -22,7 +23,6 @@\n line 22\n line 23\n line 24\n-line 25\n line 26\n \
             line 27\n line 28\n"
        );
        assert!(applied(&text, &splices).starts_with("line 1\nsecond\nand more\nline 3\n"));
    }

    #[test]
    fn two_changes_of_one_line_are_one_and_an_end_without_a_line_break_is_told() {
        let text = "first\nscopes = [1], audiences = [2]";
        let splices = [splice(text, "[1]", "[]"), splice(text, "[2]", "[]")];
        assert_eq!(
            unified("x", text, &splices),
            "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n first\n-scopes = [1], audiences = [2]\n\\ No newline at end of file\n\
             +scopes = [], audiences = []\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn nothing_is_no_difference_and_a_path_is_written_from_where_one_stands() {
        assert_eq!(unified("x", "one\n", &[]), "");
        let end = [Splice {
            range: 4..4,
            text: "two\n".to_owned(),
        }];
        assert_eq!(
            unified("./d/x", "one\n", &end),
            "--- a/d/x\n+++ b/d/x\n@@ -1,1 +1,2 @@\n one\n+two\n"
        );
    }
}
