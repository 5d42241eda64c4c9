use std::cell::{Cell, RefCell};
use std::io;
use std::path::PathBuf;

use super::*;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::HeldKey;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

fn key(byte: u8) -> HeldKey {
    HeldKey::new(DataKey::from_slice(&[byte; 32]).unwrap()).unwrap()
}

/// A disk that stops at a chosen step, and then shows everything that a power cut may have left.
#[derive(Default)]
struct Disk {
    files: RefCell<Vec<Inode>>,
    /// The inode behind the file's name, now and durably; the new one's name is of no interest.
    name: Cell<Option<usize>>,
    durable_name: Cell<Option<usize>>,
    new: Cell<Option<usize>>,
    steps: Cell<usize>,
    stop_at: Cell<Option<usize>>,
}

#[derive(Clone)]
struct Inode {
    bytes: Vec<u8>,
    synced: bool,
}

impl Disk {
    fn holding(content: Option<Vec<u8>>) -> Self {
        let disk = Self::default();
        if let Some(bytes) = content {
            disk.files.borrow_mut().push(Inode {
                bytes,
                synced: true,
            });
            disk.name.set(Some(0));
            disk.durable_name.set(Some(0));
        }
        disk
    }

    fn stopping_at(self, step: usize) -> Self {
        self.steps.set(0);
        self.stop_at.set(Some(step));
        self
    }

    /// Whether this step is the one that is not done any more.
    fn step(&self) -> io::Result<()> {
        let step = self.steps.get();
        self.steps.set(step + 1);
        if self.stop_at.get().is_some_and(|stop| step >= stop) {
            return Err(io::Error::other("it stopped"));
        }
        Ok(())
    }

    fn content(&self, inode: Option<usize>) -> Option<Vec<u8>> {
        inode.map(|inode| self.files.borrow()[inode].bytes.clone())
    }

    /// What the file may be after the process was killed, or the power was cut.
    fn aftermath(&self) -> Vec<Option<Vec<u8>>> {
        let mut left = vec![self.content(self.name.get())];
        for name in [self.name.get(), self.durable_name.get()] {
            let Some(inode) = name else {
                left.push(None);
                continue;
            };
            let Inode { bytes, synced } = self.files.borrow()[inode].clone();
            if !synced {
                left.push(Some(Vec::new()));
                left.push(Some(bytes[..bytes.len() / 2].to_vec()));
                left.push(Some(vec![0; bytes.len()]));
            }
            left.push(Some(bytes));
        }
        left
    }
}

impl RingFile for Disk {
    fn path(&self) -> PathBuf {
        PathBuf::from(FILE)
    }

    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.content(self.name.get()))
    }

    fn write_new(&self, bytes: &[u8]) -> io::Result<()> {
        let stopped = self.step();
        let written = if stopped.is_err() {
            &bytes[..bytes.len() / 3]
        } else {
            bytes
        };
        self.files.borrow_mut().push(Inode {
            bytes: written.to_vec(),
            synced: false,
        });
        self.new.set(Some(self.files.borrow().len() - 1));
        stopped
    }

    fn sync_new(&self) -> io::Result<()> {
        self.step()?;
        self.files.borrow_mut()[self.new.get().unwrap()].synced = true;
        Ok(())
    }

    fn rename_new(&self) -> io::Result<()> {
        self.step()?;
        self.name.set(self.new.take());
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.step()?;
        self.durable_name.set(self.name.get());
        Ok(())
    }
}

/// Something sealed before anything happened.
struct Sealed(Vec<u8>);

impl Sealed {
    fn under(root: &SealingRoot) -> Self {
        Self(root.seal("test", b"here", b"secret").unwrap())
    }

    fn opens(&self, files: &Disk, root: &HeldKey) -> bool {
        let opened = open_in(files, root).and_then(|keys| keys.open("test", b"here", &self.0));
        opened.is_ok_and(|plain| plain.as_slice() == b"secret")
    }
}

/// An installation from before there were data keys, and a new one.
fn installations(root: &HeldKey) -> [Option<Vec<u8>>; 2] {
    let disk = Disk::default();
    write(&disk, &Ring::first(root, NOW).unwrap(), &[root]).unwrap();
    [None, disk.read().unwrap()]
}

#[test]
fn whenever_it_stops_the_sealing_key_from_before_opens_everything_until_the_new_one_does() {
    let (old, new) = (key(1), key(2));
    let mut cases = 0;
    for before in installations(&old) {
        let sealed = Sealed::under(&open_in(&Disk::holding(before.clone()), &old).unwrap());
        for stop in 0..=4 {
            let disk = Disk::holding(before.clone()).stopping_at(stop);
            let done = rotate_in(&disk, &old, &new, NOW).is_ok();
            assert_eq!(done, stop == 4, "step {stop}");
            for left in disk.aftermath() {
                cases += 1;
                let disk = Disk::holding(left.clone());
                assert!(sealed.opens(&disk, &old), "step {stop}: {left:?}");
                if done {
                    assert!(sealed.opens(&disk, &new), "it was said to be done");
                }
                // Again, as an operator would.
                rotate_in(&disk, &old, &new, NOW).unwrap();
                assert!(sealed.opens(&disk, &old) && sealed.opens(&disk, &new));
            }
        }
        let disk = Disk::holding(before);
        rotate_in(&disk, &old, &new, NOW).unwrap();
        let both = disk.read().unwrap();
        for stop in 0..=4 {
            let disk = Disk::holding(both.clone()).stopping_at(stop);
            let done = finish_in(&disk, &new).is_ok();
            for left in disk.aftermath() {
                cases += 1;
                let disk = Disk::holding(left.clone());
                assert!(sealed.opens(&disk, &new), "step {stop}: {left:?}");
                assert!(!done || !sealed.opens(&disk, &old), "the old one is out");
                finish_in(&disk, &new).unwrap();
                assert!(sealed.opens(&disk, &new) && !sealed.opens(&disk, &old));
            }
        }
    }
    assert!(cases > 50, "only {cases}");
}

#[test]
fn a_broker_with_the_old_key_changes_nothing_and_another_key_may_take_the_new_ones_place() {
    let (old, new, newer) = (key(1), key(2), key(3));
    for before in installations(&old) {
        let disk = Disk::holding(before);
        let sealed = Sealed::under(&open_in(&disk, &old).unwrap());
        rotate_in(&disk, &old, &new, NOW).unwrap();
        assert!(!finish_in(&disk, &old).unwrap());
        rotate_in(&disk, &old, &newer, NOW).unwrap();
        assert!(sealed.opens(&disk, &old) && sealed.opens(&disk, &newer));
        assert!(!sealed.opens(&disk, &new));
        // From the new one straight on, without a start in between.
        rotate_in(&disk, &newer, &new, NOW).unwrap();
        assert!(sealed.opens(&disk, &new) && sealed.opens(&disk, &newer));
        assert!(!sealed.opens(&disk, &old));
        assert!(
            rotate_in(&disk, &new, &newer, NOW).is_err(),
            "back to the one from before"
        );
        assert!(rotate_in(&disk, &new, &new, NOW).is_err());
        let Err(error) = open_in(&disk, &old) else {
            panic!("the old key opens")
        };
        let words = error.to_string();
        for id in [old.id(), new.id(), newer.id()] {
            assert!(words.contains(&id.to_string()), "{words}");
        }
    }
}

#[test]
fn what_was_sealed_straight_under_a_sealing_key_opens_after_every_exchange() {
    let (first, second, third) = (key(1), key(2), key(3));
    for before in installations(&first) {
        let disk = Disk::holding(before);
        let trust_root = SealingRoot::from_bytes(&[1; 32])
            .seal("root key", b"", b"pkcs8")
            .unwrap();
        let of_second = SealingRoot::from_bytes(&[2; 32])
            .seal("root key", b"", b"pkcs8")
            .unwrap();
        rotate_in(&disk, &first, &second, NOW).unwrap();
        finish_in(&disk, &second).unwrap();
        rotate_in(&disk, &second, &third, NOW).unwrap();
        finish_in(&disk, &third).unwrap();
        let root = open_in(&disk, &third).unwrap();
        for sealed in [trust_root, of_second] {
            assert_eq!(
                root.open("root key", b"", &sealed).unwrap().as_slice(),
                b"pkcs8"
            );
        }
    }
}

#[test]
fn a_changed_file_is_refused_wherever_it_was_changed() {
    let (old, new) = (key(1), key(2));
    let [_, before] = installations(&old);
    let disk = Disk::holding(before);
    rotate_in(&disk, &old, &new, NOW).unwrap();
    let bytes = disk.read().unwrap().unwrap();
    let mut opened = Vec::new();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if open_in(&Disk::holding(Some(changed)), &old).is_ok() {
                opened.push((at, bit));
            }
        }
    }
    // White space between members may become other white space.
    let blank = |at: usize| bytes[at].is_ascii_whitespace();
    opened.retain(|(at, _)| !blank(*at));
    assert!(opened.is_empty(), "{opened:?}");
    for length in 0..bytes.len() {
        let cut = Disk::holding(Some(bytes[..length].to_vec()));
        assert!(open_in(&cut, &old).is_err(), "{length} bytes");
    }
}

#[test]
fn entries_of_two_files_cannot_be_mixed() {
    let root = key(1);
    let [_, mine] = installations(&root);
    let [_, other] = installations(&root);
    let document = |bytes: &Option<Vec<u8>>| -> Document {
        serde_json::from_slice(bytes.as_ref().unwrap()).unwrap()
    };
    let mut mixed = document(&mine);
    mixed.keys = document(&other).keys;
    let disk = Disk::holding(Some(serde_json::to_vec(&mixed).unwrap()));
    assert!(matches!(
        open_in(&disk, &root),
        Err(CryptoError::RingDamaged { .. })
    ));
}

#[test]
fn a_new_data_key_seals_what_comes_and_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (key(1), key(2));
    let before = begin(folder.path(), &old, NOW).unwrap();
    let sealed = Sealed::under(&before);
    let again = begin(folder.path(), &old, NOW).unwrap();
    assert_eq!(
        again.open("test", b"here", &sealed.0).unwrap().as_slice(),
        b"secret"
    );
    add_data_key(folder.path(), &old, NOW).unwrap();
    let after = open(folder.path(), &old).unwrap();
    assert_eq!((before.newest().0, after.newest().0), (1, 2));
    assert_eq!(
        after.open("test", b"here", &sealed.0).unwrap().as_slice(),
        b"secret"
    );
    rotate(folder.path(), &old, &new, NOW).unwrap();
    assert!(
        add_data_key(folder.path(), &old, NOW).is_err(),
        "the other wrap cannot be made"
    );
    add_data_key(folder.path(), &new, NOW).unwrap();
    let shown = status(folder.path()).unwrap().unwrap();
    assert_eq!(
        (shown.sealing_key, shown.next_sealing_key),
        (new.id().clone(), None)
    );
    assert_eq!(shown.data_keys.len(), 3);
    assert!(open(folder.path(), &old).is_err());
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [FILE], "nothing is left behind");
}

#[test]
fn no_key_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    begin(folder.path(), &key(1), NOW).unwrap();
    rotate(folder.path(), &key(1), &key(2), NOW).unwrap();
    let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
    let ring = Ring::of(&InFolder(folder.path()), &key(1), NOW).unwrap();
    for bytes in ring
        .keys
        .iter()
        .map(|entry| entry.key.bytes())
        .chain([&[1; 32], &[2; 32]])
    {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!text.contains(&URL_SAFE_NO_PAD.encode(bytes)) && !text.contains(&hex));
    }
}

#[test]
fn a_copy_is_opened_by_its_own_data_keys_or_by_those_of_the_folder_that_it_goes_to() {
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let (old, new) = (key(1), key(2));
    let (data, copy, empty, other, bare) = (
        folder("data"),
        folder("copy"),
        folder("empty"),
        folder("other"),
        folder("bare"),
    );
    let sealed = Sealed::under(&begin(&data, &old, NOW).unwrap());
    std::fs::copy(data.join(FILE), copy.join(FILE)).unwrap();
    let copied = std::fs::read(copy.join(FILE)).unwrap();
    rotate(&data, &old, &new, NOW).unwrap();
    finish(&data, &new).unwrap();
    begin(&other, &old, NOW).unwrap();
    let opens = |root: &SealingRoot, sealed: &Sealed| root.open("test", b"here", &sealed.0).is_ok();

    let known = for_restore(&copy, &data, &new).unwrap();
    assert!(opens(&known.root, &sealed) && known.file == Exchange::Stays);
    assert!(for_restore(&copy, &empty, &new).is_err());
    for target in [&empty, &other, &data] {
        let by_old = for_restore(&copy, target, &old).unwrap();
        assert!(opens(&by_old.root, &sealed));
        assert_eq!(by_old.file, Exchange::Becomes(copied.clone()));
    }

    // From before there were data keys: beside those of another installation it would not open.
    let earlier = Sealed::under(&SealingRoot::from_bytes(&[1; 32]));
    let goes = for_restore(&bare, &other, &old).unwrap();
    assert!(opens(&goes.root, &earlier) && goes.file == Exchange::Goes);
    exchange(&other, &goes.file).unwrap();
    exchange(&other, &goes.file).unwrap();
    assert!(!other.join(FILE).exists());
    // One that has left its first sealing key behind knows it as number 0.
    rotate(&empty, &old, &new, NOW).unwrap();
    let known = for_restore(&bare, &empty, &new).unwrap();
    assert!(opens(&known.root, &earlier) && known.file == Exchange::Stays);
}
