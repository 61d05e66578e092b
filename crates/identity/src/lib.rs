//! Who is who, and which credentials are alive: the people and agents of the configuration, tasks, and what tasks issue.
//!
//! Knows the model and the index. Makes credentials from random bytes that it is given, and keeps only verifiers.

mod credential;
mod people;
mod tasks;

pub use credential::{Credential, Token, token_digest};
pub use people::{People, UnknownIdentity};
pub use tasks::{NewTask, StartedTask, TaskBook, TaskError};
