//! Backups beside a running broker, and restores that notice when a copy is older.

use std::path::Path;
use std::sync::Arc;

use lanyard::clock::SystemClock;
use lanyard::crypto::seal_ring::Exchange;
use lanyard::store::backup::{Manifest, backup, backup_what_is_left};
use lanyard::store::check::check;
use lanyard::store::event::By;
use lanyard::store::restore::{Restore, RestoreReport, restore};
use lanyard::store::{Event, Store, StoreError};
use lanyard_token::Rev;

use super::{all_records, config, copy_tree, created, open, open_with, revoked, root};

/// A running log, a backup of it, and one revocation after the backup.
fn log_and_older_backup(data: &Path, copy: &Path) -> Manifest {
    let opened = open(data).unwrap();
    for n in 0..10 {
        opened
            .log
            .append(vec![created(format!("owner {n}"))])
            .wait()
            .unwrap();
    }
    let manifest = backup(data, copy).unwrap();
    assert_eq!(manifest.head, opened.log.head());
    opened.log.append(vec![revoked(1)]).wait().unwrap();
    manifest
}

fn put(
    from: &Path,
    to: &Path,
    accept_rollback: bool,
    last_seen: Option<Rev>,
) -> Result<RestoreReport, StoreError> {
    let task = Restore {
        from,
        to,
        anchor_file: None,
        last_seen,
        accept_rollback,
        data_keys: Exchange::Stays,
        by: By::Broker,
    };
    restore(&task, root(), Arc::new(SystemClock))
}

#[test]
fn an_older_copy_is_refused_until_the_rollback_is_accepted_and_then_a_new_epoch_ends_all_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let manifest = log_and_older_backup(&data, &copy);
    let known = manifest.head.forward(1).unwrap();

    let refused = put(&copy, &data, false, None);
    assert_eq!(
        refused,
        Err(StoreError::RolledBack {
            found: manifest.head,
            expected: known
        })
    );
    assert!(
        open(&data)
            .unwrap()
            .ledger
            .rows()
            .contains_key("node 0000010000000001")
    );

    let report = put(&copy, &data, true, None).unwrap();
    assert_eq!(report.new_epoch, Some(2));
    assert_eq!(report.kept, manifest.head);
    // The refused attempt was followed by another boot, which is lost now as well.
    assert_eq!(report.lost, known.forward(1));
    assert!(report.set_aside.unwrap().join("segments").is_dir());

    let opened = open(&data).unwrap();
    assert_eq!(opened.report.boot, 4_097);
    assert_eq!(opened.log.head().epoch(), 2);
    let after = opened.log.read(manifest.head, 10).unwrap();
    let floor = Rev::new(2, 0).unwrap();
    assert_eq!(
        after[0].events,
        [
            Event::EpochStarted {
                kept: manifest.head,
                lost: known.forward(1),
                by: By::Broker
            },
            Event::FloorRaised { floor }
        ]
    );
    assert!(!opened.ledger.rows().contains_key("node 0000010000000001"));
    drop(opened);
    assert!(check(&data, None, &root()).unwrap().is_whole());
}

#[test]
fn the_newest_copy_is_put_in_place_without_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy, fresh) = (
        folder.path().join("data"),
        folder.path().join("copy"),
        folder.path().join("fresh"),
    );
    log_and_older_backup(&data, &folder.path().join("older"));
    let records = all_records(&open(&data).unwrap().log).unwrap();
    let manifest = backup(&data, &copy).unwrap();
    assert_eq!(manifest.head, records.last().unwrap().rev);

    let report = put(&copy, &data, false, None).unwrap();
    assert_eq!(
        (report.new_epoch, report.lost, report.compared),
        (None, None, true)
    );
    let report = put(&copy, &fresh, false, None).unwrap();
    assert_eq!(
        (report.new_epoch, report.lost, report.compared),
        (None, None, false)
    );
    for place in [&data, &fresh] {
        let opened = open(place).unwrap();
        assert_eq!(opened.log.read(Rev::ZERO, records.len()).unwrap(), records);
        assert!(opened.log.nodes().boot() > 4_096);
    }
}

#[test]
fn what_a_gateway_has_last_seen_or_the_anchor_outside_counts_when_the_folder_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy, fresh) = (
        folder.path().join("data"),
        folder.path().join("copy"),
        folder.path().join("fresh"),
    );
    let anchor = folder.path().join("anchor");
    let mut config = config(&data);
    config.anchor_file = Some(anchor.clone());
    let opened = open_with(config.clone()).unwrap();
    let manifest = backup(&data, &copy).unwrap();
    let newest = opened.log.append(vec![revoked(1)]).wait().unwrap();
    drop(opened);

    let refusal = Err(StoreError::RolledBack {
        found: manifest.head,
        expected: newest,
    });
    assert_eq!(put(&copy, &fresh, false, Some(newest)), refusal);
    std::fs::remove_dir_all(&data).unwrap();
    let task = |accept_rollback| Restore {
        from: &copy,
        to: &data,
        anchor_file: Some(&anchor),
        last_seen: None,
        accept_rollback,
        data_keys: Exchange::Stays,
        by: By::Broker,
    };
    assert_eq!(
        restore(&task(false), root(), Arc::new(SystemClock)),
        refusal
    );
    restore(&task(true), root(), Arc::new(SystemClock)).unwrap();
    let opened = open_with(config).unwrap();
    assert_eq!(opened.log.head().epoch(), 2);
}

#[test]
fn without_a_newer_copy_what_is_left_is_copied_and_put_back_as_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let (segments, older) = (data.join("segments"), folder.path().join("older"));
    drop(open(&data).unwrap());
    copy_tree(&segments, &older);
    let opened = open(&data).unwrap();
    opened.log.append(vec![revoked(1)]).wait().unwrap();
    drop(opened);
    std::fs::remove_dir_all(&segments).unwrap();
    copy_tree(&older, &segments);

    let said = open(&data).map(|opened| opened.report).unwrap_err();
    assert!(matches!(said, StoreError::RolledBack { .. }), "{said}");
    for command in [
        "lanyard backup DIR --accept-rollback",
        "lanyard restore DIR --accept-rollback",
    ] {
        assert!(said.to_string().contains(command), "{said}");
    }
    assert!(matches!(
        backup(&data, &copy),
        Err(StoreError::RolledBack { .. })
    ));
    backup_what_is_left(&data, &copy).unwrap();
    assert!(put(&copy, &data, false, None).is_err());
    put(&copy, &data, true, None).unwrap();
    assert_eq!(open(&data).unwrap().log.head().epoch(), 2);
}

#[test]
fn a_history_of_the_same_length_that_is_another_one_counts_as_newer() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy, fork) = (
        folder.path().join("data"),
        folder.path().join("copy"),
        folder.path().join("fork"),
    );
    drop(open(&data).unwrap());
    copy_tree(&data, &fork);
    open(&data)
        .unwrap()
        .log
        .append(vec![revoked(1)])
        .wait()
        .unwrap();
    open(&fork)
        .unwrap()
        .log
        .append(vec![revoked(2)])
        .wait()
        .unwrap();
    backup(&fork, &copy).unwrap();
    assert!(matches!(
        put(&copy, &data, false, None),
        Err(StoreError::RolledBack { .. })
    ));
    assert_eq!(put(&copy, &data, true, None).unwrap().new_epoch, Some(2));
}

#[test]
fn what_is_not_a_whole_backup_or_not_an_empty_folder_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let manifest = log_and_older_backup(&data, &copy);
    let refused = |from: &Path, to: &Path| put(from, to, true, None).unwrap_err().to_string();
    let fresh = folder.path().join("fresh");

    assert!(
        backup(&data, &copy)
            .unwrap_err()
            .to_string()
            .contains("is not empty")
    );
    assert!(
        backup(&data, &data.join("segments/copy"))
            .unwrap_err()
            .to_string()
            .contains("among the segments")
    );
    assert!(!data.join("segments/copy").exists());
    std::os::unix::fs::symlink("/etc/hostname", data.join("segments/0001-00000009.seg")).unwrap();
    assert!(
        backup(&data, &folder.path().join("other"))
            .unwrap_err()
            .to_string()
            .contains("is not a segment")
    );
    std::fs::remove_file(data.join("segments/0001-00000009.seg")).unwrap();

    let broken = folder.path().join("broken");
    copy_tree(&copy, &broken);
    let segment = broken.join("segments").join(&manifest.segments[0].name);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert!(refused(&broken, &fresh).contains("is not what was copied"));
    std::fs::remove_file(&segment).unwrap();
    assert!(refused(&broken, &fresh).contains("cannot read"));
    std::fs::remove_file(broken.join("manifest.json")).unwrap();
    assert!(refused(&broken, &fresh).contains("manifest"));

    let unmade = folder.path().join("unmade");
    let newer = manifest.head.forward(1);
    assert!(put(&copy, &unmade, false, newer).is_err());
    assert!(!unmade.exists(), "a refused restore leaves no folder");

    let foreign = folder.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letters.txt"), "dear").unwrap();
    assert!(refused(&copy, &foreign).contains("is not empty and holds no log"));
    let opened = open(&data).unwrap();
    assert!(refused(&copy, &data).contains("in use by another process"));
    drop(opened);
    assert!(check(&data, None, &root()).unwrap().is_whole());
}
