//! Runs a command under a task of its own, whose credential is in a private file that the command's tools already
//! read, and ends the task when the command ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehouse_api::{EndTask, StartedTaskView, TaskView};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::cli::{NewTaskArgs, Reach};
use crate::client::{Client, Refused};
use crate::commands::{start_task, write_private};
use crate::java;
use crate::output;
use crate::registry;
use crate::trust::Believed;

/// How long the gateway waits for a sign of life before it ends the task, in seconds.
pub(crate) const HEARTBEAT_SECS: u32 = 10;

/// What is reached without a proxy.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Runs the command and returns its exit status.
pub(crate) async fn run(reach: &Reach, new: NewTaskArgs, command: Vec<String>) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("there is no command to run")?;
    let client = Client::new(reach)?;
    let targets = new.targets.clone();
    let started = start_task(&client, new, Some(program), Some(HEARTBEAT_SECS)).await?;
    let folder = tempfile::Builder::new().prefix("gatehouse-run-").tempdir()?;
    let mut is_over = false;
    let outcome = async {
        let environment = environment(&started, &targets, folder.path())?;
        let mut command = Command::new(program);
        // What the caller's own environment says of connections would lead the child elsewhere, past the gateway.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        let child = match command.args(arguments).envs(environment).spawn() {
            Ok(child) => child,
            Err(error) => return not_run(program, &error),
        };
        let mut child = std::pin::pin!(wait(child));
        tokio::select! {
            code = &mut child => code,
            over = give_signs_of_life(&client, &started.task.id) => {
                is_over = true;
                output::aside(&format!("gatehouse: {over}"))?;
                child.await
            }
        }
    }
    .await;
    if is_over {
        return outcome;
    }
    // However the command ended, its credential ends too.
    let end = EndTask { cause: "done".into(), reason: None };
    let ended: Result<TaskView> = client.post(&format!("/api/v1/tasks/{}/end", started.task.id), &end).await;
    if let Err(error) = ended {
        tracing::warn!("the task {} was not ended: {error:#}; it expires at {}", started.task.id, started.task.expires);
    }
    outcome
}

/// What a shell says of a command that it cannot run: 127 where there is none, 126 of any other.
fn not_run(program: &str, error: &std::io::Error) -> Result<ExitCode> {
    output::aside(&format!("gatehouse: {program} cannot be run: {error}"))?;
    Ok(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}

/// Tells the gateway now and then that this process is there. One that dies without a word tells it nothing, and the task
/// ends. Returns when the gateway takes no more signs of life, and says why.
pub(crate) async fn give_signs_of_life(client: &Client, task: &str) -> String {
    let mut ticks = tokio::time::interval(Duration::from_secs(u64::from(HEARTBEAT_SECS)) / 4);
    let path = format!("/api/v1/tasks/{task}/heartbeat");
    loop {
        ticks.tick().await;
        let Err(error) = client.post_bytes(&path, &()).await else { continue };
        match error.downcast_ref::<Refused>() {
            Some(Refused(problem)) if problem.status == 409 => return format!("the task {task} is over"),
            Some(Refused(problem)) if problem.status < 500 => {
                return format!("the task {task} ends within {HEARTBEAT_SECS} s: {}", problem.title);
            }
            // A gateway that is being started anew hears the next one.
            Some(_) | None => tracing::warn!("{error:#}"),
        }
    }
}

/// What the command's tools read.
fn environment(started: &StartedTaskView, targets: &[String], folder: &Path) -> Result<BTreeMap<String, String>> {
    let (of_http, others): (Vec<&String>, Vec<&String>) =
        targets.iter().partition(|target| protocol_of(started, target).is_some_and(registry::rides_on_http));
    let mut environment = postgres_environment(started, &others, folder)?;
    environment.extend(http_environment(started, &of_http, folder)?);
    environment.insert("GATEHOUSE_TASK".into(), started.task.id.clone());
    Ok(environment)
}

fn protocol_of<'s>(started: &'s StartedTaskView, target: &str) -> Option<&'s str> {
    started.protocols.get(target).map(String::as_str)
}

/// What HTTP's tools read: the gateway as their proxy, and whom they believe. Each target has an address of its own besides.
fn http_environment(started: &StartedTaskView, targets: &[&String], folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    let Some(certificate) = &started.proxy_certificate else { return Ok(environment) };
    let believed = Believed::write(&format!("{certificate}{}", believed(started, targets)), folder)?;
    let mut proxy_of_java = None;
    for target in targets {
        let (Some(address), Some(protocol)) = (started.addresses.get(*target), protocol_of(started, target)) else {
            continue;
        };
        let scheme = if started.root_certificates.contains_key(*target) { "https" } else { "http" };
        let name: String = target.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
        let own = format!("GATEHOUSE_URL_{}", name.to_ascii_uppercase());
        environment.insert(own, format!("{scheme}://{address}/{protocol}/{target}"));
        let proxy = format!("{scheme}://{}:{}@{address}", started.user, started.password);
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            environment.entry(name.to_string()).or_insert_with(|| proxy.clone());
        }
        if scheme == "http" && proxy_of_java.is_none() {
            proxy_of_java = Some(java::Proxy { address, user: &started.user, password: &started.password });
        }
    }
    let callers = std::env::var(java::OPTIONS).ok();
    let options = java::options(proxy_of_java.as_ref(), &believed.store, folder, callers)?;
    environment.insert(java::OPTIONS.into(), options);
    // Who asks at the gateway's own addresses proves it by what netrc(5) says. Not in `NETRC`: it knows hosts without their
    // ports, so that who reads it unasked would prove it to whatever else listens there.
    let mut machines = String::new();
    for host in
        targets.iter().filter_map(|target| started.addresses.get(*target)?.rsplit_once(':')).map(|(host, _)| host)
    {
        machines.push_str(&format!("machine {host} login {} password {}\n", started.user, started.password));
    }
    let netrc = folder.join("netrc");
    write_private(&netrc, machines.as_bytes())?;
    environment.insert("GATEHOUSE_NETRC".into(), netrc.display().to_string());
    // The gateway's own addresses are reached without it.
    environment.extend(["NO_PROXY", "no_proxy"].map(|name| (name.to_string(), NO_PROXY.to_string())));
    environment.extend(believed.environment);
    environment.insert("NODE_USE_ENV_PROXY".into(), "1".into());
    Ok(environment)
}

/// The certificates of the listeners of targets, each once.
fn believed(started: &StartedTaskView, targets: &[&String]) -> String {
    let pems: BTreeSet<&str> =
        targets.iter().filter_map(|target| started.root_certificates.get(*target)).map(String::as_str).collect();
    pems.into_iter().flat_map(|pem| [pem.trim_end(), "\n"]).collect()
}

/// What PostgreSQL's tools read. The first target is the default; a service file names them all.
fn postgres_environment(
    started: &StartedTaskView,
    targets: &[&String],
    folder: &Path,
) -> Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    let mut passwords = String::new();
    let mut services = String::new();
    let certificate = folder.join("root.crt");
    let pem = believed(started, targets);
    if !pem.is_empty() {
        write_private(&certificate, pem.as_bytes())?;
        environment.insert("PGSSLROOTCERT".into(), certificate.display().to_string());
        environment.insert("PGSSLMODE".into(), "verify-ca".into());
    }
    for target in targets {
        let Some((host, port)) = started.addresses.get(*target).and_then(|address| address.rsplit_once(':')) else {
            continue;
        };
        passwords.push_str(&format!("{host}:{port}:*:{}:{}\n", started.user, started.password));
        services.push_str(&format!("[{target}]\nhost={host}\nport={port}\ndbname={target}\nuser={}\n\n", started.user));
        if !environment.contains_key("PGHOST") {
            let own = [
                ("PGHOST", host),
                ("PGPORT", port),
                ("PGDATABASE", target.as_str()),
                ("PGUSER", started.user.as_str()),
            ];
            environment.extend(own.map(|(name, value)| (name.to_string(), value.to_string())));
        }
    }
    let (passfile, servicefile) = (folder.join("pgpass"), folder.join("pg_service.conf"));
    write_private(&passfile, passwords.as_bytes())?;
    write_private(&servicefile, services.as_bytes())?;
    environment.insert("PGPASSFILE".into(), passfile.display().to_string());
    environment.insert("PGSERVICEFILE".into(), servicefile.display().to_string());
    Ok(environment)
}

/// Waits for the command, and passes on the signals that end it. A terminal's Ctrl-C reaches it by itself.
async fn wait(mut child: Child) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    loop {
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        tokio::select! {
            status = child.wait() => {
                let status = status?;
                use std::os::unix::process::ExitStatusExt as _;
                let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            _ = interrupt.recv() => {}
            () = passed_on(&mut terminate, pid, Signal::TERM) => {}
            () = passed_on(&mut hangup, pid, Signal::HUP) => {}
        }
    }
}

async fn passed_on(stream: &mut SignalStream, pid: Option<Pid>, signal: Signal) {
    stream.recv().await;
    if let Some(pid) = pid {
        // It may have ended in this moment, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}
