//! `lanyard policy matrix`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::super::CliError;
use super::super::output::Output;
use super::folder::{Folder, counted, untried};
use crate::policy::Bundle;
use crate::policy::administration::matrix as administration;
use crate::policy::matrix::{Row, missing, rows, text};
use crate::policy::respond::matrix as responses;
use crate::policy::trial::{Classes, Fixtures};
use crate::policy::using::matrix as uses;

/// `lanyard policy matrix`.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    #[command(flatten)]
    folder: Folder,
    /// Write nothing; fail when matrix.txt is not what would be written
    #[arg(long)]
    check: bool,
}

/// Runs it.
pub(super) fn run(args: &MatrixArgs, output: Output) -> Result<(), CliError> {
    let (bundle, trial) = (args.folder.bundle()?, args.folder.trial()?);
    let Some(classes) = &trial.classes else {
        let folder = args.folder.path().display();
        return Err(CliError::Usage(format!(
            "there is no `{folder}/classes.json`; say in it which classes of identities there are"
        )));
    };
    let matrix = Matrix::of(&bundle, &trial.fixtures, classes)?;
    let file = args.folder.path().join("matrix.txt");
    if args.check {
        return check(&file, &matrix.text, output);
    }
    std::fs::write(&file, &matrix.text)
        .map_err(|error| CliError::cannot(format!("write `{}`", file.display()), &error))?;
    told(&file, &matrix, output);
    Ok(())
}

/// All that `matrix.txt` says.
pub(super) struct Matrix {
    rows: Vec<Row>,
    unmet: Vec<String>,
    answers: Vec<responses::Row>,
    hands: Vec<administration::Row>,
    given: Vec<uses::Row>,
    /// As the file has it.
    pub(super) text: String,
}

impl Matrix {
    /// What a bundle comes to for these classes.
    pub(super) fn of(
        bundle: &Bundle,
        fixtures: &Fixtures,
        classes: &Classes,
    ) -> Result<Self, CliError> {
        let rows = rows(bundle, fixtures, classes).map_err(|why| untried(&why))?;
        let unmet = missing(bundle, &rows);
        let mut written = text(bundle, &rows, &unmet);
        // Of those that came with the program another release may have others: they are not this folder's.
        let answers = match bundle.has_responses() {
            true => responses::rows(bundle, classes).map_err(|why| untried(&why))?,
            false => Vec::new(),
        };
        let unanswered = responses::missing(bundle, &answers);
        if bundle.has_responses() {
            written.push_str(&responses::text(&answers, &unanswered));
        }
        let hands = administration::rows(bundle, classes).map_err(|why| untried(&why))?;
        if !hands.is_empty() {
            let unmet = administration::missing(bundle, &hands);
            written.push_str(&administration::text(&hands, &unmet));
        }
        let given = uses::rows(bundle, classes).map_err(|why| untried(&why))?;
        if uses::is_wanted(bundle, classes) {
            let unmet = uses::missing(bundle, &given);
            written.push_str(&uses::text(&given, &unmet));
        }
        Ok(Self {
            rows,
            unmet,
            answers,
            hands,
            given,
            text: written,
        })
    }
}

fn told(file: &Path, matrix: &Matrix, output: Output) {
    let Matrix {
        rows,
        unmet,
        answers,
        hands,
        given,
        ..
    } = matrix;
    let answer = json!({
        "file": file,
        "rows": rows,
        "unmet": unmet,
        "responses": answers,
        "administration": hands,
        "uses": given,
    });
    output.print(&answer, |_| {
        let number = rows.len() + answers.len() + hands.len() + given.len();
        format!("{}: {}", file.display(), counted(number, "row"))
    });
}

fn check(file: &Path, written: &str, output: Output) -> Result<(), CliError> {
    let stands = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let words = format!("cannot read `{}`: {error}", file.display());
            return Err(CliError::Usage(words));
        }
    };
    let only = |here: &str, there: &str| -> Vec<String> {
        here.lines()
            .filter(|line| !there.lines().any(|other| other == *line))
            .map(str::to_owned)
            .collect()
    };
    let (gone, new) = (only(&stands, written), only(written, &stands));
    let current = stands == written;
    let answer = json!({ "file": file, "current": current, "gone": gone, "new": new });
    output.print(&answer, |_| {
        if current {
            return format!("{} is current", file.display());
        }
        let gone = gone.iter().map(|line| format!("- {line}\n"));
        gone.chain(new.iter().map(|line| format!("+ {line}\n")))
            .collect()
    });
    if current {
        return Ok(());
    }
    Err(CliError::Failed(format!(
        "`{}` is stale; write it with `lanyard policy matrix`, and look at what changed",
        file.display()
    )))
}
