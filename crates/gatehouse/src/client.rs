//! Calls the control API, over the admin socket or over the network.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use axum::http::Uri;
use gatehouse_api::Problem;
use gatehouse_engine::connect_web;
use gatehouse_gate::Trust;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::cli::Reach;
use crate::web::is_private;

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
        let body = self.call(Method::GET, path, Vec::new()).await?;
        serde_json::from_slice(&body)
            .context("the gateway's answer is not what was expected: is it of another version?")
    }

    /// Reads a text.
    pub async fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.call(Method::GET, path, Vec::new()).await?).into_owned())
    }

    /// Asks for something to be done.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let body = self.post_bytes(path, body).await?;
        serde_json::from_slice(&body)
            .context("the gateway's answer is not what was expected: is it of another version?")
    }

    /// Asks for bytes.
    pub async fn post_bytes(&self, path: &str, body: &impl Serialize) -> Result<Bytes> {
        self.call(Method::POST, path, serde_json::to_vec(body)?).await
    }

    async fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Bytes> {
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
    ) -> Result<Bytes> {
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
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Refused(problem).into()),
            Err(_) => bail!("the gateway answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
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
