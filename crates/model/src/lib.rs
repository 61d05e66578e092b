//! The words of Gatehouse as types: identities, tasks, targets, operations, accesses, verdicts and classes.
//!
//! Knows nothing of how any of them is stored, sent or decided: no type here is `Serialize`, and none holds a
//! socket, a clock or a file. Every other crate speaks in these.

mod access;
mod content;
mod digest;
mod given;
mod identity;
mod name;
mod operation;
mod refusal;
mod secret;
mod task;
mod verdict;
mod verifier;

pub use access::{Access, Action, ClassifiedField, Parent, Resource, kind};
pub use content::{Column, Encoding, Provenance, Shape, ShapeRole, ValueKind};
pub use digest::{Digest, Sha256};
pub use given::{GIVEN_BYTES_MAX, GIVEN_MAX, Given};
pub use identity::{AgentName, GroupName, Identity, Subject, UserName};
pub use name::{ClassName, InvalidName, KeyId, OperationId, PolicyId, RequestId, SessionId, TargetName, TaskId};
pub use operation::{
    Bind, Candidate, CandidateText, Candidates, Effect, FactValue, Facts, Intent, Operation, Phase, Repacks,
};
pub use refusal::{Blame, Denial, Reason};
pub use secret::Secret;
pub use task::{BUDGET_VALUES_MAX, Budget, Lease, Origin, Spent, Task, TaskAccount, TaskEnd, Values};
pub use verdict::{Decision, Hold, Verdict};
pub use verifier::Verifier;
