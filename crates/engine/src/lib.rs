//! The only data-path sockets: listens, dials, and carries bytes between them and the gate.
//!
//! Knows sockets, TLS, time and tasks of the runtime. What bytes mean it asks the gate, and it writes nothing but
//! what the gate cleared: `dial` takes nothing but a grant, [`Outlet`] nothing but a cleared frame.

mod aside;
mod carriers;
mod carry;
mod certificate;
mod dial;
mod disk;
mod exchanges;
mod listener;
mod login;
mod outlet;
mod places;
mod roster;
mod surveyor;
mod tls;
mod web;
mod wire;

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use gatehouse_gate::{Grant, Tape, Target};
use gatehouse_model::{Denial, Lease, Secret, SessionId, TaskAccount, TaskId};
use gatehouse_protocol::{ClientCertificate, Proof};
use jiff::Timestamp;

pub use disk::Disk;
pub use listener::{Engine, EngineLimits, Listener, Spoken};
pub use outlet::Outlet;
pub use roster::{LiveSession, Roster};
pub use tls::{
    ClientAuthority, ServerTls, TlsError, authorities_at, check_client_authority, check_identity, system_authorities,
};
pub use web::{WebStream, check_authorities, connect_listener, connect_web};

/// A client that is to prove who it is.
#[derive(Debug, Clone, Default)]
pub struct Stranger {
    /// The name that it logs in by.
    pub user: String,
    /// The target that it names; empty for the only one of its task.
    pub target: String,
    /// Whether nobody else can read what it sends.
    pub is_private: bool,
    /// The certificate that it showed.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Where clients get tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSource {
    /// What the names of the targets begin with for which tokens are given: where clients reach the gateway.
    pub resources: String,
    /// Who gives them: the issuer of RFC 8414.
    pub issuer: String,
}

/// As whom the gateway logs in at a target.
#[derive(Debug, Clone)]
pub struct TargetAccount {
    /// The account's name.
    pub user: String,
    /// Its secret.
    pub password: Secret,
}

/// What the engine asks of the rest of the gateway.
pub trait House: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// 32 random bytes.
    fn entropy(&self) -> [u8; 32];

    /// How a client is to prove who it is; for a password, which task it is then in. Without a task it is a decoy, always the
    /// same for the same user.
    fn proof(&self, stranger: &Stranger) -> (Option<TaskId>, Proof);

    /// The task of a client that showed a token or password, or, without, a certificate.
    fn recognize(
        self: Arc<Self>,
        stranger: Stranger,
        shown: Option<Secret>,
    ) -> BoxFuture<'static, Result<TaskId, Denial>>;

    /// The lease of a task as it stands now, with what its sessions share.
    fn lease(&self, task: &TaskId) -> Option<(Lease, Arc<TaskAccount>)>;

    /// A target of the configuration.
    fn target(&self, name: &str) -> Option<Arc<Target>>;

    /// The target that a host stands for, by the names that the configuration gives it.
    fn named(&self, host: &str, port: Option<u16>) -> Option<String>;

    /// Whether an address is a target's, or the gateway's own: what is dialed for a tunnel must be neither.
    fn is_own(&self, host: &str, port: u16) -> bool;

    /// The hosts of targets that are dialed at a port.
    fn dialed_at(&self, port: u16) -> Vec<String>;

    /// Who gives tokens for what rides on HTTP; `None` where nobody does.
    fn token_source(&self) -> Option<TokenSource>;

    /// What makes the gateway stand in for a host, before clients that take it for their proxy.
    fn stands_in_for(&self, host: &str) -> Option<ServerTls>;

    /// As whom the gateway logs in at a target for a task; or in words why that cannot be had.
    fn account(self: Arc<Self>, grant: Arc<Grant>) -> BoxFuture<'static, Result<TargetAccount, String>>;

    /// A target did not take the account: what was kept of it may be old, and is forgotten. Whether there may be a newer
    /// one.
    fn account_refused(&self, target: &Target, task: &TaskId, account: &TargetAccount) -> bool;

    /// A new recording.
    fn tape(&self, session: &SessionId, target: &Target, opened: Timestamp) -> io::Result<Box<dyn Tape>>;
}
