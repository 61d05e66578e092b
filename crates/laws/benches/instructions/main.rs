//! How many instructions the gate and the protocol take for a statement and for a row: `scripts/instructions`.
//!
//! Counted by valgrind, so that a busy machine counts the same as an idle one. No sockets and no files are in it. What a
//! case takes is the difference between few and many of the same, divided: what is done once does not count.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use gatehouse_laws::frames;
use gatehouse_laws::laws::{Chunking, EVERYTHING, Harness, NOTHING_REVEALED, Voices};
use gatehouse_laws::recorded::{Recording, Recordings, Spoken};
use gatehouse_mask::Classes;
use gatehouse_protocol::Side;

/// What may be more or less than what is written down, in percent: compilers differ.
const TOLERANCE_PERCENT: u64 = 8;
/// What is written down.
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/expected.txt");

/// One thing that is done over and over.
struct Case {
    name: &'static str,
    /// Whether a value is seen that masks would hide.
    shows: bool,
    /// How often it is done at least, and at most.
    few: u64,
    many: u64,
    policies: &'static str,
    session: fn(u64) -> Vec<Spoken>,
}

const CASES: [Case; 5] = [
    Case { name: "prepared", shows: false, few: 200, many: 1_200, policies: NOTHING_REVEALED, session: prepared },
    Case { name: "unseen", shows: false, few: 200, many: 1_200, policies: NOTHING_REVEALED, session: unseen },
    Case { name: "masked-row", shows: false, few: 1_000, many: 11_000, policies: NOTHING_REVEALED, session: rows },
    Case { name: "clear-row", shows: true, few: 1_000, many: 11_000, policies: EVERYTHING, session: rows },
    Case { name: "masked-copy", shows: false, few: 1_000, many: 11_000, policies: NOTHING_REVEALED, session: copied },
];

fn main() -> Result<()> {
    // `cargo test --all-targets` runs every bench, without optimization and without `--bench`: that counts nothing.
    if std::env::args().len() == 1 {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["play", name, count] => play(case(name)?, count.parse().context("a count")?),
        [] => compare(),
        ["--write"] => write(),
        _ => bail!("usage: scripts/instructions [--write]"),
    }
}

fn case(name: &str) -> Result<&'static Case> {
    CASES.iter().find(|case| case.name == name).with_context(|| format!("there is no case {name}"))
}

fn play(case: &Case, count: u64) -> Result<()> {
    let protocol = gatehouse_registry::protocol("postgres").context("there is no such protocol")?;
    let facts = Recordings::load(&protocol)?.facts;
    let harness = Harness::new(&protocol, &facts, case.policies, Classes::builtin())?;
    let recording = Recording { name: case.name.into(), spoken: (case.session)(count) };
    let played = harness.play(&recording, Voices::Both, &Chunking::whole())?;
    ensure!(played.stopped.is_none(), "the session was stopped: {}", played.stopped.unwrap_or_default());
    let raw_address = b"@example.org";
    let shows = played.to_client.windows(raw_address.len()).any(|part| part == raw_address);
    ensure!(shows == case.shows, "the masks are not those of the case");
    Ok(())
}

/// Instructions of one of the things that the case does.
fn count(case: &Case) -> Result<u64> {
    let (few, many) = (counted(case, case.few)?, counted(case, case.many)?);
    Ok(many.saturating_sub(few) / (case.many - case.few))
}

fn counted(case: &Case, count: u64) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    // What makes a session's bytes and looks at what came of them does not count.
    valgrind.arg("--toggle-collect=gatehouse_laws::laws::Harness::play").arg(std::env::current_exe()?);
    let output =
        valgrind.args(["play", case.name, &count.to_string()]).output().context("valgrind is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{} failed:\n{said}", case.name);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")).context("valgrind counted nothing")?;
    Ok(collected.1.trim().parse()?)
}

fn compare() -> Result<()> {
    let text = std::fs::read_to_string(EXPECTED).context("nothing is written down")?;
    let mut off = Vec::new();
    for case in &CASES {
        let line = text.lines().find_map(|line| line.strip_prefix(case.name)?.trim().parse::<u64>().ok());
        let expected = line.with_context(|| format!("{} is not written down", case.name))?;
        let count = count(case)?;
        println!("{:<12} {count:>7} instructions, {expected:>7} written down", case.name);
        if count.abs_diff(expected) * 100 > expected * TOLERANCE_PERCENT {
            off.push(case.name);
        }
    }
    ensure!(
        off.is_empty(),
        "more than {TOLERANCE_PERCENT} % off: {}; if that is meant, run scripts/instructions --write",
        off.join(", ")
    );
    Ok(())
}

fn write() -> Result<()> {
    let mut text = String::new();
    for case in &CASES {
        writeln!(text, "{:<12} {:>7}", case.name, count(case)?)?;
    }
    print!("{text}");
    Ok(std::fs::write(Path::new(EXPECTED), text)?)
}

/// The tables of the recorded survey.
const CUSTOMERS: u32 = 0x4002;
const ORDERS: u32 = 0x400d;
const TEXT: u32 = 25;
const NUMERIC: u32 = 1700;

fn said(side: Side, frames: &[Vec<u8>]) -> Spoken {
    Spoken { side, bytes: Bytes::from(frames.concat()) }
}

fn row_description(columns: &[(&str, u32, u16, u32)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap_or_default().to_be_bytes().to_vec();
    for (name, table, attribute, kind) in columns {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(&table.to_be_bytes());
        body.extend_from_slice(&attribute.to_be_bytes());
        body.extend_from_slice(&kind.to_be_bytes());
        // A length of -1, a modifier of -1, text.
        body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
    }
    frames::frame(b'T', &[&body])
}

fn data_row(values: &[String]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap_or_default().to_be_bytes().to_vec();
    for value in values {
        body.extend_from_slice(&u32::try_from(value.len()).unwrap_or_default().to_be_bytes());
        body.extend_from_slice(value.as_bytes());
    }
    frames::frame(b'D', &[&body])
}

fn complete() -> Vec<u8> {
    frames::frame(b'C', &[b"SELECT 1\0"])
}

fn ready() -> Vec<u8> {
    frames::frame(b'Z', &[b"I"])
}

fn total(number: u64) -> Vec<Vec<u8>> {
    vec![row_description(&[("total", ORDERS, 3, NUMERIC)]), data_row(&[format!("{number}.50")]), complete()]
}

/// As pgbench runs them: bound, described and executed.
fn prepared(count: u64) -> Vec<Spoken> {
    let parse = frames::parse("P_0", "select total from orders where id = $1");
    let mut spoken = vec![said(Side::Client, &[parse, frames::sync()])];
    spoken.push(said(Side::Target, &[frames::frame(b'1', &[]), ready()]));
    for number in 0..count {
        let value = number.to_string();
        let length = u32::try_from(value.len()).unwrap_or_default().to_be_bytes();
        let bind = frames::frame(b'B', &[b"\0P_0\0\0\0\0\x01", &length, value.as_bytes(), &[0, 1, 0, 0]]);
        spoken.push(said(Side::Client, &[bind, frames::describe(b'P', ""), frames::execute(""), frames::sync()]));
        let answer = [vec![frames::frame(b'2', &[])], total(number), vec![ready()]].concat();
        spoken.push(said(Side::Target, &answer));
    }
    spoken
}

/// Simple queries, each with a number that was in none before.
fn unseen(count: u64) -> Vec<Spoken> {
    let exchange = |number: u64| {
        let query = frames::query(&format!("select total from orders where id = {number}"));
        [said(Side::Client, &[query]), said(Side::Target, &[total(number), vec![ready()]].concat())]
    };
    (0..count).flat_map(exchange).collect()
}

fn values(number: u64) -> Vec<String> {
    vec![
        format!("ada{number}@example.org"),
        format!("+44 20 7946 {:04}", number % 10_000),
        format!("City {}", number % 500),
        "prefers letters to calls".into(),
        format!("tier {}", number % 3),
        format!("ref {number}"),
    ]
}

/// Two columns are classified, and detectors look at four.
fn rows(count: u64) -> Vec<Spoken> {
    let columns = [
        ("email", CUSTOMERS, 3, TEXT),
        ("phone", CUSTOMERS, 5, TEXT),
        ("tier", CUSTOMERS, 7, TEXT),
        ("note", CUSTOMERS, 9, TEXT),
        ("tier", CUSTOMERS, 7, TEXT),
        ("note", CUSTOMERS, 9, TEXT),
    ];
    let query = frames::query("select email, phone, tier, note, tier, note from customers");
    let mut spoken = vec![said(Side::Client, &[query]), said(Side::Target, &[row_description(&columns)])];
    for first in (0..count).step_by(100) {
        let rows: Vec<Vec<u8>> = (first..count.min(first + 100)).map(|number| data_row(&values(number))).collect();
        spoken.push(said(Side::Target, &rows));
    }
    spoken.push(said(Side::Target, &[complete(), ready()]));
    spoken
}

fn copied(count: u64) -> Vec<Spoken> {
    let query = frames::query("copy (select email, phone, tier, note, tier, note from customers) to stdout");
    let begins = frames::frame(b'H', &[&[0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
    let mut spoken = vec![said(Side::Client, &[query]), said(Side::Target, &[begins])];
    for first in (0..count).step_by(100) {
        let line = |number: u64| frames::frame(b'd', &[values(number).join("\t").as_bytes(), b"\n"]);
        let lines: Vec<Vec<u8>> = (first..count.min(first + 100)).map(line).collect();
        spoken.push(said(Side::Target, &lines));
    }
    spoken.push(said(Side::Target, &[frames::frame(b'c', &[]), frames::frame(b'C', &[b"COPY 1\0"]), ready()]));
    spoken
}
