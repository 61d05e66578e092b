//! SHA-256 (FIPS 180-4), the one digest of the house.
//!
//! Computed by ring, whose code is about twice as fast as others' where a processor has no instructions for it. The journal's
//! verification in browsers, for which ring cannot be built without another compiler, has it from `sha2`.

use std::fmt;

#[cfg(not(target_arch = "wasm32"))]
use ring::digest::{Context, SHA256};
#[cfg(target_arch = "wasm32")]
use sha2::Digest as _;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Sha256::default().with(bytes).finish()
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |half: u8| DIGITS.get(usize::from(half)).copied().unwrap_or_default();
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A digest that is not finished.
#[derive(Clone)]
pub struct Sha256(#[cfg(not(target_arch = "wasm32"))] Context, #[cfg(target_arch = "wasm32")] sha2::Sha256);

impl Default for Sha256 {
    #[cfg(not(target_arch = "wasm32"))]
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }

    #[cfg(target_arch = "wasm32")]
    fn default() -> Self {
        Self(sha2::Sha256::new())
    }
}

impl Sha256 {
    /// Adds bytes.
    pub fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes.as_ref());
    }

    /// The same with bytes added.
    #[must_use]
    pub fn with(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.update(bytes);
        self
    }

    /// The digest of all that was added.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        // It has as many bytes, always.
        self.0.finish().as_ref().iter().zip(&mut bytes).for_each(|(from, to)| *to = *from);
        Digest(bytes)
    }

    /// The digest of all that was added.
    #[cfg(target_arch = "wasm32")]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standard() {
        // NIST's examples of SHA-256, of one block and of two.
        let of = |text: &str| Digest::of(text).to_string();
        assert_eq!(of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(of(two), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        assert_eq!(Sha256::default().with("ab").with("c").finish(), Digest::of("abc"));
    }
}
