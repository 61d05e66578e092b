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
    /// Relations that may be temporary: no view stands on one that is not so itself.
    temporaries: BTreeSet<Arc<str>>,
    /// Functions and types, for a type's name can be called.
    routines: BTreeSet<Arc<str>>,
}

impl Moved {
    /// A relation came or went.
    pub(super) fn relation(&mut self, name: impl Into<Arc<str>>) {
        self.relations.insert(name.into());
    }

    /// A relation came that may be temporary.
    pub(super) fn temporary(&mut self, name: impl Into<Arc<str>>) {
        self.temporaries.insert(name.into());
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
        self.temporaries.extend(other.temporaries.iter().cloned());
        self.routines.extend(other.routines.iter().cloned());
    }

    /// Forgets what moved and a survey shows, for its transaction has ended; true if anything did.
    pub(crate) fn settle(&mut self) -> bool {
        let relations = std::mem::take(&mut self.relations);
        std::mem::take(&mut self.every_relation) || !relations.is_empty()
    }

    /// True if nothing moved.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many names there are.
    pub(crate) fn len(&self) -> usize {
        self.relations.len() + self.temporaries.len() + self.routines.len()
    }

    /// Whether a relation of this name may be another.
    pub(crate) fn may_move_relation(&self, name: &str) -> bool {
        self.every_relation || self.names_relation(name)
    }

    /// The same inside of a view, where no name means what is temporary.
    pub(super) fn may_move_lasting(&self, name: &str) -> bool {
        self.every_relation || self.relations.contains(name)
    }

    /// Whether this is the name of a relation that moved.
    pub(super) fn names_relation(&self, name: &str) -> bool {
        self.relations.contains(name) || self.temporaries.contains(name)
    }

    /// Whether this is the name of a function or a type that moved.
    pub(super) fn names_routine(&self, name: &str) -> bool {
        self.routines.contains(name)
    }
}
