//! Applies a mask plan to the fields of a run.

use gatehouse_mask::{Classes, Counts, Outcome, Plan};
use gatehouse_model::{Access, Resource};
use gatehouse_protocol::{Edit, Editor, Field, Told};

/// The plan of one shape at work.
pub(crate) struct Masking<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) classes: &'a Classes,
    pub(crate) counts: &'a mut Counts,
    /// Whether policy lets the client do something.
    pub(crate) permits: &'a dyn Fn(&Access) -> bool,
    /// What is shown of a description.
    pub(crate) told: &'a dyn Fn(&Resource, &str) -> Told,
}

impl Editor for Masking<'_> {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        let value = match field.value {
            Some(value) => value,
            // Of a hidden value not even its absence shows.
            None if self.plan.hides(field.column) => b"",
            None => return Edit::Keep,
        };
        match self.plan.apply(self.classes, field.column, field.kind, field.encoding, value, out, self.counts) {
            Outcome::Keep => Edit::Keep,
            Outcome::Null => Edit::Null,
            Outcome::Replace => Edit::Replace,
        }
    }

    fn offers(&mut self, access: &Access) -> bool {
        (self.permits)(access)
    }

    fn describes(&mut self, resource: &Resource, description: &str) -> Told {
        (self.told)(resource, description)
    }
}
