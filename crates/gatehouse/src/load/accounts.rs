//! Reads as whom the gateway logs in at targets, and where the secrets for it lie.

use std::sync::Arc;

use axum::http::Uri;
use gatehouse_gate::Trust;
use gatehouse_model::Secret;
use gatehouse_protocol::Carriage;
use gatehouse_secrets::{Aws, Client, Reference, SecretError, Sources, Vault, VaultLogin};

use super::{AccountSource, Checker, is_base};
use crate::config::{AwsSection, Config, Credential, TargetSection, VaultSection};
use crate::{accounts, registry, web};

/// The place of a secret, if what lies there can be had.
fn fetched(reference: Reference) -> Result<Reference, SecretError> {
    match reference.fetch() {
        Ok(_) | Err(SecretError::Elsewhere) => Ok(reference),
        Err(error) => Err(error),
    }
}

impl Checker<'_> {
    /// Where a target's account comes from, if it has one; the outer `None` is a fault. What lies on this machine must be there
    /// already.
    pub(super) fn account(
        &mut self,
        config: &Config,
        name: &str,
        section: &TargetSection,
    ) -> Option<Option<AccountSource>> {
        let protocol = registry::protocol(&section.protocol)?;
        if let Carriage::Exchanges(_) = protocol.carriage() {
            let Some(credential) = &section.credential else { return Some(None) };
            let found = match credential {
                Credential::Bearer(secret)
                | Credential::Basic { password: secret, .. }
                | Credential::Header { value: secret, .. }
                | Credential::Query { value: secret, .. }
                | Credential::Aws { secret_access_key: secret, .. } => {
                    Reference::parse(secret, self.base).and_then(fetched)
                }
                Credential::Oauth { token_url, client_id, client_secret, scope } => {
                    self.is_reachable(&["targets", name, "credential"], token_url);
                    let secret = Reference::parse(client_secret, self.base);
                    secret.and_then(|reference| reference.fetch().map(|_| reference)).map(|client_secret| {
                        Reference::Token(Client {
                            token_url: token_url.clone(),
                            client_id: client_id.clone(),
                            client_secret: Box::new(client_secret),
                            scope: scope.clone(),
                        })
                    })
                }
            };
            let is_alone = |kept: Secret| !kept.expose().trim_ascii_start().starts_with(b"{");
            if let (Credential::Aws { access_key_id: None, .. }, Ok(reference)) = (credential, &found)
                && reference.fetch().is_ok_and(is_alone)
            {
                self.fault(
                    &["targets", name, "credential"],
                    "access_key_id is missing, and the secret does not bring it",
                    "Give access_key_id, or keys as `aws configure export-credentials` prints them",
                );
            }
            let found = found.map(AccountSource::Password);
            return self.source(config, name, "credential", found.map_err(|error| error.to_string())).map(Some);
        }
        let (key, source) = match (&section.user, &section.password, &section.credentials) {
            (Some(_), Some(password), None) => {
                let found = Reference::parse(password, self.base).and_then(fetched);
                ("password", found.map(AccountSource::Password).map_err(|error| error.to_string()))
            }
            (None, None, Some(role)) => {
                let path = role.strip_prefix("vault:").filter(|path| gatehouse_secrets::is_role(path));
                let found = path.map(|path| AccountSource::Role(path.into()));
                ("credentials", found.ok_or_else(|| "write vault:MOUNT/creds/ROLE".into()))
            }
            _ => ("user", Err("a target has a `user` and a `password`, or `credentials`".into())),
        };
        self.source(config, name, key, source).map(Some)
    }

    fn source(
        &mut self,
        config: &Config,
        name: &str,
        key: &str,
        source: Result<AccountSource, String>,
    ) -> Option<AccountSource> {
        let source = source.map_err(|error: String| {
            let remedy = match key {
                "password" | "credential" => "Put the secret in a file with mode 0600 and write \"file:PATH\"",
                "credentials" => "Write the mount and the role of the vault's database secrets",
                _ => "Give either `user` and `password`, or `credentials`",
            };
            self.fault(&["targets", name, key], error, remedy);
        });
        let missing = match source.as_ref().ok()? {
            AccountSource::Role(_) | AccountSource::Password(Reference::Vault { .. }) => {
                config.vault.is_none().then_some("vault")
            }
            AccountSource::Password(Reference::Aws { .. }) => config.aws.is_none().then_some("aws"),
            AccountSource::Password(_) => None,
        };
        if let Some(missing) = missing {
            let message = format!("there is no [{missing}] section, which says where it is asked for");
            self.fault(&["targets", name, key], message, format!("Add [{missing}]: see docs/configuration.md"));
        }
        source.ok()
    }

    pub(super) fn sources(&mut self, config: &Config) -> Sources {
        Sources {
            vault: config.vault.as_ref().and_then(|section| self.vault(section)).map(Arc::new),
            aws: config.aws.as_ref().and_then(|section| self.aws(section)),
            run: accounts::runner(),
            fetch: web::secret_fetcher(Trust::System),
            cache_secs: config.limits.secret_cache_secs,
        }
    }

    fn vault(&mut self, section: &VaultSection) -> Option<Vault> {
        let before = self.faults.len();
        self.is_reachable(&["vault", "address"], &section.address);
        let login = match (&section.token, &section.approle, &section.kubernetes) {
            (Some(token), None, None) => self.local(&["vault", "token"], token).map(VaultLogin::Token),
            (None, Some(role), None) => {
                let secret_id = self.local(&["vault", "approle", "secret_id"], &role.secret_id);
                let (mount, role_id) = (role.mount.clone(), role.role_id.clone());
                secret_id.map(|secret_id| VaultLogin::AppRole { mount, role_id, secret_id })
            }
            (None, None, Some(account)) => Some(VaultLogin::Kubernetes {
                mount: account.mount.clone(),
                role: account.role.clone(),
                token: self.base.join(&account.token),
            }),
            _ => {
                let remedy = "Give `token`, `approle` or `kubernetes`";
                self.fault(&["vault"], "the gateway proves itself to the vault in one way", remedy);
                None
            }
        };
        let trust = self.trust(&["vault", "tls_authorities"], section.tls_authorities.as_deref());
        let login = login.filter(|_| self.faults.len() == before)?;
        let authorities = match &trust {
            Trust::Pem(pem) => pem.to_string(),
            Trust::System => String::new(),
        };
        Some(Vault::new(&section.address, section.namespace.clone(), login, authorities, web::secret_fetcher(trust)))
    }

    fn aws(&mut self, section: &AwsSection) -> Option<Aws> {
        let before = self.faults.len();
        let own = || format!("https://secretsmanager.{}.amazonaws.com", section.region);
        let endpoint = section.endpoint.clone().unwrap_or_else(own);
        self.is_reachable(&["aws", "endpoint"], &endpoint);
        let access_key_id = self.local(&["aws", "access_key_id"], &section.access_key_id);
        let secret_access_key = self.local(&["aws", "secret_access_key"], &section.secret_access_key);
        let token = section.session_token.as_ref().map(|token| self.local(&["aws", "session_token"], token));
        let trust = self.trust(&["aws", "tls_authorities"], section.tls_authorities.as_deref());
        if self.faults.len() > before {
            return None;
        }
        Some(Aws {
            region: section.region.clone(),
            endpoint,
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?,
            session_token: token.flatten(),
            fetch: web::secret_fetcher(trust),
        })
    }

    fn is_reachable(&mut self, place: &[&str], address: &str) {
        if !address.parse::<Uri>().is_ok_and(|uri| web::is_private(&uri)) || !is_base(address) {
            let message =
                format!("secrets cannot be asked for at `{}` without being read on the way", web::shown(address));
            self.fault(place, message, "Write an address that begins with https://");
        }
    }

    /// A secret that lies on this machine, and is there.
    fn local(&mut self, place: &[&str], text: &str) -> Option<Reference> {
        let found = Reference::parse(text, self.base).and_then(|reference| reference.fetch().map(|_| reference));
        let remedy = "Write file:PATH of a file with mode 0600, or env:NAME";
        found.map_err(|error| self.fault(place, error.to_string(), remedy)).ok()
    }
}
