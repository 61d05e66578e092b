//! Statements that define: tables, views, indexes, functions, triggers, and what becomes of their classes.
//!
//! Knows what each one touches. What is only an administrator's business is in `statement`.

use std::collections::HashSet;
use std::sync::Arc;

use gatehouse_model::Resource;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    AlterObjectSchemaStmt, AlterTableCmd, AlterTableStmt, ColumnDef, Constraint, CreateFunctionStmt, CreateStmt,
    CreateTableAsStmt, CreateTrigStmt, DefElem, DropStmt, IndexStmt, ObjectWithArgs, PartitionBoundSpec, PartitionSpec,
    RangeVar, RenameStmt, TypeName, ViewStmt,
};
use pg_raw_parse::raw::{AlterTableType as Alter, ConstrType, DropBehavior, ObjectType, TableLikeOption};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::Analyzer;
use super::lineage::{Columns, Lineage, Named};
use super::resource::{self, UNKNOWN_SCHEMA};
use super::scope::{Item, Scope, Sources};
use super::tree::{self, strings};
use super::{Misunderstood, SearchPath, action};
use crate::catalog::{ColumnInfo, OWN_OIDS_END, Relation, RelationKind, is_system_schema, is_temporary_schema};
use crate::function::Kind;

/// Languages whose functions can do no more than statements.
const PLAIN_LANGUAGES: [&str; 2] = ["sql", "plpgsql"];

/// The one trigger function of PostgreSQL's own that moves no value anywhere.
const WRITES_NOTHING: &str = "suppress_redundant_updates_trigger";

/// What a table, its column or its schema comes to be called.
#[derive(Clone, Copy)]
enum NewName<'n> {
    Column { old: &'n str, new: &'n str },
    Table(&'n str),
    Schema(&'n str),
}

impl Analyzer<'_> {
    /// A query inside another kind of statement, and its columns.
    pub(super) fn body(&mut self, node: Node<'_>) -> Result<Columns, Misunderstood> {
        self.inventory.take(node)?;
        let nothing = Sources::default();
        self.query(node, &Scope::root(&nothing))
    }

    /// An expression inside another kind of statement, over the columns of a row source.
    fn evaluated(&mut self, node: Node<'_>, item: &Item) -> Result<Lineage, Misunderstood> {
        self.inventory.take(node)?;
        let sources = Sources::of(item.clone());
        self.expression(node, &Scope::root(&sources))
    }

    /// An expression that is computed of every row, and fails or does not: that tells of the values.
    pub(super) fn tested(&mut self, node: Node<'_>, item: &Item) -> Result<(), Misunderstood> {
        let lineage = self.evaluated(node, item)?;
        self.probe(&lineage);
        Ok(())
    }

    /// What an expression names that is only stored, such as a default: functions, the sequences that they move, the settings
    /// that they tell, and relations.
    pub(super) fn stored(&mut self, node: Node<'_>) {
        let mut nodes = vec![node];
        while let Some(node) = nodes.pop() {
            match node {
                Node::FuncCall(call) => {
                    let (schema, name) = tree::function_name(call);
                    let kind = self.function_kind(schema, name);
                    self.access_sequence(kind, call.args().iter().next());
                    self.access_setting(kind, call.args().iter().next());
                    self.call(kind, schema, name, Lineage::Clean);
                }
                // `a.name` and `(value).name` can stand for `name(…)`.
                Node::ColumnRef(column) => {
                    if let [_, .., name] = strings(column.fields()).as_slice() {
                        let _ = self.attribute(name, &Lineage::Clean);
                    }
                }
                Node::A_Indirection(indirection) => {
                    for (place, name) in strings(indirection.indirection()).into_iter().enumerate() {
                        let kind = self.function_kind(None, name);
                        self.access_sequence(kind, (place == 0).then(|| indirection.arg()));
                        let _ = self.attribute(name, &Lineage::Clean);
                    }
                }
                Node::RangeVar(relation) => self.access_tables(action::SELECT, relation),
                _ => {}
            }
            nodes.extend(tree::children(node));
        }
    }

    /// The schema and name of a table that is to be made.
    pub(super) fn new_name<'t>(&self, table: &'t RangeVar) -> (String, &'t str) {
        let (schema, name) = tree::relation_name(table);
        let schema = match schema {
            None if tree::is_temporary(table) => "pg_temp".to_string(),
            schema => self.new_schema(schema).unwrap_or_else(|| UNKNOWN_SCHEMA.to_string()),
        };
        (schema, name)
    }

    /// In which schema something comes to be, where that is certain.
    fn new_schema(&self, schema: Option<&str>) -> Option<String> {
        match (schema, self.search_path()) {
            (Some(schema), _) => Some(schema.to_string()),
            (None, SearchPath::Known(path)) if !self.found.changes_path => path.first().map(ToString::to_string),
            (None, SearchPath::Known(_) | SearchPath::Uncertain) => None,
        }
    }

    /// A type is made that has no functions of its own.
    pub(super) fn define_type(&mut self, names: &[&str]) {
        self.makes_type(names);
        let (schema, _) = tree::qualified(names);
        let schema = self.new_schema(schema).map(|schema| self.resources.schema(&schema));
        self.access(action::DDL, schema.unwrap_or_else(|| self.resources.target()));
        self.found.changes_catalog = true;
    }

    /// A table that is to be made.
    pub(super) fn new_table(&mut self, table: &RangeVar) -> Resource {
        self.inventory.strike(Node::RangeVar(table));
        let (schema, name) = self.new_name(table);
        let is_temporary = tree::is_temporary(table) || is_temporary_schema(&schema);
        match is_temporary || schema == UNKNOWN_SCHEMA {
            true => self.found.moved.temporary(name),
            false => self.found.moved.relation(name),
        }
        self.found.makes_temporary |= is_temporary;
        self.resources.table(&schema, name)
    }

    fn define_table(&mut self, table: Option<&RangeVar>) -> Result<(), Misunderstood> {
        let table = table.ok_or_else(nameless)?;
        let table = self.new_table(table);
        self.access(action::DDL, table);
        self.found.changes_catalog = true;
        Ok(())
    }

    /// Something happens to the definition of a table.
    pub(super) fn alter_definition(&mut self, table: Option<&RangeVar>) -> Result<(), Misunderstood> {
        self.access_tables(action::DDL, table.ok_or_else(nameless)?);
        self.found.changes_catalog = true;
        Ok(())
    }

    /// Something that is in no table is defined.
    pub(super) fn define_in_target(&mut self) {
        self.access_target(action::DDL);
        self.found.changes_catalog = true;
    }

    pub(super) fn create_table(&mut self, create: &CreateStmt) -> Result<(), Misunderstood> {
        let table = create.relation().ok_or_else(nameless)?;
        // Before the table is there, for after that nothing is certain.
        let mut columns = Columns::default();
        for parent in create.inh_relations() {
            if let Node::RangeVar(parent) = parent {
                let parents = self.relation(parent, action::DDL).columns;
                let (schema, name) = self.new_name(table);
                for column in parents.named.iter().filter_map(|column| column.name.clone()) {
                    // A class that the new table has by its name is its kin's from then on.
                    self.gains_classes(parent, &column, &self.resources.column_named(&schema, name, &column));
                }
                self.doubts_family(parent);
                columns.extend(parents);
            }
        }
        for element in create.table_elts() {
            if let Node::TableLikeClause(like) = element
                && let Some(table) = like.relation()
            {
                let taken = self.relation(table, action::SELECT).columns;
                // Its indexes come along.
                if like.options & TableLikeOption::CREATE_TABLE_LIKE_INDEXES != 0 {
                    self.probe(&taken.row());
                }
                columns.extend(taken);
            }
        }
        if create.of_typename().is_some() {
            columns.extend(Columns::unknown());
        }
        self.define_table(Some(table))?;
        let (schema, name) = self.new_name(table);
        self.take_over(&schema, name, &columns);
        for element in create.table_elts() {
            if let Node::ColumnDef(column) = element {
                let column = column.colname().unwrap_or_default();
                let lineage = Lineage::Copy(self.resources.column_named(&schema, name, column));
                columns.named.push(Named::new(column, lineage));
            }
        }
        let item = Item::query(Some(name), columns);
        for element in create.table_elts() {
            match element {
                Node::ColumnDef(column) => {
                    let into = self.resources.column_named(&schema, name, column.colname().unwrap_or_default());
                    self.column_definition(column, &item, &[into])?;
                }
                Node::Constraint(constraint) => self.constraint(constraint, &item, &[])?,
                Node::TableLikeClause(_) => {}
                _ => return Err(not_understood()),
            }
        }
        if let Some(bound) = create.partbound() {
            self.partition_bound(bound);
        }
        create.partspec().map_or(Ok(()), |spec| self.partition_spec(spec, &item))
    }

    /// The columns of a new table have the types, and some of the checks, of others: what these refuse tells of a class that
    /// a column has by its new place alone.
    pub(super) fn take_over(&mut self, schema: &str, table: &str, columns: &Columns) {
        for column in &columns.named {
            let Some(name) = &column.name else { continue };
            let new = self.resources.column_named(schema, table, name);
            let is_kept = match &column.lineage {
                Lineage::Copy(old) => !gains(old, &new),
                _ => !resource::is_classified(&new),
            };
            if !is_kept {
                self.probe(&Lineage::Copy(new));
            }
        }
        if columns.rest.is_some() {
            self.probe(&Lineage::unknown());
        }
    }

    fn partition_bound(&mut self, bound: &PartitionBoundSpec) {
        for list in [bound.listdatums(), bound.lowerdatums(), bound.upperdatums()] {
            list.iter().for_each(|node| self.stored(node));
        }
    }

    /// Which partition a row is in anybody can see, and so what the key says of it.
    fn partition_spec(&mut self, spec: &PartitionSpec, item: &Item) -> Result<(), Misunderstood> {
        for element in spec.part_params() {
            if let Some(name) = element.name() {
                self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
            }
            self.tested(element.expr(), item)?;
        }
        Ok(())
    }

    fn column_definition(&mut self, column: &ColumnDef, item: &Item, into: &[Resource]) -> Result<(), Misunderstood> {
        self.stored(column.raw_default());
        if column.type_name().is_some_and(|name| self.may_check(name)) {
            // What its checks refuse is not written, and that tells of what is.
            for column in into {
                self.probe(&Lineage::Copy(column.clone()));
            }
        }
        for constraint in column.constraints() {
            match constraint {
                Node::Constraint(constraint) => self.constraint(constraint, item, into)?,
                Node::CollateClause(_) => {}
                _ => return Err(not_understood()),
            }
        }
        Ok(())
    }

    /// A constraint, of a column or of a table. A generated column takes values of others.
    fn constraint(&mut self, constraint: &Constraint, item: &Item, into: &[Resource]) -> Result<(), Misunderstood> {
        if constraint.contype == ConstrType::CONSTR_GENERATED {
            let lineage = self.evaluated(constraint.raw_expr(), item)?;
            self.flow_into(&lineage, into);
        } else if constraint.contype == ConstrType::CONSTR_CHECK {
            self.tested(constraint.raw_expr(), item)?;
        } else {
            self.stored(constraint.raw_expr());
        }
        self.tested(constraint.where_clause(), item)?;
        if matches!(constraint.contype, ConstrType::CONSTR_PRIMARY | ConstrType::CONSTR_UNIQUE) {
            // It is an index.
            into.iter().for_each(|column| self.probe(&Lineage::Copy(column.clone())));
            for name in strings(constraint.keys()) {
                self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
            }
        }
        for exclusion in constraint.exclusions() {
            let Node::NodeList(parts) = exclusion else { return Err(not_understood()) };
            for part in parts {
                match part {
                    Node::IndexElem(element) => {
                        if let Some(name) = element.name() {
                            self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
                        }
                        self.tested(element.expr(), item)?;
                    }
                    operator => self.stored(operator),
                }
            }
        }
        if let Some(table) = constraint.pktable() {
            self.access_tables(action::DDL, table);
            // What is referred to is named where it is to go.
            for name in strings(constraint.fk_attrs()) {
                self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
            }
            into.iter().for_each(|column| self.probe(&Lineage::Copy(column.clone())));
            // Whether a row can refer to a value tells that it is there.
            if self.is_doubted(tree::relation_name(table).1) && !self.relations_at(table).is_empty() {
                self.probe(&Lineage::unknown());
            }
            for name in strings(constraint.pk_attrs()) {
                for column in self.columns_referenced(table, name) {
                    self.probe(&Lineage::Copy(column));
                }
            }
            if u8::try_from(constraint.fk_upd_action) == Ok(b'c') {
                // What is written there is written here from then on, whatever class it has there.
                let referenced = self.relation(table, action::DDL).columns.row();
                self.flow(&referenced, None);
            }
        }
        Ok(())
    }

    /// A column that a foreign key refers to. One of a table that the catalog does not have has the classes of its name: it
    /// could not come to be called so without leave.
    fn columns_referenced(&self, table: &RangeVar, column: &str) -> Vec<Resource> {
        let (schema, name) = tree::relation_name(table);
        let relations = self.relations(schema, name);
        let by_name = self.resources.column_named(schema.unwrap_or(UNKNOWN_SCHEMA), name, column);
        let known = relations.iter().map(|table| self.resources.column(table, column));
        known.chain(relations.is_empty().then_some(by_name)).collect()
    }

    fn flow_into(&mut self, lineage: &Lineage, into: &[Resource]) {
        if into.is_empty() {
            self.flow(lineage, None);
        }
        for column in into {
            self.flow(lineage, Some(column));
        }
    }

    pub(super) fn alter_table(&mut self, alter: &AlterTableStmt) -> Result<(), Misunderstood> {
        let table = alter.relation().ok_or_else(nameless)?;
        let mut item = self.relation(table, action::DDL);
        self.found.changes_catalog = true;
        for command in alter.cmds() {
            // What is added beside it may be spoken of as well.
            if let Node::AlterTableCmd(command) = command
                && command.subtype == Alter::AT_AddColumn
                && let Node::ColumnDef(column) = command.def()
                && let Some(name) = column.colname()
            {
                let added =
                    self.columns_named(table, name).into_iter().map(|column| Named::new(name, Lineage::Copy(column)));
                item.columns.named.extend(added);
            }
        }
        for command in alter.cmds() {
            let Node::AlterTableCmd(command) = command else {
                return Err(not_understood());
            };
            self.alter_command(command, table, &item)?;
        }
        Ok(())
    }

    fn alter_command(&mut self, command: &AlterTableCmd, table: &RangeVar, item: &Item) -> Result<(), Misunderstood> {
        let is_view = self.relations_at(table).iter().any(|relation| relation.kind == RelationKind::View);
        match command.subtype {
            Alter::AT_ColumnDefault => self.stored(command.def()),
            Alter::AT_AddColumn | Alter::AT_AlterColumnType => return self.alter_column(command, table, item),
            Alter::AT_DropExpression => {
                // What was computed stays, and nothing says any more from what.
                let name = command.name().unwrap_or_default();
                let lineage = item.columns.find(name).unwrap_or_else(Lineage::unknown);
                self.doubts_family(table);
                if !lineage.is_plain() {
                    self.flow(&lineage, None);
                }
            }
            Alter::AT_SetExpression => {
                let lineage = self.evaluated(command.def(), item)?;
                let into = self.columns_named(table, command.name().unwrap_or_default());
                self.flow_into(&lineage, &into);
            }
            Alter::AT_AddConstraint => match command.def() {
                Node::Constraint(constraint) => return self.constraint(constraint, item, &[]),
                _ => return Err(not_understood()),
            },
            Alter::AT_DropColumn => {
                self.note_cascade(command.behavior);
                self.unties_by_column(table, command);
                for relation in self.relations_at(table) {
                    self.leaves(&relation, command.name());
                }
                self.doubts_dependents(command.behavior);
                self.doubts_family(table);
                for table in &item.tables {
                    self.access(action::DROP, table.clone());
                }
            }
            Alter::AT_AddInherit | Alter::AT_DropInherit => {
                self.doubts_family(table);
                if let Node::RangeVar(parent) = command.def() {
                    self.share(table, parent);
                    self.doubts_family(parent);
                    self.access_tables(action::DDL, parent);
                }
                if command.subtype == Alter::AT_DropInherit {
                    self.reveal(&item.columns.row());
                }
            }
            Alter::AT_AttachPartition | Alter::AT_DetachPartition | Alter::AT_DetachPartitionFinalize => {
                let Node::PartitionCmd(partition) = command.def() else {
                    return Err(not_understood());
                };
                if let Some(bound) = partition.bound() {
                    self.partition_bound(bound);
                }
                if let Some(partition) = partition.name() {
                    self.share(table, partition);
                    self.doubts_family(partition);
                }
                self.doubts_family(table);
                self.alter_definition(partition.name())?;
                if command.subtype != Alter::AT_AttachPartition {
                    self.reveal(&item.columns.row());
                }
            }
            subtype if weakens(subtype) || sets_options(subtype) && is_view => {
                for table in &item.tables {
                    self.access(action::ADMIN, table.clone());
                }
            }
            Alter::AT_ClusterOn => self.probe(&item.columns.row()),
            Alter::AT_DropConstraint => {
                self.note_cascade(command.behavior);
                self.unties_by_constraint(table, command.behavior);
                self.doubts_dependents(command.behavior);
            }
            subtype if is_plain(subtype) => {}
            _ => return Err(not_understood()),
        }
        Ok(())
    }

    fn alter_column(&mut self, command: &AlterTableCmd, table: &RangeVar, item: &Item) -> Result<(), Misunderstood> {
        let Node::ColumnDef(column) = command.def() else {
            return Err(not_understood());
        };
        let name = command.name().or(column.colname()).unwrap_or_default();
        let into = self.columns_named(table, name);
        if command.subtype == Alter::AT_AlterColumnType {
            self.doubts_family(table);
            let lineage = self.evaluated(column.raw_default(), item)?;
            self.flow_into(&lineage, &into);
            let takes_all = |name: &TypeName| self.is_passing_type(name) && name.typmods().is_empty();
            if !column.type_name().is_some_and(takes_all) {
                // Values that the type does not take make it fail, a domain's own checks among the reasons.
                let lineage = item.columns.find(name).unwrap_or_else(Lineage::unknown);
                self.probe(&lineage);
            }
            return Ok(());
        }
        self.column_definition(column, item, &into)
    }

    /// A column, existing or not, of each table that a name can mean.
    fn columns_named(&self, table: &RangeVar, column: &str) -> Vec<Resource> {
        let (schema, name) = tree::relation_name(table);
        let relations = self.relations(schema, name);
        relations.iter().map(|table| self.resources.column_named(&table.schema, &table.name, column)).collect()
    }

    pub(super) fn create_view(&mut self, view: &ViewStmt) -> Result<(), Misunderstood> {
        let columns = self.body(view.query())?;
        if let Some(view) = view.view().filter(|_| view.replace) {
            self.replaced_view(view, &columns);
        }
        self.define_table(view.view())
    }

    /// What a materialized view took from a view stays in it when the view becomes another, and only the view told of it.
    fn replaced_view(&mut self, view: &RangeVar, new: &Columns) {
        let (schema, name) = tree::relation_name(view);
        if self.is_doubted(name) && !self.relations(schema, name).is_empty() {
            return self.reveal(&Lineage::unknown());
        }
        for relation in self.relations(schema, name) {
            // Views and others that stand on it, and chose rows by what it gave, choose by this from now on.
            let old = self.columns_of(&relation);
            for (place, column) in new.named.iter().enumerate() {
                let known = old.named.get(place).map_or(&[][..], |column| column.lineage.sources());
                if place < old.named.len() && !column.lineage.sources().iter().all(|source| known.contains(source)) {
                    self.probe(&column.lineage);
                }
            }
            if new.rest.is_some() && !new.rest.as_ref().is_some_and(Lineage::is_clean) {
                self.probe(&new.row());
            }
        }
        if !self.resources.catalog.is_materialized_from(name) {
            return;
        }
        for relation in self.relations(schema, name) {
            let columns = self.columns_of(&relation);
            self.reveal(&columns.row());
        }
    }

    pub(super) fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Result<(), Misunderstood> {
        let into = create.into().ok_or_else(nameless)?;
        let columns = self.body(create.query())?;
        if create.objtype == ObjectType::OBJECT_MATVIEW {
            // Lineage follows a materialized view through its definition.
            return self.define_table(into.rel());
        }
        self.table_made_by_into(into, &columns);
        self.found.changes_catalog = true;
        Ok(())
    }

    pub(super) fn create_index(&mut self, index: &IndexStmt) -> Result<(), Misunderstood> {
        let item = self.relation(index.relation().ok_or_else(nameless)?, action::DDL);
        for element in index.index_params() {
            self.tested(element.expr(), &item)?;
            // What is read by it comes in the order of the values.
            if let Some(name) = element.name() {
                self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
            }
        }
        // What it holds besides counts as held by an index, from which other sessions keep away.
        for included in index.index_including_params() {
            let name = if let Node::IndexElem(included) = included { included.name() } else { None };
            let name = name.unwrap_or_default();
            self.probe(&item.columns.find(name).unwrap_or_else(Lineage::unknown));
        }
        // How many rows it holds is in the catalog for all to see.
        self.tested(index.where_clause(), &item)?;
        self.found.changes_catalog = true;
        Ok(())
    }

    pub(super) fn create_trigger(&mut self, trigger: &CreateTrigStmt) -> Result<(), Misunderstood> {
        let names = strings(trigger.funcname());
        let (schema, name) = tree::qualified(&names);
        let kind = self.function_kind(schema, name);
        if kind == Kind::User || name != WRITES_NOTHING {
            self.access_function(action::CALL, schema, name, kind);
        }
        let table = trigger.relation().ok_or_else(nameless)?;
        let columns = self.relation(table, action::DDL).columns;
        if name == WRITES_NOTHING {
            // Whether a row becomes what it was is told by how many were updated.
            self.probe(&columns.row());
        }
        let mut sources = Sources::of(Item::query(Some("new"), columns.clone()));
        sources.extend(Sources::of(Item::query(Some("old"), columns)));
        self.inventory.take(trigger.when_clause())?;
        // Whether it fires is told by what it does.
        let lineage = self.expression(trigger.when_clause(), &Scope::root(&sources))?;
        self.probe(&lineage);
        self.found.changes_catalog = true;
        Ok(())
    }

    pub(super) fn create_function(&mut self, create: &CreateFunctionStmt) {
        let names = strings(create.funcname());
        let (schema, name) = tree::qualified(&names);
        let catalog = self.resources.catalog;
        let mut actions = vec![action::DDL];
        let is_plain = create.options().iter().all(is_plain_option);
        if !is_plain || catalog.is_extensions_function(schema, name) {
            actions.push(action::ADMIN);
        }
        if catalog.is_user_function(name) || catalog.own_function(name).is_some() || self.is_remade(name) {
            // Whatever calls by the name, such as a trigger's code, may run what takes its place or fits better.
            actions.push(action::CALL);
        }
        // Without a schema it is made in the first of the path that there is, and may take the place of one there.
        let mut schemas = match (schema, self.search_path()) {
            (None, SearchPath::Known(path)) if !self.found.changes_path => vec![path.first().map(|schema| &**schema)],
            (schema, _) => vec![schema],
        };
        if schema.is_none() {
            schemas.extend(self.visible(catalog.user_function_schemas(name), false).into_iter().flatten().map(Some));
            schemas.sort_unstable();
            schemas.dedup();
        }
        for schema in schemas {
            let function = self.resources.function(schema, name);
            actions.iter().for_each(|action| self.access(*action, function.clone()));
        }
        self.found.moved.routine(name);
        self.found.changes_catalog = true;
    }

    /// A function comes to be called otherwise: another may take its place in what calls it.
    fn called_otherwise(&mut self, function: &ObjectWithArgs) {
        let names = strings(function.objname());
        let (schema, name) = tree::qualified(&names);
        self.access_function(action::CALL, schema, name, Kind::User);
    }

    /// Something happens to the definition of a function.
    pub(super) fn alter_function<'t>(
        &mut self,
        function: Option<&ObjectWithArgs>,
        mut options: impl Iterator<Item = &'t DefElem>,
    ) {
        let names = function.map(|function| strings(function.objname())).unwrap_or_default();
        let (schema, name) = tree::qualified(&names);
        let catalog = self.resources.catalog;
        let is_own = schema.is_none_or(is_system_schema) && catalog.own_function(name).is_some();
        if !options.all(is_plain_option) || is_own || catalog.is_extensions_function(schema, name) {
            self.access_function(action::ADMIN, schema, name, Kind::User);
        }
        self.access_function(action::DDL, schema, name, Kind::User);
        self.found.changes_catalog = true;
    }

    /// Views go with what they stand on.
    fn doubts_dependents(&mut self, behavior: DropBehavior::Type) {
        if behavior == DropBehavior::DROP_CASCADE {
            self.found.moved.every_relation();
        }
    }

    pub(super) fn note_cascade(&mut self, behavior: DropBehavior::Type) {
        let cascades = behavior == DropBehavior::DROP_CASCADE;
        self.found.cascade = Some(self.found.cascade.unwrap_or(false) || cascades);
    }

    pub(super) fn drop(&mut self, drop: &DropStmt) -> Result<(), Misunderstood> {
        self.note_cascade(drop.behavior);
        self.found.changes_catalog = true;
        self.unties_by_drop(drop);
        for object in drop.objects() {
            self.drop_object(drop.remove_type, object);
        }
        // After it was said what goes, for then nothing is certain.
        self.doubts_dependents(drop.behavior);
        if drop.remove_type == ObjectType::OBJECT_SCHEMA {
            self.found.moved.every_relation();
        }
        Ok(())
    }

    fn drop_object(&mut self, kind: ObjectType::Type, object: Node<'_>) {
        let names = names_of(object);
        match kind {
            ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_INDEX => {
                let (schema, name) = tree::qualified(&names);
                for relation in self.relations(schema, name) {
                    self.leaves(&relation, None);
                }
                self.found.moved.relation(name);
                for table in self.tables_named(schema, name) {
                    self.access(action::DROP, table);
                }
            }
            ObjectType::OBJECT_SCHEMA => {
                let name = tree::qualified(&names).1;
                for relation in self.resources.catalog.relations_in(name) {
                    self.leaves(&relation, None);
                }
                let schema = self.resources.schema(name);
                self.access(action::DROP, schema);
            }
            ObjectType::OBJECT_FUNCTION
            | ObjectType::OBJECT_PROCEDURE
            | ObjectType::OBJECT_ROUTINE
            | ObjectType::OBJECT_AGGREGATE => {
                let (schema, name) = tree::qualified(&names);
                // Another of the name may take its place in what calls it.
                self.access_function(action::CALL, schema, name, Kind::User);
                self.access_function(action::DROP, schema, name, Kind::User);
            }
            ObjectType::OBJECT_POLICY | ObjectType::OBJECT_RULE | ObjectType::OBJECT_TRIGGER => {
                let table = names.split_last().map_or(&[][..], |(_, table)| table);
                let (schema, name) = tree::qualified(table);
                for table in self.tables_named(schema, name) {
                    self.access(action::ADMIN, table.clone());
                    self.access(action::DROP, table);
                }
            }
            ObjectType::OBJECT_TYPE
            | ObjectType::OBJECT_DOMAIN
            | ObjectType::OBJECT_COLLATION
            | ObjectType::OBJECT_CONVERSION
            | ObjectType::OBJECT_STATISTIC_EXT
            | ObjectType::OBJECT_TSCONFIGURATION
            | ObjectType::OBJECT_TSDICTIONARY
            | ObjectType::OBJECT_TSPARSER
            | ObjectType::OBJECT_TSTEMPLATE => {
                self.guard_own(kind, &names);
                self.access_target(action::DROP);
            }
            ObjectType::OBJECT_PUBLICATION => {
                self.access_target(action::DROP);
                self.access_target(action::REPLICATION);
            }
            _ => {
                self.access_target(action::DROP);
                self.access_target(action::ADMIN);
            }
        }
    }

    pub(super) fn rename(&mut self, rename: &RenameStmt) -> Result<(), Misunderstood> {
        self.found.changes_catalog = true;
        let new = rename.newname().unwrap_or_default();
        match rename.rename_type {
            ObjectType::OBJECT_COLUMN | ObjectType::OBJECT_ATTRIBUTE => {
                let table = rename.relation().ok_or_else(nameless)?;
                let old = rename.subname().unwrap_or_default();
                self.moved(table, NewName::Column { old, new });
                if rename.rename_type == ObjectType::OBJECT_ATTRIBUTE {
                    // It may go on to tables of the type, whose columns have classes by their names.
                    self.access_target(action::ADMIN);
                }
                self.alter_definition(Some(table))
            }
            // They have no columns.
            ObjectType::OBJECT_SEQUENCE | ObjectType::OBJECT_INDEX if self.is_no_table(rename.relation()) => {
                self.found.moved.relation(new);
                self.alter_definition(rename.relation())
            }
            ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_INDEX => {
                let table = rename.relation().ok_or_else(nameless)?;
                self.moved(table, NewName::Table(new));
                self.alter_definition(Some(table))
            }
            ObjectType::OBJECT_TABCONSTRAINT => self.alter_definition(rename.relation()),
            ObjectType::OBJECT_POLICY | ObjectType::OBJECT_RULE | ObjectType::OBJECT_TRIGGER => {
                self.access_target(action::ADMIN);
                self.alter_definition(rename.relation())
            }
            ObjectType::OBJECT_FUNCTION
            | ObjectType::OBJECT_PROCEDURE
            | ObjectType::OBJECT_ROUTINE
            | ObjectType::OBJECT_AGGREGATE => {
                if let Node::ObjectWithArgs(function) = rename.object() {
                    self.called_otherwise(function);
                    self.alter_function(Some(function), std::iter::empty());
                }
                let catalog = self.resources.catalog;
                if catalog.is_user_function(new) || catalog.own_function(new).is_some() || self.is_remade(new) {
                    self.access(action::CALL, self.resources.function(None, new));
                }
                self.found.moved.routine(new);
                self.define_in_target();
                Ok(())
            }
            ObjectType::OBJECT_TYPE
            | ObjectType::OBJECT_DOMAIN
            | ObjectType::OBJECT_DOMCONSTRAINT
            | ObjectType::OBJECT_COLLATION
            | ObjectType::OBJECT_CONVERSION
            | ObjectType::OBJECT_STATISTIC_EXT
            | ObjectType::OBJECT_TSCONFIGURATION
            | ObjectType::OBJECT_TSDICTIONARY
            | ObjectType::OBJECT_TSPARSER
            | ObjectType::OBJECT_TSTEMPLATE => {
                self.guard_own(rename.rename_type, &names_of(rename.object()));
                self.found.moved.routine(new);
                self.define_in_target();
                Ok(())
            }
            kind => {
                if kind == ObjectType::OBJECT_SCHEMA {
                    self.found.moved.every_relation();
                }
                self.access_target(action::ADMIN);
                self.define_in_target();
                Ok(())
            }
        }
    }

    /// What is PostgreSQL's own, or may be, is for administrators: statements are read by what it is.
    pub(super) fn guard_own(&mut self, kind: ObjectType::Type, names: &[&str]) {
        let (schema, name) = tree::qualified(names);
        let is_own = match (schema, kind) {
            (Some(schema), _) => is_system_schema(schema),
            (None, ObjectType::OBJECT_TYPE | ObjectType::OBJECT_DOMAIN | ObjectType::OBJECT_DOMCONSTRAINT) => {
                self.resources.catalog.is_own_type(name)
            }
            // None of them is PostgreSQL's own.
            (None, ObjectType::OBJECT_STATISTIC_EXT) => false,
            // Of the others the catalog knows nothing.
            (None, _) => true,
        };
        if is_own {
            self.access_target(action::ADMIN);
        }
    }

    /// A type, or something like it, is made.
    pub(super) fn makes_type(&mut self, names: &[&str]) {
        let (schema, name) = tree::qualified(names);
        self.found.moved.routine(name);
        let is_own = match (schema, self.search_path()) {
            (Some(schema), _) => is_system_schema(schema),
            (None, SearchPath::Known(path)) if !self.found.changes_path => {
                path.first().is_some_and(|schema| is_system_schema(schema))
            }
            (None, SearchPath::Known(_) | SearchPath::Uncertain) => self.resources.catalog.is_own_type(name),
        };
        if is_own {
            self.access_target(action::ADMIN);
        }
    }

    /// Whether a name is that of sequences and indexes alone, as far as the catalog says. `ALTER INDEX` takes a table as well.
    fn is_no_table(&self, named: Option<&RangeVar>) -> bool {
        let Some((schema, name)) = named.map(tree::relation_name) else { return false };
        let relations = self.relations(schema, name);
        let is_none = |kind| matches!(kind, RelationKind::Sequence | RelationKind::Index);
        !relations.is_empty() && !self.is_doubted(name) && relations.iter().all(|relation| is_none(relation.kind))
    }

    /// Columns come to be called otherwise: what was classified by its old name must stay so by its new one.
    fn moved(&mut self, table: &RangeVar, new: NewName<'_>) {
        let (schema, name) = tree::relation_name(table);
        let relations = self.relations(schema, name);
        if relations.is_empty() || self.is_doubted(name) {
            // Which classes it had is not known.
            self.flow(&Lineage::unknown(), None);
        }
        if let NewName::Table(new) = new {
            match relations.is_empty() {
                true => self.found.moved.temporary(new),
                false => self.found.moved.relation(new),
            }
        }
        // Columns of kin go by one name.
        let relations = match new {
            NewName::Column { .. } => self.kin(table),
            NewName::Table(_) | NewName::Schema(_) => relations,
        };
        self.doubts_family(table);
        for relation in relations {
            // Lineage follows a view through its definition, whatever it is called.
            if matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView) {
                continue;
            }
            for column in &relation.columns {
                let (schema, table, to) = match new {
                    NewName::Column { old, new } if *old == *column.name => (&*relation.schema, &*relation.name, new),
                    NewName::Column { .. } => continue,
                    NewName::Table(table) => (&*relation.schema, table, &*column.name),
                    NewName::Schema(schema) => (schema, &*relation.name, &*column.name),
                };
                let into = self.resources.column_named(schema, table, to);
                let from = self.resources.column(&relation, &column.name);
                if gains(&from, &into) {
                    self.probe(&Lineage::Copy(into.clone()));
                }
                self.flow(&Lineage::Copy(from), Some(&into));
            }
        }
    }

    /// The relations that a name means, as the catalog has them.
    fn relations_at(&self, table: &RangeVar) -> Vec<Arc<Relation>> {
        let (schema, name) = tree::relation_name(table);
        self.relations(schema, name)
    }

    /// A column comes to have the classes of another: views, checks and keys choose by it already, whoever made them.
    fn gains_classes(&mut self, table: &RangeVar, column: &str, from: &Resource) {
        for relation in self.relations_at(table) {
            let before = self.resources.column(&relation, column);
            if gains(&before, from) {
                self.probe(&Lineage::Copy(from.clone()));
            }
        }
    }

    /// Two tables become kin: the classes of either are both's.
    fn share(&mut self, one: &RangeVar, other: &RangeVar) {
        for relation in self.relations_at(one) {
            for kin in self.relations_at(other) {
                for column in &relation.columns {
                    if !kin.columns.iter().any(|same| same.name == column.name) {
                        continue;
                    }
                    let (here, there) =
                        (self.resources.column(&relation, &column.name), self.resources.column(&kin, &column.name));
                    if gains(&here, &there) || gains(&there, &here) {
                        self.probe(&Lineage::Copy(here));
                        self.probe(&Lineage::Copy(there));
                    }
                }
            }
        }
    }

    /// A table, or a column of it, goes: where its kin have a class by it alone, values of that class may stay with them.
    fn leaves(&mut self, relation: &Arc<Relation>, only: Option<&str>) {
        let family = self.resources.catalog.family(relation);
        let is_alone = family.len() == 1 && !self.is_doubted(&relation.name);
        if is_alone {
            return;
        }
        for column in relation.columns.iter().filter(|column| only.is_none_or(|name| *name == *column.name)) {
            let named = |kin: &Relation| self.resources.column_named(&kin.schema, &kin.name, &column.name);
            let own = named(relation);
            let others = family.iter().filter(|kin| kin.oid != relation.oid);
            let is_kept = |kind: &(&str, Option<&str>)| {
                others.clone().any(|kin| {
                    let same = named(kin);
                    resource::kinds(&same).contains(kind)
                })
            };
            if !resource::kinds(&own).iter().all(is_kept) {
                self.reveal(&Lineage::Copy(own));
            }
        }
    }

    /// A constraint goes, and with it perhaps foreign keys: its name alone does not tell which.
    fn unties_by_constraint(&mut self, table: &RangeVar, behavior: DropBehavior::Type) {
        let of: HashSet<u32> = self.with_descendants(self.relations_at(table));
        let cascades = behavior == DropBehavior::DROP_CASCADE;
        self.unties(|relation| {
            let mut changed = (**relation).clone();
            for column in &mut changed.columns {
                let goes = |to: u32| of.contains(&relation.oid) || cascades && of.contains(&to);
                column.refers.retain(|(to, _)| !goes(*to));
            }
            Some(changed)
        });
    }

    /// A column goes. Its kin may keep theirs, and lose what they were told by its own.
    fn unties_by_column(&mut self, table: &RangeVar, command: &AlterTableCmd) {
        let relations = self.relations_at(table);
        let name = command.name().unwrap_or_default();
        let cascades = command.behavior == DropBehavior::DROP_CASCADE;
        let gone = |relation: &Relation| {
            let is_here = relations.iter().any(|other| other.oid == relation.oid);
            relation.columns.iter().find(|column| is_here && *column.name == *name).cloned()
        };
        let numbers: Vec<(u32, i16)> =
            relations.iter().filter_map(|relation| Some((relation.oid, gone(relation)?.number))).collect();
        self.unties(|relation| {
            let mut changed = (**relation).clone();
            let refers_there =
                cascades && changed.columns.iter().any(|column| column.refers.iter().any(|to| numbers.contains(to)));
            let gone = gone(relation);
            // The key goes whole, whichever of its columns does.
            if refers_there || gone.as_ref().is_some_and(|column| !column.refers.is_empty()) {
                changed.columns.iter_mut().for_each(|column| column.refers.clear());
            }
            changed.columns.retain(|column| gone.is_none() || *column.name != *name);
            Some(changed)
        });
    }

    fn unties_by_drop(&mut self, drop: &DropStmt) {
        let cascades = drop.behavior == DropBehavior::DROP_CASCADE;
        let objects: Vec<Vec<&str>> = drop.objects().iter().map(names_of).collect();
        match drop.remove_type {
            ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_SEQUENCE => {
                let mut gone = HashSet::new();
                for names in &objects {
                    let (schema, name) = tree::qualified(names);
                    for relation in self.relations(schema, name) {
                        let takes_all = cascades || relation.kind == RelationKind::PartitionedTable;
                        gone.insert(relation.oid);
                        gone.extend(takes_all.then(|| self.with_descendants(vec![relation])).into_iter().flatten());
                    }
                }
                let catalog = self.resources.catalog;
                self.unties(|relation| {
                    let mut changed = (**relation).clone();
                    // Columns go that are of the row of what goes, and with one of them a key of several.
                    let may_go = |column: &ColumnInfo| {
                        let is_made = column.type_oid >= OWN_OIDS_END && !catalog.knows_type(column.type_oid);
                        is_made && !column.refers.is_empty()
                    };
                    if cascades && changed.columns.iter().any(may_go) {
                        changed.columns.iter_mut().for_each(|column| column.refers.clear());
                    }
                    (!gone.contains(&relation.oid)).then_some(changed)
                });
            }
            _ if !cascades => {}
            // Whatever stands on it goes with it: columns, indexes, and so any key.
            kind => {
                let is_gone = |schema: &str| {
                    kind == ObjectType::OBJECT_SCHEMA && objects.iter().any(|names| tree::qualified(names).1 == schema)
                };
                self.unties(|relation| {
                    let mut changed = (**relation).clone();
                    changed.columns.iter_mut().for_each(|column| column.refers.clear());
                    (!is_gone(&relation.schema)).then_some(changed)
                });
            }
        }
    }

    fn with_descendants(&self, relations: Vec<Arc<Relation>>) -> HashSet<u32> {
        let catalog = self.resources.catalog;
        relations.iter().flat_map(|relation| catalog.descent(relation)).map(|relation| relation.oid).collect()
    }

    /// Relations come to be others, or none: what is of a class by them alone would be of none.
    fn unties(&mut self, becomes: impl Fn(&Arc<Relation>) -> Option<Relation>) {
        let catalog = self.resources.catalog;
        let after = catalog.changed(becomes);
        let mut untied = Vec::new();
        for relation in catalog.relations().filter(|relation| !relation.is_system()) {
            let Some(changed) = after.by_oid(relation.oid) else { continue };
            for column in &changed.columns {
                let is_same =
                    catalog.sources(relation, &column.name).len() == after.sources(changed, &column.name).len();
                if is_same {
                    continue;
                }
                let before = self.resources.column(relation, &column.name);
                let kept = self.resources.column_by(&after, changed, &column.name);
                if !resource::kinds(&before).is_subset(&resource::kinds(&kept)) {
                    untied.push(Lineage::Copy(before));
                }
            }
        }
        untied.iter().for_each(|column| self.reveal(column));
    }

    /// Whether a type may have checks of its own: a domain, or one that is not known.
    fn may_check(&self, name: &TypeName) -> bool {
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        let (_, name) = tree::qualified(&names);
        // Of an array of them, as the server names it.
        let name = name.trim_start_matches('_');
        let catalog = self.resources.catalog;
        let is_row = !catalog.relations_named(name).is_empty() && !catalog.is_own_type(name);
        catalog.is_domain(name) || is_row || self.is_remade(name) || self.is_made_as_relation(name)
    }

    pub(super) fn set_schema(&mut self, alter: &AlterObjectSchemaStmt) -> Result<(), Misunderstood> {
        let new = alter.newschema().unwrap_or_default();
        if is_system_schema(new) || new.starts_with("pg_") {
            self.access_target(action::ADMIN);
        }
        match (alter.relation(), alter.object()) {
            (Some(table), _) => {
                self.moved(table, NewName::Schema(new));
                self.alter_definition(Some(table))
            }
            (None, Node::ObjectWithArgs(function)) => {
                self.called_otherwise(function);
                self.alter_function(Some(function), std::iter::empty());
                if let Some(name) = strings(function.objname()).last() {
                    self.found.moved.routine(name);
                }
                self.define_in_target();
                Ok(())
            }
            (None, object) => {
                let names = names_of(object);
                self.guard_own(alter.object_type, &names);
                if let Some(name) = names.last() {
                    self.found.moved.routine(name);
                }
                if alter.object_type == ObjectType::OBJECT_EXTENSION {
                    self.access_target(action::ADMIN);
                }
                self.define_in_target();
                Ok(())
            }
        }
    }

    /// A remark on an object; on a table or column, it is the table's.
    pub(super) fn comment(&mut self, kind: ObjectType::Type, object: Node<'_>) {
        let names = names_of(object);
        let table = match kind {
            ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_INDEX => Some(names.as_slice()),
            ObjectType::OBJECT_COLUMN
            | ObjectType::OBJECT_TABCONSTRAINT
            | ObjectType::OBJECT_TRIGGER
            | ObjectType::OBJECT_RULE
            | ObjectType::OBJECT_POLICY => names.split_last().map(|(_, table)| table),
            _ => None,
        };
        let Some(table) = table else {
            let schema = names.first().filter(|_| kind == ObjectType::OBJECT_SCHEMA);
            let schema = schema.map(|schema| self.resources.schema(schema));
            return self.access(action::DDL, schema.unwrap_or_else(|| self.resources.target()));
        };
        let (schema, name) = tree::qualified(table);
        for table in self.tables_named(schema, name) {
            self.access(action::DDL, table);
        }
    }

    /// An action on each relation of a list.
    pub(super) fn access_list(
        &mut self,
        action: gatehouse_model::Action,
        list: &NodeList,
    ) -> Result<(), Misunderstood> {
        for node in list {
            match node {
                Node::RangeVar(table) => self.access_tables(action, table),
                _ => return Err(not_understood()),
            }
        }
        Ok(())
    }
}

/// Whether a column that has the classes of one comes to have more by those of another, be it in a field.
fn gains(before: &Resource, after: &Resource) -> bool {
    !resource::kinds(after).is_subset(&resource::kinds(before))
}

fn not_understood() -> Misunderstood {
    Misunderstood::new("a part of the definition is not understood", "Write it in another way")
}

fn nameless() -> Misunderstood {
    Misunderstood::new("the statement names no table", "Name one")
}

/// The strings of a name, whichever node holds it.
fn names_of(object: Node<'_>) -> Vec<&str> {
    match object {
        Node::String(name) => name.sval().into_iter().collect(),
        Node::NodeList(list) => strings(list),
        Node::ObjectWithArgs(function) => strings(function.objname()),
        Node::TypeName(name) => name.names().iter().filter_map(|part| part.sval()).collect(),
        _ => Vec::new(),
    }
}

/// False for options that make a function run code in the server's process, or with another's rights.
fn is_plain_option(option: &DefElem) -> bool {
    match option.defname().unwrap_or_default() {
        "language" => text_of(option.arg()).is_some_and(|name| PLAIN_LANGUAGES.contains(&name.to_lowercase().as_str())),
        "security" => matches!(option.arg(), Node::Boolean(is_definer) if !is_definer.boolval),
        // What is leakproof may look at rows before a view's conditions or row security leave them out.
        "leakproof" | "set" | "support" | "transform" => false,
        _ => true,
    }
}

/// The text of a constant or a name.
pub(super) fn text_of(node: Node<'_>) -> Option<&str> {
    match node {
        Node::String(text) => text.sval(),
        Node::A_Const(constant) => match constant.val() {
            Some(ConstValue::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Changes of a table that take away what protects it or its data.
/// Options, of which a view has those that keep rows from whoever reads it.
fn sets_options(subtype: Alter::Type) -> bool {
    matches!(subtype, Alter::AT_SetRelOptions | Alter::AT_ResetRelOptions | Alter::AT_ReplaceRelOptions)
}

fn weakens(subtype: Alter::Type) -> bool {
    matches!(
        subtype,
        Alter::AT_ChangeOwner
            | Alter::AT_GenericOptions
            | Alter::AT_AlterColumnGenericOptions
            | Alter::AT_EnableRowSecurity
            | Alter::AT_DisableRowSecurity
            | Alter::AT_ForceRowSecurity
            | Alter::AT_NoForceRowSecurity
            | Alter::AT_EnableTrig
            | Alter::AT_EnableAlwaysTrig
            | Alter::AT_EnableReplicaTrig
            | Alter::AT_DisableTrig
            | Alter::AT_EnableTrigAll
            | Alter::AT_DisableTrigAll
            | Alter::AT_EnableTrigUser
            | Alter::AT_DisableTrigUser
            | Alter::AT_EnableRule
            | Alter::AT_EnableAlwaysRule
            | Alter::AT_EnableReplicaRule
            | Alter::AT_DisableRule
            | Alter::AT_ReplicaIdentity
    )
}

/// Changes of a table that need no more than its definition to be changed.
fn is_plain(subtype: Alter::Type) -> bool {
    matches!(
        subtype,
        Alter::AT_DropNotNull
            | Alter::AT_SetNotNull
            | Alter::AT_SetStatistics
            | Alter::AT_SetOptions
            | Alter::AT_ResetOptions
            | Alter::AT_SetStorage
            | Alter::AT_SetCompression
            | Alter::AT_AlterConstraint
            | Alter::AT_ValidateConstraint
            | Alter::AT_DropCluster
            | Alter::AT_SetLogged
            | Alter::AT_SetUnLogged
            | Alter::AT_DropOids
            | Alter::AT_SetAccessMethod
            | Alter::AT_SetTableSpace
            | Alter::AT_SetRelOptions
            | Alter::AT_ResetRelOptions
            | Alter::AT_AddOf
            | Alter::AT_DropOf
            | Alter::AT_AddIdentity
            | Alter::AT_SetIdentity
            | Alter::AT_DropIdentity
    )
}
