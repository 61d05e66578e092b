//! Does what the control API asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use gatehouse_api::{
    ActivityView, Answer, AnswerView, AskedView, BacktestView, Begun, BudgetView, Caller, CameBack, ChangeView,
    CheckpointsView, Control, DeviceLoginView, EndTask, Evidence, Exchange, Exchanged, ExplanationView, GrantedView,
    IssuedKeyView, KeyView, KillSession, LiftLockdown, LinkView, LockdownView, Me, NewBacktest, NewExplanation, NewKey,
    NewLink, NewLockdown, NewTask, NewToken, OauthError, OperationView, Page, PolicyView, Problem, ReplayView,
    RequestView, RevisionFiles, RevisionView, Selection, SessionView, Shown, SignInBegun, SignedIn, Sought, SpentView,
    TargetView, TaskView, TokenView, Version, Wanted,
};
use gatehouse_engine::House as _;
use gatehouse_gate::{AnswerError, Answered, Approver, Asked, Lockdown, PendingRequest, Scope, Terms};
use gatehouse_identity::ApiKey;
use gatehouse_journal::{Export, KeyIssued, RequestEnded};
use gatehouse_model::{
    BUDGET_VALUES_MAX, Budget, ClassName, Denial, GroupName, Hold, Identity, KeyId, PolicyId, Reason, RequestId,
    Resource, SessionId, Spent, Subject, TargetName, Task, TaskEnd, TaskId, UserName, Verdict, kind,
};
use gatehouse_protocol::{Carriage, Classifier as _, Protocol, SurveyFacts};
use gatehouse_store::{AskedRow, KeyRow, Numbered, RequestRow, SessionRow, StoreError, TaskRow};
use jiff::{SignedDuration, Timestamp};

use crate::explain;
use crate::load::Loaded;
use crate::sign_in::Way;
use crate::state::{Ender, State};
use crate::{registry, replay, search, watch};

/// The control API over the running gateway.
#[derive(Clone)]
pub(crate) struct ApiControl {
    pub(crate) state: Arc<State>,
}

/// The entries that one part of a listing of what somebody has a part in looks at, all and at a time.
const ROWS_LOOKED_AT_MAX: usize = 10_000;
const ROWS_AT_A_TIME: u32 = 1_000;

type Asking<'a, T> = BoxFuture<'a, Result<T, Problem>>;

pub(crate) fn unavailable(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "a call of the API failed");
    Problem::unavailable("the gateway cannot do this now")
}

pub(crate) fn bad(error: impl std::fmt::Display) -> Problem {
    Problem::bad_request(error.to_string())
}

/// What was recorded of a session.
pub(crate) struct Recorded {
    pub(crate) path: std::path::PathBuf,
    pub(crate) protocol: String,
    target: TargetName,
    /// When its session began, and ended if it did, with some room for how times are written.
    since: Timestamp,
    until: Option<Timestamp>,
}

impl ApiControl {
    /// The recording of a session, and what was spoken in it, for those who oversee its target.
    pub(crate) async fn recording(&self, caller: &Caller, id: &str) -> Result<Recorded, Problem> {
        let session = self.one_session(id).await?;
        // What somebody has no part in is to them as if it was not there.
        if !self.sees_session(caller, &session) {
            return Err(Problem::not_found("session", id, "sessions"));
        }
        self.must_oversee(caller, &session.target)?;
        let path = self.state.data.recordings().join(format!("{id}.rec"));
        let of = path.clone();
        let protocol = tokio::task::spawn_blocking(move || replay::protocol(&of)).await.map_err(unavailable)?;
        let protocol = protocol.map_err(unavailable)?;
        let target = TargetName::new(&session.target).map_err(unavailable)?;
        let second = SignedDuration::from_secs(1);
        let since = session.opened.parse::<Timestamp>().map_err(unavailable)?.saturating_sub(second);
        let since = since.map_err(unavailable)?;
        let until = session.closed.and_then(|closed| closed.parse::<Timestamp>().ok()?.checked_add(second).ok());
        Ok(Recorded { path, protocol, target, since, until })
    }

    /// A target with its protocol, and what is known of it now.
    async fn look(
        &self,
        target: &str,
        subject: &Subject,
    ) -> Result<(Arc<gatehouse_gate::Target>, Arc<dyn Protocol>, SurveyFacts), Problem> {
        let target = self.state.loaded.load().targets.get(target).cloned();
        let target = target.ok_or_else(|| Problem::not_found("target", "of this name", "targets"))?;
        let protocol = registry::protocol(&target.protocol).ok_or_else(|| unavailable("an unknown protocol"))?;
        let facts = match protocol.clone().carriage() {
            Carriage::Exchanges(_) => target.facts.clone(),
            Carriage::Stream(protocol) => {
                let engine = self.state.engine.get().ok_or_else(|| unavailable("the gateway is starting"))?;
                let looked = engine.look(&target, &*protocol, subject.clone()).await;
                looked.map_err(|denial| {
                    tracing::warn!(target = %target.name, cause = denial.detail, "a look at a target failed");
                    Problem::unavailable(denial.message).advising(denial.hint)
                })?
            }
        };
        Ok((target, protocol, facts))
    }

    /// Which of the columns that the configuration names at a target are not what it takes them for, by the newest survey.
    fn misnamed(&self, target: &gatehouse_gate::Target) -> Vec<String> {
        let protocol = registry::protocol(&target.protocol).map(Protocol::carriage);
        let (Some(engine), Some(Carriage::Stream(protocol))) = (self.state.engine.get(), protocol) else {
            return Vec::new();
        };
        engine.misnamed(target, &*protocol)
    }

    /// Serves this gateway.
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Whoever asks reads what they wrote: the index is brought up to the journal first.
    pub(crate) async fn fresh_index(&self) -> Result<(), Problem> {
        // Whoever hangs up meanwhile leaves nothing half done.
        let state = self.state.clone();
        let caught_up = tokio::spawn(async move { state.indexer.catch_up().await });
        caught_up.await.map_err(unavailable)?.map_err(unavailable)
    }

    /// A part of a listing: of its rows those that `view` has the caller see.
    async fn listed<'a, R, V>(
        &'a self,
        caller: &'a Caller,
        wanted: Wanted<'a>,
        rows: impl Fn(gatehouse_store::Wanted<'a>) -> BoxFuture<'a, Result<Vec<Numbered<R>>, StoreError>>,
        view: impl Fn(R) -> Option<V>,
    ) -> Result<Page<V>, Problem> {
        self.fresh_index().await?;
        let Wanted { limit, mut before, task, identity, target, state, class, since, until } = wanted;
        // One more than is wanted says whether there is more.
        let at_a_time = match caller {
            Caller::Administrator(_) => limit.saturating_add(1),
            Caller::User(..) => limit.saturating_add(1).max(ROWS_AT_A_TIME),
        };
        let (mut entries, mut looked_at) = (Vec::new(), 0);
        loop {
            let wanted = gatehouse_store::Wanted {
                limit: at_a_time,
                before,
                task,
                identity,
                target,
                state,
                class,
                since,
                until,
            };
            let found = rows(wanted).await.map_err(unavailable)?;
            looked_at += found.len();
            let is_last = found.len() < at_a_time as usize;
            for Numbered { number, row } in found {
                let seen = view(row);
                if seen.is_some() && entries.len() >= limit as usize {
                    return Ok(Page { entries, next: before });
                }
                entries.extend(seen);
                before = Some(number);
            }
            if is_last || looked_at >= ROWS_LOOKED_AT_MAX {
                return Ok(Page { entries, next: before.filter(|_| !is_last) });
            }
        }
    }

    fn live_request(&self, id: &str) -> Option<PendingRequest> {
        self.state.gate.desk().request(&RequestId::parse(id).ok()?)
    }

    /// A request that is not over, with all of its body, which may be long and lies on the disk.
    async fn whole_request(&self, id: &str) -> Option<RequestView> {
        let (state, id) = (self.state.clone(), RequestId::parse(id).ok()?);
        let read = tokio::task::spawn_blocking(move || state.gate.desk().whole_request(&id));
        read.await.ok().flatten().map(|request| live_view(&request))
    }

    /// The same, with what its target's protocol calls what was said beside the statement.
    fn with_names(&self, mut request: RequestView) -> RequestView {
        let target = request.targets.first().map(String::as_str).unwrap_or_default();
        if let AskedView::Operation { binds, exact, bind_names, .. } = &mut request.asked {
            *bind_names = self.names_of_binds(target, binds, *exact);
        }
        request
    }

    /// What a target's protocol calls each of these bind values; nothing where their numbers are their names.
    pub(crate) fn names_of_binds(&self, target: &str, binds: &[String], is_exact: bool) -> Vec<String> {
        let loaded = self.state.loaded.load();
        let Some(protocol) = loaded.targets.get(target).and_then(|target| registry::protocol(&target.protocol)) else {
            return Vec::new();
        };
        let name = |bind: &String| protocol.name_of_bind(bind, is_exact).map(String::from);
        binds.iter().map(name).collect::<Option<_>>().unwrap_or_default()
    }

    pub(crate) async fn one_request(&self, id: &str) -> Result<RequestView, Problem> {
        if let Some(request) = self.live_request(id) {
            return Ok(live_view(&request));
        }
        self.fresh_index().await?;
        let row = self.state.store.request(id).await.map_err(unavailable)?;
        let row = row.ok_or_else(|| Problem::not_found("request", id, "requests"))?;
        let mut view = stored_view(row);
        if let AskedView::Operation { task, task_reason, .. } = &mut view.asked {
            let task = self.state.store.task(task).await.map_err(unavailable)?;
            *task_reason = task.map(|task| task.reason);
        }
        Ok(view)
    }

    async fn one_key(&self, id: &str) -> Result<KeyView, Problem> {
        self.fresh_index().await?;
        let row = self.state.store.key(id).await.map_err(unavailable)?;
        row.map(|row| key_view(row, self.state.now())).ok_or_else(|| Problem::not_found("key", id, "keys"))
    }

    /// Issues a static key. It is good only once it is on record and kept.
    async fn issued_key(&self, by: String, new: NewKey) -> Result<IssuedKeyView, Problem> {
        let state = &self.state;
        let loaded = state.loaded.load_full();
        let limits = &loaded.config.limits;
        let Identity::Agent(agent) = Identity::parse(&new.identity).map_err(bad)? else {
            return Err(Problem::bad_request("a static key is an agent's; people sign in with `gatehouse login`"));
        };
        if !loaded.people.agents.contains_key(&agent) {
            return Err(Problem::not_found(
                "agent",
                agent.as_str(),
                "--help; [agents] in the configuration; gatehouse keys",
            ));
        }
        let targets: BTreeSet<TargetName> =
            new.targets.iter().map(|name| TargetName::new(name)).collect::<Result<_, _>>().map_err(bad)?;
        if let Some(unknown) = targets.iter().find(|target| !loaded.targets.contains_key(target.as_str())) {
            return Err(Problem::not_found("target", unknown.as_str(), "targets"));
        }
        if targets.is_empty() {
            return Err(Problem::bad_request("a static key is for at least one target: --target NAME"));
        }
        let reason = gatehouse_identity::reason(&new.reason)
            .ok_or_else(|| Problem::bad_request("a static key has a reason of 1 to 500 characters"))?;
        let max = limits.api_key_secs_max;
        if !(1..=max).contains(&new.ttl_secs) {
            return Err(Problem::bad_request(format!(
                "a static key lives between 1 s and limits.api_key_secs_max = {max} s"
            )));
        }
        let now = state.now();
        let expires = now.saturating_add(SignedDuration::from_secs(i64::from(new.ttl_secs))).map_err(bad)?;
        let key = ApiKey { id: KeyId::from_random(state.random()), agent, targets, expires };
        let starting = state.starting.lock().await;
        if state.keys.count(&key.agent, now) >= limits.api_keys_max {
            let title =
                format!("{} has limits.api_keys_max = {} static keys already", new.identity, limits.api_keys_max);
            return Err(Problem::forbidden(title, "End those that nothing uses: `gatehouse keys ls` shows them"));
        }
        let (secret, sha256) = ApiKey::issue(state.entropy());
        let id = key.id.to_string();
        let entry = KeyIssued {
            key: id.clone(),
            identity: new.identity,
            targets: key.targets.iter().map(TargetName::to_string).collect(),
            reason,
            expires: expires.to_string(),
            by,
        };
        state.gate.ledger().record(now, entry).map_err(unavailable)?;
        let kept = async {
            state.durable().await?;
            anyhow::Ok(state.store.keep_key_digest(&id, &sha256).await?)
        };
        if let Err(error) = kept.await {
            // It is on record, and nobody has it.
            state.end_unkept_key(&key.id);
            return Err(unavailable(error));
        }
        state.keys.adopt(sha256, key);
        drop(starting);
        let secret = String::from_utf8_lossy(secret.expose()).into_owned();
        Ok(IssuedKeyView { key: self.one_key(&id).await?, secret })
    }

    async fn locked_down(&self, scope: Scope, reason: String, by: String) -> Result<LockdownView, Problem> {
        let state = &self.state;
        let is_known = !matches!(&scope, Scope::Identity(identity) if state.groups(identity).is_err());
        let _starting = state.starting.lock().await;
        // As the journal keeps it, so that a restart changes nothing.
        let since = Timestamp::from_microsecond(state.now().as_microsecond()).map_err(unavailable)?;
        let lockdown = Lockdown { scope, by, reason, since };
        let recorded = state.gate.lockdowns().begin(lockdown.clone());
        // It is in force: sessions are cut whether or not it can be recorded.
        let cut = state.engine.get().map_or(0, |engine| {
            engine.roster.end_where(&lockdown.denial(), |session| {
                let task = state.tasks.task(&session.task, state.now());
                task.is_none_or(|(task, _)| {
                    lockdown.scope.holds(&task.identity, task.on_behalf_of.as_ref(), &session.target)
                })
            })
        });
        if let Scope::Identity(Identity::User(user)) = &lockdown.scope {
            // What whoever stole their tokens holds is not good again when it is lifted.
            state.shut_out(user).await.map_err(unavailable)?;
        }
        recorded.map_err(unavailable)?;
        state.durable().await.map_err(unavailable)?;
        let note = (!is_known).then(|| {
            format!("nobody is known as {} now: it holds when somebody signs in by that name", lockdown.scope)
        });
        Ok(LockdownView { cut: cut as u64, note, ..lockdown_view(lockdown) })
    }

    pub(crate) async fn one_session(&self, id: &str) -> Result<SessionView, Problem> {
        self.fresh_index().await?;
        let row = self.state.store.session(id).await.map_err(unavailable)?;
        row.map(session_view).ok_or_else(|| Problem::not_found("session", id, "sessions"))
    }

    pub(crate) async fn one_task(&self, id: &str) -> Result<TaskView, Problem> {
        self.fresh_index().await?;
        let row = self.state.store.task(id).await.map_err(unavailable)?;
        let view =
            row.map(|row| task_view(row, self.state.now())).ok_or_else(|| Problem::not_found("task", id, "tasks"))?;
        let live = TaskId::parse(id).ok().and_then(|id| self.state.tasks.task(&id, self.state.now()));
        let spent = live.filter(|_| view.budget.is_some()).map(|(_, account)| {
            let Spent { operations, rows, bytes, values } = account.spent();
            SpentView { operations, rows, bytes, values: by_name(&values) }
        });
        Ok(TaskView { spent, ..view })
    }

    /// What a session showed, and what a request holds to the letter, is for administrators and for those whom policy
    /// permits `approve` on the target.
    fn must_oversee(&self, caller: &Caller, target: &str) -> Result<(), Problem> {
        let user = match caller {
            Caller::Administrator(_) => return Ok(()),
            Caller::User(user, _) => user,
        };
        let resource = Resource::root(kind::TARGET, target);
        let may_approve = self.state.gate.policies().may_approve(user, &self.groups_of(user)?, resource);
        if may_approve || self.must_administer(caller).is_ok() {
            return Ok(());
        }
        Err(Problem::forbidden(
            format!("{user} does not oversee target {target}"),
            "Ask somebody whom policy permits `approve` on the target, or an administrator of the gateway",
        ))
    }

    pub(crate) fn oversees_one(&self, caller: &Caller, targets: &[String]) -> bool {
        // A gateway without targets is its administrators' too.
        (targets.is_empty() && self.must_administer(caller).is_ok())
            || targets.iter().any(|target| self.must_oversee(caller, target).is_ok())
    }

    /// Whether somebody may know of what was done or asked by whom, where: their own, what they oversee, and for whoever
    /// administers, everything.
    pub(crate) fn sees(&self, caller: &Caller, identity: &str, on_behalf_of: Option<&str>, targets: &[String]) -> bool {
        let own = caller.user().map(|user| format!("user:{user}"));
        let is_own = own.is_some() && (own.as_deref() == Some(identity) || own.as_deref() == on_behalf_of);
        is_own || self.oversees_one(caller, targets)
    }

    pub(crate) fn sees_request(&self, caller: &Caller, request: &RequestView) -> bool {
        self.sees(caller, &request.identity, request.on_behalf_of.as_deref(), &request.targets)
    }

    pub(crate) fn sees_task(&self, caller: &Caller, task: &TaskView) -> bool {
        self.sees(caller, &task.identity, task.on_behalf_of.as_deref(), &task.targets)
    }

    pub(crate) fn sees_session(&self, caller: &Caller, session: &SessionView) -> bool {
        let target = std::slice::from_ref(&session.target);
        self.sees(caller, &session.identity, session.on_behalf_of.as_deref(), target)
    }

    /// A task is its own people's to end and to keep alive, and every administrator's.
    async fn must_have_part(&self, caller: &Caller, id: &TaskId) -> Result<(), Problem> {
        let Some(user) = caller.user() else { return self.must_administer(caller) };
        if let Some((task, _)) = self.state.tasks.task(id, self.state.now()) {
            let is_own = task.identity == Identity::User(user.clone()) || task.on_behalf_of.as_ref() == Some(user);
            return if is_own { Ok(()) } else { self.must_administer(caller) };
        }
        // One that is over is in the index alone.
        let own = Some(format!("user:{user}"));
        match self.one_task(id.as_str()).await {
            Ok(task) if own.as_deref() == Some(&task.identity) || own == task.on_behalf_of => Ok(()),
            Err(problem) if problem.status >= 500 => Err(problem),
            Ok(_) | Err(_) => self.must_administer(caller),
        }
    }

    /// Whom only a provider knows signs in there.
    fn must_be_configured(&self, user: &UserName) -> Result<(), Problem> {
        if self.state.loaded.load().people.users.contains_key(user) {
            return Ok(());
        }
        Err(Problem::forbidden(
            format!("{user} is not under [users] in the configuration"),
            "Add them there; people of a provider sign in with `gatehouse login`, or with a browser at /login",
        ))
    }

    fn groups_of(&self, user: &UserName) -> Result<BTreeSet<GroupName>, Problem> {
        let groups = self.state.groups(&Identity::User(user.clone()));
        groups.map_err(|error| Problem::forbidden(error.to_string(), "Ask an administrator of the gateway"))
    }
}

impl ApiControl {
    /// A name that nothing has shuts nothing, which is not what whoever typed it meant.
    fn must_know(&self, scope: &Scope) -> Result<(), Problem> {
        let loaded = self.state.loaded.load();
        match scope {
            Scope::All => Ok(()),
            // Whoever is at a provider may sign in later: shut before that is shut then.
            Scope::Identity(Identity::User(_)) if self.has_provider() => Ok(()),
            Scope::Identity(identity) => self.state.groups(identity).map(|_| ()).map_err(bad),
            Scope::Target(target) if loaded.targets.contains_key(target.as_str()) => Ok(()),
            Scope::Target(target) => Err(Problem::not_found("target", target.as_str(), "targets")),
        }
    }

    /// The lockdown that keeps a person from answering a request: of the person, of whoever asks, of the target, or of all.
    fn shuts_answer(&self, user: &UserName, id: &RequestId) -> Option<Lockdown> {
        let lockdowns = self.state.gate.lockdowns();
        let request = self.state.gate.desk().request(id)?;
        let behalf = request.subject.on_behalf_of.as_ref().map(|(user, _)| user);
        let person = Identity::User(user.clone());
        let of = |target: &TargetName| {
            lockdowns.of(&person, None, target).or_else(|| lockdowns.of(&request.subject.identity, behalf, target))
        };
        request.targets().iter().find_map(of)
    }
}

impl Control for ApiControl {
    fn version(&self, caller: Option<&Caller>) -> Version {
        let fault = self.state.reload_fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whoever does not administer the gateway learns no more than that there is one.
        let administers = caller.is_some_and(|caller| self.must_administer(caller).is_ok());
        let told = |fault| if administers { fault } else { "changed files are not in force".to_string() };
        Version {
            version: env!("CARGO_PKG_VERSION").into(),
            name: caller.map(|_| self.state.loaded.load().config.gateway.name.clone()),
            has_provider: self.has_provider(),
            reload_fault: fault.map(told),
        }
    }

    fn user_of<'a>(&'a self, token: &'a str, shown: Shown) -> Asking<'a, Option<UserName>> {
        self.state.user_of(token, shown).boxed()
    }

    fn must_administer(&self, caller: &Caller) -> Result<(), Problem> {
        let user = match caller {
            Caller::Administrator(_) => return Ok(()),
            Caller::User(user, _) => user,
        };
        let loaded = self.state.loaded.load();
        let gateway = Resource::root(kind::GATEWAY, &loaded.config.gateway.name);
        if self.state.gate.policies().may_administer(user, &self.groups_of(user)?, gateway) {
            return Ok(());
        }
        Err(Problem::forbidden(
            format!("{user} does not administer this gateway"),
            "Ask somebody whom policy permits `administer`, or use the admin socket on the gateway's machine",
        ))
    }

    fn me(&self, caller: &Caller) -> Result<Me, Problem> {
        let groups = caller.user().map(|user| self.groups_of(user)).transpose()?.unwrap_or_default();
        Ok(Me {
            user: caller.user().map(|user| format!("user:{user}")),
            groups: groups.iter().map(GroupName::to_string).collect(),
            administers: self.must_administer(caller).is_ok(),
            via: caller.via().into(),
        })
    }

    fn has_provider(&self) -> bool {
        self.state.loaded.load().provider.is_some()
    }

    fn begin_sign_in(&self) -> Asking<'_, SignInBegun> {
        self.state.begin_sign_in().boxed()
    }

    fn complete_sign_in<'a>(&'a self, secret: &'a str, back: CameBack) -> Asking<'a, SignedIn> {
        self.state.complete_sign_in(secret, back).boxed()
    }

    fn begin_device_login(&self) -> Asking<'_, DeviceLoginView> {
        self.state.begin_device_login().boxed()
    }

    fn poll_device_login(&self, handle: &str) -> Result<Option<TokenView>, Problem> {
        self.state.poll_device_login(handle)
    }

    fn new_link<'a>(&'a self, caller: &'a Caller, new: NewLink) -> Asking<'a, LinkView> {
        async move {
            caller.must_be_local()?;
            let user = user_name(&new.user)?;
            self.must_be_configured(&user)?;
            self.state.must_not_be_shut(&user)?;
            self.state.new_link(&user)
        }
        .boxed()
    }

    fn use_link<'a>(&'a self, code: &'a str) -> Asking<'a, SignedIn> {
        self.state.use_link(code).boxed()
    }

    fn sign_out<'a>(&'a self, token: &'a str, shown: Shown) -> Asking<'a, Option<String>> {
        self.state.sign_out(token, shown).boxed()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), String>> {
        let durable = self.state.durable();
        async move { durable.await.map_err(|error| format!("the journal cannot be synced: {error}")) }.boxed()
    }

    fn metrics(&self) -> String {
        self.state.metrics.render()
    }

    fn now(&self) -> Timestamp {
        self.state.now()
    }

    fn count_person(&self, user: &UserName) -> Result<(), Problem> {
        self.state.pace.person(user)
    }

    fn count_stranger(&self, peer: Option<IpAddr>) -> Result<(), Problem> {
        self.state.pace.stranger(peer)
    }

    fn is_forwarded(&self) -> bool {
        self.state.loaded.load().config.api.as_ref().is_some_and(|api| api.forwarded)
    }

    fn drive(&self, work: BoxFuture<'static, ()>) {
        tokio::spawn(work);
    }

    fn tasks<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asking<'a, Page<TaskView>> {
        let now = self.state.now();
        let view = move |row| Some(task_view(row, now)).filter(|task| self.sees_task(caller, task));
        self.listed(caller, wanted, |wanted| self.state.store.tasks(wanted), view).boxed()
    }

    fn task<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, TaskView> {
        async move {
            let task = self.one_task(id).await?;
            // What somebody has no part in is to them as if it was not there.
            if self.sees_task(caller, &task) { Ok(task) } else { Err(Problem::not_found("task", id, "tasks")) }
        }
        .boxed()
    }

    fn start_task<'a>(&'a self, caller: &'a Caller, new: NewTask) -> Asking<'a, Begun> {
        self.start(caller, new).boxed()
    }

    fn heartbeat<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, ()> {
        async move {
            let task = TaskId::parse(id).map_err(bad)?;
            self.must_have_part(caller, &task).await?;
            let is_live = self.state.tasks.beat(&task, self.state.now());
            if is_live { Ok(()) } else { Err(Problem::conflict(format!("task {id} does not live any more"))) }
        }
        .boxed()
    }

    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Exchanged, OauthError>> {
        self.exchanged(exchange).boxed()
    }

    fn give_back<'a>(&'a self, user: Option<&'a str>, password: &'a str) -> BoxFuture<'a, Result<(), OauthError>> {
        self.given_back(user, password).boxed()
    }

    fn token_keys(&self) -> serde_json::Value {
        self.state.token_key.published().clone()
    }

    fn token_algorithms(&self) -> Vec<String> {
        gatehouse_identity::algorithms()
    }

    fn keys<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asking<'a, Page<KeyView>> {
        async move {
            self.must_administer(caller)?;
            let now = self.state.now();
            self.listed(caller, wanted, |wanted| self.state.store.keys(wanted), move |row| Some(key_view(row, now)))
                .await
        }
        .boxed()
    }

    fn key<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, KeyView> {
        async move {
            self.must_administer(caller)?;
            self.one_key(id).await
        }
        .boxed()
    }

    fn issue_key<'a>(&'a self, caller: &'a Caller, new: NewKey) -> Asking<'a, IssuedKeyView> {
        async move {
            self.must_administer(caller)?;
            let (control, by) = (Self::new(self.state.clone()), by(caller));
            // Whoever hangs up meanwhile leaves nothing half done.
            tokio::spawn(async move { control.issued_key(by, new).await }).await.map_err(unavailable)?
        }
        .boxed()
    }

    fn revoke_key<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, KeyView> {
        async move {
            self.must_administer(caller)?;
            let key = KeyId::parse(id).map_err(bad)?;
            let is_ended = self.state.end_key(&key, "revoked", &by(caller)).await;
            let view = self.one_key(id).await?;
            if is_ended {
                Ok(view)
            } else {
                Err(Problem::conflict(format!("key {id} has ended already: {}", view.state)))
            }
        }
        .boxed()
    }

    fn address(&self) -> Option<String> {
        self.state.api_address()
    }

    fn end_task<'a>(&'a self, caller: &'a Caller, id: &'a str, end: EndTask) -> Asking<'a, TaskView> {
        async move {
            let cause = match end.cause.as_str() {
                "done" => TaskEnd::Done,
                "revoked" => TaskEnd::Revoked,
                other => return Err(Problem::bad_request(format!("`{other}` is no cause: send done or revoked"))),
            };
            let task = TaskId::parse(id).map_err(bad)?;
            self.must_have_part(caller, &task).await?;
            let ender = Ender { by: by(caller), reason: said(end.reason)? };
            let ended = self.state.end_task(&task, cause, &ender).await;
            let view = self.one_task(id).await?;
            match ended {
                Some(_) => Ok(view),
                None => Err(Problem::conflict(format!("task {id} has ended already: {}", view.state))),
            }
        }
        .boxed()
    }

    fn sessions<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asking<'a, Page<SessionView>> {
        let view = |row| Some(session_view(row)).filter(|session| self.sees_session(caller, session));
        self.listed(caller, wanted, |wanted| self.state.store.sessions(wanted), view).boxed()
    }

    fn session<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, SessionView> {
        async move {
            let session = self.one_session(id).await?;
            let is_seen = self.sees_session(caller, &session);
            if is_seen { Ok(session) } else { Err(Problem::not_found("session", id, "sessions")) }
        }
        .boxed()
    }

    fn kill<'a>(&'a self, caller: &'a Caller, id: &'a str, kill: KillSession) -> Asking<'a, SessionView> {
        async move {
            self.must_administer(caller)?;
            let session = SessionId::parse(id).map_err(bad)?;
            let denial = Denial::new(
                Reason::TaskEnded,
                "terminating connection due to administrator command",
                format!("the session was ended by {}", Ender { by: by(caller), reason: said(kill.reason)? }),
                "Connect again if the task is still alive",
            );
            let ended = self.state.engine.get().is_some_and(|engine| engine.roster.end_session(&session, &denial));
            let view = self.one_session(id).await?;
            if ended { Ok(view) } else { Err(Problem::conflict(format!("session {id} has ended already"))) }
        }
        .boxed()
    }

    fn replay<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, String> {
        async move {
            let Recorded { path, protocol, .. } = self.recording(caller, id).await?;
            self.read_long(&self.state.readers, move |_, _| replay::text(&path, &protocol).map_err(unavailable)).await
        }
        .boxed()
    }

    fn archive<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, String> {
        async move {
            let Recorded { path, protocol, target, since, until } = self.recording(caller, id).await?;
            let archive = match registry::protocol(&protocol).map(Protocol::carriage) {
                Some(Carriage::Exchanges(protocol)) => protocol,
                Some(Carriage::Stream(_)) | None => {
                    return Err(Problem::conflict(format!("session {id} was not over HTTP"))
                        .advising("`gatehouse replay` without --har shows it"));
                }
            };
            let session = id.to_string();
            self.read_long(&self.state.readers, move |this, has_left| {
                let files = this.state.segments.files();
                let said = search::said(&files, this.journal_size(), &session, since, until, has_left);
                let mut archive = archive.archive(&target);
                archive.records(said.map_err(unavailable)?);
                replay::archived(&path, &mut *archive).map_err(unavailable)
            })
            .await
        }
        .boxed()
    }

    fn moments<'a>(&'a self, caller: &'a Caller, id: &'a str, after: u64, limit: u32) -> Asking<'a, ReplayView> {
        self.replayed(caller, id, after, limit).boxed()
    }

    fn operations<'a>(&'a self, caller: &'a Caller, sought: Sought) -> Asking<'a, Page<OperationView>> {
        self.found(caller, sought).boxed()
    }

    fn activity<'a>(&'a self, caller: &'a Caller, hours: u32) -> Asking<'a, ActivityView> {
        self.lately(caller, hours).boxed()
    }

    fn changes(&self, caller: Caller, secs: u32) -> Result<BoxStream<'static, ChangeView>, Problem> {
        watch::watch(self, caller, Duration::from_secs(u64::from(secs)))
    }

    fn revisions<'a>(&'a self, caller: &'a Caller) -> Asking<'a, Vec<RevisionView>> {
        self.all_revisions(caller).boxed()
    }

    fn revision<'a>(&'a self, caller: &'a Caller, revision: &'a str) -> Asking<'a, RevisionFiles> {
        self.files_of(caller, revision).boxed()
    }

    fn backtest<'a>(&'a self, caller: &'a Caller, new: NewBacktest) -> Asking<'a, BacktestView> {
        self.compared(caller, new).boxed()
    }

    fn checkpoints<'a>(&'a self, _: &'a Caller) -> Asking<'a, CheckpointsView> {
        self.signed_states().boxed()
    }

    fn requests<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asking<'a, Page<RequestView>> {
        let view = |row: RequestRow| {
            let live = self.live_request(&row.id);
            let body_bytes = live.as_ref().and_then(body_bytes);
            let view = live.as_ref().map_or_else(|| stored_view(row), live_view);
            self.sees_request(caller, &view).then(|| in_listing(view, body_bytes))
        };
        self.listed(caller, wanted, |wanted| self.state.store.requests(wanted), view).boxed()
    }

    fn request<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, RequestView> {
        async move {
            let request = self.one_request(id).await?;
            if !self.sees_request(caller, &request) {
                return Err(Problem::not_found("request", id, "requests"));
            }
            Ok(self.with_names(self.whole_request(id).await.unwrap_or(request)))
        }
        .boxed()
    }

    fn answer<'a>(&'a self, caller: &'a Caller, id: &'a str, approve: bool, answer: Answer) -> Asking<'a, AnswerView> {
        async move {
            let user = caller.user().ok_or_else(|| {
                Problem::forbidden("a request is answered by a person", "Name one at the admin socket: --as user:NAME")
            })?;
            let groups = self.groups_of(user)?;
            let request = RequestId::parse(id).map_err(bad)?;
            let (gate, now) = (&self.state.gate, self.state.now());
            if let Some(lockdown) = self.shuts_answer(user, &request) {
                return Err(shut(&lockdown));
            }
            // What somebody may not see is to them as if it was not there.
            if !self.sees_request(caller, &self.one_request(id).await?) {
                return Err(Problem::not_found("request", id, "requests"));
            }
            let reason = match answer.reason.trim() {
                "" => String::new(),
                text => gatehouse_identity::reason(text)
                    .ok_or_else(|| Problem::bad_request("a reason has at most 500 characters"))?,
            };
            let approver = Approver { user, groups: &groups, via: caller.via(), reason: &reason };
            let answered = if approve {
                gate.approve(now, &request, &approver, &terms(&answer)?)
            } else {
                gate.deny(now, &request, &approver)
            };
            let still_needs = match answered {
                Ok(Answered::Decided) => BTreeMap::new(),
                Ok(Answered::StillNeeds(hold)) => needs(&hold),
                Err(AnswerError::Unknown(_)) => {
                    let view = self.one_request(id).await?;
                    return Err(Problem::conflict(format!("request {id} is over: {}", view.state)));
                }
                Err(error @ AnswerError::Terms(_)) => return Err(bad(error)),
                Err(error @ (AnswerError::Over { .. } | AnswerError::Again(_))) => {
                    return Err(Problem::conflict(error.to_string()));
                }
                Err(error @ (AnswerError::OwnRequest(_) | AnswerError::NotAllowed { .. })) => {
                    return Err(Problem::forbidden(
                        error.to_string(),
                        "Ask somebody who may; `gatehouse requests show` names the groups",
                    ));
                }
                Err(error @ AnswerError::Unrecorded(_)) => return Err(unavailable(error)),
            };
            Ok(AnswerView { request: self.one_request(id).await?, still_needs })
        }
        .boxed()
    }

    fn withdraw<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asking<'a, RequestView> {
        async move {
            let request = RequestId::parse(id).map_err(bad)?;
            let found = self.state.gate.desk().request(&request);
            let is_own = found.is_some_and(|found| caller.user().is_some_and(|user| found.subject.involves(user)));
            if !is_own {
                self.must_administer(caller)?;
            }
            let withdrawn = self.state.gate.desk().withdraw(self.state.now(), &request).map_err(unavailable)?;
            let view = self.one_request(id).await?;
            match withdrawn {
                true => Ok(view),
                false => Err(Problem::conflict(format!("request {id} is over: {}", view.state))),
            }
        }
        .boxed()
    }

    fn link_user(&self, code: &str) -> Result<UserName, Problem> {
        self.state.link_user(code)
    }

    fn lockdowns(&self) -> Asking<'_, Vec<LockdownView>> {
        async move { Ok(self.state.gate.lockdowns().all().into_iter().map(lockdown_view).collect()) }.boxed()
    }

    fn lock_down<'a>(&'a self, caller: &'a Caller, new: NewLockdown) -> Asking<'a, LockdownView> {
        async move {
            self.must_administer(caller)?;
            let scope = Scope::parse(&new.scope).map_err(bad)?;
            self.must_know(&scope)?;
            let reason = gatehouse_identity::reason(&new.reason)
                .ok_or_else(|| Problem::bad_request("a lockdown has a reason of 1 to 500 characters"))?;
            let (control, by) = (Self::new(self.state.clone()), by(caller));
            // Whoever hangs up meanwhile leaves nothing half done.
            tokio::spawn(async move { control.locked_down(scope, reason, by).await }).await.map_err(unavailable)?
        }
        .boxed()
    }

    fn lift_lockdown<'a>(&'a self, caller: &'a Caller, lift: LiftLockdown) -> Asking<'a, ()> {
        async move {
            self.must_administer(caller)?;
            let scope = Scope::parse(&lift.scope).map_err(bad)?;
            let lifted =
                self.state.gate.lockdowns().lift(self.state.now(), &scope, &by(caller)).map_err(unavailable)?;
            self.state.durable().await.map_err(unavailable)?;
            if lifted { Ok(()) } else { Err(Problem::not_found("lockdown of", &lift.scope, "lockdown")) }
        }
        .boxed()
    }

    fn targets<'a>(&'a self, caller: &'a Caller) -> Asking<'a, Vec<TargetView>> {
        async move {
            let sessions = self.state.engine.get().map(|engine| engine.roster.sessions()).unwrap_or_default();
            let loaded = self.state.loaded.load();
            let view = |target: &Arc<gatehouse_gate::Target>| {
                // Where a target lies, and what it holds, is nothing to those who reach it through here.
                let is_overseen = self.oversees_one(caller, &[target.name.to_string()]);
                let (route, classes) = (&target.route, target.classes.all());
                let listen = self.state.listening_at(registry::listener(&target.protocol));
                TargetView {
                    name: target.name.to_string(),
                    protocol: target.protocol.clone(),
                    address: if is_overseen { format!("{}:{}", route.host, route.port) } else { String::new() },
                    listen: listen.map(|address| address.to_string()),
                    on_hold: target.on_hold.as_str().into(),
                    classes: classes.iter().filter(|_| is_overseen).map(ToString::to_string).collect(),
                    misnamed: if is_overseen { self.misnamed(target) } else { Vec::new() },
                    sessions: sessions.iter().filter(|session| session.target == target.name).count() as u64,
                }
            };
            Ok(loaded.targets.values().map(view).collect())
        }
        .boxed()
    }

    fn policies<'a>(&'a self, caller: &'a Caller) -> Asking<'a, Vec<PolicyView>> {
        async move {
            self.must_oversee_one(caller)?;
            let view = |policy: gatehouse_policy::PolicySummary| PolicyView {
                id: policy.id.to_string(),
                file: policy.file,
                effect: policy.effect.into(),
                hold: policy.hold.iter().map(GroupName::to_string).collect(),
                quorum: policy.quorum,
                reason: policy.reason,
                text: policy.text,
            };
            Ok(self.state.gate.policies().summaries().into_iter().map(view).collect())
        }
        .boxed()
    }

    fn explain<'a>(&'a self, caller: &'a Caller, new: NewExplanation) -> Asking<'a, ExplanationView> {
        async move {
            self.must_oversee(caller, &new.target)?;
            let named = new.identity.as_deref().map(Identity::parse).transpose().map_err(bad)?;
            let identity = named.or_else(|| caller.user().cloned().map(Identity::User)).ok_or_else(|| {
                Problem::bad_request("nobody was named who would ask it: say by whom, with --identity")
            })?;
            let user =
                new.on_behalf_of.as_deref().map(|user| UserName::new(user.strip_prefix("user:").unwrap_or(user)));
            let user = user.transpose().map_err(bad)?;
            let subject = self.state.subject(&identity, user.as_ref()).map_err(bad)?;
            let (target, protocol, facts) = self.look(&new.target, &subject).await?;
            let understood = gatehouse_gate::understand(&*protocol, &target, &facts, &new.statement)
                .map_err(|denial| Problem::not_understood(explain::cause(&denial), denial.hint))?;
            let policies = self.state.gate.policies();
            let foreseen = understood.foresee(&policies, &subject, &target);
            let revision = policies.revision().to_string();
            let mut view = explain::view(&target.name, &subject, &understood, &foreseen, revision);
            if let Some(lockdown) = self.state.gate.lockdowns().of(&identity, user.as_ref(), &target.name) {
                view.verdict = Verdict::Deny.to_string();
                view.policies.clear();
                view.hold.clear();
                view.reasons.insert(0, lockdown.denial().message);
            }
            Ok(view)
        }
        .boxed()
    }

    fn catalog<'a>(&'a self, caller: &'a Caller, target: &'a str) -> Asking<'a, String> {
        async move {
            self.must_oversee(caller, target)?;
            let nobody = UserName::new("catalog").map_err(unavailable)?;
            let identity = Identity::User(caller.user().cloned().unwrap_or(nobody));
            let subject = Subject { identity, groups: BTreeSet::new(), on_behalf_of: None };
            let (found, protocol, facts) = self.look(target, &subject).await?;
            let Carriage::Stream(protocol) = protocol.carriage() else {
                return Err(Problem::conflict(format!("a target that speaks {} has no catalog", found.protocol))
                    .advising("`gatehouse targets ls` shows what each target speaks"));
            };
            protocol.snapshot(&facts).ok_or_else(|| Problem::unavailable("the catalog is another protocol's"))
        }
        .boxed()
    }

    fn issue_token<'a>(&'a self, caller: &'a Caller, new: NewToken) -> Asking<'a, TokenView> {
        async move {
            caller.must_be_local()?;
            let user = user_name(&new.user)?;
            self.must_be_configured(&user)?;
            let max = self.state.loaded.load().config.limits.token_secs_max;
            if !(1..=max).contains(&new.ttl_secs) {
                return Err(Problem::bad_request(format!(
                    "a token lives between 1 s and limits.token_secs_max = {max} s"
                )));
            }
            let now = self.state.now();
            let until = now.saturating_add(SignedDuration::from_secs(i64::from(new.ttl_secs))).map_err(bad)?;
            self.state.must_not_be_shut(&user)?;
            self.state.sign_in(&user, Way::AdminSocket, None, until).await
        }
        .boxed()
    }

    fn evidence<'a>(&'a self, caller: &'a Caller, evidence: Evidence) -> Asking<'a, Vec<u8>> {
        async move {
            let targets = match &evidence.selection {
                Selection::All => {
                    self.must_administer(caller)?;
                    Vec::new()
                }
                // What somebody has no part in is to them as if it was not there.
                Selection::Task(id) => self.task(caller, id).await?.targets,
                Selection::Session(id) => vec![self.session(caller, id).await?.target],
                // What was recorded at a time may be anybody's.
                Selection::Time { since, until } => {
                    self.must_administer(caller)?;
                    let (from, to): (Timestamp, Timestamp) = (since.parse().map_err(bad)?, until.parse().map_err(bad)?);
                    if from > to {
                        return Err(Problem::bad_request(format!("{since} is after {until}")));
                    }
                    Vec::new()
                }
            };
            targets.iter().try_for_each(|target| self.must_oversee(caller, target))?;
            let state = self.state.clone();
            let bundle = tokio::task::spawn_blocking(move || export(&state, &evidence.selection)).await;
            bundle.map_err(unavailable)?.map_err(unavailable)
        }
        .boxed()
    }
}

/// A bundle of what is selected. It takes a while.
fn export(state: &State, selection: &Selection) -> anyhow::Result<Vec<u8>> {
    let selection = match selection {
        Selection::All => gatehouse_journal::Selection::All,
        Selection::Task(id) => gatehouse_journal::Selection::Task(id.clone()),
        Selection::Session(id) => gatehouse_journal::Selection::Session(id.clone()),
        Selection::Time { since, until } => {
            gatehouse_journal::Selection::Time { since: since.clone(), until: until.clone() }
        }
    };
    let (checkpoint, target) =
        state.gate.ledger().with(|journal| (journal.checkpoint(&state.key), journal.sink().sync_target()));
    target.sync()?;
    let mut bundle = Vec::new();
    let export = Export {
        selection: &selection,
        created: state.now(),
        checkpoint: &checkpoint,
        key: &state.key,
        attachments: &state.attachments,
    };
    gatehouse_journal::export(&state.segments.files(), &export, &mut bundle)?;
    Ok(bundle)
}

pub(crate) fn by(caller: &Caller) -> String {
    match caller.user() {
        Some(user) => format!("user:{user} via {}", caller.via()),
        None => caller.via().into(),
    }
}

pub(crate) fn user_name(text: &str) -> Result<UserName, Problem> {
    match Identity::parse(text).map_err(bad)? {
        Identity::User(user) => Ok(user),
        Identity::Agent(_) => {
            Err(Problem::bad_request(format!("`{text}` is an agent, and here only a person will do: user:NAME")))
        }
    }
}

fn task_view(row: TaskRow, now: Timestamp) -> TaskView {
    let (ended, state) = match row.ended {
        Some((at, cause)) => (Some(at), cause),
        // That it ended is on its way to the index.
        None if row.expires <= now => (Some(row.expires), "expired".into()),
        None => (None, "live".into()),
    };
    TaskView {
        id: row.id,
        identity: row.identity,
        on_behalf_of: row.on_behalf_of,
        targets: row.targets,
        reason: row.reason,
        budget: budget_view(&row.budget),
        spent: None,
        started: row.started.to_string(),
        expires: row.expires.to_string(),
        ended: ended.map(|at| at.to_string()),
        ended_by: row.ended_by,
        state,
        started_by: row.started_by,
        actors: row.origin.actors,
        parent: row.origin.parent.as_ref().map(TaskId::to_string),
        api_key: row.origin.key.as_ref().map(KeyId::to_string),
    }
}

fn key_view(row: KeyRow, now: Timestamp) -> KeyView {
    let state = match row.ended {
        Some((_, cause)) => cause,
        None if row.expires <= now => "expired".into(),
        None => "good".into(),
    };
    KeyView {
        id: row.id,
        identity: row.identity,
        targets: row.targets,
        reason: row.reason,
        created: row.created.to_string(),
        expires: row.expires.to_string(),
        created_by: row.created_by,
        state,
    }
}

fn session_view(row: SessionRow) -> SessionView {
    let (closed, cause) = row.closed.map(|(at, cause)| (at.to_string(), cause)).unzip();
    let state = if closed.is_some() { "ended" } else { "live" };
    SessionView {
        id: row.id,
        task: row.task,
        identity: row.identity,
        on_behalf_of: row.on_behalf_of,
        target: row.target,
        peer: row.peer,
        api_key: row.key,
        opened: row.opened.to_string(),
        closed,
        state: state.into(),
        cause,
        operations: row.operations,
        refused: row.refused,
        rows: row.rows,
        masked: row.masked,
        classes: row.classes,
    }
}

pub(crate) fn shut(lockdown: &Lockdown) -> Problem {
    let denial = lockdown.denial();
    Problem::forbidden(denial.message, format!("{}. {}", denial.detail, denial.hint))
}

fn lockdown_view(lockdown: Lockdown) -> LockdownView {
    LockdownView {
        scope: lockdown.scope.to_string(),
        reason: lockdown.reason,
        by: lockdown.by,
        since: lockdown.since.to_string(),
        cut: 0,
        note: None,
    }
}

/// What the terms of an answer say.
fn terms(answer: &Answer) -> Result<Terms, Problem> {
    let targets = answer.targets.as_ref().map(|names| names.iter().map(|name| TargetName::new(name)).collect());
    Ok(Terms { targets: targets.transpose().map_err(bad)?, ttl_secs: answer.ttl_secs })
}

fn needs(hold: &Hold) -> BTreeMap<String, u32> {
    hold.groups.iter().map(|(group, members)| (group.to_string(), *members)).collect()
}

pub(crate) fn ended(request: &PendingRequest, cause: &str) -> RequestEnded {
    RequestEnded { request: request.id.to_string(), cause: cause.into() }
}

/// What a budget that is asked for says, where it makes sense.
pub(crate) fn budget_of(view: BudgetView, loaded: &Loaded) -> Result<Budget, String> {
    let BudgetView { operations, rows, bytes, values } = view;
    let figure = |(class, figure): (String, u64)| {
        let mut classes = loaded.targets.values().flat_map(|target| target.classes.names());
        let known = classes.find(|known| known.as_str() == class).cloned();
        let known = known.ok_or_else(|| format!("there is no class `{class}` to count values of"))?;
        if figure > BUDGET_VALUES_MAX {
            return Err(format!("a budget has at most {BUDGET_VALUES_MAX} different values of a class"));
        }
        Ok((known, figure))
    };
    Ok(Budget { operations, rows, bytes, values: values.into_iter().map(figure).collect::<Result<_, String>>()? })
}

fn budget_view(budget: &Budget) -> Option<BudgetView> {
    let Budget { operations, rows, bytes, ref values } = *budget;
    let values = by_name(values);
    budget.is_limited().then_some(BudgetView { operations, rows, bytes, values })
}

fn by_name(values: &BTreeMap<ClassName, u64>) -> BTreeMap<String, u64> {
    values.iter().map(|(class, figure)| (class.to_string(), *figure)).collect()
}

pub(crate) fn started_view(task: &Task, by: String) -> TaskView {
    TaskView {
        id: task.id.to_string(),
        identity: task.identity.to_string(),
        on_behalf_of: task.on_behalf_of.as_ref().map(|user| format!("user:{user}")),
        targets: task.targets.iter().map(TargetName::to_string).collect(),
        reason: task.reason.clone(),
        budget: budget_view(&task.budget),
        spent: None,
        started: task.started.to_string(),
        expires: task.expires.to_string(),
        ended: None,
        ended_by: None,
        state: "live".into(),
        started_by: by,
        actors: task.origin.actors.clone(),
        parent: task.origin.parent.as_ref().map(TaskId::to_string),
        api_key: task.origin.key.as_ref().map(KeyId::to_string),
    }
}

/// Why somebody does something, where they say so.
fn said(reason: Option<String>) -> Result<Option<String>, Problem> {
    let given = reason.filter(|reason| !reason.trim().is_empty());
    let clean = |reason: String| {
        gatehouse_identity::reason(&reason).ok_or_else(|| Problem::bad_request("a reason has at most 500 characters"))
    };
    given.map(clean).transpose()
}

/// How much of a request stands in a listing: of its statement and of each bind value in bytes, of its bind values and accesses
/// by number. By itself it is told whole.
const LISTED_STATEMENT_BYTES_MAX: usize = 4 * 1024;
const LISTED_BIND_BYTES_MAX: usize = 256;
const LISTED_BINDS_MAX: usize = 16;
const LISTED_ACCESSES_MAX: usize = 256;

/// How long the body of a request is of which only the beginning is here.
fn body_bytes(request: &PendingRequest) -> Option<usize> {
    match &request.asked {
        Asked::Operation(operation) => operation.body_bytes,
        Asked::Task(_) => None,
    }
}

/// A request as listings have it.
fn in_listing(mut request: RequestView, body_bytes: Option<usize>) -> RequestView {
    let mut is_whole =
        request.accesses.len() <= LISTED_ACCESSES_MAX && request.statement.len() <= LISTED_STATEMENT_BYTES_MAX;
    if request.accesses.len() > LISTED_ACCESSES_MAX {
        // One of each kind comes before many of one: no change is out of sight for a crowd of looks.
        let kind = |access: &str| access.split_once(" on ").map_or(String::new(), |(action, _)| action.into());
        let mut kinds = BTreeSet::new();
        let (mut first, more): (Vec<String>, Vec<String>) =
            request.accesses.drain(..).partition(|access| kinds.insert(kind(access)));
        first.extend(more);
        first.truncate(LISTED_ACCESSES_MAX);
        request.accesses = first;
    }
    request.statement = search::beginning_of(&request.statement, LISTED_STATEMENT_BYTES_MAX);
    if let AskedView::Operation { binds, exact, .. } = &mut request.asked {
        is_whole &= binds.len() <= LISTED_BINDS_MAX && binds.iter().all(|bind| bind.len() <= LISTED_BIND_BYTES_MAX);
        binds.truncate(LISTED_BINDS_MAX);
        for bind in binds {
            *bind = match body_bytes {
                Some(bytes) => search::beginning_of_longer(bind, LISTED_BIND_BYTES_MAX, bytes),
                None => search::beginning_of(bind, LISTED_BIND_BYTES_MAX),
            };
        }
        *exact &= is_whole;
    }
    request
}

pub(crate) fn live_view(request: &PendingRequest) -> RequestView {
    let approvers = |users: &BTreeSet<UserName>| users.iter().map(|user| format!("user:{user}")).collect();
    RequestView {
        id: request.id.to_string(),
        state: request.state.as_str().into(),
        identity: request.subject.identity.to_string(),
        on_behalf_of: request.subject.on_behalf_of.as_ref().map(|(user, _)| format!("user:{user}")),
        asked: match &request.asked {
            Asked::Operation(operation) => AskedView::Operation {
                session: operation.session.to_string(),
                task: operation.task.to_string(),
                task_reason: Some(operation.task_reason.clone()),
                binds: operation.binds.clone(),
                bind_names: Vec::new(),
                facts: operation.facts.iter().map(|(name, fact)| (name.clone(), search::fact(fact.clone()))).collect(),
                exact: operation.is_exact,
                mode: operation.mode.as_str().into(),
                impact: operation.impact.clone(),
            },
            Asked::Task(task) => AskedView::Task {
                ttl_secs: task.ttl_secs,
                asked_by: task.by.clone(),
                budget: budget_view(&task.budget),
                granted: task.granted.as_ref().map(|granted| GrantedView {
                    targets: granted.targets.iter().map(TargetName::to_string).collect(),
                    ttl_secs: granted.ttl_secs,
                }),
            },
        },
        targets: request.targets().iter().map(TargetName::to_string).collect(),
        title: request.title.clone(),
        statement: request.statement.clone(),
        accesses: request.accesses.clone(),
        needs: needs(&request.hold),
        reasons: request.hold.reasons.iter().cloned().collect(),
        policies: request.policies.iter().map(PolicyId::to_string).collect(),
        digest: request.digest.to_string(),
        opened: request.opened.to_string(),
        expires: request.expires.to_string(),
        approvals: request.approvals.iter().map(|(group, users)| (group.to_string(), approvers(users))).collect(),
        answer_reason: request.answer_reason.clone(),
        answered_by: request.answered_by.as_ref().map(|user| format!("user:{user}")),
    }
}

fn stored_view(row: RequestRow) -> RequestView {
    let (asked, targets) = match row.asked {
        AskedRow::Operation { session, task, target, binds, mode } => {
            let (facts, impact) = (row.facts, row.impact);
            let (task_reason, bind_names, exact) = (None, Vec::new(), false);
            let asked =
                AskedView::Operation { session, task, task_reason, binds, bind_names, exact, facts, mode, impact };
            (asked, vec![target])
        }
        AskedRow::Task { targets, ttl_secs, by, budget, granted } => {
            let granted = granted.map(|(targets, ttl_secs)| GrantedView { targets, ttl_secs });
            (AskedView::Task { ttl_secs, asked_by: by, budget: budget_view(&budget), granted }, targets)
        }
    };
    RequestView {
        id: row.id,
        state: row.state,
        identity: row.identity,
        on_behalf_of: row.on_behalf_of,
        asked,
        targets,
        title: row.title,
        statement: row.statement,
        accesses: row.accesses,
        needs: row.needs,
        reasons: row.reasons,
        policies: row.policies,
        digest: row.digest,
        opened: row.opened.to_string(),
        expires: row.expires.to_string(),
        approvals: row.approvals.into_iter().map(|(group, users)| (group, users.into_iter().collect())).collect(),
        answer_reason: row.answer_reason,
        answered_by: row.answered_by,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(statement: &str, binds: Vec<String>, accesses: Vec<String>) -> RequestView {
        let asked = serde_json::json!({
            "id": "req-1", "state": "open", "identity": "agent:claude", "kind": "operation", "session": "ses-1",
            "task": "tsk-1", "binds": binds, "exact": true, "mode": "wait", "targets": ["shop"], "title": "UPDATE",
            "statement": statement, "accesses": accesses, "needs": {}, "reasons": [], "policies": [], "digest": "",
            "opened": "", "expires": "", "approvals": {},
        });
        serde_json::from_value(asked).unwrap()
    }

    fn listed(request: RequestView) -> (RequestView, bool, usize) {
        let listed = in_listing(request, None);
        match &listed.asked {
            AskedView::Operation { exact, binds, .. } => (listed.clone(), *exact, binds.len()),
            AskedView::Task { .. } => panic!("an operation"),
        }
    }

    #[test]
    fn what_is_said_beside_a_statement_has_its_name() {
        let mut request = request("POST /orders", vec!["'{}'".into()], Vec::new());
        assert!(request.rows().contains(&("bind value", "$1 = '{}'".into())), "{:?}", request.rows());
        if let AskedView::Operation { bind_names, facts, .. } = &mut request.asked {
            bind_names.push("body".into());
            facts.insert("pseudonyms".into(), 1.into());
        }
        let rows = request.rows();
        assert!(rows.contains(&("said beside it", "body: '{}'".into())), "{rows:?}");
        let decides =
            |(name, value): &(&str, String)| *name == "pseudonyms" && value.starts_with("1 in its conditions");
        assert!(rows.iter().any(decides), "{rows:?}");
    }

    #[test]
    fn a_listing_has_no_more_than_tells_requests_apart() {
        let (short, exact, binds) = listed(request("update t", vec!["1".into()], vec!["sql:update on Table t".into()]));
        assert_eq!((short.statement.as_str(), exact, binds), ("update t", true, 1));
        let (long, exact, _) = listed(request(&"é".repeat(LISTED_STATEMENT_BYTES_MAX), Vec::new(), Vec::new()));
        assert!(!exact && long.statement.len() < LISTED_STATEMENT_BYTES_MAX + 100);
        let (_, exact, binds) = listed(request("", vec![String::new(); 1_000], Vec::new()));
        assert_eq!((exact, binds), (false, LISTED_BINDS_MAX));
        let (_, exact, _) = listed(request("", vec!["x".repeat(LISTED_BIND_BYTES_MAX + 1)], Vec::new()));
        assert!(!exact);
        // What is cut already is as long as it was before.
        let body = in_listing(request("", vec![format!("'{}…", "x".repeat(1_023))], Vec::new()), Some(1_000_014));
        let AskedView::Operation { binds, exact, .. } = body.asked else { panic!("an operation") };
        assert!(!exact && binds[0].ends_with("x … (1000014 bytes in all)") && binds[0].len() < 300, "{binds:?}");
        let mut accesses: Vec<String> = (0..1_000).map(|place| format!("sql:set on Setting a.b{place}")).collect();
        accesses.push("sql:update on Table customers".into());
        let (many, exact, _) = listed(request("", Vec::new(), accesses));
        assert_eq!((many.accesses.len(), exact), (LISTED_ACCESSES_MAX, false));
        assert!(many.accesses.contains(&"sql:update on Table customers".into()), "what changes something is in sight");
    }
}
