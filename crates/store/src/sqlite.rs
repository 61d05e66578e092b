//! The index in one SQLite file: the default for a single gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gatehouse_model::{Budget, ClassName, GroupName, InvalidName, KeyId, Origin, Spent, TaskId, UserName, Verifier};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, Sqlite as Db, Transaction};

use crate::{
    AskedRow, Backend, Change, DescriptionRow, KeptCredential, KeptKey, KeptToken, KeptVisit, KeyRow, LockdownRow,
    Numbered, RequestRow, RevisionRow, SessionRow, StoreError, TaskRow, TokenKind, Wanted,
};

/// The index in an SQLite file.
pub struct Sqlite {
    pool: SqlitePool,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl Sqlite {
    /// Opens the file, makes it where there is none, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await.map_err(|error| StoreError::Database(error.to_string()))?;
        Ok(Self { pool })
    }

    /// Begins what writes, when whoever writes now is done. A transaction that reads first and is to write later fails at once
    /// where another wrote in between, however long it would wait.
    async fn writing(&self) -> Result<Transaction<'static, Db>, StoreError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// The listings. Rows are numbered as they come in, which is in the order of the journal.
const TASKS: &str = "SELECT rowid AS number, * FROM tasks WHERE (?1 IS NULL OR rowid < ?1) \
    AND (?2 IS NULL OR id = ?2 OR parent = ?2) AND (?3 IS NULL OR identity = ?3 OR on_behalf_of = ?3) \
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(targets) WHERE value = ?4)) \
    AND (?5 IS NULL OR ifnull(cause, 'live') = ?5) ORDER BY rowid DESC LIMIT ?6";
const SESSIONS: &str = "SELECT rowid AS number, * FROM sessions WHERE (?1 IS NULL OR rowid < ?1) \
    AND (?2 IS NULL OR task = ?2) AND (?3 IS NULL OR identity = ?3 OR on_behalf_of = ?3) AND (?4 IS NULL OR target = ?4) \
    AND (?5 IS NULL OR iif(closed IS NULL, 'live', 'ended') = ?5) \
    AND (?7 IS NULL OR EXISTS (SELECT 1 FROM json_each(classes) WHERE key = ?7)) \
    AND (?8 IS NULL OR opened >= ?8) AND (?9 IS NULL OR opened <= ?9) ORDER BY rowid DESC LIMIT ?6";
const REQUESTS: &str = "SELECT rowid AS number, * FROM requests WHERE (?1 IS NULL OR rowid < ?1) \
    AND (?2 IS NULL OR task = ?2) AND (?3 IS NULL OR identity = ?3 OR on_behalf_of = ?3) \
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(targets) WHERE value = ?4)) \
    AND (?5 IS NULL OR state = ?5) ORDER BY rowid DESC LIMIT ?6";
const KEYS: &str = "SELECT rowid AS number, * FROM api_keys WHERE (?1 IS NULL OR rowid < ?1) \
    AND ?2 IS NULL AND (?3 IS NULL OR agent = ?3) \
    AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(targets) WHERE value = ?4)) \
    AND (?5 IS NULL OR ifnull(cause, 'good') = ?5) ORDER BY rowid DESC LIMIT ?6";

impl Sqlite {
    async fn listed<T>(
        &self,
        sql: &'static str,
        wanted: Wanted<'_>,
        read: impl Fn(&SqliteRow) -> Result<T, StoreError>,
    ) -> Result<Vec<Numbered<T>>, StoreError> {
        let query = sqlx::query(sql).bind(wanted.before.map(signed)).bind(wanted.task).bind(wanted.identity);
        let query = query.bind(wanted.target).bind(wanted.state).bind(wanted.limit);
        let query = query.bind(wanted.class).bind(wanted.since.map(in_order)).bind(wanted.until.map(in_order));
        let rows = query.fetch_all(&self.pool).await?;
        let numbered = |row: &SqliteRow| Ok(Numbered { number: unsigned(row, "number")?, row: read(row)? });
        rows.iter().map(numbered).collect()
    }
}

type Fallible<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl Backend for Sqlite {
    fn next_index(&self) -> Fallible<'_, u64> {
        async {
            let row = sqlx::query("SELECT next_index FROM progress").fetch_one(&self.pool).await?;
            unsigned(&row, "next_index")
        }
        .boxed()
    }

    fn begin_anew(&self) -> Fallible<'_, ()> {
        async {
            let mut transaction = self.writing().await?;
            for sql in [
                "DELETE FROM tasks",
                "DELETE FROM sessions",
                "DELETE FROM requests",
                "DELETE FROM lockdowns",
                "DELETE FROM descriptions",
                "DELETE FROM api_keys",
                "DELETE FROM policy_revisions",
                "UPDATE progress SET next_index = 0",
            ] {
                sqlx::query(sql).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(())
        }
        .boxed()
    }

    fn apply<'a>(&'a self, next_index: u64, changes: &'a [Change]) -> Fallible<'a, ()> {
        async move {
            let mut transaction = self.writing().await?;
            for change in changes {
                apply_one(&mut transaction, change).await?;
            }
            sqlx::query("UPDATE progress SET next_index = ?1 WHERE next_index < ?1")
                .bind(signed(next_index))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        }
        .boxed()
    }

    fn tasks<'a>(&'a self, wanted: Wanted<'a>) -> Fallible<'a, Vec<Numbered<TaskRow>>> {
        self.listed(TASKS, wanted, task_row).boxed()
    }

    fn task<'a>(&'a self, id: &'a str) -> Fallible<'a, Option<TaskRow>> {
        async move {
            let query = sqlx::query("SELECT * FROM tasks WHERE id = ?").bind(id);
            query.fetch_optional(&self.pool).await?.as_ref().map(task_row).transpose()
        }
        .boxed()
    }

    fn sessions<'a>(&'a self, wanted: Wanted<'a>) -> Fallible<'a, Vec<Numbered<SessionRow>>> {
        self.listed(SESSIONS, wanted, session_row).boxed()
    }

    fn session<'a>(&'a self, id: &'a str) -> Fallible<'a, Option<SessionRow>> {
        async move {
            let query = sqlx::query("SELECT * FROM sessions WHERE id = ?").bind(id);
            query.fetch_optional(&self.pool).await?.as_ref().map(session_row).transpose()
        }
        .boxed()
    }

    fn requests<'a>(&'a self, wanted: Wanted<'a>) -> Fallible<'a, Vec<Numbered<RequestRow>>> {
        self.listed(REQUESTS, wanted, request_row).boxed()
    }

    fn request<'a>(&'a self, id: &'a str) -> Fallible<'a, Option<RequestRow>> {
        async move {
            let query = sqlx::query("SELECT * FROM requests WHERE id = ?").bind(id);
            query.fetch_optional(&self.pool).await?.as_ref().map(request_row).transpose()
        }
        .boxed()
    }

    fn revisions(&self, limit: u32) -> Fallible<'_, Vec<RevisionRow>> {
        async move {
            let query = sqlx::query(
                "SELECT * FROM policy_revisions AS now WHERE revision IS NOT (SELECT revision FROM policy_revisions \
                       WHERE record < now.record ORDER BY record DESC LIMIT 1) ORDER BY record DESC LIMIT ?",
            )
            .bind(limit);
            let row = |row: &SqliteRow| {
                Ok(RevisionRow {
                    record: unsigned(row, "record")?,
                    revision: row.try_get("revision")?,
                    since: time(row, "since")?,
                    files: parsed(row, "files")?,
                })
            };
            query.fetch_all(&self.pool).await?.iter().map(row).collect()
        }
        .boxed()
    }

    fn live_tasks(&self) -> Fallible<'_, Vec<TaskRow>> {
        async {
            let query = sqlx::query("SELECT * FROM tasks WHERE ended IS NULL ORDER BY rowid");
            query.fetch_all(&self.pool).await?.iter().map(task_row).collect()
        }
        .boxed()
    }

    fn descriptions(&self) -> Fallible<'_, Vec<DescriptionRow>> {
        async {
            let rows = sqlx::query("SELECT * FROM descriptions").fetch_all(&self.pool).await?;
            let row = |row: &SqliteRow| {
                let (digest, text): (Option<String>, Option<String>) =
                    (row.try_get("latest_digest")?, row.try_get("latest_text")?);
                Ok(DescriptionRow {
                    kind_of: row.try_get("kind_of")?,
                    id: row.try_get("id")?,
                    digest: row.try_get("digest")?,
                    text: row.try_get("text")?,
                    latest: digest.zip(text),
                })
            };
            rows.iter().map(row).collect()
        }
        .boxed()
    }

    fn lockdowns(&self) -> Fallible<'_, Vec<LockdownRow>> {
        async {
            let rows = sqlx::query("SELECT * FROM lockdowns").fetch_all(&self.pool).await?;
            let row = |row: &SqliteRow| {
                Ok(LockdownRow {
                    scope: row.try_get("scope")?,
                    by: row.try_get("begun_by")?,
                    reason: row.try_get("reason")?,
                    since: time(row, "since")?,
                })
            };
            rows.iter().map(row).collect()
        }
        .boxed()
    }

    fn keep_credential<'a>(
        &'a self,
        task: &'a str,
        verifier: &'a Verifier,
        heartbeat_secs: Option<u32>,
    ) -> Fallible<'a, ()> {
        async move {
            sqlx::query("INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, '{}')")
                .bind(task)
                .bind(verifier.salt.as_slice())
                .bind(verifier.iterations)
                .bind(verifier.stored_key.as_slice())
                .bind(verifier.server_key.as_slice())
                .bind(heartbeat_secs)
                .execute(&self.pool)
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn keep_spent<'a>(&'a self, spent: &'a [(TaskId, Spent)]) -> Fallible<'a, ()> {
        async move {
            let mut transaction = self.writing().await?;
            for (task, spent) in spent {
                let sql = "UPDATE credentials SET operations = ?, rows_sent = ?, bytes_sent = ?, values_seen = ? WHERE task = ?";
                sqlx::query(sql)
                    .bind(signed(spent.operations))
                    .bind(signed(spent.rows))
                    .bind(signed(spent.bytes))
                    .bind(json(&by_name(&spent.values)))
                    .bind(task.as_str())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
            Ok(())
        }
        .boxed()
    }

    fn forget_credential<'a>(&'a self, task: &'a str) -> Fallible<'a, ()> {
        async move {
            sqlx::query("DELETE FROM credentials WHERE task = ?").bind(task).execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn credentials(&self) -> Fallible<'_, Vec<KeptCredential>> {
        async {
            let rows = sqlx::query("SELECT * FROM credentials").fetch_all(&self.pool).await?;
            rows.iter().map(credential_row).collect()
        }
        .boxed()
    }

    fn keep_token<'a>(&'a self, token: &'a KeptToken, now: Timestamp) -> Fallible<'a, ()> {
        async move {
            let mut transaction = self.writing().await?;
            // Texts of times are in order but for fractions of a second.
            let long_ago = now.saturating_sub(SignedDuration::from_hours(1)).unwrap_or(now);
            let expired = sqlx::query("DELETE FROM tokens WHERE expires < ?").bind(long_ago.to_string());
            expired.execute(&mut *transaction).await?;
            sqlx::query("INSERT INTO tokens (sha256, user_name, expires, kind, subject) VALUES (?, ?, ?, ?, ?)")
                .bind(token.sha256.as_slice())
                .bind(token.user.as_str())
                .bind(token.expires.to_string())
                .bind(kind_word(token.kind))
                .bind(&token.subject)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        }
        .boxed()
    }

    fn token<'a>(&'a self, sha256: &'a [u8; 32], now: Timestamp) -> Fallible<'a, Option<KeptToken>> {
        async move {
            let query = sqlx::query("SELECT * FROM tokens WHERE sha256 = ?").bind(sha256.as_slice());
            let Some(row) = query.fetch_optional(&self.pool).await? else {
                return Ok(None);
            };
            let kind: String = row.try_get("kind")?;
            let token = KeptToken {
                sha256: *sha256,
                user: user(&row)?,
                subject: row.try_get("subject")?,
                kind: match kind.as_str() {
                    "api" => TokenKind::Api,
                    "browser" => TokenKind::Browser,
                    other => return Err(StoreError::Corrupt(format!("tokens.kind: {other}"))),
                },
                expires: time(&row, "expires")?,
            };
            Ok(Some(token).filter(|token| now < token.expires))
        }
        .boxed()
    }

    fn forget_token<'a>(&'a self, sha256: &'a [u8; 32]) -> Fallible<'a, ()> {
        async move {
            sqlx::query("DELETE FROM tokens WHERE sha256 = ?").bind(sha256.as_slice()).execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn forget_person<'a>(&'a self, user: &'a UserName) -> Fallible<'a, ()> {
        async move {
            let mut transaction = self.writing().await?;
            for sql in [
                "DELETE FROM tokens WHERE user_name = ? AND subject IS NOT NULL",
                "DELETE FROM visits WHERE user_name = ?",
            ] {
                sqlx::query(sql).bind(user.as_str()).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(())
        }
        .boxed()
    }

    fn forget_tokens<'a>(&'a self, user: &'a UserName) -> Fallible<'a, ()> {
        async move {
            let query = sqlx::query("DELETE FROM tokens WHERE user_name = ?").bind(user.as_str());
            query.execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn keep_visit<'a>(&'a self, visit: &'a KeptVisit) -> Fallible<'a, ()> {
        async move {
            let groups: Vec<&str> = visit.groups.iter().map(GroupName::as_str).collect();
            sqlx::query("INSERT OR REPLACE INTO visits VALUES (?, ?, ?, ?, ?)")
                .bind(visit.user.as_str())
                .bind(&visit.subject)
                .bind(&visit.provider)
                .bind(json(&groups))
                .bind(visit.until.to_string())
                .execute(&self.pool)
                .await?;
            Ok(())
        }
        .boxed()
    }

    fn keys<'a>(&'a self, wanted: Wanted<'a>) -> Fallible<'a, Vec<Numbered<KeyRow>>> {
        self.listed(KEYS, wanted, key_row).boxed()
    }

    fn key<'a>(&'a self, id: &'a str) -> Fallible<'a, Option<KeyRow>> {
        async move {
            let query = sqlx::query("SELECT * FROM api_keys WHERE id = ?").bind(id);
            query.fetch_optional(&self.pool).await?.as_ref().map(key_row).transpose()
        }
        .boxed()
    }

    fn keep_key_digest<'a>(&'a self, id: &'a str, sha256: &'a [u8; 32]) -> Fallible<'a, ()> {
        async move {
            let query = sqlx::query("INSERT INTO api_key_digests VALUES (?, ?)").bind(id).bind(sha256.as_slice());
            query.execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn forget_key_digest<'a>(&'a self, id: &'a str) -> Fallible<'a, ()> {
        async move {
            sqlx::query("DELETE FROM api_key_digests WHERE id = ?").bind(id).execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn key_digests(&self) -> Fallible<'_, Vec<KeptKey>> {
        async {
            let sql = "SELECT api_keys.*, sha256 FROM api_keys JOIN api_key_digests USING (id) WHERE ended IS NULL";
            let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
            let kept = |row: &SqliteRow| {
                let sha256: Vec<u8> = row.try_get("sha256")?;
                let sha256 = <[u8; 32]>::try_from(sha256);
                let sha256 = sha256.map_err(|_| StoreError::Corrupt("api_key_digests.sha256".into()))?;
                Ok(KeptKey { key: key_row(row)?, sha256 })
            };
            rows.iter().map(kept).collect()
        }
        .boxed()
    }

    fn keep_lease<'a>(&'a self, id: &'a str, vault: &'a str) -> Fallible<'a, ()> {
        async move {
            sqlx::query("INSERT OR IGNORE INTO leases VALUES (?, ?)").bind(id).bind(vault).execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn forget_lease<'a>(&'a self, id: &'a str) -> Fallible<'a, ()> {
        async move {
            sqlx::query("DELETE FROM leases WHERE id = ?").bind(id).execute(&self.pool).await?;
            Ok(())
        }
        .boxed()
    }

    fn leases(&self) -> Fallible<'_, Vec<(String, String)>> {
        async { Ok(sqlx::query_as("SELECT id, vault FROM leases").fetch_all(&self.pool).await?) }.boxed()
    }

    fn visits(&self) -> Fallible<'_, Vec<KeptVisit>> {
        async {
            let rows = sqlx::query("SELECT * FROM visits").fetch_all(&self.pool).await?;
            let visit = |row: &SqliteRow| {
                let names: Vec<String> = parsed(row, "groups")?;
                let groups: Result<BTreeSet<GroupName>, _> = names.iter().map(|name| GroupName::new(name)).collect();
                let groups = groups.map_err(|error| StoreError::Corrupt(error.to_string()))?;
                Ok(KeptVisit {
                    user: user(row)?,
                    subject: row.try_get("subject")?,
                    provider: row.try_get("provider")?,
                    groups,
                    until: time(row, "until")?,
                })
            };
            rows.iter().map(visit).collect()
        }
        .boxed()
    }
}

const fn kind_word(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Api => "api",
        TokenKind::Browser => "browser",
    }
}

fn user(row: &SqliteRow) -> Result<UserName, StoreError> {
    let name: String = row.try_get("user_name")?;
    UserName::new(&name).map_err(|error| StoreError::Corrupt(error.to_string()))
}

async fn apply_one(transaction: &mut Transaction<'_, Db>, change: &Change) -> Result<(), StoreError> {
    let query = match change {
        Change::TaskStarted { task, approval } => {
            if let Some(request) = approval {
                // As sure as the record that follows, which a crash may have taken.
                end_request(transaction, request, "used").await?;
            }
            sqlx::query("INSERT OR IGNORE INTO tasks (id, identity, on_behalf_of, targets, reason, started, expires, started_by, budget_operations, budget_rows, budget_bytes, actors, parent, api_key, budget_values, is_bound) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(task.id.clone())
                .bind(task.identity.clone())
                .bind(task.on_behalf_of.clone())
                .bind(json(&task.targets))
                .bind(task.reason.clone())
                .bind(task.started.to_string())
                .bind(task.expires.to_string())
                .bind(task.started_by.clone())
                .bind(task.budget.operations.map(signed))
                .bind(task.budget.rows.map(signed))
                .bind(task.budget.bytes.map(signed))
                .bind(json(&task.origin.actors))
                .bind(task.origin.parent.as_ref().map(TaskId::to_string))
                .bind(task.origin.key.as_ref().map(KeyId::to_string))
                .bind(json(&by_name(&task.budget.values)))
                .bind(task.origin.is_bound)
        }
        Change::KeyIssued(key) => {
            sqlx::query("INSERT OR IGNORE INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL)")
                .bind(key.id.clone())
                .bind(key.identity.clone())
                .bind(json(&key.targets))
                .bind(key.reason.clone())
                .bind(key.created.to_string())
                .bind(key.expires.to_string())
                .bind(key.created_by.clone())
        }
        Change::KeyEnded { key, at, cause } => {
            sqlx::query("UPDATE api_keys SET ended = ?, cause = ? WHERE id = ? AND ended IS NULL")
                .bind(at.to_string())
                .bind(cause.clone())
                .bind(key.clone())
        }
        Change::TaskEnded { task, at, cause, by } => {
            sqlx::query("UPDATE tasks SET ended = ?, cause = ?, ended_by = ? WHERE id = ? AND ended IS NULL")
                .bind(at.to_string())
                .bind(cause.clone())
                .bind(by.clone())
                .bind(task.clone())
        }
        Change::PoliciesLoaded(_)
        | Change::LockdownBegun(_)
        | Change::LockdownLifted { .. }
        | Change::DescriptionTold { .. }
        | Change::DescriptionAccepted { .. } => return apply_circumstance(transaction, change).await,
        Change::SessionOpened(session) => {
            sqlx::query("INSERT OR IGNORE INTO sessions (id, task, identity, on_behalf_of, target, peer, opened, api_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(session.id.clone())
                .bind(session.task.clone())
                .bind(session.identity.clone())
                .bind(session.on_behalf_of.clone())
                .bind(session.target.clone())
                .bind(session.peer.clone())
                .bind(in_order(session.opened))
                .bind(session.key.clone())
        }
        Change::Operations { session, count, refused, approval } => {
            if let Some(approval) = approval {
                end_request(transaction, approval, "used").await?;
            }
            sqlx::query("UPDATE sessions SET operations = operations + ?, refused = refused + ? WHERE id = ?")
                .bind(signed(*count))
                .bind(signed(*refused))
                .bind(session.clone())
        }
        Change::SessionClosed { session, at, cause, rows, masked, recording } => {
            sqlx::query("UPDATE sessions SET closed = ?, cause = ?, rows_sent = ?, masked = ?, classes = ?, recording = ? WHERE id = ?")
                .bind(at.to_string())
                .bind(cause.clone())
                .bind(signed(*rows))
                .bind(signed(masked.values().sum()))
                .bind(json(masked))
                .bind(recording.clone())
                .bind(session.clone())
        }
        Change::RequestOpened(request) => return open_request(transaction, request).await,
        Change::RequestAnswered { .. } => return answer_request(transaction, change).await,
        Change::RequestEnded { request, cause } => return end_request(transaction, request, cause).await,
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// What is of no task.
async fn apply_circumstance(transaction: &mut Transaction<'_, Db>, change: &Change) -> Result<(), StoreError> {
    let query = match change {
        Change::PoliciesLoaded(row) => sqlx::query("INSERT OR IGNORE INTO policy_revisions VALUES (?, ?, ?, ?)")
            .bind(signed(row.record))
            .bind(row.revision.clone())
            .bind(row.since.to_string())
            .bind(json(&row.files)),
        Change::LockdownBegun(lockdown) => sqlx::query("INSERT OR REPLACE INTO lockdowns VALUES (?, ?, ?, ?)")
            .bind(lockdown.scope.clone())
            .bind(lockdown.by.clone())
            .bind(lockdown.reason.clone())
            .bind(lockdown.since.to_string()),
        Change::LockdownLifted { scope } => sqlx::query("DELETE FROM lockdowns WHERE scope = ?").bind(scope.clone()),
        Change::DescriptionTold { kind_of, id, digest, text } => {
            // What is told for the first time is accepted; what is told as it was accepted is nothing new.
            let sql = "INSERT INTO descriptions VALUES (?1, ?2, ?3, ?4, NULL, NULL) ON CONFLICT DO UPDATE SET \
                       latest_digest = iif(digest = ?3, NULL, ?3), latest_text = iif(digest = ?3, NULL, ?4)";
            sqlx::query(sql).bind(kind_of.clone()).bind(id.clone()).bind(digest.clone()).bind(text.clone())
        }
        Change::DescriptionAccepted { kind_of, id, digest } => {
            let sql = "UPDATE descriptions SET digest = latest_digest, text = latest_text, latest_digest = NULL, \
                       latest_text = NULL WHERE kind_of = ? AND id = ? AND latest_digest = ?";
            sqlx::query(sql).bind(kind_of.clone()).bind(id.clone()).bind(digest.clone())
        }
        _ => return Ok(()),
    };
    query.execute(&mut **transaction).await?;
    Ok(())
}

async fn open_request(transaction: &mut Transaction<'_, Db>, request: &RequestRow) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO requests (id, identity, on_behalf_of, title, statement, accesses, needs, reasons, \
               policies, digest, opened, expires, state, targets, session, task, binds, mode, ttl_secs, asked_by, \
               budget_operations, budget_rows, budget_bytes, budget_values, facts, impact) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let query = sqlx::query(sql)
        .bind(&request.id)
        .bind(&request.identity)
        .bind(&request.on_behalf_of)
        .bind(&request.title)
        .bind(&request.statement)
        .bind(json(&request.accesses))
        .bind(json(&request.needs))
        .bind(json(&request.reasons))
        .bind(json(&request.policies))
        .bind(&request.digest)
        .bind(request.opened.to_string())
        .bind(request.expires.to_string())
        .bind(&request.state);
    let query = match &request.asked {
        AskedRow::Operation { session, task, target, binds, mode } => query
            .bind(json(&[target]))
            .bind(Some(session))
            .bind(Some(task))
            .bind(Some(json(binds)))
            .bind(Some(mode))
            .bind(None::<u32>)
            .bind(None::<&String>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind("{}".to_string()),
        AskedRow::Task { targets, ttl_secs, by, budget, .. } => query
            .bind(json(targets))
            .bind(None::<&String>)
            .bind(None::<&String>)
            .bind(None::<String>)
            .bind(None::<&String>)
            .bind(Some(*ttl_secs))
            .bind(Some(by))
            .bind(budget.operations.map(signed))
            .bind(budget.rows.map(signed))
            .bind(budget.bytes.map(signed))
            .bind(json(&by_name(&budget.values))),
    };
    query.bind(json(&request.facts)).bind(json(&request.impact)).execute(&mut **transaction).await?;
    Ok(())
}

/// A request is approved when enough of all of its groups did so.
async fn answer_request(transaction: &mut Transaction<'_, Db>, change: &Change) -> Result<(), StoreError> {
    let Change::RequestAnswered { request, approved, by, groups, reason, until, granted } = change else {
        return Ok(());
    };
    let query = sqlx::query("SELECT * FROM requests WHERE id = ?").bind(request);
    let Some(row) = query.fetch_optional(&mut **transaction).await? else {
        return Ok(());
    };
    let mut row = request_row(&row)?;
    if *approved {
        for group in groups {
            row.approvals.entry(group.clone()).or_default().insert(by.clone());
        }
        let have = |group: &String| row.approvals.get(group).map_or(0, BTreeSet::len);
        if row.needs.iter().all(|(group, needed)| have(group) >= *needed as usize) {
            row.state = "approved".into();
        }
    } else {
        row.state = "denied".into();
    }
    let sql = "UPDATE requests SET state = ?, approvals = ?, approved_until = ?, answer_reason = ?, answered_by = ?, \
               granted = coalesce(?, granted) WHERE id = ? AND state = 'open'";
    sqlx::query(sql)
        .bind(&row.state)
        .bind(json(&row.approvals))
        .bind(until.map(|until| until.to_string()))
        .bind(reason)
        .bind(by)
        .bind(granted.as_ref().map(json))
        .bind(request)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

async fn end_request(transaction: &mut Transaction<'_, Db>, request: &str, cause: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE requests SET state = ? WHERE id = ? AND state IN ('open', 'approved')")
        .bind(cause)
        .bind(request)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn task_row(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        id: row.try_get("id")?,
        identity: row.try_get("identity")?,
        on_behalf_of: row.try_get("on_behalf_of")?,
        targets: parsed(row, "targets")?,
        reason: row.try_get("reason")?,
        budget: budget(row)?,
        origin: origin(row)?,
        started: time(row, "started")?,
        expires: time(row, "expires")?,
        ended: ended(row, "ended")?,
        ended_by: row.try_get("ended_by")?,
        started_by: row.try_get("started_by")?,
    })
}

fn session_row(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        task: row.try_get("task")?,
        identity: row.try_get("identity")?,
        on_behalf_of: row.try_get("on_behalf_of")?,
        target: row.try_get("target")?,
        peer: row.try_get("peer")?,
        key: row.try_get("api_key")?,
        opened: time(row, "opened")?,
        closed: ended(row, "closed")?,
        operations: unsigned(row, "operations")?,
        refused: unsigned(row, "refused")?,
        rows: unsigned(row, "rows_sent")?,
        masked: unsigned(row, "masked")?,
        classes: parsed(row, "classes")?,
        recording: row.try_get("recording")?,
    })
}

fn request_row(row: &SqliteRow) -> Result<RequestRow, StoreError> {
    let mut targets: Vec<String> = parsed(row, "targets")?;
    let session: Option<String> = row.try_get("session")?;
    let asked = match session {
        Some(session) => AskedRow::Operation {
            session,
            task: row.try_get("task")?,
            target: targets.pop().unwrap_or_default(),
            binds: parsed(row, "binds")?,
            mode: row.try_get("mode")?,
        },
        None => AskedRow::Task {
            targets,
            ttl_secs: row.try_get("ttl_secs")?,
            by: row.try_get("asked_by")?,
            budget: budget(row)?,
            granted: granted(row)?,
        },
    };
    Ok(RequestRow {
        id: row.try_get("id")?,
        asked,
        identity: row.try_get("identity")?,
        on_behalf_of: row.try_get("on_behalf_of")?,
        title: row.try_get("title")?,
        statement: row.try_get("statement")?,
        accesses: parsed(row, "accesses")?,
        facts: parsed(row, "facts")?,
        impact: parsed(row, "impact")?,
        needs: parsed(row, "needs")?,
        reasons: parsed(row, "reasons")?,
        policies: parsed(row, "policies")?,
        digest: row.try_get("digest")?,
        opened: time(row, "opened")?,
        expires: time(row, "expires")?,
        state: row.try_get("state")?,
        approved_until: optional_time(row, "approved_until")?,
        approvals: parsed(row, "approvals")?,
        answer_reason: row.try_get("answer_reason")?,
        answered_by: row.try_get("answered_by")?,
    })
}

fn budget(row: &SqliteRow) -> Result<Budget, StoreError> {
    let limit = |column: &str| {
        let limit: Option<i64> = row.try_get(column)?;
        limit.map(|limit| u64::try_from(limit).map_err(|_| StoreError::Corrupt(column.into()))).transpose()
    };
    Ok(Budget {
        operations: limit("budget_operations")?,
        rows: limit("budget_rows")?,
        bytes: limit("budget_bytes")?,
        values: by_class(row, "budget_values")?,
    })
}

fn origin(row: &SqliteRow) -> Result<Origin, StoreError> {
    let (parent, key): (Option<String>, Option<String>) = (row.try_get("parent")?, row.try_get("api_key")?);
    let corrupt = |error: InvalidName| StoreError::Corrupt(error.to_string());
    Ok(Origin {
        actors: parsed(row, "actors")?,
        parent: parent.as_deref().map(TaskId::parse).transpose().map_err(corrupt)?,
        key: key.as_deref().map(KeyId::parse).transpose().map_err(corrupt)?,
        is_bound: row.try_get("is_bound")?,
    })
}

fn key_row(row: &SqliteRow) -> Result<KeyRow, StoreError> {
    Ok(KeyRow {
        id: row.try_get("id")?,
        identity: row.try_get("agent")?,
        targets: parsed(row, "targets")?,
        reason: row.try_get("reason")?,
        created: time(row, "created")?,
        expires: time(row, "expires")?,
        created_by: row.try_get("created_by")?,
        ended: ended(row, "ended")?,
    })
}

fn granted(row: &SqliteRow) -> Result<Option<(Vec<String>, u32)>, StoreError> {
    let text: Option<String> = row.try_get("granted")?;
    let parsed = |text: String| serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(error.to_string()));
    text.map(parsed).transpose()
}

fn credential_row(row: &SqliteRow) -> Result<KeptCredential, StoreError> {
    let key = |column: &str| {
        let bytes: Vec<u8> = row.try_get(column)?;
        <[u8; 32]>::try_from(bytes).map_err(|_| StoreError::Corrupt(format!("credentials.{column}")))
    };
    let verifier = Verifier {
        salt: row.try_get("salt")?,
        iterations: row.try_get("iterations")?,
        stored_key: key("stored_key")?,
        server_key: key("server_key")?,
    };
    let spent = Spent {
        operations: unsigned(row, "operations")?,
        rows: unsigned(row, "rows_sent")?,
        bytes: unsigned(row, "bytes_sent")?,
        values: by_class(row, "values_seen")?,
    };
    Ok(KeptCredential { task: row.try_get("task")?, verifier, heartbeat_secs: row.try_get("heartbeat_secs")?, spent })
}

/// Figures of classes, by their names.
fn by_name(values: &BTreeMap<ClassName, u64>) -> BTreeMap<&str, u64> {
    values.iter().map(|(class, figure)| (class.as_str(), *figure)).collect()
}

fn by_class(row: &SqliteRow, column: &str) -> Result<BTreeMap<ClassName, u64>, StoreError> {
    let values: BTreeMap<String, u64> = parsed(row, column)?;
    let named = values.into_iter().map(|(class, figure)| Ok((ClassName::new(&class)?, figure)));
    named.collect::<Result<_, InvalidName>>().map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

fn json(value: &impl Serialize) -> String {
    // Lists and maps of strings always have a JSON form.
    serde_json::to_string(value).unwrap_or_default()
}

fn parsed<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))
}

fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    optional_time(row, column)?.ok_or_else(|| StoreError::Corrupt(format!("{column} is missing")))
}

fn optional_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|error| StoreError::Corrupt(format!("{column}: {error}")))).transpose()
}

fn ended(row: &SqliteRow, column: &str) -> Result<Option<(Timestamp, String)>, StoreError> {
    let cause: Option<String> = row.try_get("cause")?;
    Ok(optional_time(row, column)?.map(|at| (at, cause.unwrap_or_default())))
}

/// A time in the form whose texts are in the order of the times.
fn in_order(time: Timestamp) -> String {
    format!("{time:.6}")
}

fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Corrupt(format!("{column} is negative")))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many times each, so that one comes between what the other reads and writes.
    const TIMES: u8 = 200;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_reads_before_it_writes_fails_for_no_other_writer() {
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&folder.path().join("index.db")).await.unwrap();
        let answers = async {
            for next in 0..TIMES {
                let answer = Change::RequestAnswered {
                    request: "req-1".into(),
                    approved: true,
                    by: "user:dana".into(),
                    groups: vec!["dba".into()],
                    reason: String::new(),
                    until: None,
                    granted: None,
                };
                store.apply(u64::from(next) + 1, &[answer]).await.unwrap();
            }
        };
        let tokens = async {
            let now = Timestamp::UNIX_EPOCH;
            for number in 0..TIMES {
                let token = KeptToken {
                    sha256: [number; 32],
                    user: UserName::new("dana").unwrap(),
                    kind: TokenKind::Api,
                    subject: None,
                    expires: now,
                };
                store.keep_token(&token, now).await.unwrap();
            }
        };
        tokio::join!(answers, tokens);
        assert_eq!(store.next_index().await.unwrap(), u64::from(TIMES));
    }
}
