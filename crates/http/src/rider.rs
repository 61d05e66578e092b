//! What rides on HTTP: a protocol whose messages are, to HTTP, mere bodies.

use std::sync::Arc;

use gatehouse_model::{Access, Denial, Effect, Facts};
use gatehouse_protocol::Editor;

use crate::columns::Columns;

/// Understands the messages that requests and answers carry.
pub trait Rider: Send {
    /// What a field of a request is to the target, where it knows it otherwise than its client; the denial is of one that is
    /// another's.
    fn taken(&self, name: &str, value: &[u8]) -> Result<Option<Vec<u8>>, Denial>;

    /// What a field of an answer is to the client, where it is to know it otherwise than the target.
    fn given(&self, name: &str, value: &[u8]) -> Option<Vec<u8>>;

    /// What a request asks for, in place of its method and path; the denial is of one that is not understood.
    fn read(&mut self, request: &Carrying<'_>) -> Result<Asked, Denial>;

    /// Looks at a message of the target before it is masked: at a JSON text, or an event's.
    fn screen(&mut self, json: &[u8], editor: &mut dyn Editor) -> Screened;

    /// How the refusal of what was read last is told, as JSON; `None` where HTTP's own words do.
    fn refusal(&self, denial: &Denial) -> Option<String>;
}

/// A request, as far as it matters to what rides on it.
#[derive(Debug, Clone, Copy)]
pub struct Carrying<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// A JSON body that is there in whole and has no field twice; `None` for any other, and where there is none.
    pub json: Option<&'a [u8]>,
    /// Whether there is a body of whatever kind.
    pub has_body: bool,
    /// Its fields, with names in small letters.
    pub fields: &'a [(String, Vec<u8>)],
}

/// What it asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// A word or two for listings.
    pub title: String,
    /// What is asked, to the letter, but for what differs with every try.
    pub statement: Arc<str>,
    /// Everything that it wants.
    pub accesses: Vec<Access>,
    /// What policies can test, besides what HTTP says of it.
    pub facts: Facts,
    /// Whether it can change the target.
    pub effect: Effect,
}

/// What is shown of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Screened {
    /// All of it.
    Kept,
    /// This in its place.
    Changed(Vec<u8>),
    /// This in its place, in which names of fields say nothing of what is classified: what is found in it is masked.
    Described(Vec<u8>),
    /// Nothing.
    Dropped,
    /// It is not understood, and the answer ends there.
    Unreadable,
}

/// What bodies are read with.
pub(crate) struct Reader<'r> {
    pub(crate) columns: &'r mut Columns,
    pub(crate) rider: Option<&'r mut (dyn Rider + 'static)>,
}
