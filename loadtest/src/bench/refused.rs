//! What junk costs: texts that are no token of ours, each refused before any cryptography.

use std::error::Error;
use std::hint::black_box;

use lanyard_token::Algorithm;

use super::micro::COMMAND;
use super::seen::Subject;
use super::target::{Goal, Target};
use super::{Ratio, processor_time};

const CALLS_PER_ROUND: u32 = 20_000;

/// The dearest kind of junk, and each kind beside the check of a good token that was seen before.
pub(super) fn measure(rounds: usize) -> Result<(Vec<Ratio>, Option<Target>), Box<dyn Error>> {
    let subject = Subject::new(Algorithm::Es256, 1)?;
    let kinds = kinds(subject.text());
    let mut rounds_of: Vec<Vec<(f64, f64)>> = vec![Vec::new(); kinds.len()];
    let mut dearest = Vec::new();
    for _ in 0..rounds {
        let seen = subject.nanoseconds_each(CALLS_PER_ROUND, &mut super::seen::scattered(1))?;
        let mut most = 0.0_f64;
        for ((_, junk), pairs) in kinds.iter().zip(&mut rounds_of) {
            let begin = processor_time();
            for _ in 0..CALLS_PER_ROUND {
                if subject.allows(black_box(junk)) {
                    return Err("junk was let in".into());
                }
            }
            let each = (processor_time() - begin) / f64::from(CALLS_PER_ROUND);
            pairs.push((each, seen));
            most = most.max(each);
        }
        dearest.push(most);
    }
    let ratios = kinds.iter().zip(&rounds_of);
    let ratios = ratios.map(|((name, _), pairs)| Ratio::of((*name).to_owned(), pairs));
    let target = Target::of("P5", "ns", COMMAND, Goal::AtMost(150.0), dearest);
    Ok((ratios.collect(), target))
}

/// From the crudest to what is a token but for one character.
fn kinds(token: &str) -> Vec<(&'static str, String)> {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let (header, payload) = signed.split_once('.').unwrap_or((signed, ""));
    let (Some(most_of_header), Some(most_of_payload), Some(most_of_signature)) =
        (header.get(1..), payload.get(1..), signature.get(1..))
    else {
        return Vec::new();
    };
    vec![
        ("junk: a word, beside a seen token", "junk".to_owned()),
        (
            "junk: longer than any token, beside a seen token",
            "a".repeat(5_000),
        ),
        (
            "junk: letters without a full stop, beside a seen token",
            "a".repeat(token.len()),
        ),
        (
            "junk: a header that is none, beside a seen token",
            format!("x{most_of_header}.{payload}.{signature}"),
        ),
        (
            "junk: a signature that is none, beside a seen token",
            format!("{signed}.!{most_of_signature}"),
        ),
        (
            "junk: claims that are no text of ours, beside a seen token",
            format!("{header}.{most_of_payload}!.{signature}"),
        ),
    ]
}
