//! WebSockets through the gateway: each message is judged, recorded and masked, and held ones wait.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use gatehouse_conformance::Fixture;
use gatehouse_conformance::fixture::{PATIENCE, Setup, wait_until};
use gatehouse_conformance::served::{CLIENTS, Served};
use gatehouse_conformance::web::{self, WebCredential, listening};
use serde_json::{Value, json};

const POLICIES: &str = r#"
permit (principal in Group::"agents", action in [Action::"connect", Action::"http:read", Action::"http:message"], resource in Target::"chat")
  unless { context has fields && context.fields.contains("op=delete") };
@id("deletes") @hold("dba")
permit (principal in Group::"agents", action == Action::"http:message", resource in Target::"chat")
  when { context has fields && context.fields.contains("op=delete") };
@id("no-drops") forbid (principal, action == Action::"http:message", resource)
  when { context has fields && context.fields.contains("op=drop") };
permit (principal in Group::"dba", action, resource in Target::"chat");
permit (principal in Group::"dba", action == Action::"reveal", resource);
"#;

struct SocketHouse {
    server: Served,
    fixture: Fixture,
    base: String,
}

impl SocketHouse {
    fn start() -> Result<Self> {
        Self::start_with("")
    }

    fn start_with(more: &str) -> Result<Self> {
        let server = Served::start("socket_server.mjs", &[])?;
        let port = server.port;
        let fixture = Fixture::start(Setup {
            policies: POLICIES.into(),
            config: format!(
                "[listen.http]\naddress = \"127.0.0.1:0\"\n[targets.chat]\nprotocol = \"http\"\naddress = \"127.0.0.1:{port}\"\n\
                 credential = {{ bearer = \"file:chat.secret\" }}\n{more}"
            ),
            files: vec![("chat.secret", "the-gateway's-own-token".into())],
            ..Setup::default()
        })?;
        let base = listening(&fixture, "chat")?;
        Ok(Self { server, fixture, base })
    }

    fn client(url: &str, say: &Value, credential: Option<&WebCredential>) -> Result<Child> {
        let mut command = Command::new(CLIENTS);
        command.arg("client_socket.mjs").env("URL", url).env("SAY", say.to_string()).stdin(Stdio::null());
        command.envs(credential.map(|credential| ("AUTHORIZATION", credential.basic())));
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }

    fn through(&self, credential: &WebCredential, path: &str, say: &Value) -> Result<Child> {
        Self::client(&format!("{}/http/chat{path}", self.base), say, Some(credential))
    }
}

fn heard(client: Child) -> Result<Value> {
    let output = client.wait_with_output()?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn everything_permitted_is_the_same_as_directly() -> Result<()> {
    let house = SocketHouse::start()?;
    let dana = web::task(&house.fixture, "user:dana", "chat")?;
    let long = "x".repeat(100_000);
    let say = json!(["hello", "{\"op\":\"drop\"}", "customer", { "bytes": [0, 255, 7] }, "bytes", long, "bye"]);
    let mut direct = heard(SocketHouse::client(&format!("ws://127.0.0.1:{}/room", house.server.port), &say, None)?)?;
    let mut through = heard(house.through(&dana, "/room", &say)?)?;
    let opened = |said: &mut Value| serde_json::from_str::<Value>(said[0].take().as_str().unwrap_or_default());
    assert_eq!(opened(&mut direct)?["opened"], "/room");
    let opened = opened(&mut through)?;
    let hidden = format!("Bearer {}", "*".repeat("the-gateway's-own-token".len()));
    assert_eq!(opened, json!({ "opened": "/room", "authorization": hidden }), "and nothing is compressed");
    // What policy forbids nobody may.
    assert_eq!(through[2], json!({ "closed": 1008, "reason": through[2]["reason"] }), "{through}");
    let allowed = json!(["hello", "customer", { "bytes": [0, 255, 7] }, "bytes", long, "bye"]);
    let direct = heard(SocketHouse::client(&format!("ws://127.0.0.1:{}/room", house.server.port), &allowed, None)?)?;
    let through = heard(house.through(&dana, "/room", &allowed)?)?;
    let rest = |said: &Value| said.as_array().map(|said| said[1..].to_vec());
    assert_eq!(rest(&through), rest(&direct));
    let refused = json!([{ "status": 401 }]);
    assert_eq!(heard(house.through(&dana, "/refused", &say)?)?, refused, "the target's own refusal");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Clients that know a proxy open a tunnel for `ws://` as well, and speak in it without TLS.
#[test]
fn a_tunnel_carries_a_socket_as_it_is() -> Result<()> {
    let house = SocketHouse::start_with("names = [\"chat.test\"]\n")?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    let say = json!(["hello", "customer", "{\"op\":\"drop\"}", "bye"]);
    let through = heard(house.through(&claude, "/room", &say)?)?;
    let mut command = Command::new(CLIENTS);
    command.arg("client_socket.mjs").env("URL", "ws://chat.test/room").env("SAY", say.to_string());
    command.env("PROXY", &house.base).env("AUTHORIZATION", claude.basic());
    let inside = heard(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)?;
    assert_eq!(inside, through);
    assert!(inside.to_string().contains("\"closed\":1008"), "each message is judged: {inside}");
    Ok(())
}

#[test]
fn a_message_that_is_too_long_is_told_so() -> Result<()> {
    let house = SocketHouse::start_with("[limits]\nbody_bytes_max = 65536\n")?;
    let dana = web::task(&house.fixture, "user:dana", "chat")?;
    let told = heard(house.through(&dana, "/room", &json!(["x".repeat(100_000)]))?)?;
    assert_eq!(told[1]["closed"], 1009, "{told}");
    assert!(told[1]["reason"].as_str().is_some_and(|why| why.contains("body_bytes_max")), "{told}");
    Ok(())
}

/// A client that says and reads what it likes: a connection that has become a WebSocket.
fn raw(house: &SocketHouse, credential: &WebCredential) -> Result<TcpStream> {
    let address = house.base.strip_prefix("http://").context("an address")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET /http/chat/room HTTP/1.1\r\nhost: {address}\r\nauthorization: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        credential.basic()
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0; 1];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    anyhow::ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Sends a short text, with a mask of zeros (RFC 6455, section 5.2).
fn say(stream: &mut TcpStream, text: &str) -> Result<()> {
    let len = u8::try_from(text.len())?;
    Ok(stream.write_all(&[&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat())?)
}

#[test]
fn whoever_leaves_or_does_not_read_keeps_nothing() -> Result<()> {
    let house = SocketHouse::start()?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    let mut leaves = raw(&house, &claude)?;
    say(&mut leaves, "{\"op\":\"delete\"}")?;
    let request = house.fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    drop(leaves);
    wait_until("what waits is withdrawn", || Ok(house.fixture.request_state(&request)? == "withdrawn"))?;
    let mut reads_nothing = raw(&house, &claude)?;
    say(&mut reads_nothing, "flood")?;
    let live = || -> Result<usize> {
        let sessions = house.fixture.json(&["sessions", "ls"])?;
        let of_chat =
            sessions.as_array().into_iter().flatten().filter(|session| session.get("target") == Some(&json!("chat")));
        Ok(of_chat.filter(|session| session.get("state") == Some(&json!("live"))).count())
    };
    wait_until("the session is there", || Ok(live()? > 0))?;
    let (mut there, mut last) = (vec![0; 16 << 20], 0);
    wait_until("the way to the client is full", || {
        let len = reads_nothing.peek(&mut there)?;
        let is_full = len > 0 && len == last;
        last = len;
        Ok(is_full)
    })?;
    house.fixture.json(&["task", "end", &claude.task])?;
    wait_until("the session has ended", || Ok(live()? == 0))?;
    // What came before an end is there; nothing keeps on coming.
    let mut rest = Vec::new();
    let _ = reads_nothing.read_to_end(&mut rest);
    assert!(!rest.is_empty() && rest.len() < 100 << 20, "{}", rest.len());
    Ok(())
}

/// A refusal ends the WebSocket for its client: what it said behind that is not passed, however it was refused.
#[test]
fn nothing_goes_on_behind_a_refusal() -> Result<()> {
    let house = SocketHouse::start()?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    let closed = |mut stream: TcpStream| -> Result<Vec<u8>> {
        // It does not answer the end, and is not waited for long.
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        Ok(said)
    };
    let mut refused = raw(&house, &claude)?;
    say(&mut refused, "{\"op\":\"drop\"}")?;
    say(&mut refused, "behind what is forbidden")?;
    closed(refused)?;
    let mut held = raw(&house, &claude)?;
    say(&mut held, "{\"op\":\"delete\"}")?;
    let request = house.fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    say(&mut held, "behind what is denied")?;
    assert!(house.fixture.command(&["deny", &request, "--as", "user:dana", "--reason", "no"])?.status.success());
    closed(held)?;
    let records = serde_json::to_string(&house.fixture.records()?)?;
    assert!(records.contains("delete") && !records.contains("behind what"), "nothing behind it is an operation");
    Ok(())
}

/// Whatever a client said before it left without a word is passed on: it is on record as such.
#[test]
fn what_was_said_before_a_side_left_is_told() -> Result<()> {
    let house = SocketHouse::start()?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    for _ in 0..10 {
        let mut leaves = raw(&house, &claude)?;
        for word in 0..5 {
            say(&mut leaves, &format!("last word {word}"))?;
        }
        leaves.shutdown(std::net::Shutdown::Write)?;
        let mut said = Vec::new();
        let _ = leaves.read_to_end(&mut said);
    }
    let records = house.fixture.records()?;
    let passed = records.iter().filter(|record| record["title"] == "message /room" && record["verdict"] == "allow");
    let told = heard(house.through(&claude, "/room", &json!(["count"]))?)?;
    assert_eq!(told[1], json!(format!("count {}", passed.count())), "{told}");
    Ok(())
}

/// A client may say all that it has before it takes an answer, as it may directly.
#[test]
fn whoever_talks_first_and_listens_later_is_heard() -> Result<()> {
    const WORDS: u32 = 600;
    let house = SocketHouse::start()?;
    let task = web::task(&house.fixture, "agent:claude", "chat")?;
    let talk = |url: &str, authorization: Option<String>| -> Result<String> {
        let mut command = Command::new(CLIENTS);
        command.arg("client_socket_talks.mjs").env("URL", url).env("COUNT", WORDS.to_string()).stdin(Stdio::null());
        command.envs(authorization.map(|authorization| ("AUTHORIZATION", authorization)));
        let output = command.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let all = WORDS.to_string();
    assert_eq!(talk(&format!("ws://127.0.0.1:{}/talk", house.server.port), None)?, all, "directly");
    let through = format!("{}/http/chat/talk", house.base.replace("http://", "ws://"));
    assert_eq!(talk(&through, Some(task.basic()))?, all, "through the gateway");
    Ok(())
}

#[test]
fn messages_are_judged_and_masked_and_wait() -> Result<()> {
    let house = SocketHouse::start()?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    let told = heard(house.through(&claude, "/room", &json!(["customer", "note from ada@corp.example", "bye"]))?)?;
    assert!(!told.to_string().contains("ada@corp.example"), "{told}");
    let customer: Value = serde_json::from_str(told[1].as_str().context("a customer")?)?;
    assert!(customer["id"] == 7 && customer["email"].is_string(), "{told}");
    assert_eq!(told[3]["closed"], 4001, "{told}");
    let told = heard(house.through(&claude, "/room", &json!(["bytes"]))?)?;
    assert_eq!(told[1]["closed"], 1008, "{told}");
    let told = heard(house.through(&claude, "/room", &json!(["{\"op\":\"drop\"}"]))?)?;
    assert!(
        told[1]["closed"] == 1008 && told[1]["reason"].as_str().is_some_and(|why| why.contains("no-drops")),
        "{told}"
    );
    let twice = heard(house.through(&claude, "/room", &json!(["{\"op\":\"list\",\"op\":\"drop\"}"]))?)?;
    assert_eq!(twice[1]["closed"], 1008, "{twice}");

    let waiting = house.through(&claude, "/room", &json!(["{\"op\":\"delete\"}", "and on"]))?;
    let request = house.fixture.open_request()?;
    assert_eq!(
        request["statement"], "message to /room\nsec-websocket-version: 13",
        "with the fields that it was opened by"
    );
    assert!(request["binds"].to_string().contains("delete"), "{request}");
    let id = request["id"].as_str().context("an id")?;
    assert!(house.fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    let told = heard(waiting)?;
    assert_eq!((&told[1], &told[2]), (&json!("heard {\"op\":\"delete\"}"), &json!("heard and on")), "{told}");

    // It ends with its task.
    let open = house.through(&claude, "/room", &json!(["{\"op\":\"delete\"}"]))?;
    house.fixture.open_request()?;
    house.fixture.json(&["task", "end", &claude.task])?;
    assert_eq!(heard(open)?[1]["closed"], 1008);
    let records = house.fixture.records()?;
    let messages = records.iter().filter(|record| record["title"] == "message /room");
    assert!(messages.count() >= 7, "each is recorded");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Signs of life that are asked for and not read are not kept without end.
#[test]
fn answers_to_pings_that_nobody_reads_are_not_kept() -> Result<()> {
    const PINGS: usize = 600_000;
    let house = SocketHouse::start()?;
    let claude = web::task(&house.fixture, "agent:claude", "chat")?;
    let pid = house.fixture.gateway_pid().context("the gateway")?;
    let resident = || -> Result<usize> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("how much it has")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    let mut stream = raw(&house, &claude)?;
    stream.set_write_timeout(Some(std::time::Duration::from_secs(5)))?;
    let before = resident()?;
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let many = ping.repeat(100);
    for _ in 0..PINGS / 100 {
        // It may be ended, or not read any further: both keep it within bounds.
        if stream.write_all(&many).is_err() {
            break;
        }
    }
    let more = resident()?.saturating_sub(before);
    assert!(more < 48 * 1024, "{more} KiB are kept for one connection");
    Ok(())
}
