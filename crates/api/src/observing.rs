//! The routes by which somebody observes: operations on record, replays, activity, revisions of policies, checkpoints, and
//! what changes meanwhile.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use gatehouse_model::Identity;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::caller::Caller;
use crate::extract::{Json, Path, Query};
use crate::observed::{
    ActivityView, BacktestView, ChangeView, CheckpointsView, NewBacktest, OperationView, ReplayView, RevisionFiles,
    RevisionView,
};
use crate::problem::Problem;
use crate::routes::{Answered, Listed, Served, listed};
use crate::{LISTING_ENTRIES_MAX, Sought};

/// What can become of an operation.
const OUTCOMES: [&str; 3] = ["passed", "approved", "refused"];
/// The longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 1_000;
/// The most moments of one part of a replay.
const MOMENTS_MAX: u32 = 2_000;
/// The longest time that activity is told of, in hours: a week.
const HOURS_MAX: u32 = 168;
/// The longest time that one stream of changes lasts, in seconds: whoever lost a part in something hears no more of it.
const WATCH_SECS_MAX: u32 = 60;
/// How soon a browser comes back when a stream of changes ends, in milliseconds.
const COME_BACK_MILLIS: u64 = 1_000;

/// Which operations are looked for. What comes next, the header `Link` says (RFC 8288).
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Looking {
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Operations whose record is older than the one of this index.
    before: Option<u64>,
    /// Only those of this session.
    session: Option<String>,
    /// Only those of this task.
    task: Option<String>,
    /// Only those of this identity, or of another on its behalf: `user:NAME` or `agent:NAME`.
    identity: Option<String>,
    /// Only those to this target.
    target: Option<String>,
    /// Only those that `passed` by policy, that a person `approved`, or that were `refused`.
    outcome: Option<String>,
    /// Only those that touched what is of this class.
    class: Option<String>,
    /// Only those with this in their statement, their title or their bind values, in whatever case.
    text: Option<String>,
    /// Only those from this time on (RFC 3339).
    since: Option<String>,
    /// Only those until this time (RFC 3339).
    until: Option<String>,
}

/// A time that a call brings.
pub(crate) fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parsed = |text: &str| {
        text.parse().map_err(|_| Problem::bad_request(format!("`{name}` is a time such as 2026-01-31T08:00:00Z")))
    };
    text.map(parsed).transpose()
}

/// Places are told as numbers that every client can hold.
pub(crate) fn must_be_a_place(name: &str, place: Option<u64>) -> Result<(), Problem> {
    match place.is_some_and(|place| i64::try_from(place).is_err()) {
        true => Err(Problem::bad_request(format!("`{name}` is a number that came with the part before"))),
        false => Ok(()),
    }
}

impl Looking {
    fn sought(self) -> Result<Sought, Problem> {
        let limit = self.limit.unwrap_or(100);
        if !(1..=LISTING_ENTRIES_MAX).contains(&limit) {
            return Err(Problem::bad_request(format!("`limit` is 1 to {LISTING_ENTRIES_MAX}")));
        }
        must_be_a_place("before", self.before)?;
        if let Some(outcome) = self.outcome.as_deref().filter(|outcome| !OUTCOMES.contains(outcome)) {
            return Err(Problem::bad_request(format!("`{outcome}` is no outcome of these: {}", OUTCOMES.join(", "))));
        }
        if let Some(Err(error)) = self.identity.as_deref().map(Identity::parse) {
            return Err(Problem::bad_request(error.to_string()));
        }
        if self.text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(Problem::bad_request(format!("`text` has at most {TEXT_BYTES_MAX} bytes")));
        }
        Ok(Sought {
            limit,
            before: self.before,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
            session: self.session,
            task: self.task,
            identity: self.identity,
            target: self.target,
            outcome: self.outcome,
            class: self.class,
            text: self.text.filter(|text| !text.is_empty()),
        })
    }
}

/// Operations on record, the newest first, of what the caller has a part in or oversees.
#[utoipa::path(get, path = "/api/v1/operations", params(Looking), responses((status = 200, body = Vec<OperationView>), (status = 400, body = Problem)))]
pub(crate) async fn operations(
    State(served): State<Served>,
    caller: Caller,
    Query(looking): Query<Looking>,
) -> Result<Listed<OperationView>, Problem> {
    let sought = looking.sought()?;
    let (limit, time) = (sought.limit.to_string(), |time: Option<Timestamp>| time.map(|time| time.to_string()));
    let filters = [
        ("session", sought.session.clone()),
        ("task", sought.task.clone()),
        ("identity", sought.identity.clone()),
        ("target", sought.target.clone()),
        ("outcome", sought.outcome.clone()),
        ("class", sought.class.clone()),
        ("text", sought.text.clone()),
        ("since", time(sought.since)),
        ("until", time(sought.until)),
        ("limit", Some(limit)),
    ];
    let page = served.control.operations(&caller, sought).await?;
    Ok(listed("/api/v1/operations", &filters, page))
}

/// Which part of a replay is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// From this place on.
    after: Option<u64>,
    /// How many moments at most.
    #[param(minimum = 1, maximum = 2000)]
    limit: Option<u32>,
}

/// A part of a session's replay, as moments: what was asked, and what the client saw. For those who oversee its target.
#[utoipa::path(get, path = "/api/v1/sessions/{id}/moments", params(("id" = String, Path), Part), responses((status = 200, body = ReplayView), (status = 404, body = Problem)))]
pub(crate) async fn moments(
    State(served): State<Served>,
    caller: Caller,
    Path(id): Path<String>,
    Query(part): Query<Part>,
) -> Answered<ReplayView> {
    let limit = part.limit.unwrap_or(MOMENTS_MAX);
    if !(1..=MOMENTS_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is 1 to {MOMENTS_MAX}")));
    }
    must_be_a_place("after", part.after)?;
    served.control.moments(&caller, &id, part.after.unwrap_or_default(), limit).await.map(Json)
}

/// Of which time activity is wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Lately {
    /// Of the last so many hours.
    #[param(minimum = 1, maximum = 168)]
    hours: Option<u32>,
}

/// What went on of late, at targets that the caller oversees.
#[utoipa::path(get, path = "/api/v1/activity", params(Lately), responses((status = 200, body = ActivityView), (status = 400, body = Problem)))]
pub(crate) async fn activity(
    State(served): State<Served>,
    caller: Caller,
    Query(lately): Query<Lately>,
) -> Answered<ActivityView> {
    let hours = lately.hours.unwrap_or(24);
    if !(1..=HOURS_MAX).contains(&hours) {
        return Err(Problem::bad_request(format!("`hours` is 1 to {HOURS_MAX}")));
    }
    served.control.activity(&caller, hours).await.map(Json)
}

/// For how long changes are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Watching {
    /// For so many seconds; as long as there may be where not given.
    #[param(minimum = 1, maximum = 60)]
    secs: Option<u32>,
}

/// What changes, of what the caller has a part in or oversees, as server-sent events: each has a `ChangeView` as its data. The
/// stream ends after a while, and whoever wants more comes again.
#[utoipa::path(get, path = "/api/v1/events", params(Watching), responses((status = 200, body = ChangeView, content_type = "text/event-stream"), (status = 429, body = Problem)))]
pub(crate) async fn events(
    State(served): State<Served>,
    caller: Caller,
    Query(watching): Query<Watching>,
) -> Result<Response, Problem> {
    let secs = watching.secs.unwrap_or(WATCH_SECS_MAX);
    if !(1..=WATCH_SECS_MAX).contains(&secs) {
        return Err(Problem::bad_request(format!("`secs` is 1 to {WATCH_SECS_MAX}")));
    }
    let changes = served.control.changes(caller, secs)?;
    let mut response = Sse::new(told(changes)).keep_alive(KeepAlive::default()).into_response();
    // Proxies that keep an answer until it is whole are told not to.
    response.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn told(changes: impl Stream<Item = ChangeView>) -> impl Stream<Item = Result<Event, Infallible>> {
    let begins = Event::default().retry(std::time::Duration::from_millis(COME_BACK_MILLIS)).comment("");
    let event = |change: ChangeView| Event::default().json_data(change).unwrap_or_default();
    futures_util::stream::iter([begins]).chain(changes.map(event)).map(Ok)
}

/// Which policies were in force since when, the newest first; for those who oversee a target.
#[utoipa::path(get, path = "/api/v1/policies/revisions", responses((status = 200, body = Vec<RevisionView>), (status = 403, body = Problem)))]
pub(crate) async fn revisions(State(served): State<Served>, caller: Caller) -> Answered<Vec<RevisionView>> {
    served.control.revisions(&caller).await.map(Json)
}

/// The files of a revision; likewise.
#[utoipa::path(get, path = "/api/v1/policies/revisions/{revision}", params(("revision" = String, Path)), responses((status = 200, body = RevisionFiles), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn revision(
    State(served): State<Served>,
    caller: Caller,
    Path(revision): Path<String>,
) -> Answered<RevisionFiles> {
    served.control.revision(&caller, &revision).await.map(Json)
}

/// What other policies would have said to what is on record, at targets that the caller oversees.
#[utoipa::path(post, path = "/api/v1/policies/backtest", request_body = NewBacktest, responses((status = 200, body = BacktestView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn backtest(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewBacktest>,
) -> Answered<BacktestView> {
    served.control.backtest(&caller, new).await.map(Json)
}

/// The journal's newest signed states, and the key to check them by.
#[utoipa::path(get, path = "/api/v1/checkpoints", responses((status = 200, body = CheckpointsView)))]
pub(crate) async fn checkpoints(State(served): State<Served>, caller: Caller) -> Answered<CheckpointsView> {
    served.control.checkpoints(&caller).await.map(Json)
}
