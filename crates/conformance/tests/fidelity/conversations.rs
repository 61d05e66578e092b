//! Conversations of a client with a database, message by message: what drivers say, and what only a test says.

use gatehouse_conformance::raw::{bind, describe, execute, frame, parse, query, sync};

/// What a client writes at once, and how many ReadyForQuery come back.
pub(crate) type Write = (Vec<Vec<u8>>, usize);

/// Each on a connection of its own, by name.
pub(crate) fn all() -> Vec<(&'static str, Vec<Write>)> {
    vec![
        ("simple queries", simple_queries()),
        ("transactions", transactions()),
        ("the extended protocol", the_extended_protocol()),
        ("portals in parts", portals_in_parts()),
        ("pipelines and errors", pipelines_and_errors()),
        ("statements and cursors of SQL", statements_and_cursors_of_sql()),
        ("copies", copies()),
        ("settings and notifications", settings_and_notifications()),
        ("definitions", definitions()),
        ("the fast path", the_fast_path()),
    ]
}

/// The same, for what is compared alone.
pub(crate) fn compared() -> Vec<(&'static str, Vec<Write>)> {
    let copy = |data: &[u8], end: Vec<u8>| -> Write {
        let begin = [parse("", "copy t (id, word) from stdin"), bind("", ""), describe(b'P', ""), execute("")];
        (begin.into_iter().chain([copy_data(data), end, sync()]).collect(), 1)
    };
    let done = || frame(b'c', &[]);
    let clear = || (vec![query("delete from t where id >= 4000 returning id, word")], 1);
    vec![
        ("a copy at once", vec![copy(b"4000\tin\n4001\tout\n", done()), clear()]),
        ("a copy of a bad line at once", vec![copy(b"bad\tline\n", done()), clear()]),
        ("a copy at once that is given up", vec![copy(b"4002\tin\n", frame(b'f', &[b"given up\0"])), clear()]),
    ]
}

const SELECT: &str = "select * from t where id < 4 order by id";

pub(crate) fn bind_with(
    portal: &str,
    statement: &str,
    formats: &[i16],
    values: &[Option<&[u8]>],
    results: &[i16],
) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0"].concat();
    let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
    body.extend(count(formats.len()));
    body.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
    body.extend(count(values.len()));
    for value in values {
        match value {
            None => body.extend((-1i32).to_be_bytes()),
            Some(value) => {
                body.extend(i32::try_from(value.len()).unwrap_or(i32::MAX).to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend(count(results.len()));
    body.extend(results.iter().flat_map(|format| format.to_be_bytes()));
    frame(b'B', &[&body])
}

fn execute_rows(portal: &str, rows: i32) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()])
}

fn close(kind: u8, name: &str) -> Vec<u8> {
    frame(b'C', &[&[kind], name.as_bytes(), b"\0"])
}

fn flush() -> Vec<u8> {
    frame(b'H', &[])
}

pub(crate) fn copy_data(data: &[u8]) -> Vec<u8> {
    frame(b'd', &[data])
}

fn simple_queries() -> Vec<Write> {
    vec![
        (vec![query(SELECT)], 1),
        (vec![query("select 1; select 2; select 'three' as x")], 1),
        (vec![query("")], 1),
        (vec![query(" ; ;")], 1),
        (vec![query("select 1 / 0")], 1),
        (vec![query("select 1; select 1 / 0; select 3")], 1),
        (vec![query("selec 1")], 1),
        (vec![query("select * from nowhere")], 1),
        (vec![query("select shout('hey')")], 1),
        (vec![query("show datestyle"), query("select 5"), query("select 6")], 3),
    ]
}

fn transactions() -> Vec<Write> {
    vec![
        (vec![query("begin")], 1),
        (vec![query("insert into t values (1000, 'x')")], 1),
        (vec![query("savepoint s"), query("insert into t values (1000, 'y')")], 2),
        (vec![query("select 1")], 1),
        (vec![query("rollback to s"), query("select count(*) from t"), query("rollback")], 3),
        (vec![query("commit")], 1),
        (vec![query("begin; select 1; commit; select 2")], 1),
    ]
}

fn the_extended_protocol() -> Vec<Write> {
    vec![
        (vec![parse("s", "select id, word from t where id = $1"), describe(b'S', "s"), sync()], 1),
        (vec![bind_with("", "s", &[0], &[Some(b"3")], &[]), describe(b'P', ""), execute(""), sync()], 1),
        (vec![bind_with("", "s", &[1], &[Some(&4i32.to_be_bytes())], &[1]), execute(""), sync()], 1),
        (vec![bind_with("", "s", &[0], &[None], &[1, 0]), describe(b'P', ""), execute(""), sync()], 1),
        (vec![bind_with("", "s", &[0], &[Some(b"oops")], &[]), execute(""), sync()], 1),
        (vec![bind_with("", "nothing", &[], &[], &[]), execute(""), sync()], 1),
        (vec![describe(b'S', "nothing"), sync()], 1),
        (vec![close(b'S', "s"), close(b'S', "never"), close(b'P', "never"), sync()], 1),
        (
            vec![
                parse("", "select $1::int + $2::int"),
                bind_with("", "", &[], &[Some(b"1"), Some(b"2")], &[1]),
                describe(b'P', ""),
                execute(""),
                sync(),
            ],
            1,
        ),
        (vec![parse("", ""), bind("", ""), describe(b'P', ""), execute(""), sync()], 1),
        (
            vec![
                parse("", "begin"),
                bind("", ""),
                execute(""),
                parse("", "select 1"),
                bind("", ""),
                execute(""),
                parse("", "commit"),
                bind("", ""),
                execute(""),
                sync(),
            ],
            1,
        ),
        (vec![sync(), sync(), sync()], 3),
    ]
}

fn portals_in_parts() -> Vec<Write> {
    vec![
        (vec![query("begin")], 1),
        (
            vec![
                parse("p", "select id from t order by id"),
                bind("c", "p"),
                describe(b'P', "c"),
                execute_rows("c", 3),
                execute_rows("c", 3),
                sync(),
            ],
            1,
        ),
        (vec![execute_rows("c", 2), sync()], 1),
        (vec![execute_rows("c", 0), execute_rows("c", 5), sync()], 1),
        (vec![close(b'P', "c"), execute_rows("c", 1), sync()], 1),
        (vec![query("rollback")], 1),
    ]
}

fn pipelines_and_errors() -> Vec<Write> {
    vec![
        (
            vec![
                parse("", "insert into t values (2000)"),
                bind("", ""),
                execute(""),
                sync(),
                parse("", "select 1 / 0"),
                bind("", ""),
                execute(""),
                parse("", "select 'skipped'"),
                bind("", ""),
                execute(""),
                sync(),
                parse("", "select 'goes on'"),
                bind("", ""),
                execute(""),
                sync(),
                parse("", "delete from t where id = 2000"),
                bind("", ""),
                execute(""),
                sync(),
            ],
            4,
        ),
        (vec![parse("a", "select 1"), parse("a", "select 2"), sync(), query("select 3")], 2),
    ]
}

fn statements_and_cursors_of_sql() -> Vec<Write> {
    vec![
        (
            vec![
                query("prepare q(int) as select word from t where id = $1"),
                query("execute q(7)"),
                query("execute q(8)"),
            ],
            3,
        ),
        (vec![parse("", "execute q(9)"), bind("", ""), describe(b'P', ""), execute(""), sync()], 1),
        (vec![query("deallocate q"), query("execute q(7)")], 2),
        (vec![query("begin; declare c scroll cursor for select id from t order by id")], 1),
        (vec![query("fetch 3 from c"), query("move 2 in c"), query("fetch backward 1 from c")], 3),
        (
            vec![
                parse("", "fetch 2 from c"),
                bind_with("", "", &[], &[], &[1]),
                describe(b'P', ""),
                execute(""),
                sync(),
            ],
            1,
        ),
        (vec![query("close c; commit")], 1),
    ]
}

fn copies() -> Vec<Write> {
    vec![
        (vec![query("copy (select id, word from t where id < 4 order by id) to stdout")], 1),
        (vec![query("copy (select id, word from t where id < 4 order by id) to stdout (format csv, header)")], 1),
        (vec![query("copy (select id, word, data from t where id < 4 order by id) to stdout (format binary)")], 1),
        (vec![query("copy t (id, word) from stdin"), copy_data(b"3000\tin\n3001\tout\n"), frame(b'c', &[])], 1),
        (vec![query("copy t (id, word) from stdin"), copy_data(b"3002\tin\n"), frame(b'f', &[b"given up\0"])], 1),
        (
            vec![query("copy t (id, word) from stdin"), copy_data(b"bad\tline\n"), frame(b'c', &[]), query("select 1")],
            2,
        ),
        (vec![parse("", "copy t (id, word) from stdin"), bind("", ""), execute(""), flush()], 0),
        (vec![copy_data(b"3003\tin\n"), frame(b'c', &[]), sync()], 1),
        (vec![parse("", "copy t (id) to stdout"), bind("", ""), execute(""), sync()], 1),
        (vec![query("delete from t where id >= 3000"), query("copy nowhere from stdin")], 2),
    ]
}

fn settings_and_notifications() -> Vec<Write> {
    vec![
        (vec![query("set timezone = 'Asia/Tokyo'; set application_name = 'x'")], 1),
        (vec![query("select made from t where id = 1")], 1),
        (vec![query("listen news"), query("select pg_notify('news', 'hello')"), query("unlisten *")], 3),
        (
            vec![
                query("set client_encoding = 'LATIN1'"),
                query("select chr(233)"),
                query("set client_encoding = 'UTF8'"),
            ],
            3,
        ),
        (
            vec![
                query("set standard_conforming_strings = off"),
                query(r"select 'a\'b'"),
                query("reset standard_conforming_strings"),
            ],
            3,
        ),
        (vec![query("set statement_timeout = 50"), query("select pg_sleep(2)"), query("reset statement_timeout")], 3),
        (vec![query("discard all"), query("reset all")], 2),
    ]
}

fn definitions() -> Vec<Write> {
    vec![
        (
            vec![query(
                "create temp table tt (a int, b text); insert into tt values (1, 'x'); select a + 0, b || '' from tt",
            )],
            1,
        ),
        (
            vec![query(
                "create table made_here (a int primary key); insert into made_here values (1); insert into made_here values (1)",
            )],
            1,
        ),
        (vec![query("create table made_here (a int); drop table made_here")], 1),
        (vec![query("do $$ begin raise notice 'done'; end $$")], 1),
        (vec![query("explain (costs off) select * from t where id = 1")], 1),
    ]
}

fn the_fast_path() -> Vec<Write> {
    vec![
        // 1299 is now(), 1397 is abs(int4).
        (
            vec![frame(
                b'F',
                &[&1397u32.to_be_bytes(), &[0, 1, 0, 1, 0, 1], &4i32.to_be_bytes(), &(-5i32).to_be_bytes(), &[0, 1]],
            )],
            1,
        ),
        (vec![frame(b'F', &[&999_999u32.to_be_bytes(), &[0, 0, 0, 0, 0, 0]]), query("select 1")], 2),
    ]
}
