//! E-mail addresses, found from their `@`.
//!
//! Knows what a mail address looks like in practice, not all that RFC 5322 permits.

use std::ops::Range;

use super::bytes::{before, run};

/// Longer than the 64 bytes of RFC 5321, for a local part that is too long is still not to be seen.
const LOCAL_BYTES_MAX: usize = 128;
const DOMAIN_BYTES_MAX: usize = 253;
const TOP_LEVEL_BYTES_MAX: usize = 24;

/// Endings of files and units that are no top-level domains, as in `logo@2x.png`.
const NOT_TOP_LEVEL: &[&[u8]] = &[
    b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"ico", b"css", b"js", b"mjs", b"tsx", b"jsx", b"html", b"json",
    b"xml", b"yml", b"yaml", b"toml", b"txt", b"pdf", b"log", b"conf", b"cfg", b"ini", b"service", b"socket", b"timer",
];

/// How far back the command is read that takes a user and a host, in bytes.
const COMMAND_BYTES_MAX: usize = 64;
/// Commands that take a user and a host as `user@host`.
const REMOTE: [&[u8]; 7] = [b"ssh", b"scp", b"sftp", b"sshfs", b"ssh-copy-id", b"rsync", b"mosh"];

/// The address around the `@` there, which is three bytes in a query.
pub(super) fn email(hay: &[u8], at: Range<usize>) -> Option<Range<usize>> {
    let start = local_start(hay, at.start);
    let local = hay.get(start..at.start)?;
    // `git@host` is how repositories are named, not a mailbox.
    if local.is_empty() || local == b"git" {
        return None;
    }
    let end = at.end + domain_len(hay, at.end)?;
    // `this@Outer.method(…)` is a call.
    let is_call =
        hay.get(end) == Some(&b'(') && (local == b"this" || local == b"super" || hay.get(end + 1) == Some(&b')'));
    // Between a user and a host stands an `@` too; `%40` is of the user's own name.
    let is_host =
        at.len() == 1 && (is_behind_scheme(hay, start) || is_behind_command(hay, start) || is_before_path(hay, end));
    (!is_call && !is_host).then_some(start..end)
}

/// True for the user part of a URL, as in `postgres://app@db.example.com`.
fn is_behind_scheme(hay: &[u8], start: usize) -> bool {
    let url = hay.get(..start).unwrap_or_default();
    let scheme = url.strip_suffix(b"://").or_else(|| url.strip_suffix(b":\\/\\/"));
    scheme.is_some_and(|scheme| !scheme.ends_with(b"mailto"))
}

/// True where a remote shell is started, as in `ssh -p 22 deploy@web1.example.com`: nothing but its options stands between.
fn is_behind_command(hay: &[u8], start: usize) -> bool {
    let line = hay.get(start.saturating_sub(COMMAND_BYTES_MAX)..start).unwrap_or_default();
    let Some(line) = line.strip_suffix(b" ") else { return false };
    let mut next: &[u8] = b"-";
    for word in line.rsplit(u8::is_ascii_whitespace) {
        let is_command = REMOTE.iter().any(|command| {
            let rest = word.strip_suffix(*command);
            rest.is_some_and(|rest| rest.last().is_none_or(|byte| !byte.is_ascii_alphanumeric()))
        });
        if is_command {
            return next.starts_with(b"-");
        }
        next = word;
    }
    false
}

/// True if a path on the host follows, as copies from there have it.
fn is_before_path(hay: &[u8], end: usize) -> bool {
    hay.get(end) == Some(&b':') && matches!(hay.get(end + 1), Some(b'/' | b'~'))
}

fn local_start(hay: &[u8], at: usize) -> usize {
    let floor = at.saturating_sub(LOCAL_BYTES_MAX);
    let mut start = at;
    while start > floor {
        let Some(byte) = before(hay, start) else { break };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'') {
            start -= 1;
        } else if is_two_byte_end(hay, start) {
            start -= 2;
        } else {
            break;
        }
    }
    start + hay.iter().skip(start).take(at - start).take_while(|byte| byte.is_ascii_punctuation()).count()
}

/// True if a character of two bytes in UTF-8 ends here: letters of Europe and the Near East, not of scripts that are
/// written without spaces, where all text before the address would be taken for a part of it.
fn is_two_byte_end(hay: &[u8], end: usize) -> bool {
    let Some(character) = end.checked_sub(2).and_then(|start| hay.get(start..end)) else { return false };
    matches!(character, [0xC2..=0xDF, 0x80..=0xBF])
}

fn is_domain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | 0x80..=0xBF | 0xC2..=0xDF)
}

/// The length of the domain at `from`, down to a last label that can be a top-level domain.
fn domain_len(hay: &[u8], from: usize) -> Option<usize> {
    let mut domain = hay.get(from..run(hay, from, DOMAIN_BYTES_MAX, is_domain_byte))?;
    loop {
        while let [rest @ .., b'.' | b'-'] = domain {
            domain = rest;
        }
        let dot = domain.iter().rposition(|byte| *byte == b'.')?;
        let (rest, last) = domain.split_at_checked(dot)?;
        let last = last.get(1..)?;
        if !last.iter().all(u8::is_ascii_digit) {
            return (is_top_level(last) && !is_version(domain)).then_some(domain.len());
        }
        domain = rest;
    }
}

fn is_top_level(label: &[u8]) -> bool {
    let letters = label.iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii());
    (2..=TOP_LEVEL_BYTES_MAX).contains(&label.len())
        && (letters || label.starts_with(b"xn--"))
        && !NOT_TOP_LEVEL.iter().any(|ending| label.eq_ignore_ascii_case(ending))
}

/// True for what follows the `@` in `package@18.2.0-rc.next`.
fn is_version(domain: &[u8]) -> bool {
    let domain = domain.strip_prefix(b"v").unwrap_or(domain);
    let mut labels = domain.split(|byte| *byte == b'.');
    let mut numeric = || labels.next().is_some_and(|label| !label.is_empty() && label.iter().all(u8::is_ascii_digit));
    numeric() && numeric()
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;
    use crate::detect::finder::tests::{check_found, check_left};

    #[test]
    fn finds_addresses() {
        check_found(
            Detector::Email,
            &[
                ("bob@example.com", "bob@example.com"),
                ("write to <Bob.Tables+x@mail.example.co.uk>.", "Bob.Tables+x@mail.example.co.uk"),
                ("mailto:a@b.co", "a@b.co"),
                ("('o'neil@example.ie')", "o'neil@example.ie"),
                ("jörg@müller.de", "jörg@müller.de"),
                ("价格bob@example.com联系", "bob@example.com"),
                ("bob@example.com.", "bob@example.com"),
                ("bob@example.com.123", "bob@example.com"),
                ("x_y@xn--bcher-kva.xn--p1ai", "x_y@xn--bcher-kva.xn--p1ai"),
                ("{\"m\":\"bob@x.io\"}", "bob@x.io"),
                ("mailto://bob@example.com", "bob@example.com"),
                ("https://bob%40example.com@web1/", "bob%40example.com"),
                ("send the ssh key to bob@example.com: thanks", "bob@example.com"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_one() {
        check_left(
            Detector::Email,
            &[
                "git@github.com:gatehouse/gatehouse.git",
                "logo@2x.png",
                "react@18.2.0",
                "react@18.2.0-rc.next",
                "pkg@v1.2.beta",
                "getty@tty1.service",
                "root@localhost",
                "Object@1a2b3c",
                "image@sha256:0123456789abcdef",
                "@example.com and bob@",
                "@app.route @media @import",
                "user@10.0.0.1",
                "a@@b.com",
                "postgres://app@db.example.com/shop",
                "{\"u\":\"https:\\/\\/user@example.com\\/path\"}",
                "ssh deploy@web1.example.com",
                "$ ssh -p 2222 -i key deploy@web1.example.com",
                "/usr/bin/scp -r deploy@web1.example.com .",
                "scp build.tar deploy@web1.example.com:/srv",
            ],
        );
    }
}
