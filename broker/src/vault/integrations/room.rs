//! How much one gateway carries: no more than egress can, which would otherwise refuse everything that is new.

use std::collections::BTreeSet;

use lanyard_token::integration::Integration;

/// Rules of all its integrations together: as many routes as a gateway has (`lanyard_sdk::gateway::MAX_ROUTES`).
const MOST_RULES: usize = 4_096;
/// Different scopes in them: as many as a gateway tells apart.
const MOST_SCOPES: usize = 256;
/// Their forms together, in bytes of JSON: egress reads answers of 16 MiB, and values are in them too.
const MOST_BYTES: usize = 8 * 1_024 * 1_024;

/// Whether there is room for one beside others; which limit is in the way, in words. One that takes the place of another and
/// takes up no more is never in the way: a gateway that has too much since an earlier release gets less in steps.
pub(super) fn has_room<'i>(
    others: impl IntoIterator<Item = &'i Integration>,
    before: Option<&'i Integration>,
    new: &'i Integration,
) -> Result<(), String> {
    let mut beside = Taken::default();
    for integration in others {
        beside.add(integration);
    }
    let mut then = beside.clone();
    if let Some(before) = before {
        then.add(before);
    }
    let mut now = beside;
    now.add(new);
    let (rules, scopes, bytes) = (now.rules, now.scopes.len(), now.bytes);
    if rules > MOST_RULES.max(then.rules) {
        return Err(format!(
            "{rules} rules, and it carries at most {MOST_RULES}"
        ));
    }
    if scopes > MOST_SCOPES.max(then.scopes.len()) {
        return Err(format!(
            "{scopes} different scopes, and it tells at most {MOST_SCOPES} apart"
        ));
    }
    if bytes > MOST_BYTES.max(then.bytes) {
        return Err(format!("{bytes} bytes, and it reads at most {MOST_BYTES}"));
    }
    Ok(())
}

/// What a gateway's integrations take up together.
#[derive(Clone, Default)]
struct Taken {
    rules: usize,
    bytes: usize,
    scopes: BTreeSet<String>,
}

impl Taken {
    fn add(&mut self, integration: &Integration) {
        self.rules = self.rules.saturating_add(integration.rules().len());
        self.bytes = self.bytes.saturating_add(written(integration));
        for rule in integration.rules() {
            let named = integration.scopes(rule);
            self.scopes
                .extend(named.iter().map(|scope| scope.as_str().to_owned()));
        }
    }
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
        assert!(has_room(others, None, last).is_ok());
        let one = with_rules("one-more", 1, usual);
        assert!(
            has_room(&most, None, &one)
                .unwrap_err()
                .contains("4097 rules")
        );

        let own = |at: usize| format!("scopes = \"party:s{at}\"\n");
        let scopes = with_rules("scopes", 256, own);
        assert!(has_room([], None, &scopes).is_ok());
        assert!(
            has_room([&one], None, &scopes)
                .unwrap_err()
                .contains("257 different scopes")
        );
    }
    #[test]
    fn what_takes_up_less_than_before_is_taken_though_there_is_too_much() {
        let usual = |_: usize| String::new();
        let others: Vec<Integration> = (0..16)
            .map(|at| with_rules(&format!("party-{at}"), 256, usual))
            .collect();
        let (before, less) = (
            with_rules("last", 100, usual),
            with_rules("last", 99, usual),
        );
        assert!(has_room(&others, Some(&before), &less).is_ok());
        assert!(has_room(&others, Some(&before), &before).is_ok());
        assert!(has_room(&others, Some(&less), &before).is_err());
        assert!(has_room(&others, None, &less).is_err());
    }
}
