//! Looks operations up in the journal, the newest first.
//!
//! There is no index of statements: what is looked for is found by reading, which costs nobody anything until somebody
//! looks. Most lines are passed over by their bytes alone. Must not know who may see what is found.

use gatehouse_api::{OperationView, Page, Sought};
use gatehouse_journal::{Entry, Fact, OperationDecided, Record, SegmentFiles, SegmentsError};
use jiff::Timestamp;
use serde_json::Value;

/// How much of the journal one call reads, in bytes, beyond the segment at hand.
const READ_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Why the journal could not be searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    /// It cannot be read.
    #[error(transparent)]
    Segments(#[from] SegmentsError),
    /// A line is not what was written.
    #[error("record {0} cannot be read: {1}")]
    Record(u64, gatehouse_journal::RecordError),
}

/// What lines must hold to be worth a reading. Inside of texts quotes are escaped, so that these stand for members.
struct Sieve {
    parts: Vec<String>,
    refused: Option<bool>,
    approved: Option<bool>,
    /// In lower case.
    text: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// Times as records have them, which are in the order of their texts.
fn recorded(time: Timestamp) -> String {
    format!("{time:.6}")
}

impl Sieve {
    fn new(sought: &Sought) -> Self {
        let member = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("\"{name}\":{}", Value::from(value.as_str())))
        };
        let mut parts = vec!["\"kind\":\"operation.decided\"".to_string()];
        parts.extend(member("session", &sought.session));
        parts.extend(member("task", &sought.task));
        parts.extend(member("target", &sought.target));
        // The quotes of an identity stand behind one of two names.
        parts.extend(sought.identity.as_ref().map(|identity| Value::from(identity.as_str()).to_string()));
        parts.extend(sought.class.as_ref().map(|class| Value::from(format!("Class {class}")).to_string()));
        let (refused, approved) = match sought.outcome.as_deref() {
            Some("refused") => (Some(true), None),
            Some("approved") => (Some(false), Some(true)),
            Some(_) => (Some(false), Some(false)),
            None => (None, None),
        };
        let text = sought.text.as_ref().map(|text| {
            let quoted = Value::from(text.to_lowercase()).to_string();
            quoted.trim_matches('"').to_string()
        });
        Self { parts, refused, approved, text, since: sought.since.map(recorded), until: sought.until.map(recorded) }
    }

    /// Whether a line may be what is sought.
    fn passes(&self, line: &str) -> bool {
        let is = |wanted: Option<bool>, member: &str| wanted.is_none_or(|wanted| line.contains(member) == wanted);
        self.parts.iter().all(|part| line.contains(part.as_str()))
            && is(self.refused, "\"refused\":\"")
            && is(self.approved, "\"approval\":\"")
            && self.until.as_ref().is_none_or(|until| time_of(line).is_none_or(|time| time <= until.as_str()))
            && self.text.as_ref().is_none_or(|text| line.to_lowercase().contains(text.as_str()))
    }

    /// Whether everything before a line is too old.
    fn is_before(&self, line: &str) -> bool {
        self.since.as_ref().is_some_and(|since| time_of(line).is_some_and(|time| time < since.as_str()))
    }
}

/// The time of a record's line, as it stands there.
pub(crate) fn time_of(line: &str) -> Option<&str> {
    let (_, rest) = line.rsplit_once("\"time\":\"")?;
    rest.split_once('"').map(|(time, _)| time)
}

/// What is sought among the first `size` records, of what `sees` says may be seen.
pub(crate) fn search(
    files: &SegmentFiles,
    size: u64,
    sought: &Sought,
    sees: &dyn Fn(&OperationDecided) -> bool,
) -> Result<Page<OperationView>, SearchError> {
    let sieve = Sieve::new(sought);
    let limit = sought.limit as usize;
    let mut before = sought.before.unwrap_or(size).min(size);
    let (mut entries, mut read) = (Vec::new(), 0);
    let segments = files.segments()?;
    for first in segments.into_iter().rev() {
        if first >= before {
            continue;
        }
        let (mut candidates, mut is_last) = (Vec::new(), first == 0);
        for line in files.lines(first, before)? {
            let (index, line) = line?;
            read += line.len() as u64;
            if sieve.is_before(&line) {
                is_last = true;
                candidates.clear();
            } else if sieve.passes(&line) {
                candidates.push((index, line));
            }
        }
        for (index, line) in candidates.into_iter().rev() {
            let record = Record::parse(&line).map_err(|error| SearchError::Record(index, error))?;
            let Entry::OperationDecided(operation) = record.entry else { continue };
            if !is_sought(&operation, sought) || !sees(&operation) {
                continue;
            }
            if entries.len() >= limit {
                return Ok(Page { entries, next: Some(before) });
            }
            before = index;
            entries.push(view(index, record.time, operation));
        }
        if is_last {
            return Ok(Page { entries, next: None });
        }
        before = first;
        if read >= READ_BYTES_MAX || entries.len() >= limit {
            return Ok(Page { entries, next: Some(before) });
        }
    }
    Ok(Page { entries, next: None })
}

/// What the sieve let pass by the bytes of something else is none.
fn is_sought(operation: &OperationDecided, sought: &Sought) -> bool {
    let identity = |wanted: &String| {
        operation.identity == *wanted || operation.on_behalf_of.as_ref().is_some_and(|user| user == wanted)
    };
    let text = |wanted: &String| {
        let wanted = wanted.to_lowercase();
        [&operation.statement, &operation.title].into_iter().any(|text| text.to_lowercase().contains(&wanted))
            || operation.binds.iter().any(|bind| bind.to_lowercase().contains(&wanted))
    };
    sought.session.as_ref().is_none_or(|session| operation.session == *session)
        && sought.task.as_ref().is_none_or(|task| operation.task == *task)
        && sought.target.as_ref().is_none_or(|target| operation.target == *target)
        && sought.identity.as_ref().is_none_or(identity)
        && sought.class.as_ref().is_none_or(|class| classes(operation).contains(class))
        && sought.text.as_ref().is_none_or(text)
}

fn classes(operation: &OperationDecided) -> Vec<String> {
    let named = operation.accesses.iter().flat_map(|access| access.within.iter().chain([&access.resource]));
    let mut classes: Vec<String> =
        named.filter_map(|entity| entity.strip_prefix("Class ")).map(ToString::to_string).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// A fact as JSON.
pub(crate) fn fact(fact: Fact) -> Value {
    match fact {
        Fact::Bool(value) => value.into(),
        Fact::Integer(value) => value.into(),
        Fact::Text(value) => value.into(),
        Fact::Texts(values) => values.into(),
    }
}

fn view(index: u64, time: Timestamp, operation: OperationDecided) -> OperationView {
    OperationView {
        index,
        time: time.to_string(),
        classes: classes(&operation),
        session: operation.session,
        task: operation.task,
        identity: operation.identity,
        on_behalf_of: operation.on_behalf_of,
        target: operation.target,
        number: operation.number,
        title: operation.title,
        statement: operation.statement,
        binds: operation.binds,
        accesses: operation.accesses.iter().map(|access| format!("{} on {}", access.action, access.resource)).collect(),
        facts: operation.facts.into_iter().map(|(name, value)| (name, fact(value))).collect(),
        phase: operation.phase,
        effect: operation.effect,
        verdict: operation.verdict,
        policies: operation.policies,
        revision: operation.revision,
        reasons: operation.reasons,
        approval: operation.approval,
        refused: operation.refused,
    }
}
