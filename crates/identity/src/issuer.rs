//! Issuers of workload tokens that the configuration trusts, and which of their tokens is which agent.
//!
//! One verifier for all of them: Kubernetes' service accounts, CI systems, SPIFFE, cloud workload identity and any
//! OpenID provider sign JSON Web Tokens (RFC 7519) with keys that they publish (RFC 7517). What differs are the claims,
//! and those are the configuration's to pin.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gatehouse_model::AgentName;
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use openidconnect::http::Request;
use serde::Deserialize;
use serde_json::Value;

use crate::cached::{Cached, Unfetched};
use crate::oidc::Fetch;
use crate::token::{self, ALGORITHMS};

/// The longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the clocks of an issuer and of this gateway may be apart, in seconds.
pub const SKEW_SECS_MAX: i64 = 30;
/// The longest key set, in bytes, and how many keys one may have.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 64;
/// 2048 bits in base64url.
const RSA_MODULUS_CHARS_MIN: usize = 342;

/// The keys that an issuer signs with.
#[derive(Clone)]
pub struct KeySet(Vec<Jwk>);

/// Where an issuer's keys come from.
pub enum Keys {
    /// The configuration has them.
    Held(KeySet),
    /// The issuer publishes them.
    Published(PublishedKeys),
}

/// Keys that are fetched when they are needed, and again when they are old or a token names another.
pub struct PublishedKeys {
    /// Where the key set is; where that is not given, the issuer's discovery document says.
    uri: Option<String>,
    issuer: String,
    fetch: Fetch,
    cached: Cached<KeySet>,
}

/// What is read of a discovery document (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Whose tokens are which agent's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRule {
    /// The agent.
    pub agent: AgentName,
    /// What claims must be, by name; a name that begins with `/` is a JSON pointer (RFC 6901).
    pub claims: BTreeMap<String, String>,
}

/// An issuer that is trusted.
pub struct Issuer {
    /// Its name in the configuration.
    pub name: String,
    /// What its tokens say as `iss`.
    pub issuer: String,
    /// What they must say as `aud`, so that a token for somebody else is none for this gateway.
    pub audience: String,
    /// Its keys.
    pub keys: Keys,
    /// Its agents; the first rule that fits counts.
    pub agents: Vec<AgentRule>,
    /// The longest life of a task that is started with one of its tokens, in seconds.
    pub task_secs_max: u32,
}

/// A workload that proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Which agent it is.
    pub agent: AgentName,
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// What the issuer calls it.
    pub subject: String,
    /// The longest life of a task that it starts, in seconds.
    pub task_secs_max: u32,
}

/// Why a token is not good. Says nothing of the token but what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than any honest one.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// It is no signed token.
    #[error("it is not a signed JSON Web Token with an algorithm that is accepted")]
    Form,
    /// Nobody whom the configuration trusts says that it is theirs.
    #[error("no trusted issuer says {0:?}: add it under [issuers]")]
    Issuer(String),
    /// It names a key that its issuer does not have, or none of several.
    #[error("the issuer `{0}` has no key of the token's `kid`")]
    Key(String),
    /// Its issuer's keys cannot be had.
    #[error("the keys of the issuer `{issuer}` cannot be fetched: {cause}")]
    NoKeys {
        /// The issuer's name in the configuration.
        issuer: String,
        /// Why.
        cause: String,
    },
    /// It is not signed by that key.
    #[error("the signature does not hold")]
    Signature,
    /// It is for somebody else.
    #[error("the token's `aud` is not `{0}`")]
    Audience(String),
    /// A claim that every token needs is not there, or is no such thing.
    #[error("the token has no valid `{0}`")]
    Claim(&'static str),
    /// Whoever shows it must show a key too.
    #[error("the token is bound to a key (`cnf`), which cannot be shown here")]
    Bound,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It is not yet good.
    #[error("the token is not valid yet")]
    NotYet,
    /// No rule fits its claims.
    #[error("no agent of the issuer `{0}` has these claims")]
    Agent(String),
}

/// Why a text is no key set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not RFC 7517's form.
    #[error("it is not a JSON Web Key Set")]
    Form,
    /// Too long or too many.
    #[error("a key set has at most {KEYS_MAX} keys and {KEY_SET_BYTES_MAX} bytes")]
    TooMany,
    /// None that a signature could be checked with.
    #[error("it holds no public key for signatures")]
    NoKey,
}

impl PublishedKeys {
    /// The keys that an issuer publishes: where its discovery document says, or at an address of their own.
    pub fn new(issuer: &str, uri: Option<String>, fetch: Fetch) -> Self {
        Self { uri, issuer: issuer.into(), fetch, cached: Cached::default() }
    }

    async fn get(&self, now: Timestamp, is_key_missing: bool) -> Result<Arc<KeySet>, String> {
        let fetch = fetched(self.issuer.clone(), self.uri.clone(), self.fetch.clone());
        self.cached.get(now, is_key_missing, fetch).await.map_err(|error| match error {
            Unfetched::Failed(error) => error.to_string(),
            Unfetched::Lately => "they were asked for a moment ago; try again".into(),
        })
    }
}

async fn fetched(issuer: String, uri: Option<String>, fetch: Fetch) -> Result<KeySet, String> {
    let uri = match uri {
        Some(uri) => uri,
        None => {
            let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let discovery: Discovery = serde_json::from_slice(&read(&fetch, &place).await?)
                .map_err(|error| format!("{place} is no discovery document: {error}"))?;
            if discovery.issuer != issuer {
                return Err(format!("{place} is of another issuer, {:?}", discovery.issuer));
            }
            // Whoever speaks over TLS sends nobody to a place without it.
            if issuer.starts_with("https://") && !discovery.jwks_uri.starts_with("https://") {
                return Err(format!("{place} names keys that are not at an https:// address"));
            }
            discovery.jwks_uri
        }
    };
    KeySet::parse(&read(&fetch, &uri).await?).map_err(|error| format!("{uri}: {error}"))
}

async fn read(fetch: &Fetch, uri: &str) -> Result<Vec<u8>, String> {
    let request = Request::get(uri).header("accept", "application/json").body(Vec::new());
    let answer = fetch(request.map_err(|error| error.to_string())?).await;
    let answer = answer.map_err(|error| format!("{uri}: {error}"))?;
    match answer.status().as_u16() {
        200 => Ok(answer.into_body()),
        other => Err(format!("{uri} answers {other}")),
    }
}

impl Keys {
    async fn get(&self, now: Timestamp, is_key_missing: bool) -> Result<Arc<KeySet>, String> {
        match self {
            Self::Held(keys) => Ok(Arc::new(keys.clone())),
            Self::Published(keys) => keys.get(now, is_key_missing).await,
        }
    }
}

impl KeySet {
    /// Reads a key set. Keys that are no public keys for signatures are left out.
    ///
    /// # Errors
    /// When it is none, too long, or holds no key that could be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(KeySetError::TooMany);
        }
        let set: JwkSet = serde_json::from_slice(text).map_err(|_| KeySetError::Form)?;
        if set.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Jwk> = set.keys.into_iter().filter(signs).collect();
        if keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(Self(keys)) }
    }

    /// The key that a token names. One that names none is of the only key that there is.
    fn of(&self, header: &Header) -> Option<&Jwk> {
        match (&header.kid, self.0.as_slice()) {
            (Some(kid), keys) => {
                let named = || keys.iter().filter(|key| key.common.key_id.as_ref() == Some(kid));
                // Keys of different kinds may have the same name (RFC 7517, section 4.5).
                let of_its_kind = |key: &&Jwk| family(key) == Some(header.alg.family());
                named().find(of_its_kind).or_else(|| named().next())
            }
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

fn family(key: &Jwk) -> Option<AlgorithmFamily> {
    DecodingKey::from_jwk(key).ok().map(|key| key.family())
}

/// Whether a signature can be checked with a key: it is a public one, of a kind and size that is accepted.
fn signs(key: &Jwk) -> bool {
    let for_signatures = match &key.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        // SPIFFE's word for it.
        Some(PublicKeyUse::Other(word)) => word == "jwt-svid",
        Some(PublicKeyUse::Encryption) => false,
    };
    let is_accepted = match &key.algorithm {
        AlgorithmParameters::EllipticCurve(point) => matches!(point.curve, EllipticCurve::P256 | EllipticCurve::P384),
        AlgorithmParameters::OctetKeyPair(point) => point.curve == EllipticCurve::Ed25519,
        AlgorithmParameters::RSA(modulus) => modulus.n.len() >= RSA_MODULUS_CHARS_MIN,
        // Shared secrets, which no issuer publishes, and what may come.
        _ => false,
    };
    for_signatures && is_accepted && DecodingKey::from_jwk(key).is_ok()
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.common.key_id)).finish()
    }
}

/// Finds out which agent shows a token: its issuer, its signature, its times and its claims must all be right.
///
/// # Errors
/// [`TokenError`], which is for the log; whoever showed the token learns only that it is not good.
pub async fn verify(issuers: &[Issuer], token: &str, now: Timestamp) -> Result<Workload, TokenError> {
    token::install();
    // Files end in a line break.
    let token = token.trim_ascii();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|_| TokenError::Form)?;
    // What is critical must be understood (RFC 7515, section 4.1.11), and nothing of it is.
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(TokenError::Form);
    }
    // Whose token it is decides which keys it is checked with, so it is read before; nothing else of it is.
    let unproven = jsonwebtoken::dangerous::insecure_decode_claims::<Value>(token).map_err(|_| TokenError::Form)?;
    let says = unproven.get("iss").and_then(Value::as_str).ok_or(TokenError::Claim("iss"))?;
    let issuer = issuers.iter().find(|issuer| issuer.issuer == says);
    let issuer = issuer.ok_or_else(|| TokenError::Issuer(says.chars().take(200).collect()))?;
    let no_keys = |cause| TokenError::NoKeys { issuer: issuer.name.clone(), cause };
    let keys = issuer.keys.get(now, false).await.map_err(no_keys)?;
    match check(issuer, &keys, token, &header, now) {
        // An issuer changes its keys now and then.
        Err(TokenError::Key(_)) => {
            let keys = issuer.keys.get(now, true).await.map_err(no_keys)?;
            check(issuer, &keys, token, &header, now)
        }
        checked => checked,
    }
}

/// Whether a token is good by these keys.
fn check(issuer: &Issuer, keys: &KeySet, token: &str, header: &Header, now: Timestamp) -> Result<Workload, TokenError> {
    let key = keys.of(header).ok_or_else(|| TokenError::Key(issuer.name.clone()))?;
    if key.common.key_algorithm.is_some_and(|algorithm| algorithm.to_string() != format!("{:?}", header.alg)) {
        return Err(TokenError::Signature);
    }
    let key = DecodingKey::from_jwk(key).map_err(|_| TokenError::Signature)?;
    let mut validation = Validation::new(header.alg);
    // Times are compared below, with the clock that everything else goes by; so are the names.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = decode::<Value>(token, &key, &validation).map_err(|_| TokenError::Signature)?.claims;
    check_times(&claims, now)?;
    if !is_meant(claims.get("aud"), &issuer.audience) {
        return Err(TokenError::Audience(issuer.audience.clone()));
    }
    if claims.get("cnf").is_some() {
        return Err(TokenError::Bound);
    }
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Claim("sub"))?;
    let fits = |rule: &&AgentRule| rule.claims.iter().all(|(name, wanted)| is_or_holds(claim(&claims, name), wanted));
    let rule = issuer.agents.iter().find(fits).ok_or_else(|| TokenError::Agent(issuer.name.clone()))?;
    Ok(Workload {
        agent: rule.agent.clone(),
        issuer: issuer.name.clone(),
        subject: subject.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect(),
        task_secs_max: issuer.task_secs_max,
    })
}

fn check_times(claims: &Value, now: Timestamp) -> Result<(), TokenError> {
    let now = now.as_second();
    let expires = time(claims, "exp")?.ok_or(TokenError::Claim("exp"))?;
    if expires.as_second() <= now - SKEW_SECS_MAX {
        return Err(TokenError::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|from| from.as_second() > now + SKEW_SECS_MAX) {
            return Err(TokenError::NotYet);
        }
    }
    Ok(())
}

/// A claim that is a time (RFC 7519's NumericDate), if it is there.
fn time(claims: &Value, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| value.as_f64().filter(|secs| secs.is_finite()).map(|secs| secs as i64));
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Some).ok_or(TokenError::Claim(name))
}

pub(crate) fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// Whether `aud` is the audience, or a list that has it (RFC 7519, section 4.1.3).
fn is_meant(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::Array(items)) => items.iter().any(|item| item.as_str() == Some(audience)),
        other => other.and_then(Value::as_str) == Some(audience),
    }
}

/// Whether a claim is the text, or a list that holds it. Booleans and whole numbers are compared as they are written; other
/// numbers have no one form, and are nothing that could be pinned.
fn is_or_holds(claim: Option<&Value>, wanted: &str) -> bool {
    match claim {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Array(items)) => items.iter().any(|item| !item.is_array() && is_or_holds(Some(item), wanted)),
        Some(Value::Number(number)) => !number.is_f64() && number.to_string() == wanted,
        Some(Value::Bool(value)) => wanted == if *value { "true" } else { "false" },
        Some(Value::Null | Value::Object(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use futures_util::FutureExt as _;
    use openidconnect::http::Response;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// Keys that the configuration has are waited for by nobody.
    fn verify(issuers: &[Issuer], token: &str, now: Timestamp) -> Result<Workload, TokenError> {
        super::verify(issuers, token, now).now_or_never().expect("at once")
    }

    /// An issuer with one key of each kind.
    struct Signer {
        point: EcdsaKeyPair,
        edwards: Ed25519KeyPair,
    }

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(how, &random).unwrap();
            let point = EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).unwrap();
            let document = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            Self { point, edwards: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap() }
        }

        fn keys(&self) -> KeySet {
            KeySet::parse(self.set().to_string().as_bytes()).unwrap()
        }

        fn set(&self) -> Value {
            let point = self.point.public_key().as_ref();
            let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
            let edwards = BASE64.encode(self.edwards.public_key());
            json!({ "keys": [
                { "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "point", "use": "sig", "alg": "ES256" },
                { "kty": "OKP", "crv": "Ed25519", "x": edwards, "kid": "edwards" },
                { "kty": "oct", "k": "c2hhcmVk", "kid": "shared" },
            ] })
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
            let signature = if header["alg"] == "EdDSA" {
                self.edwards.sign(message.as_bytes()).as_ref().to_vec()
            } else {
                self.point.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
            };
            format!("{message}.{}", BASE64.encode(signature))
        }
    }

    fn header() -> Value {
        json!({ "alg": "ES256", "kid": "point", "typ": "JWT" })
    }

    fn claims() -> Value {
        json!({
            "iss": "https://ci.example", "aud": ["other", "gatehouse"], "sub": "repo:shop:main", "iat": NOW, "nbf": NOW,
            "exp": NOW + 300, "repository_id": 1234, "environment": "production", "kubernetes.io": { "namespace": "web" },
        })
    }

    fn rule(agent: &str, claims: &[(&str, &str)]) -> AgentRule {
        let claims = claims.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        AgentRule { agent: AgentName::new(agent).unwrap(), claims: claims.collect() }
    }

    fn issuers(signer: &Signer) -> Vec<Issuer> {
        vec![Issuer {
            name: "ci".into(),
            issuer: "https://ci.example".into(),
            audience: "gatehouse".into(),
            keys: Keys::Held(signer.keys()),
            task_secs_max: 600,
            agents: vec![
                rule("staging", &[("repository_id", "1234"), ("environment", "staging")]),
                rule(
                    "deployer",
                    &[("repository_id", "1234"), ("environment", "production"), ("/kubernetes.io/namespace", "web")],
                ),
            ],
        }]
    }

    fn now() -> Timestamp {
        Timestamp::from_second(NOW).unwrap()
    }

    #[test]
    fn a_token_is_its_agents() {
        let signer = Signer::new();
        for header in [header(), json!({ "alg": "EdDSA", "kid": "edwards" })] {
            let workload = verify(&issuers(&signer), &signer.sign(&header, &claims()), now()).unwrap();
            assert_eq!((workload.agent.as_str(), workload.issuer.as_str()), ("deployer", "ci"));
            assert_eq!((workload.subject.as_str(), workload.task_secs_max), ("repo:shop:main", 600));
        }
    }

    #[test]
    fn whatever_is_not_right_is_refused() {
        let signer = Signer::new();
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            signer.sign(&header(), &claims)
        };
        let without = |name: &str| {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            signer.sign(&header(), &claims)
        };
        let headed = |header: Value| signer.sign(&header, &claims());
        let unsigned =
            format!("{}.{}.", BASE64.encode(json!({ "alg": "none" }).to_string()), BASE64.encode(claims().to_string()));
        let swapped = Signer::new().sign(&header(), &claims());
        for (token, expected) in [
            (with("iss", json!("https://evil.example")), TokenError::Issuer("https://evil.example".into())),
            (without("iss"), TokenError::Claim("iss")),
            (with("aud", json!("another")), TokenError::Audience("gatehouse".into())),
            (with("aud", json!("gatehouse.evil")), TokenError::Audience("gatehouse".into())),
            (without("aud"), TokenError::Audience("gatehouse".into())),
            (with("exp", json!(NOW - SKEW_SECS_MAX)), TokenError::Expired),
            (with("exp", json!("soon")), TokenError::Claim("exp")),
            (without("exp"), TokenError::Claim("exp")),
            (with("nbf", json!(NOW + SKEW_SECS_MAX + 1)), TokenError::NotYet),
            (with("iat", json!(NOW + SKEW_SECS_MAX + 1)), TokenError::NotYet),
            (without("sub"), TokenError::Claim("sub")),
            (with("cnf", json!({ "jkt": "x" })), TokenError::Bound),
            (with("repository_id", json!(1234.5)), TokenError::Agent("ci".into())),
            (with("repository_id", json!({ "id": "1234" })), TokenError::Agent("ci".into())),
            (with("aud", json!(["other", ["gatehouse"]])), TokenError::Audience("gatehouse".into())),
            (with("environment", json!("test")), TokenError::Agent("ci".into())),
            (with("repository_id", json!(12345)), TokenError::Agent("ci".into())),
            (without("kubernetes.io"), TokenError::Agent("ci".into())),
            (headed(json!({ "alg": "ES256", "kid": "unknown" })), TokenError::Key("ci".into())),
            (headed(json!({ "alg": "ES256" })), TokenError::Key("ci".into())),
            (headed(json!({ "alg": "ES256", "kid": "shared" })), TokenError::Key("ci".into())),
            (headed(json!({ "alg": "ES256", "kid": "edwards" })), TokenError::Signature),
            (headed(json!({ "alg": "EdDSA", "kid": "point" })), TokenError::Signature),
            (headed(json!({ "alg": "HS256", "kid": "point" })), TokenError::Form),
            (headed(json!({ "alg": "ES256", "kid": "point", "crit": ["exp"] })), TokenError::Form),
            (swapped, TokenError::Signature),
            (unsigned, TokenError::Form),
            ("a.b.c".into(), TokenError::Form),
            (String::new(), TokenError::Form),
            ("x".repeat(TOKEN_BYTES_MAX + 1), TokenError::TooLong),
        ] {
            assert_eq!(verify(&issuers(&signer), &token, now()), Err(expected), "{token:.300}");
        }
    }

    #[test]
    fn no_token_holds_with_one_bit_changed() {
        let signer = Signer::new();
        let issuers = issuers(&signer);
        for header in [header(), json!({ "alg": "EdDSA", "kid": "edwards" })] {
            let token = signer.sign(&header, &claims());
            for bit in 0..token.len() * 8 {
                let mut changed = token.clone().into_bytes();
                changed[bit / 8] ^= 1 << (bit % 8);
                let Ok(changed) = String::from_utf8(changed) else { continue };
                assert!(verify(&issuers, &changed, now()).is_err(), "bit {bit}");
            }
        }
    }

    /// An issuer that publishes what is in the map, by address.
    fn published(pages: &[(&str, String)]) -> Issuer {
        let pages: BTreeMap<String, String> = pages.iter().map(|(at, page)| ((*at).into(), page.clone())).collect();
        let fetch: Fetch = Arc::new(move |request| {
            let page = pages.get(&request.uri().to_string()).cloned();
            async move {
                let status = if page.is_some() { 200 } else { 404 };
                let answer = Response::builder().status(status).body(page.unwrap_or_default().into_bytes());
                answer.map_err(|error| crate::FetchError(error.to_string()))
            }
            .boxed()
        });
        let keys = Keys::Published(PublishedKeys::new("https://ci.example", None, fetch));
        Issuer { keys, ..issuers(&Signer::new()).remove(0) }
    }

    #[test]
    fn keys_are_found_where_the_issuer_says() {
        let signer = Signer::new();
        let discovery = |issuer: &str| json!({ "issuer": issuer, "jwks_uri": "https://ci.example/keys" }).to_string();
        let place = "https://ci.example/.well-known/openid-configuration";
        let token = signer.sign(&header(), &claims());
        let pages = [(place, discovery("https://ci.example")), ("https://ci.example/keys", signer.set().to_string())];
        assert_eq!(verify(&[published(&pages)], &token, now()).unwrap().agent.as_str(), "deployer");
        for (pages, said) in [
            (vec![], "answers 404"),
            (vec![(place, discovery("https://evil.example"))], "of another issuer"),
            (vec![(place, "{}".into())], "no discovery document"),
            (vec![(place, discovery("https://ci.example"))], "https://ci.example/keys answers 404"),
        ] {
            let error = verify(&[published(&pages)], &token, now()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        // A key that is not there is looked for again, but not at once.
        let pages =
            [(place, discovery("https://ci.example")), ("https://ci.example/keys", Signer::new().set().to_string())];
        assert_eq!(verify(&[published(&pages)], &token, now()), Err(TokenError::Signature));
        let other = json!({ "alg": "ES256", "kid": "unknown" });
        assert_eq!(
            verify(&[published(&pages)], &signer.sign(&other, &claims()), now()),
            Err(TokenError::Key("ci".into()))
        );
    }

    #[test]
    fn times_may_be_a_little_apart() {
        let signer = Signer::new();
        let mut late = claims();
        late["exp"] = json!(NOW - SKEW_SECS_MAX + 1);
        assert!(verify(&issuers(&signer), &signer.sign(&header(), &late), now()).is_ok());
        let mut early = claims();
        early["nbf"] = json!(NOW + SKEW_SECS_MAX);
        assert!(verify(&issuers(&signer), &signer.sign(&header(), &early), now()).is_ok());
    }

    #[test]
    fn key_sets_hold_public_keys_for_signatures() {
        let parse = |set: &Value| KeySet::parse(set.to_string().as_bytes()).err();
        assert_eq!(parse(&json!({ "keys": [] })), Some(KeySetError::NoKey));
        assert_eq!(parse(&json!({ "keys": [{ "kty": "oct", "k": "c2hhcmVk" }] })), Some(KeySetError::NoKey));
        assert_eq!(parse(&json!([])), Some(KeySetError::Form));
        for unusable in [
            json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode([7; 32]), "use": "enc" }),
            json!({ "kty": "RSA", "n": BASE64.encode([7; 128]), "e": "AQAB" }),
        ] {
            assert_eq!(parse(&json!({ "keys": [unusable] })), Some(KeySetError::NoKey), "{unusable}");
        }
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64.encode([7; 32]) });
        assert_eq!(parse(&json!({ "keys": vec![key.clone(); KEYS_MAX] })), None);
        assert_eq!(parse(&json!({ "keys": vec![key; KEYS_MAX + 1] })), Some(KeySetError::TooMany));
        assert_eq!(KeySet::parse(&vec![b' '; KEY_SET_BYTES_MAX + 1]).err(), Some(KeySetError::TooMany));
    }
}
