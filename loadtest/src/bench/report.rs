//! What a run of benchmarks came to, for programs and for people.

mod picture;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::absent::Absent;
use super::asked::{self, Listed};
use super::curve::{Curve, DRAWN};
use super::target::Target;
use super::turns::{self, Measured, Outcome};
use super::{Findings, Ratio, What};
use crate::writable;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Threads that wanted to run when it began, on average over a minute.
    pub(super) machine_load: Option<f64>,
    pub(super) targets: Vec<Target>,
    pub(super) checks: Vec<Ratio>,
    pub(super) servers: Vec<Measured>,
    pub(super) curves: Vec<Curve>,
    /// What limits the figures, such as a smaller number than was asked for.
    pub(super) notes: Vec<String>,
    /// Peers that were not there, and why: their figures are missing.
    pub(super) missing: Vec<Absent>,
    /// Parts that did not get to their end, and why. What others found out is not lost with them.
    pub(super) broken: Vec<String>,
}

/// As the file has it.
#[derive(Serialize)]
struct Written<'a> {
    machine_load: Option<f64>,
    targets: Vec<Listed>,
    notes: &'a [String],
    missing: Vec<String>,
    checks: &'a [Ratio],
    servers: &'a [Measured],
    curves: &'a [Curve],
}

impl Report {
    /// Takes what a part found out, or why it did not get to its end.
    pub(super) fn part<T>(
        &mut self,
        part: What,
        found: Result<T, Box<dyn Error>>,
        take: impl FnOnce(&mut Self, T),
    ) {
        match found {
            Ok(found) => take(self, found),
            Err(error) => {
                let why = format!("`bench {}` did not get to its end: {error}", part.word());
                self.missing.push(Absent::of(why.clone(), &asked::of(part)));
                self.broken.push(why);
            }
        }
    }

    pub(super) fn add_servers(&mut self, outcome: Outcome) {
        turns::print(&outcome.measured);
        self.missing.extend(outcome.missing);
        self.servers.extend(outcome.measured);
        self.targets.extend(outcome.targets);
        self.curves.extend(outcome.curves);
    }

    pub(super) fn add(&mut self, findings: Findings) {
        self.targets.extend(findings.targets);
        self.curves.extend(findings.curves);
        self.notes.extend(findings.notes);
        self.missing.extend(findings.missing);
    }

    /// All targets and what stands behind them.
    pub(super) fn write_json(&self, ran: What, file: &Path) -> Result<(), Box<dyn Error>> {
        let written = Written {
            machine_load: self.machine_load,
            targets: asked::all(ran, &self.targets, &self.missing),
            notes: &self.notes,
            missing: self.said_missing().collect(),
            checks: &self.checks,
            servers: &self.servers,
            curves: &self.curves,
        };
        Ok(writable::write(
            file,
            &serde_json::to_vec_pretty(&written)?,
        )?)
    }

    fn said_missing(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(ToString::to_string)
    }

    /// A picture for each curve, and `report.md` which has them and the tables.
    pub(super) fn write_pictures(&self, ran: What, folder: &Path) -> Result<(), Box<dyn Error>> {
        std::fs::create_dir_all(folder)?;
        for curve in &self.curves {
            picture::draw(&folder.join(format!("{}.svg", curve.id)), curve)?;
        }
        let file = folder.join("report.md");
        Ok(writable::write(&file, self.markdown(ran).as_bytes())?)
    }

    fn markdown(&self, ran: What) -> String {
        let mut text = String::from("# What was measured\n\n");
        // Writing to a string cannot fail.
        let mut line = |words: std::fmt::Arguments<'_>| {
            let _ = writeln!(text, "{words}");
        };
        if let Some(load) = self.machine_load {
            line(format_args!(
                "{load} threads wanted to run on this machine when it began.\n"
            ));
        }
        line(format_args!(
            "| target | goal | measured | lowest | highest | |"
        ));
        line(format_args!("| --- | --- | --- | --- | --- | --- |"));
        for listed in asked::all(ran, &self.targets, &self.missing) {
            match listed {
                Listed::Measured(target) => line(format_args!("{}", target.row())),
                Listed::Missing(missing) => {
                    line(format_args!(
                        "| {} | | | | | {} |",
                        missing.id, missing.reason
                    ));
                }
            }
        }
        for note in self.notes.iter().cloned().chain(self.said_missing()) {
            line(format_args!("\n- {note}"));
        }
        if !self.checks.is_empty() {
            line(format_args!(
                "\n## Checks beside a baseline\n\n\
                 | | ours, ns | baseline, ns | times cheaper, lowest | middle | highest |\n\
                 | --- | --- | --- | --- | --- | --- |"
            ));
        }
        for check in &self.checks {
            line(format_args!("{}", check.row()));
        }
        if !self.servers.is_empty() {
            line(format_args!(
                "\n## Servers that took turns\n\n| | requests/s | p50 us | p99 us | processor us | failed |\n\
                 | --- | --- | --- | --- | --- | --- |"
            ));
        }
        for measured in &self.servers {
            line(format_args!("{}", measured.row()));
        }
        for curve in &self.curves {
            line(format_args!(
                "\n## {}\n\n![]({}.svg)",
                curve.title, curve.id
            ));
        }
        let drawn = |id: &str| self.curves.iter().any(|curve| curve.id == id);
        let others: Vec<_> = DRAWN.iter().filter(|(id, _)| !drawn(id)).collect();
        if !others.is_empty() {
            line(format_args!("\n## Curves that are not in this report\n"));
        }
        for (id, part) in others {
            let part = part.word();
            line(format_args!(
                "- `{id}`: `lanyard-loadtest bench {part} --svg DIR` draws it"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Goal;
    use super::*;

    #[test]
    fn a_part_that_fails_is_said_in_the_file_and_takes_nothing_of_the_others_with_it() {
        let mut report = Report::default();
        let mut found = Findings::default();
        found.add(Target::of("P2", "x", "none", Goal::AtMost(2.0), [1.0]));
        report.part(What::Micro, Ok(found), Report::add);
        let gone: Result<Findings, _> = Err("the broker went away".into());
        report.part(What::Revocation, gone, Report::add);
        assert_eq!(report.broken.len(), 1);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures.json");
        report.write_json(What::All, &file).unwrap();
        let text = std::fs::read(&file).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let target = |id: &str| {
            let targets = written["targets"].as_array().unwrap();
            targets.iter().find(|target| target["id"] == id).unwrap()
        };
        assert_eq!(target("P2")["measured"], 1.0);
        assert!(target("P12-storm-p99-ms")["measured"].is_null());
        let reason = target("P12-storm-p99-ms")["reason"].as_str().unwrap();
        assert!(reason.contains("the broker went away"), "{reason}");
    }

    #[test]
    fn the_report_for_people_has_the_checks_and_says_who_draws_the_curves() {
        let report = Report {
            checks: vec![Ratio::of("a seen token".to_owned(), &[(10.0, 40.0)])],
            ..Report::default()
        };
        let text = report.markdown(What::Micro);
        let row = "| a seen token | 10 | 40 | 4.0 | 4.0 | 4.0 |";
        assert!(text.contains(row), "{text}");
        let curve = "`gateway-waits`: `lanyard-loadtest bench gateway --svg DIR`";
        assert!(text.contains(curve), "{text}");
    }
}
