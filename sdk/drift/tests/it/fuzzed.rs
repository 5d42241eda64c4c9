//! The fuzzer's targets without the fuzzer: mutated reports and baselines, in every run of the tests.

use std::cell::Cell;

use proptest::prelude::*;

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "the file of another crate, where it is")]
mod targets;

use crate::world::Dice;

/// Mutated inputs per target. The fuzzer tries as many in a second.
const INPUTS: u32 = 1_500;
/// Share of them that must be readable, or nothing behind the reading would be tried. Of reports a fifth is,
/// one in a hundred more or less from run to run; half of that is no chance.
const READABLE: f64 = 0.1;

/// The same of compact reports, which are read more strictly.
const READABLE_BITS: f64 = 0.02;

/// Numbers at the edges of what their places hold, and some that are none.
const EDGES: [&str; 14] = [
    "0",
    "1",
    "2",
    "255",
    "4095",
    "65535",
    "65536",
    "2147483647",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "-1",
    "-9223372036854775808",
    "1e999",
];

/// Bytes that mean something in JSON, and two that mean nothing anywhere.
const SYMBOLS: &[u8] = b"0123456789[]{},:\"-.eNn\x00\xff";

/// A few changes at random places: numbers to others at an edge, bytes to others, pieces lost or doubled.
fn mutated(sample: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = sample.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len().max(1) as u64) as usize;
        match dice.below(8) {
            0..4 => at_an_edge(&mut bytes, at, &mut dice),
            4..6 => another_digit(&mut bytes, at, &mut dice),
            6 => {
                let symbol = SYMBOLS[dice.below(SYMBOLS.len() as u64) as usize];
                bytes.splice(at..(at + 1).min(bytes.len()), [symbol]);
            }
            _ => {
                let end = (at + dice.below(40) as usize).min(bytes.len());
                let piece = if dice.below(2) == 0 {
                    Vec::new()
                } else {
                    bytes[at..end].repeat(2)
                };
                bytes.splice(at..end, piece);
            }
        }
    }
    bytes
}

/// The next digit after a place becomes another one: so sketches stay as long as they must be.
fn another_digit(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    let digit = bytes[at..].iter_mut().find(|byte| byte.is_ascii_digit());
    if let Some(digit) = digit {
        *digit = b'1' + dice.below(9) as u8;
    }
}

/// The next number after a place becomes another one.
fn at_an_edge(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let Some(start) = (at..bytes.len()).find(|place| bytes[*place].is_ascii_digit()) else {
        return;
    };
    let digits = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = start + digits.count();
    let edge = EDGES[dice.below(EDGES.len() as u64) as usize];
    bytes.splice(start..end, edge.bytes());
}

/// One to three bits turned over, and now and then a piece lost, doubled or cut off.
fn with_bits_turned(sample: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut bytes = sample.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len().max(1) as u64) as usize;
        match dice.below(16) {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + dice.below(8) as usize).min(bytes.len());
                bytes.splice(at..end, bytes[at..end].repeat(2 * dice.below(2) as usize));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
    bytes
}

/// How many of the mutated inputs could be read.
fn readable(sample: &[u8], target: fn(&[u8]) -> bool) -> f64 {
    share_of(|seed| target(&mutated(sample, seed)))
}

/// The same of those that are written in bits.
fn flipped(sample: &[u8], target: fn(&[u8]) -> bool) -> f64 {
    share_of(|seed| target(&with_bits_turned(sample, seed)))
}

fn share_of(is_readable: impl Fn(u64) -> bool) -> f64 {
    let readable = Cell::new(0);
    proptest!(ProptestConfig::with_cases(INPUTS), |(seed in any::<u64>())| {
        readable.set(readable.get() + u32::from(is_readable(seed)));
    });
    f64::from(readable.get()) / f64::from(INPUTS)
}

#[test]
fn whatever_a_report_is_made_of_it_is_refused_or_judged_and_written_back_the_same() {
    let sample = targets::sample_report().to_bytes();
    assert!(targets::report(&sample));
    let share = flipped(&sample, targets::report);
    assert!(share > READABLE_BITS, "{share} could be read");
}

#[test]
fn whatever_an_earlier_report_is_made_of_it_is_refused_or_judged_and_written_back_the_same() {
    let sample = serde_json::to_vec(targets::sample_report()).unwrap();
    assert!(targets::earlier_report(&sample));
    let share = readable(&sample, targets::earlier_report);
    assert!(share > READABLE, "{share} could be read");
}

#[test]
fn whatever_a_parcel_is_made_of_it_is_refused_or_packed_again_the_same() {
    let sample = targets::sample_parcel();
    assert!(targets::parcel(&sample));
    let share = flipped(&sample, targets::parcel);
    assert!(share > READABLE_BITS, "{share} could be read");
}

#[test]
fn whatever_a_baseline_is_made_of_it_is_refused_or_used_and_written_back_the_same() {
    let sample = serde_json::to_vec(targets::sample_baseline()).unwrap();
    assert!(targets::baseline(&sample));
    let share = readable(&sample, targets::baseline);
    assert!(share > READABLE, "{share} could be read");
}

#[test]
fn the_samples_have_every_channel_so_that_every_channel_is_mutated() {
    let (report, baseline) = (targets::sample_report(), targets::sample_baseline());
    let written = serde_json::to_value(report).unwrap();
    for channel in ["objects", "origins", "destinations"] {
        assert_ne!(written[channel][0], serde_json::json!([]), "{channel}");
    }
    assert!(report.bytes().is_some() && report.responses().total() > 0);
    assert!(baseline.has_anchor() && baseline.calls() > 5_000);
    let written = serde_json::to_value(baseline).unwrap();
    assert!(written["slow"]["seen"].as_u64().unwrap() > 168);
}
