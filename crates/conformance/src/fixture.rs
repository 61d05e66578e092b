//! A PostgreSQL with a small shop, and the gateway before it as a process of its own, for one test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gatehouse_scratch::Postgres;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::secret::{self, remember};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a test waits before it looks again.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !is_so()? {
        ensure!(begun.elapsed() < PATIENCE, "{what}: in vain");
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// What a fixture is made of; every part has a default that fits most tests.
pub struct Setup {
    /// Cedar policies.
    pub policies: String,
    /// What stands in the configuration beside the defaults.
    pub config: String,
    /// What stands in the target's section.
    pub target: String,
    /// As whom the gateway logs in at the target.
    pub account: String,
    /// What stands in the listener's section.
    pub listen: String,
    /// What the database is filled with.
    pub sql: String,
    /// How PostgreSQL authenticates: a word of pg_hba.conf.
    pub authentication: &'static str,
    /// PostgreSQL's settings.
    pub settings: Vec<String>,
    /// Files to put beside the configuration, with mode 0600.
    pub files: Vec<(&'static str, String)>,
    /// Where the data folder lies; beside the configuration where not given.
    pub data: Option<PathBuf>,
}

/// Reads for agents, writes held for "dba", nothing destroyed.
pub const POLICIES: &str = include_str!("../fixture/policies.cedar");
/// Lets everybody sleep, to be found asleep.
pub const SLEEP: &str =
    "\npermit (principal, action == Action::\"sql:admin\", resource == Function::\"shop/pg_catalog.pg_sleep\");\n";
/// A shop of a few tables with recognizable personal data.
pub const SHOP: &str = include_str!("../fixture/shop.sql");

impl Default for Setup {
    fn default() -> Self {
        Self {
            policies: POLICIES.into(),
            config: String::new(),
            target: String::new(),
            account: "user = \"gatehouse\"\npassword = \"file:shop.secret\"".into(),
            listen: String::new(),
            sql: SHOP.into(),
            authentication: "scram-sha-256",
            settings: Vec::new(),
            files: Vec::new(),
            data: None,
        }
    }
}

/// An issued credential.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The task.
    pub task: String,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
    /// Where the gateway listens.
    pub host: String,
    /// The same.
    pub port: u16,
}

impl Credential {
    /// What the answer says that a task was started with.
    pub fn of(started: &Value) -> Result<Self> {
        let text = |pointer: &str| started.pointer(pointer).and_then(Value::as_str);
        let address = text("/addresses/shop").context("the target has no address")?;
        let (host, port) = address.rsplit_once(':').context("an address has a port")?;
        let password = text("/password").or_else(|| text("/access_token")).context("there is a password")?;
        if password.contains('.') {
            secret::remember_token(password);
        } else {
            remember(password);
        }
        Ok(Self {
            task: text("/task/id").context("the task has an id")?.into(),
            user: text("/user").context("there is a user name")?.into(),
            password: password.into(),
            host: host.into(),
            port: port.parse()?,
        })
    }
}

/// A PostgreSQL and a gateway.
pub struct Fixture {
    /// Everything lies here.
    pub folder: TempDir,
    /// The database.
    pub postgres: Postgres,
    /// The password of the gateway's account.
    pub secret: String,
    /// The gateway's data folder.
    pub data: PathBuf,
    gateway: Option<Child>,
}

impl Fixture {
    /// Starts both.
    pub fn start(setup: Setup) -> Result<Self> {
        let folder = folder()?;
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let mut postgres = Postgres::start(folder.path(), setup.authentication, &setup.settings)?;
        postgres.ready()?;
        let secret = postgres.fill("shop", &setup.sql)?;
        let home = folder.path().join("gatehouse");
        std::fs::create_dir_all(home.join("policies"))?;
        std::fs::write(home.join("policies/test.cedar"), &setup.policies)?;
        private(&home.join("shop.secret"), &secret)?;
        remember(&secret);
        for (name, content) in &setup.files {
            if name.ends_with(".secret") {
                remember(content);
            }
            private(&home.join(name), content)?;
        }
        let data = setup.data.clone().unwrap_or_else(|| home.join("data"));
        let config = format!(
            "gateway.data = {:?}\n[listen.postgres]\naddress = \"127.0.0.1:0\"\n{}\n[api]\naddress = \"127.0.0.1:0\"\n\
             [users.dana]\ngroups = [\"dba\"]\n[users.sam]\ngroups = [\"support\"]\n[users.nina]\ngroups = []\n\
             [agents.claude]\ngroups = [\"agents\"]\n[agents.other]\ngroups = [\"agents\"]\n{}\n\
             [targets.shop]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:{}\"\n{}\n{}\n",
            data.display().to_string(),
            setup.listen,
            setup.config,
            postgres.port,
            setup.account,
            setup.target,
        );
        std::fs::write(home.join("gatehouse.toml"), config)?;
        let mut fixture = Self { folder, postgres, secret, data, gateway: None };
        fixture.start_gateway()?;
        Ok(fixture)
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gatehouse/gatehouse.toml")
    }

    /// The log of the gateway.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("gatehouse.log")
    }

    /// What the gateway printed since it was started last.
    pub fn printed(&self) -> PathBuf {
        self.folder.path().join("gatehouse.out")
    }

    /// Starts the gateway, again after a kill.
    pub fn start_gateway(&mut self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = Command::new(program()?);
        command.arg("serve").arg("--config").arg(self.config()).stdin(Stdio::null());
        command.stdout(std::fs::File::create(self.printed())?).stderr(log);
        let mut child = command.spawn()?;
        let begun = Instant::now();
        loop {
            if std::os::unix::net::UnixStream::connect(self.data.join("admin.sock")).is_ok() {
                self.gateway = Some(child);
                return Ok(());
            }
            if child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = child.kill();
                bail!("the gateway does not start:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The address of the control API, as the gateway logs it.
    pub fn api(&self) -> Result<String> {
        let mut found = None;
        wait_until("the control API listens", || {
            let log = std::fs::read_to_string(self.log())?;
            let address = log.rsplit("the control API listens on ").next().and_then(|rest| rest.split('"').next());
            found = address.filter(|address| address.starts_with("http://")).map(String::from);
            Ok(found.is_some())
        })?;
        found.context("an address")
    }

    /// The gateway's process id.
    pub fn gateway_pid(&self) -> Option<u32> {
        self.gateway.as_ref().map(Child::id)
    }

    /// Kills the gateway without a word (SIGKILL).
    pub fn kill_gateway(&mut self) -> Result<()> {
        self.end_gateway(Signal::KILL)
    }

    /// Asks the gateway to stop, and waits until it has.
    pub fn stop_gateway(&mut self) -> Result<()> {
        self.end_gateway(Signal::TERM)
    }

    fn end_gateway(&mut self, signal: Signal) -> Result<()> {
        if let Some(mut child) = self.gateway.take() {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                kill_process(pid, signal)?;
            }
            child.wait()?;
        }
        Ok(())
    }

    /// Runs a command of the program against this gateway's admin socket.
    pub fn command(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(program()?);
        command.args(arguments).env("GATEHOUSE_ADMIN_SOCKET", self.data.join("admin.sock"));
        Ok(command.env("PSQLRC", "/dev/null").stdin(Stdio::null()).output()?)
    }

    /// The same with `--json`; fails with the command's own words.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command(&[arguments, &["--json"]].concat())?;
        if !output.status.success() {
            // What the log says of it is gone with the fixture's folder.
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
            bail!("{}{}", String::from_utf8_lossy(&output.stderr), errors.join("\n"));
        }
        let answer: Value = serde_json::from_slice(&output.stdout)?;
        // Whatever is shown once is kept nowhere.
        for shown in ["secret", "token", "password"].iter().filter_map(|name| answer.get(name)?.as_str()) {
            remember(shown);
        }
        Ok(answer)
    }

    /// Starts a task for an identity.
    pub fn task(&self, identity: &str, ttl: &str) -> Result<Credential> {
        let started =
            self.json(&["task", "start", "--as", identity, "--target", "shop", "--ttl", ttl, "--reason", "a test"])?;
        Credential::of(&started)
    }

    /// What reaches the target without the gateway, to compare with.
    pub fn direct(&self) -> Credential {
        Credential {
            task: String::new(),
            user: "gatehouse".into(),
            password: self.secret.clone(),
            host: "127.0.0.1".into(),
            port: self.postgres.port,
        }
    }

    /// Runs a script with unmodified psql.
    pub fn psql(&self, credential: &Credential, script: &str) -> Result<String> {
        let mut command = self.psql_command(credential);
        let output = command.arg("-c").arg(script).output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }

    /// psql, ready to be given a script.
    pub fn psql_command(&self, credential: &Credential) -> Command {
        let passfile = self.folder.path().join(format!("{}.pgpass", credential.user));
        let line = format!("*:*:*:{}:{}\n", credential.user, credential.password);
        if !passfile.exists() {
            // psql says itself what it misses.
            let _ = private(&passfile, &line);
        }
        let mut command = Command::new("psql");
        let connection =
            format!("host={} port={} dbname=shop user={}", credential.host, credential.port, credential.user);
        command
            .env("PGPASSFILE", passfile)
            .args(["-X", "-A", "-t", "-q"])
            .arg("-d")
            .arg(connection)
            .stdin(Stdio::null());
        command
    }

    /// Has a psql sleep for a minute, where [`SLEEP`] lets it, and returns once it does.
    pub fn asleep(&self, psql: &mut Command) -> Result<Child> {
        let mut child = psql.args(["-c", "select pg_sleep(60)"]).stderr(Stdio::piped()).spawn()?;
        let asleep = "select count(*) from pg_stat_activity where state = 'active' and wait_event = 'PgSleep'";
        wait_until("it sleeps", || Ok(child.try_wait()?.is_some() || self.truth(asleep)? != "0"))?;
        if child.try_wait()?.is_some() {
            let output = child.wait_with_output()?;
            bail!("it does not sleep: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(child)
    }

    /// Waits until a client is cut off, and says what it was told.
    pub fn cut_off(mut child: Child) -> Result<String> {
        if let Err(error) = wait_until("the session is cut", || Ok(child.try_wait()?.is_some())) {
            child.kill()?;
            return Err(error);
        }
        Ok(String::from_utf8_lossy(&child.wait_with_output()?.stderr).into_owned())
    }

    /// Connects with tokio-postgres.
    pub async fn connect(&self, credential: &Credential) -> Result<Client> {
        let mut config = tokio_postgres::Config::new();
        config.host(&credential.host).port(credential.port).user(&credential.user).password(&credential.password);
        config.dbname("shop").connect_timeout(PATIENCE);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Asks the database itself, as its superuser.
    pub fn truth(&self, sql: &str) -> Result<String> {
        let output = self.postgres.psql("shop").args(["-A", "-t", "-c", sql]).output()?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_string())
    }

    /// Waits for the only open request.
    pub fn open_request(&self) -> Result<Value> {
        let mut found = None;
        wait_until("a request is filed", || {
            let requests = self.json(&["requests", "ls"])?;
            let open = requests.as_array().into_iter().flatten().find(|request| request["state"] == "open");
            found = open.cloned();
            Ok(found.is_some())
        })?;
        found.context("a request")
    }

    /// The state of a request.
    pub fn request_state(&self, id: &str) -> Result<String> {
        let request = self.json(&["requests", "show", id])?;
        Ok(request.get("state").and_then(Value::as_str).unwrap_or_default().to_string())
    }

    /// Every record of the journal.
    pub fn records(&self) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        for entry in std::fs::read_dir(self.data.join("journal"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                for line in std::fs::read_to_string(&path)?.lines() {
                    records.push(serde_json::from_str(line)?);
                }
            }
        }
        records.sort_by_key(|record: &Value| record["index"].as_u64());
        Ok(records)
    }

    /// Exports everything and verifies it; returns what the verification said.
    pub fn verify(&self) -> Result<String> {
        let bundle = self.folder.path().join("evidence.tar");
        let bundle = bundle.to_str().context("the path is text")?;
        let exported = self.command(&["evidence", "export", "-o", bundle, "--force"])?;
        if !exported.status.success() {
            bail!("{}", String::from_utf8_lossy(&exported.stderr));
        }
        let key = self.data.join("journal.pub");
        let verified =
            self.command(&["evidence", "verify", bundle, "--key", key.to_str().context("the path is text")?])?;
        Ok(format!("{}{}", String::from_utf8_lossy(&verified.stdout), String::from_utf8_lossy(&verified.stderr)))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A test that failed says more than a gateway that is gone already.
        let _ = self.end_gateway(Signal::KILL);
        if !std::thread::panicking() {
            let found = secret::found(&[&self.data, &self.log()]);
            assert!(found.as_ref().is_ok_and(Vec::is_empty), "the gateway wrote secrets: {found:?}");
        }
    }
}

/// A folder that goes with the test.
pub fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("gatehouse-test-").tempdir()?)
}

/// Writes a file that only its owner can read.
pub fn private(path: &Path, content: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(content.as_bytes())?)
}

/// The program under test, which cargo builds beside the tests.
pub fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test lies in target/*/deps")?;
    let program = folder.join("gatehouse");
    if !program.exists() {
        bail!("{} is not built: run `cargo build --workspace` first, as scripts/test does", program.display());
    }
    Ok(program)
}
