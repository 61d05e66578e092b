//! `gatehouse policies backtest`: what other policies would have said to what is on record.
//!
//! Knows the records of operations and how the facts in them become what policies are asked. Must not know a running
//! gateway: it reads the journal's files where they lie.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehouse_identity::Visitors;
use gatehouse_journal::{AccessRecord, Entry, Fact, OperationDecided, OperationMark, Record, SegmentFiles};
use gatehouse_model::{
    Access, Action, Decision, FactValue, Facts, Identity, Parent, PolicyId, Resource, UserName, Verdict, kind,
};
use gatehouse_policy::Policies;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::load::{self, Loaded};
use crate::output;
use crate::state::DataFolder;

/// How many different changes are listed; all are counted.
const LISTED_MAX: usize = 1_000;
/// How many different changes are told apart.
const COLLECTED_MAX: usize = 20_000;
/// How many different questions are remembered with their answers.
const REMEMBERED_MAX: usize = 100_000;
/// How often somebody who waits is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What would be decided otherwise.
#[derive(Serialize)]
struct Change {
    was: String,
    would_be: String,
    identity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    target: String,
    title: String,
    statement: String,
    /// The policies that decided then, and those that would.
    policies_were: Vec<String>,
    policies_would_be: Vec<String>,
    /// How many such operations there were, and when the last was.
    operations: u64,
    last: String,
}

#[derive(Default, Serialize)]
struct Report {
    /// Operations that were looked at.
    operations: u64,
    /// Of those, how many were decided each way then, and would be now: `allow -> deny`.
    verdicts: BTreeMap<String, u64>,
    changes: Vec<Change>,
    /// Different changes, listed or not.
    different: usize,
    /// Operations that would change, beyond the changes that are told apart.
    uncollected: u64,
    /// Operations of identities that the configuration no longer has.
    strangers: u64,
}

/// Says what the policies of a folder would have said to what was recorded in the last so many seconds.
pub(crate) fn backtest(since: SignedDuration, candidate: &Path, config: &Path, as_json: bool) -> Result<()> {
    let loaded = load::alone(config)?;
    let candidate = load::policies(candidate).map_err(|faults| load::all_wrong(&faults))?;
    let data = DataFolder::at(&loaded.base.join(&loaded.config.gateway.data));
    let from = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::MIN);
    let mut asked = Asked { loaded: &loaded, candidate, words: BTreeSet::new(), remembered: HashMap::new() };
    let mut report = Report::default();
    let mut changes: HashMap<String, Change> = HashMap::new();
    let mut told = Instant::now();
    let lines = SegmentFiles::new(&data.journal()).lines(0, u64::MAX);
    for line in lines.with_context(|| format!("the journal {} cannot be read", data.journal().display()))? {
        let (index, line) = line?;
        // Other records are many, and of no interest.
        if OperationMark::of(&line).is_none() {
            continue;
        }
        let record = Record::parse(&line).with_context(|| format!("record {index}"))?;
        let Entry::OperationDecided(operation) = record.entry else { continue };
        if record.time < from {
            continue;
        }
        report.take(&operation, record.time, &mut asked, &mut changes);
        if told.elapsed() > TELL_EVERY {
            output::aside(&format!("{} operations so far, {} would change", report.operations, report.changed()))?;
            told = Instant::now();
        }
    }
    report.different = changes.len();
    report.changes = changes.into_values().collect();
    report
        .changes
        .sort_by(|one, other| other.operations.cmp(&one.operations).then_with(|| one.statement.cmp(&other.statement)));
    report.changes.truncate(LISTED_MAX);
    if as_json { output::json(&report) } else { report.print() }
}

/// Who is asked, and what they answered.
struct Asked<'l> {
    loaded: &'l Loaded,
    candidate: Policies,
    /// Words of the records that stand for words of the schema.
    words: BTreeSet<&'static str>,
    remembered: HashMap<String, Decision>,
}

impl Asked<'_> {
    /// What the candidate says to an operation; `None` of an identity that the configuration does not have.
    fn decision(&mut self, operation: &OperationDecided) -> Option<Decision> {
        let OperationDecided { identity, on_behalf_of, target, accesses, facts, .. } = operation;
        let question = serde_json::to_string(&(identity, on_behalf_of, target, accesses, facts)).unwrap_or_default();
        if let Some(decision) = self.remembered.get(&question) {
            return Some(decision.clone());
        }
        let user = on_behalf_of.as_deref().map(|user| UserName::new(user.strip_prefix("user:").unwrap_or(user)));
        let people = gatehouse_identity::Known {
            people: &self.loaded.people,
            visitors: &Visitors::default(),
            now: Timestamp::UNIX_EPOCH,
        };
        let subject = people.subject(&Identity::parse(identity).ok()?, user.transpose().ok()?.as_ref()).ok()?;
        let accesses: Vec<Access> = accesses.iter().map(|access| self.access(access)).collect();
        let facts: Facts = facts.iter().map(|(name, fact)| (self.word(name), value(fact))).collect();
        // Who may not connect asks nothing.
        let connect = Access::new(Action::CONNECT, Resource::root(kind::TARGET, target));
        let connecting = match self.candidate.decide(&subject, &connect, &Facts::new()) {
            Decision { verdict: Verdict::Allow, .. } => None,
            decision => Some(Decision { verdict: Verdict::Deny, ..decision }),
        };
        let decisions = accesses.iter().map(|access| self.candidate.decide(&subject, access, &facts));
        let decision = gatehouse_policy::combine(decisions.chain(connecting));
        if self.remembered.len() < REMEMBERED_MAX {
            self.remembered.insert(question, decision.clone());
        }
        Some(decision)
    }

    fn access(&mut self, record: &AccessRecord) -> Access {
        let mut entity = |text: &str| {
            let (kind, id) = text.split_once(' ').unwrap_or((text, ""));
            Parent { kind: self.word(kind), id: id.into() }
        };
        let Parent { kind, id } = entity(&record.resource);
        let within: Vec<Parent> = record.within.iter().map(|parent| entity(parent)).collect();
        Access::new(Action::new(self.word(&record.action)), Resource::new(kind, &id, within))
    }

    /// Actions, kinds and names of facts are words of the program: few, and kept for as long as this command runs.
    fn word(&mut self, word: &str) -> &'static str {
        if let Some(known) = self.words.get(word) {
            return known;
        }
        let kept: &'static str = Box::leak(word.into());
        self.words.insert(kept);
        kept
    }
}

fn value(fact: &Fact) -> FactValue {
    match fact {
        Fact::Bool(value) => FactValue::Bool(*value),
        Fact::Integer(value) => FactValue::Long(*value),
        Fact::Text(value) => FactValue::Text(value.clone()),
        Fact::Texts(values) => FactValue::Texts(values.clone()),
    }
}

impl Report {
    fn take(
        &mut self,
        operation: &OperationDecided,
        time: Timestamp,
        asked: &mut Asked<'_>,
        changes: &mut HashMap<String, Change>,
    ) {
        let Some(decision) = asked.decision(operation) else {
            self.strangers += 1;
            return;
        };
        self.operations += 1;
        let would_be = decision.verdict.to_string();
        *self.verdicts.entry(format!("{} -> {would_be}", operation.verdict)).or_default() += 1;
        if would_be == operation.verdict {
            return;
        }
        let OperationDecided { identity, on_behalf_of, target, title, statement, verdict, policies, .. } = operation;
        let key = [verdict, &would_be, identity, on_behalf_of.as_deref().unwrap_or_default(), target, statement];
        let key = key.join("\0");
        if changes.len() >= COLLECTED_MAX && !changes.contains_key(&key) {
            self.uncollected += 1;
            return;
        }
        let change = changes.entry(key).or_insert_with(|| Change {
            was: verdict.clone(),
            would_be,
            identity: identity.clone(),
            on_behalf_of: on_behalf_of.clone(),
            target: target.clone(),
            title: title.clone(),
            statement: statement.clone(),
            policies_were: policies.clone(),
            policies_would_be: decision.policies.iter().map(PolicyId::to_string).collect(),
            operations: 0,
            last: String::new(),
        });
        change.operations += 1;
        change.last = time.to_string();
    }

    fn changed(&self) -> u64 {
        let is_other = |verdicts: &str| verdicts.split_once(" -> ").is_some_and(|(was, would_be)| was != would_be);
        self.verdicts.iter().filter(|(verdicts, _)| is_other(verdicts)).map(|(_, count)| count).sum()
    }

    fn print(&self) -> Result<()> {
        let row = |change: &Change| {
            let Change { was, would_be, identity, target, statement, policies_would_be, operations, .. } = change;
            let by = policies_would_be.join(" ");
            vec![
                operations.to_string(),
                format!("{was} -> {would_be}"),
                identity.clone(),
                target.clone(),
                output::short(statement),
                if by.is_empty() { "no permit".into() } else { by },
            ]
        };
        let heads = ["OPERATIONS", "VERDICT", "IDENTITY", "TARGET", "STATEMENT", "BY"];
        output::print(&output::table(&heads, self.changes.iter().map(row).collect()))?;
        let counts: Vec<Vec<String>> =
            self.verdicts.iter().map(|(verdicts, count)| vec![verdicts.clone(), count.to_string()]).collect();
        output::print(&format!("\n{}", output::table(&["VERDICT", "OPERATIONS"], counts)))?;
        let listed = match self.different - self.changes.len() {
            0 => String::new(),
            more => format!(" {more} more kinds of change are not listed."),
        };
        let uncollected = match self.uncollected {
            0 => String::new(),
            count => format!(" {count} operations more are counted, and not told apart."),
        };
        let strangers = match self.strangers {
            0 => String::new(),
            count => format!(" {count} operations of identities that the configuration does not have were left out."),
        };
        output::aside(&format!(
            "{} of {} operations would be decided otherwise.{listed}{uncollected}{strangers}",
            self.changed(),
            self.operations
        ))
    }
}
