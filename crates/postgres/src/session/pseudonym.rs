//! What goes to the target in the place of pseudonyms: in the text of a simple query, and among bind values.
//!
//! Knows where candidates stand and how a text, a UUID or an array of them is written there. In a text that stays at the target,
//! as a Parse does, nothing is turned back: its own session could read it there.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use gatehouse_model::{Bind, Candidate, CandidateText, Candidates, FactValue, Intent, Phase, Secret};
use gatehouse_protocol::Session as _;

use super::PostgresSession;
use super::ask::BindMessage;
use super::statement::{Asked, Prepared};
use crate::analysis::{self, CANDIDATES_MAX, CandidateForm, Place};
use crate::array::{self, Array};
use crate::frame::{self, Reader, put_cstr};
use crate::value::{self, oid};

/// The format of a bind value that is its binary form.
const BINARY: i16 = 1;
/// What a client can do where several pseudonyms need `probe` for the order of what they find.
const ORDER_REMEDY: &str = "Rows that several pseudonyms find may come in the order of what these stand for: select columns \
    of the one table in the order of one that is unique, such as the primary key, with nothing computed from rows, or ask for \
    one pseudonym a statement";

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
        let (mut texts, mut ranges) = (Vec::new(), Vec::with_capacity(known.all.len()));
        for candidate in &known.all {
            let found: Vec<CandidateText> = match self.standing(prepared, candidate, bound, phase) {
                Standing::Texts(array) => array.elements.into_iter().flatten().map(CandidateText::Known).collect(),
                Standing::Unknown(text) => vec![text],
            };
            let of = |text| Candidate { classes: candidate.classes.clone(), text, decides: candidate.decides };
            let start = texts.len();
            texts.extend(found.into_iter().map(of));
            ranges.push(start..texts.len());
            if texts.len() > CANDIDATES_MAX {
                return None;
            }
        }
        let are_compared = known.together.iter().any(|together| {
            let ranges = together.iter().filter_map(|number| ranges.get(*number));
            are_several(ranges.filter_map(|range| texts.get(range.clone())).flatten())
        });
        if are_compared {
            // They are turned back, but what is wanted is no less than by guesses.
            let intent = prepared.analysis.intent.clone();
            return Some(Box::new(Candidates { intent, texts, remedy: Some(ORDER_REMEDY) }));
        }
        let deciding = texts.iter().filter(|text| text.decides).count();
        Some(Box::new(Candidates { intent: counting(&known.intent, deciding), texts, remedy: None }))
    }

    /// What stands at a candidate's place.
    fn standing(
        &self,
        prepared: &Prepared,
        candidate: &analysis::Candidate,
        bound: Option<&[Bind]>,
        phase: Phase,
    ) -> Standing {
        let shows_text = prepared.analysis.candidates.as_ref().is_none_or(|known| known.shows_text);
        // What is written, a trigger keeps wherever it likes.
        if candidate.is_written && shows_text {
            return Standing::Unknown(CandidateText::Fixed);
        }
        let array = match &candidate.place {
            // Of a simple query the text itself is sent, and is gone with it.
            Place::Text(_, text) if phase == Phase::Run && bound.is_none() && !shows_text => of_text(candidate, text),
            Place::Text(..) => None,
            Place::Bind(_) if phase == Phase::Prepare => return Standing::Unknown(CandidateText::Later),
            // A parameter of any other type is another text, or is cut.
            Place::Bind(number) if types_of(candidate).contains(&prepared.parameter_type(*number)) => {
                match bound.unwrap_or_default().get(*number) {
                    Some(Bind::Text(text)) => of_text(candidate, text),
                    Some(Bind::Binary(bytes)) => of_bytes(candidate, bytes),
                    // Nothing is equal to it.
                    Some(Bind::Null) => Some(Array { kind: 0, elements: vec![None] }),
                    None => None,
                }
            }
            Place::Bind(_) => None,
        };
        let array = array.filter(|_| self.texts_are_utf8());
        array.map_or(Standing::Unknown(CandidateText::Fixed), Standing::Texts)
    }

    /// The one frame of a run, a query or a Bind, with what stands for its candidates; `None` where one cannot be written.
    pub(super) fn turned_back(&self, run: &[u8], values: &[Option<Secret>]) -> Option<BytesMut> {
        let (Asked::Statement(prepared) | Asked::Bound(prepared)) = self.asked.as_ref()?;
        let mut frames = frame::frames(run);
        let frame = frames.next().filter(|frame| frame.len == run.len() && frames.next().is_none())?;
        let bind = match frame.tag {
            b'Q' => None,
            b'B' => Some(BindMessage::read(frame.body)?),
            _ => return None,
        };
        let binds = bind.as_ref().map(|bind| bind.values(prepared));
        let turned = self.turned_arrays(prepared, binds.as_deref(), values)?;
        let mut out = BytesMut::new();
        match &bind {
            None => {
                let text = turned_text(Reader(frame.body).text()?, &turned)?;
                frame::write(&mut out, b'Q', |body| put_cstr(body, &text));
            }
            Some(bind) => {
                let mut binds = Vec::with_capacity(turned.len());
                for (candidate, array) in &turned {
                    let Place::Bind(number) = &candidate.place else { return None };
                    let is_binary = bind.format(*number) == BINARY;
                    let value = if is_binary { as_bytes(candidate, array)? } else { as_text(candidate, array)?.into() };
                    binds.push((*number, value));
                }
                let body = bound(frame.body, &binds)?;
                frame::write(&mut out, b'B', |out| out.put_slice(&body));
            }
        }
        Some(out)
    }

    /// The candidates of which any is turned back, each with what stands there then. The values are those of all, one after the
    /// other.
    fn turned_arrays<'p>(
        &self,
        prepared: &'p Prepared,
        bound: Option<&[Bind]>,
        values: &[Option<Secret>],
    ) -> Option<Vec<(&'p analysis::Candidate, Array)>> {
        let (mut turned, mut values) = (Vec::new(), values.iter());
        for candidate in &prepared.analysis.candidates.as_ref()?.all {
            let Standing::Texts(mut array) = self.standing(prepared, candidate, bound, Phase::Run) else {
                if values.next()?.is_some() {
                    return None;
                }
                continue;
            };
            let mut is_turned = false;
            for element in array.elements.iter_mut().flatten() {
                if let Some(value) = values.next()? {
                    *element = value.expose().to_vec();
                    is_turned = true;
                }
            }
            if is_turned {
                turned.push((candidate, array));
            }
        }
        Some(turned)
    }
}

/// Whether texts are not all the same. Of those that come later that is asked when they have come.
fn are_several<'t>(texts: impl Iterator<Item = &'t Candidate>) -> bool {
    let mut known = texts.filter_map(|candidate| match &candidate.text {
        CandidateText::Known(text) => Some(text),
        CandidateText::Later | CandidateText::Fixed => None,
    });
    let first = known.next();
    known.any(|text| Some(text) != first)
}

/// What stands at a candidate's place.
enum Standing {
    /// Of a list its elements, of anything else one.
    Texts(Array),
    /// What cannot be told, or cannot be turned back.
    Unknown(CandidateText),
}

/// The same, by so many texts that decide.
fn counting(intent: &Arc<Intent>, deciding: usize) -> Arc<Intent> {
    let count = FactValue::Long(i64::try_from(deciding).unwrap_or(i64::MAX));
    if intent.facts.get("pseudonyms") == Some(&count) {
        return intent.clone();
    }
    let mut intent = (**intent).clone();
    intent.facts.insert("pseudonyms", count);
    Arc::new(intent)
}

/// The types of parameters in which a candidate stays as it is; 0 where the client leaves it to the target.
fn types_of(candidate: &analysis::Candidate) -> &'static [u32] {
    match (candidate.form, candidate.is_list) {
        (CandidateForm::Text, false) => &[0, oid::TEXT, oid::VARCHAR],
        (CandidateForm::Text, true) => &[0, oid::TEXTS, oid::VARCHARS],
        (CandidateForm::Uuid, false) => &[0, oid::UUID],
        (CandidateForm::Uuid, true) => &[0, oid::UUIDS],
    }
}

/// The types of elements in the binary form of an array.
fn is_element(form: CandidateForm, kind: u32) -> bool {
    match form {
        CandidateForm::Text => [oid::TEXT, oid::VARCHAR].contains(&kind),
        CandidateForm::Uuid => kind == oid::UUID,
    }
}

/// What is written as a text.
fn of_text(candidate: &analysis::Candidate, text: &str) -> Option<Array> {
    let texts = if candidate.is_list { array::parse(text, CANDIDATES_MAX)? } else { vec![Some(text.to_owned())] };
    let element = |text: Option<String>| match (text, candidate.form) {
        (None, _) => Some(None),
        (Some(text), CandidateForm::Text) => Some(Some(text.into_bytes())),
        (Some(text), CandidateForm::Uuid) => value::uuid_of(&text).map(|uuid| Some(uuid.to_vec())),
    };
    let elements: Option<Vec<_>> = texts.into_iter().map(element).collect();
    Some(Array { kind: 0, elements: elements? })
}

/// What is in binary form. A text by itself was read by `value::bind` already.
fn of_bytes(candidate: &analysis::Candidate, bytes: &[u8]) -> Option<Array> {
    let is_fit = |element: &[u8]| match candidate.form {
        CandidateForm::Text => std::str::from_utf8(element).is_ok(),
        CandidateForm::Uuid => element.len() == 16,
    };
    if candidate.is_list {
        let array = Array::parse_binary(bytes, CANDIDATES_MAX)?;
        let is_plain = array.elements.iter().flatten().all(|element| is_fit(element));
        return (is_element(candidate.form, array.kind) && is_plain).then_some(array);
    }
    let is_uuid = candidate.form == CandidateForm::Uuid && is_fit(bytes);
    is_uuid.then(|| Array { kind: 0, elements: vec![Some(bytes.to_vec())] })
}

/// What stands at a candidate's place, as a text.
fn as_text(candidate: &analysis::Candidate, array: &Array) -> Option<String> {
    let text = |element: &[u8]| match candidate.form {
        CandidateForm::Text => std::str::from_utf8(element).ok().map(str::to_owned),
        CandidateForm::Uuid => value::uuid(element.try_into().ok()?),
    };
    if !candidate.is_list {
        return text(array.elements.first()?.as_deref()?);
    }
    let element = |element: &Option<Vec<u8>>| match element {
        Some(element) => text(element).map(Some),
        None => Some(None),
    };
    let elements: Option<Vec<_>> = array.elements.iter().map(element).collect();
    Some(array::write(&elements?))
}

/// The same in binary form.
fn as_bytes(candidate: &analysis::Candidate, array: &Array) -> Option<Vec<u8>> {
    if candidate.is_list { array.write_binary() } else { array.elements.first()?.clone() }
}

/// The text of a query with other constants at some places.
fn turned_text(sql: &str, turned: &[(&analysis::Candidate, Array)]) -> Option<String> {
    let mut texts: Vec<(&Range<usize>, String)> = Vec::with_capacity(turned.len());
    for (candidate, array) in turned {
        let Place::Text(range, _) = &candidate.place else { return None };
        texts.push((range, constant(&as_text(candidate, array)?)));
    }
    texts.sort_by_key(|(range, _)| range.start);
    let (mut text, mut at) = (String::with_capacity(sql.len() + 64), 0);
    for (range, constant) in texts {
        text.push_str(sql.get(at..range.start)?);
        text.push_str(&constant);
        at = range.end;
    }
    text.push_str(sql.get(at..)?);
    Some(text)
}

/// A text as a constant of SQL, which stands for itself however strings are read.
fn constant(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// The body of a Bind with other values at some places.
fn bound(body: &[u8], binds: &[(usize, Vec<u8>)]) -> Option<Vec<u8>> {
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
        let turned = binds.iter().find(|(number, _)| *number == place);
        let value = turned.map(|(_, value)| value.as_slice()).or(value);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_so_many_elements() {
        let candidate = analysis::Candidate {
            classes: Vec::new().into(),
            place: Place::Bind(0),
            form: CandidateForm::Text,
            is_list: true,
            decides: true,
            is_written: false,
        };
        for (count, is_taken) in [(CANDIDATES_MAX, true), (CANDIDATES_MAX + 1, false)] {
            let text = format!("{{{}}}", vec!["a"; count].join(","));
            assert_eq!(of_text(&candidate, &text).is_some(), is_taken, "{count}, as a text");
            let array = Array { kind: oid::TEXT, elements: vec![Some(b"a".to_vec()); count] };
            let bytes = array.write_binary().unwrap();
            assert_eq!(of_bytes(&candidate, &bytes).is_some(), is_taken, "{count}, in binary form");
        }
    }
}
