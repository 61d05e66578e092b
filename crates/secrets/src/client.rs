//! Tokens that an authorization server gives the gateway for itself: the client credentials of OAuth 2 (RFC 6749, section 4.4).

use gatehouse_model::Secret;
use http::{Request, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::keeper::checked;
use crate::text::Text;
use crate::{Fetch, Reference, SecretError};

/// How much of a token's life it is used for, in parts of a hundred.
const USED_PARTS: u32 = 80;
/// How long a token is used that does not say how long it is good, in seconds.
const UNTOLD_SECS: u32 = 60;

/// The gateway as a client of an authorization server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its token endpoint.
    pub token_url: String,
    /// What it calls the gateway.
    pub client_id: String,
    /// The gateway's secret there; it lies on this machine.
    pub client_secret: Box<Reference>,
    /// What the token is to be for.
    pub scope: Option<String>,
}

/// What it answers, as far as it is needed.
#[derive(Deserialize)]
struct Answered {
    access_token: Option<Text>,
    expires_in: Option<u32>,
    error: Option<String>,
}

impl Client {
    /// A token, and for how many seconds it is used.
    pub(crate) async fn token(&self, fetch: &Fetch) -> Result<(Secret, u32), SecretError> {
        let request = self.request()?;
        let answer = fetch(request).await.map_err(|cause| self.failed(cause))?;
        let status = answer.status().as_u16();
        let body = Zeroizing::new(answer.into_body());
        let answered: Answered =
            serde_json::from_slice(&body).map_err(|_| self.failed(format!("it answers {status}")))?;
        match (status, answered.access_token) {
            (200, Some(token)) => {
                let used = answered.expires_in.map_or(UNTOLD_SECS, |secs| secs.saturating_mul(USED_PARTS) / 100);
                Ok((checked(Secret::new(token.as_str()), &self.token_url)?, used))
            }
            (status, _) => {
                let error: String = answered.error.unwrap_or_default().chars().take(100).collect();
                Err(self.failed(format!("it answers {status} {error}")))
            }
        }
    }

    fn request(&self) -> Result<Request<Vec<u8>>, SecretError> {
        let secret = self.client_secret.fetch()?;
        let text = std::str::from_utf8(secret.expose()).map_err(|_| self.failed("the gateway's secret is no text"))?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials").append_pair("client_id", &self.client_id);
        form.append_pair("client_secret", text);
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        Request::post(&self.token_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.finish().into_bytes())
            .map_err(|_| self.failed("its address is malformed"))
    }

    fn failed(&self, cause: impl Into<String>) -> SecretError {
        SecretError::Source { of: self.token_url.clone(), cause: cause.into() }
    }
}
