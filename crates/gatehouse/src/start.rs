//! Starts tasks: looks whether policy, or a person for it, lets one begin, puts it on record, and issues its credential.
//!
//! Knows what a task is started with. Who may ask for it, and by which way, is found out before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use gatehouse_api::{Begun, Caller, NewTask, Problem, StartedTaskView};
use gatehouse_engine::House as _;
use gatehouse_gate::budget_record;
use gatehouse_gate::{Asked, AskedTask, Lockdown, MayBegin, PendingRequest};
use gatehouse_identity::StartedTask;
use gatehouse_journal::TaskStarted;
use gatehouse_model::{
    Identity, KeyId, Origin, PolicyId, Spent, Subject, TargetName, Task, TaskEnd, TaskId, UserName, Verifier,
};
use jiff::SignedDuration;

use crate::control::{ApiControl, bad, budget_of, by, ended, live_view, shut, started_view, unavailable, user_name};
use crate::load::Loaded;
use crate::registry;

/// How long whoever started a task may be asked to be silent at most, in seconds.
const HEARTBEAT_SECS: RangeInclusive<u32> = 5..=3600;

/// By what a task begins.
pub(crate) enum Ground {
    /// Somebody at the admin socket, who needs nobody's leave.
    Administrator,
    /// Policies that permit it, of a revision.
    Policies(Vec<PolicyId>, String),
    /// A request that was approved.
    Request(Box<PendingRequest>),
}

/// Whether a task may begin, as far as it may.
pub(crate) enum Leave {
    Given(Box<gatehouse_identity::NewTask>, Ground),
    Asked(Box<PendingRequest>),
    /// A person said no.
    Denied(String),
    /// Policy does.
    Forbidden(String),
}

impl ApiControl {
    pub(crate) async fn start(&self, caller: &Caller, new: NewTask) -> Result<Begun, Problem> {
        let state = &self.state;
        let loaded = state.loaded.load_full();
        let on_behalf_of = new.on_behalf_of.as_deref().map(user_name).transpose()?;
        let identity = match (&new.identity, caller, loaded.people.agents.keys().next()) {
            (Some(identity), _, _) => Identity::parse(identity).map_err(bad)?,
            (None, Caller::User(user, _), _) if on_behalf_of.is_none() => Identity::User(user.clone()),
            (None, _, Some(only)) if loaded.people.agents.len() == 1 => Identity::Agent(only.clone()),
            (None, _, _) => return Err(Problem::bad_request("name who works: --as agent:NAME or --as user:NAME")),
        };
        let subject = state.subject(&identity, on_behalf_of.as_ref()).map_err(bad)?;
        let is_own = |user: &UserName| match (&identity, &on_behalf_of) {
            (Identity::User(worker), None) => worker == user,
            (Identity::Agent(_), Some(person)) => person == user,
            (Identity::User(_), Some(_)) | (Identity::Agent(_), None) => false,
        };
        if let Caller::User(user, _) = caller
            && !is_own(user)
        {
            return Err(Problem::forbidden(
                format!("{user} may start tasks for themselves, and for agents that work on their behalf"),
                format!("Leave --as away, or add --on-behalf-of user:{user}"),
            ));
        }
        let targets: BTreeSet<TargetName> =
            new.targets.iter().map(|name| TargetName::new(name)).collect::<Result<_, _>>().map_err(bad)?;
        for target in &targets {
            if !loaded.targets.contains_key(target.as_str()) {
                return Err(Problem::not_found("target", target.as_str(), "targets"));
            }
        }
        let heartbeat_secs = new.heartbeat_secs;
        if heartbeat_secs.is_some_and(|secs| !HEARTBEAT_SECS.contains(&secs)) {
            let (least, most) = (HEARTBEAT_SECS.start(), HEARTBEAT_SECS.end());
            return Err(Problem::bad_request(format!("a heartbeat comes within {least} to {most} s")));
        }
        let new = gatehouse_identity::NewTask {
            identity,
            on_behalf_of,
            targets,
            reason: new.reason,
            ttl: SignedDuration::from_secs(i64::from(new.ttl_secs)),
            budget: budget_of(new.budget.unwrap_or_default(), &loaded).map_err(bad)?,
            origin: Origin::default(),
            until: None,
        };
        // Whoever can open the admin socket needs nobody's leave.
        let begun = match caller {
            Caller::Administrator(_) => self.begin(new, by(caller), heartbeat_secs, Ground::Administrator).await?,
            Caller::User(..) => {
                let (new, ground) = match self.leave(&subject, new, &by(caller))? {
                    Leave::Given(new, ground) => (new, ground),
                    Leave::Asked(request) => return Ok(Begun::Asked(Box::new(live_view(&request)))),
                    Leave::Denied(why) | Leave::Forbidden(why) => {
                        return Err(Problem::forbidden(why, "Ask for less, or talk to those who decide"));
                    }
                };
                self.begin(*new, by(caller), heartbeat_secs, ground).await?
            }
        };
        Ok(Begun::Started(Box::new(begun)))
    }

    /// Whether policy, or a person for it, lets a task begin; and as far as it does.
    pub(crate) fn leave(
        &self,
        subject: &Subject,
        mut new: gatehouse_identity::NewTask,
        by: &str,
    ) -> Result<Leave, Problem> {
        let (state, limits) = (&self.state, &self.state.loaded.load().config.limits);
        let asked = AskedTask {
            targets: new.targets.clone(),
            reason: new.check(limits.task_secs_max).map_err(bad)?,
            ttl_secs: u32::try_from(new.ttl.as_secs()).unwrap_or(u32::MAX),
            by: by.into(),
            budget: new.budget.clone(),
            granted: None,
        };
        if let Some(lockdown) = self.lockdown_of(&new) {
            return Err(shut(&lockdown));
        }
        self.must_be_heard(&new.targets)?;
        let may = state.gate.may_begin(state.now(), subject, asked, limits.request_secs_max);
        Ok(match may.map_err(unavailable)? {
            MayBegin::Yes { policies, revision } => Leave::Given(Box::new(new), Ground::Policies(policies, revision)),
            MayBegin::Granted(request) => {
                if let Asked::Task(task) = &request.asked {
                    let granted = task.granted();
                    new.targets = granted.targets;
                    new.ttl = SignedDuration::from_secs(granted.ttl_secs.into());
                }
                Leave::Given(Box::new(new), Ground::Request(request))
            }
            MayBegin::Asked(request) => Leave::Asked(request),
            MayBegin::Denied(request) => {
                let reason = request.answer_reason.as_deref().filter(|reason| !reason.is_empty());
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Leave::Denied(format!("request {} was denied{reason}", request.id))
            }
            MayBegin::No(why) => Leave::Forbidden(why),
            MayBegin::TooMany => {
                let title = format!("{} has limits.open_requests_max requests open already", subject.identity);
                return Err(Problem::too_many(title));
            }
        })
    }

    pub(crate) fn lockdown_of(&self, new: &gatehouse_identity::NewTask) -> Option<Lockdown> {
        let lockdowns = self.state.gate.lockdowns();
        new.targets.iter().find_map(|target| lockdowns.of(&new.identity, new.on_behalf_of.as_ref(), target))
    }

    /// Something listens for each of these targets: where a listener came after the gateway had started, nothing does, and a client
    /// that is told of none goes past the gateway.
    fn must_be_heard(&self, targets: &BTreeSet<TargetName>) -> Result<(), Problem> {
        let loaded = self.state.loaded.load();
        for target in targets {
            let Some(found) = loaded.targets.get(target.as_str()) else { continue };
            let listener = registry::listener(&found.protocol);
            if self.state.listening_at(listener).is_none() {
                let title =
                    format!("nothing listens for target {target}: [listen.{listener}] counts at the next start");
                return Err(Problem::conflict(title).advising("Start the gateway anew, or have its operator do so"));
            }
        }
        Ok(())
    }

    /// Starts a task that may be started. Whoever hangs up meanwhile leaves nothing half done.
    pub(crate) async fn begin(
        &self,
        new: gatehouse_identity::NewTask,
        by: String,
        heartbeat_secs: Option<u32>,
        ground: Ground,
    ) -> Result<StartedTaskView, Problem> {
        let control = Self { state: self.state.clone() };
        let begun = async move {
            let recorded = control.recorded(new, &by, heartbeat_secs, &ground).await;
            let started = match (recorded, ground) {
                (Ok(started), Ground::Administrator | Ground::Policies(..)) => started,
                (Ok(started), Ground::Request(used)) => {
                    // The task's record names the approval, which ends it as surely as this one.
                    let _ = control.state.gate.ledger().record(control.state.now(), ended(&used, "used"));
                    started
                }
                (Err(problem), Ground::Administrator | Ground::Policies(..)) => return Err(problem),
                // Nothing was recorded that names it, so it is good for another attempt.
                (Err(problem), Ground::Request(unused)) => {
                    control.state.gate.not_begun(&unused);
                    return Err(problem);
                }
            };
            control.issued(started, by, heartbeat_secs).await
        };
        tokio::spawn(begun).await.map_err(unavailable)?
    }

    /// Makes the task and its record; if there is none, nothing happened.
    async fn recorded(
        &self,
        new: gatehouse_identity::NewTask,
        by: &str,
        heartbeat_secs: Option<u32>,
        ground: &Ground,
    ) -> Result<StartedTask, Problem> {
        let state = &self.state;
        let limits = state.loaded.load().config.limits.clone();
        // One at a time, so that what was counted is still so when this one is added.
        let _starting = state.starting.lock().await;
        if let Some(lockdown) = self.lockdown_of(&new) {
            return Err(shut(&lockdown));
        }
        self.must_be_heard(&new.targets)?;
        let Origin { parent, key, .. } = &new.origin;
        let is_gone = |parent: &TaskId| state.tasks.task(parent, state.now()).is_none();
        if parent.as_ref().is_some_and(is_gone) || key.as_ref().is_some_and(|key| !state.keys.is_good(key, state.now()))
        {
            let title = "what this task would come from has ended meanwhile";
            return Err(Problem::forbidden(title, "Start it by something that is good"));
        }
        let max = limits.live_tasks_max;
        if state.tasks.count(&new.identity, new.on_behalf_of.as_ref(), state.now()) >= max {
            let title = format!("{} has limits.live_tasks_max = {max} tasks already", new.identity);
            return Err(Problem::forbidden(title, "End those that are done: `gatehouse tasks ls` shows them"));
        }
        let id = TaskId::from_random(state.random());
        let started = new.start(state.now(), state.entropy(), id, limits.task_secs_max).map_err(bad)?;
        let task = &started.task;
        let (policies, revision, approval) = match ground {
            Ground::Administrator => (Vec::new(), None, None),
            Ground::Policies(policies, revision) => {
                (policies.iter().map(PolicyId::to_string).collect(), Some(revision.clone()), None)
            }
            Ground::Request(request) => (Vec::new(), None, Some(request.id.to_string())),
        };
        let entry = TaskStarted {
            policies,
            revision,
            task: task.id.to_string(),
            identity: task.identity.to_string(),
            on_behalf_of: task.on_behalf_of.as_ref().map(|user| format!("user:{user}")),
            targets: task.targets.iter().map(TargetName::to_string).collect(),
            reason: task.reason.clone(),
            expires: task.expires.to_string(),
            by: by.into(),
            budget: budget_record(&task.budget),
            approval,
            actors: task.origin.actors.clone(),
            parent: task.origin.parent.as_ref().map(TaskId::to_string),
            api_key: task.origin.key.as_ref().map(KeyId::to_string),
            is_bound: task.origin.is_bound,
        };
        state.gate.ledger().record(task.started, entry).map_err(unavailable)?;
        // It counts from here on, though nobody has its credential yet.
        let spent = Spent::default();
        if !state.tasks.go_on(state.now(), task.clone(), started.verifier.clone(), heartbeat_secs, spent) {
            state.end_unbegun(&task.id);
            return Err(unavailable("what a task comes from has ended, though nothing could end it"));
        }
        Ok(started)
    }

    /// Keeps the credential of a task that is on record, and shows it, once. Of one that cannot be kept the task ends.
    async fn issued(
        &self,
        started: StartedTask,
        by: String,
        heartbeat_secs: Option<u32>,
    ) -> Result<StartedTaskView, Problem> {
        let (state, loaded) = (&self.state, self.state.loaded.load_full());
        let StartedTask { task, credential, verifier } = started;
        let kept = self.keep(&task, &verifier, heartbeat_secs).await;
        let root_certificates = match kept.and_then(|()| root_certificates(&loaded, &task)) {
            Ok(root_certificates) => root_certificates,
            Err(problem) => {
                // Its end is tried again until it is on record.
                state.end_task(&task.id, TaskEnd::Revoked, &"gateway".into()).await;
                return Err(problem);
            }
        };
        let protocols: BTreeMap<String, String> = task
            .targets
            .iter()
            .filter_map(|name| Some((name.to_string(), loaded.targets.get(name.as_str())?.protocol.clone())))
            .collect();
        let view = StartedTaskView {
            task: started_view(&task, by),
            user: credential.user,
            password: String::from_utf8_lossy(credential.password.expose()).into_owned(),
            addresses: self.addresses(&task),
            proxy_certificate: protocols
                .values()
                .any(|protocol| registry::rides_on_http(protocol))
                .then(|| state.authority.certificate.clone()),
            protocols,
            root_certificates,
        };
        Ok(view)
    }

    async fn keep(&self, task: &Task, verifier: &Verifier, heartbeat_secs: Option<u32>) -> Result<(), Problem> {
        self.state.durable().await.map_err(unavailable)?;
        self.state.store.keep_credential(task.id.as_str(), verifier, heartbeat_secs).await.map_err(unavailable)
    }

    /// Where each target of a task is to be reached.
    fn addresses(&self, task: &Task) -> BTreeMap<String, String> {
        let loaded = self.state.loaded.load();
        let address = |target: &TargetName| {
            let protocol = &loaded.targets.get(target.as_str())?.protocol;
            Some((target.to_string(), self.state.listening_at(registry::listener(protocol))?.to_string()))
        };
        task.targets.iter().filter_map(address).collect()
    }
}

/// The certificates by which the listeners of a task's targets are recognized, where they have TLS. One that cannot be read must
/// not become none: the client would do without.
fn root_certificates(loaded: &Loaded, task: &Task) -> Result<BTreeMap<String, String>, Problem> {
    let mut read: BTreeMap<&str, String> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for target in &task.targets {
        let Some(found) = loaded.targets.get(target.as_str()) else { continue };
        let listener = registry::listener(&found.protocol);
        let path = loaded.config.listen.get(listener).and_then(|listen| listen.tls_certificate.as_ref());
        let Some(path) = path else { continue };
        if !read.contains_key(listener) {
            read.insert(listener, std::fs::read_to_string(loaded.base.join(path)).map_err(unavailable)?);
        }
        all.extend(read.get(listener).map(|pem| (target.to_string(), pem.clone())));
    }
    Ok(all)
}
