//! The append-only evidence log: records, Merkle tree, signed checkpoints, segment files, recordings and evidence
//! bundles.
//!
//! Knows what a record looks like, byte by byte, and how anyone can prove afterwards that none was changed. It must
//! not know a runtime, a socket, a clock or a source of randomness: time and key seeds are parameters. Files are
//! touched in [`segments`] and [`attachments`] alone; everything else is a function over bytes. No type of `model` is
//! serialized: [`record`] holds the wire types.
//!
//! # From an operation to a proof
//!
//! 1. [`Journal::append`] turns an [`Entry`] into a canonical line, hands it to a [`Sink`] and only then advances the
//!    tree. An error means that nothing was recorded, so nothing may pass.
//! 2. [`Journal::checkpoint`] signs size and root; [`Segments::write_checkpoint`] keeps it.
//! 3. [`Segments::open`] reads everything back after a restart and compares it with the last checkpoint.
//! 4. [`export`] packs a selection into a tar file; [`verify`] needs that file and a [`VerifierKey`], nothing else.
//!
//! # Limits
//!
//! | name | value | what it bounds |
//! |---|---|---|
//! | [`RECORD_BYTES_MAX`] | 16 MiB | one record's line |
//! | [`NOTE_BYTES_MAX`] | 64 KiB | one signed note |
//! | [`SEGMENT_BYTES_MAX`] | 64 MiB | one segment file, by default |
//! | [`CHUNK_BYTES_MAX`] | 1 MiB | one chunk of a recording |
//! | [`RECORDING_BYTES_MAX`] | 256 MiB | one recording, by default |
//! | [`MANIFEST_BYTES_MAX`] | 128 MiB | the manifest of a bundle |
//! | [`BUNDLE_RECORDS_MAX`] | 1 000 000 | the records of a bundle |
//! | [`BUNDLE_ENTRIES_MAX`] | 100 000 | the files in a bundle |
//! | [`FINDINGS_MAX`] | 1 000 | the findings of a report |

// Whoever only verifies, such as a browser, has no files.
#[cfg(unix)]
pub mod attachments;
pub mod bundle;
mod canonical;
mod line;
#[cfg(unix)]
pub mod log;
pub mod note;
pub mod record;
pub mod recording;
#[cfg(unix)]
pub mod segments;
pub mod tail;
#[cfg(unix)]
pub mod template;
pub mod tree;

#[cfg(unix)]
pub use attachments::FileAttachments;
pub use bundle::{
    Attachments, BUNDLE_ENTRIES_MAX, BUNDLE_RECORDS_MAX, FINDINGS_MAX, Finding, FindingKind, MANIFEST_BYTES_MAX,
    Report, Selection, verify,
};
#[cfg(unix)]
pub use bundle::{Export, ExportError, Exported, export};
#[cfg(unix)]
pub use log::{Appended, Journal, JournalError, Sink};
pub use note::{Checkpoint, KeyError, NOTE_BYTES_MAX, NoteError, SigningKey, VerifierKey};
pub use record::{
    AccessRecord, AccountEnded, AccountLocked, AccountMade, BudgetRecord, CancelSent, ConfigurationLoaded,
    DescriptionAccepted, DescriptionTold, Entry, Fact, GatewayStarted, GatewayStopped, KeyEnded, KeyIssued,
    LockdownBegun, LockdownLifted, LoginRefused, OperationDecided, PersonSignedIn, PersonSignedOut, PoliciesLoaded,
    RECORD_BYTES_MAX, Record, RecordError, RecordingSeal, RecordingSealed, RequestAnswered, RequestEnded,
    RequestOpened, SessionClosed, SessionOpened, TaskEnded, TaskRequested, TaskStarted, TunnelClosed, TunnelOpened,
    TunnelRefused,
};
pub use recording::{
    CHUNK_BYTES_MAX, Chunk, Direction, RECORDING_BYTES_MAX, RecordingError, RecordingHeader, RecordingReader,
    RecordingWriter, Seal,
};
#[cfg(unix)]
pub use segments::{
    Lines, Recovery, SEGMENT_BYTES_MAX, SegmentFiles, SegmentLimits, Segments, SegmentsError, SyncTarget, Torn,
};
pub use tail::{Append, Storage, Tail};
#[cfg(unix)]
pub use template::{OperationMark, OperationTemplate, OperationValues};
pub use tree::{Frontier, ProofError, Tree};
