//! Statements and portals: what was understood of them, and the shape of their results.

use std::sync::{Arc, OnceLock};

use gatehouse_model::{Bind, Column, Encoding, Provenance, Resource, Shape, ShapeRole, ValueKind, kind};

use super::copy::Form;
use crate::analysis::{self, Analysis, Outputs};
use crate::frame::Reader;
use crate::reading::Known;

/// A statement as the target may hold it.
pub(crate) struct Prepared {
    pub(crate) analysis: Arc<Analysis>,
    /// The catalog and the state of names that the analysis stands on.
    pub(crate) known: Arc<Known>,
    pub(crate) meaning_changes: u64,
    /// The types of its parameters, as the client declared them or the target said.
    pub(crate) parameters: OnceLock<Vec<u32>>,
    pub(crate) declared: Vec<u32>,
    /// Where `PREPARE` made it, among the statements of its text; then only `EXECUTE` runs it.
    pub(crate) in_sql: Option<usize>,
    /// The operation that prepared it, once that has passed.
    pub(crate) number: OnceLock<u64>,
    /// Whether it costs so little that the settings hold which keep an index's order from it; looked at where that matters.
    pub(crate) is_bounded: OnceLock<bool>,
}

impl Prepared {
    /// Later statements are understood only when this one is done.
    pub(crate) fn is_barrier(&self) -> bool {
        let analysis = &self.analysis;
        let names = |output: &analysis::StatementOutput| {
            output.cursor.is_some() || output.prepares.is_some() || output.deallocates.is_some()
        };
        analysis.changes_meaning
            || analysis.changes_catalog
            || analysis.changes_path
            || analysis.statements.iter().any(names)
    }

    /// It reads or writes something that has a name, and so something that may stand in its place.
    pub(crate) fn names_relations(&self) -> bool {
        let harmless = |access: &gatehouse_model::Access| matches!(access.resource.kind, kind::TARGET | "Setting");
        !self.analysis.intent.accesses.iter().all(harmless)
    }

    /// What a survey tells may be something else afterwards; it tells of nothing temporary.
    pub(crate) fn outdates_survey(&self) -> bool {
        let defines = [analysis::action::DDL, analysis::action::DROP];
        let is_temporary =
            |resource: &gatehouse_model::Resource| resource.within.iter().any(|parent| parent.id.ends_with("/pg_temp"));
        let mut defined = self.analysis.intent.accesses.iter().filter(|access| defines.contains(&access.action));
        let is_all_temporary = self.analysis.makes_temporary && defined.clone().next().is_some();
        self.analysis.changes_catalog && !(is_all_temporary && defined.all(|access| is_temporary(&access.resource)))
    }

    /// It reads on from a cursor, or runs what was prepared.
    pub(crate) fn only_fetches(&self) -> bool {
        let fetches =
            |output: &analysis::StatementOutput| matches!(output.columns, Outputs::Cursor(_) | Outputs::Prepared(_));
        self.analysis.statements.iter().any(fetches)
    }

    /// It runs code that the gateway cannot read.
    pub(crate) fn is_opaque(&self) -> bool {
        let opaque = [analysis::action::CALL, analysis::action::DO];
        self.analysis.intent.accesses.iter().any(|access| opaque.contains(&access.action))
    }

    /// It runs text that the gateway never sees as a statement.
    pub(crate) fn runs_text(&self) -> bool {
        let intent = &self.analysis.intent;
        intent.unclear.is_some() || intent.accesses.iter().any(|access| access.action == analysis::action::DO)
    }

    /// What `PREPARE` made at a place of this text.
    pub(crate) fn made_at(&self, place: usize, meaning_changes: u64) -> Self {
        Self {
            analysis: self.analysis.clone(),
            known: self.known.clone(),
            meaning_changes,
            parameters: OnceLock::new(),
            declared: self.declared.clone(),
            in_sql: Some(place),
            number: OnceLock::new(),
            is_bounded: OnceLock::new(),
        }
    }

    /// What it gives: for what `PREPARE` made, that statement's alone.
    pub(crate) fn executed_output(&self) -> Option<&analysis::StatementOutput> {
        self.in_sql.and_then(|place| self.analysis.statements.get(place))
    }

    /// The types of the parameters that are known.
    pub(crate) fn parameter_types(&self) -> impl Iterator<Item = u32> {
        let known = self.declared.len().max(self.parameters.get().map_or(0, Vec::len));
        (0..known).map(|place| self.parameter_type(place))
    }

    pub(crate) fn parameter_type(&self, place: usize) -> u32 {
        let declared = self.declared.get(place).copied().unwrap_or(0);
        if declared != 0 {
            return declared;
        }
        self.parameters.get().and_then(|types| types.get(place)).copied().unwrap_or(0)
    }
}

/// A statement with bind values.
pub(crate) struct Portal {
    /// `None` for a portal that a statement opened under a name of its own: nothing is known of its columns.
    pub(crate) statement: Option<Arc<Prepared>>,
    /// The number of the operation that bound it.
    pub(crate) number: Option<u64>,
    /// Of what looks names up when it runs: when it was bound, by what had run and was named until then.
    pub(crate) resolves_at: Option<(u64, u64, u64)>,
    /// Of what changes something: when it was bound, by what had run until then.
    pub(crate) bound_at: Option<(u64, u64)>,
    /// Of what changes nothing: after how many changes of what statements mean it was bound.
    pub(crate) meant_at: Option<u64>,
    /// To which values, unless they are too long to be kept.
    pub(crate) binds: Option<Vec<Bind>>,
    /// It was executed.
    pub(crate) ran: OnceLock<()>,
    /// A Describe of this very portal was sent: what a statement was described as may not be what a portal of it is.
    pub(crate) described: OnceLock<()>,
    pub(crate) shape: OnceLock<Arc<Shape>>,
}

impl Portal {
    pub(crate) fn unknown() -> Self {
        Self {
            statement: None,
            number: None,
            resolves_at: None,
            bound_at: None,
            meant_at: None,
            binds: None,
            ran: OnceLock::new(),
            described: OnceLock::new(),
            shape: OnceLock::new(),
        }
    }

    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        self.statement.as_deref()
    }
}

/// What inspection found in a message of the client.
pub(crate) enum Asked {
    /// A statement, in a Query or a Parse.
    Statement(Arc<Prepared>),
    /// A Bind of this statement.
    Bound(Arc<Prepared>),
}

/// One column of a RowDescription.
#[derive(Debug, Clone)]
pub(crate) struct RowColumn {
    pub(crate) name: Arc<str>,
    pub(crate) table: u32,
    pub(crate) attribute: i16,
    pub(crate) kind: u32,
    pub(crate) modifier: i32,
    pub(crate) format: i16,
}

/// Reads the body of a RowDescription.
pub(crate) fn row_description(body: &[u8]) -> Option<Vec<RowColumn>> {
    let mut reader = Reader(body);
    let count = reader.i16()?;
    (0..count)
        .map(|_| {
            let name = String::from_utf8_lossy(reader.cstr()?).into();
            let table = reader.u32()?;
            let attribute = reader.i16()?;
            let kind = reader.u32()?;
            let _size = reader.i16()?;
            let modifier = reader.i32()?;
            let format = reader.i16()?;
            Some(RowColumn { name, table, attribute, kind, modifier, format })
        })
        .collect()
}

/// The shape of rows: a plain column is known by its table, anything else by the statement's lineage. Where they
/// do not agree on the number of columns, nothing is known.
pub(crate) fn shape(
    columns: &[RowColumn],
    lineage: &Lineage,
    known: &Known,
    column_of: impl Fn(u32, i16) -> Provenance,
) -> Shape {
    let columns = columns.iter().enumerate().map(|(place, column)| Column {
        name: column.name.clone(),
        provenance: if column.table == 0 {
            lineage.at(place, columns.len())
        } else {
            column_of(column.table, column.attribute)
        },
        kind: known.catalog.kind_of(column.kind, column.modifier),
        encoding: if column.format == 1 { Encoding::Binary } else { Encoding::Text },
    });
    Shape { role: ShapeRole::Rows, columns: columns.collect() }
}

/// What the statement itself tells of its columns.
pub(crate) enum Lineage {
    Columns(Arc<[Provenance]>),
    Clean,
    Unknown,
}

impl Lineage {
    /// Whether it tells of so many columns.
    fn is_of(&self, count: usize) -> bool {
        match self {
            Self::Columns(columns) => columns.len() == count,
            Self::Clean => true,
            Self::Unknown => false,
        }
    }

    fn at(&self, place: usize, count: usize) -> Provenance {
        match self {
            Self::Columns(columns) if columns.len() == count => {
                columns.get(place).cloned().unwrap_or(Provenance::Unknown)
            }
            Self::Clean => Provenance::Clean,
            Self::Columns(_) | Self::Unknown => Provenance::Unknown,
        }
    }
}

/// Reads the lineage off a statement; cursors and prepared statements are looked up by `named`.
pub(crate) fn lineage(outputs: &Outputs, named: impl Fn(&Outputs) -> Option<Arc<[Provenance]>>) -> Lineage {
    match outputs {
        Outputs::Columns(columns) => Lineage::Columns(columns.as_slice().into()),
        Outputs::Clean => Lineage::Clean,
        Outputs::Cursor(_) | Outputs::Prepared(_) => named(outputs).map_or(Lineage::Unknown, Lineage::Columns),
        Outputs::None | Outputs::Unknown => Lineage::Unknown,
    }
}

/// The shape of what `COPY … TO STDOUT` sends. The types of its columns are not announced, but known where a column comes as
/// it stands.
pub(crate) fn copy_shape(
    lineage: &Lineage,
    columns: usize,
    form: &Form,
    kind_of: impl Fn(&Resource) -> Option<ValueKind>,
) -> Shape {
    let text = ValueKind::Text { chars_max: None };
    let column = |provenance, kind, encoding| Column { name: "copy".into(), provenance, kind, encoding };
    let kind_of = |provenance: &Provenance| match provenance {
        Provenance::Copy(source) => kind_of(source),
        Provenance::Derived(_) | Provenance::Clean | Provenance::Unknown => None,
    };
    let provenances = (0..columns).map(|place| lineage.at(place, columns));
    let columns = match form {
        // Where escapes are not followed, a field is not what a value of its type looks like.
        Form::Text { has_escapes: false, .. } => {
            provenances.map(|provenance| column(provenance, text, Encoding::Text)).collect()
        }
        Form::Text { has_escapes: true, .. } | Form::Csv(_) => {
            let written = |provenance: Provenance| {
                let kind = kind_of(&provenance).map_or(text, written_kind);
                column(provenance, kind, Encoding::Text)
            };
            provenances.map(written).collect()
        }
        // NULL is a mask of any type.
        Form::Binary => {
            let binary = |provenance: Provenance| {
                let kind = kind_of(&provenance).unwrap_or(ValueKind::Opaque);
                column(provenance, kind, Encoding::Binary)
            };
            provenances.map(binary).collect()
        }
        Form::Lines { is_asked } => {
            let is_known = lineage.is_of(columns);
            let provenance = if is_known { of_line(provenances, *is_asked) } else { Provenance::Unknown };
            vec![column(provenance, text, Encoding::Text)]
        }
        Form::Opaque => vec![column(Provenance::Unknown, ValueKind::Opaque, Encoding::Text)],
    };
    Shape { role: ShapeRole::Rows, columns }
}

/// What a value is in a copy as text or as CSV: what its type is, where a mask is of that type too. All others are texts there, of
/// which a mask is a text.
fn written_kind(kind: ValueKind) -> ValueKind {
    match kind {
        ValueKind::Text { .. } | ValueKind::Texts { .. } | ValueKind::Json | ValueKind::Jsonb | ValueKind::Uuid => kind,
        ValueKind::Fixed | ValueKind::Opaque => ValueKind::Text { chars_max: None },
    }
}

/// Where a line comes from of which the columns are not told apart.
fn of_line(columns: impl Iterator<Item = Provenance>, is_asked: bool) -> Provenance {
    let is_classified = |source: &Resource| source.within.iter().any(|parent| parent.kind == kind::CLASS);
    let mut sources = Vec::new();
    for column in columns {
        match column {
            Provenance::Unknown => return Provenance::Unknown,
            Provenance::Copy(source) if is_classified(&source) => sources.push(source),
            Provenance::Copy(_) | Provenance::Clean => {}
            Provenance::Derived(more) => sources.extend(more.iter().cloned()),
        }
    }
    if sources.is_empty() || is_asked {
        return Provenance::Clean;
    }
    sources.sort();
    sources.dedup();
    Provenance::Derived(sources.into())
}
