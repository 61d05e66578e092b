//! What comes back: the shape of a run of content, so that masks are planned once and not per row.

use std::sync::Arc;

/// Where the values of a column come from, as far as the protocol can prove it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// A plain copy of one classified or unclassified column; its access resource carries its classes.
    Copy(crate::Resource),
    /// Computed from these classified columns, so that a value may show through; hidden whole.
    Derived(Arc<[crate::Resource]>),
    /// Proven to hold nothing of any classified column, such as `count(*)` or a literal.
    Clean,
    /// Not known: hidden whole.
    Unknown,
}

/// What a value is, so that a masked one stays valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// Text of any length, or of at most so many characters.
    Text {
        /// The longest valid value in characters; `None` is unlimited.
        chars_max: Option<u32>,
    },
    /// JSON text.
    Json,
    /// PostgreSQL's `jsonb`: as JSON text, in binary form after one version byte.
    Jsonb,
    /// A list of texts: PostgreSQL's array of them.
    Texts {
        /// The longest valid text in it in characters; `None` is unlimited.
        chars_max: Option<u32>,
    },
    /// A UUID.
    Uuid,
    /// Of a fixed form that holds no text: a boolean, a number, a date or time. Only its absence is a valid mask.
    Fixed,
    /// Anything else, which may hold text: only its absence is a valid mask.
    Opaque,
}

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The type's text form.
    Text,
    /// The type's binary form.
    Binary,
}

/// One column of a result, or one field of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// The name that the client sees.
    pub name: Arc<str>,
    /// Where its values come from.
    pub provenance: Provenance,
    /// What its values are.
    pub kind: ValueKind,
    /// How they are written.
    pub encoding: Encoding,
}

/// What a shape describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShapeRole {
    /// Rows of a result.
    Rows,
    /// A message of the target to the client: an error, a notice, a notification.
    Message,
    /// Messages that name what can be asked for. Of that only what is permitted is shown, so that they never pass as they are.
    Offers,
}

/// The shape of a run of content. One value per result, shared by its runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What it describes.
    pub role: ShapeRole,
    /// Its columns, in wire order.
    pub columns: Vec<Column>,
}
