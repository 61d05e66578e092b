//! The one binary.

use std::fs::File;
use std::process::ExitCode;
use std::sync::Mutex;

use clap::Parser as _;
use gatehouse::cli::Cli;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

#[tokio::main]
async fn main() -> ExitCode {
    begin_logs();
    std::panic::set_hook(Box::new(log_panic));
    match gatehouse::commands::execute(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is where a command tells a person why it failed")]
            {
                eprintln!("gatehouse: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
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

/// Programs read logs as JSON; a person at a terminal reads lines.
fn begin_logs() {
    let filter = EnvFilter::try_from_env("GATEHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log_writer());
    // A line that cannot be written is lost. To say so where it could not be written would be a panic that holds the log, and the
    // next line would wait for it without end.
    let logs = logs.log_internal_errors(false);
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        logs.with_target(false).init()
    } else {
        logs.json().init()
    }
}

/// PostgreSQL's parser takes file descriptor 2 away while it parses, so logs go to a copy of it.
fn log_writer() -> BoxMakeWriter {
    // Programs that print secrets are given none of it.
    match rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3) {
        Ok(copy) => BoxMakeWriter::new(Mutex::new(File::from(copy))),
        Err(_) => BoxMakeWriter::new(std::io::stderr),
    }
}
