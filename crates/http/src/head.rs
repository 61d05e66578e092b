//! The head of a request as evidence keeps it: the fields that go on to the target, without what proves anybody and without what
//! is of a class. Must not know what becomes of them.

use crate::columns::Columns;
use crate::said::HIDDEN;
use crate::seal::Seals;

/// What a head begins with among the values that evidence keeps, so that it is not taken for a body.
pub(crate) const FIRST_LINE: &str = "(fields of the head)";
/// How much of a head stands in the evidence, in bytes; of the fields beyond it, their number does.
pub(crate) const HEAD_EVIDENCE_BYTES_MAX: usize = 8 * 1024;
/// Words in the names of fields by which a client proves itself, or keeps a place that others must not take.
const OF_PROOF: [&str; 25] = [
    "assert",
    "auth",
    "bearer",
    "cert",
    "code",
    "cookie",
    "credential",
    "csrf",
    "dpop",
    "hmac",
    "jwt",
    "key",
    "nonce",
    "otp",
    "pass",
    "pin",
    "proof",
    "saml",
    "secret",
    "session",
    "sid",
    "sig",
    "ticket",
    "token",
    // Clients of Kubernetes send their token there.
    "websocket-protocol",
];

/// The fields of a head; `None` where there are none. What is found in their values is taken out by whoever writes it.
pub(crate) fn evidence(fields: &[(String, Vec<u8>)], columns: &Columns, seals: &Seals) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let mut text = String::from(FIRST_LINE);
    let mut left_out = 0_usize;
    for (name, value) in fields {
        let line = format!("\n{name}: {}", shown(name, &String::from_utf8_lossy(value), columns));
        // A client may have said the gateway's own credential for a name, too.
        if text.len() + line.len() > HEAD_EVIDENCE_BYTES_MAX || seals.is_in_name(name) {
            left_out += 1;
        } else {
            text.push_str(&line);
        }
    }
    if left_out > 0 {
        text.push_str(&format!("\n({left_out} more fields)"));
    }
    let mut bytes = text.into_bytes();
    // A client may say the gateway's own credential without knowing it.
    seals.hide(&mut bytes);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Fields by their names.
type Fields<'h> = Vec<(&'h str, &'h str)>;

/// The fields of a head that evidence keeps, and how many it has not; `None` if this is no head.
pub(crate) fn read(evidence: &str) -> Option<(Fields<'_>, Option<&str>)> {
    let lines = evidence.strip_prefix(FIRST_LINE)?;
    let fields = lines.lines().filter_map(|line| line.split_once(": ")).collect();
    Some((fields, lines.lines().last().filter(|line| line.ends_with(" more fields)"))))
}

fn shown(name: &str, value: &str, columns: &Columns) -> String {
    let is_proof = OF_PROOF.iter().any(|word| name.contains(word));
    if is_proof || columns.of(name).is_some() {
        return HIDDEN.into();
    }
    if value.contains("://") && value.contains('@') {
        return HIDDEN.into();
    }
    // Addresses tell in their queries what nobody looks into here.
    let is_address = value.contains("://") || value.starts_with('/');
    match value.find(['?', '#']).filter(|_| is_address) {
        Some(end) => format!("{}?{HIDDEN}", value.get(..end).unwrap_or_default()),
        None => value.into(),
    }
}
