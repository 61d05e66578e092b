//! Calls that a retry must not do twice: whoever sends `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header) gets the
//! same answer for the same call, for a while.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response as HttpResponse, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use gatehouse_model::Secret;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::BODY_BYTES_MAX;
use crate::caller::{Caller, token};
use crate::problem::Problem;
use crate::routes::Served;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Calls that make something each time.
const MAKE: [&str; 5] = ["/api/v1/tasks", "/api/v1/keys", "/api/v1/tokens", "/api/v1/links", "/api/v1/lockdowns"];
/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept, in seconds.
const KEPT_SECS: i64 = 600;
/// Answers that are kept for one caller, and the longest, in bytes.
const ANSWERS_MAX: usize = 100;
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// What is kept of an answer's head.
const HEADERS: [HeaderName; 4] = [header::CONTENT_TYPE, header::LOCATION, header::RETRY_AFTER, header::CACHE_CONTROL];

/// An answer, as it was given. There may be a credential in it.
#[derive(Clone)]
struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Secret,
}

struct Call {
    sha256: [u8; 32],
    at: Timestamp,
    /// What it was answered, once it was.
    answer: Option<Answer>,
}

/// How a call stands to those before it.
enum Standing {
    New,
    Answered(Answer),
    UnderWay,
    Another,
    TooMany,
}

/// The calls of each caller that were made with a key.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<Whose, HashMap<String, Call>>>);

/// A caller, and the digest of the token that they showed.
type Whose = (Caller, Option<[u8; 32]>);

impl Calls {
    fn begin(&self, caller: &Whose, key: &str, sha256: [u8; 32], now: Timestamp) -> Standing {
        let mut calls = self.lock();
        let calls = calls.entry(caller.clone()).or_default();
        match calls.get(key) {
            Some(call) if call.sha256 != sha256 => Standing::Another,
            Some(Call { answer: Some(answer), .. }) => Standing::Answered(answer.clone()),
            Some(_) => Standing::UnderWay,
            None if calls.len() >= ANSWERS_MAX => Standing::TooMany,
            None => {
                calls.insert(key.into(), Call { sha256, at: now, answer: None });
                Standing::New
            }
        }
    }

    /// Forgets what is kept long enough.
    fn sweep(&self, now: Timestamp) {
        self.lock().retain(|_, calls| {
            calls.retain(|_, call| now.duration_since(call.at) < SignedDuration::from_secs(KEPT_SECS));
            !calls.is_empty()
        });
    }

    /// Keeps an answer; without one, the call may be made again.
    fn end(&self, caller: &Whose, key: &str, answer: Option<Answer>) {
        let mut calls = self.lock();
        let Some(calls) = calls.get_mut(caller) else { return };
        match answer {
            Some(answer) => {
                if let Some(call) = calls.get_mut(key) {
                    call.answer = Some(answer);
                }
            }
            None => {
                calls.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Whose, HashMap<String, Call>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    /// Whether the same call later would be answered otherwise, so that this is not worth keeping.
    fn is_passing(&self) -> bool {
        let passing = [StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS];
        self.status.is_server_error() || passing.contains(&self.status)
    }

    fn response(self) -> Response {
        let mut response = HttpResponse::new(Body::from(self.body.expose().to_vec()));
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Makes a call with a key once.
pub(crate) async fn once(State(served): State<Served>, request: Request, next: Next) -> Response {
    served.calls.sweep(served.control.now());
    // What else is asked for twice is answered twice, and does nothing more.
    let does_twice = MAKE.contains(&request.uri().path());
    if request.method() != Method::POST || !does_twice || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    match keyed(served, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(served: Served, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let key = parts.headers.get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default().to_string();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Problem::bad_request(format!("Idempotency-Key has 1 to {KEY_BYTES_MAX} visible characters")));
    }
    let caller = Caller::from_request_parts(&mut parts, &served).await?;
    parts.extensions.insert(caller.clone());
    // Whoever has another token than the first time is told nothing that was for that one.
    let shown = token(&parts, served.is_secure())?.map(|(token, _)| Sha256::digest(token).into());
    let caller = (caller, shown);
    let body = to_bytes(body, BODY_BYTES_MAX).await;
    let body =
        body.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long", "Send a shorter one"))?;
    let sha256 = Sha256::new().chain_update(parts.uri.to_string()).chain_update([0]).chain_update(&body).finalize();
    match served.calls.begin(&caller, &key, sha256.into(), served.control.now()) {
        Standing::New => {}
        Standing::Answered(answer) => {
            let mut response = answer.response();
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
        Standing::UnderWay => return Err(Problem::conflict("the call with this Idempotency-Key is under way")),
        Standing::Another => {
            let title = "this Idempotency-Key was sent with another call";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title, "Send a new key with a new call"));
        }
        Standing::TooMany => {
            let title = format!("you made {ANSWERS_MAX} calls with an Idempotency-Key in {KEPT_SECS} s");
            return Err(Problem::too_many(title).retry_after(KEPT_SECS.unsigned_abs()));
        }
    }
    // Whoever hangs up finds the answer when they call again.
    let (calls, control) = (served.calls, served.control);
    let done = async move {
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        let answer = read(response).await;
        calls.end(&caller, &key, answer.clone().filter(|answer| !answer.is_passing()));
        answer
    };
    let done = done.boxed().shared();
    control.drive(done.clone().map(|_| ()).boxed());
    let answer = done.await.ok_or_else(|| Problem::unavailable("the call's answer is lost"))?;
    Ok(answer.response())
}

async fn read(response: Response) -> Option<Answer> {
    let (parts, body) = response.into_parts();
    let body = Secret::new(to_bytes(body, ANSWER_BYTES_MAX).await.ok()?);
    let headers = HEADERS.into_iter().filter_map(|name| parts.headers.get(&name).map(|value| (name, value.clone())));
    Some(Answer { status: parts.status, headers: headers.collect(), body })
}

#[cfg(test)]
mod tests {
    use gatehouse_model::UserName;

    use super::*;
    use crate::Shown;

    #[test]
    fn a_call_is_made_once_for_a_while() {
        let calls = Calls::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let answer = || Answer { status: StatusCode::CREATED, headers: Vec::new(), body: Secret::new("made") };
        let caller = |name: &str| (Caller::User(UserName::new(name).unwrap(), Shown::Token), Some([7; 32]));
        let begin = |name: &str, key: &str, what: u8, second| {
            calls.sweep(at(second));
            match calls.begin(&caller(name), key, [what; 32], at(second)) {
                Standing::New => "new",
                Standing::Answered(_) => "answered",
                Standing::UnderWay => "under way",
                Standing::Another => "another",
                Standing::TooMany => "too many",
            }
        };
        assert_eq!((begin("dana", "1", 0, 0), begin("dana", "1", 0, 1)), ("new", "under way"));
        calls.end(&caller("dana"), "1", Some(answer()));
        assert_eq!((begin("dana", "1", 0, 2), begin("dana", "1", 9, 2)), ("answered", "another"));
        assert_eq!(begin("sam", "1", 9, 2), "new", "another's keys are others");
        calls.end(&caller("sam"), "1", None);
        assert_eq!(begin("sam", "1", 9, 3), "new", "what failed may be tried again");
        for key in 2..=ANSWERS_MAX {
            assert_eq!(begin("dana", &key.to_string(), 0, 4), "new");
        }
        assert_eq!((begin("dana", "more", 0, 5), begin("sam", "2", 0, 5)), ("too many", "new"));
        assert_eq!(begin("dana", "1", 0, KEPT_SECS), "new", "it is long over");
    }
}
