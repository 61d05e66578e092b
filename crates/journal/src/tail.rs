//! The end of a file that grows by whole pieces only, whatever the disk does.
//!
//! Knows how to put a file back to its last whole piece; must not know what the pieces are.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

/// Takes pieces, each whole or not at all.
pub trait Append {
    /// Appends all of the piece.
    ///
    /// # Errors
    /// Those of the disk; then nothing of the piece is there, and a later piece may be taken again.
    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.append_parts(&[piece])
    }

    /// Appends all of a piece that lies in several parts.
    ///
    /// # Errors
    /// As [`Append::append`].
    fn append_parts(&mut self, parts: &[&[u8]]) -> io::Result<()>;
}

/// Pieces in memory, for tests.
impl Append for Vec<u8> {
    fn append_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        parts.iter().for_each(|part| self.extend_from_slice(part));
        Ok(())
    }
}

/// What a tail needs of a file; a seam for tests with full disks.
pub trait Storage {
    /// Writes some of the bytes at the end.
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Cuts the file to a length.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;
}

fn write_to(mut file: &File, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    match parts {
        [only] => file.write(only),
        several => file.write_vectored(several),
    }
}

impl Storage for File {
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        write_to(self, parts)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }
}

impl Storage for Arc<File> {
    fn write(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        write_to(self, parts)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }
}

/// The end of a file that only grows by whole pieces.
#[derive(Debug)]
pub struct Tail<F> {
    pub(crate) file: F,
    pub(crate) bytes: u64,
    /// True while there may be a part of a piece past `bytes`.
    pub(crate) ragged: bool,
}

impl<F> Tail<F> {
    /// The end of a file of this length, which was opened to append.
    pub fn new(file: F, bytes: u64) -> Self {
        Self { file, bytes, ragged: false }
    }

    /// The file, to look at.
    pub fn file(&self) -> &F {
        &self.file
    }

    /// The file.
    pub fn into_file(self) -> F {
        self.file
    }
}

/// Parts written in one system call.
const PARTS_PER_WRITE_MAX: usize = 256;

impl<F: Storage> Append for Tail<F> {
    /// If even putting the file back fails, the next call tries that again first.
    fn append_parts(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.repair()?;
        if let Err(error) = self.write_all(parts) {
            self.ragged = true;
            // The write's error is the one to report; the next append meets this one if it lasts.
            let _ = self.repair();
            return Err(error);
        }
        self.bytes += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Ok(())
    }
}

impl<F: Storage> Tail<F> {
    /// Cuts off what is left of a piece that was not taken whole.
    pub(crate) fn repair(&mut self) -> io::Result<()> {
        if self.ragged {
            self.file.set_len(self.bytes)?;
            self.ragged = false;
        }
        Ok(())
    }

    fn write_all(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for parts in parts.chunks(PARTS_PER_WRITE_MAX) {
            let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut rest = slices.as_mut_slice();
            // Drops empty slices at the front, which would look like a write of nothing.
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                match self.file.write(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => IoSlice::advance_slices(&mut rest, written),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}
