//! Where a session's recording goes: what the client saw, and which operation it belongs to.

use std::io;
use std::time::Duration;

use gatehouse_model::Digest;

/// A recording being written. A failure stops what it would have shown.
pub trait Tape: Send {
    /// What the client is about to see, `at` after the session began.
    fn to_client(&mut self, at: Duration, bytes: &[u8]) -> io::Result<()>;

    /// A remark between, such as the statement that what follows answers.
    fn mark(&mut self, at: Duration, text: &str) -> io::Result<()>;

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
