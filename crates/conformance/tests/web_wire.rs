//! Bytes at the listener for HTTP: whatever a client writes, the target hears nothing or exactly the one request that was judged,
//! and no connection gets out of step.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::PATIENCE;
use gatehouse_conformance::secret::remember;
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::web::{self, POLICIES, TOKEN, WebCredential};
use gatehouse_conformance::{Fixture, Setup};
use serde_json::{Value, json};

/// What the target says to everything.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok";
/// Fields of a connection, of proxies, or of what the gateway alone may say: none of a client's goes on.
const NOT_ITS: [&str; 11] = [
    "connection",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "upgrade",
    "x-forwarded-host",
    "x-gatehouse-base",
];
/// No answer at all: the connection was closed over it.
const NONE: u16 = 0;

/// A request as the target heard it; its fields without those that each has from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Heard {
    method: String,
    path: String,
    fields: Vec<String>,
    body: String,
}

impl Heard {
    fn get(path: &str, fields: &[&str]) -> Self {
        Self::of("GET", path, fields, "")
    }

    fn post(fields: &[&str], body: &str) -> Self {
        Self::of("POST", "/told", &[&["content-type: text/plain"], fields].concat(), body)
    }

    fn of(method: &str, path: &str, fields: &[&str], body: &str) -> Self {
        let mut fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        fields.sort();
        Self { method: method.into(), path: path.into(), fields, body: body.into() }
    }
}

/// What was heard, in its order; why, where it was no request.
type Notes = Arc<Mutex<Vec<Result<Heard, String>>>>;

/// A target that takes every byte to the letter.
struct Recorder {
    port: u16,
    notes: Notes,
}

impl Recorder {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, notes) = (listener.local_addr()?.port(), Notes::default());
        let shared = notes.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let notes = shared.clone();
                std::thread::spawn(move || listen(stream, &format!("127.0.0.1:{port}"), &notes));
            }
        });
        Ok(Self { port, notes })
    }

    fn take(&self) -> Vec<Result<Heard, String>> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn listen(mut stream: TcpStream, host: &str, notes: &Notes) {
    let note = |heard: Result<Heard, String>| notes.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
    let mut bytes: Vec<u8> = Vec::new();
    let mut part = [0_u8; 4096];
    loop {
        match read(&bytes, host) {
            Ok(Some((heard, len))) => {
                bytes.drain(..len);
                note(Ok(heard));
                if stream.write_all(ANSWER).is_err() {
                    return;
                }
            }
            Ok(None) => match stream.read(&mut part) {
                Ok(0) | Err(_) => {
                    if !bytes.is_empty() {
                        note(Err(format!("cut off: {}", String::from_utf8_lossy(&bytes))));
                    }
                    return;
                }
                Ok(count) => bytes.extend_from_slice(part.get(..count).unwrap_or_default()),
            },
            Err(why) => {
                note(Err(format!("{why} in {}", String::from_utf8_lossy(&bytes))));
                return;
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn all<'f>(fields: &'f [(String, String)], wanted: &str) -> Vec<&'f str> {
    fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
}

/// The first request of what was heard, and how long it is, as strictly as RFC 9112 lets a server be; nothing while it is not
/// there in whole.
fn read(bytes: &[u8], host: &str) -> Result<Option<(Heard, usize)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).map_err(|error| error.to_string())?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let words: Vec<&str> = first.split(' ').collect();
    let [method, path, "HTTP/1.1"] = words.as_slice() else { return Err(format!("no request: {first:?}")) };
    if !method.bytes().all(|byte| byte.is_ascii_uppercase())
        || !path.starts_with('/')
        || path.contains(char::is_control)
    {
        return Err(format!("no request: {first:?}"));
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("no field: {line:?}"))?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || value.contains(char::is_control) {
            return Err(format!("no field: {line:?}"));
        }
        fields.push((name.to_ascii_lowercase(), value.to_string()));
    }
    let own = format!("Bearer {TOKEN}");
    if all(&fields, "host") != [host] || all(&fields, "authorization") != [own.as_str()] {
        return Err(format!("it is not the gateway's: {fields:?}"));
    }
    // That trailers are heard is a matter of the connection (RFC 9110, section 10.1.4), of the gateway's own.
    let is_own_matter =
        |name: &str, value: &str| name == "connection" && value == "te" && !all(&fields, "te").is_empty();
    let is_foreign = |name: &str, value: &str| NOT_ITS.contains(&name) && !is_own_matter(name, value);
    if let Some(field) = fields.iter().find(|(name, value)| is_foreign(name, value)) {
        return Err(format!("it went on: {field:?}"));
    }
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let (lengths, codings) = (all(&fields, "content-length"), all(&fields, "transfer-encoding"));
    let (body, len) = match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => (Vec::new(), 0),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length: usize = length.parse().map_err(|_| format!("no length: {length:?}"))?;
            let Some(body) = rest.get(..length) else { return Ok(None) };
            (body.to_vec(), length)
        }
        ([], ["chunked"]) => match chunks(rest)? {
            Some(found) => found,
            None => return Ok(None),
        },
        (_, _) => return Err(format!("how long is it: {fields:?}")),
    };
    let of_gateway = ["authorization", "connection", "content-length", "host", "transfer-encoding"];
    let is_its = |name: &str| !of_gateway.contains(&name);
    let kept = fields.iter().filter(|(name, _)| is_its(name)).map(|(name, value)| format!("{name}: {value}"));
    let kept: Vec<String> = kept.collect();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    let heard = Heard::of(method, path, &kept, &String::from_utf8_lossy(&body));
    Ok(Some((heard, end + 4 + len)))
}

/// A body in chunks, without extensions and trailers, and how long it was in them.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
        let size = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
        let is_size = size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size =
            usize::from_str_radix(&size, 16).ok().filter(|_| is_size).ok_or_else(|| format!("no size: {size:?}"))?;
        let Some(chunk) = rest.get(end + 2..end + 2 + size + 2) else { return Ok(None) };
        let data = chunk.strip_suffix(b"\r\n").ok_or("a chunk has no end")?;
        body.extend_from_slice(data);
        at += end + 2 + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

/// A gateway before such a target, and an agent's task.
struct WireHouse {
    recorder: Recorder,
    fixture: Fixture,
    base: String,
    task: WebCredential,
}

/// What a client writes, what it may be answered with, and what the target hears where that is 200.
struct Case {
    what: &'static str,
    sent: Vec<u8>,
    statuses: &'static [u16],
    heard: Option<Heard>,
}

impl Case {
    /// It passes.
    fn passes(what: &'static str, sent: impl Into<Vec<u8>>, heard: Heard) -> Self {
        Self { what, sent: sent.into(), statuses: &[200], heard: Some(heard) }
    }

    /// It passes as this, or not at all.
    fn may_pass(what: &'static str, sent: impl Into<Vec<u8>>, heard: Heard) -> Self {
        Self { what, sent: sent.into(), statuses: &[200, 400, 404, 421, NONE], heard: Some(heard) }
    }

    /// It goes nowhere.
    fn is_refused(what: &'static str, sent: impl Into<Vec<u8>>) -> Self {
        Self { what, sent: sent.into(), statuses: &[400], heard: None }
    }

    fn is_refused_with(what: &'static str, sent: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Self {
        Self { what, sent: sent.into(), statuses, heard: None }
    }
}

impl WireHouse {
    fn start() -> Result<Self> {
        remember(TOKEN);
        let recorder = Recorder::start()?;
        let target = "names = [\"api.test\"]\ncredential = { bearer = \"file:api.secret\" }";
        let config = format!("{}\n[limits]\nlogin_secs_max = 5\n", web::config(recorder.port, target));
        let files = vec![("api.secret", TOKEN.into())];
        let fixture = Fixture::start(Setup { policies: POLICIES.into(), config, files, ..Setup::default() })?;
        let base = web::listening(&fixture, "api")?;
        let task = web::task(&fixture, "agent:claude", "api")?;
        Ok(Self { recorder, fixture, base, task })
    }

    /// A head, with its host and with what proves whose it is.
    fn head(&self, line: &str, fields: &str) -> String {
        format!("{line}\r\nhost: gateway\r\nauthorization: {}\r\n{fields}\r\n", self.task.basic())
    }

    /// The same without a host.
    fn hostless(&self, line: &str, fields: &str) -> String {
        format!("{line}\r\nauthorization: {}\r\n{fields}\r\n", self.task.basic())
    }

    fn get(&self, fields: &str) -> String {
        self.head("GET /http/api/told HTTP/1.1", fields)
    }

    fn post(&self, fields: &str, body: &str) -> String {
        let fields = format!("content-type: text/plain\r\n{fields}");
        format!("{}{body}", self.head("POST /http/api/told HTTP/1.1", &fields))
    }

    /// The same in chunks, which are written as they are.
    fn chunked(&self, body: &str) -> String {
        self.post("transfer-encoding: chunked\r\n", body)
    }

    /// What nobody asks for on their own: it stands where a body may be taken for the next request.
    fn smuggled(&self) -> String {
        self.head("GET /http/api/smuggled HTTP/1.1", "")
    }

    /// The last request on a connection.
    fn last(&self, path: &str) -> String {
        self.head(&format!("GET /http/api{path} HTTP/1.1"), "connection: close\r\n")
    }

    /// All that comes back on a connection of its own.
    fn said(&self, sent: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect(self.base.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Whoever is refused may be cut off while they write, or before they have read why.
        let _ = stream.write_all(sent);
        let mut said = Vec::new();
        if let Err(error) = stream.read_to_end(&mut said) {
            let is_late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            anyhow::ensure!(!is_late, "the gateway waits: {}", String::from_utf8_lossy(sent));
        }
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    /// What is wrong with what comes of a case and of the request behind it on the same connection.
    fn wrong(&self, case: &Case) -> Result<Option<String>> {
        let said = match self.said(&[case.sent.as_slice(), self.last("/second").as_bytes()].concat()) {
            Ok(said) => said,
            Err(error) => return Ok(Some(format!("{}: {error}", case.what))),
        };
        let statuses = statuses(&said);
        let marker = self.said(self.last("/marker").as_bytes())?;
        anyhow::ensure!(marker.starts_with("HTTP/1.1 200"), "{}: {marker}", case.what);
        let first = statuses.first().copied().unwrap_or(NONE);
        let mut expected = Vec::new();
        if first == 200 {
            expected.extend(case.heard.clone());
        }
        if statuses.get(1) == Some(&200) {
            expected.push(Heard::get("/second", &[]));
        }
        expected.push(Heard::get("/marker", &[]));
        let expected: Vec<Result<Heard, String>> = expected.into_iter().map(Ok).collect();
        let heard = self.recorder.take();
        // What passes and nothing else keeps its connection.
        let is_in_step = case.statuses != [200_u16] || statuses == [200_u16, 200];
        let is_right = case.statuses.contains(&first) && heard == expected && statuses.len() <= 2 && is_in_step;
        let why = || format!("{}: answered {statuses:?} instead of {:?}; heard {heard:#?}", case.what, case.statuses);
        Ok((!is_right).then(why))
    }

    fn check(&self, cases: Vec<Case>) -> Result<()> {
        let mut wrong = Vec::new();
        for case in &cases {
            wrong.extend(self.wrong(case)?);
        }
        assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(self.fixture.verify()?.contains("sound"));
        Ok(())
    }
}

/// The statuses of all answers, but for those that come before one.
fn statuses(said: &str) -> Vec<u16> {
    let answers = said.split("HTTP/1.").skip(1);
    let statuses = answers.filter_map(|answer| answer.get(2..5)?.parse().ok());
    statuses.filter(|status| *status >= 200).collect()
}

#[test]
fn a_head_is_read_in_one_way() -> Result<()> {
    let house = WireHouse::start()?;
    let get = |fields: &str| house.get(fields);
    let plain = || Heard::get("/told", &[]);
    let line = |line: &str| house.head(line, "");
    let mut odd = get("").into_bytes();
    odd.truncate(odd.len() - 2);
    odd.extend_from_slice(b"x-a: \xe9\r\n\r\n");
    house.check(vec![
        Case::passes("a plain request", get(""), plain()),
        Case::is_refused_with("more fields than are taken", get(&"x-a: b\r\n".repeat(1_000)), &[400, 431]),
        Case::passes("a field", get("x-a: b\r\n"), Heard::get("/told", &["x-a: b"])),
        Case::passes("white space around a value", get("x-a: \t b \t\r\n"), Heard::get("/told", &["x-a: b"])),
        Case::is_refused("obs-fold", get("x-a: b\r\n c\r\n")),
        Case::is_refused("obs-fold with a tab", get("x-a: b\r\n\tx-c: d\r\n")),
        Case::is_refused("obs-fold of the first field", line("GET /http/api/told HTTP/1.1\r\n x-a: b")),
        Case::is_refused("a bare CR in a value", get("x-a: b\rx-c: d\r\n")),
        Case::is_refused("a bare CR for an end", get("x-a: b\r\rx-c: d\r\n")),
        Case::may_pass("a bare LF for an end", get("x-a: b\nx-c: d\r\n"), Heard::get("/told", &["x-a: b", "x-c: d"])),
        Case::is_refused("NUL in a value", get("x-a: b\0c\r\n")),
        Case::is_refused("NUL in a name", get("x-\0a: b\r\n")),
        Case::is_refused("another control character", get("x-a: b\x0bc\r\n")),
        Case::is_refused("DEL in a value", get("x-a: b\x7fc\r\n")),
        Case::is_refused("what is no text", odd),
        Case::is_refused("a space before the colon", get("x-a : b\r\n")),
        Case::is_refused("a tab before the colon", get("x-a\t: b\r\n")),
        Case::is_refused("a space before the colon of a length", get("content-length : 5\r\n")),
        Case::is_refused("no name", get(": b\r\n")),
        Case::is_refused("no colon", get("x-a\r\n")),
        Case::is_refused("a name that is none", get("x(a): b\r\n")),
        Case::passes("a low line in the name of a length", get("content_length: 5\r\n"), plain()),
        Case::passes("a low line in the name of a coding", get("transfer_encoding: chunked\r\n"), plain()),
        Case::passes("an empty line before it", format!("\r\n{}", get("")), plain()),
        Case::is_refused("HTTP/0.9", "GET /http/api/told\r\n\r\n"),
        Case::is_refused("HTTP/0.9 with a field", line("GET /http/api/told")),
        Case::is_refused_with("HTTP/1.2", line("GET /http/api/told HTTP/1.2"), &[400, 505]),
        Case::is_refused_with("HTTP/2.0", line("GET /http/api/told HTTP/2.0"), &[400, 505]),
        Case::is_refused("http/1.1 in small letters", line("GET /http/api/told http/1.1")),
        Case::is_refused("two spaces", line("GET  /http/api/told HTTP/1.1")),
        Case::is_refused("a tab", line("GET\t/http/api/told HTTP/1.1")),
        Case::is_refused("a space in the path", line("GET /http/api/to ld HTTP/1.1")),
        Case::is_refused("no path", line("GET HTTP/1.1")),
        Case::is_refused("a method that is none", line("GE(T /http/api/told HTTP/1.1")),
        Case::is_refused("a method in small letters", line("get /http/api/told HTTP/1.1")),
        Case::may_pass("a fragment", line("GET /http/api/told#/../admin HTTP/1.1"), plain()),
        Case::is_refused_with("a star", line("GET * HTTP/1.1"), &[400, 404]),
        Case::is_refused_with("no slash", line("GET http/api/told HTTP/1.1"), &[400, 404, NONE]),
    ])
}

/// The end of a request is where one reader finds it, and every other.
#[test]
fn a_length_is_read_in_one_way() -> Result<()> {
    let house = WireHouse::start()?;
    let post = |fields: &str| house.post(fields, "hello");
    let hello = || Heard::post(&[], "hello");
    let empty = || Heard::post(&[], "");
    let smuggled = house.smuggled();
    let around = |fields: &str| house.post(fields, &format!("0\r\n\r\n{smuggled}"));
    let both = format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", smuggled.len() + 5);
    let both_again = format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n", smuggled.len() + 5);
    const ODD: &[u16] = &[400, 413, 431];
    house.check(vec![
        Case::passes("a length", post("content-length: 5\r\n"), hello()),
        Case::passes("no body", house.post("", ""), empty()),
        Case::passes("a length of nothing", house.post("content-length: 0\r\n", ""), empty()),
        Case::passes(
            "a body that looks like a request",
            house.post(&format!("content-length: {}\r\n", smuggled.len()), &smuggled),
            Heard::post(&[], &smuggled),
        ),
        Case::passes(
            "a GET with a body",
            format!("{}hello", house.get("content-type: text/plain\r\ncontent-length: 5\r\n")),
            Heard::of("GET", "/told", &["content-type: text/plain"], "hello"),
        ),
        Case::passes("who waits to be asked", post("expect: 100-continue\r\ncontent-length: 5\r\n"), hello()),
        Case::is_refused("two lengths", house.post("content-length: 5\r\ncontent-length: 0\r\n", "hello")),
        Case::is_refused("two lengths in one", post("content-length: 5, 5\r\n")),
        Case::is_refused("a sign", post("content-length: +5\r\n")),
        Case::is_refused("less than nothing", post("content-length: -5\r\n")),
        Case::is_refused("another number", post("content-length: 0x5\r\n")),
        Case::is_refused("a point", post("content-length: 5.0\r\n")),
        Case::is_refused("two numbers", post("content-length: 5 5\r\n")),
        Case::is_refused("no number", post("content-length: \r\n")),
        Case::is_refused_with("no number that there is", post("content-length: 99999999999999999999999\r\n"), ODD),
        Case::is_refused_with("no length that there is", post("content-length: 18446744073709551615\r\n"), ODD),
        // Said twice, it is sent once (RFC 9110, section 8.6); beside chunks it says nothing (RFC 9112, section 6.3).
        Case::may_pass(
            "the same length twice",
            post("content-length: 5\r\ncontent-length: 5\r\n"),
            Heard::post(&[], "hello"),
        ),
        Case::may_pass("a length and a coding", around(&both), Heard::post(&[], "")),
        Case::may_pass("a coding and a length", around(&both_again), Heard::post(&[], "")),
    ])
}

/// Nobody takes apart but `chunked`, once and last: what is coded otherwise is not what was judged (RFC 9112, section 6.1).
#[test]
fn a_coding_of_the_way_is_read_in_one_way() -> Result<()> {
    let house = WireHouse::start()?;
    let coded = |coding: &str| house.post(&format!("transfer-encoding: {coding}\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    let hello = || Heard::post(&[], "hello");
    const ODD: &[u16] = &[400, 501];
    house.check(vec![
        Case::passes("in chunks", coded("chunked"), hello()),
        Case::passes("in capitals", coded("Chunked"), hello()),
        Case::passes("with white space", coded(" \tchunked "), hello()),
        Case::is_refused_with("identity", coded("identity"), ODD),
        Case::is_refused_with("identity behind it", coded("chunked, identity"), ODD),
        Case::is_refused_with("nothing", coded(""), ODD),
        Case::is_refused_with("another word", coded("xchunked"), ODD),
        Case::is_refused_with("the same with more", coded("chunkedx"), ODD),
        Case::is_refused_with("in quotation marks", coded("\"chunked\""), ODD),
        Case::is_refused_with("with a parameter", coded("chunked;q=1"), ODD),
        Case::is_refused_with("behind a control character", coded("\x0bchunked"), ODD),
        Case::is_refused_with("in another field", coded("chunked\r\ntransfer-encoding: identity"), ODD),
        Case::is_refused_with(
            "by HTTP/1.0",
            house.chunked("5\r\nhello\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            ODD,
        ),
        Case::is_refused_with("twice", coded("chunked, chunked"), ODD),
        Case::is_refused_with("twice, in two fields", coded("chunked\r\ntransfer-encoding: chunked"), ODD),
        Case::is_refused_with("compressed before", coded("gzip, chunked"), ODD),
        Case::is_refused_with("identity before", coded("identity, chunked"), ODD),
        Case::is_refused_with(
            "identity before, in another field",
            coded("identity\r\ntransfer-encoding: chunked"),
            ODD,
        ),
    ])
}

#[test]
fn chunks_are_read_in_one_way() -> Result<()> {
    let house = WireHouse::start()?;
    let chunked = |body: &str| house.chunked(body);
    let hello = || Heard::post(&[], "hello");
    let many_trailers = |count: usize| format!("5\r\nhello\r\n0\r\n{}\r\n", "x-t: 1\r\n".repeat(count));
    const ODD: &[u16] = &[400, NONE];
    let odd = |what: &'static str, body: &str| Case::is_refused_with(what, house.chunked(body), ODD);
    let smuggled = house.smuggled();
    house.check(vec![
        Case::passes("one", chunked("5\r\nhello\r\n0\r\n\r\n"), hello()),
        Case::passes("two", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), hello()),
        Case::passes("sixteens", chunked("A\r\n0123456789\r\n0\r\n\r\n"), Heard::post(&[], "0123456789")),
        Case::passes("an extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), hello()),
        Case::passes("leading zeros", chunked("005\r\nhello\r\n000\r\n\r\n"), hello()),
        Case::passes("as many trailers as are taken", chunked(&many_trailers(1_000)), hello()),
        Case::is_refused_with("more trailers", chunked(&many_trailers(1_001)), ODD),
        Case::passes("a trailer", chunked("5\r\nhello\r\n0\r\nx-t: 1\r\n\r\n"), hello()),
        Case::passes(
            "a trailer of heads",
            chunked("5\r\nhello\r\n0\r\ncontent-length: 9\r\nhost: evil\r\n\r\n"),
            hello(),
        ),
        Case::passes("one that proves", chunked("5\r\nhello\r\n0\r\nauthorization: Basic eA==\r\n\r\n"), hello()),
        Case::passes(
            "what looks like its end",
            chunked("7\r\n0\r\n\r\nhi\r\n0\r\n\r\n"),
            Heard::post(&[], "0\r\n\r\nhi"),
        ),
        Case::may_pass("a space behind the size", chunked("5 \r\nhello\r\n0\r\n\r\n"), hello()),
        odd("a size that goes on", "5x\r\nhello\r\n0\r\n\r\n"),
        odd("another way to write it", "0x5\r\nhello\r\n0\r\n\r\n"),
        odd("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        odd("less than nothing", "-5\r\nhello\r\n0\r\n\r\n"),
        odd("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        odd("two sizes", "5 5\r\nhello\r\n0\r\n\r\n"),
        odd("no size", "\r\nhello\r\n0\r\n\r\n"),
        odd("no size but an extension", ";a=b\r\nhello\r\n0\r\n\r\n"),
        odd("a size over all", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        odd("another over all", "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
        odd("LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        odd("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        odd("CR behind the size", "5\rhello\r\n0\r\n\r\n"),
        odd("LF behind what it holds", "5\r\nhello\n0\r\n\r\n"),
        odd("more than the size", "5\r\nhellox\r\n0\r\n\r\n"),
        odd("less than the size", "6\r\nhello\r\n0\r\n\r\n"),
        odd("no end behind the last", &format!("5\r\nhello\r\n0\r\n{smuggled}")),
        odd("LF behind the last", &format!("5\r\nhello\r\n0\n\n{smuggled}")),
    ])
}

/// A body that is not waited for is broken off at the target where it is at its client: nobody takes it for the whole.
#[test]
fn a_body_that_goes_by_and_breaks_is_not_whole() -> Result<()> {
    let house = WireHouse::start()?;
    let fields = "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n";
    let head = house.head("POST /http/api/told HTTP/1.1", fields);
    let whole = format!("{head}5\r\nhello\r\n0\r\n\r\n{}", house.last("/second"));
    assert_eq!(statuses(&house.said(whole.as_bytes())?), [200_u16, 200]);
    let told = Heard::of("POST", "/told", &["content-type: application/octet-stream"], "hello");
    let both: Vec<Result<Heard, String>> = vec![Ok(told), Ok(Heard::get("/second", &[]))];
    assert_eq!(house.recorder.take(), both);
    for broken in ["zz\r\n", "\r\n", "0\n\n", "5\r\nhellox\r\n", "ffffffffffffffff1\r\n"] {
        let sent = format!("{head}5\r\nhello\r\n{broken}{}", house.last("/second"));
        let said = house.said(sent.as_bytes())?;
        assert!(!statuses(&said).contains(&200), "{broken:?}: {said}");
        let marker = house.said(house.last("/marker").as_bytes())?;
        assert!(marker.starts_with("HTTP/1.1 200"), "{broken:?}: {marker}");
        for heard in house.recorder.take() {
            let is_no_more = match &heard {
                Ok(heard) => *heard == Heard::get("/marker", &[]),
                Err(why) => why.starts_with("cut off: ") && !why.ends_with("0\r\n\r\n"),
            };
            assert!(is_no_more, "{broken:?}: {heard:?}");
        }
    }
    Ok(())
}

/// Whom a request is for is said once (RFC 9112, section 3.2).
#[test]
fn a_host_is_read_in_one_way() -> Result<()> {
    let house = WireHouse::start()?;
    let line = |line: &str, fields: &str| house.hostless(line, fields);
    let get = |fields: &str| house.hostless("GET /http/api/told HTTP/1.1", fields);
    let plain = || Heard::get("/told", &[]);
    const NOT_THERE: &[u16] = &[400, 404];
    house.check(vec![
        Case::passes("its own name", line("GET /told HTTP/1.1", "host: api.test\r\n"), plain()),
        Case::passes("the same in capitals", line("GET /told HTTP/1.1", "host: API.TEST\r\n"), plain()),
        Case::passes("the same with a port", line("GET /told HTTP/1.1", "host: api.test:80\r\n"), plain()),
        Case::may_pass("the same with a dot", line("GET /told HTTP/1.1", "host: api.test.\r\n"), plain()),
        Case::passes("all of it", line("GET http://api.test/told HTTP/1.1", "host: api.test\r\n"), plain()),
        Case::may_pass("all of it, and another", line("GET http://api.test/told HTTP/1.1", "host: evil\r\n"), plain()),
        Case::may_pass(
            "the gateway's, and another",
            line("GET http://evil/http/api/told HTTP/1.1", "host: gateway\r\n"),
            plain(),
        ),
        Case::may_pass("by another scheme", line("GET https://api.test/told HTTP/1.1", "host: api.test\r\n"), plain()),
        Case::is_refused_with("another", line("GET http://evil/told HTTP/1.1", "host: api.test\r\n"), NOT_THERE),
        Case::is_refused_with("a user", line("GET http://x@api.test/told HTTP/1.1", "host: api.test\r\n"), NOT_THERE),
        Case::is_refused_with("a user before a host", line("GET /told HTTP/1.1", "host: x@api.test\r\n"), NOT_THERE),
        Case::is_refused("none", get("")),
        Case::is_refused("the same twice", get("host: gateway\r\nhost: gateway\r\n")),
        Case::is_refused("two", get("host: gateway\r\nhost: evil\r\n")),
        Case::is_refused("two in one", get("host: gateway, evil\r\n")),
        Case::is_refused("a space in it", get("host: gate way\r\n")),
        Case::is_refused("a path in it", get("host: gateway/http\r\n")),
        Case::passes("as a matter of the connection", get("host: gateway\r\nconnection: host\r\n"), plain()),
        Case::passes("what proves, likewise", get("host: gateway\r\nconnection: authorization\r\n"), plain()),
        Case::passes(
            "what the gateway says, likewise",
            get("host: gateway\r\nconnection: x-gatehouse-base\r\n"),
            plain(),
        ),
        Case::passes("fields, likewise", get("host: gateway\r\nconnection: x-a, X-B\r\nx-a: 1\r\nX-B: 2\r\n"), plain()),
        Case::passes(
            "a length, likewise",
            house.post("connection: content-length\r\ncontent-length: 5\r\n", "hello"),
            Heard::post(&[], "hello"),
        ),
        Case::passes(
            "a coding, likewise",
            house.post("connection: transfer-encoding\r\ntransfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            Heard::post(&[], "hello"),
        ),
    ])
}

/// Nobody leads a connection to something else, or has another request meant than the one that was judged.
#[test]
fn a_request_is_what_it_says() -> Result<()> {
    let house = WireHouse::start()?;
    let get = |fields: &str| house.get(fields);
    let plain = || Heard::get("/told", &[]);
    let settings = "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let h2c = get(&format!("connection: upgrade, http2-settings\r\nupgrade: h2c\r\n{settings}"));
    house.check(vec![
        Case::is_refused("an upgrade", h2c.clone()),
        Case::is_refused("an upgrade, and what is said after it", format!("{h2c}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        Case::is_refused("one of two", get("connection: upgrade\r\nupgrade: h2c, websocket\r\n")),
        Case::is_refused("in capitals", get("connection: Upgrade\r\nupgrade: H2C\r\n")),
        Case::is_refused("another", get("connection: upgrade\r\nupgrade: TLS/1.0\r\n")),
        Case::is_refused("a POST's", house.post("connection: upgrade\r\nupgrade: websocket\r\n", "")),
        Case::passes("an upgrade that is none", get(&format!("upgrade: h2c\r\n{settings}")), plain()),
        Case::passes(
            "what is for the next one",
            get("te: gzip;q=0.5, trailers\r\ntrailer: x-a\r\nkeep-alive: timeout=5\r\n"),
            Heard::get("/told", &["te: trailers"]),
        ),
        Case::passes("a proxy's word", get("x-forwarded-host: evil\r\nforwarded: host=evil\r\n"), plain()),
        Case::passes("a proxy's connection", get("proxy-connection: keep-alive\r\n"), plain()),
        Case::is_refused("another method", house.post("x-http-method-override: DELETE\r\ncontent-length: 0\r\n", "")),
        Case::is_refused("by a low line", house.post("x_http_method_override: DELETE\r\ncontent-length: 0\r\n", "")),
        Case::is_refused("by a shorter name", get("x-method-override: DELETE\r\n")),
        Case::is_refused("by the shortest", get("x-http-method: DELETE\r\n")),
        Case::is_refused("another path", get("x-original-url: /admin\r\n")),
        Case::is_refused("by another name", get("x-rewrite-url: /admin\r\n")),
        Case::is_refused("a second path", get("destination: /admin\r\n")),
        Case::is_refused(
            "also as a matter of the connection",
            get("connection: x-http-method-override\r\nx-http-method-override: DELETE\r\n"),
        ),
        Case::is_refused_with("what policy forbids", house.head("GET /http/api/admin HTTP/1.1", ""), &[403]),
        Case::is_refused_with(
            "the same with a body that looks like a request",
            house.head("POST /http/api/admin HTTP/1.1", &format!("content-length: {}\r\n", house.smuggled().len()))
                + &house.smuggled(),
            &[403],
        ),
    ])
}

/// A request by HTTP/2, how it may be answered, and what the target hears where that is with 200.
struct Framed {
    what: &'static str,
    say: Value,
    answers: &'static [&'static str],
    heard: Option<Heard>,
}

/// What does not pass: a stream is broken off, or answered by what says so.
const REFUSED: &[&str] = &["reset", "goaway", "closed", "400", "404", "421", "501"];
const PASSES: &[&str] = &["200"];
const MAY_PASS: &[&str] = &["200", "reset", "goaway", "closed", "400", "404", "421", "501"];

impl WireHouse {
    /// The fields of a request by HTTP/2, some of which may be others or none.
    fn framed(&self, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let base = self.base.trim_start_matches("http://");
        let basic = self.task.basic();
        let first = [(":method", method), (":scheme", "http"), (":authority", base), (":path", path)];
        let fields = [&first[..], &[("authorization", basic.as_str())], more].concat();
        fields.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn wrong_frames(&self, case: &Framed) -> Result<Option<String>> {
        let mut say = case.say.clone();
        let after = json!(self.framed("GET", "/http/api/second", &[]));
        say.as_object_mut().context("it is told what to say")?.insert("after".into(), after);
        let output =
            Command::new(CLIENTS).arg("client_h2.py").env("BASE", &self.base).env("SAY", say.to_string()).output()?;
        let told: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{}: {}", case.what, String::from_utf8_lossy(&output.stderr)))?;
        let marker = self.said(self.last("/marker").as_bytes())?;
        anyhow::ensure!(marker.starts_with("HTTP/1.1 200"), "{}: {marker}", case.what);
        let answer = told.get("status").and_then(Value::as_str).unwrap_or_default();
        let is_followed = told.get("after").is_some_and(|after| after == "200");
        let mut expected = Vec::new();
        if answer == "200" {
            expected.extend(case.heard.clone());
        }
        if is_followed {
            expected.push(Heard::get("/second", &[]));
        }
        expected.push(Heard::get("/marker", &[]));
        let expected: Vec<Result<Heard, String>> = expected.into_iter().map(Ok).collect();
        let heard = self.recorder.take();
        let is_in_step = case.answers != PASSES || is_followed;
        let is_right = case.answers.contains(&answer) && heard == expected && is_in_step;
        let why = || format!("{}: {told} instead of {:?}; heard {heard:#?}", case.what, case.answers);
        Ok((!is_right).then(why))
    }

    fn check_frames(&self, cases: &[Framed]) -> Result<()> {
        let mut wrong = Vec::new();
        for case in cases {
            wrong.extend(self.wrong_frames(case)?);
        }
        assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(self.fixture.verify()?.contains("sound"));
        Ok(())
    }
}

/// A head by HTTP/2 that would be another in HTTP/1.1 is none (RFC 9113, section 8.2).
#[test]
fn frames_hold_no_lines() -> Result<()> {
    let house = WireHouse::start()?;
    let path = "/http/api/told";
    let with = |more: &[(&str, &str)]| json!({ "fields": house.framed("GET", path, more) });
    let at = |path: &str| json!({ "fields": house.framed("GET", path, &[]) });
    let by = |method: &str| json!({ "fields": house.framed(method, path, &[]) });
    let refused = |what: &'static str, say: Value| Framed { what, say, answers: REFUSED, heard: None };
    let passes =
        |what: &'static str, say: Value, heard: Heard| Framed { what, say, answers: PASSES, heard: Some(heard) };
    let smuggled = "/http/api/told HTTP/1.1\r\nhost: gateway\r\n\r\nGET /http/api/smuggled";
    house.check_frames(&[
        passes("a plain request", with(&[]), Heard::get("/told", &[])),
        passes("a field", with(&[("x-a", "b")]), Heard::get("/told", &["x-a: b"])),
        passes("as many fields as are taken", with(&[("x-a", "b"); 999]), Heard::get("/told", &["x-a: b"; 999])),
        Framed {
            what: "more fields than are taken",
            say: with(&[("x-a", "b"); 1_000]),
            answers: &["431"],
            heard: None,
        },
        passes("cookies", with(&[("cookie", "a=1"), ("cookie", "b=2")]), Heard::get("/told", &["cookie: a=1; b=2"])),
        passes("what trailers may be sent", with(&[("te", "trailers")]), Heard::get("/told", &["te: trailers"])),
        refused("CR and LF in a value", with(&[("x-a", "b\r\nx-smuggled: 1")])),
        refused("LF in a value", with(&[("x-a", "b\nx-smuggled: 1")])),
        refused("CR in a value", with(&[("x-a", "b\rx-smuggled: 1")])),
        refused("NUL in a value", with(&[("x-a", "b\0c")])),
        refused("CR and LF in a name", with(&[("x-a: b\r\nx-smuggled", "1")])),
        refused("a colon in a name", with(&[("x-a:", "b")])),
        refused("a space in a name", with(&[("x-a ", "b")])),
        refused("no name", with(&[("", "b")])),
        refused("capitals in a name", with(&[("X-Own", "b")])),
        refused("lines in the path", at(smuggled)),
        refused("a space in the path", at("/http/api/told x")),
        refused("lines in the method", by("GET /http/api/smuggled HTTP/1.1\r\nx-a: b\r\n\r\nGET")),
        refused("a space in the method", by("GET /http/api/smuggled")),
        refused("a method in small letters", by("get")),
        refused("a connection", with(&[("connection", "keep-alive")])),
        refused("its fields", with(&[("connection", "x-a"), ("x-a", "b")])),
        refused("how long it is kept", with(&[("keep-alive", "timeout=5")])),
        refused("a proxy's", with(&[("proxy-connection", "keep-alive")])),
        refused("a coding of the way", with(&[("transfer-encoding", "chunked")])),
        refused("an upgrade", with(&[("upgrade", "h2c")])),
        refused("what else may be sent", with(&[("te", "gzip")])),
        refused("another method", with(&[("x-http-method-override", "DELETE")])),
    ])
}

#[test]
fn frames_say_each_thing_once() -> Result<()> {
    let house = WireHouse::start()?;
    let path = "/http/api/told";
    let with = |more: &[(&str, &str)]| json!({ "fields": house.framed("GET", path, more) });
    // The head of a plain request with one of its fields as another, or without it where there is none.
    let but = |name: &str, value: Option<&str>| {
        let mut fields = house.framed("GET", path, &[]);
        match value {
            Some(value) => fields.iter_mut().filter(|(own, _)| own == name).for_each(|(_, own)| *own = value.into()),
            None => fields.retain(|(own, _)| own != name),
        }
        json!({ "fields": fields })
    };
    let named = |authority: &str, more: &[(&str, &str)]| {
        let mut fields = house.framed("GET", "/told", more);
        fields.iter_mut().filter(|(own, _)| own == ":authority").for_each(|(_, own)| *own = authority.into());
        json!({ "fields": fields })
    };
    // Behind a field of its own it is late; right behind the others it is the second.
    let second = |name: &str, value: &str| {
        let mut fields = house.framed("GET", path, &[]);
        fields.insert(4, (name.into(), value.into()));
        json!({ "fields": fields })
    };
    let refused = |what: &'static str, say: Value| Framed { what, say, answers: REFUSED, heard: None };
    let plain =
        |what: &'static str, say: Value, answers| Framed { what, say, answers, heard: Some(Heard::get("/told", &[])) };
    house.check_frames(&[
        plain("its own name", named("api.test", &[]), PASSES),
        plain("its own name, and another host", named("api.test", &[("host", "evil")]), MAY_PASS),
        plain("the gateway, and another host", with(&[("host", "evil")]), MAY_PASS),
        plain("another, and its own as the host", named("evil", &[("host", "api.test")]), REFUSED),
        refused("a user", named("x@api.test", &[])),
        refused("lines in a name", named("api.test\r\nx-smuggled: 1", &[])),
        plain("two hosts", with(&[("host", "gateway"), ("host", "evil")]), MAY_PASS),
        refused("a second path", second(":path", "/http/api/admin")),
        refused("the same path again", second(":path", path)),
        refused("a second method", second(":method", "DELETE")),
        refused("a second scheme", second(":scheme", "https")),
        refused("a second authority", second(":authority", "evil")),
        refused("what is unknown", second(":own", "1")),
        refused("an answer's", second(":status", "200")),
        refused("a protocol", second(":protocol", "websocket")),
        refused("one that comes late", with(&[("x-a", "b"), (":path", "/http/api/admin")])),
        refused("no path", but(":path", None)),
        refused("an empty path", but(":path", Some(""))),
        refused("a path without a slash", but(":path", Some("http/api/told"))),
        refused("a path with a host", but(":path", Some("http://evil/http/api/told"))),
        refused("no method", but(":method", None)),
        refused("no scheme", but(":scheme", None)),
        plain("another scheme", but(":scheme", Some("https")), MAY_PASS),
        plain(
            "a host alone",
            json!({ "fields": [
            [":method", "GET"], [":scheme", "http"], [":path", path], ["host", "gateway"],
            ["authorization", house.task.basic()],
        ] }),
            MAY_PASS,
        ),
    ])
}

#[test]
fn frames_have_one_length() -> Result<()> {
    let house = WireHouse::start()?;
    let post = |more: &[(&str, &str)], data: &[&str], trailers: Option<&[(&str, &str)]>| {
        let fields = house.framed("POST", "/http/api/told", &[&[("content-type", "text/plain")], more].concat());
        json!({ "fields": fields, "data": data, "trailers": trailers })
    };
    let refused = |what: &'static str, say: Value| Framed { what, say, answers: REFUSED, heard: None };
    let hello =
        |what: &'static str, say: Value, answers| Framed { what, say, answers, heard: Some(Heard::post(&[], "hello")) };
    house.check_frames(&[
        hello("a body", post(&[], &["hello"], None), PASSES),
        hello("in two frames", post(&[], &["he", "llo"], None), PASSES),
        hello("with its length", post(&[("content-length", "5")], &["he", "llo"], None), PASSES),
        hello("with trailers", post(&[], &["hello"], Some(&[("x-t", "1")])), PASSES),
        hello("as many trailers as are taken", post(&[], &["hello"], Some(&[("x-t", "1"); 1_000])), PASSES),
        refused("more trailers", post(&[], &["hello"], Some(&[("x-t", "1"); 1_001]))),
        hello("trailers of heads", post(&[], &["hello"], Some(&[("content-length", "9"), ("host", "evil")])), MAY_PASS),
        hello("trailers of requests", post(&[], &["hello"], Some(&[(":path", "/http/api/admin")])), MAY_PASS),
        refused("lines in trailers", post(&[], &["hello"], Some(&[("x-t", "1\r\nx-smuggled: 1")]))),
        refused("more than its length", post(&[("content-length", "3")], &["hello"], None)),
        refused("less than its length", post(&[("content-length", "10")], &["hello"], None)),
        refused("less, with trailers", post(&[("content-length", "10")], &["hello"], Some(&[("x-t", "1")]))),
        refused("a length of nothing", post(&[("content-length", "0")], &["hello"], None)),
        refused("a length, and nothing", post(&[("content-length", "5")], &[], None)),
        refused("two lengths", post(&[("content-length", "5"), ("content-length", "3")], &["hello"], None)),
        refused("the same length twice", post(&[("content-length", "5"), ("content-length", "5")], &["hello"], None)),
        refused("no number", post(&[("content-length", "+5")], &["hello"], None)),
        refused("another number", post(&[("content-length", "0x5")], &["hello"], None)),
    ])
}
