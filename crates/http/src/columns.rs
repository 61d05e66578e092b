//! Which of a body's values are of which class, and the shape that masks are planned by.

use std::sync::Arc;

use foldhash::HashMap;
use gatehouse_model::{
    Access, Action, ClassName, Column, Encoding, Parent, Provenance, Resource, Shape, ShapeRole, TargetName, ValueKind,
    kind,
};
use gatehouse_protocol::Classifier;

/// The values of header fields.
pub(crate) const HEADER: usize = 0;
/// Text in which nothing is known but what is found.
pub(crate) const TEXT: usize = 1;
/// JSON of which the same is true.
pub(crate) const JSON: usize = 2;
/// What cannot be looked into.
pub(crate) const OPAQUE: usize = 3;
/// The first of those that are of a class.
const FIRST_OF_CLASS: usize = 4;
/// No column: what is of several classes is hidden, for nothing says which mask would do.
pub(crate) const UNKNOWN: usize = usize::MAX;
/// How many fields are remembered, and how long their paths may be, in bytes. What is past that is hidden: nothing says what it is.
const FIELDS_MAX: usize = 16 * 1024;
const PATH_BYTES_MAX: usize = 512;

/// What stands for all tables where a configuration says which field is of which class.
const FIELDS_OF: &str = "http.fields";

/// What any text is, whatever it is for.
pub(crate) const ANY_TEXT: ValueKind = ValueKind::Text { chars_max: None };

/// The field that holds all others.
pub(crate) const ROOT: usize = 0;
/// The field that stands for those that are not followed, and for all in them.
pub(crate) const LOST: usize = 1;

/// A field that was met.
#[derive(Default)]
struct Met {
    path: String,
    /// The last name in it, as it is written.
    name: Box<[u8]>,
    /// Its column, or that of a field that it is in.
    column: Option<usize>,
    /// Those in it, by their names.
    fields: HashMap<Box<[u8]>, usize>,
    /// Which of those was met last.
    last: Option<usize>,
    /// Which was met after this one, in the field that both are in: objects in a list are of one kind mostly, and a name that is
    /// expected is found without a look at the others.
    next: Option<usize>,
}

/// The columns of everything that a target answers.
pub(crate) struct Columns {
    classifier: Arc<dyn Classifier>,
    classes: Vec<ClassName>,
    /// The fields that were met, from [`ROOT`] on.
    fields: Vec<Met>,
    shape: Arc<Shape>,
}

impl Columns {
    pub(crate) fn new(
        target: &TargetName,
        classifier: Arc<dyn Classifier>,
        passes_opaque: bool,
        role: ShapeRole,
    ) -> Self {
        let classes = classifier.all();
        let shape = Arc::new(Shape { role, columns: columns(target, &classes, passes_opaque) });
        Self { classifier, classes, fields: no_fields(), shape }
    }

    /// One shape for all answers, so that masks are planned once.
    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The field of a name in another.
    pub(crate) fn field(&mut self, outer: usize, name: &[u8]) -> usize {
        let Some(met) = self.fields.get(outer) else { return LOST };
        let last = met.last;
        let expected = last.and_then(|last| self.fields.get(last)?.next);
        if let Some(place) = expected.filter(|place| self.fields.get(*place).is_some_and(|met| *met.name == *name)) {
            if let Some(met) = self.fields.get_mut(outer) {
                met.last = Some(place);
            }
            return place;
        }
        let Some(place) = met.fields.get(name).copied().or_else(|| self.meet(outer, name)) else { return LOST };
        if let Some(last) = last.and_then(|last| self.fields.get_mut(last)) {
            last.next = Some(place);
        }
        if let Some(met) = self.fields.get_mut(outer) {
            met.last = Some(place);
        }
        place
    }

    /// Remembers a field; `None` if it is not followed.
    fn meet(&mut self, outer: usize, name: &[u8]) -> Option<usize> {
        let met = self.fields.get(outer)?;
        let is_followed = met.path.len() + name.len() < PATH_BYTES_MAX && self.fields.len() < FIELDS_MAX;
        if outer == LOST || !is_followed {
            return None;
        }
        let key = String::from_utf8_lossy(name);
        let path = if met.path.is_empty() { key.to_string() } else { format!("{}.{key}", met.path) };
        let column = met.column.or_else(|| self.classified(&met.path, &key));
        let place = self.fields.len();
        self.fields.push(Met { path, name: name.into(), column, ..Met::default() });
        if let Some(met) = self.fields.get_mut(outer) {
            met.fields.insert(name.into(), place);
        }
        Some(place)
    }

    /// Forgets fields if there are many, for names may be data. Not while a body is walked through.
    pub(crate) fn tidy(&mut self) {
        if self.fields.len() >= FIELDS_MAX / 2 {
            self.fields = no_fields();
        }
    }

    /// The column of a field; `None` if it is of no class. One that nobody knows may be of any.
    pub(crate) fn column(&self, field: usize) -> Option<usize> {
        self.fields.get(field).map_or(Some(UNKNOWN), |met| met.column)
    }

    /// The column of a field by its path, with dots between the names and without a list's places.
    pub(crate) fn of(&self, path: &str) -> Option<usize> {
        if path.len() > PATH_BYTES_MAX {
            return Some(UNKNOWN);
        }
        let mut ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        ends.find_map(|end| {
            let (parents, key) = path.get(..end)?.rsplit_once('.').unwrap_or(("", path.get(..end)?));
            self.classified(parents, key)
        })
    }

    /// What it takes to see the values of a column as they are.
    pub(crate) fn revealed(&self, column: usize) -> Vec<Access> {
        let reveal = |class: &ClassName| Access::new(Action::REVEAL, Resource::root(kind::CLASS, class.as_str()));
        match column.checked_sub(FIRST_OF_CLASS).and_then(|place| self.classes.get(place)) {
            Some(class) => vec![reveal(class)],
            // Of which of several classes it is, is not told.
            None => self.classes.iter().map(reveal).collect(),
        }
    }

    fn classified(&self, parents: &str, key: &str) -> Option<usize> {
        let within = if parents.is_empty() { FIELDS_OF.to_string() } else { format!("{FIELDS_OF}.{parents}") };
        let mut classes = self.classifier.column(&within, key);
        // Names are written with what is done to them: `email.keyword`, `email[]`, `user:email`.
        let mut words = key.split(|char: char| !char.is_alphanumeric() && !matches!(char, '_' | '-' | ' '));
        while let (true, Some(word)) = (classes.is_empty(), words.next()) {
            if !word.is_empty() && word != key {
                classes = self.classifier.column(&within, word);
            }
        }
        let place = |class: &ClassName| self.classes.iter().position(|other| other == class);
        match classes.as_slice() {
            [] => None,
            [class] => Some(place(class).map_or(UNKNOWN, |place| FIRST_OF_CLASS + place)),
            [_, ..] => Some(UNKNOWN),
        }
    }
}

fn no_fields() -> Vec<Met> {
    vec![Met::default(), Met { column: Some(UNKNOWN), ..Met::default() }]
}

fn columns(target: &TargetName, classes: &[ClassName], passes_opaque: bool) -> Vec<Column> {
    let at_target = Parent { kind: kind::TARGET, id: target.as_str().into() };
    // What is found in them may be what the client sent itself, so that no pseudonym stands for it.
    let plain = |name: &str, kind| column(name, Provenance::Clean, kind);
    let opaque = if passes_opaque {
        column("opaque", Provenance::Clean, ValueKind::Fixed)
    } else {
        column("opaque", Provenance::Unknown, ValueKind::Opaque)
    };
    let mut columns = vec![plain("header", ANY_TEXT), plain("text", ANY_TEXT), plain("json", ValueKind::Json), opaque];
    columns.extend(classes.iter().map(|class| {
        let of_class = Parent { kind: kind::CLASS, id: class.as_str().into() };
        let source = Resource::new("Column", &format!("{target}/{class}"), [of_class, at_target.clone()]);
        column(class.as_str(), Provenance::Copy(source), ANY_TEXT)
    }));
    columns
}

fn column(name: &str, provenance: Provenance, kind: ValueKind) -> Column {
    Column { name: name.into(), provenance, kind, encoding: Encoding::Text }
}
