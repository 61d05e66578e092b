//! What a slow or hostile client or target of HTTP can hold on to, and what it cannot.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehouse_conformance::Setup;
use gatehouse_conformance::fixture::{PATIENCE, wait_until};
use gatehouse_conformance::http::JSON;
use gatehouse_conformance::web::{WebCredential, WebHouse};

/// What is sent in the large, in bytes.
const LARGE: usize = 96 * 1024 * 1024;
/// What the gateway may take for it, in KiB: its buffers, and what the allocator keeps.
const ROOM_KIB: u64 = 24 * 1024;

/// The most memory that the gateway has held so far, in KiB.
fn peak(house: &WebHouse) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.fixture.gateway_pid().context("it runs")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a peak")?;
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
    // A head has a limit of its own.
    let field = "x".repeat(100_000);
    let long = house.call(&task, "GET", "/told", &[("x-long", &field)], "")?;
    assert_eq!(long.status, 431, "{}", long.body);
    Ok(())
}

#[test]
fn who_says_nothing_loses_their_place() -> Result<()> {
    let config = "[limits]\nlogin_secs_max = 1\nconnections_max = 4\n".into();
    let house = WebHouse::start_with("", "", Setup { config, ..Setup::default() })?;
    let task = house.task("agent:claude")?;
    let mut silent: Vec<TcpStream> = (0..4).map(|_| connect(&house)).collect::<Result<_>>()?;
    for (place, stream) in silent.iter_mut().enumerate() {
        // Some begin a head and do not end it.
        if place % 2 == 0 {
            stream.write_all(b"GET /http/api/told HTTP/1.1\r\nhost: gate")?;
        }
    }
    wait_until("there is a place again", || Ok(house.get(&task, "/told").is_ok_and(|answer| answer.status == 200)))?;
    for mut stream in silent {
        let mut rest = String::new();
        // Whether it is told something or not, it ends.
        stream.read_to_string(&mut rest)?;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
    }
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
    let away = gatehouse_conformance::http::call(
        gatehouse_conformance::http::Door::Web(&house.base),
        "GET",
        "/http/api/told",
        &[("authorization", &dana.basic())],
        "",
    )?;
    assert_eq!(away.status, 502, "{}", away.body);
    assert!(away.body.contains("cannot be reached") && !away.body.contains("127.0.0.1"), "{}", away.body);
    Ok(())
}
