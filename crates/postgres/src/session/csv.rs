//! One field of COPY's CSV: how it is read, and how PostgreSQL would write another in its place.
//!
//! Knows signs and quotation, not which field is of which column.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::analysis::CopyCsv;

/// Where a field that is alone in its line is the end of all data, unless it is quoted.
const END_OF_DATA: &[u8] = b"\\.";
/// ASCII below this is never a part of another character, whatever the encoding is.
const FIRST_AMBIGUOUS: u8 = b'0';

/// A field at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'b> {
    /// What it stands for; `None` is NULL.
    pub(super) value: Option<Cow<'b, [u8]>>,
    /// How many bytes it takes, without what ends it.
    pub(super) len: usize,
}

/// Whether its signs are what they seem in every encoding.
pub(super) fn is_clear(form: &CopyCsv) -> bool {
    [form.delimiter, form.quote, form.escape].iter().all(|sign| *sign < FIRST_AMBIGUOUS)
}

/// The field at the front. `None` where it is none, or does not end in what is there.
pub(super) fn field<'b>(form: &CopyCsv, rest: &'b [u8]) -> Option<Field<'b>> {
    if rest.first() == Some(&form.quote) {
        return quoted(form, rest);
    }
    let len = memchr::memchr2(form.delimiter, b'\n', rest)?;
    let text = rest.get(..len)?;
    // What has a quotation mark in it is quoted.
    if memchr::memchr(form.quote, text).is_some() {
        return None;
    }
    let value = (text != form.null.as_bytes()).then_some(Cow::Borrowed(text));
    Some(Field { value, len })
}

fn quoted<'b>(form: &CopyCsv, rest: &'b [u8]) -> Option<Field<'b>> {
    let mut plain = Vec::new();
    let (mut from, mut at) = (1, 1);
    loop {
        at += memchr::memchr2(form.quote, form.escape, rest.get(at..)?)?;
        let (sign, next) = (rest.get(at)?, rest.get(at + 1));
        if *sign == form.escape && next.is_some_and(|next| *next == form.quote || *next == form.escape) {
            plain.extend_from_slice(rest.get(from..at)?);
            // What is escaped stands for itself.
            from = at + 1;
            at += 2;
        } else if *sign == form.quote {
            break;
        } else {
            at += 1;
        }
    }
    let tail = rest.get(from..at)?;
    let value = if plain.is_empty() {
        Cow::Borrowed(tail)
    } else {
        plain.extend_from_slice(tail);
        Cow::Owned(plain)
    };
    Some(Field { value: Some(value), len: at + 1 })
}

/// Writes a value that is not NULL as the server would. Which columns are quoted whatever they hold is not looked up: where
/// some are, all of these are. So whether there are quotation marks says nothing of what stood there.
pub(super) fn write(form: &CopyCsv, value: &[u8], is_alone: bool, out: &mut BytesMut) {
    let splits = |byte: &u8| *byte == form.delimiter || *byte == form.quote || matches!(byte, b'\r' | b'\n');
    let is_taken = value == form.null.as_bytes() || is_alone && value == END_OF_DATA;
    if !(form.forces_quotes || is_taken || value.iter().any(splits)) {
        out.put_slice(value);
        return;
    }
    out.put_u8(form.quote);
    for &byte in value {
        if byte == form.quote || byte == form.escape {
            out.put_u8(form.escape);
        }
        out.put_u8(byte);
    }
    out.put_u8(form.quote);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(delimiter: u8, quote: u8, escape: u8, null: &str) -> CopyCsv {
        CopyCsv { delimiter, quote, escape, null: null.into(), forces_quotes: false, has_header: false, is_utf8: false }
    }

    /// The values of a line, or why there are none: the place that is no field.
    fn values(form: &CopyCsv, line: &str) -> Result<Vec<Option<String>>, usize> {
        let (line, mut at, mut values) = (line.as_bytes(), 0, Vec::new());
        loop {
            let field = field(form, &line[at..]).ok_or(at)?;
            at += field.len;
            values.push(field.value.map(|value| String::from_utf8(value.into_owned()).unwrap()));
            match line.get(at) {
                Some(sign) if *sign == form.delimiter => at += 1,
                Some(b'\n') if at + 1 == line.len() => return Ok(values),
                Some(_) | None => return Err(at),
            }
        }
    }

    #[test]
    fn fields_are_read_as_the_server_writes_them() {
        let plain = form(b',', b'"', b'"', "");
        let (backslash, other) = (form(b';', b'\'', b'\\', "NULL"), form(b'\t', b'@', b'@', "-"));
        let comma = form(b';', b'"', b';', "");
        for (form, line, expected) in [
            (&plain, "\n", vec![None]),
            (&plain, "\"\"\n", vec![Some("")]),
            (&plain, ",\"\",x\n", vec![None, Some(""), Some("x")]),
            (&plain, "\"a,b\",c\n", vec![Some("a,b"), Some("c")]),
            (&plain, "\"say \"\"hi\"\"\",\"\"\"\",\"\"\"\"\"\"\n", vec![Some("say \"hi\""), Some("\""), Some("\"\"")]),
            (&plain, "\"one\r\ntwo\",\"\n\"\n", vec![Some("one\r\ntwo"), Some("\n")]),
            (&plain, "\"\\.\"\n", vec![Some("\\.")]),
            (&plain, "\\N,\\\n", vec![Some("\\N"), Some("\\")]),
            (&backslash, "NULL;'NULL';null\n", vec![None, Some("NULL"), Some("null")]),
            (&backslash, "'it\\'s';'\\\\';'\\\\\\''\n", vec![Some("it's"), Some("\\"), Some("\\'")]),
            // An escape that nothing is quoted around is a letter like another.
            (&backslash, "a\\b;\"c\"\n", vec![Some("a\\b"), Some("\"c\"")]),
            (&other, "-\t@-@\ta@\n", Vec::new()),
            (&other, "-\t@-@\t@a@@@\n", vec![None, Some("-"), Some("a@")]),
            (&comma, "\"a;;b;\"\";c\n", vec![Some("a;b\""), Some("c")]),
        ] {
            let expected: Vec<Option<String>> =
                expected.into_iter().map(|value| value.map(ToString::to_string)).collect();
            let found = values(form, line);
            match expected.is_empty() {
                true => assert!(found.is_err(), "{line:?}: {found:?}"),
                false => assert_eq!(found, Ok(expected), "{line:?}"),
            }
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_behind_its_end_is_no_field() {
        let form = form(b',', b'"', b'"', "");
        for line in ["", "a", "a,", "\"a", "\"a\"", "\"a\"\"", "\"a\"b\n", "a\"b\n", "a\"\n", "\"a\n", "\"a\" ,b\n"] {
            assert!(values(&form, line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn values_are_quoted_where_the_server_does() {
        let written = |form: &CopyCsv, value: &str, is_alone: bool| {
            let mut out = BytesMut::new();
            write(form, value.as_bytes(), is_alone, &mut out);
            String::from_utf8(out.to_vec()).unwrap()
        };
        let plain = form(b',', b'"', b'"', "");
        let forced = CopyCsv { forces_quotes: true, ..plain.clone() };
        let backslash = form(b';', b'\'', b'\\', "x");
        for (form, value, is_alone, expected) in [
            (&plain, "a b", false, "a b"),
            (&plain, "", false, "\"\""),
            (&plain, "a,b", false, "\"a,b\""),
            (&plain, "a\"b", false, "\"a\"\"b\""),
            (&plain, "a\rb", false, "\"a\rb\""),
            (&plain, "a\nb", false, "\"a\nb\""),
            (&plain, "\\.", false, "\\."),
            (&plain, "\\.", true, "\"\\.\""),
            (&forced, "a", false, "\"a\""),
            (&backslash, "a,b", false, "a,b"),
            (&backslash, "x", false, "'x'"),
            (&backslash, "", false, ""),
            (&backslash, "a\\b", false, "a\\b"),
            (&backslash, "a\\;'b", false, "'a\\\\;\\'b'"),
        ] {
            assert_eq!(written(form, value, is_alone), expected, "{value:?}");
        }
    }

    #[test]
    fn signs_that_are_parts_of_characters_in_other_encodings_are_told() {
        assert!(is_clear(&form(b',', b'"', b'"', "")) && is_clear(&form(b'\t', b'\'', b'\'', "")));
        assert!(!is_clear(&form(b'|', b'"', b'"', "")) && !is_clear(&form(b',', b'"', b'\\', "")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            value in "[a\"',;\\\\@\n\r.N]{0,8}",
            (quote, escape) in (prop::sample::select(b"\"'@".to_vec()), prop::sample::select(b"\"'@\\;".to_vec())),
            forces_quotes in any::<bool>(),
        ) {
            let form = CopyCsv { forces_quotes, ..form(b';', quote, escape, "N") };
            let mut out = BytesMut::new();
            write(&form, value.as_bytes(), true, &mut out);
            let line = String::from_utf8(out.to_vec()).unwrap() + "\n";
            prop_assert_eq!(values(&form, &line), Ok(vec![Some(value)]));
        }
    }
}
