//! The only writer of the data path: it takes cleared frames and nothing else.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use gatehouse_gate::Cleared;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::disk::Disk;

/// Frames written in one system call.
const FRAMES_PER_WRITE_MAX: usize = 64;

/// One direction of a connection.
pub struct Outlet<W> {
    writer: W,
    queue: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    /// The record that must be on disk first.
    after: Option<u64>,
    frame: Bytes,
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    /// An outlet over a writer, which nothing else may hold.
    pub fn new(writer: W) -> Self {
        Self { writer, queue: VecDeque::new(), bytes: 0 }
    }

    /// Takes a cleared frame; it is written when its record is safe.
    pub fn push(&mut self, cleared: Cleared<Bytes>) {
        let after = cleared.receipt().and_then(gatehouse_gate::Receipt::awaits_disk);
        let frame = cleared.into_frame();
        if !frame.is_empty() {
            self.bytes += frame.len();
            self.queue.push_back(Waiting { after, frame });
        }
    }

    /// How many bytes wait to be written.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes some of what waits, in one system call. Safe to cancel: what was not written stays.
    pub async fn write_some(&mut self, disk: &Disk) -> io::Result<()> {
        if let Some(index) = self.queue.front().and_then(|waiting| waiting.after) {
            disk.holds(index).await.map_err(io::Error::other)?;
            if let Some(front) = self.queue.front_mut() {
                front.after = None;
            }
        }
        let ready = self.queue.iter().take_while(|waiting| waiting.after.is_none()).take(FRAMES_PER_WRITE_MAX);
        let slices: Vec<IoSlice<'_>> = ready.map(|waiting| IoSlice::new(&waiting.frame)).collect();
        if slices.is_empty() {
            return Ok(());
        }
        let written = self.writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written(written);
        if self.queue.is_empty() {
            self.writer.flush().await?;
        }
        Ok(())
    }

    fn written(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(front) = self.queue.front_mut() {
            if count < front.frame.len() {
                front.frame.advance(count);
                return;
            }
            count -= front.frame.len();
            self.queue.pop_front();
        }
    }

    /// Writes all that waits.
    pub async fn drain(&mut self, disk: &Disk) -> io::Result<()> {
        while !self.is_empty() {
            self.write_some(disk).await?;
        }
        self.writer.flush().await
    }

    /// Says that nothing more will come.
    pub async fn shut(&mut self) {
        // The peer may be gone already, which is what was wanted.
        let _ = self.writer.shutdown().await;
    }

    /// Gives the writer back, for the change from clear text to TLS.
    pub(crate) fn into_writer(self) -> W {
        self.writer
    }
}
