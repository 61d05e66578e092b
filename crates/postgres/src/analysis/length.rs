//! Whether what a text is put together of stays far from what the server can hold: past 1 GB it fails, and whoever chooses how
//! long the rest is learns from that how long a masked value is.

use pg_raw_parse::nodes::{A_Const, A_Expr, FuncCall};
use pg_raw_parse::{ConstValue, Node};

use super::Misunderstood;
use super::analyzer::Analyzer;
use super::expression::{is_passing_operation, is_row_of};
use super::lineage::Lineage;
use super::scope::Scope;
use super::tree;

/// Of how many parts such a text is put together at most.
const PARTS_MAX: usize = 64;
/// How long a text is that is written out in it, in bytes.
const LITERAL_BYTES_MAX: usize = 1_024;
/// Functions that give as much as they are given, about.
const KEEPING: [&str; 8] = ["concat", "lower", "row_to_json", "text", "to_json", "to_jsonb", "upper", "varchar"];
/// Functions that make long texts of short ones.
const GROWING: [&str; 10] =
    ["array_fill", "format", "lpad", "overlay", "regexp_replace", "repeat", "replace", "rpad", "string_agg", "xmlagg"];

/// Those among them that escape what they are given.
const WRAPPING: [&str; 3] = ["row_to_json", "to_json", "to_jsonb"];

/// What a value is put together of.
#[derive(Clone, Copy)]
struct Made {
    /// How many values of the length of a column's.
    parts: usize,
    /// Whether some of it is escaped.
    wraps: bool,
}

impl Analyzer<'_> {
    /// Whether what these values are put together to stays short. What does not is remembered, for rows that hold it.
    pub(super) fn stay_short<'n>(
        &mut self,
        values: impl IntoIterator<Item = Node<'n>>,
        scope: &Scope<'_>,
    ) -> Result<bool, Misunderstood> {
        let is_short = self.sum(values, scope)?.is_some_and(|made| made.parts <= PARTS_MAX);
        self.makes_long_texts |= !is_short;
        Ok(is_short)
    }

    /// Notes a function that makes long texts.
    pub(super) fn note_growth(&mut self, name: &str) {
        self.makes_long_texts |= GROWING.contains(&name);
    }

    fn sum<'n>(
        &mut self,
        values: impl IntoIterator<Item = Node<'n>>,
        scope: &Scope<'_>,
    ) -> Result<Option<Made>, Misunderstood> {
        let mut sum = Some(Made { parts: 0, wraps: false });
        for value in values {
            sum = sum.zip(self.made(value, scope)?).map(|(one, other)| Made {
                parts: one.parts.saturating_add(other.parts),
                wraps: one.wraps || other.wraps,
            });
            // More than are allowed are not looked at one by one.
            if sum.is_none_or(|made| made.parts > PARTS_MAX) {
                break;
            }
        }
        Ok(sum)
    }

    /// What a value is put together of; `None` for one of any other length.
    fn made(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Option<Made>, Misunderstood> {
        let of = |parts| Some(Made { parts, wraps: false });
        match node {
            Node::None => Ok(of(0)),
            Node::A_Const(literal) => Ok(of(1).filter(|_| is_short(literal))),
            Node::ColumnRef(_) => Ok(match self.expression(node, scope)? {
                Lineage::Nothing | Lineage::Copy(_) => of(1),
                Lineage::Clean => None,
                // A row, or what was put together before: it may stand alone, where nothing grew.
                Lineage::Derived(_) | Lineage::Unknown(_) if self.makes_long_texts => None,
                Lineage::Derived(_) | Lineage::Unknown(_) => {
                    Some(Made { parts: PARTS_MAX, wraps: self.wraps_texts && !is_row_of(node, scope) })
                }
            }),
            Node::TypeCast(cast) => match cast.type_name() {
                Some(name) if name.typmods().is_empty() || self.is_passing_type(name) => self.made(cast.arg(), scope),
                _ => Ok(None),
            },
            Node::A_Expr(expression) if is_passing_operation(expression) => self.chain(expression, scope),
            Node::FuncCall(call) if keeps_length(call) => {
                let made = self.sum(call.args(), scope)?;
                let wraps = WRAPPING.contains(&tree::function_name(call).1);
                Ok(if wraps { self.wrapped(made) } else { made })
            }
            Node::CoalesceExpr(either) => self.sum(either.args(), scope),
            Node::RowExpr(row) => {
                let made = self.sum(row.args(), scope)?;
                Ok(self.wrapped(made))
            }
            Node::A_ArrayExpr(array) => {
                let made = self.sum(array.elements(), scope)?;
                Ok(self.wrapped(made))
            }
            _ => Ok(None),
        }
    }

    /// What stands in a row, an array or a document is escaped there: once it is some times as long, and again and again it is as
    /// long as one likes.
    fn wrapped(&mut self, made: Option<Made>) -> Option<Made> {
        self.wraps_texts = true;
        made.filter(|made| !made.wraps).map(|made| Made { wraps: true, ..made })
    }

    /// A chain of operators, as in `a || b || c`, without going deeper.
    fn chain(&mut self, outermost: &A_Expr, scope: &Scope<'_>) -> Result<Option<Made>, Misunderstood> {
        let (mut operands, mut expression) = (Vec::new(), outermost);
        loop {
            operands.push(expression.rexpr());
            match expression.lexpr() {
                Node::A_Expr(next) if is_passing_operation(next) => expression = next,
                first => {
                    operands.push(first);
                    break;
                }
            }
        }
        self.sum(operands, scope)
    }
}

fn is_short(literal: &A_Const) -> bool {
    match literal.val() {
        Some(ConstValue::String(text)) => text.len() <= LITERAL_BYTES_MAX,
        _ => true,
    }
}

fn keeps_length(call: &FuncCall) -> bool {
    KEEPING.contains(&tree::function_name(call).1)
}
