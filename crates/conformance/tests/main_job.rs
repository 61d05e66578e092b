//! The main job from end to end: reads come back masked, a risky write waits for a person and runs on the same
//! connection, a forbidden statement is refused and the connection lives on, and the evidence verifies offline.

use std::io::Write as _;
use std::process::Stdio;

use gatehouse_conformance::{Fixture, Setup};

#[test]
fn an_agent_works_on_a_real_postgresql() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;

    let mut psql = fixture.psql_command(&agent);
    let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let script = "select id, tier, email from customers where id = 7;\n\
                  drop table customers;\n\
                  update customers set tier = 'gold' where id = 7;\n\
                  select 'still here', tier from customers where id = 7;\n";
    child.stdin.take().map(|mut input| input.write_all(script.as_bytes())).transpose()?;

    let request = fixture.open_request()?;
    assert_eq!(request["statement"], "update customers set tier = 'gold' where id = 7;");
    assert_eq!(fixture.truth("select tier from customers where id = 7")?, "standard", "it waits");
    let id = request["id"].as_str().unwrap_or_default().to_string();
    fixture.json(&["approve", &id, "--as", "user:dana"])?;

    let output = child.wait_with_output()?;
    let (said, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(said.contains("7|standard|user-") && said.contains("@masked.example"), "{said}");
    assert!(said.contains("still here|gold"), "{said}");
    assert!(complained.contains("ERROR:  DROP is denied by policy"), "{complained}");
    assert!(complained.contains("policy no-destroy"), "{complained}");
    assert!(complained.contains(&format!("waits for approval by dba as request {id}")), "{complained}");
    assert_eq!(fixture.truth("select tier from customers where id = 7")?, "gold");
    assert_eq!(fixture.request_state(&id)?, "used");

    let verified = fixture.verify()?;
    assert!(verified.starts_with("sound: "), "{verified}");

    let session = fixture.json(&["sessions", "ls"])?[0]["id"].as_str().unwrap_or_default().to_string();
    let replay = fixture.command(&["replay", &session])?;
    let replay = String::from_utf8(replay.stdout)?;
    assert!(replay.contains("still here") && !replay.contains("raw.person7"), "{replay}");
    Ok(())
}

#[test]
fn gatehouse_run_gives_a_command_its_credential_and_takes_it_back() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let output = fixture.command(&[
        "run",
        "--as",
        "agent:claude",
        "--target",
        "shop",
        "--",
        "psql",
        "-X",
        "-A",
        "-t",
        "-c",
        "select count(*) from orders",
    ])?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), "200");
    let failed = fixture.command(&[
        "run",
        "--as",
        "agent:claude",
        "--target",
        "shop",
        "--reason",
        "x",
        "--",
        "sh",
        "-c",
        "exit 7",
    ])?;
    assert_eq!(failed.status.code(), Some(7));
    let run = ["run", "--as", "agent:claude", "--target", "shop", "--reason", "x", "--", "no-such-command"];
    assert_eq!(fixture.command(&run)?.status.code(), Some(127));
    let tasks = fixture.json(&["tasks", "ls"])?;
    let states: Vec<&str> = tasks.as_array().into_iter().flatten().filter_map(|task| task["state"].as_str()).collect();
    assert_eq!(states, ["done", "done", "done"]);
    Ok(())
}

#[test]
fn transactions_end_as_they_would_with_any_error() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let dba = fixture.task("user:dana", "10m")?;
    let said = fixture
        .psql_command(&dba)
        .args([
            "-c",
            "begin",
            "-c",
            "update customers set tier = 'gold' where id = 1",
            "-c",
            "drop table orders",
            "-c",
            "commit",
        ])
        .output()?;
    let complained = String::from_utf8(said.stderr)?;
    assert!(complained.contains("DROP is denied by policy"), "{complained}");
    // The client believes that the error aborted its transaction; so it must have.
    assert_eq!(fixture.truth("select tier from customers where id = 1")?, "standard");
    Ok(())
}
