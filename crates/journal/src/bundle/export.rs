//! Packs a bundle.
//!
//! Knows how to stream records, proofs and files into a tar file; must not know where any of them is kept beyond the
//! readers it is given. The journal is read three times. Memory: for a task or session 64 bytes for every record of the
//! *journal* up to the checkpoint (the tree that proofs are made from), and always about 100 bytes for each record of
//! the bundle.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatehouse_model::Digest;
use jiff::Timestamp;
use tar::{Builder, EntryType, Header};

use super::select::{Chooser, Wanted};
use super::{
    Attached, Attachments, BUNDLE_ENTRIES_MAX, BUNDLE_RECORDS_MAX, CHECKPOINT, Listed, MANIFEST, MANIFEST_BYTES_MAX,
    MANIFEST_NOTE, Manifest, PROOFS, Proof, RECORDS, Selection, VERSION, manifest_text, policy_path, recording_path,
};
use crate::note::{Checkpoint, NoteError, SigningKey};
use crate::record::{Entry, Record, RecordError};
use crate::recording::digest_stream;
use crate::segments::{SegmentFiles, SegmentsError};
use crate::tree::{Frontier, ProofError, Tree, leaf_hash, sha256};

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Journal(#[source] SegmentsError),
    /// A line of the journal is not a record.
    #[error("record {index} cannot be read")]
    Record {
        /// Its place.
        index: u64,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The checkpoint is not of this journal.
    #[error("the journal does not fit the checkpoint: it was truncated or changed; restore it, then export again")]
    Mismatch,
    /// The checkpoint cannot be trusted, or the manifest not be signed.
    #[error("the checkpoint does not hold: make a new one with the same key")]
    Checkpoint(#[source] NoteError),
    /// There is no such task or session.
    #[error("the journal knows no {what} before the checkpoint: check the id, or make a newer checkpoint")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The bundle would be too large.
    #[error("the bundle would be over the limit of {limit}: export single tasks or sessions")]
    TooLarge {
        /// The limit.
        limit: &'static str,
    },
    /// A proof cannot be made.
    #[error("a proof cannot be made")]
    Proof(#[source] ProofError),
    /// A recording or policy file cannot be read.
    #[error("{path} cannot be read: check who owns the file")]
    Attachment {
        /// Its name in the bundle.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The bundle cannot be written.
    #[error("the bundle cannot be written: free space, or choose another place")]
    Write(#[source] io::Error),
}

/// What to export.
#[derive(Clone, Copy)]
pub struct Export<'a> {
    /// Which records.
    pub selection: &'a Selection,
    /// Now.
    pub created: Timestamp,
    /// A signed checkpoint of the journal, such as [`Journal::checkpoint`](crate::Journal::checkpoint) makes; later
    /// records are left out.
    pub checkpoint: &'a str,
    /// The key that signed it; it signs the manifest too.
    pub key: &'a SigningKey,
    /// Recordings and policy files.
    pub attachments: &'a dyn Attachments,
}

impl std::fmt::Debug for Export<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Export").field("selection", self.selection).finish_non_exhaustive()
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The number of records.
    pub records: u64,
    /// The number of recordings.
    pub recordings: u64,
    /// The number of policy files.
    pub policies: u64,
    /// Recordings and policy files that records name and that are no longer there; a verification will say so too.
    pub missing: Vec<String>,
}

/// Writes a bundle to `out`, which the caller may sync.
///
/// # Errors
/// [`ExportError`]; what was written so far is then not a bundle.
pub fn export<W: Write>(files: &SegmentFiles, export: &Export<'_>, out: W) -> Result<Exported, ExportError> {
    let text = export.key.verifier().open(export.checkpoint).map(str::to_owned).map_err(ExportError::Checkpoint)?;
    let checkpoint: Checkpoint = text.parse().map_err(ExportError::Checkpoint)?;
    let plan = Plan::make(files, &checkpoint, export.selection)?;
    let mut missing = Vec::new();
    let recordings = attach(&plan.recordings, &mut missing, |file| export.attachments.recording(file))?;
    let policies = attach(&plan.policies, &mut missing, |digest| export.attachments.policy(digest))?;
    if recordings.len() + policies.len() + 5 > BUNDLE_ENTRIES_MAX {
        return Err(ExportError::TooLarge { limit: "files" });
    }
    let manifest = Manifest {
        created: format!("{:.6}", export.created),
        origin: checkpoint.origin.clone(),
        policies,
        recordings,
        records: plan.listed,
        root: checkpoint.root,
        selection: export.selection.clone(),
        size: checkpoint.size,
        version: VERSION,
    };
    let mut tar = Tar { builder: Builder::new(out), mtime: export.created.as_second().try_into().unwrap_or(0) };
    tar.manifest(&manifest, export.key)?;
    tar.bytes(CHECKPOINT, export.checkpoint.as_bytes())?;
    tar.file(RECORDS, plan.bytes, &mut Stream::new(record_lines(files, &manifest)?))?;
    if let Some(tree) = &plan.tree {
        tar.proofs(tree, &manifest)?;
    }
    tar.attachments(&manifest.recordings, &plan.recordings, |file| export.attachments.recording(file))?;
    tar.attachments(&manifest.policies, &plan.policies, |digest| export.attachments.policy(digest))?;
    tar.builder.into_inner().and_then(|mut out| out.flush()).map_err(ExportError::Write)?;
    Ok(Exported {
        records: manifest.records.len() as u64,
        recordings: manifest.recordings.len() as u64,
        policies: manifest.policies.len() as u64,
        missing,
    })
}

/// What goes into the bundle.
struct Plan {
    listed: Vec<Listed>,
    /// The length of `records.jsonl`.
    bytes: u64,
    /// For proofs; `None` if the bundle holds every record.
    tree: Option<Tree>,
    /// The names of recordings, by path in the bundle.
    recordings: BTreeMap<String, String>,
    /// The digests of policy files, by path in the bundle.
    policies: BTreeMap<String, String>,
}

impl Plan {
    fn make(files: &SegmentFiles, checkpoint: &Checkpoint, selection: &Selection) -> Result<Self, ExportError> {
        let mut wanted = Wanted::new(selection);
        if matches!(selection, Selection::Time { .. }) {
            each_record(files, checkpoint.size, |record, _| {
                wanted.note(record);
                Ok(())
            })?;
        }
        if !wanted.is_all() {
            each_record(files, checkpoint.size, |record, _| {
                wanted.survey(selection, record);
                Ok(())
            })?;
        }
        if !wanted.is_found() {
            let what = match selection {
                Selection::All => "record".to_owned(),
                Selection::Session(session) => format!("session {session}"),
                Selection::Task(task) => format!("task {task}"),
                Selection::Time { since, until } => format!("record between {since} and {until}"),
            };
            return Err(ExportError::NotFound { what });
        }
        let (mut frontier, mut leaves) = (Frontier::new(), Vec::new());
        let keep_leaves = !wanted.is_all();
        let mut chooser = Chooser::new(wanted);
        let mut plan =
            Self { listed: Vec::new(), bytes: 0, tree: None, recordings: BTreeMap::new(), policies: BTreeMap::new() };
        each_record(files, checkpoint.size, |record, line| {
            let leaf = leaf_hash(line.as_bytes());
            frontier.append(leaf);
            if keep_leaves {
                leaves.push(leaf);
            }
            let item = (record.clone(), leaf, line.len());
            chooser.offer(record, item, |(record, leaf, bytes)| plan.take(&record, leaf, bytes));
            if plan.listed.len() > BUNDLE_RECORDS_MAX {
                return Err(ExportError::TooLarge { limit: "records" });
            }
            Ok(())
        })?;
        if frontier.size() != checkpoint.size || frontier.root() != checkpoint.root {
            return Err(ExportError::Mismatch);
        }
        plan.tree = keep_leaves.then(|| Tree::from_leaves(leaves));
        Ok(plan)
    }

    fn take(&mut self, record: &Record, leaf: Digest, bytes: usize) {
        self.listed.push(Listed { index: record.index, kind: record.entry.kind().into(), leaf });
        self.bytes += bytes as u64 + 1;
        match &record.entry {
            Entry::PoliciesLoaded(body) => {
                for (file, digest) in &body.files {
                    self.policies.insert(policy_path(file, digest), digest.clone());
                }
            }
            Entry::SessionClosed(body) => {
                if let Some(seal) = &body.recording {
                    self.recordings.insert(recording_path(&seal.file), seal.file.clone());
                }
            }
            Entry::RecordingSealed(body) => {
                self.recordings.insert(recording_path(&body.file), body.file.clone());
            }
            Entry::GatewayStarted(_)
            | Entry::GatewayStopped(_)
            | Entry::ConfigurationLoaded(_)
            | Entry::TaskStarted(_)
            | Entry::TaskRequested(_)
            | Entry::TaskEnded(_)
            | Entry::PersonSignedIn(_)
            | Entry::PersonSignedOut(_)
            | Entry::KeyIssued(_)
            | Entry::KeyEnded(_)
            | Entry::AccountMade(_)
            | Entry::AccountLocked(_)
            | Entry::AccountEnded(_)
            | Entry::LockdownBegun(_)
            | Entry::LockdownLifted(_)
            | Entry::LoginRefused(_)
            | Entry::SessionOpened(_)
            | Entry::OperationDecided(_)
            | Entry::RequestOpened(_)
            | Entry::RequestAnswered(_)
            | Entry::RequestEnded(_)
            | Entry::CancelSent(_)
            | Entry::TunnelOpened(_)
            | Entry::TunnelClosed(_)
            | Entry::TunnelRefused(_)
            | Entry::DescriptionTold(_)
            | Entry::DescriptionAccepted(_) => {}
        }
    }
}

fn each_record(
    files: &SegmentFiles,
    size: u64,
    mut visit: impl FnMut(&Record, &str) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    for line in files.lines(0, size).map_err(ExportError::Journal)? {
        let (index, line) = line.map_err(ExportError::Journal)?;
        let record = Record::parse(&line).map_err(|source| ExportError::Record { index, source })?;
        visit(&record, &line)?;
    }
    Ok(())
}

/// Measures files; those that are gone are named in `missing`.
fn attach(
    names: &BTreeMap<String, String>,
    missing: &mut Vec<String>,
    open: impl Fn(&str) -> io::Result<Option<Box<dyn Read>>>,
) -> Result<Vec<Attached>, ExportError> {
    let mut attached = Vec::new();
    for (path, name) in names {
        let failed = |source| ExportError::Attachment { path: path.clone(), source };
        match open(name).map_err(failed)? {
            Some(file) => {
                let (bytes, sha256) = digest_stream(file).map_err(failed)?;
                attached.push(Attached { bytes, path: path.clone(), sha256 });
            }
            None => missing.push(path.clone()),
        }
    }
    Ok(attached)
}

/// The lines of the chosen records, checked once more, for the journal's files may change under our hands.
fn record_lines<'a>(
    files: &SegmentFiles,
    manifest: &'a Manifest,
) -> Result<impl Iterator<Item = io::Result<String>> + use<'a>, ExportError> {
    let lines = files.lines(0, manifest.size).map_err(ExportError::Journal)?;
    let mut listed = manifest.records.iter().peekable();
    Ok(lines.filter_map(move |line| match line {
        Ok((index, line)) => {
            let record = listed.next_if(|record| record.index == index)?;
            let same = leaf_hash(line.as_bytes()) == record.leaf;
            Some(if same { Ok(line) } else { Err(io::Error::other("the journal changed during the export")) })
        }
        Err(error) => Some(Err(io::Error::other(error))),
    }))
}

/// Lines as a stream of bytes.
struct Stream<I> {
    lines: I,
    buffer: Vec<u8>,
    read: usize,
}

impl<I> Stream<I> {
    fn new(lines: I) -> Self {
        Self { lines, buffer: Vec::new(), read: 0 }
    }
}

impl<I: Iterator<Item = io::Result<String>>> Read for Stream<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.buffer.len() {
            match self.lines.next().transpose()? {
                None => return Ok(0),
                Some(line) => {
                    self.buffer = line.into_bytes();
                    self.buffer.push(b'\n');
                    self.read = 0;
                }
            }
        }
        let read = self.buffer.get(self.read..).unwrap_or_default().read(out)?;
        self.read += read;
        Ok(read)
    }
}

/// A stream that must have exactly so many bytes, for the tar header has promised them.
struct Exact<'a, R: ?Sized> {
    reader: &'a mut R,
    left: u64,
}

impl<R: Read + ?Sized> Read for Exact<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || out.is_empty() {
            return Ok(0);
        }
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        let read = self.reader.read(out.get_mut(..want).unwrap_or_default())?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter during the export"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// The bundle being written.
struct Tar<W: Write> {
    builder: Builder<W>,
    mtime: u64,
}

impl<W: Write> Tar<W> {
    fn file(&mut self, path: &str, bytes: u64, reader: &mut (impl Read + ?Sized)) -> Result<(), ExportError> {
        let mut header = Header::new_ustar();
        header.set_path(path).map_err(ExportError::Write)?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_cksum();
        self.builder.append(&header, Exact { reader, left: bytes }).map_err(ExportError::Write)
    }

    fn bytes(&mut self, path: &str, mut content: &[u8]) -> Result<(), ExportError> {
        self.file(path, content.len() as u64, &mut content)
    }

    fn manifest(&mut self, manifest: &Manifest, key: &SigningKey) -> Result<(), ExportError> {
        let content = serde_json::to_vec(manifest).map_err(|error| ExportError::Write(error.into()))?;
        if content.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(ExportError::TooLarge { limit: "the manifest's bytes" });
        }
        self.bytes(MANIFEST, &content)?;
        let note = key.sign(&manifest_text(sha256(&content))).map_err(ExportError::Checkpoint)?;
        self.bytes(MANIFEST_NOTE, note.as_bytes())
    }

    /// Makes each proof twice: a tar header needs the length first, and proofs are cheaper than memory.
    fn proofs(&mut self, tree: &Tree, manifest: &Manifest) -> Result<(), ExportError> {
        let line = |record: &Listed| -> Result<String, ExportError> {
            let path = tree.inclusion_proof(record.index, manifest.size).map_err(ExportError::Proof)?;
            let path = path.iter().map(|hash| STANDARD.encode(hash.0)).collect();
            let proof = Proof { index: record.index, path };
            serde_json::to_string(&proof).map_err(|error| ExportError::Write(error.into()))
        };
        let mut bytes = 0;
        for record in &manifest.records {
            bytes += line(record)?.len() as u64 + 1;
        }
        let lines = manifest.records.iter().map(|record| line(record).map_err(io::Error::other));
        self.file(PROOFS, bytes, &mut Stream::new(lines))
    }

    fn attachments(
        &mut self,
        attached: &[Attached],
        names: &BTreeMap<String, String>,
        open: impl Fn(&str) -> io::Result<Option<Box<dyn Read>>>,
    ) -> Result<(), ExportError> {
        for Attached { path, bytes, .. } in attached {
            let failed = |source| ExportError::Attachment { path: path.clone(), source };
            let name = names.get(path).map_or("", String::as_str);
            let file = open(name).map_err(failed)?;
            let mut file = file.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            self.file(path, *bytes, &mut file)?;
        }
        Ok(())
    }
}
