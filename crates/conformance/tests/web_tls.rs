//! HTTP over TLS, on both sides: targets that demand a certificate and speak HTTP/2, and a listener that is reached by `https://`,
//! as a proxy too, and by whoever shows a certificate.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};
use gatehouse_conformance::certificates::{Authority, Certificates, certificates};
use gatehouse_conformance::fixture::{PATIENCE, folder, private, wait_until};
use gatehouse_conformance::http::JSON;
use gatehouse_conformance::secret::remember;
use gatehouse_conformance::served::{CLIENTS, Served};
use gatehouse_conformance::web::{self, POLICIES, TOKEN, WebCredential, WebHouse};
use gatehouse_conformance::{Fixture, Setup};
use jiff::{SignedDuration, Timestamp};
use rcgen::DnValue;
use serde_json::{Value, json};
use tempfile::TempDir;

const START: &str =
    "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource in Target::\"api\");\n";

/// Puts texts into files of a folder, and says where each is.
fn kept<const N: usize>(folder: &TempDir, files: [(&str, &str); N]) -> Result<Vec<String>> {
    let mut places = Vec::with_capacity(N);
    for (name, text) in files {
        let place = folder.path().join(name);
        private(&place, text)?;
        places.push(place.to_str().context("a path in UTF-8")?.to_string());
    }
    Ok(places)
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A target with a certificate for this name, which lets in whom its authority vouches for.
fn target(authority: &Authority, name: &str, speaks_h2: bool) -> Result<Served> {
    let (folder, own) = (folder()?, authority.server(name)?);
    let files = [("own.crt", &*own.certificate), ("own.key", &*own.key), ("root.crt", &*own.authority)];
    let places = kept(&folder, files)?;
    let names = ["CERTIFICATE", "KEY", "AUTHORITY"];
    let mut environment: Vec<(&str, &str)> = names.into_iter().zip(places.iter().map(String::as_str)).collect();
    if !speaks_h2 {
        environment.push(("ONLY_HTTP1", "1"));
    }
    Ok(Served::start("tls_target.mjs", &environment)?.with(folder))
}

/// A target that says HTTP/2 frame by frame, to each request what is told here.
fn by_frames(authority: &Authority, answers: &str, more: &[(&str, &str)]) -> Result<Served> {
    let (folder, own) = (folder()?, authority.server("127.0.0.1")?);
    let places = kept(&folder, [("own.crt", &*own.certificate), ("own.key", &*own.key)])?;
    let [certificate, key] = places.as_slice() else { anyhow::bail!("{places:?}") };
    let environment = [("CERTIFICATE", certificate.as_str()), ("KEY", key.as_str()), ("ANSWERS", answers)];
    Ok(Served::start("frames_target.mjs", &[&environment, more].concat())?.with(folder))
}

/// The certificate by which the gateway is known to such a target.
fn identity(authority: &Authority) -> Result<Certificates> {
    authority.called(DnValue::Utf8String("gatehouse".into()))
}

/// A gateway before it, which trusts an authority and shows a certificate, if it has one.
fn before(target: Served, trusted: &Authority, shown: Option<&Certificates>) -> Result<WebHouse> {
    let mut said = String::from("tls = \"verify-full\"\ntls_authorities = \"target.crt\"\n");
    let mut files = vec![("target.crt", trusted.pem().to_string())];
    if let Some(shown) = shown {
        said.push_str("tls_certificate = \"own.crt\"\ntls_key = \"own.key\"\n");
        files.extend([("own.crt", shown.certificate.clone()), ("own.key", shown.key.clone())]);
    }
    WebHouse::before(target, &said, "", Setup { files, ..Setup::default() })
}

#[test]
fn a_target_that_demands_a_certificate_is_shown_one() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    for (speaks_h2, version) in [(true, "2.0"), (false, "1.1")] {
        let house = before(target(&authority, "127.0.0.1", speaks_h2)?, &authority, Some(&own))?;
        let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
        for turn in 1..4 {
            let got = house.get(&task, "/told?q=1")?;
            assert_eq!(got.status, 200, "{version}: {}", got.body);
            let told = got.json();
            assert_eq!((&told["version"], &told["asked"]), (&json!(version), &json!(turn)), "{told}");
            assert_eq!((&told["method"], &told["path"]), (&json!("GET"), &json!("/told?q=1")));
            assert_eq!(told["shown"], "gatehouse", "whose certificate it was shown: {told}");
            let email = told["email"].as_str().unwrap_or_default();
            assert!(email.ends_with("@masked.example") && !got.body.contains("lotte@corp"), "{told}");
            assert!(!got.body.contains(TOKEN), "{told}");
        }
        let posted = house.call(&dana, "POST", "/told", &[JSON], "{\"a\": 1}")?;
        let told = posted.json();
        assert_eq!((posted.status, &told["body"]), (200, &json!("{\"a\": 1}")), "{}", posted.body);
        assert_eq!((&told["method"], &told["version"]), (&json!("POST"), &json!(version)));
        assert_eq!(
            (&told["email"], &told["authorization"]),
            (&json!("lotte@corp.example"), &json!(format!("Bearer {}", "*".repeat(TOKEN.len()))),)
        );
        let long = "x".repeat(300_000);
        let put = house.call(&dana, "PUT", "/told", &[("content-type", "text/plain")], &long)?;
        assert_eq!(put.json()["body"].as_str().map(str::len), Some(long.len()), "{}", put.status);
        assert_eq!(house.get(&task, "/admin")?.status, 403);
        assert!(house.fixture.verify()?.contains("sound"));
    }
    Ok(())
}

/// Neither who does not show what a target demands, nor a target that is not whom it should be, hears anything.
#[test]
fn where_either_is_not_known_nothing_is_said() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let (own, others) = (identity(&authority)?, identity(&other)?);
    let folder = folder()?;
    let places =
        kept(&folder, [("own.crt", &*own.certificate), ("own.key", &*own.key), ("root.crt", &*own.authority)])?;
    let [certificate, key, root] = places.as_slice() else { anyhow::bail!("{places:?}") };
    for (what, name, trusted, shown) in [
        ("no certificate", "127.0.0.1", &authority, None),
        ("the certificate of another authority", "127.0.0.1", &authority, Some(&others)),
        ("a target of another authority", "127.0.0.1", &other, Some(&own)),
        ("a target of another name", "localhost", &authority, Some(&own)),
    ] {
        let house = before(target(&authority, name, true)?, trusted, shown)?;
        for (who, method) in [("agent:claude", "GET"), ("user:dana", "POST")] {
            let refused = house.call(&house.task(who)?, method, "/told", &[JSON], "")?;
            assert_eq!(refused.status, 502, "{what}: {}", refused.body);
            assert_eq!(refused.headers("content-type").next(), Some("application/problem+json"), "{what}");
            assert!(refused.body.contains("cannot be reached"), "{what}: {}", refused.body);
            assert!(!refused.body.contains("127.0.0.1") && !refused.body.contains("lotte"), "{what}: {}", refused.body);
        }
        // By whoever it does let in.
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "60", "--cacert", root, "--cert", certificate, "--key", key]);
        curl.args(["--connect-to", &format!("{name}:443:127.0.0.1:{}", house.target.port)]);
        let output = curl.arg(format!("https://{name}/asked")).stdin(Stdio::null()).output()?;
        let told: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        assert_eq!(told["asked"], 0, "{what}: it was asked");
    }
    Ok(())
}

/// What a client of HTTP/2 hears at a path.
fn by_h2(base: &str, task: &WebCredential, path: &str, root: &str) -> Result<Value> {
    let authority = base.split_once("://").context("an address")?.1;
    let scheme = if base.starts_with("https") { "https" } else { "http" };
    let fields = json!([
        [":method", "GET"],
        [":scheme", scheme],
        [":authority", authority],
        [":path", path],
        ["authorization", task.basic()],
        ["te", "trailers"],
    ]);
    let mut client = Command::new(CLIENTS);
    client.arg("client_h2.py").env("BASE", base).env("SAY", json!({ "fields": fields }).to_string()).env("CA", root);
    let output = client.stdin(Stdio::null()).output()?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn trailer<'t>(told: &'t Value, name: &str) -> Option<&'t str> {
    let mut trailers = told["trailers"].as_array().into_iter().flatten();
    trailers.find(|trailer| trailer[0] == name).and_then(|trailer| trailer[1].as_str())
}

/// Trailers are judged like heads, and reach whoever can hear them.
#[test]
fn trailers_of_a_target_reach_a_client_of_http2() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    for speaks_h2 in [true, false] {
        let house = before(target(&authority, "127.0.0.1", speaks_h2)?, &authority, Some(&own))?;
        for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
            let told = by_h2(&house.base, &house.task(who)?, "/http/api/trailers", "")?;
            assert_eq!(told["status"], "200", "{told}");
            assert!(told["body"].as_str().is_some_and(|body| body.ends_with('}')), "{told}");
            assert_eq!(trailer(&told, "x-sum"), Some("6"), "{who}, {speaks_h2}: {told}");
            let heard: Value = serde_json::from_str(told["body"].as_str().unwrap_or_default())?;
            assert_eq!(heard["te"], "trailers", "{who}, {speaks_h2}: {told}");
            assert_eq!(trailer(&told, "x-contact") == Some("lotte@corp.example"), sees_all, "{who}: {told}");
            assert_eq!(told.to_string().contains("lotte@corp"), sees_all, "{who}: {told}");
            assert_eq!(trailer(&told, "set-cookie"), None, "what is of heads alone: {told}");
        }
        // Who cannot hear them has the rest.
        let answer = house.get(&house.task("agent:claude")?, "/trailers")?;
        assert_eq!((answer.status, &answer.json()["path"]), (200, &json!("/trailers")), "{}", answer.body);
    }
    Ok(())
}

/// A head of a target's that has more fields than are taken is no answer, by either version.
#[test]
fn more_fields_of_a_target_than_are_taken_are_no_answer() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    for speaks_h2 in [true, false] {
        let house = before(target(&authority, "127.0.0.1", speaks_h2)?, &authority, Some(&own))?;
        let task = house.task("user:dana")?;
        for (path, status) in [("/fields/10", 200), ("/fields/1001", 502), ("/told", 200)] {
            let answer = house.get(&task, path)?;
            assert_eq!(answer.status, status, "{speaks_h2}, {path}: {}", answer.body);
        }
    }
    Ok(())
}

/// Of trailers no more are taken than of the fields of a head: what has more of them is no whole answer, to a client of either version.
#[test]
fn more_trailers_of_a_target_than_are_taken_break_its_answer_off() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    for speaks_h2 in [true, false] {
        let house = before(target(&authority, "127.0.0.1", speaks_h2)?, &authority, Some(&own))?;
        let task = house.task("user:dana")?;
        let told = by_h2(&house.base, &task, "/http/api/trailers/1000", "")?;
        let count = told["trailers"].as_array().map(Vec::len);
        assert_eq!((&told["status"], count), (&json!("200"), Some(1_000)), "{speaks_h2}: {told}");
        let told = by_h2(&house.base, &task, "/http/api/trailers/1001", "")?;
        assert_eq!(told["trailers"], json!([]), "{speaks_h2}: {told}");
        let said = by_lines(&house.base, &task, "trailers/1001", "te: trailers\r\n")?;
        assert!(!said.contains("x-t0") && !said.ends_with("\r\n0\r\n\r\n"), "{speaks_h2}: {said}");
        // The gateway goes on, and so does the target.
        assert_eq!(house.get(&task, "/told")?.status, 200, "{speaks_h2}");
    }
    Ok(())
}

/// What a target says by HTTP/2 before its answer is judged and masked like the answer, and reaches clients of either version.
#[test]
fn what_comes_before_an_answer_by_http2_is_passed_on() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    let house = before(target(&authority, "127.0.0.1", true)?, &authority, Some(&own))?;
    let heads = |who: &str, version: &str, path: &str| -> Result<String> {
        let output = house.curl(&house.task(who)?, &[version, "-D", "-"], path)?.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
            let told = heads(who, version, "/hints")?;
            let lines = told.lines().filter(|line| line.starts_with("HTTP"));
            let statuses: Vec<&str> = lines.filter_map(|line| line.split_whitespace().nth(1)).collect();
            assert_eq!(statuses, ["103", "102", "200"], "{who}, {version}: {told}");
            assert!(told.contains("link: <style.css>; rel=preload") && told.contains("x-contact: "), "{told}");
            assert!(told.contains("\"version\":\"2.0\""), "{who}, {version}: {told}");
            let hint = told.split("200").next().unwrap_or_default();
            assert_eq!(hint.contains("x-contact: lotte@corp.example"), sees_all, "{who}, {version}: {told}");
            assert_eq!(told.contains("lotte@corp"), sees_all, "{who}, {version}: {told}");
        }
    }
    // Of many the first go on.
    let told = heads("agent:claude", "--http1.1", "/hints?n=400")?;
    let hints = told.lines().filter(|line| line.starts_with("HTTP/1.1 103")).count();
    assert!(hints == 16 && told.contains("HTTP/1.1 200"), "{hints}: {told}");
    Ok(())
}

/// A request that a target of HTTP/2 says it did not look at is sent again, and none goes to a connection that it is about to close.
#[test]
fn what_a_target_of_http2_did_not_look_at_is_sent_again() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    let house = before(target(&authority, "127.0.0.1", true)?, &authority, Some(&own))?;
    let dana = house.task("user:dana")?;
    let posted = house.call(&dana, "POST", "/refused", &[JSON], "{\"a\": 1}")?;
    let told = posted.json();
    assert_eq!((posted.status, &told["body"], &told["refused"]), (200, &json!("{\"a\": 1}"), &json!(1)), "{told}");
    assert_eq!(told["asked"], 2, "{told}");
    for turn in 0..4 {
        let left = house.get(&dana, "/leaves")?;
        assert_eq!((left.status, &left.json()["version"]), (200, &json!("2.0")), "{turn}: {}", left.body);
        let posted = house.call(&dana, "POST", "/told", &[JSON], "{\"a\": 2}")?;
        assert_eq!((posted.status, &posted.json()["body"]), (200, &json!("{\"a\": 2}")), "{turn}: {}", posted.body);
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// What a target closes in mid-body is not passed on as whole, whatever it says of that; and what is whole is not lost by what it
/// closes after that.
#[test]
fn an_answer_of_http2_that_is_closed_before_its_end_is_broken_off() -> Result<()> {
    let authority = Authority::new()?;
    for who in ["agent:claude", "user:dana"] {
        let house = before(by_frames(&authority, "cut,closed", &[])?, &authority, None)?;
        let task = house.task(who)?;
        let cut = house.curl(&task, &["-w", "\n%{http_code}"], "/told")?.output()?;
        assert!(!cut.status.success() || printed(&cut).ends_with("\n502"), "{who}: {}", printed(&cut));
        let whole = house.get(&task, "/told")?;
        assert_eq!((whole.status, whole.body.starts_with("connection ")), (200, true), "{who}: {}", whole.body);
        // It is answered before the target has heard all of it.
        let dana = house.task("user:dana")?;
        let put = house.call(&dana, "PUT", "/told", &[("content-type", "text/plain")], &"x".repeat(300_000))?;
        assert_eq!((put.status, put.body.starts_with("connection ")), (200, true), "{who}: {}", put.body);
        assert!(house.fixture.verify()?.contains("sound"));
    }
    Ok(())
}

/// A head has as many fields as one of HTTP/1.1 at most.
#[test]
fn a_head_of_http2_of_many_fields_is_not_passed_on() -> Result<()> {
    let authority = Authority::new()?;
    let house = before(by_frames(&authority, "fields,whole", &[])?, &authority, None)?;
    let dana = house.task("user:dana")?;
    let refused = house.get(&dana, "/told")?;
    assert_eq!(refused.status, 502, "{}", refused.body);
    assert_eq!(house.get(&dana, "/told")?.status, 200);
    Ok(())
}

/// The library takes only so many frames that hold nothing on a connection, which takes no more requests before that.
#[test]
fn a_target_of_http2_that_says_empty_frames_is_heard_to_the_end() -> Result<()> {
    let authority = Authority::new()?;
    let house = before(by_frames(&authority, "empty", &[])?, &authority, None)?;
    let dana = house.task("user:dana")?;
    let mut connections = BTreeSet::new();
    for turn in 0..60 {
        let told = house.get(&dana, "/told")?;
        assert_eq!((told.status, told.body.starts_with("connection ")), (200, true), "{turn}: {}", told.body);
        connections.insert(told.body);
    }
    assert!((12..60).contains(&connections.len()), "{connections:?}");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Where a request was given up, the next one has another connection.
#[test]
fn a_connection_of_http2_that_is_dead_is_not_asked_for_ever() -> Result<()> {
    let authority = Authority::new()?;
    let said = "tls = \"verify-full\"\ntls_authorities = \"target.crt\"\n";
    // One that is not read any more, and one that takes no requests.
    let none = [("FIRST_STREAMS_MAX", "0")];
    for (answers, more) in [("nothing,whole", &none[..0]), ("whole", &none[..])] {
        let setup = Setup {
            config: "[limits]\nhttp_silence_secs_max = 5\n".into(),
            files: vec![("target.crt", authority.pem().to_string())],
            ..Setup::default()
        };
        let house = WebHouse::before(by_frames(&authority, answers, more)?, said, "", setup)?;
        let task = house.task("agent:claude")?;
        let ask = || -> Result<u16> { Ok(house.get(&task, "/told")?.status) };
        let told: Vec<u16> = (0..6).map(|_| ask()).collect::<Result<_>>()?;
        let silent = told.iter().filter(|status| **status == 504).count();
        assert!(silent <= 1 && told.last() == Some(&200), "{answers}, {more:?}: {told:?}");
        assert!(told.iter().all(|status| [200, 504].contains(status)), "{answers}, {more:?}: {told:?}");
    }
    Ok(())
}

/// A target of HTTP/2 is told when nobody waits for its answer any more.
#[test]
fn a_target_of_http2_hears_that_its_client_left() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    let house = before(target(&authority, "127.0.0.1", true)?, &authority, Some(&own))?;
    let dana = house.task("user:dana")?;
    let told = || -> Result<Value> { Ok(house.get(&dana, "/asked")?.json()) };
    let mut stream = TcpStream::connect(house.base.trim_start_matches("http://"))?;
    let basic = dana.basic();
    write!(stream, "GET /http/api/endless HTTP/1.1\r\nhost: gateway\r\nauthorization: {basic}\r\n\r\n")?;
    wait_until("the target is asked", || Ok(told()?["asked"] == 1))?;
    assert_eq!(told()?["givenUp"], Value::Null);
    drop(stream);
    // CANCEL (RFC 9113, section 7).
    wait_until("the target hears of it", || Ok(told()?["givenUp"] == 8))
}

/// What the gateway says, byte by byte, to whoever asks for something by HTTP/1.1.
fn by_lines(base: &str, task: &WebCredential, path: &str, fields: &str) -> Result<String> {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let basic = task.basic();
    write!(
        stream,
        "GET /http/api/{path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {basic}\r\n{fields}connection: close\r\n\r\n"
    )?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

/// Whoever says by HTTP/1.1 that they hear trailers is given those that were announced, and the target is told so.
#[test]
fn trailers_of_a_target_reach_a_client_of_http1_that_asks() -> Result<()> {
    let authority = Authority::new()?;
    let own = identity(&authority)?;
    let house = before(target(&authority, "127.0.0.1", false)?, &authority, Some(&own))?;
    for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
        let task = house.task(who)?;
        let said = by_lines(&house.base, &task, "trailers", "te: trailers\r\n")?;
        let (head, rest) = said.split_once("\r\n\r\n").context("a head")?;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("trailer: x-sum, x-contact"), "{who}: {said}");
        let (body, trailers) = rest.split_once("\r\n0\r\n").context("an end")?;
        assert!(body.contains("\"te\":\"trailers\""), "{who}: what the target heard: {said}");
        assert!(trailers.contains("x-sum: 6\r\n"), "{who}: {said}");
        assert_eq!(trailers.contains("x-contact: lotte@corp.example"), sees_all, "{who}: {said}");
        assert!(!trailers.contains("set-cookie"), "{who}: what is of heads alone: {said}");
        // Nobody else is told anything after a body.
        let said = by_lines(&house.base, &task, "trailers", "")?;
        assert!(said.ends_with("\r\n0\r\n\r\n") && !said.contains("\"te\":\"trailers\""), "{who}: {said}");
    }
    Ok(())
}

/// A gateway whose listener for HTTP has TLS, and that trusts the certificates of a mesh.
struct Secure {
    house: WebHouse,
    mesh: Authority,
    /// What its own certificate is checked by.
    root: String,
    /// The same address without TLS.
    plain: String,
}

impl Secure {
    fn start(is_required: bool) -> Result<Self> {
        remember(TOKEN);
        let (target, mesh, own) = (web::target()?, Authority::new()?, certificates("127.0.0.1")?);
        let said = "names = [\"api.test\"]\ncredential = { bearer = \"file:api.secret\" }";
        let address = "address = \"127.0.0.1:0\"\n";
        let tls = format!(
            "{address}tls_certificate = \"server.crt\"\ntls_key = \"server.key\"\ntls_required = {is_required}\n"
        );
        let certified = "[certificates.mesh]\nauthorities = \"mesh.crt\"\n\
                         agents = [{ agent = \"other\", name = \"uri:spiffe://mesh.example/reporter\" }]\n";
        let config = web::config(target.port, said).replacen(address, &tls, 1);
        let fixture = Fixture::start(Setup {
            policies: format!("{POLICIES}{START}"),
            config: format!("{config}{certified}"),
            files: vec![
                ("api.secret", TOKEN.into()),
                ("server.crt", own.certificate.clone()),
                ("server.key", own.key.clone()),
                ("root.crt", own.authority.clone()),
                ("mesh.crt", mesh.pem().to_string()),
            ],
            ..Setup::default()
        })?;
        let plain = web::listening(&fixture, "api")?;
        let root = fixture.folder.path().join("gatehouse/root.crt");
        let root = root.to_str().context("a path in UTF-8")?.to_string();
        let base = plain.replace("http://", "https://");
        Ok(Self { house: WebHouse { target, fixture, base }, mesh, root, plain })
    }

    /// curl with the authority of the listener, and nothing that proves whose it is.
    fn bare(&self, arguments: &[&str], url: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert", &self.root]).args(arguments).arg(url).stdin(Stdio::null());
        command
    }

    /// The same with a certificate.
    fn certified(&self, shown: &Certificates, arguments: &[&str]) -> Result<String> {
        let folder = folder()?;
        let places = kept(&folder, [("client.crt", &*shown.certificate), ("client.key", &*shown.key)])?;
        let [certificate, key] = places.as_slice() else { anyhow::bail!("{places:?}") };
        let shown = ["--cert", certificate, "--key", key, "-o", "/dev/null", "-w", "%{http_code}"];
        let url = format!("{}/http/api/told", self.house.base);
        Ok(printed(&self.bare(&[&shown, arguments].concat(), &url).output()?))
    }

    fn tasks(&self) -> Result<Vec<Value>> {
        Ok(self.house.fixture.json(&["tasks", "ls"])?.as_array().cloned().unwrap_or_default())
    }
}

#[test]
fn the_listener_speaks_both_versions_over_tls() -> Result<()> {
    let secure = Secure::start(true)?;
    let task = secure.house.task("agent:claude")?;
    for (arguments, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"][..], "2"),
        (&["--http1.1", "--no-alpn"][..], "1.1"),
        (&["--http1.1", "--tlsv1.2", "--tls-max", "1.2"][..], "1.1"),
        (&["--http2", "--tlsv1.3"][..], "2"),
    ] {
        let ask = |path: &str| -> Result<(String, String)> {
            let how = ["--cacert", &secure.root, "-w", "\n%{http_version} %{http_code}"];
            let output = secure.house.curl(&task, &[&how, arguments].concat(), path)?.output()?;
            let told = printed(&output);
            let (body, how) = told.rsplit_once('\n').with_context(|| told.clone())?;
            Ok((body.to_string(), how.to_string()))
        };
        let (told, how) = ask("/told?q=1")?;
        assert_eq!(how, format!("{version} 200"), "{arguments:?}: {told}");
        let told: Value = serde_json::from_str(&told)?;
        assert_eq!((&told["method"], &told["path"]), (&json!("GET"), &json!("/told?q=1")));
        assert!(!told.to_string().contains(&task.password) && !told.to_string().contains(TOKEN), "{told}");
        let (people, _) = ask("/people")?;
        assert!(people.contains("masked.example") && !people.contains("lotte@corp"), "{people}");
        let (refused, how) = ask("/admin")?;
        assert!(how.ends_with(" 403") && refused.contains("no-admin"), "{how}: {refused}");
    }
    let told = by_h2(&secure.house.base, &task, "/http/api/told", &secure.root)?;
    assert_eq!(told["status"], "200", "{told}");
    // Who does not trust its authority says nothing, and whoever proves nothing is nobody.
    let url = format!("{}/http/api/told", secure.house.base);
    let distrusting = Command::new("curl").args(["-sS", "--max-time", "60", &url]).stdin(Stdio::null()).output()?;
    assert!(!distrusting.status.success(), "{}", printed(&distrusting));
    let nobody = secure.bare(&["-o", "/dev/null", "-w", "%{http_code}"], &url).output()?;
    assert_eq!(printed(&nobody), "401");
    assert!(secure.house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Without TLS whoever is on this machine is heard, unless `tls_required` says otherwise.
#[test]
fn plain_text_is_heard_where_tls_is_not_required() -> Result<()> {
    for is_required in [false, true] {
        let secure = Secure::start(is_required)?;
        let task = secure.house.task("agent:claude")?;
        let basic = format!("authorization: {}", task.basic());
        let url = format!("{}/http/api/told", secure.plain);
        for version in ["--http1.1", "--http2-prior-knowledge", "--http1.0"] {
            let output = secure.bare(&[version, "-H", &basic, "-w", "\n%{http_code}"], &url).output()?;
            let told = printed(&output);
            assert_eq!(output.status.success(), !is_required, "{version}: {told}");
            let expected = if is_required { "\n000" } else { "\n200" };
            assert!(told.ends_with(expected) && told.contains("/told") != is_required, "{version}: {told}");
        }
        let url = format!("{}/http/api/told", secure.house.base);
        let told = printed(&secure.bare(&["-H", &basic, "-o", "/dev/null", "-w", "%{http_code}"], &url).output()?);
        assert_eq!(told, "200", "and over TLS in either case");
    }
    Ok(())
}

/// A certificate of a trusted authority is whose request it is, where nothing else says so.
#[test]
fn a_certificate_is_the_proof_of_who_asks() -> Result<()> {
    let secure = Secure::start(true)?;
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(25))?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let reporter = secure.mesh.client("spiffe://mesh.example/reporter", until)?;
    for version in ["--http1.1", "--http2", "--http1.1"] {
        assert_eq!(secure.certified(&reporter, &[version])?, "200", "{version}");
    }
    let tasks = secure.tasks()?;
    assert_eq!(tasks.len(), 1, "one certificate works under one task: {tasks:?}");
    assert_eq!(tasks[0]["identity"], "agent:other");
    assert_eq!(tasks[0]["started_by"], "certificate of mesh (uri:spiffe://mesh.example/reporter)");
    // As a proxy, too.
    let folder = folder()?;
    let places = kept(&folder, [("client.crt", &*reporter.certificate), ("client.key", &*reporter.key)])?;
    let [certificate, key] = places.as_slice() else { anyhow::bail!("{places:?}") };
    let proxy =
        ["-x", &secure.house.base, "--proxy-cacert", &secure.root, "--proxy-cert", certificate, "--proxy-key", key];
    let told = secure.bare(&[&proxy, &["-k"][..]].concat(), "https://api.test/told").output()?;
    let told: Value =
        serde_json::from_slice(&told.stdout).with_context(|| String::from_utf8_lossy(&told.stderr).into_owned())?;
    assert_eq!(told["path"], "/told");
    assert!(secure.house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_certificate_that_is_not_right_is_nobodys() -> Result<()> {
    let secure = Secure::start(true)?;
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(25))?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let another = secure.mesh.client("spiffe://mesh.example/another", until)?;
    assert_eq!(secure.certified(&another, &[])?, "401", "it is vouched for, and is no agent's");
    // Another authority's, and one whose time is over, end the handshake.
    let impostor = Authority::new()?.client("spiffe://mesh.example/reporter", until)?;
    let over = secure.mesh.client("spiffe://mesh.example/reporter", jiff::civil::date(2020, 1, 1))?;
    for shown in [&impostor, &over] {
        let said = secure.certified(shown, &[])?;
        assert!(said == "000" || said == "401", "{said}");
    }
    assert!(secure.tasks()?.is_empty());
    // Whoever shows one may prove otherwise who they are.
    let reporter = secure.mesh.client("spiffe://mesh.example/reporter", until)?;
    let task = secure.house.task("agent:claude")?;
    let basic = format!("authorization: {}", task.basic());
    assert_eq!(secure.certified(&reporter, &["-H", &basic])?, "200");
    let wrong = WebCredential { password: format!("{}x", task.password), ..task.clone() };
    let wrong = format!("authorization: {}", wrong.basic());
    assert_eq!(secure.certified(&reporter, &["-H", &wrong])?, "401", "a wrong proof is not made good by another");
    let identities: Vec<Value> = secure.tasks()?.into_iter().map(|task| task["identity"].clone()).collect();
    assert_eq!(identities, [json!("agent:claude")]);
    Ok(())
}

/// Whoever speaks to their proxy over TLS does so within it: TLS in TLS.
#[test]
fn the_gateway_is_a_proxy_over_tls() -> Result<()> {
    let secure = Secure::start(true)?;
    let task = secure.house.task("agent:claude")?;
    let user = format!("{}:{}", task.user, task.password);
    let authority = secure.house.fixture.data.join("keys/interception.crt");
    let authority = authority.to_str().context("a path in UTF-8")?;
    let curl = |arguments: &[&str], url: &str| -> Result<String> {
        let mut command = Command::new("curl");
        command.args(["-sS", "--max-time", "60", "--cacert", authority, "-x", &secure.house.base]).args(arguments);
        command.args(["-w", "\n%{http_connect} %{http_code}", url]).stdin(Stdio::null());
        Ok(printed(&command.output()?))
    };
    let proven = ["--proxy-cacert", &secure.root, "--proxy-user", &user];
    for version in ["--http1.1", "--http2"] {
        let told = curl(&[&proven[..], &[version]].concat(), "https://api.test/told")?;
        let told = told.strip_suffix("\n200 200").with_context(|| told.clone())?;
        let told: Value = serde_json::from_str(told)?;
        assert_eq!((&told["path"], &told["method"]), (&json!("/told"), &json!("GET")), "{version}");
        assert!(!told.to_string().contains(&task.password), "{told}");
        let people = curl(&[&proven[..], &[version]].concat(), "https://api.test/people")?;
        assert!(people.contains("masked.example") && !people.contains("lotte@corp"), "{people}");
    }
    let told = curl(&proven, "http://api.test/told")?;
    assert!(told.ends_with("\n000 200") && told.contains("\"/told\""), "{told}");
    let refused = curl(&["--proxy-cacert", &secure.root], "https://api.test/told")?;
    assert!(refused.ends_with("\n407 000"), "{refused}");
    let refused = curl(&proven, "https://elsewhere.test/told")?;
    assert!(refused.ends_with("\n403 000"), "{refused}");
    // Whoever does not trust the proxy tells it nothing.
    let distrusting = curl(&["--proxy-user", &user], "https://api.test/told")?;
    assert!(distrusting.ends_with("\n000 000"), "{distrusting}");
    assert!(secure.house.fixture.verify()?.contains("sound"));
    Ok(())
}
