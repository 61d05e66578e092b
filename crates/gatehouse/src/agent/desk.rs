//! What one caller has: tasks, and what waits for a person.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use gatehouse_api::Control as _;
use gatehouse_model::Secret;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinHandle};

use super::access::{Access, Begun, ByToken};
use super::work;
use crate::control::ApiControl;
use crate::registry;

/// How long a task lives whose reason says nothing of that, in seconds.
pub(super) const TASK_SECS: u32 = 1800;
/// How long a call waits at most, in seconds: clients wait for a minute.
const WAIT_SECS_MAX: u64 = 50;
/// How often it is asked what became of a request.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How many things may wait for a person, by caller.
const WAITING_MAX: usize = 16;
/// How many tasks a caller may have that live.
const LEASES_MAX: usize = 16;
/// How many statements of a caller run at a time.
const RUNNING_MAX: usize = 4;
/// How many callers there may be, by how many tokens one of them; and how long one is remembered that calls no more, in seconds.
const DESKS_MAX: usize = 1024;
const DESKS_OF_ONE_MAX: usize = 16;
const DESK_SECS_MAX: u64 = 3600;

/// A target, as far as it is shown to those who may ask for it.
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) protocol: String,
}

/// A task that is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) targets: Vec<String>,
    pub(super) reason: String,
    pub(super) ttl_secs: Option<u32>,
}

/// A request over HTTP.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct HttpAsked {
    /// The name of a target that speaks http.
    pub(super) target: String,
    /// The method, such as GET.
    pub(super) method: String,
    /// The path at the target with its query, such as /v1/customers?page=2.
    pub(super) path: String,
    /// Header fields.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// The body.
    pub(super) body: Option<String>,
}

/// A task that was started, and what it is used by.
pub(super) struct Lease {
    pub(super) task: String,
    pub(super) expires: String,
    pub(super) user: String,
    pub(super) password: Secret,
    pub(super) addresses: BTreeMap<String, String>,
    pub(super) protocols: BTreeMap<String, String>,
    pub(super) root_certificates: BTreeMap<String, String>,
    /// What tells the gateway that this process lives.
    pub(super) alive: Option<AbortHandle>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(alive) = &self.alive {
            alive.abort();
        }
    }
}

/// What waits for a person.
enum Waiting {
    Access(Wanted),
    /// What runs, and where it says what it waits for next.
    Query(Running, mpsc::Receiver<String>),
    Http(Arc<Lease>, HttpAsked),
}

/// A statement that runs, for as long as anybody may ask what came of it.
struct Running(JoinHandle<Result<Value>>);

impl Running {
    async fn done(&mut self) -> Result<Value> {
        (&mut self.0).await?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What waits, taken out of what waits to be looked at; it goes back unless it is over.
struct Taken<'d> {
    desk: &'d Desk,
    request: String,
    waiting: Option<Waiting>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            lock(&self.desk.waiting).insert(std::mem::take(&mut self.request), waiting);
        }
    }
}

/// One caller's.
pub(crate) struct Desk {
    access: Box<dyn Access>,
    leases: Mutex<Vec<Arc<Lease>>>,
    /// Held while a task begins, so that what was counted before is still so when it is added.
    beginning: tokio::sync::Mutex<()>,
    waiting: Mutex<HashMap<String, Waiting>>,
    running: Arc<Semaphore>,
    /// Whose it is, and when it was used last.
    whose: String,
    used: Mutex<Instant>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub(super) fn new(access: Box<dyn Access>, whose: String) -> Self {
        Self {
            access,
            leases: Mutex::default(),
            beginning: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            running: Arc::new(Semaphore::new(RUNNING_MAX)),
            whose,
            used: Mutex::new(Instant::now()),
        }
    }

    pub(super) async fn targets(&self) -> Result<Value> {
        let targets = self.access.targets().await?;
        let seen = targets.iter().map(|target| json!({ "name": target.name, "protocol": target.protocol }));
        Ok(json!({ "targets": seen.collect::<Vec<_>>() }))
    }

    pub(super) async fn request_access(&self, wanted: Wanted) -> Result<Value> {
        let _beginning = self.beginning.lock().await;
        let is_over = |lease: &Arc<Lease>| lease.expires.parse::<Timestamp>().is_ok_and(|at| at < Timestamp::now());
        let live = {
            let mut leases = lock(&self.leases);
            leases.retain(|lease| !is_over(lease));
            leases.len()
        };
        self.must_have_room()?;
        if live >= LEASES_MAX {
            bail!("you have {LEASES_MAX} tasks already: end one with end_access");
        }
        match self.access.start(&wanted).await? {
            Begun::Started(lease) => Ok(self.keep(*lease)),
            Begun::Asked(request) => self.wait(request, Waiting::Access(wanted)),
        }
    }

    fn keep(&self, lease: Lease) -> Value {
        let told = json!({
            "task": lease.task,
            "targets": lease.addresses.keys().collect::<Vec<_>>(),
            "expires": lease.expires,
        });
        lock(&self.leases).push(Arc::new(lease));
        told
    }

    /// Before a person is asked.
    fn must_have_room(&self) -> Result<()> {
        if lock(&self.waiting).len() >= WAITING_MAX {
            bail!("{WAITING_MAX} requests wait for a person already: wait for one of them");
        }
        Ok(())
    }

    /// Remembers what waits, and says so.
    fn wait(&self, request: String, waiting: Waiting) -> Result<Value> {
        let mut all = lock(&self.waiting);
        if all.len() >= WAITING_MAX && !all.contains_key(&request) {
            bail!("{WAITING_MAX} requests wait for a person already: wait for one of them");
        }
        all.insert(request.clone(), waiting);
        Ok(json!({ "waits_for_approval": request, "next": "call wait_for_approval with this request" }))
    }

    /// The newest task for a target that speaks so.
    fn lease(&self, target: &str, speaks: fn(&str) -> bool) -> Result<Arc<Lease>> {
        let leases = lock(&self.leases);
        let lease = leases.iter().rev().find(|lease| lease.addresses.contains_key(target)).cloned();
        let lease = lease.with_context(|| format!("you have no access to {target}: call request_access first"))?;
        match lease.protocols.get(target) {
            Some(protocol) if speaks(protocol) => Ok(lease),
            protocol => {
                bail!("{target} speaks {}: use another tool", protocol.map_or("something else", String::as_str))
            }
        }
    }

    pub(super) async fn query(&self, target: String, sql: String) -> Result<Value> {
        let lease = self.lease(&target, |protocol| protocol == "postgres")?;
        let (tell, mut told) = mpsc::channel(work::NOTICES_MAX);
        let place = self.running.clone().try_acquire_owned();
        let place = place.map_err(|_| anyhow!("{RUNNING_MAX} of your statements run already: wait for one of them"))?;
        let mut running = Running(tokio::spawn(async move {
            let _place = place;
            work::query(&lease, &target, &sql, tell).await
        }));
        let deadline = tokio::time::sleep(Duration::from_secs(WAIT_SECS_MAX));
        tokio::select! {
            biased;
            done = running.done() => done,
            Some(request) = told.recv() => self.wait(request, Waiting::Query(running, told)),
            () = deadline => bail!("the statement ran for more than {WAIT_SECS_MAX} s, and was cancelled"),
        }
    }

    pub(super) async fn http_request(&self, asked: HttpAsked) -> Result<Value> {
        let lease = self.lease(&asked.target, registry::rides_on_http)?;
        self.must_have_room()?;
        self.send(lease, asked).await
    }

    async fn send(&self, lease: Arc<Lease>, asked: HttpAsked) -> Result<Value> {
        let sent = tokio::time::timeout(Duration::from_secs(WAIT_SECS_MAX), work::http_request(&lease, &asked)).await;
        match sent.map_err(|_| anyhow!("there was no answer within {WAIT_SECS_MAX} s"))?? {
            work::Answer::Whole(answer) => Ok(answer),
            work::Answer::Held(request) => self.wait(request, Waiting::Http(lease, asked)),
        }
    }

    pub(super) async fn wait_for(&self, request: String, seconds: Option<u64>) -> Result<Value> {
        let within = Duration::from_secs(seconds.unwrap_or(WAIT_SECS_MAX).min(WAIT_SECS_MAX));
        let waiting = lock(&self.waiting).remove(&request);
        let waiting = waiting.with_context(|| format!("nothing waits for request {request}"))?;
        // Whoever calls may go, and ask again.
        let mut taken = Taken { desk: self, request: request.clone(), waiting: Some(waiting) };
        let still =
            json!({ "waits_for_approval": request, "next": "nobody has answered yet: call wait_for_approval again" });
        let decided = match taken.waiting.as_mut() {
            None => return Ok(still),
            Some(Waiting::Query(running, told)) => {
                tokio::select! {
                    biased;
                    done = running.done() => {
                        taken.waiting = None;
                        return done;
                    }
                    // Another statement of the same text.
                    Some(next) = told.recv() => {
                        let waiting = taken.waiting.take();
                        return waiting.map_or(Ok(still), |waiting| self.wait(next, waiting));
                    }
                    () = tokio::time::sleep(within) => return Ok(still),
                }
            }
            Some(Waiting::Access(_)) => self.decided(within, || self.access_state(&request)).await?,
            Some(Waiting::Http(lease, asked)) => {
                let (lease, target) = (&*lease, &asked.target);
                self.decided(within, || work::http_state(lease, target, &request)).await?
            }
        };
        match (decided, taken.waiting.take()) {
            (Decided::Approved, Some(Waiting::Access(wanted))) => self.request_access(wanted).await,
            (Decided::Approved, Some(Waiting::Http(lease, asked))) => self.send(lease, asked).await,
            (Decided::Over(why), _) => bail!(why),
            (Decided::Approved | Decided::Open, waiting) => {
                taken.waiting = waiting;
                Ok(still)
            }
        }
    }

    async fn access_state(&self, request: &str) -> Result<(String, Option<String>)> {
        let answered = self.access.state(request).await?;
        Ok((answered.state, answered.reason))
    }

    /// What became of a request, within a time.
    async fn decided<F>(&self, within: Duration, state: impl Fn() -> F) -> Result<Decided>
    where
        F: Future<Output = Result<(String, Option<String>)>>,
    {
        let until = Instant::now() + within;
        loop {
            let (state, reason) = state().await?;
            match state.as_str() {
                "approved" => return Ok(Decided::Approved),
                "open" if Instant::now() >= until => return Ok(Decided::Open),
                "open" => tokio::time::sleep(ASK_EVERY).await,
                over => {
                    let reason = reason.filter(|reason| !reason.is_empty()).map(|reason| format!(": {reason}"));
                    return Ok(Decided::Over(format!("the request is {over}{}", reason.unwrap_or_default())));
                }
            }
        }
    }

    pub(super) async fn end_access(&self, task: &str) -> Result<Value> {
        let lease = lock(&self.leases).iter().find(|lease| lease.task == task).cloned();
        let lease = lease.with_context(|| format!("you have no task {task}"))?;
        self.access.end(&lease).await?;
        lock(&self.leases).retain(|lease| lease.task != task);
        Ok(json!({ "ended": task }))
    }

    /// Gives everything back.
    pub(super) async fn end(&self) {
        let leases = std::mem::take(&mut *lock(&self.leases));
        for lease in leases {
            if let Err(error) = self.access.end(&lease).await {
                tracing::warn!("the task {} was not ended: {error:#}; it expires at {}", lease.task, lease.expires);
            }
        }
    }
}

/// What a person said.
enum Decided {
    Approved,
    /// Nothing yet.
    Open,
    /// It is over, in these words.
    Over(String),
}

/// The desks of all who prove who they are.
pub(crate) struct Desks {
    control: ApiControl,
    desks: Mutex<HashMap<[u8; 32], Arc<Desk>>>,
}

impl Desks {
    pub(crate) fn new(control: ApiControl) -> Self {
        Self { control, desks: Mutex::default() }
    }

    /// The desk of whoever shows this token: a stranger's is looked at first.
    pub(super) async fn of(&self, parts: Option<&Parts>) -> Result<Arc<Desk>> {
        let shown = parts.and_then(|parts| parts.headers.get(AUTHORIZATION)).and_then(|value| value.to_str().ok());
        let token = shown.and_then(|shown| shown.strip_prefix("Bearer ")).context("show a token of your workload's")?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let peer = parts.and_then(|parts| gatehouse_api::peer(parts, self.control.is_forwarded()));
        let access = ByToken { control: self.control.clone(), token: Secret::new(token) };
        // With each call: it may have ended, or been taken away.
        let whose = match access.whose().await {
            Ok(whose) => whose,
            Err(error) => {
                self.control.count_stranger(peer).map_err(|problem| anyhow!(problem.title))?;
                return Err(error);
            }
        };
        let (desk, gone) = {
            let mut desks = lock(&self.desks);
            let is_new = !desks.contains_key(&digest);
            let of_one = desks.values().filter(|desk| desk.whose == whose).count();
            let mut gone: Vec<[u8; 32]> = Vec::new();
            let is_old = |desk: &Desk| lock(&desk.used).elapsed() > Duration::from_secs(DESK_SECS_MAX);
            gone.extend(desks.iter().filter(|(_, desk)| is_old(desk)).map(|(digest, _)| *digest));
            if is_new && (of_one >= DESKS_OF_ONE_MAX || desks.len() >= DESKS_MAX) {
                // Whoever has many gives up one of their own.
                let mine = |desk: &Desk| of_one < DESKS_OF_ONE_MAX || desk.whose == whose;
                let oldest = desks.iter().filter(|(_, desk)| mine(desk)).min_by_key(|(_, desk)| *lock(&desk.used));
                gone.extend(oldest.map(|(digest, _)| *digest));
            }
            let gone: Vec<Arc<Desk>> = gone.iter().filter_map(|digest| desks.remove(digest)).collect();
            let desk = desks.entry(digest).or_insert_with(|| Arc::new(Desk::new(Box::new(access), whose))).clone();
            *lock(&desk.used) = Instant::now();
            (desk, gone)
        };
        for desk in gone {
            tokio::spawn(async move { desk.end().await });
        }
        Ok(desk)
    }
}
