//! What would come back for a statement, as far as the statement and the catalog say so: for whoever asks what the gateway
//! makes of it, without a target's answer.

use std::sync::Arc;

use gatehouse_model::{Column, Encoding, Provenance, ValueKind};

use super::PostgresSession;
use super::statement::Asked;
use crate::analysis::{self, Outputs};

/// The name of what stands for any number of columns.
const ANY: &str = "*";
/// How PostgreSQL calls a column that nothing gives a name.
const NAMELESS: &str = "?column?";

impl PostgresSession {
    /// The columns of the last statement at the front that gives rows.
    pub(super) fn foreseen_columns(&self) -> Option<Vec<Column>> {
        let Some(Asked::Statement(prepared) | Asked::Bound(prepared)) = &self.asked else { return None };
        let gives_rows = |output: &&analysis::StatementOutput| {
            output.cursor.is_none() && output.prepares.is_none() && output.columns != Outputs::None
        };
        let Some(output) = prepared.analysis.statements.iter().rev().find(gives_rows) else { return Some(Vec::new()) };
        match &output.columns {
            Outputs::Columns(provenances) => {
                let names = output.names.iter().map(Option::as_ref).chain(std::iter::repeat(None));
                let column =
                    |(provenance, name): (&Provenance, Option<&Arc<str>>)| self.foreseen_column(name, provenance);
                Some(provenances.iter().zip(names).map(column).collect())
            }
            Outputs::Clean => Some(vec![self.foreseen_column(Some(&ANY.into()), &Provenance::Clean)]),
            Outputs::Unknown => Some(vec![self.foreseen_column(Some(&ANY.into()), &Provenance::Unknown)]),
            // What those give was said on the connection that they were made on.
            Outputs::None | Outputs::Cursor(_) | Outputs::Prepared(_) => None,
        }
    }

    fn foreseen_column(&self, name: Option<&Arc<str>>, provenance: &Provenance) -> Column {
        let kind = match provenance {
            Provenance::Copy(source) => self.known.kind_of(&self.target, source),
            Provenance::Derived(_) | Provenance::Clean | Provenance::Unknown => None,
        };
        Column {
            name: name.cloned().unwrap_or_else(|| NAMELESS.into()),
            provenance: provenance.clone(),
            kind: kind.unwrap_or(ValueKind::Text { chars_max: None }),
            encoding: Encoding::Text,
        }
    }
}
