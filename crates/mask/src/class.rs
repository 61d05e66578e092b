//! Which classes a column is of, and what is done to their values.
//!
//! Knows rules, column names and the configuration's own word on a column, which outranks names. Does not know who
//! may see what.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use gatehouse_model::{ClassName, ClassifiedField};
use regex_automata::meta::BuildError;

use crate::builtin;
use crate::detect::{Detector, Detectors, Finder, Recognizer};
use crate::fields::FieldPath;
use crate::partial::Form;
use crate::pseudonym::{ClassPseudonyms, PseudonymKey, Pseudonyms};

/// What is done to the values of a class. Most restrictive last, so that the maximum of several is what is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transform {
    /// A hint of the value stays: never more than a quarter of it.
    Partial,
    /// An invented value of the same kind takes its place, the same one for equal values.
    Pseudonym,
    /// The name of the class takes its place.
    Redact,
    /// It becomes absent.
    Null,
}

impl Transform {
    /// Every transform.
    pub const ALL: [Self; 4] = [Self::Partial, Self::Pseudonym, Self::Redact, Self::Null];

    /// The word that names it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partial => "partial",
            Self::Pseudonym => "pseudonym",
            Self::Redact => "redact",
            Self::Null => "null",
        }
    }

    /// The same, but nothing is invented.
    pub(crate) fn without_pseudonym(self) -> Self {
        match self {
            Self::Pseudonym | Self::Redact => Self::Redact,
            Self::Partial => Self::Partial,
            Self::Null => Self::Null,
        }
    }

    /// The transform of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transform| transform.name() == name)
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One class: how its values are known, and what is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRule {
    /// The class.
    pub name: ClassName,
    /// What is done to its values.
    pub transform: Transform,
    /// Names of its columns, compared in lower case without `_`, `-` and spaces; `*` at either end stands for any text, and at
    /// the beginning for none that makes a flag of it.
    pub column_names: Vec<String>,
    /// What finds its values inside others. No two classes have the same.
    pub detector: Option<Detector>,
}

/// The configuration's word on one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Assignment {
    /// It is of this class, whatever its name.
    Class(ClassName),
    /// It is of no class, whatever its name.
    Clear,
}

/// Why rules make no [`Classes`].
#[derive(Debug, Clone)]
pub enum ClassError {
    /// Two rules have the same name.
    ClassTwice(ClassName),
    /// Two classes have the same detector, so that a find would be of either.
    DetectorTwice {
        /// The detector.
        detector: Detector,
        /// The class that has it.
        first: ClassName,
        /// The class that wants it too.
        second: ClassName,
    },
    /// A column name is empty, matches every column, or has a `*` inside.
    ColumnName {
        /// The class.
        class: ClassName,
        /// The name.
        name: String,
    },
    /// A column is not written as `schema.table.column`.
    Column(String),
    /// A column is assigned to a class that no rule makes.
    UnknownClass {
        /// The column.
        column: String,
        /// The class.
        class: ClassName,
    },
    /// The detectors could not be built.
    Detectors(Box<BuildError>),
}

impl fmt::Display for ClassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassTwice(class) => write!(f, "the class `{class}` is defined twice"),
            Self::DetectorTwice { detector, first, second } => {
                write!(f, "the classes `{first}` and `{second}` have the same detector `{detector}`; keep one")
            }
            Self::ColumnName { class, name } => write!(
                f,
                "`{name}` is not a column name of the class `{class}`: write letters and digits, with `*` at either end"
            ),
            Self::Column(column) => write!(f, "`{column}` is not a column: write schema.table.column"),
            Self::UnknownClass { column, class } => {
                write!(f, "the column `{column}` is assigned to the class `{class}`, which is not defined")
            }
            Self::Detectors(_) => f.write_str("the detectors cannot be built"),
        }
    }
}

impl Error for ClassError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Detectors(source) => Some(&**source),
            Self::ClassTwice(_)
            | Self::DetectorTwice { .. }
            | Self::ColumnName { .. }
            | Self::Column(_)
            | Self::UnknownClass { .. } => None,
        }
    }
}

/// All classes, ready to classify columns and to mask values. Built once per configuration and shared.
pub struct Classes {
    /// In the order of the rules.
    entries: Vec<Entry>,
    places: BTreeMap<ClassName, usize>,
    columns: BTreeMap<String, Assignment>,
    /// The fields of documents that are of a class, by the column.
    fields: BTreeMap<String, Vec<ClassifiedField>>,
    pub(crate) finder: Finder,
    pseudonyms: Pseudonyms,
}

struct Entry {
    name: ClassName,
    transform: Transform,
    patterns: Vec<Pattern>,
    detector: Option<Detector>,
    form: Form,
    pseudonyms: ClassPseudonyms,
}

impl Classes {
    /// Builds classes of rules, and of the configuration's word on columns, each named `schema.table.column`. Without a recognizer
    /// nothing is found of what only one finds.
    ///
    /// # Errors
    /// When rules contradict each other or name what there is not.
    pub fn new(
        rules: Vec<ClassRule>,
        columns: BTreeMap<String, Assignment>,
        key: PseudonymKey,
        recognizer: Option<Arc<dyn Recognizer>>,
    ) -> Result<Self, ClassError> {
        let pseudonyms = Pseudonyms::new(&key);
        let mut places = BTreeMap::new();
        let mut entries: Vec<Entry> = Vec::with_capacity(rules.len());
        for rule in rules {
            let mut entry = Entry::new(rule, &pseudonyms)?;
            entry.detector = entry.detector.filter(|detector| recognizer.is_some() || !detector.is_recognized());
            if let Some(detector) = entry.detector
                && let Some(first) = entries.iter().find(|other| other.detector == Some(detector))
            {
                return Err(ClassError::DetectorTwice { detector, first: first.name.clone(), second: entry.name });
            }
            if places.insert(entry.name.clone(), entries.len()).is_some() {
                return Err(ClassError::ClassTwice(entry.name));
            }
            entries.push(entry);
        }
        for (column, assignment) in &columns {
            check_column(column, assignment, &places)?;
        }
        let finder = Finder::new(recognizer).map_err(ClassError::Detectors)?;
        Ok(Self { entries, places, columns, fields: BTreeMap::new(), finder, pseudonyms })
    }

    /// The same, with the configuration's word on fields of documents, by their column, named `schema.table.column`.
    ///
    /// # Errors
    /// When it names what there is not.
    pub fn with_fields(mut self, fields: BTreeMap<String, Vec<(FieldPath, ClassName)>>) -> Result<Self, ClassError> {
        for (column, fields) in fields {
            let mut classified = Vec::with_capacity(fields.len());
            for (path, class) in fields {
                let assignment = Assignment::Class(class.clone());
                check_column(&column, &assignment, &self.places)?;
                classified.push(ClassifiedField { path: path.as_str().into(), class });
            }
            self.fields.insert(column, classified);
        }
        Ok(self)
    }

    /// Classes that suit most databases; a configuration may replace any of them.
    pub fn builtin() -> Vec<ClassRule> {
        builtin::rules()
    }

    /// The classes of a column, given its table as `schema.table`: by configuration, else by name.
    pub fn column(&self, table: &str, column: &str) -> Vec<ClassName> {
        match self.columns.get(&format!("{table}.{column}")) {
            Some(Assignment::Clear) => Vec::new(),
            Some(Assignment::Class(class)) => vec![class.clone()],
            None => {
                let (name, is_flag) = (normalize(column), is_flag(column));
                let fits = |pattern: &Pattern| pattern.matches(&name, is_flag);
                let matching = self.entries.iter().filter(|entry| entry.patterns.iter().any(fits));
                matching.map(|entry| entry.name.clone()).collect()
            }
        }
    }

    /// The fields of a column's documents that are of a class, given its table as `schema.table`.
    pub fn fields(&self, table: &str, column: &str) -> Vec<ClassifiedField> {
        if self.fields.is_empty() {
            return Vec::new();
        }
        self.fields.get(&format!("{table}.{column}")).cloned().unwrap_or_default()
    }

    /// The columns that the configuration names, each as `schema.table.column`, and whether it speaks of fields of its documents.
    pub fn named_columns(&self) -> impl Iterator<Item = (&str, bool)> {
        let columns = self.columns.keys().map(|column| (column.as_str(), false));
        columns.chain(self.fields.keys().map(|column| (column.as_str(), true)))
    }

    /// What is done to the values of a class; a class that no rule makes is redacted.
    pub fn transform(&self, class: &ClassName) -> Transform {
        self.entry(class).map_or(Transform::Redact, |entry| entry.transform)
    }

    /// Every class.
    pub fn names(&self) -> impl Iterator<Item = &ClassName> {
        self.entries.iter().map(|entry| &entry.name)
    }

    /// The classes whose values can be found inside others.
    pub fn detectable(&self) -> impl Iterator<Item = &ClassName> {
        self.entries.iter().filter(|entry| entry.detector.is_some()).map(|entry| &entry.name)
    }

    /// Whether values are looked into by what takes milliseconds for each.
    pub fn recognizes(&self) -> bool {
        self.entries.iter().any(|entry| entry.detector.is_some_and(Detector::is_recognized))
    }

    /// The detectors of the classes for which `wanted` holds.
    pub(crate) fn detectors(&self, mut wanted: impl FnMut(&ClassName) -> bool) -> Detectors {
        self.entries.iter().filter_map(|entry| entry.detector.filter(|_| wanted(&entry.name))).collect()
    }

    /// The detector of a class.
    pub(crate) fn detector(&self, class: &ClassName) -> Option<Detector> {
        self.entry(class).and_then(|entry| entry.detector)
    }

    /// The class of what a detector finds.
    pub(crate) fn class_of(&self, detector: Detector) -> Option<&ClassName> {
        self.entries.iter().find(|entry| entry.detector == Some(detector)).map(|entry| &entry.name)
    }

    /// The form of the values of a class.
    pub(crate) fn form(&self, class: &ClassName) -> Form {
        self.entry(class).map_or(Form::Other, |entry| entry.form)
    }

    /// Of the classes of a column, the one that it is masked by, where that is by a pseudonym.
    pub fn pseudonym_of<'c>(&self, classes: &'c [ClassName]) -> Option<&'c ClassName> {
        let mut worst: Option<(&ClassName, Transform)> = None;
        for class in classes {
            let transform = self.transform(class);
            if worst.is_none_or(|(_, so_far)| transform > so_far) {
                worst = Some((class, transform));
            }
        }
        worst.filter(|(_, transform)| *transform == Transform::Pseudonym).map(|(class, _)| class)
    }

    /// The name as the classes themselves have it, by which they are found the fastest.
    pub(crate) fn own_name(&self, class: ClassName) -> ClassName {
        self.entry(&class).map_or(class, |entry| entry.name.clone())
    }

    /// The pseudonyms of a class.
    pub(crate) fn pseudonyms_of(&self, class: &ClassName) -> Cow<'_, ClassPseudonyms> {
        let own = self.entry(class).map(|entry| Cow::Borrowed(&entry.pseudonyms));
        own.unwrap_or_else(|| Cow::Owned(self.pseudonyms.of(class)))
    }

    fn entry(&self, class: &ClassName) -> Option<&Entry> {
        let same = |entry: &&Entry| std::ptr::eq(entry.name.as_str(), class.as_str());
        let by_address = self.entries.iter().find(same);
        by_address.or_else(|| self.places.get(class).and_then(|place| self.entries.get(*place)))
    }
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>();
        f.debug_struct("Classes")
            .field("names", &names)
            .field("columns", &self.columns)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

fn check_column(column: &str, assignment: &Assignment, places: &BTreeMap<ClassName, usize>) -> Result<(), ClassError> {
    if column.split('.').count() < 3 || column.split('.').any(str::is_empty) {
        return Err(ClassError::Column(column.to_owned()));
    }
    match assignment {
        Assignment::Class(class) if !places.contains_key(class) => {
            Err(ClassError::UnknownClass { column: column.to_owned(), class: class.clone() })
        }
        Assignment::Class(_) | Assignment::Clear => Ok(()),
    }
}

impl Entry {
    fn new(rule: ClassRule, pseudonyms: &Pseudonyms) -> Result<Self, ClassError> {
        let mut patterns = Vec::with_capacity(rule.column_names.len());
        for name in rule.column_names {
            match Pattern::parse(&name) {
                Some(pattern) => patterns.push(pattern),
                None => return Err(ClassError::ColumnName { class: rule.name, name }),
            }
        }
        let form = Form::of(&rule.name, rule.detector);
        let pseudonyms = pseudonyms.of(&rule.name);
        Ok(Self { name: rule.name, transform: rule.transform, patterns, detector: rule.detector, form, pseudonyms })
    }
}

/// What a column's name is compared with; the texts are normalized and not empty.
#[derive(Debug)]
enum Pattern {
    Whole(String),
    Start(String),
    End(String),
    Inside(String),
}

impl Pattern {
    fn parse(name: &str) -> Option<Self> {
        let name = normalize(name);
        let (rest, is_open_start) = name.strip_prefix('*').map_or((name.as_str(), false), |rest| (rest, true));
        let (text, is_open_end) = rest.strip_suffix('*').map_or((rest, false), |text| (text, true));
        if text.is_empty() || text.contains('*') {
            return None;
        }
        let text = text.to_owned();
        Some(match (is_open_start, is_open_end) {
            (false, false) => Self::Whole(text),
            (false, true) => Self::Start(text),
            (true, false) => Self::End(text),
            (true, true) => Self::Inside(text),
        })
    }

    /// What is named word for word is meant, a flag as well.
    fn matches(&self, column: &str, is_flag: bool) -> bool {
        match self {
            Self::Whole(text) => column == text,
            Self::Start(text) => column.starts_with(text.as_str()),
            Self::End(text) => !is_flag && column.ends_with(text.as_str()),
            Self::Inside(text) => !is_flag && column.contains(text.as_str()),
        }
    }
}

/// Whether a name says that something is so or shall be, and not what: `is_mobile`, `sendEmail`, `street_address_verified`.
fn is_flag(name: &str) -> bool {
    const FIRST: &str = "is has had was can should must do does did send sends receive receives accept accepts allow allows enable \
        require requires needs show shows hide hides wants opt optin optout";
    const LAST: &str = "enabled disabled verified confirmed validated required optional allowed flag count";
    let mut parted = String::with_capacity(2 * name.len());
    let mut is_small = false;
    for character in name.chars() {
        if is_small && character.is_uppercase() {
            parted.push('_');
        }
        is_small = character.is_lowercase();
        parted.extend(character.to_lowercase());
    }
    let mut words = parted.split(['_', '-', ' ']).filter(|word| !word.is_empty());
    let (Some(first), Some(last)) = (words.next(), words.next_back()) else { return false };
    FIRST.split_ascii_whitespace().any(|word| word == first) || LAST.split_ascii_whitespace().any(|word| word == last)
}

fn normalize(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ClassName {
        ClassName::new(name).unwrap()
    }

    fn rule(class: &str, columns: &[&str], detector: Option<Detector>) -> ClassRule {
        let column_names = columns.iter().map(|column| (*column).to_owned()).collect();
        ClassRule { name: name(class), transform: Transform::Redact, column_names, detector }
    }

    fn classes(rules: Vec<ClassRule>, columns: &[(&str, Assignment)]) -> Result<Classes, ClassError> {
        let columns = columns.iter().map(|(column, assignment)| ((*column).to_owned(), assignment.clone())).collect();
        Classes::new(rules, columns, PseudonymKey::new([7; 32]), None)
    }

    #[test]
    fn names_decide() {
        let classes = classes(Classes::builtin(), &[]).unwrap();
        for (column, expected) in [
            ("email", &["email"] as &[&str]),
            ("Work_E-Mail", &["email"]),
            ("contactEmail", &["email"]),
            ("first_name", &["person_name"]),
            ("billing_address", &["street_address"]),
            ("SSN", &["us_ssn"]),
            ("date of birth", &["date_of_birth"]),
            ("client_secret", &["api_key"]),
            ("password_hash", &["password_hash"]),
            ("id", &[]),
            ("name", &[]),
            ("email_verified", &[]),
            ("membership", &[]),
            ("zip", &[]),
            ("created_at", &[]),
            ("address_id", &[]),
            ("employee_ssn", &["us_ssn"]),
            ("patient_dob", &["date_of_birth"]),
            ("user_dob", &["date_of_birth"]),
            ("customer_cpf", &["national_id"]),
            ("bsn_number", &["national_id"]),
            ("passport", &["national_id"]),
            ("routing_no", &["bank_code"]),
            ("contact_tel", &["phone"]),
            ("user_pwd", &["password"]),
            ("addr_line1", &["street_address"]),
            ("street_addr", &["street_address"]),
            ("drivers_license_number", &["national_id"]),
            ("cell", &["phone"]),
            ("pin", &["password"]),
            ("street", &["street_address"]),
            ("hotel", &[]),
            ("is_mobile", &[]),
            ("isMobile", &[]),
            ("has_ssn", &[]),
            ("mobile_enabled", &[]),
            ("street_address_verified", &[]),
            ("must_change_password", &[]),
            ("send_email", &[]),
            ("opt_in_email", &[]),
            ("software_license_number", &[]),
        ] {
            let found = classes.column("public.users", column);
            assert_eq!(found.iter().map(ClassName::as_str).collect::<Vec<_>>(), expected, "{column}");
        }
    }

    #[test]
    fn configuration_outranks_names() {
        let assigned =
            [("public.users.email", Assignment::Clear), ("public.users.note", Assignment::Class(name("us_ssn")))];
        let classes = classes(Classes::builtin(), &assigned).unwrap();
        assert!(classes.column("public.users", "email").is_empty());
        assert_eq!(classes.column("public.users", "note"), [name("us_ssn")]);
        assert_eq!(classes.column("public.orders", "email"), [name("email")]);
    }

    #[test]
    fn fields_belong_to_one_column() {
        let with = |column: &str, class: &str| {
            let fields = vec![(FieldPath::parse("items[].email").unwrap(), name(class))];
            classes(Classes::builtin(), &[]).unwrap().with_fields([(column.to_owned(), fields)].into())
        };
        let classes = with("public.users.profile", "email").unwrap();
        let expected = [ClassifiedField { path: "items.email".into(), class: name("email") }];
        assert_eq!(classes.fields("public.users", "profile"), expected);
        assert!(
            classes.fields("public.users", "other").is_empty() && classes.column("public.users", "profile").is_empty()
        );
        for (column, class, expected) in [
            ("users.profile", "email", "`users.profile` is not a column: write schema.table.column"),
            ("s.t.c", "x", "the column `s.t.c` is assigned to the class `x`, which is not defined"),
        ] {
            assert_eq!(with(column, class).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn wildcards_stand_at_the_ends() {
        let rules = vec![rule("a", &["*mail"], None), rule("b", &["card*"], None), rule("c", &["*pin*"], None)];
        let classes = classes(rules, &[]).unwrap();
        for (column, expected) in
            [("e_mail", "a"), ("card_no", "b"), ("mypincode", "c"), ("mailbox", ""), ("discard", ""), ("pi_n", "c")]
        {
            let found = classes.column("s.t", column);
            assert_eq!(found.iter().map(ClassName::as_str).collect::<String>(), expected, "{column}");
        }
    }

    #[test]
    fn flags_are_of_a_class_where_they_are_named() {
        let classes = classes(vec![rule("a", &["*hiv", "has_stroke", "is_*"], None)], &[]).unwrap();
        for (column, expected) in [("hiv", "a"), ("has_hiv", ""), ("has_stroke", "a"), ("is_ill", "a")] {
            let found = classes.column("s.t", column);
            assert_eq!(found.iter().map(ClassName::as_str).collect::<String>(), expected, "{column}");
        }
    }

    #[test]
    fn contradictions_are_errors() {
        let email = Some(Detector::Email);
        for (rules, columns, expected) in [
            (vec![rule("a", &[], None), rule("a", &[], None)], vec![], "the class `a` is defined twice"),
            (
                vec![rule("a", &[], email), rule("b", &[], email)],
                vec![],
                "the classes `a` and `b` have the same detector `email`; keep one",
            ),
            (
                vec![rule("a", &["*"], None)],
                vec![],
                "`*` is not a column name of the class `a`: write letters and digits, with `*` at either end",
            ),
            (
                vec![],
                vec![("users.email", Assignment::Clear)],
                "`users.email` is not a column: write schema.table.column",
            ),
            (
                vec![],
                vec![("s.t.c", Assignment::Class(name("x")))],
                "the column `s.t.c` is assigned to the class `x`, which is not defined",
            ),
        ] {
            assert_eq!(classes(rules, &columns).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_most_restrictive_transform_is_the_maximum() {
        assert!(Transform::Null > Transform::Redact && Transform::Pseudonym > Transform::Partial);
        for transform in Transform::ALL {
            assert_eq!(Transform::from_name(transform.name()), Some(transform));
        }
        let classes = classes(Classes::builtin(), &[]).unwrap();
        assert_eq!(classes.transform(&name("no_such_class")), Transform::Redact);
        let known = Detector::ALL.into_iter().filter(|detector| !detector.is_recognized());
        assert_eq!(classes.detectable().count(), known.count(), "without a recognizer");
    }
}
