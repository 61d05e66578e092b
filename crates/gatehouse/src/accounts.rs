//! As whom the gateway logs in at targets: passwords that lie somewhere, and accounts that are made for each task and go with
//! it.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use gatehouse_engine::{House as _, TargetAccount};
use gatehouse_gate::{Account, Target};
use gatehouse_model::{Secret, TargetName, TaskId};
use gatehouse_secrets::{Lease, Run};
use jiff::{SignedDuration, Timestamp};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, Semaphore};

use crate::load::AccountSource;
use crate::state::State;

/// How long a program that prints a secret may take.
const RUN: Duration = Duration::from_secs(10);
/// The most that it may print, in bytes.
const PRINTED_BYTES_MAX: u64 = 64 * 1024 + 1;
/// What of the gateway's environment it finds in its own.
const ENVIRONMENT: [&str; 3] = ["HOME", "LANG", "PATH"];
/// How long before its end an account is not used for new sessions any more, in seconds, or in parts of its life where
/// that is short.
const SPARE_SECS_MAX: i64 = 5;
const SPARE_PARTS: i64 = 4;
/// After which part of its life an account's lease is renewed: there is time to try again.
const RENEW_PARTS: i64 = 3;
/// Leases that are being ended at a time.
const ENDINGS_MAX: usize = 64;
/// How soon it is tried again to end or renew a lease, in seconds.
const RETRY_SECS: i64 = 1;

/// An account that was made for a task.
struct Leased {
    lease: Lease,
    ends: Timestamp,
    /// From when on new sessions want another.
    is_old_at: Timestamp,
    renew_at: Timestamp,
}

/// The accounts of a task at a target.
#[derive(Default)]
struct Accounts {
    /// That of new sessions.
    newest: Option<Leased>,
    /// Those that sessions may still use; they end by themselves or with the task.
    older: Vec<Leased>,
}

impl Accounts {
    fn take(&mut self) -> Vec<String> {
        self.older.drain(..).chain(self.newest.take()).map(|leased| leased.lease.id).collect()
    }
}

type Place = Arc<tokio::sync::Mutex<Accounts>>;

/// Accounts that were made for tasks.
#[derive(Default)]
pub(crate) struct Leases {
    live: Mutex<HashMap<(TaskId, TargetName), Place>>,
    /// Leases that are to end, and when that is tried next.
    ending: Mutex<Vec<(String, Timestamp)>>,
    /// Rung when one is to end.
    bell: Notify,
}

impl Leased {
    fn new(lease: Lease, now: Timestamp) -> Self {
        let secs = lease.secs;
        let mut leased = Self { lease, ends: now, is_old_at: now, renew_at: now };
        leased.live_on(secs, now);
        leased
    }

    fn live_on(&mut self, secs: u32, now: Timestamp) {
        let after = |secs: i64| now.saturating_add(SignedDuration::from_secs(secs)).unwrap_or(now);
        let secs = i64::from(secs);
        self.ends = after(secs);
        self.is_old_at = after(secs - SPARE_SECS_MAX.min(secs / SPARE_PARTS));
        self.renew_at = after(secs / RENEW_PARTS);
    }
}

impl Leases {
    /// Has leases end, and tries until they have.
    pub(crate) fn end(&self, leases: impl IntoIterator<Item = String>, now: Timestamp) {
        lock(&self.ending).extend(leases.into_iter().map(|lease| (lease, now)));
        self.bell.notify_one();
    }

    /// Has the accounts of a task end. One that is being made in this moment ends when it is.
    pub(crate) fn end_task(self: &Arc<Self>, task: &TaskId, now: Timestamp) {
        let mut live = lock(&self.live);
        let ended: Vec<Place> = live.extract_if(|(of, _), _| of == task).map(|(_, place)| place).collect();
        drop(live);
        if !ended.is_empty() {
            self.end_places(ended, now);
        }
    }

    /// Has an account end that its target did not take, unless there is a newer one already; whether another is to be had.
    pub(crate) fn end_account(&self, task: &TaskId, target: &TargetName, user: &str, now: Timestamp) -> bool {
        let place = self.place(task, target);
        // While one is being made, there is nothing to end.
        let Ok(mut place) = place.try_lock() else { return true };
        let refused = place.newest.take_if(|leased| leased.lease.user == user);
        self.end(refused.map(|leased| leased.lease.id), now);
        true
    }

    /// What is to end now.
    fn due(&self, now: Timestamp) -> Vec<String> {
        lock(&self.ending).extract_if(.., |(_, at)| *at <= now).map(|(lease, _)| lease).collect()
    }

    fn end_places(self: &Arc<Self>, places: Vec<Place>, now: Timestamp) {
        let leases = self.clone();
        tokio::spawn(async move {
            for place in places {
                let taken = place.lock().await.take();
                leases.end(taken, now);
            }
        });
    }

    fn place(&self, task: &TaskId, target: &TargetName) -> Place {
        lock(&self.live).entry((task.clone(), target.clone())).or_default().clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// As whom the gateway logs in at a target for a task.
    pub(crate) async fn target_account(&self, target: &Target, task: &TaskId) -> Result<TargetAccount, String> {
        let loaded = self.loaded.load_full();
        let source = loaded.accounts.get(&target.name).ok_or("the target is no longer configured")?;
        match (source, &target.route.account) {
            (AccountSource::Password(reference), Account::Named(user)) => {
                let password = loaded.keeper.secret(reference, self.now()).await.map_err(|error| error.to_string())?;
                Ok(TargetAccount { user: user.clone(), password })
            }
            (AccountSource::Role(role), Account::Leased) => self.leased(&target.name, role, task).await,
            (AccountSource::Password(_) | AccountSource::Role(_), _) => {
                Err("the target was changed in this moment".into())
            }
        }
    }

    async fn leased(&self, target: &TargetName, role: &str, task: &TaskId) -> Result<TargetAccount, String> {
        let place = self.leases.place(task, target);
        let mut place = place.lock().await;
        let now = self.now();
        if let Some(leased) = place.newest.as_ref().filter(|leased| now < leased.is_old_at) {
            return Ok(account_of(&leased.lease));
        }
        let keeper = self.loaded.load().keeper.clone();
        let lease = keeper.lease(role, now).await.map_err(|error| error.to_string())?;
        if let Err(error) = self.store.keep_lease(&lease.id).await {
            self.leases.end([lease.id], now);
            return Err(format!("an account cannot be kept note of, so it is not used: {error}"));
        }
        // The task may have ended meanwhile, and whoever ended it found nothing here.
        if self.tasks.task(task, self.now()).is_none() {
            self.leases.end([lease.id], now);
            return Err("the task has ended".into());
        }
        let account = account_of(&lease);
        let older = place.newest.replace(Leased::new(lease, now));
        place.older.extend(older);
        Ok(account)
    }

    /// Renews leases until the runtime ends.
    pub(crate) async fn keep_leases(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            self.renew_leases().await;
        }
    }

    /// Ends leases that are to end, until the runtime does. None waits for another.
    pub(crate) async fn end_leases(self: Arc<Self>) {
        let places = Arc::new(Semaphore::new(ENDINGS_MAX));
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.leases.bell.notified() => {}
            }
            for lease in self.leases.due(self.now()) {
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let state = self.clone();
                tokio::spawn(async move {
                    let _place = place;
                    state.end_lease(lease).await;
                });
            }
        }
    }

    async fn end_lease(&self, lease: String) {
        let (now, keeper) = (self.now(), self.loaded.load().keeper.clone());
        let ended = async {
            keeper.revoke(&lease, now).await?;
            anyhow::Ok(self.store.forget_lease(&lease).await?)
        };
        if let Err(error) = ended.await {
            tracing::error!(%error, lease, "an account at a target is not ended yet, and will be tried again");
            let at = now.saturating_add(SignedDuration::from_secs(RETRY_SECS)).unwrap_or(now);
            lock(&self.leases.ending).push((lease, at));
        }
    }

    /// Has every account that was made end, for the gateway does.
    pub(crate) async fn end_all_leases(&self) {
        let places: Vec<Place> = lock(&self.leases.live).drain().map(|(_, place)| place).collect();
        for place in places {
            let taken = place.lock().await.take();
            self.leases.end(taken, self.now());
        }
        let due = self.leases.due(self.now()).into_iter().map(|lease| self.end_lease(lease));
        futures_util::future::join_all(due).await;
    }

    async fn renew_leases(&self) {
        let places: Vec<Place> = lock(&self.leases.live).values().cloned().collect();
        let (now, keeper) = (self.now(), self.loaded.load().keeper.clone());
        if let Err(error) = keeper.renew_token(now).await {
            tracing::warn!(%error, "the gateway's token at the vault is not renewed yet");
        }
        for place in places {
            // One that is being made needs none.
            let Ok(mut place) = place.try_lock() else { continue };
            let over: Vec<Leased> = place.older.extract_if(.., |leased| leased.ends <= now).collect();
            self.leases.end(over.into_iter().map(|leased| leased.lease.id), now);
            let due = |leased: &&mut Leased| leased.renew_at <= now && now < leased.ends;
            let Some(leased) = place.newest.as_mut().filter(due) else { continue };
            match keeper.renew(&leased.lease.id, now).await {
                Ok(secs) => leased.live_on(secs, now),
                Err(error) => {
                    tracing::warn!(%error, "an account at a target is not renewed yet");
                    leased.renew_at = now.saturating_add(SignedDuration::from_secs(RETRY_SECS)).unwrap_or(now);
                }
            }
        }
    }
}

fn account_of(lease: &Lease) -> TargetAccount {
    TargetAccount { user: lease.user.clone(), password: lease.password.clone() }
}

/// Runs programs that print secrets, with little of the gateway's environment: others of its secrets may lie there.
pub(crate) fn runner() -> Run {
    Arc::new(|words| {
        async move {
            tokio::time::timeout(RUN, run(&words))
                .await
                .unwrap_or_else(|_| Err(format!("it takes longer than {} s", RUN.as_secs())))
        }
        .boxed()
    })
}

async fn run(words: &[String]) -> Result<Secret, String> {
    let (program, arguments) = words.split_first().ok_or("there is no program")?;
    let kept = ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env_clear().envs(kept).kill_on_drop(true);
    // What it complains of may hold what it should not.
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| format!("it cannot be run: {error}"))?;
    let mut printed = Vec::with_capacity(256);
    let output = child.stdout.take().ok_or("its output cannot be read")?;
    let read = output.take(PRINTED_BYTES_MAX).read_to_end(&mut printed).await;
    let printed = Secret::new(printed);
    read.map_err(|error| format!("its output cannot be read: {error}"))?;
    let status = child.wait().await.map_err(|error| format!("it cannot be waited for: {error}"))?;
    if status.success() { Ok(printed) } else { Err(format!("it ends with {status}")) }
}
