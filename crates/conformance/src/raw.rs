//! A client that sends whatever frames a test wants, in whatever order: what no driver does, an attacker may.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, BytesMut};
pub use gatehouse_laws::frames::{bind, describe, execute, frame, parse, query, sync};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::fixture::{Credential, PATIENCE};

/// One connection, logged in.
pub struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
    cancel_key: Vec<u8>,
    greeting: Vec<Answer>,
}

/// Version 3.0 of the protocol, as a startup packet says it.
pub const PROTOCOL_3_0: i32 = 3 << 16;

/// A frame: its tag, and its body as bytes.
pub type Answer = (u8, Vec<u8>);

impl RawClient {
    /// Connects and logs in.
    pub fn connect(credential: &Credential) -> Result<Self> {
        Self::connect_with(credential, &[])
    }

    /// Connects and logs in, with parameters of the startup packet.
    pub fn connect_with(credential: &Credential, parameters: &[(&str, &str)]) -> Result<Self> {
        Self::connect_to(credential, "shop", parameters)
    }

    /// The same to a target of another name.
    pub fn connect_to(credential: &Credential, target: &str, parameters: &[(&str, &str)]) -> Result<Self> {
        Self::begin(Self::dial(credential)?, credential, target, PROTOCOL_3_0, parameters)?.log_in(credential)
    }

    /// Connects, and says nothing.
    pub fn dial(credential: &Credential) -> Result<TcpStream> {
        let stream = TcpStream::connect((credential.host.as_str(), credential.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Sends a startup packet, and waits for nothing.
    pub fn begin(
        stream: TcpStream,
        credential: &Credential,
        target: &str,
        version: i32,
        parameters: &[(&str, &str)],
    ) -> Result<Self> {
        let mut client = Self { stream, read: Vec::new(), cancel_key: Vec::new(), greeting: Vec::new() };
        let mut startup = [b"user\0", credential.user.as_bytes(), b"\0database\0", target.as_bytes(), b"\0"].concat();
        for (name, value) in parameters {
            startup.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        startup.push(0);
        let mut hello = BytesMut::new();
        hello.put_i32(i32::try_from(startup.len() + 8)?);
        hello.put_i32(version);
        hello.put_slice(&startup);
        client.stream.write_all(&hello)?;
        Ok(client)
    }

    /// Proves the password once it is asked for it.
    pub fn log_in(mut self, credential: &Credential) -> Result<Self> {
        let offer = self.expect(b'R')?;
        self.greeting.push((b'R', offer));
        let mut scram = ScramSha256::new(credential.password.as_bytes(), ChannelBinding::unsupported());
        let length = i32::try_from(scram.message().len())?.to_be_bytes();
        let first = frame(b'p', &[b"SCRAM-SHA-256\0", &length, scram.message()]);
        self.stream.write_all(&first)?;
        let challenge = self.expect(b'R')?;
        scram.update(challenge.get(4..).unwrap_or_default())?;
        let last = frame(b'p', &[scram.message()]);
        self.stream.write_all(&last)?;
        loop {
            let (tag, body) = self.answer()?;
            if tag == b'K' {
                self.cancel_key = body.clone();
            }
            self.greeting.push((tag, body));
            if tag == b'Z' {
                return Ok(self);
            }
        }
    }

    fn expect(&mut self, tag: u8) -> Result<Vec<u8>> {
        let (found, body) = self.answer()?;
        if found != tag {
            bail!("{:?} came: {}", char::from(found), String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// What it was told while it logged in, but for the challenge.
    pub fn greeting(&self) -> &[Answer] {
        &self.greeting
    }

    /// The key by which what runs here can be cancelled.
    pub fn cancel_key(&self) -> &[u8] {
        &self.cancel_key
    }

    /// The socket, for what reads and writes by itself; nothing must be left unread of what came before.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends frames in one write.
    pub fn send(&mut self, frames: &[Vec<u8>]) -> Result<()> {
        Ok(self.stream.write_all(&frames.concat())?)
    }

    /// The next frame.
    pub fn answer(&mut self) -> Result<Answer> {
        loop {
            if let Some((&[tag, a, b, c, d], rest)) = self.read.split_first_chunk::<5>() {
                let length = usize::try_from(i32::from_be_bytes([a, b, c, d]))?.checked_sub(4).context("a length")?;
                if let Some(body) = rest.get(..length) {
                    let answer = (tag, body.to_vec());
                    self.read.drain(..length + 5);
                    return Ok(answer);
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => bail!("the gateway closed the connection"),
                read => self.read.extend(buffer.get(..read).unwrap_or_default()),
            }
        }
    }

    /// Everything up to the `count`th ReadyForQuery, or up to the end of the connection, as text.
    pub fn until_ready(&mut self, count: usize) -> Result<String> {
        let mut said = String::new();
        let mut ready = 0;
        while ready < count {
            match self.answer() {
                Ok((tag, body)) => {
                    ready += usize::from(tag == b'Z');
                    said.push_str(&format!("{} {}\n", char::from(tag), String::from_utf8_lossy(&body)));
                }
                Err(error) => {
                    said.push_str(&format!("end: {error}\n"));
                    break;
                }
            }
        }
        Ok(said)
    }
}
