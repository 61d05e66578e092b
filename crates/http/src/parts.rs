//! Bodies in parts (RFC 2046, section 5.1, and RFC 7578), each with a head of its own.
//!
//! Read strictly: where one reader would find another part than the next, there are none.

use gatehouse_protocol::{Breach, Editor};
use memchr::memmem;

use crate::answer::is_digest;
use crate::body::{self, Kind, Text};
use crate::columns::{ANY_TEXT, Columns, HEADER, OPAQUE};
use crate::rider::Reader;

/// How many parts are read.
const PARTS_MAX: usize = 1024;
/// How long a boundary may be, in bytes (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;
/// The kinds of bodies in parts that are looked into.
const KINDS: [&str; 4] = ["multipart/form-data", "multipart/mixed", "multipart/related", "multipart/alternative"];

/// One part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// The fields of its head, with names in small letters.
    fields: Vec<(String, &'a str)>,
    /// What it is called in a form.
    pub(crate) name: Option<&'a str>,
    pub(crate) is_file: bool,
    pub(crate) content: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(part: &'a [u8]) -> Option<Self> {
        let (head, content) = match part.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => {
                let end = memmem::find(part, b"\r\n\r\n")?;
                (part.get(..end)?, part.get(end + 4..)?)
            }
        };
        let head = std::str::from_utf8(head).ok()?;
        let mut fields: Vec<(String, &str)> = Vec::new();
        for line in head.split("\r\n").filter(|_| !head.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            let is_clean = !value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            if name.is_empty() || !name.bytes().all(is_word) || !is_clean {
                return None;
            }
            fields.push((name.to_ascii_lowercase(), value.trim()));
        }
        let mut part = Self { fields, name: None, is_file: false, content };
        if part.fields.iter().filter(|(name, _)| name == "content-disposition").count() > 1 {
            return None;
        }
        if let Some(disposition) = part.field("content-disposition") {
            (part.name, part.is_file) = called(disposition)?;
        }
        Some(part)
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| *value)
    }

    /// What it is: text, if it does not say (RFC 7578, section 4.4).
    pub(crate) fn kind(&self) -> Kind {
        let is_plain = |coding: &str| ["7bit", "8bit", "binary"].iter().any(|plain| coding.eq_ignore_ascii_case(plain));
        if !self.field("content-transfer-encoding").is_none_or(is_plain) {
            return Kind::Opaque;
        }
        Kind::of(self.content_type())
    }

    fn content_type(&self) -> Option<&'a str> {
        self.field("content-type").or(Some("text/plain"))
    }
}

/// The name in a form, and whether it is a file's, by a `Content-Disposition`; `None` where readers differ.
fn called(disposition: &str) -> Option<(Option<&str>, bool)> {
    // What is escaped, or coded as words of mail are, each reader takes in its own way.
    if disposition.contains('\\') || disposition.contains("=?") {
        return None;
    }
    let (_, mut rest) = disposition.split_once(';').unwrap_or((disposition, ""));
    let (mut name, mut is_file) = (None, false);
    while !rest.trim().is_empty() {
        let (key, after) = rest.split_once('=')?;
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                let after = after.trim_start();
                (value, after.strip_prefix(';').or_else(|| after.is_empty().then_some(""))?)
            }
            None => after.split_once(';').unwrap_or((after, "")),
        };
        let is_plain = after.starts_with('"') || !value.trim().contains([' ', '\t', '"', ',']);
        if !is_plain || value.starts_with('\'') || value.ends_with('\'') {
            return None;
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "name" if name.is_none() && !value.contains('\0') => name = Some(value.trim()),
            "filename" | "filename*" => is_file = true,
            key if key.starts_with("name") => return None,
            _ => {}
        }
    }
    Some((name, is_file))
}

/// What stands between the parts, by a content type of parts.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !KINDS.iter().any(|kind| kind.eq_ignore_ascii_case(essence.trim())) {
        return None;
    }
    let mut boundaries = parameters.split(';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    });
    let (boundary, None) = (boundaries.next()?, boundaries.next()) else { return None };
    let boundary = boundary.strip_prefix('"').and_then(|quoted| quoted.strip_suffix('"')).unwrap_or(boundary);
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_-./:=?".contains(&byte);
    (!boundary.is_empty() && boundary.len() <= BOUNDARY_BYTES_MAX && boundary.bytes().all(is_of_it)).then_some(boundary)
}

/// The parts of a body; `None` if readers may differ on which these are.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut rest = body.strip_prefix(delimiter.as_bytes())?;
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        // Wherever it stands, it stands between parts.
        let end = memmem::find(part, delimiter.as_bytes())?;
        parts.push(Part::read(part.get(..end)?.strip_suffix(b"\r\n")?)?);
        if parts.len() > PARTS_MAX {
            return None;
        }
        rest = part.get(end + delimiter.len()..)?;
    }
    matches!(rest, b"--" | b"--\r\n").then_some(parts)
}

/// Appends a body in parts with each masked as what it is.
pub(crate) fn mask_parts(
    body: &[u8],
    boundary: &str,
    columns: &mut Columns,
    editor: &mut dyn Editor,
    out: &mut Vec<u8>,
) -> Result<(), Breach> {
    let parts = parts(body, boundary).ok_or_else(|| Breach::target("the parts of the target's body are not clear"))?;
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        // What is no longer true when it changes is left out.
        let is_kept = |name: &str| name != "content-length" && !is_digest(name);
        for (name, value) in part.fields.iter().filter(|(name, _)| is_kept(name)) {
            out.extend_from_slice(format!("{name}: ").as_bytes());
            body::show(HEADER, ANY_TEXT, value.as_bytes(), editor, out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        match (part.name.and_then(|name| columns.of(name)), part.kind()) {
            (Some(column), _) => body::show(column, ANY_TEXT, part.content, editor, out),
            (None, Kind::Opaque | Kind::Parts) => body::show(OPAQUE, ANY_TEXT, part.content, editor, out),
            (None, _) => {
                let mut text = Text::of(part.content_type(), part.content.len());
                let reader = &mut Reader { columns, rider: None };
                text.take(part.content, reader, editor, out)?;
                text.finish(reader, editor, out)?;
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_where_all_readers_agree() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\ncontent-disposition: form-data; \
                    name=f; filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n\r\n\r\n--x--\r\n";
        let read = parts(body.as_bytes(), "x").unwrap();
        let told: Vec<_> = read.iter().map(|part| (part.name, part.is_file, part.content, part.kind())).collect();
        assert_eq!(told, [(Some("a"), false, &b"1"[..], Kind::Lines), (Some("f"), true, &b"\r\n"[..], Kind::Opaque)]);
        let one = |head: &str, content: &str| format!("--x\r\n{head}\r\n\r\n{content}\r\n--x--");
        let named = "content-disposition: form-data; name=\"a\"";
        assert!(parts(one(named, "1").as_bytes(), "x").is_some());
        assert!(parts(b"--x--", "x").is_some_and(|parts| parts.is_empty()));
        for unclear in [
            one(named, "1\n--x\r\ncontent-disposition: form-data; name=b\r\n\r\n2"),
            one(named, "--xy"),
            one(&format!("{named}; name=b"), "1"),
            one("content-disposition: form-data; name*=utf-8''%5Fmethod", "1"),
            one("content-disposition: form-data; name=\"a\\\"b\"", "1"),
            one("content-disposition: form-data;\r\n name=a", "1"),
            one("content-disposition: form-data;\n name=a", "1"),
            one(&format!("{named}\r\n{named}"), "1"),
            one("content-disposition : form-data; name=a", "1"),
            one("content-disposition: form-data; x=\"\\\"; name=safe; z=\"; name=_method; y=\";q=r\"", "1"),
            one("content-disposition: form-data; name=_method x", "1"),
            one("content-disposition: form-data; name='_method'", "1"),
            one("content-disposition: form-data; name=\"=?UTF-8?Q?=5Fmethod?=\"", "1"),
            format!("before\r\n{}", one(named, "1")),
            format!("{}after", one(named, "1")),
            one(named, "1").replace("--x--", ""),
            one(named, "1").replace("\r\n\r\n", "\n\n"),
        ] {
            assert_eq!(parts(unclear.as_bytes(), "x"), None, "{unclear}");
        }
    }

    #[test]
    fn more_parts_than_are_read_are_none() {
        let body = |count: usize| format!("{}--x--", "--x\r\n\r\n1\r\n".repeat(count));
        assert_eq!(parts(body(PARTS_MAX).as_bytes(), "x").map(|parts| parts.len()), Some(PARTS_MAX));
        assert_eq!(parts(body(PARTS_MAX + 1).as_bytes(), "x"), None);
        let long = |length: usize| format!("multipart/form-data; boundary={}", "x".repeat(length));
        assert!(boundary(&long(BOUNDARY_BYTES_MAX)).is_some());
        assert_eq!(boundary(&long(BOUNDARY_BYTES_MAX + 1)), None);
    }

    #[test]
    fn a_boundary_is_said_once() {
        assert_eq!(boundary("multipart/form-data; boundary=x"), Some("x"));
        assert_eq!(boundary("multipart/related; boundary=\"a=b\""), Some("a=b"));
        for unclear in [
            "Multipart/Mixed; charset=utf-8; Boundary=\"a b\"",
            "multipart/form-data",
            "multipart/form-data; boundary=x; boundary=y",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=x,y",
        ] {
            assert_eq!(boundary(unclear), None, "{unclear}");
        }
    }
}
