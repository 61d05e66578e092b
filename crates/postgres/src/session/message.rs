//! Errors, notices and notifications of the target with edits.
//!
//! A message about a statement that touches classified data may quote that data, and what runs in the statement can
//! shape the words around it. Such a message is shown only where it cannot hold data: it is of the parser's, or it is
//! one of the server's fixed sentences with names of the catalog in it. Otherwise its SQLSTATE remains. Where a statement went
//! to the target with real values in the place of pseudonyms, the parser's messages are shown if they are of names and types alone.

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
    let columns = vec![column("text", Provenance::Clean), column("withheld", Provenance::Unknown)];
    Arc::new(Shape { role: ShapeRole::Message, columns })
});

/// Why the words of a message are not shown that would be shown of the same statement without a pseudonym.
const KEPT_BACK: &str = "kept back: the statement names a pseudonym";

/// About a statement that went to the target with other texts in it than its client wrote.
static TURNED: LazyLock<Arc<Shape>> = LazyLock::new(|| {
    let columns =
        [("text", Provenance::Clean), ("withheld", Provenance::Unknown), ("turned back", Provenance::Unknown)];
    Arc::new(Shape { role: ShapeRole::Message, columns: columns.map(|(name, of)| column(name, of)).into() })
});

fn column(name: &str, provenance: Provenance) -> Column {
    Column { name: name.into(), provenance, kind: ValueKind::Text { chars_max: None }, encoding: Encoding::Text }
}

/// The shape of a message about a statement.
pub(super) fn shape(is_sensitive: bool) -> Arc<Shape> {
    if is_sensitive { SENSITIVE.clone() } else { PLAIN.clone() }
}

/// Whether a message is one that the server writes into its log, and to its client only where that asks for it: it quotes statements
/// with the values of their parameters.
pub(super) fn is_logged(body: &[u8]) -> bool {
    let fields = fields(body).unwrap_or_default();
    let severity = field_of(&fields, b'V').or_else(|| field_of(&fields, b'S'));
    severity.is_none_or(|severity| severity == "LOG" || severity.starts_with("DEBUG"))
}

/// The shape of a message about a statement in which pseudonyms were turned back.
pub(super) fn shape_of_turned() -> Arc<Shape> {
    TURNED.clone()
}

/// Names that a message may quote.
pub(super) struct Words<'a> {
    pub(super) catalog: &'a Catalog,
}

impl Words<'_> {
    /// A name of the catalog, alone or qualified.
    fn is_name(&self, word: &str) -> bool {
        word.split('.').all(|part| self.catalog.is_identifier(part))
    }
}

/// How much of a message about a sensitive statement is shown.
#[derive(PartialEq, Eq)]
enum Shown {
    /// All but what detectors find: the statement had not begun to run, so the message quotes the client and the catalog.
    Scanned,
    /// Its template with the names in it, where every quoted word is a name.
    Names,
    /// A word in its place, and why: it may quote a value that stands in the place of a pseudonym.
    KeptBack,
    /// A word in its place.
    Nothing,
}

/// Writes an ErrorResponse or NoticeResponse with edits; `None` if it is malformed.
pub(super) fn rewrite_report(
    frame: Frame<'_>,
    shape: &Shape,
    words: &Words<'_>,
    editor: &mut dyn Editor,
    out: &mut BytesMut,
) -> Option<()> {
    let fields = fields(frame.body)?;
    let is_sensitive = shape.columns.len() > 1;
    let is_turned = shape.columns.len() > SENSITIVE.columns.len();
    let shown = match is_sensitive.then(|| shown(&fields)) {
        // It may quote what stands in the text that the target has.
        Some(Shown::Scanned) if is_turned && !is_of_names(&fields) => Shown::KeptBack,
        Some(shown) => shown,
        None => Shown::Scanned,
    };
    // A place in a text that its client did not write would tell how long what it did not write is.
    let is_told = |field: &u8| !(is_turned && matches!(field, b'P' | b'p'));
    frame::write(out, frame.tag, |out| {
        for (field, value) in fields.iter().filter(|(field, _)| is_told(field)) {
            if (field, &shown) == (&b'H', &Shown::KeptBack) {
                continue;
            }
            out.put_u8(*field);
            match (field, &shown) {
                (b'M' | b'H' | b'D' | b'W' | b'q', Shown::Scanned) => put_cstr(out, &edited(SCANNED, value, editor)),
                (b'M', Shown::Names) => put_cstr(out, &names_only(value, words, editor)),
                (b'M' | b'H' | b'D' | b'W' | b'q', Shown::Names | Shown::KeptBack | Shown::Nothing) => {
                    put_cstr(out, &edited(HIDDEN, value, editor));
                }
                // What code raises may say anything in the place of a name.
                (b's' | b't' | b'c' | b'd' | b'n', _) if is_sensitive && !words.is_name(value) => {
                    put_cstr(out, &edited(HIDDEN, value, editor));
                }
                // Severity, SQLSTATE, positions, places in the server's source.
                (_, _) => put_cstr(out, value),
            }
        }
        if shown == Shown::KeptBack {
            out.put_u8(b'H');
            put_cstr(out, KEPT_BACK);
        }
        out.put_u8(0);
    });
    Some(())
}

fn fields(body: &[u8]) -> Option<Vec<(u8, String)>> {
    let mut reader = Reader(body);
    let mut fields = Vec::new();
    loop {
        match reader.u8()? {
            0 => return reader.is_empty().then_some(fields),
            field => fields.push((field, String::from_utf8_lossy(reader.cstr()?).into_owned())),
        }
    }
}

/// SQLSTATEs whose messages are fixed sentences of the server's with names of objects in them.
const NAMING: [&str; 15] = [
    "22012", "23502", "23503", "23505", "23514", "23P01", "25P01", "25P02", "40001", "40P01", "42501", "55P03",
    "57014", "57P01", "53200",
];

/// SQLSTATEs, apart from class 42, that the analysis of a statement's names and constants gives.
const OF_TEXT: [&str; 6] = ["0A000", "22003", "22007", "22008", "22P02", "3F000"];

/// SQLSTATEs of the analysis whose messages, details and hints are made of names of objects and types and of places of parameters:
/// columns twice (42701), in doubt (42702) or absent (42703), names of tables twice (42712), functions and operators in doubt (42725)
/// or absent (42883), what is not grouped (42803), types that do not fit (42804) or are not cast (42846), tables (42P01) and
/// parameters (42P02) that are absent. A name among them is never what stood for a pseudonym, which is turned back where it is a
/// constant of texts or UUIDs alone; what reads names out of constants, such as `regclass`, is of other types. 42601 is not among them:
/// it quotes the text where it goes wrong.
const OF_NAMES: [&str; 11] =
    ["42701", "42702", "42703", "42712", "42725", "42803", "42804", "42846", "42883", "42P01", "42P02"];

fn is_of_names(fields: &[(u8, String)]) -> bool {
    field_of(fields, b'C').is_some_and(|code| OF_NAMES.contains(&code))
}

fn field_of(fields: &[(u8, String)], wanted: u8) -> Option<&str> {
    fields.iter().find(|(field, _)| *field == wanted).map(|(_, value)| value.as_str())
}

fn shown(fields: &[(u8, String)]) -> Shown {
    let field = |wanted: u8| field_of(fields, wanted);
    let code = field(b'C').unwrap_or_default();
    // A position points into the statement's text: the parser and the analysis of names and constants give one. What
    // code raises while they work (the check of a domain, say) has one as well, but tells where it came from or is no
    // error of theirs.
    let is_of_text = field(b'P').is_some() && field(b'V') == Some("ERROR");
    let is_of_code = field(b'W').is_some() || field(b'q').is_some();
    if is_of_text && !is_of_code && (code.starts_with("42") || OF_TEXT.contains(&code)) {
        return Shown::Scanned;
    }
    if NAMING.contains(&code) { Shown::Names } else { Shown::Nothing }
}

/// What stands between the names in such messages.
const BETWEEN_NAMES: [&str; 9] = [
    " of relation ",
    " violates not-null constraint",
    " violates foreign key constraint ",
    " violates check constraint ",
    " violates unique constraint ",
    " on table ",
    " in relation ",
    "",
    ": ",
];
/// How such messages begin.
const BEFORE_NAMES: [&str; 20] = [
    "SAVEPOINT can only be used in transaction blocks",
    "ROLLBACK TO SAVEPOINT can only be used in transaction blocks",
    "RELEASE SAVEPOINT can only be used in transaction blocks",
    "DECLARE CURSOR can only be used in transaction blocks",
    "division by zero",
    "duplicate key value violates unique constraint ",
    "null value in column ",
    "insert or update on table ",
    "update or delete on table ",
    "new row for relation ",
    "conflicting key value violates exclusion constraint ",
    "current transaction is aborted, commands ignored until end of transaction block",
    "permission denied for table ",
    "could not serialize access due to concurrent update",
    "could not obtain lock on relation ",
    "deadlock detected",
    "canceling statement due to user request",
    "canceling statement due to statement timeout",
    "canceling statement due to lock timeout",
    "terminating connection due to administrator command",
];

/// The message, if it is one of the known sentences with nothing but names between its quotes.
fn names_only(text: &str, words: &Words<'_>, editor: &mut dyn Editor) -> String {
    let mut parts = text.split('"');
    let known_beginning =
        parts.next().is_some_and(|first| BEFORE_NAMES.contains(&first) || words.is_bare_denial(first));
    let mut is_quoted = true;
    let only_names = parts.all(|part| {
        let fits = if is_quoted { words.is_name(part) } else { BETWEEN_NAMES.contains(&part) };
        is_quoted = !is_quoted;
        fits
    });
    if known_beginning && only_names { text.into() } else { edited(HIDDEN, text, editor) }
}

impl Words<'_> {
    /// `permission denied for table customers`, which quotes no name.
    fn is_bare_denial(&self, text: &str) -> bool {
        text.strip_prefix("permission denied for ")
            .and_then(|rest| rest.split_once(' '))
            .is_some_and(|(_, name)| self.is_name(name))
    }
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

#[cfg(test)]
mod tests {
    use gatehouse_model::{Access, Resource};
    use gatehouse_protocol::Told;

    use super::*;

    /// Hides what may be values of classified columns, and keeps the rest.
    struct Hiding;

    impl Editor for Hiding {
        fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
            if field.column == SCANNED {
                return Edit::Keep;
            }
            out.extend_from_slice(b"[redacted]");
            Edit::Replace
        }

        fn offers(&mut self, _: &Access) -> bool {
            true
        }

        fn describes(&mut self, _: &Resource, _: &str) -> Told {
            Told::AsIs
        }
    }

    /// What becomes of an error with these fields, one after the other.
    fn check(shape: &Shape, told: &str, expected: &str) {
        let mut frame = BytesMut::new();
        frame::write(&mut frame, b'E', |out| {
            for field in told.split('\n') {
                put_cstr(out, field);
            }
            out.put_u8(0);
        });
        let (catalog, mut out) = (Catalog::default(), BytesMut::new());
        let report = frame::frames(&frame).next().unwrap();
        rewrite_report(report, shape, &Words { catalog: &catalog }, &mut Hiding, &mut out).unwrap();
        let read = fields(frame::frames(&out).next().unwrap().body).unwrap();
        let read: Vec<String> =
            read.into_iter().map(|(field, value)| format!("{}{value}", char::from(field))).collect();
        assert_eq!(read.join("\n"), expected, "{told}");
    }

    #[test]
    fn beside_pseudonyms_what_is_of_names_and_types_is_shown() {
        for (code, message) in [
            ("42703", "column \"emial\" does not exist"),
            ("42883", "operator does not exist: uuid = text"),
            ("42P01", "relation \"custmers\" does not exist"),
            ("42804", "column \"id\" is of type bigint but expression is of type text"),
        ] {
            let told = format!("VERROR\nC{code}\nM{message}\nHPerhaps so\nP40");
            check(&shape(true), &told, &told);
            // But for the place, which would tell how long what stands before it is.
            check(&shape_of_turned(), &told, told.strip_suffix("\nP40").unwrap());
        }
    }

    #[test]
    fn beside_pseudonyms_what_may_quote_the_text_is_kept_back_and_says_why() {
        for (code, message) in [
            ("42601", "syntax error at or near \"'bob@example.com'\""),
            ("22P02", "invalid input syntax for type integer: \"bob@example.com\""),
            ("42704", "type \"bob@example.com\" does not exist"),
        ] {
            let told = format!("VERROR\nC{code}\nM{message}\nDwhy\nHnot so\nP40");
            check(&shape(true), &told, &told);
            check(&shape_of_turned(), &told, &format!("VERROR\nC{code}\nM[redacted]\nD[redacted]\nH{KEPT_BACK}"));
        }
        // What code raises has nothing to do with pseudonyms, whatever it calls itself.
        let raised = "VERROR\nC42703\nMcolumn bob@example.com\nWPL/pgSQL function\nP1";
        check(&shape(true), raised, "VERROR\nC42703\nM[redacted]\nW[redacted]\nP1");
        check(&shape_of_turned(), raised, "VERROR\nC42703\nM[redacted]\nW[redacted]");
        // What runs has no place in the text.
        let ran = "VERROR\nC42P01\nMrelation \"bob@example.com\" does not exist";
        check(&shape_of_turned(), ran, "VERROR\nC42P01\nM[redacted]");
    }
}
