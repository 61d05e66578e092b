//! COPY: what goes where, and in which form.
//!
//! Knows the options that change the form. Rows are the session's business.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{CopyStmt, RangeVar};

use super::analyzer::Analyzer;
use super::definition::text_of;
use super::lineage::{Columns, Lineage, Named};
use super::scope::{Scope, Sources};
use super::tree::{self, strings};
use super::{CopyCsv, CopyOut, CopyText, Misunderstood, Outputs, StatementOutput, action};
use crate::catalog::{Relation, Writes};

/// What no delimiter of the text format may be: it would be read as a part of an escape, of an end, or of NULL.
const NO_DELIMITERS: &[u8] = b"\\.Nabcdefghijklmnopqrstuvwxyz0123456789";
/// What the text format has for NULL, which no value is written as.
const NULL: &str = "\\N";

impl Analyzer<'_> {
    pub(super) fn copy(&mut self, copy: &CopyStmt) -> Result<StatementOutput, Misunderstood> {
        let form = form(copy)?;
        match (copy.filename(), copy.is_program) {
            (Some(_), true) => self.access_target(action::PROGRAM),
            (Some(_), false) => self.access_target(action::FILE),
            (None, _) => {}
        }
        if copy.is_from {
            return self.copy_from(copy);
        }
        let columns = match copy.relation() {
            Some(table) => self.copied_columns(table, copy)?,
            None => {
                self.access_target(action::COPY_OUT);
                self.body(copy.query())?
            }
        };
        for lineage in columns.lineages() {
            self.read(lineage);
        }
        // What is not masked on its way shows classified data as it is.
        if form == CopyOut::Lines || copy.filename().is_some() {
            for lineage in columns.lineages() {
                self.reveal(lineage);
            }
        }
        if copy.filename().is_some() {
            return Ok(StatementOutput::of(Outputs::None));
        }
        Ok(StatementOutput { copy: Some(form), ..self.output_of(columns) })
    }

    fn copy_from(&mut self, copy: &CopyStmt) -> Result<StatementOutput, Misunderstood> {
        let table = copy.relation().ok_or_else(|| Misunderstood::new("COPY FROM names no table", "Name one"))?;
        let item = self.relation(table, action::COPY_IN);
        self.read(&item.columns.row());
        let (schema, name) = tree::relation_name(table);
        self.note_effects(schema, name, Writes::INSERT);
        self.inventory.take(copy.where_clause())?;
        let sources = Sources::of(item);
        self.predicate(copy.where_clause(), &Scope::root(&sources))?;
        Ok(StatementOutput::of(Outputs::None))
    }

    /// The columns of `COPY table TO`: those that are listed, or all but generated ones.
    fn copied_columns(&mut self, table: &RangeVar, copy: &CopyStmt) -> Result<Columns, Misunderstood> {
        // The server asks for both as well.
        let item = self.relation(table, action::COPY_OUT);
        self.access_tables(action::SELECT, table);
        let listed = strings(copy.attlist());
        let (schema, name) = tree::relation_name(table);
        let relations = self.relations(schema, name);
        let [relation] = relations.as_slice() else {
            return Ok(Columns { rest: Some(item.columns.row().doubted()), ..Columns::default() });
        };
        let names: Vec<&str> = if listed.is_empty() { stored_columns(relation) } else { listed };
        let column = |name: &str| {
            let lineage = item.columns.find(name).unwrap_or_else(Lineage::unknown);
            Named::new(name, lineage)
        };
        Ok(Columns { named: names.into_iter().map(column).collect(), rest: None })
    }
}

fn stored_columns(relation: &Relation) -> Vec<&str> {
    relation.columns.iter().filter(|column| !column.generated).map(|column| &*column.name).collect()
}

fn form(copy: &CopyStmt) -> Result<CopyOut, Misunderstood> {
    let mut options = Options::default();
    for option in copy.options() {
        options.take(option.defname().unwrap_or_default(), option.arg())?;
    }
    Ok(options.form())
}

#[derive(Default)]
enum Format {
    #[default]
    Text,
    Csv,
    Binary,
}

/// What the options say of the form.
#[derive(Default)]
struct Options {
    format: Format,
    delimiter: Option<u8>,
    quote: Option<u8>,
    escape: Option<u8>,
    null: Option<Box<str>>,
    forces_quotes: bool,
    has_header: bool,
    is_utf8: bool,
    /// One of them says something that is not followed.
    is_odd: bool,
}

impl Options {
    fn take(&mut self, name: &str, value: Node<'_>) -> Result<(), Misunderstood> {
        match name {
            "format" => self.format = format(text_of(value))?,
            "encoding" => {
                let is_utf8 = |name: &str| matches!(name.to_lowercase().as_str(), "utf8" | "utf-8" | "unicode");
                if !text_of(value).is_some_and(is_utf8) {
                    return Err(Misunderstood::new(
                        "COPY in another encoding than UTF-8 is not supported",
                        "Leave ENCODING out",
                    ));
                }
                self.is_utf8 = true;
            }
            "delimiter" => self.delimiter = self.sign(value),
            "quote" => self.quote = self.sign(value),
            "escape" => self.escape = self.sign(value),
            "null" => {
                self.null = text_of(value).map(Into::into);
                self.is_odd |= self.null.is_none();
            }
            "header" => match header(value) {
                Some(has_header) => self.has_header = has_header,
                None => self.is_odd = true,
            },
            "force_quote" => self.forces_quotes = true,
            "default" => self.is_odd = true,
            "freeze"
            | "force_not_null"
            | "force_null"
            | "on_error"
            | "log_verbosity"
            | "reject_limit"
            | "convert_selectively" => {}
            _ => return Err(Misunderstood::new("COPY has an option that is not understood", "Leave it out")),
        }
        Ok(())
    }

    /// A sign that is one byte in every encoding, and ends no line.
    fn sign(&mut self, value: Node<'_>) -> Option<u8> {
        let sign = text_of(value).and_then(|text| match text.as_bytes() {
            [sign] if sign.is_ascii() && !b"\0\r\n".contains(sign) => Some(*sign),
            _ => None,
        });
        self.is_odd |= sign.is_none();
        sign
    }

    fn form(self) -> CopyOut {
        match self.format {
            // It takes none of the other options.
            Format::Binary => CopyOut::Binary,
            Format::Csv => self.csv().map_or(CopyOut::Lines, CopyOut::Csv),
            Format::Text => self.text().map_or(CopyOut::Lines, CopyOut::Text),
        }
    }

    fn text(self) -> Option<CopyText> {
        let Self { has_header, is_utf8, .. } = self;
        let form = CopyText { delimiter: self.delimiter.unwrap_or(b'\t'), has_header, is_utf8 };
        let is_of_csv = self.quote.is_some() || self.escape.is_some() || self.forces_quotes;
        // A value that is the same as another text for NULL would be written like NULL, and go by as it is.
        let is_null_told_apart = self.null.as_deref().is_none_or(|null| null == NULL);
        let is_followed = !self.is_odd && !is_of_csv && is_null_told_apart && !NO_DELIMITERS.contains(&form.delimiter);
        is_followed.then_some(form)
    }

    fn csv(self) -> Option<CopyCsv> {
        let Self { forces_quotes, has_header, is_utf8, is_odd, .. } = self;
        let quote = self.quote.unwrap_or(b'"');
        let (delimiter, escape) = (self.delimiter.unwrap_or(b','), self.escape.unwrap_or(quote));
        let null = self.null.unwrap_or_default();
        // The server refuses the others.
        let is_clear = |byte: u8| byte != delimiter && byte != quote && byte != b'\r' && byte != b'\n';
        let is_followed = !is_odd && delimiter != quote && null.bytes().all(is_clear);
        is_followed.then_some(CopyCsv { delimiter, quote, escape, null, forces_quotes, has_header, is_utf8 })
    }
}

fn format(name: Option<&str>) -> Result<Format, Misunderstood> {
    match name {
        Some("text") => Ok(Format::Text),
        Some("csv") => Ok(Format::Csv),
        Some("binary") => Ok(Format::Binary),
        _ => Err(Misunderstood::new("COPY has a format that is not known", "Use text, csv or binary")),
    }
}

/// Whether there is a header: as the server reads it, but for what is for `COPY FROM` alone.
fn header(value: Node<'_>) -> Option<bool> {
    match value {
        Node::None => Some(true),
        Node::Boolean(value) => Some(value.boolval),
        Node::Integer(number) => match number.ival {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        other => match text_of(other)?.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
    }
}
