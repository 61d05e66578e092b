//! `gatehouse policies backtest`: what other policies would have said to what is on record.
//!
//! Knows the records of operations and how the facts in them become what policies are asked. It reads the journal's files
//! where they lie, whether or not a gateway runs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehouse_api::{BacktestChange, BacktestView};
use gatehouse_identity::Visitors;
use gatehouse_journal::{AccessRecord, Entry, Fact, OperationDecided, OperationMark, Record, SegmentFiles};
use gatehouse_model::{
    Access, Action, Decision, FactValue, Facts, Identity, Parent, PolicyId, Resource, Subject, UserName, Verdict, kind,
};
use gatehouse_policy::Policies;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::load;
use crate::output;
use crate::search::{beginning, excerpt};
use crate::state::DataFolder;

/// How many different changes are listed; all are counted.
const LISTED_MAX: usize = 1_000;
/// How many different changes are told apart.
const COLLECTED_MAX: usize = 20_000;
/// How many different questions are remembered with their answers.
const REMEMBERED_MAX: usize = 100_000;
/// How many words of records are kept.
const WORDS_MAX: usize = 10_000;
/// How often somebody who waits is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Says what the policies of a folder would have said to what was recorded from a time on.
pub(crate) fn backtest(from: Timestamp, candidate: &Path, config: &Path, as_json: bool) -> Result<()> {
    let loaded = load::alone(config)?;
    let candidate = load::policies(candidate).map_err(|faults| load::all_wrong(&faults))?;
    let data = DataFolder::at(&loaded.base.join(&loaded.config.gateway.data));
    let visitors = Visitors::default();
    let subject = |identity: &Identity, user: Option<&UserName>| {
        let people =
            gatehouse_identity::Known { people: &loaded.people, visitors: &visitors, now: Timestamp::UNIX_EPOCH };
        people.subject(identity, user).ok()
    };
    let mut told = Instant::now();
    let mut tell = |report: &BacktestView| {
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            output::aside(&format!("{} operations so far, {} would change", report.operations, changed(report)))?;
        }
        Ok(true)
    };
    let span = Span { files: &SegmentFiles::new(&data.journal()), from, read_bytes_max: u64::MAX };
    let report = compare(&span, candidate, &subject, &|_| true, &mut tell)
        .with_context(|| format!("the journal {} cannot be read", data.journal().display()))?;
    if as_json { output::json(&report) } else { print(&report) }
}

/// Which part of the journal is looked at.
pub(crate) struct Span<'s> {
    pub(crate) files: &'s SegmentFiles,
    /// From this time on.
    pub(crate) from: Timestamp,
    /// No more than so many bytes of it, the newest.
    pub(crate) read_bytes_max: u64,
}

/// Who somebody is now.
type Subjects<'s> = &'s dyn Fn(&Identity, Option<&UserName>) -> Option<Subject>;

/// What other policies would have said to operations at targets that `sees` names, as long as `goes_on` says so.
pub(crate) fn compare(
    span: &Span<'_>,
    candidate: Policies,
    subject: Subjects<'_>,
    sees: &dyn Fn(&str) -> bool,
    goes_on: &mut dyn FnMut(&BacktestView) -> Result<bool>,
) -> Result<BacktestView> {
    let mut asked = Asked { subject, candidate, remembered: HashMap::new() };
    let (first, is_partial) = beginning(span.files, span.from, span.read_bytes_max)?;
    let mut report = BacktestView { is_partial, ..BacktestView::default() };
    let mut changes: HashMap<[u8; 32], BacktestChange> = HashMap::new();
    for line in span.files.lines(first, u64::MAX)? {
        let (index, line) = line?;
        // Other records are many, and of no interest.
        if OperationMark::of(&line).is_none() {
            continue;
        }
        let record = Record::parse(&line).with_context(|| format!("record {index}"))?;
        let Entry::OperationDecided(operation) = record.entry else { continue };
        if record.time < span.from || !sees(&operation.target) {
            continue;
        }
        take(&mut report, &operation, record.time, &mut asked, &mut changes);
        if !goes_on(&report)? {
            report.is_partial = true;
            break;
        }
    }
    report.different = changes.len() as u64;
    report.changes = changes.into_values().collect();
    report
        .changes
        .sort_by(|one, other| other.operations.cmp(&one.operations).then_with(|| one.statement.cmp(&other.statement)));
    report.changes.truncate(LISTED_MAX);
    Ok(report)
}

/// Who is asked, and what they answered.
struct Asked<'s> {
    subject: Subjects<'s>,
    candidate: Policies,
    remembered: HashMap<[u8; 32], Decision>,
}

impl Asked<'_> {
    /// What the candidate says to an operation; `None` of an identity that the configuration does not have.
    fn decision(&mut self, operation: &OperationDecided) -> Option<Decision> {
        let OperationDecided { identity, on_behalf_of, target, accesses, facts, .. } = operation;
        let question = serde_json::to_vec(&(identity, on_behalf_of, target, accesses, facts)).unwrap_or_default();
        let question: [u8; 32] = Sha256::digest(question).into();
        if let Some(decision) = self.remembered.get(&question) {
            return Some(decision.clone());
        }
        let user = on_behalf_of.as_deref().map(|user| UserName::new(user.strip_prefix("user:").unwrap_or(user)));
        let subject = (self.subject)(&Identity::parse(identity).ok()?, user.transpose().ok()?.as_ref())?;
        let accesses: Vec<Access> = accesses.iter().map(access_of).collect();
        let facts: Facts = facts.iter().map(|(name, fact)| (word(name), value(fact))).collect();
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
}

fn access_of(record: &AccessRecord) -> Access {
    let entity = |text: &str| {
        let (kind, id) = text.split_once(' ').unwrap_or((text, ""));
        Parent { kind: word(kind), id: id.into() }
    };
    let Parent { kind, id } = entity(&record.resource);
    let within: Vec<Parent> = record.within.iter().map(|parent| entity(parent)).collect();
    Access::new(Action::new(word(&record.action)), Resource::new(kind, &id, within))
}

/// Actions, kinds and names of facts are words of the program: few, and kept for as long as it runs. What is beyond their
/// number is a word that no policy has.
fn word(word: &str) -> &'static str {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(word) {
        return known;
    }
    if words.len() >= WORDS_MAX {
        tracing::warn!(word, "a word of a record is one too many, and no policy can mean it");
        return "(unknown)";
    }
    let kept: &'static str = Box::leak(word.into());
    words.insert(kept);
    kept
}

fn value(fact: &Fact) -> FactValue {
    match fact {
        Fact::Bool(value) => FactValue::Bool(*value),
        Fact::Integer(value) => FactValue::Long(*value),
        Fact::Text(value) => FactValue::Text(value.clone()),
        Fact::Texts(values) => FactValue::Texts(values.clone()),
    }
}

fn take(
    report: &mut BacktestView,
    operation: &OperationDecided,
    time: Timestamp,
    asked: &mut Asked<'_>,
    changes: &mut HashMap<[u8; 32], BacktestChange>,
) {
    let Some(decision) = asked.decision(operation) else {
        report.strangers += 1;
        return;
    };
    report.operations += 1;
    // What is only prepared is let pass where it would be held: a hold takes effect when it is to run.
    let would_be = match (operation.phase.as_str(), decision.verdict) {
        ("prepare", Verdict::Hold) => Verdict::Allow.to_string(),
        (_, verdict) => verdict.to_string(),
    };
    *report.verdicts.entry(format!("{} -> {would_be}", operation.verdict)).or_default() += 1;
    if would_be == operation.verdict {
        return;
    }
    let OperationDecided { identity, on_behalf_of, target, title, statement, verdict, policies, .. } = operation;
    let key = [verdict, &would_be, identity, on_behalf_of.as_deref().unwrap_or_default(), target, statement];
    let key: [u8; 32] = Sha256::digest(key.join("\0")).into();
    if changes.len() >= COLLECTED_MAX && !changes.contains_key(&key) {
        report.uncollected += 1;
        return;
    }
    let change = changes.entry(key).or_insert_with(|| BacktestChange {
        was: verdict.clone(),
        would_be,
        identity: identity.clone(),
        on_behalf_of: on_behalf_of.clone(),
        target: target.clone(),
        title: title.clone(),
        statement: excerpt(statement),
        policies_were: policies.clone(),
        policies_would_be: decision.policies.iter().map(PolicyId::to_string).collect(),
        operations: 0,
        last: String::new(),
    });
    change.operations += 1;
    change.last = time.to_string();
}

fn changed(report: &BacktestView) -> u64 {
    let is_other = |verdicts: &str| verdicts.split_once(" -> ").is_some_and(|(was, would_be)| was != would_be);
    report.verdicts.iter().filter(|(verdicts, _)| is_other(verdicts)).map(|(_, count)| count).sum()
}

fn print(report: &BacktestView) -> Result<()> {
    let row = |change: &BacktestChange| {
        let BacktestChange { was, would_be, identity, target, statement, policies_would_be, operations, .. } = change;
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
    if report.changes.is_empty() {
        output::print("No operation would be decided otherwise.")?;
    } else {
        output::print(&output::table(&heads, report.changes.iter().map(row).collect()))?;
    }
    let counts: Vec<Vec<String>> =
        report.verdicts.iter().map(|(verdicts, count)| vec![verdicts.clone(), count.to_string()]).collect();
    if !counts.is_empty() {
        output::print(&format!("\n{}", output::table(&["VERDICT", "OPERATIONS"], counts)))?;
    }
    let listed = match report.different.saturating_sub(report.changes.len() as u64) {
        0 => String::new(),
        more => format!(" {more} more kinds of change are not listed."),
    };
    let uncollected = match report.uncollected {
        0 => String::new(),
        count => format!(" {count} operations more are counted, and not told apart."),
    };
    let strangers = match report.strangers {
        0 => String::new(),
        count => format!(" {count} operations of identities that the configuration does not have were left out."),
    };
    output::aside(&format!(
        "{} of {} operations would be decided otherwise.{listed}{uncollected}{strangers}",
        changed(report),
        report.operations
    ))
}
