//! The proof that a session may be opened: without a grant, nothing dials a target.

use std::sync::Arc;

use bytes::Bytes;
use gatehouse_mask::Classes;
use gatehouse_model::{ClassName, ClassifiedField, Lease, Secret, SessionId, Sha256, TargetName, TaskAccount};
use gatehouse_protocol::{Classifier, SurveyFacts};
use jiff::Timestamp;

use crate::cleared::Cleared;
use crate::desk::HoldMode;
use crate::gate;

/// Whether and how TLS is used towards a target, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the target has it; its certificate is not checked.
    Prefer,
    /// Always; its certificate is not checked.
    Require,
    /// Always; its certificate must come from a trusted authority.
    VerifyCa,
    /// The same, and it must be for the target's host.
    VerifyFull,
}

/// Which authorities vouch for a target's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operating system.
    System,
    /// Those in this PEM text.
    Pem(Arc<str>),
}

/// The gateway's own certificate for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate and those that it is signed by, as PEM text.
    pub chain: Arc<str>,
    /// Its key, as PEM text.
    pub key: Secret,
}

/// As whom the gateway logs in at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// By an account of this name.
    Named(String),
    /// By one that is made for each task, and goes with it.
    Leased,
    /// By a secret that is shown with each request.
    Shown(Showing),
    /// It asks for nothing.
    None,
}

/// Where in a request a secret is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Showing {
    /// As a bearer's token (RFC 6750).
    Bearer,
    /// As the password of this user (RFC 7617).
    Basic(String),
    /// In a header field of this name, in small letters.
    Header(String),
    /// In a parameter of the query of this name.
    Parameter(String),
    /// Not at all: it signs the request.
    Aws(AwsSigning),
}

/// How requests to a service of AWS are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSigning {
    /// The region.
    pub region: String,
    /// The service, as signatures name it.
    pub service: String,
    /// The access key's id, where it does not come with the secret.
    pub access_key_id: Option<String>,
}

/// How a target is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The account of the gateway.
    pub account: Account,
    /// The database, or the protocol's like.
    pub database: String,
    /// TLS towards the target.
    pub tls: TlsMode,
    /// Who vouches for its certificate.
    pub trust: Trust,
    /// What the gateway shows of itself, where the target asks for a certificate.
    pub identity: Option<TlsIdentity>,
}

/// A target as the configuration has it.
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// The protocol that it speaks, by the registry's name.
    pub protocol: String,
    /// How it is reached.
    pub route: Route,
    /// What happens to a held operation.
    pub on_hold: HoldMode,
    /// How long a held operation waits, in seconds.
    pub hold_secs_max: u32,
    /// The same inside of a transaction, which keeps others waiting, in seconds.
    pub transaction_hold_secs_max: u32,
    /// How old facts about the target may be, in seconds.
    pub survey_secs_max: u32,
    /// Whether the order in which rows are found may tell of classified values.
    pub shows_order: bool,
    /// Its classes and masks.
    pub classes: Arc<TargetClasses>,
    /// What its protocol made of what else the configuration says of it.
    pub facts: SurveyFacts,
}

/// The classes of a target, as protocols ask for them. One allocation stands for one configuration, so that what was
/// understood with it can be kept.
pub struct TargetClasses(pub Classes);

impl std::ops::Deref for TargetClasses {
    type Target = Classes;

    fn deref(&self) -> &Classes {
        &self.0
    }
}

impl Classifier for TargetClasses {
    fn column(&self, table: &str, column: &str) -> Vec<ClassName> {
        self.0.column(table, column)
    }

    fn fields(&self, table: &str, column: &str) -> Vec<ClassifiedField> {
        self.0.fields(table, column)
    }

    fn all(&self) -> Vec<ClassName> {
        self.0.names().cloned().collect()
    }
}

/// The right of one session to exist: one identity, one task, one target. Only the gate makes one.
#[must_use = "a grant that is dropped opens nothing"]
pub struct Grant {
    session: SessionId,
    lease: Lease,
    target: Arc<Target>,
    account: Arc<TaskAccount>,
    digest_begun: Sha256,
}

impl Grant {
    pub(crate) fn new(session: SessionId, lease: Lease, target: Arc<Target>, account: Arc<TaskAccount>) -> Self {
        let digest_begun = gate::begin_digest(&lease, &target.name);
        Self { session, lease, target, account, digest_begun }
    }

    /// What the digests of all operations under this grant begin with.
    pub(crate) fn digest_begun(&self) -> Sha256 {
        self.digest_begun.clone()
    }

    /// The session that it is for.
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// Who works, and under which task.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Where.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// What all sessions of the task share.
    pub(crate) fn account(&self) -> &TaskAccount {
        &self.account
    }

    /// Clears the gateway's own login at the target, and its survey: words of the gateway, none of the client's.
    pub fn hello(&self, words: Bytes) -> Cleared<Bytes> {
        Cleared::new(words, None)
    }

    /// True while the task lives and nobody took it away.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.account.has_ended() && self.lease.task.is_live(now)
    }
}
