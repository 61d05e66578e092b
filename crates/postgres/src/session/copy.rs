//! Rows with edits: DataRow, FunctionCallResponse, and what `COPY … TO STDOUT` sends.
//!
//! What stays is copied in one piece with all that stands around it, across fields and frames.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use gatehouse_model::{Denial, Encoding, Reason, Shape, ValueKind};
use gatehouse_protocol::{Breach, Edit, Editor, Field};

use super::csv;
use crate::analysis::{CopyCsv, CopyOut, CopyText};
use crate::frame::{self, Frame, Reader};

/// What stands before the rows of the binary format: this, flags, and an extension behind its length.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// What stands before them where there is no extension, in bytes.
const HEAD_BYTES: usize = SIGNATURE.len() + 8;
/// The flags that a reader has to understand, of which there are none any more.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// What stands behind the rows of the binary format: a number of fields that no row has.
const TRAILER: &[u8] = b"\xff\xff";
/// NULL in the text format.
const NULL: &[u8] = b"\\N";
/// What the text format writes with a letter behind a backslash.
const ESCAPES: [(u8, u8); 6] = [(8, b'b'), (b'\t', b't'), (b'\n', b'n'), (11, b'v'), (12, b'f'), (b'\r', b'r')];

/// Data that the target is copying out.
pub(crate) struct Copied {
    pub(crate) shape: Arc<Shape>,
    pub(crate) form: Form,
    /// Some of it went by.
    pub(crate) has_begun: bool,
}

/// How the data of a COPY is taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Lines of fields between delimiters.
    Text {
        /// What is said of it.
        form: CopyText,
        /// Backslashes are followed. In a text of an unknown encoding they may be parts of characters.
        has_escapes: bool,
    },
    /// Comma-separated values.
    Csv(CopyCsv),
    /// PostgreSQL's binary format.
    Binary,
    /// Each message is a line of text, of which nothing more is followed.
    Lines {
        /// The statement asked for what is classified in them as it is.
        is_asked: bool,
    },
    /// Nothing is followed, and nothing can be replaced.
    Opaque,
}

impl Form {
    /// The form that a statement asked for, where the target says whether it is a binary one, and it is known whether
    /// texts are in UTF-8.
    pub(crate) fn of(copy: Option<&CopyOut>, is_binary: bool, is_utf8: bool) -> Self {
        if is_binary {
            return if copy == Some(&CopyOut::Binary) { Self::Binary } else { Self::Opaque };
        }
        match copy {
            Some(CopyOut::Text(form)) if is_utf8 || form.is_utf8 => Self::Text { form: *form, has_escapes: true },
            // No other character has a tab in it, and no field.
            Some(CopyOut::Text(form)) if form.delimiter == b'\t' => Self::Text { form: *form, has_escapes: false },
            Some(CopyOut::Csv(form)) if is_utf8 || form.is_utf8 || csv::is_clear(form) => Self::Csv(form.clone()),
            Some(CopyOut::Text(_) | CopyOut::Csv(_) | CopyOut::Binary) | None => Self::Lines { is_asked: false },
            Some(CopyOut::Lines) => Self::Lines { is_asked: true },
        }
    }

    /// Whether a message of it is a row, and not what stands before or behind the rows. The target sends each in a message
    /// of its own, but for the head of the binary format, which stands before the first row.
    pub(crate) fn is_row(&self, body: &[u8], begins: bool) -> bool {
        match self {
            Self::Text { form, .. } => !(begins && form.has_header),
            Self::Csv(form) => !(begins && form.has_header),
            Self::Binary => {
                let is_empty = begins && body.len() == HEAD_BYTES + TRAILER.len() && body.ends_with(TRAILER);
                body != TRAILER && !is_empty
            }
            Self::Lines { .. } | Self::Opaque => true,
        }
    }
}

/// Writes a run of rows or of copied data with edits.
pub(super) fn rewrite_rows(
    shape: &Shape,
    copied: Option<&Copied>,
    run: &[u8],
    editor: &mut dyn Editor,
    out: &mut BytesMut,
) -> Result<(), Breach> {
    let mut rewrite = Rewrite {
        shape,
        form: copied.map(|copied| &copied.form),
        begins: copied.is_some_and(|copied| !copied.has_begun),
        editor,
        scratch: Vec::new(),
        splice: Splice::new(run, out),
    };
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
    /// How what is copied is taken apart.
    form: Option<&'a Form>,
    /// The next message of it is the first.
    begins: bool,
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

    /// One CopyData.
    fn copied(&mut self, frame: Frame<'_>, end: usize) -> Result<(), Breach> {
        let begins = std::mem::take(&mut self.begins);
        let (form, start) = (self.form, end - frame.body.len());
        match form {
            Some(Form::Text { form, has_escapes }) => {
                self.text_lines(*form, *has_escapes, begins, frame.body, start);
                Ok(())
            }
            Some(Form::Csv(form)) => self.csv_rows(form, begins, frame.body, start).ok_or_else(not_whole),
            Some(Form::Binary) => self.binary_rows(begins, frame.body, end).ok_or_else(not_whole),
            Some(Form::Lines { .. }) => {
                let line = frame.body.strip_suffix(b"\n").unwrap_or(frame.body);
                match self.edit(0, Some(line)) {
                    Edit::Keep => {}
                    Edit::Null => self.splice.replace(start, start + line.len(), |_| {}),
                    Edit::Replace => {
                        let with = self.scratch.as_slice();
                        self.splice.replace(start, start + line.len(), |out| out.put_slice(with));
                    }
                }
                Ok(())
            }
            Some(Form::Opaque) | None => match self.edit(0, Some(frame.body)) {
                Edit::Keep => Ok(()),
                Edit::Null | Edit::Replace => Err(uneditable()),
            },
        }
    }

    /// Lines of the text format, which end nowhere but at their end.
    fn text_lines(&mut self, form: CopyText, has_escapes: bool, begins: bool, body: &[u8], start: usize) {
        let mut is_header = begins && form.has_header;
        let mut from = 0;
        while let Some(rest) = body.get(from..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if !is_header {
                self.text_line(form, has_escapes, line, end.is_some(), start + from);
            }
            is_header = false;
            from += line.len() + 1;
        }
    }

    /// A line that has not the columns that it should have is hidden whole, and so is one that goes on elsewhere.
    fn text_line(&mut self, form: CopyText, has_escapes: bool, line: &[u8], ends: bool, start: usize) {
        let fits = ends && count_of_fields(form.delimiter, line) == self.shape.columns.len();
        let mut from = 0;
        for (column, field) in fields(form.delimiter, line).enumerate() {
            // Past the shape's columns nothing is known of a field, so it is hidden.
            let column = if fits { column } else { usize::MAX };
            self.text_field(form.delimiter, has_escapes, column, field, start + from);
            from += field.len() + 1;
        }
    }

    fn text_field(&mut self, delimiter: u8, has_escapes: bool, column: usize, field: &[u8], start: usize) {
        let plain = if has_escapes { unescaped(field) } else { Cow::Borrowed(field) };
        let end = start + field.len();
        match self.edit(column, (field != NULL).then_some(&*plain)) {
            Edit::Keep => {}
            Edit::Null => self.splice.replace(start, end, |out| out.put_slice(NULL)),
            Edit::Replace => {
                let with = self.scratch.as_slice();
                self.splice.replace(start, end, |out| {
                    if has_escapes {
                        write_escaped(delimiter, with, out);
                    } else {
                        out.put_slice(with);
                    }
                });
            }
        }
    }

    /// Rows of CSV; `None` if they are not whole, or not of these columns.
    fn csv_rows(&mut self, form: &CopyCsv, begins: bool, body: &[u8], start: usize) -> Option<()> {
        let mut is_header = begins && form.has_header;
        let mut at = 0;
        while at < body.len() {
            at = self.csv_row(form, is_header, body, at, start)?;
            is_header = false;
        }
        Some(())
    }

    /// The row at a place of a message that starts at `start`; says where the next one begins.
    fn csv_row(&mut self, form: &CopyCsv, is_header: bool, body: &[u8], mut at: usize, start: usize) -> Option<usize> {
        let columns = self.shape.columns.len();
        if columns == 0 {
            return (body.get(at) == Some(&b'\n')).then_some(at + 1);
        }
        for column in 0..columns {
            let field = csv::field(form, body.get(at..)?)?;
            if !is_header {
                self.csv_field(form, column, &field, start + at);
            }
            at += field.len;
            let sign = if column + 1 == columns { b'\n' } else { form.delimiter };
            if body.get(at) != Some(&sign) {
                return None;
            }
            at += 1;
        }
        Some(at)
    }

    fn csv_field(&mut self, form: &CopyCsv, column: usize, field: &csv::Field<'_>, start: usize) {
        let end = start + field.len;
        let is_alone = self.shape.columns.len() == 1;
        match self.edit(column, field.value.as_deref()) {
            Edit::Keep => {}
            Edit::Null => self.splice.replace(start, end, |out| out.put_slice(form.null.as_bytes())),
            Edit::Replace => {
                let with = self.scratch.as_slice();
                self.splice.replace(start, end, |out| csv::write(form, with, is_alone, out));
            }
        }
    }

    /// Rows of the binary format, in a body that ends at `end`; `None` if they are not whole, or not of these columns.
    fn binary_rows(&mut self, begins: bool, body: &[u8], end: usize) -> Option<()> {
        let mut reader = Reader(body);
        if begins {
            skip_head(&mut reader)?;
        }
        let columns = self.shape.columns.len();
        while !reader.is_empty() {
            let count = reader.i16()?;
            if count == -1 {
                return reader.is_empty().then_some(());
            }
            if usize::try_from(count).ok()? != columns {
                return None;
            }
            for column in 0..columns {
                self.value(column, &mut reader, end)?;
            }
        }
        Some(())
    }
}

/// Reads what stands before the rows of the binary format.
pub(crate) fn skip_head(reader: &mut Reader<'_>) -> Option<()> {
    let is_signed = reader.bytes(SIGNATURE.len())? == SIGNATURE;
    let is_plain = reader.u32()? & CRITICAL_FLAGS == 0;
    let extension = usize::try_from(reader.i32()?).ok()?;
    reader.bytes(extension)?;
    (is_signed && is_plain).then_some(())
}

/// The fields of a line of the text format, with their escapes.
fn fields(delimiter: u8, line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = field_end(delimiter, line);
        rest = line.get(end + 1..);
        line.get(..end)
    })
}

fn count_of_fields(delimiter: u8, line: &[u8]) -> usize {
    match delimiter {
        b'\t' => memchr::memchr_iter(b'\t', line).count() + 1,
        _ => fields(delimiter, line).count(),
    }
}

fn field_end(delimiter: u8, line: &[u8]) -> usize {
    if delimiter == b'\t' {
        // In a field it is written with a letter.
        return memchr::memchr(delimiter, line).unwrap_or(line.len());
    }
    let mut at = 0;
    while let Some(found) = line.get(at..).and_then(|rest| memchr::memchr2(delimiter, b'\\', rest)) {
        at += found;
        if line.get(at) == Some(&delimiter) {
            return at;
        }
        // What follows a backslash is of the field.
        at += 2;
    }
    line.len()
}

/// A field of the text format without its escapes.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field.iter().copied();
    while let Some(byte) = rest.next() {
        let letter = if byte == b'\\' { rest.next() } else { None };
        plain.push(match letter {
            None => byte,
            Some(letter) => ESCAPES.iter().find(|(_, escape)| *escape == letter).map_or(letter, |(plain, _)| *plain),
        });
    }
    Cow::Owned(plain)
}

fn write_escaped(delimiter: u8, plain: &[u8], out: &mut BytesMut) {
    for &byte in plain {
        match ESCAPES.iter().find(|(plain, _)| *plain == byte) {
            Some((_, letter)) => out.put_slice(&[b'\\', *letter]),
            None if byte == b'\\' || byte == delimiter => out.put_slice(&[b'\\', byte]),
            None => out.put_u8(byte),
        }
    }
}

/// A row that ends elsewhere than its message, or has other columns than were announced, would be masked in the wrong places.
fn not_whole() -> Breach {
    let message = "the target's COPY is in another form than the one that was asked for";
    let denial = Denial::new(
        Reason::NotUnderstood,
        message,
        "a row does not end in its message, or has other columns, and so cannot be masked on its way",
        "Select the rows instead",
    );
    Breach::target(message).telling(denial)
}

fn uneditable() -> Breach {
    let message = "data of an unknown form holds a value that must be masked";
    let denial = Denial::new(
        Reason::Policy,
        message,
        "in a replication stream, or a COPY of which the form is not known, nothing can be masked on its way",
        "Select the rows instead",
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

    fn text(delimiter: u8, has_header: bool) -> Form {
        Form::Text { form: CopyText { delimiter, has_header, is_utf8: true }, has_escapes: true }
    }

    fn comma(has_header: bool) -> CopyCsv {
        CopyCsv {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            null: "".into(),
            forces_quotes: false,
            has_header,
            is_utf8: false,
        }
    }

    fn data(body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'd', |out| out.put_slice(body));
        out.to_vec()
    }

    /// A row as the server sends it in a form, without head and end.
    fn message(form: &Form, values: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut out = BytesMut::new();
        if *form == Form::Binary {
            out.put_slice(row(values).get(5..).unwrap());
            return data(&out);
        }
        for (place, value) in values.iter().enumerate() {
            match (form, value) {
                (Form::Text { form, .. }, value) => {
                    out.extend((place > 0).then_some(form.delimiter));
                    match value {
                        None => out.put_slice(NULL),
                        Some(value) => write_escaped(form.delimiter, value, &mut out),
                    }
                }
                (Form::Csv(form), value) => {
                    out.extend((place > 0).then_some(form.delimiter));
                    match value {
                        None => out.put_slice(form.null.as_bytes()),
                        Some(value) => csv::write(form, value, values.len() == 1, &mut out),
                    }
                }
                (Form::Binary | Form::Lines { .. } | Form::Opaque, _) => panic!("{form:?} has no fields"),
            }
        }
        out.put_u8(b'\n');
        data(&out)
    }

    fn copied(columns: usize, form: Form) -> Copied {
        Copied { shape: Arc::new(shape(columns)), form, has_begun: false }
    }

    fn rewritten(copied: &Copied, run: &[u8]) -> Result<Vec<u8>, Breach> {
        let mut out = BytesMut::new();
        rewrite_rows(&copied.shape, Some(copied), run, &mut ByFirst, &mut out)?;
        Ok(out.to_vec())
    }

    fn after(values: &[Option<Vec<u8>>]) -> Vec<Option<Vec<u8>>> {
        let value = |value: &Option<Vec<u8>>| edited(value.as_deref()).unwrap_or_else(|| value.clone());
        values.iter().map(value).collect()
    }

    fn values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        let value = prop::option::of("[nrsk][a-z]{0,12}|".prop_map(String::into_bytes));
        prop::collection::vec(value, 0..6)
    }

    /// Values that have in them what forms are made of.
    fn odd_values() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
        let value = prop::option::of("[nrsk][a'\",;|\\\\\n\r\t\u{b}.N]{0,8}|".prop_map(String::into_bytes));
        prop::collection::vec(value, 3)
    }

    const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

    /// With what is edited by its first byte; nothing is what is refused.
    #[track_caller]
    fn check(copied: &Copied, messages: &[&[u8]], expected: &[&[u8]]) {
        let framed = |bodies: &[&[u8]]| bodies.iter().flat_map(|body| data(body)).collect::<Vec<u8>>();
        let found = rewritten(copied, &framed(messages)).ok();
        let expected = (!expected.is_empty()).then(|| framed(expected));
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(found.as_deref().unwrap_or_default()));
    }

    #[test]
    fn fields_of_csv_are_edited_and_quoted_anew() {
        let two = copied(2, Form::Csv(comma(false)));
        check(&two, &[b"k,n\n", b"n,k\n"], &[b"k,\n", b",k\n"]);
        check(&two, &[b"\"r,x\",\"k\"\"\n\"\n"], &[b"\",xreplaced,x\",\"k\"\"\n\"\n"]);
        // What needs no quotation marks has none, whatever stood there.
        check(&two, &[b"\"s,\",\"\"\n"], &[b"\"\",\"\"\n"]);
        check(&two, &[b"\"n\n\",\"r\"\n"], &[b",replaced\n"]);
        // Several rows in a message.
        check(&two, &[b"k,n\nn,k\n"], &[b"k,\n,k\n"]);
        for refused in [&b"k,n"[..], b"k\n", b"k,n,k\n", b"\"k,n\n", b"\"k\"k,n\n", b"k,n\n\n", b"k,n\nk"] {
            check(&two, &[refused], &[]);
        }
        // A row that goes on in the next message.
        check(&two, &[b"k,\"r", b"\"\n"], &[]);
        let one = copied(1, Form::Csv(comma(false)));
        check(
            &one,
            &[b"\"\\.\"\n", b"\n", b"\"\"\n", b"n\n", b"s\n"],
            &[b"\"\\.\"\n", b"\n", b"\"\"\n", b"\n", b"\"\"\n"],
        );
        check(&copied(0, Form::Csv(comma(false))), &[b"\n"], &[b"\n"]);
        let other = CopyCsv { delimiter: b'|', quote: b'\'', escape: b'\\', null: "NIL".into(), ..comma(false) };
        let other = copied(2, Form::Csv(CopyCsv { forces_quotes: true, ..other }));
        check(&other, &[b"NIL|'NIL'\n", b"'n'|'r\\'|'\n"], &[b"NIL|'NIL'\n", b"NIL|'\\'|replaced\\'|'\n"]);
    }

    #[test]
    fn heads_pass_as_they_are_and_only_once() {
        for (form, head, row, edited) in [
            (Form::Csv(comma(true)), &b"n,\"r\"\n"[..], &b"n,r\n"[..], &b",replaced\n"[..]),
            (text(b'|', true), b"n|r\n", b"n|r\n", b"\\N|replaced\n"),
            (text(b'\t', true), b"n\tr\n", b"n\tr\n", b"\\N\treplaced\n"),
        ] {
            let begins = copied(2, form.clone());
            check(&begins, &[head, row, row], &[head, edited, edited]);
            check(&begins, &[&[head, row].concat()], &[&[head, edited].concat()]);
            check(&Copied { has_begun: true, ..copied(2, form) }, &[row], &[edited]);
            assert!(!begins.form.is_row(head, true) && begins.form.is_row(row, false));
        }
    }

    #[test]
    fn fields_of_text_are_edited_without_their_escapes() {
        let pipes = copied(2, text(b'|', false));
        check(&pipes, &[b"k\\|k|n\n", b"r\\||\\N\n"], &[b"k\\|k|\\N\n", b"\\|replaced\\||\\N\n"]);
        check(&pipes, &[b"r\\n|r\\\\\n"], &[b"\\nreplaced\\n|\\\\replaced\\\\\n"]);
        // What has other columns, or goes on elsewhere, is hidden: here it is edited by its first byte all the same.
        check(&pipes, &[b"n\n", b"n|n|n\n", b"n|n"], &[b"\\N\n", b"\\N|\\N|\\N\n", b"\\N|\\N"]);
        // In an unknown encoding a backslash is a letter.
        let tab = CopyText { delimiter: b'\t', has_header: false, is_utf8: false };
        let raw = copied(2, Form::Text { form: tab, has_escapes: false });
        check(&raw, &[b"r\\\tk\n"], &[b"\\replaced\\\tk\n"]);
    }

    #[test]
    fn binary_rows_are_edited_between_head_and_end() {
        let two = copied(2, Form::Binary);
        let row = |values: [Option<&str>; 2]| {
            let values = values.map(|value| value.map(|value| value.as_bytes().to_vec()));
            row(&values).get(5..).unwrap().to_vec()
        };
        let (before, edited) = (row([Some("n"), Some("rx")]), row([None, Some("xreplacedx")]));
        let begin = |row: &[u8]| [HEAD, row].concat();
        check(&two, &[&begin(&before), &before, TRAILER], &[&begin(&edited), &edited, TRAILER]);
        check(&two, &[&begin(TRAILER)], &[&begin(TRAILER)]);
        check(
            &two,
            &[HEAD, &[&before[..], &before, TRAILER].concat()],
            &[HEAD, &[&edited[..], &edited, TRAILER].concat()],
        );
        let extended = [&HEAD[..15], &[0, 0, 0, 2], b"xy", &before].concat();
        check(&two, &[&extended], &[&[&HEAD[..15], &[0, 0, 0, 2], b"xy", &edited].concat()]);
        let with_oids = [&HEAD[..11], &[0, 1, 0, 0], &HEAD[15..], &before].concat();
        let cut = &before[..before.len() - 1];
        for refused in [&before[..], &with_oids, &HEAD[..12], &begin(cut), &begin(&[0, 1, 0xff, 0xff, 0xff, 0xff])] {
            check(&two, &[refused], &[]);
        }
        check(&two, &[&begin(&[TRAILER, &before].concat())], &[]);
        check(&two, &[&begin(cut), &before[before.len() - 1..]], &[]);
        assert!(two.form.is_row(&begin(&before), true) && two.form.is_row(&before, false));
        assert!(!two.form.is_row(TRAILER, false) && !two.form.is_row(&begin(TRAILER), true));
    }

    #[test]
    fn what_is_not_taken_apart_is_edited_whole_or_refused() {
        let lines = copied(1, Form::Lines { is_asked: false });
        check(&lines, &[b"k,n\n", b"rx\n"], &[b"k,n\n", b"xreplacedx\n"]);
        let opaque = copied(1, Form::Opaque);
        check(&opaque, &[b"k"], &[b"k"]);
        check(&opaque, &[b"r"], &[]);
    }

    #[test]
    fn a_form_is_what_was_asked_for_and_what_the_target_says() {
        let tab = CopyText { delimiter: b'\t', has_header: false, is_utf8: false };
        let pipe = CopyText { delimiter: b'|', ..tab };
        let semicolon = CopyCsv { delimiter: b';', ..comma(false) };
        let lines = Form::Lines { is_asked: false };
        let escaped = |form, has_escapes| Form::Text { form, has_escapes };
        for (copy, is_binary, is_utf8, expected) in [
            (Some(CopyOut::Binary), true, false, Form::Binary),
            (Some(CopyOut::Binary), false, true, lines.clone()),
            (Some(CopyOut::Text(tab)), true, true, Form::Opaque),
            (None, true, true, Form::Opaque),
            (None, false, true, lines.clone()),
            (Some(CopyOut::Lines), false, true, Form::Lines { is_asked: true }),
            (Some(CopyOut::Text(tab)), false, true, escaped(tab, true)),
            (Some(CopyOut::Text(tab)), false, false, escaped(tab, false)),
            (Some(CopyOut::Text(pipe)), false, true, escaped(pipe, true)),
            (Some(CopyOut::Text(pipe)), false, false, lines.clone()),
            (Some(CopyOut::Csv(comma(false))), false, false, Form::Csv(comma(false))),
            (Some(CopyOut::Csv(semicolon.clone())), false, true, Form::Csv(semicolon.clone())),
            (Some(CopyOut::Csv(semicolon)), false, false, lines),
        ] {
            assert_eq!(Form::of(copy.as_ref(), is_binary, is_utf8), expected, "{copy:?}");
        }
    }

    proptest! {
        #[test]
        fn a_run_is_what_its_frames_are_with_their_edits(rows in prop::collection::vec(values(), 1..8)) {
            let run: Vec<u8> = rows.iter().flat_map(|values| row(values).to_vec()).collect();
            let expected: Vec<u8> = rows.iter().flat_map(|values| row(&after(values)).to_vec()).collect();
            let mut out = BytesMut::new();
            rewrite_rows(&shape(6), None, &run, &mut ByFirst, &mut out).unwrap();
            prop_assert_eq!(out.to_vec(), expected);
            // A line always has a field, and an absent one has no other form than its own.
            let rows: Vec<_> = rows.into_iter().filter(|values| !values.is_empty()).collect();
            let form = text(b'\t', false);
            let run: Vec<u8> = rows.iter().flat_map(|values| message(&form, values)).collect();
            let expected: Vec<u8> = rows.iter().flat_map(|values| message(&form, &after(values))).collect();
            prop_assert_eq!(rewritten(&copied(3, form), &run).unwrap(), expected);
        }

        #[test]
        fn in_each_form_a_copy_is_that_of_its_edited_values(rows in prop::collection::vec(odd_values(), 1..6)) {
            let backslash = CopyCsv { delimiter: b';', quote: b'\'', escape: b'\\', null: "N".into(), ..comma(false) };
            let tab = CopyCsv { delimiter: b'\t', quote: b'|', escape: b'"', ..comma(false) };
            for form in [
                text(b'\t', false),
                text(b'|', false),
                text(b',', false),
                Form::Csv(comma(false)),
                Form::Csv(CopyCsv { forces_quotes: true, ..backslash.clone() }),
                Form::Csv(backslash),
                Form::Csv(tab),
                Form::Binary,
            ] {
                let begin = if form == Form::Binary { data(HEAD) } else { Vec::new() };
                let of = |rows: Vec<Vec<u8>>| [begin.clone(), rows.concat()].concat();
                let run = of(rows.iter().map(|values| message(&form, values)).collect());
                let expected = of(rows.iter().map(|values| message(&form, &after(values))).collect());
                // What is quoted though it does not have to be stays so where it stays.
                prop_assert_eq!(rewritten(&copied(3, form), &run).unwrap(), expected);
            }
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
                prop_assert!(rewrite_rows(&shape(6), None, &run, &mut ByFirst, &mut BytesMut::new()).is_err());
            }
        }

        #[test]
        fn a_copy_that_is_cut_anywhere_shows_no_row_of_it(values in odd_values(), cut in 1_usize..40) {
            for form in [Form::Csv(comma(false)), Form::Binary] {
                let whole = message(&form, &values);
                let body = whole.get(5..).unwrap_or_default();
                let Some(short) = body.get(..body.len().saturating_sub(cut)).filter(|short| !short.is_empty()) else {
                    continue;
                };
                // A line can be cut into lines only where one ends.
                let copied = Copied { has_begun: true, ..copied(3, form) };
                prop_assert!(rewritten(&copied, &data(short)).is_err());
            }
        }
    }
}
