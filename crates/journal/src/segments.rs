//! The journal's files: segments of lines, the checkpoints, and the lock that keeps a second gateway out.
//!
//! Knows the directory and how to come back after a crash; must not know what records mean, a runtime or a clock. It
//! holds:
//!
//! - `NNNNNNNNNNNNNNNNNNNN.jsonl`, the segments, named by the index of their first record;
//! - `checkpoints`, signed notes with a blank line after each;
//! - `lock`, locked while a gateway writes.
//!
//! A line that a crash cut off is dropped and reported, for nothing went on before its line was whole. Everything
//! else that does not fit stops the start, with file and line: evidence is not repaired in silence.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::from_utf8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::line::{Line, read_line};
use crate::log::Sink;
use crate::note::{Checkpoint, NOTE_BYTES_MAX, NoteError, VerifierKey};
use crate::record::{RECORD_BYTES_MAX, Record, RecordError};
use crate::tail::{Append, Tail};
use crate::tree::{Frontier, leaf_hash};

/// The most bytes in one segment, by default. One record may be longer; then it has a segment of its own.
pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of the checkpoints' file is read for the newest of them, in bytes.
const CHECKPOINTS_BYTES_MAX: u64 = 256 * 1024;

const CHECKPOINTS: &str = "checkpoints";
const LOCK: &str = "lock";
const SUFFIX: &str = ".jsonl";

/// Why the journal's files cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentsError {
    /// The file system failed.
    #[error("cannot {doing} {}: check the disk and who owns the file", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Another gateway writes this journal.
    #[error("{} is locked: another gateway writes this journal; stop it, or give this one its own directory", .path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A segment is missing, or one is there twice.
    #[error("the journal has a gap: {} begins with record {found}, but record {expected} comes next; restore the missing files", .path.display())]
    Gap {
        /// The segment after the gap.
        path: PathBuf,
        /// The index that comes next.
        expected: u64,
        /// The index in the segment's name.
        found: u64,
    },
    /// A line is not a record.
    #[error("{} line {line} is not a record: the file was changed or the disk is damaged; restore it", .path.display())]
    Line {
        /// The segment.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it; `None` if it is not even text of bounded length.
        #[source]
        source: Option<RecordError>,
    },
    /// A line is a record with another index.
    #[error("{} line {line} has index {found}, but record {expected} comes next: the file was changed; restore it", .path.display())]
    Index {
        /// The segment.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The index that comes next.
        expected: u64,
        /// The index in the record.
        found: u64,
    },
    /// A line is cut off, and it is not the journal's last.
    #[error("{} line {line} is cut off, and more follows: the file was changed or the disk is damaged; restore it", .path.display())]
    CutOff {
        /// The segment.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// The last checkpoint cannot be trusted.
    #[error("the last checkpoint in {} does not hold: restore the file, or give the key that signed it", .path.display())]
    Checkpoint {
        /// The checkpoints' file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// There are fewer records than the last checkpoint counts.
    #[error(
        "the journal was truncated or changed: it has {found} records, and its last checkpoint counts {expected}; restore the missing ones"
    )]
    Truncated {
        /// The records that there are.
        found: u64,
        /// The records that the checkpoint counts.
        expected: u64,
    },
    /// The first records are not those that the last checkpoint covers.
    #[error(
        "the journal was truncated or changed: its first {size} records are not those of its last checkpoint; restore them"
    )]
    Changed {
        /// The number of records that the checkpoint covers.
        size: u64,
    },
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SegmentsError + 'a {
    move |source| SegmentsError::Io { doing, path: path.into(), source }
}

/// Limits of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentLimits {
    /// Past so many bytes a new segment begins.
    pub segment_bytes_max: u64,
}

impl Default for SegmentLimits {
    fn default() -> Self {
        Self { segment_bytes_max: SEGMENT_BYTES_MAX }
    }
}

/// A last line that a crash cut off, and that opening the journal dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment's plain name.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The bytes that were dropped.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dropped {} bytes of an unfinished record at {} line {}", self.bytes, self.file, self.line)
    }
}

/// What opening the journal found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The tree over all records.
    pub frontier: Frontier,
    /// The dropped last line, for the record that the gateway started.
    pub torn: Option<Torn>,
    /// The last checkpoint, which the tree continues.
    pub checkpoint: Option<Checkpoint>,
}

/// What to sync: usable from any thread, without the journal.
#[derive(Debug, Clone)]
pub struct SyncTarget {
    file: Option<Arc<File>>,
    failed: Arc<AtomicBool>,
}

impl SyncTarget {
    /// Nothing to sync: for a sink in memory.
    pub fn memory() -> Self {
        Self { file: None, failed: Arc::default() }
    }

    /// Makes every record durable that was appended before this target was taken (fdatasync).
    ///
    /// # Errors
    /// The disk's. After one the kernel may have dropped what it could not write, so the journal takes no more records
    /// until it is opened again.
    pub fn sync(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if self.failed.load(Ordering::SeqCst) {
            // The kernel tells of a lost write once; a later sync that succeeds says nothing of it.
            return Err(io::Error::other("an earlier sync failed: restart the gateway when its disk is right"));
        }
        file.sync_data().inspect_err(|_| self.failed.store(true, Ordering::SeqCst))
    }
}

/// The writing end of the journal's directory. Holds its lock.
#[derive(Debug)]
pub struct Segments {
    files: SegmentFiles,
    limits: SegmentLimits,
    tail: Tail<Arc<File>>,
    next: u64,
    failed: Arc<AtomicBool>,
    checkpoints: Tail<Arc<File>>,
    /// Dropping it unlocks.
    _lock: File,
}

impl Segments {
    /// Opens the journal in `dir`, makes it if there is none, and reads all of it: each line must be a record, the
    /// indexes must be without gaps, and the last checkpoint, signed by one of `keys`, must be of this tree.
    ///
    /// # Errors
    /// [`SegmentsError`]; only a last line that a crash cut off is no error, but dropped and reported.
    pub fn open(dir: &Path, limits: SegmentLimits, keys: &[VerifierKey]) -> Result<(Self, Recovery), SegmentsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make", dir))?;
        let lock = lock(dir)?;
        let files = SegmentFiles::new(dir);
        let (checkpoints, checkpoint) = open_checkpoints(&dir.join(CHECKPOINTS), keys)?;
        let (frontier, torn) = recover(&files, checkpoint.as_ref())?;
        let next = frontier.size();
        let path = files.list()?.pop().map_or_else(|| files.path(next), |(_, path)| path);
        let tail = open_tail(&path)?;
        sync_dir(dir).map_err(failed("sync", dir))?;
        let segments = Self { files, limits, tail, next, failed: Arc::default(), checkpoints, _lock: lock };
        Ok((segments, Recovery { frontier, torn, checkpoint }))
    }

    /// The reading end, which needs no lock.
    pub fn files(&self) -> &SegmentFiles {
        &self.files
    }

    /// The lines from record `from` to the last.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the directory cannot be read.
    pub fn reader(&self, from: u64) -> Result<Lines, SegmentsError> {
        self.files.lines(from, self.next)
    }

    /// Keeps a signed checkpoint: first makes all records durable, then the note.
    ///
    /// # Errors
    /// The disk's; the checkpoint then does not count.
    pub fn write_checkpoint(&mut self, note: &str) -> io::Result<()> {
        if note.len() > NOTE_BYTES_MAX || !note.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a signed note"));
        }
        self.sync_target().sync()?;
        self.checkpoints.append(format!("{note}\n").as_bytes())?;
        self.checkpoints.file.sync_data()
    }

    fn roll(&mut self) -> io::Result<()> {
        self.tail.repair()?;
        self.sync_target().sync()?;
        let path = self.files.path(self.next);
        let file = open_for_append(&path)?;
        if file.metadata()?.len() > 0 {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the next segment is not empty"));
        }
        sync_dir(&self.files.dir)?;
        self.tail = Tail::new(Arc::new(file), 0);
        Ok(())
    }
}

impl Sink for Segments {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(io::Error::other("an earlier sync of the journal failed: check its disk, then restart"));
        }
        let full = self.tail.bytes.saturating_add(line.len() as u64) > self.limits.segment_bytes_max;
        if full && self.tail.bytes > 0 {
            self.roll()?;
        }
        self.tail.append(line)?;
        self.next += 1;
        Ok(())
    }

    fn sync_target(&self) -> SyncTarget {
        SyncTarget { file: Some(Arc::clone(&self.tail.file)), failed: Arc::clone(&self.failed) }
    }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path)
}

/// Syncs a directory, so that a new file's name is durable.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn open_tail(path: &Path) -> Result<Tail<Arc<File>>, SegmentsError> {
    let file = open_for_append(path).map_err(failed("open", path))?;
    let bytes = file.metadata().map_err(failed("read", path))?.len();
    Ok(Tail::new(Arc::new(file), bytes))
}

fn lock(dir: &Path) -> Result<File, SegmentsError> {
    let path = dir.join(LOCK);
    let file = open_for_append(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SegmentsError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(SegmentsError::Io { doing: "lock", path, source }),
    }
}

/// Opens the checkpoints' file, cuts off a note that a crash did not let finish, and checks the last one.
fn open_checkpoints(path: &Path, keys: &[VerifierKey]) -> Result<(Tail<Arc<File>>, Option<Checkpoint>), SegmentsError> {
    let mut tail = open_tail(path)?;
    let start = tail.bytes.saturating_sub(4 * NOTE_BYTES_MAX as u64);
    let mut bytes = Vec::new();
    let mut file: &File = &tail.file;
    file.seek(SeekFrom::Start(start)).map_err(failed("read", path))?;
    file.take(5 * NOTE_BYTES_MAX as u64).read_to_end(&mut bytes).map_err(failed("read", path))?;
    let unsound = |source| SegmentsError::Checkpoint { path: path.into(), source };
    let note = last_note(&bytes);
    if note.is_none() && start > 0 {
        return Err(unsound(NoteError::Form { reason: "its end holds no note" }));
    }
    let end = start + note.as_ref().map_or(0, |(_, end)| *end as u64);
    if end < tail.bytes {
        tail.bytes = end;
        tail.ragged = true;
        tail.repair().map_err(failed("truncate", path))?;
    }
    let Some((note, _)) = note else {
        return Ok((tail, None));
    };
    let note = from_utf8(note).map_err(|_| unsound(NoteError::Form { reason: "it is not text" }))?;
    let checkpoint = open_with_any(note, keys).and_then(str::parse).map_err(unsound)?;
    Ok((tail, Some(checkpoint)))
}

fn open_with_any<'note>(note: &'note str, keys: &[VerifierKey]) -> Result<&'note str, NoteError> {
    let mut result = Err(NoteError::Form { reason: "there is no key to check it with" });
    for key in keys {
        result = key.open(note);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The last complete note at the end of the checkpoints' file, and where it ends with its blank line. Blocks of lines
/// are texts and signatures in turn, each with a blank line after it; signatures begin with an em dash.
fn last_note(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let break_before = |end: usize| bytes.get(..end)?.windows(2).rposition(|pair| pair == b"\n\n");
    let mut end = bytes.len();
    loop {
        // The block that ends with the blank line at `last`, and the one before it.
        let last = break_before(end)?;
        let block = break_before(last + 1).map_or(0, |before| before + 2);
        let is_signature = bytes.get(block..last)?.starts_with("\u{2014} ".as_bytes());
        if is_signature && block >= 2 {
            let start = break_before(block - 1).map_or(0, |before| before + 2);
            return Some((bytes.get(start..=last)?, last + 2));
        }
        end = last + 1;
    }
}

/// Reads all segments. Rebuilds the tree, compares it with the checkpoint and drops a torn last line.
fn recover(files: &SegmentFiles, checkpoint: Option<&Checkpoint>) -> Result<(Frontier, Option<Torn>), SegmentsError> {
    let mut frontier = Frontier::new();
    let mut torn = None;
    check_root(&frontier, checkpoint)?;
    let segments = files.list()?;
    let count = segments.len();
    for (place, (first, path)) in segments.into_iter().enumerate() {
        if first != frontier.size() {
            return Err(SegmentsError::Gap { path, expected: frontier.size(), found: first });
        }
        if let Some(cut) = recover_segment(&path, &mut frontier, checkpoint)? {
            if place + 1 < count {
                return Err(SegmentsError::CutOff { path, line: cut.line });
            }
            drop_torn(&path, cut.bytes)?;
            torn = Some(cut);
        }
    }
    match checkpoint {
        Some(checkpoint) if frontier.size() < checkpoint.size => {
            Err(SegmentsError::Truncated { found: frontier.size(), expected: checkpoint.size })
        }
        Some(_) | None => Ok((frontier, torn)),
    }
}

/// Reads one segment; returns its last line if it is cut off.
fn recover_segment(
    path: &Path,
    frontier: &mut Frontier,
    checkpoint: Option<&Checkpoint>,
) -> Result<Option<Torn>, SegmentsError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut buffer = Vec::new();
    for line in 1.. {
        let damaged = |source| SegmentsError::Line { path: path.into(), line, source };
        match read_line(&mut reader, &mut buffer, RECORD_BYTES_MAX).map_err(failed("read", path))? {
            Line::End => break,
            Line::TooLong => return Err(damaged(None)),
            Line::Torn => {
                let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Ok(Some(Torn { file, line, bytes: buffer.len() as u64 }));
            }
            Line::Whole => {}
        }
        let text = from_utf8(&buffer).map_err(|_| damaged(None))?;
        let record = Record::parse(text).map_err(|error| damaged(Some(error)))?;
        if record.index != frontier.size() {
            return Err(SegmentsError::Index {
                path: path.into(),
                line,
                expected: frontier.size(),
                found: record.index,
            });
        }
        frontier.append(leaf_hash(&buffer));
        check_root(frontier, checkpoint)?;
    }
    Ok(None)
}

fn check_root(frontier: &Frontier, checkpoint: Option<&Checkpoint>) -> Result<(), SegmentsError> {
    match checkpoint {
        Some(checkpoint) if checkpoint.size == frontier.size() && checkpoint.root != frontier.root() => {
            Err(SegmentsError::Changed { size: checkpoint.size })
        }
        Some(_) | None => Ok(()),
    }
}

fn drop_torn(path: &Path, bytes: u64) -> Result<(), SegmentsError> {
    let file = OpenOptions::new().write(true).open(path).map_err(failed("open", path))?;
    let length = file.metadata().map_err(failed("read", path))?.len();
    file.set_len(length.saturating_sub(bytes)).map_err(failed("truncate", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// The reading end of the journal's directory. Reading needs no lock, also while a gateway writes.
#[derive(Debug, Clone)]
pub struct SegmentFiles {
    dir: PathBuf,
}

impl SegmentFiles {
    /// The journal in this directory.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// The lines of the records from `from` to before `until`, as far as they are there.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the directory cannot be read. Segments are opened as they are reached.
    pub fn lines(&self, from: u64, until: u64) -> Result<Lines, SegmentsError> {
        let segments = self.list()?;
        let before = segments.iter().rposition(|(first, _)| *first <= from).unwrap_or(0);
        let next = segments.get(before).map_or(from, |(first, _)| *first);
        Ok(Lines { files: self.clone(), current: None, next, from, until })
    }

    /// The index of each segment's first record, in order.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the directory cannot be read.
    pub fn segments(&self) -> Result<Vec<u64>, SegmentsError> {
        Ok(self.list()?.into_iter().map(|(first, _)| first).collect())
    }

    /// The same with each segment's length in bytes.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the directory or a file cannot be read.
    pub fn sizes(&self) -> Result<Vec<(u64, u64)>, SegmentsError> {
        let size = |(first, path): (u64, PathBuf)| {
            let length = std::fs::metadata(&path).map_err(failed("read", &path))?.len();
            Ok((first, length))
        };
        self.list()?.into_iter().map(size).collect()
    }

    /// The newest signed notes, the newest first; none where there is no checkpoint yet.
    ///
    /// # Errors
    /// [`SegmentsError::Io`] if the file cannot be read.
    pub fn checkpoints(&self, notes_max: usize) -> Result<Vec<String>, SegmentsError> {
        let path = self.dir.join(CHECKPOINTS);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let length = file.metadata().map_err(failed("read", &path))?.len();
        let tail = (notes_max as u64).saturating_mul(NOTE_BYTES_MAX as u64).min(CHECKPOINTS_BYTES_MAX);
        file.seek(SeekFrom::Start(length.saturating_sub(tail))).map_err(failed("read", &path))?;
        let mut text = Vec::new();
        file.take(tail).read_to_end(&mut text).map_err(failed("read", &path))?;
        // Text and signatures of a note are apart by an empty line, and so is one note from the next. What a crash or the limit cut
        // off has not both.
        let text = String::from_utf8_lossy(&text);
        let whole = text.rfind("\n\n").and_then(|end| text.get(..end)).unwrap_or_default();
        let parts: Vec<&str> = whole.split("\n\n").collect();
        let is_signed = |part: &str| part.starts_with("\u{2014} ");
        let note = |pair: &[&str]| match pair {
            [text, signatures] if !is_signed(text) && is_signed(signatures) => {
                Some(format!("{text}\n\n{signatures}\n"))
            }
            _ => None,
        };
        Ok(parts.windows(2).rev().filter_map(note).take(notes_max).collect())
    }

    fn path(&self, first: u64) -> PathBuf {
        self.dir.join(format!("{first:020}{SUFFIX}"))
    }

    /// The segments by first index, in order.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>, SegmentsError> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(failed("read", &self.dir))? {
            let path = entry.map_err(failed("read", &self.dir))?.path();
            let first = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
                let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 20)?;
                digits.parse::<u64>().ok()
            });
            segments.extend(first.map(|first| (first, path)));
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

/// Lines of records with their indexes, in order. It ends at the limit, or at the end of what is written so far, and
/// goes on from there when the limit is raised.
#[derive(Debug)]
pub struct Lines {
    files: SegmentFiles,
    /// The segment at hand.
    current: Option<(PathBuf, BufReader<File>)>,
    next: u64,
    from: u64,
    until: u64,
}

impl Lines {
    /// Raises the limit.
    pub fn go_on(&mut self, until: u64) {
        self.until = self.until.max(until);
    }

    fn read(&mut self) -> Result<Option<(u64, String)>, SegmentsError> {
        let mut buffer = Vec::new();
        while self.next < self.until {
            let Some((path, reader)) = &mut self.current else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let index = self.next;
            match read_line(reader, &mut buffer, RECORD_BYTES_MAX).map_err(failed("read", path))? {
                Line::End => {
                    if !self.open_next()? {
                        return Ok(None);
                    }
                }
                // The line is being written just now.
                Line::Torn => return Ok(None),
                Line::TooLong => {
                    return Err(SegmentsError::Line { path: path.clone(), line: index, source: None });
                }
                Line::Whole => {
                    self.next += 1;
                    if index >= self.from {
                        let text = String::from_utf8(buffer);
                        return match text {
                            Ok(text) => Ok(Some((index, text))),
                            Err(_) => Err(SegmentsError::Line { path: path.clone(), line: index, source: None }),
                        };
                    }
                }
            }
        }
        Ok(None)
    }

    /// Opens the segment that begins with the next record; false if there is none yet.
    fn open_next(&mut self) -> Result<bool, SegmentsError> {
        let path = self.files.path(self.next);
        if self.current.as_ref().is_some_and(|(current, _)| *current == path) {
            return Ok(false);
        }
        match File::open(&path) {
            Ok(file) => {
                self.current = Some((path, BufReader::with_capacity(256 * 1024, file)));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, String), SegmentsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.read().transpose();
        if matches!(result, Some(Err(_))) {
            // Nothing follows an error.
            self.until = 0;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use jiff::Timestamp;
    use zeroize::Zeroizing;

    use super::*;
    use crate::log::Journal;
    use crate::note::SigningKey;
    use crate::record::CancelSent;
    use crate::tail::Storage;

    fn key() -> SigningKey {
        SigningKey::from_seed("gateway.example/log", &Zeroizing::new([7; 32])).expect("a name")
    }

    fn open(dir: &Path) -> Result<(Journal<Segments>, Recovery), SegmentsError> {
        let limits = SegmentLimits { segment_bytes_max: 300 };
        let (segments, recovery) = Segments::open(dir, limits, &[key().verifier()])?;
        Ok((Journal::new(segments, recovery.frontier.clone()), recovery))
    }

    fn append(journal: &mut Journal<Segments>, count: usize) {
        for _ in 0..count {
            let _ =
                journal.append(Timestamp::UNIX_EPOCH, CancelSent { session: "ses-1".into() }).expect("there is room");
        }
    }

    /// A journal of ten records in several segments, with a checkpoint over eight.
    fn journal() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut journal, _) = open(dir.path()).expect("a new journal");
        append(&mut journal, 4);
        let note = journal.checkpoint(&key());
        journal.sink_mut().write_checkpoint(&note).expect("there is room");
        append(&mut journal, 4);
        let note = journal.checkpoint(&key());
        journal.sink_mut().write_checkpoint(&note).expect("there is room");
        append(&mut journal, 2);
        dir
    }

    fn segments(dir: &Path) -> Vec<PathBuf> {
        SegmentFiles::new(dir).list().expect("a directory").into_iter().map(|(_, path)| path).collect()
    }

    fn rewrite(path: &Path, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(path).expect("a file");
        fs::write(path, change(text)).expect("there is room");
    }

    fn complaint(dir: &Path) -> String {
        let error = open(dir).expect_err("an error").to_string();
        error.replace(&dir.display().to_string(), "DIR")
    }

    #[test]
    fn comes_back_as_it_was() {
        let dir = journal();
        assert!(segments(dir.path()).len() > 2);
        let (mut journal, recovery) = open(dir.path()).expect("its own journal");
        assert_eq!((journal.size(), recovery.torn), (10, None));
        assert_eq!(recovery.checkpoint.expect("two were written").size, 8);
        append(&mut journal, 1);
        let lines: Vec<(u64, String)> =
            journal.sink().reader(3).expect("a directory").collect::<Result<_, _>>().expect("lines");
        assert_eq!(lines.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (3..11).collect::<Vec<_>>());
        for (index, line) in lines {
            assert_eq!(Record::parse(&line).expect("a record").index, index);
        }
    }

    #[test]
    fn keeps_a_second_gateway_out() {
        let dir = journal();
        let _first = open(dir.path()).expect("its own journal");
        assert!(complaint(dir.path()).starts_with("DIR/lock is locked: another gateway"));
    }

    #[test]
    fn drops_a_torn_last_line_and_goes_on() {
        let dir = journal();
        let last = segments(dir.path()).pop().expect("a segment");
        rewrite(&last, |text| text + r#"{"index":10,"ki"#);
        let (mut journal, recovery) = open(dir.path()).expect("a torn line is no error");
        assert_eq!(recovery.torn.map(|torn| torn.bytes), Some(15));
        append(&mut journal, 1);
        drop(journal);
        assert_eq!(open(dir.path()).expect("whole again").0.size(), 11);
    }

    #[test]
    fn names_what_does_not_fit() {
        let check = |expect: &str, change: fn(&[PathBuf])| {
            let dir = journal();
            change(&segments(dir.path()));
            assert_eq!(complaint(dir.path()), expect);
        };
        check(
            "DIR/00000000000000000000.jsonl line 2 is not a record: the file was changed or the disk is damaged; restore it",
            |paths| rewrite(&paths[0], |text| text.replacen("\"index\":1,", "\"index\":1 ,", 1)),
        );
        check(
            "DIR/00000000000000000000.jsonl line 2 has index 2, but record 1 comes next: the file was changed; restore it",
            |paths| rewrite(&paths[0], |text| text.replacen("\"index\":1,", "\"index\":2,", 1)),
        );
        check(
            "DIR/00000000000000000000.jsonl line 3 is cut off, and more follows: the file was changed or the disk is damaged; restore it",
            |paths| rewrite(&paths[0], |text| text.trim_end().to_owned()),
        );
        check(
            "the journal has a gap: DIR/00000000000000000006.jsonl begins with record 6, but record 3 comes next; restore the missing files",
            |paths| fs::remove_file(&paths[1]).expect("a file"),
        );
        check(
            "the journal was truncated or changed: its first 8 records are not those of its last checkpoint; restore them",
            |paths| rewrite(&paths[0], |text| text.replacen("ses-1", "ses-2", 1)),
        );
        check(
            "the journal was truncated or changed: it has 6 records, and its last checkpoint counts 8; restore the missing ones",
            |paths| paths.iter().skip(2).for_each(|path| fs::remove_file(path).expect("a file")),
        );
    }

    #[test]
    fn the_newest_checkpoints_are_read_as_they_were_written() {
        let dir = journal();
        let files = SegmentFiles::new(dir.path());
        let all = files.checkpoints(10).expect("a file");
        assert_eq!(all.len(), 2);
        let sizes: Vec<u64> = all
            .iter()
            .map(|note| {
                let text = key().verifier().open(note).expect("it is signed");
                text.parse::<Checkpoint>().expect("a checkpoint").size
            })
            .collect();
        assert!(sizes.is_sorted_by(|newer, older| newer > older), "{sizes:?}");
        assert_eq!(files.checkpoints(1).expect("a file"), all[..1]);
        // What a crash cut off is no checkpoint, and takes none along.
        let path = dir.path().join(CHECKPOINTS);
        let whole = fs::read(&path).expect("a file");
        for cut in 1..80 {
            fs::write(&path, [&whole[..], &whole[..cut]].concat()).expect("there is room");
            assert_eq!(files.checkpoints(10).expect("a file"), all, "{cut}");
        }
        fs::remove_file(&path).expect("a file");
        assert!(files.checkpoints(10).expect("no file is none").is_empty());
    }

    #[test]
    fn the_last_complete_checkpoint_counts() {
        let dir = journal();
        let path = dir.path().join(CHECKPOINTS);
        let whole = fs::read_to_string(&path).expect("a file");
        let first_end = whole.find("\n\n").and_then(|at| Some(at + 2 + whole.get(at + 2..)?.find("\n\n")? + 2));
        let first_end = first_end.expect("two notes");
        for end in first_end..whole.len() {
            fs::write(&path, &whole.as_bytes()[..end]).expect("there is room");
            let (_, recovery) = open(dir.path()).expect("the first one holds");
            assert_eq!(recovery.checkpoint.expect("the first one").size, 4, "{end} bytes");
            assert_eq!(fs::metadata(&path).expect("a file").len(), first_end as u64);
        }
        for end in 0..first_end {
            fs::write(&path, &whole.as_bytes()[..end]).expect("there is room");
            assert_eq!(open(dir.path()).expect("as if new").1.checkpoint, None, "{end} bytes");
        }
        fs::write(&path, whole.replacen("\n8\n", "\n7\n", 1)).expect("there is room");
        assert!(complaint(dir.path()).starts_with("the last checkpoint in DIR/checkpoints does not hold"));
    }

    /// A disk with room for so many bytes, which may refuse to be cut too.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        cuts: bool,
    }

    impl Storage for Disk {
        fn write(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
            let bytes: &[u8] = parts.iter().find(|part| !part.is_empty()).map_or(&[], |part| part);
            let free = self.room.saturating_sub(self.bytes.len()).min(bytes.len());
            if free == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(&bytes[..free]);
            Ok(free)
        }

        fn set_len(&mut self, bytes: u64) -> io::Result<()> {
            if !self.cuts {
                return Err(io::ErrorKind::ReadOnlyFilesystem.into());
            }
            self.bytes.truncate(bytes as usize);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_leaves_no_half_line() {
        let mut tail = Tail::new(Disk { bytes: Vec::new(), room: 7, cuts: true }, 0);
        tail.append(b"one\n").expect("there is room");
        assert_eq!(tail.append(b"two\n").map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        assert_eq!(tail.file.bytes, b"one\n");
        tail.file.room = 8;
        tail.append(b"two\n").expect("there is room");
        assert_eq!(tail.file.bytes, b"one\ntwo\n");
    }

    #[test]
    fn takes_nothing_until_the_half_line_is_gone() {
        let mut tail = Tail::new(Disk { bytes: Vec::new(), room: 7, cuts: false }, 0);
        tail.append(b"one\n").expect("there is room");
        tail.append(b"two\n").expect_err("the disk is full");
        tail.file.room = 100;
        let error = tail.append(b"two\n").expect_err("the half line cannot be cut");
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        tail.file.cuts = true;
        tail.append(b"two\n").expect("repaired");
        assert_eq!(tail.file.bytes, b"one\ntwo\n");
    }
}
