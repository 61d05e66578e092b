//! Issuers of workload tokens that the configuration trusts, and which of their tokens is which agent.
//!
//! One verifier for all of them: Kubernetes' service accounts, CI systems, SPIFFE, cloud workload identity and any
//! OpenID provider sign JSON Web Tokens (RFC 7519) with keys that they publish (RFC 7517). What differs are the claims,
//! and those are the configuration's to pin.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gatehouse_model::{AgentName, Identity};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use openidconnect::http::Request;
use serde::Deserialize;
use serde_json::Value;

use crate::assertion::Assertions;
use crate::cached::{Cached, Look, Unfetched};
use crate::claims::{self, claim, shown};
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
    /// What they must say as `aud`, one of these, so that a token for somebody else is none for this gateway.
    pub audience: Vec<String>,
    /// Its keys.
    pub keys: Keys,
    /// Its agents; the first rule that fits counts.
    pub agents: Vec<AgentRule>,
    /// The claim that names a person, if its tokens that are no agent's are people's.
    pub user_claim: Option<String>,
    /// How its tokens are shown where a protocol has several ways.
    pub login: TokenLogin,
    /// The longest life of a task that is started with one of its tokens, in seconds.
    pub task_secs_max: u32,
}

/// How a token is shown where a protocol has several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLogin {
    /// In a password's place.
    Password,
    /// By a mechanism of its own (RFC 7628).
    Bearer,
}

/// Whoever showed a token, as far as it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The agent, or the person.
    pub identity: Identity,
    /// Who vouches for that, as records name it.
    pub via: String,
    /// What they are called there.
    pub subject: String,
    /// Who acted for them before, the last of them first.
    pub actors: Vec<String>,
    /// Until when the token is good.
    pub expires: Timestamp,
    /// The longest life of a task that is started with it, in seconds.
    pub task_secs_max: u32,
    pub(crate) claims: Value,
}

impl Bearer {
    /// Whether their token lets them be acted for by that other one (`may_act` of RFC 8693, section 4.4).
    pub fn lets_act(&self, actor: &Bearer) -> bool {
        claims::may_act(&self.claims, &actor.claims)
    }

    /// Whether their token names who may act for them.
    pub fn says_who_may_act(&self) -> bool {
        self.claims.get("may_act").is_some()
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.via, self.subject)
    }
}

impl TokenError {
    /// Whether it is the gateway that cannot judge the token now, and not the token that is no good.
    pub fn is_the_gateways(&self) -> bool {
        match self {
            Self::NoKeys { .. } | Self::TooMany => true,
            Self::TooLong
            | Self::Form
            | Self::Issuer(_)
            | Self::Key(_)
            | Self::Signature
            | Self::Audience(_)
            | Self::Claim(_)
            | Self::Bound
            | Self::Expired
            | Self::NotYet
            | Self::Agent(_)
            | Self::Person { .. }
            | Self::LongLived(_)
            | Self::Replayed
            | Self::Old => false,
        }
    }
}

/// Who issued a token, by its own word; `None` for what is no token.
pub fn issuer_of(token: &str) -> Option<String> {
    begun(token.trim_ascii()).ok().map(|(_, issuer)| shown(&issuer))
}

/// Whose tokens are believed.
pub struct Believed<'a> {
    /// The issuers of the configuration.
    pub issuers: &'a [Issuer],
    /// Agents that sign for themselves, by the keys that the configuration has of them.
    pub agents: &'a BTreeMap<AgentName, KeySet>,
    /// What an agent that signs for itself calls this gateway.
    pub gateway: &'a [String],
    /// What agents signed for themselves and was shown.
    pub assertions: &'a Assertions,
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
    /// It is a person's, but does not say whose.
    #[error("the token's claim `{claim}` names no person: {cause}")]
    Person {
        /// Which.
        claim: String,
        /// Why.
        cause: &'static str,
    },
    /// An agent signed it for itself, and not for one use soon.
    #[error("a token that an agent signs for itself has an `iat`, and is good for at most {0} s")]
    LongLived(i64),
    /// It was shown before.
    #[error("the token was shown before: each `jti` is good once")]
    Replayed,
    /// It may have been shown before.
    #[error("the token is older than this gateway's start, which does not know what was shown before that")]
    Old,
    /// More are remembered than may be.
    #[error("more tokens that agents signed for themselves are under way than are remembered")]
    TooMany,
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

    async fn get(&self, now: Timestamp, look: Look) -> Result<Arc<KeySet>, String> {
        let fetch = fetched(self.issuer.clone(), self.uri.clone(), self.fetch.clone());
        self.cached.get(now, look, fetch).await.map_err(|error| match error {
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
    async fn get(&self, now: Timestamp, look: Look) -> Result<Arc<KeySet>, String> {
        match self {
            Self::Held(keys) => Ok(Arc::new(keys.clone())),
            Self::Published(keys) => keys.get(now, look).await,
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

/// Finds out who shows a token: its issuer, its signature, its times and its claims must all be right.
///
/// # Errors
/// [`TokenError`], which is for the log; whoever showed the token learns only that it is not good.
pub async fn verify(believed: &Believed<'_>, token: &str, now: Timestamp) -> Result<Bearer, TokenError> {
    // Files end in a line break.
    let token = token.trim_ascii();
    let (header, says) = begun(token)?;
    if let Some(agent) = says.strip_prefix("agent:") {
        let keys = AgentName::new(agent).ok().and_then(|agent| believed.agents.get_key_value(&agent));
        let (agent, keys) = keys.ok_or_else(|| TokenError::Issuer(shown(&says)))?;
        return check_assertion(believed, agent, keys, token, &header, now);
    }
    let issuer = believed.issuers.iter().find(|issuer| issuer.issuer == says);
    let issuer = issuer.ok_or_else(|| TokenError::Issuer(shown(&says)))?;
    let no_keys = |cause| TokenError::NoKeys { issuer: issuer.name.clone(), cause };
    let keys = issuer.keys.get(now, Look::Whatever).await.map_err(no_keys)?;
    match check(issuer, &keys, token, &header, now) {
        // An issuer changes its keys now and then.
        Err(TokenError::Key(_)) => {
            let keys = issuer.keys.get(now, Look::ForWhatIsMissing).await.map_err(no_keys)?;
            check(issuer, &keys, token, &header, now)
        }
        checked => checked,
    }
}

/// A token's header, and who signed it by its own word, which decides by which keys it is checked; nothing else of it is
/// read before that.
pub(crate) fn begun(token: &str) -> Result<(Header, String), TokenError> {
    token::install();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|_| TokenError::Form)?;
    // What is critical must be understood (RFC 7515, section 4.1.11), and nothing of it is.
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(TokenError::Form);
    }
    let unproven = jsonwebtoken::dangerous::insecure_decode_claims::<Value>(token).map_err(|_| TokenError::Form)?;
    let says = unproven.get("iss").and_then(Value::as_str).ok_or(TokenError::Claim("iss"))?;
    Ok((header, says.to_string()))
}

/// The claims of a token that one of these keys signed, and that is good now.
pub(crate) fn proven(
    keys: &KeySet,
    of: &str,
    token: &str,
    header: &Header,
    now: Timestamp,
) -> Result<(Value, Timestamp), TokenError> {
    let key = keys.of(header).ok_or_else(|| TokenError::Key(of.into()))?;
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
    let expires = check_times(&claims, now)?;
    if claims.get("cnf").is_some() {
        return Err(TokenError::Bound);
    }
    Ok((claims, expires))
}

/// Whether a token is good by these keys of its issuer.
fn check(issuer: &Issuer, keys: &KeySet, token: &str, header: &Header, now: Timestamp) -> Result<Bearer, TokenError> {
    let (claims, expires) = proven(keys, &issuer.name, token, header, now)?;
    if !is_meant(claims.get("aud"), &issuer.audience) {
        return Err(TokenError::Audience(issuer.audience.join(" or ")));
    }
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(TokenError::Claim("sub"))?;
    let fits = |rule: &&AgentRule| rule.claims.iter().all(|(name, wanted)| is_or_holds(claim(&claims, name), wanted));
    let identity = match (issuer.agents.iter().find(fits), &issuer.user_claim) {
        (Some(rule), _) => Identity::Agent(rule.agent.clone()),
        (None, Some(name)) => {
            let person = |cause| TokenError::Person { claim: name.clone(), cause };
            Identity::User(claims::user(&claims, name).map_err(person)?)
        }
        (None, None) => return Err(TokenError::Agent(issuer.name.clone())),
    };
    Ok(Bearer {
        identity,
        via: format!("issuer {}", issuer.name),
        subject: shown(subject),
        actors: claims::actors(&claims).ok_or(TokenError::Claim("act"))?,
        expires,
        task_secs_max: issuer.task_secs_max,
        claims,
    })
}

/// Whether a token is one that an agent signed for itself (RFC 7523, section 3), for one use.
fn check_assertion(
    believed: &Believed<'_>,
    agent: &AgentName,
    keys: &KeySet,
    token: &str,
    header: &Header,
    now: Timestamp,
) -> Result<Bearer, TokenError> {
    let name = format!("agent:{agent}");
    let (claims, expires) = proven(keys, &name, token, header, now)?;
    if !is_meant(claims.get("aud"), believed.gateway) {
        return Err(TokenError::Audience(believed.gateway.join("` or `")));
    }
    if claims.get("sub").and_then(Value::as_str) != Some(&name) {
        return Err(TokenError::Claim("sub"));
    }
    let made = time(&claims, "iat")?.ok_or(TokenError::Claim("iat"))?;
    let jti =
        claims.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty()).ok_or(TokenError::Claim("jti"))?;
    believed.assertions.use_once(&name, jti, made, expires, now)?;
    Ok(Bearer {
        identity: Identity::Agent(agent.clone()),
        via: "its own key".into(),
        subject: header.kid.as_deref().map(shown).unwrap_or_else(|| name.clone()),
        actors: Vec::new(),
        expires,
        task_secs_max: u32::MAX,
        claims,
    })
}

/// Whether a token is good now; until when it is.
fn check_times(claims: &Value, now: Timestamp) -> Result<Timestamp, TokenError> {
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
    Ok(expires)
}

/// A claim that is a time (RFC 7519's NumericDate), if it is there.
fn time(claims: &Value, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| value.as_f64().filter(|secs| secs.is_finite()).map(|secs| secs as i64));
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).map(Some).ok_or(TokenError::Claim(name))
}

/// Whether `aud` is one of the names, or a list that has one (RFC 7519, section 4.1.3).
pub(crate) fn is_meant(claim: Option<&Value>, names: &[String]) -> bool {
    let is_one = |item: &Value| item.as_str().is_some_and(|item| names.iter().any(|name| name == item));
    match claim {
        Some(Value::Array(items)) => items.iter().any(is_one),
        other => other.is_some_and(is_one),
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
    fn verify(issuers: &[Issuer], token: &str, now: Timestamp) -> Result<Bearer, TokenError> {
        let (agents, assertions) = (BTreeMap::new(), Assertions::new(now));
        let believed = Believed { issuers, agents: &agents, gateway: &[], assertions: &assertions };
        super::verify(&believed, token, now).now_or_never().expect("at once")
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
            audience: vec!["gatehouse".into()],
            keys: Keys::Held(signer.keys()),
            task_secs_max: 600,
            user_claim: None,
            login: TokenLogin::Password,
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
            assert_eq!(workload.identity.to_string(), "agent:deployer");
            assert_eq!((workload.to_string().as_str(), workload.task_secs_max), ("issuer ci (repo:shop:main)", 600));
            assert_eq!(workload.expires.as_second(), NOW + 300);
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
    fn a_token_that_is_no_agents_may_be_a_persons() {
        let signer = Signer::new();
        let mut issuers = issuers(&signer);
        issuers[0].user_claim = Some("email".into());
        let shown = |email: Value, act: Value| {
            let mut claims = claims();
            claims["environment"] = json!("laptop");
            claims["email"] = email;
            claims["email_verified"] = json!(true);
            claims["act"] = act;
            verify(&issuers, &signer.sign(&header(), &claims), now())
        };
        let person = shown(json!("Dana@corp.example"), json!({ "sub": "planner" })).unwrap();
        assert_eq!(
            (person.identity.to_string().as_str(), person.actors),
            ("user:dana@corp.example", vec!["planner".into()])
        );
        assert!(matches!(shown(json!(7), json!({ "sub": "x" })), Err(TokenError::Person { .. })));
        assert_eq!(shown(json!("dana@corp.example"), json!("x")), Err(TokenError::Claim("act")));
        let workload = verify(&issuers, &signer.sign(&header(), &claims()), now()).unwrap();
        assert_eq!(workload.identity.to_string(), "agent:deployer", "an agent's token stays one");
    }

    #[test]
    fn an_agent_that_signs_for_itself_is_heard_once() {
        let signer = Signer::new();
        let agents = BTreeMap::from([(AgentName::new("claude").unwrap(), signer.keys())]);
        let assertions = Assertions::new(Timestamp::from_second(NOW - 60).unwrap());
        let gateway = ["https://gw.example".to_string(), "https://gw.example/oauth/token".into()];
        let believed = Believed { issuers: &[], agents: &agents, gateway: &gateway, assertions: &assertions };
        let with = |changes: &[(&str, Value)]| {
            let mut claims = json!({
                "iss": "agent:claude", "sub": "agent:claude", "aud": "https://gw.example", "jti": "1", "iat": NOW,
                "exp": NOW + 60,
            });
            for (name, value) in changes {
                claims[name] = value.clone();
            }
            super::verify(&believed, &signer.sign(&header(), &claims), now()).now_or_never().unwrap()
        };
        assert_eq!(with(&[]).unwrap().to_string(), "its own key (point)");
        assert_eq!(with(&[]), Err(TokenError::Replayed));
        assert_eq!(with(&[("exp", json!(NOW + 61))]), Err(TokenError::Replayed), "whatever else it says");
        assert!(with(&[("jti", json!("2")), ("aud", json!(["https://gw.example/oauth/token"]))]).is_ok());
        for (name, value, expected) in [
            ("iss", json!("agent:other"), TokenError::Issuer("agent:other".into())),
            ("sub", json!("agent:other"), TokenError::Claim("sub")),
            ("aud", json!("https://other.example"), TokenError::Audience(gateway.join("` or `"))),
            ("jti", json!(null), TokenError::Claim("jti")),
            ("jti", json!(""), TokenError::Claim("jti")),
            ("iat", json!(null), TokenError::Claim("iat")),
            ("iat", json!(NOW - 120), TokenError::Old),
            ("exp", json!(NOW + 3600), TokenError::LongLived(300)),
            ("exp", json!(NOW - 60), TokenError::Expired),
        ] {
            let others = if name == "jti" { value.clone() } else { json!(format!("3 {name} {value}")) };
            assert_eq!(with(&[("jti", others), (name, value)]), Err(expected), "{name}");
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
        assert_eq!(verify(&[published(&pages)], &token, now()).unwrap().identity.name(), "deployer");
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
