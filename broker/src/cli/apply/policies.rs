//! `[policy]`: whether the broker decides by the policies that were reviewed beside these files.
//!
//! Applying brings no policies to a broker: they lie in a folder of its own, and it reads them again when it is
//! told to. So this only compares, before anything is done: rights that were reviewed under one bundle are not
//! given under another.

use std::path::PathBuf;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::CliError;
use crate::cli::client::AdminClient;
use crate::policy::Bundle;

/// `[policy]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEntry {
    /// The folder, as seen from the file.
    pub(super) bundle: PathBuf,
}

/// Folders that the broker's policies must equal.
pub(super) async fn check(folders: &[PathBuf], client: &AdminClient) -> Result<(), CliError> {
    for folder in folders {
        let reviewed =
            Bundle::load(folder).map_err(|broken| CliError::Usage(broken.to_string()))?;
        let answer = client.call(Method::GET, "v1/policy", None).await?;
        let in_force = answer
            .get("bundle")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let reviewed = reviewed.hash().to_string();
        if in_force != reviewed {
            return Err(CliError::Failed(format!(
                "the broker decides by the policies {}, and `{}` holds {}: put the folder in force there (SIGHUP, or \
                 POST /v1/policy/reload), or apply what was reviewed with it; nothing was done",
                short(in_force),
                folder.display(),
                short(&reviewed)
            )));
        }
    }
    Ok(())
}

/// Enough of a hash to tell two apart.
fn short(hash: &str) -> &str {
    hash.get(..16).unwrap_or(hash)
}
