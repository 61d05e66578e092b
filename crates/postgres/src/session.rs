//! One session between a client and a PostgreSQL server: what is asked, what is awaited, what comes back.
//!
//! Knows the order of messages, and so which answer belongs to which statement; that order is what masking stands
//! on, so anything that does not fit it is a breach. Decides nothing: it says what bytes mean.

mod ask;
mod copy;
mod csv;
mod foreseen;
mod message;
mod pseudonym;
mod reply;
mod statement;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::{HashMap, HashMapExt as _};
use gatehouse_model::{Action, Bind, Column, Denial, Intent, Operation, Provenance, Reason, Secret, Shape, TargetName};
use gatehouse_protocol::{
    Breach, Classifier, Editor, Opening, Passed, Reply, Session, Side, Started, Step, SurveyFacts,
};

use crate::analysis::{Analysis, Exposure, Hidden, Moved, SearchPath, action};
use crate::frame::{self, Peek};
use crate::reading::{self, Known};
use crate::report::{self, Severity};
use crate::wishes::{Replication, Wishes};
pub(crate) use copy::skip_head as skip_copy_head;
use statement::{Asked, Portal, Prepared};

pub(crate) struct PostgresSession {
    target: TargetName,
    classifier: Arc<dyn Classifier>,
    frame_bytes_max: usize,
    known: Arc<Known>,
    /// DDL of this session may have changed what the catalog says.
    catalog_is_stale: bool,
    /// Whether the statement at the front of the client's bytes was looked at with a catalog that was read for it.
    survey: FrontSurvey,
    path: SearchPath,
    /// How often this session changed what statements mean; an approval then binds to this session.
    meaning_changes: u64,
    /// What the target reported of settings that change what constants mean.
    settings: BTreeMap<String, String>,
    /// How the server reads texts, as far as it is known.
    script: Script,
    replication: Replication,
    /// What the client asked for at its login and that may change what statements mean.
    wishes: BTreeMap<String, String>,
    /// Which indexes' order does not show; `None` where any may.
    hidden: Option<Hidden>,
    /// What the order of rows would tell, where it must not.
    exposed: Option<Arc<Exposure>>,
    /// What its settings keep the planner from it is kept from whatever that costs.
    bans_indexes: bool,
    /// How many messages gave names, or took them away.
    named: u64,
    /// Something was set since the target was last outside of a transaction, which its end may take back.
    changed_in_transaction: bool,
    /// The last batch that set or defined something: what one before it leaves behind says nothing of that.
    changed_in_batch: u64,
    /// What approvals bind to besides a statement, by the types of its parameters, until it changes.
    meaning: Option<KnownMeaning>,
    /// Shapes that were made of row descriptions, the newest use last.
    shapes: Vec<Described>,
    waiting: Option<Waiting>,
    /// What the catalog does not show may stand before what it shows.
    doubt: Doubt,
    /// What ran since the session was idle may have handled values that nobody is to see.
    quotes: bool,
    /// Names that may mean something else by now, for as long as that is so.
    moved: Moved,
    /// Something was defined that others see once its transaction has ended.
    defined: bool,
    /// A digest of the statements of the open transaction that define something, to the letter: what they define no survey shows.
    defined_by: Option<[u8; 32]>,
    /// What a survey tells has changed, and nobody was told of it yet.
    outdates: bool,
    /// Unqualified names are looked up where the account has them looked up.
    path_is_the_accounts: bool,
    /// The transaction status that the target reported last: `I`, `T` or `E`.
    status: u8,
    awaited: VecDeque<Awaited>,
    barriers: usize,
    batch: Batch,
    statements: HashMap<Arc<str>, Named<Prepared>>,
    portals: HashMap<Arc<str>, Named<Portal>>,
    cursors: HashMap<String, Cursor>,
    /// The client's own refusal, which takes the place of the error that the target was made to raise.
    swap: Option<Bytes>,
    copy_in: CopyIn,
    copy_out: Option<copy::Copied>,
    rows: u64,
    /// Terminate was passed on.
    left: bool,
    /// The run of content at the front of the target's bytes, as it was looked at last.
    seen: Run,
    /// Portals that were executed, but for those that fetch from a cursor.
    executed: u64,
    /// What inspection found at the front of the client's bytes, kept until the run passes or is refused.
    asked: Option<Asked>,
    /// What goes to the target in the place of its candidates.
    turned: BytesMut,
    /// Something does, in the run that passes.
    turns: bool,
    /// The number of the operation in the run that passes.
    number: Option<u64>,
    /// The values of what is bound, in the run that passes, where it changes something.
    bound: Option<Vec<Bind>>,
    /// What the target was told to run, of which nobody was told yet.
    started: Vec<Started>,
}

/// A cursor that a statement opened.
struct Cursor {
    columns: Arc<[Provenance]>,
    /// What runs when it is read touches classified data.
    is_sensitive: bool,
    /// What it wants each time that it is read, where that changes something: it runs row by row.
    runs: Option<Arc<Intent>>,
}

/// The messages up to the next Sync.
struct Batch {
    number: u64,
    /// The target heard some of it, so an error must reach the target's transaction too.
    forwarded: bool,
    discard: Discard,
}

/// Frames of content that go on together.
#[derive(Clone, Copy, Default)]
struct Run {
    len: usize,
    rows: u64,
}

/// What happens to the client's messages up to the next Sync.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Discard {
    /// They are inspected.
    No,
    /// They are dropped, the Sync too: the target heard nothing of the batch.
    WithSync,
    /// They are dropped, as the target would drop them since it failed the batch; the Sync goes on.
    ButSync,
}

/// How far the survey for the statement at the front has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FrontSurvey {
    None,
    Asked,
    Done,
}

/// Whether the client is copying data in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CopyIn {
    No,
    /// The statement was sent; until the target says that it is ready for the data, the client rests.
    Asked,
    Open,
}

/// Whether relations that no survey shows may hide behind the names that statements use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// Definitions of this transaction are not visible to a survey before it ends.
    UntilCommitted,
    /// Temporary objects never are.
    Always,
}

/// How the server reads the text of a statement.
struct Script {
    /// Text is UTF-8.
    is_utf8: bool,
    /// The database is in UTF-8: it cuts long names, and tells small letters from capitals, as is done here.
    target_is_utf8: bool,
    /// A backslash in a plain string stands for itself.
    strings_are_standard: bool,
    /// Until the target has answered this batch, it may have changed how it reads, and not yet said so.
    doubted_until: Option<u64>,
}

impl Script {
    fn new(reported: &[(String, String)]) -> Self {
        let mut script = Self { is_utf8: true, target_is_utf8: true, strings_are_standard: true, doubted_until: None };
        reported.iter().for_each(|(name, value)| script.reported(name, value));
        script
    }

    fn reported(&mut self, name: &str, value: &str) {
        match name {
            "client_encoding" => self.is_utf8 = value.eq_ignore_ascii_case("UTF8"),
            "server_encoding" => self.target_is_utf8 = value.eq_ignore_ascii_case("UTF8"),
            "standard_conforming_strings" => self.strings_are_standard = value == "on",
            _ => {}
        }
    }

    /// Whether Gatehouse reads this text as the server does; what is the same under every setting, it does.
    fn reads(&self, text: &[u8]) -> bool {
        let is_certain = self.doubted_until.is_none();
        let fits_target = |text: &[u8]| self.target_is_utf8 || is_ascii_but_for_strings(text);
        (is_certain && self.is_utf8 && fits_target(text) || text.is_ascii())
            && (is_certain && self.strings_are_standard || !text.contains(&b'\\'))
    }
}

/// Whether only plain strings hold anything but ASCII: of names and all else, none does. False where there is anything that
/// strings could be mistaken for, or hidden by.
fn is_ascii_but_for_strings(text: &[u8]) -> bool {
    let is_plain = !text.iter().any(|byte| b"\"$\\".contains(byte));
    let has_comment = text.windows(2).any(|pair| pair == b"--" || pair == b"/*");
    is_plain && !has_comment && text.split(|byte| *byte == b'\'').step_by(2).all(<[u8]>::is_ascii)
}

/// The reading of a long text at the front of the client's bytes, whose turn has not come.
struct Waiting {
    known: Arc<Known>,
    path: SearchPath,
    analysis: Arc<Analysis>,
}

impl Waiting {
    fn is_of(&self, text: &[u8], known: &Arc<Known>, path: &SearchPath) -> bool {
        // Only a text that was understood stands in its analysis as it is.
        let is_same = self.analysis.intent.unclear.is_none() && self.analysis.intent.statement.as_bytes() == text;
        is_same && Arc::ptr_eq(&self.known, known) && self.path == *path
    }
}

/// What approvals bind to besides a statement whose parameters are of these types.
struct KnownMeaning {
    types: Vec<u32>,
    is_of_session: bool,
    state: Arc<BTreeMap<String, String>>,
}

/// From version 18 on the planner takes what is switched off only where there is no other way; before, it only counts as dear.
fn bans_indexes(reported: &[(String, String)]) -> bool {
    const BANS: u32 = 18;
    let version = reported.iter().find(|(name, _)| name == "server_version").map_or("", |(_, version)| version);
    let major = version.split(|digit: char| !digit.is_ascii_digit()).next().unwrap_or_default();
    major.parse::<u32>().is_ok_and(|major| major >= BANS)
}

/// How many shapes one session remembers.
const SHAPES_MAX: usize = 8;

/// A shape, and what it was made of.
struct Described {
    body: Bytes,
    known: Arc<Known>,
    /// The statement and the place in it, unless every column is a table's own.
    source: Option<(Arc<Analysis>, usize)>,
    shape: Arc<Shape>,
}

/// Settings that the target reports and that change what constants in statements mean.
fn gives_meaning(setting: &str) -> bool {
    ["DateStyle", "TimeZone", "IntervalStyle"].contains(&setting)
}

/// A statement or portal under its name.
struct Named<T> {
    value: Arc<T>,
    batch: u64,
    /// The target said that it has it.
    confirmed: bool,
}

impl<T> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), batch: self.batch, confirmed: self.confirmed }
    }
}

/// One message that the target will answer, in the order in which it will.
enum Awaited {
    Parse {
        name: Arc<str>,
        prepared: Arc<Prepared>,
        previous: Option<Named<Prepared>>,
    },
    Bind {
        name: Arc<str>,
        portal: Arc<Portal>,
        previous: Option<Named<Portal>>,
    },
    DescribeStatement {
        prepared: Arc<Prepared>,
    },
    DescribePortal {
        portal: Arc<Portal>,
        absorb: bool,
    },
    Execute {
        portal: Arc<Portal>,
    },
    Close {
        is_statement: bool,
        name: Arc<str>,
    },
    Sync {
        batch: u64,
    },
    Query {
        prepared: Arc<Prepared>,
        batch: u64,
        done: usize,
        shape: Option<Arc<Shape>>,
        /// A completion or an error came, so the end may come.
        ended: bool,
        /// The target was sent other texts in it than the client wrote.
        turned: bool,
    },
    /// A statement that fails on purpose, in a batch.
    Abort,
    /// The same as a simple query.
    AbortQuery {
        batch: u64,
    },
    /// A fast-path call of a function.
    Function {
        prepared: Arc<Prepared>,
        batch: u64,
        /// Its value or an error came, so the end may come.
        ended: bool,
    },
}

impl Awaited {
    /// The statement that errors and notices belong to while this is at the front.
    fn prepared(&self) -> Option<&Prepared> {
        match self {
            Self::Parse { prepared, .. }
            | Self::DescribeStatement { prepared }
            | Self::Query { prepared, .. }
            | Self::Function { prepared, .. } => Some(prepared),
            Self::Bind { portal, .. } | Self::DescribePortal { portal, .. } | Self::Execute { portal } => {
                portal.prepared()
            }
            Self::Close { .. } | Self::Sync { .. } | Self::Abort | Self::AbortQuery { .. } => None,
        }
    }

    fn is_barrier(&self) -> bool {
        match self {
            Self::Query { prepared, .. } | Self::Function { prepared, .. } => prepared.is_barrier(),
            Self::Execute { portal } => portal.prepared().is_none_or(Prepared::is_barrier),
            Self::Parse { .. }
            | Self::Bind { .. }
            | Self::DescribeStatement { .. }
            | Self::DescribePortal { .. }
            | Self::Close { .. }
            | Self::Sync { .. }
            | Self::Abort
            | Self::AbortQuery { .. } => false,
        }
    }
}

impl PostgresSession {
    pub(crate) fn new(opening: Opening) -> Result<Self, Opening> {
        let (Ok(known), Ok(wishes)) = (opening.facts.clone().downcast::<Known>(), Wishes::read(&opening.parameters))
        else {
            return Err(opening);
        };
        let hidden = (!opening.shows_order).then(|| Hidden::by(wishes.parameters()));
        let mut session = Self {
            hidden,
            exposed: None,
            bans_indexes: bans_indexes(&opening.ready.parameters),
            target: opening.target,
            classifier: opening.classifier,
            frame_bytes_max: opening.frame_bytes_max,
            path: wishes.path(SearchPath::Known(known.catalog.search_path().to_vec())),
            known,
            wishes: wishes.state().collect(),
            named: 0,
            changed_in_transaction: false,
            changed_in_batch: 0,
            script: Script::new(&opening.ready.parameters),
            replication: wishes.replication,
            meaning: None,
            shapes: Vec::new(),
            waiting: None,
            catalog_is_stale: false,
            survey: FrontSurvey::None,
            meaning_changes: 0,
            settings: opening.ready.parameters.iter().filter(|(name, _)| gives_meaning(name)).cloned().collect(),
            doubt: Doubt::None,
            quotes: false,
            moved: Moved::default(),
            defined: false,
            defined_by: None,
            outdates: false,
            path_is_the_accounts: wishes.path(SearchPath::Known(Vec::new())) != SearchPath::Uncertain,
            status: b'I',
            awaited: VecDeque::new(),
            barriers: 0,
            batch: Batch { number: 0, forwarded: false, discard: Discard::No },
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            swap: None,
            copy_in: CopyIn::No,
            copy_out: None,
            rows: 0,
            left: false,
            seen: Run::default(),
            executed: 0,
            asked: None,
            turned: BytesMut::new(),
            turns: false,
            number: None,
            bound: None,
            started: Vec::new(),
        };
        session.see_exposed();
        Ok(session)
    }

    /// Indexes are made while sessions go on, whose settings are from when they began.
    fn see_exposed(&mut self) {
        self.exposed = self.hidden.and_then(|_| self.known.exposure(&self.target, &self.classifier));
    }

    fn reader(&self) -> reading::Reader<'_> {
        reading::Reader { target: &self.target, classifier: &self.classifier, path: &self.path, moved: &self.moved }
    }

    fn push(&mut self, awaited: Awaited) {
        let may_quote = |prepared: &Prepared| prepared.analysis.sensitive;
        let runs = matches!(
            awaited,
            Awaited::Query { .. } | Awaited::Bind { .. } | Awaited::Execute { .. } | Awaited::Function { .. }
        );
        self.quotes |= runs && (self.doubt != Doubt::None || awaited.prepared().is_none_or(may_quote));
        self.barriers += usize::from(awaited.is_barrier());
        self.awaited.push_back(awaited);
    }

    fn pop(&mut self) -> Option<Awaited> {
        let awaited = self.awaited.pop_front()?;
        self.barriers -= usize::from(awaited.is_barrier());
        Some(awaited)
    }
}

impl Session for PostgresSession {
    fn inspect(&mut self, side: Side, buf: &[u8]) -> Result<Step, Breach> {
        match side {
            Side::Client => self.inspect_client(buf),
            Side::Target => self.inspect_target(buf),
        }
    }

    fn whole(&self, buf: &[u8]) -> Result<usize, Breach> {
        match frame::peek_any(buf, self.frame_bytes_max, Breach::target)? {
            Peek::Short(len) => Ok(len),
            Peek::Whole(frame) => Ok(frame.len),
            Peek::Large(..) => {
                let message = "a value that must be masked is too long to be held whole";
                let hint = "Ask for a part of it, such as left(…, 1000000)";
                Err(Breach::client(message).telling(Denial::new(
                    Reason::Limit,
                    message,
                    format!("it is longer than limits.frame_bytes_max = {}", self.frame_bytes_max),
                    hint,
                )))
            }
        }
    }

    fn pass(&mut self, side: Side, run: &Bytes, out: &mut BytesMut) -> Passed {
        match side {
            Side::Client => self.pass_client(run, out),
            Side::Target => {
                self.arrived(run);
                Passed::AsIs
            }
        }
    }

    fn rewrite(
        &mut self,
        shape: &Shape,
        run: &Bytes,
        editor: &mut dyn Editor,
        out: &mut BytesMut,
    ) -> Result<(), Breach> {
        self.rewrite_target(shape, run, editor, out)?;
        self.arrived(run);
        Ok(())
    }

    fn refuse(&mut self, run: &Bytes, denial: &Denial, reply: &mut Reply) {
        self.refuse_client(run, denial, reply);
    }

    fn unheld(&self, title: &str) -> Denial {
        Denial::new(
            Reason::Limit,
            format!("{title} needs approval and is too long to be held"),
            format!(
                "its values are longer than limits.frame_bytes_max = {}, so a person could not be shown them",
                self.frame_bytes_max
            ),
            "Send less at once, or ask the operator to raise the limit",
        )
    }

    fn answer(&mut self, side: Side, run: &Bytes, reply: &mut Reply) {
        match side {
            Side::Client => self.answer_client(run, reply),
            Side::Target => self.answer_target(run, reply),
        }
    }

    fn foreseen(&self) -> Option<Vec<Column>> {
        self.foreseen_columns()
    }

    fn is_in_transaction(&self) -> bool {
        self.status != b'I'
    }

    fn turn_back(&mut self, run: &[u8], values: &[Option<Secret>]) -> bool {
        self.turned = self.turned_back(run, values).unwrap_or_default();
        !self.turned.is_empty()
    }

    fn texts_are_utf8(&self) -> bool {
        self.script.is_utf8 && self.script.doubted_until.is_none()
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn turn(&self) -> Option<u64> {
        Some(self.batch.number)
    }

    fn numbered(&mut self, number: u64) {
        self.number = Some(number);
    }

    fn tell_started(&mut self, tell: &mut dyn FnMut(Started)) {
        self.started.drain(..).for_each(tell);
    }

    fn is_quiet(&self) -> bool {
        let synced = |awaited: &Awaited| {
            matches!(
                awaited,
                Awaited::Sync { .. } | Awaited::Query { .. } | Awaited::AbortQuery { .. } | Awaited::Function { .. }
            )
        };
        !self.awaited.iter().any(synced)
    }

    fn has_left(&self) -> bool {
        self.left
    }

    fn leaves(&self, buf: &[u8]) -> bool {
        ask::leaves(buf)
    }

    fn awaits_answers(&self) -> bool {
        !self.awaited.is_empty()
    }

    fn surveyed(&mut self, facts: SurveyFacts) {
        if let Ok(known) = facts.downcast::<Known>() {
            // A schema of the account's own name may have come, or gone.
            if self.path_is_the_accounts && self.path != SearchPath::Uncertain {
                self.path = SearchPath::Known(known.catalog.search_path().to_vec());
            }
            self.known = known;
            self.see_exposed();
            if self.survey == FrontSurvey::Asked {
                self.catalog_is_stale = false;
                self.survey = FrontSurvey::Done;
            }
        }
    }

    fn stands_for(&self, operation: &Operation) -> String {
        let (intent, catalog) = (&operation.intent, &self.known.catalog);
        let wants = |actions: &[Action]| intent.accesses.iter().any(|access| actions.contains(&access.action));
        let mut text: String = match wants(&[action::OPAQUE]) {
            true => catalog.stands_for_everything().into(),
            false => catalog.stands_for(intent.names.iter().map(|name| &**name), wants(&[action::CALL, action::DO])),
        };
        if let Some(defined_by) = &self.defined_by {
            text.push_str("\ndefined by=");
            text.extend(defined_by.iter().map(|byte| format!("{byte:02x}")));
        }
        text
    }

    fn outdates_survey(&mut self) -> bool {
        std::mem::take(&mut self.outdates)
    }

    fn remark(&self, text: &str, out: &mut BytesMut) {
        report::notice(text, out);
    }

    fn end(&self, denial: &Denial, out: &mut BytesMut) {
        report::error(denial, Severity::Fatal, out);
    }
}

/// The names and formats of a RowDescription's columns.
pub(crate) fn row_names(body: &[u8]) -> Option<(Vec<String>, Vec<i16>)> {
    let columns = statement::row_description(body)?;
    Some(columns.into_iter().map(|column| (column.name.to_string(), column.format)).unzip())
}
