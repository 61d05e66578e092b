//! Whether the order in which a query finds its rows shows in what it gives, or in what it leaves behind.
//!
//! Knows the one form of query of which it is certain that it does not: rows of one table that columns choose by constants, counted,
//! or put in an order that is left to nothing. All else may show it: what stops at the first row, what looks elsewhere for each
//! row (the server counts how often tables were read), and what can fail in more than one way, for the first failure would tell.
//! Nor may a row take long to be looked at: who stops the statement meanwhile is told by the server how many rows it had fetched.

use std::collections::BTreeSet;
use std::sync::Arc;

use pg_raw_parse::nodes::{A_Expr, ColumnRef, FuncCall, RangeVar, SelectStmt, TypeCast};
use pg_raw_parse::raw::{A_Expr_Kind, SetOperation};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::Analyzer;
use super::candidate::CandidateForm;
use super::expression::{bare_name, position};
use super::naming::output_name;
use super::query::expands;
use super::resource::is_classified;
use super::tree::{self, strings};
use crate::catalog::{ColumnInfo, Relation, RelationKind};
use crate::function::Kind;
use crate::value::oid;

/// Types of which two values are equal only if they are the same, and that are compared without a failure: int8, int2, int4, text,
/// oid, date, varchar, timestamp, timestamptz and uuid.
const EXACT: [u32; 10] = [20, 21, 23, 25, 26, 1082, 1043, 1114, 1184, oid::UUID];
/// Types that are compared without a failure but have equal values that are not the same: bool, float4, float8 and numeric.
const COMPARED: [u32; 4] = [16, 700, 701, 1700];
/// Types that a parameter beside them takes on, or is cast to without a failure: bool, int8, int2, int4, text, varchar and uuid.
const TAKEN_ON: [u32; 7] = [16, 20, 21, 23, 25, 1043, oid::UUID];
/// Types of which a sum is the same in whatever order it is made: int8, int2, int4 and numeric.
const SUMMED: [u32; 4] = [20, 21, 23, 1700];
/// timestamp and timestamptz.
const MOMENTS: [u32; 2] = [1114, 1184];
const BOOL: u32 = 16;
/// text and varchar.
const TEXTS: [u32; 2] = [25, 1043];
/// How many characters a text has at most that does not take long to be looked at.
const SMALL_CHARS_MAX: usize = 1_000;
/// How much a condition consists of at most, so that it does not take long.
const CONDITION_NODES_MAX: usize = 400;
/// How many digits a number has at most that does not take long.
const SMALL_DIGITS_MAX: i32 = 40;
const NUMERIC: u32 = 1700;

impl Analyzer<'_> {
    /// Whether a statement that was read gives the same in whatever order it finds its rows.
    pub(super) fn is_settled(&self, statement: Node<'_>) -> bool {
        // What is copied to the client comes as the query gives it.
        let query = if let Node::CopyStmt(copy) = statement { copy.query() } else { statement };
        let Node::SelectStmt(select) = query else { return false };
        let is_known = !self.found.opaque_inside && !self.found.changes_catalog;
        is_known && is_plain(select) && Reading::new(self, select).is_some_and(|mut reading| reading.settles(select))
    }
}

/// Reads one query over one table.
struct Reading<'r, 'a> {
    analyzer: &'r Analyzer<'a>,
    relation: Arc<Relation>,
    /// The name that the table's columns go by.
    name: String,
    /// What may fail, in one way and for whatever row: parameters that are cast by their number, moments by where they stand,
    /// below zero.
    can_fail: BTreeSet<i32>,
    /// How much of conditions was read.
    read: usize,
}

impl<'r, 'a> Reading<'r, 'a> {
    /// Over the table of a query, if it reads one that is stored, and nothing else.
    fn new(analyzer: &'r Analyzer<'a>, select: &SelectStmt) -> Option<Self> {
        let mut sources = select.from_clause().iter();
        let (Some(Node::RangeVar(table)), None) = (sources.next(), sources.next()) else { return None };
        let (alias, renamed) = tree::alias(table.alias());
        let relation = stored(analyzer, table).filter(|_| renamed.is_empty())?;
        let name = alias.map_or_else(|| relation.name.to_string(), String::from);
        Some(Self { analyzer, relation, name, can_fail: BTreeSet::new(), read: 0 })
    }

    fn settles(&mut self, select: &SelectStmt) -> bool {
        let is_bound = |limit: Node<'_>| matches!(limit, Node::None | Node::A_Const(_) | Node::ParamRef(_));
        is_bound(select.limit_count())
            && is_bound(select.limit_offset())
            && self.condition(select.where_clause())
            && (self.is_one_row(select) || self.is_in_order(select))
    }

    /// Whether a condition looks at nothing but columns and constants.
    fn condition(&mut self, condition: Node<'_>) -> bool {
        let mut nodes = vec![condition];
        while let Some(node) = nodes.pop() {
            let is_understood = self.is_short()
                && match node {
                    Node::None | Node::A_Const(_) => true,
                    Node::BoolExpr(_) => {
                        nodes.extend(tree::children(node));
                        true
                    }
                    Node::NodeList(list) => {
                        nodes.extend(list.iter());
                        true
                    }
                    Node::NullTest(test) => self.column_in(test.arg()).is_some(),
                    Node::BooleanTest(test) => self.column_in(test.arg()).is_some_and(|column| column.type_oid == BOOL),
                    Node::ColumnRef(column) => self.column(column).is_some_and(|column| column.type_oid == BOOL),
                    Node::A_Expr(expression) => self.comparison(expression),
                    _ => false,
                };
            if !is_understood {
                return false;
            }
        }
        true
    }

    /// A column that is compared with constants, by operators of PostgreSQL's own.
    fn comparison(&mut self, expression: &A_Expr) -> bool {
        let names = strings(expression.name());
        let operator = tree::qualified(&names).1;
        let (left, right) = (expression.lexpr(), expression.rexpr());
        let (column, values) = match (self.column_in(left), self.column_in(right)) {
            (Some(column), None) => (column.clone(), right),
            (None, Some(column)) if expression.kind == A_Expr_Kind::AEXPR_OP => (column.clone(), left),
            _ => return false,
        };
        if self.analyzer.resources.catalog.is_user_operator(operator) {
            return false;
        }
        // Texts of different lengths are not equal, which takes no look at them. Which is the lesser takes long for a long one.
        let tells_lesser = !TEXTS.contains(&column.type_oid);
        let compares = ["=", "<>"].contains(&operator) || tells_lesser && ["<", "<=", ">", ">="].contains(&operator);
        match expression.kind {
            A_Expr_Kind::AEXPR_OP
            | A_Expr_Kind::AEXPR_IN
            | A_Expr_Kind::AEXPR_DISTINCT
            | A_Expr_Kind::AEXPR_NOT_DISTINCT => compares && self.values(&column, values),
            A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL => {
                // How many there are in a list that is not written out is not known here.
                let resource = self.analyzer.resources.column(&self.relation, &column.name);
                let is_written_out = matches!(values, Node::A_ArrayExpr(_));
                compares && (is_written_out || is_classified(&resource)) && self.values(&column, values)
            }
            A_Expr_Kind::AEXPR_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN => tells_lesser && self.values(&column, values),
            _ => false,
        }
    }

    /// Whether all that a column is compared with are constants of its type, or parameters.
    fn values(&mut self, column: &ColumnInfo, values: Node<'_>) -> bool {
        let resource = self.analyzer.resources.column(&self.relation, &column.name);
        // One of a class is compared with nothing but what may be pseudonyms, of which there are so many.
        let is_looked_up = is_classified(&resource) && self.analyzer.form_and_room(&resource).is_some();
        if !is_looked_up && !self.is_compared(column) {
            return false;
        }
        let mut nodes = vec![values];
        while let Some(node) = nodes.pop() {
            let is_value = self.is_short()
                && match node {
                    Node::A_Const(_) => true,
                    Node::NodeList(list) => {
                        nodes.extend(list.iter());
                        true
                    }
                    Node::A_ArrayExpr(array) => {
                        let is_flat = array.elements().iter().all(|element| !matches!(element, Node::A_ArrayExpr(_)));
                        nodes.extend(array.elements().iter());
                        is_flat
                    }
                    // It may be of another type than the column, which is then cast to it.
                    Node::ParamRef(parameter) => {
                        is_looked_up || TAKEN_ON.contains(&column.type_oid) || self.fails_alone(parameter.number)
                    }
                    Node::TypeCast(cast) => {
                        if let Node::A_ArrayExpr(_) = cast.arg() {
                            nodes.push(cast.arg());
                        }
                        self.cast(cast)
                    }
                    Node::A_Expr(expression) => {
                        MOMENTS.contains(&column.type_oid)
                            && self.is_moment(expression)
                            && self.fails_alone(-1 - expression.location)
                    }
                    Node::FuncCall(call) => MOMENTS.contains(&column.type_oid) && self.is_now(call),
                    _ => false,
                };
            if !is_value {
                return false;
            }
        }
        true
    }

    /// A text or UUID, or a list of them. What is written out is read before anything runs.
    fn cast(&mut self, cast: &TypeCast) -> bool {
        let Some((form, _)) = cast.type_name().and_then(|name| self.analyzer.form_of(name)) else { return false };
        match cast.arg() {
            Node::A_Const(constant) => matches!(constant.val(), Some(ConstValue::String(_))),
            Node::A_ArrayExpr(_) => true,
            Node::ParamRef(parameter) => form == CandidateForm::Text || self.fails_alone(parameter.number),
            _ => false,
        }
    }

    /// A moment before or after now, such as `now() - interval '7 days'`: out of range, it is so for each row.
    fn is_moment(&self, expression: &A_Expr) -> bool {
        let is_interval = |cast: &TypeCast| {
            let name = cast.type_name().map(|name| tree::words(name.names())).unwrap_or_default();
            let is_written = matches!(cast.arg(), Node::A_Const(_));
            is_written && name.last() == Some(&"interval") && self.analyzer.is_own_type_named(&name)
        };
        let adds = |name: &str| ["+", "-"].contains(&name) && !self.analyzer.resources.catalog.is_user_operator(name);
        expression.kind == A_Expr_Kind::AEXPR_OP
            && matches!(strings(expression.name()).as_slice(), [name] if adds(name))
            && matches!(expression.lexpr(), Node::FuncCall(call) if self.is_now(call))
            && matches!(expression.rexpr(), Node::TypeCast(cast) if is_interval(cast))
    }

    fn is_now(&self, call: &FuncCall) -> bool {
        tree::function_name(call).1 == "now" && call.args().is_empty() && self.is_own(call)
    }

    /// Whether nothing else can fail, by which it would show what failed first.
    fn fails_alone(&mut self, what: i32) -> bool {
        self.can_fail.insert(what);
        self.can_fail.len() == 1
    }

    fn is_own(&self, call: &FuncCall) -> bool {
        let (schema, name) = tree::function_name(call);
        schema.is_none_or(|schema| schema == "pg_catalog")
            && self.analyzer.function_kind(schema, name) != Kind::User
            && call.agg_order().is_empty()
            && call.over().is_none()
            && !call.agg_within_group
    }

    /// Whether a query gives one row, of constants and of aggregates that are the same in whatever order their rows come.
    fn is_one_row(&mut self, select: &SelectStmt) -> bool {
        let mut has_aggregate = false;
        for target in select.target_list() {
            match target.val() {
                Node::A_Const(_) => {}
                Node::FuncCall(call) if self.aggregates(call) && self.condition(call.agg_filter()) => {
                    has_aggregate = true
                }
                _ => return false,
            }
        }
        has_aggregate && select.sort_clause().is_empty()
    }

    fn aggregates(&self, call: &FuncCall) -> bool {
        let column = match (call.args().first(), call.args().len()) {
            (Some(argument), 1) => self.column_in(argument),
            _ => None,
        };
        let is_of = |types: &[u32]| {
            column.is_some_and(|column| types.contains(&column.type_oid) && !column.folds && self.is_small(column))
        };
        self.is_own(call)
            && match tree::function_name(call).1 {
                "count" => call.agg_star || column.is_some() && !call.agg_distinct || is_of(&EXACT),
                "bool_and" | "bool_or" | "every" => is_of(&[BOOL]),
                // Of values that are equal but not the same it matters which one counts.
                "min" | "max" => is_of(&EXACT),
                "sum" | "avg" => !call.agg_distinct && is_of(&SUMMED),
                _ => false,
            }
    }

    /// Whether a query gives columns, and puts its rows in an order that is left to nothing: by what tells them apart.
    fn is_in_order(&self, select: &SelectStmt) -> bool {
        let is_shown = |value: Node<'_>| match value {
            Node::A_Const(_) => true,
            Node::ColumnRef(column) => expands(value) || self.column(column).is_some(),
            _ => false,
        };
        let sorts = |order: Node<'_>| {
            let column = self.column(sorted_by(order, select)?)?;
            let resource = self.analyzer.resources.column(&self.relation, &column.name);
            (self.is_compared(column) && !is_classified(&resource)).then_some(column.number)
        };
        let orders: Option<BTreeSet<i16>> = select
            .sort_clause()
            .iter()
            .map(|order| if order.use_op().is_empty() { sorts(order.node()) } else { None })
            .collect();
        // The keys of a table that others inherit from are not theirs.
        let is_whole = self.relation.kind == RelationKind::PartitionedTable
            || !self.analyzer.resources.catalog.has_children(&self.relation);
        let is_sorted = |sorted: &BTreeSet<i16>| {
            self.relation.keys.iter().any(|key| key.iter().all(|number| sorted.contains(number)))
        };
        let are_shown = select.target_list().iter().all(|target| is_shown(target.val()));
        is_whole && are_shown && orders.is_some_and(|sorted| is_sorted(&sorted))
    }

    /// Whether values of a column are compared without a failure, and soon.
    fn is_compared(&self, column: &ColumnInfo) -> bool {
        (EXACT.contains(&column.type_oid) || COMPARED.contains(&column.type_oid)) && self.is_small(column)
    }

    /// Whether no value of a column takes long to be looked at: a text that an index holds as it is has some kilobytes.
    fn is_small(&self, column: &ColumnInfo) -> bool {
        if column.type_oid == NUMERIC {
            // Its modifier has the precision in its upper half; without one it has any.
            return column.type_modifier >= 4 && (column.type_modifier - 4) >> 16 <= SMALL_DIGITS_MAX;
        }
        let chars = || self.analyzer.resources.catalog.chars_of(column.type_oid, column.type_modifier);
        !TEXTS.contains(&column.type_oid)
            || self.relation.keys.iter().flatten().any(|number| *number == column.number)
            || chars().is_some_and(|chars| chars <= SMALL_CHARS_MAX)
    }

    fn is_short(&mut self) -> bool {
        self.read += 1;
        self.read <= CONDITION_NODES_MAX
    }

    fn column_in(&self, node: Node<'_>) -> Option<&ColumnInfo> {
        match node {
            Node::ColumnRef(column) => self.column(column),
            _ => None,
        }
    }

    /// The column of the table that a name means.
    fn column(&self, column: &ColumnRef) -> Option<&ColumnInfo> {
        let names = strings(column.fields());
        let (source, name) = match names.as_slice() {
            [name] => (None, *name),
            [source, name] => (Some(*source), *name),
            _ => return None,
        };
        let is_its = names.len() == column.fields().len() && source.is_none_or(|source| source == self.name);
        self.relation.columns.iter().find(|info| is_its && *info.name == *name)
    }
}

/// The table that a name in FROM means, if its rows lie there as they are: what is computed where it is read can fail.
fn stored(analyzer: &Analyzer<'_>, table: &RangeVar) -> Option<Arc<Relation>> {
    let (schema, name) = tree::relation_name(table);
    let mut relations = analyzer.relations(schema, name).into_iter();
    let (Some(relation), None) = (relations.next(), relations.next()) else { return None };
    let is_table = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
    let is_stored = is_table && !relation.quotes && !relation.columns.iter().any(|column| column.generated);
    (is_stored && !analyzer.is_doubted(name)).then_some(relation)
}

/// Whether a query stands by itself and gives each row that it finds.
fn is_plain(select: &SelectStmt) -> bool {
    select.op == SetOperation::SETOP_NONE
        && select.with_clause().is_none()
        && select.values_lists().is_empty()
        && select.group_clause().is_empty()
        && select.distinct_clause().is_empty()
        && select.window_clause().is_empty()
        && select.locking_clause().is_empty()
        && select.into_clause().is_none()
        && matches!(select.having_clause(), Node::None)
}

/// The column that an element of ORDER BY means, if it is a column as it stands.
fn sorted_by<'t>(order: Node<'t>, select: &'t SelectStmt) -> Option<&'t ColumnRef> {
    let values = select.target_list().iter().map(|target| target.val());
    let meant = if let Some(place) = position(order) {
        let value = values.clone().nth(place)?;
        // What stands behind a star is in no place that is known.
        if values.take(place).any(expands) {
            return None;
        }
        value
    } else if let Some(name) = bare_name(order) {
        // One whose name is not followed may be meant.
        let is_meant = |other: Option<&str>| other.is_none_or(|other| other == name);
        let mut named = select.target_list().iter().filter(|target| is_meant(output_name(target)));
        named.next().map_or(order, |target| target.val())
    } else {
        order
    };
    match meant {
        Node::ColumnRef(column) => Some(column),
        _ => None,
    }
}
