//! One case: a rotation, one thing that happens to one of its calls, and what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lanyard::clock::{Clock, SystemClock, UnixMillis};
use serde_json::{Value, json};

use super::ONE_OF;
use super::broker::Broker;
use super::samples::{Look, Span};
use super::third::{Servers, Third};
use crate::vault::faults::Fault;

/// Until when a rotation has to have come to its end.
const LONGEST: Duration = Duration::from_secs(300);
/// Until when somebody has to be told that nothing works any more.
const TOLD: Duration = Duration::from_secs(60);
/// What may be told then: neither works, or the new one never did.
const FITTING: [&str; 2] = ["both_dead", "never_worked"];
/// How many looks of a span are judged beside the first and the last one. The log is asked for each.
const BETWEEN: u64 = 32;
/// How often a broker is asked how far it is. It costs a machine with many of them more than it tells.
const ASKED: Duration = Duration::from_millis(250);

/// What is to be tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) number: u16,
    pub(super) driver: &'static str,
    pub(super) fault: Fault,
}

/// What came of it.
pub(super) struct Came {
    /// It happened at all: the call was made that it happens to.
    pub(super) struck: bool,
    /// How many calls were made.
    pub(super) calls: usize,
    pub(super) reconciled: bool,
    /// A look at which nothing in force worked.
    pub(super) without: Vec<String>,
    pub(super) orphans: Vec<String>,
    /// The rotation goes on, since nothing works there any more.
    pub(super) goes_on: bool,
}

impl Case {
    /// What begins it: every second time somebody asks, and else the value was found somewhere.
    fn beginning(self, key: &str, value: &str) -> (String, Value) {
        if (self.number / ONE_OF).is_multiple_of(2) {
            return (format!("/v1/secrets/{key}/rotate"), json!({}));
        }
        let found = json!({ "tokens": [value], "url": "https://git.example/shop" });
        ("/v1/leaks".to_owned(), found)
    }

    /// Whose it is at the third party.
    pub(super) fn whose(number: u16) -> String {
        format!("shop{number}")
    }

    /// Tries it with this broker, which is killed and comes back when the case says so.
    pub(super) async fn run(self, servers: Arc<Servers>, broker: &mut Broker) -> Came {
        let whose = Self::whose(self.number);
        let third = Arc::new(Third::new(servers, self.driver, whose).await);
        let (reference, value) = third.first().await;
        let proxy = third.proxy(self.fault).await;
        let (key, keeper) = (
            format!("key-{}", self.number),
            format!("keeper-{}", self.number),
        );
        let (manager, manages) = third.manager();
        broker.put(&keeper, (&manager, &manages)).await;
        broker.put(&key, (&reference, &value)).await;
        let planned = broker
            .post(
                &format!("/v1/secrets/{key}/rotation"),
                third.plan(&keeper, proxy.port),
            )
            .await;
        assert!(planned.is_ok(), "{planned:?}");

        // From here on something of ours works at every instant.
        third.watch();
        let ended = Arc::new(OnceLock::new());
        let ending = {
            let (third, shared, ended) = (third.clone(), proxy.shared.clone(), ended.clone());
            tokio::spawn(async move {
                shared.end.notified().await;
                ended.get_or_init(|| (Instant::now(), SystemClock.now()));
                third.end_all().await;
                shared.ended.notify_one();
            })
        };
        let begun = Instant::now();
        let mut rotation = None;
        let mut went_on = false;
        let outcome = loop {
            if begun.elapsed() > LONGEST {
                break None;
            }
            tokio::select! {
                () = proxy.shared.kill.notified() => {
                    broker.kill(&proxy.shared.killed).await;
                    continue;
                }
                () = tokio::time::sleep(ASKED) => {}
            }
            let Some(id) = rotation.clone() else {
                rotation = known(broker, &key).await;
                if rotation.is_none() {
                    let (path, body) = self.beginning(&key, &value);
                    let is_to_be_killed = tokio::select! {
                        _ = broker.post(&path, body) => false,
                        () = proxy.shared.kill.notified() => true,
                    };
                    if is_to_be_killed {
                        broker.kill(&proxy.shared.killed).await;
                    }
                }
                continue;
            };
            let Ok(shown) = broker.get(&format!("/v1/rotations/{id}")).await else {
                continue;
            };
            if let Some(outcome) = shown["outcome"].as_str() {
                break Some(outcome.to_owned());
            }
            if let Some((ended, _)) = ended.get()
                && !went_on
            {
                // Whatever else is told, what is wrong is that nothing works.
                let is_told = FITTING.iter().any(|word| shown["alarm"]["alarm"] == **word);
                if is_told && ended.elapsed() <= TOLD {
                    let secret = broker.get(&format!("/v1/secrets/{key}")).await.unwrap();
                    if is_everything_kept(&secret) {
                        break Some("told".to_owned());
                    }
                    // Between the two looks it got one that works: only its end says that what is gone had to go.
                    went_on = true;
                } else if ended.elapsed() > TOLD {
                    break None;
                }
            }
        };
        let seen = third.seen();
        ending.abort();
        let secret = broker.get(&format!("/v1/secrets/{key}")).await.unwrap();
        let reconciled = matches!(outcome.as_deref(), Some("rotated" | "reverted" | "told"));
        let goes_on = outcome.as_deref() == Some("told") || outcome.is_none();
        let left = third.working().await;
        let in_force = in_force(&secret, &secret["active"]);
        // Where a rotation still goes on, what it makes is no orphan.
        let is_orphan = |name: &&String| !goes_on && Some(*name) != in_force.as_ref();
        let orphans = left.iter().filter(is_orphan).cloned().collect();
        let until = ended.get().map(|(_, at)| *at);
        let is_reverted = outcome.as_deref() == Some("reverted");
        let without = without(broker, &key, &secret, &seen, (until, is_reverted)).await;
        Came {
            struck: proxy.shared.struck(),
            calls: proxy.shared.calls(),
            reconciled,
            without,
            orphans,
            goes_on,
        }
    }
}

/// Whether nothing was destroyed here: of whatever may come to life again at the third party the value is still kept. Only
/// what never worked is not, and then what was in force is so still.
fn is_everything_kept(secret: &Value) -> bool {
    let versions = secret["versions"].as_array().unwrap();
    let is_kept = |version: &Value| version["state"] != "retired";
    let never_worked = versions.iter().filter(|version| !is_kept(version));
    let first_is_in_force = versions[0]["state"] == "active";
    is_kept(&versions[0]) && (never_worked.count() == 0 || first_is_in_force)
}

/// Whether it was begun, a broker that was killed meanwhile says in its list.
async fn known(broker: &Broker, key: &str) -> Option<String> {
    let known = broker.get("/v1/rotations").await.ok()?;
    let mut all = known["rotations"].as_array()?.iter();
    let ours = all.find(|rotation| rotation["secret"] == key)?;
    Some(ours["id"].as_str()?.to_owned())
}

/// What the third party calls a version.
fn in_force(secret: &Value, version: &Value) -> Option<String> {
    let mut versions = secret["versions"].as_array()?.iter();
    let known = versions.find(|known| known["version"] == *version)?;
    Some(known["reference"].as_str()?.to_owned())
}

/// Looks at which what was in force did not work, until the third party ended everything itself.
async fn without(
    broker: &Broker,
    key: &str,
    secret: &Value,
    seen: &[Span],
    (until, is_reverted): (Option<UnixMillis>, bool),
) -> Vec<String> {
    let mut without = Vec::new();
    // The credential that each version is. A password that works was proved by a login right before its version came
    // into force; another one in its place would let nobody in who has the version.
    let mut proved: BTreeMap<u64, String> = BTreeMap::new();
    assert!(!seen.is_empty(), "nobody looked");
    for span in seen {
        for look in instants(span, is_reverted) {
            if until.is_some_and(|until| look.after >= until) {
                continue;
            }
            // It may have changed during the look: either one counts.
            let mut forces = BTreeMap::new();
            for at in [look.before, look.after] {
                let path = format!("/v1/secrets/{key}/who?at={}", at.0);
                let who = broker.get(&path).await.unwrap();
                let name = in_force(secret, &who["active"]);
                forces.extend(who["active"].as_u64().zip(name));
            }
            let mut works = false;
            for (version, name) in &forces {
                let named = |one: &&String| one.split('#').next() == Some(name.as_str());
                if let Some(found) = span.working.iter().find(named) {
                    works |= proved.entry(*version).or_insert_with(|| found.clone()) == found;
                }
            }
            if !works {
                without.push(format!(
                    "{forces:?} of {:?} at {}, proved {proved:?}",
                    span.working, look.after.0
                ));
            }
        }
    }
    // Whatever is in force now came into force, and somebody looked then.
    let last = secret["active"].as_u64();
    without.extend(
        last.filter(|version| until.is_none() && !proved.contains_key(version))
            .map(|version| format!("nobody saw version {version} work")),
    );
    without
}

/// When to ask what was in force while the same worked: at the first look and the last one, at [`BETWEEN`] in between, and
/// where it changed back at every one.
fn instants(span: &Span, is_reverted: bool) -> Vec<Look> {
    let mut instants = vec![span.first, span.last];
    let between = span.first.after.0..span.last.before.0;
    let step = if is_reverted {
        10
    } else {
        ((between.end.saturating_sub(between.start)) / BETWEEN).max(10)
    };
    let step = usize::try_from(step).unwrap();
    instants.extend(between.step_by(step).map(|at| Look {
        before: UnixMillis(at),
        after: UnixMillis(at),
    }));
    // A version is what it is when it comes into force.
    instants.sort_by_key(|look| look.before);
    instants
}
