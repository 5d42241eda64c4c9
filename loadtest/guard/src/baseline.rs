//! What somebody agreed to, by compiler: another one makes other instructions of the same text.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// How much more is a growth. Counts of one program differ by thousandths between two runs and between processors, so
/// this is no noise; and less than this nobody would notice.
const TOLERANCE: f64 = 0.05;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// `rustc 1.95.0 (…)`.
    compiler: String,
    /// Instructions by path.
    instructions: BTreeMap<String, u64>,
}

/// What comes of comparing.
#[derive(Debug)]
pub(crate) enum Judgement {
    Compared(Vec<Row>),
    OtherCompiler { agreed: String, here: String },
}

/// A path beside what was agreed to; nothing was when it is new.
#[derive(Debug)]
pub(crate) struct Row {
    name: &'static str,
    instructions: u64,
    agreed: Option<u64>,
}

/// The compiler, as it calls itself.
pub(crate) fn compiler() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Baseline {
    pub(crate) fn agreed(compiler: &str, figures: &[Figure]) -> Self {
        Self {
            compiler: compiler.to_owned(),
            instructions: figures
                .iter()
                .map(|figure| (figure.name.to_owned(), figure.instructions))
                .collect(),
        }
    }

    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        Ok(toml::from_str(&text)?)
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let head = "# Instructions of one call, as valgrind's callgrind counts them in a release build. A path that takes\n\
                    # a twentieth more fails. `lanyard-guard --update` writes this file; say in the commit why.\n";
        std::fs::write(file, format!("{head}{}", toml::to_string(self)?))?;
        Ok(())
    }

    pub(crate) fn judge(&self, compiler: &str, figures: &[Figure]) -> Judgement {
        if self.compiler != compiler {
            return Judgement::OtherCompiler {
                agreed: self.compiler.clone(),
                here: compiler.to_owned(),
            };
        }
        let row = |figure: &Figure| Row {
            name: figure.name,
            instructions: figure.instructions,
            agreed: self.instructions.get(figure.name).copied(),
        };
        Judgement::Compared(figures.iter().map(row).collect())
    }
}

impl Row {
    /// Grown, or not agreed to yet.
    pub(crate) fn has_grown(&self) -> bool {
        // In whole numbers: 1,050 of 1,000 is a twentieth more, and no hair beyond.
        self.agreed.is_none_or(|agreed| {
            self.instructions.saturating_mul(20) > agreed.max(1).saturating_mul(21)
        })
    }

    fn growth(&self) -> Option<f64> {
        let agreed = self.agreed? as f64;
        Some(self.instructions as f64 / agreed.max(1.0) - 1.0)
    }
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = match self {
            Self::Compared(rows) => rows,
            Self::OtherCompiler { agreed, here } => {
                return write!(
                    f,
                    "the counts were agreed to with `{agreed}`, and this is `{here}`: nothing can be compared; look at \
                     the figures, and agree to them with --update"
                );
            }
        };
        write!(
            f,
            "{:<50} {:>12} {:>12} {:>9}",
            "instructions of one call", "now", "agreed", ""
        )?;
        for row in rows {
            let agreed = row.agreed.map_or("-".to_owned(), |count| count.to_string());
            let growth = row
                .growth()
                .map_or(String::new(), |growth| format!("{:+.1} %", 100.0 * growth));
            let word = match (row.agreed, row.growth()) {
                (None, _) => " NEW: agree to it with --update",
                _ if row.has_grown() => " GROWN by more than a twentieth",
                (_, Some(growth)) if growth < -TOLERANCE => " less: agree to it with --update",
                _ => "",
            };
            write!(
                f,
                "\n{:<50} {:>12} {agreed:>12} {growth:>9}{word}",
                row.name, row.instructions
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "rustc 1.0.0";

    fn figures(instructions: u64) -> Vec<Figure> {
        vec![Figure {
            name: "seen token",
            instructions,
        }]
    }

    fn grown(agreed: u64, now: u64) -> bool {
        match Baseline::agreed(HERE, &figures(agreed)).judge(HERE, &figures(now)) {
            Judgement::Compared(rows) => rows[0].has_grown(),
            other @ Judgement::OtherCompiler { .. } => panic!("{other}"),
        }
    }

    #[test]
    fn a_twentieth_more_is_borne_and_anything_above_is_a_growth() {
        assert!(!grown(1_000, 1_050));
        assert!(grown(1_000, 1_051));
        assert!(!grown(1_000, 10), "less is no growth");
    }

    #[test]
    fn a_path_nobody_agreed_to_fails_until_somebody_does() {
        let empty = Baseline::agreed(HERE, &[]);
        let Judgement::Compared(rows) = empty.judge(HERE, &figures(1)) else {
            panic!("the compiler is the same");
        };
        assert!(rows[0].has_grown());
    }

    #[test]
    fn what_was_agreed_with_another_compiler_is_not_compared() {
        let agreed = Baseline::agreed("rustc 0.9.0", &figures(1));
        let judgement = agreed.judge(HERE, &figures(1_000));
        assert!(matches!(judgement, Judgement::OtherCompiler { .. }));
    }

    #[test]
    fn the_file_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instructions.toml");
        Baseline::agreed(HERE, &figures(7)).write(&file).unwrap();
        let read = Baseline::read(&file).unwrap();
        assert_eq!(read.compiler, HERE);
        assert_eq!(read.instructions["seen token"], 7);
    }
}
