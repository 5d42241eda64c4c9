//! How well drift is recognised, on recorded behaviour whose outcome is known: `lanyard-loadtest drift-eval`.
//!
//! ```text
//! --population ─► whatever is learned, and the one threshold
//! --data       ─► read once, in order, online ─► scores ─► figures ◄─ labels
//! ```
//! The engine receives calls. What is known about them (`Labels`, `Outcome`) lives in types that the files which
//! drive the engine do not name. When both folders are the same one it is split: half of the identities tune and the
//! other half reports, then the other way round.

mod agents;
mod dice;
mod folder;
mod metrics;
mod people;
mod plot;
mod report;
mod schonlau;
mod state;
mod subject;
mod tally;
mod trails;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use agents::{Dictionary, DictionaryError, Sessions};
use folder::Folder;
use people::People;
use report::Report;
use tally::Tally;

/// `lanyard-loadtest drift-eval`.
#[derive(Debug, clap::Args)]
pub struct DriftEvalArgs {
    /// The folder of recordings that is learned from; its labels choose one threshold.
    #[arg(long, value_name = "DIR")]
    population: PathBuf,
    /// The folder of recordings that is reported on; its labels are for scoring.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Writes the figures as JSON; `-` is standard output, in place of the table.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draws hits over false alarms, beside published figures.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Identities in memory while the engine's speed is measured.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    identities: usize,
}

/// Measures, and prints a table.
pub fn run(args: &DriftEvalArgs) -> Result<(), Box<dyn Error>> {
    let population = Folder::open(&args.population)?;
    let data = Folder::open(&args.data)?;
    let tally = Tally::of()?;
    let masquerades = schonlau(&population, &data, &tally)?;
    let report = Report {
        schonlau: report::Schonlau::of(&masquerades),
        agentdojo: agentdojo(&population, &data, &tally)?.map(|found| report::Agents::of(&found)),
        cloudtrail: trails::cloud(&population, &data)?,
        web: trails::web(&population, &data)?,
        state: state::measure(args.identities, &tally),
    };
    tally.done();
    write(&report, args.json.as_deref())?;
    if let Some(file) = &args.svg {
        let names: &[&str] = match masquerades.len() {
            1 => &["Lanyard"],
            _ => &["Lanyard, a to b", "Lanyard, b to a"],
        };
        let rocs = masquerades.iter().map(|found| &found.roc);
        let curves: Vec<_> = names.iter().copied().zip(rocs).collect();
        plot::write(file, &curves)?;
    }
    Ok(())
}

fn schonlau(
    population: &Folder,
    data: &Folder,
    tally: &Tally,
) -> Result<Vec<schonlau::Found>, Box<dyn Error>> {
    let Some(reported) = data.read(folder::SCHONLAU)? else {
        return Ok(Vec::new());
    };
    let reported = People::of(&reported);
    if population.is(data) {
        let (a, b) = reported.halves();
        return Ok(vec![
            schonlau::evaluate(&a, &b, tally),
            schonlau::evaluate(&b, &a, tally),
        ]);
    }
    let Some(learned) = population.read(folder::SCHONLAU)? else {
        return Ok(Vec::new());
    };
    let found = schonlau::evaluate(&People::of(&learned), &reported, tally);
    Ok(vec![found])
}

fn agentdojo(
    population: &Folder,
    data: &Folder,
    tally: &Tally,
) -> Result<Option<agents::Found>, Box<dyn Error>> {
    let Some(reported) = data.read(folder::AGENTDOJO)? else {
        return Ok(None);
    };
    let elsewhere = std::env::var_os("LANYARD_DATA").map(PathBuf::from);
    let dictionary = match Dictionary::find(data.path(), elsewhere.as_deref())
        .or_else(|_| Dictionary::find(population.path(), elsewhere.as_deref()))
    {
        Ok(dictionary) => dictionary,
        Err(missing @ DictionaryError::Missing { .. }) => {
            folder::say_missing(&missing);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let reported = Sessions::of(&reported, &dictionary);
    if population.is(data) {
        let (a, b) = reported.halves();
        let a_to_b = agents::evaluate(&a, &b, tally);
        return Ok(Some(a_to_b.pooled(&agents::evaluate(&b, &a, tally))));
    }
    let Some(learned) = population.read(folder::AGENTDOJO)? else {
        return Ok(None);
    };
    let learned = Sessions::of(&learned, &dictionary);
    Ok(Some(agents::evaluate(&learned, &reported, tally)))
}

#[expect(clippy::print_stdout, reason = "the table is this command's answer")]
fn write(report: &Report, json: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let text = serde_json::to_string_pretty(report)?;
    match json {
        Some(file) if file == Path::new("-") => {
            writeln!(std::io::stdout(), "{text}")?;
            return Ok(());
        }
        Some(file) => std::fs::write(file, text + "\n")?,
        None => {}
    }
    print!("{}", report::table::of(report));
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Everything through which the engine is called.
    const DRIVING: [(&str, &str); 4] = [
        ("subject.rs", include_str!("drift_eval/subject.rs")),
        ("state.rs", include_str!("drift_eval/state.rs")),
        (
            "agents/engine.rs",
            include_str!("drift_eval/agents/engine.rs"),
        ),
        (
            "trails/watch.rs",
            include_str!("drift_eval/trails/watch.rs"),
        ),
    ];
    /// What holds a label, and what leads to one.
    const LABELLED: [&str; 6] = [
        "Label",
        "Recording",
        "People",
        "Sessions",
        "scenario",
        "labels",
    ];

    #[test]
    fn the_files_that_call_the_engine_name_nothing_that_holds_a_label() {
        for (file, text) in DRIVING {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let names = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                for name in names {
                    assert!(!LABELLED.contains(&name), "{file}: {line}");
                }
            }
        }
    }

    #[test]
    fn nothing_else_judges_or_watches() {
        let others = [
            include_str!("drift_eval/schonlau.rs"),
            include_str!("drift_eval/schonlau/cold.rs"),
            include_str!("drift_eval/schonlau/poisoning.rs"),
            include_str!("drift_eval/agents.rs"),
            include_str!("drift_eval/trails/cloud.rs"),
            include_str!("drift_eval/trails/web.rs"),
            include_str!("drift_eval/metrics.rs"),
        ];
        for text in others {
            for engine in ["Tracker", "Baseline", "judge("] {
                let called = format!("lanyard_drift::{engine}");
                assert!(!text.contains(&called), "{engine}");
            }
            assert!(!text.contains("use lanyard_drift::{"), "{text}");
        }
    }
}
