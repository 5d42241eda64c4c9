//! One segment of recorded windows: chunks, each `u32 length | sealed lines`.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use lanyard_drift::rehearsal::RecordedWindow;

use crate::clock::UnixMillis;
use crate::crypto::SealingRoot;

/// What chunks are sealed for.
const PURPOSE: &str = "windows";
/// No chunk is longer: windows are written every few seconds.
const MAX_CHUNK: u32 = 256 * 1024 * 1024;

/// A segment's name: its number, which only grows, and when it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) number: u64,
    pub(super) started: UnixMillis,
}

impl Name {
    /// `0000000007-1800000000000.windows`
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, started) = text.strip_suffix(".windows")?.split_once('-')?;
        let name = Self {
            number: number.parse().ok()?,
            started: UnixMillis(started.parse().ok()?),
        };
        (name.to_string() == text).then_some(name)
    }

    /// Where a chunk stands: it cannot be moved within its segment nor to another.
    fn place(self, chunk: u64) -> Vec<u8> {
        format!("windows file 1 {self} {chunk}").into_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{}.windows", self.number, self.started.0)
    }
}

/// A segment that grows.
pub(super) struct Writer {
    file: File,
    name: Name,
    chunks: u64,
    bytes: u64,
}

impl Writer {
    pub(super) fn create(folder: &Path, name: Name) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let file = File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(name.to_string()))?;
        File::open(folder)?.sync_all()?;
        Ok(Self {
            file,
            name,
            chunks: 0,
            bytes: 0,
        })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(
        &mut self,
        root: &SealingRoot,
        windows: &[RecordedWindow],
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        for window in windows {
            serde_json::to_writer(&mut lines, window)?;
            lines.push(b'\n');
        }
        let sealed = root
            .seal(PURPOSE, &self.name.place(self.chunks), &lines)
            .map_err(io::Error::other)?;
        let length = u32::try_from(sealed.len())
            .ok()
            .filter(|length| *length <= MAX_CHUNK)
            .ok_or_else(|| io::Error::other("a chunk of windows is too long"))?;
        let mut chunk = length.to_le_bytes().to_vec();
        chunk.extend_from_slice(&sealed);
        self.file.write_all(&chunk)?;
        self.file.sync_data()?;
        self.chunks += 1;
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        Ok(())
    }
}

/// A segment that is read from its start.
pub(super) struct Reader {
    file: BufReader<File>,
    name: Name,
    chunks: u64,
    cut: bool,
}

impl Reader {
    pub(super) fn open(folder: &Path, name: Name) -> io::Result<Self> {
        Ok(Self {
            file: BufReader::new(File::open(folder.join(name.to_string()))?),
            name,
            chunks: 0,
            cut: false,
        })
    }

    /// The windows of the next chunk; `None` at the end, or where the segment is cut.
    pub(super) fn next(&mut self, root: &SealingRoot) -> io::Result<Option<Vec<RecordedWindow>>> {
        let mut length = [0; 4];
        let read = read_up_to(&mut self.file, &mut length)?;
        if read == 0 {
            return Ok(None);
        }
        let wanted = u32::from_le_bytes(length);
        if read < length.len() || wanted > MAX_CHUNK {
            return Ok(self.cut());
        }
        // As much as is there, not as much as a damaged length says.
        let mut sealed = Vec::new();
        let found = (&mut self.file)
            .take(u64::from(wanted))
            .read_to_end(&mut sealed)?;
        if found < wanted as usize {
            return Ok(self.cut());
        }
        let Ok(lines) = root.open(PURPOSE, &self.name.place(self.chunks), &sealed) else {
            return Ok(self.cut());
        };
        self.chunks += 1;
        let lines = lines.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        // A window of a later release, in a form that this one does not know, is passed over.
        Ok(Some(
            lines
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect(),
        ))
    }

    /// Whether it ends in something else than a whole chunk.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
    }

    const fn cut(&mut self) -> Option<Vec<RecordedWindow>> {
        self.cut = true;
        None
    }
}

fn read_up_to(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(some) => read += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
