//! Evidence: what reached the target is in the journal, whatever happens to the gateway, and what is changed is found.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatehouse_conformance::fixture::wait_until;
use gatehouse_conformance::{Credential, Fixture, Setup};

fn allow_all() -> Setup {
    Setup { policies: "permit (principal, action, resource);".into(), ..Setup::default() }
}

/// Hundreds of kills at random points, while clients write: whatever the database took must be on the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_record_of_what_reached_the_target() -> anyhow::Result<()> {
    const KILLS: u64 = 200;
    let mut fixture = Fixture::start(allow_all())?;
    fixture.truth("create table marks (mark text primary key); grant all on marks to gatehouse")?;
    let first = fixture.task("agent:claude", "1h")?;
    for round in 0..KILLS {
        // Only where the gateway listens now is wanted of it.
        let agent = Credential { port: fixture.task("agent:other", "5s")?.port, ..first.clone() };
        let written = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> =
            (0..2).map(|writer| tokio::spawn(write(agent.clone(), round, writer, written.clone()))).collect();
        // Every fifth kill comes during the logins; the others after so many writes, and then at no moment in particular.
        let enough = if round % 5 == 0 { u64::MAX } else { round % 17 };
        let patience = if round % 5 == 0 { Duration::from_millis(round) } else { Duration::from_secs(5) };
        let begun = Instant::now();
        while written.load(Ordering::Relaxed) <= enough && begun.elapsed() < patience {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        tokio::time::sleep(Duration::from_micros(round * 7919 % 5000)).await;
        tokio::task::block_in_place(|| fixture.kill_gateway())?;
        for writer in writers {
            writer.await?;
        }
        tokio::task::block_in_place(|| fixture.start_gateway())?;
    }
    let marks = fixture.truth("select mark from marks")?;
    let recorded: std::collections::HashSet<String> = fixture
        .records()?
        .iter()
        .filter(|record| record["kind"] == "operation.decided" && record["verdict"] == "allow")
        .filter_map(|record| Some(record["statement"].as_str()?.to_string()))
        .collect();
    assert!(marks.lines().count() > 200, "the kills left the writers some time: {}", marks.lines().count());
    for mark in marks.lines() {
        let statement = format!("insert into marks values ('{mark}')");
        assert!(recorded.contains(&statement), "{mark} reached the target without a record");
    }
    let verified = fixture.verify()?;
    assert!(verified.starts_with("sound: "), "{verified}");
    let sessions = fixture.json(&["sessions", "ls"])?;
    let live = sessions.as_array().into_iter().flatten().filter(|session| session["state"] == "live").count();
    assert_eq!(live, 0, "the index was completed from the journal");
    Ok(())
}

/// Writes marks until the connection breaks. Every other one goes by the extended protocol, so that both ways through
/// the gate are killed.
async fn write(agent: Credential, round: u64, writer: u64, written: Arc<AtomicU64>) {
    let Ok(client) = connect(agent).await else { return };
    for number in 0.. {
        let mark = format!("mark-{round}-{writer}-{number}");
        let sql = format!("insert into marks values ('{mark}')");
        let outcome = if number % 2 == 0 {
            client.batch_execute(&sql).await
        } else {
            client.execute(sql.as_str(), &[]).await.map(|_| ())
        };
        if outcome.is_err() {
            return;
        }
        written.fetch_add(1, Ordering::Relaxed);
    }
}

async fn connect(agent: Credential) -> anyhow::Result<tokio_postgres::Client> {
    let mut config = tokio_postgres::Config::new();
    config.host(&agent.host).port(agent.port).user(&agent.user).password(&agent.password).dbname("shop");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A tmpfs of its own, unmounted at the end.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(path)?;
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs"]).arg(path).output()?;
        Ok(mounted.status.success().then(|| Self(path.into())))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount works even while a test that failed still holds it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Waits for a file to hold some words.
fn until_it_holds(file: &std::path::Path, words: &str) -> anyhow::Result<()> {
    for _ in 0..400 {
        if std::fs::read_to_string(file)?.contains(words) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("{} does not say `{words}`", file.display())
}

#[test]
fn a_full_disk_refuses_operations_and_recovers_by_itself() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(&place.path().join("data"))? else {
        // Without the right to mount there is no small disk; the sink's own tests cover the journal's part.
        return Ok(());
    };
    let fixture = Fixture::start(Setup { data: Some(disk.0.clone()), ..allow_all() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    let filler = disk.0.join("filler");
    let mut psql = fixture.psql_command(&agent);
    use std::io::Write as _;
    let (said, complained) = (place.path().join("said"), place.path().join("complained"));
    let mut child = psql
        .stdin(std::process::Stdio::piped())
        .stdout(std::fs::File::create(&said)?)
        .stderr(std::fs::File::create(&complained)?)
        .spawn()?;
    let mut input = child.stdin.take().ok_or_else(|| anyhow::anyhow!("psql reads"))?;
    input.write_all(b"select 'before';\n")?;
    until_it_holds(&said, "before")?;
    // Fill it to the last byte.
    let mut file = std::fs::File::create(&filler)?;
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0; 1]).is_ok() {}
    // Longer than what is left of the pages that the files already have.
    let long = "x".repeat(9000);
    let full = format!("insert into orders values (900, 1, 1, 'while full {long}');\nselect 'while full {long}';\n");
    input.write_all(full.as_bytes())?;
    until_it_holds(&complained, "cannot be recorded, so it was not passed")?;
    assert_eq!(fixture.truth("select count(*) from orders where id = 900")?, "0", "no record, no pass");
    drop(file);
    std::fs::remove_file(&filler)?;
    input.write_all(b"insert into orders values (901, 1, 1, 'after');\nselect 'after';\n")?;
    drop(input);
    child.wait()?;
    let said = std::fs::read_to_string(&said)?;
    assert!(said.contains("before") && said.contains("after") && !said.contains("while full"), "{said}");
    assert_eq!(fixture.truth("select string_agg(id::text, ',') from orders where id >= 900")?, "901");
    let verified = fixture.verify()?;
    assert!(verified.starts_with("sound: "), "{verified}");
    Ok(())
}

/// Its log on a full disk, or a reader of its log that is gone, stops nothing of a gateway, nor keeps it from stopping.
#[test]
fn a_log_that_takes_nothing_keeps_nobody() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(allow_all())?;
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    std::os::unix::fs::symlink("/dev/full", fixture.log())?;
    fixture.start_gateway()?;
    let agent = fixture.task("agent:claude", "10m")?;
    let wrong = Credential { user: "claude.nobody".into(), password: "gh_wrong".into(), ..agent.clone() };
    for _ in 0..3 {
        let refused = fixture.psql(&wrong, "select 1")?;
        assert!(refused.contains("FATAL"), "{refused}");
        assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    }
    fixture.stop_gateway()
}

/// Nor does a reader of its log that reads nothing: what has no room is lost, and how much of it is said later.
#[test]
fn a_log_that_is_not_read_keeps_nobody() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(allow_all())?;
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    anyhow::ensure!(Command::new("mkfifo").arg(fixture.log()).status()?.success(), "there is no pipe");
    // It is open, so that it can be written to, and soon full.
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(fixture.log())?;
    rustix::pipe::fcntl_setpipe_size(&pipe, 4096)?;
    fixture.start_gateway()?;
    let agent = fixture.task("agent:claude", "10m")?;
    let wrong = Credential { user: "claude.nobody".into(), password: "gh_wrong".into(), ..agent.clone() };
    for _ in 0..20 {
        assert!(fixture.psql(&wrong, "select 1")?.contains("FATAL"));
        assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    }
    fixture.stop_gateway()?;
    let mut said = [0; 4096];
    let len = std::io::Read::read(&mut pipe, &mut said)?;
    assert!(String::from_utf8_lossy(&said[..len]).contains("listening"), "it says what there is room for");
    Ok(())
}

#[test]
fn what_is_changed_in_a_bundle_is_found_and_named() -> anyhow::Result<()> {
    let fixture = Fixture::start(allow_all())?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, "select id, tier from customers where id < 5")?;
    fixture.psql(&agent, "update customers set tier = 'gold' where id = 5")?;
    // The recording of a session is sealed when it ends.
    wait_until("the sessions have ended", || {
        let sessions = fixture.json(&["sessions", "ls"])?;
        Ok(sessions
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|session| session["state"] == "ended")))
    })?;
    assert!(fixture.verify()?.starts_with("sound: "));
    let bundle = std::fs::read(fixture.folder.path().join("evidence.tar"))?;
    let key = fixture.data.join("journal.pub").display().to_string();
    let verify = |bytes: &[u8]| -> anyhow::Result<(bool, String)> {
        let path = fixture.folder.path().join("changed.tar");
        std::fs::write(&path, bytes)?;
        let output = fixture.command(&["evidence", "verify", &path.display().to_string(), "--key", &key])?;
        Ok((output.status.success(), String::from_utf8(output.stdout)?))
    };
    let position = |needle: &str| bundle.windows(needle.len()).position(|window| window == needle.as_bytes());

    // A word of a record.
    let mut changed = bundle.clone();
    let place = position("\"verdict\":\"allow\"").ok_or_else(|| anyhow::anyhow!("there is an allowed operation"))?;
    changed[place + 11..place + 16].copy_from_slice(b"deny!");
    let (sound, said) = verify(&changed)?;
    assert!(!sound && said.contains("record ") && said.contains("was changed"), "{said}");

    // A byte of a recording.
    let mut changed = bundle.clone();
    let place = position("standard").ok_or_else(|| anyhow::anyhow!("the recording shows a tier"))?;
    changed[place] = b'S';
    let (sound, said) = verify(&changed)?;
    assert!(!sound && said.contains(".rec"), "{said}");

    // Everything after the middle.
    let (sound, said) = verify(&bundle[..bundle.len() / 2])?;
    assert!(!sound && !said.is_empty(), "{said}");

    // Every 97th byte, one at a time: no change goes unnoticed but in what tar itself does not read.
    let mut unnoticed = 0;
    for place in (0..bundle.len()).step_by(997) {
        let mut changed = bundle.clone();
        changed[place] ^= 0x55;
        if verify(&changed)?.0 {
            unnoticed += 1;
            let block = &bundle[place / 512 * 512..place / 512 * 512 + 512];
            assert!(
                block.iter().rev().take(512 - place % 512).all(|byte| *byte == 0),
                "byte {place} was changed unnoticed"
            );
        }
    }
    assert!(unnoticed < bundle.len() / 997, "most bytes count");
    Ok(())
}

#[test]
fn a_journal_changed_at_rest_stops_the_gateway_with_its_name() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(allow_all())?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, "select 'remember me'")?;
    fixture.stop_gateway()?;
    let segment = fixture.data.join("journal/00000000000000000000.jsonl");
    let honest = std::fs::read_to_string(&segment)?;
    for changed in [
        honest.replace("remember me", "remember ME"),
        honest.lines().filter(|line| !line.contains("remember me")).map(|line| format!("{line}\n")).collect(),
        honest.lines().take(honest.lines().count() - 2).map(|line| format!("{line}\n")).collect(),
    ] {
        std::fs::write(&segment, changed)?;
        let error = fixture.start_gateway().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("journal"), "{error}");
    }
    std::fs::write(&segment, honest)?;
    fixture.start_gateway()?;
    assert!(fixture.verify()?.starts_with("sound: "));
    Ok(())
}
