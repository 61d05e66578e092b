//! Whether a statement costs so little, as the planner estimates it, that what a setting makes dear is never chosen.
//!
//! Before version 18 `enable_indexscan = off` is a cost of 10^10 and no ban: whoever joins enough with each other makes all else
//! dearer. So it holds of statements that read one table, or tables each of which is joined by a key of its own, and compute
//! little; nothing else is known here.

use std::sync::Arc;

use pg_raw_parse::nodes::{A_Const, A_Expr, ColumnRef, ParamRef, RangeVar};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, JoinType, SetOperation};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::Analyzer;
use super::tree::{self, strings};
use super::{Context, Misunderstood};
use crate::catalog::{Relation, RelationKind};
use crate::function::Kind;

/// How much a statement consists of at most, and how many calls are among it.
const NODES_MAX: usize = 2_000;
const CALLS_MAX: usize = 50;
/// How many tables it joins: past these the planner may not find that each is joined by its key.
const TABLES_MAX: usize = 8;

/// How long a list is that is written out in a text, in bytes.
const LIST_BYTES_MAX: usize = 1_024;

/// A column of one of the tables: the table's place in the statement, and the column's number.
type Place = (usize, i16);

/// Whether all statements of a text are so, whose parameters are declared to be of these types, 0 where nothing is said.
pub(crate) fn is_bounded(sql: &str, declared: &[u32], context: &Context<'_>) -> bool {
    let read = || -> Result<bool, Misunderstood> {
        let parsed = tree::parse(sql)?;
        let analyzer = Analyzer::new(context);
        Ok(parsed.iter().all(|statement| Statement::new(&analyzer, declared).is_bounded(statement.stmt())))
    };
    tree::guarded(read).unwrap_or(false)
}

struct Statement<'r, 'a> {
    analyzer: &'r Analyzer<'a>,
    declared: &'r [u32],
    nodes: usize,
    calls: usize,
    /// The tables, by the names that their columns go by.
    tables: Vec<(String, Arc<Relation>)>,
    /// Columns that are the same in each row: by the one the rows of the other's table are bounded.
    same: Vec<(Place, Place)>,
}

impl<'r, 'a> Statement<'r, 'a> {
    fn new(analyzer: &'r Analyzer<'a>, declared: &'r [u32]) -> Self {
        Self { analyzer, declared, nodes: 0, calls: 0, tables: Vec::new(), same: Vec::new() }
    }

    fn is_bounded(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::CopyStmt(copy) => matches!(copy.query(), Node::None) || self.is_bounded(copy.query()),
            Node::ExplainStmt(explain) => self.is_bounded(explain.query()),
            Node::DeclareCursorStmt(cursor) => self.is_bounded(cursor.query()),
            // Types that it declares are not looked up.
            Node::PrepareStmt(prepare) => prepare.argtypes().is_empty() && self.is_bounded(prepare.query()),
            Node::SelectStmt(select) => {
                let sources: Option<Vec<()>> = select.from_clause().iter().map(|source| self.source(source)).collect();
                let is_plain = select.op == SetOperation::SETOP_NONE && select.with_clause().is_none();
                is_plain && sources.is_some() && self.conditions(select.where_clause()) && self.rest(node)
            }
            Node::UpdateStmt(update) => {
                let table = update.relation().is_some_and(|table| self.table(table).is_some());
                table && update.from_clause().is_empty() && update.with_clause().is_none() && self.rest(node)
            }
            Node::DeleteStmt(delete) => {
                let table = delete.relation().is_some_and(|table| self.table(table).is_some());
                table && delete.using_clause().is_empty() && delete.with_clause().is_none() && self.rest(node)
            }
            Node::InsertStmt(insert) => {
                // What it gives back, and does where rows are there already, is of it too.
                let is_plain = insert.with_clause().is_none() && self.is_bounded_or_values(insert.select_stmt());
                is_plain && self.rest(node)
            }
            // They read no table.
            Node::TransactionStmt(_) | Node::VariableSetStmt(_) | Node::VariableShowStmt(_) | Node::FetchStmt(_) => {
                true
            }
            _ => false,
        }
    }

    fn is_bounded_or_values(&mut self, node: Node<'_>) -> bool {
        match node {
            Node::None => true,
            Node::SelectStmt(select) if !select.values_lists().is_empty() => self.rest(node),
            _ => self.is_bounded(node),
        }
    }

    /// A table that is stored, or such tables joined.
    fn source(&mut self, node: Node<'_>) -> Option<()> {
        match node {
            Node::RangeVar(table) => self.table(table),
            Node::JoinExpr(join) => {
                let first = self.tables.len();
                self.source(join.larg())?;
                let second = self.tables.len();
                self.source(join.rarg())?;
                let third = self.tables.len();
                let before = self.same.len();
                for name in join.using_clause().iter().filter_map(|name| name.sval()) {
                    let (left, right) = (self.named(first..second, name)?, self.named(second..third, name)?);
                    self.note_same(left, right);
                }
                let is_named = !join.is_natural && join.alias().is_none() && join.join_using_alias().is_none();
                let is_read = is_named && self.conditions(join.quals());
                // An outer join leaves no row out of the side that it keeps, so that its condition bounds the other side alone.
                let bounded = match join.jointype {
                    JoinType::JOIN_INNER => first..third,
                    JoinType::JOIN_LEFT => second..third,
                    JoinType::JOIN_RIGHT => first..second,
                    _ => 0..0,
                };
                let is_outer = join.jointype != JoinType::JOIN_INNER;
                let mut place = 0;
                self.same.retain(|(by, of)| {
                    place += 1;
                    place <= before || bounded.contains(&of.0) && (!is_outer || !bounded.contains(&by.0))
                });
                is_read.then_some(())
            }
            _ => None,
        }
    }

    fn table(&mut self, table: &RangeVar) -> Option<()> {
        let (schema, name) = tree::relation_name(table);
        let (alias, renamed) = tree::alias(table.alias());
        let mut relations = self.analyzer.relations(schema, name).into_iter();
        let (relation, None) = (relations.next()?, relations.next()) else { return None };
        let is_stored = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
        let name = alias.map_or_else(|| relation.name.to_string(), String::from);
        let is_new = renamed.is_empty() && !self.tables.iter().any(|(other, _)| *other == name);
        (is_stored && is_new).then(|| self.tables.push((name, relation)))
    }

    /// Notes which columns a condition has be the same; what else it says only leaves rows out.
    fn conditions(&mut self, condition: Node<'_>) -> bool {
        match condition {
            Node::BoolExpr(all) if all.boolop == BoolExprType::AND_EXPR => {
                all.args().iter().all(|part| self.conditions(part))
            }
            Node::A_Expr(equal) => {
                self.equal(equal);
                true
            }
            _ => true,
        }
    }

    fn equal(&mut self, expression: &A_Expr) {
        let is_own = strings(expression.name()) == ["="] && !self.analyzer.resources.catalog.is_user_operator("=");
        if let (true, A_Expr_Kind::AEXPR_OP, Node::ColumnRef(left), Node::ColumnRef(right)) =
            (is_own, expression.kind, expression.lexpr(), expression.rexpr())
            && let (Some(left), Some(right)) = (self.column(left), self.column(right))
        {
            self.note_same(left, right);
        }
    }

    /// An index serves, and tells that a column is a key, where both are of one type, or of types that it compares as one.
    fn note_same(&mut self, left: Place, right: Place) {
        const TEXTS: [u32; 2] = [25, 1_043];
        const INTEGERS: [u32; 3] = [20, 21, 23];
        let (Some(one), Some(other)) = (self.type_of(left), self.type_of(right)) else { return };
        let is_among = |types: &[u32]| types.contains(&one) && types.contains(&other);
        if one == other || is_among(&TEXTS) || is_among(&INTEGERS) {
            self.same.extend([(left, right), (right, left)]);
        }
    }

    fn column(&self, column: &ColumnRef) -> Option<Place> {
        match strings(column.fields()).as_slice() {
            [name] => self.named(0..self.tables.len(), name),
            [table, name] => {
                let place = self.tables.iter().position(|(known, _)| known == table)?;
                self.named(place..place + 1, name)
            }
            _ => None,
        }
    }

    /// The column of a name that one of these tables has, and no other.
    fn named(&self, tables: std::ops::Range<usize>, name: &str) -> Option<Place> {
        let among = self.tables.iter().enumerate().skip(tables.start).take(tables.len());
        let mut found = among.filter_map(|(place, (_, relation))| {
            let column = relation.columns.iter().find(|column| *column.name == *name)?;
            Some((place, column.number))
        });
        let one = found.next()?;
        found.next().is_none().then_some(one)
    }

    /// Whether all of a statement is little, reads nothing but its tables, and makes no rows; and whether these are joined by keys.
    fn rest(&mut self, node: Node<'_>) -> bool {
        let mut nodes = vec![node];
        while let Some(node) = nodes.pop() {
            self.nodes += 1;
            let is_known = match node {
                Node::SubLink(_)
                | Node::RangeSubselect(_)
                | Node::RangeFunction(_)
                | Node::RangeTableFunc(_)
                | Node::RangeTableSample(_)
                | Node::WithClause(_) => false,
                Node::A_Expr(any) if matches!(any.kind, A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL) => {
                    self.is_short_list(any)
                }
                Node::FuncCall(call) => {
                    self.calls += 1;
                    let (schema, name) = tree::function_name(call);
                    matches!(self.analyzer.function_kind(schema, name), Kind::Plain | Kind::Count | Kind::Place)
                }
                _ => true,
            };
            if !is_known || self.nodes > NODES_MAX || self.calls > CALLS_MAX {
                return false;
            }
            nodes.extend(tree::children(node));
        }
        self.tables.len() <= TABLES_MAX && (0..self.tables.len().max(1)).any(|first| self.joins_by_keys(first))
    }

    /// Whether a condition over a list costs little: the list is short, or a column is equal to one of it and of one type with it,
    /// so that it is looked up by a hash.
    fn is_short_list(&self, any: &A_Expr) -> bool {
        let arrays = match any.lexpr() {
            Node::ColumnRef(column) => self.column(column).and_then(|place| self.type_of(place)).and_then(arrays_of),
            _ => None,
        };
        let is_equal = any.kind == A_Expr_Kind::AEXPR_OP_ANY && strings(any.name()) == ["="];
        let Some((oids, names)) = arrays.filter(|_| is_equal) else {
            return is_written_short(any.rexpr());
        };
        let is_of_it = |parameter: &ParamRef| {
            let declared = usize::try_from(parameter.number - 1).ok().and_then(|place| self.declared.get(place));
            declared.is_none_or(|declared| *declared == 0 || oids.contains(declared))
        };
        match any.rexpr() {
            Node::ParamRef(parameter) => is_of_it(parameter),
            Node::A_Const(_) => true,
            Node::TypeCast(cast) => {
                let name = cast.type_name();
                let is_named = name.is_some_and(|name| {
                    let words: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
                    !name.array_bounds().is_empty() && names.contains(&tree::qualified(&words).1)
                });
                match cast.arg() {
                    Node::ParamRef(parameter) => is_named && is_of_it(parameter),
                    Node::A_Const(_) => is_named || is_written_short(any.rexpr()),
                    _ => is_written_short(any.rexpr()),
                }
            }
            list => is_written_short(list),
        }
    }

    fn type_of(&self, (table, number): Place) -> Option<u32> {
        let relation = &self.tables.get(table)?.1;
        relation.columns.iter().find(|column| column.number == number).map(|column| column.type_oid)
    }

    /// Whether each row of one table has no more than one of every other, joined in some order.
    fn joins_by_keys(&self, first: usize) -> bool {
        let mut joined = vec![false; self.tables.len()];
        if let Some(first) = joined.get_mut(first) {
            *first = true;
        }
        loop {
            let is_joined = |place: usize| joined.get(place) == Some(&true);
            let same_as_joined =
                |table: usize, number: i16| self.same.iter().any(|(by, of)| *of == (table, number) && is_joined(by.0));
            let by_key = |table: usize, relation: &Relation| {
                // Before version 16 the planner knows no key of a table that is divided.
                let is_whole =
                    relation.kind == RelationKind::Table && !self.analyzer.resources.catalog.has_children(relation);
                is_whole && relation.keys.iter().any(|key| key.iter().all(|number| same_as_joined(table, *number)))
            };
            let mut others = self.tables.iter().enumerate().filter(|(place, _)| !is_joined(*place));
            let next = others.find(|(place, (_, relation))| by_key(*place, relation)).map(|(place, _)| place);
            match next.and_then(|place| joined.get_mut(place)) {
                Some(next) => *next = true,
                None => return joined.iter().all(|is_joined| *is_joined),
            }
        }
    }
}

/// The arrays whose elements are compared with a column of a type by the hash of that type: their OIDs, and how their elements are
/// called.
fn arrays_of(kind: u32) -> Option<(&'static [u32], &'static [&'static str])> {
    Some(match kind {
        25 | 1_043 => (&[1_009, 1_015], &["text", "varchar"]),
        20 => (&[1_016], &["int8"]),
        21 => (&[1_005], &["int2"]),
        23 => (&[1_007], &["int4"]),
        2_950 => (&[2_951], &["uuid"]),
        _ => return None,
    })
}

/// Whether a list is written out and short.
fn is_written_short(list: Node<'_>) -> bool {
    let is_short = |literal: &A_Const| match literal.val() {
        Some(ConstValue::String(text)) => text.len() <= LIST_BYTES_MAX,
        _ => true,
    };
    match list {
        Node::A_Const(literal) => is_short(literal),
        Node::TypeCast(cast) => is_written_short(cast.arg()),
        Node::A_ArrayExpr(array) => array.elements().iter().all(is_written_short),
        _ => false,
    }
}
