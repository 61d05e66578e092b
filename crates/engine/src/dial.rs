//! Dials targets. Nothing but a grant makes it dial.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use gatehouse_gate::{Grant, TlsMode};
use gatehouse_model::Secret;
use gatehouse_protocol::{Breach, Protocol, TargetCall, TargetReady, TargetStep, TlsWish};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use crate::disk::Disk;
use crate::outlet::Outlet;
use crate::tls::{self, TlsError};

/// How long a connection to a target and the login there may take.
const DIAL_SECS_MAX: u64 = 15;

/// A connection of either kind.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

pub(crate) type Wire = Box<dyn Carrier>;
pub(crate) type WireReader = ReadHalf<Wire>;
pub(crate) type WireOutlet = Outlet<WriteHalf<Wire>>;

/// A connection to a target, logged in.
pub(crate) struct Reached {
    pub(crate) reader: WireReader,
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
    #[error("the target did not answer within {DIAL_SECS_MAX} s")]
    Slow,
    #[error("TLS with the target failed: {0}")]
    Tls(#[from] TlsError),
    #[error("the connection failed during the login: {0}")]
    Wire(#[from] io::Error),
    #[error("{0}")]
    Breach(Breach),
}

/// Connects by TCP, for the session that holds the grant.
pub(crate) async fn connect(grant: &Grant) -> Result<TcpStream, DialError> {
    let route = &grant.target().route;
    let connected = TcpStream::connect((route.host.as_str(), route.port)).await;
    let stream =
        connected.map_err(|source| DialError::Connect { host: route.host.clone(), port: route.port, source })?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects and logs in.
pub(crate) async fn dial(
    grant: &Grant,
    protocol: &dyn Protocol,
    secret: Secret,
    parameters: Vec<(String, String)>,
    entropy: [u8; 32],
    disk: &Disk,
) -> Result<Reached, DialError> {
    let login = log_in(grant, protocol, secret, parameters, entropy, disk);
    tokio::time::timeout(Duration::from_secs(DIAL_SECS_MAX), login).await.map_err(|_| DialError::Slow)?
}

async fn log_in(
    grant: &Grant,
    protocol: &dyn Protocol,
    secret: Secret,
    parameters: Vec<(String, String)>,
    entropy: [u8; 32],
    disk: &Disk,
) -> Result<Reached, DialError> {
    let route = &grant.target().route;
    let wire: Wire = Box::new(connect(grant).await?);
    let (mut reader, writer) = tokio::io::split(wire);
    let mut outlet = Outlet::new(writer);
    let mut login = protocol.target_login(TargetCall {
        user: route.user.clone(),
        password: secret,
        database: route.database.clone(),
        parameters,
        tls: match route.tls {
            TlsMode::Disable => TlsWish::Disable,
            TlsMode::Prefer => TlsWish::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => TlsWish::Require,
        },
        entropy,
    });
    let mut read = BytesMut::new();
    let mut words = BytesMut::new();
    loop {
        let step = login.handle(&mut read, &mut words).map_err(DialError::Breach)?;
        outlet.push(grant.hello(words.split().freeze()));
        outlet.drain(disk).await?;
        match step {
            TargetStep::Ready(ready) => return Ok(Reached { reader, outlet, read, ready }),
            TargetStep::Read => {
                if reader.read_buf(&mut read).await? == 0 {
                    return Err(DialError::Wire(io::ErrorKind::UnexpectedEof.into()));
                }
            }
            TargetStep::StartTls => {
                let Some((connector, name)) = tls::connector(route)? else {
                    return Err(DialError::Tls(TlsError::Name(route.host.clone())));
                };
                let wire = reader.unsplit(outlet.into_writer());
                let wire: Wire = Box::new(connector.connect(name, wire).await?);
                let (new_reader, writer) = tokio::io::split(wire);
                reader = new_reader;
                outlet = Outlet::new(writer);
                login.tls_started(&mut words);
            }
        }
    }
}
