//! Walks a JSON text (RFC 8259) and lets its values be edited where they stand: what is not edited stays to the byte.

use std::ops::Range;

use memchr::memchr2;

/// How deep a text may be.
const DEPTH_MAX: usize = 128;

/// What is met on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Met {
    /// A key.
    Key(Quoted),
    /// A string.
    Text(Quoted),
    /// A number, or a word.
    Bare(Range<usize>),
    /// An object or a list begins.
    Open { is_list: bool },
    /// It ends.
    Close,
}

/// Where the text of a string is, without its quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quoted {
    pub(crate) at: Range<usize>,
    /// Whether anything in it is escaped.
    pub(crate) is_escaped: bool,
    /// Whether there is an escape that is none: some readers take it for another character than others do.
    pub(crate) is_odd: bool,
}

/// It is not JSON, or deeper than a text may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    Value,
    /// A value, or the end of the list that has just begun.
    FirstValue,
    Key,
    /// A key, or the end of the object that has just begun.
    FirstKey,
    Colon,
    /// A comma, or the end of what is open.
    Comma,
    End,
}

/// Tells `meet` of everything in the text, in order.
pub(crate) fn walk(json: &[u8], meet: impl FnMut(Met)) -> Result<(), NotJson> {
    let end = walk_first(json, meet).map_err(|_| NotJson)?;
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if json.get(end..).unwrap_or_default().iter().all(is_space) { Ok(()) } else { Err(NotJson) }
}

/// The same of the text at the front, whatever stands behind it: where it ends, or up to where it was read in vain.
pub(crate) fn walk_first(json: &[u8], mut meet: impl FnMut(Met)) -> Result<usize, usize> {
    // Whether each thing that is open is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut due = Due::Value;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        if due == Due::End {
            return Ok(at);
        }
        let start = at;
        at += 1;
        match (byte, due) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => {}
            (b'{', Due::Value | Due::FirstValue) => {
                due = Due::FirstKey;
                push(&mut open, true).map_err(|NotJson| at)?;
                meet(Met::Open { is_list: false });
            }
            (b'[', Due::Value | Due::FirstValue) => {
                due = Due::FirstValue;
                push(&mut open, false).map_err(|NotJson| at)?;
                meet(Met::Open { is_list: true });
            }
            (b'}', Due::FirstKey | Due::Comma) | (b']', Due::FirstValue | Due::Comma) => {
                if open.pop() != Some(byte == b'}') {
                    return Err(at);
                }
                due = after(&open);
                meet(Met::Close);
            }
            (b',', Due::Comma) => due = if open.last() == Some(&true) { Due::Key } else { Due::Value },
            (b':', Due::Colon) => due = Due::Value,
            (b'"', Due::Key | Due::FirstKey) => {
                let quoted = string(json, at).map_err(|NotJson| json.len())?;
                at = quoted.at.end + 1;
                meet(Met::Key(quoted));
                due = Due::Colon;
            }
            (b'"', Due::Value | Due::FirstValue) => {
                let quoted = string(json, at).map_err(|NotJson| json.len())?;
                at = quoted.at.end + 1;
                meet(Met::Text(quoted));
                due = after(&open);
            }
            (b'-' | b'0'..=b'9' | b't' | b'f' | b'n', Due::Value | Due::FirstValue) => {
                let rest = json.get(start..).unwrap_or_default();
                let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
                at = start + rest.iter().position(is_end).unwrap_or(rest.len());
                let word = json.get(start..at).unwrap_or_default();
                if !matches!(word, b"true" | b"false" | b"null") && !is_number(word) {
                    return Err(at);
                }
                meet(Met::Bare(start..at));
                due = after(&open);
            }
            _ => return Err(at),
        }
    }
    if due == Due::End { Ok(at) } else { Err(at) }
}

/// How many members the objects of a text have, each as often as it stands there; `None` if it is not JSON.
pub fn members(json: &[u8]) -> Option<usize> {
    let mut count = 0;
    walk(json, |met| count += usize::from(matches!(met, Met::Key(_)))).ok()?;
    Some(count)
}

/// Whether a text is meant to be JSON: it begins as an object or as a list of texts or of such, is a list with one in it, or a string
/// with one. There are readers that take more for it than [`walk`] does, such as names without marks and comments.
pub(crate) fn is_meant(text: &[u8]) -> bool {
    // Hardly any is.
    if !text.first().is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"' | 0xef) || byte.is_ascii_whitespace()) {
        return false;
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    let Some((first, inner)) = text.split_first() else { return false };
    let next = inner.trim_ascii_start().first();
    match first {
        b'{' => matches!(next, Some(b'"' | b'\'' | b'}' | b'\\')) || is_named(inner.trim_ascii_start()),
        b'"' => memchr::memmem::find(inner, b"{\\\"").is_some(),
        b'[' => {
            let holds_object = || inner.contains(&b'{') && inner.ends_with(b"]");
            matches!(next, Some(b'{' | b'[' | b'"' | b'\'')) || holds_object()
        }
        _ => false,
    }
}

/// Whether a text begins with a name and a colon, or with a comment.
fn is_named(text: &[u8]) -> bool {
    let is_of_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'-' | b'.') || !byte.is_ascii();
    let len = text.iter().take_while(|byte| is_of_name(byte)).count();
    let after = text.get(len..).unwrap_or_default().trim_ascii_start();
    len > 0 && after.starts_with(b":") || text.starts_with(b"/*") || text.starts_with(b"//")
}

fn push(open: &mut Vec<bool>, is_object: bool) -> Result<(), NotJson> {
    open.push(is_object);
    if open.len() > DEPTH_MAX { Err(NotJson) } else { Ok(()) }
}

fn after(open: &[bool]) -> Due {
    if open.is_empty() { Due::End } else { Due::Comma }
}

fn is_number(word: &[u8]) -> bool {
    let digits = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let word = word.strip_prefix(b"-").unwrap_or(word);
    let (mantissa, exponent) = match word.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(place) => (word.get(..place).unwrap_or_default(), word.get(place + 1..)),
        None => (word, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(place) => (mantissa.get(..place).unwrap_or_default(), mantissa.get(place + 1..)),
        None => (mantissa, None),
    };
    let signless = |word: &[u8]| digits(word.strip_prefix(b"-").or_else(|| word.strip_prefix(b"+")).unwrap_or(word));
    digits(whole)
        && (whole == b"0" || !whole.starts_with(b"0"))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(signless)
}

fn string(json: &[u8], start: usize) -> Result<Quoted, NotJson> {
    let (mut at, mut is_escaped, mut is_odd) = (start, false, false);
    loop {
        let rest = json.get(at..).ok_or(NotJson)?;
        at += memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
        if json.get(at) == Some(&b'"') {
            return Ok(Quoted { at: start..at, is_escaped, is_odd });
        }
        is_escaped = true;
        is_odd |= match json.get(at + 1..) {
            Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => false,
            Some([b'u', digits @ ..]) => !digits.get(..4).is_some_and(|four| four.iter().all(u8::is_ascii_hexdigit)),
            Some(_) | None => true,
        };
        at += 2;
    }
}

/// What a string's text stands for, where it has escapes; what is no escape, or half of a character, becomes a sign for that.
pub(crate) fn unescaped(raw: &[u8]) -> Option<String> {
    if !raw.contains(&b'\\') {
        return None;
    }
    let text = String::from_utf8_lossy(raw);
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let plain = match char {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xfffd));
                    continue;
                }
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => char::REPLACEMENT_CHARACTER,
            },
            plain => plain,
        };
        out.push_str(&String::from_utf16_lossy(&units));
        units.clear();
        out.push(plain);
    }
    out.push_str(&String::from_utf16_lossy(&units));
    Some(out)
}

/// The same of any string's text.
pub(crate) fn plain(raw: &[u8]) -> String {
    unescaped(raw).unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned())
}

/// How long a text is at the most as a JSON string.
pub(crate) fn string_len(text: &[u8]) -> usize {
    let len_of = |byte: &u8| match byte {
        0..=0x1f => "\\u0000".len(),
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.iter().map(len_of).sum::<usize>() + 2
}

/// Appends a text as a JSON string.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    // Without a way out of the middle, several are looked at at a time.
    let is_odd = |byte: u8| matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x80..);
    if !text.iter().fold(false, |has_odd, byte| has_odd | is_odd(*byte)) {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
        return;
    }
    // A text can be written.
    let _ = serde_json::to_writer(out, &String::from_utf8_lossy(text));
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(json: &str, expected: Expect) {
        let mut met = String::new();
        let outcome = walk(json.as_bytes(), |what| {
            met.push_str(&match what {
                Met::Key(quoted) => format!("{}: ", &json[quoted.at]),
                Met::Text(quoted) => format!("'{}' ", &json[quoted.at]),
                Met::Bare(at) => format!("{} ", &json[at]),
                Met::Open { .. } => "( ".into(),
                Met::Close => ") ".into(),
            });
        });
        expected.assert_eq(outcome.map_or("not JSON", |()| met.trim_end()));
    }

    #[test]
    fn everything_is_met() {
        check(
            r#"{"a": [1, -2.5e+3, true], "b": {"c\"": "x\\"}, "d": null}"#,
            expect![[r#"( a: ( 1 -2.5e+3 true ) b: ( c\": 'x\\' ) d: null )"#]],
        );
        check("[]", expect!["( )"]);
        check("{}", expect!["( )"]);
        check(" \"\" ", expect!["''"]);
    }

    #[test]
    fn what_is_not_json_is_not_walked() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1 2]",
            "1 2",
            "'a'",
            "NaN",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "\"a",
            "\"a\\",
            "]",
            "[}",
            "{]",
            "[1}",
            "tru",
            "{\"a\":1,}",
            "{,}",
            "[,]",
            "{\"a\":1 \"b\":2}",
            "\u{feff}1",
        ] {
            check(text, expect!["not JSON"]);
        }
        check(&"[".repeat(200), expect!["not JSON"]);
    }

    #[test]
    fn escapes_stand_for_something_whatever_they_are() {
        for (raw, text) in [
            ("a\\u0040b", "a@b"),
            ("\\ud83d\\ude00x", "\u{1f600}x"),
            ("\\ud83d a\\u0040", "\u{fffd} a@"),
            ("\\\"\\\\\\/\\n\\q", "\"\\/\nq"),
            ("\\u00", "\u{fffd}"),
            ("\\", "\u{fffd}"),
        ] {
            let expected = if raw == "\\u00" { "\0".to_string() } else { text.to_string() };
            assert_eq!(unescaped(raw.as_bytes()), Some(expected), "{raw}");
        }
    }

    #[test]
    fn serde_agrees() {
        for text in ["{\"a\":[0,1.5,-0,1E9,\"\\u00e9\"]}", "[[],{}]", "nul", "[1,\n2]", "{\"a\":{\"b\":[{}]}}", "[-01]"]
        {
            let serde = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(walk(text.as_bytes(), |_| {}).is_ok(), serde, "{text}");
        }
    }
}
