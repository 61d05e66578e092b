//! The target's side of a session: which statement an answer belongs to, what shape it has, what state it leaves.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use gatehouse_model::{Access, Action, Column, Effect, Provenance, Resource, Shape, ShapeRole};
use gatehouse_protocol::{Breach, Editor, Meaning, Reply, Session as _, Step};

use super::ask::{self, RELAYED_BYTES_MIN, STATEMENTS_MAX};
use super::copy::{Copied, Form};
use super::statement::{self, Lineage, Portal, Prepared, copy_shape, lineage};
use super::{
    Awaited, CopyIn, Cursor, Described, Discard, Doubt, Named, PostgresSession, Run, SHAPES_MAX, copy, gives_meaning,
    message,
};
use crate::analysis::{CopyOut, Deallocated, Moved, Outputs, SearchPath, StatementOutput, action};
use crate::frame::{self, Frame, Peek, Reader};
use crate::wishes::Replication;

/// What a cursor may want without changing anything but locks, which its declaration was judged for.
const LOOKS: [Action; 7] =
    [action::SELECT, action::SHOW, action::LOCK, action::CURSOR, action::TRANSACTION, Action::PROBE, Action::REVEAL];

impl PostgresSession {
    pub(super) fn inspect_target(&mut self, buf: &[u8]) -> Result<Step, Breach> {
        let frame = match frame::peek_any(buf, self.frame_bytes_max, Breach::target)? {
            Peek::Short(at_least) if at_least <= RELAYED_BYTES_MIN => return Ok(Step::Read { at_least }),
            Peek::Short(len) => return self.inspect_long(len, buf, |at_least| Ok(Step::Read { at_least })),
            Peek::Whole(frame) => frame,
            Peek::Large(tag, len) => {
                let too_long = frame::too_long(tag, len, self.frame_bytes_max);
                return self.inspect_long(len, buf, |_| Err(Breach::target(too_long)));
            }
        };
        let whole = |meaning| Ok(ask::run(frame.len, meaning));
        match frame.tag {
            b'D' => Ok(ask::run(self.run_of(buf, b'D'), Meaning::Content(self.row_shape()?))),
            b'd' => {
                let shape = self.copied_shape()?;
                Ok(ask::run(self.run_of(buf, b'd'), Meaning::Content(shape)))
            }
            b'V' => self.function_value(frame.len),
            b'W' if self.replication == Replication::Yes
                && matches!(self.awaited.front(), Some(Awaited::Query { .. })) =>
            {
                whole(Meaning::Plumbing)
            }
            b'E' if self.error_is_ours() => whole(Meaning::Local),
            b'E' | b'N' if matches!(self.awaited.front(), Some(Awaited::Query { turned: true, .. })) => {
                whole(Meaning::Content(message::shape_of_turned()))
            }
            b'E' => whole(Meaning::Content(message::shape(self.front_is_sensitive()))),
            // What ended is told of late, behind the answer to it: the time that it took, or its plan.
            b'N' => {
                let is_sensitive = self.quotes || message::is_logged(frame.body) || self.front_is_sensitive();
                whole(Meaning::Content(message::shape(is_sensitive)))
            }
            b'A' => whole(Meaning::Content(message::shape(false))),
            b'T' | b'n' if self.describe_is_ours() => whole(Meaning::Local),
            b'S' => whole(Meaning::Plumbing),
            b'1' | b'2' | b'3' | b't' | b'T' | b'n' | b'C' | b'I' | b's' | b'Z' | b'G' | b'H' | b'c' => {
                if !self.is_expected(frame.tag) {
                    return Err(unexpected(frame.tag));
                }
                whole(Meaning::Plumbing)
            }
            tag => Err(unexpected(tag)),
        }
    }

    /// Rows and data may be long, and are given as they come; of anything else `otherwise` says what becomes.
    fn inspect_long(
        &mut self,
        len: usize,
        buf: &[u8],
        otherwise: impl FnOnce(usize) -> Result<Step, Breach>,
    ) -> Result<Step, Breach> {
        self.seen = Run::default();
        match buf.first() {
            Some(b'D') => Ok(ask::part(buf, len, Meaning::Content(self.row_shape()?))),
            Some(b'd') => {
                let shape = self.copied_shape()?;
                Ok(ask::part(buf, len, Meaning::Content(shape)))
            }
            Some(_) | None => otherwise(len),
        }
    }

    /// The value of a fast-path call: nothing is known of it.
    fn function_value(&self, len: usize) -> Result<Step, Breach> {
        match self.awaited.front() {
            Some(Awaited::Function { ended: false, .. }) => Ok(ask::run(len, Meaning::Content(nothing_known()))),
            _ => Err(unexpected(b'V')),
        }
    }

    /// The length of the run of rows or of copied data at the front, which has at least one frame.
    fn run_of(&mut self, buf: &[u8], tag: u8) -> usize {
        let mut run = Run { len: 0, rows: 0 };
        while let Some(rest) = buf.get(run.len..) {
            match frame::peek_any(rest, self.frame_bytes_max, Breach::target) {
                Ok(Peek::Whole(frame)) if frame.tag == tag => {
                    run.rows += u64::from(self.is_row(frame, run.len == 0));
                    run.len += frame.len;
                }
                Ok(Peek::Whole(_) | Peek::Short(_) | Peek::Large(..)) | Err(_) => break,
            }
        }
        self.seen = run;
        run.len
    }

    /// Whether a frame of content is a row; it may be the first of a run.
    fn is_row(&self, frame: Frame<'_>, is_first: bool) -> bool {
        let is_row = |copied: &Copied| copied.form.is_row(frame.body, is_first && !copied.has_begun);
        frame.tag == b'D' || self.copy_out.as_ref().is_some_and(is_row)
    }

    fn copied_shape(&self) -> Result<Arc<Shape>, Breach> {
        self.copy_out.as_ref().map(|copied| copied.shape.clone()).ok_or_else(|| unexpected(b'd'))
    }

    /// The answers stand in the order of what was asked; one that does not is a breach, for masking stands on it.
    fn is_expected(&self, tag: u8) -> bool {
        match self.awaited.front() {
            Some(Awaited::Parse { .. }) => tag == b'1',
            Some(Awaited::Bind { .. }) => tag == b'2',
            Some(Awaited::Close { .. }) => tag == b'3',
            Some(Awaited::DescribeStatement { .. }) => matches!(tag, b't' | b'T' | b'n'),
            Some(Awaited::DescribePortal { .. }) => matches!(tag, b'T' | b'n'),
            Some(Awaited::Execute { .. }) => matches!(tag, b'C' | b'I' | b's' | b'G' | b'H' | b'c'),
            Some(Awaited::Query { ended, .. }) => match tag {
                b'Z' => *ended,
                tag => matches!(tag, b'T' | b'C' | b'I' | b'G' | b'H' | b'c'),
            },
            Some(Awaited::Sync { .. } | Awaited::AbortQuery { .. }) => tag == b'Z',
            Some(Awaited::Function { ended, .. }) => tag == b'Z' && *ended,
            Some(Awaited::Abort) | None => false,
        }
    }

    fn error_is_ours(&self) -> bool {
        self.swap.is_some() && matches!(self.awaited.front(), Some(Awaited::Abort | Awaited::AbortQuery { .. }))
    }

    fn describe_is_ours(&self) -> bool {
        matches!(self.awaited.front(), Some(Awaited::DescribePortal { absorb: true, .. }))
    }

    fn front_is_sensitive(&self) -> bool {
        match self.awaited.front() {
            None | Some(Awaited::Abort | Awaited::AbortQuery { .. } | Awaited::Close { .. }) => self.quotes,
            // Deferred constraints speak at the end of a batch, of whatever it did.
            Some(Awaited::Sync { .. }) => true,
            Some(front) => {
                let may_quote = |prepared: &Prepared| prepared.analysis.sensitive || prepared.touches_end();
                self.doubt != Doubt::None || front.prepared().is_none_or(may_quote)
            }
        }
    }

    fn row_shape(&self) -> Result<Arc<Shape>, Breach> {
        let shape = match self.awaited.front() {
            Some(Awaited::Query { shape, .. }) => shape.clone().unwrap_or_else(nothing_known),
            Some(Awaited::Execute { portal }) => self.portal_shape(portal),
            _ => return Err(unexpected(b'D')),
        };
        Ok(if self.texts_are_utf8() { shape } else { without_fields(shape) })
    }

    fn portal_shape(&self, portal: &Arc<Portal>) -> Arc<Shape> {
        if let Some(shape) = portal.shape.get() {
            return shape.clone();
        }
        nothing_known()
    }

    fn shape(&mut self, body: &[u8], prepared: Option<&Prepared>, place: usize) -> Arc<Shape> {
        let columns = statement::row_description(body).unwrap_or_default();
        let output = prepared.and_then(|prepared| prepared.analysis.statements.get(place));
        if self.doubt != Doubt::None && prepared.is_none_or(Prepared::names_relations) {
            return self.new_shape(&columns, &Lineage::Unknown);
        }
        let is_direct = columns.iter().all(|column| column.table != 0);
        let is_by_name =
            output.is_none_or(|output| matches!(output.columns, Outputs::Cursor(_) | Outputs::Prepared(_)));
        let source = prepared.filter(|_| !is_direct).map(|prepared| (prepared.analysis.clone(), place));
        if !is_direct && is_by_name {
            return self.new_shape(&columns, &self.lineage(output));
        }
        let is_same = |described: &Described| {
            let same_source = match (&described.source, &source) {
                (Some((a, place_a)), Some((b, place_b))) => Arc::ptr_eq(a, b) && place_a == place_b,
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            same_source && described.body == body && Arc::ptr_eq(&described.known, &self.known)
        };
        let described = match self.shapes.iter().rposition(is_same) {
            Some(at) => self.shapes.remove(at),
            None => {
                let shape = self.new_shape(&columns, &self.lineage(output));
                Described { body: Bytes::copy_from_slice(body), known: self.known.clone(), source, shape }
            }
        };
        let shape = described.shape.clone();
        if self.shapes.len() >= SHAPES_MAX {
            self.shapes.remove(0);
        }
        self.shapes.push(described);
        shape
    }

    fn new_shape(&self, columns: &[statement::RowColumn], lineage: &Lineage) -> Arc<Shape> {
        let column_of = |table, attribute| {
            let is_certain = self.doubt == Doubt::None || self.known.is_what_it_was(table, &self.moved);
            if is_certain { self.known.column(table, attribute, &self.reader()) } else { Provenance::Unknown }
        };
        Arc::new(statement::shape(columns, lineage, &self.known, column_of))
    }

    fn lineage(&self, output: Option<&StatementOutput>) -> Lineage {
        let named = |outputs: &Outputs| match outputs {
            Outputs::Cursor(name) => self.cursors.get(name).map(|cursor| cursor.columns.clone()),
            Outputs::Prepared(name) => {
                let inner = self.prepared_in_sql(name)?;
                match &inner.executed_output()?.columns {
                    Outputs::Columns(columns) => Some(columns.as_slice().into()),
                    Outputs::None | Outputs::Cursor(_) | Outputs::Prepared(_) | Outputs::Clean | Outputs::Unknown => {
                        None
                    }
                }
            }
            Outputs::None | Outputs::Columns(_) | Outputs::Clean | Outputs::Unknown => None,
        };
        output.map_or(Lineage::Unknown, |output| lineage(&output.columns, named))
    }

    /// Moves the state past frames that go on to the client.
    pub(super) fn arrived(&mut self, run: &Bytes) {
        // The rows of a run of content were counted when its end was looked for.
        match run.first() {
            Some(b'D') if run.len() == self.seen.len => {
                self.rows += self.seen.rows;
                return;
            }
            Some(b'd') if run.len() == self.seen.len => {
                if let Some(copied) = &mut self.copy_out {
                    copied.has_begun = true;
                    self.rows += self.seen.rows;
                }
                return;
            }
            Some(_) | None => {}
        }
        for frame in frame::frames(run) {
            match frame.tag {
                b'D' => self.rows += 1,
                b'd' => {
                    self.rows += u64::from(self.is_row(frame, true));
                    self.copy_out.iter_mut().for_each(|copied| copied.has_begun = true);
                }
                b'1' => self.parse_complete(),
                b'2' => self.bind_complete(),
                b'3' => self.close_complete(),
                b't' => self.parameter_description(frame.body),
                b'T' => self.row_description(frame.body),
                b'n' => self.described(),
                b'C' | b'I' => self.command_complete(),
                b's' => self.suspended(),
                b'V' => {
                    if let Some(Awaited::Function { ended, .. }) = self.awaited.front_mut() {
                        *ended = true;
                    }
                }
                b'G' => self.copy_in_begins(),
                b'H' => self.copy_out_begins(frame.body),
                b'W' => self.copy_both_begins(),
                b'c' => self.copy_out = None,
                b'S' => self.setting(frame.body),
                b'E' => self.failed(),
                b'Z' => self.ready(frame.body),
                _ => {}
            }
        }
    }

    fn parse_complete(&mut self) {
        let Some(Awaited::Parse { name, prepared, .. }) = self.pop() else {
            return;
        };
        if let Some(named) = self.statements.get_mut(&name)
            && Arc::ptr_eq(&named.value, &prepared)
        {
            named.confirmed = true;
        }
        // A later Parse under the same name may have taken its place already, and give it back when it fails.
        for awaited in &mut self.awaited {
            if let Awaited::Parse { previous: Some(previous), .. } = awaited
                && Arc::ptr_eq(&previous.value, &prepared)
            {
                previous.confirmed = true;
            }
        }
    }

    fn bind_complete(&mut self) {
        let Some(Awaited::Bind { name, portal, .. }) = self.pop() else {
            return;
        };
        if let Some(named) = self.portals.get_mut(&name)
            && Arc::ptr_eq(&named.value, &portal)
        {
            named.confirmed = true;
        }
        for awaited in &mut self.awaited {
            if let Awaited::Bind { previous: Some(previous), .. } = awaited
                && Arc::ptr_eq(&previous.value, &portal)
            {
                previous.confirmed = true;
            }
        }
    }

    /// A name that was closed and taken again meanwhile stays.
    fn close_complete(&mut self) {
        let Some(Awaited::Close { is_statement, name }) = self.pop() else {
            return;
        };
        if is_statement {
            if self.statements.get(&name).is_some_and(|named| named.confirmed) {
                self.statements.remove(&name);
            }
        } else if self.portals.get(&name).is_some_and(|named| named.confirmed) {
            self.portals.remove(&name);
        }
    }

    fn parameter_description(&self, body: &[u8]) {
        if let Some(Awaited::DescribeStatement { prepared }) = self.awaited.front() {
            let mut reader = Reader(body);
            let count = reader.i16().unwrap_or(0).cast_unsigned();
            let kinds: Option<Vec<u32>> = (0..count).map(|_| reader.u32()).collect();
            let _ = prepared.parameters.set(kinds.unwrap_or_default());
        }
    }

    fn row_description(&mut self, body: &[u8]) {
        match self.awaited.front() {
            Some(Awaited::Query { prepared, done, .. }) => {
                let (prepared, place) = (prepared.clone(), *done);
                let new = self.shape(body, Some(&prepared), place);
                if let Some(Awaited::Query { shape, .. }) = self.awaited.front_mut() {
                    *shape = Some(new);
                }
            }
            Some(Awaited::DescribeStatement { .. }) => {
                self.pop();
            }
            Some(Awaited::DescribePortal { portal, .. }) => {
                let portal = portal.clone();
                let new = self.shape(body, portal.prepared(), 0);
                let _ = portal.shape.set(new);
                self.pop();
            }
            _ => {}
        }
    }

    fn setting(&mut self, body: &[u8]) {
        let mut reader = Reader(body);
        let (Some(name), Some(value)) = (reader.text(), reader.text()) else {
            return;
        };
        self.script.reported(name, value);
        if gives_meaning(name) {
            self.settings.insert(name.into(), value.into());
            self.meaning = None;
        }
    }

    fn described(&mut self) {
        self.pop();
    }

    fn command_complete(&mut self) {
        if self.copy_in == CopyIn::Open {
            self.copy_in = CopyIn::No;
        }
        match self.awaited.front_mut() {
            Some(Awaited::Query { prepared, done, shape, ended, .. }) => {
                let (prepared, place) = (prepared.clone(), *done);
                *done += 1;
                *shape = None;
                *ended = true;
                self.took_effect(&prepared, place);
            }
            Some(Awaited::Execute { portal }) => {
                let statement = portal.statement.clone();
                self.copy_in = CopyIn::No;
                self.pop();
                match statement {
                    Some(prepared) => self.took_effect(&prepared, 0),
                    None => self.forget_names(),
                }
            }
            _ => {}
        }
    }

    /// A part of a result came: what its statement changes it may have changed already.
    fn suspended(&mut self) {
        let Some(Awaited::Execute { portal }) = self.pop() else { return };
        let Some(prepared) = portal.statement.clone() else { return };
        let is_own = |named: &Named<Portal>| Arc::ptr_eq(&named.value, &portal);
        let name = self.portals.iter().find_map(|(name, named)| is_own(named).then(|| name.clone()));
        let own = name.and_then(|name| self.portals.remove_entry(&name));
        self.changed_meaning(&prepared);
        // It goes on by its name.
        self.portals.extend(own);
    }

    /// What a statement does to what others mean.
    fn changed_meaning(&mut self, prepared: &Prepared) {
        let analysis = &prepared.analysis;
        self.catalog_is_stale |= analysis.changes_catalog;
        self.outdates |= prepared.outdates_survey();
        if analysis.ends_transaction && self.defined {
            // It may have been committed, also where another transaction began at once.
            self.catalog_is_stale = true;
            self.outdates = true;
        }
        if prepared.is_opaque() {
            self.forget_names();
        }
        if prepared.runs_text() {
            // It may have prepared anything under any name.
            self.statements.retain(|_, named| named.value.in_sql.is_none());
        }
        if analysis.changes_path {
            self.path = SearchPath::Uncertain;
        }
        if analysis.changes_path || analysis.changes_meaning {
            self.meaning_changes += 1;
        }
        self.meaning = None;
    }

    /// What a completed statement leaves behind: names of cursors and statements, what names mean, a stale catalog.
    fn took_effect(&mut self, prepared: &Arc<Prepared>, place: usize) {
        let analysis = &prepared.analysis;
        self.changed_meaning(prepared);
        let Some(output) = analysis.statements.get(place) else {
            return;
        };
        if let Some(name) = &output.cursor {
            self.portals.remove(name.as_str());
            match &output.columns {
                Outputs::Columns(columns) if self.cursors.len() < STATEMENTS_MAX => {
                    let is_change = |access: &Access| !LOOKS.contains(&access.action);
                    let runs = Some(&analysis.intent)
                        .filter(|intent| intent.effect == Effect::Write && intent.accesses.iter().any(is_change));
                    let cursor = Cursor {
                        columns: columns.as_slice().into(),
                        is_sensitive: analysis.sensitive,
                        runs: runs.cloned(),
                    };
                    self.cursors.insert(name.clone(), cursor)
                }
                Outputs::Columns(_)
                | Outputs::None
                | Outputs::Cursor(_)
                | Outputs::Prepared(_)
                | Outputs::Clean
                | Outputs::Unknown => self.cursors.remove(name),
            };
        }
        match &output.deallocates {
            Some(Deallocated::Named(name)) => drop(self.statements.remove(name.as_str())),
            Some(Deallocated::All) => self.statements.clear(),
            None => {}
        }
        // Past the limit the name is not known, and nothing executes it.
        if let Some(name) = &output.prepares
            && self.has_room_for(&prepared.analysis)
        {
            let value = Arc::new(prepared.made_at(place, self.meaning_changes));
            self.statements.insert(name.as_str().into(), Named { value, batch: self.batch.number, confirmed: true });
        }
    }

    /// Code that cannot be read may have opened and closed anything.
    fn forget_names(&mut self) {
        self.portals.clear();
        self.cursors.clear();
    }

    fn copy_in_begins(&mut self) {
        self.copy_in = CopyIn::Open;
    }

    fn copy_out_begins(&mut self, body: &[u8]) {
        let mut reader = Reader(body);
        let is_binary = reader.u8() == Some(1);
        let count = usize::try_from(reader.i16().unwrap_or(0)).unwrap_or(0);
        let (prepared, place) = match self.awaited.front() {
            Some(Awaited::Query { prepared, done, .. }) => (Some(&**prepared), *done),
            Some(Awaited::Execute { portal }) => (portal.prepared(), 0),
            _ => (None, 0),
        };
        let output = prepared.and_then(|prepared| prepared.analysis.statements.get(place));
        let is_utf8 = self.texts_are_utf8();
        let copy = output.and_then(|output| output.copy.as_ref());
        let form = Form::of(copy, is_binary, is_utf8);
        let lineage = if self.doubt == Doubt::None { self.lineage(output) } else { Lineage::Unknown };
        let shape = Arc::new(copy_shape(&lineage, count, &form, |source| self.known.kind_of(&self.target, source)));
        let shape = if is_utf8 || copy.is_some_and(CopyOut::is_utf8) { shape } else { without_fields(shape) };
        self.copy_out = Some(Copied { shape, form, has_begun: false });
    }

    /// A stream of replication: what flows in it is not known.
    fn copy_both_begins(&mut self) {
        self.copy_in = CopyIn::Open;
        let shape = copy_shape(&Lineage::Unknown, 1, &Form::Opaque, |_| None);
        self.copy_out = Some(Copied { shape: Arc::new(shape), form: Form::Opaque, has_begun: false });
    }

    /// An error fails the rest of the batch: nothing of it will be answered, and what it would have named is not there.
    fn failed(&mut self) {
        self.copy_in = CopyIn::No;
        self.copy_out = None;
        if let Some(Awaited::Query { ended, .. } | Awaited::Function { ended, .. }) = self.awaited.front_mut() {
            *ended = true;
            return;
        }
        if matches!(self.awaited.front(), None | Some(Awaited::AbortQuery { .. } | Awaited::Sync { .. })) {
            return;
        }
        let mut skipped = Vec::new();
        while let Some(awaited) = self.awaited.front() {
            if matches!(awaited, Awaited::Sync { .. }) {
                break;
            }
            skipped.extend(self.pop());
        }
        if self.awaited.is_empty() {
            self.batch.discard = Discard::ButSync;
        }
        self.swap = None;
        // Latest first, so that what stood before the whole batch stands again.
        for awaited in skipped.into_iter().rev() {
            self.undo(awaited);
        }
    }

    fn undo(&mut self, awaited: Awaited) {
        match awaited {
            Awaited::Parse { name, prepared, previous } => {
                if self.statements.get(&name).is_some_and(|named| Arc::ptr_eq(&named.value, &prepared)) {
                    match previous {
                        Some(previous) => self.statements.insert(name, previous),
                        None => self.statements.remove(&name),
                    };
                }
            }
            Awaited::Bind { name, portal, previous } => {
                if self.portals.get(&name).is_some_and(|named| Arc::ptr_eq(&named.value, &portal)) {
                    match previous {
                        Some(previous) => self.portals.insert(name, previous),
                        None => self.portals.remove(&name),
                    };
                }
            }
            Awaited::DescribeStatement { .. }
            | Awaited::DescribePortal { .. }
            | Awaited::Execute { .. }
            | Awaited::Close { .. }
            | Awaited::Sync { .. }
            | Awaited::Query { .. }
            | Awaited::Abort
            | Awaited::AbortQuery { .. }
            | Awaited::Function { .. } => {}
        }
    }

    fn ready(&mut self, body: &[u8]) {
        self.status = body.first().copied().unwrap_or(b'E');
        self.copy_out = None;
        self.copy_in = CopyIn::No;
        let batch = match self.pop() {
            Some(
                Awaited::Sync { batch }
                | Awaited::Query { batch, .. }
                | Awaited::AbortQuery { batch }
                | Awaited::Function { batch, .. },
            ) => batch,
            _ => self.batch.number.saturating_sub(1),
        };
        if self.status == b'I' && batch >= self.changed_in_batch {
            self.transaction_ended();
        }
        // What changed is reported before the target says that it is ready.
        self.script.doubted_until = self.script.doubted_until.filter(|until| *until > batch);
        if self.status == b'I' {
            self.quotes &= !self.awaited.is_empty();
            self.portals.retain(|_, named| named.batch > batch);
        }
    }

    /// Nothing is open any more of what was set or defined.
    fn transaction_ended(&mut self) {
        self.changed_in_transaction = false;
        self.defined_by = None;
        let is_over = match self.doubt {
            Doubt::None => false,
            Doubt::UntilCommitted => {
                self.doubt = Doubt::None;
                self.moved = Moved::default();
                true
            }
            // What was dropped with others is gone for good, and what is not temporary a survey shows.
            Doubt::Always => self.moved.settle(),
        };
        if std::mem::take(&mut self.defined) || is_over {
            // From here on a survey shows what was defined, and one is due before the next statement.
            self.catalog_is_stale = true;
            self.outdates = true;
        }
    }

    pub(super) fn answer_target(&mut self, run: &Bytes, reply: &mut Reply) {
        if run.first() == Some(&b'E') {
            if let Some(swap) = self.swap.take() {
                reply.to_client.put_slice(&swap);
            }
            if matches!(self.awaited.front(), Some(Awaited::AbortQuery { .. })) {
                return;
            }
            // The client's Sync may be on its way or still to come.
            self.pop();
            return;
        }
        self.arrived(run);
    }

    pub(super) fn rewrite_target(
        &self,
        shape: &Shape,
        run: &Bytes,
        editor: &mut dyn Editor,
        out: &mut BytesMut,
    ) -> Result<(), Breach> {
        if shape.role == ShapeRole::Rows {
            return copy::rewrite_rows(shape, self.copy_out.as_ref(), run, editor, out);
        }
        for frame in frame::frames(run) {
            let written = match frame.tag {
                b'E' | b'N' => {
                    let words = message::Words { catalog: &self.known.catalog };
                    message::rewrite_report(frame, shape, &words, editor, out)
                }
                b'A' => message::rewrite_notification(frame.body, editor, out),
                _ => None,
            };
            written.ok_or_else(|| copy::malformed(frame.tag))?;
        }
        Ok(())
    }
}

impl Prepared {
    /// It ends a transaction, where deferred constraints and triggers speak of what earlier statements did.
    fn touches_end(&self) -> bool {
        self.analysis.intent.accesses.iter().any(|access| access.action == crate::analysis::action::TRANSACTION)
    }
}

/// A shape without columns: the mask plan hides what it does not know.
fn nothing_known() -> Arc<Shape> {
    Arc::new(Shape { role: ShapeRole::Rows, columns: Vec::new() })
}

/// The same, for texts that may be in another encoding than UTF-8: there fields are not found by their names, and a document
/// of which any is of a class is hidden whole.
fn without_fields(shape: Arc<Shape>) -> Arc<Shape> {
    let has_fields = |column: &Column| matches!(&column.provenance, Provenance::Copy(Resource { fields: Some(_), .. }));
    if !shape.columns.iter().any(has_fields) {
        return shape;
    }
    let mut shape = Arc::unwrap_or_clone(shape);
    for column in shape.columns.iter_mut().filter(|column| has_fields(column)) {
        if let Provenance::Copy(source) = &column.provenance {
            column.provenance = Provenance::Derived([source.clone()].into());
        }
    }
    Arc::new(shape)
}

fn unexpected(tag: u8) -> Breach {
    Breach::target(format!("the target sent {:?} where nothing of the kind is due", char::from(tag)))
}
