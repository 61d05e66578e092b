//! Decisions of accesses without facts, such as that a target is opened or a class revealed: every session asks the same.
//!
//! They belong to one set of policies, and go with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use gatehouse_model::{Access, Decision, Subject};

/// The most decisions that are remembered; past them all are forgotten.
const DECISIONS_MAX: usize = 1024;
/// What is done to a resource with a longer id is not remembered, in bytes.
const NAME_BYTES_MAX: usize = 512;

#[derive(Default)]
pub(crate) struct Remembered(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: usize,
    decisions: HashMap<Subject, HashMap<Access, Decision>>,
}

impl Remembered {
    /// The decision that is remembered, or else what `decide` says.
    pub(crate) fn of(&self, subject: &Subject, access: &Access, decide: impl FnOnce() -> Decision) -> Decision {
        if access.resource.id.len() > NAME_BYTES_MAX {
            return decide();
        }
        if let Some(decision) = self.known(|known| known.decisions.get(subject)?.get(access).cloned()) {
            return decision;
        }
        let decision = decide();
        self.known(|known| {
            if known.count >= DECISIONS_MAX {
                *known = Known::default();
            }
            known.count += 1;
            // By another thread meanwhile it was decided alike.
            known.decisions.entry(subject.clone()).or_default().insert(access.clone(), decision.clone());
        });
        decision
    }

    fn known<R>(&self, look: impl FnOnce(&mut Known) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{Action, AgentName, Identity, Resource, Verdict, kind};

    use super::*;

    fn subject(name: &str) -> Subject {
        let identity = Identity::Agent(AgentName::new(name).unwrap());
        Subject { identity, groups: Default::default(), on_behalf_of: None }
    }

    fn access(class: &str) -> Access {
        Access::new(Action::REVEAL, Resource::root(kind::CLASS, class))
    }

    fn decision(verdict: Verdict) -> Decision {
        Decision { verdict, ..crate::combine([]) }
    }

    #[test]
    fn the_same_is_decided_once_and_nothing_else_is_it() {
        let remembered = Remembered::default();
        let ask = |name: &str, class: &str, verdict| {
            remembered.of(&subject(name), &access(class), || decision(verdict)).verdict
        };
        assert_eq!(ask("a", "email", Verdict::Allow), Verdict::Allow);
        assert_eq!(ask("a", "email", Verdict::Deny), Verdict::Allow);
        assert_eq!(ask("b", "email", Verdict::Deny), Verdict::Deny);
        assert_eq!(ask("a", "phone", Verdict::Hold), Verdict::Hold);
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let remembered = Remembered::default();
        for number in 0..3 * DECISIONS_MAX {
            remembered.of(&subject("a"), &access(&number.to_string()), || decision(Verdict::Allow));
        }
        let held = remembered.known(|known| known.decisions.values().map(HashMap::len).sum::<usize>());
        assert!(held <= DECISIONS_MAX, "{held}");
        let long = access(&"x".repeat(NAME_BYTES_MAX + 1));
        remembered.of(&subject("a"), &long, || decision(Verdict::Allow));
        assert_eq!(remembered.of(&subject("a"), &long, || decision(Verdict::Deny)).verdict, Verdict::Deny);
    }
}
