//! The gateway's own keys: made once, kept in the data folder with mode 0600.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context as _, Result};
use gatehouse_identity::TokenKey;
use gatehouse_journal::SigningKey;
use gatehouse_mask::PseudonymKey;
use zeroize::Zeroizing;

use crate::state::DataFolder;

/// The key that signs the journal.
pub(crate) fn journal_key(data: &DataFolder, name: &str) -> Result<SigningKey> {
    let path = data.keys().join("journal");
    let has_journal = std::fs::read_dir(data.journal()).is_ok_and(|mut files| files.next().is_some());
    if has_journal && !path.exists() {
        anyhow::bail!("there is a journal, but its key {} is gone: restore it from a copy", path.display());
    }
    Ok(SigningKey::from_seed(name, &key(data, "journal")?)?)
}

/// The key that the keys of targets' pseudonyms are made with.
pub(crate) fn pseudonym_key(data: &DataFolder) -> Result<PseudonymKey> {
    Ok(PseudonymKey::new(*key(data, "pseudonyms")?))
}

fn key(data: &DataFolder, name: &str) -> Result<Zeroizing<[u8; 32]>> {
    let path = data.keys().join(name);
    let mut bytes = Zeroizing::new([0; 32]);
    match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            file.read_exact(&mut *bytes)
                .with_context(|| format!("the key {} is damaged: restore it from a copy", path.display()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            getrandom::fill(&mut *bytes).map_err(|error| anyhow::anyhow!("there is no randomness: {error}"))?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(&*bytes)?;
            file.sync_all()?;
        }
        Err(error) => return Err(error).with_context(|| format!("the key {} cannot be read", path.display())),
    }
    Ok(bytes)
}

/// The key that signs the gateway's own tokens. One that is gone is made anew: tokens are short-lived.
pub(crate) fn token_key(data: &DataFolder) -> Result<TokenKey> {
    let path = data.keys().join("tokens");
    if !path.exists() {
        let made = TokenKey::generate()?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(made.expose())?;
        file.sync_all()?;
    }
    let bytes = Zeroizing::new(std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?);
    TokenKey::read(&bytes).with_context(|| format!("{} is damaged: delete it, and a new one is made", path.display()))
}

/// 32 random bytes.
pub(crate) fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("there is no randomness: {error}"))?;
    Ok(bytes)
}
