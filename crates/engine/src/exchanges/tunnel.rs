//! Carries bytes to hosts that are no targets, for those whom policy lets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gatehouse_gate::{Tunnel, TunnelEnd};
use gatehouse_model::{Denial, Reason};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::dial;
use crate::listener::Engine;

/// How long a connection may take, in seconds.
const UNSEEN_CONNECT_SECS_MAX: u64 = 15;
/// How long nothing may be said, in seconds.
const UNSEEN_SILENCE_SECS_MAX: u64 = 600;
/// How often it is looked whether the task still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How much is carried at a time, in bytes.
const PART_BYTES: usize = 16 * 1024;

/// A tunnel that is open. However it ends, that is recorded.
pub(super) struct Way {
    engine: Arc<Engine>,
    tunnel: Tunnel,
    cause: String,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Drop for Way {
    fn drop(&mut self) {
        let (sent, received) = (*self.sent.get_mut(), *self.received.get_mut());
        let end = TunnelEnd { cause: &self.cause, sent, received };
        if let Err(error) = self.engine.gate.close_tunnel(self.engine.house.now(), &self.tunnel, end) {
            tracing::error!(%error, "the end of a tunnel could not be recorded");
        }
    }
}

impl Way {
    pub(super) fn new(engine: Arc<Engine>, tunnel: Tunnel) -> Self {
        let cause = "the client left".into();
        Self { engine, tunnel, cause, sent: AtomicU64::new(0), received: AtomicU64::new(0) }
    }

    /// Connects to where it leads.
    pub(super) async fn dial(&mut self) -> Result<TcpStream, Denial> {
        let (host, port) = self.tunnel.to();
        let connecting = async {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
            let mut targets = Vec::new();
            for target in self.engine.house.dialed_at(port) {
                // What cannot be found now is not reached by this either.
                targets.extend(tokio::net::lookup_host((target.as_str(), port)).await.into_iter().flatten());
            }
            let is_target = |address: &SocketAddr| {
                targets.iter().any(|target| target.ip().to_canonical() == address.ip().to_canonical())
            };
            // A name must not lead into the gateway's own network: policy that permits that names the address.
            let may_be = |address: &SocketAddr| {
                let is_named = host.parse() == Ok(address.ip()) && !address.ip().is_unspecified();
                let is_own = self.engine.house.is_own(&address.ip().to_canonical().to_string(), port);
                (is_named || is_public(address.ip())) && !is_own && !is_target(address)
            };
            let found: Vec<SocketAddr> = found.into_iter().filter(may_be).collect();
            let socket = TcpStream::connect(found.as_slice()).await?;
            socket.set_nodelay(true)?;
            dial::keep_alive(&socket)?;
            Ok::<_, io::Error>(socket)
        };
        let connected = tokio::time::timeout(Duration::from_secs(UNSEEN_CONNECT_SECS_MAX), connecting).await;
        let detail = match connected {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => format!("it has no public address that answers: {error}"),
            Err(_) => format!("there was no answer within {UNSEEN_CONNECT_SECS_MAX} s"),
        };
        let what = format!("{host}:{port} cannot be reached");
        self.cause.clone_from(&detail);
        let hint = "Ask the operator of the gateway, from whose network it must be reached";
        Err(Denial::new(Reason::Unreachable, what, detail, hint))
    }

    /// Carries bytes both ways until one side ends it, or it may be no more.
    pub(super) async fn carry(mut self, client: impl AsyncRead + AsyncWrite, target: TcpStream) {
        let (from_client, to_client) = tokio::io::split(client);
        let (from_target, to_target) = target.into_split();
        let (sent, received) = (&self.sent, &self.received);
        let both = async {
            tokio::try_join!(pump(from_client, to_target, sent), pump(from_target, to_client, received)).map(|_| ())
        };
        let mut both = Box::pin(both);
        let (mut last, mut moved) = (Instant::now(), 0);
        let cause = loop {
            tokio::select! {
                ended = &mut both => break match ended {
                    Ok(()) => "both sides ended it".to_string(),
                    Err(error) => error.to_string(),
                },
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            if let Some(denial) = self.engine.gate.tunnel_shut(&self.tunnel, self.engine.house.now()) {
                break denial.message;
            }
            let now_moved = sent.load(Ordering::Relaxed) + received.load(Ordering::Relaxed);
            if now_moved != moved {
                (last, moved) = (Instant::now(), now_moved);
            } else if last.elapsed() > Duration::from_secs(UNSEEN_SILENCE_SECS_MAX) {
                break "nothing was said for a while".into();
            }
        };
        drop(both);
        self.cause = cause;
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: &AtomicU64) -> io::Result<()> {
    let mut part = vec![0; PART_BYTES];
    loop {
        let len = from.read(&mut part).await?;
        if len == 0 {
            return to.shutdown().await;
        }
        to.write_all(part.get(..len).unwrap_or_default()).await?;
        to.flush().await?;
        count.fetch_add(len as u64, Ordering::Relaxed);
    }
}

/// Whether an address is one of the internet's, and not of a machine's own or a private network's (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => {
            let [first, second, ..] = address.segments();
            let embedded = address.to_ipv4_mapped().or_else(|| translated(address));
            let is_local = address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || first & 0xffc0 == 0xfec0
                || (first == 0x2001 && second < 0x200)
                || first == 0x2002;
            embedded.map_or(!is_local, is_public_v4)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_local = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || first == 0
        || first >= 240
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
        || (first, second, third) == (192, 0, 0);
    !is_local
}

/// The address that a network with translation (RFC 6052) makes of one of version 6.
fn translated(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_networks_are_not_public() {
        for own in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001:0:1::",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in ["192.0.2.1", "9.9.9.9", "2606:4700::1111", "::ffff:9.9.9.9", "64:ff9b::909:909"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
