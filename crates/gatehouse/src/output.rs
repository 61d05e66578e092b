//! Tables and lines on a terminal, JSON for programs.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use gatehouse_api::{
    AskedView, KeyView, LockdownView, PolicyView, RequestView, SessionView, TargetView, TaskView, span, who,
};
use serde::Serialize;

/// So wide at least are the names of a page, in characters.
const NAME_CHARS_MIN: usize = 14;

/// Prints text, and minds a reader that has gone.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Tells a person something that is not the answer, where it does not stand among what a program reads.
pub(crate) fn aside(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stderr().lock(), "{}", text.trim_end_matches('\n'))?)
}

/// So many of what one of is called this, and more with an s.
pub(crate) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

pub(crate) fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return format!("none ({})", heads.join(", "));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    let bold = std::io::stdout().is_terminal();
    table.set_header(
        heads.iter().map(|head| if bold { Cell::new(head).add_attribute(Attribute::Bold) } else { Cell::new(head) }),
    );
    for row in rows {
        table.add_row(row.into_iter().map(|value| if bold { coloured(&value) } else { Cell::new(plain(&value)) }));
    }
    table.to_string()
}

fn coloured(value: &str) -> Cell {
    let cell = Cell::new(plain(value));
    match value {
        "live" | "approved" | "used" => cell.fg(Color::Green),
        "open" => cell.fg(Color::Yellow),
        "denied" | "revoked" | "abandoned" => cell.fg(Color::Red),
        _ => cell,
    }
}

/// Statements and reasons come from agents, and recordings from clients: nothing that a terminal would obey is shown, and what
/// hides or turns text around is shown by its code.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push(c),
            _ if c.is_control() => shown.push('·'),
            _ if hides(c) => {
                shown.extend(['['].into_iter().chain(format!("U+{:04X}", u32::from(c)).chars()).chain([']']))
            }
            _ => shown.push(c),
        }
    }
    shown
}

/// Whether a character is not seen, or turns around what stands beside it: formats, separators of lines, and spaces of other
/// widths (Unicode's categories Cf, Zl, Zp and Zs, but for the plain space).
fn hides(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{115f}' | '\u{1160}'
        | '\u{1680}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

pub(crate) fn short(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 60 { line.chars().take(59).chain(['…']).collect() } else { line }
}

fn second(time: &str) -> String {
    time.split('.').next().unwrap_or(time).trim_end_matches('Z').replace('T', " ")
}

/// A value with a listing and a page of its own.
pub(crate) trait Shown: Serialize + serde::de::DeserializeOwned {
    /// The heads of its listing.
    const HEADS: &'static [&'static str];
    /// Its row in the listing.
    fn row(&self) -> Vec<String>;
    /// Its page.
    fn page(&self) -> Vec<(&'static str, String)>;
    /// What it is found by.
    fn id(&self) -> &str;
}

/// Who works, and for whom; and that they do so by a static key, which whoever has it may be using.
fn marked(identity: &str, user: Option<&str>, key: Option<&str>) -> String {
    let whom = user.map(|user| format!(" for {user}")).unwrap_or_default();
    let by = key.map(|key| format!(" (by {key})")).unwrap_or_default();
    format!("{identity}{whom}{by}")
}

impl Shown for TaskView {
    const HEADS: &'static [&'static str] = &["TASK", "STATE", "IDENTITY", "TARGETS", "EXPIRES", "REASON"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.state.clone(),
            marked(&self.identity, self.on_behalf_of.as_deref(), self.api_key.as_deref()),
            self.targets.join(" "),
            second(&self.expires),
            short(&self.reason),
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        vec![
            ("task", self.id.clone()),
            ("state", self.state.clone()),
            ("identity", self.identity.clone()),
            ("on behalf of", self.on_behalf_of.clone().unwrap_or_default()),
            ("targets", self.targets.join(" ")),
            ("reason", self.reason.clone()),
            ("budget", self.budget.as_ref().map(|budget| budget.shown(self.spent.as_ref())).unwrap_or_default()),
            ("started", format!("{} by {}", second(&self.started), self.started_by)),
            ("acted before", self.actors.join(", ")),
            ("came from", self.parent.clone().unwrap_or_default()),
            ("static key", self.api_key.clone().unwrap_or_default()),
            ("expires", second(&self.expires)),
            ("ended", self.ended.as_deref().map(second).unwrap_or_default()),
            ("ended by", self.ended_by.clone().unwrap_or_default()),
        ]
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// What is counted when a session ends; until then nothing is said of it.
fn at_the_end(session: &SessionView, count: String) -> String {
    if session.closed.is_some() { count } else { "-".into() }
}

impl Shown for SessionView {
    const HEADS: &'static [&'static str] =
        &["SESSION", "STATE", "IDENTITY", "TARGET", "OPENED", "OPERATIONS", "REFUSED", "ROWS", "MASKED"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            short(&self.state),
            marked(&self.identity, self.on_behalf_of.as_deref(), self.api_key.as_deref()),
            self.target.clone(),
            second(&self.opened),
            self.operations.to_string(),
            self.refused.to_string(),
            at_the_end(self, self.rows.to_string()),
            at_the_end(self, self.masked.to_string()),
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        vec![
            ("session", self.id.clone()),
            ("state", self.state.clone()),
            ("task", self.task.clone()),
            ("identity", self.identity.clone()),
            ("on behalf of", self.on_behalf_of.clone().unwrap_or_default()),
            ("target", self.target.clone()),
            ("from", self.peer.clone()),
            ("static key", self.api_key.clone().unwrap_or_default()),
            ("opened", second(&self.opened)),
            ("closed", self.closed.as_deref().map(second).unwrap_or_default()),
            ("cause", self.cause.clone().unwrap_or_default()),
            ("operations", format!("{} ({} refused)", self.operations, self.refused)),
            ("rows", at_the_end(self, format!("{} ({} values masked)", self.rows, self.masked))),
        ]
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Shown for RequestView {
    const HEADS: &'static [&'static str] = &["REQUEST", "STATE", "IDENTITY", "TARGET", "NEEDS", "ASKS FOR"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.state.clone(),
            self.identity.clone(),
            self.targets.join(" "),
            who(&self.needs),
            match &self.asked {
                AskedView::Operation { .. } => short(&self.statement),
                AskedView::Task { ttl_secs, .. } => {
                    short(&format!("a task for {}: {}", span(*ttl_secs), self.statement))
                }
            },
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        let cut = |(name, value): (&'static str, String)| match name {
            "opened" | "expires" => (name, second(&value)),
            _ => (name, value),
        };
        self.rows().into_iter().map(cut).collect()
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Shown for TargetView {
    const HEADS: &'static [&'static str] =
        &["TARGET", "PROTOCOL", "ADDRESS", "CLIENTS CONNECT TO", "ON HOLD", "SESSIONS"];

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.protocol.clone(),
            self.address.clone(),
            self.listen.clone().unwrap_or_default(),
            self.on_hold.clone(),
            self.sessions.to_string(),
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        let names = ["target", "protocol", "address", "clients connect to", "on hold", "sessions"];
        let mut page: Vec<_> = names.into_iter().zip(self.row()).collect();
        if !self.misnamed.is_empty() {
            page.push(("misnamed", self.misnamed.join("\n")));
        }
        page
    }

    fn id(&self) -> &str {
        &self.name
    }
}

impl Shown for LockdownView {
    const HEADS: &'static [&'static str] = &["SHUT", "SINCE", "BY", "REASON"];

    fn row(&self) -> Vec<String> {
        vec![self.scope.clone(), second(&self.since), self.by.clone(), short(&self.reason)]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        vec![
            ("shut", self.scope.clone()),
            ("since", self.since.clone()),
            ("by", self.by.clone()),
            ("reason", self.reason.clone()),
            ("sessions cut", self.cut.to_string()),
            ("note", self.note.clone().unwrap_or_default()),
        ]
    }

    fn id(&self) -> &str {
        &self.scope
    }
}

impl Shown for KeyView {
    const HEADS: &'static [&'static str] = &["KEY", "STATE", "IDENTITY", "TARGETS", "EXPIRES", "REASON"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.state.clone(),
            self.identity.clone(),
            self.targets.join(" "),
            second(&self.expires),
            short(&self.reason),
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        vec![
            ("key", self.id.clone()),
            ("state", self.state.clone()),
            ("identity", self.identity.clone()),
            ("targets", self.targets.join(" ")),
            ("reason", self.reason.clone()),
            ("issued", format!("{} by {}", second(&self.created), self.created_by)),
            ("expires", second(&self.expires)),
        ]
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Shown for PolicyView {
    const HEADS: &'static [&'static str] = &["POLICY", "EFFECT", "HOLDS FOR", "FILE", "REASON"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.effect.clone(),
            self.hold.join(" "),
            self.file.clone(),
            self.reason.clone().unwrap_or_default(),
        ]
    }

    fn page(&self) -> Vec<(&'static str, String)> {
        vec![
            ("policy", self.id.clone()),
            ("file", self.file.clone()),
            ("holds for", self.hold.join(" ")),
            ("reason", self.reason.clone().unwrap_or_default()),
            ("text", self.text.clone()),
        ]
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// Prints a listing.
pub(crate) fn listing<T: Shown>(values: &[T], as_json: bool) -> Result<()> {
    if as_json {
        return json(&values);
    }
    print(&table(T::HEADS, values.iter().map(Shown::row).collect()))
}

/// Prints one value.
pub(crate) fn page<T: Shown>(value: &T, as_json: bool) -> Result<()> {
    if as_json {
        return json(value);
    }
    print(&lines_of(value.page()))
}

/// The lines of a page: names beside values, of which those that are empty are left out.
fn lines_of(mut page: Vec<(&'static str, String)>) -> String {
    page.retain(|(_, value)| !value.is_empty());
    let width = page.iter().map(|(name, _)| name.len()).fold(NAME_CHARS_MIN, usize::max);
    let next = format!("\n{:width$} ", "");
    let line = |(name, value): (&str, String)| format!("{name:<width$} {}", plain(&value).replace('\n', &next));
    page.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_one_another_however_long_their_names_are() {
        let page = vec![("target", "shop".into()), ("clients connect to", "one\ntwo".into()), ("note", String::new())];
        let expected = "target             shop\nclients connect to one\n                   two";
        assert_eq!(lines_of(page), expected);
        assert_eq!(lines_of(vec![("key", "a".into())]), "key            a");
    }

    #[test]
    fn one_is_no_more() {
        assert_eq!([counted(0, "row"), counted(1, "row"), counted(2, "row")], ["0 rows", "1 row", "2 rows"]);
    }
}
