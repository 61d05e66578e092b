//! Brings back what a restart must not lose: tasks with their credentials, requests with their approvals, lockdowns; and
//! ends on the record what the restart ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use anyhow::{Context as _, Result, bail};
use gatehouse_engine::House as _;
use gatehouse_gate::{
    Asked, AskedTask, Description, Granted, HeldOperation, HoldMode, Lockdown, PendingRequest, RequestState, Saying,
    Scope,
};
use gatehouse_identity::{ApiKey, Visit};
use gatehouse_journal::{Fact, RecordingSealed, SessionClosed, recording};
use gatehouse_model::{
    AgentName, Digest, GroupName, Hold, Identity, InvalidName, KeyId, Origin, PolicyId, RequestId, SessionId,
    TargetName, Task, TaskEnd, TaskId, UserName,
};
use gatehouse_store::{
    AskedRow, DescriptionRow, KeptKey, KeptVisit, LockdownRow, Numbered, RequestRow, TaskRow, Wanted,
};

use crate::serve::Running;
use crate::state::State;

/// How far back a restart looks for what is still alive.
const ROWS_MAX: u32 = 100_000;

/// Sessions that the last gateway never closed: their recordings are sealed as they were found.
pub(crate) async fn sessions(state: &State) -> Result<()> {
    let wanted = Wanted { limit: ROWS_MAX, state: Some("live"), ..Wanted::default() };
    for Numbered { row: session, .. } in state.store.sessions(wanted).await? {
        let file = format!("{}.rec", session.id);
        let sealed = File::open(state.data.recordings().join(&file)).and_then(recording::digest_stream);
        let (bytes, sha256) = match sealed {
            Ok(sealed) => sealed,
            // The gateway died before the recording began, and so before any operation.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && session.operations == 0 => {
                state.gate.ledger().record(state.now(), never_began(&session.id))?;
                continue;
            }
            // It was there, for there were operations. The seal of nothing says that it is gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (0, gatehouse_journal::tree::sha256(b"")),
            Err(error) => return Err(error).context(format!("the recording {file} cannot be read")),
        };
        state.gate.ledger().record(
            state.now(),
            RecordingSealed {
                session: session.id,
                file,
                bytes,
                sha256: sha256.to_string(),
                cause: "the gateway ended before the session did".into(),
            },
        )?;
    }
    Ok(())
}

fn never_began(session: &str) -> SessionClosed {
    SessionClosed {
        session: session.into(),
        cause: "the gateway ended before the session began".into(),
        operations: 0,
        rows: 0,
        bytes: 0,
        masked: BTreeMap::new(),
        revealed: Vec::new(),
        answers: 0,
        waited_micros: 0,
        recording: None,
    }
}

/// What was shut stays shut. A lockdown that cannot be read must not be one that is not there.
pub(crate) async fn lockdowns(state: &State) -> Result<()> {
    let lockdown = |row: LockdownRow| {
        let scope =
            Scope::parse(&row.scope).with_context(|| format!("the index holds the lockdown `{}`", row.scope))?;
        Ok(Lockdown { scope, by: row.by, reason: row.reason, since: row.since })
    };
    let found: Result<Vec<Lockdown>> = state.store.lockdowns().await?.into_iter().map(lockdown).collect();
    state.gate.lockdowns().restore(found?);
    Ok(())
}

/// What was accepted stays so, and what changed is not forgotten.
pub(crate) async fn descriptions(state: &State) -> Result<()> {
    let saying = |digest: &str, text: String| {
        let digest = Digest::parse(digest).with_context(|| format!("the index holds the digest `{digest}`"))?;
        anyhow::Ok(Saying { digest, text: text.into() })
    };
    let description = |row: DescriptionRow| {
        let latest = row.latest.map(|(digest, text)| saying(&digest, text)).transpose()?;
        Ok(((row.kind_of, row.id), Description { accepted: saying(&row.digest, row.text)?, latest }))
    };
    let found: Result<Vec<_>> = state.store.descriptions().await?.into_iter().map(description).collect();
    state.gate.descriptions().restore(found?);
    Ok(())
}

/// Who was signed in stays so.
pub(crate) async fn people(state: &State) -> Result<()> {
    let visit = |kept: KeptVisit| {
        let KeptVisit { user, subject, provider, groups, until } = kept;
        (user, Visit { subject, provider, groups, until })
    };
    state.visitors.restore(state.store.visits().await?.into_iter().map(visit).collect());
    // Of people of another provider, nothing comes back.
    state.forget_people().await;
    Ok(())
}

pub(crate) async fn tasks(state: &State) -> Result<()> {
    let kept = state.store.credentials().await?.into_iter();
    let mut credentials: BTreeMap<_, _> = kept.map(|kept| (kept.task.clone(), kept)).collect();
    for row in state.store.live_tasks().await? {
        let task = task_of(&row).with_context(|| format!("the index holds a task that is not valid: {}", row.id))?;
        let Some(kept) = credentials.remove(&row.id) else {
            // It was recorded, but the gateway ended before its credential was kept; nobody can ever use it.
            end_unusable(state, &task)?;
            continue;
        };
        // Whoever gives signs of life could give none to a gateway that did not run.
        let (id, spent) = (task.clone(), kept.spent);
        if !state.tasks.go_on(state.now(), task, kept.verifier, kept.heartbeat_secs, spent) {
            // What it came from ended in the moment in which the gateway did.
            end_unusable(state, &id)?;
            state.store.forget_credential(&row.id).await?;
        }
    }
    for (task, _) in credentials {
        state.store.forget_credential(&task).await?;
    }
    // What a task came from may have ended in the moment in which the gateway did.
    let all: BTreeSet<TaskId> = state.tasks.all().into_iter().map(|task| task.id).collect();
    let is_cut_off = |origin: &Origin| {
        origin.parent.as_ref().is_some_and(|parent| !all.contains(parent))
            || origin.key.as_ref().is_some_and(|key| !state.keys.is_good(key, state.now()))
    };
    for task in state.tasks.that_came_from(is_cut_off) {
        state.end_task(&task, TaskEnd::Revoked, &"gateway".into()).await;
    }
    Ok(())
}

/// Static keys that were good are so still.
pub(crate) async fn keys(state: &State) -> Result<()> {
    for KeptKey { key: row, sha256 } in state.store.key_digests().await? {
        let targets: Result<BTreeSet<TargetName>, _> = row.targets.iter().map(|name| TargetName::new(name)).collect();
        let key = ApiKey {
            id: KeyId::parse(&row.id)?,
            agent: AgentName::new(row.identity.trim_start_matches("agent:"))?,
            targets: targets?,
            expires: row.expires,
        };
        state.keys.adopt(sha256, key);
    }
    Ok(())
}

fn end_unusable(state: &State, task: &Task) -> Result<()> {
    let cause = TaskEnd::Revoked.as_str().to_string();
    let entry = gatehouse_journal::TaskEnded { task: task.id.to_string(), cause, by: "gateway".into(), reason: None };
    state.gate.ledger().record(state.now(), entry)?;
    Ok(())
}

fn task_of(row: &TaskRow) -> Result<Task> {
    let on_behalf_of = row.on_behalf_of.as_deref().map(|user| UserName::new(user.trim_start_matches("user:")));
    let targets: Result<BTreeSet<TargetName>, _> = row.targets.iter().map(|name| TargetName::new(name)).collect();
    Ok(Task {
        id: TaskId::parse(&row.id)?,
        identity: Identity::parse(&row.identity)?,
        on_behalf_of: on_behalf_of.transpose()?,
        targets: targets?,
        reason: row.reason.clone(),
        budget: row.budget.clone(),
        origin: row.origin.clone(),
        started: row.started,
        expires: row.expires,
        ended: None,
    })
}

pub(crate) async fn requests(state: &State) -> Result<()> {
    let rows = state.store.requests(Wanted { limit: ROWS_MAX, ..Wanted::default() }).await?;
    let mut alive = Vec::new();
    let now = state.now();
    // A denied task stays denied for as long as its request could have waited.
    let counts = |row: &RequestRow| match row.state.as_str() {
        "open" | "approved" => true,
        "denied" => matches!(row.asked, AskedRow::Task { .. }) && now < row.expires,
        _ => false,
    };
    for row in rows.into_iter().map(|numbered| numbered.row).filter(counts) {
        let is_waited_for = matches!(&row.asked, AskedRow::Operation { mode, .. } if mode == HoldMode::Wait.as_str());
        // Whoever waited is gone; and whose task or people are gone could not use an approval.
        match if is_waited_for { None } else { request_of(state, &row).await.ok() } {
            Some(request) => alive.push(request),
            None if row.state == "denied" => {}
            None => drop(state.gate.ledger().record(state.now(), Running::withdrawn(&row.id))?),
        }
    }
    state.gate.desk().restore(alive);
    // Groups and policies may be others than when the gateway ended.
    state.recheck_approvals();
    Ok(())
}

async fn request_of(state: &State, row: &RequestRow) -> Result<PendingRequest> {
    let identity = Identity::parse(&row.identity)?;
    let user = row.on_behalf_of.as_deref().map(|user| UserName::new(user.trim_start_matches("user:"))).transpose()?;
    let groups = row.needs.iter().map(|(name, members)| Ok::<_, InvalidName>((GroupName::new(name)?, *members)));
    let groups: Result<BTreeMap<_, _>, _> = groups.collect();
    let policies: Result<BTreeSet<PolicyId>, _> = row.policies.iter().map(|id| PolicyId::new(id)).collect();
    let users = |by: &BTreeSet<String>| {
        by.iter().map(|by| UserName::new(by.trim_start_matches("user:"))).collect::<Result<BTreeSet<_>, _>>()
    };
    let approvals = row.approvals.iter().map(|(group, by)| Ok::<_, InvalidName>((GroupName::new(group)?, users(by)?)));
    let approvals: Result<BTreeMap<_, BTreeSet<_>>, _> = approvals.collect();
    Ok(PendingRequest {
        id: RequestId::parse(&row.id)?,
        asked: asked_of(state, row).await?,
        subject: state.subject(&identity, user.as_ref())?,
        title: row.title.clone(),
        statement: row.statement.clone(),
        accesses: row.accesses.clone(),
        hold: Hold { groups: groups?, reasons: row.reasons.iter().cloned().collect() },
        policies: policies?,
        digest: Digest::parse(&row.digest).context("the digest is not valid")?,
        opened: row.opened,
        expires: row.expires,
        state: match (row.state.as_str(), row.approved_until) {
            ("approved", Some(until)) => RequestState::Approved(until),
            ("denied", _) => RequestState::Denied,
            ("open", _) => RequestState::Open,
            (other, _) => bail!("request {} is in the state `{other}`, which is none to go on from", row.id),
        },
        approvals: approvals?,
        answer_reason: row.answer_reason.clone(),
        answered_by: row.answered_by.as_deref().and_then(|by| UserName::new(by.strip_prefix("user:")?).ok()),
    })
}

fn fact_of(value: &serde_json::Value) -> Option<Fact> {
    serde_json::from_value(value.clone()).ok()
}

async fn asked_of(state: &State, row: &RequestRow) -> Result<Asked> {
    Ok(match &row.asked {
        AskedRow::Operation { session, task, target, binds, .. } => Asked::Operation(HeldOperation {
            session: SessionId::parse(session)?,
            task: TaskId::parse(task)?,
            task_reason: state.store.task(task).await?.map(|task| task.reason).unwrap_or_default(),
            target: TargetName::new(target)?,
            binds: binds.clone(),
            facts: row.facts.iter().filter_map(|(name, fact)| Some((name.clone(), fact_of(fact)?))).collect(),
            mode: HoldMode::Refuse,
            is_exact: false,
            body_bytes: None,
            impact: Vec::new(),
        }),
        AskedRow::Task { targets, ttl_secs, by, budget, granted } => {
            let names = |names: &[String]| -> Result<BTreeSet<TargetName>, InvalidName> {
                names.iter().map(|name| TargetName::new(name)).collect()
            };
            let granted = granted.as_ref().map(|(targets, ttl_secs)| {
                Ok::<_, InvalidName>(Granted { targets: names(targets)?, ttl_secs: *ttl_secs })
            });
            Asked::Task(AskedTask {
                targets: names(targets)?,
                reason: row.statement.clone(),
                ttl_secs: *ttl_secs,
                budget: budget.clone(),
                by: by.clone(),
                granted: granted.transpose()?,
            })
        }
    })
}
