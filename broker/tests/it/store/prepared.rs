//! A segment that is written a lot is prepared ahead, with zeros that count as nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lanyard::store::backup::backup;
use lanyard::store::check::check;
use lanyard::store::log::disk::{Disk, SystemDisk};
use lanyard::store::{Event, Store};

use super::{Opened, all_records, config, copy_tree, created, open, open_with, revoked, root};

/// The real disk, which counts syncs after which the file had grown, and may have no space for more than this at
/// once.
#[derive(Default)]
struct Watched {
    most: Option<usize>,
    length: AtomicU64,
    grown: AtomicU64,
}

impl Disk for Watched {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.most.is_some_and(|most| bytes.len() > most) {
            // As a real one: what there was space for is written.
            SystemDisk.write_at(file, &bytes[..16], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemDisk.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if self.length.swap(length, Ordering::Relaxed) < length {
            self.grown.fetch_add(1, Ordering::Relaxed);
        }
        SystemDisk.sync(file)
    }
}

const FROM: u64 = 4 << 10;

fn open_watched(folder: &Path, disk: Watched) -> (Opened, Arc<Watched>) {
    let disk = Arc::new(disk);
    let mut config = config(folder);
    config.prepare_from = FROM;
    config.disk = disk.clone();
    (open_with(config).unwrap(), disk)
}

fn append(opened: &Opened, count: u32) {
    for n in 0..count {
        opened
            .log
            .append(vec![created(format!("owner {n}"))])
            .wait()
            .unwrap();
    }
}

/// The segment of the first boot: its length, and how much of it is no zeros.
fn segment(folder: &Path) -> (u64, u64) {
    let path: PathBuf = folder.join("segments/0001-00000001.seg");
    let bytes = std::fs::read(path).unwrap();
    let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    (bytes.len() as u64, written as u64)
}

#[test]
fn a_storm_takes_a_quarter_of_its_bytes_and_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path()).unwrap();
    let (_, before) = segment(folder.path());
    let events: Vec<Event> = (1..=1_000).map(revoked).collect();
    let json = serde_json::to_vec(&events).unwrap().len() as u64;
    opened.log.append(events).wait().unwrap();
    let (_, after) = segment(folder.path());
    assert!((after - before) * 4 < json, "{} of {json}", after - before);
    let (rows, records) = (opened.ledger.rows(), all_records(&opened.log).unwrap());
    drop(opened);
    std::fs::remove_dir_all(folder.path().join("index")).unwrap();
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.ledger.rows(), rows);
    assert!(all_records(&opened.log).unwrap().starts_with(&records));
}

#[test]
fn most_records_do_not_make_their_file_longer_and_at_most_half_of_it_is_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let (opened, disk) = open_watched(folder.path(), Watched::default());
    append(&opened, 20);
    let begun = disk.grown.load(Ordering::Relaxed);
    append(&opened, 1_000);
    let grown = disk.grown.load(Ordering::Relaxed) - begun;
    assert!(grown < 30, "{grown} of 1,000 records");
    let (length, written) = segment(folder.path());
    assert!(
        length > written && length <= written * 2 + FROM,
        "{length}, {written}"
    );
    drop(opened);
    let (length, written) = segment(folder.path());
    assert!(length - written < 16, "what was not used is given back");
}

#[test]
fn after_a_crash_the_zeros_are_neither_records_nor_a_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let (running, crashed) = (folder.path().join("running"), folder.path().join("crashed"));
    let (opened, _) = open_watched(&running, Watched::default());
    append(&opened, 200);
    let records = all_records(&opened.log).unwrap();
    copy_tree(&running, &crashed);
    let (length, written) = segment(&crashed);
    assert!(length > written + 1_000, "{length}, {written}");

    let report = check(&crashed, None, &root()).unwrap();
    assert_eq!((report.damage, report.unfinished_bytes), (None, 0));
    let copied = backup(&crashed, &folder.path().join("backup")).unwrap();
    assert!(copied.segments[0].bytes.abs_diff(written) < 16);
    let again = open(&crashed).unwrap();
    assert_eq!(again.report.torn_bytes, 0);
    let mut found = all_records(&again.log).unwrap();
    found.pop();
    assert_eq!(found, records);
}

#[test]
fn a_disk_without_space_to_prepare_still_takes_records() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Watched {
        most: Some(2 << 10),
        ..Watched::default()
    };
    let (opened, _) = open_watched(folder.path(), disk);
    append(&opened, 200);
    assert!(opened.log.is_writable());
    let (length, written) = segment(folder.path());
    assert!(length - written < 16, "{length}, {written}");
    assert_eq!(all_records(&opened.log).unwrap().len(), 201);
}
