//! The index: saved rows of all projections, so that a restart replays only the newest records.
//!
//! sled 0.34 is fast and, by itself, not to be believed: it can panic on a damaged file, and its `flush`
//! does not survive every power cut. Nothing depends on it, because the log can always rebuild it. So
//! everything here is behind a catch, every row carries a tag, and the head carries a sum over all tags:
//! a row that was changed, moved, lost or brought back is noticed, and the index is thrown away.
//!
//! All rows lie in one tree, keyed by projection, because one tree takes a batch as one: rows and the
//! place they stand at can never part. The rows are authenticated, not sealed.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lanyard_token::Rev;

use super::Row;
use super::log::fields::{Fields, Hash};
use crate::crypto::Mac;

/// Where the index lies inside the data folder.
pub(crate) const FOLDER: &str = "index";
const HEAD_KEY: &[u8] = b"\0head";
const FORMAT: u32 = 1;
const TAG_BYTES: usize = 16;
const CACHE_BYTES: u64 = 64 << 20;
/// How many damaged copies are kept for whoever wants to know why.
const KEPT_COPIES: usize = 3;

/// Why the index is not used; always answered by rebuilding it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(pub(crate) String);

/// The place in the log the rows stand at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) rev: Rev,
    /// Of the record that ends there.
    pub(crate) hash: Hash,
}

/// Rows to save, with the projection they belong to.
pub(crate) type NamedRow = (&'static str, Row);

pub(crate) struct Index {
    /// Dropped inside a catch: closing a damaged index can panic as well.
    open: Option<Open>,
    file: File,
    mac: Mac,
    head: Head,
}

struct Open {
    db: ::sled::Db,
    rows: ::sled::Tree,
}

#[derive(Clone, Copy, Default)]
struct Head {
    standing: Option<Standing>,
    rows: u64,
    /// Sum of all tags, modulo 2^128: order does not matter, so it follows every change.
    sum: u128,
}

impl Index {
    /// Opens the index in `folder`, or makes an empty one.
    pub(crate) fn open(folder: &Path, mac: Mac) -> Result<Self, Unusable> {
        guarded("open", || {
            let config = ::sled::Config::default()
                .path(folder)
                .flush_every_ms(None)
                .cache_capacity(CACHE_BYTES)
                .mode(::sled::Mode::HighThroughput);
            let db = config.open().map_err(unusable("open"))?;
            let rows = db.open_tree("rows").map_err(unusable("open"))?;
            let file = File::open(folder.join("db")).map_err(unusable("open"))?;
            let open = Open { db, rows };
            let head = open.head(&mac)?;
            Ok(Self {
                open: Some(open),
                file,
                mac,
                head,
            })
        })
    }

    /// The place the rows stand at; `None` when the index is new.
    pub(crate) const fn standing(&self) -> Option<Standing> {
        self.head.standing
    }

    /// Reads and checks all rows. After an error some rows have been given already.
    pub(crate) fn load(
        &self,
        mut take: impl FnMut(&str, &[u8], &[u8]) -> Result<(), Unusable>,
    ) -> Result<u64, Unusable> {
        guarded("read", || {
            let open = self.engine()?;
            let (mut rows, mut sum) = (0_u64, 0_u128);
            for item in &open.rows {
                let (key, value) = item.map_err(unusable("read"))?;
                if *key == *HEAD_KEY {
                    continue;
                }
                let (tag, plain) = split_row(&value)?;
                if self.mac.tag(&[&key, plain]) != tag {
                    return Err(Unusable("a row is not what was saved".to_owned()));
                }
                let (name, key) = split_key(&key)?;
                take(name, key, plain)?;
                rows += 1;
                sum = sum.wrapping_add(u128::from_le_bytes(tag));
            }
            if (rows, sum) != (self.head.rows, self.head.sum) {
                return Err(Unusable(
                    "rows are missing, or there are too many".to_owned(),
                ));
            }
            Ok(rows)
        })
    }

    /// Saves changed rows and the place they stand at, as one, durably.
    pub(crate) fn save<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
        standing: Standing,
    ) -> Result<(), Unusable> {
        let head = guarded("write", || {
            let open = self.engine()?;
            let mut head = Head {
                standing: Some(standing),
                ..self.head
            };
            let mut batch = ::sled::Batch::default();
            for (key, value) in rows {
                if let Some(old) = open.rows.get(key).map_err(unusable("read"))? {
                    let (tag, _) = split_row(&old)?;
                    head.rows = head.rows.saturating_sub(1);
                    head.sum = head.sum.wrapping_sub(u128::from_le_bytes(tag));
                }
                let Some(plain) = value else {
                    batch.remove(key);
                    continue;
                };
                let tag = self.mac.tag(&[key, plain]);
                head.rows += 1;
                head.sum = head.sum.wrapping_add(u128::from_le_bytes(tag));
                batch.insert(key, [&tag[..], plain].concat());
            }
            batch.insert(HEAD_KEY, head.encode(&self.mac)?);
            open.rows.apply_batch(batch).map_err(unusable("write"))?;
            open.db.flush().map_err(unusable("flush"))?;
            // `flush` asks the kernel to begin writing; only this waits until the disk has it.
            self.file.sync_data().map_err(unusable("sync"))?;
            Ok(head)
        })?;
        self.head = head;
        Ok(())
    }

    fn engine(&self) -> Result<&Open, Unusable> {
        self.open
            .as_ref()
            .ok_or_else(|| Unusable("the index is closed".to_owned()))
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let open = self.open.take();
        let _ = guarded("close", || {
            drop(open);
            Ok(())
        });
    }
}

impl Open {
    fn head(&self, mac: &Mac) -> Result<Head, Unusable> {
        match self.rows.get(HEAD_KEY).map_err(unusable("read"))? {
            Some(bytes) => Head::decode(&bytes, mac)
                .ok_or_else(|| Unusable("its head is not what was saved".to_owned())),
            None if self.rows.is_empty() => Ok(Head::default()),
            None => Err(Unusable("its head is missing".to_owned())),
        }
    }
}

impl Head {
    fn encode(&self, mac: &Mac) -> Result<Vec<u8>, Unusable> {
        let standing = self
            .standing
            .ok_or_else(|| Unusable("rows without a place".to_owned()))?;
        let mut bytes = Vec::with_capacity(84);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&standing.rev.as_u64().to_le_bytes());
        bytes.extend_from_slice(&standing.hash);
        bytes.extend_from_slice(&self.rows.to_le_bytes());
        bytes.extend_from_slice(&self.sum.to_le_bytes());
        let tag = mac.tag(&[HEAD_KEY, &bytes]);
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    fn decode(bytes: &[u8], mac: &Mac) -> Option<Self> {
        let (body, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        if mac.tag(&[HEAD_KEY, body]) != *tag {
            return None;
        }
        let mut fields = Fields(body);
        if fields.u32()? != FORMAT {
            return None;
        }
        let rev = Rev::from_u64(fields.u64()?)?;
        let hash = fields.bytes()?;
        let rows = fields.u64()?;
        let sum = u128::from_le_bytes(fields.bytes()?);
        Some(Self {
            standing: Some(Standing { rev, hash }),
            rows,
            sum,
        })
    }
}

/// The key of a row in the tree: its projection's name, with its length ahead, then its own key. Names
/// are at least one byte long, so no row takes the head's key.
pub(crate) fn row_key(name: &str, key: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[length], name.as_bytes(), key].concat()
}

fn split_key(bytes: &[u8]) -> Result<(&str, &[u8]), Unusable> {
    let parts = bytes
        .split_first()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(*length)));
    let parts = parts.and_then(|(name, key)| Some((std::str::from_utf8(name).ok()?, key)));
    parts.ok_or_else(|| Unusable("a key cannot be read".to_owned()))
}

fn split_row(bytes: &[u8]) -> Result<([u8; TAG_BYTES], &[u8]), Unusable> {
    let parts = bytes.split_first_chunk::<TAG_BYTES>();
    parts
        .map(|(tag, plain)| (*tag, plain))
        .ok_or_else(|| Unusable("a row is cut off".to_owned()))
}

/// Moves a damaged index out of the way and keeps it; only the last few copies stay.
pub(crate) fn move_aside(data_folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let index = data_folder.join(FOLDER);
    if !index.exists() {
        return Ok(None);
    }
    let copy = |number: usize| data_folder.join(format!("index.damaged-{number}"));
    let number = (1..=KEPT_COPIES)
        .find(|number| !copy(*number).exists())
        .unwrap_or(KEPT_COPIES);
    if copy(number).exists() {
        std::fs::remove_dir_all(copy(1))?;
        for moved in 2..=KEPT_COPIES {
            std::fs::rename(copy(moved), copy(moved - 1))?;
        }
    }
    std::fs::rename(&index, copy(number))?;
    Ok(Some(copy(number)))
}

/// Runs something of sled's so that a panic is an error like any other.
fn guarded<T>(action: &str, run: impl FnOnce() -> Result<T, Unusable>) -> Result<T, Unusable> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        Err(Unusable(format!(
            "the engine panicked in an attempt to {action} it"
        )))
    })
}

fn unusable<E: std::fmt::Display>(action: &str) -> impl FnOnce(E) -> Unusable {
    move |error| Unusable(format!("cannot {action} it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SealingRoot;

    fn mac() -> Mac {
        SealingRoot::from_bytes(&[1; 32])
            .mac("index", b"test")
            .unwrap()
    }

    fn at(number: u64) -> Standing {
        Standing {
            rev: Rev::new(1, number).unwrap(),
            hash: [number as u8; 32],
        }
    }

    fn rows_of(index: &Index) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        index
            .load(|name, key, value| {
                rows.push((name.to_owned(), key.to_owned(), value.to_owned()));
                Ok(())
            })
            .unwrap();
        rows
    }

    #[test]
    fn rows_come_back_with_the_place_they_stand_at() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (row_key("one", b"a"), row_key("two", b"b"));
        {
            let mut index = Index::open(folder.path(), mac()).unwrap();
            assert_eq!(index.standing(), None);
            index
                .save(
                    [(&a[..], Some(&b"1"[..])), (&b[..], Some(&b"2"[..]))].into_iter(),
                    at(1),
                )
                .unwrap();
            index
                .save(
                    [(&a[..], Some(&b"3"[..])), (&b[..], None)].into_iter(),
                    at(2),
                )
                .unwrap();
        }
        let index = Index::open(folder.path(), mac()).unwrap();
        assert_eq!(index.standing(), Some(at(2)));
        assert_eq!(
            rows_of(&index),
            [("one".to_owned(), b"a".to_vec(), b"3".to_vec())]
        );
    }

    #[test]
    fn a_row_that_was_changed_or_lost_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (row_key("one", b"a"), row_key("one", b"b"));
        let mut index = Index::open(folder.path(), mac()).unwrap();
        index
            .save(
                [(&a[..], Some(&b"1"[..])), (&b[..], Some(&b"2"[..]))].into_iter(),
                at(1),
            )
            .unwrap();
        let rows = index.engine().unwrap().rows.clone();
        let kept = rows.get(&a).unwrap().unwrap();
        rows.insert(&a, rows.get(&b).unwrap().unwrap()).unwrap();
        assert!(index.load(|_, _, _| Ok(())).is_err());
        rows.remove(&a).unwrap();
        assert!(index.load(|_, _, _| Ok(())).is_err());
        rows.insert(&a, kept).unwrap();
        assert_eq!(index.load(|_, _, _| Ok(())).unwrap(), 2);
    }

    #[test]
    fn at_most_three_damaged_copies_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=5_u8 {
            std::fs::create_dir(folder.path().join(FOLDER)).unwrap();
            std::fs::write(folder.path().join(FOLDER).join("db"), [number]).unwrap();
            move_aside(folder.path()).unwrap().unwrap();
        }
        let kept = [1, 2, 3]
            .map(|n| std::fs::read(folder.path().join(format!("index.damaged-{n}/db"))).unwrap());
        assert_eq!(kept, [[3], [4], [5]]);
        assert_eq!(move_aside(folder.path()).unwrap(), None);
    }
}
