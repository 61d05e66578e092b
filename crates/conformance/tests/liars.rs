//! Targets that lie, stall, close or send garbage: each ends its own session, and nobody else's.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehouse_conformance::raw::{RawClient, frame, query};
use gatehouse_conformance::{Credential, Fixture, Setup};
use gatehouse_laws::laws::EVERYTHING;
use serde_json::Value;

/// What a real server answered to the survey: two answers, each up to its ReadyForQuery.
const SURVEY: &[u8] = include_bytes!("../../laws/sessions/postgres/survey.answer");

fn ready() -> Vec<u8> {
    frame(b'Z', &[b"I"])
}

/// What each liar says to a statement; the number in the statement tells which.
fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let column = [b"c\0".as_slice(), &[0; 6], &25u32.to_be_bytes(), &[255, 255], &[255; 4], &[0, 0]].concat();
    let row = |value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap_or(0).to_be_bytes();
        frame(b'D', &[&1u16.to_be_bytes(), &length, value])
    };
    let described = frame(b'T', &[&1u16.to_be_bytes(), &column]);
    vec![
        ("a row that nobody described", [row(b"x"), ready()].concat()),
        (
            "a row after the end",
            [described.clone(), row(b"x"), frame(b'C', &[b"SELECT 1\0"]), row(b"y"), ready()].concat(),
        ),
        ("an end that is not due", ready()),
        ("an answer to what was not asked", [frame(b'1', &[]), ready()].concat()),
        ("a row of another width", [described.clone(), frame(b'D', &[&7u16.to_be_bytes()]), ready()].concat()),
        (
            "a row that is cut off",
            [described.clone(), frame(b'D', &[&1u16.to_be_bytes(), &900u32.to_be_bytes(), b"x"])].concat(),
        ),
        ("a length that cannot be", vec![b'D', 0, 0, 0, 1]),
        ("a length beyond all bounds", vec![b'T', 0x7f, 0xff, 0xff, 0xff]),
        ("an unknown message", frame(b'~', &[b"hello"])),
        ("a stream of replication", frame(b'W', &[&[0, 0, 0]])),
        ("a copy that was not asked for", [frame(b'H', &[&[0, 0, 0]]), frame(b'd', &[b"x\n"])].concat()),
        ("a password prompt", frame(b'R', &[&3u32.to_be_bytes()])),
        ("noise", (0..4_000u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect()),
        ("nothing, and the end", Vec::new()),
    ]
}

/// Reads one message after the startup packet.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).ok()?;
    let [_, length @ ..] = header;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).checked_sub(4)?];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// A server that needs no password, knows a catalog, and lies about the rest.
fn serve(mut stream: TcpStream) -> Option<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut rest = vec![0; (u32::from_be_bytes(length) as usize).checked_sub(4)?];
    stream.read_exact(&mut rest).ok()?;
    let key = frame(b'K', &[&[0; 8]]);
    let encoding = frame(b'S', &[b"client_encoding\0UTF8\0"]);
    stream.write_all(&[frame(b'R', &[&[0; 4]]), encoding, key, ready()].concat()).ok()?;
    let cut = SURVEY.windows(6).position(|part| part == b"Z\0\0\0\x05I")? + 6;
    while let Some(body) = message(&mut stream) {
        let said = String::from_utf8_lossy(&body).into_owned();
        if said.contains("current_schemas") {
            stream.write_all(SURVEY.get(..cut)?).ok()?;
        } else if said.contains("pg_get_expr") {
            // The next message asks for the rest.
        } else if said.contains("pg_get_viewdef") {
            stream.write_all(SURVEY.get(cut..)?).ok()?;
        } else if said.contains("select 'stall'") {
            std::thread::sleep(Duration::from_secs(60));
        } else {
            let number = said.trim_end_matches('\0').rsplit(' ').next()?.parse::<usize>().ok()?;
            stream.write_all(&lies().get(number)?.1).ok()?;
            return None;
        }
    }
    Some(())
}

fn liar() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(port)
}

#[test]
fn a_target_that_lies_ends_its_own_session_alone() -> Result<()> {
    let port = liar()?;
    let fixture = Fixture::start(Setup {
        policies: format!("@id(\"everything\") {EVERYTHING}"),
        config: format!(
            "[targets.liar]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:{port}\"\nuser = \"x\"\n\
             password = \"file:shop.secret\"\ntls = \"disable\"\n"
        ),
        ..Setup::default()
    })?;
    let honest = fixture.task("agent:other", "10m")?;
    let mut bystander = RawClient::connect(&honest)?;
    let arguments = ["task", "start", "--as", "agent:claude", "--target", "liar", "--ttl", "10m", "--reason", "a test"];
    let started = fixture.json(&arguments)?;
    let text = |pointer: &str| started.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let credential = Credential { user: text("/user"), password: text("/password"), ..honest.clone() };

    let mut stalled = RawClient::connect_to(&credential, "liar", &[])?;
    stalled.send(&[query("select 'stall'")])?;
    for (number, (name, _)) in lies().iter().enumerate() {
        let mut client = RawClient::connect_to(&credential, "liar", &[]).context(*name)?;
        client.send(&[query(&format!("select {number}"))])?;
        let said = client.until_ready(3)?;
        assert!(said.contains("end: "), "{name}: the session goes on: {said}");
    }
    bystander.send(&[query("select 'undisturbed'")])?;
    assert!(bystander.until_ready(1)?.contains("undisturbed"));
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(!log.contains("a defect of Gatehouse"), "{log}");
    Ok(())
}
