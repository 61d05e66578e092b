//! What an operation that waits for a person would do, as far as the server says so without running it: how many rows the
//! planner expects, and what hangs on the tables that it writes.
//!
//! Knows how to ask, in a transaction that can write nothing. It asks for no plan of what calls code: to plan may be to run.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_model::{Access, Action, Bind, FactValue, Operation, Parent, Resource};
use gatehouse_protocol::{Breach, Survey, SurveyFacts};
use serde_json::Value;

use crate::analysis::{self, action};
use crate::frame::{self, Peek, Reader, put_cstr};
use crate::report;

/// No plan is longer, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How many tables are told of.
const TABLES_MAX: usize = 16;
/// How long the longest name or list of names in a line is, in characters.
const WORDS_CHARS_MAX: usize = 400;

/// How many columns of all that a text assigns to are asked about: as many as a table has at most.
const ASSIGNED_MAX: usize = 1_600;

/// What these do is read off a plan and the catalog alone.
const SEEN_THROUGH: [Action; 16] = [
    action::SELECT,
    action::SHOW,
    action::INSERT,
    action::UPDATE,
    action::DELETE,
    action::MERGE,
    action::COPY_IN,
    action::TRUNCATE,
    action::DROP,
    action::DDL,
    action::LOCK,
    action::TRANSACTION,
    Action::PROBE,
    Action::REVEAL,
    Action::EXCEED,
    Action::CHANGED,
];
const WRITES: [Action; 8] = [
    action::INSERT,
    action::UPDATE,
    action::DELETE,
    action::MERGE,
    action::COPY_IN,
    action::TRUNCATE,
    action::DROP,
    action::DDL,
];
/// The titles of what has a plan.
const PLANNED: [&str; 4] = ["INSERT", "UPDATE", "DELETE", "MERGE"];

const TABLE_FACTS: &str = "select n.name, greatest(c.reltuples, -1)::pg_catalog.int8,
  (select count(*) from pg_catalog.pg_index i where i.indrelid = c.oid),
  (select string_agg(t.tgname, ', ' order by t.tgname) from pg_catalog.pg_trigger t
    where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'),
  (select string_agg(r.relname || case k.confdeltype when 'c' then ' (its rows go with them)'
      when 'n' then ' (set to null)' when 'd' then ' (set to its default)' else ' (forbids it)' end, ', ' order by r.relname)
    from pg_catalog.pg_constraint k join pg_catalog.pg_class r on r.oid = k.conrelid where k.confrelid = c.oid and k.contype = 'f'),
  (select string_agg(r.relname || case k.confupdtype when 'c' then ' (its values follow)'
      when 'n' then ' (set to null)' when 'd' then ' (set to its default)' else ' (forbids it)' end, ', ' order by r.relname)
    from pg_catalog.pg_constraint k join pg_catalog.pg_class r on r.oid = k.conrelid
    where k.confrelid = c.oid and k.contype = 'f' and exists (select from pg_catalog.pg_attribute a, assigned s
      where a.attrelid = c.oid and a.attnum = any(k.confkey) and a.attname = any(s.names)))
from unnest(array[";

/// Asks what an operation would do.
pub(crate) struct Impact {
    question: String,
    title: String,
    /// Rows may go, and with them what refers to them.
    deletes: bool,
    /// It is several statements, of which none has a plan of its own.
    is_batch: bool,
    lines: Vec<String>,
    result_set: usize,
}

/// The set of results that the plan is; before it come those of settings and of facts.
const PLAN: usize = 4;

/// Why there is no plan, by SQLSTATE (PostgreSQL, appendix A): what a statement is refused for does not depend on what is in the
/// tables, and nothing else that an error says is told, for it may quote values.
fn refused(code: &str) -> Option<&'static str> {
    Some(match code {
        "42703" => "a column that it names does not exist",
        "42P01" => "a table that it names does not exist",
        "42883" => "a function or an operator that it uses does not exist",
        "22P02" | "22007" | "22008" => "a value in it is not of its column's type",
        "42804" | "42846" => "the types in it do not fit each other",
        "42601" => "its syntax is wrong",
        "42501" => "the gateway's account at the target may not do it",
        "42702" | "42725" => "a name in it is ambiguous",
        "55P03" | "57014" => return None,
        _ => "it does not say more here",
    })
}

impl Impact {
    /// Of an operation that can be seen through; `None` of any other.
    pub(crate) fn of(operation: &Operation) -> Option<Self> {
        let intent = &operation.intent;
        let is_seen_through = intent.accesses.iter().all(|access| SEEN_THROUGH.contains(&access.action));
        if intent.unclear.is_some() || !is_seen_through {
            return None;
        }
        let written = intent.accesses.iter().filter(|access| WRITES.contains(&access.action));
        let tables: BTreeSet<(String, String)> =
            written.filter_map(|access| schema_and_name(&access.resource)).take(TABLES_MAX).collect();
        if tables.is_empty() {
            return None;
        }
        let identifier = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let names: Vec<String> = tables
            .iter()
            .map(|(schema, name)| constant(&format!("{}.{}", identifier(schema), identifier(name))))
            .collect();
        let assigned = analysis::columns_assigned(&intent.statement);
        let assigned: Vec<String> = assigned.iter().take(ASSIGNED_MAX).map(|column| constant(column)).collect();
        let plan = plan_of(operation).map(|(path, statement)| {
            let path: Vec<String> = path.iter().map(|schema| identifier(schema)).collect();
            let path = constant(&path.join(", "));
            format!("select pg_catalog.set_config('search_path', {path}, true); explain (format json) {statement}\n; ")
        });
        let question = format!(
            "begin transaction read only; select pg_catalog.set_config('search_path', 'pg_catalog', true),
              pg_catalog.set_config('statement_timeout', '2s', true), pg_catalog.set_config('lock_timeout', '200ms', true),
              pg_catalog.set_config('jit', 'off', true), pg_catalog.set_config('standard_conforming_strings', 'on', true);
             with assigned(names) as (select array[{}]::pg_catalog.name[]) {TABLE_FACTS}{}]) n(name) join pg_catalog.pg_class c on c.oid = to_regclass(n.name) and c.relkind <> 'S'; {}rollback",
            assigned.join(", "),
            names.join(", "),
            plan.unwrap_or_default(),
        );
        let deletes =
            |access: &Access| [action::DELETE, action::MERGE, action::TRUNCATE, action::DROP].contains(&access.action);
        let deletes = intent.accesses.iter().any(deletes);
        let is_batch = intent.facts.get("statements_in_batch") != Some(&FactValue::Long(1));
        Some(Self { question, title: intent.title.clone(), deletes, is_batch, lines: Vec::new(), result_set: 0 })
    }

    /// What went wrong, as far as it is not about values.
    fn failed(&mut self, body: &[u8]) {
        if self.result_set < PLAN - 1 {
            return;
        }
        let code = report::field(body, b'C').unwrap_or_default();
        let line = match refused(&code) {
            Some(why) => format!("PostgreSQL refuses this {} as it is ({code}): {why}", self.title),
            None => "the planner had no time to say how many rows it touches".into(),
        };
        self.lines.insert(0, line);
    }

    fn row(&mut self, values: &[Option<&str>]) {
        match (self.result_set, values) {
            // BEGIN and the settings come before.
            (2, [Some(name), Some(rows), Some(indexes), triggers, referring, following]) => {
                let rows = match rows.parse::<i64>() {
                    Ok(rows @ 0..) => format!("about {rows} rows"),
                    Ok(_) | Err(_) => "rows that nobody counted".into(),
                };
                let plural = if *indexes == "1" { "index" } else { "indexes" };
                let triggers = triggers.map(|names| format!(", triggers: {}", cut(names))).unwrap_or_default();
                let referring = referring
                    .filter(|_| self.deletes)
                    .map(|names| format!(", referred to by {}", cut(names)))
                    .unwrap_or_default();
                let following = following
                    .map(|names| format!(", its changed keys are referred to by {}", cut(names)))
                    .unwrap_or_default();
                let name = name.replace('"', "");
                self.lines.push(format!("{name} has {rows}, {indexes} {plural}{triggers}{referring}{following}"));
            }
            (PLAN, [Some(plan)]) => self.lines.extend(expected(&self.title, plan)),
            _ => {}
        }
    }
}

impl Survey for Impact {
    fn parameters(&self) -> Vec<(String, String)> {
        let parameters = [("application_name", "gatehouse impact"), ("client_encoding", "UTF8")];
        parameters.map(|(name, value)| (name.into(), value.into())).into()
    }

    fn question(&self) -> Bytes {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'Q', |body| put_cstr(body, &self.question));
        out.freeze()
    }

    fn handle(&mut self, buf: &mut BytesMut, _out: &mut BytesMut) -> Result<Option<SurveyFacts>, Breach> {
        loop {
            let len = match frame::peek(buf, ANSWER_BYTES_MAX, Breach::target)? {
                Peek::Short(_) | Peek::Large(..) => return Ok(None),
                Peek::Whole(frame) => frame.len,
            };
            let whole = buf.split_to(len);
            for frame in frame::frames(&whole) {
                match frame.tag {
                    b'D' => {
                        let mut reader = Reader(frame.body);
                        let count = reader.i16().unwrap_or(0);
                        let values: Vec<Option<&[u8]>> = (0..count).filter_map(|_| reader.value()).collect();
                        let texts: Vec<Option<&str>> = values
                            .iter()
                            .map(|value| value.and_then(|value| std::str::from_utf8(value).ok()))
                            .collect();
                        self.row(&texts);
                    }
                    b'C' => self.result_set += 1,
                    b'E' => self.failed(frame.body),
                    b'Z' => {
                        if self.is_batch {
                            let line = "several statements at once: nobody counted how many rows each touches";
                            self.lines.push(line.into());
                        }
                        return Ok(Some(Arc::new(std::mem::take(&mut self.lines))));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Where names are looked up, and the statement with its bind values in place: of what has a plan.
fn plan_of(operation: &Operation) -> Option<(Vec<String>, String)> {
    let intent = &operation.intent;
    let is_alone = intent.facts.get("statements_in_batch") == Some(&FactValue::Long(1));
    if !is_alone || !PLANNED.contains(&intent.title.as_str()) {
        return None;
    }
    let path = operation.state.get("search_path")?.split(',').map(Into::into).collect();
    let value = |bind: &Bind| match bind {
        Bind::Null => Some("null".into()),
        Bind::Text(text) => Some(constant(text)),
        Bind::Binary(_) => None,
    };
    let values: Option<Vec<String>> = operation.binds.iter().map(value).collect();
    Some((path, analysis::with_values(&intent.statement, &values?)?))
}

/// A text as a constant of SQL.
fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn schema_and_name(table: &Resource) -> Option<(String, String)> {
    let is_schema = |parent: &&Parent| parent.kind == "Schema";
    let schema = table.within.iter().find(is_schema).filter(|_| table.kind == "Table")?;
    let name = table.id.strip_prefix(&*schema.id)?.strip_prefix('.')?;
    Some((schema.id.split_once('/')?.1.into(), name.into()))
}

fn cut(names: &str) -> String {
    if names.chars().count() <= WORDS_CHARS_MAX {
        return names.into();
    }
    names.chars().take(WORDS_CHARS_MAX).chain(['…']).collect()
}

/// What a plan in JSON says of how many rows a write would touch.
fn expected(title: &str, plan: &str) -> Option<String> {
    let plan: Value = serde_json::from_str(plan).ok()?;
    let top = plan.get(0)?.get("Plan")?;
    let rows = top.get("Plans")?.get(0)?.get("Plan Rows")?.as_f64()?;
    let cost = top.get("Total Cost")?.as_f64()?;
    let rows = if rows < 1.5 { "about 1 row".into() } else { format!("about {rows:.0} rows") };
    Some(format!("the planner expects this {title} to touch {rows}, at a cost of {cost:.0}"))
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{Blame, Intent, Phase};

    use super::*;

    /// An update of so many tables that assigns to so many columns.
    fn update(tables: usize, columns: usize) -> Operation {
        let table = |number: usize| {
            let schema = Parent { kind: "Schema", id: "shop/public".into() };
            Access::new(action::UPDATE, Resource::new("Table", &format!("shop/public.told_{number}"), [schema]))
        };
        let assigned: Vec<String> = (0..columns).map(|number| format!("assigned_{number} = 1")).collect();
        let intent = Intent {
            title: "UPDATE".into(),
            statement: format!("update told_0 set {}", assigned.join(", ")).into(),
            accesses: (0..tables).map(table).collect(),
            ..Intent::nothing()
        };
        Operation {
            intent: Arc::new(intent),
            candidates: None,
            binds: Vec::new(),
            evidence_binds: Vec::new(),
            state: Arc::default(),
            phase: Phase::Run,
            waits: true,
        }
    }

    /// A statement may name as much as it likes: the question about it does not grow with it.
    #[test]
    fn no_more_is_asked_about_than_is_told() {
        let asked = |tables: usize, columns: usize| {
            let question = Impact::of(&update(tables, columns)).unwrap().question;
            (question.matches(".\"told_").count(), question.matches("'assigned_").count())
        };
        assert_eq!(asked(1, 3), (1, 3));
        assert_eq!(asked(TABLES_MAX + 1, ASSIGNED_MAX + 1), (TABLES_MAX, ASSIGNED_MAX));
    }

    #[test]
    fn a_plan_that_is_too_long_is_the_targets_fault() {
        let hears = |length: usize| {
            let mut impact = Impact::of(&update(1, 1)).unwrap();
            impact.handle(&mut frame::head_of(b'D', length), &mut BytesMut::new()).map(|facts| facts.is_some())
        };
        assert_eq!(hears(ANSWER_BYTES_MAX), Ok(false));
        assert_eq!(hears(ANSWER_BYTES_MAX + 1).unwrap_err().blame, Blame::Target);
    }

    #[test]
    fn plans_are_read() {
        let plan =
            r#"[{"Plan":{"Node Type":"ModifyTable","Plan Rows":0,"Total Cost":8.3,"Plans":[{"Plan Rows":12}]}}]"#;
        let said = expected("UPDATE", plan);
        assert_eq!(said.as_deref(), Some("the planner expects this UPDATE to touch about 12 rows, at a cost of 8"));
        for nothing in ["", "[]", "{}", r#"[{"Plan":{}}]"#, r#"[{"Plan":{"Plans":[]}}]"#] {
            assert_eq!(expected("UPDATE", nothing), None, "{nothing}");
        }
    }
}
