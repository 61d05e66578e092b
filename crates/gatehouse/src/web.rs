//! Calls to web servers that the configuration names: one request, one bounded answer, no redirects.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Scheme;
use axum::http::{HeaderValue, Request, Response, Uri, header};
use futures_util::FutureExt as _;
use gatehouse_engine::connect_web;
use gatehouse_gate::Trust;
use gatehouse_identity::{Fetch, FetchError};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);

/// Fetches with TLS that `trust` vouches for.
pub(crate) fn fetcher(trust: Trust) -> Fetch {
    let trust = Arc::new(trust);
    Arc::new(move |request| {
        let trust = trust.clone();
        async move {
            match tokio::time::timeout(CALL, fetch(&trust, request)).await {
                Ok(answer) => answer.map_err(|error| FetchError(format!("{error:#}"))),
                Err(_) => Err(FetchError(format!("no answer within {} s", CALL.as_secs()))),
            }
        }
        .boxed()
    })
}

/// The same, for secrets.
pub(crate) fn secret_fetcher(trust: Trust) -> gatehouse_secrets::Fetch {
    let fetch = fetcher(trust);
    Arc::new(move |request| {
        let answer = fetch(request);
        async move { answer.await.map_err(|error| error.to_string()) }.boxed()
    })
}

async fn fetch(trust: &Trust, request: Request<Vec<u8>>) -> anyhow::Result<Response<Vec<u8>>> {
    let uri = request.uri().clone();
    anyhow::ensure!(is_private(&uri), "{uri} is neither https:// nor on this machine");
    let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = connect_web(host, port, is_secure.then_some(trust)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driven = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    if let Some(authority) = uri.authority() {
        parts.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    }
    parts.uri = Uri::try_from(uri.path_and_query().map_or("/", |path| path.as_str()))?;
    let answer = sender.send_request(Request::from_parts(parts, Full::new(Bytes::from(body)))).await;
    let answer = match answer {
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            body.map(|body| Response::from_parts(parts, body.to_bytes().into())).map_err(|error| anyhow::anyhow!(error))
        }
        Err(error) => Err(error.into()),
    };
    driven.abort();
    answer
}

/// Whether nobody on the way can read along: with TLS, or without leaving the machine.
pub(crate) fn is_private(uri: &Uri) -> bool {
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => is_here(host),
        _ => false,
    }
}

/// An address as errors repeat it: without who calls, for there may be a password beside them.
pub(crate) fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => address.into(),
    }
}

/// Whether a host, as it stands in an address, is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_nowhere_in_the_clear() {
        for (uri, expected) in [
            ("https://id.example/x", true),
            ("http://127.0.0.1:1/x", true),
            ("http://[::1]:1/x", true),
            ("http://localhost/x", true),
            ("http://id.example/x", false),
            ("http://127.0.0.1.example/x", false),
            ("ftp://127.0.0.1/x", false),
            ("/x", false),
        ] {
            assert_eq!(is_private(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
