//! The people and agents of the configuration, with their groups.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_model::{AgentName, GroupName, Identity, Subject, UserName};

/// Everyone whom the configuration names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// People, with their groups.
    pub users: BTreeMap<UserName, BTreeSet<GroupName>>,
    /// Machines, with theirs.
    pub agents: BTreeMap<AgentName, BTreeSet<GroupName>>,
}

/// Nobody of this name is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not in the configuration: add it under [users] or [agents]")]
pub struct UnknownIdentity(pub String);

impl People {
    /// The groups of an identity.
    pub fn groups(&self, identity: &Identity) -> Result<&BTreeSet<GroupName>, UnknownIdentity> {
        let groups = match identity {
            Identity::User(name) => self.users.get(name),
            Identity::Agent(name) => self.agents.get(name),
        };
        groups.ok_or_else(|| UnknownIdentity(identity.to_string()))
    }

    /// An identity, and whom it acts for, with their groups.
    pub fn subject(&self, identity: &Identity, on_behalf_of: Option<&UserName>) -> Result<Subject, UnknownIdentity> {
        let on_behalf_of = on_behalf_of.map(|user| {
            let groups = self.groups(&Identity::User(user.clone()))?.clone();
            Ok::<_, UnknownIdentity>((user.clone(), groups))
        });
        Ok(Subject {
            identity: identity.clone(),
            groups: self.groups(identity)?.clone(),
            on_behalf_of: on_behalf_of.transpose()?,
        })
    }
}
