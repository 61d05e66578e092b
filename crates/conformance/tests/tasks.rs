//! Tasks: what ends, ends at once, on every path.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gatehouse_conformance::fixture::{POLICIES, SLEEP, wait_until};
use gatehouse_conformance::raw::{RawClient, frame, query};
use gatehouse_conformance::{Credential, Fixture, Setup};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A client that sits in a long statement; returns when it is really in it.
fn busy(fixture: &Fixture, credential: &Credential) -> anyhow::Result<std::process::Child> {
    let mut psql = fixture.psql_command(credential);
    psql.args(["-c", "select 'in'", "-c", "select count(*) from generate_series(1, 1000000000)"]);
    let mut child = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut first = [0; 2];
    child.stdout.as_mut().map(|output| output.read_exact(&mut first)).transpose()?;
    Ok(child)
}

fn ends_within_a_second(mut child: std::process::Child) -> anyhow::Result<String> {
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        assert!(begun.elapsed() < Duration::from_millis(1500), "the session was not cut");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut said = String::new();
    child.stderr.take().map(|mut error| error.read_to_string(&mut said)).transpose()?;
    Ok(said)
}

#[test]
fn revoking_a_task_cuts_its_sessions_and_kills_its_credential() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let (agent, other) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "10m")?);
    let (cut, spared) = (busy(&fixture, &agent)?, busy(&fixture, &other)?);
    fixture.json(&["revoke", &agent.task])?;
    let said = ends_within_a_second(cut)?;
    assert!(said.contains("the task has ended: revoked"), "{said}");
    let running =
        "select count(*) from pg_stat_activity where state = 'active' and query like 'select count(*) from gen%'";
    let begun = Instant::now();
    while fixture.truth(running)? != "1" {
        assert!(begun.elapsed() < Duration::from_secs(30), "what ran for the revoked task goes on at the target");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(fixture.psql(&agent, "select 1")?.contains("password authentication failed"));
    assert!(fixture.json(&["revoke", &agent.task]).is_err(), "once is enough");

    let mut spared = spared;
    assert!(spared.try_wait()?.is_none(), "nobody else's connection is touched");
    let session = fixture.json(&["sessions", "ls"])?;
    let live = session.as_array().into_iter().flatten().find(|session| session["state"] == "live");
    let id = live.and_then(|session| session["id"].as_str()).unwrap_or_default().to_string();
    fixture.json(&["kill", &id])?;
    ends_within_a_second(spared)?;
    assert_eq!(fixture.psql(&other, "select 1")?.trim(), "1", "a killed session is not an ended task");
    Ok(())
}

#[test]
fn a_task_expires_with_its_sessions() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "3s")?;
    let started = Instant::now();
    let cut = busy(&fixture, &agent)?;
    std::thread::sleep(Duration::from_secs(3).saturating_sub(started.elapsed()));
    let said = ends_within_a_second(cut)?;
    assert!(said.contains("the task has ended"), "{said}");
    assert!(fixture.psql(&agent, "select 1")?.contains("password authentication failed"));
    let begun = Instant::now();
    while fixture.json(&["tasks", "show", &agent.task])?["state"] != "expired" {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    Ok(())
}

#[test]
fn a_credential_opens_only_the_targets_of_its_task() -> anyhow::Result<()> {
    let second = "[targets.second]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\nuser = \"x\"\npassword = \"file:shop.secret\"\n";
    let fixture = Fixture::start(Setup { config: second.into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut psql = fixture.psql_command(&agent);
    let said = psql
        .env("PGDATABASE", "second")
        .args([
            "-d",
            &format!("host={} port={} dbname=second user={}", agent.host, agent.port, agent.user),
            "-c",
            "select 1",
        ])
        .output()?;
    let said = String::from_utf8(said.stderr)?;
    assert!(said.contains("is not for target \"second\""), "{said}");
    for (arguments, expected) in [
        (vec!["task", "start", "--as", "agent:nobody", "--target", "shop", "--reason", "x"], "is not known"),
        (vec!["task", "start", "--as", "agent:claude", "--target", "nowhere", "--reason", "x"], "there is no target"),
        (vec!["task", "start", "--as", "agent:claude", "--target", "shop", "--reason", " "], "has a reason"),
        (
            vec!["task", "start", "--as", "agent:claude", "--target", "shop", "--reason", "x", "--ttl", "25h"],
            "task_secs_max",
        ),
    ] {
        let error = fixture.json(&arguments).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    Ok(())
}

#[test]
fn a_restart_loses_no_task_and_ends_what_ended_meanwhile() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let (long, short) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "1s")?);
    fixture.kill_gateway()?;
    std::thread::sleep(Duration::from_millis(1100));
    fixture.start_gateway()?;
    let port = fixture.task("agent:claude", "1m")?.port;
    assert_eq!(fixture.psql(&Credential { port, ..long }, "select 1")?.trim(), "1");
    assert!(
        fixture.psql(&Credential { port, ..short.clone() }, "select 1")?.contains("password authentication failed")
    );
    let begun = Instant::now();
    while fixture.json(&["tasks", "show", &short.task])?["state"] != "expired" {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    Ok(())
}

/// Without a word, and without an end of its own.
#[test]
fn a_run_that_is_killed_takes_its_task_along() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let mut run = Command::new(gatehouse_conformance::fixture::program()?);
    run.env("GATEHOUSE_ADMIN_SOCKET", fixture.data.join("admin.sock")).stdin(Stdio::null()).stdout(Stdio::piped());
    // The command says under which task it runs, and outlives whoever started it.
    run.args(["run", "--as", "agent:claude", "--target", "shop", "--reason", "a test", "--"]);
    run.args(["sh", "-c", "echo $$ $GATEHOUSE_TASK; exec sleep 60"]);
    let mut run = run.spawn()?;
    let mut said = String::new();
    BufReader::new(run.stdout.take().context("its output")?).read_line(&mut said)?;
    let (pid, task) = said.trim().split_once(' ').context("a process and a task")?;
    let state = || -> anyhow::Result<String> {
        Ok(fixture.json(&["tasks", "show", task])?["state"].as_str().unwrap_or_default().to_string())
    };
    // Longer than a heartbeat: it lives because there are some.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(state()?, "live");
    run.kill()?;
    run.wait()?;
    let begun = Instant::now();
    while state()? != "abandoned" {
        assert!(begun.elapsed() < Duration::from_secs(20), "the task outlives its run");
        std::thread::sleep(Duration::from_millis(100));
    }
    let command = Pid::from_raw(pid.parse()?).context("a process")?;
    Ok(kill_process(command, Signal::KILL)?)
}

/// Whatever policy permits, on every path, over a restart, until it is lifted.
#[test]
fn a_lockdown_shuts_what_it_names_and_nothing_else() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let (claude, other) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "10m")?);
    let cut = busy(&fixture, &claude)?;
    let begun = fixture.json(&["lockdown", "begin", "agent:claude", "--reason", "it runs wild"])?;
    assert_eq!((&begun["scope"], &begun["cut"]), (&"agent:claude".into(), &1.into()));
    let said = ends_within_a_second(cut)?;
    assert!(said.contains("lockdown: agent:claude is shut"), "{said}");
    let shut = |fixture: &Fixture, credential: &Credential| -> anyhow::Result<bool> {
        let said = fixture.psql(credential, "select 'in'")?;
        assert!(said.trim() == "in" || said.contains("is shut"), "{said}");
        Ok(said.contains("is shut"))
    };
    assert!(shut(&fixture, &claude)? && !shut(&fixture, &other)?);
    let refused = fixture.task("agent:claude", "1m").err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("is shut") && refused.contains("it runs wild"), "{refused}");

    fixture.kill_gateway()?;
    fixture.start_gateway()?;
    let port = fixture.task("agent:other", "1m")?.port;
    let (claude, other) = (Credential { port, ..claude }, Credential { port, ..other });
    assert!(shut(&fixture, &claude)? && !shut(&fixture, &other)?, "a restart lifts nothing");
    fixture.json(&["lockdown", "begin", "target:shop", "--reason", "restoring a backup"])?;
    assert!(shut(&fixture, &other)?);
    assert_eq!(fixture.json(&["lockdown", "ls"])?.as_array().map(Vec::len), Some(2));
    for scope in ["agent:claude", "target:shop"] {
        fixture.json(&["lockdown", "lift", scope])?;
    }
    assert!(!shut(&fixture, &claude)? && !shut(&fixture, &other)?);
    assert!(fixture.json(&["lockdown", "lift", "all"]).is_err(), "there is none");
    assert!(
        fixture.json(&["lockdown", "begin", "agent:cluade", "--reason", "a typo"]).is_err(),
        "nobody has that name"
    );
    fixture.json(&["lockdown", "begin", "all", "--reason", "everybody out"])?;
    assert!(shut(&fixture, &claude)? && shut(&fixture, &other)?);
    fixture.json(&["lockdown", "lift", "all"])?;
    let kinds: Vec<String> =
        fixture.records()?.iter().filter_map(|record| Some(record["kind"].as_str()?.into())).collect();
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!((count("lockdown.begun"), count("lockdown.lifted")), (3, 3));
    Ok(())
}

/// Who is shut answers nothing, and nothing is done for them.
#[test]
fn a_person_who_is_shut_neither_works_nor_approves() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut held = fixture.psql_command(&agent);
    let held = held.args(["-c", "update orders set note = 'x' where id = 1"]).stderr(Stdio::piped()).spawn()?;
    let request = fixture.open_request()?["id"].as_str().context("a request")?.to_string();
    let approve = |who: &str| fixture.json(&["approve", &request, "--as", who]);
    fixture.json(&["lockdown", "begin", "user:dana", "--reason", "her token was stolen"])?;
    let refused = approve("user:dana").err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("user:dana is shut"), "{refused}");
    let on_behalf = ["task", "start", "--as", "agent:other", "--on-behalf-of", "user:dana", "--target", "shop"];
    assert!(fixture.json(&[&on_behalf[..], &["--reason", "x"]].concat()).is_err(), "nothing is done for her");
    fixture.json(&["lockdown", "lift", "user:dana"])?;
    approve("user:dana")?;
    let output = held.wait_with_output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A process that does nothing until this is dropped.
struct Frozen(Pid);

impl Frozen {
    fn freeze(pid: &str) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(pid.parse()?).context("a process")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // A test that failed says more.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Waits until so many sessions are closed, and says of each why it ended and what its replay shows.
fn ends(fixture: &Fixture, count: usize) -> anyhow::Result<Vec<(String, String)>> {
    let mut closed = Vec::new();
    wait_until("the sessions are closed", || {
        closed = fixture.json(&["sessions", "ls"])?.as_array().cloned().unwrap_or_default();
        closed.retain(|session| !session["cause"].is_null());
        Ok(closed.len() >= count)
    })?;
    let end = |session: &Value| -> anyhow::Result<(String, String)> {
        let text = |name: &str| session[name].as_str().unwrap_or_default().to_string();
        let replay = fixture.command(&["replay", &text("id")])?;
        Ok((text("cause"), String::from_utf8(replay.stdout)?))
    };
    closed.iter().map(end).collect()
}

fn is_cancelled(fixture: &Fixture) -> anyhow::Result<bool> {
    Ok(fixture.records()?.iter().any(|record| record["kind"] == "cancel.sent"))
}

/// The target takes its time to close, and the task is said to be done meanwhile.
#[test]
fn whoever_left_before_their_task_was_done_is_told_nothing_more() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select 'it leaves soon'")])?;
    client.until_ready(1)?;
    let serving = "select pid from pg_stat_activity where query = $$select 'it leaves soon'$$";
    let frozen = Frozen::freeze(&fixture.truth(serving)?)?;
    client.send(&[frame(b'X', &[])])?;
    drop(client);
    fixture.json(&["task", "end", &agent.task])?;
    let ends = ends(&fixture, 1)?;
    drop(frozen);
    let (cause, replay) = ends.first().context("a session")?;
    assert_eq!(cause, "the client left");
    assert!(replay.contains("it leaves soon") && !replay.contains("57P01"), "{replay}");
    assert!(!is_cancelled(&fixture)?, "nothing ran any more");
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(!log.contains("the session was ended"), "{log}");
    assert!(fixture.verify()?.starts_with("sound: "));
    Ok(())
}

#[test]
fn what_runs_for_a_client_that_left_ends_with_its_task() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { policies: format!("{POLICIES}{SLEEP}"), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select pg_sleep(600)"), frame(b'X', &[])])?;
    let asleep = "select count(*) from pg_stat_activity where state = 'active' and wait_event = 'PgSleep'";
    wait_until("it sleeps", || Ok(fixture.truth(asleep)? == "1"))?;
    fixture.json(&["task", "end", &agent.task])?;
    wait_until("it sleeps no more", || Ok(fixture.truth(asleep)? == "0"))?;
    let ends = ends(&fixture, 1)?;
    let (cause, replay) = ends.first().context("a session")?;
    assert_eq!(cause, "the client left");
    assert!(!replay.contains("57P01") && is_cancelled(&fixture)?, "{replay}");
    Ok(())
}

/// Whoever still is there is told why it ends, and nobody is warned of that: the work is done.
#[test]
fn whoever_stays_when_their_task_is_done_is_told_so() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    fixture.json(&["task", "end", &agent.task])?;
    let said = client.until_ready(1)?;
    assert!(said.contains("the task has ended: done"), "{said}");
    let ends = ends(&fixture, 1)?;
    let (cause, replay) = ends.first().context("a session")?;
    assert!(cause.starts_with("the task has ended: done") && replay.contains("57P01"), "{cause}: {replay}");
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(log.contains("the session ended with its task") && !log.contains("the session was ended"), "{log}");
    Ok(())
}

#[test]
fn no_run_of_a_command_that_left_ends_its_session() -> anyhow::Result<()> {
    const RUNS: usize = 8;
    let fixture = Fixture::start(Setup::default())?;
    let run = ["run", "--as", "agent:claude", "--target", "shop", "--reason", "a test", "--"];
    for _ in 0..RUNS {
        let output = fixture.command(&[&run[..], &["psql", "-qAtc", "select 1"]].concat())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for (cause, replay) in ends(&fixture, RUNS)? {
        assert!(cause == "the client left" && !replay.contains("57P01"), "{cause}: {replay}");
    }
    Ok(())
}
