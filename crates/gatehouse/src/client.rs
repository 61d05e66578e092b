//! Calls the control API, over the admin socket or over the network.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use axum::http::Uri;
use gatehouse_api::{LISTING_ENTRIES_MAX, Problem};
use gatehouse_engine::connect_web;
use gatehouse_gate::Trust;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LINK};
use hyper::http::response::Parts;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::cli::{Part, Reach};
use crate::web::is_private;

const OTHER_VERSION: &str = "the gateway's answer is not what was expected: is it of another version?";

/// What the gateway answered in place of what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{}\n{}", .0.title, .0.detail)]
pub(crate) struct Refused(pub(crate) Problem);

/// A gateway to call.
pub struct Client {
    way: Way,
    /// The person whom an administrator calls for.
    acting_as: Option<String>,
}

enum Way {
    Socket(PathBuf),
    Web { base: Uri, trust: Trust, token: Option<String> },
}

impl Client {
    /// Reads how the gateway is reached, and with which token.
    pub fn new(reach: &Reach) -> Result<Self> {
        let mut client = Self::anonymous(reach)?;
        if let Way::Web { token, .. } = &mut client.way {
            let path = token_file(reach)?;
            let read = std::fs::read_to_string(&path).with_context(|| {
                format!("the token file {} cannot be read: sign in with `gatehouse login`", path.display())
            })?;
            *token = Some(read.trim().to_string());
        }
        Ok(client)
    }

    /// The same without a token, for whoever has none yet.
    pub fn anonymous(reach: &Reach) -> Result<Self> {
        let way = match &reach.api {
            None => Way::Socket(reach.admin_socket.clone()),
            Some(url) => {
                let base: Uri = url.trim_end_matches('/').parse().with_context(|| format!("`{url}` is no address"))?;
                if !is_private(&base) {
                    bail!(
                        "`{url}` would show your token to the network: write https://, or an address of this machine"
                    );
                }
                let trust = match &reach.tls_authorities {
                    None => Trust::System,
                    Some(path) => {
                        let pem = std::fs::read_to_string(path);
                        Trust::Pem(pem.with_context(|| format!("{} cannot be read", path.display()))?.into())
                    }
                };
                Way::Web { base, trust, token: None }
            }
        };
        Ok(Self { way, acting_as: None })
    }

    /// The same, for a person whom the administrator names as `user:NAME`.
    pub fn acting_as(mut self, identity: Option<&str>) -> Result<Self> {
        if let (Some(identity), Way::Socket(_)) = (identity, &self.way) {
            let user =
                identity.strip_prefix("user:").ok_or_else(|| anyhow!("`{identity}` is no person: write user:NAME"))?;
            self.acting_as = Some(user.into());
        }
        Ok(self)
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let (_, body) = self.call(Method::GET, path, Vec::new()).await?;
        serde_json::from_slice(&body).context(OTHER_VERSION)
    }

    /// Reads the newest entries of a listing, and says whether these are all.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, part: &Part) -> Result<(Vec<T>, bool)> {
        let (mut entries, mut next) = (Vec::new(), Some(first_part(path, part)));
        while let Some(path) = next.take() {
            let (head, body) = self.call(Method::GET, &path, Vec::new()).await?;
            let more: Vec<T> = serde_json::from_slice(&body).context(OTHER_VERSION)?;
            entries.extend(more.into_iter().take(part.limit - entries.len()));
            let link = head.headers.get(LINK).and_then(|link| link.to_str().ok());
            next = link.and_then(|link| Some(link.strip_prefix('<')?.split_once('>')?.0.to_string()));
            if entries.len() >= part.limit {
                break;
            }
        }
        Ok((entries, next.is_none()))
    }

    /// Reads a text.
    pub async fn text(&self, path: &str) -> Result<String> {
        let (_, body) = self.call(Method::GET, path, Vec::new()).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Asks for something to be done.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = self.post_bytes(path, body).await?;
        serde_json::from_slice(&body).context(OTHER_VERSION)
    }

    /// Asks for bytes.
    pub async fn post_bytes(&self, path: &str, body: &impl Serialize) -> Result<Bytes> {
        Ok(self.call(Method::POST, path, serde_json::to_vec(body)?).await?.1)
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<(Parts, Bytes)> {
        match &self.way {
            Way::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.with_context(|| {
                    format!(
                        "no gateway answers at {}: is it running, and may you open the socket? (--admin-socket PATH)",
                        socket.display()
                    )
                })?;
                self.exchange(stream, method, path, body).await
            }
            Way::Web { base, trust, .. } => {
                let is_secure = base.scheme_str() == Some("https");
                let (host, port) = (base.host().unwrap_or_default(), base.port_u16());
                let port = port.unwrap_or(if is_secure { 443 } else { 80 });
                let stream = connect_web(host, port, is_secure.then_some(trust)).await;
                let stream = stream.with_context(|| format!("no gateway answers at {base}"))?;
                let path = format!("{}{path}", base.path().trim_end_matches('/'));
                self.exchange(stream, method, &path, body).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(Parts, Bytes)> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        request = match &self.way {
            Way::Socket(_) => request.header(HOST, "gatehouse"),
            Way::Web { base, token, .. } => {
                let authority = base.authority().map_or("", |authority| authority.as_str());
                let request = request.header(HOST, authority);
                match token {
                    Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
                    None => request,
                }
            }
        };
        if let Some(user) = &self.acting_as {
            request = request.header("gatehouse-user", user);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.status.is_success() {
            return Ok((head, body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Refused(problem).into()),
            Err(_) => bail!("the gateway answered {}: {}", head.status, String::from_utf8_lossy(&body)),
        }
    }
}

/// The first part of a listing.
fn first_part(path: &str, part: &Part) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let filters =
        [("task", &part.task), ("identity", &part.identity), ("target", &part.target), ("state", &part.state)];
    for (name, value) in filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))) {
        query.append_pair(name, value);
    }
    query.append_pair("limit", &part.limit.min(LISTING_ENTRIES_MAX as usize).to_string());
    format!("{path}?{}", query.finish())
}

/// Where a person's token lies.
pub(crate) fn token_file(reach: &Reach) -> Result<PathBuf> {
    if let Some(path) = &reach.token_file {
        return Ok(path.clone());
    }
    let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = folder.or_else(home).ok_or_else(|| anyhow!("say where your token lies: --token-file PATH"))?;
    Ok(folder.join("gatehouse/token"))
}
