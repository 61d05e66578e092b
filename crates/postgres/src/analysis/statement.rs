//! Every kind of statement, and what it asks for. A kind that is not named here is not understood.
//!
//! Knows which module reads which statement, and what is only an administrator's business.

use gatehouse_model::Action;
use pg_raw_parse::nodes::{CallStmt, CreateStatsStmt, DefElem, RangeVar, TransactionStmt, VacuumStmt};
use pg_raw_parse::raw::{LimitOption, ObjectType, ReindexObjectType, TransactionStmtKind};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::Analyzer;
use super::lineage::{Columns, Lineage};
use super::scope::{Item, Scope, Sources};
use super::tree;
use super::{Deallocated, Misunderstood, Outputs, StatementOutput, action};
use crate::catalog::Writes;
use crate::function::Kind;

impl Analyzer<'_> {
    /// One statement of the text: its word for listings, and what it gives.
    pub(super) fn statement(&mut self, node: Node<'_>) -> Result<(&'static str, StatementOutput), Misunderstood> {
        let before = std::mem::take(&mut self.found.accesses);
        self.found.selects_into = false;
        self.found.keeps_text = false;
        self.found.statement += 1;
        let title = title(node);
        let output = self.inner_statement(node)?;
        let resolves_late = resolves_late(node) || self.found.selects_into;
        let output = StatementOutput { resolves_late, ..output };
        if self.found.keeps_text && defines(node) {
            // What others send would be told by it from then on.
            self.access_target(action::ADMIN);
        }
        self.settle(node);
        self.found.is_plain &= (is_plain(node) || copies_out(node)) && !self.found.selects_into;
        self.look_at_types();
        if !self.inventory.is_complete() {
            return Err(Misunderstood::new("a part of the statement is not understood", "Write it in another way"));
        }
        if self.found.accesses.is_empty() {
            // A query of nothing still runs at the target.
            self.access_target(action::SELECT);
        }
        self.found.accesses.extend(before);
        self.found.row_limit = limit(node);
        if let Some(kind) = object_kind(node) {
            let other = self.found.object_kind.is_some_and(|before| before != kind);
            self.found.object_kind = Some(if other { SEVERAL_KINDS } else { kind });
        }
        Ok((title, output))
    }

    /// A statement, or one inside another such as in EXPLAIN.
    pub(super) fn inner_statement(&mut self, node: Node<'_>) -> Result<StatementOutput, Misunderstood> {
        self.enter(|analyzer| analyzer.any_statement(node))
    }

    fn any_statement(&mut self, node: Node<'_>) -> Result<StatementOutput, Misunderstood> {
        match node {
            Node::SelectStmt(_) => self.rows(node, true),
            Node::InsertStmt(insert) => self.rows(node, insert.returning_clause().is_some()),
            Node::UpdateStmt(update) => self.rows(node, update.returning_clause().is_some()),
            Node::DeleteStmt(delete) => self.rows(node, delete.returning_clause().is_some()),
            Node::MergeStmt(merge) => self.rows(node, merge.returning_clause().is_some()),
            Node::CopyStmt(copy) => self.copy(copy),
            Node::VariableShowStmt(show) => Ok(self.show(show.name())),
            Node::DeclareCursorStmt(declare) => self.declare(declare),
            Node::FetchStmt(fetch) => Ok(self.fetch(fetch)),
            Node::PrepareStmt(prepare) => self.prepare(prepare),
            Node::ExecuteStmt(execute) => self.execute(execute),
            Node::ExplainStmt(explain) => self.explain(explain),
            Node::CallStmt(call) => self.procedure(call),
            _ => {
                self.silent_statement(node)?;
                let deallocates = self.found.deallocates.take();
                Ok(StatementOutput { deallocates, ..StatementOutput::of(Outputs::None) })
            }
        }
    }

    fn rows(&mut self, node: Node<'_>, gives: bool) -> Result<StatementOutput, Misunderstood> {
        let columns = self.body(node)?;
        let gives = gives && !self.found.selects_into;
        if gives {
            return Ok(self.output_of(columns));
        }
        self.found.changes_catalog |= matches!(node, Node::SelectStmt(_));
        Ok(StatementOutput::of(Outputs::None))
    }

    /// What a statement with these columns gives, as far as they are known.
    pub(super) fn output_of(&mut self, columns: Columns) -> StatementOutput {
        let is_clean = columns.lineages().all(Lineage::is_clean);
        if !is_clean {
            self.mark_sensitive();
        }
        match columns.rest {
            None => {
                let named = columns.named.into_iter();
                let (provenances, names) = named.map(|column| (column.lineage.into_provenance(), column.name)).unzip();
                StatementOutput { names, ..StatementOutput::of(Outputs::Columns(provenances)) }
            }
            Some(_) => StatementOutput::of(if is_clean { Outputs::Clean } else { Outputs::Unknown }),
        }
    }

    /// CALL. What a procedure does is not known, and what it gives back neither.
    fn procedure(&mut self, call: &CallStmt) -> Result<StatementOutput, Misunderstood> {
        let call = call.funccall().ok_or_else(|| Misunderstood::new("CALL names no procedure", "Name one"))?;
        self.inventory.take(Node::FuncCall(call))?;
        let nothing = Sources::default();
        self.function_call(call, &Scope::root(&nothing))?;
        let (schema, name) = tree::function_name(call);
        self.access_function(action::CALL, schema, name, Kind::User);
        self.opaque();
        self.found.changes_catalog = true;
        Ok(StatementOutput::of(Outputs::Unknown))
    }

    /// Statements that give no rows.
    fn silent_statement(&mut self, node: Node<'_>) -> Result<(), Misunderstood> {
        match node {
            Node::TransactionStmt(transaction) => return self.transaction(transaction),
            // What it names are constraints, not relations.
            Node::ConstraintsSetStmt(_) => self.access_target(action::TRANSACTION),
            Node::VariableSetStmt(set) => return self.set(set),
            Node::DiscardStmt(discard) => self.discard(discard),
            Node::ClosePortalStmt(_) => self.access_target(action::CURSOR),
            Node::DeallocateStmt(deallocate) => {
                self.access_target(action::PREPARED);
                let named = deallocate.name().map(|name| Deallocated::Named(name.into()));
                self.found.deallocates = Some(named.unwrap_or(Deallocated::All));
            }
            Node::ListenStmt(_) | Node::UnlistenStmt(_) | Node::NotifyStmt(_) => self.access_target(action::LISTEN),
            Node::LockStmt(lock) => return self.access_list(action::LOCK, lock.relations()),
            Node::TruncateStmt(truncate) => {
                self.note_cascade(truncate.behavior);
                if self.found.cascade == Some(true) {
                    // The triggers of tables that it does not name speak, too.
                    self.mark_sensitive();
                }
                for relation in truncate.relations() {
                    if let Node::RangeVar(relation) = relation {
                        let (schema, name) = tree::relation_name(relation);
                        self.note_effects(schema, name, Writes::TRUNCATE);
                    }
                }
                return self.access_list(action::TRUNCATE, truncate.relations());
            }
            Node::DoStmt(_) => {
                self.access_target(action::DO);
                self.opaque();
                self.found.changes_catalog = true;
            }
            Node::VacuumStmt(vacuum) => self.vacuum(vacuum),
            Node::ClusterStmt(cluster) => {
                // From then on rows come in the order of the values.
                if let Some(table) = cluster.relation() {
                    let row = self.relation(table, action::DDL).columns.row();
                    self.probe(&row);
                } else {
                    // Of whichever tables were put in an index's order before.
                    self.access_target(action::DDL);
                    self.probe(&Lineage::unknown());
                }
            }
            Node::ReindexStmt(reindex) => self.tables_or_target(action::DDL, reindex.relation()),
            Node::RefreshMatViewStmt(refresh) => self.tables_or_target(action::DDL, refresh.relation()),
            Node::CommentStmt(comment) => self.comment(comment.objtype, comment.object()),
            _ => return self.defining_statement(node),
        }
        Ok(())
    }

    /// Statements that define objects.
    fn defining_statement(&mut self, node: Node<'_>) -> Result<(), Misunderstood> {
        match node {
            Node::CreateStmt(create) => self.create_table(create),
            Node::CreateTableAsStmt(create) => self.create_table_as(create),
            Node::ViewStmt(view) => self.create_view(view),
            Node::AlterTableStmt(alter) => self.alter_table(alter),
            Node::IndexStmt(index) => self.create_index(index),
            Node::CreateTrigStmt(trigger) => self.create_trigger(trigger),
            Node::CreateSeqStmt(sequence) => {
                let table = sequence.sequence().map(|table| self.new_table(table));
                self.access(action::DDL, table.unwrap_or_else(|| self.resources.target()));
                self.found.changes_catalog = true;
                Ok(())
            }
            Node::AlterSeqStmt(sequence) => self.alter_definition(sequence.sequence()),
            Node::CreateFunctionStmt(create) => {
                self.create_function(create);
                Ok(())
            }
            Node::AlterFunctionStmt(alter) => {
                self.alter_function(alter.func(), alter.actions().iter());
                Ok(())
            }
            Node::DropStmt(drop) => self.drop(drop),
            Node::RenameStmt(rename) => self.rename(rename),
            Node::AlterObjectSchemaStmt(alter) => self.set_schema(alter),
            Node::CreateSchemaStmt(create) => {
                if !create.schema_elts().is_empty() {
                    let hint = "Create the schema first, and its objects in statements of their own";
                    return Err(Misunderstood::new("CREATE SCHEMA with objects in it is not supported", hint));
                }
                let schema = self.resources.schema(create.schemaname().unwrap_or(super::resource::UNKNOWN_SCHEMA));
                self.access(action::DDL, schema);
                self.found.changes_catalog = true;
                Ok(())
            }
            Node::CreateDomainStmt(create) => {
                self.define_type(&tree::words(create.domainname()));
                create.constraints().iter().for_each(|constraint| self.stored(constraint.raw_expr()));
                Ok(())
            }
            Node::CreateEnumStmt(create) => {
                self.define_type(&tree::words(create.type_name()));
                Ok(())
            }
            Node::CompositeTypeStmt(create) => {
                let (schema, name) = create.typevar().map(tree::relation_name).unwrap_or_default();
                self.define_type(&schema.into_iter().chain([name]).collect::<Vec<_>>());
                Ok(())
            }
            Node::CreateStatsStmt(statistics) => self.create_statistics(statistics),
            _ => self.plain_definition(node),
        }
    }

    fn create_statistics(&mut self, statistics: &CreateStatsStmt) -> Result<(), Misunderstood> {
        let mut columns = Columns::default();
        for table in statistics.relations() {
            columns.extend(self.relation(table, action::DDL).columns);
        }
        let item = Item::query(None, columns);
        for element in statistics.exprs() {
            let expression = if let Node::StatsElem(element) = element { element.expr() } else { element };
            self.tested(expression, &item)?;
        }
        self.found.changes_catalog = true;
        Ok(())
    }

    /// Definitions that are in no table and hold no data.
    fn plain_definition(&mut self, node: Node<'_>) -> Result<(), Misunderstood> {
        match node {
            Node::AlterDomainStmt(alter) => {
                self.guard_own(ObjectType::OBJECT_DOMAIN, &tree::strings(alter.type_name()));
                match alter.def() {
                    Node::Constraint(constraint) => {
                        self.stored(constraint.raw_expr());
                        // It is tried on every value of the domain, wherever that is.
                        self.probe(&Lineage::unknown());
                    }
                    expression => self.stored(expression),
                }
            }
            Node::AlterCollationStmt(alter) => {
                self.guard_own(ObjectType::OBJECT_COLLATION, &tree::strings(alter.collname()));
            }
            Node::AlterTSDictionaryStmt(alter) => {
                self.guard_own(ObjectType::OBJECT_TSDICTIONARY, &tree::words(alter.dictname()));
            }
            Node::AlterTSConfigurationStmt(alter) => {
                self.guard_own(ObjectType::OBJECT_TSCONFIGURATION, &tree::words(alter.cfgname()));
            }
            // Functions of theirs run wherever a value of the type does.
            Node::CreateRangeStmt(_) | Node::AlterTypeStmt(_) | Node::CreateConversionStmt(_) => {
                self.access_target(action::ADMIN);
            }
            Node::AlterStatsStmt(_) | Node::AlterEnumStmt(_) | Node::AlterObjectDependsStmt(_) => {}
            Node::DefineStmt(define) => {
                self.makes_type(&tree::words(define.defnames()));
                let code = [
                    ObjectType::OBJECT_AGGREGATE,
                    ObjectType::OBJECT_OPERATOR,
                    ObjectType::OBJECT_TYPE,
                    ObjectType::OBJECT_TSPARSER,
                    ObjectType::OBJECT_TSTEMPLATE,
                ];
                let is_strange = |option: &DefElem| option.defname() == Some("deterministic");
                // By such a collation texts are equal that are not the same.
                let is_collation = define.kind == ObjectType::OBJECT_COLLATION;
                if code.contains(&define.kind) || is_collation && define.definition().iter().any(is_strange) {
                    self.access_target(action::ADMIN);
                }
            }
            _ => return self.administration(node),
        }
        self.define_in_target();
        Ok(())
    }

    /// What only administrators do.
    fn administration(&mut self, node: Node<'_>) -> Result<(), Misunderstood> {
        match node {
            Node::CreatePolicyStmt(policy) => {
                self.stored(policy.qual());
                self.stored(policy.with_check());
                self.alter_definition(policy.table())?;
            }
            Node::AlterPolicyStmt(policy) => {
                self.stored(policy.qual());
                self.stored(policy.with_check());
                self.alter_definition(policy.table())?;
            }
            Node::RuleStmt(rule) => self.alter_definition(rule.relation())?,
            Node::LoadStmt(_) => {
                self.access_target(action::FILE);
                self.opaque();
            }
            Node::CreatePublicationStmt(_) | Node::AlterPublicationStmt(_) => self.access_target(action::REPLICATION),
            Node::CreateSubscriptionStmt(_) | Node::AlterSubscriptionStmt(_) | Node::DropSubscriptionStmt(_) => {
                self.found.secret = true;
                self.access_target(action::REPLICATION);
            }
            node if holds_secrets(node) => self.found.secret = true,
            node if is_administration(node) => {}
            _ => {
                let hint = "Gatehouse passes on only statements that it understands";
                return Err(Misunderstood::new("a statement of this kind is not supported", hint));
            }
        }
        if drops(node) {
            self.access_target(action::DROP);
        }
        if let Node::DropOwnedStmt(drop) = node {
            self.note_cascade(drop.behavior);
        }
        self.access_target(action::ADMIN);
        self.found.changes_catalog = true;
        Ok(())
    }

    fn transaction(&mut self, transaction: &TransactionStmt) -> Result<(), Misunderstood> {
        self.access_target(action::TRANSACTION);
        let goes_on = [
            TransactionStmtKind::TRANS_STMT_BEGIN,
            TransactionStmtKind::TRANS_STMT_START,
            TransactionStmtKind::TRANS_STMT_SAVEPOINT,
            TransactionStmtKind::TRANS_STMT_RELEASE,
        ];
        self.found.ends_transaction |= !goes_on.contains(&transaction.kind);
        let two_phase = [
            TransactionStmtKind::TRANS_STMT_PREPARE,
            TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED,
            TransactionStmtKind::TRANS_STMT_ROLLBACK_PREPARED,
        ];
        if two_phase.contains(&transaction.kind) {
            // It can end what another session did.
            self.access_target(action::ADMIN);
        }
        Ok(())
    }

    fn vacuum(&mut self, vacuum: &VacuumStmt) {
        if vacuum.rels().is_empty() {
            self.access_target(action::DDL);
        }
        for relation in vacuum.rels() {
            self.tables_or_target(action::DDL, relation.relation());
        }
    }

    fn tables_or_target(&mut self, action: Action, table: Option<&RangeVar>) {
        match table {
            Some(table) => self.access_tables(action, table),
            None => self.access_target(action),
        }
    }
}

/// Administration by which something goes.
fn drops(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::DropRoleStmt(_)
            | Node::DropOwnedStmt(_)
            | Node::DropTableSpaceStmt(_)
            | Node::DropdbStmt(_)
            | Node::DropUserMappingStmt(_)
            | Node::DropSubscriptionStmt(_)
    )
}

/// Statements that may hold a password.
fn holds_secrets(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::CreateRoleStmt(_)
            | Node::AlterRoleStmt(_)
            | Node::AlterRoleSetStmt(_)
            | Node::AlterDatabaseSetStmt(_)
            | Node::AlterSystemStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::AlterUserMappingStmt(_)
            | Node::DropUserMappingStmt(_)
            | Node::CreateForeignServerStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::CreateFdwStmt(_)
            | Node::AlterFdwStmt(_)
            | Node::ImportForeignSchemaStmt(_)
    )
}

fn is_administration(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::GrantStmt(_)
            | Node::GrantRoleStmt(_)
            | Node::AlterDefaultPrivilegesStmt(_)
            | Node::DropRoleStmt(_)
            | Node::DropOwnedStmt(_)
            | Node::ReassignOwnedStmt(_)
            | Node::AlterOwnerStmt(_)
            | Node::SecLabelStmt(_)
            | Node::CreateExtensionStmt(_)
            | Node::AlterExtensionStmt(_)
            | Node::AlterExtensionContentsStmt(_)
            | Node::CreateTableSpaceStmt(_)
            | Node::DropTableSpaceStmt(_)
            | Node::AlterTableSpaceOptionsStmt(_)
            | Node::AlterTableMoveAllStmt(_)
            | Node::CreatedbStmt(_)
            | Node::AlterDatabaseStmt(_)
            | Node::AlterDatabaseRefreshCollStmt(_)
            | Node::DropdbStmt(_)
            | Node::CheckPointStmt(_)
            | Node::CreateEventTrigStmt(_)
            | Node::AlterEventTrigStmt(_)
            | Node::CreatePLangStmt(_)
            | Node::CreateAmStmt(_)
            | Node::CreateCastStmt(_)
            | Node::CreateTransformStmt(_)
            | Node::CreateOpClassStmt(_)
            | Node::CreateOpFamilyStmt(_)
            | Node::AlterOpFamilyStmt(_)
            | Node::AlterOperatorStmt(_)
    )
}

/// What a statement defines or drops that is of several kinds.
pub(super) const SEVERAL_KINDS: &str = "several";

/// How many rows the query of a statement gives at most, where its LIMIT is a number.
fn limit(node: Node<'_>) -> Option<i64> {
    match node {
        Node::SelectStmt(select) if select.limit_option != LimitOption::LIMIT_OPTION_WITH_TIES => {
            count(select.limit_count())
        }
        Node::CopyStmt(copy) => limit(copy.query()),
        Node::DeclareCursorStmt(declare) => limit(declare.query()),
        Node::ExplainStmt(explain) => limit(explain.query()),
        Node::PrepareStmt(prepare) => limit(prepare.query()),
        _ => None,
    }
}

/// A number of rows that is written out, as one of whatever type of whole numbers.
fn count(node: Node<'_>) -> Option<i64> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(number) => Some(i64::from(number)),
            // One that is too long for the usual type, and a literal.
            ConstValue::Float(number) | ConstValue::String(number) => number.trim().parse().ok(),
            _ => None,
        },
        Node::TypeCast(cast) => {
            let words = cast.type_name().map(|name| tree::words(name.names())).unwrap_or_default();
            match tree::qualified(&words) {
                (None | Some("pg_catalog"), "int2" | "int4" | "int8") => count(cast.arg()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a statement is no more than a query or a write, or the beginning or end of a transaction: its text stays nowhere.
fn is_plain(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_)
            | Node::TransactionStmt(_)
    )
}

/// Whether a statement gives the rows of such a one to the client, as a copy.
fn copies_out(node: Node<'_>) -> bool {
    matches!(node, Node::CopyStmt(copy) if !copy.is_from && copy.filename().is_none() && is_plain(copy.query()))
}

/// Whether a statement may leave something behind that runs later.
fn defines(node: Node<'_>) -> bool {
    let is_run = matches!(
        node,
        Node::CopyStmt(_)
            | Node::DeclareCursorStmt(_)
            | Node::PrepareStmt(_)
            | Node::ExecuteStmt(_)
            | Node::ExplainStmt(_)
    );
    !is_plain(node) && !is_run
}

/// Whether a statement is one that the server does not plan, and that names something: between its binding and its running
/// that may become something else.
fn resolves_late(node: Node<'_>) -> bool {
    let names_nothing = matches!(
        node,
        Node::VariableSetStmt(_)
            | Node::VariableShowStmt(_)
            | Node::DiscardStmt(_)
            | Node::DeallocateStmt(_)
            | Node::ClosePortalStmt(_)
            | Node::ListenStmt(_)
            | Node::UnlistenStmt(_)
            | Node::NotifyStmt(_)
    );
    !is_plain(node) && !names_nothing
}

/// What kind of thing a statement defines, changes, drops or empties.
fn object_kind(node: Node<'_>) -> Option<&'static str> {
    Some(match node {
        Node::CreateStmt(_) | Node::TruncateStmt(_) | Node::VacuumStmt(_) | Node::ClusterStmt(_) => "table",
        Node::SelectStmt(select) if select.into_clause().is_some() => "table",
        Node::CreateTableAsStmt(create) => kind_of(create.objtype),
        Node::ViewStmt(_) => "view",
        Node::AlterTableStmt(alter) => kind_of(alter.objtype),
        Node::IndexStmt(_) => "index",
        Node::ReindexStmt(reindex) if reindex.kind == ReindexObjectType::REINDEX_OBJECT_TABLE => "table",
        Node::ReindexStmt(_) => "index",
        Node::CreateTrigStmt(_) => "trigger",
        Node::CreateSeqStmt(_) | Node::AlterSeqStmt(_) => "sequence",
        Node::CreateFunctionStmt(create) => {
            if create.is_procedure {
                "procedure"
            } else {
                "function"
            }
        }
        Node::AlterFunctionStmt(_) => "function",
        Node::CreateSchemaStmt(_) => "schema",
        Node::RefreshMatViewStmt(_) => "materialized_view",
        Node::CreatePolicyStmt(_) | Node::AlterPolicyStmt(_) => "policy",
        Node::RuleStmt(_) => "rule",
        Node::CreateDomainStmt(_) | Node::AlterDomainStmt(_) => "domain",
        Node::CompositeTypeStmt(_) | Node::CreateEnumStmt(_) | Node::CreateRangeStmt(_) | Node::AlterEnumStmt(_) => {
            "type"
        }
        Node::CreateExtensionStmt(_) => "extension",
        Node::CreateRoleStmt(_) | Node::AlterRoleStmt(_) | Node::DropRoleStmt(_) => "role",
        Node::CreatedbStmt(_) | Node::DropdbStmt(_) => "database",
        Node::AlterDatabaseStmt(_) | Node::AlterDatabaseSetStmt(_) => "database",
        Node::AlterRoleSetStmt(_) => "role",
        Node::AlterExtensionStmt(_) | Node::AlterExtensionContentsStmt(_) => "extension",
        Node::CommentStmt(comment) => kind_of(comment.objtype),
        Node::AlterObjectSchemaStmt(alter) => kind_of(alter.object_type),
        Node::AlterOwnerStmt(alter) => kind_of(alter.object_type),
        Node::DropStmt(drop) => kind_of(drop.remove_type),
        Node::RenameStmt(rename) => kind_of(rename.rename_type),
        _ => return None,
    })
}

fn kind_of(kind: ObjectType::Type) -> &'static str {
    match kind {
        ObjectType::OBJECT_TABLE => "table",
        ObjectType::OBJECT_COLUMN => "column",
        ObjectType::OBJECT_VIEW => "view",
        ObjectType::OBJECT_MATVIEW => "materialized_view",
        ObjectType::OBJECT_SEQUENCE => "sequence",
        ObjectType::OBJECT_INDEX => "index",
        ObjectType::OBJECT_FOREIGN_TABLE => "foreign_table",
        ObjectType::OBJECT_FUNCTION | ObjectType::OBJECT_ROUTINE => "function",
        ObjectType::OBJECT_PROCEDURE => "procedure",
        ObjectType::OBJECT_SCHEMA => "schema",
        ObjectType::OBJECT_TRIGGER => "trigger",
        ObjectType::OBJECT_POLICY => "policy",
        ObjectType::OBJECT_RULE => "rule",
        ObjectType::OBJECT_TYPE => "type",
        ObjectType::OBJECT_DOMAIN => "domain",
        ObjectType::OBJECT_EXTENSION => "extension",
        ObjectType::OBJECT_DATABASE => "database",
        ObjectType::OBJECT_ROLE => "role",
        _ => "other",
    }
}

/// A word or two for listings.
fn title(node: Node<'_>) -> &'static str {
    match node {
        Node::SelectStmt(_) => "SELECT",
        Node::InsertStmt(_) => "INSERT",
        Node::UpdateStmt(_) => "UPDATE",
        Node::DeleteStmt(_) => "DELETE",
        Node::MergeStmt(_) => "MERGE",
        Node::CopyStmt(_) => "COPY",
        Node::VariableSetStmt(_) => "SET",
        Node::VariableShowStmt(_) => "SHOW",
        Node::DiscardStmt(_) => "DISCARD",
        Node::TransactionStmt(transaction) => transaction_title(transaction),
        Node::ConstraintsSetStmt(_) => "SET CONSTRAINTS",
        Node::DeclareCursorStmt(_) => "DECLARE CURSOR",
        Node::FetchStmt(_) => "FETCH",
        Node::ClosePortalStmt(_) => "CLOSE",
        Node::PrepareStmt(_) => "PREPARE",
        Node::ExecuteStmt(_) => "EXECUTE",
        Node::DeallocateStmt(_) => "DEALLOCATE",
        Node::ExplainStmt(_) => "EXPLAIN",
        Node::CallStmt(_) => "CALL",
        Node::DoStmt(_) => "DO",
        Node::ListenStmt(_) => "LISTEN",
        Node::UnlistenStmt(_) => "UNLISTEN",
        Node::NotifyStmt(_) => "NOTIFY",
        Node::LockStmt(_) => "LOCK",
        Node::TruncateStmt(_) => "TRUNCATE",
        Node::VacuumStmt(vacuum) if vacuum.is_vacuumcmd => "VACUUM",
        Node::VacuumStmt(_) => "ANALYZE",
        Node::ClusterStmt(_) => "CLUSTER",
        Node::ReindexStmt(_) => "REINDEX",
        Node::RefreshMatViewStmt(_) => "REFRESH MATERIALIZED VIEW",
        Node::CommentStmt(_) => "COMMENT",
        Node::CreateStmt(_) => "CREATE TABLE",
        Node::CreateTableAsStmt(create) if create.objtype == ObjectType::OBJECT_MATVIEW => "CREATE MATERIALIZED VIEW",
        Node::CreateTableAsStmt(_) => "CREATE TABLE AS",
        Node::ViewStmt(_) => "CREATE VIEW",
        Node::IndexStmt(_) => "CREATE INDEX",
        Node::CreateFunctionStmt(_) => "CREATE FUNCTION",
        Node::CreateTrigStmt(_) => "CREATE TRIGGER",
        Node::CreateSchemaStmt(_) => "CREATE SCHEMA",
        Node::AlterTableStmt(_) => "ALTER TABLE",
        Node::DropStmt(_) => "DROP",
        Node::RenameStmt(_) => "RENAME",
        Node::GrantStmt(grant) if grant.is_grant => "GRANT",
        Node::GrantStmt(_) => "REVOKE",
        Node::CreateRoleStmt(_) => "CREATE ROLE",
        Node::AlterRoleStmt(_) => "ALTER ROLE",
        Node::DropRoleStmt(_) => "DROP ROLE",
        Node::AlterSystemStmt(_) => "ALTER SYSTEM",
        _ => "DDL",
    }
}

fn transaction_title(transaction: &TransactionStmt) -> &'static str {
    match transaction.kind {
        TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => "BEGIN",
        TransactionStmtKind::TRANS_STMT_COMMIT => "COMMIT",
        TransactionStmtKind::TRANS_STMT_ROLLBACK => "ROLLBACK",
        TransactionStmtKind::TRANS_STMT_SAVEPOINT => "SAVEPOINT",
        TransactionStmtKind::TRANS_STMT_RELEASE => "RELEASE",
        TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => "ROLLBACK TO",
        _ => "TRANSACTION",
    }
}
