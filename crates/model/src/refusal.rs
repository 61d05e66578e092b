//! A "no" with its cause and its remedy.

use crate::{PolicyId, RequestId};

/// Who is to blame for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent what it may not.
    Client,
    /// The target sent what it may not, or went away.
    Target,
    /// Gatehouse or its machine failed.
    Gateway,
}

/// The kind of refusal; each protocol has its own native form for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Policy said no.
    Policy,
    /// A person said no.
    Disapproved,
    /// The operation waits for a person, and the client is not to wait with it.
    Held,
    /// The hold ended without an answer.
    HoldExpired,
    /// The client withdrew it.
    Withdrawn,
    /// The operation was not understood, so it was not passed.
    NotUnderstood,
    /// It is not a sentence of the target's language.
    Syntax,
    /// It names something that the session does not have.
    Unknown,
    /// Something grew past a named limit.
    Limit,
    /// The gateway has as many connections as it may.
    Full,
    /// The record could not be written, so nothing may pass.
    Unrecorded,
    /// The task or its identity is no longer valid.
    TaskEnded,
    /// The login failed.
    Login,
    /// The target cannot be reached or refused the gateway.
    Unreachable,
    /// The target was silent for too long; nobody knows whether it did what was asked.
    Silent,
}

/// What the client is told instead of an answer. It carries no word of the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The kind of refusal.
    pub reason: Reason,
    /// One sentence: what was refused.
    pub message: String,
    /// The cause, such as the access and the policy.
    pub detail: String,
    /// The next step that the client can take.
    pub hint: String,
    /// The policies that decided.
    pub policies: Vec<PolicyId>,
    /// The request that a person can answer, if one was filed.
    pub request: Option<RequestId>,
}

impl Denial {
    /// A refusal that no policy made.
    pub fn new(reason: Reason, message: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            detail: detail.into(),
            hint: hint.into(),
            policies: Vec::new(),
            request: None,
        }
    }
}
