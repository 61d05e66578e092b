//! Keeps the gateway's own credential from coming back, should the target repeat it.
//!
//! What stands for it is as long as it, so that lengths stay true.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use gatehouse_model::{Access, Resource, Secret};
use gatehouse_protocol::{Breach, Edit, Editor, Field, Told};
use memchr::memmem;

use crate::coding::Decoder;

/// A secret that is shorter is not looked for: it would be found in anything.
const SECRET_BYTES_MIN: usize = 6;

/// Signs that one writer of addresses or another leaves as they are, besides letters and digits: forms (WHATWG, Java), Go and RFC 3986,
/// Python, JavaScript's `encodeURIComponent`, Go's paths, and JavaScript's `encodeURI`.
const LEFT_ALONE: [&str; 6] = ["*-._", "-._~", "-._~/", "-._~!*'()", "-._~$&+:=@", "-._~!*'();,/?:@&=+$#"];

/// As writers of addresses have it, in both cases of their digits.
fn in_addresses(plain: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for left_alone in LEFT_ALONE {
        for space in ["+", "%20"] {
            let mut upper = String::with_capacity(plain.len() * 3);
            for byte in plain {
                match byte {
                    b' ' => upper.push_str(space),
                    byte if byte.is_ascii_alphanumeric() || left_alone.as_bytes().contains(byte) => {
                        upper.push(char::from(*byte));
                    }
                    byte => upper.push_str(&format!("%{byte:02X}")),
                }
            }
            let lower = with_lower_digits(&upper);
            all.extend([upper, lower]);
        }
    }
    all
}

/// An escaped text whose escapes are written with small letters.
fn with_lower_digits(escaped: &str) -> String {
    let mut out = String::with_capacity(escaped.len());
    let mut digits = 0;
    for char in escaped.chars() {
        out.push(if digits > 0 { char.to_ascii_lowercase() } else { char });
        digits = if char == '%' { 2_usize } else { digits.saturating_sub(1) };
    }
    out
}

/// As writers of HTML and XML have it.
fn in_markup(text: &str) -> Vec<String> {
    let named = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut all = Vec::new();
    for quote in ["&quot;", "&#34;", "&#x22;"] {
        for apostrophe in ["&#39;", "&#x27;", "&apos;", "'"] {
            for plus in ["+", "&#x2B;"] {
                all.push(named.replace('"', quote).replace('\'', apostrophe).replace('+', plus));
            }
        }
    }
    all
}

/// As JSON is written by those who have such characters in units of UTF-16.
fn in_units(quoted: &str, of: &[char], is_capital: bool) -> String {
    let mut out = String::with_capacity(quoted.len());
    for char in quoted.chars() {
        match (of.contains(&char), is_capital) {
            (true, true) => out.push_str(&format!("\\u{:04X}", u32::from(char))),
            (true, false) => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            (false, _) => out.push(char),
        }
    }
    out
}

/// What is looked for.
#[derive(Clone, Default)]
pub(crate) struct Seals {
    forms: Arc<[Secret]>,
    /// The same in small letters, as names of fields come.
    small_forms: Arc<[Secret]>,
    /// How long the shortest and the longest is: most values are shorter than any.
    shortest: usize,
    longest: usize,
}

impl Seals {
    /// Of secrets, each as it is, as it stands in an address, and as it stands in JSON.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let mut all: Vec<Secret> = Vec::new();
        for secret in secrets.iter().filter(|secret| secret.expose().len() >= SECRET_BYTES_MIN) {
            let plain = secret.expose();
            let text = String::from_utf8_lossy(plain);
            let quoted = serde_json::to_string(&text).unwrap_or_default();
            let quoted = quoted.trim_matches('"');
            let coded = BASE64.encode(plain);
            let mut forms = vec![
                text.to_string(),
                quoted.to_string(),
                quoted.replace('/', "\\/"),
                in_units(quoted, &['&', '<', '>'], false),
                in_units(quoted, &['&', '<', '>', '+', '\'', '`'], true),
                coded.trim_end_matches('=').to_string(),
            ];
            forms.extend(in_addresses(plain));
            forms.extend(in_markup(&text));
            for form in &forms {
                if !all.iter().any(|known| known.expose() == form.as_bytes()) {
                    all.push(Secret::new(form.as_str()));
                }
            }
        }
        let small_forms = all.iter().map(|form| Secret::new(form.expose().to_ascii_lowercase())).collect();
        let lengths = || all.iter().map(|form| form.expose().len());
        let (shortest, longest) = (lengths().min().unwrap_or_default(), lengths().max().unwrap_or_default());
        Self { forms: all.into(), small_forms, shortest, longest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Puts stars in their place; true if there were any.
    pub(crate) fn hide(&self, bytes: &mut [u8]) -> bool {
        let mut found = false;
        if bytes.len() < self.shortest {
            return found;
        }
        for secret in self.forms.iter().map(Secret::expose) {
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| memmem::find(rest, secret)) {
                let end = from + at + secret.len();
                if let Some(place) = bytes.get_mut(from + at..end) {
                    place.fill(b'*');
                }
                (from, found) = (end, true);
            }
        }
        found
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.len() >= self.shortest && self.forms.iter().any(|secret| memmem::find(bytes, secret.expose()).is_some())
    }

    /// Whether the name of a field holds one, whatever the size of its letters: on the way names lose theirs.
    pub(crate) fn is_in_name(&self, name: &str) -> bool {
        let holds = |name: &[u8]| self.small_forms.iter().any(|secret| memmem::find(name, secret.expose()).is_some());
        !self.is_empty() && name.len() >= self.shortest && holds(&name.as_bytes().to_ascii_lowercase())
    }

    /// How much of the end of `bytes` may be the beginning of one.
    fn begun(&self, bytes: &[u8]) -> usize {
        let is_begun = |len: &usize| {
            let end = bytes.get(bytes.len() - len..).unwrap_or_default();
            self.forms.iter().any(|secret| secret.expose().starts_with(end))
        };
        (1..self.longest.min(bytes.len() + 1)).rev().find(is_begun).unwrap_or_default()
    }
}

/// An editor's work, without them, and not much longer than what it is done to.
pub(crate) struct Sealed<'e> {
    pub(crate) editor: &'e mut dyn Editor,
    pub(crate) seals: Seals,
    /// By how many bytes masks may still be longer than what they stand for; `None` when that was too little: then nothing more
    /// is written, and what was is not to be shown.
    pub(crate) room: Option<usize>,
}

impl Editor for Sealed<'_> {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        let Some(room) = self.room else { return Edit::Replace };
        let start = out.len();
        let edit = self.editor.edit(field, out);
        if edit == Edit::Replace {
            self.room = room.checked_sub((out.len() - start).saturating_sub(field.value.map_or(0, <[u8]>::len)));
        }
        match (edit, field.value) {
            (Edit::Keep, Some(value)) if self.seals.is_in(value) => {
                out.truncate(start);
                out.extend_from_slice(value);
                self.seals.hide(out.get_mut(start..).unwrap_or_default());
                Edit::Replace
            }
            (Edit::Replace, _) => {
                self.seals.hide(out.get_mut(start..).unwrap_or_default());
                Edit::Replace
            }
            (Edit::Keep | Edit::Null, _) => edit,
        }
    }

    fn offers(&mut self, access: &Access) -> bool {
        self.editor.offers(access)
    }

    fn describes(&mut self, resource: &Resource, description: &str) -> Told {
        self.editor.describes(resource, description)
    }
}

/// A body that goes by as it is, without them, however it is split.
#[derive(Default)]
pub(crate) struct Sieve {
    kept: BytesMut,
    /// Whether there were any.
    pub(crate) has_hidden: bool,
}

impl Sieve {
    /// The next bytes, but for an end that may be a beginning.
    pub(crate) fn pass(&mut self, seals: &Seals, bytes: &[u8]) -> Bytes {
        self.kept.extend_from_slice(bytes);
        self.has_hidden |= seals.hide(&mut self.kept);
        let ready = self.kept.len() - seals.begun(&self.kept);
        self.kept.split_to(ready).freeze()
    }

    /// What was kept.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.kept.split().freeze()
    }
}

/// How much of a coded body may wait for what shows whether the gateway's credential begins there, in bytes.
const WATCHED_BYTES_MAX: usize = 256 * 1024;

/// A coded body that goes by as it is, as long as it holds none of them: what it decodes to is looked at, and nothing is shown
/// that may be the beginning of one.
pub(crate) struct Watch {
    decoder: Decoder,
    /// The end of what was decoded, and of what it was decoded from: a coding has room for words of its own.
    seen: Vec<u8>,
    seen_coded: Vec<u8>,
    /// What may not be shown yet.
    kept: BytesMut,
}

impl Watch {
    pub(crate) fn new(decoder: Decoder) -> Self {
        Self { decoder, seen: Vec::new(), seen_coded: Vec::new(), kept: BytesMut::new() }
    }

    /// How much is kept of what was looked into.
    pub(crate) fn held_bytes(&self) -> usize {
        self.kept.len()
    }

    /// The next bytes, or none while they may be a beginning.
    pub(crate) fn pass(&mut self, seals: &Seals, bytes: &[u8]) -> Result<Bytes, Breach> {
        let look = |seen: &mut Vec<u8>, next: &[u8]| {
            seen.extend_from_slice(next);
            if seals.is_in(seen) {
                return Err(Breach::target("the target's answer holds what the gateway proves itself by"));
            }
            seen.drain(..seen.len() - seals.begun(seen));
            Ok(())
        };
        look(&mut self.seen_coded, bytes)?;
        let seen = &mut self.seen;
        self.decoder.feed(bytes, |decoded| look(seen, decoded))?;
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > WATCHED_BYTES_MAX + bytes.len() {
            return Err(Breach::target(
                "the target's answer does not go on, and may hold what the gateway proves itself by",
            ));
        }
        Ok(if self.seen.is_empty() && self.seen_coded.is_empty() { self.kept.split().freeze() } else { Bytes::new() })
    }

    /// What was kept.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.kept.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_coded_secret_is_never_shown_in_whole() {
        let seals = Seals::new(&[Secret::new("s3cr et\"s")]);
        let coded = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            // What is flushed can be read by the client before the rest comes.
            for part in text.chunks(3) {
                encoder.write_all(part).unwrap();
                encoder.flush().unwrap();
            }
            encoder.finish().unwrap()
        };
        for size in 1..40 {
            let pass = |text: &[u8]| -> Option<Vec<u8>> {
                let mut watch = Watch::new(Decoder::new(Some("gzip")).unwrap());
                let mut out = Vec::new();
                for part in coded(text).chunks(size) {
                    out.extend_from_slice(&watch.pass(&seals, part).ok()?);
                }
                out.extend_from_slice(&watch.finish());
                Some(out)
            };
            let plain = b"nothing but s3cr, and s3cr et and more";
            assert_eq!(pass(plain), Some(coded(plain)), "{size}");
            assert_eq!(pass(b"it is s3cr et\"s, you see"), None, "{size}");
        }
    }

    #[test]
    fn a_secret_is_found_however_it_is_split() {
        let seals = Seals::new(&[Secret::new("s3cr et\"s")]);
        let text = b"as it is: s3cr et\"s, s3cr+et%22s and \"s3cr et\\\"s\"; s3cr";
        for size in 1..text.len() {
            let mut sieve = Sieve::default();
            let mut out: Vec<u8> = Vec::new();
            text.chunks(size).for_each(|part| out.extend_from_slice(&sieve.pass(&seals, part)));
            out.extend_from_slice(&sieve.finish());
            let expected = "as it is: *********, *********** and \"**********\"; s3cr";
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{size}");
        }
        assert!(Seals::new(&[Secret::new("short")]).is_empty());
    }

    #[test]
    fn a_secret_is_found_in_names_whatever_the_size_of_their_letters() {
        let seals = Seals::new(&[Secret::new("Tok-S3cret")]);
        for name in ["tok-s3cret", "x-tok-s3cret-1", "X-TOK-S3CRET", "vg9rlvmzy3jlda"] {
            assert!(seals.is_in_name(name), "{name}");
        }
        for name in ["", "tok-s3cre", "x-tok", "content-type"] {
            assert!(!seals.is_in_name(name), "{name}");
        }
        assert!(!Seals::default().is_in_name("content-type"));
    }
}
