//! The loads: statements, round trips, logins, rows, idle connections.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use gatehouse_conformance::fixture::PATIENCE;
use gatehouse_conformance::raw::{self, RawClient};

use crate::Effort;
use crate::contest::{Arena, Contestant};
use crate::report::Sheet;

/// Processor time of a process so far, in nanoseconds, over all its threads.
fn processor_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        total += text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total)
}

/// Runs `work` and returns what it gave, with the processor time that the contestant took for it.
fn measured<T>(way: &Contestant, work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = way.pid.map_or(Ok(0), processor_ns)?;
    let value = work()?;
    let after = way.pid.map_or(Ok(0), processor_ns)?;
    Ok((value, (after - before) as f64))
}

fn pgbench_command(way: &Contestant) -> Command {
    let mut command = Command::new("pgbench");
    command.env("PGPASSWORD", &way.credential.password).env("PGUSER", &way.credential.user);
    command.env("PGSSLMODE", if way.tls { "require" } else { "disable" });
    command.args(["-n", "-h", &way.credential.host, "-p", &way.credential.port.to_string()]);
    command
}

fn pgbench(arena: &Arena, way: &Contestant, arguments: &[&str]) -> Result<(f64, f64)> {
    let output = pgbench_command(way).args(arguments).arg("shop").output().context("pgbench cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let log = std::fs::read_to_string(arena.fixture.log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(5).collect();
        bail!("pgbench against {}: {}\n{}", way.name, String::from_utf8_lossy(&output.stderr), tail.join("\n"));
    }
    let after = |mark: &str| {
        let rest = text.split(mark).nth(1)?.trim_start();
        rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse::<f64>().ok()
    };
    let transactions = after("number of transactions actually processed:").context("pgbench says no count")?;
    Ok((transactions, after("tps =").context("pgbench says no rate")?))
}

pub(crate) fn statements(arena: &Arena, effort: &Effort, sheet: &mut Sheet) -> Result<()> {
    let script = arena
        .script("one.sql", "\\set id random(1, 100000)\nSELECT id, balance, note FROM accounts WHERE id = :id;\n")?;
    let script = script.to_str().context("the path is text")?;
    let ways: Vec<&Contestant> = arena.ways.iter().filter(|way| way.name != "gatehouse, all revealed").collect();
    for round in 0..effort.rounds {
        eprintln!("statements, round {} of {}", round + 1, effort.rounds);
        for mode in &effort.modes {
            for clients in &effort.clients {
                for way in &ways {
                    let secs = effort.secs.to_string();
                    let arguments = ["-M", mode, "-c", clients, "-j", "1", "-T", &secs, "-f", script];
                    let ((count, rate), ns) = measured(way, || pgbench(arena, way, &arguments))?;
                    sheet.add(&format!("{mode}, {clients} clients: statements per second"), way.name, rate);
                    if way.pid.is_some() {
                        sheet.add(
                            &format!("{mode}, {clients} clients: processor µs a statement"),
                            way.name,
                            ns / count / 1e3,
                        );
                    }
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn latency(arena: &Arena, effort: &Effort, sheet: &mut Sheet) -> Result<()> {
    const TRIPS: usize = 4_000;
    let ways: Vec<&Contestant> = arena.ways.iter().filter(|way| !way.tls).collect();
    let mut clients = Vec::new();
    for way in &ways {
        clients.push(RawClient::connect(&way.credential)?);
    }
    for _ in 0..effort.rounds {
        for (way, client) in ways.iter().zip(&mut clients) {
            let mut trips = Vec::with_capacity(TRIPS);
            for _ in 0..TRIPS {
                let begun = Instant::now();
                client.send(&[raw::query("select 1")])?;
                while client.answer()?.0 != b'Z' {}
                trips.push(begun.elapsed().as_nanos() as f64 / 1e3);
            }
            trips.sort_by(f64::total_cmp);
            sheet.add("`select 1`, round trip µs, p50", way.name, trips[TRIPS / 2]);
            sheet.add("`select 1`, round trip µs, p99", way.name, trips[TRIPS * 99 / 100]);
        }
    }
    Ok(())
}

pub(crate) fn logins(arena: &Arena, effort: &Effort, sheet: &mut Sheet) -> Result<()> {
    let script = arena.script("login.sql", "select 1;\n")?;
    let script = script.to_str().context("the path is text")?;
    let count = effort.logins.to_string();
    for _ in 0..effort.rounds {
        for way in arena.ways.iter().filter(|way| way.name != "gatehouse, all revealed") {
            let arguments = ["-C", "-c", "1", "-t", &count, "-f", script];
            let ((transactions, rate), ns) = measured(way, || pgbench(arena, way, &arguments))?;
            sheet.add("logins per second", way.name, rate);
            if way.pid.is_some() {
                sheet.add("processor µs a login", way.name, ns / transactions / 1e3);
            }
        }
    }
    Ok(())
}

/// Reads answers up to ReadyForQuery and counts rows, at the least cost.
fn drain(client: &mut RawClient, buffer: &mut [u8]) -> Result<u64> {
    let stream = client.stream();
    let (mut rows, mut header, mut held, mut skip) = (0, [0u8; 5], 0, 0usize);
    loop {
        let read = stream.read(buffer)?;
        if read == 0 {
            bail!("the connection was closed");
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let over = skip.min(rest.len());
            (skip, rest) = (skip - over, &rest[over..]);
            let take = (5 - held).min(rest.len());
            if skip > 0 || take == 0 {
                continue;
            }
            header[held..held + take].copy_from_slice(&rest[..take]);
            (held, rest) = (held + take, &rest[take..]);
            if held == 5 {
                let [tag, length @ ..] = header;
                (held, skip) = (0, u32::from_be_bytes(length) as usize - 4);
                match tag {
                    b'D' | b'd' => rows += 1,
                    b'E' => bail!("an error came: {}", String::from_utf8_lossy(rest)),
                    b'Z' => {
                        if rest.is_empty() {
                            stream.read_exact(&mut [0; 1])?;
                        }
                        return Ok(rows);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The forms in which a result is fetched.
fn requests(table: &str) -> [(&'static str, Vec<u8>); 3] {
    let sql = format!("select * from {table}");
    let bind = raw::frame(b'B', &[&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1]]);
    let binary = [raw::parse("", &sql), bind, raw::describe(b'P', ""), raw::execute(""), raw::sync()].concat();
    [("text", raw::query(&sql)), ("binary", binary), ("COPY", raw::query(&format!("copy {table} to stdout")))]
}

pub(crate) fn rows(arena: &Arena, effort: &Effort, sheet: &mut Sheet) -> Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut clients = Vec::new();
    for way in arena.ways.iter().filter(|way| !way.tls) {
        clients.push((way, RawClient::connect(&way.credential)?));
    }
    for round in 0..effort.rounds {
        eprintln!("rows, round {} of {}", round + 1, effort.rounds);
        for (form, request) in requests("people") {
            for (way, client) in &mut clients {
                let begun = Instant::now();
                let (rows, ns) = measured(way, || {
                    client.stream().write_all(&request)?;
                    drain(client, &mut buffer)
                })?;
                let secs = begun.elapsed().as_secs_f64();
                if rows < u64::from(effort.rows) {
                    bail!("{} sent {rows} rows", way.name);
                }
                sheet.add(&format!("rows in {form}: rows per second"), way.name, rows as f64 / secs);
                if way.pid.is_some() {
                    sheet.add(&format!("rows in {form}: processor ns a row"), way.name, ns / rows as f64);
                }
            }
        }
    }
    Ok(())
}

/// What a process holds now, and what it held at most, in KiB.
fn resident_kib(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse()?)
}

pub(crate) fn memory(arena: &mut Arena, effort: &Effort, sheet: &mut Sheet) -> Result<()> {
    for place in 0..arena.ways.len() {
        if arena.ways[place].name.starts_with("gatehouse") {
            // What other loads left behind would take connections in, and none would seem to cost anything.
            arena.fixture.stop_gateway()?;
            arena.fixture.start_gateway()?;
            arena.ways[place].pid = arena.fixture.gateway_pid();
            // It listens anew; credentials stay good.
            arena.ways[place].credential.port = arena.fixture.task("agent:claude", "1h")?.port;
        }
        let arena = &*arena;
        let way = &arena.ways[place];
        let Some(pid) = way.pid else { continue };
        let before = resident_kib(pid, "VmRSS")?;
        // What the first connections of all make is no connection's own.
        let first = Idle::begin(arena, way, IDLE_FIRST)?;
        let (few, more) = (resident_kib(pid, "VmRSS")?, Idle::begin(arena, way, effort.idle)?);
        sheet.add("resident MiB before", way.name, before / 1024.0);
        sheet.add(
            "resident KiB for an idle connection",
            way.name,
            (resident_kib(pid, "VmRSS")? - few) / effort.idle as f64,
        );
        drop((first, more));
        if way.tls {
            continue;
        }
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let settled = resident_kib(pid, "VmRSS")?;
        let mut client = RawClient::connect(&way.credential)?;
        client.stream().write_all(&raw::query("select * from people"))?;
        drain(&mut client, &mut vec![0; 256 * 1024])?;
        sheet.add("resident MiB more over the rows", way.name, (resident_kib(pid, "VmHWM")? - settled) / 1024.0);
    }
    Ok(())
}

/// Connections that are open before those that are measured.
const IDLE_FIRST: usize = 100;
/// How long connections must rest to be idle: the gateway takes a second for it.
const REST: Duration = Duration::from_millis(2_500);

/// Connections that ran one statement and now say nothing.
struct Idle(Child);

impl Idle {
    fn begin(arena: &Arena, way: &Contestant, count: usize) -> Result<Self> {
        let script = arena.script("idle.sql", "select 1;\n\\sleep 600 s\n")?;
        let script = script.to_str().context("the path is text")?;
        let name = format!("idle {count}");
        let mut command = pgbench_command(way);
        command.env("PGAPPNAME", &name).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(["-c", &count.to_string(), "-j", "1", "-T", "600", "-f", script, "shop"]);
        let idle = Self(command.spawn().context("pgbench cannot be run")?);
        let rests = format!(
            "select count(*) from pg_stat_activity where application_name = '{name}' and state = 'idle' and query like 'select%'"
        );
        let begun = Instant::now();
        while arena.fixture.psql(&arena.fixture.direct(), &rests)?.trim() != count.to_string() {
            ensure!(begun.elapsed() < PATIENCE, "{count} connections through {} do not come about", way.name);
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(REST);
        Ok(idle)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        std::thread::sleep(REST);
    }
}
