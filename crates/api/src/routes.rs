//! The routes: each reads its input, asks [`Control`], and writes its output.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use gatehouse_model::Identity;
use serde::Deserialize;
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder, Responses};
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use crate::caller::{Caller, Door};
use crate::explained::{ExplanationView, NewExplanation};
use crate::extract::{Json, Path, Query};
use crate::once::{Calls, once};
use crate::problem::{PROBLEM, Problem};
use crate::views::{
    Answer, AnswerView, EndTask, Evidence, IssuedKeyView, KeyView, KillSession, LiftLockdown, LockdownView, NewKey,
    NewLockdown, NewTask, NewToken, PolicyView, RequestView, SessionView, StartedTaskView, TargetView, TaskView,
    TokenView, Version,
};
use crate::{
    BODY_BYTES_MAX, Begun, Control, LISTING_ENTRIES_MAX, POLICIES_BYTES_MAX, Page, Wanted, oauth, observing, pages,
    sign_in, ui,
};

/// The states that things are in.
const TASK_STATES: [&str; 5] = ["live", "done", "expired", "revoked", "abandoned"];
const SESSION_STATES: [&str; 2] = ["live", "ended"];
const REQUEST_STATES: [&str; 6] = ["open", "approved", "denied", "used", "withdrawn", "expired"];
const KEY_STATES: [&str; 3] = ["good", "revoked", "expired"];

/// How soon to ask again for a task that a person must approve, in seconds.
pub(crate) const RETRY_SECS: u32 = 5;

/// What every handler has.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) control: Arc<dyn Control>,
    pub(crate) door: Door,
    pub(crate) calls: Arc<Calls>,
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Gatehouse control API",
    description = "Tasks, requests, sessions, targets, policies and evidence. Errors are RFC 9457 problem documents."
))]
struct Document;

fn api() -> OpenApiRouter<Served> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(version))
        .routes(routes!(tasks, start_task))
        .routes(routes!(task))
        .routes(routes!(end_task))
        .routes(routes!(heartbeat))
        .routes(routes!(sessions))
        .routes(routes!(session))
        .routes(routes!(kill))
        .routes(routes!(replay))
        .routes(routes!(archive))
        .routes(routes!(observing::moments))
        .routes(routes!(observing::operations))
        .routes(routes!(observing::activity))
        .routes(routes!(observing::events))
        .routes(routes!(observing::revisions))
        .routes(routes!(observing::revision))
        .routes(routes!(observing::backtest).layer(DefaultBodyLimit::max(POLICIES_BYTES_MAX)))
        .routes(routes!(observing::checkpoints))
        .routes(routes!(requests))
        .routes(routes!(request))
        .routes(routes!(approve))
        .routes(routes!(deny))
        .routes(routes!(withdraw))
        .routes(routes!(lockdowns, lock_down))
        .routes(routes!(lift_lockdown))
        .routes(routes!(targets))
        .routes(routes!(catalog))
        .routes(routes!(policies))
        .routes(routes!(explain))
        .routes(routes!(issue_token))
        .routes(routes!(evidence))
        .routes(routes!(keys, issue_key))
        .routes(routes!(key))
        .routes(routes!(revoke_key))
        .routes(routes!(oauth::token))
        .routes(routes!(oauth::revoke))
        .routes(routes!(oauth::metadata))
        .routes(routes!(oauth::jwks))
        .routes(routes!(sign_in::me))
        .routes(routes!(sign_in::device_login))
        .routes(routes!(sign_in::device_poll))
        .routes(routes!(sign_in::end_token))
        .routes(routes!(sign_in::new_link))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

pub(crate) fn router(control: Arc<dyn Control>, door: Door) -> Router {
    let (router, _) = api().split_for_parts();
    let served = Served { control, door, calls: Arc::default() };
    let router = ui::PATHS.iter().fold(router, |router, path| router.route(path, get(ui::page)));
    router
        .route("/assets/{*name}", get(ui::asset))
        .route("/favicon.svg", get(ui::icon))
        .route("/style.css", get(pages::style))
        .route("/login", get(sign_in::login))
        .route("/login/callback", get(sign_in::callback))
        .route("/login/link", get(sign_in::link).post(sign_in::use_link))
        .route("/logout", post(sign_in::logout))
        .fallback(ui::nowhere)
        .method_not_allowed_fallback(|| async {
            let title = "this is not done with what is here";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, title, "docs/openapi.json says what is")
        })
        .layer(from_fn_with_state(served.clone(), once))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

pub(crate) fn openapi() -> String {
    let (_, mut document) = api().split_for_parts();
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.post].into_iter().flatten();
        operations.for_each(|operation| say_problems(path, &mut operation.responses));
    }
    document.to_pretty_json().unwrap_or_default()
}

/// Problems have a content type of their own, and any call may meet one: a limit, a token that ended.
fn say_problems(path: &str, responses: &mut Responses) {
    let problem = Ref::from_schema_name("Problem");
    for response in responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = |content: &RefOr<Content>| match content {
            RefOr::T(content) => content.schema == Some(RefOr::Ref(problem.clone())),
            RefOr::Ref(_) => false,
        };
        if let Some(content) = response.content.get("application/json").filter(|content| is_problem(content)).cloned() {
            response.content.clear();
            response.content.insert(PROBLEM.into(), content);
        }
    }
    if path.starts_with("/api/") {
        let any = ResponseBuilder::new().description("What is wrong, and what to do about it.");
        let any = any.content(PROBLEM, Content::new(Some(problem))).build();
        responses.responses.insert("default".into(), RefOr::T(any));
    }
}

/// Which part of a listing is wanted. What comes next, the header `Link` says (RFC 8288).
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// How many entries at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Entries that are older than those before: a number that came with them in `Link`.
    before: Option<u64>,
    /// Only what belongs to this task.
    task: Option<String>,
    /// Only what this identity does or asks for, or another on its behalf: `user:NAME` or `agent:NAME`.
    identity: Option<String>,
    /// Only what goes to this target.
    target: Option<String>,
    /// Only what is in this state. Tasks are `live`, `done`, `expired`, `revoked` or `abandoned`; sessions `live` or `ended`; requests
    /// `open`, `approved`, `denied`, `used`, `withdrawn` or `expired`; static keys `good`, `revoked` or `expired`.
    state: Option<String>,
    /// Of sessions: only those that were answered with values of this class, masked or as they are.
    class: Option<String>,
    /// Of sessions: only those that were opened at this time or later (RFC 3339).
    since: Option<String>,
    /// Of sessions: only those that were opened at this time or before (RFC 3339).
    until: Option<String>,
}

impl Listing {
    /// What is wanted, of things that can be in these states.
    fn wanted(&self, states: &[&str]) -> Result<Wanted<'_>, Problem> {
        let limit = self.limit();
        if !(1..=LISTING_ENTRIES_MAX).contains(&limit) {
            return Err(Problem::bad_request(format!("`limit` is 1 to {LISTING_ENTRIES_MAX}")));
        }
        observing::must_be_a_place("before", self.before)?;
        let is_of_sessions = self.class.is_some() || self.since.is_some() || self.until.is_some();
        if is_of_sessions && states != SESSION_STATES {
            return Err(Problem::bad_request("`class`, `since` and `until` are for sessions"));
        }
        if let Some(state) = self.state.as_deref().filter(|state| !states.contains(state)) {
            return Err(Problem::bad_request(format!("`{state}` is no state of these: {}", states.join(", "))));
        }
        if let Some(Err(error)) = self.identity.as_deref().map(Identity::parse) {
            return Err(Problem::bad_request(error.to_string()));
        }
        Ok(Wanted {
            limit,
            before: self.before,
            task: self.task.as_deref(),
            identity: self.identity.as_deref(),
            target: self.target.as_deref(),
            state: self.state.as_deref(),
            class: self.class.as_deref(),
            since: observing::time("since", self.since.as_deref())?,
            until: observing::time("until", self.until.as_deref())?,
        })
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(100)
    }

    /// A part of a listing, and where the next one is.
    fn answer<T>(&self, path: &str, page: Page<T>) -> Listed<T> {
        let filters = [
            ("task", self.task.clone()),
            ("identity", self.identity.clone()),
            ("target", self.target.clone()),
            ("state", self.state.clone()),
            ("class", self.class.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("limit", Some(self.limit().to_string())),
        ];
        listed(path, &filters, page)
    }
}

/// A part of a listing, with where the next one is.
pub(crate) fn listed<T>(path: &str, filters: &[(&str, Option<String>)], page: Page<T>) -> Listed<T> {
    let mut headers = HeaderMap::new();
    if let Some(before) = page.next {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in filters.iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
            query.append_pair(name, value);
        }
        query.append_pair("before", &before.to_string());
        let link = HeaderValue::try_from(format!("<{path}?{}>; rel=\"next\"", query.finish()));
        headers.extend(link.ok().map(|link| (header::LINK, link)));
    }
    (headers, Json(page.entries))
}

pub(crate) type Listed<T> = (HeaderMap, Json<Vec<T>>);

pub(crate) type Answered<T> = Result<Json<T>, Problem>;

/// The gateway's version, and whether its files are in force as they stand.
#[utoipa::path(get, path = "/api/v1/version", responses((status = 200, body = Version)))]
async fn version(State(served): State<Served>, caller: Result<Caller, Problem>) -> Json<Version> {
    Json(served.control.version(caller.as_ref().ok()))
}

/// The newest tasks.
#[utoipa::path(get, path = "/api/v1/tasks", params(Listing), responses((status = 200, body = Vec<TaskView>), (status = 401, body = Problem)))]
async fn tasks(
    State(served): State<Served>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<Listed<TaskView>, Problem> {
    served.control.tasks(&caller, listing.wanted(&TASK_STATES)?).await.map(|page| listing.answer("/api/v1/tasks", page))
}

/// Starts a task and issues its credential: for anybody at the admin socket; over the network for oneself, or for an agent
/// on one's own behalf, where policy permits `start`. Where policy holds it, 202 says which request was filed; the same
/// call starts the task once that is approved.
#[utoipa::path(post, path = "/api/v1/tasks", request_body = NewTask, responses((status = 201, body = StartedTaskView), (status = 202, body = RequestView), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn start_task(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewTask>,
) -> Result<Response, Problem> {
    Ok(match served.control.start_task(&caller, new).await? {
        Begun::Started(started) => {
            (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(started)).into_response()
        }
        Begun::Asked(request) => {
            let headers = [
                (header::LOCATION, format!("/api/v1/requests/{}", request.id)),
                (header::RETRY_AFTER, RETRY_SECS.to_string()),
            ];
            (StatusCode::ACCEPTED, headers, Json(request)).into_response()
        }
    })
}

/// One task.
#[utoipa::path(get, path = "/api/v1/tasks/{id}", params(("id" = String, Path)), responses((status = 200, body = TaskView), (status = 404, body = Problem)))]
async fn task(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<TaskView> {
    served.control.task(&caller, &id).await.map(Json)
}

/// Ends a task and cuts its sessions: one's own, or as an administrator any.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/end", params(("id" = String, Path)), request_body = EndTask, responses((status = 200, body = TaskView), (status = 404, body = Problem)))]
async fn end_task(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
    Json(end): Json<EndTask>,
) -> Answered<TaskView> {
    served.control.end_task(&caller, &id, end).await.map(Json)
}

/// Says that whoever started a task is still there: of one's own, or as an administrator of any.
#[utoipa::path(post, path = "/api/v1/tasks/{id}/heartbeat", params(("id" = String, Path)), responses((status = 204), (status = 409, body = Problem)))]
async fn heartbeat(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    served.control.heartbeat(&caller, &id).await.map(|()| StatusCode::NO_CONTENT)
}

/// The newest sessions.
#[utoipa::path(get, path = "/api/v1/sessions", params(Listing), responses((status = 200, body = Vec<SessionView>)))]
async fn sessions(
    State(served): State<Served>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<Listed<SessionView>, Problem> {
    served
        .control
        .sessions(&caller, listing.wanted(&SESSION_STATES)?)
        .await
        .map(|page| listing.answer("/api/v1/sessions", page))
}

/// One session.
#[utoipa::path(get, path = "/api/v1/sessions/{id}", params(("id" = String, Path)), responses((status = 200, body = SessionView), (status = 404, body = Problem)))]
async fn session(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<SessionView> {
    served.control.session(&caller, &id).await.map(Json)
}

/// Cuts a session; administrators only.
#[utoipa::path(post, path = "/api/v1/sessions/{id}/kill", params(("id" = String, Path)), request_body = KillSession, responses((status = 200, body = SessionView), (status = 404, body = Problem)))]
async fn kill(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
    kill: Option<Json<KillSession>>,
) -> Answered<SessionView> {
    let kill = kill.map(|Json(kill)| kill).unwrap_or_default();
    served.control.kill(&caller, &id, kill).await.map(Json)
}

/// A session's replay: what was asked, and what the client saw.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/replay", params(("id" = String, Path)), responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem)))]
async fn replay(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Result<String, Problem> {
    served.control.replay(&caller, &id).await
}

/// A session's exchanges as an HTTP archive (HAR 1.2); of sessions over HTTP alone.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/har", params(("id" = String, Path)), responses((status = 200, content_type = "application/json"), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn archive(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let archive = served.control.archive(&caller, &id).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], archive).into_response())
}

/// The newest requests, with no more of long statements, bind values and lists than tells them apart: one by itself is whole.
#[utoipa::path(get, path = "/api/v1/requests", params(Listing), responses((status = 200, body = Vec<RequestView>)))]
async fn requests(
    State(served): State<Served>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<Listed<RequestView>, Problem> {
    served
        .control
        .requests(&caller, listing.wanted(&REQUEST_STATES)?)
        .await
        .map(|page| listing.answer("/api/v1/requests", page))
}

/// One request.
#[utoipa::path(get, path = "/api/v1/requests/{id}", params(("id" = String, Path)), responses((status = 200, body = RequestView), (status = 404, body = Problem)))]
async fn request(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<RequestView> {
    served.control.request(&caller, &id).await.map(Json)
}

/// Approves a request.
#[utoipa::path(post, path = "/api/v1/requests/{id}/approve", params(("id" = String, Path)), request_body = Answer, responses((status = 200, body = AnswerView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn approve(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
    Json(answer): Json<Answer>,
) -> Answered<AnswerView> {
    served.control.answer(&caller, &id, true, answer).await.map(Json)
}

/// Denies a request.
#[utoipa::path(post, path = "/api/v1/requests/{id}/deny", params(("id" = String, Path)), request_body = Answer, responses((status = 200, body = AnswerView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn deny(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
    Json(answer): Json<Answer>,
) -> Answered<AnswerView> {
    served.control.answer(&caller, &id, false, answer).await.map(Json)
}

/// Takes a request of one's own back.
#[utoipa::path(post, path = "/api/v1/requests/{id}/withdraw", params(("id" = String, Path)), responses((status = 200, body = RequestView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn withdraw(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<RequestView> {
    served.control.withdraw(&caller, &id).await.map(Json)
}

/// What is shut, whatever policy permits.
#[utoipa::path(get, path = "/api/v1/lockdowns", responses((status = 200, body = Vec<LockdownView>)))]
async fn lockdowns(State(served): State<Served>, _caller: Caller) -> Answered<Vec<LockdownView>> {
    served.control.lockdowns().await.map(Json)
}

/// Shuts everything, an identity or a target, and cuts its sessions; administrators only.
#[utoipa::path(post, path = "/api/v1/lockdowns", request_body = NewLockdown, responses((status = 201, body = LockdownView), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn lock_down(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewLockdown>,
) -> Result<(StatusCode, Json<LockdownView>), Problem> {
    served.control.lock_down(&caller, new).await.map(|lockdown| (StatusCode::CREATED, Json(lockdown)))
}

/// Opens again what was shut; administrators only.
#[utoipa::path(post, path = "/api/v1/lockdowns/lift", request_body = LiftLockdown, responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn lift_lockdown(
    State(served): State<Served>,
    caller: Caller,
    Json(lift): Json<LiftLockdown>,
) -> Result<StatusCode, Problem> {
    served.control.lift_lockdown(&caller, lift).await.map(|()| StatusCode::NO_CONTENT)
}

/// The targets of the configuration; their addresses for those who oversee them.
#[utoipa::path(get, path = "/api/v1/targets", responses((status = 200, body = Vec<TargetView>)))]
async fn targets(State(served): State<Served>, caller: Caller) -> Answered<Vec<TargetView>> {
    served.control.targets(&caller).await.map(Json)
}

/// The policies in force, for those who oversee a target.
#[utoipa::path(get, path = "/api/v1/policies", responses((status = 200, body = Vec<PolicyView>)))]
async fn policies(State(served): State<Served>, caller: Caller) -> Answered<Vec<PolicyView>> {
    served.control.policies(&caller).await.map(Json)
}

/// What a target says of itself, as text that tests of policies read: for those who oversee it.
#[utoipa::path(get, path = "/api/v1/targets/{name}/catalog", params(("name" = String, Path)), responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn catalog(State(served): State<Served>, caller: Caller, Path(name): Path<String>) -> Result<String, Problem> {
    served.control.catalog(&caller, &name).await
}

/// What the gateway would make of a statement, for those who oversee its target. Nothing is sent there or recorded.
#[utoipa::path(post, path = "/api/v1/explain", request_body = NewExplanation, responses((status = 200, body = ExplanationView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn explain(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewExplanation>,
) -> Answered<ExplanationView> {
    served.control.explain(&caller, new).await.map(Json)
}

/// Issues a person's token; at the admin socket only.
#[utoipa::path(post, path = "/api/v1/tokens", request_body = NewToken, responses((status = 201, body = TokenView), (status = 403, body = Problem)))]
async fn issue_token(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewToken>,
) -> Result<Response, Problem> {
    let issued = served.control.issue_token(&caller, new).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(issued)).into_response())
}

/// The newest static keys; administrators only.
#[utoipa::path(get, path = "/api/v1/keys", params(Listing), responses((status = 200, body = Vec<KeyView>), (status = 403, body = Problem)))]
async fn keys(
    State(served): State<Served>,
    caller: Caller,
    Query(listing): Query<Listing>,
) -> Result<Listed<KeyView>, Problem> {
    served.control.keys(&caller, listing.wanted(&KEY_STATES)?).await.map(|page| listing.answer("/api/v1/keys", page))
}

/// One static key; administrators only.
#[utoipa::path(get, path = "/api/v1/keys/{id}", params(("id" = String, Path)), responses((status = 200, body = KeyView), (status = 403, body = Problem), (status = 404, body = Problem)))]
async fn key(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<KeyView> {
    served.control.key(&caller, &id).await.map(Json)
}

/// Issues a static key to an agent that can show nothing better; administrators only. It is shown this once.
#[utoipa::path(post, path = "/api/v1/keys", request_body = NewKey, responses((status = 201, body = IssuedKeyView), (status = 400, body = Problem), (status = 403, body = Problem)))]
async fn issue_key(State(served): State<Served>, caller: Caller, Json(new): Json<NewKey>) -> Result<Response, Problem> {
    let issued = served.control.issue_key(&caller, new).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(issued)).into_response())
}

/// Ends a static key and the tasks that were started with it; administrators only.
#[utoipa::path(post, path = "/api/v1/keys/{id}/revoke", params(("id" = String, Path)), responses((status = 200, body = KeyView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn revoke_key(State(served): State<Served>, caller: Caller, Path(id): Path<String>) -> Answered<KeyView> {
    served.control.revoke_key(&caller, &id).await.map(Json)
}

/// An evidence bundle: a tar file that anyone can verify with the log's public key.
#[utoipa::path(post, path = "/api/v1/evidence", request_body = Evidence, responses((status = 200, content_type = "application/x-tar"), (status = 404, body = Problem)))]
async fn evidence(
    State(served): State<Served>,
    caller: Caller,
    Json(wanted): Json<Evidence>,
) -> Result<Response, Problem> {
    let bundle = served.control.evidence(&caller, wanted).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], bundle).into_response())
}

/// 200 while the gateway runs.
#[utoipa::path(get, path = "/healthz", responses((status = 200)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// 200 while new sessions can be served.
#[utoipa::path(get, path = "/readyz", responses((status = 200), (status = 503, body = Problem)))]
async fn readyz(State(served): State<Served>) -> Result<&'static str, Problem> {
    served.control.ready().await.map(|()| "ready\n").map_err(Problem::unavailable)
}

/// Metrics in Prometheus' text form.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
async fn metrics(State(served): State<Served>) -> String {
    served.control.metrics()
}
