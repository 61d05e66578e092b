//! People who signed in at their provider: the configuration need not name them.
//!
//! Knows for how long what a provider said of somebody counts. What it said it does not check.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatehouse_model::{GroupName, Identity, Subject, UserName};
use jiff::Timestamp;

use crate::people::{People, UnknownIdentity};

/// What a provider said of somebody, and until when that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// What it calls them, for good: another with the same name is somebody else.
    pub subject: String,
    /// Which provider it is, and how it is understood: see [`Provider::fingerprint`](crate::Provider::fingerprint).
    pub provider: String,
    /// The groups.
    pub groups: BTreeSet<GroupName>,
    /// Until when.
    pub until: Timestamp,
}

/// Everyone who signed in.
#[derive(Debug, Default)]
pub struct Visitors {
    visits: Mutex<HashMap<UserName, Visit>>,
}

impl Visitors {
    /// Takes in what a provider says now, in place of what it said before.
    pub fn welcome(&self, user: &UserName, visit: Visit) {
        self.lock().insert(user.clone(), visit);
    }

    /// What a provider said of somebody, if that counts.
    pub fn visit(&self, user: &UserName, now: Timestamp) -> Option<Visit> {
        self.lock().get(user).filter(|visit| now < visit.until).cloned()
    }

    /// The other names under which the provider knows the same person.
    pub fn also_called(&self, user: &UserName, visit: &Visit) -> Vec<UserName> {
        let same = |other: &Visit| (&other.provider, &other.subject) == (&visit.provider, &visit.subject);
        let visits = self.lock();
        visits.iter().filter(|(name, other)| *name != user && same(other)).map(|(name, _)| name.clone()).collect()
    }

    /// Puts back what a restart found.
    pub fn restore(&self, visits: BTreeMap<UserName, Visit>) {
        self.lock().extend(visits);
    }

    /// Forgets somebody; false if nobody knew them.
    pub fn forget(&self, user: &UserName) -> bool {
        self.lock().remove(user).is_some()
    }

    /// Everybody of whom nothing counts any more.
    pub fn lapsed(&self, now: Timestamp) -> Vec<UserName> {
        self.lock().iter().filter(|(_, visit)| visit.until <= now).map(|(user, _)| user.clone()).collect()
    }

    /// Everybody whom another provider let in than this one, or this one understood in another way.
    pub fn strangers_to(&self, provider: Option<&str>) -> Vec<UserName> {
        let visits = self.lock();
        visits
            .iter()
            .filter(|(_, visit)| Some(visit.provider.as_str()) != provider)
            .map(|(user, _)| user.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everyone who is known at one moment: those of the configuration, and those who signed in.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Those of the configuration.
    pub people: &'a People,
    /// Those who signed in.
    pub visitors: &'a Visitors,
    /// The moment.
    pub now: Timestamp,
}

impl Known<'_> {
    /// The groups of an identity. A person of the configuration who signed in has those of both.
    pub fn groups(&self, identity: &Identity) -> Result<BTreeSet<GroupName>, UnknownIdentity> {
        let configured = self.people.groups(identity).cloned();
        let Identity::User(user) = identity else { return configured };
        let visiting = self.visitors.visit(user, self.now).map(|visit| visit.groups);
        match (configured, visiting) {
            (configured, None) => configured,
            (Err(_), Some(visiting)) => Ok(visiting),
            (Ok(mut groups), Some(visiting)) => {
                groups.extend(visiting);
                Ok(groups)
            }
        }
    }

    /// An identity, and whom it acts for, with their groups.
    pub fn subject(&self, identity: &Identity, on_behalf_of: Option<&UserName>) -> Result<Subject, UnknownIdentity> {
        let on_behalf_of = on_behalf_of.map(|user| {
            let groups = self.groups(&Identity::User(user.clone()))?;
            Ok::<_, UnknownIdentity>((user.clone(), groups))
        });
        Ok(Subject {
            identity: identity.clone(),
            groups: self.groups(identity)?,
            on_behalf_of: on_behalf_of.transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(names: &[&str]) -> BTreeSet<GroupName> {
        names.iter().map(|name| GroupName::new(name).unwrap()).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn visit(subject: &str, names: &[&str], until: i64) -> Visit {
        Visit { subject: subject.into(), provider: "p".into(), groups: groups(names), until: at(until) }
    }

    #[test]
    fn what_a_provider_said_counts_for_its_time_and_beside_the_configuration() {
        let (dana, eve) = (UserName::new("dana").unwrap(), UserName::new("eve@corp.example").unwrap());
        let mut people = People::default();
        people.users.insert(dana.clone(), groups(&["dba"]));
        let visitors = Visitors::default();
        let known = |second, user: &UserName| {
            let known = Known { people: &people, visitors: &visitors, now: at(second) };
            known.groups(&Identity::User(user.clone())).ok()
        };
        assert_eq!((known(0, &dana), known(0, &eve)), (Some(groups(&["dba"])), None));
        visitors.welcome(&dana, visit("1", &["oncall"], 10));
        visitors.welcome(&eve, visit("2", &["support"], 20));
        assert_eq!(known(9, &dana), Some(groups(&["dba", "oncall"])));
        assert_eq!((known(19, &eve), known(20, &eve)), (Some(groups(&["support"])), None));
        assert_eq!(known(10, &dana), Some(groups(&["dba"])));
        assert_eq!(visitors.lapsed(at(10)), std::slice::from_ref(&dana));
        assert!(visitors.forget(&eve) && !visitors.forget(&eve));
    }

    #[test]
    fn one_person_is_known_by_another_name_and_another_provider_knows_nobody() {
        let (old, new) = (UserName::new("dana@corp.example").unwrap(), UserName::new("dana.k@corp.example").unwrap());
        let visitors = Visitors::default();
        visitors.welcome(&old, visit("1", &[], 10));
        assert_eq!(visitors.also_called(&new, &visit("1", &[], 10)), std::slice::from_ref(&old));
        assert!(visitors.also_called(&new, &visit("2", &[], 10)).is_empty());
        assert!(visitors.also_called(&old, &visit("1", &[], 10)).is_empty());
        assert!(visitors.strangers_to(Some("p")).is_empty());
        assert_eq!(visitors.strangers_to(Some("q")), std::slice::from_ref(&old));
        assert_eq!(visitors.strangers_to(None), [old]);
    }

    #[test]
    fn an_agent_signs_in_nowhere() {
        let visitors = Visitors::default();
        visitors.welcome(&UserName::new("claude").unwrap(), visit("1", &["dba"], 10));
        let known = Known { people: &People::default(), visitors: &visitors, now: at(0) };
        assert!(known.groups(&Identity::parse("agent:claude").unwrap()).is_err());
    }
}
