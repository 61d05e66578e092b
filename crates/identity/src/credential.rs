//! Issued credentials: shown once, kept only as what can check them.

use gatehouse_model::{Secret, Task, TaskId, Verifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// RFC 7677 asks for at least this many; the password has 160 random bits, so more would protect nothing.
const ITERATIONS: u32 = 4096;

/// The rest of an entropy of 32 bytes is the password's 160 bits.
const SALT_BYTES: usize = 12;

/// What every password begins with, and how many characters follow: five bits each.
const PREFIX: &str = "gh_";
const PASSWORD_CHARS: usize = 32;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A user name and a password that belong to one task.
#[derive(Debug)]
pub struct Credential {
    /// What a client logs in by: the identity's name, a dot, and the task's number.
    pub user: String,
    /// Shown once, to whom the task was started for.
    pub password: Secret,
}

impl Credential {
    /// Makes the credential of a task, and the verifier to keep.
    pub fn issue(task: &Task, entropy: [u8; 32]) -> (Self, Verifier) {
        let (random, salt) = entropy.split_at(entropy.len() - SALT_BYTES);
        let password = format!("{PREFIX}{}", encode(random));
        let number = task.id.as_str().trim_start_matches("tsk-");
        let verifier = verifier(password.as_bytes(), salt);
        (Self { user: format!("{}.{number}", task.identity.name()), password: Secret::new(password) }, verifier)
    }
}

impl Credential {
    /// Whether a user name is of the form that credentials have: `NAME.NUMBER`.
    pub fn is_user(user: &str) -> bool {
        user.rsplit_once('.').is_some_and(|(_, number)| TaskId::parse(&format!("tsk-{number}")).is_ok())
    }

    /// Whether a password is of the form that credentials have: what is not needs no proof.
    pub fn is_password(password: &str) -> bool {
        let random = password.strip_prefix(PREFIX).unwrap_or_default();
        random.len() == PASSWORD_CHARS && random.bytes().all(|byte| ALPHABET.contains(&byte))
    }

    /// What a user who does not exist is challenged with: always the same, and like a real one in every length.
    pub fn decoy(user: &str, key: &[u8; 32]) -> Verifier {
        let part = |purpose: &str| hmac(key, format!("{purpose} {user}").as_bytes());
        Verifier {
            salt: part("salt").iter().copied().take(SALT_BYTES).collect(),
            iterations: ITERATIONS,
            stored_key: part("stored key"),
            server_key: part("server key"),
        }
    }
}

fn verifier(password: &[u8], salt: &[u8]) -> Verifier {
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, ITERATIONS, &mut salted);
    Verifier {
        salt: salt.to_vec(),
        iterations: ITERATIONS,
        stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
        server_key: hmac(&salted, b"Server Key"),
    }
}

/// HMAC-SHA-256 (RFC 2104).
pub fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(data);
            mac.finalize().into_bytes().into()
        }
        // HMAC takes keys of every length.
        Err(_) => [0; 32],
    }
}

/// Whether a password is the one that a verifier was made of.
pub fn proves(of: &Verifier, password: &[u8]) -> bool {
    let made = verifier(password, &of.salt);
    of.iterations == ITERATIONS && bool::from(made.stored_key.ct_eq(&of.stored_key))
}

/// What a person shows to the API. It expires, and only its digest is kept.
#[derive(Debug)]
pub struct Token(pub Secret);

impl Token {
    /// Makes a token, and the digest to keep.
    pub fn issue(entropy: [u8; 32]) -> (Self, [u8; 32]) {
        let text = format!("ghu_{}", encode(&entropy));
        let digest = token_digest(&text);
        (Self(Secret::new(text)), digest)
    }
}

/// What is kept of a token.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Five bits a character; what is left over at the end is padded with zeros.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let bits = bytes.len() * 8;
    (0..bits.div_ceil(5))
        .filter_map(|place| {
            let value = (0..5).fold(0usize, |value, offset| {
                let bit = place * 5 + offset;
                let byte = bytes.get(bit / 8).copied().unwrap_or(0);
                value << 1 | usize::from(byte >> (7 - bit % 8) & 1)
            });
            ALPHABET.get(value).map(|&byte| char::from(byte))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_carry_five_bits_each() {
        assert_eq!(encode(&[0; 5]), "00000000");
        assert_eq!(encode(&[0xff; 5]), "zzzzzzzz");
        assert_eq!(encode(&[0b0000_1000, 0]), "1000");
        assert_eq!(encode(&[7; 20]).len(), 32);
    }

    /// The example of RFC 7677, section 3.
    #[test]
    fn verifiers_are_those_of_the_rfc() {
        let salt = [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let verifier = verifier(b"pencil", &salt);
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac(&verifier.server_key, auth.as_bytes());
        // v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=
        assert_eq!(signature.first_chunk::<4>(), Some(&[0xea, 0xba, 0xe2, 0x4d]));
    }
}
