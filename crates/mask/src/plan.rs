//! What becomes of each column of a result: planned once per shape, applied to every value.
//!
//! Knows provenance and classes. Whether something is revealed is the caller's to say: it never sees a policy.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, LazyLock};

use gatehouse_model::{ClassName, Encoding, GIVEN_BYTES_MAX, Provenance, Resource, Shape, ValueKind, Values, kind};
use zeroize::Zeroizing;

use crate::detect::Detectors;
use crate::fields::Fields;
use crate::replace::{self, Type};
use crate::{Classes, Transform};

/// What becomes of the values of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnPlan {
    /// They stay, and nobody has to look at them.
    Keep,
    /// What these detectors find in them is replaced.
    Scan(Detectors),
    /// What these detectors find in them is replaced, but by no pseudonym: the client may have written it itself.
    ScanOwn(Detectors),
    /// They are of this class and masked.
    Mask(ClassName, Transform),
    /// They are documents, of which these fields are masked; what these detectors find in the rest is replaced.
    Fields(Arc<Fields>, Detectors),
    /// They stay or are looked at as said, and the different ones are counted: they are of these classes.
    Show(Vec<ClassName>, Detectors),
    /// They may show something classified: hidden whole.
    Hide,
}

/// What becomes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It becomes absent.
    Null,
    /// It becomes what was appended to the output.
    Replace,
}

/// The plan for all runs of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    columns: Vec<ColumnPlan>,
    /// What becomes of values whose column is not known.
    unknown: ColumnPlan,
}

impl Plan {
    /// True if no value of the shape has to be looked at.
    pub fn is_keep(&self) -> bool {
        // A shape without columns is one that nobody knows.
        let mut columns = self.columns.iter().chain(self.columns.is_empty().then_some(&self.unknown));
        columns.all(|column| *column == ColumnPlan::Keep)
    }

    /// The plan of each column, in the shape's order.
    pub fn columns(&self) -> &[ColumnPlan] {
        &self.columns
    }

    /// The places of the columns whose values are masked or hidden, each as a whole.
    pub fn masked(&self) -> impl Iterator<Item = usize> {
        let is_masked = |plan: &ColumnPlan| matches!(plan, ColumnPlan::Mask(..) | ColumnPlan::Hide);
        self.columns.iter().enumerate().filter(move |(_, plan)| is_masked(plan)).map(|(place, _)| place)
    }

    /// True if the values of a column are hidden whole, as are those of one that the plan does not know.
    pub fn hides(&self, column: usize) -> bool {
        *self.columns.get(column).unwrap_or(&self.unknown) == ColumnPlan::Hide
    }

    /// Decides what becomes of one value that is present and counts what was masked. Appends to `out` what stands in
    /// its place; a column that the plan does not know is hidden.
    #[expect(clippy::too_many_arguments, reason = "one call per value: the caller has the parts, not a struct of them")]
    pub fn apply(
        &self,
        classes: &Classes,
        column: usize,
        kind: ValueKind,
        encoding: Encoding,
        value: &[u8],
        out: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Outcome {
        let kind = Type { kind, encoding };
        match self.columns.get(column).unwrap_or(&self.unknown) {
            ColumnPlan::Keep => Outcome::Keep,
            ColumnPlan::Scan(detectors) => classes.scan(*detectors, kind, value, out, counts),
            ColumnPlan::ScanOwn(detectors) => classes.scan_own(*detectors, kind, value, out, counts),
            ColumnPlan::Mask(class, transform) => {
                let place = counts.add(class);
                let start = out.len();
                let outcome = classes.mask(class, *transform, kind, value, out);
                if *transform == Transform::Pseudonym && counts.gives > 0 && outcome == Outcome::Replace {
                    counts.give(place, kind, out.get(start..).unwrap_or_default(), value);
                }
                outcome
            }
            ColumnPlan::Fields(fields, detectors) => classes.mask_fields(fields, *detectors, kind, value, out, counts),
            ColumnPlan::Show(shown, detectors) => {
                counts.see(shown, value);
                classes.scan(*detectors, kind, value, out, counts)
            }
            ColumnPlan::Hide => {
                counts.hide();
                replace::hide(kind, value, out)
            }
        }
    }
}

/// How many values were masked.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Each class once. There are few, and the same ones come again and again.
    classes: Vec<(ClassName, u64)>,
    hidden: u64,
    shown: Values,
    /// How many more pseudonyms are noted with what they stand for.
    gives: usize,
    noted: Noted,
}

/// Pseudonyms that were put in the place of texts, one after the other: there are many, and each is small.
#[derive(Clone, Default)]
struct Noted {
    entries: Vec<Entry>,
    /// Each, and behind it what it stands for.
    bytes: Zeroizing<Vec<u8>>,
}

/// One of them.
#[derive(Clone, Copy)]
struct Entry {
    /// The place of its class among the counted ones.
    class: usize,
    text_len: usize,
    value_len: usize,
}

impl std::fmt::Debug for Noted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noted").field("count", &self.entries.len()).finish_non_exhaustive()
    }
}

/// The key of the hashes by which different values are told apart, new for each process, so that nobody finds two that
/// have the same.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Counts {
    /// How many values were masked for each class, because they are of it or hold something of it.
    pub fn classes(&self) -> BTreeMap<ClassName, u64> {
        self.classes.iter().cloned().collect()
    }

    /// How many values were hidden whole because they may show something classified.
    pub fn hidden(&self) -> u64 {
        self.hidden
    }

    /// True if nothing was masked.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty() && self.hidden == 0
    }

    /// The next so many pseudonyms in columns of text and of UUIDs are noted.
    pub fn note_pseudonyms(&mut self, count: usize) {
        self.gives = count;
    }

    /// Tells of those that were noted, and forgets them: the class, the pseudonym, and what it stands for; of UUIDs, their bytes.
    pub fn take_pseudonyms(&mut self, mut tell: impl FnMut(&ClassName, &[u8], &[u8])) {
        let Noted { entries, bytes } = std::mem::take(&mut self.noted);
        let mut rest = bytes.as_slice();
        for Entry { class, text_len, value_len } in entries {
            let (Some((class, _)), Some((text, after))) = (self.classes.get(class), rest.split_at_checked(text_len))
            else {
                break;
            };
            let Some((value, after)) = after.split_at_checked(value_len) else { break };
            tell(class, text, value);
            rest = after;
        }
    }

    /// Whether any were noted.
    pub fn has_pseudonyms(&self) -> bool {
        !self.noted.entries.is_empty()
    }

    fn give(&mut self, class: usize, kind: Type, text: &[u8], value: &[u8]) {
        match kind.kind {
            // Longer ones are not kept.
            ValueKind::Text { .. } if value.len() <= GIVEN_BYTES_MAX => self.note(class, text, value),
            ValueKind::Uuid => {
                if let Some((text, value)) = kind.uuid(text).zip(kind.uuid(value)) {
                    self.note(class, &text, &value);
                }
            }
            ValueKind::Text { .. }
            | ValueKind::Texts { .. }
            | ValueKind::Json
            | ValueKind::Jsonb
            | ValueKind::Fixed
            | ValueKind::Opaque => {}
        }
    }

    fn note(&mut self, class: usize, text: &[u8], value: &[u8]) {
        self.gives -= 1;
        self.noted.entries.push(Entry { class, text_len: text.len(), value_len: value.len() });
        self.noted.bytes.extend_from_slice(text);
        self.noted.bytes.extend_from_slice(value);
    }

    /// The different values that were shown of classes whose values are counted.
    pub fn shown(&self) -> &Values {
        &self.shown
    }

    /// The same, to be counted from nothing.
    pub fn take_shown(&mut self) -> Values {
        std::mem::take(&mut self.shown)
    }

    fn see(&mut self, classes: &[ClassName], value: &[u8]) {
        let hash = HASHER.hash_one(value);
        for class in classes {
            self.shown.add(class, hash);
        }
    }

    /// Counts one more that is hidden whole.
    pub(crate) fn hide(&mut self) {
        self.hidden += 1;
    }

    /// Counts one more of a class, and tells its place among them.
    pub(crate) fn add(&mut self, class: &ClassName) -> usize {
        let is_it = |other: &ClassName| std::ptr::eq(other.as_str(), class.as_str()) || other == class;
        if let Some((place, (_, count))) = self.classes.iter_mut().enumerate().find(|(_, (other, _))| is_it(other)) {
            *count += 1;
            return place;
        }
        self.classes.push((class.clone(), 1));
        self.classes.len() - 1
    }
}

impl Classes {
    /// Plans what becomes of a shape's columns. `reveals` says whether a column, whose classes are among what it is
    /// within, is seen unmasked; `reveal_class` says so for a class wherever a detector finds it. Values of a class that
    /// `counts` names are seen only where they can be told apart, straight from a column, and counted there.
    pub fn plan(
        &self,
        shape: &Shape,
        reveals: &mut dyn FnMut(&Resource) -> bool,
        reveal_class: &mut dyn FnMut(&ClassName) -> bool,
        counts: &dyn Fn(&ClassName) -> bool,
    ) -> Plan {
        let mut reveal_class = |class: &ClassName| !counts(class) && reveal_class(class);
        let detectors = self.detectors(|class| !reveal_class(class));
        // What may be anything is for those alone who may see everything that there is.
        let sees_all = self.names().all(&mut reveal_class);
        let unknown = if sees_all { ColumnPlan::Keep } else { ColumnPlan::Hide };
        let columns = shape.columns.iter().map(|column| match &column.provenance {
            Provenance::Copy(source) => self.plan_copy(source, column.kind, detectors, reveals, counts),
            Provenance::Derived(sources) => {
                let mut is_seen = |part: &Resource| reveals(part) && counted(part, counts).is_empty();
                if sources.iter().all(|source| source.by_class().iter().all(&mut is_seen)) {
                    scan_or_keep(column.kind, self.without_classes_of(detectors, sources))
                } else {
                    ColumnPlan::Hide
                }
            }
            Provenance::Clean => match scan_or_keep(column.kind, detectors) {
                ColumnPlan::Scan(detectors) => ColumnPlan::ScanOwn(detectors),
                plan => plan,
            },
            Provenance::Unknown => unknown.clone(),
        });
        Plan { columns: columns.collect(), unknown: unknown.clone() }
    }

    fn plan_copy(
        &self,
        source: &Resource,
        kind: ValueKind,
        detectors: Detectors,
        reveals: &mut dyn FnMut(&Resource) -> bool,
        counts: &dyn Fn(&ClassName) -> bool,
    ) -> ColumnPlan {
        if class_names(source).next().is_none() {
            return scan_or_keep(kind, detectors);
        }
        if source.fields.is_some() {
            return self.plan_fields(source, kind, detectors, reveals, counts);
        }
        let counted = counted(source, counts);
        // A list or an object may hold many, which nothing tells apart.
        let is_one = matches!(kind, ValueKind::Text { .. } | ValueKind::Uuid | ValueKind::Fixed);
        if reveals(source) && (is_one || counted.is_empty()) {
            let plan = scan_or_keep(kind, self.without_classes_of(detectors, std::slice::from_ref(source)));
            return match (counted, plan) {
                (counted, plan) if counted.is_empty() => plan,
                (counted, ColumnPlan::Scan(detectors)) => ColumnPlan::Show(counted, detectors),
                (counted, _) => ColumnPlan::Show(counted, Detectors::default()),
            };
        }
        let mut worst: Option<(ClassName, Transform)> = None;
        for name in class_names(source) {
            // What is classified under a name that is none is classified all the same.
            let Ok(class) = ClassName::new(name) else { return ColumnPlan::Hide };
            let transform = self.transform(&class);
            if worst.as_ref().is_none_or(|(_, so_far)| transform > *so_far) {
                worst = Some((self.own_name(class), transform));
            }
        }
        worst.map_or(ColumnPlan::Hide, |(class, transform)| ColumnPlan::Mask(class, transform))
    }

    /// Of a column of documents that are of classes in some fields alone. Where it turns out to hold something else, it is
    /// masked as a whole: nothing says where the fields are.
    fn plan_fields(
        &self,
        source: &Resource,
        kind: ValueKind,
        mut detectors: Detectors,
        reveals: &mut dyn FnMut(&Resource) -> bool,
        counts: &dyn Fn(&ClassName) -> bool,
    ) -> ColumnPlan {
        let mut masked = Fields::default();
        for part in source.by_class() {
            // A document may hold many values, which nothing tells apart.
            if reveals(&part) && counted(&part, counts).is_empty() {
                detectors = self.without_classes_of(detectors, std::slice::from_ref(&part));
                continue;
            }
            for field in part.fields.iter().flat_map(|fields| fields.iter()) {
                masked.insert(&field.path, self.own_name(field.class.clone()), self.transform(&field.class));
            }
        }
        let Some((class, transform)) = masked.strictest().cloned() else { return scan_or_keep(kind, detectors) };
        match kind {
            ValueKind::Json | ValueKind::Jsonb => ColumnPlan::Fields(Arc::new(masked), detectors),
            ValueKind::Text { .. }
            | ValueKind::Texts { .. }
            | ValueKind::Uuid
            | ValueKind::Fixed
            | ValueKind::Opaque => ColumnPlan::Mask(class, transform),
        }
    }

    /// Who sees these columns sees their classes in them.
    fn without_classes_of(&self, detectors: Detectors, sources: &[Resource]) -> Detectors {
        let classes = sources.iter().flat_map(class_names).filter_map(|name| ClassName::new(name).ok());
        classes.filter_map(|class| self.detector(&class)).fold(detectors, Detectors::without)
    }
}

/// The classes of a column whose values are counted.
fn counted(column: &Resource, counts: &dyn Fn(&ClassName) -> bool) -> Vec<ClassName> {
    class_names(column).filter_map(|name| ClassName::new(name).ok()).filter(counts).collect()
}

fn class_names(column: &Resource) -> impl Iterator<Item = &str> {
    column.within.iter().filter(|parent| parent.kind == kind::CLASS).map(|parent| &*parent.id)
}

fn scan_or_keep(kind: ValueKind, detectors: Detectors) -> ColumnPlan {
    match kind {
        ValueKind::Text { .. } | ValueKind::Texts { .. } | ValueKind::Json | ValueKind::Jsonb | ValueKind::Opaque
            if !detectors.is_empty() =>
        {
            ColumnPlan::Scan(detectors)
        }
        ValueKind::Text { .. }
        | ValueKind::Texts { .. }
        | ValueKind::Json
        | ValueKind::Jsonb
        | ValueKind::Uuid
        | ValueKind::Fixed
        | ValueKind::Opaque => ColumnPlan::Keep,
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{ClassifiedField, Column, Parent, ShapeRole};

    use super::*;
    use crate::{Detector, PseudonymKey};

    const TEXT: ValueKind = ValueKind::Text { chars_max: None };

    static CLASSES: LazyLock<Classes> =
        LazyLock::new(|| Classes::new(Classes::builtin(), BTreeMap::new(), PseudonymKey::new([7; 32]), None).unwrap());

    fn name(name: &str) -> ClassName {
        ClassName::new(name).unwrap()
    }

    fn column(classes: &[&str]) -> Resource {
        let table = Parent { kind: "Table", id: "shop/public.users".into() };
        let classes = classes.iter().map(|class| Parent { kind: kind::CLASS, id: (*class).into() });
        Resource::new("Column", "shop/public.users.x", std::iter::once(table).chain(classes).collect::<Arc<[Parent]>>())
    }

    /// The plan of one column for somebody who sees columns of the class `email` and finds of the class `phone`.
    fn plan(provenance: Provenance, kind: ValueKind) -> ColumnPlan {
        let column = Column { name: "x".into(), provenance, kind, encoding: Encoding::Text };
        let shape = Shape { role: ShapeRole::Rows, columns: vec![column] };
        let mut reveals = |column: &Resource| class_names(column).all(|class| class == "email");
        let plan = CLASSES.plan(&shape, &mut reveals, &mut |class| class.as_str() == "phone", &|_| false);
        assert_eq!(plan.is_keep(), plan.columns() == [ColumnPlan::Keep]);
        let is_masked = matches!(plan.columns(), [ColumnPlan::Mask(..) | ColumnPlan::Hide]);
        assert_eq!(plan.masked().collect::<Vec<_>>(), if is_masked { vec![0] } else { Vec::new() });
        plan.columns()[0].clone()
    }

    #[test]
    fn provenance_decides() {
        let scan = CLASSES.detectors(|class| class.as_str() != "phone");
        let mask = |class: &str, transform| ColumnPlan::Mask(name(class), transform);
        let derived = |classes: &[&str]| Provenance::Derived([column(&["email"]), column(classes)].into());
        for (provenance, kind, expected) in [
            (Provenance::Copy(column(&[])), TEXT, ColumnPlan::Scan(scan)),
            (Provenance::Copy(column(&[])), ValueKind::Jsonb, ColumnPlan::Scan(scan)),
            (Provenance::Copy(column(&[])), ValueKind::Uuid, ColumnPlan::Keep),
            (Provenance::Copy(column(&[])), ValueKind::Fixed, ColumnPlan::Keep),
            (Provenance::Copy(column(&[])), ValueKind::Opaque, ColumnPlan::Scan(scan)),
            (Provenance::Copy(column(&["email"])), TEXT, ColumnPlan::Scan(scan.without(Detector::Email))),
            (Provenance::Copy(column(&["email"])), ValueKind::Opaque, ColumnPlan::Scan(scan.without(Detector::Email))),
            (Provenance::Copy(column(&[])), ValueKind::Texts { chars_max: None }, ColumnPlan::Scan(scan)),
            (Provenance::Copy(column(&["us_ssn"])), ValueKind::Fixed, mask("us_ssn", Transform::Redact)),
            (Provenance::Copy(column(&["us_ssn"])), TEXT, mask("us_ssn", Transform::Redact)),
            (Provenance::Copy(column(&["phone", "iban", "password"])), TEXT, mask("iban", Transform::Redact)),
            (Provenance::Copy(column(&["phone", "date_of_birth"])), TEXT, mask("date_of_birth", Transform::Null)),
            (Provenance::Copy(column(&["no_such_class"])), ValueKind::Uuid, mask("no_such_class", Transform::Redact)),
            (Provenance::Copy(column(&["not a name"])), TEXT, ColumnPlan::Hide),
            (derived(&["email"]), TEXT, ColumnPlan::Scan(scan.without(Detector::Email))),
            (derived(&["email"]), ValueKind::Opaque, ColumnPlan::Scan(scan.without(Detector::Email))),
            (derived(&["email"]), ValueKind::Fixed, ColumnPlan::Keep),
            (derived(&["us_ssn"]), TEXT, ColumnPlan::Hide),
            (Provenance::Clean, TEXT, ColumnPlan::ScanOwn(scan)),
            (Provenance::Clean, ValueKind::Opaque, ColumnPlan::ScanOwn(scan)),
            (Provenance::Clean, ValueKind::Fixed, ColumnPlan::Keep),
            (Provenance::Unknown, TEXT, ColumnPlan::Hide),
            (Provenance::Unknown, ValueKind::Opaque, ColumnPlan::Hide),
        ] {
            assert_eq!(plan(provenance.clone(), kind), expected, "{provenance:?} {kind:?}");
        }
    }

    #[test]
    fn fields_are_planned_each_by_its_class() {
        let scan = CLASSES.detectors(|class| class.as_str() != "phone");
        let documents = |all: &[(&str, &str)]| {
            let classes: Vec<&str> = all.iter().map(|(_, class)| *class).collect();
            let field = |(path, class): &(&str, &str)| ClassifiedField { path: (*path).into(), class: name(class) };
            column(&classes).with_fields(all.iter().map(field).collect::<Vec<_>>())
        };
        let fields = |all: &[(&str, &str, Transform)]| {
            let mut fields = Fields::default();
            all.iter().for_each(|(path, class, transform)| fields.insert(path, name(class), *transform));
            Arc::new(fields)
        };
        let (both, seen) = (documents(&[("a.b", "email"), ("c", "us_ssn")]), documents(&[("a.b", "email")]));
        let without_email = scan.without(Detector::Email);
        let ssn = fields(&[("c", "us_ssn", Transform::Redact)]);
        for (provenance, kind, expected) in [
            // Leave for one class is none for another.
            (Provenance::Copy(both.clone()), ValueKind::Jsonb, ColumnPlan::Fields(ssn.clone(), without_email)),
            (Provenance::Copy(both.clone()), ValueKind::Json, ColumnPlan::Fields(ssn, without_email)),
            (Provenance::Copy(seen.clone()), ValueKind::Jsonb, ColumnPlan::Scan(without_email)),
            // No document: as a whole.
            (Provenance::Copy(both.clone()), TEXT, ColumnPlan::Mask(name("us_ssn"), Transform::Redact)),
            (Provenance::Copy(both.clone()), ValueKind::Opaque, ColumnPlan::Mask(name("us_ssn"), Transform::Redact)),
            (Provenance::Copy(seen.clone()), TEXT, ColumnPlan::Scan(without_email)),
            (Provenance::Derived([both].into()), ValueKind::Jsonb, ColumnPlan::Hide),
            (Provenance::Derived([seen].into()), ValueKind::Jsonb, ColumnPlan::Scan(without_email)),
        ] {
            assert_eq!(plan(provenance.clone(), kind), expected, "{provenance:?} {kind:?}");
        }
        // What is to be counted is not seen in a document.
        let column = Column {
            name: "x".into(),
            provenance: Provenance::Copy(documents(&[("a", "email")])),
            kind: ValueKind::Jsonb,
            encoding: Encoding::Text,
        };
        let shape = Shape { role: ShapeRole::Rows, columns: vec![column] };
        let plan = CLASSES.plan(&shape, &mut |_| true, &mut |_| false, &|class| class.as_str() == "email");
        let expected = fields(&[("a", "email", Transform::Pseudonym)]);
        assert!(matches!(plan.columns(), [ColumnPlan::Fields(masked, _)] if *masked == expected), "{plan:?}");
    }

    #[test]
    fn who_sees_all_classes_is_not_scanned() {
        let column = Column { name: "x".into(), provenance: Provenance::Clean, kind: TEXT, encoding: Encoding::Text };
        let shape = Shape { role: ShapeRole::Message, columns: vec![column] };
        assert!(CLASSES.plan(&shape, &mut |_| true, &mut |_| true, &|_| false).is_keep());
    }

    #[test]
    fn plans_are_applied_and_counted() {
        let columns = vec![
            ColumnPlan::Keep,
            ColumnPlan::Scan(Detectors::all()),
            ColumnPlan::Mask(name("email"), Transform::Redact),
            ColumnPlan::Hide,
            ColumnPlan::ScanOwn(Detectors::all()),
        ];
        let plan = Plan { columns, unknown: ColumnPlan::Hide };
        assert_eq!([0, 1, 2, 3, 4, 9].map(|column| plan.hides(column)), [false, false, false, true, false, true]);
        let mut counts = Counts::default();
        let mut apply = |column, value: &str| {
            let mut out = b"before ".to_vec();
            let value = value.as_bytes();
            let outcome = plan.apply(&CLASSES, column, TEXT, Encoding::Binary, value, &mut out, &mut counts);
            (outcome, String::from_utf8(out).unwrap())
        };
        let check = |(outcome, out): (Outcome, String), expected: Outcome, text: &str| {
            assert_eq!((outcome, out.as_str()), (expected, text));
        };
        check(apply(0, "bob@x.com"), Outcome::Keep, "before ");
        check(apply(1, "nothing"), Outcome::Keep, "before ");
        check(
            apply(1, "ssn 123-45-6789, 123-45-6780"),
            Outcome::Replace,
            "before ssn [redacted:us_ssn], [redacted:us_ssn]",
        );
        check(apply(2, "bob@x.com"), Outcome::Replace, "before [redacted:email]");
        check(apply(3, "anything"), Outcome::Replace, "before [redacted]");
        check(apply(9, "anything"), Outcome::Replace, "before [redacted]");
        check(apply(4, "bob@x.com"), Outcome::Replace, "before [redacted:email]");

        assert!(Counts::default().is_empty() && !counts.is_empty());
        let expected = BTreeMap::from([(name("email"), 2), (name("us_ssn"), 1)]);
        assert_eq!((counts.classes(), counts.hidden()), (expected, 2));
    }

    #[test]
    fn a_uuid_is_noted_alike_in_text_and_in_binary() {
        let columns = vec![ColumnPlan::Mask(name("email"), Transform::Pseudonym)];
        let plan = Plan { columns, unknown: ColumnPlan::Hide };
        let value = [0x5a_u8; 16];
        let noted = |encoding, value: &[u8]| {
            let (mut counts, mut out, mut told) = (Counts::default(), Vec::new(), Vec::new());
            counts.note_pseudonyms(1);
            plan.apply(&CLASSES, 0, ValueKind::Uuid, encoding, value, &mut out, &mut counts);
            counts.take_pseudonyms(|class, text, value| told.push((class.clone(), text.to_vec(), value.to_vec())));
            (told, out)
        };
        let (told, shown) = noted(Encoding::Binary, &value);
        assert_eq!(told, [(name("email"), shown, value.to_vec())]);
        let (as_text, shown) = noted(Encoding::Text, b"5A5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
        assert_eq!((as_text, shown.len()), (told, 36));
        assert_eq!(noted(Encoding::Text, b"no uuid"), (Vec::new(), Vec::new()));
    }
}
