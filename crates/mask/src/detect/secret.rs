//! What opens doors: tokens, keys, password hashes and passwords in URLs.
//!
//! Knows the forms that issuers give their secrets. A high entropy by itself is not a form: digests have it too.

use std::ops::Range;

use memchr::memmem;

use super::Detector;
use super::bytes::{before, is_alnum_at, is_varied, run};

const JWT_HEADER_BYTES_MAX: usize = 1024;
const JWT_PAYLOAD_BYTES_MAX: usize = 16 * 1024;
const AUTHORITY_BYTES_MAX: usize = 512;
const PASSWORD_BYTES_MIN: usize = 6;
/// Of one that is assigned and has letters and digits.
const PASSWORD_MIXED_BYTES_MIN: usize = 5;
/// Of one that is a word by itself.
const PASSWORD_WORD_BYTES_MIN: usize = 8;
const PASSWORD_BYTES_MAX: usize = 256;
/// How far back quotation marks are counted, in bytes.
const LINE_BYTES_MAX: usize = 256;
const HASH_BYTES_MAX: usize = 512;
/// GRUB writes a salt and a hash of up to 64 bytes each as digits, and older ones longer.
const GRUB_BYTES_MAX: usize = 1024;
const LABEL_BYTES_MAX: usize = 40;
/// No word is as long as the shortest line of a key.
const KEY_LINE_BYTES_MIN: usize = 16;
const TOKEN_DIFFERENT_MIN: u32 = 6;
/// With a point behind it, if it ends a sentence.
const ENTRA_BYTES_MAX: usize = 41;
const ENTRA_BYTES_MIN: usize = 37;
/// 64 bytes in base64.
const AZURE_KEY_BYTES: usize = 88;
/// A token of a session is longer than a secret key, and of no length that is said.
const AWS_SESSION_BYTES_MIN: usize = 100;
const AWS_SESSION_BYTES_MAX: usize = 2048;

/// How one vendor's tokens look.
struct Vendor {
    prefix: &'static [u8],
    detector: Detector,
    body: fn(u8) -> bool,
    body_bytes_min: usize,
    body_bytes_max: usize,
    /// Whether both cases and digits must occur, for a prefix that is also a word.
    mixed: bool,
}

const fn vendor(prefix: &'static [u8], detector: Detector, body: fn(u8) -> bool, min: usize, max: usize) -> Vendor {
    Vendor { prefix, detector, body, body_bytes_min: min, body_bytes_max: max, mixed: false }
}

/// One whose prefix may be the beginning of words.
const fn mixed(prefix: &'static [u8], detector: Detector, body: fn(u8) -> bool, min: usize, max: usize) -> Vendor {
    Vendor { prefix, detector, body, body_bytes_min: min, body_bytes_max: max, mixed: true }
}

const VENDORS: &[Vendor] = &[
    vendor(b"AKIA", Detector::AwsKey, is_upper_alnum, 16, 16),
    vendor(b"ASIA", Detector::AwsKey, is_upper_alnum, 16, 16),
    vendor(b"ABIA", Detector::AwsKey, is_upper_alnum, 16, 16),
    vendor(b"ghp_", Detector::GithubToken, is_alnum, 36, 255),
    vendor(b"gho_", Detector::GithubToken, is_alnum, 36, 255),
    vendor(b"ghu_", Detector::GithubToken, is_alnum, 36, 255),
    vendor(b"ghs_", Detector::GithubToken, is_alnum, 36, 255),
    vendor(b"ghr_", Detector::GithubToken, is_alnum, 36, 255),
    vendor(b"github_pat_", Detector::GithubToken, is_word, 40, 255),
    vendor(b"glpat-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glagent-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glcbt-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"gldt-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glffct-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glft-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glimt-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"gloas-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glptt-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glrt-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glrtr-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glsoat-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"glsa_", Detector::ApiKey, is_word, 32, 64),
    vendor(b"whsec_", Detector::ApiKey, is_base64, 24, 255),
    vendor(b"hooks.slack.com/services/", Detector::ApiKey, is_path, 30, 255),
    vendor(b"hooks.slack.com/workflows/", Detector::ApiKey, is_path, 30, 255),
    vendor(b"hooks.slack.com/triggers/", Detector::ApiKey, is_path, 30, 255),
    mixed(b"hf_", Detector::ApiKey, is_alnum, 30, 64),
    vendor(b"SG.", Detector::ApiKey, is_dotted, 60, 72),
    vendor(b"dop_v1_", Detector::ApiKey, is_alnum, 64, 64),
    vendor(b"shpat_", Detector::ApiKey, is_alnum, 32, 64),
    vendor(b"shpca_", Detector::ApiKey, is_alnum, 32, 64),
    vendor(b"shppa_", Detector::ApiKey, is_alnum, 32, 64),
    vendor(b"shpss_", Detector::ApiKey, is_alnum, 32, 64),
    vendor(b"dckr_pat_", Detector::ApiKey, is_base64_url, 20, 64),
    vendor(b"sig=", Detector::ApiKey, is_query, 43, 80),
    vendor(b"xoxa-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxb-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxc-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxd-", Detector::ApiKey, is_cookie, 20, 512),
    vendor(b"xoxe-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxp-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxr-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xoxs-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"xapp-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"sk_live_", Detector::ApiKey, is_alnum, 16, 255),
    vendor(b"rk_live_", Detector::ApiKey, is_alnum, 16, 255),
    vendor(b"sk-ant-", Detector::ApiKey, is_base64_url, 20, 255),
    vendor(b"sk-or-v1-", Detector::ApiKey, is_alnum, 40, 80),
    mixed(b"sk-", Detector::ApiKey, is_base64_url, 32, 255),
    vendor(b"ya29.", Detector::ApiKey, is_base64_url, 30, 512),
    vendor(b"sk_test_", Detector::ApiKey, is_alnum, 16, 255),
    vendor(b"rk_test_", Detector::ApiKey, is_alnum, 16, 255),
    vendor(b"GOCSPX-", Detector::ApiKey, is_base64_url, 20, 64),
    vendor(b"AccountKey=", Detector::ApiKey, is_base64, 86, 90),
    vendor(b"SharedAccessKey=", Detector::ApiKey, is_base64, 43, 44),
    vendor(b"npm_", Detector::ApiKey, is_alnum, 36, 36),
    vendor(b"pypi-AgE", Detector::ApiKey, is_base64_url, 50, 512),
    vendor(b"AIza", Detector::ApiKey, is_base64_url, 35, 35),
    vendor(b"AQ.Ab8RN6", Detector::ApiKey, is_base64_url, 40, 60),
];

fn is_alnum(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_upper_alnum(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

/// Base64 in a query.
fn is_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'%'
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn is_base64_url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn is_dotted(byte: u8) -> bool {
    is_base64_url(byte) || byte == b'.'
}

/// Base64 as cookies have it, with some of its signs escaped.
fn is_cookie(byte: u8) -> bool {
    is_base64_url(byte) || byte == b'%'
}

/// The vendor's token that begins at `start`.
pub(super) fn token(hay: &[u8], start: usize) -> Option<(Detector, Range<usize>)> {
    let rest = hay.get(start..)?;
    VENDORS.iter().filter(|vendor| rest.starts_with(vendor.prefix)).find_map(|vendor| {
        let from = start + vendor.prefix.len();
        let end = run(hay, from, vendor.body_bytes_max + 1, vendor.body);
        let body = hay.get(from..end)?;
        let is_token = (vendor.body_bytes_min..=vendor.body_bytes_max).contains(&body.len())
            && is_varied(body, TOKEN_DIFFERENT_MIN)
            && (!vendor.mixed || is_mixed(body))
            && !is_alnum_at(hay, end);
        is_token.then_some((vendor.detector, start..end))
    })
}

/// The secret of an application in Entra that begins at `start`: 40 signs, of which the fifth and the sixth are `Q~`.
pub(super) fn entra_secret(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let end = run(hay, start, ENTRA_BYTES_MAX + 1, |byte| is_dotted(byte) || byte == b'~');
    let secret = hay.get(start..end)?;
    let is_form = secret.get(4..6) == Some(b"Q~") && (ENTRA_BYTES_MIN..=ENTRA_BYTES_MAX).contains(&secret.len());
    (is_form && is_mixed(secret)).then_some(start..end)
}

fn is_mixed(body: &[u8]) -> bool {
    body.iter().any(u8::is_ascii_uppercase)
        && body.iter().any(u8::is_ascii_lowercase)
        && body.iter().any(u8::is_ascii_digit)
}

/// The 40 characters of an AWS secret access key, or the more of a session's token, after its label, which ends at or after `label`.
pub(super) fn aws_secret(hay: &[u8], named: usize) -> Option<Range<usize>> {
    let label = run(hay, named, LABEL_BYTES_MAX, |byte| {
        // `aws configure` has what was there before in brackets.
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b' ' | b'\t' | b'"' | b'\'' | b'\\' | b'[' | b']')
    });
    if !matches!(hay.get(label), Some(b'=' | b':' | b'>')) {
        return aws_secret_behind(hay, named, label);
    }
    let start = run(hay, label, 12, |byte| matches!(byte, b'=' | b':' | b'>' | b' ' | b'\t' | b'"' | b'\'' | b'\\'));
    let end = run(hay, start, AWS_SESSION_BYTES_MAX, is_base64);
    let len = end - start;
    let is_key = (len == 40 || len >= AWS_SESSION_BYTES_MIN) && is_varied(hay.get(start..end)?, 10);
    is_key.then_some(start..end)
}

/// The same where nothing but a space parts it from the label, as on a command line; all of it was read as the label.
fn aws_secret_behind(hay: &[u8], named: usize, end: usize) -> Option<Range<usize>> {
    let gap = named + hay.get(named..end)?.iter().position(|byte| *byte == b' ')?;
    let start = run(hay, gap, LABEL_BYTES_MAX, |byte| matches!(byte, b' ' | b'"' | b'\''));
    let end = run(hay, start, 41, is_base64);
    let key = hay.get(start..end)?;
    (key.len() == 40 && is_varied(key, 10) && is_mixed(key)).then_some(start..end)
}

/// The key of an account of Azure's that follows its name, which ends at `named`: 64 bytes in base64.
pub(super) fn azure_key(hay: &[u8], named: usize) -> Option<Range<usize>> {
    let start = run(hay, named, 4, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    let end = run(hay, start, AZURE_KEY_BYTES + 1, is_base64);
    let key = hay.get(start..end)?;
    let is_form = key.len() == AZURE_KEY_BYTES && key.ends_with(b"==");
    (is_form && is_varied(key, TOKEN_DIFFERENT_MIN)).then_some(start..end)
}

/// The JSON web token that begins at `start`: three parts of base64url, the first an object with an `alg`, or five of one
/// that is encrypted.
pub(super) fn jwt(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let header_end = run(hay, start, JWT_HEADER_BYTES_MAX, is_base64_url);
    if hay.get(header_end) != Some(&b'.') {
        return None;
    }
    let header = jwt_header(hay.get(start..header_end)?)?;
    if memmem::find(&header, b"\"enc\"").is_some()
        && let Some(end) = encrypted_end(hay, header_end)
    {
        return Some(start..end);
    }
    let payload = header_end + 1;
    let payload_end = run(hay, payload, JWT_PAYLOAD_BYTES_MAX, is_base64_url);
    let is_object = hay.get(payload..payload_end)?.starts_with(b"ey");
    if !is_object || hay.get(payload_end) != Some(&b'.') {
        return None;
    }
    Some(start..run(hay, payload_end + 1, usize::MAX, is_base64_url))
}

/// Where an encrypted token ends (RFC 7516): its key, which may be empty, a vector, the text and a tag follow the header.
fn encrypted_end(hay: &[u8], header_end: usize) -> Option<usize> {
    let mut end = header_end;
    for place in 0..4 {
        if hay.get(end) != Some(&b'.') {
            return None;
        }
        let from = end + 1;
        end = run(hay, from, JWT_PAYLOAD_BYTES_MAX, is_base64_url);
        if end == from && place > 0 {
            return None;
        }
    }
    Some(end)
}

fn jwt_header(text: &[u8]) -> Option<Vec<u8>> {
    let header = decode_base64_url(text)?;
    let is_header = header.starts_with(b"{\"") && header.ends_with(b"}") && memmem::find(&header, b"\"alg\"").is_some();
    is_header.then_some(header)
}

fn decode_base64_url(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut window, mut bits) = (0_u32, 0);
    for byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        window = ((window << 6) | u32::from(digit)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from((window >> bits) & 0xff));
        }
    }
    Some(bytes)
}

/// The PEM block whose first words are `header`; without an end it goes on to a quotation mark or the end of the value.
pub(super) fn private_key(hay: &[u8], header: Range<usize>) -> Option<Range<usize>> {
    if is_in_prose(hay, header.end) {
        return None;
    }
    let mut at = header.end;
    while let Some(byte) = hay.get(at) {
        match byte {
            b'"' => break,
            b'-' if hay.get(at..).is_some_and(|rest| rest.starts_with(b"-----END ")) => {
                let words = run(hay, at + 9, LABEL_BYTES_MAX, |byte| is_upper_alnum(byte) || byte == b' ');
                at = run(hay, words, 5, |byte| byte == b'-');
                break;
            }
            _ => at += 1,
        }
    }
    Some(header.start..at)
}

/// True if words follow the header that ends there, and no key: `begins with -----BEGIN PRIVATE KEY----- and is PEM`.
fn is_in_prose(hay: &[u8], header_end: usize) -> bool {
    let words = run(hay, header_end, LABEL_BYTES_MAX, |byte| is_upper_alnum(byte) || byte == b' ');
    let dashes = run(hay, words, 5, |byte| byte == b'-');
    let body = run(hay, dashes, LABEL_BYTES_MAX, |byte| byte == b' ');
    let body_end = run(hay, body, KEY_LINE_BYTES_MIN, is_base64);
    body > dashes && is_alnum_at(hay, body) && body_end - body < KEY_LINE_BYTES_MIN
}

/// How stored passwords begin: in LDAP (RFC 2307), and as crypt(5) has them.
const LDAP: [&[u8]; 6] = [b"{SSHA}", b"{SHA}", b"{SSHA256}", b"{SSHA512}", b"{SMD5}", b"{MD5}"];
const CRYPT: [&[u8]; 16] = [
    b"$1$",
    b"$5$",
    b"$6$",
    b"$7$",
    b"$8$",
    b"$9$",
    b"$y$",
    b"$gy$",
    b"$P$",
    b"$H$",
    b"$S$",
    b"$s0$",
    b"$apr1$",
    b"$scrypt$",
    b"$sha1$",
    b"$md5$",
];
/// Older ones, as Django and Werkzeug write them.
const SALTED: [&[u8]; 3] = [b"sha1$", b"sha256$", b"sha512$"];

/// The stored password that begins at `start`.
pub(super) fn password_hash(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = hay.get(start..)?;
    let long = |least: usize, accept: fn(u8) -> bool| {
        let end = run(hay, start, HASH_BYTES_MAX, accept);
        (end - start >= least).then_some(start..end)
    };
    let exact = |from: usize, len: usize, accept: fn(u8) -> bool| {
        let end = run(hay, from, len, accept);
        (end - from == len && !is_alnum_at(hay, end)).then_some(start..end)
    };
    let base64_behind = |len: usize| {
        let end = run(hay, start + len, HASH_BYTES_MAX, is_base64);
        (end - start - len >= 24).then_some(start..end)
    };
    if let Some(len) = LDAP.iter().find(|scheme| rest.starts_with(scheme)).map(|scheme| scheme.len()) {
        base64_behind(len)
    } else if rest.starts_with(b"*") {
        exact(start + 1, 40, |byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
    } else if rest.starts_with(b"scrypt:") || rest.starts_with(b"pbkdf2:") {
        long(60, |byte| is_base64(byte) || matches!(byte, b'$' | b':'))
    } else if CRYPT.iter().any(|scheme| rest.starts_with(scheme)) {
        long(30, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'$' | b'=' | b'+' | b','))
    } else if rest.starts_with(b"$bcrypt-sha256$") {
        long(60, |byte| is_base64(byte) || matches!(byte, b'$' | b'.' | b'-' | b','))
    } else if rest.starts_with(b"grub.pbkdf2.") {
        let end = run(hay, start, GRUB_BYTES_MAX, |byte| byte.is_ascii_alphanumeric() || byte == b'.');
        (end - start >= 100).then_some(start..end)
    } else if SALTED.iter().any(|scheme| rest.starts_with(scheme)) {
        long(45, |byte| byte.is_ascii_alphanumeric() || byte == b'$')
    } else if rest.starts_with(b"$pbkdf2") {
        long(40, |byte| is_base64(byte) || matches!(byte, b'$' | b'.' | b'-'))
    } else if rest.starts_with(b"$2") {
        exact(start + 7, 53, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
    } else if rest.starts_with(b"$argon2") {
        long(40, |byte| is_base64(byte) || matches!(byte, b'$' | b',' | b'-'))
    } else if rest.starts_with(b"SCRAM-SHA-") {
        long(60, |byte| is_base64(byte) || matches!(byte, b'$' | b':' | b'-'))
    } else if rest.starts_with(b"pbkdf2_") {
        long(50, |byte| is_base64(byte) || matches!(byte, b'$' | b'_'))
    } else if rest.starts_with(b"md5") {
        exact(start + 3, 32, |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    } else {
        None
    }
}

/// The password of a URL whose authority (RFC 3986) begins at `authority`.
pub(super) fn url_password(hay: &[u8], authority: usize) -> Option<Range<usize>> {
    let end = word_end(hay, authority, AUTHORITY_BYTES_MAX, |byte| {
        matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
    });
    let text = hay.get(authority..end)?;
    let at_sign = text.iter().rposition(|byte| *byte == b'@')?;
    let colon = text.get(..at_sign)?.iter().position(|byte| *byte == b':')?;
    let password = text.get(colon + 1..at_sign)?;
    let is_host = text.get(at_sign + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[');
    let stands_for_one = password.iter().all(|byte| *byte == b'*')
        || matches!(password, [b'$', b'{', ..] | [b'{', ..])
        || [b"PASSWORD" as &[u8], b"PASS", b"password"].contains(&password);
    (is_host && !stands_for_one).then_some(authority + colon + 1..authority + at_sign)
}

/// The password between the user, who begins at `user`, and the host, as Oracle's drivers have them: `scott/tiger@db:1521/XE`.
pub(super) fn oracle_password(hay: &[u8], user: usize) -> Option<Range<usize>> {
    let slash = run(hay, user, LABEL_BYTES_MAX, |byte| is_word(byte) || matches!(byte, b'$' | b'#' | b'.' | b'-'));
    let start = slash + 1;
    let end = word_end(hay, start, PASSWORD_BYTES_MAX, |byte| matches!(byte, b'@' | b'/' | b'"' | b'\'' | b'<' | b'>'));
    let password = hay.get(start..end)?;
    let is_between = slash > user && hay.get(slash) == Some(&b'/') && end > start && hay.get(end) == Some(&b'@');
    (is_between && !stands_for_password(password)).then_some(start..end)
}

/// The password that follows its name, which is `name`, as connection strings, scripts and files of settings have it.
pub(super) fn named_password(hay: &[u8], name: Range<usize>) -> Option<Range<usize>> {
    let name_text = hay.get(name.clone())?;
    let is_assigned = name_text.contains(&b'=');
    let is_option = name_text.starts_with(b"--");
    let is_element = name_text.ends_with(b">") && !is_assigned;
    let start = run(hay, name.end, 3, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'\\'));
    let is_quoted = matches!(before(hay, start), Some(b'"' | b'\''));
    if password_hash(hay, start).is_some() {
        return None;
    }
    let bare_end = || {
        word_end(hay, start, PASSWORD_BYTES_MAX, |byte| {
            matches!(byte, b';' | b'&' | b',' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | b')')
        })
    };
    let end = if is_element {
        run(hay, start, PASSWORD_BYTES_MAX, |byte| byte != b'<' && byte != b'\n')
    } else {
        quoted_end(hay, start).unwrap_or_else(bare_end)
    };
    let password = hay.get(start..end)?;
    let is_bare = !is_quoted && !is_element;
    // An element ends where the next begins.
    let is_open = is_element && hay.get(end) != Some(&b'<');
    let is_folder = name_text.starts_with(b"PWD") && password.starts_with(b"/");
    // Behind a colon stands much that is none: what is all letters may be a word.
    let is_behind_colon = is_bare && !is_assigned && !is_option;
    let may_be_word = is_behind_colon && is_letters(password) && !is_lone_word(hay, end, password);
    // Behind an option, sentences about it go on.
    let may_be_prose = is_option && !has_letters_and_digits(password);
    let may_be_prose = may_be_prose || is_quoted && is_about_passwords(password);
    let is_none = is_bare && is_code(password) || is_open || is_folder || may_be_word || may_be_prose;
    if is_none || stands_for_password(password) {
        return None;
    }
    // `db_pass` names a password more clearly than `pass` does.
    let is_part = before(hay, name.start) == Some(b'_') && has_letters_and_digits(password);
    let is_told = is_assigned || is_quoted || is_part;
    if is_pass(name_text) && !(is_told && is_behind_pass(hay, name.start, password)) {
        return None;
    }
    let is_mixed = is_assigned && has_letters_and_digits(password);
    let least = if is_mixed { PASSWORD_MIXED_BYTES_MIN } else { PASSWORD_BYTES_MIN };
    (password.len() >= least).then_some(start..end)
}

/// Where a word ends, of whatever script that puts spaces between words: with them, or at a sign that `ends` it.
fn word_end(hay: &[u8], from: usize, bytes_max: usize, ends: impl Fn(u8) -> bool) -> usize {
    let goes_on = |rest: &[u8]| match rest {
        [byte, ..] if byte.is_ascii() => byte.is_ascii_graphic() && !ends(*byte),
        _ => !rest.is_empty() && !parts_words(rest),
    };
    let mut end = from;
    while end - from < bytes_max && hay.get(end..).is_some_and(&goes_on) {
        end += 1;
    }
    whole_characters(hay, from, end)
}

/// True if a space or a sign begins this that is not ASCII, or a letter of a script without spaces: Chinese, Japanese, Korean.
fn parts_words(rest: &[u8]) -> bool {
    matches!(rest, [0xc2, 0xa0 | 0xab | 0xbb, ..] | [0xe2, 0x80, ..] | [0xe3..=0xed, ..] | [0xef, 0xbc | 0xbd, ..])
}

/// The end before a character that it would cut.
fn whole_characters(hay: &[u8], from: usize, end: usize) -> usize {
    let mut end = end;
    while end > from && hay.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    end
}

/// Where a password ends before which a quotation mark stands: at the same mark again, or with its line. None where the mark
/// ends a text that has the name, as in `print("password:", x)`, or is doubled.
fn quoted_end(hay: &[u8], start: usize) -> Option<usize> {
    let quote = before(hay, start).filter(|byte| matches!(byte, b'"' | b'\''))?;
    let open = start - 1;
    if before(hay, open) == Some(quote) || is_within(hay, open, quote) {
        return None;
    }
    // In a text of JSON that is within another, or of a program, marks are escaped.
    let is_escaped = before(hay, open) == Some(b'\\');
    // It ends at the latest with the text around it.
    let other = if quote == b'"' { b'\'' } else { b'"' };
    let outer = is_within(hay, open, other).then_some(other);
    let mut at = start;
    while at - start < PASSWORD_BYTES_MAX {
        match (hay.get(at).copied(), hay.get(at + 1).copied()) {
            (None | Some(b'\n' | b'\r'), _) => break,
            (Some(b'\\'), Some(next)) if is_escaped && next == quote => break,
            (Some(b'\\'), Some(b'\\')) if is_escaped => at += 4,
            (Some(b'\\'), Some(b'"' | b'\'' | b'\\')) => at += 2,
            (Some(b'\''), Some(b'\'')) if quote == b'\'' => at += 2,
            (Some(byte), _) if byte == quote || Some(byte) == outer => break,
            (Some(_), _) => at += 1,
        }
    }
    Some(whole_characters(hay, start, at.min(hay.len())))
}

/// True if a quotation mark is the end of a text and not its beginning: as many stand before it in its line as tell that.
fn is_within(hay: &[u8], at: usize, quote: u8) -> bool {
    let is_escaped = |at: usize| before(hay, at) == Some(b'\\');
    let is_apostrophe =
        |at: usize| before(hay, at).is_some_and(|byte| byte.is_ascii_alphabetic()) && is_alnum_at(hay, at + 1);
    let line = hay.get(at.saturating_sub(LINE_BYTES_MAX)..at).unwrap_or_default();
    let line = line.iter().rev().take_while(|byte| **byte != b'\n').enumerate();
    let marks = line.filter(|(_, byte)| **byte == quote).map(|(back, _)| at - 1 - back);
    let count = marks.filter(|mark| is_escaped(*mark) == is_escaped(at) && !is_apostrophe(*mark)).count();
    count % 2 == 1
}

/// True for words that speak of passwords, as forms and messages have them in quotation marks, and for one in another script.
fn is_about_passwords(text: &[u8]) -> bool {
    const WORDS: &str = "password passwords passwort kennwort passe contrase\u{f1}a must enter your please required invalid incorrect forgot";
    let text = text.to_ascii_lowercase();
    let has = |word: &str| memmem::find(&text, word.as_bytes()).is_some();
    let is_plain =
        !text.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_punctuation() && !b".?!'".contains(byte));
    let is_sentence =
        text.contains(&b' ') && (has(" characters") || is_plain && WORDS.split_ascii_whitespace().any(has));
    is_sentence || is_plain && !text.is_ascii()
}

/// True for what is written where a password would stand.
fn stands_for_password(text: &[u8]) -> bool {
    const WORDS: &str = "required undefined optional password string encrypted changeme";
    // Rules for forms are parted so: `required|min:8`.
    const RULES: &str = "required nullable sometimes confirmed string";
    let is_one_of = |words: &str, text: &[u8]| {
        words.split_ascii_whitespace().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
    };
    let has_rule = || text.contains(&b'|') && text.split(|byte| *byte == b'|').any(|rule| is_one_of(RULES, rule));
    let is_yours = || {
        let text = text.to_ascii_lowercase();
        text.starts_with(b"your") && memmem::find(&text, b"pass").is_some() && !text.iter().any(u8::is_ascii_digit)
    };
    matches!(text, [b'$' | b'{' | b'%' | b':' | b'?' | b'=' | b'[' | b'!' | b'|', ..] | [b'<', .., b'>'])
        || !is_varied(text, 3)
        || is_one_of(WORDS, text)
        || has_rule()
        || is_yours()
}

/// The name of a function or of an array, a path that the shell is in, or where code or settings have the password.
fn is_code(text: &[u8]) -> bool {
    let name = run(text, 0, usize::MAX, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':'));
    name > 0 && matches!(text.get(name), Some(b'(' | b'[')) || is_reference(text)
}

/// True for names with dots between that lead to a password: `process.env.DB_PASSWORD`, `config.db.secret`.
fn is_reference(text: &[u8]) -> bool {
    const ROOTS: &str = "process env config conf cfg settings var vars local module data params options opts args self this req \
        request body form secrets vault credentials";
    const NAMES: &str = "password passwd passphrase pwd pass";
    let is_name = |part: &[u8]| {
        let is_begun = part.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        is_begun && part.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    let text = text.to_ascii_lowercase();
    let (Some(first), Some(last)) = (text.split(is_dot).next(), text.rsplit(is_dot).next()) else { return false };
    let leads = ROOTS.split_ascii_whitespace().any(|root| root.as_bytes() == first)
        || NAMES.split_ascii_whitespace().any(|name| last.ends_with(name.as_bytes()));
    text.contains(&b'.') && leads && text.split(is_dot).all(is_name)
}

fn is_dot(byte: &u8) -> bool {
    *byte == b'.'
}

/// True for letters alone, at the end of a sentence too.
fn is_letters(text: &[u8]) -> bool {
    text.strip_suffix(b".").unwrap_or(text).iter().all(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
}

/// True for a word in small letters that ends its line and is none of those that descriptions have behind a colon, and for
/// one in which capitals stand as in no word.
fn is_lone_word(hay: &[u8], end: usize, word: &[u8]) -> bool {
    const ENDINGS: &str = "ed ing ion ions able ible ent ant ory ary al ive ous ful less ment ness ity er ers or ors lich isch bar \
        ung oire aire ido ado ato oria";
    const WORDS: &str = "incorrect plaintext cleartext username anything password passwords passphrase keychain kerberos database \
        readonly requerida verplicht";
    let ends_line = matches!(hay.get(end), None | Some(b'\n' | b'\r'));
    let is_plain = ENDINGS.split_ascii_whitespace().any(|ending| word.ends_with(ending.as_bytes()))
        || WORDS.split_ascii_whitespace().any(|plain| plain.as_bytes() == word);
    let is_word = word.iter().all(u8::is_ascii_lowercase) && !is_plain;
    ends_line && word.len() >= PASSWORD_WORD_BYTES_MIN && (is_word || has_odd_capitals(word))
}

/// True for three capitals or more in several places, of which one is no beginning of a word: not `SecretStr`, not `userURL`.
fn has_odd_capitals(word: &[u8]) -> bool {
    let places = word.windows(2).filter(|pair| matches!(pair, [b'a'..=b'z', b'A'..=b'Z'])).count();
    let is_odd = word.windows(2).any(|pair| matches!(pair, [b'A'..=b'Z', b'A'..=b'Z']))
        || word.last().is_some_and(u8::is_ascii_uppercase);
    word.iter().filter(|byte| byte.is_ascii_uppercase()).count() >= 3 && places >= 2 && is_odd
}

fn has_letters_and_digits(text: &[u8]) -> bool {
    text.iter().any(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()) && text.iter().any(u8::is_ascii_digit)
}

/// True for `pass` with nothing more to it, which tests and journeys have as well.
fn is_pass(name: &[u8]) -> bool {
    let is_short = name.get(4).is_none_or(|byte| !byte.is_ascii_alphabetic());
    is_short && name.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"pass"))
}

/// Whether a password stands behind such a name, which begins at `name`: `pass=Xk39…`, `DB_PASS=…`, not `bypass=true`.
fn is_behind_pass(hay: &[u8], name: usize, password: &[u8]) -> bool {
    let (last, first) = (before(hay, name), hay.get(name));
    let is_capital = first == Some(&b'P');
    let begins_word = match last {
        Some(byte) if byte.is_ascii_lowercase() => is_capital,
        Some(byte) => !byte.is_ascii_alphanumeric(),
        None => true,
    };
    let is_of_letters = password.iter().all(u8::is_ascii_alphabetic);
    let has_letter = password.iter().any(u8::is_ascii_alphabetic);
    begins_word && has_letter && (!is_of_letters || is_capital && last == Some(b'_'))
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;
    use crate::detect::finder::tests::{check_found, check_left};

    const JWT: &str =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

    #[test]
    fn finds_web_tokens() {
        let bearer = format!("Authorization: Bearer {JWT}, x");
        let json = format!("{{\"t\":\"\\n{JWT}\"}}");
        let encrypted = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4.XFBoMYUZodetZdvTiFvSkQ";
        let quoted = format!("token='{encrypted}'");
        check_found(
            Detector::Jwt,
            &[(JWT, JWT), (&bearer, JWT), (&json, JWT), (encrypted, encrypted), (&quoted, encrypted)],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_a_web_token() {
        check_left(
            Detector::Jwt,
            &[
                "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
                "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0",
                "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..48V1_ALb6US04U3b.5eym8TW",
                "eyJmb28iOiJiYXIifQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefgh",
                "eyJeyJeyJeyJ.eyJeyJeyJ.abcdefgh",
                "www.example.com",
            ],
        );
    }

    #[test]
    fn finds_private_keys_whole() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----";
        let escaped = "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----";
        let (text, json) = (format!("x {key}\nafter"), format!("{{\"k\":\"{escaped}\\n\"}}"));
        check_found(
            Detector::PrivateKey,
            &[
                (key, key),
                (&text, key),
                (&json, escaped),
                ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"),
                ("\"-----BEGIN EC PRIVATE KEY-----\\nM\", 1", "-----BEGIN EC PRIVATE KEY-----\\nM"),
                (
                    "-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkqhkiG",
                    "-----BEGIN PRIVATE KEY----- MIIEvQIBADANBgkqhkiG",
                ),
            ],
        );
        check_left(
            Detector::PrivateKey,
            &[
                "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
                "-----BEGIN CERTIFICATE-----",
                "the PRIVATE KEY is elsewhere",
                "-----END PRIVATE KEY-----",
                "begins with -----BEGIN PRIVATE KEY----- and is PEM",
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
            ],
        );
    }

    /// Tokens are put together here, so that no scanner of repositories takes this file for a leak.
    #[test]
    fn finds_vendors_tokens() {
        let body = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
        let check = |detector, token: String| {
            let text = format!("KEY={token};");
            check_found(detector, &[(&token, &token), (&text, &token)]);
        };
        check(Detector::AwsKey, ["AKIA", "IOSFODNN7EXAMPLE"].concat());
        check(Detector::GithubToken, ["ghp_", body].concat());
        check(Detector::GithubToken, ["github_pat_", body, "_", body].concat());
        for prefix in
            ["glpat-", "xoxb-", "xoxc-", "xoxd-", "sk_live_", "rk_live_", "sk-", "sk-proj-", "sk-ant-", "npm_"]
        {
            check(Detector::ApiKey, [prefix, body].concat());
        }
        check(Detector::ApiKey, ["pypi-AgE", body, body].concat());
        for prefix in ["glft-", "glsoat-", "glagent-", "glcbt-64_", "hf_", "shpat_", "sk-or-v1-", "dckr_pat_", "whsec_"]
        {
            check(Detector::ApiKey, [prefix, body].concat());
        }
        check(Detector::ApiKey, ["AQ.Ab8RN6", body, "-x9Y"].concat());
        check(Detector::ApiKey, ["Kmc7Q~", &body[..34]].concat());
        check(Detector::ApiKey, ["AIza", &body[1..]].concat());
        check(Detector::ApiKey, ["SharedAccessKey=", body, "o7p8Q9r=", ""].concat());
        check(Detector::ApiKey, ["xoxd-", body, "%2Fz%3D"].concat());
    }

    #[test]
    fn leaves_what_only_looks_like_a_token() {
        let placeholder = format!("ghp_{}", "x".repeat(36));
        let digest = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        for detector in [Detector::AwsKey, Detector::GithubToken, Detector::ApiKey] {
            check_left(
                detector,
                &[
                    &placeholder,
                    digest,
                    "AKIASHORT",
                    "AKIAIOSFODNN7EXAMPLEX",
                    "XAKIAIOSFODNN7EXAMPLE",
                    "sk-folding-cube-container-spinner-element-wide",
                    "sk-short",
                    "ghp_abc",
                    "npm_config_registry",
                    "Kmc7Q~short",
                    "glft-short",
                    "hf_model_name_of_no_secret_at_all_but_long",
                    "task-ant-hill-of-many-small-steps-in-a-row",
                    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                    "aws_secret_access_key = short",
                    "SharedAccessKeyName=RootManageSharedAccessKey",
                ],
            );
        }
    }

    #[test]
    fn finds_labelled_aws_secrets() {
        let key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        for label in [
            "aws.secretKey=",
            "aws_secret_access_key=",
            "AWS_SECRET: '",
            "{\"SecretAccessKey\": \"",
            "secret-access-key => ",
            "aws secret key: ",
            "AWS Secret Access Key [None]: ",
            "<SecretAccessKey>",
            "spark.hadoop.fs.s3a.secret.key=",
        ] {
            let text = format!("{label}{key}\" x");
            check_found(Detector::AwsKey, &[(&text, key)]);
        }
    }

    #[test]
    fn finds_keys_of_azure_behind_their_names() {
        let key = ["a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8+/", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3x5", "=="]
            .concat();
        for label in [
            "AZURE_STORAGE_KEY=",
            "export AZURE_STORAGE_ACCOUNT_KEY=\"",
            "{\"accountKey\": \"",
            "primaryKey=",
            "secondary_key: ",
        ] {
            let text = format!("{label}{key}\" x");
            check_found(Detector::ApiKey, &[(&text, &key)]);
        }
        let longer = format!("primaryKey={key}=");
        check_left(Detector::ApiKey, &[&longer, "primaryKey=id", "accountKey: short==", "SecondaryKey = "]);
    }

    #[test]
    fn finds_password_hashes() {
        let bcrypt = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
        let argon2 = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b27dWRJJTmaaJObG";
        let scram = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        let django = "pbkdf2_sha256$260000$c29tZXNhbHQ$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo=";
        let md5 = "md5a3556571e93b0d20722ba62be61e8c2d";
        let passlib = "$pbkdf2-sha256$29000$N2YMIWQsBWBMae09x1jrPQ$1t8iyB2A.WF/Z5JZv.lfCIhXXN33N23OSgQYThBYRfk";
        let salted = "sha1$gUw86$28a2ead0b8b422b1407f102f47c80cfaa5ba1f36";
        let cisco = "$9$7lpbuDypJ7jc52$Opc55znLWJcs/mQjP4IlGxFvEeVSwdEpwPht4pcCfMt";
        let wrapped = "$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku$Kq4Noyk3094Y2QlB8NdRT8SvGiI4ft2";
        for hash in [bcrypt, argon2, scram, django, md5, passlib, salted, cisco, wrapped] {
            let text = format!("('{hash}')");
            check_found(Detector::PasswordHash, &[(hash, hash), (&text, hash)]);
        }
    }

    #[test]
    fn leaves_what_only_looks_like_a_password_hash() {
        check_left(
            Detector::PasswordHash,
            &[
                "a3556571e93b0d20722ba62be61e8c2d",
                "md5:a3556571e93b0d20722ba62be61e8c2d",
                "md5a3556571e93b0d20722ba62be61e8c2d0",
                "md5sum file",
                "$2b$12$short",
                "SCRAM-SHA-256",
                "$1,234.56 and $2.50",
                "argon2id",
                "$pbkdf2-sha256$29000$",
            ],
        );
    }

    #[test]
    fn finds_passwords_in_urls() {
        check_found(
            Detector::UrlPassword,
            &[
                ("postgres://app:hunter2@db.example/shop", "hunter2"),
                ("x=redis://:s3cret@[::1]:6379", "s3cret"),
                ("https://u:p@ss:w@host", "p@ss:w"),
                ("{\"u\":\"https:\\/\\/u:pw@host\\/\"}", "pw"),
                ("jdbc:oracle:thin:scott/tiger9X@db:1521/XE", "tiger9X"),
                ("url=jdbc:oracle:oci:app/correct-horse@//db/XE", "correct-horse"),
            ],
        );
    }

    #[test]
    fn leaves_urls_without_one() {
        check_left(
            Detector::UrlPassword,
            &[
                "https://example.com:8080/@user",
                "https://user@example.com",
                "postgres://app:***@db",
                "postgres://app:${PASSWORD}@db",
                "http://example.com/a:b@c",
                "std::fmt // a:b@c",
                "jdbc:oracle:thin:@db:1521/XE",
                "jdbc:oracle:thin:scott/${PASSWORD}@db:1521/XE",
                "jdbc:oracle:thin:scott@db/XE",
            ],
        );
    }

    #[test]
    fn finds_passwords_behind_their_names() {
        check_found(
            Detector::UrlPassword,
            &[
                ("Server=db;User Id=app;Password=hunter22;Encrypt=true", "hunter22"),
                ("host=db user=app password=hunter22 dbname=x", "hunter22"),
                ("PGPASSWORD=hunter22 psql", "hunter22"),
                ("pwd = 'hunter22'", "hunter22"),
                ("pwd=abc12", "abc12"),
                ("DB_PASS=Xk39fjPq", "Xk39fjPq"),
                ("SMTP_PASS=correcthorse", "correcthorse"),
                ("smtp.pass=Xk39fjPq", "Xk39fjPq"),
                ("{\"dbPass\": \"Xk39-fjPq\"}", "Xk39-fjPq"),
                ("passphrase=correct-horse", "correct-horse"),
                ("mysql --password S3cretpw -u app", "S3cretpw"),
                ("password: correcthorse", "correcthorse"),
                ("db:\n  password: correcthorse\n  user: app", "correcthorse"),
                ("mot de passe : 8iFsa~i8VQC", "8iFsa~i8VQC"),
                ("Passwort: Tr0ubadour", "Tr0ubadour"),
                ("contrase\u{f1}a=Tr0ubadour", "Tr0ubadour"),
                ("password=first.second", "first.second"),
                ("wachtwoord: Tr0ubadour", "Tr0ubadour"),
                ("has\u{142}o=Tr0ubadour", "Tr0ubadour"),
                ("\u{5bc6}\u{7801}\u{ff1a}Tr0ubadour", "Tr0ubadour"),
                ("bindpw=Tr0ubadour", "Tr0ubadour"),
                ("user=app, pw: Tr0ubadour", "Tr0ubadour"),
                ("sshpass -p Tr0ubadour ssh deploy", "Tr0ubadour"),
                ("password: hunterXnkSA", "hunterXnkSA"),
                ("db_pass: hunter2x", "hunter2x"),
                ("passord: hunteri0b!", "hunteri0b!"),
            ],
        );
        check_left(
            Detector::UrlPassword,
            &[
                "password=$DB_PASSWORD",
                "password=",
                "password=required",
                "password==other",
                "Password=******",
                "password: none",
                "password: required",
                "Password: required.",
                "password: authentication",
                "password: incorrect",
                "password: SecretStr",
                "password: correcthorse battery",
                "password must be long: at least 12",
                "the --password option is deprecated",
                "--password <password>",
                "password = process.env.DB_PASSWORD",
                "password: config.db.password,",
                "password = var.db_password",
                "user.password = params.password",
                "tests pass=14/20, fail=0",
                "pass: Xk39fjPq",
                "bypass=Xk39fjPq",
                "last_pass=complete",
                "let pass = |text| 1;",
                "pwd=abcde",
                "tests_pass: correctly",
                "password: userURL",
                "password: required|min:8|confirmed",
                "password=your_password_here",
                "password: \"YOUR_PASSWORD\"",
                "password: \"<your-password>\"",
            ],
        );
    }

    #[test]
    fn finds_quoted_passwords_whole() {
        check_found(
            Detector::UrlPassword,
            &[
                ("password: \"abcdef,ghi123\"", "abcdef,ghi123"),
                ("Password=\"abc;defgh12\";User=x", "abc;defgh12"),
                ("pwd='Tr0ub4dor&3<x)'", "Tr0ub4dor&3<x)"),
                ("{\"password\":\"ab\\\"cdefgh12\",\"x\":1}", "ab\\\"cdefgh12"),
                ("{\"m\":\"{\\\"password\\\": \\\"abc, def12\\\"}\"}", "abc, def12"),
                ("password: 'abcdefg\"h12'", "abcdefg\"h12"),
                ("PASSWORD 'it''s-secret-12' LOGIN", "it''s-secret-12"),
                ("IDENTIFIED BY 'abcd,efg12'", "abcd,efg12"),
                ("password = \"correct horse battery staple\"", "correct horse battery staple"),
                ("It's his passphrase: 'correct horse battery'", "correct horse battery"),
                ("password: \"Tr0ub4dor and\nmore", "Tr0ub4dor and"),
                ("{\"q\":\"password='abc def12\",\"r\":\"it's\"}", "abc def12"),
                ("{\"\"password\"\":\"\"Tr0ub4dor\"\"}", "Tr0ub4dor"),
            ],
        );
        check_left(
            Detector::UrlPassword,
            &[
                "print(\"password:\", user, \"and more\")",
                "{\"password\":\"\",\"user\":\"hunter22\"}",
                "{\"password\": \"Please enter your password\"}",
                "password: \"Must be 8 to 64 characters long\"",
            ],
        );
    }

    #[test]
    fn finds_passwords_of_any_script() {
        check_found(
            Detector::UrlPassword,
            &[
                ("passwort=\"\u{dc}ber12stra\u{df}e\"", "\u{dc}ber12stra\u{df}e"),
                ("passwort=\u{dc}ber12stra\u{df}e x", "\u{dc}ber12stra\u{df}e"),
                (
                    "{\"pwd\":\"\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}123\"}",
                    "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}123",
                ),
                ("redis://:\u{fc}ber12@db", "\u{fc}ber12"),
                ("\u{5bc6}\u{7801}\u{ff1a}Tr0ubadour\u{ff0c}\u{8c22}\u{8c22}", "Tr0ubadour"),
                ("password: \"\u{65e5}\u{672c}\u{8a9e}12\"", "\u{65e5}\u{672c}\u{8a9e}12"),
            ],
        );
        check_left(
            Detector::UrlPassword,
            &[
                "{\"password\": \"Contrase\u{f1}a\"}",
                "\u{41f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}: \u{43d}\u{435}\u{432}\u{435}\u{440}\u{43d}\u{44b}\u{439}",
                "\u{5bc6}\u{7801}\u{ff1a}\u{81f3}\u{5c11}8\u{4f4d}\u{5b57}\u{7b26}",
                "http://db:80\u{ff0c}\u{90ae}\u{7bb1}bob@example.com",
            ],
        );
    }
}
