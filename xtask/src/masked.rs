//! Rust text with comments, strings and characters blanked out, line for line.
//!
//! Enough of the language's lexis that a word found is code and a brace counted is a brace; no parser.

/// Replaces everything that is not code by spaces. Lines stay where they are.
pub(crate) fn masked(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        // A letter inside a word is no prefix of a string.
        let skipped = if is_word(before) && first != '/' { None } else { not_code(rest) };
        let len = match skipped {
            Some(len) => {
                blank(rest.get(..len).unwrap_or(rest), &mut out);
                before = ' ';
                len
            }
            None => {
                out.push(first);
                before = first;
                first.len_utf8()
            }
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    out
}

/// True for what an identifier is made of.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

/// The length in bytes of a comment, string or character at the front.
fn not_code(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).unwrap_or(text.len());
    let (letters, body) = text.split_at_checked(prefix)?;
    if !matches!(letters, "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let len = if letters.ends_with('r') { raw_string(body) } else { string(body).or_else(|| character(body)) };
    len.map(|len| prefix + len)
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> Option<usize> {
    if !text.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.find(|c| c != '#')?;
    let inner = text.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(inner.find(&end).map_or(text.len(), |at| hashes + 1 + at + end.len()))
}

/// A character, but no lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let first = inner.chars().next()?;
    if first == '\\' {
        let escaped = inner.chars().nth(1)?;
        let from = 1 + escaped.len_utf8();
        return inner.get(from..)?.find('\'').map(|at| 1 + from + at + 1);
    }
    inner.get(first.len_utf8()..)?.starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

#[cfg(test)]
mod tests {
    use super::masked;

    /// `expect` has one space for each stretch that is no code.
    fn check(text: &str, expect: &str) {
        let masked = masked(text);
        assert_eq!(masked.chars().count(), text.chars().count(), "{text}");
        assert_eq!(masked.split_whitespace().collect::<Vec<_>>().join(" "), expect, "{text}");
    }

    #[test]
    fn only_code_stays() {
        check("a // {\nb", "a b");
        check("a /* { /* } */ { */ b", "a b");
        check(r#"f("{ \" }", b"}")"#, "f( , )");
        check("f(r#\"\"{\"#, r\"\\\")", "f( , )");
        check(r"f('{', '\'', '\u{7d}', b'}', 'ü')", "f( , , , , )");
    }

    #[test]
    fn lifetimes_and_raw_names_are_code() {
        check("fn f<'a>(r#type: &'a str) {}", "fn f<'a>(r#type: &'a str) {}");
        check("attr // b", "attr");
    }
}
