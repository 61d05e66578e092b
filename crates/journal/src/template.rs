//! Lines of operations, made fast: what the operations of one kind share is written out once, with gaps for the rest.
//!
//! Knows which members of [`OperationDecided`] differ from one operation to the next. The shared parts come from the same
//! canonical writer as every other record, so that a line is the same to the byte, however it was made.

use std::fmt::Write as _;

use jiff::Timestamp;
use memchr::memmem;
use serde_json::Value;

use crate::canonical;
use crate::record::{Entry, OperationDecided, RECORD_BYTES_MAX, RecordError};

/// What differs from one operation to the next.
#[derive(Debug, Clone, Copy)]
pub struct OperationValues<'a> {
    /// The operation's place in its session.
    pub number: u64,
    /// The statement as evidence keeps it.
    pub statement: &'a str,
    /// The bind values as evidence keeps them.
    pub binds: &'a [String],
    /// The digest that an approval binds to, as 64 hexadecimal digits.
    pub digest: &'a str,
    /// `prepare` or `run`.
    pub phase: &'a str,
}

/// A member with a value of its own in each line.
#[derive(Debug, Clone, Copy)]
enum Gap {
    Binds,
    Digest,
    Index,
    Number,
    Phase,
    Statement,
    Time,
}

impl Gap {
    fn of(member: &str) -> Option<Self> {
        match member {
            "binds" => Some(Self::Binds),
            "digest" => Some(Self::Digest),
            "index" => Some(Self::Index),
            "number" => Some(Self::Number),
            "phase" => Some(Self::Phase),
            "statement" => Some(Self::Statement),
            "time" => Some(Self::Time),
            _ => None,
        }
    }
}

/// The line of an operation, with gaps.
#[derive(Debug, Clone)]
pub struct OperationTemplate {
    /// Text, and the gap that follows it.
    parts: Vec<(String, Gap)>,
    /// What follows the last gap.
    rest: String,
}

impl OperationTemplate {
    /// Writes out what `model` shares with the operations to come; its own values of the gaps do not count.
    ///
    /// # Errors
    /// [`RecordError`], if it has no canonical form.
    pub fn new(model: OperationDecided) -> Result<Self, RecordError> {
        let value = serde_json::to_value(Entry::from(model)).map_err(RecordError::Body)?;
        let Value::Object(mut members) = value else {
            return Err(RecordError::NotAnObject(None));
        };
        members.insert("index".into(), 0.into());
        members.insert("time".into(), "".into());
        // The names are of one alphabet, whose order by bytes is that by UTF-16 units.
        let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        let mut template = Self { parts: Vec::new(), rest: String::from("{") };
        for (place, (name, value)) in sorted.into_iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            let _ = write!(template.rest, "{comma}\"{name}\":");
            match Gap::of(name) {
                Some(gap) => template.parts.push((std::mem::take(&mut template.rest), gap)),
                None => canonical::write(value, &mut template.rest).map_err(|_| RecordError::NotCanonical)?,
            }
        }
        template.rest.push('}');
        Ok(template)
    }

    /// The line, without a line break. The time is cut to whole microseconds.
    pub(crate) fn line(&self, index: u64, now: Timestamp, values: &OperationValues<'_>) -> Result<String, RecordError> {
        let fixed: usize = self.parts.iter().map(|(text, _)| text.len()).sum();
        let mut line = String::with_capacity(fixed + self.rest.len() + values.statement.len() + 256);
        for (text, gap) in &self.parts {
            line.push_str(text);
            fill(*gap, index, now, values, &mut line);
        }
        line.push_str(&self.rest);
        if line.len() > RECORD_BYTES_MAX {
            return Err(RecordError::TooLong { bytes: line.len() });
        }
        Ok(line)
    }
}

fn fill(gap: Gap, index: u64, now: Timestamp, values: &OperationValues<'_>, line: &mut String) {
    // Writing to a String cannot fail.
    let _ = match gap {
        Gap::Index => write!(line, "{index}"),
        Gap::Number => write!(line, "{}", values.number),
        Gap::Time => write!(line, "\"{now:.6}\""),
        Gap::Digest => {
            canonical::write_text(values.digest, line);
            Ok(())
        }
        Gap::Phase => {
            canonical::write_text(values.phase, line);
            Ok(())
        }
        Gap::Statement => {
            canonical::write_text(values.statement, line);
            Ok(())
        }
        Gap::Binds => {
            line.push('[');
            for (place, bind) in values.binds.iter().enumerate() {
                if place > 0 {
                    line.push(',');
                }
                canonical::write_text(bind, line);
            }
            line.push(']');
            Ok(())
        }
    };
}

/// What an index counts of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationMark<'a> {
    /// Its session.
    pub session: &'a str,
    /// Whether it was refused.
    pub refused: bool,
    /// The request whose approval it used up.
    pub approval: Option<&'a str>,
}

impl<'a> OperationMark<'a> {
    /// Reads the mark off a line that a journal wrote, without reading the rest of it; `None` for any other record.
    ///
    /// Inside of texts quotes are escaped, so that what stands between quotes before a colon is a member's name.
    pub fn of(line: &'a str) -> Option<Self> {
        memmem::find(line.as_bytes(), b"\"kind\":\"operation.decided\"")?;
        Some(Self {
            session: member(line, "\"session\":\"")?,
            refused: memmem::find(line.as_bytes(), b"\"refused\":\"").is_some(),
            approval: member(line, "\"approval\":\""),
        })
    }
}

fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let at = memmem::find(line.as_bytes(), name.as_bytes())? + name.len();
    line.get(at..)?.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::{AccessRecord, Fact, Record};

    fn operation() -> OperationDecided {
        OperationDecided {
            session: "ses-1".into(),
            task: "tsk-1".into(),
            identity: "agent:claude".into(),
            on_behalf_of: None,
            api_key: None,
            target: "shop".into(),
            number: 3,
            title: "SELECT".into(),
            statement: "select \"session\":\"x\", 'refused' \n".into(),
            binds: vec!["1".into(), "a\"b".into()],
            digest: "ab".repeat(32),
            accesses: vec![AccessRecord { action: "sql:select".into(), resource: "Table t".into(), within: vec![] }],
            facts: BTreeMap::from([("tables".into(), Fact::Integer(1))]),
            phase: "run".into(),
            effect: "read".into(),
            verdict: "allow".into(),
            policies: vec!["a".into()],
            revision: "r".into(),
            reasons: Vec::new(),
            approval: None,
            refused: None,
        }
    }

    fn check(operation: &OperationDecided) {
        let now: Timestamp = "2026-03-04T05:06:07.123456789Z".parse().expect("a time");
        let expected = Record::new(17, now, operation.clone().into()).to_line().expect("it fits");
        let model = OperationDecided { number: 0, statement: String::new(), binds: Vec::new(), ..operation.clone() };
        let values = OperationValues {
            number: operation.number,
            statement: &operation.statement,
            binds: &operation.binds,
            digest: &operation.digest,
            phase: &operation.phase,
        };
        let template = OperationTemplate::new(model).expect("it has a form");
        assert_eq!(template.line(17, now, &values).expect("it fits"), expected);
        let mark = OperationMark::of(&expected).expect("it is an operation");
        assert_eq!(mark.session, operation.session);
        assert_eq!(mark.refused, operation.refused.is_some());
        assert_eq!(mark.approval, operation.approval.as_deref());
    }

    #[test]
    fn a_template_writes_what_the_record_writes() {
        check(&operation());
        check(&OperationDecided {
            on_behalf_of: Some("user:dana".into()),
            approval: Some("req-1".into()),
            ..operation()
        });
        check(&OperationDecided { refused: Some("no".into()), facts: BTreeMap::new(), ..operation() });
    }
}
