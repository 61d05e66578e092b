//! Starts the gateway, keeps it going, and ends it in order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use arc_swap::ArcSwap;
use axum::middleware::map_request;
use gatehouse_api::Door;
use gatehouse_engine::{ClientAuthority, Disk, Engine, EngineLimits, House as _, Listener, ServerTls};
use gatehouse_gate::{Gate, GateLimits, Ledger};
use gatehouse_identity::{Assertions, KeyBook, TaskBook, Visitors};
use gatehouse_journal::{
    ConfigurationLoaded, FileAttachments, GatewayStarted, GatewayStopped, Journal, RequestEnded, SegmentLimits,
    Segments,
};
use gatehouse_model::{Denial, Reason};
use gatehouse_secrets::Reference;
use gatehouse_store::{Sqlite, Store};
use jiff::{SignedDuration, Timestamp};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::bounded::{self, Bounded, Peer};
use crate::config::Listen;
use crate::control::ApiControl;
use crate::held_bodies::{self, HeldBodies};
use crate::indexer::Indexer;
use crate::interception::Authority;
use crate::load::{self, Fault, Loaded};
use crate::log_files::SharedSegments;
use crate::pace::Pace;
use crate::sign_in::SignIns;
use crate::state::{DataFolder, State};
use crate::watch::Watchers;
use crate::{agent, keys, observe, registry, reload, restore};

/// The name of the control API among the protocols that are listened for.
pub(crate) const API: &str = "api";
/// A sweep that comes so much later than the one before says something of the clock, in seconds.
const SWEEP_SECS_LATE: i64 = 3;
/// Passwords that are looked at at a time outside of the data path.
const PROOFS_MAX: usize = 1;
/// How long sessions may take to end when the gateway does.
const GOODBYE_SECS_MAX: u64 = 5;

/// A gateway that runs.
pub struct Running {
    /// Its parts.
    pub state: Arc<State>,
    /// Where the control API listens on TCP, if it does.
    pub api: Option<SocketAddr>,
    /// The admin socket.
    pub socket: PathBuf,
    /// Whether no gateway ran here before.
    pub is_first: bool,
    disk: Disk,
    work: JoinSet<()>,
}

/// The mistakes that keep a gateway from starting.
pub fn explain(faults: &[Fault]) -> anyhow::Error {
    let lines: Vec<String> = faults.iter().map(Fault::to_string).collect();
    anyhow!("{}", lines.join("\n"))
}

/// Keeps secrets out of core dumps, and out of sight of the same user's other processes.
#[cfg(target_os = "linux")]
fn close_memory() -> Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(not(target_os = "linux"))]
fn close_memory() -> Result<()> {
    Ok(())
}

/// Lets the gateway open as many descriptors as it may be let: each connection takes some, and what is usual at first is fewer than
/// the connections that it takes.
#[cfg(target_os = "linux")]
fn open_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "the limit on open descriptors could not be raised");
    }
}

#[cfg(not(target_os = "linux"))]
fn open_descriptors() {}

/// Starts a gateway by its configuration file.
pub async fn start(config: &Path) -> Result<Running> {
    close_memory().context("its memory cannot be closed")?;
    open_descriptors();
    let (first, _) = load::read_config(config).map_err(|faults| explain(&faults))?;
    let base = config.parent().map(Path::to_path_buf).unwrap_or_default();
    let data = DataFolder::open(&base.join(&first.gateway.data)).context("the data folder cannot be made")?;
    let is_first = !data.journal().exists();
    let pseudonyms = keys::pseudonym_key(&data)?;
    let seen = reload::fingerprint(&first, &base, config);
    let loaded = load::load(config, pseudonyms).map_err(|faults| explain(&faults))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let state = open(loaded, data).await?;
    let disk = Disk::start(state.gate.ledger().clone())?;
    let limits = &state.loaded.load().config.limits.clone();
    let engine = Engine::new(
        state.gate.clone(),
        state.clone(),
        disk.clone(),
        EngineLimits {
            connections_max: limits.connections_max,
            logins_max: limits.logins_max,
            login_secs_max: limits.login_secs_max,
            frame_bytes_max: limits.frame_bytes_max,
            body_bytes_max: limits.body_bytes_max,
            outlet_bytes_max: limits.outlet_bytes_max,
            connect_secs_max: limits.connect_secs_max,
            http_silence_secs_max: limits.http_silence_secs_max,
        },
    )?;
    let _ = state.engine.set(engine.clone());
    let mut work = JoinSet::new();
    listen(&state, &engine, &mut work).await?;
    let (api, socket) = serve_api(&state, &mut work).await?;
    keep_going(&state, &mut work);
    work.spawn(reload::watch(state.clone(), config.to_path_buf(), seen));
    state.recorded.notify_one();
    Ok(Running { state, api, socket, is_first, disk, work })
}

/// Opens the journal and the index, and brings back what a restart must not lose.
async fn open(loaded: Loaded, data: DataFolder) -> Result<Arc<State>> {
    let limits = loaded.config.limits.clone();
    let key = keys::journal_key(&data, &loaded.config.gateway.name)?;
    let segment_limits = SegmentLimits { segment_bytes_max: limits.segment_bytes_max };
    let (segments, recovery) =
        Segments::open(&data.journal(), segment_limits, &[key.verifier()]).context("the journal cannot be opened")?;
    // Only now is it sure that the key is this journal's.
    std::fs::write(data.public_key(), format!("{}\n", key.verifier()))?;
    let segments = SharedSegments::new(segments);
    let recorded = Arc::new(Notify::new());
    let bell = recorded.clone();
    let journal = Journal::new(Box::new(segments.clone()) as Box<dyn gatehouse_journal::Sink>, recovery.frontier);
    let ledger = Ledger::new(journal, Arc::new(move |_| bell.notify_one()));
    let now = Timestamp::now();
    ledger.record(
        now,
        GatewayStarted {
            version: env!("CARGO_PKG_VERSION").into(),
            node: loaded.config.gateway.name.clone(),
            config: loaded.digest.to_string(),
            recovered: recovery.torn.as_ref().map(ToString::to_string),
        },
    )?;
    ledger.record(now, ConfigurationLoaded { digest: loaded.digest.to_string() })?;
    let attachments = FileAttachments::new(&data.recordings(), &data.policies());
    reload::keep_policies(&attachments, &loaded)?;
    // The journal's lock keeps a second gateway out, whose bodies these would be.
    let bodies = HeldBodies::open(&data.held(), limits.held_body_bytes_max, limits.held_bodies_bytes_max)
        .with_context(|| format!("the folder {} cannot be emptied and used", data.held().display()))?;
    let gate = Arc::new(Gate::new(
        loaded.policies.clone(),
        ledger,
        Arc::new(bodies),
        GateLimits {
            approval_secs_max: limits.approval_secs_max,
            open_requests_max: limits.open_requests_max,
            every_record_to_disk: limits.every_record_to_disk,
        },
    ));
    gate.adopt(now, loaded.policies.clone())?;
    let store: Store = Arc::new(Sqlite::open(&data.index()).await.context("the index cannot be opened")?);
    let ledger = gate.ledger().clone();
    let indexer = Indexer::new(segments.files(), store.clone(), move || ledger.with(|journal| journal.size()));
    indexer.repair().await.context("the index cannot be read")?;
    indexer.catch_up().await.context("the index cannot be completed from the journal")?;
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = metrics.handle();
    // A second gateway in one process, as in tests, keeps the first one's recorder.
    let _ = metrics::set_global_recorder(metrics);
    let token_key = keys::token_key(&data)?;
    let authority = Authority::open(&data).context("the authority for hosts of targets cannot be opened")?;
    let state = Arc::new(State {
        started: loaded.config.clone(),
        loaded: ArcSwap::from_pointee(loaded),
        data,
        tasks: TaskBook::default(),
        visitors: Visitors::default(),
        sign_ins: SignIns::new(keys::random()?),
        token_key,
        assertions: Assertions::new(now),
        keys: KeyBook::default(),
        ending_keys: Mutex::default(),
        entrances: Mutex::default(),
        pace: Pace::new(&limits),
        authority,
        leases: Arc::default(),
        store,
        indexer,
        gate,
        segments,
        key,
        attachments,
        listening: Mutex::new(BTreeMap::new()),
        tls: Mutex::default(),
        proofs: Arc::new(Semaphore::new(PROOFS_MAX)),
        starting: tokio::sync::Mutex::new(()),
        reload_fault: Mutex::new(None),
        recorded,
        engine: OnceLock::new(),
        decoys: keys::random()?,
        ending: Mutex::new(Vec::new()),
        spent_kept: Mutex::new(Vec::new()),
        watchers: Watchers::default(),
        readers: Arc::new(Semaphore::new(observe::READERS_MAX)),
        activity: Arc::default(),
        comparers: Arc::new(Semaphore::new(observe::COMPARERS_MAX)),
        metrics: handle,
    });
    restore::people(&state).await?;
    restore::lockdowns(&state).await?;
    restore::descriptions(&state).await?;
    restore::sessions(&state).await?;
    // Whoever knew the passwords of accounts that were made for tasks is gone.
    state.leases.end_left(state.store.leases().await?, &state.loaded.load().keeper);
    restore::keys(&state).await?;
    restore::tasks(&state).await?;
    restore::requests(&state).await?;
    Ok(state)
}

async fn listen(state: &Arc<State>, engine: &Arc<Engine>, work: &mut JoinSet<()>) -> Result<()> {
    let loaded = state.loaded.load_full();
    for (name, listen) in &loaded.config.listen {
        let (spoken, called) = registry::spoken_at(name).ok_or_else(|| anyhow!("nothing listens as {name}"))?;
        let tls = server_tls(&loaded, listen, called)?.map(|tls| {
            let (sender, receiver) = watch::channel(tls);
            state.tls.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.clone(), sender);
            receiver
        });
        let socket = TcpListener::bind(&listen.address).await;
        let socket = socket
            .with_context(|| format!("{} cannot be listened on: change listen.{name}.address", listen.address))?;
        let address = socket.local_addr()?;
        tracing::info!(listener = name, %address, tls = tls.is_some(), "listening");
        state.listening.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.clone(), address);
        let tls_required = tls.is_some() && (listen.tls_required || !address.ip().is_loopback());
        work.spawn(engine.clone().listen(socket, Listener { spoken, tls, tls_required }));
    }
    Ok(())
}

/// What a listener shows, and whom it lets show what.
fn server_tls(loaded: &Loaded, listen: &Listen, called: &[&[u8]]) -> Result<Option<ServerTls>> {
    let (Some(certificate), Some(key)) = (&listen.tls_certificate, &listen.tls_key) else { return Ok(None) };
    let chain = std::fs::read(loaded.base.join(certificate))?;
    let key = Reference::File(loaded.base.join(key)).fetch()?;
    let authorities: Vec<ClientAuthority> =
        loaded.certificates.iter().map(|section| section.authority.clone()).collect();
    Ok(Some(ServerTls::new(&chain, key.expose(), called, &authorities)?))
}

/// What listeners show, and whom they let show what, as it is now.
pub(crate) fn new_tls(state: &State, loaded: &Loaded) -> Result<Vec<(watch::Sender<ServerTls>, ServerTls)>> {
    let senders = state.tls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut renewed = Vec::new();
    for (name, sender) in &*senders {
        let (Some(listen), Some((_, called))) = (loaded.config.listen.get(name), registry::spoken_at(name)) else {
            continue;
        };
        let tls = server_tls(loaded, listen, called).with_context(|| format!("the certificate of listen.{name}"))?;
        renewed.extend(tls.map(|tls| (sender.clone(), tls)));
    }
    Ok(renewed)
}

async fn serve_api(state: &Arc<State>, work: &mut JoinSet<()>) -> Result<(Option<SocketAddr>, PathBuf)> {
    let loaded = state.loaded.load_full();
    let control = Arc::new(ApiControl::new(state.clone()));
    let path = state.data.path().join(&loaded.config.admin.socket);
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        bail!("another gateway serves {}: stop it, or set gateway.data to another folder", path.display());
    }
    // What is left of a gateway that was killed.
    let _ = std::fs::remove_file(&path);
    let socket =
        UnixListener::bind(&path).with_context(|| format!("the admin socket {} cannot be made", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let router = gatehouse_api::router(control.clone(), Door::AdminSocket);
    work.spawn(async move {
        if let Err(error) = axum::serve(socket, router).await {
            tracing::error!(%error, "the admin socket failed");
        }
    });
    let Some(api) = &loaded.config.api else {
        return Ok((None, path));
    };
    let socket = TcpListener::bind(&api.address).await;
    let socket = socket.with_context(|| format!("{} cannot be listened on: change api.address", api.address))?;
    let address = socket.local_addr()?;
    state.listening.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(API.into(), address);
    let router = gatehouse_api::router(control, Door::Tcp).merge(agent::router(state));
    let router = router.layer(map_request(bounded::told_of_peer));
    let router = router.into_make_service_with_connect_info::<Peer>();
    let socket = Bounded::new(socket);
    work.spawn(async move {
        if let Err(error) = axum::serve(socket, router).await {
            tracing::error!(%error, "the API failed");
        }
    });
    Ok((Some(address), path))
}

/// What goes on beside the sessions: the index, checkpoints, the ends of tasks and requests.
fn keep_going(state: &Arc<State>, work: &mut JoinSet<()>) {
    let mut told = Vec::new();
    for receiver in state.loaded.load().receivers.clone() {
        let (subscription, events) = receiver.subscribe();
        told.push(subscription);
        work.spawn(receiver.follow(events, state.clone()));
    }
    let _ = state.indexer.told.set(told);

    let following = state.clone();
    work.spawn(async move { following.indexer.follow(following.recorded.clone()).await });

    let signing = state.clone();
    work.spawn(async move {
        let every = signing.loaded.load().config.limits.checkpoint_secs;
        let mut ticks = tokio::time::interval(Duration::from_secs(u64::from(every)));
        let mut signed = 0;
        loop {
            ticks.tick().await;
            let state = signing.clone();
            let attempt = tokio::task::spawn_blocking(move || checkpoint(&state, signed)).await;
            match attempt {
                Ok(Ok(size)) => signed = size,
                Ok(Err(error)) => tracing::error!(%error, "the journal could not be signed"),
                Err(error) => tracing::error!(%error, "the journal could not be signed"),
            }
        }
    });

    let sweeping = state.clone();
    work.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        let mut last = None;
        loop {
            ticks.tick().await;
            let now = sweeping.now();
            // After a start, a suspend or a step of the clock nobody could give signs of life in time.
            let is_late = |last: Timestamp| now.duration_since(last).abs() > SignedDuration::from_secs(SWEEP_SECS_LATE);
            if last.replace(now).is_none_or(is_late) {
                sweeping.tasks.renew(now);
            }
            sweeping.gate.desk().sweep(now);
            sweeping.finish_endings();
            sweeping.sweep_keys().await;
            if let Err(error) = sweeping.keep_spent().await {
                tracing::warn!(%error, "what was done under tasks with a budget is not kept yet");
            }
            for (task, cause) in sweeping.tasks.over(now) {
                sweeping.end_task(&task, cause, &"gateway".into()).await;
            }
        }
    });
    work.spawn(state.clone().end_leases());
    let leasing = state.clone();
    work.spawn(async move { leasing.keep_leases().await });

    let trying = state.clone();
    work.spawn(async move { trying.try_provider().await });

    let forgetting = state.clone();
    work.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            forgetting.forget_people().await;
        }
    });

    // A provider that does not answer holds up nothing else.
    let asking = state.clone();
    work.spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            asking.ask_about_people().await;
        }
    });
}

/// Signs the journal if it grew; returns the size that is signed now.
pub fn checkpoint(state: &State, signed: u64) -> Result<u64> {
    let (size, note, target) = state
        .gate
        .ledger()
        .with(|journal| (journal.size(), journal.checkpoint(&state.key), journal.sink().sync_target()));
    if size == signed {
        return Ok(signed);
    }
    // A checkpoint must never promise more than the disk holds.
    target.sync()?;
    state.segments.write_checkpoint(&note)?;
    Ok(size)
}

impl Running {
    /// Ends every session, signs the journal, and stops.
    pub async fn stop(mut self) -> Result<()> {
        let state = &self.state;
        let denial = Denial::new(
            Reason::TaskEnded,
            "terminating connection due to administrator command",
            "the gateway is being stopped",
            "Connect again when it is back",
        );
        if let Some(engine) = state.engine.get() {
            engine.roster.end_where(&denial, |_| true);
            let gone = async {
                while !engine.roster.sessions().is_empty() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(GOODBYE_SECS_MAX), gone).await;
        }
        self.work.shutdown().await;
        // What is not ended now is when the gateway starts again.
        let _ = tokio::time::timeout(Duration::from_secs(GOODBYE_SECS_MAX), state.end_all_leases()).await;
        state.keep_spent().await?;
        state.gate.ledger().record(state.now(), GatewayStopped {})?;
        state.indexer.catch_up().await?;
        checkpoint(state, 0)?;
        self.disk.close();
        if let Err(error) = held_bodies::sweep(&state.data.held()) {
            tracing::warn!(%error, "the bodies of what was held are not all removed; the next start removes them");
        }
        // A socket that is gone already is what was wanted.
        let _ = std::fs::remove_file(&self.socket);
        Ok(())
    }

    /// Ends a held request that a restart found open: its client is gone.
    pub(crate) fn withdrawn(request: &str) -> RequestEnded {
        RequestEnded { request: request.into(), cause: "withdrawn".into() }
    }
}
