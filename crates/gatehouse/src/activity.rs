//! What went on of late, counted from the journal: by time, by target, by identity, by class.
//!
//! It is counted when somebody looks, and goes on from where it stood. Must not know who looks: what they may see is
//! chosen from what was counted.

use std::collections::BTreeMap;

use gatehouse_api::{ActivityPart, ActivityView, IdentityActivity, TargetActivity};
use gatehouse_journal::{Entry, Lines, Record, SegmentFiles, SegmentsError};
use jiff::{SignedDuration, Timestamp};

use crate::search::{beginning, time_of};

/// How long a part is, in seconds.
const STEP_SECS: u32 = 900;
/// How many are kept: a week.
const PARTS_MAX: usize = 7 * 24 * 4;
/// How many pairs of an identity and a target are told apart in one part, and in all; what more there are is counted together.
const PAIRS_MAX: usize = 1_000;
const FIGURES_MAX: usize = 100_000;
/// How many identities are told of, the busiest.
const IDENTITIES_MAX: usize = 100;
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
    /// How many figures there are.
    figures: usize,
    is_partial: bool,
}

impl Activity {
    /// Counts what came since the last time. After an error it begins anew.
    pub(crate) fn catch_up(&mut self, files: &SegmentFiles, size: u64, now: Timestamp) -> Result<(), SegmentsError> {
        let lines = match self.lines.take() {
            Some(lines) => lines,
            None => {
                *self = Self::default();
                let week = SignedDuration::from_secs(PARTS_MAX as i64 * i64::from(STEP_SECS));
                let (first, is_partial) = beginning(files, now.saturating_sub(week).unwrap_or(now), READ_BYTES_MAX)?;
                self.is_partial = is_partial;
                files.lines(first, size)?
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
        self.figures = self.parts.values().map(BTreeMap::len).sum();
        Ok(())
    }

    fn take(&mut self, line: &str) {
        let Some(time) = time_of(line) else { return };
        let Ok(at) = time.parse::<Timestamp>() else { return };
        // What was only prepared is counted once it runs, unless it was refused.
        let is_prepared = line.contains("\"phase\":\"prepare\"") && !line.contains("\"refused\":\"");
        if line.contains("\"kind\":\"operation.decided\"") {
            if is_prepared {
                return;
            }
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
        if part.contains_key(&key) || (part.len() < PAIRS_MAX && self.figures < FIGURES_MAX) {
            self.figures += usize::from(!part.contains_key(&key));
            return part.entry(key).or_default();
        }
        part.entry((OTHERS.into(), OTHERS.into())).or_default()
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
        identities.sort_by_key(|identity| std::cmp::Reverse(identity.operations));
        identities.truncate(IDENTITIES_MAX);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(time: &str, identity: &str, more: &str) -> String {
        format!(
            "{{\"binds\":[],\"identity\":\"{identity}\",\"index\":1,\"kind\":\"operation.decided\",{more}\
             \"statement\":\"select \\\"target\\\":\\\"bank\\\"\",\"target\":\"shop\",\"time\":\"{time}\",\"verdict\":\"allow\"}}"
        )
    }

    #[test]
    fn operations_are_counted_by_what_became_of_them() {
        let mut activity = Activity::default();
        for (time, more) in [
            ("2026-01-01T00:01:00.000000Z", ""),
            ("2026-01-01T00:02:00.000000Z", "\"approval\":\"req-1\","),
            ("2026-01-01T02:00:00.000000Z", "\"refused\":\"no\","),
        ] {
            activity.take(&operation(time, "agent:claude", more));
        }
        activity.take("{\"kind\":\"gateway.stopped\",\"time\":\"2026-01-01T00:01:00.000000Z\"}");
        let now = "2026-01-01T02:10:00Z".parse().unwrap();
        let view = activity.view(now, 6, &|target| target == "shop");
        let of = |figure: fn(&ActivityPart) -> u64| view.parts.iter().map(figure).sum::<u64>();
        assert_eq!((of(|part| part.allowed), of(|part| part.approved), of(|part| part.refused)), (1, 1, 1));
        assert_eq!(view.parts.len(), 24);
        assert_eq!(view.parts.last().map(|part| part.refused), Some(1));
        assert_eq!(view.identities.first().map(|identity| identity.operations), Some(3));
        assert_eq!(activity.view(now, 1, &|_| true).parts.iter().map(|part| part.allowed).sum::<u64>(), 0);
        assert!(activity.view(now, 6, &|_| false).targets.is_empty());
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted_together() {
        let mut activity = Activity::default();
        for number in 0..PAIRS_MAX + 5 {
            activity.take(&operation("2026-01-01T00:01:00.000000Z", &format!("agent:a{number}"), ""));
        }
        let part = activity.parts.values().next().unwrap();
        assert_eq!(part.len(), PAIRS_MAX + 1);
        assert_eq!(part.get(&(OTHERS.to_string(), OTHERS.to_string())).map(|figures| figures.allowed), Some(5));
    }
}
