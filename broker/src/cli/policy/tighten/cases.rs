//! Cases that come out otherwise once something is taken.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;
use serde_json::value::RawValue;

use super::patch::Splice;
use crate::policy::Bundle;
use crate::policy::rehearsal::{Untried, rehearse};
use crate::policy::trial::{Asking, Case, Expectation, Fixtures, Outcome, Verdict};

/// What changes in a file of cases: where one comes out otherwise it stands with its new outcome, and behind it, when
/// it names scopes that are left, a case for those.
pub(super) fn turned(
    text: &str,
    cases: &[Case],
    (fixtures, (before, after)): (&Fixtures, (&Bundle, &Bundle)),
    removed: &BTreeSet<&str>,
) -> Result<Vec<Splice>, Untried> {
    // It was read before as what it should be.
    let places: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let mut splices = Vec::new();
    for (case, place) in cases.iter().zip(places) {
        let held = case
            .expect
            .differences(&rehearse(before, fixtures, &case.request)?);
        let outcome = rehearse(after, fixtures, &case.request)?;
        // What failed already is not for us to correct.
        if !held.is_empty() || case.expect.differences(&outcome).is_empty() {
            continue;
        }
        let mut new = vec![Case {
            name: format!("{}: no longer, nobody used all of it", case.name),
            request: case.request.clone(),
            expect: expected(outcome),
        }];
        if let Some(rest) = rest(&case.request, removed) {
            let outcome = rehearse(after, fixtures, &rest)?;
            new.push(Case {
                name: format!("{}: what is left of it", case.name),
                request: rest,
                expect: expected(outcome),
            });
        }
        let start = place.get().as_ptr() as usize - text.as_ptr() as usize;
        let new: Vec<_> = new.iter().map(written).collect();
        splices.push(Splice {
            range: start..start + place.get().len(),
            text: new.join(",\n  "),
        });
    }
    Ok(splices)
}

/// The same request for what of its scopes is left.
fn rest(request: &Asking, removed: &BTreeSet<&str>) -> Option<Asking> {
    let scopes = request.scopes.as_ref()?;
    let left = scopes
        .iter()
        .filter(|scope| !removed.contains(scope.as_str()));
    let left: Vec<_> = left.cloned().collect();
    (!left.is_empty() && left.len() < scopes.len()).then(|| Asking {
        scopes: Some(left.into_iter().collect()),
        ..request.clone()
    })
}

fn expected(outcome: Outcome) -> Expectation {
    let allowed = outcome.decision == Verdict::Allow;
    Expectation {
        decision: outcome.decision,
        scopes: Some(outcome.scopes).filter(|_| allowed),
        lifetime: outcome.lifetime,
        policies: Some(outcome.policies),
        reason: outcome.reason,
    }
}

/// As cases are written: a member a line, and spaces behind colons and commas.
fn written(case: &Case) -> String {
    let parts = [
        ("name", spaced(&case.name)),
        ("request", spaced(&case.request)),
        ("expect", spaced(&case.expect)),
    ];
    let lines = parts.map(|(member, text)| format!("    \"{member}\": {text}"));
    format!("{{\n{}\n  }}", lines.join(",\n"))
}

fn spaced(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Spaced);
    // Strings, numbers and lists of them: writing to memory cannot fail.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_written_as_they_are_by_hand() {
        let case = r#"{
    "name": "one",
    "request": {"identity": "a", "scopes": ["x", "y"], "time": "2026-01-05T10:00:00Z"},
    "expect": {"decision": "deny", "policies": [], "reason": "scope"}
  }"#;
        let read: Case = serde_json::from_str(case).unwrap();
        assert_eq!(written(&read), case);
    }
}
