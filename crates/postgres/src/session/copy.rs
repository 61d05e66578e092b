//! Rows with edits: DataRow, and the lines of `COPY … TO STDOUT`.

use bytes::{BufMut, BytesMut};
use gatehouse_model::{Denial, Encoding, Reason, Shape, ValueKind};
use gatehouse_protocol::{Breach, Edit, Editor, Field};

use crate::frame::{self, Reader};

/// Writes a DataRow with edits; `None` if it is malformed.
pub(super) fn rewrite_row(shape: &Shape, body: &[u8], editor: &mut dyn Editor, out: &mut BytesMut) -> Option<()> {
    let mut reader = Reader(body);
    let count = reader.i16()?.cast_unsigned();
    let mut scratch = Vec::new();
    let mut whole = Some(());
    frame::write(out, b'D', |out| {
        out.put_u16(count);
        whole = (0..usize::from(count)).try_for_each(|column| {
            let value = reader.value()?;
            edit_value(shape, column, value, editor, &mut scratch, out);
            Some(())
        });
    });
    whole.filter(|()| reader.is_empty())
}

/// Writes a FunctionCallResponse with its one value edited; `None` if it is malformed.
pub(super) fn rewrite_function_value(body: &[u8], editor: &mut dyn Editor, out: &mut BytesMut) -> Option<()> {
    let mut reader = Reader(body);
    let value = reader.value()?;
    let shape = Shape { role: gatehouse_model::ShapeRole::Rows, columns: Vec::new() };
    frame::write(out, b'V', |out| edit_value(&shape, 0, value, editor, &mut Vec::new(), out));
    reader.is_empty().then_some(())
}

fn edit_value(
    shape: &Shape,
    column: usize,
    value: Option<&[u8]>,
    editor: &mut dyn Editor,
    scratch: &mut Vec<u8>,
    out: &mut BytesMut,
) {
    scratch.clear();
    let (kind, encoding) = kind_of(shape, column);
    let edit = editor.edit(Field { column, kind, encoding, value }, scratch);
    let value = match edit {
        Edit::Keep => value,
        Edit::Null => None,
        Edit::Replace => Some(scratch.as_slice()),
    };
    match value {
        None => out.put_i32(-1),
        Some(value) => {
            out.put_i32(i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.put_slice(value);
        }
    }
}

fn kind_of(shape: &Shape, column: usize) -> (ValueKind, Encoding) {
    shape.columns.get(column).map_or((ValueKind::Opaque, Encoding::Text), |column| (column.kind, column.encoding))
}

/// Writes one CopyData with edits. A line that has not the columns that it should have is hidden whole.
/// A binary one cannot be edited, so where something would have to be, the session ends.
pub(super) fn rewrite_copy(
    shape: &Shape,
    body: &[u8],
    editor: &mut dyn Editor,
    out: &mut BytesMut,
) -> Result<(), Breach> {
    let mut scratch = Vec::new();
    if let [column] = shape.columns.as_slice()
        && column.kind == ValueKind::Opaque
    {
        let (kind, encoding) = kind_of(shape, 0);
        let edit = editor.edit(Field { column: 0, kind, encoding, value: Some(body) }, &mut scratch);
        if edit != Edit::Keep {
            return Err(uneditable());
        }
        frame::write(out, b'd', |out| out.put_slice(body));
        return Ok(());
    }
    frame::write(out, b'd', |out| {
        let (line, end): (&[u8], &[u8]) = match body.strip_suffix(b"\n") {
            Some(line) => (line, b"\n"),
            None => (body, b""),
        };
        let fields: Vec<&[u8]> =
            if shape.columns.len() == 1 { vec![line] } else { line.split(|&byte| byte == b'\t').collect() };
        let fits = fields.len() == shape.columns.len();
        for (column, field) in fields.into_iter().enumerate() {
            if column > 0 {
                out.put_u8(b'\t');
            }
            // Past the shape's columns nothing is known of a field, so it is hidden.
            copy_field(shape, if fits { column } else { usize::MAX }, field, editor, &mut scratch, out);
        }
        out.put_slice(end);
    });
    Ok(())
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

fn copy_field(
    shape: &Shape,
    column: usize,
    field: &[u8],
    editor: &mut dyn Editor,
    scratch: &mut Vec<u8>,
    out: &mut BytesMut,
) {
    scratch.clear();
    let (kind, encoding) = kind_of(shape, column);
    let value = (field != b"\\N").then_some(field);
    match editor.edit(Field { column, kind, encoding, value }, scratch) {
        Edit::Keep => out.put_slice(field),
        Edit::Null => out.put_slice(b"\\N"),
        Edit::Replace => out.put_slice(scratch),
    }
}
