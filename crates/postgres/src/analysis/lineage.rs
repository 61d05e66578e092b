//! Where values come from, while a statement is read.
//!
//! Knows columns as resources, and how lineages combine. Must not know trees or the catalog.

use std::sync::Arc;

use gatehouse_model::{Provenance, Resource};

use super::resource::is_classified;

/// Where a value comes from. Lists of columns hold classified ones only, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lineage {
    /// There is no value: NULL, or the rows of a recursion that has not begun.
    Nothing,
    /// Holds nothing of a classified column.
    Clean,
    /// A plain copy of one column, classified or not.
    Copy(Resource),
    /// Computed from these.
    Derived(Vec<Resource>),
    /// Not known; at least from these.
    Unknown(Vec<Resource>),
}

impl Lineage {
    /// Not known at all.
    pub(super) fn unknown() -> Self {
        Self::Unknown(Vec::new())
    }

    /// The classified columns that it is known to come from.
    pub(super) fn sources(&self) -> &[Resource] {
        match self {
            Self::Nothing | Self::Clean => &[],
            Self::Copy(column) if is_classified(column) => std::slice::from_ref(column),
            Self::Copy(_) => &[],
            Self::Derived(columns) | Self::Unknown(columns) => columns,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// True if it provably holds nothing of a classified column.
    pub(super) fn is_clean(&self) -> bool {
        !self.is_unknown() && self.sources().is_empty()
    }

    /// True for a column as it stands.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Copy(_))
    }

    /// Of a value that is computed from these.
    pub(super) fn derive<'l>(parts: impl IntoIterator<Item = &'l Self>) -> Self {
        let (mut sources, mut unknown, mut nothing, mut count) = (Vec::new(), false, true, 0_usize);
        for part in parts {
            sources.extend_from_slice(part.sources());
            unknown |= part.is_unknown();
            nothing &= *part == Self::Nothing;
            count += 1;
        }
        sources.sort();
        sources.dedup();
        match (unknown, sources.is_empty()) {
            (true, _) => Self::Unknown(sources),
            (false, true) if nothing && count > 0 => Self::Nothing,
            (false, true) => Self::Clean,
            (false, false) => Self::Derived(sources),
        }
    }

    /// Of a value that is the one or the other as it stands.
    pub(super) fn either(one: &Self, other: &Self) -> Self {
        match (one, other) {
            (Self::Nothing, known) | (known, Self::Nothing) => known.clone(),
            _ if one == other => one.clone(),
            _ => Self::derive([one, other]),
        }
    }

    /// The same, but nothing about it is certain any more.
    pub(super) fn doubted(self) -> Self {
        Self::Unknown(self.sources().to_vec())
    }

    pub(super) fn into_provenance(self) -> Provenance {
        match self {
            Self::Nothing | Self::Clean => Provenance::Clean,
            Self::Copy(column) => Provenance::Copy(column),
            Self::Derived(columns) => Provenance::Derived(columns.into()),
            Self::Unknown(_) => Provenance::Unknown,
        }
    }
}

/// One column of a row source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Its name; `None` when PostgreSQL names it in a way that is not followed here.
    pub(super) name: Option<Arc<str>>,
    pub(super) lineage: Lineage,
}

impl Named {
    pub(super) fn new(name: &str, lineage: Lineage) -> Self {
        Self { name: Some(name.into()), lineage }
    }
}

/// The columns of a row source, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Columns {
    pub(super) named: Vec<Named>,
    /// There may be more columns than the named ones, in places that are not known; this is where they come from.
    pub(super) rest: Option<Lineage>,
}

impl Columns {
    /// Of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { named: Vec::new(), rest: Some(Lineage::unknown()) }
    }

    /// All lineages.
    pub(super) fn lineages(&self) -> impl Iterator<Item = &Lineage> {
        self.named.iter().map(|column| &column.lineage).chain(&self.rest)
    }

    /// Of a whole row as one value.
    pub(super) fn row(&self) -> Lineage {
        Lineage::derive(self.lineages())
    }

    /// Of the column of a name. `None`: there is none, for certain.
    pub(super) fn find(&self, name: &str) -> Option<Lineage> {
        let mut found = self.named.iter().filter(|column| column.name.as_deref() == Some(name));
        if let Some(first) = found.next() {
            let more: Vec<&Lineage> = found.map(|column| &column.lineage).collect();
            if more.is_empty() {
                return Some(first.lineage.clone());
            }
            return Some(Lineage::derive(more.into_iter().chain([&first.lineage])));
        }
        self.is_open().then(|| {
            let unnamed = self.named.iter().filter(|column| column.name.is_none()).map(|column| &column.lineage);
            Lineage::derive(unnamed.chain(&self.rest))
        })
    }

    /// True if it has a column of this name, for certain.
    pub(super) fn has(&self, name: &str) -> bool {
        self.rest.is_none() && self.named.iter().any(|column| column.name.as_deref() == Some(name))
    }

    /// True if it may have columns of names that are not known.
    pub(super) fn is_open(&self) -> bool {
        self.rest.is_some() || self.named.iter().any(|column| column.name.is_none())
    }

    /// Appends the columns of another.
    pub(super) fn extend(&mut self, other: Self) {
        self.named.extend(other.named);
        self.rest = match (self.rest.take(), other.rest) {
            (None, rest) | (rest, None) => rest,
            (Some(one), Some(other)) => Some(Lineage::derive([&one, &other])),
        };
    }

    /// The same columns under other names, as far as there are names.
    pub(super) fn renamed(mut self, names: Vec<&str>) -> Self {
        if names.is_empty() {
            return self;
        }
        if let Some(rest) = &self.rest {
            // Which of the columns each name is for is not known.
            let any = Lineage::derive(self.named.iter().map(|column| &column.lineage).chain([rest]));
            let named = names.into_iter().map(|name| Named::new(name, any.clone())).collect();
            return Self { named, rest: Some(any) };
        }
        for (column, name) in self.named.iter_mut().zip(names) {
            column.name = Some(name.into());
        }
        self
    }

    /// Of rows that come from the one or the other.
    pub(super) fn either(&self, other: &Self) -> Self {
        let whole = self.rest.is_none() && other.rest.is_none() && self.named.len() == other.named.len();
        let all = other.row();
        let named = self.named.iter().enumerate().map(|(place, column)| {
            let lineage = match other.named.get(place) {
                Some(twin) if whole => Lineage::either(&column.lineage, &twin.lineage),
                Some(_) | None if other.named.is_empty() && other.rest == Some(Lineage::Nothing) => {
                    column.lineage.clone()
                }
                Some(_) | None => Lineage::derive([&column.lineage, &all]),
            };
            Named { name: column.name.clone(), lineage }
        });
        let named = named.collect();
        let rest = self.rest.as_ref().map(|rest| Lineage::derive([rest, &all]));
        // Two rows of different length are an error of the statement, unless one was not known in the first place.
        Self { named, rest }
    }

    /// The same, but nothing about it is certain any more.
    pub(super) fn doubted(self) -> Self {
        let doubt = |column: Named| Named { name: column.name, lineage: column.lineage.doubted() };
        Self { named: self.named.into_iter().map(doubt).collect(), rest: self.rest.map(Lineage::doubted) }
    }
}
