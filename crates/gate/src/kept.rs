//! Bodies of what is held, which lie elsewhere until a person has answered.
//!
//! Knows what of an operation is let go of meanwhile, and how it comes back. Where that lies, and by which key it is
//! encrypted, is known to whoever keeps it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use gatehouse_model::{Bind, Denial, Digest, Identity, Operation, Reason};

use crate::desk::{Asked, PendingRequest};

/// How much of a body whoever lists requests is shown, in bytes of what is shown; by itself, a request has all of it.
const HELD_BIND_BYTES_MAX: usize = 1024;

/// Where the bodies of what is held lie.
pub trait Bodies: Send + Sync {
    /// Takes a body in, of what somebody asks.
    ///
    /// # Errors
    /// [`NotKept`] if it does not lie there: then nobody is asked.
    fn keep(&self, owner: &Identity, body: &[u8]) -> Result<Box<dyn KeptBody>, NotKept>;
}

/// A body that lies there. When this is dropped it is gone.
pub trait KeptBody: std::fmt::Debug + Send + Sync {
    /// The body, as it was taken in.
    ///
    /// # Errors
    /// It is gone, or is not what was taken in.
    fn read(&self) -> io::Result<Vec<u8>>;
}

/// Why a body is not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It is longer than one may be.
    #[error("its body of {bytes} bytes is longer than limits.held_body_bytes_max = {bytes_max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long one may be.
        bytes_max: usize,
    },
    /// There is no room beside those that lie there.
    #[error("with its body, more than limits.held_bodies_bytes_max = {bytes_max} bytes would be kept of what is held")]
    Full {
        /// How long all may be together.
        bytes_max: usize,
    },
    /// There is no room beside those of the same identity.
    #[error(
        "with its body, more than {share} bytes would be kept of what is held of {owner}, whose share that is of \
         limits.held_bodies_bytes_max = {bytes_max}"
    )]
    ShareFull {
        /// Whose they are.
        owner: Identity,
        /// How long those of one identity may be together.
        share: usize,
        /// How long all may be together.
        bytes_max: usize,
    },
    /// The journal's disk would be filled with it.
    #[error("its body is not kept: the gateway's disk would have less than {bytes_min} bytes to spare")]
    DiskFull {
        /// What is left free of the disk.
        bytes_min: u64,
    },
    /// It could not be written.
    #[error("its body cannot be kept")]
    Failed(#[source] io::Error),
}

impl NotKept {
    /// What the client is told.
    pub(crate) fn denial(&self, title: &str) -> Denial {
        let (reason, hint) = match self {
            Self::TooLong { .. } => (Reason::Limit, "Send less at once, or ask the operator to raise the limit"),
            Self::Full { .. } | Self::ShareFull { .. } => {
                (Reason::Limit, "Try again when other requests are answered, or withdraw some")
            }
            Self::DiskFull { .. } => {
                (Reason::Unrecorded, "Try again later, or tell the operator of the gateway to make room on its disk")
            }
            Self::Failed(_) => {
                (Reason::Unrecorded, "Try again later, or tell the operator of the gateway: its disk may be full")
            }
        };
        Denial::new(reason, format!("{title} needs approval and cannot be held"), self.to_string(), hint)
    }
}

/// How a body stands among the values of its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Binary,
    /// What a person is shown of it stands in the statement.
    InStatement,
}

impl Form {
    /// `None` where the values are other than the body.
    fn of(binds: &[Bind], body: &[u8]) -> Option<Self> {
        match binds {
            [] => Some(Self::InStatement),
            [Bind::Text(text)] => (text.as_bytes() == body).then_some(Self::Text),
            [Bind::Binary(bytes)] => (bytes == body).then_some(Self::Binary),
            [Bind::Null] | [_, _, ..] => None,
        }
    }
}

/// The body of something that is held.
#[derive(Debug)]
pub(crate) struct Kept {
    body: Box<dyn KeptBody>,
    bytes: usize,
    digest: Digest,
    form: Form,
}

impl Kept {
    /// Lets go of an operation's body, which then lies elsewhere. `None` where it stays in the operation, for its values are other
    /// than it.
    pub(crate) fn take(
        bodies: &dyn Bodies,
        owner: &Identity,
        operation: &mut Operation,
        body: &[u8],
    ) -> Result<Option<Arc<Self>>, NotKept> {
        let Some(form) = Form::of(&operation.binds, body) else { return Ok(None) };
        let digest = Digest::of(body);
        let kept = Self { body: bodies.keep(owner, body)?, bytes: body.len(), digest, form };
        operation.binds = Vec::new();
        Ok(Some(Arc::new(kept)))
    }

    /// The body, if it is what it was.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let body = self.body.read()?;
        let is_same = Digest::of(&body) == self.digest;
        if is_same { Ok(body) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what it was")) }
    }

    /// The operation's values again.
    pub(crate) fn binds(&self, body: Vec<u8>) -> io::Result<Vec<Bind>> {
        Ok(match self.form {
            Form::Text => vec![Bind::Text(String::from_utf8(body).map_err(io::Error::other)?)],
            Form::Binary => vec![Bind::Binary(body)],
            Form::InStatement => Vec::new(),
        })
    }

    /// What a person is shown of it, in whole.
    pub(crate) fn shown(&self) -> io::Result<Vec<String>> {
        Ok(self.binds(self.read()?)?.iter().map(shown_bind).collect())
    }
}

/// What the request about something held says of its values, where they lie elsewhere: how they begin, and how long all is.
pub(crate) fn shorten(request: &mut PendingRequest, kept: &Kept) {
    let Asked::Operation(operation) = &mut request.asked else { return };
    for bind in &mut operation.binds {
        if let Some(beginning) = beginning(bind) {
            *bind = beginning;
            operation.is_exact = false;
            operation.body_bytes = Some(kept.bytes);
        }
    }
}

/// How a long value begins; `None` for one that is not. In an allocation of its own, for what is cut off is to be let go of.
fn beginning(bind: &str) -> Option<String> {
    let is_long = bind.len() > HELD_BIND_BYTES_MAX;
    is_long.then(|| format!("{}…", bind.get(..bind.floor_char_boundary(HELD_BIND_BYTES_MAX)).unwrap_or_default()))
}

/// A value, as a person is shown it.
pub(crate) fn shown_bind(bind: &Bind) -> String {
    match bind {
        Bind::Null => "NULL".into(),
        Bind::Text(text) => format!("'{text}'"),
        Bind::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// What was approved cannot go on, for its body did not come back.
pub(crate) fn lost(title: &str, error: &io::Error) -> Denial {
    Denial::new(
        Reason::Unrecorded,
        format!("{title} was approved, but its body is lost"),
        format!("what the gateway kept of it cannot be read back: {error}"),
        "Ask again to have it decided; if it stays so, tell the operator of the gateway: somebody changes files in its data folder",
    )
}

/// What waits of a run.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// All of it, or what is enough to refuse it.
    pub(crate) run: Bytes,
    /// Its body, where that lies elsewhere.
    pub(crate) kept: Option<Arc<Kept>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_by_how_they_begin() {
        let fits = "x".repeat(HELD_BIND_BYTES_MAX);
        assert_eq!(beginning(&fits), None);
        assert_eq!(beginning(""), None);
        let long = beginning(&(fits.clone() + "y")).unwrap();
        assert_eq!(long, fits + "…");
        // No character is cut in two.
        let accents = "é".repeat(HELD_BIND_BYTES_MAX);
        let odd = beginning(&format!("x{accents}")).unwrap();
        assert_eq!(odd, format!("x{}…", "é".repeat(HELD_BIND_BYTES_MAX / 2 - 1)));
    }
}
