//! The file of a session's recording: what the client saw, in pieces with their times.
//!
//! Knows the format and the running digest; must not know a file, a clock or what the bytes mean. A file is:
//!
//! ```text
//! gatehouse-recording 1\n
//! {"session":"ses-…","started":"RFC 3339","target":"…"}\n
//! chunk*   = u64 LE microseconds since the start, u8 direction, u32 LE length, that many bytes
//! ```
//!
//! Past a limit content is no longer kept, but its digest and length are ([`Direction::Cut`]), so that the file is still
//! evidence of what was sent: whoever kept the answer can prove that it is the one.

use std::io::{self, BufRead, Read};

use crate::tail::Append;
use gatehouse_model::{Digest, Sha256};
use serde::{Deserialize, Serialize};

use crate::line::{Line, read_line};

/// The most bytes in one chunk. Longer content is written as several.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// The most bytes in one recording before only digests are kept, by default.
pub const RECORDING_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The most bytes in the header line.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Content of so many bytes at most is behind one [`Direction::Cut`].
const CUT_BYTES_MAX: u64 = 1024 * 1024;

const MAGIC: &[u8] = b"gatehouse-recording 1";
const CHUNK_HEAD_BYTES: u64 = 13;

/// So much is written from one place, for that is faster than from many.
const TOGETHER_BYTES_MAX: u64 = 16 * 1024;

/// Why a recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file failed. After a failed write the recording is as it was before.
    #[error("the recording cannot be read or written: repair its disk")]
    Io(#[source] io::Error),
    /// The file is something else.
    #[error("it is not a recording, or one of another version")]
    NotARecording,
    /// A chunk cannot be.
    #[error("the recording is damaged at byte {offset}")]
    Damaged {
        /// Where the chunk begins.
        offset: u64,
    },
}

/// The header line. Its members are in the order of their names, as canonical JSON wants them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingHeader {
    /// What was spoken in it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// The session.
    pub session: String,
    /// When the times of chunks begin (RFC 3339).
    pub started: String,
    /// Where the session went.
    pub target: String,
}

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Bytes that went to the client, masks applied.
    ToClient,
    /// A mark: what became of an operation, its number and its turn, and its statement as evidence keeps it.
    Mark,
    /// Content that was not kept: its length (u64 LE) and SHA-256, over all that went unkept since the last cut.
    Cut,
}

impl Direction {
    const fn byte(self) -> u8 {
        match self {
            Self::ToClient => 0,
            Self::Mark => 1,
            Self::Cut => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::ToClient),
            1 => Some(Self::Mark),
            2 => Some(Self::Cut),
            _ => None,
        }
    }
}

/// Length and digest of a whole recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// The length of the file.
    pub bytes: u64,
    /// SHA-256 of all of it.
    pub sha256: Digest,
    /// True if content was cut.
    pub truncated: bool,
}

impl Seal {
    /// The form that a session's last record holds.
    pub fn named(self, file: &str) -> crate::RecordingSeal {
        crate::RecordingSeal {
            file: file.into(),
            bytes: self.bytes,
            sha256: self.sha256.to_string(),
            truncated: self.truncated,
        }
    }
}

/// Reads a stream to its end: its length and SHA-256. This is how a recording is sealed whose writer died.
pub fn digest_stream(mut reader: impl Read) -> io::Result<(u64, Digest)> {
    let mut hash = Sha256::default();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok((bytes, hash.finish())),
            Ok(read) => {
                hash.update(buffer.get(..read).unwrap_or_default());
                bytes += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Content that is not kept, as far as it is not yet written as a cut.
struct Unkept {
    hash: Sha256,
    bytes: u64,
}

/// Writes a recording, a whole chunk at a time.
pub struct RecordingWriter<W> {
    writer: W,
    hash: Sha256,
    bytes: u64,
    bytes_max: u64,
    unkept: Option<Unkept>,
    last_offset: u64,
}

impl<W> std::fmt::Debug for RecordingWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingWriter").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<W: Append> RecordingWriter<W> {
    /// Begins a recording with its header. Past `bytes_max` bytes of file only digests are kept.
    ///
    /// # Errors
    /// [`RecordingError::Io`] if the header cannot be written.
    pub fn new(writer: W, header: &RecordingHeader, bytes_max: u64) -> Result<Self, RecordingError> {
        let mut this = Self { writer, hash: Sha256::default(), bytes: 0, bytes_max, unkept: None, last_offset: 0 };
        let mut head = MAGIC.to_vec();
        head.push(b'\n');
        head.extend(serde_json::to_vec(header).map_err(|error| RecordingError::Io(error.into()))?);
        head.push(b'\n');
        this.put(&head)?;
        Ok(this)
    }

    /// Adds content, `offset` microseconds after the session's start. [`Direction::Cut`] is the writer's own: content
    /// given with it counts as unkept.
    ///
    /// # Errors
    /// [`RecordingError::Io`]; then the recording is as it was, and may be tried again.
    pub fn write(&mut self, offset: u64, direction: Direction, content: &[u8]) -> Result<(), RecordingError> {
        self.write_all(&[(offset, direction, content)])
    }

    /// Adds several pieces at once; those of one direction and time that follow each other become one chunk. All are kept or none,
    /// but for pieces beyond [`CHUNK_BYTES_MAX`] and those around the limit of what is kept.
    ///
    /// # Errors
    /// As [`RecordingWriter::write`].
    pub fn write_all(&mut self, pieces: &[(u64, Direction, &[u8])]) -> Result<(), RecordingError> {
        let mut batch = Batch::default();
        for &(offset, direction, content) in pieces {
            self.last_offset = offset;
            for piece in content.chunks(CHUNK_BYTES_MAX) {
                let bytes = self.bytes + batch.bytes + CHUNK_HEAD_BYTES + piece.len() as u64;
                let keep = match direction {
                    Direction::ToClient | Direction::Mark => self.unkept.is_none() && bytes <= self.bytes_max,
                    Direction::Cut => false,
                };
                if keep {
                    batch.add(offset, direction, piece);
                } else {
                    self.put_batch(std::mem::take(&mut batch))?;
                    self.leave_out(offset, piece)?;
                }
            }
        }
        self.put_batch(batch)
    }

    /// Ends the recording and returns its seal with the writer, which the caller may sync.
    ///
    /// # Errors
    /// As [`RecordingWriter::write`].
    pub fn finish(mut self) -> Result<(Seal, W), RecordingError> {
        self.put_cut(self.last_offset)?;
        let seal = Seal { bytes: self.bytes, sha256: self.hash.finish(), truncated: self.unkept.is_some() };
        Ok((seal, self.writer))
    }

    fn leave_out(&mut self, offset: u64, piece: &[u8]) -> Result<(), RecordingError> {
        let unkept = self.unkept.get_or_insert_with(|| Unkept { hash: Sha256::default(), bytes: 0 });
        unkept.hash.update(piece);
        unkept.bytes += piece.len() as u64;
        if unkept.bytes >= CUT_BYTES_MAX { self.put_cut(offset) } else { Ok(()) }
    }

    fn put_cut(&mut self, offset: u64) -> Result<(), RecordingError> {
        let Some(unkept) = self.unkept.as_mut().filter(|unkept| unkept.bytes > 0) else {
            return Ok(());
        };
        let mut content = unkept.bytes.to_le_bytes().to_vec();
        content.extend_from_slice(&std::mem::take(&mut unkept.hash).finish().0);
        unkept.bytes = 0;
        self.put_chunk(offset, Direction::Cut, &content)
    }

    fn put_chunk(&mut self, offset: u64, direction: Direction, content: &[u8]) -> Result<(), RecordingError> {
        let mut batch = Batch::default();
        batch.add(offset, direction, content);
        self.put_batch(batch)
    }

    fn put_batch(&mut self, batch: Batch<'_>) -> Result<(), RecordingError> {
        if batch.chunks.is_empty() {
            return Ok(());
        }
        let heads: Result<Vec<_>, RecordingError> = batch.chunks.iter().map(BatchChunk::head).collect();
        let heads = heads?;
        let mut parts: Vec<&[u8]> = Vec::with_capacity(heads.len() * 2);
        for (head, chunk) in heads.iter().zip(&batch.chunks) {
            parts.push(head);
            parts.extend_from_slice(&chunk.parts);
        }
        if batch.bytes <= TOGETHER_BYTES_MAX { self.put(&parts.concat()) } else { self.put_parts(&parts) }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RecordingError> {
        self.put_parts(&[bytes])
    }

    fn put_parts(&mut self, parts: &[&[u8]]) -> Result<(), RecordingError> {
        self.writer.append_parts(parts).map_err(RecordingError::Io)?;
        for part in parts {
            self.hash.update(part);
            self.bytes += part.len() as u64;
        }
        Ok(())
    }

    /// Where it is written.
    pub fn writer(&self) -> &W {
        &self.writer
    }

    /// The length of the file so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Chunks that are written together.
#[derive(Default)]
struct Batch<'a> {
    chunks: Vec<BatchChunk<'a>>,
    /// The length of them all, heads included.
    bytes: u64,
}

struct BatchChunk<'a> {
    offset: u64,
    direction: Direction,
    parts: Vec<&'a [u8]>,
    bytes: u64,
}

impl<'a> Batch<'a> {
    fn add(&mut self, offset: u64, direction: Direction, piece: &'a [u8]) {
        let bytes = piece.len() as u64;
        self.bytes += bytes;
        if let Some(last) = self.chunks.last_mut()
            && (last.offset, last.direction) == (offset, direction)
            && direction == Direction::ToClient
            && last.bytes + bytes <= CHUNK_BYTES_MAX as u64
        {
            last.parts.push(piece);
            last.bytes += bytes;
            return;
        }
        self.bytes += CHUNK_HEAD_BYTES;
        self.chunks.push(BatchChunk { offset, direction, parts: vec![piece], bytes });
    }
}

impl BatchChunk<'_> {
    fn head(&self) -> Result<[u8; 13], RecordingError> {
        let length = u32::try_from(self.bytes).map_err(|error| RecordingError::Io(io::Error::other(error)))?;
        let mut head = [0; 13];
        let (at, rest) = head.split_at_mut(8);
        at.copy_from_slice(&self.offset.to_le_bytes());
        if let Some((kind, size)) = rest.split_first_mut() {
            *kind = self.direction.byte();
            size.copy_from_slice(&length.to_le_bytes());
        }
        Ok(head)
    }
}

/// One piece of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Microseconds since the session's start.
    pub offset: u64,
    /// What it holds.
    pub direction: Direction,
    /// The content.
    pub content: Vec<u8>,
}

/// Reads a recording, also one that its writer did not finish.
#[derive(Debug)]
pub struct RecordingReader<R> {
    reader: R,
    header: RecordingHeader,
    position: u64,
    torn: Option<u64>,
}

impl<R: BufRead> RecordingReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`RecordingError::NotARecording`] and [`RecordingError::Io`].
    pub fn new(mut reader: R) -> Result<Self, RecordingError> {
        let mut buffer = Vec::new();
        let mut line = |buffer: &mut Vec<u8>| match read_line(&mut reader, buffer, HEADER_BYTES_MAX) {
            Ok(Line::Whole) => Ok(()),
            Ok(Line::End | Line::Torn | Line::TooLong) => Err(RecordingError::NotARecording),
            Err(error) => Err(RecordingError::Io(error)),
        };
        line(&mut buffer)?;
        if buffer != MAGIC {
            return Err(RecordingError::NotARecording);
        }
        line(&mut buffer)?;
        let header = serde_json::from_slice(&buffer).map_err(|_| RecordingError::NotARecording)?;
        let position = (MAGIC.len() + buffer.len() + 2) as u64;
        Ok(Self { reader, header, position, torn: None })
    }

    /// The header.
    pub fn header(&self) -> &RecordingHeader {
        &self.header
    }

    /// The next chunk, or `None` at the end; then [`RecordingReader::torn`] tells whether it is a clean one.
    ///
    /// # Errors
    /// [`RecordingError::Damaged`] for what no writer writes, and [`RecordingError::Io`].
    pub fn next_chunk(&mut self) -> Result<Option<Chunk>, RecordingError> {
        let damaged = RecordingError::Damaged { offset: self.position };
        let mut offset = [0; 8];
        let mut direction = [0; 1];
        let mut length = [0; 4];
        let mut read = 0;
        for part in [&mut offset[..], &mut direction[..], &mut length[..]] {
            let got = fill(&mut self.reader, part).map_err(RecordingError::Io)?;
            read += got;
            if got < part.len() {
                return Ok(self.end(read));
            }
        }
        let [direction] = direction;
        let length = u32::from_le_bytes(length) as usize;
        let Some(direction) = Direction::from_byte(direction).filter(|_| length <= CHUNK_BYTES_MAX) else {
            return Err(damaged);
        };
        let mut content = vec![0; length];
        let got = fill(&mut self.reader, &mut content).map_err(RecordingError::Io)?;
        if got < length {
            return Ok(self.end(read + got));
        }
        self.position += CHUNK_HEAD_BYTES + length as u64;
        Ok(Some(Chunk { offset: u64::from_le_bytes(offset), direction, content }))
    }

    /// After the end: the number of bytes of a last chunk that was not finished, if there is one.
    pub fn torn(&self) -> Option<u64> {
        self.torn
    }

    fn end(&mut self, left_over: usize) -> Option<Chunk> {
        if left_over > 0 {
            self.torn = Some(left_over as u64);
        }
        None
    }
}

/// Fills the buffer as far as the reader goes.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordingHeader {
        let [protocol, session, target] = ["postgres", "ses-1", "shop"].map(Into::into);
        RecordingHeader { protocol, session, started: "2026-01-01T00:00:00Z".into(), target }
    }

    fn chunks(file: &[u8]) -> (Vec<Chunk>, Option<u64>) {
        let mut reader = RecordingReader::new(file).expect("a recording");
        assert_eq!(reader.header(), &header());
        let mut chunks = Vec::new();
        while let Some(chunk) = reader.next_chunk().expect("whole or torn") {
            chunks.push(chunk);
        }
        (chunks, reader.torn())
    }

    #[test]
    fn reads_back_what_was_written() {
        let mut writer = RecordingWriter::new(Vec::new(), &header(), RECORDING_BYTES_MAX).expect("memory");
        writer.write(1, Direction::Mark, br#"{"title":"SELECT"}"#).expect("memory");
        writer.write(2, Direction::ToClient, b"rows").expect("memory");
        let (seal, file) = writer.finish().expect("memory");
        assert_eq!(digest_stream(file.as_slice()).expect("memory"), (seal.bytes, seal.sha256));
        assert!(!seal.truncated);
        let rows = Chunk { offset: 2, direction: Direction::ToClient, content: b"rows".to_vec() };
        assert_eq!(chunks(&file).0.last(), Some(&rows));
        assert_eq!(chunks(&file).1, None);
        for cut in 1..17 {
            let (whole, torn) = chunks(file.get(..file.len() - cut).expect("a beginning"));
            assert_eq!((whole.len(), torn), (1, Some(17 - cut as u64)));
        }
    }

    #[test]
    fn past_the_limit_digests_are_kept() {
        let mut writer = RecordingWriter::new(Vec::new(), &header(), 142).expect("memory");
        writer.write(1, Direction::ToClient, b"kept").expect("memory");
        writer.write(2, Direction::ToClient, &[7; 100]).expect("memory");
        writer.write(3, Direction::ToClient, b"small, but after the cut").expect("memory");
        let (seal, file) = writer.finish().expect("memory");
        assert!(seal.truncated);
        let mut unkept = vec![7; 100];
        unkept.extend_from_slice(b"small, but after the cut");
        let mut expect = 124u64.to_le_bytes().to_vec();
        expect.extend_from_slice(&crate::tree::sha256(&unkept).0);
        let cut = Chunk { offset: 3, direction: Direction::Cut, content: expect };
        assert_eq!(chunks(&file).0.last(), Some(&cut));
        assert_eq!(chunks(&file).0.len(), 2);
    }

    #[test]
    fn damage_is_told_from_an_early_end() {
        let writer = RecordingWriter::new(Vec::new(), &header(), 1000).expect("memory");
        let (_, mut file) = writer.finish().expect("memory");
        let at = file.len() as u64;
        file.extend_from_slice(&[9; 13]);
        let mut reader = RecordingReader::new(file.as_slice()).expect("a recording");
        assert!(matches!(reader.next_chunk(), Err(RecordingError::Damaged { offset }) if offset == at));
        assert!(matches!(RecordingReader::new(&b"PNG"[..]), Err(RecordingError::NotARecording)));
    }
}
