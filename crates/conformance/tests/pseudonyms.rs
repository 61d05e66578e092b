//! A task names by their pseudonyms what it saw, and sees no more by it.

use anyhow::{Context as _, Result, ensure};
use gatehouse_conformance::raw::{RawClient, execute, frame, query, sync};
use gatehouse_conformance::{Credential, Fixture, Setup};
use tokio_postgres::SimpleQueryMessage;

/// claude reads and writes without a person, and must not probe.
const POLICIES: &str = r#"
permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read", Action::"sql:write", Action::"sql:define"],
  resource in Target::"shop");
permit (principal in Group::"dba", action, resource);
@id("one-at-a-time") @reason("name one person at a time")
forbid (principal, action, resource) when { context has pseudonyms && context.pseudonyms > 3 };
forbid (principal, action == Action::"sql:select", resource == Table::"shop/public.unread");
"#;
const OBJECTS: &str = r"
update customers set email = 'o''neil\' || id || '@example.org' where id = 7;
create table audit (id bigint, said text);
create function audits() returns trigger language plpgsql as $$ begin insert into audit values (new.id, current_query()); return new; end $$;
create table audited (id bigint, email text);
create table mail (id bigint, email text);
create table unread (id bigint, email text);
create extension citext;
create table folded (id bigint, email citext);
create table narrower (email varchar(40));
create table asked (id bigint, email text, said text default current_query());
create table triple (id bigint, email text, note text);
create domain address as text;
create domain saying as text default current_query();
create table spoken (id bigint, email text, said saying);
create function keeps() returns trigger language plpgsql as $$ begin insert into audit values (new.id, new.email); return new; end $$;
create table kept (id bigint, email text);
create trigger keeps after insert on kept for each row execute function keeps();
create table tried (id bigint, email text check (length(email) < 1000));
create table lowered (id bigint, email text);
create unique index on lowered (lower(email));
create table parted (id bigint, email text) partition by range (email);
create table parted_1 partition of parted for values from (minvalue) to (maxvalue);
create collation folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table folding (id bigint, email text collate folding);
create table addressed (id bigint, email address);
create table people (id bigint not null unique, person_key uuid primary key, tier text);
insert into people select id, ('a0000000-0000-4000-8000-00000000000' || id)::uuid, 'standard' from generate_series(1, 9) id;
create table calls (id bigint, person_key uuid);
create trigger audits after insert or update on audited for each row execute function audits();
grant all on all tables in schema public to gatehouse;
";

fn start() -> Result<(Fixture, Credential)> {
    let config = "[classes.email]\nmask = \"pseudonym\"\n[classes.person_name]\nmask = \"pseudonym\"\n\
        [classes.person_key]\nmask = \"pseudonym\"\ncolumns = [\"person_key\"]\n"
        .into();
    let fixture = Fixture::start(Setup { policies: POLICIES.into(), config, ..Setup::default() })?;
    fixture.truth(OBJECTS)?;
    let agent = fixture.task("agent:claude", "10m")?;
    Ok((fixture, agent))
}

/// The pseudonym that the task is given for somebody's address.
fn email(fixture: &Fixture, agent: &Credential, id: u32) -> Result<String> {
    let said = fixture.psql(agent, &format!("select email from customers where id = {id}"))?;
    let said = said.trim();
    ensure!(said.contains('@') && !said.contains("raw.person") && !said.contains("neil"), "{said}");
    Ok(said.into())
}

#[test]
fn what_was_seen_is_found_again_and_changed() -> Result<()> {
    let (fixture, agent) = start()?;
    let (three, seven) = (email(&fixture, &agent, 3)?, email(&fixture, &agent, 7)?);
    let is = |sql: &str, expected: &str| -> Result<()> {
        let said = fixture.psql(&agent, sql)?;
        ensure!(said.trim() == expected, "{sql}\n{said}");
        Ok(())
    };
    is(&format!("select id, email from customers where email = '{three}'"), &format!("3|{three}"))?;
    is(&format!("select id from customers where '{seven}'::text = email and tier = 'standard'"), "7")?;
    is(&format!("select id from customers where email in ('{three}', '{seven}') order by id"), "3\n7")?;
    // What is written in another way in a copy is the same value.
    for options in ["", "csv", "with delimiter '@'"] {
        let copy = format!("copy (select email from customers where id = 7) to stdout {options}");
        is(&copy, &if options.ends_with("'@'") { seven.replace('@', "\\@") } else { seven.clone() })?;
    }
    is(&format!("select count(*) from customers c where c.email <> '{three}' or id = 3"), "200")?;
    is(&format!("select o.id from orders o join customers c on c.id = o.customer_id and c.email = '{seven}'"), "7")?;
    is(
        &format!("update customers set tier = 'gold' where email = '{seven}' returning id, email"),
        &format!("7|{seven}"),
    )?;
    is(&format!("delete from orders using customers c where c.id = orders.customer_id and c.email = '{three}'"), "")?;
    ensure!(fixture.truth("select count(*) from orders where id = 3")? == "0");
    is(
        &format!(
            "with recursive r (id, up) as (select id, 1 from customers where email = '{seven}' union all \
             select id, up + 1 from r where up < 3 and '{seven}' <> '') select max(up) from r"
        ),
        "3",
    )?;
    // What is written back is what it stands for, and not the invented one.
    is(&format!("update customers set email = '{seven}' where id = 7"), "")?;
    is(
        &format!("insert into mail (id, email) values (1, '{three}'), (2, '{seven}') returning email"),
        &format!("{three}\n{seven}"),
    )?;
    ensure!(fixture.truth("select email from mail where id = 1")? == "raw.person3@example.org");
    ensure!(fixture.truth("select email from customers where id = 7")? == "o'neil\\7@example.org");
    // Nobody reads in the journal what it stood for.
    let journal = serde_json::to_string(&fixture.records()?)?;
    ensure!(!journal.contains("raw.person3@") && !journal.contains("neil"), "a real value is on record");
    ensure!(journal.contains("\"pseudonyms\":2"), "how many there were is a fact");
    ensure!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn what_is_copied_is_found_as_by_its_query() -> Result<()> {
    let (fixture, agent) = start()?;
    let (three, seven) = (email(&fixture, &agent, 3)?, email(&fixture, &agent, 7)?);
    let list = format!("customers c join (values ('{three}'), (null)) v(email) on c.email = v.email");
    for (query, expected) in [
        (format!("select email from customers where email = '{three}'"), three.as_str()),
        (format!("select id from customers where '{seven}' = email"), "7"),
        (format!("select c.id from {list} order by c.id"), "3"),
        (format!("select id from customers where email in ('{three}', '{seven}') order by id"), "3\n7"),
    ] {
        for options in ["", "csv"] {
            let said = fixture.psql(&agent, &format!("copy ({query}) to stdout {options}"))?;
            ensure!(said.trim() == expected, "{query} {options}\n{said}");
        }
    }
    for query in [
        "select id from customers where email = 'raw.person3@example.org'".into(),
        format!("select current_query() from customers where email = '{three}'"),
        format!("select v.email from {list}"),
    ] {
        let said = fixture.psql(&agent, &format!("copy ({query}) to stdout"))?;
        ensure!(said.contains("denied by policy"), "{query}\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn bind_values_are_turned_back() -> Result<()> {
    let (fixture, agent) = start()?;
    let seven = email(&fixture, &agent, 7)?;
    let client = fixture.connect(&agent).await?;
    let statement = client.prepare("select id, email from customers where email = $1 and id > $2").await?;
    let rows = client.query(&statement, &[&seven, &0_i64]).await?;
    assert_eq!(rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(i64, &str)>>(), [(7, seven.as_str())]);
    assert_eq!(client.execute("update customers set email = $1 where id = 7", &[&seven]).await?, 1);
    let deeper = "with recursive r (id, up) as (select id, 1 from customers where email = $1 union all \
        select r.id, up + 1 from r join customers c on c.id = r.id and c.email = $1 where up < 3) select max(up) from r";
    assert_eq!(client.query_one(deeper, &[&seven]).await?.get::<_, i32>(0), 3);
    // A trigger keeps what is written wherever it likes.
    client.execute("insert into kept (id, email) values (7, $1)", &[&seven]).await?;
    assert_eq!(fixture.truth("select said from audit where id = 7")?, seven);
    for (text, value) in [
        ("select id from customers where email = $1", "raw.person3@example.org"),
        ("select id from customers where email = $1 or note = $1", seven.as_str()),
        ("select id from customers where full_name = $1", seven.as_str()),
        ("select id from customers where lower(email) = $1", seven.as_str()),
    ] {
        let refused = match client.prepare(text).await {
            Ok(statement) => client.query(&statement, &[&value]).await.map(|rows| rows.len()),
            Err(error) => Err(error),
        };
        let error = refused.err().context(format!("{text} passes for {value}"))?;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{text}: {error}");
    }
    Ok(())
}

/// Where the text would be seen or kept, it is not turned back.
#[test]
fn what_shows_its_text_is_not_turned_back() -> Result<()> {
    let (fixture, agent) = start()?;
    let three = email(&fixture, &agent, 3)?;
    for sql in [
        format!("select current_query() from customers where email = '{three}'"),
        format!("explain select 1 from customers where email = '{three}'"),
        format!("prepare p as select 1 from customers where email = '{three}'"),
        format!("create view seen as select id from customers where email = '{three}'"),
        format!("insert into audited values (1, '{three}')"),
        format!(
            "begin; declare c cursor for select id from customers where email = '{three}'; select statement from pg_cursors"
        ),
        format!("insert into orders (id, total, note) values (901, 1, '{three}') returning note"),
        format!("select '{three}' as note"),
        format!("create table narrow (email varchar(12)); insert into narrow values ('{three}')"),
        format!("insert into narrower (email) values ('{three}') returning length(email) > 0"),
        format!("insert into asked (id, email) values (1, '{three}')"),
        format!("insert into triple (id, email, note) values ((row(1, 'x')).*, '{three}')"),
        format!("insert into triple (id, email) values (2, '{three}'), (3, 'm') order by 2 limit 1"),
        format!("insert into triple (id, email) values (4, '{three}') union select 5, 'm' limit 1"),
        format!("insert into triple values (6, '{three}')"),
        format!("insert into spoken (id, email) values (1, '{three}')"),
        format!("insert into tried (id, email) values (1, '{three}')"),
        format!("insert into lowered (id, email) values (1, '{three}')"),
        format!("insert into parted (id, email) values (1, '{three}')"),
        format!("insert into folding (id, email) values (1, '{three}')"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(!said.contains("raw.person3"), "{sql}\n{said}");
    }
    ensure!(
        !fixture.truth("select coalesce(string_agg(said, ''), '') from audit")?.contains("raw.person3"),
        "it was kept"
    );
    ensure!(
        !fixture.truth("select coalesce(string_agg(said, ''), '') from asked")?.contains("raw.person3"),
        "a default"
    );
    ensure!(
        !fixture.truth("select concat(string_agg(t::text, '')) from triple t")?.contains("raw.person3"),
        "of a query"
    );
    ensure!(!fixture.truth("select string_agg(note, '') from orders")?.contains("raw.person3"), "it left its class");
    for table in ["spoken", "tried", "lowered", "parted", "folding"] {
        let held = fixture.truth(&format!("select concat(string_agg(t::text, '')) from {table} t"))?;
        ensure!(held.contains('@') && !held.contains("raw.person3"), "{table}: {held}");
    }
    Ok(())
}

#[test]
fn nothing_more_is_seen_by_a_pseudonym() -> Result<()> {
    let (fixture, agent) = start()?;
    let other = fixture.task("agent:other", "10m")?;
    // A write finds nobody in a table that may not be read.
    let unread = format!("update unread set id = id where email = '{}'", email(&fixture, &agent, 3)?);
    ensure!(fixture.psql(&agent, &unread)?.contains("sql:select on Table shop/public.unread"));
    let (three, seven) = (email(&fixture, &agent, 3)?, email(&fixture, &agent, 7)?);
    let refused = |who: &Credential, sql: &str| -> Result<()> {
        let said = fixture.psql(who, sql)?;
        ensure!(said.contains("denied by policy") || said.contains("not understood"), "{sql}\n{said}");
        Ok(())
    };
    // A guess, one of another task, of another class, in another form, and more at once than policy lets pass.
    refused(&agent, "select id from customers where email = 'raw.person3@example.org'")?;
    refused(&agent, "select id from customers where email = 'nobody@example.net'")?;
    refused(
        &agent,
        &format!("select id from customers where email in ('{three}', 'raw.person9@example.org') order by id"),
    )?;
    refused(&other, &format!("select id from customers where email = '{three}'"))?;
    refused(&agent, &format!("select id from customers where full_name = '{three}'"))?;
    refused(&agent, &format!("select id from customers where email like '{three}'"))?;
    refused(&agent, &format!("select id from folded where email = '{three}'"))?;
    refused(&agent, &format!("select id from addressed where email = '{three}'"))?;
    refused(&agent, &format!("select id from folding where email = '{three}'"))?;
    for table in ["kept", "tried", "lowered", "parted", "audited"] {
        refused(&agent, &format!("insert into {table} (id, email) select id, email from customers where id = 3"))?;
    }
    refused(&agent, &format!("select id from customers where email = '{three}'::name"))?;
    refused(&agent, &format!("select id from customers where email = '{three}'::varchar(6)"))?;
    refused(&agent, &format!("select id from customers where email > '{three}'"))?;
    refused(&agent, &format!("select id from customers where email = '{three}' || ''"))?;
    refused(&agent, &format!("select id from customers where email = E'{three}'"))?;
    refused(
        &agent,
        &format!("select id from customers where email in ('{three}', '{three}', '{three}', '{seven}') order by id"),
    )?;
    // Errors of a statement that was turned back quote nothing.
    let said =
        fixture.psql(&agent, &format!("insert into customers (id, full_name, email) values (901, 'x', '{three}')"))?;
    ensure!(said.contains("ERROR") && !said.contains("raw.person3"), "{said}");
    // Where in a text the target finds fault would tell how long what stands before is.
    let mut raw = RawClient::connect(&agent)?;
    raw.send(&[query(&format!("select id from customers where email = '{seven}' and tier = 1"))])?;
    let told = raw.until_ready(1)?;
    ensure!(told.contains("42883") && !told.contains("\0P"), "{told}");
    // What is of names and types alone is told as of any statement; what may quote the text is kept back, and says why.
    for (condition, expected) in [
        ("tier = 1", "operator does not exist: text = integer"),
        ("id = 'x'", "HINT:  kept back: the statement names a pseudonym"),
    ] {
        let said =
            fixture.psql(&agent, &format!("select id from customers where email = '{seven}' and {condition}"))?;
        ensure!(said.contains(expected) && !said.contains("neil"), "{condition}\n{said}");
    }
    // It ends with its task.
    fixture.command(&["revoke", &agent.task])?;
    let again = fixture.task("agent:claude", "10m")?;
    refused(&again, &format!("select id from customers where email = '{three}'"))?;
    Ok(())
}

#[tokio::test]
async fn what_is_parsed_beforehand_holds_no_real_value() -> Result<()> {
    let (fixture, agent) = start()?;
    let three = email(&fixture, &agent, 3)?;
    let client = fixture.connect(&agent).await?;
    let refused = client.prepare(&format!("select id from customers where email = '{three}'")).await;
    assert!(refused.is_err(), "a text that stays at the target is not turned back");
    let rows = client.simple_query(&format!("select id from customers where email = '{three}'")).await?;
    assert!(rows.iter().any(|row| matches!(row, SimpleQueryMessage::Row(row) if row.get(0) == Some("3"))), "{rows:?}");
    // Two messages at once: each is read by itself.
    let mut raw = RawClient::connect(&agent)?;
    let text = |id: &str| query(&format!("select id as {id} from customers where email = '{three}'"));
    raw.send(&[text("one"), query("select 1"), text("two")])?;
    let said = raw.until_ready(3)?;
    assert!(said.contains("one") && said.contains("two") && !said.contains("ERROR"), "{said}");
    // And one that comes a byte at a time.
    let mut raw = RawClient::connect(&agent)?;
    for byte in text("bytewise") {
        raw.send(&[vec![byte]])?;
    }
    let said = raw.until_ready(1)?;
    assert!(said.contains("bytewise") && said.contains("SELECT 1"), "{said}");
    Ok(())
}

#[test]
fn texts_of_another_form_are_other_texts() -> Result<()> {
    let (fixture, agent) = start()?;
    let seven = email(&fixture, &agent, 7)?;
    // The bytes of another encoding are another text.
    let elsewhere = fixture.psql(&agent, "set client_encoding to latin1; select email from customers where id = 11")?;
    let eleven = elsewhere.lines().find(|line| line.contains('@')).context("an address")?;
    let said = fixture.psql(&agent, &format!("select id from customers where email = '{eleven}'"))?;
    ensure!(said.contains("denied by policy"), "{said}");
    // A parameter of another type is cut.
    let declared =
        |kind: u32| frame(b'P', &[b"t\0select id from customers where email = $1\0", &[0, 1], &kind.to_be_bytes()]);
    let value = |text: &str| {
        let length = i32::try_from(text.len()).unwrap_or_default().to_be_bytes();
        frame(b'B', &[b"\0t\0", &[0, 0, 0, 1], &length, text.as_bytes(), &[0, 0]])
    };
    for (kind, passes) in [(25, true), (1043, true), (19, false), (1042, false)] {
        let mut raw = RawClient::connect(&agent)?;
        raw.send(&[declared(kind), value(&seven), execute(""), sync()])?;
        let told = raw.until_ready(1)?;
        ensure!(told.contains("42501") != passes, "{kind}: {told}");
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_turned_back() -> Result<()> {
    let (fixture, agent) = start()?;
    let (three, seven) = (email(&fixture, &agent, 3)?, email(&fixture, &agent, 7)?);
    for condition in [
        format!("email = any('{{{three},{seven}}}')"),
        format!("email = any('{{ \"{three}\" , {seven} }}'::text[])"),
        format!("email = any(array['{three}', '{seven}'])"),
        format!("email = any(array['{three}', '{seven}']::varchar[])"),
        format!("not email <> all('{{{three},{seven}}}')"),
    ] {
        let said = fixture.psql(&agent, &format!("select id from customers where {condition} order by id"))?;
        ensure!(said.trim() == "3\n7", "{condition}\n{said}");
    }
    let rest =
        fixture.psql(&agent, &format!("select count(*) from customers where email not in ('{three}', '{seven}')"))?;
    ensure!(rest.trim() == "198", "{rest}");
    let client = fixture.connect(&agent).await?;
    let both = vec![three.clone(), seven.clone()];
    let rows = client.query("select id from customers where email = any($1) order by id", &[&both]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [3, 7]);
    let rows = client.query("select id from customers where email in ($1, $2) order by id", &[&three, &seven]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [3, 7]);
    for none_of in ["email <> all($1)", "not email = any($1::text[])"] {
        let rest = client.query_one(&format!("select count(*) from customers where {none_of}"), &[&both]).await?;
        assert_eq!(rest.get::<_, i64>(0), 198, "{none_of}");
    }
    // With a guess among them, and more than policy lets pass.
    let guess = vec![three.clone(), "raw.person9@example.org".to_owned()];
    for texts in [guess, vec![three.clone(); 4]] {
        let refused = client.query("select id from customers where email = any($1) order by id", &[&texts]).await;
        let error = refused.err().context(format!("{texts:?} pass"))?;
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{error}");
    }
    // As text, with its type and without.
    for kind in [0_u32, 1009, 1015] {
        let text = "select id from customers where email = any($1) order by id\0";
        let list = format!("{{{three},NULL,\"{seven}\"}}");
        let length = i32::try_from(list.len())?.to_be_bytes();
        let mut raw = RawClient::connect(&agent)?;
        raw.send(&[
            frame(b'P', &[b"t\0", text.as_bytes(), &[0, 1], &kind.to_be_bytes()]),
            frame(b'B', &[b"\0t\0", &[0, 0, 0, 1], &length, list.as_bytes(), &[0, 0]]),
            execute(""),
            sync(),
        ])?;
        let told = raw.until_ready(1)?;
        ensure!(told.contains("SELECT 2"), "{kind}: {told}");
    }
    Ok(())
}

#[test]
fn uuids_are_turned_back() -> Result<()> {
    let (fixture, agent) = start()?;
    let key = |id: u32| -> Result<String> {
        let said = fixture.psql(&agent, &format!("select person_key from people where id = {id}"))?;
        let said = said.trim();
        ensure!(said.len() == 36 && said.as_bytes()[14] == b'8' && !said.starts_with("a0000000"), "{said}");
        Ok(said.into())
    };
    let (three, five) = (key(3)?, key(5)?);
    for (condition, expected) in [
        (format!("person_key = '{three}'"), "3"),
        (format!("person_key = '{three}'::uuid"), "3"),
        (format!("uuid '{three}' = person_key"), "3"),
        (format!("person_key = '{}'", three.to_uppercase().replace('-', "")), "3"),
        (format!("person_key in ('{three}', '{five}')"), "3\n5"),
        (format!("person_key = any('{{{three},{five}}}')"), "3\n5"),
        (format!("person_key = any(array['{three}', '{five}']::uuid[])"), "3\n5"),
        (format!("person_key in (values ('{three}'::uuid))"), "3"),
    ] {
        let said = fixture.psql(&agent, &format!("select id from people where {condition} order by id"))?;
        ensure!(said.trim() == expected, "{condition}\n{said}");
    }
    let said = fixture.psql(
        &agent,
        &format!("insert into calls (id, person_key) values (1, '{three}'), (2, '{five}'::uuid) returning person_key"),
    )?;
    ensure!(said.trim() == format!("{three}\n{five}"), "{said}");
    ensure!(fixture.truth("select person_key from calls where id = 1")? == "a0000000-0000-4000-8000-000000000003");
    // A list of texts is none of UUIDs, as without a pseudonym.
    let said = fixture.psql(
        &agent,
        &format!("select id from people where person_key = any(array['{three}', '{five}']) order by id"),
    )?;
    ensure!(said.contains("operator does not exist: uuid = text"), "{said}");
    // Bind values, in each form.
    let digits = three.replace('-', "");
    let bytes =
        (0..16).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)).collect::<Result<Vec<u8>, _>>()?;
    let mut list = [1, 0, 2950, 1, 1, 16].map(i32::to_be_bytes).concat();
    list.extend_from_slice(&bytes);
    for (condition, kind, format, value) in [
        ("person_key = $1", 0_u32, 0_u8, three.as_bytes()),
        ("person_key = $1", 2950, 0, three.as_bytes()),
        ("person_key = $1", 2950, 1, bytes.as_slice()),
        ("person_key = $1::uuid", 0, 0, three.as_bytes()),
        ("person_key = any($1)", 2951, 1, list.as_slice()),
        ("person_key = any($1)", 0, 0, format!("{{{three}}}").as_bytes()),
    ] {
        let text = format!("select id from people where {condition}\0");
        let length = i32::try_from(value.len())?.to_be_bytes();
        let mut raw = RawClient::connect(&agent)?;
        raw.send(&[
            frame(b'P', &[b"t\0", text.as_bytes(), &[0, 1], &kind.to_be_bytes()]),
            frame(b'B', &[b"\0t\0", &[0, 1, 0, format, 0, 1], &length, value, &[0, 0]]),
            execute(""),
            sync(),
        ])?;
        let told = raw.until_ready(1)?;
        ensure!(told.contains("SELECT 1"), "{condition}, {kind}, {format}: {told}");
    }
    // A guess, one of the same shape that nobody was given, another task's, and where its text would be seen.
    let mut forged = three.clone();
    forged.replace_range(35.., if three.ends_with('0') { "1" } else { "0" });
    let other = fixture.task("agent:other", "10m")?;
    for (who, key) in
        [(&agent, "a0000000-0000-4000-8000-000000000003"), (&agent, forged.as_str()), (&other, three.as_str())]
    {
        let said = fixture.psql(who, &format!("select id from people where person_key = '{key}'"))?;
        ensure!(said.contains("denied by policy"), "{key}\n{said}");
    }
    for sql in [
        format!("insert into people (id, person_key) values (99, '{three}')"),
        format!("select id from people where person_key = '{three}' and tier = 1"),
        format!("explain select id from people where person_key = '{three}'"),
        format!("select current_query() from people where person_key = '{three}'"),
        format!("insert into orders (id, total, note) values (901, 1, '{three}') returning note"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(!said.contains("a0000000-"), "{sql}\n{said}");
    }
    let journal = serde_json::to_string(&fixture.records()?)?;
    ensure!(!journal.contains("a0000000-0000-4000-8000-000000000005"), "a real value is on record");
    Ok(())
}

#[tokio::test]
async fn what_is_joined_with_is_turned_back() -> Result<()> {
    let (fixture, agent) = start()?;
    let (three, seven) = (email(&fixture, &agent, 3)?, email(&fixture, &agent, 7)?);
    let one = format!("(values ('{three}', 'x')) as v(email, tag)");
    for (sql, expected) in [
        (format!("select c.id, v.tag from customers c join {one} on c.email = v.email"), "3|x"),
        (format!("select count(*) from customers c, {one} where v.email = c.email and v.tag = 'y'"), "0"),
        (
            format!("select c.id from customers c join (values ('{three}'), (null)) as v(email) on c.email = v.email"),
            "3",
        ),
        (format!("select id from customers where email in ('{seven}', null)"), "7"),
        (
            format!(
                "with v(email) as (values ('{seven}')) select id from customers \
                     where email in (select email from v)"
            ),
            "7",
        ),
        (
            format!(
                "update customers c set note = v.tag from {one} where c.email = v.email and c.id = 3 returning c.id"
            ),
            "3",
        ),
        (
            format!(
                "merge into customers c using (values ('{seven}')) as v(email) on c.email = v.email \
                     when matched then update set note = 'merged'"
            ),
            "",
        ),
        ("select note from customers where id in (3, 7) order by id".into(), "x\nmerged"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(said.trim() == expected, "{sql}\n{said}");
    }
    let client = fixture.connect(&agent).await?;
    let sql = "select count(*) from customers c join (values ($1), ($2)) as v(email) on c.email = v.email";
    assert_eq!(client.query_one(sql, &[&seven, &seven]).await?.get::<_, i64>(0), 2);
    assert_eq!(client.query_one(sql, &[&None::<String>, &seven]).await?.get::<_, i64>(0), 1);
    Ok(())
}

#[tokio::test]
async fn the_order_of_what_several_find_is_not_told() -> Result<()> {
    let (fixture, agent) = start()?;
    let other = email(&fixture, &agent, 3)?;
    // Whoever may write a guess is shown what stands for it.
    fixture.psql(&agent, "insert into customers (id, full_name, email) values (950, 'x', 'raw.person0')")?;
    let guess = fixture.psql(&agent, "select email from customers where id = 950")?;
    let guess = guess.trim();
    ensure!(!guess.contains("raw.person0"), "{guess}");
    let list = format!("(values ('{other}'), ('{guess}')) v(m)");
    let remedy = "HINT:  Rows that several pseudonyms find may come in the order";
    for sql in [
        format!("select id from customers where email = any('{{{other},{guess}}}') limit 1"),
        format!("select id from customers where email in ('{other}', '{guess}')"),
        format!("select id from customers where email = '{other}' or email = '{guess}' limit 1"),
        format!("select id from customers where not (email <> '{other}' and email <> '{guess}') limit 1"),
        format!("select id from customers where email in (values ('{other}'), ('{guess}')) order by tier"),
        format!("select c.id from customers c join {list} on c.email = v.m limit 1"),
        format!("select array_agg(id) from customers where email in ('{other}', '{guess}')"),
        format!("select row_number() over (), id from customers where email in ('{other}', '{guess}') order by id"),
        format!(
            "select count(*) from (select id from customers where email in ('{other}', '{guess}') limit 1) s where id = 3"
        ),
        format!(
            "select case when id = 3 then 1 / (id - 3) else tier::int end from customers \
                 where email in ('{other}', '{guess}') order by id"
        ),
        // Rows that are looked for stop at the first that is found, and what that cost is counted, or fails.
        format!(
            "select count(*) from orders where id = 1 and exists (select from customers c, \
                 (values (1e400, '1'::float8)) v(n, f) where c.email in ('{other}', '{guess}') \
                 and case when c.id = 3 then true else v.n = v.f end)"
        ),
        format!("select count(*) from customers c join {list} on c.email = v.m"),
        // A row that takes long to be looked at is told by how many were fetched until the statement was stopped.
        format!("select count(*) from customers where email in ('{other}', '{guess}') and note < 'zzz'"),
        format!(
            "select o.id from orders o join customers c on c.id = o.customer_id \
                 where c.email in ('{other}', '{guess}') order by o.id, c.id"
        ),
        format!("update customers set tier = 'gold' where email in ('{other}', '{guess}') returning id"),
        format!("delete from customers where email in ('{other}', '{guess}') returning id"),
        format!(
            "insert into orders (id, total) select id + 2000, 1 from customers where email in ('{other}', '{guess}')"
        ),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(said.contains("denied by policy") && said.contains(remedy), "{sql}\n{said}");
    }
    // By itself each finds its row, and both do where no order shows.
    let either = format!("email in ('{other}', '{guess}')");
    for (sql, expected) in [
        (format!("select id from customers where email = '{guess}' limit 1"), "950"),
        (format!("select id from customers where email in ('{guess}', '{guess}') limit 1"), "950"),
        (format!("select id from customers where {either} order by id limit 1"), "3"),
        (format!("select id from customers where {either} order by id desc"), "950\n3"),
        (format!("select tier, id as key from customers where {either} order by 2"), "standard|3\nstandard|950"),
        (format!("select count(*), min(id), max(id) from customers where {either}"), "2|3|950"),
        (format!("select id from customers where {either} and id between 2 and 999 order by id"), "3\n950"),
        (format!("select count(*) from customers where {either} and id in (3, 950, 951)"), "2"),
        (format!("select count(*) from customers where email not in ('{other}', '{guess}')"), "199"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(said.trim() == expected, "{sql}\n{said}");
    }
    // How many there are is known when they are bound, whatever was bound before.
    let client = fixture.connect(&agent).await?;
    let (both, twice) = (vec![other.clone(), guess.to_owned()], vec![guess.to_owned(), guess.to_owned()]);
    let any = client.prepare("select id from customers where email = any($1) limit 1").await?;
    let listed = client.prepare("select id from customers where email in ($1, $2)").await?;
    for _ in 0..2 {
        assert_eq!(client.query_one(&any, &[&twice]).await?.get::<_, i64>(0), 950);
        assert_eq!(client.query_one(&listed, &[&guess, &guess]).await?.get::<_, i64>(0), 950);
        for refused in [client.query(&any, &[&both]).await, client.query(&listed, &[&other, &guess]).await] {
            let error = refused.err().context("several are looked up in no order")?;
            let said = error.as_db_error().context("an error of the gateway's")?;
            assert_eq!(said.code().code(), "42501");
            assert!(said.hint().is_some_and(|hint| hint.contains("unique")), "{said:?}");
        }
    }
    let rows = client.query("select id from customers where email = any($1::text[]) order by id", &[&both]).await?;
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i64>>(), [3, 950]);
    let count = client.query_one("select count(*) from customers where email in ($1, $2)", &[&other, &guess]).await?;
    assert_eq!(count.get::<_, i64>(0), 2);
    // A table in which no index holds the column is read as it lies.
    fixture.psql(&agent, &format!("insert into mail (id, email) values (1, '{other}'), (2, '{guess}')"))?;
    let said = fixture.psql(&agent, &format!("select id from mail where {either}"))?;
    ensure!(said.trim() == "1\n2", "{said}");
    Ok(())
}

/// As claude, but for what conditions tell: what is turned back would be seen, for nothing is refused.
const PROBING: &str = r#"
permit (principal in Group::"agents", action == Action::"probe", resource);
"#;

#[test]
fn a_list_that_is_seen_is_not_turned_back() -> Result<()> {
    // Of a class without a detector, so that nothing else would hide it.
    let config = "[classes.person_name]\nmask = \"pseudonym\"\n".into();
    let policies = format!("{POLICIES}{PROBING}");
    let fixture = Fixture::start(Setup { policies, config, ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let three = fixture.psql(&agent, "select full_name from customers where id = 3")?;
    let three = three.trim();
    let by = |shown: &str, rest: &str| {
        format!("select {shown} from (values ('{three}')) as v(m) left join customers c on c.full_name = v.m {rest}")
    };
    let real = fixture.truth("select full_name from customers where id = 3")?;
    // It would be found if nothing showed it.
    let said = fixture.psql(&agent, &by("c.id", ""))?;
    ensure!(said.trim() == "3", "{said}");
    for sql in [
        by("v.m", ""),
        by("*", ""),
        by("v.*", ""),
        by("v", ""),
        by("(v).m", ""),
        by("row_to_json(v)", ""),
        by("upper(v.m)", ""),
        by("m, length(m)", ""),
        by("c.id", "where v.m like 'Real%'"),
        by("c.id", "where c.id is not null order by v.m"),
        by("x.m", "cross join lateral (select v.m) x"),
        by("c.id", "join orders o on o.note = v.m"),
        format!(
            "with v(m) as (values ('{three}')) select w.m from v, v as w left join customers c on true where c.full_name = v.m"
        ),
        format!("select j.m from ((values ('{three}')) v(m) left join customers c on c.full_name = v.m) as j"),
        format!(
            "update customers c set note = v.m from (values ('{three}')) v(m) where c.full_name = v.m returning c.note"
        ),
        format!(
            "update customers c set tier = 'gold' from (values ('{three}')) v(m) where c.full_name = v.m returning v.m"
        ),
        format!(
            "merge into orders o using (select c.id, v.m from (values ('{three}')) v(m) left join customers c on c.full_name = v.m) s \
             on false when not matched then insert (id, total, note) values (950, 1, s.m)"
        ),
        // What fails, warns or explains.
        by("c.id", "where v.m::int = 1"),
        by("c.id", "where c.tier = 1"),
        by("1 / (c.id - c.id)", ""),
        format!("select id from customers where full_name = any('{{\"{three}\"}}') and tier = 1"),
        format!("select id from customers where full_name = any('{{\"{three}') or id = 3"),
        format!("explain verbose {}", by("c.id", "")),
        format!("explain analyze select id from customers where full_name = any('{{\"{three}\"}}')"),
        format!("insert into customers (id, email, full_name) select 960, 'x', m from (values ('{three}')) v(m)"),
        // What would find out letters of it, or where it stands among others.
        format!("select id from customers where full_name like '{three}'"),
        format!("select id from customers where full_name between '{three}' and '{three}'"),
        format!("select case when full_name = '{three}' then '{three}' else 'no' end from customers where id = 3"),
        format!("select case '{three}' when full_name then 'yes' else 'no' end from customers where id = 3"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(!said.to_lowercase().contains(&real.to_lowercase()), "{sql}\n{said}");
        ensure!(!said.contains("yes"), "{sql}\n{said}");
    }
    let kept = "select count(*) from (select note from customers union all select note from orders) n where note like '%Realname3 %'";
    ensure!(fixture.truth(kept)? == "0", "it left its class");
    Ok(())
}

#[test]
fn what_would_tell_more_than_equality_is_no_pseudonym() -> Result<()> {
    let (fixture, agent) = start()?;
    let three = email(&fixture, &agent, 3)?;
    for sql in [
        format!("select id from customers where email like '{three}'"),
        format!("select id from customers where email like any('{{{three}}}')"),
        format!("select id from customers where email between '{three}' and '{three}'"),
        format!("select id from customers where email >= any('{{{three}}}')"),
        format!("select id from customers where case when email = '{three}' then true else false end"),
        format!("select case email when '{three}' then 1 else 0 end from customers"),
        format!("select email = '{three}' from customers"),
    ] {
        let said = fixture.psql(&agent, &sql)?;
        ensure!(said.contains("denied by policy"), "{sql}\n{said}");
    }
    Ok(())
}

/// Tables whose rows lie in no order of their addresses, with indexes that have one.
const RANKED: &str = r"
create table ranked (id bigint primary key, email text, pad text);
insert into ranked select id, md5(id::text) || '@example.org', repeat('x', 500) from generate_series(1, 500) id;
create index on ranked (email);
create table teamed (id bigint primary key, team bigint, email text, pad text);
insert into teamed select id, id % 50, md5(id::text) || '@example.org', repeat('x', 500) from generate_series(1, 5000) id;
create index on teamed (team, email);
create table later (id bigint primary key, email text, pad text);
insert into later select id, md5(id::text) || '@example.org', repeat('x', 500) from generate_series(1, 500) id;
create view listed as select distinct email, team from teamed;
create view sorted as select id, email from ranked order by email;
create view numbered as select id, row_number() over (order by email) from ranked;
create view gathered as select array_agg(id order by email) from ranked;
create view filtered as select id from ranked where pad is not null;
create view present as select id from ranked where email is not null;
create table plain (id bigint primary key, email text);
insert into plain values (1, 'anna@example.org');
create view unindexed as select id from plain where email <> '';
create view named as select id from ranked where email = 'nobody@example.org';
alter role all set random_page_cost = 0.1;
grant all on all tables in schema public to gatehouse;
grant create on schema public to gatehouse;
";

/// Indexes of an address, of what is computed from it, and of the rows that it is in.
const MADE_LATER: &str = r"
create index on later (id, email);
create table computed (id bigint primary key, tier text, email text, small text generated always as (lower(email)) stored);
create index on computed (tier, small);
create table rowed (id bigint primary key, tier text, email text);
create index on rowed (tier, (rowed.*));
grant all on all tables in schema public to gatehouse;
";

#[tokio::test]
async fn the_order_of_an_index_is_not_told() -> Result<()> {
    let (fixture, agent) = start()?;
    fixture.truth(RANKED)?;
    for table in ["ranked", "teamed", "later"] {
        fixture.truth(&format!("vacuum analyze {table}"))?;
    }
    let chooses = |sql: &str, plan: &str| -> Result<()> {
        let chosen = fixture.truth(&format!("explain {sql}"))?;
        ensure!(chosen.starts_with(plan), "{sql}: {chosen}");
        Ok(())
    };
    let (all, chosen) = ("select email from ranked", "select email, pad from teamed where team = 7");
    chooses(all, "Index Only Scan")?;
    chooses(chosen, "Index Scan")?;
    // Nobody who sees pseudonyms is told by them which of two values is the lesser.
    for (sql, by_id) in [
        (all, "select email from ranked order by id"),
        (chosen, "select email, pad from teamed where team = 7 order by id"),
        ("select email from (select * from ranked) r", "select email from ranked order by id"),
        ("copy (select email from ranked) to stdout", "select email from ranked order by id"),
    ] {
        let (found, sorted) = (fixture.psql(&agent, sql)?, fixture.psql(&agent, by_id)?);
        ensure!(found.lines().count() >= 100 && found == sorted, "{sql} is in an index's order: {found}");
    }
    ensure!(fixture.psql(&agent, "set enable_indexonlyscan = on")?.contains("sql:admin"), "it is theirs to set");
    ensure!(
        fixture.psql(&agent, "reset all; select email from ranked limit 1")?
            == fixture.psql(&agent, "select email from ranked where id = 1")?
    );
    // Nor by what makes all else dear, or by a view that sorts.
    let dear = "select t.id from teamed t, generate_series(1, 1 + 0 * t.id) order by t.team limit 20";
    let given_back = format!("insert into mail (id) values (5) returning (select array_agg(id) from ({dear}) x)");
    for sql in [dear, &given_back] {
        let said = fixture.psql(&agent, sql)?;
        ensure!(
            said.contains("cheap to read an index") && said.contains("join each by its primary key"),
            "{sql}: {said}"
        );
    }
    for view in ["listed", "sorted", "numbered", "gathered", "present"] {
        let said = fixture.psql(&agent, &format!("select * from {view} limit 3"))?;
        let is_refused = said.contains("probe") || said.contains("order of a masked column");
        ensure!(said.contains("ERROR") && is_refused, "{view}: {said}");
    }
    ensure!(fixture.psql(&agent, "cluster")?.contains("probe"));
    for sql in [
        "select count(*) from filtered",
        "select 10 + count(*) from named",
        "select 10 + count(*) from unindexed",
        "select count(*) from ranked r join teamed t on t.id = r.id where t.team = 7",
    ] {
        let said = fixture.psql(&agent, sql)?;
        ensure!(said.trim().parse::<u32>().is_ok_and(|count| count >= 10), "{sql}: {said}");
    }
    // Whoever may probe has the target plan as it likes.
    let dana = fixture.task("user:dana", "10m")?;
    for (sql, plan) in [(all, "Index Only Scan"), (chosen, "Index Scan")] {
        let chosen = fixture.psql(&dana, &format!("explain {sql}"))?;
        ensure!(chosen.contains(plan), "{sql}: {chosen}");
    }

    // An index that is made while a session goes on is seen before the next statement that follows a survey.
    let theirs = fixture.connect(&dana).await?;
    fixture.truth("drop index teamed_team_email_idx")?;
    theirs.batch_execute("create table made (id bigint)").await?;
    let client = fixture.connect(&agent).await?;
    ensure!(client.query("select email from later", &[]).await?.len() == 500);
    fixture.truth(MADE_LATER)?;
    theirs.batch_execute("drop table made").await?;
    for table in ["later", "computed", "rowed"] {
        let refused = client.query(&format!("select id from {table}"), &[]).await.err();
        let refused = refused.with_context(|| format!("the rows of {table} may come in an index's order"))?;
        let told =
            refused.as_db_error().map(|error| format!("{}: {}", error.message(), error.hint().unwrap_or_default()));
        let told = told.unwrap_or_default();
        ensure!(told.contains("since this session began") && told.contains("Connect again"), "{told}");
    }
    ensure!(client.query("select id from orders where id = 1", &[]).await?.len() == 1, "other tables are read");
    let again = fixture.connect(&agent).await?;
    ensure!(again.query("select email from later", &[]).await?.len() == 500);
    Ok(())
}

/// A table that is divided by addresses, views that choose and rank by them, and tables to join with.
const DIVIDED: &str = r"
create table parts (id bigint, email text) partition by range (email);
create table parts_low partition of parts for values from (minvalue) to ('m');
create table parts_high partition of parts for values from ('m') to (maxvalue);
insert into parts values (1, 'anna@example.org'), (2, 'zoe@example.org');
create view placed as select tableoid as place, id from parts;
create table seats (id bigint primary key, tier text, email text);
insert into seats select id, 'gold', md5(id::text) || '@example.org' from generate_series(1, 300) id;
create index on seats (tier, email);
create table grp (id bigint primary key, g bigint);
insert into grp select id, id from generate_series(1, 300) id;
create view young as select id, tier from seats where email >= 'm';
create view known as select id from seats s where exists (select from grp where grp.id::text = s.email);
create materialized view ranks as select id, row_number() over (order by email) as place from seats;
create table single (id bigint primary key, email text constraint one_each unique);
create table referred (id bigint, who text references single (email));
create table loud (email text, ts text);
create view beside as select l.id from loud g, lateral (select c.id from unread c where c.email = g.ts) l;
create table bb (k bigint primary key) partition by hash (k);
create table bb0 partition of bb for values with (modulus 1, remainder 0);
create table keyed (k bigint primary key, v numeric);
grant all on all tables in schema public to gatehouse;
";

#[tokio::test]
async fn what_order_partition_and_length_tell_is_not_told() -> Result<()> {
    let (fixture, agent) = start()?;
    fixture.truth(DIVIDED)?;
    fixture.truth("vacuum analyze seats")?;
    let low = fixture.truth("select 'parts_low'::regclass::oid")?;
    // Which partition a row is in, by whichever way it is asked.
    for sql in [
        "select tableoid, id from parts where id = 1",
        "begin; declare c cursor for select tableoid, id from parts; fetch all from c; commit",
        "copy (select tableoid, id from parts where id = 1) to stdout",
        "select * from placed where id = 1",
        "select s.tableoid, s.id from (select tableoid, id from parts) s where id = 1",
        "select p.tableoid from parts p join grp on grp.id = p.id where p.id = 1",
        "insert into parts values (3, 'ben@example.org') returning tableoid",
    ] {
        let said = fixture.psql(&agent, sql)?;
        ensure!(!said.contains(low.trim()), "{sql}: {said}");
    }
    let client = fixture.connect(&agent).await?;
    let rows = client.query("select tableoid::text, id from parts where id = $1", &[&1_i64]).await?;
    ensure!(rows.iter().all(|row| row.get::<_, Option<&str>>(0) != Some(low.trim())));
    let probes = |sql: &str| -> Result<()> {
        let said = fixture.psql(&agent, sql)?;
        let is_refused =
            ["probe", "reveal", "sql:admin", "cheap to read an index"].iter().any(|why| said.contains(why));
        ensure!(said.contains("ERROR") && is_refused, "{sql}: {said}");
        Ok(())
    };
    let outer = "(seats c cross join grp x cross join grp y cross join grp z cross join grp w) left join grp b";
    for sql in [
        "select relname, seq_tup_read from pg_stat_xact_user_tables",
        "select pg_stat_get_xact_tuples_returned(16384)",
        // An outer join's condition leaves nothing of the other side out.
        &format!(
            "select c.id from {outer} on c.id = x.id and c.id = y.id and c.id = z.id and c.id = w.id and b.id = c.id order by c.tier"
        ),
        &format!(
            "select c.id from {outer} on b.id = x.id and b.id = y.id and b.id = z.id and b.id = w.id and b.id = c.id order by c.tier"
        ),
        "set join_collapse_limit = 1",
        "set geqo_threshold = 2",
        "select * from young limit 3",
        "select * from known",
        "select * from ranks where id = 1",
        // How long a masked value is, by what else fits.
        "select concat(repeat('x', 10), email) from seats",
        "select repeat('x', 10) || email from seats",
        "with f as (select repeat('x', 10) as x) select x || email from seats, f",
        "with f as (select repeat('x', 10) as x) select row_to_json(r) from (select x, email from seats, f) r",
        "with a as (select email || tier as x from seats), b as (select x || x as x from a) select x || x from b",
        "select email || rpad(tier, 10) from seats",
        "select concat(to_json(to_json('x'::text)::text)::text, email) from seats",
        "select concat(row(row('x')::text)::text, email) from seats",
        "select to_json(j) from (select to_json(email)::text as j from seats) s",
        // Keys by which the planner cannot look.
        "select c.id from seats c join bb a on a.k = c.id join bb b on b.k = c.id order by c.tier",
        "select c.id from seats c join keyed m on m.k = c.id join keyed n on n.k = m.v order by c.tier",
        "select id from seats where point(id::float8, 0) ?- any(array_fill(point(0, 0), array[9])) order by tier limit 5",
        "select * from beside",
        // How much a statement writes, takes and keeps, and where.
        "select pg_current_wal_insert_lsn()",
        "select wal_bytes from pg_stat_wal",
        "select pg_stat_get_wal()",
        "select used_bytes from pg_backend_memory_contexts",
        "select pg_stat_get_db_temp_bytes(1)",
        "select pid from pg_locks where page = 1",
        // Who has a value, and whether a row is what it was.
        "insert into single values (9, 'a@example.org') on conflict on constraint one_each do update set id = 9 returning id",
        "create trigger same before update on seats for each row execute function suppress_redundant_updates_trigger()",
        // A column of a class by its foreign key alone.
        "alter table referred drop constraint referred_who_fkey",
        "alter table single drop constraint one_each cascade",
    ] {
        probes(sql)?;
    }
    for sql in [
        "select email || ' - ' || tier from seats where id = 1",
        "select concat(upper(email), ' (', tier, ')') from seats where id = 1",
        "select row_to_json(s) from (select id, email, full_name from customers where id = 1) s",
        "select string_agg(email || '/' || tier, ', ') from seats",
        "select c.id from seats c left join grp b on b.id = c.id where c.id = 7 order by c.tier",
        "select row_to_json(s), row_to_json(h) from seats s join grp h on h.id = s.id where s.id = 1",
        "select row_to_json(s) from seats s where s.id = any('{1,2}')",
        "insert into grp values (1, 1) on conflict on constraint grp_pkey do update set g = 1 returning id",
        "select relation::regclass, mode, granted from pg_locks",
        "select relname from pg_class where relname = 'seats'",
    ] {
        let said = fixture.psql(&agent, sql)?;
        ensure!(!said.contains("ERROR") && !said.trim().is_empty(), "{sql}: {said}");
    }
    Ok(())
}

/// The server says of late what a statement took, with the values that it was given, to whoever asks for what is logged.
#[test]
fn what_is_logged_is_not_told() -> Result<()> {
    let (fixture, agent) = start()?;
    for sql in ["alter system set log_min_duration_statement = 0", "select pg_reload_conf()"] {
        fixture.truth(sql)?;
    }
    let three = email(&fixture, &agent, 3)?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("set client_min_messages = log")])?;
    client.until_ready(1)?;
    let parse = frame(b'P', &[b"\0select id from customers where email = $1\0\0\0"]);
    let length = u32::try_from(three.len())?.to_be_bytes();
    let bind = frame(b'B', &[b"\0\0\0\0\0\x01", &length, three.as_bytes(), b"\0\0"]);
    let close = frame(b'C', &[b"P\0"]);
    let harmless = frame(b'P', &[b"\0select 1\0\0\0"]);
    let refused = frame(b'P', &[b"\0select * from unread\0\0\0"]);
    for behind in [vec![], vec![close], vec![harmless], vec![refused]] {
        client.send(&[vec![parse.clone(), bind.clone(), execute("")], behind, vec![sync()]].concat())?;
        let said = client.until_ready(1)?;
        ensure!(said.contains("LOG") && said.contains("redacted"), "{said}");
        ensure!(!said.contains("raw.person") && !said.contains("parameters"), "{said}");
    }
    // In a transaction what ended is told of behind others.
    for sql in
        ["begin", "declare c cursor for select email from customers", "fetch 1 from c", "select 1", "close c", "commit"]
    {
        client.send(&[query(sql)])?;
        let said = client.until_ready(1)?;
        ensure!(said.contains("LOG") && !said.contains("duration"), "{sql}: {said}");
    }
    Ok(())
}

/// A column that is masked by its foreign key alone stays so, whoever may drop things.
#[test]
fn a_class_is_not_dropped_with_a_key() -> Result<()> {
    let drops =
        "permit (principal in Group::\"agents\", action in Action::\"sql:destroy\", resource in Target::\"shop\");";
    let config = "[classes.person_name]\nmask = \"pseudonym\"\n".into();
    let fixture = Fixture::start(Setup { policies: format!("{POLICIES}{drops}"), config, ..Setup::default() })?;
    fixture.truth(
        "create table names (full_name text primary key); insert into names values ('Ada Lovelace'); \
         create table r1 (id bigint, who text references names); insert into r1 values (1, 'Ada Lovelace'); \
         create table mine (id bigint, who text); create table br () inherits (r1, mine); create domain short as text; \
         alter table names owner to gatehouse; alter table r1 owner to gatehouse; alter table mine owner to gatehouse; \
         alter table br owner to gatehouse; alter domain short owner to gatehouse",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, "insert into mine select id, who from r1")?;
    ensure!(!said.contains("ERROR"), "{said}");
    for sql in [
        "drop table br",
        "drop table r1 cascade",
        "alter table r1 drop constraint r1_who_fkey",
        "alter table r1 drop column who",
        "alter table only r1 drop column who",
        "alter table names drop constraint names_pkey cascade",
        "drop table names cascade",
        "drop domain short cascade",
    ] {
        let said = fixture.psql(&agent, sql)?;
        ensure!(said.contains("ERROR") && said.contains("reveal"), "{sql}: {said}");
    }
    for table in ["r1", "mine"] {
        let said = fixture.psql(&agent, &format!("select id, who from {table}"))?;
        ensure!(said.starts_with("1|") && !said.contains("Lovelace"), "{said}");
    }
    // What takes no class from anybody is dropped.
    for sql in ["alter table r1 drop column id", "drop domain short"] {
        ensure!(!fixture.psql(&agent, sql)?.contains("ERROR"), "{sql}");
    }
    Ok(())
}
