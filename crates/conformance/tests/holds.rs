//! Holds: whom they wait for, what an approval binds to, and how a wait ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::ensure;
use gatehouse_conformance::fixture::{PATIENCE, POLICIES};
use gatehouse_conformance::raw::{self, RawClient, execute, parse, query, sync};
use gatehouse_conformance::{Credential, Fixture, Setup};
use tokio_postgres::error::SqlState;

const GOLD: &str = "update customers set tier = 'gold' where id = 1";
/// Lets agents define things.
const DEFINES: &str = "
    permit (principal in Group::\"agents\", action in Action::\"sql:define\", resource in Target::\"shop\");";
/// Has calls approved by a person.
const CALLS: &str = "
    @id(\"calls\") @hold(\"dba\")
    permit (principal in Group::\"agents\", action == Action::\"sql:call\", resource in Target::\"shop\");";

fn refusing() -> Setup {
    Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() }
}

fn tier(fixture: &Fixture, id: u32) -> anyhow::Result<String> {
    fixture.truth(&format!("select tier from customers where id = {id}"))
}

fn id_of(request: &serde_json::Value) -> String {
    request["id"].as_str().unwrap_or_default().into()
}

/// Runs a statement in the background and returns what psql said of it.
fn in_background(fixture: &Fixture, agent: &Credential, sql: &str) -> std::io::Result<std::process::Child> {
    let mut psql = fixture.psql_command(agent);
    psql.arg("-c").arg(sql).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn()
}

#[test]
fn a_denied_hold_tells_the_reason_and_nobody_else_waits() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let waiting = in_background(&fixture, &agent, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    // Another connection of the same task is untouched.
    assert!(fixture.psql(&agent, "select count(*) from orders")?.starts_with("200"));
    fixture.json(&["deny", &id, "--as", "user:dana", "--reason", "not on a Friday"])?;
    let said = String::from_utf8(waiting.wait_with_output()?.stderr)?;
    assert!(said.contains("refused by dana") && said.contains("not on a Friday"), "{said}");
    assert_eq!(tier(&fixture, 1)?, "standard");
    Ok(())
}

#[test]
fn only_a_member_of_the_group_whom_policy_permits_can_answer() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut waiting = in_background(&fixture, &agent, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    for nobody in ["user:nina", "user:sam", "user:stranger"] {
        assert!(fixture.json(&["approve", &id, "--as", nobody]).is_err(), "{nobody}");
    }
    assert!(fixture.json(&["approve", &id, "--as", "agent:claude"]).is_err());
    assert!(fixture.json(&["approve", &id]).is_err(), "an administrator is no approver");
    assert_eq!(fixture.request_state(&id)?, "open");
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    assert!(waiting.wait()?.success());
    assert!(fixture.json(&["approve", &id, "--as", "user:dana"]).is_err(), "an answer counts once");
    Ok(())
}

#[test]
fn the_requester_and_the_one_it_acts_for_cannot_approve() -> anyhow::Result<()> {
    let policies = POLICIES.to_string()
        + "@id(\"dba-writes\") @hold(\"dba\") forbid (principal == User::\"dana\", action in Action::\"sql:write\", resource);";
    let fixture = Fixture::start(Setup { policies, ..Setup::default() })?;
    let own = fixture.task("user:dana", "10m")?;
    let mut waiting = in_background(&fixture, &own, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    let refused = fixture.json(&["approve", &id, "--as", "user:dana"]).err().map(|error| error.to_string());
    assert!(refused.as_deref().unwrap_or_default().contains("cannot answer"), "{refused:?}");
    fixture.json(&["revoke", &own.task])?;
    assert!(!waiting.wait()?.success());

    let started = fixture.json(&[
        "task",
        "start",
        "--as",
        "agent:claude",
        "--on-behalf-of",
        "user:dana",
        "--target",
        "shop",
        "--reason",
        "for Dana",
    ])?;
    let mut agent = own.clone();
    agent.user = started["user"].as_str().unwrap_or_default().into();
    agent.password = started["password"].as_str().unwrap_or_default().into();
    let mut waiting = in_background(&fixture, &agent, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    assert!(fixture.json(&["approve", &id, "--as", "user:dana"]).is_err());
    fixture
        .json(&["deny", &id, "--as", "user:dana", "--reason", "x"])
        .err()
        .ok_or_else(|| anyhow::anyhow!("not even deny"))?;
    waiting.kill()?;
    waiting.wait()?;
    assert_eq!(tier(&fixture, 1)?, "standard");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_and_disconnect_withdraw_a_hold() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;

    let client = std::sync::Arc::new(fixture.connect(&agent).await?);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.batch_execute(GOLD).await }
    });
    let first = id_of(&tokio::task::block_in_place(|| fixture.open_request())?);
    client.cancel_token().cancel_query(tokio_postgres::NoTls).await?;
    let error = waiting.await?.err().ok_or_else(|| anyhow::anyhow!("it was cancelled"))?;
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{error}");
    assert_eq!(fixture.request_state(&first)?, "withdrawn");
    assert_eq!(client.query_one("select 42", &[]).await?.get::<_, i32>(0), 42, "the connection lives on");

    let mut waiting = in_background(&fixture, &agent, GOLD)?;
    let second = id_of(&tokio::task::block_in_place(|| fixture.open_request())?);
    waiting.kill()?;
    waiting.wait()?;
    let begun = Instant::now();
    while fixture.request_state(&second)? != "withdrawn" {
        assert!(begun.elapsed() < Duration::from_secs(30), "the client is gone");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(fixture.json(&["approve", &second, "--as", "user:dana"]).is_err());
    assert_eq!(tier(&fixture, 1)?, "standard");
    Ok(())
}

#[test]
fn a_hold_has_a_limit_that_ends_in_refusal() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "hold_secs_max = 1".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, GOLD)?;
    assert!(said.contains("nobody approved request"), "{said}");
    assert_eq!(tier(&fixture, 1)?, "standard");
    assert_eq!(fixture.json(&["requests", "ls"])?[0]["state"], "expired");
    Ok(())
}

#[test]
fn refused_at_once_then_approved_then_passed_once() -> anyhow::Result<()> {
    let fixture = Fixture::start(refusing())?;
    let (agent, other) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "10m")?);
    let said = fixture.psql(&agent, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    assert!(said.contains(&format!("needs approval by dba: request {id}")), "{said}");
    fixture.psql(&agent, GOLD)?;
    assert_eq!(fixture.json(&["requests", "ls"])?.as_array().map(Vec::len), Some(1), "the same question is asked once");
    fixture.json(&["approve", &id, "--as", "user:dana"])?;

    // Neither another identity, nor another statement, nor another task of the same identity has it.
    assert!(fixture.psql(&other, GOLD)?.contains("needs approval"));
    assert!(fixture.psql(&agent, "update customers set tier = 'gold' where id = 2")?.contains("needs approval"));
    let second_task = fixture.task("agent:claude", "10m")?;
    assert!(fixture.psql(&second_task, GOLD)?.contains("needs approval"));
    assert_eq!(tier(&fixture, 1)?, "standard");

    assert_eq!(fixture.psql(&agent, GOLD)?, "");
    assert_eq!(tier(&fixture, 1)?, "gold");
    fixture.truth("update customers set tier = 'standard' where id = 1")?;
    assert!(fixture.psql(&agent, GOLD)?.contains("needs approval"), "once means once");
    assert_eq!(tier(&fixture, 1)?, "standard");
    assert!(fixture.verify()?.starts_with("sound: "));
    Ok(())
}

/// What was approved is what was there: the same words over another view are another statement, whether it waits or asks again.
#[test]
fn an_approval_binds_to_what_names_stand_for() -> anyhow::Result<()> {
    const OVER_VIEW: &str = "update chosen set tier = 'gold' where id < 9";
    let choose = |id: u32| format!("create or replace view chosen as select id, tier from customers where id = {id}");
    let fixture = Fixture::start(Setup {
        sql: String::from(gatehouse_conformance::fixture::SHOP) + &choose(1),
        ..Setup::default()
    })?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.truth("grant select, update on chosen to gatehouse")?;
    let waiting = in_background(&fixture, &agent, OVER_VIEW)?;
    let id = id_of(&fixture.open_request()?);
    fixture.truth(&choose(2))?;
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    let said = String::from_utf8(waiting.wait_with_output()?.stderr)?;
    assert!(said.contains("the target changed meanwhile"), "{said}");
    assert_eq!(fixture.request_state(&id)?, "withdrawn");
    // What did not change passes.
    let waiting = in_background(&fixture, &agent, OVER_VIEW)?;
    fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
    assert!(waiting.wait_with_output()?.status.success());
    assert_eq!(fixture.truth("select string_agg(id::text, ',') from customers where tier = 'gold'")?, "2");

    let fixture =
        Fixture::start(Setup { sql: String::from(gatehouse_conformance::fixture::SHOP) + &choose(1), ..refusing() })?;
    fixture.truth("grant select, update on chosen to gatehouse")?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, OVER_VIEW)?;
    fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
    for id in [2, 1] {
        fixture.truth(&choose(id))?;
    }
    assert!(fixture.psql(&agent, OVER_VIEW)?.contains("needs approval"), "whoever looked in between saw another");
    fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
    fixture.truth(&choose(2))?;
    // However young the picture of the catalog is, it is asked for once more before an approval is used.
    assert!(fixture.psql(&agent, OVER_VIEW)?.contains("needs approval"));
    assert_eq!(fixture.truth("select string_agg(id::text, ',') from customers where tier = 'gold'")?, "");
    fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
    assert_eq!(fixture.psql(&agent, OVER_VIEW)?, "");
    assert_eq!(fixture.truth("select string_agg(id::text, ',') from customers where tier = 'gold'")?, "2");
    Ok(())
}

/// What was approved sets off what it set off when it was asked about: triggers, and the functions of users.
#[test]
fn an_approval_binds_to_the_code_that_runs() -> anyhow::Result<()> {
    const TOTAL: &str = "update orders set total = 1 where id = 1";
    let notes = |what: &str| {
        format!(
            "create or replace function notes() returns trigger language plpgsql as
             $$ begin insert into ran values ('{what}'); return new; end $$"
        )
    };
    let fixture = Fixture::start(refusing())?;
    fixture.truth(&format!(
        "create table ran (what text); {}; grant all on all tables in schema public to gatehouse;
         create trigger tells before update on orders for each row execute function notes()",
        notes("first")
    ))?;
    let agent = fixture.task("agent:claude", "10m")?;
    let asks = |sql: &str| -> anyhow::Result<()> {
        let said = fixture.psql(&agent, sql)?;
        ensure!(said.contains("needs approval"), "{said}");
        fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
        Ok(())
    };
    asks(TOTAL)?;
    fixture.truth(&notes("second"))?;
    asks(TOTAL)?;
    fixture.truth("create trigger more after update on orders for each row execute function notes()")?;
    asks(TOTAL)?;
    // Whoever looked in between saw what does not run.
    for what in ["third", "second"] {
        fixture.truth(&notes(what))?;
    }
    asks(TOTAL)?;
    fixture.truth("alter table orders disable trigger more; alter table orders enable trigger more")?;
    asks(TOTAL)?;
    assert_eq!(fixture.truth("select count(*) from ran")?, "0");
    // What calls nothing does not hang on what others call.
    asks(GOLD)?;
    fixture.truth("create function unheard_of() returns int language sql as 'select 1'")?;
    assert_eq!(fixture.psql(&agent, GOLD)?, "");
    assert_eq!(tier(&fixture, 1)?, "gold");
    // All functions count, for they may call each other.
    asks(TOTAL)?;
    assert_eq!(fixture.psql(&agent, TOTAL)?, "");
    assert_eq!(fixture.truth("select string_agg(what, ',') from ran")?, "second,second");
    Ok(())
}

/// A request is bound to what is there when it is filed, however young the picture of the catalog was: its approval can be used.
#[test]
fn a_request_is_filed_by_what_is_there_now() -> anyhow::Result<()> {
    const OVER_VIEW: &str = "update chosen set tier = 'gold' where id < 9";
    let choose = |id: u32| format!("create or replace view chosen as select id, tier from customers where id = {id}");
    let sql = String::from(gatehouse_conformance::fixture::SHOP) + &choose(1);
    for is_refused in [true, false] {
        let setup = if is_refused { refusing() } else { Setup::default() };
        let fixture = Fixture::start(Setup { sql: sql.clone(), ..setup })?;
        fixture.truth("grant select, update on chosen to gatehouse")?;
        let agent = fixture.task("agent:claude", "10m")?;
        fixture.psql(&agent, "select count(*) from chosen")?;
        fixture.truth(&choose(2))?;
        let waiting = in_background(&fixture, &agent, OVER_VIEW)?;
        fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
        let said = String::from_utf8(waiting.wait_with_output()?.stderr)?;
        ensure!(is_refused == said.contains("needs approval"), "{said}");
        if is_refused {
            assert_eq!(fixture.psql(&agent, OVER_VIEW)?, "");
        }
        assert_eq!(fixture.truth("select string_agg(id::text, ',') from customers where tier = 'gold'")?, "2");
    }
    Ok(())
}

/// What a statement sets off is more than functions, and each of these can be made anew while all functions stay as they are.
#[test]
fn an_approval_binds_to_what_sets_off_functions() -> anyhow::Result<()> {
    let policies = format!("{POLICIES}{CALLS}");
    let fixture = Fixture::start(Setup { policies, ..refusing() })?;
    fixture.truth(
        "create function added(int, int) returns int language sql immutable as 'select $1 + $2';
         create function taken(int, int) returns int language sql immutable as 'select $1 - $2';
         create function is_any(int) returns bool language sql immutable as 'select true';
         create function is_some(int) returns bool language sql immutable as 'select $1 is not null';
         create type pair as (one int, other int);
         create function same(int) returns pair language sql immutable as 'select row($1, $1)::pair';
         create function pair_after(int) returns pair language sql immutable as 'select row($1, $1 + 1)::pair';
         create aggregate total_of(int) (sfunc = added, stype = int, initcond = '0');
         create operator <+> (function = added, leftarg = int, rightarg = int);
         create cast (int as pair) with function same(int);
         create domain fine as int constraint is_fine check (is_any(value));
         create table checked (n int constraint is_fine check (n > 0));
         grant all on all tables in schema public to gatehouse",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    let asks = |sql: &str| -> anyhow::Result<()> {
        let said = fixture.psql(&agent, sql)?;
        ensure!(said.contains("needs approval"), "{sql}: {said}");
        fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
        Ok(())
    };
    for (statement, change) in [
        (
            "select total_of(1)",
            "create or replace aggregate total_of(int) (sfunc = taken, stype = int, initcond = '0')",
        ),
        (
            "select 1 <+> 2",
            "drop operator <+> (int, int); create operator <+> (function = taken, leftarg = int, rightarg = int)",
        ),
        ("select 1::pair", "drop cast (int as pair); create cast (int as pair) with function pair_after(int)"),
        (
            "select 1::fine",
            "alter domain fine drop constraint is_fine;
             alter domain fine add constraint is_fine check (is_some(value))",
        ),
        (
            "insert into checked values (1)",
            "alter table checked drop constraint is_fine; alter table checked add constraint is_fine check (n > -1)",
        ),
    ] {
        asks(statement)?;
        fixture.truth(change)?;
        asks(statement)?;
        let said = fixture.psql(&agent, statement)?;
        ensure!(!said.contains("needs approval"), "{statement}: what did not change is approved: {said}");
    }
    Ok(())
}

/// What lies in a temporary schema is its session's alone.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_binds_to_temporary_functions() -> anyhow::Result<()> {
    let policies = format!("{POLICIES}{CALLS}{DEFINES}");
    let fixture = Fixture::start(Setup { policies, ..refusing() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let client = fixture.connect(&agent).await?;
    let call = "select pg_temp.own_one()";
    client.batch_execute("create function pg_temp.own_one() returns int language sql as 'select 1'").await?;
    let approve = || -> anyhow::Result<()> {
        fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
        Ok(())
    };
    assert!(client.batch_execute(call).await.is_err());
    tokio::task::block_in_place(approve)?;
    tokio::task::block_in_place(|| {
        fixture.truth(
            "do $$ begin execute (select format('create or replace function %I.own_one() returns int language sql
               as ''select 2''', n.nspname)
             from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.proname = 'own_one'); end $$",
        )
    })?;
    assert!(client.batch_execute(call).await.is_err(), "another function is not approved");
    tokio::task::block_in_place(approve)?;
    client.batch_execute(call).await?;
    Ok(())
}

/// What a transaction has defined, nobody else sees; two that define something else are not the same.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_binds_to_what_its_transaction_defined() -> anyhow::Result<()> {
    let policies = format!("{POLICIES}{DEFINES}");
    let fixture = Fixture::start(Setup { policies, ..refusing() })?;
    fixture.truth("grant all on schema public to gatehouse")?;
    let agent = fixture.task("agent:claude", "10m")?;
    let client = fixture.connect(&agent).await?;
    let approve = || -> anyhow::Result<()> {
        fixture.json(&["approve", &id_of(&fixture.open_request()?), "--as", "user:dana"])?;
        Ok(())
    };
    for defines in ["create table one (n int)", "create table other (n int)"] {
        client.batch_execute("begin").await?;
        client.batch_execute(defines).await?;
        assert!(client.batch_execute(GOLD).await.is_err(), "{defines}");
        client.batch_execute("rollback").await?;
        tokio::task::block_in_place(approve)?;
    }
    client.batch_execute("begin").await?;
    client.batch_execute("create table one (n int)").await?;
    client.batch_execute(GOLD).await?;
    client.batch_execute("rollback").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_binds_to_the_bind_values() -> anyhow::Result<()> {
    let fixture = Fixture::start(refusing())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let client = fixture.connect(&agent).await?;
    let sql = "update customers set tier = $1 where id = $2";
    assert!(client.execute(sql, &[&"gold", &3i64]).await.is_err());
    let request = tokio::task::block_in_place(|| fixture.open_request())?;
    assert_eq!(request["binds"], serde_json::json!(["'gold'", "'3'"]));
    fixture.json(&["approve", &id_of(&request), "--as", "user:dana"])?;
    assert!(client.execute(sql, &[&"gold", &4i64]).await.is_err(), "other values are another operation");
    assert!(client.execute(sql, &[&"gone", &3i64]).await.is_err());
    assert_eq!(client.execute(sql, &[&"gold", &3i64]).await?, 1);
    assert!(client.execute(sql, &[&"gold", &3i64]).await.is_err());
    assert_eq!(fixture.truth("select string_agg(id::text, ',') from customers where tier = 'gold'")?, "3");
    Ok(())
}

#[test]
fn an_approval_expires_and_survives_a_restart() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup { config: "[limits]\napproval_secs_max = 4\n".into(), ..refusing() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, GOLD)?;
    let id = id_of(&fixture.open_request()?);
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    fixture.kill_gateway()?;
    fixture.start_gateway()?;
    assert_eq!(fixture.request_state(&id)?, "approved");
    let moved = fixture.task("agent:claude", "10m")?;
    let again = Credential { port: moved.port, ..agent.clone() };
    assert_eq!(fixture.psql(&again, GOLD)?, "", "the task and its approval outlive the gateway");

    let other = "update customers set tier = 'gold' where id = 2";
    fixture.psql(&again, other)?;
    let id = id_of(&fixture.open_request()?);
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    let begun = Instant::now();
    while fixture.request_state(&id)? != "expired" {
        assert!(begun.elapsed() < Duration::from_secs(15));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(fixture.psql(&again, other)?.contains("needs approval"));
    assert_eq!(tier(&fixture, 2)?, "standard");
    Ok(())
}

/// Whoever decides sees what would be done, and what waits meanwhile, and nothing of it has run.
#[test]
fn whoever_decides_is_told_what_it_would_do() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "transaction_hold_secs_max = 2".into(), ..Setup::default() })?;
    fixture.truth(
        "create table lines (id bigint primary key, order_id bigint references orders (id) on delete cascade on update cascade);
         create table ran (what text);
         create function notes() returns trigger language plpgsql as $$ begin insert into ran values ('trigger'); return new; end $$;
         create trigger tells before update on orders for each row execute function notes();
         grant all on all tables in schema public to gatehouse; analyze orders",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    let impact = |request: &serde_json::Value| request["impact"].to_string();
    let answered = |script: &[&str]| -> anyhow::Result<(serde_json::Value, String)> {
        let mut psql = fixture.psql_command(&agent);
        for statement in script {
            psql.args(["-c", statement]);
        }
        let waiting = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let request = fixture.open_request()?;
        fixture.command(&["deny", &id_of(&request), "--as", "user:dana", "--reason", "a test"])?;
        Ok((request, String::from_utf8(waiting.wait_with_output()?.stderr)?))
    };
    let (request, _) = answered(&["update orders set total = 1 where id <= 20"])?;
    let said = impact(&request);
    ensure!(said.contains("public.orders has about 200 rows, 1 index, triggers: tells"), "{said}");
    ensure!(!said.contains("referred to"), "what refers to rows stays with them: {said}");
    ensure!(said.contains("the planner expects this UPDATE to touch about 20 rows"), "{said}");
    let (request, _) = answered(&["delete from orders where id = 5"])?;
    let said = impact(&request);
    ensure!(said.contains("referred to by lines (its rows go with them)"), "{said}");
    ensure!(said.contains("expects this DELETE to touch about 1 row,"), "{said}");
    // What goes with a key goes with it when it changes, too.
    let (request, _) = answered(&["update orders set id = 9005 where id = 5"])?;
    let said = impact(&request);
    ensure!(said.contains("its changed keys are referred to by lines (its values follow)"), "{said}");
    let (request, _) = answered(&["copy orders from stdin"])?;
    let said = impact(&request);
    ensure!(said.contains("public.orders has about 200 rows, 1 index, triggers: tells"), "{said}");
    ensure!(!said.contains("referred to"), "what is added has nobody who refers to it: {said}");
    // What cannot run is told as that, without what the error quotes.
    let (request, _) = answered(&["update orders set total = 1 where id = 'secret'"])?;
    let said = impact(&request);
    ensure!(said.contains("PostgreSQL refuses this UPDATE as it is (22P02): a value in it is not"), "{said}");
    ensure!(!said.contains("secret"), "{said}");
    // Several statements at once have no plan, and are not passed over.
    let (request, _) = answered(&["begin; update orders set total = 1 where id <= 20; commit"])?;
    let said = impact(&request);
    ensure!(said.contains("public.orders has about 200 rows") && said.contains("nobody counted"), "{said}");
    // In a transaction, with what came before; and there it does not wait as long.
    let begun = Instant::now();
    let mut psql = fixture.psql_command(&agent);
    for statement in ["begin", "select count(*) from orders", "update orders set total = 3 where id = 3"] {
        psql.args(["-c", statement]);
    }
    let waiting = psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let said = impact(&fixture.open_request()?);
    ensure!(said.contains("before it in its transaction: select count(*) from orders"), "{said}");
    ensure!(said.contains("stays locked for others"), "{said}");
    let told = String::from_utf8(waiting.wait_with_output()?.stderr)?;
    ensure!(told.contains("nobody approved") && begun.elapsed() < PATIENCE, "{told}");
    ensure!(fixture.truth("select count(*) from ran")? == "0", "nothing of it has run");
    ensure!(fixture.truth("select count(*) from orders where total < 10 and id > 7")? == "0");
    // What was told is told still when it is decided.
    let decided = fixture.json(&["requests", "show", &id_of(&request)])?;
    ensure!(decided["impact"].to_string().contains("nobody counted"), "{decided}");
    // Of a long transaction what changed something is told, and how much is not.
    let reads: Vec<String> = (0..24).map(|number| format!("select {number} from orders limit 1")).collect();
    let mut script = vec!["begin"];
    script.extend(reads.iter().map(String::as_str));
    script.push("update orders set total = 4 where id = 4");
    let (request, _) = answered(&script)?;
    let said = impact(&request);
    ensure!(said.contains("and 5 more before it, which are not listed here"), "{said}");
    let records = serde_json::to_string(&fixture.records()?)?;
    ensure!(records.contains("expects this UPDATE to touch about 20 rows"), "what was told is on record");
    ensure!(fixture.verify()?.contains("sound"));
    Ok(())
}

/// What was bound and approved runs as it was judged, or is judged again: in a later batch, after other things, part by part.
#[test]
fn what_was_bound_is_judged_again_when_it_runs_later() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    let answer =
        |id: &str, word: &str| fixture.command(&[word, id, "--as", "user:dana", "--reason", "a test"]).map(|_| ());
    client.send(&[query("begin")])?;
    client.until_ready(1)?;
    client.send(&[parse("u", "update orders set total = 1 where id = 1"), raw::bind("late", "u"), sync()])?;
    answer(&id_of(&fixture.open_request()?), "approve")?;
    client.until_ready(1)?;
    client.send(&[execute("late"), sync()])?;
    answer(&id_of(&fixture.open_request()?), "deny")?;
    let said = client.until_ready(1)?;
    ensure!(said.contains("was refused by dana"), "{said}");
    client.send(&[query("rollback")])?;
    client.until_ready(1)?;
    // What is too long to be kept for that is refused, and not passed.
    let long = "x".repeat(20_000);
    let length = i32::try_from(long.len())?.to_be_bytes();
    let bound = [&b"late\0l\0\0\0\0\x01"[..], &length, long.as_bytes(), &b"\0\0"[..]].concat();
    client.send(&[
        query("begin"),
        parse("l", "update orders set note = $1 where id = 1"),
        raw::frame(b'B', &[&bound]),
        sync(),
    ])?;
    answer(&id_of(&fixture.open_request()?), "approve")?;
    client.until_ready(2)?;
    client.send(&[execute("late"), sync(), query("rollback")])?;
    let said = client.until_ready(2)?;
    ensure!(said.contains("bound to long values runs in the batch that bound it"), "{said}");
    // At once it runs by its first approval.
    client.send(&[parse("n", "update orders set total = 2 where id = 2"), raw::bind("", "n"), execute(""), sync()])?;
    answer(&id_of(&fixture.open_request()?), "approve")?;
    client.until_ready(1)?;
    ensure!(fixture.truth("select string_agg(total::text, ',' order by id) from orders where id < 3")? == "1.50,2.00");
    // By the protocol nobody reads a cursor that a statement opened.
    client.send(&[query("begin"), query("declare c cursor for select id from orders"), execute("c"), sync()])?;
    let said = client.until_ready(3)?;
    ensure!(said.contains("is not read by the protocol's Execute"), "{said}");
    Ok(())
}

/// What was bound to be read runs as it was approved, in a later batch as well, but not after what may change its meaning.
#[test]
fn what_was_bound_to_be_read_does_not_run_when_its_meaning_may_have_changed() -> anyhow::Result<()> {
    let policies = "permit (principal, action, resource) unless { action == Action::\"sql:select\" };\n\
                    @hold(\"dba\") permit (principal, action == Action::\"sql:select\", resource);\n";
    let fixture = Fixture::start(Setup { policies: policies.into(), ..Setup::default() })?;
    let mut client = RawClient::connect(&fixture.task("agent:claude", "10m")?)?;
    let answer =
        |id: &str, word: &str| fixture.command(&[word, id, "--as", "user:dana", "--reason", "a test"]).map(|_| ());
    for (portal, between) in [("same", None), ("late", Some("set local search_path = public"))] {
        client.send(&[query("begin")])?;
        client.until_ready(1)?;
        let read = format!("select '{portal}', id from orders where id = 1");
        client.send(&[parse(portal, &read), raw::bind(portal, portal), sync()])?;
        answer(&id_of(&fixture.open_request()?), "approve")?;
        client.until_ready(1)?;
        if let Some(between) = between {
            client.send(&[query(between)])?;
            client.until_ready(1)?;
        }
        client.send(&[execute(portal), sync()])?;
        let said = client.until_ready(1)?;
        ensure!(said.contains("Bind it again") == between.is_some(), "{portal}: {said}");
        ensure!(said.contains(portal) == between.is_none(), "{portal}: {said}");
        client.send(&[query("rollback")])?;
        client.until_ready(1)?;
    }
    Ok(())
}

/// A cursor runs its query when it is read, so that each reading of one that changes something is judged.
#[test]
fn a_cursor_that_changes_something_is_judged_when_it_is_read() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    fixture.truth("create sequence draws; grant usage, select on sequence draws to gatehouse; select 1")?;
    let mut client = RawClient::connect(&fixture.task("agent:claude", "10m")?)?;
    let answer =
        |id: &str, word: &str| fixture.command(&[word, id, "--as", "user:dana", "--reason", "a test"]).map(|_| ());
    client.send(&[query("begin")])?;
    client.until_ready(1)?;
    client.send(&[query("declare c cursor for select nextval('draws') from generate_series(1, 5)")])?;
    answer(&id_of(&fixture.open_request()?), "approve")?;
    client.until_ready(1)?;
    client.send(&[query("fetch 2 from c")])?;
    answer(&id_of(&fixture.open_request()?), "deny")?;
    let said = client.until_ready(1)?;
    ensure!(said.contains("was refused by dana"), "{said}");
    ensure!(fixture.truth("select is_called from draws")? == "f", "nothing was drawn");
    Ok(())
}

/// What a part of a result changed counts for what comes next, though the rest of it was not asked for.
#[test]
fn a_part_of_a_result_may_have_changed_what_names_mean() -> anyhow::Result<()> {
    let policies = "permit (principal, action, resource);\n\
                    @id(\"no-hr\") forbid (principal, action == Action::\"sql:select\", resource in Schema::\"shop/hr\");\n";
    let sql =
        "create schema hr; create table hr.pay (id int); create table pay (id int); insert into hr.pay values (7);
               grant usage on schema hr to gatehouse; grant select on hr.pay, pay to gatehouse;";
    let fixture = Fixture::start(Setup { policies: policies.into(), sql: sql.into(), ..Setup::default() })?;
    let mut client = RawClient::connect(&fixture.task("agent:claude", "10m")?)?;
    let one_row = raw::frame(b'E', &[b"part\0", &1i32.to_be_bytes()]);
    let moves = "select set_config('search_path', 'hr, public', false) from generate_series(1, 3)";
    client.send(&[query("begin"), parse("m", moves), raw::bind("part", "m"), one_row, sync()])?;
    client.until_ready(2)?;
    client.send(&[query("select * from pay")])?;
    let said = client.until_ready(1)?;
    ensure!(said.contains("denied by policy") || said.contains("no-hr"), "{said}");
    Ok(())
}
