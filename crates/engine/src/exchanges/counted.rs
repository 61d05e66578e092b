//! Counts the frames of a target's bodies over HTTP/2 that hold nothing: of these a connection has only so many in its life, however
//! many answers they are of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::InspectReader;

use crate::wire::Wire;

/// How long the head of a frame is, in bytes (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;
/// The kind of the frames that a body comes in, and flags of these (RFC 9113, section 6.1).
const DATA: u8 = 0;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
/// How long a padded frame may be in which there is nothing else.
const PADDING_BYTES_MAX: usize = 256;

/// A connection on which nothing was said yet, and where its empty frames are counted.
pub(super) fn counted(wire: Wire, empty: Arc<AtomicUsize>) -> impl AsyncRead + AsyncWrite + Unpin + Send {
    let mut frames = Frames::default();
    InspectReader::new(wire, move |said: &[u8]| {
        let more = frames.pass(said);
        if more > 0 {
            empty.fetch_add(more, Ordering::Relaxed);
        }
    })
}

/// Where in frames one is.
#[derive(Default)]
struct Frames {
    /// The head of the next frame, as far as it is there.
    head: [u8; HEAD_BYTES],
    filled: usize,
    /// How much of the frame at hand is to come, in bytes.
    due: usize,
}

impl Frames {
    /// Goes past what was said, and tells how many frames in it hold nothing of a body and do not end it.
    fn pass(&mut self, mut said: &[u8]) -> usize {
        let mut empty = 0;
        while !said.is_empty() {
            let passed = if self.due > 0 { self.pass_content(said) } else { self.pass_head(said, &mut empty) };
            said = said.get(passed..).unwrap_or_default();
        }
        empty
    }

    fn pass_content(&mut self, said: &[u8]) -> usize {
        let passed = self.due.min(said.len());
        self.due -= passed;
        passed
    }

    fn pass_head(&mut self, said: &[u8], empty: &mut usize) -> usize {
        let passed = (HEAD_BYTES - self.filled).min(said.len());
        self.head.iter_mut().skip(self.filled).zip(said).for_each(|(place, byte)| *place = *byte);
        self.filled += passed;
        if self.filled == HEAD_BYTES {
            self.filled = 0;
            let [high, middle, low, kind, flags, ..] = self.head;
            self.due = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
            // Those with more in them than padding are few, and may count as well.
            let holds_nothing = self.due == 0 || flags & PADDED != 0 && self.due <= PADDING_BYTES_MAX;
            *empty += usize::from(kind == DATA && flags & END_STREAM == 0 && holds_nothing);
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], content].concat()
    }

    #[test]
    fn frames_that_hold_nothing_are_counted_however_they_come() {
        let said = [
            frame(4, 0, b""),
            frame(1, 4, b"head"),
            frame(DATA, 0, b""),
            frame(DATA, 0, &frame(DATA, 0, b"")),
            frame(DATA, PADDED, b"\x02\0\0"),
            frame(DATA, PADDED, &[1; 300]),
            frame(DATA, END_STREAM, b""),
            frame(DATA, 0, b""),
        ]
        .concat();
        for size in 1..=said.len() {
            let mut frames = Frames::default();
            let empty: usize = said.chunks(size).map(|part| frames.pass(part)).sum();
            assert_eq!(empty, 3, "{size} bytes at a time");
            assert_eq!((frames.filled, frames.due), (0, 0));
        }
    }
}
