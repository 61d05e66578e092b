//! The gateway's own connections to web servers that the configuration names, such as the provider that people sign in by.
//! Nothing of a client ever goes over them.

use std::io;
use std::sync::Arc;

use gatehouse_gate::{Account, Route, TlsMode, Trust};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{self, TlsError, authorities, provider};

/// Bytes to and from a web server.
pub trait WebStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> WebStream for T {}

/// Connects to a web server: in the clear, or with TLS where it is said who vouches for its certificate, which must be for
/// this host.
///
/// # Errors
/// Whatever keeps the connection from standing.
pub async fn connect_web(host: &str, port: u16, trust: Option<&Trust>) -> io::Result<Box<dyn WebStream>> {
    // A literal address of version 6 stands in brackets in a URL.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, port)).await?;
    let Some(trust) = trust else {
        return Ok(Box::new(socket));
    };
    let unusable = |error: TlsError| io::Error::new(io::ErrorKind::InvalidInput, error);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.into()))?
        .with_webpki_verifier(authorities(trust).map_err(unusable)?)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_string()).map_err(|_| unusable(TlsError::Name(host.into())))?;
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await?))
}

/// Connects to a listener of the gateway's own, as its clients do: with TLS where it is said which certificates it is recognized
/// by. It is known by its address, whatever name they are for.
///
/// # Errors
/// Whatever keeps the connection from standing.
pub async fn connect_listener(
    address: &str,
    certificates: Option<&str>,
    application_protocols: &[&[u8]],
) -> io::Result<Box<dyn WebStream>> {
    let socket = TcpStream::connect(address).await?;
    let Some(certificates) = certificates else {
        return Ok(Box::new(socket));
    };
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let route = Route {
        host: host.trim_matches(['[', ']']).into(),
        port: port.parse().unwrap_or_default(),
        account: Account::None,
        database: String::new(),
        tls: TlsMode::VerifyCa,
        trust: Trust::Pem(certificates.into()),
        identity: None,
    };
    let connected = tls::connect(&route, socket, application_protocols).await;
    Ok(Box::new(connected.map_err(io::Error::other)?.0))
}

/// Whether a PEM text holds certificates that can vouch for others.
///
/// # Errors
/// Why it does not.
pub fn check_authorities(pem: &str) -> Result<(), TlsError> {
    authorities(&Trust::Pem(pem.into())).map(|_| ())
}
