//! Where the real credentials come from: `file:` and `env:` references, read when a session opens.
//!
//! Knows where a secret lies, never what it is for. A secret is never logged, stored or printed.

use std::path::{Path, PathBuf};

use gatehouse_model::Secret;

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The content of a file, without the newline at its end.
    File(PathBuf),
    /// An environment variable of the gateway.
    Environment(String),
}

/// Why a secret cannot be had. No variant holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not a reference.
    #[error("`{0}` is no reference to a secret: write file:PATH or env:NAME, not the secret itself")]
    NotAReference(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could read it.
    #[error("the secret file {path} can be read by others (mode {mode:o}): chmod 600 {path}")]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Too long for a secret.
    #[error("the secret file {0} is longer than {SECRET_BYTES_MAX} bytes")]
    TooLong(PathBuf),
    /// No such variable.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// Nothing there.
    #[error("the secret {0} is empty")]
    Empty(String),
}

impl Reference {
    /// Reads `file:PATH` (relative to `base`) or `env:NAME`.
    pub fn parse(text: &str, base: &Path) -> Result<Self, SecretError> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(base.join(path))),
            Some(("env", name)) if !name.is_empty() => Ok(Self::Environment(name.into())),
            // What stands there may be a secret, so no more than its first word is repeated.
            Some((kind, _)) if ["file", "env"].contains(&kind) => Err(SecretError::NotAReference(format!("{kind}:"))),
            Some(_) | None => Err(SecretError::NotAReference("…".into())),
        }
    }

    /// Fetches the secret.
    pub fn fetch(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => read(path),
            Self::Environment(name) => match std::env::var(name) {
                Ok(value) if value.is_empty() => Err(SecretError::Empty(format!("env:{name}"))),
                Ok(value) => Ok(Secret::new(value)),
                Err(_) => Err(SecretError::Unset(name.clone())),
            },
        }
    }
}

fn read(path: &Path) -> Result<Secret, SecretError> {
    use std::os::unix::fs::PermissionsExt as _;

    let failed = |source| SecretError::Read { path: path.into(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.into(), mode });
    }
    if metadata.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLong(path.into()));
    }
    let mut value = std::fs::read(path).map_err(failed)?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.is_empty() {
        return Err(SecretError::Empty(format!("file:{}", path.display())));
    }
    Ok(Secret::new(value))
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
    fn never_repeats_a_secret_that_stands_in_place_of_a_reference() {
        let error = Reference::parse("hunter2:x", Path::new("/")).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
