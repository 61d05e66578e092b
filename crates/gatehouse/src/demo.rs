//! `gatehouse demo`: a PostgreSQL of its own with sample data, the gateway before it, and the lines to try.
//!
//! All of it lies in one temporary folder and ends with the command.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gatehouse_api::{Caller, Control as _, NewTask, NewToken};
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::{failed, stop_signal, write_private};
use crate::control::ApiControl;
use crate::output::print;
use crate::serve;

const SHOP: &str = include_str!("../demo/shop.sql");
const POLICIES: [(&str, &str); 4] = [
    ("10-read.cedar", include_str!("../demo/policies/10-read.cedar")),
    ("20-write.cedar", include_str!("../demo/policies/20-write.cedar")),
    ("30-never.cedar", include_str!("../demo/policies/30-never.cedar")),
    ("40-reveal.cedar", include_str!("../demo/policies/40-reveal.cedar")),
];
const CONFIG: &str = include_str!("../demo/gatehouse.toml");

/// How long PostgreSQL may take to answer.
const READY_SECS_MAX: u64 = 60;

/// Runs the demo until Ctrl-C.
pub(crate) async fn demo() -> Result<()> {
    let begun = Instant::now();
    let folder = tempfile::Builder::new().prefix("gatehouse-demo-").tempdir()?;
    // PostgreSQL's unprivileged user must get through to its own folder.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
    print("Starting a PostgreSQL of its own …")?;
    let mut postgres = Postgres::start(folder.path())?;
    let outcome = async {
        postgres.ready()?;
        print("Filling a sample shop: 31 tables, 11 views, 220,000 rows of invented people …")?;
        let gateway_password = postgres.fill(folder.path())?;
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
    };
    let started = control.start_task(&caller, new).await.map_err(problem)?;
    let token = NewToken { user: "user:dana".into(), ttl_secs: 8 * 3600 };
    let token = control.issue_token(&caller, token).await.map_err(problem)?;
    let address = running.state.listening_at("postgres").context("nothing listens for PostgreSQL")?;
    let passfile = folder.join("agent.pgpass");
    write_private(&passfile, format!("{}:{}:*:{}:{}\n", address.ip(), address.port(), started.user, started.password).as_bytes())?;
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
        .replace("{api}", &format!("http://{api}"))
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

/// A PostgreSQL server that lives as long as the demo.
struct Postgres {
    bin: PathBuf,
    port: u16,
    passfile: PathBuf,
    server: Child,
    folder: PathBuf,
}

impl Postgres {
    fn start(folder: &Path) -> Result<Self> {
        let bin = binaries()?;
        let user = unprivileged()?;
        let home = folder.join("postgres");
        std::fs::create_dir(&home)?;
        let superuser = password()?;
        let passfile = folder.join("superuser.pgpass");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        write_private(&passfile, format!("127.0.0.1:{port}:*:postgres:{superuser}\n").as_bytes())?;
        let pwfile = home.join("pwfile");
        write_private(&pwfile, superuser.as_bytes())?;
        if let Some((uid, gid)) = user {
            for path in [&home, &pwfile] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
            }
        }
        let data = home.join("data");
        let mut initdb = as_user(user, &bin.join("initdb"));
        initdb.args(["--no-sync", "-A", "scram-sha-256", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb.arg(format!("--pwfile={}", pwfile.display())).arg("-D").arg(&data);
        failed("initdb", &initdb.current_dir(&home).output().context("initdb cannot be run")?)?;
        std::fs::remove_file(&pwfile)?;
        let mut server = as_user(user, &bin.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        server.arg("-c").arg(format!("unix_socket_directories={}", home.display()));
        let log = std::fs::File::create(folder.join("postgres.log"))?;
        server.current_dir(&home).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
        // Ctrl-C at the terminal is for the demo, which then ends the server itself.
        std::os::unix::process::CommandExt::process_group(&mut server, 0);
        let server = server.spawn().context("postgres cannot be run")?;
        Ok(Self { bin, port, passfile, server, folder: folder.into() })
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.env("PGPASSFILE", &self.passfile).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.args(["-p", &self.port.to_string(), "-d", database]).stdin(Stdio::null());
        psql
    }

    fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            if self.psql("postgres").args(["-c", "select 1"]).output()?.status.success() {
                return Ok(());
            }
            if self.server.try_wait()?.is_some() || begun.elapsed().as_secs() > READY_SECS_MAX {
                let log = std::fs::read_to_string(self.folder.join("postgres.log")).unwrap_or_default();
                bail!("PostgreSQL does not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Fills the database and returns the password of the gateway's own account.
    fn fill(&self, folder: &Path) -> Result<String> {
        let password = password()?;
        let setup = folder.join("setup.sql");
        write_private(&setup, format!("create role gatehouse login password '{password}';\n").as_bytes())?;
        failed("psql", &self.psql("postgres").arg("-f").arg(&setup).output()?)?;
        std::fs::remove_file(&setup)?;
        failed("psql", &self.psql("postgres").args(["-c", "create database shop encoding 'UTF8' template template0"]).output()?)?;
        let shop = folder.join("shop.sql");
        std::fs::write(&shop, SHOP)?;
        failed("psql", &self.psql("shop").arg("-f").arg(&shop).output()?)?;
        Ok(password)
    }

    fn stop(&mut self) {
        let pid = i32::try_from(self.server.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Already gone is as good as stopped. SIGINT is PostgreSQL's fast shutdown.
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.server.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The newest PostgreSQL of the machine.
fn binaries() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let bin = entry.path().join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    on_path.context("no PostgreSQL server was found: install one, on Debian and Ubuntu with `apt-get install postgresql`")
}

/// PostgreSQL refuses to run as root; for root, the user that its package made, or nobody.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(Some(ids("postgres").or_else(|| ids("nobody")).context("there is no unprivileged user to run PostgreSQL as")?))
}

/// A command as another user, which ends when this process does, however it ends.
fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((uid, gid)) = user {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]);
    }
    command.args(["--pdeathsig", "QUIT"]).arg("--").arg(program);
    command
}

fn password() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("there is no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
