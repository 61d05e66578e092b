//! The parser's trees: making them, counting them, and the strings in them.
//!
//! Knows the parser, which nothing outside `analysis` names. Must not know what the catalog holds or what a statement
//! means.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(not(parser_leaves_stderr))]
use std::sync::{Mutex, PoisonError};

use pg_raw_parse::list::{CastNodeList, NodeList};
use pg_raw_parse::nodes::{Alias, FuncCall, RangeVar, String, TypeName};
use pg_raw_parse::walk::{Recurse, walk_manual};
use pg_raw_parse::{Node, ParseResult};

use super::Misunderstood;
use crate::catalog::is_temporary_schema;

/// The longest statement that is read, in bytes.
const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many nodes a statement's tree may have.
const NODES_MAX: usize = 1_000_000;

/// This parser redirects the process's standard error while it works, so that two at once would lose it for good. How it
/// is built otherwise, `.cargo/config.toml` says.
#[cfg(not(parser_leaves_stderr))]
static PARSER: Mutex<()> = Mutex::new(());

/// How many `/*` a statement may have, and how many signs of operators in a row: the lexer goes back over each of them,
/// so that its time grows with the square of their number.
const COMMENTS_MAX: usize = 256;
const OPERATOR_BYTES_MAX: usize = 512;
/// How many comments may follow each other with nothing between: the parser calls itself for each.
const LINE_COMMENTS_MAX: usize = 2048;

/// What PostgreSQL takes for a space, and Rust does not.
const VERTICAL_TAB: u8 = 0x0b;

fn is_slow_to_lex(sql: &[u8]) -> bool {
    let (mut comments, mut run) = (0, 0);
    let mut before = 0;
    for &byte in sql {
        comments += usize::from(before == b'/' && byte == b'*');
        run = if b"~!@#^&|`?+*/%<>=".contains(&byte) || byte == b'-' && before != b'-' { run + 1 } else { 0 };
        if comments > COMMENTS_MAX || run > OPERATOR_BYTES_MAX {
            return true;
        }
        before = byte;
    }
    has_long_run_of_comments(sql, comments > 0)
}

/// Whether more `--` follow each other than the parser can bear. Those in a constant count too, and so does what stands between
/// them where there are comments of the other kind, for it may be in one.
fn has_long_run_of_comments(sql: &[u8], has_others: bool) -> bool {
    let mut run = 0;
    for line in sql.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let begins = line.windows(2).position(|pair| pair == b"--");
        let has_text = line
            .get(..begins.unwrap_or(line.len()))
            .unwrap_or_default()
            .iter()
            .any(|byte| !byte.is_ascii_whitespace() && *byte != VERTICAL_TAB);
        if has_text && !has_others {
            run = 0;
        }
        run += usize::from(begins.is_some());
        if run > LINE_COMMENTS_MAX {
            return true;
        }
    }
    false
}

/// Reads SQL text.
pub(super) fn parse(sql: &str) -> Result<ParseResult, Misunderstood> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(Misunderstood::new("the statement is too long to be read", "Send it in parts"));
    }
    if is_slow_to_lex(sql.as_bytes()) {
        let message = "the statement has too many comments or operator signs in a row to be read";
        return Err(Misunderstood::new(message, "Leave them out"));
    }
    #[cfg(not(parser_leaves_stderr))]
    let _turn = PARSER.lock().unwrap_or_else(PoisonError::into_inner);
    pg_raw_parse::parse(sql).map_err(|error| {
        let text = error.to_string();
        let text = text.strip_prefix("Invalid statement: ").unwrap_or(&text);
        Misunderstood::new(text, "Gatehouse reads the SQL of PostgreSQL; check the statement's syntax")
    })
}

/// Runs a reading of a tree. The parser's crate panics when a node is not of the type that it expects, which then
/// means that the statement was not understood.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, Misunderstood>) -> Result<T, Misunderstood> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Misunderstood::new("the statement could not be read", "This is a defect of Gatehouse: please report it"))
    })
}

/// The nodes of a tree that must not be overlooked, by address: what names relations, columns and functions, and
/// queries. What is left when the reading is done was overlooked.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pending: HashSet<usize>,
    seen: usize,
    /// The names of types.
    types: Vec<Vec<std::string::String>>,
    /// Where each parameter stands, from 0.
    parameters: HashMap<usize, HashSet<i32>>,
}

impl Inventory {
    /// Adds what is below a node and the node itself.
    pub(super) fn take(&mut self, root: Node<'_>) -> Result<(), Misunderstood> {
        let mut nodes = vec![root];
        while let Some(node) = nodes.pop() {
            self.seen += 1;
            if self.seen > NODES_MAX {
                return Err(Misunderstood::new("the statement is too large to be understood", "Send it in parts"));
            }
            if let Some(address) = noted(node) {
                self.pending.insert(address);
            }
            if let Node::ParamRef(parameter) = node
                && let Some(place) = usize::try_from(parameter.number).ok().and_then(|number| number.checked_sub(1))
            {
                self.parameters.entry(place).or_default().insert(parameter.location);
            }
            if let Some(name) = type_of(node) {
                self.types.push(name.names().iter().filter_map(|part| part.sval()).map(Into::into).collect());
            }
            if has_children(node) {
                walk_manual::<()>(node, |child| {
                    nodes.push(child);
                    Recurse::no()
                });
            }
        }
        Ok(())
    }

    /// Strikes out a node.
    pub(super) fn strike(&mut self, node: Node<'_>) {
        if let Some(address) = noted(node) {
            self.pending.remove(&address);
        }
    }

    /// The names of the types that are named.
    pub(super) fn types(&mut self) -> Vec<Vec<std::string::String>> {
        std::mem::take(&mut self.types)
    }

    /// Where each parameter stands.
    pub(super) fn parameters(&mut self) -> HashMap<usize, HashSet<i32>> {
        std::mem::take(&mut self.parameters)
    }

    /// True when nothing was overlooked.
    pub(super) fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }
}

/// The type that a node names.
fn type_of(node: Node<'_>) -> Option<&TypeName> {
    match node {
        Node::TypeName(name) => Some(name),
        Node::JsonOutput(output) => output.type_name(),
        _ => None,
    }
}

fn noted(node: Node<'_>) -> Option<usize> {
    Some(match node {
        Node::RangeVar(node) => std::ptr::from_ref(node).addr(),
        Node::ColumnRef(node) => std::ptr::from_ref(node).addr(),
        Node::FuncCall(node) => std::ptr::from_ref(node).addr(),
        Node::SubLink(node) => std::ptr::from_ref(node).addr(),
        Node::SelectStmt(node) => std::ptr::from_ref(node).addr(),
        Node::InsertStmt(node) => std::ptr::from_ref(node).addr(),
        Node::UpdateStmt(node) => std::ptr::from_ref(node).addr(),
        Node::DeleteStmt(node) => std::ptr::from_ref(node).addr(),
        Node::MergeStmt(node) => std::ptr::from_ref(node).addr(),
        _ => return None,
    })
}

/// The nodes whose children the parser's walk knows, but for type names and locking clauses: what looks like a column
/// or a relation there is none. The walk must not be asked of any other node, nor of an empty list.
fn has_children(node: Node<'_>) -> bool {
    match node {
        Node::NodeList(list) => !list.is_empty(),
        Node::GroupingFunc(_)
        | Node::SubLink(_)
        | Node::CaseExpr(_)
        | Node::RowExpr(_)
        | Node::CoalesceExpr(_)
        | Node::MinMaxExpr(_)
        | Node::XmlExpr(_)
        | Node::JsonValueExpr(_)
        | Node::JsonParseExpr(_)
        | Node::JsonScalarExpr(_)
        | Node::JsonSerializeExpr(_)
        | Node::JsonConstructorExpr(_)
        | Node::JsonIsPredicate(_)
        | Node::JsonArgument(_)
        | Node::JsonFuncExpr(_)
        | Node::JsonBehavior(_)
        | Node::JsonTable(_)
        | Node::JsonTableColumn(_)
        | Node::JsonTablePathSpec(_)
        | Node::NullTest(_)
        | Node::BooleanTest(_)
        | Node::JoinExpr(_)
        | Node::IntoClause(_)
        | Node::InsertStmt(_)
        | Node::DeleteStmt(_)
        | Node::UpdateStmt(_)
        | Node::MergeStmt(_)
        | Node::MergeWhenClause(_)
        | Node::ReturningClause(_)
        | Node::SelectStmt(_)
        | Node::A_Expr(_)
        | Node::BoolExpr(_)
        | Node::FuncCall(_)
        | Node::NamedArgExpr(_)
        | Node::A_Indices(_)
        | Node::A_Indirection(_)
        | Node::A_ArrayExpr(_)
        | Node::ResTarget(_)
        | Node::MultiAssignRef(_)
        | Node::TypeCast(_)
        | Node::CollateClause(_)
        | Node::SortBy(_)
        | Node::WindowDef(_)
        | Node::RangeSubselect(_)
        | Node::RangeFunction(_)
        | Node::RangeTableSample(_)
        | Node::RangeTableFunc(_)
        | Node::RangeTableFuncCol(_)
        | Node::ColumnDef(_)
        | Node::IndexElem(_)
        | Node::GroupingSet(_)
        | Node::XmlSerialize(_)
        | Node::WithClause(_)
        | Node::InferClause(_)
        | Node::OnConflictClause(_)
        | Node::CommonTableExpr(_)
        | Node::JsonKeyValue(_)
        | Node::JsonObjectConstructor(_)
        | Node::JsonArrayConstructor(_)
        | Node::JsonAggConstructor(_)
        | Node::JsonObjectAgg(_)
        | Node::JsonArrayAgg(_)
        | Node::JsonArrayQueryConstructor(_) => true,
        _ => false,
    }
}

/// Whether there is a query inside of an expression.
pub(super) fn holds_query(node: Node<'_>) -> bool {
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        if matches!(node, Node::SubLink(_)) {
            return true;
        }
        nodes.extend(children(node));
    }
    false
}

/// The children of a node, for a reading that only wants names.
pub(super) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut children = Vec::new();
    if has_children(node) {
        walk_manual::<()>(node, |child| {
            children.push(child);
            Recurse::no()
        });
    }
    children
}

/// The strings of a list of nothing else.
pub(super) fn words(list: &CastNodeList<String>) -> Vec<&str> {
    list.iter().filter_map(|word| word.sval()).collect()
}

/// The strings of a list.
pub(super) fn strings(list: &NodeList) -> Vec<&str> {
    list.iter().filter_map(Node::as_str).collect()
}

/// A name of one or two parts, or of three with the database before them: the schema, if written, and the name.
pub(super) fn qualified<'t>(parts: &[&'t str]) -> (Option<&'t str>, &'t str) {
    match parts {
        [] => (None, ""),
        [name] => (None, *name),
        [.., schema, name] => (Some(*schema), *name),
    }
}

/// The schema and name of a function.
pub(super) fn function_name(call: &FuncCall) -> (Option<&str>, &str) {
    qualified(&strings(call.funcname()))
}

/// True if a relation lives, or is to live, in the session's temporary schema.
pub(super) fn is_temporary(relation: &RangeVar) -> bool {
    relation.relpersistence == b't' as std::ffi::c_char || relation.schemaname().is_some_and(is_temporary_schema)
}

/// The schema and name of a relation.
pub(super) fn relation_name(relation: &RangeVar) -> (Option<&str>, &str) {
    (relation.schemaname(), relation.relname().unwrap_or_default())
}

/// The name and column names of an alias.
pub(super) fn alias(alias: Option<&Alias>) -> (Option<&str>, Vec<&str>) {
    alias.map_or((None, Vec::new()), |alias| (alias.aliasname(), strings(alias.colnames())))
}
