//! Statements and requests, sent to the gateway's own listeners like anybody's.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{StreamExt as _, future};
use gatehouse_engine::{WebStream, connect_listener};
use gatehouse_model::RequestId;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, HOST, LOCATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls, SimpleQueryMessage};

use super::desk::{HttpAsked, Lease};

/// How many rows a query gives, and how many bytes of them.
const ROWS_MAX: usize = 1000;
const BYTES_MAX: usize = 256 * 1024;
/// How much of a database's answer is read, in bytes.
const STREAM_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How many notices may wait.
pub(super) const NOTICES_MAX: usize = 16;
/// Fields of a request that are not a model's to write.
const OWN: [&str; 8] =
    ["accept-encoding", "authorization", "connection", "expect", "host", "prefer", "proxy-authorization", "upgrade"];
/// Where the gateway says what became of a request.
const REQUESTS: &str = "/.well-known/gatehouse/requests/";

async fn connect(lease: &Lease, target: &str, called: &[&[u8]]) -> Result<Box<dyn WebStream>> {
    let address = lease.addresses.get(target).with_context(|| format!("nothing listens for {target}"))?;
    let stream = connect_listener(address, lease.root_certificates.get(target).map(String::as_str), called).await;
    stream.context("the gateway's own listener cannot be reached")
}

/// Runs SQL, and gives what it says; `tell` hears of requests that it waits for.
pub(super) async fn query(lease: &Lease, target: &str, sql: &str, tell: mpsc::Sender<String>) -> Result<Value> {
    let stream = Capped { stream: connect(lease, target, &[b"postgresql"]).await?, left: STREAM_BYTES_MAX };
    let mut config = tokio_postgres::Config::new();
    config.user(&lease.user).password(lease.password.expose()).dbname(target).application_name("gatehouse mcp");
    let (client, mut connection) = config.connect_raw(stream, NoTls).await.map_err(words)?;
    let connected = async {
        while let Some(message) = future::poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notice(notice) = message.map_err(words)?
                && let Some(request) = request_in(notice.message())
            {
                // Whoever asked may have gone.
                let _ = tell.try_send(request);
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    let asked = async {
        let mut messages = pin!(client.simple_query_raw(sql).await.map_err(words)?);
        let mut shown = Shown::default();
        while let Some(message) = messages.next().await {
            if !shown.take(message.map_err(words)?) {
                break;
            }
        }
        Ok(shown.told())
    };
    let (mut connected, mut asked) = (pin!(connected), pin!(asked));
    match future::select(&mut asked, &mut connected).await {
        future::Either::Left((done, _)) => done,
        // The last words may be there already.
        future::Either::Right((ended, asked)) => {
            ended?;
            asked.await
        }
    }
}

/// A connection of which only so much is read.
struct Capped {
    stream: Box<dyn WebStream>,
    left: usize,
}

impl AsyncRead for Capped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        if read > self.left {
            let why = format!("the answer is longer than {STREAM_BYTES_MAX} bytes: ask for less");
            return Poll::Ready(Err(io::Error::other(why)));
        }
        self.left -= read;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Capped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What of an answer is shown.
#[derive(Default)]
struct Shown {
    results: Vec<Value>,
    columns: Vec<String>,
    rows: Vec<Value>,
    count: usize,
    bytes: usize,
    is_cut: bool,
}

impl Shown {
    /// False when no more is shown.
    fn take(&mut self, message: SimpleQueryMessage) -> bool {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                self.columns = columns.iter().map(|column| column.name().to_string()).collect();
                self.bytes += self.columns.iter().map(String::len).sum::<usize>();
            }
            SimpleQueryMessage::Row(row) => {
                let values: Vec<Option<&str>> = (0..row.len()).map(|place| row.get(place)).collect();
                self.bytes += values.iter().flatten().map(|value| value.len()).sum::<usize>();
                self.count += 1;
                if self.count > ROWS_MAX || self.bytes > BYTES_MAX {
                    self.is_cut = true;
                    self.end(None);
                    return false;
                }
                self.rows.push(json!(values));
            }
            SimpleQueryMessage::CommandComplete(count) => {
                self.end(Some(count));
                self.is_cut = self.results.len() >= ROWS_MAX;
                return !self.is_cut;
            }
            _ => {}
        }
        true
    }

    fn end(&mut self, count: Option<u64>) {
        let (columns, rows) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.rows));
        let mut result = Map::new();
        if !columns.is_empty() {
            result.insert("columns".into(), json!(columns));
            result.insert("rows".into(), json!(rows));
        }
        result.extend(count.map(|count| ("count".to_string(), json!(count))));
        self.results.push(Value::Object(result));
    }

    fn told(self) -> Value {
        let mut told = json!({ "results": self.results });
        if let (true, Some(told)) = (self.is_cut, told.as_object_mut()) {
            let why = format!("only the first rows are shown, at most {ROWS_MAX} and {BYTES_MAX} bytes: ask for less");
            told.insert("cut".into(), why.into());
        }
        told
    }
}

/// The id of the request that a notice names.
fn request_in(notice: &str) -> Option<String> {
    let words = notice.split(|char: char| !char.is_ascii_alphanumeric() && char != '-');
    words.into_iter().find_map(|word| RequestId::parse(word).ok()).map(|id| id.to_string())
}

/// A refusal in the words in which it came.
fn words(error: tokio_postgres::Error) -> anyhow::Error {
    let Some(told) = error.as_db_error() else { return anyhow!(error) };
    let more = [told.detail(), told.hint()].into_iter().flatten().map(|line| format!("\n{line}"));
    anyhow!("{} (SQLSTATE {}){}", told.message(), told.code().code(), more.collect::<String>())
}

/// What comes of a request.
pub(super) enum Answer {
    Whole(Value),
    /// A person is asked, by this request.
    Held(String),
}

/// Sends a request. One that is held is not waited for.
pub(super) async fn http_request(lease: &Lease, asked: &HttpAsked) -> Result<Answer> {
    let mut request = Request::builder().method(asked.method.as_str()).header("prefer", "respond-async");
    for (name, value) in &asked.headers {
        // The gateway's own way to know whose it is.
        if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            bail!("leave `{name}` out: the gateway says who you are, and to whom");
        }
        request = request.header(name, value);
    }
    let body = asked.body.clone().unwrap_or_default();
    let response = send(lease, &asked.target, &asked.path, request, body).await?;
    let (head, body) = response.into_parts();
    let field = |name: hyper::header::HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let held = field(LOCATION).and_then(|at| at.split_once(REQUESTS)).map(|(_, id)| id.to_string());
    if let (202, Some(request), true) = (head.status.as_u16(), held, head.headers.contains_key("preference-applied")) {
        return Ok(Answer::Held(request));
    }
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned())));
    let shown = match std::str::from_utf8(&body) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": BASE64.encode(&body) }),
    };
    let headers: Map<String, Value> = fields.collect();
    Ok(Answer::Whole(json!({ "status": head.status.as_u16(), "headers": headers, "body": shown })))
}

/// What became of a request that a person is asked about.
pub(super) async fn http_state(lease: &Lease, target: &str, request: &str) -> Result<(String, Option<String>)> {
    let asked = Request::builder().method("GET");
    let answer = send(lease, target, &format!("{REQUESTS}{request}"), asked, String::new()).await?;
    let told: Value = serde_json::from_slice(answer.body())?;
    let text = |name: &str| told.get(name).and_then(Value::as_str).map(String::from);
    let state = text("state").or_else(|| text("title")).context("the gateway does not say what became of it")?;
    Ok((state, text("reason")))
}

async fn send(
    lease: &Lease,
    target: &str,
    path: &str,
    request: hyper::http::request::Builder,
    body: String,
) -> Result<Response<Bytes>> {
    let protocol = lease.protocols.get(target).map_or("http", String::as_str);
    let address = lease.addresses.get(target).map_or("", String::as_str);
    let path = path.strip_prefix('/').context("a path begins with /")?;
    let proof = BASE64.encode([lease.user.as_bytes(), b":", lease.password.expose()].concat());
    let request = request
        .uri(format!("/{protocol}/{target}/{path}"))
        .header(HOST, address)
        .header(AUTHORIZATION, format!("Basic {proof}"))
        .header(ACCEPT_ENCODING, "identity");
    let request = request.body(Full::new(Bytes::from(body))).context("this is no request")?;
    let stream = connect(lease, target, &[b"http/1.1"]).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connected = tokio::spawn(connection);
    let answered = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|_| anyhow!("the answer is longer than {ANSWER_BYTES_MAX} bytes: ask for less"))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    let answered = answered.await;
    connected.abort();
    answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_names_its_request() {
        let id = RequestId::from_random(7).to_string();
        let notice = format!("DELETE waits for approval by dba as request {id}; cancel to withdraw it");
        assert_eq!(request_in(&notice), Some(id));
        assert_eq!(request_in("DELETE waits for nobody"), None);
    }
}
