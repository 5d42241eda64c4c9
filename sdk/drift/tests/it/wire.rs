//! Serialised forms: what is written is read back, what is foreign is refused in words.

use lanyard_drift::{
    Baseline, Bounds, HardRule, Level, Millis, Thresholds, TokenReport, Unreadable, Verdict, judge,
};

use crate::world::{Identity, op, order, stolen};

#[test]
fn baselines_bounds_and_verdicts_survive_the_wire() {
    let mut identity = Identity::with_history(1_500);
    let text = serde_json::to_string(&identity.baseline).unwrap();
    assert_eq!(
        serde_json::from_str::<Baseline>(&text).unwrap(),
        identity.baseline
    );

    let bounds = identity.baseline.bounds(&identity.thresholds);
    let text = serde_json::to_string(&bounds).unwrap();
    assert_eq!(serde_json::from_str::<Bounds>(&text).unwrap(), bounds);

    for id in 1..=40 {
        identity.call(&stolen(order(id)), 50);
    }
    let (_, verdict) = identity.judged();
    let text = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
}

#[test]
fn equal_histories_are_equal_bytes() {
    let text = || serde_json::to_string(&Identity::with_history(2_000).baseline).unwrap();
    assert_eq!(text(), text());
}

#[test]
fn another_version_is_refused_in_words() {
    let text = serde_json::to_string(&Baseline::empty()).unwrap();
    let later = text.replacen("\"version\":3", "\"version\":4", 1);
    assert_ne!(text, later);
    let error = serde_json::from_str::<Baseline>(&later)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("written in version 4, this build reads version 3 only"),
        "{error}"
    );
    let text = serde_json::to_string(&TokenReport::empty()).unwrap();
    let later = text.replacen("\"version\":1", "\"version\":9", 1);
    assert!(serde_json::from_str::<TokenReport>(&later).is_err());
}

#[test]
fn a_report_cut_anywhere_is_an_error_and_nothing_else() {
    let mut identity = Identity::new();
    for _ in 0..200 {
        identity.usual_call();
    }
    let (report, _) = identity.judged();
    let text = serde_json::to_string(&report).unwrap();
    for end in 0..text.len() {
        assert!(serde_json::from_str::<TokenReport>(text.get(..end).unwrap()).is_err());
    }
}

#[test]
fn thresholds_may_be_set_one_by_one_and_a_misspelt_one_is_refused() {
    let some: Thresholds = serde_json::from_str(r#"{"run_floor": 50}"#).unwrap();
    assert_eq!(
        some,
        Thresholds {
            run_floor: 50,
            ..Thresholds::default()
        }
    );
    assert!(serde_json::from_str::<Thresholds>(r#"{"run_flor": 50}"#).is_err());
}

#[test]
fn a_compact_report_cut_anywhere_or_followed_by_anything_is_an_error_and_nothing_else() {
    let mut identity = Identity::new();
    for _ in 0..60 {
        identity.usual_call();
    }
    let mut bytes = identity.judged().0.to_bytes();
    assert!(TokenReport::from_bytes(&bytes).is_ok());
    for end in 0..bytes.len() {
        assert!(TokenReport::from_bytes(&bytes[..end]).is_err(), "{end}");
    }
    bytes.push(0);
    assert_eq!(TokenReport::from_bytes(&bytes), Err(Unreadable::Trailing));
}

#[test]
fn a_compact_report_of_another_version_is_refused_in_words() {
    let mut bytes = TokenReport::empty().to_bytes();
    bytes[0] = 9;
    let error = TokenReport::from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("written in version 9"), "{error}");
}

#[test]
fn a_report_of_an_ordinary_minute_takes_a_tenth_of_its_json() {
    let mut identity = Identity::with_history(1_500);
    for _ in 0..8 {
        identity.usual_call();
    }
    let report = identity.judged().0;
    let (compact, text) = (report.to_bytes(), serde_json::to_vec(&report).unwrap());
    assert!(compact.len() < 200, "{}", compact.len());
    assert!(
        compact.len() * 10 < text.len(),
        "{} of {}",
        compact.len(),
        text.len()
    );
}

#[test]
fn counts_that_do_not_add_up_are_refused_whatever_form_they_come_in() {
    let mut identity = Identity::new();
    for _ in 0..20 {
        identity.usual_call();
    }
    let sound = serde_json::to_value(identity.judged().0).unwrap();
    let read = |written: &serde_json::Value| {
        serde_json::from_value::<TokenReport>(written.clone()).unwrap()
    };
    assert_eq!(read(&sound).adds_up(), Ok(()));
    let made_up: [(&str, serde_json::Value); 6] = [
        ("/calls", 21.into()),
        ("/origins/1", 5.into()),
        ("/sequence/transitions/1", 400.into()),
        ("/task_violations", 1.into()),
        ("/pauses/classes/3", 300.into()),
        ("/objects/1", 30.into()),
    ];
    for (place, value) in made_up {
        let mut written = sound.clone();
        *written.pointer_mut(place).unwrap() = value;
        let report = read(&written);
        let refusal = report.adds_up().unwrap_err();
        assert_eq!(
            TokenReport::from_bytes(&report.to_bytes()),
            Err(refusal),
            "{place}"
        );
    }
}

#[test]
fn an_alarm_and_a_broken_rule_survive_the_compact_form() {
    let mut identity = Identity::new();
    for id in 1..=600 {
        identity.call(&order(id), 10);
    }
    let _ = identity.tracker.alarm(31.4);
    let report = identity.tracker.report().unwrap();
    assert!(report.hard_rule().is_some() && report.alarm() == Some(31.0));
    assert_eq!(TokenReport::from_bytes(&report.to_bytes()), Ok(report));
}

#[test]
fn a_suspicion_of_calls_that_were_told_before_survives_the_compact_form_and_is_judged() {
    let rule = HardRule::EnumerationRun {
        observed: 31,
        bound: 30,
        operation: op("GET /orders/{id}"),
    };
    let thresholds = Thresholds::default();
    let judged = |report: &TokenReport| {
        let bytes = report.to_bytes();
        let read = TokenReport::from_bytes(&bytes).unwrap();
        assert_eq!(&read, report);
        judge(&read, &Baseline::empty(), None, &thresholds, Millis(7)).level
    };
    let walked = TokenReport::suspected(Some(rule), None);
    assert_eq!(judged(&walked), Level::Malicious);
    let sudden = TokenReport::suspected(None, Some(thresholds.sudden.notable));
    assert_eq!(judged(&sudden), Level::Anomalous);
}
