//! Errors, notices and notifications of the target with edits.
//!
//! Such a message may quote data. What it quotes is shown only if it is no data: an identifier of the catalog, or
//! what the client itself wrote in the statement.

use std::sync::{Arc, LazyLock};

use bytes::{BufMut, BytesMut};
use gatehouse_model::{Column, Encoding, Provenance, Shape, ShapeRole, ValueKind};
use gatehouse_protocol::{Edit, Editor, Field};

use crate::catalog::Catalog;
use crate::frame::{self, Frame, Reader, put_cstr};

/// Words that detectors look at.
const SCANNED: usize = 0;
/// Words that may be values of classified columns.
const HIDDEN: usize = 1;

static PLAIN: LazyLock<Arc<Shape>> =
    LazyLock::new(|| Arc::new(Shape { role: ShapeRole::Message, columns: vec![column("text", Provenance::Clean)] }));
static SENSITIVE: LazyLock<Arc<Shape>> = LazyLock::new(|| {
    let columns = vec![column("text", Provenance::Clean), column("quoted", Provenance::Unknown)];
    Arc::new(Shape { role: ShapeRole::Message, columns })
});

fn column(name: &str, provenance: Provenance) -> Column {
    Column { name: name.into(), provenance, kind: ValueKind::Text { chars_max: None }, encoding: Encoding::Text }
}

/// The shape of a message about a statement.
pub(super) fn shape(is_sensitive: bool) -> Arc<Shape> {
    if is_sensitive { SENSITIVE.clone() } else { PLAIN.clone() }
}

/// What may be quoted: names, and the client's own words.
pub(super) struct Words<'a> {
    pub(super) sql: Option<&'a str>,
    pub(super) catalog: &'a Catalog,
}

impl Words<'_> {
    fn may_show(&self, word: &str) -> bool {
        self.sql.is_some_and(|sql| sql.contains(word)) || self.catalog.is_identifier(word)
    }
}

/// Writes an ErrorResponse or NoticeResponse with edits; `None` if it is malformed.
pub(super) fn rewrite_report(
    frame: Frame<'_>,
    shape: &Shape,
    words: &Words<'_>,
    editor: &mut dyn Editor,
    out: &mut BytesMut,
) -> Option<()> {
    let is_sensitive = shape.columns.len() > 1;
    let raised_by_code = is_raised_by_code(frame.body);
    let mut reader = Reader(frame.body);
    let mut whole = None;
    frame::write(out, frame.tag, |out| {
        whole = loop {
            let Some(field) = reader.u8() else { break None };
            if field == 0 {
                out.put_u8(0);
                break reader.is_empty().then_some(());
            }
            let Some(value) = reader.cstr() else { break None };
            let text = String::from_utf8_lossy(value);
            out.put_u8(field);
            match field {
                b'M' | b'H' if is_sensitive && !raised_by_code => put_cstr(out, &quoted_parts(&text, words, editor)),
                b'M' | b'H' | b'D' | b'W' | b'q' if is_sensitive => put_cstr(out, &edited(HIDDEN, &text, editor)),
                b'M' | b'H' | b'D' | b'W' | b'q' => put_cstr(out, &edited(SCANNED, &text, editor)),
                // Severity, SQLSTATE, positions, names of objects, places in the server's source.
                _ => put_cstr(out, &text),
            }
        };
    });
    whole
}

/// A message that functions write as they please has a SQLSTATE of success, of a warning, or of `RAISE`.
fn is_raised_by_code(body: &[u8]) -> bool {
    let mut reader = Reader(body);
    while let Some(field @ 1..) = reader.u8() {
        let Some(value) = reader.cstr() else { return true };
        if field == b'C' {
            return ["00", "01", "P0"].iter().any(|class| value.starts_with(class.as_bytes()));
        }
    }
    true
}

/// The message with every quoted part hidden that is neither a name nor the client's own word.
fn quoted_parts(text: &str, words: &Words<'_>, editor: &mut dyn Editor) -> String {
    let mut parts = text.split('"');
    let mut shown = edited(SCANNED, parts.next().unwrap_or_default(), editor);
    let mut is_quoted = true;
    for part in parts {
        shown.push('"');
        if !is_quoted || words.may_show(part) {
            shown.push_str(&edited(SCANNED, part, editor));
        } else {
            shown.push_str(&edited(HIDDEN, part, editor));
        }
        is_quoted = !is_quoted;
    }
    shown
}

fn edited(column: usize, text: &str, editor: &mut dyn Editor) -> String {
    let mut scratch = Vec::new();
    let field = Field {
        column,
        kind: ValueKind::Text { chars_max: None },
        encoding: Encoding::Text,
        value: Some(text.as_bytes()),
    };
    match editor.edit(field, &mut scratch) {
        Edit::Keep => text.to_string(),
        Edit::Null => String::new(),
        Edit::Replace => String::from_utf8_lossy(&scratch).into_owned(),
    }
}

/// Writes a NotificationResponse whose payload was looked at; `None` if it is malformed.
pub(super) fn rewrite_notification(body: &[u8], editor: &mut dyn Editor, out: &mut BytesMut) -> Option<()> {
    let mut reader = Reader(body);
    let process = reader.i32()?;
    let channel = reader.cstr()?;
    let payload = String::from_utf8_lossy(reader.cstr()?);
    frame::write(out, b'A', |out| {
        out.put_i32(process);
        out.put_slice(channel);
        out.put_u8(0);
        put_cstr(out, &edited(SCANNED, &payload, editor));
    });
    Some(())
}
