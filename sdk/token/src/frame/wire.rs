//! Reading and writing of numbers: never past the end, never more than is there.

use super::FrameError;
use crate::{KeyId, NodeId, Rev};

/// What is left to read.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<&'b [u8; N], FrameError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FrameError::Damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        self.take::<1>().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        self.take().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, FrameError> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(super) fn node(&mut self) -> Result<NodeId, FrameError> {
        self.u64().map(NodeId::from_u64)
    }

    pub(super) fn rev(&mut self) -> Result<Rev, FrameError> {
        Rev::from_u64(self.u64()?).ok_or(FrameError::Damaged)
    }

    pub(super) fn key_id(&mut self) -> Result<KeyId, FrameError> {
        let text = std::str::from_utf8(self.take::<{ KeyId::LENGTH }>()?);
        text.ok()
            .and_then(|text| text.parse().ok())
            .ok_or(FrameError::Damaged)
    }

    /// Reads `count` items of at least `width` bytes, after making sure that they are there.
    pub(super) fn list<T>(
        &mut self,
        count: usize,
        width: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        if count
            .checked_mul(width)
            .is_none_or(|bytes| bytes > self.0.len())
        {
            return Err(FrameError::Damaged);
        }
        (0..count).map(|_| item(self)).collect()
    }

    /// The number of items of a long list.
    pub(super) fn count(&mut self) -> Result<usize, FrameError> {
        usize::try_from(self.u32()?).map_err(|_| FrameError::Damaged)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes big endian.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn node(&mut self, node: NodeId) {
        self.u64(node.as_u64());
    }

    pub(super) fn rev(&mut self, rev: Rev) {
        self.u64(rev.as_u64());
    }

    pub(super) fn key_id(&mut self, kid: &KeyId) {
        self.bytes(kid.as_bytes());
    }
}
