//! HTTP without any IO: what a request asks for, in one form, and what of an answer may be seen.
//!
//! Speaks the frames of `gatehouse_protocol`, never HTTP's own wires: a library does that. Must not know policies, sockets or
//! who asks.

mod address;
mod answer;
mod body;
mod coding;
mod columns;
mod csv;
mod endpoint;
mod form;
mod graphql;
mod har;
mod head;
mod json;
mod links;
mod own;
mod parts;
mod pem;
mod refusal;
mod reply;
mod request;
mod rider;
mod said;
mod seal;
mod session;
mod tags;
#[cfg(test)]
mod tests;
mod transcript;

use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_model::TargetName;
use gatehouse_protocol::{
    Archive, Carriage, Exchanges, HttpFacts, Opening, Protocol, Session, SurveyFacts, Tag, Transcript, write_frame,
    write_head,
};

/// HTTP, as the registry holds it.
#[derive(Debug, Default)]
pub struct Http;

pub use address::folded_path;
pub use json::members;
pub use reply::shows_all;
pub use request::goes_on;
pub use rider::{Asked, Carrying, Rider, Screened};
pub use said::folded;

impl Protocol for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn schema(&self) -> &'static str {
        include_str!("http.cedarschema")
    }

    fn application_protocols(&self) -> &'static [&'static [u8]] {
        &[b"h2", b"http/1.1"]
    }

    fn carriage(self: Arc<Self>) -> Carriage {
        Carriage::Exchanges(self)
    }

    fn session(&self, opening: Opening) -> Box<dyn Session> {
        session(opening, None)
    }

    fn question(&self, text: &str) -> BytesMut {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().trim();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields: Vec<(String, &str)> =
            fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim())).collect();
        whole_request(first, fields.iter().map(|(name, value)| (name.as_str(), *value)), body)
    }

    fn name_of_bind(&self, bind: &str, is_exact: bool) -> Option<&'static str> {
        Some(name_of_bind(bind, is_exact))
    }

    fn transcript(&self) -> Box<dyn Transcript> {
        transcript()
    }
}

/// The frames of a request that is there in whole.
pub fn whole_request<'f>(first: &str, fields: impl Iterator<Item = (&'f str, &'f str)>, body: &str) -> BytesMut {
    let mut out = BytesMut::new();
    let fields = fields.map(|(name, value)| (name, value.as_bytes()));
    write_head(Tag::Request, Some(first.as_bytes()), fields, &mut out);
    if !body.is_empty() {
        write_frame(Tag::Body, body.as_bytes(), &mut out);
    }
    write_head(Tag::End, None, std::iter::empty(), &mut out);
    out
}

/// A session of HTTP, or of what rides on it.
pub fn session(opening: Opening, rider: Option<Box<dyn Rider>>) -> Box<dyn Session> {
    let facts = opening.facts.clone().downcast::<HttpFacts>().unwrap_or_default();
    Box::new(session::HttpSession::new(opening, facts, rider))
}

/// What makes HTTP archives of recordings of HTTP, and of what rides on it.
pub fn archive(target: &TargetName) -> Box<dyn Archive> {
    Box::new(har::HttpArchive::new(target))
}

/// What people call what a request has besides its first line. To the letter there is its body alone.
pub fn name_of_bind(bind: &str, is_exact: bool) -> &'static str {
    if !is_exact && head::read(bind).is_some() { "fields of the head" } else { "body" }
}

/// What recordings of HTTP, and of what rides on it, are read by.
pub fn transcript() -> Box<dyn Transcript> {
    Box::new(transcript::HttpTranscript::default())
}

impl Exchanges for Http {
    fn learn(&self, _: &TargetName, described: HttpFacts) -> Result<SurveyFacts, &'static str> {
        if described.endpoint.is_some() {
            return Err("path");
        }
        Ok(Arc::new(described))
    }

    fn archive(&self, target: &TargetName) -> Box<dyn Archive> {
        archive(target)
    }
}
