//! Where a session's recording goes: what the client saw, and which operation it belongs to.

use std::io;
use std::time::Duration;

use gatehouse_model::Digest;

/// One piece of a recording.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// What the client is about to see.
    ToClient(&'a [u8]),
    /// A remark between, such as the statement that what follows answers, and when that was, since the session began.
    Mark(Duration, &'a str),
}

/// A recording being written. A failure stops what it would have shown.
pub trait Tape: Send {
    /// Adds pieces in their order, all or none; what is about to be seen is seen `at` after the session began.
    fn write(&mut self, at: Duration, pieces: &[Piece<'_>]) -> io::Result<()>;

    /// Makes sure that there is room for so many bytes more, where that can be told before they are written.
    fn reserve(&mut self, bytes: usize) -> io::Result<()>;

    /// Ends it.
    fn seal(&mut self) -> io::Result<TapeSeal>;
}

/// What a finished recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeSeal {
    /// Its file's name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 digest.
    pub digest: Digest,
    /// Part of what was seen is there only as a digest, for it was longer than the limit.
    pub cut: bool,
}
