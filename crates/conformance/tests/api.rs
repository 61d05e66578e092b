//! The control API as its callers meet it: listings in parts, calls that are repeated, too many of them, and whatever a
//! generator makes of its document.

use std::process::Command;

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::{POLICIES, wait_until};
use gatehouse_conformance::http::{self, Answer, Door, JSON};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::{Fixture, Setup};
use serde_json::{Value, json};

/// Dana administers, and sam works for himself.
const ROLES: &str = "\npermit (principal == User::\"dana\", action == Action::\"administer\", resource);\n\
                     permit (principal in Group::\"support\", action == Action::\"start\", resource in Target::\"shop\");\n\
                     @hold(\"dba\") permit (principal == Agent::\"other\", action == Action::\"start\", resource in Target::\"shop\");\n";

struct Api {
    fixture: Fixture,
    base: String,
}

impl Api {
    fn start(limits: &str) -> Result<Self> {
        let (policies, config) = (format!("{POLICIES}{ROLES}"), format!("[limits]\n{limits}\n"));
        let fixture = Fixture::start(Setup { policies, config, ..Setup::default() })?;
        let base = fixture.api()?;
        Ok(Self { fixture, base })
    }

    fn token(&self, user: &str) -> Result<String> {
        let issued = self.fixture.json(&["login", "--as", user])?;
        Ok(format!("Bearer {}", issued.get("token").and_then(Value::as_str).context("a token")?))
    }

    fn call(&self, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
        let headers = [&[("authorization", token), JSON], headers].concat();
        http::call(Door::Web(&self.base), method, path, &headers, body)
    }

    /// The ids of a listing's entries, part by part.
    fn parts(&self, token: &str, path: &str) -> Result<Vec<Vec<String>>> {
        let (mut parts, mut next) = (Vec::new(), Some(path.to_string()));
        while let Some(path) = next.take() {
            let answer = self.call(token, "GET", &path, &[], "")?;
            let entries: Vec<Value> = serde_json::from_str(&answer.body)?;
            parts.push(entries.iter().filter_map(|entry| Some(entry["id"].as_str()?.to_string())).collect());
            let link = answer.headers("link").next().map(str::to_string);
            next = link.and_then(|link| Some(link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?.to_string()));
            anyhow::ensure!(parts.len() < 50, "it ends");
        }
        Ok(parts)
    }
}

/// Whoever asks which sessions had values of a class is told of those that saw them, too.
#[test]
fn sessions_are_found_by_the_classes_that_they_had() -> Result<()> {
    let api = Api::start("")?;
    let (claude, sam) = (api.fixture.task("agent:claude", "10m")?, api.fixture.task("user:sam", "10m")?);
    api.fixture.psql(&claude, "select email, full_name from customers limit 3")?;
    api.fixture.psql(&sam, "select email from customers limit 3")?;
    api.fixture.psql(&sam, "select email from customers where false")?;
    api.fixture.psql(&sam, "select id from customers limit 3")?;
    let dana = api.token("user:dana")?;
    let had = |class: &str| -> Result<Vec<Value>> {
        let answer = api.call(&dana, "GET", &format!("/api/v1/sessions?class={class}"), &[], "")?;
        Ok(serde_json::from_str(&answer.body)?)
    };
    let ended = || -> Result<usize> {
        let all = api.call(&dana, "GET", "/api/v1/sessions?state=ended", &[], "")?;
        Ok(serde_json::from_str::<Vec<Value>>(&all.body)?.len())
    };
    wait_until("the sessions are closed", || Ok(ended()? == 4))?;
    let classes: Vec<(Value, Value)> =
        had("email")?.iter().map(|session| (session["identity"].clone(), session["classes"].clone())).collect();
    assert_eq!(classes.len(), 2, "{classes:?}");
    assert!(classes.contains(&("agent:claude".into(), json!({ "email": 3, "person_name": 3 }))), "{classes:?}");
    assert!(classes.contains(&("user:sam".into(), json!({ "email": 0 }))), "{classes:?}");
    let names = had("person_name")?;
    assert!(names.iter().all(|session| session["identity"] == "agent:claude") && names.len() == 1, "{names:?}");
    Ok(())
}

#[test]
fn listings_come_in_parts_and_hold_what_is_asked_for() -> Result<()> {
    let api = Api::start("")?;
    let mut claudes = Vec::new();
    for _ in 0..5 {
        claudes.push(api.fixture.task("agent:claude", "10m")?);
    }
    let sams = api.fixture.task("user:sam", "10m")?;
    for task in [&claudes[0], &claudes[1], &claudes[1], &sams] {
        assert_eq!(api.fixture.psql(task, "select 1")?, "1\n");
    }
    assert!(api.fixture.command(&["revoke", &claudes[4].task])?.status.success());
    let newest_first = |tasks: &[&str]| tasks.iter().rev().map(ToString::to_string).collect::<Vec<_>>();
    let ids: Vec<&str> = claudes.iter().map(|task| task.task.as_str()).collect();

    let (dana, sam) = (api.token("user:dana")?, api.token("user:sam")?);
    let parts = api.parts(&dana, "/api/v1/tasks?limit=2&identity=agent:claude")?;
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(parts.concat(), newest_first(&ids));
    assert_eq!(api.parts(&dana, "/api/v1/tasks?limit=6")?.len(), 1, "what fits into one part is one");
    assert_eq!(api.parts(&dana, "/api/v1/tasks?state=revoked")?.concat(), [ids[4]]);
    assert_eq!(api.parts(&dana, "/api/v1/tasks?state=live&target=shop")?.concat().len(), 5);
    assert!(api.parts(&dana, "/api/v1/tasks?target=elsewhere")?.concat().is_empty());
    assert_eq!(api.parts(&dana, &format!("/api/v1/sessions?limit=1&task={}", ids[1]))?.concat().len(), 2);
    // Whoever has no part in it sees nothing of it, not even that there is more.
    assert_eq!(api.parts(&sam, "/api/v1/tasks?limit=1")?, [[sams.task.clone()]]);
    assert_eq!(api.parts(&sam, "/api/v1/sessions?limit=1")?.concat().len(), 1);
    assert!(api.parts(&sam, "/api/v1/tasks?identity=agent:claude")?.concat().is_empty());

    let listed = api.fixture.json(&["tasks", "ls", "--limit", "3", "--identity", "agent:claude"])?;
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    let told = api.fixture.command(&["tasks", "ls", "--limit", "3"])?;
    assert!(String::from_utf8(told.stderr)?.contains("there are more than 3: --limit COUNT"));
    Ok(())
}

#[test]
fn what_is_not_right_is_a_problem_with_a_remedy() -> Result<()> {
    let api = Api::start("")?;
    let dana = api.token("user:dana")?;
    for (method, path, content_type, body, status) in [
        ("GET", "/api/v1/tasks?limit=many", JSON, "", 400),
        ("GET", "/api/v1/tasks?colour=red", JSON, "", 400),
        ("GET", "/api/v1/tasks?limit=0", JSON, "", 400),
        ("GET", "/api/v1/sessions?limit=1001", JSON, "", 400),
        ("GET", "/api/v1/keys?before=18446744073709551615", JSON, "", 400),
        ("POST", "/api/v1/tasks", JSON, "{", 400),
        ("POST", "/api/v1/tasks", JSON, "{\"targets\": 1}", 422),
        ("POST", "/api/v1/tasks", ("content-type", "text/plain"), "{}", 415),
        ("GET", "/api/v1/tasks/%ff", JSON, "", 400),
        ("PUT", "/api/v1/tasks", JSON, "{}", 405),
        ("GET", "/api/v1/nothing", JSON, "", 404),
    ] {
        let headers = [("authorization", dana.as_str()), content_type];
        let answer = http::call(Door::Web(&api.base), method, path, &headers, body)?;
        let is_problem = answer.headers("content-type").next() == Some("application/problem+json");
        assert_eq!((answer.status, is_problem), (status, true), "{method} {path}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", answer.body);
    }
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(api.call(&dana, "POST", "/api/v1/tasks", &[], &long)?.status, 413);
    Ok(())
}

#[test]
fn a_call_that_is_repeated_with_its_key_is_made_once() -> Result<()> {
    let api = Api::start("")?;
    let (sam, dana) = (api.token("user:sam")?, api.token("user:dana")?);
    let body = json!({ "identity": "user:sam", "targets": ["shop"], "reason": "look", "ttl_secs": 60 }).to_string();
    let start = |token: &str, key: &str, body: &str| {
        api.call(token, "POST", "/api/v1/tasks", &[("idempotency-key", key)], body)
    };
    let (first, again) = (start(&sam, "k1", &body)?, start(&sam, "k1", &body)?);
    assert_eq!((first.status, again.status, &first.body), (201, 201, &again.body));
    assert_eq!(again.headers("idempotency-replayed").collect::<Vec<_>>(), ["true"]);
    assert_eq!(api.parts(&sam, "/api/v1/tasks")?.concat().len(), 1);
    assert_eq!(start(&sam, "k1", &body.replace("look", "else"))?.status, 422);
    assert_ne!(start(&dana, "k1", &body)?.body, first.body, "another's key is another");
    assert_eq!(start(&sam, "k2", &body)?.status, 201);
    assert_eq!(api.parts(&sam, "/api/v1/tasks")?.concat().len(), 2);
    // What a person must approve first starts once they have.
    let held =
        body.replace("user:sam", "agent:other").replace("\"targets\"", "\"on_behalf_of\":\"user:sam\",\"targets\"");
    assert_eq!(start(&sam, "k3", &held)?.status, 202);
    let id = api.fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    assert!(api.fixture.command(&["approve", &id, "--as", "user:dana"])?.status.success());
    assert_eq!((start(&sam, "k3", &held)?.status, start(&sam, "k3", &held)?.status), (201, 201));
    // Whose token is another gets nothing that was for the first.
    let another = api.token("user:sam")?;
    assert_ne!(start(&another, "k1", &body)?.body, first.body);
    // Whose token has ended gets nothing for an old key.
    assert_eq!(api.call(&sam, "POST", "/api/v1/logout", &[], "")?.status, 204);
    assert_eq!(start(&sam, "k1", &body)?.status, 401);
    Ok(())
}

#[test]
fn nobody_calls_too_often_and_nobody_is_held_up_by_others() -> Result<()> {
    let api = Api::start("api_calls_per_minute_max = 5\napi_unproven_calls_per_minute_max = 3")?;
    let (sam, dana) = (api.token("user:sam")?, api.token("user:dana")?);
    let ask = |token: &str| api.call(token, "GET", "/api/v1/me", &[], "");
    let answers: Vec<u16> = (0..7).map(|_| Ok(ask(&sam)?.status)).collect::<Result<_>>()?;
    assert_eq!(answers, [200, 200, 200, 200, 200, 429, 429]);
    let early = ask(&sam)?;
    let wait: u32 = early.headers("retry-after").next().context("when")?.parse()?;
    assert!((1..=13).contains(&wait), "{wait}");
    assert_eq!(ask(&dana)?.status, 200);
    let guessed: Vec<u16> = (0..4).map(|_| Ok(ask("Bearer ghu_guess")?.status)).collect::<Result<_>>()?;
    assert_eq!(guessed, [401, 401, 401, 429]);
    let exchange = http::call(Door::Web(&api.base), "POST", "/oauth/token", &[http::FORM], "grant_type=x")?;
    assert_eq!(exchange.status, 429);
    assert_eq!(ask(&dana)?.status, 200, "whoever proves who they are is let through");
    assert_eq!(http::call(Door::Web(&api.base), "GET", "/healthz", &[], "")?.status, 200);
    Ok(())
}

#[test]
fn a_generator_of_calls_finds_no_error_of_the_gateways_own() -> Result<()> {
    let api = Api::start("api_calls_per_minute_max = 1000000\napi_unproven_calls_per_minute_max = 1000000")?;
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let task = api.fixture.task("agent:claude", "10m")?;
    assert_eq!(api.fixture.psql(&task, "select 1")?, "1\n");
    let mut command = Command::new(CLIENTS);
    command.args(["schemathesis", "run", document, "--url", &api.base, "--no-color", "--generation-deterministic"]);
    command.args(["--header", &format!("Authorization: {}", api.token("user:dana")?), "--max-examples", "20"]);
    // Not every text of the right form makes sense: names, durations and states are told from others by words.
    // A call that succeeds there ends the token of all that follow.
    command.args(["--suppress-health-check", "filter_too_much"]);
    command.args(["--exclude-path", "/api/v1/logout", "--exclude-checks", "positive_data_acceptance"]);
    let output = command.current_dir(api.fixture.folder.path()).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let log = std::fs::read_to_string(api.fixture.log())?;
    assert!(!log.contains("panicked"), "{log}");
    Ok(())
}
