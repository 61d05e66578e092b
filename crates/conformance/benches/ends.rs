//! How soon things end after their tasks: `scripts/bench ends`.
//!
//! Each way out is shut by what shuts it, and tried until it is: from the end of the command that ends it to the first time
//! that it is of no use. Fails where one stays open for longer than a second.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gatehouse_conformance::fixture::{PATIENCE, POLICIES, SLEEP};
use gatehouse_conformance::stores::Vault;
use gatehouse_conformance::web::WebHouse;
use gatehouse_conformance::{Credential, Fixture, Setup};

/// What no credential may outlive its task by.
const MUST: Duration = Duration::from_secs(1);
/// How often each is tried, unless told.
const ROUNDS: usize = 5;
const ASK: &str = "select count(*) from orders";

/// Ends something, and says how long it took until it was of no use.
type Measure = fn() -> Result<Duration>;

fn main() -> Result<()> {
    // `cargo test --all-targets` runs every bench, without `--bench`: that measures nothing.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        return Ok(());
    }
    let rounds = match arguments.iter().filter(|argument| *argument != "--bench").collect::<Vec<_>>().as_slice() {
        [] => ROUNDS,
        [flag, count] if *flag == "--rounds" => count.parse().context("a count")?,
        _ => bail!("usage: scripts/bench ends [--rounds N]"),
    };
    println!("{:<58} {:>8} {:>8}", "of no use any more, after", "median", "longest");
    let ways: [(&str, Measure); 9] = [
        ("a credential, its task revoked", || credential(revoke)),
        ("a credential, its identity locked down", || credential(|fixture, _| command(fixture, &LOCKDOWN))),
        ("a session that is open, its task revoked", session),
        ("a credential of HTTP, its task revoked", web_credential),
        ("an answer of HTTP that is under way, its task revoked", web_exchange),
        ("an account at the target, its vault well", || account(|_| Ok(()), "")),
        ("an account at the target, its vault gone", || account(Vault::stop, "")),
        ("an account at the target, its vault hanging", || account(|vault| vault.hang(), "")),
        ("an account at the target that its vault cannot drop", || account(|_| Ok(()), OWNER)),
    ];
    let mut late = Vec::new();
    for (way, measure) in ways {
        let mut took = (0..rounds).map(|_| measure()).collect::<Result<Vec<_>>>()?;
        took.sort();
        let (median, longest) = (took.get(rounds / 2), took.last());
        let (median, longest) = median.zip(longest).context("there is a round")?;
        println!("{way:<58} {:>5} ms {:>5} ms", median.as_millis(), longest.as_millis());
        if *longest > MUST {
            late.push(way);
        }
    }
    ensure!(late.is_empty(), "of use for longer than {} s: {}", MUST.as_secs(), late.join("; "));
    Ok(())
}

const LOCKDOWN: [&str; 5] = ["lockdown", "begin", "agent:claude", "--reason", "a bench"];
/// Makes the account the owner of something, so that it cannot be dropped.
const OWNER: &str = "create schema its authorization \"{{name}}\"";

fn command(fixture: &Fixture, arguments: &[&str]) -> Result<()> {
    let output = fixture.command(arguments)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn revoke(fixture: &Fixture, task: &Credential) -> Result<()> {
    command(fixture, &["revoke", &task.task])
}

/// How long it takes until something is over.
fn until(mut is_over: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !is_over()? {
        ensure!(begun.elapsed() < PATIENCE, "it is of use still");
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(begun.elapsed())
}

fn opens(fixture: &Fixture, credential: &Credential) -> Result<bool> {
    Ok(fixture.psql(credential, ASK)? == "200\n")
}

fn credential(end: impl Fn(&Fixture, &Credential) -> Result<()>) -> Result<Duration> {
    let fixture = Fixture::start(Setup::default())?;
    let task = fixture.task("agent:claude", "10m")?;
    ensure!(opens(&fixture, &task)?, "it is of no use");
    end(&fixture, &task)?;
    until(|| Ok(!opens(&fixture, &task)?))
}

fn session() -> Result<Duration> {
    let fixture = Fixture::start(Setup { policies: format!("{POLICIES}{SLEEP}"), ..Setup::default() })?;
    let task = fixture.task("agent:claude", "10m")?;
    let mut sleeper = fixture.asleep(&mut fixture.psql_command(&task))?;
    revoke(&fixture, &task)?;
    until(|| Ok(sleeper.try_wait()?.is_some()))
}

fn web_credential() -> Result<Duration> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    ensure!(house.get(&task, "/told")?.status == 200, "it is of no use");
    command(&house.fixture, &["revoke", &task.task])?;
    until(|| Ok(house.get(&task, "/told")?.status == 401))
}

fn web_exchange() -> Result<Duration> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let mut running = house.running(&task)?;
    command(&house.fixture, &["revoke", &task.task])?;
    until(|| Ok(running.try_wait()?.is_some()))
}

fn account(meanwhile: impl FnOnce(&mut Vault) -> Result<()>, more: &str) -> Result<Duration> {
    let mut vault = Vault::start()?;
    let (config, secret) = vault.application(600)?;
    let fixture = Fixture::start(Setup {
        config,
        account: "credentials = \"vault:database/creds/shop\"".into(),
        files: vec![("vault.secret", secret)],
        ..Setup::default()
    })?;
    vault.make_accounts_at(&fixture, 600)?;
    vault.make_telling_accounts(&fixture, more)?;
    let task = fixture.task("agent:claude", "10m")?;
    ensure!(opens(&fixture, &task)?, "it is of no use");
    let told = fixture.truth("select name || ' ' || password from told")?;
    let (user, password) = told.split_once(' ').context("an account")?;
    let thief = Credential { user: user.into(), password: password.into(), ..fixture.direct() };
    ensure!(opens(&fixture, &thief)?, "it is of no use");
    meanwhile(&mut vault)?;
    revoke(&fixture, &task)?;
    until(|| Ok(!opens(&fixture, &thief)?))
}
