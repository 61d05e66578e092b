//! Verifies a bundle with nothing but the file and the public key.
//!
//! Knows the format and what must hold; must not trust anything in the file, nor write any of it anywhere. The input may
//! be hostile: every part has a limit, names are only compared, and entries that are not plain files are findings. The
//! verification goes on after a finding as far as it can, so that the report names all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatehouse_model::Digest;
use tar::{Archive, Entry};

use super::meaning::Meaning;
use super::order::{Order, name};
use super::report::{FindingKind, Findings, Report};
use super::{
    Attached, BUNDLE_ENTRIES_MAX, BUNDLE_RECORDS_MAX, CHECKPOINT, Listed, MANIFEST, MANIFEST_BYTES_MAX, MANIFEST_NOTE,
    Manifest, POLICIES, PROOF_BYTES_MAX, PROOFS, Proof, RECORDINGS, RECORDS, Selection, VERSION, manifest_text,
    policy_path, recording_path,
};
use crate::line::{Line, read_line};
use crate::note::{Checkpoint, NOTE_BYTES_MAX, NoteError, VerifierKey};
use crate::record::{RECORD_BYTES_MAX, Record};
use crate::recording::digest_stream;
use crate::tree::{Frontier, sha256, verify_inclusion};

/// Verifies a bundle. Nothing is returned but the report: what cannot be read is a finding too.
pub fn verify<R: Read>(reader: R, key: &VerifierKey) -> Report {
    let mut archive = Archive::new(reader);
    let mut check = Check::new(key);
    if check.entries(&mut archive) {
        check.rest(archive.into_inner());
    }
    check.finish()
}

/// A recording or policy file as it lies in the bundle.
struct Found {
    bytes: u64,
    sha256: Digest,
}

/// What records say beside their own bytes, kept for the comparison with the files.
#[derive(Default)]
struct Told {
    /// By path: the record, the session, length and digest.
    recordings: BTreeMap<String, (u64, String, u64, String)>,
    /// By path: the record, the file's name and the digest.
    policies: BTreeMap<String, (u64, String, String)>,
}

struct Check<'k> {
    key: &'k VerifierKey,
    findings: Findings,
    paths: BTreeSet<String>,
    manifest: Option<Manifest>,
    manifest_sha256: Option<Digest>,
    checkpoint: Option<Checkpoint>,
    found: BTreeMap<String, Found>,
    told: Told,
    records: u64,
    operations: u64,
    sessions: u64,
}

impl<'k> Check<'k> {
    fn new(key: &'k VerifierKey) -> Self {
        Self {
            key,
            findings: Findings::default(),
            paths: BTreeSet::new(),
            manifest: None,
            manifest_sha256: None,
            checkpoint: None,
            found: BTreeMap::new(),
            told: Told::default(),
            records: 0,
            operations: 0,
            sessions: 0,
        }
    }

    fn add(&mut self, kind: FindingKind, message: impl Into<String>) {
        self.findings.add(kind, message);
    }

    /// Reads all files of the bundle; returns true if its end was reached.
    fn entries<R: Read>(&mut self, archive: &mut Archive<R>) -> bool {
        // Raw: extensions are not followed, for they could fill the memory or lend an entry a second name.
        let entries = match archive.entries() {
            Ok(entries) => entries.raw(true),
            Err(error) => {
                self.add(FindingKind::Bundle, format!("the bundle cannot be read: {error}"));
                return false;
            }
        };
        for (count, entry) in entries.enumerate() {
            if count >= BUNDLE_ENTRIES_MAX {
                self.add(FindingKind::Bundle, format!("the bundle has more than {BUNDLE_ENTRIES_MAX} files"));
                return false;
            }
            match entry {
                Ok(entry) => self.entry(entry),
                Err(error) => {
                    self.add(FindingKind::Bundle, format!("the bundle cannot be read past file {count}: {error}"));
                    return false;
                }
            }
        }
        true
    }

    /// Reads one file of the bundle.
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) {
        let path = String::from_utf8_lossy(&entry.path_bytes()).chars().take(300).collect::<String>();
        if !entry.header().entry_type().is_file() {
            return self.add(FindingKind::Bundle, format!("{path} is not a plain file"));
        }
        if !self.paths.insert(path.clone()) {
            return self.add(FindingKind::Bundle, format!("{path} is in the bundle more than once"));
        }
        match path.as_str() {
            MANIFEST => self.manifest(&mut entry),
            MANIFEST_NOTE => self.manifest_note(&mut entry),
            CHECKPOINT => self.checkpoint(&mut entry),
            RECORDS => self.with_manifest(RECORDS, |check, manifest| check.records(manifest, &mut entry)),
            PROOFS => self.with_manifest(PROOFS, |check, manifest| check.proofs(manifest, &mut entry)),
            _ if path.starts_with(RECORDINGS) || path.starts_with(POLICIES) => self.attachment(&path, &mut entry),
            _ => self.add(FindingKind::Bundle, format!("{path} does not belong into a bundle")),
        }
    }

    /// Runs a check that needs the manifest, which comes before.
    fn with_manifest(&mut self, path: &str, check: impl FnOnce(&mut Self, &Manifest)) {
        match self.manifest.take() {
            Some(manifest) => {
                check(self, &manifest);
                self.manifest = Some(manifest);
            }
            None => self.add(FindingKind::Bundle, format!("{path} cannot be checked: no manifest stands before it")),
        }
    }

    /// Reads a small file whole.
    fn small<R: Read>(&mut self, path: &str, bytes_max: u64, entry: &mut Entry<'_, R>) -> Option<Vec<u8>> {
        let size = entry.size();
        if size > bytes_max {
            self.add(FindingKind::Bundle, format!("{path} is longer than {bytes_max} bytes"));
            return None;
        }
        let mut content = Vec::new();
        match entry.read_to_end(&mut content) {
            Ok(_) if content.len() as u64 == size => Some(content),
            Ok(_) => {
                self.add(FindingKind::Bundle, format!("{path} is cut off"));
                None
            }
            Err(error) => {
                self.add(FindingKind::Bundle, format!("{path} cannot be read: {error}"));
                None
            }
        }
    }

    fn manifest<R: Read>(&mut self, entry: &mut Entry<'_, R>) {
        let Some(content) = self.small(MANIFEST, MANIFEST_BYTES_MAX, entry) else {
            return;
        };
        self.manifest_sha256 = Some(sha256(&content));
        let manifest: Manifest = match serde_json::from_slice(&content) {
            Ok(manifest) => manifest,
            Err(error) => return self.add(FindingKind::Bundle, format!("{MANIFEST} cannot be read: {error}")),
        };
        if manifest.version != VERSION {
            let message = format!("the bundle has version {}: verify it with a later Gatehouse", manifest.version);
            return self.add(FindingKind::Bundle, message);
        }
        if manifest.records.len() > BUNDLE_RECORDS_MAX {
            return self.add(FindingKind::Bundle, format!("the manifest lists more than {BUNDLE_RECORDS_MAX} records"));
        }
        let ascending = manifest.records.is_sorted_by(|left, right| left.index < right.index);
        if !ascending || manifest.records.last().is_some_and(|last| last.index >= manifest.size) {
            self.add(FindingKind::Bundle, "the manifest lists records that the log cannot have in this order");
        }
        if manifest.selection == Selection::All {
            self.root_of_all(&manifest);
        }
        self.manifest = Some(manifest);
    }

    /// A bundle of all records proves its root by itself.
    fn root_of_all(&mut self, manifest: &Manifest) {
        let mut frontier = Frontier::new();
        manifest.records.iter().for_each(|record| frontier.append(record.leaf));
        if frontier.size() != manifest.size {
            let message = format!("the manifest lists {} of the log's {} records", frontier.size(), manifest.size);
            self.add(FindingKind::Tree, message);
        } else if frontier.root() != manifest.root {
            self.add(FindingKind::Tree, "the listed records do not have the log's root");
        }
    }

    /// Reads a note and checks its signature; the finding names the file and the key.
    fn open<R: Read>(&mut self, path: &str, entry: &mut Entry<'_, R>) -> Option<String> {
        let content = self.small(path, NOTE_BYTES_MAX as u64, entry)?;
        let unsound = |error: NoteError| format!("{path}: {error}");
        let opened = match std::str::from_utf8(&content) {
            Ok(note) => self.key.open(note).map(str::to_owned).map_err(unsound),
            Err(_) => Err(format!("{path} is not text")),
        };
        opened.map_err(|message| self.add(FindingKind::Signature, message)).ok()
    }

    fn manifest_note<R: Read>(&mut self, entry: &mut Entry<'_, R>) {
        let Some(text) = self.open(MANIFEST_NOTE, entry) else {
            return;
        };
        match self.manifest_sha256 {
            Some(digest) if manifest_text(digest) == text => {}
            Some(_) => self.add(FindingKind::Signature, "manifest.json is not the one that was signed: it was changed"),
            None => self.add(FindingKind::Signature, "manifest.note signs a manifest that is not there"),
        }
    }

    fn checkpoint<R: Read>(&mut self, entry: &mut Entry<'_, R>) {
        let Some(text) = self.open(CHECKPOINT, entry) else {
            return;
        };
        let checkpoint: Checkpoint = match text.parse() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return self.add(FindingKind::Signature, format!("{CHECKPOINT}: {error}")),
        };
        self.with_manifest(CHECKPOINT, |check, manifest| {
            let (size, root) = (checkpoint.size, checkpoint.root);
            if (size, root) != (manifest.size, manifest.root) || checkpoint.origin != manifest.origin {
                check.add(FindingKind::Tree, "the checkpoint is not the one that the manifest was made with");
            }
        });
        self.checkpoint = Some(checkpoint);
    }

    fn records<R: Read>(&mut self, manifest: &Manifest, entry: &mut Entry<'_, R>) {
        let mut order = Order::new(&manifest.records);
        let mut meaning = Meaning::new(&manifest.selection);
        let size = entry.size();
        let mut reader = BufReader::with_capacity(256 * 1024, entry);
        let mut buffer = Vec::new();
        let mut bytes = 0;
        loop {
            let line = match read_line(&mut reader, &mut buffer, RECORD_BYTES_MAX) {
                Ok(line) => line,
                Err(error) => break self.add(FindingKind::Bundle, format!("{RECORDS} cannot be read: {error}")),
            };
            bytes += buffer.len() as u64;
            let torn = match line {
                Line::End => break,
                Line::TooLong => {
                    break self
                        .add(FindingKind::Record, format!("{RECORDS} has a line that is longer than any record"));
                }
                Line::Whole => {
                    bytes += 1;
                    false
                }
                Line::Torn => true,
            };
            if let Some(listed) = order.offer(&buffer, torn, &mut self.findings) {
                self.record(listed, &buffer, &mut meaning);
            }
        }
        if bytes < size {
            self.add(FindingKind::Bundle, format!("{RECORDS} is cut off"));
        }
        self.records = order.finish(&mut self.findings);
        meaning.finish(&mut self.findings);
        (self.operations, self.sessions) = (meaning.operations, meaning.sessions());
        for (file, seal) in meaning.recordings {
            let told = (seal.index, seal.session, seal.bytes, seal.sha256);
            self.told.recordings.insert(recording_path(&file), told);
        }
        for ((file, digest), index) in meaning.policies {
            self.told.policies.insert(policy_path(&file, &digest), (index, file, digest));
        }
    }

    /// Reads a record whose bytes are those that the manifest lists.
    fn record(&mut self, listed: &Listed, line: &[u8], meaning: &mut Meaning<'_>) {
        let record = std::str::from_utf8(line).ok().map(Record::parse);
        match record {
            Some(Ok(record)) if record.index == listed.index && record.entry.kind() == listed.kind => {
                meaning.read(&record, &mut self.findings);
            }
            Some(Ok(record)) => {
                let message = format!("record {} is listed as record {}", record.index, name(listed));
                self.add(FindingKind::Record, message);
            }
            Some(Err(error)) => {
                self.add(FindingKind::Record, format!("record {} cannot be read: {error}", name(listed)));
            }
            None => self.add(FindingKind::Record, format!("record {} is not text", name(listed))),
        }
    }

    fn proofs<R: Read>(&mut self, manifest: &Manifest, entry: &mut Entry<'_, R>) {
        if manifest.selection == Selection::All {
            return self.add(FindingKind::Bundle, format!("{PROOFS} does not belong into a bundle of all records"));
        }
        let mut reader = BufReader::new(entry);
        for listed in &manifest.records {
            if let Err(reason) = prove(manifest, listed, &mut reader) {
                let message = format!("record {} is not proven to be in the log: {reason}", name(listed));
                self.add(FindingKind::Tree, message);
            }
        }
        match reader.fill_buf() {
            Ok([]) => {}
            Ok(_) | Err(_) => self.add(FindingKind::Tree, format!("{PROOFS} has more lines than the manifest")),
        }
    }

    fn attachment<R: Read>(&mut self, path: &str, entry: &mut Entry<'_, R>) {
        let size = entry.size();
        let kind = kind_of(path);
        match digest_stream(entry) {
            Ok((bytes, sha256)) => {
                if bytes < size {
                    self.add(kind, format!("{path} is cut off"));
                }
                self.found.insert(path.to_owned(), Found { bytes, sha256 });
            }
            Err(error) => self.add(kind, format!("{path} cannot be read: {error}")),
        }
    }

    /// Behind a bundle there is nothing but zeros.
    fn rest(&mut self, mut reader: impl Read) {
        let mut buffer = [0; 4096];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    if buffer.iter().take(read).any(|byte| *byte != 0) {
                        return self.add(FindingKind::Bundle, "something stands behind the end of the bundle");
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Report {
        let manifest = self.manifest.take();
        self.required(manifest.as_ref());
        let (mut recordings, mut policies) = (0, 0);
        if let Some(manifest) = &manifest {
            recordings = self.attachments(&manifest.recordings);
            policies = self.attachments(&manifest.policies);
            self.unlisted(manifest);
            self.told_recordings();
            self.told_policies();
        }
        let checkpoint = self.checkpoint.map(|checkpoint| (checkpoint.size, checkpoint.root));
        let (origin, created, selection) = match manifest {
            Some(manifest) => (Some(manifest.origin), Some(manifest.created), Some(manifest.selection)),
            None => (None, None, None),
        };
        Report {
            findings: self.findings.list,
            omitted: self.findings.omitted,
            origin,
            created,
            selection,
            checkpoint,
            records: self.records,
            operations: self.operations,
            sessions: self.sessions,
            recordings,
            policies,
        }
    }

    fn required(&mut self, manifest: Option<&Manifest>) {
        let proofs = manifest.is_some_and(|manifest| manifest.selection != Selection::All).then_some(PROOFS);
        for path in [MANIFEST, MANIFEST_NOTE, CHECKPOINT, RECORDS].into_iter().chain(proofs) {
            if !self.paths.contains(path) {
                self.add(FindingKind::Bundle, format!("{path} is missing"));
            }
        }
    }

    /// Compares listed files with those in the bundle; returns the number of those that are as listed.
    fn attachments(&mut self, attached: &[Attached]) -> u64 {
        let mut sound = 0;
        for Attached { bytes, path, sha256 } in attached {
            let kind = kind_of(path);
            let message = match self.found.get(path) {
                None => format!("{path} is missing"),
                Some(found) if found.sha256 == *sha256 && found.bytes == *bytes => {
                    sound += 1;
                    continue;
                }
                Some(found) if found.bytes < *bytes => {
                    format!("{path} was truncated: it has {} of {bytes} bytes", found.bytes)
                }
                Some(_) => format!("{path} was changed"),
            };
            self.add(kind, message);
        }
        sound
    }

    fn unlisted(&mut self, manifest: &Manifest) {
        let listed: BTreeSet<&str> =
            manifest.recordings.iter().chain(&manifest.policies).map(|attached| attached.path.as_str()).collect();
        for path in self.found.keys().filter(|path| !listed.contains(path.as_str())) {
            self.findings.add(kind_of(path), format!("{path} was added: the manifest does not list it"));
        }
    }

    /// Compares what session records say of recordings with the recordings.
    fn told_recordings(&mut self) {
        for (path, (index, session, bytes, sha256)) in &self.told.recordings {
            let message = match self.found.get(path) {
                None => format!("{path} of session {session} is not in the bundle, and record {index} seals it"),
                Some(found) if found.sha256.to_string() == *sha256 && found.bytes == *bytes => continue,
                Some(_) => format!("{path} of session {session} is not the recording that record {index} seals"),
            };
            self.findings.add(FindingKind::Recording, message);
        }
    }

    /// Compares what records say of policy files with the files.
    fn told_policies(&mut self) {
        for (path, (index, file, sha256)) in &self.told.policies {
            let message = match self.found.get(path) {
                None => format!("policy file {file} is not in the bundle, and record {index} says that it was loaded"),
                Some(found) if found.sha256.to_string() == *sha256 => continue,
                Some(_) => format!("{path} is not the policy file {file} that record {index} says was loaded"),
            };
            self.findings.add(FindingKind::Policy, message);
        }
    }
}

fn kind_of(path: &str) -> FindingKind {
    if path.starts_with(RECORDINGS) { FindingKind::Recording } else { FindingKind::Policy }
}

/// Reads the next proof and checks it.
fn prove(manifest: &Manifest, listed: &Listed, reader: &mut impl BufRead) -> Result<(), String> {
    let mut buffer = Vec::new();
    match read_line(reader, &mut buffer, PROOF_BYTES_MAX) {
        Ok(Line::Whole) => {}
        Ok(Line::End | Line::Torn) => return Err("its proof is missing".into()),
        Ok(Line::TooLong) => return Err("its proof is too long".into()),
        Err(error) => return Err(error.to_string()),
    }
    let proof: Proof = serde_json::from_slice(&buffer).map_err(|_| "its proof cannot be read")?;
    if proof.index != listed.index {
        return Err(format!("a proof of record {} stands in its place", proof.index));
    }
    let mut path = Vec::with_capacity(proof.path.len());
    for hash in &proof.path {
        let bytes = STANDARD.decode(hash).map_err(|_| "its proof is not in base64")?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| "its proof has a hash of another length")?;
        path.push(Digest(bytes));
    }
    verify_inclusion(&listed.leaf, listed.index, manifest.size, &path, &manifest.root)
        .map_err(|error| error.to_string())
}
