//! `lanyard lineage …`: what descends from what, drawn.

use clap::Subcommand;
use serde_json::Value;

use super::{Asks, Call, CliError, items, output, segment};

/// `lanyard lineage …`.
#[derive(Debug, Subcommand)]
pub enum LineageCommand {
    /// Draw the tree above and below an owner, identity, key or token
    Show {
        /// Id of anything, or name of an identity or owner
        node: String,
        /// How many levels below it
        #[arg(long, value_name = "LEVELS")]
        depth: Option<usize>,
        /// How many children of each node; the rest is counted
        #[arg(long, value_name = "NUMBER")]
        children: Option<usize>,
    },
}

impl Asks for LineageCommand {
    fn call(&self) -> Result<Call, CliError> {
        let Self::Show {
            node,
            depth,
            children,
        } = self;
        let wanted = [("depth", depth), ("children", children)];
        let query: Vec<String> = wanted
            .iter()
            .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")))
            .collect();
        let path = format!("v1/lineage/{}?{}", segment(node)?, query.join("&"));
        Ok(Call::get(path.trim_end_matches('?'), drawn))
    }
}

/// The tree as lines.
fn drawn(answer: &Value) -> String {
    let mut text = String::new();
    for (depth, node) in items(answer, "above").iter().enumerate() {
        text.push_str(&trunk(depth));
        text.push_str(&told(node));
        text.push('\n');
    }
    let depth = items(answer, "above").len();
    text.push_str(&trunk(depth));
    if let Some(tree) = answer.get("tree") {
        branch(tree, &"   ".repeat(depth), &mut text);
    }
    text
}

/// Above the node nothing branches.
fn trunk(depth: usize) -> String {
    match depth {
        0 => String::new(),
        depth => format!("{}└─ ", "   ".repeat(depth - 1)),
    }
}

fn branch(node: &Value, margin: &str, text: &mut String) {
    text.push_str(&told(node));
    let number = |member: &str| node.get(member).and_then(Value::as_u64).unwrap_or(0);
    let is_token = node.get("sort").and_then(Value::as_str) == Some("token");
    let (live, acting) = (number("live_tokens"), number("acting"));
    match (live, acting) {
        (0, _) => {}
        (1, _) if is_token => {}
        (live, 0) => text.push_str(&format!(", {} end with it", tokens(live))),
        (live, acting) => text.push_str(&format!(
            ", {} end with it ({} of them used for others)",
            tokens(live),
            grouped(acting)
        )),
    }
    text.push('\n');
    let (below, more) = (items(node, "below"), number("more"));
    for (place, child) in below.iter().enumerate() {
        let last = place + 1 == below.len() && more == 0;
        text.push_str(margin);
        text.push_str(if last { "└─ " } else { "├─ " });
        let deeper = format!("{margin}{}", if last { "   " } else { "│  " });
        branch(child, &deeper, text);
    }
    if more > 0 {
        let words = if below.is_empty() { "" } else { "and " };
        text.push_str(&format!("{margin}└─ {words}{} more\n", grouped(more)));
    }
}

fn tokens(count: u64) -> String {
    match count {
        1 => "1 living token".to_owned(),
        count => format!("{} living tokens", grouped(count)),
    }
}

/// `4,312`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// One node in words.
fn told(node: &Value) -> String {
    let shown = |member: &str| output::shown(member, node.get(member));
    let has = |member: &str| node.get(member).is_some_and(|value| !value.is_null());
    let mut words = match node.get("sort").and_then(Value::as_str) {
        Some("credential") => "key".to_owned(),
        Some(sort) => sort.to_owned(),
        None => "node".to_owned(),
    };
    if has("name") {
        words.push_str(&format!(" {}", shown("name")));
    }
    words.push_str(&format!(" {}", shown("id")));
    if has("kind") {
        words.push_str(&format!(" ({})", shown("kind")));
    }
    words.push_str(&format!(": {}", shown("state")));
    if has("revoked_at") {
        let rev = output::shown("rev", node.get("revoked_at"));
        words.push_str(&format!(" at {rev}"));
    }
    if has("until") {
        words.push_str(&format!(" until {}", shown("until")));
    }
    if has("because") {
        words.push_str(&format!(" because of {}", shown("because")));
    }
    if has("expires_at") {
        words.push_str(&format!(", ends {}", shown("expires_at")));
    }
    if has("used_by") {
        words.push_str(&format!(", used by {}", shown("used_by")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tree_is_drawn_with_what_is_above_it_and_what_was_left_out() {
        let answer = json!({
            "above": [{"id": "01", "sort": "owner", "name": "team", "state": "live"}],
            "tree": {
                "id": "02", "sort": "identity", "name": "billing", "kind": "service", "state": "live",
                "live_tokens": 4_314, "acting": 2,
                "below": [{
                    "id": "03", "sort": "credential", "name": "ci", "state": "live", "live_tokens": 4_312,
                    "below": [{
                        "id": "04", "sort": "token", "state": "revoked", "because": "03",
                        "revoked_at": (1_u64 << 40) + 9, "expires_at": 1_767_225_600_000_u64, "used_by": "05",
                        "live_tokens": 0, "below": []
                    }],
                    "more": 4_312
                }]
            }
        });
        assert_eq!(
            drawn(&answer),
            "owner team 01: live\n\
             └─ identity billing 02 (service): live, 4,314 living tokens end with it (2 of them used for others)\n   \
             └─ key ci 03: live, 4,312 living tokens end with it\n      \
             ├─ token 04: revoked at 1:9 because of 03, ends 2026-01-01T00:00:00Z, used by 05\n      \
             └─ and 4,312 more\n"
        );
    }

    #[test]
    fn a_label_cannot_drive_the_terminal() {
        let node = json!({"id": "03", "sort": "credential", "name": "\u{1b}[2J", "state": "live"});
        assert_eq!(told(&node), "key \\u{1b}[2J 03: live");
    }
}
