//! Portraits by name, and what the fast detector makes of them.

use lanyard_drift::{Compact, Role};
use serde::Serialize;

use super::*;
use crate::gateway::portrait::Name;

/// Who has called an order a thousand times, and as often an export if that is so.
fn baseline(exports: bool) -> Baseline {
    let thresholds = Thresholds::default();
    let orders = OperationId::of("https://orders.example GET /orders/{id}");
    let export = OperationId::of("https://orders.example GET /export");
    let mut baseline = Baseline::default();
    let mut tracker = Tracker::new(Millis(0), baseline.bounds(&thresholds));
    for call in 0..1_000_u64 {
        tracker.observe(&Event::of(orders), Millis(call * 1_000));
        if exports {
            tracker.observe(&Event::of(export), Millis(call * 1_000));
        }
    }
    let learned = baseline.absorb_cleared(&tracker.report().unwrap());
    assert_eq!(learned, Absorption::Learned);
    baseline
}

fn compact() -> Compact {
    baseline(false).compact(&Thresholds::default()).unwrap()
}

impl World {
    /// Puts something where its name says; the name.
    fn put(&self, content: &impl Serialize) -> String {
        let bytes = serde_json::to_vec(content).unwrap();
        let name = Name::of(&bytes).as_str().to_owned();
        let mut written = self.broker.written.lock().unwrap();
        written.insert(name.clone(), bytes);
        name
    }

    /// The broker knows the identity, whose peers export.
    fn known(&self, enforced: bool) -> Value {
        *self.broker.bounds.lock().unwrap() = Some(habits());
        let role = Role::of([&baseline(true)]).unwrap();
        let names = serde_json::json!({
            "baseline": self.put(&compact()),
            "role": self.put(role.others()),
            "enforced": enforced,
        });
        *self.broker.portrait.lock().unwrap() = Some(names.clone());
        names
    }

    /// Calls as a peer makes them, until an alarm is raised; how many it took.
    fn export(&self, jti: u64, millis: u64) -> usize {
        let calls = (0..300_u64).take_while(|n| {
            let path = ["/export", "/orders/7"][*n as usize % 2];
            self.call(jti, path, millis + n * 100);
            self.gateway.sudden_alarms() == 0
        });
        calls.count()
    }

    fn portrait(&self) -> Option<std::sync::Arc<crate::gateway::portrait::Portrait>> {
        let identity = self.issuer.claims.lin.identity();
        self.gateway.0.portraits.of(identity)
    }

    /// Asks about the identity once more.
    async fn ask_again(&self, reporter: &Reporter) {
        let identity = self.issuer.claims.lin.identity();
        reporter.baselines.want_again(identity);
        let asked = reporter
            .baselines
            .fetch(1, &self.gateway.0, &reporter.tokens);
        assert_eq!(asked.await, 1);
    }
}

#[tokio::test]
async fn who_suddenly_calls_like_somebody_else_is_reported_at_once_and_asked_about_again() {
    let (world, mut reporter) = world().await;
    world.known(true);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(false);
    world.ask_again(&reporter).await;
    let portrait = world.portrait().unwrap();
    assert!(portrait.enforced && portrait.others.is_some());
    for n in 1..500_u64 {
        let order = format!("/orders/{}", n % 50 * 7_919);
        assert!(world.call(9, &order, n * 100));
    }
    assert_eq!(world.gateway.sudden_alarms(), 0, "the owner as ever");
    world.gateway.0.link.take_urgent();
    reporter.collect(true);
    reporter.deliver().await;

    let calls = world.export(9, 60_000);
    assert!((20..100).contains(&calls), "{calls}");
    let urgent = world.gateway.0.link.take_urgent();
    assert_eq!(urgent.len(), 1, "does not wait for the minute");
    let Reporter {
        gateway,
        early,
        baselines,
        tokens,
        counters,
        ..
    } = &mut reporter;
    early.gather(&urgent, gateway, baselines);
    early.deliver(gateway, tokens, counters).await;
    let told = world.broker.reports().pop().unwrap();
    let report = serde_json::from_value(told["entries"][0]["report"].clone());
    let report: lanyard_drift::TokenReport = report.unwrap();
    assert!(report.alarm() >= Some(portrait.baseline.alarm()));
    assert_eq!(baselines.fetch(1, &gateway.0, tokens).await, 1);
}

#[tokio::test]
async fn what_is_not_what_its_name_says_or_of_another_version_is_refused_and_the_last_good_one_stays()
 {
    let (world, mut reporter) = world().await;
    let good = world.known(true);
    assert!(world.call(9, "/orders/1", 0));
    reporter.collect(false);
    world.ask_again(&reporter).await;
    let first = world.portrait().unwrap();

    let mut other = serde_json::to_value(compact()).unwrap();
    let version = std::mem::replace(&mut other["version"], 99.into());
    let of_another_version = world.put(&other);
    other["version"] = version;
    other["calls"] = 4_711.into();
    let changed = world.put(&other);
    world
        .broker
        .written
        .lock()
        .unwrap()
        .get_mut(&changed)
        .unwrap()[20] ^= 1;
    let missing = "0".repeat(64);
    for bad in [&of_another_version, &changed, &missing, "../reports"] {
        let names = serde_json::json!({ "baseline": bad, "role": good["role"] });
        *world.broker.portrait.lock().unwrap() = Some(names);
        world.ask_again(&reporter).await;
        let kept = world.portrait().unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &kept), "{bad}");
    }
    let names = serde_json::json!({ "baseline": good["baseline"], "role": of_another_version });
    *world.broker.portrait.lock().unwrap() = Some(names);
    world.ask_again(&reporter).await;
    assert!(std::sync::Arc::ptr_eq(&first, &world.portrait().unwrap()));

    // A role that is here is not fetched again.
    other["calls"] = 2_000.into();
    let names = serde_json::json!({ "baseline": world.put(&other), "role": good["role"] });
    *world.broker.portrait.lock().unwrap() = Some(names);
    let role = good["role"].as_str().unwrap();
    world.broker.written.lock().unwrap().remove(role);
    world.ask_again(&reporter).await;
    assert_eq!(world.portrait().unwrap().baseline.calls(), 2_000);

    *world.broker.portrait.lock().unwrap() = None;
    world.ask_again(&reporter).await;
    assert!(world.portrait().is_none(), "the broker has forgotten it");
}

#[tokio::test]
async fn a_gateway_that_hears_no_broker_suspends_by_its_own_alarm_where_statistics_act() {
    for enforced in [true, false] {
        let (world, mut reporter) = world_with(true).await;
        world.known(enforced);
        assert!(world.call(9, "/orders/1", 0));
        reporter.collect(false);
        world.ask_again(&reporter).await;
        let calls = world.export(9, 1_000);
        assert!(calls < 100, "{calls}");
        assert_eq!(world.gateway.suspended_here(), usize::from(enforced));
        assert_eq!(world.call(9, "/orders/1", 40_000), !enforced);
        assert!(world.call(10, "/orders/1", 40_000), "another token");

        // Nobody is told before somebody is heard.
        reporter.deliver().await;
        reporter.collect(true);
        reporter.deliver().await;
        assert_eq!(
            world.gateway.0.cut_off.untold().len(),
            usize::from(enforced)
        );
        let token = NodeId::from_u64(9);
        world.gateway.0.link.view.release(token);
        assert!(world.call(9, "/orders/1", 40_100), "lifted");
    }
}

#[tokio::test]
async fn what_is_suspended_here_is_told_by_itself_and_lifted_by_what_the_broker_made_of_it() {
    let (world, mut reporter) = world_with(true).await;
    assert!(world.call(9, "/orders/1", 0));
    let walked = (0..2_000_u64)
        .take_while(|n| world.call(9, &format!("/orders/{}", 100 + n), n * 20))
        .count();
    assert!(walked < 2_000, "the bound held");
    assert_eq!(world.gateway.suspended_here(), 1);
    let walks = |jti: u64| {
        (0..600_u64)
            .take_while(|n| world.call(jti, &format!("/orders/{}", 100 + n), 50_000 + n * 20))
            .count()
    };
    for jti in 10..13 {
        walks(jti);
    }
    assert_eq!(world.gateway.suspended_here(), 3, "no more than three");
    assert!(world.gateway.suspensions_capped() > 0);
    assert!(
        world.call(12, "/export", 70_000),
        "only its walk is refused"
    );
    assert!(!world.call(12, "/orders/5", 70_000));

    // As a restarted gateway would, that never saw the calls.
    let told = world.gateway.0.cut_off.untold();
    let (suspension, report) = told
        .into_iter()
        .find(|(one, _)| one.token.as_u64() == 9)
        .unwrap();
    let regular = &mut reporter.regular;
    regular.outbox.suspect(&suspension, report);
    let receipt = serde_json::json!({ "accepted": 1, "rev": 4_711 });
    *world.broker.receipt.lock().unwrap() = Some(receipt);
    reporter.deliver().await;
    let sent = world.broker.reports().pop().unwrap();
    let entry = &sent["entries"][0];
    assert_eq!(entry["token"], "0000000000000009");
    let report: lanyard_drift::TokenReport =
        serde_json::from_value(entry["report"].clone()).unwrap();
    assert!(report.hard_rule().is_some() && report.calls() == 0);
    let cut_off = &world.gateway.0.cut_off;
    let rev = |n| Some(lanyard_token::Rev::from_u64(n).unwrap());
    assert_eq!(cut_off.take_settled(UnixMillis(0), rev(4_710)).len(), 0);
    assert_eq!(cut_off.take_settled(UnixMillis(0), rev(4_711)).len(), 1);
}
