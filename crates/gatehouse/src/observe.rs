//! What the control API is asked by those who observe: operations on record, replays, activity, revisions of policies,
//! checkpoints, and what changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::PoisonError;

use anyhow::Context as _;
use gatehouse_api::{
    ActivityView, BacktestView, Caller, ChangeView, CheckpointView, CheckpointsView, NewBacktest, OperationView, Page,
    Problem, ReplayView, RevisionFiles, RevisionView, Sought,
};
use gatehouse_engine::House as _;
use gatehouse_identity::Known;
use gatehouse_journal::{Attachments as _, OperationDecided};
use gatehouse_model::{Identity, UserName};
use gatehouse_policy::{Policies, PolicySource};
use jiff::SignedDuration;

use crate::backtest::{self, Span};
use crate::control::{ApiControl, unavailable};
use crate::load::all_wrong;
use crate::{load, registry, replay, search};

/// How many read the journal from end to end at a time; others wait.
pub(crate) const READERS_MAX: usize = 2;
/// How many revisions of policies are told of.
const REVISIONS_MAX: u32 = 200;
/// How long one file of a revision may be to be shown, in bytes.
const POLICY_BYTES_MAX: u64 = 1024 * 1024;
/// How many checkpoints are told of.
const CHECKPOINTS_MAX: usize = 100;
/// How much of the journal a backtest looks at, in bytes.
const BACKTEST_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The longest time that it looks back, in seconds.
const BACKTEST_SECS_MAX: u32 = 366 * 24 * 3600;

impl ApiControl {
    /// Does what takes a while, and reads much of the journal, beside those who wait for less.
    async fn read_journal<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.state.readers.clone().acquire_owned().await.map_err(unavailable)?;
        let this = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&this)
        });
        worked.await.map_err(unavailable)?
    }

    fn journal_size(&self) -> u64 {
        self.state.gate.ledger().with(|journal| journal.size())
    }

    pub(crate) async fn found(&self, caller: &Caller, sought: Sought) -> Result<Page<OperationView>, Problem> {
        let caller = caller.clone();
        self.read_journal(move |this| {
            let sees = |operation: &OperationDecided| {
                let target = std::slice::from_ref(&operation.target);
                this.sees(&caller, &operation.identity, operation.on_behalf_of.as_deref(), target)
            };
            let files = this.state.segments.files();
            search::search(&files, this.journal_size(), &sought, &sees).map_err(unavailable)
        })
        .await
    }

    pub(crate) async fn replayed(
        &self,
        caller: &Caller,
        id: &str,
        after: u64,
        limit: u32,
    ) -> Result<ReplayView, Problem> {
        let recorded = self.recording(caller, id).await?;
        let read = move || replay::moments(&recorded.path, &recorded.protocol, after, limit);
        tokio::task::spawn_blocking(read).await.map_err(unavailable)?.map_err(unavailable)
    }

    pub(crate) async fn lately(&self, caller: &Caller, hours: u32) -> Result<ActivityView, Problem> {
        let caller = caller.clone();
        self.read_journal(move |this| {
            let state = &this.state;
            let mut activity = state.activity.lock().unwrap_or_else(PoisonError::into_inner);
            activity.catch_up(&state.segments.files(), this.journal_size(), state.now()).map_err(unavailable)?;
            Ok(activity.view(state.now(), hours, &|target| this.oversees_one(&caller, &[target.to_string()])))
        })
        .await
    }

    /// Whether somebody may know of a change.
    pub(crate) async fn sees_change(&self, caller: &Caller, change: &ChangeView) -> bool {
        let Some(id) = change.id.as_deref() else { return true };
        match change.kind.as_str() {
            "request" => self.one_request(id).await.is_ok_and(|request| self.sees_request(caller, &request)),
            "task" => self.one_task(id).await.is_ok_and(|task| self.sees_task(caller, &task)),
            "session" => self.one_session(id).await.is_ok_and(|session| self.sees_session(caller, &session)),
            _ => false,
        }
    }

    /// Policies are for those who oversee a target.
    pub(crate) fn must_oversee_one(&self, caller: &Caller) -> Result<(), Problem> {
        let targets: Vec<String> = self.state.loaded.load().targets.keys().cloned().collect();
        if self.oversees_one(caller, &targets) {
            return Ok(());
        }
        Err(Problem::forbidden(
            "the policies are for those who oversee a target",
            "Ask somebody whom policy permits `approve` on a target, or an administrator of the gateway",
        ))
    }

    pub(crate) async fn all_revisions(&self, caller: &Caller) -> Result<Vec<RevisionView>, Problem> {
        self.must_oversee_one(caller)?;
        self.fresh_index().await?;
        let rows = self.state.store.revisions(REVISIONS_MAX).await.map_err(unavailable)?;
        let current = self.state.gate.policies().revision().to_string();
        // A gateway that starts says again what is in force.
        let mut views: Vec<RevisionView> = Vec::new();
        for row in rows.into_iter().rev() {
            if views.last().is_none_or(|last| last.revision != row.revision) {
                let since = row.since.to_string();
                views.push(RevisionView { revision: row.revision, since, is_current: false, files: row.files });
            }
        }
        views.reverse();
        if let Some(first) = views.first_mut() {
            first.is_current = first.revision == current;
        }
        Ok(views)
    }

    pub(crate) async fn files_of(&self, caller: &Caller, revision: &str) -> Result<RevisionFiles, Problem> {
        let revisions = self.all_revisions(caller).await?;
        let found = revisions.into_iter().find(|view| view.revision == revision);
        let found = found.ok_or_else(|| Problem::not_found("revision", revision, "policies"))?;
        let attachments = self.state.attachments.clone();
        let read = move || -> anyhow::Result<BTreeMap<String, String>> {
            let text = |(name, digest): (String, String)| {
                let file = attachments.policy(&digest)?.context("a file of the revision is not there any more")?;
                let mut text = String::new();
                file.take(POLICY_BYTES_MAX).read_to_string(&mut text)?;
                Ok((name, text))
            };
            found.files.into_iter().map(text).collect()
        };
        let files = tokio::task::spawn_blocking(read).await.map_err(unavailable)?.map_err(unavailable)?;
        Ok(RevisionFiles { revision: revision.into(), files })
    }

    pub(crate) async fn compared(&self, caller: &Caller, new: NewBacktest) -> Result<BacktestView, Problem> {
        self.must_oversee_one(caller)?;
        if !(1..=BACKTEST_SECS_MAX).contains(&new.since_secs) {
            return Err(Problem::bad_request(format!("`since_secs` is 1 to {BACKTEST_SECS_MAX}")));
        }
        let sources: Vec<PolicySource> =
            new.files.into_iter().map(|(name, text)| PolicySource { name, text }).collect();
        let candidate = Policies::load(&sources, &registry::schemas()).map_err(|found| {
            let faults: Vec<load::Fault> = found.into_iter().map(load::Fault::of_policy).collect();
            Problem::not_understood(
                all_wrong(&faults).to_string(),
                "Correct the policies; docs/policies.md says what they can name",
            )
        })?;
        let (caller, since) = (caller.clone(), SignedDuration::from_secs(i64::from(new.since_secs)));
        self.read_journal(move |this| {
            let state = &this.state;
            let loaded = state.loaded.load_full();
            let subject = |identity: &Identity, user: Option<&UserName>| {
                let people = Known { people: &loaded.people, visitors: &state.visitors, now: state.now() };
                people.subject(identity, user).ok()
            };
            let seen: BTreeSet<&String> =
                loaded.targets.keys().filter(|target| this.oversees_one(&caller, &[(*target).clone()])).collect();
            let from = state.now().checked_sub(since).map_err(unavailable)?;
            let files = state.segments.files();
            let span = Span { files: &files, from, read_bytes_max: BACKTEST_BYTES_MAX };
            let sees = |target: &str| seen.iter().any(|seen| seen.as_str() == target);
            backtest::compare(&span, candidate, &subject, &sees, &mut |_| Ok(())).map_err(|error| {
                tracing::error!(error = format!("{error:#}"), "a backtest failed");
                Problem::unavailable("the journal cannot be read")
            })
        })
        .await
    }

    pub(crate) async fn signed_states(&self) -> Result<CheckpointsView, Problem> {
        let state = self.state.clone();
        let size = self.journal_size();
        let notes = tokio::task::spawn_blocking(move || state.segments.files().checkpoints(CHECKPOINTS_MAX));
        let notes = notes.await.map_err(unavailable)?.map_err(unavailable)?;
        let view = |note: String| {
            let mut lines = note.lines().skip(1);
            let size = lines.next()?.parse().ok()?;
            Some(CheckpointView { size, root: lines.next()?.to_string(), note })
        };
        Ok(CheckpointsView {
            public_key: self.state.key.verifier().to_string(),
            records: size,
            checkpoints: notes.into_iter().filter_map(view).collect(),
        })
    }
}
