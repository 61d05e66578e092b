//! Tasks that are asked for: by people and by workloads, granted by others, in whole or in part.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::{PATIENCE, program};
use gatehouse_conformance::{Credential, Fixture, Setup};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const ASKING: &str = r#"
@id("start-asked") @hold("dba") @reason("a database administrator lets people in")
permit (principal in Group::"support", action == Action::"start", resource in Target::"shop");
permit (principal in Group::"agents", action == Action::"start", resource in Target::"shop");
permit (principal in Group::"dba", action == Action::"start", resource);
permit (principal in Group::"dba", action == Action::"approve", resource);
"#;

/// A second target, and people of whom two are database administrators.
fn setup(policies: &str) -> Setup {
    let setup = Setup::default();
    Setup {
        policies: format!("{}{policies}", setup.policies),
        config: "[users.dora]\ngroups = [\"dba\"]\n[users.kim]\ngroups = [\"dba\", \"support\"]\n".into(),
        ..setup
    }
}

/// A person at their own terminal, with a token of their own.
struct Person {
    api: String,
    token: PathBuf,
}

impl Person {
    fn new(fixture: &Fixture, name: &str) -> Result<Self> {
        let token = fixture.folder.path().join(format!("{name}.token"));
        let output = token.to_str().context("the path is text")?;
        fixture.command(&["login", "--as", &format!("user:{name}"), "-o", output])?;
        Ok(Self { api: fixture.api()?, token })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program()?);
        command.args(arguments.iter().take_while(|argument| **argument != "--"));
        command.args(["--api", &self.api, "--token-file"]).arg(&self.token);
        command.args(arguments.iter().skip_while(|argument| **argument != "--"));
        command.env("PSQLRC", "/dev/null").stdin(Stdio::null());
        Ok(command)
    }

    fn run(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let output = self.command(arguments)?.output()?;
        Ok((output.status.success(), text(&output)))
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command(&[arguments, &["--json"]].concat())?.output()?;
        anyhow::ensure!(output.status.success(), "{}", text(&output));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The only open request that this person sees.
    fn open_request(&self) -> Result<String> {
        let begun = Instant::now();
        loop {
            let requests = self.json(&["requests", "ls"])?;
            let open = requests.as_array().into_iter().flatten().find(|request| request["state"] == "open");
            if let Some(id) = open.and_then(|request| request["id"].as_str()) {
                return Ok(id.into());
            }
            assert!(begun.elapsed() < PATIENCE, "no request is filed: {requests}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

const START: [&str; 8] = ["task", "start", "--target", "shop", "--reason", "ticket 7", "--ttl", "20m"];

#[test]
fn a_person_asks_and_gets_what_is_granted_once() -> Result<()> {
    let mut fixture = Fixture::start(setup(ASKING))?;
    let (sam, dana) = (Person::new(&fixture, "sam")?, Person::new(&fixture, "dana")?);
    let (worked, said) = sam.run(&START)?;
    assert!(!worked && said.contains("dba must approve this task first: request req-"), "{said}");
    let request = dana.open_request()?;
    let shown = dana.run(&["requests", "show", &request])?.1;
    for part in ["user:sam", "a task for 20 min", "ticket 7", "shop", "start-asked", "dba"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Asked again in the same words, it is the same request; in others, another.
    assert!(!sam.run(&START)?.0);
    assert_eq!(dana.json(&["requests", "ls"])?.as_array().map(Vec::len), Some(1));
    // Neither whoever asks nor whoever is in no group that must, nor more than was asked for.
    let nina = Person::new(&fixture, "nina")?;
    assert!(!sam.run(&["approve", &request])?.0 && !nina.run(&["approve", &request])?.0);
    assert!(nina.run(&["requests", "show", &request])?.1.contains("there is no request"));
    let (worked, said) = dana.run(&["approve", &request, "--ttl", "21m"])?;
    assert!(!worked && said.contains("between 1 and 1200 s"), "{said}");
    let (worked, said) = dana.run(&["approve", &request, "--target", "vault"])?;
    assert!(!worked && said.contains("some of shop"), "{said}");
    let (worked, said) = dana.run(&["approve", &request, "--ttl", "5m", "--reason", "be quick"])?;
    assert!(worked && said.contains("approved"), "{said}");
    let shown = dana.run(&["requests", "show", &request])?.1;
    assert!(shown.contains("a task for 20 min") && shown.contains("shop for 5 min"), "{shown}");

    // A restart loses neither the approval nor its terms.
    let api = sam.api;
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let sam = Person::new(&fixture, "sam")?;
    assert_ne!(sam.api, api);
    let started = sam.json(&START)?;
    let task = &started["task"];
    let life = |at: &str| task[at].as_str().context("a time")?.parse::<jiff::Timestamp>().context("a time");
    assert_eq!(life("expires")?.duration_since(life("started")?).as_secs(), 300);
    assert_eq!(task["started_by"], "user:sam via api token");
    assert_eq!(fixture.psql(&Credential::of(&started)?, "select count(*) from orders")?.trim(), "200");
    // It is used: the same words ask anew.
    assert!(!sam.run(&START)?.0);
    let id = task["id"].as_str().context("an id")?;
    assert!(sam.run(&["task", "end", id])?.0, "one's own task is one's own to end");
    let bundle = fixture.folder.path().join("task.tar").display().to_string();
    let export = ["evidence", "export", "--task", id, "-o", bundle.as_str()];
    fixture.command(&export)?;
    let again = fixture.command(&export)?;
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("--force"), "{again:?}");
    let key = fixture.data.join("journal.pub").display().to_string();
    let verified = text(&fixture.command(&["evidence", "verify", &bundle, "--key", &key])?);
    assert!(verified.starts_with("sound:"), "{verified}");
    let records = std::fs::read(&bundle)?;
    assert!(String::from_utf8_lossy(&records).contains("task.requested"), "the request is part of the task's evidence");
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn whoever_waits_goes_on_when_it_is_decided() -> Result<()> {
    let fixture = Fixture::start(setup(ASKING))?;
    let (sam, dana) = (Person::new(&fixture, "sam")?, Person::new(&fixture, "dana")?);
    let run = ["run", "--target", "shop", "--reason", "ticket 8", "--wait", "--", "psql", "-XAtc", "select 41 + 1"];
    let waiting = sam.command(&run)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let request = dana.open_request()?;
    assert!(dana.run(&["approve", &request])?.0);
    let output = waiting.wait_with_output()?;
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == "42", "{}", text(&output));

    let waiting = sam.command(&run)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let request = dana.open_request()?;
    assert!(dana.run(&["deny", &request, "--reason", "not today"])?.0);
    let output = waiting.wait_with_output()?;
    assert!(!output.status.success() && text(&output).contains("is denied: not today"), "{}", text(&output));
    // A denial stands for as long as the request could have waited.
    let (worked, said) = sam.run(&["task", "start", "--target", "shop", "--reason", "ticket 8"])?;
    assert!(!worked && said.contains("was denied: not today"), "{said}");
    Ok(())
}

#[test]
fn a_person_starts_tasks_for_themselves_and_their_agents_alone() -> Result<()> {
    let fixture = Fixture::start(setup(ASKING))?;
    let (dana, sam) = (Person::new(&fixture, "dana")?, Person::new(&fixture, "sam")?);
    fn start<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["task", "start", "--target", "shop", "--reason", "x"], more].concat()
    }
    assert!(dana.run(&start(&[]))?.0, "policy permits it");
    assert!(dana.run(&start(&["--as", "agent:claude", "--on-behalf-of", "user:dana"]))?.0);
    for other in [
        vec!["--as", "agent:claude"],
        vec!["--as", "user:sam"],
        vec!["--as", "agent:claude", "--on-behalf-of", "user:sam"],
        vec!["--as", "user:sam", "--on-behalf-of", "user:dana"],
        vec!["--as", "user:dana", "--on-behalf-of", "user:sam"],
    ] {
        let (worked, said) = dana.run(&start(&other))?;
        assert!(!worked && said.contains("for themselves"), "{other:?}: {said}");
    }
    // An agent for sam is held as sam is, and nobody sees another's tasks without a part in them.
    let (worked, said) = sam.run(&start(&["--as", "agent:claude", "--on-behalf-of", "user:sam"]))?;
    assert!(!worked && said.contains("must approve"), "{said}");
    assert_eq!(sam.json(&["tasks", "ls"])?.as_array().map(Vec::len), Some(0));
    let task = dana.json(&["tasks", "ls"])?[0]["id"].as_str().context("a task")?.to_string();
    let (worked, said) = sam.run(&["tasks", "show", &task])?;
    assert!(!worked && said.contains("there is no task"), "{said}");
    let (worked, said) = sam.run(&["task", "end", &task])?;
    assert!(!worked && said.contains("does not administer"), "{said}");
    // Whom policy permits nothing gets nothing.
    let nina = Person::new(&fixture, "nina")?;
    let (worked, said) = nina.run(&start(&[]))?;
    assert!(!worked && said.contains("no policy permits start"), "{said}");
    Ok(())
}

#[test]
fn a_quorum_takes_different_people_and_never_whoever_asks() -> Result<()> {
    let two = ASKING.replace("@hold(\"dba\")", "@hold(\"dba\") @quorum(\"2\")");
    let fixture = Fixture::start(setup(&two))?;
    let [kim, dana, dora] = ["kim", "dana", "dora"].map(|name| Person::new(&fixture, name));
    let (kim, dana, dora) = (kim?, dana?, dora?);
    let (worked, said) = kim.run(&START)?;
    assert!(!worked && said.contains("2 of dba must approve"), "{said}");
    let request = dana.open_request()?;
    let (worked, said) = kim.run(&["approve", &request])?;
    assert!(!worked && said.contains("cannot answer it"), "{said}");
    let (worked, said) = dana.run(&["approve", &request])?;
    assert!(worked && said.contains("1 more of dba must still approve"), "{said}");
    let (worked, said) = dana.run(&["approve", &request])?;
    assert!(!worked && said.contains("approved this already"), "{said}");
    assert!(!kim.run(&START)?.0);
    assert!(dora.run(&["approve", &request])?.1.contains("is approved"));
    assert!(kim.run(&START)?.0);
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// Whoever asked may take it back, and whoever does not wait any more has.
#[test]
fn a_request_is_taken_back_by_who_asked() -> Result<()> {
    let fixture = Fixture::start(setup(ASKING))?;
    let (sam, dana, nina) =
        (Person::new(&fixture, "sam")?, Person::new(&fixture, "dana")?, Person::new(&fixture, "nina")?);
    assert!(!sam.run(&START)?.0);
    let request = dana.open_request()?;
    assert!(!dana.run(&["withdraw", &request])?.0 && !nina.run(&["withdraw", &request])?.0);
    let (worked, said) = sam.run(&["withdraw", &request])?;
    assert!(worked && said.contains("withdrawn"), "{said}");
    assert!(!sam.run(&["withdraw", &request])?.0 && !dana.run(&["approve", &request])?.0);

    let waiting = sam.command(&[START.as_slice(), &["--wait"]].concat())?.stderr(Stdio::piped()).spawn()?;
    let request = dana.open_request()?;
    let pid = Pid::from_raw(i32::try_from(waiting.id())?).context("a process id")?;
    kill_process(pid, Signal::INT)?;
    assert!(!waiting.wait_with_output()?.status.success());
    assert_eq!(fixture.request_state(&request)?, "withdrawn");
    Ok(())
}

/// A task that runs out under a command says so, once, and the command goes on.
#[test]
fn a_command_hears_once_that_its_task_is_over() -> Result<()> {
    let fixture = Fixture::start(setup(ASKING))?;
    let dana = Person::new(&fixture, "dana")?;
    let run = ["run", "--target", "shop", "--reason", "x", "--ttl", "2s", "--", "sh", "-c", "sleep 8; echo done"];
    let output = dana.command(&run)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).trim() == "done", "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("is over"), "{said}");
    Ok(())
}

/// An approval is worth what its giver is now: when the gateway starts, and when policies change.
#[test]
fn who_may_not_approve_any_more_has_approved_nothing() -> Result<()> {
    let mut fixture = Fixture::start(setup(ASKING))?;
    let config = std::fs::read_to_string(fixture.config())?;
    let approved = |fixture: &Fixture| -> Result<Person> {
        let (sam, dana) = (Person::new(fixture, "sam")?, Person::new(fixture, "dana")?);
        assert!(!sam.run(&START)?.0);
        let request = dana.open_request()?;
        assert!(dana.run(&["approve", &request])?.0);
        Ok(sam)
    };
    let restart = |fixture: &mut Fixture, config: &str| -> Result<Person> {
        fixture.stop_gateway()?;
        std::fs::write(fixture.config(), config)?;
        std::fs::remove_file(fixture.log())?;
        fixture.start_gateway()?;
        Person::new(fixture, "sam")
    };
    approved(&fixture)?;
    let sam = restart(&mut fixture, &config.replacen("groups = [\"dba\"]", "groups = []", 1))?;
    assert!(!sam.run(&START)?.0, "dana is no database administrator any more");
    sam.run(&["withdraw", &sam.open_request()?])?;
    let sam = restart(&mut fixture, &config)?;
    let again = approved(&fixture)?;
    assert_eq!(again.api, sam.api);
    let policies = fixture.folder.path().join("gatehouse/policies/test.cedar");
    let text = std::fs::read_to_string(&policies)?;
    std::fs::write(&policies, format!("{text}\nforbid (principal, action == Action::\"approve\", resource);\n"))?;
    let begun = Instant::now();
    while sam.json(&["requests", "ls"])?[0]["state"] == "approved" {
        assert!(begun.elapsed() < PATIENCE, "the approval stands");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(!sam.run(&START)?.0, "nobody may approve any more");
    Ok(())
}

/// What was used stays so when the gateway dies at the worst moment.
#[test]
fn a_crash_brings_no_used_approval_back() -> Result<()> {
    let mut fixture = Fixture::start(setup(ASKING))?;
    let (sam, dana) = (Person::new(&fixture, "sam")?, Person::new(&fixture, "dana")?);
    assert!(!sam.run(&START)?.0);
    let used = dana.open_request()?;
    assert!(dana.run(&["approve", &used])?.0 && sam.run(&START)?.0);
    fixture.kill_gateway()?;
    // The record that comes last of a used approval, and which a crash may take: the index must not need it.
    cut_records_after(&fixture, "task.started")?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let sam = Person::new(&fixture, "sam")?;
    assert_eq!(fixture.request_state(&used)?, "used");
    assert!(!sam.run(&START)?.0, "the approval was used");
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// Takes away what the journal says after the first record of a kind, and the index with it.
fn cut_records_after(fixture: &Fixture, kind: &str) -> Result<()> {
    for entry in std::fs::read_dir(fixture.data.join("journal"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(&path)?;
            let mut kept: Vec<&str> = text.lines().collect();
            let place =
                kept.iter().position(|line| line.contains(&format!("\"kind\":\"{kind}\""))).context("it is there")?;
            kept.truncate(place + 1);
            std::fs::write(&path, format!("{}\n", kept.join("\n")))?;
        } else {
            // What was signed says more than is left.
            std::fs::remove_file(&path)?;
        }
    }
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        // Not all of them are always there.
        let _ = std::fs::remove_file(fixture.data.join(file));
    }
    Ok(())
}

#[test]
fn a_denial_outlives_a_restart() -> Result<()> {
    let mut fixture = Fixture::start(setup(ASKING))?;
    let (sam, dana) = (Person::new(&fixture, "sam")?, Person::new(&fixture, "dana")?);
    assert!(!sam.run(&START)?.0);
    assert!(dana.run(&["deny", &dana.open_request()?, "--reason", "not now"])?.0);
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let (worked, said) = Person::new(&fixture, "sam")?.run(&START)?;
    assert!(!worked && said.contains("was denied: not now"), "{said}");
    Ok(())
}
