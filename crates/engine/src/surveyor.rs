//! Keeps the facts about each target fresh: one survey serves every session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use gatehouse_gate::{Account, Grant, Route, Target};
use gatehouse_model::{TargetName, TaskId};
use gatehouse_protocol::{StreamProtocol, Survey, SurveyFacts};
use tokio::time::Instant;

use crate::TargetAccount;
use crate::dial::{self, DialError, Reached};
use crate::disk::Disk;

/// How long a survey may take.
const SURVEY_SECS_MAX: u64 = 15;
/// How long a session waits for its turn while another one surveys the same: longer than a survey takes of a target that answers.
const TURN_SECS_MAX: u64 = 2;
/// How long a connection is kept for the next survey, in seconds.
const SPARE_SECS_MAX: u64 = 30;
/// How many columns that are not what the configuration takes them for are told of at a time.
const MISNAMED_MAX: usize = 20;
/// What a read of its answer asks for, in bytes.
const SURVEY_READ_BYTES: usize = 64 * 1024;

struct Surveyed {
    facts: SurveyFacts,
    /// Of which server and database they tell.
    route: Route,
    at: Instant,
    /// For how long they are young enough.
    fresh: Duration,
}

/// Whose view of a target facts are: the account's, and so, where it is a task's own, the task's.
type View = (TargetName, Option<TaskId>);

fn view(grant: &Grant) -> View {
    let own = match grant.target().route.account {
        Account::Named(_) | Account::Shown(_) | Account::None => None,
        Account::Leased => Some(grant.lease().task.id.clone()),
    };
    (grant.target().name.clone(), own)
}

/// The newest facts of each target.
#[derive(Default)]
pub(crate) struct Surveyor {
    newest: Mutex<HashMap<View, Surveyed>>,
    /// When something was defined at a target through the gateway last: what was asked before that is not fresh.
    outdated: Mutex<HashMap<TargetName, Instant>>,
    spares: Arc<Mutex<HashMap<View, Spare>>>,
    /// Who surveys, for each view.
    turns: Mutex<HashMap<View, Arc<tokio::sync::Mutex<()>>>>,
    /// What the operator was told last of columns that are not what the configuration takes them for.
    misnamed: Mutex<HashMap<TargetName, Vec<String>>>,
}

impl Surveyor {
    /// The newest facts, if they are young enough.
    pub(crate) fn fresh(&self, grant: &Grant) -> Option<SurveyFacts> {
        let outdated = self.outdated.lock().unwrap_or_else(PoisonError::into_inner).get(&grant.target().name).copied();
        self.newer(grant, outdated)
    }

    /// The newest facts, if they are young enough and were asked for after a moment.
    fn newer(&self, grant: &Grant, than: Option<Instant>) -> Option<SurveyFacts> {
        let target = grant.target();
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = newest.get(&view(grant))?;
        let is_newer = than.is_none_or(|than| newest.at > than);
        (is_newer && newest.at.elapsed() < newest.fresh && newest.route == target.route).then(|| newest.facts.clone())
    }

    /// The newest facts of a target, by whichever account, if they are young enough.
    pub(crate) fn fresh_for_anyone(&self, target: &Target) -> Option<SurveyFacts> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let outdated = self.outdated.lock().unwrap_or_else(PoisonError::into_inner).get(&target.name).copied();
        let is_good = |surveyed: &&Surveyed| {
            let is_of_now = outdated.is_none_or(|outdated| surveyed.at > outdated);
            is_of_now && surveyed.at.elapsed() < surveyed.fresh && surveyed.route == target.route
        };
        let of_it = newest.iter().filter(|((name, _), _)| *name == target.name).map(|(_, surveyed)| surveyed);
        of_it.filter(is_good).max_by_key(|surveyed| surveyed.at).map(|surveyed| surveyed.facts.clone())
    }

    /// The newest facts of a target, by whichever account, however old.
    pub(crate) fn newest(&self, target: &Target) -> Option<SurveyFacts> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = newest.iter().filter(|((name, _), other)| *name == target.name && other.route == target.route);
        of_it.max_by_key(|(_, surveyed)| surveyed.at).map(|(_, surveyed)| surveyed.facts.clone())
    }

    /// Tells the operator what [`misnamed`] found at a target: once, until it is something else.
    pub(crate) fn tell_misnamed(&self, target: &Target, misnamed: Vec<String>) {
        let mut told = self.misnamed.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&target.name).map_or(&[][..], Vec::as_slice) == misnamed.as_slice() {
            return;
        }
        if !misnamed.is_empty() {
            let columns = misnamed.join("; ");
            tracing::warn!(target = %target.name, columns, "the configuration names columns that are not what it takes them for");
        }
        told.insert(target.name.clone(), misnamed);
    }

    /// Something was defined at a target.
    pub(crate) fn outdated(&self, grant: &Grant) {
        let mut outdated = self.outdated.lock().unwrap_or_else(PoisonError::into_inner);
        outdated.insert(grant.target().name.clone(), Instant::now());
    }

    /// Asks the target, over a connection of its own, unless a survey that another session began meanwhile tells the same: one
    /// after the other asks, and whoever waited for that takes what the first of those who waited was told.
    pub(crate) async fn survey(
        &self,
        grant: &Grant,
        protocol: &dyn StreamProtocol,
        account: TargetAccount,
        entropy: [u8; 32],
        dialing: (&Disk, u32),
    ) -> Result<SurveyFacts, DialError> {
        let since = Instant::now();
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner).entry(view(grant)).or_default().clone();
        // Who waits for a target that does not answer another one may be answered.
        let guard = tokio::time::timeout(Duration::from_secs(TURN_SECS_MAX), turn.lock()).await;
        let facts = match self.newer(grant, Some(since)) {
            Some(facts) => Ok(facts),
            None => self.survey_now(grant, protocol, account, entropy, dialing).await,
        };
        drop(guard);
        drop(turn);
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        facts
    }

    async fn survey_now(
        &self,
        grant: &Grant,
        protocol: &dyn StreamProtocol,
        account: TargetAccount,
        entropy: [u8; 32],
        dialing: (&Disk, u32),
    ) -> Result<SurveyFacts, DialError> {
        // What changes while the survey runs is not in it, so its age counts from before.
        let at = Instant::now();
        let answer = self.ask(grant, protocol, account, entropy, dialing);
        let facts =
            tokio::time::timeout(Duration::from_secs(SURVEY_SECS_MAX), answer).await.map_err(|_| DialError::Slow)??;
        let fresh = Duration::from_secs(u64::from(grant.target().survey_secs_max));
        let surveyed = Surveyed { facts: facts.clone(), route: grant.target().route.clone(), at, fresh };
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let view = view(grant);
        // Those of tasks that are over are of no more use.
        newest.retain(|(_, task), other| task.is_none() || other.at.elapsed() < other.fresh);
        if newest.get(&view).is_none_or(|other| other.at < at || other.route != surveyed.route) {
            newest.insert(view, surveyed);
        }
        Ok(facts)
    }

    async fn ask(
        &self,
        grant: &Grant,
        protocol: &dyn StreamProtocol,
        account: TargetAccount,
        entropy: [u8; 32],
        (disk, connect_secs_max): (&Disk, u32),
    ) -> Result<SurveyFacts, DialError> {
        if let Some((mut reached, mut survey)) = self.take_spare(grant)
            // Whatever became of it since, another connection is as good.
            && let Ok(facts) = inquire(&mut reached, &mut *survey, grant, disk).await
        {
            self.keep_spare(grant, reached, survey);
            return Ok(facts);
        }
        let mut survey = protocol.survey();
        let mut reached =
            dial::dial(grant, protocol, account, survey.parameters(), entropy, (disk, connect_secs_max)).await?;
        let facts = inquire(&mut reached, &mut *survey, grant, disk).await?;
        self.keep_spare(grant, reached, survey);
        Ok(facts)
    }

    /// Gives back the connections of a task that has ended, where the task had an account of its own.
    pub(crate) fn end_task(&self, task: &TaskId) {
        let is_its = |(_, own): &View| own.as_ref() == Some(task);
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).retain(|view, _| !is_its(view));
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).retain(|view, _| !is_its(view));
    }

    fn take_spare(&self, grant: &Grant) -> Option<(Reached, Box<dyn Survey>)> {
        let spare = self.spares.lock().unwrap_or_else(PoisonError::into_inner).remove(&view(grant))?;
        (spare.route == grant.target().route).then_some((spare.reached, spare.survey))
    }

    /// Keeps a connection for a while, and gives it back to the target when nobody needed it.
    fn keep_spare(&self, grant: &Grant, reached: Reached, survey: Box<dyn Survey>) {
        let (view, since) = (view(grant), Instant::now());
        let spare = Spare { route: grant.target().route.clone(), reached, survey, since };
        self.spares.lock().unwrap_or_else(PoisonError::into_inner).insert(view.clone(), spare);
        let spares = self.spares.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(SPARE_SECS_MAX)).await;
            let mut spares = spares.lock().unwrap_or_else(PoisonError::into_inner);
            if spares.get(&view).is_some_and(|spare| spare.since == since) {
                spares.remove(&view);
            }
        });
    }
}

/// Which of the columns that the configuration names at a target are not what it takes them for, and why: a line for each, and one
/// that says how many more there are.
pub(crate) fn misnamed(target: &Target, protocol: &dyn StreamProtocol, facts: &SurveyFacts) -> Vec<String> {
    let doubt = |(column, has_documents): (&str, bool)| {
        let why = protocol.misnamed(facts, column, has_documents)?;
        let section = if has_documents { "documents" } else { "columns" };
        Some(format!("\"{column}\" in [targets.{}.{section}]: {why}", target.name))
    };
    let mut lines: Vec<String> = target.classes.named_columns().filter_map(doubt).collect();
    let more = lines.len().saturating_sub(MISNAMED_MAX);
    if more > 0 {
        lines.truncate(MISNAMED_MAX);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Asks over a connection that is logged in.
pub(crate) async fn inquire(
    reached: &mut Reached,
    survey: &mut dyn Survey,
    grant: &Grant,
    disk: &Disk,
) -> Result<SurveyFacts, DialError> {
    let mut words = BytesMut::from(&*survey.question());
    loop {
        reached.outlet.push(grant.hello(words.split().freeze()));
        reached.outlet.drain(disk).await?;
        if let Some(facts) = survey.handle(&mut reached.read, &mut words).map_err(DialError::Breach)? {
            reached.read = BytesMut::new();
            return Ok(facts);
        }
        if words.is_empty() {
            reached.read.reserve(SURVEY_READ_BYTES);
            if reached.outlet.read(&mut reached.read).await? == 0 {
                return Err(DialError::Wire(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

/// A connection that was surveyed over, and may be again.
struct Spare {
    route: Route,
    reached: Reached,
    /// Who was asked over it knows what was told.
    survey: Box<dyn Survey>,
    since: Instant,
}

/// Facts shared by reference, to see whether newer ones came.
pub(crate) fn same(a: &SurveyFacts, b: &SurveyFacts) -> bool {
    Arc::ptr_eq(a, b)
}
