//! Queries: WITH, FROM, SELECT, VALUES and set operations, and the columns that they give.
//!
//! Knows how rows flow through a query. Statements that write are in `write`.

use std::rc::Rc;
use std::sync::Arc;

use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    A_Expr, CommonTableExpr, IntoClause, JoinExpr, JsonTable, JsonTableColumn, RangeFunction, RangeSubselect,
    RangeTableFunc, RangeTableSample, RangeVar, ResTarget, SelectStmt, SortBy, WithClause,
};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, SetOperation};

use super::analyzer::{Analyzer, COLUMNS_MAX};
use super::expression::{bare_name, position};
use super::lineage::{Columns, Lineage, Named};
use super::naming::output_name;
use super::scope::{Item, Scope, Sources, With};
use super::tree::{self, strings};
use super::{Misunderstood, action};
use crate::function::{Kind, only_column};

/// How often a recursion is followed before its columns count as not known.
const RECURSION_ROUNDS_MAX: usize = 8;

impl Analyzer<'_> {
    /// A query or a statement that gives rows like one, and its columns.
    pub(super) fn query(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        let outside = std::mem::take(&mut self.is_negated);
        let columns = self.enter(|analyzer| match node {
            Node::SelectStmt(select) => analyzer.select(select, scope),
            Node::InsertStmt(insert) => analyzer.insert(insert, scope),
            Node::UpdateStmt(update) => analyzer.update(update, scope),
            Node::DeleteStmt(delete) => analyzer.delete(delete, scope),
            Node::MergeStmt(merge) => analyzer.merge(merge, scope),
            Node::None => Ok(Columns::default()),
            _ => Err(Misunderstood::new("a query is not understood", "Write it in another way")),
        });
        self.is_negated = outside;
        columns
    }

    /// The WITH queries that are visible below a WITH clause.
    pub(super) fn with(
        &mut self,
        clause: Option<&WithClause>,
        scope: &Scope<'_>,
    ) -> Result<Option<Rc<With>>, Misunderstood> {
        let mut with = scope.with.clone();
        let Some(clause) = clause else {
            return Ok(with);
        };
        if clause.recursive {
            // A later query can be meant before it is known.
            for query in clause.ctes() {
                with = With::push(with, query.ctename().unwrap_or_default(), Columns::unknown(), Vec::new());
            }
        }
        for query in clause.ctes() {
            let inner = Scope { with: with.clone(), ..scope.clone() };
            let columns = self.with_query(query, clause.recursive, &inner)?;
            let adds_columns = query.search_clause().is_some() || query.cycle_clause().is_some();
            let listed = if adds_columns { Vec::new() } else { self.lists(query.ctequery()) };
            with = With::push(with, query.ctename().unwrap_or_default(), columns, listed);
        }
        Ok(with)
    }

    fn with_query(
        &mut self,
        query: &CommonTableExpr,
        recursive: bool,
        scope: &Scope<'_>,
    ) -> Result<Columns, Misunderstood> {
        let is_union = matches!(query.ctequery(), Node::SelectStmt(select) if select.op != SetOperation::SETOP_NONE);
        let mut columns = if recursive && is_union {
            self.recursion(query, scope)?
        } else {
            self.query(query.ctequery(), scope)?.renamed(strings(query.aliascolnames()))
        };
        let row = columns.row();
        if let Some(search) = query.search_clause() {
            columns.named.push(Named::new(search.search_seq_column().unwrap_or_default(), row.clone()));
        }
        if let Some(cycle) = query.cycle_clause() {
            self.probe(&row);
            columns.named.push(Named::new(cycle.cycle_mark_column().unwrap_or_default(), row.clone()));
            columns.named.push(Named::new(cycle.cycle_path_column().unwrap_or_default(), row));
        }
        Ok(columns)
    }

    /// A query that may read its own rows: followed until it says the same as before.
    fn recursion(&mut self, query: &CommonTableExpr, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        let name = query.ctename().unwrap_or_default();
        let mut guess = Columns { named: Vec::new(), rest: Some(Lineage::Nothing) };
        for round in 0..=RECURSION_ROUNDS_MAX {
            let with = With::push(scope.with.clone(), name, guess.clone(), Vec::new());
            let inner = Scope { with, ..scope.clone() };
            let next = self.query(query.ctequery(), &inner)?.renamed(strings(query.aliascolnames()));
            if round == RECURSION_ROUNDS_MAX {
                return Ok(next.either(&guess));
            }
            if next == guess {
                return Ok(next);
            }
            let whole = next.row();
            guess = if round == 0 { next } else { next.either(&guess) };
            if round + 1 == RECURSION_ROUNDS_MAX {
                // It does not settle: any column may come from any other.
                let blurred = Lineage::derive([&whole, &guess.row()]).doubted();
                guess.named.iter_mut().for_each(|column| column.lineage = blurred.clone());
                guess.rest = guess.rest.as_ref().map(|_| blurred);
            }
        }
        Ok(Columns::unknown())
    }

    fn select(&mut self, select: &SelectStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.strike(Node::SelectStmt(select));
        let with = self.with(select.with_clause(), scope)?;
        let scope = Scope { with, ..scope.clone() };
        if select.op != SetOperation::SETOP_NONE {
            self.set_operation(select, &scope)
        } else if !select.values_lists().is_empty() {
            self.values(select, &scope)
        } else {
            self.plain_select(select, &scope)
        }
    }

    fn set_operation(&mut self, select: &SelectStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        let mut sides = Vec::new();
        for side in [select.larg(), select.rarg()] {
            sides.push(self.query(side.map_or(Node::None, Node::from), scope)?);
        }
        let [left, right] = sides.as_slice() else {
            return Err(Misunderstood::new("a set operation is not understood", "Write it in another way"));
        };
        if select.op != SetOperation::SETOP_UNION || !select.all {
            self.ordering_by(|analyzer| [left, right].map(|side| analyzer.probe(&side.row())));
        }
        let columns = left.either(right);
        let nothing = Sources::default();
        self.tail(select, &columns, &scope.inner(&nothing))?;
        Ok(columns)
    }

    fn values(&mut self, select: &SelectStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        let mut all: Option<Columns> = None;
        for row in select.values_lists() {
            let Node::NodeList(row) = row else {
                return Err(Misunderstood::new("a VALUES list is not understood", "Write it in another way"));
            };
            let mut columns = Columns::default();
            for (place, value) in row.iter().enumerate() {
                let lineage = self.expression(value, scope)?;
                columns.named.push(Named::new(&format!("column{}", place + 1), lineage));
            }
            // What stands behind a star is in no place that is known.
            if row.iter().any(expands) {
                columns = Columns { named: Vec::new(), rest: Some(columns.row()) };
            }
            all = Some(all.map_or_else(|| columns.clone(), |before| before.either(&columns)));
        }
        let columns = all.unwrap_or_default();
        self.tail(select, &columns, scope)?;
        Ok(columns)
    }

    /// A WHERE. Where it joins, rows may be put in order for it; and an index that it chooses them by has them in its own.
    fn filter(&mut self, condition: Node<'_>, joins: bool, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        match condition {
            Node::BoolExpr(all) if all.boolop == BoolExprType::AND_EXPR => {
                all.args().iter().try_for_each(|part| self.enter(|analyzer| analyzer.filter(part, joins, scope)))
            }
            // All rows that it has are the same by it.
            Node::A_Expr(equal) if is_one_value(equal) && !tree::holds_query(condition) => {
                self.predicate(condition, scope)
            }
            _ if joins || tree::holds_query(condition) => {
                self.ordering_by(|analyzer| analyzer.predicate(condition, scope))
            }
            _ => self.choosing_by(|analyzer| analyzer.predicate(condition, scope)),
        }
    }

    fn plain_select(&mut self, select: &SelectStmt, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        let sources = self.from(select.from_clause(), scope)?;
        let inner = scope.inner(&sources);
        // What names rows of another query is joined with that.
        let joins = sources.items.len() > 1 || scope.has_sources();
        self.filter(select.where_clause(), joins, &inner)?;
        for window in select.window_clause() {
            let Node::WindowDef(window) = window else {
                return Err(Misunderstood::new("a WINDOW is not understood", "Write it in another way"));
            };
            self.ordering_by(|analyzer| analyzer.window(Some(window), &inner))?;
        }
        let columns = self.outputs(select.target_list().iter(), &inner)?;
        for node in select.group_clause() {
            self.ordering_by(|analyzer| analyzer.grouping(node, &columns, &inner))?;
        }
        self.predicate(select.having_clause(), &inner)?;
        self.ordering_by(|analyzer| analyzer.distinct(select.distinct_clause(), &columns, &inner))?;
        self.tail(select, &columns, &inner)?;
        self.locks(select, &sources);
        if let Some(into) = select.into_clause() {
            self.found.selects_into = true;
            self.table_made_by_into(into, &columns);
        }
        Ok(columns)
    }

    /// The rows go into a new table, where no class follows them.
    pub(super) fn table_made_by_into(&mut self, into: &IntoClause, columns: &Columns) {
        if let Some(table) = into.rel() {
            let (schema, name) = self.new_name(table);
            self.take_over(&schema, name, columns);
            let table = self.new_table(table);
            self.access(action::DDL, table);
        }
        for lineage in columns.lineages() {
            self.flow(lineage, None);
        }
    }

    fn locks(&mut self, select: &SelectStmt, sources: &Sources) {
        for clause in select.locking_clause() {
            let name = |node| match node {
                Node::RangeVar(relation) => relation.relname(),
                _ => None,
            };
            let names: Vec<&str> = clause.locked_rels().iter().filter_map(name).collect();
            for item in &sources.items {
                if names.is_empty() || item.name.as_deref().is_some_and(|name| names.contains(&name)) {
                    for table in &item.tables {
                        self.access(action::LOCK, table.clone());
                    }
                }
            }
            // What is locked of a subquery are the rows of its tables.
            for source in select.from_clause() {
                self.locks_within(source, &names);
            }
        }
    }

    fn locks_within(&mut self, source: Node<'_>, names: &[&str]) {
        match source {
            Node::JoinExpr(join) => {
                for side in [join.larg(), join.rarg()] {
                    self.locks_within(side, names);
                }
            }
            Node::RangeSubselect(subselect) => {
                let (alias, _) = tree::alias(subselect.alias());
                if names.is_empty() || alias.is_none_or(|alias| names.contains(&alias)) {
                    self.locks_all(subselect.subquery());
                }
            }
            _ => {}
        }
    }

    fn locks_all(&mut self, query: Node<'_>) {
        let mut nodes = vec![query];
        while let Some(node) = nodes.pop() {
            if let Node::RangeVar(relation) = node {
                let (schema, name) = tree::relation_name(relation);
                for relation in self.relations(schema, name) {
                    self.access(action::LOCK, self.resources.table(&relation.schema, &relation.name));
                }
            }
            nodes.extend(tree::children(node));
        }
    }

    /// ORDER BY, LIMIT and OFFSET.
    fn tail(&mut self, select: &SelectStmt, columns: &Columns, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        for order in select.sort_clause() {
            self.ordering_by(|analyzer| analyzer.ordering(order, columns, scope))?;
        }
        self.predicate(select.limit_offset(), scope)?;
        self.predicate(select.limit_count(), scope)
    }

    fn ordering(&mut self, order: &SortBy, columns: &Columns, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        self.sort_operator(order);
        let node = order.node();
        if let Some(lineage) = bare_name(node).and_then(|name| columns.find(name)) {
            self.inventory.strike(node);
            self.probe(&lineage);
            // An output column whose name is not followed may be meant, or else an input column.
            return if columns.is_open() { self.predicate(node, scope) } else { Ok(()) };
        }
        self.place_or_predicate(node, columns, scope)
    }

    fn place_or_predicate(
        &mut self,
        node: Node<'_>,
        columns: &Columns,
        scope: &Scope<'_>,
    ) -> Result<(), Misunderstood> {
        let Some(place) = position(node) else {
            return self.predicate(node, scope);
        };
        let lineage = match columns.named.get(place) {
            Some(column) if columns.rest.is_none() => column.lineage.clone(),
            Some(_) | None => columns.row(),
        };
        self.probe(&lineage);
        Ok(())
    }

    /// One element of GROUP BY: an input column before an output column.
    fn grouping(&mut self, node: Node<'_>, columns: &Columns, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        if let Node::GroupingSet(set) = node {
            return self.enter(|analyzer| {
                set.content().iter().try_for_each(|element| analyzer.grouping(element, columns, scope))
            });
        }
        if let Some(name) = bare_name(node) {
            let is_input = scope.sources.columns.named.iter().any(|column| column.name.as_deref() == Some(name));
            if !is_input && let Some(lineage) = columns.find(name) {
                self.inventory.strike(node);
                self.probe(&lineage);
                return if scope.sources.columns.is_open() { self.predicate(node, scope) } else { Ok(()) };
            }
        }
        self.place_or_predicate(node, columns, scope)
    }

    fn distinct(&mut self, clause: &NodeList, columns: &Columns, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        for node in clause {
            match node {
                Node::None => self.probe(&columns.row()),
                node => match bare_name(node).and_then(|name| columns.find(name)) {
                    Some(lineage) => {
                        self.probe(&lineage);
                        self.predicate(node, scope)?;
                    }
                    None => self.place_or_predicate(node, columns, scope)?,
                },
            }
        }
        Ok(())
    }

    /// The output columns of a target list.
    pub(super) fn outputs<'t>(
        &mut self,
        targets: impl Iterator<Item = &'t ResTarget>,
        scope: &Scope<'_>,
    ) -> Result<Columns, Misunderstood> {
        let mut columns = Columns::default();
        for target in targets {
            let more = self.output(target, scope)?;
            self.spend(more.named.len())?;
            columns.extend(more);
            if columns.named.len() > COLUMNS_MAX {
                return Err(Misunderstood::new("target lists can have at most 1664 entries", "Name fewer columns"));
            }
        }
        Ok(columns)
    }

    fn output(&mut self, target: &ResTarget, scope: &Scope<'_>) -> Result<Columns, Misunderstood> {
        match target.val() {
            Node::ColumnRef(column) if is_star(column.fields()) => Ok(self.star(column, scope)),
            Node::A_Indirection(indirection) if is_star(indirection.indirection()) => {
                if let Some(item) = bare_name(indirection.arg()).and_then(|name| whole_row(name, scope)) {
                    self.inventory.strike(indirection.arg());
                    self.touch(item.lists(None).collect(), -1);
                    self.read(&item.columns.row());
                    return Ok(item.columns.clone());
                }
                let lineage = self.expression(target.val(), scope)?;
                Ok(Columns { named: Vec::new(), rest: Some(lineage) })
            }
            value => {
                let lineage = self.expression(value, scope)?;
                let name = output_name(target).map(Into::into);
                Ok(Columns { named: vec![Named { name, lineage }], rest: None })
            }
        }
    }

    /// The row sources of a FROM list, side by side.
    pub(super) fn from(&mut self, list: &NodeList, scope: &Scope<'_>) -> Result<Sources, Misunderstood> {
        let mut sources = Sources::default();
        for node in list {
            let next = self.source_item(node, &sources, scope)?;
            sources.extend(next);
        }
        Ok(sources)
    }

    /// One element of FROM; `left` is what stands before it, which LATERAL can see.
    pub(super) fn source_item(
        &mut self,
        node: Node<'_>,
        left: &Sources,
        scope: &Scope<'_>,
    ) -> Result<Sources, Misunderstood> {
        let sources = self.enter(|analyzer| match node {
            Node::RangeVar(relation) => Ok(Sources::of(analyzer.named_source(relation, scope))),
            Node::RangeSubselect(subselect) => analyzer.subselect(subselect, left, scope),
            Node::RangeFunction(function) => analyzer.range_function(function, &scope.inner(left)),
            Node::RangeTableFunc(table) => analyzer.xml_table(table, &scope.inner(left)),
            Node::JsonTable(table) => analyzer.json_table(table, &scope.inner(left)),
            Node::RangeTableSample(sample) => analyzer.sample(sample, left, scope),
            Node::JoinExpr(join) => analyzer.join(join, left, scope),
            _ => Err(Misunderstood::new("an element of FROM is not understood", "Write it in another way")),
        })?;
        self.spend(sources.columns.named.len())?;
        Ok(sources)
    }

    fn named_source(&mut self, relation: &RangeVar, scope: &Scope<'_>) -> Item {
        let (schema, name) = tree::relation_name(relation);
        let query = if schema.is_none() { scope.with_query(name) } else { None };
        match query {
            Some(query) => {
                self.inventory.strike(Node::RangeVar(relation));
                let (alias, names) = tree::alias(relation.alias());
                let columns = query.columns.clone().renamed(names);
                Item { listed: query.listed.clone(), ..Item::query(Some(alias.unwrap_or(name)), columns) }
            }
            None => self.relation(relation, action::SELECT),
        }
    }

    fn subselect(
        &mut self,
        subselect: &RangeSubselect,
        left: &Sources,
        scope: &Scope<'_>,
    ) -> Result<Sources, Misunderstood> {
        let columns = if subselect.lateral {
            self.query(subselect.subquery(), &scope.inner(left))?
        } else {
            self.query(subselect.subquery(), scope)?
        };
        let (alias, names) = tree::alias(subselect.alias());
        let listed = self.lists(subselect.subquery());
        Ok(Sources::of(Item { listed, ..Item::query(alias, columns.renamed(names)) }))
    }

    fn sample(
        &mut self,
        sample: &RangeTableSample,
        left: &Sources,
        scope: &Scope<'_>,
    ) -> Result<Sources, Misunderstood> {
        let sources = self.source_item(sample.relation(), left, scope)?;
        let inner = scope.inner(left);
        for argument in sample.args() {
            self.predicate(argument, &inner)?;
        }
        self.predicate(sample.repeatable(), &inner)?;
        Ok(sources)
    }

    fn range_function(&mut self, function: &RangeFunction, scope: &Scope<'_>) -> Result<Sources, Misunderstood> {
        let mut parts = Vec::new();
        let (mut name, mut is_own) = (None, true);
        let mut defined: Vec<&str> = function.coldeflist().iter().filter_map(|column| column.colname()).collect();
        for entry in function.functions() {
            let Node::NodeList(entry) = entry else {
                return Err(Misunderstood::new("a function in FROM is not understood", "Write it in another way"));
            };
            let mut entry = entry.iter();
            let call = entry.next().unwrap_or(Node::None);
            if let Node::FuncCall(call) = call {
                let (schema, called) = tree::function_name(call);
                is_own = self.function_kind(schema, called) != Kind::User;
                name = Some(called);
            }
            parts.push(self.expression(call, scope)?);
            for definition in entry {
                defined.extend(column_names(definition));
            }
        }
        let lineage = Lineage::derive(&parts);
        self.probe(&lineage);
        let (alias, names) = tree::alias(function.alias());
        let only = if parts.len() == 1 { name } else { None };
        let own = only.filter(|_| is_own);
        let columns = if !defined.is_empty() && parts.len() == 1 {
            Columns { named: defined.iter().map(|name| Named::new(name, lineage.clone())).collect(), rest: None }
        } else if let Some(column) = own.and_then(|name| only_column(name, alias)) {
            Columns { named: vec![Named::new(column, lineage)], rest: None }
        } else {
            Columns { named: Vec::new(), rest: Some(lineage) }
        };
        let mut columns = columns;
        if function.ordinality {
            columns.named.push(Named::new("ordinality", Lineage::Clean));
        }
        Ok(Sources::of(Item::query(alias.or(only), columns.renamed(names))))
    }

    fn xml_table(&mut self, table: &RangeTableFunc, scope: &Scope<'_>) -> Result<Sources, Misunderstood> {
        let mut parts = vec![
            self.expression(table.docexpr(), scope)?,
            self.expression(table.rowexpr(), scope)?,
            self.expressions(table.namespaces(), scope)?,
        ];
        for column in table.columns() {
            parts.push(self.expressions([column.colexpr(), column.coldefexpr()], scope)?);
        }
        let lineage = Lineage::derive(&parts);
        self.probe(&lineage);
        let named =
            table.columns().iter().map(|column| Named::new(column.colname().unwrap_or_default(), lineage.clone()));
        let columns = Columns { named: named.collect(), rest: None };
        let (alias, names) = tree::alias(table.alias());
        Ok(Sources::of(Item::query(alias.or(Some("xmltable")), columns.renamed(names))))
    }

    fn json_table(&mut self, table: &JsonTable, scope: &Scope<'_>) -> Result<Sources, Misunderstood> {
        let mut parts = vec![
            self.json_value(table.context_item(), scope)?,
            self.expressions(table.passing(), scope)?,
            self.json_behavior(table.on_error(), scope)?,
        ];
        let mut names = Vec::new();
        for column in table.columns() {
            self.json_table_column(column, &mut names, &mut parts, scope)?;
        }
        let lineage = Lineage::derive(&parts);
        self.probe(&lineage);
        let named = names.iter().map(|name| Named::new(name, lineage.clone())).collect();
        let (alias, renamed) = tree::alias(table.alias());
        let columns = Columns { named, rest: None }.renamed(renamed);
        let called = self.newer_syntax("json_table", lineage.clone());
        let columns = if called == lineage { columns } else { Columns { named: Vec::new(), rest: Some(called) } };
        Ok(Sources::of(Item::query(alias.or(Some("json_table")), columns)))
    }

    fn json_table_column<'t>(
        &mut self,
        column: &'t JsonTableColumn,
        names: &mut Vec<&'t str>,
        parts: &mut Vec<Lineage>,
        scope: &Scope<'_>,
    ) -> Result<(), Misunderstood> {
        parts.push(self.json_behavior(column.on_empty(), scope)?);
        parts.push(self.json_behavior(column.on_error(), scope)?);
        if column.columns().is_empty() {
            names.extend(column.name());
        }
        for nested in column.columns() {
            let Node::JsonTableColumn(nested) = nested else {
                return Err(Misunderstood::new("a JSON_TABLE is not understood", "Write it in another way"));
            };
            self.enter(|analyzer| analyzer.json_table_column(nested, names, parts, scope))?;
        }
        Ok(())
    }

    fn join(&mut self, join: &JoinExpr, left: &Sources, scope: &Scope<'_>) -> Result<Sources, Misunderstood> {
        let one = self.source_item(join.larg(), left, scope)?;
        let mut before = left.clone();
        before.extend(one.clone());
        let other = self.source_item(join.rarg(), &before, scope)?;
        let names: Vec<Arc<str>> = if join.is_natural {
            self.natural(&one, &other)
        } else {
            join.using_clause().iter().filter_map(|name| name.sval()).map(Into::into).collect()
        };
        if join.is_natural || !names.is_empty() {
            self.operator_named(None, "=");
        }
        for name in &names {
            for side in [&one, &other] {
                let lineage = side.columns.find(name).unwrap_or_else(Lineage::unknown);
                self.ordering_by(|analyzer| analyzer.probe(&lineage));
            }
        }
        let (alias, renamed) = tree::alias(join.alias());
        if join.is_natural || !names.is_empty() || alias.is_some() {
            // What is merged or goes by another name from here on is not followed.
            let items = one.items.iter().chain(&other.items);
            let lists = items.flat_map(|item| item.lists(None)).collect();
            self.touch(lists, -1);
        }
        let mut joined = one.join_using(other, &names);
        if let (Some(alias), _) = tree::alias(join.join_using_alias()) {
            let named = joined.columns.named.iter().take(names.len()).cloned().collect();
            joined.items.push(Item::query(Some(alias), Columns { named, rest: None }));
        }
        // Rows may be put in order to be joined.
        self.ordering_by(|analyzer| analyzer.predicate(join.quals(), &scope.inner(&joined)))?;
        Ok(match alias {
            None => joined,
            Some(alias) => {
                let tables = joined.items.into_iter().flat_map(|item| item.tables).collect();
                Sources::of(Item { tables, ..Item::query(Some(alias), joined.columns.renamed(renamed)) })
            }
        })
    }

    /// The names that both sides of a NATURAL JOIN have. Where one side's are not all known, any column of the other
    /// may take part.
    fn natural(&mut self, one: &Sources, other: &Sources) -> Vec<Arc<str>> {
        if one.columns.is_open() || other.columns.is_open() {
            self.probe(&one.columns.row());
            self.probe(&other.columns.row());
        }
        let has =
            |columns: &Columns, name: &str| columns.named.iter().any(|column| column.name.as_deref() == Some(name));
        let names = one.columns.named.iter().filter_map(|column| column.name.clone());
        names.filter(|name| has(&other.columns, name)).collect()
    }
}

/// Whether an expression may become several, or none, where a list of them stands.
pub(super) fn expands(node: Node<'_>) -> bool {
    match node {
        Node::ColumnRef(column) => is_star(column.fields()),
        Node::A_Indirection(indirection) => is_star(indirection.indirection()),
        _ => false,
    }
}

fn is_star(list: &NodeList) -> bool {
    matches!(list.iter().next_back(), Some(Node::A_Star(_)))
}

/// The row source that a bare name means as a whole.
fn whole_row<'s>(name: &str, scope: &'s Scope<'_>) -> Option<&'s Item> {
    if scope.column(name).is_some() { None } else { scope.item(None, name) }
}

fn column_names(node: Node<'_>) -> Vec<&str> {
    match node {
        Node::ColumnDef(column) => column.colname().into_iter().collect(),
        Node::NodeList(list) => list
            .iter()
            .filter_map(|node| match node {
                Node::ColumnDef(column) => column.colname(),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// True for `column = constant`.
fn is_one_value(expression: &A_Expr) -> bool {
    let is_constant = |node: Node<'_>| match node {
        Node::A_Const(_) => true,
        Node::TypeCast(cast) => matches!(cast.arg(), Node::A_Const(_)),
        _ => false,
    };
    expression.kind == A_Expr_Kind::AEXPR_OP
        && tree::qualified(&strings(expression.name())).1 == "="
        && (is_constant(expression.lexpr()) || is_constant(expression.rexpr()))
}
