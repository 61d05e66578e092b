//! Workloads that start their own tasks with the tokens of their issuers, over the network and with nothing else.

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::PATIENCE;
use gatehouse_conformance::http::{self, Door};
use gatehouse_conformance::provider::Provider;
use gatehouse_conformance::signer::Signer;
use gatehouse_conformance::{Credential, Fixture, Setup};
use serde_json::{Value, json};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const START: &str =
    "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource in Target::\"shop\");\n";

/// A gateway that trusts a CI system.
fn setup(ci: &Signer, policies: &str) -> Setup {
    let setup = Setup::default();
    Setup {
        policies: format!("{}{policies}", setup.policies),
        config: "[issuers.ci]\nissuer = \"https://ci.example\"\naudience = \"gatehouse\"\nkeys = \"ci.jwks\"\n\
                 agents = [{ agent = \"claude\", claims = { repository_id = \"77\", environment = \"production\" } }]\n"
            .into(),
        files: vec![("ci.jwks", ci.keys())],
        ..setup
    }
}

/// Posts a form, or gets a page where there is none; the status and the answer.
fn call(fixture: &Fixture, path: &str, form: Option<&[(&str, &str)]>) -> Result<(u16, String)> {
    let (method, body) = match form {
        Some(form) => ("POST", form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()),
        None => ("GET", String::new()),
    };
    let answer = http::call(Door::Web(&fixture.api()?), method, path, &[http::FORM], &body)?;
    Ok((answer.status, answer.body))
}

fn exchange(fixture: &Fixture, token: &str, more: &[(&str, &str)]) -> Result<(u16, Value)> {
    let mut form = vec![("grant_type", EXCHANGE), ("subject_token", token), ("subject_token_type", JWT)];
    form.extend([("audience", "shop"), ("reason", "nightly report")]);
    form.extend(more);
    let (status, body) = call(fixture, "/oauth/token", Some(&form))?;
    Ok((status, serde_json::from_str(&body).with_context(|| format!("{status}: {body}"))?))
}

#[test]
fn a_workload_starts_its_own_task_and_gives_it_back() -> Result<()> {
    let ci = Signer::new()?;
    let fixture = Fixture::start(setup(&ci, START))?;
    let token = ci.job("production")?;
    let (status, answer) = exchange(&fixture, &token, &[("ttl_secs", "300")])?;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("N_A"), &json!(300)));
    assert_eq!(
        (&answer["task"]["identity"], &answer["task"]["reason"]),
        (&json!("agent:claude"), &json!("nightly report"))
    );
    assert_eq!(answer["task"]["started_by"], "issuer ci (repo:shop)");
    let issued = Credential::of(&answer)?;
    assert_eq!(fixture.psql(&issued, "select count(*) from orders")?.trim(), "200");

    // Another password gives nothing back, and says nothing of it.
    let wrong = format!("gh_{}", "0".repeat(32));
    for (user, password) in
        [(issued.user.as_str(), wrong.as_str()), (&issued.user, "x"), ("nobody.000000000000", &wrong)]
    {
        let form = [("client_id", user), ("token", password)];
        assert_eq!(call(&fixture, "/oauth/revoke", Some(&form))?.0, 200);
    }
    // A bare name is that of whichever task is the newest, and nobody's to end.
    let bare = [("client_id", "claude"), ("token", issued.password.as_str())];
    assert_eq!(call(&fixture, "/oauth/revoke", Some(&bare))?.0, 400);
    assert_eq!(fixture.psql(&issued, "select 1")?.trim(), "1");
    let form = [("client_id", issued.user.as_str()), ("token", issued.password.as_str())];
    assert_eq!(call(&fixture, "/oauth/revoke", Some(&form))?.0, 200);
    let refused = fixture.psql(&issued, "select 1")?;
    assert!(refused.contains("password authentication failed"), "the credential outlived its task: {refused}");

    // The token itself is written nowhere.
    let signature = token.rsplit('.').next().context("a signature")?;
    let records: Vec<String> = fixture.records()?.iter().map(Value::to_string).collect();
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(!log.contains(signature) && !records.iter().any(|record| record.contains(signature)));
    assert!(!log.contains(&issued.password) && !records.iter().any(|record| record.contains(&issued.password)));
    Ok(())
}

#[test]
fn a_token_that_is_not_right_starts_nothing() -> Result<()> {
    let (ci, other) = (Signer::new()?, Signer::new()?);
    let fixture = Fixture::start(setup(&ci, START))?;
    let good = ci.job("production")?;
    let mut changed = good.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for token in [String::from_utf8(changed)?, other.job("production")?, ci.job("staging")?, "x.y.z".into()] {
        let (status, answer) = exchange(&fixture, &token, &[])?;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{answer}");
    }
    for more in [("audience", "nowhere"), ("ttl_secs", "3601"), ("actor_token", "x"), ("reason", "another")] {
        let (status, answer) = exchange(&fixture, &good, &[more])?;
        assert_eq!(status, 400, "{more:?}: {answer}");
    }
    let started = |record: &Value| record["kind"] == "task.started";
    assert!(!fixture.records()?.iter().any(started), "a task was started");
    Ok(())
}

#[test]
fn without_a_permit_or_a_persons_leave_no_workload_starts_a_task() -> Result<()> {
    let ci = Signer::new()?;
    let fixture = Fixture::start(setup(&ci, ""))?;
    let (status, answer) = exchange(&fixture, &ci.job("production")?, &[])?;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_target")), "{answer}");
    let held = format!("\n@id(\"asked\") @hold(\"dba\"){}", START.trim_start());
    let fixture = Fixture::start(setup(&ci, &held))?;
    let ask = || exchange(&fixture, &ci.job("production")?, &[("ttl_secs", "600")]);
    let (status, answer) = ask()?;
    assert_eq!((status, &answer["error"]), (400, &json!("authorization_pending")), "{answer}");
    let request = answer["request"].as_str().context("a request")?;
    assert_eq!(ask()?.1["request"], request, "it is filed once");
    let approved = fixture.command(&["approve", request, "--as", "user:dana", "--ttl", "1m"])?;
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    let (status, answer) = ask()?;
    assert_eq!((status, &answer["expires_in"]), (200, &json!(60)), "it is granted for less: {answer}");
    assert_eq!(fixture.psql(&Credential::of(&answer)?, "select count(*) from orders")?.trim(), "200");
    // An approval is good once, and a denial is heard.
    let (_, answer) = ask()?;
    let request = answer["request"].as_str().context("a request")?;
    assert!(fixture.command(&["deny", request, "--as", "user:dana", "--reason", "no more"])?.status.success());
    let (status, answer) = ask()?;
    assert_eq!((status, &answer["error"]), (400, &json!("access_denied")), "{answer}");
    assert!(answer["error_description"].to_string().contains("no more"), "{answer}");
    Ok(())
}

#[test]
fn the_metadata_names_the_endpoints() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let (status, body) = call(&fixture, "/.well-known/oauth-authorization-server", None)?;
    let metadata: Value = serde_json::from_str(&body)?;
    let base = fixture.api()?;
    assert_eq!((status, &metadata["issuer"]), (200, &json!(base)));
    assert_eq!(metadata["token_endpoint"], format!("{base}/oauth/token"));
    assert_eq!(
        metadata["grant_types_supported"],
        json!([EXCHANGE, "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_credentials"])
    );
    // Without an issuer no token is good.
    let (status, answer) = exchange(&fixture, &Signer::new()?.job("production")?, &[])?;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
    Ok(())
}

/// Keys are taken over when their file changes, and what they signed is good no longer.
#[test]
fn a_key_that_is_taken_away_is_trusted_no_longer() -> Result<()> {
    let (old, new) = (Signer::new()?, Signer::new()?);
    let fixture = Fixture::start(setup(&old, START))?;
    assert_eq!(exchange(&fixture, &old.job("production")?, &[])?.0, 200);
    std::fs::write(fixture.config().with_file_name("ci.jwks"), new.keys())?;
    let begun = std::time::Instant::now();
    while exchange(&fixture, &new.job("production")?, &[])?.0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "the new key is not taken over");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    assert_eq!(exchange(&fixture, &old.job("production")?, &[])?.0, 400);
    Ok(())
}

#[test]
fn a_token_starts_only_so_many_tasks() -> Result<()> {
    let ci = Signer::new()?;
    let mut setup = setup(&ci, START);
    setup.config = format!("[limits]\nlive_tasks_max = 2\n{}", setup.config);
    let fixture = Fixture::start(setup)?;
    let token = ci.job("production")?;
    let first = exchange(&fixture, &token, &[])?.1;
    assert_eq!(exchange(&fixture, &token, &[])?.0, 200);
    let (status, answer) = exchange(&fixture, &token, &[])?;
    assert!(status == 400 && answer["error_description"].to_string().contains("live_tasks_max"), "{answer}");
    let first = Credential::of(&first)?;
    let form = [("client_id", first.user.as_str()), ("token", first.password.as_str())];
    assert_eq!(call(&fixture, "/oauth/revoke", Some(&form))?.0, 200);
    assert_eq!(exchange(&fixture, &token, &[])?.0, 200);
    // What was refused by policy is on the record; a page in a browser is turned away.
    let elsewhere = exchange(&fixture, &token, &[("audience", "elsewhere")])?;
    assert_eq!((elsewhere.0, &elsewhere.1["error"]), (400, &json!("invalid_target")));
    let refused = |record: &Value| record["kind"] == "login.refused" && record["user"] == "agent:claude";
    assert!(fixture.records()?.iter().any(refused));
    Ok(())
}

/// Keys that an issuer publishes are fetched, and fetched again when it has changed them.
#[test]
fn a_workload_of_a_provider_that_publishes_its_keys() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut provider = Provider::start(folder.path(), &json!({}))?;
    let setup = Setup::default();
    let fixture = Fixture::start(Setup {
        policies: format!("{}{START}", setup.policies),
        config: format!(
            "[issuers.provider]\nissuer = \"{}\"\naudience = \"gatehouse\"\n\
             agents = [{{ agent = \"claude\", claims = {{ client_id = \"deployer\" }} }}]\n",
            provider.issuer
        ),
        ..setup
    })?;
    let token = provider.workload_token()?;
    let (status, answer) = exchange(&fixture, &token, &[])?;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(fixture.psql(&Credential::of(&answer)?, "select count(*) from orders")?.trim(), "200");
    provider.stop()?;
    assert_eq!(exchange(&fixture, &token, &[])?.0, 200, "an outage takes nothing away");
    provider.start_again()?;
    let begun = std::time::Instant::now();
    while exchange(&fixture, &provider.workload_token()?, &[])?.0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "the new keys are not found");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    assert_eq!(exchange(&fixture, &token, &[])?.0, 400, "what the old keys signed is good no longer");
    Ok(())
}

#[test]
fn without_its_issuers_keys_no_token_is_judged() -> Result<()> {
    let ci = Signer::new()?;
    let mut setup = setup(&ci, START);
    setup.config = setup.config.replace("keys = \"ci.jwks\"", "jwks_uri = \"http://127.0.0.1:1/keys\"");
    let fixture = Fixture::start(setup)?;
    let (status, answer) = exchange(&fixture, &ci.job("production")?, &[])?;
    assert_eq!((status, &answer["error"]), (503, &json!("temporarily_unavailable")), "{answer}");
    Ok(())
}
