//! What the gateway costs on the way to PostgreSQL, beside what others cost there: `scripts/bench pg`.
//!
//! Every figure is taken from all contestants in turn, round by round, and compared as a ratio within its round, so that
//! a machine whose speed drifts does not decide. Processor time is that of the contestant's own process, from /proc.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a bench prints, and stops at its own mistakes"
)]

mod contest;
mod load;
mod report;

use anyhow::{Context as _, Result};

use contest::Arena;

/// How long one cell of pgbench takes, and how often all are gone through.
pub(crate) struct Effort {
    pub(crate) secs: u32,
    pub(crate) rounds: usize,
    pub(crate) rows: u32,
    pub(crate) logins: u32,
    pub(crate) idle: usize,
    /// The modes of pgbench, and the numbers of its clients.
    pub(crate) modes: Vec<String>,
    pub(crate) clients: Vec<String>,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` runs every bench, without optimization and without `--bench`: that measures nothing.
    if std::env::args().len() == 1 {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["splice", target] = words.as_slice() {
        return contest::splice(target.parse().context("a port")?);
    }
    let option = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    let number = |name: &str, default: u32| option(name).map_or(Ok(default), |value| value.parse::<u32>());
    let list = |name: &str, default: &str| -> Vec<String> {
        option(name).copied().unwrap_or(default).split(',').map(str::to_string).collect()
    };
    let effort = Effort {
        secs: number("--secs", 3)?,
        rounds: number("--rounds", 5)?.try_into()?,
        rows: number("--rows", 1_000_000)?,
        logins: number("--logins", 300)?,
        idle: number("--idle", 400)?.try_into()?,
        modes: list("--modes", "prepared,extended,simple"),
        clients: list("--clients", "1,8,32"),
    };
    let only = option("--only").map(|only| only.split(',').map(str::to_string).collect::<Vec<_>>());
    let wanted = |part: &str| only.as_ref().is_none_or(|only| only.iter().any(|name| name == part));
    let mut arena = Arena::open(effort.rows)?;
    if option("--ways").is_some() {
        let ways = list("--ways", "");
        arena.ways.retain(|way| ways.iter().any(|name| name == way.name));
    }
    let mut sheet = report::Sheet::default();
    let outcome = measure(&mut arena, &effort, &mut sheet, wanted);
    // What was measured before something failed is not lost by it.
    sheet.print(option("--write").map(|path| std::path::Path::new(*path)))?;
    outcome
}

fn measure(arena: &mut Arena, effort: &Effort, sheet: &mut report::Sheet, wanted: impl Fn(&str) -> bool) -> Result<()> {
    if wanted("statements") {
        load::statements(arena, effort, sheet)?;
    }
    if wanted("latency") {
        load::latency(arena, effort, sheet)?;
    }
    if wanted("logins") {
        load::logins(arena, effort, sheet)?;
    }
    if wanted("rows") {
        load::rows(arena, effort, sheet)?;
    }
    if wanted("memory") {
        load::memory(arena, effort, sheet)?;
    }
    Ok(())
}
