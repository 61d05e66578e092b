//! As whom the gateway logs in at targets: passwords that lie somewhere, and accounts that are made for each task and go with
//! it.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use gatehouse_engine::{House as _, TargetAccount};
use gatehouse_gate::{Account, Grant};
use gatehouse_journal::{AccountEnded, AccountLocked, AccountMade};
use gatehouse_model::{Secret, TargetName, TaskId};
use gatehouse_protocol::{Carriage, Protocol};
use gatehouse_secrets::{Keeper, MadeAccount, Run};
use jiff::{SignedDuration, Timestamp};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use crate::load::AccountSource;
use crate::registry;
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
/// Leases that are renewed or ended at a time.
const AT_A_TIME_MAX: usize = 64;
/// How soon it is tried again to end or renew a lease, in seconds.
const RETRY_SECS: i64 = 1;
/// How long a vault may take to end an account before the gateway locks it at the target.
const VAULT_WAIT: Duration = Duration::from_millis(300);

/// An account that was made for a task.
struct Leased {
    made: MadeAccount,
    /// By which role.
    role: String,
    /// Who made it, and ends it.
    keeper: Arc<Keeper>,
    /// With which session's leave the target is dialed to lock it.
    grant: Arc<Grant>,
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
    fn take(&mut self) -> Vec<Ending> {
        self.older.drain(..).chain(self.newest.take()).map(Ending::from).collect()
    }
}

/// The place of a task's accounts at a target. They can be taken from it while another is being made.
#[derive(Default)]
struct Room {
    accounts: Mutex<Accounts>,
    making: tokio::sync::Mutex<()>,
}

type Place = Arc<Room>;

/// A lease that is to end, and by whom.
struct Ending {
    lease: String,
    keeper: Arc<Keeper>,
    lock: Lock,
    /// When it is tried next.
    at: Timestamp,
}

/// How far the lock of an account at its target is.
enum Lock {
    /// It is to be locked, by its own password, with the leave of a session that it was made for.
    Due(Arc<Grant>, TargetAccount),
    /// It is locked, and that is not recorded yet.
    Unrecorded,
    /// There is nothing to do, also for one whose password nobody has any more.
    Done,
}

impl From<Leased> for Ending {
    fn from(leased: Leased) -> Self {
        let lock = Lock::Due(leased.grant.clone(), leased.account());
        Self { lease: leased.made.id, keeper: leased.keeper, lock, at: Timestamp::UNIX_EPOCH }
    }
}

/// Accounts that were made for tasks.
pub(crate) struct Leases {
    live: Mutex<HashMap<(TaskId, TargetName), Place>>,
    ending: Mutex<Vec<Ending>>,
    /// Rung when one is to end.
    bell: Notify,
    /// The places of those whose end or lock is asked for. A vault that hangs keeps none from being locked.
    at_vault: Semaphore,
    at_target: Semaphore,
}

impl Default for Leases {
    fn default() -> Self {
        let places = || Semaphore::new(AT_A_TIME_MAX);
        let (live, ending, bell) = (Mutex::default(), Mutex::default(), Notify::default());
        Self { live, ending, bell, at_vault: places(), at_target: places() }
    }
}

impl Leased {
    fn new(made: MadeAccount, role: &str, keeper: Arc<Keeper>, grant: Arc<Grant>, now: Timestamp) -> Self {
        let secs = made.secs;
        let mut leased = Self { made, role: role.into(), keeper, grant, ends: now, is_old_at: now, renew_at: now };
        leased.live_on(secs, now);
        leased
    }

    fn live_on(&mut self, secs: u32, now: Timestamp) {
        let secs = i64::from(secs);
        self.ends = after(now, secs);
        self.is_old_at = after(now, secs - SPARE_SECS_MAX.min(secs / SPARE_PARTS));
        self.renew_at = after(now, secs / RENEW_PARTS);
    }

    fn account(&self) -> TargetAccount {
        TargetAccount { user: self.made.user.clone(), password: self.made.password.clone() }
    }
}

impl Leases {
    /// Has the leases end that a gateway before this one left behind.
    pub(crate) fn end_left(&self, leases: Vec<(String, String)>, keeper: &Arc<Keeper>) {
        let (here, elsewhere): (Vec<_>, Vec<_>) = leases.into_iter().partition(|(_, vault)| keeper.is_of(vault));
        for (lease, vault) in elsewhere {
            tracing::error!(
                lease,
                vault,
                "an account at a target is left to its vault, which is not configured any more"
            );
        }
        let ending = |(lease, _)| Ending { lease, keeper: keeper.clone(), lock: Lock::Done, at: Timestamp::UNIX_EPOCH };
        self.end(here.into_iter().map(ending));
    }

    /// Has leases end, and tries until they have.
    fn end(&self, leases: impl IntoIterator<Item = Ending>) {
        lock(&self.ending).extend(leases);
        self.bell.notify_one();
    }

    /// Has the accounts of a task end. One that is being made in this moment ends when it is.
    pub(crate) fn end_task(&self, task: &TaskId) {
        let places: Vec<Place> = lock(&self.live).extract_if(|(of, _), _| of == task).map(|(_, place)| place).collect();
        for place in places {
            let taken = lock(&place.accounts).take();
            self.end(taken);
        }
    }

    /// Has an account end that its target did not take, unless there is a newer one already.
    pub(crate) fn end_account(&self, task: &TaskId, target: &TargetName, user: &str) {
        let place = lock(&self.live).get(&(task.clone(), target.clone())).cloned();
        if let Some(place) = place {
            let refused = lock(&place.accounts).newest.take_if(|leased| leased.made.user == user);
            self.end(refused.map(Ending::from));
        }
    }

    /// What is to end now.
    fn due(&self, now: Timestamp) -> Vec<Ending> {
        lock(&self.ending).extract_if(.., |ending| ending.at <= now).collect()
    }

    fn place(&self, task: &TaskId, target: &TargetName) -> Place {
        lock(&self.live).entry((task.clone(), target.clone())).or_default().clone()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn after(now: Timestamp, secs: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(secs)).unwrap_or(now)
}

impl State {
    /// As whom the gateway logs in at a target for a task.
    pub(crate) async fn target_account(&self, grant: Arc<Grant>) -> Result<TargetAccount, String> {
        let target = grant.target();
        let loaded = self.loaded.load_full();
        let source = loaded.accounts.get(&target.name).ok_or("the target is no longer configured")?;
        match (source, &target.route.account) {
            (AccountSource::Password(reference), Account::Named(user)) => {
                let password = loaded.keeper.secret(reference, self.now()).await.map_err(|error| error.to_string())?;
                Ok(TargetAccount { user: user.clone(), password })
            }
            (AccountSource::Password(reference), Account::Shown(_)) => {
                let password = loaded.keeper.secret(reference, self.now()).await.map_err(|error| error.to_string())?;
                Ok(TargetAccount { user: String::new(), password })
            }
            (AccountSource::Role(role), Account::Leased) => self.leased(&grant, role).await,
            (AccountSource::Password(_) | AccountSource::Role(_), _) => {
                Err("the target was changed in this moment".into())
            }
        }
    }

    async fn leased(&self, grant: &Arc<Grant>, role: &str) -> Result<TargetAccount, String> {
        let (target, task) = (&grant.target().name, &grant.lease().task.id);
        let place = self.leases.place(task, target);
        let _making = place.making.lock().await;
        let now = self.now();
        // One of another role than the configuration names now is not what the target's sessions are to have.
        let other = lock(&place.accounts).newest.take_if(|leased| leased.role != role);
        self.leases.end(other.map(Ending::from));
        let young = lock(&place.accounts).newest.as_ref().filter(|leased| now < leased.is_old_at).map(Leased::account);
        if let Some(account) = young {
            return Ok(account);
        }
        let keeper = self.loaded.load().keeper.clone();
        let made = keeper.make_account(role, now).await.map_err(|error| error.to_string())?;
        let leased = Leased::new(made, role, keeper, grant.clone(), now);
        let account = leased.account();
        if let Err(error) = self.store.keep_lease(&leased.made.id, &leased.keeper.vault_name()).await {
            self.leases.end([leased.into()]);
            return Err(format!("an account cannot be kept note of, so it is not used: {error}"));
        }
        let record = AccountMade {
            lease: leased.made.id.clone(),
            account: leased.made.user.clone(),
            target: target.to_string(),
            task: task.to_string(),
        };
        // What is done by an account that nobody can put down to a task is not done.
        if let Err(error) = self.gate.ledger().record(now, record) {
            self.leases.end([leased.into()]);
            return Err(format!("an account cannot be recorded, so it is not used: {error}"));
        }
        {
            let mut accounts = lock(&place.accounts);
            let older = accounts.newest.replace(leased);
            accounts.older.extend(older);
        }
        // The task may have ended meanwhile, and whoever ended it found nothing here.
        if self.tasks.task(task, self.now()).is_none() {
            self.leases.end_task(task);
            let taken = lock(&place.accounts).take();
            self.leases.end(taken);
            return Err("the task has ended".into());
        }
        Ok(account)
    }

    /// Renews leases until the runtime ends.
    pub(crate) async fn keep_leases(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.now();
            let keeper = self.loaded.load().keeper.clone();
            keeper.sweep(now);
            if let Err(error) = keeper.renew_token(now).await {
                tracing::warn!(%error, "the gateway's token at the vault is not renewed yet");
            }
            // A look-up that failed after its task's end leaves a place, which nobody else would end.
            let tasks: HashSet<TaskId> = lock(&self.leases.live).keys().map(|(task, _)| task.clone()).collect();
            for task in tasks.iter().filter(|task| self.tasks.task(task, now).is_none()) {
                self.leases.end_task(task);
            }
            let places: Vec<Place> = lock(&self.leases.live).values().cloned().collect();
            let places = futures_util::stream::iter(places);
            places.for_each_concurrent(AT_A_TIME_MAX, |place| async move { self.renew(&place).await }).await;
        }
    }

    /// Renews the newest account in a place, where that is due. Nobody waits for it.
    async fn renew(&self, place: &Place) {
        let now = self.now();
        let due = {
            let mut accounts = lock(&place.accounts);
            let over: Vec<Leased> = accounts.older.extract_if(.., |leased| leased.ends <= now).collect();
            self.leases.end(over.into_iter().map(Ending::from));
            let due = |leased: &&mut Leased| leased.renew_at <= now && now < leased.ends;
            let Some(leased) = accounts.newest.as_mut().filter(due) else { return };
            leased.renew_at = after(now, RETRY_SECS);
            (leased.made.id.clone(), leased.keeper.clone())
        };
        let (lease, keeper) = due;
        match keeper.renew(&lease, now).await {
            Ok(secs) => {
                let mut accounts = lock(&place.accounts);
                if let Some(leased) = accounts.newest.as_mut().filter(|leased| leased.made.id == lease) {
                    leased.live_on(secs, now);
                }
            }
            Err(error) => tracing::warn!(%error, "an account at a target is not renewed yet"),
        }
    }

    /// Ends leases that are to end, until the runtime does. None waits for another.
    pub(crate) async fn end_leases(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.leases.bell.notified() => {}
            }
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            metrics::gauge!("gatehouse_accounts_to_end").set(lock(&self.leases.ending).len() as f64);
            for ending in self.leases.due(self.now()) {
                let state = self.clone();
                tokio::spawn(async move { state.end_lease(ending).await });
            }
        }
    }

    async fn end_lease(&self, mut ending: Ending) {
        let now = self.now();
        if let Err(error) = self.end_or_lock(&mut ending).await {
            tracing::error!(%error, lease = ending.lease, "an account at a target is not ended yet, and will be tried again");
            ending.at = after(now, RETRY_SECS);
            lock(&self.leases.ending).push(ending);
        }
    }

    /// Has the vault end an account, and locks it at its target as soon as the vault takes its time, refuses, or is away.
    async fn end_or_lock(&self, ending: &mut Ending) -> anyhow::Result<()> {
        let mut ended = pin!(self.end_at_vault(&ending.lease, &ending.keeper));
        loop {
            let answer = tokio::time::timeout(VAULT_WAIT, &mut ended).await;
            if answer.as_ref().is_ok_and(Result::is_ok) {
                return Ok(());
            }
            self.lock(&ending.lease, &mut ending.lock).await;
            if let Ok(answer) = answer {
                return answer;
            }
        }
    }

    async fn end_at_vault(&self, lease: &str, keeper: &Keeper) -> anyhow::Result<()> {
        let _place = self.leases.at_vault.acquire().await?;
        keeper.revoke(lease, self.now()).await?;
        self.gate.ledger().record(self.now(), AccountEnded { lease: lease.into() })?;
        Ok(self.store.forget_lease(lease).await?)
    }

    /// Locks an account at its target, from within; one that is locked already is left alone.
    async fn lock(&self, lease: &str, account: &mut Lock) {
        if let Lock::Due(grant, login) = account
            && self.lock_at_target(lease, grant, login).await
        {
            *account = Lock::Unrecorded;
        }
        if let Lock::Unrecorded = account {
            match self.gate.ledger().record(self.now(), AccountLocked { lease: lease.into() }) {
                Ok(_) => *account = Lock::Done,
                Err(error) => tracing::error!(%error, lease, "the lock of an account at a target is not recorded yet"),
            }
        }
    }

    /// Whether it is locked now.
    async fn lock_at_target(&self, lease: &str, grant: &Grant, login: &TargetAccount) -> bool {
        let Some(engine) = self.engine.get() else { return false };
        let protocol = registry::protocol(&grant.target().protocol).map(Protocol::carriage);
        let Some(Carriage::Stream(protocol)) = protocol else { return false };
        let Ok(_place) = self.leases.at_target.acquire().await else { return false };
        let locked = engine.lock_account(grant, &*protocol, login.clone()).await;
        if let Err(error) = &locked {
            tracing::warn!(%error, lease, "an account at a target is not locked yet, and will be tried again");
        }
        locked.is_ok()
    }

    /// Has every account that was made end, for the gateway does: also those whose end is under way.
    pub(crate) async fn end_all_leases(&self) {
        let places: Vec<Place> = lock(&self.leases.live).drain().map(|(_, place)| place).collect();
        let ending = std::mem::take(&mut *lock(&self.leases.ending));
        let known: Vec<String> = ending.iter().map(|ending| ending.lease.clone()).collect();
        let of_places = places.into_iter().map(|place| async move {
            // One that is being made ends when it is.
            let _making = place.making.lock().await;
            let taken = lock(&place.accounts).take();
            futures_util::future::join_all(taken.into_iter().map(|ending| self.end_lease(ending))).await;
        });
        let keeper = self.loaded.load().keeper.clone();
        // Those whose end is under way.
        let left = self.store.leases().await.unwrap_or_default();
        let left = left.into_iter().filter(|(lease, vault)| keeper.is_of(vault) && !known.contains(lease));
        let left = left.map(|(lease, _)| Ending {
            lease,
            keeper: keeper.clone(),
            lock: Lock::Done,
            at: Timestamp::UNIX_EPOCH,
        });
        let ending = ending.into_iter().chain(left).map(|ending| self.end_lease(ending));
        futures_util::future::join(futures_util::future::join_all(of_places), futures_util::future::join_all(ending))
            .await;
    }
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
    // Of its full length from the beginning, so that no shorter copy is left behind.
    let mut printed = Zeroizing::new(Vec::with_capacity(PRINTED_BYTES_MAX as usize));
    let output = child.stdout.take().ok_or("its output cannot be read")?;
    let read = output.take(PRINTED_BYTES_MAX).read_to_end(&mut printed).await;
    let printed = Secret::new(printed.as_slice());
    read.map_err(|error| format!("its output cannot be read: {error}"))?;
    let status = child.wait().await.map_err(|error| format!("it cannot be waited for: {error}"))?;
    if status.success() { Ok(printed) } else { Err(format!("it ends with {status}")) }
}
