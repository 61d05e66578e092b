//! SQL text with a catalog becomes accesses and lineage: what a statement does, to what, and where its columns come
//! from.
//!
//! Knows PostgreSQL's grammar, through a parser that nothing outside this module names, and its rules of names. Must
//! not know frames, sessions or policy. What is not understood is an error, never a guess.

pub(crate) mod action;
mod analyzer;
mod bounded;
mod candidate;
mod condition;
mod copy;
mod definition;
mod evidence;
mod exposure;
mod expression;
mod length;
mod lineage;
mod moved;
mod naming;
mod order;
mod query;
mod resource;
mod scope;
mod sequence;
mod session;
mod statement;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use gatehouse_model::{
    Access, Action, ClassName, Denial, Effect, FactValue, Facts, Intent, Provenance, Reason, Repacks, Resource,
    TargetName, kind,
};
use gatehouse_protocol::Classifier;
use pg_raw_parse::Node;
use pg_raw_parse::raw::CmdType;

use self::analyzer::{Analyzer, Found};
pub(crate) use self::bounded::is_bounded;
pub(crate) use self::candidate::{CANDIDATES_MAX, Candidate, CandidateForm, Candidates, Place};
pub(crate) use self::exposure::{Exposure, Hidden, exposure};
pub(crate) use self::moved::Moved;
pub(crate) use self::resource::column_at;
pub(crate) use self::session::setting_accesses;
pub(crate) use self::tables::Tables;
use crate::catalog::{Catalog, Relation, TEMPORARY_SCHEMA};
use crate::function;

/// How much evidence keeps of a text that was not understood, in bytes.
const OPAQUE_EVIDENCE_BYTES_MAX: usize = 16 * 1024;
/// How many statements a title names.
const TITLE_STATEMENTS_MAX: usize = 4;

/// Actions that change nothing at the target.
const READS: [Action; 10] = [
    action::SELECT,
    action::COPY_OUT,
    action::EXPLAIN,
    action::SET,
    action::SHOW,
    action::TRANSACTION,
    action::CURSOR,
    action::PREPARED,
    Action::PROBE,
    Action::REVEAL,
];

/// What a statement is read against.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The target, for resource names.
    pub(crate) target: &'a TargetName,
    /// What the target's catalog says.
    pub(crate) catalog: &'a Catalog,
    /// The classes of columns.
    pub(crate) classifier: &'a dyn Classifier,
    /// What is kept of tables that were read with these three.
    pub(crate) tables: &'a Tables,
    /// Where unqualified names are looked up.
    pub(crate) path: &'a SearchPath,
    /// Names behind which something else may stand by now than the catalog says.
    pub(crate) moved: &'a Moved,
}

/// Where unqualified names are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SearchPath {
    /// In these schemas, in this order, after the implicit ones.
    Known(Vec<Arc<str>>),
    /// Not known: an unqualified name means every relation of that name in any schema.
    Uncertain,
}

/// A statement text, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analysis {
    /// What the whole text wants: its accesses are sorted, each once. Its evidence is without constants if it is
    /// sensitive or may hold a password.
    pub(crate) intent: Arc<Intent>,
    /// One for each statement, and so for each CommandComplete.
    pub(crate) statements: Vec<StatementOutput>,
    /// Classified data or anything opaque takes part: errors and notices may quote it.
    pub(crate) sensitive: bool,
    /// Later statements must be read only after this one is done.
    pub(crate) changes_meaning: bool,
    /// `search_path` or the role may be different afterwards.
    pub(crate) changes_path: bool,
    /// The catalog may be different afterwards.
    pub(crate) changes_catalog: bool,
    /// It names relations that the catalog does not have; the first of them.
    pub(crate) unknown_relation: Option<Box<str>>,
    /// It ends a transaction or goes back in it, and so takes back what was set in it.
    pub(crate) ends_transaction: bool,
    /// It makes or names something temporary, which can stand before what the catalog has.
    pub(crate) makes_temporary: bool,
    /// Names by which something was not there before it, or is no more.
    pub(crate) moved: Moved,
    /// Texts in it that may be pseudonyms.
    pub(crate) candidates: Option<Arc<Candidates>>,
}

/// What one statement gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatementOutput {
    /// Its columns; of DECLARE and PREPARE, those of the cursor or the prepared statement, which itself gives none.
    pub(crate) columns: Outputs,
    /// Their names, as far as they are known, where each column is.
    pub(crate) names: Vec<Option<Arc<str>>>,
    /// How `COPY … TO STDOUT` writes.
    pub(crate) copy: Option<CopyOut>,
    /// The cursor that it opens.
    pub(crate) cursor: Option<String>,
    /// The statement that it prepares.
    pub(crate) prepares: Option<String>,
    /// The prepared statements that it forgets.
    pub(crate) deallocates: Option<Deallocated>,
    /// The server looks its names up when it runs, and not when it is bound.
    pub(crate) resolves_late: bool,
}

/// What DEALLOCATE or DISCARD forgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deallocated {
    /// The statement of this name.
    Named(String),
    /// Every statement.
    All,
}

impl StatementOutput {
    fn of(columns: Outputs) -> Self {
        Self {
            columns,
            names: Vec::new(),
            copy: None,
            cursor: None,
            prepares: None,
            deallocates: None,
            resolves_late: false,
        }
    }
}

/// How `COPY … TO STDOUT` writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyOut {
    /// Lines of fields with backslashes.
    Text(CopyText),
    /// Comma-separated values.
    Csv(CopyCsv),
    /// PostgreSQL's binary format.
    Binary,
    /// Lines that nothing is replaced in by its column: the statement asks for `reveal` of what is in them.
    Lines,
}

impl CopyOut {
    /// The statement says itself that it is in UTF-8.
    pub(crate) fn is_utf8(&self) -> bool {
        match self {
            Self::Text(form) => form.is_utf8,
            Self::Csv(form) => form.is_utf8,
            Self::Binary | Self::Lines => false,
        }
    }
}

/// How COPY's text format is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopyText {
    /// What stands between two fields.
    pub(crate) delimiter: u8,
    /// The first line has the names of the columns.
    pub(crate) has_header: bool,
    /// The statement says itself that it is in UTF-8.
    pub(crate) is_utf8: bool,
}

/// How COPY's CSV is written. Its signs are ASCII, but no ends of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CopyCsv {
    /// What stands between two fields.
    pub(crate) delimiter: u8,
    /// What stands around a field.
    pub(crate) quote: u8,
    /// What stands before a quotation mark, and before itself, inside of a field.
    pub(crate) escape: u8,
    /// What stands for NULL where nothing is around it.
    pub(crate) null: Box<str>,
    /// Some columns are quoted, whatever their values are.
    pub(crate) forces_quotes: bool,
    /// The first line has the names of the columns.
    pub(crate) has_header: bool,
    /// The statement says itself that it is in UTF-8.
    pub(crate) is_utf8: bool,
}

/// Where the columns of a result come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// There is no result.
    None,
    /// These, in order.
    Columns(Vec<Provenance>),
    /// Those of a cursor.
    Cursor(String),
    /// Those of a prepared statement.
    Prepared(String),
    /// Any number of columns, which hold nothing of a classified one.
    Clean,
    /// Not known.
    Unknown,
}

/// A statement that was not understood, and so does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Misunderstood {
    /// What was not understood.
    pub(crate) message: String,
    /// What the client can do.
    pub(crate) hint: String,
}

impl Misunderstood {
    fn new(message: &str, hint: &str) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Reads a statement text, which may hold several statements.
pub(crate) fn analyze(sql: &str, context: &Context<'_>) -> Result<Analysis, Misunderstood> {
    if sql.contains('\0') {
        return Err(Misunderstood::new("the statement contains a zero byte", "Leave it out"));
    }
    tree::guarded(|| {
        let parsed = tree::parse(sql)?;
        let mut analyzer = Analyzer::new(context);
        let (mut titles, mut statements) = (Vec::new(), Vec::new());
        for statement in parsed.iter() {
            let (title, output) = analyzer.statement(statement.stmt())?;
            titles.push(title);
            statements.push(output);
        }
        if statements.is_empty() {
            analyzer.access_target(action::SELECT);
        }
        let parameters = analyzer.inventory.parameters();
        let names = analyzer.names();
        Ok(conclude(sql, names, &titles, statements, analyzer.found, &parameters))
    })
}

impl Analysis {
    /// The same, which makes values of these types as well: of what runs where that is done it asks for the calls.
    pub(crate) fn making(&self, context: &Context<'_>, types: &[u32]) -> Self {
        let Context { target, catalog, classifier, .. } = *context;
        let resources = resource::Resources { target, catalog, classifier };
        let mut intent = (*self.intent).clone();
        for making in catalog.makings().iter().filter(|making| making.from == 0 && types.contains(&making.oid)) {
            let kind = function::kind(Some(&making.schema), &making.function, catalog, |_| true);
            let call = Access::new(action::CALL, resources.function(Some(&making.schema), &making.function));
            if kind != function::Kind::Plain && !intent.accesses.contains(&call) {
                intent.accesses.push(call);
            }
        }
        Self { intent: Arc::new(intent), ..self.clone() }
    }

    /// The same, of which errors and notices may quote classified data, and so may its constants.
    pub(crate) fn withheld(&self) -> Self {
        let mut intent = (*self.intent).clone();
        intent.evidence = evidence::without_constants(&intent.statement).into();
        Self { intent: Arc::new(intent), sensitive: true, ..self.clone() }
    }
}

fn conclude(
    sql: &str,
    names: Vec<Arc<str>>,
    titles: &[&str],
    statements: Vec<StatementOutput>,
    mut found: Found,
    parameters: &HashMap<usize, HashSet<i32>>,
) -> Analysis {
    let writes = found.accesses.iter().any(|access| !READS.contains(&access.action));
    let withheld = found.sensitive || found.secret;
    // What a transaction's end wants besides may reach further than what was begun here.
    let only_ends = found.ends_transaction
        && statements.len() == 1
        && found.accesses.iter().all(|access| access.action == action::TRANSACTION);
    let repacks = match found.opaque || found.repacks_unknown {
        true => Repacks::Unknown,
        false => {
            let named = found.repacked.iter().map(|class| ClassName::new(class));
            named.collect::<Result<_, _>>().map_or(Repacks::Unknown, Repacks::Classes)
        }
    };
    let intent = Intent {
        only_ends,
        names,
        repacks,
        title: title(titles),
        statement: sql.into(),
        evidence: if withheld { evidence::without_constants(sql).into() } else { sql.into() },
        facts: facts(&statements, &found),
        effect: if writes { Effect::Write } else { Effect::Read },
        accesses: found.accesses.union(&found.conditional).cloned().collect(),
        unclear: None,
    };
    let candidates = candidate::candidates(sql, &mut found, &intent, parameters);
    Analysis {
        intent: Arc::new(intent),
        statements,
        sensitive: withheld,
        changes_meaning: found.changes_meaning,
        changes_path: found.changes_path,
        changes_catalog: found.changes_catalog,
        unknown_relation: found.unknown_relation,
        ends_transaction: found.ends_transaction,
        makes_temporary: found.makes_temporary || names_temporary_schema(sql),
        moved: found.moved,
        candidates: candidates.map(Arc::new),
    }
}

/// What stands for a text that was not understood: it wants all that there is, so that no policy that forbids anything
/// is passed by, and [`action::OPAQUE`], which alone can permit it. Nothing is known of what it gives or leaves behind.
pub(crate) fn opaque(title: &str, sql: &str, target: &TargetName, cause: &Misunderstood) -> Analysis {
    let target = Resource::root(kind::TARGET, target.as_str());
    let mut accesses: Vec<Access> = action::ALL.iter().map(|action| Access::new(*action, target.clone())).collect();
    accesses.sort();
    let reason = match cause.message.as_str() {
        message if message.starts_with("syntax error") => Reason::Syntax,
        message if message.ends_with("does not exist") => Reason::Unknown,
        _ => Reason::NotUnderstood,
    };
    let detail = "Gatehouse passes on only what it understands, unless policy permits sql:opaque";
    let intent = Intent {
        title: title.into(),
        statement: sql.into(),
        evidence: evidence_of_opaque(sql).into(),
        facts: Facts::new(),
        effect: Effect::Write,
        only_ends: false,
        names: Vec::new(),
        repacks: Repacks::Unknown,
        accesses,
        unclear: Some(Denial::new(reason, &cause.message, detail, &cause.hint)),
    };
    Analysis {
        intent: Arc::new(intent),
        statements: Vec::new(),
        sensitive: true,
        changes_meaning: true,
        changes_path: true,
        changes_catalog: true,
        unknown_relation: None,
        ends_transaction: true,
        makes_temporary: true,
        moved: Moved::default(),
        candidates: None,
    }
}

/// What evidence keeps of a text that was not understood: its beginning, for it may be as long as a message.
fn evidence_of_opaque(sql: &str) -> String {
    let end = sql.floor_char_boundary(OPAQUE_EVIDENCE_BYTES_MAX);
    match sql.get(..end) {
        Some(beginning) if end < sql.len() => {
            format!("{} … ({} bytes in all)", evidence::without_constants(beginning), sql.len())
        }
        Some(_) | None => evidence::without_constants(sql),
    }
}

/// True if the letters of a temporary schema's name are anywhere in a text: as the schema of a function or type, in a
/// setting, or in a quoted identifier. In an identifier with Unicode escapes they cannot be told.
fn names_temporary_schema(sql: &str) -> bool {
    let text = sql.as_bytes();
    let follows =
        |at: usize, word: &[u8]| text.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
    // Both words have a sign that is rare in SQL: of each, the place before it is looked at.
    memchr::memchr2_iter(b'_', b'&', text).any(|at| match text.get(at) {
        Some(b'_') => at >= 2 && follows(at - 2, TEMPORARY_SCHEMA.as_bytes()),
        Some(_) | None => at >= 1 && follows(at - 1, b"u&\""),
    })
}

fn title(titles: &[&str]) -> String {
    let shown: Vec<&str> = titles.iter().copied().take(TITLE_STATEMENTS_MAX).collect();
    match titles.len() {
        0 => "EMPTY".to_string(),
        count if count > TITLE_STATEMENTS_MAX => format!("{}; …", shown.join("; ")),
        _ => shown.join("; "),
    }
}

fn facts(statements: &[StatementOutput], found: &Found) -> Facts {
    let count = |number: usize| FactValue::Long(i64::try_from(number).unwrap_or(i64::MAX));
    let tables = found.accesses.iter().map(|access| &access.resource).filter(|resource| resource::is_table(resource));
    let tables: BTreeSet<&str> = tables.map(|table| &*table.id).collect();
    let mut facts = Facts::from([("statements_in_batch", count(statements.len())), ("tables", count(tables.len()))]);
    if let Some(has_where) = found.has_where {
        facts.insert("has_where", FactValue::Bool(has_where));
    }
    if let Some(constant) = found.where_is_constant {
        facts.insert("where_is_constant", FactValue::Bool(constant));
    }
    if let Some(limit) = found.row_limit.filter(|_| statements.len() == 1) {
        facts.insert("row_limit", FactValue::Long(limit));
    }
    if let Some(kind) = found.object_kind {
        facts.insert("object_kind", FactValue::Text(kind.into()));
    }
    let flags = [("cascade", found.cascade), ("has_triggers", found.has_triggers), ("has_rules", found.has_rules)];
    facts.extend(flags.into_iter().filter_map(|(name, flag)| Some((name, FactValue::Bool(flag?)))));
    facts
}

/// Facts of a message to which those of what it executes by name are added: each holds for all that runs.
pub(crate) fn join_facts(facts: &mut Facts, more: &Facts) {
    // It runs in the place of one that gives no rows of its own, alone if the message holds nothing else.
    let is_only = facts.get("statements_in_batch") == Some(&FactValue::Long(1));
    for (name, other) in more {
        let joined = match (facts.get(name), other) {
            (Some(FactValue::Bool(one)), FactValue::Bool(other)) if *name == "has_where" => {
                FactValue::Bool(*one && *other)
            }
            (Some(FactValue::Bool(one)), FactValue::Bool(other)) => FactValue::Bool(*one || *other),
            (Some(FactValue::Long(one)), FactValue::Long(other)) if *name == "tables" => FactValue::Long(one + other),
            (Some(FactValue::Text(one)), FactValue::Text(other)) if one != other => {
                FactValue::Text(statement::SEVERAL_KINDS.into())
            }
            (Some(kept), _) => kept.clone(),
            (None, _) if *name == "row_limit" && !is_only => continue,
            (None, other) => other.clone(),
        };
        facts.insert(name, joined);
    }
    if !is_only {
        facts.remove("row_limit");
    }
}

/// A statement with these texts in the place of its parameters; `None` if it has others, or cannot be read.
pub(crate) fn with_values(sql: &str, values: &[String]) -> Option<String> {
    let read = || {
        let parsed = tree::parse(sql)?;
        let mut places = Vec::new();
        let mut nodes: Vec<Node<'_>> = parsed.iter().map(|statement| statement.stmt()).collect();
        while let Some(node) = nodes.pop() {
            if let Node::ParamRef(parameter) = node {
                places.push((usize::try_from(parameter.location).ok(), usize::try_from(parameter.number).ok()));
            }
            nodes.extend(tree::children(node));
        }
        Ok(places)
    };
    let mut places = tree::guarded(read).ok()?;
    places.sort_unstable();
    let (mut text, mut at) = (String::with_capacity(sql.len()), 0);
    for (start, number) in places {
        let (start, number) = (start?, number?);
        text.push_str(sql.get(at..start)?);
        text.push_str(values.get(number.checked_sub(1)?)?);
        at = start + 1 + number.to_string().len();
        sql.get(start..at).filter(|written| *written == format!("${number}"))?;
    }
    text.push_str(sql.get(at..)?);
    Some(text)
}

/// The names of the columns, of whatever table, that the rows which are there are given other values in: by UPDATE, ON CONFLICT
/// DO UPDATE and MERGE.
pub(crate) fn columns_assigned(sql: &str) -> BTreeSet<String> {
    let read = || {
        let parsed = tree::parse(sql)?;
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut nodes: Vec<Node<'_>> = parsed.iter().map(|statement| statement.stmt()).collect();
        while let Some(node) = nodes.pop() {
            let assigned: Vec<Option<&str>> = match node {
                Node::UpdateStmt(update) => update.target_list().iter().map(|column| column.name()).collect(),
                Node::OnConflictClause(conflict) => conflict.target_list().iter().map(|column| column.name()).collect(),
                Node::MergeWhenClause(clause) if clause.command_type == CmdType::CMD_UPDATE => {
                    let targets = clause.target_list().iter();
                    targets
                        .map(|target| if let Node::ResTarget(column) = target { column.name() } else { None })
                        .collect()
                }
                _ => Vec::new(),
            };
            names.extend(assigned.into_iter().flatten().map(String::from));
            nodes.extend(tree::children(node));
        }
        Ok(names)
    };
    tree::guarded(read).unwrap_or_default()
}

/// What the number of the table that holds a row tells.
pub(crate) fn divided_by(relation: &Arc<Relation>, context: &Context<'_>) -> Provenance {
    Analyzer::new(context).divided_by(std::slice::from_ref(relation)).into_provenance()
}

/// Where the columns of a view come from, through its definition.
pub(crate) fn view_outputs(relation: &Arc<Relation>, context: &Context<'_>) -> Vec<Provenance> {
    let read = || {
        let columns = Analyzer::new(context).columns_of(relation);
        Ok(columns.named.into_iter().map(|column| column.lineage.into_provenance()).collect())
    };
    tree::guarded(read).unwrap_or_else(|_| vec![Provenance::Unknown; relation.columns.len()])
}
