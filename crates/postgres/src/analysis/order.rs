//! Whether the order in which a query finds its rows shows in what it gives.
//!
//! Knows the trees of queries, and what tells the rows of tables apart. What is not understood here may show the order. So may
//! whatever can fail: which row fails first would tell.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{A_Expr, ColumnRef, FuncCall, RangeVar, SelectStmt, SubLink, TypeCast, WithClause};
use pg_raw_parse::raw::{A_Expr_Kind, SetOperation, SubLinkType};
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

/// Aggregates that give the same in whatever order their rows come, of some types at least.
const AGGREGATES: [&str; 8] = ["avg", "bool_and", "bool_or", "count", "every", "max", "min", "sum"];
/// Functions of one text that never fail.
const OF_TEXTS: [&str; 7] = ["btrim", "char_length", "length", "lower", "ltrim", "rtrim", "upper"];
/// Types of which two values are equal only if they are the same: int8, int2, int4, text, oid, date, varchar, timestamp, timestamptz
/// and uuid.
const EXACT: [u32; 10] = [20, 21, 23, 25, 26, 1082, 1043, 1114, 1184, 2950];
/// Types of which a sum is the same in whatever order it is made: int8, int2, int4 and numeric.
const SUMMED: [u32; 4] = [20, 21, 23, 1700];

impl Analyzer<'_> {
    /// Whether a statement that was read gives the same in whatever order it finds its rows.
    pub(super) fn is_settled(&self, statement: Node<'_>) -> bool {
        // What is copied to the client comes as the query gives it.
        let query = if let Node::CopyStmt(copy) = statement { copy.query() } else { statement };
        let Node::SelectStmt(select) = query else { return false };
        let is_known = !self.found.opaque_inside && !self.found.changes_catalog;
        is_known && Reading { analyzer: self, named: HashSet::new(), can_fail: BTreeSet::new() }.settles(select)
    }
}

/// A table in FROM, under the name that its columns go by.
struct Table<'t> {
    name: &'t str,
    relation: Arc<Relation>,
}

/// Reads one statement.
struct Reading<'r, 'a> {
    analyzer: &'r Analyzer<'a>,
    /// The names of WITH queries.
    named: HashSet<String>,
    /// What may fail, the same for each row: parameters that are cast by their number, moments by where they stand, below zero.
    can_fail: BTreeSet<i32>,
}

impl Reading<'_, '_> {
    /// Of the outermost query, whose rows are shown.
    fn settles(&mut self, select: &SelectStmt) -> bool {
        let limits = vec![select.limit_count(), select.limit_offset()];
        is_plain(select)
            && self.clauses(select)
            && self.expressions(limits, &[])
            && (is_one_row(select) || self.is_in_order(select))
    }

    /// Of a query in it: with a limit, it would be the first rows that count.
    fn query(&mut self, query: Node<'_>) -> bool {
        let Node::SelectStmt(select) = query else { return false };
        let limits = [select.limit_count(), select.limit_offset()];
        is_plain(select) && limits.iter().all(|limit| matches!(limit, Node::None)) && self.clauses(select)
    }

    fn clauses(&mut self, select: &SelectStmt) -> bool {
        if select.with_clause().is_some_and(|clause| !self.with(clause)) {
            return false;
        }
        let tables = self.tables(select.from_clause()).unwrap_or_default();
        let mut nodes = vec![select.where_clause(), select.having_clause()];
        nodes.extend(select.target_list().iter().map(|target| target.val()));
        nodes.extend(select.from_clause());
        nodes.extend(select.values_lists());
        for order in select.sort_clause() {
            if !order.use_op().is_empty() {
                return false;
            }
            nodes.push(order.node());
        }
        self.expressions(nodes, &tables)
    }

    fn with(&mut self, clause: &WithClause) -> bool {
        !clause.recursive
            && clause.ctes().iter().all(|query| {
                let is_understood = self.query(query.ctequery());
                self.named.extend(query.ctename().map(String::from));
                is_understood
            })
    }

    /// Whether none of these fails, or is anything else for another order. The tables are those of their query, as far as it has
    /// nothing but tables.
    fn expressions(&mut self, mut nodes: Vec<Node<'_>>, tables: &[Table<'_>]) -> bool {
        while let Some(node) = nodes.pop() {
            let is_understood = match node {
                Node::None | Node::A_Const(_) | Node::ParamRef(_) | Node::ColumnRef(_) | Node::SQLValueFunction(_) => {
                    true
                }
                Node::RangeVar(table) => self.is_of_tables(table),
                Node::RangeSubselect(subselect) => self.query(subselect.subquery()),
                Node::TypeCast(cast) => self.cast(cast),
                Node::JoinExpr(join) => {
                    nodes.extend([join.larg(), join.rarg(), join.quals()]);
                    true
                }
                Node::SubLink(link) => {
                    nodes.push(link.testexpr());
                    tests(link) && self.query(link.subselect())
                }
                Node::FuncCall(call) => {
                    nodes.extend(call.args());
                    nodes.push(call.agg_filter());
                    self.call(call, tables)
                }
                Node::A_Expr(expression) if self.is_moment(expression) => self.fails_alone(-1 - expression.location),
                Node::A_Expr(expression) => {
                    nodes.extend([expression.lexpr(), expression.rexpr()]);
                    compares(expression)
                }
                Node::NodeList(_)
                | Node::BoolExpr(_)
                | Node::NullTest(_)
                | Node::BooleanTest(_)
                | Node::CaseExpr(_)
                | Node::CoalesceExpr(_)
                | Node::MinMaxExpr(_)
                | Node::A_ArrayExpr(_) => {
                    nodes.extend(tree::children(node));
                    true
                }
                _ => false,
            };
            if !is_understood {
                return false;
            }
        }
        true
    }

    /// Whether a name in FROM means rows as they are stored, or a WITH query.
    fn is_of_tables(&self, table: &RangeVar) -> bool {
        let (schema, name) = tree::relation_name(table);
        let relations = self.analyzer.relations(schema, name);
        let is_stored = |relation: &Arc<Relation>| {
            let is_table = matches!(relation.kind, RelationKind::Table | RelationKind::PartitionedTable);
            // What is computed where it is read can fail.
            is_table && !relation.quotes && !relation.columns.iter().any(|column| column.generated)
        };
        (relations.len() == 1 || self.is_with_query(schema, name))
            && !self.analyzer.is_doubted(name)
            && relations.iter().all(is_stored)
    }

    fn is_with_query(&self, schema: Option<&str>, name: &str) -> bool {
        schema.is_none() && self.named.contains(name)
    }

    /// A cast of what stands there once fails before any row is looked at, or of all rows alike. So does that of a parameter, but
    /// which of several fails first would tell.
    fn cast(&mut self, cast: &TypeCast) -> bool {
        let Some(name) = cast.type_name() else { return false };
        let is_text = self.analyzer.form_of(name) == Some((CandidateForm::Text, false));
        let is_own = self.analyzer.is_own_type_named(&tree::words(name.names()));
        match cast.arg() {
            Node::A_Const(_) => is_own,
            Node::ColumnRef(_) => is_text,
            Node::ParamRef(parameter) => is_text || is_own && self.fails_alone(parameter.number),
            Node::A_ArrayExpr(array) => {
                is_own
                    && array.elements().iter().all(|element| match element {
                        Node::A_Const(_) => true,
                        Node::ParamRef(parameter) => self.fails_alone(parameter.number),
                        _ => false,
                    })
            }
            _ => false,
        }
    }

    /// Whether an expression is a moment before or after now, such as `now() - interval '7 days'`: out of range, it is so for each row.
    fn is_moment(&self, expression: &A_Expr) -> bool {
        let is_now = match expression.lexpr() {
            Node::FuncCall(call) => call.args().is_empty() && self.call(call, &[]),
            Node::SQLValueFunction(_) => true,
            _ => false,
        };
        let is_interval = |cast: &TypeCast| {
            let name = cast.type_name().map(|name| tree::words(name.names())).unwrap_or_default();
            name.last() == Some(&"interval") && self.analyzer.is_own_type_named(&name)
        };
        let adds = |name: &str| ["+", "-"].contains(&name) && !self.analyzer.resources.catalog.is_user_operator(name);
        expression.kind == A_Expr_Kind::AEXPR_OP
            && matches!(strings(expression.name()).as_slice(), [name] if adds(name))
            && is_now
            && matches!(expression.rexpr(), Node::TypeCast(cast) if is_interval(cast) && matches!(cast.arg(), Node::A_Const(_)))
    }

    /// Whether nothing else can fail, by which it would show what failed first.
    fn fails_alone(&mut self, what: i32) -> bool {
        self.can_fail.insert(what);
        self.can_fail.len() == 1
    }

    /// A call that never fails; of an aggregate, one for which the order of rows is all the same.
    fn call(&self, call: &FuncCall, tables: &[Table<'_>]) -> bool {
        let (schema, name) = tree::function_name(call);
        let is_own = schema.is_none_or(|schema| schema == "pg_catalog")
            && self.analyzer.function_kind(schema, name) != Kind::User
            && call.agg_order().is_empty()
            && call.over().is_none()
            && !call.agg_within_group;
        let is_of = |types: &[u32]| match (call.args().first(), call.args().len()) {
            (Some(Node::ColumnRef(column)), 1) => {
                column_of(column, tables).is_some_and(|(_, info)| types.contains(&info.type_oid) && !info.folds)
            }
            _ => false,
        };
        is_own
            && match name {
                "count" | "bool_and" | "bool_or" | "every" | "now" => true,
                "min" | "max" => is_of(&EXACT),
                // Of numbers that are equal but written in another way it matters which one counts.
                "sum" | "avg" => !call.agg_distinct && is_of(&SUMMED),
                name => OF_TEXTS.contains(&name) && call.args().len() == 1,
            }
    }

    /// The tables of FROM, if there is nothing else in it.
    fn tables<'t>(&self, from: &'t NodeList) -> Option<Vec<Table<'t>>> {
        let (mut tables, mut nodes) = (Vec::new(), from.iter().collect::<Vec<Node<'t>>>());
        while let Some(node) = nodes.pop() {
            match node {
                Node::RangeVar(table) => {
                    let (schema, name) = tree::relation_name(table);
                    let (alias, renamed) = tree::alias(table.alias());
                    let mut relations = self.analyzer.relations(schema, name).into_iter();
                    let (Some(relation), None) = (relations.next(), relations.next()) else { return None };
                    let table = Table { name: alias.unwrap_or(name), relation };
                    let is_twice = tables.iter().any(|other: &Table<'t>| other.name == table.name);
                    if is_twice || !renamed.is_empty() || self.is_with_query(schema, name) {
                        return None;
                    }
                    tables.push(table);
                }
                Node::JoinExpr(join) if join.alias().is_none() && join.join_using_alias().is_none() => {
                    nodes.extend([join.larg(), join.rarg()]);
                }
                _ => return None,
            }
        }
        Some(tables)
    }

    /// Whether the rows of a query are put in one order that is left to nothing: by what tells the rows of each of its tables apart.
    fn is_in_order(&self, select: &SelectStmt) -> bool {
        let Some(tables) = self.tables(select.from_clause()) else { return false };
        let catalog = self.analyzer.resources.catalog;
        let sorts = |order: Node<'_>| {
            let (table, column) = column_of(sorted_by(order, select)?, &tables)?;
            let is_exact = EXACT.contains(&column.type_oid) && !column.folds;
            let resource = self.analyzer.resources.column(&table.relation, &column.name);
            (is_exact && !is_classified(&resource)).then_some((table.name, column.number))
        };
        let sorted: BTreeSet<(&str, i16)> =
            select.sort_clause().iter().filter_map(|order| sorts(order.node())).collect();
        let is_told_apart = |table: &Table<'_>| {
            // The keys of a table that others inherit from are not theirs.
            let is_whole =
                table.relation.kind == RelationKind::PartitionedTable || !catalog.has_children(&table.relation);
            let is_sorted_by = |key: &Vec<i16>| key.iter().all(|number| sorted.contains(&(table.name, *number)));
            is_whole && table.relation.keys.iter().any(is_sorted_by)
        };
        !tables.is_empty() && tables.iter().all(is_told_apart)
    }
}

/// Whether a query stands by itself and gives each row that it finds, as it is.
fn is_plain(select: &SelectStmt) -> bool {
    select.op == SetOperation::SETOP_NONE
        && select.group_clause().is_empty()
        && select.distinct_clause().is_empty()
        && select.window_clause().is_empty()
        && select.locking_clause().is_empty()
        && select.into_clause().is_none()
}

/// Whether a query without groups gives one row, of aggregates and constants.
fn is_one_row(select: &SelectStmt) -> bool {
    let is_aggregate = |node: Node<'_>| match node {
        Node::FuncCall(call) => AGGREGATES.contains(&tree::function_name(call).1),
        _ => false,
    };
    let mut values = select.target_list().iter().map(|target| target.val());
    let are_known = values.clone().all(|value| is_aggregate(value) || matches!(value, Node::A_Const(_)));
    are_known && values.any(is_aggregate)
}

/// Whether a subquery is only asked whether it has a row, or a row that is equal.
fn tests(link: &SubLink) -> bool {
    match link.sub_link_type {
        SubLinkType::EXISTS_SUBLINK => true,
        SubLinkType::ANY_SUBLINK => link.oper_name().is_empty(),
        _ => false,
    }
}

/// Whether an operator compares, and so never fails.
fn compares(expression: &A_Expr) -> bool {
    let names = strings(expression.name());
    match expression.kind {
        A_Expr_Kind::AEXPR_OP | A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL | A_Expr_Kind::AEXPR_IN => {
            ["=", "<>", "<", "<=", ">", ">="].contains(&tree::qualified(&names).1)
        }
        A_Expr_Kind::AEXPR_DISTINCT
        | A_Expr_Kind::AEXPR_NOT_DISTINCT
        | A_Expr_Kind::AEXPR_NULLIF
        | A_Expr_Kind::AEXPR_BETWEEN
        | A_Expr_Kind::AEXPR_NOT_BETWEEN
        | A_Expr_Kind::AEXPR_BETWEEN_SYM
        | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => true,
        // A pattern fails where it ends in its escape sign.
        A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE => match expression.rexpr() {
            Node::A_Const(pattern) => matches!(pattern.val(), Some(ConstValue::String(text)) if !text.contains('\\')),
            _ => false,
        },
        _ => false,
    }
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

/// The column of a table that a name means.
fn column_of<'t>(column: &ColumnRef, tables: &'t [Table<'t>]) -> Option<(&'t Table<'t>, &'t ColumnInfo)> {
    let names = strings(column.fields());
    let (source, name) = match names.as_slice() {
        [name] => (None, *name),
        [source, name] => (Some(*source), *name),
        _ => return None,
    };
    if names.len() != column.fields().len() {
        return None;
    }
    let info = |table: &'t Table<'t>| {
        let is_named = source.is_none_or(|source| source == table.name);
        table.relation.columns.iter().find(|info| is_named && *info.name == *name).map(|info| (table, info))
    };
    let mut found = tables.iter().filter_map(info);
    match (found.next(), found.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
