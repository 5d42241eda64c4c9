//! Which folder of policies is meant, and what is in it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{CliError, output};
use crate::policy::Bundle;
use crate::policy::rehearsal::Untried;
use crate::policy::trial::Trial;

/// Where policies lie when nothing is said.
const USUAL: &str = "policies";

/// A folder of policies.
#[derive(Clone, Debug, Args)]
pub struct Folder {
    /// The folder of policies; where it is missing, those that came with the program [default: policies]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Folder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(USUAL))
    }

    /// Its policies.
    pub(super) fn bundle(&self) -> Result<Bundle, CliError> {
        if self.is_there() {
            return bundle(self.path());
        }
        // Whoever stands in the wrong folder would take the answer for one about their own.
        output::message(format_args!(
            "there is no {USUAL}/ here: these came with the program"
        ));
        Bundle::embedded().map_err(|broken| CliError::usage(&broken))
    }

    /// What it brings to try them with; those that came with the program bring nothing.
    pub(super) fn trial(&self) -> Result<Trial, CliError> {
        if self.is_there() {
            return trial(self.path());
        }
        Ok(Trial::default())
    }

    /// A folder that was named has to be there.
    pub(super) fn is_there(&self) -> bool {
        self.folder.is_some() || self.path().is_dir()
    }
}

/// The policies of a folder.
pub(super) fn bundle(folder: &Path) -> Result<Bundle, CliError> {
    if !folder.is_dir() {
        return Err(CliError::Usage(format!(
            "there is no folder `{}`; name the folder of policies",
            folder.display()
        )));
    }
    Bundle::load(folder).map_err(|broken| CliError::usage(&broken))
}

/// What a folder brings to try its policies with.
pub(super) fn trial(folder: &Path) -> Result<Trial, CliError> {
    Trial::load(folder).map_err(|error| CliError::usage(&error))
}

/// A request that cannot be tried says nothing about policies.
pub(super) fn untried(why: &Untried) -> CliError {
    match why {
        Untried::Nobody(_) => CliError::usage(why),
        Untried::Failed(_) => CliError::failed(why),
    }
}

/// A word of a closed set, as files write it.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(text.to_owned())).map_err(|error| error.to_string())
}

/// `1 case`, `2 cases`.
pub(super) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('y') => {
            format!("{number} {}ies", what.strip_suffix('y').unwrap_or(what))
        }
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_with_what_they_count() {
        assert_eq!(counted(1, "policy"), "1 policy");
        assert_eq!(counted(2, "policy"), "2 policies");
        assert_eq!(counted(0, "case"), "0 cases");
    }
}
