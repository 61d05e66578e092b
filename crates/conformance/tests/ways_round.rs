//! Ways round the reading of statements: each of these once led to data, files or code that policy gave no leave for. The
//! account at the target is a superuser, so that nothing but the gateway is in the way.

use anyhow::Result;
use gatehouse_conformance::raw::{RawClient, bind, execute, frame, parse, query, sync};
use gatehouse_conformance::{Credential, Fixture, Setup};

/// claude reads, sam writes too, nina defines and drops besides. None of them may call, probe, reveal or administer.
const POLICIES: &str = r#"
permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read"], resource in Target::"shop");
permit (principal in Group::"support", action in [Action::"connect", Action::"sql:read", Action::"sql:write"], resource in Target::"shop");
permit (principal == User::"nina",
  action in [Action::"connect", Action::"sql:read", Action::"sql:write", Action::"sql:define", Action::"sql:destroy"],
  resource in Target::"shop");
permit (principal in Group::"dba", action, resource);
"#;

/// What a database may hold besides: views that fail on a row, code, a table that speaks of its rows.
const OBJECTS: &str = r"
alter role gatehouse superuser;
create sequence sq;
create table touched (who text);
create table sink (id bigint, note text);
create view badv as select id, full_name::int as broken from customers;
create view vt as select id, tier from customers;
create function imm(bigint) returns text language sql immutable as $$ select 'Realname17 Rawlings17' $$;
create view iv as select id, imm(17) as x from orders;
create table shouting (id bigint, full_name text, shout text generated always as (upper(full_name)) stored);
insert into shouting select id, full_name from customers;
create function dn(customers) returns text language sql stable as $$ select $1.full_name || ' ' || $1.email $$;
create function audit_rec(xml) returns text language plpgsql as $$ begin insert into touched values ('audit'); return 'done'; end $$;
create function json_array(text, text) returns text language plpgsql as $$ begin insert into touched values ('json'); return 'Realname0'; end $$;
create function evrow(int) returns bool language plpgsql immutable as $$ begin insert into touched values ('ev'); return true; end $$;
create function evall(anyelement) returns bool language plpgsql immutable as $$ begin insert into touched values ('any'); return true; end $$;
create function says() returns trigger language plpgsql as $$ begin raise notice 'it is %', (select full_name from customers where id = 17); return null; end $$;
create table quiet (id bigint);
create trigger speaks after insert or truncate on quiet for each statement execute function says();
create table ruled (id bigint);
create rule also as on insert to ruled do also select full_name::int from customers where id = 17;
create extension unaccent;
create table par (id bigint, a text, b text) partition by range (id);
create table oth partition of par for values from (1000) to (9000);
create view v1 as select id, full_name as x from customers;
create materialized view mv1 as select id, x from v1;
create view v9 as select id, tier as x from customers;
create function tells(customers, customers) returns bool language plpgsql as $$ begin insert into touched values ('operator'); return true; end $$;
create function raises(text) returns bool language plpgsql as $$ begin raise exception '%', (select full_name from customers where id = 17) using errcode = '42601'; end $$;
create domain loud as text check (raises(value));
create table parts (id bigint, note text) partition by range (id);
create table parts_1 partition of parts for values from (0) to (100);
create trigger speaks after insert on parts_1 for each statement execute function says();
create table checked (id bigint, note text check (raises(note)));
create domain louder as loud;
create type sound as (tone louder);
create table heard (id bigint, tone louder, tones loud[], sound sound);
create type cat as enum ('a', 'b');
";

struct House {
    fixture: Fixture,
    reads: Credential,
    writes: Credential,
    defines: Credential,
}

impl House {
    fn start() -> Result<Self> {
        Self::start_with("", "", "")
    }

    /// The same with a configuration, a target and a database that hold more.
    fn start_with(config: &str, target: &str, objects: &str) -> Result<Self> {
        let (config, target) = (config.into(), target.into());
        let fixture = Fixture::start(Setup { policies: POLICIES.into(), config, target, ..Setup::default() })?;
        fixture.truth(OBJECTS)?;
        fixture.truth(objects)?;
        let (reads, writes) = (fixture.task("agent:claude", "10m")?, fixture.task("user:sam", "10m")?);
        let defines = fixture.task("user:nina", "10m")?;
        Ok(Self { fixture, reads, writes, defines })
    }

    /// What a client is told of these statements, each sent by itself.
    fn said(who: &Credential, statements: &[&str]) -> Result<String> {
        let mut client = RawClient::connect(who)?;
        let mut said = String::new();
        for statement in statements {
            client.send(&[query(statement)])?;
            said.push_str(&client.until_ready(1)?);
        }
        Ok(said)
    }

    fn tells_nothing(who: &Credential, statements: &[&str]) -> Result<()> {
        let said = Self::said(who, statements)?;
        let told = said.to_lowercase();
        for raw in ["realname", "rawlings", "raw.person", "raw,person", "root:x"] {
            assert!(!told.contains(raw), "{raw} came through by {statements:?}:\n{said}");
        }
        Ok(())
    }

    /// The last of these statements is refused by policy.
    fn is_refused(who: &Credential, statements: &[&str]) -> Result<()> {
        let (last, before) = statements.split_last().unwrap_or((&"", &[]));
        let mut client = RawClient::connect(who)?;
        let mut said = String::new();
        for statement in before {
            client.send(&[query(statement)])?;
            said = client.until_ready(1)?;
        }
        assert!(!said.contains("ERROR"), "what comes before passes: {statements:?}\n{said}");
        client.send(&[query(last)])?;
        let said = client.until_ready(1)?;
        assert!(said.contains("42501") || said.contains("Gatehouse"), "it passed: {statements:?}\n{said}");
        Ok(())
    }

    fn is_untouched(&self) -> Result<()> {
        assert_eq!(self.fixture.truth("select string_agg(who, ',') from touched")?, "", "code ran");
        Ok(())
    }
}

#[test]
fn a_call_that_looks_like_a_column_is_a_call() -> Result<()> {
    let house = House::start()?;
    for statement in [
        "select x.pg_read_file from unnest(array['/etc/passwd'::text]) x",
        "select x.pg_ls_dir from lower('.') x",
        "select x.pg_ls_dir from cast('.' as text) x",
        "select x.pg_ls_dir from rows from (lower('.')) x",
        "select lower.pg_ls_dir from lower('.')",
        "select x.pg_stat_get_backend_activity from pg_stat_get_backend_idset() x",
        "select x.lo_creat from generate_series(1, 1) x",
        "select x.pg_create_restore_point from lower('here') x",
        "select (x.ts_stat).word from lower('select to_tsvector(full_name) from customers') x",
        "select u.dn from unnest(array(select customers from customers where id = 17)) u",
        "select u.audit_rec from (select xmlelement(name a)) u",
        "select pg_read_file.pg_read_file from json_array_elements_text('[\"/etc/passwd\"]') pg_read_file",
        "select ('sq'::regclass).nextval",
        "select json_array('x', 'y')",
    ] {
        House::is_refused(&house.reads, &[statement])?;
        House::tells_nothing(&house.reads, &[statement])?;
    }
    assert_eq!(house.fixture.truth("select last_value, is_called from sq")?, "1|f");
    assert_eq!(house.fixture.truth("select count(*) from pg_largeobject_metadata")?, "0");
    house.is_untouched()?;
    // What is a column stays one.
    let said = House::said(&house.reads, &["select e.value->>'a' from jsonb_array_elements('[{\"a\": \"of e\"}]') e"])?;
    assert!(said.contains("of e"), "{said}");
    let said = House::said(&house.reads, &["select value from jsonb_array_elements('[7]'::jsonb)"])?;
    assert!(said.contains('7'), "{said}");
    Ok(())
}

/// Who may read moves no sequence, and who may move one moves no other.
#[test]
fn a_sequence_is_moved_by_whom_policy_lets_move_it() -> Result<()> {
    let policies = r#"
permit (principal, action in [Action::"connect", Action::"sql:read"], resource in Target::"shop");
permit (principal == Agent::"claude", action == Action::"sql:update", resource == Function::"shop/pg_catalog.nextval");
permit (principal == Agent::"claude", action == Action::"sql:update", resource == Table::"shop/public.tickets");
forbid (principal, action == Action::"sql:select", resource == Table::"shop/public.invoices");
"#;
    let fixture = Fixture::start(Setup { policies: policies.into(), ..Setup::default() })?;
    fixture.truth(
        "create sequence tickets; create sequence invoices; grant all on all sequences in schema public to gatehouse",
    )?;
    let (agent, other) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "10m")?);
    for statement in ["select nextval('tickets')", "select setval('tickets', 7)", "select nextval('tick' || 'ets')"] {
        House::is_refused(&other, &[statement])?;
    }
    for statement in
        ["select nextval('invoices')", "select nextval('public.invoices'::regclass)", "select setval('tickets', 7)"]
    {
        House::is_refused(&agent, &[statement])?;
    }
    // Where one stands is told to whom policy lets read it.
    for statement in ["select currval('invoices')", "select pg_sequence_last_value('invoices')"] {
        House::is_refused(&agent, &[statement])?;
    }
    let said = House::said(&agent, &["select nextval('tickets'), currval('\"tickets\"'::regclass)"])?;
    assert!(!said.contains("ERROR"), "{said}");
    assert_eq!(fixture.truth("select last_value, is_called from tickets")?, "1|t");
    assert_eq!(fixture.truth("select last_value, is_called from invoices")?, "1|f");
    Ok(())
}

/// A setting that policy shows nobody is shown by no other name of `SHOW`.
#[test]
fn a_setting_is_read_by_whom_policy_lets_read_it() -> Result<()> {
    let policies = r#"
permit (principal, action in [Action::"connect", Action::"sql:read"], resource in Target::"shop");
forbid (principal, action == Action::"sql:show", resource)
when { resource == Setting::"shop/primary_conninfo" || resource == Setting::"shop/all" };
"#;
    let fixture = Fixture::start(Setup { policies: policies.into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    for statement in [
        "show primary_conninfo",
        "show all",
        "select current_setting('primary_conninfo')",
        "select current_setting('PRIMARY_CONNINFO'::text, true)",
        "select current_setting('primary' || '_conninfo')",
        "select s.current_setting from unnest(array['primary_conninfo']) s",
        "select * from pg_show_all_settings()",
        "select setting from pg_settings where name = 'primary_conninfo'",
    ] {
        House::is_refused(&agent, &[statement])?;
    }
    for statement in ["show server_encoding", "select current_setting('server_encoding')"] {
        assert_eq!(fixture.psql(&agent, statement)?.trim(), "UTF8", "{statement}");
    }
    let said = fixture.psql(&agent, "\\d+ customers")?;
    assert!(said.contains("full_name") && !said.contains("ERROR"), "{said}");
    Ok(())
}

#[test]
fn messages_of_what_runs_later_quote_nothing() -> Result<()> {
    let house = House::start()?;
    for statements in [
        &["begin", "declare c cursor for select broken from badv where id = 17", "fetch c"][..],
        &["begin", "declare c cursor for select broken from badv where id = 17", "move c"],
        &["prepare p as select broken from badv where id = 17", "execute p"],
        &["explain verbose select x from iv"],
        &[
            "select shout from shouting limit 3",
            "select shout || '' from shouting limit 3",
            "select s from shouting s limit 1",
        ],
    ] {
        House::tells_nothing(&house.reads, statements)?;
    }
    for statements in [
        &["prepare p as update customers set tier = null where id = 17", "execute p"][..],
        &["update vt set tier = null where id = 17"],
        &["insert into quiet values (1)"],
        &["insert into ruled values (1)"],
    ] {
        House::tells_nothing(&house.writes, statements)?;
    }
    House::tells_nothing(&house.defines, &["truncate quiet"])?;
    Ok(())
}

#[test]
fn reading_locks_nothing_and_sets_nothing_that_writes() -> Result<()> {
    let house = House::start()?;
    for statements in [
        &["select * from (select id from customers where id = 5) s for update"][..],
        &["select * from (select id from customers where id = 5) s for update of s"],
        &["with q as (select * from (select id from orders) s for update) select * from q"],
        &["set jit_dump_bitcode = on"],
        &["set jit_profiling_support = on"],
    ] {
        House::is_refused(&house.reads, statements)?;
    }
    let said = House::said(&house.reads, &["set jit_above_cost = 0", "select 1"])?;
    assert!(!said.contains("42501"), "{said}");
    Ok(())
}

#[test]
fn what_the_server_goes_by_is_an_administrators() -> Result<()> {
    let house = House::start()?;
    for statement in [
        "update pg_proc set provolatile = 'i' where proname = 'pg_ls_dir'",
        "update pg_attribute set attname = 'aaa' where attname = 'full_name'",
        "insert into pg_catalog.pg_description values (1, 1, 1, 'x')",
        "delete from pg_catalog.pg_description",
        "update pg_settings set setting = 'replica' where name = 'session_replication_role'",
    ] {
        House::is_refused(&house.writes, &[statement])?;
    }
    for statement in [
        "create function pg_catalog.hx(text) returns text language sql as 'select $1'",
        "create view information_schema.v as select id, full_name from customers",
        "alter function pg_catalog.pg_ls_dir(text) immutable",
        "alter function pg_ls_dir(text) rename to harmless2",
        "create or replace function public.unaccent(text) returns text language sql immutable as 'select $1'",
        "alter function unaccent(text) volatile",
        "create or replace function imm(bigint) returns text language sql as 'select 1::text'",
        "create domain pg_catalog.mine as text",
        "create type ra as range (subtype = int, subtype_diff = evrow)",
        "create statistics st on (evrow(id::int)) from orders",
        "create table ex (a int, exclude using btree ((evrow(a)) with =))",
        "create table tt (a int, check (tt.evall))",
        "create index on orders ((orders.evall))",
        "create index pidx on customers (id) where full_name like 'Realname17%'",
    ] {
        House::is_refused(&house.defines, &[statement])?;
    }
    house.is_untouched()
}

#[test]
fn what_was_made_by_others_is_none_of_the_servers_own() -> Result<()> {
    let house = House::start()?;
    house.fixture.truth(
        "create function pg_catalog.hx(text) returns text language sql volatile as 'select full_name from public.customers where id = 17';
         create view information_schema.v as select id, full_name, email from public.customers;",
    )?;
    House::is_refused(&house.reads, &["select hx('x')"])?;
    House::is_refused(&house.reads, &["select pg_catalog.hx('x')"])?;
    House::tells_nothing(&house.reads, &["select * from information_schema.v limit 3"])?;
    House::is_refused(&house.reads, &["select id from information_schema.v where email = 'raw.person17@example.org'"])
}

#[test]
fn names_mean_what_they_mean_now() -> Result<()> {
    let house = House::start()?;
    let steal = "select replace(note, ' ', '_') from orders limit 3";
    let shadow = "create view gatehouse.orders as select id, full_name as note from customers";
    House::tells_nothing(&house.defines, &["create schema gatehouse", shadow, steal])?;
    house.fixture.truth("drop schema gatehouse cascade")?;
    let flow = "insert into sink select id, note from orders";
    for statements in [
        &["create temp view orders as select id, full_name as note from customers", flow][..],
        &["begin", "create schema gatehouse", shadow, flow],
        &[
            "begin",
            "alter table orders rename to orders_before",
            "create view orders as select id, full_name as note from customers",
            flow,
        ],
    ] {
        House::is_refused(&house.defines, statements)?;
    }
    // What another session defined counts at once.
    let mut other = RawClient::connect(&house.reads)?;
    other.send(&[query("select x from v9 limit 1")])?;
    other.until_ready(1)?;
    House::said(&house.defines, &["drop view v9", "create view v9 as select id, full_name as x from customers"])?;
    other.send(&[query("select replace(x, ' ', '_') from v9 limit 3")])?;
    let said = other.until_ready(1)?;
    assert!(!said.contains("Realname"), "{said}");
    House::is_refused(&house.defines, &["create or replace view v1 as select id, tier as x from customers"])?;
    let attach = [
        "create table secretnotes (id bigint, a text, b text)",
        "alter table par attach partition secretnotes for values from (1) to (1000)",
    ];
    House::said(&house.defines, &attach)?;
    // A mistaken name might be a new one, and whoever mistook it is told.
    let said = house.fixture.psql(&house.reads, "select id from ordrs where id = 1")?;
    assert!(said.contains("HINT:  \"ordrs\" is not in the database's catalog"), "{said}");
    Ok(())
}

/// The parser goes one call deeper for each comment: a long run of them must not end the process.
#[test]
fn a_statement_of_comments_ends_no_gateway() -> Result<()> {
    let house = House::start()?;
    for comment in ["--\n", "--x\n \t", "/**/--\n", "--\r", "\u{b}--\n", "\u{c}--\n", "--'\n'--\n"] {
        House::is_refused(&house.reads, &[&format!("select {}1", comment.repeat(30_000))])?;
    }
    let said =
        House::said(&house.reads, &[&format!("select {}42", "-- why\n".repeat(1_000)), "select 43 -- -----------"])?;
    assert!(said.contains("42") && said.contains("43"), "{said}");
    Ok(())
}

#[test]
fn operators_that_syntax_stands_for_are_calls() -> Result<()> {
    let house = House::start()?;
    house.fixture.truth(
        "create operator >= (leftarg = customers, rightarg = customers, function = tells);
         create operator = (leftarg = customers, rightarg = customers, function = tells);",
    )?;
    for statement in [
        "select count(*) from customers a, customers b where a between b and b",
        "select case c when c then 1 end from customers c",
        "select id from customers c where c in (select d from customers d)",
        "select count(*) from (select c from customers c) x join (select c from customers c) y using (c)",
        "select count(*) from (select c from customers c) x natural join (select c from customers c) y",
    ] {
        House::is_refused(&house.reads, &[statement])?;
    }
    house.is_untouched()
}

#[test]
fn what_code_raises_at_a_place_in_the_text_is_not_shown() -> Result<()> {
    let house = House::start()?;
    House::tells_nothing(&house.reads, &["select 'x'::loud", "select loud 'x'", "select cast('x' as loud)"])?;
    for statement in [
        "insert into parts values (1, 'x')",
        "insert into parts_1 values (1, 'x')",
        "insert into checked values (1, 'x')",
        "insert into heard (tone) values ('x')",
        "insert into heard (tones) values ('{x}')",
        "insert into heard (sound) values (row('x'))",
        "insert into sink select 1, 'x'::loud",
    ] {
        House::tells_nothing(&house.writes, &[statement])?;
    }
    House::tells_nothing(&house.defines, &["truncate quiet cascade"])?;
    // What the server says of a client's own constants is shown.
    let said = House::said(&house.reads, &["select id from orders where id = 'abc'"])?;
    assert!(said.contains("abc"), "{said}");
    Ok(())
}

#[test]
fn a_value_in_another_form_stays_out_of_its_own_column() -> Result<()> {
    let house = House::start()?;
    for statement in [
        "update customers set email = reverse(email)",
        "update customers set email = substring(email from 3) where id = 17",
        "update customers set email = case when email < 'm' then email end",
        "insert into customers (id, email) select id + 100000, lower(email) from customers",
    ] {
        House::is_refused(&house.writes, &[statement])?;
    }
    let said = House::said(&house.writes, &["update customers set email = email where id = 17"])?;
    assert!(said.contains("UPDATE 1"), "{said}");
    Ok(())
}

#[test]
fn what_a_transaction_defined_is_in_doubt() -> Result<()> {
    let house = House::start()?;
    let steal = "insert into sink select id, note from orders";
    for statements in [
        // Functions and types that were not there when the catalog was read.
        &[
            "begin",
            "create function shapes(customers) returns text language sql as 'select $1.full_name'",
            "select c.shapes from customers c",
        ][..],
        &[
            "begin",
            "create function zz(orders) returns text language sql as 'select full_name from customers where id = 17'",
            "insert into sink select id, o.zz from orders o",
        ],
        &[
            "begin",
            "create domain public.int4 as text",
            "set search_path to public, pg_catalog",
            "select email::int4 from customers",
        ],
        // What newer servers have syntax for is a call for this one.
        &[
            "begin",
            "create function \"json_scalar\"(bigint) returns text language sql as 'select full_name::text from customers where id = 17'",
            "select json_scalar(id) from orders",
        ],
        // Tables whose columns come to be others.
        &["begin", "alter table customers rename to people", "alter table people rename to folk"],
        &["begin", "create table t1 (note text)", "alter table t1 rename to t2"],
        &["begin", "create view v9 as select 1", "rollback", "begin", "drop view v9 cascade", steal],
        &["begin", "drop schema public cascade", steal],
        &["begin", "alter table orders drop column note", "alter table orders add column note text", steal],
        &["begin", "alter table vt set schema pg_catalog"],
        &["alter table orders set schema pg_temp"],
        &["alter function imm(bigint) set schema pg_catalog"],
        &["set search_path to pg_catalog", "alter domain int4 rename to int44"],
        &["alter type text rename to texte"],
        &["drop collation \"C\""],
        &["alter text search configuration english rename to anglais"],
        &["alter text search dictionary simple (accept = false)"],
        &["create domain pg_catalog.mine as text"],
        &["create type information_schema.mine as enum ('a')"],
    ] {
        House::is_refused(&house.defines, statements)?;
    }
    // The end of what came before says nothing of what has begun.
    let mut client = RawClient::connect(&house.defines)?;
    let made = "create function shapes(customers) returns text language sql as 'select $1.full_name'";
    client.send(&[query("select count(*) from generate_series(1, 3000000)"), query(&format!("begin; {made}"))])?;
    client.until_ready(2)?;
    client.send(&[query("select shapes(c) from customers c")])?;
    let said = client.until_ready(1)?;
    assert!(said.contains("42501"), "{said}");
    drop(client);
    // What was computed from others stays what it is.
    House::is_refused(&house.defines, &["alter table shouting alter column shout drop expression"])?;
    House::tells_nothing(&house.defines, &["select shout from shouting limit 3"])?;
    for statement in [
        "create unique index on customers ((email < 'm'))",
        "create statistics st on (email < 'm'), tier from customers",
        "alter table customers add check (email < 'm')",
        "alter domain loud add check (value < 'm')",
        "create table byname (id bigint, email text) partition by list (email)",
    ] {
        House::is_refused(&house.defines, &[statement])?;
    }
    // And what harms nobody passes, in a session that set something before as well.
    let plain = [
        "set statement_timeout to '20s'",
        "begin",
        "create table notes (id bigint primary key, note text check (length(note) < 200))",
        "alter table orders add column seen boolean not null default false check (seen is not null)",
        "create index on orders (lower(note))",
        "alter type cat add value 'c'",
        "update orders set seen = true where id = 1",
        "insert into notes select id, 'x' from orders where id = 1",
        "commit",
        "select note, seen from notes join orders using (id, note) where id = 1",
        "select tier from customers where id = 1",
        "drop table notes",
    ];
    let temporary = [
        "create temp table scratch (id bigint)",
        "drop table scratch cascade",
        "select now(), upper(note) from orders where id = 1 and note is not null",
    ];
    for statements in [&plain[..], &temporary] {
        let said = House::said(&house.defines, statements)?;
        assert!(!said.contains("42501") && !said.contains("ERROR"), "{said}");
    }
    Ok(())
}

/// A name is looked for among all columns, as often as it is written: that must not take minutes.
#[test]
fn names_among_many_columns_are_counted() -> Result<()> {
    let house = House::start()?;
    let columns: Vec<String> = (0..1_500).map(|number| format!("column_{number} int")).collect();
    house.fixture.truth(&format!("create table wide ({})", columns.join(", ")))?;
    let names = vec!["column_1499"; 200_000].join(", ");
    House::is_refused(&house.reads, &[&format!("select 1 from wide where 1 in ({names})")])
}

/// The server looks the names of what is no query up when it runs it, not when it is bound.
#[test]
fn what_is_no_query_runs_as_it_was_bound() -> Result<()> {
    let objects = "create schema rep; create view rep.orders as select id, full_name as note from customers;
        create function rep.lower(text) returns text language plpgsql as $$ begin insert into public.touched values ('lower'); return 'x'; end $$";
    let house = House::start_with("", "", objects)?;
    let set = [parse("set", "set search_path to rep"), bind("", "set"), execute("")];
    for (who, late) in [
        (&house.reads, "copy (select note || '' from orders where note like '%17 R%') to stdout"),
        (&house.reads, "copy orders (id, note) to stdout"),
        (&house.reads, "copy (select lower('a'::text)) to stdout"),
        (&house.reads, "prepare q as select note || '' from orders where note like '%17 R%'"),
        (&house.reads, "explain analyze select 1 from orders where note like '%17 R%'"),
        (&house.reads, "declare c cursor with hold for select note || '' from orders"),
        (&house.defines, "truncate orders"),
        (&house.defines, "select note || '' as n into late from orders"),
    ] {
        let mut client = RawClient::connect(who)?;
        let bound = [parse("late", late), bind("late", "late")];
        client.send(&[&bound[..], &set, &[execute("late"), sync()]].concat())?;
        let mut said = client.until_ready(1)?;
        client.send(&[query("execute q"), query("fetch all from c")])?;
        said.push_str(&client.until_ready(2)?);
        assert!(!said.contains("Realname") && said.contains("before anything else"), "{late}\n{said}");
    }
    // Two that are bound before either runs.
    let mut client = RawClient::connect(&house.defines)?;
    let both = [
        parse("a", "alter table customers rename full_name to x_full_name"),
        parse("b", "alter table customers rename x_full_name to plain"),
        bind("a", "a"),
        bind("b", "b"),
        execute("a"),
        execute("b"),
        sync(),
    ];
    client.send(&both)?;
    let said = client.until_ready(1)?;
    assert!(said.contains("42501") || said.contains("before anything else"), "{said}");
    assert_eq!(house.fixture.truth("select count(*) from customers where full_name like 'Real%'")?, "200");
    // And as drivers send them they pass, one after the other.
    let mut client = RawClient::connect(&house.defines)?;
    for statement in ["create table late (id bigint)", "explain select 1", "prepare p as select 1", "drop table late"] {
        client.send(&[parse("", statement), bind("", ""), execute(""), sync()])?;
        let said = client.until_ready(1)?;
        assert!(!said.contains("ERROR"), "{statement}\n{said}");
    }
    house.is_untouched()
}

/// Views, checks and keys choose rows by a column that comes to be of a class afterwards.
#[test]
fn nothing_comes_to_be_classified_under_what_chooses_by_it() -> Result<()> {
    let objects = "create table family1 (id bigint, a text); create table kid1 () inherits (family1);
        create function a(kid1) returns text language sql as 'select full_name from customers where id = 17';
        create table t1 (id bigint, plain text); create view u as select id, tier as nm from customers;
        create view lv as select id from u where nm like 'Realname17%';
        create table bd (id bigint, birth_date date); create table days (d date primary key);
        create view v10 as select id, tier as x from customers; create materialized view mv10 as select x from v10;
        create function helper() returns text language sql as 'select 1::text';
        create domain dm as text check (value < 'Realname5');
        create extension btree_gist; create table wide (full_name text); create table short (full_name varchar(8))";
    let house = House::start_with("", "", objects)?;
    for statements in [
        &["create or replace view u as select id, full_name as nm from customers"][..],
        &["alter table t1 rename column plain to full_name"],
        &["begin", "alter table family1 rename column a to zzz", "insert into sink select id, k.a from kid1 k"],
        &["alter table customers rename full_name to x_full_name; alter table customers rename x_full_name to plain"],
        &["create or replace view v10 as select id, full_name as x from customers; refresh materialized view mv10; \
           create or replace view v10 as select id, tier as x from customers"],
        &["create trigger tt before update on customers for each row when (new.full_name like 'R%') \
           execute function suppress_redundant_updates_trigger()"],
        &["alter table bd add foreign key (birth_date) references days (d)"],
        &["create table bd2 (birth_date date references days (d))"],
        &["alter function helper() rename to helper_old"],
        &["drop function helper()"],
        &["create function helper(text) returns text language sql as 'select 2::text'"],
        &["create function upper(customers) returns text language sql as 'select 2::text'"],
        &["create table two (full_name dm)"],
        &["alter table t1 add column email dm generated always as (plain) stored"],
        &["create table ex (email text, exclude using gist (email with =))"],
        &["alter table customers alter column full_name type varchar(20)"],
        &["select email || '{a}'::text[] from customers"],
        &["create table three as select null::dm as full_name"],
        &["select null::dm as full_name into three"],
        &["create table three (full_name _dm)"],
        &["create table three (full_name dm[])"],
        &["insert into short select full_name from customers"],
        &["update short set full_name = c.full_name from customers c"],
        &["alter table t1 alter column plain set default current_query()"],
        &["create table three (id bigint, said text default current_query())"],
        &["create view three as select current_query() as said"],
        &["create index on wide (full_name)"],
        &["create table three (id bigint, full_name text primary key)"],
        &["create table three (id bigint, full_name text, unique (id, full_name))"],
        &["alter table wide add unique (full_name)"],
        &["cluster wide using anything"],
        &["cluster"],
        &["create table likewise (like customers including all)"],
        &["create index on wide (lower('x')) include (full_name)"],
        &["set enable_seqscan = off"],
        &["set seq_page_cost = 100000"],
        &["create collation three (provider = icu, locale = 'und', deterministic = false)"],
        &["select array['x'] || email from customers"],
    ] {
        House::is_refused(&house.defines, statements)?;
    }
    for statement in [
        "create or replace view u as select id, note as nm from orders",
        "alter table t1 rename column plain to plainer",
        "create trigger tt before update on orders for each row when (new.note is distinct from old.note) \
         execute function suppress_redundant_updates_trigger()",
        "create table fk (order_id bigint references orders (id) unique, email text)",
        "create function fresh(bigint) returns bigint language sql as 'select 1::bigint'",
        "select email || '-' || tier from customers where id = 1",
        "insert into wide select full_name from customers",
        "create table likewise (like customers including defaults including constraints)",
    ] {
        let said = House::said(&house.defines, &[statement])?;
        assert!(!said.contains("ERROR"), "{statement}\n{said}");
    }
    house.is_untouched()
}

/// What makes a value of somebody's type runs code, which may speak of anything.
#[test]
fn code_behind_types_speaks_to_nobody() -> Result<()> {
    let objects = "create table casting (id bigint, note text check (note::loud is not null or true));
        create table holding (id bigint, h heard); create table plain (id bigint, note text);
        create type span as range (subtype = loud); create table spans (id bigint, s span)";
    let house = House::start_with("", "", objects)?;
    let loud = house.fixture.truth("select 'loud'::regtype::oid")?.parse::<u32>()?.to_be_bytes();
    let mut client = RawClient::connect(&house.reads)?;
    let typed = frame(b'P', &[b"t\0select $1\0", &1_i16.to_be_bytes(), &loud]);
    let value = frame(b'B', &[b"\0t\0", &[0, 0, 0, 1, 0, 0, 0, 1], b"x", &[0, 0]]);
    client.send(&[typed, value, execute(""), sync()])?;
    let said = client.until_ready(1)?;
    assert!(!said.contains("Realname") && said.contains("E S"), "{said}");
    House::tells_nothing(
        &house.reads,
        &[
            "prepare p(loud) as select $1",
            "execute p('x')",
            "select jsonb_populate_record(null::heard, '{\"tone\":\"x\"}')",
            "select * from jsonb_to_record('{\"a\":\"x\"}') as t(a loud)",
            "select * from rows from (jsonb_to_record('{\"a\":\"x\"}') as (a loud)) t",
            "select * from xmltable('/a' passing '<a>x</a>'::xml columns a loud path '.')",
            "select xmlserialize(content '<a/>'::xml as loud)",
            "select ('x').loud",
            "select ($$x$$).loud",
        ],
    )?;
    House::tells_nothing(
        &house.writes,
        &[
            "insert into casting values (1, 'x')",
            "insert into holding values (1, row(1, 'x', null, null))",
            "insert into spans values (1, '[a,b)')",
        ],
    )
}

/// A class that the configuration gives to a column of one table is its kin's too.
#[test]
fn classes_of_kin_stay_with_what_they_had() -> Result<()> {
    let objects = "create table open (id bigint, note text) partition by range (id);
        create table open_1 partition of open for values from (0) to (1000);
        create table secretnotes (id bigint, note text); insert into secretnotes values (5000, 'Topsecret Realname');
        create view open_v as select id, note from open;
        create view open_f as select id from open where note like 'Top%';
        create table par2 (id bigint, note text); create table kid2 () inherits (par2);
        create table kept (id bigint, note text) partition by range (id);
        create table kept_1 partition of kept for values from (0) to (1000);
        create table secretkept partition of kept for values from (1000) to (9000);
        insert into kept values (5000, 'Topsecret Realname');
        create table public_notes (id bigint, note text check (note < 'Tops')); create type a_note as (id bigint, note text)";
    let config = "[classes.secret]\nmask = \"redact\"\n";
    let target = "[targets.shop.columns]\n\"public.secretnotes.note\" = \"secret\"\n\"public.secretkept.note\" = \"secret\"\n\
         \"public.secretlike.note\" = \"secret\"";
    let house = House::start_with(config, target, objects)?;
    let attach = "alter table open attach partition secretnotes for values from (1000) to (9000)";
    for statements in [
        &[attach][..],
        &["alter table secretnotes inherit par2"],
        &[
            "create table mid (id bigint, note text) partition by range (id)",
            "alter table mid attach partition secretnotes for values from (1000) to (9000)",
        ],
        &["drop table secretkept"],
        &["create table secretlike (like public_notes including all)"],
        &["create table secretlike of a_note"],
        &["create table secretlike as select id, '' as note from public_notes"],
        &["alter table only secretkept drop column note"],
    ] {
        House::is_refused(&house.defines, statements)?;
    }
    House::tells_nothing(
        &house.defines,
        &[
            "begin",
            attach,
            "select note from open_v",
            "insert into sink select id, note from open_v",
            "rollback",
            "select note from kept",
        ],
    )
}

/// A function or an operator is forbidden by its name, with its schema, however it is called or replaced.
#[test]
fn what_is_forbidden_by_name_has_no_other_name() -> Result<()> {
    let policies = r#"
        permit (principal in Group::"agents", action in [Action::"connect", Action::"sql:read", Action::"sql:define", Action::"sql:call"],
          resource in Target::"shop");
        forbid (principal, action, resource == Function::"shop/public.===");
        forbid (principal, action, resource == Function::"shop/public.kept");
        permit (principal in Group::"dba", action, resource);
    "#;
    let fixture = Fixture::start(Setup { policies: policies.into(), ..Setup::default() })?;
    fixture.truth(
        "alter role gatehouse superuser;
         create function kept(int) returns text language sql as $$ select 'kept' $$;
         create function same(int, int) returns bool language sql as $$ select true $$;
         create schema lab; create function lab.kept(int) returns text language sql as $$ select 'lab' $$;
         create operator === (leftarg = int, rightarg = int, function = same)",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    for statement in [
        "select 1 === 2",
        "select 1 operator(public.===) 2",
        "set search_path to lab, public; select 1 === 2",
        "set search_path to lab, public; select kept(1)",
        "select kept(1)",
        "create or replace function kept(int) returns text language sql as $$ select 'other' $$",
        "create or replace function public.kept(int) returns text language sql as $$ select 'other' $$",
        "set search_path to nowhere, public; create or replace function kept(int) returns text language sql as $$ select 'other' $$",
    ] {
        let said = fixture.psql(&agent, statement)?;
        assert!(said.contains("denied by policy"), "{statement}\n{said}");
    }
    assert_eq!(fixture.truth("select kept(1)")?, "kept");
    let said = fixture.psql(&agent, "select public.same(1, 2), lab.kept(1)")?;
    assert!(!said.contains("ERROR"), "{said}");
    Ok(())
}
