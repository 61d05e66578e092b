//! HashiCorp Vault and OpenBao: fields of key-value stores (version 2), and database accounts that are made for a lease.
//!
//! Knows their HTTP API (`developer.hashicorp.com/vault/api-docs`) as far as it is needed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::lock::Mutex;
use gatehouse_model::Secret;
use http::{HeaderValue, Method, Request};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::{Zeroize as _, Zeroizing};

use crate::keeper::checked;
use crate::text::Text;
use crate::{Fetch, Reference, SecretError};

/// How much of what a vault says of an error is repeated, in characters.
const ERROR_CHARS_MAX: usize = 200;
/// How long before its end a token is not used any more, in seconds, or in parts of its life where that is short.
const TOKEN_SPARE_SECS_MAX: i64 = 10;
const TOKEN_SPARE_PARTS: i64 = 4;
/// How soon it is tried again to renew one, in seconds.
const TOKEN_RETRY_SECS: i64 = 1;
/// After which part of its life it is renewed.
const TOKEN_RENEW_PARTS: i64 = 3;

/// How the gateway proves itself to a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultLogin {
    /// By a token that it was given.
    Token(Reference),
    /// As an application: `auth/MOUNT/login`.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
        /// The secret that belongs to it.
        secret_id: Reference,
    },
    /// By the token of its own service account.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The file with the token.
        token: PathBuf,
    },
}

/// A vault.
pub struct Vault {
    address: String,
    namespace: Option<String>,
    login: VaultLogin,
    /// Who vouches for it.
    authorities: String,
    fetch: Fetch,
    /// Held while one logs in or renews, so that there is one token, with which all leases live.
    token: Mutex<Option<Token>>,
}

/// What the gateway calls with. The leases that it asked for end with it.
#[derive(Clone)]
struct Token {
    secret: Secret,
    ends: Timestamp,
    renew_at: Timestamp,
}

impl Token {
    fn new(secret: Secret, secs: i64, now: Timestamp) -> Self {
        let after = |secs: i64| now.saturating_add(SignedDuration::from_secs(secs.max(0))).unwrap_or(now);
        Self {
            secret,
            ends: after(secs - TOKEN_SPARE_SECS_MAX.min(secs / TOKEN_SPARE_PARTS)),
            renew_at: after(secs / TOKEN_RENEW_PARTS),
        }
    }
}

/// A database account that was made for whoever asked.
#[derive(Debug)]
pub struct MadeAccount {
    /// What it is renewed and revoked by.
    pub id: String,
    /// The account's name.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// For how many seconds it lives.
    pub secs: u32,
}

/// Whether a text can be the path of a role that makes accounts, such as `database/creds/shop`.
pub fn is_role(path: &str) -> bool {
    crate::reference::is_path(path)
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Text,
    lease_duration: i64,
}

#[derive(Deserialize)]
struct KeyValue {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    data: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Made {
    lease_id: String,
    lease_duration: u32,
    data: NamePassword,
}

#[derive(Deserialize)]
struct NamePassword {
    username: String,
    password: Text,
}

#[derive(Deserialize)]
struct Renewed {
    lease_duration: u32,
}

#[derive(Deserialize)]
struct TokenRenewed {
    auth: TokenLife,
}

#[derive(Deserialize)]
struct TokenLife {
    lease_duration: i64,
}

/// A body as it is sent. Its texts are erased when they have been written.
fn written(mut body: Value) -> Vec<u8> {
    let bytes = body.to_string().into_bytes();
    for value in body.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
    bytes
}

/// What a vault answered: the status, and the body.
struct Answered {
    status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Vault {
    /// The vault at an address, such as `https://vault.example:8200`, which `authorities` (PEM, or nothing for the system's)
    /// vouch for when `fetch` calls it.
    pub fn new(address: &str, namespace: Option<String>, login: VaultLogin, authorities: String, fetch: Fetch) -> Self {
        let address = address.trim_end_matches('/').into();
        Self { address, namespace, login, authorities, fetch, token: Mutex::new(None) }
    }

    /// By its address, and its namespace where it has one.
    pub(crate) fn name(&self) -> String {
        let namespace = self.namespace.as_ref().map(|namespace| format!(" {namespace}")).unwrap_or_default();
        format!("{}{namespace}", self.address)
    }

    /// Whether another is the same vault, to which the gateway proves itself in the same way.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        (&self.address, &self.namespace, &self.login, &self.authorities)
            == (&other.address, &other.namespace, &other.login, &other.authorities)
    }

    /// A field of a secret in a key-value store (version 2).
    pub(crate) async fn read(&self, path: &str, field: &str, now: Timestamp) -> Result<Secret, SecretError> {
        let (mount, place) = path.split_once('/').unwrap_or((path, ""));
        let answer = self.call(Method::GET, &format!("{mount}/data/{place}"), None, now).await?;
        let mut read: KeyValue = self.parsed(&answer)?;
        let of = format!("vault:{path}#{field}");
        let secret = match read.data.data.get(field) {
            Some(Value::String(text)) => Ok(Secret::new(text.as_str())),
            Some(_) => Err(self.failed(format!("`{field}` is no text"))),
            None => Err(self.failed(format!("{path} has no field `{field}`"))),
        };
        for value in read.data.data.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
        checked(secret?, &of)
    }

    /// An account that a role makes.
    pub(crate) async fn make_account(&self, path: &str, now: Timestamp) -> Result<MadeAccount, SecretError> {
        let answer = self.call(Method::GET, path, None, now).await?;
        let made: Made = self.parsed(&answer)?;
        Ok(MadeAccount {
            id: made.lease_id,
            user: made.data.username,
            password: Secret::from(&made.data.password),
            secs: made.lease_duration,
        })
    }

    pub(crate) async fn renew(&self, lease: &str, now: Timestamp) -> Result<u32, SecretError> {
        let answer = self.call(Method::PUT, "sys/leases/renew", Some(json!({ "lease_id": lease })), now).await?;
        Ok(self.parsed::<Renewed>(&answer)?.lease_duration)
    }

    pub(crate) async fn revoke(&self, lease: &str, now: Timestamp) -> Result<(), SecretError> {
        // In the call itself, so that it is done when it is answered.
        let body = json!({ "lease_id": lease, "sync": true });
        self.call(Method::PUT, "sys/leases/revoke", Some(body), now).await.map(|_| ())
    }

    /// Has the token that was logged in for live on, once a part of its life is over.
    pub(crate) async fn renew_token(&self, now: Timestamp) -> Result<(), SecretError> {
        let mut kept = self.token.lock().await;
        let due = |token: &&mut Token| token.renew_at <= now && now < token.ends;
        let Some(token) = kept.as_mut().filter(due) else { return Ok(()) };
        token.renew_at = now.saturating_add(SignedDuration::from_secs(TOKEN_RETRY_SECS)).unwrap_or(now);
        let body = Some(json!({}));
        let answer = self.send(Method::POST, "auth/token/renew-self", body, Some(&token.secret)).await?;
        let renewed: TokenRenewed = self.parsed(&self.good("auth/token/renew-self", answer)?)?;
        *token = Token::new(token.secret.clone(), renewed.auth.lease_duration, now);
        Ok(())
    }

    /// A call with a token. One that is good no longer is made anew, once; a vault that knows the token, but does not let it
    /// do this, has the last word.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        now: Timestamp,
    ) -> Result<Answered, SecretError> {
        let (token, is_kept) = self.token(now).await?;
        let answer = self.send(method.clone(), path, body.clone(), Some(&token)).await?;
        if answer.status != 403 || !is_kept {
            return self.good(path, answer);
        }
        let known = self.send(Method::GET, "auth/token/lookup-self", None, Some(&token)).await?;
        if known.status != 403 {
            return self.good(path, answer);
        }
        self.token.lock().await.take_if(|kept| kept.secret.expose() == token.expose());
        let (token, _) = self.token(now).await?;
        self.good(path, self.send(method, path, body, Some(&token)).await?)
    }

    fn good(&self, path: &str, answer: Answered) -> Result<Answered, SecretError> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let errors = serde_json::from_slice::<Value>(&answer.body).ok();
        let errors = errors.as_ref().and_then(|body| body.get("errors")?.as_array());
        let errors: Vec<&str> = errors.into_iter().flatten().filter_map(Value::as_str).collect();
        let said: String = errors.join("; ").chars().filter(|c| !c.is_control()).take(ERROR_CHARS_MAX).collect();
        Err(self.failed(format!("{path} answers {} {said}", answer.status).trim_end().to_string()))
    }

    /// A token to call with, and whether it was there already.
    async fn token(&self, now: Timestamp) -> Result<(Secret, bool), SecretError> {
        if let VaultLogin::Token(reference) = &self.login {
            return Ok((reference.fetch()?, false));
        }
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| now < token.ends) {
            return Ok((token.secret.clone(), true));
        }
        let (place, body) = self.proof()?;
        let answer = self.good(&place, self.send(Method::POST, &place, Some(body), None).await?)?;
        let logged_in: LoggedIn = self.parsed(&answer)?;
        let token = Secret::from(&logged_in.auth.client_token);
        *kept = Some(Token::new(token.clone(), logged_in.auth.lease_duration, now));
        Ok((token, false))
    }

    /// Where the gateway logs in, and what it shows there.
    fn proof(&self) -> Result<(String, Value), SecretError> {
        let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).trim().to_string();
        match &self.login {
            VaultLogin::Token(_) => Ok((String::new(), Value::Null)),
            VaultLogin::AppRole { mount, role_id, secret_id } => {
                let secret = secret_id.fetch()?;
                Ok((format!("auth/{mount}/login"), json!({ "role_id": role_id, "secret_id": text(&secret) })))
            }
            VaultLogin::Kubernetes { mount, role, token } => {
                let read = std::fs::read(token).map(Secret::new);
                let jwt = read.map_err(|source| SecretError::Read { path: token.clone(), source })?;
                Ok((format!("auth/{mount}/login"), json!({ "role": role, "jwt": text(&jwt) })))
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        token: Option<&Secret>,
    ) -> Result<Answered, SecretError> {
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.address));
        request = request.header("x-vault-request", "true").header("content-type", "application/json");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            let shown = HeaderValue::from_bytes(token.expose());
            let mut shown = shown.map_err(|_| self.failed("its token is malformed"))?;
            shown.set_sensitive(true);
            request = request.header("x-vault-token", shown);
        }
        let body = body.map(written).unwrap_or_default();
        let request = request.body(body).map_err(|_| self.failed("its address is malformed"))?;
        let answer = (self.fetch)(request).await.map_err(|cause| self.failed(cause))?;
        Ok(Answered { status: answer.status().as_u16(), body: Zeroizing::new(answer.into_body()) })
    }

    fn parsed<T: DeserializeOwned>(&self, answer: &Answered) -> Result<T, SecretError> {
        // What a parser says of a mistake may quote what it read.
        serde_json::from_slice(&answer.body).map_err(|_| self.failed("its answer is not what was expected"))
    }

    fn failed(&self, cause: impl Into<String>) -> SecretError {
        SecretError::Source { of: format!("the vault {}", self.address), cause: cause.into() }
    }
}
