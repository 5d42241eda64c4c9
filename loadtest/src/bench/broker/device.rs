//! How long the device needs for an fdatasync, asked while something else keeps it busy.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A group commit of a few tokens.
const BLOCK: usize = 4_096;
/// Often enough for a share of one in a hundred, seldom enough not to be the load itself.
const PAUSE: Duration = Duration::from_millis(2);

/// A thread that writes and waits.
pub(super) struct Device {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<Vec<Duration>>,
}

impl Device {
    /// Begins, in a file of its own in this folder.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut waits = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(wait) = write(&mut file) {
                    waits.push(wait);
                }
                std::thread::sleep(PAUSE);
            }
            waits
        });
        Ok(Self { stop, writer })
    }

    /// The wait that 99 of 100 did not exceed; no time when nothing could be written, which no figure survives.
    pub(super) fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.writer.join().unwrap_or_default();
        waits.sort();
        let place = (waits.len() * 99) / 100;
        waits.get(place).copied().unwrap_or_default()
    }
}

fn write(file: &mut File) -> io::Result<Duration> {
    let began = Instant::now();
    file.write_all(&[b'.'; BLOCK])?;
    file.sync_data()?;
    Ok(began.elapsed())
}
