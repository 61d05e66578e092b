//! Accepts connections, within limits, and sees each through to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gatehouse_gate::{Gate, Grant, Passage, Tape, Target};
use gatehouse_model::{Denial, Operation, Reason, Secret, Subject, TaskEnd, TaskId};
use gatehouse_protocol::{Classifier, Exchanges, Opening, Order, StreamProtocol, SurveyFacts};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::aside::Aside;
use crate::carriers::Carriers;
use crate::carry::{Carried, carry};
use crate::dial::{self, DialError, Reached};
use crate::disk::Disk;
use crate::login::{self, Identified};
use crate::places::{Place, Places};
use crate::roster::Roster;
use crate::surveyor::{self, Surveyor};
use crate::tls::ServerTls;
use crate::{House, TargetAccount};

/// How long the lock of an account may take.
const LOCK_SECS_MAX: u64 = 15;
/// How long the foretelling of what a held operation would do may take; without it the person is asked all the same.
const FORETELL_SECS_MAX: u64 = 3;

/// What the engine limits.
#[derive(Debug, Clone, Copy)]
pub struct EngineLimits {
    /// How many connections a listener has at a time whose clients proved who they are.
    pub connections_max: usize,
    /// How many a listener has beside them whose clients did not, before the oldest of those is ended for a new one.
    pub logins_max: usize,
    /// How long a client may take to identify itself, in seconds.
    pub login_secs_max: u32,
    /// The largest frame that is held whole, in bytes.
    pub frame_bytes_max: usize,
    /// The longest body of HTTP that is held whole, in bytes.
    pub body_bytes_max: usize,
    /// How much may wait to be written before reading stops, in bytes.
    pub outlet_bytes_max: usize,
    /// How long connecting to a target and logging in there may take, in seconds.
    pub connect_secs_max: u32,
    /// How long a target that was asked over HTTP may say nothing, in seconds.
    pub http_silence_secs_max: u32,
}

/// What is spoken at a listening address.
pub enum Spoken {
    /// A protocol on connections of its own.
    Stream(Arc<dyn StreamProtocol>),
    /// Every protocol that rides on HTTP messages.
    Exchanges(Vec<Arc<dyn Exchanges>>),
}

/// One listening address.
pub struct Listener {
    /// What is spoken there.
    pub spoken: Spoken,
    /// Its certificate as it is now, if it has one.
    pub tls: Option<watch::Receiver<ServerTls>>,
    /// Whether a client must use TLS.
    pub tls_required: bool,
}

/// A target that was reached for a session, and what the session begins with.
struct Dialed {
    reached: Reached,
    facts: SurveyFacts,
    /// What the client asked for, and what hides the order of rows.
    parameters: Vec<(String, String)>,
    shows_order: bool,
}

/// The data path.
pub struct Engine {
    pub(crate) gate: Arc<Gate>,
    pub(crate) house: Arc<dyn House>,
    pub(crate) disk: Disk,
    pub(crate) limits: EngineLimits,
    pub(crate) surveyor: Surveyor,
    pub(crate) exchanges: crate::exchanges::Targets,
    pub(crate) aside: Aside,
    carriers: Carriers,
    /// What bonds of sessions are made with, as long as the gateway runs.
    bonding: Secret,
    /// The sessions that live now.
    pub roster: Arc<Roster>,
}

impl Engine {
    /// A data path through this gate.
    pub fn new(gate: Arc<Gate>, house: Arc<dyn House>, disk: Disk, limits: EngineLimits) -> std::io::Result<Arc<Self>> {
        let (surveyor, carriers) = (Surveyor::default(), Carriers::start()?);
        let bonding = Secret::new(house.entropy());
        Ok(Arc::new(Self {
            bonding,
            gate,
            house,
            disk,
            limits,
            surveyor,
            exchanges: Default::default(),
            aside: Aside::default(),
            carriers,
            roster: Arc::default(),
        }))
    }

    /// What the sessions of one task at one target have in common, and no others know.
    pub(crate) fn bond(&self, grant: &Grant) -> Secret {
        let of = format!("{}\0{}", grant.lease().task.id, grant.target().name);
        Secret::new(Sha256::new().chain_update(self.bonding.expose()).chain_update(of).finalize().to_vec())
    }

    /// Ends the sessions of a task, and what else is open for it.
    pub fn end_task(&self, task: &TaskId, cause: TaskEnd, denial: &Denial) {
        match cause {
            TaskEnd::Done => self.roster.finish(task, denial),
            TaskEnd::Expired | TaskEnd::Revoked | TaskEnd::Abandoned => {
                self.roster.end_where(denial, |session| session.task == *task);
            }
        }
        self.surveyor.end_task(task);
    }

    /// Accepts connections until the runtime ends.
    pub async fn listen(self: Arc<Self>, socket: TcpListener, listener: Listener) {
        let listener = Arc::new(listener);
        let places = Places::new(self.limits.logins_max, self.limits.connections_max);
        loop {
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors or the like: what is open goes on, and accepting is tried again.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let place = places.enter();
            let engine = self.clone();
            let listener = listener.clone();
            let stream = match stream.into_std() {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%peer, %error, "the connection was gone at once");
                    continue;
                }
            };
            self.carriers.spawn(async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => engine.serve(&listener, stream, peer, place).await,
                    Err(error) => tracing::warn!(%peer, %error, "a connection could not be taken over"),
                }
            });
        }
    }

    async fn serve(self: Arc<Self>, listener: &Listener, stream: TcpStream, peer: SocketAddr, place: Place) {
        if let Err(error) = stream.set_nodelay(true).and_then(|()| dial::keep_alive(&stream)) {
            tracing::debug!(%peer, %error, "the connection was gone at once");
            return;
        }
        let protocol = match &listener.spoken {
            Spoken::Stream(protocol) => protocol,
            Spoken::Exchanges(protocols) => {
                let place = Arc::new(place);
                let served = Box::pin(crate::exchanges::serve(self, listener, protocols, stream, peer, place.clone()));
                return tokio::select! {
                    () = served => {}
                    () = place.lost() => made_room(peer),
                };
            }
        };
        let within = Duration::from_secs(u64::from(self.limits.login_secs_max));
        // What the login takes is given back before the session is carried.
        let login = Box::pin(login::identify(&self, listener, protocol, stream));
        let identified = tokio::select! {
            identified = tokio::time::timeout(within, login) => identified,
            () = place.lost() => return made_room(peer),
        };
        match identified {
            Ok(Ok(Some(client))) => self.open(protocol, client, peer, &place).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "the connection ended during the login"),
            Err(_) => tracing::info!(%peer, "the client did not log in within limits.login_secs_max"),
        }
    }

    async fn open(
        self: &Arc<Self>,
        protocol: &Arc<dyn StreamProtocol>,
        mut client: Identified,
        peer: SocketAddr,
        place: &Place,
    ) {
        let opened = self.house.now();
        let admitted = place.prove().and_then(|()| login::admit(self, &**protocol, &client, &peer.to_string()));
        let outcome = match admitted {
            Ok(grant) => Box::pin(self.reach(protocol, &mut client, Arc::new(grant), opened)).await,
            Err(denial) => Err(denial),
        };
        match outcome {
            Ok(carriage) => carry(self, client, *carriage).await,
            Err(denial) => {
                tracing::info!(%peer, cause = %denial.message, detail = %denial.detail, "session refused");
                let mut words = BytesMut::new();
                client.login.refuse(&denial, &mut words);
                client.outlet.push(self.gate.greet(words.freeze()));
                // The client may be gone; there is nobody else to tell.
                let _ = client.outlet.drain(&self.disk).await;
                client.outlet.shut().await;
            }
        }
    }

    async fn reach(
        self: &Arc<Self>,
        protocol: &Arc<dyn StreamProtocol>,
        client: &mut Identified,
        grant: Arc<Grant>,
        opened: jiff::Timestamp,
    ) -> Result<Box<Carried>, Denial> {
        let wished = std::mem::take(&mut client.parameters);
        match self.dialed(&grant, &**protocol, wished).await {
            Ok(Dialed { reached, facts, parameters, shows_order }) => {
                self.still_granted(&grant)?;
                let tape = self.tape(&grant, opened)?;
                let session = protocol.session(Opening {
                    target: grant.target().name.clone(),
                    facts: facts.clone(),
                    classifier: grant.target().classes.clone(),
                    ready: reached.ready.clone(),
                    parameters,
                    shows_order,
                    secrets: Vec::new(),
                    bond: self.bond(&grant),
                    frame_bytes_max: self.limits.frame_bytes_max,
                });
                let mut passage = Passage::new(self.gate.clone(), grant, session, tape, opened);
                passage.foretell_holds();
                Ok(Box::new(Carried { protocol: protocol.clone(), passage, reached, facts, opened }))
            }
            Err(error) => {
                tracing::error!(target = %grant.target().name, %error, "the target cannot be reached");
                self.never_opened(&grant, "the target could not be reached");
                Err(Denial::new(
                    Reason::Unreachable,
                    format!("target \"{}\" cannot be reached", grant.target().name),
                    "Gatehouse could not connect to it or log in there",
                    "Ask the operator of the gateway: its log has the cause",
                ))
            }
        }
    }

    /// What dialing a target takes: where records are synced, and how long it may be.
    fn dialing(&self) -> (&Disk, u32) {
        (&self.disk, self.limits.connect_secs_max)
    }

    /// Begins the recording of a session.
    pub(crate) fn tape(&self, grant: &Grant, opened: jiff::Timestamp) -> Result<Box<dyn Tape>, Denial> {
        self.house.tape(grant.session(), grant.target(), opened).map_err(|error| {
            tracing::error!(%error, "a recording could not be begun");
            self.never_opened(grant, "the recording could not be begun");
            Denial::new(
                Reason::Unrecorded,
                "the session cannot be recorded, so it was not opened",
                "the gateway's disk may be full",
                "Try again later, or tell the operator of the gateway",
            )
        })
    }

    /// While the target was dialed, what the session was granted on may have changed.
    pub(crate) fn still_granted(&self, grant: &Grant) -> Result<(), Denial> {
        match self.over(grant) {
            None => Ok(()),
            Some(denial) => {
                self.never_opened(grant, "the task, the target or who works changed while the session was opened");
                Err(denial)
            }
        }
    }

    /// Why a session must not begin, if so it is: its task has ended, somebody shut it, the target has become another, or who
    /// works, and for whom, is not in the groups any more that it was let in with. Whoever changes any of it cuts the sessions
    /// that have a seat; what changed just before is seen here.
    pub(crate) fn over(&self, grant: &Grant) -> Option<Denial> {
        if let Some(shut) = self.gate.shut(grant, self.house.now()) {
            return Some(shut);
        }
        let target = self.house.target(grant.target().name.as_str());
        let lease = self.house.lease(&grant.lease().task.id);
        let is_same = target.is_some_and(|target| Arc::ptr_eq(&target, grant.target()))
            && lease.is_some_and(|(lease, _)| lease.subject == grant.lease().subject);
        let denial = || {
            Denial::new(
                Reason::TaskEnded,
                "the target, or who works, is not what it was when this session was let in",
                "the configuration or somebody's groups changed while the target was being reached",
                "Connect again",
            )
        };
        (!is_same).then(denial)
    }

    pub(crate) fn never_opened(&self, grant: &Grant, cause: &str) {
        let end = gatehouse_gate::SessionEnd {
            cause: cause.into(),
            operations: 0,
            rows: 0,
            bytes: 0,
            masked: Default::default(),
            revealed: Default::default(),
            waits: Default::default(),
            recording: None,
        };
        if let Err(error) = self.gate.close(self.house.now(), grant, end) {
            tracing::error!(%error, "the end of a session could not be recorded");
        }
    }

    async fn dialed(
        &self,
        grant: &Arc<Grant>,
        protocol: &dyn StreamProtocol,
        mut parameters: Vec<(String, String)>,
    ) -> Result<Dialed, DialError> {
        let facts = match self.surveyor.fresh(grant) {
            Some(facts) => facts,
            None => self.survey(grant, protocol).await?,
        };
        let target = grant.target();
        let classifier: Arc<dyn Classifier> = target.classes.clone();
        let order = protocol.order(&facts, &target.name, &classifier);
        let sees_order = |order: &Order| self.gate.permits(grant, &order.tells);
        let shows_order = target.shows_order || order.as_deref().is_some_and(sees_order);
        if let Some(order) = order.filter(|_| !shows_order) {
            parameters.extend(order.hidden_by.iter().cloned());
        }
        let account = self.account(grant).await?;
        let dial =
            |account| dial::dial(grant, protocol, account, parameters.clone(), self.house.entropy(), self.dialing());
        let reached = match dial(account.clone()).await {
            Err(DialError::Refused(_)) if self.has_another(grant, &account) => dial(self.account(grant).await?).await?,
            reached => reached?,
        };
        Ok(Dialed { reached, facts, parameters, shows_order })
    }

    pub(crate) async fn survey(
        &self,
        grant: &Arc<Grant>,
        protocol: &dyn StreamProtocol,
    ) -> Result<SurveyFacts, DialError> {
        let account = self.account(grant).await?;
        let survey = |account| self.surveyor.survey(grant, protocol, account, self.house.entropy(), self.dialing());
        let facts = match survey(account.clone()).await {
            Err(DialError::Refused(_)) if self.has_another(grant, &account) => survey(self.account(grant).await?).await,
            facts => facts,
        };
        if let Ok(facts) = &facts {
            let target = grant.target();
            self.surveyor.tell_misnamed(target, surveyor::misnamed(target, protocol, facts));
        }
        // Whoever ended the task meanwhile did not find this connection.
        if !grant.is_live(self.house.now()) {
            self.surveyor.end_task(&grant.lease().task.id);
        }
        facts
    }

    /// The facts about a target for whoever asks what the gateway would make of a statement there: the newest that a
    /// session stands on, or else read now.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub async fn look(
        &self,
        target: &Arc<Target>,
        protocol: &dyn StreamProtocol,
        subject: Subject,
    ) -> Result<SurveyFacts, Denial> {
        if let Some(facts) = self.surveyor.fresh_for_anyone(target) {
            return Ok(facts);
        }
        let grant = self.gate.look(self.house.now(), login::new_session(self), subject, target.clone())?;
        self.survey(&Arc::new(grant), protocol).await.map_err(|error| {
            Denial::new(
                Reason::Unreachable,
                format!("the catalog of target \"{}\" cannot be read", target.name),
                error.to_string(),
                "Look at the target's address and account in the configuration",
            )
        })
    }

    /// Which of the columns that the configuration names at a target are not what it takes them for, as far as the target was
    /// surveyed: a line for each.
    pub fn misnamed(&self, target: &Target, protocol: &dyn StreamProtocol) -> Vec<String> {
        let facts = self.surveyor.newest(target);
        facts.map(|facts| surveyor::misnamed(target, protocol, &facts)).unwrap_or_default()
    }

    /// Tells the operator of these columns in the log, once for each change: the configuration may be another.
    pub fn tell_misnamed(&self, target: &Target, protocol: &dyn StreamProtocol) {
        if let Some(facts) = self.surveyor.newest(target) {
            self.surveyor.tell_misnamed(target, surveyor::misnamed(target, protocol, &facts));
        }
    }

    /// What an operation would do that waits for a person, in lines; none where that cannot be said in time.
    pub(crate) async fn foretell(
        &self,
        grant: &Arc<Grant>,
        protocol: &dyn StreamProtocol,
        operation: &Operation,
    ) -> Vec<String> {
        let Some(mut impact) = protocol.impact(operation) else { return Vec::new() };
        let asked = async {
            let account = self.account(grant).await?;
            let parameters = impact.parameters();
            let mut reached =
                dial::dial(grant, protocol, account, parameters, self.house.entropy(), self.dialing()).await?;
            surveyor::inquire(&mut reached, &mut *impact, grant, &self.disk).await
        };
        let asked = tokio::time::timeout(Duration::from_secs(FORETELL_SECS_MAX), asked).await;
        match asked.map_err(|_| DialError::Slow).flatten() {
            Ok(facts) => facts.downcast_ref::<Vec<String>>().cloned().unwrap_or_default(),
            Err(error) => {
                tracing::warn!(target = %grant.target().name, %error, "what an operation would do is not foretold");
                Vec::new()
            }
        }
    }

    /// Takes the password of an account that was made for a task away, at the target itself.
    pub async fn lock_account(
        &self,
        grant: &Grant,
        protocol: &dyn StreamProtocol,
        account: TargetAccount,
    ) -> Result<(), String> {
        let mut lock = protocol.lock_account();
        let locked = async {
            let entropy = self.house.entropy();
            let mut reached = dial::dial(grant, protocol, account, lock.parameters(), entropy, self.dialing()).await?;
            surveyor::inquire(&mut reached, &mut *lock, grant, &self.disk).await
        };
        let locked = tokio::time::timeout(Duration::from_secs(LOCK_SECS_MAX), locked).await;
        locked.map_err(|_| DialError::Slow).flatten().map(|_| ()).map_err(|error| error.to_string())
    }

    /// Whether there may be another account in place of one that the target did not take.
    pub(crate) fn has_another<'a>(&self, grant: &Grant, refused: impl Into<Option<&'a TargetAccount>>) -> bool {
        let refused = refused.into();
        refused.is_some_and(|refused| self.house.account_refused(grant.target(), &grant.lease().task.id, refused))
    }

    pub(crate) async fn account(&self, grant: &Arc<Grant>) -> Result<TargetAccount, DialError> {
        let account = self.house.clone().account(grant.clone());
        account.await.map_err(DialError::Account)
    }
}

/// A connection that proved nothing ended for a newer one.
fn made_room(peer: SocketAddr) {
    tracing::warn!(%peer, "limits.logins_max is reached; the connection that had not logged in for longest was ended");
}
