//! The log on real disks: damage, crashes, power cuts, full disks, backups.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests of a whole store: a surprise ends the test, and what did not run is said aloud"
)]

mod checkpoint;
mod crash;
mod damage;
pub(crate) mod full;
pub(crate) mod power;
mod prepared;
mod restore;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lanyard::clock::SystemClock;
use lanyard::crypto::SealingRoot;
use lanyard::store::event::{By, Cause};
use lanyard::store::log::{Log, LogConfig, OpenReport};
use lanyard::store::{DamagedRow, Event, Projection, Record, Row, Store, StoreError};
use lanyard_token::{NodeId, Rev};

pub(crate) const DOMAIN: &str = "https://login.example";

/// A projection with rows: how often each name or node was written, and at which rev last.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<LedgerState>);

#[derive(Default)]
struct LedgerState {
    rows: BTreeMap<String, (u64, u64)>,
    changed: Vec<String>,
    collected: u64,
}

impl Ledger {
    pub(crate) fn rows(&self) -> BTreeMap<String, (u64, u64)> {
        self.0.lock().unwrap().rows.clone()
    }

    /// How often changed rows were asked for.
    pub(crate) fn collected(&self) -> u64 {
        self.0.lock().unwrap().collected
    }
}

impl Projection for Ledger {
    fn name(&self) -> &'static str {
        "ledger"
    }
    fn apply(&self, record: &Record) {
        let mut state = self.0.lock().unwrap();
        for (rev, event) in record.entries() {
            let key = match event {
                Event::OwnerCreated { name, .. } => format!("owner {name}"),
                Event::Revoked { node, .. } => format!("node {node}"),
                Event::FloorRaised { floor } => format!("floor {floor}"),
                _ => continue,
            };
            let row = state.rows.entry(key.clone()).or_default();
            *row = (row.0 + 1, rev.as_u64());
            state.changed.push(key);
        }
    }
    fn changed_rows(&self) -> Vec<Row> {
        let mut state = self.0.lock().unwrap();
        state.collected += 1;
        let changed = std::mem::take(&mut state.changed);
        let row = |key: String| Row {
            value: state
                .rows
                .get(&key)
                .map(|row| serde_json::to_vec(row).unwrap()),
            key: key.into_bytes(),
        };
        changed.into_iter().map(row).collect()
    }
    fn load_row(&self, key: &[u8], value: &[u8]) -> Result<(), DamagedRow> {
        let key = String::from_utf8(key.to_vec()).map_err(|_| DamagedRow)?;
        let row = serde_json::from_slice(value).map_err(|_| DamagedRow)?;
        self.0.lock().unwrap().rows.insert(key, row);
        Ok(())
    }
    fn reset(&self) {
        *self.0.lock().unwrap() = LedgerState::default();
    }
}

pub(crate) struct Opened {
    pub(crate) log: Arc<Log>,
    pub(crate) report: OpenReport,
    pub(crate) ledger: Arc<Ledger>,
}

pub(crate) fn root() -> Arc<SealingRoot> {
    Arc::new(SealingRoot::from_bytes(&[1; 32]))
}

pub(crate) fn config(folder: &Path) -> LogConfig {
    let mut config = LogConfig::new(folder, DOMAIN);
    config.reserve_bytes = 64 << 10;
    config
}

pub(crate) fn open_with(config: LogConfig) -> Result<Opened, StoreError> {
    let ledger = Arc::new(Ledger::default());
    let (log, report) = Log::open(config, root(), Arc::new(SystemClock), vec![ledger.clone()])?;
    Ok(Opened {
        log,
        report,
        ledger,
    })
}

pub(crate) fn open(folder: &Path) -> Result<Opened, StoreError> {
    open_with(config(folder))
}

pub(crate) fn created(name: impl Into<String>) -> Event {
    let owner = NodeId::new(1, 1).unwrap();
    Event::OwnerCreated {
        owner,
        name: name.into(),
        contact: None,
        by: By::Broker,
    }
}

pub(crate) fn revoked(counter: u64) -> Event {
    Event::Revoked {
        node: NodeId::new(1, counter).unwrap(),
        cause: Cause::Requested,
        by: By::Broker,
    }
}

pub(crate) fn all_records(log: &Log) -> Result<Vec<Record>, StoreError> {
    log.read(Rev::ZERO, usize::MAX)
}

pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Small numbers from a seed: tests that damage things at random must be able to do it again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}
