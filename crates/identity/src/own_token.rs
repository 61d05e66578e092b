//! Tokens that the gateway signs: each belongs to one task, and is good for as long as that lives.
//!
//! Knows its own key. Whether the task lives it leaves to whoever asks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use gatehouse_model::{Secret, Task, TaskId};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::issuer::{KeySet, TokenError, begun, proven};

/// What signs them.
pub struct TokenKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    name: String,
    published: Value,
    keys: KeySet,
}

/// The key cannot be made, or is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no key on the curve P-256 in the form of PKCS #8")]
pub struct NoTokenKey;

/// What a token of the gateway's says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskToken {
    /// The task that it belongs to.
    pub task: TaskId,
    /// Until when it is good, if the task lives.
    pub expires: Timestamp,
    /// The targets that it is for.
    pub targets: Vec<String>,
}

impl TokenKey {
    /// Makes a key, in the form of PKCS #8.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate() -> Result<Secret, NoTokenKey> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Ok(Secret::new(made.map_err(|_| NoTokenKey)?.as_ref()))
    }

    /// Reads a key.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(pkcs8: &[u8]) -> Result<Self, NoTokenKey> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
        let pair = pair.map_err(|_| NoTokenKey)?;
        // One byte says that both coordinates follow.
        let (x, y) = pair.public_key().as_ref().split_at_checked(33).ok_or(NoTokenKey)?;
        let (x, y) = (BASE64.encode(x.get(1..).unwrap_or_default()), BASE64.encode(y));
        // RFC 7638: the members that make the key, in order.
        let name = BASE64.encode(Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)));
        let published = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": name, "alg": "ES256", "use": "sig" }] });
        let keys = KeySet::parse(published.to_string().as_bytes()).map_err(|_| NoTokenKey)?;
        Ok(Self { pair, random, name, published, keys })
    }

    /// The JSON Web Key Set that others check tokens by (RFC 7517).
    pub fn published(&self) -> &Value {
        &self.published
    }

    /// Signs a task's token, in the form of RFC 9068. Who acts for whom stands in `sub` and `act` (RFC 8693, section 4.1).
    /// `None` if it cannot be signed.
    pub fn sign(&self, task: &Task, issuer: &str, jti: &str, now: Timestamp) -> Option<Secret> {
        let mut parties = vec![task.identity.to_string()];
        parties.extend(task.origin.actors.iter().cloned());
        let person = task.on_behalf_of.as_ref().map(|user| format!("user:{user}"));
        // Where no person is acted for, it is whoever began.
        let subject = person.or_else(|| parties.pop()).unwrap_or_default();
        let act = parties.iter().rev().fold(None, |act: Option<Value>, party| {
            Some(match act {
                None => json!({ "sub": party }),
                Some(act) => json!({ "sub": party, "act": act }),
            })
        });
        let mut claims = json!({
            "iss": issuer, "sub": subject, "aud": task.targets.iter().map(|target| target.as_str()).collect::<Vec<_>>(),
            "iat": now.as_second(), "nbf": now.as_second(), "exp": task.expires.as_second(), "jti": jti,
            "client_id": task.identity.to_string(), "task": task.id.as_str(),
        });
        if let (Some(act), Some(claims)) = (act, claims.as_object_mut()) {
            claims.insert("act".into(), act);
        }
        let header = json!({ "alg": "ES256", "kid": self.name, "typ": "at+jwt" });
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.pair.sign(&self.random, message.as_bytes()).ok()?;
        Some(Secret::new(format!("{message}.{}", BASE64.encode(signature.as_ref()))))
    }

    /// What a token of this gateway's says.
    ///
    /// # Errors
    /// [`TokenError`], as with anybody's.
    pub fn verify(&self, issuer: &str, token: &str, now: Timestamp) -> Result<TaskToken, TokenError> {
        let token = token.trim_ascii();
        let (header, says) = begun(token)?;
        if says != issuer {
            return Err(TokenError::Issuer(says));
        }
        let (claims, expires) = proven(&self.keys, "this gateway", token, &header, now)?;
        let task = claims.get("task").and_then(Value::as_str).and_then(|task| TaskId::parse(task).ok());
        let targets = claims.get("aud").and_then(Value::as_array).ok_or(TokenError::Claim("aud"))?;
        Ok(TaskToken {
            task: task.ok_or(TokenError::Claim("task"))?,
            expires,
            targets: targets.iter().filter_map(Value::as_str).map(Into::into).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{Budget, Identity, Origin, TargetName, UserName};

    use super::*;

    fn task(person: Option<&str>, actors: &[&str]) -> Task {
        Task {
            id: TaskId::from_random(7),
            identity: Identity::parse("agent:claude").unwrap(),
            on_behalf_of: person.map(|name| UserName::new(name).unwrap()),
            targets: [TargetName::new("shop").unwrap()].into(),
            reason: "tests".into(),
            budget: Budget::default(),
            origin: Origin { actors: actors.iter().map(|name| (*name).into()).collect(), ..Origin::default() },
            started: Timestamp::from_second(1000).unwrap(),
            expires: Timestamp::from_second(2000).unwrap(),
            ended: None,
        }
    }

    fn claims(token: &Secret) -> Value {
        let text = String::from_utf8(token.expose().to_vec()).unwrap();
        serde_json::from_slice(&BASE64.decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_who_acts_for_whom() {
        let key = TokenKey::read(TokenKey::generate().unwrap().expose()).unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        let of = |person, actors: &[&str]| {
            let claims = claims(&key.sign(&task(person, actors), "https://gw", "1", now).unwrap());
            (claims["sub"].clone(), claims["act"].clone())
        };
        assert_eq!(of(None, &[]), (json!("agent:claude"), Value::Null));
        assert_eq!(of(Some("dana"), &[]), (json!("user:dana"), json!({ "sub": "agent:claude" })));
        let handed = json!({ "sub": "agent:claude", "act": { "sub": "planner" } });
        assert_eq!(of(Some("dana"), &["planner"]), (json!("user:dana"), handed));
        assert_eq!(of(None, &["agent:planner"]), (json!("agent:planner"), json!({ "sub": "agent:claude" })));
    }

    #[test]
    fn only_this_gateways_tokens_are_its_own() {
        let key = TokenKey::read(TokenKey::generate().unwrap().expose()).unwrap();
        let other = TokenKey::read(TokenKey::generate().unwrap().expose()).unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let signed = key.sign(&task(None, &[]), "https://gw", "1", at(1000)).unwrap();
        let text = String::from_utf8(signed.expose().to_vec()).unwrap();
        let read = key.verify("https://gw", &text, at(1999)).unwrap();
        assert_eq!((read.task.clone(), read.targets), (TaskId::from_random(7), vec!["shop".into()]));
        assert_eq!(key.verify("https://gw", &text, at(2031)), Err(TokenError::Expired));
        assert_eq!(key.verify("https://other", &text, at(1000)), Err(TokenError::Issuer("https://gw".into())));
        assert_eq!(other.verify("https://gw", &text, at(1000)), Err(TokenError::Key("this gateway".into())));
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(key.verify("https://gw", &changed, at(1000)).is_err(), "bit {bit}");
        }
    }
}
