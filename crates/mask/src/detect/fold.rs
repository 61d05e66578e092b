//! Spaces, dashes and digits that are not ASCII, as those that they stand for: word processors, web pages and keyboards for
//! Chinese and Japanese write them into numbers.
//!
//! Knows which signs those are and where they stood. Knows nothing of what is found.

use std::ops::Range;

/// A text with ASCII in place of such signs, and without those that are not seen.
pub(super) struct Folded {
    pub(super) text: Vec<u8>,
    /// Behind each sign that was longer: its end in the text, and in the one that was given.
    ends: Vec<(usize, usize)>,
}

impl Folded {
    /// None if the text has no such sign.
    pub(super) fn of(hay: &[u8]) -> Option<Self> {
        let rest = |at: usize| hay.get(at..).unwrap_or_default();
        let mut copied = 0;
        let mut folded = Self { text: Vec::new(), ends: Vec::new() };
        let leads = |byte: &u8| matches!(byte, 0xc2 | 0xe2 | 0xe3 | 0xef);
        while let Some(ahead) = rest(copied).iter().position(leads) {
            let mut at = copied + ahead;
            let Some((stands_for, len)) = sign(rest(at)) else {
                at += 1;
                folded.text.extend_from_slice(hay.get(copied..at).unwrap_or_default());
                copied = at;
                continue;
            };
            folded.text.extend_from_slice(hay.get(copied..at).unwrap_or_default());
            copied = at + len;
            folded.text.extend(stands_for.map(|ascii| dash_between(ascii, rest(at), rest(copied))));
            folded.ends.push((folded.text.len(), copied));
        }
        if folded.ends.is_empty() {
            return None;
        }
        folded.text.extend_from_slice(rest(copied));
        Some(folded)
    }

    /// Where a range of the text stood in the one that was given.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let original = |at: usize| {
            let behind = self.ends.partition_point(|(end, _)| *end <= at);
            let (end, original) =
                behind.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default();
            original + (at - end)
        };
        original(range.start)..original(range.end)
    }
}

/// What the sign stands for that begins this, nothing if it is not seen, and how many bytes it has.
fn sign(rest: &[u8]) -> Option<(Option<u8>, usize)> {
    match rest {
        [0xc2, 0xa0, ..] => Some((Some(b' '), 2)),
        // A hyphen where a word may be parted.
        [0xc2, 0xad, ..] => Some((None, 2)),
        [0xe2, 0x80, 0x80..=0x8a | 0xaf, ..] | [0xe2, 0x81, 0x9f, ..] | [0xe3, 0x80, 0x80, ..] => Some((Some(b' '), 3)),
        // Without width; and the mark of the order of bytes, which is one.
        [0xe2, 0x80, 0x8b..=0x8d, ..] | [0xef, 0xbb, 0xbf, ..] => Some((None, 3)),
        [0xe2, 0x80, 0x90..=0x95, ..] | [0xe2, 0x88, 0x92, ..] => Some((Some(b'-'), 3)),
        // Of full width.
        [0xef, 0xbc, digit @ 0x90..=0x99, ..] => Some((Some(digit - 0x90 + b'0'), 3)),
        [0xef, 0xbc, 0x8b, ..] => Some((Some(b'+'), 3)),
        [0xef, 0xbc, 0x8d, ..] => Some((Some(b'-'), 3)),
        [0xef, 0xbc, 0x8e, ..] => Some((Some(b'.'), 3)),
        [0xef, 0xbc, 0xa0, ..] => Some((Some(b'@'), 3)),
        _ => None,
    }
}

/// A long dash parts sentences, unless a digit follows.
fn dash_between(ascii: u8, sign: &[u8], rest: &[u8]) -> u8 {
    let is_long = matches!(sign, [0xe2, 0x80, 0x94 | 0x95, ..]);
    if is_long && !rest.first().is_some_and(u8::is_ascii_digit) { b' ' } else { ascii }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hay: &str, text: &str) {
        let folded = Folded::of(hay.as_bytes()).map(|folded| String::from_utf8(folded.text).unwrap());
        assert_eq!(folded.unwrap_or_default(), text, "{hay:?}");
    }

    #[test]
    fn signs_are_folded() {
        check("12\u{a0}34\u{2009}5\u{202f}6\u{3000}7", "12 34 5 6 7");
        check("1\u{2010}2\u{2011}3\u{2013}4\u{2212}5\u{ff0d}6", "1-2-3-4-5-6");
        check("\u{feff}4\u{200b}1\u{ad}1\u{200d}1", "4111");
        check("a\u{ff20}b\u{ff0e}c \u{ff10}\u{ff19}", "a@b.c 09");
        check("noted\u{2014}1\u{2014}2\u{2014}by", "noted-1-2 by");
        check("stra\u{df}e \u{2192} \u{e9}\u{201c}", "");
    }

    #[test]
    fn places_lead_back() {
        let hay = "\u{e9} 4\u{a0}\u{200b}1\u{2013}\u{ff11}\u{ff19} x";
        let folded = Folded::of(hay.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(folded.text.clone()).unwrap(), "\u{e9} 4 1-19 x");
        let of = |part: &str| {
            let at = memchr::memmem::find(&folded.text, part.as_bytes()).unwrap();
            &hay[folded.original(&(at..at + part.len()))]
        };
        assert_eq!(of("4 1-19"), "4\u{a0}\u{200b}1\u{2013}\u{ff11}\u{ff19}");
        assert_eq!([of("\u{e9}"), of("1-"), of("x"), of("9")], ["\u{e9}", "1\u{2013}", "x", "\u{ff19}"]);
    }
}
