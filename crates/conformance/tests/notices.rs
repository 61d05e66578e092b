//! Others are told of what waits for a person: receivers on this machine, one of which is not there at first.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_conformance::certificates::certificates;
use gatehouse_conformance::fixture::{PATIENCE, folder};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::{Fixture, Setup};
use ring::hmac;
use serde_json::{Value, json};

const KEY: [u8; 32] = [7; 32];

/// What a receiver was sent: head and body.
struct Notice {
    head: String,
    body: String,
}

impl Notice {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).unwrap_or_default()
    }
}

/// Takes notices; the first few it does not like.
fn receive(listener: TcpListener, refused: usize) -> Receiver<Notice> {
    let (sender, notices) = channel();
    std::thread::spawn(move || -> Result<()> {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream?);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                anyhow::ensure!(stream.read_line(&mut head)? > 0, "a whole head comes");
            }
            let mut notice = Notice { head, body: String::new() };
            let mut body = vec![0; notice.header("content-length").parse()?];
            stream.read_exact(&mut body)?;
            notice.body = String::from_utf8(body)?;
            let status = if number < refused { "503 Busy" } else { "204 Taken" };
            write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
            sender.send(notice)?;
        }
        Ok(())
    });
    notices
}

#[test]
fn receivers_are_told_and_nothing_waits_for_them() -> Result<()> {
    let (webhook, slack, teams) =
        (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
    let url = |listener: &TcpListener| Ok::<_, anyhow::Error>(format!("http://{}/hook", listener.local_addr()?));
    let config = format!(
        "[receivers.desk]\nurl = \"{}\"\nsecret = \"file:desk.secret\"\n\
         events = [\"request.opened\", \"request.answered\", \"request.ended\"]\n\
         [receivers.slack]\nurl = \"file:slack.url\"\nform = \"slack\"\n\
         [receivers.teams]\nurl = \"{}\"\nform = \"teams\"\n\
         [receivers.gone]\nurl = \"http://127.0.0.1:1/hook\"\nform = \"slack\"\n",
        url(&webhook)?,
        url(&teams)?,
    );
    let files = vec![("desk.secret", format!("whsec_{}", BASE64.encode(KEY))), ("slack.url", url(&slack)?)];
    let fixture = Fixture::start(Setup { config, files, ..Setup::default() })?;
    let (desk, slack, teams) = (receive(webhook, 2), receive(slack, 0), receive(teams, 0));
    let agent = fixture.task("agent:claude", "10m")?;
    let held = fixture.psql_command(&agent).args(["-c", "update orders set total = 1 where id = 1"]).spawn()?;

    // What could not be delivered comes again, as the same message, each time signed for its moment.
    let told: Vec<Notice> = (0..3).map(|_| desk.recv_timeout(PATIENCE)).collect::<Result<_, _>>()?;
    let [first, _, third] = told.as_slice() else { anyhow::bail!("three attempts") };
    assert_eq!((first.header("webhook-id"), &first.body), (third.header("webhook-id"), &third.body));
    for notice in &told {
        let signed = format!("{}.{}.{}", notice.header("webhook-id"), notice.header("webhook-timestamp"), notice.body);
        let signature = notice.header("webhook-signature").strip_prefix("v1,").context("a version")?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
        assert!(hmac::verify(&key, signed.as_bytes(), &BASE64.decode(signature)?).is_ok(), "the signature holds");
    }
    let body: Value = serde_json::from_str(&third.body)?;
    let request = body["data"]["request"].as_str().context("a request")?;
    assert_eq!((&body["type"], &body["data"]["targets"]), (&json!("request.opened"), &json!(["shop"])));
    assert!(!third.body.contains("total"), "the statement itself goes to nobody");
    let text: Value = serde_json::from_str(&slack.recv_timeout(PATIENCE)?.body)?;
    let text = text["text"].as_str().context("a text")?;
    assert!(text.contains("agent:claude asks for UPDATE on shop and needs dba"), "{text}");
    let page = format!("{}/requests/{request}", fixture.api()?);
    assert!(text.contains(&page), "{text} has a link");
    assert!(teams.recv_timeout(PATIENCE)?.body.contains(request));

    // A receiver that is not there holds up nothing.
    let begun = Instant::now();
    assert!(fixture.command(&["approve", request, "--as", "user:dana"])?.status.success());
    assert!(held.wait_with_output()?.status.success() && begun.elapsed() < PATIENCE);
    let mut kinds = [desk.recv_timeout(PATIENCE)?, desk.recv_timeout(PATIENCE)?].map(|notice| {
        let body: Value = serde_json::from_str(&notice.body).unwrap_or_default();
        body["type"].as_str().unwrap_or_default().to_string()
    });
    // What is told does not wait for what was told before.
    kinds.sort();
    assert_eq!(kinds, ["request.answered", "request.ended"]);
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(log.contains("could not be delivered") && !log.contains("/hook"), "an address is in no log");
    Ok(())
}

/// A mail server as a process of its own, and what it takes.
struct MailServer {
    child: Child,
    port: u16,
    taken: Receiver<Value>,
}

impl MailServer {
    fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(CLIENTS);
        command.arg("mail.py").envs(settings.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let port = lines.next().context("it prints its port")??.parse()?;
        let (sender, taken) = channel();
        std::thread::spawn(move || -> Result<()> {
            for line in lines {
                sender.send(serde_json::from_str(&line?)?)?;
            }
            Ok(())
        });
        Ok(Self { child, port, taken })
    }

    fn message(&self) -> Result<(Value, String)> {
        let message = self.taken.recv_timeout(PATIENCE)?;
        let content = message
            .get("content")
            .and_then(Value::as_str)
            .context("a content")?
            .replace("=\r\n", "")
            .replace("\r\n", "\n");
        Ok((message, content))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn approvers_get_mail() -> Result<()> {
    let local = MailServer::start(&[("REFUSED", "1")])?;
    let folder = folder()?;
    let certificates = certificates("127.0.0.1")?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (place("mail.crt"), place("mail.key"));
    std::fs::write(&certificate, &certificates.certificate)?;
    std::fs::write(&key, &certificates.key)?;
    let password = "the-password-at-the-mail-server";
    let account = [("CERTIFICATE", certificate.as_str()), ("KEY", &key), ("USER", "gatehouse"), ("PASSWORD", password)];
    let far = |beginning| MailServer::start(&[&account[..], &[("BEGINNING", beginning)]].concat());
    let (first_byte, starttls) = (far("tls")?, far("starttls")?);
    let section = |name: &str, scheme: &str, server: &MailServer, more: &str| {
        format!(
            "[receivers.{name}]\nform = \"mail\"\nurl = \"{scheme}://127.0.0.1:{}\"\nfrom = \"Gatehouse <gate@gw.example>\"\n\
             to = [\"dana@shop.example\", \"Desk <desk@shop.example>\"]\n{more}\n",
            server.port
        )
    };
    let proof = "user = \"gatehouse\"\nsecret = \"file:mail.secret\"\n";
    let trusted = format!("{proof}tls_authorities = \"mail.pem\"\n");
    let config = [
        section("local", "smtp", &local, ""),
        section("tls", "smtps", &first_byte, &trusted),
        section("starttls", "smtp", &starttls, &trusted),
        // Nobody vouches for this one, and it learns nothing.
        section("stranger", "smtps", &first_byte, proof),
    ];
    let files = vec![("mail.secret", password.to_string()), ("mail.pem", certificates.authority.clone())];
    let fixture = Fixture::start(Setup { config: config.concat(), files, ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let held = fixture.psql_command(&agent).args(["-c", "update orders set total = 1 where id = 1"]).spawn()?;
    let request = fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    for server in [&local, &first_byte, &starttls] {
        let (message, content) = server.message()?;
        assert_eq!(
            (&message["from"], &message["to"]),
            (&json!("gate@gw.example"), &json!(["dana@shop.example", "desk@shop.example"]))
        );
        assert!(content.contains("\nSubject: agent:claude asks for UPDATE on shop and needs dba\n"), "{content}");
        assert!(
            content.contains("Auto-Submitted: auto-generated\n") && content.contains("@gw.example>\n"),
            "{content}"
        );
        assert!(content.contains(&format!("{}/requests/{request} agent:claude", fixture.api()?)), "{content}");
        assert!(!content.contains("total"), "the statement itself goes to nobody: {content}");
    }
    assert!(fixture.command(&["deny", &request, "--as", "user:dana", "--reason", "no"])?.status.success());
    held.wait_with_output()?;
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(log.contains("\"receiver\":\"local\"") && log.contains("come again"), "{log}");
    assert!(log.contains("\"receiver\":\"stranger\""), "{log}");
    assert!(first_byte.taken.try_recv().is_err());
    Ok(())
}
