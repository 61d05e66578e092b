//! Reads the catalog of a target over a connection of the gateway's own.
//!
//! Knows how a simple query is answered. What is asked and what the rows mean is for the two below.

mod answer;
mod question;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_protocol::{Breach, Survey, SurveyFacts};

use crate::frame::{self, Peek, Reader, put_cstr};
use crate::reading::Known;
use crate::target_login::error_text;

use answer::{Builder, Kept};
use question::{CATALOG, DEFINITIONS, Topic};

/// No row of the catalog is longer, in bytes; the longest are definitions of views.
const CATALOG_ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection's surveys, one after the other.
#[derive(Default)]
pub(crate) struct PostgresSurvey {
    kept: Kept,
    builder: Builder,
    /// How many statements of the question at hand are answered.
    answered: usize,
    asked_for_definitions: bool,
}

impl Survey for PostgresSurvey {
    fn parameters(&self) -> Vec<(String, String)> {
        let parameters = [("application_name", "gatehouse survey"), ("client_encoding", "UTF8")];
        parameters.map(|(name, value)| (name.into(), value.into())).into()
    }

    fn question(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.ask(&CATALOG, &mut out);
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
                    b'Z' if self.asked_for_definitions => return self.finish().map(Some),
                    b'Z' => {
                        self.asked_for_definitions = true;
                        self.answered = 0;
                        self.ask(&DEFINITIONS, out);
                    }
                    // Somebody changes a table right now: what is not defined is not known, and so not shown.
                    b'E' if self.asked_for_definitions => {}
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
    fn ask(&self, topics: &[Topic], out: &mut BytesMut) {
        let words = question::words(topics, |topic| self.kept.asked_with(topic, &self.builder));
        frame::write(out, b'Q', |body| put_cstr(body, &words));
    }

    /// What is answered now.
    fn topic(&self) -> Option<Topic> {
        let asked = if self.asked_for_definitions { &DEFINITIONS[..] } else { &CATALOG[..] };
        asked.get(self.answered).copied()
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
        (self.answered, self.asked_for_definitions) = (0, false);
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
