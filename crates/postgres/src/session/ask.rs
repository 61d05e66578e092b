//! The client's side of a session: what is asked, passed on, refused, or answered in the target's place.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use gatehouse_model::{Bind, Denial, Operation, Phase, Reason};
use gatehouse_protocol::{Breach, Meaning, Misunderstood, Passed, Reply, Step};

use super::statement::{Asked, Portal, Prepared};
use super::{Awaited, CopyIn, Discard, Doubt, FrontSurvey, Named, PostgresSession};
use crate::analysis::{self, Outputs, SearchPath};
use crate::frame::{self, Frame, Peek, Reader, put_cstr};
use crate::report::{self, Severity};
use crate::value;

/// A statement that fails in every state of a session: it aborts the transaction whose statement was refused.
const ABORTING: &str = "Gatehouse refused a statement of this transaction";
/// What stands for a bind value in evidence when the statement touches classified data.
const WITHHELD: &str = "…";

impl PostgresSession {
    pub(super) fn inspect_client(&mut self, buf: &[u8]) -> Result<Step, Breach> {
        let frame = match frame::peek(buf, self.frame_bytes_max, oversize)? {
            Peek::Short(at_least) => return Ok(Step::Read { at_least }),
            Peek::Whole(frame) => frame,
        };
        if self.batch.discard != Discard::No && frame.tag != b'X' {
            let goes_on = frame.tag == b'S' && self.batch.discard == Discard::ButSync;
            let meaning = if goes_on { Meaning::Plumbing } else { Meaning::Local };
            return Ok(Step::Run { len: frame.len, meaning });
        }
        if self.copy_in == CopyIn::Asked && frame.tag != b'X' {
            return Ok(Step::Wait);
        }
        if self.copy_in == CopyIn::Open {
            return self.inspect_copy(frame, buf);
        }
        let asks = matches!(frame.tag, b'Q' | b'P' | b'B' | b'F');
        if asks && self.barriers > 0 {
            return Ok(Step::Wait);
        }
        if asks && self.catalog_is_stale {
            return Ok(self.ask_for_survey());
        }
        match frame.tag {
            b'Q' => self.inspect_query(frame),
            b'P' => self.inspect_parse(frame),
            b'B' => self.inspect_bind(frame),
            b'D' | b'E' if self.names_unconfirmed_portal(frame) => Ok(Step::Wait),
            b'D' | b'E' | b'C' if !self.knows_name_of(frame) => Ok(self.unknown_name(frame)),
            b'E' if self.fetch_is_stale(frame) => Ok(self.misunderstood(
                frame.len,
                "FETCH",
                Reason::NotUnderstood,
                "a FETCH is executed in the batch that bound it, before anything else",
                "Bind it again",
            )),
            // Data that nobody waits for any more: the server drops it too.
            b'd' | b'c' | b'f' => Ok(Step::Run { len: frame.len, meaning: Meaning::Local }),
            b'D' | b'E' | b'C' | b'H' | b'S' | b'X' => Ok(plumbing(frame.len)),
            b'F' => Ok(self.misunderstood(
                frame.len,
                "FUNCTION CALL",
                Reason::NotUnderstood,
                "the fast-path function call is not supported",
                "Use SELECT function(…) instead",
            )),
            tag => Err(Breach::client(format!("the client sent an unknown message {:?}", char::from(tag)))),
        }
    }

    /// While data is copied in, the server drops Sync and Flush, and so they go no further.
    fn inspect_copy(&self, frame: Frame<'_>, buf: &[u8]) -> Result<Step, Breach> {
        match frame.tag {
            b'd' => Ok(plumbing(copy_run(buf, self.frame_bytes_max))),
            b'c' | b'f' | b'X' => Ok(plumbing(frame.len)),
            b'S' | b'H' => Ok(Step::Run { len: frame.len, meaning: Meaning::Local }),
            tag => Err(Breach::client(format!("the client sent {:?} while it copied data in", char::from(tag)))),
        }
    }

    fn ask_for_survey(&mut self) -> Step {
        self.survey = FrontSurvey::Asked;
        Step::Survey
    }

    fn inspect_query(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let sql =
            Reader(frame.body).text().ok_or_else(|| Breach::client("a Query message is malformed or not UTF-8"))?;
        self.inspect_statement(frame.len, sql, Vec::new(), Phase::Run)
    }

    fn inspect_parse(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let malformed = || Breach::client("a Parse message is malformed or not UTF-8");
        let mut reader = Reader(frame.body);
        let _name = reader.text().ok_or_else(malformed)?;
        let sql = reader.text().ok_or_else(malformed)?;
        let count = reader.i16().ok_or_else(malformed)?;
        let declared: Option<Vec<u32>> = (0..count).map(|_| reader.u32()).collect();
        self.inspect_statement(frame.len, sql, declared.ok_or_else(malformed)?, Phase::Prepare)
    }

    fn inspect_statement(&mut self, len: usize, sql: &str, declared: Vec<u32>, phase: Phase) -> Result<Step, Breach> {
        let analysis = match analysis::analyze(sql, &self.context()) {
            Ok(analysis) => analysis,
            Err(cause) => {
                let reason =
                    if cause.message.starts_with("syntax error") { Reason::Syntax } else { Reason::NotUnderstood };
                return Ok(self.misunderstood(len, "?", reason, &cause.message, &cause.hint));
            }
        };
        if analysis.unknown_relations && self.survey != FrontSurvey::Done {
            return Ok(self.ask_for_survey());
        }
        if let Some(refusal) = self.refusal_of_names(&analysis, phase) {
            return Ok(match refusal {
                NameRefusal::Wait => Step::Wait,
                NameRefusal::No(message, hint) => {
                    self.misunderstood(len, "EXECUTE", Reason::NotUnderstood, message, hint)
                }
            });
        }
        if phase == Phase::Prepare
            && (self.statements.len() >= STATEMENTS_MAX || self.prepared_bytes() + sql.len() > PREPARED_BYTES_MAX)
        {
            return Ok(self.misunderstood(
                len,
                "PREPARE",
                Reason::Limit,
                "this session has too many prepared statements",
                "Close or deallocate those that are no longer used, or connect again",
            ));
        }
        let prepared = Arc::new(Prepared {
            sql: sql.into(),
            analysis,
            catalog: self.catalog.clone(),
            meaning_changes: self.meaning_changes,
            parameters: OnceLock::new(),
            declared,
            in_sql: false,
        });
        let Some(operation) = self.operation(&prepared, Vec::new(), phase) else {
            return Ok(self.misunderstood(
                len,
                "EXECUTE",
                Reason::Unknown,
                "the prepared statement is not known",
                "PREPARE it on this connection first",
            ));
        };
        self.asked = Some(Asked::Statement(prepared));
        Ok(Step::Run { len, meaning: Meaning::Act(Box::new(operation)) })
    }

    fn inspect_bind(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let malformed = || Breach::client("a Bind message is malformed");
        let bind = BindMessage::read(frame.body).ok_or_else(malformed)?;
        let Some(named) = self.statements.get(bind.statement) else {
            return Ok(self.misunderstood(
                frame.len,
                "BIND",
                Reason::Unknown,
                &format!("prepared statement \"{}\" does not exist", bind.statement),
                "Prepare it on this connection first",
            ));
        };
        if !named.confirmed && named.batch != self.batch.number {
            return Ok(Step::Wait);
        }
        if named.value.in_sql {
            return Ok(self.misunderstood(
                frame.len,
                "BIND",
                Reason::NotUnderstood,
                "a statement that PREPARE made is not bound by the protocol",
                "Run it with EXECUTE",
            ));
        }
        let prepared = match self.renewed(named.value.clone()) {
            Ok(prepared) => prepared,
            Err(cause) => {
                return Ok(self.misunderstood(frame.len, "BIND", Reason::NotUnderstood, &cause.message, &cause.hint));
            }
        };
        if prepared.analysis.unknown_relations && self.survey != FrontSurvey::Done {
            return Ok(self.ask_for_survey());
        }
        let binds = bind.values(&prepared);
        let Some(operation) = self.operation(&prepared, binds, Phase::Run) else {
            return Ok(self.misunderstood(
                frame.len,
                "EXECUTE",
                Reason::Unknown,
                "the prepared statement is not known",
                "PREPARE it on this connection first",
            ));
        };
        self.asked = Some(Asked::Bound(prepared));
        Ok(Step::Run { len: frame.len, meaning: Meaning::Act(Box::new(operation)) })
    }

    /// The server plans again when names mean something else, so the statement is looked at again too.
    fn renewed(&self, prepared: Arc<Prepared>) -> Result<Arc<Prepared>, analysis::Misunderstood> {
        let same_catalog = Arc::ptr_eq(&prepared.catalog, &self.catalog);
        if same_catalog && prepared.meaning_changes == self.meaning_changes {
            return Ok(prepared);
        }
        Ok(Arc::new(Prepared {
            sql: prepared.sql.clone(),
            analysis: analysis::analyze(&prepared.sql, &self.context())?,
            catalog: self.catalog.clone(),
            meaning_changes: self.meaning_changes,
            parameters: prepared.parameters.clone(),
            declared: prepared.declared.clone(),
            in_sql: prepared.in_sql,
        }))
    }

    /// What `EXECUTE` and `FETCH` mean hangs on names that other messages change. They are read only where nothing is
    /// under way that could, and only in a simple query, where nothing comes between reading and running.
    fn refusal_of_names(&self, analysis: &analysis::Analysis, phase: Phase) -> Option<NameRefusal> {
        let names = |wanted: fn(&Outputs) -> bool| analysis.statements.iter().any(|output| wanted(&output.columns));
        let executes = names(|outputs| matches!(outputs, Outputs::Prepared(_)));
        if !executes && !names(|outputs| matches!(outputs, Outputs::Cursor(_))) {
            return None;
        }
        if phase == Phase::Prepare {
            // FETCH is read when it is bound, and must run right then: see `fetch_is_stale`.
            return executes.then_some(NameRefusal::No(
                "EXECUTE is not taken in the extended protocol",
                "Send it as a simple query, or use the protocol's own statements",
            ));
        }
        if executes && analysis.statements.len() > 1 {
            return Some(NameRefusal::No("EXECUTE stands with other statements in one message", "Send it alone"));
        }
        (!self.awaited.is_empty()).then_some(NameRefusal::Wait)
    }

    /// The statement that `EXECUTE` would run. One that `PREPARE` made is known only as it was understood then.
    pub(super) fn prepared_in_sql(&self, name: &str) -> Option<Arc<Prepared>> {
        let prepared = self.statements.get(name)?.value.clone();
        if !prepared.in_sql {
            return self.renewed(prepared).ok();
        }
        let current = Arc::ptr_eq(&prepared.catalog, &self.catalog) && prepared.meaning_changes == self.meaning_changes;
        current.then_some(prepared)
    }

    /// `None` if it executes a statement that is not known.
    fn operation(&self, prepared: &Prepared, binds: Vec<Bind>, phase: Phase) -> Option<Operation> {
        let analysis = &prepared.analysis;
        let mut accesses = analysis.accesses.clone();
        let mut effect = analysis.effect;
        let mut facts = analysis.facts.clone();
        for output in &analysis.statements {
            if let Outputs::Prepared(name) = &output.columns {
                let inner = self.prepared_in_sql(name)?;
                accesses.extend(inner.analysis.accesses.iter().cloned());
                effect = effect.max(inner.analysis.effect);
                facts.extend(inner.analysis.facts.clone());
            }
        }
        accesses.sort();
        accesses.dedup();
        let evidence_binds = binds.iter().map(|bind| match bind {
            Bind::Text(text) if !analysis.sensitive => text.clone(),
            Bind::Null => "NULL".into(),
            Bind::Text(_) | Bind::Binary(_) => WITHHELD.into(),
        });
        Some(Operation {
            title: analysis.title.clone(),
            statement: prepared.sql.clone(),
            evidence: analysis.evidence.as_str().into(),
            evidence_binds: evidence_binds.collect(),
            binds,
            state: self.meaning(prepared),
            accesses,
            facts,
            effect,
            phase,
        })
    }

    /// What an approval binds to besides the statement: how names are resolved, what constants mean, which types the
    /// parameters have. What a session changed beyond that is known to that session alone.
    fn meaning(&self, prepared: &Prepared) -> BTreeMap<String, String> {
        let mut state = self.settings.clone();
        if let SearchPath::Known(schemas) = &self.path {
            state.insert("search_path".into(), schemas.join(","));
        }
        let types: Vec<String> = prepared.parameter_types().map(|kind| kind.to_string()).collect();
        state.insert("parameter types".into(), types.join(","));
        if self.meaning_changes > 0 || self.doubt != Doubt::None {
            state.insert(Operation::SESSION_STATE.into(), self.meaning_changes.to_string());
        }
        state
    }

    fn misunderstood(&mut self, len: usize, title: &str, reason: Reason, message: &str, hint: &str) -> Step {
        let denial = Denial::new(reason, message, "Gatehouse passes on only what it understands", hint);
        let unclear = Box::new(Misunderstood { title: title.into(), denial });
        self.asked = None;
        Step::Run { len, meaning: Meaning::Misunderstood(unclear) }
    }

    /// A portal of an earlier batch whose Bind the target has not answered may not be what it seems.
    fn names_unconfirmed_portal(&self, frame: Frame<'_>) -> bool {
        let mut reader = Reader(frame.body);
        let is_statement = frame.tag == b'D' && reader.u8() == Some(b'S');
        let Some(name) = reader.text() else {
            return false;
        };
        let unconfirmed = |confirmed: bool, batch: u64| !confirmed && batch != self.batch.number;
        if is_statement {
            self.statements.get(name).is_some_and(|named| unconfirmed(named.confirmed, named.batch))
        } else {
            self.portals.get(name).is_some_and(|named| unconfirmed(named.confirmed, named.batch))
        }
    }

    /// Whether something that passed has given the name that a Describe, Execute or Close goes by.
    fn knows_name_of(&self, frame: Frame<'_>) -> bool {
        let mut reader = Reader(frame.body);
        let is_statement = frame.tag != b'E' && reader.u8() == Some(b'S');
        let Some(name) = reader.text() else {
            return false;
        };
        if is_statement {
            self.statements.contains_key(name)
        } else {
            self.portals.contains_key(name) || self.cursors.contains_key(name)
        }
    }

    /// Whether something ran since a FETCH was bound: its cursor may be another one now.
    fn fetch_is_stale(&self, frame: Frame<'_>) -> bool {
        let name = Reader(frame.body).text().unwrap_or_default();
        let portal = self.portals.get(name).map(|named| &named.value);
        portal.is_some_and(|portal| portal.fetches_at.is_some_and(|moment| moment != self.moment()))
    }

    /// Counts what may change the meaning of a cursor's name.
    fn moment(&self) -> (u64, u64) {
        (self.batch.number, self.executed)
    }

    /// The server says that there is no such name, or has nothing to close; so does the gateway, and the target need
    /// not hear of it.
    fn unknown_name(&mut self, frame: Frame<'_>) -> Step {
        if self.barriers > 0 {
            return Step::Wait;
        }
        if frame.tag == b'C' {
            let in_order = self.awaited.is_empty() && !self.batch.forwarded;
            let meaning = if in_order { Meaning::Local } else { Meaning::Plumbing };
            return Step::Run { len: frame.len, meaning };
        }
        let title = if frame.tag == b'D' { "DESCRIBE" } else { "EXECUTE" };
        let message = "there is no statement or portal of this name";
        self.misunderstood(frame.len, title, Reason::Unknown, message, "Parse or bind it on this connection first")
    }

    pub(super) fn pass_client(&mut self, run: &Bytes, out: &mut BytesMut) -> Passed {
        self.survey = FrontSurvey::None;
        let asked = self.asked.take();
        let mut written = Passed::AsIs;
        for frame in frame::frames(run) {
            written = self.pass_frame(frame, asked.as_ref(), run, out);
        }
        written
    }

    fn pass_frame(&mut self, frame: Frame<'_>, asked: Option<&Asked>, run: &Bytes, out: &mut BytesMut) -> Passed {
        let mut reader = Reader(frame.body);
        match frame.tag {
            b'Q' => {
                if let Some(Asked::Statement(prepared)) = asked {
                    self.begins(prepared);
                    self.push(Awaited::Query { prepared: prepared.clone(), done: 0, shape: None, ended: false });
                }
                self.end_batch();
                return Passed::AsIs;
            }
            b'S' => {
                self.push(Awaited::Sync { batch: self.batch.number });
                self.end_batch();
                return Passed::AsIs;
            }
            b'P' => self.pass_parse(reader.text(), asked),
            b'B' => self.pass_bind(reader.text(), asked),
            b'D' => self.pass_describe(reader),
            b'C' => {
                let is_statement = reader.u8() == Some(b'S');
                self.push(Awaited::Close { is_statement, name: reader.text().unwrap_or_default().into() });
            }
            b'c' | b'f' => {
                self.copy_in = CopyIn::No;
                return Passed::AsIs;
            }
            b'E' => {
                self.batch.forwarded = true;
                return self.pass_execute(reader, run, out);
            }
            _ => return Passed::AsIs,
        }
        self.batch.forwarded = true;
        Passed::AsIs
    }

    fn end_batch(&mut self) {
        self.batch.number += 1;
        self.batch.forwarded = false;
        self.batch.discard = Discard::No;
    }

    fn pass_parse(&mut self, name: Option<&str>, asked: Option<&Asked>) {
        let (Some(name), Some(Asked::Statement(prepared))) = (name, asked) else {
            return;
        };
        let name: Arc<str> = name.into();
        let named = Named { value: prepared.clone(), batch: self.batch.number, confirmed: false };
        let previous = self.statements.insert(name.clone(), named);
        self.push(Awaited::Parse { name, prepared: prepared.clone(), previous });
    }

    fn pass_bind(&mut self, name: Option<&str>, asked: Option<&Asked>) {
        let (Some(name), Some(Asked::Bound(prepared))) = (name, asked) else {
            return;
        };
        let name: Arc<str> = name.into();
        // A cursor of this name is gone, or this Bind fails.
        self.cursors.remove(&*name);
        let fetches = |output: &analysis::StatementOutput| matches!(output.columns, Outputs::Cursor(_));
        let portal = Arc::new(Portal {
            statement: Some(prepared.clone()),
            fetches_at: prepared.analysis.statements.iter().any(fetches).then(|| self.moment()),
            described: OnceLock::new(),
            shape: OnceLock::new(),
        });
        let named = Named { value: portal.clone(), batch: self.batch.number, confirmed: false };
        let previous = self.portals.insert(name.clone(), named);
        self.push(Awaited::Bind { name, portal, previous });
    }

    fn pass_describe(&mut self, mut reader: Reader<'_>) {
        let is_statement = reader.u8() == Some(b'S');
        let name = reader.text().unwrap_or_default();
        if is_statement {
            let prepared = self.statements.get(name).map(|named| named.value.clone());
            if let Some(prepared) = prepared {
                self.push(Awaited::DescribeStatement { prepared });
                return;
            }
        }
        let portal = self.portal(name);
        let _ = portal.described.set(());
        self.push(Awaited::DescribePortal { portal, absorb: false });
    }

    fn portal(&self, name: &str) -> Arc<Portal> {
        self.portals.get(name).map_or_else(|| Arc::new(Portal::unknown()), |named| named.value.clone())
    }

    /// An Execute whose columns nobody described is preceded by a Describe of the gateway's own, and one that later
    /// statements must wait for is followed by a Flush.
    fn pass_execute(&mut self, mut reader: Reader<'_>, run: &Bytes, out: &mut BytesMut) -> Passed {
        let name = reader.text().unwrap_or_default();
        let portal = self.portal(name);
        let describe = portal.described.set(()).is_ok();
        if describe {
            frame::write(out, b'D', |body| {
                body.put_u8(b'P');
                put_cstr(body, name);
            });
            self.push(Awaited::DescribePortal { portal: portal.clone(), absorb: true });
        }
        if let Some(prepared) = portal.statement.clone() {
            self.begins(&prepared);
        }
        if portal.fetches_at.is_none() {
            self.executed += 1;
        }
        let awaited = Awaited::Execute { portal };
        let flush = awaited.is_barrier() || self.copy_in == CopyIn::Asked;
        self.push(awaited);
        if !describe && !flush {
            return Passed::AsIs;
        }
        out.put_slice(run);
        if flush {
            frame::write(out, b'H', |_| {});
        }
        Passed::Written
    }

    fn prepared_bytes(&self) -> usize {
        self.statements.values().map(|named| named.value.sql.len()).sum()
    }

    /// A statement is about to run; what may go wrong with names counts from here.
    fn begins(&mut self, prepared: &Prepared) {
        let analysis = &prepared.analysis;
        let runs_code = analysis.accesses.iter().any(|access| access.action == analysis::action::DO);
        if runs_code || analysis.makes_temporary || (analysis.changes_catalog && self.meaning_changes > 0) {
            self.doubt = Doubt::Always;
        } else if analysis.changes_catalog && self.doubt == Doubt::None {
            self.doubt = Doubt::UntilCommitted;
        }
        if analysis.accesses.iter().any(|access| access.action == analysis::action::COPY_IN) {
            self.copy_in = CopyIn::Asked;
        }
    }

    pub(super) fn refuse_client(&mut self, run: &Bytes, denial: &Denial, reply: &mut Reply) {
        self.asked = None;
        self.survey = FrontSurvey::None;
        let simple = run.first() == Some(&b'Q');
        let mut error = BytesMut::new();
        report::error(denial, Severity::Error, &mut error);
        if self.batch.forwarded || self.status == b'T' {
            // Any error aborts a transaction; so must this one, or the client would commit half of its work.
            self.swap = Some(error.freeze());
            if simple {
                frame::write(&mut reply.to_target, b'Q', |body| put_cstr(body, ABORTING));
                self.push(Awaited::AbortQuery);
                self.end_batch();
            } else {
                frame::write(&mut reply.to_target, b'P', |body| {
                    put_cstr(body, "gatehouse_refusal");
                    put_cstr(body, ABORTING);
                    body.put_i16(0);
                });
                self.push(Awaited::Abort);
                self.batch.forwarded = true;
                self.batch.discard = Discard::ButSync;
                frame::write(&mut reply.to_target, b'H', |_| {});
            }
            return;
        }
        reply.to_client.unsplit(error);
        if simple {
            report::ready(self.status, &mut reply.to_client);
            self.end_batch();
        } else {
            self.batch.discard = Discard::WithSync;
        }
    }

    /// Messages of a refused batch are dropped; its Sync is answered here where the target never heard of it.
    pub(super) fn answer_client(&mut self, run: &Bytes, reply: &mut Reply) {
        if run.first() == Some(&b'S') && self.batch.discard == Discard::WithSync {
            report::ready(self.status, &mut reply.to_client);
            self.end_batch();
        } else if run.first() == Some(&b'C') && self.batch.discard == Discard::No {
            frame::write(&mut reply.to_client, b'3', |_| {});
        }
    }
}

/// Named statements of one session, and how much text they may have together, in bytes.
const STATEMENTS_MAX: usize = 2_000;
const PREPARED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why a statement that goes by a name is not read now.
enum NameRefusal {
    /// Something is under way that may change what the name means.
    Wait,
    No(&'static str, &'static str),
}

/// The parts of a Bind message.
struct BindMessage<'a> {
    statement: &'a str,
    formats: Vec<i16>,
    values: Vec<Option<&'a [u8]>>,
}

impl<'a> BindMessage<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let _portal = reader.text()?;
        let statement = reader.text()?;
        let formats = read_formats(&mut reader)?;
        let count = reader.i16()?.cast_unsigned();
        let values: Option<Vec<_>> = (0..count).map(|_| reader.value()).collect();
        let _result_formats = read_formats(&mut reader)?;
        reader.is_empty().then_some(Self { statement, formats, values: values? })
    }

    fn values(&self, prepared: &Prepared) -> Vec<Bind> {
        let values = self.values.iter().enumerate();
        values
            .map(|(place, value)| {
                let format = match self.formats.as_slice() {
                    [] => 0,
                    [all] => *all,
                    each => each.get(place).copied().unwrap_or(0),
                };
                value.map_or(Bind::Null, |value| value::bind(value, format, prepared.parameter_type(place)))
            })
            .collect()
    }
}

fn read_formats(reader: &mut Reader<'_>) -> Option<Vec<i16>> {
    let count = reader.i16()?.cast_unsigned();
    (0..count).map(|_| reader.i16()).collect()
}

fn plumbing(len: usize) -> Step {
    Step::Run { len, meaning: Meaning::Plumbing }
}

/// The length of the run of CopyData frames at the front, which has at least one.
fn copy_run(buf: &[u8], frame_bytes_max: usize) -> usize {
    let mut len = 0;
    while let Some(rest) = buf.get(len..) {
        match frame::peek(rest, frame_bytes_max, Breach::client) {
            Ok(Peek::Whole(frame)) if frame.tag == b'd' => len += frame.len,
            Ok(Peek::Whole(_) | Peek::Short(_)) | Err(_) => break,
        }
    }
    len
}

fn oversize(message: String) -> Breach {
    let denial = Denial::new(
        Reason::Limit,
        "the message is too long",
        message.clone(),
        "Send less at once, or ask the operator to raise limits.frame_bytes_max",
    );
    Breach::client(message).telling(denial)
}
