//! Signed notes (<https://c2sp.org/signed-note>) with Ed25519, and checkpoints (<https://c2sp.org/tlog-checkpoint>).
//!
//! Knows keys, texts and signatures; must not know records or where a note is kept. One key signs both checkpoints and
//! the manifests of bundles: a manifest's text has two lines and a checkpoint's at least three, so neither passes for
//! the other.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use gatehouse_model::Digest;
use zeroize::Zeroizing;

use crate::tree::sha256;

/// The longest note that is read, in bytes. It has room for far more than the 16 signatures that C2SP asks for.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// The signature type of Ed25519 in C2SP's list.
const ED25519: u8 = 1;

/// Why a text cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is not one for a key.
    #[error("`{name}` cannot be a key's name: use a name such as `gateway.example/log`, without spaces and `+`")]
    Name {
        /// The name.
        name: String,
    },
    /// The text is not a verifier key.
    #[error("it is not a verifier key: it has the form NAME+HASH+BASE64, as `gatehouse` prints it")]
    Form,
    /// The key is of a type that is not supported.
    #[error("the key's type is {found}, and only Ed25519 (1) is supported")]
    Type {
        /// The type's number in C2SP's list.
        found: u8,
    },
    /// Name, hash and key do not belong together.
    #[error("the key's hash does not fit its name and key: copy it again, whole")]
    Hash,
    /// The bytes are no point of the curve.
    #[error("the key is not a valid Ed25519 public key: copy it again, whole")]
    Point,
}

/// Why a note cannot be trusted, or a text not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is not a note.
    #[error("it is not a signed note: {reason}")]
    Form {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nobody signed it with the wanted key.
    #[error("it is not signed by the key {wanted}, but by {}: use that key if you trust it", .found.join(", "))]
    WrongKey {
        /// The wanted key, as `NAME+HASH`.
        wanted: String,
        /// The keys that signed it, by their own account.
        found: Vec<String>,
    },
    /// The wanted key is named, but the signature is not its own.
    #[error("the signature of the key {key} does not hold: the text or the signature was changed")]
    Signature {
        /// The key, as `NAME+HASH`.
        key: String,
    },
    /// The text is no checkpoint.
    #[error("it is not a checkpoint: {reason}")]
    Checkpoint {
        /// What is wrong with it.
        reason: &'static str,
    },
}

fn checked_name(name: &str) -> Result<String, KeyError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Err(KeyError::Name { name: name.into() });
    }
    Ok(name.into())
}

fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let mut bytes = Vec::with_capacity(name.len() + 34);
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&[b'\n', ED25519]);
    bytes.extend_from_slice(public);
    let [a, b, c, d, ..] = sha256(&bytes).0;
    [a, b, c, d]
}

fn hex(id: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// The public half: checks notes. Its text form is `NAME+HASH+BASE64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key's name, which is also the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME+HASH`, which tells keys apart on a screen.
    pub fn label(&self) -> String {
        format!("{}+{}", self.name, hex(self.id))
    }

    /// Checks that this key signed `note` and returns the text that it signed, with its final line break.
    ///
    /// # Errors
    /// [`NoteError::Form`], [`NoteError::WrongKey`] and [`NoteError::Signature`]. Signatures of other keys do not
    /// count, neither for nor against the note.
    pub fn open<'note>(&self, note: &'note str) -> Result<&'note str, NoteError> {
        let (text, signatures) = split(note)?;
        let mut found = Vec::new();
        let mut holds = false;
        for line in signatures.split_terminator('\n') {
            let (name, id, signature) = parse_signature(line)?;
            if name != self.name || id != self.id {
                found.push(format!("{name}+{}", hex(id)));
                continue;
            }
            let broken = || NoteError::Signature { key: self.label() };
            let signature = Signature::from_slice(&signature).map_err(|_| broken())?;
            self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| broken())?;
            holds = true;
        }
        if holds { Ok(text) } else { Err(NoteError::WrongKey { wanted: self.label(), found }) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}", self.label(), STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let name = checked_name(name)?;
        let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
        let (&kind, public) = bytes.split_first().ok_or(KeyError::Form)?;
        if kind != ED25519 {
            return Err(KeyError::Type { found: kind });
        }
        let public: [u8; 32] = public.try_into().map_err(|_| KeyError::Form)?;
        let id = key_id(&name, &public);
        if hex(id) != hash {
            return Err(KeyError::Hash);
        }
        let key = VerifyingKey::from_bytes(&public).map_err(|_| KeyError::Point)?;
        Ok(Self { name, id, key })
    }
}

/// The private half: signs notes. Erased when dropped, hidden from Debug.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// Makes a key of a name and 32 random bytes. The same bytes give the same key.
    ///
    /// # Errors
    /// [`KeyError::Name`] for an empty name, or one with spaces or `+`.
    pub fn from_seed(name: &str, seed: &Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        Ok(Self { name: checked_name(name)?, key: ed25519_dalek::SigningKey::from_bytes(seed) })
    }

    /// The key's name, which is also the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn verifier(&self) -> VerifierKey {
        let key = self.key.verifying_key();
        VerifierKey { name: self.name.clone(), id: key_id(&self.name, key.as_bytes()), key }
    }

    /// Makes a note of a text.
    ///
    /// # Errors
    /// [`NoteError::Form`] if the text does not end in a line break, or holds control characters.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::Form { reason: "its text does not end in a line break" });
        }
        check_characters(text)?;
        Ok(self.sign_checked(text))
    }

    /// Makes the note of a checkpoint of a tree; the origin is the key's name.
    pub fn sign_checkpoint(&self, size: u64, root: Digest) -> String {
        // A key's name has no line breaks and no control characters, so the text needs no check.
        self.sign_checked(&Checkpoint { origin: self.name.clone(), size, root }.to_string())
    }

    fn sign_checked(&self, text: &str) -> String {
        let mut bytes = self.verifier().id.to_vec();
        bytes.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Form { reason: "it holds control characters" });
    }
    Ok(())
}

/// Splits a note into its text, line break included, and its signature lines.
fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Form { reason: "it is too long" });
    }
    check_characters(note)?;
    let (text, signatures) = note
        .rfind("\n\n")
        .and_then(|end| note.split_at_checked(end + 1))
        .and_then(|(text, rest)| Some((text, rest.strip_prefix('\n')?)))
        .ok_or(NoteError::Form { reason: "no blank line separates text and signatures" })?;
    if signatures.is_empty() || !signatures.ends_with('\n') {
        return Err(NoteError::Form { reason: "its signatures are cut off" });
    }
    Ok((text, signatures))
}

/// Reads `— NAME BASE64` into the name, the key's id and the signature.
fn parse_signature(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let form = NoteError::Form { reason: "a signature line is malformed" };
    let (name, encoded) = line.strip_prefix("\u{2014} ").and_then(|rest| rest.split_once(' ')).ok_or(form.clone())?;
    checked_name(name).map_err(|_| form.clone())?;
    let bytes = STANDARD.decode(encoded).map_err(|_| form.clone())?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => Ok((name, *id, signature.to_vec())),
        Some(_) | None => Err(form),
    }
}

/// A tree's size and root, under the name of its log. Its text form is a note's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    /// Reads a note's text. Extension lines are skipped, as C2SP has it.
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let reason = |reason| NoteError::Checkpoint { reason };
        let lines = text.strip_suffix('\n').ok_or(reason("it does not end in a line break"))?;
        if lines.split('\n').any(str::is_empty) {
            return Err(reason("it has an empty line"));
        }
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(reason("it has fewer than three lines"));
        };
        let number: u64 = size.parse().map_err(|_| reason("its size is not a number"))?;
        if number.to_string() != size {
            return Err(reason("its size is not in plain decimal digits"));
        }
        let root = STANDARD.decode(root).map_err(|_| reason("its root is not in base64"))?;
        let root: [u8; 32] = root.try_into().map_err(|_| reason("its root does not have 32 bytes"))?;
        Ok(Self { origin: origin.into(), size: number, root: Digest(root) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of golang.org/x/mod/sumdb/note, where the format comes from.
    const VERIFIER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNER: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                        then you don't know what your problem is.\n";
    const SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn peter() -> SigningKey {
        let bytes = STANDARD.decode(SIGNER).expect("base64");
        let (_, seed) = bytes.split_first().expect("a type byte");
        SigningKey::from_seed("PeterNeumann", &Zeroizing::new(seed.try_into().expect("32 bytes"))).expect("a name")
    }

    #[test]
    fn signs_as_go_does() {
        assert_eq!(peter().verifier().to_string(), VERIFIER);
        assert_eq!(peter().sign(TEXT), Ok(format!("{TEXT}\n{SIGNATURE}")));
    }

    #[test]
    fn opens_what_go_signed_and_skips_other_keys() {
        let key: VerifierKey = VERIFIER.parse().expect("a key");
        let other = "\u{2014} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
        for note in [format!("{TEXT}\n{SIGNATURE}"), format!("{TEXT}\n{other}{SIGNATURE}")] {
            assert_eq!(key.open(&note), Ok(TEXT));
        }
        let note = format!("{TEXT}\n{other}");
        let expect =
            NoteError::WrongKey { wanted: "PeterNeumann+c74f20a3".into(), found: vec!["EnochRoot+af0cfe78".into()] };
        assert_eq!(key.open(&note), Err(expect));
    }

    #[test]
    fn every_changed_character_is_found() {
        let key = peter().verifier();
        let note = peter().sign("a\n\nb\n").expect("a text");
        assert_eq!(key.open(&note), Ok("a\n\nb\n"));
        for changed_place in 0..note.chars().count() {
            let other = |c| if c == 'x' { 'y' } else { 'x' };
            let changed: String =
                note.chars().enumerate().map(|(place, c)| if place == changed_place { other(c) } else { c }).collect();
            assert!(key.open(&changed).is_err(), "{changed}");
        }
        for end in 0..note.len() {
            if let Some(cut) = note.get(..end) {
                assert!(key.open(cut).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn keys_are_checked() {
        let check = |text: &str, expect: KeyError| assert_eq!(text.parse::<VerifierKey>(), Err(expect), "{text}");
        check("", KeyError::Form);
        check("a b+c74f20a3+AQ==", KeyError::Name { name: "a b".into() });
        check(&VERIFIER.replace("c74f20a3", "c74f20a4"), KeyError::Hash);
        check(&VERIFIER.replace("PeterNeumann", "PeterNeuman"), KeyError::Hash);
        check("PeterNeumann+c74f20a3+AhpC", KeyError::Type { found: 2 });
        check("PeterNeumann+c74f20a3+ARpC", KeyError::Form);
        assert!(!format!("{:?}", peter()).contains("SecretKey"));
    }

    #[test]
    fn checkpoints_read_back() {
        let note = peter().sign_checkpoint(20_852_163, sha256(b""));
        let text = peter().verifier().open(&note).map(str::to_owned).expect("its own note");
        let checkpoint: Checkpoint = text.parse().expect("a checkpoint");
        assert_eq!(checkpoint, Checkpoint { origin: "PeterNeumann".into(), size: 20_852_163, root: sha256(b"") });
        assert_eq!(checkpoint.to_string(), text);
        for bad in ["a\n1\n", "a\n01\nAA==\n", "a\n1\nAA==\n", "a\n\n1\n", "a\n+1\nAA==\n"] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad}");
        }
    }
}
