//! Makes an account useless from within, with no more rights than every account has over itself.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_protocol::{Breach, Survey, SurveyFacts};

use crate::frame::{self, Peek, put_cstr};
use crate::target_login::error_text;

/// No answer is longer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is said, one after the other. Settings that its maker gave the account keep nothing from being done. A role may change
/// its own password, whatever else it may not; one that has none cannot be logged in by with any. Who came in before that
/// took effect is ended after it.
const WORDS: [&str; 3] = [
    "set statement_timeout = 0; set lock_timeout = 0; set synchronous_commit = local; \
     set default_transaction_read_only = off; set role none",
    "alter role session_user password null",
    "select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a \
     where a.usename operator(pg_catalog.=) session_user \
       and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()",
];

#[derive(Default)]
pub(crate) struct AccountLock {
    /// How many were answered.
    answered: usize,
}

fn ask(words: &str, out: &mut BytesMut) {
    frame::write(out, b'Q', |body| put_cstr(body, words));
}

impl Survey for AccountLock {
    fn parameters(&self) -> Vec<(String, String)> {
        vec![("application_name".into(), "gatehouse lock".into())]
    }

    fn question(&self) -> Bytes {
        let mut out = BytesMut::new();
        ask(WORDS.first().copied().unwrap_or_default(), &mut out);
        out.freeze()
    }

    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<Option<SurveyFacts>, Breach> {
        while let Peek::Whole(frame) = frame::peek(buf, ANSWER_BYTES_MAX, Breach::target)? {
            let (tag, len) = (frame.tag, frame.len);
            let whole = buf.split_to(len);
            match tag {
                b'Z' => {
                    self.answered += 1;
                    match WORDS.get(self.answered) {
                        Some(words) => ask(words, out),
                        None => return Ok(Some(Arc::new(()))),
                    }
                }
                b'E' => {
                    let said = frame::frames(&whole).next().map(|frame| error_text(frame.body)).unwrap_or_default();
                    return Err(Breach::target(format!("the account could not be locked: {said}")));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_model::Blame;

    use super::*;

    #[test]
    fn an_answer_that_is_too_long_is_the_targets_fault() {
        let hears = |length: usize| {
            AccountLock::default()
                .handle(&mut frame::head_of(b'D', length), &mut BytesMut::new())
                .map(|facts| facts.is_some())
        };
        assert_eq!(hears(ANSWER_BYTES_MAX), Ok(false));
        assert_eq!(hears(ANSWER_BYTES_MAX + 1).unwrap_err().blame, Blame::Target);
    }
}
