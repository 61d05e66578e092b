//! The client's side: the gateway proves the password of a target.
//!
//! Knows the password only while keys are derived from it; those are kept, for each derivation takes thousands of hashes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_model::Secret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{MECHANISM, MECHANISM_PLUS, ScramError, hmac, xor};

/// The most derivations that are kept, the latest used.
const KEYS_MAX: usize = 64;
/// More iterations would let a server occupy the gateway with its answer.
const ITERATIONS_MAX: u32 = 100_000;

/// What is derived from a password, a salt and a number of iterations.
struct Keys {
    /// Of what it is derived.
    origin: [u8; 32],
    client: Zeroizing<[u8; 32]>,
    server: Zeroizing<[u8; 32]>,
}

/// Keys by what they are derived from.
#[derive(Clone, Default)]
pub(crate) struct KnownKeys(Arc<Mutex<Vec<Arc<Keys>>>>);

impl KnownKeys {
    fn of(&self, password: &[u8], salt: &[u8], iterations: u32) -> Arc<Keys> {
        let origin = Sha256::new()
            .chain_update(iterations.to_be_bytes())
            .chain_update(salt.len().to_be_bytes())
            .chain_update(salt)
            .chain_update(password);
        let origin: [u8; 32] = origin.finalize().into();
        if let Some(keys) = self.used(&origin) {
            return keys;
        }
        let mut salted = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(&prepared(password), salt, iterations, &mut *salted);
        let key = |name: &[u8]| Zeroizing::new(hmac(&*salted, name));
        let keys = Arc::new(Keys { origin, client: key(b"Client Key"), server: key(b"Server Key") });
        self.keep(keys.clone());
        keys
    }

    /// Keys that are kept, which are now those used last.
    fn used(&self, origin: &[u8; 32]) -> Option<Arc<Keys>> {
        let mut known = self.lock();
        let place = known.iter().position(|keys| keys.origin == *origin)?;
        let keys = known.remove(place);
        known.push(keys.clone());
        Some(keys)
    }

    fn keep(&self, keys: Arc<Keys>) {
        let mut known = self.lock();
        known.retain(|other| other.origin != keys.origin);
        if known.len() >= KEYS_MAX {
            known.remove(0);
        }
        known.push(keys);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Keys>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The password as RFC 7677 has it; PostgreSQL takes one that has no such form as it is.
fn prepared(password: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    Zeroizing::new(prepared.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes()))
}

/// What the exchange binds to.
pub(crate) enum Binding {
    /// There is no TLS.
    None,
    /// There is TLS, and the server did not offer to bind to it.
    NotOffered,
    /// The hash of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    pub(crate) fn mechanism(&self) -> &'static str {
        match self {
            Self::None | Self::NotOffered => MECHANISM,
            Self::EndPoint(_) => MECHANISM_PLUS,
        }
    }

    /// The header of the first message, and what the last one repeats of it.
    fn header(&self) -> (&'static str, &[u8]) {
        match self {
            Self::None => ("n,,", &[]),
            Self::NotOffered => ("y,,", &[]),
            Self::EndPoint(hash) => ("p=tls-server-end-point,,", hash),
        }
    }
}

/// An exchange that the server is to answer.
pub(crate) struct Begun {
    binding: Binding,
    nonce: String,
}

/// An exchange in which the server is to prove itself.
pub(crate) struct Proven {
    keys: Arc<Keys>,
    messages: String,
}

impl Begun {
    /// Begins, with a nonce of random bytes.
    pub(crate) fn new(binding: Binding, random: &[u8]) -> Self {
        Self { binding, nonce: BASE64.encode(random) }
    }

    /// The first message. PostgreSQL knows the user already.
    pub(crate) fn message(&self) -> String {
        format!("{}n=,r={}", self.binding.header().0, self.nonce)
    }

    /// Answers the server's challenge; returns the last message too.
    pub(crate) fn prove(
        self,
        challenge: &[u8],
        password: &Secret,
        known: &KnownKeys,
    ) -> Result<(Proven, String), ScramError> {
        let challenge =
            std::str::from_utf8(challenge).map_err(|_| ScramError::Malformed("the challenge is no text"))?;
        let (nonce, salt, iterations) =
            read_challenge(challenge).ok_or(ScramError::Malformed("the challenge is not of RFC 5802's form"))?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(ScramError::Malformed("the challenge does not go on from the nonce"));
        }
        if !(1..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Malformed("the challenge asks for too many iterations, or for none"));
        }
        let keys = known.of(password.expose(), &salt, iterations);
        let (header, bound) = self.binding.header();
        let channel = BASE64.encode([header.as_bytes(), bound].concat());
        let without_proof = format!("c={channel},r={nonce}");
        let messages = format!("n=,r={},{challenge},{without_proof}", self.nonce);
        let stored = Sha256::digest(*keys.client);
        let proof = BASE64.encode(xor(*keys.client, hmac(&stored, messages.as_bytes())));
        Ok((Proven { keys, messages }, format!("{without_proof},p={proof}")))
    }
}

/// The nonce, the salt and the number of iterations.
fn read_challenge(challenge: &str) -> Option<(&str, Vec<u8>, u32)> {
    let mut attributes = challenge.split(',');
    let nonce = attributes.next()?.strip_prefix("r=")?;
    let salt = BASE64.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
    let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
    Some((nonce, salt, iterations))
}

impl Proven {
    /// Checks that the server knows the password too.
    pub(crate) fn finish(self, last: &[u8]) -> Result<(), ScramError> {
        let last = std::str::from_utf8(last).ok().and_then(|last| last.strip_prefix("v="));
        let signature = last.and_then(|last| BASE64.decode(last.split(',').next()?).ok());
        let signature = signature.ok_or(ScramError::Malformed("the last message has no signature"))?;
        let expected = hmac(&*self.keys.server, self.messages.as_bytes());
        if bool::from(signature.ct_eq(&expected)) { Ok(()) } else { Err(ScramError::Refused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

    /// The exchange of RFC 7677, section 3, but for its user, whom PostgreSQL has no need of.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let keys = KnownKeys::default().of(b"pencil", &BASE64.decode(SALT).unwrap(), 4096);
        let messages = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof = xor(*keys.client, hmac(&Sha256::digest(*keys.client), messages.as_bytes()));
        assert_eq!(BASE64.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = hmac(&*keys.server, messages.as_bytes());
        assert_eq!(BASE64.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_kept_has_a_limit_and_belongs_to_its_origin() {
        let known = KnownKeys::default();
        let first = known.of(b"a", b"salt", 1);
        assert!(Arc::ptr_eq(&first, &known.of(b"a", b"salt", 1)));
        for (password, salt, iterations) in [(b"b", &b"salt"[..], 1), (b"a", b"sal", 1), (b"a", b"salt", 2)] {
            let other = known.of(password, salt, iterations);
            assert_ne!(other.client, first.client);
        }
        for number in 0..KEYS_MAX {
            known.of(b"a", &number.to_be_bytes(), 1);
        }
        assert_eq!(known.0.lock().unwrap().len(), KEYS_MAX);
        assert!(!Arc::ptr_eq(&first, &known.of(b"a", b"salt", 1)));
    }

    #[test]
    fn refuses_what_no_server_says() {
        let known = KnownKeys::default();
        let nonce = BASE64.encode(b"x");
        let prove = |challenge: &str| {
            let begun = Begun::new(Binding::None, b"x");
            begun.prove(challenge.as_bytes(), &Secret::new(*b"p"), &known).map(|_| ())
        };
        assert_eq!(prove(&format!("r={nonce}abc,s={SALT},i=1")), Ok(()));
        for challenge in [
            String::new(),
            format!("r={nonce},s={SALT},i=1"),
            format!("r=other,s={SALT},i=1"),
            format!("r={nonce}abc,s=?,i=1"),
            format!("r={nonce}abc,s={SALT},i=0"),
            format!("r={nonce}abc,s={SALT},i=100001"),
            format!("r={nonce}abc,s={SALT},i=-1"),
            format!("m=x,r={nonce}abc,s={SALT},i=1"),
        ] {
            assert!(prove(&challenge).is_err(), "{challenge}");
        }
    }

    #[test]
    fn takes_no_server_that_does_not_know_the_password() {
        let challenge = format!("r={}abc,s={SALT},i=1", BASE64.encode(b"x"));
        let finish = |last: &dyn Fn(&Proven) -> String| {
            let begun = Begun::new(Binding::None, b"x");
            let (proven, _) = begun.prove(challenge.as_bytes(), &Secret::new(*b"p"), &KnownKeys::default()).unwrap();
            let last = last(&proven);
            proven.finish(last.as_bytes())
        };
        let sign = |proven: &Proven| hmac(&*proven.keys.server, proven.messages.as_bytes());
        assert_eq!(finish(&|proven| format!("v={}", BASE64.encode(sign(proven)))), Ok(()));
        assert_eq!(finish(&|_| format!("v={}", BASE64.encode([0; 32]))), Err(ScramError::Refused));
        assert_eq!(finish(&|proven| format!("v={}", BASE64.encode(&sign(proven)[..31]))), Err(ScramError::Refused));
        assert!(finish(&|_| "v=".into()).is_err());
        assert!(finish(&|_| "e=invalid-proof".into()).is_err());
    }
}
