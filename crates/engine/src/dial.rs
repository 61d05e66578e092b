//! Dials targets. Nothing but a grant makes it dial.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gatehouse_gate::{Cleared, Grant, Route, TlsMode};
use gatehouse_protocol::{Breach, StreamProtocol, TargetCall, TargetLogin, TargetReady, TargetStep, TlsWish};
use tokio::net::TcpStream;

use crate::TargetAccount;
use crate::disk::Disk;
use crate::outlet::Outlet;
use crate::tls::{self, ConnectError};
use crate::wire::Wire;

/// What a read of a login asks for, in bytes.
pub(crate) const LOGIN_READ_BYTES: usize = 4 * 1024;

pub(crate) type WireOutlet = Outlet<Wire>;

/// A connection to a target, logged in.
pub(crate) struct Reached {
    pub(crate) outlet: WireOutlet,
    /// What the target sent after it was ready.
    pub(crate) read: BytesMut,
    pub(crate) ready: TargetReady,
}

/// Why a target was not reached; the operator reads it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("connecting to {host}:{port} failed: {source}")]
    Connect { host: String, port: u16, source: io::Error },
    #[error("there was no connection and no login within {0} s, which is limits.connect_secs_max")]
    Late(u32),
    #[error("the target did not answer in time")]
    Slow,
    #[error("TLS with the target failed: {0}")]
    Tls(#[from] ConnectError),
    #[error("the connection failed during the login: {0}")]
    Wire(#[from] io::Error),
    #[error("{0}")]
    Breach(Breach),
    #[error("{0}")]
    Refused(String),
    #[error("the account at the target cannot be had: {0}")]
    Account(String),
}

/// A peer that vanished without a word is noticed within two minutes.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let alive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(3);
    socket2::SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// Connects by TCP, for the session that holds the grant.
async fn connect(grant: &Grant) -> Result<TcpStream, DialError> {
    let route = &grant.target().route;
    let connected = TcpStream::connect((route.host.as_str(), route.port)).await;
    let stream =
        connected.map_err(|source| DialError::Connect { host: route.host.clone(), port: route.port, source })?;
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    Ok(stream)
}

/// Connects and logs in, within so many seconds.
pub(crate) async fn dial(
    grant: &Grant,
    protocol: &dyn StreamProtocol,
    account: TargetAccount,
    parameters: Vec<(String, String)>,
    entropy: [u8; 32],
    (disk, secs): (&Disk, u32),
) -> Result<Reached, DialError> {
    let login = log_in(grant, protocol, account, parameters, entropy, disk);
    tokio::time::timeout(Duration::from_secs(secs.into()), login).await.map_err(|_| DialError::Late(secs))?
}

async fn log_in(
    grant: &Grant,
    protocol: &dyn StreamProtocol,
    account: TargetAccount,
    parameters: Vec<(String, String)>,
    entropy: [u8; 32],
    disk: &Disk,
) -> Result<Reached, DialError> {
    let route = &grant.target().route;
    let login = protocol.target_login(TargetCall {
        user: account.user,
        password: account.password,
        database: route.database.clone(),
        parameters,
        on_behalf: on_behalf(grant),
        tls: wish(route),
        entropy,
    });
    converse(grant, login, disk).await
}

/// Whoever works for somebody else says so at the target.
fn on_behalf(grant: &Grant) -> Option<String> {
    let subject = &grant.lease().subject;
    subject.on_behalf_of.as_ref().map(|(user, _)| format!("{} for user:{user}", subject.identity))
}

fn wish(route: &Route) -> TlsWish {
    match route.tls {
        TlsMode::Disable => TlsWish::Disable,
        TlsMode::Prefer => TlsWish::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => TlsWish::Require,
    }
}

/// Says one thing over a connection of its own, and waits until the target ends that.
pub(crate) async fn say(
    grant: &Grant,
    protocol: &dyn StreamProtocol,
    words: Cleared<Bytes>,
    disk: &Disk,
) -> Result<(), DialError> {
    let knock = protocol.knock(wish(&grant.target().route));
    let mut reached = converse(grant, knock, disk).await?;
    reached.outlet.push(words);
    reached.outlet.drain(disk).await?;
    reached.outlet.shut().await;
    let mut answer = BytesMut::new();
    while reached.outlet.read(&mut answer).await? > 0 && answer.len() < LOGIN_READ_BYTES {}
    Ok(())
}

async fn converse(grant: &Grant, mut login: Box<dyn TargetLogin>, disk: &Disk) -> Result<Reached, DialError> {
    let mut outlet = Outlet::new(Wire::Plain(connect(grant).await?));
    let mut read = BytesMut::new();
    let mut words = BytesMut::new();
    loop {
        let step = login.handle(&mut read, &mut words).map_err(DialError::Breach)?;
        outlet.push(grant.hello(words.split().freeze()));
        outlet.drain(disk).await?;
        match step {
            TargetStep::Ready(ready) => return Ok(Reached { outlet, read, ready }),
            TargetStep::Refused(said) => return Err(DialError::Refused(said)),
            TargetStep::Read => {
                read.reserve(LOGIN_READ_BYTES);
                if outlet.read(&mut read).await? == 0 {
                    return Err(DialError::Wire(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            TargetStep::StartTls => {
                let Wire::Plain(socket) = outlet.into_writer() else {
                    return Err(DialError::Wire(io::Error::other("TLS was asked for inside of TLS")));
                };
                let (wire, started) = tls::connect(&grant.target().route, socket, &[]).await?;
                outlet = Outlet::new(wire);
                login.tls_started(started, &mut words);
            }
        }
    }
}
