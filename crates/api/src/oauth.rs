//! The token endpoint: a workload shows the token that its issuer gave it, or that it signed itself, and gets the credential
//! of a task of its own (RFC 8693, RFC 7523); it may give that back before its time (RFC 7009); where both are, RFC 8414's
//! metadata says.
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

use crate::pace::Stranger;
use crate::routes::{RETRY_SECS, Served};
use crate::views::{BudgetView, TaskView};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// What is issued: no access token, for it is a password with a user name.
const TASK_CREDENTIAL: &str = "urn:gatehouse:token-type:task-credential";
/// A static key.
const API_KEY: &str = "urn:gatehouse:token-type:api-key";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The kinds of tokens that are taken; each must be a signed JSON Web Token.
const TOKEN_TYPES: [&str; 3] = [JWT, "urn:ietf:params:oauth:token-type:id_token", ACCESS_TOKEN];

/// What stands for whoever is to get a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// A signed token.
    Token(Secret),
    /// A static key.
    Key(Secret),
    /// Nothing but what the caller proves itself by.
    Client,
}

/// What is to be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issues {
    /// A user name and a password.
    Credential,
    /// A signed token.
    Token,
}

/// What a workload asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What it shows.
    pub shows: Shows,
    /// The token of whoever is to work, where it is another's work.
    pub actor_token: Option<Secret>,
    /// The token by which the caller proves itself.
    pub client_assertion: Option<Secret>,
    /// Who the caller says that it is.
    pub client_id: Option<String>,
    /// What it wants.
    pub issues: Issues,
    /// The targets, by their names.
    pub targets: Vec<String>,
    /// The targets, by the addresses at which they are reached here (RFC 8707).
    pub resources: Vec<String>,
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
    /// The password of the task's credential, or a signed token.
    pub access_token: String,
    /// `urn:gatehouse:token-type:task-credential`, or `urn:ietf:params:oauth:token-type:access_token`.
    pub issued_token_type: String,
    /// `N_A` for a password, which is no bearer token; else `Bearer`.
    pub token_type: String,
    /// For how many seconds it is good.
    pub expires_in: u32,
    /// The user name to log in by.
    pub user: String,
    /// The task.
    pub task: TaskView,
    /// Where each target is to be reached, by target name: `HOST:PORT`.
    pub addresses: BTreeMap<String, String>,
    /// The PEM certificates by which the listener of a target is recognized, by target name, where it has TLS.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub root_certificates: BTreeMap<String, String>,
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

    /// The caller does not prove who it says that it is, or the user name is none that the gateway issued.
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

/// What names targets: by their names (RFC 8693), or by where they are reached (RFC 8707).
const OF_TARGETS: [&str; 2] = ["audience", "resource"];

/// The parameters of a form. One that comes twice is refused (RFC 6749, section 3.2), but for those.
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
        match parameters.iter().find(|(name, values)| values.len() > 1 && !OF_TARGETS.contains(&name.as_str())) {
            Some((name, _)) => Err(OauthError::invalid_request(format!("`{name}` stands there twice"))),
            None => Ok(Self(parameters)),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    fn all(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    fn need(&self, name: &str) -> Result<&str, OauthError> {
        self.get(name).ok_or_else(|| OauthError::invalid_request(format!("`{name}` is missing")))
    }

    fn exchange(&self) -> Result<Exchange, OauthError> {
        let shows = self.shows()?;
        // What would change what the task is for must not be overlooked.
        for unsupported in ["scope", "client_secret"] {
            if self.get(unsupported).is_some() {
                return Err(OauthError::invalid_request(format!("`{unsupported}` is not supported")));
            }
        }
        let number = |name: &str| {
            let number = self.get(name).map(str::parse).transpose();
            number.map_err(|_| OauthError::invalid_request(format!("`{name}` is a number")))
        };
        let budget = BudgetView {
            operations: number("budget_operations")?,
            rows: number("budget_rows")?,
            bytes: number("budget_bytes")?,
            values: self.values()?,
        };
        let ttl_secs = self.get("ttl_secs").map(str::parse).transpose();
        if !OF_TARGETS.iter().any(|name| self.0.contains_key(*name)) {
            return Err(OauthError::invalid_request("`audience` is missing: name the targets"));
        }
        Ok(Exchange {
            shows,
            actor_token: self.typed("actor_token")?,
            client_assertion: self.client_assertion()?,
            client_id: self.get("client_id").map(Into::into),
            issues: self.issues()?,
            targets: self.all("audience"),
            resources: self.all("resource"),
            reason: self.need("reason")?.into(),
            budget,
            ttl_secs: ttl_secs.map_err(|_| OauthError::invalid_request("`ttl_secs` is a number of seconds"))?,
        })
    }

    /// `CLASS=FIGURE`, as often as there are classes.
    fn values(&self) -> Result<BTreeMap<String, u64>, OauthError> {
        let figure = |text: &String| {
            let (class, figure) = text.split_once('=')?;
            Some((class.to_string(), figure.parse().ok()?))
        };
        let values = self.0.get("budget_values").into_iter().flatten().map(figure).collect::<Option<_>>();
        values.ok_or_else(|| OauthError::invalid_request("`budget_values` is CLASS=FIGURE, such as email=100"))
    }

    fn shows(&self) -> Result<Shows, OauthError> {
        let grant = self.need("grant_type")?;
        // What belongs to another grant would be overlooked.
        let alien: &[&str] = match grant {
            TOKEN_EXCHANGE => &["assertion"],
            JWT_BEARER => &["subject_token", "subject_token_type", "actor_token", "actor_token_type"],
            CLIENT_CREDENTIALS => {
                &["assertion", "subject_token", "subject_token_type", "actor_token", "actor_token_type"]
            }
            _ => &[],
        };
        if let Some(name) = alien.iter().find(|name| self.get(name).is_some()) {
            return Err(OauthError::invalid_request(format!("`{name}` does not belong to this `grant_type`")));
        }
        match grant {
            TOKEN_EXCHANGE if self.get("subject_token_type") == Some(API_KEY) => {
                Ok(Shows::Key(Secret::new(self.need("subject_token")?)))
            }
            TOKEN_EXCHANGE => {
                self.need("subject_token")?;
                let token = self.typed("subject_token")?;
                token.map(Shows::Token).ok_or_else(|| OauthError::invalid_request("`subject_token` is missing"))
            }
            JWT_BEARER => Ok(Shows::Token(Secret::new(self.need("assertion")?))),
            CLIENT_CREDENTIALS if self.get("client_assertion").is_some() => Ok(Shows::Client),
            CLIENT_CREDENTIALS => Err(OauthError::invalid_client("show a `client_assertion` that your key signed")),
            _ => {
                let grants = [TOKEN_EXCHANGE, JWT_BEARER, CLIENT_CREDENTIALS].join(" or ");
                Err(OauthError::new("unsupported_grant_type", format!("`grant_type` is {grants}")))
            }
        }
    }

    /// A token of a kind that is named beside it.
    fn typed(&self, name: &str) -> Result<Option<Secret>, OauthError> {
        let kind = format!("{name}_type");
        match (self.get(name), self.get(&kind)) {
            (None, None) => Ok(None),
            (Some(token), Some(named)) if TOKEN_TYPES.contains(&named) => Ok(Some(Secret::new(token))),
            (_, _) => {
                let kinds = TOKEN_TYPES.join(" or ");
                Err(OauthError::invalid_request(format!("`{name}` comes with `{kind}`, which is {kinds}")))
            }
        }
    }

    fn client_assertion(&self) -> Result<Option<Secret>, OauthError> {
        match (self.get("client_assertion"), self.get("client_assertion_type")) {
            (None, None) => Ok(None),
            (Some(token), Some(CLIENT_ASSERTION)) => Ok(Some(Secret::new(token))),
            (_, _) => Err(OauthError::invalid_request(format!(
                "`client_assertion` comes with `client_assertion_type={CLIENT_ASSERTION}`"
            ))),
        }
    }

    fn issues(&self) -> Result<Issues, OauthError> {
        match self.get("requested_token_type") {
            None | Some(TASK_CREDENTIAL) => Ok(Issues::Credential),
            Some(ACCESS_TOKEN | JWT) => Ok(Issues::Token),
            Some(_) => {
                let kinds = [TASK_CREDENTIAL, ACCESS_TOKEN].join(" or ");
                Err(OauthError::invalid_request(format!("`requested_token_type` is {kinds}")))
            }
        }
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

/// Exchanges a workload's token, or a static key, for the credential of a task (RFC 8693, RFC 7523). `audience` names the
/// targets, once for each, or `resource` the addresses at which they are reached here (RFC 8707); `reason` says why,
/// `ttl_secs` for how long, and `budget_operations`, `budget_rows` and `budget_bytes` how much is to be done. With
/// `actor_token`, whoever that is of works on behalf of whom the `subject_token` is of.
#[utoipa::path(post, path = "/oauth/token", request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses((status = 200, body = Exchanged), (status = 400, body = OauthError), (status = 503, body = OauthError)))]
pub(crate) async fn token(
    State(served): State<Served>,
    _: Stranger,
    Machine(form): Machine,
) -> Result<Response, OauthError> {
    let exchanged = served.control.exchange(form.exchange()?).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(exchanged)).into_response())
}

/// Ends a task (RFC 7009): `token` is its own token, or the password of its credential, whose user name is `client_id`. Of
/// one that is not good it says nothing.
#[utoipa::path(post, path = "/oauth/revoke", request_body(content = String, content_type = "application/x-www-form-urlencoded"), responses((status = 200), (status = 400, body = OauthError), (status = 503, body = OauthError)))]
pub(crate) async fn revoke(
    State(served): State<Served>,
    _: Stranger,
    Machine(form): Machine,
) -> Result<StatusCode, OauthError> {
    served.control.give_back(form.get("client_id"), form.need("token")?).await.map(|()| StatusCode::OK)
}

/// The keys by which others check the gateway's own tokens (RFC 7517).
#[utoipa::path(get, path = "/oauth/jwks", responses((status = 200, content_type = "application/jwk-set+json")))]
pub(crate) async fn jwks(State(served): State<Served>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/jwk-set+json")];
    (kind, Json(served.control.token_keys())).into_response()
}

/// Where the endpoints are (RFC 8414).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Metadata {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    revocation_endpoint: String,
    grant_types_supported: Vec<String>,
    response_types_supported: Vec<String>,
    token_endpoint_auth_methods_supported: Vec<String>,
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    revocation_endpoint_auth_methods_supported: Vec<String>,
}

/// The metadata of the token endpoint (RFC 8414).
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", responses((status = 200, body = Metadata), (status = 404, body = crate::Problem)))]
pub(crate) async fn metadata(State(served): State<Served>) -> Result<Json<Metadata>, crate::Problem> {
    let base = served.control.address().ok_or_else(|| crate::Problem::not_found("address", "of the API", "--help"))?;
    Ok(Json(Metadata {
        jwks_uri: format!("{base}/oauth/jwks"),
        token_endpoint: format!("{base}/oauth/token"),
        revocation_endpoint: format!("{base}/oauth/revoke"),
        issuer: base,
        grant_types_supported: [TOKEN_EXCHANGE, JWT_BEARER, CLIENT_CREDENTIALS].map(Into::into).into(),
        // RFC 8414 wants it to be there; there is no authorization endpoint.
        response_types_supported: Vec::new(),
        token_endpoint_auth_methods_supported: ["none", "private_key_jwt"].map(Into::into).into(),
        token_endpoint_auth_signing_alg_values_supported: served.control.token_algorithms(),
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
        format!(
            "grant_type={TOKEN_EXCHANGE}&subject_token=a.b.c&subject_token_type={JWT}&audience=shop&reason=a+deploy"
        )
    }

    #[test]
    fn a_whole_request_is_read() {
        let read = exchange(&format!("{}&audience=api&ttl_secs=60", whole())).unwrap();
        assert_eq!((read.targets.as_slice(), read.ttl_secs), (["shop".to_string(), "api".into()].as_slice(), Some(60)));
        assert_eq!((read.shows, read.reason.as_str()), (Shows::Token(Secret::new("a.b.c")), "a deploy"));
        let plain = exchange(&whole()).unwrap();
        assert_eq!((plain.ttl_secs, plain.actor_token, plain.issues), (None, None, Issues::Credential));
        let acting =
            format!("{}&actor_token=d.e.f&actor_token_type={JWT}&requested_token_type={ACCESS_TOKEN}", whole());
        let acting = exchange(&acting).unwrap();
        assert_eq!((acting.actor_token, acting.issues), (Some(Secret::new("d.e.f")), Issues::Token));
        let key = exchange(&whole().replace(JWT, API_KEY)).unwrap();
        assert_eq!(key.shows, Shows::Key(Secret::new("a.b.c")));
        let asserted = format!("grant_type={JWT_BEARER}&assertion=a.b.c&audience=shop&reason=x");
        assert_eq!(exchange(&asserted).unwrap().shows, Shows::Token(Secret::new("a.b.c")));
        let client = format!(
            "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type={CLIENT_ASSERTION}&audience=shop&reason=x"
        );
        let client = exchange(&client).unwrap();
        assert_eq!((client.shows, client.client_assertion), (Shows::Client, Some(Secret::new("a.b.c"))));
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
        let other = whole().replace("token-exchange", "saml2-bearer");
        assert_eq!(exchange(&other).unwrap_err().error, "unsupported_grant_type");
        let password = "grant_type=client_credentials&client_id=agent:claude&audience=shop&reason=x";
        assert_eq!(exchange(password).unwrap_err().error, "invalid_client");
        for more in [
            "reason=again",
            "actor_token=x",
            "actor_token_type=x",
            "actor_token=x&actor_token_type=urn:gatehouse:token-type:api-key",
            "client_assertion=x",
            "client_assertion=x&client_assertion_type=x",
            "client_secret=x",
            "assertion=x",
            "scope=all",
            "ttl_secs=-1",
            "ttl_secs=x",
            "requested_token_type=x",
        ] {
            assert_eq!(exchange(&format!("{}&{more}", whole())).unwrap_err().error, "invalid_request", "{more}");
        }
    }
}
