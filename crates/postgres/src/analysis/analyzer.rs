//! The state of reading one statement text: what was found so far, and what relations and functions mean.
//!
//! Knows the catalog, through the search path. What trees mean is in the modules beside.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use gatehouse_model::{Access, Action, Resource};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::RangeVar;

use super::candidate::Met;
use super::lineage::{Columns, Lineage, Named};
use super::moved::Moved;
use super::resource::{self, Resources, UNKNOWN_SCHEMA};
use super::scope::{Item, Scope, Sources};
use super::session::EVERY_SETTING;
use super::tree::{self, Inventory};
use super::{Context, Deallocated, Misunderstood, SearchPath, Tables, action};
use crate::catalog::{Making, Relation, RelationKind, is_temporary_schema};
use crate::function::{self, Kind};

/// How deep queries and expressions may be nested, views included.
const DEPTH_MAX: usize = 128;
/// How many steps the reading of a statement may take, repeated ones included.
const STEPS_MAX: usize = 2_000_000;
/// How many columns a query may give: PostgreSQL's own limit.
pub(super) const COLUMNS_MAX: usize = 1_664;
/// How many columns may be looked at in the whole of a statement, each time that they are joined or selected.
const COLUMNS_TOTAL_MAX: usize = 200_000;
/// How many columns are looked through for a name in the time of one step.
const COLUMNS_PER_STEP: usize = 4;
/// Of how many kin the names are put in doubt one by one; of more, all names are.
const MOVED_KIN_MAX: usize = 256;
/// How deep views may stand on views.
const VIEW_DEPTH_MAX: usize = 16;
/// With what the names of PostgreSQL's own views and functions begin that count the rows which were read and written.
pub(super) const COUNTS_OF_ROWS: &str = "pg_stat";

/// The type `json`, as `pg_type.dat` fixes it.
const JSON_OID: u32 = 114;

/// What was found in a statement text.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) accesses: BTreeSet<Access>,
    /// Data of a class, or anything that cannot be seen through, takes part.
    pub(super) sensitive: bool,
    /// The text may hold a password.
    pub(super) secret: bool,
    /// Code that cannot be seen through runs.
    pub(super) opaque: bool,
    /// The same, inside of views too.
    pub(super) opaque_inside: bool,
    pub(super) changes_meaning: bool,
    pub(super) changes_path: bool,
    pub(super) changes_catalog: bool,
    pub(super) unknown_relation: Option<Box<str>>,
    pub(super) ends_transaction: bool,
    /// What the statement at hand forgets of prepared statements.
    pub(super) deallocates: Option<Deallocated>,
    /// Something temporary is made or named.
    pub(super) makes_temporary: bool,
    /// Names by which something was not there before, or is no more.
    pub(super) moved: Moved,
    /// Whether each UPDATE and DELETE has a condition; `None` without any.
    pub(super) has_where: Option<bool>,
    /// Whether the condition of any of them is one that every row fulfils; `None` without any.
    pub(super) where_is_constant: Option<bool>,
    /// How many rows a query gives at most, as its LIMIT says.
    pub(super) row_limit: Option<i64>,
    /// Whether a trigger or a rule is set off by a write; `None` if nothing is written.
    pub(super) has_triggers: Option<bool>,
    pub(super) has_rules: Option<bool>,
    /// What is defined or dropped, or that it is of several kinds.
    pub(super) object_kind: Option<&'static str>,
    /// Whether something is dropped or emptied with what depends on it; `None` if nothing is.
    pub(super) cascade: Option<bool>,
    /// The SELECT at hand writes its rows into a new table.
    pub(super) selects_into: bool,
    /// The classes whose values are written in another form than they had.
    pub(super) repacked: BTreeSet<Arc<str>>,
    /// Values of unknown origin are written.
    pub(super) repacks_unknown: bool,
    /// What is wanted unless texts are pseudonyms, and the texts.
    pub(super) conditional: BTreeSet<Access>,
    pub(super) met: Vec<Met>,
    /// Which statement of the text is at hand, from 1, and those that give the same in whatever order they find their rows.
    pub(super) statement: usize,
    pub(super) settled: BTreeSet<usize>,
    /// A materialized view is read, by whatever indexes it has of its own.
    pub(super) reads_materialized: bool,
    /// Which lists of texts columns are looked up in, and where; and where anything is done with lists, that too.
    pub(super) looked_up: BTreeSet<(usize, i32)>,
    pub(super) touched: BTreeSet<(usize, i32)>,
    /// Every statement is a query or a write, also as a copy to the client, or begins or ends a transaction.
    pub(super) is_plain: bool,
    /// The statement's text may be shown by it.
    pub(super) shows_text: bool,
    /// It calls what tells the text of the statement that calls it.
    pub(super) keeps_text: bool,
}

/// Reads one statement text.
pub(super) struct Analyzer<'a> {
    pub(super) resources: Resources<'a>,
    pub(super) inventory: Inventory,
    pub(super) found: Found,
    tables: &'a Tables,
    path: &'a SearchPath,
    moved: &'a Moved,
    views: HashMap<u32, Columns>,
    /// Columns of views that have a class of their own.
    view_columns: BTreeSet<Resource>,
    open_views: Vec<u32>,
    /// What is open runs where it is read: it is no column that was computed when it was written.
    runs: bool,
    /// A function runs, for whoever asks, wherever its call is written.
    is_calling: bool,
    /// A condition is read that is to be false.
    pub(super) is_negated: bool,
    /// What puts rows in an order is read, which shows also where a view does so.
    is_ordering: bool,
    /// What is read chooses rows: by an index, it has them in the index's order.
    is_choosing: bool,
    /// The statement makes long texts: see `length`.
    pub(super) makes_long_texts: bool,
    /// Whether a row, an array or a document was made of texts.
    pub(super) wraps_texts: bool,
    /// The names of relations that were looked up, also inside of views.
    names: RefCell<Vec<Arc<str>>>,
    /// The types of the columns in sight, if any of them has casts of its own.
    types_seen: HashSet<u32>,
    /// Views in which data of a class takes part: what fails inside of them may quote it.
    sensitive_views: HashSet<u32>,
    depth: usize,
    steps: usize,
    columns: usize,
}

impl<'a> Analyzer<'a> {
    pub(super) fn new(context: &Context<'a>) -> Self {
        let Context { target, catalog, classifier, tables, path, moved } = *context;
        Self {
            resources: Resources { target, catalog, classifier },
            inventory: Inventory::default(),
            found: Found { is_plain: true, ..Found::default() },
            tables,
            path,
            moved,
            views: HashMap::new(),
            view_columns: BTreeSet::new(),
            open_views: Vec::new(),
            runs: true,
            is_calling: false,
            is_negated: false,
            is_ordering: false,
            is_choosing: false,
            makes_long_texts: false,
            wraps_texts: false,
            names: RefCell::default(),
            types_seen: HashSet::new(),
            sensitive_views: HashSet::new(),
            depth: 0,
            steps: 0,
            columns: 0,
        }
    }

    /// One level deeper.
    pub(super) fn enter<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Misunderstood>,
    ) -> Result<T, Misunderstood> {
        self.depth += 1;
        self.steps += 1;
        let result = if self.depth > DEPTH_MAX {
            Err(Misunderstood::new(
                "the statement is nested too deeply to be understood",
                "Split it, or use WITH queries",
            ))
        } else if self.steps > STEPS_MAX {
            Err(Misunderstood::new("the statement is too complex to be understood", "Split it"))
        } else {
            read(self)
        };
        self.depth -= 1;
        result
    }

    /// Counts what is looked through.
    pub(super) fn spend_steps(&mut self, columns: usize) {
        self.steps += columns / COLUMNS_PER_STEP;
    }

    /// Counts columns, for they can double with every query that joins another with itself.
    pub(super) fn spend(&mut self, columns: usize) -> Result<(), Misunderstood> {
        self.columns += columns;
        if self.columns > COLUMNS_TOTAL_MAX {
            return Err(Misunderstood::new(
                "the statement joins too many columns to be understood",
                "Name the columns",
            ));
        }
        Ok(())
    }

    /// Notes an access. What a view reads its owner reads, not the statement; what it calls runs for whoever asks.
    pub(super) fn access(&mut self, action: Action, resource: Resource) {
        // A materialized view shows the order that it was filled in, and ranks as values.
        let puts_in_order = self.is_ordering || self.is_choosing && self.is_indexed(&resource);
        let shows_order = action == Action::PROBE && puts_in_order;
        if self.open_views.is_empty() || self.is_calling || shows_order {
            // Checks, indexes on expressions and new types quote the rows that they fail on.
            self.found.sensitive |= action == action::DDL;
            if self.resources.is_servers_own(&resource) && changes(action, &resource) {
                // PostgreSQL itself goes by what is written there, and so does all that is read of it here.
                self.found.changes_catalog = true;
                self.found.changes_meaning = true;
                self.found.changes_path = true;
                self.found.accesses.insert(Access::new(action::ADMIN, resource.clone()));
            }
            self.found.accesses.insert(Access::new(action, resource));
        }
    }

    /// Notes an access to the target as a whole.
    pub(super) fn access_target(&mut self, action: Action) {
        self.access(action, self.resources.target());
    }

    /// A value is read: by its class it decides how messages about the statement are treated.
    pub(super) fn read(&mut self, lineage: &Lineage) {
        if !lineage.is_clean() {
            self.mark_sensitive();
        }
    }

    pub(super) fn mark_sensitive(&mut self) {
        self.sensitive_views.extend(&self.open_views);
        if self.open_views.is_empty() {
            self.found.sensitive = true;
        }
    }

    /// A value decides which rows there are, or in which order.
    pub(super) fn probe(&mut self, lineage: &Lineage) {
        self.access_sources(Action::PROBE, lineage);
    }

    /// Whether an index holds a column; so it may be of one that is not known.
    fn is_indexed(&self, column: &Resource) -> bool {
        let Some((relation, name)) = resource::column_at(self.resources.catalog, self.resources.target, column) else {
            return true;
        };
        let family = self.resources.catalog.family(relation);
        // A column of a view may be of a class that what it shows is not of.
        let may_be = |kin: &Relation| kin.kind == RelationKind::View;
        let holds = |kin: &Relation| kin.columns.iter().any(|column| *column.name == *name && column.indexed);
        family.iter().any(|kin| may_be(kin) || holds(kin))
    }

    /// Reads what chooses rows.
    pub(super) fn choosing_by<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = std::mem::replace(&mut self.is_choosing, true);
        let result = read(self);
        self.is_choosing = outside;
        result
    }

    /// Reads what puts rows in an order.
    pub(super) fn ordering_by<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = std::mem::replace(&mut self.is_ordering, true);
        let result = read(self);
        self.is_ordering = outside;
        result
    }

    /// A value goes where its class does not follow it.
    pub(super) fn reveal(&mut self, lineage: &Lineage) {
        self.access_sources(Action::REVEAL, lineage);
    }

    fn access_sources(&mut self, action: Action, lineage: &Lineage) {
        self.read(lineage);
        for source in lineage.sources() {
            self.access_column(action, source);
        }
        if lineage.is_unknown() {
            self.access_all_classes(action);
        }
    }

    /// Where single fields are of classes, leave is asked for each of these.
    fn access_column(&mut self, action: Action, column: &Resource) {
        for part in column.by_class() {
            self.access(action, part);
        }
    }

    /// Of a value whose origin is not known: it may hold anything, so it asks for no less than the worst that is known.
    fn access_all_classes(&mut self, action: Action) {
        for class in self.resources.all_classes() {
            self.access(action, class);
        }
    }

    /// A value is written into a column: it must not leave its classes.
    pub(super) fn flow(&mut self, lineage: &Lineage, into: Option<&Resource>) {
        self.read(lineage);
        if !matches!(lineage, Lineage::Copy(_)) && self.open_views.is_empty() {
            let classes = lineage.sources().iter().flat_map(resource::classes);
            self.found.repacked.extend(classes.map(|class| class.id.clone()));
        }
        if lineage.is_unknown() {
            self.found.repacks_unknown |= self.open_views.is_empty();
            self.access_all_classes(Action::PROBE);
            self.access_all_classes(Action::REVEAL);
        }
        for source in lineage.sources() {
            // Neither less nor more: who sees one of the column's classes would see the value by that. In another form it
            // would be masked by what it no longer looks like, and in other fields not at all.
            let is_as_it_was = matches!(lineage, Lineage::Copy(_));
            let stays = is_as_it_was
                && into
                    .is_some_and(|into| resource::kinds(source) == resource::kinds(into) && self.keeps(source, into));
            if !stays {
                self.access_column(Action::PROBE, source);
                self.access_column(Action::REVEAL, source);
            }
        }
    }

    /// Whether a column takes each value of another as it is, and nothing looks at it there: one that it does not take makes
    /// the statement fail, and that tells of it.
    fn keeps(&self, source: &Resource, into: &Resource) -> bool {
        let catalog = self.resources.catalog;
        let type_of = |column: &Resource| {
            let (relation, name) = resource::column_at(catalog, self.resources.target, column)?;
            let column = relation.columns.iter().find(|info| *info.name == *name)?;
            Some((column.type_oid, column.type_modifier))
        };
        let chars = |(oid, modifier)| catalog.chars_of(oid, modifier);
        let (source, Some(kind)) = (type_of(source), type_of(into)) else { return true };
        if self.is_tested(into) {
            return false;
        }
        let into = kind;
        let has_room = |room: usize| room == usize::MAX || source.and_then(chars).is_some_and(|needed| needed <= room);
        source == Some(into) || chars(into).is_some_and(has_room)
    }

    /// Whether a column is a view's that has a class which the column behind it does not have.
    pub(super) fn has_class_of_its_own(&self, column: &Resource) -> bool {
        self.view_columns.contains(column)
    }

    /// Code that cannot be seen through runs.
    pub(super) fn opaque(&mut self) {
        self.mark_sensitive();
        self.found.opaque_inside = true;
        if self.open_views.is_empty() {
            self.found.opaque = true;
            self.found.changes_meaning = true;
            self.found.changes_path = true;
        }
    }

    /// Whether a view's definition is being read.
    pub(super) fn is_in_view(&self) -> bool {
        !self.open_views.is_empty()
    }

    /// The names of relations that were looked up.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.names.take()
    }

    pub(super) fn search_path(&self) -> &'a SearchPath {
        self.path
    }

    /// What an unqualified or qualified name of a relation means; empty if the catalog has none.
    pub(super) fn relations(&self, schema: Option<&str>, name: &str) -> Vec<Arc<Relation>> {
        let catalog = self.resources.catalog;
        if let Some(relation) = catalog.relations_named(name).first()
            && let mut names = self.names.borrow_mut()
            && !names.iter().any(|known| **known == *name)
        {
            names.push(relation.name.clone());
        }
        if schema.is_some_and(is_temporary_schema) {
            // Which relations it has is known to the session at the target alone.
            return Vec::new();
        }
        if let Some(schema) = schema {
            return catalog.relation(schema, name).cloned().into_iter().collect();
        }
        if !self.open_views.is_empty() {
            return catalog.relation("pg_catalog", name).cloned().into_iter().collect();
        }
        match self.path {
            SearchPath::Known(path) if !self.found.changes_path => {
                let explicit = path.iter().any(|schema| &**schema == "pg_catalog");
                let implicit = (!explicit).then_some("pg_catalog");
                let mut schemas = implicit.into_iter().chain(path.iter().map(|schema| &**schema));
                schemas.find_map(|schema| catalog.relation(schema, name)).cloned().into_iter().collect()
            }
            SearchPath::Known(_) | SearchPath::Uncertain => catalog.relations_named(name).to_vec(),
        }
    }

    /// The tables that a name means; one of an unknown schema if the catalog has none.
    pub(super) fn tables(&mut self, node: &RangeVar) -> Vec<Resource> {
        self.inventory.strike(Node::RangeVar(node));
        self.found.makes_temporary |= tree::is_temporary(node);
        let (schema, name) = tree::relation_name(node);
        self.tables_named(schema, name)
    }

    pub(super) fn tables_named(&mut self, schema: Option<&str>, name: &str) -> Vec<Resource> {
        let relations = self.relations(schema, name);
        if relations.is_empty() {
            if self.open_views.is_empty() {
                self.found.unknown_relation.get_or_insert_with(|| name.into());
            }
            self.mark_sensitive();
            return vec![self.resources.table(schema.unwrap_or(UNKNOWN_SCHEMA), name)];
        }
        relations.iter().map(|relation| self.resources.table(&relation.schema, &relation.name)).collect()
    }

    /// Notes an action on every table that a name can mean.
    pub(super) fn access_tables(&mut self, action: Action, node: &RangeVar) {
        for table in self.tables(node) {
            self.access(action, table);
        }
    }

    /// A relation as a row source.
    pub(super) fn relation(&mut self, node: &RangeVar, action: Action) -> Item {
        let (schema, name) = tree::relation_name(node);
        let relations = self.relations(schema, name);
        let tables = self.tables(node);
        for table in &tables {
            self.access(action, table.clone());
        }
        for relation in &relations {
            self.access_quoting(relation);
            if relation.is_system() && &*relation.name == "pg_settings" {
                self.show_setting(EVERY_SETTING);
            }
            if relation.is_system() && relation.name.starts_with(COUNTS_OF_ROWS) {
                self.probe_divided();
            }
            if relation.kind == RelationKind::ForeignTable || relation.quotes {
                // What goes wrong at its source, or in what decides who sees a row, may quote the row.
                self.mark_sensitive();
                self.found.shows_text = true;
            }
        }
        let (alias, names) = tree::alias(node.alias());
        let columns = if self.is_doubted(name) { Columns::unknown() } else { self.columns_of_any(&relations) };
        let columns = columns.renamed(names);
        let schemas = match alias {
            Some(_) => Vec::new(),
            None => relations.iter().map(|relation| relation.schema.clone()).chain(schema.map(Into::into)).collect(),
        };
        let divided_by = self.divided_by(&relations);
        if relations.iter().any(|relation| !relation.parents.is_empty()) {
            // Which rows there are is told by which partition is asked.
            self.probe(&divided_by);
        }
        let listed = Vec::new();
        Item { name: Some(alias.unwrap_or(name).into()), schemas, columns, tables, divided_by, listed }
    }

    /// What counts the rows that were read of each table tells in which partition one is.
    pub(super) fn probe_divided(&mut self) {
        let relations: Vec<Arc<Relation>> = self.resources.catalog.relations().cloned().collect();
        let divided_by = self.divided_by(&relations);
        self.probe(&divided_by);
    }

    /// The classified columns that decide in which partition of relations a row is.
    pub(super) fn divided_by(&self, relations: &[Arc<Relation>]) -> Lineage {
        let catalog = self.resources.catalog;
        let is_divided =
            |relation: &&Arc<Relation>| relation.kind == RelationKind::PartitionedTable || !relation.parents.is_empty();
        let divided = relations.iter().filter(is_divided);
        let keys = divided.flat_map(|relation| catalog.family(relation)).flat_map(|kin| {
            let keys = kin.columns.iter().filter(|column| column.divides);
            let keys = keys.map(|column| self.resources.column(&kin, &column.name));
            keys.filter(resource::is_classified).map(Lineage::Copy).collect::<Vec<_>>()
        });
        Lineage::derive(&keys.collect::<Vec<_>>())
    }

    fn columns_of_system(&self, relation: &Relation) -> Columns {
        let quoting = function::quoting_columns(&relation.name);
        let measuring = function::measuring_columns(&relation.name);
        let column = |name: &str| {
            let quotes = quoting.is_some_and(|columns| columns.is_empty() || columns.contains(&name));
            let lineage = match quotes || measuring.contains(&name) {
                true => Lineage::unknown(),
                false if function::counts_changes_of_indexes(&relation.name, name) => self.indexed(),
                false => Lineage::Clean,
            };
            Named::new(name, lineage)
        };
        Columns { named: relation.columns.iter().map(|info| column(&info.name)).collect(), rest: None }
    }

    /// The classified columns that indexes hold.
    fn indexed(&self) -> Lineage {
        let columns = self.resources.catalog.relations().flat_map(|relation| {
            let columns = relation.columns.iter().filter(|column| column.indexed);
            columns.map(|column| self.resources.column(relation, &column.name))
        });
        Lineage::derive(&columns.filter(resource::is_classified).map(Lineage::Copy).collect::<Vec<_>>())
    }

    /// Of the columns of something, those that an index may hold.
    pub(super) fn indexed_among(&self, columns: &Columns) -> Lineage {
        let may_be =
            |lineage: &&Lineage| lineage.is_unknown() || lineage.sources().iter().any(|one| self.is_indexed(one));
        Lineage::derive(columns.lineages().filter(may_be))
    }

    /// Whether a relation of this name may be another by now than the catalog says.
    pub(super) fn is_doubted(&self, name: &str) -> bool {
        let may_move = |moved: &Moved| match self.open_views.is_empty() {
            true => moved.may_move_relation(name),
            false => moved.may_move_lasting(name),
        };
        may_move(self.moved) || may_move(&self.found.moved)
    }

    /// Whether a function or a type of this name may have been made since the catalog was read. In a view, a name alone is
    /// PostgreSQL's own.
    pub(super) fn is_remade(&self, name: &str) -> bool {
        self.open_views.is_empty() && (self.moved.names_routine(name) || self.found.moved.names_routine(name))
    }

    /// Whether a relation, and so a type, of just this name may have been made since then.
    pub(super) fn is_made_as_relation(&self, name: &str) -> bool {
        self.open_views.is_empty() && (self.moved.names_relation(name) || self.found.moved.names_relation(name))
    }

    /// A table, and all that it is of one tree of inheritance with, as the catalog has them.
    pub(super) fn kin(&self, table: &RangeVar) -> Vec<Arc<Relation>> {
        let (schema, name) = tree::relation_name(table);
        self.relations(schema, name).iter().flat_map(|relation| self.resources.catalog.family(relation)).collect()
    }

    /// What is known of a table and its kin holds no more.
    pub(super) fn doubts_family(&mut self, table: &RangeVar) {
        let (schema, name) = tree::relation_name(table);
        self.found.moved.relation(name);
        for relation in self.relations(schema, name) {
            let family = self.resources.catalog.family(&relation);
            if family.len() > MOVED_KIN_MAX {
                return self.found.moved.every_relation();
            }
            family.iter().for_each(|kin| self.found.moved.relation(kin.name.clone()));
        }
    }

    fn access_quoting(&mut self, relation: &Relation) {
        let extension = matches!(&*relation.name, "pg_stat_statements" | "pg_stat_monitor");
        if (relation.is_system() || extension) && function::quoting_columns(&relation.name).is_some() {
            self.mark_sensitive();
            self.access(action::ADMIN, self.resources.table(&relation.schema, &relation.name));
        }
    }

    /// The columns of one of several relations.
    fn columns_of_any(&mut self, relations: &[Arc<Relation>]) -> Columns {
        let mut all: Vec<Columns> = Vec::new();
        for relation in relations {
            all.push(self.columns_of(relation));
        }
        let columns = match (all.len(), all.pop()) {
            (1, Some(only)) => only,
            (_, None) => Columns::unknown(),
            (_, Some(last)) => {
                all.push(last);
                any_of(&all)
            }
        };
        // After DDL in the same text the catalog no longer says what a name means.
        if self.found.changes_catalog && self.open_views.is_empty() { columns.doubted() } else { columns }
    }

    /// The columns of a relation, each with where it comes from.
    pub(super) fn columns_of(&mut self, relation: &Arc<Relation>) -> Columns {
        if relation.is_system() {
            return self.columns_of_system(relation);
        }
        match relation.kind {
            RelationKind::View | RelationKind::MaterializedView => {
                self.found.reads_materialized |= relation.kind == RelationKind::MaterializedView;
                let columns = self.view(relation);
                if self.sensitive_views.contains(&relation.oid) {
                    self.mark_sensitive();
                }
                columns
            }
            RelationKind::Table
            | RelationKind::PartitionedTable
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::Index
            | RelationKind::Composite => {
                if !self.resources.catalog.makings().is_empty() {
                    self.types_seen.extend(relation.columns.iter().map(|column| column.type_oid));
                }
                if self.resources.catalog.is_generating(relation) {
                    return self.generating(relation);
                }
                let copy = |name: &str| Named::new(name, Lineage::Copy(self.resources.column(relation, name)));
                self.tables.columns(relation.oid, || Columns {
                    named: relation.columns.iter().map(|column| copy(&column.name)).collect(),
                    rest: None,
                })
            }
        }
    }

    /// The columns of a table of which some, there or in its kin, are computed from others.
    fn generating(&mut self, relation: &Arc<Relation>) -> Columns {
        if let Some(columns) = self.views.get(&relation.oid) {
            return columns.clone();
        }
        let resources = self.resources;
        let copy = |of: &Arc<Relation>, name: &str| Named::new(name, Lineage::Copy(resources.column(of, name)));
        let as_it_is = relation.columns.iter().map(|column| copy(relation, &column.name)).collect();
        let plain = Columns { named: as_it_is, rest: None };
        // Where single fields are of classes, what is computed may lie in any other.
        let is_whole = |own: &Resource| resource::is_classified(own) && own.fields.is_none();
        let is_of_a_class = |lineage: &Lineage| matches!(lineage, Lineage::Copy(own) if is_whole(own));
        let (mut columns, mut seen) = (plain.clone(), HashSet::new());
        for kin in self.resources.catalog.family(relation) {
            for column in kin.columns.iter().filter(|column| column.generated) {
                // Partitions mostly compute the same.
                if !seen.insert((column.name.clone(), column.expression.clone())) {
                    continue;
                }
                // A column's classes are the same throughout the family.
                let same = |name: &str| plain.named.iter().find(|named| named.name.as_deref() == Some(name)).cloned();
                let named =
                    kin.columns.iter().map(|column| same(&column.name).unwrap_or_else(|| copy(&kin, &column.name)));
                let item = Item::query(Some(&kin.name), Columns { named: named.collect(), rest: None });
                let computed = match &column.expression {
                    Some(expression) => {
                        self.read_inside(kin.oid, &format!("SELECT {expression}"), &Sources::of(item), false)
                    }
                    None => Err(Misunderstood::new("an expression is not known", "")),
                };
                let computed = computed.map_or_else(|_| Lineage::unknown(), |columns| columns.row());
                let target = columns.named.iter_mut().find(|named| named.name.as_deref() == Some(&*column.name));
                if let Some(named) = target
                    && !is_of_a_class(&named.lineage)
                    && !computed.is_clean()
                {
                    named.lineage = Lineage::derive([&named.lineage, &computed]);
                }
            }
        }
        self.views.insert(relation.oid, columns.clone());
        columns
    }

    /// The columns of a view, through its definition.
    fn view(&mut self, relation: &Arc<Relation>) -> Columns {
        if let Some(columns) = self.views.get(&relation.oid) {
            return columns.clone();
        }
        let is_deep = self.open_views.len() >= VIEW_DEPTH_MAX || self.open_views.contains(&relation.oid);
        let runs = relation.kind != RelationKind::MaterializedView;
        let inside = match &relation.definition {
            Some(definition) if !is_deep => self.read_inside(relation.oid, definition, &Sources::default(), runs).ok(),
            Some(_) | None => None,
        };
        if inside.is_none() && runs {
            // It may call anything, and all that is known of that is its name.
            self.call(Kind::User, Some(&relation.schema), &relation.name, Lineage::Clean);
        }
        let inside = inside.unwrap_or_else(Columns::unknown);
        let is_whole = inside.rest.is_none() && inside.named.len() == relation.columns.len();
        let column = |(place, name): (usize, &str)| {
            let lineage = match inside.named.get(place) {
                Some(column) if is_whole => column.lineage.clone(),
                Some(_) | None => inside.row().doubted(),
            };
            let own = self.resources.column(relation, name);
            // A class that is given to the view's own column holds where its source has none.
            let lineage = if lineage.is_clean() && resource::is_classified(&own) {
                // What is written there lies in the table, which has no such class.
                self.view_columns.insert(own.clone());
                Lineage::Copy(own)
            } else {
                lineage
            };
            Named::new(name, lineage)
        };
        let named = relation.columns.iter().map(|column| &*column.name).enumerate().map(column).collect();
        let columns = Columns { named, rest: None };
        if !is_deep {
            self.views.insert(relation.oid, columns.clone());
        }
        columns
    }

    /// Reads a definition over the columns of a row source; `runs` if what it calls runs where it is read.
    fn read_inside(
        &mut self,
        oid: u32,
        definition: &str,
        sources: &Sources,
        runs: bool,
    ) -> Result<Columns, Misunderstood> {
        let parsed = tree::parse(definition)?;
        let outside = std::mem::take(&mut self.inventory);
        let outside_runs = self.runs;
        let (outside_ordering, outside_choosing) =
            (std::mem::take(&mut self.is_ordering), std::mem::take(&mut self.is_choosing));
        self.runs &= runs;
        self.open_views.push(oid);
        let result = self.enter(|analyzer| {
            let mut columns = Columns::unknown();
            for statement in parsed.iter() {
                analyzer.inventory.take(statement.stmt())?;
                columns = analyzer.query(statement.stmt(), &Scope::root(sources))?;
            }
            analyzer.look_at_types();
            match analyzer.inventory.is_complete() {
                true => Ok(columns),
                false => Err(Misunderstood::new("a part of a definition is not understood", "")),
            }
        });
        self.open_views.pop();
        (self.runs, self.is_ordering, self.is_choosing) = (outside_runs, outside_ordering, outside_choosing);
        self.inventory = outside;
        result
    }

    /// What makes a value of a type that is not PostgreSQL's own may run code, and what that says may quote anything.
    pub(super) fn look_at_types(&mut self) {
        let types = self.inventory.types();
        let is_own = |name: &Vec<std::string::String>| {
            let names: Vec<&str> = name.iter().map(std::string::String::as_str).collect();
            self.is_own_type_named(&names)
        };
        if !types.iter().all(is_own) {
            self.mark_sensitive();
        }
        let names: Vec<&str> = types.iter().filter_map(|name| name.last()).map(std::string::String::as_str).collect();
        self.call_makings(&names);
    }

    /// Notes the calls of what runs where values of types of these names are made, and where one of what is in sight is made
    /// another without a word.
    pub(super) fn call_makings(&mut self, names: &[&str]) {
        let makings = self.resources.catalog.makings();
        if makings.is_empty() {
            return;
        }
        let runs = |making: &&Making| {
            let is_named = making.of.is_empty() || names.iter().any(|name| *making.of == **name);
            is_named && (making.from == 0 || self.types_seen.contains(&making.from))
        };
        let running: Vec<&Making> = makings.iter().filter(runs).collect();
        self.call_all(running);
    }

    /// The same of what makes values of a type that nothing in the statement names: it may be any.
    pub(super) fn call_makings_of_any_type(&mut self) {
        let makings = self.resources.catalog.makings();
        self.call_all(makings.iter().filter(|making| making.from == 0).collect());
    }

    /// The same of what writes values of any types as JSON: the catalog does not say which are among them.
    pub(super) fn call_casts_to_json(&mut self) {
        let makings = self.resources.catalog.makings();
        self.call_all(makings.iter().filter(|making| making.oid == JSON_OID && making.from != 0).collect());
    }

    fn call_all(&mut self, makings: Vec<&Making>) {
        for making in makings {
            let kind = self.function_kind(Some(&making.schema), &making.function);
            self.call(kind, Some(&making.schema), &making.function, Lineage::Clean);
        }
    }

    /// What a call of a function does.
    pub(super) fn function_kind(&self, schema: Option<&str>, name: &str) -> Kind {
        if schema != Some("pg_catalog") && self.is_remade(name) {
            return Kind::User;
        }
        function::kind(schema, name, self.resources.catalog, |schema| self.is_visible(schema))
    }

    fn is_visible(&self, schema: &str) -> bool {
        if !self.open_views.is_empty() {
            return false;
        }
        match self.path {
            SearchPath::Known(path) if !self.found.changes_path => path.iter().any(|other| &**other == schema),
            SearchPath::Known(_) | SearchPath::Uncertain => true,
        }
    }

    /// Whether PostgreSQL's own come before all others of a name, as they do on a path that does not say where.
    pub(super) fn own_names_come_first(&self) -> bool {
        let names_own = |path: &[Arc<str>]| path.iter().any(|schema| &**schema == "pg_catalog");
        let is_known = matches!(self.path, SearchPath::Known(path) if !self.found.changes_path && !names_own(path));
        is_known || !self.open_views.is_empty()
    }

    /// A function of a name is meant: where it may be any of several, each of them.
    pub(super) fn access_function(&mut self, action: Action, schema: Option<&str>, name: &str, kind: Kind) {
        let schemas = match (schema, kind) {
            (Some(schema), _) => vec![Some(schema)],
            (None, Kind::User) => {
                let known = self.resources.catalog.user_function_schemas(name);
                // Another of the name may come before those that are known.
                self.visible(known, self.is_remade(name))
            }
            (None, _) => vec![Some("pg_catalog")],
        };
        for schema in schemas {
            self.access(action, self.resources.function(schema, name));
        }
    }

    /// Those of some schemas in which a name without one can be meant, with none where that is not the only one.
    pub(super) fn visible<'s>(&self, schemas: &'s [Arc<str>], is_doubted: bool) -> Vec<Option<&'s str>> {
        let visible = schemas.iter().map(|schema| &**schema).filter(|schema| self.is_visible(schema));
        let mut visible: Vec<Option<&str>> = visible.map(Some).collect();
        if is_doubted || visible.len() != 1 {
            visible.push(None);
        }
        visible
    }

    /// Notes what a call of a function does, and says where its result comes from.
    pub(super) fn call(&mut self, kind: Kind, schema: Option<&str>, name: &str, arguments: Lineage) -> Lineage {
        if kind == Kind::Dangerous || kind == Kind::User && function::is_dangerous(name) {
            self.mark_sensitive();
            let outside = std::mem::replace(&mut self.is_calling, self.runs);
            self.access_function(action::ADMIN, schema, name, kind);
            self.is_calling = outside;
            if name == "set_config" && self.open_views.is_empty() {
                self.found.changes_meaning = true;
                self.found.changes_path = true;
            }
        }
        self.found.shows_text |= name == "current_query";
        self.found.keeps_text |= name == "current_query";
        let outside = std::mem::replace(&mut self.is_calling, self.runs && kind != Kind::Rows);
        let result = self.called(kind, schema, name, arguments);
        self.is_calling = outside;
        result
    }

    /// Notes the call of an operator that is not PostgreSQL's own.
    pub(super) fn call_operator(&mut self, schema: Option<&str>, name: &str) {
        self.access_as_caller(action::CALL, self.resources.function(schema, name));
    }

    /// Notes an access that whoever asks makes where a function runs, wherever its call is written.
    pub(super) fn access_as_caller(&mut self, action: Action, resource: Resource) {
        let outside = std::mem::replace(&mut self.is_calling, self.runs);
        self.access(action, resource);
        self.is_calling = outside;
    }

    fn called(&mut self, kind: Kind, schema: Option<&str>, name: &str, arguments: Lineage) -> Lineage {
        match kind {
            Kind::Plain | Kind::Count | Kind::Place | Kind::SequenceRead | Kind::Setting => arguments,
            Kind::Rows => {
                self.probe(&arguments);
                arguments
            }
            Kind::Lock => {
                self.access_target(action::LOCK);
                self.reveal(&arguments);
                arguments
            }
            Kind::Memory => {
                self.reveal(&arguments);
                arguments
            }
            Kind::Sequence => {
                self.access_function(action::UPDATE, schema, name, kind);
                self.reveal(&arguments);
                arguments
            }
            Kind::Notify => {
                self.access_target(action::LISTEN);
                self.reveal(&arguments);
                Lineage::Clean
            }
            Kind::Dangerous => {
                self.reveal(&arguments);
                arguments.doubted()
            }
            Kind::User => {
                self.access_function(action::CALL, schema, name, kind);
                self.opaque();
                arguments.doubted()
            }
        }
    }
}

/// Whether an action changes what it is on, or keeps others from it. Of functions, `update` is what sequences have.
fn changes(action: Action, resource: &Resource) -> bool {
    let of_rows = [action::INSERT, action::UPDATE, action::DELETE, action::MERGE, action::TRUNCATE];
    let of_all = [action::DDL, action::DROP, action::COPY_IN, action::LOCK];
    of_all.contains(&action) || of_rows.contains(&action) && resource::is_table(resource)
}

/// The columns of one of several relations: what a name means is certain as far as all agree; places are not.
fn any_of(all: &[Columns]) -> Columns {
    let mut named: Vec<Named> = Vec::new();
    for column in all.iter().flat_map(|columns| &columns.named) {
        match named.iter_mut().find(|other| other.name == column.name) {
            Some(other) => other.lineage = Lineage::derive([&other.lineage, &column.lineage]),
            None => named.push(column.clone()),
        }
    }
    let rest = Lineage::derive(all.iter().flat_map(Columns::lineages));
    Columns { named, rest: Some(rest) }
}
