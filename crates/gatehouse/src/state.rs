//! What the running gateway is made of, and how its parts reach each other.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gatehouse_engine::{Engine, House, ServerTls, Stranger, TargetAccount, TokenSource};
use gatehouse_gate::{Asked, Gate, Grant, Lockdown, Scope, Tape, Target};
use gatehouse_identity::{Assertions, Credential, KeyBook, Known, TaskBook, TokenKey, UnknownIdentity, Visitors};
use gatehouse_journal::{FileAttachments, SigningKey};
use gatehouse_model::{
    Denial, GroupName, Identity, KeyId, Lease, Reason, Resource, Secret, SessionId, Spent, Subject, TargetName, Task,
    TaskAccount, TaskEnd, TaskId, UserName, kind,
};
use gatehouse_protocol::Proof;
use gatehouse_store::Store;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};

use crate::accounts::Leases;
use crate::activity::Activity;
use crate::config::Config;
use crate::exchange::{self, Entrance};
use crate::interception::Authority;
use crate::load::{AccountSource, Loaded};
use crate::log_files::SharedSegments;
use crate::pace::Pace;
use crate::registry;
use crate::sign_in::SignIns;
use crate::tape::FileTape;
use crate::watch::Watchers;

/// Where things lie in the data folder.
#[derive(Debug, Clone)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Makes the folder, for the gateway's eyes alone.
    pub fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        let folder = Self(path.into());
        for path in [path, &folder.recordings(), &folder.keys()] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        Ok(folder)
    }

    /// Names the folder without touching it.
    pub fn at(path: &Path) -> Self {
        Self(path.into())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The journal's segments and checkpoints.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// The recordings.
    pub fn recordings(&self) -> PathBuf {
        self.0.join("recordings")
    }

    /// The bodies of what is held, encrypted.
    pub fn held(&self) -> PathBuf {
        self.0.join("held")
    }

    /// The policies that were ever in force, by digest.
    pub fn policies(&self) -> PathBuf {
        self.0.join("policies")
    }

    /// The gateway's own keys.
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// The index.
    pub fn index(&self) -> PathBuf {
        self.0.join("index.sqlite")
    }

    /// The public key that evidence is verified with.
    pub fn public_key(&self) -> PathBuf {
        self.0.join("journal.pub")
    }
}

/// The running gateway.
pub struct State {
    /// What was loaded last.
    pub loaded: ArcSwap<Loaded>,
    /// What it started with: some of it counts until the next start.
    pub(crate) started: Config,
    /// Where things lie.
    pub data: DataFolder,
    /// The tasks that are alive.
    pub tasks: TaskBook,
    /// How many passwords may be looked at at a time outside of the data path: each takes thousands of hashes.
    pub(crate) proofs: Arc<Semaphore>,
    /// What signs the gateway's own tokens.
    pub(crate) token_key: TokenKey,
    /// What agents signed for themselves and was shown.
    pub(crate) assertions: Assertions,
    /// Static keys that are good.
    pub(crate) keys: KeyBook,
    /// Static keys that ended, but whose end is not kept yet.
    pub(crate) ending_keys: Mutex<Vec<(KeyId, String, String)>>,
    /// The tasks that logins began, by the digest of who logged in where by what.
    pub(crate) entrances: Mutex<HashMap<[u8; 32], Entrance>>,
    /// How often the API was called of late.
    pub(crate) pace: Pace,
    /// Stands in for hosts of targets.
    pub(crate) authority: Authority,
    /// Accounts at targets that were made for tasks.
    pub(crate) leases: Arc<Leases>,
    /// Held while something that tasks come from, or stand on, begins or ends: none is started that has lost it already.
    pub(crate) starting: tokio::sync::Mutex<()>,
    /// People who signed in.
    pub visitors: Visitors,
    /// Sign-ins that are under way.
    pub(crate) sign_ins: SignIns,
    /// The index.
    pub store: Store,
    /// Brings the index up to the journal.
    pub(crate) indexer: crate::indexer::Indexer,
    /// The door.
    pub gate: Arc<Gate>,
    /// The journal's files.
    pub segments: SharedSegments,
    /// The journal's key.
    pub key: SigningKey,
    /// Recordings and policies, as an export finds them.
    pub attachments: FileAttachments,
    /// The addresses that listeners really have, by protocol.
    pub listening: Mutex<std::collections::BTreeMap<String, std::net::SocketAddr>>,
    /// What listeners with TLS show, by protocol.
    pub(crate) tls: Mutex<std::collections::BTreeMap<String, watch::Sender<ServerTls>>>,
    /// What the last attempt to load a changed configuration said.
    pub reload_fault: Mutex<Option<String>>,
    /// Rung when the journal has something new for the index.
    pub recorded: Arc<Notify>,
    /// The data path, once it stands.
    pub engine: std::sync::OnceLock<Arc<Engine>>,
    /// What decoys for unknown users are made from.
    pub decoys: [u8; 32],
    /// Tasks that ended, but whose end is not kept yet.
    pub(crate) ending: Mutex<Vec<(TaskId, TaskEnd, Ender)>>,
    /// What was kept last of what was done under tasks.
    pub(crate) spent_kept: Mutex<Vec<(TaskId, Spent)>>,
    /// Places of those who look at what changes.
    pub(crate) watchers: Watchers,
    /// Places of those who read the journal from end to end.
    pub(crate) readers: Arc<Semaphore>,
    /// What went on of late, as far as it was counted.
    pub(crate) activity: Arc<tokio::sync::Mutex<Activity>>,
    /// Places of those who compare policies with what is on record.
    pub(crate) comparers: Arc<Semaphore>,
    /// Renders the metrics.
    pub metrics: metrics_exporter_prometheus::PrometheusHandle,
}

/// Who ends something, and why.
#[derive(Debug, Clone)]
pub struct Ender {
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

impl From<&str> for Ender {
    fn from(by: &str) -> Self {
        Self { by: by.into(), reason: None }
    }
}

impl fmt::Display for Ender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            None => f.write_str(&self.by),
            Some(reason) => write!(f, "{}: {reason}", self.by),
        }
    }
}

impl State {
    /// Ends a task on the record, and what came from it, and cuts their sessions; `None` if it was not alive. Whoever asked for
    /// it may hang up meanwhile.
    pub async fn end_task(&self, id: &TaskId, cause: TaskEnd, ender: &Ender) -> Option<Task> {
        let ended = {
            let _starting = self.starting.lock().await;
            self.end_tasks(id, cause, ender)
        };
        self.forget_credentials(&ended).await;
        ended.into_iter().next()
    }

    /// Ends a task and what came from it, without a moment in between, while none can be started.
    pub(crate) fn end_tasks(&self, id: &TaskId, cause: TaskEnd, ender: &Ender) -> Vec<Task> {
        let (now, mut ended, mut next) = (self.now(), Vec::new(), vec![id.clone()]);
        while let Some(id) = next.pop() {
            // Its credential is dead before anything can fail.
            let Some(task) = self.tasks.end(&id, now, cause) else { continue };
            let denial = Denial::new(
                Reason::TaskEnded,
                format!("the task has ended: {}", cause.as_str()),
                format!("task {id} was ended by {ender}"),
                "Start a new task with `gatehouse task start` or `gatehouse run`",
            );
            if let Some(engine) = self.engine.get() {
                engine.end_task(&id, cause, &denial);
            }
            self.gate.desk().end_task(now, &id);
            self.leases.end_task(&id);
            if let Err(error) = self.record_end(&id, cause, ender) {
                // It is dead in this process whatever happens; a restart must not bring it back.
                tracing::error!(%error, %id, "the end of a task is not recorded yet, and will be tried again");
                self.ending.lock().unwrap_or_else(PoisonError::into_inner).push((id.clone(), cause, ender.clone()));
            }
            next.extend(self.tasks.that_came_from(|origin| origin.parent.as_ref() == Some(&id)));
            ended.push(task);
        }
        ended
    }

    /// Records the end of a task that is on record and never was alive.
    pub(crate) fn end_unbegun(&self, id: &TaskId) {
        let (cause, ender) = (TaskEnd::Revoked, Ender::from("gateway"));
        if self.record_end(id, cause, &ender).is_err() {
            self.ending.lock().unwrap_or_else(PoisonError::into_inner).push((id.clone(), cause, ender));
        }
    }

    /// Waits until everything that is recorded is on disk.
    pub(crate) fn durable(&self) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let target = self.gate.ledger().with(|journal| journal.sink().sync_target());
        async move { tokio::task::spawn_blocking(move || target.sync()).await.map_err(std::io::Error::other)? }
    }

    fn record_end(&self, id: &TaskId, cause: TaskEnd, ender: &Ender) -> Result<(), gatehouse_gate::Unrecorded> {
        let Ender { by, reason } = ender.clone();
        let entry = gatehouse_journal::TaskEnded { task: id.to_string(), cause: cause.as_str().into(), by, reason };
        self.gate.ledger().record(self.now(), entry).map(|_| ())
    }

    /// Forgets what checks the credentials of tasks that have ended. What is left is forgotten by the next start.
    pub(crate) async fn forget_credentials(&self, tasks: &[Task]) {
        for task in tasks {
            if let Err(error) = self.store.forget_credential(task.id.as_str()).await {
                tracing::warn!(%error, task = %task.id, "what checks the credential of a task that ended is kept for now");
            }
        }
    }

    /// Keeps what was done under tasks that have a budget, so that a restart gives nothing of it back.
    pub(crate) async fn keep_spent(&self) -> Result<(), gatehouse_store::StoreError> {
        let spent = self.tasks.spent();
        if *self.spent_kept.lock().unwrap_or_else(PoisonError::into_inner) != spent {
            self.store.keep_spent(&spent).await?;
            *self.spent_kept.lock().unwrap_or_else(PoisonError::into_inner) = spent;
        }
        Ok(())
    }

    /// Tries again what [`State::end_tasks`] could not record.
    pub(crate) fn finish_endings(&self) {
        let endings = std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, cause, ender) in endings {
            if self.record_end(&id, cause, &ender).is_err() {
                self.ending.lock().unwrap_or_else(PoisonError::into_inner).push((id, cause, ender));
            }
        }
    }

    /// Everyone who is known now.
    pub(crate) fn known<'a>(&'a self, loaded: &'a Loaded) -> Known<'a> {
        Known { people: &loaded.people, visitors: &self.visitors, now: self.now() }
    }

    /// The groups of an identity.
    pub(crate) fn groups(&self, identity: &Identity) -> Result<BTreeSet<GroupName>, UnknownIdentity> {
        self.known(&self.loaded.load()).groups(identity)
    }

    /// An identity, and whom it acts for, with their groups.
    pub(crate) fn subject(
        &self,
        identity: &Identity,
        on_behalf_of: Option<&UserName>,
    ) -> Result<Subject, UnknownIdentity> {
        self.known(&self.loaded.load()).subject(identity, on_behalf_of)
    }

    /// Ends what stands on an approval of somebody who could not give it now: their groups, the policies, or a lockdown are
    /// others than when they did.
    pub(crate) fn recheck_approvals(&self) {
        let policies = self.gate.policies();
        self.gate.desk().recheck(self.now(), |asked, group, user| {
            let groups = self.groups(&Identity::User(user.clone())).unwrap_or_default();
            let targets = match asked {
                Asked::Operation(operation) => [operation.target.clone()].into(),
                Asked::Task(task) => task.granted().targets,
            };
            let may = |target: &TargetName| {
                policies.may_approve(user, &groups, Resource::root(kind::TARGET, target.as_str()))
            };
            groups.contains(group) && self.lockdown_of(user).is_none() && targets.iter().all(may)
        });
    }

    /// The lockdown of a person themselves, if there is one.
    pub(crate) fn lockdown_of(&self, user: &UserName) -> Option<Lockdown> {
        let scope = Scope::Identity(Identity::User(user.clone()));
        self.gate.lockdowns().all().into_iter().find(|lockdown| lockdown.scope == scope)
    }

    /// Where the API is reached, if it is.
    pub(crate) fn api_address(&self) -> Option<String> {
        let bound = self.listening_at(crate::serve::API)?;
        let url = self.loaded.load().config.api.as_ref().and_then(|api| api.url.clone());
        Some(url.map_or_else(|| format!("http://{bound}"), |url| url.trim_end_matches('/').to_string()))
    }

    /// Where clients reach what rides on HTTP, if they do.
    pub(crate) fn web_address(&self) -> Option<String> {
        let bound = self.listening_at(registry::HTTP)?;
        let loaded = self.loaded.load();
        let listen = loaded.config.listen.get(registry::HTTP)?;
        let scheme = if listen.tls_certificate.is_some() { "https" } else { "http" };
        let url = listen.url.clone().unwrap_or_else(|| format!("{scheme}://{bound}"));
        Some(url.trim_end_matches('/').to_string())
    }

    /// The target that a URL of the gateway's own leads to, such as `https://gateway.example/mcp/lab`.
    pub(crate) fn target_at(&self, url: &str) -> Option<String> {
        let base = self.web_address()?;
        let path = url.strip_prefix(&base)?.strip_prefix('/')?.trim_end_matches('/');
        let (protocol, name) = path.split_once('/')?;
        let loaded = self.loaded.load();
        let target = loaded.targets.get(name).filter(|target| target.protocol == protocol)?;
        registry::rides_on_http(&target.protocol).then(|| target.name.to_string())
    }

    /// The address that clients reach a protocol at.
    pub fn listening_at(&self, protocol: &str) -> Option<std::net::SocketAddr> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner).get(protocol).copied()
    }

    /// 64 random bits.
    pub fn random(&self) -> u64 {
        let entropy = self.entropy();
        entropy.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head))
    }
}

impl House for State {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        #[expect(
            clippy::expect_used,
            reason = "without randomness no credential or nonce is safe, so nothing may go on"
        )]
        getrandom::fill(&mut bytes).expect("the operating system has randomness");
        bytes
    }

    fn proof(&self, stranger: &Stranger) -> (Option<TaskId>, Proof) {
        if let Some(proof) = self.token_proof(stranger) {
            return (None, proof);
        }
        match self.tasks.credential(&stranger.user, self.now()) {
            Some((task, verifier)) => (Some(task), Proof::Password { verifier, is_real: true }),
            None => {
                let verifier = Credential::decoy(&stranger.user, &self.decoys);
                (None, Proof::Password { verifier, is_real: false })
            }
        }
    }

    fn recognize(
        self: Arc<Self>,
        stranger: Stranger,
        shown: Option<Secret>,
    ) -> BoxFuture<'static, Result<TaskId, Denial>> {
        exchange::recognize(self, stranger, shown).boxed()
    }

    fn lease(&self, task: &TaskId) -> Option<(Lease, Arc<TaskAccount>)> {
        let (task, account) = self.tasks.task(task, self.now())?;
        let subject = self.subject(&task.identity, task.on_behalf_of.as_ref()).ok()?;
        Some((Lease { task, subject }, account))
    }

    fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.loaded.load().targets.get(name).cloned()
    }

    fn named(&self, host: &str, port: Option<u16>) -> Option<String> {
        let loaded = self.loaded.load();
        let hosts = &loaded.hosts;
        let host = host.to_ascii_lowercase();
        let exact = hosts.get(&(host.clone(), port));
        // Without a port, a name is for those that are used without saying so.
        let plain = matches!(port, None | Some(80 | 443)).then(|| hosts.get(&(host.clone(), None))).flatten();
        let usual = port
            .is_none()
            .then(|| hosts.get(&(host.clone(), Some(443))).or_else(|| hosts.get(&(host.clone(), Some(80)))));
        exact.or(plain).or(usual.flatten()).cloned().or_else(|| loaded.below_domain(&host))
    }

    fn dialed_at(&self, port: u16) -> Vec<String> {
        let loaded = self.loaded.load();
        let at_port = loaded.targets.values().filter(|target| target.route.port == port);
        at_port.map(|target| target.route.host.clone()).collect()
    }

    fn is_own(&self, host: &str, port: u16) -> bool {
        let loaded = self.loaded.load();
        let is_named = loaded.hosts.keys().any(|(named, _)| named == host && host.parse::<std::net::IpAddr>().is_err())
            || loaded.is_in_domain(host);
        let is_dialed = loaded
            .targets
            .values()
            .any(|target| target.route.port == port && target.route.host.eq_ignore_ascii_case(host));
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours = |address: &std::net::SocketAddr| {
            // Of one that listens everywhere every address of this machine is one: those that can be bound here.
            let is_here = |host: std::net::IpAddr| std::net::UdpSocket::bind((host, 0)).is_ok();
            let host = host.parse::<std::net::IpAddr>();
            address.port() == port
                && host.is_ok_and(|host| host == address.ip() || address.ip().is_unspecified() && is_here(host))
        };
        is_named || is_dialed || listening.values().any(is_ours)
    }

    fn token_source(&self) -> Option<TokenSource> {
        Some(TokenSource { resources: self.web_address()?, issuer: self.api_address()? })
    }

    fn stands_in_for(&self, host: &str) -> Option<ServerTls> {
        let made = self.authority.stands_in_for(host, self.now());
        made.inspect_err(|error| tracing::error!(%error, host, "the gateway cannot stand in for a host")).ok()
    }

    fn account(self: Arc<Self>, grant: Arc<Grant>) -> BoxFuture<'static, Result<TargetAccount, String>> {
        // Whoever goes meanwhile leaves no account that nobody knows of.
        let account = tokio::spawn(async move { self.target_account(grant).await });
        async move { account.await.unwrap_or_else(|error| Err(error.to_string())) }.boxed()
    }

    fn account_refused(&self, target: &Target, task: &TaskId, account: &TargetAccount) -> bool {
        let loaded = self.loaded.load();
        match loaded.accounts.get(&target.name) {
            Some(AccountSource::Password(reference)) => loaded.keeper.forget(reference, &account.password),
            Some(AccountSource::Role(_)) => {
                self.leases.end_account(task, &target.name, &account.user);
                true
            }
            None => false,
        }
    }

    fn tape(&self, session: &SessionId, target: &Target, opened: Timestamp) -> io::Result<Box<dyn Tape>> {
        let max = self.loaded.load().config.limits.recording_bytes_max;
        Ok(Box::new(FileTape::begin(&self.data.recordings(), session, target, opened, max)?))
    }
}
