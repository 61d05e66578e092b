//! Logins on both sides: TLS, SCRAM, md5, parameters, and everything that must not get in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use gatehouse_conformance::certificates::{Authority, Certificates, certificates, tls_listener};
use gatehouse_conformance::fixture::{PATIENCE, private, program, wait_until};
use gatehouse_conformance::raw::{RawClient, query};
use gatehouse_conformance::{Credential, Fixture, Setup};
use rcgen::DnValue;

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

/// PostgreSQL's settings for TLS, with what they name in a folder.
fn with_tls(folder: &Path, certificates: &Certificates) -> anyhow::Result<Vec<String>> {
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (certificate, key) = (folder.join("pg.crt"), folder.join("pg.key"));
    std::fs::write(&certificate, &certificates.certificate)?;
    private(&key, &certificates.key)?;
    // PostgreSQL reads its key as its own user, and only if nobody else can.
    Command::new("chown").arg("postgres").arg(&key).status()?;
    Ok(vec![
        "ssl=on".to_string(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ])
}

#[test]
fn targets_are_reached_by_tls_in_every_mode_of_libpq() -> anyhow::Result<()> {
    let certificates = certificates("localhost")?;
    let folder = tempfile::tempdir()?;
    let settings = with_tls(folder.path(), &certificates)?;
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

/// Lets the gateway's account in by one rule of pg_hba.conf alone, and returns when it counts.
fn let_in_by(fixture: &Fixture, rule: &str) -> anyhow::Result<()> {
    let read = || -> anyhow::Result<usize> {
        let log = std::fs::read_to_string(fixture.folder.path().join("postgres.log"))?;
        Ok(log.matches("received SIGHUP, reloading configuration files").count())
    };
    let before = read()?;
    let rules = format!("host all postgres 127.0.0.1/32 scram-sha-256\nhostssl shop gatehouse 127.0.0.1/32 {rule}\n");
    std::fs::write(fixture.folder.path().join("postgres/data/pg_hba.conf"), rules)?;
    fixture.truth("select pg_reload_conf()")?;
    wait_until("PostgreSQL reads its rules", || Ok(read()? > before))
}

/// Where a server asks for a certificate, the gateway shows its own; without one, or with one that the server does not take for
/// the account's, nobody gets there, and the log says why.
#[test]
fn a_target_that_asks_for_a_certificate_is_shown_the_gateways() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let called = |authority: &Authority, name: &str| authority.called(DnValue::Utf8String(name.into()));
    let folder = tempfile::tempdir()?;
    let mut settings = with_tls(folder.path(), &authority.server("localhost")?)?;
    let trusted = folder.path().join("authority.crt");
    std::fs::write(&trusted, authority.pem())?;
    settings.push(format!("ssl_ca_file={}", trusted.display()));
    let mut files = Vec::new();
    for (certificate, key, made) in [
        ("own.crt", "own.key", called(&authority, "gatehouse")?),
        ("other.crt", "other.key", called(&authority, "somebody else")?),
        ("foreign.crt", "foreign.key", called(&Authority::new()?, "gatehouse")?),
    ] {
        files.extend([(certificate, made.certificate), (key, made.key)]);
    }
    let target = "tls = \"require\"".into();
    let mut fixture = Fixture::start(Setup { settings, files, target, ..Setup::default() })?;
    let config = std::fs::read_to_string(fixture.config())?;
    for rule in ["cert", "scram-sha-256 clientcert=verify-full"] {
        let_in_by(&fixture, rule)?;
        for (shown, cause) in [
            ("own", None),
            ("", Some("a valid client certificate")),
            ("other", Some("authentication failed for user")),
            // The server breaks off in the middle of TLS.
            ("foreign", Some("the connection failed during the login")),
        ] {
            fixture.stop_gateway()?;
            let identity = format!("tls = \"require\"\ntls_certificate = \"{shown}.crt\"\ntls_key = \"{shown}.key\"");
            let tls = if shown.is_empty() { "tls = \"require\"" } else { identity.as_str() };
            std::fs::write(fixture.config(), config.replace("tls = \"require\"", tls))?;
            fixture.start_gateway()?;
            let before = std::fs::read_to_string(fixture.log())?.len();
            let agent = fixture.task("agent:claude", "10m")?;
            let said = fixture.psql(&agent, "select count(*) from orders")?;
            let Some(cause) = cause else {
                assert_eq!(said.trim(), "200", "{rule}");
                continue;
            };
            assert!(said.contains("target \"shop\" cannot be reached"), "{rule}, {shown:?}: {said}");
            assert!(!said.contains(cause), "{rule}, {shown:?}: {said}");
            wait_until(&format!("the log says {cause:?} for {shown:?} by {rule}"), || {
                Ok(std::fs::read_to_string(fixture.log())?.get(before..).is_some_and(|log| log.contains(cause)))
            })?;
        }
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

fn silent(agent: &Credential) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect((agent.host.as_str(), agent.port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whoever only connects keeps nobody out, and ends nobody who logged in; of those there are only so many.
#[test]
fn who_does_not_log_in_keeps_nobody_out() -> anyhow::Result<()> {
    let config = "[limits]\nlogins_max = 3\nconnections_max = 2\n".into();
    let fixture = Fixture::start(Setup { config, ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut first = RawClient::connect(&agent)?;
    let mut crowd: Vec<TcpStream> = (0..40).map(|_| silent(&agent)).collect::<Result<_, _>>()?;
    let second = RawClient::connect(&agent)?;
    // Those that came first made room, and hear nothing but the end.
    for stream in crowd.iter_mut().take(30) {
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        assert!(said.is_empty() && ended.is_ok_and(|read| read == 0), "{said:?}");
    }
    first.send(&[query("select 'still here'")])?;
    assert!(first.until_ready(1)?.contains("still here"));
    let said = fixture.psql(&agent, "select 1")?;
    assert!(said.contains("FATAL:  there are too many connections already"), "{said}");
    assert!(said.contains("limits.connections_max"), "{said}");
    first.send(&[query("select 'and still'")])?;
    assert!(first.until_ready(1)?.contains("and still"));
    drop(second);
    wait_until("there is a place again", || Ok(fixture.psql(&agent, "select 1")?.trim() == "1"))
}

/// Also without anybody who wants it, the place of a connection that says nothing is free again.
#[test]
fn who_does_not_log_in_is_not_waited_for() -> anyhow::Result<()> {
    let config = "[limits]\nlogin_secs_max = 1\n".into();
    let fixture = Fixture::start(Setup { config, ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let crowd: Vec<TcpStream> = (0..4).map(|_| silent(&agent)).collect::<Result<_, _>>()?;
    for mut stream in crowd {
        assert_eq!(stream.read_to_end(&mut Vec::new())?, 0);
    }
    wait_until("the log says why", || {
        Ok(std::fs::read_to_string(fixture.log())?.contains("did not log in within limits.login_secs_max"))
    })
}

/// A shell lets few descriptors be open by itself; the gateway takes as many as it may have.
#[cfg(target_os = "linux")]
#[test]
fn as_many_descriptors_are_open_as_may_be() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    fixture.stop_gateway()?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -S -n 200 && exec \"$0\" serve --config \"$1\""]).arg(program()?).arg(fixture.config());
    let mut gateway = shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let limits = format!("/proc/{}/limits", gateway.id());
    let raised = wait_until("the limit is raised", || {
        let limits = std::fs::read_to_string(&limits)?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("a limit")?;
        let mut limits = line.split_whitespace();
        let (now, most) = (limits.next(), limits.next());
        Ok(now == most && now != Some("200"))
    });
    gateway.kill()?;
    gateway.wait()?;
    raised
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
