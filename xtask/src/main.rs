//! `cargo run -p xtask -- tidy [--write]`: the invariants of the house that the compiler cannot hold.
//!
//! Each is an absence: an edge between rooms, a socket outside the engine, a stale page. A finding names its file and
//! line and what to do. `--write` renews the generated pages in place of comparing them. It knows the workspace's
//! layout and nothing of what Gatehouse does.

mod dependencies;
mod functions;
mod generated;
mod masked;
mod sources;
mod wasm;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => tidy(false),
        ["tidy", "--write"] => tidy(true),
        _ => bail!("usage: cargo run -p xtask -- tidy [--write]"),
    }
}

fn tidy(write: bool) -> Result<ExitCode> {
    let house = House::find()?;
    let mut findings = Findings::default();
    let sources = sources::read(&house)?;
    sources::check(&sources, &mut findings);
    functions::check(&house, &sources, &mut findings)?;
    dependencies::check(&house, &mut findings)?;
    generated::check(&house, write, &mut findings)?;
    wasm::check(&house, &mut findings)?;
    findings.report()
}

/// Where everything is.
pub(crate) struct House {
    root: PathBuf,
}

impl House {
    fn find() -> Result<Self> {
        // Where it runs, not where it was built: a target directory may serve several checkouts.
        let here = std::env::current_dir()?;
        let root = here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").exists());
        Ok(Self { root: root.context("run this inside the workspace")?.into() })
    }

    /// A file or folder, by its path from the root.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.root.join(inner)
    }

    /// The path from the root, as findings and tables have it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// The cargo that runs this, or the one on the path.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        cargo
    }
}

/// What was found, and what is worth a look.
#[derive(Default)]
pub(crate) struct Findings {
    wrong: Vec<String>,
    remarks: Vec<String>,
}

impl Findings {
    /// Something that must change. Lines count from one; zero is the file as a whole.
    pub(crate) fn wrong(&mut self, file: &str, line: usize, message: impl AsRef<str>) {
        self.wrong.push(place(file, line, message.as_ref()));
    }

    /// Something that may stay.
    pub(crate) fn remark(&mut self, file: &str, line: usize, message: impl AsRef<str>) {
        self.remarks.push(place(file, line, message.as_ref()));
    }

    /// Something to know about the run itself.
    pub(crate) fn note(&mut self, message: impl Into<String>) {
        self.remarks.push(message.into());
    }

    fn report(mut self) -> Result<ExitCode> {
        self.wrong.sort();
        let mut out = std::io::stdout().lock();
        for remark in &self.remarks {
            writeln!(out, "note: {remark}")?;
        }
        for finding in &self.wrong {
            writeln!(out, "error: {finding}")?;
        }
        if self.wrong.is_empty() {
            writeln!(out, "tidy: nothing found")?;
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(out, "tidy: {} found", self.wrong.len())?;
        Ok(ExitCode::FAILURE)
    }
}

fn place(file: &str, line: usize, message: &str) -> String {
    if line == 0 { format!("{file}: {message}") } else { format!("{file}:{line}: {message}") }
}
