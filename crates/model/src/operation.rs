//! One thing that the client asks, understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Access;

/// How far an operation takes its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The target learns the statement but runs nothing: a hold takes effect only when it is to run.
    Prepare,
    /// The target runs it.
    Run,
}

/// Whether an operation can change the target; decides how durable its record must be before it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// May change something.
    Write,
}

/// One bind value, as the approver sees it and as the digest covers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// SQL NULL.
    Null,
    /// A value in text form.
    Text(String),
    /// A value in binary form that has no known text form.
    Binary(Vec<u8>),
}

/// A fact about an operation that a policy can test in its context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FactValue {
    /// A yes or no.
    Bool(bool),
    /// A count.
    Long(i64),
    /// A text.
    Text(String),
}

/// Facts by name; the protocol's schema fragment declares them.
pub type Facts = BTreeMap<&'static str, FactValue>;

/// One thing that the client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// A word or two for listings, such as `DELETE`.
    pub title: String,
    /// The statement to the letter. It is digested and shown to an approver, never stored.
    pub statement: Arc<str>,
    /// The statement as evidence keeps it: constants that may be classified are taken out.
    pub evidence: Arc<str>,
    /// Bind values to the letter; digested and shown to an approver, never stored.
    pub binds: Vec<Bind>,
    /// The bind values as evidence keeps them, in the same way.
    pub evidence_binds: Vec<String>,
    /// Session state that changes what the statement means, by name.
    pub state: BTreeMap<String, String>,
    /// Everything that it wants.
    pub accesses: Vec<Access>,
    /// What policies can test.
    pub facts: Facts,
    /// Whether it can change the target.
    pub effect: Effect,
    /// Whether it runs now or is only made known.
    pub phase: Phase,
}

impl Operation {
    /// The name in [`Operation::state`] of what only the session itself knows: an approval of an operation that has it
    /// binds to its session too.
    pub const SESSION_STATE: &str = "changes of this session";
}
