//! The client's side of a session: what is asked, passed on, refused, or answered in the target's place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use gatehouse_model::{Bind, Denial, Digest, Effect, Intent, Operation, Phase, Reason, Sha256};
use gatehouse_protocol::{Breach, Meaning, Misunderstood, Passed, Reply, Started, Step};

use super::statement::{Asked, Portal, Prepared};
use super::{Awaited, CopyIn, Discard, Doubt, FrontSurvey, KnownMeaning, Named, PostgresSession, Waiting};
use crate::analysis::{self, Analysis, Outputs, SearchPath};
use crate::catalog::{OWN_OIDS_END, is_temporary_schema};
use crate::frame::{self, Frame, Peek, Reader, put_cstr};
use crate::reading;
use crate::report::{self, Severity};
use crate::value;
use crate::wishes::Replication;

/// A statement that fails in every state of a session: it aborts the transaction whose statement was refused.
const ABORTING: &str = "Gatehouse refused a statement of this transaction";
/// A shorter text is kept with the catalog, or read again in no time, in bytes.
const WAITING_BYTES_MIN: usize = 16 * 1024;
/// From this length on data is relayed as it comes, in bytes, where nobody has to look at it.
pub(super) const RELAYED_BYTES_MIN: usize = 256 * 1024;
/// PostgreSQL's own limit on names, in bytes: NAMEDATALEN less its closing zero.
const NAME_BYTES_MAX: usize = 63;
/// What is read of a Bind that is too long to be held: its names and formats lie within, in bytes.
const BIND_HEAD_BYTES: usize = 64 * 1024;
/// How many names a session may have that are others than the catalog says; past that it defines nothing more.
const MOVED_MAX: usize = 10_000;
/// What stands for a bind value in evidence when the statement touches classified data.
const WITHHELD: &str = "…";

/// How long the values of a portal are together that are kept to judge it by once more, in bytes: a session may have many.
const KEPT_BINDS_BYTES_MAX: usize = 16 * 1024;

fn length_of(binds: &[Bind]) -> usize {
    let length = |bind: &Bind| match bind {
        Bind::Null => 0,
        Bind::Text(text) => text.len(),
        Bind::Binary(bytes) => bytes.len(),
    };
    binds.iter().map(|bind| length(bind) + size_of::<Bind>()).sum()
}

impl PostgresSession {
    pub(super) fn inspect_client(&mut self, buf: &[u8]) -> Result<Step, Breach> {
        let frame = match frame::peek_any(buf, self.frame_bytes_max, oversize)? {
            Peek::Short(at_least) if at_least > RELAYED_BYTES_MIN && self.is_copy_data(buf) => {
                return Ok(part(buf, at_least, Meaning::Plumbing));
            }
            Peek::Short(at_least) => return Ok(Step::Read { at_least }),
            Peek::Whole(frame) => frame,
            Peek::Large(tag, len) => return self.inspect_large(tag, len, buf),
        };
        if self.batch.discard != Discard::No && frame.tag != b'X' {
            let goes_on = frame.tag == b'S' && self.batch.discard == Discard::ButSync;
            let meaning = if goes_on { Meaning::Plumbing } else { Meaning::Local };
            return Ok(run(frame.len, meaning));
        }
        if self.copy_in == CopyIn::Asked && frame.tag != b'X' {
            return Ok(Step::Wait);
        }
        if self.copy_in == CopyIn::No && !self.names_are_plain(frame.tag, frame.body) {
            return Ok(self.name_is_strange(frame.len));
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
            b'E' if self.is_stale(frame) => Ok(self.misunderstood(
                frame.len,
                "EXECUTE",
                Reason::NotUnderstood,
                "what is no query runs in the batch that bound it, before anything else",
                "Bind it again",
            )),
            b'E' if self.names_cursor(frame) => Ok(self.misunderstood(
                frame.len,
                "EXECUTE",
                Reason::NotUnderstood,
                "a cursor that a statement opened is not read by the protocol's Execute",
                "FETCH from it",
            )),
            b'E' if self.barriers > 0 && self.meant_at(frame).is_some() => Ok(Step::Wait),
            b'E' if self.meant_at(frame).is_some_and(|meaning| meaning != self.meaning_changes) => Ok(self
                .misunderstood(
                    frame.len,
                    "EXECUTE",
                    Reason::NotUnderstood,
                    "it was bound before something changed what statements mean",
                    "Bind it again",
                )),
            b'E' if self.late(frame).is_some() => {
                let late = self.late(frame).and_then(|portal| self.inspect_late(frame.len, &portal));
                Ok(late.unwrap_or_else(|| {
                    let why = "what is bound to long values runs in the batch that bound it, before anything else";
                    self.misunderstood(frame.len, "EXECUTE", Reason::NotUnderstood, why, "Bind it again")
                }))
            }
            // Data that nobody waits for any more: the server drops it too.
            b'd' | b'c' | b'f' => Ok(run(frame.len, Meaning::Local)),
            b'D' | b'E' | b'C' | b'H' | b'S' | b'X' => Ok(plumbing(frame.len)),
            b'F' => self.inspect_function_call(frame),
            tag => Err(Breach::client(format!("the client sent an unknown message {:?}", char::from(tag)))),
        }
    }

    fn is_copy_data(&self, buf: &[u8]) -> bool {
        self.copy_in == CopyIn::Open && self.batch.discard == Discard::No && buf.first() == Some(&b'd')
    }

    /// The server cuts names, and brings them into its own encoding: two that are different here may be one there.
    fn names_are_plain(&self, tag: u8, body: &[u8]) -> bool {
        let is_plain = |name: Option<&[u8]>| {
            name.is_none_or(|name| {
                let is_certain =
                    self.script.is_utf8 && self.script.target_is_utf8 && self.script.doubted_until.is_none();
                name.len() <= NAME_BYTES_MAX && (is_certain || name.is_ascii())
            })
        };
        let mut reader = Reader(body);
        match tag {
            b'P' | b'E' => is_plain(reader.cstr()),
            b'B' => is_plain(reader.cstr()) && is_plain(reader.cstr()),
            b'D' | b'C' => {
                let _kind = reader.u8();
                is_plain(reader.cstr())
            }
            _ => true,
        }
    }

    fn name_is_strange(&mut self, len: usize) -> Step {
        let message =
            "names of statements and portals have at most 63 bytes, and are plain text where the encoding is not UTF-8";
        self.misunderstood(len, "?", Reason::Limit, message, "Use shorter names")
    }

    /// What is too long to be held whole: data is relayed, a Bind is known by its head, a text is not read.
    fn inspect_large(&mut self, tag: u8, len: usize, buf: &[u8]) -> Result<Step, Breach> {
        if self.batch.discard != Discard::No {
            return Ok(part(buf, len, Meaning::Local));
        }
        if self.copy_in == CopyIn::Asked || matches!(tag, b'Q' | b'P' | b'B') && self.barriers > 0 {
            return Ok(Step::Wait);
        }
        match tag {
            b'd' if self.copy_in == CopyIn::Open => Ok(part(buf, len, Meaning::Plumbing)),
            b'd' => Ok(part(buf, len, Meaning::Local)),
            b'B' if self.copy_in == CopyIn::No => self.inspect_large_bind(len, buf),
            b'Q' | b'P' if self.copy_in == CopyIn::No => {
                let message = frame::too_long(tag, len, self.frame_bytes_max);
                let hint = "Send less at once, or ask the operator to raise limits.frame_bytes_max";
                let head = buf.len().min(len);
                let step = self.misunderstood(head, "?", Reason::Limit, &message, hint);
                Ok(with_tail(step, len - head))
            }
            tag => Err(oversize(frame::too_long(tag, len, self.frame_bytes_max))),
        }
    }

    /// The names and formats of a Bind stand before its values, which then go by without being known.
    fn inspect_large_bind(&mut self, len: usize, buf: &[u8]) -> Result<Step, Breach> {
        if buf.len() < BIND_HEAD_BYTES {
            return Ok(Step::Read { at_least: BIND_HEAD_BYTES });
        }
        if self.catalog_is_stale {
            return Ok(self.ask_for_survey());
        }
        let mut reader = Reader(buf.get(5..).unwrap_or_default());
        let malformed = || Breach::client("a Bind message is malformed, or its names are too long");
        let _portal = reader.text().ok_or_else(malformed)?;
        let statement = reader.text().ok_or_else(malformed)?;
        let head = buf.len().min(len);
        if !self.names_are_plain(b'B', buf.get(5..head).unwrap_or_default()) {
            let step = self.name_is_strange(head);
            return Ok(with_tail(step, len - head));
        }
        let not_held = |_: &Prepared| vec![Bind::Text(format!("({len} bytes that were not held)"))];
        let step = self.inspect_bind_of(head, statement, not_held)?;
        Ok(with_tail(step, len - head))
    }

    /// A fast-path call names a function by its OID, which the catalog does not have: what it does is not known.
    fn inspect_function_call(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let malformed = || Breach::client("a FunctionCall message is malformed");
        let mut reader = Reader(frame.body);
        let function = reader.u32().ok_or_else(malformed)?;
        let formats = read_formats(&mut reader).ok_or_else(malformed)?;
        let count = reader.i16().ok_or_else(malformed)?.cast_unsigned();
        let values: Option<Vec<_>> = (0..count).map(|_| reader.value()).collect();
        let values = values.ok_or_else(malformed)?;
        let cause = analysis::Misunderstood {
            message: "the fast-path function call is not understood".into(),
            hint: "Use SELECT function(…) instead".into(),
        };
        let text = format!("fast-path call of function {function}");
        let analysis = analysis::opaque("FUNCTION CALL", &text, &self.target, &cause);
        let prepared = self.prepared(Arc::new(analysis), Vec::new());
        let bind = BindMessage { statement: "", formats, values };
        let binds = bind.values(&prepared);
        let operation = self.operation_of(&prepared, prepared.analysis.intent.clone(), binds, Phase::Run);
        self.asked = Some(Asked::Statement(Arc::new(prepared)));
        Ok(run(frame.len, Meaning::Act(Box::new(operation))))
    }

    /// While data is copied in, the server drops Sync and Flush, and so they go no further.
    fn inspect_copy(&self, frame: Frame<'_>, buf: &[u8]) -> Result<Step, Breach> {
        match frame.tag {
            b'd' => Ok(plumbing(copy_run(buf, self.frame_bytes_max))),
            b'c' | b'f' | b'X' => Ok(plumbing(frame.len)),
            b'S' | b'H' => Ok(run(frame.len, Meaning::Local)),
            tag => Err(Breach::client(format!("the client sent {:?} while it copied data in", char::from(tag)))),
        }
    }

    fn ask_for_survey(&mut self) -> Step {
        self.survey = FrontSurvey::Asked;
        Step::Survey
    }

    fn inspect_query(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let sql = Reader(frame.body).cstr().ok_or_else(|| Breach::client("a Query message has no end"))?;
        self.inspect_statement(frame.len, sql, Vec::new(), Phase::Run)
    }

    fn inspect_parse(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let malformed = || Breach::client("a Parse message is malformed");
        let mut reader = Reader(frame.body);
        let _name = reader.text().ok_or_else(malformed)?;
        let sql = reader.cstr().ok_or_else(malformed)?;
        let count = reader.i16().ok_or_else(malformed)?;
        let declared: Option<Vec<u32>> = (0..count).map(|_| reader.u32()).collect();
        self.inspect_statement(frame.len, sql, declared.ok_or_else(malformed)?, Phase::Prepare)
    }

    /// Understands a text, or says that it cannot. While a text waits for its turn it is not read again.
    fn understand(&mut self, text: &[u8]) -> Arc<Analysis> {
        if let Some(waiting) = &self.waiting
            && self.moved.is_empty()
            && waiting.is_of(text, &self.known, &self.path)
        {
            return waiting.analysis.clone();
        }
        let analysis = self.understand_anew(text);
        if text.len() > WAITING_BYTES_MIN {
            self.waiting =
                Some(Waiting { known: self.known.clone(), path: self.path.clone(), analysis: analysis.clone() });
        }
        analysis
    }

    fn understand_anew(&self, text: &[u8]) -> Arc<Analysis> {
        let known = match std::str::from_utf8(text) {
            Ok(sql) if self.replication == Replication::No && self.script.reads(text) => {
                self.known.analyze(sql, &self.reader())
            }
            Ok(_) | Err(_) => Err(self.unreadable()),
        };
        known.unwrap_or_else(|cause| {
            let sql = match std::str::from_utf8(text) {
                Ok(sql) => sql.to_string(),
                // An approval must not be good for another text, so no byte is lost.
                Err(_) => format!("(not UTF-8) {}", text.escape_ascii()),
            };
            Arc::new(analysis::opaque(title_of(&sql), &sql, &self.target, &cause))
        })
    }

    fn unreadable(&self) -> analysis::Misunderstood {
        let (message, hint) = if self.replication == Replication::Yes {
            ("the commands of a replication connection are not understood", "Connect without replication")
        } else {
            (
                "the statement cannot be read in the encoding and with the strings of this session",
                "SET client_encoding TO UTF8 and standard_conforming_strings TO on",
            )
        };
        analysis::Misunderstood { message: message.into(), hint: hint.into() }
    }

    fn prepared(&self, analysis: Arc<Analysis>, declared: Vec<u32>) -> Prepared {
        // What makes a value of another's type may run code that speaks of anything.
        let is_anothers = |kind: &u32| *kind >= OWN_OIDS_END;
        let analysis = match declared.iter().any(is_anothers) {
            true => Arc::new(self.known.making(&self.reader(), &analysis, &declared)),
            false => analysis,
        };
        let analysis = match declared.iter().any(is_anothers) && !analysis.sensitive {
            true => Arc::new(analysis.withheld()),
            false => analysis,
        };
        Prepared {
            analysis,
            known: self.known.clone(),
            meaning_changes: self.meaning_changes,
            parameters: OnceLock::new(),
            declared,
            in_sql: None,
            number: OnceLock::new(),
            is_bounded: OnceLock::new(),
        }
    }

    fn inspect_statement(&mut self, len: usize, text: &[u8], declared: Vec<u32>, phase: Phase) -> Result<Step, Breach> {
        let understood = self.understand(text);
        let analysis = self.with_end(self.with_names(understood));
        if analysis.unknown_relation.is_some() && self.survey != FrontSurvey::Done {
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
        if self.moved.len() + analysis.moved.len() > MOVED_MAX {
            let message = "this session has defined too many relations that others cannot see";
            return Ok(self.misunderstood(len, "DDL", Reason::Limit, message, "Commit, and connect again"));
        }
        if phase == Phase::Prepare && !self.has_room_for(&analysis) {
            return Ok(self.misunderstood(
                len,
                "PREPARE",
                Reason::Limit,
                "this session has too many prepared statements",
                "Close or deallocate those that are no longer used, or connect again",
            ));
        }
        self.turned.clear();
        let prepared = Arc::new(self.prepared(analysis, declared));
        let operation = self.operation(&prepared, None, phase);
        self.asked = Some(Asked::Statement(prepared));
        Ok(run(len, Meaning::Act(Box::new(operation))))
    }

    fn inspect_bind(&mut self, frame: Frame<'_>) -> Result<Step, Breach> {
        let malformed = || Breach::client("a Bind message is malformed");
        let bind = BindMessage::read(frame.body).ok_or_else(malformed)?;
        self.inspect_bind_of(frame.len, bind.statement, |prepared| bind.values(prepared))
    }

    fn inspect_bind_of(
        &mut self,
        len: usize,
        statement: &str,
        values: impl FnOnce(&Prepared) -> Vec<Bind>,
    ) -> Result<Step, Breach> {
        let Some(named) = self.statements.get(statement) else {
            let (prepared, step) = self.unheard_of(len, "BIND", "prepared statement", statement, values);
            self.asked = Some(Asked::Bound(prepared));
            return Ok(step);
        };
        if !named.confirmed && named.batch != self.batch.number {
            return Ok(Step::Wait);
        }
        if named.value.in_sql.is_some() {
            return Ok(self.misunderstood(
                len,
                "BIND",
                Reason::NotUnderstood,
                "a statement that PREPARE made is not bound by the protocol",
                "Run it with EXECUTE",
            ));
        }
        let mut prepared = self.renewed(named.value.clone());
        let analysis = self.with_end(self.with_names(prepared.analysis.clone()));
        if !Arc::ptr_eq(&analysis, &prepared.analysis) {
            prepared = Arc::new(Prepared {
                parameters: prepared.parameters.clone(),
                ..self.prepared(analysis, prepared.declared.clone())
            });
        }
        if prepared.analysis.unknown_relation.is_some() && self.survey != FrontSurvey::Done {
            return Ok(self.ask_for_survey());
        }
        if self.name_is_moving(&prepared.analysis) {
            return Ok(self.misunderstood(
                len,
                "EXECUTE",
                Reason::NotUnderstood,
                "EXECUTE follows in one batch what may change its statement",
                "Send a Sync before it",
            ));
        }
        if self.portals.len() >= PORTALS_UNCOUNTED && !self.has_room_for(&prepared.analysis) {
            let message = "this session has too many portals";
            return Ok(self.misunderstood(len, "BIND", Reason::Limit, message, "Close those that are no longer used"));
        }
        self.turned.clear();
        let binds = values(&prepared);
        let is_kept = prepared.analysis.intent.effect == Effect::Write && length_of(&binds) <= KEPT_BINDS_BYTES_MAX;
        self.bound = is_kept.then(|| binds.clone());
        let operation = self.operation(&prepared, Some(binds), Phase::Run);
        self.asked = Some(Asked::Bound(prepared));
        Ok(run(len, Meaning::Act(Box::new(operation))))
    }

    /// The server plans again when names mean something else, so the statement is looked at again too.
    fn renewed(&self, prepared: Arc<Prepared>) -> Arc<Prepared> {
        let same_catalog = Arc::ptr_eq(&prepared.known, &self.known);
        if same_catalog && self.moved.is_empty() && prepared.meaning_changes == self.meaning_changes {
            return prepared;
        }
        // How it was written was settled when it was parsed; what is opaque stays so.
        let statement = &prepared.analysis.intent.statement;
        let analysis = match prepared.analysis.intent.unclear {
            Some(_) => prepared.analysis.clone(),
            None => self.known.analyze(statement, &self.reader()).unwrap_or_else(|cause| {
                Arc::new(analysis::opaque(title_of(statement), statement, &self.target, &cause))
            }),
        };
        Arc::new(Prepared {
            parameters: prepared.parameters.clone(),
            in_sql: prepared.in_sql,
            ..self.prepared(analysis, prepared.declared.clone())
        })
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
            // Both are read when they are bound, and must run right then: see `is_stale`.
            return None;
        }
        let prepares = analysis.statements.iter().any(|output| output.prepares.is_some());
        if executes && prepares {
            return Some(NameRefusal::No("EXECUTE stands with PREPARE in one message", "Send it alone"));
        }
        (!self.awaited.is_empty()).then_some(NameRefusal::Wait)
    }

    /// Whether something that was asked and not answered may still change what the name of an executed statement means.
    fn name_is_moving(&self, analysis: &analysis::Analysis) -> bool {
        let named = analysis.statements.iter().filter_map(|output| match &output.columns {
            Outputs::Prepared(name) => Some(name.as_str()),
            Outputs::None | Outputs::Columns(_) | Outputs::Cursor(_) | Outputs::Clean | Outputs::Unknown => None,
        });
        let moves = |name: &str| {
            let moving = |awaited: &Awaited| match awaited {
                Awaited::Parse { name: other, .. } | Awaited::Close { is_statement: true, name: other } => {
                    **other == *name
                }
                Awaited::Query { prepared, .. } => prepared.is_opaque(),
                Awaited::Execute { portal } => portal.prepared().is_none_or(Prepared::is_opaque),
                Awaited::Function { .. } => true,
                Awaited::Bind { .. }
                | Awaited::DescribeStatement { .. }
                | Awaited::DescribePortal { .. }
                | Awaited::Close { is_statement: false, .. }
                | Awaited::Sync { .. }
                | Awaited::Abort
                | Awaited::AbortQuery { .. } => false,
            };
            self.awaited.iter().any(moving) || self.statements.get(name).is_some_and(|named| !named.confirmed)
        };
        named.into_iter().any(moves)
    }

    /// The statement that `EXECUTE` would run, as it is understood now: the server, too, keeps what was written and looks
    /// its names up again.
    pub(super) fn prepared_in_sql(&self, name: &str) -> Option<Arc<Prepared>> {
        let prepared = self.statements.get(name)?.value.clone();
        let renewed = self.renewed(prepared);
        let is_it = |output: &analysis::StatementOutput| output.prepares.as_deref() == Some(name);
        (renewed.in_sql.is_none() || renewed.executed_output().is_some_and(is_it)).then_some(renewed)
    }

    /// What a text executes must be known, and nothing but a query; else nothing is known of the text either.
    fn with_names(&self, analysis: Arc<Analysis>) -> Arc<Analysis> {
        let is_plain = |name: &str| {
            self.prepared_in_sql(name).is_some_and(|inner| {
                let analysis = &inner.analysis;
                let executes = |output: &analysis::StatementOutput| matches!(output.columns, Outputs::Prepared(_));
                let changes = analysis.changes_meaning || analysis.changes_path || analysis.changes_catalog;
                !changes && !analysis.makes_temporary && !analysis.statements.iter().any(executes)
            })
        };
        let unknown = analysis.statements.iter().find_map(|output| match &output.columns {
            Outputs::Prepared(name) if !is_plain(name) => Some(name),
            _ => None,
        });
        let Some(name) = unknown else {
            // What goes wrong while it runs is told when it is executed, or fetched.
            let is_quoted = analysis.statements.iter().any(|output| match &output.columns {
                Outputs::Prepared(name) => self.prepared_in_sql(name).is_none_or(|inner| inner.analysis.sensitive),
                Outputs::Cursor(name) => self.cursors.get(name).is_none_or(|cursor| cursor.is_sensitive),
                Outputs::None | Outputs::Columns(_) | Outputs::Clean | Outputs::Unknown => false,
            });
            return if is_quoted && !analysis.sensitive { Arc::new(analysis.withheld()) } else { analysis };
        };
        let cause = analysis::Misunderstood {
            message: format!("prepared statement \"{name}\" does not exist"),
            hint: "PREPARE it on this connection first".into(),
        };
        Arc::new(analysis::opaque("EXECUTE", &analysis.intent.statement, &self.target, &cause))
    }

    /// The end of a transaction takes back what was set in it, which changes what later statements mean.
    fn with_end(&self, analysis: Arc<Analysis>) -> Arc<Analysis> {
        if !analysis.ends_transaction || !self.changed_in_transaction || analysis.changes_meaning {
            return analysis;
        }
        Arc::new(Analysis { changes_meaning: true, ..(*analysis).clone() })
    }

    /// The operation of a statement whose names are known: see `with_names`. `None` stands for a text that was not bound.
    fn operation(&mut self, prepared: &Prepared, bound: Option<Vec<Bind>>, phase: Phase) -> Operation {
        let analysis = &prepared.analysis;
        let mut intent = analysis.intent.clone();
        for output in &analysis.statements {
            let named = match &output.columns {
                Outputs::Prepared(name) => {
                    self.prepared_in_sql(name).map(|inner| (name, inner.analysis.intent.clone()))
                }
                Outputs::Cursor(name) => self.cursors.get(name).and_then(|cursor| Some((name, cursor.runs.clone()?))),
                Outputs::None | Outputs::Columns(_) | Outputs::Clean | Outputs::Unknown => None,
            };
            if let Some((name, wanted)) = named {
                let whole = Arc::make_mut(&mut intent);
                // What the name stands for is what is judged, shown, recorded and approved.
                whole.statement = format!("{} -- {name}: {}", whole.statement, wanted.statement).into();
                whole.evidence = format!("{} -- {name}: {}", whole.evidence, wanted.evidence).into();
                whole.accesses.extend(wanted.accesses.iter().cloned());
                whole.names.extend(wanted.names.iter().cloned());
                whole.accesses.sort();
                whole.accesses.dedup();
                whole.effect = whole.effect.max(wanted.effect);
                analysis::join_facts(&mut whole.facts, &wanted.facts);
                whole.unclear = whole.unclear.take().or_else(|| wanted.unclear.clone());
            }
        }
        self.ask_for_order(prepared, &mut intent);
        let candidates = self.candidates(prepared, bound.as_deref(), phase);
        Operation { candidates, ..self.operation_of(prepared, intent, bound.unwrap_or_default(), phase) }
    }

    /// What reads tables whose rows may come in an index's order that tells of a class wants leave for that.
    fn ask_for_order(&self, prepared: &Prepared, intent: &mut Arc<Intent>) {
        let (Some(exposure), Some(hidden)) = (&self.exposed, self.hidden) else { return };
        let reads = |tables: &BTreeSet<u32>| {
            let mut named = intent.names.iter().flat_map(|name| self.known.catalog.relations_named(name));
            named.any(|relation| tables.contains(&relation.oid))
        };
        let (message, remedy) = if exposure.asks > hidden && reads(&exposure.tables) {
            (
                "rows may come in the order of a masked column: an index that holds it was made since this session began",
                "Connect again: a new session has rows found without it",
            )
        } else if !self.bans_indexes && reads(&exposure.chosen) && !self.is_bounded(prepared) {
            (
                "rows may come in the order of a masked column: what else the statement does makes it cheap to read an index that holds it",
                "Read one table at a time, or join each by its primary key, without subqueries and functions that make rows",
            )
        } else {
            return;
        };
        let wanted = Arc::make_mut(intent);
        wanted.accesses.extend(exposure.order.tells.iter().cloned());
        wanted.accesses.sort();
        wanted.accesses.dedup();
        let why = "the order of rows tells which values are the lesser";
        wanted.unclear = wanted.unclear.take().or_else(|| Some(Denial::new(Reason::Policy, message, why, remedy)));
    }

    fn is_bounded(&self, prepared: &Prepared) -> bool {
        let analysis = &prepared.analysis;
        let look = || {
            analysis.intent.unclear.is_none()
                && self.known.is_bounded(&analysis.intent.statement, &prepared.declared, &self.reader())
        };
        *prepared.is_bounded.get_or_init(look)
    }

    fn operation_of(&mut self, prepared: &Prepared, intent: Arc<Intent>, binds: Vec<Bind>, phase: Phase) -> Operation {
        let sensitive = prepared.analysis.sensitive;
        let evidence_binds = binds.iter().map(|bind| match bind {
            Bind::Text(text) if !sensitive => text.clone(),
            Bind::Null => "NULL".into(),
            Bind::Text(_) | Bind::Binary(_) => WITHHELD.into(),
        });
        Operation {
            intent,
            candidates: None,
            evidence_binds: evidence_binds.collect(),
            binds,
            state: self.meaning(prepared),
            phase,
            waits: true,
        }
    }

    /// What an approval binds to besides the statement: how names are resolved, what constants mean, which types the
    /// parameters have. What a session changed beyond that is known to that session alone.
    fn meaning(&mut self, prepared: &Prepared) -> Arc<BTreeMap<String, String>> {
        let types: Vec<u32> = prepared.parameter_types().collect();
        let is_of_session =
            self.meaning_changes > 0 || self.doubt != Doubt::None || calls_temporary(&prepared.analysis);
        let is_same = |known: &&KnownMeaning| known.types == types && known.is_of_session == is_of_session;
        if let Some(known) = self.meaning.as_ref().filter(is_same) {
            return known.state.clone();
        }
        let mut state = self.settings.clone();
        state.extend(self.wishes.clone());
        if let SearchPath::Known(schemas) = &self.path {
            state.insert("search_path".into(), schemas.join(","));
        }
        let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
        state.insert("parameter types".into(), shown.join(","));
        if is_of_session {
            state.insert(Operation::SESSION_STATE.into(), self.meaning_changes.to_string());
        }
        let state = Arc::new(state);
        self.meaning = Some(KnownMeaning { types, is_of_session, state: state.clone() });
        state
    }

    fn misunderstood(&mut self, len: usize, title: &str, reason: Reason, message: &str, hint: &str) -> Step {
        let denial = Denial::new(reason, message, "Gatehouse passes on only what it understands", hint);
        let unclear = Box::new(Misunderstood { title: title.into(), denial });
        self.asked = None;
        run(len, Meaning::Misunderstood(unclear))
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

    fn names_cursor(&self, frame: Frame<'_>) -> bool {
        let name = Reader(frame.body).text().unwrap_or_default();
        !self.portals.contains_key(name) && self.cursors.contains_key(name)
    }

    /// Whether something ran since a statement was bound whose names are looked up when it runs: what it names may be
    /// another one now. What it gives lies ready from the first time on.
    fn is_stale(&self, frame: Frame<'_>) -> bool {
        let name = Reader(frame.body).text().unwrap_or_default();
        let portal = self.portals.get(name).map(|named| &named.value);
        let is_of_then = |portal: &Arc<Portal>| portal.resolves_at.is_some_and(|moment| moment != self.moment());
        portal.is_some_and(|portal| portal.ran.get().is_none() && is_of_then(portal))
    }

    /// What changes something and was bound before something else ran: policy, settings and what a person let pass were of then,
    /// so that it is judged anew. Of a query that was begun each part runs when it is fetched; what else was begun has run.
    fn late(&self, frame: Frame<'_>) -> Option<Arc<Portal>> {
        let name = Reader(frame.body).text().unwrap_or_default();
        let portal = &self.portals.get(name)?.value;
        let is_late = portal.bound_at.is_some_and(|moment| moment != (self.batch.number, self.executed));
        let is_query = portal.prepared().is_some_and(|prepared| &*prepared.analysis.intent.title == "SELECT");
        (is_late && (is_query || portal.ran.get().is_none())).then(|| portal.clone())
    }

    /// After how many changes of what statements mean something was bound that changes nothing and was not begun: what a person
    /// let pass was of then.
    fn meant_at(&self, frame: Frame<'_>) -> Option<u64> {
        let name = Reader(frame.body).text().unwrap_or_default();
        let portal = &self.portals.get(name)?.value;
        portal.meant_at.filter(|_| portal.ran.get().is_none())
    }

    fn inspect_late(&mut self, len: usize, portal: &Portal) -> Option<Step> {
        let prepared = portal.statement.clone()?;
        let operation = self.operation(&prepared, Some(portal.binds.clone()?), Phase::Run);
        // What was turned back when it was bound stays so.
        let operation = Operation { candidates: None, ..operation };
        self.asked = None;
        Some(run(len, Meaning::Act(Box::new(operation))))
    }

    /// Counts what may change the meaning of a name.
    fn moment(&self) -> (u64, u64, u64) {
        (self.batch.number, self.executed, self.named)
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
            return run(frame.len, meaning);
        }
        let title = if frame.tag == b'D' { "DESCRIBE" } else { "EXECUTE" };
        let mut reader = Reader(frame.body);
        let is_statement = frame.tag == b'D' && reader.u8() == Some(b'S');
        let kind = if is_statement { "prepared statement" } else { "portal" };
        self.unheard_of(frame.len, title, kind, reader.text().unwrap_or_default(), |_| Vec::new()).1
    }

    /// What goes by a name that nothing has as far as is known. Where policy lets that pass, the server knows better.
    fn unheard_of(
        &mut self,
        len: usize,
        title: &str,
        kind: &str,
        name: &str,
        values: impl FnOnce(&Prepared) -> Vec<Bind>,
    ) -> (Arc<Prepared>, Step) {
        let cause = analysis::Misunderstood {
            message: format!("{kind} \"{name}\" does not exist"),
            hint: "Prepare it on this connection first".into(),
        };
        let analysis = analysis::opaque(title, &format!("{title} \"{name}\""), &self.target, &cause);
        let prepared = Arc::new(self.prepared(Arc::new(analysis), Vec::new()));
        let binds = values(&prepared);
        let operation = self.operation_of(&prepared, prepared.analysis.intent.clone(), binds, Phase::Run);
        self.asked = None;
        (prepared, run(len, Meaning::Act(Box::new(operation))))
    }

    pub(super) fn pass_client(&mut self, run: &Bytes, out: &mut BytesMut) -> Passed {
        self.survey = FrontSurvey::None;
        self.waiting = None;
        let asked = self.asked.take();
        let turned = std::mem::take(&mut self.turned);
        self.turns = !turned.is_empty();
        let mut written = Passed::AsIs;
        for frame in frame::frames(run) {
            written = self.pass_frame(frame, asked.as_ref(), run, out);
        }
        self.number = None;
        if self.turns {
            out.extend_from_slice(&turned);
            written = Passed::Written;
        }
        written
    }

    fn pass_frame(&mut self, frame: Frame<'_>, asked: Option<&Asked>, run: &Bytes, out: &mut BytesMut) -> Passed {
        let mut reader = Reader(frame.body);
        match frame.tag {
            b'Q' => {
                let number = self.number.take();
                self.starts(number);
                if let Some(Asked::Statement(prepared)) = asked {
                    self.begins(prepared);
                    let batch = self.batch.number;
                    let (prepared, turned) = (prepared.clone(), self.turns);
                    self.push(Awaited::Query { prepared, batch, done: 0, shape: None, ended: false, turned });
                }
                self.end_batch();
                return Passed::AsIs;
            }
            b'F' => {
                let number = self.number.take();
                self.starts(number);
                if let Some(Asked::Statement(prepared)) = asked {
                    self.begins(prepared);
                    self.push(Awaited::Function { prepared: prepared.clone(), batch: self.batch.number, ended: false });
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
                self.named += 1;
                self.push(Awaited::Close { is_statement, name: reader.text().unwrap_or_default().into() });
            }
            b'c' | b'f' => {
                self.copy_in = CopyIn::No;
                return Passed::AsIs;
            }
            b'X' => {
                self.left = true;
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

    fn starts(&mut self, number: Option<u64>) {
        self.started.push(Started { number, turn: self.batch.number, is_description: false });
    }

    fn describes(&mut self, number: Option<u64>) {
        self.started.push(Started { number, turn: self.batch.number, is_description: true });
    }

    fn pass_parse(&mut self, name: Option<&str>, asked: Option<&Asked>) {
        let (Some(name), Some(Asked::Statement(prepared))) = (name, asked) else {
            return;
        };
        let name: Arc<str> = name.into();
        self.named += 1;
        if let Some(number) = self.number.take() {
            let _ = prepared.number.set(number);
        }
        let named = Named { value: prepared.clone(), batch: self.batch.number, confirmed: false };
        let previous = self.statements.insert(name.clone(), named);
        self.push(Awaited::Parse { name, prepared: prepared.clone(), previous });
    }

    fn pass_bind(&mut self, name: Option<&str>, asked: Option<&Asked>) {
        let (Some(name), Some(Asked::Bound(prepared))) = (name, asked) else {
            return;
        };
        let name: Arc<str> = name.into();
        self.named += 1;
        // A cursor of this name is gone, or this Bind fails.
        self.cursors.remove(&*name);
        let resolves_late = prepared.analysis.statements.iter().any(|output| output.resolves_late);
        let writes = prepared.analysis.intent.effect == Effect::Write;
        let portal = Arc::new(Portal {
            statement: Some(prepared.clone()),
            number: self.number.take(),
            resolves_at: resolves_late.then(|| self.moment()),
            bound_at: writes.then_some((self.batch.number, self.executed)),
            meant_at: (!writes).then_some(self.meaning_changes),
            binds: self.bound.take(),
            ran: OnceLock::new(),
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
                self.describes(prepared.number.get().copied());
                self.push(Awaited::DescribeStatement { prepared });
                return;
            }
        }
        let portal = self.portal(name);
        let _ = portal.described.set(());
        // What has a name that nothing is known of is an operation of its own.
        let number = self.number.take().or(portal.number);
        self.describes(number);
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
        // A FETCH of what changes nothing changes no name, and may go before another.
        let is_harmless =
            |prepared: &Prepared| prepared.only_fetches() && prepared.analysis.intent.effect != Effect::Write;
        if !portal.prepared().is_some_and(is_harmless) {
            self.executed += 1;
        }
        let _ = portal.ran.set(());
        // What has a name that nothing is known of is an operation of its own.
        let number = self.number.take().or(portal.number);
        self.starts(number);
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

    /// Whether this session may keep one more statement or portal.
    pub(super) fn has_room_for(&self, analysis: &Analysis) -> bool {
        let statements = self.statements.values().map(|named| &named.value.analysis);
        let portals = self.portals.values().filter_map(|named| named.value.statement.as_ref());
        let kept = statements.chain(portals.map(|prepared| &prepared.analysis));
        let count = self.statements.len().max(self.portals.len());
        // Many share one analysis, which is counted each time: the limit is one of effort, not a measure of memory.
        count < STATEMENTS_MAX
            && kept.map(|analysis| reading::weight(analysis)).sum::<usize>() + reading::weight(analysis)
                <= PREPARED_BYTES_MAX
    }

    /// A statement is about to run; what may go wrong with names counts from here.
    fn begins(&mut self, prepared: &Prepared) {
        let analysis = &prepared.analysis;
        let accesses = &analysis.intent.accesses;
        let before = self.doubt;
        if analysis.changes_meaning || prepared.is_opaque() {
            self.script.doubted_until = Some(self.batch.number);
            self.changed_in_transaction = true;
            self.changed_in_batch = self.batch.number;
        }
        let runs_code = accesses.iter().any(|access| access.action == analysis::action::DO);
        // On a path that is not known, or in code that is not, what is made may be temporary, which no survey shows.
        let may_be_temporary = self.path == SearchPath::Uncertain || prepared.is_opaque();
        if runs_code || analysis.makes_temporary || analysis.changes_catalog && may_be_temporary {
            self.doubt = Doubt::Always;
        } else if analysis.changes_catalog && self.doubt == Doubt::None {
            self.doubt = Doubt::UntilCommitted;
        }
        if self.doubt != before {
            self.meaning = None;
        }
        if analysis.changes_catalog || self.doubt != before {
            self.changed_in_batch = self.batch.number;
        }
        self.defined |= analysis.changes_catalog || prepared.is_opaque();
        if analysis.changes_catalog || runs_code {
            self.defined_by = Some(digest_with(self.defined_by.unwrap_or_default(), &analysis.intent.statement));
        }
        if self.doubt != Doubt::None {
            self.moved.extend(&analysis.moved);
        }
        // What is opaque wants it too, but a client waits for the word before it sends data.
        if analysis.intent.unclear.is_none() && accesses.iter().any(|access| access.action == analysis::action::COPY_IN)
        {
            self.copy_in = CopyIn::Asked;
        }
    }

    pub(super) fn refuse_client(&mut self, run: &Bytes, denial: &Denial, reply: &mut Reply) {
        let denial = &self.with_cause(denial);
        self.asked = None;
        self.turned.clear();
        self.waiting = None;
        self.survey = FrontSurvey::None;
        let simple = matches!(run.first(), Some(b'Q' | b'F'));
        let mut error = BytesMut::new();
        report::error(denial, Severity::Error, &mut error);
        if self.batch.forwarded || self.status == b'T' {
            // Any error aborts a transaction; so must this one, or the client would commit half of its work.
            self.swap = Some(error.freeze());
            if simple {
                frame::write(&mut reply.to_target, b'Q', |body| put_cstr(body, ABORTING));
                self.push(Awaited::AbortQuery { batch: self.batch.number });
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

    /// A refusal of what names something that there is not is mostly a mistake in the name.
    fn with_cause<'d>(&self, denial: &'d Denial) -> Cow<'d, Denial> {
        let analysis = match &self.asked {
            Some(Asked::Statement(prepared) | Asked::Bound(prepared)) => &prepared.analysis,
            None => return Cow::Borrowed(denial),
        };
        let Some(name) = &analysis.unknown_relation else { return Cow::Borrowed(denial) };
        let hint = format!(
            "\"{name}\" is not in the database's catalog, and might hold anything: is its name right? {}",
            denial.hint
        );
        Cow::Owned(Denial { hint, ..denial.clone() })
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
pub(super) const STATEMENTS_MAX: usize = 2_000;
const PREPARED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The first word of a text that was not understood, for listings.
fn title_of(sql: &str) -> &'static str {
    const WORDS: [&str; 14] = [
        "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "CREATE", "ALTER", "DROP", "COPY", "DO", "CALL",
        "GRANT", "SET",
    ];
    let word =
        sql.split(|letter: char| !letter.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    WORDS.into_iter().find(|known| known.eq_ignore_ascii_case(word)).unwrap_or("?")
}

/// So many portals nobody counts: to bind a statement is the commonest thing of all.
const PORTALS_UNCOUNTED: usize = 32;

/// Why a statement that goes by a name is not read now.
enum NameRefusal {
    /// Something is under way that may change what the name means.
    Wait,
    No(&'static str, &'static str),
}

/// The parts of a Bind message.
pub(super) struct BindMessage<'a> {
    statement: &'a str,
    formats: Vec<i16>,
    values: Vec<Option<&'a [u8]>>,
}

impl<'a> BindMessage<'a> {
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(body);
        let _portal = reader.text()?;
        let statement = reader.text()?;
        let formats = read_formats(&mut reader)?;
        let count = reader.i16()?.cast_unsigned();
        let values: Option<Vec<_>> = (0..count).map(|_| reader.value()).collect();
        let _result_formats = read_formats(&mut reader)?;
        reader.is_empty().then_some(Self { statement, formats, values: values? })
    }

    pub(super) fn values(&self, prepared: &Prepared) -> Vec<Bind> {
        let values = self.values.iter().enumerate();
        values
            .map(|(place, value)| {
                let kind = prepared.parameter_type(place);
                value.map_or(Bind::Null, |value| value::bind(value, self.format(place), kind))
            })
            .collect()
    }

    /// The format of the value at a place.
    pub(super) fn format(&self, place: usize) -> i16 {
        match self.formats.as_slice() {
            [] => 0,
            [all] => *all,
            each => each.get(place).copied().unwrap_or(0),
        }
    }
}

fn read_formats(reader: &mut Reader<'_>) -> Option<Vec<i16>> {
    let count = reader.i16()?.cast_unsigned();
    (0..count).map(|_| reader.i16()).collect()
}

/// Whether it calls what lies in the temporary schema, of which each session has its own.
fn calls_temporary(analysis: &Analysis) -> bool {
    let is_temporary = |id: &str| {
        let name = id.split_once('/').and_then(|(_, name)| name.split_once('.'));
        name.is_some_and(|(schema, _)| is_temporary_schema(schema))
    };
    let mut accesses = analysis.intent.accesses.iter();
    accesses.any(|access| access.action == analysis::action::CALL && is_temporary(&access.resource.id))
}

/// A digest of statements, with one more.
fn digest_with(before: [u8; 32], statement: &str) -> [u8; 32] {
    let mut hash = Sha256::default();
    hash.update(before);
    hash.update(Digest::of(statement).0);
    hash.finish().0
}

fn plumbing(len: usize) -> Step {
    run(len, Meaning::Plumbing)
}

/// Whole frames.
pub(super) fn run(len: usize, meaning: Meaning) -> Step {
    Step::Run { len, tail: 0, meaning }
}

/// As much as is there of a frame that has `len` bytes, and nothing of what follows it.
pub(super) fn part(buf: &[u8], len: usize, meaning: Meaning) -> Step {
    let head = buf.len().min(len);
    Step::Run { len: head, tail: (len - head) as u64, meaning }
}

fn with_tail(step: Step, tail: usize) -> Step {
    match step {
        Step::Run { len, meaning, .. } => Step::Run { len, tail: tail as u64, meaning },
        other @ (Step::Read { .. } | Step::Wait | Step::Survey) => other,
    }
}

/// Whether a Terminate is among these messages of a client.
pub(super) fn leaves(buf: &[u8]) -> bool {
    frame::frames(buf).any(|frame| frame.tag == b'X' && frame.body.is_empty())
}

/// The length of the run of CopyData frames at the front, which has at least one.
fn copy_run(buf: &[u8], frame_bytes_max: usize) -> usize {
    let mut len = 0;
    while let Some(rest) = buf.get(len..) {
        match frame::peek(rest, frame_bytes_max, Breach::client) {
            Ok(Peek::Whole(frame)) if frame.tag == b'd' => len += frame.len,
            Ok(Peek::Whole(_) | Peek::Short(_) | Peek::Large(..)) | Err(_) => break,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        frame::write(&mut out, tag, |to| to.put_slice(body));
        out.to_vec()
    }

    #[test]
    fn a_client_leaves_by_a_terminate_of_its_own() {
        let (query, terminate) = (message(b'Q', b"select 'X'\0"), message(b'X', b""));
        assert!(leaves(&terminate));
        assert!(leaves(&[query.clone(), terminate.clone()].concat()), "whatever it asks for before");
        assert!(!leaves(b"") && !leaves(&query) && !leaves(b"X\0\0"));
        let quoted = message(b'Q', &[b"select '".as_slice(), &terminate, b"'\0"].concat());
        assert!(!leaves(&quoted), "not by what stands in a statement");
        let cut_off = quoted.get(..quoted.len() - 2).unwrap_or_default();
        assert!(!leaves(cut_off), "nor in one that is not there in whole");
    }
}
