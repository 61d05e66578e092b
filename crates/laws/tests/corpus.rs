//! What no peer should say: every file of `corpus/<protocol>/`, and recorded sessions with bytes changed. And what no journal
//! writes: `corpus/journal`.
//!
//! Whatever comes, nothing panics, and whatever moves takes bytes, so that nothing goes on for ever. What a file's bytes
//! mean, `gatehouse_laws::replay` and `evidence` say; `scripts/fuzz` goes on from these files for as long as one likes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use gatehouse_laws::evidence;
use gatehouse_laws::laws::{Chunking, Harness, NOTHING_REVEALED, Voices};
use gatehouse_laws::recorded::{self, Recording, Recordings, Spoken};
use gatehouse_laws::replay;
use gatehouse_mask::Classes;
use gatehouse_protocol::Side;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How many changed sessions are tried for each side.
const CASES: u32 = 64;

#[test]
fn the_corpus_is_survived() -> Result<()> {
    for protocol in gatehouse_registry::protocols() {
        let recordings = Recordings::load(&protocol)?;
        let harness = Harness::new(&protocol, &recordings.facts, NOTHING_REVEALED, Classes::builtin())?;
        for path in recorded::files(&recorded::folder("corpus", &*protocol))? {
            let bytes = std::fs::read(&path)?;
            for lengths in [&[1][..], &[2, 3, 5, 7][..], &[64][..]] {
                let chunking = Chunking::of(lengths.iter().copied());
                let replayed =
                    catch_unwind(AssertUnwindSafe(|| replay::replay(&protocol, &harness, &bytes, &chunking)));
                replayed.unwrap_or_else(|_| bail!("it panicked")).with_context(|| path.display().to_string())?;
            }
        }
    }
    Ok(())
}

#[test]
fn evidence_that_no_journal_wrote_is_survived() -> Result<()> {
    for path in recorded::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/journal"))? {
        let bytes = std::fs::read(&path)?;
        // Whole, and cut off here and there.
        for length in (1..bytes.len()).step_by(31).chain([bytes.len()]) {
            let bytes = bytes.get(..length).unwrap_or_default();
            let read = catch_unwind(AssertUnwindSafe(|| evidence::read(bytes)));
            let read = read.unwrap_or_else(|_| bail!("it panicked"));
            read.with_context(|| format!("the first {length} bytes of {}", path.display()))?;
        }
    }
    Ok(())
}

#[test]
fn changed_sessions_are_survived() -> Result<()> {
    for protocol in gatehouse_registry::protocols() {
        let recordings = Recordings::load(&protocol)?;
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
