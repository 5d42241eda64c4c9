//! Where a permit names the scopes it gives: `["a:read", "a:write"].contains(resource.name)`.
//!
//! Only what can be taken out without understanding the rest of the policy is found: a list of plain words that stands
//! in a `when`, by itself or behind `&&`. Whatever else the condition says, a shorter list gives less and never more.
//! Permits that name their scopes otherwise (one scope in the head, a pattern, the registration) have none.

use std::ops::Range;

use lanyard_token::{Audience, Scope};

const ASKED: &str = ".contains(resource.name)";

/// A list of scopes in the text of a permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Where the permit is for.
    pub audience: Audience,
    /// What it gives there.
    pub scopes: Vec<Scope>,
    /// The list with its brackets, in bytes of the file.
    pub range: Range<usize>,
    /// Whether it speaks of approvals: then people see to it.
    pub needs_approval: bool,
}

/// The list of the permit that begins on this line of a file, counted from 1.
pub fn list_of(text: &str, line: usize) -> Option<List> {
    let begin = match line.checked_sub(2) {
        None => 0,
        Some(before) => text.match_indices('\n').nth(before)?.0 + 1,
    };
    let policy = text.get(begin..)?;
    let code = code(policy);
    let code = code.as_str();
    let audience = quoted(code, "resource in Lanyard::Audience::")?
        .parse()
        .ok()?;
    let mut asked = code.match_indices(ASKED);
    let (end, None) = (asked.next()?.0, asked.next()) else {
        return None;
    };
    let start = code.get(..end)?.rfind('[')?;
    let before = code.get(..start)?.trim_end();
    let clause = before.rfind("when").max(before.rfind("unless"))?;
    let plain = before.ends_with('{') || before.ends_with("&&");
    if !plain || !code.get(clause..)?.starts_with("when") {
        return None;
    }
    let items = code.get(start..end)?.strip_prefix('[')?.strip_suffix(']')?;
    let scopes = items
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty());
    let scopes = scopes.map(|item| {
        let word = item.strip_prefix('"')?.strip_suffix('"')?;
        word.parse().ok()
    });
    Some(List {
        audience,
        scopes: scopes.collect::<Option<_>>()?,
        range: begin + start..begin + end,
        needs_approval: code.contains("context.approvals"),
    })
}

/// A policy to its end, with every byte where it was: comments, and what stands above its head, are blanks.
fn code(policy: &str) -> String {
    let mut code = String::new();
    let (mut in_text, mut in_comment, mut escaped, mut in_head) = (false, false, false, false);
    for (at, c) in policy.char_indices() {
        let rest = policy.get(at..).unwrap_or_default();
        in_comment = (in_comment || !in_text && rest.starts_with("//")) && c != '\n';
        in_head |= !in_text && !in_comment && rest.starts_with("permit");
        if in_comment || !in_head {
            code.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            code.push(c);
        }
        if in_comment {
            continue;
        }
        if c == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = c == '\\' && !escaped;
        if c == ';' && !in_text {
            break;
        }
    }
    code
}

/// What stands in quotes behind a word.
fn quoted<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.get(text.find(word)? + word.len()..)?;
    let rest = rest.strip_prefix('"')?;
    rest.get(..rest.find('"')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
// One.
@id(\"other\")
permit (principal, action, resource is Lanyard::Scope);

@id(\"release\")
@why(\"a permit; when { [\\\"x\\\"].contains(resource.name)\")
permit (
  principal in Lanyard::Tag::\"t\",
  action == Lanyard::Action::\"issue\",
  resource in Lanyard::Audience::\"https://a.example\"
)
// [\"y\"].contains(resource.name)
when { [\"a:read\", \"a:write\"].contains(resource.name) }
when { context.proof == \"oidc\" };

@id(\"next\")
permit (principal, action, resource in Lanyard::Audience::\"https://b.example\")
when { [\"b:read\"].contains(resource.name) };
";

    fn found(policy: &str) -> Option<List> {
        list_of(policy, 1)
    }

    fn with(condition: &str) -> Option<List> {
        found(&format!(
            "permit (principal, action, resource in Lanyard::Audience::\"https://a.example\") {condition};"
        ))
    }

    #[test]
    fn a_list_is_found_in_its_own_policy_and_nowhere_else() {
        let list = list_of(POLICY, 5).unwrap();
        assert_eq!(list.audience.as_str(), "https://a.example");
        assert_eq!(&POLICY[list.range.clone()], "[\"a:read\", \"a:write\"]");
        assert!(!list.needs_approval);
        assert_eq!(list_of(POLICY, 2), None, "it names no audience");
        let next = list_of(POLICY, 16).unwrap();
        assert_eq!(next.scopes, ["b:read".parse().unwrap()]);
    }

    #[test]
    fn a_list_that_gives_more_when_it_is_shorter_is_none() {
        assert!(with("when { [\"a\"].contains(resource.name) }").is_some());
        assert!(
            with("when { principal.kind == \"agent\" && [\"a\"].contains(resource.name) }")
                .is_some()
        );
        for condition in [
            "unless { [\"a\"].contains(resource.name) }",
            "when { ![\"a\"].contains(resource.name) }",
            "when { !([\"a\"].contains(resource.name)) }",
            "when { true } unless { true && [\"a\"].contains(resource.name) }",
            "when { if [\"a\"].contains(resource.name) then false else true }",
            "when { [\"a\", resource.name].contains(resource.name) }",
            "when { [\"a\"].contains(resource.name) || [\"b\"].contains(resource.name) }",
            "when { resource.name like \"a:*\" }",
        ] {
            assert_eq!(with(condition), None, "{condition}");
        }
    }

    #[test]
    fn what_needs_approval_says_so() {
        let list = with(
            "when { [\"a\"].contains(resource.name) } when { !([principal.name].containsAll(context.approvals)) }",
        );
        assert!(list.unwrap().needs_approval);
    }
}
