//! Which of a body's values are of which class, and the shape that masks are planned by.

use std::sync::Arc;

use foldhash::HashMap;
use gatehouse_model::{
    ClassName, Column, Encoding, Parent, Provenance, Resource, Shape, ShapeRole, TargetName, ValueKind, kind,
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
const UNKNOWN: usize = usize::MAX;
/// How many names of fields are remembered.
const FIELDS_MAX: usize = 4096;

/// What any text is, whatever it is for.
pub(crate) const ANY_TEXT: ValueKind = ValueKind::Text { chars_max: None };

/// The columns of everything that a target answers.
pub(crate) struct Columns {
    classifier: Arc<dyn Classifier>,
    classes: Vec<ClassName>,
    /// The column of each field that was met, by its path.
    fields: HashMap<Box<str>, Option<usize>>,
    shape: Arc<Shape>,
}

impl Columns {
    pub(crate) fn new(target: &TargetName, classifier: Arc<dyn Classifier>, passes_opaque: bool) -> Self {
        let classes = classifier.all();
        let shape = Arc::new(shape(target, &classes, passes_opaque));
        Self { classifier, classes, fields: HashMap::default(), shape }
    }

    /// One shape for all answers, so that masks are planned once.
    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// The column of a field by its path, with dots between the keys and without a list's places; `None` if it is of no class.
    pub(crate) fn of(&mut self, path: &str) -> Option<usize> {
        if let Some(known) = self.fields.get(path) {
            return *known;
        }
        let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
        let within = if parents.is_empty() { "json".to_string() } else { format!("json.{parents}") };
        let classes = self.classifier.column(&within, key);
        let place = |class: &ClassName| self.classes.iter().position(|other| other == class);
        let column = match classes.as_slice() {
            [] => None,
            [class] => Some(place(class).map_or(UNKNOWN, |place| FIRST_OF_CLASS + place)),
            [_, ..] => Some(UNKNOWN),
        };
        if self.fields.len() >= FIELDS_MAX {
            self.fields.clear();
        }
        self.fields.insert(path.into(), column);
        column
    }
}

fn shape(target: &TargetName, classes: &[ClassName], passes_opaque: bool) -> Shape {
    let at_target = Parent { kind: kind::TARGET, id: target.as_str().into() };
    let plain = |name: &str, kind| {
        let source = Resource::new("Column", &format!("{target}/{name}"), [at_target.clone()]);
        column(name, Provenance::Copy(source), kind)
    };
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
    Shape { role: ShapeRole::Rows, columns }
}

fn column(name: &str, provenance: Provenance, kind: ValueKind) -> Column {
    Column { name: name.into(), provenance, kind, encoding: Encoding::Text }
}
