//! How much one gateway carries: no more than egress can, which would otherwise refuse everything that is new.

use std::collections::BTreeSet;

use lanyard_token::integration::Integration;

/// Rules of all its integrations together: as many routes as a gateway has (`lanyard_sdk::gateway::MAX_ROUTES`).
const MOST_RULES: usize = 4_096;
/// Different scopes in them: as many as a gateway tells apart.
const MOST_SCOPES: usize = 256;
/// Their forms together, in bytes of JSON: egress reads answers of 16 MiB, and values are in them too.
const MOST_BYTES: usize = 8 * 1_024 * 1_024;

/// Whether there is room for one beside others; which limit is in the way, in words.
pub(super) fn has_room<'i>(
    others: impl IntoIterator<Item = &'i Integration>,
    new: &'i Integration,
) -> Result<(), String> {
    let (mut rules, mut bytes, mut scopes) = (0_usize, 0_usize, BTreeSet::new());
    for integration in others.into_iter().chain([new]) {
        rules = rules.saturating_add(integration.rules().len());
        bytes = bytes.saturating_add(written(integration));
        for rule in integration.rules() {
            let named = integration.scopes(rule);
            scopes.extend(named.iter().map(|scope| scope.as_str().to_owned()));
        }
    }
    if rules > MOST_RULES {
        return Err(format!(
            "{rules} rules, and it carries at most {MOST_RULES}"
        ));
    }
    if scopes.len() > MOST_SCOPES {
        let scopes = scopes.len();
        return Err(format!(
            "{scopes} different scopes, and it tells at most {MOST_SCOPES} apart"
        ));
    }
    if bytes > MOST_BYTES {
        return Err(format!("{bytes} bytes, and it reads at most {MOST_BYTES}"));
    }
    Ok(())
}

/// The length of its form.
pub(super) fn written(integration: &Integration) -> usize {
    serde_json::to_vec(integration).map_or(usize::MAX, |written| written.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_rules(name: &str, rules: usize, scopes: impl Fn(usize) -> String) -> Integration {
        let rules: String = (0..rules)
            .map(|at| {
                let scopes = scopes(at);
                format!("[[rule]]\nmethod = \"GET\"\ntemplate = \"/v1/r{at}\"\n{scopes}")
            })
            .collect();
        let text = format!(
            "name = \"{name}\"\nupstream = \"https://api.example.com\"\n[inject]\nkind = \"header\"\nsecret = \"s\"\n{rules}"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_gateway_carries_as_many_rules_and_scopes_as_egress_can_and_no_more() {
        assert_eq!(MOST_RULES, lanyard_sdk::gateway::MAX_ROUTES);
        let usual = |_: usize| String::new();
        let most: Vec<Integration> = (0..16)
            .map(|at| with_rules(&format!("party-{at}"), 256, usual))
            .collect();
        let (last, others) = most.split_last().unwrap();
        assert!(has_room(others, last).is_ok());
        let one = with_rules("one-more", 1, usual);
        assert!(has_room(&most, &one).unwrap_err().contains("4097 rules"));

        let own = |at: usize| format!("scopes = \"party:s{at}\"\n");
        let scopes = with_rules("scopes", 256, own);
        assert!(has_room([], &scopes).is_ok());
        assert!(
            has_room([&one], &scopes)
                .unwrap_err()
                .contains("257 different scopes")
        );
    }
}
