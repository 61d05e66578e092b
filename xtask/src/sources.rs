//! What stands in the sources, and what must not: headers, unfinished work, and names that belong to one room.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::masked::{is_word, masked};
use crate::{Findings, House};

/// One Rust file.
pub(crate) struct Source {
    /// Its path from the root.
    pub(crate) path: String,
    /// As it is.
    pub(crate) text: String,
    /// Its code alone.
    pub(crate) code: String,
}

/// Names that only some folders may use.
struct Reserved {
    names: &'static [&'static str],
    only_in: &'static [&'static str],
    why: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        names: &["Cleared::new(", "Receipt::new(", "Grant::new("],
        only_in: &["crates/gate/src/"],
        why: "a proof has one mint: the gate",
    },
    Reserved {
        names: &[".hello(", ".greet("],
        only_in: &["crates/engine/src/"],
        why: "the gateway's own words are spoken at logins and surveys, by the engine",
    },
    Reserved {
        names: &[
            "tokio::net",
            "TcpStream",
            "TcpListener",
            "TcpSocket",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "UnixDatagram",
            "ToSocketAddrs",
            "socket2",
        ],
        only_in: &["crates/engine/", "crates/gatehouse/", "crates/scratch/", "crates/conformance/"],
        why: "only the engine holds data-path sockets, and only the binary any others",
    },
    Reserved {
        names: &["Timestamp::now", "Zoned::now", "SystemTime", "Instant::now"],
        only_in: &["crates/engine/", "crates/gatehouse/", "crates/scratch/", "crates/conformance/"],
        why: "the time is a parameter: only the engine and the binary read a clock",
    },
    Reserved {
        names: &["env::var", "env::vars", "env::var_os"],
        // How C is built is told to a build script by its environment alone.
        only_in: &[
            "crates/gatehouse/",
            "crates/scratch/",
            "crates/secrets/",
            "crates/conformance/",
            "crates/postgres/build.rs",
        ],
        why: "the environment is configuration: only the binary and the secrets read it",
    },
    Reserved {
        names: &["std::fs", "std::process", "std::thread", "tokio"],
        only_in: &[
            "crates/engine/",
            "crates/gatehouse/",
            "crates/scratch/",
            "crates/laws/",
            "crates/conformance/",
            "crates/journal/",
            "crates/secrets/",
            "crates/store/",
            "crates/api/",
            "crates/identity/",
        ],
        why: "the door, the protocols and what they are made of are functions over bytes and state",
    },
];

/// What no code of the house contains.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore"];

/// What no text of the house contains, comments included.
const REMINDERS: &[&str] = &["TODO", "FIXME", "XXX"];

/// Where code stands that must not compile, often because of one of these names.
const COMPILE_FAIL: &str = "/tests/compile_fail/";

/// Every Rust file of the workspace, by path.
pub(crate) fn read(house: &House) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(house, &house.path(folder), &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn collect(house: &House, folder: &Path, into: &mut Vec<Source>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(house, &path, into)?;
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let code = masked(&text);
            into.push(Source { path: house.shown(&path), text, code });
        }
    }
    Ok(())
}

/// Checks headers, reserved names and unfinished work.
pub(crate) fn check(sources: &[Source], findings: &mut Findings) {
    for source in sources {
        header(source, findings);
        if source.path.starts_with("crates/") {
            reserved(source, findings);
            unfinished(source, findings);
        }
    }
}

fn header(source: &Source, findings: &mut Findings) {
    if !source.text.starts_with("//!") {
        findings.wrong(&source.path, 1, "must begin with `//!`: what the file knows and what it must not know");
    }
}

fn reserved(source: &Source, findings: &mut Findings) {
    if source.path.contains(COMPILE_FAIL) {
        return;
    }
    for rule in RESERVED {
        if rule.only_in.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        for (line, text) in lines(&source.code) {
            for name in rule.names.iter().filter(|name| contains_name(text, name)) {
                findings.wrong(
                    &source.path,
                    line,
                    format!("`{name}` belongs to {}: {}", rule.only_in.join(", "), rule.why),
                );
            }
        }
    }
}

fn unfinished(source: &Source, findings: &mut Findings) {
    for (line, text) in lines(&source.code) {
        for word in UNFINISHED.iter().filter(|word| contains_name(text, word)) {
            findings.wrong(&source.path, line, format!("`{word}` is unfinished work: finish it or take it out"));
        }
    }
    for (line, text) in lines(&source.text) {
        for word in REMINDERS.iter().filter(|word| contains_name(text, word)) {
            findings.wrong(&source.path, line, format!("`{word}`: file an issue, and say here what is so now"));
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// True if the name stands in the line as a whole, not as a part of a longer one.
fn contains_name(line: &str, name: &str) -> bool {
    let open =
        |neighbour: Option<char>, edge: Option<char>| !(neighbour.is_some_and(is_word) && edge.is_some_and(is_word));
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + name.len()..).and_then(|text| text.chars().next());
        open(before, name.chars().next()) && open(after, name.chars().next_back())
    })
}

#[cfg(test)]
mod tests {
    use super::contains_name;

    #[test]
    fn names_are_whole() {
        assert!(contains_name("let at = Instant::now();", "Instant::now"));
        assert!(contains_name("use std::net::{TcpStream, IpAddr};", "TcpStream"));
        assert!(contains_name("x.hello(y)", ".hello("));
        assert!(!contains_name("MyTcpStream", "TcpStream"));
        assert!(!contains_name("tokio_postgres::connect", "tokio"));
        assert!(!contains_name("Cleared::newest(", "Cleared::new("));
    }
}
