//! Comma-separated values (RFC 4180): the first record names the columns.
//!
//! Knows commas, semicolons and tabs between fields. A field that is not masked stays to the byte.

use gatehouse_protocol::Editor;

use crate::body::{self, Shown};
use crate::columns::{Columns, ROOT};

/// What stands between fields.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// A table, record by record.
#[derive(Default)]
pub(crate) struct Table {
    /// What separates fields, and the name and the column of each, once the first record was seen.
    columns: Option<(u8, Vec<Named>)>,
    /// How much of the record at the front was looked through for its end.
    seen: usize,
    quotes: Quotes,
}

/// A field as the first record has it.
struct Named {
    name: Vec<u8>,
    /// If it is of a class.
    column: Option<usize>,
}

/// Where in a record one is: a quotation mark means something at the beginning of a field alone, and in a field that begins so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Quotes {
    #[default]
    FieldBegins,
    Plain,
    Quoted,
    /// A mark in a quoted field: its end, or half of a mark.
    Marked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Inside,
    Separator,
    LineEnd,
}

impl Quotes {
    /// Goes past a byte. As long as no separator is known, any may be one.
    fn meet(&mut self, byte: u8, separator: Option<u8>) -> Met {
        let is_separator = separator.map_or_else(|| SEPARATORS.contains(&byte), |known| known == byte);
        let (next, met) = match (*self, byte) {
            (Self::Quoted, b'"') => (Self::Marked, Met::Inside),
            (Self::Quoted, _) => (Self::Quoted, Met::Inside),
            (Self::FieldBegins | Self::Marked, b'"') => (Self::Quoted, Met::Inside),
            (_, b'\n' | b'\r') => (Self::FieldBegins, Met::LineEnd),
            (_, _) if is_separator => (Self::FieldBegins, Met::Separator),
            (_, _) => (Self::Plain, Met::Inside),
        };
        *self = next;
        met
    }
}

impl Table {
    /// How long the record at the front is with the end of its line; `None` if its end is not there. A line may end inside of
    /// quotation marks, and then goes on.
    pub(crate) fn record_len(&mut self, text: &[u8]) -> Option<usize> {
        let separator = self.columns.as_ref().map(|(separator, _)| *separator);
        let rest = text.get(self.seen..).unwrap_or_default();
        let end = rest.iter().position(|byte| self.quotes.meet(*byte, separator) == Met::LineEnd);
        let len = end.map(|end| self.seen + end + 1);
        self.seen = if len.is_some() { 0 } else { text.len() };
        len
    }

    /// Shows a record, which is given without the end of its line.
    pub(crate) fn show(&mut self, record: &[u8], columns: &mut Columns, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        columns.tidy();
        let Some((separator, named)) = &self.columns else {
            let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
            // Some programs say first what separates fields.
            if record.starts_with(b"sep=") && record.len() == b"sep=;".len() {
                out.extend_from_slice(record);
                return;
            }
            // What stands in quotation marks separates nothing.
            let count = |separator: &u8| {
                let mut quotes = Quotes::default();
                record.iter().filter(|byte| quotes.meet(**byte, Some(*separator)) == Met::Separator).count()
            };
            let separator = SEPARATORS.into_iter().max_by_key(count).unwrap_or(b',');
            let named = fields(record, separator).map(|name| {
                let name = value(name).trim_ascii().to_vec();
                let field = columns.field(ROOT, &name);
                let column = columns.column(field);
                Named { name, column }
            });
            self.columns = Some((separator, named.collect()));
            // Names may be data, where the first record is none of names.
            for (place, name) in fields(record, separator).enumerate() {
                out.extend((place > 0).then_some(separator));
                show_field(None, b"", name, separator, columns, editor, out);
            }
            return;
        };
        // A record of another shape: any of it may be what is of a class.
        let classified = named.iter().find_map(|named| named.column);
        let is_odd = !record.is_empty() && classified.is_some() && fields(record, *separator).count() != named.len();
        for (place, field) in fields(record, *separator).enumerate() {
            if place > 0 {
                out.push(*separator);
            }
            let (name, own) = named.get(place).map_or((&b""[..], None), |named| (&*named.name, named.column));
            let column = own.or(classified.filter(|_| is_odd));
            show_field(column, name, field, *separator, columns, editor, out);
        }
    }
}

/// Shows a field of a column, or one that is of none, by its name.
fn show_field(
    column: Option<usize>,
    name: &[u8],
    raw: &[u8],
    separator: u8,
    columns: &mut Columns,
    editor: &mut dyn Editor,
    out: &mut Vec<u8>,
) {
    let plain = value(raw);
    let shown = match column {
        Some(column) => body::masked(column, &plain, editor),
        None => body::shown(name, &plain, columns, editor, 0),
    };
    match shown {
        Shown::AsIs => out.extend_from_slice(raw),
        Shown::Nothing => {}
        Shown::Text(shown)
            if raw.starts_with(b"\"")
                || shown.iter().any(|byte| matches!(*byte, b'"' | b'\r' | b'\n') || *byte == separator) =>
        {
            out.push(b'"');
            shown.iter().for_each(|byte| out.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"'))));
            out.push(b'"');
        }
        Shown::Text(shown) => out.extend_from_slice(&shown),
    }
}

/// The fields of a record, with their quotation marks.
fn fields(record: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quotes = Quotes::default();
    record.split(move |byte| quotes.meet(*byte, Some(separator)) == Met::Separator)
}

/// What a field stands for.
fn value(raw: &[u8]) -> Vec<u8> {
    match raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")) {
        Some(quoted) => {
            let mut out = Vec::with_capacity(quoted.len());
            let mut was_mark = false;
            for byte in quoted {
                was_mark = *byte == b'"' && !was_mark;
                if !was_mark {
                    out.push(*byte);
                }
            }
            out
        }
        None => raw.to_vec(),
    }
}
