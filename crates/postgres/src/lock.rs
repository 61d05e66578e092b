//! Makes an account useless from within, with no more rights than every account has over itself.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use gatehouse_protocol::{Breach, Survey, SurveyFacts};

use crate::frame::{self, Peek, put_cstr};
use crate::target_login::error_text;

/// No answer is longer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A role may change its own password, whatever else it may not; one that has none cannot be logged in by with any.
const WORDS: &str = "\
set role none;
alter role session_user password null;
select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_activity a
  where a.usename operator(pg_catalog.=) session_user
    and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()";

pub(crate) struct AccountLock;

impl Survey for AccountLock {
    fn parameters(&self) -> Vec<(String, String)> {
        let parameters = [("application_name", "gatehouse lock"), ("default_transaction_read_only", "off")];
        parameters.map(|(name, value)| (name.into(), value.into())).into()
    }

    fn question(&self) -> Bytes {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'Q', |body| put_cstr(body, WORDS));
        out.freeze()
    }

    fn handle(&mut self, buf: &mut BytesMut, _: &mut BytesMut) -> Result<Option<SurveyFacts>, Breach> {
        while let Peek::Whole(frame) = frame::peek(buf, ANSWER_BYTES_MAX, Breach::target)? {
            let (tag, len) = (frame.tag, frame.len);
            let whole = buf.split_to(len);
            match tag {
                b'Z' => return Ok(Some(Arc::new(()))),
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
