//! One HTTP call, as bare as it can be: what a test says is what is sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::fixture::PATIENCE;

/// Where a call goes.
#[derive(Debug, Clone, Copy)]
pub enum Door<'a> {
    /// An address that begins with `http://`.
    Web(&'a str),
    /// The same, where the call says itself by which name it goes there.
    Named(&'a str),
    /// A Unix socket.
    Socket(&'a Path),
}

/// What comes back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// All values of a header.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// The content type of forms, and that of everything else here.
pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// The same of JSON.
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// Sends a call and waits for the answer.
pub fn call(door: Door<'_>, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    match door {
        Door::Web(base) => {
            let (stream, host) = connect(base)?;
            exchange(stream, method, path, &[&[("host", host)], headers].concat(), body)
        }
        Door::Named(base) => exchange(connect(base)?.0, method, path, headers, body),
        Door::Socket(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            exchange(stream, method, path, &[&[("host", "gatehouse")], headers].concat(), body)
        }
    }
}

fn connect(base: &str) -> Result<(TcpStream, &str)> {
    let host = base.strip_prefix("http://").with_context(|| format!("`{base}` is not http://"))?;
    let stream = TcpStream::connect(host).with_context(|| format!("nobody listens at {host}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok((stream, host))
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    // Version 1.0, so that the answer ends with the connection and comes in one piece.
    write!(stream, "{method} {path} HTTP/1.0\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).context("no status")?.parse()?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(Answer { status, head: head.into(), body: body.into() })
}
