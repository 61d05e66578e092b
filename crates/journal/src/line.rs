//! Reads lines of bounded length from any stream.
//!
//! Knows bytes and line breaks; must not know what a line holds or where the stream comes from.

use std::io::{self, BufRead, Read as _};

/// What a read of one line met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The stream was at its end.
    End,
    /// A line that its line break ended; the break is not in the buffer.
    Whole,
    /// The stream ended within the line.
    Torn,
    /// The line is longer than the limit; the buffer holds its beginning.
    TooLong,
}

/// Reads one line of at most `bytes_max` bytes into `buffer`, which is emptied first.
pub(crate) fn read_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>, bytes_max: usize) -> io::Result<Line> {
    buffer.clear();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_until(b'\n', buffer)?;
    Ok(match buffer.last() {
        None => Line::End,
        Some(b'\n') => {
            buffer.pop();
            Line::Whole
        }
        Some(_) if buffer.len() > bytes_max => Line::TooLong,
        Some(_) => Line::Torn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_lines_apart() {
        let mut reader: &[u8] = b"one\n\nfour!\ntwo";
        let mut buffer = Vec::new();
        let mut read = |bytes_max| {
            let line = read_line(&mut reader, &mut buffer, bytes_max).expect("reads from memory");
            (line, String::from_utf8_lossy(&buffer).into_owned())
        };
        assert_eq!(read(3), (Line::Whole, "one".into()));
        assert_eq!(read(3), (Line::Whole, String::new()));
        assert_eq!(read(4), (Line::TooLong, "four!".into()));
        assert_eq!(read(4), (Line::Whole, String::new()));
        assert_eq!(read(4), (Line::Torn, "two".into()));
        assert_eq!(read(4), (Line::End, String::new()));
    }
}
