//! Who is who, and which credentials are alive: the people and agents of the configuration, people who signed in at their
//! provider, tasks, and what tasks issue.
//!
//! Knows the model and the index. Makes credentials from random bytes that it is given, and keeps only verifiers.

mod assertion;
mod cached;
mod claims;
mod credential;
mod issuer;
mod keys;
mod oidc;
mod own_token;
mod people;
mod tasks;
mod token;
mod visitors;

pub use assertion::Assertions;
pub use claims::ACTORS_MAX;
pub use credential::{Credential, Token, hmac, proves, token_digest};
pub use issuer::{
    AgentRule, Bearer, Believed, Issuer, KEY_SET_BYTES_MAX, KeySet, KeySetError, Keys, PublishedKeys, SKEW_SECS_MAX,
    TOKEN_BYTES_MAX, TokenError, TokenLogin, issuer_of, verify as verify_token,
};
pub use keys::{ApiKey, KeyBook};
pub use oidc::{
    Again, BrowserSecret, DeviceLogin, Fetch, FetchError, GROUPS_MAX, Person, Provider, ProviderSettings,
    SIGN_IN_SECS_MAX, SignInError,
};
pub use own_token::{NoTokenKey, TaskToken, TokenKey};
pub use people::{People, UnknownIdentity};
pub use tasks::{NewTask, StartedTask, TaskBook, TaskError, reason};
pub use token::algorithms;
pub use visitors::{Known, Visit, Visitors};
