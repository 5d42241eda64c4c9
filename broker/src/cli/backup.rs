//! `lanyard backup DIR` and `lanyard restore DIR`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lanyard_token::Rev;

use super::CliError;
use super::output::{self, Output};
use crate::clock::SystemClock;
use crate::crypto::{HeldKey, seal_ring};
use crate::store::StoreError;
use crate::store::backup::{backup, backup_what_is_left};
use crate::store::event::By;
use crate::store::restore::{Restore, restore};

/// Copy the log, also while a broker runs; the sealing key is not in it: keep that elsewhere
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    /// A new folder for the copy
    dir: PathBuf,
    /// Copy what is left of a log whose acknowledged end is lost
    #[arg(long)]
    accept_rollback: bool,
}

/// Put a copy of the log in place; the broker must not run
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The folder that `lanyard backup` made
    dir: PathBuf,
    /// Take a copy that is older than what was acknowledged, and end every token issued before
    #[arg(long)]
    accept_rollback: bool,
    /// The last place a gateway or an operator has seen
    #[arg(long, value_name = "EPOCH:REV", value_parser = parse_rev)]
    last_seen: Option<Rev>,
}

/// Copies the log in `folder`.
pub fn run_backup(args: &BackupArgs, folder: &Path, output: Output) -> Result<(), CliError> {
    let copy = if args.accept_rollback {
        backup_what_is_left
    } else {
        backup
    };
    let manifest = copy(folder, &args.dir).map_err(|error| CliError::failed(&error))?;
    let json = serde_json::json!({
        "folder": args.dir,
        "trust_domain": manifest.trust_domain,
        "head": manifest.head.to_string(),
        "hash": manifest.hash,
        "segments": manifest.segments.len(),
        "bytes": manifest.segments.iter().map(|segment| segment.bytes).sum::<u64>(),
    });
    output.print(&json, output::members);
    Ok(())
}

/// Puts a copy into `folder`.
pub fn run_restore(
    args: &RestoreArgs,
    folder: &Path,
    anchor_file: Option<&Path>,
    sealing_key: &HeldKey,
    output: Output,
) -> Result<(), CliError> {
    let keys = seal_ring::for_restore(&args.dir, folder, sealing_key)
        .map_err(|error| CliError::failed(&error))?;
    let task = Restore {
        from: &args.dir,
        to: folder,
        anchor_file,
        last_seen: args.last_seen,
        accept_rollback: args.accept_rollback,
        data_keys: keys.file,
        by: By::Socket {
            uid: rustix::process::getuid().as_raw(),
        },
    };
    let report = restore(&task, Arc::new(keys.root), Arc::new(SystemClock)).map_err(|error| match error {
        StoreError::RolledBack { found, expected } => CliError::Failed(format!(
            "the copy ends at rev {found}, but rev {expected} was acknowledged: restore a newer copy, or run \
             `lanyard restore DIR --accept-rollback`, which ends every token issued so far"
        )),
        other => CliError::failed(&other),
    })?;
    let json = serde_json::json!({
        "folder": folder,
        "trust_domain": report.trust_domain,
        "kept": report.kept.to_string(),
        "lost": report.lost.map(|rev| rev.to_string()),
        "new_epoch": report.new_epoch,
        "head": report.head.to_string(),
        "compared": report.compared,
        "set_aside": report.set_aside,
    });
    output.print(&json, output::members);
    if report.new_epoch.is_some() {
        output::message(format_args!(
            "next: start the broker, and revoke anew what was revoked after rev {}: it is alive again",
            report.kept
        ));
    }
    if let Some(aside) = &report.set_aside {
        output::message(format_args!(
            "the log of before lies in `{}`: delete it when it is no longer needed",
            aside.display()
        ));
    }
    if !report.compared && report.new_epoch.is_none() {
        output::message(format_args!(
            "nothing was there to compare the copy with: if newer revocations are lost, restore again with --accept-rollback"
        ));
    }
    Ok(())
}

fn parse_rev(text: &str) -> Result<Rev, String> {
    let parts = text
        .split_once(':')
        .and_then(|(epoch, number)| Rev::new(epoch.parse().ok()?, number.parse().ok()?));
    parts.ok_or_else(|| "expected EPOCH:REV, such as 1:4711".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_epoch_and_a_number() {
        assert_eq!(parse_rev("1:4711"), Ok(Rev::new(1, 4_711).unwrap()));
        for text in ["", "1", "1:", ":1", "1:x", "9999:1", "-1:1"] {
            assert!(parse_rev(text).is_err(), "{text}");
        }
    }
}
