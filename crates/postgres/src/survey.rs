//! Reads the catalog of a target over a connection of the gateway's own.
//!
//! Knows how a simple query is answered. What is asked and what the rows mean is for the two below.

mod answer;
mod question;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_protocol::{Breach, Survey, SurveyFacts};

use crate::frame::{self, Peek, Reader, put_cstr};
use crate::reading::Known;
use crate::target_login::{error_code, error_text};

use answer::{Builder, Kept};
use question::{CATALOG, Topic};

/// No row of the catalog is longer, in bytes; the longest are definitions of views.
const CATALOG_ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often what cannot be printed is looked for among others. What is not found by then stays unknown, and so does what stands
/// beside it.
const FAILURES_MAX: usize = 256;
/// PostgreSQL's code for a lock that was waited for too long.
const LOCK_NOT_AVAILABLE: &[u8] = b"55P03";

/// A connection's surveys, one after the other.
#[derive(Default)]
pub(crate) struct PostgresSurvey {
    kept: Kept,
    builder: Builder,
    /// Whether the catalog is read, and what is printed by the server is asked for.
    knows_catalog: bool,
    /// What is to be printed, in messages of their own, as they were asked.
    prints: VecDeque<Print>,
    /// How many statements of the message at hand are answered.
    answered: usize,
    /// Why the message at hand was not answered whole.
    failure: Option<Failure>,
    failures: usize,
}

/// What the server prints of some relations. One that it cannot print must not hide the others, so that it is looked for.
struct Print {
    topic: Topic,
    of: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Somebody changes it right now.
    Locked,
    Other,
}

impl Survey for PostgresSurvey {
    fn parameters(&self) -> Vec<(String, String)> {
        let parameters = [("application_name", "gatehouse survey"), ("client_encoding", "UTF8")];
        parameters.map(|(name, value)| (name.into(), value.into())).into()
    }

    fn question(&self) -> Bytes {
        let words = question::words(&CATALOG, |topic| self.kept.stamp(topic).to_owned());
        let mut out = BytesMut::new();
        frame::write(&mut out, b'Q', |body| put_cstr(body, &words));
        out.freeze()
    }

    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<Option<SurveyFacts>, Breach> {
        loop {
            let len = match frame::peek(buf, CATALOG_ROW_BYTES_MAX, Breach::target)? {
                Peek::Short(_) | Peek::Large(..) => return Ok(None),
                Peek::Whole(frame) => frame.len,
            };
            let whole = buf.split_to(len);
            for frame in frame::frames(&whole) {
                match frame.tag {
                    b'D' => self.row(frame.body)?,
                    b'C' => self.answered += 1,
                    b'Z' => {
                        self.end_message(out)?;
                        if self.knows_catalog && self.prints.is_empty() {
                            return self.finish().map(Some);
                        }
                    }
                    b'E' if self.knows_catalog => {
                        let is_locked = error_code(frame.body) == Some(LOCK_NOT_AVAILABLE);
                        self.failure = Some(if is_locked { Failure::Locked } else { Failure::Other });
                    }
                    b'E' => {
                        return Err(Breach::target(format!(
                            "the catalog could not be read: {}",
                            error_text(frame.body)
                        )));
                    }
                    _ => {}
                }
            }
        }
    }
}

impl PostgresSurvey {
    fn end_message(&mut self, out: &mut BytesMut) -> Result<(), Breach> {
        let answered = std::mem::take(&mut self.answered);
        if self.knows_catalog {
            self.end_print(out);
            return Ok(());
        }
        if answered != CATALOG.len() {
            return Err(Breach::target("the catalog was not told whole"));
        }
        self.knows_catalog = true;
        self.print(Topic::Expressions, self.builder.computed_relations(), out);
        self.print(Topic::Definitions, self.kept.views_to_read(&self.builder), out);
        Ok(())
    }

    fn print(&mut self, topic: Topic, of: Vec<u32>, out: &mut BytesMut) {
        let list = of.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let words = question::words(&[Topic::PrintSettings, topic], |_| format!("{{{list}}}"));
        frame::write(out, b'Q', |body| put_cstr(body, &words));
        self.prints.push_back(Print { topic, of });
    }

    /// What could not be printed, among others, is asked for in two halves. What is not printed is not known, and so not shown.
    fn end_print(&mut self, out: &mut BytesMut) {
        let (print, failure) = (self.prints.pop_front(), self.failure.take());
        let Some(Print { topic, of }) = print.filter(|print| failure == Some(Failure::Other) && print.of.len() > 1)
        else {
            return;
        };
        self.failures += 1;
        if self.failures <= FAILURES_MAX {
            let (first, second) = of.split_at(of.len() / 2);
            self.print(topic, first.to_vec(), out);
            self.print(topic, second.to_vec(), out);
        }
    }

    /// What is answered now.
    fn topic(&self) -> Option<Topic> {
        match self.prints.front() {
            Some(print) => [Topic::PrintSettings, print.topic].get(self.answered).copied(),
            None => CATALOG.get(self.answered).copied(),
        }
    }

    fn row(&mut self, body: &[u8]) -> Result<(), Breach> {
        let topic = self.topic().ok_or_else(|| Breach::target("the catalog tells more than was asked"))?;
        let mut reader = Reader(body);
        let count = reader.i16().unwrap_or(0);
        let fields: Option<Vec<Option<&[u8]>>> = (0..count).map(|_| reader.value()).collect();
        let fields = fields.ok_or_else(|| Breach::target("a row of the catalog is malformed"))?;
        self.builder
            .row(topic, &fields)
            .map_err(|error| Breach::target(format!("a row of the catalog is not understood: {error}")))
    }

    fn finish(&mut self) -> Result<SurveyFacts, Breach> {
        let catalog = std::mem::take(&mut self.builder)
            .finish(&mut self.kept)
            .map_err(|error| Breach::target(format!("the catalog is not understood: {error}")))?;
        (self.knows_catalog, self.failures) = (false, 0);
        Ok(Arc::new(Known::new(catalog)))
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::Blame;

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_is_the_targets_fault() {
        let hears = |length: usize| {
            PostgresSurvey::default()
                .handle(&mut frame::head_of(b'D', length), &mut BytesMut::new())
                .map(|facts| facts.is_some())
        };
        assert_eq!(hears(CATALOG_ROW_BYTES_MAX), Ok(false));
        assert_eq!(hears(CATALOG_ROW_BYTES_MAX + 1).unwrap_err().blame, Blame::Target);
    }
}
