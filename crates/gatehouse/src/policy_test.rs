//! `gatehouse policies test`: whether statements come to what files say of them, without a gateway or a database.
//!
//! Knows the form of the files. What becomes of a statement is asked of the door, as a running gateway asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use gatehouse_api::{ExplainedColumn, ExplanationView};
use gatehouse_gate::{Target, understand};
use gatehouse_identity::Visitors;
use gatehouse_model::{Identity, UserName};
use gatehouse_protocol::{Carriage, Protocol, SurveyFacts};
use serde::{Deserialize, Serialize};

use crate::load::{self, Loaded};
use crate::{explain, output, registry};

/// How many files a folder may have, and how long one may be, in bytes.
const FILES_MAX: usize = 1_000;
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One file: cases about one target.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    target: String,
    /// What the target says of itself, by `gatehouse targets catalog NAME`; for protocols that are asked for it.
    catalog: Option<PathBuf>,
    #[serde(default)]
    case: Vec<toml::Spanned<Case>>,
}

/// What is expected of a statement. What is not said is not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    identity: String,
    on_behalf_of: Option<String>,
    statement: String,
    verdict: String,
    policies: Option<BTreeSet<String>>,
    accesses: Option<BTreeSet<String>>,
    #[serde(default)]
    masks: BTreeMap<String, String>,
}

/// A case that came to something else.
#[derive(Serialize)]
struct Failure {
    file: String,
    line: usize,
    name: String,
    expected: String,
    found: String,
}

#[derive(Default, Serialize)]
struct Report {
    cases: usize,
    failures: Vec<Failure>,
}

/// Runs the cases of a folder's `*.toml` files. The command fails where one comes to something else.
pub(crate) fn test(directory: &Path, config: &Path, as_json: bool) -> Result<ExitCode> {
    let loaded = load::alone(config)?;
    let mut report = Report::default();
    for path in files(directory)? {
        let cases = report.cases;
        run(&path, directory, &loaded, &mut report).with_context(|| path.display().to_string())?;
        if report.cases == cases {
            bail!("{} has no [[case]]: it would test nothing", path.display());
        }
    }
    if report.cases == 0 {
        bail!("{} has no *.toml file: docs/policies.md says what stands in one", directory.display());
    }
    if as_json {
        output::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("{} cannot be read", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            bail!("{} has more than {FILES_MAX} files: test folders of it", directory.display());
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    let len = std::fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
    if len > FILE_BYTES_MAX {
        bail!("{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    }
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read as text", path.display()))
}

/// A target with what is known of it.
struct Known<'l> {
    target: &'l Target,
    protocol: std::sync::Arc<dyn Protocol>,
    facts: SurveyFacts,
}

fn known<'l>(cases: &Cases, directory: &Path, loaded: &'l Loaded) -> Result<Known<'l>> {
    let target = loaded.targets.get(&cases.target).with_context(|| {
        let names: Vec<&str> = loaded.targets.keys().map(String::as_str).collect();
        format!("there is no target `{}`: there are {}", cases.target, names.join(", "))
    })?;
    let protocol = registry::protocol(&target.protocol).context("the target's protocol is unknown")?;
    let facts = match (protocol.clone().carriage(), &cases.catalog) {
        (Carriage::Exchanges(_), None) => target.facts.clone(),
        (Carriage::Exchanges(_), Some(_)) => {
            bail!("a target that speaks {} has no catalog: leave it out", target.protocol)
        }
        (Carriage::Stream(_), None) => bail!(
            "`catalog` is missing: write one with `gatehouse targets catalog {0} > {0}.catalog`, and name it here",
            cases.target
        ),
        (Carriage::Stream(protocol), Some(catalog)) => {
            let path = directory.join(catalog);
            protocol.restore(&read(&path)?).map_err(|(line, cause)| {
                anyhow!(
                    "{}:{line}: {cause}\n    Write it anew with `gatehouse targets catalog {}`",
                    path.display(),
                    cases.target
                )
            })?
        }
    };
    Ok(Known { target, protocol, facts })
}

fn run(path: &Path, directory: &Path, loaded: &Loaded, report: &mut Report) -> Result<()> {
    let text = read(path)?;
    let cases: Cases = toml::from_str(&text)?;
    let known = known(&cases, directory, loaded)?;
    for case in &cases.case {
        report.cases += 1;
        let before = text.get(..case.span().start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let case = case.get_ref();
        let name = case.name.clone().unwrap_or_else(|| output::short(&case.statement));
        let view = match explained(case, &known, loaded) {
            Ok(view) => view,
            Err(error) => {
                let (expected, found) = (case.verdict.clone(), error.to_string());
                report.failures.push(Failure { file: path.display().to_string(), line, name, expected, found });
                continue;
            }
        };
        let mut differs = |expected: String, found: String| {
            if expected != found {
                let name = name.clone();
                report.failures.push(Failure { file: path.display().to_string(), line, name, expected, found });
            }
        };
        differs(case.verdict.clone(), view.verdict.clone());
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
        if let Some(policies) = &case.policies {
            differs(words(policies), words(&view.policies.iter().cloned().collect()));
        }
        if let Some(accesses) = &case.accesses {
            let found = view.accesses.iter().map(|access| format!("{} on {}", access.action, access.resource));
            differs(words(accesses), words(&found.collect()));
        }
        for (column, mask) in &case.masks {
            differs(format!("{column}: {mask}"), format!("{column}: {}", shown(&view, column)));
        }
    }
    Ok(())
}

fn explained(case: &Case, known: &Known<'_>, loaded: &Loaded) -> Result<ExplanationView> {
    if !["allow", "hold", "deny"].contains(&case.verdict.as_str()) {
        bail!("`{}` is no verdict: write allow, hold or deny", case.verdict);
    }
    let identity = Identity::parse(&case.identity)?;
    let user = case.on_behalf_of.as_deref().map(|user| UserName::new(user.strip_prefix("user:").unwrap_or(user)));
    let people = gatehouse_identity::Known {
        people: &loaded.people,
        visitors: &Visitors::default(),
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let subject = people.subject(&identity, user.transpose()?.as_ref())?;
    let understood = understand(&*known.protocol, known.target, &known.facts, &case.statement)
        .map_err(|denial| anyhow!("{}\n    {}", explain::cause(&denial), denial.hint))?;
    let foreseen = understood.foresee(&loaded.policies, &subject, known.target);
    Ok(explain::view(&known.target.name, &subject, &understood, &foreseen, loaded.policies.revision().to_string()))
}

/// What becomes of a column, in the word that a case says it by.
fn shown(view: &ExplanationView, column: &str) -> String {
    let Some(columns) = &view.columns else { return "not known before it comes".into() };
    let found: BTreeSet<&str> = columns
        .iter()
        .filter(|found| found.name == column)
        .map(|ExplainedColumn { class, shown, .. }| class.as_deref().unwrap_or(shown))
        .collect();
    match found.len() {
        0 => format!("no column (there are {})", names(columns)),
        _ => found.into_iter().collect::<Vec<_>>().join(" or "),
    }
}

fn names(columns: &[ExplainedColumn]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl Report {
    fn print(&self) -> Result<()> {
        for Failure { file, line, name, expected, found } in &self.failures {
            output::print(&format!("{file}:{line}: {name}\n    expected {expected}\n    found    {found}"))?;
        }
        let failed: BTreeSet<(&str, usize)> =
            self.failures.iter().map(|failure| (failure.file.as_str(), failure.line)).collect();
        output::aside(&format!("{} of {} cases came to what they say", self.cases - failed.len(), self.cases))
    }
}
