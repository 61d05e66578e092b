//! Statements about the session: settings, transactions, cursors, prepared statements, notifications.
//!
//! Knows which settings change how statements are read or what protects data.

use gatehouse_model::{Access, Resource, TargetName, kind};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    DeclareCursorStmt, DefElem, DiscardStmt, ExecuteStmt, ExplainStmt, FetchStmt, PrepareStmt, VariableSetStmt,
};
use pg_raw_parse::raw::{DiscardMode, VariableSetKind};

use super::analyzer::Analyzer;
use super::candidate::CandidateForm;
use super::definition::text_of;
use super::scope::{Scope, Sources};
use super::{Deallocated, Misunderstood, Outputs, StatementOutput, action, resource};
use crate::function::Kind;

/// Settings that change neither what statements mean nor what protects data, for the session that sets them. Those that
/// choose how tables are read are none of them: the order of an index is that of its values; nor is `array_nulls`, by which a
/// word in a list that is compared is a value or none.
const HARMLESS: [&str; 53] = [
    "application_name",
    "bytea_output",
    "check_function_bodies",
    "client_encoding",
    "client_min_messages",
    "commit_delay",
    "commit_siblings",
    "constraint_exclusion",
    "datestyle",
    "deadlock_timeout",
    "debug_pretty_print",
    "default_statistics_target",
    "default_table_access_method",
    "default_tablespace",
    "default_text_search_config",
    "default_toast_compression",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "effective_io_concurrency",
    "escape_string_warning",
    "extra_float_digits",
    "gin_fuzzy_search_limit",
    "gin_pending_list_limit",
    "hash_mem_multiplier",
    "icu_validation_level",
    "intervalstyle",
    "jit_above_cost",
    "jit_expressions",
    "jit_inline_above_cost",
    "jit_optimize_above_cost",
    "jit_tuple_deforming",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "maintenance_io_concurrency",
    "maintenance_work_mem",
    "plan_cache_mode",
    "quote_all_identifiers",
    "search_path",
    "standard_conforming_strings",
    "synchronous_commit",
    "temp_buffers",
    "timezone",
    "timezone_abbreviations",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
    "transform_null_equals",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

/// Whole families of such settings.
const HARMLESS_PREFIXES: [&str; 4] = ["max_parallel_", "min_parallel_", "parallel_", "vacuum_cost_"];

/// Extensions whose settings decide what is recorded, or run code.
const GUARDED_PREFIXES: [&str; 6] =
    ["auto_explain.", "pgaudit.", "pg_stat_statements.", "plperl.", "plpython.", "pltcl."];

/// Settings under which the server would read statements otherwise than Gatehouse does, and the only value that fits.
const FIXED: [(&str, &[&str]); 2] =
    [("backslash_quote", &["safe_encoding"]), ("escape_string_warning", &["on", "true", "yes", "1"])];

fn is_harmless(name: &str) -> bool {
    let extension = name.contains('.') && !GUARDED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    extension
        || HARMLESS.contains(&name)
        || HARMLESS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name == "jit"
        || name.ends_with("_timeout")
}

/// A longer name of a setting stands in no record.
const SETTING_NAME_BYTES_MAX: usize = 128;

/// What stands for all of the settings.
pub(super) const EVERY_SETTING: &str = "all";

/// Settings after which names may mean something else.
const MOVING: [&str; 3] = ["search_path", "role", "session_authorization"];

/// What it wants to change a setting.
fn accesses(setting: Resource, target: Resource, name: &str) -> Vec<Access> {
    let mut accesses = vec![Access::new(action::SET, setting.clone())];
    match name {
        "role" | "session_authorization" => accesses.push(Access::new(action::ADMIN, target)),
        other if !is_harmless(other) => accesses.push(Access::new(action::ADMIN, setting)),
        _ => {}
    }
    accesses
}

/// The same outside of a statement.
pub(crate) fn setting_accesses(target: &TargetName, name: &str) -> Vec<Access> {
    let target = Resource::root(kind::TARGET, target.as_str());
    accesses(resource::setting(&target, name), target, name)
}

impl Analyzer<'_> {
    /// SET and RESET.
    pub(super) fn set(&mut self, set: &VariableSetStmt) -> Result<(), Misunderstood> {
        let name = set.name().unwrap_or_default().to_lowercase();
        if set.kind == VariableSetKind::VAR_SET_MULTI {
            self.access_target(action::TRANSACTION);
            return Ok(());
        }
        self.found.changes_meaning = true;
        if set.kind == VariableSetKind::VAR_RESET_ALL {
            self.found.changes_path = true;
            self.access(action::SET, self.resources.setting("all"));
            return Ok(());
        }
        fits(set, &name)?;
        self.found.changes_path |= MOVING.contains(&name.as_str());
        for access in accesses(self.resources.setting(&name), self.resources.target(), &name) {
            self.found.accesses.insert(access);
        }
        Ok(())
    }

    pub(super) fn show(&mut self, name: Option<&str>) -> StatementOutput {
        self.show_setting(name.unwrap_or(EVERY_SETTING));
        StatementOutput::of(Outputs::Clean)
    }

    /// Notes that a setting is read. What a view reads of them, it was made to show.
    pub(super) fn show_setting(&mut self, name: &str) {
        self.access(action::SHOW, self.resources.setting(&name.to_lowercase()));
    }

    /// Notes which setting a function tells: the one that a constant names; where none does, it may be any.
    pub(super) fn access_setting(&mut self, kind: Kind, argument: Option<Node<'_>>) {
        if kind == Kind::Setting {
            let named = argument.and_then(|argument| self.setting_named_by(argument));
            let name = named.filter(|name| name.len() <= SETTING_NAME_BYTES_MAX);
            self.show_setting(name.unwrap_or(EVERY_SETTING));
        }
    }

    /// The text of a constant, as it stands or as a type that leaves it so.
    fn setting_named_by<'t>(&self, node: Node<'t>) -> Option<&'t str> {
        match node {
            Node::TypeCast(cast) => {
                let is_kept = self.form_of(cast.type_name()?) == Some((CandidateForm::Text, false));
                if is_kept { self.setting_named_by(cast.arg()) } else { None }
            }
            constant => text_of(constant),
        }
    }

    pub(super) fn discard(&mut self, discard: &DiscardStmt) {
        self.access(action::SET, self.resources.setting("all"));
        self.found.changes_meaning = true;
        if discard.target == DiscardMode::DISCARD_ALL {
            self.found.changes_path = true;
            self.found.deallocates = Some(Deallocated::All);
        }
    }

    pub(super) fn declare(&mut self, declare: &DeclareCursorStmt) -> Result<StatementOutput, Misunderstood> {
        let columns = self.body(declare.query())?;
        self.access_target(action::CURSOR);
        Ok(StatementOutput { cursor: declare.portalname().map(Into::into), ..self.output_of(columns) })
    }

    pub(super) fn fetch(&mut self, fetch: &FetchStmt) -> StatementOutput {
        self.access_target(action::CURSOR);
        if fetch.ismove {
            // It runs the query like a FETCH, and gives nothing by which that is found.
            self.mark_sensitive();
        }
        let name = fetch.portalname().unwrap_or_default();
        StatementOutput::of(if fetch.ismove { Outputs::None } else { Outputs::Cursor(name.into()) })
    }

    pub(super) fn prepare(&mut self, prepare: &PrepareStmt) -> Result<StatementOutput, Misunderstood> {
        self.access_target(action::PREPARED);
        for kind in prepare.argtypes() {
            self.inventory.take(Node::TypeName(kind))?;
        }
        let inner = self.inner_statement(prepare.query())?;
        let StatementOutput { columns, names, .. } = inner;
        Ok(StatementOutput { prepares: prepare.name().map(Into::into), names, ..StatementOutput::of(columns) })
    }

    pub(super) fn execute(&mut self, execute: &ExecuteStmt) -> Result<StatementOutput, Misunderstood> {
        self.access_target(action::PREPARED);
        let nothing = Sources::default();
        for value in execute.params() {
            self.inventory.take(value)?;
            let lineage = self.expression(value, &Scope::root(&nothing))?;
            // Where a parameter goes is not followed.
            self.flow(&lineage, None);
        }
        Ok(StatementOutput::of(Outputs::Prepared(execute.name().unwrap_or_default().into())))
    }

    pub(super) fn explain(&mut self, explain: &ExplainStmt) -> Result<StatementOutput, Misunderstood> {
        self.access_target(action::EXPLAIN);
        if matches!(explain.query(), Node::ExecuteStmt(_)) {
            return Err(Misunderstood::new("EXPLAIN EXECUTE is not supported", "Explain the statement itself"));
        }
        // A plan quotes what it computed beforehand, of functions in views too.
        let opaque = std::mem::take(&mut self.found.opaque);
        let inside = std::mem::take(&mut self.found.opaque_inside);
        let sensitive = std::mem::take(&mut self.found.sensitive);
        self.inner_statement(explain.query())?;
        // What a plan measured, such as counts of rows and sizes of memory, tells of the values.
        let tells = self.found.opaque_inside || self.found.sensitive && explain.options().iter().any(measures);
        let columns = if tells { Outputs::Unknown } else { Outputs::Clean };
        self.found.opaque |= opaque;
        self.found.opaque_inside |= inside;
        self.found.sensitive |= sensitive;
        self.found.selects_into = false;
        Ok(StatementOutput::of(columns))
    }
}

/// True for the option of EXPLAIN that runs the statement, unless it is off for certain.
fn measures(option: &DefElem) -> bool {
    let is_off = match option.arg() {
        Node::Integer(number) => number.ival == 0,
        value => text_of(value).is_some_and(|word| ["off", "false"].iter().any(|off| word.eq_ignore_ascii_case(off))),
    };
    let name = option.defname().unwrap_or_default();
    !is_off && ["analyze", "analyse"].iter().any(|analyze| name.eq_ignore_ascii_case(analyze))
}

/// An error unless the setting stays such that Gatehouse and the server read statements alike.
fn fits(set: &VariableSetStmt, name: &str) -> Result<(), Misunderstood> {
    let hint = "Gatehouse reads statements as UTF-8 text with standard strings; leave the setting as it is";
    if set.kind == VariableSetKind::VAR_SET_CURRENT {
        return Err(Misunderstood::new("SET … FROM CURRENT is not supported", hint));
    }
    let Some((_, values)) = FIXED.iter().find(|(fixed, _)| *fixed == name) else {
        return Ok(());
    };
    let value = set.args().iter().next().and_then(text_of).map(str::to_lowercase);
    let is_set = set.kind == VariableSetKind::VAR_SET_VALUE && set.args().len() == 1;
    if is_set && value.is_some_and(|value| values.contains(&value.as_str())) {
        return Ok(());
    }
    Err(Misunderstood::new(&format!("changing {name} is not supported"), hint))
}
