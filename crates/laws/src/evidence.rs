//! Bytes that no journal wrote, given to whatever reads evidence: for the corpus, and for the fuzzer that goes on from it.
//!
//! The first byte says what the rest is:
//!
//! - 0: a bundle;
//! - 1: a recording;
//! - 2: a signed note, or the text of a checkpoint;
//! - 3: the line of a record;
//! - 4: the key that checks notes.

use anyhow::{Context as _, Result, bail, ensure};
use gatehouse_journal::{Checkpoint, Record, RecordingReader, VerifierKey, verify};

/// The example key of golang.org/x/mod/sumdb/note, which signed no bundle.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// Reads the bytes as what their first one says.
///
/// # Errors
/// When what reads them takes them for what they are not, or the first byte names nothing.
pub fn read(bytes: &[u8]) -> Result<()> {
    let (kind, rest) = bytes.split_first().context("the file is empty")?;
    match (kind, std::str::from_utf8(rest)) {
        (0, _) => bundle(rest),
        (1, _) => recording(rest),
        (2, Ok(text)) => note(text),
        (3, Ok(text)) => record(text),
        (4, Ok(text)) => key(text),
        // Whoever reads them reads text, and says so before.
        (2..=4, Err(_)) => Ok(()),
        (kind, _) => bail!("there is no kind {kind}"),
    }
}

fn bundle(bytes: &[u8]) -> Result<()> {
    let report = verify(bytes, &KEY.parse::<VerifierKey>()?);
    ensure!(!report.is_sound(), "a bundle that nobody signed is sound");
    Ok(())
}

fn recording(bytes: &[u8]) -> Result<()> {
    let Ok(mut reader) = RecordingReader::new(bytes) else { return Ok(()) };
    let mut content = 0;
    while let Ok(Some(chunk)) = reader.next_chunk() {
        content += chunk.content.len();
    }
    ensure!(content < bytes.len(), "{content} bytes were read from {}", bytes.len());
    Ok(())
}

fn note(text: &str) -> Result<()> {
    let signed = KEY.parse::<VerifierKey>()?.open(text).unwrap_or(text);
    if let Ok(checkpoint) = signed.parse::<Checkpoint>() {
        let again = checkpoint.to_string().parse::<Checkpoint>();
        ensure!(again.is_ok_and(|again| again == checkpoint), "a checkpoint is not read as it is written");
    }
    Ok(())
}

fn record(line: &str) -> Result<()> {
    if let Ok(record) = Record::parse(line) {
        ensure!(record.to_line().is_ok_and(|again| again == line), "a record is not written as it was read");
    }
    Ok(())
}

fn key(text: &str) -> Result<()> {
    if let Ok(key) = text.parse::<VerifierKey>() {
        ensure!(key.to_string() == text.trim(), "a key is not written as it was read");
    }
    Ok(())
}
