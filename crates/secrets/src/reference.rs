//! Where a secret lies, as the configuration names it.

use std::path::{Path, PathBuf};

use gatehouse_model::Secret;

use crate::keeper::checked;
use crate::{Client, SecretError};

/// The longest secret, in bytes.
pub(crate) const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The content of a file, without the newline at its end.
    File(PathBuf),
    /// An environment variable of the gateway.
    Environment(String),
    /// A field of a secret in a key-value store (version 2) of HashiCorp Vault or OpenBao.
    Vault {
        /// The mount and the path in it.
        path: String,
        /// The field.
        field: String,
    },
    /// A secret of AWS Secrets Manager; where it is a JSON object, a field of it.
    Aws {
        /// Its name or ARN.
        id: String,
        /// The field.
        field: Option<String>,
    },
    /// What a program prints.
    Command(Vec<String>),
    /// A token that an authorization server gives the gateway for itself.
    Token(Client),
}

impl Reference {
    /// Reads `file:PATH` (relative to `base`), `env:NAME`, `vault:MOUNT/PATH#FIELD`, `aws:NAME`, `aws:NAME#FIELD` or
    /// `exec:PROGRAM ARGUMENT…`, whose words are parted by spaces and by nothing else.
    ///
    /// # Errors
    /// [`SecretError::NotAReference`], which repeats nothing that may be a secret.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SecretError> {
        let malformed = |kind: &str| SecretError::NotAReference(format!("{kind}:"));
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.into())),
            Some(("vault", place)) => match place.split_once('#') {
                Some((path, field)) if is_path(path) && !field.is_empty() => {
                    Ok(Self::Vault { path: path.into(), field: field.into() })
                }
                Some(_) | None => Err(malformed("vault")),
            },
            Some(("aws", place)) if !place.is_empty() => {
                let (id, field) = place.split_once('#').map_or((place, None), |(id, field)| (id, Some(field.into())));
                Ok(Self::Aws { id: id.into(), field })
            }
            Some(("exec", line)) => {
                let words: Vec<String> = line.split_ascii_whitespace().map(Into::into).collect();
                // By which folder a name would be found hangs on the gateway's environment.
                let is_whole = words.first().is_some_and(|program| program.starts_with('/'));
                if is_whole { Ok(Self::Command(words)) } else { Err(malformed("exec")) }
            }
            // What stands there may be a secret, so no more than its first word is repeated.
            Some((kind, _)) if ["file", "env", "aws"].contains(&kind) => Err(malformed(kind)),
            Some(_) | None => Err(SecretError::NotAReference("…".into())),
        }
    }

    /// Fetches a secret that lies on this machine.
    ///
    /// # Errors
    /// When it is not there, or not for the gateway's eyes alone; [`SecretError::Elsewhere`] when it lies elsewhere.
    pub fn fetch(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => read(path),
            Self::Environment(name) => match std::env::var(name) {
                Ok(value) if value.is_empty() => Err(SecretError::Empty(format!("env:{name}"))),
                Ok(value) => Ok(Secret::new(value)),
                Err(_) => Err(SecretError::Unset(name.clone())),
            },
            Self::Vault { .. } | Self::Aws { .. } | Self::Command(_) | Self::Token(_) => Err(SecretError::Elsewhere),
        }
    }
}

/// Whether a text can be a path in a vault: a mount and something in it, without parts that lead elsewhere.
pub(crate) fn is_path(path: &str) -> bool {
    let is_plain = |part: &str| {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_word)
    };
    path.contains('/') && path.split('/').all(is_plain)
}

/// Reads the file that was looked at, and no other that came in its place.
fn read(path: &Path) -> Result<Secret, SecretError> {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    let failed = |source| SecretError::Read { path: path.into(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.into(), mode });
    }
    let mut value = Vec::with_capacity(SECRET_BYTES_MAX + 1);
    let read = file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut value);
    let value = Secret::new(value);
    read.map_err(failed)?;
    checked(value, &format!("file:{}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(mode: u32, content: &[u8]) -> (tempfile::TempDir, Reference) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let reference = Reference::parse("file:secret", folder.path()).unwrap();
        (folder, reference)
    }

    #[test]
    fn reads_a_private_file_without_its_newline() {
        let (_folder, reference) = file(0o600, b"hunter2\n");
        assert_eq!(reference.fetch().unwrap().expose(), b"hunter2");
    }

    #[test]
    fn refuses_a_file_that_others_can_read_and_one_that_is_empty() {
        let (_folder, reference) = file(0o640, b"hunter2");
        assert!(matches!(reference.fetch(), Err(SecretError::Exposed { mode: 0o640, .. })));
        let (_folder, reference) = file(0o600, b"\n");
        assert!(matches!(reference.fetch(), Err(SecretError::Empty(_))));
    }

    #[test]
    fn refuses_a_file_that_is_too_long_for_a_secret() {
        let (_folder, reference) = file(0o600, &[b'x'; SECRET_BYTES_MAX]);
        assert_eq!(reference.fetch().unwrap().expose().len(), SECRET_BYTES_MAX);
        let (_folder, reference) = file(0o600, &[b'x'; SECRET_BYTES_MAX + 1]);
        assert!(matches!(reference.fetch(), Err(SecretError::TooLong(_))));
    }

    #[test]
    fn never_repeats_a_secret_that_stands_in_place_of_a_reference() {
        for text in ["hunter2:x", "vault:hunter2", "exec:hunter2", "hunter2"] {
            let error = Reference::parse(text, Path::new("/")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let parse = |text: &str| Reference::parse(text, Path::new("/")).ok();
        let vault = |path: &str| Some(Reference::Vault { path: path.into(), field: "password".into() });
        assert_eq!(parse("vault:secret/shop/db#password"), vault("secret/shop/db"));
        for odd in
            ["vault:secret#password", "vault:secret/shop", "vault:secret/../sys#x", "vault:secret/a?b#x", "vault:/a#x"]
        {
            assert_eq!(parse(odd), None, "{odd}");
        }
        assert_eq!(parse("aws:shop/db"), Some(Reference::Aws { id: "shop/db".into(), field: None }));
        assert_eq!(parse("aws:shop#p"), Some(Reference::Aws { id: "shop".into(), field: Some("p".into()) }));
        assert_eq!(parse("exec:/bin/get  shop"), Some(Reference::Command(vec!["/bin/get".into(), "shop".into()])));
        assert_eq!((parse("exec:get shop"), parse("exec:"), parse("aws:")), (None, None, None));
    }
}
