//! On a full disk revocations go on, everything else waits, and it heals by itself.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use lanyard::store::{Store, StoreError};
use lanyard_token::Rev;

use super::power::{Mount, may_mount};
use super::{Opened, all_records, created, open, revoked};

/// Until not one byte more fits.
pub(crate) fn fill(path: &Path) {
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    for size in [64 << 10, 1 << 10, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Appends until the disk takes no more; what was acknowledged before that stays.
fn append_until_full(opened: &Opened, kept: &mut Vec<String>, filler: &Path) {
    for n in 0.. {
        fill(filler);
        let name = format!("{}/{n}", opened.report.boot);
        match opened.log.append(vec![created(&name)]).wait() {
            Ok(_) => kept.push(format!("owner {name}")),
            Err(error) => return assert_eq!(error, StoreError::Full),
        }
    }
}

fn wait_until_writable(opened: &Opened) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !opened.log.is_writable() {
        assert!(Instant::now() < deadline, "it does not heal");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_takes_revocations_from_the_reserve_through_restarts_and_heals_when_there_is_space() {
    if !may_mount("the full-disk test") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Mount::new(
        &["-t", "tmpfs", "-o", "size=16m", "tmpfs"],
        &folder.path().join("disk"),
    );
    let (data, filler) = (disk.0.join("data"), disk.0.join("filler"));
    let mut kept = Vec::new();

    let opened = open(&data).unwrap();
    append_until_full(&opened, &mut kept, &filler);
    assert!(!opened.log.is_writable());
    let answers: Vec<_> = (0..100)
        .map(|n| {
            (
                n,
                opened.log.append(vec![revoked(n)]),
                opened.log.append(vec![created("no")]),
            )
        })
        .collect();
    for (n, revocation, other) in answers {
        revocation
            .wait()
            .unwrap_or_else(|error| panic!("revocation {n}: {error}"));
        assert_eq!(other.wait(), Err(StoreError::Full));
    }
    // A batch that also gives something is not a revocation.
    assert_eq!(
        opened.log.append(vec![revoked(1), created("no")]).wait(),
        Err(StoreError::Full)
    );
    drop(opened);

    fill(&filler);
    let opened = open(&data).unwrap();
    assert!(!opened.report.writable);
    let rows = opened.ledger.rows();
    assert!(kept.iter().all(|name| rows.contains_key(name)));
    assert_eq!(
        rows.keys().filter(|key| key.starts_with("node ")).count(),
        100
    );
    opened.log.append(vec![revoked(500)]).wait().unwrap();
    drop(opened);

    // Both reserves are used: it still opens and still answers, and numbers no node twice.
    fill(&filler);
    let opened = open(&data).unwrap();
    assert!(!opened.report.writable);
    assert_eq!(
        opened.log.append(vec![revoked(501)]).wait(),
        Err(StoreError::Full)
    );
    assert!(opened.ledger.rows().contains_key("node 00000100000001f4"));

    std::fs::remove_file(&filler).unwrap();
    wait_until_writable(&opened);
    opened.log.append(vec![created("healed")]).wait().unwrap();
    let boot = opened.log.nodes().boot();
    let records = all_records(&opened.log).unwrap();
    let rows = opened.ledger.rows();
    drop(opened);

    let opened = open(&data).unwrap();
    assert!(opened.report.writable);
    assert_eq!(opened.log.nodes().boot(), boot + 1);
    assert_eq!(opened.ledger.rows(), rows);
    assert_eq!(opened.log.read(Rev::ZERO, records.len()).unwrap(), records);
    // The reserves are back as well.
    append_until_full(&opened, &mut kept, &filler);
    opened.log.append(vec![revoked(600)]).wait().unwrap();
    std::fs::remove_file(&filler).unwrap();
    wait_until_writable(&opened);
}
