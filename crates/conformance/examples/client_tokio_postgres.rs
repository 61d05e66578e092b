//! tokio-postgres: binary throughout, statements pipelined, portals with row limits, COPY both ways, notifications.

#![expect(clippy::print_stdout, reason = "it prints what it sees")]

mod shared;

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, future};
use shared::{FAILURES, LARGE, definitions, end, place, show};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::DbError;
use tokio_postgres::types::{Json, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, IsolationLevel, NoTls, Row, SimpleQueryMessage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (mut client, mut messages) = connect().await?;
    for statement in definitions("gh_tokio_postgres") {
        client.batch_execute(&statement).await?;
    }
    types(&client).await?;
    statements(&client).await?;
    failures(&client).await;
    transactions(&mut client).await?;
    copies(&client).await?;
    notifications(&client, &mut messages).await?;
    cancellation(&client).await?;
    end();
    Ok(())
}

async fn connect() -> Result<(Client, UnboundedReceiver<AsyncMessage>)> {
    let mut config = Config::new();
    config.host(place("PGHOST")?).port(place("PGPORT")?.parse()?).user(place("PGUSER")?);
    config.password(place("PGPASSWORD")?).dbname(place("PGDATABASE")?).application_name("matrix");
    let (client, mut connection) = config.connect(NoTls).await?;
    let (sender, messages) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = future::poll_fn(|cx| connection.poll_message(cx)).await {
            let _ = sender.send(message);
        }
    });
    Ok((client, messages))
}

fn describe(error: &Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), fields)
}

/// Every field of an error or notice.
fn fields(error: &DbError) -> String {
    let position = error.position().map(|position| format!("{position:?}"));
    format!(
        "{} {} {:?} {:?} {:?} {position:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        error.severity(),
        error.code().code(),
        error.message(),
        error.detail(),
        error.hint(),
        error.where_(),
        error.schema(),
        error.table(),
        error.column(),
        error.datatype(),
        error.constraint(),
        error.routine(),
    )
}

async fn types(client: &Client) -> Result<()> {
    let values: [(&str, &(dyn ToSql + Sync)); 14] = [
        ("int2", &1_i16),
        ("int4", &-5_i32),
        ("int8", &(1_i64 << 40)),
        ("float4", &1.5_f32),
        ("float8", &0.1_f64),
        ("bool", &true),
        ("text", &"it's æ😀"),
        ("text", &None::<String>),
        ("bytea", &&b"\x00\xff"[..]),
        ("int4[]", &vec![Some(1_i32), None, Some(3)]),
        ("text[]", &vec!["a", "b c"]),
        ("oid", &7_u32),
        ("\"char\"", &99_i8),
        ("varchar(3)", &"abc"),
    ];
    for (kind, value) in values {
        let row = client.query_one(&format!("select ($1::{kind})::text, $1::{kind} is null"), &[value]).await?;
        show(kind, (row.get::<_, Option<String>>(0), row.get::<_, bool>(1)));
    }
    let row = client.query_one("select 1::int2, 2::int4, 3::int8, 1.5::float4, 0.1::float8, true", &[]).await?;
    show("numbers", (row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2), row.get::<_, f32>(3)));
    let row = client.query_one("select '\\xdead'::bytea, '{1,NULL}'::int4[], 'n'::name, null::text", &[]).await?;
    show("others", (row.get::<_, Vec<u8>>(0), row.get::<_, Vec<Option<i32>>>(1), row.get::<_, String>(2)));
    let json = Json(vec![1, 2]);
    show("json", client.query_one("select $1::jsonb -> 1", &[&json]).await?.get::<_, Json<i32>>(0).0);
    let statement = client.prepare("select 'ok'::mood, row(1, 'x')::pair, array['sad'::mood]").await?;
    let kinds: Vec<_> = statement.columns().iter().map(|column| (column.name(), column.type_().to_string())).collect();
    show("own types", kinds);
    Ok(())
}

async fn statements(client: &Client) -> Result<()> {
    show("insert", client.execute("insert into makers (title) values ($1), ($2)", &[&"Anna", &"Bo"]).await?);
    let titles = client.query("select id, title from makers order by id", &[]).await?;
    show("rows", titles.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, String>(1))).collect::<Vec<_>>());
    show("none", client.query_opt("select 1 where false", &[]).await?.is_none());
    let typed = client.prepare_typed("select $1 + 1", &[Type::INT8]).await?;
    show("parameters", typed.params());
    // Sent one behind the other, without a wait between.
    let sums = future::try_join_all([1_i64, 2, 3].map(|number| {
        let typed = &typed;
        async move { client.query_one(typed, &[&number]).await.map(|row| row.get::<_, i64>(0)) }
    }));
    show("pipelined", sums.await?);
    let divide = |number: i32| async move { client.query_one("select $1::int4 / ($1::int4 - 25)", &[&number]).await };
    let many = future::join_all((0..50).map(divide));
    let many = many.await.into_iter().map(|row| row.map(|row| row.get::<_, i32>(0)).map_err(|error| describe(&error)));
    show("pipelined, one fails", many.collect::<Vec<_>>());
    let unnamed = client.query_typed("select $1::text || 'b'", &[(&"a", Type::TEXT)]).await?;
    show("typed", unnamed.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>());
    let script =
        client.simple_query("select 1 as a; update makers set title = title; select null as b where true").await?;
    show("script", script.iter().map(simple).collect::<Vec<_>>());
    let empty = client.simple_query("").await?;
    show("empty", empty.iter().map(simple).collect::<Vec<_>>());
    let mut rows = pin!(client.query_raw("select generate_series(1, $1)", [10_000_i32]).await?);
    let mut sum = 0_i64;
    while let Some(row) = rows.try_next().await? {
        sum += i64::from(row.get::<_, i32>(0));
    }
    show("streamed", (sum, rows.rows_affected()));
    show("large", client.query_one(LARGE, &[]).await?.get::<_, String>(0).len());
    Ok(())
}

fn simple(message: &SimpleQueryMessage) -> String {
    match message {
        SimpleQueryMessage::Row(row) => format!("row {:?}", row.get(0)),
        SimpleQueryMessage::CommandComplete(count) => format!("complete {count}"),
        SimpleQueryMessage::RowDescription(columns) => {
            format!("columns {:?}", columns.iter().map(|column| column.name().to_string()).collect::<Vec<_>>())
        }
        _ => "another message".into(),
    }
}

async fn failures(client: &Client) {
    for sql in FAILURES {
        show(
            &format!("extended {sql}"),
            client.query(sql, &[]).await.map(|rows| rows.len()).map_err(|error| describe(&error)),
        );
        show(&format!("simple {sql}"), client.batch_execute(sql).await.map_err(|error| describe(&error)));
    }
}

async fn transactions(client: &mut Client) -> Result<()> {
    let mut transaction = client.transaction().await?;
    transaction.execute("insert into makers (title) values ('in vain')", &[]).await?;
    let savepoint = transaction.savepoint("within").await?;
    show(
        "inner",
        savepoint.execute("insert into makers (title) values ('Anna')", &[]).await.map_err(|error| describe(&error)),
    );
    savepoint.rollback().await?;
    let portal = transaction.bind("select generate_series(1, 25)", &[]).await?;
    for _ in 0..4 {
        let rows = transaction.query_portal(&portal, 10).await?;
        show("portal", rows.iter().map(|row: &Row| row.get::<_, i32>(0)).collect::<Vec<_>>());
    }
    transaction.rollback().await?;
    let built = client.build_transaction().isolation_level(IsolationLevel::Serializable).read_only(true);
    let transaction = built.start().await?;
    show("isolation", transaction.query_one("show transaction_isolation", &[]).await?.get::<_, String>(0));
    show("read only", transaction.execute("delete from makers", &[]).await.map_err(|error| describe(&error)));
    transaction.rollback().await?;
    show("rolled back", client.query_one("select count(*) from makers", &[]).await?.get::<_, i64>(0));
    Ok(())
}

async fn copies(client: &Client) -> Result<()> {
    let mut sink = pin!(client.copy_in::<_, Bytes>("copy things (size, raw) from stdin").await?);
    for number in 0..500 {
        sink.send(Bytes::from(format!("{number}\t\\\\x{number:04x}\n"))).await?;
    }
    show("copied in", sink.finish().await?);
    let mut sink = pin!(client.copy_in::<_, Bytes>("copy things (size) from stdin").await?);
    sink.send(Bytes::from_static(b"not a number\n")).await?;
    show("copy fails", sink.finish().await.map_err(|error| describe(&error)));
    let mut dropped = pin!(client.copy_in::<_, Bytes>("copy things (size) from stdin").await?);
    dropped.send(Bytes::from_static(b"1\n")).await?;
    dropped.close().await.context("a COPY that is closed early")?;
    for format in ["text", "csv", "binary"] {
        let sql =
            format!("copy (select size, raw from things where size < 3 order by size, id) to stdout (format {format})");
        let parts: Vec<Bytes> = client.copy_out(&sql).await?.try_collect().await?;
        show(format, Bytes::from(parts.concat()));
    }
    Ok(())
}

async fn notifications(client: &Client, messages: &mut UnboundedReceiver<AsyncMessage>) -> Result<()> {
    // What was said while the schema was made depends on what was there before.
    while messages.try_recv().is_ok() {}
    client.batch_execute("listen gh_news").await?;
    let (other, _others) = connect().await?;
    other.batch_execute("notify gh_news, 'from another'; select pg_notify('gh_news', 'once more')").await?;
    client.batch_execute("select gh_tokio_postgres.loud(3)").await?;
    for _ in 0..3 {
        let message = tokio::time::timeout(Duration::from_secs(30), messages.recv()).await?.context("no message")?;
        match message {
            AsyncMessage::Notice(notice) => show("notice", fields(&notice)),
            AsyncMessage::Notification(news) => show("news", (news.channel(), news.payload())),
            _ => show("message", "another"),
        }
    }
    Ok(())
}

async fn cancellation(client: &Client) -> Result<()> {
    let token = client.cancel_token();
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await
    };
    let (slept, cancelled) = future::join(client.batch_execute("select pg_sleep(60)"), later).await;
    show("cancelled", (slept.map_err(|error| describe(&error)), cancelled.is_ok()));
    show("goes on", client.query_one("select 1", &[]).await?.get::<_, i32>(0));
    let stream = client.query_raw("select 1", Vec::<i32>::new()).await?;
    show("stream", stream.map(|row| row.is_ok()).collect::<Vec<_>>().await);
    Ok(())
}
