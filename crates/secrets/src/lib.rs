//! Where the real credentials come from: files, the environment, HashiCorp Vault and OpenBao, AWS Secrets Manager, and
//! programs.
//!
//! Knows where a secret lies and how it is asked for, never what it is for. Opens no connection and runs no program by itself:
//! it is given functions that do. A secret is never logged, stored or printed, and no error holds any of it.

mod aws;
mod client;
mod keeper;
mod reference;
mod text;
mod vault;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gatehouse_model::Secret;
use http::{Request, Response};

use crate::reference::SECRET_BYTES_MAX;

pub use aws::Aws;
pub use client::Client;
pub use keeper::{Keeper, Sources};
pub use reference::Reference;
pub use vault::{MadeAccount, Vault, VaultLogin, is_role};

/// Sends a request and gives the whole answer, or says in words why there is none.
pub type Fetch = Arc<dyn Fn(Request<Vec<u8>>) -> BoxFuture<'static, Result<Response<Vec<u8>>, String>> + Send + Sync>;

/// Runs a program with arguments and gives what it prints, or says in words why there is nothing.
pub type Run = Arc<dyn Fn(Vec<String>) -> BoxFuture<'static, Result<Secret, String>> + Send + Sync>;

/// Why a secret cannot be had. No variant holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not a reference.
    #[error(
        "`{0}` is no reference to a secret: write file:PATH, env:NAME, vault:MOUNT/PATH#FIELD, aws:NAME#FIELD or \
         exec:/PATH, not the secret itself"
    )]
    NotAReference(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could read it.
    #[error("the secret file {path} can be read by others (mode {mode:o}): chmod 600 {path}")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too long for a secret.
    #[error("the secret {0} is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong(String),
    /// No such variable.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// Nothing there.
    #[error("the secret {0} is empty")]
    Empty(String),
    /// It lies where it has to be asked for.
    #[error("it does not lie on this machine: write file:PATH or env:NAME here")]
    Elsewhere,
    /// What it is asked of is not configured.
    #[error("there is no [{0}] section, which says where it is asked for")]
    NotConfigured(&'static str),
    /// It was asked for in vain.
    #[error("{of} does not give it: {cause}")]
    Source {
        /// Of whom.
        of: String,
        /// Why.
        cause: String,
    },
}
