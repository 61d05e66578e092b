//! What a protocol is: pure state machines over bytes that read, understand, rewrite and refuse.
//!
//! Nothing here or in a protocol crate holds a socket, a runtime, a clock or configuration, so a protocol cannot
//! write to anything: it says what bytes mean, and the gate decides whether they pass.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_model::{
    Access, Blame, ClassName, ClassifiedField, Column, Denial, Encoding, Intent, Operation, Resource, Secret, Shape,
    TargetName, ValueKind, Verifier,
};

mod exchange;

pub use exchange::{
    Endpoint, Exchanges, Frame, Head, HttpFacts, Tag, field, frames, write_frame, write_frames, write_head,
};

/// One protocol, as the registry holds it.
pub trait Protocol: Send + Sync {
    /// The word that a target's `protocol = "…"` names it by.
    fn name(&self) -> &'static str;

    /// The Cedar schema fragment that declares its entity types and actions.
    fn schema(&self) -> &'static str;

    /// What clients may call it when they begin TLS (RFC 7301).
    fn application_protocols(&self) -> &'static [&'static [u8]];

    /// How its bytes are carried.
    fn carriage(self: Arc<Self>) -> Carriage;

    /// The state of one session between a client and a target.
    fn session(&self, opening: Opening) -> Box<dyn Session>;

    /// The bytes by which a client would ask this, as a person writes it down: what a session makes of them is what the
    /// gateway understands. Nobody sends them.
    fn question(&self, text: &str) -> BytesMut;

    /// What people call a value that is said beside a statement, to the letter or as evidence keeps it; `None` where its
    /// number is its name.
    fn name_of_bind(&self, bind: &str, is_exact: bool) -> Option<&'static str>;

    /// Turns one recorded chunk of what the client saw into lines for a person, without terminal control characters.
    fn transcript(&self) -> Box<dyn Transcript>;
}

/// How a protocol's bytes are carried, and what it must know for that.
pub enum Carriage {
    /// On a connection of its own from the client's login to its end.
    Stream(Arc<dyn StreamProtocol>),
    /// As HTTP messages, each of which says whose it is; a library speaks the wire.
    Exchanges(Arc<dyn Exchanges>),
}

/// A protocol that speaks on a connection of its own.
pub trait StreamProtocol: Protocol {
    /// Faces a new client. `entropy` seeds nonces.
    fn client_login(&self, entropy: Entropy, tls: TlsOffer) -> Box<dyn ClientLogin>;

    /// What a client's wishes for its session want, for policy to decide before the target is dialed; the denial is of
    /// wishes that are not understood. Without accesses there is nothing to decide.
    fn wishes(&self, target: &TargetName, parameters: &[(String, String)]) -> Result<Intent, Denial>;

    /// Faces the target on behalf of the gateway.
    fn target_login(&self, call: TargetCall) -> Box<dyn TargetLogin>;

    /// Faces the target for a connection on which one thing is said and nothing answered, such as a cancel: it is ready
    /// when TLS is as it should be.
    fn knock(&self, tls: TlsWish) -> Box<dyn TargetLogin>;

    /// Reads from a target what the understanding of statements needs; runs on a connection that is logged in.
    fn survey(&self) -> Box<dyn Survey>;

    /// Foretells, over a connection that is logged in, what an operation would do that waits for a person: its facts are a
    /// `Vec<String>`, lines for that person. Nothing of the operation runs. `None` where nothing can be said.
    fn impact(&self, operation: &Operation) -> Option<Box<dyn Survey>>;

    /// The facts of a survey as text, a line for each, the same for the same facts; `None` if they are not this protocol's.
    fn snapshot(&self, facts: &SurveyFacts) -> Option<String>;

    /// The facts that a text tells which [`StreamProtocol::snapshot`] wrote.
    ///
    /// # Errors
    /// The line, from 1, that is none of them, and why.
    fn restore(&self, snapshot: &str) -> Result<SurveyFacts, (usize, String)>;

    /// Why a column that a configuration names, as `schema.table.column`, is not what it is taken for by these facts: it is not
    /// there, or it has no documents where something is said of their fields.
    fn misnamed(&self, facts: &SurveyFacts, column: &str, has_documents: bool) -> Option<String>;

    /// What the order in which the target finds rows would tell of classified values; `None` where it tells nothing.
    fn order(&self, facts: &SurveyFacts, target: &TargetName, classifier: &Arc<dyn Classifier>) -> Option<Arc<Order>>;

    /// Takes the password of the account that is logged in away, from within, and ends its other connections: for an account
    /// that was made for a task, while whoever made it does not end it. It tells no facts.
    fn lock_account(&self) -> Box<dyn Survey>;

    /// The bytes that ask a target to cancel what a session runs, given the key from its [`TargetReady`].
    fn cancel(&self, key: &CancelKey) -> Bytes;
}

/// 32 random bytes, made by the caller.
pub type Entropy = [u8; 32];

/// The peer broke the protocol, or the gateway cannot go on with it; the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Breach {
    /// Who is to blame.
    pub blame: Blame,
    /// What happened, for the operator.
    pub message: String,
    /// What the client is told; `None` when there is no sense in telling it anything.
    pub denial: Option<Box<Denial>>,
}

impl Breach {
    /// The client broke the protocol.
    pub fn client(message: impl Into<String>) -> Self {
        Self { blame: Blame::Client, message: message.into(), denial: None }
    }

    /// The target broke the protocol, or ended the connection.
    pub fn target(message: impl Into<String>) -> Self {
        Self { blame: Blame::Target, message: message.into(), denial: None }
    }

    /// The same, with words for the client.
    #[must_use]
    pub fn telling(mut self, denial: Denial) -> Self {
        self.denial = Some(Box::new(denial));
        self
    }
}

/// The key by which a client or the gateway names a running session to cancel it; opaque outside the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CancelKey(pub Bytes);

/// What a listener can do about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsOffer {
    /// It has no certificate.
    None,
    /// Clients may ask for it.
    Optional,
    /// Clients must ask for it.
    Required,
}

/// A certificate that a client showed, and whose key it proved to hold; a trusted authority vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// What it is for: `uri:…`, `dns:…` and `email:…` of its alternative names, `cn:…` of its subject.
    pub names: Vec<String>,
    /// The authorities that vouch for it, by their names in the configuration.
    pub authorities: Vec<String>,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Until when it is good, in seconds of Unix time.
    pub expires: i64,
}

/// What a TLS handshake came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsStarted {
    /// The server's certificate as channel bindings name it: `tls-server-end-point` of RFC 5929.
    pub endpoint: Option<Bytes>,
    /// The application protocol that both sides agreed on (RFC 7301).
    pub application: Option<Bytes>,
    /// The client's certificate, if it showed one.
    pub client: Option<Arc<ClientCertificate>>,
}

/// How a client is to prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By a password that is never sent. With a verifier that is not real the exchange goes on to its end and then fails, so
    /// that the client cannot tell whether the credential exists.
    Password {
        /// What checks it.
        verifier: Verifier,
        /// Whether it can succeed.
        is_real: bool,
    },
    /// By a token in a password's place, over a connection that nobody else can read.
    PasswordToken,
    /// By a token and a mechanism that is made for it (RFC 7628).
    BearerToken {
        /// Whose tokens are believed, for clients that have to find out.
        issuer: String,
    },
    /// It showed enough when TLS began.
    Shown,
}

/// A client's login, up to the point where it is identified.
pub trait ClientLogin: Send {
    /// Consumes what it can of `buf` and says what comes next.
    fn handle(&mut self, buf: &mut BytesMut) -> Result<ClientStep, Breach>;

    /// Answers [`ClientStep::Verify`].
    fn prove(&mut self, proof: Proof);

    /// Answers [`ClientStep::Shown`], or says what became of [`Proof::Shown`]: the client is let in, or told why not.
    fn recognized(&mut self, outcome: Result<(), Denial>);

    /// The TLS handshake asked for by [`ClientStep::StartTls`] is done.
    fn tls_started(&mut self, tls: TlsStarted) -> Result<(), Breach>;

    /// Writes the native refusal of a login.
    fn refuse(&mut self, denial: &Denial, out: &mut BytesMut);

    /// Makes the key by which the client can cancel what its session runs.
    fn cancel_key(&self, entropy: Entropy, target: &TargetReady) -> CancelKey;

    /// Writes what tells the client that its session is open.
    fn accept(&mut self, target: &TargetReady, cancel: &CancelKey, out: &mut BytesMut);
}

/// What a client's login wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// More bytes.
    Read,
    /// These bytes go to the client.
    Send(Bytes),
    /// These bytes go to the client; then a TLS handshake begins. What is left in the buffer belongs to it.
    StartTls(Bytes),
    /// How this user is to prove who it is, for this target, is needed: see [`ClientLogin::prove`].
    Verify {
        /// The name that the client logs in by.
        user: String,
        /// The target that it names; empty for the only one that its task is for.
        target: String,
    },
    /// The client shows this token or password: see [`ClientLogin::recognized`].
    Shown(Secret),
    /// The client proved who it is. `send` goes to it before anything else.
    Identified {
        /// The last message of the proof.
        send: Bytes,
        /// What it asked for its session, by parameter name.
        parameters: Vec<(String, String)>,
    },
    /// Not a login but the wish to cancel what another connection runs.
    Cancel(CancelKey),
}

/// What a login at the target needs.
pub struct TargetCall {
    /// The account at the target.
    pub user: String,
    /// Its secret.
    pub password: Secret,
    /// The database, or the protocol's like.
    pub database: String,
    /// Parameters that the client asked for, or the survey.
    pub parameters: Vec<(String, String)>,
    /// Who works for whom, for a protocol that can tell the target.
    pub on_behalf: Option<String>,
    /// Whether to ask for TLS.
    pub tls: TlsWish,
    /// Seeds nonces.
    pub entropy: Entropy,
}

/// Whether TLS is asked of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsWish {
    /// Not asked for.
    Disable,
    /// Asked for; done without where the target has none.
    Prefer,
    /// Asked for; without it the login fails.
    Require,
}

/// The gateway's login at a target.
pub trait TargetLogin: Send {
    /// Consumes what it can of `buf`, writes what is to be sent into `out`, and says what comes next.
    /// Called once with an empty `buf` to begin.
    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<TargetStep, Breach>;

    /// The TLS handshake asked for by [`TargetStep::StartTls`] is done.
    fn tls_started(&mut self, tls: TlsStarted, out: &mut BytesMut);
}

/// What a login at the target wants next.
pub enum TargetStep {
    /// More bytes.
    Read,
    /// A TLS handshake.
    StartTls,
    /// Nothing more: the target does not take the account or its password. In its own words, for the operator.
    Refused(String),
    /// It is done.
    Ready(TargetReady),
}

/// What a target said of itself when the login was done.
#[derive(Debug, Clone)]
pub struct TargetReady {
    /// The parameters that it reported, in order.
    pub parameters: Vec<(String, String)>,
    /// How to cancel what this connection runs.
    pub cancel: CancelKey,
}

/// Facts about a target, read by a survey; opaque outside the protocol that made them.
pub type SurveyFacts = Arc<dyn Any + Send + Sync>;

/// Reads facts about a target over a connection that is logged in: again and again, with what it knows of that connection.
pub trait Survey: Send {
    /// What its connection is to be like.
    fn parameters(&self) -> Vec<(String, String)>;

    /// The first question.
    fn question(&self) -> Bytes;

    /// Consumes what it can of the answer and writes further questions to `out`; `Some` when the answer is complete, and
    /// the connection ready for another survey.
    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<Option<SurveyFacts>, Breach>;
}

/// Says which classes a column is of, by configuration and by name.
pub trait Classifier: Send + Sync {
    /// The classes of a column, given its table as `schema.table` and its own name.
    fn column(&self, table: &str, column: &str) -> Vec<ClassName>;
    /// The fields of its documents that are of a class, by configuration, whether or not the column is of one as a whole.
    fn fields(&self, table: &str, column: &str) -> Vec<ClassifiedField>;
    /// Every class there is.
    fn all(&self) -> Vec<ClassName>;
}

/// What a session starts with.
pub struct Opening {
    /// The target, for resource names.
    pub target: TargetName,
    /// The facts of the newest survey.
    pub facts: SurveyFacts,
    /// The classes of its columns.
    pub classifier: Arc<dyn Classifier>,
    /// What the target said of itself.
    pub ready: TargetReady,
    /// What the client asked for its session, as policy permitted it, and what the gateway did.
    pub parameters: Vec<(String, String)>,
    /// Whether the order in which the target finds rows may tell of classified values.
    pub shows_order: bool,
    /// What the gateway shows the target with what is asked for, and what must not come back.
    pub secrets: Vec<Secret>,
    /// What the sessions of one task at one target have in common, and no others know.
    pub bond: Secret,
    /// The largest frame that is held whole, in bytes.
    pub frame_bytes_max: usize,
}

/// What the order in which a target finds rows tells of classified values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What somebody must be permitted who may see it.
    pub tells: Vec<Access>,
    /// The parameters, by name and value, of a session in which it tells nothing.
    pub hidden_by: Vec<(String, String)>,
}

/// From whom bytes come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client, towards the target.
    Client,
    /// From the target, towards the client.
    Target,
}

/// What is at the front of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Not enough to tell: this many bytes are needed in all.
    Read {
        /// The length that the buffer must reach.
        at_least: usize,
    },
    /// The target's answers to what was sent before must come first.
    Wait,
    /// Newer facts about the target must come first: see [`Session::surveyed`].
    Survey,
    /// A run of frames of one meaning.
    Run {
        /// How many bytes it has.
        len: usize,
        /// How many more bytes the last of its frames has, which have not been read: they go where the run goes.
        tail: u64,
        /// What it means.
        meaning: Meaning,
    },
}

/// What a run of frames means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Neither asks nor tells anything by itself.
    Plumbing,
    /// Asks for something.
    Act(Box<Operation>),
    /// Asks for something that was not understood, so it cannot be decided and does not pass.
    Misunderstood(Box<Misunderstood>),
    /// Tells something: values of this shape.
    Content(Arc<Shape>),
    /// Goes no further; the protocol answers in its place with its own words, which hold nothing of the run.
    Local,
}

/// A request that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misunderstood {
    /// What kind of request it was, for listings.
    pub title: String,
    /// What the client is told.
    pub denial: Denial,
}

/// What a session writes in the gateway's own words.
#[derive(Debug, Default)]
pub struct Reply {
    /// For the client.
    pub to_client: BytesMut,
    /// For the target: only ever what undoes or ends, such as the abort of a transaction whose statement was refused.
    pub to_target: BytesMut,
}

/// One session's state. It never sees a socket; what it writes passes through the gate.
pub trait Session: Send {
    /// Says what is at the front of `buf`, without consuming it. An unknown frame is a [`Breach`].
    fn inspect(&mut self, side: Side, buf: &[u8]) -> Result<Step, Breach>;

    /// How long the frame at the front is, which was given with a tail and must be held whole to be edited. A breach if
    /// that is more than may be held.
    fn whole(&self, buf: &[u8]) -> Result<usize, Breach>;

    /// The run goes on: moves the state past it and writes what is to be sent, which is the run itself but for
    /// frames that the protocol adds for its own understanding.
    fn pass(&mut self, side: Side, run: &Bytes, out: &mut BytesMut) -> Passed;

    /// Content goes on with edits.
    fn rewrite(
        &mut self,
        shape: &Shape,
        run: &Bytes,
        editor: &mut dyn Editor,
        out: &mut BytesMut,
    ) -> Result<(), Breach>;

    /// The run at the front of the client's bytes does not go on: writes the native "no".
    fn refuse(&mut self, run: &Bytes, denial: &Denial, reply: &mut Reply);

    /// Why the run that [`Session::inspect`] gave last, with a tail and of this title, cannot wait for a person: names the limit that
    /// kept it from being held whole.
    fn unheld(&self, title: &str) -> Denial;

    /// A run of the client's that is held, in two: its body may then lie elsewhere while a person decides. `None` where all of it
    /// waits as it is.
    fn part(&self, _run: &Bytes) -> Option<Parted> {
        None
    }

    /// The run again, of what [`Session::part`] made of it.
    fn join(&self, outline: &Bytes, _body: &[u8]) -> Bytes {
        outline.clone()
    }

    /// A run of [`Meaning::Local`]: moves the state past it and writes the answer in its place.
    fn answer(&mut self, side: Side, run: &Bytes, reply: &mut Reply);

    /// The columns that would come back for the run at the front of the client's bytes, which [`Session::inspect`] found to
    /// ask for something; `None` where that shows only when they come. One whose name is `*` stands for any number.
    fn foreseen(&self) -> Option<Vec<Column>> {
        None
    }

    /// The shape of what comes back for what the client asks next, where that can be looked into in whole alone; `None` where a part
    /// of it will do.
    fn unparted(&self) -> Option<Arc<Shape>> {
        None
    }

    /// Whether what was asked before the front is part of something that is not committed, and holds locks at the target.
    fn is_in_transaction(&self) -> bool {
        false
    }

    /// What is to go to the target in the place of the texts in the run at the front that an operation named as candidates,
    /// each where there is something; it counts until the run passes or is refused. False if that cannot be: then all
    /// goes on as the client wrote it.
    fn turn_back(&mut self, _run: &[u8], _values: &[Option<Secret>]) -> bool {
        false
    }

    /// Whether the texts that come from the target are UTF-8 for certain: only then is one the same text when it is sent.
    fn texts_are_utf8(&self) -> bool {
        false
    }

    /// How many bytes of what was taken are kept back until more comes.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Whether more of what the target says is only kept, until its end is here: that takes no time before.
    fn keeps_all(&self) -> bool {
        false
    }

    /// How many rows the client was sent so far.
    fn rows(&self) -> u64;

    /// The turn that the run at the front belongs to: how many times the client had asked for everything to be answered before
    /// it. Within one turn, answers come in the order of what was asked, and once something of it fails none come any more.
    /// `None` where everything is answered before the next is asked.
    fn turn(&self) -> Option<u64> {
        None
    }

    /// The run at the front, which is about to pass, is the operation of this number.
    fn numbered(&mut self, _number: u64) {}

    /// Tells what the runs that passed since this was asked last have the target run or describe, in the order in which it answers.
    /// A protocol that has no turns says nothing of it: there, what was asked last is what runs.
    fn tell_started(&mut self, _tell: &mut dyn FnMut(Started)) {}

    /// True when all that was asked before the run at the front is answered, so that a refusal would stand in order.
    fn is_quiet(&self) -> bool;

    /// True once the client has said that it leaves, so that the target closes the connection for its sake.
    fn has_left(&self) -> bool;

    /// Whether the client says that it leaves in these bytes, which come next and were not looked at: now, or after what it asks
    /// for before that.
    fn leaves(&self, _buf: &[u8]) -> bool {
        false
    }

    /// Whether the target may still be at something that it was sent.
    fn awaits_answers(&self) -> bool {
        true
    }

    /// Newer facts, after [`Step::Survey`].
    fn surveyed(&mut self, facts: SurveyFacts);

    /// What an operation's names stand for by the newest facts: a text that is the same as long as they stand for the same.
    fn stands_for(&self, operation: &Operation) -> String;

    /// Whether something ran, since this was asked last, after which a survey tells something else.
    fn outdates_survey(&mut self) -> bool;

    /// Writes a remark that does not disturb the exchange, such as that an operation waits for a person.
    fn remark(&self, text: &str, out: &mut BytesMut);

    /// Writes the last message of a session that is ended.
    fn end(&self, denial: &Denial, out: &mut BytesMut);
}

/// A run in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// What is enough to refuse it.
    pub outline: Bytes,
    /// What it carries, of which there is some.
    pub body: Vec<u8>,
}

/// Something that the target was told to run, or to describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The number of the operation that it was asked by, where that is known.
    pub number: Option<u64>,
    /// The turn in which it is answered: see [`Session::turn`].
    pub turn: u64,
    /// Nothing runs: only what the operation gives is told.
    pub is_description: bool,
}

/// How a passed run is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passed {
    /// As it is; nothing was written to `out`.
    AsIs,
    /// What was written to `out` stands for it.
    Written,
}

/// One value of a run of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its place among the shape's columns.
    pub column: usize,
    /// What it is.
    pub kind: ValueKind,
    /// How it is written.
    pub encoding: Encoding,
    /// Its bytes; `None` for an absent value.
    pub value: Option<&'a [u8]>,
}

/// What becomes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It stays.
    Keep,
    /// It becomes absent.
    Null,
    /// It becomes what was written to the editor's output.
    Replace,
}

/// Decides what becomes of each value.
pub trait Editor {
    /// Looks at one value and, for [`Edit::Replace`], writes the new one to `out`.
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit;

    /// Whether something that the target offers is shown: whether whoever asked may do it, at once or after a person's word.
    fn offers(&mut self, access: &Access) -> bool;

    /// What is shown of the target's description of something that it offers, which is to be the same each time.
    fn describes(&mut self, resource: &Resource, description: &str) -> Told;
}

/// What is shown of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It.
    AsIs,
    /// What it was before it changed.
    Instead(Arc<str>),
    /// Nothing, nor what it describes.
    Not,
}

/// Makes an archive of a recording, in the form that the tools of its protocol read.
pub trait Archive {
    /// What the records of the session's operations say of them besides what the recording marks, by their numbers. It comes
    /// before the marks of these.
    fn records(&mut self, said: BTreeMap<u64, Vec<String>>);

    /// What was asked, as the recording marks it, so many microseconds after the session began.
    fn mark(&mut self, at: u64, text: &str);

    /// Takes the next bytes that went to the client.
    fn seen(&mut self, at: u64, bytes: &[u8]);

    /// The archive; `time` is when so many microseconds after the session began was: by RFC 3339, and in seconds since 1970.
    fn finish(&mut self, time: &dyn Fn(u64) -> (String, f64)) -> String;
}

/// Something that a client saw, as a person reads it. Texts are as they were: whoever shows them sees to what a terminal or a
/// page would make of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The names of the columns of the rows that follow, or of what was described; none where that gives no rows.
    Columns(Vec<String>),
    /// A row; a value that is no text is described, one that is not there is `None`.
    Row(Vec<Option<String>>),
    /// An answer came to its end.
    Done(String),
    /// An error, or a refusal.
    Problem(String),
    /// A notice, or a notification.
    Note(String),
    /// What an answer begins with: its status.
    Head(String),
    /// A named field of that.
    Field(String, String),
    /// A line of a text.
    Text(String),
    /// What was to be prepared is.
    Prepared,
    /// What was to be bound, to be run later, is.
    Bound,
    /// All that was asked together is answered, and it is the client's turn.
    Turn,
}

/// Reads a recording for a person.
pub trait Transcript: Send {
    /// Takes the next bytes that went to the client and returns what they show.
    fn show(&mut self, bytes: &[u8]) -> Vec<Seen>;
}
