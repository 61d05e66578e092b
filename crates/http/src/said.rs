//! What the body and the query of a request say, as policy and evidence have it.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_model::{Access, Denial, Resource};
use gatehouse_protocol::{Edit, Editor, Field, Told};
use memchr::memmem;

use crate::body::{self, Kind};
use crate::columns::{Columns, JSON, ROOT, TEXT};
use crate::json::{self, Met};
use crate::parts;
use crate::request::not_taken;

/// The name by which a form or a query has some servers take another method.
const OVERRIDE: &str = "_method";
/// How many of a body's values policy is shown.
const FIELDS_MAX: usize = 256;
/// How much of a value, and of the path to it, in bytes.
const FIELD_BYTES_MAX: usize = 256;
const PATH_BYTES_MAX: usize = 512;
/// How much of a body stands in the evidence, in bytes.
const EVIDENCE_BYTES_MAX: usize = 4096;
/// What stands for a value that is not written down.
pub(crate) const HIDDEN: &str = "…";

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Fields,
    Text,
    Parts,
    /// Parts of a kind that is not looked into, or whose boundary is not clear.
    OddParts,
    /// Nobody says what it is, and servers may take it for a form or for JSON.
    Untold,
    Other,
}

impl Form {
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        match Kind::of(content_type) {
            Kind::Form => Self::Fields,
            Kind::Json => Self::Json,
            Kind::JsonLines | Kind::Events | Kind::Table | Kind::Lines => Self::Text,
            Kind::Parts => Self::Parts,
            Kind::Opaque => {
                let named = content_type.unwrap_or_default().trim_start().to_ascii_lowercase();
                match named.split(';').next().unwrap_or_default() {
                    parts if parts.starts_with("multipart/") => Self::OddParts,
                    "application/x-www-form-urlencoded" | "" => Self::Untold,
                    other if other.contains("json") => Self::Untold,
                    _ => Self::Other,
                }
            }
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Fields => "form",
            Self::Text => "text",
            Self::Parts => "parts",
            Self::OddParts | Self::Untold | Self::Other => "other",
        }
    }

    /// Whether a server may take it for a form, in which another method may be asked for.
    pub(crate) const fn may_be_form(self) -> bool {
        matches!(self, Self::Fields | Self::Parts | Self::OddParts | Self::Untold)
    }

    /// Its values as policy is shown them.
    pub(crate) fn said(self, content_type: Option<&str>, body: &[u8], columns: &mut Columns) -> Result<Said, Denial> {
        match self {
            Self::Json if body.iter().all(u8::is_ascii_whitespace) => Ok(Said::all(Some(Vec::new()))),
            Self::Json => json_fields(body, columns).map(Said::all),
            Self::Fields => {
                is_plain_form(body)?;
                Ok(Said::all(form_fields(body, columns)))
            }
            Self::Parts => parts_said(content_type, body, columns),
            Self::OddParts | Self::Untold if memmem::find(body, OVERRIDE.as_bytes()).is_some() => Err(overridden()),
            Self::Untold => {
                is_plain_form(body)?;
                // It may be taken for JSON as well.
                if json::walk(body, |_| {}).is_ok() {
                    json_fields(body, columns)?;
                }
                Ok(Said::default())
            }
            Self::Text | Self::OddParts | Self::Other => Ok(Said::default()),
        }
    }

    /// As evidence keeps it: without what is of a class by its name. What is found in the rest is taken out by whoever writes it.
    pub(crate) fn evidence(
        self,
        content_type: Option<&str>,
        body: &[u8],
        is_coded: bool,
        columns: &mut Columns,
    ) -> String {
        let unseen = || format!("({} bytes)", body.len());
        if is_coded || body.len() > EVIDENCE_BYTES_MAX {
            return unseen();
        }
        match self {
            Self::Json => {
                let mut out = Vec::with_capacity(body.len());
                match body::mask_json(body, columns, &mut Redacting, &mut out) {
                    Ok(()) => String::from_utf8_lossy(&out).into_owned(),
                    Err(_) => unseen(),
                }
            }
            Self::Fields => without_classified(body, columns),
            Self::Text => std::str::from_utf8(body).map_or_else(|_| unseen(), Into::into),
            Self::Parts => {
                let said = parts_said(content_type, body, columns).ok().and_then(|said| said.fields);
                said.map_or_else(unseen, |fields| format!("{} ({} bytes in parts)", fields.join("\n"), body.len()))
            }
            Self::OddParts | Self::Untold | Self::Other => unseen(),
        }
    }
}

/// What a body says.
#[derive(Default)]
pub(crate) struct Said {
    /// Its values; `None` if they are not read, or more than policy is shown.
    pub(crate) fields: Option<Vec<String>>,
    /// Whether it says nothing else.
    pub(crate) is_all: bool,
}

impl Said {
    fn all(fields: Option<Vec<String>>) -> Self {
        Self { is_all: fields.is_some(), fields }
    }
}

/// The values of parts that have names and are no files.
fn parts_said(content_type: Option<&str>, body: &[u8], columns: &Columns) -> Result<Said, Denial> {
    let boundary = content_type.and_then(parts::boundary);
    let parts = boundary.and_then(|boundary| parts::parts(body, boundary)).ok_or_else(|| {
        not_taken(
            "its parts are not clear, and servers differ in what they find there",
            "Write them as RFC 7578 has it",
        )
    })?;
    let names = || parts.iter().filter_map(|part| part.name);
    if names().any(is_override) {
        return Err(overridden());
    }
    let counts = counted(names().map(Into::into));
    let mut said = Fields::default();
    let mut is_all = true;
    for part in &parts {
        let text = std::str::from_utf8(part.content).ok().filter(|_| !part.is_file && part.kind() != Kind::Opaque);
        let (Some(name), Some(text)) = (part.name, text) else {
            is_all = false;
            continue;
        };
        let is_list = counts.get(&as_servers_read(name)).is_some_and(|count| *count > 1);
        let path = format!("{}{}", escaped(name), if is_list { "[]" } else { "" });
        said.push(&path, text, columns.of(name).is_some());
    }
    let fields = said.done();
    Ok(Said { is_all: is_all && fields.is_some(), fields })
}

fn overridden() -> Denial {
    let why = format!("`{OVERRIDE}` has some servers do something else than what was asked for");
    not_taken(&why, "Send the method that is meant")
}

/// Whether a query or a form means the same to every server.
pub(crate) fn is_plain_form(form: &[u8]) -> Result<(), Denial> {
    if names(form).any(|name| is_override(&name)) { Err(overridden()) } else { Ok(()) }
}

/// The names in a query or a form. Some servers take semicolons for what parts fields, too.
fn names(form: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    let pieces = form.split(|byte| matches!(*byte, b'&' | b';'));
    pieces.flat_map(form_urlencoded::parse).map(|(name, _)| name)
}

/// How often each name stands in a query or a form, by the most liberal reading.
pub(crate) fn names_as_servers_read(form: &[u8]) -> BTreeMap<String, usize> {
    counted(names(form))
}

/// Whether a server may read a name as the one that overrides.
fn is_override(name: &str) -> bool {
    as_servers_read(name) == OVERRIDE
}

/// A name as the most liberal of servers read it. For PHP it ends at a NUL, begins after blanks, has `_` for `.` and blanks, and
/// what is in brackets at its end makes a list or more of it; others take no notice of the size of letters.
pub(crate) fn as_servers_read(name: &str) -> String {
    let name = name.split('\0').next().unwrap_or_default().trim();
    let (first, rest) = match name.char_indices().skip(1).find(|(_, char)| *char == '[') {
        Some((at, _)) => name.split_at(at),
        None => (name, ""),
    };
    // A bracket that nothing closes is one more of those.
    let first = if rest.is_empty() || rest.contains(']') { first } else { name };
    folded(&first.replace(['.', ' ', '['], "_"))
}

/// A name without the size of its letters, of which some have more than two (`K`, `k` and the sign of kelvin; `S`, `s` and `ſ`; `I`, `i`,
/// `ı` and `İ`, which by the full rule would become two).
pub fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.replace('\u{130}', "i").to_uppercase().to_lowercase()
}

/// How often each name stands, as servers read them.
fn counted<'n>(names: impl Iterator<Item = std::borrow::Cow<'n, str>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(as_servers_read(&name)).or_default() += 1;
    }
    counts
}

/// The values of a query or a form; of a name that stands several times as those of a list.
pub(crate) fn form_fields(form: &[u8], columns: &Columns) -> Option<Vec<String>> {
    let counts = names_as_servers_read(form);
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(form) {
        let is_list = counts.get(&as_servers_read(&name)).is_some_and(|count| *count > 1);
        let path = format!("{}{}", escaped(&name), if is_list { "[]" } else { "" });
        fields.push(&path, &value, columns.of(&name).is_some());
    }
    fields.done()
}

/// The values of fields of a head, by their names.
pub(crate) fn head_fields<'f>(
    fields: impl Iterator<Item = &'f (String, Vec<u8>)>,
    columns: &Columns,
) -> Option<Vec<String>> {
    let mut shown = Fields::default();
    for (name, value) in fields {
        shown.push(name, &String::from_utf8_lossy(value), columns.of(name).is_some());
    }
    shown.done()
}

/// A name in a path, in which dots, brackets and `=` have a meaning.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for char in name.chars() {
        if matches!(char, '\\' | '.' | '[' | ']' | '=') {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// The values that policy is shown; none of them where not all can be, for it would take what it sees for everything.
#[derive(Default)]
struct Fields {
    fields: Vec<String>,
    is_over: bool,
}

impl Fields {
    fn push(&mut self, path: &str, value: &str, is_classified: bool) {
        self.is_over |= path.len() > PATH_BYTES_MAX || value.len() > FIELD_BYTES_MAX || self.fields.len() >= FIELDS_MAX;
        if !self.is_over {
            self.fields.push(format!("{path}={}", if is_classified { HIDDEN } else { value }));
        }
    }

    fn done(self) -> Option<Vec<String>> {
        (!self.is_over).then_some(self.fields)
    }
}

/// What is open on the way through a JSON body.
struct Level {
    /// How long the path was before it, and is in it.
    before: usize,
    base: usize,
    field: usize,
    /// Its names so far, without the size of their letters: there are servers that take no notice of that.
    names: BTreeSet<String>,
}

fn json_fields(body: &[u8], columns: &mut Columns) -> Result<Option<Vec<String>>, Denial> {
    let (mut path, mut field, mut fields) = (String::new(), ROOT, Fields::default());
    let mut open: Vec<Level> = Vec::new();
    let (mut is_twice, mut is_overridden) = (false, false);
    columns.tidy();
    let walked = json::walk(body, |met| match met {
        Met::Open { is_list } => {
            let before = path.len();
            path.push_str(if is_list { "[]" } else { "" });
            open.push(Level { before, base: path.len(), field, names: BTreeSet::new() });
        }
        Met::Close => {
            let Some(level) = open.pop() else { return };
            path.truncate(level.before);
            field = open.last().map_or(ROOT, |outer| outer.field);
        }
        Met::Key(quoted) => {
            let Some(level) = open.last_mut() else { return };
            let key = json::plain(body.get(quoted.at).unwrap_or_default());
            is_twice |= !level.names.insert(folded(&key));
            is_overridden |= level.base == 0 && folded(&key) == OVERRIDE;
            path.truncate(level.base);
            if path.len() + key.len() > PATH_BYTES_MAX {
                fields.is_over = true;
            } else {
                path.push_str(if level.base == 0 { "" } else { "." });
                path.push_str(&escaped(&key));
            }
            field = columns.field(level.field, key.as_bytes());
        }
        Met::Text(_) | Met::Bare(_) if fields.is_over => field = open.last().map_or(ROOT, |outer| outer.field),
        Met::Text(quoted) => {
            let value = json::plain(body.get(quoted.at).unwrap_or_default());
            fields.push(&path, &value, columns.column(field).is_some());
            field = open.last().map_or(ROOT, |outer| outer.field);
        }
        Met::Bare(at) => {
            let value = String::from_utf8_lossy(body.get(at).unwrap_or_default());
            fields.push(&path, &value, columns.column(field).is_some());
            field = open.last().map_or(ROOT, |outer| outer.field);
        }
    });
    if walked.is_err() {
        return Err(not_taken("the body is not the JSON that it says it is", "Send JSON, or another content type"));
    }
    if is_twice {
        return Err(not_taken("the body has a field twice, and servers differ in which counts", "Send it once"));
    }
    if is_overridden { Err(overridden()) } else { Ok(fields.done()) }
}

/// A query or a form without the values that are of a class.
pub(crate) fn without_classified(form: &[u8], columns: &Columns) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(form) {
        let is_classified = columns.of(&name).is_some();
        out.append_pair(&name, if is_classified { HIDDEN } else { &value });
    }
    out.finish()
}

/// Takes out what is of a class by its name.
struct Redacting;

impl Editor for Redacting {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        if matches!(field.column, TEXT | JSON) {
            return Edit::Keep;
        }
        out.extend_from_slice(HIDDEN.as_bytes());
        Edit::Replace
    }

    fn offers(&mut self, _: &Access) -> bool {
        true
    }

    fn describes(&mut self, _: &Resource, _: &str) -> Told {
        Told::AsIs
    }
}
