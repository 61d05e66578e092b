//! A PostgreSQL server of one's own: for the demo and for tests.
//!
//! It runs as an unprivileged user in a folder that its caller made, listens on loopback only, and ends with the
//! process that started it, however that ends.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long PostgreSQL may take to answer.
const READY_SECS_MAX: u64 = 60;

/// A PostgreSQL server that lives as long as this value.
pub struct Postgres {
    bin: PathBuf,
    /// The port on 127.0.0.1.
    pub port: u16,
    /// A password file for the superuser `postgres`.
    pub passfile: PathBuf,
    server: Child,
    folder: PathBuf,
}

impl Postgres {
    /// Makes a cluster in `folder` and starts it; `authentication` is pg_hba.conf's word, `settings` are `name=value`.
    /// The calling thread must live as long as the server should.
    pub fn start(folder: &Path, authentication: &str, settings: &[String]) -> Result<Self> {
        let bin = binaries()?;
        let user = unprivileged()?;
        let home = folder.join("postgres");
        std::fs::create_dir(&home)?;
        let superuser = password()?;
        let pwfile = home.join("pwfile");
        write_private(&pwfile, superuser.as_bytes())?;
        if let Some((uid, gid)) = user {
            for path in [&home, &pwfile] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
            }
        }
        let data = home.join("data");
        let mut initdb = as_user(user, &bin.join("initdb"));
        initdb.args(["--no-sync", "-A", authentication, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb.arg(format!("--pwfile={}", pwfile.display())).arg("-D").arg(&data);
        failed("initdb", &initdb.current_dir(&home).output().context("initdb cannot be run")?)?;
        std::fs::remove_file(&pwfile)?;
        // Only now, so that nobody takes it in the meantime.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let passfile = folder.join("superuser.pgpass");
        write_private(&passfile, format!("127.0.0.1:{port}:*:postgres:{superuser}\n").as_bytes())?;
        let mut server = as_user(user, &bin.join("postgres"));
        server.arg("-D").arg(&data).args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
        ]);
        server.arg("-c").arg(format!("unix_socket_directories={}", home.display()));
        for setting in settings {
            server.arg("-c").arg(setting);
        }
        let log = std::fs::File::create(folder.join("postgres.log"))?;
        server.current_dir(&home).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
        // Ctrl-C at the terminal is for the demo, which then ends the server itself.
        std::os::unix::process::CommandExt::process_group(&mut server, 0);
        let server = server.spawn().context("postgres cannot be run")?;
        Ok(Self { bin, port, passfile, server, folder: folder.into() })
    }

    /// One of PostgreSQL's own programs.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// psql as the superuser.
    pub fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.env("PGPASSFILE", &self.passfile).args([
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
        ]);
        psql.args(["-p", &self.port.to_string(), "-d", database]).stdin(Stdio::null());
        psql
    }

    /// Waits until it answers.
    pub fn ready(&mut self) -> Result<()> {
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

    /// Makes the account `gatehouse` and a database, fills it, and returns the account's password.
    pub fn fill(&self, database: &str, sql: &str) -> Result<String> {
        let password = password()?;
        let setup = self.folder.join("setup.sql");
        write_private(&setup, format!("create role gatehouse login password '{password}';\n").as_bytes())?;
        failed("psql", &self.psql("postgres").arg("-f").arg(&setup).output()?)?;
        let create = format!("create database {database} encoding 'UTF8' template template0");
        failed("psql", &self.psql("postgres").args(["-c", &create]).output()?)?;
        write_private(&setup, sql.as_bytes())?;
        failed("psql", &self.psql(database).arg("-f").arg(&setup).output()?)?;
        std::fs::remove_file(&setup)?;
        Ok(password)
    }

    /// Stops it.
    pub fn stop(&mut self) {
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
    on_path
        .context("no PostgreSQL server was found: install one, on Debian and Ubuntu with `apt-get install postgresql`")
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

/// 128 random bits.
fn password() -> Result<String> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("there is no randomness: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file of this server's folder that only its owner can read.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    Ok(file.with_context(|| format!("{} cannot be written", path.display()))?.write_all(content)?)
}

/// Bails with the words of a failed program.
fn failed(program: &str, output: &std::process::Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{program} failed: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
