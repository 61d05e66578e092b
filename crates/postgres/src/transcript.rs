//! Shows a recorded session to a person: result sets as tables of text, errors and notices as lines.
//!
//! Knows only what the client saw. Values are stripped of control characters, so that a replay cannot drive the
//! terminal it is shown on.

use bytes::BytesMut;
use gatehouse_protocol::{Breach, Transcript};

use crate::frame::{self, Frame, Peek, Reader};
use crate::session::row_names;

/// No more than this many characters of a value are shown.
const SHOWN_CHARS_MAX: usize = 120;

#[derive(Default)]
pub(crate) struct PostgresTranscript {
    buf: BytesMut,
    formats: Vec<i16>,
}

impl Transcript for PostgresTranscript {
    fn show(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buf.extend_from_slice(bytes);
        let mut lines = Vec::new();
        loop {
            let len = match frame::peek(&self.buf, usize::MAX, Breach::target) {
                Ok(Peek::Whole(frame)) => frame.len,
                Ok(Peek::Short(_) | Peek::Large(..)) => return lines,
                Err(_) => {
                    self.buf.clear();
                    return lines;
                }
            };
            let whole = self.buf.split_to(len);
            for frame in frame::frames(&whole) {
                lines.extend(self.line(frame));
            }
        }
    }
}

impl PostgresTranscript {
    fn line(&mut self, frame: Frame<'_>) -> Option<String> {
        let mut reader = Reader(frame.body);
        match frame.tag {
            b'T' => {
                let (names, formats) = row_names(frame.body)?;
                self.formats = formats;
                Some(format!("  {}", names.join(" | ")))
            }
            b'D' => {
                let count = reader.i16()?;
                let values: Option<Vec<String>> = (0..usize::try_from(count).ok()?)
                    .map(|place| reader.value().map(|value| self.value(place, value)))
                    .collect();
                Some(format!("  {}", values?.join(" | ")))
            }
            b'd' => Some(format!("  {}", printable(&String::from_utf8_lossy(frame.body)))),
            b'C' => Some(format!("  -- {}", printable(&String::from_utf8_lossy(reader.cstr()?)))),
            b'E' | b'N' => Some(report(frame.body)),
            b'A' => {
                let _process = reader.i32()?;
                let channel = printable(&String::from_utf8_lossy(reader.cstr()?));
                Some(format!("  notification on {channel}: {}", printable(&String::from_utf8_lossy(reader.cstr()?))))
            }
            _ => None,
        }
    }

    fn value(&self, place: usize, value: Option<&[u8]>) -> String {
        match (value, self.formats.get(place)) {
            (None, _) => "(null)".into(),
            (Some(value), Some(1)) if std::str::from_utf8(value).is_err() => format!("({} bytes)", value.len()),
            (Some(value), _) => printable(&String::from_utf8_lossy(value)),
        }
    }
}

fn report(body: &[u8]) -> String {
    let mut reader = Reader(body);
    let mut parts = Vec::new();
    while let Some(field @ 1..) = reader.u8() {
        let Some(value) = reader.cstr() else { break };
        let text = printable(&String::from_utf8_lossy(value));
        match field {
            b'S' | b'C' | b'M' => parts.push(text),
            b'D' => parts.push(format!("\n    detail: {text}")),
            b'H' => parts.push(format!("\n    hint: {text}")),
            _ => {}
        }
    }
    format!("  {}", parts.join(" "))
}

fn printable(text: &str) -> String {
    let shown = text.trim_end_matches('\n').chars().take(SHOWN_CHARS_MAX);
    let mut line: String = shown.map(|c| if c.is_control() { '·' } else { c }).collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        line.push('…');
    }
    line
}
