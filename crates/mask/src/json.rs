//! Where a replacement may stand in a JSON text so that it stays JSON (RFC 8259).
//!
//! Knows strings, escapes and bare tokens, not documents: it neither parses nor validates.

use memchr::memchr2;

use crate::detect::{Detector, Found};

/// A part of a value to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) detector: Detector,
    /// Whether the replacement must become a string of its own.
    pub(crate) quote: bool,
}

/// A string's content, or a number or word outside of strings.
pub(crate) struct Lexeme {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) bare: bool,
    /// Where the next one is looked for.
    pub(crate) next: usize,
}

/// Fits finds to the text: inside a string to whole characters and escapes, outside to a whole token.
pub(crate) fn fit(json: &[u8], mut finds: &[Found]) -> Vec<Patch> {
    let mut patches = Vec::with_capacity(finds.len());
    let mut at = 0;
    while let (Some(lexeme), false) = (next_lexeme(json, at), finds.is_empty()) {
        at = lexeme.next;
        let mut from = lexeme.start;
        while let [found, rest @ ..] = finds {
            if found.start >= lexeme.end {
                break;
            }
            if from < lexeme.end && found.end > from {
                let patch = fit_one(json, &lexeme, from, found);
                from = patch.end;
                patches.push(patch);
            }
            if found.end > lexeme.end {
                break;
            }
            finds = rest;
        }
    }
    patches
}

/// Fits one find to a lexeme of which everything before `from` is settled; `from` is no middle of an escape.
fn fit_one(json: &[u8], lexeme: &Lexeme, from: usize, found: &Found) -> Patch {
    let detector = found.detector;
    if lexeme.bare {
        return Patch { start: lexeme.start, end: lexeme.end, detector, quote: true };
    }
    let (mut start, mut at) = (from, from);
    while at < found.end.min(lexeme.end) {
        at = (at + atom_len(json, at)).min(lexeme.end);
        if at <= found.start {
            start = at;
        }
    }
    Patch { start, end: at, detector, quote: false }
}

/// The length of the byte or escape at `at`; the two escapes of a surrogate pair are one.
fn atom_len(json: &[u8], at: usize) -> usize {
    match json.get(at..).unwrap_or_default() {
        [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _, b'\\', b'u', ..] => 12,
        [b'\\', b'u', ..] => 6,
        [b'\\', ..] => 2,
        _ => 1,
    }
}

/// The first one from `at` on.
pub(crate) fn next_lexeme(json: &[u8], at: usize) -> Option<Lexeme> {
    let start = at + json.get(at..)?.iter().position(|byte| !is_structure(*byte))?;
    if json.get(start) == Some(&b'"') {
        let start = start + 1;
        let end = string_end(json, start);
        return Some(Lexeme { start, end, bare: false, next: end + 1 });
    }
    let rest = json.get(start..)?;
    let len = rest.iter().position(|byte| is_structure(*byte) || *byte == b'"').unwrap_or(rest.len());
    Some(Lexeme { start, end: start + len, bare: true, next: start + len })
}

fn is_structure(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n')
}

/// Where the string ends whose content begins at `at`: at its closing quotation mark, or with the text.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(place) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += place;
        if json.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, finds: &[&str], expected: &[(&str, bool)]) {
        let mut from = 0;
        let mut found = Vec::new();
        for find in finds {
            let start = from + json[from..].find(find).unwrap();
            from = start + find.len();
            found.push(Found { start, end: from, detector: Detector::Email });
        }
        let patches = fit(json.as_bytes(), &found);
        let patches: Vec<_> = patches.iter().map(|patch| (&json[patch.start..patch.end], patch.quote)).collect();
        assert_eq!(patches, expected, "{json}");
    }

    #[test]
    fn fits_finds_to_the_text() {
        check(r#"{"a":"x b@c.d y"}"#, &["b@c.d"], &[("b@c.d", false)]);
        check(r#"{"a":4111,"b":[4111]}"#, &["4111", "4111"], &[("4111", true), ("4111", true)]);
        check(r#"{"a":-4111.5e3}"#, &["4111"], &[("-4111.5e3", true)]);
        check(r#"["\nbob"]"#, &["nbob"], &[(r"\nbob", false)]);
        check(r#"["bob\u00e9"]"#, &[r"bob\u0"], &[(r"bob\u00e9", false)]);
        check(r#"["\ud83d\ude00b"]"#, &["de00b"], &[(r"\ud83d\ude00b", false)]);
        check(r#"["a\\","b"]"#, &[r#"a\\","b"#], &[(r"a\\", false), ("b", false)]);
        check(r#"["ab cd"]"#, &["ab", "cd"], &[("ab", false), ("cd", false)]);
        check(r#"[12,34]"#, &["1", "2,3"], &[("12", true), ("34", true)]);
        check(r#""open"#, &["open"], &[("open", false)]);
        check(r#""open\"#, &[r"open\"], &[(r"open\", false)]);
        check(r#"{"bob":1}"#, &["bob"], &[("bob", false)]);
    }
}
