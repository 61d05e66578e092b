//! Recordings in files of the data folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use gatehouse_gate::{Piece, Tape, TapeSeal, Target};
use gatehouse_journal::{Direction, RecordingError, RecordingHeader, RecordingWriter, Tail};
use gatehouse_model::SessionId;
use jiff::Timestamp;
use rustix::fs::FallocateFlags;

/// How much room is asked of the file system at a time, in bytes.
const ROOM_BYTES: u64 = 32 * 1024;

/// One session's recording. Every chunk is with the operating system before the client sees what it holds.
pub(crate) struct FileTape {
    file: String,
    writer: Option<RecordingWriter<Tail<File>>>,
    /// Up to this length the file system has room set aside.
    room: u64,
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
            protocol: target.protocol.clone(),
            session: session.to_string(),
            started: opened.to_string(),
            target: target.name.to_string(),
        };
        let writer = RecordingWriter::new(Tail::new(handle, 0), &header, bytes_max).map_err(plain)?;
        Ok(Self { file, writer: Some(writer), room: 0 })
    }
}

fn sealed() -> io::Error {
    io::Error::other("the recording is sealed")
}

impl Tape for FileTape {
    fn write(&mut self, at: Duration, pieces: &[Piece<'_>]) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or_else(sealed)?;
        let micros = |at: Duration| u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let pieces: Vec<(u64, Direction, &[u8])> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::ToClient(bytes) => (micros(at), Direction::ToClient, *bytes),
                Piece::Mark(at, text) => (micros(*at), Direction::Mark, text.as_bytes()),
            })
            .collect();
        writer.write_all(&pieces).map_err(plain)
    }

    fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        let writer = self.writer.as_ref().ok_or_else(sealed)?;
        let (length, bytes) = (writer.bytes(), bytes as u64);
        if length + bytes <= self.room {
            return Ok(());
        }
        let more = bytes.max(ROOM_BYTES);
        match rustix::fs::fallocate(writer.writer().file(), FallocateFlags::KEEP_SIZE, length, more) {
            Ok(()) => {
                self.room = length + more;
                Ok(())
            }
            // Where the file system cannot set room aside, the write itself will tell.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn seal(&mut self) -> io::Result<TapeSeal> {
        let writer = self.writer.take().ok_or_else(sealed)?;
        let (seal, tail) = writer.finish().map_err(plain)?;
        let file = tail.into_file();
        // Gives back the room that was not used.
        file.set_len(seal.bytes)?;
        file.sync_data()?;
        Ok(TapeSeal { file: self.file.clone(), bytes: seal.bytes, digest: seal.sha256, cut: seal.truncated })
    }
}

fn plain(error: RecordingError) -> io::Error {
    match error {
        RecordingError::Io(error) => error,
        other @ (RecordingError::NotARecording | RecordingError::Damaged { .. }) => io::Error::other(other),
    }
}
