//! What a client is told instead of an answer: problem documents (RFC 9457).

use bytes::BytesMut;
use gatehouse_model::{Denial, PolicyId, Reason};
use gatehouse_protocol::{Tag, write_frame, write_head};
use serde_json::json;

/// Where the carrier answers for requests.
const REQUESTS: &str = "/.well-known/gatehouse/requests/";
/// How soon a client asks again that does not want to wait, in seconds.
const RETRY_SECS: &str = "5";

/// The status of a refusal.
const fn status(reason: Reason) -> &'static str {
    match reason {
        Reason::Policy | Reason::Disapproved | Reason::Held | Reason::HoldExpired => "403",
        Reason::Withdrawn | Reason::NotUnderstood | Reason::Syntax => "400",
        Reason::Unknown => "404",
        Reason::Limit => "413",
        Reason::Unrecorded | Reason::Full => "503",
        Reason::TaskEnded | Reason::Login => "401",
        Reason::Unreachable => "502",
        Reason::Silent => "504",
    }
}

/// Appends an answer of the gateway's own; a client that does not want to wait is told where to ask what became of it, below the
/// path by which it reaches the target. `looked_at` is where people look at requests.
pub(crate) fn write(denial: &Denial, waits_at: Option<&str>, looked_at: Option<&str>, out: &mut BytesMut) {
    let waits_at = waits_at.filter(|_| denial.reason == Reason::Held);
    let waits = waits_at.is_some();
    let status = if waits { "202" } else { status(denial.reason) };
    let policies: Vec<&str> = denial.policies.iter().map(PolicyId::as_str).collect();
    let mut body = json!({
        "type": "about:blank",
        "title": denial.message,
        "status": status.parse::<u16>().unwrap_or_default(),
        "detail": denial.detail,
        "remedy": denial.hint,
        "policies": policies,
        "request": denial.request.as_ref().map(ToString::to_string),
    });
    if let (Some(at), Some(request), Some(body)) = (looked_at, &denial.request, body.as_object_mut()) {
        body.insert("request_url".into(), format!("{at}/{request}").into());
    }
    let body = body.to_string();
    let length = body.len().to_string();
    let mut fields: Vec<(&str, &[u8])> = vec![
        ("content-type", if waits { b"application/json" } else { b"application/problem+json" }),
        ("content-length", length.as_bytes()),
        ("cache-control", b"no-store"),
    ];
    let location = waits_at.zip(denial.request.as_ref()).map(|(base, request)| format!("{base}{REQUESTS}{request}"));
    if let Some(location) = &location {
        fields.push(("location", location.as_bytes()));
        fields.push(("retry-after", RETRY_SECS.as_bytes()));
        fields.push(("preference-applied", b"respond-async"));
    }
    if status == "401" {
        fields.push(("www-authenticate", b"Bearer realm=\"gatehouse\""));
    }
    write_answer(status, fields.into_iter(), &body, out);
}

/// The codes of a WebSocket that is ended for what was said on it (RFC 6455, section 7.4.1), and how long a reason may be, in bytes.
const POLICY_VIOLATION: u16 = 1008;
const TOO_BIG: u16 = 1009;
pub(crate) const REASON_BYTES_MAX: usize = 123;

/// Appends the end of a WebSocket, with what is wrong.
pub(crate) fn write_close(denial: &Denial, out: &mut BytesMut) {
    let mut reason = match &denial.request {
        Some(request) => format!("{}: request {request}", denial.message),
        None => format!("{}: {}", denial.message, denial.detail),
    };
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    let code = if denial.reason == Reason::Limit { TOO_BIG } else { POLICY_VIOLATION };
    write_frame(Tag::Close, &[&code.to_be_bytes(), reason.as_bytes()].concat(), out);
}

/// Appends the answer of what rides on HTTP, which tells refusals itself.
pub(crate) fn write_message(message: &str, out: &mut BytesMut) {
    let length = message.len().to_string();
    let fields: [(&str, &[u8]); 3] =
        [("content-type", b"application/json"), ("content-length", length.as_bytes()), ("cache-control", b"no-store")];
    write_answer("200", fields.into_iter(), message, out);
}

fn write_answer<'f>(status: &str, fields: impl Iterator<Item = (&'f str, &'f [u8])>, body: &str, out: &mut BytesMut) {
    write_head(Tag::Response, Some(status.as_bytes()), fields, out);
    write_frame(Tag::Body, body.as_bytes(), out);
    write_head(Tag::End, None, std::iter::empty(), out);
}
