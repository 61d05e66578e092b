//! INSERT, UPDATE, DELETE and MERGE: what they write, what flows into it, and what they give back.
//!
//! Knows how values reach columns, and which conditions leave no row alone. The queries that they contain are in `query`.

use std::sync::Arc;

use gatehouse_model::{Action, Resource};
use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    DeleteStmt, InsertStmt, MergeStmt, MergeWhenClause, MultiAssignRef, OnConflictClause, RangeVar, ResTarget,
    ReturningClause, UpdateStmt,
};
use pg_raw_parse::raw::{CmdType, OnConflictAction};

use super::analyzer::Analyzer;
use super::lineage::{Columns, Lineage};
use super::query::expands;
use super::scope::{Item, Scope, Sources};
use super::tree::{self, strings};
use super::{Misunderstood, action, condition};
use crate::catalog::{ColumnInfo, Relation, RelationKind, Writes};

impl Analyzer<'_> {
    pub(super) fn insert(&mut self, insert: &InsertStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.strike(Node::InsertStmt(insert));
        let with = self.with(insert.with_clause(), scope)?;
        let scope = Scope { with, ..scope.clone() };
        let target = self.written(insert.relation(), action::INSERT)?;
        self.read(&target.columns.row());
        let into: Vec<Option<Resource>> = if insert.cols().is_empty() {
            target.columns.named.iter().map(|column| self.destination(&column.lineage)).collect()
        } else {
            self.named_columns(insert.cols(), &target, &scope)?
        };
        let columns = self.query(insert.select_stmt(), &scope)?;
        self.assigned_rows(insert, &into);
        self.flow_all(&columns, &into);
        let sources = Sources::of(target.clone());
        if let Some(conflict) = insert.on_conflict_clause() {
            self.on_conflict(conflict, &target, &scope)?;
            if conflict.action == OnConflictAction::ONCONFLICT_UPDATE {
                self.writes(insert.relation(), Writes::UPDATE);
            }
        }
        self.returning(insert.returning_clause(), &target, sources, &scope)
    }

    pub(super) fn update(&mut self, update: &UpdateStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.strike(Node::UpdateStmt(update));
        let with = self.with(update.with_clause(), scope)?;
        let scope = Scope { with, ..scope.clone() };
        let target = self.written(update.relation(), action::UPDATE)?;
        self.read(&target.columns.row());
        let mut sources = Sources::of(target.clone());
        sources.extend(self.from(update.from_clause(), &scope)?);
        let inner = scope.inner(&sources);
        self.assignments(update.target_list().iter(), &target, &inner)?;
        self.predicate(update.where_clause(), &inner)?;
        if names_columns(update.where_clause()) || update.target_list().iter().any(|column| names_columns(column.val()))
        {
            self.access_item(action::SELECT, &target);
        }
        self.condition(update.where_clause(), update.relation());
        let given = sources.clone();
        self.returning(update.returning_clause(), &target, given, &scope)
    }

    pub(super) fn delete(&mut self, delete: &DeleteStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.strike(Node::DeleteStmt(delete));
        let with = self.with(delete.with_clause(), scope)?;
        let scope = Scope { with, ..scope.clone() };
        let target = self.written(delete.relation(), action::DELETE)?;
        // An error about what still refers to a row quotes the row's key.
        self.read(&target.columns.row());
        let mut sources = Sources::of(target.clone());
        sources.extend(self.from(delete.using_clause(), &scope)?);
        self.predicate(delete.where_clause(), &scope.inner(&sources))?;
        if names_columns(delete.where_clause()) {
            self.access_item(action::SELECT, &target);
        }
        self.condition(delete.where_clause(), delete.relation());
        self.returning(delete.returning_clause(), &target, sources, &scope)
    }

    pub(super) fn merge(&mut self, merge: &MergeStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.strike(Node::MergeStmt(merge));
        let with = self.with(merge.with_clause(), scope)?;
        let scope = Scope { with, ..scope.clone() };
        let target = self.written(merge.relation(), action::MERGE)?;
        self.read(&target.columns.row());
        let mut sources = self.source_item(merge.source_relation(), &Sources::default(), &scope)?;
        sources.extend(Sources::of(target.clone()));
        let inner = scope.inner(&sources);
        self.predicate(merge.join_condition(), &inner)?;
        self.access_item(action::SELECT, &target);
        for clause in merge.merge_when_clauses() {
            self.merge_when(clause, merge.join_condition(), &target, &inner)?;
            let writes = match clause.command_type {
                CmdType::CMD_INSERT => Writes::INSERT,
                CmdType::CMD_UPDATE => Writes::UPDATE,
                CmdType::CMD_DELETE => Writes::DELETE,
                _ => continue,
            };
            self.writes(merge.relation(), writes);
        }
        let given = sources.clone();
        self.returning(merge.returning_clause(), &target, given, &scope)
    }

    fn merge_when(
        &mut self,
        clause: &MergeWhenClause,
        join: Node<'_>,
        target: &Item,
        scope: &Scope<'_>,
    ) -> Result<(), Misunderstood> {
        self.predicate(clause.condition(), scope)?;
        match clause.command_type {
            CmdType::CMD_INSERT => {
                self.access_item(action::INSERT, target);
                let into: Vec<Option<Resource>> = if clause.target_list().is_empty() {
                    target.columns.named.iter().map(|column| self.destination(&column.lineage)).collect()
                } else {
                    self.named_columns(clause.target_list(), target, scope)?
                };
                let is_in_place = !clause.values().iter().any(expands);
                for (place, value) in clause.values().iter().enumerate() {
                    let lineage = self.expression(value, scope)?;
                    let into = into.get(place).and_then(Option::as_ref).filter(|_| is_in_place);
                    if !clause.target_list().is_empty() {
                        self.assigned(value, into);
                    }
                    self.flow(&lineage, into);
                }
                Ok(())
            }
            CmdType::CMD_UPDATE => {
                self.access_item(action::UPDATE, target);
                self.condition(join, None);
                let targets = targets(clause.target_list())?;
                self.assignments(targets.into_iter(), target, scope)
            }
            CmdType::CMD_DELETE => {
                self.access_item(action::DELETE, target);
                self.condition(join, None);
                Ok(())
            }
            CmdType::CMD_NOTHING => Ok(()),
            _ => Err(Misunderstood::new("a MERGE is not understood", "Write it in another way")),
        }
    }

    /// The table that is written.
    fn written(&mut self, relation: Option<&RangeVar>, action: Action) -> Result<Item, Misunderstood> {
        let Some(relation) = relation else {
            return Err(Misunderstood::new("the statement names no table", "Name one"));
        };
        let item = self.relation(relation, action);
        self.writes(
            Some(relation),
            match action {
                action::INSERT => Writes::INSERT,
                action::UPDATE => Writes::UPDATE,
                action::DELETE => Writes::DELETE,
                // What a MERGE does, its clauses say.
                _ => Writes::default(),
            },
        );
        if item.columns.rest.is_some() {
            self.mark_sensitive();
        }
        Ok(item)
    }

    fn writes(&mut self, relation: Option<&RangeVar>, writes: Writes) {
        if let Some(relation) = relation {
            let (schema, name) = tree::relation_name(relation);
            self.note_effects(schema, name, writes);
        }
    }

    /// What else a write sets going may fail on rows of other tables, and quote them; so does one through a view.
    pub(super) fn note_effects(&mut self, schema: Option<&str>, name: &str, writes: Writes) {
        let quotes = |relation: &Arc<Relation>| {
            let family = self.resources.catalog.family(relation);
            relation.kind == RelationKind::View || family.iter().any(|kin| kin.has_effects)
        };
        let relations = self.relations(schema, name);
        if relations.iter().any(quotes) {
            self.mark_sensitive();
            self.found.shows_text = true;
        }
        // Rows go to partitions and children, which have triggers and rules of their own; and from one partition to another, where
        // they are deleted and inserted.
        let family = || relations.iter().flat_map(|relation| self.resources.catalog.family(relation));
        // What is written to a view is written to what stands behind it, which is not followed here.
        let is_view = relations.iter().any(|relation| relation.kind == RelationKind::View);
        let moves = |kin: &Relation| kin.kind == RelationKind::PartitionedTable && writes.has_any(Writes::UPDATE);
        let writes =
            if family().any(|kin| moves(&kin)) { writes.with(Writes::INSERT).with(Writes::DELETE) } else { writes };
        let has_triggers = is_view || family().any(|kin| kin.triggers.has_any(writes));
        let has_rules = is_view || family().any(|kin| kin.rules.has_any(writes));
        self.found.has_triggers = Some(self.found.has_triggers == Some(true) || has_triggers);
        self.found.has_rules = Some(self.found.has_rules == Some(true) || has_rules);
    }

    fn access_item(&mut self, action: Action, item: &Item) {
        for table in &item.tables {
            self.access(action, table.clone());
        }
    }

    /// The columns that a list of names means.
    fn named_columns(
        &mut self,
        list: &NodeList,
        target: &Item,
        scope: &Scope<'_>,
    ) -> Result<Vec<Option<Resource>>, Misunderstood> {
        let mut columns = Vec::new();
        for column in targets(list)? {
            self.expressions(column.indirection(), scope)?;
            columns.push(self.column_of(target, column));
        }
        Ok(columns)
    }

    fn column_of(&self, target: &Item, column: &ResTarget) -> Option<Resource> {
        let into = self.destination(&target.columns.find(column.name()?)?)?;
        // A document that becomes a part of another has its fields in other places there.
        (into.fields.is_none() || column.indirection().is_empty()).then_some(into)
    }

    /// The column in which a value comes to lie that is written to a column of this lineage.
    fn destination(&self, lineage: &Lineage) -> Option<Resource> {
        match lineage {
            Lineage::Copy(column) if !self.has_class_of_its_own(column) => Some(column.clone()),
            Lineage::Copy(_) | Lineage::Nothing | Lineage::Clean | Lineage::Derived(_) | Lineage::Unknown(_) => None,
        }
    }

    fn flow_all(&mut self, columns: &Columns, into: &[Option<Resource>]) {
        for (place, column) in columns.named.iter().enumerate() {
            let into = if columns.rest.is_none() { into.get(place).and_then(Option::as_ref) } else { None };
            self.flow(&column.lineage, into);
        }
        if let Some(rest) = &columns.rest {
            self.flow(rest, None);
        }
    }

    fn assignments<'t>(
        &mut self,
        list: impl Iterator<Item = &'t ResTarget>,
        target: &Item,
        scope: &Scope<'_>,
    ) -> Result<(), Misunderstood> {
        for assignment in list {
            self.expressions(assignment.indirection(), scope)?;
            let lineage = match assignment.val() {
                Node::MultiAssignRef(part) => self.assigned_part(part, scope)?,
                value => self.expression(value, scope)?,
            };
            let into = self.column_of(target, assignment);
            if assignment.indirection().is_empty() {
                self.assigned(assignment.val(), into.as_ref());
            }
            self.flow(&lineage, into.as_ref());
        }
        Ok(())
    }

    /// One value of `SET (a, b) = …`.
    fn assigned_part(&mut self, part: &MultiAssignRef, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let place = usize::try_from(part.colno).ok().and_then(|number| number.checked_sub(1)).unwrap_or_default();
        match part.source() {
            Node::RowExpr(row) if row.args().iter().any(expands) => self.expressions(row.args(), scope),
            Node::RowExpr(row) => match row.args().get(place) {
                Some(value) => self.expression(value, scope),
                None => self.expressions([part.source()], scope),
            },
            Node::SubLink(link) => {
                self.inventory.strike(Node::SubLink(link));
                let columns = self.query(link.subselect(), scope)?;
                Ok(match columns.named.get(place) {
                    Some(column) if columns.rest.is_none() => column.lineage.clone(),
                    Some(_) | None => columns.row(),
                })
            }
            source => self.expressions([source], scope),
        }
    }

    fn on_conflict(
        &mut self,
        conflict: &OnConflictClause,
        target: &Item,
        scope: &Scope<'_>,
    ) -> Result<(), Misunderstood> {
        let mut sources = Sources::of(target.clone());
        sources.items.push(Item::query(Some("excluded"), target.columns.clone()));
        let inner = scope.inner(&sources);
        if let Some(infer) = conflict.infer() {
            for element in infer.index_elems() {
                let Node::IndexElem(element) = element else {
                    return Err(Misunderstood::new("an ON CONFLICT is not understood", "Write it in another way"));
                };
                if let Some(lineage) = element.name().and_then(|name| target.columns.find(name)) {
                    self.probe(&lineage);
                }
                self.predicate(element.expr(), &inner)?;
            }
            self.predicate(infer.where_clause(), &inner)?;
            if infer.conname().is_some() {
                // Which columns are the constraint's is not known.
                self.probe(&self.indexed_among(&target.columns));
            }
        }
        if conflict.action == OnConflictAction::ONCONFLICT_UPDATE {
            self.access_item(action::UPDATE, target);
        }
        let is_read = conflict.target_list().iter().any(|column| names_columns(column.val()));
        if is_read || names_columns(conflict.where_clause()) {
            self.access_item(action::SELECT, target);
        }
        self.assignments(conflict.target_list().iter(), target, &inner)?;
        self.predicate(conflict.where_clause(), &inner)
    }

    fn returning(
        &mut self,
        clause: Option<&ReturningClause>,
        target: &Item,
        mut sources: Sources,
        scope: &Scope<'_>,
    ) -> Result<Columns, Misunderstood> {
        let Some(clause) = clause else {
            return Ok(Columns::default());
        };
        self.access_item(action::SELECT, target);
        let renamed: Vec<&str> = clause.options().iter().filter_map(|option| option.value()).collect();
        for name in ["old", "new"].into_iter().chain(renamed) {
            if !sources.items.iter().any(|item| item.name.as_deref() == Some(name)) {
                sources.items.push(Item::query(Some(name), target.columns.clone()));
            }
        }
        let targets = targets(clause.exprs())?;
        self.outputs(targets.into_iter(), &scope.inner(&sources))
    }

    /// Notes whether an UPDATE or DELETE leaves any row alone, as far as its condition shows.
    fn condition(&mut self, clause: Node<'_>, table: Option<&RangeVar>) {
        let is_there = !matches!(clause, Node::None);
        let relations = table.map(|table| {
            let (schema, name) = tree::relation_name(table);
            self.relations(schema, name)
        });
        let never_null = |column: &str| {
            let is_it = |found: &ColumnInfo| found.not_null && *found.name == *column;
            let relations = relations.as_deref().unwrap_or_default();
            !relations.is_empty() && relations.iter().all(|relation| relation.columns.iter().any(is_it))
        };
        let is_constant = is_there && condition::leaves_no_row_alone(clause, &never_null);
        let found = &mut self.found;
        found.has_where = Some(found.has_where.unwrap_or(true) && is_there && !is_constant);
        found.where_is_constant = Some(found.where_is_constant.unwrap_or(false) || is_constant);
    }
}

fn targets(list: &NodeList) -> Result<Vec<&ResTarget>, Misunderstood> {
    list.iter()
        .map(|node| match node {
            Node::ResTarget(target) => Ok(target),
            _ => Err(Misunderstood::new("a list of columns is not understood", "Write it in another way")),
        })
        .collect()
}

/// Whether a column is named, but for those of the row that was to be inserted: to read one takes leave to read its table.
fn names_columns(node: Node<'_>) -> bool {
    let mut nodes = vec![node];
    while let Some(node) = nodes.pop() {
        if let Node::ColumnRef(column) = node
            && !matches!(strings(column.fields()).as_slice(), ["excluded", _])
        {
            return true;
        }
        nodes.extend(tree::children(node));
    }
    false
}
