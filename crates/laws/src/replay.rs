//! Bytes that no peer should say, played to whatever decodes them: for the corpus, and for the fuzzer that goes on from it.
//!
//! The first byte says what the rest is:
//!
//! - 0: what a client says in a session;
//! - 1: a session too: a length in two bytes, that much of the client, and then the target;
//! - 2: what a client says in its login;
//! - 3: what a target says in the gateway's login, which asked whether it has TLS;
//! - 4: a target's answer to the survey.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use gatehouse_model::{Denial, Reason, Secret, Verifier};
use gatehouse_protocol::{
    Carriage, ClientStep, Proof, Protocol, Side, StreamProtocol, TargetCall, TargetStep, TlsOffer, TlsStarted, TlsWish,
};

use crate::laws::{Chunking, Harness, Voices};
use crate::recorded::{Recording, Spoken};

/// A login takes or says something with each step, but for a few at its ends.
const LOGIN_STEPS_SPARE: usize = 16;

/// Plays the bytes; an error if something goes on for ever, or does what nothing may.
///
/// # Errors
/// When what decodes them does what it must not, or the first byte names nothing.
pub fn replay(protocol: &Arc<dyn Protocol>, harness: &Harness, bytes: &[u8], chunking: &Chunking) -> Result<()> {
    match bytes.split_first().context("the file is empty")? {
        (0, client) => session(harness, client, &[], chunking),
        (1, rest) => {
            let (length, rest) = rest.split_first_chunk::<2>().context("the length is missing")?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (client, target) = rest.split_at_checked(length).context("the client's part is too short")?;
            session(harness, client, target, chunking)
        }
        (2, client) => {
            for tls in [TlsOffer::None, TlsOffer::Optional, TlsOffer::Required] {
                let password = |is_real| Proof::Password { verifier: verifier(), is_real };
                let issuer = "https://id.example".to_string();
                for proof in [password(false), password(true), Proof::PasswordToken, Proof::BearerToken { issuer }] {
                    client_login(&*stream(protocol)?, client, tls, &proof)?;
                }
            }
            Ok(())
        }
        (3, target) => {
            let protocol = stream(protocol)?;
            target_login(&*protocol, target, TlsWish::Prefer)?;
            target_login(&*protocol, target, TlsWish::Require)
        }
        (4, target) => {
            survey(&*stream(protocol)?, target);
            Ok(())
        }
        (kind, _) => bail!("there is no kind {kind}"),
    }
}

fn stream(protocol: &Arc<dyn Protocol>) -> Result<Arc<dyn StreamProtocol>> {
    match protocol.clone().carriage() {
        Carriage::Stream(protocol) => Ok(protocol),
        Carriage::Exchanges(_) => bail!("{} has no login of its own", protocol.name()),
    }
}

fn session(harness: &Harness, client: &[u8], target: &[u8], chunking: &Chunking) -> Result<()> {
    let client = Spoken { side: Side::Client, bytes: Bytes::copy_from_slice(client) };
    let target = Spoken { side: Side::Target, bytes: Bytes::copy_from_slice(target) };
    let recording = Recording { name: "corpus".into(), spoken: vec![client, target] };
    harness.play(&recording, Voices::Both, chunking).map(|_| ())
}

fn client_login(protocol: &dyn StreamProtocol, bytes: &[u8], tls: TlsOffer, proof: &Proof) -> Result<()> {
    let mut login = protocol.client_login([7; 32], tls);
    let mut buf = BytesMut::new();
    let mut steps = LOGIN_STEPS_SPARE + 2 * bytes.len();
    for chunk in bytes.chunks(3) {
        buf.extend_from_slice(chunk);
        loop {
            steps = steps.checked_sub(1).context("the login goes on for ever")?;
            match login.handle(&mut buf) {
                Ok(ClientStep::Read) => break,
                Ok(ClientStep::Send(_)) => {}
                Ok(ClientStep::StartTls(_)) => {
                    // The bytes of a handshake are not the protocol's.
                    buf.clear();
                    if login.tls_started(TlsStarted::default()).is_err() {
                        return Ok(());
                    }
                }
                Ok(ClientStep::Verify { .. }) => login.prove(proof.clone()),
                Ok(ClientStep::Shown(_)) => login.recognized(Err(Denial::new(Reason::Login, "no", "", ""))),
                Ok(ClientStep::Identified { .. }) => bail!("nobody can prove a credential that was never issued"),
                Ok(ClientStep::Cancel(_)) | Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

fn verifier() -> Verifier {
    Verifier { salt: vec![7; 16], iterations: 4096, stored_key: [7; 32], server_key: [7; 32] }
}

fn target_login(protocol: &dyn StreamProtocol, bytes: &[u8], tls: TlsWish) -> Result<()> {
    let mut login = protocol.target_login(TargetCall {
        user: "gatehouse".into(),
        password: Secret::new("a secret of the corpus"),
        database: "shop".into(),
        parameters: Vec::new(),
        on_behalf: None,
        tls,
        entropy: [7; 32],
    });
    let (mut buf, mut out) = (BytesMut::new(), BytesMut::new());
    let begun = login.handle(&mut buf, &mut out);
    ensure!(matches!(begun, Ok(TargetStep::Read)), "the login does not begin");
    let mut steps = LOGIN_STEPS_SPARE + 2 * bytes.len();
    for chunk in bytes.chunks(3) {
        buf.extend_from_slice(chunk);
        loop {
            steps = steps.checked_sub(1).context("the login goes on for ever")?;
            match login.handle(&mut buf, &mut out) {
                Ok(TargetStep::Read) => break,
                Ok(TargetStep::StartTls) => login.tls_started(TlsStarted::default(), &mut out),
                Ok(TargetStep::Ready(_) | TargetStep::Refused(_)) | Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

fn survey(protocol: &dyn StreamProtocol, bytes: &[u8]) {
    let mut survey = protocol.survey();
    let mut buf = BytesMut::new();
    for chunk in bytes.chunks(3) {
        buf.extend_from_slice(chunk);
        if !matches!(survey.handle(&mut buf, &mut BytesMut::new()), Ok(None)) {
            return;
        }
    }
}
