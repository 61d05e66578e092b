//! What a verification found, in sentences that name the record, session or file.
//!
//! Knows how findings are kept and counted; must not know how any is found.

use std::fmt;

use gatehouse_model::Digest;

use super::Selection;

/// The most findings that are kept; more are counted.
pub const FINDINGS_MAX: usize = 1_000;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// The bundle's file itself.
    Bundle,
    /// A signature or a key.
    Signature,
    /// The log's tree.
    Tree,
    /// A record's bytes or place.
    Record,
    /// A recording.
    Recording,
    /// A policy file or revision.
    Policy,
    /// The course of a session.
    Session,
    /// A request and its approval.
    Approval,
    /// An operation that passed without a permit.
    Verdict,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// One sentence without a full stop, such as `record 17 (operation.decided) was changed`.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Findings as they come.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) list: Vec<Finding>,
    pub(super) omitted: u64,
}

impl Findings {
    /// Adds a finding, or counts it when there are too many. Text of the bundle's is cut and made printable.
    pub(super) fn add(&mut self, kind: FindingKind, message: impl Into<String>) {
        if self.list.len() >= FINDINGS_MAX {
            self.omitted += 1;
            return;
        }
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let message = message.into().chars().take(500).map(printable).collect();
        self.list.push(Finding { kind, message });
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Report {
    /// Everything that is not as it should be; the evidence stands only if this is empty.
    pub findings: Vec<Finding>,
    /// The number of findings past [`FINDINGS_MAX`].
    pub omitted: u64,
    /// The log's name, if the manifest could be read.
    pub origin: Option<String>,
    /// When the bundle was made, by its own account.
    pub created: Option<String>,
    /// What it claims to hold.
    pub selection: Option<Selection>,
    /// The size and root of the checkpoint, if its signature holds.
    pub checkpoint: Option<(u64, Digest)>,
    /// The number of records that are as they were written.
    pub records: u64,
    /// The number of operations among them.
    pub operations: u64,
    /// The number of sessions that began among them.
    pub sessions: u64,
    /// The number of recordings that are as they were sealed.
    pub recordings: u64,
    /// The number of policy files that are as they were loaded.
    pub policies: u64,
}

impl Report {
    /// True if nothing was found: the evidence stands.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, operations, sessions, recordings, policies, .. } = self;
        writeln!(
            f,
            "{records} records, {operations} operations, {sessions} sessions, {recordings} recordings, {policies} policy files"
        )?;
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        if self.omitted > 0 {
            writeln!(f, "and {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// Positions as ranges, such as `4, 5 and 9 to 12`.
pub(super) fn ranges(indexes: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &index in indexes {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(index) => *end = index,
            Some(_) | None => runs.push((index, index)),
        }
    }
    let mut parts: Vec<String> = Vec::new();
    for (start, end) in runs.into_iter().take(20) {
        match end - start {
            0 => parts.push(start.to_string()),
            1 => parts.extend([start.to_string(), end.to_string()]),
            _ => parts.push(format!("{start} to {end}")),
        }
    }
    match parts.pop() {
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_like_words() {
        let check = |indexes: &[u64], expect| assert_eq!(ranges(indexes), expect);
        check(&[], "");
        check(&[4], "4");
        check(&[4, 5], "4 and 5");
        check(&[4, 5, 9, 10, 11, 12], "4, 5 and 9 to 12");
        check(&[u64::MAX], "18446744073709551615");
    }
}
