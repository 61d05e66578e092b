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
    /// Takes in what a provider says now. True if the person's groups are others than before, and what they had before
    /// must not go on.
    pub fn welcome(&self, user: &UserName, visit: Visit) -> bool {
        let groups = visit.groups.clone();
        let before = self.lock().insert(user.clone(), visit);
        before.is_some_and(|before| before.groups != groups)
    }

    /// Until when what the provider said of somebody counts.
    pub fn until(&self, user: &UserName) -> Option<Timestamp> {
        self.lock().get(user).map(|visit| visit.until)
    }

    /// Puts back what a restart found.
    pub fn restore(&self, visits: BTreeMap<UserName, Visit>) {
        self.lock().extend(visits);
    }

    /// Forgets somebody; false if nobody knew them.
    pub fn forget(&self, user: &UserName) -> bool {
        self.lock().remove(user).is_some()
    }

    /// Forgets everybody of whom nothing counts any more, and says who they are.
    pub fn lapse(&self, now: Timestamp) -> Vec<UserName> {
        let mut visits = self.lock();
        let lapsed: Vec<UserName> =
            visits.iter().filter(|(_, visit)| visit.until <= now).map(|(user, _)| user.clone()).collect();
        visits.retain(|_, visit| now < visit.until);
        lapsed
    }

    fn groups(&self, user: &UserName, now: Timestamp) -> Option<BTreeSet<GroupName>> {
        self.lock().get(user).filter(|visit| now < visit.until).map(|visit| visit.groups.clone())
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
        match (configured, self.visitors.groups(user, self.now)) {
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
        let visit = |names: &[&str], until| Visit { groups: groups(names), until: at(until) };
        assert!(!visitors.welcome(&dana, visit(&["oncall"], 10)));
        assert!(!visitors.welcome(&eve, visit(&["support"], 10)));
        assert_eq!(known(9, &dana), Some(groups(&["dba", "oncall"])));
        assert_eq!((known(9, &eve), known(10, &eve)), (Some(groups(&["support"])), None));
        assert!(!visitors.welcome(&eve, visit(&["support"], 20)), "the same groups change nothing");
        assert!(visitors.welcome(&eve, visit(&[], 20)));
        assert_eq!(visitors.lapse(at(10)), std::slice::from_ref(&dana));
        assert_eq!((known(9, &dana), known(9, &eve)), (Some(groups(&["dba"])), Some(groups(&[]))));
        assert!(visitors.forget(&eve) && !visitors.forget(&eve));
    }

    #[test]
    fn an_agent_signs_in_nowhere() {
        let visitors = Visitors::default();
        visitors.welcome(&UserName::new("claude").unwrap(), Visit { groups: groups(&["dba"]), until: at(10) });
        let known = Known { people: &People::default(), visitors: &visitors, now: at(0) };
        assert!(known.groups(&Identity::parse("agent:claude").unwrap()).is_err());
    }
}
