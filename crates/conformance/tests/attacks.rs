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

/// Names that the server cuts, and names that change between a Bind and its Execute.
#[test]
fn what_a_name_means_is_what_was_judged() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let long = |end: &str| format!("{}{end}", "a".repeat(63));
    let clean = "select lower(tier) from customers where id = 8";
    let dirty = "select lower(full_name) from customers where id = 8";
    let close = |kind: u8, name: &str| frame(b'C', &[&[kind], name.as_bytes(), b"\0"]);
    let flush = || frame(b'H', &[]);
    let writes: Vec<Vec<(usize, Vec<Vec<u8>>)>> = vec![
        vec![
            (1, vec![parse(&long("x"), "select 1"), sync()]),
            (1, vec![query("deallocate all")]),
            (1, vec![parse(&long("y"), HELD), sync()]),
            (1, vec![bind("", &long("x")), execute(""), sync()]),
        ],
        vec![
            (1, vec![parse("foo", "select 1"), sync()]),
            (
                1,
                vec![
                    parse("ex", "execute foo"),
                    bind("", "ex"),
                    close(b'S', "foo"),
                    parse("foo", HELD),
                    execute(""),
                    sync(),
                ],
            ),
        ],
        vec![
            (1, vec![query(&format!("prepare foo as {clean}"))]),
            (
                1,
                vec![
                    parse("ex", "execute foo"),
                    bind("", "ex"),
                    describe(b'P', ""),
                    close(b'S', "foo"),
                    parse("foo", dirty),
                    execute(""),
                    flush(),
                    sync(),
                ],
            ),
        ],
        vec![
            (1, vec![query(&format!("begin; declare c cursor for {clean}"))]),
            (1, vec![parse("s", dirty), sync()]),
            (
                1,
                vec![
                    parse("f", "fetch all from c"),
                    bind("", "f"),
                    describe(b'P', ""),
                    close(b'P', "c"),
                    bind("c", "s"),
                    execute(""),
                    sync(),
                ],
            ),
        ],
    ];
    for writes in writes {
        let said = play(&agent, &writes)?;
        assert!(!said.contains("realname") && !said.contains("rawlings"), "{said}");
    }
    assert_eq!(fixture.truth("select count(*) from customers where tier = 'gold'")?, "0");
    Ok(())
}

/// An approval of EXECUTE is one of what it executes.
#[test]
fn an_approval_of_execute_is_for_what_it_executes() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let other = "update customers set tier = 'gold' where id between 1 and 40";
    let mut client = RawClient::connect(&agent)?;
    client.send(&[parse("foo", HELD), sync(), query("execute foo")])?;
    assert!(client.until_ready(2)?.contains("needs approval"));
    let request = fixture.open_request()?;
    assert!(request["statement"].as_str().unwrap_or_default().contains("where id = 42"), "{request}");
    fixture.json(&["approve", request["id"].as_str().unwrap_or_default(), "--as", "user:dana"])?;
    client.send(&[frame(b'C', &[b"Sfoo\0"]), parse("foo", other), sync(), query("execute foo")])?;
    assert!(client.until_ready(2)?.contains("needs approval"));
    assert_eq!(fixture.truth("select count(*) from customers where tier = 'gold'")?, "0");
    client.send(&[frame(b'C', &[b"Sfoo\0"]), parse("foo", HELD), sync(), query("execute foo")])?;
    assert!(client.until_ready(2)?.contains("UPDATE 1"));
    Ok(())
}

/// Settings come back at the end of a transaction, and with them what a text means.
#[test]
fn the_end_of_a_transaction_changes_what_texts_mean() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let smuggled = r"select concat('\'' , lower(full_name)) from customers where id = 3 --'))";
    for end in ["rollback", "rollback to s; commit", "commit"] {
        let begin = if end == "commit" {
            "begin; set local standard_conforming_strings = on"
        } else {
            "begin; savepoint s; set standard_conforming_strings = on"
        };
        let mut client = RawClient::connect_with(&agent, &[("options", "-c standard_conforming_strings=off")])?;
        client.send(&[query(begin)])?;
        client.until_ready(1)?;
        client.send(&[query(end), query(smuggled)])?;
        let said = client.until_ready(2)?;
        assert!(!said.contains("realname3") && !said.contains("rawlings3"), "{end}: {said}");
    }
    Ok(())
}

/// What the gateway read in the options is all that the target hears of them.
#[test]
fn options_hold_nothing_that_was_not_judged() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    fixture.truth("create role boss; grant boss to gatehouse")?;
    let agent = fixture.task("agent:claude", "10m")?;
    for between in ["\u{b}", "\u{c}", "\u{85}", "\u{a0}"] {
        let options = format!("-capplication_name=x{between}-crole=boss");
        let Ok(mut client) = RawClient::connect_with(&agent, &[("options", &options)]) else { continue };
        client.send(&[query("select current_user")])?;
        assert!(!client.until_ready(1)?.contains("boss"), "{}", between.escape_unicode());
    }
    Ok(())
}

/// An approval given under one wish for the session is not used under another.
#[test]
fn an_approval_does_not_follow_other_wishes() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let sql = "update customers set tier = 'gold' where note = null or id = -1";
    let ask = |options: &str| -> anyhow::Result<String> {
        let mut client = RawClient::connect_with(&agent, &[("options", options)])?;
        client.send(&[query(sql)])?;
        client.until_ready(1)
    };
    assert!(ask("")?.contains("needs approval"));
    let id = fixture.open_request()?["id"].as_str().unwrap_or_default().to_string();
    fixture.json(&["approve", &id, "--as", "user:dana"])?;
    assert!(ask("-c transform_null_equals=on")?.contains("needs approval"));
    assert!(ask("")?.contains("UPDATE 0"));
    Ok(())
}

/// What follows a long frame in one read is looked at like anything else.
#[test]
fn nothing_rides_along_behind_a_long_frame() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { config: "[limits]\nframe_bytes_max = 65536\n".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[parse("s", "select length($1::text)"), sync()])?;
    client.until_ready(1)?;
    // Reads grow with what arrives, so that all of what follows lies in one buffer.
    client.send(&(0..40_000).map(|_| frame(b'C', &[b"Snobody\0"])).chain([sync()]).collect::<Vec<_>>())?;
    client.until_ready(1)?;
    let value = vec![b'v'; 65_700];
    let length = u32::try_from(value.len())?.to_be_bytes();
    let bound = frame(b'B', &[b"\0s\0", &[0, 0, 0, 1], &length, &value, &[0, 0]]);
    client.send(&[
        bound,
        execute(""),
        sync(),
        query("drop table if exists nonesuch; delete from orders where id = 1"),
    ])?;
    let said = client.until_ready(2)?;
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(said.contains("65700") && said.contains("denied by policy"), "{said}\n{log}");
    assert_eq!(fixture.truth("select count(*) from orders where id = 1")?, "1");
    Ok(())
}

/// Small texts that once took all memory, or minutes.
#[test]
fn small_texts_take_little_memory_and_time() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut doubling = "with x0 as (select * from customers)".to_string();
    for level in 1..26 {
        let below = level - 1;
        doubling.push_str(&format!(", x{level} as (select * from x{below} a{level}, x{below} b{level})"));
    }
    let count = 100_000;
    for text in [
        format!("{doubling} select 1 from x25"),
        format!("select 1 from {}", vec!["customers"; count].join(", ")),
        format!("{}{} select 1", "/*".repeat(count), "*/".repeat(count)),
        format!("select 1 {} 1", "+".repeat(count)),
        format!("select {} from customers", vec!["customers.*"; 3_900].join(",")),
    ] {
        let mut client = RawClient::connect(&agent)?;
        client.send(&[query(&text), query("select 'alive'")])?;
        let said = client.until_ready(2)?;
        assert!(said.contains("alive"), "{}: {said}", text.chars().take(60).collect::<String>());
    }
    // Answers of the gateway's own wait for their reader, within bounds.
    let mut client = RawClient::connect(&agent)?;
    let closes: Vec<u8> = frame(b'C', &[b"Snobody\0"]).repeat(8_000_000);
    client.stream().set_write_timeout(Some(std::time::Duration::from_secs(1)))?;
    assert!(std::io::Write::write_all(client.stream(), &closes).is_err(), "the gateway stops reading");
    let status = std::fs::read_to_string(format!("/proc/{}/status", fixture.gateway_pid().unwrap_or_default()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kib: u64 = resident.trim().trim_end_matches(" kB").trim().parse()?;
    assert!(kib < 300 * 1024, "{kib} KiB were resident");
    Ok(())
}

/// What a session keeps by name is bounded by how much it is, and what is closed makes room.
#[test]
fn a_session_keeps_no_more_statements_than_are_counted() -> anyhow::Result<()> {
    const SAID: &str = "this session has too many prepared statements";
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut client = RawClient::connect(&agent)?;
    let prepared: Vec<Vec<u8>> = (0..2_000).map(|number| parse(&format!("s{number}"), "select 1")).collect();
    client.send(&prepared)?;
    client.send(&[sync()])?;
    assert!(!client.until_ready(1)?.contains(SAID));
    let one_more = [parse("more", "select 1"), sync()];
    client.send(&one_more)?;
    assert!(client.until_ready(1)?.contains(SAID));
    client.send(&[frame(b'C', &[b"Ss0\0"]), sync()])?;
    client.until_ready(1)?;
    client.send(&one_more)?;
    assert!(!client.until_ready(1)?.contains(SAID));
    // Long ones are fewer: of 1 MiB each, with what evidence keeps of it, 16 have no room.
    let mut client = RawClient::connect(&agent)?;
    let long = format!("select '{}'", "x".repeat(1024 * 1024));
    let mut prepare = |number: usize| -> anyhow::Result<bool> {
        client.send(&[parse(&format!("s{number}"), &long), sync()])?;
        Ok(client.until_ready(1)?.contains(SAID))
    };
    let refused = (0..17).map(&mut prepare).collect::<anyhow::Result<Vec<bool>>>()?;
    assert_eq!(refused.iter().position(|is_refused| *is_refused), Some(15), "{refused:?}");
    Ok(())
}

/// A value whose origin is not known may be any: it goes nowhere that a known one may not go.
#[test]
fn values_of_unknown_origin_leave_by_no_way() -> anyhow::Result<()> {
    let setup = Setup::default();
    let sql = format!(
        "{}\ncreate view series as select n, full_name as nm from customers, generate_series(1, 1) n;\n\
         create view named as select id, note as full_name from orders;\n\
         create table pairs (full_name text unique);\n\
         grant select, insert, update on all tables in schema public to gatehouse;\n\
         grant create on schema public to gatehouse;",
        setup.sql
    );
    let writes = "permit (principal in Group::\"agents\", action in [Action::\"sql:write\", Action::\"sql:define\"], \
                  resource in Target::\"shop\");";
    let held = "@id(\"agents-write\") @hold(\"dba\")";
    let policies = setup.policies.replace(held, "@id(\"agents-write\")") + writes;
    let fixture = Fixture::start(Setup { policies, sql, ..setup })?;
    let task = fixture.task("agent:claude", "10m")?;
    let forward = "with recursive a as (select nm from b), b as (select full_name as nm from customers)";
    for way in [
        format!("listen ch; {forward} select pg_notify('ch', nm) from a"),
        format!("{forward} select count(*) from a where nm like 'Realname7%'"),
        format!("{forward} insert into orders (id, total, note) select 9000, 1, nm from a limit 1"),
        format!("create table taken as {forward} select nm from a"),
        "insert into named (id, full_name) select id + 7000, full_name from customers".into(),
        "update named set full_name = (select full_name from customers c where c.id = named.id) where id < 5".into(),
        "create table leak (note text references pairs (full_name) on update cascade)".into(),
    ] {
        let said = fixture.psql(&task, &way)?;
        assert!(said.contains("denied by policy") && !said.contains("Realname"), "{way}: {said}");
    }
    assert_eq!(fixture.truth("select count(*) from orders where note like '%Realname%'")?, "0");
    Ok(())
}

/// Agents read and write, and no class is revealed to them.
const WRITERS: &str = "permit (principal in Group::\"agents\", action in [Action::\"connect\", Action::\"sql:read\", \
                       Action::\"sql:write\"], resource in Target::\"shop\");";

#[test]
fn stars_and_names_shift_nothing_into_the_clear() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { policies: WRITERS.into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    for attack in [
        "select translate(v.column2,'@','#') from (select id,email from customers where id=5) t, \
         lateral (values (t.*,'x')) v",
        "select v.column2 from (select id,full_name from customers where id=5) t, lateral (values (t.*,'x')) v",
        "select q.a from (select (select t.* from (select c.full_name as a) t), \
         (select a.* from (select 'x' as b) a) from customers c where id=5) q",
        "select q.\"text\" from (select (select (c.full_name||'')::text)::varchar, (select 'x'::name)::text \
         from customers c where id=5) q",
        "update customers c set (note,email)=row(z.*,c.email,'x@x.x') from (select) z where c.id=5",
        "merge into customers k using (select 'q' a, full_name b from customers where id=5) t on k.id=7777 \
         when not matched then insert (full_name,note,id,email) values (t.*,7777,'u@u')",
    ] {
        let said = play(
            &agent,
            &[(1, vec![query(attack)]), (1, vec![query("select note from customers where id in (5, 7777)")])],
        )?;
        let said = said.replace(['#', '@'], "@");
        assert_nothing_raw(&said);
    }
    Ok(())
}

#[test]
fn what_a_write_or_a_view_sets_off_quotes_nothing() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { policies: WRITERS.into(), ..Setup::default() })?;
    fixture.truth(
        "create table tiers (code text primary key); insert into tiers values ('standard'); \
         alter table customers add foreign key (tier) references tiers (code) on delete set null; \
         create view bad as select id from customers where full_name::int > 0; \
         create function complain() returns trigger language plpgsql as \
           $$ begin raise 'it is %', (select full_name from customers where id = 1); end $$; \
         create table loud (id int); create trigger loud before insert on loud for each row execute function complain(); \
         grant select, insert, delete on tiers, bad, loud to gatehouse",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    for attack in ["delete from tiers where code='standard'", "select id from bad", "insert into loud values (1)"] {
        let said = play(&agent, &[(1, vec![query(attack)])])?;
        assert!(said.contains("ERROR"), "{attack}: {said}");
        assert_nothing_raw(&said);
    }
    Ok(())
}
