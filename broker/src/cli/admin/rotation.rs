//! `lanyard rotation`: exchanges of secrets at third parties.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::super::CliError;
use super::super::output;
use super::secret::route_of;
use super::{Asks, Call, items, listed, segment};

/// `lanyard rotation …`.
#[derive(Debug, Subcommand)]
pub enum RotationCommand {
    /// Say how a secret is exchanged from here on
    Plan {
        /// The secret's path or id
        secret: String,
        /// A TOML file: third party, manager, how often
        #[arg(long, value_name = "FILE", required_unless_present_any = ["show", "remove"])]
        file: Option<PathBuf>,
        /// Only show it
        #[arg(long, conflicts_with = "file")]
        show: bool,
        /// Leave the secret alone from here on
        #[arg(long, conflicts_with_all = ["file", "show"])]
        remove: bool,
    },
    /// All rotations that are under way, and the last ones that ended
    List,
    /// One rotation
    Show {
        /// Its id
        rotation: String,
    },
    /// Do not wait for the next try
    Retry {
        /// Its id
        rotation: String,
    },
    /// Undo it: as long as the end of the old credential has not begun
    Abort {
        /// Its id
        rotation: String,
    },
}

impl Asks for RotationCommand {
    fn call(&self) -> Result<Call, CliError> {
        let route = |rotation: &str, verb: &str| {
            Ok::<_, CliError>(format!("v1/rotations/{}{verb}", segment(rotation)?))
        };
        Ok(match self {
            Self::Plan {
                secret,
                file,
                remove,
                ..
            } => {
                let at = format!("{}/rotation", route_of(secret)?);
                match file {
                    Some(file) => Call::post(at, plan(file)?, output::members),
                    None if *remove => {
                        Call::post(format!("{at}/remove"), json!({}), output::members)
                    }
                    None => Call::get(at, output::members),
                }
            }
            Self::List => Call::get("v1/rotations", list),
            Self::Show { rotation } => Call::get(route(rotation, "")?, output::members),
            Self::Retry { rotation } => {
                Call::post(route(rotation, "/retry")?, json!({}), output::members)
            }
            Self::Abort { rotation } => {
                Call::post(route(rotation, "/abort")?, json!({}), output::members)
            }
        })
    }
}

fn list(answer: &Value) -> String {
    let rotations = listed(
        answer,
        "rotations",
        &[
            "id", "secret", "cause", "begun", "step", "since", "alarm", "outcome",
        ],
    );
    if items(answer, "waiting").is_empty() {
        return rotations;
    }
    let waiting = listed(answer, "waiting", &["secret", "cause", "since", "why"]);
    format!("{rotations}\n\ndue, and cannot be exchanged:\n{waiting}")
}

/// A plan, as the broker takes it. What is wrong with it is said by the broker; a file that is no TOML here.
fn plan(file: &PathBuf) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::cannot(format_args!("read `{}`", file.display()), &error))?;
    toml::from_str(&text).map_err(|error| CliError::Usage(format!("`{}`: {error}", file.display())))
}
