//! What tells names of persons and their addresses by what a text says: a model of language, which lies outside.
//!
//! Knows how its word is fitted into bytes that may be no text.

use std::borrow::Cow;

use super::{Detector, Detectors, Found};

/// What a recognizer found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognized {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What it is; one of those for which [`Detector::is_recognized`] holds.
    pub detector: Detector,
}

/// A text could not be looked at, and may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotLooked;

/// Finds names of persons and their addresses in texts.
pub trait Recognizer: Send + Sync {
    /// What stands in a text, in order and without overlaps.
    ///
    /// # Errors
    /// [`NotLooked`]: all of the text counts as what was looked for.
    fn recognize(&self, text: &str) -> Result<Vec<Recognized>, NotLooked>;
}

/// What the recognizer finds in bytes. Those that are no UTF-8 are read as Latin-1, of which every byte is a character.
///
/// # Errors
/// It could not look: all of it, as one find.
pub(super) fn recognize(recognizer: &dyn Recognizer, hay: &[u8], wanted: Detectors) -> Result<Vec<Found>, Found> {
    let (text, places) = read(hay);
    let found = recognizer.recognize(&text).map_err(|NotLooked| {
        let first = wanted.iter().find(|detector| detector.is_recognized());
        Found { start: 0, end: hay.len(), detector: first.unwrap_or(Detector::PersonName) }
    })?;
    let place = |at: usize| match &places {
        Some(places) => places.get(at).copied().unwrap_or(hay.len()),
        None => at,
    };
    let mut end = 0;
    let found = found.into_iter().filter(|found| wanted.contains(found.detector));
    let found = found.map(|found| Found { start: place(found.start), end: place(found.end), detector: found.detector });
    // Whatever it says, places are in order and inside.
    let sound = found.filter(|found| {
        let is_sound = end <= found.start && found.start < found.end && found.end <= hay.len();
        end = if is_sound { found.end } else { end };
        is_sound
    });
    Ok(sound.collect())
}

/// Bytes as a text, and where each of its own begins there, if that is elsewhere: what is escaped, as JSON and COPY have it, stands for
/// itself.
fn read(hay: &[u8]) -> (Cow<'_, str>, Option<Vec<usize>>) {
    let utf8 = std::str::from_utf8(hay).ok();
    if let Some(text) = utf8.filter(|text| !text.contains('\\')) {
        return (Cow::Borrowed(text), None);
    }
    let (mut text, mut places) = (String::with_capacity(hay.len()), Vec::with_capacity(hay.len() + 1));
    let mut at = 0;
    while let Some(rest) = hay.get(at..).filter(|rest| !rest.is_empty()) {
        let (char, len) = escaped(rest).unwrap_or_else(|| plain(rest, utf8.is_some()));
        text.push(char);
        places.resize(text.len(), at);
        at += len;
    }
    (text.into(), Some(places))
}

/// The character of an escape at the front, and how long that is.
fn escaped(rest: &[u8]) -> Option<(char, usize)> {
    match rest {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            // Half of a character is none by itself, and of no name.
            let char = char::from_u32(u32::from_str_radix(digits, 16).ok()?);
            Some((char.unwrap_or(char::REPLACEMENT_CHARACTER), 6))
        }
        [b'\\', sign @ (b'n' | b'r' | b't' | b'b' | b'f' | b'v'), ..] => {
            Some((if *sign == b'n' { '\n' } else { ' ' }, 2))
        }
        [b'\\', sign @ (b'"' | b'/' | b'\\'), ..] => Some((char::from(*sign), 2)),
        _ => None,
    }
}

/// The character at the front, and how long it is.
fn plain(rest: &[u8], is_utf8: bool) -> (char, usize) {
    let first = rest.first().copied().map_or(' ', char::from);
    let whole = || (1..=4).find_map(|len| std::str::from_utf8(rest.get(..len)?).ok()?.chars().next());
    let char = if is_utf8 { whole().unwrap_or(first) } else { first };
    (char, if is_utf8 { char.len_utf8() } else { 1 })
}

#[cfg(test)]
pub(in crate::detect) mod tests {
    use super::*;

    /// Takes every `Lotte` for a person, and fails over `?`.
    pub(in crate::detect) struct Lotte;

    impl Recognizer for Lotte {
        fn recognize(&self, text: &str) -> Result<Vec<Recognized>, NotLooked> {
            if text.contains('?') {
                return Err(NotLooked);
            }
            let at = text.match_indices("Lotte").map(|(start, name)| (start, start + name.len()));
            Ok(at.map(|(start, end)| Recognized { start, end, detector: Detector::PersonName }).collect())
        }
    }

    #[test]
    fn places_are_those_in_the_bytes() {
        let person = Detectors::default().with(Detector::PersonName);
        for (hay, expected) in [
            (&b"an Lotte, Lotte"[..], vec![(3, 8), (10, 15)]),
            ("f\u{fc}r Lotte".as_bytes(), vec![(5, 10)]),
            (b"f\xfcr Lotte", vec![(4, 9)]),
            (b"Dear\\nLotte", vec![(6, 11)]),
            (br#""L\u006ftte""#, vec![(1, 11)]),
            ("\u{fc}\\tLotte\\t".as_bytes(), vec![(4, 9)]),
            (b"C:\\users\\Lotte", vec![(9, 14)]),
            (b"who?", vec![(0, 4)]),
            (b"nobody", vec![]),
        ] {
            let found = recognize(&Lotte, hay, person).unwrap_or_else(|all| vec![all]);
            let found: Vec<_> = found.iter().map(|found| (found.start, found.end)).collect();
            assert_eq!(found, expected, "{hay:?}");
        }
        let address = Detectors::default().with(Detector::PostalAddress);
        assert!(recognize(&Lotte, b"Lotte", address).is_ok_and(|found| found.is_empty()));
    }
}
