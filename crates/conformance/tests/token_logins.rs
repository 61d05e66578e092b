//! Workloads that log in by what they have: a token in a password's place, a token by PostgreSQL's own mechanism, a
//! certificate, a static key.

use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use gatehouse_conformance::certificates::{Authority, Certificates, certificates, tls_listener};
use gatehouse_conformance::fixture::{PATIENCE, SLEEP, private};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::signer::{Signer, now};
use gatehouse_conformance::{Fixture, Setup};
use jiff::{SignedDuration, Timestamp};
use rcgen::DnValue;
use serde_json::{Value, json};

const START: &str =
    "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource in Target::\"shop\");\n";

/// A gateway with TLS that trusts a CI system and a mesh.
struct House {
    ci: Signer,
    people: Signer,
    mesh: Authority,
    fixture: Fixture,
}

impl House {
    fn start(policies: &str, issuer: &str, limits: &str) -> Result<Self> {
        let (ci, people, mesh) = (Signer::new()?, Signer::new()?, Authority::new()?);
        let setup = tls_listener(&certificates("127.0.0.1")?, false);
        let mut files = setup.files;
        files.extend([("ci.jwks", ci.keys()), ("people.jwks", people.keys()), ("mesh.crt", mesh.pem().to_string())]);
        let fixture = Fixture::start(Setup {
            policies: format!("{}{SLEEP}{policies}", setup.policies),
            config: format!(
                "[limits]\n{limits}\n[issuers.ci]\nissuer = \"https://ci.example\"\naudience = \"gatehouse\"\n\
                 keys = \"ci.jwks\"\nagents = [{{ agent = \"claude\", claims = {{ environment = \"production\" }} }}]\n{issuer}\n\
                 [issuers.people]\nissuer = \"https://id.example\"\naudience = \"gatehouse\"\nkeys = \"people.jwks\"\n\
                 user_claim = \"login\"\n[certificates.mesh]\nauthorities = \"mesh.crt\"\ntask_secs_max = 604800\n\
                 agents = [{{ agent = \"other\", name = \"uri:spiffe://mesh.example/reporter\" }}, \
                 {{ agent = \"claude\", name = \"cn:reporter\" }}]\n"
            ),
            files,
            ..setup
        })?;
        Ok(Self { ci, people, mesh, fixture })
    }

    fn port(&self) -> Result<String> {
        let targets = self.fixture.json(&["targets", "ls"])?;
        let address = targets.pointer("/0/listen").and_then(Value::as_str).context("an address")?;
        Ok(address.rsplit_once(':').context("a port")?.1.to_string())
    }

    /// psql as somebody, with a password, over TLS.
    fn psql(&self, user: &str, password: &str) -> Result<Command> {
        let mut command = Command::new("psql");
        command.args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", &self.port()?, "-U", user, "-d", "shop"]);
        command.env("PGPASSWORD", password).env("PGSSLMODE", "verify-full");
        command.env("PGSSLROOTCERT", self.fixture.folder.path().join("gatehouse/root.crt"));
        Ok(command)
    }

    fn ask(&self, user: &str, password: &str) -> Result<String> {
        Ok(said(&self.psql(user, password)?.args(["-c", "select count(*) from orders"]).output()?))
    }

    /// The same with a certificate in place of a password.
    fn certified(&self, user: &str, shown: &Certificates) -> Result<Command> {
        let folder = self.fixture.folder.path();
        let mut command = self.psql(user, "")?;
        for (variable, name, pem) in
            [("PGSSLCERT", "client.crt", &shown.certificate), ("PGSSLKEY", "client.key", &shown.key)]
        {
            private(&folder.join(name), pem)?;
            command.env(variable, folder.join(name));
        }
        Ok(command)
    }

    fn tasks(&self) -> Result<Vec<Value>> {
        Ok(self.fixture.json(&["tasks", "ls"])?.as_array().cloned().unwrap_or_default())
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).trim().to_string()
}

#[test]
fn a_workloads_token_is_its_password_inside_tls_and_nowhere_else() -> Result<()> {
    let house = House::start(START, "", "")?;
    let token = house.ci.job("production")?;
    assert_eq!(house.ask("claude", &token)?, "200");
    assert_eq!(house.ask("claude", &token)?, "200");
    let tasks = house.tasks()?;
    assert_eq!(tasks.len(), 1, "one token works under one task: {tasks:?}");
    assert_eq!(tasks[0]["started_by"], "issuer ci (repo:shop)");
    let expires: Timestamp = tasks[0]["expires"].as_str().context("a time")?.parse()?;
    assert!(expires.as_second() <= now() + 121, "it lives no longer than the token");
    // Every driver sends a password that it is asked for. One begins TLS by itself, and gets as far as policy lets it; the
    // other does not, and without TLS no token is asked for.
    let python = CLIENTS;
    for (client, expected) in
        [("client_pg8000.py", "is denied by policy"), ("client_node.mjs", "password authentication failed")]
    {
        let mut command = Command::new(python);
        command.arg(client).env("PGHOST", "127.0.0.1").env("PGPORT", house.port()?).env("PGUSER", "claude");
        command.env("PGPASSWORD", &token).env("PGDATABASE", "shop");
        let output = said(&command.output()?);
        assert!(output.contains(expected), "{client}: {output}");
    }
    let plain = said(&house.psql("claude", &token)?.env("PGSSLMODE", "disable").args(["-c", "select 1"]).output()?);
    assert!(plain.contains("password authentication failed"), "a token was taken in clear text: {plain}");

    for (user, shown) in [
        ("claude", house.ci.job("staging")?),
        ("claude", Signer::new()?.job("production")?),
        (
            "claude",
            house
                .ci
                .sign(&json!({ "iss": "https://ci.example", "aud": "x", "sub": "y", "environment": "production" }))?,
        ),
        ("other", token.clone()),
        ("stranger", token.clone()),
        ("claude", "x".repeat(20_000)),
        ("claude", format!("gh_{}", "0".repeat(32))),
        ("claude", format!("ghk_{}", "0".repeat(52))),
        ("claude", "secret".into()),
    ] {
        let refused = house.ask(user, &shown)?;
        assert!(
            refused.contains("authentication failed")
                || refused.contains("the message is too long")
                || refused.contains("closed"),
            "{user} {shown:.40}: {refused}"
        );
    }
    assert_eq!(house.tasks()?.len(), 1);
    // The credential of a task is good under the agent's name alone, too.
    let task = house.fixture.task("agent:claude", "10m")?;
    assert_eq!(house.ask("claude", &task.password)?, "200");
    assert_eq!(house.ask(&task.user, &task.password)?, "200");
    // What is shown is written nowhere.
    let signature = token.rsplit('.').next().context("a signature")?;
    assert!(!std::fs::read_to_string(house.fixture.log())?.contains(signature));
    assert!(!house.fixture.records()?.iter().any(|record| record.to_string().contains(signature)));
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Whoever has a person's token may be anybody: it is of use only beside an agent's own.
#[test]
fn a_persons_token_is_nobodys_password() -> Result<()> {
    let people = "\npermit (principal == User::\"dana\", action == Action::\"start\", resource in Target::\"shop\");\n";
    let house = House::start(&format!("{START}{people}"), "", "")?;
    let dana = house.people.sign(&json!({
        "iss": "https://id.example", "aud": "gatehouse", "sub": "id-dana", "login": "dana",
        "may_act": { "sub": "repo:shop", "iss": "https://ci.example" },
    }))?;
    for user in ["dana", "claude"] {
        let refused = house.ask(user, &dana)?;
        assert!(refused.contains("the token is a person's, and alone it is nobody's"), "{user}: {refused}");
    }
    assert!(house.tasks()?.is_empty());
    Ok(())
}

#[test]
fn a_login_ends_with_its_token_its_task_or_its_permit() -> Result<()> {
    let house = House::start(
        "\n@hold(\"dba\")\npermit (principal in Group::\"agents\", action == Action::\"start\", resource);\n",
        "",
        "",
    )?;
    let short = json!({
        "iss": "https://ci.example", "aud": "gatehouse", "sub": "repo:shop", "environment": "production", "exp": now() + 5,
    });
    let token = house.ci.sign(&short)?;
    let held = house.ask("claude", &token)?;
    assert!(held.contains("a person must approve this task first"), "{held}");
    let request = house.fixture.open_request()?;
    let id = request["id"].as_str().context("an id")?;
    assert!(house.fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    let told = Fixture::cut_off(house.fixture.asleep(&mut house.psql("claude", &token)?)?)?;
    assert!(told.contains("the task has ended"), "{told}");
    assert_eq!(house.tasks()?[0]["state"], "expired");
    Ok(())
}

#[test]
fn a_task_that_a_login_began_is_revoked_and_the_workload_locked_out() -> Result<()> {
    let house = House::start(START, "", "")?;
    let token = house.ci.job("production")?;
    let open = house.fixture.asleep(&mut house.psql("claude", &token)?)?;
    let locked = house.fixture.json(&["lockdown", "begin", "agent:claude", "--reason", "it was stolen"])?;
    assert_eq!(locked["cut"], 1);
    let told = Fixture::cut_off(open)?;
    assert!(told.contains("it was stolen"), "{told}");
    assert!(house.ask("claude", &token)?.contains("it was stolen"));
    Ok(())
}

#[test]
fn libpq_logs_in_by_its_own_mechanism_for_tokens() -> Result<()> {
    let house = House::start(START, "login = \"oauth\"", "")?;
    let log_in = |token: &str| -> Result<String> {
        let mut command = Command::new(CLIENTS);
        command.arg("client_oauth.py").env("PGHOST", "127.0.0.1").env("PGPORT", house.port()?).env("PGUSER", "claude");
        command.env("PGDATABASE", "shop").env("OAUTH_ISSUER", "https://ci.example").env("OAUTH_TOKEN", token);
        Ok(said(&command.output()?))
    };
    let place = "https://ci.example/.well-known/openid-configuration";
    assert_eq!(log_in(&house.ci.job("production")?)?, format!("200\n{place}"));
    let refused = log_in(&house.ci.job("staging")?)?;
    assert!(refused.contains("authentication failed for user \"claude\""), "{refused}");
    // Whoever knows no such mechanism is not let in by another.
    assert!(house.ask("claude", &house.ci.job("production")?)?.contains("authentication"));
    let task = house.fixture.task("agent:claude", "10m")?;
    assert_eq!(house.ask(&task.user, &task.password)?, "200", "a task's credential is good as it was");
    Ok(())
}

#[test]
fn a_certificate_of_a_trusted_authority_logs_in() -> Result<()> {
    let house = House::start(START, "", "task_secs_max = 604800")?;
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(25))?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let reporter = house.mesh.client("spiffe://mesh.example/reporter", until)?;
    let ask = |user: &str, shown: &Certificates| -> Result<String> {
        Ok(said(&house.certified(user, shown)?.args(["-c", "select count(*) from orders"]).output()?))
    };
    assert_eq!(ask("other", &reporter)?, "200");
    assert_eq!(ask("other", &reporter)?, "200");
    let tasks = house.tasks()?;
    assert_eq!(
        (tasks.len(), &tasks[0]["started_by"]),
        (1, &json!("certificate of mesh (uri:spiffe://mesh.example/reporter)"))
    );
    assert_eq!(tasks[0]["expires"], format!("{until}T00:00:00Z"), "it lives no longer than the certificate");

    let another = house.mesh.client("spiffe://mesh.example/another", until)?;
    let impostor = Authority::new()?.client("spiffe://mesh.example/reporter", until)?;
    let over = house.mesh.client("spiffe://mesh.example/reporter", jiff::civil::date(2020, 1, 1))?;
    // The same bytes as "reporter", in a string of other characters.
    let disguised = house.mesh.called(DnValue::BmpString("\u{7265}\u{706f}\u{7274}\u{6572}".try_into()?))?;
    assert_eq!(ask("claude", &house.mesh.called(DnValue::Utf8String("reporter".into()))?)?, "200");
    for (user, shown) in [
        ("other", &another),
        ("claude", &reporter),
        ("stranger", &reporter),
        ("other", &impostor),
        ("other", &over),
        ("claude", &disguised),
    ] {
        let refused = ask(user, shown)?;
        assert!(!refused.contains("200"), "{user}: {refused}");
    }
    assert_eq!(house.tasks()?.len(), 2);
    // Whoever shows one may prove otherwise who they are.
    let task = house.fixture.task("agent:claude", "10m")?;
    let mut both = house.certified(&task.user, &reporter)?;
    assert_eq!(said(&both.env("PGPASSWORD", &task.password).args(["-c", "select 1"]).output()?), "1");
    // Of protocol 3.2, too, which has to be negotiated down or up first.
    let mut newer = house.certified("other", &reporter)?;
    newer.env("PGMAXPROTOCOLVERSION", "latest");
    assert_eq!(said(&newer.args(["-c", "select 1"]).output()?), "1");
    Ok(())
}

#[test]
fn a_static_key_is_a_password_inside_tls() -> Result<()> {
    let house = House::start(START, "", "")?;
    let issued = house.fixture.json(&[
        "keys",
        "issue",
        "--as",
        "agent:other",
        "--target",
        "shop",
        "--reason",
        "a plotter",
        "--ttl",
        "1h",
    ])?;
    let key = issued["secret"].as_str().context("a key")?;
    assert_eq!(house.ask("other", key)?, "200");
    assert_eq!(house.tasks()?[0]["api_key"], issued["id"]);
    assert!(house.ask("claude", key)?.contains("what was shown is agent:other's"));
    house.fixture.json(&["keys", "revoke", issued["id"].as_str().context("an id")?])?;
    assert!(house.ask("other", key)?.contains("authentication failed"));
    Ok(())
}

#[test]
fn certificates_and_authorities_are_taken_over_while_the_gateway_runs() -> Result<()> {
    let house = House::start(START, "", "")?;
    let until = Timestamp::now().checked_add(SignedDuration::from_hours(25))?.to_zoned(jiff::tz::TimeZone::UTC).date();
    let reporter = house.mesh.client("spiffe://mesh.example/reporter", until)?;
    let ask = |shown: &Certificates| -> Result<String> {
        Ok(said(&house.certified("other", shown)?.args(["-c", "select count(*) from orders"]).output()?))
    };
    assert_eq!(ask(&reporter)?, "200");
    // Another authority, and another certificate of the listener's.
    let (mesh, renewed) = (Authority::new()?, certificates("127.0.0.1")?);
    let place = |name: &str| house.fixture.folder.path().join("gatehouse").join(name);
    for (name, pem) in [
        ("server.key", &renewed.key),
        ("mesh.crt", &mesh.pem().to_string()),
        ("root.crt", &renewed.authority),
        ("server.crt", &renewed.certificate),
    ] {
        private(&place(name), pem)?;
    }
    let newcomer = mesh.client("spiffe://mesh.example/reporter", until)?;
    let begun = std::time::Instant::now();
    while ask(&newcomer)? != "200" {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{}", ask(&newcomer)?);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let refused = ask(&reporter)?;
    assert!(!refused.contains("200"), "{refused}");
    Ok(())
}
