//! `gatehouse mask test`: what detectors find in the lines of a file, and how well that fits what the lines say of themselves.
//!
//! Knows the classes of a configuration and the form of such a file. Must not know a gateway that runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use gatehouse_gate::TargetClasses;
use gatehouse_mask::{Counts, Outcome, Plan};
use gatehouse_model::{Column, Encoding, Provenance, Shape, ShapeRole, ValueKind};
use serde::{Deserialize, Serialize};

use crate::load;
use crate::output;

/// The longest line that is looked at, in bytes.
const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How many lines are listed; the scores count all.
const LISTED_MAX: usize = 1_000;

/// A line that says what is in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labelled {
    text: String,
    classes: BTreeSet<String>,
}

/// What was found in a line.
#[derive(Serialize)]
struct Line {
    /// Its number, from 1.
    line: usize,
    found: BTreeSet<String>,
    /// Of its labels, those that were not found; what was found without a label.
    missed: BTreeSet<String>,
    wrong: BTreeSet<String>,
    /// The text as a client would see it.
    shown: String,
}

/// How often a class was found, and how often that was right.
#[derive(Default, Serialize)]
struct Score {
    right: u64,
    missed: u64,
    wrong: u64,
}

impl Score {
    /// The harmonic mean of precision and recall; 1 where there was nothing to find and nothing was found.
    fn f1(&self) -> f64 {
        let number = |count: u64| u32::try_from(count).map_or(f64::INFINITY, f64::from);
        match 2 * self.right + self.missed + self.wrong {
            0 => 1.0,
            all => number(2 * self.right) / number(all),
        }
    }
}

#[derive(Default, Serialize)]
struct Report {
    lines: Vec<Line>,
    scores: BTreeMap<String, Score>,
    lines_read: usize,
    lines_labelled: usize,
    /// Labelled lines in which something was found that is not there.
    lines_wrong: usize,
}

/// Looks for what detectors find in a file. The command fails where a line's labels say otherwise.
pub(crate) fn test(file: &Path, config: &Path, target: Option<&str>, as_json: bool) -> Result<ExitCode> {
    let classes = classes(config, target)?;
    let column = Column {
        name: "text".into(),
        provenance: Provenance::Clean,
        kind: ValueKind::Text { chars_max: None },
        encoding: Encoding::Text,
    };
    let shape = Shape { role: ShapeRole::Rows, columns: vec![column] };
    let plan = classes.plan(&shape, &mut |_| false, &mut |_| false, &|_| false);
    let opened = File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?;
    let mut reader = BufReader::new(opened);
    let mut report = Report::default();
    loop {
        let mut text = String::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX + 1).read_line(&mut text);
        let number = report.lines_read + 1;
        let len = read.with_context(|| format!("{}:{number} cannot be read as text", file.display()))?;
        if len == 0 {
            break;
        }
        if u64::try_from(len).is_ok_and(|len| len > LINE_BYTES_MAX) {
            bail!("{}:{number} is longer than {LINE_BYTES_MAX} bytes: split it", file.display());
        }
        report.lines_read = number;
        let known = report.line(text.trim_end_matches(['\n', '\r']), &classes, &plan);
        known.with_context(|| format!("{}:{number}", file.display()))?;
    }
    let is_right = report.scores.values().all(|score| score.missed + score.wrong == 0);
    if as_json {
        output::json(&report)?
    } else {
        report.print()?
    }
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn classes(config: &Path, target: Option<&str>) -> Result<std::sync::Arc<TargetClasses>> {
    let loaded = load::alone(config)?;
    let found = match target {
        Some(name) => loaded.targets.get(name),
        None => loaded.targets.values().next(),
    };
    let names: Vec<&str> = loaded.targets.keys().map(String::as_str).collect();
    let found = found.with_context(|| match target {
        Some(name) => format!("there is no target `{name}`: there are {}", names.join(", ")),
        None => format!("{} has no target, whose classes would count", config.display()),
    })?;
    Ok(found.classes.clone())
}

impl Report {
    fn line(&mut self, text: &str, classes: &TargetClasses, plan: &Plan) -> Result<()> {
        let labelled: Option<Labelled> = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        let text = labelled.as_ref().map_or(text, |labelled| &labelled.text);
        let (mut out, mut counts) = (Vec::new(), Counts::default());
        let kind = ValueKind::Text { chars_max: None };
        let outcome = plan.apply(classes, 0, kind, Encoding::Text, text.as_bytes(), &mut out, &mut counts);
        let shown = match outcome {
            Outcome::Keep => text.to_string(),
            Outcome::Null => String::new(),
            Outcome::Replace => String::from_utf8_lossy(&out).into_owned(),
        };
        let found: BTreeSet<String> = counts.classes().into_keys().map(|class| class.to_string()).collect();
        let Some(Labelled { classes: labels, .. }) = labelled else {
            if !found.is_empty() {
                self.list(Line {
                    line: self.lines_read,
                    found,
                    missed: BTreeSet::new(),
                    wrong: BTreeSet::new(),
                    shown,
                });
            }
            return Ok(());
        };
        if let Some(strange) = labels.iter().find(|label| classes.names().all(|name| name.as_str() != *label)) {
            bail!("there is no class `{strange}`: docs/masking.md has those there are, and the configuration more");
        }
        self.lines_labelled += 1;
        let missed: BTreeSet<String> = labels.difference(&found).cloned().collect();
        let wrong: BTreeSet<String> = found.difference(&labels).cloned().collect();
        for class in labels.union(&found) {
            let score = self.scores.entry(class.clone()).or_default();
            score.missed += u64::from(missed.contains(class));
            score.wrong += u64::from(wrong.contains(class));
            score.right += u64::from(!missed.contains(class) && !wrong.contains(class));
        }
        self.lines_wrong += usize::from(!wrong.is_empty());
        if !missed.is_empty() || !wrong.is_empty() {
            self.list(Line { line: self.lines_read, found, missed, wrong, shown });
        }
        Ok(())
    }

    fn list(&mut self, line: Line) {
        if self.lines.len() < LISTED_MAX {
            self.lines.push(line);
        }
    }

    fn print(&self) -> Result<()> {
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(" ");
        let row = |line: &Line| {
            vec![
                line.line.to_string(),
                words(&line.found),
                words(&line.missed),
                words(&line.wrong),
                output::short(&line.shown),
            ]
        };
        let heads = ["LINE", "FOUND", "MISSED", "WRONG", "SHOWN AS"];
        output::print(&output::table(&heads, self.lines.iter().map(row).collect()))?;
        if self.lines_labelled > 0 {
            let row = |(class, score): (&String, &Score)| {
                let counts = [score.right, score.missed, score.wrong].map(|count| count.to_string());
                [vec![class.clone()], counts.to_vec(), vec![format!("{:.3}", score.f1())]].concat()
            };
            let heads = ["CLASS", "RIGHT", "MISSED", "WRONG", "F1"];
            output::print(&format!("\n{}", output::table(&heads, self.scores.iter().map(row).collect())))?;
        }
        let labelled = match self.lines_labelled {
            0 => "none of them says what is in it".to_string(),
            count => format!("{count} say what is in them, and in {} more was found", self.lines_wrong),
        };
        let read = match self.lines_read {
            1 => "1 line was read".to_string(),
            count => format!("{count} lines were read"),
        };
        output::aside(&format!("{read}; {labelled}"))
    }
}
