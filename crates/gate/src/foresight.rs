//! What the door would do with something that a client could ask, while nobody asks it: nothing is sent or recorded.
//!
//! Reads by the same session that reads a client's bytes, and decides by the same policies and plans. It knows no budget,
//! no changed description and no pseudonym that a task was given: of those the door may say more.

use std::sync::Arc;

use bytes::Bytes;
use gatehouse_mask::{ColumnPlan, Plan};
use gatehouse_model::{
    Access, Action, ClassName, Column, Decision, Denial, Facts, Operation, Reason, Resource, Secret, Shape, ShapeRole,
    Subject, Verdict, kind,
};
use gatehouse_policy::{Policies, combine};
use gatehouse_protocol::{CancelKey, Meaning, Opening, Protocol, Side, Step, SurveyFacts, TargetReady};

use crate::grant::{Target, TargetClasses};

/// What the frames of a question have besides its text, at most, in bytes.
const AROUND_BYTES: usize = 4096;

/// Something that a client could ask, understood.
#[derive(Debug, Clone)]
pub struct Understood {
    /// What it is.
    pub operation: Operation,
    /// The columns that would come back; `None` where that shows only when they come.
    pub columns: Option<Vec<Column>>,
}

/// What would become of it.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// What is decided of all of it.
    pub decision: Decision,
    /// What is decided of each access.
    pub accesses: Vec<(Access, Decision)>,
    /// What would become of the values of each column.
    pub columns: Option<Vec<(Column, ColumnPlan)>>,
}

/// Understands a text as the first that a new session's client asks.
///
/// # Errors
/// What the client would be told, of a text that is not understood.
pub fn understand(
    protocol: &dyn Protocol,
    target: &Target,
    facts: &SurveyFacts,
    text: &str,
) -> Result<Understood, Denial> {
    let question = protocol.question(text);
    let mut session = protocol.session(Opening {
        target: target.name.clone(),
        facts: facts.clone(),
        classifier: target.classes.clone(),
        ready: TargetReady { parameters: Vec::new(), cancel: CancelKey(Bytes::new()) },
        parameters: Vec::new(),
        shows_order: true,
        secrets: Vec::new(),
        bond: Secret::new(*b"no task"),
        frame_bytes_max: text.len() + AROUND_BYTES,
    });
    let not_alone = || {
        let message = "it has no meaning by itself";
        Denial::new(Reason::NotUnderstood, message, "", "Ask what a client can ask first on a new connection")
    };
    let breach = |breach: gatehouse_protocol::Breach| breach.denial.map_or_else(not_alone, |denial| *denial);
    let mut step = session.inspect(Side::Client, &question).map_err(breach)?;
    if step == Step::Survey {
        session.surveyed(facts.clone());
        step = session.inspect(Side::Client, &question).map_err(breach)?;
    }
    match step {
        Step::Run { meaning: Meaning::Act(operation), .. } => {
            Ok(Understood { operation: *operation, columns: session.foreseen() })
        }
        Step::Run { meaning: Meaning::Misunderstood(misunderstood), .. } => Err(misunderstood.denial),
        Step::Run { .. } | Step::Read { .. } | Step::Wait | Step::Survey => Err(not_alone()),
    }
}

impl Understood {
    /// What would become of it under these policies, for somebody whose task has no budget.
    pub fn foresee(&self, policies: &Policies, subject: &Subject, target: &Target) -> Foreseen {
        let intent = &self.operation.intent;
        let decide = |access: &Access| policies.decide(subject, access, &intent.facts);
        let mut accesses: Vec<(Access, Decision)> =
            intent.accesses.iter().map(|access| (access.clone(), decide(access))).collect();
        // Who may not connect asks nothing.
        let connect = Access::new(Action::CONNECT, Resource::root(kind::TARGET, target.name.as_str()));
        let decision = policies.decide(subject, &connect, &Facts::new());
        if decision.verdict != Verdict::Allow {
            let denied = Decision { verdict: Verdict::Deny, ..decision };
            accesses.push((connect, denied));
        }
        let decision = combine(accesses.iter().map(|(_, decision)| decision.clone()));
        let columns = self.columns.as_ref().map(|columns| {
            let plan = plan(policies, subject, &target.classes, columns);
            columns.iter().cloned().zip(plan.columns().iter().cloned()).collect()
        });
        Foreseen { decision, accesses, columns }
    }
}

fn plan(policies: &Policies, subject: &Subject, classes: &TargetClasses, columns: &[Column]) -> Plan {
    let shape = Arc::new(Shape { role: ShapeRole::Rows, columns: columns.to_vec() });
    let may_reveal = |resource: Resource| {
        let access = Access::new(Action::REVEAL, resource);
        policies.decide(subject, &access, &Facts::new()).verdict == Verdict::Allow
    };
    let mut reveals = |column: &Resource| may_reveal(column.clone());
    let mut reveal_class = |class: &ClassName| may_reveal(Resource::root(kind::CLASS, class.as_str()));
    classes.plan(&shape, &mut reveals, &mut reveal_class, &|_| false)
}
