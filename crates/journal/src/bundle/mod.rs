//! Evidence bundles: one tar file that proves, to anyone with the public key, what happened.
//!
//! Knows the format of the file and its limits; must not know where the journal, recordings and policies are kept, nor
//! write anything to a disk. A bundle is an uncompressed tar file of plain files, in this order:
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | what the bundle holds, in canonical JSON: each record's leaf hash, each file's SHA-256 |
//! | `manifest.note` | a signed note over the manifest's SHA-256 |
//! | `checkpoint` | a signed checkpoint of the log |
//! | `records.jsonl` | the records, to the byte as in the journal |
//! | `proofs.jsonl` | for each record, in the same order, its inclusion proof; absent when all records are there, for then the root is computed from them |
//! | `recordings/NAME` | recordings of sessions |
//! | `policies/HASH-NAME` | policy files |
//!
//! Tar headers are plain ustar, so that no reader needs extensions, and none are accepted.

#[cfg(unix)]
mod export;
mod meaning;
mod order;
mod report;
#[cfg(unix)]
mod select;
#[cfg(test)]
mod tests;
mod verify;

use std::io::{self, Read};

use gatehouse_model::Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[cfg(unix)]
pub use export::{Export, ExportError, Exported, export};
pub use report::{FINDINGS_MAX, Finding, FindingKind, Report};
pub use verify::verify;

/// The most bytes in a manifest. It is held in memory.
pub const MANIFEST_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// The most records in a bundle. Verification keeps about 250 bytes for each.
pub const BUNDLE_RECORDS_MAX: usize = 1_000_000;

/// The most files in a bundle.
pub const BUNDLE_ENTRIES_MAX: usize = 100_000;

/// The longest line in `proofs.jsonl`: at most 64 hashes of 44 characters each.
const PROOF_BYTES_MAX: usize = 8 * 1024;

/// The version of the format.
const VERSION: u32 = 1;

const MANIFEST: &str = "manifest.json";
const MANIFEST_NOTE: &str = "manifest.note";
const CHECKPOINT: &str = "checkpoint";
const RECORDS: &str = "records.jsonl";
const PROOFS: &str = "proofs.jsonl";
const RECORDINGS: &str = "recordings/";
const POLICIES: &str = "policies/";

/// Which records a bundle holds. One task or session brings the policies and gateway starts in force with it, the
/// requests that it filed or used, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// All records.
    All,
    /// Those of one session, by its id.
    Session(String),
    /// Those of one task, by its id.
    Task(String),
    /// What was recorded between two times (RFC 3339), and the whole of the sessions that it is of, with their tasks.
    Time {
        /// From when on.
        since: String,
        /// Until when.
        until: String,
    },
}

/// From one time to another, where a selection is of such; none covers anything else.
#[derive(Debug, Clone, Copy, Default)]
struct Covered(Option<(Timestamp, Timestamp)>);

impl Covered {
    fn by(selection: &Selection) -> Self {
        let parsed = |text: &String| text.parse::<Timestamp>().ok();
        Self(match selection {
            Selection::Time { since, until } => parsed(since).zip(parsed(until)),
            Selection::All | Selection::Session(_) | Selection::Task(_) => None,
        })
    }

    fn has(self, time: Timestamp) -> bool {
        self.0.is_some_and(|(since, until)| (since..=until).contains(&time))
    }
}

/// Where an export finds what lies beside the journal.
pub trait Attachments {
    /// A recording by the plain name that its record holds; `None` if it is no longer there.
    fn recording(&self, file: &str) -> io::Result<Option<Box<dyn Read>>>;

    /// A policy file's content by its digest in hexadecimal digits; `None` if it is no longer there.
    fn policy(&self, sha256: &str) -> io::Result<Option<Box<dyn Read>>>;
}

/// `manifest.json`. Members of this and the following types stand in the order of their names, so that plain
/// serialization is canonical.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// When the bundle was made (RFC 3339).
    created: String,
    /// The log's name.
    origin: String,
    /// The policy files.
    policies: Vec<Attached>,
    /// The recordings.
    recordings: Vec<Attached>,
    /// The records, in order.
    records: Vec<Listed>,
    /// The root of the checkpoint's tree.
    #[serde(with = "hex")]
    root: Digest,
    selection: Selection,
    /// The size of the checkpoint's tree.
    size: u64,
    version: u32,
}

/// One record of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    index: u64,
    kind: String,
    /// The leaf hash.
    #[serde(rename = "sha256", with = "hex")]
    leaf: Digest,
}

/// One file that lies in the bundle beside the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attached {
    bytes: u64,
    /// Its name in the tar file.
    path: String,
    #[serde(with = "hex")]
    sha256: Digest,
}

/// One line of `proofs.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    index: u64,
    /// The audit path, nearest hash first, in base64.
    path: Vec<String>,
}

/// The text that `manifest.note` signs.
fn manifest_text(sha256: Digest) -> String {
    format!("gatehouse-evidence-bundle/{VERSION}\n{sha256}\n")
}

/// Where a recording lies in the tar file.
fn recording_path(file: &str) -> String {
    format!("{RECORDINGS}{}", tame(file))
}

/// Where a policy file lies in the tar file: its name may stand for several revisions.
fn policy_path(file: &str, sha256: &str) -> String {
    let hash: String = sha256.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("{POLICIES}{hash}-{}", tame(file))
}

/// The last 60 characters of a name, those that could mean something to a file system replaced.
fn tame(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let skip = name.chars().count().saturating_sub(60);
    name.chars().skip(skip).map(plain).collect()
}

/// Digests as 64 hexadecimal digits.
mod hex {
    use gatehouse_model::Digest;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::tree::parse_digest(&text)
            .ok_or_else(|| D::Error::custom("a digest has 64 lower-case hexadecimal digits"))
    }
}
