//! Signs a person in and out, in a terminal.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gatehouse_api::{DeviceHandle, DeviceLoginView, LinkView, NewLink, NewToken, TokenView};

use crate::cli::Reach;
use crate::client::{Client, token_file};
use crate::commands::write_private;
use crate::output;

/// How often the gateway is asked whether the person has signed in.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Signs in with a code that the person types at their provider.
pub(crate) async fn by_provider(reach: &Reach, wanted: Option<PathBuf>) -> Result<()> {
    if reach.api.is_none() {
        bail!(
            "say where to sign in: --api URL (GATEHOUSE_API) for a gateway and its provider, or --as user:NAME at the \
             admin socket of this machine"
        );
    }
    let file = wanted.map_or_else(|| token_file(reach), Ok)?;
    let client = Client::anonymous(reach)?;
    let login: DeviceLoginView = client.post("/api/v1/login/device", &()).await?;
    let whole = login.verification_uri_complete.as_ref().map(|uri| format!("\n  or just {uri}")).unwrap_or_default();
    output::aside(&format!(
        "Open {} and type {}{whole}\nWaiting for you to sign in there …",
        login.verification_uri, login.user_code
    ))?;
    let token = wait(&client, &login).await?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    write_private(&file, format!("{}\n", token.token).as_bytes())?;
    if reach.json {
        return output::json(&serde_json::json!({ "file": file.display().to_string(), "expires": token.expires }));
    }
    output::print(&format!("signed in until {}; the token is in {}", token.expires, file.display()))
}

async fn wait(client: &Client, login: &DeviceLoginView) -> Result<TokenView> {
    let begun = Instant::now();
    let asked = DeviceHandle { handle: login.handle.clone() };
    while begun.elapsed() < Duration::from_secs(login.expires_in.into()) {
        tokio::time::sleep(POLL_EVERY).await;
        let answer = client.post_bytes("/api/v1/login/device/poll", &asked).await?;
        if !answer.is_empty() {
            return serde_json::from_slice(&answer).context("the gateway's answer is not what was expected");
        }
    }
    bail!("nobody signed in within {} s: begin anew with `gatehouse login`", login.expires_in)
}

/// What is made for others is made where nobody has to prove who they are.
fn must_be_local(reach: &Reach) -> Result<()> {
    if reach.api.is_some() {
        bail!(
            "tokens and links for others are made at the admin socket: leave --api (GATEHOUSE_API) away, or leave --as away"
        );
    }
    Ok(())
}

/// Makes somebody's token, at the admin socket.
pub(crate) async fn token(reach: &Reach, user: String, ttl_secs: u32, wanted: Option<&Path>) -> Result<()> {
    must_be_local(reach)?;
    let token: TokenView = Client::new(reach)?.post("/api/v1/tokens", &NewToken { user, ttl_secs }).await?;
    match wanted {
        Some(path) => {
            write_private(path, format!("{}\n", token.token).as_bytes())?;
            output::print(&format!("token in {}, until {}", path.display(), token.expires))
        }
        None if reach.json => output::json(&token),
        None => output::print(&token.token),
    }
}

/// Makes a link that signs somebody's browser in, at the admin socket.
pub(crate) async fn link(reach: &Reach, user: String) -> Result<()> {
    must_be_local(reach)?;
    let link: LinkView = Client::new(reach)?.post("/api/v1/links", &NewLink { user }).await?;
    if reach.json {
        return output::json(&link);
    }
    output::print(&format!("{}\ngood once, until {}", link.url, link.expires))
}

/// Ends the person's own token, and forgets it.
pub(crate) async fn logout(reach: &Reach) -> Result<()> {
    if reach.api.is_none() {
        bail!("say where to sign out: --api URL (GATEHOUSE_API)");
    }
    let file = token_file(reach)?;
    Client::new(reach)?.post_bytes("/api/v1/logout", &()).await?;
    std::fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
    if reach.json {
        return output::json(&serde_json::json!({ "forgotten": file.display().to_string() }));
    }
    output::print("signed out")
}
