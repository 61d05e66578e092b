//! Errors of the API, as RFC 9457 problem documents.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The content type of problem documents.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// A problem document: what happened, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The HTTP status code.
    pub status: u16,
    /// What happened, in one sentence.
    pub title: String,
    /// What to do about it.
    pub detail: String,
    /// How soon it is of use to try again, in seconds; it stands in `Retry-After`.
    #[serde(skip)]
    retry_secs: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), title: title.into(), detail: detail.into(), retry_secs: None }
    }

    /// The same, and how soon it is of use to try again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, secs: u64) -> Self {
        self.retry_secs = Some(secs);
        self
    }

    /// The same, with another next step.
    #[must_use]
    pub fn advising(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// 400: the request is not right.
    pub fn bad_request(title: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, title, "Correct the request and send it again")
    }

    /// 401: nobody proved who they are.
    pub fn unauthorized() -> Self {
        let detail = "Sign in with `gatehouse login`, or with a browser at /login; `gatehouse login --as user:NAME` issues a \
                      token at the admin socket. It is sent as `Authorization: Bearer TOKEN`";
        Self::new(StatusCode::UNAUTHORIZED, "no valid token was sent", detail)
    }

    /// 403: not for this caller.
    pub fn forbidden(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, title, detail)
    }

    /// 404: no such thing.
    pub fn not_found(what: &str, id: &str, listing: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("there is no {what} {id}"),
            format!("`gatehouse {listing} ls` shows those there are"),
        )
    }

    /// 404: not with this gateway as it is configured.
    pub fn not_here(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, title, detail)
    }

    /// 422: it cannot be understood.
    pub fn not_understood(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, title, detail)
    }

    /// 429: others are at it already.
    pub fn too_many(title: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, title, "Try again later").retry_after(60)
    }

    /// 409: not in the state that it is in.
    pub fn conflict(title: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, title, "Look at it again: somebody else may have been faster")
    }

    /// 503: the gateway cannot do it now.
    pub fn unavailable(title: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, title, "Try again later; the gateway's log has the cause")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if let Some(secs) = self.retry_secs {
            response.headers_mut().insert(header::RETRY_AFTER, secs.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
