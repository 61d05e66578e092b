//! A statement as the journal keeps it when its constants may be data or secrets: without them.
//!
//! Knows PostgreSQL's lexical rules, with standard strings. Reads text that the parser accepted; in doubt it leaves
//! more out.

/// Stands for what is left out.
const LEFT_OUT: char = '…';

/// The text without the values of its string, number and bit-string constants, and without its comments.
pub(super) fn without_constants(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (len, kept) = token(rest, first);
        let (text, after) = rest.split_at_checked(len.max(first.len_utf8())).unwrap_or((rest, ""));
        match kept {
            Kept::Whole => out.push_str(text),
            Kept::String => out.extend(['\'', LEFT_OUT, '\'']),
            Kept::Number => out.push(LEFT_OUT),
            Kept::Comment => out.push(' '),
        }
        rest = after;
    }
    out
}

enum Kept {
    Whole,
    String,
    Number,
    Comment,
}

/// The length in bytes of the token at the front, and what is kept of it.
fn token(text: &str, first: char) -> (usize, Kept) {
    match first {
        '\'' => (string(text, 1, false), Kept::String),
        '"' => (quoted(text, 1, '"', false), Kept::Whole),
        '$' => dollar(text),
        '-' if text.starts_with("--") => (text.find(['\n', '\r']).unwrap_or(text.len()), Kept::Comment),
        '/' if text.starts_with("/*") => (comment(text), Kept::Comment),
        '.' if text.chars().nth(1).is_some_and(|next| next.is_ascii_digit()) => {
            (1 + number(text.get(1..).unwrap_or("")), Kept::Number)
        }
        digit if digit.is_ascii_digit() => (number(text), Kept::Number),
        letter if is_word(letter) => word(text),
        other => (other.len_utf8(), Kept::Whole),
    }
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii()
}

/// A word, or a string that a word such as `E` stands before.
fn word(text: &str) -> (usize, Kept) {
    let end =
        text.find(|letter: char| !is_word(letter) && !letter.is_ascii_digit() && letter != '$').unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end).unwrap_or((text, ""));
    let opens = |prefix: &str| name.eq_ignore_ascii_case(prefix) && after.starts_with('\'');
    if opens("e") {
        (string(text, end + 1, true), Kept::String)
    } else if opens("b") || opens("x") || opens("n") {
        (string(text, end + 1, false), Kept::String)
    } else if name.eq_ignore_ascii_case("u") && after.starts_with("&'") {
        (string(text, end + 2, false), Kept::String)
    } else {
        (end, Kept::Whole)
    }
}

/// The end of a string constant whose content begins at `start`. Quoted text after whitespace with a newline continues
/// it by the same rules for backslashes ("String Constants" in PostgreSQL's manual, `quotecontinue` in its scan.l).
fn string(text: &str, start: usize, escapes: bool) -> usize {
    let mut end = quoted(text, start, '\'', escapes);
    while let Some(len) = text.get(end..).and_then(continuation) {
        end = quoted(text, end + len, '\'', escapes);
    }
    end
}

/// The length of what stands between two parts of a string constant, the quotation mark that opens the second included.
/// A `--` comment counts as whitespace, one in `/*` does not.
fn continuation(text: &str) -> Option<usize> {
    let (mut at, mut has_newline) = (0, false);
    loop {
        let rest = text.get(at..)?;
        match rest.chars().next()? {
            '\n' | '\r' => {
                has_newline = true;
                at += 1;
            }
            ' ' | '\t' | '\u{b}' | '\u{c}' => at += 1,
            '-' if rest.starts_with("--") => at += rest.find(['\n', '\r'])?,
            '\'' if has_newline => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The end of what is quoted from `start` on; a doubled quote goes on, and so does an escaped one.
fn quoted(text: &str, start: usize, quote: char, escapes: bool) -> usize {
    let mut letters = text.get(start..).unwrap_or("").char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        if escapes && letter == '\\' {
            letters.next();
        } else if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() {
            return start + place + quote.len_utf8();
        }
    }
    text.len()
}

/// A string in dollar quotes, a parameter, or a lone dollar.
fn dollar(text: &str) -> (usize, Kept) {
    let inside = text.get(1..).unwrap_or("");
    let end = inside.find(|letter: char| !is_word(letter) && !letter.is_ascii_digit()).unwrap_or(inside.len());
    let (tag, after) = inside.split_at_checked(end).unwrap_or((inside, ""));
    if tag.starts_with(|letter: char| letter.is_ascii_digit()) {
        return (1 + inside.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(inside.len()), Kept::Whole);
    }
    if !after.starts_with('$') {
        return (1, Kept::Whole);
    }
    let delimiter = text.get(..end + 2).unwrap_or(text);
    let body = text.get(end + 2..).unwrap_or("");
    let len = body.find(delimiter).map_or(text.len(), |place| end + 2 + place + delimiter.len());
    (len, Kept::String)
}

fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut letters = text.char_indices().peekable();
    while let Some((place, letter)) = letters.next() {
        if letter == '/' && letters.next_if(|(_, next)| *next == '*').is_some() {
            depth += 1;
        } else if letter == '*' && letters.next_if(|(_, next)| *next == '/').is_some() {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return place + 2;
            }
        }
    }
    text.len()
}

fn number(text: &str) -> usize {
    let mut before = ' ';
    let is_part = |letter: char, before: char| {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '.' | '_')
            || matches!(letter, '+' | '-') && matches!(before, 'e' | 'E')
    };
    for (place, letter) in text.char_indices() {
        if !is_part(letter, before) {
            return place;
        }
        before = letter;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_left_out() {
        let cases = [
            ("select 1", "select …"),
            ("select 'it''s', t1.x2 from \"a'b\"", "select '…', t1.x2 from \"a'b\""),
            ("select E'a\\'b', U&'x', b'01', x'ff', N'n'", "select '…', '…', '…', '…', '…'"),
            ("select $$secret$$, $a$ $$ $a$, $1", "select '…', '…', $1"),
            ("select 1.5e-3+.5 -- 'secret'\n, 2", "select …+…  \n, …"),
            ("select /* a /* b */ 'c' */ 3", "select   …"),
            ("alter role r password 'x'", "alter role r password '…'"),
            ("select été, '…' from ünï1", "select été, '…' from ünï1"),
            ("select 'open", "select '…'"),
            ("select E'x'\n'\\'Hidden, ' , 1", "select '…' , …"),
            ("select e'x' -- it's\n -- one 'more'\r\t'\\'Hidden'\n'\\'Hidden'", "select '…'"),
            ("select U&'x'\n'Hidden\\', 'y'", "select '…', '…'"),
            ("select 'x'\n'\\', 'Hidden', n'x'\n'Hidden'", "select '…', '…', '…'"),
            ("select b'0'\n'1', x'f'\n'e'", "select '…', '…'"),
            ("select E'x' '\\', 'Hidden'", "select '…' '…', '…'"),
            ("select E'x' -- 'Hidden'", "select '…'  "),
            ("select $$x$$\n'Hidden'", "select '…'\n'…'"),
        ];
        for (sql, expected) in cases {
            assert_eq!(without_constants(sql), expected, "{sql}");
        }
    }
}
