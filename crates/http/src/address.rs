//! One form for each address: what was judged is what is sent.
//!
//! Knows RFC 3986 and where servers understand a path in two ways. Must not know policies or headers.

use std::fmt::Write as _;

use crate::said::folded;

/// An escaped slash, as it is kept.
const KEPT_SLASH: &str = "%2F";

/// What of a target's address is asked for, in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// From its first slash.
    pub(crate) path: String,
    /// Without its question mark, to the letter.
    pub(crate) query: Option<String>,
}

/// What becomes of an escaped slash in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slashes {
    /// It is refused, for most servers take it for one that parts segments, or do so at times.
    Refused,
    /// It stays inside of its segment.
    Kept,
}

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous(pub(crate) &'static str);

impl Address {
    /// Reads the target of a request that names its server elsewhere (RFC 9112, section 3.2.1).
    pub(crate) fn read(target: &str, slashes: Slashes) -> Result<Self, Ambiguous> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let query = query.map(canonical_query).transpose()?;
        Ok(Self { path: canonical_path(path, slashes)?, query })
    }

    /// As it is sent.
    pub(crate) fn text(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

fn canonical_path(path: &str, slashes: Slashes) -> Result<String, Ambiguous> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(Ambiguous("the path does not begin with a slash"));
    };
    let mut kept: Vec<String> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let segment = canonical_segment(segment, slashes)?;
        match segment.as_str() {
            "." | ".." => {
                if segment == ".." && kept.pop().is_none() {
                    return Err(Ambiguous("the path leads out of its root"));
                }
                if is_last {
                    kept.push(String::new());
                }
            }
            "" if !is_last => return Err(Ambiguous("the path has two slashes one after the other")),
            _ => kept.push(segment),
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

/// A segment in which only what must be escaped is, in capitals (RFC 3986, section 6.2.2).
fn canonical_segment(segment: &str, slashes: Slashes) -> Result<String, Ambiguous> {
    let mut out = String::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let escaped = [bytes.next(), bytes.next()].map(|digit| digit.and_then(hex));
                let [Some(high), Some(low)] = escaped else {
                    return Err(Ambiguous("the path has a `%` that escapes nothing"));
                };
                match high * 16 + low {
                    b'/' if slashes == Slashes::Kept => out.push_str(KEPT_SLASH),
                    b'/' | b'\\' => return Err(Ambiguous("the path has an escaped slash")),
                    0..=0x1f | 0x7f => return Err(Ambiguous("the path has a control character")),
                    plain if is_unreserved(plain) => out.push(char::from(plain)),
                    other => escape(other, &mut out),
                }
            }
            b'\\' => return Err(Ambiguous("the path has a backslash")),
            b';' => return Err(Ambiguous("the path has parameters")),
            0..=0x1f | 0x7f => return Err(Ambiguous("the path has a control character")),
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                out.push(char::from(byte));
            }
            plain if is_unreserved(plain) => out.push(char::from(plain)),
            other => escape(other, &mut out),
        }
    }
    // Whoever takes one for a slash all the same must not be led elsewhere than it looks.
    let mut parts = out.split(KEPT_SLASH);
    if out.contains(KEPT_SLASH) && parts.any(|part| matches!(part, "" | "." | "..")) {
        return Err(Ambiguous("the path has an escaped slash beside nothing or beside dots"));
    }
    Ok(out)
}

/// A path without the size of its letters, in its one form. What is escaped stays so; letters beyond ASCII, which are escaped in
/// it, are folded as well.
pub fn folded_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut beyond = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((byte, is_escaped, after)) = first_of(rest) {
        rest = after;
        if !byte.is_ascii() {
            beyond.push(byte);
            continue;
        }
        fold_beyond(&mut beyond, &mut out);
        if is_escaped && !is_unreserved(byte) {
            escape(byte, &mut out);
        } else {
            out.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    fold_beyond(&mut beyond, &mut out);
    out
}

/// The byte that a path begins with, whether it is escaped, and what comes after it.
fn first_of(path: &[u8]) -> Option<(u8, bool, &[u8])> {
    if let [b'%', high, low, rest @ ..] = path
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high * 16 + low, true, rest));
    }
    path.split_first().map(|(first, rest)| (*first, false, rest))
}

/// Writes letters beyond ASCII without their size, and what is no text as it is.
fn fold_beyond(beyond: &mut Vec<u8>, out: &mut String) {
    let bytes = std::mem::take(beyond);
    let folded = String::from_utf8(bytes).map_or_else(|bytes| bytes.into_bytes(), |text| folded(&text).into_bytes());
    for byte in folded {
        // Some are ASCII when they are folded, as the sign of kelvin is.
        if is_unreserved(byte) { out.push(char::from(byte)) } else { escape(byte, out) }
    }
}

fn canonical_query(query: &str) -> Result<String, Ambiguous> {
    let mut out = String::with_capacity(query.len());
    for byte in query.bytes() {
        match byte {
            0..=0x1f | 0x7f => return Err(Ambiguous("the query has a control character")),
            b' ' | b'"' | b'#' | b'<' | b'>' | b'\\' | 0x80.. => escape(byte, &mut out),
            plain => out.push(char::from(plain)),
        }
    }
    Ok(out)
}

fn escape(byte: u8, out: &mut String) {
    // To write to a text does not fail.
    let _ = write!(out, "%{byte:02X}");
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(slashes: Slashes, target: &str, expected: &str) {
        let address = Address::read(target, slashes);
        let read = address.clone().map(|address| address.text()).unwrap_or_else(|error| error.0.into());
        assert_eq!(read, expected, "{target}");
        // What is in its one form stays so.
        if let Ok(address) = address {
            assert_eq!(Address::read(&address.text(), slashes), Ok(address), "{target}");
        }
    }

    fn check(target: &str, expected: &str) {
        check_with(Slashes::Refused, target, expected);
    }

    #[test]
    fn an_escaped_slash_stays_inside_of_its_segment_where_it_may() {
        let check = |target: &str, expected: &str| check_with(Slashes::Kept, target, expected);
        check("/projects/a%2fb/files/c%2Fd%2ee", "/projects/a%2Fb/files/c%2Fd.e");
        check("/@scope%2fpackage", "/@scope%2Fpackage");
        check("/x%2Fy/..", "/");
        check("/x/%2e%2e/y%2fz", "/y%2Fz");
        for target in [
            "/..%2fa",
            "/a%2f..",
            "/%2e%2e%2fa",
            "/a%2f.%2Fb",
            "/%2f",
            "/a%2f",
            "/%2Fa",
            "/a%2f%2fb",
            "/a/.%2fb",
            "/b/a%2f/c",
        ] {
            check(target, "the path has an escaped slash beside nothing or beside dots");
        }
        check("/a%5cb", "the path has an escaped slash");
        check("/a%252fb", "/a%252fb");
    }

    #[test]
    fn letters_have_one_size_where_it_does_not_count() {
        let check = |path: &str, expected: &str| {
            assert_eq!(folded_path(path), expected, "{path}");
            assert_eq!(folded_path(expected), expected, "{path}");
        };
        // Servers that compare letter by letter take these for an `i`, an `s` and a `k`.
        check("/adm%C4%B0n", "/admin");
        check("/adm%C4%B1n", "/admin");
        check("/u%C5%BFer%E2%84%AA", "/userk");
        check("/", "/");
        check("/Admin/USERS/~Jo", "/admin/users/~jo");
        check("/A%2FB%3Ac", "/a%2Fb%3Ac");
        check("/Caf%C3%89", "/caf%C3%A9");
        check("/%E2%84%AAey", "/key");
        check("/%FF%C3", "/%FF%C3");
        check("/{Id}", "/{id}");
    }

    #[test]
    fn addresses_have_one_form() {
        check("/", "/");
        check("/v1/customers/42?a=b%20c&d", "/v1/customers/42?a=b%20c&d");
        check("/%7Ejo/%41%2d", "/~jo/A-");
        check("/a%3ab|c", "/a%3Ab%7Cc");
        check("/a/./b/../c", "/a/c");
        check("/a/b/..", "/a/");
        check("/a/.", "/a/");
        check("/a/%2e%2E/b", "/b");
        check("/a/.%2e/b", "/b");
        check("/a/", "/a/");
        check("/caf\u{e9}", "/caf%C3%A9");
        check("/a?x=//..%2f", "/a?x=//..%2f");
        check("/a?b?c", "/a?b?c");
    }

    #[test]
    fn what_servers_may_understand_in_two_ways_is_refused() {
        for target in ["/..", "/a/../../b", "/%2e%2e/a"] {
            check(target, "the path leads out of its root");
        }
        for target in ["//a", "/a//b", "/a//"] {
            check(target, "the path has two slashes one after the other");
        }
        for target in ["/a%2fb", "/a%2Fb", "/a%5cb"] {
            check(target, "the path has an escaped slash");
        }
        check("/a\\b", "the path has a backslash");
        check("/a;b=c/d", "the path has parameters");
        for target in ["/a%00", "/a%0a", "/a\nb", "/a%7f"] {
            check(target, "the path has a control character");
        }
        for target in ["/a%", "/a%4", "/a%zz"] {
            check(target, "the path has a `%` that escapes nothing");
        }
        for target in ["", "*", "a", "http://other/a", "?a"] {
            check(target, "the path does not begin with a slash");
        }
        check("/a?b\rc", "the query has a control character");
    }
}
