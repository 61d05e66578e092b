//! From what single tokens are to what stands in a text.

use gatehouse_mask::{Detector, Recognized};

/// Joins tokens of one kind that follow each other, and makes whole words of parts of words.
pub(crate) fn joined(text: &str, mut tokens: Vec<Recognized>) -> Vec<Recognized> {
    // Windows overlap, so that a token may come twice.
    tokens.sort_by_key(|token| (token.start, token.end));
    let mut spans: Vec<Recognized> = Vec::new();
    for token in tokens {
        let (start, end) = word(text, token.start, token.end);
        match spans.last_mut() {
            Some(last) if start < last.end => last.end = last.end.max(end),
            Some(last) if last.detector == token.detector && is_joint(text, last.end, start, token.detector) => {
                last.end = end;
            }
            _ => spans.push(Recognized { start, end, detector: token.detector }),
        }
    }
    spans
}

/// The words that a range is in.
fn word(text: &str, start: usize, end: usize) -> (usize, usize) {
    let before = text.get(..start).unwrap_or_default();
    let after = text.get(end..).unwrap_or_default();
    let start = before.trim_end_matches(is_of_word).len();
    let end = text.len() - after.trim_start_matches(is_of_word).len();
    (start, end)
}

/// Whether a character is of the word that its neighbour is of; where words are not parted, a token is one.
fn is_of_word(sign: char) -> bool {
    sign.is_alphanumeric() && u32::from(sign) < UNPARTED_FROM
}

/// From here on are the scripts that part no words (CJK and its neighbours).
const UNPARTED_FROM: u32 = 0x2e80;

/// Whether what stands between two words parts nothing: `Anna-Maria O'Neill Jr.` is one name, `Kerkstraat 1, Delft` one address.
fn is_joint(text: &str, end: usize, start: usize, detector: Detector) -> bool {
    let Some(between) = text.get(end..start) else { return false };
    let signs = if detector == Detector::PostalAddress { " -'.\u{2019},/\n" } else { " -'.\u{2019}" };
    between.chars().count() <= 2 && between.chars().all(|sign| signs.contains(sign))
}
