//! Logs the gateway in at a PostgreSQL server: TLS, SCRAM-SHA-256 or md5, parameters, the cancel key.
//!
//! What is derived from the secret is kept for the next login, see [`KnownKeys`]. Nothing that the server says here reaches the
//! client.

use std::borrow::Cow;

use bytes::{Buf, BufMut, BytesMut};
use gatehouse_model::{Denial, Reason};
use gatehouse_protocol::{Breach, CancelKey, TargetCall, TargetLogin, TargetReady, TargetStep, TlsStarted, TlsWish};
use postgres_protocol::authentication::md5_hash;

use crate::frame::{self, Frame, Peek, Reader, put_cstr};
use crate::scram::client::{Begun, Binding, KnownKeys, Proven};
use crate::scram::{MECHANISM_PLUS, ScramError};
use crate::wishes::Wishes;

/// No message of a login is longer, in bytes.
const LOGIN_BYTES_MAX: usize = 64 * 1024;
const SSL_REQUEST: i32 = 80_877_103;
const PROTOCOL_3: i32 = 3 << 16;

pub(crate) struct PostgresTargetLogin {
    call: TargetCall,
    keys: KnownKeys,
    state: State,
    parameters: Vec<(String, String)>,
    cancel: CancelKey,
    tls: Option<TlsStarted>,
}

enum State {
    Begin,
    AskedForTls,
    Startup,
    Scram(Begun),
    Proven(Proven),
    Authenticated,
}

/// What the target calls whoever works there.
/// The class of the SQLSTATEs that say so: no such account, or another password.
const INVALID_AUTHORIZATION: &[u8] = b"28";
const APPLICATION: &str = "application_name";

/// Who works for whom, as the target's own listings and logs show it, before what the client calls itself; `None` where
/// that is the client's alone to say.
fn named<'a>(on_behalf: Option<&str>, mut wished: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let who = on_behalf?;
    Some(match wished.find(|(name, _)| *name == APPLICATION) {
        Some((_, client)) if !client.is_empty() => format!("{who} / {client}"),
        Some(_) | None => who.into(),
    })
}

impl PostgresTargetLogin {
    pub(crate) fn new(call: TargetCall, keys: KnownKeys) -> Self {
        let cancel = CancelKey(bytes::Bytes::new());
        Self { call, keys, state: State::Begin, parameters: Vec::new(), cancel, tls: None }
    }

    fn begin(&mut self, out: &mut BytesMut) -> TargetStep {
        match self.call.tls {
            TlsWish::Disable => self.startup(out),
            TlsWish::Prefer | TlsWish::Require => {
                ask_for_tls(out);
                self.state = State::AskedForTls;
            }
        }
        TargetStep::Read
    }

    fn startup(&mut self, out: &mut BytesMut) {
        frame::write_untagged(out, |body| {
            body.put_i32(PROTOCOL_3);
            let own = [("user", &self.call.user), ("database", &self.call.database)];
            let own = own.into_iter().map(|(name, value)| (name, value.as_str()));
            // What is not understood was refused before anything was dialed.
            let wishes = Wishes::read(&self.call.parameters).unwrap_or_default();
            let named = named(self.call.on_behalf.as_deref(), wishes.parameters());
            let wished = wishes.parameters().filter(|(name, _)| named.is_none() || *name != APPLICATION);
            for (name, value) in own.chain(wished).chain(named.iter().map(|named| (APPLICATION, named.as_str()))) {
                put_cstr(body, name);
                put_cstr(body, value);
            }
            body.put_u8(0);
        });
        self.state = State::Startup;
    }

    fn tls_answer(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<TargetStep, Breach> {
        match tls_answer(self.call.tls, buf)? {
            TlsAnswer::None => Ok(TargetStep::Read),
            TlsAnswer::Yes => Ok(TargetStep::StartTls),
            TlsAnswer::No => {
                self.startup(out);
                Ok(TargetStep::Read)
            }
        }
    }

    fn message(&mut self, frame: Frame<'_>, out: &mut BytesMut) -> Result<Option<TargetStep>, Breach> {
        let mut reader = Reader(frame.body);
        match frame.tag {
            b'R' => self.authentication(reader, out).map(|()| None),
            b'S' => {
                if let (Some(name), Some(value)) = (reader.text(), reader.text()) {
                    self.parameters.push((name.into(), value.into()));
                }
                Ok(None)
            }
            b'K' => {
                self.cancel = CancelKey(bytes::Bytes::copy_from_slice(frame.body));
                Ok(None)
            }
            b'N' => Ok(None),
            b'E' => {
                let said = format!("the target refused the gateway's login: {}", error_text(frame.body));
                let mut codes = error_fields(frame.body).filter(|(field, _)| *field == b'C');
                if codes.any(|(_, code)| code.starts_with(INVALID_AUTHORIZATION)) {
                    return Ok(Some(TargetStep::Refused(said)));
                }
                Err(unreachable_target(&said))
            }
            b'Z' if matches!(self.state, State::Authenticated) => Ok(Some(TargetStep::Ready(TargetReady {
                parameters: std::mem::take(&mut self.parameters),
                cancel: self.cancel.clone(),
            }))),
            tag => Err(unreachable_target(&format!("the target sent {:?} during the login", char::from(tag)))),
        }
    }

    fn authentication(&mut self, mut reader: Reader<'_>, out: &mut BytesMut) -> Result<(), Breach> {
        match reader.i32() {
            Some(0) => {
                if matches!(self.state, State::Scram(_) | State::Proven(_)) {
                    return Err(unreachable_target("the target did not prove that it knows the password"));
                }
                self.state = State::Authenticated;
                Ok(())
            }
            Some(5) => {
                let salt = reader.bytes(4).and_then(|salt| <[u8; 4]>::try_from(salt).ok());
                let salt = salt.ok_or_else(|| unreachable_target("the target's md5 challenge is malformed"))?;
                let hash = md5_hash(self.call.user.as_bytes(), self.call.password.expose(), salt);
                frame::write(out, b'p', |body| put_cstr(body, &hash));
                Ok(())
            }
            Some(10) => self.begin_scram(reader, out),
            Some(kind @ (11 | 12)) => self.go_on_scram(kind, reader.0, out),
            Some(3) => Err(unreachable_target(
                "the target asks for the password in clear text, which Gatehouse does not send; use scram-sha-256 in pg_hba.conf",
            )),
            kind => Err(unreachable_target(&format!("the target asks for the authentication method {kind:?}"))),
        }
    }

    fn begin_scram(&mut self, mut reader: Reader<'_>, out: &mut BytesMut) -> Result<(), Breach> {
        if !matches!(self.state, State::Startup) {
            return Err(unreachable_target("the target asks for a second exchange"));
        }
        let mut offered = Vec::new();
        while let Some(mechanism) = reader.text().filter(|mechanism| !mechanism.is_empty()) {
            offered.push(mechanism);
        }
        // With channel binding nobody in between can pass the proof on.
        let endpoint = self.tls.as_ref().and_then(|tls| tls.endpoint.clone());
        let binding = match endpoint {
            Some(endpoint) if offered.contains(&MECHANISM_PLUS) => Binding::EndPoint(endpoint.to_vec()),
            Some(_) => Binding::NotOffered,
            None => Binding::None,
        };
        let mechanism = binding.mechanism();
        if !offered.contains(&mechanism) {
            return Err(unreachable_target("the target offers no SCRAM-SHA-256"));
        }
        let begun = Begun::new(binding, &self.call.entropy);
        let message = begun.message();
        frame::write(out, b'p', |body| {
            put_cstr(body, mechanism);
            body.put_i32(i32::try_from(message.len()).unwrap_or(i32::MAX));
            body.put_slice(message.as_bytes());
        });
        self.state = State::Scram(begun);
        Ok(())
    }

    fn go_on_scram(&mut self, kind: i32, data: &[u8], out: &mut BytesMut) -> Result<(), Breach> {
        let failed =
            |error: ScramError| unreachable_target(&format!("the SCRAM exchange with the target failed: {error}"));
        self.state = match (kind, std::mem::replace(&mut self.state, State::Startup)) {
            (11, State::Scram(begun)) => {
                let (proven, message) = begun.prove(data, &self.call.password, &self.keys).map_err(failed)?;
                frame::write(out, b'p', |body| body.put_slice(message.as_bytes()));
                State::Proven(proven)
            }
            (12, State::Proven(proven)) => {
                proven.finish(data).map_err(failed)?;
                State::Startup
            }
            _ => return Err(unreachable_target("the target sent a SASL message at the wrong time")),
        };
        Ok(())
    }
}

impl TargetLogin for PostgresTargetLogin {
    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<TargetStep, Breach> {
        match self.state {
            State::Begin => return Ok(self.begin(out)),
            State::AskedForTls => return self.tls_answer(buf, out),
            State::Startup | State::Scram(_) | State::Proven(_) | State::Authenticated => {}
        }
        loop {
            let len = match frame::peek(buf, LOGIN_BYTES_MAX, Breach::target)? {
                Peek::Short(_) | Peek::Large(..) => return Ok(TargetStep::Read),
                Peek::Whole(frame) => frame.len,
            };
            let whole = buf.split_to(len);
            for frame in frame::frames(&whole) {
                if let Some(end) = self.message(frame, out)? {
                    return Ok(end);
                }
            }
        }
    }

    fn tls_started(&mut self, tls: TlsStarted, out: &mut BytesMut) {
        self.tls = Some(tls);
        self.startup(out);
    }
}

/// A connection that is never logged in: its TLS alone.
pub(crate) struct PostgresKnock {
    tls: TlsWish,
    state: Knock,
}

enum Knock {
    Begin,
    AskedForTls,
    Done,
}

impl PostgresKnock {
    pub(crate) fn new(tls: TlsWish) -> Self {
        Self { tls, state: Knock::Begin }
    }
}

impl TargetLogin for PostgresKnock {
    fn handle(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Result<TargetStep, Breach> {
        match (&self.state, self.tls) {
            (Knock::Begin, TlsWish::Prefer | TlsWish::Require) => {
                ask_for_tls(out);
                self.state = Knock::AskedForTls;
                Ok(TargetStep::Read)
            }
            (Knock::AskedForTls, wish) => match tls_answer(wish, buf)? {
                TlsAnswer::None => Ok(TargetStep::Read),
                TlsAnswer::Yes => Ok(TargetStep::StartTls),
                TlsAnswer::No => {
                    self.state = Knock::Done;
                    self.handle(buf, out)
                }
            },
            (Knock::Begin, TlsWish::Disable) | (Knock::Done, _) => {
                Ok(TargetStep::Ready(TargetReady { parameters: Vec::new(), cancel: CancelKey(bytes::Bytes::new()) }))
            }
        }
    }

    fn tls_started(&mut self, _tls: TlsStarted, _out: &mut BytesMut) {
        self.state = Knock::Done;
    }
}

fn ask_for_tls(out: &mut BytesMut) {
    frame::write_untagged(out, |body| body.put_i32(SSL_REQUEST));
}

/// What a target says to the request for TLS.
enum TlsAnswer {
    /// Nothing yet.
    None,
    Yes,
    No,
}

fn tls_answer(wish: TlsWish, buf: &mut BytesMut) -> Result<TlsAnswer, Breach> {
    match (buf.first().copied(), wish) {
        (None, _) => Ok(TlsAnswer::None),
        // Bytes behind it would be taken for bytes from inside of TLS.
        (Some(b'S'), _) if buf.len() == 1 => {
            buf.advance(1);
            Ok(TlsAnswer::Yes)
        }
        (Some(b'N'), TlsWish::Prefer) => {
            buf.advance(1);
            Ok(TlsAnswer::No)
        }
        (Some(b'N'), TlsWish::Require | TlsWish::Disable) => {
            Err(unreachable_target("the target has no TLS, and its configuration demands it"))
        }
        (Some(_), _) => Err(unreachable_target("the target's answer to the request for TLS is not PostgreSQL's")),
    }
}

/// Severity, code and message of an ErrorResponse, for the operator.
pub(crate) fn error_text(body: &[u8]) -> String {
    let shown = error_fields(body).filter(|(field, _)| matches!(field, b'S' | b'C' | b'M'));
    let words: Vec<Cow<'_, str>> = shown.map(|(_, value)| String::from_utf8_lossy(value)).collect();
    words.join(" ")
}

/// The code of an error.
pub(crate) fn error_code(body: &[u8]) -> Option<&[u8]> {
    error_fields(body).find(|(field, _)| *field == b'C').map(|(_, code)| code)
}

fn error_fields(body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut reader = Reader(body);
    std::iter::from_fn(move || match reader.u8()? {
        0 => None,
        field => Some((field, reader.cstr()?)),
    })
}

/// The operator reads the cause in the log; the client learns only that the target cannot be reached.
fn unreachable_target(cause: &str) -> Breach {
    Breach::target(cause).telling(Denial::new(
        Reason::Unreachable,
        "the target cannot be reached",
        "Gatehouse could not log in at the target",
        "Ask the operator of the gateway: its log has the cause",
    ))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use gatehouse_model::{Blame, Secret, Verifier};
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::scram::{MECHANISM, hmac, server};

    fn login() -> PostgresTargetLogin {
        begun(TlsWish::Disable)
    }

    fn begun(tls: TlsWish) -> PostgresTargetLogin {
        let call = TargetCall {
            user: "gatehouse".into(),
            password: Secret::new(*b"secret"),
            database: "shop".into(),
            parameters: Vec::new(),
            on_behalf: None,
            tls,
            entropy: [7; 32],
        };
        let mut login = PostgresTargetLogin::new(call, KnownKeys::default());
        assert!(matches!(login.handle(&mut BytesMut::new(), &mut BytesMut::new()), Ok(TargetStep::Read)));
        login
    }

    fn says(kind: i32, data: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        frame::write(&mut out, b'R', |out| {
            out.put_i32(kind);
            out.put_slice(data);
        });
        out
    }

    fn hears(login: &mut PostgresTargetLogin, mut message: BytesMut) -> Result<BytesMut, Breach> {
        let mut out = BytesMut::new();
        login.handle(&mut message, &mut out).map(|_| out)
    }

    #[test]
    fn a_message_that_is_too_long_is_not_waited_for() {
        let hears = |length: usize| hears(&mut login(), frame::head_of(b'E', length));
        assert_eq!(hears(LOGIN_BYTES_MAX), Ok(BytesMut::new()));
        assert_eq!(hears(LOGIN_BYTES_MAX + 1).unwrap_err().blame, Blame::Target);
    }

    const OFFER: &[u8] = b"SCRAM-SHA-256\0\0";

    /// The challenge that goes on from the gateway's first message.
    fn challenge(first: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(first).into_owned();
        let nonce = text.split("r=").nth(1).unwrap().to_string();
        format!("r={nonce}more,s=c2FsdA==,i=4096").into_bytes()
    }

    #[test]
    fn no_server_is_believed_before_it_proved_itself() {
        let mut login = self::login();
        let first = hears(&mut login, says(10, OFFER)).unwrap();
        assert!(hears(&mut login, says(0, &[])).is_err(), "after the first message");

        let mut login = self::login();
        let challenge = challenge(&hears(&mut login, says(10, OFFER)).unwrap());
        assert_eq!(challenge, self::challenge(&first), "the nonce is the entropy's");
        hears(&mut login, says(11, &challenge)).unwrap();
        assert!(hears(&mut login, says(0, &[])).is_err(), "after the proof");
    }

    const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    const BINDING_ALONE: &[u8] = b"SCRAM-SHA-256-PLUS\0\0";

    /// A login inside of TLS, at whoever showed this certificate.
    fn login_over_tls(certificate: &[u8]) -> PostgresTargetLogin {
        let mut login = begun(TlsWish::Require);
        let mut answer = BytesMut::from("S");
        assert!(matches!(login.handle(&mut answer, &mut BytesMut::new()), Ok(TargetStep::StartTls)));
        let endpoint = Some(Bytes::copy_from_slice(certificate));
        login.tls_started(TlsStarted { endpoint, ..TlsStarted::default() }, &mut BytesMut::new());
        login
    }

    /// The mechanism that is chosen of those that are offered, and the first message.
    fn chooses(login: &mut PostgresTargetLogin, offer: &[u8]) -> (String, String) {
        let said = hears(login, says(10, offer)).unwrap();
        let mut reader = Reader(said.get(5..).unwrap());
        let mechanism = reader.text().unwrap().to_string();
        (mechanism, String::from_utf8(reader.value().flatten().unwrap().to_vec()).unwrap())
    }

    /// What a server keeps of the password.
    fn verifier() -> Verifier {
        let (salt, iterations, mut salted) = (b"salt".to_vec(), 4096, [0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(b"secret", &salt, iterations, &mut salted);
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        Verifier { salt, iterations, stored_key, server_key: hmac(&salted, b"Server Key") }
    }

    /// Goes on from the first message with a server that binds as it says; whether both believe each other.
    fn agree(login: &mut PostgresTargetLogin, first: &str, binding: server::Binding<'_>) -> Result<bool, ScramError> {
        let (challenged, challenge) = server::challenge(first, verifier(), true, b"nonce", binding)?;
        let proof = hears(login, says(11, challenge.as_bytes())).unwrap();
        let last = challenged.finish(std::str::from_utf8(proof.get(5..).unwrap()).unwrap())?;
        hears(login, says(12, last.as_bytes())).unwrap();
        hears(login, says(0, &[])).unwrap();
        Ok(matches!(login.state, State::Authenticated))
    }

    #[test]
    fn the_password_is_bound_to_the_certificate_where_that_is_offered() {
        for offer in [BOTH, BINDING_ALONE] {
            for (seen, works) in [("the server's", true), ("of somebody in between", false)] {
                let mut login = login_over_tls(seen.as_bytes());
                let (mechanism, first) = chooses(&mut login, offer);
                assert_eq!(mechanism, MECHANISM_PLUS);
                assert!(first.starts_with("p=tls-server-end-point,,"), "{first}");
                let agreed = agree(&mut login, &first, server::Binding::EndPoint(b"the server's"));
                assert_eq!(agreed.is_ok_and(|is_in| is_in), works, "the certificate is {seen}");
            }
        }
    }

    /// It is said in what is proven that nothing was offered to bind to: a server that did offer it then sees that somebody took
    /// the offer away.
    #[test]
    fn a_server_that_binds_nothing_is_believed_unless_it_offered_to() {
        let mut login = login_over_tls(b"certificate");
        let (mechanism, first) = chooses(&mut login, OFFER);
        assert_eq!(mechanism, MECHANISM);
        assert!(first.starts_with("y,,"), "{first}");
        assert!(agree(&mut login, &first, server::Binding::Declined).is_err(), "it was offered");
        assert_eq!(agree(&mut login, &first, server::Binding::None), Ok(true));
    }

    #[test]
    fn without_tls_there_is_nothing_to_bind_to() {
        let mut login = self::login();
        let (mechanism, first) = chooses(&mut login, BOTH);
        assert_eq!((mechanism.as_str(), first.starts_with("n,,")), (MECHANISM, true));
        assert_eq!(agree(&mut login, &first, server::Binding::None), Ok(true));
        assert!(hears(&mut self::login(), says(10, BINDING_ALONE)).is_err());
    }

    #[test]
    fn an_exchange_goes_one_way_only() {
        let begun = || {
            let mut login = login();
            let challenge = challenge(&hears(&mut login, says(10, OFFER)).unwrap());
            (login, challenge)
        };
        let (mut login, challenge) = begun();
        assert!(hears(&mut login, says(10, OFFER)).is_err(), "a second offer");
        let (mut login, _) = begun();
        assert!(hears(&mut login, says(12, b"v=AAAA")).is_err(), "an end before the challenge");
        for again in [says(11, &challenge), says(10, OFFER), says(12, b"v=AAAA"), says(12, b"e=no")] {
            let (mut login, challenge) = begun();
            hears(&mut login, says(11, &challenge)).unwrap();
            assert!(hears(&mut login, again).is_err());
        }
    }
}
