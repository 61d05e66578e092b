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
pub(super) fn recognize(recognizer: &dyn Recognizer, hay: &[u8], wanted: Detectors) -> Vec<Found> {
    let (text, is_wide) = match std::str::from_utf8(hay) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (hay.iter().map(|byte| char::from(*byte)).collect::<String>().into(), true),
    };
    let Ok(found) = recognizer.recognize(&text) else {
        let first = wanted.iter().find(|detector| detector.is_recognized());
        return first.map(|detector| Found { start: 0, end: hay.len(), detector }).into_iter().collect();
    };
    let place = |at: usize| match is_wide {
        true => text.get(..at).map_or(hay.len(), |before| before.chars().count()),
        false => at,
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
    sound.collect()
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
            (b"who?", vec![(0, 4)]),
            (b"nobody", vec![]),
        ] {
            let found: Vec<_> = recognize(&Lotte, hay, person).iter().map(|found| (found.start, found.end)).collect();
            assert_eq!(found, expected, "{hay:?}");
        }
        assert_eq!(recognize(&Lotte, b"Lotte", Detectors::default().with(Detector::PostalAddress)).len(), 0);
    }
}
