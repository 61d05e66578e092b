//! What went on of late, counted from the journal: by time, by target, by identity, by class.
//!
//! It is counted when somebody looks, and goes on from where it stood. Must not know who looks: what they may see is
//! chosen from what was counted.

use std::collections::BTreeMap;

use gatehouse_api::{ActivityPart, ActivityView, IdentityActivity, TargetActivity};
use gatehouse_journal::{Entry, Lines, Record, SegmentFiles, SegmentsError};
use jiff::Timestamp;

use crate::search::time_of;

/// How long a part is, in seconds, and how many are kept: a week.
pub(crate) const STEP_SECS: u32 = 900;
const PARTS_MAX: usize = 7 * 24 * 4;
/// How many targets and identities are told apart; what more there are is counted together.
const NAMES_MAX: usize = 1_000;
const OTHERS: &str = "(others)";
/// How many open sessions are remembered; of more, what they end with is not counted.
const OPEN_MAX: usize = 100_000;
/// How much of the journal is read the first time, in bytes.
const READ_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Figures of one identity at one target in one part.
#[derive(Debug, Clone, Default)]
struct Figures {
    allowed: u64,
    approved: u64,
    refused: u64,
    sessions: u64,
    last: String,
    answers: u64,
    waited_micros: u64,
    masked: BTreeMap<String, u64>,
}

/// By identity and target.
type Part = BTreeMap<(String, String), Figures>;

/// What was counted so far.
#[derive(Default)]
pub(crate) struct Activity {
    lines: Option<Lines>,
    /// By the number of the part since the epoch.
    parts: BTreeMap<i64, Part>,
    /// Who opened the sessions whose end was not met yet, and where.
    open: BTreeMap<String, (String, String)>,
    is_partial: bool,
}

impl Activity {
    /// Counts what came since the last time. After an error it begins anew.
    pub(crate) fn catch_up(&mut self, files: &SegmentFiles, size: u64, now: Timestamp) -> Result<(), SegmentsError> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => {
                *self = Self::default();
                let from = self.beginning(files, now)?;
                files.lines(from, size)?
            }
        };
        let mut lines = lines;
        lines.go_on(size);
        for line in lines.by_ref() {
            let (_, line) = line?;
            self.take(&line);
        }
        self.lines = Some(lines);
        let oldest = part_of(now) - i64::try_from(PARTS_MAX).unwrap_or(i64::MAX);
        self.parts = self.parts.split_off(&oldest);
        Ok(())
    }

    /// The first record of the first segment that matters.
    fn beginning(&mut self, files: &SegmentFiles, now: Timestamp) -> Result<u64, SegmentsError> {
        let oldest = part_of(now) - i64::try_from(PARTS_MAX).unwrap_or(i64::MAX);
        let mut read = 0;
        for (first, bytes) in files.sizes()?.into_iter().rev() {
            read += bytes;
            let line = files.lines(first, first + 1)?.next().transpose()?;
            let begins = line.as_ref().and_then(|(_, line)| time_of(line)?.parse::<Timestamp>().ok());
            if begins.is_some_and(|begins| part_of(begins) < oldest) {
                return Ok(first);
            }
            if read >= READ_BYTES_MAX {
                self.is_partial = first > 0;
                return Ok(first);
            }
        }
        Ok(0)
    }

    fn take(&mut self, line: &str) {
        let Some(time) = time_of(line) else { return };
        let Ok(at) = time.parse::<Timestamp>() else { return };
        if line.contains("\"kind\":\"operation.decided\"") {
            let (Some(identity), Some(target)) = (member(line, "identity"), member(line, "target")) else { return };
            let figures = self.figures(at, identity, target);
            let count = match (line.contains("\"refused\":\""), line.contains("\"approval\":\"")) {
                (true, _) => &mut figures.refused,
                (false, true) => &mut figures.approved,
                (false, false) => &mut figures.allowed,
            };
            *count += 1;
            figures.last = time.into();
        } else if line.contains("\"kind\":\"session.opened\"") || line.contains("\"kind\":\"session.closed\"") {
            let Ok(record) = Record::parse(line) else { return };
            match record.entry {
                Entry::SessionOpened(session) => {
                    self.figures(at, &session.identity, &session.target).sessions += 1;
                    if self.open.len() < OPEN_MAX {
                        self.open.insert(session.session, (session.identity, session.target));
                    }
                }
                Entry::SessionClosed(session) => {
                    let Some((identity, target)) = self.open.remove(&session.session) else { return };
                    let figures = self.figures(at, &identity, &target);
                    figures.answers += session.answers;
                    figures.waited_micros += session.waited_micros;
                    for (class, count) in session.masked {
                        *figures.masked.entry(class).or_default() += count;
                    }
                }
                _ => {}
            }
        }
    }

    fn figures(&mut self, at: Timestamp, identity: &str, target: &str) -> &mut Figures {
        let part = self.parts.entry(part_of(at)).or_default();
        let key = (identity.to_string(), target.to_string());
        let key = if part.len() < NAMES_MAX || part.contains_key(&key) { key } else { (OTHERS.into(), OTHERS.into()) };
        part.entry(key).or_default()
    }

    /// What was counted in the last so many parts of `step` parts each, of the targets that may be seen.
    pub(crate) fn view(&self, now: Timestamp, hours: u32, sees: &dyn Fn(&str) -> bool) -> ActivityView {
        // Some dozens of bars are what an eye takes in.
        let step_secs = match hours {
            0..=12 => STEP_SECS,
            13..=48 => 2 * STEP_SECS,
            _ => 16 * STEP_SECS,
        };
        let (step, newest) = (i64::from(step_secs), now.as_second().div_euclid(i64::from(step_secs)));
        let count = i64::from(hours) * 3600 / step;
        let oldest = newest - count + 1;
        let begins = |place: i64| Timestamp::from_second(place * step).map(|time| time.to_string()).unwrap_or_default();
        let mut parts: BTreeMap<i64, ActivityPart> = (oldest..=newest)
            .map(|place| (place, ActivityPart { begins: begins(place), ..ActivityPart::default() }))
            .collect();
        let (mut targets, mut identities, mut masked) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (number, figures) in &self.parts {
            let Some(part) = parts.get_mut(&(number * i64::from(STEP_SECS)).div_euclid(step)) else { continue };
            for ((identity, target), figures) in figures.iter().filter(|((_, target), _)| sees(target)) {
                part.allowed += figures.allowed;
                part.approved += figures.approved;
                part.refused += figures.refused;
                let operations = figures.allowed + figures.approved + figures.refused;
                let of_target = targets
                    .entry(target.clone())
                    .or_insert_with(|| TargetActivity { target: target.clone(), ..TargetActivity::default() });
                of_target.operations += operations;
                of_target.refused += figures.refused;
                of_target.answers += figures.answers;
                of_target.waited_micros += figures.waited_micros;
                let of_identity = identities
                    .entry(identity.clone())
                    .or_insert_with(|| IdentityActivity { identity: identity.clone(), ..IdentityActivity::default() });
                of_identity.operations += operations;
                of_identity.refused += figures.refused;
                of_identity.sessions += figures.sessions;
                of_identity.last = figures.last.clone().max(std::mem::take(&mut of_identity.last));
                for (class, count) in &figures.masked {
                    *masked.entry(class.clone()).or_default() += count;
                }
            }
        }
        let mut identities: Vec<IdentityActivity> = identities.into_values().collect();
        identities.sort_by(|one, other| other.operations.cmp(&one.operations));
        ActivityView {
            since: begins(oldest),
            step_secs,
            parts: parts.into_values().collect(),
            targets: targets.into_values().collect(),
            identities,
            masked,
            is_partial: self.is_partial,
        }
    }
}

fn part_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(i64::from(STEP_SECS))
}

/// A member that is a plain text, off a line that a journal wrote.
fn member<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
