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

/// Programs read logs as JSON; a person at a terminal reads lines.
fn begin_logs() {
    let filter = EnvFilter::try_from_env("GATEHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log_writer());
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        logs.with_target(false).init()
    } else {
        logs.json().init()
    }
}

/// PostgreSQL's parser takes file descriptor 2 away while it parses, so logs go to a copy of it.
fn log_writer() -> BoxMakeWriter {
    match rustix::io::dup(rustix::stdio::stderr()) {
        Ok(copy) => BoxMakeWriter::new(Mutex::new(File::from(copy))),
        Err(_) => BoxMakeWriter::new(std::io::stderr),
    }
}
