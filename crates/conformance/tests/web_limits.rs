//! What a slow or hostile client or target of HTTP can hold on to, and what it cannot.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::{PATIENCE, wait_until};
use gatehouse_conformance::http::{self, Door, JSON};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::web::{self, POLICIES, WebCredential, WebHouse};
use gatehouse_conformance::{Fixture, Setup};

/// What is sent in the large, in bytes.
const LARGE: usize = 96 * 1024 * 1024;
/// What the gateway may take for it, in KiB: its buffers, and what the allocator keeps.
const ROOM_KIB: u64 = 24 * 1024;

/// The most memory that the gateway has held so far, in KiB.
fn peak(house: &WebHouse) -> Result<u64> {
    memory(&house.fixture, "VmHWM:")
}

/// The memory of the gateway, by its name in Linux, in KiB.
fn memory(fixture: &Fixture, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", fixture.gateway_pid().context("it runs")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a size")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn connect(house: &WebHouse) -> Result<TcpStream> {
    let stream = TcpStream::connect(house.base.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn head(task: &WebCredential, line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: gateway\r\nauthorization: {}\r\n{fields}\r\n", task.basic())
}

#[test]
fn large_bodies_pass_in_little_memory() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let dana = house.task("user:dana")?;
    assert_eq!(house.get(&dana, "/told")?.status, 200);
    let before = peak(&house)?;
    let mut reader = connect(&house)?;
    reader.write_all(head(&dana, &format!("GET /http/api/big?n={LARGE}"), "connection: close\r\n").as_bytes())?;
    let (mut count, mut part) = (0, vec![0; 64 * 1024]);
    loop {
        let read = reader.read(&mut part)?;
        if read == 0 {
            break;
        }
        // Not as fast as it comes.
        if count / (8 * 1024 * 1024) != (count + read) / (8 * 1024 * 1024) {
            std::thread::sleep(Duration::from_millis(20));
        }
        count += read;
    }
    assert!(count > LARGE, "{count}");
    let mut writer = connect(&house)?;
    let fields = "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n";
    writer.write_all(head(&dana, "PUT /http/api/count", fields).as_bytes())?;
    for _ in 0..LARGE / part.len() {
        write!(writer, "{:x}\r\n", part.len())?;
        writer.write_all(&part)?;
        writer.write_all(b"\r\n")?;
    }
    writer.write_all(b"0\r\n\r\n")?;
    let mut answer = String::new();
    writer.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&LARGE.to_string()), "{answer}");
    let grown = peak(&house)? - before;
    assert!(grown < ROOM_KIB, "{grown} KiB for bodies of {} KiB", LARGE / 1024);
    Ok(())
}

#[test]
fn what_is_too_long_is_refused() -> Result<()> {
    let config = "[limits]\nbody_bytes_max = 65536\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    // JSON that is longer than may be held cannot be masked, and is not shown in part.
    let long = house.get(&task, "/people?times=2000")?;
    assert_eq!((long.status, long.json()["title"].as_str()), (413, Some("the answer is kept back")), "{}", long.body);
    assert_eq!(house.get(&task, "/people")?.status, 200);
    // Neither can a request be held for a person.
    let body = format!("{{\"a\": \"{}\"}}", "x".repeat(100_000));
    let held = house.call(&task, "DELETE", "/orders/1", &[JSON], &body)?;
    assert_eq!(held.status, 413, "{}", held.body);
    assert!(held.body.contains("limits.body_bytes_max = 65536"), "it names the limit that counts: {}", held.body);
    // What is longer goes by as it comes, and its length with it.
    let dana = house.task("user:dana")?;
    let fields = [("content-type", "application/octet-stream")];
    let told = house.call(&dana, "PUT", "/told", &fields, &"x".repeat(100_000))?.json();
    let told = told["fields"].as_array().context("its fields")?.clone();
    assert!(told.contains(&serde_json::json!(["content-length", "100000"])), "{told:?}");
    assert!(!told.iter().any(|field| field[0] == "transfer-encoding"), "{told:?}");
    // A head has a limit of its own.
    let field = "x".repeat(100_000);
    let long = house.call(&task, "GET", "/told", &[("x-long", &field)], "")?;
    assert_eq!(long.status, 431, "{}", long.body);
    Ok(())
}

#[test]
fn who_says_nothing_loses_their_place() -> Result<()> {
    let config = "[limits]\nlogin_secs_max = 1\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let mut silent: Vec<TcpStream> = (0..4).map(|_| connect(&house)).collect::<Result<_>>()?;
    for (place, stream) in silent.iter_mut().enumerate() {
        // Some begin a head and do not end it.
        if place % 2 == 0 {
            stream.write_all(b"GET /http/api/told HTTP/1.1\r\nhost: gate")?;
        }
    }
    for mut stream in silent {
        let mut rest = String::new();
        // Whether it is told something or not, it ends.
        stream.read_to_string(&mut rest)?;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
    }
    assert_eq!(house.get(&task, "/told")?.status, 200);
    Ok(())
}

/// Whoever only connects keeps nobody out, and ends nobody who has proved something; of those there are only so many.
#[test]
fn who_proves_nothing_keeps_nobody_out() -> Result<()> {
    let config = "[limits]\nlogins_max = 4\nconnections_max = 2\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let answered = |stream: &mut TcpStream| -> Result<String> {
        stream.write_all(head(&task, "HEAD /http/api/told", "").as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        Ok(String::from_utf8(answer)?)
    };
    let mut proven = connect(&house)?;
    assert!(answered(&mut proven)?.starts_with("HTTP/1.1 200"));
    let silent: Vec<TcpStream> = (0..40).map(|_| connect(&house)).collect::<Result<_>>()?;
    let mut second = connect(&house)?;
    assert!(answered(&mut second)?.starts_with("HTTP/1.1 200"));
    assert!(answered(&mut proven)?.starts_with("HTTP/1.1 200"), "it is the same connection still");
    let refused = house.get(&task, "/told")?;
    assert_eq!(
        (refused.status, refused.json()["title"].as_str()),
        (503, Some("there are too many connections already"))
    );
    drop(second);
    wait_until("there is a place again", || Ok(house.get(&task, "/told")?.status == 200))?;
    drop(silent);
    Ok(())
}

#[test]
fn a_target_that_breaks_off_is_no_answer() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
    for who in [&task, &dana] {
        let output = house.curl(who, &["-o", "/dev/null", "-w", "%{http_code}"], "/off")?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() || output.stdout == b"502", "{said}");
        assert_eq!(house.get(who, "/told")?.status, 200, "and the next request is answered");
    }
    drop(house.target);
    let away = http::call(Door::Web(&house.base), "GET", "/http/api/told", &[("authorization", &dana.basic())], "")?;
    assert_eq!(away.status, 502, "{}", away.body);
    assert!(away.body.contains("cannot be reached") && !away.body.contains("127.0.0.1"), "{}", away.body);
    Ok(())
}

/// Whoever waits for a target that says nothing is told how long that may be, and so is whoever reads the record.
#[test]
fn a_target_that_says_nothing_is_given_up_by_a_named_limit() -> Result<()> {
    let config = "[limits]\nhttp_silence_secs_max = 1\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let answer = house.get(&task, "/silent")?;
    assert_eq!(answer.status, 504, "{}", answer.body);
    let problem = answer.json();
    assert_eq!(problem["status"], 504);
    let said = |member: &str| problem[member].as_str().unwrap_or_default().to_string();
    assert!(
        said("title").contains("does not answer") && said("detail").contains("limits.http_silence_secs_max"),
        "{problem}"
    );
    assert!(said("remedy").contains("look before you ask again"), "{problem}");
    let mut sessions = serde_json::Value::Null;
    wait_until("the session's record says why it ended", || {
        sessions = house.fixture.json(&["sessions", "ls", "--state", "ended"])?;
        Ok(sessions[0]["cause"].as_str().is_some_and(|cause| cause.contains("limits.http_silence_secs_max")))
    })?;
    assert_eq!(house.get(&task, "/told")?.status, 200, "and the next request is answered");
    Ok(())
}

/// A client that takes nothing keeps what a connection may hold back, and neither that nor its place past its task's end.
#[test]
fn a_client_that_takes_nothing_keeps_little() -> Result<()> {
    const COUNT: usize = 32;
    const TIMES: usize = 20_000;
    let config = "[limits]\noutlet_bytes_max = 65536\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let path = format!("/people?times={TIMES}");
    let body_kib = house.get(&task, &path)?.body.len() as u64 / 1024;
    assert!(body_kib > 2 * 1024, "{body_kib} KiB are no large body");
    let before = peak(&house)?;
    let mut client = Command::new(CLIENTS)
        .arg("client_stuck.py")
        .env("BASE", &house.base)
        .env("ASKED", format!("/http/api{path}"))
        .env("COUNT", COUNT.to_string())
        .env("AUTHORIZATION", task.basic())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(client.stdout.take().context("it is piped")?).lines();
    // As many as there are places for begin, and the others wait.
    while said.next().context("an answer begins")?? != "begun 4" {}
    wait_until("four are held back", || Ok(peak(&house)? >= before + 4 * body_kib))?;
    // Others are answered meanwhile.
    assert_eq!(house.get(&task, "/told")?.status, 200);
    house.fixture.json(&["task", "end", &task.task])?;
    let rest: Vec<String> = said.collect::<std::io::Result<_>>()?;
    assert_eq!(rest.last().map(String::as_str), Some("closed"), "{rest:?}");
    // Each that is held back is there as it came, as it is shown and on its way.
    let held = peak(&house)? - before;
    assert!(held < 20 * body_kib, "{held} KiB were held for {COUNT} bodies of {body_kib} KiB");
    client.wait()?;
    Ok(())
}

/// A client of HTTP/2 that waits to be asked for its body is asked, and what one gave up in its middle is not taken for the whole.
#[test]
fn a_body_by_http2_is_asked_for_and_is_whole() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let output = Command::new(CLIENTS)
        .arg("client_expect.py")
        .env("BASE", &house.base)
        .env("ASKED", "/http/api/heard")
        .env("AUTHORIZATION", task.basic())
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    let wanted =
        concat!("before the answer: 100\n", "answer: 200\n", r#"["{\"said\": \"all of it\"}"]"#, "\nanswered: True\n");
    assert_eq!(said, wanted, "{}", String::from_utf8_lossy(&output.stderr));
    let heard: Vec<String> = serde_json::from_str(&house.get(&task, "/heard")?.body)?;
    assert_eq!(heard, [r#"{"said": "all of it"}"#, r#"{"said": "after"}"#]);
    Ok(())
}

/// Long requests that have to be there in whole wait for each other, and leave those room that they wait for.
#[test]
fn long_requests_at_a_time_all_come_through() -> Result<()> {
    const COUNT: usize = 16;
    let config = "[limits]\noutlet_bytes_max = 65536\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let output = Command::new(CLIENTS)
        .arg("client_uploads.mjs")
        .env("BASE", &house.base)
        .env("ASKED", "/http/api/count")
        .env("COUNT", COUNT.to_string())
        .env("BYTES", "2000000")
        .env("AUTHORIZATION", task.basic())
        .output()?;
    let said = String::from_utf8(output.stdout)?;
    assert_eq!(said, "200 {\"bytes\": 2000011}\n".repeat(COUNT), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What takes long to look at takes it from nobody else.
#[test]
fn a_body_that_takes_long_keeps_nobody_waiting() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let mut long = Vec::new();
    for _ in 0..8 {
        let mut curl = house.curl(&task, &["-o", "/dev/null", "-w", "%{http_code}"], "/numbers?n=400000")?;
        long.push(curl.stdout(Stdio::piped()).spawn()?);
    }
    // By as many connections, so that each thread has some.
    for _ in 0..8 {
        assert_eq!(house.get(&task, "/told")?.status, 200);
    }
    let mut waits = 0;
    for curl in &mut long {
        waits += usize::from(curl.try_wait()?.is_none());
    }
    assert!(waits > 4, "only {waits} of what takes long had not ended before what does not");
    for curl in long {
        let output = curl.wait_with_output()?;
        assert_eq!(output.stdout, b"200", "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Masks that are many times as long as what they stand for are not gathered without end.
#[test]
fn masks_are_not_much_longer_than_what_they_stand_for() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let before = peak(&house)?;
    let answer = house.get(&task, "/numbers?n=8000000")?;
    let grown = peak(&house)? - before;
    // The body, what may be added to it, and what of either is copied: the masks alone would be 240 MB.
    assert!(grown < 160 * 1024, "{grown} KiB were held");
    assert!(answer.status == 502 || answer.body.len() < 1024, "{}: {} bytes", answer.status, answer.body.len());
    assert_eq!(house.get(&task, "/numbers?n=1000")?.status, 200, "and others are served");
    Ok(())
}

/// A target that answers one request on each connection, and goes away over the second without a word; it tells what it was asked.
fn forgetful() -> Result<(u16, Arc<Mutex<Vec<String>>>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (port, asked) = (listener.local_addr()?.port(), Arc::<Mutex<Vec<String>>>::default());
    let told = asked.clone();
    std::thread::spawn(move || -> Result<()> {
        loop {
            let (stream, told) = (listener.accept()?.0, told.clone());
            std::thread::spawn(move || -> Result<()> {
                let (mut answers, mut writer) = (true, stream.try_clone()?);
                let mut lines = BufReader::new(stream).lines();
                while let Some(first) = lines.next() {
                    told.lock().unwrap_or_else(PoisonError::into_inner).push(first?);
                    for line in lines.by_ref() {
                        if line?.is_empty() {
                            break;
                        }
                    }
                    if !std::mem::replace(&mut answers, false) {
                        break;
                    }
                    writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok")?;
                }
                Ok(())
            });
        }
    });
    Ok((port, asked))
}

/// What may be asked twice is, where a connection that was kept is gone; what may not is not.
#[test]
fn a_lost_connection_is_no_lost_request() -> Result<()> {
    let (port, asked) = forgetful()?;
    let config = web::config(port, "");
    let fixture = Fixture::start(Setup { policies: POLICIES.into(), config, ..Setup::default() })?;
    let (base, dana) = (web::listening(&fixture, "api")?, web::task(&fixture, "user:dana", "api")?);
    // On one connection, so that one thread has all of them.
    let ask = |method: &str| -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "60", "-w", "%{http_code} ", "-X", method, "-d", "", "-H"]);
        curl.arg(format!("authorization: {}", dana.basic()));
        for turn in 0..4 {
            curl.args(["-o", "/dev/null"]).arg(format!("{base}/http/api/{turn}"));
        }
        Ok(String::from_utf8(curl.output()?.stdout)?)
    };
    assert_eq!(ask("PUT")?, "200 200 200 200 ");
    let refused = ask("POST")?;
    assert!(refused.contains("502") && refused.contains("200"), "{refused}");
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    let count = |method: &str| asked.iter().filter(|line| line.starts_with(method)).count();
    assert_eq!(count("POST"), 4, "{asked:?}");
    assert!(count("PUT") > 4, "some were asked twice: {asked:?}");
    Ok(())
}

/// What an upload in parts of one byte keeps where its target takes nothing is counted with what is kept about each part.
#[test]
fn many_short_parts_keep_little() -> Result<()> {
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let config = web::config(silent.local_addr()?.port(), "");
    let fixture = Fixture::start(Setup { policies: POLICIES.into(), config, ..Setup::default() })?;
    let (base, dana) = (web::listening(&fixture, "api")?, web::task(&fixture, "user:dana", "api")?);
    let before = memory(&fixture, "VmHWM:")?;
    let mut client = TcpStream::connect(base.trim_start_matches("http://"))?;
    client.set_write_timeout(Some(Duration::from_secs(2)))?;
    let fields = "content-type: application/octet-stream\r\ntransfer-encoding: chunked\r\n";
    client.write_all(head(&dana, "POST /http/api/upload", fields).as_bytes())?;
    let taken = silent.accept()?;
    let parts = b"1\r\nx\r\n".repeat(16 * 1024);
    let mut sent = 0;
    while sent < LARGE && client.write_all(&parts).is_ok() {
        sent += parts.len();
    }
    assert!(sent < LARGE, "it was all taken, though its target takes nothing");
    let held = memory(&fixture, "VmHWM:")? - before;
    assert!(held < ROOM_KIB, "{held} KiB were held for {sent} bytes");
    drop(taken);
    Ok(())
}
