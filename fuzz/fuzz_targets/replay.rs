//! Plays what the fuzzer comes up with to the logins, the survey and the sessions of every protocol.

#![no_main]

use std::sync::{Arc, LazyLock};

use gatehouse_laws::laws::{Chunking, Harness, NOTHING_REVEALED};
use gatehouse_laws::recorded::Recordings;
use gatehouse_laws::replay::replay;
use gatehouse_mask::Classes;
use gatehouse_protocol::Protocol;
use libfuzzer_sys::fuzz_target;

static STAGES: LazyLock<Vec<(Arc<dyn Protocol>, Harness)>> = LazyLock::new(|| {
    let stage = |protocol: Arc<dyn Protocol>| {
        let recordings = Recordings::load(&protocol).expect("the recordings are there");
        let harness = Harness::new(&protocol, &recordings.facts, NOTHING_REVEALED, Classes::builtin());
        (protocol, harness.expect("the policies load"))
    };
    gatehouse_registry::protocols().into_iter().map(stage).collect()
});

fuzz_target!(|bytes: &[u8]| {
    if bytes.first().is_none_or(|kind| *kind > 4) {
        return;
    }
    for (protocol, harness) in &*STAGES {
        for lengths in [&[64][..], &[2, 3, 5, 7][..]] {
            // A file that is too short for its kind says nothing; what goes on for ever is a finding.
            if let Err(error) = replay(protocol, harness, bytes, &Chunking::of(lengths.iter().copied())) {
                let text = format!("{error:#}");
                let says_nothing = ["is missing", "too short", "has no login of its own"].iter().any(|word| text.contains(word));
                assert!(says_nothing, "{text}");
            }
        }
    }
});
