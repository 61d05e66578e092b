//! What the wire says: byte for byte what the database itself would have said, where policy permits everything and
//! nothing is hidden.

mod conversations;

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use expect_test::expect_file;
use gatehouse_conformance::fixture::wait_until;
use gatehouse_conformance::http::{self, Door};
use gatehouse_conformance::raw::{self, RawClient, execute, frame, parse, query, sync};
use gatehouse_conformance::{Credential, Fixture, Setup};
use gatehouse_laws::laws::EVERYTHING;
use serde_json::{Map, Value, json};

use conversations::{Write, bind_with, copy_data};

const TABLES: &str = "
create table t (id int primary key, word text, made timestamptz default '2026-01-01', data bytea, tags text[], doc jsonb);
insert into t (id, word, data, tags, doc) select i, 'word ' || i, decode(lpad(to_hex(i), 4, '0'), 'hex'), array['a', i::text],
  jsonb_build_object('i', i) from generate_series(1, 50) i;
create table big (id int, content text, data bytea);
grant all on all tables in schema public to gatehouse;
grant create on schema public to gatehouse;
create function shout(text) returns text language plpgsql as
  $$ begin raise notice 'shouting %', $1; raise warning 'loud'; return upper($1); end $$;
";

fn everything() -> Setup {
    Setup { policies: format!("@id(\"everything\") {EVERYTHING}"), sql: TABLES.into(), ..Setup::default() }
}

fn everything_over_tls() -> Result<Setup> {
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
    let (chain, key) = (certificate.cert.pem(), certificate.signing_key.serialize_pem());
    Ok(Setup {
        listen: "tls_certificate = \"gateway.pem\"\ntls_key = \"gateway.key\"\n".into(),
        files: vec![("gateway.pem", chain), ("gateway.key", key)],
        ..everything()
    })
}

/// Everything that comes back, frame by frame.
fn converse(credential: &Credential, writes: &[Write]) -> Result<Vec<String>> {
    let mut client = RawClient::connect(credential)?;
    let mut heard = Vec::new();
    for (frames, ready) in writes {
        client.send(frames)?;
        let mut seen = 0;
        // A write without a ReadyForQuery ends with the server's word that it is ready for data.
        while seen < *ready || *ready == 0 {
            let (tag, body) = client.answer()?;
            seen += usize::from(tag == b'Z');
            // The process of a notification is another on each connection.
            let body = if tag == b'A' { body.get(4..).unwrap_or_default().to_vec() } else { body };
            heard.push(format!("{} {}", char::from(tag), body.escape_ascii()));
            if *ready == 0 && tag == b'G' {
                break;
            }
        }
    }
    Ok(heard)
}

#[test]
fn what_the_database_says_is_what_the_client_hears() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    for (name, writes) in conversations::all().into_iter().chain(conversations::compared()) {
        let expected = converse(&fixture.direct(), &writes).with_context(|| format!("{name}, directly"))?;
        let heard = converse(&agent, &writes).with_context(|| format!("{name}, through the gateway"))?;
        for (place, (expected, heard)) in expected.iter().zip(&heard).enumerate() {
            assert_eq!(heard, expected, "{name}: message {place}");
        }
        assert_eq!(heard.len(), expected.len(), "{name}");
    }
    Ok(())
}

/// What a client is told while it logs in, frame by frame, but for what is another each time.
fn greeting(credential: &Credential, parameters: &[(&str, &str)]) -> Result<Vec<String>> {
    let client = RawClient::connect_with(credential, parameters)?;
    let told = client.greeting().iter().map(|(tag, body)| match tag {
        // A server's signature.
        b'R' if body.starts_with(&[0, 0, 0, 12]) => "R 12".to_string(),
        b'K' => format!("K of {} bytes", body.len()),
        _ => format!("{} {}", char::from(*tag), body.escape_ascii()),
    });
    Ok(told.collect())
}

/// Which settings a server reports, with which values and in which order, is the target's to say.
#[test]
fn a_login_is_answered_as_the_database_answers_it() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    for parameters in [
        &[][..],
        &[("application_name", "a client")],
        &[("client_encoding", "LATIN1"), ("DateStyle", "German"), ("TimeZone", "Asia/Tokyo")],
        &[("options", "-c intervalstyle=iso_8601 -c standard_conforming_strings=off")],
    ] {
        let expected = greeting(&fixture.direct(), parameters).with_context(|| format!("{parameters:?}, directly"))?;
        let heard = greeting(&agent, parameters).with_context(|| format!("{parameters:?}, through the gateway"))?;
        assert_eq!(heard, expected, "{parameters:?}");
        assert!(heard.iter().any(|frame| frame.starts_with("S server_version")), "{heard:?}");
    }
    Ok(())
}

/// Whoever asks for more than is spoken is told what is, and goes on by that; the database itself words it so.
#[test]
fn a_newer_version_and_unknown_options_are_negotiated() -> Result<()> {
    const NEGOTIATES: u8 = b'v';
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let option = ("_pq_.of_the_future", "on");
    let begin = |credential: &Credential, minor: i32, options: &[(&str, &str)]| {
        RawClient::begin(RawClient::dial(credential)?, credential, "shop", raw::PROTOCOL_3_0 | minor, options)
    };
    let told = |minor: i32, names: &[&str]| {
        let names: Vec<u8> = names.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
        let count = i32::from(!names.is_empty());
        [&(raw::PROTOCOL_3_0 | minor).to_be_bytes()[..], &count.to_be_bytes(), &names].concat()
    };
    for (minor, options, expected, key_bytes) in [
        (0, &[][..], None, 8),
        (0, &[option][..], Some(told(0, &[option.0])), 8),
        (1, &[][..], Some(told(0, &[])), 8),
        (2, &[][..], None, 32),
        (2, &[option][..], Some(told(2, &[option.0])), 32),
        (3, &[][..], Some(told(2, &[])), 32),
        (9_999, &[option][..], Some(told(2, &[option.0])), 32),
    ] {
        let mut client = begin(&agent, minor, options)?;
        if let Some(expected) = expected {
            assert_eq!(client.answer()?, (NEGOTIATES, expected), "3.{minor} {options:?}");
        }
        let mut client = client.log_in(&agent).with_context(|| format!("3.{minor} {options:?}"))?;
        assert_eq!(client.cancel_key().len(), key_bytes, "3.{minor} {options:?}");
        client.send(&[query("select 'goes on'")])?;
        assert!(client.until_ready(1)?.contains("goes on"), "3.{minor} {options:?}");
    }
    // Of the version that every server speaks, its own words are the same.
    let expected = begin(&fixture.direct(), 0, &[option])?.answer()?;
    assert_eq!(begin(&agent, 0, &[option])?.answer()?, expected);
    Ok(())
}

/// Encryption by GSSAPI is not to be had, and a client that would rather have had it goes on without.
#[test]
fn gssapi_is_declined_and_the_login_goes_on() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut stream = RawClient::dial(&agent)?;
    let mut ask = |code: i32| -> Result<u8> {
        stream.write_all(&[8i32.to_be_bytes(), code.to_be_bytes()].concat())?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        let [answer] = answer;
        Ok(answer)
    };
    // GSSENCRequest, and then SSLRequest as libpq does it.
    assert_eq!((ask(80_877_104)?, ask(80_877_103)?), (b'N', b'N'));
    let client = RawClient::begin(stream, &agent, "shop", raw::PROTOCOL_3_0, &[])?;
    let mut client = client.log_in(&agent)?;
    client.send(&[query("select 'in the clear'")])?;
    assert!(client.until_ready(1)?.contains("in the clear"));
    Ok(())
}

/// What a function does that is called by its number is not known, so it wants what everything unknown wants.
#[test]
fn the_fast_path_is_refused_where_policy_does_not_permit_it() -> Result<()> {
    let fixture = Fixture::start(Setup { settings: vec!["log_statement=all".into()], ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "1h")?;
    let call = || {
        // abs(int4), by its number.
        let value = [&4i32.to_be_bytes()[..], &(-5i32).to_be_bytes()].concat();
        frame(b'F', &[&1397u32.to_be_bytes(), &[0, 1, 0, 1, 0, 1], &value, &[0, 1]])
    };
    let log = || std::fs::read_to_string(fixture.folder.path().join("postgres.log"));
    let mut client = RawClient::connect(&agent)?;
    client.send(&[call(), query("select 'still here'")])?;
    let said = client.until_ready(2)?;
    assert!(said.contains("the fast-path function call is not understood") && !said.contains("\nV "), "{said}");
    assert!(said.contains("still here"), "{said}");
    assert!(!log()?.contains("fastpath function call"), "the target heard of it");
    // Its log would tell.
    let mut client = RawClient::connect(&fixture.direct())?;
    client.send(&[call()])?;
    assert!(client.until_ready(1)?.starts_with("V "));
    wait_until("the target's log names the call", || Ok(log()?.contains("fastpath function call")))
}

/// A notification comes to a client that rests, without its asking for anything.
#[test]
fn a_client_that_rests_is_notified() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let (mut direct, mut client) = (RawClient::connect(&fixture.direct())?, RawClient::connect(&agent)?);
    for listener in [&mut direct, &mut client] {
        listener.send(&[query("listen news")])?;
        listener.until_ready(1)?;
    }
    // The process that it names is whose session said it, so both hear the same.
    fixture.truth("select pg_notify('news', 'to whoever rests'); select pg_notify('news', '')")?;
    for _ in 0..2 {
        let expected = direct.answer()?;
        assert_eq!(expected.0, b'A');
        assert_eq!(client.answer()?, expected);
    }
    Ok(())
}

/// What a replay is made of, after a conversation through the gateway; times are left out.
fn moments(fixture: &Fixture) -> Result<Vec<Map<String, Value>>> {
    let newest = |part: &str| -> Result<String> {
        let sessions = fixture.json(&["sessions", "ls"])?;
        Ok(sessions.pointer(&format!("/0/{part}")).and_then(Value::as_str).context("a session")?.into())
    };
    wait_until("the session is over", || Ok(newest("state")? == "ended"))?;
    let path = format!("/api/v1/sessions/{}/moments", newest("id")?);
    let answer = http::call(Door::Socket(&fixture.data.join("admin.sock")), "GET", &path, &[], "")?;
    let replay: Value = serde_json::from_str(&answer.body)?;
    let moments = replay.get("moments").context("moments")?.clone();
    let mut moments: Vec<Map<String, Value>> = serde_json::from_value(moments)?;
    for (place, moment) in moments.iter_mut().enumerate() {
        moment.insert("at".into(), place.into());
    }
    Ok(moments)
}

/// A recording says of each operation in which turn it was asked, and of all that the target runs whose it is, whatever is asked
/// at once and whatever of it fails. It is written down: `ui/src/lib/conversations.test.ts` makes replays of it.
#[test]
fn a_replay_knows_whose_an_answer_is() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let mut told = Vec::new();
    for (name, writes) in conversations::all() {
        let agent = fixture.task("agent:claude", "1h")?;
        let last = (vec![query("select 'the last of it'")], 1);
        let heard = converse(&agent, &[writes, vec![last]].concat()).context(name)?;
        let turns = heard.iter().filter(|message| message.starts_with('Z')).count() as u64;
        let moments = moments(&fixture).context(name)?;
        let of = |kind: &str| -> Vec<&Map<String, Value>> {
            moments.iter().filter(|moment| moment.get("kind").is_some_and(|of| of == kind)).collect()
        };
        let turns_of = |kind: &str| -> Vec<Option<u64>> {
            of(kind).into_iter().map(|moment| moment.get("turn").and_then(Value::as_u64)).collect()
        };
        assert_eq!(of("turn").len() as u64, turns, "{name}: the turns that the client saw");
        for kind in ["asked", "run"] {
            let found = turns_of(kind);
            assert!(found.is_sorted() && !found.contains(&None), "{name}: {found:?}");
            assert_eq!(found.last(), Some(&Some(turns - 1)), "{name}: what was {kind} last is answered last");
        }
        told.push(json!({ "name": name, "moments": moments }));
    }
    let lines: Vec<String> = told.iter().map(Value::to_string).collect();
    expect_file!["../../../../ui/src/lib/conversations.jsonl"].assert_eq(&format!("{}\n", lines.join("\n")));
    Ok(())
}

fn resident_kib(fixture: &Fixture, field: &str) -> Result<u64> {
    let pid = fixture.gateway_pid().context("the gateway runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").trim().parse()?)
}

/// Reads one long frame without holding it; returns its tag and length.
fn skip_frame(client: &mut RawClient) -> Result<(u8, usize)> {
    let stream = client.stream();
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let [tag, length @ ..] = header;
    let length = u32::from_be_bytes(length) as usize - 4;
    let copied = std::io::copy(&mut stream.take(length as u64), &mut std::io::sink())?;
    ensure!(copied == length as u64, "the frame ends early");
    Ok((tag, length))
}

#[test]
fn long_values_pass_in_little_memory() -> Result<()> {
    let mut setup = everything();
    setup.config = "[limits]\nframe_bytes_max = 4194304\nrecording_bytes_max = 1048576\n".into();
    let fixture = Fixture::start(setup)?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select 1")])?;
    client.until_ready(1)?;
    let before = resident_kib(&fixture, "VmRSS")?;

    // Out: a row of 200 MB, and a line of COPY as long.
    for sql in ["select repeat('x', 200000000)", "copy (select repeat('y', 200000000)) to stdout"] {
        client.send(&[query(sql)])?;
        let mut longest = 0;
        loop {
            let (tag, length) = skip_frame(&mut client)?;
            longest = longest.max(length);
            if tag == b'Z' {
                break;
            }
        }
        assert!(longest > 200_000_000, "{sql}: {longest}");
    }
    // In: a value of a Bind, and data of a COPY.
    let long = vec![b'z'; 60_000_000];
    let parsed = parse("", "insert into big (id, data) values (1, $1)");
    client.send(&[parsed, bind_with("", "", &[1], &[Some(&long)], &[]), execute(""), sync()])?;
    assert!(client.until_ready(1)?.contains("INSERT 0 1"));
    client.send(&[
        query("copy big (content) from stdin"),
        copy_data(&[&long[..], b"\n"].concat()),
        frame(b'c', &[]),
    ])?;
    assert!(client.until_ready(1)?.contains("COPY 1"));
    assert_eq!(fixture.truth("select sum(length(data)), sum(length(content)) from big")?, "60000000|60000000");
    // A text of that length is not read, so it is refused; the connection lives on.
    client.send(&[query(&format!("select '{}'", "q".repeat(5_000_000))), query("select 'lives'")])?;
    let said = client.until_ready(2)?;
    assert!(said.contains("limits.frame_bytes_max") && said.contains("lives"), "{said}");
    client.send(&[parse("", &format!("select '{}'", "q".repeat(5_000_000))), sync(), query("select 'lives'")])?;
    assert!(client.until_ready(2)?.contains("lives"));

    let grown = resident_kib(&fixture, "VmHWM")?.saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB more were resident at most");
    Ok(())
}

#[test]
fn a_long_value_that_must_be_masked_does_not_pass() -> Result<()> {
    let mut setup = Setup { config: "[limits]\nframe_bytes_max = 1048576\n".into(), ..Setup::default() };
    setup.sql.push_str(
        "\ninsert into customers (id, full_name, email) values (777, repeat('secret', 500000), 'x@example.org');",
    );
    let fixture = Fixture::start(setup)?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select full_name from customers where id = 777")])?;
    let said = client.until_ready(1)?;
    assert!(!said.contains("secret") && said.contains("too long to be held"), "{said}");
    Ok(())
}

/// A client that says all it has to say and closes its side still hears the answers.
/// What is noted of statements on the recording counts towards what may wait, and must not keep a session waiting.
#[test]
fn pipelines_of_long_texts_and_of_many_short_ones_go_through() -> Result<()> {
    let small = Setup { config: "[limits]\noutlet_bytes_max = 16384\n".into(), ..everything() };
    // Names stand on the recording; comments and constants do not. The answers are short, so that the server keeps them until
    // the Sync.
    for (setup, names, count) in [(everything(), 150_000, 3), (everything(), 2_000, 150), (small, 1, 200)] {
        let fixture = Fixture::start(setup)?;
        let mut client = RawClient::connect(&fixture.task("agent:claude", "10m")?)?;
        let text = format!("select from t where false and array[{}] is null", vec!["id"; names].join(", "));
        client.send(&[raw::parse("long", &text), raw::sync()])?;
        client.until_ready(1)?;
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for _ in 0..count {
            frames.extend([raw::bind("", "long"), raw::execute("")]);
        }
        frames.push(raw::sync());
        client.send(&frames)?;
        let answered = client.until_ready(1)?;
        let completed = answered.lines().filter(|line| line.starts_with("C ")).count();
        assert_eq!(completed, count, "{names} names, {count} times");
    }
    Ok(())
}

#[test]
fn a_half_closed_connection_is_answered_to_its_end() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select pg_sleep(0.3)"), query("select 'the last word'")])?;
    client.stream().shutdown(std::net::Shutdown::Write)?;
    let said = client.until_ready(2)?;
    assert!(said.contains("the last word"), "{said}");
    Ok(())
}

/// Whose end it was does not depend on which of the two connections is seen to close first.
#[test]
fn who_ended_a_session_stands_in_its_record() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let ends = "select pg_terminate_backend(pg_backend_pid())";
    let goodbye = frame(b'X', &[]);
    let (head, tail) = goodbye.split_at(2);
    for (last_words, expected) in [
        (vec![goodbye.clone()], "the client left"),
        (vec![head.to_vec(), tail.to_vec()], "the client left"),
        (vec![[query("select 1"), goodbye.clone(), query("select 2")].concat()], "the client left"),
        (vec![query(ends)], "the target closed the connection"),
    ] {
        let mut client = RawClient::connect(&agent)?;
        for piece in last_words {
            client.send(&[piece])?;
            // So that it goes in a packet of its own.
            std::thread::sleep(Duration::from_millis(20));
        }
        // The client closes nothing itself.
        while client.answer().is_ok() {}
        let begun = Instant::now();
        while fixture.json(&["sessions", "ls"])?[0]["cause"] != expected {
            ensure!(begun.elapsed() < Duration::from_secs(10), "{expected}: {}", fixture.json(&["sessions", "ls"])?);
        }
    }
    Ok(())
}

#[test]
fn the_targets_last_words_reach_the_client() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut idle = RawClient::connect(&agent)?;
    let mut timed_out = RawClient::connect(&agent)?;
    timed_out.send(&[query("set idle_in_transaction_session_timeout = 100"), query("begin")])?;
    timed_out.until_ready(2)?;
    assert!(timed_out.until_ready(1)?.contains("25P03"), "the transaction was idle for too long");
    fixture.truth(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gatehouse' and state = 'idle'",
    )?;
    assert!(idle.until_ready(1)?.contains("57P01"), "an administrator ended the connection");
    Ok(())
}

/// Runs Python with libpq 18, as the drivers' package brings it.
fn python(script: &str, environment: &[(&str, &str)]) -> Result<String> {
    let test = std::env::current_exe()?;
    let python = test.ancestors().nth(3).context("the test lies in target/*/deps")?.join("clients/venv/bin/python");
    let mut command = Command::new(&python);
    command.arg("-c").arg(script).stdin(Stdio::null());
    for (name, value) in environment {
        command.env(name, value);
    }
    let output = command.output().with_context(|| format!("{}: run scripts/client-needs.sh", python.display()))?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// What a client of PostgreSQL 18 can ask for: the newest protocol, TLS from the first byte, and a password that is
/// bound to the certificate.
#[test]
fn clients_of_postgresql_18_get_what_they_ask_for() -> Result<()> {
    let fixture = Fixture::start(everything_over_tls()?)?;
    let agent = fixture.task("agent:claude", "1h")?;
    let place = format!("host={} port={} user={} dbname=shop", agent.host, agent.port, agent.user);
    let script = "
import os, psycopg, threading, time
place, password = os.environ['PLACE'], os.environ['PASSWORD']
for options in ['sslmode=require max_protocol_version=3.2 min_protocol_version=3.2',
                'sslmode=require sslnegotiation=direct',
                'sslmode=require channel_binding=require',
                'sslmode=disable max_protocol_version=3.2',
                'sslmode=disable max_protocol_version=latest',
                'sslmode=prefer gssencmode=prefer']:
    with psycopg.connect(f'{place} {options}', password=password, autocommit=True) as connection:
        version = connection.pgconn.server_version > 0
        pid = connection.execute('select pg_backend_pid()').fetchone()[0]
        timer = threading.Timer(0.3, connection.cancel_safe)
        timer.start()
        try:
            connection.execute('select pg_sleep(20)')
            said = 'slept'
        except psycopg.errors.QueryCanceled:
            said = 'cancelled'
        timer.join()
        print(options, version, pid == connection.info.backend_pid, said)
";
    let said = python(script, &[("PLACE", &place), ("PASSWORD", &agent.password)])?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 6, "{said}");
    assert!(lines.iter().all(|line| line.ends_with("True True cancelled")), "{said}");
    Ok(())
}

/// With direct TLS a client must say that it speaks PostgreSQL's protocol: another protocol's client is turned away.
#[test]
fn direct_tls_without_the_protocols_name_is_turned_away() -> Result<()> {
    let fixture = Fixture::start(everything_over_tls()?)?;
    let agent = fixture.task("agent:claude", "1h")?;
    let script = "
import os, socket, ssl, struct
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
def first(alpn):
    if alpn: context.set_alpn_protocols(alpn)
    try:
        with context.wrap_socket(socket.create_connection((os.environ['HOST'], int(os.environ['PORT'])))) as wire:
            wire.sendall(struct.pack('>iih', 10, 196608, 0)); wire.settimeout(5)
            return 'answered' if wire.recv(1) else 'closed'
    except (ssl.SSLError, ConnectionError):
        return 'closed'
print(first(None), first(['http/1.1']), first(['postgresql']))
";
    let port = agent.port.to_string();
    let said = python(script, &[("HOST", &agent.host), ("PORT", &port)])?;
    assert_eq!(said.trim(), "closed closed answered");
    Ok(())
}

/// Replication is an operation like any other: denied unless permitted, and right when it is.
#[test]
fn replication_is_judged_and_works() -> Result<()> {
    let mut setup = everything();
    setup.settings = vec!["wal_level=logical".into(), "max_wal_senders=4".into()];
    setup.sql.push_str("alter role gatehouse replication;");
    let fixture = Fixture::start(setup)?;
    let agent = fixture.task("agent:claude", "1h")?;
    let tool = |program: &str, arguments: &[&str]| -> Result<std::process::Output> {
        let mut command = Command::new(fixture.postgres.binary(program));
        command.args(["-h", &agent.host, "-p", &agent.port.to_string(), "-U", &agent.user]);
        command.env("PGPASSWORD", &agent.password).args(arguments).stdin(Stdio::null());
        Ok(command.output()?)
    };
    let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let backup = fixture.folder.path().join("backup");
    let backup_path = backup.to_str().context("the path is text")?;
    let output = tool("pg_basebackup", &["-D", backup_path, "-X", "stream", "-c", "fast", "--no-sync"])?;
    assert!(output.status.success(), "{}", text(&output));
    assert!(backup.join("PG_VERSION").exists() && backup.join("backup_manifest").exists());
    let output = Command::new(fixture.postgres.binary("pg_verifybackup")).arg(&backup).output()?;
    assert!(output.status.success(), "{}", text(&output));

    let slot = ["-d", "shop", "--slot", "s", "--create-slot", "-P", "test_decoding"];
    let output = tool("pg_recvlogical", &slot)?;
    assert!(output.status.success(), "{}", text(&output));
    fixture.truth("insert into big (id, content) values (42, 'decoded')")?;
    let until = fixture.truth("select pg_current_wal_lsn()")?;
    let output = tool("pg_recvlogical", &["-d", "shop", "--slot", "s", "--start", "-f", "-", "--endpos", &until])?;
    assert!(String::from_utf8_lossy(&output.stdout).contains("content[text]:'decoded'"), "{}", text(&output));
    let wal = fixture.folder.path().join("wal");
    std::fs::create_dir(&wal)?;
    let output =
        tool("pg_receivewal", &["-D", wal.to_str().context("text")?, "--endpos", &until, "--no-loop", "--no-sync"])?;
    assert!(output.status.success(), "{}", text(&output));

    let strict = Fixture::start(Setup::default())?;
    let agent = strict.task("agent:claude", "1h")?;
    let mut psql = strict.psql_command(&agent);
    psql.args([
        "-d",
        &format!("host={} port={} dbname=shop user={} replication=database", agent.host, agent.port, agent.user),
    ]);
    let output = psql.arg("-c").arg("IDENTIFY_SYSTEM").output()?;
    assert!(text(&output).contains("sql:replication"), "{}", text(&output));
    Ok(())
}

/// A cancel that came first must not hit what the client sends next.
#[test]
fn a_cancel_is_over_when_its_connection_closes() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut client = RawClient::connect(&agent)?;
    for _ in 0..20 {
        client.send(&[query("select pg_sleep(20)")])?;
        let begun = Instant::now();
        // Until the statement runs there is nothing to cancel.
        while fixture.truth("select count(*) from pg_stat_activity where query like '%pg_sleep(20)' and state = 'active' and pid <> pg_backend_pid()")? == "0" {
            ensure!(begun.elapsed() < Duration::from_secs(20), "the statement never ran");
        }
        let mut cancel = std::net::TcpStream::connect((agent.host.as_str(), agent.port))?;
        let key = client.cancel_key();
        let length = i32::try_from(8 + key.len())?.to_be_bytes();
        cancel.write_all(&[&length[..], &80_877_102i32.to_be_bytes(), key].concat())?;
        std::io::copy(&mut cancel, &mut std::io::sink())?;
        assert!(client.until_ready(1)?.contains("57014"));
        client.send(&[query("select 'not meant'")])?;
        assert!(client.until_ready(1)?.contains("not meant"));
    }
    Ok(())
}

/// Startup packets of every length, most of them nonsense: each ends its own connection, in order.
#[test]
fn startup_packets_of_every_length() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    for length in (0..=300).chain([9_999, 10_000, 10_001, 65_535, i32::MAX, -1]) {
        let mut stream = std::net::TcpStream::connect((agent.host.as_str(), agent.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let body = usize::try_from(length).unwrap_or(0).min(70_000);
        let filled: Vec<u8> = [&3i32.to_be_bytes()[..], &[0, 0]]
            .concat()
            .into_iter()
            .chain(b"user\0claude\0".iter().copied())
            .cycle()
            .take(body.saturating_sub(4))
            .collect();
        let _ = stream.write_all(&[&length.to_be_bytes()[..], &filled].concat());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        // Closed in whatever way, but closed.
        let _ = stream.read_to_end(&mut said);
        assert!(!said.windows(5).any(|part| part == b"Z\0\0\0\x05"), "length {length} opened a session");
    }
    assert!(raw::RawClient::connect(&agent).is_ok());
    Ok(())
}

/// More clients that say nothing than there are places keep nobody else from logging in, as the gateway is configured by itself.
#[test]
fn silent_clients_delay_nobody() -> Result<()> {
    let fixture = Fixture::start(everything())?;
    let agent = fixture.task("agent:claude", "1h")?;
    let mut before = RawClient::connect(&agent)?;
    let mut silent = Vec::new();
    for number in 0..1_100 {
        let mut stream = std::net::TcpStream::connect((agent.host.as_str(), agent.port))?;
        // Half of them begin a packet and never end it.
        if number % 2 == 0 {
            stream.write_all(&[0, 0, 0])?;
        }
        silent.push(stream);
    }
    let mut client = RawClient::connect(&agent)?;
    client.send(&[query("select 'served'")])?;
    assert!(client.until_ready(1)?.contains("served"));
    assert_eq!(fixture.psql(&agent, "select 'psql is served'")?.trim(), "psql is served");
    before.send(&[query("select 'still here'")])?;
    assert!(before.until_ready(1)?.contains("still here"));
    Ok(())
}
