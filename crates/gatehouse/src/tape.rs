//! Recordings in files of the data folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use gatehouse_gate::{Tape, TapeSeal, Target};
use gatehouse_journal::{Direction, RecordingError, RecordingHeader, RecordingWriter, Tail};
use gatehouse_model::SessionId;
use jiff::Timestamp;

/// One session's recording. Every chunk is with the operating system before the client sees what it holds.
pub(crate) struct FileTape {
    file: String,
    writer: Option<RecordingWriter<Tail<File>>>,
}

impl FileTape {
    /// Begins the recording of a session.
    pub(crate) fn begin(
        folder: &Path,
        session: &SessionId,
        target: &Target,
        opened: Timestamp,
        bytes_max: u64,
    ) -> io::Result<Self> {
        let file = format!("{session}.rec");
        let handle = OpenOptions::new().append(true).create_new(true).mode(0o600).open(folder.join(&file))?;
        let header = RecordingHeader {
            session: session.to_string(),
            started: opened.to_string(),
            target: target.name.to_string(),
        };
        let writer = RecordingWriter::new(Tail::new(handle, 0), &header, bytes_max).map_err(plain)?;
        Ok(Self { file, writer: Some(writer) })
    }

    fn write(&mut self, at: Duration, direction: Direction, content: &[u8]) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or_else(|| io::Error::other("the recording is sealed"))?;
        let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        writer.write(micros, direction, content).map_err(plain)
    }
}

impl Tape for FileTape {
    fn to_client(&mut self, at: Duration, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() { Ok(()) } else { self.write(at, Direction::ToClient, bytes) }
    }

    fn mark(&mut self, at: Duration, text: &str) -> io::Result<()> {
        self.write(at, Direction::Mark, text.as_bytes())
    }

    fn seal(&mut self) -> io::Result<TapeSeal> {
        let writer = self.writer.take().ok_or_else(|| io::Error::other("the recording is sealed"))?;
        let (seal, tail) = writer.finish().map_err(plain)?;
        tail.into_file().sync_data()?;
        Ok(TapeSeal { file: self.file.clone(), bytes: seal.bytes, digest: seal.sha256, cut: seal.truncated })
    }
}

fn plain(error: RecordingError) -> io::Error {
    match error {
        RecordingError::Io(error) => error,
        other @ (RecordingError::NotARecording | RecordingError::Damaged { .. }) => io::Error::other(other),
    }
}
