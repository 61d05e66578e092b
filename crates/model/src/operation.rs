//! One thing that the client asks, understood.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Access, ClassName, Denial};

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
    /// Texts, in no order.
    Texts(Vec<String>),
}

/// Facts by name; the protocol's schema fragment declares them.
pub type Facts = BTreeMap<&'static str, FactValue>;

/// What a statement wants, understood once for everyone who sends it with whatever values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// A word or two for listings, such as `DELETE`.
    pub title: String,
    /// The statement to the letter. It is digested and shown to an approver, never stored.
    pub statement: Arc<str>,
    /// The statement as evidence keeps it: constants that may be classified are taken out.
    pub evidence: Arc<str>,
    /// Everything that it wants.
    pub accesses: Vec<Access>,
    /// What policies can test.
    pub facts: Facts,
    /// Whether it can change the target.
    pub effect: Effect,
    /// Whether it does nothing but end what was begun, such as a transaction.
    pub only_ends: bool,
    /// The names in it that may stand for something else by the time that it is approved, also those behind views.
    pub names: Vec<Arc<str>>,
    /// What it makes of classified values, where that matters to whoever counts them.
    pub repacks: Repacks,
    /// Why it was not understood, where it was not. Its accesses are then all that it could want, and where they are
    /// denied the client is told this.
    pub unclear: Option<Denial>,
}

impl Intent {
    /// Of somebody who wants nothing.
    pub fn nothing() -> Self {
        Self {
            title: String::new(),
            statement: "".into(),
            evidence: "".into(),
            accesses: Vec::new(),
            facts: Facts::new(),
            effect: Effect::Read,
            only_ends: false,
            names: Vec::new(),
            repacks: Repacks::Classes(Vec::new()),
            unclear: None,
        }
    }
}

/// Which classes' values an operation writes in another form than they had, such as many of them in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repacks {
    /// Those of these, of which there may be none.
    Classes(Vec<ClassName>),
    /// It cannot be seen through.
    Unknown,
}

/// A text in an operation that a column of classes is compared with, or that is written into one: it may be a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The column's classes.
    pub classes: Arc<[ClassName]>,
    /// The text.
    pub text: CandidateText,
    /// It decides which rows there are.
    pub decides: bool,
}

/// What is known of such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CandidateText {
    /// It; of a UUID, its sixteen bytes.
    Known(Vec<u8>),
    /// It comes with the values that the operation is run with.
    Later,
    /// It cannot be turned back where it stands.
    Fixed,
}

/// What an operation may name by pseudonyms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// What is wanted where each text that decides is a pseudonym that its task was given.
    pub intent: Arc<Intent>,
    /// The texts, in the order in which the session takes what is to stand for them.
    pub texts: Vec<Candidate>,
    /// Where that is no less than by guesses, for what several of them would tell together: what the client can do instead.
    pub remedy: Option<&'static str>,
}

/// One thing that the client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What it wants. Two operations with the same allocation want the same.
    pub intent: Arc<Intent>,
    /// What it may name by pseudonyms; `None` of most.
    pub candidates: Option<Box<Candidates>>,
    /// Bind values to the letter; digested and shown to an approver, never stored.
    pub binds: Vec<Bind>,
    /// The bind values as evidence keeps them, in the same way as the statement.
    pub evidence_binds: Vec<String>,
    /// Session state that changes what the statement means, by name.
    pub state: Arc<BTreeMap<String, String>>,
    /// Whether it runs now or is only made known.
    pub phase: Phase,
    /// Whether its client waits for a person, should that be; else it is refused at once, and asks again.
    pub waits: bool,
}

impl Operation {
    /// The name in [`Operation::state`] of what only the session itself knows: an approval of an operation that has it
    /// binds to its session too.
    pub const SESSION_STATE: &str = "changes of this session";
}
