//! The web front end in a real browser, before a real gateway and a real PostgreSQL. What it looks like is left in pictures, in
//! the folder `front-end` of what cargo builds, where each story has a folder of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use gatehouse_conformance::delegation::{self, ACCESS_TOKEN};
use gatehouse_conformance::fixture::{Credential, POLICIES, SLEEP, folder, program, wait_until};
use gatehouse_conformance::raw::{RawClient, execute, frame, parse, sync};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::web::{self, WebHouse};
use gatehouse_conformance::{Fixture, Setup};
use gatehouse_journal::{
    AccessRecord, Journal, OperationDecided, SegmentLimits, Segments, SessionClosed, SessionOpened, VerifierKey,
};
use gatehouse_model::SessionId;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Dana administers as well.
const ADMINISTERS: &str = "\npermit (principal in Group::\"dba\", action == Action::\"administer\", resource);\n";

/// And oversees what goes to the API, which agents read.
const OVERSEES_API: &str =
    "\npermit (principal in Group::\"dba\", action == Action::\"approve\", resource in Target::\"api\");\n";

fn house() -> Result<Fixture> {
    Fixture::start(Setup { policies: format!("{POLICIES}{ADMINISTERS}{SLEEP}"), ..Setup::default() })
}

/// Where pictures go: beside the programs, so that whoever looks after a run finds them.
fn shots() -> Result<PathBuf> {
    let program = program()?;
    Ok(program.parent().and_then(std::path::Path::parent).context("a target folder")?.join("front-end"))
}

/// Has a browser tell a story.
fn tell(fixture: &Fixture, story: &str, user: &str, more: &[(&str, &str)]) -> Result<Value> {
    let link = fixture.json(&["login", "--as", user, "--link"])?;
    let link = link.get("url").and_then(Value::as_str).context("there is a link")?;
    self::story(story, &fixture.api()?, link, more)
}

/// The same at an address, with the link to sign in by.
fn story(story: &str, base: &str, link: &str, more: &[(&str, &str)]) -> Result<Value> {
    let (pictures, found) = (shots()?.join(story), shots()?.join(format!("{story}.json")));
    // What an earlier run left would pass for what this one saw; other stories, which may be told at the same time, keep theirs.
    if pictures.exists() {
        std::fs::remove_dir_all(&pictures)?;
    }
    if found.exists() {
        std::fs::remove_file(&found)?;
    }
    std::fs::create_dir_all(&pictures)?;
    let mut command = Command::new(CLIENTS);
    command.arg("front_end.mjs").env("STORY", story).env("BASE", base).env("LINK", link).env("SHOTS", &pictures);
    command.envs(more.iter().copied()).stdin(Stdio::null());
    let output = command.output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{story}: {out}{err}");
    // What it measured, beside its pictures.
    std::fs::write(&found, &*out)?;
    Ok(serde_json::from_str(out.trim())?)
}

/// psql with its options, as a story starts it.
fn psql_of(fixture: &Fixture, credential: &Credential) -> Result<String> {
    let command = fixture.psql_command(credential);
    let passfile = command.get_envs().find_map(|(name, value)| (name == "PGPASSFILE").then_some(value?));
    let passfile = format!("PGPASSFILE={}", passfile.context("psql has a password file")?.to_string_lossy());
    let options = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<String> = ["env".into(), passfile, "psql".into()].into_iter().chain(options).collect();
    Ok(serde_json::to_string(&words)?)
}

fn session_of(fixture: &Fixture, state: &str) -> Result<String> {
    let sessions = fixture.json(&["sessions", "ls"])?;
    let mut of = sessions.as_array().into_iter().flatten().filter(|session| session["state"] == state);
    Ok(of.next().and_then(|session| session["id"].as_str()).context("a session")?.into())
}

#[test]
fn a_held_write_is_seen_answered_replayed_and_proven() -> Result<()> {
    let policies = format!("{POLICIES}{ADMINISTERS}");
    // So that the journal is signed more than once while the story is told.
    let config = "[limits]\ncheckpoint_secs = 1\n".into();
    let fixture = Fixture::start(Setup { policies, config, ..Setup::default() })?;
    let claude = fixture.task("agent:claude", "1h")?;
    let mut psql = fixture.psql_command(&claude);
    psql.args(["-c", "delete from orders where id = 7 -- nobody needs this"]).stderr(Stdio::piped());
    let held = psql.spawn()?;
    let request = fixture.open_request()?;
    let request = request["id"].as_str().context("it has an id")?;
    let psql = psql_of(&fixture, &claude)?;
    tell(&fixture, "answers", "user:dana", &[("REQUEST", request), ("PSQL", &psql)])?;
    let told = held.wait_with_output()?;
    assert!(String::from_utf8_lossy(&told.stderr).contains("not without a ticket"), "the requester reads why");
    assert_eq!(fixture.truth("select count(*) from orders where id = 7")?, "1");
    assert_eq!(fixture.truth("select tier from customers where id = 42")?, "gold");
    Ok(())
}

/// People of the support let in agents of theirs once somebody says so.
const ASKS: &str = r#"
@id("start-asked") @hold("dba")
permit (principal in Group::"support", action == Action::"start", resource in Target::"shop");
"#;

/// Whoever is asked for a task in a browser grants less of it, and no more than that is had.
#[test]
fn a_task_is_granted_for_less_than_was_asked() -> Result<()> {
    let fixture = Fixture::start(Setup { policies: format!("{POLICIES}{ASKS}"), ..Setup::default() })?;
    let (api, token) = (fixture.api()?, fixture.folder.path().join("sam.token"));
    fixture.command(&["login", "--as", "user:sam", "-o", token.to_str().context("the path is text")?])?;
    let start = || {
        let mut command = Command::new(program()?);
        command.args(["task", "start", "--target", "shop", "--reason", "ticket 7", "--ttl", "4h", "--json"]);
        Ok::<_, anyhow::Error>(command.args(["--api", &api, "--token-file"]).arg(&token).output()?)
    };
    ensure!(!start()?.status.success(), "it is asked for first");
    let request = fixture.open_request()?;
    tell(&fixture, "grants", "user:dana", &[("REQUEST", request["id"].as_str().context("an id")?)])?;
    let started: Value = serde_json::from_slice(&start()?.stdout)?;
    let at =
        |name: &str| started["task"][name].as_str().context("a time")?.parse::<jiff::Timestamp>().context("a time");
    assert_eq!(at("expires")?.duration_since(at("started")?).as_secs(), 900);
    Ok(())
}

/// Agents may write for people of the support, and somebody sees first what.
const FOR_SUPPORT: &str =
    "\npermit (principal in Group::\"support\", action in Action::\"sql:write\", resource in Target::\"shop\");\n";

/// A task with more words than most.
fn start(fixture: &Fixture, more: &[&str]) -> Result<Credential> {
    let words = ["task", "start", "--as", "agent:claude", "--target", "shop", "--reason", "a test"];
    Credential::of(&fixture.json(&[&words[..], more].concat())?)
}

/// Asks for a write with its values beside it, and waits for nothing.
fn hold_bound(agent: &Credential, statement: &str, values: &[&str]) -> Result<RawClient> {
    let mut body = b"\0\0\0\0".to_vec();
    body.extend(u16::try_from(values.len())?.to_be_bytes());
    for value in values {
        body.extend(u32::try_from(value.len())?.to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend(b"\0\0");
    let mut client = RawClient::connect(agent)?;
    client.send(&[parse("", statement), frame(b'B', &[&body]), execute(""), sync()])?;
    Ok(client)
}

#[test]
fn every_page_fits_every_screen() -> Result<()> {
    let policies = format!("{POLICIES}{ADMINISTERS}{}{FOR_SUPPORT}", delegation::POLICIES);
    let fixture = Fixture::start(Setup { policies, ..Setup::default() })?;
    // So that the database knows how many rows there are.
    fixture.truth("analyze customers")?;
    let claude = start(&fixture, &["--operations-max", "50", "--rows-max", "1000"])?;
    for statement in
        ["select id, email from customers limit 5", "drop table orders", "select 1; select note from orders limit 2"]
    {
        fixture.psql(&claude, statement)?;
    }
    let for_sam = start(&fixture, &["--on-behalf-of", "user:sam"])?;
    let held = hold_bound(&for_sam, "update customers set tier = $1 where id = $2", &["gold", "3"])?;
    let request = fixture.open_request()?;
    let request = request["id"].as_str().context("it has an id")?;
    let session = session_of(&fixture, "ended")?;
    let more = [("SESSION", session.as_str()), ("TASK", &claude.task), ("REQUEST", request)];
    tell(&fixture, "pages", "user:dana", &more)?;
    drop(held);
    Ok(())
}

#[test]
fn statements_are_tried_and_sessions_are_cut() -> Result<()> {
    let fixture = house()?;
    let claude = fixture.task("agent:claude", "1h")?;
    let other = fixture.task("agent:other", "1h")?;
    fixture.psql(&claude, "select count(*) from orders")?;
    let asleep = fixture.asleep(fixture.psql_command(&claude).args(["-q"]))?;
    let session = session_of(&fixture, "live")?;
    // A mistake, and what `gatehouse check` says of it.
    let config = fixture.config();
    let mistake = "\n[targets.shop2]\nprotocol = \"pigeon\"\n";
    let wrong = config.with_file_name("wrong.toml");
    std::fs::write(&wrong, format!("{}{mistake}", std::fs::read_to_string(&config)?))?;
    let wrong = wrong.to_str().context("the path is text")?;
    let check = fixture.command(&["check", "--config", wrong])?;
    let said = format!("{}{}", String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    let fault = said.lines().find_map(|line| line.split_once("wrong.toml:")).context("check finds it")?.1;
    let config = config.to_str().context("the path is text")?;
    let more = [
        ("SESSION", session.as_str()),
        ("TASK", &claude.task),
        ("OTHER", &other.task),
        ("CONFIG", config),
        ("MISTAKE", mistake),
        ("FAULT", fault),
    ];
    tell(&fixture, "acts", "user:dana", &more)?;
    let told = Fixture::cut_off(asleep)?;
    assert!(told.contains("terminating connection") && told.contains("by user:dana via browser: it sleeps"), "{told}");
    let records = fixture.records()?;
    for (task, cause, reason) in [(&claude, "revoked", json!("the work is done")), (&other, "done", Value::Null)] {
        let is_end = |record: &&Value| record["kind"] == "task.ended" && record["task"] == task.task.as_str();
        let ended = records.iter().find(is_end).context("the task has ended")?;
        assert_eq!((&ended["cause"], &ended["reason"]), (&json!(cause), &reason));
    }
    Ok(())
}

#[test]
fn who_oversees_nothing_sees_nothing() -> Result<()> {
    let fixture = house()?;
    let claude = fixture.task("agent:claude", "1h")?;
    fixture.psql(&claude, "drop table orders")?;
    let mut psql = fixture.psql_command(&claude);
    let mut held = psql.args(["-c", "update orders set note = 'x' where id = 3"]).stderr(Stdio::null()).spawn()?;
    let request = fixture.open_request()?;
    let request = request["id"].as_str().context("it has an id")?;
    let session = session_of(&fixture, "ended")?;
    let told = tell(&fixture, "stranger", "user:nina", &[("SESSION", &session), ("REQUEST", request)]);
    held.kill()?;
    held.wait()?;
    told.map(|_| ())
}

/// So many sessions are put on record, and every hundredth of them is of `agent:other`, who asks for something.
const SESSIONS: u64 = 10_000;
const OF_OTHER_EVERY: u64 = 100;

fn opened(number: u64, identity: &str, task: &str) -> SessionOpened {
    SessionOpened {
        session: SessionId::from_random(number).to_string(),
        task: task.into(),
        identity: identity.into(),
        on_behalf_of: None,
        target: "shop".into(),
        peer: "127.0.0.1:50000".into(),
        policies: String::new(),
        api_key: None,
        wishes: None,
    }
}

fn decided(number: u64, identity: &str, task: &str) -> OperationDecided {
    OperationDecided {
        session: SessionId::from_random(number).to_string(),
        task: task.into(),
        identity: identity.into(),
        on_behalf_of: None,
        api_key: None,
        target: "shop".into(),
        number: 0,
        title: "SELECT".into(),
        statement: format!("select note from orders where id = {number}"),
        binds: Vec::new(),
        digest: "00".into(),
        accesses: vec![AccessRecord {
            action: "sql:select".into(),
            resource: "Table shop/public.orders".into(),
            within: Vec::new(),
        }],
        facts: BTreeMap::new(),
        phase: "run".into(),
        effect: "read".into(),
        verdict: "allow".into(),
        policies: vec!["agents-read".into()],
        revision: String::new(),
        reasons: Vec::new(),
        approval: None,
        refused: None,
    }
}

fn closed(number: u64, operations: u64) -> SessionClosed {
    SessionClosed {
        session: SessionId::from_random(number).to_string(),
        cause: "the client went away".into(),
        operations,
        rows: operations,
        bytes: operations * 100,
        masked: if operations > 0 { [("email".to_string(), operations)].into() } else { BTreeMap::new() },
        revealed: Vec::new(),
        answers: operations,
        waited_micros: operations * 1_000,
        recording: None,
    }
}

/// Puts sessions into the journal of a gateway that does not run, by the journal's own writer: to connect so many times would take
/// minutes. The next start reads them as its own, and makes its index of them.
fn record_sessions(fixture: &Fixture, claude: &Credential, other: &Credential) -> Result<()> {
    let key: VerifierKey = std::fs::read_to_string(fixture.data.join("journal.pub"))?.parse()?;
    let (segments, recovery) = Segments::open(&fixture.data.join("journal"), SegmentLimits::default(), &[key])?;
    let mut journal = Journal::new(segments, recovery.frontier);
    for number in 0..SESSIONS {
        let is_of_other = number.is_multiple_of(OF_OTHER_EVERY);
        let (identity, task) = if is_of_other { ("agent:other", &other.task) } else { ("agent:claude", &claude.task) };
        let _ = journal.append(Timestamp::now(), opened(number, identity, task))?;
        if is_of_other {
            let _ = journal.append(Timestamp::now(), decided(number, identity, task))?;
        }
        let _ = journal.append(Timestamp::now(), closed(number, u64::from(is_of_other)))?;
    }
    Ok(())
}

/// Of ten thousand sessions each can be come to, and a browser is given as many at a time as it draws well.
#[test]
fn ten_thousand_sessions_are_looked_through() -> Result<()> {
    let mut fixture = house()?;
    let (claude, other) = (fixture.task("agent:claude", "1h")?, fixture.task("agent:other", "1h")?);
    fixture.psql(&claude, "select count(*) from orders")?;
    let oldest = session_of(&fixture, "ended")?;
    fixture.stop_gateway()?;
    record_sessions(&fixture, &claude, &other)?;
    // What stands in the log is where the gateway listened before.
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let (sessions, of_other) = ((SESSIONS + 1).to_string(), (SESSIONS / OF_OTHER_EVERY).to_string());
    let more = [("SESSIONS", sessions.as_str()), ("OF_OTHER", &of_other), ("OLDEST", &oldest)];
    tell(&fixture, "many", "user:dana", &more)?;
    Ok(())
}

/// A line of a long text, with nothing in it that is looked for.
const LINE: &str =
    "what is written here is long, and says over and over that there is more of it, line by line, until it ends\n";
/// Stands in the middle of it.
const MIDDLE: &str = "nobody who reads both ends alone has seen this line\n";

/// A statement of two megabytes is shown shortened, and approved once it was shown whole.
#[test]
fn a_statement_of_two_megabytes_is_read_and_approved() -> Result<()> {
    let fixture = house()?;
    let claude = fixture.task("agent:claude", "1h")?;
    let half = LINE.repeat(10_000);
    let note = format!("{half}{MIDDLE}{half}");
    ensure!(note.len() > 2 * 1024 * 1024, "{} bytes", note.len());
    let script = fixture.folder.path().join("long.sql");
    std::fs::write(&script, format!("update orders set note = '{note}' where id = 3;\n"))?;
    let mut psql = fixture.psql_command(&claude);
    let mut held = psql.arg("-f").arg(&script).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let request = fixture.open_request()?;
    let request = request["id"].as_str().context("it has an id")?;
    let told = tell(&fixture, "long", "user:dana", &[("REQUEST", request), ("MIDDLE", MIDDLE.trim_end())]);
    if told.is_err() {
        // It still waits.
        held.kill()?;
    }
    held.wait()?;
    told?;
    assert_eq!(fixture.truth("select length(note) from orders where id = 3")?, note.len().to_string());
    // On its recording it is one operation: nothing of the statement passes for another.
    let sessions = fixture.json(&["sessions", "ls"])?;
    let replay = fixture.command(&["replay", sessions[0]["id"].as_str().context("a session")?])?;
    assert_eq!(String::from_utf8_lossy(&replay.stdout).matches(" #").count(), 1);
    Ok(())
}

/// An agent that another one sent, for a person: all three are named where somebody decides, and where somebody looks.
#[test]
fn who_sent_an_agent_is_said_in_words() -> Result<()> {
    let policies = format!("{}{ADMINISTERS}{FOR_SUPPORT}", delegation::POLICIES);
    let house = delegation::House::start(&policies)?;
    let (sam, planner) = (house.person("sam", json!({}))?, house.ci.job("planning")?);
    let (status, parent) = house.acting(&sam, &planner, &[("requested_token_type", ACCESS_TOKEN)])?;
    ensure!(status == 200, "{parent}");
    let token = parent["access_token"].as_str().context("a token")?;
    let (status, child) = house.acting(token, &house.ci.job("production")?, &[])?;
    ensure!(status == 200, "{child}");
    let claude = Credential::of(&child)?;
    let held = hold_bound(&claude, "update customers set tier = $1 where id = $2", &["gold", "3"])?;
    let request = house.fixture.open_request()?;
    let request = request["id"].as_str().context("it has an id")?;
    let session = session_of(&house.fixture, "live")?;
    let parent = parent["task"]["id"].as_str().context("an id")?;
    let more = [("REQUEST", request), ("TASK", &claude.task), ("SESSION", &session), ("PARENT", parent)];
    tell(&house.fixture, "chain", "user:dana", &more)?;
    drop(held);
    Ok(())
}

/// A session over HTTP is a list of exchanges, with what the client saw of each.
#[test]
fn exchanges_are_replayed() -> Result<()> {
    let setup = Setup { policies: format!("{POLICIES}{ADMINISTERS}{OVERSEES_API}"), ..Setup::default() };
    let house = WebHouse::before(web::target()?, "", "", setup)?;
    let claude = house.task("agent:claude")?;
    let answer = house.get(&claude, "/told/by-the-target")?;
    ensure!(answer.status == 200, "{}", answer.body);
    let sessions = house.fixture.json(&["sessions", "ls"])?;
    let session = sessions[0]["id"].as_str().context("a session")?.to_string();
    tell(&house.fixture, "exchanges", "user:dana", &[("SESSION", &session)])?;
    Ok(())
}

/// A gateway without a target, and one person who administers it.
#[test]
fn a_gateway_without_a_target_says_how_to_add_one() -> Result<()> {
    let folder = folder()?;
    std::fs::create_dir(folder.path().join("policies"))?;
    std::fs::write(folder.path().join("policies/administer.cedar"), ADMINISTERS)?;
    let config = folder.path().join("gatehouse.toml");
    let text = "[api]\naddress = \"127.0.0.1:0\"\n[listen.postgres]\naddress = \"127.0.0.1:0\"\n[users.dana]\ngroups = [\"dba\"]\n";
    std::fs::write(&config, text)?;
    let log = std::fs::File::create(folder.path().join("gatehouse.log"))?;
    let mut gateway = Command::new(program()?);
    gateway.arg("serve").arg("--config").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut gateway = Ended(gateway.spawn()?);
    let socket = folder.path().join("data/admin.sock");
    wait_until("the gateway serves", || {
        ensure!(gateway.0.try_wait()?.is_none(), "{}", std::fs::read_to_string(folder.path().join("gatehouse.log"))?);
        Ok(std::os::unix::net::UnixStream::connect(&socket).is_ok())
    })?;
    let mut login = Command::new(program()?);
    login.args(["login", "--as", "user:dana", "--link", "--json"]).env("GATEHOUSE_ADMIN_SOCKET", &socket);
    let link: Value = serde_json::from_slice(&login.output()?.stdout)?;
    let link = link["url"].as_str().context("there is a link")?;
    let (base, _) = link.split_once("/login/").context("it leads to the gateway")?;
    story("first", base, link, &[]).map(|_| ())
}

/// A process that ends with the test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended is ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
