//! What goes to the target in the place of pseudonyms: in the text of a simple query, and among bind values.
//!
//! Knows where candidates stand and how a text is written there. In a text that stays at the target, as a Parse does, nothing
//! is turned back: its own session could read it there.

use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use gatehouse_model::{Bind, Candidate, CandidateText, Candidates, Phase, Secret};
use gatehouse_protocol::Session as _;

use super::PostgresSession;
use super::statement::{Asked, Prepared};
use crate::analysis::Place;
use crate::frame::{self, Reader, put_cstr};
use crate::value::oid;

impl PostgresSession {
    /// The candidates of what is asked, in the order of the analysis; `None` where there are none, or nothing can be turned
    /// back.
    pub(super) fn candidates(
        &self,
        prepared: &Prepared,
        bound: Option<&[Bind]>,
        phase: Phase,
    ) -> Option<Box<Candidates>> {
        let known = prepared.analysis.candidates.as_ref()?;
        // Of a simple query the text itself is sent, and is gone with it.
        let is_sent = phase == Phase::Run && bound.is_none() && !known.shows_text;
        let is_readable = self.texts_are_utf8();
        // A parameter of any other type is another text, or is cut.
        let is_text = |number| [0, oid::TEXT, oid::VARCHAR].contains(&prepared.parameter_type(number));
        let text = |place: &Place| match place {
            Place::Text(_, text) if is_sent && is_readable => CandidateText::Known(text.to_string()),
            Place::Text(..) => CandidateText::Fixed,
            Place::Bind(_) if phase == Phase::Prepare => CandidateText::Later,
            Place::Bind(number) => match bound.unwrap_or_default().get(*number) {
                Some(Bind::Text(text)) if is_readable && is_text(*number) => CandidateText::Known(text.clone()),
                _ => CandidateText::Fixed,
            },
        };
        // What is written, a trigger keeps wherever it likes.
        let stays = |candidate: &crate::analysis::Candidate| candidate.is_written && known.shows_text;
        let candidate = |candidate: &crate::analysis::Candidate| Candidate {
            classes: candidate.classes.clone(),
            text: if stays(candidate) { CandidateText::Fixed } else { text(&candidate.place) },
            decides: candidate.decides,
        };
        let texts = known.all.iter().map(candidate).collect();
        Some(Box::new(Candidates { intent: known.intent.clone(), texts }))
    }

    /// The one frame of a run, a query or a Bind, with what stands for its candidates; `None` where one cannot be written.
    pub(super) fn turned_back(&self, run: &[u8], values: &[Option<Secret>]) -> Option<BytesMut> {
        let (Asked::Statement(prepared) | Asked::Bound(prepared)) = self.asked.as_ref()?;
        let mut frames = frame::frames(run);
        let frame = frames.next().filter(|frame| frame.len == run.len() && frames.next().is_none())?;
        let places = prepared.analysis.candidates.as_ref()?.all.iter().map(|candidate| &candidate.place);
        let turned = places.zip(values).filter_map(|(place, value)| Some((place, value.as_ref()?.expose())));
        let is_of = |place: &Place| matches!((frame.tag, place), (b'Q', Place::Text(..)) | (b'B', Place::Bind(_)));
        if !turned.clone().all(|(place, _)| is_of(place)) {
            return None;
        }
        let mut out = BytesMut::new();
        match frame.tag {
            b'Q' => {
                let sql = Reader(frame.body).text()?;
                let mut texts: Vec<(Range<usize>, &[u8])> = turned
                    .filter_map(|(place, value)| match place {
                        Place::Text(range, _) => Some((range.clone(), value)),
                        Place::Bind(_) => None,
                    })
                    .collect();
                texts.sort_by_key(|(range, _)| range.start);
                let (mut text, mut at) = (String::with_capacity(sql.len() + 64), 0);
                for (range, value) in texts {
                    text.push_str(sql.get(at..range.start)?);
                    text.push_str(&constant(std::str::from_utf8(value).ok()?));
                    at = range.end;
                }
                text.push_str(sql.get(at..)?);
                frame::write(&mut out, b'Q', |body| put_cstr(body, &text));
            }
            b'B' => {
                let mut binds: Vec<(usize, &[u8])> = turned
                    .filter_map(|(place, value)| match place {
                        Place::Bind(number) => Some((*number, value)),
                        Place::Text(..) => None,
                    })
                    .collect();
                binds.sort_unstable();
                let body = bound(frame.body, &binds)?;
                frame::write(&mut out, b'B', |out| out.put_slice(&body));
            }
            _ => return None,
        }
        Some(out)
    }
}

/// A text as a constant of SQL, which stands for itself however strings are read.
fn constant(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// The body of a Bind with other values at some places.
fn bound(body: &[u8], binds: &[(usize, &[u8])]) -> Option<Vec<u8>> {
    let mut reader = Reader(body);
    let (_portal, _statement) = (reader.text()?, reader.text()?);
    let formats = reader.i16()?.cast_unsigned();
    for _ in 0..formats {
        reader.i16()?;
    }
    let count = reader.i16()?.cast_unsigned();
    if binds.iter().any(|(number, _)| *number >= usize::from(count)) {
        return None;
    }
    let mut out = body.get(..body.len() - reader.0.len())?.to_vec();
    for place in 0..usize::from(count) {
        let value = reader.value()?;
        let value = binds.iter().find(|(number, _)| *number == place).map(|(_, value)| *value).or(value);
        match value {
            Some(value) => {
                out.extend(i32::try_from(value.len()).ok()?.to_be_bytes());
                out.extend_from_slice(value);
            }
            None => out.extend((-1_i32).to_be_bytes()),
        }
    }
    out.extend_from_slice(reader.0);
    Some(out)
}
