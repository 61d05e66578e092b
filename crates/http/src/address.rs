//! One form for each address: what was judged is what is sent.
//!
//! Knows RFC 3986 and where servers understand a path in two ways. Must not know policies or headers.

use std::fmt::Write as _;

/// What of a target's address is asked for, in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// From its first slash.
    pub(crate) path: String,
    /// Without its question mark, to the letter.
    pub(crate) query: Option<String>,
}

/// Why an address is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous(pub(crate) &'static str);

impl Address {
    /// Reads the target of a request that names its server elsewhere (RFC 9112, section 3.2.1).
    pub(crate) fn read(target: &str) -> Result<Self, Ambiguous> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let query = query.map(canonical_query).transpose()?;
        Ok(Self { path: canonical_path(path)?, query })
    }

    /// As it is sent.
    pub(crate) fn text(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

fn canonical_path(path: &str) -> Result<String, Ambiguous> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(Ambiguous("the path does not begin with a slash"));
    };
    let mut kept: Vec<String> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let segment = canonical_segment(segment)?;
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
fn canonical_segment(segment: &str) -> Result<String, Ambiguous> {
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
    Ok(out)
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

    fn check(target: &str, expected: &str) {
        let read = Address::read(target).map(|address| address.text()).unwrap_or_else(|error| error.0.into());
        assert_eq!(read, expected, "{target}");
        // What is in its one form stays so.
        if let Ok(address) = Address::read(target) {
            assert_eq!(Address::read(&address.text()), Ok(address), "{target}");
        }
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
