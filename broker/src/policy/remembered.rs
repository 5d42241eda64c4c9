//! Grants that were given before, so that Cedar is not asked the same question again.
//!
//! Services refresh their tokens every few minutes and ask for the same each time. Asking Cedar costs more than
//! signing the token: entities and circumstances are built anew, names of functions are parsed each time.
//!
//! *Why it is right:* a bundle never changes, its policies see nothing but what they are asked, and Cedar has neither
//! a clock nor chance. So the same question has the same answer. A memory belongs to its bundle and goes with it; the
//! question is written down whole, with its length before each part, and compared whole. Of the time, the hour and
//! the network only what the policies looked at can read is part of it ([`Mentions`]): policies that read the time
//! itself are asked each time.
//! *What it misses:* requests with a task, with an approval or for an OIDC subject are always decided anew, and so is
//! what is denied, because the reasons of a denial are for the log. Whoever asks each time for another lifetime pushes
//! out what others asked: it costs them the time it took before.
//! *Why not entities and slices alone, kept ready:* the half of the work that is left is still more than everything
//! else the broker does for a token.

use std::net::IpAddr;
use std::sync::Arc;

use quick_cache::sync::Cache;
use time::UtcOffset;

use super::asked::Asked;
use super::grant::{Given, NotGiven};
use super::mentions::Mentions;
use super::question::Question;

/// So many questions are remembered: about a kibibyte each, made up of who asks and what is given.
const REMEMBERED: usize = 16_384;

/// What one bundle has given.
pub(super) struct Remembered(Cache<Box<[u8]>, Arc<Known>>);

enum Known {
    Given(Given),
    /// It depends on these.
    Depends(Mentions),
}

impl Default for Remembered {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remembered({} questions)", self.0.len())
    }
}

impl Remembered {
    /// What was given before; else what `decide` gives, which also says what its policies looked at.
    pub(super) fn or_decide(
        &self,
        asked: &Asked<'_>,
        decide: impl FnOnce() -> (Result<Given, NotGiven>, Mentions),
    ) -> Result<Given, NotGiven> {
        let Some(mut question) = question(asked) else {
            return decide().0;
        };
        let known = match self.0.get(question.bytes()).as_deref() {
            Some(Known::Given(given)) => return Ok(given.clone()),
            Some(Known::Depends(mentions)) => *mentions,
            None => Mentions::default(),
        };
        let plain = question.bytes().len();
        if !known.is_none() && !known.time {
            add_circumstances(&mut question, known, asked);
            if let Some(Known::Given(given)) = self.0.get(question.bytes()).as_deref() {
                return Ok(given.clone());
            }
        }
        let (decided, mentions) = decide();
        let Ok(given) = decided else {
            return decided;
        };
        // Another network may lead past other policies: what was known to matter still does.
        let mentions = mentions.and(known);
        question.truncate(plain);
        if !mentions.is_none() {
            let depends = Arc::new(Known::Depends(mentions));
            self.0.insert(question.bytes().into(), depends);
            add_circumstances(&mut question, mentions, asked);
        }
        if !mentions.time {
            let key = question.into_bytes();
            self.0.insert(key, Arc::new(Known::Given(given.clone())));
        }
        Ok(given)
    }
}

/// Everything that policies can see, except what changes from one request to the next; `None`: it is not remembered.
fn question(asked: &Asked<'_>) -> Option<Question> {
    // Every member is named here, so that a new one is not forgotten.
    let Asked {
        subject,
        actor,
        audience,
        scopes,
        within,
        partial,
        lifetime,
        grant,
        proof,
        oidc,
        binding,
        network: _,
        risk,
        task,
        approvals,
        time: _,
    } = *asked;
    if oidc.is_some() || task.is_some() || !approvals.is_empty() {
        return None;
    }
    let mut question = Question::new();
    question.party(&subject);
    question.number(u64::from(actor.is_some()));
    if let Some(actor) = actor {
        question.party(&actor);
    }
    question.text(audience.as_str());
    for set in [scopes, within] {
        question.number(u64::from(set.is_some()));
        question.scopes(set);
    }
    question.number(u64::from(partial));
    question.number(lifetime);
    for word in [grant.word(), proof.word(), binding.word(), risk.word()] {
        question.text(word);
    }
    Some(question)
}

/// Which circumstances matter, and how they are.
fn add_circumstances(question: &mut Question, mentions: Mentions, asked: &Asked<'_>) {
    question.number(u64::from(mentions.hour) | u64::from(mentions.network) << 1);
    if mentions.hour {
        let hour = asked.time.to_offset(UtcOffset::UTC).hour();
        question.number(u64::from(hour));
    }
    if mentions.network {
        match asked.network {
            None => question.raw(&[0]),
            Some(IpAddr::V4(address)) => {
                question.raw(&[4]);
                question.raw(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                question.raw(&[6]);
                question.raw(&address.octets());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lanyard_token::{Audience, ScopeSet};
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::macros::datetime;

    use crate::policy::{AskedBy, Binding, Bundle, Party, Proof, Risk};

    use super::*;

    const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");
    const POLICIES: &str = r#"
        @id("reads") permit (principal, action == Lanyard::Action::"issue", resource)
            when { resource.name == "read" };
        @id("writes-by-day") permit (principal, action == Lanyard::Action::"issue", resource)
            when { resource.name == "write" && context.hour >= 8 && context.hour < 18 };
        @id("inside") @max_ttl("60s") permit (principal, action == Lanyard::Action::"issue", resource)
            when { resource.name == "admin" && context has network && context.network.isInRange(ip("10.0.0.0/8")) };
        @id("until-noon") permit (principal, action == Lanyard::Action::"issue", resource)
            when { resource.name == "once" && context.time < datetime("2026-01-05T12:00:00Z") };
        @id("not-agents-at-night") forbid (principal in Lanyard::Tag::"kind:agent", action, resource)
            when { context.hour < 6 };
        @id("bare") permit (principal, action == Lanyard::Action::"issue", resource)
            when { resource.name == "" && context has network };
    "#;

    /// What differs between two questions.
    #[derive(Clone, Debug)]
    struct Wanted {
        kind: &'static str,
        scopes: Option<&'static str>,
        partial: bool,
        lifetime: u64,
        network: Option<&'static str>,
        time: OffsetDateTime,
    }

    fn with<T>(wanted: &Wanted, ask: impl FnOnce(&Asked<'_>) -> T) -> T {
        let audience: Audience = "https://a.example".parse().unwrap();
        let registered: ScopeSet = "read write admin once".parse().unwrap();
        let scopes = wanted.scopes.map(|scopes| scopes.parse().unwrap());
        ask(&Asked {
            subject: Party {
                name: "billing",
                kind: wanted.kind,
                owner: "payments",
                tags: &[],
                audiences: std::slice::from_ref(&audience),
                scopes: &registered,
                max_lifetime: 900,
                age_days: Some(3),
                unused_days: None,
            },
            actor: None,
            audience: &audience,
            scopes: scopes.as_ref(),
            within: None,
            partial: wanted.partial,
            lifetime: wanted.lifetime,
            grant: AskedBy::ClientCredentials,
            proof: Proof::ApiKey,
            oidc: None,
            binding: Binding::None,
            network: wanted.network.map(|address| address.parse().unwrap()),
            risk: Risk::None,
            task: None,
            approvals: &[],
            time: wanted.time,
        })
    }

    fn bundle(policies: &str) -> Bundle {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("schema.cedarschema"), SCHEMA).unwrap();
        fs::create_dir_all(folder.path().join("grant")).unwrap();
        fs::write(folder.path().join("grant/policy.cedar"), policies).unwrap();
        Bundle::load(folder.path()).unwrap()
    }

    fn wanted() -> impl Strategy<Value = Wanted> {
        let scopes = prop::sample::select(vec![
            None,
            Some("read"),
            Some("write"),
            Some("admin"),
            Some("once"),
            Some("read admin"),
            Some("write once"),
            Some(""),
        ]);
        let network = prop::sample::select(vec![
            None,
            Some("10.1.2.3"),
            Some("0.0.0.0"),
            Some("192.0.2.1"),
            Some("::a01:203"),
        ]);
        let times = vec![
            datetime!(2026-01-05 03:00 UTC),
            datetime!(2026-01-05 09:30 UTC),
            datetime!(2026-01-05 12:00 +05:00),
            datetime!(2026-01-05 12:00:01 UTC),
        ];
        (
            prop::sample::select(vec!["agent", "service"]),
            scopes,
            any::<bool>(),
            60_u64..62,
            network,
            prop::sample::select(times),
        )
            .prop_map(|(kind, scopes, partial, lifetime, network, time)| Wanted {
                kind,
                scopes,
                partial,
                lifetime,
                network,
                time,
            })
    }

    proptest! {
        // A bundle is read for each.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn what_is_remembered_is_what_would_be_decided(
            questions in prop::collection::vec(wanted(), 1..60)
        ) {
            let bundle = bundle(POLICIES);
            for wanted in questions {
                with(&wanted, |asked| {
                    assert_eq!(bundle.grant(asked), bundle.decide(asked).0, "{wanted:?}");
                    assert_eq!(bundle.grant(asked), bundle.decide(asked).0, "again: {wanted:?}");
                });
            }
        }
    }

    fn decided_twice(wanted: &Wanted, then: &Wanted) -> bool {
        let remembered = Remembered::default();
        let bundle = bundle(POLICIES);
        let mut times = 0;
        for wanted in [wanted, then] {
            let given = with(wanted, |asked| {
                remembered.or_decide(asked, || {
                    times += 1;
                    bundle.decide(asked)
                })
            });
            given.unwrap();
        }
        times == 2
    }

    #[test]
    fn a_question_is_put_again_when_something_changed_that_its_policies_read() {
        let noon = Wanted {
            kind: "service",
            scopes: Some("read"),
            partial: false,
            lifetime: 60,
            network: Some("10.0.0.1"),
            time: datetime!(2026-01-05 11:00 UTC),
        };
        let later = Wanted {
            network: Some("10.9.9.9"),
            time: datetime!(2026-01-05 11:59:59 UTC),
            ..noon.clone()
        };
        // The policies in reach read the hour and the network, and one the time itself.
        assert!(decided_twice(&noon, &later));
        let longer = Wanted {
            lifetime: 61,
            ..noon.clone()
        };
        assert!(decided_twice(&noon, &longer));
    }

    #[test]
    fn without_policies_that_read_what_changes_a_question_is_put_once() {
        let bundle = Bundle::embedded().unwrap();
        let remembered = Remembered::default();
        let mut decided = 0;
        for (network, hour) in [("10.0.0.1", 3), ("192.0.2.1", 12), ("2001:db8::1", 23)] {
            let wanted = Wanted {
                kind: "service",
                scopes: Some("read"),
                partial: false,
                lifetime: 60,
                network: Some(network),
                time: datetime!(2026-01-05 00:00 UTC) + time::Duration::hours(hour),
            };
            let given = with(&wanted, |asked| {
                remembered.or_decide(asked, || {
                    decided += 1;
                    bundle.decide(asked)
                })
            });
            assert_eq!(given.unwrap().scopes.to_string(), "read");
        }
        assert_eq!(decided, 1);
    }
}
