//! AWS Secrets Manager: `GetSecretValue`, signed by Signature Version 4.

use std::collections::BTreeMap;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use gatehouse_model::Secret;
use http::{HeaderName, HeaderValue, Request};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use zeroize::Zeroizing;

use crate::keeper::checked;
use crate::text::Text;
use crate::{Fetch, Reference, SecretError};

const SERVICE: &str = "secretsmanager";
const OPERATION: &str = "secretsmanager.GetSecretValue";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Secrets Manager in a region, and the account that asks.
pub struct Aws {
    /// The region.
    pub region: String,
    /// Where it is reached, such as `https://secretsmanager.eu-central-1.amazonaws.com`.
    pub endpoint: String,
    /// The account's access key.
    pub access_key_id: Reference,
    /// Its secret.
    pub secret_access_key: Reference,
    /// The token that belongs to keys that expire.
    pub session_token: Option<Reference>,
    /// Sends the requests.
    pub fetch: Fetch,
}

/// What it answers, as far as it is needed.
#[derive(Deserialize)]
struct Answered {
    #[serde(rename = "__type")]
    kind: Option<String>,
    #[serde(rename = "SecretString")]
    text: Option<Text>,
}

/// A field of a secret.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(Text),
    Other(IgnoredAny),
}

impl Aws {
    /// A secret's text, or a field of the JSON object that it is.
    pub(crate) async fn read(&self, id: &str, field: Option<&str>, now: Timestamp) -> Result<Secret, SecretError> {
        let body = json!({ "SecretId": id }).to_string();
        let request = self.signed(&body, now)?;
        let answer = (self.fetch)(request).await.map_err(|cause| self.failed(cause))?;
        let status = answer.status().as_u16();
        let body = Zeroizing::new(answer.into_body());
        let parsed: Answered =
            serde_json::from_slice(&body).map_err(|_| self.failed(format!("it answers {status}")))?;
        if status != 200 {
            let kind = parsed.kind.unwrap_or_default();
            let kind = kind.rsplit('#').next().unwrap_or_default().chars().take(100).collect::<String>();
            return Err(self.failed(format!("it answers {status} {kind}")));
        }
        let text = parsed.text.ok_or_else(|| self.failed(format!("{id} has no text")))?;
        let text = text.as_str();
        let of = format!("aws:{id}");
        let Some(field) = field else { return checked(Secret::new(text), &of) };
        let fields: BTreeMap<String, Field> =
            serde_json::from_str(text).map_err(|_| self.failed(format!("{id} is no JSON object")))?;
        let Some(Field::Text(value)) = fields.get(field) else {
            return Err(self.failed(format!("{id} has no text field `{field}`")));
        };
        checked(Secret::new(value.as_str()), &of)
    }

    fn signed(&self, body: &str, now: Timestamp) -> Result<Request<Vec<u8>>, SecretError> {
        let text = |secret: Secret| String::from_utf8_lossy(secret.expose()).into_owned();
        let token = self.session_token.as_ref().map(Reference::fetch).transpose()?;
        let (key, secret) = (self.access_key_id.fetch()?, self.secret_access_key.fetch()?);
        let identity = Credentials::new(text(key), text(secret), token.map(text), None, "gatehouse").into();
        let malformed = |_| self.failed("the request cannot be signed");
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(now.into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| self.failed("the request cannot be signed"))?
            .into();
        let uri = format!("{}/", self.endpoint.trim_end_matches('/'));
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", OPERATION)];
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) = sign(signable.map_err(malformed)?, &parameters).map_err(malformed)?.into_parts();
        let mut request = Request::post(&uri);
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(self.failed("the request cannot be signed"));
            };
            request = request.header(name, value);
        }
        request.body(body.as_bytes().to_vec()).map_err(|_| self.failed("its address is malformed"))
    }

    fn failed(&self, cause: impl Into<String>) -> SecretError {
        SecretError::Source { of: format!("AWS Secrets Manager in {}", self.region), cause: cause.into() }
    }
}
