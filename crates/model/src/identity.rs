//! Who acts: people, machines, the groups they are in, and a machine on behalf of a person.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::InvalidName;

const PERSON_RULE: &str = "use 1 to 128 printable ASCII characters without spaces, quotes, `/`, `:` and backslash";

macro_rules! person_name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to 128 printable ASCII characters without spaces, quotes, `/`, `:` or backslash.
            pub fn new(value: &str) -> Result<Self, InvalidName> {
                let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'/' | b':' | b'\\');
                if (1..=128).contains(&value.len()) && value.bytes().all(plain) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidName { what: $what, value: value.into(), rule: PERSON_RULE })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

person_name!(
    /// A person.
    UserName, "user name"
);
person_name!(
    /// A machine.
    AgentName, "agent name"
);
person_name!(
    /// A group of people, machines or both.
    GroupName, "group name"
);

/// A person or a machine. Its text form is `user:NAME` or `agent:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A person.
    User(UserName),
    /// A machine.
    Agent(AgentName),
}

impl Identity {
    /// Reads `user:NAME` or `agent:NAME`.
    pub fn parse(value: &str) -> Result<Self, InvalidName> {
        match value.split_once(':') {
            Some(("user", name)) => UserName::new(name).map(Self::User),
            Some(("agent", name)) => AgentName::new(name).map(Self::Agent),
            Some(_) | None => {
                Err(InvalidName { what: "identity", value: value.into(), rule: "write user:NAME or agent:NAME" })
            }
        }
    }

    /// The name without its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Agent(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Agent(name) => write!(f, "agent:{name}"),
        }
    }
}

/// Whom a decision is about: an identity, its groups, and the person it acts for, if any. Both must be permitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Who acts.
    pub identity: Identity,
    /// The groups of who acts.
    pub groups: BTreeSet<GroupName>,
    /// For whom, with that person's groups.
    pub on_behalf_of: Option<(UserName, BTreeSet<GroupName>)>,
}

impl Subject {
    /// True if `user` is the subject or the person it acts for: such a person may not approve.
    pub fn involves(&self, user: &UserName) -> bool {
        self.identity == Identity::User(user.clone())
            || self.on_behalf_of.as_ref().is_some_and(|(principal, _)| principal == user)
    }
}
