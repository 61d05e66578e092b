//! The people and agents of the configuration, with their groups.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_model::{AgentName, GroupName, Identity, UserName};

/// Everyone whom the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// People, with their groups.
    pub users: BTreeMap<UserName, BTreeSet<GroupName>>,
    /// Machines, with theirs.
    pub agents: BTreeMap<AgentName, BTreeSet<GroupName>>,
}

/// Nobody of this name is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not known: add it under [users] or [agents]; a person of the provider under [oidc] has to sign in")]
pub struct UnknownIdentity(pub String);

impl People {
    /// The groups of an identity.
    pub(crate) fn groups(&self, identity: &Identity) -> Result<&BTreeSet<GroupName>, UnknownIdentity> {
        let groups = match identity {
            Identity::User(name) => self.users.get(name),
            Identity::Agent(name) => self.agents.get(name),
        };
        groups.ok_or_else(|| UnknownIdentity(identity.to_string()))
    }
}
