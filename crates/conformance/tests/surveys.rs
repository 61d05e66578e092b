//! What the gateway knows of a database: the same by whichever way it was asked.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use gatehouse_conformance::fixture::SHOP;
use gatehouse_conformance::raw::{RawClient, frame};
use gatehouse_conformance::{Fixture, Setup};
use gatehouse_postgres::Postgres;
use gatehouse_protocol::{StreamProtocol as _, Survey};

/// One survey over a connection; it gives what the survey came to, as text.
fn survey(asked: &mut dyn Survey, over: &mut RawClient) -> Result<String> {
    survey_in_words(asked, over).map(|(told, _)| told)
}

/// The same, and all words that asked.
fn survey_in_words(asked: &mut dyn Survey, over: &mut RawClient) -> Result<(String, String)> {
    let mut words = BytesMut::from(&*asked.question());
    let mut heard = BytesMut::new();
    let mut said = String::new();
    loop {
        if !words.is_empty() {
            said += &String::from_utf8_lossy(&words);
            over.send(&[words.split().to_vec()])?;
        }
        let (tag, body) = over.answer()?;
        heard.extend(frame(tag, &[&body]));
        if let Some(facts) = asked.handle(&mut heard, &mut words)? {
            let told = Postgres::default().snapshot(&facts).context("a catalog")?;
            let mut lines: Vec<&str> = told.lines().collect();
            lines.sort_unstable();
            return Ok((lines.join("\n"), said));
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
        // What a view's definition names.
        "create type mood as enum ('glad'); create type pair as (one int, other text); \
         create table moods (mood mood, pair pair, at text); create schema odd; \
         create function pairs() returns setof pair language sql as 'select null::pair'; \
         create function all_moods() returns setof moods language sql as 'select * from moods'; \
         create operator public.### (leftarg = int, rightarg = int, function = int4pl); \
         create collation odd.plain (provider = libc, locale = 'C'); \
         create view told as select m.mood = 'glad' as glad, (m.pair).one as one, p.one as first, 1 ### 2 as three, \
         m.at collate odd.plain < 'x' as few, 'moods'::regclass::text as named, a.b from moods m, pairs() p, all_moods() as a(a, b)",
        "alter type mood rename value 'glad' to 'happy'",
        "alter type pair rename attribute one to single cascade",
        "alter table moods rename at to place",
        "alter table moods add more int",
        "alter function pairs rename to couples",
        "alter operator public.### (int, int) set schema odd",
        "alter collation odd.plain rename to even",
        "alter schema odd rename to even",
        "alter table moods rename to tempers",
        "alter view told rename glad to is_glad",
        "create or replace view told as select null::bool as is_glad, 1 as one, 2 as first, 3 as three, true as few, '' as named, null::pair as b",
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

/// To read a definition takes locks on what it names, which others may meet.
#[test]
fn definitions_are_read_when_they_are_others() -> Result<()> {
    let fixture = Fixture::start(Setup { sql: String::new(), ..Setup::default() })?;
    fixture.truth("alter role gatehouse superuser; create table halls (id int, name text); create table seats (name text); create view ids as select id from halls; create view names as select name from seats")?;
    let oid = |view: &&str| fixture.truth(&format!("select '{view}'::regclass::oid"));
    let direct = fixture.direct();
    let mut over = RawClient::connect_to(&direct, "shop", &[("application_name", "survey")])?;
    let mut asked = Postgres::default().survey();
    let mut reads = |views: &[&str], knows: [bool; 2]| -> Result<()> {
        let (told, words) = survey_in_words(&mut *asked, &mut over)?;
        // Definitions are asked for last.
        let list = words.rsplit_once("any('{").and_then(|(_, rest)| rest.split_once('}')).context("a list")?.0;
        let list: BTreeSet<&str> = list.split(',').filter(|oid| !oid.is_empty()).collect();
        let oids = views.iter().map(oid).collect::<Result<Vec<String>>>()?;
        assert_eq!(list, oids.iter().map(String::as_str).collect(), "{views:?}");
        assert_eq!(
            ["FROM public.halls;", "FROM public.seats;"].map(|words| told.contains(words)),
            knows,
            "{views:?}: {told}"
        );
        Ok(())
    };
    reads(&["ids", "names"], [true, true])?;
    reads(&[], [true, true])?;
    fixture.truth("create or replace view ids as select id + 1 as id from halls")?;
    reads(&["ids"], [true, true])?;
    fixture.truth("insert into halls values (1); create table others (id int); analyze")?;
    reads(&[], [true, true])?;
    // What somebody changes now is not known, for whoever asks may be the one.
    let mut changing = RawClient::connect_to(&direct, "shop", &[])?;
    let mut change = |sql: &str| -> Result<String> {
        changing.send(&[frame(b'Q', &[sql.as_bytes(), b"\0"])])?;
        changing.until_ready(1)
    };
    change("begin; create or replace view names as select 'x' || name as name from seats")?;
    reads(&[], [true, false])?;
    change("rollback")?;
    reads(&["names"], [true, true])?;
    change("begin; lock table halls")?;
    reads(&[], [false, true])?;
    change("commit")?;
    reads(&["ids"], [true, true])
}

/// A constant of a type that was changed under it cannot be printed any more. Whoever may define things makes such a one.
#[test]
fn what_cannot_be_printed_hides_nothing_else() -> Result<()> {
    let fixture = Fixture::start(Setup { sql: String::new(), ..Setup::default() })?;
    fixture.truth(
        "create table people (full_name text primary key); create table visits (who text references people, id int); \
         create table sums (a int, b int generated always as (a + 1) stored, c int generated always as (a + 2) stored); \
         create view ids as select id from visits; create view names as select full_name from people; \
         create type mood as enum ('glad'); create type pair as (a int); create type pair2 as (a int); \
         create table trap (x int, y bool generated always as ('(5)'::pair is null) stored); \
         create view other_trap as select '(5)'::pair2 as p",
    )?;
    let over = || RawClient::connect_to(&fixture.direct(), "shop", &[("application_name", "survey")]);
    let mut kept = over()?;
    let mut asked = Postgres::default().survey();
    let before = survey(&mut *asked, &mut kept)?;
    fixture.truth("alter type pair alter attribute a type mood; alter type pair2 alter attribute a type mood")?;
    for told in [survey(&mut *Postgres::default().survey(), &mut over()?)?, survey(&mut *asked, &mut kept)?] {
        let is_known = |told: &str, relation: &str, word: &str| {
            let name = format!("\"name\":\"{relation}\"");
            told.lines().any(|line| line.contains(&name) && line.contains(word))
        };
        for (relation, word) in [
            ("visits", "\"refers\":[["),
            ("people", "\"keys\":[["),
            ("sums", "(a + 1)"),
            ("sums", "(a + 2)"),
            ("ids", "SELECT"),
            ("names", "SELECT"),
        ] {
            assert!(is_known(&before, relation, word) && is_known(&told, relation, word), "{relation}: {told}");
        }
        for (relation, word) in [("trap", "\"expression\""), ("other_trap", "SELECT")] {
            assert!(is_known(&before, relation, word) && !is_known(&told, relation, word), "{relation}: {told}");
        }
    }
    Ok(())
}

/// Whoever may define things makes a definition as long as he likes of a short text.
#[test]
fn a_definition_that_is_too_long_is_not_told() -> Result<()> {
    let fixture = Fixture::start(Setup { sql: String::new(), ..Setup::default() })?;
    let name = "s".repeat(63);
    let list = vec!["'a'"; 40_000].join(",");
    fixture.truth(&format!(
        "alter role gatehouse superuser; create schema {name}; create type {name}.{name} as enum ('a'); create table halls (id int); \
         create view ids as select id from halls"
    ))?;
    let mut over = RawClient::connect_to(&fixture.direct(), "shop", &[("application_name", "survey")])?;
    let view = format!("create view big as select 1 as one where 'a'::{name}.{name} in ({list})\0");
    over.send(&[frame(b'Q', &[view.as_bytes()])])?;
    anyhow::ensure!(over.until_ready(1)?.contains("CREATE VIEW"));
    let mut asked = Postgres::default().survey();
    for is_first in [true, false] {
        let (told, words) = survey_in_words(&mut *asked, &mut over)?;
        assert!(told.contains("FROM public.halls;") && !told.contains("SELECT 1 AS one"), "{told}");
        // It is not asked for again.
        let list = words.rsplit_once("any('{").and_then(|(_, rest)| rest.split_once('}')).context("a list")?.0;
        assert_eq!(list.is_empty(), !is_first, "{list}");
    }
    Ok(())
}

/// One asks, and whoever waited for that takes what was told: the target has one connection more, however many define things.
#[test]
fn sessions_share_surveys() -> Result<()> {
    const SESSIONS: usize = 12;
    const STATEMENTS: usize = 10;
    let policies = "permit (principal, action, resource);".into();
    let sql = format!("{SHOP}; grant create on schema public to gatehouse");
    let fixture =
        Fixture::start(Setup { policies, sql, settings: vec!["log_connections=on".into()], ..Setup::default() })?;
    let credential = fixture.task("agent:claude", "10m")?;
    std::thread::scope(|scope| {
        let define = |session: usize| -> Result<()> {
            let mut client = RawClient::connect_to(&credential, "shop", &[])?;
            for statement in 0..STATEMENTS {
                let sql = format!(
                    "create table t_{session}_{statement} (id int); select count(*) from t_{session}_{statement}\0"
                );
                client.send(&[frame(b'Q', &[sql.as_bytes()])])?;
                let told = client.until_ready(1)?;
                anyhow::ensure!(told.starts_with("C CREATE TABLE") && !told.contains("\nE "), "{told}");
            }
            Ok(())
        };
        let sessions: Vec<_> = (0..SESSIONS).map(|session| scope.spawn(move || define(session))).collect();
        sessions.into_iter().try_for_each(|session| session.join().expect("a session"))
    })?;
    let made = fixture.truth("select count(*) from pg_class where relname ~ '^t_[0-9]+_[0-9]+$'")?;
    assert_eq!(made, (SESSIONS * STATEMENTS).to_string());
    let log = std::fs::read_to_string(fixture.folder.path().join("postgres.log"))?;
    let dialed = log.lines().filter(|line| line.contains("application_name=gatehouse survey")).count();
    // More would be there where a survey takes so long that others wait no more.
    assert!((1..SESSIONS).contains(&dialed), "{dialed} connections for surveys");
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
