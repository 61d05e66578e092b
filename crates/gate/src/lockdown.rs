//! What a person has shut, whatever policy permits: everything, one identity, or one target.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use gatehouse_journal::{LockdownBegun, LockdownLifted};
use gatehouse_model::{Denial, Identity, InvalidName, Reason, TargetName, UserName};
use jiff::Timestamp;

use crate::ledger::{Ledger, Unrecorded};

/// What is shut.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything.
    All,
    /// Whatever this identity does, and whatever is done for it.
    Identity(Identity),
    /// Whatever is done at this target.
    Target(TargetName),
}

impl Scope {
    /// Reads `all`, `agent:NAME`, `user:NAME` or `target:NAME`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some(("target", name)) => TargetName::new(name).map(Self::Target),
            Some(_) | None => Identity::parse(text).map(Self::Identity).map_err(|error| InvalidName {
                what: "scope",
                rule: "write all, agent:NAME, user:NAME or target:NAME",
                ..error
            }),
        }
    }

    /// Whether it shuts what this identity does there, for itself or for a person.
    pub fn holds(&self, identity: &Identity, on_behalf_of: Option<&UserName>, target: &TargetName) -> bool {
        self.holds_who(identity, on_behalf_of) || matches!(self, Self::Target(shut) if shut == target)
    }

    /// Whether it shuts this identity, or the person whom it works for, wherever that is.
    fn holds_who(&self, identity: &Identity, on_behalf_of: Option<&UserName>) -> bool {
        match self {
            Self::All => true,
            Self::Identity(shut) => {
                shut == identity || on_behalf_of.is_some_and(|user| *shut == Identity::User(user.clone()))
            }
            Self::Target(_) => false,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Identity(identity) => write!(f, "{identity}"),
            Self::Target(target) => write!(f, "target:{target}"),
        }
    }
}

/// One lockdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockdown {
    /// Of what.
    pub scope: Scope,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Lockdown {
    /// What is said to whoever meets it.
    pub fn denial(&self) -> Denial {
        Denial::new(
            Reason::Policy,
            format!("lockdown: {} is shut", self.scope),
            format!("since {}: {}", self.since, self.reason),
            format!("An administrator of the gateway lifts it with `gatehouse lockdown lift {}`", self.scope),
        )
    }
}

/// The lockdowns in force.
pub struct Lockdowns {
    in_force: ArcSwap<BTreeMap<Scope, Lockdown>>,
    /// Held over each change and its record, so that both come in one order.
    changing: Mutex<()>,
    ledger: Ledger,
}

impl Lockdowns {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { in_force: ArcSwap::default(), changing: Mutex::new(()), ledger }
    }

    /// Begins one; of what is shut already this one takes the place. It is in force even if it cannot be recorded, but then
    /// a restart does not know of it.
    pub fn begin(&self, lockdown: Lockdown) -> Result<(), Unrecorded> {
        let entry = LockdownBegun {
            scope: lockdown.scope.to_string(),
            by: lockdown.by.clone(),
            reason: lockdown.reason.clone(),
        };
        let now = lockdown.since;
        let _changing = self.changing();
        self.change(|in_force| drop(in_force.insert(lockdown.scope.clone(), lockdown.clone())));
        self.ledger.record(now, entry).map(|_| ())
    }

    /// Lifts one; false if there is none of that scope.
    pub fn lift(&self, now: Timestamp, scope: &Scope, by: &str) -> Result<bool, Unrecorded> {
        let _changing = self.changing();
        if !self.in_force.load().contains_key(scope) {
            return Ok(false);
        }
        self.ledger.record(now, LockdownLifted { scope: scope.to_string(), by: by.into() })?;
        self.change(|in_force| drop(in_force.remove(scope)));
        Ok(true)
    }

    /// Puts back what a restart found in the index.
    pub fn restore(&self, lockdowns: impl IntoIterator<Item = Lockdown>) {
        let found: BTreeMap<Scope, Lockdown> =
            lockdowns.into_iter().map(|lockdown| (lockdown.scope.clone(), lockdown)).collect();
        self.in_force.store(Arc::new(found));
    }

    /// All that are in force.
    pub fn all(&self) -> Vec<Lockdown> {
        self.in_force.load().values().cloned().collect()
    }

    /// The one that shuts what this identity does there, if any does.
    pub fn of(&self, identity: &Identity, on_behalf_of: Option<&UserName>, target: &TargetName) -> Option<Lockdown> {
        let in_force = self.in_force.load();
        in_force.values().find(|lockdown| lockdown.scope.holds(identity, on_behalf_of, target)).cloned()
    }

    /// The one that shuts whatever this identity does, if any does.
    pub fn of_who(&self, identity: &Identity, on_behalf_of: Option<&UserName>) -> Option<Lockdown> {
        let in_force = self.in_force.load();
        in_force.values().find(|lockdown| lockdown.scope.holds_who(identity, on_behalf_of)).cloned()
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<Scope, Lockdown>)) {
        let mut changed = BTreeMap::clone(&self.in_force.load());
        change(&mut changed);
        self.in_force.store(Arc::new(changed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_back_and_hold_what_they_say() {
        let (claude, dana) = (Identity::parse("agent:claude").unwrap(), UserName::new("dana").unwrap());
        let shop = TargetName::new("shop").unwrap();
        for (text, alone, for_dana) in [
            ("all", true, true),
            ("agent:claude", true, true),
            ("agent:other", false, false),
            ("user:dana", false, true),
            ("target:shop", true, true),
            ("target:other", false, false),
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!(scope.to_string(), text);
            assert_eq!(scope.holds(&claude, None, &shop), alone, "{text}");
            assert_eq!(scope.holds(&claude, Some(&dana), &shop), for_dana, "{text}");
        }
        for text in ["", "everything", "target:", "shop", "group:dba"] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
    }
}
