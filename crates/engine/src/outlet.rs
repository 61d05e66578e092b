//! The only writer of the data path: it takes cleared frames and nothing else.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use gatehouse_gate::Cleared;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::disk::{Disk, NotOnDisk};
use crate::wire::Wire;

/// What it takes to keep a frame that waits, in bytes.
const FRAME_OVERHEAD_BYTES: usize = 128;
/// Frames written in one system call.
const FRAMES_PER_WRITE_MAX: usize = 64;
/// So much is written from one place, for that is faster than from many, in bytes.
const TOGETHER_BYTES_MAX: usize = 16 * 1024;
/// What is read at a time, in bytes: little from a peer that says little, more from one that fills it.
const READ_BYTES_MIN: usize = 8 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;

/// A connection: whoever holds it may read, and write what was cleared.
pub struct Outlet<W> {
    writer: W,
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Something was written that may lie in a buffer below.
    unflushed: bool,
    disk_wait: Option<DiskWait>,
    read_bytes: usize,
}

/// The wait for a record to be on disk.
struct DiskWait(Pin<Box<dyn Future<Output = Result<(), NotOnDisk>> + Send>>);

struct Waiting {
    /// The record that must be on disk first.
    after: Option<u64>,
    frame: Bytes,
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    /// An outlet over a connection, which nothing else may hold.
    pub fn new(writer: W) -> Self {
        Self { writer, queue: VecDeque::new(), bytes: 0, unflushed: false, disk_wait: None, read_bytes: READ_BYTES_MIN }
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

    /// How many bytes wait to be written, with what it takes to keep them.
    pub fn len(&self) -> usize {
        self.bytes + self.queue.len() * FRAME_OVERHEAD_BYTES
    }

    /// True when nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.unflushed
    }

    /// Writes what waits, as far as the peer takes it; ready when something was written.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, disk: &Disk) -> Poll<io::Result<()>> {
        let mut moved = false;
        loop {
            let step = self.poll_step(cx, disk);
            match step {
                Poll::Ready(Ok(true)) => moved = true,
                Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if moved => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// One system call; false when there is nothing more to do.
    fn poll_step(&mut self, cx: &mut Context<'_>, disk: &Disk) -> Poll<io::Result<bool>> {
        let Some(front) = self.queue.front_mut() else {
            if self.unflushed {
                ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
                self.unflushed = false;
            }
            // A queue that grew is not kept by a connection that rests.
            if self.queue.capacity() > FRAMES_PER_WRITE_MAX {
                self.queue = VecDeque::new();
            }
            return Poll::Ready(Ok(false));
        };
        if let Some(index) = front.after {
            if !disk.has(index) {
                let wait = self.disk_wait.get_or_insert_with(|| {
                    let disk = disk.clone();
                    DiskWait(Box::pin(async move { disk.holds(index).await }))
                });
                let held = ready!(wait.0.as_mut().poll(cx));
                self.disk_wait = None;
                held.map_err(io::Error::other)?;
            }
            front.after = None;
        }
        self.join_small();
        let ready_frames = self.queue.iter().take_while(|waiting| waiting.after.is_none());
        let mut slices = [IoSlice::new(&[]); FRAMES_PER_WRITE_MAX];
        let mut count = 0;
        for (slice, waiting) in slices.iter_mut().zip(ready_frames) {
            *slice = IoSlice::new(&waiting.frame);
            count += 1;
        }
        let slices = slices.get(..count).unwrap_or_default();
        let written = match slices {
            [only] => ready!(Pin::new(&mut self.writer).poll_write(cx, only))?,
            several => ready!(Pin::new(&mut self.writer).poll_write_vectored(cx, several))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.written(written);
        Poll::Ready(Ok(true))
    }

    /// Makes one frame of those at the front, if they are small together.
    fn join_small(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        for waiting in self.queue.iter().take_while(|waiting| waiting.after.is_none()) {
            if bytes + waiting.frame.len() > TOGETHER_BYTES_MAX {
                break;
            }
            count += 1;
            bytes += waiting.frame.len();
        }
        if count < 2 {
            return;
        }
        let mut joined = Vec::with_capacity(bytes);
        self.queue.drain(..count).for_each(|waiting| joined.extend_from_slice(&waiting.frame));
        self.queue.push_front(Waiting { after: None, frame: joined.into() });
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
            poll_fn(|cx| self.poll_write(cx, disk)).await?;
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub async fn shut(&mut self) {
        // The peer may be gone already, which is what was wanted.
        let _ = self.writer.shutdown().await;
    }

    /// Gives the connection back, for the change from clear text to TLS.
    pub(crate) fn into_writer(self) -> W {
        self.writer
    }
}

impl<W: AsyncRead + Unpin> Outlet<W> {
    /// Reads some bytes behind what `buf` has; 0 at the end.
    pub(crate) async fn read(&mut self, buf: &mut BytesMut) -> io::Result<usize> {
        self.writer.read_buf(buf).await
    }
}

impl Outlet<Wire> {
    /// Reads some bytes behind what `buf` has, which is to reach `needs`; 0 at the end. No room is made before there is
    /// something to be read.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        needs: usize,
    ) -> Poll<io::Result<usize>> {
        if self.writer.poll_readable(cx)?.is_pending() {
            return Poll::Pending;
        }
        let room = self.read_bytes.max(needs.saturating_sub(buf.len()).min(READ_BYTES_MAX));
        buf.reserve(room);
        let read = ready!(pin!(self.writer.read_buf(buf)).poll(cx))?;
        if read >= room {
            self.read_bytes = (room * 2).min(READ_BYTES_MAX);
        } else if read < self.read_bytes / 4 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        Poll::Ready(Ok(read))
    }

    /// Ready when a read may give something.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.poll_readable(cx)
    }
}
