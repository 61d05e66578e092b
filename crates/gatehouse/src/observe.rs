//! What the control API is asked by those who observe: operations on record, replays, activity, revisions of policies,
//! checkpoints, and what changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gatehouse_api::{
    ActivityView, BacktestView, Caller, ChangeView, CheckpointView, CheckpointsView, Control as _, NewBacktest,
    OperationView, Page, Problem, ReplayView, RevisionFiles, RevisionView, Sought,
};
use gatehouse_engine::House as _;
use gatehouse_identity::Known;
use gatehouse_journal::{Attachments as _, OperationDecided};
use gatehouse_model::{Identity, UserName};
use gatehouse_policy::PolicySource;
use gatehouse_store::RevisionRow;
use jiff::SignedDuration;
use tokio::sync::Semaphore;

use crate::backtest::{self, Span};
use crate::control::{ApiControl, unavailable};
use crate::load::all_wrong;
use crate::{load, replay, search};

/// How many search the journal or replay a recording at a time, and how many compare policies; others wait.
pub(crate) const READERS_MAX: usize = 3;
pub(crate) const COMPARERS_MAX: usize = 1;
/// How long somebody waits for a place, in seconds.
const WAIT_SECS_MAX: u64 = 30;
/// How long policies are compared, in seconds: what was not looked at by then is not looked at.
const COMPARE_SECS_MAX: u64 = 60;
/// The files of policies that are compared, and their texts together, in bytes.
const CANDIDATE_FILES_MAX: usize = 200;
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

/// Says that nobody waits any more, once it is dropped.
#[derive(Default)]
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl ApiControl {
    /// Does what takes a while, and reads much of what was written, beside those who wait for less. It is told once nobody waits for
    /// it any more.
    pub(crate) async fn read_long<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Self, &AtomicBool) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let waited = tokio::time::timeout(Duration::from_secs(WAIT_SECS_MAX), places.clone().acquire_owned()).await;
        let busy = || Problem::too_many("others read the journal already").retry_after(WAIT_SECS_MAX);
        let place = waited.map_err(|_| busy())?.map_err(unavailable)?;
        let (this, leaving) = (self.clone(), Leaving::default());
        let has_left = leaving.0.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&this, &has_left)
        });
        let worked = worked.await.map_err(unavailable)?;
        drop(leaving);
        worked
    }

    pub(crate) fn journal_size(&self) -> u64 {
        self.state.gate.ledger().with(|journal| journal.size())
    }

    pub(crate) async fn found(&self, caller: &Caller, sought: Sought) -> Result<Page<OperationView>, Problem> {
        let caller = caller.clone();
        self.read_long(&self.state.readers, move |this, has_left| {
            let sees = |operation: &OperationDecided| {
                let target = std::slice::from_ref(&operation.target);
                this.sees(&caller, &operation.identity, operation.on_behalf_of.as_deref(), target)
            };
            let files = this.state.segments.files();
            let found = search::search(&files, this.journal_size(), &sought, &sees, has_left);
            let mut found = found.map_err(unavailable)?;
            for OperationView { target, binds, bind_names, .. } in &mut found.entries {
                *bind_names = this.names_of_binds(target, binds, false);
            }
            Ok(found)
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
        self.read_long(&self.state.readers, move |_, has_left| {
            replay::moments(&recorded.path, &recorded.protocol, after, limit, has_left).map_err(unavailable)
        })
        .await
    }

    pub(crate) async fn lately(&self, caller: &Caller, hours: u32) -> Result<ActivityView, Problem> {
        let loaded = self.state.loaded.load_full();
        // Of targets that are no more, and of those that are counted together, administrators alone hear.
        let administers = self.must_administer(caller).is_ok();
        let overseen: BTreeSet<String> =
            loaded.targets.keys().filter(|target| self.oversees_one(caller, &[(*target).clone()])).cloned().collect();
        // One counts, and others wait for what it counted.
        let activity = self.state.activity.clone().lock_owned().await;
        self.read_long(&self.state.readers, move |this, _| {
            let (state, mut activity) = (&this.state, activity);
            activity.catch_up(&state.segments.files(), this.journal_size(), state.now()).map_err(unavailable)?;
            Ok(activity.view(state.now(), hours, &|target| administers || overseen.contains(target)))
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
        let view = |row: RevisionRow| {
            let since = row.since.to_string();
            RevisionView { revision: row.revision, since, is_current: false, files: row.files }
        };
        let mut views: Vec<RevisionView> = rows.into_iter().map(view).collect();
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
                file.take(POLICY_BYTES_MAX + 1).read_to_string(&mut text)?;
                anyhow::ensure!(
                    text.len() as u64 <= POLICY_BYTES_MAX,
                    "{name} is longer than {POLICY_BYTES_MAX} bytes"
                );
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
        if new.files.len() > CANDIDATE_FILES_MAX {
            return Err(Problem::bad_request(format!("a backtest has at most {CANDIDATE_FILES_MAX} files")));
        }
        let sources: Vec<PolicySource> =
            new.files.into_iter().map(|(name, text)| PolicySource { name, text }).collect();
        let (caller, since) = (caller.clone(), SignedDuration::from_secs(i64::from(new.since_secs)));
        self.read_long(&self.state.comparers, move |this, has_left| {
            let candidate = load::read_policies(&sources).map_err(|found| {
                let faults: Vec<load::Fault> = found.into_iter().map(load::Fault::of_policy).collect();
                Problem::not_understood(
                    all_wrong(&faults).to_string(),
                    "Correct the policies; docs/policies.md says what they can name",
                )
            })?;
            let state = &this.state;
            let loaded = state.loaded.load_full();
            let subject = |identity: &Identity, user: Option<&UserName>| {
                let people = Known { people: &loaded.people, visitors: &state.visitors, now: state.now() };
                people.subject(identity, user).ok()
            };
            let seen: BTreeSet<&str> = loaded
                .targets
                .keys()
                .filter(|target| this.oversees_one(&caller, &[(*target).clone()]))
                .map(String::as_str)
                .collect();
            let from = state.now().checked_sub(since).map_err(unavailable)?;
            let files = state.segments.files();
            let span = Span { files: &files, from, read_bytes_max: BACKTEST_BYTES_MAX };
            let until = Instant::now() + Duration::from_secs(COMPARE_SECS_MAX);
            let mut goes_on = |_: &BacktestView| Ok(Instant::now() < until && !has_left.load(Ordering::Relaxed));
            let sees = |target: &str| seen.contains(target);
            backtest::compare(&span, candidate, &subject, &sees, &mut goes_on).map_err(|error| {
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
