//! A server of the folder of clients, which says its port when it listens.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// What runs what lies in that folder.
pub const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run");

/// A running server.
pub struct Served {
    child: Child,
    /// Its port.
    pub port: u16,
    /// What it needs while it runs.
    kept: Option<TempDir>,
}

impl Served {
    /// Starts one, with an environment of its own.
    pub fn start(name: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(CLIENTS);
        command.arg(name).envs(environment.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut port = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut port)?;
        let port =
            port.trim().parse().with_context(|| format!("{name} does not start: run scripts/client-needs.sh"))?;
        Ok(Self { child, port, kept: None })
    }

    /// Keeps a folder for as long as it runs.
    #[must_use]
    pub fn with(mut self, folder: TempDir) -> Self {
        self.kept = Some(folder);
        self
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
