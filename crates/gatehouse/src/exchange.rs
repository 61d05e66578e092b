//! Whoever shows something that the gateway believes gets a task: at the token endpoint, or by logging in.
//!
//! Knows who is who by tokens, keys and certificates, and who works for whom. Whether a task may begin it asks as everybody
//! does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use gatehouse_api::{Exchange, Exchanged, Issues, OauthError, Problem, Shows, StartedTaskView};
use gatehouse_engine::{House as _, Stranger};
use gatehouse_gate::Target;
use gatehouse_identity::{
    ACTORS_MAX, ApiKey, Bearer, Believed, Credential, TokenError, TokenLogin, issuer_of, proves, verify_token,
};
use gatehouse_model::{
    Access, Action, AgentName, Budget, Denial, Facts, Identity, KeyId, Origin, Reason, RequestId, Resource, Secret,
    TargetName, Task, TaskEnd, TaskId, UserName, Verdict, Verifier, kind,
};
use gatehouse_protocol::{ClientCertificate, Proof};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::control::{ApiControl, budget_of};
use crate::start::Leave;
use crate::state::State;

/// How long a task lives whose workload asks for nothing else, in seconds.
const TASK_SECS: u32 = 1800;
/// The kinds of what is issued.
const TASK_CREDENTIAL: &str = "urn:gatehouse:token-type:task-credential";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The task that a login began, while it is begun and after.
pub(crate) type Entrance = Arc<tokio::sync::Mutex<Option<TaskId>>>;

/// Whoever is to get a task, as far as it is proven.
struct Party {
    identity: Identity,
    on_behalf_of: Option<UserName>,
    /// By which way, for the record.
    by: String,
    origin: Origin,
    /// The longest life of the task, in seconds.
    task_secs_max: u32,
    /// What the task cannot go beyond.
    within: Within,
}

/// How far something reaches that a task comes from.
#[derive(Default)]
struct Within {
    targets: Option<BTreeSet<TargetName>>,
    until: Option<Timestamp>,
}

/// What is asked for.
struct Wanted {
    targets: Vec<String>,
    reason: String,
    ttl_secs: Option<u32>,
    budget: Budget,
}

/// Why no task began.
enum NotBegun {
    /// There is no such target, or it is not for them: to ask is not to be told what there is.
    NoTarget,
    /// A person is asked.
    Asked(RequestId),
    /// A person said no, or something is shut.
    Denied(String),
    /// What was asked for cannot be.
    Invalid(String),
    /// Others are asked for already.
    TooMany(String),
    Unavailable,
}

impl From<NotBegun> for OauthError {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::NoTarget => Self::invalid_target(
                "there is no such target, or policy does not permit `start` on it to whoever is to work, and whom for",
            ),
            NotBegun::Asked(request) => Self::pending(request.to_string()),
            NotBegun::Denied(why) => Self::denied(why),
            NotBegun::Invalid(why) => Self::invalid_request(why),
            NotBegun::TooMany(why) => Self::slow_down(why),
            NotBegun::Unavailable => Self::unavailable(),
        }
    }
}

impl NotBegun {
    fn denial(self, user: &str) -> Denial {
        let (detail, hint) = match self {
            Self::NoTarget => (
                "there is no such target, or policy does not permit you to start a task for it".to_string(),
                "Name a target as the database, and have an administrator permit `start` on it".to_string(),
            ),
            Self::Asked(request) => (
                format!("a person must approve this task first: request {request}"),
                "Connect again once it is approved".to_string(),
            ),
            Self::Denied(why) | Self::Invalid(why) | Self::TooMany(why) => {
                (why, "Ask whoever administers the gateway".to_string())
            }
            Self::Unavailable => (
                "the gateway cannot do this now".to_string(),
                "Try again later; the gateway's log has the cause".to_string(),
            ),
        };
        not_let_in(user, detail, hint)
    }
}

fn not_let_in(user: &str, detail: impl Into<String>, hint: impl Into<String>) -> Denial {
    Denial::new(Reason::Login, format!("authentication failed for user \"{user}\""), detail, hint)
}

impl Party {
    /// An agent that showed a token of its own. A person's token alone is nobody's: whoever has it may be anybody.
    fn agent(bearer: Bearer) -> Option<Self> {
        matches!(bearer.identity, Identity::Agent(_)).then(|| Self {
            by: bearer.to_string(),
            identity: bearer.identity,
            on_behalf_of: None,
            origin: Origin { actors: bearer.actors, ..Origin::default() },
            task_secs_max: bearer.task_secs_max,
            within: Within::default(),
        })
    }

    /// An agent that showed, beside its own token, that of a person.
    fn acting(actor: Bearer, person: Bearer, user: UserName) -> Self {
        Self {
            by: format!("{actor} for {person}"),
            identity: actor.identity,
            on_behalf_of: Some(user),
            origin: Origin { is_bound: person.says_who_may_act(), actors: person.actors, ..Origin::default() },
            task_secs_max: actor.task_secs_max.min(person.task_secs_max),
            within: Within::default(),
        }
    }

    /// An agent that showed, beside its own token, that of a task which was handed on to it.
    fn handed(actor: Bearer, task: Task) -> Self {
        let mut actors = vec![task.identity.to_string()];
        actors.extend(task.origin.actors);
        Self {
            by: format!("{actor} by task {}", task.id),
            identity: actor.identity,
            on_behalf_of: task.on_behalf_of,
            origin: Origin { actors, parent: Some(task.id), key: task.origin.key, is_bound: task.origin.is_bound },
            task_secs_max: actor.task_secs_max,
            within: Within { targets: Some(task.targets), until: Some(task.expires) },
        }
    }

    fn keyed(key: ApiKey) -> Self {
        Self {
            identity: Identity::Agent(key.agent),
            on_behalf_of: None,
            by: format!("static key {}", key.id),
            origin: Origin { key: Some(key.id), ..Origin::default() },
            task_secs_max: u32::MAX,
            within: Within { targets: Some(key.targets), until: Some(key.expires) },
        }
    }
}

impl State {
    /// Whose a token is.
    async fn bearer(&self, token: &Secret) -> Result<Bearer, TokenError> {
        let loaded = self.loaded.load_full();
        let gateway: Vec<String> = self.api_address().map_or_else(Vec::new, |base| {
            let endpoint = format!("{base}/oauth/token");
            vec![base, endpoint]
        });
        let believed = Believed {
            issuers: &loaded.issuers,
            agents: &loaded.agent_keys,
            gateway: &gateway,
            assertions: &self.assertions,
        };
        let verified = verify_token(&believed, &String::from_utf8_lossy(token.expose()), self.now()).await;
        verified.inspect_err(refused_token)
    }

    /// The live task whose own token this is; `None` for a token of anybody else's.
    fn task_of(&self, token: &Secret) -> Option<Result<Task, TokenError>> {
        let issuer = self.api_address()?;
        let text = String::from_utf8_lossy(token.expose());
        if issuer_of(&text).as_deref() != Some(&*issuer) {
            return None;
        }
        let read = self.token_key.verify(&issuer, &text, self.now()).and_then(|read| {
            let task = self.tasks.task(&read.task, self.now()).map(|(task, _)| task);
            task.ok_or(TokenError::Expired)
        });
        Some(read.inspect_err(refused_token))
    }

    /// Whether a password is that of a credential. Few are computed at a time.
    async fn proves(&self, verifier: Verifier, password: Secret) -> bool {
        let Ok(place) = self.proofs.clone().acquire_owned().await else { return false };
        let proof = tokio::task::spawn_blocking(move || {
            // Whoever hangs up meanwhile gives the place free no sooner.
            let _place = place;
            proves(&verifier, password.expose())
        });
        proof.await.unwrap_or(false)
    }

    /// How a client that names no task of its own is to prove who it is.
    pub(crate) fn token_proof(&self, stranger: &Stranger) -> Option<Proof> {
        if !stranger.is_private || Credential::is_user(&stranger.user) {
            return None;
        }
        let loaded = self.loaded.load();
        let agent = AgentName::new(&stranger.user).ok();
        if let (Some(agent), Some(certificate)) = (&agent, &stranger.certificate)
            && self.certified(certificate).is_some_and(|(whose, ..)| whose == *agent)
        {
            return Some(Proof::Shown);
        }
        let mut issuers = loaded.issuers.iter();
        let own = issuers.find(|issuer| issuer.agents.iter().any(|rule| Some(&rule.agent) == agent.as_ref()));
        match own.map(|issuer| (issuer.login, &issuer.issuer)) {
            Some((TokenLogin::Bearer, issuer)) => Some(Proof::BearerToken { issuer: issuer.clone() }),
            Some((TokenLogin::Password, _)) => Some(Proof::PasswordToken),
            // Whoever is not known is asked like everybody else, so that nobody learns who is.
            None => {
                let any = !loaded.issuers.is_empty() || !loaded.agent_keys.is_empty() || !self.keys.is_empty();
                any.then_some(Proof::PasswordToken)
            }
        }
    }

    /// Where the task stands that a login of this name began.
    fn entrance(&self, name: [u8; 32]) -> Entrance {
        let mut entrances = self.entrances.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody is at, and whose tasks are over, are of no more use.
        entrances.retain(|_, place: &mut Entrance| {
            let is_live = |task: &TaskId| self.tasks.task(task, self.now()).is_some();
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|task| task.as_ref().is_some_and(is_live))
        });
        entrances.entry(name).or_default().clone()
    }

    /// Which agent's a certificate is, for how long its tasks are at most, and who vouches; `None` if it is nobody's.
    fn certified(&self, certificate: &ClientCertificate) -> Option<(AgentName, u32, String)> {
        let loaded = self.loaded.load();
        let vouches = |name: &String| certificate.authorities.contains(name);
        let found = loaded.certificates.iter().filter(|section| vouches(&section.authority.name)).find_map(|section| {
            let mut rules = section.agents.iter().filter(|(_, name)| certificate.names.contains(name));
            rules.next().map(|(whose, _)| (whose, section))
        });
        found.map(|(whose, section)| (whose.clone(), section.task_secs_max, section.authority.name.clone()))
    }

    /// Ends a static key, and the tasks that were started with it. False if it was not good. Whoever asked for it may hang up
    /// meanwhile.
    pub(crate) async fn end_key(&self, id: &KeyId, cause: &str, by: &str) -> bool {
        let mut ended = Vec::new();
        {
            let _starting = self.starting.lock().await;
            // It is dead before anything can fail.
            if self.keys.end(id).is_none() {
                return false;
            }
            if let Err(error) = self.record_key_end(id, cause, by) {
                tracing::error!(%error, %id, "the end of a static key is not recorded yet, and will be tried again");
                let ending = (id.clone(), cause.to_string(), by.to_string());
                self.ending_keys.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
            }
            for task in self.tasks.that_came_from(|origin| origin.key.as_ref() == Some(id)) {
                ended.extend(self.end_tasks(&task, TaskEnd::Revoked, &by.into()));
            }
        }
        if let Err(error) = self.store.forget_key_digest(id.as_str()).await {
            tracing::warn!(%error, %id, "what checks a static key that ended is kept for now");
        }
        self.forget_credentials(&ended).await;
        true
    }

    /// Records the end of a key that nobody was given.
    pub(crate) fn end_unkept_key(&self, id: &KeyId) {
        if self.record_key_end(id, "revoked", "gateway").is_err() {
            let ending = (id.clone(), "revoked".to_string(), "gateway".to_string());
            self.ending_keys.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
        }
    }

    fn record_key_end(&self, id: &KeyId, cause: &str, by: &str) -> Result<(), gatehouse_gate::Unrecorded> {
        let entry = gatehouse_journal::KeyEnded { key: id.to_string(), cause: cause.into(), by: by.into() };
        self.gate.ledger().record(self.now(), entry).map(|_| ())
    }

    /// Ends keys whose time has run out, and tries again what [`State::end_key`] could not keep.
    pub(crate) async fn sweep_keys(&self) {
        let endings = std::mem::take(&mut *self.ending_keys.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, cause, by) in endings {
            if self.record_key_end(&id, &cause, &by).is_err() {
                self.ending_keys.lock().unwrap_or_else(PoisonError::into_inner).push((id, cause, by));
            }
        }
        for id in self.keys.over(self.now()) {
            self.end_key(&id, "expired", "gateway").await;
        }
    }
}

/// Why a token is not good is for the operator, who can mend it, and not for whoever shows it.
fn refused_token(error: &TokenError) {
    metrics::counter!("gatehouse_tokens_refused_total").increment(1);
    tracing::warn!(%error, "a token was refused");
}

fn not_good(error: &TokenError) -> OauthError {
    if error.is_the_gateways() {
        return OauthError::unavailable();
    }
    OauthError::invalid_request("the token is not good: the gateway's log has the cause")
}

impl ApiControl {
    /// A workload proves who it is, and policy says whether it may start a task.
    pub(crate) async fn exchanged(&self, exchange: Exchange) -> Result<Exchanged, OauthError> {
        let party = self.party(&exchange).await?;
        let mut targets = exchange.targets;
        for resource in &exchange.resources {
            let target = self.state.target_at(resource);
            targets.push(target.ok_or(NotBegun::NoTarget)?);
        }
        let wanted = Wanted {
            targets,
            reason: exchange.reason,
            ttl_secs: exchange.ttl_secs,
            budget: budget_of(exchange.budget, &self.state.loaded.load()).map_err(OauthError::invalid_request)?,
        };
        let started = self.begin_for(party, wanted).await?;
        self.answer_with(started, exchange.issues)
    }

    /// Who shows this, and the targets that they may ask for a task at, with what these speak.
    pub(crate) async fn startable(&self, exchange: &Exchange) -> Result<(String, Vec<(String, String)>), OauthError> {
        let party = self.party(exchange).await?;
        let (state, loaded) = (&self.state, self.state.loaded.load_full());
        let subject = state.subject(&party.identity, party.on_behalf_of.as_ref());
        let subject = subject.map_err(|error| OauthError::denied(error.to_string()))?;
        let policies = state.gate.policies();
        let may_start = |target: &&Arc<Target>| {
            let access = Access::new(Action::START, Resource::root(kind::TARGET, target.name.as_str()));
            let is_within = party.within.targets.as_ref().is_none_or(|within| within.contains(&target.name));
            is_within && policies.decide(&subject, &access, &Facts::new()).verdict != Verdict::Deny
        };
        let seen = loaded.targets.values().filter(may_start);
        let seen = seen.map(|target| (target.name.to_string(), target.protocol.clone()));
        Ok((party.identity.to_string(), seen.collect()))
    }

    /// What each target speaks.
    pub(crate) fn protocols(&self) -> BTreeMap<String, String> {
        let loaded = self.state.loaded.load();
        loaded.targets.iter().map(|(name, target)| (name.clone(), target.protocol.clone())).collect()
    }

    /// What became of a request, and why.
    pub(crate) fn request_state(&self, id: &str) -> Option<(String, Option<String>)> {
        let request = self.state.gate.desk().request(&RequestId::parse(id).ok()?)?;
        Some((request.state.as_str().into(), request.answer_reason))
    }

    fn answer_with(&self, started: StartedTaskView, issues: Issues) -> Result<Exchanged, OauthError> {
        let state = &self.state;
        let task = TaskId::parse(&started.task.id).ok().and_then(|id| state.tasks.task(&id, state.now()));
        let (task, _) = task.ok_or_else(OauthError::unavailable)?;
        let (access_token, kind, token_type) = match issues {
            Issues::Credential => (started.password, TASK_CREDENTIAL, "N_A"),
            Issues::Token => {
                let issuer = state.api_address().ok_or_else(OauthError::unavailable)?;
                let jti = format!("{:016x}", state.random());
                let token =
                    state.token_key.sign(&task, &issuer, &jti, state.now()).ok_or_else(OauthError::unavailable)?;
                (String::from_utf8_lossy(token.expose()).into_owned(), ACCESS_TOKEN, "Bearer")
            }
        };
        // Begun seconds count, as the moment that has passed since the task began must not.
        let secs = (task.expires.duration_since(state.now()).as_millis() + 999) / 1000;
        Ok(Exchanged {
            access_token,
            issued_token_type: kind.into(),
            token_type: token_type.into(),
            expires_in: u32::try_from(secs.max(0)).unwrap_or(u32::MAX),
            user: match issues {
                Issues::Credential => started.user,
                // A token says itself which task it is of.
                Issues::Token => task.identity.name().into(),
            },
            task: started.task,
            addresses: started.addresses,
            root_certificates: started.root_certificates,
        })
    }

    /// Who is to get a task, by all that is shown.
    async fn party(&self, exchange: &Exchange) -> Result<Party, OauthError> {
        let state = &self.state;
        let client = self.client(exchange).await?;
        let token = match &exchange.shows {
            Shows::Client => {
                let missing = || OauthError::invalid_client("show a `client_assertion` that your key signed");
                return client.and_then(Party::agent).ok_or_else(missing);
            }
            Shows::Key(key) => {
                let shown = state.keys.shown(&String::from_utf8_lossy(key.expose()), state.now());
                let key = shown.ok_or_else(|| OauthError::invalid_request("the key is not good: it may have ended"))?;
                return Ok(Party::keyed(key));
            }
            Shows::Token(token) => token,
        };
        let own = state.task_of(token).transpose().map_err(|error| not_good(&error))?;
        let actor = match &exchange.actor_token {
            Some(token) => Some(state.bearer(token).await.map_err(|error| not_good(&error))?),
            None => client.clone(),
        };
        if let Some(Bearer { identity: Identity::User(_), .. }) = &actor {
            return Err(OauthError::invalid_request("the `actor_token` is of an agent, and this one is a person's"));
        }
        let Some(task) = own else {
            let subject = state.bearer(token).await.map_err(|error| not_good(&error))?;
            return acting(subject, actor, client);
        };
        let actor =
            actor.ok_or_else(|| OauthError::invalid_request("a task's token is handed on with an `actor_token`"))?;
        if task.origin.actors.len() >= ACTORS_MAX {
            return Err(OauthError::invalid_request(format!("it was handed on {ACTORS_MAX} times already")));
        }
        if task.origin.is_bound {
            return Err(OauthError::invalid_request(
                "the person's token named who may act in `may_act`, and nobody else may",
            ));
        }
        self.must_be_let_in(&task)?;
        Ok(Party::handed(actor, task))
    }

    /// Whoever handed a task on, and whoever did so before, must still be let in.
    fn must_be_let_in(&self, task: &Task) -> Result<(), OauthError> {
        let state = &self.state;
        let mut next = Some(task.clone());
        while let Some(task) = next {
            let subject = state.subject(&task.identity, task.on_behalf_of.as_ref());
            subject.map_err(|error| OauthError::denied(error.to_string()))?;
            let lockdowns = state.gate.lockdowns();
            let mut targets = task.targets.iter();
            if let Some(shut) =
                targets.find_map(|target| lockdowns.of(&task.identity, task.on_behalf_of.as_ref(), target))
            {
                return Err(OauthError::denied(shut.denial().detail));
            }
            next = task.origin.parent.and_then(|parent| state.tasks.task(&parent, state.now())).map(|(task, _)| task);
        }
        Ok(())
    }

    /// The agent that calls, if it proves that it does (RFC 7523, section 2.2).
    async fn client(&self, exchange: &Exchange) -> Result<Option<Bearer>, OauthError> {
        let Some(assertion) = &exchange.client_assertion else { return Ok(None) };
        let client = self.state.bearer(assertion).await.map_err(|error| match error.is_the_gateways() {
            true => OauthError::unavailable(),
            false => OauthError::invalid_client("the `client_assertion` is not good: the gateway's log has the cause"),
        })?;
        let is_named = exchange.client_id.as_ref().is_none_or(|id| *id == client.identity.to_string());
        if matches!(client.identity, Identity::User(_)) || !is_named {
            return Err(OauthError::invalid_client(
                "the `client_assertion` is of an agent, whose `client_id` is agent:NAME",
            ));
        }
        Ok(Some(client))
    }

    /// Starts a task for whoever proved who they are, as far as policy, or a person, lets them.
    async fn begin_for(&self, party: Party, wanted: Wanted) -> Result<StartedTaskView, NotBegun> {
        let (state, loaded) = (&self.state, self.state.loaded.load_full());
        let (identity, by) = (party.identity.to_string(), party.by.clone());
        let names = wanted.targets.join(" ");
        let refused = |cause: &str, told: NotBegun| {
            // It is refused whether or not that can be recorded.
            let _ = state.gate.login_refused(state.now(), &by, &identity, &names, cause);
            tracing::info!(by, identity, targets = names, cause, "a task is not started");
            told
        };
        let subject = state.subject(&party.identity, party.on_behalf_of.as_ref());
        let subject = subject.map_err(|error| match &party.on_behalf_of {
            Some(user) => refused(
                &error.to_string(),
                NotBegun::Denied(format!("user:{user} is not known here, or not signed in")),
            ),
            None => refused(&error.to_string(), NotBegun::NoTarget),
        })?;
        let mut targets = BTreeSet::new();
        for name in &wanted.targets {
            let target = TargetName::new(name).ok().filter(|target| loaded.targets.contains_key(target.as_str()));
            let target = target.ok_or_else(|| refused("there is no such target", NotBegun::NoTarget))?;
            if party.within.targets.as_ref().is_some_and(|within| !within.contains(&target)) {
                return Err(refused("what was shown does not reach so far", NotBegun::NoTarget));
            }
            targets.insert(target);
        }
        let secs_max = party.task_secs_max.min(loaded.config.limits.task_secs_max);
        let secs = wanted.ttl_secs.unwrap_or(TASK_SECS.min(secs_max));
        if !(1..=secs_max).contains(&secs) {
            return Err(NotBegun::Invalid(format!("a task lives between 1 s and {secs_max} s: `ttl_secs`")));
        }
        let new = gatehouse_identity::NewTask {
            identity: party.identity.clone(),
            on_behalf_of: party.on_behalf_of.clone(),
            targets,
            reason: wanted.reason,
            ttl: SignedDuration::from_secs(i64::from(secs)),
            budget: wanted.budget,
            origin: party.origin,
            until: party.within.until,
        };
        let failed = |problem: Problem| match problem.status {
            403 => refused(&problem.title, NotBegun::Denied(problem.title.clone())),
            429 => refused(&problem.title, NotBegun::TooMany(problem.title.clone())),
            400..500 => refused(&problem.title, NotBegun::Invalid(problem.title.clone())),
            _ => NotBegun::Unavailable,
        };
        let (new, ground) = match self.leave(&subject, new, &by).map_err(failed)? {
            Leave::Given(new, ground) => (new, ground),
            Leave::Asked(request) => return Err(NotBegun::Asked(request.id.clone())),
            Leave::Denied(why) => return Err(NotBegun::Denied(why)),
            Leave::Forbidden(why) => return Err(refused(&why, NotBegun::NoTarget)),
        };
        self.begin(*new, by.clone(), None, ground).await.map_err(failed)
    }

    /// Whoever holds a credential, or a task's own token, may end its task.
    pub(crate) async fn given_back(&self, user: Option<&str>, password: &str) -> Result<(), OauthError> {
        let state = &self.state;
        let password = Secret::new(password);
        let task = match state.task_of(&password) {
            Some(task) => task.ok().map(|task| task.id),
            None => self.task_of_credential(user, password).await?,
        };
        let Some(task) = task else { return Ok(()) };
        state.end_task(&task, TaskEnd::Done, &"its own credential".into()).await;
        Ok(())
    }

    async fn task_of_credential(&self, user: Option<&str>, password: Secret) -> Result<Option<TaskId>, OauthError> {
        let state = &self.state;
        let user = user
            .filter(|user| Credential::is_user(user))
            .ok_or_else(|| OauthError::invalid_client("`client_id` is the user name of the credential: NAME.NUMBER"))?;
        if !Credential::is_password(&String::from_utf8_lossy(password.expose())) {
            return Ok(None);
        }
        let (task, verifier) = state.tasks.credential(user, state.now()).unzip();
        // Whether there is such a task does not show in how long it takes.
        let verifier = verifier.unwrap_or_else(|| Credential::decoy(user, &state.decoys));
        Ok(if state.proves(verifier, password).await { task } else { None })
    }

    /// The task of a client that logs in by what it shows: the one that this began before, while that lives, or a new one.
    pub(crate) async fn entered(&self, stranger: &Stranger, shown: Option<Secret>) -> Result<TaskId, Denial> {
        let (party, sha256) = match shown {
            Some(shown) => match self.shown(stranger, shown).await? {
                Entry::Task(task) => return Ok(task),
                Entry::Party(party, sha256) => (*party, sha256),
            },
            None => self.certificate_party(stranger)?,
        };
        let user = stranger.user.as_str();
        // Over HTTP whoever shows a token need not say whose it is.
        if !user.is_empty() && party.identity.name() != user {
            let who = &party.identity;
            return Err(not_let_in(user, format!("what was shown is {who}'s"), format!("Log in as {}", who.name())));
        }
        if stranger.target.is_empty() {
            return Err(NotBegun::NoTarget.denial(user));
        }
        let name: [u8; 32] = Sha256::new_with_prefix(sha256)
            .chain_update(user)
            .chain_update([0])
            .chain_update(&stranger.target)
            .finalize()
            .into();
        let secs_max = party.task_secs_max.min(self.state.loaded.load().config.limits.task_secs_max);
        let wanted = Wanted {
            targets: vec![stranger.target.clone()],
            reason: format!("a login by {}", party.by),
            ttl_secs: Some(secs_max),
            budget: Budget::default(),
        };
        let (control, place) = (Self::new(self.state.clone()), self.state.entrance(name));
        // Whoever gives up meanwhile finds the task when they come again.
        let entered = tokio::spawn(async move {
            let state = &control.state;
            // One at a time, so that a pool of connections that opens at once has one task.
            let mut entered = place.lock().await;
            if let Some(task) = entered.as_ref().filter(|task| state.tasks.task(task, state.now()).is_some()) {
                return Ok(task.clone());
            }
            let started = control.begin_for(party, wanted).await?;
            let task = TaskId::parse(&started.task.id).map_err(|_| NotBegun::Unavailable)?;
            *entered = Some(task.clone());
            Ok(task)
        });
        entered.await.unwrap_or(Err(NotBegun::Unavailable)).map_err(|why| why.denial(user))
    }

    fn certificate_party(&self, stranger: &Stranger) -> Result<(Party, [u8; 32]), Denial> {
        let not_its =
            || not_let_in(&stranger.user, "the certificate is not this agent's", "Log in as whoever it is for");
        let certificate = stranger.certificate.as_ref().ok_or_else(not_its)?;
        let (agent, task_secs_max, authority) = self.state.certified(certificate).ok_or_else(not_its)?;
        // Over HTTP whoever shows one need not say whose it is.
        if !stranger.user.is_empty() && agent.as_str() != stranger.user {
            return Err(not_its());
        }
        let until = Timestamp::from_second(certificate.expires).map_err(|_| not_its())?;
        let party = Party {
            identity: Identity::Agent(agent),
            on_behalf_of: None,
            by: format!("certificate of {authority} ({})", certificate.names.first().map_or("", String::as_str)),
            origin: Origin::default(),
            task_secs_max,
            within: Within { targets: None, until: Some(until) },
        };
        Ok((party, certificate.sha256))
    }

    async fn shown(&self, stranger: &Stranger, shown: Secret) -> Result<Entry, Denial> {
        let state = &self.state;
        let user = stranger.user.as_str();
        let text = Secret::new(String::from_utf8_lossy(shown.expose()).trim().to_string());
        let words = String::from_utf8_lossy(text.expose()).into_owned();
        let sha256: [u8; 32] = Sha256::digest(text.expose()).into();
        let wrong = || {
            not_let_in(
                user,
                "the token or password is not good, or its task has ended",
                "Show a token of a trusted issuer, or start a task with `gatehouse task start` or `gatehouse run`",
            )
        };
        if Credential::is_password(&words) {
            let (task, verifier) = state.tasks.credential(user, state.now()).unzip();
            let verifier = verifier.unwrap_or_else(|| Credential::decoy(user, &state.decoys));
            let is_proven = state.proves(verifier, text).await;
            return task.filter(|_| is_proven).map(Entry::Task).ok_or_else(wrong);
        }
        if ApiKey::is_key(&words) {
            let key = state.keys.shown(&words, state.now()).ok_or_else(wrong)?;
            return Ok(Entry::Party(Box::new(Party::keyed(key)), sha256));
        }
        if let Some(task) = state.task_of(&text) {
            let task = task.map_err(|_| wrong())?;
            let is_theirs = user.is_empty() || task.identity.name() == user;
            return if is_theirs { Ok(Entry::Task(task.id)) } else { Err(wrong()) };
        }
        // What an agent signs for itself is for the token endpoint, once.
        let says = issuer_of(&words).unwrap_or_default();
        if !state.loaded.load().issuers.iter().any(|issuer| issuer.issuer == says) {
            refused_token(&TokenError::Issuer(says));
            return Err(wrong());
        }
        let bearer = state.bearer(&text).await.map_err(|error| match error.is_the_gateways() {
            true => NotBegun::Unavailable.denial(user),
            false => wrong(),
        })?;
        let until = bearer.expires;
        let party = Party::agent(bearer).ok_or_else(|| {
            let hint =
                "People sign in with `gatehouse login`; an agent works for them by both their tokens at /oauth/token";
            not_let_in(user, "the token is a person's, and alone it is nobody's", hint)
        })?;
        let within = Within { targets: None, until: Some(until) };
        Ok(Entry::Party(Box::new(Party { within, ..party }), sha256))
    }
}

/// What a client that logs in has shown.
enum Entry {
    /// The credential of a task, or its own token.
    Task(TaskId),
    /// Who it is; and the digest by which it is known again.
    Party(Box<Party>, [u8; 32]),
}

/// Who works by a token of an issuer's, and for whom.
fn acting(subject: Bearer, actor: Option<Bearer>, client: Option<Bearer>) -> Result<Party, OauthError> {
    match (subject.identity.clone(), actor) {
        (Identity::Agent(_), None) => Party::agent(subject).ok_or_else(OauthError::unavailable),
        // An agent that shows its token and proves besides that it is the one who calls.
        (Identity::Agent(_), Some(actor)) if client.is_some() && actor.identity == subject.identity => {
            Party::agent(subject).ok_or_else(OauthError::unavailable)
        }
        (Identity::Agent(agent), Some(_)) => Err(OauthError::invalid_request(format!(
            "the `subject_token` is agent:{agent}'s: who is acted for is a person, or a task that was handed on"
        ))),
        (Identity::User(_), None) => Err(OauthError::invalid_request(
            "the `subject_token` is a person's: show the agent's own as `actor_token` beside it",
        )),
        (Identity::User(user), Some(actor)) => {
            if !subject.lets_act(&actor) {
                return Err(OauthError::invalid_request("the `subject_token` names another in `may_act`"));
            }
            Ok(Party::acting(actor, subject, user))
        }
    }
}

/// The task of a client that showed something when it logged in.
pub(crate) async fn recognize(state: Arc<State>, stranger: Stranger, shown: Option<Secret>) -> Result<TaskId, Denial> {
    ApiControl::new(state).entered(&stranger, shown).await
}
