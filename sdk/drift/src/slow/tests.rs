use super::*;
use crate::bounds::Bounds;
use crate::event::{Event, Millis, Object, OperationId, Outcome, mix};
use crate::evidence::Strength;
use crate::thresholds::Thresholds;
use crate::tracker::Tracker;

/// One report of an hour: so many calls, on objects from here on, with answers of so many bytes.
fn hour(of: u64, calls: u64, first: u64, bytes: u64) -> TokenReport {
    let begin = Millis((1_000 + of) * HOUR + 1);
    let mut tracker = Tracker::new(begin, Bounds::cold(&Thresholds::default()));
    for n in 0..calls {
        let now = begin.plus(n * HOUR / calls.max(1));
        let event = Event {
            object: Some(Object {
                hash: mix(first + n),
                number: None,
            }),
            ..Event::of(OperationId::of("GET /a/{id}"))
        };
        tracker.observe(&event, now);
        let outcome = Outcome {
            status: Some(200),
            request_bytes: None,
            response_bytes: Some(bytes),
        };
        tracker.settle(&outcome, now);
    }
    tracker.report().unwrap_or_default()
}

/// Calls in an hour of an ordinary week: busy by day, half as busy on two days of seven, never the same twice.
fn usual(of: u64) -> u64 {
    let day = if of / 24 % 7 >= 5 { 1 } else { 2 };
    let by_day = if (8..20).contains(&(of % 24)) { 60 } else { 15 };
    let noise = 80 + mix(of) % 41;
    day * by_day * noise / 100
}

/// Usual hours from `from` to before `until`, times this.
fn live(slow: &mut Slow, hours: std::ops::Range<u64>, times: u64) {
    for of in hours {
        slow.note(&hour(of, usual(of) * times, of * 1_000, 2_000));
    }
}

fn found(slow: &Slow, measure: Measure) -> Option<Evidence> {
    slow.evidence().find(|found| found.measure == measure)
}

#[test]
fn it_fits_where_it_is_kept() {
    let size = std::mem::size_of::<Slow>();
    assert!(size <= 640, "{size} bytes");
}

#[test]
fn weeks_as_usual_say_nothing() {
    let mut slow = Slow::default();
    for of in 0..8 * WEEK {
        live(&mut slow, of..of + 1, 1);
        assert_eq!(slow.evidence().count(), 0, "in hour {of}");
    }
}

#[test]
fn twice_the_bytes_are_found_within_a_day() {
    let mut slow = Slow::default();
    live(&mut slow, 0..9 * 24, 1);
    let mut hours = 9 * 24;
    while found(&slow, Measure::BytesOverHours).is_none() {
        live(&mut slow, hours..hours + 1, 2);
        hours += 1;
        assert!(hours < 10 * 24, "{hours}");
    }
    let found = found(&slow, Measure::BytesOverHours).unwrap();
    assert!(found.observed > 1.5 * found.expected, "{found:?}");
    live(&mut slow, hours..hours + 24, 2);
    assert_eq!(
        slow.evidence().map(|found| found.strength).max(),
        Some(Strength::Strong)
    );
}

#[test]
fn strange_objects_beside_the_usual_ones_are_found() {
    let mut slow = Slow::default();
    for of in 0..9 * 24 {
        slow.note(&hour(of, 60, 0, 2_000));
    }
    let mut taken = 0;
    for of in 9 * 24.. {
        slow.note(&hour(of, 60, 0, 2_000));
        slow.note(&hour(of, 120, 1_000_000 + of * 1_000, 2_000));
        taken += 120;
        if found(&slow, Measure::ObjectsOverHours).is_some() {
            break;
        }
        assert!(taken < 1_500);
    }
}

#[test]
fn a_new_job_that_lasts_becomes_habit_after_some_days() {
    let mut slow = Slow::default();
    live(&mut slow, 0..2 * WEEK, 1);
    live(&mut slow, 2 * WEEK..4 * WEEK, 2);
    assert_eq!(slow.evidence().count(), 0);
}

/// Usual hours with a tenth more than this of noise between them, times so many percent.
fn noisy(slow: &mut Slow, hours: std::ops::Range<u64>, percent: u64) {
    for of in hours {
        // Hours differ by a factor of up to four; days hardly.
        let noise = 50 + mix(of ^ 77) % 151;
        let calls = usual(of) * noise * percent / 10_000;
        slow.note(&hour(of, calls, of * 1_000, 2_000));
    }
}

#[test]
fn what_is_below_the_slack_of_an_hour_is_told_by_its_days() {
    let mut slow = Slow::default();
    noisy(&mut slow, 0..5 * WEEK, 100);
    assert_eq!(slow.evidence().count(), 0);
    let mut days = 0;
    while found(&slow, Measure::BytesOverDays).is_none() {
        let begin = 5 * WEEK + days * DAY;
        noisy(&mut slow, begin..begin + DAY, 120);
        let hours = found(&slow, Measure::BytesOverHours);
        assert_eq!(hours, None, "day {days}");
        days += 1;
        assert!(days < 10);
    }
    assert!(days > 1, "one day is no evidence");
}

#[test]
fn noisy_hours_of_half_a_year_make_no_day_of_theft() {
    let mut slow = Slow::default();
    for day in 0..180 {
        noisy(&mut slow, day * DAY..(day + 1) * DAY, 100);
        assert_eq!(found(&slow, Measure::BytesOverDays), None, "day {day}");
        assert_eq!(found(&slow, Measure::ObjectsOverDays), None, "day {day}");
    }
}

#[test]
fn who_comes_back_from_a_month_away_is_no_thief() {
    let mut slow = Slow::default();
    noisy(&mut slow, 0..3 * WEEK, 100);
    noisy(&mut slow, 8 * WEEK..10 * WEEK, 100);
    assert_eq!(found(&slow, Measure::BytesOverDays), None);
}

#[test]
fn more_for_good_is_told_for_a_week_and_then_it_is_habit_by_days_too() {
    let mut slow = Slow::default();
    noisy(&mut slow, 0..4 * WEEK, 100);
    noisy(&mut slow, 4 * WEEK..5 * WEEK, 150);
    assert!(found(&slow, Measure::BytesOverDays).is_some());
    noisy(&mut slow, 5 * WEEK..8 * WEEK, 150);
    assert_eq!(found(&slow, Measure::BytesOverDays), None);
}

#[test]
fn hours_written_before_there_were_days_are_read() {
    let mut slow = Slow::default();
    live(&mut slow, 0..20, 1);
    let mut written = serde_json::to_value(&slow).unwrap();
    written.as_object_mut().unwrap().remove("days");
    let read: Slow = serde_json::from_value(written).unwrap();
    assert_eq!((read.seen, read.days), (slow.seen, Days::default()));
}

#[test]
fn one_busy_night_is_no_theft() {
    let mut slow = Slow::default();
    live(&mut slow, 0..2 * WEEK, 1);
    live(&mut slow, 2 * WEEK..2 * WEEK + 2, 20);
    assert_eq!(slow.evidence().count(), 0);
}

#[test]
fn absent_bytes_and_the_first_week_are_no_evidence() {
    let mut slow = Slow::default();
    live(&mut slow, 0..WEEK - 1, 1);
    slow.note(&hour(WEEK - 1, 100_000, 0, 1_000_000));
    assert_eq!(slow.evidence().count(), 0);
    let mut blind = Slow::default();
    for of in 0..2 * WEEK {
        let mut tracker = Tracker::new(Millis(of * HOUR), Bounds::cold(&Thresholds::default()));
        tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(of * HOUR));
        blind.note(&tracker.report().unwrap());
    }
    assert_eq!(blind.evidence().count(), 0);
    assert_eq!(blind.bytes, Track::new(&HOURS));
    assert_eq!(blind.days, Days::default());
}

#[test]
fn time_that_jumps_neither_panics_nor_wedges() {
    let mut slow = Slow::default();
    live(&mut slow, 0..WEEK, 1);
    let at = |millis| {
        let mut tracker = Tracker::new(Millis(millis), Bounds::cold(&Thresholds::default()));
        tracker.observe(&Event::of(OperationId::of("GET /a")), Millis(millis));
        tracker.report().unwrap()
    };
    slow.note(&at(u64::MAX));
    slow.note(&at(0));
    slow.note(&hour(WEEK, 10, 0, u64::MAX));
    slow.note(&hour(WEEK + 1, 10, 0, u64::MAX));
    assert!(slow.evidence().all(|found| found.weight.is_finite()));
}

#[test]
fn it_is_read_back_as_it_was_written_and_a_damaged_week_is_refused() {
    let mut slow = Slow::default();
    live(&mut slow, 0..9 * 24, 1);
    let text = serde_json::to_string(&slow).unwrap();
    assert_eq!(serde_json::from_str::<Slow>(&text).unwrap(), slow);
    let week = text.find("\"week\":\"").unwrap() + 8;
    let mut damaged = text.clone();
    damaged.replace_range(week..week + 2, "zz");
    assert!(serde_json::from_str::<Slow>(&damaged).is_err());
}

#[test]
fn hours_that_were_never_written_are_refused_in_words() {
    let slow = Slow {
        hour: 7,
        seen: 3,
        ..Slow::default()
    };
    let text = serde_json::to_string(&slow).unwrap();
    let read = |text: &str| {
        let mut reader = serde_json::Deserializer::from_str(text);
        Slow::read(&mut reader).map_err(|error| error.to_string())
    };
    assert_eq!(read(&text), Ok(slow));
    // The first of them is of the hours.
    for sum in ["-1", "9223372036854775807", "-9223372036854775808"] {
        let wrong = text.replacen("\"sum\":0", &format!("\"sum\":{sum}"), 1);
        assert!(read(&wrong).unwrap_err().contains("no hours come to"));
    }
    let wrong = text.replacen("\"hour\":7", "\"hour\":0", 1);
    assert!(read(&wrong).unwrap_err().contains("never began"));
}
