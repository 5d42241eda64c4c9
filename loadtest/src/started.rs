//! A process that was started here: it ends when whoever holds it lets go, by its own id, and its folder goes after it.
//! Not before: a process that still writes would leave files in a folder that was just removed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::process::Child;

/// A killed process is gone in a moment, if its disk lets it.
const GONE_WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

/// The process, and its files.
pub(crate) struct Started {
    pub(crate) process: Child,
    // Dropped after the process was ended.
    folder: Option<TempDir>,
}

impl Started {
    pub(crate) const fn new(process: Child, folder: Option<TempDir>) -> Self {
        Self { process, folder }
    }

    /// Its id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Its files.
    pub(crate) fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_ref().map(TempDir::path)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It fails where it has ended by itself.
        let _ = self.process.start_kill();
        let began = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && began.elapsed() < GONE_WITHIN {
            sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_process_and_its_folder_are_gone_once_nobody_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        let started = Started::new(process, Some(folder));
        let entry = format!("/proc/{}", started.id().unwrap());
        assert!(Path::new(&entry).exists() && path.exists());
        drop(started);
        assert!(!Path::new(&entry).exists() && !path.exists());
    }
}
