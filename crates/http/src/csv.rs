//! Comma-separated values (RFC 4180): the first record names the columns.
//!
//! Knows commas, semicolons and tabs between fields. A field that is not masked stays to the byte.

use gatehouse_protocol::Editor;

use crate::body::{self, Shown};
use crate::columns::{ANY_TEXT, Columns, ROOT, UNKNOWN};

/// What stands between fields.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
/// How many fields are known by their names; the ones behind them are hidden.
const FIELDS_MAX: usize = 16 * 1024;
/// What some programs put first (RFC 3629, section 6).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A table, record by record.
#[derive(Default)]
pub(crate) struct Table {
    /// What separates fields, and the name and the column of each, once the first record was seen.
    columns: Option<(u8, Vec<Named>)>,
    /// What most likely separates the fields of the first record, by its first line.
    likely: Option<u8>,
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
        if self.columns.is_none() && self.likely.is_none() {
            let end = text.get(self.seen..).and_then(|rest| memchr::memchr2(b'\n', b'\r', rest));
            let Some(end) = end.map(|end| self.seen + end) else {
                self.seen = text.len();
                return None;
            };
            let line = text.get(..end).unwrap_or_default();
            let unmarked = line.strip_prefix(MARK).unwrap_or(line);
            self.likely = Some(most_likely(unmarked));
            self.seen = line.len() - unmarked.len();
        }
        let separator = self.columns.as_ref().map(|(separator, _)| *separator).or(self.likely);
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
            return self.begin(record, columns, editor, out);
        };
        let classified = named.iter().find_map(|named| named.column);
        // Some readers of tabs know no quotation marks, and find other fields in it.
        let is_quoted =
            |field: &[u8]| field.starts_with(b"\"") && field.iter().any(|byte| matches!(byte, b'\t' | b'\r' | b'\n'));
        if classified.is_some() && *separator == b'\t' && fields(record, b'\t').any(is_quoted) {
            return body::show(UNKNOWN, ANY_TEXT, record, editor, out);
        }
        // A record of another shape: any of it may be what is of a class.
        let is_odd = !record.is_empty() && classified.is_some() && fields(record, *separator).count() != named.len();
        for (place, field) in fields(record, *separator).enumerate() {
            if place > 0 {
                out.push(*separator);
            }
            let (name, own) = named.get(place).map_or((&b""[..], None), |named| (&*named.name, named.column));
            let own = own.or((place >= FIELDS_MAX).then_some(UNKNOWN));
            let column = own.or(classified.filter(|_| is_odd));
            show_field(column, name, field, *separator, columns, editor, out);
        }
    }

    /// Reads the names in the first record, and shows them.
    fn begin(&mut self, record: &[u8], columns: &mut Columns, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        let unmarked = record.strip_prefix(MARK).unwrap_or(record);
        out.extend_from_slice(record.get(..record.len() - unmarked.len()).unwrap_or_default());
        let record = unmarked;
        // Some programs say first what separates fields.
        if record.starts_with(b"sep=") && record.len() == b"sep=;".len() {
            self.likely = None;
            out.extend_from_slice(record);
            return;
        }
        let mut named = |separator: u8| -> Vec<Named> {
            let read = |name: &[u8]| {
                let name = value(name).trim_ascii().to_vec();
                let field = columns.field(ROOT, &name);
                let column = columns.column(field);
                Named { name, column }
            };
            fields(record, separator).take(FIELDS_MAX).map(read).collect()
        };
        let separator = most_likely(record);
        let mut own = named(separator);
        // Where another is as likely, a reader may find what is of a class anywhere.
        let count = separators(record, separator);
        let mut others = SEPARATORS.into_iter().filter(|other| *other != separator && count > 0);
        if others
            .any(|other| separators(record, other) == count && named(other).iter().any(|named| named.column.is_some()))
        {
            own.iter_mut().for_each(|named| named.column = Some(UNKNOWN));
        }
        self.columns = Some((separator, own));
        // Names may be data, where the first record is none of names.
        for (place, name) in fields(record, separator).enumerate() {
            out.extend((place > 0).then_some(separator));
            show_field(None, b"", name, separator, columns, editor, out);
        }
    }
}

/// How many fields end by a separator; what stands in quotation marks separates nothing.
fn separators(record: &[u8], separator: u8) -> usize {
    let mut quotes = Quotes::default();
    record.iter().filter(|byte| quotes.meet(**byte, Some(separator)) == Met::Separator).count()
}

fn most_likely(record: &[u8]) -> u8 {
    SEPARATORS.into_iter().rev().max_by_key(|separator| separators(record, *separator)).unwrap_or(b',')
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
