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
    // What would be more is not shown, and the session ends.
    let said = fixture.psql(&credential, "select id from orders where id <= 100")?;
    assert!(said.contains("more than what is left of the task's budget") && said.lines().count() < 60, "{said}");
    assert_eq!(fixture.psql(&credential, "select id from orders where id <= 50")?.lines().count(), 50);
    assert_eq!(spent(&fixture, &credential)?["rows"], 150);
    let held =
        fixture.psql_command(&credential).args(["-c", "select count(*) from orders"]).stdout(Stdio::piped()).spawn()?;
    let request = fixture.open_request()?;
    assert!(request["reasons"].to_string().contains("150 of 150 rows"), "{request}");
    assert!(request["accesses"].to_string().contains("exceed on Target shop"), "{request}");
    let id = request["id"].as_str().context("an id")?;
    assert!(fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    assert_eq!(String::from_utf8(held.wait_with_output()?.stdout)?.trim(), "200");

    let (credential, _) = task(&fixture, &["--bytes-max", "100"])?;
    assert!(!fixture.psql(&credential, "select repeat('x', 2000)")?.contains("xxxxx"), "it is not shown");
    // What the client was told of that counts too.
    let held = fixture.psql_command(&credential).args(["-c", "select 1"]).spawn()?;
    let request = fixture.open_request()?;
    assert!(request["reasons"].to_string().contains("of 100 bytes"), "{request}");
    let id = request["id"].as_str().context("an id")?;
    assert!(fixture.command(&["deny", id, "--as", "user:dana", "--reason", "enough"])?.status.success());
    assert!(!held.wait_with_output()?.status.success());
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// Whichever way rows come, they count; what was begun before the budget was used up shows no more than what is left.
#[tokio::test]
async fn no_way_of_asking_shows_more_than_the_budget() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let started = |limit: &str| task(&fixture, &["--rows-max", limit]).map(|(credential, _)| credential);
    let copied = fixture.psql(&started("50")?, "copy (select id from orders) to stdout")?;
    assert!(copied.contains("more than what is left") && copied.lines().count() < 60, "{copied}");
    // What stands before and behind the rows of a copy is none.
    for options in ["", "csv", "csv header", "binary", "(format csv, null 'id', header)"] {
        let credential = started("5")?;
        let copy = format!("copy (select id from orders where id <= 5) to stdout {options}");
        let copied = fixture.psql(&credential, &copy)?;
        assert!(!copied.contains("ERROR"), "{options}: {copied}");
        assert_eq!(spent(&fixture, &credential)?["rows"], 5, "{options}");
    }
    // A pipeline is judged before any of its rows come.
    let client = fixture.connect(&started("250")?).await?;
    let statement = client.prepare("select id from orders where id <= 100").await?;
    let all = futures_util::future::join_all((0..5).map(|_| client.query(&statement, &[]))).await;
    let rows: usize = all.iter().filter_map(|result| result.as_ref().ok()).map(Vec::len).sum();
    assert!(rows <= 250 && all.iter().any(Result::is_err), "{rows} rows");
    // Portals that were bound before are no store of rows.
    let credential = started("150")?;
    let mut client = fixture.connect(&credential).await?;
    let transaction = client.transaction().await?;
    let statement = transaction.prepare("select id from orders").await?;
    let portal = transaction.bind(&statement, &[]).await?;
    assert_eq!(transaction.query_portal(&portal, 100).await?.len(), 100);
    let more = transaction.query_portal(&portal, 100).await;
    assert!(more.is_err(), "{:?}", more.map(|rows| rows.len()));
    assert!(spent(&fixture, &credential)?["rows"].as_u64().is_some_and(|rows| rows <= 150));
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// What is done can be ended: a transaction is not lost because its last statement was the last of the budget.
#[test]
fn a_transaction_ends_when_the_budget_does() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let (credential, _) = task(&fixture, &["--operations-max", "3"])?;
    let mut psql = fixture.psql_command(&credential);
    psql.args(["-v", "ON_ERROR_STOP=1", "-c", "begin", "-c", "select 1", "-c", "select 2", "-c", "commit"]);
    let output = psql.output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fixture.psql(&credential, "begin")?.contains("budget is used up"));
    Ok(())
}

/// What was approved while there was budget is not approved beyond it.
#[test]
fn an_operation_that_waited_does_not_pass_when_the_budget_was_used_up_meanwhile() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let (credential, _) = task(&fixture, &["--operations-max", "1"])?;
    let mut update = fixture.psql_command(&credential);
    update.args(["-c", "update orders set total = 1 where id = 1"]).stderr(Stdio::piped());
    let held = update.spawn()?;
    let request = fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    assert_eq!(fixture.psql(&credential, "select 1")?.trim(), "1");
    assert!(fixture.command(&["approve", &request, "--as", "user:dana"])?.status.success());
    let said = String::from_utf8(held.wait_with_output()?.stderr)?;
    assert!(said.contains("the task's budget was used up meanwhile"), "{said}");
    assert_eq!(fixture.request_state(&request)?, "withdrawn");
    assert_ne!(fixture.truth("select total from orders where id = 1")?, "1.00");
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

const SEES: &str =
    "\npermit (principal in Group::\"agents\", action == Action::\"reveal\", resource in Class::\"email\");\n";

/// What is seen of a class is counted by its values, and what cannot be counted is not seen.
#[test]
fn different_values_of_a_class_count_however_they_come() -> Result<()> {
    let setup = Setup::default();
    let fixture = Fixture::start(Setup { policies: format!("{}{SEES}", setup.policies), ..setup })?;
    let (credential, started) = task(&fixture, &["--values-max", "email=20"])?;
    assert_eq!(started["task"]["budget"]["values"]["email"], 20);
    let seen =
        |credential: &Credential| Ok::<_, anyhow::Error>(spent(&fixture, credential)?["values"]["email"].clone());
    let emails = |said: &str| said.lines().filter(|line| line.contains("raw.person") && line.contains('@')).count();

    let ten = "select email from customers where id <= 10";
    assert_eq!(emails(&fixture.psql(&credential, ten)?), 10);
    assert_eq!(
        emails(&fixture.psql(&credential, &format!("begin; declare c cursor for {ten}; fetch all from c"))?),
        10
    );
    assert_eq!(seen(&credential)?, 10, "what was seen already counts once");
    for hidden in [
        "select upper(email) from customers where id = 20",
        "select string_agg(email, ',') from customers",
        "select array_agg(email) from customers",
        "select to_jsonb(c) from customers c where id = 20",
        "select note from customers where id = 20",
        "select profile from customers where id = 20",
        "select full_name from customers where id = 20",
    ] {
        let said = fixture.psql(&credential, hidden)?;
        assert!(!said.to_lowercase().contains("raw.person"), "{hidden}: {said}");
    }
    assert_eq!(seen(&credential)?, 10);
    for options in ["with delimiter '|'", "(format csv, quote '@', force_quote *)", "csv header", "(format binary)"] {
        let copy = format!("copy (select id, email from customers where id <= 10) to stdout {options}");
        let copied = fixture.psql(&credential, &copy)?;
        assert_eq!((copied.matches("raw.person").count(), seen(&credential)?), (10, 10.into()), "{options}");
    }
    let copied =
        fixture.psql(&credential, "copy (select id, email from customers where id between 11 and 20) to stdout")?;
    assert_eq!((emails(&copied), seen(&credential)?), (10, 20.into()));
    let refused = fixture.psql(&credential, ten)?;
    assert!(refused.contains("the task's budget is used up: 20 of 20 different values of email"), "{refused}");

    let (credential, _) = task(&fixture, &["--values-max", "email=5", "--values-max", "us_ssn=1"])?;
    let said = fixture.psql(&credential, "select email from customers")?;
    assert!(said.contains("more than what is left of the task's budget") && emails(&said) <= 5, "{said}");
    // Without such a budget, nothing is hidden that policy shows.
    let free = fixture.task("agent:claude", "10m")?;
    assert!(fixture.psql(&free, "select string_agg(email, ',') from customers")?.contains("raw.person7@"));
    for wrong in ["email", "email=many", "no_such_class=5", "email=1000001"] {
        assert!(task(&fixture, &["--values-max", wrong]).is_err(), "{wrong}");
    }
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// Whoever may see values, but only so many, gets no more of them by taking them where nobody counts.
#[test]
fn values_that_cannot_be_counted_are_beyond_the_budget() -> Result<()> {
    let setup = Setup::default();
    let all = "\npermit (principal in Group::\"agents\", action in [Action::\"reveal\", Action::\"probe\"], resource in \
               Class::\"person_name\");\npermit (principal in Group::\"agents\", action in [Action::\"reveal\", Action::\"probe\"], \
               resource in Class::\"email\");\n\
               @id(\"writes\") permit (principal == Agent::\"other\", action in Action::\"sql:write\", resource in Target::\"shop\");\n";
    let held = "@id(\"agents-write\") @hold(\"dba\")";
    let policies = setup.policies.replace(held, "@id(\"agents-write\")") + all;
    assert_ne!(policies, setup.policies.clone() + all);
    let fixture = Fixture::start(Setup { policies, ..setup })?;
    let start = |more: &[&str]| task(&fixture, more).map(|(credential, _)| credential);
    let limited = || start(&["--values-max", "person_name=2", "--values-max", "email=2"]);
    let free = fixture.task("agent:claude", "10m")?;
    for uncounted in [
        "copy (select full_name from customers) to stdout (null '')",
        "copy (select email from customers) to stdout (format csv, quote E'\n', force_quote *)",
        "listen ch; select pg_notify('ch', full_name || replace(email, '@', '#')) from customers",
        "insert into orders (id, total, note) select 5000 + id, 1, full_name from customers where id <= 3",
        "update customers set email = (select string_agg(email, ',') from customers where id <= 50) where id = 200",
    ] {
        let refused = fixture.psql(&limited()?, uncounted)?;
        assert!(refused.contains("cannot be counted"), "{uncounted}: {refused}");
        assert!(!refused.to_lowercase().contains("realname"), "{uncounted}: {refused}");
        let passed = fixture.psql(&free, uncounted)?;
        assert!(!passed.contains("cannot be counted"), "{uncounted}: {passed}");
    }
    // What copies a value into a column of its class is counted when it is seen.
    let credential = limited()?;
    let copied = "update customers set full_name = (select full_name from customers where id = 7) where id = 8";
    assert_eq!(fixture.psql(&credential, copied)?, "");
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// What a person let go on is that operation, and nothing after it.
#[test]
fn an_approval_beyond_a_budget_of_values_is_for_one_operation() -> Result<()> {
    let setup = Setup::default();
    let fixture = Fixture::start(Setup { policies: format!("{}{SEES}{HOLD}", setup.policies), ..setup })?;
    let (credential, _) = task(&fixture, &["--values-max", "email=2"])?;
    let mut psql = fixture.psql_command(&credential);
    psql.args(["-c", "copy (select email from customers where id = 1) to stdout (null '')"]);
    let held =
        psql.args(["-c", "select email from customers"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let request = fixture.open_request()?;
    let id = request["id"].as_str().context("an id")?;
    assert!(fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    let output = held.wait_with_output()?;
    let shown = String::from_utf8(output.stdout)?;
    assert!(shown.matches("raw.person").count() <= 3, "{shown}");
    assert!(String::from_utf8(output.stderr)?.contains("more than what is left of the task's budget"));
    Ok(())
}
