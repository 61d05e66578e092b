//! The columns of tables with their classes, kept for all statements that are read with the same catalog, target and
//! classifier: to name them anew for each would take longer than all else.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::HashMap;

use super::lineage::Columns;

/// How many columns are kept; past them all are made anew.
const COLUMNS_MAX: usize = 65_536;

/// Columns by the table's OID.
#[derive(Default)]
pub(crate) struct Tables(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    tables: HashMap<u32, Arc<Columns>>,
    count: usize,
}

impl Tables {
    /// The columns that are kept of a table, or else what `make` says.
    pub(super) fn columns(&self, oid: u32, make: impl FnOnce() -> Columns) -> Columns {
        let known = self.kept(|kept| kept.tables.get(&oid).cloned());
        let columns = known.unwrap_or_else(|| {
            let columns = Arc::new(make());
            self.kept(|kept| kept.keep(oid, &columns));
            columns
        });
        (*columns).clone()
    }

    fn kept<R>(&self, look: impl FnOnce(&mut Kept) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn keep(&mut self, oid: u32, columns: &Arc<Columns>) {
        if self.count + columns.named.len() > COLUMNS_MAX {
            *self = Self::default();
        }
        self.count += columns.named.len();
        self.tables.insert(oid, columns.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::super::lineage::{Lineage, Named};
    use super::*;

    #[test]
    fn a_table_is_made_once_and_what_is_kept_has_a_limit() {
        let tables = Tables::default();
        let table = |count: usize| Columns { named: vec![Named::new("c", Lineage::unknown()); count], rest: None };
        assert_eq!(tables.columns(1, || table(1)).named.len(), 1);
        assert_eq!(tables.columns(1, || table(2)).named.len(), 1);
        for oid in 2..100 {
            tables.columns(oid, || table(1_600));
        }
        let kept = tables.kept(|kept| kept.tables.values().map(|columns| columns.named.len()).sum::<usize>());
        assert!(kept <= COLUMNS_MAX, "{kept}");
    }
}
