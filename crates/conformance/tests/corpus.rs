//! What no peer should say: every file of `corpus/<protocol>/`, and recorded sessions with bytes changed.
//!
//! Whatever comes, nothing panics, and whatever moves takes bytes, so that nothing goes on for ever. The first byte
//! of a file says what the rest is:
//!
//! - 0: what a client says in a session;
//! - 1: a session too: a length in two bytes, that much of the client, and then the target;
//! - 2: what a client says in its login;
//! - 3: what a target says in the gateway's login, which asked whether it has TLS;
//! - 4: a target's answer to the survey.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use gatehouse_conformance::laws::{Chunking, Harness, NOTHING_REVEALED, Voices};
use gatehouse_conformance::recorded::{self, Recording, Recordings, Spoken};
use gatehouse_mask::Classes;
use gatehouse_model::{Secret, Verifier};
use gatehouse_protocol::{ClientStep, Protocol, Side, TargetCall, TargetStep, TlsOffer, TlsStarted, TlsWish};
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How many changed sessions are tried for each side.
const CASES: u32 = 64;
/// A login takes or says something with each step, but for a few at its ends.
const LOGIN_STEPS_SPARE: usize = 16;

#[test]
fn the_corpus_is_survived() -> Result<()> {
    for protocol in gatehouse::protocols() {
        let recordings = Recordings::load(&*protocol)?;
        let harness = Harness::new(&protocol, &recordings.facts, NOTHING_REVEALED, Classes::builtin())?;
        for path in recorded::files(&recorded::folder("corpus", &*protocol))? {
            let bytes = std::fs::read(&path)?;
            for lengths in [&[1][..], &[2, 3, 5, 7][..], &[64][..]] {
                let chunking = Chunking::of(lengths.iter().copied());
                let replayed = catch_unwind(AssertUnwindSafe(|| replay(&protocol, &harness, &bytes, &chunking)));
                replayed.unwrap_or_else(|_| bail!("it panicked")).with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(())
}

#[test]
fn changed_sessions_are_survived() -> Result<()> {
    for protocol in gatehouse::protocols() {
        let recordings = Recordings::load(&*protocol)?;
        let harness = Harness::new(&protocol, &recordings.facts, NOTHING_REVEALED, Classes::builtin())?;
        for side in [Side::Client, Side::Target] {
            let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
            let changes = vec((any::<Index>(), any::<u8>()), 1..8);
            let strategy = (any::<Index>(), changes, vec(1_usize..64, 1..8));
            let outcome = runner.run(&strategy, |(session, changes, lengths)| {
                let session = changed(session.get(&recordings.sessions), side, &changes);
                let played = harness.play(&session, Voices::Both, &Chunking::of(lengths));
                played.map(|_| ()).map_err(|error| TestCaseError::fail(format!("{}: {error:#}", session.name)))
            });
            outcome.map_err(|error| anyhow::anyhow!("{} {side:?}: {error}", protocol.name()))?;
        }
    }
    Ok(())
}

/// The session with some bytes of one side changed.
fn changed(session: &Recording, side: Side, changes: &[(Index, u8)]) -> Recording {
    let mut session = session.clone();
    for (place, byte) in changes {
        let mut places: Vec<&mut Spoken> = session.spoken.iter_mut().filter(|spoken| spoken.side == side).collect();
        let lengths: usize = places.iter().map(|spoken| spoken.bytes.len()).sum();
        if lengths == 0 {
            continue;
        }
        let mut place = place.index(lengths);
        for spoken in &mut places {
            if place < spoken.bytes.len() {
                let mut bytes = spoken.bytes.to_vec();
                if let Some(slot) = bytes.get_mut(place) {
                    *slot = *byte;
                }
                spoken.bytes = bytes.into();
                break;
            }
            place -= spoken.bytes.len();
        }
    }
    session
}

fn replay(protocol: &Arc<dyn Protocol>, harness: &Harness, bytes: &[u8], chunking: &Chunking) -> Result<()> {
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
                client_login(&**protocol, client, tls, false)?;
                client_login(&**protocol, client, tls, true)?;
            }
            Ok(())
        }
        (3, target) => {
            target_login(&**protocol, target, TlsWish::Prefer)?;
            target_login(&**protocol, target, TlsWish::Require)
        }
        (4, target) => {
            survey(&**protocol, target);
            Ok(())
        }
        (kind, _) => bail!("there is no kind {kind}"),
    }
}

fn session(harness: &Harness, client: &[u8], target: &[u8], chunking: &Chunking) -> Result<()> {
    let client = Spoken { side: Side::Client, bytes: Bytes::copy_from_slice(client) };
    let target = Spoken { side: Side::Target, bytes: Bytes::copy_from_slice(target) };
    let recording = Recording { name: "corpus".into(), spoken: vec![client, target] };
    harness.play(&recording, Voices::Both, chunking).map(|_| ())
}

fn client_login(protocol: &dyn Protocol, bytes: &[u8], tls: TlsOffer, is_real: bool) -> Result<()> {
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
                Ok(ClientStep::Verify { .. }) => login.verifier(self::verifier(), is_real),
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

fn target_login(protocol: &dyn Protocol, bytes: &[u8], tls: TlsWish) -> Result<()> {
    let mut login = protocol.target_login(TargetCall {
        user: "gatehouse".into(),
        password: Secret::new("a secret of the corpus"),
        database: "shop".into(),
        parameters: Vec::new(),
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
                Ok(TargetStep::Ready(_)) | Err(_) => return Ok(()),
            }
        }
    }
    Ok(())
}

fn survey(protocol: &dyn Protocol, bytes: &[u8]) {
    let mut survey = protocol.survey();
    let mut buf = BytesMut::new();
    for chunk in bytes.chunks(3) {
        buf.extend_from_slice(chunk);
        if !matches!(survey.handle(&mut buf, &mut BytesMut::new()), Ok(None)) {
            return;
        }
    }
}
