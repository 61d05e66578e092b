//! Masking on the wire: every format that a value can leave in.

use std::process::Stdio;

use anyhow::Context as _;
use gatehouse_conformance::fixture::wait_until;
use gatehouse_conformance::http::{self, Door};
use gatehouse_conformance::raw::{RawClient, bind, execute, parse, query, sync};
use gatehouse_conformance::{Fixture, Setup};
use serde_json::json;
use tokio_postgres::SimpleQueryMessage;

/// What no client without `reveal` may ever see.
const RAW: [&str; 6] = ["raw.person", "Realname", "Rawlings", "REALNAME", "4111 1111 1111 1111", "202-555-01"];

fn assert_masked(said: &str, sql: &str) {
    for raw in RAW {
        assert!(!said.contains(raw), "`{sql}` lets `{raw}` through:\n{said}");
    }
    assert!(!said.contains("208-19-1009"), "`{sql}` lets a number through:\n{said}");
}

#[test]
fn nothing_classified_leaves_by_any_statement_that_policy_permits() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    for sql in [
        "select * from customers where id = 8",
        "table customers",
        "select full_name, email, ssn, phone, birth_date from customers order by id limit 5",
        "select email as x, upper(email), email || '!', substr(full_name, 1, 50), reverse(email) from customers limit 3",
        "select c from customers c limit 2",
        "select c.* from customers c limit 2",
        "select row_to_json(c), to_jsonb(c), c::text, array[c.email], row(c.email, 1) from customers c limit 2",
        "select json_agg(email), string_agg(email, ','), max(email), min(ssn), array_agg(full_name) from customers",
        "select (select email from customers where id = 8)",
        "with x as (select email as y from customers) select y, y || '' from x limit 3",
        "with recursive r(n, e) as (select 1, email from customers where id = 8 union all select n + 1, e from r where n < 3) select * from r",
        "select email from customers union select note from orders limit 5",
        "select * from contacts limit 3",
        "select * from contacts_again limit 3",
        "select shouted from contacts limit 3",
        "select leak(8)",
        "select note, profile from customers limit 3",
        "select profile -> 'contact' ->> 'email', profile #>> '{contact,email}' from customers limit 3",
        "copy customers to stdout",
        "copy (select email, full_name from customers limit 3) to stdout",
        "copy (select email, full_name from customers limit 3) to stdout with (format csv)",
        "copy (select email, full_name from customers limit 3) to stdout with (delimiter '|')",
        "copy customers to stdout with delimiter '|'",
        "copy customers to stdout (null '')",
        "copy customers to stdout csv header force quote *",
        "copy customers to stdout (format csv, quote E'\n', force_quote *)",
        "copy customers (full_name, email, note) to stdout (format csv, delimiter '@', quote '''', escape 'R')",
        "copy (select c, c.email || ',', row(c.full_name), leak(8) from customers c limit 3) to stdout csv",
        "copy customers to stdout (format binary)",
        "copy (select c, c.email || ',', row(c.full_name), leak(8) from customers c limit 3) to stdout (format binary)",
        "copy (select note from customers limit 3) to stdout with (format csv)",
        "copy (select note from customers limit 3) to stdout with (format binary)",
        "select array[note], row(note), note::bytea from customers limit 2",
        "begin; declare k cursor for select email, full_name || '!' from customers; fetch 3 from k; commit",
        "prepare p as select email, upper(full_name) from customers limit 3; execute p",
        "explain select email from customers where id = 8",
        "select most_common_vals, histogram_bounds from pg_stats where tablename = 'customers'",
        "select query from pg_stat_activity",
        "select email::int from customers limit 1",
        "select cast(full_name as integer) from customers",
        "select 1 / (length(email) - length(email)) from customers",
        "select pg_read_file('/etc/passwd')",
        "select query_to_xml('select email from customers', true, true, '')",
        "do $$ begin raise notice '%', (select email from customers limit 1); end $$",
        "select shout(8)",
        "select distinct email from customers limit 3",
        "select coalesce(email, ''), nullif(email, ''), case when true then email end, greatest(email, 'a') from customers limit 2",
        "select x.email from customers x join customers y using (email) limit 2",
        "select lag(email) over (order by id), first_value(full_name) over () from customers limit 3",
        "select unnest(array_agg(email)) from customers",
        "select regexp_split_to_table(email, '@') from customers limit 4",
        "values ((select email from customers where id = 8))",
        "select format('%s', email), concat(email, full_name), md5(email) from customers limit 2",
        "select U&\"em\\0061il\" from customers limit 2",
        "select \"email\" from public . customers limit 2",
    ] {
        let said = fixture.psql(&agent, sql)?;
        assert_masked(&said, sql);
    }
    // The recordings hold what the client saw; the journal holds less.
    for folder in ["recordings", "journal"] {
        for entry in std::fs::read_dir(fixture.data.join(folder))? {
            let content = std::fs::read(entry?.path())?;
            assert_masked(&String::from_utf8_lossy(&content), folder);
        }
    }
    Ok(())
}

#[test]
fn what_policy_reveals_is_shown_and_the_rest_is_not() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let support = fixture.task("user:sam", "10m")?;
    let said = fixture.psql(&support, "select email, full_name, note from customers where id = 8")?;
    assert!(said.contains("raw.person8@example.org|"), "{said}");
    assert!(!said.contains("Realname8") && !said.contains("4111 1111"), "{said}");
    Ok(())
}

#[test]
fn errors_quote_no_data_but_stay_useful() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup {
        policies: "permit (principal, action, resource) unless { action == Action::\"reveal\" };".into(),
        ..Setup::default()
    })?;
    let dba = fixture.task("user:dana", "10m")?;
    let said =
        fixture.psql(&dba, "update customers set email = (select email from customers where id = 2) where id = 1")?;
    assert_masked(&said, "a unique violation");
    let said =
        fixture.psql(&dba, "insert into customers (id, full_name, email) values (500, 'x', 'y'), (500, 'x', 'z')")?;
    assert!(said.contains("duplicate key value violates unique constraint \"customers_pkey\""), "{said}");
    let said = fixture.psql(&dba, "update customers set full_name = null where id = 3")?;
    assert_masked(&said, "a failing row");
    assert!(said.contains("null value in column \"full_name\""), "{said}");
    let said = fixture.psql(&dba, "select shout(8)")?;
    assert_masked(&said, "a notice of a function");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_results_are_masked_and_stay_valid() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let client = fixture.connect(&agent).await?;
    let sql =
        "select id, full_name, email, ssn, birth_date::text, tier, profile::text, note from customers where id = $1";
    let row = client.query_one(sql, &[&8i64]).await?;
    assert_eq!(row.get::<_, i64>("id"), 8);
    assert_eq!(row.get::<_, String>("tier"), "standard");
    let email: String = row.get("email");
    assert!(email.starts_with("user-") && email.ends_with("@masked.example"), "{email}");
    let ssn: String = row.get("ssn");
    assert!(ssn.chars().count() <= 11 && !ssn.contains("1009"), "{ssn}");
    let again = client.query_one(sql, &[&8i64]).await?;
    assert_eq!(again.get::<_, String>("email"), email, "equal values stay equal");
    let other = client.query_one(sql, &[&9i64]).await?;
    assert_ne!(other.get::<_, String>("email"), email);
    let note: String = row.get("note");
    assert_masked(&note, "note");
    assert!(note.contains("**** 1111"), "{note}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_and_arrays_keep_their_structure() -> anyhow::Result<()> {
    let columns = ["said", "told", "tags", "grid"].map(|column| format!("\"public.letters.{column}\" = \"private\"\n"));
    let fixture = Fixture::start(Setup {
        config: "[classes.private]\nmask = \"redact\"\n".into(),
        target: format!("[targets.shop.columns]\n{}", columns.concat()),
        ..Setup::default()
    })?;
    fixture.truth(
        "create table letters (id int, said jsonb, told json, tags text[], grid text[]);
         insert into letters values (1, '{\"a\": [\"Realname\", 17, null], \"b\": {\"c\": \"x\\\"y\"}}', '[true, \"Rawlings\"]',
           array['Realname', null, 'a, b'], array[['Realname'], ['Rawlings']]);
         grant select on letters to gatehouse;",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, "select said, told, tags, grid from letters")?;
    let hidden = "\"[redacted:private]\"";
    let expected = format!(
        "{{\"a\": [{hidden}, null, null], \"b\": {{\"c\": {hidden}}}}}|[null, {hidden}]|{{{hidden},NULL,{hidden}}}|"
    );
    assert_eq!(said.trim(), expected);
    let copied = fixture.psql(&agent, "copy letters to stdout")?;
    assert_masked(&copied, "a copy");

    let client = fixture.connect(&agent).await?;
    let row = client.query_one("select said, tags, grid from letters", &[]).await?;
    let document: serde_json::Value = row.get("said");
    let text = "[redacted:private]";
    assert_eq!(document, serde_json::json!({ "a": [text, null, null], "b": { "c": text } }));
    let texts: Vec<Option<String>> = row.get("tags");
    assert_eq!(texts, [Some(text.to_string()), None, Some(text.to_string())]);
    assert_eq!(row.get::<_, Option<Vec<String>>>("grid"), None);
    Ok(())
}

/// Fields of documents are masked where they are; whatever is taken from such a document is hidden.
#[tokio::test(flavor = "multi_thread")]
async fn fields_of_documents_are_masked_by_their_paths() -> anyhow::Result<()> {
    let fields =
        "{ \"to.home\" = \"private\", \"키\" = \"private\", \"to.mail\" = \"email\", \"parts[].by\" = \"secret\" }";
    let columns = ["data", "told", "plain"].map(|column| format!("\"public.letters.{column}\" = {fields}\n"));
    let fixture = Fixture::start(Setup {
        config: "[classes.private]\nmask = \"redact\"\n[classes.secret]\nmask = \"null\"\n".into(),
        target: format!("[targets.shop.documents]\n{}", columns.concat()),
        ..Setup::default()
    })?;
    fixture.truth(
        "create table letters (id int, data jsonb, told json, plain text);
         insert into letters values
           (1, '{\"n\": 17, \"to\": {\"city\": \"Rome\", \"home\": \"Realname 1\", \"mail\": \"raw.person@x\"}, \"parts\": [{\"n\": 1, \"by\": [\"Rawlings\"]}]}',
            '{\"to\" :{\"home\":\"Realname\",\"home\":[\"Rawlings\",2]}, \"To\":\"Rome\"}', '{\"to\":{\"home\":\"Realname\"}}'),
           (2, null, '\"nothing\"', null), (3, '{\"to\": \"{\\\"home\\\": \\\"Realname\\\"}\"}', '[]', '');
         grant select on letters to gatehouse;",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, "select told from letters order by id")?;
    let hidden = "\"[redacted:private]\"";
    assert_eq!(
        said.trim(),
        format!("{{\"to\" :{{\"home\":{hidden},\"home\":[{hidden},null]}}, \"To\":\"Rome\"}}\n\"nothing\"\n[]")
    );
    let said = fixture.psql(&agent, "select data from letters where id = 1")?;
    assert_masked(&said, "data");
    assert!(said.contains(&format!("\"to\": {{\"city\": \"Rome\", \"home\": {hidden}, \"mail\": \"user-")), "{said}");
    assert!(said.contains("\"parts\": [{\"n\": 1, \"by\": null}]"), "{said}");
    let said = fixture.psql(&agent, "select data, plain from letters order by id offset 1")?;
    assert!(said.starts_with("|\n") && said.contains("{\"to\": \"[redacted:") && !said.contains("Realname"), "{said}");

    // Binary, for an agent and for somebody who may see one of the classes.
    for (who, sees) in [("agent:claude", false), ("user:sam", true)] {
        let credential = fixture.task(who, "10m")?;
        let client = fixture.connect(&credential).await?;
        let row = client.query_one("select data, told from letters where id = $1", &[&1i32]).await?;
        let (data, told): (serde_json::Value, serde_json::Value) = (row.get("data"), row.get("told"));
        assert_eq!((data["n"].as_i64(), told["To"].as_str()), (Some(17), Some("Rome")));
        assert_eq!(data["to"]["home"].as_str(), Some("[redacted:private]"));
        assert_eq!(data["parts"], serde_json::json!([{ "n": 1, "by": null }]));
        assert_eq!(data["to"]["mail"].as_str() == Some("raw.person@x"), sees, "{who}: {data}");
    }

    // What is taken from a document, and what is of no documents or not for certain in UTF-8.
    let said = fixture.psql(&agent, "select data::text, to_jsonb(l) from letters l where id = 1")?;
    assert_eq!(said.trim(), "[redacted]|\"[redacted]\"");
    let said = fixture.psql(&agent, "set client_encoding to latin1; select data from letters where id = 1")?;
    assert_eq!(said.trim(), "\"[redacted]\"");
    // Copies have what rows have.
    for column in ["data", "told"] {
        let rows = fixture.psql(&agent, &format!("select {column} from letters where id = 1"))?;
        let copied = fixture.psql(&agent, &format!("copy (select {column} from letters where id = 1) to stdout"))?;
        assert_eq!(copied, rows, "{column}");
    }
    for options in ["", "csv"] {
        let said = fixture.psql(&agent, &format!("copy letters to stdout {options}"))?;
        assert_masked(&said, "a copy");
        assert!(said.starts_with('1') && said.contains("Rome") && !said.contains("Realname"), "{said}");
    }
    let copy = "set client_encoding to latin1; copy (select data from letters where id = 1) to stdout";
    assert_eq!(fixture.psql(&agent, copy)?.trim(), "[redacted]");
    // In binary form by field, where texts are in UTF-8 for certain.
    for (encoding, is_by_field) in [("UTF8", true), ("LATIN1", false), ("EUC_JP", false)] {
        let mut client = RawClient::connect_with(&agent, &[("client_encoding", encoding)])?;
        client.send(&[query("copy letters (id, data, told) to stdout (format binary)")])?;
        let said = client.until_ready(1)?;
        assert_masked(&said, encoding);
        assert!(said.contains("PGCOPY"), "{encoding}: {said}");
        for part in ["Rome", "[redacted:private]"] {
            assert_eq!(said.contains(part), is_by_field, "{encoding}: {said}");
        }
    }
    // In EUC_KR the bytes of this name are those of another one in UTF-8.
    fixture.truth("insert into letters values (9, '{\"키\": \"Realname\"}', '{\"키\": \"Realname\"}')")?;
    for encoding in ["UTF8", "EUC_KR"] {
        let mut client = RawClient::connect_with(&agent, &[("client_encoding", encoding)])?;
        for form in ["text", "csv", "binary", "csv, encoding 'UTF8'"] {
            let copy = format!("copy (select data, told from letters where id = 9) to stdout (format {form})");
            client.send(&[query(&copy)])?;
            let said = client.until_ready(1)?;
            assert!(said.contains("redacted") && !said.contains("Realname"), "{encoding}, {form}: {said}");
        }
        client.send(&[query("select data, told from letters where id = 9")])?;
        let said = client.until_ready(1)?;
        assert!(said.contains("redacted") && !said.contains("Realname"), "{encoding}: {said}");
    }
    for sql in [
        "select data -> 'to' from letters",
        "select data['n'] from letters",
        "select jsonb_path_query(data, '$.n') from letters",
        "select id from letters where data @> '{}'",
        "select id from letters where data ->> 'n' = '17'",
        "copy letters to stdout (null '')",
    ] {
        let said = fixture.psql(&agent, sql)?;
        assert!(said.contains("denied by policy"), "{sql}: {said}");
    }
    Ok(())
}

/// Values that forms of COPY write in odd ways, and types that are masked each in its own way.
const ODD: &str = r#"
create table odd (id int, email text, note text, born date, tags text[], place inet, said jsonb);
insert into odd
select id, email, note, date '2000-01-01', array['Realname', null], '10.0.0.1', '{"a": "Rawlings", "n": 5}'
from (values
  (1, 'plain', ''),
  (2, 'a,"b"', E'one\r\ntwo'),
  (3, E'tab\there|\\', 'write to bob@example.org, "soon"'),
  (4, '', '\.'),
  (5, 'NULL', 'NULL'),
  (6, '\N', E'back\\slash|pipe\ttab')
) as v (id, email, note);
insert into odd (id) values (7);
create table parts (id int, email text) partition by range (id);
create table parts_1 partition of parts for values from (0) to (100);
insert into parts values (1, 'Realname'), (2, null);
create table ancestors (id int, email text);
create table heirs (rank int) inherits (ancestors);
insert into heirs values (3, 'Realname', 9);
grant select on all tables in schema public to gatehouse;
"#;
/// The id, the email and the note of a row, as they are to be seen.
const MASKED: &str = "id, case when email is not null then '[redacted:email]' end as email, \
                      replace(note, 'bob@example.org', '[redacted:email]') as note";
/// Its tags and its document, which keep their structure.
const STRUCTURED: &str = r#"case when tags is not null then '{"[redacted:private]",NULL}' end as tags,
                            case when said is not null then '{"a": "[redacted:private]", "n": null}' end as said"#;

fn with_odd() -> anyhow::Result<Fixture> {
    let columns = ["born", "tags", "place", "said"].map(|column| format!("\"public.odd.{column}\" = \"private\"\n"));
    let fixture = Fixture::start(Setup {
        config: "[classes.private]\nmask = \"redact\"\n[classes.email]\nmask = \"redact\"\n".into(),
        target: format!("[targets.shop.columns]\n{}", columns.concat()),
        ..Setup::default()
    })?;
    fixture.truth(ODD)?;
    Ok(fixture)
}

/// In each form a copy through the gateway is what the server itself writes of the masked values.
#[test]
fn copies_as_text_are_those_of_masked_values() -> anyhow::Result<()> {
    let fixture = with_odd()?;
    let (agent, direct) = (fixture.task("agent:claude", "10m")?, fixture.direct());
    for options in [
        "",
        "(header)",
        "(delimiter '|')",
        "with delimiter as '['",
        "csv",
        "csv header",
        "(format csv, encoding 'UTF8', header true)",
        "(format csv, delimiter ';', quote '''', escape '\\', null 'NULL')",
        "(format csv, delimiter E'\\t', null '\\N')",
        // The mask has these in it.
        "(format csv, delimiter '[')",
        "(format csv, delimiter '|', quote ':', escape ']')",
        "csv header quote as '@' escape as '\\' force quote *",
    ] {
        let copy = |what: &str| format!("copy (select {what} from odd order by id) to stdout {options}");
        let seen = fixture.psql(&agent, &copy("id, email, note, tags, said"))?;
        let expected = fixture.psql(&direct, &copy(&format!("{MASKED}, {STRUCTURED}")))?;
        assert!(expected.contains("redacted") && !expected.contains("ERROR"), "{options}: {expected}");
        assert_eq!(seen, expected, "{options}");
    }
    Ok(())
}

/// So a pseudonym out of a copy names what it stands for, and a document is one.
#[test]
fn values_of_copies_are_masked_as_those_of_rows() -> anyhow::Result<()> {
    let columns =
        ["key", "said", "tags", "short", "born"].map(|name| format!("\"public.letters.{name}\" = \"private\"\n"));
    let fixture = Fixture::start(Setup {
        config: "[classes.private]\nmask = \"pseudonym\"\n".into(),
        target: format!("[targets.shop.columns]\n{}", columns.concat()),
        ..Setup::default()
    })?;
    fixture.truth(
        "create table letters (id int, key uuid, said jsonb, tags text[], short varchar(5), born date, note jsonb);
         insert into letters values (1, 'a0000000-0000-4000-8000-000000000001', '{\"a\": [\"Realname\", 17]}', array['Realname', null],
           'Rawli', '2000-01-01', '{\"n\": \"bob@example.org\"}');
         grant select on letters to gatehouse;",
    )?;
    let agent = fixture.task("agent:claude", "10m")?;
    for column in ["key", "said", "tags", "short", "note"] {
        let row = fixture.psql(&agent, &format!("select {column} from letters"))?;
        assert!(!row.trim().is_empty() && !row.contains("[redacted]"), "{column}: {row}");
        let copied = fixture.psql(&agent, &format!("copy (select {column} from letters) to stdout"))?;
        assert_eq!(copied, row, "{column}");
        let copied =
            fixture.psql(&agent, &format!("copy (select {column} from letters) to stdout csv force quote *"))?;
        assert_eq!(copied, format!("\"{}\"\n", row.trim_end().replace('"', "\"\"")), "{column}");
    }
    let key = fixture.psql(&agent, "copy letters (key) to stdout csv")?;
    let found = fixture.psql(&agent, &format!("select id from letters where key = '{}'", key.trim()))?;
    assert_eq!(found.trim(), "1");
    // What is computed is a text, and so is what is of a type that has no mask but NULL.
    assert_eq!(fixture.psql(&agent, "copy (select said::text from letters) to stdout")?, "[redacted]\n");
    let copied = fixture.psql(&agent, "copy letters (born) to stdout csv")?;
    assert!(copied.starts_with("private-"), "{copied}");
    Ok(())
}

#[test]
fn copies_of_tables_are_masked_as_those_of_queries() -> anyhow::Result<()> {
    let fixture = with_odd()?;
    let agent = fixture.task("agent:claude", "10m")?;
    for (sql, expected) in [
        // Names of columns pass.
        (
            "\\copy (select id, email, note from odd where id = 4) to stdout csv header",
            "id,email,note\n4,[redacted:email],\\.\n",
        ),
        // What is alone in its line is told from the end of all.
        ("copy (select note from odd where id = 4) to stdout csv", "\"\\.\"\n"),
        ("copy parts_1 to stdout csv", "1,[redacted:email]\n2,\n"),
        ("copy (select * from parts order by id) to stdout csv", "1,[redacted:email]\n2,\n"),
        ("copy heirs (rank, email) to stdout (format csv, header)", "rank,email\n9,[redacted:email]\n"),
        ("copy heirs to stdout with delimiter '|'", "3|[redacted:email]|9\n"),
    ] {
        assert_eq!(fixture.psql(&agent, sql)?, expected, "{sql}");
    }
    // A session in another encoding is told the same.
    let mut latin = fixture.psql_command(&agent);
    latin.env("PGCLIENTENCODING", "LATIN1");
    let copied = latin.args(["-c", "copy (select id, email from odd where id = 2) to stdout csv"]).output()?;
    assert_eq!(String::from_utf8_lossy(&copied.stdout), "2,[redacted:email]\n");
    for not_followed in ["(null '')", "(format csv, quote E'\\n')"] {
        let refused = fixture.psql(&agent, &format!("copy odd (email) to stdout {not_followed}"))?;
        assert!(refused.contains("denied by policy"), "{not_followed}: {refused}");
    }
    Ok(())
}

/// The data of what is asked, message by message.
fn copied(client: &mut RawClient, asked: &[Vec<u8>]) -> anyhow::Result<Vec<Vec<u8>>> {
    client.send(asked)?;
    let mut data = Vec::new();
    loop {
        match client.answer()? {
            (b'd', body) => data.push(body),
            (b'E', body) => anyhow::bail!("{}", String::from_utf8_lossy(&body)),
            (b'Z', _) => return Ok(data),
            _ => {}
        }
    }
}

#[test]
fn binary_copies_are_those_of_masked_values() -> anyhow::Result<()> {
    let fixture = with_odd()?;
    let agent = fixture.task("agent:claude", "10m")?;
    let (mut seen, mut direct) = (RawClient::connect(&agent)?, RawClient::connect(&fixture.direct())?);
    let masked = format!(
        "copy (select {MASKED}, null::date, case when tags is not null then array['[redacted:private]', null] end, \
         null::inet, case when said is not null then '{{\"a\": \"[redacted:private]\", \"n\": null}}'::jsonb end \
         from odd order by id) to stdout (format binary)"
    );
    let whole = copied(&mut direct, &[query(&masked)])?;
    assert_eq!(whole.len(), 8, "seven rows and the end");
    let few = copied(&mut direct, &[query("copy (select 7, 2, 'x1', null::text) to stdout (format binary)")])?;
    let none = copied(&mut direct, &[query("copy (select 1 where false) to stdout (format binary)")])?;
    for (sql, expected) in [
        ("copy (select * from odd order by id) to stdout (format binary)", &whole),
        ("copy odd to stdout binary", &whole),
        ("copy binary odd to stdout", &whole),
        ("copy odd (id, email, note, born, tags, place, said) to stdout with binary", &whole),
        ("copy (select 7, id + 1, 'x' || id, upper(email) from odd where id = 1) to stdout (format binary)", &few),
        ("copy (select email from odd where id > 9) to stdout (format binary)", &none),
    ] {
        let simple = copied(&mut seen, &[query(sql)]).with_context(|| sql.to_string())?;
        assert_eq!(&simple, expected, "{sql}");
        let extended = [parse("", sql), bind("", ""), execute(""), sync()];
        let extended = copied(&mut seen, &extended).with_context(|| sql.to_string())?;
        assert_eq!(&extended, expected, "{sql}");
    }
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_pipelines_and_prepared_get_what_they_ask_for() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let client = fixture.connect(&agent).await?;
    let orders = client.prepare("select total::text from orders where id = $1").await?;
    let emails = client.prepare("select email from customers where id = $1").await?;
    let asked = (1i64..50).map(|id| {
        let (client, orders, emails) = (&client, &orders, &emails);
        async move {
            let order = client.query_one(orders, &[&id]).await?.get::<_, String>(0);
            let email = client.query_one(emails, &[&id]).await?.get::<_, String>(0);
            Ok::<_, tokio_postgres::Error>((id, order, email))
        }
    });
    for (id, order, email) in futures_util::future::try_join_all(asked).await? {
        assert_eq!(order, format!("{:.2}", id as f64 * 1.5));
        assert!(email.ends_with("@masked.example"), "{email}");
    }
    // A refused statement in the middle of a pipeline disturbs neither its neighbours nor their order.
    let (before, refused, after) = tokio::join!(
        client.query_one("select 1", &[]),
        client.query("drop table orders", &[]),
        client.query_one("select 3", &[]),
    );
    assert_eq!((before?.get::<_, i32>(0), after?.get::<_, i32>(0)), (1, 3));
    assert!(refused.is_err());
    let messages = client.simple_query("select 1; select 'two'; select id from orders where id = 3").await?;
    let rows: Vec<&str> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    assert_eq!(rows, ["1", "two", "3"]);
    Ok(())
}

#[test]
fn copy_in_both_ways_and_large_results_pass() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let dba = fixture.task("user:dana", "10m")?;
    let file = fixture.folder.path().join("orders.txt");
    let lines: String = (1000..21000).map(|id| format!("{id}\t1\t2.50\tcopied {id}\n")).collect();
    std::fs::write(&file, lines)?;
    let said = fixture.psql(&dba, &format!("\\copy orders from '{}'", file.display()))?;
    assert_eq!(said, "");
    assert_eq!(fixture.truth("select count(*), sum(total) from orders where id >= 1000")?, "20000|50000.00");
    let back = fixture.folder.path().join("back.txt");
    fixture.psql(
        &dba,
        &format!("\\copy (select id, note from orders where id >= 1000 order by id) to '{}'", back.display()),
    )?;
    let text = std::fs::read_to_string(back)?;
    assert_eq!(text.lines().count(), 20000);
    assert_eq!(text.lines().last(), Some("20999\tcopied 20999"));
    let failed = fixture.psql(&dba, &format!("\\copy customers (id) from '{}'", file.display()))?;
    assert!(failed.contains("ERROR"), "{failed}");
    let said = fixture.psql(&dba, "select count(*), count(distinct note) from (select note from orders a cross join generate_series(1, 20) g where a.id >= 1000) x")?;
    assert_eq!(said.trim(), "400000|20000");
    let said = fixture.psql(&dba, "select id, total, customer_id from orders, generate_series(1, 5)")?;
    assert_eq!(said.lines().count(), 101_000);
    Ok(())
}

/// What refers to a column has its values, also those that a cascade brings later.
#[test]
fn foreign_keys_carry_classes() -> anyhow::Result<()> {
    let setup = Setup::default();
    let sql = format!(
        "{}\ncreate table members (handle text primary key);\n\
         create table visits (id int, who text references members on update cascade, note text);\n\
         insert into members values ('Realname One'), ('plain');\n\
         insert into visits values (1, 'Realname One', 'first'), (2, 'plain', 'second');\n\
         grant select, insert, update on all tables in schema public to gatehouse;",
        setup.sql
    );
    let target = "[targets.shop.columns]\n\"public.members.handle\" = \"person_name\"\n".into();
    let fixture = Fixture::start(Setup { sql, target, ..setup })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let seen = fixture.psql(&agent, "select who, note from visits order by id")?;
    assert!(seen.contains("first") && seen.contains("second") && !seen.contains("plain"), "{seen}");
    assert_masked(&seen, "visits");
    fixture.truth("update members set handle = 'Realname Two' where handle = 'plain'")?;
    assert_masked(&fixture.psql(&agent, "select * from visits")?, "visits");
    let probing = fixture.psql(&agent, "select note from visits where who = 'Realname Two'")?;
    assert!(probing.contains("denied by policy"), "{probing}");
    Ok(())
}

/// What takes long to look at takes it from no other session.
#[test]
fn a_long_value_keeps_nobody_waiting() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut long = Vec::new();
    for _ in 0..8 {
        let mut psql = fixture.psql_command(&agent);
        psql.args(["-c", "select note || repeat('1 ', 400000) from orders where id = 1"]);
        long.push(psql.stdout(Stdio::piped()).spawn()?);
    }
    // By as many sessions, so that each thread has some.
    for _ in 0..8 {
        assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    }
    let mut waits = 0;
    for psql in &mut long {
        waits += usize::from(psql.try_wait()?.is_none());
    }
    assert!(waits > 4, "only {waits} of what takes long had not ended before what does not");
    for psql in long {
        assert!(psql.wait_with_output()?.stdout.len() > 800_000);
    }
    Ok(())
}

/// Values of every class that detectors find, as they stand in columns, logs, settings and letters, and as many lines of what
/// only looks like one: none of them anybody's. Its scores stand in docs/masking.md.
#[test]
fn the_corpus_of_values_is_told_apart() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../mask/corpus/values.jsonl");
    let config = fixture.config().display().to_string();
    let output = fixture.command(&["mask", "test", corpus, "--config", &config, "--json"])?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let mut table = String::from("| class | found | missed | found where it is not | F1 |\n|---|---|---|---|---|\n");
    let mut all = [0; 3];
    let row = |class: &str, [right, missed, wrong]: [u64; 3]| {
        let f1 = 2000 * right / (2 * right + missed + wrong).max(1);
        format!("| {class} | {right} | {missed} | {wrong} | {}.{:03} |\n", f1 / 1000, f1 % 1000)
    };
    for (class, score) in report["scores"].as_object().context("scores")? {
        let score = ["right", "missed", "wrong"].map(|name| score[name].as_u64().unwrap_or_default());
        let [right, missed, wrong] = score;
        assert!(2000 * right >= 970 * (2 * right + missed + wrong), "less than it was to be: {}", row(class, score));
        all = std::array::from_fn(|place| all[place] + score[place]);
        table.push_str(&row(&format!("`{class}`"), score));
    }
    table.push_str(&row("all", all));
    let [right, missed, wrong] = all;
    assert!(2000 * right >= 970 * (2 * right + missed + wrong), "less than it was to be:\n{table}");
    let (lines, lines_wrong) = (report["lines_labelled"].as_u64(), report["lines_wrong"].as_u64());
    assert!(lines_wrong.context("wrong lines")? * 100 < lines.context("lines")?, "{table}");
    let documented = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/masking.md"))?;
    assert!(documented.contains(&table), "docs/masking.md has other scores than these:\n{table}");
    Ok(())
}

/// Views on views are looked through so deep; through deeper ones nothing of a class is seen either.
#[test]
fn views_that_are_too_deep_to_be_looked_through_show_nothing() -> anyhow::Result<()> {
    let setup = Setup::default();
    let view = |level: usize| {
        let below = if level == 1 { "customers".to_string() } else { format!("deep_{}", level - 1) };
        format!("create view deep_{level} as select id, email, full_name from {below};")
    };
    let views: String = (1..=18).map(view).collect();
    let sql = format!("{}\n{views}\ngrant select on all tables in schema public to gatehouse;", setup.sql);
    let fixture = Fixture::start(Setup { sql, ..setup })?;
    let agent = fixture.task("agent:claude", "10m")?;
    for level in [1, 15, 16, 17, 18] {
        let sql = format!("select id, email, full_name from deep_{level} where id = 8");
        let said = fixture.psql(&agent, &sql)?;
        assert_masked(&said, &sql);
        assert!(level > 15 || said.contains('8') && !said.contains("ERROR"), "{sql}: {said}");
    }
    Ok(())
}

/// A replay says which columns of a result were masked as a whole, once for each, and nothing of what is shown as it is.
#[test]
fn a_replay_tells_which_columns_were_masked() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(
        &agent,
        "select id, email, id + 1, ssn from customers order by id limit 5; select 7; select email from customers",
    )?;
    let newest = |part: &str| -> anyhow::Result<String> {
        let sessions = fixture.json(&["sessions", "ls"])?;
        Ok(sessions[0][part].as_str().context("a session")?.into())
    };
    wait_until("the session is over", || Ok(newest("state")? == "ended"))?;
    let path = format!("/api/v1/sessions/{}/moments", newest("id")?);
    let replay = http::call(Door::Socket(&fixture.data.join("admin.sock")), "GET", &path, &[], "")?.json();
    let moments = replay["moments"].as_array().context("moments")?;
    let masked: Vec<_> = moments.iter().filter(|moment| moment["kind"] == "masked").collect();
    let columns: Vec<_> = masked.iter().map(|moment| moment["columns"].clone()).collect();
    assert_eq!(columns, [json!([1, 3]), json!([0])], "{replay}");
    // On a terminal it is seen from what is shown.
    let shown = fixture.command(&["replay", &newest("id")?])?;
    assert!(!String::from_utf8(shown.stdout)?.contains("masked #"));
    Ok(())
}

/// Texts of one's own are tried on the detectors without a gateway.
#[test]
fn detectors_are_tried_on_a_file() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let file = fixture.folder.path().join("lines.txt");
    let config = fixture.config().display().to_string();
    let file_name = file.display().to_string();
    let test = |lines: &str, more: &[&str]| -> anyhow::Result<(bool, String, String)> {
        std::fs::write(&file, lines)?;
        let arguments = [&["mask", "test", &file_name, "--config", &config], more].concat();
        let output = fixture.command(&arguments)?;
        let text = |bytes| String::from_utf8(bytes);
        Ok((output.status.success(), text(output.stdout)?, text(output.stderr)?))
    };
    let (succeeded, shown, aside) = test("nothing here\nwrite to raw.person1@example.org\n", &[])?;
    assert!(succeeded && shown.contains("email") && !shown.contains("raw.person1"), "{shown}{aside}");
    assert!(aside.contains("2 lines were read; none of them says"), "{aside}");
    let right = r#"{"text": "write to raw.person1@example.org", "classes": ["email"]}
{"text": "order 4111111111111112", "classes": []}
"#;
    let (succeeded, shown, aside) = test(right, &["--target", "shop"])?;
    assert!(succeeded && shown.contains("1.000"), "{shown}{aside}");
    let differing = r#"{"text": "write to raw.person1@example.org", "classes": []}
{"text": "no number", "classes": ["phone"]}
"#;
    let (succeeded, shown, aside) = test(differing, &["--json"])?;
    let report: serde_json::Value = serde_json::from_str(&shown)?;
    assert!(!succeeded, "{shown}{aside}");
    assert_eq!(report["scores"]["phone"]["missed"], 1, "{shown}");
    assert_eq!(report["scores"]["email"]["wrong"], 1, "{shown}");
    assert_eq!(report["lines"][1]["line"], 2, "{shown}");
    for (lines, more, expected) in [
        ("x\n", &["--target", "nowhere"][..], "there is no target `nowhere`: there are shop"),
        (r#"{"text": "x", "classes": ["emial"]}"#, &[], "there is no class `emial`"),
        (&"x".repeat(5 * 1024 * 1024), &[], "is longer than 4194304 bytes"),
    ] {
        let (succeeded, shown, aside) = test(lines, more)?;
        assert!(!succeeded && aside.contains(expected), "{shown}{aside}");
    }
    Ok(())
}
