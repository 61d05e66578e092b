//! The contestants: PostgreSQL itself, a plain splice of sockets, PgBouncer, and the gateway with everything on.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use gatehouse_conformance::fixture::{self, PATIENCE};
use gatehouse_conformance::{Credential, Fixture, Setup};

/// Statements of agents are judged, their results masked and scanned; a trusted one sees all.
const POLICIES: &str = r#"
@id("agents-work")
permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read"], resource in Target::"shop");
@id("never")
forbid (principal in Group::"agents", action in Action::"sql:destroy", resource);
@id("reviewed") @hold("dba")
permit (principal in Group::"agents", action in Action::"sql:write", resource in Target::"shop");
@id("trusted")
permit (principal == Agent::"other", action == Action::"reveal", resource);
@id("trusted-classes")
permit (principal == Agent::"other", action == Action::"probe", resource);
"#;

/// One way to the database.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) credential: Credential,
    pub(crate) tls: bool,
    /// The process in the middle; none where there is nothing.
    pub(crate) pid: Option<u32>,
}

/// Everything that runs.
pub(crate) struct Arena {
    pub(crate) fixture: Fixture,
    pub(crate) ways: Vec<Contestant>,
    _children: Vec<Reaped>,
}

/// A child that ends with the bench.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Arena {
    pub(crate) fn open(rows: u32) -> Result<Self> {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
        let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
        let keys = tempfile::Builder::new().prefix("gatehouse-bench-").tempdir()?;
        std::fs::set_permissions(keys.path(), std::fs::Permissions::from_mode(0o755))?;
        let (chain_file, key_file) = (keys.path().join("server.pem"), keys.path().join("server.key"));
        std::fs::write(&chain_file, &chain)?;
        fixture::private(&key_file, &key)?;
        give_to_postgres(&key_file)?;
        let setup = Setup {
            policies: POLICIES.into(),
            sql: tables(rows),
            listen: "tls_certificate = \"gateway.pem\"\ntls_key = \"gateway.key\"\n".into(),
            config: "[limits]\nconnections_max = 4000\nlogins_max = 4000\n".into(),
            target: "tls = \"disable\"\n".into(),
            settings: vec![
                "max_connections=1200".into(),
                "shared_buffers=512MB".into(),
                "ssl=on".into(),
                format!("ssl_cert_file={}", chain_file.display()),
                format!("ssl_key_file={}", key_file.display()),
            ],
            files: vec![("gateway.pem", chain), ("gateway.key", key)],
            ..Setup::default()
        };
        let fixture = Fixture::start(setup)?;
        let direct = fixture.direct();
        let (splice, splice_port) = start_splice(fixture.postgres.port)?;
        let (bouncer, bouncer_port) = start_bouncer(&fixture, &chain_file, &key_file)?;
        let masked = fixture.task("agent:claude", "8h")?;
        let clear = fixture.task("agent:other", "8h")?;
        let gateway = fixture.gateway_pid();
        let at = |port: u16| Credential { port, ..direct.clone() };
        let way = |name, credential, tls, pid| Contestant { name, credential, tls, pid };
        let ways = vec![
            way("direct", direct.clone(), false, None),
            way("splice", at(splice_port), false, Some(splice.0.id())),
            way("pgbouncer", at(bouncer_port), false, Some(bouncer.0.id())),
            way("gatehouse", masked.clone(), false, gateway),
            way("gatehouse, all revealed", clear, false, gateway),
            way("direct, TLS", direct.clone(), true, None),
            way("pgbouncer, TLS", at(bouncer_port), true, Some(bouncer.0.id())),
            way("gatehouse, TLS", masked, true, gateway),
        ];
        Ok(Self { fixture, ways, _children: vec![splice, bouncer] })
    }

    /// A file with a script for pgbench.
    pub(crate) fn script(&self, name: &str, sql: &str) -> Result<PathBuf> {
        let path = self.fixture.folder.path().join(name);
        std::fs::write(&path, sql)?;
        Ok(path)
    }
}

fn tables(rows: u32) -> String {
    format!(
        "create table accounts (id int primary key, balance int not null, note text not null);
         insert into accounts select i, i % 977, 'opened at branch ' || i % 31 from generate_series(1, 100000) i;
         create table people (badge text, email text, phone text, city text, note text, reference text);
         insert into people select 'Ada' || i % 1000, 'ada' || i || '@example.org', '+44 20 7946 ' || lpad((i % 10000)::text, 4, '0'),
           'City ' || i % 500, 'prefers letters to calls', 'ref ' || i from generate_series(1, {rows}) i;
         create table plain (a text, b text, c text, d text, e text, f text);
         insert into plain select badge, 'mail ' || reference, 'line ' || reference, city, note, reference from people;
         vacuum analyze;
         grant select, insert, update, delete on all tables in schema public to gatehouse;"
    )
}

fn give_to_postgres(key: &Path) -> Result<()> {
    if !rustix::process::getuid().is_root() {
        return Ok(());
    }
    let ids = Command::new("id").args(["-u", "postgres"]).output()?;
    let uid = String::from_utf8(ids.stdout)?.trim().parse().context("there is no user postgres")?;
    Ok(std::os::unix::fs::chown(key, Some(uid), None)?)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn wait_for(port: u16) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    bail!("nothing listens at {port}")
}

fn start_splice(target: u16) -> Result<(Reaped, u16)> {
    use std::io::BufRead as _;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["splice", &target.to_string()]).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn()?;
    let output = child.stdout.take().context("its output is piped")?;
    let child = Reaped(child);
    let mut line = String::new();
    std::io::BufReader::new(output).read_line(&mut line)?;
    Ok((child, line.trim().parse().context("the splice says its port")?))
}

/// Copies bytes between a client and the database, and does nothing else: the least that any proxy can cost.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn splice(target: u16) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            let Ok(mut server) = tokio::net::TcpStream::connect(("127.0.0.1", target)).await else { return };
            let _ = client.set_nodelay(true);
            let _ = server.set_nodelay(true);
            // The end of either side is the end of both.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

fn start_bouncer(fixture: &Fixture, chain: &Path, key: &Path) -> Result<(Reaped, u16)> {
    let port = free_port()?;
    let folder = fixture.folder.path().join("bouncer");
    std::fs::create_dir_all(&folder)?;
    let users = folder.join("users.txt");
    std::fs::write(&users, format!("\"gatehouse\" \"{}\"\n", fixture.secret))?;
    let config = folder.join("pgbouncer.ini");
    let text = format!(
        "[databases]\nshop = host=127.0.0.1 port={} dbname=shop\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\ndefault_pool_size = 1100\n\
         max_client_conn = 1100\nserver_tls_sslmode = disable\nclient_tls_sslmode = allow\nclient_tls_cert_file = {}\n\
         client_tls_key_file = {}\nlog_connections = 0\nlog_disconnections = 0\nserver_reset_query =\nlogfile = {}\n",
        fixture.postgres.port,
        users.display(),
        chain.display(),
        key.display(),
        folder.join("log").display(),
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("pgbouncer");
    if rustix::process::getuid().is_root() {
        for path in [&folder, &users, &config] {
            Command::new("chown").arg("postgres").arg(path).status()?;
        }
        command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--", "pgbouncer"]);
    }
    command.arg("-q").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = Reaped(
        command.spawn().context("pgbouncer cannot be run: install it, on Debian with apt-get install pgbouncer")?,
    );
    wait_for(port)?;
    Ok((child, port))
}
