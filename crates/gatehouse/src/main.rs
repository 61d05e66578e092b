//! The one binary.

use std::process::ExitCode;

use clap::Parser as _;
use gatehouse::cli::Cli;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("GATEHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Programs read logs as JSON; a person at a terminal reads lines.
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) { logs.with_target(false).init() } else { logs.json().init() }
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
