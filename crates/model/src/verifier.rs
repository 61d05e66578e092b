//! What the gateway keeps of a credential that it issued: enough to check it, not enough to use it.

/// A SCRAM-SHA-256 verifier (RFC 5803): the credential itself cannot be computed from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// The salt.
    pub salt: Vec<u8>,
    /// PBKDF2's iteration count.
    pub iterations: u32,
    /// `SHA-256(ClientKey)`.
    pub stored_key: [u8; 32],
    /// The key that proves the gateway to the client.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}
