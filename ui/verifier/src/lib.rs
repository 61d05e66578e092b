//! Verifies a bundle in a browser: the bytes of a file and a public key in, a report in JSON out.
//!
//! Knows how memory is shared with JavaScript, and nothing of evidence: that is the journal's, the same that
//! `gatehouse evidence verify` uses.

use std::str::FromStr as _;

use gatehouse_journal::{Report, Selection, VerifierKey, verify};
use serde_json::{Value, json};

/// Room for so many bytes, for whoever calls to write to. It is given back by being handed to [`verified`].
#[unsafe(no_mangle)]
pub extern "C" fn room(bytes: usize) -> *mut u8 {
    Box::into_raw(vec![0u8; bytes].into_boxed_slice()).cast()
}

/// Takes back what [`room`] gave.
///
/// # Safety
/// The place and the length must be those of one call of [`room`], and must not be used again.
unsafe fn taken(place: *mut u8, bytes: usize) -> Box<[u8]> {
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(place, bytes)) }
}

/// Verifies a bundle against a key, both in rooms that are given back by that. What comes back is a room that begins with the
/// length of the report, in four bytes with the least first, which JavaScript reads before the memory goes with the page.
///
/// # Safety
/// Both places must come from [`room`], with the lengths that were asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn verified(bundle: *mut u8, bundle_bytes: usize, key: *mut u8, key_bytes: usize) -> *mut u8 {
    let (bundle, key) = unsafe { (taken(bundle, bundle_bytes), taken(key, key_bytes)) };
    let report = match VerifierKey::from_str(String::from_utf8_lossy(&key).trim()) {
        Ok(key) => shown(&verify(&*bundle, &key)),
        Err(error) => json!({ "fault": format!("the public key cannot be read: {error}") }),
    };
    let report = report.to_string();
    let length = u32::try_from(report.len()).unwrap_or_default();
    let mut answer = length.to_le_bytes().to_vec();
    answer.extend_from_slice(report.as_bytes());
    Box::into_raw(answer.into_boxed_slice()).cast()
}

fn shown(report: &Report) -> Value {
    let selection = report.selection.as_ref().map(|selection| match selection {
        Selection::All => "everything".to_string(),
        Selection::Session(session) => format!("session {session}"),
        Selection::Task(task) => format!("task {task}"),
        Selection::Time { since, until } => format!("from {since} until {until}"),
    });
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| json!({ "kind": format!("{:?}", finding.kind).to_lowercase(), "what": finding.message }))
        .collect();
    json!({
        "sound": report.is_sound(),
        "origin": report.origin,
        "created": report.created,
        "selection": selection,
        "checkpoint": report.checkpoint.as_ref().map(|(size, root)| json!({ "size": size, "root": root.to_string() })),
        "records": report.records,
        "operations": report.operations,
        "sessions": report.sessions,
        "recordings": report.recordings,
        "policies": report.policies,
        "findings": findings,
        "omitted": report.omitted,
    })
}
