//! The elements of PostgreSQL's arrays of texts, so that each can be masked where it stands.
//!
//! Knows arrays of one dimension whose first element is number 1, in text and in binary. Does not know what stands in an
//! element's place, and nothing of an element is in what it writes.

use std::borrow::Cow;

use gatehouse_model::Encoding;

use crate::document::STRUCTURE_BYTES_MAX;

/// An array's binary form begins with its dimensions, whether it has NULLs, and the type of its elements.
const HEAD_BYTES: usize = 12;

/// It is no such array, or longer than one may be, before its elements are masked or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotPlain;

/// Appends the array with what `stand_in` appends for each of its elements: no quotation marks or backslashes. If it fails,
/// what was appended is of no use.
pub(crate) fn mask(
    encoding: Encoding,
    value: &[u8],
    out: &mut Vec<u8>,
    stand_in: impl FnMut(&[u8], &mut Vec<u8>),
) -> Result<(), NotPlain> {
    if value.len() > STRUCTURE_BYTES_MAX {
        return Err(NotPlain);
    }
    match encoding {
        Encoding::Text => mask_text(value, out, stand_in),
        Encoding::Binary => mask_binary(value, out, stand_in),
    }
}

fn mask_text(value: &[u8], out: &mut Vec<u8>, mut stand_in: impl FnMut(&[u8], &mut Vec<u8>)) -> Result<(), NotPlain> {
    let inner = value.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).ok_or(NotPlain)?;
    let start = out.len();
    if inner.is_empty() {
        out.extend_from_slice(value);
        return Ok(());
    }
    out.push(b'{');
    let mut rest = inner;
    loop {
        let after = match rest {
            [b'"', quoted @ ..] => {
                let end = quoted_end(quoted).ok_or(NotPlain)?;
                let (element, after) = quoted.split_at_checked(end).ok_or(NotPlain)?;
                push_quoted(&unescaped(element), out, &mut stand_in);
                after.get(1..).ok_or(NotPlain)?
            }
            _ => {
                let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
                let (element, after) = rest.split_at_checked(end).ok_or(NotPlain)?;
                // What has these is quoted, or is an array itself.
                if element.is_empty() || element.iter().any(|byte| matches!(byte, b'{' | b'}' | b'"' | b'\\')) {
                    return Err(NotPlain);
                }
                match element {
                    b"NULL" => out.extend_from_slice(element),
                    _ => push_quoted(element, out, &mut stand_in),
                }
                after
            }
        };
        if out.len() - start > STRUCTURE_BYTES_MAX {
            return Err(NotPlain);
        }
        match after {
            [] => break,
            [b',', next @ ..] => {
                out.push(b',');
                rest = next;
            }
            _ => return Err(NotPlain),
        }
    }
    out.push(b'}');
    Ok(())
}

fn push_quoted(element: &[u8], out: &mut Vec<u8>, stand_in: &mut impl FnMut(&[u8], &mut Vec<u8>)) {
    out.push(b'"');
    stand_in(element, out);
    out.push(b'"');
}

/// Where the quotation mark is that closes an element.
fn quoted_end(quoted: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    quoted.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })
}

/// An element as it is, so that it has the pseudonym of the same text in a column of its own.
fn unescaped(element: &[u8]) -> Cow<'_, [u8]> {
    if !element.contains(&b'\\') {
        return Cow::Borrowed(element);
    }
    let mut plain = Vec::with_capacity(element.len());
    let mut bytes = element.iter();
    while let Some(byte) = bytes.next() {
        plain.extend(if *byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    Cow::Owned(plain)
}

fn mask_binary(value: &[u8], out: &mut Vec<u8>, mut stand_in: impl FnMut(&[u8], &mut Vec<u8>)) -> Result<(), NotPlain> {
    let start = out.len();
    let (head, after) = value.split_at_checked(HEAD_BYTES).ok_or(NotPlain)?;
    let (dimensions, _) = number(head).ok_or(NotPlain)?;
    out.extend_from_slice(head);
    if dimensions == 0 {
        return if after.is_empty() { Ok(()) } else { Err(NotPlain) };
    }
    let (count, after) = number(after).ok_or(NotPlain)?;
    let (first, mut rest) = number(after).ok_or(NotPlain)?;
    if (dimensions, first) != (1, 1) {
        return Err(NotPlain);
    }
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&first.to_be_bytes());
    for _ in 0..count {
        let (len, after) = number(rest).ok_or(NotPlain)?;
        let place = out.len();
        out.extend_from_slice(&len.to_be_bytes());
        rest = after;
        // A length of -1 is NULL's.
        if len != -1 {
            let len = usize::try_from(len).map_err(|_| NotPlain)?;
            let (element, after) = rest.split_at_checked(len).ok_or(NotPlain)?;
            rest = after;
            let begin = out.len();
            stand_in(element, out);
            let written = i32::try_from(out.len() - begin).map_err(|_| NotPlain)?;
            out.get_mut(place..begin).ok_or(NotPlain)?.copy_from_slice(&written.to_be_bytes());
        }
        if out.len() - start > STRUCTURE_BYTES_MAX {
            return Err(NotPlain);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(NotPlain) }
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes each element between angle brackets.
    fn show(encoding: Encoding, value: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let masked = mask(encoding, value, &mut out, |element, out| {
            out.push(b'<');
            out.extend_from_slice(element);
            out.push(b'>');
        });
        masked.ok().map(|()| out)
    }

    #[test]
    fn elements_are_told_apart_in_text() {
        for (value, expected) in [
            ("{}", Some("{}")),
            ("{a}", Some("{\"<a>\"}")),
            ("{a,\"b, c\",NULL,\"NULL\",\"\"}", Some("{\"<a>\",\"<b, c>\",NULL,\"<NULL>\",\"<>\"}")),
            ("{\"{}\",\"a}\"}", Some("{\"<{}>\",\"<a}>\"}")),
            (r#"{"a\"b","c\\"}"#, Some("{\"<a\"b>\",\"<c\\>\"}")),
            ("{null,é}", Some("{\"<null>\",\"<é>\"}")),
            ("{{a},{b}}", None),
            ("{a,{b}}", None),
            ("[0:1]={a,b}", None),
            ("{a,}", None),
            ("{,a}", None),
            ("{\"a\"b}", None),
            ("{\"a}", None),
            (r#"{"a\"}"#, None),
            ("a", None),
            ("{", None),
            ("", None),
        ] {
            let shown = show(Encoding::Text, value.as_bytes()).map(|out| String::from_utf8(out).unwrap());
            assert_eq!(shown.as_deref(), expected, "{value}");
        }
    }

    fn binary(dimensions: &[(i32, i32)], elements: &[Option<&str>]) -> Vec<u8> {
        let mut value = [i32::try_from(dimensions.len()).unwrap(), 1, 25].map(i32::to_be_bytes).concat();
        for (count, first) in dimensions {
            value.extend([count.to_be_bytes(), first.to_be_bytes()].concat());
        }
        for element in elements {
            let len = element.map_or(-1, |element| i32::try_from(element.len()).unwrap());
            value.extend(len.to_be_bytes());
            value.extend(element.unwrap_or_default().bytes());
        }
        value
    }

    #[test]
    fn elements_are_told_apart_in_binary() {
        let show = |value: &[u8]| show(Encoding::Binary, value);
        let elements = [Some("a"), None, Some(""), Some("b\"c")];
        let masked = binary(&[(4, 1)], &[Some("<a>"), None, Some("<>"), Some("<b\"c>")]);
        assert_eq!(show(&binary(&[(4, 1)], &elements)), Some(masked));
        assert_eq!(show(&binary(&[], &[])), Some(binary(&[], &[])));
        assert_eq!(show(&binary(&[(4, 0)], &elements)), None, "it begins elsewhere");
        assert_eq!(show(&binary(&[(2, 1), (2, 1)], &elements)), None, "it has two dimensions");
        for count in [3, 5, i32::MAX] {
            assert_eq!(show(&binary(&[(count, 1)], &elements)), None, "{count}");
        }
        let whole = binary(&[(4, 1)], &elements);
        for len in 0..whole.len() {
            assert_eq!(show(&whole[..len]), None, "{len}");
        }
    }

    #[test]
    fn long_arrays_are_not_masked() {
        let many = |count: usize| format!("{{{}a}}", "a,".repeat(count));
        assert!(show(Encoding::Text, many(1000).as_bytes()).is_some());
        assert!(
            show(Encoding::Text, many(STRUCTURE_BYTES_MAX / 3).as_bytes()).is_none(),
            "what comes of it is too long"
        );
        assert!(show(Encoding::Text, many(STRUCTURE_BYTES_MAX).as_bytes()).is_none());
    }
}
