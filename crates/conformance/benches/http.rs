//! What HTTP costs through the gateway: `scripts/bench http`.
//!
//! In one run, taken in turns: a target by itself, nginx before it, and the gateway with everything on: judging, masking, the
//! journal, the recording. Ratios are of medians over the rounds.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use gatehouse_conformance::Fixture;
use gatehouse_conformance::fixture::{Setup, wait_until};
use gatehouse_conformance::web::{WebCredential, listening};

const POLICIES: &str = r#"
permit (principal, action in [Action::"connect", Action::"http:read"], resource in Target::"api");
permit (principal in Group::"dba", action == Action::"reveal", resource);
@id("never") forbid (principal, action in Action::"http:write", resource in Path::"api/admin");
"#;
/// What a case asks for, how many records it has, and by how many connections.
const CASES: [(&str, usize, u32); 3] = [("1 KB", 8, 64), ("100 KB", 800, 16), ("1 MB", 8_000, 4)];

/// A child that ends with the bench.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One way to the target.
struct Way {
    name: &'static str,
    base: String,
    authorization: Option<String>,
    /// The process in the middle; none where there is nothing.
    pid: Option<u32>,
}

/// What one measurement gave.
#[derive(Clone, Copy, Default)]
struct Measured {
    requests_per_sec: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_micros: f64,
}

fn main() -> Result<()> {
    // `cargo test --all-targets` runs every bench, without `--bench`: that measures nothing.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if std::env::args().len() == 1 {
        return Ok(());
    }
    let option = |name: &str, default: u32| -> Result<u32> {
        let place = arguments.iter().position(|argument| argument == name);
        place.map_or(Ok(default), |place| Ok(arguments.get(place + 1).context("a number")?.parse()?))
    };
    let (rounds, secs) = (option("--rounds", 5)?, option("--secs", 3)?);
    let folder = tempfile::Builder::new().prefix("gatehouse-bench-").tempdir()?;
    for (name, records, _) in CASES {
        std::fs::write(folder.path().join(name.replace(' ', "")), people(records))?;
    }
    let target = nginx(folder.path(), "target", &format!("root {};", folder.path().display()))?;
    let proxy = nginx(
        folder.path(),
        "proxy",
        &format!("proxy_pass http://127.0.0.1:{}; proxy_http_version 1.1; proxy_set_header Connection \"\";", target.1),
    )?;
    let fixture = Fixture::start(Setup {
        policies: POLICIES.into(),
        config: format!(
            "[listen.http]\naddress = \"127.0.0.1:0\"\n[targets.api]\nprotocol = \"http\"\naddress = \"127.0.0.1:{}\"\n\
             [limits]\nrecording_bytes_max = 100000000000\n",
            target.1
        ),
        ..Setup::default()
    })?;
    let base = format!("{}/http/api", listening(&fixture, "api")?);
    let gateway = |name, identity: &str| -> Result<Way> {
        let authorization = Some(credential(&fixture, identity)?.basic());
        Ok(Way { name, base: base.clone(), authorization, pid: fixture.gateway_pid() })
    };
    let ways = [
        Way { name: "direct", base: format!("http://127.0.0.1:{}", target.1), authorization: None, pid: None },
        Way {
            name: "nginx",
            base: format!("http://127.0.0.1:{}", proxy.1),
            authorization: None,
            pid: Some(proxy.0.0.id()),
        },
        gateway("gateway, masked", "agent:claude")?,
        gateway("gateway, all seen", "user:dana")?,
    ];
    for (case, _, connections) in CASES {
        let path = format!("/{}", case.replace(' ', ""));
        let mut all: Vec<Vec<Measured>> = vec![Vec::new(); ways.len()];
        for _ in 0..rounds {
            for (way, measured) in ways.iter().zip(&mut all) {
                measured.push(measure(way, &path, connections, secs)?);
            }
        }
        println!("{}", table(case, connections, &ways, &all)?);
    }
    Ok(())
}

fn people(count: usize) -> String {
    let person = |number: usize| {
        format!(
            "{{\"id\":{number},\"full_name\":\"Lotte Elmgren {number}\",\"email\":\"lotte.{number}@corp.example\",\
             \"tier\":\"gold\",\"orders\":[{number},{}],\"note\":\"ok\"}}",
            number * 7
        )
    };
    format!("[{}]", (1000..1000 + count).map(person).collect::<Vec<_>>().join(","))
}

/// One nginx of one process.
fn nginx(folder: &Path, name: &str, location: &str) -> Result<(Reaped, u16)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let (path, at) = (folder.join(format!("{name}.conf")), folder.join(name));
    std::fs::create_dir_all(&at)?;
    let at = at.display();
    std::fs::write(
        &path,
        format!(
            "daemon off; master_process off; worker_processes 1; pid {at}/pid; error_log {at}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000; default_type application/json; sendfile on;\n\
             client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u;\n\
             scgi_temp_path {at}/s;\n\
             server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n"
        ),
    )?;
    let child = Command::new("nginx").arg("-c").arg(&path).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut reaped = Reaped(child);
    wait_until("nginx listens", || {
        ensure!(reaped.0.try_wait()?.is_none(), "nginx does not start");
        Ok(TcpStream::connect(("127.0.0.1", port)).is_ok())
    })?;
    Ok((reaped, port))
}

fn credential(fixture: &Fixture, identity: &str) -> Result<WebCredential> {
    let start = ["task", "start", "--as", identity, "--target", "api", "--ttl", "2h", "--reason", "a bench"];
    let started = fixture.json(&start)?;
    let text = |name: &str| started.pointer(name).and_then(serde_json::Value::as_str).map(String::from);
    Ok(WebCredential {
        task: text("/task/id").context("an id")?,
        user: text("/user").context("a user")?,
        password: text("/password").context("a password")?,
    })
}

fn measure(way: &Way, path: &str, connections: u32, secs: u32) -> Result<Measured> {
    let before = way.pid.map(cpu_micros).transpose()?;
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "--latency", "-c", &connections.to_string(), "-d", &format!("{secs}s")]);
    if let Some(authorization) = &way.authorization {
        wrk.args(["-H", &format!("Authorization: {authorization}")]);
    }
    let output = wrk.arg(format!("{}{path}", way.base)).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {said}", way.name);
    if let Some(line) = said.lines().find(|line| line.contains("Non-2xx")) {
        println!("{}: {line}", way.name);
    }
    let after = way.pid.map(cpu_micros).transpose()?;
    let word = |label: &str| said.lines().find_map(|line| line.trim().strip_prefix(label)).map(str::trim);
    let requests: f64 = word("Requests/sec:").context("requests")?.parse()?;
    let count: f64 =
        said.lines().find_map(|line| line.trim().split_once(" requests in ")).context("a count")?.0.parse()?;
    let cpu = before.zip(after).map_or(0.0, |(before, after)| (after - before) / count);
    Ok(Measured {
        requests_per_sec: requests,
        p50_ms: millis(word("50%").context("a median")?)?,
        p99_ms: millis(word("99%").context("a percentile")?)?,
        cpu_micros: cpu,
    })
}

fn millis(word: &str) -> Result<f64> {
    let unit = word.find(|char: char| char.is_ascii_alphabetic()).context("a unit")?;
    let (number, unit) = word.split_at(unit);
    let number: f64 = number.parse()?;
    Ok(match unit {
        "us" => number / 1000.0,
        "s" => number * 1000.0,
        _ => number,
    })
}

/// What a process has used of the processors, in microseconds: the clock has 100 ticks a second (proc(5)).
fn cpu_micros(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("a stat")?.1.split(' ').collect();
    let ticks = |place: usize| fields.get(place).context("ticks").and_then(|field| Ok(field.parse::<f64>()?));
    Ok((ticks(11)? + ticks(12)?) * 10_000.0)
}

fn table(case: &str, connections: u32, ways: &[Way], all: &[Vec<Measured>]) -> Result<String> {
    let median = |measured: &[Measured], of: fn(&Measured) -> f64| -> f64 {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let nginx = all.get(1).map_or(0.0, |measured| median(measured, |measured| measured.requests_per_sec));
    let mut out = format!(
        "| {case}, {connections} connections | requests a second | of nginx | p50, ms | p99, ms | CPU a request, µs |\n\
         |---|---|---|---|---|---|\n"
    );
    for (way, measured) in ways.iter().zip(all) {
        let requests = median(measured, |measured| measured.requests_per_sec);
        writeln!(
            out,
            "| {} | {requests:.0} | {:.2} | {:.2} | {:.2} | {:.1} |",
            way.name,
            requests / nginx,
            median(measured, |measured| measured.p50_ms),
            median(measured, |measured| measured.p99_ms),
            median(measured, |measured| measured.cpu_micros),
        )?;
    }
    Ok(out)
}
