//! Recorded sessions: the bytes that passed between unmodified clients and a real server, and what that server says
//! of itself.
//!
//! Knows the files under `sessions/<protocol>/`; must not know what the bytes mean.
//!
//! - `<name>.session`: one line for each piece in the order of the wire, `C <hex>` from client to target and
//!   `T <hex>` from target to client, from the end of the login on.
//! - `survey.answer`: the raw answer to the question of the protocol's survey, asked of the same server before.
//! - `heard.txt`: what a target may hear although nothing is permitted; `added.txt`: what the protocol may add. Both
//!   hold whole messages in hex, one a line; `#` begins a comment.
//!
//! They were recorded by a proxy on loopback that one thread a connection drives: it writes down each piece before it
//! passes it on, so that an answer never stands before what it answers, and it leaves out all up to the message that
//! ends the login. The postgres sessions are those of psql 15 (`-X -q`), pgbench 15 (`-M extended`, `-M prepared`,
//! four transactions) and psycopg 3.3 (pipelines, server cursors, binary results, COPY), with `sslmode=disable
//! gssencmode=disable`, as the account `gatehouse` (trust) of a PostgreSQL 15 that holds the `fixture/shop.sql` of `conformance`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use bytes::{Bytes, BytesMut};
use gatehouse_model::TargetName;
use gatehouse_protocol::{Carriage, HttpFacts, Protocol, Side, SurveyFacts};

/// Everything that was recorded of one protocol.
pub struct Recordings {
    /// The sessions, by name.
    pub sessions: Vec<Recording>,
    /// Whole messages that a target may hear although nothing is permitted.
    pub heard: Vec<Bytes>,
    /// Whole messages that the protocol may add.
    pub added: Vec<Bytes>,
    /// What the survey made of the target's answer.
    pub facts: SurveyFacts,
}

/// One session.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its file's name, without the ending.
    pub name: String,
    /// What was said, in order; neighbours are of different sides.
    pub spoken: Vec<Spoken>,
}

/// What one side said until the other spoke.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// Who said it.
    pub side: Side,
    /// What was said.
    pub bytes: Bytes,
}

impl Recordings {
    /// Reads the recordings of a protocol.
    pub fn load(protocol: &Arc<dyn Protocol>) -> Result<Self> {
        let folder = folder("sessions", &**protocol);
        let mut sessions = Vec::new();
        for path in files(&folder)? {
            if path.extension().is_some_and(|extension| extension == "session") {
                sessions.push(Recording::read(&path)?);
            }
        }
        ensure!(!sessions.is_empty(), "{} holds no recorded session", folder.display());
        Ok(Self {
            sessions,
            heard: messages(&folder.join("heard.txt"))?,
            added: messages(&folder.join("added.txt"))?,
            facts: facts(protocol, &folder.join("survey.answer"))?,
        })
    }
}

impl Recording {
    fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().and_then(|name| name.to_str()).context("a recording has no name")?.to_string();
        let text = read_text(path)?;
        let mut spoken: Vec<(Side, BytesMut)> = Vec::new();
        for (place, line) in text.lines().enumerate() {
            let at = || format!("{}:{}", path.display(), place + 1);
            let (side, hex) = match line.split_once(' ') {
                Some(("C", hex)) => (Side::Client, hex),
                Some(("T", hex)) => (Side::Target, hex),
                Some(_) | None => bail!("{}: a line begins with `C ` or `T `", at()),
            };
            let bytes = unhex(hex).with_context(|| format!("{}: this is not hex", at()))?;
            match spoken.last_mut() {
                Some((last, piece)) if *last == side => piece.extend_from_slice(&bytes),
                Some(_) | None => spoken.push((side, BytesMut::from(bytes.as_slice()))),
            }
        }
        let spoken = spoken.into_iter().map(|(side, bytes)| Spoken { side, bytes: bytes.freeze() });
        Ok(Self { name, spoken: spoken.collect() })
    }

    /// All that one side said.
    pub fn said_by(&self, side: Side) -> Vec<u8> {
        let spoken = self.spoken.iter().filter(|spoken| spoken.side == side);
        spoken.flat_map(|spoken| spoken.bytes.iter().copied()).collect()
    }
}

/// A protocol's folder below one of this crate's own.
pub fn folder(kind: &str, protocol: &dyn Protocol) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(protocol.name())
}

/// The files of a folder, by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// What sessions know of the target: from its recorded answer, or, where it is not asked, from a configuration without a word.
fn facts(protocol: &Arc<dyn Protocol>, path: &Path) -> Result<SurveyFacts> {
    let protocol = match protocol.clone().carriage() {
        Carriage::Stream(protocol) => protocol,
        Carriage::Exchanges(protocol) => {
            let learnt = protocol.learn(&TargetName::new("shop")?, HttpFacts::default());
            return learnt.map_err(|key| anyhow!("{} does not know {key}", protocol.name()));
        }
    };
    let answer = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut answer = BytesMut::from(answer.as_slice());
    let facts = protocol.survey().handle(&mut answer, &mut BytesMut::new())?;
    facts.with_context(|| format!("{} is not a whole answer: record it again", path.display()))
}

fn messages(path: &Path) -> Result<Vec<Bytes>> {
    let text = read_text(path)?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let messages = lines.filter(|line| !line.is_empty()).map(|line| -> Result<Bytes> {
        let bytes = unhex(line).with_context(|| format!("{}: `{line}` is not hex", path.display()))?;
        Ok(Bytes::from(bytes))
    });
    messages.collect()
}

fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some((high << 4) | low),
        _ => None,
    });
    pairs.collect()
}
