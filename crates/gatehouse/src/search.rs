//! Looks operations up in the journal, the newest first.
//!
//! There is no index of statements: what is looked for is found by reading, which costs nobody anything until somebody
//! looks. Most lines are passed over by their bytes alone. Must not know who may see what is found.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use gatehouse_api::{OperationView, Page, Sought};
use gatehouse_journal::{Entry, Fact, OperationDecided, Record, SegmentFiles, SegmentsError};
use jiff::Timestamp;
use serde_json::Value;

/// How much of the journal one call reads, in bytes, beyond the segment at hand.
const READ_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// How much of a statement or of a bind value is told, in bytes; how much one page has of them about, and what an entry takes besides.
const EXCERPT_BYTES_MAX: usize = 16 * 1024;
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
const ENTRY_BYTES: usize = 1024;
/// How much of what records say besides their statements goes into one archive, in bytes.
const SAID_BYTES_MAX: usize = 64 * 1024 * 1024;

/// As much of a text as is told of operations.
pub(crate) fn excerpt(text: &str) -> String {
    beginning_of(text, EXCERPT_BYTES_MAX)
}

/// So many bytes of a text, and how many it has.
pub(crate) fn beginning_of(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max { text.into() } else { beginning_of_longer(text, bytes_max, text.len()) }
}

/// The same of a text of which only the beginning is here.
pub(crate) fn beginning_of_longer(text: &str, bytes_max: usize, bytes: usize) -> String {
    let end = (0..=bytes_max).rev().find(|place| text.is_char_boundary(*place)).unwrap_or_default();
    format!("{} … ({bytes} bytes in all)", text.get(..end).unwrap_or_default())
}

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
            // Without the quotes around it, but with those within.
            quoted.get(1..quoted.len() - 1).unwrap_or_default().to_string()
        });
        Self { parts, refused, approved, text, since: sought.since.map(recorded), until: sought.until.map(recorded) }
    }

    /// Whether a line may be what is sought.
    fn passes(&self, line: &str) -> bool {
        let is = |wanted: Option<bool>, member: &str| wanted.is_none_or(|wanted| line.contains(member) == wanted);
        self.parts.iter().all(|part| line.contains(part.as_str()))
            && is(self.refused, "\"refused\":\"")
            && is(self.approved, "\"approval\":\"")
            && !self.is_before(line)
            && self.until.as_ref().is_none_or(|until| time_of(line).is_none_or(|time| time <= until.as_str()))
            && self.text.as_ref().is_none_or(|text| line.to_lowercase().contains(text.as_str()))
    }

    /// Whether a line is too old.
    fn is_before(&self, line: &str) -> bool {
        self.since.as_ref().is_some_and(|since| time_of(line).is_some_and(|time| time < since.as_str()))
    }
}

/// The time of a record's line, as it stands there.
pub(crate) fn time_of(line: &str) -> Option<&str> {
    let (_, rest) = line.rsplit_once("\"time\":\"")?;
    rest.split_once('"').map(|(time, _)| time)
}

/// The first record of the segment with which a reading from a time on begins, of no more than so many bytes, the newest; and
/// whether older ones that matter were left out.
pub(crate) fn beginning(
    files: &SegmentFiles,
    from: Timestamp,
    read_bytes_max: u64,
) -> Result<(u64, bool), SegmentsError> {
    let mut read = 0u64;
    for (first, bytes) in files.sizes()?.into_iter().rev() {
        read = read.saturating_add(bytes);
        let line = files.lines(first, first + 1)?.next().transpose()?;
        let begins = line.as_ref().and_then(|(_, line)| time_of(line)?.parse::<Timestamp>().ok());
        if begins.is_some_and(|begins| begins < from) {
            return Ok((first, false));
        }
        if read >= read_bytes_max {
            return Ok((first, first > 0));
        }
    }
    Ok((0, false))
}

/// What is sought among the first `size` records, of what `sees` says may be seen.
pub(crate) fn search(
    files: &SegmentFiles,
    size: u64,
    sought: &Sought,
    sees: &dyn Fn(&OperationDecided) -> bool,
    has_left: &AtomicBool,
) -> Result<Page<OperationView>, SearchError> {
    let sieve = Sieve::new(sought);
    let limit = sought.limit as usize;
    let mut before = sought.before.unwrap_or(size).min(size);
    let (mut entries, mut read, mut bytes) = (Vec::new(), 0, 0);
    let segments = files.segments()?;
    for first in segments.into_iter().rev() {
        if first >= before {
            continue;
        }
        let (mut candidates, mut is_last) = (Vec::new(), first == 0);
        for line in files.lines(first, before)? {
            let (index, line) = line?;
            read += line.len() as u64;
            // What is older than a segment's first record lies in the segments before.
            is_last |= index == first && sieve.is_before(&line);
            if sieve.passes(&line) {
                candidates.push((index, line));
            }
            if has_left.load(Ordering::Relaxed) {
                return Ok(Page { entries, next: None });
            }
        }
        for (index, line) in candidates.into_iter().rev() {
            let record = Record::parse(&line).map_err(|error| SearchError::Record(index, error))?;
            let Entry::OperationDecided(operation) = record.entry else { continue };
            if !is_sought(&operation, sought) || !sees(&operation) {
                continue;
            }
            if entries.len() >= limit || bytes >= PAGE_BYTES_MAX {
                return Ok(Page { entries, next: Some(before) });
            }
            before = index;
            let entry = view(index, record.time, operation);
            bytes += entry.statement.len() + entry.binds.iter().map(String::len).sum::<usize>() + ENTRY_BYTES;
            entries.push(entry);
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

/// What the records of a session's operations say besides their statements, by their numbers; of many, no more than there is room
/// for.
pub(crate) fn said(
    files: &SegmentFiles,
    size: u64,
    session: &str,
    since: Timestamp,
    until: Option<Timestamp>,
    has_left: &AtomicBool,
) -> Result<BTreeMap<u64, Vec<String>>, SearchError> {
    let sieve = Sieve::new(&Sought { session: Some(session.into()), since: Some(since), until, ..Sought::default() });
    let (first, _) = beginning(files, since, u64::MAX)?;
    let (mut said, mut read, mut bytes) = (BTreeMap::new(), 0, 0);
    for line in files.lines(first, size)? {
        let (index, line) = line?;
        read += line.len() as u64;
        let is_after =
            sieve.until.as_ref().is_some_and(|until| time_of(&line).is_some_and(|time| time > until.as_str()));
        if is_after || read >= READ_BYTES_MAX || bytes >= SAID_BYTES_MAX || has_left.load(Ordering::Relaxed) {
            break;
        }
        if !sieve.passes(&line) {
            continue;
        }
        let record = Record::parse(&line).map_err(|error| SearchError::Record(index, error))?;
        if let Entry::OperationDecided(operation) = record.entry
            && operation.session == session
        {
            bytes += operation.binds.iter().map(String::len).sum::<usize>() + ENTRY_BYTES;
            said.insert(operation.number, operation.binds);
        }
    }
    Ok(said)
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
    let outcome = match (&operation.refused, &operation.approval) {
        (Some(_), _) => "refused",
        (None, Some(_)) => "approved",
        (None, None) => "passed",
    };
    sought.outcome.as_ref().is_none_or(|wanted| wanted == outcome)
        && sought.session.as_ref().is_none_or(|session| operation.session == *session)
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
        statement: excerpt(&operation.statement),
        binds: operation.binds.iter().map(|bind| excerpt(bind)).collect(),
        bind_names: Vec::new(),
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

#[cfg(test)]
mod tests {
    use gatehouse_journal::{AccessRecord, Journal, SegmentLimits, Segments, SigningKey};
    use jiff::SignedDuration;
    use zeroize::Zeroizing;

    use super::*;

    fn operation(number: u64) -> OperationDecided {
        let is = |every: u64| number.is_multiple_of(every);
        OperationDecided {
            session: format!("ses-{}", number % 3),
            task: "tsk-1".into(),
            identity: if is(2) { "agent:claude".into() } else { "user:sam".into() },
            on_behalf_of: is(4).then(|| "user:dana".into()),
            api_key: None,
            target: if is(5) { "bank".into() } else { "shop".into() },
            number,
            title: "SELECT".into(),
            statement: format!("select \"Note\" from t where id = {number} -- \"refused\":\"no\""),
            binds: Vec::new(),
            digest: "00".into(),
            accesses: vec![AccessRecord {
                action: "sql:select".into(),
                resource: "Column shop/public.t.a".into(),
                within: if is(7) { vec!["Class email".into()] } else { Vec::new() },
            }],
            facts: BTreeMap::new(),
            phase: "run".into(),
            effect: "read".into(),
            verdict: "allow".into(),
            policies: Vec::new(),
            revision: "r".into(),
            reasons: Vec::new(),
            approval: is(6).then(|| "req-1".into()),
            refused: is(11).then(|| "no".into()),
        }
    }

    /// A journal of a hundred operations, one each second, in some dozens of segments.
    fn with_files<T>(read: impl FnOnce(&SegmentFiles) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed("gateway.example/log", &Zeroizing::new([7; 32])).unwrap();
        let limits = SegmentLimits { segment_bytes_max: 2_000 };
        let (segments, recovery) = Segments::open(dir.path(), limits, &[key.verifier()]).unwrap();
        let mut journal = Journal::new(segments, recovery.frontier);
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for number in 0..100 {
            let _ = journal.append(now, operation(number)).unwrap();
            now += SignedDuration::from_secs(1);
        }
        read(&journal.sink().files().clone())
    }

    /// The numbers of what is found, over all pages of five.
    fn found(sought: Sought) -> Vec<u64> {
        with_files(|files| {
            let (mut numbers, mut before) = (Vec::new(), None);
            loop {
                let sought = Sought { limit: 5, before, ..sought.clone() };
                let sees = |operation: &OperationDecided| operation.number != 50;
                let page = search(files, 100, &sought, &sees, &AtomicBool::new(false)).unwrap();
                assert!(page.entries.len() <= 5);
                numbers.extend(page.entries.iter().map(|entry| entry.number));
                before = page.next;
                if before.is_none() {
                    return numbers;
                }
            }
        })
    }

    #[test]
    fn what_records_say_of_a_session_is_found_by_its_time() {
        let time = |time: &str| time.parse::<Timestamp>().unwrap();
        let numbers = |until: Option<Timestamp>| -> Vec<u64> {
            with_files(|files| {
                let since = time("2026-01-01T00:00:10Z");
                let found = said(files, 100, "ses-1", since, until, &AtomicBool::new(false)).unwrap();
                found.into_keys().collect()
            })
        };
        assert_eq!(numbers(Some(time("2026-01-01T00:00:20Z"))), [10, 13, 16, 19]);
        assert_eq!(numbers(None), (10..100).step_by(3).collect::<Vec<u64>>());
    }

    #[test]
    fn every_filter_finds_what_it_says_and_each_once() {
        let expected = |is: &dyn Fn(&OperationDecided) -> bool| -> Vec<u64> {
            (0..100).rev().filter(|number| *number != 50 && is(&operation(*number))).collect()
        };
        let text = |text: &str| Some(text.to_string());
        let all = Sought::default();
        assert_eq!(found(all.clone()), expected(&|_| true));
        assert_eq!(found(Sought { session: text("ses-1"), ..all.clone() }), expected(&|o| o.session == "ses-1"));
        assert_eq!(found(Sought { target: text("bank"), ..all.clone() }), expected(&|o| o.target == "bank"));
        let dana = Sought { identity: text("user:dana"), ..all.clone() };
        assert_eq!(found(dana), expected(&|o| o.on_behalf_of.is_some()));
        assert_eq!(found(Sought { class: text("email"), ..all.clone() }), expected(&|o| o.number.is_multiple_of(7)));
        assert_eq!(found(Sought { outcome: text("refused"), ..all.clone() }), expected(&|o| o.refused.is_some()));
        let approved = Sought { outcome: text("approved"), ..all.clone() };
        assert_eq!(found(approved), expected(&|o| o.refused.is_none() && o.approval.is_some()));
        let passed = Sought { outcome: text("passed"), ..all.clone() };
        assert_eq!(found(passed), expected(&|o| o.refused.is_none() && o.approval.is_none()));
        assert_eq!(found(Sought { text: text("\"note\" FROM t where id = 7 "), ..all.clone() }), [7]);
        assert_eq!(found(Sought { text: text("nowhere"), ..all.clone() }), [0_u64; 0]);
        let time = |second: u64| format!("2026-01-01T00:00:{second:02}Z").parse::<Timestamp>().unwrap();
        let between = Sought { since: Some(time(10)), until: Some(time(20)), ..all };
        assert_eq!(found(between), expected(&|o| (10..=20).contains(&o.number)));
    }

    #[test]
    fn a_page_is_bounded_by_its_bytes() {
        assert_eq!(excerpt("short"), "short");
        let long = excerpt(&"é".repeat(EXCERPT_BYTES_MAX));
        assert!(long.ends_with("(32768 bytes in all)") && long.len() < EXCERPT_BYTES_MAX + 100);
    }
}
