//! The control API: REST with a generated OpenAPI document, served on the admin socket and on a TCP address.
//!
//! Knows HTTP and the forms that things take on the wire. What it does it asks [`Control`], so that no handler holds
//! a rule of its own. Wire types live here; inner types are never serialized.

mod caller;
mod cookies;
mod explained;
mod extract;
mod oauth;
mod observed;
mod observing;
mod once;
mod pace;
mod pages;
mod problem;
mod routes;
mod sign_in;
mod ui;
mod views;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use gatehouse_model::UserName;
use jiff::Timestamp;

pub use caller::{Caller, Door, Shown};
pub use explained::{ExplainedAccess, ExplainedColumn, ExplanationView, NewExplanation};
pub use oauth::{Exchange, Exchanged, Issues, OauthError, Shows};
pub use observed::{
    ActivityPart, ActivityView, BacktestChange, BacktestView, ChangeView, CheckpointView, CheckpointsView,
    IdentityActivity, MomentKind, MomentView, NewBacktest, OperationView, ReplayView, RevisionFiles, RevisionView,
    TargetActivity,
};
pub use pace::peer;
pub use problem::Problem;
pub use sign_in::{CameBack, DeviceHandle, DeviceLoginView, LinkView, Me, NewLink, SignInBegun, SignedIn};
pub use views::{
    Answer, AnswerView, AskedView, BudgetView, EndTask, Evidence, GrantedView, IssuedKeyView, KeyView, KillSession,
    LiftLockdown, LockdownView, NewKey, NewLockdown, NewTask, NewToken, PolicyView, RequestView, Selection,
    SessionView, SpentView, StartedTaskView, TargetView, TaskView, TokenView, Version, span, who,
};

/// The largest request body, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The same where policies are in it.
pub const POLICIES_BYTES_MAX: usize = 512 * 1024;
/// The most entries of a listing.
pub const LISTING_ENTRIES_MAX: u32 = 1_000;

/// Which part of a listing is wanted, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// How many entries at most.
    pub limit: u32,
    /// Entries that are older than the one of this number.
    pub before: Option<u64>,
    /// Of this task.
    pub task: Option<&'a str>,
    /// Of this identity, or on its behalf.
    pub identity: Option<&'a str>,
    /// To this target.
    pub target: Option<&'a str>,
    /// In this state.
    pub state: Option<&'a str>,
    /// Of sessions: those that were answered with values of this class, masked or as they are.
    pub class: Option<&'a str>,
    /// Of sessions: those that were opened at this time or later.
    pub since: Option<Timestamp>,
    /// Of sessions: those that were opened at this time or before.
    pub until: Option<Timestamp>,
}

impl Wanted<'_> {
    /// The newest so many.
    pub fn newest(limit: u32) -> Self {
        Self {
            limit,
            before: None,
            task: None,
            identity: None,
            target: None,
            state: None,
            class: None,
            since: None,
            until: None,
        }
    }
}

/// Which operations are looked for, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// How many at most.
    pub limit: u32,
    /// Those whose record is older than the one of this index.
    pub before: Option<u64>,
    /// Of this session.
    pub session: Option<String>,
    /// Of this task.
    pub task: Option<String>,
    /// Of this identity, or on its behalf.
    pub identity: Option<String>,
    /// To this target.
    pub target: Option<String>,
    /// What became of them: `passed`, `approved` or `refused`.
    pub outcome: Option<String>,
    /// Those that touched what is of this class.
    pub class: Option<String>,
    /// Those with this in their statement or its values, in whatever case.
    pub text: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Until this time.
    pub until: Option<Timestamp>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its entries.
    pub entries: Vec<T>,
    /// What `before` is for the next, if there is more.
    pub next: Option<u64>,
}

type Asked<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// What became of a task that was to be started.
pub enum Begun {
    /// It lives.
    Started(Box<StartedTaskView>),
    /// A person is asked.
    Asked(Box<RequestView>),
}

/// What the API does, done by the rest of the gateway.
pub trait Control: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Counts a call of a person over the network, unless they call too often.
    fn count_person(&self, user: &UserName) -> Result<(), Problem>;
    /// The same of somebody who proves nothing.
    fn count_stranger(&self, peer: Option<IpAddr>) -> Result<(), Problem>;
    /// Whether a proxy before the gateway says in `X-Forwarded-For` whom it speaks for.
    fn is_forwarded(&self) -> bool;
    /// Brings work to its end, whether or not anybody waits for it.
    fn drive(&self, work: BoxFuture<'static, ()>);
    /// The gateway's version, and how it stands with its files.
    fn version(&self, caller: Option<&Caller>) -> Version;
    /// Whose token this is. One that was issued for the other use is nobody's.
    fn user_of<'a>(&'a self, token: &'a str, shown: Shown) -> Asked<'a, Option<UserName>>;
    /// Refuses whoever does not administer the gateway.
    fn must_administer(&self, caller: &Caller) -> Result<(), Problem>;
    /// Who calls, as the gateway sees it.
    fn me(&self, caller: &Caller) -> Result<Me, Problem>;
    /// Whether there is a provider to sign in by.
    fn has_provider(&self) -> bool;
    /// Begins a browser's sign-in at the provider.
    fn begin_sign_in(&self) -> Asked<'_, SignInBegun>;
    /// Ends it: the browser came back, with the secret that it was given.
    fn complete_sign_in<'a>(&'a self, secret: &'a str, back: CameBack) -> Asked<'a, SignedIn>;
    /// Begins a sign-in in a terminal.
    fn begin_device_login(&self) -> Asked<'_, DeviceLoginView>;
    /// What became of it; `None` while the person has not signed in.
    fn poll_device_login(&self, handle: &str) -> Result<Option<TokenView>, Problem>;
    /// Makes a link that signs a browser in, once.
    fn new_link<'a>(&'a self, caller: &'a Caller, new: NewLink) -> Asked<'a, LinkView>;
    /// Whom it signs in, while it is good.
    fn link_user(&self, code: &str) -> Result<UserName, Problem>;
    /// Signs a browser in by it.
    fn use_link<'a>(&'a self, code: &'a str) -> Asked<'a, SignedIn>;
    /// Ends a token, and says where a browser goes on to sign out of the provider too.
    fn sign_out<'a>(&'a self, token: &'a str, shown: Shown) -> Asked<'a, Option<String>>;
    /// Whether new sessions can be served: `Err` names what is missing.
    fn ready(&self) -> BoxFuture<'_, Result<(), String>>;
    /// The metrics, in Prometheus' text form.
    fn metrics(&self) -> String;
    /// The newest tasks that the caller has a part in or oversees.
    fn tasks<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asked<'a, Page<TaskView>>;
    /// One task.
    fn task<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, TaskView>;
    /// Starts a task and issues its credential; or asks a person first, where policy says so.
    fn start_task<'a>(&'a self, caller: &'a Caller, new: NewTask) -> Asked<'a, Begun>;
    /// Takes a sign of life of whoever started a task.
    fn heartbeat<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, ()>;
    /// Starts a task for a workload that shows its issuer's token.
    fn exchange(&self, exchange: Exchange) -> BoxFuture<'_, Result<Exchanged, OauthError>>;
    /// Ends the task of a credential, or of a token of its own, that is given back.
    fn give_back<'a>(&'a self, user: Option<&'a str>, password: &'a str) -> BoxFuture<'a, Result<(), OauthError>>;
    /// The keys by which others check the gateway's own tokens (RFC 7517).
    fn token_keys(&self) -> serde_json::Value;
    /// The algorithms that tokens may be signed with.
    fn token_algorithms(&self) -> Vec<String>;
    /// The newest static keys, for administrators.
    fn keys<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asked<'a, Page<KeyView>>;
    /// One static key, likewise.
    fn key<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, KeyView>;
    /// Issues a static key, likewise.
    fn issue_key<'a>(&'a self, caller: &'a Caller, new: NewKey) -> Asked<'a, IssuedKeyView>;
    /// Ends a static key, and the tasks that were started with it; likewise.
    fn revoke_key<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, KeyView>;
    /// Where this API is reached over the network, if it is.
    fn address(&self) -> Option<String>;
    /// Ends a task and cuts its sessions.
    fn end_task<'a>(&'a self, caller: &'a Caller, id: &'a str, end: EndTask) -> Asked<'a, TaskView>;
    /// The newest sessions, likewise.
    fn sessions<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asked<'a, Page<SessionView>>;
    /// One session.
    fn session<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, SessionView>;
    /// Cuts a session.
    fn kill<'a>(&'a self, caller: &'a Caller, id: &'a str, kill: KillSession) -> Asked<'a, SessionView>;
    /// A session's replay, as lines of text: for those who oversee its target.
    fn replay<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, String>;
    /// The same as an HTTP archive.
    fn archive<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, String>;
    /// A part of a session's replay: for those who oversee its target.
    fn moments<'a>(&'a self, caller: &'a Caller, id: &'a str, after: u64, limit: u32) -> Asked<'a, ReplayView>;
    /// Operations on record that the caller has a part in or oversees.
    fn operations<'a>(&'a self, caller: &'a Caller, sought: Sought) -> Asked<'a, Page<OperationView>>;
    /// What went on in the last so many hours, at targets that the caller oversees.
    fn activity<'a>(&'a self, caller: &'a Caller, hours: u32) -> Asked<'a, ActivityView>;
    /// What changes for so many seconds from now on, of what the caller has a part in or oversees.
    fn changes(&self, caller: Caller, secs: u32) -> Result<BoxStream<'static, ChangeView>, Problem>;
    /// The newest requests that the caller oversees or filed.
    fn requests<'a>(&'a self, caller: &'a Caller, wanted: Wanted<'a>) -> Asked<'a, Page<RequestView>>;
    /// One request, likewise.
    fn request<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, RequestView>;
    /// Answers a request.
    fn answer<'a>(&'a self, caller: &'a Caller, id: &'a str, approve: bool, answer: Answer) -> Asked<'a, AnswerView>;
    /// Takes a request of one's own back; as an administrator, any.
    fn withdraw<'a>(&'a self, caller: &'a Caller, id: &'a str) -> Asked<'a, RequestView>;
    /// What is shut.
    fn lockdowns(&self) -> Asked<'_, Vec<LockdownView>>;
    /// Shuts something and cuts its sessions.
    fn lock_down<'a>(&'a self, caller: &'a Caller, new: NewLockdown) -> Asked<'a, LockdownView>;
    /// Opens it again.
    fn lift_lockdown<'a>(&'a self, caller: &'a Caller, lift: LiftLockdown) -> Asked<'a, ()>;
    /// The targets of the configuration; their addresses for those who oversee them.
    fn targets<'a>(&'a self, caller: &'a Caller) -> Asked<'a, Vec<TargetView>>;
    /// The policies in force, for those who oversee a target.
    fn policies<'a>(&'a self, caller: &'a Caller) -> Asked<'a, Vec<PolicyView>>;
    /// Which policies were in force since when, the newest first; likewise.
    fn revisions<'a>(&'a self, caller: &'a Caller) -> Asked<'a, Vec<RevisionView>>;
    /// The files of a revision; likewise.
    fn revision<'a>(&'a self, caller: &'a Caller, revision: &'a str) -> Asked<'a, RevisionFiles>;
    /// What other policies would have said to what is on record, at targets that the caller oversees.
    fn backtest<'a>(&'a self, caller: &'a Caller, new: NewBacktest) -> Asked<'a, BacktestView>;
    /// The journal's newest signed states.
    fn checkpoints<'a>(&'a self, caller: &'a Caller) -> Asked<'a, CheckpointsView>;
    /// What the gateway would make of a statement, for those who oversee its target.
    fn explain<'a>(&'a self, caller: &'a Caller, new: NewExplanation) -> Asked<'a, ExplanationView>;
    /// What a target says of itself, as text that tests of policies read; likewise.
    fn catalog<'a>(&'a self, caller: &'a Caller, target: &'a str) -> Asked<'a, String>;
    /// Issues a person's token.
    fn issue_token<'a>(&'a self, caller: &'a Caller, new: NewToken) -> Asked<'a, TokenView>;
    /// An evidence bundle.
    fn evidence<'a>(&'a self, caller: &'a Caller, evidence: Evidence) -> Asked<'a, Vec<u8>>;
}

/// The routes behind one door.
pub fn router(control: Arc<dyn Control>, door: Door) -> Router {
    routes::router(control, door)
}

/// The OpenAPI document.
pub fn openapi() -> String {
    routes::openapi()
}
