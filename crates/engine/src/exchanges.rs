//! Carries HTTP: accepts connections, finds out whose each request is and where it goes, and hands it to a lane.
//!
//! A lane is one session: one identity, one task, one target, one request after the other. A connection that asks for several
//! things at a time has several lanes.

mod lane;
mod outlet;
mod pool;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use gatehouse_model::{Denial, Reason, Secret};
use gatehouse_protocol::{ClientCertificate, Exchanges};
use http::header::{AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use crate::Stranger;
use crate::listener::{Engine, Listener};
use crate::login;
use crate::wire::{Early, Wire};

use lane::Lane;
use outlet::AnswerBody;
pub(crate) use pool::Targets;

/// Under which path targets are reached.
const PREFIX: &str = "/http/";
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How many requests a connection may have at a time.
const STREAMS_MAX: u32 = 100;
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// A client's connection.
struct Connection {
    engine: Arc<Engine>,
    protocol: Arc<dyn Exchanges>,
    peer: SocketAddr,
    is_private: bool,
    certificate: Option<Arc<ClientCertificate>>,
    /// Lanes that rest, by what opened them.
    lanes: Mutex<HashMap<Key, Vec<Lane>>>,
}

/// What opens a lane: the proof that a client shows, as a digest, and the target.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    proof: [u8; 32],
    target: String,
}

/// Where a request goes.
struct Destination {
    target: String,
    /// The path under which the client reaches it, and what of its own path comes after.
    base: String,
    rest: String,
}

/// Sees a connection through to its end.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    listener: &Listener,
    protocol: &Arc<dyn Exchanges>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let within = Duration::from_secs(u64::from(engine.limits.login_secs_max));
    let (wire, certificate) = match tokio::time::timeout(within, begin(listener, stream)).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "the connection ended before a request"),
        Err(_) => return tracing::info!(%peer, "the client did not begin TLS within limits.login_secs_max"),
    };
    let is_private = matches!(wire, Wire::Server(_)) || peer.ip().is_loopback();
    let connection = Arc::new(Connection {
        engine,
        protocol: protocol.clone(),
        peer,
        is_private,
        certificate,
        lanes: Mutex::default(),
    });
    let service = service_fn(|request| {
        let connection = connection.clone();
        async move { Ok::<_, Infallible>(connection.handle(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(within).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    if let Err(error) = builder.serve_connection(TokioIo::new(wire), service).await {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}

/// Begins TLS, where the client does or must.
async fn begin(listener: &Listener, stream: TcpStream) -> std::io::Result<(Wire, Option<Arc<ClientCertificate>>)> {
    // As it is now: certificates are renewed while the gateway runs.
    let Some(tls) = listener.tls.as_ref().map(|tls| tls.borrow().clone()) else {
        return Ok((Wire::Plain(stream), None));
    };
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    if !listener.tls_required && count == 1 && first != [HANDSHAKE] {
        return Ok((Wire::Plain(stream), None));
    }
    let (wire, started) = tls.accept(Early::new(BytesMut::new(), stream)).await?;
    Ok((wire, started.client))
}

impl Connection {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<AnswerBody> {
        let (proof, destination) = (Proof::of(request.headers()), destination(&request));
        let Some(destination) = destination else {
            return problem(&Denial::new(
                Reason::Unknown,
                "there is no target at this address",
                format!("targets are reached under {PREFIX}TARGET/"),
                "`gatehouse targets ls` shows the targets",
            ));
        };
        let key = Key { proof: proof.digest(), target: destination.target.clone() };
        let lane = match self.rested(&key) {
            Some(lane) => lane,
            None => match self.open(proof, &destination.target).await {
                Ok(lane) => lane,
                Err(denial) => return problem(&denial),
            },
        };
        lane.exchange(request, destination, self.clone(), key).await
    }

    /// A lane that is open and has nothing to do.
    fn rested(&self, key: &Key) -> Option<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = lanes.get_mut(key)?;
        rested.retain(Lane::is_open);
        rested.pop()
    }

    fn give_back(&self, key: Key, lane: Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().push(lane);
    }

    /// Finds out whose a request is, and opens a session for it.
    async fn open(&self, proof: Proof, target: &str) -> Result<Lane, Denial> {
        let stranger = Stranger {
            user: proof.user,
            target: target.into(),
            is_private: self.is_private,
            certificate: self.certificate.clone(),
        };
        if proof.secret.is_none() && self.certificate.is_none() {
            return Err(unproven("the request shows nothing that says whose it is"));
        }
        if !self.is_private {
            return Err(unproven("the request came over a connection that others can read"));
        }
        let recognized = self.engine.house.clone().recognize(stranger.clone(), proof.secret).await;
        let task = recognized.inspect_err(|denial| {
            let breach = gatehouse_protocol::Breach::client(denial.detail.clone());
            login::refused(&self.engine, self.protocol.name(), &stranger.user, target, &breach);
        })?;
        Lane::open(&self.engine, &self.protocol, &task, target, self.peer).await
    }
}

fn unproven(why: &str) -> Denial {
    Denial::new(
        Reason::Login,
        "the request is nobody's",
        why,
        "Send the user name and password of a task as Basic credentials, or a token as Bearer, over TLS",
    )
}

/// What a request shows of whose it is.
struct Proof {
    user: String,
    secret: Option<Secret>,
}

impl Proof {
    fn of(headers: &HeaderMap) -> Self {
        let shown = headers.get(PROXY_AUTHORIZATION).or_else(|| headers.get(AUTHORIZATION));
        let nothing = Self { user: String::new(), secret: None };
        let Some((scheme, word)) = shown.and_then(|value| value.to_str().ok()).and_then(|shown| shown.split_once(' '))
        else {
            return nothing;
        };
        let word = word.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self { user: String::new(), secret: Some(Secret::new(word)) };
        }
        let decoded = scheme.eq_ignore_ascii_case("basic").then(|| BASE64.decode(word).ok()).flatten();
        let decoded = decoded.and_then(|decoded| String::from_utf8(decoded).ok());
        match decoded.as_deref().and_then(|decoded| decoded.split_once(':')) {
            Some((user, secret)) => Self { user: user.into(), secret: Some(Secret::new(secret)) },
            None => nothing,
        }
    }

    fn digest(&self) -> [u8; 32] {
        let secret = self.secret.as_ref().map(Secret::expose).unwrap_or_default();
        let length = (self.user.len() as u64).to_be_bytes();
        Sha256::new_with_prefix(length).chain_update(&self.user).chain_update(secret).finalize().into()
    }
}

fn destination(request: &Request<Incoming>) -> Option<Destination> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let rest = path.strip_prefix(PREFIX)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (target, rest) = rest.split_at(end);
    let rest = if rest.starts_with('/') { rest.to_string() } else { format!("/{rest}") };
    Some(Destination { target: target.into(), base: format!("{PREFIX}{target}"), rest })
}

/// A refusal before there is a session.
fn problem(denial: &Denial) -> Response<AnswerBody> {
    let status = match denial.reason {
        Reason::Login | Reason::TaskEnded => StatusCode::UNAUTHORIZED,
        Reason::Unknown => StatusCode::NOT_FOUND,
        Reason::Unreachable => StatusCode::BAD_GATEWAY,
        Reason::Unrecorded => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Limit => StatusCode::TOO_MANY_REQUESTS,
        Reason::Policy
        | Reason::Disapproved
        | Reason::Held
        | Reason::HoldExpired
        | Reason::Withdrawn
        | Reason::NotUnderstood
        | Reason::Syntax => StatusCode::FORBIDDEN,
    };
    let body = serde_json::json!({
        "type": "about:blank",
        "title": denial.message,
        "status": status.as_u16(),
        "detail": denial.detail,
        "remedy": denial.hint,
        "policies": denial.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let mut response = Response::new(AnswerBody::whole(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        let schemes = HeaderValue::from_static("Bearer realm=\"gatehouse\", Basic realm=\"gatehouse\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
    }
    response
}
