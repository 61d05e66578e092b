//! How deep a policy may go. Whatever reads or evaluates expressions does so by recursion, and a stack that overflows takes
//! the whole program with it: so what is too deep is refused by its text, before anything reads it.
//!
//! Knows strings, comments, brackets and operators of Cedar; must not know what they mean.

/// Brackets within brackets.
const NESTING_MAX: usize = 32;
/// Operators of one policy that are applied to each other's results.
const LINKS_MAX: usize = 400;

/// The line of the first policy that goes too deep, and what is too much of it.
pub(crate) fn too_deep(text: &str) -> Option<(usize, String)> {
    let (mut line, mut begun, mut nesting, mut links) = (1, 0, 0_usize, 0_usize);
    let mut bytes = text.bytes().peekable();
    let mut word = Vec::new();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'"', _) => {
                while let Some(inner) = bytes.next() {
                    match inner {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        b'\n' => line += 1,
                        _ => {}
                    }
                }
            }
            (b'/', Some(b'/')) => while bytes.next_if(|next| *next != b'\n').is_some() {},
            // What is looked up in what was looked up stands in brackets one after the other.
            (b'(' | b'[' | b'{', _) => (nesting, links) = (nesting + 1, links + 1),
            (b')' | b']' | b'}', _) => nesting = nesting.saturating_sub(1),
            (b'&' | b'|', _) | (b'+' | b'-' | b'*' | b'.' | b'!', _) => links += 1,
            (b';', _) => (nesting, links, begun) = (0, 0, 0),
            (b'\n', _) => line += 1,
            _ => {}
        }
        // A condition is a link by its word; all of one policy are one expression.
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            begun = if begun == 0 { line } else { begun };
            word.push(byte);
        } else {
            links += match word.as_slice() {
                b"if" | b"when" => 1,
                b"unless" => 2,
                _ => 0,
            };
            word.clear();
        }
        if nesting > NESTING_MAX {
            return Some((line, format!("brackets are nested deeper than {NESTING_MAX}")));
        }
        if links > LINKS_MAX {
            return Some((begun, format!("a policy has more than {LINKS_MAX} operators")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<usize> {
        too_deep(text).map(|(line, _)| line)
    }

    #[test]
    fn what_goes_too_deep_is_found_whatever_its_form() {
        let within = |body: &str| format!("permit (principal, action, resource) when {{ {body} }};");
        for body in [
            format!("{}true{}", "(".repeat(50), ")".repeat(50)),
            format!("{}1{} == [1]", "[".repeat(50), "]".repeat(50)),
            "true && ".repeat(201) + "true",
            "true || ".repeat(201) + "true",
            "if true then true else ".repeat(401) + "true",
            "1 + ".repeat(401) + "1 == 1",
            format!("principal{} == 1", ".a".repeat(401)),
            format!("context{} == 1", "[\"a\"]".repeat(401)),
            format!("true }} {} unless {{ true", "when { true }".repeat(201)),
            format!("true }} {} when {{ true", "unless{1>2}".repeat(140)),
        ] {
            assert_eq!(said(&within(&body)), Some(1), "{}", body.get(..40).unwrap_or_default());
            assert_eq!(said(&format!("// fine\n\n{}", within(&body))), Some(3));
        }
    }

    #[test]
    fn what_only_looks_deep_is_not() {
        let brackets = "(".repeat(90);
        for text in [
            format!("// {brackets}\npermit (principal, action, resource);"),
            format!("permit (principal, action, resource) when {{ context.a == \"{brackets}\\\"{brackets}\" }};"),
            "permit (principal, action, resource) when { 1 < 2 && 2 < 3 };\n".repeat(500),
            format!("permit (principal, action in [{}], resource);", "Action::\"sql:select\", ".repeat(900)),
        ] {
            assert_eq!(said(&text), None, "{}", text.get(..60).unwrap_or_default());
        }
    }
}
