//! The name that PostgreSQL gives to an output column without one (`FigureColname` in parse_target.c).
//!
//! Knows trees. A name that is not followed here is `None`: such a column may have any name.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{ResTarget, SubLink};
use pg_raw_parse::raw::{A_Expr_Kind, SubLinkType};

use super::tree::strings;

/// How deep a name is looked for.
const DEPTH_MAX: usize = 64;
const UNNAMED: &str = "?column?";

/// The name of an output column.
pub(super) fn output_name(target: &ResTarget) -> Option<&str> {
    match target.name() {
        Some(name) => Some(name),
        None => match figure(target.val(), DEPTH_MAX) {
            Figured::Weak(name) | Figured::Strong(name) => Some(name),
            Figured::Unnamed => Some(UNNAMED),
            Figured::Unsure => None,
        },
    }
}

enum Figured<'t> {
    Unnamed,
    /// A name that the type of a cast takes the place of.
    Weak(&'t str),
    Strong(&'t str),
    Unsure,
}

fn figure<'t>(node: Node<'t>, depth: usize) -> Figured<'t> {
    let Some(depth) = depth.checked_sub(1) else {
        return Figured::Unsure;
    };
    match node {
        Node::ColumnRef(column) => last(strings(column.fields())).map_or(Figured::Unnamed, Figured::Strong),
        Node::A_Indirection(indirection) => match last(strings(indirection.indirection())) {
            Some(name) => Figured::Strong(name),
            None => figure(indirection.arg(), depth),
        },
        Node::FuncCall(call) => last(strings(call.funcname())).map_or(Figured::Unsure, Figured::Strong),
        Node::A_Expr(expression) if expression.kind == A_Expr_Kind::AEXPR_NULLIF => Figured::Strong("nullif"),
        Node::TypeCast(cast) => match figure(cast.arg(), depth) {
            Figured::Unnamed | Figured::Weak(_) => {
                let names = cast.type_name().map(|name| name.names().iter().filter_map(|part| part.sval()).collect());
                last(names.unwrap_or_default()).map_or(Figured::Unsure, Figured::Weak)
            }
            figured @ (Figured::Strong(_) | Figured::Unsure) => figured,
        },
        Node::CollateClause(clause) => figure(clause.arg(), depth),
        Node::CaseExpr(case) => match figure(case.defresult(), depth) {
            Figured::Unnamed | Figured::Weak(_) => Figured::Weak("case"),
            figured @ (Figured::Strong(_) | Figured::Unsure) => figured,
        },
        Node::SubLink(link) => sublink(link),
        Node::A_ArrayExpr(_) => Figured::Strong("array"),
        Node::RowExpr(_) => Figured::Strong("row"),
        Node::CoalesceExpr(_) => Figured::Strong("coalesce"),
        Node::GroupingFunc(_) => Figured::Strong("grouping"),
        Node::A_Expr(_)
        | Node::A_Const(_)
        | Node::ParamRef(_)
        | Node::BoolExpr(_)
        | Node::NullTest(_)
        | Node::BooleanTest(_) => Figured::Unnamed,
        Node::None => Figured::Unnamed,
        _ => Figured::Unsure,
    }
}

fn sublink(link: &SubLink) -> Figured<'_> {
    match (link.sub_link_type, link.subselect()) {
        (SubLinkType::EXISTS_SUBLINK, _) => Figured::Strong("exists"),
        (SubLinkType::ARRAY_SUBLINK, _) => Figured::Strong("array"),
        (SubLinkType::EXPR_SUBLINK, Node::SelectStmt(select)) => match select.target_list().first() {
            // Without a name it is called what the query's own column came to be called: a star has become columns by then.
            Some(target) => target.name().map_or(Figured::Unsure, Figured::Strong),
            None => Figured::Unsure,
        },
        (SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK | SubLinkType::ROWCOMPARE_SUBLINK, _) => Figured::Unnamed,
        _ => Figured::Unsure,
    }
}

fn last(names: Vec<&str>) -> Option<&str> {
    names.last().copied()
}
