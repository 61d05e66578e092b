//! As whom the gateway logs in at a target: passwords that lie elsewhere, and accounts that are made for one task.

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::{POLICIES, SLEEP, folder, private, wait_until};
use gatehouse_conformance::secret::remember;
use gatehouse_conformance::signer::Signer;
use gatehouse_conformance::stores::{Manager, Vault};
use gatehouse_conformance::{Credential, Fixture, Setup};
use serde_json::{Value, json};

const ASK: &str = "select count(*) from orders";

/// Waits until the database says so.
fn until(fixture: &Fixture, sql: &str, expected: &str) -> Result<()> {
    wait_until(&format!("{sql} is {expected}"), || Ok(fixture.truth(sql)? == expected))
}

/// The accounts that were made for tasks and are there.
const MADE: &str = "select count(*) from pg_roles where rolname like 'v-%'";

/// A gateway whose account at the shop is made for each task, by a vault that knows it as an application.
fn made_for_each_task() -> Result<(Vault, Fixture)> {
    let vault = Vault::start()?;
    let (config, secret) = vault.application(6)?;
    let fixture = Fixture::start(Setup {
        policies: format!("{POLICIES}{SLEEP}"),
        config,
        account: "credentials = \"vault:database/creds/shop\"".into(),
        files: vec![("vault.secret", secret)],
        ..Setup::default()
    })?;
    vault.make_accounts_at(&fixture, 6)?;
    Ok((vault, fixture))
}

#[test]
fn an_account_is_made_for_a_task_and_gone_with_it() -> Result<()> {
    let (_vault, fixture) = made_for_each_task()?;
    let (task, other) = (fixture.task("agent:claude", "10m")?, fixture.task("agent:other", "10m")?);
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    assert_eq!((fixture.psql(&task, ASK)?, fixture.truth(MADE)?), ("200\n".into(), "1".into()));
    assert_eq!((fixture.psql(&other, ASK)?, fixture.truth(MADE)?), ("200\n".into(), "2".into()));
    // Both the account and the gateway's own token at the vault would have ended by themselves meanwhile.
    let sleeper = fixture.asleep(&mut fixture.psql_command(&task))?;
    let of = fixture.truth("select usename from pg_stat_activity where wait_event = 'PgSleep'")?;
    assert!(of.starts_with("v-approle-shop-"), "{of}");
    until(&fixture, "select query_start + '13 s' < now() from pg_stat_activity where wait_event = 'PgSleep'", "t")?;
    assert_eq!((fixture.psql(&task, ASK)?, fixture.truth(MADE)?), ("200\n".into(), "2".into()));
    assert!(fixture.command(&["revoke", &task.task])?.status.success());
    let told = Fixture::cut_off(sleeper)?;
    assert!(told.contains("the task has ended"), "{told}");
    until(&fixture, &format!("select count(*) from pg_roles where rolname = '{of}'"), "0")?;
    assert_eq!(fixture.truth(MADE)?, "1", "the other task's account is still there");
    assert_eq!(fixture.psql(&other, ASK)?, "200\n");
    // What the database's own log says of an account is a task's by the records.
    let records = fixture.records()?;
    let made = records.iter().find(|record| record["kind"] == "account.made" && record["account"] == of.as_str());
    let made = made.context("a record")?;
    assert_eq!((&made["task"], &made["target"]), (&json!(task.task), &json!("shop")));
    let is_its_end = |record: &Value| record["kind"] == "account.ended" && record["lease"] == made["lease"];
    assert!(records.iter().any(is_its_end));
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_task_gets_another_account_when_the_role_is_another() -> Result<()> {
    let (vault, fixture) = made_for_each_task()?;
    vault.make_role("readers", "login password '{{password}}' valid until '{{expiration}}'", 60)?;
    let task = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    let config = std::fs::read_to_string(fixture.config())?;
    std::fs::write(fixture.config(), config.replace("database/creds/shop", "database/creds/readers"))?;
    wait_until("the new account is used", || Ok(fixture.psql(&task, ASK)?.contains("permission denied")))?;
    until(&fixture, "select count(*) from pg_roles where rolname like 'v-approle-shop%'", "0")
}

#[test]
fn accounts_that_were_made_do_not_outlive_the_gateway() -> Result<()> {
    let (_vault, mut fixture) = made_for_each_task()?;
    let task = fixture.task("agent:claude", "10m")?;
    assert_eq!((fixture.psql(&task, ASK)?, fixture.truth(MADE)?), ("200\n".into(), "1".into()));
    fixture.stop_gateway()?;
    assert_eq!(fixture.truth(MADE)?, "0");
    fixture.start_gateway()?;
    let task = on_a_new_port(&fixture, task)?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n", "a task outlives the gateway, and gets another account");
    let of = fixture.truth("select rolname from pg_roles where rolname like 'v-%'")?;
    fixture.kill_gateway()?;
    fixture.start_gateway()?;
    until(&fixture, &format!("select count(*) from pg_roles where rolname = '{of}'"), "0")?;
    assert_eq!(fixture.psql(&on_a_new_port(&fixture, task)?, ASK)?, "200\n");
    Ok(())
}

#[test]
fn an_account_that_is_gone_before_its_time_is_made_anew() -> Result<()> {
    let (mut vault, fixture) = made_for_each_task()?;
    let task = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    vault.call("PUT", "sys/leases/revoke-prefix/database/creds/shop", &json!({}))?;
    until(&fixture, MADE, "0")?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    vault.stop()?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n", "who has an account needs no vault");
    let refused = fixture.psql(&fixture.task("agent:other", "10m")?, ASK)?;
    assert!(refused.contains("cannot be reached"), "{refused}");
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(log.contains("the vault http://127.0.0.1"), "{log}");
    Ok(())
}

/// The same credential where the gateway listens now.
fn on_a_new_port(fixture: &Fixture, task: Credential) -> Result<Credential> {
    let targets = fixture.json(&["targets", "ls"])?;
    let address = targets.pointer("/0/listen").and_then(Value::as_str).context("an address")?;
    let port = address.rsplit_once(':').context("a port")?.1.parse()?;
    Ok(Credential { port, ..task })
}

#[test]
fn a_password_that_changes_in_the_vault_is_asked_for_anew() -> Result<()> {
    let mut vault = Vault::start()?;
    let fixture = Fixture::start(Setup {
        config: vault.config("token = \"file:vault.secret\""),
        account: "user = \"gatehouse\"\npassword = \"vault:secret/shop#password\"".into(),
        files: vec![("vault.secret", vault.root())],
        ..Setup::default()
    })?;
    let task = fixture.task("agent:claude", "10m")?;
    let missing = fixture.psql(&task, ASK)?;
    assert!(missing.contains("cannot be reached"), "{missing}");
    vault.keep("shop", &fixture.secret)?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    let changed = "another-password-of-the-shop";
    vault.keep("shop", changed)?;
    fixture.truth(&format!("alter role gatehouse password '{changed}'"))?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n", "what is kept does not fit any more");
    vault.stop()?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n", "what was told is kept for a while");
    Ok(())
}

/// An account that was made for a task is of no use after it, though the vault does not end it.
fn is_locked(more: &str, meanwhile: impl FnOnce(&mut Vault) -> Result<()>) -> Result<()> {
    let (mut vault, fixture) = made_for_each_task()?;
    vault.make_telling_accounts(&fixture, more)?;
    let task = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    let told = fixture.truth("select name || ' ' || password from told")?;
    let (name, password) = told.split_once(' ').context("an account")?;
    remember(password);
    let thief = Credential { user: name.into(), password: password.into(), ..fixture.direct() };
    assert_eq!(fixture.psql(&thief, ASK)?, "200\n");
    let sleeper = fixture.asleep(&mut fixture.psql_command(&thief))?;
    meanwhile(&mut vault)?;
    assert!(fixture.command(&["revoke", &task.task])?.status.success());
    wait_until("nobody logs in", || Ok(fixture.psql(&thief, ASK)?.contains("password authentication failed")))?;
    assert!(Fixture::cut_off(sleeper)?.contains("terminating connection"));
    let lease = |kind: &str| -> Result<Option<Value>> {
        Ok(fixture.records()?.iter().find(|record| record["kind"] == kind).map(|record| record["lease"].clone()))
    };
    wait_until("its lock is recorded", || Ok(lease("account.locked")?.is_some()))?;
    assert_eq!((lease("account.locked")?, lease("account.ended")?), (lease("account.made")?, None));
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn an_account_is_locked_while_its_vault_is_away() -> Result<()> {
    is_locked("", Vault::stop)
}

#[test]
fn an_account_is_locked_while_its_vault_hangs() -> Result<()> {
    is_locked("", |vault| vault.hang())
}

#[test]
fn an_account_is_locked_that_its_vault_cannot_drop() -> Result<()> {
    is_locked(
        "create schema its authorization \"{{name}}\"; alter role \"{{name}}\" set role = 'gatehouse'",
        |_| Ok(()),
    )
}

#[test]
fn a_service_accounts_token_opens_the_vault() -> Result<()> {
    let vault = Vault::start()?;
    vault.allow()?;
    let cluster = Signer::new()?;
    // What the gateway sends is the same for both methods, and this one needs no cluster.
    vault.call("POST", "sys/auth/cluster", &json!({ "type": "jwt" }))?;
    vault.call("POST", "auth/cluster/config", &json!({ "jwt_validation_pubkeys": [cluster.pem()] }))?;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "gatehouse", "token_ttl": 60,
    });
    vault.call("POST", "auth/cluster/role/gatehouse", &role)?;
    let token = cluster.sign(&json!({ "sub": "system:serviceaccount:gatehouse:gatehouse", "aud": "vault" }))?;
    let fixture = Fixture::start(Setup {
        config: vault.config("kubernetes = { mount = \"cluster\", role = \"gatehouse\", token = \"sa.token\" }"),
        account: "user = \"gatehouse\"\npassword = \"vault:secret/shop#password\"".into(),
        files: vec![("sa.token", token)],
        ..Setup::default()
    })?;
    vault.keep("shop", &fixture.secret)?;
    assert_eq!(fixture.psql(&fixture.task("agent:claude", "10m")?, ASK)?, "200\n");
    Ok(())
}

#[test]
fn a_password_lies_in_secrets_manager() -> Result<()> {
    let password = "a-password-in-the-secrets-manager";
    let manager = Manager::start("prod/shop", &json!({ "username": "gatehouse", "password": password }).to_string())?;
    let setup = |secret: &str| Setup {
        config: manager.config(),
        account: "user = \"gatehouse\"\npassword = \"aws:prod/shop#password\"".into(),
        files: vec![("aws.key", manager.key.clone()), ("aws.secret", secret.into())],
        ..Setup::default()
    };
    let fixture = Fixture::start(setup(&manager.secret))?;
    fixture.truth(&format!("alter role gatehouse password '{password}'"))?;
    assert_eq!(fixture.psql(&fixture.task("agent:claude", "10m")?, ASK)?, "200\n");
    // Whoever signs by another secret is told nothing.
    let stranger = Fixture::start(setup("another-secret-that-signs"))?;
    let refused = stranger.psql(&stranger.task("agent:claude", "10m")?, ASK)?;
    assert!(refused.contains("cannot be reached"), "{refused}");
    let log = std::fs::read_to_string(stranger.log())?;
    assert!(log.contains("AWS Secrets Manager in eu-central-1 does not give it: it answers 403"), "{log}");
    Ok(())
}

#[test]
fn a_program_prints_a_password_and_sees_nothing_of_the_gateways() -> Result<()> {
    let folder = folder()?;
    let place = |name: &str| folder.path().join(name).display().to_string();
    let complaint = "it-complains-of-something-secret";
    remember(complaint);
    let script =
        format!("env > {0}\ncat {1} || {{ echo {complaint} >&2; exit 3; }}\n", place("environment"), place("printed"));
    std::fs::write(place("get.sh"), script)?;
    let fixture = Fixture::start(Setup {
        account: format!("user = \"gatehouse\"\npassword = \"exec:/bin/sh {}\"", place("get.sh")),
        ..Setup::default()
    })?;
    let task = fixture.task("agent:claude", "10m")?;
    let refused = fixture.psql(&task, ASK)?;
    assert!(refused.contains("cannot be reached") && !refused.contains(complaint), "{refused}");
    let log = std::fs::read_to_string(fixture.log())?;
    assert!(log.contains("it ends with exit status: 3"), "{log}");
    private(&folder.path().join("printed"), &fixture.secret)?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    let environment = std::fs::read_to_string(place("environment"))?;
    let known = ["HOME=", "LANG=", "PATH=", "PWD=", "SHLVL=", "OLDPWD=", "_="];
    assert!(environment.lines().all(|line| known.iter().any(|known| line.starts_with(known))), "{environment}");
    Ok(())
}

#[test]
fn an_account_that_is_gone_before_its_task_ends_is_ended() -> Result<()> {
    let (vault, fixture) = made_for_each_task()?;
    let task = fixture.task("agent:claude", "10m")?;
    assert_eq!(fixture.psql(&task, ASK)?, "200\n");
    vault.call("PUT", "sys/leases/revoke-prefix/database/creds/shop", &json!({}))?;
    until(&fixture, MADE, "0")?;
    assert!(fixture.command(&["revoke", &task.task])?.status.success());
    wait_until("its end is recorded", || Ok(fixture.records()?.iter().any(|record| record["kind"] == "account.ended")))
}
