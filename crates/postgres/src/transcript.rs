//! Shows a recorded session to a person: result sets as tables of text, errors and notices as lines.
//!
//! Knows only what the client saw.

use bytes::BytesMut;
use gatehouse_protocol::{Breach, Seen, Transcript};

use crate::frame::{self, Frame, Peek, Reader};
use crate::session::{row_names, skip_copy_head};

#[derive(Default)]
pub(crate) struct PostgresTranscript {
    buf: BytesMut,
    formats: Vec<i16>,
    /// What is copied out is in binary form.
    copies_binary: bool,
}

impl Transcript for PostgresTranscript {
    fn show(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.buf.extend_from_slice(bytes);
        let mut seen = Vec::new();
        loop {
            let len = match frame::peek(&self.buf, usize::MAX, Breach::target) {
                Ok(Peek::Whole(frame)) => frame.len,
                Ok(Peek::Short(_) | Peek::Large(..)) => return seen,
                Err(_) => {
                    self.buf.clear();
                    return seen;
                }
            };
            let whole = self.buf.split_to(len);
            for frame in frame::frames(&whole) {
                seen.extend(self.seen(frame));
            }
        }
    }
}

impl PostgresTranscript {
    fn seen(&mut self, frame: Frame<'_>) -> Option<Seen> {
        let mut reader = Reader(frame.body);
        match frame.tag {
            b'T' => {
                let (names, formats) = row_names(frame.body)?;
                self.formats = formats;
                Some(Seen::Columns(names))
            }
            // What was described gives no rows.
            b'n' => Some(Seen::Columns(Vec::new())),
            b'D' => {
                let count = reader.i16()?;
                let values: Option<Vec<Option<String>>> = (0..usize::try_from(count).ok()?)
                    .map(|place| reader.value().map(|value| self.value(place, value)))
                    .collect();
                Some(Seen::Row(values?))
            }
            b'H' => {
                self.copies_binary = reader.u8() == Some(1);
                None
            }
            b'W' => {
                self.copies_binary = false;
                None
            }
            b'd' if self.copies_binary => copied_row(frame.body),
            b'd' => Some(Seen::Text(text(frame.body).trim_end_matches('\n').into())),
            b'C' => Some(Seen::Done(text(reader.cstr()?))),
            b'I' => Some(Seen::Done("(nothing was asked)".into())),
            b's' => Some(Seen::Done("(there is more, which the client has not asked for)".into())),
            b'1' => Some(Seen::Prepared),
            b'2' => Some(Seen::Bound),
            b'Z' => Some(Seen::Turn),
            b'E' => Some(Seen::Problem(report(frame.body))),
            b'N' => Some(Seen::Note(report(frame.body))),
            b'A' => {
                let _process = reader.i32()?;
                let channel = text(reader.cstr()?);
                Some(Seen::Note(format!("notification on {channel}: {}", text(reader.cstr()?))))
            }
            _ => None,
        }
    }

    fn value(&self, place: usize, value: Option<&[u8]>) -> Option<String> {
        Some(shown(value?, self.formats.get(place) == Some(&1)))
    }
}

/// A row of a binary COPY, behind what may stand before the first one. What stands behind the last is none.
fn copied_row(body: &[u8]) -> Option<Seen> {
    let mut reader = Reader(body);
    let mut behind_head = reader;
    if skip_copy_head(&mut behind_head).is_some() {
        reader = behind_head;
    }
    if reader.0 == b"\xff\xff" {
        return None;
    }
    let row = binary_values(&mut reader).map(Seen::Row);
    row.or_else(|| Some(Seen::Text(format!("({} bytes)", body.len()))))
}

fn binary_values(reader: &mut Reader<'_>) -> Option<Vec<Option<String>>> {
    let count = usize::try_from(reader.i16()?).ok()?;
    (0..count).map(|_| reader.value().map(|value| value.map(|value| shown(value, true)))).collect()
}

fn shown(value: &[u8], is_binary: bool) -> String {
    let is_odd = |byte: &u8| *byte < b' ' && !b"\t\r\n".contains(byte);
    // No text holds a NUL, whatever the client was told of its form.
    let is_opaque =
        value.contains(&0) || is_binary && (std::str::from_utf8(value).is_err() || value.iter().any(is_odd));
    if is_opaque { format!("({} bytes)", value.len()) } else { text(value) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn report(body: &[u8]) -> String {
    let mut reader = Reader(body);
    let mut parts = Vec::new();
    while let Some(field @ 1..) = reader.u8() {
        let Some(value) = reader.cstr() else { break };
        match field {
            b'S' | b'C' | b'M' => parts.push(text(value)),
            b'D' => parts.push(format!("\ndetail: {}", text(value))),
            b'H' => parts.push(format!("\nhint: {}", text(value))),
            _ => {}
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;

    use super::*;

    #[test]
    fn what_gives_no_rows_has_no_columns() {
        let mut bytes = BytesMut::new();
        frame::write(&mut bytes, b'n', |_| {});
        assert_eq!(PostgresTranscript::default().show(&bytes), [Seen::Columns(Vec::new())]);
    }

    #[test]
    fn rows_of_binary_copies_are_shown_as_rows() {
        let head = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
        let (row, other) = (&b"\0\x02\0\0\0\x02ab\xff\xff\xff\xff"[..], &b"\0\x01\0\0\0\x04\0\0\0\x07"[..]);
        let mut bytes = BytesMut::new();
        frame::write(&mut bytes, b'H', |out| out.put_slice(&[1, 0, 0]));
        let first = [&head[..], row].concat();
        for body in [&first[..], other, b"\xff\xff", b"\0\x05"] {
            frame::write(&mut bytes, b'd', |out| out.put_slice(body));
        }
        frame::write(&mut bytes, b'H', |out| out.put_slice(&[0, 0, 0]));
        frame::write(&mut bytes, b'd', |out| out.put_slice(b"a\tb\n"));
        let expected = [
            Seen::Row(vec![Some("ab".into()), None]),
            Seen::Row(vec![Some("(4 bytes)".into())]),
            Seen::Text("(2 bytes)".into()),
            Seen::Text("a\tb".into()),
        ];
        assert_eq!(PostgresTranscript::default().show(&bytes), expected);
    }
}
