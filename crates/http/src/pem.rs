//! Private keys in PEM (RFC 7468) over the lines of a text, each of which is looked at by itself.

use memchr::memmem;

const BEGINS: &[u8] = b"-----BEGIN ";
const ENDS: &[u8] = b"-----END ";
/// How many lines of others may stand between two of a key, as in a log that several write to.
const MISSED_MAX: usize = 8;
/// Base 64 that is as long is a line of a key, whatever stands around it.
const CODE_BYTES_MIN: usize = 16;

/// A key that began on an earlier line.
pub(crate) struct OpenKey {
    /// How much stood before it on its line: as much stands before the next ones in a log, a quotation or a listing.
    indent: usize,
    /// How many lines were none of it since the last that was.
    missed: usize,
}

impl OpenKey {
    /// Of a line on which one begins and does not end.
    pub(crate) fn begun(line: &[u8]) -> Option<Self> {
        let indent = memmem::rfind(line, BEGINS)?;
        let key = line.get(indent..)?;
        let is_private = memmem::find(key, b"PRIVATE KEY").is_some();
        (is_private && !Self::ends(key)).then_some(Self { indent, missed: 0 })
    }

    /// Whether any begins in a text.
    pub(crate) fn is_in(text: &[u8]) -> bool {
        memmem::find(text, BEGINS).is_some()
    }

    /// Whether the next line is one of the key that is open, if one is, or its end.
    pub(crate) fn take(open: &mut Option<Self>, line: &[u8]) -> bool {
        let is_of_it = open.as_mut().is_some_and(|key| key.holds(line));
        if is_of_it && Self::ends(line) {
            // The next may begin where it ends.
            *open = Self::begun(line);
        } else if open.as_ref().is_some_and(|key| key.missed > MISSED_MAX) {
            *open = None;
        }
        is_of_it
    }

    fn ends(line: &[u8]) -> bool {
        memmem::find(line, ENDS).is_some()
    }

    fn holds(&mut self, line: &[u8]) -> bool {
        let indented = line.get(self.indent..).unwrap_or_default();
        // A last line may be short, but stands right behind the others.
        let is_short = || self.missed == 0 && (is_line(indented) || is_line(line));
        let is_of_it = Self::ends(line) || line.split(|byte| !is_code(*byte)).any(is_long) || is_short();
        // What is empty but for what stands before all of them is of nobody.
        if is_of_it {
            self.missed = 0;
        } else if indented.iter().any(|byte| is_code(*byte)) {
            self.missed += 1;
        }
        is_of_it
    }
}

fn is_code(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_long(code: &[u8]) -> bool {
    code.len() >= CODE_BYTES_MIN
}

/// Whether a line is base 64 but for punctuation around it, or a field of the key's head (RFC 1421, section 4.6).
fn is_line(line: &[u8]) -> bool {
    let start = line.iter().position(|byte| is_code(*byte)).unwrap_or(line.len());
    let line = line.get(start..).unwrap_or_default().trim_ascii_end();
    let code = line.iter().take_while(|byte| is_code(**byte)).count();
    let name = line.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    let is_field = name > 0 && line.get(name..).is_some_and(|rest| rest.starts_with(b": "));
    let rest = line.get(code..).unwrap_or_default();
    is_field || code > 0 && rest.iter().all(u8::is_ascii_punctuation)
}
