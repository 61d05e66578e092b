//! Fields of JSON documents that are of a class, so that they alone are masked and the rest stays as it is.
//!
//! Knows paths, and how a document is walked by them. Who may see which field is settled before.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::ops::Range;

use gatehouse_model::ClassName;

use crate::detect::Detectors;
use crate::document::{self, DEPTH_MAX, Document, Part, STRUCTURE_BYTES_MAX};
use crate::json::Patch;
use crate::plan::{Counts, Outcome};
use crate::replace::{self, Type};
use crate::{Classes, Transform};

/// How long a path may be, in bytes.
const PATH_BYTES_MAX: usize = 512;

/// The way to a field of a document: names with dots between them. It goes through lists, whose places do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Box<str>);

/// Why a text is no [`FieldPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathError(&'static str);

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for PathError {}

impl FieldPath {
    /// Reads a path such as `contact.email`, or `items[].email`, where `[]` says no more than that there is a list.
    ///
    /// # Errors
    /// When it leads to no field, or is written as another language has it and would lead to none.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PathError("the path is longer than 512 bytes"));
        }
        if path.contains("->") || path.starts_with(['/', '"', '\'', '{']) {
            return Err(PathError("the path is not names with dots between them"));
        }
        let mut names = Vec::new();
        for (place, part) in path.split('.').enumerate() {
            let name = part.trim_end_matches("[]");
            match name {
                // The document itself is a list.
                "" if place == 0 && !part.is_empty() => continue,
                "" => return Err(PathError("a name is missing in the path")),
                "$" if place == 0 => return Err(PathError("a path begins with a name, not with `$`")),
                "*" => return Err(PathError("`*` stands for no name in a path")),
                name if name.contains(['[', ']']) => {
                    return Err(PathError("the places of a list are not told apart in a path"));
                }
                name if name.trim() != name => return Err(PathError("there are spaces around a name of the path")),
                name => names.push(name),
            }
        }
        if names.is_empty() {
            return Err(PathError("the path leads to no field"));
        }
        if names.len() > DEPTH_MAX {
            return Err(PathError("the path is deeper than 128 names"));
        }
        Ok(Self(names.join(".").into()))
    }

    /// The names, with dots between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The fields of a document that are masked, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// What this one is of, with all that is in it.
    class: Option<(ClassName, Transform)>,
    inner: BTreeMap<Box<str>, Fields>,
}

impl Fields {
    /// The classes that anything is masked as.
    pub fn classes(&self) -> BTreeSet<&ClassName> {
        let own = self.class.iter().map(|(class, _)| class);
        own.chain(self.inner.values().flat_map(Self::classes)).collect()
    }

    /// A field is of a class. Of several the strictest mask counts.
    pub(crate) fn insert(&mut self, path: &str, class: ClassName, transform: Transform) {
        let mut field = self;
        for name in path.split('.') {
            field = field.inner.entry(name.into()).or_default();
        }
        if field.class.as_ref().is_none_or(|(_, so_far)| transform > *so_far) {
            field.class = Some((class, transform));
        }
    }

    /// The strictest of all masks; `None` if nothing is masked.
    pub(crate) fn strictest(&self) -> Option<&(ClassName, Transform)> {
        let inner = self.inner.values().filter_map(Self::strictest);
        self.class.iter().chain(inner).max_by_key(|(_, transform)| *transform)
    }
}

impl Classes {
    /// Masks the fields of a document, and what the detectors find in the rest. A document that cannot be taken apart is
    /// hidden whole.
    pub(crate) fn mask_fields(
        &self,
        fields: &Fields,
        detectors: Detectors,
        kind: Type,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Outcome {
        let (version, body) = kind.split(value);
        let Some(document) = Document::parse(body) else {
            counts.hide();
            return replace::hide(kind, value, out);
        };
        let start = out.len();
        out.extend(version);
        let mut masking = Masking::new(self, fields, detectors, body);
        let walked = document.walk(|part| {
            masking.meet(&part, out);
            out.len() - start <= STRUCTURE_BYTES_MAX
        });
        if walked.is_err() {
            out.truncate(start);
            counts.hide();
            return replace::hide(kind, value, out);
        }
        if out.get(start..) == Some(value) {
            out.truncate(start);
            return Outcome::Keep;
        }
        for class in masking.masked {
            counts.add(&class);
        }
        Outcome::Replace
    }
}

/// Where in a document a value is.
#[derive(Clone, Copy)]
struct At<'m> {
    /// The fields that lie from here on.
    fields: Option<&'m Fields>,
    /// What it is of, because it or something around it is.
    class: Option<&'m (ClassName, Transform)>,
}

impl<'m> At<'m> {
    fn root(fields: &'m Fields) -> Self {
        Self { fields: Some(fields), class: fields.class.as_ref() }
    }

    /// The member of a name. A name with dots counts for several as well, as in documents that were made flat.
    fn member(self, name: &str) -> Self {
        name.split('.').fold(self, |at, name| {
            let fields = at.fields.and_then(|fields| fields.inner.get(name));
            let own = fields.and_then(|fields| fields.class.as_ref());
            Self { fields, class: stricter(at.class, own) }
        })
    }

    /// What a text is masked as. One that is a document itself may have in it what lies further on: then it is masked whole.
    fn class_of(self, text: &[u8]) -> Option<(&'m ClassName, Transform)> {
        if let Some((class, transform)) = self.class {
            return Some((class, *transform));
        }
        let (class, transform) = self.fields.filter(|_| is_document(text))?.strictest()?;
        // A hint of a document would be of any field of it, and nothing is to be named by a document's pseudonym.
        Some((class, if *transform == Transform::Null { Transform::Null } else { Transform::Redact }))
    }
}

/// Of two masks of equal strictness the outer one counts.
fn stricter<'m>(
    outer: Option<&'m (ClassName, Transform)>,
    own: Option<&'m (ClassName, Transform)>,
) -> Option<&'m (ClassName, Transform)> {
    match (outer, own) {
        (Some(outer), Some(own)) => Some(if own.1 > outer.1 { own } else { outer }),
        (one, other) => one.or(other),
    }
}

/// Whether a text is written as an object, a list or a text of JSON.
fn is_document(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'))
}

/// An object or a list that is open.
struct Open<'m> {
    at: At<'m>,
    /// Where the value in it is that comes next: of a list, where the list is.
    next: At<'m>,
}

/// A document on its way into the output.
struct Masking<'m> {
    classes: &'m Classes,
    body: &'m [u8],
    root: At<'m>,
    open: Vec<Open<'m>>,
    /// How many objects and lists are open of which the outermost became `null`.
    absent: usize,
    /// What is found in what is of no class.
    finds: Vec<Patch>,
    /// What any detector finds by form in names, once one in a field of a class is met.
    finds_in_names: Option<Vec<Patch>>,
    /// The classes of what was masked.
    masked: Vec<ClassName>,
}

impl<'m> Masking<'m> {
    fn new(classes: &'m Classes, fields: &'m Fields, detectors: Detectors, body: &'m [u8]) -> Self {
        Self {
            classes,
            body,
            root: At::root(fields),
            open: Vec::new(),
            absent: 0,
            finds: replace::patches(body, &classes.finder.find(body, detectors)),
            finds_in_names: None,
            masked: Vec::new(),
        }
    }

    fn meet(&mut self, part: &Part<'_>, out: &mut Vec<u8>) {
        match part {
            Part::Structure(text) => text.iter().for_each(|byte| self.structure(*byte, out)),
            Part::Name(place) => self.name(place, out),
            Part::Text(place) => self.text(place, out),
            Part::Bare(place) => self.bare(place, out),
        }
    }

    fn here(&self) -> At<'m> {
        self.open.last().map_or(self.root, |open| open.next)
    }

    fn content(&self, place: &Range<usize>) -> &'m [u8] {
        self.body.get(place.clone()).unwrap_or_default()
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let is_absent = self.absent > 0;
        match byte {
            b'{' | b'[' => {
                let at = self.here();
                if let Some((class, Transform::Null)) = at.class.filter(|_| !is_absent) {
                    self.note(class);
                    out.extend_from_slice(b"null");
                    self.absent = 1;
                } else if is_absent {
                    self.absent += 1;
                } else {
                    out.push(byte);
                }
                self.open.push(Open { at, next: at });
            }
            b'}' | b']' => {
                self.open.pop();
                self.absent = self.absent.saturating_sub(1);
                if !is_absent {
                    out.push(byte);
                }
            }
            _ if is_absent => {}
            _ => out.push(byte),
        }
    }

    fn name(&mut self, place: &Range<usize>, out: &mut Vec<u8>) {
        let name = document::unescaped(self.content(place));
        let Some(open) = self.open.last_mut() else { return };
        let (at, name) = (open.at, String::from_utf8_lossy(&name));
        open.next = at.member(&name);
        if self.absent > 0 {
            return;
        }
        if at.class.is_none() {
            return self.found(place, out);
        }
        let (classes, body) = (self.classes, self.body);
        let finds = self
            .finds_in_names
            .get_or_insert_with(|| replace::patches(body, &classes.finder.find_by_form(body, Detectors::all())));
        classes.write_name(body, place.clone(), finds, out);
    }

    fn text(&mut self, place: &Range<usize>, out: &mut Vec<u8>) {
        if self.absent > 0 {
            return;
        }
        let text: Cow<'m, [u8]> = document::unescaped(self.content(place));
        match self.here().class_of(&text) {
            Some((class, Transform::Null)) => {
                self.note(class);
                out.extend_from_slice(b"null");
            }
            Some((class, transform)) => {
                self.note(class);
                out.push(b'"');
                self.classes.write_text(class, transform, &text, None, out);
                out.push(b'"');
            }
            None => {
                out.push(b'"');
                self.found(place, out);
                out.push(b'"');
            }
        }
    }

    fn bare(&mut self, place: &Range<usize>, out: &mut Vec<u8>) {
        if self.absent > 0 {
            return;
        }
        let Some((class, _)) = self.here().class else { return self.found(place, out) };
        if self.content(place) != b"null" {
            self.note(class);
        }
        out.extend_from_slice(b"null");
    }

    /// Appends what is of no class, but for what is found in it.
    fn found(&mut self, place: &Range<usize>, out: &mut Vec<u8>) {
        let inside = replace::patches_inside(&self.finds, place);
        for patch in &inside {
            if let Some(class) = self.classes.class_of(patch.detector) {
                self.note(class);
            }
        }
        self.classes.write_patched(self.content(place), &inside, out, |class, content, out| {
            self.classes.stand_in(class, self.classes.transform(class), content, None, out);
        });
    }

    fn note(&mut self, class: &ClassName) {
        if !self.masked.contains(class) {
            self.masked.push(class.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use gatehouse_model::{Encoding, ValueKind};
    use proptest::prelude::*;

    use super::*;
    use crate::PseudonymKey;

    static CLASSES: LazyLock<Classes> =
        LazyLock::new(|| Classes::new(Classes::builtin(), BTreeMap::new(), PseudonymKey::new([7; 32]), None).unwrap());

    fn fields(all: &[(&str, &str, Transform)]) -> Fields {
        let mut fields = Fields::default();
        for (path, class, transform) in all {
            let path = FieldPath::parse(path).unwrap();
            fields.insert(path.as_str(), ClassName::new(class).unwrap(), *transform);
        }
        fields
    }

    fn mask(fields: &Fields, kind: Type, value: &[u8]) -> (Outcome, Vec<u8>, Counts) {
        let (mut out, mut counts) = (b"before".to_vec(), Counts::default());
        let outcome = CLASSES.mask_fields(fields, Detectors::all(), kind, value, &mut out, &mut counts);
        assert_eq!(out.get(..6), Some(b"before".as_slice()));
        (outcome, out.split_off(6), counts)
    }

    /// What is shown of a document, in text and in binary form.
    fn check(all: &[(&str, &str, Transform)], value: &str, expected: &str) {
        let fields = fields(all);
        for (kind, encoding, version) in [
            (ValueKind::Json, Encoding::Text, b"".as_slice()),
            (ValueKind::Json, Encoding::Binary, b"".as_slice()),
            (ValueKind::Jsonb, Encoding::Text, b"".as_slice()),
            (ValueKind::Jsonb, Encoding::Binary, b"\x01".as_slice()),
        ] {
            let written = [version, value.as_bytes()].concat();
            let (outcome, out, _) = mask(&fields, Type { kind, encoding }, &written);
            let shown = match outcome {
                Outcome::Keep => {
                    assert!(out.is_empty(), "{value}");
                    written
                }
                Outcome::Replace => out,
                Outcome::Null => panic!("{value} became NULL"),
            };
            assert_eq!(String::from_utf8(shown).unwrap(), format!("{}{expected}", String::from_utf8_lossy(version)));
        }
    }

    const REDACT: Transform = Transform::Redact;

    #[test]
    fn fields_are_masked_where_they_are_and_nothing_else() {
        let all = [("contact.email", "email", REDACT), ("items[].name", "person_name", REDACT)];
        for (value, expected) in [
            (
                r#"{"contact": {"email": "bob at home", "city": "Rome"},  "email": "x"}"#,
                r#"{"contact": {"email": "[redacted:email]", "city": "Rome"},  "email": "x"}"#,
            ),
            // Through lists, also lists of lists, and lists where there might be none.
            (
                r#"{"items":[{"name":"a","n":1},[{"name":"b"}],"c",2],"contact":[{"email":"d"}]}"#,
                r#"{"items":[{"name":"[redacted:person_name]","n":1},[{"name":"[redacted:person_name]"}],"c",2],"contact":[{"email":"[redacted:email]"}]}"#,
            ),
            (r#"[{"contact":{"email":"a"}}]"#, r#"[{"contact":{"email":"[redacted:email]"}}]"#),
            // All that is in a field is of its class, whatever it is.
            (
                r#"{"contact":{"email":{"work":["a",17],"ok":true,"no":null}}}"#,
                r#"{"contact":{"email":{"work":["[redacted:email]",null],"ok":null,"no":null}}}"#,
            ),
            // Each of two members of a name; a name that is written with escapes; one that stands for two.
            (
                r#"{"contact":{"email":"a"},"contact":{"email":1,"em\u0061il":"b"}}"#,
                r#"{"contact":{"email":"[redacted:email]"},"contact":{"email":null,"em\u0061il":"[redacted:email]"}}"#,
            ),
            (r#"{"contact.email":"a"}"#, r#"{"contact.email":"[redacted:email]"}"#),
            // Names are what they are in every letter, and a path that leads nowhere masks nothing.
            (
                r#"{"Contact":{"email":"a"},"contact":{"Email":"b"}}"#,
                r#"{"Contact":{"email":"a"},"contact":{"Email":"b"}}"#,
            ),
            (r#"{"contact":"none","items":7}"#, r#"{"contact":"none","items":7}"#),
            (r#"{"contact":null}"#, r#"{"contact":null}"#),
            (r#"{"contact":{"email":null}}"#, r#"{"contact":{"email":null}}"#),
            ("17", "17"),
            (" [] ", " [] "),
            // What is a document in a text, on the way to a field, is masked whole.
            (
                r#"{"contact":"{\"email\":\"a\"}","items":[" [1]"],"raw":"{\"email\":\"a\"}"}"#,
                r#"{"contact":"[redacted:email]","items":["[redacted:person_name]"],"raw":"{\"email\":\"a\"}"}"#,
            ),
            (r#""{\"contact\":{}}""#, r#""[redacted:person_name]""#),
            // Detectors look at the rest, and at names in what is masked.
            (
                r#"{"note":"ssn 123-45-6789","contact":{"email":{"123-45-6789":1}}}"#,
                r#"{"note":"ssn [redacted:us_ssn]","contact":{"email":{"[redacted:us_ssn]":null}}}"#,
            ),
        ] {
            check(&all, value, expected);
        }
    }

    #[test]
    fn masks_are_those_of_the_classes() {
        let all =
            [("a", "phone", Transform::Partial), ("a.b", "iban", REDACT), ("c", "date_of_birth", Transform::Null)];
        check(
            &all,
            r#"{"a":{"x":"+14155550123","b":"y"},"c":{"d":[1,{"e":2}]},"f":[{"c":"1.1.1970"}],"g":3}"#,
            r#"{"a":{"x":"***23","b":"[redacted:iban]"},"c":null,"f":[{"c":"1.1.1970"}],"g":3}"#,
        );
        check(&all, r#"[{"c":"1.1.1970"},{"c":[]},{"c":4}]"#, r#"[{"c":null},{"c":null},{"c":null}]"#);
        // A hint of a document would be of any field of it.
        check(&all, r#"{"a":"{\"x\":\"+14155550123\"}"}"#, r#"{"a":"[redacted:phone]"}"#);
        let kind = Type { kind: ValueKind::Jsonb, encoding: Encoding::Text };
        let (_, out, counts) = mask(&fields(&all), kind, br#"{"a":["+14155550123","+14155550124"],"c":1}"#);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":["***23","***24"],"c":null}"#);
        let classes = counts.classes().into_iter().map(|(class, count)| format!("{class} {count}")).collect::<Vec<_>>();
        assert_eq!(classes, ["date_of_birth 1", "phone 1"]);
        let pseudonym = fields(&[("a", "email", Transform::Pseudonym)]);
        let (_, out, _) = mask(&pseudonym, kind, br#"{"a":"bob\u0040x.com","b":["bob@x.com"]}"#);
        let shown: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert!(shown["a"].as_str().unwrap().ends_with("@masked.example"), "{shown}");
        assert_eq!(shown["a"], shown["b"][0], "a find in the rest has the same pseudonym");
    }

    #[test]
    fn what_cannot_be_taken_apart_is_hidden_whole() {
        let fields = fields(&[("a", "email", REDACT)]);
        let deep = format!("{}1{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        let long = format!("{{\"b\":\"{}\"}}", "x".repeat(STRUCTURE_BYTES_MAX));
        let grows = format!("{{\"a\":[{}\"\"]}}", "\"\",".repeat(STRUCTURE_BYTES_MAX / 4));
        for value in [b"".as_slice(), b"{", b"[\"\x95\x5c\"]", deep.as_bytes(), long.as_bytes(), grows.as_bytes()] {
            let kind = Type { kind: ValueKind::Json, encoding: Encoding::Text };
            let (outcome, out, counts) = mask(&fields, kind, value);
            assert_eq!((outcome, out.as_slice(), counts.hidden()), (Outcome::Replace, b"\"[redacted]\"".as_slice(), 1));
        }
        let kind = Type { kind: ValueKind::Jsonb, encoding: Encoding::Binary };
        assert_eq!(mask(&fields, kind, b"\x01{").1, b"\x01\"[redacted]\"");
    }

    #[test]
    fn paths_are_names_with_dots() {
        for (path, expected) in [
            ("email", "email"),
            ("contact.email", "contact.email"),
            ("items[].email", "items.email"),
            ("items[][].e mail[]", "items.e mail"),
            ("[].email", "email"),
            ("_id.$oid", "_id.$oid"),
            ("größe", "größe"),
        ] {
            assert_eq!(FieldPath::parse(path).map(|path| path.as_str().to_owned()), Ok(expected.to_owned()), "{path}");
        }
        let long = "a".repeat(PATH_BYTES_MAX + 1);
        let deep = vec!["a"; DEPTH_MAX + 1].join(".");
        for path in [
            "", ".", "a.", ".a", "a..b", "[]", "$.a", "$", "/a/b", "a->b", "a->>'b'", "{a,b}", "a[0].b", "a[*].b",
            "a.*", "\"a\".b", "'a'", " a", "a. b", "a].b", &long, &deep,
        ] {
            assert!(FieldPath::parse(path).is_err(), "{path}");
        }
    }

    /// JSON of any shape, and now and then what is not quite JSON.
    fn documents() -> impl Strategy<Value = Vec<u8>> {
        let leaf = prop::sample::select(vec![
            "1",
            "-1.5e3",
            "null",
            "true",
            "\"\"",
            "\"some text\"",
            "\"\\u00e9\\n\"",
            "\"\\\"a\\\": 1\"",
        ]);
        let name = prop::sample::select(vec!["a", "b", "\\u0061", "a b", ""]);
        let value = leaf.prop_map(str::to_owned).prop_recursive(4, 32, 4, move |inner| {
            let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\" : {value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
                prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        });
        let change = prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>()));
        (value, change).prop_map(|(value, change)| {
            let mut bytes = value.into_bytes();
            if let Some((at, byte)) = change {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn the_rest_of_a_document_stays_to_the_byte(
            before in "[a-z {}\\[\\],:]{0,20}",
            text in "[a-z]{8,20}",
            number in any::<i32>(),
            depth in 0_usize..5,
            binary in any::<bool>(),
        ) {
            let open = "[".repeat(depth);
            let close = "]".repeat(depth);
            let document = |masked: &str| {
                format!("{{ \"b\":{number}, \"c\" : {before:?},\"a\":{open}{{\"d\":{masked}}}{close} }}")
            };
            let (kind, version) = match binary {
                true => (Type { kind: ValueKind::Jsonb, encoding: Encoding::Binary }, b"\x01".as_slice()),
                false => (Type { kind: ValueKind::Json, encoding: Encoding::Text }, b"".as_slice()),
            };
            let written = [version, document(&format!("\"{text}\"")).as_bytes()].concat();
            let masked = [version, document("\"[redacted:thing]\"").as_bytes()].concat();
            let mut fields = Fields::default();
            fields.insert("a.d", ClassName::new("thing").unwrap(), Transform::Redact);
            let (mut out, mut counts) = (Vec::new(), Counts::default());
            let outcome =
                CLASSES.mask_fields(&fields, Detectors::default(), kind, &written, &mut out, &mut counts);
            prop_assert_eq!(outcome, Outcome::Replace);
            prop_assert_eq!(out, masked);
        }

        #[test]
        fn fields_of_any_document_are_masked_into_json(value in documents()) {
            let mut fields = Fields::default();
            fields.insert("a", ClassName::new("thing").unwrap(), Transform::Redact);
            let kind = Type { kind: ValueKind::Json, encoding: Encoding::Text };
            let (mut out, mut counts) = (Vec::new(), Counts::default());
            let outcome = CLASSES.mask_fields(&fields, Detectors::all(), kind, &value, &mut out, &mut counts);
            match outcome {
                Outcome::Replace => prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok()),
                Outcome::Keep => prop_assert!(out.is_empty()),
                Outcome::Null => prop_assert_ne!(outcome, Outcome::Null),
            }
        }
    }
}
