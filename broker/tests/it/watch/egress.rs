//! Days of habit at a third party, and then the same credential leaves it: statistics see that, though no hard rule is
//! broken, and egress refuses. Nothing is put in by hand: every call goes through egress over HTTP, egress reports by
//! itself, and what the broker makes of it comes back by the feed.

mod party;
mod running;
mod world;

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};

use self::running::Egress;
use self::world::{CREDENTIAL, Caller, World};

/// Enough for statistics to speak (a thousand calls), and for bounds to have closed in (sixty minutes).
const DAYS: u64 = 12;
/// Calls of one caller in one day.
const CALLS: u64 = 100;
/// Between two calls of a habit, in milliseconds: fifteen a minute.
const PAUSE: u64 = 4_000;
/// Between two calls of a thief: a hundred and fifty a minute, where two hundred objects would break a hard rule.
const HASTE: u64 = 400;
/// Calls after which a thief would have got away with it.
const FAR_TOO_MANY: u64 = 400;
/// From this weight on evidence is a witness: odds of 400 to 1.
const WITNESS: f64 = 6.0;

/// Method and path.
type Call = (&'static str, String);

/// The third party's operations that the integration names.
fn rules() -> Vec<Value> {
    let rule = |method: &str, template: &str, object: Option<&str>| {
        // `normal`: time that passes at once would make the feed look old, and `strict` rules be refused for that.
        json!({"method": method, "template": template, "class": "normal", "object": object})
    };
    vec![
        rule("GET", "/charges", None),
        rule("GET", "/charges/{id}", Some("id")),
        rule("POST", "/refunds", None),
        rule("GET", "/balance", None),
        rule("GET", "/customers/{id}", Some("id")),
        rule("GET", "/disputes", None),
        rule("GET", "/payouts", None),
    ]
}

/// Billing looks at the same dozen charges in no order, and refunds.
fn billing(n: u64) -> Call {
    match n % 5 {
        0 => ("GET", "/charges".to_owned()),
        4 => ("POST", "/refunds".to_owned()),
        _ => ("GET", format!("/charges/{}", 4_711 + n * 7 % 12 * 37)),
    }
}

/// The ledger balances its own.
fn ledger(n: u64) -> Call {
    match n % 3 {
        0 => ("GET", "/balance".to_owned()),
        _ => ("GET", format!("/charges/{}", 8_007 + n * 5 % 9 * 41)),
    }
}

/// What billing calls as well, but for one charge after the other that it never looked at. They are no neighbours: a run
/// of those would break a hard rule.
fn walk(n: u64) -> Call {
    ("GET", format!("/charges/{}", 90_000 + n * 7))
}

/// The same walk, and in between what billing never called.
fn search(n: u64) -> Call {
    match n % 16 {
        5 => ("GET", "/disputes".to_owned()),
        9 => ("GET", "/payouts".to_owned()),
        3 | 13 => ("GET", format!("/customers/{}", 60_000 + n * 7)),
        _ => walk(n),
    }
}

/// Whether only a thief asks for it.
fn is_stolen(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_new = last.parse().is_ok_and(|id: u64| id >= 60_000);
    is_new || ["disputes", "payouts"].contains(&last)
}

/// Two credentials of the same integration, by their tokens of the day.
struct Day<'a> {
    world: &'a World,
    egress: Egress,
    own: String,
    neighbour: String,
    /// Calls of the neighbour so far.
    calls: Cell<u64>,
}

impl<'a> Day<'a> {
    async fn begin(world: &'a World, [own, neighbour]: [&Caller; 2]) -> Self {
        Self {
            egress: world.morning().await,
            own: world.asks(own).await.unwrap(),
            neighbour: world.asks(neighbour).await.unwrap(),
            calls: Cell::new(0),
            world,
        }
    }

    /// Both do what they always do, and nobody is refused.
    async fn goes_as_always(&self, n: u64) {
        let own = self.egress.call(&self.own, billing(n));
        let (own, ()) = tokio::join!(own, self.neighbour_goes_on());
        assert_eq!(own, Ok(()), "call {n}");
    }

    async fn neighbour_goes_on(&self) {
        let n = self.calls.replace(self.calls.get() + 1);
        let call = self.egress.call(&self.neighbour, ledger(n)).await;
        assert_eq!(call, Ok(()), "the neighbour's call {n}");
    }

    /// Somebody calls in haste until egress refuses, while the neighbour goes on; how many calls were let through.
    async fn until_refused(&self, token: &str, calls: fn(u64) -> Call) -> u64 {
        for n in 0..FAR_TOO_MANY {
            if let Err((status, text)) = self.egress.call(token, calls(n)).await {
                assert_eq!(status, 401, "{text}");
                return n;
            }
            self.egress.pass(HASTE).await;
            if n % (PAUSE / HASTE) == 0 {
                self.neighbour_goes_on().await;
            }
        }
        panic!("{FAR_TOO_MANY} calls in haste, and nobody objected");
    }

    /// The same calls once more: none of them gets to the third party.
    async fn reaches_nobody(&self, token: &str, calls: fn(u64) -> Call) {
        // What was under way when the token ended is there by now, or never will be.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = self.world.party.calls(is_stolen);
        for n in 0..20 {
            let (status, text) = self.egress.call(token, calls(n)).await.unwrap_err();
            assert_eq!(status, 401, "{text}");
            self.egress.pass(HASTE).await;
        }
        assert_eq!(self.world.party.calls(is_stolen), before);
    }
}

/// What the witnesses of a verdict measured. A verdict with a hard rule is none of statistics.
fn witnesses(verdict: &Value) -> Vec<&str> {
    assert_eq!(verdict["verdict"]["hard_rule"], Value::Null, "{verdict:#}");
    let evidence = verdict["verdict"]["evidence"].as_array().unwrap().iter();
    let strong = evidence.filter(|found| found["weight"].as_f64() >= Some(WITNESS));
    strong
        .filter(|found| found["strength"] == "strong")
        .map(|found| found["measure"].as_str().unwrap())
        .collect()
}

/// Level, and what was done in the end.
fn outcome(verdict: &Value) -> (&str, &str) {
    let done = verdict["responses"].as_array().unwrap().last().unwrap();
    assert_eq!(done["enforced"], true);
    let level = verdict["verdict"]["level"].as_str().unwrap();
    (level, done["response"].as_str().unwrap())
}

/// Whether the sentence that people read names this operation.
fn speaks_of(verdict: &Value, operation: &str) -> bool {
    let sentence = verdict["sentence"].as_str().unwrap();
    sentence.contains(operation)
}

/// Day after day the same.
async fn habit(world: &World, callers: [&Caller; 2]) {
    for _ in 0..DAYS {
        let day = Day::begin(world, callers).await;
        for n in 0..CALLS {
            day.goes_as_always(n).await;
            world.clock.advance_millis(PAUSE);
        }
        day.egress.close().await;
        world.night().await;
    }
    for caller in callers {
        let learned = world.learned(caller).await;
        assert!(learned > 1_000, "{learned} calls learned");
        assert!(world.verdicts(caller).await.is_empty());
    }
}

/// Somebody has copied the token, and walks: what is called is nothing new, but how much of it. How many calls it took.
async fn with_the_token(day: &Day<'_>, own: &Caller) -> u64 {
    let walked = day.until_refused(&day.own, walk).await;
    assert!(walked < 200, "{walked}: no hard rule is broken by so many");
    day.reaches_nobody(&day.own, walk).await;
    let verdicts = day.world.verdicts(own).await;
    let [walking] = verdicts.as_slice() else {
        panic!("{verdicts:#?}");
    };
    assert_eq!(outcome(walking), ("anomalous", "recycle"), "{walking:#}");
    assert!(witnesses(walking).contains(&"distinct_objects"));
    assert!(speaks_of(walking, "`GET /stripe/charges/{id}`"));
    walked
}

/// Somebody has the key as well, and mints again and again, until two families of statistics have agreed often enough. The
/// calls of each token.
async fn with_the_key(day: &Day<'_>, own: &Caller) -> Vec<u64> {
    let (mut found, mut tokens) = (Vec::new(), Vec::new());
    let refused = loop {
        match day.world.asks(own).await {
            Ok(token) => {
                found.push(day.until_refused(&token, search).await);
                tokens.push(token);
            }
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused["error"], "invalid_client", "{refused}");
    for token in &tokens {
        day.reaches_nobody(token, search).await;
    }
    let verdicts = day.world.verdicts(own).await;
    let last = verdicts.last().unwrap();
    assert_eq!(outcome(last), ("malicious", "suspend"), "{last:#}");
    let agreeing = witnesses(last);
    for measure in ["new_operations", "distinct_objects"] {
        assert!(agreeing.contains(&measure), "{last:#}");
    }
    assert!(speaks_of(last, "`GET /stripe/charges/{id}`"));
    assert!(speaks_of(last, "`GET /stripe/customers/{id}`"));
    for verdict in &verdicts {
        // Hard rules have had no part in any of it.
        witnesses(verdict);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_leaves_its_habit_at_a_third_party_ends_by_statistics_and_another_goes_on()
 {
    let world = World::new(&rules()).await;
    let (own, other) = (world.caller("billing").await, world.caller("ledger").await);
    habit(&world, [&own, &other]).await;
    // The last morning begins like all others.
    let day = Day::begin(&world, [&own, &other]).await;
    for n in 0..20 {
        day.goes_as_always(n).await;
        day.egress.pass(PAUSE).await;
    }
    assert_eq!(world.party.calls(is_stolen), 0);

    let mut let_through = vec![with_the_token(&day, &own).await];
    let_through.extend(with_the_key(&day, &own).await);

    // Meanwhile, and now: the other credential.
    for _ in 0..20 {
        day.neighbour_goes_on().await;
        day.egress.pass(PAUSE).await;
    }
    let said = world.verdicts(&other).await;
    assert!(said.is_empty(), "{said:#?}");
    // The broker said all of that, and no gateway by itself.
    assert_eq!(day.egress.gateway().suspended_here(), 0);
    let stolen = world.party.calls(is_stolen);
    let found = usize::try_from(let_through.iter().sum::<u64>()).unwrap();
    // A call that is under way when its token ends may have got there, and its answer does not come back.
    let expected = found..=found + let_through.len();
    assert!(expected.contains(&stolen), "{stolen}, {let_through:?}");
    assert!(world.party.is_always_shown(&format!("Bearer {CREDENTIAL}")));
    day.egress.close().await;
}
