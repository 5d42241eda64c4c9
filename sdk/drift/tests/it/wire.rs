//! Serialised forms: what is written is read back, what is foreign is refused in words.

use lanyard_drift::{Baseline, Bounds, Thresholds, TokenReport, Verdict};

use crate::world::{Identity, order, stolen};

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
    let later = text.replacen("\"version\":2", "\"version\":3", 1);
    assert_ne!(text, later);
    let error = serde_json::from_str::<Baseline>(&later)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("written in version 3, this build reads version 2 only"),
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
