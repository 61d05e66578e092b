//! The one binary.

use std::process::ExitCode;

use clap::Parser as _;
use gatehouse::cli::Cli;
use gatehouse::lines;

#[tokio::main]
async fn main() -> ExitCode {
    let log = match lines::begin() {
        Ok(log) => log,
        Err(error) => return failed(&error.into()),
    };
    std::panic::set_hook(Box::new(log_panic));
    let outcome = gatehouse::commands::execute(Cli::parse()).await;
    log.end();
    outcome.unwrap_or_else(|error| failed(&error))
}

#[expect(clippy::print_stderr, reason = "this is where a command tells a person why it failed")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("gatehouse: {error:#}");
    ExitCode::FAILURE
}

/// A panic ends nothing but what it happened in. The parser's crate panics on trees that it does not expect, which means
/// that a statement was not understood: whoever sends such statements must not fill the log.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or_default();
    if place.contains("pg_raw_parse") {
        tracing::debug!(place, message, "a statement's tree could not be read");
    } else {
        tracing::error!(place, message, backtrace = %std::backtrace::Backtrace::capture(), "a defect of Gatehouse: please report it");
    }
}
