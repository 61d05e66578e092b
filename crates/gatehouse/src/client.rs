//! Calls the control API, over the admin socket or over TCP.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};
use gatehouse_api::Problem;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::cli::Reach;

/// A gateway to call.
pub struct Client {
    way: Way,
    /// The person whom an administrator calls for.
    acting_as: Option<String>,
}

enum Way {
    Socket(PathBuf),
    Tcp { authority: String, token: String },
}

impl Client {
    /// Reads how the gateway is reached.
    pub fn new(reach: &Reach) -> Result<Self> {
        let way = match &reach.api {
            None => Way::Socket(reach.admin_socket.clone()),
            Some(url) => {
                let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').to_string());
                let authority = authority.ok_or_else(|| anyhow!("`{url}` is no http:// address"))?;
                let path = reach.token_file.as_ref().ok_or_else(|| {
                    anyhow!(
                        "the API asks for a token: set GATEHOUSE_TOKEN_FILE to the file that `gatehouse login` wrote"
                    )
                })?;
                let token = std::fs::read_to_string(path)
                    .with_context(|| format!("the token file {} cannot be read", path.display()))?;
                Way::Tcp { authority, token: token.trim().to_string() }
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
            Way::Tcp { authority, .. } => {
                let stream = TcpStream::connect(authority)
                    .await
                    .with_context(|| format!("no gateway answers at {authority}"))?;
                self.exchange(stream, method, path, body).await
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
            Way::Tcp { authority, token } => {
                request.header(HOST, authority).header(AUTHORIZATION, format!("Bearer {token}"))
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
            Ok(problem) => bail!("{}\n{}", problem.title, problem.detail),
            Err(_) => bail!("the gateway answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}
