//! Budgets of tasks: what is used up is held or refused, whatever session used it, and a restart gives nothing back.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use gatehouse_conformance::{Credential, Fixture, Setup};
use serde_json::Value;

const HOLD: &str = "\n@id(\"more\") @hold(\"dba\") @reason(\"a database administrator lets it go on\")\n\
                    permit (principal in Group::\"agents\", action == Action::\"exceed\", resource in Target::\"shop\");\n";

fn task(fixture: &Fixture, limits: &[&str]) -> Result<(Credential, Value)> {
    let start = ["task", "start", "--as", "agent:claude", "--target", "shop", "--reason", "a test"];
    let started = fixture.json(&[&start, limits].concat())?;
    Ok((Credential::of(&started)?, started))
}

fn spent(fixture: &Fixture, credential: &Credential) -> Result<Value> {
    let task = fixture.json(&["tasks", "show", &credential.task])?;
    Ok(task.get("spent").context("it has a budget")?.clone())
}

#[test]
fn operations_that_are_used_up_are_refused_in_every_session() -> Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let (credential, started) = task(&fixture, &["--operations-max", "3"])?;
    assert_eq!(started["task"]["budget"]["operations"], 3);
    assert_eq!(fixture.psql(&credential, "select 1")?.trim(), "1");
    assert_eq!(fixture.psql(&credential, "select 2")?.trim(), "2");
    assert_eq!(spent(&fixture, &credential)?["operations"], 2);
    // A restart gives nothing back.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let address = fixture.json(&["targets", "ls"])?[0]["listen"].as_str().context("an address")?.to_string();
    let port = address.rsplit_once(':').context("a port")?.1.parse()?;
    let credential = Credential { port, ..credential };
    assert_eq!(fixture.psql(&credential, "select 3")?.trim(), "3");
    let said = fixture.psql(&credential, "select 4")?;
    assert!(said.contains("the task's budget is used up: 3 of 3 operations"), "{said}");
    assert!(said.contains("no policy permits exceed on Target shop"), "{said}");
    // The connection lives on, and another task is not concerned.
    let said = fixture.psql(&credential, "select 5; select 6")?;
    assert_eq!(said.matches("budget is used up").count(), 1, "a batch is one: {said}");
    assert_eq!(fixture.psql(&fixture.task("agent:claude", "10m")?, "select 7")?.trim(), "7");
    let records = fixture.records()?;
    let refused = records.iter().find(|record| record["kind"] == "operation.decided" && !record["refused"].is_null());
    let accesses = refused.context("a record")?["accesses"].to_string();
    assert!(accesses.contains("exceed"), "{accesses}");
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn rows_and_bytes_count_and_policy_may_hold_what_goes_beyond() -> Result<()> {
    let setup = Setup::default();
    let fixture = Fixture::start(Setup { policies: format!("{}{HOLD}", setup.policies), ..setup })?;
    let (credential, _) = task(&fixture, &["--rows-max", "150"])?;
    assert_eq!(fixture.psql(&credential, "select id from orders where id <= 100")?.lines().count(), 100);
    // What is under way goes to its end; what comes next does not.
    assert_eq!(fixture.psql(&credential, "select id from orders where id <= 100")?.lines().count(), 100);
    assert_eq!(spent(&fixture, &credential)?["rows"], 200);
    let held =
        fixture.psql_command(&credential).args(["-c", "select count(*) from orders"]).stdout(Stdio::piped()).spawn()?;
    let request = fixture.open_request()?;
    assert!(request["reasons"].to_string().contains("200 of 150 rows"), "{request}");
    assert!(request["accesses"].to_string().contains("exceed on Target shop"), "{request}");
    let id = request["id"].as_str().context("an id")?;
    assert!(fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    assert_eq!(String::from_utf8(held.wait_with_output()?.stdout)?.trim(), "200");

    let (credential, _) = task(&fixture, &["--bytes-max", "1000"])?;
    assert!(fixture.psql(&credential, "select repeat('x', 2000)")?.len() > 2000);
    let held = fixture.psql_command(&credential).args(["-c", "select 1"]).spawn()?;
    let request = fixture.open_request()?;
    assert!(request["reasons"].to_string().contains("of 1000 bytes"), "{request}");
    let id = request["id"].as_str().context("an id")?;
    assert!(fixture.command(&["deny", id, "--as", "user:dana", "--reason", "enough"])?.status.success());
    assert!(!held.wait_with_output()?.status.success());
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}
