//! Takes a client from its first byte to a session that is granted, reached and accepted.

use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_gate::{Gate, Grant, Target};
use gatehouse_model::{Denial, Intent, Reason, Secret, SessionId, TargetName, TaskId};
use gatehouse_protocol::{Breach, ClientCertificate, ClientLogin, ClientStep, Proof, StreamProtocol, TlsOffer};
use tokio::net::TcpStream;

use crate::Stranger;
use crate::dial::{LOGIN_READ_BYTES, WireOutlet};
use crate::listener::{Engine, Listener};
use crate::outlet::Outlet;
use crate::wire::{Early, Wire};

/// A client that proved who it is.
pub(crate) struct Identified {
    pub(crate) outlet: WireOutlet,
    pub(crate) read: BytesMut,
    pub(crate) login: Box<dyn ClientLogin>,
    pub(crate) task: TaskId,
    pub(crate) target: String,
    pub(crate) parameters: Vec<(String, String)>,
}

/// How long a client that cancels waits for the target to hear of it, in seconds.
const CANCEL_SECS_MAX: u64 = 5;
/// How much of a name that a stranger chose is logged, in bytes.
const LOGGED_BYTES_MAX: usize = 128;
/// Nothing more than this is read from a client that is not identified, in bytes.
const UNIDENTIFIED_BYTES_MAX: usize = 32 * 1024;

/// Identifies a client; `None` when there is nothing more to do.
pub(crate) async fn identify(
    engine: &Arc<Engine>,
    listener: &Listener,
    protocol: &Arc<dyn StreamProtocol>,
    stream: TcpStream,
) -> std::io::Result<Option<Identified>> {
    let offer = match (&listener.tls, listener.tls_required) {
        (None, _) => TlsOffer::None,
        (Some(_), false) => TlsOffer::Optional,
        (Some(_), true) => TlsOffer::Required,
    };
    let client = Client {
        gate: &engine.gate,
        outlet: Outlet::new(Wire::Plain(stream)),
        read: BytesMut::new(),
        login: protocol.client_login(engine.house.entropy(), offer),
        is_private: false,
        certificate: None,
    };
    client.identify(engine, listener, &**protocol).await
}

struct Client<'a> {
    gate: &'a Gate,
    outlet: WireOutlet,
    read: BytesMut,
    login: Box<dyn ClientLogin>,
    is_private: bool,
    certificate: Option<Arc<ClientCertificate>>,
}

impl Client<'_> {
    async fn identify(
        mut self,
        engine: &Arc<Engine>,
        listener: &Listener,
        protocol: &dyn StreamProtocol,
    ) -> std::io::Result<Option<Identified>> {
        let mut claim: Option<(Stranger, Option<TaskId>)> = None;
        loop {
            let step = match self.login.handle(&mut self.read) {
                Ok(step) => step,
                Err(breach) => {
                    let stranger = claim.map(|(stranger, _)| stranger).unwrap_or_default();
                    refused(engine, protocol.name(), &stranger.user, &stranger.target, &breach);
                    self.refuse(engine, breach).await?;
                    return Ok(None);
                }
            };
            match step {
                ClientStep::Read => {
                    if self.read.len() >= UNIDENTIFIED_BYTES_MAX || self.read().await? == 0 {
                        return Ok(None);
                    }
                }
                ClientStep::Send(words) => {
                    self.outlet.push(self.gate.greet(words));
                    self.outlet.drain(&engine.disk).await?;
                }
                ClientStep::StartTls(words) => {
                    self.outlet.push(self.gate.greet(words));
                    self.outlet.drain(&engine.disk).await?;
                    self = match self.start_tls(listener).await? {
                        Ok(client) => client,
                        Err(breach) => {
                            refused(engine, protocol.name(), "", "", &breach);
                            return Ok(None);
                        }
                    };
                }
                ClientStep::Verify { user, target } => {
                    let (is_private, certificate) = (self.is_private, self.certificate.clone());
                    let stranger = Stranger { user, target, is_private, certificate };
                    let (task, proof) = engine.house.proof(&stranger);
                    let is_known = proof == Proof::Shown;
                    self.login.prove(proof);
                    claim = Some((stranger, task));
                    if is_known {
                        self.recognize(engine, &mut claim, None).await;
                    }
                }
                ClientStep::Shown(token) => self.recognize(engine, &mut claim, Some(token)).await,
                ClientStep::Cancel(key) => {
                    if let Some(told) = engine.roster.cancel(&key) {
                        // The client takes the end of this connection for the word that it is done.
                        let within = std::time::Duration::from_secs(CANCEL_SECS_MAX);
                        let _ = tokio::time::timeout(within, told).await;
                    }
                    return Ok(None);
                }
                ClientStep::Identified { send, parameters } => {
                    let Some((Stranger { target, .. }, Some(task))) = claim else {
                        return Ok(None);
                    };
                    self.outlet.push(self.gate.greet(send));
                    return Ok(Some(Identified {
                        outlet: self.outlet,
                        read: self.read,
                        login: self.login,
                        task,
                        target,
                        parameters,
                    }));
                }
            }
        }
    }

    /// Finds out whose the token or certificate is that the client showed, and tells its login.
    async fn recognize(
        &mut self,
        engine: &Engine,
        claim: &mut Option<(Stranger, Option<TaskId>)>,
        shown: Option<Secret>,
    ) {
        let Some((stranger, task)) = claim else { return };
        let found = engine.house.clone().recognize(stranger.clone(), shown).await;
        self.login.recognized(found.map(|found| *task = Some(found)));
    }

    /// Waits for the client before it takes room for what the client says.
    async fn read(&mut self) -> std::io::Result<usize> {
        std::future::poll_fn(|cx| self.outlet.poll_readable(cx)).await?;
        self.read.reserve(LOGIN_READ_BYTES);
        self.outlet.read(&mut self.read).await
    }

    async fn start_tls(self, listener: &Listener) -> std::io::Result<Result<Self, Breach>> {
        // As it is now: certificates are renewed while the gateway runs.
        let tls = listener.tls.as_ref().map(|tls| tls.borrow().clone());
        let (Some(tls), Wire::Plain(socket)) = (tls, self.outlet.into_writer()) else {
            return Err(std::io::ErrorKind::Unsupported.into());
        };
        let (wire, started) = tls.accept(Early::new(self.read, socket)).await?;
        let mut login = self.login;
        let certificate = started.client.clone();
        Ok(login.tls_started(started).map(|()| Self {
            gate: self.gate,
            outlet: Outlet::new(wire),
            read: BytesMut::new(),
            login,
            is_private: true,
            certificate,
        }))
    }

    async fn refuse(&mut self, engine: &Engine, breach: Breach) -> std::io::Result<()> {
        if let Some(denial) = breach.denial {
            let mut words = BytesMut::new();
            self.login.refuse(&denial, &mut words);
            self.outlet.push(self.gate.greet(words.freeze()));
            self.outlet.drain(&engine.disk).await?;
        }
        self.outlet.shut().await;
        Ok(())
    }
}

/// What a stranger chose is not logged without end.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOGGED_BYTES_MAX)).unwrap_or_default()
}

pub(crate) fn refused(engine: &Engine, listener: &'static str, user: &str, target: &str, breach: &Breach) {
    metrics::counter!("gatehouse_logins_refused_total", "listener" => listener).increment(1);
    let (shown_user, shown_target) = (cut(user), cut(target));
    tracing::info!(user = shown_user, target = shown_target, cause = %breach, "login refused");
    if let Err(error) = engine.gate.login_refused(engine.house.now(), listener, user, target, &breach.message) {
        tracing::error!(%error, "a refused login could not be recorded");
    }
}

/// Asks the gate for the grant of an identified client.
pub(crate) fn admit(
    engine: &Engine,
    protocol: &dyn StreamProtocol,
    client: &Identified,
    peer: &str,
) -> Result<Grant, Denial> {
    let name = match client.target.as_str() {
        "" => only_target(engine, protocol.name(), &client.task),
        named => named.to_string(),
    };
    let target = engine.house.target(&name).filter(|target| target.protocol == protocol.name());
    let target = target.ok_or_else(|| {
        Denial::new(
            Reason::Login,
            format!("there is no target \"{name}\" here"),
            format!("the database name of the connection names a target that speaks {}", protocol.name()),
            "`gatehouse targets ls` shows the targets; pass one as the database name",
        )
    })?;
    let wishes = protocol.wishes(&target.name, &client.parameters)?;
    admit_to(engine, target, &client.task, peer, &wishes)
}

/// Asks the gate for the grant of a task at a target.
pub(crate) fn admit_to(
    engine: &Engine,
    target: Arc<Target>,
    task: &TaskId,
    peer: &str,
    wishes: &Intent,
) -> Result<Grant, Denial> {
    let (lease, account) = engine.house.lease(task).ok_or_else(task_over)?;
    engine.gate.admit(engine.house.now(), new_session(engine), lease, target, account, peer, wishes)
}

/// What a client is told whose task is over.
pub(crate) fn task_over() -> Denial {
    Denial::new(
        Reason::TaskEnded,
        "the task has ended",
        "its time ran out, it was ended, or its identity is no longer configured",
        "Start a new task with `gatehouse task start` or `gatehouse run`",
    )
}

/// A name for a new session.
pub(crate) fn new_session(engine: &Engine) -> SessionId {
    SessionId::from_random(u64::from_be_bytes(first_eight(engine.house.entropy())))
}

/// The target of a task that is for no other of this protocol; empty if there is not just one.
fn only_target(engine: &Engine, protocol: &str, task: &TaskId) -> String {
    let lease = engine.house.lease(task);
    let named = lease.iter().flat_map(|(lease, _)| &lease.task.targets);
    let speaks =
        |name: &&TargetName| engine.house.target(name.as_str()).is_some_and(|target| target.protocol == protocol);
    let mut targets = named.filter(speaks);
    match (targets.next(), targets.next()) {
        (Some(only), None) => only.to_string(),
        (None | Some(_), _) => String::new(),
    }
}

fn first_eight(entropy: [u8; 32]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = entropy;
    [a, b, c, d, e, f, g, h]
}
