//! PostgreSQL's protocol 3, understood: logins on both sides, statements, results, errors.
//!
//! Pure state machines over bytes. Knows no socket, runtime, clock or configuration, and decides nothing.
//! Source: "Frontend/Backend Protocol" in PostgreSQL's documentation.

mod analysis;
mod array;
mod bearer;
mod catalog;
mod client_login;
mod frame;
mod function;
mod impact;
mod lock;
mod reading;
mod report;
mod scram;
mod session;
mod snapshot;
mod survey;
mod target_login;
mod transcript;
mod value;
mod wishes;

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use gatehouse_model::{Denial, Intent, Operation, Reason, Shape, TargetName};
use gatehouse_protocol::{
    Breach, CancelKey, Carriage, Classifier, ClientLogin, Editor, Entropy, Opening, Order, Passed, Protocol, Reply,
    Session, Side, Step, StreamProtocol, Survey, SurveyFacts, TargetCall, TargetLogin, TlsOffer, TlsWish, Transcript,
};

use wishes::Wishes;

/// PostgreSQL, as the registry holds it.
#[derive(Default)]
pub struct Postgres {
    keys: scram::client::KnownKeys,
}

impl Protocol for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn schema(&self) -> &'static str {
        include_str!("schema.cedarschema")
    }

    fn application_protocols(&self) -> &'static [&'static [u8]] {
        &[client_login::ALPN]
    }

    fn carriage(self: Arc<Self>) -> Carriage {
        Carriage::Stream(self)
    }

    fn session(&self, opening: Opening) -> Box<dyn Session> {
        match session::PostgresSession::new(opening) {
            Ok(session) => Box::new(session),
            Err(_) => Box::new(Unsurveyed),
        }
    }

    fn question(&self, text: &str) -> BytesMut {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'Q', |body| frame::put_cstr(body, text));
        out
    }

    fn name_of_bind(&self, _: &str, _: bool) -> Option<&'static str> {
        None
    }

    fn transcript(&self) -> Box<dyn Transcript> {
        Box::new(transcript::PostgresTranscript::default())
    }
}

impl StreamProtocol for Postgres {
    fn client_login(&self, entropy: Entropy, tls: TlsOffer) -> Box<dyn ClientLogin> {
        Box::new(client_login::PostgresClientLogin::new(entropy, tls))
    }

    fn wishes(&self, target: &TargetName, parameters: &[(String, String)]) -> Result<Intent, Denial> {
        Ok(Wishes::read(parameters)?.intent(target))
    }

    fn target_login(&self, call: TargetCall) -> Box<dyn TargetLogin> {
        Box::new(target_login::PostgresTargetLogin::new(call, self.keys.clone()))
    }

    fn knock(&self, tls: TlsWish) -> Box<dyn TargetLogin> {
        Box::new(target_login::PostgresKnock::new(tls))
    }

    fn survey(&self) -> Box<dyn Survey> {
        Box::new(survey::PostgresSurvey::default())
    }

    fn impact(&self, operation: &Operation) -> Option<Box<dyn Survey>> {
        Some(Box::new(impact::Impact::of(operation)?))
    }

    fn snapshot(&self, facts: &SurveyFacts) -> Option<String> {
        Some(snapshot::write(&facts.downcast_ref::<reading::Known>()?.catalog))
    }

    fn restore(&self, snapshot: &str) -> Result<SurveyFacts, (usize, String)> {
        snapshot::read(snapshot).map(|catalog| Arc::new(reading::Known::new(catalog)) as SurveyFacts)
    }

    fn misnamed(&self, facts: &SurveyFacts, column: &str, has_documents: bool) -> Option<String> {
        facts.downcast_ref::<reading::Known>()?.catalog.misnamed(column, has_documents)
    }

    fn order(&self, facts: &SurveyFacts, target: &TargetName, classifier: &Arc<dyn Classifier>) -> Option<Arc<Order>> {
        let exposure = facts.downcast_ref::<reading::Known>()?.exposure(target, classifier)?;
        Some(exposure.order.clone())
    }

    fn lock_account(&self) -> Box<dyn Survey> {
        Box::new(lock::AccountLock::default())
    }

    fn cancel(&self, key: &CancelKey) -> Bytes {
        let mut out = BytesMut::new();
        frame::write_untagged(&mut out, |body| {
            body.put_i32(80_877_102);
            body.put_slice(&key.0);
        });
        out.freeze()
    }
}

/// Whether somebody has looked at what a function of PostgreSQL's own does, by its name and whether it is volatile or stable. What is
/// immutable computes from its arguments alone.
///
/// For the test that asks a server for its functions.
pub fn is_judged(function: &str, is_volatile: bool) -> bool {
    function::is_judged(function, is_volatile)
}

/// A session that was opened with another protocol's facts: it passes nothing.
struct Unsurveyed;

impl Session for Unsurveyed {
    fn inspect(&mut self, _side: Side, _buf: &[u8]) -> Result<Step, Breach> {
        let message = "the session was opened without facts about its target";
        Err(Breach { blame: gatehouse_model::Blame::Gateway, message: message.into(), denial: None }.telling(
            Denial::new(Reason::NotUnderstood, message, "", "This is a defect of Gatehouse: please report it"),
        ))
    }

    fn whole(&self, buf: &[u8]) -> Result<usize, Breach> {
        Ok(buf.len())
    }

    fn pass(&mut self, _side: Side, _run: &Bytes, _out: &mut BytesMut) -> Passed {
        Passed::Written
    }

    fn rewrite(&mut self, _: &Shape, _: &Bytes, _: &mut dyn Editor, _: &mut BytesMut) -> Result<(), Breach> {
        Ok(())
    }

    fn refuse(&mut self, _run: &Bytes, _denial: &Denial, _reply: &mut Reply) {}

    fn unheld(&self, title: &str) -> Denial {
        let message = format!("{title} needs approval and cannot be held");
        Denial::new(Reason::NotUnderstood, message, "nothing is read here", "Send the request again")
    }

    fn answer(&mut self, _side: Side, _run: &Bytes, _reply: &mut Reply) {}

    fn rows(&self) -> u64 {
        0
    }

    fn is_quiet(&self) -> bool {
        true
    }

    fn has_left(&self) -> bool {
        false
    }

    fn surveyed(&mut self, _facts: SurveyFacts) {}

    fn stands_for(&self, _: &Operation) -> String {
        String::new()
    }

    fn outdates_survey(&mut self) -> bool {
        false
    }

    fn remark(&self, _text: &str, _out: &mut BytesMut) {}

    fn end(&self, denial: &Denial, out: &mut BytesMut) {
        report::error(denial, report::Severity::Fatal, out);
    }
}
