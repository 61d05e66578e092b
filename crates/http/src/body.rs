//! What an answer's body is, and how it is masked as it comes.
//!
//! A body is decoded first, then cut into what can be looked at by itself: JSON is one piece, of other texts every line is.
//! What is left of the last line waits for the rest of it, up to a limit.

use std::ops::Range;

use gatehouse_model::{Encoding, ValueKind};
use gatehouse_protocol::{Breach, Edit, Editor, Field};
use memchr::memmem;

use crate::coding::Decoder;
use crate::columns::{ANY_TEXT, Columns, JSON, LOST, OPAQUE, ROOT, TEXT, UNKNOWN};
use crate::csv::Table;
use crate::form::mask_form;
use crate::json::{self, Met, NotJson, Quoted};
use crate::parts::{self, mask_parts};
use crate::pem::OpenKey;
use crate::rider::{Reader, Screened};

/// How much of JSON is looked into at once before the next key, in bytes; before the next value twice as much, for its key says
/// what it is.
const RUN_BYTES_MAX: usize = 16 * 1024;
/// How deep JSON may be in strings of JSON.
const NESTED_MAX: usize = 4;
/// How long a line of an event may be that is not its data, for what rides on HTTP, in bytes.
const EVENT_BYTES_MAX: usize = 256;
/// How much of a name tells what is behind it, in bytes from its end.
const NAME_BYTES_MAX: usize = 64;
/// Nothing shorter is found in anything, in bytes.
const FOUND_BYTES_MIN: usize = 6;

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One JSON text.
    Json,
    /// Lines, each of which is JSON.
    JsonLines,
    /// Server-sent events, whose data may be JSON.
    Events,
    /// Records of a table, the first of which names the columns.
    Table,
    /// A form.
    Form,
    /// Parts, each of which is something of these.
    Parts,
    /// Lines of text.
    Lines,
    /// It cannot be looked into.
    Opaque,
}

impl Kind {
    /// By the content type; nobody says what a body without one is.
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        let Some(content_type) = content_type else { return Self::Opaque };
        let mut parameters = content_type.split(';');
        let essence = parameters.next().unwrap_or_default().trim().to_ascii_lowercase();
        let charset = parameters.filter_map(|parameter| parameter.split_once('='));
        let mut charset = charset.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        // In others what is looked for is written otherwise.
        if !charset.all(|(_, name)| is_ascii_like(name)) {
            return Self::Opaque;
        }
        match essence.as_str() {
            "application/json" | "text/json" => Self::Json,
            "application/x-ndjson"
            | "application/jsonl"
            | "application/ndjson"
            | "application/json-seq"
            | "application/stream+json" => Self::JsonLines,
            "text/event-stream" => Self::Events,
            "text/csv" | "application/csv" | "text/tab-separated-values" => Self::Table,
            "application/x-www-form-urlencoded" => Self::Form,
            _ if parts::boundary(content_type).is_some() => Self::Parts,
            "application/xml"
            | "application/javascript"
            | "application/yaml"
            | "application/x-yaml"
            | "application/toml"
            | "application/graphql"
            | "application/sql"
            | "image/svg+xml" => Self::Lines,
            other if other.ends_with("json") => Self::Json,
            other if other.ends_with("+xml") || other.ends_with("+yaml") || other.starts_with("text/") => Self::Lines,
            _ => Self::Opaque,
        }
    }
}

/// Whether ASCII is written as ASCII in an encoding.
fn is_ascii_like(encoding: &str) -> bool {
    let name = encoding.trim().trim_matches('"').to_ascii_lowercase();
    ["utf-8", "utf8", "us-ascii", "ascii"].contains(&name.as_str())
        || ["iso-8859-", "latin", "windows-125", "cp125", "euc-", "koi8-"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a text begins by saying that it is XML in an encoding in which ASCII is written otherwise, or does not say it all on its
/// first line (XML 1.0, section 4.3.3).
fn is_otherwise_encoded(line: &[u8]) -> bool {
    let Some(declared) = line.trim_ascii_start().strip_prefix(b"<?xml") else { return false };
    if !declared.first().is_none_or(u8::is_ascii_whitespace) {
        return false;
    }
    let Some(end) = memmem::find(declared, b"?>") else { return true };
    let declared = String::from_utf8_lossy(declared.get(..end).unwrap_or_default());
    let Some((_, encoding)) = declared.split_once("encoding") else { return false };
    let encoding = encoding.trim_start().trim_start_matches('=').trim_start();
    let encoding = encoding.split(['"', '\'']).nth(1);
    !encoding.is_some_and(is_ascii_like)
}

/// A body that is masked as it comes.
pub(crate) struct Masking {
    decoder: Decoder,
    text: Text,
}

/// A text, of which what can be looked at by itself is shown as it comes.
pub(crate) struct Text {
    kind: Kind,
    /// What stands between its parts.
    boundary: String,
    /// What was decoded and not yet shown.
    pending: Vec<u8>,
    /// How much of that has no end of a line in it.
    looked_through: usize,
    /// Nothing was said yet, but perhaps a mark of the order of bytes.
    is_new: bool,
    /// What follows cannot be told apart: the data of this event began as JSON and did not end on its line, or the text is
    /// written otherwise than it seems.
    is_broken: bool,
    /// It says nothing but in itself how it is written.
    may_declare: bool,
    open_key: Option<OpenKey>,
    table: Table,
    bytes_max: usize,
    /// How many texts it is in.
    depth: usize,
}

impl Masking {
    /// `None` if the coding is not understood.
    pub(crate) fn new(content_type: Option<&str>, coding: Option<&str>, bytes_max: usize) -> Option<Self> {
        let decoder = Decoder::new(coding)?;
        Some(Self { decoder, text: Text::of(content_type, bytes_max) })
    }

    /// Takes the next bytes of the body and appends what can be shown by now.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        reader: &mut Reader<'_>,
        editor: &mut dyn Editor,
        out: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        let text = &mut self.text;
        self.decoder.feed(bytes, |decoded| text.take(decoded, reader, editor, out))
    }

    /// How much waits for what comes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.text.pending.len()
    }

    /// Whether what comes is only kept, until all of it is there.
    pub(crate) fn keeps_all(&self) -> bool {
        !self.decoder.is_coded() && matches!(self.text.kind, Kind::Json | Kind::Form | Kind::Parts)
    }

    /// The body is complete: appends the rest.
    pub(crate) fn finish(
        &mut self,
        reader: &mut Reader<'_>,
        editor: &mut dyn Editor,
        out: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        let text = &mut self.text;
        self.decoder.finish(|decoded| text.take(decoded, reader, editor, out))?;
        text.finish(reader, editor, out)
    }
}

impl Text {
    pub(crate) fn new(kind: Kind, boundary: Option<&str>, bytes_max: usize) -> Self {
        let boundary = boundary.unwrap_or_default().to_string();
        Self {
            kind,
            boundary,
            pending: Vec::new(),
            is_new: true,
            is_broken: false,
            may_declare: false,
            open_key: None,
            table: Table::default(),
            bytes_max,
            looked_through: 0,
            depth: 0,
        }
    }

    /// One of a content type.
    pub(crate) fn of(content_type: Option<&str>, bytes_max: usize) -> Self {
        let boundary = content_type.and_then(parts::boundary);
        let says_charset = content_type.is_some_and(|said| said.to_ascii_lowercase().contains("charset"));
        Self { may_declare: !says_charset, ..Self::new(Kind::of(content_type), boundary, bytes_max) }
    }

    /// The same, of a text that stands in so many others.
    fn within(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    pub(crate) fn take(
        &mut self,
        decoded: &[u8],
        reader: &mut Reader<'_>,
        editor: &mut dyn Editor,
        out: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        // A part may be anything.
        if self.kind != Kind::Parts && memchr::memchr(0, decoded).is_some() {
            return Err(Breach::target("the target's body is not the text that it says it is"));
        }
        self.pending.extend_from_slice(decoded);
        match self.kind {
            Kind::Json | Kind::Form | Kind::Parts => {}
            Kind::Table => self.show_records(reader, editor, out),
            Kind::JsonLines | Kind::Events | Kind::Lines | Kind::Opaque => self.show_lines(reader, editor, out),
        }
        if self.pending.len() > self.bytes_max {
            let max = self.bytes_max;
            return Err(Breach::target(format!(
                "a body, or a line of it, is longer than the {max} bytes that may be held"
            )));
        }
        Ok(())
    }

    pub(crate) fn finish(
        &mut self,
        reader: &mut Reader<'_>,
        editor: &mut dyn Editor,
        out: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        let rest = std::mem::take(&mut self.pending);
        // Masks are about as long as what they stand for; of what is not used nothing is taken.
        out.reserve(rest.len() + rest.len() / 2);
        match self.kind {
            Kind::Json if rest.iter().all(u8::is_ascii_whitespace) => out.extend_from_slice(&rest),
            Kind::Json => show_json(&rest, reader, editor, out, self.depth)
                .map_err(|NotJson| Breach::target("the target's body is not the JSON that it says it is"))?,
            Kind::Form => mask_form(&rest, reader.columns, editor, out),
            Kind::Parts => mask_parts(&rest, &self.boundary, reader.columns, editor, out)?,
            Kind::Table => self.show_record(&rest, reader, editor, out),
            Kind::JsonLines | Kind::Events | Kind::Lines | Kind::Opaque => {
                self.pending = rest;
                self.show_lines(reader, editor, out);
                let last = std::mem::take(&mut self.pending);
                self.show_line(&last, reader, editor, out);
            }
        }
        Ok(())
    }

    fn show_records(&mut self, reader: &mut Reader<'_>, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        let mut pending = std::mem::take(&mut self.pending);
        let mut shown = 0;
        while let Some(rest) = pending.get(shown..)
            && let Some(record) = self.table.record_len(rest).and_then(|len| rest.get(..len))
        {
            self.show_record(record, reader, editor, out);
            shown += record.len();
        }
        // What is there already is not moved for each part that comes.
        pending.drain(..shown);
        self.pending = pending;
    }

    fn show_record(&mut self, record: &[u8], reader: &mut Reader<'_>, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        let content = record.strip_suffix(b"\n").unwrap_or(record);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        if OpenKey::take(&mut self.open_key, content) {
            show(UNKNOWN, ANY_TEXT, content, editor, out);
        } else if !content.is_empty() {
            let masked_from = out.len();
            self.table.show(content, reader.columns, editor, out);
            if out.get(masked_from..) != Some(content) {
                self.open_key = OpenKey::begun(content).or(self.open_key.take());
            }
        }
        out.extend_from_slice(record.get(content.len()..).unwrap_or_default());
    }

    fn show_lines(&mut self, reader: &mut Reader<'_>, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        // A carriage return at the end of what was looked through may have been the end of a line.
        let from = self.looked_through.saturating_sub(1);
        let end = self.pending.get(from..).and_then(last_line_end);
        let Some(end) = end.map(|end| from + end) else {
            self.looked_through = self.pending.len();
            return;
        };
        let rest = self.pending.split_off(end);
        self.looked_through = rest.len();
        let whole = std::mem::replace(&mut self.pending, rest);
        let mut lines = whole.as_slice();
        while !lines.is_empty() {
            let (line, after) = lines.split_at(line_len(lines));
            self.show_line(line, reader, editor, out);
            lines = after;
        }
    }

    fn show_line(&mut self, line: &[u8], reader: &mut Reader<'_>, editor: &mut dyn Editor, out: &mut Vec<u8>) {
        // Whoever reads events passes it over (WHATWG HTML, section 9.2.5).
        let is_first = std::mem::take(&mut self.is_new);
        let unmarked = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let declares = is_first && self.may_declare && self.kind == Kind::Lines;
        self.is_broken |= declares && is_otherwise_encoded(unmarked);
        let line = if is_first && self.kind == Kind::Events { unmarked } else { line };
        let content = line.trim_ascii_end();
        if content.is_empty() {
            // Only what is empty to its end ends an event.
            let is_end = line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            self.is_broken &= !(is_end && self.kind == Kind::Events);
            out.extend_from_slice(line);
            return;
        }
        let prefix = match self.kind {
            Kind::Events => {
                content.strip_prefix(b"data:").map_or(0, |data| content.len() - data.trim_ascii_start().len())
            }
            Kind::JsonLines => content.iter().take_while(|byte| **byte == 0x1e).count(),
            Kind::Json | Kind::Form | Kind::Parts | Kind::Table | Kind::Lines | Kind::Opaque => 0,
        };
        let (head, data) = content.split_at(prefix);
        // Who rides on HTTP knows no other events.
        if self.kind == Kind::Events && reader.rider.is_some() && !is_plain_event(content, data, prefix) {
            return;
        }
        let end = line.get(content.len()..).unwrap_or_default();
        if !self.is_broken && OpenKey::take(&mut self.open_key, data) {
            show(UNKNOWN, ANY_TEXT, content, editor, out);
            out.extend_from_slice(end);
            return;
        }
        let looks_like_json = matches!(data.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
        let masked_from = out.len();
        out.extend_from_slice(head);
        if self.is_broken || !(looks_like_json && show_json(data, reader, editor, out, self.depth).is_ok()) {
            out.truncate(masked_from);
            self.is_broken |= match self.kind {
                Kind::JsonLines => true,
                Kind::Events => looks_like_json && prefix > 0,
                Kind::Json | Kind::Form | Kind::Parts | Kind::Table | Kind::Lines | Kind::Opaque => false,
            };
            // Where names of fields would tell what is classified, and cannot be read, nothing is shown.
            if self.is_broken {
                show(OPAQUE, ANY_TEXT, content, editor, out);
            } else {
                show_text(content, reader.columns, editor, out, self.depth);
            }
        } else if out.len() == masked_from + head.len() {
            // An event without data is none.
            out.truncate(masked_from);
            return;
        }
        // Whoever may see keys sees all of them.
        if out.get(masked_from..) != Some(content) {
            self.open_key = OpenKey::begun(data).or(self.open_key.take());
        }
        out.extend_from_slice(end);
    }
}

/// Shows a JSON text, as far as what rides on it lets.
fn show_json(
    json: &[u8],
    reader: &mut Reader<'_>,
    editor: &mut dyn Editor,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), NotJson> {
    let Some(rider) = reader.rider.as_mut() else { return mask_nested(json, reader.columns, editor, out, depth) };
    let masked_from = out.len();
    let shown = match rider.screen(json, editor) {
        Screened::Kept => mask_json(json, reader.columns, editor, out),
        Screened::Changed(changed) => mask_json(&changed, reader.columns, editor, out),
        Screened::Described(described) => {
            show(JSON, ValueKind::Json, &described, editor, out);
            Ok(())
        }
        Screened::Dropped => Ok(()),
        Screened::Unreadable => Err(NotJson),
    };
    // What a reader of events takes for the end of a line would let it find another event in the middle of this.
    if ENDS_OF_LINES.iter().any(|(end, _)| memmem::find(out.get(masked_from..).unwrap_or_default(), end).is_some()) {
        let text = String::from_utf8_lossy(out.get(masked_from..).unwrap_or_default()).into_owned();
        out.truncate(masked_from);
        let plain = ENDS_OF_LINES
            .iter()
            .fold(text, |text, (end, escaped)| text.replace(&*String::from_utf8_lossy(end), escaped));
        out.extend_from_slice(plain.as_bytes());
    }
    shown
}

/// What ends a line for some, and how JSON may write it.
const ENDS_OF_LINES: [(&[u8], &str); 3] =
    [("\u{85}".as_bytes(), "\\u0085"), ("\u{2028}".as_bytes(), "\\u2028"), ("\u{2029}".as_bytes(), "\\u2029")];

/// Whether a line of events is JSON, or says nothing that could be taken for a message.
fn is_plain_event(line: &[u8], data: &[u8], prefix: usize) -> bool {
    let is_of = |name: &&[u8]| line.strip_prefix(*name).is_some_and(|rest| matches!(rest.first(), None | Some(b':')));
    let is_clear = line.len() <= EVENT_BYTES_MAX && line.iter().all(|byte| matches!(byte, b' '..=b'~'));
    match prefix {
        0 => is_clear && [&b""[..], b"event", b"id", b"retry"].iter().any(is_of),
        _ => data.is_empty() || json::walk(data, |_| {}).is_ok(),
    }
}

/// Where the last line ends that is there in whole. Lines end by CR, LF or both; after a CR an LF may be still to come.
fn last_line_end(text: &[u8]) -> Option<usize> {
    let before = text.strip_suffix(b"\r").unwrap_or(text);
    memchr::memrchr2(b'\n', b'\r', before).map(|last| last + 1)
}

/// How long the line at the front is, with its end.
fn line_len(text: &[u8]) -> usize {
    match memchr::memchr2(b'\n', b'\r', text) {
        Some(end) if text.get(end..end + 2) == Some(b"\r\n") => end + 2,
        Some(end) => end + 1,
        None => text.len(),
    }
}

/// Shows a text, in which there may be JSON texts with something around them, as in a log or in a call of a script's.
fn show_text(text: &[u8], columns: &mut Columns, editor: &mut dyn Editor, out: &mut Vec<u8>, depth: usize) {
    let mut within = Within::new(text);
    let mut at = 0;
    for Range { start, end } in within.by_ref() {
        let masked_from = out.len();
        show_between(text.get(at..start).unwrap_or_default(), false, editor, out);
        if mask_nested(text.get(start..end).unwrap_or_default(), columns, editor, out, depth).is_ok() {
            at = end;
        } else {
            out.truncate(masked_from);
        }
    }
    show_between(text.get(at..).unwrap_or_default(), within.is_given_up, editor, out);
}

/// Shows what stands around JSON texts. What is meant to be JSON, and is it only for some, is not known by its names.
fn show_between(text: &[u8], is_unread: bool, editor: &mut dyn Editor, out: &mut Vec<u8>) {
    if !text.is_empty() {
        let column = if is_unread || json::is_meant(text) { OPAQUE } else { TEXT };
        show(column, ANY_TEXT, text, editor, out);
    }
}

/// Shows a value of a column as its plan says; one that becomes absent leaves nothing.
pub(crate) fn show(column: usize, kind: ValueKind, value: &[u8], editor: &mut dyn Editor, out: &mut Vec<u8>) {
    let start = out.len();
    let field = Field { column, kind, encoding: Encoding::Text, value: Some(value) };
    match editor.edit(field, out) {
        Edit::Keep => out.extend_from_slice(value),
        Edit::Null => out.truncate(start),
        Edit::Replace => {}
    }
}

/// How long what stands in the place of something so long may be, where it is not a mask alone.
pub(crate) const fn room_for(len: usize) -> usize {
    4 * len + 4096
}

/// What becomes of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    AsIs,
    Nothing,
    Text(Vec<u8>),
}

/// What becomes of a text of a column.
pub(crate) fn masked(column: usize, text: &[u8], editor: &mut dyn Editor) -> Shown {
    let mut masked = Vec::new();
    let field = Field { column, kind: ANY_TEXT, encoding: Encoding::Text, value: Some(text) };
    match editor.edit(field, &mut masked) {
        Edit::Keep => Shown::AsIs,
        Edit::Null => Shown::Nothing,
        Edit::Replace => Shown::Text(masked),
    }
}

/// What becomes of a text that is of no class, lies behind a name, and in so many others. One that is JSON by itself is walked
/// through.
pub(crate) fn shown(name: &[u8], text: &[u8], columns: &mut Columns, editor: &mut dyn Editor, depth: usize) -> Shown {
    let begins = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start().first();
    if !matches!(begins, Some(b'{' | b'[' | b'"')) {
        // Behind other words, as in a log.
        let may_hold_json = memchr::memchr(b'{', text).is_some() && memchr::memchr(b'"', text).is_some();
        if may_hold_json && depth >= NESTED_MAX {
            return masked(OPAQUE, text, editor);
        }
        return if may_hold_json {
            shown_as_text(name, text, columns, editor, depth)
        } else {
            shown_by_name(name, text, editor)
        };
    }
    // Nobody looks deeper, and what is classified there would not be known.
    if depth >= NESTED_MAX {
        return masked(OPAQUE, text, editor);
    }
    let mut shown = Vec::with_capacity(text.len());
    if mask_nested(text, columns, editor, &mut shown, depth + 1).is_err() {
        if !json::is_meant(text) {
            return shown_as_text(name, text, columns, editor, depth);
        }
        // It may be one on each line; otherwise its names cannot be read.
        let mut lines = text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.trim_ascii().is_empty());
        let are_json = lines.all(|line| json::walk(line, |_| {}).is_ok());
        if !are_json || mask_lines(text, columns, editor, &mut shown, depth + 1).is_err() {
            return masked(OPAQUE, text, editor);
        }
    }
    match shown != text {
        true => Shown::Text(shown),
        // A string in a string lies behind the name of the outer one.
        false if begins == Some(&b'"') => shown_by_name(name, text, editor),
        false => Shown::AsIs,
    }
}

/// What becomes of a text in which there may be JSON.
fn shown_as_text(name: &[u8], text: &[u8], columns: &mut Columns, editor: &mut dyn Editor, depth: usize) -> Shown {
    let mut shown = Vec::with_capacity(text.len());
    show_text(text, columns, editor, &mut shown, depth + 1);
    if shown == text { shown_by_name(name, text, editor) } else { Shown::Text(shown) }
}

/// Masks a text of which each line may be JSON.
fn mask_lines(
    text: &[u8],
    columns: &mut Columns,
    editor: &mut dyn Editor,
    masked: &mut Vec<u8>,
    depth: usize,
) -> Result<(), Breach> {
    masked.clear();
    let mut lines = Text::new(Kind::Lines, None, text.len()).within(depth);
    let reader = &mut Reader { columns, rider: None };
    lines.take(text, reader, editor, masked)?;
    lines.finish(reader, editor, masked)
}

/// What becomes of a text that is no JSON and lies behind a name: some of what is looked for is known by its name alone.
fn shown_by_name(name: &[u8], text: &[u8], editor: &mut dyn Editor) -> Shown {
    let alone = masked(TEXT, text, editor);
    let so_far = match &alone {
        Shown::AsIs => text,
        Shown::Text(masked) => masked,
        Shown::Nothing => return alone,
    };
    if so_far.len() < FOUND_BYTES_MIN || name.is_empty() {
        return alone;
    }
    let name = name.get(name.len().saturating_sub(NAME_BYTES_MAX)..).unwrap_or_default();
    let behind = masked_behind(name, so_far, editor).or_else(|| match masked(TEXT, name, editor) {
        Shown::Text(name) => masked_behind(&name, so_far, editor),
        Shown::AsIs | Shown::Nothing => None,
    });
    match behind {
        Some(Shown::AsIs) => alone,
        Some(found) => found,
        None => masked(UNKNOWN, text, editor),
    }
}

/// What becomes of a text by what is found in it together with a name. `None` if something is found in the name.
fn masked_behind(name: &[u8], text: &[u8], editor: &mut dyn Editor) -> Option<Shown> {
    let mut pair = Vec::with_capacity(name.len() + text.len() + "\"\":\"\"".len());
    json::write_string(name, &mut pair);
    pair.push(b':');
    let begins = pair.len();
    json::write_string(text, &mut pair);
    let mut edited = Vec::new();
    let field = Field { column: JSON, kind: ValueKind::Json, encoding: Encoding::Text, value: Some(&pair) };
    if editor.edit(field, &mut edited) == Edit::Keep {
        return Some(Shown::AsIs);
    }
    let value = edited.strip_prefix(pair.get(..begins)?)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(Shown::Text(json::plain(value).into_bytes()))
}

/// Appends a JSON text with its values masked: those of a class by it, and whatever is found in the others.
pub(crate) fn mask_json(
    json: &[u8],
    columns: &mut Columns,
    editor: &mut dyn Editor,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    mask_nested(json, columns, editor, out, 0)
}

/// The same, of a text that so many others are around, whose walks know fields by their places.
fn mask_nested(
    json: &[u8],
    columns: &mut Columns,
    editor: &mut dyn Editor,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), NotJson> {
    if depth == 0 {
        columns.tidy();
    } else {
        // What is edited and then thrown away would be so again in each text around it.
        json::walk(json, |_| {})?;
    }
    let start = out.len();
    let mut walker = Walker {
        json,
        columns,
        editor,
        out,
        shown: 0,
        open: Vec::new(),
        field: ROOT,
        name: 0..0,
        is_name_escaped: false,
        has_keys: OpenKey::is_in(json),
        open_key: None,
        edited: Vec::new(),
        depth,
    };
    let walked = json::walk(json, |met| walker.meet(met));
    walker.show_until(json.len());
    if walked.is_err() {
        out.truncate(start);
    }
    walked
}

/// How often a text is read in vain for the JSON texts in it.
const READ_MAX: usize = 8;

/// The JSON texts in a text that have names or texts in them, wherever they begin and whatever stands behind them.
struct Within<'t> {
    text: &'t [u8],
    at: usize,
    /// How much may still be read in vain, in bytes.
    left: usize,
    /// More than that was.
    is_given_up: bool,
}

impl<'t> Within<'t> {
    fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, left: READ_MAX * text.len(), is_given_up: false }
    }
}

impl Iterator for Within<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Some(place) = self.text.get(self.at..).and_then(|rest| memchr::memchr2(b'{', b'[', rest)) {
            let start = self.at + place;
            let rest = self.text.get(start..)?;
            match json::walk_first(rest, |_| {}) {
                Ok(len) => {
                    self.at = start + len;
                    if memchr::memchr(b'"', rest.get(..len)?).is_some() {
                        return Some(start..self.at);
                    }
                }
                Err(read) => {
                    self.at = start + 1;
                    let Some(left) = self.left.checked_sub(read) else {
                        self.is_given_up = true;
                        return None;
                    };
                    self.left = left;
                }
            }
        }
        None
    }
}

struct Walker<'a> {
    json: &'a [u8],
    columns: &'a mut Columns,
    editor: &'a mut dyn Editor,
    out: &'a mut Vec<u8>,
    /// Up to where the text was shown.
    shown: usize,
    /// The fields that everything open is the value of.
    open: Vec<usize>,
    /// The field whose value comes next.
    field: usize,
    /// The name right before what comes next, and whether it is written otherwise than it is meant.
    name: Range<usize>,
    is_name_escaped: bool,
    /// Whether keys begin in it; and one whose lines are texts of a list.
    has_keys: bool,
    open_key: Option<OpenKey>,
    edited: Vec<u8>,
    depth: usize,
}

impl Walker<'_> {
    fn meet(&mut self, met: Met) {
        // What stands between two values is looked into by itself, however many there are.
        if let Met::Key(Quoted { at, .. }) | Met::Text(Quoted { at, .. }) = &met {
            let most = if matches!(met, Met::Key(_)) { RUN_BYTES_MAX } else { 2 * RUN_BYTES_MAX };
            let begins = at.start.saturating_sub(1);
            if begins.saturating_sub(self.shown) > most {
                self.show_until(begins);
            }
        }
        let (name, is_name_escaped) = match &met {
            Met::Key(Quoted { at, is_escaped, .. }) => (at.clone(), *is_escaped),
            Met::Open { .. } => (self.name.clone(), self.is_name_escaped),
            Met::Text(_) | Met::Bare(_) | Met::Close => (0..0, false),
        };
        match met {
            Met::Key(Quoted { at, is_odd: true, .. }) => {
                let raw = self.json.get(at.clone()).unwrap_or_default();
                // Who reads it as another name finds another field.
                self.field = LOST;
                self.show_value(OPAQUE, at.start.saturating_sub(1)..at.end + 1, raw);
            }
            Met::Key(Quoted { at, is_escaped, .. }) => {
                let raw = self.json.get(at.clone()).unwrap_or_default();
                let outer = self.outer();
                match is_escaped.then(|| json::unescaped(raw)).flatten() {
                    Some(key) => {
                        self.field = self.columns.field(outer, key.as_bytes());
                        self.show_quoted(TEXT, at, key.as_bytes());
                    }
                    None => {
                        self.field = self.columns.field(outer, raw);
                        if json::is_meant(raw) {
                            self.show_quoted(TEXT, at, raw);
                        }
                    }
                }
            }
            Met::Text(Quoted { at, is_escaped, is_odd }) => {
                let column = self.columns.column(self.field).or(is_odd.then_some(OPAQUE));
                let raw = self.json.get(at.clone()).unwrap_or_default();
                let is_by_itself = column.is_some() || is_escaped || self.is_name_escaped || self.has_keys;
                if is_by_itself || json::is_meant(raw) {
                    let text = is_escaped.then(|| json::unescaped(raw)).flatten();
                    let text = text.as_ref().map_or(raw, String::as_bytes);
                    self.show_text(column, at, text);
                }
                self.field = self.outer();
            }
            Met::Bare(at) => {
                let raw = self.json.get(at.clone()).unwrap_or_default();
                match self.columns.column(self.field) {
                    // What is absent stays so.
                    _ if raw == b"null" => {}
                    Some(column) => self.show_value(column, at, raw),
                    None if self.is_name_escaped => {
                        self.show_until(at.start);
                        let shown = shown_by_name(self.name().as_bytes(), raw, self.editor);
                        self.write(shown, at);
                    }
                    None => {}
                }
                self.field = self.outer();
            }
            Met::Open { .. } => self.open.push(self.field),
            Met::Close => {
                self.open_key = None;
                self.open.pop();
                self.field = self.outer();
            }
        }
        self.name = name;
        self.is_name_escaped = is_name_escaped;
    }

    /// The field that what is met now is in.
    fn outer(&self) -> usize {
        self.open.last().copied().unwrap_or(ROOT)
    }

    /// Shows what lies between the last value that was shown by itself and `end`.
    fn show_until(&mut self, end: usize) {
        let between = self.json.get(self.shown..end).unwrap_or_default();
        self.shown = end;
        if between.len() >= FOUND_BYTES_MIN {
            show(JSON, ValueKind::Json, between, self.editor, self.out);
        } else {
            self.out.extend_from_slice(between);
        }
    }

    /// Shows a string of a column, if it is of one, which may be a line of a key.
    fn show_text(&mut self, column: Option<usize>, at: Range<usize>, text: &[u8]) {
        if self.has_keys && column.is_none() && OpenKey::take(&mut self.open_key, text) {
            return self.show_quoted(UNKNOWN, at, text);
        }
        self.show_until(at.start.saturating_sub(1));
        let masked_from = self.out.len();
        let raw = at.start.saturating_sub(1)..at.end + 1;
        self.show_quoted(column.unwrap_or(TEXT), at, text);
        if self.has_keys && self.out.get(masked_from..) != self.json.get(raw) {
            self.open_key = OpenKey::begun(text).or(self.open_key.take());
        }
    }

    /// Shows a string, whose quotation marks lie around `at`.
    fn show_quoted(&mut self, column: usize, at: Range<usize>, text: &[u8]) {
        let at = at.start.saturating_sub(1)..at.end + 1;
        if column != TEXT {
            return self.show_value(column, at, text);
        }
        self.show_until(at.start);
        // As it is written, it lies behind its name, but not what is meant.
        let shown = shown(self.name().as_bytes(), text, self.columns, self.editor, self.depth);
        self.write(shown, at);
    }

    /// The name right before what comes next.
    fn name(&self) -> String {
        json::plain(self.json.get(self.name.clone()).unwrap_or_default())
    }

    /// Writes what became of a value that stands at `at`.
    fn write(&mut self, shown: Shown, at: Range<usize>) {
        match shown {
            Shown::AsIs => self.out.extend_from_slice(self.json.get(at.clone()).unwrap_or_default()),
            Shown::Nothing => self.out.extend_from_slice(b"null"),
            Shown::Text(text) if json::string_len(&text) <= room_for(at.len()) => json::write_string(&text, self.out),
            // Escaped, level by level, it would be many times as long.
            Shown::Text(text) => match masked(UNKNOWN, &text, self.editor) {
                Shown::Text(text) => json::write_string(&text, self.out),
                Shown::AsIs | Shown::Nothing => self.out.extend_from_slice(b"null"),
            },
        }
        self.shown = at.end;
    }

    /// Shows a value that stands at `at` and means `text`.
    fn show_value(&mut self, column: usize, at: Range<usize>, text: &[u8]) {
        self.show_until(at.start);
        self.edited.clear();
        let field = Field { column, kind: ANY_TEXT, encoding: Encoding::Text, value: Some(text) };
        match self.editor.edit(field, &mut self.edited) {
            Edit::Keep => self.out.extend_from_slice(self.json.get(at.clone()).unwrap_or_default()),
            Edit::Null => self.out.extend_from_slice(b"null"),
            Edit::Replace => json::write_string(&self.edited, self.out),
        }
        self.shown = at.end;
    }
}
