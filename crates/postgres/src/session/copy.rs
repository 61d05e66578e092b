//! Rows with edits: DataRow, FunctionCallResponse, and the lines of `COPY … TO STDOUT`.
//!
//! What stays is copied in one piece with all that stands around it, across fields and frames.

use bytes::{BufMut, BytesMut};
use gatehouse_model::{Denial, Encoding, Reason, Shape, ValueKind};
use gatehouse_protocol::{Breach, Edit, Editor, Field};

use crate::frame::{self, Frame, Reader};

/// Writes a run of rows or of copied data with edits.
pub(super) fn rewrite_rows(
    shape: &Shape,
    run: &[u8],
    editor: &mut dyn Editor,
    out: &mut BytesMut,
) -> Result<(), Breach> {
    let mut rewrite = Rewrite { shape, editor, scratch: Vec::new(), splice: Splice::new(run, out) };
    let mut start = 0;
    for frame in frame::frames(run) {
        rewrite.splice.begin_frame(start);
        start += frame.len;
        let written = match frame.tag {
            b'D' => rewrite.row(frame, start),
            b'V' => rewrite.function_value(frame, start),
            b'd' => Some(rewrite.copied(frame, start)?),
            _ => None,
        };
        written.ok_or_else(|| malformed(frame.tag))?;
        rewrite.splice.end_frame(start);
    }
    rewrite.splice.keep_until(run.len());
    Ok(())
}

pub(super) fn malformed(tag: u8) -> Breach {
    Breach::target(format!("the target sent a malformed message {:?}", char::from(tag)))
}

/// A run on its way into the output.
struct Splice<'a> {
    run: &'a [u8],
    out: &'a mut BytesMut,
    /// What stands before is in the output, as it was or edited.
    done: usize,
    /// Where the frame at hand begins in the run.
    frame: usize,
    /// Where it begins in the output, once something in it was edited.
    edited: Option<usize>,
}

impl<'a> Splice<'a> {
    fn new(run: &'a [u8], out: &'a mut BytesMut) -> Self {
        Self { run, out, done: 0, frame: 0, edited: None }
    }

    fn begin_frame(&mut self, start: usize) {
        self.frame = start;
        self.edited = None;
    }

    fn keep_until(&mut self, end: usize) {
        self.out.put_slice(self.run.get(self.done..end).unwrap_or_default());
        self.done = end;
    }

    /// Puts something else in the place of these bytes of the frame at hand.
    fn replace(&mut self, start: usize, end: usize, fill: impl FnOnce(&mut BytesMut)) {
        self.keep_until(start);
        if self.edited.is_none() {
            self.edited = Some(self.out.len() - (start - self.frame));
        }
        fill(self.out);
        self.done = end;
    }

    /// A frame with edits has another length.
    fn end_frame(&mut self, end: usize) {
        let Some(start) = self.edited else { return };
        // The tag does not count; what follows the last edit is still to be copied.
        let len = self.out.len() - start - 1 + (end - self.done);
        if let Some(place) = self.out.get_mut(start + 1..start + 5) {
            place.copy_from_slice(&i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes());
        }
    }
}

struct Rewrite<'a> {
    shape: &'a Shape,
    editor: &'a mut dyn Editor,
    /// What the editor puts in a value's place.
    scratch: Vec<u8>,
    splice: Splice<'a>,
}

impl Rewrite<'_> {
    /// A DataRow that ends at `end`; `None` if it is malformed.
    fn row(&mut self, frame: Frame<'_>, end: usize) -> Option<()> {
        let mut reader = Reader(frame.body);
        let count = reader.i16()?.cast_unsigned();
        for column in 0..usize::from(count) {
            self.value(column, &mut reader, end)?;
        }
        reader.is_empty().then_some(())
    }

    /// A FunctionCallResponse, of whose value nothing is known.
    fn function_value(&mut self, frame: Frame<'_>, end: usize) -> Option<()> {
        let mut reader = Reader(frame.body);
        self.value(usize::MAX, &mut reader, end)?;
        reader.is_empty().then_some(())
    }

    /// A value behind its length, at the front of what is left of a frame.
    fn value(&mut self, column: usize, reader: &mut Reader<'_>, end: usize) -> Option<()> {
        let from = end - reader.0.len();
        let value = reader.value()?;
        let to = end - reader.0.len();
        let scratch = match self.edit(column, value) {
            Edit::Keep => return Some(()),
            Edit::Null => None,
            Edit::Replace => Some(self.scratch.as_slice()),
        };
        self.splice.replace(from, to, |out| match scratch {
            None => out.put_i32(-1),
            Some(value) => {
                out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
                out.put_slice(value);
            }
        });
        Some(())
    }

    fn edit(&mut self, column: usize, value: Option<&[u8]>) -> Edit {
        self.scratch.clear();
        let known = self.shape.columns.get(column);
        let (kind, encoding) =
            known.map_or((ValueKind::Opaque, Encoding::Text), |column| (column.kind, column.encoding));
        self.editor.edit(Field { column, kind, encoding, value }, &mut self.scratch)
    }

    /// One CopyData. A line that has not the columns that it should have is hidden whole. A binary one cannot be edited,
    /// so where something would have to be, the session ends.
    fn copied(&mut self, frame: Frame<'_>, end: usize) -> Result<(), Breach> {
        if let [column] = self.shape.columns.as_slice()
            && column.kind == ValueKind::Opaque
        {
            let edit = self.edit(0, Some(frame.body));
            return if edit == Edit::Keep { Ok(()) } else { Err(uneditable()) };
        }
        let line = frame.body.strip_suffix(b"\n").unwrap_or(frame.body);
        let columns = self.shape.columns.len();
        let start = end - frame.body.len();
        if columns == 1 {
            self.copied_field(0, line, start);
            return Ok(());
        }
        let fits = memchr::memchr_iter(b'\t', line).count() + 1 == columns;
        let mut from = 0;
        for (column, to) in memchr::memchr_iter(b'\t', line).chain([line.len()]).enumerate() {
            // Past the shape's columns nothing is known of a field, so it is hidden.
            let column = if fits { column } else { usize::MAX };
            self.copied_field(column, line.get(from..to).unwrap_or_default(), start + from);
            from = to + 1;
        }
        Ok(())
    }

    fn copied_field(&mut self, column: usize, field: &[u8], start: usize) {
        let value = (field != b"\\N").then_some(field);
        let with = match self.edit(column, value) {
            Edit::Keep => return,
            Edit::Null => b"\\N",
            Edit::Replace => self.scratch.as_slice(),
        };
        self.splice.replace(start, start + field.len(), |out| out.put_slice(with));
    }
}

fn uneditable() -> Breach {
    let message = "a binary COPY holds a value that must be masked";
    let denial = Denial::new(
        Reason::Policy,
        message,
        "a detector found a classified value, and binary data cannot be masked on its way",
        "Copy in text format",
    );
    Breach::client(message).telling(denial)
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{Access, Column, Provenance, Resource, ShapeRole};
    use gatehouse_protocol::Told;
    use proptest::prelude::*;

    use super::*;

    /// Keeps, removes or replaces a value by its first byte.
    struct ByFirst;

    fn edited(value: Option<&[u8]>) -> Option<Option<Vec<u8>>> {
        match value {
            None => None,
            Some([b'n', ..]) => Some(None),
            Some([b'r', rest @ ..]) => Some(Some([rest, b"replaced", rest].concat())),
            Some([b's', ..]) => Some(Some(Vec::new())),
            Some(_) => None,
        }
    }

    impl Editor for ByFirst {
        fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
            match edited(field.value) {
                None => Edit::Keep,
                Some(None) => Edit::Null,
                Some(Some(value)) => {
                    out.extend_from_slice(&value);
                    Edit::Replace
                }
            }
        }

        fn offers(&mut self, _: &Access) -> bool {
            true
        }

        fn describes(&mut self, _: &Resource, _: &str) -> Told {
            Told::AsIs
        }
    }

    fn shape(columns: usize) -> Shape {
        let column = Column {
            name: "c".into(),
            provenance: Provenance::Clean,
            kind: ValueKind::Text { chars_max: None },
            encoding: Encoding::Text,
        };
        Shape { role: ShapeRole::Rows, columns: vec![column; columns] }
    }

    fn row(values: &[Option<Vec<u8>>]) -> BytesMut {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'D', |out| {
            out.put_u16(u16::try_from(values.len()).unwrap());
            for value in values {
                out.put_i32(value.as_ref().map_or(-1, |value| i32::try_from(value.len()).unwrap()));
                out.put_slice(value.as_deref().unwrap_or_default());
            }
        });
        out
    }

    fn line(fields: &[Option<Vec<u8>>]) -> BytesMut {
        let mut out = BytesMut::new();
        let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_deref().unwrap_or(b"\\N")).collect();
        frame::write(&mut out, b'd', |out| {
            out.put_slice(&fields.join(&b'\t'));
            out.put_u8(b'\n');
        });
        out
    }

    fn rewritten(shape: &Shape, run: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        rewrite_rows(shape, run, &mut ByFirst, &mut out).unwrap();
        out.to_vec()
    }

    fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        let value = prop::option::of("[nrsk][a-z]{0,12}|".prop_map(String::into_bytes));
        prop::collection::vec(value, 0..6)
    }

    proptest! {
        #[test]
        fn a_run_is_what_its_frames_are_with_their_edits(rows in prop::collection::vec(values(), 1..8)) {
            let after = |row: &Vec<Option<Vec<u8>>>| {
                let value = |value: &Option<Vec<u8>>| edited(value.as_deref()).unwrap_or_else(|| value.clone());
                row.iter().map(value).collect::<Vec<_>>()
            };
            let run: Vec<u8> = rows.iter().flat_map(|values| row(values).to_vec()).collect();
            let expected: Vec<u8> = rows.iter().flat_map(|values| row(&after(values)).to_vec()).collect();
            prop_assert_eq!(rewritten(&shape(6), &run), expected);
            // A line always has a field, and an absent one has no other form than its own.
            let rows: Vec<_> = rows.into_iter().filter(|values| !values.is_empty()).collect();
            let run: Vec<u8> = rows.iter().flat_map(|values| line(values).to_vec()).collect();
            let expected: Vec<u8> = rows.iter().flat_map(|values| line(&after(values)).to_vec()).collect();
            prop_assert_eq!(rewritten(&shape(3), &run), expected);
        }

        #[test]
        fn a_row_that_is_cut_or_too_long_is_a_breach(values in values(), cut in 1_usize..8) {
            let whole = row(&values);
            let body = whole.get(5..).unwrap_or_default();
            let framed = |body: &[u8]| {
                let mut out = BytesMut::new();
                frame::write(&mut out, b'D', |out| out.put_slice(body));
                out
            };
            let short = framed(body.get(..body.len().saturating_sub(cut)).unwrap_or_default());
            let long = framed(&[body, b"more"].concat());
            for run in [short, long] {
                prop_assert!(rewrite_rows(&shape(6), &run, &mut ByFirst, &mut BytesMut::new()).is_err());
            }
        }
    }
}
