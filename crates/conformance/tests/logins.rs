//! Logins on both sides: TLS, SCRAM, md5, parameters, and everything that must not get in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;
use gatehouse_conformance::certificates::{certificates, tls_listener};
use gatehouse_conformance::{Fixture, Setup};

#[test]
fn clients_come_by_tls_and_must_where_it_is_required() -> anyhow::Result<()> {
    let fixture = Fixture::start(tls_listener(&certificates("127.0.0.1")?, true))?;
    let agent = fixture.task("agent:claude", "10m")?;
    let root = fixture.folder.path().join("gatehouse/root.crt");
    let connect = |mode: &str| -> anyhow::Result<String> {
        let mut psql = fixture.psql_command(&agent);
        psql.env("PGSSLMODE", mode).env("PGSSLROOTCERT", &root).arg("-c").arg("select count(*) from orders");
        let output = psql.output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    for mode in ["require", "verify-ca", "verify-full", "prefer"] {
        assert_eq!(connect(mode)?.trim(), "200", "{mode}");
    }
    assert!(connect("disable")?.contains("TLS is required"));
    Ok(())
}

#[test]
fn targets_are_reached_by_tls_in_every_mode_of_libpq() -> anyhow::Result<()> {
    let certificates = certificates("localhost")?;
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (certificate, key) = (folder.path().join("pg.crt"), folder.path().join("pg.key"));
    std::fs::write(&certificate, &certificates.certificate)?;
    gatehouse_conformance::fixture::private(&key, &certificates.key)?;
    // PostgreSQL reads its key as its own user, and only if nobody else can.
    std::process::Command::new("chown").arg("postgres").arg(&key).status()?;
    let settings = vec![
        "ssl=on".to_string(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ];
    let setup = |target: &str| Setup {
        settings: settings.clone(),
        target: target.into(),
        files: vec![("authority.crt", certificates.authority.clone())],
        ..Setup::default()
    };
    let mut fixture = Fixture::start(setup("tls = \"require\""))?;
    let config = std::fs::read_to_string(fixture.config())?;
    for (tls, host, works) in [
        ("tls = \"require\"", "127.0.0.1", true),
        ("tls = \"prefer\"", "127.0.0.1", true),
        ("tls = \"disable\"", "127.0.0.1", true),
        ("tls = \"verify-ca\"\ntls_authorities = \"authority.crt\"", "127.0.0.1", true),
        ("tls = \"verify-full\"\ntls_authorities = \"authority.crt\"", "localhost", true),
        ("tls = \"verify-full\"\ntls_authorities = \"authority.crt\"", "127.0.0.1", false),
        ("tls = \"verify-full\"", "localhost", false),
    ] {
        fixture.stop_gateway()?;
        let address = format!("address = \"{host}:{}\"", fixture.postgres.port);
        let old = format!("address = \"127.0.0.1:{}\"", fixture.postgres.port);
        std::fs::write(fixture.config(), config.replace("tls = \"require\"", tls).replace(&old, &address))?;
        fixture.start_gateway()?;
        let agent = fixture.task("agent:claude", "10m")?;
        let said = fixture.psql(&agent, "select count(*) from orders")?;
        assert_eq!(said.trim() == "200", works, "{tls} to {host}: {said}");
        assert!(works || said.contains("target \"shop\" cannot be reached"), "{said}");
    }
    Ok(())
}

#[test]
fn a_target_with_md5_is_reached() -> anyhow::Result<()> {
    let settings = vec!["password_encryption=md5".to_string()];
    let fixture = Fixture::start(Setup { authentication: "md5", settings, ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&agent, "select count(*) from orders")?.trim(), "200");
    Ok(())
}

#[test]
fn nobody_gets_in_without_a_live_credential_for_the_target() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut stranger = agent.clone();
    stranger.user = "stranger.000000000000".into();
    assert!(fixture.psql(&stranger, "select 1")?.contains("password authentication failed"));
    let mut wrong = agent.clone();
    wrong.user = "claude".into();
    wrong.password = "gh_00000000000000000000000000000000".into();
    assert!(fixture.psql(&wrong, "select 1")?.contains("password authentication failed"));
    // The name alone means the newest task of that name.
    wrong.user = "claude ".trim().into();
    std::fs::remove_file(fixture.folder.path().join("claude.pgpass"))?;
    wrong.password = agent.password.clone();
    assert_eq!(fixture.psql(&wrong, "select 1")?.trim(), "1");
    let records = fixture.records()?;
    let refused = records.iter().filter(|record| record["kind"] == "login.refused").count();
    assert!(refused >= 2, "failed logins are on the record");
    assert!(records.iter().all(|record| !record.to_string().contains(&agent.password)));
    Ok(())
}

/// Wishes for a session are settings like any others: policy decides, and what they change is followed.
#[test]
fn startup_parameters_are_judged_and_followed() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let with_options = |options: &str, sql: &str| -> anyhow::Result<String> {
        let mut psql = fixture.psql_command(&agent);
        let output = psql.env("PGOPTIONS", options).arg("-c").arg(sql).output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    for options in ["-c session_replication_role=replica", "-c role=postgres", "--session-authorization=postgres"] {
        let said = with_options(options, "select 1")?;
        assert!(said.contains("is denied by policy") && said.contains("sql:admin"), "{options}: {said}");
    }
    assert!(with_options("-x", "select 1")?.contains("\"options\" is not understood"));
    assert_eq!(with_options("-c search_path=pg_catalog -c work_mem=5MB", "show work_mem")?.trim(), "5MB");
    // Names mean something else now; what is classified is masked all the same.
    let said = with_options("-c search_path=pg_catalog,public", "select email from customers where id = 1")?;
    assert!(!said.contains("ada@example.org") && said.contains('@'), "{said}");
    // Only what reads the same under any setting is read under another than the usual one.
    let off = "-c standard_conforming_strings=off";
    assert_eq!(with_options(off, "select 'a'")?.trim(), "a");
    assert!(with_options(off, r"select 'a\'' || $$ ' $$")?.contains("cannot be read in the encoding"));
    let record = fixture.records()?.into_iter().find(|record| record["wishes"].is_string());
    assert_eq!(record.context("it is on the record")?["wishes"], "search_path = pg_catalog; work_mem = 5MB");
    Ok(())
}

#[test]
fn what_a_session_changes_about_texts_is_followed() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut psql = fixture.psql_command(&agent);
    let output = psql.env("PGCLIENTENCODING", "LATIN1").arg("-c").arg("select 'caf' || chr(233)").output()?;
    assert_eq!(output.stdout, b"caf\xe9\n");
    let said = fixture.psql(&agent, "set role postgres")?;
    assert!(said.contains("ERROR"), "{said}");
    let script = "set standard_conforming_strings = off;\nselect 'plain';\nselect 'a\\\\b';\n\
                  set standard_conforming_strings = on;\nselect 'a\\\\b';\n";
    let mut psql = fixture.psql_command(&agent);
    let mut child = psql
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    child.stdin.take().context("it is piped")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "plain\na\\\\b\n");
    assert!(String::from_utf8(output.stderr)?.contains("cannot be read in the encoding"));
    Ok(())
}

/// What no client sends: nothing of it may reach the target, hang the gateway or end it.
#[test]
fn garbage_before_the_login_ends_its_own_connection_only() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut packets: Vec<Vec<u8>> = vec![
        vec![0; 8],
        vec![0xff; 64],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5],
        [&8i32.to_be_bytes()[..], &80_877_103i32.to_be_bytes(), b"smuggled"].concat(),
        [&0x7fff_ffffi32.to_be_bytes()[..], &196_608i32.to_be_bytes()].concat(),
        [&16i32.to_be_bytes()[..], &80_877_102i32.to_be_bytes(), &[0; 8]].concat(),
    ];
    packets.extend(
        (0..40).map(|length: i32| [&length.to_be_bytes()[..], &196_608i32.to_be_bytes(), b"user\0x\0\0"].concat()),
    );
    for packet in &packets {
        let mut stream = TcpStream::connect((agent.host.as_str(), agent.port))?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        stream.write_all(packet)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        // An answer, a closed connection and silence are all right; a session is not.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.contains(&b'Z'), "{packet:?}");
    }
    assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    Ok(())
}

/// What is said in the clear behind the wish for TLS must not count as said within it, in whatever pieces it comes.
#[test]
fn nothing_in_the_clear_passes_behind_a_wish_for_tls() -> anyhow::Result<()> {
    let fixture = Fixture::start(tls_listener(&certificates("127.0.0.1")?, true))?;
    let agent = fixture.task("agent:claude", "10m")?;
    let wish = [&8i32.to_be_bytes()[..], &80_877_103i32.to_be_bytes()].concat();
    let parameters = format!("user\0{}\0database\0shop\0\0", agent.user).into_bytes();
    let length = i32::try_from(parameters.len() + 8)?;
    let startup = [&length.to_be_bytes()[..], &196_608i32.to_be_bytes(), &parameters].concat();
    for (wishes, piece) in [(1, 4096), (1, 1), (1, 9), (2, 4096), (2, 8), (3, 5)] {
        let mut stream = TcpStream::connect((agent.host.as_str(), agent.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        for chunk in [wish.repeat(wishes), startup.clone()].concat().chunks(piece) {
            // The gateway may have hung up already.
            if stream.write_all(chunk).is_err() {
                break;
            }
        }
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        let is_over = end.is_ok() || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset);
        assert!(is_over, "{wishes} wishes in pieces of {piece}: the connection lives on");
        // S, an alert of TLS or an error are all right; a question for a password is not.
        let asks = [b"SCRAM-SHA-256".as_slice(), b"R\0\0\0"];
        let is_asked = asks.iter().any(|ask| answer.windows(ask.len()).any(|window| window == *ask));
        assert!(!is_asked, "{wishes} wishes in pieces of {piece}: {answer:?}");
    }
    let mut psql = fixture.psql_command(&agent);
    let output = psql.env("PGSSLMODE", "require").args(["-c", "select 1"]).output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1");
    Ok(())
}

#[test]
fn with_every_policy_taken_away_the_target_hears_nothing() -> anyhow::Result<()> {
    let settings = vec!["log_connections=on".to_string(), "log_statement=all".to_string()];
    let fixture = Fixture::start(Setup { policies: String::new(), settings, ..Setup::default() })?;
    let log = || std::fs::read_to_string(fixture.folder.path().join("postgres.log"));
    let before = log()?.lines().count();
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, "select 1")?;
    assert!(said.contains("connect is denied by policy") && said.contains("no policy permits connect"), "{said}");
    assert_eq!(log()?.lines().count(), before, "not even a connection");
    Ok(())
}
