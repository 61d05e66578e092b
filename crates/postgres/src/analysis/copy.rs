//! COPY: what goes where, and in which form.
//!
//! Knows the options that change the form. Rows are the session's business.

use pg_raw_parse::nodes::{CopyStmt, RangeVar};

use super::analyzer::Analyzer;
use super::definition::text_of;
use super::lineage::{Columns, Lineage, Named};
use super::scope::{Scope, Sources};
use super::tree::{self, strings};
use super::{CopyFormat, CopyOut, Misunderstood, Outputs, StatementOutput, action};
use crate::catalog::Relation;

/// What the options say of the form.
struct Form {
    format: CopyFormat,
    /// The form is the default one of its format.
    plain: bool,
}

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
        // Only the text format is masked on its way; anything else shows classified data as it is.
        let masked = form.format == CopyFormat::Text && form.plain && copy.filename().is_none();
        if !masked {
            for lineage in columns.lineages() {
                self.access_revealed(lineage);
            }
        }
        if copy.filename().is_some() {
            return Ok(StatementOutput::of(Outputs::None));
        }
        Ok(StatementOutput { copy: Some(CopyOut { format: form.format }), ..self.output_of(columns) })
    }

    fn access_revealed(&mut self, lineage: &Lineage) {
        self.reveal(lineage);
    }

    fn copy_from(&mut self, copy: &CopyStmt) -> Result<StatementOutput, Misunderstood> {
        let table = copy.relation().ok_or_else(|| Misunderstood::new("COPY FROM names no table", "Name one"))?;
        let item = self.relation(table, action::COPY_IN);
        self.read(&item.columns.row());
        let (schema, name) = tree::relation_name(table);
        self.note_effects(schema, name);
        self.inventory.take(copy.where_clause())?;
        let sources = Sources::of(item);
        self.predicate(copy.where_clause(), &Scope::root(&sources))?;
        Ok(StatementOutput::of(Outputs::None))
    }

    /// The columns of `COPY table TO`: those that are listed, or all but generated ones.
    fn copied_columns(&mut self, table: &RangeVar, copy: &CopyStmt) -> Result<Columns, Misunderstood> {
        let item = self.relation(table, action::COPY_OUT);
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

fn form(copy: &CopyStmt) -> Result<Form, Misunderstood> {
    let mut form = Form { format: CopyFormat::Text, plain: true };
    for option in copy.options() {
        let value = text_of(option.arg());
        match option.defname().unwrap_or_default() {
            "format" => form.format = format(value)?,
            "encoding" => {
                let is_utf8 =
                    value.is_some_and(|name| matches!(name.to_lowercase().as_str(), "utf8" | "utf-8" | "unicode"));
                if !is_utf8 {
                    return Err(Misunderstood::new(
                        "COPY in another encoding than UTF-8 is not supported",
                        "Leave ENCODING out",
                    ));
                }
            }
            "delimiter" | "null" | "header" | "default" | "quote" | "escape" | "force_quote" => form.plain = false,
            "freeze"
            | "force_not_null"
            | "force_null"
            | "on_error"
            | "log_verbosity"
            | "reject_limit"
            | "convert_selectively" => {}
            _ => return Err(Misunderstood::new("COPY has an option that is not understood", "Leave it out")),
        }
    }
    Ok(form)
}

fn format(name: Option<&str>) -> Result<CopyFormat, Misunderstood> {
    match name {
        Some("text") => Ok(CopyFormat::Text),
        Some("csv") => Ok(CopyFormat::Csv),
        Some("binary") => Ok(CopyFormat::Binary),
        _ => Err(Misunderstood::new("COPY has a format that is not known", "Use text, csv or binary")),
    }
}
