//! What an operation wants: a list of accesses, each an action on a resource.

use std::fmt;
use std::sync::Arc;

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

/// What is acted on: an entity of the policy language with everything that it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The entity type in policies, such as `Table`.
    pub kind: &'static str,
    /// The entity's id in policies, such as `shop/public.orders`.
    pub id: Arc<str>,
    /// All ancestors, nearest first; they are transitive as they stand.
    pub within: Arc<[Parent]>,
}

impl Resource {
    /// A resource and its ancestors, nearest first.
    pub fn new(kind: &'static str, id: &str, within: impl Into<Arc<[Parent]>>) -> Self {
        Self { kind, id: id.into(), within: within.into() }
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
