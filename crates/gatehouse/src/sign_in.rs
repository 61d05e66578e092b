//! Who is signed in: sign-ins that are under way, what providers say of people, and the ends of both.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use gatehouse_api::{Caller, CameBack, DeviceLoginView, LinkView, Problem, Shown, SignInBegun, SignedIn, TokenView};
use gatehouse_engine::House as _;
use gatehouse_identity::{
    Again, BrowserSecret, Person, Provider, SIGN_IN_SECS_MAX, SignInError, Token, Visit, token_digest,
};
use gatehouse_journal::{PersonSignedIn, PersonSignedOut};
use gatehouse_model::{Denial, GroupName, Identity, Reason, Resource, Secret, UserName, kind};
use gatehouse_store::{KeptToken, KeptVisit, TokenKind};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use crate::state::State;

/// Sign-ins in terminals that may be under way at a time.
const DEVICE_LOGINS_MAX: usize = 100;
/// How long a provider may take to begin a sign-in in a terminal, and how long that may go on, in seconds.
const DEVICE_BEGIN_SECS_MAX: i64 = 60;
const DEVICE_LOGIN_SECS_MAX: u32 = 3600;
/// How long a sign-in in a terminal goes on while nobody asks what became of it, in seconds.
const DEVICE_SILENCE_SECS: i64 = 15;
/// How many browsers' answers of a provider are looked into at a time.
const EXCHANGES_MAX: usize = 8;
/// How many people a provider is asked again about at a time.
const QUESTIONS_MAX: usize = 8;
/// One-time links that may be good at a time.
const LINKS_MAX: usize = 100;
/// How long a one-time link is good, in seconds.
const LINK_SECS: i64 = 900;

type Digest = [u8; 32];

/// What is known of sign-ins in memory alone: a restart ends what is under way here, and nothing that is done.
pub(crate) struct SignIns {
    /// What browsers' secrets are proved by.
    key: [u8; 32],
    exchanges: Semaphore,
    devices: Mutex<HashMap<Digest, DeviceLogin>>,
    links: Mutex<HashMap<Digest, (UserName, Timestamp)>>,
    /// With what the provider can be asked again, by the token of the sign-in that it is about.
    questions: Mutex<HashMap<Digest, Question>>,
    /// People who are let in no more, but whose tokens are not forgotten yet.
    leaving: Mutex<BTreeSet<UserName>>,
    /// Held while somebody is taken in or turned away, so that what is kept of them and what counts is the same.
    changing: tokio::sync::Mutex<()>,
}

struct DeviceLogin {
    expires: Timestamp,
    /// When somebody asked last.
    asked: Timestamp,
    /// What became of it.
    outcome: Option<Result<TokenView, Problem>>,
}

#[derive(Clone)]
struct Question {
    /// The sign-in ends then by itself.
    until: Timestamp,
    user: UserName,
    subject: String,
    refresh: Secret,
    asked: Timestamp,
}

impl SignIns {
    /// With a key of this process.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self {
            key,
            exchanges: Semaphore::new(EXCHANGES_MAX),
            devices: Mutex::default(),
            links: Mutex::default(),
            questions: Mutex::default(),
            leaving: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// The questions whose time is up, those first that were asked longest ago. They count as asked from now on.
    fn due(&self, now: Timestamp, every: SignedDuration) -> Vec<(Digest, Question)> {
        let mut questions = lock(&self.questions);
        questions.retain(|_, question| now < question.until);
        let due = questions.iter_mut().filter(|(_, question)| now.duration_since(question.asked) >= every);
        let mut due: Vec<(Digest, Question)> = due
            .map(|(sign_in, question)| {
                let before = question.clone();
                question.asked = now;
                (*sign_in, before)
            })
            .collect();
        due.sort_by_key(|(_, question)| question.asked);
        due
    }

    /// Takes in with what is asked the next time; false if the sign-in is over meanwhile.
    fn goes_on(&self, sign_in: &Digest, refresh: Option<Secret>) -> bool {
        let mut questions = lock(&self.questions);
        let Some(question) = questions.get_mut(sign_in) else { return false };
        if let Some(refresh) = refresh {
            question.refresh = refresh;
        }
        true
    }

    /// Ends the questions of one sign-in; true if it was the last of its person that could be asked about.
    fn was_last(&self, sign_in: &Digest, user: &UserName) -> bool {
        let mut questions = lock(&self.questions);
        questions.remove(sign_in);
        !questions.values().any(|question| question.user == *user)
    }
}

/// How somebody proved who they are.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    Browser,
    Device,
    Link,
    AdminSocket,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Browser => "provider, browser",
            Self::Device => "provider, device",
            Self::Link => "link",
            Self::AdminSocket => "admin socket",
        }
    }

    const fn token_kind(self) -> TokenKind {
        match self {
            Self::Browser | Self::Link => TokenKind::Browser,
            Self::Device | Self::AdminSocket => TokenKind::Api,
        }
    }
}

/// The kind of token that is shown in this way.
pub(crate) const fn kind_of(shown: Shown) -> TokenKind {
    match shown {
        Shown::Token => TokenKind::Api,
        Shown::Cookie => TokenKind::Browser,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(error: impl std::fmt::Display) -> Problem {
    tracing::error!(%error, "somebody could not be signed in");
    Problem::unavailable("the gateway cannot sign anybody in now")
}

/// What a person reads who cannot be signed in. The log has it in full.
fn problem(error: &SignInError) -> Problem {
    tracing::warn!(%error, "somebody is not signed in");
    match error {
        SignInError::Provider { .. } => Problem::unavailable("the provider does not answer as it must"),
        SignInError::NoDevices(_) => {
            Problem::not_here("the provider has no codes for terminals", "Sign in with a browser, at /login")
        }
        SignInError::Stranger => Problem::forbidden(error.to_string(), "Begin anew at /login"),
        SignInError::Refused(_) => Problem::forbidden(
            "the provider did not let you in, or this gateway is not set up rightly there",
            "Begin anew, or ask an administrator of the gateway: its log has what the provider said",
        ),
        SignInError::NotAdmitted { .. } => Problem::forbidden(
            "the provider let you in, but this gateway does not",
            "Ask an administrator of the gateway: oidc.admit says who may sign in",
        ),
        SignInError::Token(_) | SignInError::Missing(_) | SignInError::Claim { .. } | SignInError::Groups => {
            Problem::forbidden(
                "the provider does not say who you are in a way that counts here",
                "Ask an administrator of the gateway: its log says what is missing",
            )
        }
    }
}

fn used_link() -> Problem {
    Problem::forbidden(
        "this link was used already, or is too old",
        "Have another made at the gateway's machine: gatehouse login --as user:NAME --link",
    )
}

fn in_seconds(now: Timestamp, secs: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(secs)).unwrap_or(now)
}

impl State {
    fn provider(&self) -> Result<Arc<Provider>, Problem> {
        self.loaded.load().provider.clone().ok_or_else(|| {
            let remedy = "Use a link or a token of `gatehouse login --as user:NAME`, made at the gateway's machine; \
                          [oidc] in the configuration names a provider";
            Problem::not_here("there is no provider to sign in by", remedy)
        })
    }

    fn redirect(&self) -> Result<String, Problem> {
        let base = self.api_address().ok_or_else(|| Problem::unavailable("the API does not listen"))?;
        Ok(format!("{base}/login/callback"))
    }

    /// Begins a browser's sign-in: where it goes, and the secret that it must bring back.
    pub(crate) async fn begin_sign_in(&self) -> Result<SignInBegun, Problem> {
        let (provider, redirect) = (self.provider()?, self.redirect()?);
        let browser = BrowserSecret::issue(&self.sign_ins.key, self.entropy(), self.now());
        let location = provider.authorization_url(self.now(), &browser, &redirect).await;
        Ok(SignInBegun {
            location: location.map_err(|error| problem(&error))?,
            secret: browser.expose(),
            secs: SIGN_IN_SECS_MAX,
        })
    }

    /// A browser came back from the provider.
    pub(crate) async fn complete_sign_in(&self, secret: &str, back: CameBack) -> Result<SignedIn, Problem> {
        let (provider, redirect) = (self.provider()?, self.redirect()?);
        let stranger = || problem(&SignInError::Stranger);
        let browser = BrowserSecret::accept(&self.sign_ins.key, secret, self.now()).ok_or_else(stranger)?;
        let state = back.state.unwrap_or_default();
        if !browser.is_of(&state) || back.iss.as_ref().is_some_and(|issuer| issuer != provider.issuer()) {
            return Err(stranger());
        }
        if let Some(error) = back.error {
            let description = back.error_description.unwrap_or_default();
            return Err(problem(&SignInError::Refused(format!("{error} {description}"))));
        }
        let busy = |_| Problem::too_many("too many people are signing in at once");
        let _place = self.sign_ins.exchanges.try_acquire().map_err(busy)?;
        let code = back.code.unwrap_or_default();
        let person = provider.complete(self.now(), &browser, &redirect, &state, &code).await;
        let view = self.welcome(&provider, person.map_err(|error| problem(&error))?, Way::Browser).await?;
        Ok(SignedIn { token: view.token, secs: self.session_secs() })
    }

    fn session_secs(&self) -> u32 {
        let loaded = self.loaded.load();
        let most = loaded.config.limits.token_secs_max;
        loaded.config.oidc.as_ref().map_or(most, |oidc| oidc.session_secs.min(most))
    }

    /// Takes in somebody whom the provider let in.
    async fn welcome(&self, provider: &Provider, person: Person, way: Way) -> Result<TokenView, Problem> {
        let _changing = self.sign_ins.changing.lock().await;
        let now = self.now();
        let until = in_seconds(now, self.session_secs().into());
        let Person { user, subject, groups, refresh } = person;
        let fingerprint = provider.fingerprint();
        // While the person was at the provider, the configuration may have named another.
        if self.provider()?.fingerprint() != fingerprint {
            return Err(problem(&SignInError::Stranger));
        }
        let visit = Visit { subject: subject.clone(), provider: fingerprint, groups, until };
        let other_names = self.visitors.also_called(&user, &visit);
        for name in other_names.iter().chain([&user]) {
            self.must_not_be_shut(name)?;
        }
        for name in other_names {
            self.turned_away(&name, "the provider calls the person by another name now").await;
        }
        let before = self.visitors.visit(&user, now);
        if before.is_some_and(|before| before.subject != subject) || lock(&self.sign_ins.leaving).contains(&user) {
            // Somebody else had this name, or what they left behind is not forgotten yet.
            self.turned_away(&user, "the provider calls another person by this name now").await;
            if lock(&self.sign_ins.leaving).contains(&user) {
                return Err(unavailable("the tokens of whoever had this name before cannot be forgotten"));
            }
        }
        self.take_in(&user, visit).await.map_err(unavailable)?;
        let view = self.sign_in(&user, way, Some(subject.clone()), until).await?;
        if let Some(refresh) = refresh {
            let question = Question { until, user, subject, refresh, asked: now };
            lock(&self.sign_ins.questions).insert(token_digest(&view.token), question);
        }
        Ok(view)
    }

    /// What a provider says of somebody counts from now on; what it said before is over, and with it what stood on that.
    async fn take_in(&self, user: &UserName, visit: Visit) -> anyhow::Result<()> {
        let Visit { subject, provider, groups, until } = visit.clone();
        self.store.keep_visit(&KeptVisit { user: user.clone(), subject, provider, groups, until }).await?;
        let before = self.groups(&Identity::User(user.clone())).unwrap_or_default();
        let is_known = self.visitors.visit(user, self.now()).is_some();
        self.visitors.welcome(user, visit);
        let after = self.groups(&Identity::User(user.clone())).unwrap_or_default();
        if is_known && before != after {
            self.recheck_approvals();
            self.cut_person(user, "the groups of the person it is for changed");
        }
        Ok(())
    }

    /// Nobody is signed in who was shut.
    pub(crate) fn must_not_be_shut(&self, user: &UserName) -> Result<(), Problem> {
        match self.lockdown_of(user) {
            None => Ok(()),
            Some(lockdown) => Err(Problem::forbidden(
                format!("{user} is shut by a lockdown: {}", lockdown.reason),
                format!("An administrator of the gateway lifts it: `gatehouse lockdown lift {}`", lockdown.scope),
            )),
        }
    }

    /// Records that somebody proved who they are, and makes their token.
    pub(crate) async fn sign_in(
        &self,
        user: &UserName,
        way: Way,
        subject: Option<String>,
        until: Timestamp,
    ) -> Result<TokenView, Problem> {
        // Without a provider that vouches for them, only the configuration does.
        if subject.is_none() && !self.loaded.load().people.users.contains_key(user) {
            let title = format!("{user} is not under [users] in the configuration");
            return Err(Problem::forbidden(
                title,
                "People of the provider sign in there: `gatehouse login`, or /login",
            ));
        }
        let groups = self.groups(&Identity::User(user.clone())).map_err(unavailable)?;
        let (token, sha256) = Token::issue(self.entropy());
        let entry = PersonSignedIn {
            user: format!("user:{user}"),
            way: way.as_str().into(),
            subject: subject.clone(),
            groups: groups.iter().map(GroupName::to_string).collect(),
            expires: until.to_string(),
        };
        self.gate.ledger().record(self.now(), entry).map_err(unavailable)?;
        let kept = KeptToken { sha256, user: user.clone(), kind: way.token_kind(), subject, expires: until };
        self.store.keep_token(&kept, self.now()).await.map_err(unavailable)?;
        Ok(TokenView { token: String::from_utf8_lossy(token.0.expose()).into_owned(), expires: until.to_string() })
    }

    /// Whose token this is. One that was issued for the other use is nobody's; so is one of a person who is not known any
    /// more, or by another's name, or shut.
    pub(crate) async fn user_of(&self, token: &str, shown: Shown) -> Result<Option<UserName>, Problem> {
        let now = self.now();
        let kept = self.store.token(&token_digest(token), now).await.map_err(unavailable)?;
        let Some(kept) = kept.filter(|kept| kept.kind == kind_of(shown)) else { return Ok(None) };
        let is_known = match &kept.subject {
            None => self.loaded.load().people.users.contains_key(&kept.user),
            Some(subject) => self.visitors.visit(&kept.user, now).is_some_and(|visit| visit.subject == *subject),
        };
        Ok(Some(kept.user).filter(|user| is_known && self.lockdown_of(user).is_none()))
    }

    /// Ends a token. For a browser it says where else to sign out.
    pub(crate) async fn sign_out(&self, token: &str, shown: Shown) -> Result<Option<String>, Problem> {
        let sha256 = token_digest(token);
        let kept = self.store.token(&sha256, self.now()).await.map_err(unavailable)?;
        let Some(kept) = kept.filter(|kept| kept.kind == kind_of(shown)) else { return Ok(None) };
        self.store.forget_token(&sha256).await.map_err(unavailable)?;
        lock(&self.sign_ins.questions).remove(&sha256);
        self.watchers.cut(&Caller::User(kept.user.clone(), shown));
        let entry = PersonSignedOut { user: format!("user:{}", kept.user), cause: "signed out".into() };
        // It is over whether or not that can be recorded.
        let _ = self.gate.ledger().record(self.now(), entry);
        // Whom no provider let in has nothing to sign out of there.
        let provider = self.loaded.load().provider.clone().filter(|_| kept.subject.is_some());
        let after = self.api_address().map(|base| format!("{base}/"));
        Ok(provider.zip(after).and_then(|(provider, after)| provider.end_session_url(&after)))
    }

    /// Begins a sign-in in a terminal, and waits for its end beside it.
    pub(crate) async fn begin_device_login(self: &Arc<Self>) -> Result<DeviceLoginView, Problem> {
        let provider = self.provider()?;
        if self.loaded.load().config.oidc.as_ref().is_some_and(|oidc| !oidc.device_login) {
            return Err(Problem::not_here(
                "this gateway signs nobody in by a code",
                "Sign in with a browser, at /login",
            ));
        }
        let now = self.now();
        let (handle, digest) = Token::issue(self.entropy());
        {
            let mut devices = lock(&self.sign_ins.devices);
            devices.retain(|_, login| now < login.expires);
            if devices.len() >= DEVICE_LOGINS_MAX {
                return Err(Problem::too_many("too many people are signing in at once"));
            }
            // The place is taken before the provider is asked, so that no more than so many ask it.
            devices.insert(
                digest,
                DeviceLogin { expires: in_seconds(now, DEVICE_BEGIN_SECS_MAX), asked: now, outcome: None },
            );
        }
        let login = match provider.begin_device(now).await {
            Ok(login) => login,
            Err(error) => {
                lock(&self.sign_ins.devices).remove(&digest);
                return Err(problem(&error));
            }
        };
        let expires_in = u32::try_from(login.expires_in().as_secs()).unwrap_or(u32::MAX).min(DEVICE_LOGIN_SECS_MAX);
        let expires = in_seconds(now, expires_in.into());
        lock(&self.sign_ins.devices).insert(digest, DeviceLogin { expires, asked: self.now(), outcome: None });
        let view = DeviceLoginView {
            handle: String::from_utf8_lossy(handle.0.expose()).into_owned(),
            verification_uri: login.verification_uri().into(),
            verification_uri_complete: login.verification_uri_complete().map(Into::into),
            user_code: login.user_code().into(),
            expires_in,
        };
        tokio::spawn(self.clone().wait_for_device(provider, login, digest));
        Ok(view)
    }

    /// Waits until a person has typed their code, for as long as somebody asks what became of it.
    async fn wait_for_device(
        self: Arc<Self>,
        provider: Arc<Provider>,
        login: gatehouse_identity::DeviceLogin,
        digest: Digest,
    ) {
        let person = tokio::select! {
            person = provider.complete_device(&login, tokio::time::sleep, || self.now()) => person,
            () = self.forsaken(&digest) => return drop(lock(&self.sign_ins.devices).remove(&digest)),
        };
        let outcome = match person {
            Ok(person) => self.welcome(&provider, person, Way::Device).await,
            Err(error) => Err(problem(&error)),
        };
        if let Some(login) = lock(&self.sign_ins.devices).get_mut(&digest) {
            login.outcome = Some(outcome);
        }
    }

    /// Returns when nobody asks any more what became of a sign-in, or its time is over.
    async fn forsaken(&self, digest: &Digest) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (now, devices) = (self.now(), lock(&self.sign_ins.devices));
            let is_wanted = devices.get(digest).is_some_and(|login| {
                now < login.expires && now.duration_since(login.asked) < SignedDuration::from_secs(DEVICE_SILENCE_SECS)
            });
            if !is_wanted {
                return;
            }
        }
    }

    /// What became of a sign-in in a terminal.
    pub(crate) fn poll_device_login(&self, handle: &str) -> Result<Option<TokenView>, Problem> {
        let digest = token_digest(handle);
        let mut devices = lock(&self.sign_ins.devices);
        let now = self.now();
        let over = || Problem::not_here("this sign-in is over", "Begin anew: gatehouse login");
        let login = devices.get_mut(&digest).filter(|login| now < login.expires).ok_or_else(over)?;
        login.asked = now;
        if login.outcome.is_none() {
            return Ok(None);
        }
        match devices.remove(&digest).and_then(|login| login.outcome) {
            Some(Ok(token)) => Ok(Some(token)),
            Some(Err(problem)) => Err(problem),
            None => Err(over()),
        }
    }

    /// Makes a link that signs somebody's browser in, once.
    pub(crate) fn new_link(&self, user: &UserName) -> Result<LinkView, Problem> {
        let base = self.api_address().ok_or_else(|| {
            Problem::not_here(
                "there is no API that a browser could reach",
                "Add [api] with an address to the configuration",
            )
        })?;
        let now = self.now();
        let expires = in_seconds(now, LINK_SECS);
        let (code, digest) = Token::issue(self.entropy());
        let mut links = lock(&self.sign_ins.links);
        links.retain(|_, (_, expires)| now < *expires);
        if links.len() >= LINKS_MAX {
            return Err(Problem::too_many("too many links wait to be used"));
        }
        links.insert(digest, (user.clone(), expires));
        let code = String::from_utf8_lossy(code.0.expose()).into_owned();
        Ok(LinkView { url: format!("{base}/login/link?code={code}"), expires: expires.to_string() })
    }

    /// A link for the first person of the configuration who administers the gateway, where there is no provider.
    pub(crate) fn first_link(&self) -> Option<(UserName, LinkView)> {
        let loaded = self.loaded.load();
        if loaded.provider.is_some() {
            return None;
        }
        let gateway = || Resource::root(kind::GATEWAY, &loaded.config.gateway.name);
        let administers = |(user, groups): &(&UserName, &BTreeSet<GroupName>)| {
            self.gate.policies().may_administer(user, groups, gateway())
        };
        let (user, _) = loaded.people.users.iter().find(administers)?;
        Some((user.clone(), self.new_link(user).ok()?))
    }

    /// Whom a link signs in, while it is good.
    pub(crate) fn link_user(&self, code: &str) -> Result<UserName, Problem> {
        let links = lock(&self.sign_ins.links);
        let link = links.get(&token_digest(code)).filter(|(_, expires)| self.now() < *expires);
        link.map(|(user, _)| user.clone()).ok_or_else(used_link)
    }

    /// Signs a browser in by a link, which is used up by that.
    pub(crate) async fn use_link(&self, code: &str) -> Result<SignedIn, Problem> {
        let used = lock(&self.sign_ins.links).remove(&token_digest(code));
        let now = self.now();
        let (user, _) = used.filter(|(_, expires)| now < *expires).ok_or_else(used_link)?;
        self.must_not_be_shut(&user)?;
        let secs = self.session_secs();
        let view = self.sign_in(&user, Way::Link, None, in_seconds(now, secs.into())).await?;
        Ok(SignedIn { token: view.token, secs })
    }

    /// Ends what stands on people of whom nothing counts any more: their time is over, or their provider is not that of the
    /// configuration.
    pub(crate) async fn forget_people(&self) {
        for user in self.visitors.lapsed(self.now()) {
            self.turn_away(&user, "the sign-in is over").await;
        }
        let fingerprint = self.loaded.load().provider.as_ref().map(|provider| provider.fingerprint());
        for user in self.visitors.strangers_to(fingerprint.as_deref()) {
            self.turn_away(&user, "the configuration has another provider, or understands it in another way").await;
        }
        let leaving = lock(&self.sign_ins.leaving).clone();
        for user in leaving {
            let _changing = self.sign_ins.changing.lock().await;
            self.forget_tokens(&user).await;
        }
    }

    /// Finds out at the start whether the provider answers as it must: nobody else would before the first sign-in.
    pub(crate) async fn try_provider(&self) {
        let provider = self.loaded.load().provider.clone();
        if let Some(provider) = provider
            && let Err(error) = provider.discover(self.now()).await
        {
            tracing::error!(%error, "nobody can sign in by the provider: see [oidc] in the configuration");
        }
    }

    /// Asks the provider again about those whose time for that is up.
    pub(crate) async fn ask_about_people(&self) {
        let loaded = self.loaded.load_full();
        let (Some(provider), Some(section)) = (&loaded.provider, &loaded.config.oidc) else { return };
        let every = SignedDuration::from_secs(section.refresh_secs.into());
        let due = futures_util::stream::iter(self.sign_ins.due(self.now(), every));
        due.for_each_concurrent(QUESTIONS_MAX, |(sign_in, question)| self.ask_again(provider, sign_in, question)).await;
    }

    async fn ask_again(&self, provider: &Provider, sign_in: Digest, question: Question) {
        let Question { user, subject, refresh, .. } = question;
        let said = match provider.ask_again(self.now(), &subject, &refresh).await {
            Ok(Again { refresh, said }) => {
                if !self.sign_ins.goes_on(&sign_in, Some(refresh)) {
                    return;
                }
                said
            }
            Err(error) => Err(error),
        };
        let person = match said {
            Ok(None) => return,
            Ok(Some(person)) if person.user == user => person,
            Ok(Some(_)) => return self.turn_away(&user, "the provider calls the person by another name now").await,
            Err(SignInError::Provider { issuer, cause }) => {
                tracing::warn!(issuer, cause, %user, "the provider cannot be asked again; who is signed in stays so");
                return;
            }
            Err(error) => return self.end_sign_in(&sign_in, &user, &error.to_string()).await,
        };
        let _changing = self.sign_ins.changing.lock().await;
        // The sign-in may be over since the provider was asked.
        let visit = self.visitors.visit(&user, self.now()).filter(|visit| visit.subject == person.subject);
        let Some(visit) = visit.filter(|_| self.sign_ins.goes_on(&sign_in, None)) else { return };
        if let Err(error) = self.take_in(&user, Visit { groups: person.groups, ..visit }).await {
            tracing::error!(%error, %user, "what the provider says now could not be kept");
        }
    }

    /// One sign-in of a person is over, for the provider says so; and all that stands on the person, if it was the last.
    async fn end_sign_in(&self, sign_in: &Digest, user: &UserName, cause: &str) {
        let _changing = self.sign_ins.changing.lock().await;
        if !self.sign_ins.goes_on(sign_in, None) {
            return;
        }
        if self.sign_ins.was_last(sign_in, user) {
            return self.turned_away(user, cause).await;
        }
        tracing::info!(%user, cause, "one of several sign-ins of a person is over");
        if let Err(error) = self.store.forget_token(sign_in).await {
            tracing::error!(%error, %user, "the token of a sign-in that is over is still in the index");
            lock(&self.sign_ins.leaving).insert(user.clone());
        }
    }

    /// Lets somebody in no more.
    pub(crate) async fn turn_away(&self, user: &UserName, cause: &str) {
        let _changing = self.sign_ins.changing.lock().await;
        self.turned_away(user, cause).await;
    }

    /// Ends all that somebody could show, and what they asked for and approved. Who they are at the provider stays known, so
    /// that they do not come back by another name.
    pub(crate) async fn shut_out(&self, user: &UserName) -> anyhow::Result<()> {
        let _changing = self.sign_ins.changing.lock().await;
        lock(&self.sign_ins.questions).retain(|_, question| question.user != *user);
        lock(&self.sign_ins.links).retain(|_, (whose, _)| whose != user);
        self.gate.desk().withdraw_all_of(self.now(), user);
        self.recheck_approvals();
        self.cut_watchers(user);
        Ok(self.store.forget_tokens(user).await?)
    }

    /// Ends what somebody looks at: whoever may look on comes again.
    fn cut_watchers(&self, user: &UserName) {
        for shown in [Shown::Cookie, Shown::Token] {
            self.watchers.cut(&Caller::User(user.clone(), shown));
        }
    }

    /// All that stood on somebody's sign-in ends. Whoever calls this holds `changing`.
    async fn turned_away(&self, user: &UserName, cause: &str) {
        tracing::info!(%user, cause, "a person is not signed in any more");
        lock(&self.sign_ins.questions).retain(|_, question| question.user != *user);
        self.visitors.forget(user);
        self.gate.desk().withdraw_all_of(self.now(), user);
        self.recheck_approvals();
        self.cut_person(user, "the person it is for is not signed in any more");
        lock(&self.sign_ins.leaving).insert(user.clone());
        self.forget_tokens(user).await;
        let entry = PersonSignedOut { user: format!("user:{user}"), cause: cause.into() };
        // It is over whether or not that can be recorded.
        let _ = self.gate.ledger().record(self.now(), entry);
    }

    /// Forgets the tokens that somebody has by a sign-in that is over. While it cannot, it is tried again.
    async fn forget_tokens(&self, user: &UserName) {
        match self.store.forget_person(user).await {
            Ok(()) => drop(lock(&self.sign_ins.leaving).remove(user)),
            Err(error) => tracing::error!(%error, %user, "tokens of a person who is gone are still in the index"),
        }
    }

    /// Cuts the sessions of a person, those of agents that work for them, and what they look at.
    fn cut_person(&self, user: &UserName, cause: &str) {
        self.cut_watchers(user);
        let Some(engine) = self.engine.get() else { return };
        let denial = Denial::new(
            Reason::TaskEnded,
            format!("the session has ended: {cause}"),
            format!("what {user} may do is not what it was when the session began"),
            "Connect again; where that fails, let the person sign in again",
        );
        let own = Identity::User(user.clone());
        engine.roster.end_where(&denial, |session| {
            let task = self.tasks.task(&session.task, self.now());
            task.is_none_or(|(task, _)| task.identity == own || task.on_behalf_of.as_ref() == Some(user))
        });
    }
}
