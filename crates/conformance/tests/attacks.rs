//! What an attacker with the source tried: each of these once worked, or nearly.

use gatehouse_conformance::raw::{RawClient, bind, describe, execute, frame, parse, query, sync};
use gatehouse_conformance::{Credential, Fixture, Setup};

const HELD: &str = "update customers set tier = 'gold' where id = 42";

fn play(agent: &Credential, writes: &[(usize, Vec<Vec<u8>>)]) -> anyhow::Result<String> {
    let mut client = RawClient::connect(agent)?;
    let mut said = String::new();
    for (ready, frames) in writes {
        client.send(frames)?;
        said.push_str(&client.until_ready(*ready)?);
    }
    Ok(said)
}

fn assert_nothing_raw(said: &str) {
    for raw in ["Realname", "Rawlings", "raw.person", "REALNAME"] {
        assert!(!said.contains(raw), "{raw} came through:\n{said}");
    }
}

#[test]
fn a_held_statement_does_not_run_under_another_name() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    // A Parse that fails, since the name is taken, must not lend its meaning to the old statement.
    play(
        &agent,
        &[(1, vec![parse("a", HELD), sync()]), (2, vec![parse("a", "select 1"), sync(), query("execute a")])],
    )?;
    // Nor must one that is skipped after an error in its batch.
    play(
        &agent,
        &[
            (1, vec![parse("", HELD), sync()]),
            (
                2,
                vec![
                    parse("x", "select 1/0"),
                    bind("", "x"),
                    execute(""),
                    parse("", "select 1"),
                    sync(),
                    bind("", ""),
                    execute(""),
                    sync(),
                ],
            ),
        ],
    )?;
    // Nor may EXECUTE mean something else when it runs than when it was read.
    play(
        &agent,
        &[
            (1, vec![query("begin")]),
            (1, vec![query("prepare a as select tier from customers where id = 43")]),
            (1, vec![parse("s", "execute a"), bind("p", "s"), describe(b'P', "p"), sync()]),
            (2, vec![query("deallocate a"), parse("a", HELD), sync()]),
            (1, vec![execute("p"), sync()]),
            (1, vec![query("commit")]),
        ],
    )?;
    play(&agent, &[(1, vec![query(&format!("prepare a as select 1; deallocate a; prepare a as {HELD}; execute a"))])])?;
    assert_eq!(fixture.truth("select count(*) from customers where tier = 'gold'")?, "0");
    Ok(())
}

#[test]
fn lineage_follows_names_wherever_they_lead() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let raw = "select full_name || '' from customers where id = 8";
    for writes in [
        vec![
            (1, vec![query("begin; declare c cursor for select 'x'; close c")]),
            (1, vec![parse("s", raw), bind("c", "s"), sync()]),
            (1, vec![query("fetch all from c")]),
        ],
        vec![
            (1, vec![query(&format!("prepare a as select 'x'; deallocate a; prepare a as {raw}"))]),
            (1, vec![query("execute a")]),
        ],
        vec![
            (1, vec![query("prepare a as select tier from customers where id = 8")]),
            (1, vec![parse("s", "execute a"), describe(b'S', "s"), sync()]),
            (1, vec![query("deallocate a")]),
            (1, vec![query("prepare a as select full_name from customers where id = 8")]),
            (1, vec![bind("", "s"), execute(""), sync()]),
        ],
        vec![
            (1, vec![query("begin; declare c cursor for select tier from customers")]),
            (1, vec![parse("f", "fetch all from c"), bind("p", "f"), describe(b'P', "p"), sync()]),
            (1, vec![query("close c; declare c cursor for select full_name from customers")]),
            (1, vec![execute("p"), sync()]),
        ],
        // Executed without ever being described, in both formats.
        vec![(1, vec![parse("", raw), bind("", ""), execute(""), sync()])],
        vec![(
            1,
            vec![
                parse("", "select email, full_name from customers limit 2"),
                frame(b'B', &[b"\0\0", &[0, 0, 0, 0, 0, 1, 0, 1]]),
                execute(""),
                sync(),
            ],
        )],
        // A cursor of SQL, executed as a portal of the protocol.
        vec![(1, vec![query(&format!("begin; declare c cursor for {raw}"))]), (1, vec![execute("c"), sync()])],
        // The name of a statement is closed and given again in one batch.
        vec![
            (1, vec![parse("s", "select 'x'"), sync()]),
            (1, vec![frame(b'C', &[b"Ss\0"]), parse("s", raw), bind("", "s"), execute(""), sync()]),
        ],
    ] {
        assert_nothing_raw(&play(&agent, &writes)?);
    }
    Ok(())
}

#[test]
fn data_that_is_copied_in_does_not_shift_the_answers() -> anyhow::Result<()> {
    let policies = gatehouse_conformance::fixture::POLICIES.to_string()
        + "@id(\"copies\") permit (principal in Group::\"support\", action == Action::\"sql:copy_in\", resource in Target::\"shop\");";
    let fixture = Fixture::start(Setup { policies, ..Setup::default() })?;
    let support = fixture.task("user:sam", "10m")?;
    let said = play(
        &support,
        &[(
            5,
            vec![
                parse("", "copy orders from stdin"),
                bind("", ""),
                execute(""),
                sync(),
                frame(b'd', &[b"not-a-number\t1\t1\tx\n"]),
                sync(),
                frame(b'c', &[]),
                sync(),
                query("select 'q2'"),
                query("select full_name || '' from customers where id = 8"),
                query("select 'q4'"),
                query("select 'q5'"),
            ],
        )],
    )?;
    assert_nothing_raw(&said);
    // Stray data outside a copy is dropped, as the server drops it, and the connection lives on.
    let said = play(&support, &[(1, vec![frame(b'c', &[]), frame(b'd', &[b"x"]), query("select 'alive'")])])?;
    assert!(said.contains("alive"), "{said}");
    Ok(())
}

#[test]
fn errors_and_absences_tell_nothing() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    for sql in [
        "select ('\"' || full_name || '\"')::int from customers where id = 8",
        "select ('\"' || replace(email, '@', ' (at) ') || '\"')::int from customers where id = 8",
        "select full_name::int from customers where id = 8 -- Ada Lovelace, Realname8 Rawlings8",
        "select full_name::regclass from customers where id = 8",
        "select make_date(2000, 13, ascii(full_name)) from customers where id = 8",
        "explain (analyze, costs off, timing off) select * from (select repeat('x', ascii(full_name) * 10240) as x, id from customers where id = 8 offset 0) q order by id",
    ] {
        let said = fixture.psql(&agent, sql)?;
        assert_nothing_raw(&said.replace("Ada Lovelace, Realname8 Rawlings8", ""));
        assert!(!said.contains("2000-13-"), "{said}");
        assert!(!said.contains("kB"), "{said}");
    }
    let absent = fixture.psql(&agent, "select substring(full_name from '^A') from customers where id = 8")?;
    let present = fixture.psql(&agent, "select substring(full_name from '^R') from customers where id = 8")?;
    assert_eq!(absent, present, "a hidden value is hidden whether or not it is there");
    let guess = fixture.psql(&agent, "select 'raw.person8@example.org'::text, email from customers where id = 8")?;
    let mut columns = guess.trim().split('|');
    assert_ne!(columns.next(), columns.next(), "a guess is not confirmed by its pseudonym");
    Ok(())
}

#[test]
fn what_no_survey_shows_is_not_believed() -> anyhow::Result<()> {
    let policies = "permit (principal, action, resource) unless { action == Action::\"reveal\" };".to_string();
    let fixture = Fixture::start(Setup { policies, ..Setup::default() })?;
    fixture.truth("grant create on schema public to gatehouse; create table labels (id int, name text); grant all on labels to gatehouse; alter table labels owner to gatehouse")?;
    let dba = fixture.task("user:dana", "10m")?;
    for script in [
        "create temp view orders as select id, full_name as note from customers; select note || '' from orders limit 2",
        "begin; drop table labels; create view labels as select id, full_name as name from customers; select name || '' from labels limit 2; rollback",
        "begin; create function pg_temp.lower(text) returns text language sql as 'select string_agg(full_name, '','') from customers'; select pg_temp.lower('x'); rollback",
    ] {
        let mut psql = fixture.psql_command(&dba);
        for statement in script.split("; ") {
            psql.arg("-c").arg(statement);
        }
        let output = psql.output()?;
        assert_nothing_raw(&format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    Ok(())
}

#[test]
fn an_approval_does_not_follow_a_change_of_meaning() -> anyhow::Result<()> {
    let policies = gatehouse_conformance::fixture::POLICIES.to_string()
        + "permit (principal in Group::\"agents\", action == Action::\"sql:set\", resource);";
    let fixture = Fixture::start(Setup { policies, target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let sql = "update customers set tier = 'gold' where note = null or id = -1";
    fixture.psql(&agent, sql)?;
    let id = fixture.open_request()?["id"].as_str().unwrap_or_default().to_string();
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    let output = fixture.psql_command(&agent).args(["-c", "set transform_null_equals = on", "-c", sql]).output()?;
    assert!(String::from_utf8(output.stderr)?.contains("needs approval"), "another meaning is another operation");
    let output = fixture.psql_command(&agent).env("PGTZ", "Asia/Tokyo").args(["-c", sql]).output()?;
    assert!(String::from_utf8(output.stderr)?.contains("needs approval"), "so is another time zone");
    assert_eq!(fixture.psql(&agent, sql)?, "");
    Ok(())
}
