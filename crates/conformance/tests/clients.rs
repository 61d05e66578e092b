//! The client matrix: real clients do the same directly and through the gateway, and must not see a difference.
//!
//! Policy permits everything and nothing is hidden, so whatever differs is the gateway's doing. The clients lie in
//! `crates/conformance/clients`, where `scripts/client-needs.sh` installs what they are made of, and those in Rust in
//! `crates/conformance/examples`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gatehouse_conformance::{Credential, Fixture, Setup};
use gatehouse_laws::laws::EVERYTHING;

/// How long one client may take on a busy machine.
const CLIENT_SECS_MAX: u64 = 240;

/// The account owns what the clients make, in a database that is its own.
const OWNED: &str = "alter database shop owner to gatehouse; alter schema public owner to gatehouse;";

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where cargo builds, which is where the clients' parts are installed.
fn target_folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    Ok(test.ancestors().nth(3).context("the test lies in target/*/deps")?.to_path_buf())
}

fn run(fixture: &Fixture, client: &str, credential: &Credential) -> Result<String> {
    let said = fixture.folder.path().join(format!("{client}.{}.out", credential.port));
    let errors = said.with_extension("err");
    let examples = std::env::current_exe()?.ancestors().nth(2).context("the test lies in deps")?.join("examples");
    if let Some(name) = client.strip_suffix(".rs") {
        let changed = |path: PathBuf| std::fs::metadata(path).and_then(|metadata| metadata.modified());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(client);
        let is_new =
            changed(examples.join(name)).is_ok_and(|built| changed(source).is_ok_and(|written| built >= written));
        ensure!(is_new, "{client} is not built: cargo build -p gatehouse-conformance --examples");
    }
    let mut command = Command::new(clients().join("run"));
    command.env("GATEHOUSE_EXAMPLES", examples);
    command.arg(client).env("CARGO_TARGET_DIR", target_folder()?);
    command.env("PGHOST", &credential.host).env("PGPORT", credential.port.to_string());
    command.env("PGUSER", &credential.user).env("PGPASSWORD", &credential.password).env("PGDATABASE", "shop");
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&said)?).stderr(std::fs::File::create(&errors)?);
    let mut child = command.spawn()?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begun.elapsed() > Duration::from_secs(CLIENT_SECS_MAX) {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let (said, errors) =
        (std::fs::read_to_string(said)?, String::from_utf8_lossy(&std::fs::read(errors)?).into_owned());
    match status {
        Some(status) if status.success() => Ok(said),
        Some(status) => bail!("{client} ended with {status} after:\n{}\n{errors}", tail(&said)),
        None => bail!("{client} hangs after:\n{}\n{errors}", tail(&said)),
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

/// The lines that are not the same, with their places.
fn differences(direct: &str, through: &str) -> Vec<String> {
    let (mut direct, mut through) = (direct.lines(), through.lines());
    let mut differences = Vec::new();
    for place in 1.. {
        match (direct.next(), through.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => differences.push(format!("{place}: direct {a:?}, through the gateway {b:?}")),
        }
    }
    differences
}

fn check(client: &str) -> Result<()> {
    let setup = Setup {
        policies: format!("@id(\"everything\") {EVERYTHING}"),
        sql: OWNED.into(),
        settings: vec!["wal_level=logical".into()],
        ..Setup::default()
    };
    let fixture = Fixture::start(setup)?;
    let direct = fixture.direct();
    let agent = fixture.task("agent:claude", "1h")?;
    let expected = run(&fixture, client, &direct)?;
    assert!(expected.lines().last().is_some_and(|line| line.starts_with("checked ")), "{client} came to its end");
    let found = run(&fixture, client, &agent)?;
    let differences = differences(&expected, &found);
    assert!(differences.is_empty(), "{client} sees a difference:\n{}", differences.join("\n"));
    Ok(())
}

#[test]
fn psql() -> Result<()> {
    check("psql.sh")
}

#[test]
fn pgbench() -> Result<()> {
    check("pgbench.sh")
}

#[test]
fn pg_dump_and_pg_restore() -> Result<()> {
    check("dump.sh")
}

#[test]
fn psycopg_2() -> Result<()> {
    check("client_psycopg2.py")
}

#[test]
fn psycopg_3() -> Result<()> {
    check("client_psycopg3.py")
}

#[test]
fn asyncpg() -> Result<()> {
    check("client_asyncpg.py")
}

#[test]
fn pg8000() -> Result<()> {
    check("client_pg8000.py")
}

#[test]
fn sqlalchemy() -> Result<()> {
    check("client_sqlalchemy.py")
}

#[test]
fn tokio_postgres() -> Result<()> {
    check("client_tokio_postgres.rs")
}

#[test]
fn sqlx() -> Result<()> {
    check("client_sqlx.rs")
}

#[test]
fn node_postgres() -> Result<()> {
    check("client_node.mjs")
}

#[test]
fn jdbc() -> Result<()> {
    check("client_jdbc.java")
}
