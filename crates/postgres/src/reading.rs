//! What was understood with one catalog, kept for all sessions: texts that were read, and where relations' columns come
//! from.
//!
//! Knows the limits of what is kept. What is kept dies with its catalog, and counts only for the classes and the search
//! path that it was read with.

use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashSet};
use gatehouse_model::{Provenance, Resource, TargetName, ValueKind};
use gatehouse_protocol::Classifier;

use crate::analysis::{self, Analysis, Context, Exposure, Misunderstood, Moved, Outputs, SearchPath, Tables};
use crate::catalog::{Catalog, RelationKind};

/// How many texts are kept in each of two generations, how long one may be, in bytes, and of how many columns and
/// accesses.
const TEXTS_MAX: usize = 512;
const TEXT_BYTES_MAX: usize = 16 * 1024;
const TEXT_PARTS_MAX: usize = 256;
/// How many texts that were read once are remembered.
const ONCE_MAX: usize = 4_096;
/// What a column or an access takes, roughly, in bytes.
const PART_BYTES: usize = 128;
/// How many relations' columns are kept.
const RELATIONS_MAX: usize = 4_096;
/// The number of `tableoid` among a table's attributes (`TableOidAttributeNumber` in access/sysattr.h).
const TABLE_OF_ROW: i16 = -6;

/// A catalog, and what was understood with it.
pub(crate) struct Known {
    /// The catalog.
    pub(crate) catalog: Catalog,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Texts that were read once, by their hashes: only what comes again is worth keeping.
    once: HashSet<u64>,
    hasher: RandomState,
    /// Texts that were read since the generations last changed.
    young: HashMap<Arc<str>, Text>,
    /// Texts of the generation before; one that is used becomes young again.
    old: HashMap<Arc<str>, Text>,
    columns: HashMap<u32, Columns>,
    tables: Option<Arc<ReadTables>>,
}

/// The tables that were read for one target with one classifier.
struct ReadTables {
    target: TargetName,
    classifier: Arc<dyn Classifier>,
    tables: Arc<Tables>,
    exposure: OnceLock<Option<Arc<Exposure>>>,
}

#[derive(Clone)]
struct Text {
    target: TargetName,
    classifier: Arc<dyn Classifier>,
    path: SearchPath,
    analysis: Arc<Analysis>,
}

struct Columns {
    classifier: Arc<dyn Classifier>,
    by_place: Arc<[Provenance]>,
}

/// What a session reads texts with.
pub(crate) struct Reader<'a> {
    pub(crate) target: &'a TargetName,
    pub(crate) classifier: &'a Arc<dyn Classifier>,
    pub(crate) path: &'a SearchPath,
    /// Names of relations that may be others by now than the catalog says.
    pub(crate) moved: &'a Moved,
}

fn same(a: &Arc<dyn Classifier>, b: &Arc<dyn Classifier>) -> bool {
    // Only the allocation counts, not the pointer to its methods.
    std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b))
}

impl Known {
    /// A catalog with which nothing was read yet.
    pub(crate) fn new(catalog: Catalog) -> Self {
        Self { catalog, kept: Mutex::default() }
    }

    /// What the values of a column are, by its resource; `None` if the catalog does not have it.
    pub(crate) fn kind_of(&self, target: &TargetName, column: &Resource) -> Option<ValueKind> {
        let (relation, name) = analysis::column_at(&self.catalog, target, column)?;
        let column = relation.columns.iter().find(|other| *other.name == *name)?;
        Some(self.catalog.kind_of(column.type_oid, column.type_modifier))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whatever was being kept when a thread panicked is whole or not there.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn context<'a>(&'a self, reader: &'a Reader<'_>, tables: &'a Tables) -> Context<'a> {
        let Reader { target, classifier, path, moved } = *reader;
        Context { target, catalog: &self.catalog, classifier: &**classifier, tables, path, moved }
    }

    fn tables(&self, reader: &Reader<'_>) -> Arc<Tables> {
        self.read_tables(reader.target, reader.classifier).tables.clone()
    }

    fn read_tables(&self, target: &TargetName, classifier: &Arc<dyn Classifier>) -> Arc<ReadTables> {
        let mut kept = self.kept();
        let fits = |read: &&Arc<ReadTables>| read.target == *target && same(&read.classifier, classifier);
        if let Some(read) = kept.tables.as_ref().filter(fits) {
            return read.clone();
        }
        let read = Arc::new(ReadTables {
            target: target.clone(),
            classifier: classifier.clone(),
            tables: Arc::default(),
            exposure: OnceLock::new(),
        });
        kept.tables = Some(read.clone());
        read
    }

    /// What the order in which rows are found tells at a target.
    pub(crate) fn exposure(&self, target: &TargetName, classifier: &Arc<dyn Classifier>) -> Option<Arc<Exposure>> {
        let read = self.read_tables(target, classifier);
        let made = || {
            // Definitions of views name everything in full.
            let (path, moved) = (SearchPath::Uncertain, Moved::default());
            let reader = Reader { target, classifier, path: &path, moved: &moved };
            analysis::exposure(&self.context(&reader, &read.tables)).map(Arc::new)
        };
        read.exposure.get_or_init(made).clone()
    }

    /// Whether the planner cannot be led to what a setting makes dear, by a text that was understood.
    pub(crate) fn is_bounded(&self, sql: &str, declared: &[u32], reader: &Reader<'_>) -> bool {
        analysis::is_bounded(sql, declared, &self.context(reader, &self.tables(reader)))
    }

    /// What was read, where values of these types are made besides.
    pub(crate) fn making(&self, reader: &Reader<'_>, analysis: &Analysis, types: &[u32]) -> Analysis {
        analysis.making(&self.context(reader, &Tables::default()), types)
    }

    /// Reads a text, or remembers how it was read.
    pub(crate) fn analyze(&self, sql: &str, reader: &Reader<'_>) -> Result<Arc<Analysis>, Misunderstood> {
        if !reader.moved.is_empty() {
            // It is of this session, and of this moment.
            return Ok(Arc::new(analysis::analyze(sql, &self.context(reader, &self.tables(reader)))?));
        }
        let fits = |text: &Text| {
            same(&text.classifier, reader.classifier) && text.target == *reader.target && text.path == *reader.path
        };
        if let Some(text) = self.kept().text(sql).filter(|text| fits(text)) {
            return Ok(text.analysis.clone());
        }
        let analysis = Arc::new(analysis::analyze(sql, &self.context(reader, &self.tables(reader)))?);
        if sql.len() <= TEXT_BYTES_MAX && parts(&analysis) <= TEXT_PARTS_MAX && self.kept().comes_again(sql) {
            let text = Text {
                target: reader.target.clone(),
                classifier: reader.classifier.clone(),
                path: reader.path.clone(),
                analysis: analysis.clone(),
            };
            self.kept().keep(analysis.intent.statement.clone(), text);
        }
        Ok(analysis)
    }

    /// Whether a relation is for certain what the catalog says, while some names are in doubt: a view may have come to be
    /// another one under its OID.
    pub(crate) fn is_what_it_was(&self, table: u32, moved: &Moved) -> bool {
        self.catalog.relation_by_oid(table).is_some_and(|relation| !moved.may_move_relation(&relation.name))
    }

    /// Where a column of a result comes from, given the table and attribute that RowDescription names.
    pub(crate) fn column(&self, table: u32, attribute: i16, reader: &Reader<'_>) -> Provenance {
        let Some(relation) = self.catalog.relation_by_oid(table) else {
            return Provenance::Unknown;
        };
        if attribute == TABLE_OF_ROW {
            // It tells in which partition a row is.
            return analysis::divided_by(relation, &self.context(reader, &self.tables(reader)));
        }
        if attribute < 0 {
            return Provenance::Clean;
        }
        let Some(place) = relation.columns.iter().position(|column| column.number == attribute) else {
            return Provenance::Unknown;
        };
        if !reader.moved.is_empty() && matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView) {
            // What it stands on may be something else by now.
            let of_now = analysis::view_outputs(relation, &self.context(reader, &self.tables(reader)));
            return of_now.get(place).cloned().unwrap_or(Provenance::Unknown);
        }
        let known = self
            .kept()
            .columns
            .get(&table)
            .filter(|columns| same(&columns.classifier, reader.classifier))
            .map(|columns| columns.by_place.clone());
        let by_place = known.unwrap_or_else(|| {
            let by_place: Arc<[Provenance]> =
                analysis::view_outputs(relation, &self.context(reader, &self.tables(reader))).into();
            let mut kept = self.kept();
            if kept.columns.len() >= RELATIONS_MAX {
                kept.columns.clear();
            }
            kept.columns.insert(table, Columns { classifier: reader.classifier.clone(), by_place: by_place.clone() });
            by_place
        });
        by_place.get(place).cloned().unwrap_or(Provenance::Unknown)
    }
}

/// What an analysis weighs in memory, in bytes and roughly.
pub(crate) fn weight(analysis: &Analysis) -> usize {
    let texts = analysis.intent.statement.len() + analysis.intent.evidence.len();
    texts + parts(analysis) * PART_BYTES
}

/// How many columns and accesses an analysis has.
fn parts(analysis: &Analysis) -> usize {
    let columns = analysis.statements.iter().map(|output| match &output.columns {
        Outputs::Columns(columns) => columns.len() + 1,
        Outputs::None | Outputs::Cursor(_) | Outputs::Prepared(_) | Outputs::Clean | Outputs::Unknown => 1,
    });
    columns.sum::<usize>() + analysis.intent.accesses.len()
}

impl Kept {
    fn text(&mut self, sql: &str) -> Option<&Text> {
        if !self.young.contains_key(sql)
            && let Some((sql, text)) = self.old.remove_entry(sql)
        {
            self.keep(sql, text);
        }
        self.young.get(sql)
    }

    /// Whether a text was read before; one that was forgotten since counts as new.
    fn comes_again(&mut self, sql: &str) -> bool {
        let hash = self.hasher.hash_one(sql);
        if self.once.remove(&hash) {
            return true;
        }
        if self.once.len() >= ONCE_MAX {
            self.once.clear();
        }
        self.once.insert(hash);
        false
    }

    fn keep(&mut self, sql: Arc<str>, text: Text) {
        if self.young.len() >= TEXTS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(sql, text);
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{ClassName, ClassifiedField};

    use super::*;

    struct NoClasses;

    impl Classifier for NoClasses {
        fn column(&self, _table: &str, _column: &str) -> Vec<ClassName> {
            Vec::new()
        }

        fn fields(&self, _table: &str, _column: &str) -> Vec<ClassifiedField> {
            Vec::new()
        }

        fn all(&self) -> Vec<ClassName> {
            Vec::new()
        }
    }

    #[test]
    fn what_is_kept_counts_for_the_same_reader_alone_and_has_a_limit() {
        let known = Known::new(Catalog::default());
        let target = TargetName::new("shop").unwrap();
        let classifier: Arc<dyn Classifier> = Arc::new(NoClasses);
        let path = SearchPath::Uncertain;
        let moved = Moved::default();
        let reader = Reader { target: &target, classifier: &classifier, path: &path, moved: &moved };
        let once = known.analyze("select 1", &reader).unwrap();
        let first = known.analyze("select 1", &reader).unwrap();
        assert!(!Arc::ptr_eq(&once, &first));
        assert!(Arc::ptr_eq(&first, &known.analyze("select 1", &reader).unwrap()));
        let known_path = SearchPath::Known(Vec::new());
        let other = known.analyze("select 1", &Reader { path: &known_path, ..reader }).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let classifier: Arc<dyn Classifier> = Arc::new([NoClasses; 1].into_iter().next().unwrap());
        let reader = Reader { target: &target, classifier: &classifier, path: &path, moved: &moved };
        for number in 0..3 * TEXTS_MAX {
            for _ in 0..2 {
                known.analyze(&format!("select {number}"), &reader).unwrap();
            }
        }
        for number in 0..2 * ONCE_MAX {
            known.analyze(&format!("select -{number}"), &reader).unwrap();
        }
        let kept = known.kept();
        assert!(!kept.young.is_empty() && kept.once.len() <= ONCE_MAX);
        assert!(kept.young.len() <= TEXTS_MAX && kept.old.len() <= TEXTS_MAX);
    }
}
