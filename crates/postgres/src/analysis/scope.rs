//! What a name can mean at a place in a statement: the row sources of each enclosing query, and the WITH queries.
//!
//! Knows PostgreSQL's rules of visibility. Must not know trees or the catalog.

use std::rc::Rc;
use std::sync::Arc;

use gatehouse_model::Resource;

use super::candidate::Listed;
use super::lineage::{Columns, Lineage, Named};

/// Columns that every table has and no `*` shows.
const SYSTEM_COLUMNS: [&str; 5] = ["ctid", "xmin", "cmin", "xmax", "cmax"];
/// The one of them that tells in which partition a row is.
const TABLE_OF_ROW: &str = "tableoid";

/// One row source under the name that qualifies its columns.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Its alias or name; `None` for one that nothing can qualify.
    pub(super) name: Option<Arc<str>>,
    /// The schemas that may stand before the name; none for an alias.
    pub(super) schemas: Vec<Arc<str>>,
    pub(super) columns: Columns,
    /// The tables behind it, which a locking clause would lock.
    pub(super) tables: Vec<Resource>,
    /// What decides in which of several tables a row of it is.
    pub(super) divided_by: Lineage,
    /// Of rows that are written out, the texts in each column, where there is nothing else; nothing of any other source.
    pub(super) listed: Vec<Option<Rc<Listed>>>,
}

impl Item {
    /// Something with an alias or without a name, that is not a table.
    pub(super) fn query(name: Option<&str>, columns: Columns) -> Self {
        let (schemas, tables) = (Vec::new(), Vec::new());
        let listed = Vec::new();
        Self { name: name.map(Into::into), schemas, columns, tables, divided_by: Lineage::Clean, listed }
    }

    /// The lists of the columns of a name, or of all.
    pub(super) fn lists(&self, name: Option<&str>) -> impl Iterator<Item = usize> {
        let columns = self.columns.named.iter().zip(&self.listed);
        let of_name = columns.filter(move |(column, _)| name.is_none() || column.name.as_deref() == name);
        of_name.filter_map(|(_, listed)| Some(listed.as_ref()?.id))
    }

    /// The list of the column of a name, for certain.
    fn listed_as(&self, name: &str) -> Option<Rc<Listed>> {
        let mut columns = self.columns.named.iter().zip(&self.listed);
        let is_it = |(column, _): &(&Named, &Option<Rc<Listed>>)| column.name.as_deref() == Some(name);
        let (_, listed) = columns.find(is_it)?;
        // A name that two columns have is an error at the target.
        (!columns.any(|other| is_it(&other)) && self.columns.has(name)).then(|| listed.clone()).flatten()
    }
}

/// The row sources of one FROM.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    pub(super) items: Vec<Item>,
    /// What `*` shows and unqualified names mean: like the items' columns, but joined ones once.
    pub(super) columns: Columns,
}

impl Sources {
    pub(super) fn of(item: Item) -> Self {
        Self { columns: item.columns.clone(), items: vec![item] }
    }

    /// Both, side by side.
    pub(super) fn extend(&mut self, other: Self) {
        self.items.extend(other.items);
        self.columns.extend(other.columns);
    }

    /// A join on columns of the same name: those come first, once each.
    pub(super) fn join_using(self, other: Self, names: &[Arc<str>]) -> Self {
        let merged = names.iter().map(|name| {
            let side = |columns: &Columns| columns.find(name).unwrap_or_else(Lineage::unknown);
            let (one, twin) = (side(&self.columns), side(&other.columns));
            let lineage = if one.is_clean() && twin.is_clean() { one } else { Lineage::either(&one, &twin) };
            Named { name: Some(name.clone()), lineage }
        });
        let mut columns = Columns { named: merged.collect(), rest: None };
        let is_merged = |column: &Named| column.name.as_ref().is_some_and(|name| names.contains(name));
        for mut side in [self.columns, other.columns] {
            side.named.retain(|column| !is_merged(column));
            columns.extend(side);
        }
        let mut items = self.items;
        items.extend(other.items);
        Self { items, columns }
    }
}

/// The row sources that are visible at a place, innermost first.
#[derive(Clone)]
pub(super) struct Scope<'s> {
    pub(super) sources: &'s Sources,
    pub(super) parent: Option<&'s Scope<'s>>,
    pub(super) with: Option<Rc<With>>,
}

/// A WITH query and those that were visible before it.
pub(super) struct With {
    name: Arc<str>,
    pub(super) columns: Columns,
    /// As of a row source that is it.
    pub(super) listed: Vec<Option<Rc<Listed>>>,
    before: Option<Rc<With>>,
}

impl With {
    /// One more.
    pub(super) fn push(
        before: Option<Rc<Self>>,
        name: &str,
        columns: Columns,
        listed: Vec<Option<Rc<Listed>>>,
    ) -> Option<Rc<Self>> {
        Some(Rc::new(Self { name: name.into(), columns, listed, before }))
    }
}

impl<'s> Scope<'s> {
    /// Of a statement, in which only the sources are visible.
    pub(super) fn root(sources: &'s Sources) -> Self {
        Self { sources, parent: None, with: None }
    }

    /// One level deeper.
    pub(super) fn inner<'i>(&'i self, sources: &'i Sources) -> Scope<'i> {
        Scope { sources, parent: Some(self), with: self.with.clone() }
    }

    /// The WITH query of this name.
    pub(super) fn with_query(&self, name: &str) -> Option<&With> {
        let mut with = self.with.as_deref();
        while let Some(query) = with {
            if &*query.name == name {
                return Some(query);
            }
            with = query.before.as_deref();
        }
        None
    }

    fn levels(&self) -> impl Iterator<Item = &Scope<'s>> {
        std::iter::successors(Some(self), |scope| scope.parent)
    }

    /// Whether anything can be named in it that is read beside what is inside.
    pub(super) fn has_sources(&self) -> bool {
        self.levels().any(|level| !level.sources.items.is_empty())
    }

    /// How many columns are looked through for a name, at most.
    pub(super) fn width(&self) -> usize {
        self.levels().map(|level| level.sources.columns.named.len()).sum()
    }

    /// Of an unqualified name. `None`: no visible column has it, for certain.
    pub(super) fn column(&self, name: &str) -> Option<Lineage> {
        let mut doubts: Vec<Lineage> = Vec::new();
        for level in self.levels() {
            let columns = &level.sources.columns;
            let Some(lineage) = columns.find(name) else {
                continue;
            };
            let certain = columns.named.iter().any(|column| column.name.as_deref() == Some(name));
            doubts.push(lineage);
            if certain {
                break;
            }
        }
        match doubts.as_slice() {
            [] if name == TABLE_OF_ROW => {
                Some(Lineage::derive(self.levels().flat_map(|level| &level.sources.items).map(|item| &item.divided_by)))
            }
            [] if SYSTEM_COLUMNS.contains(&name) => Some(Lineage::Clean),
            [] => None,
            [only] => Some(only.clone()),
            several => Some(Lineage::derive(several)),
        }
    }

    /// The list of texts that a column of this name is, for certain.
    pub(super) fn listed(&self, names: &[&str]) -> Option<Rc<Listed>> {
        match names {
            [name] => {
                let level = self.levels().find(|level| level.sources.columns.find(name).is_some())?;
                let mut having = level.sources.items.iter().filter(|item| item.columns.find(name).is_some());
                let item = having.next()?;
                having.next().is_none().then(|| item.listed_as(name)).flatten()
            }
            [source, name] => self.item(None, source)?.listed_as(name),
            _ => None,
        }
    }

    /// The lists of which this name may mean anything; without a name, those that `*` shows. What a source has no column of is its
    /// whole row, or made of it.
    pub(super) fn touched(&self, names: &[&str]) -> Vec<usize> {
        let has_lists = |level: &Self| level.sources.items.iter().any(|item| !item.listed.is_empty());
        if !self.levels().any(has_lists) {
            return Vec::new();
        }
        let mut lists = Vec::new();
        match names {
            [] => lists.extend(self.sources.items.iter().flat_map(|item| item.lists(None))),
            [name] => {
                for level in self.levels() {
                    for item in &level.sources.items {
                        let is_row = item.name.as_deref() == Some(*name);
                        lists.extend(item.lists((!is_row).then_some(*name)));
                    }
                    let is_it = |column: &Named| column.name.as_deref() == Some(*name);
                    if level.sources.columns.named.iter().any(is_it) {
                        break;
                    }
                }
            }
            [.., source, name] => {
                let items = self.levels().flat_map(|level| &level.sources.items);
                for item in items.filter(|item| item.name.as_deref() == Some(*source)) {
                    lists.extend(item.lists(item.columns.has(name).then_some(*name)));
                }
            }
        }
        lists
    }

    /// The row source of a name, and of a schema if one is written.
    pub(super) fn item(&self, schema: Option<&str>, name: &str) -> Option<&Item> {
        let is_meant = |item: &&Item| {
            item.name.as_deref() == Some(name)
                && schema.is_none_or(|schema| item.schemas.iter().any(|other| &**other == schema))
        };
        self.levels().find_map(|level| level.sources.items.iter().find(is_meant))
    }
}

/// Of a column of one row source. `None`: it has none of this name, for certain.
pub(super) fn column_of(item: &Item, name: &str) -> Option<Lineage> {
    match item.columns.find(name) {
        Some(lineage) => Some(lineage),
        None if name == TABLE_OF_ROW => Some(Lineage::derive([&item.divided_by])),
        None if SYSTEM_COLUMNS.contains(&name) => Some(Lineage::Clean),
        None => None,
    }
}
