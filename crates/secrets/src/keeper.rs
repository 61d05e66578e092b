//! Asks for secrets where they lie, and keeps what it was told for a short while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_model::Secret;
use jiff::{SignedDuration, Timestamp};

use crate::reference::SECRET_BYTES_MAX;
use crate::{Aws, Fetch, MadeAccount, Reference, Run, SecretError, Vault};

/// What secrets can be asked of.
pub struct Sources {
    /// HashiCorp Vault or OpenBao.
    pub vault: Option<Arc<Vault>>,
    /// AWS Secrets Manager.
    pub aws: Option<Aws>,
    /// Programs.
    pub run: Run,
    /// Authorization servers.
    pub fetch: Fetch,
    /// How long what they told is kept, in seconds.
    pub cache_secs: u32,
}

/// Asks for secrets. What lies on this machine is read each time.
pub struct Keeper {
    sources: Sources,
    kept: Mutex<HashMap<Reference, Place>>,
}

/// A secret and until when it is used. Whoever asks while it is being asked for waits for that.
type Place = Arc<futures_util::lock::Mutex<Option<(Secret, Timestamp)>>>;

impl Keeper {
    /// One that asks these.
    pub fn new(sources: Sources) -> Self {
        Self { sources, kept: Mutex::default() }
    }

    /// A secret, as it is now or was within `cache_secs`.
    ///
    /// # Errors
    /// Whatever keeps it from being had.
    pub async fn secret(&self, reference: &Reference, now: Timestamp) -> Result<Secret, SecretError> {
        if matches!(reference, Reference::File(_) | Reference::Environment(_)) {
            return reference.fetch();
        }
        let place = self.lock().entry(reference.clone()).or_default().clone();
        let mut kept = place.lock().await;
        if let Some((secret, _)) = kept.as_ref().filter(|(_, until)| now < *until) {
            return Ok(secret.clone());
        }
        *kept = None;
        let (secret, secs) = match reference {
            Reference::Token(client) => client.token(&self.sources.fetch).await?,
            other => (self.ask(other, now).await?, self.sources.cache_secs),
        };
        let until = now.saturating_add(SignedDuration::from_secs(secs.into())).unwrap_or(now);
        *kept = Some((secret.clone(), until));
        Ok(secret)
    }

    async fn ask(&self, reference: &Reference, now: Timestamp) -> Result<Secret, SecretError> {
        match reference {
            Reference::File(_) | Reference::Environment(_) => reference.fetch(),
            Reference::Vault { path, field } => self.vault()?.read(path, field, now).await,
            Reference::Aws { id, field } => {
                let aws = self.sources.aws.as_ref().ok_or(SecretError::NotConfigured("aws"))?;
                aws.read(id, field.as_deref(), now).await
            }
            Reference::Token(client) => client.token(&self.sources.fetch).await.map(|(token, _)| token),
            Reference::Command(words) => {
                let program = words.first().cloned().unwrap_or_default();
                let printed = (self.sources.run)(words.clone()).await;
                checked(printed.map_err(|cause| SecretError::Source { of: program.clone(), cause })?, &program)
            }
        }
    }

    /// Forgets a secret that was of no use, unless a newer one is kept already; whether another is to be had.
    pub fn forget(&self, reference: &Reference, used: &Secret) -> bool {
        let Some(place) = self.lock().get(reference).cloned() else { return false };
        // While it is being asked for anew, there is nothing to forget.
        if let Some(mut kept) = place.try_lock()
            && kept.as_ref().is_some_and(|(secret, _)| secret.expose() == used.expose())
        {
            *kept = None;
        }
        true
    }

    /// Forgets what is not used any more.
    pub fn sweep(&self, now: Timestamp) {
        for place in self.lock().values() {
            if let Some(mut kept) = place.try_lock() {
                kept.take_if(|(_, until)| *until <= now);
            }
        }
    }

    /// Goes on with the vault of the keeper before this one where it is the same: the leases that its token asked for end with
    /// that.
    pub fn go_on_from(&mut self, before: &Self) {
        if let (Some(vault), Some(before)) = (&mut self.sources.vault, &before.sources.vault)
            && vault.is_as(before)
        {
            *vault = before.clone();
        }
    }

    /// A user name and a password that are made for whoever asks, and live for as long as their lease.
    ///
    /// # Errors
    /// Whatever keeps them from being had.
    pub async fn make_account(&self, path: &str, now: Timestamp) -> Result<MadeAccount, SecretError> {
        self.vault()?.make_account(path, now).await
    }

    /// The vault's name, by which what it made is put down to it; empty where there is none.
    pub fn vault_name(&self) -> String {
        self.sources.vault.as_ref().map(|vault| vault.name()).unwrap_or_default()
    }

    /// Whether a vault of this name is the one that is asked.
    pub fn is_of(&self, vault: &str) -> bool {
        self.sources.vault.as_ref().is_some_and(|own| own.name() == vault)
    }

    /// Has a lease live on; for how many seconds, the answer says.
    ///
    /// # Errors
    /// When it does not.
    pub async fn renew(&self, lease: &str, now: Timestamp) -> Result<u32, SecretError> {
        self.vault()?.renew(lease, now).await
    }

    /// Has the gateway's own token at the vault live on, with which its leases end.
    ///
    /// # Errors
    /// When it does not.
    pub async fn renew_token(&self, now: Timestamp) -> Result<(), SecretError> {
        match &self.sources.vault {
            Some(vault) => vault.renew_token(now).await,
            None => Ok(()),
        }
    }

    /// Ends a lease, and what was made for it. One that is over already is ended.
    ///
    /// # Errors
    /// When it may live on.
    pub async fn revoke(&self, lease: &str, now: Timestamp) -> Result<(), SecretError> {
        self.vault()?.revoke(lease, now).await
    }

    fn vault(&self) -> Result<&Vault, SecretError> {
        self.sources.vault.as_deref().ok_or(SecretError::NotConfigured("vault"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Reference, Place>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret that is one, without the newline at its end.
pub(crate) fn checked(secret: Secret, of: &str) -> Result<Secret, SecretError> {
    let text = secret.expose();
    if text.len() > SECRET_BYTES_MAX {
        return Err(SecretError::TooLong(of.into()));
    }
    match text.strip_suffix(b"\n").unwrap_or(text) {
        [] => Err(SecretError::Empty(of.into())),
        text => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn what_a_program_prints_is_kept_for_a_while_and_no_longer() {
        let runs = Arc::new(AtomicU32::new(0));
        let counting = runs.clone();
        let run: Run = Arc::new(move |words| {
            let run = counting.fetch_add(1, Ordering::Relaxed);
            let said = match words.get(1).map(String::as_str) {
                Some("fail") => Err("it ended with status 1".to_string()),
                Some("silent") => Ok(Secret::new("\n")),
                _ => Ok(Secret::new(format!("secret {run}\n"))),
            };
            async move { said }.boxed()
        });
        let keeper = Keeper::new(Sources {
            vault: None,
            aws: None,
            run,
            fetch: Arc::new(|_| async { Err("nobody is asked".to_string()) }.boxed()),
            cache_secs: 60,
        });
        let ask = |argument: &str, second: i64| {
            let reference = Reference::Command(vec!["/bin/get".into(), argument.into()]);
            let now = Timestamp::from_second(second).unwrap();
            let got = keeper.secret(&reference, now).now_or_never().unwrap();
            got.map(|secret| String::from_utf8(secret.expose().to_vec()).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!((ask("shop", 0), ask("shop", 59)), (Ok("secret 0".into()), Ok("secret 0".into())));
        assert_eq!(ask("shop", 60), Ok("secret 1".into()));
        assert_eq!(ask("fail", 0), Err("/bin/get does not give it: it ended with status 1".into()));
        assert_eq!(ask("silent", 0), Err("the secret /bin/get is empty".into()));
        let shop = Reference::Command(vec!["/bin/get".into(), "shop".into()]);
        // Of several that were refused at once, the first has it forgotten, and all may ask anew.
        assert!(keeper.forget(&shop, &Secret::new("secret 1")) && keeper.forget(&shop, &Secret::new("secret 1")));
        assert!(!keeper.forget(&Reference::Command(vec!["/bin/other".into()]), &Secret::new("secret 1")));
        assert_eq!(ask("shop", 61), Ok("secret 4".into()));
        assert!(keeper.forget(&shop, &Secret::new("secret 1")), "a newer one is kept already");
        assert_eq!(ask("shop", 61), Ok("secret 4".into()));
        keeper.sweep(Timestamp::from_second(61 + 60).unwrap());
        assert!(keeper.lock().values().all(|place| place.try_lock().unwrap().is_none()));
        let vault = Reference::Vault { path: "secret/shop".into(), field: "password".into() };
        let missing = keeper.secret(&vault, Timestamp::UNIX_EPOCH).now_or_never().unwrap();
        assert!(matches!(missing, Err(SecretError::NotConfigured("vault"))));
    }
}
