//! Nothing slips by an end: not what is started in the same moment, and not because whoever asked for the end hung up.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehouse_conformance::delegation::{ACCESS_TOKEN, EXCHANGE, House, POLICIES};
use gatehouse_conformance::fixture::PATIENCE;
use gatehouse_conformance::{Credential, Fixture};
use serde_json::{Value, json};

/// Callers that start tasks at the same time.
const CALLERS: usize = 8;

fn live(fixture: &Fixture) -> Result<Vec<Value>> {
    let tasks = fixture.json(&["tasks", "ls", "--state", "live", "--limit", "1000"])?;
    Ok(tasks.as_array().cloned().unwrap_or_default())
}

/// Starts tasks by many callers at once while something ends, and for a moment after.
fn while_starting(start: impl Fn() -> Result<u16> + Sync, end: impl FnOnce() -> Result<()>) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut started, mut refused) = (0, 0);
                    while Instant::now() < until {
                        if start()? == 200 { started += 1 } else { refused += 1 }
                    }
                    anyhow::ensure!(started > 0 && refused > 0, "{started} were started and {refused} refused");
                    anyhow::Ok(())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        end()?;
        callers.into_iter().try_for_each(|caller| caller.join().map_err(|_| anyhow::anyhow!("a caller failed"))?)
    })
}

fn plotters_key(house: &House) -> Result<(String, String)> {
    let issue = ["keys", "issue", "--as", "agent:other", "--target", "shop", "--reason", "a plotter", "--ttl", "1h"];
    let issued = house.fixture.json(&issue)?;
    let text = |name: &str| issued.get(name).and_then(Value::as_str).map(String::from).context("it is issued");
    Ok((text("id")?, text("secret")?))
}

fn by_key(house: &House, key: &str) -> Result<(u16, Value)> {
    let kind = "urn:gatehouse:token-type:api-key";
    let form = [("grant_type", EXCHANGE), ("subject_token", key), ("subject_token_type", kind)];
    house.call(&[&form[..], &[("audience", "shop"), ("reason", "plots")]].concat())
}

/// A task that is handed on by its token, and that token.
fn parent(house: &House) -> Result<(String, String)> {
    let (sam, planner) = (house.person("sam", json!({}))?, house.ci.job("planning")?);
    let wants = [("requested_token_type", ACCESS_TOKEN), ("ttl_secs", "600")];
    let (status, answer) = house.acting(&sam, &planner, &wants)?;
    anyhow::ensure!(status == 200, "{answer}");
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(String::from).context("a parent");
    Ok((text("/task/id")?, text("/access_token")?))
}

#[test]
fn no_task_starts_by_a_key_that_was_revoked_meanwhile() -> Result<()> {
    let house = House::start_with(POLICIES, "live_tasks_max = 100000\napi_unproven_calls_per_minute_max = 1000000")?;
    let (id, key) = plotters_key(&house)?;
    let start = || Ok(by_key(&house, &key)?.0);
    while_starting(start, || house.fixture.json(&["keys", "revoke", &id]).map(|_| ()))?;
    assert_eq!(live(&house.fixture)?, Vec::<Value>::new());
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn nothing_is_handed_on_of_a_task_that_ended_meanwhile() -> Result<()> {
    let house = House::start_with(POLICIES, "live_tasks_max = 100000\napi_unproven_calls_per_minute_max = 1000000")?;
    let (id, token) = parent(&house)?;
    let job = house.ci.job("production")?;
    let start = || Ok(house.acting(&token, &job, &[])?.0);
    while_starting(start, || {
        anyhow::ensure!(house.fixture.command(&["revoke", &id])?.status.success());
        Ok(())
    })?;
    assert_eq!(live(&house.fixture)?, Vec::<Value>::new());
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn no_task_starts_under_a_lockdown() -> Result<()> {
    let house = House::start_with(POLICIES, "live_tasks_max = 100000\napi_unproven_calls_per_minute_max = 1000000")?;
    let job = house.ci.job("production")?;
    let start = || Ok(house.exchange(&job, &[])?.0);
    while_starting(start, || {
        let begin = ["lockdown", "begin", "agent:claude", "--reason", "it was stolen"];
        house.fixture.json(&begin).map(|_| ())
    })?;
    let shut = house.fixture.json(&["lockdown", "ls"])?;
    let since = shut.pointer("/0/since").and_then(Value::as_str).context("since when")?.parse::<jiff::Timestamp>()?;
    for task in live(&house.fixture)? {
        let started: jiff::Timestamp = task["started"].as_str().context("when")?.parse()?;
        assert!(started <= since, "{task}");
    }
    Ok(())
}

#[test]
fn whoever_hangs_up_leaves_no_end_half_done() -> Result<()> {
    let mut house = House::start(POLICIES)?;
    let job = house.ci.job("production")?;
    for millis in 0..6 {
        let (id, token) = parent(&house)?;
        let children: Vec<Credential> =
            (0..3).map(|_| Credential::of(&house.acting(&token, &job, &[])?.1)).collect::<Result<_>>()?;
        let api = house.fixture.api()?;
        let mut stream = TcpStream::connect(api.trim_start_matches("http://"))?;
        let body = format!("token={token}");
        write!(
            stream,
            "POST /oauth/revoke HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        std::thread::sleep(Duration::from_millis(millis));
        drop(stream);
        std::thread::sleep(Duration::from_millis(300));
        let is_over = house.fixture.json(&["tasks", "show", &id])?["state"] != "live";
        for child in &children {
            let state = house.fixture.json(&["tasks", "show", &child.task])?["state"].clone();
            assert_eq!(state != "live", is_over, "the parent's end is its children's: {state}");
        }
        if !is_over {
            house.fixture.command(&["revoke", &id])?;
        }
    }

    let mut revoked = Vec::new();
    for millis in 0..3 {
        let (id, key) = plotters_key(&house)?;
        anyhow::ensure!(by_key(&house, &key)?.0 == 200);
        let mut stream = UnixStream::connect(house.fixture.data.join("admin.sock"))?;
        write!(stream, "POST /api/v1/keys/{id}/revoke HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(millis));
        drop(stream);
        std::thread::sleep(Duration::from_millis(300));
        let is_over = house.fixture.json(&["keys", "show", &id])?["state"] == "revoked";
        let lives = live(&house.fixture)?.iter().any(|task| task["api_key"] == id.as_str());
        assert_eq!(lives, !is_over, "the key's end is that of its tasks");
        if is_over {
            revoked.push(key);
        } else {
            house.fixture.json(&["keys", "revoke", &id])?;
        }
    }
    house.fixture.stop_gateway()?;
    std::fs::remove_file(house.fixture.log())?;
    house.fixture.start_gateway()?;
    for key in revoked {
        assert_eq!(by_key(&house, &key)?.0, 400, "a restart brings no key back");
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn whoever_is_known_no_longer_hands_nothing_on() -> Result<()> {
    let house = House::start(POLICIES)?;
    let (_, token) = parent(&house)?;
    let job = house.ci.job("production")?;
    assert_eq!(house.acting(&token, &job, &[])?.0, 200);
    let path = house.fixture.config();
    let config = std::fs::read_to_string(&path)?;
    let without = config
        .replace("[agents.planner]\ngroups = [\"agents\"]\n", "")
        .replace(", { agent = \"planner\", claims = { environment = \"planning\" } }", "");
    assert_ne!(config, without);
    std::fs::write(&path, without)?;
    let begun = Instant::now();
    while house.acting(&token, &job, &[])?.0 == 200 {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "whoever is gone still hands on");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
