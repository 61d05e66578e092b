//! An OpenID provider as a process of its own, and people who sign in there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::browser::Browser;
use crate::http::{self, Door};
use crate::served::CLIENTS;

/// What the gateway proves itself by to the provider of the tests.
pub const CLIENT_SECRET: &str = "the gateway's own secret at the provider";

/// A running provider.
pub struct Provider {
    child: Child,
    /// Its issuer.
    pub issuer: String,
    accounts: PathBuf,
}

impl Provider {
    /// Starts one with these accounts, whose names are `sub`s.
    pub fn start(folder: &Path, accounts: &Value) -> Result<Self> {
        let path = folder.join("accounts.json");
        std::fs::write(&path, accounts.to_string())?;
        let (child, issuer) = run(&path, "0")?;
        Ok(Self { child, issuer, accounts: path })
    }

    /// Has other accounts from now on.
    pub fn change(&self, accounts: &Value) -> Result<()> {
        // Whoever reads meanwhile finds the old ones or the new, and nothing in between.
        let next = self.accounts.with_extension("next");
        std::fs::write(&next, accounts.to_string())?;
        Ok(std::fs::rename(next, &self.accounts)?)
    }

    /// Is not there any more.
    pub fn stop(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Comes back at the same address, with new keys.
    pub fn start_again(&mut self) -> Result<()> {
        let port = self.issuer.rsplit(':').next().context("a port")?.to_string();
        (self.child, self.issuer) = run(&self.accounts, &port)?;
        Ok(())
    }

    /// A token that the workload `deployer` gets for itself, with its own secret.
    pub fn workload_token(&self) -> Result<String> {
        let secret: String = form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
        let proof = format!("Basic {}", BASE64.encode(format!("deployer:{secret}")));
        let headers = [http::FORM, ("authorization", proof.as_str())];
        let answer = http::call(Door::Web(&self.issuer), "POST", "/token", &headers, "grant_type=client_credentials")?;
        let token = answer.json().get("access_token").and_then(Value::as_str).map(Into::into);
        token.with_context(|| answer.body.clone())
    }

    /// The configuration of a gateway whose people sign in here.
    pub fn config(&self, more: &str) -> String {
        format!(
            "[oidc]\nissuer = \"{}\"\nclient_id = \"gatehouse\"\nclient_secret = \"file:oidc.secret\"\n{more}\n",
            self.issuer
        )
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have been stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(accounts: &Path, port: &str) -> Result<(Child, String)> {
    let mut command = Command::new(CLIENTS);
    command.arg("provider.mjs").env("ACCOUNTS", accounts).env("CLIENT_SECRET", CLIENT_SECRET).env("PORT", port);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut issuer = String::new();
    BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut issuer)?;
    let issuer = issuer.trim().to_string();
    anyhow::ensure!(!issuer.is_empty(), "the provider does not start: run scripts/client-needs.sh");
    Ok((child, issuer))
}

/// Signs in at the provider's page that the browser shows, and agrees to what it asks.
pub fn sign_in(browser: &mut Browser, subject: &str) -> Result<()> {
    browser.submit(&[("prompt", "login"), ("login", subject), ("password", "any")])?;
    if browser.page.text.contains("value=\"consent\"") {
        browser.submit(&[("prompt", "consent")])?;
    }
    Ok(())
}
