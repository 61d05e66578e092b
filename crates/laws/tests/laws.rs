//! The four laws, for every protocol of the registry and every recorded session of it.

use anyhow::{Result, ensure};
use gatehouse_laws::laws::{Chunking, Laws};
use gatehouse_laws::recorded::Recording;
use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// How many chunkings each session is played in, beside the recorded one.
const CASES: u32 = 4;
/// The same where chunking is what the law is about.
const CHUNKING_CASES: u32 = 16;

#[test]
fn law_1_nothing_permitted_nothing_heard() -> Result<()> {
    for protocol in gatehouse_registry::protocols() {
        Laws::of(&protocol)?.door_is_shut()?;
    }
    holds(Laws::nothing_permitted_nothing_heard, CASES)
}

#[test]
fn law_2_everything_permitted_nothing_changed() -> Result<()> {
    holds(Laws::everything_permitted_nothing_changed, CASES)
}

#[test]
fn law_3_nothing_recorded_nothing_heard() -> Result<()> {
    holds(Laws::nothing_recorded_nothing_heard, CASES)
}

#[test]
fn what_is_shut_is_not_heard() -> Result<()> {
    holds(Laws::shut_nothing_heard, CASES)
}

#[test]
fn law_4_chunks_change_nothing() -> Result<()> {
    holds(Laws::chunks_change_nothing, CHUNKING_CASES)
}

/// Tries a law on everything and names every session that breaks it.
fn holds(law: fn(&Laws, &Recording, &Chunking) -> Result<()>, cases: u32) -> Result<()> {
    let mut broken = Vec::new();
    for protocol in gatehouse_registry::protocols() {
        let laws = Laws::of(&protocol)?;
        for session in &laws.recordings.sessions {
            if let Err(error) = session_holds(law, &laws, session, cases) {
                broken.push(format!("{} {}: {error:#}", protocol.name(), session.name));
            }
        }
    }
    ensure!(broken.is_empty(), "the law is broken by\n{}", broken.join("\n"));
    Ok(())
}

fn session_holds(
    law: fn(&Laws, &Recording, &Chunking) -> Result<()>,
    laws: &Laws,
    session: &Recording,
    cases: u32,
) -> Result<()> {
    law(laws, session, &Chunking::whole())?;
    law(laws, session, &Chunking::of([1]))?;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&vec(1_usize..64, 1..16), |lengths| {
        law(laws, session, &Chunking::of(lengths)).map_err(|error| TestCaseError::fail(format!("{error:#}")))
    });
    outcome.map_err(|error| anyhow::anyhow!("{error}"))
}
