//! Puts masks in the place of values, so that what results is valid for its kind and encoding.
//!
//! Knows kinds and encodings of values. Does not know which values are to be masked.

use std::borrow::Cow;
use std::ops::Range;

use gatehouse_model::{ClassName, Encoding, ValueKind};
use memchr::memchr2;

use crate::detect::{Detectors, Found};
use crate::document::{self, Document, Part};
use crate::json::{self, Patch};
use crate::partial;
use crate::plan::{Counts, Outcome};
use crate::texts;
use crate::{Classes, Transform};

/// What stands for a value of which nothing is known.
const HIDDEN: &[u8] = b"[redacted]";
/// What stands for a value that happens to be a part of its own mask. Too short to hold one that counts.
const STARS: &[u8] = b"***";
/// From this length on a value must not be a part of its mask.
const TELLING_BYTES_MIN: usize = 6;
/// A shorter cut of a mask would be no word any more.
const CUT_CHARS_MIN: usize = 3;
/// PostgreSQL's version of the binary form of `jsonb`.
const JSONB_VERSION: u8 = 1;

/// A value's type on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type {
    pub(crate) kind: ValueKind,
    pub(crate) encoding: Encoding,
}

impl Type {
    /// The version byte of binary `jsonb`, if the value has one, and the rest.
    pub(crate) fn split(self, value: &[u8]) -> (Option<u8>, &[u8]) {
        match (self.is_binary_jsonb(), value) {
            (true, [_, body @ ..]) => (Some(JSONB_VERSION), body),
            (true, []) => (Some(JSONB_VERSION), value),
            (false, _) => (None, value),
        }
    }

    fn is_binary_jsonb(self) -> bool {
        self.kind == ValueKind::Jsonb && self.encoding == Encoding::Binary
    }

    /// Lets `fill` append a text as a whole value; the text has nothing that JSON would have to escape.
    fn write(self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        match self.kind {
            ValueKind::Text { .. } => fill(out),
            ValueKind::Json | ValueKind::Jsonb => {
                out.extend(self.is_binary_jsonb().then_some(JSONB_VERSION));
                out.push(b'"');
                fill(out);
                out.push(b'"');
            }
            ValueKind::Texts { .. } | ValueKind::Uuid | ValueKind::Fixed | ValueKind::Opaque => return Outcome::Null,
        }
        Outcome::Replace
    }

    /// The bytes of a UUID in this type's encoding.
    pub(crate) fn uuid(self, value: &[u8]) -> Option<[u8; 16]> {
        match self.encoding {
            Encoding::Binary => value.try_into().ok(),
            Encoding::Text => parse_uuid(value),
        }
    }

    fn chars_max(self) -> Option<u32> {
        match self.kind {
            ValueKind::Text { chars_max } => chars_max,
            ValueKind::Texts { .. }
            | ValueKind::Json
            | ValueKind::Jsonb
            | ValueKind::Uuid
            | ValueKind::Fixed
            | ValueKind::Opaque => None,
        }
    }
}

/// Hides a value whole.
pub(crate) fn hide(kind: Type, value: &[u8], out: &mut Vec<u8>) -> Outcome {
    let (_, body) = kind.split(value);
    kind.write(out, |out| {
        let start = out.len();
        out.extend_from_slice(HIDDEN);
        fit(out, start, json_content(kind, body), kind.chars_max());
    })
}

impl Classes {
    /// Masks a value of a class.
    pub(crate) fn mask(
        &self,
        class: &ClassName,
        transform: Transform,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        match (transform, kind.kind) {
            (Transform::Null, _) => Outcome::Null,
            (Transform::Pseudonym, ValueKind::Uuid) => self.mask_uuid(class, kind.encoding, value, out),
            (_, ValueKind::Json | ValueKind::Jsonb) => self.mask_document(class, transform, kind, value, out),
            (_, ValueKind::Texts { chars_max }) => {
                let start = out.len();
                let masked = texts::mask(kind.encoding, value, out, |element, out| {
                    self.write_text(class, transform, element, chars_max, out);
                });
                if masked.is_err() {
                    out.truncate(start);
                    return Outcome::Null;
                }
                Outcome::Replace
            }
            (Transform::Partial | Transform::Pseudonym | Transform::Redact, _) => {
                kind.write(out, |out| self.write_text(class, transform, value, kind.chars_max(), out))
            }
        }
    }

    /// Appends the mask of a text. A hint of one that holds others would be of any of them.
    pub(crate) fn write_text(
        &self,
        class: &ClassName,
        transform: Transform,
        value: &[u8],
        chars_max: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let is_document = chars_max.is_none() && matches!(value, [b'{' | b'[', ..]);
        let transform = if is_document && transform == Transform::Partial { Transform::Redact } else { transform };
        self.stand_in(class, transform, value, chars_max, out);
    }

    /// Masks the leaves of a JSON document; one that cannot be taken apart is hidden whole.
    fn mask_document(
        &self,
        class: &ClassName,
        transform: Transform,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        let (version, body) = kind.split(value);
        let start = out.len();
        out.extend(version);
        if self.write_document(class, transform, body, out) {
            return Outcome::Replace;
        }
        out.truncate(start);
        kind.write(out, |out| self.stand_in(class, Transform::Redact, body, None, out))
    }

    /// Appends a document with masked leaves; false if it cannot, and then what was appended is of no use.
    fn write_document(&self, class: &ClassName, transform: Transform, body: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(document) = Document::parse(body) else { return false };
        let start = out.len();
        // Names stay, but not what a detector finds in them: where a member stands for a person, they are data too.
        let patches = patches(body, &self.finder.find_by_form(body, Detectors::all()));
        let walked = document.walk(|part| {
            match part {
                Part::Structure(text) => out.extend_from_slice(text),
                Part::Name(place) => self.write_name(body, place, &patches, out),
                Part::Text(place) => {
                    let raw = body.get(place).unwrap_or_default();
                    out.push(b'"');
                    self.stand_in(class, transform, &document::unescaped(raw), None, out);
                    out.push(b'"');
                }
                Part::Bare(_) => out.extend_from_slice(b"null"),
            }
            out.len() - start <= document::STRUCTURE_BYTES_MAX
        });
        walked.is_ok()
    }

    /// Appends a name of a member, but for what is found in it.
    pub(crate) fn write_name(&self, body: &[u8], place: Range<usize>, patches: &[Patch], out: &mut Vec<u8>) {
        let inside = patches_inside(patches, &place);
        let name = body.get(place).unwrap_or_default();
        let plain = document::unescaped(name);
        if *plain != *name && !self.finder.find_by_form(&plain, Detectors::all()).is_empty() {
            // What is found only without its escapes has no place in what is written with them.
            return out.extend_from_slice(b"...");
        }
        self.write_patched(name, &inside, out, |class, content, out| {
            self.stand_in(class, self.transform(class), content, None, out);
        });
    }

    /// A UUID has the same pseudonym in text and in binary.
    fn mask_uuid(&self, class: &ClassName, encoding: Encoding, value: &[u8], out: &mut Vec<u8>) -> Outcome {
        let Some(uuid) = (Type { kind: ValueKind::Uuid, encoding }).uuid(value) else { return Outcome::Null };
        let uuid = self.pseudonyms_of(class).uuid(uuid);
        match encoding {
            Encoding::Binary => out.extend_from_slice(&uuid),
            Encoding::Text => out.extend_from_slice(format_uuid(uuid).as_bytes()),
        }
        Outcome::Replace
    }

    /// Replaces what the detectors find in a value.
    pub(crate) fn scan(
        &self,
        detectors: Detectors,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Outcome {
        self.scan_with(detectors, kind, value, out, counts, |transform| transform)
    }

    /// As [`Self::scan`], in a value that the client itself may have written: a pseudonym would tell which real value
    /// is the one that it guessed.
    pub(crate) fn scan_own(
        &self,
        detectors: Detectors,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Outcome {
        self.scan_with(detectors, kind, value, out, counts, Transform::without_pseudonym)
    }

    fn scan_with(
        &self,
        detectors: Detectors,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
        transform: fn(Transform) -> Transform,
    ) -> Outcome {
        let (version, body) = kind.split(value);
        let mut finds = self.finder.find(body, detectors);
        let encoded = if finds.is_empty() { encoded_bytes(kind, body) } else { None };
        if let Some(bytes) = &encoded {
            finds = self.finder.find(bytes, detectors);
        }
        if finds.is_empty() {
            return Outcome::Keep;
        }
        let found: Detectors = finds.iter().map(|found| found.detector).collect();
        for class in found.iter().filter_map(|detector| self.class_of(detector)) {
            counts.add(class);
        }
        if encoded.is_some() {
            // Where a find lies in the encoded form is not followed.
            return Outcome::Null;
        }
        let patches = match kind.kind {
            ValueKind::Text { .. } => whole_characters(body, &finds),
            ValueKind::Json | ValueKind::Jsonb => patches(body, &finds),
            ValueKind::Texts { .. } | ValueKind::Uuid | ValueKind::Fixed | ValueKind::Opaque => return Outcome::Null,
        };
        out.extend(version);
        let start = out.len();
        self.write_patched(body, &patches, out, |class, content, out| {
            self.stand_in(class, transform(self.transform(class)), content, None, out);
        });
        if let Some(chars) = kind.chars_max() {
            truncate_chars(out, start, chars as usize);
        }
        Outcome::Replace
    }

    /// Replaces what any detector finds in a text by the name of its class: for what is written about operations. What only a
    /// recognizer would find stays, for every statement would wait for it.
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let finds = self.finder.find_by_form(text.as_bytes(), Detectors::all());
        if finds.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        let patches = whole_characters(text.as_bytes(), &finds);
        self.write_patched(text.as_bytes(), &patches, &mut out, |class, _, out| redact(class.as_str(), out));
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    pub(crate) fn write_patched(
        &self,
        body: &[u8],
        patches: &[Patch],
        out: &mut Vec<u8>,
        stand_in: impl Fn(&ClassName, &[u8], &mut Vec<u8>),
    ) {
        let mut at = 0;
        for patch in patches {
            out.extend_from_slice(body.get(at..patch.start).unwrap_or_default());
            let content = body.get(patch.start..patch.end).unwrap_or_default();
            let quote = patch.quote.then_some(b'"');
            out.extend(quote);
            match self.class_of(patch.detector) {
                Some(class) => stand_in(class, content, out),
                None => redact(patch.detector.name(), out),
            }
            out.extend(quote);
            at = patch.end;
        }
        out.extend_from_slice(body.get(at..).unwrap_or_default());
    }

    /// Appends the text that stands for a value: no quotation marks, backslashes or control characters.
    pub(crate) fn stand_in(
        &self,
        class: &ClassName,
        transform: Transform,
        value: &[u8],
        chars_max: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        match transform {
            Transform::Pseudonym => self.pseudonyms_of(class).text(self.form(class), value, chars_max, out),
            Transform::Partial => match std::str::from_utf8(value) {
                Ok(text) => partial::hint(self.form(class), text, out),
                Err(_) => out.extend_from_slice(STARS),
            },
            Transform::Redact | Transform::Null => redact(class.as_str(), out),
        }
        fit(out, start, value, chars_max);
    }
}

fn redact(name: &str, out: &mut Vec<u8>) {
    for part in ["[redacted:", name, "]"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The content of a JSON string without escapes; of anything else all of it. So a value has the same pseudonym as text
/// and as JSON.
fn json_content(kind: Type, body: &[u8]) -> &[u8] {
    match (kind.kind, body) {
        (ValueKind::Json | ValueKind::Jsonb, [b'"', content @ .., b'"']) if memchr2(b'"', b'\\', content).is_none() => {
            content
        }
        (
            ValueKind::Json
            | ValueKind::Jsonb
            | ValueKind::Text { .. }
            | ValueKind::Texts { .. }
            | ValueKind::Uuid
            | ValueKind::Fixed
            | ValueKind::Opaque,
            _,
        ) => body,
    }
}

/// The bytes of a `bytea` in PostgreSQL's hexadecimal text form, its backslash doubled where COPY wrote it.
fn encoded_bytes(kind: Type, body: &[u8]) -> Option<Vec<u8>> {
    let digits = match (kind.kind, kind.encoding) {
        (ValueKind::Text { .. } | ValueKind::Opaque, Encoding::Text) => {
            body.strip_prefix(b"\\x").or_else(|| body.strip_prefix(b"\\\\x"))?
        }
        (ValueKind::Text { .. } | ValueKind::Opaque, Encoding::Binary)
        | (ValueKind::Texts { .. } | ValueKind::Json | ValueKind::Jsonb | ValueKind::Uuid | ValueKind::Fixed, _) => {
            return None;
        }
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    });
    bytes.collect()
}

/// Makes the mask that was written from `start` on fit, and puts another in its place if it happens to hold the value.
fn fit(out: &mut Vec<u8>, start: usize, value: &[u8], chars_max: Option<u32>) {
    cut(out, start, chars_max);
    let mask = out.get(start..).unwrap_or_default();
    // A mask is short: to prepare a search would take longer than to look.
    let first = value.first();
    let holds = || mask.windows(value.len()).any(|part| part.first() == first && part == value);
    if (TELLING_BYTES_MIN..=mask.len()).contains(&value.len()) && holds() {
        out.truncate(start);
        out.extend_from_slice(STARS);
        cut(out, start, chars_max);
    }
}

/// Cuts a mask to what fits.
fn cut(out: &mut Vec<u8>, start: usize, chars_max: Option<u32>) {
    let Some(chars) = chars_max.map(|chars| chars as usize) else { return };
    if truncate_chars(out, start, chars) && chars < CUT_CHARS_MIN {
        out.truncate(start);
        out.extend(std::iter::repeat_n(b'*', chars));
    }
}

/// What is to be replaced in a document, in its order.
pub(crate) fn patches(body: &[u8], finds: &[Found]) -> Vec<Patch> {
    json::fit(body, &whole_finds(body, finds))
}

/// Those in a part of the document, by their places in the part.
pub(crate) fn patches_inside(patches: &[Patch], part: &Range<usize>) -> Vec<Patch> {
    let first = patches.partition_point(|patch| patch.start < part.start);
    let inside = patches.iter().skip(first).take_while(|patch| patch.end <= part.end);
    inside.map(|patch| Patch { start: patch.start - part.start, end: patch.end - part.start, ..*patch }).collect()
}

/// Widens finds so that none begins or ends inside a character.
fn whole_finds(body: &[u8], finds: &[Found]) -> Vec<Found> {
    let is_inside = |at: usize| body.get(at).is_some_and(|byte| matches!(byte, 0x80..=0xBF));
    let mut floor = 0;
    let widen = finds.iter().map(|found| {
        let mut whole = *found;
        while whole.start > floor && is_inside(whole.start) {
            whole.start -= 1;
        }
        whole.start = whole.start.max(floor);
        while is_inside(whole.end) {
            whole.end += 1;
        }
        floor = whole.end;
        whole
    });
    widen.filter(|whole| whole.start < whole.end).collect()
}

fn whole_characters(body: &[u8], finds: &[Found]) -> Vec<Patch> {
    let whole = whole_finds(body, finds);
    let patch = |found: Found| {
        let Found { start, end, detector } = found;
        Patch { start, end, detector, quote: false }
    };
    whole.into_iter().map(patch).collect()
}

/// Cuts what was written from `start` on to so many characters; true if there were more.
fn truncate_chars(out: &mut Vec<u8>, start: usize, chars: usize) -> bool {
    if out.len() - start <= chars {
        return false;
    }
    let written = out.iter().enumerate().skip(start);
    let mut characters = written.filter(|(_, byte)| !matches!(byte, 0x80..=0xBF));
    let end = characters.nth(chars).map(|(place, _)| place);
    if let Some(end) = end {
        out.truncate(end);
    }
    end.is_some()
}

/// Reads a UUID in any of PostgreSQL's input forms.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut uuid = [0_u8; 16];
    let mut digits = text.iter().filter(|byte| !matches!(byte, b'-' | b'{' | b'}'));
    let mut digit = || digits.next().and_then(|byte| char::from(*byte).to_digit(16));
    for byte in &mut uuid {
        let (high, low) = (digit()?, digit()?);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digit().is_none().then_some(uuid)
}

fn format_uuid(uuid: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in uuid.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit(u32::from(*digit), 16)));
    }
    text
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::{ClassRule, Detector, PseudonymKey};

    const TEXT: ValueKind = ValueKind::Text { chars_max: None };

    static CLASSES: LazyLock<Classes> =
        LazyLock::new(|| Classes::new(Classes::builtin(), BTreeMap::new(), PseudonymKey::new([7; 32]), None).unwrap());

    /// All detectors redact, but for cards, which keep a hint.
    static REDACTING: LazyLock<Classes> = LazyLock::new(|| {
        let rules = Detector::ALL.map(|detector| ClassRule {
            name: ClassName::new(detector.name()).unwrap(),
            transform: if detector == Detector::PaymentCard { Transform::Partial } else { Transform::Redact },
            column_names: Vec::new(),
            detector: Some(detector),
        });
        Classes::new(rules.into(), BTreeMap::new(), PseudonymKey::new([7; 32]), None).unwrap()
    });

    fn class(name: &str) -> ClassName {
        ClassName::new(name).unwrap()
    }

    fn mask_bytes(name: &str, transform: Transform, kind: Type, value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match CLASSES.mask(&class(name), transform, kind, value, &mut out) {
            Outcome::Keep => panic!("a masked value was kept"),
            Outcome::Null => None,
            Outcome::Replace => Some(out),
        }
    }

    fn mask(name: &str, transform: Transform, kind: ValueKind, value: &str) -> Option<String> {
        let kind = Type { kind, encoding: Encoding::Text };
        mask_bytes(name, transform, kind, value.as_bytes()).map(|out| String::from_utf8(out).unwrap())
    }

    fn scan_with(classes: &Classes, kind: ValueKind, value: &str) -> String {
        let kind = Type { kind, encoding: Encoding::Text };
        let mut out = Vec::new();
        match classes.scan(Detectors::all(), kind, value.as_bytes(), &mut out, &mut Counts::default()) {
            Outcome::Keep => value.to_owned(),
            Outcome::Null => "NULL".to_owned(),
            Outcome::Replace => String::from_utf8(out).unwrap(),
        }
    }

    fn scan(kind: ValueKind, value: &str) -> String {
        scan_with(&REDACTING, kind, value)
    }

    #[test]
    fn masks_are_valid_for_their_kind() {
        let short = |chars| ValueKind::Text { chars_max: Some(chars) };
        let texts = |chars_max| ValueKind::Texts { chars_max };
        for (kind, transform, value, expected) in [
            (TEXT, Transform::Redact, "bob@example.com", Some("[redacted:email]")),
            (TEXT, Transform::Partial, "robert.tables@example.com", Some("r***@e***.com")),
            (TEXT, Transform::Null, "bob@example.com", None),
            (short(9), Transform::Redact, "bob@x.com", Some("[redacted")),
            (short(2), Transform::Redact, "bo", Some("**")),
            (short(0), Transform::Redact, "", Some("")),
            (TEXT, Transform::Partial, "{\"a\":\"bob@x.com\"}", Some("[redacted:email]")),
            (ValueKind::Json, Transform::Redact, "\"bob@x.com\"", Some("\"[redacted:email]\"")),
            (ValueKind::Json, Transform::Partial, "{\"a\":\"bob@example.com\"}", Some("{\"a\":\"b***@e***.***\"}")),
            (ValueKind::Json, Transform::Null, "{\"a\":\"bob@x.com\"}", None),
            (ValueKind::Jsonb, Transform::Redact, "null", Some("null")),
            (ValueKind::Uuid, Transform::Redact, "550e8400-e29b-41d4-a716-446655440000", None),
            (ValueKind::Fixed, Transform::Redact, "2001-01-01", None),
            (ValueKind::Fixed, Transform::Pseudonym, "17", None),
            (ValueKind::Opaque, Transform::Redact, "{bob@x.com}", None),
            (ValueKind::Opaque, Transform::Pseudonym, "17", None),
            (
                texts(None),
                Transform::Redact,
                "{a,NULL,\"b c\"}",
                Some("{\"[redacted:email]\",NULL,\"[redacted:email]\"}"),
            ),
            (texts(Some(9)), Transform::Redact, "{bob@x.com}", Some("{\"[redacted\"}")),
            (texts(None), Transform::Partial, "{bob@example.com}", Some("{\"b***@e***.***\"}")),
            (texts(None), Transform::Null, "{bob@x.com}", None),
            (texts(None), Transform::Redact, "{{a},{b}}", None),
            (texts(None), Transform::Redact, "bob@x.com", None),
            (TEXT, Transform::Redact, "[redacted:email]", Some("***")),
        ] {
            assert_eq!(mask("email", transform, kind, value).as_deref(), expected, "{kind:?} {transform} {value}");
        }
    }

    #[test]
    fn binary_jsonb_keeps_its_version() {
        let kind = Type { kind: ValueKind::Jsonb, encoding: Encoding::Binary };
        let masked = mask_bytes("email", Transform::Redact, kind, b"\x01\"bob@x.com\"").unwrap();
        assert_eq!(masked, b"\x01\"[redacted:email]\"");
        let masked = mask_bytes("email", Transform::Redact, kind, b"\x01{\"a\": [\"bob@x.com\", 1]}").unwrap();
        assert_eq!(masked, b"\x01{\"a\": [\"[redacted:email]\", null]}");
        let mut out = Vec::new();
        let value = b"\x01{\"a\": \"bob@x.com\"}";
        let outcome = REDACTING.scan(Detectors::all(), kind, value, &mut out, &mut Counts::default());
        assert_eq!((outcome, out.as_slice()), (Outcome::Replace, b"\x01{\"a\": \"[redacted:email]\"}".as_slice()));
    }

    #[test]
    fn documents_keep_their_structure() {
        for (value, expected) in [
            (
                r#"{"name": "Bob", "tags": ["a", ["b"]], "home": {"no": 17, "is_own": true, "flat": null}}"#,
                r#"{"name": "[redacted:email]", "tags": ["[redacted:email]", ["[redacted:email]"]], "home": {"no": null, "is_own": null, "flat": null}}"#,
            ),
            ("[]", "[]"),
            (" {} ", " {} "),
            ("-1.5e3", "null"),
            ("[1e999,\n2]", "[null,\nnull]"),
            // What looks like a name is none where no colon follows, and a colon in a text makes none.
            (r#"["a","b: c"]"#, r#"["[redacted:email]","[redacted:email]"]"#),
            (r#"{"a\"b" : "c\\"}"#, r#"{"a\"b" : "[redacted:email]"}"#),
            (r#"{"é":"\ud800"}"#, r#"{"é":"[redacted:email]"}"#),
            // Of two members of a name, both stay.
            (r#"{"a":1,"a":"x"}"#, r#"{"a":null,"a":"[redacted:email]"}"#),
            // A name that is data is masked as a find is.
            (r#"{"ssn 123-45-6789!":{"x":1}}"#, r#"{"ssn [redacted:us_ssn]!":{"x":null}}"#),
            (r#"{"bob\u0040x.com":1,"caf\u00e9":2}"#, r#"{"...":null,"caf\u00e9":null}"#),
        ] {
            for kind in [ValueKind::Json, ValueKind::Jsonb] {
                assert_eq!(mask("email", Transform::Redact, kind, value).as_deref(), Some(expected), "{value}");
            }
        }
        let escaped =
            mask("email", Transform::Pseudonym, ValueKind::Json, r#"["bob\u0040x.com", "bob@x.com"]"#).unwrap();
        let text = mask("email", Transform::Pseudonym, TEXT, "bob@x.com").unwrap();
        assert_eq!(escaped, format!("[\"{text}\", \"{text}\"]"));
    }

    #[test]
    fn documents_that_cannot_be_taken_apart_are_hidden_whole() {
        let nested = |depth: usize| format!("{}\"bob@x.com\"{}", "[".repeat(depth), "]".repeat(depth));
        let long = format!("[\"{}\"]", "x".repeat(document::STRUCTURE_BYTES_MAX));
        // Short enough by itself, but its masks are not.
        let many = format!("[{}\"\"]", "\"\",".repeat(document::STRUCTURE_BYTES_MAX / 4));
        let hidden = Some("\"[redacted:email]\"");
        for value in [
            "",
            "{",
            "{\"a\":}",
            "{'a':1}",
            "[\"bob@x.com\"] 1",
            "[NaN]",
            &nested(document::DEPTH_MAX + 1),
            &long,
            &many,
        ] {
            for transform in [Transform::Redact, Transform::Partial, Transform::Pseudonym] {
                assert_eq!(mask("email", transform, ValueKind::Json, value).as_deref(), hidden, "{transform}");
            }
        }
        let deep = nested(document::DEPTH_MAX);
        let masked = mask("email", Transform::Redact, ValueKind::Json, &deep).unwrap();
        assert_eq!(masked, deep.replace("bob@x.com", "[redacted:email]"));

        // In an encoding such as SJIS the second byte of a character may be a backslash.
        let kind = Type { kind: ValueKind::Json, encoding: Encoding::Text };
        assert_eq!(mask_bytes("email", Transform::Redact, kind, b"[\"\x95\x5c\"]").unwrap(), b"\"[redacted:email]\"");
        let kind = Type { kind: ValueKind::Jsonb, encoding: Encoding::Binary };
        assert_eq!(mask_bytes("email", Transform::Redact, kind, b"\x01{").unwrap(), b"\x01\"[redacted:email]\"");
    }

    #[test]
    fn pseudonyms_are_equal_across_kinds_and_encodings() {
        let text = mask("email", Transform::Pseudonym, TEXT, "bob@x.com").unwrap();
        let json = mask("email", Transform::Pseudonym, ValueKind::Json, "\"bob@x.com\"").unwrap();
        assert_eq!(json, format!("\"{text}\""));
        let texts = mask("email", Transform::Pseudonym, ValueKind::Texts { chars_max: None }, "{bob@x.com}").unwrap();
        assert_eq!(texts, format!("{{\"{text}\"}}"));
        let found = scan_with(&CLASSES, TEXT, "write to bob@x.com now");
        assert_eq!(found, format!("write to {text} now"));

        let as_text =
            mask("id", Transform::Pseudonym, ValueKind::Uuid, "550E8400-e29b-41d4-a716-446655440000").unwrap();
        let value = parse_uuid(b"550e8400e29b41d4a716446655440000").unwrap();
        let kind = Type { kind: ValueKind::Uuid, encoding: Encoding::Binary };
        let as_bytes = mask_bytes("id", Transform::Pseudonym, kind, &value).unwrap();
        assert_eq!(parse_uuid(as_text.as_bytes()).unwrap().as_slice(), as_bytes);
        assert_eq!(as_text.len(), 36);
        assert_eq!(mask("id", Transform::Pseudonym, ValueKind::Uuid, "no uuid"), None);
    }

    #[test]
    fn finds_are_replaced_in_place() {
        for (kind, value, expected) in [
            (TEXT, "to bob@x.com, eve@y.org.", "to [redacted:email], [redacted:email]."),
            (TEXT, "card 4111111111111111!", "card **** **** **** 1111!"),
            (TEXT, "nothing here", "nothing here"),
            (ValueKind::Json, "{\"n\":4111111111111111}", "{\"n\":\"**** **** **** 1111\"}"),
            (
                ValueKind::Json,
                "{\"bob@x.com\":[\"\\nbob@x.com\\n\"]}",
                "{\"[redacted:email]\":[\"[redacted:email]\\n\"]}",
            ),
            (ValueKind::Json, "[\"\\u00e9bob@x.com\"]", "[\"[redacted:email]\"]"),
            (ValueKind::Opaque, "bob@x.com", "NULL"),
            (ValueKind::Opaque, "{1,bob@x.com,2}", "NULL"),
            (ValueKind::Opaque, "{1,2}", "{1,2}"),
            (ValueKind::Texts { chars_max: None }, "{a,bob@x.com}", "NULL"),
            (ValueKind::Texts { chars_max: None }, "{a,b}", "{a,b}"),
            (ValueKind::Opaque, "\\x626f6240782e636f6d", "NULL"),
            (TEXT, "\\\\x626F6240782E636F6D", "NULL"),
            (ValueKind::Opaque, "\\x626f62", "\\x626f62"),
            (ValueKind::Text { chars_max: Some(10) }, "é bob@x.co", "é [redacte"),
            (TEXT, "postgres://app:hunter2@db.example/x", "postgres://app:[redacted:url_password]@db.example/x"),
        ] {
            assert_eq!(scan(kind, value), expected);
        }
    }

    #[test]
    fn what_the_client_may_have_written_gets_no_pseudonym() {
        let kind = Type { kind: TEXT, encoding: Encoding::Text };
        let mut out = Vec::new();
        let value = b"to bob@x.com";
        let outcome = CLASSES.scan_own(Detectors::all(), kind, value, &mut out, &mut Counts::default());
        assert_eq!((outcome, out.as_slice()), (Outcome::Replace, b"to [redacted:email]".as_slice()));
    }

    #[test]
    fn texts_are_scrubbed() {
        assert_eq!(CLASSES.scrub("ask bob@x.com"), "ask [redacted:email]");
        assert!(matches!(CLASSES.scrub("ask nobody"), Cow::Borrowed("ask nobody")));
        let bare = Classes::new(Vec::new(), BTreeMap::new(), PseudonymKey::new([7; 32]), None).unwrap();
        assert_eq!(bare.scrub("call +14155550123"), "call [redacted:phone_number]");
    }

    fn kinds() -> impl Strategy<Value = Type> {
        let kind = prop_oneof![
            prop::option::of(0_u32..30).prop_map(|chars_max| ValueKind::Text { chars_max }),
            prop::option::of(0_u32..30).prop_map(|chars_max| ValueKind::Texts { chars_max }),
            Just(ValueKind::Json),
            Just(ValueKind::Jsonb),
            Just(ValueKind::Uuid),
            Just(ValueKind::Fixed),
            Just(ValueKind::Opaque),
        ];
        let encoding = prop_oneof![Just(Encoding::Text), Just(Encoding::Binary)];
        (kind, encoding).prop_map(|(kind, encoding)| Type { kind, encoding })
    }

    fn check_valid(kind: Type, outcome: Outcome, out: &[u8]) -> Result<(), TestCaseError> {
        if outcome != Outcome::Replace {
            prop_assert!(out.is_empty());
            return Ok(());
        }
        if let Some(chars_max) = kind.chars_max() {
            let chars = out.iter().filter(|byte| !matches!(byte, 0x80..=0xBF)).count();
            prop_assert!(chars <= chars_max as usize, "{:?}", out);
        }
        if matches!(kind.kind, ValueKind::Json | ValueKind::Jsonb) {
            let (version, body) = kind.split(out);
            prop_assert!(version.is_none() || out.first() == Some(&1));
            prop_assert!(serde_json::from_slice::<serde_json::Value>(body).is_ok(), "{:?}", body);
        }
        Ok(())
    }

    /// Text that is dense with what detectors look for.
    const LIKELY: &str =
        "(bob@x\\.com|4111111111111111|\\+14155550123|123-45-6789|://a:pw@h|\\\\n|\\\\|\"|é|[ -~]|\\PC){0,12}";

    proptest! {
        #[test]
        fn masks_of_any_bytes_are_valid(kind in kinds(), value in prop::collection::vec(any::<u8>(), 0..60), form in 0_usize..4) {
            let name = ["email", "person_name", "payment_card", "thing"][form];
            for transform in Transform::ALL {
                let mut out = Vec::new();
                let outcome = CLASSES.mask(&class(name), transform, kind, &value, &mut out);
                check_valid(kind, outcome, &out)?;
                prop_assert!(value.len() < 6 || memmem::find(&out, &value).is_none());
            }
            let mut out = Vec::new();
            let outcome = hide(kind, &value, &mut out);
            check_valid(kind, outcome, &out)?;
        }

        #[test]
        fn masks_of_texts_do_not_hold_them(value in "\\PC{6,40}", chars_max in prop::option::of(0_u32..50)) {
            let kind = Type { kind: ValueKind::Text { chars_max }, encoding: Encoding::Text };
            for name in ["email", "phone", "us_ssn", "person_name", "payment_card", "thing"] {
                for transform in Transform::ALL {
                    let mut out = Vec::new();
                    let outcome = CLASSES.mask(&class(name), transform, kind, value.as_bytes(), &mut out);
                    check_valid(kind, outcome, &out)?;
                    prop_assert!(memmem::find(&out, value.as_bytes()).is_none());
                }
            }
        }

        #[test]
        fn scans_of_any_bytes_do_not_fail(kind in kinds(), value in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            REDACTING.scan(Detectors::all(), kind, &value, &mut out, &mut Counts::default());
        }

        #[test]
        fn masked_documents_keep_names_and_no_leaves(names in prop::collection::vec("[a-z]{1,8}", 1..5), texts in prop::collection::vec("\\PC{6,20}", 1..5), binary in any::<bool>()) {
            let members: serde_json::Map<String, serde_json::Value> =
                names.iter().cloned().zip(texts.iter().map(|text| serde_json::json!([text, 17, { "inner": text }]))).collect();
            let encoding = if binary { Encoding::Binary } else { Encoding::Text };
            let kind = Type { kind: ValueKind::Jsonb, encoding };
            let mut value = if binary { vec![1] } else { Vec::new() };
            value.extend(serde_json::Value::Object(members.clone()).to_string().bytes());
            for transform in [Transform::Redact, Transform::Partial, Transform::Pseudonym] {
                let mut out = Vec::new();
                let outcome = CLASSES.mask(&class("thing"), transform, kind, &value, &mut out);
                prop_assert_eq!(outcome, Outcome::Replace);
                let (_, body) = kind.split(&out);
                let masked: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).unwrap();
                prop_assert_eq!(masked.keys().collect::<Vec<_>>(), members.keys().collect::<Vec<_>>());
                for (name, before) in &members {
                    let now = &masked[name.as_str()];
                    prop_assert!(now[0].is_string() && now[0] != before[0] && now[2]["inner"] == now[0]);
                    prop_assert!(now[1].is_null());
                }
            }
        }

        #[test]
        fn scanned_text_stays_text(value in LIKELY, chars_max in prop::option::of(0_u32..30)) {
            let kind = Type { kind: ValueKind::Text { chars_max }, encoding: Encoding::Text };
            let mut out = Vec::new();
            let outcome = REDACTING.scan(Detectors::all(), kind, value.as_bytes(), &mut out, &mut Counts::default());
            check_valid(kind, outcome, &out)?;
            prop_assert!(String::from_utf8(out).is_ok());
        }

        #[test]
        fn scanned_json_stays_json(texts in prop::collection::vec(LIKELY, 0..4), number in any::<i64>(), binary in any::<bool>()) {
            let json = serde_json::json!({ "texts": texts, "number": number, "card": 4111111111111111_u64 });
            let encoding = if binary { Encoding::Binary } else { Encoding::Text };
            let kind = Type { kind: ValueKind::Jsonb, encoding };
            let mut value = if binary { vec![1] } else { Vec::new() };
            value.extend(json.to_string().bytes());
            let mut out = Vec::new();
            let outcome = REDACTING.scan(Detectors::all(), kind, &value, &mut out, &mut Counts::default());
            prop_assert_eq!(outcome, Outcome::Replace);
            check_valid(kind, outcome, &out)?;
        }
    }
}
