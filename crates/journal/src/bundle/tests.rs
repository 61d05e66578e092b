//! Bundles made of a small journal, then damaged in every way that the report must name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use tar::{Archive, Builder, EntryType, Header};
use zeroize::Zeroizing;

use super::*;
use crate::log::Journal;
use crate::note::SigningKey;
use crate::record::{
    Entry, GatewayStarted, GatewayStopped, KeyEnded, KeyIssued, OperationDecided, PoliciesLoaded, RecordingSeal,
    RequestAnswered, RequestEnded, RequestOpened, SessionClosed, SessionOpened, TaskEnded, TaskRequested, TaskStarted,
};
use crate::segments::{SegmentLimits, Segments};
use crate::tree::sha256;

const POLICY: &[u8] = b"permit (principal, action, resource);";
const RECORDING: &[u8] = b"gatehouse-recording 1\n{}\nwhat the client saw";

fn key() -> SigningKey {
    SigningKey::from_seed("gateway.example/log", &Zeroizing::new([7; 32])).expect("a name")
}

#[derive(Default)]
struct Memory {
    recordings: BTreeMap<String, Vec<u8>>,
    policies: BTreeMap<String, Vec<u8>>,
}

impl Memory {
    fn whole() -> Self {
        Self {
            recordings: BTreeMap::from([("ses-1.rec".to_owned(), RECORDING.to_vec())]),
            policies: BTreeMap::from([(sha256(POLICY).to_string(), POLICY.to_vec())]),
        }
    }
}

fn stream(bytes: Option<&Vec<u8>>) -> io::Result<Option<Box<dyn Read>>> {
    Ok(bytes.map(|bytes| Box::new(Cursor::new(bytes.clone())) as Box<dyn Read>))
}

impl Attachments for Memory {
    fn recording(&self, file: &str) -> io::Result<Option<Box<dyn Read>>> {
        stream(self.recordings.get(file))
    }

    fn policy(&self, sha256: &str) -> io::Result<Option<Box<dyn Read>>> {
        stream(self.policies.get(sha256))
    }
}

fn session_opened(number: u64) -> Entry {
    SessionOpened {
        session: format!("ses-{number}"),
        task: format!("tsk-{number}"),
        identity: "agent:helper".into(),
        on_behalf_of: Some("ann".into()),
        target: "shop".into(),
        peer: "192.0.2.1:5000".into(),
        policies: "r1".into(),
        api_key: None,
        wishes: None,
    }
    .into()
}

fn operation(session: u64, number: u64) -> OperationDecided {
    OperationDecided {
        session: format!("ses-{session}"),
        task: format!("tsk-{session}"),
        identity: "agent:helper".into(),
        on_behalf_of: Some("ann".into()),
        api_key: None,
        target: "shop".into(),
        number,
        title: "SELECT".into(),
        statement: "select 1".into(),
        binds: Vec::new(),
        digest: "aa".into(),
        accesses: Vec::new(),
        facts: BTreeMap::new(),
        phase: "run".into(),
        effect: "read".into(),
        verdict: "allow".into(),
        policies: vec!["read".into()],
        revision: "r1".into(),
        reasons: Vec::new(),
        approval: None,
        refused: None,
    }
}

fn held(session: u64, number: u64) -> Entry {
    OperationDecided { verdict: "hold".into(), approval: Some("req-1".into()), ..operation(session, number) }.into()
}

fn denied(session: u64, number: u64) -> Entry {
    OperationDecided { verdict: "deny".into(), refused: Some("policy".into()), ..operation(session, number) }.into()
}

fn session_closed(number: u64, operations: u64, recording: Option<RecordingSeal>) -> Entry {
    SessionClosed {
        session: format!("ses-{number}"),
        cause: "client left".into(),
        operations,
        rows: 1,
        bytes: 10,
        masked: BTreeMap::new(),
        revealed: Vec::new(),
        answers: 0,
        waited_micros: 0,
        recording,
    }
    .into()
}

fn request_opened() -> RequestOpened {
    RequestOpened {
        request: "req-1".into(),
        session: "ses-1".into(),
        task: "tsk-1".into(),
        identity: "agent:helper".into(),
        on_behalf_of: Some("ann".into()),
        target: "shop".into(),
        title: "DELETE".into(),
        statement: "delete from t".into(),
        binds: Vec::new(),
        digest: "aa".into(),
        accesses: Vec::new(),
        facts: BTreeMap::new(),
        groups: vec!["dba".into()],
        quorum: BTreeMap::new(),
        reasons: Vec::new(),
        policies: vec!["writes".into()],
        revision: "r1".into(),
        expires: "2026-01-01T01:00:00Z".into(),
        mode: "wait".into(),
        impact: Vec::new(),
    }
}

fn answered(answer: &str) -> RequestAnswered {
    RequestAnswered {
        request: "req-1".into(),
        answer: answer.into(),
        by: "user:bob".into(),
        groups: vec!["dba".into()],
        reason: "fine".into(),
        via: "cli".into(),
        expires: Some("2026-01-01T02:00:00Z".into()),
        targets: Vec::new(),
        ttl_secs: None,
    }
}

fn task_started(number: u64) -> Entry {
    TaskStarted {
        task: format!("tsk-{number}"),
        identity: "agent:helper".into(),
        on_behalf_of: Some("ann".into()),
        targets: vec!["shop".into()],
        reason: "look".into(),
        expires: "2026-01-01T08:00:00Z".into(),
        by: "user:ann".into(),
        budget: None,
        approval: None,
        policies: Vec::new(),
        revision: None,
        actors: Vec::new(),
        parent: None,
        api_key: None,
        is_bound: false,
    }
    .into()
}

fn beginning() -> Vec<Entry> {
    vec![
        GatewayStarted { version: "0.1".into(), node: "a".into(), config: "cc".into(), recovered: None }.into(),
        PoliciesLoaded {
            revision: "r1".into(),
            files: BTreeMap::from([("base.cedar".into(), sha256(POLICY).to_string())]),
        }
        .into(),
        task_started(1),
        session_opened(1),
    ]
}

fn story() -> Vec<Entry> {
    let seal = RecordingSeal {
        file: "ses-1.rec".into(),
        bytes: RECORDING.len() as u64,
        sha256: sha256(RECORDING).to_string(),
        truncated: false,
    };
    let mut entries = beginning();
    entries.extend([
        operation(1, 0).into(),
        request_opened().into(),
        answered("approved").into(),
        held(1, 1),
        RequestEnded { request: "req-1".into(), cause: "used".into() }.into(),
        denied(1, 2),
        session_closed(1, 3, Some(seal)),
        task_started(2),
        session_opened(2),
        operation(2, 0).into(),
        session_closed(2, 1, None),
        GatewayStopped {}.into(),
    ]);
    entries
}

/// Writes the entries a second apart, and exports.
fn bundle(entries: Vec<Entry>, selection: &Selection, attachments: &Memory) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = SegmentLimits { segment_bytes_max: 2000 };
    let (segments, recovery) = Segments::open(dir.path(), limits, &[key().verifier()]).expect("a new journal");
    let mut journal = Journal::new(segments, recovery.frontier);
    let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    for entry in entries {
        let _ = journal.append(now, entry).expect("there is room");
        now += SignedDuration::from_secs(1);
    }
    let mut out = Vec::new();
    let checkpoint = journal.checkpoint(&key());
    let wanted = Export { selection, created: now, checkpoint: &checkpoint, key: &key(), attachments };
    let exported = export(journal.sink().files(), &wanted, &mut out).expect("it fits");
    let attached = (exported.recordings + exported.policies) as usize;
    assert!(attached + exported.missing.len() <= 2);
    out
}

fn findings(bytes: &[u8]) -> Vec<String> {
    let report = verify(bytes, &key().verifier());
    assert_eq!(report.is_sound(), report.findings.is_empty());
    report.findings.into_iter().map(|finding| finding.message).collect()
}

fn check(bytes: &[u8], expect: Expect) {
    expect.assert_eq(&findings(bytes).join("\n"));
}

/// A bundle's files, to be changed and packed again.
fn unpack(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = Archive::new(bytes);
    let entries = archive.entries().expect("a tar file");
    entries
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("in memory");
            (entry.path().expect("a path").display().to_string(), content)
        })
        .collect()
}

fn append(builder: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_path(path).expect("short");
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).expect("in memory");
}

fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, content) in files {
        append(&mut builder, path, EntryType::Regular, content);
    }
    builder.into_inner().expect("in memory")
}

/// Changes one file of a bundle.
fn change(bytes: &[u8], path: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut files = unpack(bytes);
    let (_, content) = files.iter_mut().find(|(name, _)| name == path).expect("the file");
    change(content);
    pack(&files)
}

fn change_lines(bytes: &[u8], change_them: impl FnOnce(&mut Vec<String>)) -> Vec<u8> {
    change(bytes, RECORDS, |content| {
        let mut lines: Vec<String> = String::from_utf8_lossy(content).lines().map(str::to_owned).collect();
        change_them(&mut lines);
        *content = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>().into_bytes();
    })
}

fn whole() -> Vec<u8> {
    bundle(story(), &Selection::All, &Memory::whole())
}

fn session() -> Vec<u8> {
    bundle(story(), &Selection::Session("ses-1".into()), &Memory::whole())
}

#[test]
fn sound_bundles_are_sound() {
    let counts = |bytes: &[u8]| {
        let report = verify(bytes, &key().verifier());
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!(report.checkpoint.map(|(size, _)| size), Some(16));
        (report.records, report.operations, report.sessions, report.recordings, report.policies)
    };
    assert_eq!(counts(&whole()), (16, 4, 2, 1, 1));
    assert_eq!(counts(&session()), (11, 3, 1, 1, 1));
    assert_eq!(counts(&bundle(story(), &Selection::Task("tsk-1".into()), &Memory::whole())), (11, 3, 1, 1, 1));
}

#[test]
fn a_selection_brings_what_was_in_force() {
    let indexes = |bytes: &[u8]| {
        let files = unpack(bytes);
        let (_, records) = files.iter().find(|(name, _)| name == RECORDS).expect("records");
        String::from_utf8_lossy(records)
            .lines()
            .map(|line| crate::record::Record::parse(line).expect("a record").index)
            .collect::<Vec<_>>()
    };
    let bytes = bundle(story(), &Selection::Session("ses-2".into()), &Memory::whole());
    assert_eq!(indexes(&bytes), [0, 1, 11, 12, 13, 14]);
    assert_eq!(findings(&bytes), Vec::<String>::new());
}

#[test]
fn the_manifest_is_canonical() {
    let bytes = whole();
    let files = unpack(&bytes);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.first(), Some(&MANIFEST));
    assert!(!names.contains(&PROOFS));
    for (_, content) in files.iter().take(1) {
        let value: serde_json::Value = serde_json::from_slice(content).expect("JSON");
        let mut canonical = String::new();
        crate::canonical::write(&value, &mut canonical).expect("no fractions");
        assert_eq!(canonical.as_bytes(), content);
    }
}

#[test]
fn every_record_that_is_changed_deleted_doubled_or_moved_is_named() {
    for bytes in [whole(), session()] {
        let files = unpack(&bytes);
        let manifest: Manifest = serde_json::from_slice(&files[0].1).expect("a manifest");
        for (place, record) in manifest.records.iter().enumerate() {
            let name = format!("record {} ({})", record.index, record.kind);
            let has = |bytes: Vec<u8>, expect: String| {
                let found = findings(&bytes);
                assert!(found.contains(&expect), "{expect:?} is not in {found:#?}");
            };
            let time = format!("00:00:{:02}", record.index);
            has(
                change_lines(&bytes, |lines| lines[place] = lines[place].replace(&time, "03:00:00")),
                format!("{name} was changed"),
            );
            has(change_lines(&bytes, |lines| lines[place].push(' ')), format!("{name} was changed"));
            has(change_lines(&bytes, |lines| drop(lines.remove(place))), format!("{name} is missing"));
            has(
                change_lines(&bytes, |lines| lines.insert(place, lines[place].clone())),
                format!("{name} is there more than once"),
            );
            if let Some(next) = manifest.records.get(place + 1) {
                let expect = format!("records {} and {} are out of order", record.index, next.index);
                has(change_lines(&bytes, |lines| lines.swap(place, place + 1)), expect);
            }
            let forged = manifest.records[place].index + 100;
            has(
                change_lines(&bytes, |lines| {
                    let line =
                        lines[place].replace(&format!("\"index\":{},", record.index), &format!("\"index\":{forged},"));
                    lines.insert(place, line);
                }),
                format!("line {} was added: it claims to be record {forged}", place + 1),
            );
        }
    }
}

#[test]
fn a_cut_end_is_named() {
    let bytes = change(&whole(), RECORDS, |content| content.truncate(content.len() - 10));
    check(&bytes, expect!["record 15 (gateway.stopped) was cut off"]);
    let bytes = change(&whole(), RECORDS, |content| content.truncate(content.len() - 1));
    check(&bytes, expect!["the line of record 15 (gateway.stopped) is cut off"]);
    let bytes = change_lines(&whole(), |lines| lines.truncate(11));
    check(
        &bytes,
        expect![[r#"
            record 11 (task.started) is missing
            record 12 (session.opened) is missing
            record 13 (operation.decided) is missing
            record 14 (session.closed) is missing
            record 15 (gateway.stopped) is missing"#]],
    );
    let bytes = whole();
    for length in (0..bytes.len()).step_by(256) {
        let cut = bytes.get(..length).expect("a beginning");
        // The last 1024 bytes are the tar format's own end mark.
        assert!(!findings(cut).is_empty() || length + 1024 >= bytes.len(), "{length} bytes");
    }
}

#[test]
fn a_missing_operation_is_a_gap() {
    let bytes = change_lines(&session(), |lines| drop(lines.remove(4)));
    check(
        &bytes,
        expect![[r#"
            session ses-1: operation 0 is missing before record 7
            record 4 (operation.decided) is missing"#]],
    );
}

#[test]
fn files_that_are_changed_cut_added_or_missing_are_named() {
    let recording = "recordings/ses-1.rec";
    let policy = unpack(&whole()).pop().expect("a policy file").0;
    assert!(policy.starts_with("policies/") && policy.ends_with("-base.cedar"), "{policy}");
    check(
        &change(&whole(), recording, |content| content[30] ^= 1),
        expect![[r#"
            recordings/ses-1.rec was changed
            recordings/ses-1.rec of session ses-1 is not the recording that record 10 seals"#]],
    );
    check(
        &change(&whole(), recording, |content| content.truncate(30)),
        expect![[r#"
            recordings/ses-1.rec was truncated: it has 30 of 44 bytes
            recordings/ses-1.rec of session ses-1 is not the recording that record 10 seals"#]],
    );
    let without = |path: &str| {
        let mut files = unpack(&whole());
        files.retain(|(name, _)| name != path);
        pack(&files)
    };
    check(
        &without(recording),
        expect![[r#"
            recordings/ses-1.rec is missing
            recordings/ses-1.rec of session ses-1 is not in the bundle, and record 10 seals it"#]],
    );
    assert_eq!(
        findings(&without(&policy)),
        [
            format!("{policy} is missing"),
            "policy file base.cedar is not in the bundle, and record 1 says that it was loaded".to_owned(),
        ]
    );
    assert_eq!(
        findings(&change(&whole(), &policy, |content| content[0] ^= 1)),
        [
            format!("{policy} was changed"),
            format!("{policy} is not the policy file base.cedar that record 1 says was loaded"),
        ]
    );
    let with = |path: &str| {
        let mut files = unpack(&whole());
        files.push((path.to_owned(), b"x".to_vec()));
        pack(&files)
    };
    check(&with("recordings/x"), expect!["recordings/x was added: the manifest does not list it"]);
    check(&with("policies/x"), expect!["policies/x was added: the manifest does not list it"]);
    check(&with("etc/passwd"), expect!["etc/passwd does not belong into a bundle"]);
    check(&with(recording), expect!["recordings/ses-1.rec is in the bundle more than once"]);
    check(&with(PROOFS), expect!["proofs.jsonl does not belong into a bundle of all records"]);
    for path in [MANIFEST, MANIFEST_NOTE, CHECKPOINT, RECORDS] {
        assert!(findings(&without(path)).contains(&format!("{path} is missing")), "{path}");
    }
}

#[test]
fn files_that_were_gone_at_the_export_are_named() {
    check(
        &bundle(story(), &Selection::All, &Memory::default()),
        expect![[r#"
            recordings/ses-1.rec of session ses-1 is not in the bundle, and record 10 seals it
            policy file base.cedar is not in the bundle, and record 1 says that it was loaded"#]],
    );
}

#[test]
fn keys_and_signatures_count() {
    let other = SigningKey::from_seed("gateway.example/log", &Zeroizing::new([8; 32])).expect("a name").verifier();
    let report = verify(whole().as_slice(), &other);
    assert_eq!(report.findings.len(), 2);
    assert!(report.findings.iter().all(|finding| finding.kind == FindingKind::Signature));
    assert!(
        report.findings[0]
            .message
            .starts_with(&format!("manifest.note: it is not signed by the key {}", other.label()))
    );
    assert_eq!(report.checkpoint, None);
    let bytes = change(&whole(), MANIFEST, |content| {
        *content = String::from_utf8_lossy(content).replace("\"created\":\"2026", "\"created\":\"2025").into_bytes();
    });
    check(&bytes, expect!["manifest.json is not the one that was signed: it was changed"]);
    let bytes = change(&whole(), CHECKPOINT, |content| {
        *content = String::from_utf8_lossy(content).replace("\n16\n", "\n15\n").into_bytes();
    });
    assert!(findings(&bytes)[0].starts_with("checkpoint: the signature of the key gateway.example/log+"));
    // A sound checkpoint, but an older one.
    let older = key().sign_checkpoint(3, sha256(b"three"));
    let bytes = change(&whole(), CHECKPOINT, |content| *content = older.into_bytes());
    check(&bytes, expect!["the checkpoint is not the one that the manifest was made with"]);
}

#[test]
fn every_changed_byte_of_every_file_is_noticed() {
    for bytes in [whole(), session()] {
        for (path, content) in unpack(&bytes) {
            for place in (0..content.len()).step_by(1 + content.len() / 150) {
                let changed = change(&bytes, &path, |content| content[place] ^= 1);
                assert!(!findings(&changed).is_empty(), "{path} byte {place}");
            }
        }
    }
}

#[test]
fn proofs_are_checked() {
    let change_proofs = |change_them: fn(&mut Vec<&str>)| {
        change(&session(), PROOFS, |content| {
            let text = String::from_utf8_lossy(content).into_owned();
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            change_them(&mut lines);
            *content = lines.concat().into_bytes();
        })
    };
    check(
        &change_proofs(|lines| lines.swap(0, 1)),
        expect![[r#"
            record 0 (gateway.started) is not proven to be in the log: a proof of record 1 stands in its place
            record 1 (policies.loaded) is not proven to be in the log: a proof of record 0 stands in its place"#]],
    );
    check(
        &change_proofs(|lines| lines.truncate(10)),
        expect!["record 10 (session.closed) is not proven to be in the log: its proof is missing"],
    );
    check(&change_proofs(|lines| lines.push("{}\n")), expect!["proofs.jsonl has more lines than the manifest"]);
}

#[test]
fn hostile_files_are_findings() {
    let with = |path: &str, kind: EntryType, content: &[u8]| {
        let mut builder = Builder::new(Vec::new());
        append(&mut builder, path, kind, content);
        for (path, content) in unpack(&whole()) {
            append(&mut builder, &path, EntryType::Regular, &content);
        }
        builder.into_inner().expect("in memory")
    };
    check(&with("recordings/x", EntryType::Symlink, b""), expect!["recordings/x is not a plain file"]);
    check(&with("recordings/x", EntryType::Directory, b""), expect!["recordings/x is not a plain file"]);
    check(&with("x", EntryType::GNULongName, b"records.jsonl"), expect!["x is not a plain file"]);
    check(&with("x", EntryType::XHeader, b"18 path=manifest\n"), expect!["x is not a plain file"]);
    let mut behind = whole();
    behind.extend_from_slice(&[1; 10]);
    check(&behind, expect!["something stands behind the end of the bundle"]);
    check(
        b"",
        expect![[r#"
            manifest.json is missing
            manifest.note is missing
            checkpoint is missing
            records.jsonl is missing"#]],
    );
    assert!(!findings(&[0xff; 2000]).is_empty());
    // A size that is not there must not be believed.
    let mut header = Header::new_ustar();
    header.set_path(MANIFEST_NOTE).expect("short");
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    assert!(!findings(header.as_bytes()).is_empty());
}

/// The findings about a session that goes on after [`beginning`].
fn tell(entries: impl IntoIterator<Item = Entry>, expect: Expect) {
    let mut all = beginning();
    all.extend(entries);
    check(&bundle(all, &Selection::All, &Memory::whole()), expect);
}

#[test]
fn sessions_must_hold_together() {
    tell([operation(1, 0).into(), operation(1, 1).into(), session_closed(1, 2, None)], expect![""]);
    tell(
        [operation(1, 1).into(), session_closed(1, 1, None)],
        expect![[r#"
            session ses-1: operation 0 is missing before record 4
            session ses-1: record 5 counts 1 operations, and by their numbers there are 2"#]],
    );
    tell(
        [operation(1, 0).into(), operation(1, 0).into()],
        expect!["session ses-1: record 5 has the number 0 of an earlier operation"],
    );
    tell(
        [session_closed(1, 0, None), operation(1, 0).into()],
        expect!["session ses-1: record 5 comes after the session was closed in record 4"],
    );
    tell([operation(9, 0).into()], expect!["record 4: no record before it says that session ses-9 was opened"]);
    tell(
        [OperationDecided { target: "bank".into(), ..operation(1, 0) }.into()],
        expect!["record 4 names another task, identity or target than its session ses-1"],
    );
    tell(
        [OperationDecided { revision: "r2".into(), ..operation(1, 0) }.into()],
        expect!["record 4 was decided by policies r2, and no record says that they were loaded"],
    );
}

#[test]
fn nothing_passes_without_a_permit() {
    let passed = |verdict: &str, phase: &str| -> Entry {
        OperationDecided { verdict: verdict.into(), phase: phase.into(), ..operation(1, 0) }.into()
    };
    tell([passed("hold", "prepare")], expect![""]);
    tell(
        [passed("hold", "run")],
        expect!["record 4 (session ses-1, operation 0) passed without a permit: the verdict is hold"],
    );
    tell(
        [passed("deny", "prepare")],
        expect!["record 4 (session ses-1, operation 0) passed without a permit: the verdict is deny"],
    );
}

#[test]
fn approvals_are_for_one_operation_once() {
    let opened = || Entry::from(request_opened());
    let approved = || Entry::from(answered("approved"));
    tell([opened(), approved(), held(1, 0)], expect![""]);
    tell(
        [opened(), approved(), held(1, 0), held(1, 1)],
        expect!["the approval req-1 was used twice, in records 6 and 7"],
    );
    tell([opened(), held(1, 0), approved()], expect!["record 5 uses request req-1 before it was approved"]);
    tell(
        [opened(), answered("denied").into(), held(1, 0)],
        expect!["record 6 uses request req-1, which was denied in record 5"],
    );
    tell([held(1, 0)], expect!["record 4 names request req-1, and no record before it says that it was opened"]);
    tell(
        [RequestOpened { digest: "bb".into(), ..request_opened() }.into(), approved(), held(1, 0)],
        expect!["record 6 uses the approval req-1 of another operation: the digests differ"],
    );
    tell(
        [RequestOpened { groups: vec!["dba".into(), "sec".into()], ..request_opened() }.into(), approved(), held(1, 0)],
        expect!["record 6 uses request req-1, which nobody approved for sec"],
    );
    let expires = Some("2026-01-01T00:00:05.5Z".to_owned());
    tell(
        [opened(), RequestAnswered { expires, ..answered("approved") }.into(), held(1, 0)],
        expect!["record 6 uses the approval req-1 after it expired"],
    );
    tell(
        [opened(), approved(), RequestEnded { request: "req-1".into(), cause: "withdrawn".into() }.into(), held(1, 0)],
        expect!["record 7 uses request req-1 after it ended (withdrawn) in record 6"],
    );
    for (by, expect) in [
        ("agent:other", expect!["request req-1 was answered by an agent, agent:other, in record 5"]),
        ("user:ann", expect!["request req-1 was answered by whom it is for, user:ann, in record 5"]),
    ] {
        tell([opened(), RequestAnswered { by: by.into(), ..answered("approved") }.into(), held(1, 0)], expect);
    }
    tell(
        [RequestOpened { expires: "2026-01-01T00:00:01Z".into(), ..request_opened() }.into(), approved()],
        expect!["request req-1 was answered after it expired, in record 5"],
    );
}

#[test]
fn a_quorum_is_of_different_people() {
    let opened = || Entry::from(RequestOpened { quorum: BTreeMap::from([("dba".into(), 2)]), ..request_opened() });
    let by = |name: &str| Entry::from(RequestAnswered { by: format!("user:{name}"), ..answered("approved") });
    tell([opened(), by("bob"), by("eve"), held(1, 0)], expect![""]);
    let short = || expect!["record 7 uses request req-1, which nobody approved for dba"];
    tell([opened(), by("bob"), by("bob"), held(1, 0)], short());
}

#[test]
fn a_task_begins_as_it_was_granted() {
    let asked = || {
        Entry::from(TaskRequested {
            request: "req-9".into(),
            identity: "agent:helper".into(),
            on_behalf_of: Some("user:ann".into()),
            targets: vec!["bank".into(), "shop".into()],
            reason: "look".into(),
            ttl_secs: 3600,
            budget: None,
            by: "user:ann".into(),
            digest: "cc".into(),
            groups: vec!["dba".into()],
            quorum: BTreeMap::new(),
            reasons: Vec::new(),
            policies: Vec::new(),
            revision: "r1".into(),
            expires: "2026-01-01T01:00:00Z".into(),
        })
    };
    let granted = |targets: &[&str], ttl_secs: u32| {
        let targets = targets.iter().map(ToString::to_string).collect();
        let answer =
            RequestAnswered { request: "req-9".into(), targets, ttl_secs: Some(ttl_secs), ..answered("approved") };
        Entry::from(answer)
    };
    let began = |targets: &[&str], expires: &str| {
        Entry::from(TaskStarted {
            task: "tsk-9".into(),
            identity: "agent:helper".into(),
            on_behalf_of: Some("user:ann".into()),
            targets: targets.iter().map(ToString::to_string).collect(),
            reason: "look".into(),
            expires: expires.into(),
            by: "user:ann".into(),
            budget: None,
            approval: Some("req-9".into()),
            policies: Vec::new(),
            revision: None,
            actors: Vec::new(),
            parent: None,
            api_key: None,
            is_bound: false,
        })
    };
    let in_time = "2026-01-01T00:10:05Z";
    tell([asked(), granted(&["shop"], 600), began(&["shop"], in_time)], expect![""]);
    let other = || expect!["record 6 begins a task by the approval req-9, which grants another or less"];
    tell([asked(), granted(&["shop"], 600), began(&["bank"], in_time)], other());
    tell([asked(), granted(&["shop"], 600), began(&["shop"], "2026-01-01T00:59:00Z")], other());
    let other_reason = |entry: Entry| match entry {
        Entry::TaskStarted(body) => Entry::from(TaskStarted { reason: "another".into(), ..body }),
        other => other,
    };
    tell([asked(), granted(&["shop"], 600), other_reason(began(&["shop"], in_time))], other());
    tell([asked(), began(&["shop"], in_time)], expect!["record 5 uses request req-9 before it was approved"]);
    tell(
        [asked(), granted(&["vault"], 600)],
        expect!["request req-9 has an answer, which grants more than was asked for, in record 5"],
    );
    tell(
        [asked(), granted(&["shop"], 600), began(&["shop"], in_time), began(&["shop"], in_time)],
        expect![[r#"
            the approval req-9 was used twice, in records 6 and 7
            task tsk-9 began more than once, last in record 7"#]],
    );
}

#[test]
fn what_a_task_came_from_reaches_as_far_as_it() {
    let key = || {
        Entry::from(KeyIssued {
            key: "key-1".into(),
            identity: "agent:helper".into(),
            targets: vec!["shop".into()],
            reason: "a plotter".into(),
            expires: "2026-01-01T09:00:00Z".into(),
            by: "user:ann".into(),
        })
    };
    let began = |change: fn(TaskStarted) -> TaskStarted| match task_started(9) {
        Entry::TaskStarted(body) => Entry::from(change(body)),
        other => other,
    };
    let by_key = |body| TaskStarted { api_key: Some("key-1".into()), ..body };
    tell([key(), began(by_key)], expect![""]);
    tell([began(by_key)], expect!["record 4 begins task tsk-9 by a key that does not reach so far"]);
    let ended = KeyEnded { key: "key-1".into(), cause: "revoked".into(), by: "user:ann".into() };
    tell(
        [key(), ended.into(), began(by_key)],
        expect!["record 6 begins task tsk-9 by a key that does not reach so far"],
    );
    tell(
        [key(), began(|body| TaskStarted { api_key: Some("key-1".into()), targets: vec!["bank".into()], ..body })],
        expect!["record 5 begins task tsk-9 by a key that does not reach so far"],
    );
    tell(
        [key(), began(|body| TaskStarted { api_key: Some("key-1".into()), identity: "agent:other".into(), ..body })],
        expect!["record 5 begins task tsk-9 by a key that does not reach so far"],
    );
    let late = |body| TaskStarted { parent: Some("tsk-1".into()), expires: "2026-01-02T00:00:00Z".into(), ..body };
    tell([began(|body| TaskStarted { parent: Some("tsk-1".into()), ..body })], expect![""]);
    tell([began(late)], expect!["record 4 begins task tsk-9 by a task that does not reach so far"]);
}

#[test]
fn a_session_is_of_a_task_that_lives() {
    let open = |change: fn(SessionOpened) -> SessionOpened| match session_opened(5) {
        Entry::SessionOpened(body) => Entry::from(change(SessionOpened { task: "tsk-1".into(), ..body })),
        other => other,
    };
    tell([open(|body| body)], expect![""]);
    let other = || expect!["record 4 opens session ses-5 of another identity or target than its task's"];
    tell([open(|body| SessionOpened { target: "bank".into(), ..body })], other());
    tell([open(|body| SessionOpened { identity: "agent:other".into(), ..body })], other());
    tell([open(|body| SessionOpened { on_behalf_of: None, ..body })], other());
    tell(
        [open(|body| SessionOpened { task: "tsk-7".into(), ..body })],
        expect!["record 4 opens session ses-5, and no record before it says that its task began"],
    );
    let ended = TaskEnded { task: "tsk-1".into(), cause: "revoked".into(), by: "gateway".into(), reason: None };
    tell([ended.into(), open(|body| body)], expect!["record 5 opens session ses-5 after its task ended in record 4"]);
}

#[test]
fn exports_refuse_what_they_cannot_prove() {
    let dir = tempfile::tempdir().expect("a directory");
    let (segments, recovery) = Segments::open(dir.path(), SegmentLimits::default(), &[]).expect("a new journal");
    let mut journal = Journal::new(segments, recovery.frontier);
    let _ = journal.append(Timestamp::UNIX_EPOCH, GatewayStopped {}).expect("there is room");
    let attempt = |selection: &Selection, checkpoint: &str| {
        let memory = Memory::default();
        let wanted =
            Export { selection, created: Timestamp::UNIX_EPOCH, checkpoint, key: &key(), attachments: &memory };
        export(journal.sink().files(), &wanted, io::sink()).map_err(|error| error.to_string())
    };
    assert!(attempt(&Selection::All, &journal.checkpoint(&key())).is_ok());
    let nowhere = attempt(&Selection::Session("ses-9".into()), &journal.checkpoint(&key()));
    expect!["the journal knows no session ses-9 before the checkpoint: check the id, or make a newer checkpoint"]
        .assert_eq(&nowhere.expect_err("no such session"));
    let foreign = attempt(&Selection::All, &key().sign_checkpoint(1, sha256(b"other")));
    expect!["the journal does not fit the checkpoint: it was truncated or changed; restore it, then export again"]
        .assert_eq(&foreign.expect_err("another root"));
    let larger = attempt(&Selection::All, &key().sign_checkpoint(2, journal.root()));
    assert!(larger.is_err());
}

/// Whatever the window is: what was recorded in it is all there, and what it takes to make sense of it.
#[test]
fn a_bundle_of_a_time_holds_all_of_it_and_stands() {
    let entries = || {
        let mut entries = story();
        entries.insert(
            entries.len() - 1,
            PoliciesLoaded {
                revision: "r2".into(),
                files: BTreeMap::from([("base.cedar".into(), sha256(POLICY).to_string())]),
            }
            .into(),
        );
        entries
    };
    let time = |second: usize| format!("2026-01-01T00:00:{second:02}Z");
    let count = entries().len();
    for since in 0..count {
        for until in since..count {
            let selection = Selection::Time { since: time(since), until: time(until) };
            let bytes = bundle(entries(), &selection, &Memory::whole());
            assert_eq!(findings(&bytes), Vec::<String>::new(), "{selection:?}");
            let records = unpack(&bytes).into_iter().find(|(path, _)| path == RECORDS).expect("records").1;
            let indexes: BTreeSet<u64> = String::from_utf8(records)
                .expect("text")
                .lines()
                .map(|line| crate::record::Record::parse(line).expect("a record").index)
                .collect();
            assert!((since as u64..=until as u64).all(|index| indexes.contains(&index)), "{selection:?}: {indexes:?}");
        }
    }
}
