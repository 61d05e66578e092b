//! The token endpoint: a workload shows the token that its issuer gave it, and gets the credential of a task of its own
//! (RFC 8693); it may give that back before its time (RFC 7009); where both are, RFC 8414's metadata says.
//!
//! Knows forms and errors of OAuth 2.0 (RFC 6749). What a token is worth it asks [`Control`](crate::Control).

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequest, RawForm, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatehouse_model::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::routes::{RETRY_SECS, Served};
use crate::views::{BudgetView, TaskView};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What is issued: no access token, for it is a password with a user name.
const TASK_CREDENTIAL: &str = "urn:gatehouse:token-type:task-credential";
/// The kinds of tokens that are taken; each must be a signed JSON Web Token.
const SUBJECT_TOKEN_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

/// What a workload asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The token that it shows.
    pub subject_token: Secret,
    /// The targets.
    pub targets: Vec<String>,
    /// Why.
    pub reason: String,
    /// For how many seconds, if it says so.
    pub ttl_secs: Option<u32>,
    /// How much is to be done.
    pub budget: BudgetView,
}

/// The credential of a task that a workload started for itself.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Exchanged {
    /// The password of the task's credential.
    pub access_token: String,
    /// `urn:gatehouse:token-type:task-credential`.
    pub issued_token_type: String,
    /// `N_A`: it is a password, and no bearer token.
    pub token_type: String,
    /// For how many seconds it is good.
    pub expires_in: u32,
    /// The user name to log in by.
    pub user: String,
    /// The task.
    pub task: TaskView,
    /// Where each target is to be reached, by target name: `HOST:PORT`.
    pub addresses: BTreeMap<String, String>,
    /// The PEM certificates by which the listener is recognized, if it has TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_certificate: Option<String>,
}

/// An error of the token endpoint (RFC 6749, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OauthError {
    /// Its code.
    pub error: String,
    /// What is wrong, and what to do about it.
    pub error_description: String,
    /// The request that a person must approve first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How soon to ask again, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u32>,
    #[serde(skip, default = "bad_request")]
    status: u16,
}

fn bad_request() -> u16 {
    StatusCode::BAD_REQUEST.as_u16()
}

impl OauthError {
    fn new(error: &str, description: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            error_description: description.into(),
            request: None,
            interval: None,
            status: bad_request(),
        }
    }

    /// The request is not right, or the token that it shows.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }

    /// The caller gets no task for these targets.
    pub fn invalid_target(description: impl Into<String>) -> Self {
        Self::new("invalid_target", description)
    }

    /// The user name is none that the gateway issued.
    pub fn invalid_client(description: impl Into<String>) -> Self {
        Self::new("invalid_client", description)
    }

    /// A person must approve first; the same call then succeeds (as RFC 8628, section 3.5, has it for devices).
    pub fn pending(request: String) -> Self {
        let description =
            format!("a person is asked: request {request}. Ask again in the same words until it is answered");
        Self { request: Some(request), interval: Some(RETRY_SECS), ..Self::new("authorization_pending", description) }
    }

    /// A person said no.
    pub fn denied(description: impl Into<String>) -> Self {
        Self::new("access_denied", description)
    }

    /// Others are asked for already.
    pub fn slow_down(description: impl Into<String>) -> Self {
        Self { interval: Some(60), ..Self::new("slow_down", description) }
    }

    /// The gateway cannot do it now.
    pub fn unavailable() -> Self {
        let description = "the gateway cannot do this now: try again later; its log has the cause";
        Self { status: StatusCode::SERVICE_UNAVAILABLE.as_u16(), ..Self::new("temporarily_unavailable", description) }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CACHE_CONTROL, "no-store")], Json(self)).into_response()
    }
}

/// The parameters of a form. One that comes twice is refused (RFC 6749, section 3.2), but for the audience (RFC 8693).
pub(crate) struct Form(BTreeMap<String, Vec<String>>);

impl Form {
    fn read(bytes: &[u8]) -> Result<Self, OauthError> {
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            // A parameter without a value is as good as none.
            if !value.is_empty() {
                parameters.entry(name.into_owned()).or_default().push(value.into_owned());
            }
        }
        match parameters.iter().find(|(name, values)| values.len() > 1 && *name != "audience") {
            Some((name, _)) => Err(OauthError::invalid_request(format!("`{name}` stands there twice"))),
            None => Ok(Self(parameters)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    fn need(&self, name: &str) -> Result<&str, OauthError> {
        self.get(name).ok_or_else(|| OauthError::invalid_request(format!("`{name}` is missing")))
    }

    fn exchange(&self) -> Result<Exchange, OauthError> {
        if self.need("grant_type")? != TOKEN_EXCHANGE {
            return Err(OauthError::new("unsupported_grant_type", format!("send `grant_type={TOKEN_EXCHANGE}`")));
        }
        let kind = self.need("subject_token_type")?;
        if !SUBJECT_TOKEN_TYPES.contains(&kind) {
            let kinds = SUBJECT_TOKEN_TYPES.join(" or ");
            return Err(OauthError::invalid_request(format!("`subject_token_type` is {kinds}")));
        }
        // What would change whom the task is for must not be overlooked.
        for unsupported in ["actor_token", "actor_token_type", "scope", "resource"] {
            if self.get(unsupported).is_some() {
                return Err(OauthError::invalid_request(format!("`{unsupported}` is not supported")));
            }
        }
        if self.get("requested_token_type").is_some_and(|kind| kind != TASK_CREDENTIAL) {
            return Err(OauthError::invalid_request(format!(
                "only `requested_token_type={TASK_CREDENTIAL}` is issued"
            )));
        }
        let number = |name: &str| {
            let number = self.get(name).map(str::parse).transpose();
            number.map_err(|_| OauthError::invalid_request(format!("`{name}` is a number")))
        };
        let budget = BudgetView {
            operations: number("budget_operations")?,
            rows: number("budget_rows")?,
            bytes: number("budget_bytes")?,
        };
        let ttl_secs = self.get("ttl_secs").map(str::parse).transpose();
        Ok(Exchange {
            subject_token: Secret::new(self.need("subject_token")?),
            targets: self
                .0
                .get("audience")
                .cloned()
                .ok_or_else(|| OauthError::invalid_request("`audience` is missing: name the targets"))?,
            reason: self.need("reason")?.into(),
            budget,
            ttl_secs: ttl_secs.map_err(|_| OauthError::invalid_request("`ttl_secs` is a number of seconds"))?,
        })
    }
}

/// A machine calls, and no page in somebody's browser, which says where it comes from.
pub(crate) struct Machine(Form);

impl<S: Send + Sync> FromRequest<S> for Machine {
    type Rejection = OauthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OauthError> {
        if request.headers().contains_key(header::ORIGIN) || request.headers().contains_key("sec-fetch-site") {
            return Err(OauthError::invalid_request("this is not for web pages"));
        }
        let form = RawForm::from_request(request, state).await;
        let RawForm(form) = form.map_err(|error| OauthError::invalid_request(error.to_string()))?;
        Form::read(&form).map(Self)
    }
}

/// Exchanges a workload's token for the credential of a task (RFC 8693). `audience` names the targets, once for each;
/// `reason` says why, `ttl_secs` for how long, and `budget_operations`, `budget_rows` and `budget_bytes` how much is to be done.
#[utoipa::path(post, path = "/oauth/token", request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses((status = 200, body = Exchanged), (status = 400, body = OauthError), (status = 503, body = OauthError)))]
pub(crate) async fn token(State(served): State<Served>, Machine(form): Machine) -> Result<Response, OauthError> {
    let exchanged = served.control.exchange(form.exchange()?).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(exchanged)).into_response())
}

/// Ends the task of a credential (RFC 7009): `client_id` is its user name and `token` its password. Of one that is not
/// good it says nothing.
#[utoipa::path(post, path = "/oauth/revoke", request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses((status = 200), (status = 400, body = OauthError), (status = 503, body = OauthError)))]
pub(crate) async fn revoke(State(served): State<Served>, Machine(form): Machine) -> Result<StatusCode, OauthError> {
    served.control.give_back(form.need("client_id")?, form.need("token")?).await.map(|()| StatusCode::OK)
}

/// Where the endpoints are (RFC 8414).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Metadata {
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    grant_types_supported: Vec<String>,
    response_types_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Vec<String>,
    revocation_endpoint_auth_methods_supported: Vec<String>,
}

/// The metadata of the token endpoint (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", responses((status = 200, body = Metadata), (status = 404, body = crate::Problem)))]
pub(crate) async fn metadata(State(served): State<Served>) -> Result<Json<Metadata>, crate::Problem> {
    let base = served.control.address().ok_or_else(|| crate::Problem::not_found("address", "of the API", "--help"))?;
    Ok(Json(Metadata {
        token_endpoint: format!("{base}/oauth/token"),
        revocation_endpoint: format!("{base}/oauth/revoke"),
        issuer: base,
        grant_types_supported: vec![TOKEN_EXCHANGE.into()],
        // RFC 8414 wants it to be there; there is no authorization endpoint.
        response_types_supported: Vec::new(),
        token_endpoint_auth_methods_supported: vec!["none".into()],
        revocation_endpoint_auth_methods_supported: vec!["none".into()],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(form: &str) -> Result<Exchange, OauthError> {
        Form::read(form.as_bytes())?.exchange()
    }

    fn whole() -> String {
        let kind = SUBJECT_TOKEN_TYPES[0];
        format!(
            "grant_type={TOKEN_EXCHANGE}&subject_token=a.b.c&subject_token_type={kind}&audience=shop&reason=a+deploy"
        )
    }

    #[test]
    fn a_whole_request_is_read() {
        let read = exchange(&format!("{}&audience=api&ttl_secs=60", whole())).unwrap();
        assert_eq!((read.targets.as_slice(), read.ttl_secs), (["shop".to_string(), "api".into()].as_slice(), Some(60)));
        assert_eq!((read.subject_token.expose(), read.reason.as_str()), (b"a.b.c".as_slice(), "a deploy"));
        assert_eq!(exchange(&whole()).unwrap().ttl_secs, None);
    }

    #[test]
    fn what_is_not_whole_or_not_known_is_refused() {
        let without = |name: &str| {
            let whole = whole();
            let rest: Vec<&str> = whole.split('&').filter(|part| !part.starts_with(&format!("{name}="))).collect();
            rest.join("&")
        };
        for name in ["grant_type", "subject_token", "subject_token_type", "audience", "reason"] {
            assert_eq!(exchange(&without(name)).unwrap_err().error, "invalid_request", "{name}");
        }
        let other = whole().replace("token-exchange", "jwt-bearer");
        assert_eq!(exchange(&other).unwrap_err().error, "unsupported_grant_type");
        for more in [
            "reason=again",
            "actor_token=x",
            "scope=all",
            "resource=x",
            "ttl_secs=-1",
            "ttl_secs=x",
            "requested_token_type=x",
        ] {
            assert_eq!(exchange(&format!("{}&{more}", whole())).unwrap_err().error, "invalid_request", "{more}");
        }
    }
}
