//! Texts that a classified column is compared with, or that are written into one: pseudonyms may stand there.
//!
//! Knows where they stand in a statement. Whether one is a pseudonym, and of what, is not known here.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use gatehouse_model::{Access, Action, ClassName, FactValue, GIVEN_BYTES_MAX, Intent, Parent, Resource, kind};
use pg_raw_parse::nodes::{A_Expr, ColumnRef, InsertStmt};
use pg_raw_parse::raw::{A_Expr_Kind, SetOperation};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::{Analyzer, Found};
use super::lineage::Lineage;
use super::query::expands;
use super::resource::{classes, column_at, is_classified};
use super::scope::Scope;
use super::tree::{self, strings};
use super::{Misunderstood, action};
use crate::catalog::Relation;

/// How many a statement has; of more, none is turned back.
const CANDIDATES_MAX: usize = 256;

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the statement, with its quotation marks, in bytes.
    Text(Range<usize>, Arc<str>),
    /// Among the bind values, from 0.
    Bind(usize),
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) classes: Arc<[ClassName]>,
    pub(crate) place: Place,
    /// It decides which rows there are.
    pub(crate) decides: bool,
    /// It is written into a column.
    pub(crate) is_written: bool,
}

/// Those of a statement, and what it wants if each that decides is a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub(crate) intent: Arc<Intent>,
    pub(crate) all: Vec<Candidate>,
    /// Something in the statement shows its text or what it writes, or may: what is turned back in it would be seen.
    pub(crate) shows_text: bool,
}

/// A text, as it is met.
#[derive(Debug)]
pub(super) struct Met {
    column: Resource,
    at: At,
    decides: bool,
}

#[derive(Debug, Clone)]
enum At {
    /// Where a constant begins, and what it is.
    Text(usize, Arc<str>),
    /// Which one, and where.
    Bind(usize, i32),
}

/// Where a constant or a parameter stands, as it is or as a text.
fn at(analyzer: &Analyzer<'_>, node: Node<'_>) -> Option<At> {
    match node {
        Node::A_Const(constant) => match constant.val() {
            Some(ConstValue::String(text)) => Some(At::Text(usize::try_from(constant.location).ok()?, text.into())),
            _ => None,
        },
        Node::ParamRef(parameter) => {
            Some(At::Bind(usize::try_from(parameter.number).ok()?.checked_sub(1)?, parameter.location))
        }
        Node::TypeCast(cast) => {
            let name = cast.type_name()?;
            // Any other would make another text of it.
            let is_text = analyzer.is_type_of_texts(name);
            is_text.then(|| at(analyzer, cast.arg())).flatten()
        }
        _ => None,
    }
}

impl Analyzer<'_> {
    /// A condition that compares a classified column with texts alone. False of any other, which is not looked at.
    pub(super) fn compared(&mut self, expression: &A_Expr, scope: &Scope<'_>) -> Result<bool, Misunderstood> {
        let names = strings(expression.name());
        let is_own = !self.resources.catalog.is_user_operator("=") && !self.resources.catalog.is_user_operator("<>");
        let (schema, name) = tree::qualified(&names);
        let compares = matches!(name, "=" | "<>") && schema.is_none_or(|schema| schema == "pg_catalog");
        if !is_own || !compares || self.is_in_view() {
            return Ok(false);
        }
        let (column, values): (&ColumnRef, Vec<Node<'_>>) =
            match (expression.kind, expression.lexpr(), expression.rexpr()) {
                (A_Expr_Kind::AEXPR_IN, Node::ColumnRef(column), Node::NodeList(list)) => {
                    (column, list.iter().collect())
                }
                (A_Expr_Kind::AEXPR_OP, Node::ColumnRef(column), value)
                | (A_Expr_Kind::AEXPR_OP, value, Node::ColumnRef(column)) => (column, vec![value]),
                _ => return Ok(false),
            };
        let places: Option<Vec<At>> = values.iter().map(|value| at(self, *value)).collect();
        let Some(places) = places else { return Ok(false) };
        let lineage = self.expression(Node::ColumnRef(column), scope)?;
        for value in values {
            self.expression(value, scope)?;
        }
        match lineage {
            Lineage::Copy(column) if is_classified(&column) && self.chars_of(&column).is_some() => {
                self.found.conditional.insert(Access::new(Action::PROBE, column.clone()));
                self.mark_sensitive();
                places.into_iter().for_each(|at| self.meet(&column, at, true));
            }
            lineage => self.probe(&lineage),
        }
        Ok(true)
    }

    /// A value is written into a column.
    pub(super) fn assigned(&mut self, value: Node<'_>, into: Option<&Resource>) {
        // Where it may be too long for the column, or is tested, that would tell of it.
        let has_room = |column: &Resource| {
            !self.is_tested(column) && self.chars_of(column).is_some_and(|chars| chars >= GIVEN_BYTES_MAX)
        };
        if let Some(column) = into.filter(|column| is_classified(column) && has_room(column))
            && !self.is_in_view()
            && let Some(at) = at(self, value)
        {
            self.meet(column, at, false);
        }
    }

    /// The rows of VALUES are written into columns that are named. Of those of a query, what comes of their values is unknown.
    pub(super) fn assigned_rows(&mut self, insert: &InsertStmt, into: &[Option<Resource>]) {
        let Node::SelectStmt(select) = insert.select_stmt() else { return };
        let is_bare = select.op == SetOperation::SETOP_NONE
            && select.with_clause().is_none()
            && select.sort_clause().is_empty()
            && select.locking_clause().is_empty()
            && [select.limit_count(), select.limit_offset()].iter().all(|limit| matches!(limit, Node::None));
        if insert.cols().is_empty() || !is_bare {
            return;
        }
        for row in select.values_lists() {
            let Node::NodeList(row) = row else { continue };
            if row.iter().any(expands) {
                continue;
            }
            for (value, into) in row.iter().zip(into) {
                self.assigned(value, into.as_ref());
            }
        }
    }

    /// How many characters a column has at most whose texts are equal if their bytes are; `None` of any other, and of one that
    /// the catalog does not have.
    fn chars_of(&self, column: &Resource) -> Option<usize> {
        let catalog = self.resources.catalog;
        let (relation, name) = column_at(catalog, self.resources.target, column)?;
        let column = relation.columns.iter().find(|info| *info.name == *name && !info.folds)?;
        catalog.chars_of(column.type_oid, column.type_modifier)
    }

    /// Whether a value that is written into a column is looked at by what is defined on it, or on a column of its kin.
    pub(super) fn is_tested(&self, column: &Resource) -> bool {
        let catalog = self.resources.catalog;
        column_at(catalog, self.resources.target, column).is_none_or(|(relation, name)| {
            let family = catalog.family(relation);
            let is_tested = |kin: &Arc<Relation>| {
                kin.has_effects || kin.columns.iter().any(|info| *info.name == *name && (info.tested || info.folds))
            };
            family.iter().any(is_tested)
        })
    }

    fn meet(&mut self, column: &Resource, at: At, decides: bool) {
        if self.found.met.len() <= CANDIDATES_MAX {
            self.found.met.push(Met { column: column.clone(), at, decides });
        }
    }
}

/// The range of a plain constant that begins at `start`, if it is this text.
fn quoted(sql: &str, start: usize, text: &str) -> Option<Range<usize>> {
    let rest = sql.get(start..)?.strip_prefix('\'')?;
    let (mut value, mut bytes) = (String::new(), rest.char_indices().peekable());
    while let Some((at, letter)) = bytes.next() {
        if letter != '\'' {
            value.push(letter);
        } else if bytes.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return (value == text).then_some(start..start + 1 + at + 1);
        }
    }
    None
}

/// The table that a column is in.
fn table_of(column: &Resource) -> Option<Resource> {
    let parents: Vec<Parent> = column.within.iter().filter(|parent| parent.kind != kind::CLASS).cloned().collect();
    let (table, within) = parents.split_first()?;
    Some(Resource::new(table.kind, &table.id, within))
}

/// The candidates of a text, with what it wants if all that decide are pseudonyms; `intent` wants more.
pub(super) fn candidates(
    sql: &str,
    found: &mut Found,
    intent: &Intent,
    parameters: &HashMap<usize, HashSet<i32>>,
) -> Option<Candidates> {
    let met = std::mem::take(&mut found.met);
    if met.is_empty() || met.len() > CANDIDATES_MAX || !found.is_plain || found.changes_catalog {
        return None;
    }
    let mut uses: HashMap<usize, (HashSet<i32>, Arc<[ClassName]>)> = HashMap::new();
    let (mut all, mut read) = (Vec::new(), Vec::new());
    for Met { column, at, decides } in met {
        if decides {
            read.extend(table_of(&column).map(|table| Access::new(action::SELECT, table)));
        }
        let names = classes(&column).filter_map(|class| ClassName::new(&class.id).ok());
        let classes: Arc<[ClassName]> = names.collect();
        let place = match at {
            At::Bind(number, location) => {
                let (places, others) = uses.entry(number).or_insert_with(|| (HashSet::new(), classes.clone()));
                places.insert(location);
                if *others != classes {
                    return None;
                }
                Some(Place::Bind(number))
            }
            At::Text(start, text) => quoted(sql, start, &text).map(|range| Place::Text(range, text)),
        };
        match place {
            // What is read several times, as the body of a recursive query is, stands there once.
            Some(place) => match all.iter_mut().find(|other: &&mut Candidate| other.place == place) {
                Some(other) if other.classes != classes => return None,
                Some(other) => {
                    other.decides |= decides;
                    other.is_written |= !decides;
                }
                None => all.push(Candidate { classes, place, decides, is_written: !decides }),
            },
            None if decides => return None,
            None => {}
        }
    }
    // What stands for a value elsewhere too would be told by what that does.
    let is_elsewhere = |number: &usize| uses.get(number).map(|(places, _)| places) != parameters.get(number);
    if uses.keys().any(is_elsewhere) {
        return None;
    }
    let mut intent = intent.clone();
    let conditional = &found.conditional;
    intent.accesses.retain(|access| !conditional.contains(access) || found.accesses.contains(access));
    // What a write tells by which rows it finds, only who may read the table sees by its pseudonyms.
    intent.accesses.extend(read);
    intent.accesses.sort();
    intent.accesses.dedup();
    let deciding = all.iter().filter(|candidate| candidate.decides).count();
    intent.facts.insert("pseudonyms", FactValue::Long(i64::try_from(deciding).unwrap_or(i64::MAX)));
    (!all.is_empty() && !intent.accesses.is_empty()).then(|| Candidates {
        intent: Arc::new(intent),
        all,
        shows_text: found.shows_text || found.opaque,
    })
}
