//! Names that may mean something else by now than the catalog says.
//!
//! Knows names alone. Whose transaction moved them, and how long that counts, is the session's to know.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Names by which something was not there when the catalog was read, or is no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// What is known of no relation holds any more.
    every_relation: bool,
    relations: BTreeSet<Arc<str>>,
    /// Functions and types, for a type's name can be called.
    routines: BTreeSet<Arc<str>>,
}

impl Moved {
    /// A relation came or went.
    pub(super) fn relation(&mut self, name: impl Into<Arc<str>>) {
        self.relations.insert(name.into());
    }

    /// A function or a type came, or came to be called so.
    pub(super) fn routine(&mut self, name: &str) {
        self.routines.insert(name.into());
    }

    /// Relations came or went that are not named.
    pub(super) fn every_relation(&mut self) {
        self.every_relation = true;
    }

    /// Adds what a later statement moved.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.every_relation |= other.every_relation;
        self.relations.extend(other.relations.iter().cloned());
        self.routines.extend(other.routines.iter().cloned());
    }

    /// Forgets that relations moved that are not named; true if any did.
    pub(crate) fn settle_unnamed(&mut self) -> bool {
        std::mem::take(&mut self.every_relation)
    }

    /// True if nothing moved.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.relations.len() + self.routines.len()
    }

    /// Whether a relation of this name may be another.
    pub(crate) fn may_move_relation(&self, name: &str) -> bool {
        self.every_relation || self.names_relation(name)
    }

    /// Whether this is the name of a relation that moved.
    pub(super) fn names_relation(&self, name: &str) -> bool {
        self.relations.contains(name)
    }

    /// Whether this is the name of a function or a type that moved.
    pub(super) fn names_routine(&self, name: &str) -> bool {
        self.routines.contains(name)
    }
}
