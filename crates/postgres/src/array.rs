//! Arrays of one dimension, as constants and bind values write them: their elements, and the same with others in their places.
//!
//! Knows the text form and the binary form. Does not know what an element is.

/// What PostgreSQL takes for a space around elements.
const SPACES: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

/// An array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Array {
    /// The type of its elements, as the binary form has it; 0 of one in text.
    pub(crate) kind: u32,
    /// Its elements; `None` is NULL.
    pub(crate) elements: Vec<Option<Vec<u8>>>,
}

/// The elements of an array in text; `None` of one with several dimensions or bounds, with more elements than this, or of none.
pub(crate) fn parse(text: &str, count_max: usize) -> Option<Vec<Option<String>>> {
    let mut rest = text.trim_matches(SPACES).strip_prefix('{')?.strip_suffix('}')?.trim_start_matches(SPACES);
    let mut elements = Vec::new();
    if rest.is_empty() {
        return Some(elements);
    }
    loop {
        let (element, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_element(quoted).map(|(element, after)| (Some(element), after))?,
            None => bare_element(rest)?,
        };
        if elements.len() >= count_max {
            return None;
        }
        elements.push(element);
        let after = after.trim_start_matches(SPACES);
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches(SPACES),
            None => return after.is_empty().then_some(elements),
        }
    }
}

/// What stands up to the closing quotation mark, and what follows it.
fn quoted_element(quoted: &str) -> Option<(String, &str)> {
    let (mut element, mut letters) = (String::new(), quoted.char_indices());
    loop {
        match letters.next()? {
            (at, '"') => return Some((element, quoted.get(at + 1..)?)),
            (_, '\\') => element.push(letters.next()?.1),
            (_, letter) => element.push(letter),
        }
    }
}

/// What stands up to the next comma, and that with what follows it.
fn bare_element(rest: &str) -> Option<(Option<String>, &str)> {
    let (element, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
    let element = element.trim_end_matches(SPACES);
    if element.is_empty() || element.contains(['{', '}', '"', '\\']) {
        return None;
    }
    Some(((!element.eq_ignore_ascii_case("null")).then(|| element.to_owned()), after))
}

/// An array in text.
pub(crate) fn write(elements: &[Option<String>]) -> String {
    let written = elements.iter().map(|element| match element {
        Some(element) => format!("\"{}\"", element.replace('\\', "\\\\").replace('"', "\\\"")),
        None => "NULL".to_owned(),
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

impl Array {
    /// Reads the binary form; `None` of an array with several dimensions, or whose first element is not number 1, with more
    /// elements than this, or of none.
    pub(crate) fn parse_binary(value: &[u8], count_max: usize) -> Option<Self> {
        let (dimensions, rest) = number(value)?;
        let (_has_nulls, rest) = number(rest)?;
        let (kind, rest) = number(rest)?;
        let mut array = Self { kind: kind.cast_unsigned(), elements: Vec::new() };
        if dimensions == 0 {
            return rest.is_empty().then_some(array);
        }
        let (count, rest) = number(rest)?;
        let (first, mut rest) = number(rest)?;
        let count = usize::try_from(count).ok()?;
        if (dimensions, first) != (1, 1) || count > count_max {
            return None;
        }
        for _ in 0..count {
            let (len, after) = number(rest)?;
            // A length of -1 is NULL's.
            let (element, after) = match len {
                -1 => (None, after),
                len => {
                    let (element, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
                    (Some(element.to_vec()), after)
                }
            };
            array.elements.push(element);
            rest = after;
        }
        rest.is_empty().then_some(array)
    }

    /// Writes it; `None` if it is too long for its form.
    pub(crate) fn write_binary(&self) -> Option<Vec<u8>> {
        let has_nulls = self.elements.iter().any(Option::is_none);
        let dimensions = i32::from(!self.elements.is_empty());
        let mut out = [dimensions, i32::from(has_nulls), self.kind.cast_signed()].map(i32::to_be_bytes).concat();
        if dimensions > 0 {
            out.extend(i32::try_from(self.elements.len()).ok()?.to_be_bytes());
            out.extend(1_i32.to_be_bytes());
        }
        for element in &self.elements {
            match element {
                Some(element) => {
                    out.extend(i32::try_from(element.len()).ok()?.to_be_bytes());
                    out.extend_from_slice(element);
                }
                None => out.extend((-1_i32).to_be_bytes()),
            }
        }
        Some(out)
    }
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(texts: &[Option<&str>]) -> Vec<Option<String>> {
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn elements_are_read_and_written() {
        for (text, expected) in [
            ("{}", Some(elements(&[]))),
            (" { } ", Some(elements(&[]))),
            ("{a}", Some(elements(&[Some("a")]))),
            ("{ a , b c,NULL,null,\"NULL\", \"\" }", {
                Some(elements(&[Some("a"), Some("b c"), None, None, Some("NULL"), Some("")]))
            }),
            (r#"{"a\"b","c\\,{}",é}"#, Some(elements(&[Some("a\"b"), Some("c\\,{}"), Some("é")]))),
            ("{a,{b}}", None),
            ("{{a},{b}}", None),
            ("[0:1]={a,b}", None),
            ("{a,}", None),
            ("{,a}", None),
            ("{\"a\"b}", None),
            ("{a\"b\"}", None),
            (r"{a\,b}", None),
            (r#"{"a\"}"#, None),
            ("{\"a}", None),
            ("{", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(parse(text, 10), expected, "{text}");
            if let Some(elements) = expected {
                assert_eq!(parse(&write(&elements), 10), Some(elements), "{text}");
            }
        }
        assert_eq!((parse("{a,b}", 2).is_some(), parse("{a,b}", 1)), (true, None));
    }

    #[test]
    fn the_binary_form_is_read_and_written() {
        let array = Array { kind: 25, elements: vec![Some(b"a".to_vec()), None, Some(Vec::new())] };
        let value = array.write_binary().unwrap();
        assert_eq!(value[..20], [1, 1, 25, 3, 1].map(i32::to_be_bytes).concat());
        assert_eq!(Array::parse_binary(&value, 3), Some(array));
        assert_eq!(Array::parse_binary(&value, 2), None, "it has too many");
        for len in 0..value.len() {
            assert_eq!(Array::parse_binary(&value[..len], 3), None, "{len}");
        }
        let empty = Array { kind: 2950, elements: Vec::new() };
        assert_eq!(Array::parse_binary(&empty.write_binary().unwrap(), 0), Some(empty));
        for (dimensions, count, first) in [(2, 1, 1), (1, 1, 0), (1, -1, 1), (1, i32::MAX, 1)] {
            let value = [dimensions, 0, 25, count, first, 0].map(i32::to_be_bytes).concat();
            assert_eq!(Array::parse_binary(&value, usize::MAX), None, "{dimensions} {count} {first}");
        }
    }
}
