//! What a condition comes to over the rows that it is asked of, as far as it shows: whether it leaves any row alone.
//!
//! Knows three-valued logic and what is written out. Must not know relations, or values that are in them.

use std::cmp::Ordering;

use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    A_Const, A_Expr, BoolExpr, BooleanTest, CoalesceExpr, ColumnRef, SelectStmt, SubLink, TypeName,
};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, BoolTestType, NullTestType, SetOperation, SubLinkType};
use pg_raw_parse::{ConstValue, Node};

use super::tree::{self, strings};

/// How deep a condition is read; what is deeper counts as the same for every row, and two values that differ only deeper
/// as one.
const CONDITION_DEPTH_MAX: usize = 64;
/// With how many parts after it a part of an AND or OR is compared.
const NEIGHBOURS_MAX: usize = 16;

/// Whether every row fulfils a condition, or all do or none by what has nothing to do with them. `never_null` says of which columns
/// that is so.
pub(super) fn leaves_no_row_alone(condition: Node<'_>, never_null: &dyn Fn(&str) -> bool) -> bool {
    // Clients may set how NULL compares, and the more dangerous reading counts.
    [false, true].into_iter().any(|null_equals| {
        let reading = Reading { never_null, null_equals };
        let truth = reading.truth(Part::of(condition), CONDITION_DEPTH_MAX);
        matches!(truth, Truth::Always | Truth::Given | Truth::Alike)
    })
}

/// What a condition comes to, over the rows that it is asked of. Rows that have NULL where it compares are left out of
/// account: what is said of every row holds for all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// True for every row.
    Always,
    /// False for every row.
    Never,
    /// NULL for every row.
    Null,
    /// The same for every row, as a parameter says.
    Given,
    /// The same for every row; which is not known.
    Alike,
    /// It depends on the row.
    Rows,
}

impl Truth {
    fn certain(is_true: bool) -> Self {
        if is_true { Self::Always } else { Self::Never }
    }

    fn known(self) -> Option<bool> {
        match self {
            Self::Always => Some(true),
            Self::Never => Some(false),
            Self::Null | Self::Given | Self::Alike | Self::Rows => None,
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            Self::Null | Self::Given | Self::Alike | Self::Rows => self,
        }
    }

    fn and(self, other: Self) -> Self {
        let order = [Self::Never, Self::Rows, Self::Given, Self::Alike, Self::Null];
        order.into_iter().find(|truth| [self, other].contains(truth)).unwrap_or(Self::Always)
    }

    /// A filter that a parameter may turn off still depends on the row. What else is the same for every row may well be
    /// true, and then the other does not matter.
    fn or(self, other: Self) -> Self {
        let order = [Self::Always, Self::Alike, Self::Rows, Self::Given, Self::Null];
        order.into_iter().find(|truth| [self, other].contains(truth)).unwrap_or(Self::Never)
    }
}

/// True if all are, as far as they are known.
fn all(truths: impl IntoIterator<Item = Option<Truth>>) -> Option<Truth> {
    let mut all = Some(Truth::Always);
    for truth in truths {
        if truth == Some(Truth::Never) {
            return truth;
        }
        all = all.zip(truth).map(|(one, other)| one.and(other));
    }
    all
}

/// True if any is, as far as they are known.
fn any(truths: impl IntoIterator<Item = Option<Truth>>) -> Option<Truth> {
    let mut any = Some(Truth::Never);
    for truth in truths {
        if truth == Some(Truth::Always) {
            return truth;
        }
        any = any.zip(truth).map(|(one, other)| one.or(other));
    }
    any
}

/// A condition inside of another.
#[derive(Clone, Copy)]
struct Part<'t> {
    node: Node<'t>,
    negated: bool,
}

impl<'t> Part<'t> {
    fn of(node: Node<'t>) -> Self {
        Self { node, negated: false }
    }
}

/// How conditions are read.
struct Reading<'a> {
    /// Whether a column of this name is never NULL.
    never_null: &'a dyn Fn(&str) -> bool,
    /// Whether `= NULL` asks for NULL, as it does under `transform_null_equals`.
    null_equals: bool,
}

impl Reading<'_> {
    fn truth(&self, part: Part<'_>, depth: usize) -> Truth {
        let Some(depth) = depth.checked_sub(1) else {
            return Truth::Alike;
        };
        match part.node {
            Node::BoolExpr(expression) if expression.boolop == BoolExprType::NOT_EXPR => {
                let node = expression.args().iter().next().unwrap_or(Node::None);
                self.truth(Part { node, negated: !part.negated }, depth)
            }
            Node::BoolExpr(expression) => self.joined(part, is_or(expression, part.negated), depth),
            node => {
                // Whether a filter is on may hang on a parameter; a parameter alone is no filter.
                let other = if is_bare(node) { Truth::Alike } else { unresolved(node) };
                let truth = self.single(node, depth).unwrap_or(other);
                if part.negated { truth.negated() } else { truth }
            }
        }
    }

    /// Of an AND or OR.
    fn joined(&self, whole: Part<'_>, is_or: bool, depth: usize) -> Truth {
        let parts = parts_of(whole, is_or);
        let truths = parts.iter().map(|part| self.truth(*part, depth));
        let joined = if is_or { truths.fold(Truth::Never, Truth::or) } else { truths.fold(Truth::Always, Truth::and) };
        let is_open = matches!(joined, Truth::Rows | Truth::Given | Truth::Alike);
        // Every row fulfils one of the parts, or fails one.
        if is_open && exhausts(&parts, !is_or) { Truth::certain(is_or) } else { joined }
    }

    fn single(&self, node: Node<'_>, depth: usize) -> Option<Truth> {
        match node {
            Node::NullTest(test) => Some(self.null_test(test.arg(), test.nulltesttype == NullTestType::IS_NULL)),
            Node::BooleanTest(test) => self.boolean_test(test, depth),
            Node::A_Expr(expression) => self.operation(expression, depth),
            Node::SubLink(link) => self.subquery(link, depth),
            Node::CoalesceExpr(expression) => self.coalesced(expression, depth),
            Node::TypeCast(cast) if is_condition(cast.arg()) => Some(self.truth(Part::of(cast.arg()), depth)),
            Node::A_Const(_) | Node::TypeCast(_) => match constant(node)? {
                Constant::Null => Some(Truth::Null),
                Constant::Boolean(value) => Some(Truth::certain(value)),
                Constant::Text(text) => boolean(text).map(Truth::certain),
                Constant::Integer(_) | Constant::Number(_) => None,
            },
            _ => None,
        }
    }

    fn operation(&self, expression: &A_Expr, depth: usize) -> Option<Truth> {
        let name = operator_name(expression);
        let (left, right) = (expression.lexpr(), expression.rexpr());
        match expression.kind {
            A_Expr_Kind::AEXPR_OP => self.operator(name, left, right, depth),
            A_Expr_Kind::AEXPR_DISTINCT => self.distinct(left, right, depth),
            A_Expr_Kind::AEXPR_NOT_DISTINCT => self.distinct(left, right, depth).map(Truth::negated),
            A_Expr_Kind::AEXPR_IN | A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL => {
                membership(expression.kind, name, left, right)
            }
            A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE => matching(name, left, right),
            A_Expr_Kind::AEXPR_SIMILAR => matching(if name.starts_with('!') { "!~~" } else { "~~" }, left, right),
            A_Expr_Kind::AEXPR_BETWEEN
            | A_Expr_Kind::AEXPR_NOT_BETWEEN
            | A_Expr_Kind::AEXPR_BETWEEN_SYM
            | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => between(expression.kind, left, right),
            _ => None,
        }
    }

    fn operator(&self, name: &str, left: Node<'_>, right: Node<'_>, depth: usize) -> Option<Truth> {
        let (left, right) = (value_of(left), value_of(right));
        if self.null_equals && name == "=" && (is_null(left) || is_null(right)) {
            return Some(self.null_test(if is_null(left) { right } else { left }, true));
        }
        let Some(accepted) = Standing::accepted_by(name) else {
            return matching(name, left, right);
        };
        if !is_condition(left) && !is_condition(right) {
            return compare(accepted, left, right);
        }
        let (one, other) = (self.truth(Part::of(left), depth), self.truth(Part::of(right), depth));
        compare_truths(accepted, one, other).or_else(|| compare(accepted, left, right))
    }

    /// `IS DISTINCT FROM`.
    fn distinct(&self, left: Node<'_>, right: Node<'_>, depth: usize) -> Option<Truth> {
        let (left, right) = (value_of(left), value_of(right));
        if is_null(left) || is_null(right) {
            let other = if is_null(left) { right } else { left };
            // A row is there, whatever is in it.
            let is_row = matches!(other, Node::RowExpr(_));
            return Some(if is_row { Truth::Always } else { self.null_test(other, false) });
        }
        if is_condition(left) || is_condition(right) {
            let truths = [self.truth(Part::of(left), depth), self.truth(Part::of(right), depth)];
            if truths.iter().all(|truth| matches!(truth, Truth::Always | Truth::Never | Truth::Null)) {
                let [one, other] = truths;
                return Some(Truth::certain(one != other));
            }
        }
        if is_same(left, right, CONDITION_DEPTH_MAX) && !calls(left) {
            return Some(Truth::Never);
        }
        compare(Standing::ASIDE, left, right).filter(|truth| *truth != Truth::Null)
    }

    /// `IS NULL` or `IS NOT NULL`: of a row it asks for all of its fields.
    fn null_test(&self, value: Node<'_>, is_null: bool) -> Truth {
        let test = |value: Node<'_>| match self.presence(value, CONDITION_DEPTH_MAX) {
            Some(is_there) => Truth::certain(is_there != is_null),
            None => unresolved(value),
        };
        match value_of(value) {
            Node::RowExpr(row) => row.args().iter().map(test).fold(Truth::Always, Truth::and),
            value => test(value),
        }
    }

    /// Whether a value is there in every row, or NULL in every row.
    fn presence(&self, value: Node<'_>, depth: usize) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        match value_of(value) {
            Node::A_Const(literal) => Some(!literal.isnull),
            Node::ColumnRef(column) => strings(column.fields())
                .last()
                .is_some_and(|name| (self.never_null)(name) || SYSTEM_COLUMNS.contains(name))
                .then_some(true),
            Node::TypeCast(cast) => self.presence(cast.arg(), depth),
            Node::CollateClause(clause) => self.presence(clause.arg(), depth),
            Node::NullTest(_) | Node::BooleanTest(_) | Node::A_ArrayExpr(_) => Some(true),
            Node::SubLink(link) if link.sub_link_type == SubLinkType::EXISTS_SUBLINK => Some(true),
            Node::A_Expr(expression) => match expression.kind {
                A_Expr_Kind::AEXPR_DISTINCT | A_Expr_Kind::AEXPR_NOT_DISTINCT => Some(true),
                A_Expr_Kind::AEXPR_OP if is_strict(operator_name(expression)) => {
                    let left = match expression.lexpr() {
                        Node::None => Some(true),
                        left => self.presence(left, depth),
                    };
                    match (left, self.presence(expression.rexpr(), depth)) {
                        (Some(false), _) | (_, Some(false)) => Some(false),
                        (Some(true), Some(true)) => Some(true),
                        (None, _) | (_, None) => None,
                    }
                }
                _ => None,
            },
            Node::CoalesceExpr(expression) => {
                expression.args().iter().any(|value| self.presence(value, depth) == Some(true)).then_some(true)
            }
            _ => None,
        }
    }

    /// `IS TRUE` and the like.
    fn boolean_test(&self, test: &BooleanTest, depth: usize) -> Option<Truth> {
        let (negated, of_null) = match test.booltesttype {
            BoolTestType::IS_TRUE => (false, Truth::Never),
            BoolTestType::IS_NOT_FALSE => (false, Truth::Always),
            BoolTestType::IS_FALSE => (true, Truth::Never),
            BoolTestType::IS_NOT_TRUE => (true, Truth::Always),
            BoolTestType::IS_UNKNOWN => return Some(self.null_test(test.arg(), true)),
            BoolTestType::IS_NOT_UNKNOWN => return Some(self.null_test(test.arg(), false)),
            _ => return None,
        };
        match self.truth(Part { node: test.arg(), negated }, depth) {
            Truth::Null => Some(of_null),
            truth => Some(truth),
        }
    }

    fn subquery(&self, link: &SubLink, depth: usize) -> Option<Truth> {
        match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK => match link.subselect() {
                Node::SelectStmt(select) => self.gives_rows(select, depth),
                _ => None,
            },
            SubLinkType::EXPR_SUBLINK => Some(self.truth(Part::of(only_value(link)?), depth)),
            SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK => {
                let rows = written_rows(link.subselect())?;
                let operator = strings(link.oper_name());
                let name = if operator.is_empty() { "=" } else { tree::qualified(&operator).1 };
                let truths = compare_each(Standing::accepted_by(name)?, &fields_of(link.testexpr()), &rows);
                if link.sub_link_type == SubLinkType::ANY_SUBLINK { any(truths) } else { all(truths) }
            }
            _ => None,
        }
    }

    /// Whether a query has rows.
    fn gives_rows(&self, select: &SelectStmt, depth: usize) -> Option<Truth> {
        let depth = depth.checked_sub(1)?;
        if reads_or_cuts(select) {
            return None;
        }
        match select.op {
            SetOperation::SETOP_NONE => {}
            SetOperation::SETOP_UNION => {
                return any([self.gives_rows(select.larg()?, depth), self.gives_rows(select.rarg()?, depth)]);
            }
            _ => return None,
        }
        if !select.values_lists().is_empty() {
            return Some(Truth::Always);
        }
        // A function may give many rows or none, and one over all of them gives a row even where there are none.
        let mut values = select.target_list().iter().map(|target| target.val());
        match select.where_clause() {
            Node::None => {
                let is_open = values.any(|value| calls(value) && unresolved(value) == Truth::Rows);
                (!is_open).then_some(Truth::Always)
            }
            _ if values.any(calls) => None,
            condition => match self.truth(Part::of(condition), depth) {
                Truth::Null => Some(Truth::Never),
                truth => Some(truth),
            },
        }
    }

    fn coalesced(&self, expression: &CoalesceExpr, depth: usize) -> Option<Truth> {
        for value in expression.args() {
            match self.truth(Part::of(value), depth) {
                Truth::Null => {}
                truth => return truth.known().map(Truth::certain),
            }
        }
        Some(Truth::Null)
    }
}

/// Columns that every table has, and that are never NULL.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"];

/// What a part of a condition comes to that is not understood, by what it looks at.
fn unresolved(whole: Node<'_>) -> Truth {
    let mut truth = Truth::Alike;
    let mut nodes = vec![whole];
    while let Some(node) = nodes.pop() {
        match node {
            // A bare star names what its own query has.
            Node::ColumnRef(column) if !strings(column.fields()).is_empty() => return Truth::Rows,
            Node::RangeVar(_) | Node::CurrentOfExpr(_) => return Truth::Rows,
            Node::ParamRef(_) => truth = Truth::Given,
            _ => {}
        }
        nodes.extend(tree::children(node));
    }
    truth
}

/// Whether an expression is a parameter and nothing else, of whatever type.
fn is_bare(node: Node<'_>) -> bool {
    match node {
        Node::ParamRef(_) => true,
        Node::TypeCast(cast) => is_bare(cast.arg()),
        _ => false,
    }
}

/// Whether a function is called.
fn calls(node: Node<'_>) -> bool {
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        if matches!(node, Node::FuncCall(_)) {
            return true;
        }
        nodes.extend(tree::children(node));
    }
    false
}

/// Whether an expression is a condition by its form.
fn is_condition(node: Node<'_>) -> bool {
    match node {
        Node::BoolExpr(_) | Node::NullTest(_) | Node::BooleanTest(_) => true,
        Node::A_Const(_) => matches!(constant(node), Some(Constant::Boolean(_))),
        Node::TypeCast(cast) => {
            cast.type_name().is_some_and(|kind| tree::words(kind.names()).last().is_some_and(|name| *name == "bool"))
        }
        Node::SubLink(link) => matches!(
            link.sub_link_type,
            SubLinkType::EXISTS_SUBLINK | SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK
        ),
        Node::A_Expr(expression) => match expression.kind {
            A_Expr_Kind::AEXPR_OP => Standing::accepted_by(operator_name(expression)).is_some(),
            kind => kind != A_Expr_Kind::AEXPR_NULLIF,
        },
        _ => false,
    }
}

/// Whether an operator gives NULL for NULL, and for nothing else.
fn is_strict(operator: &str) -> bool {
    Standing::accepted_by(operator).is_some() || matches!(operator, "+" | "-" | "*" | "/" | "%" | "~~" | "!~~")
}

fn operator_name(expression: &A_Expr) -> &str {
    tree::qualified(&strings(expression.name())).1
}

fn is_or(expression: &BoolExpr, negated: bool) -> bool {
    (expression.boolop == BoolExprType::OR_EXPR) != negated
}

/// The parts that an AND or OR joins, however it is bracketed.
fn parts_of(whole: Part<'_>, of_or: bool) -> Vec<Part<'_>> {
    let (mut open, mut parts) = (vec![whole], Vec::new());
    while let Some(part) = open.pop() {
        match part.node {
            Node::BoolExpr(expression) if expression.boolop == BoolExprType::NOT_EXPR => {
                let node = expression.args().iter().next().unwrap_or(Node::None);
                open.push(Part { node, negated: !part.negated });
            }
            Node::BoolExpr(expression) if is_or(expression, part.negated) == of_or => {
                open.extend(expression.args().iter().rev().map(|node| Part { node, ..part }));
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Whether no row fails all of these, or, negated, fulfils all of them.
fn exhausts(parts: &[Part<'_>], negated: bool) -> bool {
    parts.iter().enumerate().any(|(place, one)| {
        let others = || parts.iter().skip(place + 1).take(NEIGHBOURS_MAX);
        others().any(|other| are_opposite(*one, *other))
            || Comparison::of(*one, negated)
                .is_some_and(|one| covers_all(one, others().filter_map(|other| Comparison::of(*other, negated))))
    })
}

fn are_opposite(one: Part<'_>, other: Part<'_>) -> bool {
    let is_same = |one: Node<'_>, other: Node<'_>| is_same(one, other, CONDITION_DEPTH_MAX);
    if one.negated != other.negated {
        return is_same(one.node, other.node);
    }
    match (one.node, other.node) {
        (Node::NullTest(one), Node::NullTest(other)) => {
            one.nulltesttype != other.nulltesttype && is_same(one.arg(), other.arg())
        }
        (Node::BooleanTest(one), Node::BooleanTest(other)) => {
            let pairs = [
                (BoolTestType::IS_TRUE, BoolTestType::IS_NOT_TRUE),
                (BoolTestType::IS_FALSE, BoolTestType::IS_NOT_FALSE),
                (BoolTestType::IS_UNKNOWN, BoolTestType::IS_NOT_UNKNOWN),
            ];
            let (left, right) = (one.booltesttype, other.booltesttype);
            (pairs.contains(&(left, right)) || pairs.contains(&(right, left))) && is_same(one.arg(), other.arg())
        }
        (Node::A_Expr(one), Node::A_Expr(other)) => {
            are_opposite_operations(one, other)
                && is_same(one.lexpr(), other.lexpr())
                && is_same(one.rexpr(), other.rexpr())
        }
        _ => false,
    }
}

/// Whether of the same values one operation says what the other denies.
fn are_opposite_operations(one: &A_Expr, other: &A_Expr) -> bool {
    let pairs = [
        (A_Expr_Kind::AEXPR_DISTINCT, A_Expr_Kind::AEXPR_NOT_DISTINCT),
        (A_Expr_Kind::AEXPR_BETWEEN, A_Expr_Kind::AEXPR_NOT_BETWEEN),
        (A_Expr_Kind::AEXPR_BETWEEN_SYM, A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM),
    ];
    let kinds = (one.kind, other.kind);
    if pairs.contains(&kinds) || pairs.contains(&(other.kind, one.kind)) {
        return true;
    }
    let is_comparable = match kinds {
        (A_Expr_Kind::AEXPR_OP_ANY, right) => right == A_Expr_Kind::AEXPR_OP_ALL,
        (A_Expr_Kind::AEXPR_OP_ALL, right) => right == A_Expr_Kind::AEXPR_OP_ANY,
        (left, right) => left == right,
    };
    let denies = |one: &str, other: &str| one.strip_prefix('!') == Some(other) || (one, other) == ("<>", "=");
    let (one, other) = (operator_name(one), operator_name(other));
    is_comparable && (denies(one, other) || denies(other, one))
}

/// Where a value may stand, seen from another: below it, at it, above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing(u8);

impl Standing {
    const BELOW: Self = Self(1);
    const AT: Self = Self(2);
    const ABOVE: Self = Self(4);
    const ASIDE: Self = Self(1 | 4);
    const ANYWHERE: Self = Self(1 | 2 | 4);

    /// Where the left value has to stand for an operator to be true.
    fn accepted_by(operator: &str) -> Option<Self> {
        Some(match operator {
            "=" => Self::AT,
            "<>" => Self::ASIDE,
            "<" => Self::BELOW,
            "<=" => Self::BELOW.or(Self::AT),
            ">" => Self::ABOVE,
            ">=" => Self::ABOVE.or(Self::AT),
            _ => return None,
        })
    }

    fn of(ordering: Ordering) -> Self {
        match ordering {
            Ordering::Less => Self::BELOW,
            Ordering::Equal => Self::AT,
            Ordering::Greater => Self::ABOVE,
        }
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Everywhere else.
    fn others(self) -> Self {
        Self(Self::ANYWHERE.0 & !self.0)
    }

    /// The same, seen from the first value.
    fn turned(self) -> Self {
        match (self.has(Self::BELOW), self.has(Self::ABOVE)) {
            (true, false) => Self(self.0 & Self::AT.0).or(Self::ABOVE),
            (false, true) => Self(self.0 & Self::AT.0).or(Self::BELOW),
            (true, true) | (false, false) => self,
        }
    }

    /// What an operator that accepts these comes to for a value that stands so.
    fn decide(self, actual: Self) -> Option<Truth> {
        match self.0 & actual.0 {
            0 => Some(Truth::Never),
            both => (both == actual.0).then_some(Truth::Always),
        }
    }
}

/// A value that is compared with another.
#[derive(Clone, Copy)]
struct Comparison<'t> {
    subject: Node<'t>,
    accepted: Standing,
    object: Node<'t>,
}

impl<'t> Comparison<'t> {
    /// What a part of a condition says, or, negated, denies. A constant is what is compared with.
    fn of(part: Part<'t>, negated: bool) -> Option<Self> {
        let Node::A_Expr(expression) = part.node else {
            return None;
        };
        if expression.kind != A_Expr_Kind::AEXPR_OP {
            return None;
        }
        let accepted = Standing::accepted_by(operator_name(expression))?;
        let accepted = if part.negated == negated { accepted } else { accepted.others() };
        let (left, right) = (value_of(expression.lexpr()), value_of(expression.rexpr()));
        Some(match constant(left) {
            Some(_) => Self { subject: right, accepted: accepted.turned(), object: left },
            None => Self { subject: left, accepted, object: right },
        })
    }

    /// Where it certainly holds, seen from what the same value is compared with elsewhere.
    fn seen_from(self, other: Self) -> Option<Standing> {
        let is_same = |one: Node<'_>, other: Node<'_>| is_same(one, other, CONDITION_DEPTH_MAX);
        if is_same(self.subject, other.object) && is_same(self.object, other.subject) {
            return Some(self.accepted.turned());
        }
        if !is_same(self.subject, other.subject) {
            return None;
        }
        if is_same(self.object, other.object) {
            return Some(self.accepted);
        }
        match standing(constant(self.object)?, constant(other.object)?)? {
            Standing::AT => Some(self.accepted),
            Standing::BELOW if self.accepted.has(Standing::ABOVE) => Some(Standing::AT.or(Standing::ABOVE)),
            Standing::ABOVE if self.accepted.has(Standing::BELOW) => Some(Standing::AT.or(Standing::BELOW)),
            Standing::ASIDE if self.accepted.has(Standing::ASIDE) => Some(Standing::AT),
            _ => None,
        }
    }
}

/// Whether one of these holds, wherever the value of the first stands.
fn covers_all<'t>(one: Comparison<'t>, others: impl Iterator<Item = Comparison<'t>>) -> bool {
    let accepted = others.filter_map(|other| other.seen_from(one)).fold(one.accepted, Standing::or);
    accepted == Standing::ANYWHERE
}

/// What a comparison of two values, or of two rows of them, comes to.
fn compare(accepted: Standing, left: Node<'_>, right: Node<'_>) -> Option<Truth> {
    compare_rows(accepted, &fields_of(left), &fields_of(right))
}

fn compare_rows(accepted: Standing, left: &[Node<'_>], right: &[Node<'_>]) -> Option<Truth> {
    if left.len() != right.len() {
        return None;
    }
    let mut pairs = left.iter().zip(right).map(|(one, other)| (*one, *other));
    match accepted {
        _ if left.len() == 1 => pairs.next().and_then(|(one, other)| compare_values(accepted, one, other)),
        Standing::AT => all(pairs.map(|(one, other)| compare_values(accepted, one, other))),
        Standing::ASIDE => any(pairs.map(|(one, other)| compare_values(accepted, one, other))),
        _ if !pairs.all(|(one, other)| is_same(one, other, CONDITION_DEPTH_MAX)) => None,
        _ => Some(compare_with_itself(accepted, left)),
    }
}

/// What comparing a row with each of several comes to.
fn compare_each(accepted: Standing, left: &[Node<'_>], rows: &[Vec<Node<'_>>]) -> Vec<Option<Truth>> {
    let is_text = |value: &Node<'_>| matches!(constant(*value), Some(Constant::Text(_)));
    // Literals become values of the type that the others have.
    let is_mixed = left.iter().any(is_text) && !rows.iter().flatten().all(is_text);
    rows.iter().map(|row| compare_rows(accepted, left, row).filter(|_| !is_mixed)).collect()
}

fn compare_values(accepted: Standing, left: Node<'_>, right: Node<'_>) -> Option<Truth> {
    let (left, right) = (value_of(left), value_of(right));
    let (one, other) = (constant(left), constant(right));
    if one == Some(Constant::Null) || other == Some(Constant::Null) {
        return Some(Truth::Null);
    }
    if is_draw(left, other) || is_draw(right, one) {
        return Some(Truth::Rows);
    }
    if let Some(actual) = one.zip(other).and_then(|(one, other)| standing(one, other)) {
        return accepted.decide(actual);
    }
    is_same(left, right, CONDITION_DEPTH_MAX).then(|| compare_with_itself(accepted, &[left]))
}

/// What comparing a value with itself comes to. What a function gives may be another the second time.
fn compare_with_itself(accepted: Standing, values: &[Node<'_>]) -> Truth {
    match accepted.has(Standing::AT) {
        true => Truth::Always,
        false if values.iter().any(|value| calls(*value)) => Truth::Alike,
        false => Truth::Never,
    }
}

/// Whether a value is drawn for each row, and compared with what some are below and some above.
fn is_draw(value: Node<'_>, share: Option<Constant<'_>>) -> bool {
    matches!(value, Node::FuncCall(call) if call.args().is_empty() && tree::function_name(call).1 == "random")
        && matches!(share, Some(Constant::Number(share)) if share > 0.0 && share < 1.0)
}

fn compare_truths(accepted: Standing, left: Truth, right: Truth) -> Option<Truth> {
    if left == Truth::Null || right == Truth::Null {
        return Some(Truth::Null);
    }
    let (actual, value, open) = match (left.known(), right.known()) {
        (Some(left), Some(right)) => return accepted.decide(Standing::of(left.cmp(&right))),
        (None, Some(true)) => (Standing::AT.or(Standing::BELOW), true, left),
        (None, Some(false)) => (Standing::AT.or(Standing::ABOVE), false, left),
        (Some(true), None) => (Standing::AT.or(Standing::ABOVE), true, right),
        (Some(false), None) => (Standing::AT.or(Standing::BELOW), false, right),
        (None, None) => return None,
    };
    accepted.decide(actual).or(match accepted {
        Standing::AT => Some(if value { open } else { open.negated() }),
        Standing::ASIDE => Some(if value { open.negated() } else { open }),
        _ => None,
    })
}

/// `IN` of a list, and `ANY` and `ALL` of an array that is written out.
fn membership(kind: A_Expr_Kind::Type, operator: &str, left: Node<'_>, right: Node<'_>) -> Option<Truth> {
    let rows: Vec<Vec<Node<'_>>> = match right {
        Node::NodeList(list) if kind == A_Expr_Kind::AEXPR_IN => list.iter().map(fields_of).collect(),
        _ => elements(right)?.into_iter().map(|element| vec![element]).collect(),
    };
    let is_any = match kind {
        A_Expr_Kind::AEXPR_IN => operator == "=",
        kind => kind == A_Expr_Kind::AEXPR_OP_ANY,
    };
    let truths = match Standing::accepted_by(operator) {
        Some(accepted) => compare_each(accepted, &fields_of(left), &rows),
        None => rows.iter().flatten().map(|pattern| matching(operator, left, *pattern)).collect(),
    };
    if is_any { any(truths) } else { all(truths) }
}

/// What an array has in it, where it is written out.
fn elements(array: Node<'_>) -> Option<Vec<Node<'_>>> {
    match value_of(array) {
        Node::A_ArrayExpr(array) => Some(array.elements().iter().collect()),
        Node::TypeCast(cast) => elements(cast.arg()),
        array => matches!(constant(array), Some(Constant::Text(text)) if text.trim() == "{}").then(Vec::new),
    }
}

/// What asking of a text whether it is like a pattern comes to: of some patterns every text is.
fn matching(operator: &str, text: Node<'_>, pattern: Node<'_>) -> Option<Truth> {
    let (denied, operator) = operator.strip_prefix('!').map_or((false, operator), |operator| (true, operator));
    if !["~~", "~~*", "~", "~*", "^@"].contains(&operator) {
        return None;
    }
    let pattern = match value_of(pattern) {
        // What ESCAPE and SIMILAR TO make of a pattern.
        Node::FuncCall(call) if ["like_escape", "similar_to_escape"].contains(&tree::function_name(call).1) => {
            call.args().iter().next().unwrap_or(Node::None)
        }
        pattern => pattern,
    };
    match constant(pattern) {
        _ if is_null(text) => Some(Truth::Null),
        Some(Constant::Null) => Some(Truth::Null),
        Some(Constant::Text(pattern)) => {
            let accepts_all = match operator {
                "~~" | "~~*" => !pattern.is_empty() && pattern.bytes().all(|byte| byte == b'%'),
                "~" | "~*" => ["", "^", "$", ".*", "^.*", ".*$", "^.*$"].contains(&pattern),
                _ => pattern.is_empty(),
            };
            accepts_all.then(|| Truth::certain(!denied))
        }
        Some(_) => None,
        None => is_same(text, pattern, CONDITION_DEPTH_MAX).then(|| Truth::certain(!denied)),
    }
}

fn between<'t>(kind: A_Expr_Kind::Type, value: Node<'t>, bounds: Node<'t>) -> Option<Truth> {
    let Node::NodeList(bounds) = bounds else {
        return None;
    };
    let mut bounds = bounds.iter();
    let (low, high) = bounds.next().zip(bounds.next())?;
    let (below, above) = (Standing::BELOW, Standing::ABOVE);
    let within = |low: Node<'t>, high: Node<'t>| {
        let outside = |accepted, object| Comparison { subject: value, accepted, object };
        if covers_all(outside(below, low), std::iter::once(outside(above, high))) {
            return Some(Truth::Never);
        }
        all([compare(below.others(), value, low), compare(above.others(), value, high)])
    };
    let is_bound = |bound: Node<'_>| is_same(value, bound, CONDITION_DEPTH_MAX);
    let truth = match kind {
        A_Expr_Kind::AEXPR_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN => within(low, high),
        _ if is_bound(low) || is_bound(high) => Some(Truth::Always),
        _ => any([within(low, high), within(high, low)]),
    };
    match kind {
        A_Expr_Kind::AEXPR_NOT_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => truth.map(Truth::negated),
        _ => truth,
    }
}

/// A value that is written out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Constant<'t> {
    Null,
    Boolean(bool),
    Integer(i64),
    /// One with a fraction, or a long one, as near as it can be had.
    Number(f64),
    /// A text, or a literal that becomes what it is compared with.
    Text(&'t str),
}

impl Constant<'_> {
    fn number(self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(number as f64),
            Self::Number(number) => Some(number),
            Self::Null | Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

fn constant(node: Node<'_>) -> Option<Constant<'_>> {
    match node {
        Node::A_Const(literal) => Some(match literal.val() {
            None => Constant::Null,
            Some(ConstValue::Boolean(value)) => Constant::Boolean(value),
            Some(ConstValue::Integer(number)) => Constant::Integer(i64::from(number)),
            Some(ConstValue::Float(number)) => Constant::Number(number.parse().ok()?),
            Some(ConstValue::String(text)) => Constant::Text(text),
            Some(_) => return None,
        }),
        Node::TypeCast(cast) => cast_constant(constant(cast.arg())?, cast.type_name()?),
        _ => None,
    }
}

fn cast_constant<'t>(value: Constant<'t>, kind: &TypeName) -> Option<Constant<'t>> {
    if value == Constant::Null {
        return Some(value);
    }
    let names = tree::words(kind.names());
    let (schema, name) = tree::qualified(&names);
    let is_plain = kind.array_bounds().is_empty() && kind.typmods().is_empty() && !kind.setof && !kind.pct_type;
    if !is_plain || schema.is_some_and(|schema| schema != "pg_catalog") {
        return None;
    }
    match (name, value) {
        ("bool", Constant::Integer(number)) => Some(Constant::Boolean(number != 0)),
        ("bool", Constant::Text(text)) => boolean(text).map(Constant::Boolean),
        ("int2" | "int4" | "int8", Constant::Text(text)) => text.trim().parse().ok().map(Constant::Integer),
        ("bool", Constant::Boolean(_))
        | ("int2" | "int4" | "int8", Constant::Integer(_))
        | ("numeric", Constant::Integer(_) | Constant::Number(_))
        | ("float8", Constant::Number(_))
        | ("text" | "varchar", Constant::Text(_)) => Some(value),
        _ => None,
    }
}

/// How one constant stands to another.
fn standing(left: Constant<'_>, right: Constant<'_>) -> Option<Standing> {
    match (left, right) {
        (Constant::Boolean(left), Constant::Boolean(right)) => Some(Standing::of(left.cmp(&right))),
        (Constant::Integer(left), Constant::Integer(right)) => Some(Standing::of(left.cmp(&right))),
        // Which of two texts comes first is the collation's affair.
        (Constant::Text(left), Constant::Text(right)) => {
            Some(if left == right { Standing::AT } else { Standing::ASIDE })
        }
        (Constant::Text(text), Constant::Integer(right)) => {
            let left: i64 = text.trim().parse().ok()?;
            Some(Standing::of(left.cmp(&right)))
        }
        (Constant::Integer(left), Constant::Text(text)) => {
            let right: i64 = text.trim().parse().ok()?;
            Some(Standing::of(left.cmp(&right)))
        }
        (left, right) => {
            let ordering = left.number()?.partial_cmp(&right.number()?)?;
            // Two that are rounded to the same may differ.
            (ordering != Ordering::Equal).then(|| Standing::of(ordering))
        }
    }
}

/// What PostgreSQL reads a text as that is to be a boolean.
fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "o" => None,
        "1" | "on" => Some(true),
        "0" | "of" | "off" => Some(false),
        text if "true".starts_with(text) || "yes".starts_with(text) => Some(true),
        text if "false".starts_with(text) || "no".starts_with(text) => Some(false),
        _ => None,
    }
}

fn is_null(node: Node<'_>) -> bool {
    constant(node) == Some(Constant::Null)
}

/// Whether a query has more to it than the rows that are written in it.
fn reads_or_cuts(select: &SelectStmt) -> bool {
    let has = |clause: Node<'_>| !matches!(clause, Node::None);
    !select.from_clause().is_empty()
        || !select.group_clause().is_empty()
        || has(select.having_clause())
        || has(select.limit_count())
        || has(select.limit_offset())
        || select.with_clause().is_some()
}

/// The rows of a query that gives what is written in it, and nothing else.
fn written_rows(query: Node<'_>) -> Option<Vec<Vec<Node<'_>>>> {
    let Node::SelectStmt(select) = query else {
        return None;
    };
    let is_whole = matches!(select.where_clause(), Node::None) && select.op == SetOperation::SETOP_NONE;
    if reads_or_cuts(select) || !is_whole {
        return None;
    }
    if select.values_lists().is_empty() {
        return Some(vec![select.target_list().iter().map(|target| target.val()).collect()]);
    }
    let rows = select.values_lists().iter().map(|row| match row {
        Node::NodeList(fields) => Some(fields.iter().collect::<Vec<_>>()),
        _ => None,
    });
    rows.collect()
}

/// The row of a subquery that stands for a value.
fn only_row(link: &SubLink) -> Option<Vec<Node<'_>>> {
    if link.sub_link_type != SubLinkType::EXPR_SUBLINK {
        return None;
    }
    let mut rows = written_rows(link.subselect())?;
    rows.pop().filter(|_| rows.is_empty())
}

fn only_value(link: &SubLink) -> Option<Node<'_>> {
    match only_row(link)?.as_slice() {
        [value] => Some(*value),
        _ => None,
    }
}

/// A value, out of the queries that do no more than select it.
fn value_of(node: Node<'_>) -> Node<'_> {
    let mut node = node;
    while let Node::SubLink(link) = node
        && let Some(value) = only_value(link)
    {
        node = value;
    }
    node
}

/// The values of a row; of anything else, itself.
fn fields_of(node: Node<'_>) -> Vec<Node<'_>> {
    match node {
        Node::RowExpr(row) => row.args().iter().collect(),
        Node::SubLink(link) => only_row(link).unwrap_or_else(|| vec![node]),
        _ => vec![node],
    }
}

/// Whether two expressions are written alike, but for what a column's name is qualified by and how texts are collated.
fn is_same(left: Node<'_>, right: Node<'_>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return true;
    };
    let same = |left: Node<'_>, right: Node<'_>| is_same(left, right, depth);
    let all_same = |left: &NodeList, right: &NodeList| {
        left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| is_same(left, right, depth))
    };
    match (uncollated(left), uncollated(right)) {
        (Node::None, Node::None) => true,
        (Node::ColumnRef(left), Node::ColumnRef(right)) => is_same_column(left, right),
        (Node::A_Const(left), Node::A_Const(right)) => is_same_literal(left, right),
        (Node::ParamRef(left), Node::ParamRef(right)) => left.number == right.number,
        (Node::String(left), Node::String(right)) => left.sval() == right.sval(),
        (Node::SQLValueFunction(left), Node::SQLValueFunction(right)) => left.op == right.op,
        (Node::NodeList(left), Node::NodeList(right)) => all_same(left, right),
        (Node::RowExpr(left), Node::RowExpr(right)) => all_same(left.args(), right.args()),
        (Node::A_ArrayExpr(left), Node::A_ArrayExpr(right)) => all_same(left.elements(), right.elements()),
        (Node::CoalesceExpr(left), Node::CoalesceExpr(right)) => all_same(left.args(), right.args()),
        (Node::MinMaxExpr(left), Node::MinMaxExpr(right)) => left.op == right.op && all_same(left.args(), right.args()),
        (Node::BoolExpr(left), Node::BoolExpr(right)) => {
            left.boolop == right.boolop && all_same(left.args(), right.args())
        }
        (Node::NullTest(left), Node::NullTest(right)) => {
            left.nulltesttype == right.nulltesttype && same(left.arg(), right.arg())
        }
        (Node::BooleanTest(left), Node::BooleanTest(right)) => {
            left.booltesttype == right.booltesttype && same(left.arg(), right.arg())
        }
        (Node::FuncCall(left), Node::FuncCall(right)) => {
            strings(left.funcname()) == strings(right.funcname()) && all_same(left.args(), right.args())
        }
        (Node::A_Expr(left), Node::A_Expr(right)) => {
            left.kind == right.kind
                && operator_name(left) == operator_name(right)
                && same(left.lexpr(), right.lexpr())
                && same(left.rexpr(), right.rexpr())
        }
        (Node::TypeCast(left), Node::TypeCast(right)) => {
            let kinds = left.type_name().zip(right.type_name());
            kinds.is_some_and(|(left, right)| {
                tree::words(left.names()) == tree::words(right.names())
                    && left.array_bounds().len() == right.array_bounds().len()
                    && all_same(left.typmods(), right.typmods())
            }) && same(left.arg(), right.arg())
        }
        (Node::A_Indirection(left), Node::A_Indirection(right)) => {
            same(left.arg(), right.arg()) && all_same(left.indirection(), right.indirection())
        }
        (Node::A_Indices(left), Node::A_Indices(right)) => {
            left.is_slice == right.is_slice && same(left.lidx(), right.lidx()) && same(left.uidx(), right.uidx())
        }
        _ => false,
    }
}

fn uncollated(node: Node<'_>) -> Node<'_> {
    match value_of(node) {
        Node::CollateClause(clause) => uncollated(clause.arg()),
        node => node,
    }
}

fn is_same_column(left: &ColumnRef, right: &ColumnRef) -> bool {
    let (left, right) = (strings(left.fields()), strings(right.fields()));
    left.last() == right.last() && (left == right || left.len() != right.len())
}

fn is_same_literal(left: &A_Const, right: &A_Const) -> bool {
    match (left.val(), right.val()) {
        (None, None) => true,
        (Some(ConstValue::Boolean(left)), Some(ConstValue::Boolean(right))) => left == right,
        (Some(ConstValue::Integer(left)), Some(ConstValue::Integer(right))) => left == right,
        (Some(ConstValue::Float(left)), Some(ConstValue::Float(right)))
        | (Some(ConstValue::String(left)), Some(ConstValue::String(right)))
        | (Some(ConstValue::BitString(left)), Some(ConstValue::BitString(right))) => left == right,
        _ => false,
    }
}
