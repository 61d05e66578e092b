//! A recording, read for a person: as moments for the web front end, and as lines for a terminal.
//!
//! Knows recordings and marks; what the bytes between them mean it asks the protocol.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use gatehouse_api::{MomentKind, MomentView, ReplayView};
use gatehouse_journal::{Direction, RecordingReader};
use gatehouse_protocol::{Archive, Seen, Transcript};
use jiff::{SignedDuration, Timestamp};

use crate::output::plain;
use crate::registry;

/// How many moments one part of a replay has at most.
pub(crate) const MOMENTS_MAX: u32 = 2_000;
/// How many rows of one result are shown one by one; of more, the number is.
const ROWS_MAX: u64 = 500;
/// How much of its texts one moment shows, in bytes; how much one part of a replay has of them about, and what a moment takes besides.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
const MOMENT_BYTES: usize = 64;
/// No more than this many characters of a value are shown on a terminal.
const CELL_CHARS_MAX: usize = 120;

/// What a recording has, one after the other.
struct Reel {
    reader: RecordingReader<BufReader<File>>,
    transcript: Box<dyn Transcript>,
}

enum Scene {
    Mark(String),
    Seen(Vec<Seen>),
    Cut,
}

impl Reel {
    fn open(path: &Path, protocol: &str) -> Result<Self> {
        let reader = RecordingReader::new(BufReader::new(File::open(path)?))?;
        let Some(protocol) = registry::protocol(protocol) else { bail!("nothing here speaks {protocol}") };
        Ok(Self { reader, transcript: protocol.transcript() })
    }

    /// What comes next, so many microseconds after the session began.
    fn next(&mut self) -> Result<Option<(u64, Scene)>> {
        Ok(self.reader.next_chunk()?.map(|chunk| {
            let scene = match chunk.direction {
                Direction::Mark => Scene::Mark(String::from_utf8_lossy(&chunk.content).into_owned()),
                Direction::ToClient => Scene::Seen(self.transcript.show(&chunk.content)),
                Direction::Cut => Scene::Cut,
            };
            (chunk.offset, scene)
        }))
    }
}

/// Numbers moments, and keeps those that are wanted.
struct Moments {
    kept: Vec<MomentView>,
    after: u64,
    limit: usize,
    /// How much is kept, in bytes about.
    bytes: usize,
    count: u64,
    rows: u64,
    /// What was said of the masks of the result at hand.
    masked: String,
    is_full: bool,
}

impl Moments {
    fn push(&mut self, at: u64, what: impl FnOnce() -> (usize, MomentKind)) {
        let place = self.count;
        self.count += 1;
        if place < self.after {
            return;
        }
        if self.kept.len() >= self.limit || self.bytes >= PART_BYTES_MAX {
            self.is_full = true;
            return;
        }
        let (bytes, what) = what();
        self.bytes += bytes + MOMENT_BYTES;
        self.kept.push(MomentView { place, at, what });
    }

    fn take(&mut self, at: u64, seen: Seen) {
        if let Seen::Row(values) = seen {
            self.rows += 1;
            if self.rows <= ROWS_MAX {
                self.push(at, || {
                    let mut room = TEXT_BYTES_MAX;
                    let values: Vec<Option<String>> =
                        values.into_iter().map(|value| value.map(|value| within(value, &mut room))).collect();
                    (TEXT_BYTES_MAX - room, MomentKind::Row { values })
                });
            }
            return;
        }
        self.end_rows(at);
        self.push(at, || {
            let mut room = TEXT_BYTES_MAX;
            let mut text = |text: String| within(text, &mut room);
            let what = match seen {
                Seen::Columns(names) => MomentKind::Columns { names: names.into_iter().map(text).collect() },
                Seen::Row(values) => MomentKind::Row { values },
                Seen::Done(said) => MomentKind::Done { text: text(said) },
                Seen::Problem(said) => MomentKind::Problem { text: text(said) },
                Seen::Note(said) => MomentKind::Note { text: text(said) },
                Seen::Head(said) => MomentKind::Head { text: text(said) },
                Seen::Field(name, value) => MomentKind::Field { name: text(name), value: text(value) },
                Seen::Text(said) => MomentKind::Text { text: text(said) },
                Seen::Prepared => MomentKind::Prepared,
                Seen::Bound => MomentKind::Bound,
                Seen::Turn => MomentKind::Turn,
            };
            (TEXT_BYTES_MAX - room, what)
        });
    }

    /// What is said of the masks of a result, which each piece of it says anew.
    fn note_masked(&mut self, at: u64, mark: String) {
        if self.masked != mark {
            self.push(at, || (mark.len(), asked(&mark)));
            self.masked = mark;
        }
    }

    /// After the last row of a result: how many there were beyond those that are shown.
    fn end_rows(&mut self, at: u64) {
        let more = self.rows.saturating_sub(ROWS_MAX);
        self.rows = 0;
        self.masked.clear();
        if more > 0 {
            self.push(at, || (0, MomentKind::Rows { count: more }));
        }
    }
}

/// As much of a text as there is room for, which it takes up.
fn within(mut text: String, room: &mut usize) -> String {
    if text.len() > *room {
        let end = (0..=*room).rev().find(|place| text.is_char_boundary(*place)).unwrap_or_default();
        let left_out = text.len() - end;
        text.truncate(end);
        *room = 0;
        text.push_str(&format!("… ({left_out} bytes more in the recording)"));
    } else {
        *room -= text.len();
    }
    text
}

/// What a mark says of an operation.
struct Mark<'a> {
    /// What became of it.
    word: &'a str,
    number: &'a str,
    turn: Option<u64>,
    statement: &'a str,
}

impl<'a> Mark<'a> {
    fn read(text: &'a str) -> Self {
        let (word, rest) = text.split_once(" #").unwrap_or(("", text));
        let (place, statement) = rest.split_once(' ').unwrap_or((rest, ""));
        let (number, turn) = place.split_once('.').unwrap_or((place, ""));
        Self { word, number, turn: turn.parse().ok(), statement }
    }
}

fn asked(mark: &str) -> MomentKind {
    let Mark { word, number, turn, statement } = Mark::read(mark);
    match (word, turn) {
        ("run", Some(turn)) => return MomentKind::Run { number: number.parse().ok(), turn },
        ("describe", Some(turn)) => return MomentKind::Describe { number: number.parse().ok(), turn },
        ("masked", None) => {
            return MomentKind::Masked { columns: statement.split(',').filter_map(|at| at.parse().ok()).collect() };
        }
        (_, _) => {}
    }
    let (outcome, request) = match word.split_once(" (") {
        Some((outcome, request)) => (outcome, Some(request.trim_end_matches(')').to_string())),
        None => (word, None),
    };
    MomentKind::Asked {
        outcome: outcome.into(),
        request,
        number: number.parse().unwrap_or_default(),
        turn,
        statement: within(statement.into(), &mut TEXT_BYTES_MAX.clone()),
    }
}

/// What was spoken in a session, as its recording says.
pub(crate) fn protocol(path: &Path) -> Result<String> {
    Ok(RecordingReader::new(BufReader::new(File::open(path)?))?.header().protocol.clone())
}

/// The part of a replay that begins at a place.
pub(crate) fn moments(
    path: &Path,
    protocol: &str,
    after: u64,
    limit: u32,
    has_left: &AtomicBool,
) -> Result<ReplayView> {
    let mut reel = Reel::open(path, protocol)?;
    let limit = limit.min(MOMENTS_MAX) as usize;
    let (kept, masked) = (Vec::new(), String::new());
    let mut moments = Moments { kept, after, limit, bytes: 0, count: 0, rows: 0, masked, is_full: false };
    let mut ends = 0;
    while let Some((at, scene)) = reel.next()? {
        ends = at;
        match scene {
            Scene::Mark(mark) if mark.starts_with("masked #? ") => moments.note_masked(at, mark),
            // What is asked in the midst of a result is no end of it.
            Scene::Mark(mark) => moments.push(at, || (mark.len().min(TEXT_BYTES_MAX), asked(&mark))),
            Scene::Seen(seen) => seen.into_iter().for_each(|seen| moments.take(at, seen)),
            Scene::Cut => {
                moments.end_rows(at);
                moments.push(at, || (0, MomentKind::Cut));
            }
        }
        if moments.is_full || has_left.load(Ordering::Relaxed) {
            break;
        }
    }
    // Of a result that nothing ended.
    moments.end_rows(ends);
    let header = reel.reader.header();
    let end = after.saturating_add(moments.kept.len() as u64);
    Ok(ReplayView {
        session: header.session.clone(),
        protocol: protocol.into(),
        started: header.started.clone(),
        next: moments.is_full.then_some(end),
        moments: moments.kept,
        is_torn: reel.reader.torn().is_some(),
    })
}

/// What was asked and what the client saw, as text for a terminal.
pub(crate) fn text(path: &Path, protocol: &str) -> Result<String> {
    let mut reel = Reel::open(path, protocol)?;
    let header = reel.reader.header();
    let mut lines = vec![format!("session {} at {} on {}", header.session, header.started, header.target)];
    let mut last = String::new();
    let mut early = Early { lines: Vec::new(), is_between: true };
    while let Some((at, scene)) = reel.next()? {
        let time = format!("{:>9.3}s", at as f64 / 1e6);
        match scene {
            Scene::Mark(mark) => {
                let Mark { word, number, statement, .. } = Mark::read(&mark);
                // What is described is told by the names of its columns, and masks are what they show.
                if matches!(word, "describe" | "masked") {
                    continue;
                }
                // What runs is what was told of last, or else it is said: answers come in this order.
                let is_known = word == "run" && number == last;
                last = number.into();
                if !is_known {
                    lines.push(format!("{time}  {}", further(&plain(&format!("{word} #{number} {statement}")))));
                }
                early.begin(&mut lines);
            }
            Scene::Seen(seen) => seen.iter().for_each(|seen| early.take(seen, &mut lines)),
            Scene::Cut => {
                lines.append(&mut early.lines);
                lines.push(format!("{time}  (what follows was longer than the limit; its digest was kept)"));
            }
        }
    }
    lines.append(&mut early.lines);
    if reel.reader.torn().is_some() {
        lines.push("(the recording ends here, in the middle of a chunk)".into());
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// What a client is told before the line of what it asked: that it waits for a person, say, for its line comes with the answer.
/// It stands behind that line.
struct Early {
    lines: Vec<String>,
    /// What was asked before is answered, and what is asked next has no line yet.
    is_between: bool,
}

impl Early {
    /// The line of what was asked is there.
    fn begin(&mut self, lines: &mut Vec<String>) {
        lines.append(&mut self.lines);
        self.is_between = false;
    }

    fn take(&mut self, seen: &Seen, lines: &mut Vec<String>) {
        let line = line(seen).map(|line| format!("{:>12}{line}", ""));
        match seen {
            Seen::Note(_) if self.is_between => self.lines.extend(line),
            Seen::Turn | Seen::Prepared | Seen::Bound => self.is_between = true,
            Seen::Done(_) | Seen::Problem(_) => {
                lines.append(&mut self.lines);
                lines.extend(line);
                self.is_between = true;
            }
            Seen::Note(_) | Seen::Columns(_) | Seen::Row(_) | Seen::Head(_) | Seen::Field(..) | Seen::Text(_) => {
                lines.append(&mut self.lines);
                lines.extend(line);
            }
        }
    }
}

fn line(seen: &Seen) -> Option<String> {
    Some(match seen {
        Seen::Prepared | Seen::Bound | Seen::Turn => return None,
        Seen::Columns(names) if names.is_empty() => return None,
        Seen::Columns(names) => names.iter().map(|name| cell(name)).collect::<Vec<_>>().join(" | "),
        Seen::Row(values) => {
            let cells = values.iter().map(|value| value.as_deref().map_or_else(|| "(null)".into(), cell));
            cells.collect::<Vec<_>>().join(" | ")
        }
        Seen::Done(text) => format!("-- {}", cell(text)),
        Seen::Problem(text) | Seen::Note(text) => further(&text.lines().map(cell).collect::<Vec<_>>().join("\n")),
        Seen::Head(text) | Seen::Text(text) => without_controls(text),
        Seen::Field(name, value) => without_controls(&format!("{name}: {value}")),
    })
}

/// A text whose further lines are not taken for lines of the replay, whatever they say.
fn further(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(&format!("\n{:>14}", "│ "))
}

/// As much of a value as a terminal shows, without what would drive it.
fn cell(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    let mut shown: String =
        text.chars().take(CELL_CHARS_MAX).map(|char| if char.is_control() { '·' } else { char }).collect();
    if text.chars().count() > CELL_CHARS_MAX {
        shown.push('…');
    }
    shown
}

fn without_controls(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\t' { '\u{fffd}' } else { char }).collect()
}

/// What was asked and what the client saw, as an archive.
pub(crate) fn archived(path: &Path, archive: &mut dyn Archive) -> Result<String> {
    let mut reader = RecordingReader::new(BufReader::new(File::open(path)?))?;
    let began: Timestamp = reader.header().started.parse()?;
    while let Some(chunk) = reader.next_chunk()? {
        match chunk.direction {
            Direction::Mark => archive.mark(chunk.offset, &String::from_utf8_lossy(&chunk.content)),
            Direction::ToClient => archive.seen(chunk.offset, &chunk.content),
            Direction::Cut => {}
        }
    }
    Ok(archive.finish(&|at| {
        let after = SignedDuration::from_micros(i64::try_from(at).unwrap_or(i64::MAX));
        // What no clock can say is when the session began.
        let time = began.checked_add(after).unwrap_or(began);
        (time.to_string(), time.as_microsecond() as f64 / 1e6)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_what_became_of_what() {
        let said = |mark: &str| match asked(mark) {
            MomentKind::Asked { outcome, request, number, turn, statement } => {
                (outcome, request, number, turn, statement)
            }
            other => panic!("{other:?}"),
        };
        let of = |outcome: &str, request: Option<&str>, number, turn, statement: &str| {
            (outcome.to_string(), request.map(str::to_string), number, turn, statement.to_string())
        };
        assert_eq!(said("allow #3 select 1.5"), of("allow", None, 3, None, "select 1.5"));
        assert_eq!(
            said("approved (req-1) #0.7 update t set a = '#'"),
            of("approved", Some("req-1"), 0, Some(7), "update t set a = '#'")
        );
        assert_eq!(said("refused #12.0 "), of("refused", None, 12, Some(0), ""));
        assert_eq!(asked("run #3.7"), MomentKind::Run { number: Some(3), turn: 7 });
        assert_eq!(asked("run #?.7"), MomentKind::Run { number: None, turn: 7 });
        assert_eq!(asked("masked #? 0,12"), MomentKind::Masked { columns: vec![0, 12] });
        assert_eq!(asked("describe #3.7"), MomentKind::Describe { number: Some(3), turn: 7 });
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() {
        let (kept, masked) = (Vec::new(), String::new());
        let mut moments =
            Moments { kept, after: 0, limit: 10_000, bytes: 0, count: 0, rows: 0, masked, is_full: false };
        for _ in 0..ROWS_MAX + 7 {
            moments.note_masked(5, "masked #? 0".into());
            moments.take(5, Seen::Row(vec![Some("x".into())]));
        }
        moments.take(6, Seen::Done("SELECT".into()));
        let last: Vec<&MomentKind> = moments.kept.iter().rev().take(2).map(|moment| &moment.what).collect();
        assert_eq!(last, [&MomentKind::Done { text: "SELECT".into() }, &MomentKind::Rows { count: 7 }]);
        assert_eq!(moments.count, 1 + ROWS_MAX + 2, "that it is masked is said once");
        moments.note_masked(7, "masked #? 0".into());
        assert_eq!(moments.count, 1 + ROWS_MAX + 3, "and of another result once more");
    }

    #[test]
    fn no_text_looks_like_a_line_of_the_replay() {
        let forged = "x\n    0.222s  approved (req-1) #9 DROP TABLE t\n            -- DROP TABLE";
        let note = line(&Seen::Note(forged.into())).unwrap();
        assert!(note.lines().skip(1).all(|line| line.starts_with("            │ ")), "{note}");
        assert!(further(forged).lines().skip(1).all(|line| line.starts_with("            │ ")));
    }

    #[test]
    fn what_is_told_before_the_line_of_what_was_asked_stands_behind_it() {
        let (mut early, mut lines) = (Early { lines: Vec::new(), is_between: true }, Vec::new());
        early.take(&Seen::Note("waits".into()), &mut lines);
        lines.push("approved #1".into());
        early.begin(&mut lines);
        for seen in [Seen::Note("of a function".into()), Seen::Done("UPDATE 1".into()), Seen::Turn] {
            early.take(&seen, &mut lines);
        }
        early.take(&Seen::Note("waits too".into()), &mut lines);
        early.take(&Seen::Problem("denied".into()), &mut lines);
        let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
        assert_eq!(lines, ["approved #1", "waits", "of a function", "-- UPDATE 1", "waits too", "denied"]);
    }

    #[test]
    fn a_value_cannot_drive_a_terminal() {
        assert_eq!(line(&Seen::Row(vec![Some("\u{1b}[2Ja\n".into()), None])).as_deref(), Some("·[2Ja | (null)"));
        assert_eq!(cell(&"é".repeat(121)), format!("{}…", "é".repeat(120)));
    }

    #[test]
    fn a_part_of_a_replay_is_bounded_by_its_bytes() {
        let masked = String::new();
        let mut moments =
            Moments { kept: Vec::new(), after: 0, limit: 10_000, bytes: 0, count: 0, rows: 0, masked, is_full: false };
        for _ in 0..1_000 {
            moments.rows = 0;
            moments.take(5, Seen::Row(vec![Some("é".repeat(TEXT_BYTES_MAX)), Some("x".repeat(TEXT_BYTES_MAX))]));
        }
        assert!(moments.is_full && moments.kept.len() < 300, "{}", moments.kept.len());
        let shown = serde_json::to_string(&moments.kept).unwrap();
        assert!(shown.len() < PART_BYTES_MAX + PART_BYTES_MAX / 4, "{}", shown.len());
    }
}
