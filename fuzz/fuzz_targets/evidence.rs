//! Gives what the fuzzer comes up with to whatever reads evidence: bundles, recordings, signed notes, records and keys.

#![no_main]

use gatehouse_laws::evidence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if bytes.first().is_none_or(|kind| *kind > 4) {
        return;
    }
    if let Err(error) = evidence::read(bytes) {
        panic!("{error:#}");
    }
});
