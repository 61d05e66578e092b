//! Agents that work for people and for each other, by tokens at the token endpoint, and agents that sign for themselves.

use anyhow::{Context as _, Result};
use gatehouse_conformance::delegation::{ACCESS_TOKEN, ASSERTION, EXCHANGE, House, POLICIES};
use gatehouse_conformance::fixture::PATIENCE;
use gatehouse_conformance::http::{self, Door};
use gatehouse_conformance::signer::{claims, now};
use gatehouse_conformance::{Credential, Fixture};
use serde_json::{Value, json};

#[test]
fn an_agent_works_for_a_person_by_both_their_tokens() -> Result<()> {
    let house = House::start(POLICIES)?;
    let (sam, job) = (house.person("sam", json!({}))?, house.ci.job("production")?);
    let (status, answer) = house.acting(&sam, &job, &[])?;
    assert_eq!(status, 200, "{answer}");
    let task = &answer["task"];
    assert_eq!((&task["identity"], &task["on_behalf_of"]), (&json!("agent:claude"), &json!("user:sam")));
    assert_eq!(task["started_by"], "issuer ci (repo:shop) for issuer people (id-sam)");
    let credential = Credential::of(&answer)?;
    assert_eq!(house.fixture.psql(&credential, "select count(*) from orders")?.trim(), "200");

    // Both stand in every record, and at the target.
    let records = house.fixture.records()?;
    let operations = records.iter().filter(|record| record["kind"] == "operation.decided");
    assert!(operations.clone().count() > 0);
    for operation in operations {
        assert_eq!((&operation["identity"], &operation["on_behalf_of"]), (&json!("agent:claude"), &json!("user:sam")));
    }
    let mut psql = house.fixture.psql_command(&credential);
    let output = psql.env("PGAPPNAME", "report").args(["-c", "show application_name"]).output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "agent:claude for user:sam / report");

    // What the person may not, the agent may not for them: nina is in no group that may.
    let nina = house.person("nina", json!({}))?;
    let (status, answer) = house.acting(&nina, &job, &[])?;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_target")), "{answer}");
    let records = house.fixture.records()?;
    let started = records.iter().find(|record| record["kind"] == "task.started").context("a record")?;
    assert!(
        !started["revision"].is_null() && started["policies"].as_array().is_some_and(|by| by.len() == 2),
        "{started}"
    );
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn whoever_may_act_is_said_by_the_token_and_who_acted_before_is_kept() -> Result<()> {
    let house = House::start(POLICIES)?;
    let job = house.ci.job("production")?;
    let act = json!({ "act": { "sub": "orchestrator", "act": { "sub": "portal" } } });
    let (status, answer) = house.acting(&house.person("sam", act)?, &job, &[])?;
    assert_eq!((status, &answer["task"]["actors"]), (200, &json!(["orchestrator", "portal"])), "{answer}");
    let may = |sub: &str| json!({ "may_act": { "sub": sub, "iss": "https://ci.example" } });
    assert_eq!(house.acting(&house.person("sam", may("repo:shop"))?, &job, &[])?.0, 200);
    for (subject, said) in [
        // Who that is, an issuer says: whoever signs for itself may say anything.
        (house.person("sam", json!({ "may_act": { "sub": "repo:shop" } }))?, "may_act"),
        (house.person("sam", json!({ "may_act": { "environment": "production" } }))?, "may_act"),
        (house.person("sam", may("repo:other"))?, "may_act"),
        (house.person("sam", json!({ "may_act": {} }))?, "may_act"),
        (house.person("sam", json!({ "act": "x" }))?, "not good"),
        (house.person("sam", json!({ "aud": "another" }))?, "not good"),
        (house.person("sam", json!({ "exp": now() - 60 }))?, "not good"),
        (house.person("nobody", json!({}))?, "user:nobody is not known"),
    ] {
        let (status, answer) = house.acting(&subject, &job, &[])?;
        assert!(status == 400 && answer["error_description"].to_string().contains(said), "{said}: {answer}");
    }
    // Whoever was named hands nothing on.
    let bound =
        house.acting(&house.person("sam", may("repo:shop"))?, &job, &[("requested_token_type", ACCESS_TOKEN)])?.1;
    let token = bound["access_token"].as_str().context("a token")?;
    let (status, answer) = house.acting(token, &house.ci.job("planning")?, &[])?;
    assert!(status == 400 && answer.to_string().contains("may_act"), "{answer}");
    // A person's token alone is no agent's, and two people or two agents are no delegation.
    let sam = house.person("sam", json!({}))?;
    for (status, answer) in [
        house.exchange(&sam, &[])?,
        house.acting(&sam, &house.person("dana", json!({}))?, &[])?,
        house.acting(&job, &house.ci.job("planning")?, &[])?,
        house.acting(&sam, "x.y.z", &[])?,
    ] {
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{answer}");
    }
    Ok(())
}

#[test]
fn a_task_is_handed_on_by_its_token_and_ends_what_came_of_it() -> Result<()> {
    let house = House::start(POLICIES)?;
    let (sam, planner) = (house.person("sam", json!({}))?, house.ci.job("planning")?);
    let wants_token = [("requested_token_type", ACCESS_TOKEN), ("ttl_secs", "600")];
    let (status, answer) = house.acting(&sam, &planner, &wants_token)?;
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")), "{answer}");
    let token = answer["access_token"].as_str().context("a token")?;
    let said = claims(token)?;
    assert_eq!((&said["sub"], &said["act"]), (&json!("user:sam"), &json!({ "sub": "agent:planner" })));
    assert_eq!((&said["aud"], &said["task"]), (&json!(["shop"]), &answer["task"]["id"]));

    // Others check it by the keys that are published.
    let metadata =
        http::call(Door::Web(&house.fixture.api()?), "GET", "/.well-known/oauth-authorization-server", &[], "")?;
    assert_eq!(metadata.json()["jwks_uri"], format!("{}/oauth/jwks", house.fixture.api()?));
    let keys = http::call(Door::Web(&house.fixture.api()?), "GET", "/oauth/jwks", &[], "")?.json();
    assert_eq!(keys["keys"][0]["kty"], "EC");
    assert!(keys["keys"][0].get("d").is_none(), "{keys}");

    let job = house.ci.job("production")?;
    let (status, child) = house.acting(token, &job, &[("ttl_secs", "3600")])?;
    assert_eq!(status, 200, "{child}");
    let task = &child["task"];
    assert_eq!((&task["identity"], &task["on_behalf_of"]), (&json!("agent:claude"), &json!("user:sam")));
    assert_eq!((&task["actors"], &task["parent"]), (&json!(["agent:planner"]), &answer["task"]["id"]));
    assert_eq!(task["expires"], answer["task"]["expires"], "it lives no longer than what it came from");
    let credential = Credential::of(&child)?;
    assert_eq!(house.fixture.psql(&credential, "select 1")?.trim(), "1");
    // It is not handed on without somebody who works by it, and it is nobody's own.
    assert_eq!(house.exchange(token, &[])?.0, 400);
    assert_eq!(house.acting(&job, token, &[])?.0, 400, "a task's token is no actor's");
    assert!(house.fixture.verify()?.contains("sound"));

    let open = house.fixture.asleep(&mut house.fixture.psql_command(&credential))?;
    let form = [("token", token)];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let given_back = http::call(Door::Web(&house.fixture.api()?), "POST", "/oauth/revoke", &[http::FORM], &body)?;
    assert_eq!(given_back.status, 200);
    let told = Fixture::cut_off(open)?;
    assert!(told.contains("the task has ended"), "{told}");
    assert!(house.fixture.psql(&credential, "select 1")?.contains("password authentication failed"));
    assert_eq!(house.acting(token, &job, &[])?.0, 400, "its token is good no longer");
    Ok(())
}

/// Whoever hands a task on gives nothing that they do not have.
#[test]
fn what_came_of_a_task_spends_its_budget() -> Result<()> {
    let mut house = House::start(POLICIES)?;
    let (sam, planner) = (house.person("sam", json!({}))?, house.ci.job("planning")?);
    let wants = [("requested_token_type", ACCESS_TOKEN), ("ttl_secs", "600"), ("budget_rows", "10")];
    let (status, parent) = house.acting(&sam, &planner, &wants)?;
    assert_eq!(status, 200, "{parent}");
    let token = parent["access_token"].as_str().context("a token")?;
    let job = house.ci.job("production")?;
    let child = || Credential::of(&house.acting(token, &job, &[("budget_rows", "1000")])?.1);
    let (first, second) = (child()?, child()?);
    let eight = "select id from orders where id <= 8";
    assert_eq!(house.fixture.psql(&first, eight)?.lines().count(), 8);
    let said = house.fixture.psql(&second, eight)?;
    assert!(said.contains("more than what is left of the task's budget"), "{said}");
    assert_eq!(house.fixture.psql(&second, "select id from orders where id <= 2")?.lines().count(), 2);
    // It is so after a restart.
    house.fixture.stop_gateway()?;
    std::fs::remove_file(house.fixture.log())?;
    house.fixture.start_gateway()?;
    let address = house.fixture.json(&["targets", "ls"])?;
    let address = address.pointer("/0/listen").and_then(Value::as_str).context("an address")?;
    let port = address.rsplit_once(':').context("a port")?.1.parse()?;
    let said = house.fixture.psql(&Credential { port, ..first }, "select 1")?;
    assert!(said.contains("the task's budget is used up: 10 of 10 rows"), "{said}");
    let parent = house.fixture.json(&["tasks", "show", parent["task"]["id"].as_str().context("an id")?])?;
    assert_eq!(parent["spent"]["rows"], 10);
    Ok(())
}

#[test]
fn an_agent_signs_for_itself_once() -> Result<()> {
    let mut house = House::start(POLICIES)?;
    let client = |house: &House, assertion: &str, more: &[(&str, &str)]| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion", assertion),
            ("client_assertion_type", ASSERTION),
        ];
        house.call(&[&form[..], &[("audience", "shop"), ("reason", "nightly")], more].concat())
    };
    let assertion = house.assertion("1", json!({}))?;
    let (status, answer) = client(&house, &assertion, &[("client_id", "agent:signer")])?;
    assert_eq!((status, &answer["task"]["identity"]), (200, &json!("agent:signer")), "{answer}");
    assert_eq!(house.fixture.psql(&Credential::of(&answer)?, "select count(*) from orders")?.trim(), "200");
    let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let asserted = house.assertion("2", json!({ "aud": format!("{}/oauth/token", house.fixture.api()?) }))?;
    let form = [("grant_type", bearer), ("assertion", &asserted), ("audience", "shop"), ("reason", "nightly")];
    assert_eq!(house.call(&form)?.0, 200);
    // It acts for a person as an agent of an issuer does.
    let sam = house.person("sam", json!({}))?;
    let acting = house.assertion("3", json!({}))?;
    let (status, answer) =
        house.exchange(&sam, &[("client_assertion", &acting), ("client_assertion_type", ASSERTION)])?;
    assert_eq!((status, &answer["task"]["on_behalf_of"]), (200, &json!("user:sam")), "{answer}");

    let other = house
        .ci
        .sign(&json!({ "iss": "agent:signer", "sub": "agent:signer", "aud": house.fixture.api()?, "jti": "9" }))?;
    for (assertion, more) in [
        (assertion.clone(), None),
        (house.assertion("4", json!({}))?, Some(("client_id", "agent:claude"))),
        (house.assertion("5", json!({ "sub": "agent:claude" }))?, None),
        (house.assertion("6", json!({ "aud": "gatehouse" }))?, None),
        (house.assertion("7", json!({ "exp": now() + 3600 }))?, None),
        (house.assertion("8", json!({ "iss": "agent:claude", "sub": "agent:claude" }))?, None),
        (house.ci.job("production")?.replace('.', ".x"), None),
        (other, None),
    ] {
        let more: Vec<(&str, &str)> = more.into_iter().collect();
        let (status, answer) = client(&house, &assertion, &more)?;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_client")), "{answer}");
    }
    // What was shown is not forgotten by a restart.
    let late = house.assertion("10", json!({}))?;
    assert_eq!(client(&house, &late, &[])?.0, 200);
    // A clock tells seconds, and the restart is to come later than what was signed.
    let signed = claims(&late)?["iat"].as_i64().context("iat")?;
    house.fixture.stop_gateway()?;
    while now() <= signed {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let log = std::fs::read_to_string(house.fixture.log())?.len();
    house.fixture.start_gateway()?;
    let listens = |fixture: &Fixture| -> Result<bool> {
        Ok(std::fs::read_to_string(fixture.log())?[log..].contains("the control API listens on "))
    };
    while !listens(&house.fixture)? {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let again = house.assertion("10", json!({ "iat": signed, "aud": house.fixture.api()? }))?;
    let (status, answer) = client(&house, &again, &[])?;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_client")), "{answer}");
    Ok(())
}

#[test]
fn a_static_key_is_shown_once_marked_everywhere_and_ends() -> Result<()> {
    let mut house = House::start(POLICIES)?;
    let issue = ["keys", "issue", "--as", "agent:other", "--target", "shop", "--reason", "a plotter", "--ttl", "1h"];
    let issued = house.fixture.json(&issue)?;
    let (key, id) =
        (issued["secret"].as_str().context("a key")?.to_string(), issued["id"].as_str().context("an id")?.to_string());
    let exchange = |house: &House, more: &[(&str, &str)]| {
        let kind = "urn:gatehouse:token-type:api-key";
        let form = [("grant_type", EXCHANGE), ("subject_token", key.as_str()), ("subject_token_type", kind)];
        house.call(&[&form[..], &[("audience", "shop"), ("reason", "plots")], more].concat())
    };
    let (status, answer) = exchange(&house, &[])?;
    assert_eq!((status, &answer["task"]["api_key"]), (200, &json!(id)), "{answer}");
    let credential = Credential::of(&answer)?;
    assert_eq!(house.fixture.psql(&credential, "select count(*) from orders")?.trim(), "200");
    for listing in ["tasks", "sessions"] {
        assert_eq!(house.fixture.json(&[listing, "ls"])?[0]["api_key"], id.as_str(), "{listing}");
        let shown = house.fixture.command(&[listing, "ls"])?;
        assert!(String::from_utf8_lossy(&shown.stdout).contains(&format!("agent:other (by {id})")));
    }
    let marked = ["task.started", "session.opened", "operation.decided"];
    for record in house.fixture.records()?.iter().filter(|record| marked.iter().any(|kind| record["kind"] == *kind)) {
        assert_eq!(record["api_key"], id.as_str(), "{record}");
    }
    // It is shown this once, and the fixture looks for it in all that the gateway wrote.
    assert!(!house.fixture.json(&["keys", "ls"])?.to_string().contains(&key));

    house.fixture.stop_gateway()?;
    house.fixture.start_gateway()?;
    let port = house.fixture.task("agent:other", "1m")?.port;
    let credential = Credential { port, ..credential };
    assert_eq!(house.fixture.psql(&credential, "select 1")?.trim(), "1", "a restart ends nothing");
    let open = house.fixture.asleep(&mut house.fixture.psql_command(&credential))?;
    let revoked = house.fixture.json(&["keys", "revoke", &id])?;
    assert_eq!(revoked["state"], "revoked");
    let told = Fixture::cut_off(open)?;
    assert!(told.contains("the task has ended"), "{told}");
    assert!(house.fixture.psql(&credential, "select 1")?.contains("authentication failed"));
    let begun = std::time::Instant::now();
    let refused = loop {
        // The API listens at another port since the restart.
        match exchange(&house, &[]) {
            Ok(answered) => break answered,
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(100)),
        }
    };
    assert_eq!((refused.0, &refused.1["error"]), (400, &json!("invalid_request")));
    assert!(
        house.fixture.json(&["keys", "revoke", &id]).is_err_and(|error| error.to_string().contains("ended already"))
    );

    // None is for people, for ever, or for what is not there.
    for (change, said) in [
        (("--as", "user:dana"), "agent's"),
        (("--ttl", "2161h"), "api_key_secs_max"),
        (("--target", "nowhere"), "no target nowhere"),
        (("--as", "agent:stranger"), "no agent stranger"),
    ] {
        let mut wrong = issue.to_vec();
        let place = wrong.iter().position(|word| *word == change.0).context("a flag")?;
        wrong[place + 1] = change.1;
        let error = house.fixture.json(&wrong).err().context("it was issued")?.to_string();
        assert!(error.contains(said), "{said}: {error}");
    }
    for _ in 0..10 {
        house.fixture.json(&issue)?;
    }
    assert!(house.fixture.json(&issue).is_err_and(|error| error.to_string().contains("api_keys_max")));
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}
