//! The parts of a JSON document (RFC 8259), so that its leaves can be masked where they stand.
//!
//! Knows names, leaves and what is between them, and how much of a document is looked into. Does not know what stands in
//! a leaf's place.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use crate::json::{self, Lexeme};

/// How long a document may be, in bytes, before it is masked and after.
pub(crate) const STRUCTURE_BYTES_MAX: usize = 1024 * 1024;
/// How many objects and lists may lie in one another.
pub(crate) const DEPTH_MAX: usize = 128;

/// What is met on the way through a document.
pub(crate) enum Part<'j> {
    /// What stands between names and leaves: brackets, colons, commas, spaces, and the quotation marks of names.
    Structure(&'j [u8]),
    /// Where the name of a member is, without its quotation marks.
    Name(Range<usize>),
    /// Where the content of a string is that is a value.
    Text(Range<usize>),
    /// Where a number, `true`, `false` or `null` is.
    Bare(Range<usize>),
}

/// It is deeper than a document may be, or whoever was told of it has enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotWalked;

/// What is JSON by the book: only there the lexemes say for certain where names and leaves are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document<'j>(&'j [u8]);

impl<'j> Document<'j> {
    /// Takes a text for a document. It must be UTF-8: in other encodings a byte of a character may look like a quotation
    /// mark or a backslash.
    pub(crate) fn parse(json: &'j [u8]) -> Option<Self> {
        if json.len() > STRUCTURE_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(json).ok()?;
        serde_json::from_str::<IgnoredAny>(text).ok()?;
        Some(Self(json))
    }

    /// Tells `meet` of each part in order, while it returns true. All bytes of the document are in a part, but for the
    /// quotation marks of texts; places are those in the document.
    pub(crate) fn walk(self, mut meet: impl FnMut(Part<'j>) -> bool) -> Result<(), NotWalked> {
        let json = self.0;
        let (mut at, mut told, mut depth) = (0_usize, 0_usize, 0_usize);
        while let Some(lexeme) = json::next_lexeme(json, at) {
            let is_name = is_name(json, &lexeme);
            let is_text = !lexeme.bare && !is_name;
            let until = lexeme.start.saturating_sub(usize::from(is_text));
            let structure = json.get(told..until).ok_or(NotWalked)?;
            depth = depth_after(depth, structure)?;
            let place = lexeme.start..lexeme.end;
            let part = match (lexeme.bare, is_name) {
                (true, _) => Part::Bare(place),
                (false, true) => Part::Name(place),
                (false, false) => Part::Text(place),
            };
            if !meet(Part::Structure(structure)) || !meet(part) {
                return Err(NotWalked);
            }
            at = lexeme.next;
            told = if is_text { lexeme.next } else { lexeme.end };
        }
        let rest = json.get(told..).ok_or(NotWalked)?;
        if meet(Part::Structure(rest)) { Ok(()) } else { Err(NotWalked) }
    }
}

/// In JSON a string is a name if a colon follows.
fn is_name(json: &[u8], lexeme: &Lexeme) -> bool {
    let after = json.get(lexeme.next..).unwrap_or_default();
    !lexeme.bare && after.trim_ascii_start().first() == Some(&b':')
}

fn depth_after(mut depth: usize, structure: &[u8]) -> Result<usize, NotWalked> {
    for byte in structure {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(NotWalked);
        }
    }
    Ok(depth)
}

/// What the content of a string stands for, so that a text has the same pseudonym however it is written. Half of a
/// surrogate pair stands for nothing: then it is taken as it is written.
pub(crate) fn unescaped(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text.into_bytes()),
        Err(_) => Cow::Borrowed(raw),
    }
}
