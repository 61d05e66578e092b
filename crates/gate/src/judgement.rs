//! What was decided of an intent, remembered for as long as the same policies are in force.
//!
//! A verdict is a pure function of subject, accesses, facts and policies. A session has one subject, so it is asked again
//! only when one of the others is another.

use std::sync::Arc;

use gatehouse_journal::OperationTemplate;
use gatehouse_mask::Classes;
use gatehouse_model::{Decision, Intent};
use gatehouse_policy::Policies;

/// How many judgements one session remembers, and how long a statement with its evidence may be for that, in bytes.
const JUDGEMENTS_MAX: usize = 16;
const JUDGEMENT_BYTES_MAX: usize = 32 * 1024;

/// A decision, with what it was about.
pub(crate) struct Judgement {
    policies: Arc<Policies>,
    intent: Arc<Intent>,
    /// The decision.
    pub(crate) decision: Arc<Decision>,
    /// The statement as the journal keeps it.
    pub(crate) statement: Arc<str>,
    /// The record of an operation that passes by this decision; made when one does.
    pub(crate) template: Option<Arc<OperationTemplate>>,
}

impl Judgement {
    fn is_of(&self, policies: &Arc<Policies>, intent: &Arc<Intent>) -> bool {
        let same = |a: &Intent, b: &Intent| {
            (&a.accesses, &a.facts, &a.title, a.effect, &a.unclear)
                == (&b.accesses, &b.facts, &b.title, b.effect, &b.unclear)
        };
        Arc::ptr_eq(&self.policies, policies) && (Arc::ptr_eq(&self.intent, intent) || same(&self.intent, intent))
    }
}

/// The judgements of one session, the newest use last.
#[derive(Default)]
pub(crate) struct Judgements(Vec<Judgement>);

impl Judgements {
    /// The judgement of an intent: the one that is remembered, or else what `decide` says. `None` of one that is too long
    /// to be remembered.
    pub(crate) fn of(
        &mut self,
        policies: &Arc<Policies>,
        intent: &Arc<Intent>,
        classes: &Classes,
        decide: impl FnOnce() -> Decision,
    ) -> Option<&mut Judgement> {
        if intent.statement.len() + intent.evidence.len() > JUDGEMENT_BYTES_MAX {
            return None;
        }
        let known = self.0.iter().rposition(|judgement| judgement.is_of(policies, intent));
        let judgement = match known {
            Some(place) if place + 1 == self.0.len() => self.0.pop(),
            Some(place) => Some(self.0.remove(place)),
            None => None,
        };
        let judgement = match judgement {
            Some(judgement) if Arc::ptr_eq(&judgement.intent, intent) => judgement,
            // It wants the same in other words.
            Some(judgement) => {
                Judgement { intent: intent.clone(), statement: classes.scrub(&intent.evidence).into(), ..judgement }
            }
            None => {
                if self.0.len() >= JUDGEMENTS_MAX {
                    self.0.remove(0);
                }
                Judgement {
                    policies: policies.clone(),
                    intent: intent.clone(),
                    decision: Arc::new(decide()),
                    statement: classes.scrub(&intent.evidence).into(),
                    template: None,
                }
            }
        };
        self.0.push(judgement);
        self.0.last_mut()
    }
}
