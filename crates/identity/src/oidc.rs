//! People who prove at their OpenID provider who they are: in a browser (authorization code with PKCE, RFC 7636) or with a
//! code that they type there (RFC 8628). OpenID Connect Core 1.0, Discovery 1.0 and RP-Initiated Logout 1.0.
//!
//! Knows what a provider must prove, and how its claims become a name and groups. Opens no connection: whoever makes a
//! [`Provider`] gives it the means to fetch. Nothing is kept between the two halves of a sign-in, for a browser brings back
//! the secret that everything of the first half is derived from.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use futures_util::future::BoxFuture;
use gatehouse_model::{GroupName, Secret, UserName};
use jiff::Timestamp;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreDeviceAuthorizationResponse, CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreIdToken,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AdditionalClaims, AdditionalProviderMetadata, AsyncHttpClient, AuthType, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DeviceAuthorizationUrl, EndSessionUrl,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, ErrorResponse, HttpRequest, HttpResponse, IssuerUrl, LogoutRequest,
    Nonce, NonceVerifier, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl,
    ProviderMetadata, RedirectUrl, RefreshToken, RequestTokenError, Scope, SubjectIdentifier, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::cached::{Cached, Look, Unfetched};
use crate::claims::{self, claim};
use crate::credential::hmac;

/// Groups of one person.
pub const GROUPS_MAX: usize = 500;

/// The algorithms that a provider may sign with: none that is broken, and none with a shared secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Fetches something from the web.
pub type Fetch = Arc<dyn Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, FetchError>> + Send + Sync>;

struct Http(Fetch);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = FetchError;
    type Future = BoxFuture<'static, Result<HttpResponse, FetchError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        (self.0)(request)
    }
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// A provider, as the configuration has it.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// Its issuer: where its discovery document begins.
    pub issuer: String,
    /// What it calls this gateway.
    pub client_id: String,
    /// The gateway's secret there; a public client has none.
    pub client_secret: Option<Secret>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that is a person's name.
    pub user_claim: String,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// Which of the provider's groups are which of the gateway's; where it is empty, they have the same names.
    pub groups: BTreeMap<String, GroupName>,
    /// Only members of one of these are let in; where it is empty, anybody is whom the provider lets in.
    pub admit: BTreeSet<GroupName>,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider cannot be reached, or does not answer as it must.
    #[error("the provider {issuer} does not answer as it must: {cause}")]
    Provider {
        /// Which.
        issuer: String,
        /// What is wrong.
        cause: String,
    },
    /// The provider said no.
    #[error("the provider refused: {0}")]
    Refused(String),
    /// What it signed is not good.
    #[error("the provider's ID token is not good: {0}")]
    Token(String),
    /// It does not say who somebody is.
    #[error("the provider says no `{0}` of this person: is it among the claims of the scopes that are asked for?")]
    Missing(String),
    /// It says so in a way that does not count.
    #[error("what the provider says as `{claim}` of this person does not count: {cause}")]
    Claim {
        /// Which claim.
        claim: String,
        /// Why it is not.
        cause: &'static str,
    },
    /// The groups are too many.
    #[error("the provider names more than {GROUPS_MAX} groups: have it send only those that matter here")]
    Groups,
    /// They are none of those who are let in.
    #[error("user:{user} is in none of the groups of oidc.admit, for the provider names: {groups}")]
    NotAdmitted {
        /// Who.
        user: UserName,
        /// Their groups, as they count here.
        groups: String,
    },
    /// It has no device flow.
    #[error("the provider {0} has no device authorization endpoint: sign in with a browser")]
    NoDevices(String),
    /// Whoever comes back is not who went there.
    #[error("this sign-in was not begun in this browser, or too long ago: begin anew")]
    Stranger,
}

/// Somebody who proved who they are.
#[derive(Debug)]
pub struct Person {
    /// Their name.
    pub user: UserName,
    /// What the provider calls them, for good.
    pub subject: String,
    /// Their groups.
    pub groups: BTreeSet<GroupName>,
    /// With what the provider can be asked again, if it gave that.
    pub refresh: Option<Secret>,
}

/// What a provider says when it is asked again.
#[derive(Debug)]
pub struct Again {
    /// With what it can be asked the next time.
    pub refresh: Secret,
    /// Who it is now, if it said so.
    pub said: Result<Option<Person>, SignInError>,
}

/// A sign-in with a code that a person types at the provider.
pub struct DeviceLogin {
    details: CoreDeviceAuthorizationResponse,
}

impl DeviceLogin {
    /// Where the person goes.
    pub fn verification_uri(&self) -> &str {
        self.details.verification_uri().as_str()
    }

    /// The same with the code in it, if the provider has that.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.details.verification_uri_complete().map(|uri| uri.secret().as_str())
    }

    /// What they type there.
    pub fn user_code(&self) -> &str {
        self.details.user_code().secret()
    }

    /// For how long that is good.
    pub fn expires_in(&self) -> Duration {
        self.details.expires_in()
    }
}

/// How long a browser may take to come back from the provider, in seconds.
pub const SIGN_IN_SECS_MAX: u32 = 600;

/// What only the browser knows in which a sign-in was begun: random, with the time, and with a proof that this gateway made it.
pub struct BrowserSecret(Secret);

impl BrowserSecret {
    /// A new one.
    pub fn issue(key: &[u8; 32], entropy: [u8; 32], now: Timestamp) -> Self {
        let content = format!("{}.{}", BASE64.encode(entropy), now.as_second());
        let proof = BASE64.encode(hmac(key, content.as_bytes()));
        Self(Secret::new(format!("{content}.{proof}")))
    }

    /// One that a browser brought back, if it is one and not too old.
    pub fn accept(key: &[u8; 32], text: &str, now: Timestamp) -> Option<Self> {
        let (content, proof) = text.rsplit_once('.')?;
        let expected = BASE64.encode(hmac(key, content.as_bytes()));
        let issued: i64 = content.rsplit_once('.')?.1.parse().ok()?;
        let is_young = (0..=i64::from(SIGN_IN_SECS_MAX)).contains(&(now.as_second() - issued));
        (bool::from(expected.as_bytes().ct_eq(proof.as_bytes())) && is_young).then(|| Self(Secret::new(text)))
    }

    /// The text that the browser keeps.
    pub fn expose(&self) -> String {
        String::from_utf8_lossy(self.0.expose()).into_owned()
    }

    /// Whether it is this browser that a provider's answer belongs to.
    pub fn is_of(&self, state: &str) -> bool {
        self.derive("state").as_bytes().ct_eq(state.as_bytes()).into()
    }

    fn derive(&self, purpose: &str) -> String {
        BASE64.encode(hmac(self.0.expose(), purpose.as_bytes()))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Endpoints {
    device_authorization_endpoint: Option<DeviceAuthorizationUrl>,
    end_session_endpoint: Option<EndSessionUrl>,
}

impl AdditionalProviderMetadata for Endpoints {}

/// Claims whose names only the configuration knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OtherClaims {
    #[serde(flatten)]
    claims: BTreeMap<String, Value>,
}

impl AdditionalClaims for OtherClaims {}

type Metadata = ProviderMetadata<
    Endpoints,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type OidcClient =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// A provider that people sign in by.
pub struct Provider {
    settings: ProviderSettings,
    http: Http,
    metadata: Cached<Metadata>,
}

impl Provider {
    /// A provider that is asked by these means. Nothing is fetched before somebody signs in.
    pub fn new(settings: ProviderSettings, fetch: Fetch) -> Self {
        Self { settings, http: Http(fetch), metadata: Cached::default() }
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// A digest of which provider it is, and of how its claims are understood: what one said counts for no other.
    pub fn fingerprint(&self) -> String {
        let ProviderSettings { issuer, client_id, user_claim, groups_claim, groups, admit, .. } = &self.settings;
        let text = format!("{issuer:?} {client_id:?} {user_claim:?} {groups_claim:?} {groups:?} {admit:?}");
        BASE64.encode(Sha256::digest(text))
    }

    /// Asks the provider for its endpoints and keys, unless they are known.
    ///
    /// # Errors
    /// [`SignInError::Provider`] if it does not answer as it must.
    pub async fn discover(&self, now: Timestamp) -> Result<(), SignInError> {
        self.metadata(now, Look::Whatever).await.map(|_| ())
    }

    /// Where a browser goes to sign in; it comes back to `redirect`.
    ///
    /// # Errors
    /// [`SignInError::Provider`] if the provider cannot be asked for its endpoints.
    pub async fn authorization_url(
        &self,
        now: Timestamp,
        browser: &BrowserSecret,
        redirect: &str,
    ) -> Result<String, SignInError> {
        let metadata = self.metadata(now, Look::Whatever).await?;
        let client = self.client(&metadata, Some(redirect))?;
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let (state, nonce) = (browser.derive("state"), browser.derive("nonce"));
        let verifier = PkceCodeVerifier::new(browser.derive("verifier"));
        let request = client.authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce));
        let (url, _, _) = request
            .add_scopes(self.scopes())
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        Ok(url.into())
    }

    /// Finds out who came back from the provider with a code.
    ///
    /// # Errors
    /// Any [`SignInError`]; [`SignInError::Stranger`] if the state is not that of this browser.
    pub async fn complete(
        &self,
        now: Timestamp,
        browser: &BrowserSecret,
        redirect: &str,
        state: &str,
        code: &str,
    ) -> Result<Person, SignInError> {
        if !browser.is_of(state) {
            return Err(SignInError::Stranger);
        }
        let metadata = self.metadata(now, Look::Whatever).await?;
        let client = self.client(&metadata, Some(redirect))?;
        let exchange = client.exchange_code(AuthorizationCode::new(code.into()));
        let exchange = exchange.map_err(|error| self.unusable(&error))?;
        let verifier = PkceCodeVerifier::new(browser.derive("verifier"));
        let answer = exchange.set_pkce_verifier(verifier).request_async(&self.http).await;
        let answer = answer.map_err(|error| self.refused(error))?;
        self.person(now, &answer, Some(&Nonce::new(browser.derive("nonce"))), None).await
    }

    /// Begins a sign-in with a code that the person types at the provider.
    ///
    /// # Errors
    /// [`SignInError::NoDevices`] if the provider has no such thing.
    pub async fn begin_device(&self, now: Timestamp) -> Result<DeviceLogin, SignInError> {
        let metadata = self.metadata(now, Look::Whatever).await?;
        let endpoint = metadata.additional_metadata().device_authorization_endpoint.clone();
        let endpoint = endpoint.ok_or_else(|| SignInError::NoDevices(self.settings.issuer.clone()))?;
        let client = self.client(&metadata, None)?.set_device_authorization_url(endpoint);
        let details = client.exchange_device_code().add_scopes(self.scopes()).request_async(&self.http).await;
        Ok(DeviceLogin { details: details.map_err(|error| self.refused(error))? })
    }

    /// Waits until the person has typed the code, and finds out who it is.
    ///
    /// # Errors
    /// Any [`SignInError`]; [`SignInError::Refused`] also when the time is over.
    pub async fn complete_device<S, F>(
        &self,
        login: &DeviceLogin,
        sleep: S,
        now: impl Fn() -> Timestamp,
    ) -> Result<Person, SignInError>
    where
        S: Fn(Duration) -> F,
        F: Future<Output = ()>,
    {
        let metadata = self.metadata(now(), Look::Whatever).await?;
        let client = self.client(&metadata, None)?;
        let exchange = client.exchange_device_access_token(&login.details);
        let exchange = exchange.map_err(|error| self.unusable(&error))?;
        let answer = exchange.request_async(&self.http, sleep, Some(login.expires_in())).await;
        let answer = answer.map_err(|error| self.refused(error))?;
        self.person(now(), &answer, None, None).await
    }

    /// Asks again about somebody who signed in before.
    ///
    /// # Errors
    /// [`SignInError::Provider`] if the provider does not answer, and anything else if the person is to be let in no more.
    pub async fn ask_again(&self, now: Timestamp, subject: &str, refresh: &Secret) -> Result<Again, SignInError> {
        let metadata = self.metadata(now, Look::Whatever).await?;
        let client = self.client(&metadata, None)?;
        let refresh = RefreshToken::new(String::from_utf8_lossy(refresh.expose()).into_owned());
        let exchange = client.exchange_refresh_token(&refresh).map_err(|error| self.unusable(&error))?;
        let answer = exchange.request_async(&self.http).await.map_err(|error| match error {
            // Only this is about the person; the others are about the gateway, or the provider.
            RequestTokenError::ServerResponse(said) if *said.error() != CoreErrorResponseType::InvalidGrant => {
                self.fault(format!("{said}"))
            }
            other => self.refused(other),
        })?;
        // A provider that does not rotate them gives none.
        let next = answer.refresh_token().map_or_else(|| refresh.secret().clone(), |token| token.secret().clone());
        let said = match self.person(now, &answer, None, Some(subject)).await {
            // It need say nothing anew of who it is (OpenID Connect Core 1.0, section 12.2).
            Err(SignInError::Missing(_)) if answer.id_token().is_none() => Ok(None),
            said => said.map(Some),
        };
        Ok(Again { refresh: Secret::new(next), said })
    }

    /// Where a browser goes to sign out of the provider too, if the provider has such a place that is known.
    pub fn end_session_url(&self, after: &str) -> Option<String> {
        let metadata = self.metadata.last()?;
        let endpoint = metadata.additional_metadata().end_session_endpoint.clone()?;
        let after = PostLogoutRedirectUrl::new(after.into()).ok()?;
        let request = LogoutRequest::from(endpoint).set_client_id(ClientId::new(self.settings.client_id.clone()));
        Some(request.set_post_logout_redirect_uri(after).http_get_url().into())
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> + '_ {
        self.settings.scopes.iter().cloned().map(Scope::new)
    }

    /// The provider's metadata and keys.
    async fn metadata(&self, now: Timestamp, look: Look) -> Result<Arc<Metadata>, SignInError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|error| self.fault(error))?;
        let http = Http(self.http.0.clone());
        let fetch = async move { Metadata::discover_async(issuer, &http).await.map_err(|error| chain(&error)) };
        self.metadata.get(now, look, fetch).await.map_err(|error| match error {
            Unfetched::Failed(error) => self.fault(error),
            Unfetched::Lately => self.fault("it was asked a moment ago and did not answer; try again"),
        })
    }

    fn client(&self, metadata: &Metadata, redirect: Option<&str>) -> Result<OidcClient, SignInError> {
        let secret = self.settings.client_secret.as_ref();
        let secret = secret.map(|secret| ClientSecret::new(String::from_utf8_lossy(secret.expose()).into_owned()));
        let id = ClientId::new(self.settings.client_id.clone());
        let mut client = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
        let methods = metadata.token_endpoint_auth_methods_supported();
        let has = |method| methods.is_some_and(|methods| methods.contains(&method));
        if has(CoreClientAuthMethod::ClientSecretPost) && !has(CoreClientAuthMethod::ClientSecretBasic) {
            client = client.set_auth_type(AuthType::RequestBody);
        }
        match redirect {
            None => Ok(client),
            Some(redirect) => {
                let redirect = RedirectUrl::new(redirect.into()).map_err(|error| self.fault(error))?;
                Ok(client.set_redirect_uri(redirect))
            }
        }
    }

    /// Who it is that the provider answered about.
    async fn person(
        &self,
        now: Timestamp,
        answer: &CoreTokenResponse,
        nonce: Option<&Nonce>,
        subject: Option<&str>,
    ) -> Result<Person, SignInError> {
        let mut claims = match (answer.id_token(), subject) {
            (Some(token), _) => self.proven(now, token, nonce).await?,
            // An answer to a refresh need not prove anew who it is about.
            (None, Some(subject)) => serde_json::json!({ "sub": subject }),
            (None, None) => return Err(SignInError::Token("there is none: is `openid` among the scopes?".into())),
        };
        let told = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_string();
        if subject.is_some_and(|subject| subject != told) {
            return Err(SignInError::Token("it is about somebody else".into()));
        }
        let settings = &self.settings;
        if [&settings.user_claim, &settings.groups_claim].iter().any(|name| claim(&claims, name).is_none()) {
            self.ask_more(now, answer, &told, &mut claims).await?;
        }
        let (user, groups) = (self.user(&claims)?, self.groups(&claims)?);
        if !settings.admit.is_empty() && settings.admit.is_disjoint(&groups) {
            let named: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
            let groups = if named.is_empty() { "none".into() } else { named.join(", ") };
            return Err(SignInError::NotAdmitted { user, groups });
        }
        Ok(Person {
            user,
            groups,
            subject: told,
            refresh: answer.refresh_token().map(|token| Secret::new(token.secret().as_str())),
        })
    }

    /// The claims of an ID token that is good. A key that is not known makes the keys be fetched anew, once.
    async fn proven(&self, now: Timestamp, token: &CoreIdToken, nonce: Option<&Nonce>) -> Result<Value, SignInError> {
        let verified = self.verify(now, token, nonce, &*self.metadata(now, Look::Whatever).await?);
        let verified = match verified {
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                self.verify(now, token, nonce, &*self.metadata(now, Look::ForWhatIsMissing).await?)
            }
            other => other,
        };
        verified.map_err(|error| SignInError::Token(chain(&error)))?;
        // The same text whose signature was checked; its claims may have any names.
        let text = token.to_string();
        let payload = text.split('.').nth(1).and_then(|part| BASE64.decode(part).ok());
        payload
            .and_then(|payload| serde_json::from_slice(&payload).ok())
            .ok_or_else(|| SignInError::Token("its claims cannot be read".into()))
    }

    fn verify(
        &self,
        now: Timestamp,
        token: &CoreIdToken,
        nonce: Option<&Nonce>,
        metadata: &Metadata,
    ) -> Result<(), ClaimsVerificationError> {
        let client = self.client(metadata, None);
        let client = client.map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        let time = move || chrono::DateTime::from_timestamp(now.as_second(), 0).unwrap_or_default();
        let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS).set_time_fn(time);
        let check = |told: Option<&Nonce>| match nonce {
            Some(nonce) => nonce.verify(told),
            None => Ok(()),
        };
        token.claims(&verifier, check).map(|_| ())
    }

    /// Asks the UserInfo endpoint, if there is one, for what the ID token does not say.
    async fn ask_more(
        &self,
        now: Timestamp,
        answer: &CoreTokenResponse,
        subject: &str,
        claims: &mut Value,
    ) -> Result<(), SignInError> {
        let metadata = self.metadata(now, Look::Whatever).await?;
        let client = self.client(&metadata, None)?;
        let subject = SubjectIdentifier::new(subject.into());
        let Ok(request) = client.user_info(answer.access_token().clone(), Some(subject)) else { return Ok(()) };
        let more = request.request_async::<OtherClaims, _, CoreGenderClaim>(&self.http).await;
        let more = more.map_err(|error| self.fault(chain(&error)))?;
        let more = serde_json::to_value(&more).map_err(|error| self.fault(error))?;
        if let (Value::Object(claims), Value::Object(more)) = (claims, more) {
            // What is signed counts more than what is said.
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(())
    }

    fn user(&self, claims: &Value) -> Result<UserName, SignInError> {
        let name = &self.settings.user_claim;
        let wrong = |cause| SignInError::Claim { claim: name.clone(), cause };
        claim(claims, name).ok_or_else(|| SignInError::Missing(name.clone()))?;
        claims::user(claims, name).map_err(wrong)
    }

    fn groups(&self, claims: &Value) -> Result<BTreeSet<GroupName>, SignInError> {
        let names: Vec<&str> = match claim(claims, &self.settings.groups_claim) {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(name)) => vec![name],
            Some(_) | None => Vec::new(),
        };
        if names.len() > GROUPS_MAX {
            return Err(SignInError::Groups);
        }
        let mapped = &self.settings.groups;
        let group = |name: &str| match mapped.is_empty() {
            true => GroupName::new(name).ok(),
            false => mapped.get(name).cloned(),
        };
        Ok(names.into_iter().filter_map(group).collect())
    }

    fn fault(&self, cause: impl ToString) -> SignInError {
        SignInError::Provider { issuer: self.settings.issuer.clone(), cause: cause.to_string() }
    }

    fn unusable(&self, error: &dyn std::error::Error) -> SignInError {
        self.fault(chain(error))
    }

    fn refused<E: ErrorResponse + std::fmt::Display + 'static>(
        &self,
        error: RequestTokenError<FetchError, E>,
    ) -> SignInError {
        match error {
            RequestTokenError::ServerResponse(said) => SignInError::Refused(said.to_string()),
            other => self.fault(chain(&other)),
        }
    }
}

/// An error with all of its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        said.push_str(": ");
        said.push_str(&cause.to_string());
        next = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn provider(user_claim: &str, groups: &[(&str, &str)], admit: &[&str]) -> Provider {
        let group = |name: &str| GroupName::new(name).unwrap();
        let settings = ProviderSettings {
            issuer: "https://id.example".into(),
            client_id: "gatehouse".into(),
            client_secret: None,
            scopes: Vec::new(),
            user_claim: user_claim.into(),
            groups_claim: "/realm/roles".into(),
            groups: groups.iter().map(|(theirs, ours)| ((*theirs).into(), group(ours))).collect(),
            admit: admit.iter().map(|name| group(name)).collect(),
        };
        Provider::new(settings, Arc::new(|_| async { Err(FetchError("nobody is asked here".into())) }.boxed()))
    }

    #[test]
    fn names_are_what_the_provider_vouches_for() {
        let user = |of: &str, claims: Value| provider(of, &[], &[]).user(&claims).map(|user| user.to_string());
        let verified = json!({ "email": "Dana@Corp.example", "email_verified": true, "oid": "A1" });
        assert_eq!(user("email", verified.clone()).unwrap(), "dana@corp.example");
        assert_eq!(user("/email", verified.clone()).unwrap(), "dana@corp.example");
        assert_eq!(user("oid", verified.clone()).unwrap(), "A1");
        for of in ["email", "/email"] {
            for unverified in [json!(false), json!("true"), json!(null)] {
                let claims = json!({ "email": "dana@corp.example", "email_verified": unverified });
                assert!(matches!(user(of, claims), Err(SignInError::Claim { .. })), "{of}");
            }
        }
        assert!(matches!(user("upn", verified), Err(SignInError::Missing(_))));
        for odd in [json!("a b"), json!(["a"]), json!(7), json!("")] {
            assert!(matches!(user("upn", json!({ "upn": odd })), Err(SignInError::Claim { .. })), "{odd}");
        }
    }

    #[test]
    fn groups_are_theirs_or_ours_by_name() {
        let groups = |mapped: &[(&str, &str)], roles: Value| {
            let groups = provider("email", mapped, &[]).groups(&json!({ "realm": { "roles": roles } }))?;
            Ok::<_, SignInError>(groups.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(groups(&[], json!(["dba", "not a name", 7])).unwrap(), ["dba"]);
        assert_eq!(groups(&[], json!("dba")).unwrap(), ["dba"]);
        assert_eq!(groups(&[], json!(null)).unwrap(), [""; 0]);
        assert_eq!(groups(&[("Team DB", "dba")], json!(["Team DB", "administrators"])).unwrap(), ["dba"]);
        assert!(matches!(groups(&[], json!(vec!["x"; GROUPS_MAX + 1])), Err(SignInError::Groups)));
    }

    #[test]
    fn how_a_provider_is_understood_is_part_of_which_it_is() {
        let fingerprint = |provider: Provider| provider.fingerprint();
        let one = fingerprint(provider("email", &[("a", "dba")], &[]));
        assert_eq!(one, fingerprint(provider("email", &[("a", "dba")], &[])));
        assert_ne!(one, fingerprint(provider("sub", &[("a", "dba")], &[])));
        assert_ne!(one, fingerprint(provider("email", &[], &[])));
        assert_ne!(one, fingerprint(provider("email", &[("a", "dba")], &["dba"])));
    }

    #[test]
    fn a_browser_brings_back_what_this_gateway_made_and_in_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let key = [7; 32];
        let secret = BrowserSecret::issue(&key, [1; 32], at(1000));
        let text = secret.expose();
        let back = BrowserSecret::accept(&key, &text, at(1600)).unwrap();
        assert!(back.is_of(&secret.derive("state")) && !back.is_of(&secret.derive("nonce")) && !back.is_of(""));
        assert!(BrowserSecret::accept(&key, &text, at(1601)).is_none(), "too late");
        assert!(BrowserSecret::accept(&key, &text, at(999)).is_none(), "before it was made");
        assert!(BrowserSecret::accept(&[8; 32], &text, at(1000)).is_none(), "another gateway's");
        let forged = text.replace(".1000.", ".1500.");
        assert!(BrowserSecret::accept(&key, &forged, at(1600)).is_none());
        for odd in ["", ".", "..", "a.b.c"] {
            assert!(BrowserSecret::accept(&key, odd, at(1000)).is_none(), "{odd}");
        }
    }
}
