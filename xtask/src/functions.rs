//! How long functions are. Past 70 lines one wants a second look, past 100 it must be on a list that only shrinks.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::masked::is_word;
use crate::sources::Source;
use crate::{Findings, House};

const LINES_REMARKED: usize = 70;
const LINES_MAX: usize = 100;
const LIST: &str = "xtask/long-functions.txt";

/// One function.
#[derive(Debug, PartialEq, Eq)]
struct Function<'a> {
    name: &'a str,
    /// Where it begins.
    line: usize,
    /// How many lines it has, from `fn` to its closing brace.
    lines: usize,
}

/// Compares the functions with the list.
pub(crate) fn check(house: &House, sources: &[Source], findings: &mut Findings) -> Result<()> {
    let list = std::fs::read_to_string(house.path(LIST)).with_context(|| format!("reading {LIST}"))?;
    let mut long = BTreeSet::new();
    for source in sources {
        for function in functions(&source.code) {
            let entry = format!("{} {}", source.path, function.name);
            let is_listed = list.lines().any(|line| line == entry);
            let length = format!("`{}` has {} lines", function.name, function.lines);
            if function.lines > LINES_MAX && !is_listed {
                findings.wrong(&source.path, function.line, format!("{length}, more than {LINES_MAX}: split it"));
            } else if function.lines > LINES_REMARKED {
                findings.remark(&source.path, function.line, format!("{length}, more than {LINES_REMARKED}"));
            }
            if function.lines > LINES_MAX {
                long.insert(entry);
            }
        }
    }
    for (index, entry) in list.lines().enumerate() {
        if !entry.is_empty() && !entry.starts_with('#') && !long.contains(entry) {
            findings.wrong(LIST, index + 1, format!("`{entry}` is not that long any more: delete the line"));
        }
    }
    Ok(())
}

/// Every function with a body.
fn functions(code: &str) -> Vec<Function<'_>> {
    code.match_indices("fn ").filter_map(|(at, _)| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function<'_>> {
    let (before, text) = code.split_at_checked(at)?;
    if before.chars().next_back().is_some_and(is_word) {
        return None;
    }
    let rest = text.strip_prefix("fn ")?;
    let name = rest.get(..rest.find(|c| !is_word(c))?).filter(|name| !name.is_empty())?;
    let end = body_end(text)?;
    let lines = text.get(..end)?.lines().count();
    Some(Function { name, line: before.matches('\n').count() + 1, lines })
}

/// The end of the first block outside all brackets; `None` if a semicolon comes before it.
fn body_end(text: &str) -> Option<usize> {
    let mut brackets = 0usize;
    let mut braces = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.checked_sub(1)?,
            '{' => braces += 1,
            '}' => {
                braces = braces.checked_sub(1)?;
                if braces == 0 && brackets == 0 {
                    return Some(at + 1);
                }
            }
            ';' if braces == 0 && brackets == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::functions;

    fn check(code: &str, expect: &[(&str, usize, usize)]) {
        let found: Vec<(&str, usize, usize)> =
            functions(code).into_iter().map(|function| (function.name, function.line, function.lines)).collect();
        assert_eq!(found, expect, "{code}");
    }

    #[test]
    fn bodies_are_measured() {
        check("fn a() {}\n", &[("a", 1, 1)]);
        check("trait T {\n    fn a(x: [u8; 4]);\n    fn b() {\n        ()\n    }\n}\n", &[("b", 3, 3)]);
        check("fn a(f: fn (u8) -> u8) {\n    if x {\n    }\n}\n", &[("a", 1, 4)]);
    }
}
