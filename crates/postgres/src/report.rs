//! The gateway's own errors and notices in PostgreSQL's form.
//!
//! Knows which SQLSTATE stands for which reason; knows nothing of the target's messages.

use bytes::{BufMut, BytesMut};
use gatehouse_model::{Denial, Reason};

use crate::frame::{Reader, put_cstr, write};

/// How grave a message is.
#[derive(Clone, Copy)]
pub(crate) enum Severity {
    /// The statement failed, the session lives on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// See "PostgreSQL Error Codes" in its documentation.
const fn sqlstate(reason: Reason) -> &'static str {
    match reason {
        Reason::Policy | Reason::Disapproved | Reason::Held | Reason::HoldExpired => "42501",
        Reason::Withdrawn => "57014",
        Reason::NotUnderstood => "0A000",
        Reason::Syntax => "42601",
        Reason::Unknown => "26000",
        Reason::Limit => "54000",
        Reason::Full => "53300",
        Reason::Unrecorded => "58030",
        Reason::TaskEnded => "57P01",
        Reason::Login => "28P01",
        Reason::Unreachable | Reason::Silent => "08006",
    }
}

/// Writes an ErrorResponse for a refusal.
pub(crate) fn error(denial: &Denial, severity: Severity, out: &mut BytesMut) {
    write(out, b'E', |body| {
        fields(body, severity.word(), sqlstate(denial.reason), &denial.message, &denial.detail, &denial.hint);
    });
}

/// Writes a NoticeResponse.
pub(crate) fn notice(text: &str, out: &mut BytesMut) {
    write(out, b'N', |body| fields(body, "NOTICE", "00000", text, "", ""));
}

fn fields(body: &mut BytesMut, severity: &str, code: &str, message: &str, detail: &str, hint: &str) {
    for (field, text) in
        [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message), (b'D', detail), (b'H', hint)]
    {
        if !text.is_empty() {
            body.put_u8(field);
            put_cstr(body, text);
        }
    }
    body.put_u8(0);
}

/// One field of an ErrorResponse or a NoticeResponse.
pub(crate) fn field(body: &[u8], wanted: u8) -> Option<String> {
    let mut reader = Reader(body);
    while let Some(field @ 1..) = reader.u8() {
        let value = reader.cstr()?;
        if field == wanted {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}

/// Writes a ReadyForQuery with the transaction status `I`, `T` or `E`.
pub(crate) fn ready(status: u8, out: &mut BytesMut) {
    write(out, b'Z', |body| body.put_u8(status));
}
