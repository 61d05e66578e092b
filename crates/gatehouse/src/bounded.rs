//! Connections to the control API over TCP: so many at a time, and none that is silent for long, so that whoever holds them
//! open takes nothing from the data path.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// How long nothing may be said or taken. An answer that takes longer to make is cut, so this is much.
const SILENCE: Duration = Duration::from_secs(300);

/// Accepts no more than there is room for.
pub(crate) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    silence: Duration,
}

impl Bounded {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), silence: SILENCE }
    }
}

impl Listener for Bounded {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            let place = self.places.clone().acquire_owned().await;
            match (place, self.listener.accept().await) {
                (Ok(place), Ok((stream, peer))) => {
                    let (within, silence) = (self.silence, Box::pin(sleep(self.silence)));
                    return (Placed { stream, within, silence, _place: place }, peer);
                }
                (_, Err(error)) => {
                    // Out of descriptors or the like: what is open goes on, and accepting is tried again.
                    tracing::warn!(%error, "a connection to the API could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
                // Nobody closes the places.
                (Err(_), Ok(_)) => {}
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Whoever is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Puts the address of whoever calls where every listener puts it.
pub(crate) async fn told_of_peer(ConnectInfo(Peer(peer)): ConnectInfo<Peer>, mut request: Request) -> Request {
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// A connection that has a place.
pub(crate) struct Placed {
    stream: TcpStream,
    within: Duration,
    silence: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                let until = Instant::now() + self.within;
                self.silence.as_mut().reset(until);
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(self.silence.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_ready() {
            let until = Instant::now() + self.within;
            self.silence.as_mut().reset(until);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn there_is_room_for_so_many_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded::new(listener);
        let address = bounded.local_addr().unwrap();
        let mut callers = Vec::new();
        let mut placed = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            callers.push(TcpStream::connect(address).await.unwrap());
            placed.push(bounded.accept().await.0);
        }
        callers.push(TcpStream::connect(address).await.unwrap());
        let within = Duration::from_millis(50);
        assert!(tokio::time::timeout(within, bounded.accept()).await.is_err(), "one too many");
        placed.pop();
        assert!(tokio::time::timeout(Duration::from_secs(10), bounded.accept()).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_is_waited_for_without_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded { silence: Duration::from_millis(20), ..Bounded::new(listener) };
        let _caller = TcpStream::connect(bounded.local_addr().unwrap()).await.unwrap();
        let mut placed = bounded.accept().await.0;
        let error = placed.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
