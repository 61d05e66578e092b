//! The server's side: the gateway checks a client's proof.
//!
//! Knows verifiers, never passwords. Nonces come from the caller.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_model::Verifier;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{ScramError, hmac, xor};

/// What the mechanism that the client chose says of channel binding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// There was none to be had.
    None,
    /// It was offered, and the client chose to do without.
    Declined,
    /// It binds to this.
    EndPoint(&'a [u8]),
}

/// The server after the client's first message.
pub(crate) struct Challenged {
    verifier: Verifier,
    /// False for a decoy: the exchange runs to its end and then fails.
    known: bool,
    client_first_bare: String,
    server_first: String,
    nonce: String,
    /// What the client's last message must repeat: its header, and what the channel is bound to.
    channel: Vec<u8>,
}

/// Answers the client's first message; returns what to send. With a verifier that is not `known`, the exchange fails at
/// its end.
pub(crate) fn challenge(
    client_first: &str,
    verifier: Verifier,
    known: bool,
    server_nonce: &[u8],
    binding: Binding<'_>,
) -> Result<(Challenged, String), ScramError> {
    let (header, bare) = split_header(client_first, binding)?;
    let mut attributes = bare.split(',');
    if !attributes.next().is_some_and(|name| name.starts_with("n=")) {
        return Err(ScramError::Malformed("the first message has no user name"));
    }
    let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
    let nonce = nonce.filter(|nonce| !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic()));
    let nonce = nonce.ok_or(ScramError::Malformed("the first message has no nonce"))?;

    let nonce = format!("{nonce}{}", BASE64.encode(server_nonce));
    let server_first = format!("r={nonce},s={},i={}", BASE64.encode(&verifier.salt), verifier.iterations);
    let challenged = Challenged {
        verifier,
        known,
        client_first_bare: bare.into(),
        server_first: server_first.clone(),
        nonce,
        channel: match binding {
            Binding::None | Binding::Declined => header.as_bytes().to_vec(),
            Binding::EndPoint(endpoint) => [header.as_bytes(), endpoint].concat(),
        },
    };
    Ok((challenged, server_first))
}

/// Splits the header from the rest. `y` says that the client could bind and believes that the server cannot: where it
/// can, somebody in between has hidden the offer.
fn split_header<'a>(message: &'a str, binding: Binding<'_>) -> Result<(&'a str, &'a str), ScramError> {
    let headers: &[&str] = match binding {
        Binding::None => &["n,,", "y,,"],
        Binding::Declined => &["n,,"],
        Binding::EndPoint(_) => &["p=tls-server-end-point,,"],
    };
    for header in headers {
        if let Some(bare) = message.strip_prefix(header) {
            return Ok((message.get(..header.len()).unwrap_or_default(), bare));
        }
    }
    Err(ScramError::Malformed("its channel binding is not that of its mechanism, or it has an authorization identity"))
}

impl Challenged {
    /// Checks the client's final message; returns the server's.
    pub(crate) fn finish(self, client_final: &str) -> Result<String, ScramError> {
        let (without_proof, proof) =
            client_final.rsplit_once(",p=").ok_or(ScramError::Malformed("the final message has no proof"))?;
        let expected = format!("c={},r={}", BASE64.encode(&self.channel), self.nonce);
        if without_proof != expected {
            return Err(ScramError::Malformed("the final message does not belong to this exchange"));
        }
        let proof = BASE64.decode(proof).ok().and_then(|proof| <[u8; 32]>::try_from(proof).ok());
        let proof = proof.ok_or(ScramError::Malformed("the proof is not 32 bytes of base64"))?;

        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let signature = hmac(&self.verifier.stored_key, auth_message.as_bytes());
        let stored: [u8; 32] = Sha256::digest(xor(proof, signature)).into();
        let proven = bool::from(stored.ct_eq(&self.verifier.stored_key));
        if !(proven && self.known) {
            return Err(ScramError::Refused);
        }
        let signature = hmac(&self.verifier.server_key, auth_message.as_bytes());
        Ok(format!("v={}", BASE64.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

    fn verifier(password: &[u8]) -> Verifier {
        let salt = b"0123456789abcdef".to_vec();
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, 4096, &mut salted);
        Verifier {
            salt,
            iterations: 4096,
            stored_key: Sha256::digest(hmac(&salted, b"Client Key")).into(),
            server_key: hmac(&salted, b"Server Key"),
        }
    }

    /// The client is the one that PostgreSQL's Rust drivers use.
    fn exchange(password: &[u8], verifier: Verifier, known: bool) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(password, ChannelBinding::unsupported());
        let first = String::from_utf8(client.message().to_vec()).unwrap();
        let (challenged, reply) = challenge(&first, verifier, known, b"server nonce", Binding::None)?;
        client.update(reply.as_bytes()).unwrap();
        let last = challenged.finish(std::str::from_utf8(client.message()).unwrap())?;
        client.finish(last.as_bytes()).unwrap();
        Ok(())
    }

    #[test]
    fn accepts_the_right_password_and_nothing_else() {
        assert_eq!(exchange(b"right", verifier(b"right"), true), Ok(()));
        assert_eq!(exchange(b"wrong", verifier(b"right"), true), Err(ScramError::Refused));
        assert_eq!(exchange(b"right", verifier(b"right"), false), Err(ScramError::Refused));
    }

    #[test]
    fn binds_to_the_channel() {
        let bound = |client: &[u8], server: &[u8]| {
            let binding = ChannelBinding::tls_server_end_point(client.to_vec());
            let mut client = ScramSha256::new(b"right", binding);
            let first = String::from_utf8(client.message().to_vec()).unwrap();
            let (challenged, reply) = challenge(&first, verifier(b"right"), true, b"x", Binding::EndPoint(server))?;
            client.update(reply.as_bytes()).unwrap();
            challenged.finish(std::str::from_utf8(client.message()).unwrap()).map(|_| ())
        };
        assert_eq!(bound(b"certificate", b"certificate"), Ok(()));
        assert!(bound(b"another certificate", b"certificate").is_err());
        // A header that says the client could bind, where binding was offered, shows that the offer was hidden.
        assert!(challenge("y,,n=,r=abc", verifier(b""), true, b"x", Binding::Declined).is_err());
        assert!(challenge("n,,n=,r=abc", verifier(b""), true, b"x", Binding::Declined).is_ok());
        assert!(challenge("n,,n=,r=abc", verifier(b""), true, b"x", Binding::EndPoint(b"c")).is_err());
    }

    #[test]
    fn refuses_malformed_messages() {
        for first in ["", "n,,", "n,,n=", "n,,n=,r=", "p=tls-unique,,n=,r=abc", "n,a=x,n=,r=abc", "n,,m=x,n=,r=abc"] {
            assert!(challenge(first, verifier(b""), true, b"x", Binding::None).is_err(), "{first}");
        }
        for last in ["", "c=biws", "c=biws,r=other,p=AAAA", "c=eSws,r=abceA==,p=AAAA", "c=biws,r=abceA==,p=AAAA"] {
            let (challenged, _) = challenge("n,,n=,r=abc", verifier(b""), true, b"x", Binding::None).unwrap();
            assert!(challenged.finish(last).is_err(), "{last}");
        }
    }
}
