//! What the gateway knows of a database: the same by whichever way it was asked.

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use gatehouse_conformance::raw::{RawClient, frame};
use gatehouse_conformance::{Fixture, Setup};
use gatehouse_postgres::Postgres;
use gatehouse_protocol::{StreamProtocol as _, Survey};

/// One survey over a connection; it gives what the survey came to, as text.
fn survey(asked: &mut dyn Survey, over: &mut RawClient) -> Result<String> {
    let mut words = BytesMut::from(&*asked.question());
    let mut heard = BytesMut::new();
    loop {
        if !words.is_empty() {
            over.send(&[words.split().to_vec()])?;
        }
        let (tag, body) = over.answer()?;
        heard.extend(frame(tag, &[&body]));
        if let Some(facts) = asked.handle(&mut heard, &mut words)? {
            let told = Postgres::default().snapshot(&facts).context("a catalog")?;
            let mut lines: Vec<&str> = told.lines().collect();
            lines.sort_unstable();
            return Ok(lines.join("\n"));
        }
    }
}

#[test]
fn who_is_asked_again_tells_what_one_tells_who_was_never_asked() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let direct = fixture.direct();
    let connect = || RawClient::connect_to(&direct, "shop", &[("application_name", "survey")]);
    let (mut kept, mut asked) = (connect()?, Postgres::default().survey());
    let mut before = survey(&mut *asked, &mut kept)?;
    for change in [
        "create table halls (id bigint primary key, name text, number int check (number > 0)); \
         create index on halls (name, number) where number > 1",
        "create domain positive as int check (value > 0); create type place as (hall int, seat positive); \
         create function nothing(place) returns int language sql as 'select 1'; alter domain positive add check (nothing(null) > 0); \
         create table seats (where_it_is place, many positive[], span int4range); create table prices (seat seats)",
        "create view names as select name, upper(name) as loud from halls; alter table halls add wide int generated always as (number * 2) stored",
        "alter table halls rename name to title",
        "create operator public.<=-> (leftarg = int, rightarg = int, function = int4eq); create table parts (id int) partition by range (id)",
        // What is the server's own changes too, by whom it lets.
        "alter function pg_catalog.initcap(text) rename to capitals",
        "alter function pg_catalog.capitals(text) volatile",
        "set allow_system_table_mods = on; alter table pg_catalog.pg_description add remark text",
        "set allow_system_table_mods = on; alter type pg_catalog.macaddr8 rename to hardware",
        "alter schema information_schema rename to information",
        "create schema aside; alter function pg_catalog.capitals(text) set schema aside",
        "alter schema aside rename to beside",
        "drop view names; drop table halls, prices; drop table seats",
    ] {
        fixture.truth(change)?;
        let again = survey(&mut *asked, &mut kept)?;
        assert_ne!(again, before, "{change}");
        assert_eq!(again, survey(&mut *Postgres::default().survey(), &mut connect()?)?, "{change}");
        before = again;
    }
    assert_eq!(survey(&mut *asked, &mut kept)?, before);
    Ok(())
}

#[test]
fn what_is_set_off_is_known_by_the_write() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    fixture.truth(
        "create table halls (id int); create function noted() returns trigger language plpgsql as 'begin return null; end'; \
         create trigger noted after insert or delete on halls execute function noted(); \
         create trigger emptied after truncate on halls execute function noted(); \
         alter table halls disable trigger emptied; create rule kept as on update to halls do instead nothing",
    )?;
    let fact = |sql: &str, fact: &str| -> Result<bool> {
        let told = fixture.json(&["explain", "--target", "shop", "--identity", "agent:claude", sql])?;
        told["facts"][fact].as_bool().with_context(|| format!("{sql}: {told}"))
    };
    for (sql, triggers, rules) in [
        ("insert into halls values (1)", true, false),
        ("delete from halls", true, false),
        ("update halls set id = 2", false, true),
        ("truncate halls", false, false),
    ] {
        assert_eq!((fact(sql, "has_triggers")?, fact(sql, "has_rules")?), (triggers, rules), "{sql}");
    }
    Ok(())
}
