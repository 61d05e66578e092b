//! SCRAM-SHA-256 (RFC 5802, RFC 7677) on both sides, as far as PostgreSQL uses it, with the channel binding
//! `tls-server-end-point` (RFC 5929).

pub(crate) mod client;
pub(crate) mod server;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The name under which the mechanism is offered.
pub(crate) const MECHANISM: &str = "SCRAM-SHA-256";
/// The same with channel binding.
pub(crate) const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Why an exchange failed; the client is told no more than that it did.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScramError {
    /// A message is not of RFC 5802's form.
    #[error("{0}")]
    Malformed(&'static str),
    /// The proof is wrong, or there is no such credential.
    #[error("the proof is wrong")]
    Refused,
}

/// HMAC-SHA-256; every key length is valid.
pub(crate) fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(data);
            mac.finalize().into_bytes().into()
        }
        Err(_) => [0; 32],
    }
}

fn xor(mut left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    left.iter_mut().zip(right).for_each(|(left, right)| *left ^= right);
    left
}
