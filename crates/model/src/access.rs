//! What an operation wants: a list of accesses, each an action on a resource.

use std::fmt;
use std::sync::Arc;

use crate::ClassName;

/// The kinds of resource that every protocol shares; a protocol adds its own in its schema fragment.
pub mod kind {
    /// A registered backend.
    pub const TARGET: &str = "Target";
    /// A kind of data.
    pub const CLASS: &str = "Class";
    /// The gateway itself.
    pub const GATEWAY: &str = "Gateway";
}

/// A verb of the policy vocabulary, such as `sql:delete`. Each protocol declares its own as constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(&'static str);

impl Action {
    /// To open a session.
    pub const CONNECT: Self = Self("connect");
    /// To see a class unmasked.
    pub const REVEAL: Self = Self("reveal");
    /// To use a masked column in a filter, join, sort or grouping.
    pub const PROBE: Self = Self("probe");
    /// To start a task for a target by oneself.
    pub const START: Self = Self("start");
    /// To answer a request.
    pub const APPROVE: Self = Self("approve");
    /// To go on when the task's budget is used up.
    pub const EXCEED: Self = Self("exceed");
    /// To use what a target describes otherwise than it did.
    pub const CHANGED: Self = Self("changed");
    /// To reach a host that is no target, unseen.
    pub const TUNNEL: Self = Self("tunnel");
    /// To administer the gateway over the network.
    pub const ADMINISTER: Self = Self("administer");

    /// Declares an action; the protocol's schema fragment must know it.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The action's name in policies.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Something that a resource is in, such as the schema of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parent {
    /// The entity type in policies.
    pub kind: &'static str,
    /// The entity's id in policies.
    pub id: Arc<str>,
}

/// A field of documents that is of a class, with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassifiedField {
    /// The names on the way to it with dots between them, without the places of lists: `contact.email`.
    pub path: Arc<str>,
    /// Its class.
    pub class: ClassName,
}

/// What is acted on: an entity of the policy language with everything that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The entity type in policies, such as `Table`.
    pub kind: &'static str,
    /// The entity's id in policies, such as `shop/public.orders`.
    pub id: Arc<str>,
    /// All ancestors, nearest first; they are transitive as they stand.
    pub within: Arc<[Parent]>,
    /// Of a column whose documents are of its classes in these fields alone: which those are. Of any other, `None`: its values
    /// are of its classes as a whole.
    pub fields: Option<Arc<[ClassifiedField]>>,
}

impl Resource {
    /// A resource and its ancestors, nearest first.
    pub fn new(kind: &'static str, id: &str, within: impl Into<Arc<[Parent]>>) -> Self {
        Self { kind, id: id.into(), within: within.into(), fields: None }
    }

    /// The same column, whose documents are of its classes in these fields alone. They have the classes that it is in.
    #[must_use]
    pub fn with_fields(self, fields: impl Into<Arc<[ClassifiedField]>>) -> Self {
        Self { fields: Some(fields.into()), ..self }
    }

    /// What leave is asked for: the resource itself, or, where single fields are of classes, the column once in each of these
    /// alone. Who may see one field may not see another for that.
    pub fn by_class(&self) -> Vec<Self> {
        let Some(fields) = &self.fields else { return vec![self.clone()] };
        let is_class = |parent: &&Parent| parent.kind == kind::CLASS;
        let in_class = |class: &Parent| {
            let within = self.within.iter().filter(|parent| !is_class(parent) || *parent == class).cloned();
            let fields = fields.iter().filter(|field| *field.class.as_str() == *class.id).cloned();
            Self::new(self.kind, &self.id, within.collect::<Vec<_>>()).with_fields(fields.collect::<Vec<_>>())
        };
        let parts: Vec<Self> = self.within.iter().filter(is_class).map(in_class).collect();
        if parts.is_empty() { vec![self.clone()] } else { parts }
    }

    /// A resource that is in nothing.
    pub fn root(kind: &'static str, id: &str) -> Self {
        Self::new(kind, id, [])
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// One action on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// The verb.
    pub action: Action,
    /// What it is done to.
    pub resource: Resource,
}

impl Access {
    /// Pairs an action with a resource.
    pub fn new(action: Action, resource: Resource) -> Self {
        Self { action, resource }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_is_asked_for_each_class_of_fields_alone() {
        let parent = |kind, id: &str| Parent { kind, id: id.into() };
        let of = |class: &str| parent(kind::CLASS, class);
        let table = parent("Table", "shop/public.users");
        let field = |path: &str, class: &str| ClassifiedField {
            path: path.into(),
            class: ClassName::new(class).expect("a name"),
        };
        let column = Resource::new("Column", "shop/public.users.data", vec![of("email"), of("phone"), table.clone()]);
        assert_eq!(column.by_class(), std::slice::from_ref(&column));

        let fields = vec![field("a", "email"), field("b.c", "phone"), field("d", "email")];
        let parts = column.clone().with_fields(fields.clone()).by_class();
        let within: Vec<&[Parent]> = parts.iter().map(|part| &*part.within).collect();
        assert_eq!(within, [[of("email"), table.clone()].as_slice(), &[of("phone"), table]]);
        let of_email = parts.first().and_then(|part| part.fields.as_deref());
        assert_eq!(of_email, Some([fields[0].clone(), fields[2].clone()].as_slice()));
    }
}
