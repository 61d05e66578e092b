//! Recordings and policy files on disk, as an export finds them.
//!
//! Knows two directories: recordings by their plain names, and policy files by their digests, so that every revision
//! that was ever in force can go into a bundle. Must not know what either means.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use gatehouse_model::Digest;

use crate::bundle::Attachments;
use crate::tree::{parse_digest, sha256};

/// Recordings and policy files in two directories.
#[derive(Debug, Clone)]
pub struct FileAttachments {
    recordings: PathBuf,
    policies: PathBuf,
}

impl FileAttachments {
    /// Names the directories; nothing is read yet.
    pub fn new(recordings: &Path, policies: &Path) -> Self {
        Self { recordings: recordings.into(), policies: policies.into() }
    }

    /// Keeps a policy file's content under its digest, durably, and returns the digest for `policies.loaded`. Keeping
    /// the same content again changes nothing.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep_policy(&self, content: &[u8]) -> io::Result<Digest> {
        let digest = sha256(content);
        let path = self.policies.join(digest.to_string());
        if path.exists() {
            return Ok(digest);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.policies)?;
        let draft = self.policies.join(format!("{digest}.draft"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        File::open(&self.policies)?.sync_all()?;
        Ok(digest)
    }
}

fn open(path: &Path) -> io::Result<Option<Box<dyn Read>>> {
    match File::open(path) {
        Ok(file) => Ok(Some(Box::new(file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Attachments for FileAttachments {
    fn recording(&self, file: &str) -> io::Result<Option<Box<dyn Read>>> {
        // A name from a record must not lead out of the directory.
        let plain = !file.starts_with('.') && !file.contains(['/', '\\', '\0']) && !file.is_empty();
        if plain { open(&self.recordings.join(file)) } else { Ok(None) }
    }

    fn policy(&self, sha256: &str) -> io::Result<Option<Box<dyn Read>>> {
        match parse_digest(sha256) {
            Some(digest) => open(&self.policies.join(digest.to_string())),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_policies_by_digest_and_stays_in_its_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = FileAttachments::new(dir.path(), &dir.path().join("policies"));
        let digest = files.keep_policy(b"permit").expect("there is room");
        assert_eq!(files.keep_policy(b"permit").expect("it is there"), digest);
        let mut text = String::new();
        let mut file = files.policy(&digest.to_string()).expect("readable").expect("kept");
        file.read_to_string(&mut text).expect("readable");
        assert_eq!(text, "permit");
        for name in ["../x", "", ".", "..", "a/b", "policies/../x"] {
            assert!(files.recording(name).expect("not looked for").is_none(), "{name}");
        }
        assert!(files.policy("../x").expect("not looked for").is_none());
    }
}
