//! Faces a client from its first byte until it proved who it is.
//!
//! One struct per state would hide that the startup phase repeats itself (TLS, then startup), so the state is one
//! enum. Knows the startup packets of "Message Formats"; knows nothing of identities, tasks or policies.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use gatehouse_model::{Denial, Reason, Secret, Verifier};
use gatehouse_protocol::{
    Breach, CancelKey, ClientLogin, ClientStep, Entropy, Proof, TargetReady, TlsOffer, TlsStarted,
};

use crate::bearer;
use crate::frame::{self, Peek, Reader, put_cstr};
use crate::report::{self, Severity};
use crate::scram::server::{self, Binding, Challenged};
use crate::scram::{self, ScramError};

/// PostgreSQL's own limit on a startup packet, in bytes.
const STARTUP_BYTES_MAX: usize = 10_000;
/// The longest message of a SCRAM exchange, in bytes.
const SASL_BYTES_MAX: usize = 4_096;
/// The longest message with a token, in bytes.
const TOKEN_BYTES_MAX: usize = 24 * 1024;

const PROTOCOL_3_0: i32 = 3 << 16;
const PROTOCOL_3_2: i32 = 3 << 16 | 2;
/// The application protocol of direct TLS, by its registered name.
pub(crate) const ALPN: &[u8] = b"postgresql";
/// How the record of a TLS handshake begins.
const TLS_HANDSHAKE: u8 = 0x16;
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;

pub(crate) struct PostgresClientLogin {
    entropy: Entropy,
    tls: TlsOffer,
    tls_active: bool,
    /// TLS began without being asked for, so its application protocol must be PostgreSQL's.
    tls_is_direct: bool,
    /// What SCRAM can bind to.
    endpoint: Option<Bytes>,
    version: Version,
    /// Options of the protocol that the client named and nobody here knows.
    unknown_options: Vec<String>,
    /// The version that the client asked for is spoken as it asked.
    is_negotiated: bool,
    parameters: Vec<(String, String)>,
    state: State,
}

/// The version of the protocol that is spoken with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    /// PostgreSQL 7.4 to 17.
    V3_0,
    /// PostgreSQL 18: keys for cancelling may be longer.
    V3_2,
}

/// What a client's proof is checked against. One that is not real runs to its end and then fails, so that nobody learns
/// who exists.
struct Claim {
    verifier: Verifier,
    is_real: bool,
}

enum State {
    /// Before the startup packet.
    Startup,
    /// It is looked up how the client is to prove who it is.
    LookingUp,
    /// The client is to be asked for the proof.
    Asking(Option<Proof>),
    /// The client sends a token in a password's place.
    PasswordToken,
    /// The client chooses the mechanism for tokens and sends one.
    BearerToken { issuer: String },
    /// What the client showed is looked at; where it is told of a failure first, by which words.
    Recognizing { failure: Option<String> },
    /// The client is let in.
    Recognized,
    /// The client is to be told that it is not let in; where its mechanism has words for that, by those first.
    Failing { failure: Option<String>, denial: Denial },
    /// It was told by its mechanism, and says that it heard.
    Told(Denial),
    /// The client chooses a mechanism and sends its first message.
    First(Claim),
    /// The client sends its proof.
    Final(Challenged),
    /// Identified, refused or cancelled.
    Done,
}

impl PostgresClientLogin {
    pub(crate) fn new(entropy: Entropy, tls: TlsOffer) -> Self {
        Self {
            entropy,
            tls,
            tls_active: false,
            tls_is_direct: false,
            endpoint: None,
            version: Version::V3_0,
            unknown_options: Vec::new(),
            is_negotiated: false,
            parameters: Vec::new(),
            state: State::Startup,
        }
    }

    fn startup(&mut self, buf: &mut BytesMut) -> Result<ClientStep, Breach> {
        if buf.first() == Some(&TLS_HANDSHAKE) && self.tls != TlsOffer::None && !self.tls_active {
            self.tls_is_direct = true;
            return Ok(ClientStep::StartTls(Bytes::new()));
        }
        let Some((length, _)) = buf.split_first_chunk::<4>() else {
            return Ok(ClientStep::Read);
        };
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        if !(8..=STARTUP_BYTES_MAX).contains(&length) {
            return Err(Breach::client("the first packet is not a PostgreSQL startup packet").telling(Denial::new(
                Reason::NotUnderstood,
                "this is not a PostgreSQL startup packet",
                format!("its length is not between 8 and {STARTUP_BYTES_MAX} bytes"),
                "Connect with a PostgreSQL client; for TLS, the listener needs tls_certificate and tls_key",
            )));
        }
        if buf.len() < length {
            return Ok(ClientStep::Read);
        }
        let packet = buf.split_to(length).freeze();
        let mut reader = Reader(packet.get(4..).unwrap_or_default());
        match reader.i32().unwrap_or_default() {
            SSL_REQUEST => self.ssl_request(buf),
            GSS_REQUEST => Ok(ClientStep::Send(Bytes::from_static(b"N"))),
            CANCEL_REQUEST => {
                self.state = State::Done;
                Ok(ClientStep::Cancel(CancelKey(packet.slice(8..))))
            }
            code if code >> 16 == 3 => self.parameters_of(code, reader),
            code => {
                Err(Breach::client(format!("protocol version {}.{}", code >> 16, code & 0xffff)).telling(Denial::new(
                    Reason::NotUnderstood,
                    "unsupported frontend protocol",
                    "Gatehouse speaks version 3 of PostgreSQL's protocol",
                    "Use a client of PostgreSQL 7.4 or newer",
                )))
            }
        }
    }

    fn ssl_request(&mut self, buf: &BytesMut) -> Result<ClientStep, Breach> {
        if !buf.is_empty() || self.tls_active {
            // Bytes that came before the handshake would be taken for bytes that came inside it.
            return Err(Breach::client("bytes followed the request for TLS in clear text"));
        }
        match self.tls {
            TlsOffer::None => Ok(ClientStep::Send(Bytes::from_static(b"N"))),
            TlsOffer::Optional | TlsOffer::Required => Ok(ClientStep::StartTls(Bytes::from_static(b"S"))),
        }
    }

    fn parameters_of(&mut self, code: i32, mut reader: Reader<'_>) -> Result<ClientStep, Breach> {
        if self.tls == TlsOffer::Required && !self.tls_active {
            return Err(login_error(
                "TLS is required",
                "the client asked for a session in clear text",
                "Connect with sslmode=require or stronger",
            ));
        }
        let malformed = || Breach::client("the startup packet is malformed");
        while !reader.is_empty() {
            let name = reader.text().ok_or_else(malformed)?;
            if name.is_empty() {
                break;
            }
            let value = reader.text().ok_or_else(malformed)?;
            if name.starts_with("_pq_.") {
                self.unknown_options.push(name.to_string());
            } else {
                self.parameters.push((name.to_ascii_lowercase(), value.to_string()));
            }
        }
        self.version = if code >= PROTOCOL_3_2 { Version::V3_2 } else { Version::V3_0 };
        self.is_negotiated = ![PROTOCOL_3_0, PROTOCOL_3_2].contains(&code) || !self.unknown_options.is_empty();
        let user = self.parameter("user").ok_or_else(|| {
            login_error(
                "no user name was given",
                "the startup packet names none",
                "Set user to the name that the task was started with",
            )
        })?;
        let target = self.parameter("database").unwrap_or_else(|| user.clone());
        // Tools of physical replication name no database, and libpq then names this one.
        let names_none = self.parameter("replication").is_some() && target == "replication";
        self.state = State::LookingUp;
        Ok(ClientStep::Verify { user, target: if names_none { String::new() } else { target } })
    }

    fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }

    /// What the client wishes for its session.
    fn wishes(&self) -> Vec<(String, String)> {
        let wishes = self.parameters.iter().filter(|(name, _)| !["user", "database"].contains(&name.as_str()));
        wishes.cloned().collect()
    }

    fn ask(&mut self, proof: Proof) -> ClientStep {
        let mut out = self.negotiated();
        let offer = |mechanisms: &[&str], out: &mut BytesMut| {
            frame::write(out, b'R', |body| {
                body.put_i32(10);
                mechanisms.iter().for_each(|mechanism| put_cstr(body, mechanism));
                body.put_u8(0);
            });
        };
        self.state = match proof {
            Proof::Password { verifier, is_real } => {
                let all = [scram::MECHANISM_PLUS, scram::MECHANISM];
                offer(if self.endpoint.is_some() { &all } else { &all[1..] }, &mut out);
                State::First(Claim { verifier, is_real })
            }
            Proof::BearerToken { issuer } => {
                offer(&[bearer::MECHANISM], &mut out);
                State::BearerToken { issuer }
            }
            Proof::PasswordToken => {
                frame::write(&mut out, b'R', |body| body.put_i32(3));
                State::PasswordToken
            }
            Proof::Shown => State::Recognizing { failure: None },
        };
        ClientStep::Send(out.freeze())
    }

    /// What comes before anything else where the client asked for more than is spoken; once.
    fn negotiated(&mut self) -> BytesMut {
        let mut out = BytesMut::new();
        if std::mem::take(&mut self.is_negotiated) {
            negotiate(self.version, &self.unknown_options, &mut out);
        }
        out
    }

    fn proof(&mut self, buf: &mut BytesMut) -> Result<ClientStep, Breach> {
        let bytes_max = match self.state {
            State::PasswordToken | State::BearerToken { .. } => TOKEN_BYTES_MAX,
            _ => SASL_BYTES_MAX,
        };
        let (tag, body) = match frame::peek(buf, bytes_max, Breach::client)? {
            Peek::Short(_) | Peek::Large(..) => return Ok(ClientStep::Read),
            Peek::Whole(frame) => {
                let (tag, len) = (frame.tag, frame.len);
                let mut whole = buf.split_to(len);
                whole.advance(5);
                (tag, whole.freeze())
            }
        };
        if tag != b'p' {
            return Err(Breach::client("expected a proof"));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::First(claim) => self.first(&body, claim),
            State::Final(challenged) => self.last(&body, challenged),
            State::PasswordToken => self.password_token(&body),
            State::BearerToken { issuer } => self.bearer_token(&body, &issuer),
            State::Told(denial) => Err(failed(denial)),
            State::Startup
            | State::LookingUp
            | State::Asking(_)
            | State::Recognizing { .. }
            | State::Recognized
            | State::Failing { .. }
            | State::Done => Err(Breach::client("a proof came at the wrong time")),
        }
    }

    fn password_token(&mut self, body: &[u8]) -> Result<ClientStep, Breach> {
        let token = body.strip_suffix(&[0]).unwrap_or(body);
        self.state = State::Recognizing { failure: None };
        Ok(ClientStep::Shown(Secret::new(token)))
    }

    fn bearer_token(&mut self, body: &[u8], issuer: &str) -> Result<ClientStep, Breach> {
        let failure = Some(bearer::failure(issuer));
        match bearer::token(body) {
            Ok(Some(token)) => {
                self.state = State::Recognizing { failure };
                Ok(ClientStep::Shown(token))
            }
            // It asks where tokens come from.
            Ok(None) => {
                let denial = Denial::new(
                    Reason::Login,
                    "OAuth bearer authentication failed",
                    "no token was shown",
                    format!("Show a token of {issuer}"),
                );
                self.fail(failure, denial)
            }
            Err(cause) => Err(Breach::client(cause)),
        }
    }

    fn fail(&mut self, failure: Option<String>, denial: Denial) -> Result<ClientStep, Breach> {
        let Some(failure) = failure else { return Err(failed(denial)) };
        self.state = State::Told(denial);
        Ok(ClientStep::Send(sasl_message(11, &failure)))
    }

    fn first(&mut self, body: &[u8], claim: Claim) -> Result<ClientStep, Breach> {
        let user = self.parameter("user").unwrap_or_default();
        let mut reader = Reader(body);
        let mechanism = reader.text();
        let message = reader.value().flatten().and_then(|message| std::str::from_utf8(message).ok());
        let binding = match (mechanism, &self.endpoint) {
            (Some(scram::MECHANISM), None) => Binding::None,
            (Some(scram::MECHANISM), Some(_)) => Binding::Declined,
            (Some(scram::MECHANISM_PLUS), Some(endpoint)) => Binding::EndPoint(endpoint),
            (Some(_) | None, _) => return Err(wrong_password(&user, "the client chose no mechanism that was offered")),
        };
        let message = message.ok_or_else(|| wrong_password(&user, "the client's first message is not text"))?;
        let nonce = scram::hmac(&self.entropy, b"nonce");
        let (challenged, reply) = server::challenge(message, claim.verifier, claim.is_real, &nonce, binding)
            .map_err(|error| scram_breach(&user, error))?;
        self.state = State::Final(challenged);
        Ok(ClientStep::Send(sasl_message(11, &reply)))
    }

    fn last(&mut self, body: &[u8], challenged: Challenged) -> Result<ClientStep, Breach> {
        let user = self.parameter("user").unwrap_or_default();
        let message = std::str::from_utf8(body).map_err(|_| wrong_password(&user, "the proof is not text"))?;
        let reply = challenged.finish(message).map_err(|error| scram_breach(&user, error))?;
        Ok(ClientStep::Identified { send: sasl_message(12, &reply), parameters: self.wishes() })
    }
}

impl ClientLogin for PostgresClientLogin {
    fn handle(&mut self, buf: &mut BytesMut) -> Result<ClientStep, Breach> {
        match &mut self.state {
            State::Startup => self.startup(buf),
            State::Asking(proof) => match proof.take() {
                Some(proof) => Ok(self.ask(proof)),
                None => Ok(ClientStep::Read),
            },
            State::Failing { .. } => match std::mem::replace(&mut self.state, State::Done) {
                State::Failing { failure, denial } => self.fail(failure, denial),
                _ => Ok(ClientStep::Read),
            },
            State::First(_) | State::Final(_) | State::PasswordToken | State::BearerToken { .. } | State::Told(_) => {
                self.proof(buf)
            }
            State::Recognized => {
                self.state = State::Done;
                Ok(ClientStep::Identified { send: self.negotiated().freeze(), parameters: self.wishes() })
            }
            State::LookingUp | State::Recognizing { .. } | State::Done => Ok(ClientStep::Read),
        }
    }

    fn prove(&mut self, proof: Proof) {
        self.state = match proof {
            Proof::Shown => State::Recognizing { failure: None },
            proof => State::Asking(Some(proof)),
        };
    }

    fn recognized(&mut self, outcome: Result<(), Denial>) {
        let state = std::mem::replace(&mut self.state, State::Done);
        self.state = match (outcome, state) {
            (Ok(()), State::Recognizing { .. }) => State::Recognized,
            (Err(denial), State::Recognizing { failure }) => State::Failing { failure, denial },
            (Ok(()) | Err(_), _) => State::Done,
        };
    }

    fn tls_started(&mut self, tls: TlsStarted) -> Result<(), Breach> {
        if self.tls_is_direct && tls.application.as_deref() != Some(ALPN) {
            return Err(Breach::client("direct TLS without the application protocol of PostgreSQL"));
        }
        self.tls_active = true;
        self.endpoint = tls.endpoint;
        Ok(())
    }

    fn refuse(&mut self, denial: &Denial, out: &mut BytesMut) {
        report::error(denial, Severity::Fatal, out);
    }

    /// The process that a client sees is the target's, as notifications name it; the secret is the gateway's own.
    fn cancel_key(&self, entropy: Entropy, target: &TargetReady) -> CancelKey {
        let secret_bytes = match self.version {
            Version::V3_0 => 4,
            Version::V3_2 => 28,
        };
        let process = target.cancel.0.get(..4).unwrap_or(&[0; 4]);
        let secret = entropy.get(..secret_bytes).unwrap_or_default();
        CancelKey([process, secret].concat().into())
    }

    fn accept(&mut self, target: &TargetReady, cancel: &CancelKey, out: &mut BytesMut) {
        frame::write(out, b'R', |body| body.put_i32(0));
        for (name, value) in &target.parameters {
            frame::write(out, b'S', |body| {
                put_cstr(body, name);
                put_cstr(body, value);
            });
        }
        frame::write(out, b'K', |body| body.put_slice(&cancel.0));
        report::ready(b'I', out);
    }
}

/// NegotiateProtocolVersion: what is spoken, and the options that are not known.
fn negotiate(version: Version, unknown: &[String], out: &mut BytesMut) {
    frame::write(out, b'v', |body| {
        body.put_i32(match version {
            Version::V3_0 => PROTOCOL_3_0,
            Version::V3_2 => PROTOCOL_3_2,
        });
        body.put_i32(i32::try_from(unknown.len()).unwrap_or(i32::MAX));
        for name in unknown {
            put_cstr(body, name);
        }
    });
}

fn sasl_message(kind: i32, text: &str) -> Bytes {
    let mut out = BytesMut::new();
    frame::write(&mut out, b'R', |body| {
        body.put_i32(kind);
        body.put_slice(text.as_bytes());
    });
    out.freeze()
}

fn login_error(message: &str, detail: &str, hint: &str) -> Breach {
    Breach::client(message).telling(Denial::new(Reason::Login, message, detail, hint))
}

fn wrong_password(user: &str, cause: &str) -> Breach {
    Breach::client(cause).telling(Denial::new(
        Reason::Login,
        format!("password authentication failed for user \"{user}\""),
        "the credential is unknown, wrong, or its task has ended",
        "Start a task with `gatehouse task start` or `gatehouse run`, and use the user name and the password that it gives; a token \
         of your own is taken as the password over TLS alone",
    ))
}

fn failed(denial: Denial) -> Breach {
    Breach::client(denial.message.clone()).telling(denial)
}

fn scram_breach(user: &str, error: ScramError) -> Breach {
    match error {
        ScramError::Malformed(cause) => wrong_password(user, cause),
        ScramError::Refused => wrong_password(user, "the proof is wrong or the credential is unknown"),
    }
}
