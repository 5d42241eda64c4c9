use lanyard_drift::ladder::{Place, SubjectId};
use lanyard_drift::{Baseline, Thresholds, TokenReport, judge};

use super::*;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn recorder(folder: &tempfile::TempDir, key: u8, keeping: Keeping) -> Recorder {
    let root = Arc::new(SealingRoot::from_bytes(&[key; 32]));
    Recorder::in_folder(folder.path(), root, keeping).unwrap()
}

const ROOMY: Keeping = Keeping {
    days: 7,
    bytes: 1 << 30,
};

fn window(token: u64, at: UnixMillis) -> RecordedWindow {
    let (report, thresholds) = (TokenReport::empty(), Thresholds::default());
    let at = Millis(at.0);
    let findings = judge(&report, &Baseline::empty(), None, &thresholds.opened(), at);
    RecordedWindow {
        at,
        place: Place(9),
        token: SubjectId(token),
        path: vec![SubjectId(1), SubjectId(2), SubjectId(3)],
        issued_at: Place(8),
        kind: "service".to_owned(),
        carried_by: None,
        gateways: vec![SubjectId(7)],
        level: findings.level,
        findings,
        done: Vec::new(),
        names: Vec::new(),
        report: Some(Box::new(report)),
    }
}

fn tokens(recorder: &Recorder, since: UnixMillis) -> (Vec<u64>, ReadBack) {
    let mut tokens = Vec::new();
    let back = recorder
        .read(since, |window| {
            tokens.push(window.token.0);
            true
        })
        .unwrap();
    (tokens, back)
}

fn files(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path().join("windows")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn windows_are_read_back_in_order_and_every_start_begins_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    for start in 0..3 {
        let recorder = recorder(&folder, 1, ROOMY);
        for chunk in 0..2 {
            let token = start * 2 + chunk;
            let at = NOW.plus_millis(token * 1_000);
            recorder.append(&[window(token, at)], at).unwrap();
        }
    }
    let recorder = recorder(&folder, 1, ROOMY);
    assert_eq!(files(&folder).len(), 3);
    let (all, back) = tokens(&recorder, UnixMillis(0));
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
    assert_eq!((back.windows, back.cut), (6, 0));
    assert_eq!(tokens(&recorder, NOW.plus_millis(3_000)).0, [3, 4, 5]);
    let mut seen = 0;
    let stopped = recorder.read(UnixMillis(0), |_| {
        seen += 1;
        seen < 2
    });
    assert_eq!(stopped.unwrap().windows, 2);
}

#[test]
fn a_cut_or_changed_chunk_costs_itself_and_what_follows_in_its_segment_alone() {
    let folder = tempfile::tempdir().unwrap();
    for start in 0..2 {
        let recorder = recorder(&folder, 1, ROOMY);
        for chunk in 0..2 {
            let window = window(start * 2 + chunk, NOW);
            recorder.append(&[window], NOW).unwrap();
        }
    }
    let recorder = recorder(&folder, 1, ROOMY);
    let first = &files(&folder)[0];
    let whole = fs::read(first).unwrap();
    for length in [1, 3, 4, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(first, &whole[..length]).unwrap();
        let (read, back) = tokens(&recorder, UnixMillis(0));
        assert!(
            read.ends_with(&[2, 3]) && read.len() < 4,
            "{length}: {read:?}"
        );
        assert_eq!(
            back.cut,
            u64::from(length != whole.len() / 2 || read.len() < 3)
        );
    }
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(first, &changed).unwrap();
        let (read, back) = tokens(&recorder, UnixMillis(0));
        assert!(
            read.ends_with(&[2, 3]) && read.len() < 4,
            "byte {at}: {read:?}"
        );
        assert_eq!(back.cut, 1, "byte {at}");
    }
}

#[test]
fn another_key_reads_nothing_and_a_segment_under_another_name_neither() {
    let folder = tempfile::tempdir().unwrap();
    recorder(&folder, 1, ROOMY)
        .append(&[window(1, NOW)], NOW)
        .unwrap();
    let (read, _) = tokens(&recorder(&folder, 2, ROOMY), UnixMillis(0));
    assert!(read.is_empty(), "{read:?}");
    let renamed = folder.path().join("windows/0000000009-1.windows");
    fs::rename(&files(&folder)[0], renamed).unwrap();
    let (read, back) = tokens(&recorder(&folder, 1, ROOMY), UnixMillis(0));
    assert_eq!((read.len(), back.cut), (0, 1));
}

#[test]
fn what_is_too_old_goes_and_so_does_what_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    for day in 0..20 {
        let at = NOW.plus_millis(day * DAY);
        // Each start begins a segment, and that is when old ones go.
        let recorder = recorder(&folder, 1, ROOMY);
        recorder.append(&[window(day, at)], at).unwrap();
    }
    let (kept, _) = tokens(&recorder(&folder, 1, ROOMY), UnixMillis(0));
    assert_eq!(kept, [11, 12, 13, 14, 15, 16, 17, 18, 19]);
    let tight = Keeping {
        days: 7,
        bytes: SEGMENT_BYTES + fs::metadata(&files(&folder)[0]).unwrap().len() * 5 / 2,
    };
    let at = NOW.plus_millis(20 * DAY);
    let recorder = recorder(&folder, 1, tight);
    recorder.append(&[window(20, at)], at).unwrap();
    assert_eq!(tokens(&recorder, UnixMillis(0)).0, [18, 19, 20]);
}

#[test]
fn strange_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = recorder(&folder, 1, ROOMY);
    for name in ["notes", "7-1.windows", "-.windows", "0000000001-01.windows"] {
        fs::write(folder.path().join("windows").join(name), b"mine").unwrap();
    }
    recorder.append(&[window(1, NOW)], NOW).unwrap();
    assert_eq!(tokens(&recorder, UnixMillis(0)).0, [1]);
    assert_eq!(files(&folder).len(), 5);
}
