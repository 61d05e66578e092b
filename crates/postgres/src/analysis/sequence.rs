//! Which sequence a call means that names it by a constant.
//!
//! Knows the functions of sequences, and how PostgreSQL reads the name of a relation in a text. A name that is computed, or
//! bound, is not followed: of its call the function alone is known.

use pg_raw_parse::nodes::TypeName;
use pg_raw_parse::{ConstValue, Node};

use super::action;
use super::analyzer::Analyzer;
use super::resource::UNKNOWN_SCHEMA;
use super::tree;
use crate::function::Kind;

/// PostgreSQL cuts longer names (`NAMEDATALEN`, without the zero byte).
const NAME_BYTES_MAX: usize = 63;
/// A name has no more parts: a database, a schema and its own.
const PARTS_MAX: usize = 3;
/// What may stand around the parts of a name.
const SPACES: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];

/// What a constant says of a relation.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// Its OID.
    Number(u32),
    /// Its name, with the schema and the database before it where they are written.
    Parts(Vec<String>),
}

impl Analyzer<'_> {
    /// Notes what a function does to the sequence that its first argument names.
    pub(super) fn access_sequence(&mut self, kind: Kind, argument: Option<Node<'_>>) {
        let action = match kind {
            Kind::Sequence => action::UPDATE,
            Kind::SequenceRead => action::SELECT,
            _ => return,
        };
        let sequences = match argument.and_then(|argument| self.named_by(argument)) {
            Some(Named::Number(oid)) => match self.resources.catalog.relation_by_oid(oid) {
                Some(relation) => vec![self.resources.table(&relation.schema, &relation.name)],
                None => {
                    let number = oid.to_string();
                    if !self.is_in_view() {
                        self.found.unknown_relation.get_or_insert_with(|| number.as_str().into());
                    }
                    vec![self.resources.table(UNKNOWN_SCHEMA, &number)]
                }
            },
            Some(Named::Parts(parts)) => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                let (schema, name) = tree::qualified(&parts);
                self.tables_named(schema, name)
            }
            None => return,
        };
        for sequence in sequences {
            self.access_as_caller(action, sequence);
        }
    }

    /// What a constant names, as it stands or as a `regclass`.
    fn named_by(&self, node: Node<'_>) -> Option<Named> {
        match node {
            Node::A_Const(constant) => match constant.val()? {
                ConstValue::Integer(number) => u32::try_from(number).ok().map(Named::Number),
                // One that is too long for the usual type.
                ConstValue::Float(number) => number.parse().ok().map(Named::Number),
                ConstValue::String(text) => named(text),
                _ => None,
            },
            Node::TypeCast(cast) if cast.type_name().is_some_and(|kind| self.keeps_names(kind)) => {
                self.named_by(cast.arg())
            }
            _ => None,
        }
    }

    /// Whether a constant names the same in a type. Another may cut it.
    fn keeps_names(&self, kind: &TypeName) -> bool {
        let words = tree::words(kind.names());
        let is_one = kind.array_bounds().is_empty() && kind.typmods().is_empty();
        is_one
            && matches!(tree::qualified(&words).1, "regclass" | "oid" | "text" | "varchar")
            && self.is_own_type_named(&words)
    }
}

/// What a text names, read as PostgreSQL reads it for a `regclass`; `None` of what is no name.
fn named(text: &str) -> Option<Named> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Named::Number);
    }
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(SPACES);
    loop {
        let (part, after) = part(rest)?;
        let end = part.floor_char_boundary(NAME_BYTES_MAX);
        parts.push(part.get(..end).filter(|part| !part.is_empty())?.to_string());
        let after = after.trim_start_matches(SPACES);
        if after.is_empty() {
            return Some(Named::Parts(parts));
        }
        if parts.len() == PARTS_MAX {
            return None;
        }
        rest = after.strip_prefix('.')?.trim_start_matches(SPACES);
    }
}

/// The first part of a name, in quotes or in small letters, and what follows it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|sign: char| sign == '.' || SPACES.contains(&sign)).unwrap_or(text.len());
        let (part, after) = text.split_at_checked(end)?;
        return Some((part.to_ascii_lowercase(), after));
    };
    let (mut part, mut rest) = (String::new(), quoted);
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        // Within quotes a quote stands twice.
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(parts: &[&str]) -> Option<Named> {
        Some(Named::Parts(parts.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn names_are_read_as_the_server_reads_them() {
        assert_eq!(named("public.Orders_Id_Seq"), parts(&["public", "orders_id_seq"]));
        assert_eq!(named(" \"Pub.lic\" . \"a\"\"b\" "), parts(&["Pub.lic", "a\"b"]));
        assert_eq!(named("shop.public.sq"), parts(&["shop", "public", "sq"]));
        assert_eq!(named("16400"), Some(Named::Number(16_400)));
        assert_eq!(named("\"16400\""), parts(&["16400"]));
        let cut = "x".repeat(NAME_BYTES_MAX);
        assert_eq!(named(&format!("{cut}yz")), parts(&[&cut]));
        for nothing in ["", " ", "\"", "\"a", "a b", "a.", ".a", "a..b", "a.b.c.d", "\"\"", "\"a\"b", "99999999999"] {
            assert_eq!(named(nothing), None, "{nothing}");
        }
    }
}
