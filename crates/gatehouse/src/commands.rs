//! Carries out what a person typed.

use std::fs::OpenOptions;
use std::io::{BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::CommandFactory as _;
use gatehouse_api::{
    Answer, AnswerView, AskedView, BudgetView, EndTask, Evidence, ExplanationView, IssuedKeyView, KeyView, KillSession,
    LiftLockdown, LockdownView, NewExplanation, NewKey, NewLockdown, NewTask, PolicyView, RequestView, Selection,
    SessionView, StartedTaskView, TargetView, TaskView,
};
use gatehouse_journal::VerifierKey;
use gatehouse_mask::PseudonymKey;
use jiff::Timestamp;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{
    Cli, Command, EvidenceAction, KeyAction, Listing, LockdownAction, MaskAction, NewTaskArgs, Part, PolicyAction,
    Reach, Show, TargetAction, TaskAction,
};
use crate::client::{Client, Refused};
use crate::output::{self, Shown};
use crate::registry;
use crate::{agent, backtest, demo, explain, load, login, mask_test, policy_test, reference, run, serve};

/// How many sessions of a task go into one archive.
const ARCHIVED_SESSIONS_MAX: usize = 10_000;
/// How often somebody who waits for an answer asks whether there is one.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Carries a command out.
pub async fn execute(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo => demo::demo().await?,
        Command::Serve(file) => serve_until_stopped(&file.config).await?,
        Command::Check { config, json } => return check(&config.config, json),
        Command::Mask { action: MaskAction::Test { file, target, config, json } } => {
            return mask_test::test(&file, &config.config, target.as_deref(), json);
        }
        Command::Run { task, reach, command } => return run::run(&reach, task, command).await,
        Command::Mcp { who, reach } => agent::serve_stdio(&reach, who).await?,
        Command::Tasks { action, reach } => tasks(action, &reach).await?,
        Command::Requests(listing) => show::<RequestView>(listing, "/api/v1/requests").await?,
        Command::Sessions(listing) => show::<SessionView>(listing, "/api/v1/sessions").await?,
        Command::Targets { action, reach } => targets(action, &reach).await?,
        Command::Policies { action, reach } => return policies(action, &reach).await,
        Command::Explain { target, identity, on_behalf_of, statement, reach } => {
            let new = NewExplanation { target, statement: given(statement)?, identity, on_behalf_of };
            let view: ExplanationView = Client::new(&reach)?.post("/api/v1/explain", &new).await?;
            if reach.json { output::json(&view)? } else { output::print(&explain::shown(&view))? }
        }
        Command::Approve { id, reason, targets, ttl, acting_as, reach } => {
            let targets = (!targets.is_empty()).then_some(targets);
            answer(&reach, acting_as.as_deref(), &id, "approve", Answer { reason, targets, ttl_secs: ttl }).await?
        }
        Command::Deny { id, reason, acting_as, reach } => {
            answer(&reach, acting_as.as_deref(), &id, "deny", Answer { reason, ..Answer::default() }).await?
        }
        Command::Withdraw { id, reach } => {
            let path = format!("/api/v1/requests/{id}/withdraw");
            let withdrawn: RequestView = Client::new(&reach)?.post(&path, &()).await?;
            output::page(&withdrawn, reach.json)?;
        }
        Command::Revoke { task, reason, reach } => end_task(&reach, &task, "revoked", reason).await?,
        Command::Lockdown { action, reach } => lockdown(action, &reach).await?,
        Command::Keys { action, reach } => keys(action, &reach).await?,
        Command::Kill { session, reason, reach } => {
            let path = format!("/api/v1/sessions/{session}/kill");
            let killed: SessionView = Client::new(&reach)?.post(&path, &KillSession { reason }).await?;
            output::page(&killed, reach.json)?;
        }
        Command::Replay { session: None, task, reach, .. } => {
            let archive = archived_task(&Client::new(&reach)?, task.unwrap_or_default()).await?;
            output::print(&archive.to_string())?;
        }
        Command::Replay { session: Some(session), har: true, reach, .. } => {
            output::print(&Client::new(&reach)?.text(&format!("/api/v1/sessions/{session}/har")).await?)?;
        }
        Command::Replay { session: Some(session), har: false, reach, .. } => {
            let text = Client::new(&reach)?.text(&format!("/api/v1/sessions/{session}/replay")).await?;
            if reach.json { output::json(&text.lines().collect::<Vec<_>>())? } else { output::print(&text)? }
        }
        Command::Evidence { action } => return evidence(action).await,
        Command::Login { acting_as: None, output, reach, .. } => login::by_provider(&reach, output).await?,
        Command::Login { acting_as: Some(user), link: true, reach, .. } => login::link(&reach, user).await?,
        Command::Login { acting_as: Some(user), ttl, output, reach, .. } => {
            login::token(&reach, user, ttl, output.as_deref()).await?
        }
        Command::Logout { reach } => login::logout(&reach).await?,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "gatehouse", &mut text);
            output::print(&String::from_utf8_lossy(&text))?;
        }
        Command::Reference { which } => output::print(&reference::reference(&which)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve_until_stopped(config: &Path) -> Result<()> {
    let running = serve::start(config).await?;
    if let Some(api) = running.api {
        tracing::info!("the control API listens on http://{api}");
    }
    tracing::info!("the admin socket is {}", running.socket.display());
    if running.is_first
        && running.api.is_some()
        && let Some((user, link)) = running.state.first_link()
    {
        // To whoever started it, and into no log.
        output::print(&format!(
            "Sign in as user:{user}, who administers this gateway; good once, until {}:",
            link.expires
        ))?;
        output::print(&link.url)?;
    }
    stop_signal().await?;
    tracing::info!("stopping");
    running.stop().await
}

/// Returns when the process is asked to end.
pub(crate) async fn stop_signal() -> Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn check(config: &Path, as_json: bool) -> Result<ExitCode> {
    let (faults, warnings) = match load::load(config, PseudonymKey::new([0; 32])) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(faults) => (faults, Vec::new()),
    };
    if as_json {
        let entry = |fault: &load::Fault| serde_json::json!({ "file": fault.file, "line": fault.line, "message": fault.message, "remedy": fault.remedy });
        let list = |faults: &[load::Fault]| faults.iter().map(entry).collect::<Vec<_>>();
        output::json(&serde_json::json!({ "faults": list(&faults), "warnings": list(&warnings) }))?;
    } else {
        for fault in &faults {
            output::print(&format!("error: {fault}"))?;
        }
        for warning in &warnings {
            output::print(&format!("warning: {warning}"))?;
        }
        if faults.is_empty() {
            output::print(&format!("{}: configuration and policies are right", config.display()))?;
        }
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The exchanges of all sessions of a task, in one HTTP archive in the order of time; each says of which session it is.
async fn archived_task(client: &Client, task: String) -> Result<Value> {
    let part =
        Part { limit: ARCHIVED_SESSIONS_MAX, task: Some(task.clone()), identity: None, target: None, state: None };
    let (sessions, is_all) = client.list::<SessionView>("/api/v1/sessions", &part).await?;
    let (mut archive, mut entries) = (None, Vec::new());
    for session in &sessions {
        let read = client.get::<Value>(&format!("/api/v1/sessions/{}/har", session.id)).await;
        let mut read = match read {
            Ok(read) => read,
            // It was over another protocol.
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.0.status == 409) => continue,
            Err(error) => return Err(error.context(format!("session {}", session.id))),
        };
        if let Some(Value::Array(found)) = read.pointer_mut("/log/entries").map(Value::take) {
            entries.extend(found.into_iter().map(|entry| of_session(entry, &session.id)));
        }
        archive.get_or_insert(read);
    }
    let Some(mut archive) = archive else {
        bail!(
            "task {task} has no session over HTTP that you may see: `gatehouse sessions ls --task {task}` lists those it has"
        );
    };
    entries.sort_by_key(|(began, _)| *began);
    if let Some(place) = archive.pointer_mut("/log/entries") {
        *place = entries.into_iter().map(|(_, entry)| entry).collect();
    }
    if !is_all {
        output::aside(&format!("the task has more than {ARCHIVED_SESSIONS_MAX} sessions: these are the newest"))?;
    }
    Ok(archive)
}

/// An exchange of an archive with the session that it is of, which stands where archives name connections, and when it began.
fn of_session(mut entry: Value, session: &str) -> (Option<Timestamp>, Value) {
    let began = entry.get("startedDateTime").and_then(Value::as_str).and_then(|began| began.parse().ok());
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("connection".into(), session.into());
    }
    (began, entry)
}

async fn show<T: Shown>(listing: Listing, path: &str) -> Result<()> {
    let client = Client::new(&listing.reach)?;
    match listing.action {
        Show::Ls(part) => list::<T>(&client, path, &part, listing.reach.json).await,
        Show::Show { id } => output::page(&client.get::<T>(&format!("{path}/{id}")).await?, listing.reach.json),
    }
}

async fn list<T: Shown>(client: &Client, path: &str, part: &Part, as_json: bool) -> Result<()> {
    let (entries, is_all) = client.list::<T>(path, part).await?;
    output::listing(&entries, as_json)?;
    if !is_all {
        output::aside(&format!("there are more than {}: --limit COUNT shows them", entries.len()))?;
    }
    Ok(())
}

/// A listing that is never long, or one entry of it.
async fn show_all<T: Shown>(id: Option<&str>, path: &str, reach: &Reach) -> Result<()> {
    let all = Client::new(reach)?.get::<Vec<T>>(path).await?;
    let Some(id) = id else { return output::listing(&all, reach.json) };
    let one = all.iter().find(|one| one.id() == id);
    output::page(one.ok_or_else(|| anyhow!("there is no `{id}`: `ls` shows those there are"))?, reach.json)
}

async fn targets(action: TargetAction, reach: &Reach) -> Result<()> {
    match action {
        TargetAction::Ls => show_all::<TargetView>(None, "/api/v1/targets", reach).await,
        TargetAction::Show { id } => show_all::<TargetView>(Some(&id), "/api/v1/targets", reach).await,
        TargetAction::Catalog { id } => {
            output::print(&Client::new(reach)?.text(&format!("/api/v1/targets/{id}/catalog")).await?)
        }
    }
}

async fn policies(action: PolicyAction, reach: &Reach) -> Result<ExitCode> {
    match action {
        PolicyAction::Ls => show_all::<PolicyView>(None, "/api/v1/policies", reach).await?,
        PolicyAction::Show { id } => show_all::<PolicyView>(Some(&id), "/api/v1/policies", reach).await?,
        PolicyAction::Test { directory, config } => return policy_test::test(&directory, &config.config, reach.json),
        PolicyAction::Backtest { since, policies, config } => {
            backtest::backtest(since, &policies, &config.config, reach.json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What was typed, or what comes on standard input where that is `-`.
fn given(text: String) -> Result<String> {
    if text == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input cannot be read as text")
    } else {
        Ok(text)
    }
}

async fn tasks(action: TaskAction, reach: &Reach) -> Result<()> {
    let client = Client::new(reach)?;
    match action {
        TaskAction::Ls(part) => list::<TaskView>(&client, "/api/v1/tasks", &part, reach.json).await,
        TaskAction::Show { id } => {
            output::page(&client.get::<TaskView>(&format!("/api/v1/tasks/{id}")).await?, reach.json)
        }
        TaskAction::End { id } => end_task(reach, &id, "done", None).await,
        TaskAction::Start(new) => {
            let started = start_task(&client, new, None, None).await?;
            if reach.json {
                return output::json(&started);
            }
            let mut lines = vec![
                format!("task           {}", started.task.id),
                format!("expires        {}", started.task.expires),
                format!("user           {}", started.user),
                format!("password       {}   (shown this once)", started.password),
            ];
            lines.extend(started.addresses.iter().map(|(target, address)| {
                let riding = started.protocols.get(target).filter(|protocol| registry::rides_on_http(protocol));
                if let Some(protocol) = riding {
                    let scheme = if started.root_certificates.contains_key(target) { "https" } else { "http" };
                    // Of what rides on HTTP a client of its own knows what to say there.
                    let how = if protocol == "http" { format!("curl -u {} ", started.user) } else { String::new() };
                    return format!("{target:<14} {how}{scheme}://{address}/{protocol}/{target}");
                }
                let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
                format!("{target:<14} psql \"host={host} port={port} dbname={target} user={}\"", started.user)
            }));
            output::print(&lines.join("\n"))
        }
    }
}

/// Starts a task; `command` stands in for a reason that was not given. Where a person must approve first, it waits for that
/// if it is to.
pub(crate) async fn start_task(
    client: &Client,
    new: NewTaskArgs,
    command: Option<&str>,
    heartbeat_secs: Option<u32>,
) -> Result<StartedTaskView> {
    let reason = new.reason.or_else(|| command.map(|command| format!("gatehouse run {command}")));
    let budget = BudgetView {
        operations: new.operations_max,
        rows: new.rows_max,
        bytes: new.bytes_max,
        values: new.values_max.into_iter().collect(),
    };
    let wanted = NewTask {
        budget: (budget != BudgetView::default()).then_some(budget),
        identity: new.who.identity,
        on_behalf_of: new.who.on_behalf_of,
        targets: new.targets,
        reason: reason.ok_or_else(|| anyhow!("a task has a reason: --reason \"…\""))?,
        ttl_secs: new.ttl,
        heartbeat_secs,
    };
    let mut waits_for = None;
    loop {
        let request: RequestView = match client.post("/api/v1/tasks", &wanted).await? {
            TaskAnswer::Started(started) => return Ok(*started),
            TaskAnswer::Asked(request) => *request,
        };
        let who = gatehouse_api::who(&request.needs);
        if !new.wait {
            bail!(
                "{who} must approve this task first: request {}\nRun the same command again once it is approved, or with \
                 --wait; `gatehouse withdraw` takes it back",
                request.id
            );
        }
        if waits_for.as_ref() != Some(&request.id) {
            output::aside(&format!("Waiting for approval by {who}: request {}; Ctrl-C takes it back …", request.id))?;
            waits_for = Some(request.id.clone());
        }
        tokio::select! {
            decided = decided(client, &request.id) => decided?,
            stopped = stop_signal() => {
                stopped?;
                client.post_bytes(&format!("/api/v1/requests/{}/withdraw", request.id), &()).await?;
                bail!("request {} is taken back", request.id);
            }
        }
    }
}

/// What comes of a task that was to be started.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum TaskAnswer {
    Started(Box<StartedTaskView>),
    Asked(Box<RequestView>),
}

/// Waits until a request is open no more. One that was not approved is an error.
async fn decided(client: &Client, id: &str) -> Result<()> {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let request: RequestView = client.get(&format!("/api/v1/requests/{id}")).await?;
        match request.state.as_str() {
            "open" => {}
            state => {
                let reason = request.answer_reason.filter(|reason| !reason.is_empty());
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                if state != "approved" {
                    bail!("request {id} is {state}{reason}");
                }
                let less = match request.asked {
                    AskedView::Task { granted: Some(granted), .. } => {
                        format!(", for {} on {}", gatehouse_api::span(granted.ttl_secs), granted.targets.join(", "))
                    }
                    AskedView::Task { granted: None, .. } | AskedView::Operation { .. } => String::new(),
                };
                return output::aside(&format!("request {id} is approved{less}{reason}"));
            }
        }
    }
}

async fn end_task(reach: &Reach, id: &str, cause: &str, reason: Option<String>) -> Result<()> {
    let end = EndTask { cause: cause.into(), reason };
    let ended: TaskView = Client::new(reach)?.post(&format!("/api/v1/tasks/{id}/end"), &end).await?;
    output::page(&ended, reach.json)
}

async fn lockdown(action: LockdownAction, reach: &Reach) -> Result<()> {
    let client = Client::new(reach)?;
    match action {
        LockdownAction::Ls => output::listing(&client.get::<Vec<LockdownView>>("/api/v1/lockdowns").await?, reach.json),
        LockdownAction::Begin { scope, reason } => {
            let begun: LockdownView = client.post("/api/v1/lockdowns", &NewLockdown { scope, reason }).await?;
            output::page(&begun, reach.json)
        }
        LockdownAction::Lift { scope } => {
            client.post_bytes("/api/v1/lockdowns/lift", &LiftLockdown { scope: scope.clone() }).await?;
            if reach.json {
                return output::json(&serde_json::json!({ "lifted": scope }));
            }
            output::print(&format!("the lockdown of {scope} is lifted"))
        }
    }
}

async fn keys(action: KeyAction, reach: &Reach) -> Result<()> {
    let client = Client::new(reach)?;
    match action {
        KeyAction::Ls(part) => list::<KeyView>(&client, "/api/v1/keys", &part, reach.json).await,
        KeyAction::Show { id } => {
            output::page(&client.get::<KeyView>(&format!("/api/v1/keys/{id}")).await?, reach.json)
        }
        KeyAction::Revoke { id } => {
            let ended: KeyView = client.post(&format!("/api/v1/keys/{id}/revoke"), &()).await?;
            output::page(&ended, reach.json)
        }
        KeyAction::Issue { identity, targets, reason, ttl, output: wanted } => {
            let new = NewKey { identity, targets, reason, ttl_secs: ttl };
            let issued: IssuedKeyView = client.post("/api/v1/keys", &new).await?;
            if let Some(path) = wanted {
                write_private(&path, format!("{}\n", issued.secret).as_bytes())?;
                return output::page(&issued.key, reach.json);
            }
            if reach.json {
                return output::json(&issued);
            }
            output::page(&issued.key, false)?;
            output::print(&format!("{:<14} {}   (shown this once)", "secret", issued.secret))
        }
    }
}

async fn answer(reach: &Reach, acting_as: Option<&str>, id: &str, word: &str, answer: Answer) -> Result<()> {
    let client = Client::new(reach)?.acting_as(acting_as)?;
    let view: AnswerView = client.post(&format!("/api/v1/requests/{id}/{word}"), &answer).await?;
    if reach.json {
        return output::json(&view);
    }
    if view.still_needs.is_empty() {
        // What waited for the answer may have gone on before it is shown here.
        let state = if view.request.state == "used" { "approved, and used" } else { &view.request.state };
        output::print(&format!("request {id} is {state}"))
    } else {
        let more = view.still_needs.iter().map(|(group, members)| format!("{members} more of {group}"));
        output::print(&format!("recorded; {} must still approve", more.collect::<Vec<_>>().join(" and ")))
    }
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    // A file that is there keeps its mode, so it is made anew.
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(file.write_all(content)?)
}

async fn evidence(action: EvidenceAction) -> Result<ExitCode> {
    match action {
        EvidenceAction::Export { task, session, since, until, output, force, reach } => {
            if output.exists() && !force {
                bail!(
                    "{} is there already: name another file with --output, or write over it with --force",
                    output.display()
                );
            }
            let until = until.unwrap_or_else(Timestamp::now).to_string();
            let selection = match (task, session, since) {
                (Some(task), _, _) => Selection::Task(task),
                (None, Some(session), _) => Selection::Session(session),
                (None, None, Some(since)) => Selection::Time { since: since.to_string(), until },
                (None, None, None) => Selection::All,
            };
            let bundle = Client::new(&reach)?.post_bytes("/api/v1/evidence", &Evidence { selection }).await?;
            write_private(&output, &bundle)?;
            if reach.json {
                output::json(&serde_json::json!({ "file": output.display().to_string(), "bytes": bundle.len() }))?;
            } else {
                output::print(&format!(
                    "{} ({} bytes); verify it with `gatehouse evidence verify`",
                    output.display(),
                    bundle.len()
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        EvidenceAction::Verify { file, key, json } => verify(&file, &key, json),
    }
}

fn verify(file: &Path, key: &str, as_json: bool) -> Result<ExitCode> {
    let text = if key.contains('+') && !Path::new(key).exists() {
        key.to_string()
    } else {
        std::fs::read_to_string(key)
            .with_context(|| format!("{key} is neither a public key nor a file that holds one"))?
    };
    let key: VerifierKey = text.trim().parse().context("this is not a public key of a journal")?;
    let bundle = std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let report = gatehouse_journal::verify(BufReader::new(bundle), &key);
    let findings: Vec<String> = report.findings.iter().map(|finding| finding.message.clone()).collect();
    if as_json {
        output::json(&serde_json::json!({
            "sound": report.is_sound(),
            "origin": report.origin,
            "created": report.created,
            "checkpoint": report.checkpoint.map(|(size, root)| serde_json::json!({ "size": size, "root": root.to_string() })),
            "records": report.records,
            "operations": report.operations,
            "sessions": report.sessions,
            "recordings": report.recordings,
            "policies": report.policies,
            "findings": findings,
            "findings_omitted": report.omitted,
        }))?;
    } else {
        for finding in &findings {
            output::print(&format!("finding: {}", output::plain(finding)))?;
        }
        if report.omitted > 0 {
            output::print(&format!("and {} more", report.omitted))?;
        }
        if report.is_sound() {
            output::print(&format!(
                "sound: {}, {}, {}, {}, {}, as {} signed them",
                output::counted(report.records, "record"),
                output::counted(report.operations, "operation"),
                output::counted(report.sessions, "session"),
                output::counted(report.recordings, "recording"),
                output::counted(report.policies, "policy file"),
                report.origin.as_deref().unwrap_or("?")
            ))?;
        }
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
