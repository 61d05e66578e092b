//! `gatehouse demo`: a PostgreSQL of its own with sample data, the gateway before it, and the lines to try.
//!
//! All of it lies in one temporary folder and ends with the command.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehouse_api::{Begun, Caller, Control as _, NewTask, NewToken};
use gatehouse_model::UserName;
use gatehouse_scratch::Postgres;

use crate::commands::{stop_signal, write_private};
use crate::control::ApiControl;
use crate::output::print;
use crate::serve;

const SHOP: &str = include_str!("../demo/shop.sql");
const POLICIES: [(&str, &str); 5] = [
    ("10-read.cedar", include_str!("../demo/policies/10-read.cedar")),
    ("20-write.cedar", include_str!("../demo/policies/20-write.cedar")),
    ("30-never.cedar", include_str!("../demo/policies/30-never.cedar")),
    ("40-reveal.cedar", include_str!("../demo/policies/40-reveal.cedar")),
    ("50-administer.cedar", include_str!("../demo/policies/50-administer.cedar")),
];
const CONFIG: &str = include_str!("../demo/gatehouse.toml");

/// Runs the demo until Ctrl-C.
pub(crate) async fn demo() -> Result<()> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("gatehouse-demo-").tempdir()?;
    // PostgreSQL's unprivileged user must get through to its own folder.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    print("Starting a PostgreSQL of its own …")?;
    let mut postgres = Postgres::start(folder.path(), "scram-sha-256", &[])?;
    let outcome = async {
        postgres.ready()?;
        print("Filling a sample shop: 31 tables, 11 views, 220,000 rows of invented people …")?;
        let gateway_password = postgres.fill("shop", SHOP)?;
        let config = configure(folder.path(), postgres.port, &gateway_password)?;
        let running = serve::start(&config).await?;
        let said = instructions(&running, folder.path()).await;
        print(&format!("Ready after {} s.\n\n{}", begun.elapsed().as_secs(), said?))?;
        stop_signal().await?;
        print("Ending: the gateway, then PostgreSQL, then the folder …")?;
        running.stop().await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        // Ctrl-C while it is still starting.
        stopped = stop_early() => stopped,
    };
    postgres.stop();
    outcome
}

/// Only before the gateway serves: after that the demo itself listens for the signal.
async fn stop_early() -> Result<()> {
    stop_signal().await?;
    // The other branch hears the same signal when it already serves, and then ends in order within this time.
    tokio::time::sleep(Duration::from_secs(15)).await;
    Ok(())
}

async fn instructions(running: &serve::Running, folder: &Path) -> Result<String> {
    let control = ApiControl::new(Arc::clone(&running.state));
    let caller = Caller::Administrator(None);
    let problem = |problem: gatehouse_api::Problem| anyhow::anyhow!("{}: {}", problem.title, problem.detail);
    let new = NewTask {
        identity: Some("agent:claude".into()),
        on_behalf_of: None,
        targets: vec!["shop".into()],
        reason: "Try Gatehouse".into(),
        ttl_secs: 8 * 3600,
        budget: None,
        heartbeat_secs: None,
    };
    let Begun::Started(started) = control.start_task(&caller, new).await.map_err(problem)? else {
        anyhow::bail!("the demo's task was not started");
    };
    let token = NewToken { user: "user:dana".into(), ttl_secs: 8 * 3600 };
    let token = control.issue_token(&caller, token).await.map_err(problem)?;
    let link = running.state.new_link(&UserName::new("dana")?).map_err(problem)?;
    let address = running.state.listening_at("postgres").context("nothing listens for PostgreSQL")?;
    let passfile = folder.join("agent.pgpass");
    write_private(
        &passfile,
        format!("{}:{}:*:{}:{}\n", address.ip(), address.port(), started.user, started.password).as_bytes(),
    )?;
    let tokenfile = folder.join("dana.token");
    write_private(&tokenfile, format!("{}\n", token.token).as_bytes())?;
    let api = running.api.context("the API does not listen")?;
    let program = std::env::current_exe()?;
    let program = program.display();
    Ok(include_str!("../demo/instructions.txt")
        .replace("{passfile}", &passfile.display().to_string())
        .replace("{host}", &address.ip().to_string())
        .replace("{port}", &address.port().to_string())
        .replace("{user}", &started.user)
        .replace("{task}", &started.task.id)
        .replace("{api}", &format!("http://{api}"))
        .replace("{link}", &link.url)
        .replace("{tokenfile}", &tokenfile.display().to_string())
        .replace("{gatehouse}", &program.to_string())
        .replace("{publickey}", &running.state.data.public_key().display().to_string()))
}

/// Writes configuration, policies and the secret into the folder.
fn configure(folder: &Path, port: u16, password: &str) -> Result<PathBuf> {
    let home = folder.join("gatehouse");
    std::fs::create_dir_all(home.join("policies"))?;
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))?;
    for (name, text) in POLICIES {
        std::fs::write(home.join("policies").join(name), text)?;
    }
    write_private(&home.join("shop.secret"), password.as_bytes())?;
    let config = home.join("gatehouse.toml");
    std::fs::write(&config, CONFIG.replace("{port}", &port.to_string()))?;
    Ok(config)
}
