//! sqlx: a cache of named statements, types that are looked up in the catalog, streams, COPY, a listener.

#![expect(clippy::print_stdout, reason = "it prints what it sees")]

mod shared;

use anyhow::Result;
use futures_util::TryStreamExt as _;
use shared::{FAILURES, LARGE, definitions, end, place, show};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgListener, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _, TypeInfo as _};

#[derive(Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "mood", rename_all = "lowercase")]
enum Mood {
    Sad,
    Ok,
    Happy,
}

#[derive(Debug, sqlx::Type)]
#[sqlx(type_name = "pair")]
struct Pair {
    a: Option<i32>,
    b: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = PgConnectOptions::new()
        .host(&place("PGHOST")?)
        .port(place("PGPORT")?.parse()?)
        .username(&place("PGUSER")?)
        .password(&place("PGPASSWORD")?)
        .database(&place("PGDATABASE")?)
        .ssl_mode(PgSslMode::Disable)
        .options([("search_path", "gh_sqlx, public")])
        .application_name("matrix");
    let mut connection = PgConnection::connect_with(&options).await?;
    for statement in definitions("gh_sqlx") {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    types(&mut connection).await?;
    statements(&mut connection).await?;
    failures(&mut connection).await;
    transactions(&mut connection).await?;
    copies(&mut connection).await?;
    pool(&options).await?;
    connection.close().await?;
    end();
    Ok(())
}

fn describe(error: &sqlx::Error) -> String {
    let Some(database) = error.as_database_error() else { return error.to_string() };
    let error = database.downcast_ref::<PgDatabaseError>();
    format!(
        "{:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        error.severity(),
        error.code(),
        error.message(),
        error.detail(),
        error.hint(),
        error.position(),
        error.r#where(),
        error.schema(),
        error.table(),
        error.column(),
        error.data_type(),
        error.constraint(),
        error.routine(),
        database.kind(),
    )
}

async fn types(connection: &mut PgConnection) -> Result<()> {
    let row = sqlx::query("select $1::int2, $2::int4, $3::int8, $4::float4, $5::float8, $6::bool, $7::text, $8::bytea")
        .bind(1_i16)
        .bind(-5_i32)
        .bind(1_i64 << 40)
        .bind(1.5_f32)
        .bind(0.1_f64)
        .bind(true)
        .bind("it's æ😀")
        .bind(vec![0_u8, 255])
        .fetch_one(&mut *connection)
        .await?;
    show("numbers", (row.get::<i16, _>(0), row.get::<i32, _>(1), row.get::<i64, _>(2), row.get::<f32, _>(3)));
    show("others", (row.get::<f64, _>(4), row.get::<bool, _>(5), row.get::<String, _>(6), row.get::<Vec<u8>, _>(7)));
    let row = sqlx::query("select $1::mood, $2::pair, $3::mood[], $4::int4[]")
        .bind(Mood::Happy)
        .bind(Pair { a: Some(1), b: None })
        .bind(vec![Mood::Sad, Mood::Ok])
        .bind(vec![Some(1), None])
        .fetch_one(&mut *connection)
        .await?;
    show("own types", (row.get::<Mood, _>(0), row.get::<Pair, _>(1), row.get::<Vec<Mood>, _>(2)));
    show("arrays", row.get::<Vec<Option<i32>>, _>(3));
    let described =
        connection.describe("select id, title, $1::pair as p from makers where id > $2".into_sql_str()).await?;
    let columns = described.columns().iter().map(|column| (column.name(), column.type_info().name().to_string()));
    show("described", columns.collect::<Vec<_>>());
    show("nullable", (0..3).map(|place| described.nullable(place)).collect::<Vec<_>>());
    Ok(())
}

async fn statements(connection: &mut PgConnection) -> Result<()> {
    let inserted = sqlx::query("insert into makers (title) values ($1), ($2)").bind("Anna").bind("Bo");
    show("insert", inserted.execute(&mut *connection).await?.rows_affected());
    let makers: Vec<(i32, String)> =
        sqlx::query_as("select id, title from makers order by id").fetch_all(&mut *connection).await?;
    show("rows", makers);
    let none: Option<(i32,)> = sqlx::query_as("select 1 where false").fetch_optional(&mut *connection).await?;
    show("none", none);
    let mut sum = 0_i64;
    {
        let mut rows =
            sqlx::query_scalar::<_, i32>("select generate_series(1, $1)").bind(10_000).fetch(&mut *connection);
        while let Some(number) = rows.try_next().await? {
            sum += i64::from(number);
        }
    }
    show("streamed", sum);
    {
        // A stream that is dropped early is read to its end before what comes next.
        let mut rows = sqlx::query("select generate_series(1, 1000)").fetch(&mut *connection);
        show("first", rows.try_next().await?.map(|row: PgRow| row.get::<i32, _>(0)));
    }
    let script = "select 1; update makers set title = title; select 2";
    let counts: Vec<_> = sqlx::raw_sql(script).execute_many(&mut *connection).try_collect().await?;
    show("script", counts.iter().map(|result| result.rows_affected()).collect::<Vec<_>>());
    for number in 0..120 {
        // More than the cache of statements holds.
        let text = format!("select {number} + $1");
        let sum: i32 = sqlx::query_scalar(AssertSqlSafe(text)).bind(1).fetch_one(&mut *connection).await?;
        assert_eq!(sum, number + 1);
    }
    show("cached", connection.cached_statements_size());
    connection.clear_cached_statements().await?;
    show("not kept", sqlx::query_scalar::<_, i32>("select 7").persistent(false).fetch_one(&mut *connection).await?);
    show("large", sqlx::query_scalar::<_, String>(LARGE).fetch_one(&mut *connection).await?.len());
    show("ping", connection.ping().await.is_ok());
    Ok(())
}

async fn failures(connection: &mut PgConnection) {
    for sql in FAILURES {
        let outcome = sqlx::query(sql).execute(&mut *connection).await;
        show(
            &format!("extended {sql}"),
            outcome.map(|result| result.rows_affected()).map_err(|error| describe(&error)),
        );
        let outcome = sqlx::raw_sql(sql).execute(&mut *connection).await;
        show(&format!("simple {sql}"), outcome.map(|result| result.rows_affected()).map_err(|error| describe(&error)));
    }
}

async fn transactions(connection: &mut PgConnection) -> Result<()> {
    let mut outer = connection.begin().await?;
    sqlx::query("insert into makers (title) values ('in vain')").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    let again = sqlx::query("insert into makers (title) values ('Anna')").execute(&mut *inner).await;
    show("inner", again.map(|result| result.rows_affected()).map_err(|error| describe(&error)));
    inner.rollback().await?;
    let counted: i64 = sqlx::query_scalar("select count(*) from makers").fetch_one(&mut *outer).await?;
    show("outer goes on", counted);
    // What is dropped is rolled back before what comes next.
    drop(outer);
    let counted: i64 = sqlx::query_scalar("select count(*) from makers").fetch_one(&mut *connection).await?;
    show("rolled back", counted);
    Ok(())
}

async fn copies(connection: &mut PgConnection) -> Result<()> {
    let mut copy = connection.copy_in_raw("copy things (size) from stdin").await?;
    for number in 0..500 {
        copy.send(format!("{number}\n").as_bytes()).await?;
    }
    show("copied in", copy.finish().await?);
    let mut copy = connection.copy_in_raw("copy things (size) from stdin").await?;
    copy.send(b"not a number\n".as_slice()).await?;
    show("copy fails", copy.finish().await.map_err(|error| describe(&error)));
    let mut copy = connection.copy_in_raw("copy things (size) from stdin").await?;
    copy.send(b"1\n".as_slice()).await?;
    show("copy given up", copy.abort("the client changed its mind").await.map_err(|error| describe(&error)));
    for format in ["text", "csv", "binary"] {
        let sql =
            format!("copy (select size, raw from things where size < 3 order by size, id) to stdout (format {format})");
        let parts: Vec<_> = connection.copy_out_raw(&sql).await?.try_collect().await?;
        show(format, parts.concat());
    }
    Ok(())
}

async fn pool(options: &PgConnectOptions) -> Result<()> {
    let pool = PgPoolOptions::new().max_connections(4).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen("gh_news").await?;
    sqlx::query("select pg_notify('gh_news', $1)").bind("from the pool").execute(&pool).await?;
    let news = tokio::time::timeout(std::time::Duration::from_secs(30), listener.recv()).await??;
    show("news", (news.channel(), news.payload()));
    let sums = (0..8).map(|number| sqlx::query_scalar::<_, i32>("select $1 * 2").bind(number).fetch_one(&pool));
    show("pool", futures_util::future::try_join_all(sums).await?);
    drop(listener);
    pool.close().await;
    Ok(())
}
