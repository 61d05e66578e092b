//! Who is signed in: sign-ins that are under way, what providers say of people, and the ends of both.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_api::{CameBack, DeviceLoginView, LinkView, Problem, Shown, SignInBegun, SignedIn, TokenView};
use gatehouse_engine::House as _;
use gatehouse_identity::{BrowserSecret, Person, Provider, SignInError, Token, Visit, token_digest};
use gatehouse_journal::{PersonSignedIn, PersonSignedOut};
use gatehouse_model::{Denial, GroupName, Identity, Reason, Resource, Secret, UserName, kind};
use gatehouse_store::{KeptToken, KeptVisit, TokenKind};
use jiff::{SignedDuration, Timestamp};

use crate::state::State;

/// Sign-ins in terminals that may be under way at a time.
const DEVICE_LOGINS_MAX: usize = 100;
/// One-time links that may be good at a time.
const LINKS_MAX: usize = 100;
/// How long a one-time link is good, in seconds.
const LINK_SECS: i64 = 900;

type Digest = [u8; 32];

/// What is known of sign-ins in memory alone: a restart ends what is under way here, and nothing that is done.
#[derive(Default)]
pub(crate) struct SignIns {
    devices: Mutex<HashMap<Digest, DeviceLogin>>,
    links: Mutex<HashMap<Digest, (UserName, Timestamp)>>,
    /// With what the provider can be asked again about people.
    questions: Mutex<HashMap<UserName, Question>>,
}

impl SignIns {
    /// Takes in with what the provider can be asked again about somebody, if it gave that.
    fn may_ask(&self, user: &UserName, question: Option<Question>) {
        let mut questions = lock(&self.questions);
        match question {
            Some(question) => drop(questions.insert(user.clone(), question)),
            None => drop(questions.remove(user)),
        }
    }
}

struct DeviceLogin {
    expires: Timestamp,
    /// What became of it.
    outcome: Option<Result<TokenView, String>>,
}

struct Question {
    subject: String,
    refresh: Secret,
    asked: Timestamp,
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

/// What tokens of a kind are shown as.
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
        SignInError::Refused(_) => {
            Problem::forbidden("the provider did not let you in", "Begin anew, or ask whoever runs the provider")
        }
        SignInError::Token(_) | SignInError::Claim { .. } | SignInError::Groups => Problem::forbidden(
            "the provider does not say who you are in a way that counts here",
            "Ask an administrator of the gateway: its log says what is missing",
        ),
    }
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
        let (secret, _) = Token::issue(self.entropy());
        let secret = String::from_utf8_lossy(secret.0.expose()).into_owned();
        let browser = BrowserSecret::new(&secret);
        let location = provider.authorization_url(self.now(), &browser, &redirect).await;
        Ok(SignInBegun { location: location.map_err(|error| problem(&error))?, secret })
    }

    /// A browser came back from the provider.
    pub(crate) async fn complete_sign_in(&self, secret: &str, back: CameBack) -> Result<SignedIn, Problem> {
        let (provider, redirect) = (self.provider()?, self.redirect()?);
        if back.iss.as_ref().is_some_and(|issuer| issuer != provider.issuer()) {
            return Err(problem(&SignInError::Stranger));
        }
        if let Some(error) = back.error {
            let description = back.error_description.unwrap_or_default();
            return Err(problem(&SignInError::Refused(format!("{error} {description}"))));
        }
        let (state, code) = (back.state.unwrap_or_default(), back.code.unwrap_or_default());
        let browser = BrowserSecret::new(secret);
        let person = provider.complete(self.now(), &browser, &redirect, &state, &code).await;
        self.browser_session(person.map_err(|error| problem(&error))?).await
    }

    async fn browser_session(&self, person: Person) -> Result<SignedIn, Problem> {
        let view = self.welcome(person, Way::Browser).await?;
        Ok(SignedIn { token: view.token, secs: self.session_secs() })
    }

    fn session_secs(&self) -> u32 {
        let loaded = self.loaded.load();
        let most = loaded.config.limits.token_secs_max;
        loaded.config.oidc.as_ref().map_or(most, |oidc| oidc.session_secs.min(most))
    }

    /// Takes in somebody whom the provider let in.
    async fn welcome(&self, person: Person, way: Way) -> Result<TokenView, Problem> {
        let now = self.now();
        let until = in_seconds(now, self.session_secs().into());
        let Person { user, subject, groups, refresh } = person;
        self.must_not_be_shut(&user)?;
        self.take_in(&user, groups, until).await.map_err(unavailable)?;
        self.sign_ins.may_ask(&user, refresh.map(|refresh| Question { subject: subject.clone(), refresh, asked: now }));
        self.sign_in(&user, way, Some(subject), until).await
    }

    /// What a provider says of somebody counts from now on; what it said before is over, and with it what stood on that.
    async fn take_in(&self, user: &UserName, groups: BTreeSet<GroupName>, until: Timestamp) -> anyhow::Result<()> {
        self.store.keep_visit(&KeptVisit { user: user.clone(), groups: groups.clone(), until }).await?;
        if self.visitors.welcome(user, Visit { groups, until }) {
            self.cut_person(user, "the groups of the person it is for changed");
        }
        Ok(())
    }

    /// Nobody is signed in who was shut.
    pub(crate) fn must_not_be_shut(&self, user: &UserName) -> Result<(), Problem> {
        if self.is_shut(user) {
            return Err(Problem::forbidden(
                format!("{user} is shut by a lockdown"),
                "An administrator of the gateway lifts it: `gatehouse lockdown ls`",
            ));
        }
        Ok(())
    }

    /// Records that somebody proved who they are, and makes their token.
    pub(crate) async fn sign_in(
        &self,
        user: &UserName,
        way: Way,
        subject: Option<String>,
        until: Timestamp,
    ) -> Result<TokenView, Problem> {
        let groups = self.groups(&Identity::User(user.clone())).map_err(unavailable)?;
        let (token, sha256) = Token::issue(self.entropy());
        let entry = PersonSignedIn {
            user: format!("user:{user}"),
            way: way.as_str().into(),
            subject,
            groups: groups.iter().map(GroupName::to_string).collect(),
            expires: until.to_string(),
        };
        self.gate.ledger().record(self.now(), entry).map_err(unavailable)?;
        let kept = KeptToken { sha256, user: user.clone(), kind: way.token_kind(), expires: until };
        self.store.keep_token(&kept, self.now()).await.map_err(unavailable)?;
        Ok(TokenView { token: String::from_utf8_lossy(token.0.expose()).into_owned(), expires: until.to_string() })
    }

    /// Ends a token. For a browser it says where else to sign out.
    pub(crate) async fn sign_out(&self, token: &str, shown: Shown) -> Result<Option<String>, Problem> {
        let sha256 = token_digest(token);
        let kept = self.store.token(&sha256, self.now()).await.map_err(unavailable)?;
        let Some(kept) = kept.filter(|kept| kept.kind == kind_of(shown)) else { return Ok(None) };
        self.store.forget_token(&sha256).await.map_err(unavailable)?;
        let entry = PersonSignedOut { user: format!("user:{}", kept.user), cause: "signed out".into() };
        // It is over whether or not that can be recorded.
        let _ = self.gate.ledger().record(self.now(), entry);
        let provider = self.loaded.load().provider.clone();
        let after = self.api_address().map(|base| format!("{base}/"));
        Ok(provider.zip(after).and_then(|(provider, after)| provider.end_session_url(&after)))
    }

    /// Begins a sign-in in a terminal, and waits for its end beside it.
    pub(crate) async fn begin_device_login(self: &Arc<Self>) -> Result<DeviceLoginView, Problem> {
        let provider = self.provider()?;
        let now = self.now();
        let (handle, digest) = Token::issue(self.entropy());
        {
            let mut devices = lock(&self.sign_ins.devices);
            devices.retain(|_, login| now < login.expires);
            if devices.len() >= DEVICE_LOGINS_MAX {
                return Err(Problem::too_many("too many people are signing in at once"));
            }
            // The place is taken before the provider is asked, so that no more than so many ask it.
            devices.insert(digest, DeviceLogin { expires: in_seconds(now, 60), outcome: None });
        }
        let login = match provider.begin_device(now).await {
            Ok(login) => login,
            Err(error) => {
                lock(&self.sign_ins.devices).remove(&digest);
                return Err(problem(&error));
            }
        };
        let expires_in = login.expires_in().as_secs().min(3600);
        let expires = in_seconds(now, expires_in.try_into().unwrap_or(3600));
        lock(&self.sign_ins.devices).insert(digest, DeviceLogin { expires, outcome: None });
        let view = DeviceLoginView {
            handle: String::from_utf8_lossy(handle.0.expose()).into_owned(),
            verification_uri: login.verification_uri().into(),
            verification_uri_complete: login.verification_uri_complete().map(Into::into),
            user_code: login.user_code().into(),
            expires_in: expires_in.try_into().unwrap_or(u32::MAX),
        };
        let state = self.clone();
        tokio::spawn(async move {
            let person = provider.complete_device(&login, tokio::time::sleep, || state.now()).await;
            let outcome = match person {
                Ok(person) => state.welcome(person, Way::Device).await,
                Err(error) => Err(problem(&error)),
            };
            if let Some(login) = lock(&state.sign_ins.devices).get_mut(&digest) {
                login.outcome = Some(outcome.map_err(|problem| problem.title));
            }
        });
        Ok(view)
    }

    /// What became of a sign-in in a terminal.
    pub(crate) fn poll_device_login(&self, handle: &str) -> Result<Option<TokenView>, Problem> {
        let digest = token_digest(handle);
        let mut devices = lock(&self.sign_ins.devices);
        let now = self.now();
        let over = || Problem::not_here("this sign-in is over", "Begin anew: gatehouse login");
        let login = devices.get(&digest).filter(|login| now < login.expires).ok_or_else(over)?;
        if login.outcome.is_none() {
            return Ok(None);
        }
        match devices.remove(&digest).and_then(|login| login.outcome) {
            Some(Ok(token)) => Ok(Some(token)),
            Some(Err(title)) => Err(Problem::forbidden(title, "Begin anew: gatehouse login")),
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

    /// Signs a browser in by a link, which is used up by that.
    pub(crate) async fn use_link(&self, code: &str) -> Result<SignedIn, Problem> {
        let used = lock(&self.sign_ins.links).remove(&token_digest(code));
        let now = self.now();
        let (user, _) = used.filter(|(_, expires)| now < *expires).ok_or_else(|| {
            Problem::forbidden(
                "this link was used already, or is too old",
                "Have another made at the gateway's machine: gatehouse login --as user:NAME --link",
            )
        })?;
        self.must_not_be_shut(&user)?;
        let secs = self.session_secs();
        let view = self.sign_in(&user, Way::Link, None, in_seconds(now, secs.into())).await?;
        Ok(SignedIn { token: view.token, secs })
    }

    /// Forgets people of whom nothing counts any more, and asks the provider again about those whose time for that is up.
    pub(crate) async fn look_after_people(&self) {
        let now = self.now();
        for user in self.visitors.lapse(now) {
            lock(&self.sign_ins.questions).remove(&user);
            if let Err(error) = self.store.forget_person(&user).await {
                tracing::warn!(%error, "what a provider said of a person is over, but still in the index");
            }
            self.cut_person(&user, "the person it is for is not signed in any more");
        }
        let loaded = self.loaded.load_full();
        let (Some(provider), Some(section)) = (&loaded.provider, &loaded.config.oidc) else { return };
        let every = SignedDuration::from_secs(section.refresh_secs.into());
        let due = {
            let mut questions = lock(&self.sign_ins.questions);
            let due = questions.iter_mut().find(|(_, question)| now.duration_since(question.asked) >= every);
            due.map(|(user, question)| {
                question.asked = now;
                (user.clone(), question.subject.clone(), question.refresh.clone())
            })
        };
        if let Some((user, subject, refresh)) = due {
            self.ask_again(provider, &user, &subject, &refresh).await;
        }
    }

    async fn ask_again(&self, provider: &Provider, user: &UserName, subject: &str, refresh: &Secret) {
        let again = match provider.ask_again(self.now(), subject, refresh).await {
            Ok(again) => again,
            Err(SignInError::Provider { issuer, cause }) => {
                tracing::warn!(issuer, cause, %user, "the provider cannot be asked again; who is signed in stays so");
                return;
            }
            Err(error) => return self.turn_away(user, &error.to_string()).await,
        };
        if let Some(question) = lock(&self.sign_ins.questions).get_mut(user) {
            question.refresh = again.refresh;
        }
        let Some(person) = again.person else { return };
        if person.user != *user {
            return self.turn_away(user, "the provider calls the person by another name now").await;
        }
        let until = self.visitors.until(user).unwrap_or_else(|| self.now());
        if let Err(error) = self.take_in(user, person.groups, until).await {
            tracing::error!(%error, %user, "what the provider says now could not be kept");
        }
    }

    /// The provider lets somebody in no more: all that stood on their sign-in ends.
    async fn turn_away(&self, user: &UserName, cause: &str) {
        tracing::warn!(%user, cause, "the provider lets a person in no more");
        lock(&self.sign_ins.questions).remove(user);
        self.visitors.forget(user);
        self.cut_person(user, "the person it is for is not let in any more");
        if let Err(error) = self.store.forget_person(user).await {
            tracing::error!(%error, %user, "the tokens of a person who is let in no more are still in the index");
        }
        let entry = PersonSignedOut { user: format!("user:{user}"), cause: cause.into() };
        // It is over whether or not that can be recorded.
        let _ = self.gate.ledger().record(self.now(), entry);
    }

    /// Cuts the sessions of a person, and those of agents that work for them.
    fn cut_person(&self, user: &UserName, cause: &str) {
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
