//! Whoever signs tokens in the tests: a CI system, a person's provider, an agent with a key of its own.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::secret::remember_token;

/// A key on the curve P-256.
pub struct Signer(EcdsaKeyPair);

/// Now, in seconds of Unix time.
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.ok().and_then(|now| i64::try_from(now.as_secs()).ok()).unwrap_or_default()
}

impl Signer {
    /// Makes a key.
    pub fn new() -> Result<Self> {
        let (how, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(how, &random).ok().context("a key")?;
        Ok(Self(EcdsaKeyPair::from_pkcs8(how, document.as_ref(), &random).ok().context("a key")?))
    }

    /// Its public half, as a JSON Web Key Set.
    pub fn keys(&self) -> String {
        // One byte says that both coordinates follow.
        let (x, y) = self.0.public_key().as_ref().split_at(33);
        let (x, y) = (BASE64.encode(x.get(1..).unwrap_or_default()), BASE64.encode(y));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "ci-1", "use": "sig" }] }).to_string()
    }

    /// The same in PEM.
    pub fn pem(&self) -> String {
        // An SubjectPublicKeyInfo of this kind of key begins the same for all of them (RFC 5480).
        const BEGINNING: [u8; 26] = [
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ];
        let key = STANDARD.encode([&BEGINNING, self.0.public_key().as_ref()].concat());
        let (first, second) = key.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    }

    /// A token with these claims, and with `iat` and an `exp` in two minutes where they do not say.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let mut claims = claims.clone();
        let members = claims.as_object_mut().context("claims are an object")?;
        members.entry("iat").or_insert_with(|| now().into());
        members.entry("exp").or_insert_with(|| (now() + 120).into());
        let header = json!({ "alg": "ES256", "kid": "ci-1" }).to_string();
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).ok().context("a signature")?;
        let token = format!("{message}.{}", BASE64.encode(signature));
        remember_token(&token);
        Ok(token)
    }

    /// A token of the CI system `https://ci.example`, for a job in an environment.
    pub fn job(&self, environment: &str) -> Result<String> {
        self.sign(&json!({
            "iss": "https://ci.example", "aud": "gatehouse", "sub": "repo:shop", "repository_id": "77",
            "environment": environment,
        }))
    }
}

/// What a token says, without a look at who signed it.
pub fn claims(token: &str) -> Result<Value> {
    let body = token.split('.').nth(1).context("a token has three parts")?;
    Ok(serde_json::from_slice(&BASE64.decode(body)?)?)
}
