//! A target that speaks HTTP, and a gateway before it.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use crate::fixture::{folder, private};
use crate::http::{self, Answer, Door};
use crate::secret::remember;
use crate::served::Served;
use crate::{Fixture, Setup};

/// What the gateway proves itself by to the target of the tests.
pub const TOKEN: &str = "the-gateway's-own-token-at-the-api";

/// Agents look and write; what they delete, and what is written to orders, a person sees first.
pub const POLICIES: &str = include_str!("../fixture/web.cedar");

/// Starts the target of most tests, which tells what it is asked for.
pub fn target() -> Result<Served> {
    let git = folder()?;
    let mut bare = Command::new("git");
    bare.args(["init", "-q", "--bare", "-b", "main"]).arg(git.path().join("repo.git"));
    anyhow::ensure!(bare.status()?.success(), "git makes no repository");
    let root = git.path().to_str().context("a path in UTF-8")?;
    Ok(Served::start("web_target.py", &[("SECRET", TOKEN), ("GIT_ROOT", root)])?.with(git))
}

/// The sections of a gateway before a target, with what else is said of it.
pub fn config(port: u16, target: &str) -> String {
    format!(
        "[listen.http]\naddress = \"127.0.0.1:0\"\n[targets.api]\nprotocol = \"http\"\naddress = \"127.0.0.1:{port}\"\n{target}\n"
    )
}

/// A target, and a gateway before it.
pub struct WebHouse {
    /// The target.
    pub target: Served,
    /// The gateway.
    pub fixture: Fixture,
    /// Where the gateway listens for HTTP.
    pub base: String,
}

/// What a client shows: a task's user name and password.
#[derive(Debug, Clone)]
pub struct WebCredential {
    /// The task.
    pub task: String,
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl WebCredential {
    /// The value of `Authorization`.
    pub fn basic(&self) -> String {
        format!("Basic {}", BASE64.encode(format!("{}:{}", self.user, self.password)))
    }
}

impl WebHouse {
    /// Starts both, with what else is said of the target, and with more policies.
    pub fn start(target: &str, policies: &str) -> Result<Self> {
        Self::start_with(target, policies, Setup::default())
    }

    /// The same, with other parts.
    pub fn start_with(said: &str, policies: &str, setup: Setup) -> Result<Self> {
        Self::before(target()?, said, policies, setup)
    }

    /// The same, with another target.
    pub fn before(target: Served, said: &str, policies: &str, setup: Setup) -> Result<Self> {
        remember(TOKEN);
        let credential =
            if said.contains("credential") { "" } else { "credential = { bearer = \"file:api.secret\" }\n" };
        let mut files = setup.files.clone();
        files.push(("api.secret", TOKEN.into()));
        let fixture = Fixture::start(Setup {
            policies: format!("{POLICIES}{policies}"),
            config: format!("{}\n{}", config(target.port, &format!("{credential}{said}")), setup.config),
            files,
            ..setup
        })?;
        let base = listening(&fixture, "api")?;
        Ok(Self { target, fixture, base })
    }

    /// Starts a task at the target.
    pub fn task(&self, identity: &str) -> Result<WebCredential> {
        task(&self.fixture, identity, "api")
    }

    /// Sends a request to the target, through the gateway.
    pub fn call(
        &self,
        credential: &WebCredential,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let basic = credential.basic();
        let fields = [&[("authorization", basic.as_str())], fields].concat();
        http::call(Door::Web(&self.base), method, &format!("/http/api{path}"), &fields, body)
    }

    /// The same, with nothing but a path.
    pub fn get(&self, credential: &WebCredential, path: &str) -> Result<Answer> {
        self.call(credential, "GET", path, &[], "")
    }

    /// curl in the middle of an answer that goes on for a minute.
    pub fn running(&self, credential: &WebCredential) -> Result<Child> {
        let mut running = self.curl(credential, &["-N"], "/endless")?.stdout(Stdio::piped()).spawn()?;
        let mut first = [0; 1];
        running.stdout.as_mut().context("what curl says")?.read_exact(&mut first)?;
        Ok(running)
    }

    /// curl, which reads its credential where nobody else sees it.
    pub fn curl(&self, credential: &WebCredential, arguments: &[&str], path: &str) -> Result<Command> {
        let netrc = self.fixture.folder.path().join(format!("{}.netrc", credential.user));
        let line = format!("machine 127.0.0.1 login {} password {}\n", credential.user, credential.password);
        // Another may be reading it.
        if !netrc.exists() {
            private(&netrc, &line)?;
        }
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--netrc-file"]).arg(netrc).args(arguments);
        command.arg(format!("{}/http/api{path}", self.base)).stdin(Stdio::null());
        Ok(command)
    }
}

/// Starts a task at a target.
pub fn task(fixture: &Fixture, identity: &str, target: &str) -> Result<WebCredential> {
    let start = ["task", "start", "--as", identity, "--target", target, "--ttl", "10m", "--reason", "a test"];
    let started = fixture.json(&start)?;
    let text = |pointer: &str| started.pointer(pointer).and_then(Value::as_str).map(String::from);
    let password = text("/password").context("a password")?;
    remember(&password);
    Ok(WebCredential { task: text("/task/id").context("an id")?, user: text("/user").context("a user")?, password })
}

/// Where a target is reached.
pub fn listening(fixture: &Fixture, target: &str) -> Result<String> {
    let targets = fixture.json(&["targets", "ls"])?;
    let found = targets.as_array().into_iter().flatten().find(|found| found["name"] == target);
    let address = found.and_then(|found| found["listen"].as_str()).context("an address")?;
    Ok(format!("http://{address}"))
}
