//! What the client said itself: a pseudonym for it would tell whether a guess is right.

use gatehouse_model::{Access, Encoding, Resource};
use gatehouse_protocol::{Edit, Editor, Field, Told};
use memchr::memmem;

use crate::columns::{ANY_TEXT, UNKNOWN};
use crate::json::{self, Met};

/// How much of a request is remembered, in bytes. Of a longer one everything may be its own.
const OWN_BYTES_MAX: usize = 64 * 1024;
/// How often strings may stand in strings.
const ESCAPED_MAX: usize = 4;
/// How much of an answer is compared with it, in bytes of one value.
const VALUE_BYTES_MAX: usize = 4096;
/// How much is compared for one answer, in bytes of what the request said; past that everything may be its own.
const COMPARED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a request said.
#[derive(Debug, Clone, Default)]
pub(crate) enum Own {
    #[default]
    Nothing,
    /// Its head and its body, and whether that is a form; nothing was compared with them yet, for mostly nothing is masked.
    Unread(String, Vec<u8>, bool),
    /// All of it, however it was written.
    Read(Box<Read>),
    /// It is not known.
    Anything,
}

/// All that a request said.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Folded.
    text: Vec<u8>,
    /// How much may still be compared with it, in bytes.
    left: usize,
    /// Which bytes are in it.
    bytes: [bool; 256],
    /// The value at hand, folded.
    value: Vec<u8>,
}

/// Appends what a text with escapes stands for, and what that does: strings in strings, as documents of GraphQL have them.
fn add_unescaped(raw: &[u8], text: &mut Vec<u8>) {
    let mut next = json::unescaped(raw);
    for _ in 0..ESCAPED_MAX {
        let Some(plain) = next else { break };
        text.push(b'\n');
        text.extend_from_slice(plain.as_bytes());
        next = json::unescaped(plain.as_bytes());
    }
}

/// A text without what tells capitals from small letters, letter by letter: what stands around one means nothing.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl Own {
    /// Of a request's parts, and its body, where that was read.
    pub(crate) fn new(head: String, body: Option<&[u8]>, is_coded: bool, is_form: bool) -> Self {
        match body.filter(|body| !is_coded && body.len() + head.len() <= OWN_BYTES_MAX) {
            Some(body) => Self::Unread(head, body.to_vec(), is_form),
            None => Self::Anything,
        }
    }

    /// All that was said, however it was written; `None` where that is not known: of other bodies than JSON and forms.
    fn text_of(head: &str, body: &[u8], is_form: bool) -> Option<Vec<u8>> {
        let mut text = head.as_bytes().to_vec();
        let pairs = |coded: &[u8], text: &mut Vec<u8>| {
            for part in form_urlencoded::parse(coded).flat_map(|(name, value)| [name, value]) {
                text.push(b'\n');
                text.extend_from_slice(part.as_bytes());
                add_unescaped(part.as_bytes(), text);
            }
        };
        // However it was escaped.
        pairs(head.as_bytes(), &mut text);
        // In paths, a plus is one.
        pairs(head.replace('+', "%2B").as_bytes(), &mut text);
        text.push(b'\n');
        text.extend_from_slice(body);
        if is_form {
            pairs(body, &mut text);
        } else if !body.is_empty() {
            let walked = json::walk(body, |met| {
                if let Met::Key(quoted) | Met::Text(quoted) = met
                    && quoted.is_escaped
                {
                    add_unescaped(body.get(quoted.at).unwrap_or_default(), &mut text);
                }
            });
            walked.ok()?;
        }
        Some(text)
    }

    fn holds(&mut self, value: &[u8]) -> bool {
        if let Self::Unread(head, body, is_form) = self {
            *self = match Self::text_of(head, body, *is_form) {
                Some(text) => Self::Read(Box::new(Read::new(&text))),
                None => Self::Anything,
            };
        }
        match self {
            Self::Nothing | Self::Unread(..) => false,
            Self::Anything => true,
            Self::Read(read) => read.holds(value).unwrap_or_else(|| {
                *self = Self::Anything;
                true
            }),
        }
    }
}

impl Read {
    fn new(text: &[u8]) -> Self {
        let text = folded(&String::from_utf8_lossy(text)).into_bytes();
        let mut bytes = [false; 256];
        for byte in &text {
            if let Some(is_in) = bytes.get_mut(usize::from(*byte)) {
                *is_in = true;
            }
        }
        Self { text, left: COMPARED_BYTES_MAX, bytes, value: Vec::new() }
    }

    /// `None` when nothing more is compared.
    fn holds(&mut self, value: &[u8]) -> Option<bool> {
        let value = value.trim_ascii();
        if value.len() > VALUE_BYTES_MAX {
            return Some(true);
        }
        // Most have a sign that is nowhere in it.
        let is_in = |byte: &u8| self.bytes.get(usize::from(byte.to_ascii_lowercase())).is_some_and(|is_in| *is_in);
        if value.is_ascii() && !value.iter().all(is_in) {
            return Some(false);
        }
        self.left = self.left.checked_sub(self.text.len())?;
        self.value.clear();
        match std::str::from_utf8(value) {
            // One letter may be written in several ways.
            Ok(text) if !text.is_ascii() && !self.text.is_ascii() => return Some(true),
            Ok(text) if !text.is_ascii() => self.value.extend_from_slice(folded(text).as_bytes()),
            Ok(_) | Err(_) => self.value.extend(value.iter().map(u8::to_ascii_lowercase)),
        }
        Some(memmem::find(&self.text, &self.value).is_some())
    }
}

/// An editor's work, with what the client said itself hidden where it would be masked.
pub(crate) struct Owned<'e> {
    pub(crate) editor: &'e mut dyn Editor,
    pub(crate) own: &'e mut Own,
}

impl Editor for Owned<'_> {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        let start = out.len();
        let edit = self.editor.edit(field, out);
        let is_of_class = field.column > crate::columns::OPAQUE;
        let is_own = field.value.is_some_and(|value| is_of_class && edit == Edit::Replace && self.own.holds(value));
        if !is_own {
            return edit;
        }
        out.truncate(start);
        let hidden = Field { column: UNKNOWN, kind: ANY_TEXT, encoding: Encoding::Text, value: field.value };
        self.editor.edit(hidden, out)
    }

    fn offers(&mut self, access: &Access) -> bool {
        self.editor.offers(access)
    }

    fn describes(&mut self, resource: &Resource, description: &str) -> Told {
        self.editor.describes(resource, description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_known_however_it_was_written() {
        let said = |head: &str, body: &str| Own::new(head.into(), Some(body.as_bytes()), false, false);
        assert!(said("/by/jo+x%40corp.example", "").holds(b"jo+x@corp.example"));
        assert!(said("/by?email=Jo%40corp.example", "").holds(b"jo@CORP.example"));
        let document = r#"{"query": "{ user(email: \"jo\\u0040corp.example\") { email } }"}"#;
        assert!(said("/graphql", document).holds(b"jo@corp.example"));
        assert!(!said("/by/eve", "{}").holds(b"jo@corp.example"));
        for (head, body, value) in [
            ("/by", r#"{"n": "stra\u00dfe"}"#, "STRASSE"),
            ("/by/%CE%9F%CE%94%CE%9F%CE%A3.json", "", "οδος"),
            ("/by/caf%E9", "", "café"),
            (r"/by?n=\u006ao", "", "jo@"),
            ("/by", "{\"m\":1}\n{\"n\":\"\\u007aed\"}", "zed"),
            ("/by", "<n>&#122;ed</n>", "zed"),
        ] {
            let value = value.trim_end_matches('@');
            assert!(said(head, body).holds(value.as_bytes()), "{head} {body}: {value}");
        }
        assert!(!said("/by/eve", "{}").holds("José".as_bytes()));
        assert!(Own::new("/".into(), Some(b"n=%7Aed"), false, true).holds(b"zed"));
    }
}
