//! What of classified columns the order tells in which rows are found, where indexes hold them.
//!
//! An index that is read without its table gives rows in its order, and so does one of which another column, or its own
//! condition, chooses the rows. Nobody has to name the classified column for that: the planner chooses the index by its cost.

use std::collections::BTreeSet;
use std::sync::Arc;

use gatehouse_model::{Access, Action, Provenance, Resource, kind};
use gatehouse_protocol::Order;

use super::resource::{Resources, is_classified};
use super::{Context, view_outputs};
use crate::catalog::RelationKind;

/// The settings that have rows found in no index's order, by the least that asks for them.
const HIDES_ALONE: &str = "enable_indexonlyscan";
const HIDES_CHOSEN: &str = "enable_indexscan";

/// Which indexes' order does not show in a session, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hidden {
    /// None's.
    Nothing,
    /// That of those that are read without their tables.
    Alone,
    /// That of all.
    All,
}

impl Hidden {
    /// What the settings of a session hide, as it began.
    pub(crate) fn by<'p>(settings: impl Iterator<Item = (&'p str, &'p str)>) -> Self {
        let (mut alone, mut chosen) = (false, false);
        for (name, value) in settings {
            match name {
                HIDES_ALONE => alone = value == "off",
                HIDES_CHOSEN => chosen = value == "off",
                _ => {}
            }
        }
        match (alone, chosen) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Alone,
            (true, true) => Self::All,
        }
    }

    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::Alone => &[HIDES_ALONE],
            Self::All => &[HIDES_ALONE, HIDES_CHOSEN],
        }
    }
}

/// What the indexes of a target tell by their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// What must be hidden of whoever may not see it.
    pub(crate) asks: Hidden,
    /// The tables whose rows may come in it.
    pub(crate) tables: BTreeSet<u32>,
    /// Those of them of which an index has it by which other columns choose rows.
    pub(crate) chosen: BTreeSet<u32>,
    /// What somebody must be permitted who may see it, and how it is hidden.
    pub(crate) order: Arc<Order>,
}

/// What is told at a target; `None` where nothing is.
pub(crate) fn exposure(context: &Context<'_>) -> Option<Exposure> {
    let Context { target, catalog, classifier, .. } = *context;
    let resources = Resources { target, catalog, classifier };
    let mut asks = Hidden::Nothing;
    let (mut tables, mut chosen, mut tells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for relation in catalog.relations().filter(|relation| !relation.is_system()) {
        if !relation.columns.iter().any(|column| column.indexed) {
            continue;
        }
        let outputs = match relation.kind {
            // Of a column that is computed, and of one that was taken from elsewhere, it is what it comes from.
            RelationKind::MaterializedView => view_outputs(relation, context),
            RelationKind::Table | RelationKind::PartitionedTable if catalog.is_generating(relation) => {
                view_outputs(relation, context)
            }
            // All others are of themselves. Each survey comes here, so that nothing is made of those that no index holds.
            RelationKind::Table | RelationKind::PartitionedTable => Vec::new(),
            RelationKind::View
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::Index
            | RelationKind::Composite => continue,
        };
        for (place, column) in relation.columns.iter().enumerate().filter(|(_, column)| column.indexed) {
            let mut sources = vec![resources.column(relation, &column.name)];
            match outputs.get(place) {
                Some(Provenance::Copy(source)) => sources.push(source.clone()),
                Some(Provenance::Derived(others)) => sources.extend(others.iter().cloned()),
                Some(Provenance::Unknown) => sources.extend(resources.all_classes()),
                Some(Provenance::Clean) | None => {}
            }
            let parts = sources.iter().filter(|source| tells_values(source)).flat_map(Resource::by_class);
            tells.extend(parts.map(|part| Access::new(Action::PROBE, part)));
            if sources.iter().any(tells_values) {
                asks = asks.max(if column.ordered { Hidden::All } else { Hidden::Alone });
                let oids = catalog.ancestry(relation).into_iter().map(|relation| relation.oid);
                oids.for_each(|oid| {
                    tables.insert(oid);
                    chosen.extend(column.ordered.then_some(oid));
                });
            }
        }
    }
    let hidden_by = asks.settings().iter().map(|name| ((*name).into(), "off".into())).collect();
    let order = Order { tells: tells.into_iter().collect(), hidden_by };
    (asks > Hidden::Nothing).then(|| Exposure { asks, tables, chosen, order: Arc::new(order) })
}

/// True for a class, and for what is of one.
fn tells_values(source: &Resource) -> bool {
    source.kind == kind::CLASS || is_classified(source)
}
