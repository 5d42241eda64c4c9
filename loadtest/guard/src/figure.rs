//! What is guarded, made of what was counted.

use std::error::Error;
use std::fmt;

use serde::Serialize;

use crate::callgrind::Counts;

/// One guarded path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    /// Instructions of one call.
    pub(crate) instructions: u64,
}

/// A path: the function that takes it, and the bare operation whose instructions are not ours to save.
///
/// What is guarded is ours alone. A signature takes a hundred times as much as what stands around it: of the sum, a
/// twentieth would be everything of ours, many times over.
const GUARDED: [(&str, &str, Option<&str>); 8] = [
    ("seen token", "seen_token", None),
    (
        "first-seen token (ES256), beyond its signature",
        "first_seen_es256",
        Some("verify_es256"),
    ),
    (
        "first-seen token (EdDSA), beyond its signature",
        "first_seen_eddsa",
        Some("verify_eddsa"),
    ),
    (
        "mint (ES256), beyond its signature",
        "mint_es256",
        Some("sign_es256"),
    ),
    (
        "mint (EdDSA), beyond its signature",
        "mint_eddsa",
        Some("sign_eddsa"),
    ),
    ("drift update", "drift_update", None),
    ("token accumulator", "accumulator", None),
    ("scope check", "scope_check", None),
];

/// All of them.
pub(crate) fn all(counts: &Counts) -> Result<Vec<Figure>, Box<dyn Error>> {
    let figure = |(name, path, bare): (&'static str, &str, Option<&str>)| {
        let bare = bare.map_or(Ok(0.0), |bare| counted(counts, bare))?;
        let ours = (counted(counts, path)? - bare).max(0.0);
        Ok(Figure {
            name,
            instructions: ours.round() as u64,
        })
    };
    GUARDED.into_iter().map(figure).collect()
}

/// What is asked for as a share of the bare operation, as the reports of benchmarks have it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Target {
    id: &'static str,
    measured: f64,
    unit: &'static str,
    minimum: f64,
    maximum: f64,
    command: &'static str,
    #[serde(skip)]
    goal: f64,
}

/// What is to be reached: with the default algorithm, and with the other.
struct Asked {
    id: &'static str,
    goal: f64,
    default: (&'static str, &'static str),
    other: (&'static str, &'static str),
}

/// A first-seen token is its signature and three hundredths; a minted one its signature and eight.
const GOALS: [Asked; 2] = [
    Asked {
        id: "P3",
        goal: 103.0,
        default: ("first_seen_es256", "verify_es256"),
        other: ("first_seen_eddsa", "verify_eddsa"),
    },
    Asked {
        id: "P4",
        goal: 108.0,
        default: ("mint_es256", "sign_es256"),
        other: ("mint_eddsa", "sign_eddsa"),
    },
];

/// With the default algorithm, ES256; the range is over both.
pub(crate) fn targets(counts: &Counts) -> Result<Vec<Target>, Box<dyn Error>> {
    let mut targets = Vec::new();
    for asked in GOALS {
        let share = |(path, bare): (&str, &str)| -> Result<f64, Box<dyn Error>> {
            Ok(100.0 * counted(counts, path)? / counted(counts, bare)?)
        };
        let (measured, other) = (share(asked.default)?, share(asked.other)?);
        targets.push(Target {
            id: asked.id,
            measured,
            unit: "%",
            minimum: measured.min(other),
            maximum: measured.max(other),
            command: "lanyard-guard",
            goal: asked.goal,
        });
    }
    Ok(targets)
}

fn counted(counts: &Counts, path: &str) -> Result<f64, Box<dyn Error>> {
    let count = counts.get(path).copied();
    count.ok_or_else(|| format!("callgrind saw no call of `{path}`").into())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.measured <= self.goal {
            true => "reached",
            false => "MISSED",
        };
        write!(
            f,
            "{}: {:.2} % of the bare signature's instructions ({:.2} to {:.2} by algorithm), goal <= {} %: {word}",
            self.id, self.measured, self.minimum, self.maximum, self.goal
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guarded_is_what_comes_on_top_of_the_bare_operation() {
        let mut counts = Counts::new();
        for (_, path, bare) in GUARDED {
            counts.insert(path.to_owned(), 1_030.0);
            if let Some(bare) = bare {
                counts.insert(bare.to_owned(), 1_000.0);
            }
        }
        let figures = all(&counts).unwrap();
        assert_eq!(figures[0].instructions, 1_030);
        assert_eq!(figures[1].instructions, 30);
        let shares: Vec<f64> = targets(&counts)
            .unwrap()
            .iter()
            .map(|target| target.measured)
            .collect();
        assert_eq!(shares, [103.0, 103.0]);
        counts.remove("seen_token");
        assert!(all(&counts).is_err(), "a path that was not counted is told");
    }
}
