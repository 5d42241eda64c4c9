//! A damaged disk is noticed and said; it never gives a wrong value.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lanyard::clock::SystemClock;
use lanyard::crypto::SealingRoot;
use lanyard::store::check::check;
use lanyard::store::log::disk::{Disk, SystemDisk};
use lanyard::store::log::{IndexState, Log};
use lanyard::store::{Record, Store, StoreError};

use super::{Dice, all_records, config, copy_tree, created, open, open_with, revoked, root};

/// Three boots, several segments, a checkpoint in the middle.
fn grown_log(folder: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for boot in 0..3 {
        let mut config = config(folder);
        config.segment_bytes = 2 << 10;
        config.reserve_bytes = 4 << 10;
        let opened = open_with(config).unwrap();
        for n in 0..12 {
            opened
                .log
                .append(vec![created(format!("{boot}/{n}")), revoked(n)])
                .wait()
                .unwrap();
        }
        if boot == 1 {
            opened.log.checkpoint().unwrap();
        }
        records = all_records(&opened.log).unwrap();
    }
    records
}

fn segment_files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

fn flip(path: &Path, bit: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8)
        .unwrap();
}

/// Flips a bit or cuts the file, by the dice; says what it did.
fn damage(path: &Path, dice: &mut Dice) -> String {
    let length = std::fs::metadata(path).unwrap().len();
    if dice.below(4) == 0 {
        let left = dice.below(length);
        OpenOptions::new()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(left)
            .unwrap();
        return format!("{} cut to {left} of {length}", path.display());
    }
    let bit = dice.below(length * 8);
    flip(path, bit);
    format!("{} bit {bit} of {}", path.display(), length * 8)
}

/// Flips a bit of a byte that is not zero: most of an index file is space that was never written.
fn flip_written(path: &Path, dice: &mut Dice) -> String {
    let bytes = std::fs::read(path).unwrap();
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let bit = written[dice.below(written.len() as u64) as usize] as u64 * 8 + dice.below(8);
    flip(path, bit);
    format!("{} bit {bit}", path.display())
}

#[test]
fn a_flipped_bit_or_a_cut_in_a_segment_is_refused_in_words_or_harmless_and_never_a_wrong_value() {
    let rounds: u64 = std::env::var("LANYARD_FLIPS").map_or(2_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let expected = grown_log(&original);
    // Without the index every record is read at the start; with it, the older ones only later.
    std::fs::remove_dir_all(original.join("index")).unwrap();
    let files = segment_files(&original);
    let mut dice = Dice::new(11);
    let (mut refused, mut harmless) = (0, 0);
    for round in 0..rounds {
        let copy = folder.path().join("copy");
        copy_tree(&original, &copy);
        let file = &files[dice.below(files.len() as u64) as usize];
        let what = damage(
            &copy.join("segments").join(file.file_name().unwrap()),
            &mut dice,
        );
        // Opening is the slow part, because of the index; the check reads with the same eyes.
        let report = check(&copy, None, &root()).unwrap();
        match report.damage {
            Some(words) => {
                assert!(
                    words.contains("segment") || words.contains("acknowledged"),
                    "{what}: {words}"
                );
                refused += 1;
            }
            None => {
                assert_eq!(
                    report.head,
                    expected.last().map(|record| record.rev),
                    "{what}"
                );
                harmless += 1;
            }
        }
        if round % 20 == 0 {
            match (open(&copy), &check(&copy, None, &root()).unwrap().damage) {
                (Err(error), Some(_)) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("lanyard store check") || text.contains("rollback detected"),
                        "{what}: {text}"
                    );
                }
                (Ok(opened), None) => {
                    let records = all_records(&opened.log).unwrap();
                    assert_eq!(records[..expected.len()], expected[..], "{what}");
                }
                (opened, damage) => panic!(
                    "{what}: open gives {:?}, check {damage:?}",
                    opened.map(|o| o.report)
                ),
            }
        }
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{refused} refused, {harmless} harmless");
    assert!(
        refused > rounds / 2,
        "only {refused} of {rounds} were noticed"
    );
}

#[test]
fn damage_in_an_old_segment_behind_a_good_index_is_an_error_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let expected = grown_log(folder.path());
    let oldest = segment_files(folder.path()).remove(0);
    flip(&oldest, 700 * 8);
    let opened = open(folder.path()).unwrap();
    assert_eq!(opened.report.index, IndexState::Loaded);
    assert!(matches!(
        all_records(&opened.log),
        Err(StoreError::Damaged(_))
    ));
    let newest = expected.last().unwrap();
    let before = expected[expected.len() - 2].rev;
    assert_eq!(
        opened.log.read(before, 1).unwrap(),
        std::slice::from_ref(newest)
    );
}

#[test]
fn a_damaged_index_is_moved_aside_and_rebuilt_to_the_same_state() {
    let rounds: u64 =
        std::env::var("LANYARD_INDEX_FLIPS").map_or(200, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    grown_log(&original);
    let expected = open(&original).unwrap().ledger.rows();
    let files: Vec<PathBuf> = ["db", "conf"]
        .map(|name| original.join("index").join(name))
        .into();
    let mut dice = Dice::new(12);
    let mut rebuilt = 0;
    // sled says what it panics about; here that is expected two hundred times.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info
            .location()
            .is_none_or(|place| !place.file().contains("sled"))
        {
            hook(info);
        }
    }));
    for _ in 0..rounds {
        let copy = folder.path().join("copy");
        copy_tree(&original, &copy);
        let file = if dice.below(10) == 0 {
            &files[1]
        } else {
            &files[0]
        };
        let file = copy.join("index").join(file.file_name().unwrap());
        let what = if dice.below(4) == 0 {
            damage(&file, &mut dice)
        } else {
            flip_written(&file, &mut dice)
        };
        let opened = open(&copy).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(opened.ledger.rows(), expected, "{what}");
        rebuilt += u64::from(matches!(opened.report.index, IndexState::Rebuilt { .. }));
        drop(opened);
        std::fs::remove_dir_all(&copy).unwrap();
    }
    println!("{rebuilt} of {rebuilt_of} rebuilt", rebuilt_of = rounds);
    assert!(rebuilt > 0);
}

#[test]
fn an_index_that_is_missing_stale_or_ahead_of_the_log_gives_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    grown_log(&data);
    let early = folder.path().join("early");
    copy_tree(&data, &early);
    let opened = open(&data).unwrap();
    assert_eq!(opened.report.index, IndexState::Loaded);
    opened.log.append(vec![created("late")]).wait().unwrap();
    let rows = opened.ledger.rows();
    drop(opened);

    let stale = folder.path().join("stale");
    copy_tree(&data, &stale);
    std::fs::remove_dir_all(stale.join("index")).unwrap();
    copy_tree(&early.join("index"), &stale.join("index"));
    let opened = open(&stale).unwrap();
    assert_eq!(
        (opened.report.index, opened.ledger.rows()),
        (IndexState::Loaded, rows.clone())
    );
    assert!(opened.report.records_replayed > 0);

    let missing = folder.path().join("missing");
    copy_tree(&data, &missing);
    std::fs::remove_dir_all(missing.join("index")).unwrap();
    let opened = open(&missing).unwrap();
    assert_eq!(
        (opened.report.index, opened.ledger.rows()),
        (IndexState::Created, rows)
    );

    let early_rows = {
        let copy = folder.path().join("early-copy");
        copy_tree(&early, &copy);
        open(&copy).unwrap().ledger.rows()
    };
    std::fs::remove_dir_all(early.join("index")).unwrap();
    copy_tree(&data.join("index"), &early.join("index"));
    let opened = open(&early).unwrap();
    assert!(matches!(opened.report.index, IndexState::Rebuilt { .. }));
    assert_eq!(opened.ledger.rows(), early_rows);
}

#[test]
fn a_log_cut_at_its_end_is_a_rollback_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let before = folder.path().join("before");
    grown_log(&data);
    copy_tree(&data, &before);
    open(&data)
        .unwrap()
        .log
        .append(vec![revoked(1)])
        .wait()
        .unwrap();
    // The older segments under the newer anchor: the newest file is simply gone.
    std::fs::remove_dir_all(data.join("segments")).unwrap();
    copy_tree(&before.join("segments"), &data.join("segments"));
    let files = segment_files(&data);
    let error = open(&data).map(|opened| opened.report).unwrap_err();
    assert!(matches!(error, StoreError::RolledBack { .. }), "{error}");
    assert_eq!(segment_files(&data), files);
    assert!(data.join("index").exists());
    assert!(!data.join("index.damaged-1").exists());
}

#[test]
fn an_older_copy_of_the_whole_folder_is_noticed_by_the_anchor_outside() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut config = config(&data);
    config.anchor_file = Some(folder.path().join("anchor"));
    open_with(config.clone()).unwrap();
    let older = folder.path().join("older");
    copy_tree(&data, &older);
    open_with(config.clone())
        .unwrap()
        .log
        .append(vec![revoked(1)])
        .wait()
        .unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copy_tree(&older, &data);
    let error = open_with(config).map(|opened| opened.report).unwrap_err();
    assert!(matches!(error, StoreError::RolledBack { .. }), "{error}");
}

#[test]
fn another_key_another_trust_domain_and_a_second_process_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path()).unwrap();
    let error = open(folder.path()).map(|opened| opened.report).unwrap_err();
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(opened);
    let other = Arc::new(SealingRoot::from_bytes(&[2; 32]));
    let error = check(folder.path(), None, &other).unwrap_err().to_string();
    assert!(
        error.starts_with("this is not the sealing key of this log"),
        "{error}"
    );
    assert!(!error.contains("store check") && !error.contains("damaged"));
    let error = Log::open(
        config(folder.path()),
        other,
        Arc::new(SystemClock),
        Vec::new(),
    )
    .map(|(_, r)| r)
    .unwrap_err();
    assert!(error.to_string().contains("another sealing key"), "{error}");
    let mut elsewhere = config(folder.path());
    elsewhere.trust_domain = "https://other.example".to_owned();
    let error = open_with(elsewhere)
        .map(|opened| opened.report)
        .unwrap_err();
    assert!(
        error.to_string().contains("not of `https://other.example`"),
        "{error}"
    );
    open(folder.path()).unwrap();
}

/// A disk that fails to sync, or has no space, when told to.
#[derive(Default)]
struct FailingDisk {
    fail_syncs: AtomicBool,
    writes: AtomicU64,
}

impl Disk for FailingDisk {
    fn write_at(&self, file: &std::fs::File, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        SystemDisk.write_at(file, bytes, offset)
    }
    fn sync(&self, file: &std::fs::File) -> std::io::Result<()> {
        if self.fail_syncs.load(Ordering::SeqCst) {
            return Err(std::io::Error::from_raw_os_error(5));
        }
        SystemDisk.sync(file)
    }
}

#[test]
fn a_failed_sync_stops_the_store_for_good_and_nothing_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FailingDisk::default());
    let stopped = Arc::new(AtomicU64::new(0));
    let mut config = config(folder.path());
    config.disk = disk.clone();
    let count = stopped.clone();
    config.on_stop = Some(Arc::new(move |reason| {
        assert!(reason.contains("sync"), "{reason}");
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let opened = open_with(config).unwrap();
    let acknowledged = opened.log.append(vec![created("kept")]).wait().unwrap();
    disk.fail_syncs.store(true, Ordering::SeqCst);
    assert_eq!(
        opened.log.append(vec![revoked(1)]).wait(),
        Err(StoreError::Stopped)
    );
    disk.fail_syncs.store(false, Ordering::SeqCst);
    let writes = disk.writes.load(Ordering::SeqCst);
    assert_eq!(
        opened.log.append(vec![revoked(2)]).wait(),
        Err(StoreError::Stopped)
    );
    assert_eq!(disk.writes.load(Ordering::SeqCst), writes);
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
    assert!(!opened.log.is_writable());
    assert_eq!(opened.log.head(), acknowledged);
    drop(opened);
    let again = open(folder.path()).unwrap();
    assert!(again.ledger.rows().contains_key("owner kept"));
}
