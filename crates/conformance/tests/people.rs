//! People who sign in: by a real OpenID provider, in a browser and in a terminal, and by a one-time link.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use anyhow::{Context as _, Result};
use gatehouse_conformance::browser::Browser;
use gatehouse_conformance::fixture::{PATIENCE, program};
use gatehouse_conformance::http::{self, Door, JSON};
use gatehouse_conformance::provider::{CLIENT_SECRET, Provider, sign_in};
use gatehouse_conformance::{Credential, Fixture, Setup};
use serde_json::{Value, json};

const DANA: &str = "user:dana@corp.example";

/// What the front end's page may do, to the letter: whoever lets it do more says so here.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
                           img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
                           form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn accounts() -> Value {
    json!({
        "d1": { "email": "dana@corp.example", "email_verified": true, "groups": ["dba"] },
        "e2": { "email": "eve@corp.example", "email_verified": true, "groups": [] },
        "m3": { "email": "mallory@corp.example", "email_verified": false, "groups": ["dba"] },
        "r4": { "email": "root@corp.example", "email_verified": true, "groups": ["administrators"] },
    })
}

const ADMINISTRATORS: &str =
    "\npermit (principal in Group::\"administrators\", action == Action::\"administer\", resource);\n";

fn start(more: &str) -> Result<(tempfile::TempDir, Provider, Fixture)> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(folder.path(), &accounts())?;
    let setup = Setup::default();
    let fixture = Fixture::start(Setup {
        config: provider.config(more),
        policies: format!("{}{ADMINISTRATORS}", setup.policies),
        files: vec![("oidc.secret", CLIENT_SECRET.into())],
        ..setup
    })?;
    Ok((folder, provider, fixture))
}

/// The section on people's own provider in the guide.
fn own_provider() -> Result<&'static str> {
    let guide = include_str!("../../../docs/guide.md");
    let section = guide.split("\n## ").find(|section| section.starts_with("Let people sign in by your provider"));
    section.context("the guide has a section on it")
}

#[test]
fn the_guide_sets_up_a_provider() -> Result<()> {
    let section = own_provider()?;
    // What is registered at the provider of the tests is what the guide says.
    for address in ["`https://gateway.example/login/callback`", "`https://gateway.example/`"] {
        assert!(section.contains(address), "{address}");
    }
    let lines: String = section.lines().map(|line| format!("{}\n", line.strip_prefix("   ").unwrap_or(line))).collect();
    let blocks = lines.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let oidc = blocks.into_iter().find(|block| block.starts_with("[oidc]")).context("a block for [oidc]")?;

    let folder = tempfile::tempdir()?;
    let accounts = json!({
        "d1": { "email": "dana@corp.example", "email_verified": true, "groups": ["db-admins"] },
        "e2": { "email": "eve@corp.example", "email_verified": true, "groups": ["sales"] },
    });
    let provider = Provider::start(folder.path(), &accounts)?;
    let config = oidc.replace("https://id.example/realms/work", &provider.issuer);
    assert_ne!(config, oidc, "the issuer is the reader's own");
    let fixture =
        Fixture::start(Setup { config, files: vec![("oidc.secret", CLIENT_SECRET.into())], ..Setup::default() })?;
    let base = fixture.api()?;
    let (status, dana) = me(&base, &signed_in(&base, "d1")?)?;
    assert_eq!((status, &dana["user"], &dana["groups"]), (200, &json!(DANA), &json!(["dba"])));
    let eve = signed_in(&base, "e2")?;
    assert_eq!((eve.page.status, me(&base, &eve)?.0), (403, 401), "nobody else may sign in");
    let said = login(&base, &folder.path().join("token"), "d1")?;
    assert!(said.contains("signed in until"), "{said}");
    Ok(())
}

/// Calls the API with what a browser or a program would show.
fn call(base: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(u16, Value)> {
    let body = if method == "POST" { "{\"cause\":\"done\"}" } else { "" };
    send(base, method, path, headers, body)
}

fn call_with(base: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
    send(base, "POST", path, headers, body)
}

fn send(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<(u16, Value)> {
    let answer = http::call(Door::Web(base), method, path, &[headers, &[JSON]].concat(), body)?;
    Ok((answer.status, answer.json()))
}

fn me(base: &str, browser: &Browser) -> Result<(u16, Value)> {
    let session = browser.cookie(base, "gatehouse_session").unwrap_or_default();
    call(base, "GET", "/api/v1/me", &[("cookie", &format!("gatehouse_session={session}"))])
}

fn signed_in(base: &str, subject: &str) -> Result<Browser> {
    let mut browser = Browser::default();
    browser.open(&format!("{base}/login"))?;
    sign_in(&mut browser, subject)?;
    Ok(browser)
}

#[test]
fn a_person_signs_in_and_out_with_a_browser() -> Result<()> {
    let (_folder, _provider, fixture) = start("")?;
    let base = fixture.api()?;
    let mut browser = Browser::default();
    assert_eq!(browser.open(&base)?.status, 200);
    assert_eq!(me(&base, &browser)?.0, 401, "nobody is signed in");
    browser.open(&format!("{base}/login?return_to=/"))?;
    let begun = browser.cookie(&base, "gatehouse_sign_in").context("a secret")?.to_string();
    sign_in(&mut browser, "d1")?;
    assert_eq!((browser.page.status, browser.page.url.as_str()), (200, format!("{base}/").as_str()));
    let lines = browser.page.text.lines();
    let policies: Vec<&str> = lines.filter_map(|line| line.strip_prefix("content-security-policy: ")).collect();
    assert_eq!(policies, [PAGE_POLICY]);
    let (status, answer) = me(&base, &browser)?;
    assert_eq!((status, &answer["user"], &answer["via"]), (200, &json!(DANA), &json!("browser")));
    assert_eq!(answer["groups"], json!(["dba"]));

    // What the browser holds is not what a program shows, and no page of another site may use it.
    let session = browser.cookie(&base, "gatehouse_session").context("a session")?.to_string();
    let cookie = format!("gatehouse_session={session}");
    let bearer = format!("Bearer {session}");
    assert_eq!(call(&base, "GET", "/api/v1/me", &[("authorization", &bearer)])?.0, 401);
    for site in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "http://evil.example")] {
        let (status, _) = call(&base, "POST", "/api/v1/logout", &[("cookie", &cookie), site])?;
        assert_eq!(status, 403, "{site:?}");
    }
    assert_eq!(call(&base, "POST", "/api/v1/logout", &[("cookie", &cookie)])?.0, 403);
    assert_eq!(me(&base, &browser)?.0, 200);

    browser.post("/logout", &[])?;
    assert!(browser.page.text.contains("/session/end/confirm"), "it goes on to the provider: {}", browser.page.text);
    browser.set_cookie(&base, "gatehouse_session", &session)?;
    assert_eq!(me(&base, &browser)?.0, 401, "a session that was ended is nobody's");

    let records = fixture.records()?;
    let of = |kind: &str| records.iter().find(|record| record["kind"] == kind).cloned();
    let record = of("person.signed_in").context("a record")?;
    assert_eq!((&record["user"], &record["subject"], &record["groups"]), (&json!(DANA), &json!("d1"), &json!(["dba"])));
    assert_eq!(of("person.signed_out").context("a record")?["cause"], "signed out");
    let written = format!("{records:?}{}", std::fs::read_to_string(fixture.log())?);
    for secret in [session.as_str(), CLIENT_SECRET, begun.split(':').next().context("a secret")?] {
        assert!(!written.contains(secret), "a secret was written down");
    }
    assert!(fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_sign_in_is_the_browsers_that_began_it() -> Result<()> {
    let (_folder, provider, fixture) = start("")?;
    let base = fixture.api()?;
    let mut victim = Browser::default();
    victim.open(&format!("{base}/login"))?;
    let mine = victim.cookie(&base, "gatehouse_sign_in").context("a secret")?.to_string();
    // What an attacker began in his own browser is nothing in this one.
    let mut attacker = Browser::default();
    attacker.open(&format!("{base}/login"))?;
    let his = attacker.cookie(&base, "gatehouse_sign_in").context("a secret")?.to_string();
    attacker.set_cookie(&base, "gatehouse_sign_in", "gone")?;
    sign_in(&mut attacker, "e2")?;
    let came_back = attacker.page.url.clone();
    assert!(came_back.contains("code=") && attacker.page.status == 403, "{}", attacker.page.text);
    victim.open(&came_back)?;
    assert_eq!(victim.page.status, 403, "{}", victim.page.text);
    assert_eq!(me(&base, &victim)?.0, 401);
    // Neither is it with another issuer, nor a second time.
    let issuer = form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect::<String>();
    attacker.set_cookie(&base, "gatehouse_sign_in", &his)?;
    assert_eq!(attacker.open(&came_back.replace(&issuer, "http%3A%2F%2F127.0.0.1%3A1"))?.status, 403);
    attacker.set_cookie(&base, "gatehouse_sign_in", &his)?;
    assert_eq!(attacker.open(&came_back)?.status, 200);
    attacker.set_cookie(&base, "gatehouse_sign_in", &his)?;
    assert_eq!(attacker.open(&came_back)?.status, 403, "a code is good once");
    // The honest browser goes on where it was.
    victim.open(&format!("{base}/login"))?;
    assert_ne!(victim.cookie(&base, "gatehouse_sign_in"), Some(mine.as_str()));
    sign_in(&mut victim, "d1")?;
    assert_eq!(me(&base, &victim)?.0, 200);
    Ok(())
}

#[test]
fn whoever_the_provider_does_not_vouch_for_is_nobody() -> Result<()> {
    let (_folder, _provider, fixture) = start("")?;
    let base = fixture.api()?;
    for subject in ["m3", "nobody"] {
        let browser = signed_in(&base, subject)?;
        assert_ne!(browser.page.status, 200, "{subject}: {}", browser.page.text);
        assert_eq!(me(&base, &browser)?.0, 401);
    }
    assert!(std::fs::read_to_string(fixture.log())?.contains("`email_verified` is not true"));
    Ok(())
}

/// What `gatehouse login` says, and the way to its end.
fn login(base: &str, file: &std::path::Path, subject: &str) -> Result<String> {
    let mut command = Command::new(program()?);
    command.args(["login", "--api", base, "--token-file"]).arg(file);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("it is piped")?).lines();
    let whole = loop {
        let line = lines.next().context("it says where to go")??;
        if let Some((_, uri)) = line.split_once("or just ") {
            break uri.to_string();
        }
    };
    let mut browser = Browser::default();
    browser.open(&whole)?;
    browser.submit(&[])?;
    browser.submit(&[("confirm", "yes")])?;
    sign_in(&mut browser, subject)?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

#[test]
fn a_person_signs_in_with_a_terminal_and_decides() -> Result<()> {
    let (folder, _provider, fixture) = start("")?;
    let (base, file) = (fixture.api()?, folder.path().join("config/token"));
    let said = login(&base, &file, "d1")?;
    assert!(said.contains("signed in until"), "{said}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file)?.permissions());
    assert_eq!(mode & 0o777, 0o600);
    let as_dana = |arguments: &[&str]| -> Result<(bool, String)> {
        let mut command = Command::new(program()?);
        let output = command.args(arguments).args(["--api", &base, "--token-file"]).arg(&file).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    };
    let credential = fixture.task("agent:claude", "10m")?;
    let held = fixture.psql_command(&credential).args(["-c", "UPDATE orders SET total = 1 WHERE id = 1"]).spawn()?;
    let request = fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    let (approved, said) = as_dana(&["approve", &request])?;
    assert!(approved, "{said}");
    assert!(held.wait_with_output()?.status.success());
    // To decide is not to administer.
    let (ended, said) = as_dana(&["task", "end", &credential.task])?;
    assert!(!ended && said.contains("does not administer"), "{said}");
    let token = std::fs::read_to_string(&file)?;
    assert!(as_dana(&["logout"])?.0 && !file.exists());
    let bearer = format!("Bearer {}", token.trim());
    assert_eq!(call(&base, "GET", "/api/v1/me", &[("authorization", &bearer)])?.0, 401);
    Ok(())
}

#[test]
fn administrators_by_policy_do_over_the_network_what_others_may_not() -> Result<()> {
    let (_folder, _provider, fixture) = start("")?;
    let base = fixture.api()?;
    let task = fixture.task("agent:claude", "10m")?.task;
    let end = format!("/api/v1/tasks/{task}/end");
    let as_person = |browser: &Browser, path: &str| {
        let session = browser.cookie(&base, "gatehouse_session").unwrap_or_default().to_string();
        let cookie = format!("gatehouse_session={session}");
        call(&base, "POST", path, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")])
    };
    let (eve, root) = (signed_in(&base, "e2")?, signed_in(&base, "r4")?);
    assert_eq!(me(&base, &root)?.1["administers"], true);
    assert_eq!(as_person(&eve, &end)?.0, 403);
    assert_eq!(as_person(&root, &end)?.0, 200);
    Ok(())
}

#[test]
fn who_is_signed_in_outlives_an_outage_of_the_provider_and_a_restart() -> Result<()> {
    let (_folder, mut provider, mut fixture) = start("refresh_secs = 1")?;
    let browser = signed_in(&fixture.api()?, "d1")?;
    provider.stop()?;
    let base = fixture.api()?;
    let begun = Instant::now();
    while !std::fs::read_to_string(fixture.log())?.contains("the provider cannot be asked again") {
        assert!(begun.elapsed() < PATIENCE, "the provider is not asked again");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(me(&base, &browser)?.1["groups"], json!(["dba"]), "{}", std::fs::read_to_string(fixture.log())?);
    assert_eq!(call(&base, "POST", "/api/v1/login/device", &[])?.0, 503);
    // New keys, which the gateway has not seen yet; and a browser without what the provider has forgotten.
    provider.start_again()?;
    let begun = Instant::now();
    let other = loop {
        let mut other = Browser::default();
        if other.open(&format!("{base}/login"))?.status == 200 {
            sign_in(&mut other, "e2")?;
        }
        if me(&base, &other)?.0 == 200 {
            break other;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", other.page.text);
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    let session = other.cookie(&base, "gatehouse_session").context("a session")?.to_string();
    fixture.stop_gateway()?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let base = fixture.api()?;
    let mut after = Browser::default();
    after.set_cookie(&base, "gatehouse_session", &session)?;
    assert_eq!(me(&base, &after)?.1["user"], "user:eve@corp.example");
    Ok(())
}

/// The provider is asked again now and then. Whom it lets in no more is out, and so is the agent that works for them.
#[test]
fn whom_the_provider_lets_in_no_more_is_out() -> Result<()> {
    let (_folder, provider, fixture) = start("refresh_secs = 1")?;
    let base = fixture.api()?;
    let browser = signed_in(&base, "d1")?;
    let credential = task_for_dana(&fixture)?;
    let wait_for = |wanted: &dyn Fn(&Value) -> bool| -> Result<()> {
        let begun = Instant::now();
        while !wanted(&me(&base, &browser)?.1) {
            assert!(begun.elapsed() < PATIENCE, "nothing changes: {}", std::fs::read_to_string(fixture.log())?);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(())
    };
    let mut changed = accounts();
    changed["d1"]["groups"] = json!(["dba", "oncall"]);
    provider.change(&changed)?;
    wait_for(&|me| me["groups"] == json!(["dba", "oncall"]))?;

    let mut psql = fixture
        .psql_command(&credential)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut input = psql.stdin.take().context("it is piped")?;
    let mut lines = BufReader::new(psql.stdout.take().context("it is piped")?).lines();
    writeln!(input, "select 'here';")?;
    assert_eq!(lines.next().context("an answer")??, "here");
    changed.as_object_mut().context("accounts")?.remove("d1");
    provider.change(&changed)?;
    wait_for(&|me| me["status"] == 401)?;
    writeln!(input, "select 'still here';")?;
    drop(input);
    let said = String::from_utf8_lossy(&psql.wait_with_output()?.stderr).into_owned();
    assert!(lines.next().is_none() && said.contains("not signed in any more"), "{said}");
    assert!(fixture.psql(&credential, "select 1")?.contains("FATAL"), "nobody works for whom nobody knows");
    let out = |record: &Value| record["kind"] == "person.signed_out" && record["user"] == DANA;
    assert!(fixture.records()?.iter().any(out));
    Ok(())
}

#[test]
fn a_link_signs_one_browser_in_once() -> Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let base = fixture.api()?;
    let url = fixture.json(&["login", "--as", "user:dana", "--link"])?["url"].as_str().context("a link")?.to_string();
    let mut browser = Browser::default();
    // To look at it does not use it up, and no page of another site can use it.
    let mut other = Browser::default();
    other.open(&url)?;
    browser.open(&url)?;
    assert!(browser.page.text.contains("user:dana"), "it says whom it signs in: {}", browser.page.text);
    browser.submit(&[])?;
    let signed_in = me(&base, &browser)?.1;
    assert_eq!((&signed_in["user"], &signed_in["via"]), (&json!("user:dana"), &json!("browser")));
    other.submit(&[])?;
    assert_eq!((other.page.status, me(&base, &other)?.0), (403, 401));
    assert_eq!(other.open(&url)?.status, 403);
    assert!(fixture.json(&["login", "--as", "user:nobody", "--link"]).is_err());
    // Without a provider nothing else signs anybody in.
    other.open(&format!("{base}/login"))?;
    assert_eq!(other.page.status, 404);
    let begun = fixture.command(&["lockdown", "begin", "user:dana", "--reason", "a test"])?;
    assert!(begun.status.success());
    assert_eq!(me(&base, &browser)?.0, 401, "whoever is shut is nobody");
    assert!(fixture.command(&["lockdown", "lift", "user:dana"])?.status.success());
    assert_eq!(me(&base, &browser)?.0, 401, "and what was stolen stays worthless");
    Ok(())
}

#[test]
fn the_first_start_prints_a_link_for_an_administrator_and_no_other_does() -> Result<()> {
    let setup = Setup::default();
    let config = "[users.root]\ngroups = [\"administrators\"]\n".into();
    let policies = format!("{}{ADMINISTRATORS}", setup.policies);
    let mut fixture = Fixture::start(Setup { config, policies, ..setup })?;
    let begun = Instant::now();
    let url = loop {
        let printed = std::fs::read_to_string(fixture.printed())?;
        match printed.lines().find(|line| line.starts_with("http://")) {
            Some(url) => break url.to_string(),
            None => assert!(begun.elapsed() < PATIENCE, "{printed}"),
        }
    };
    let mut browser = Browser::default();
    browser.open(&url)?;
    browser.submit(&[])?;
    let signed_in = me(&fixture.api()?, &browser)?.1;
    assert_eq!((&signed_in["user"], &signed_in["administers"]), (&json!("user:root"), &json!(true)));
    let code = url.split("code=").nth(1).context("a code")?;
    assert!(!std::fs::read_to_string(fixture.log())?.contains(code), "the link is in the log");
    fixture.stop_gateway()?;
    fixture.start_gateway()?;
    fixture.api()?;
    assert_eq!(std::fs::read_to_string(fixture.printed())?, "");
    Ok(())
}

/// What a provider said counts while it is the configuration's, and while the configuration understands it so.
#[test]
fn a_provider_that_is_not_the_configurations_any_more_vouches_for_nobody() -> Result<()> {
    let (_folder, _provider, mut fixture) = start("groups = { dba = \"dba\", administrators = \"administrators\" }")?;
    let base = fixture.api()?;
    let whole = std::fs::read_to_string(fixture.config())?;
    let is_out = |browser: &Browser| -> Result<()> {
        let begun = Instant::now();
        while me(&base, browser)?.0 != 401 {
            assert!(begun.elapsed() < PATIENCE, "still signed in");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        Ok(())
    };
    let root = signed_in(&base, "r4")?;
    assert_eq!(me(&base, &root)?.1["administers"], true);
    std::fs::write(fixture.config(), whole.replace(", administrators = \"administrators\"", ""))?;
    is_out(&root)?;
    let dana = signed_in(&base, "d1")?;
    let start = whole.find("[oidc]").context("a section")?;
    let end = start + whole[start..].find("[targets").context("a section")?;
    std::fs::write(fixture.config(), format!("{}{}", &whole[..start], &whole[end..]))?;
    is_out(&dana)?;
    // Nor after a restart, though the index had it.
    std::fs::write(fixture.config(), &whole)?;
    let begun = Instant::now();
    let dana = loop {
        let browser = signed_in(&base, "d1");
        if let Ok(browser) = browser
            && me(&base, &browser)?.0 == 200
        {
            break browser;
        }
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    let session = dana.cookie(&base, "gatehouse_session").context("a session")?.to_string();
    fixture.stop_gateway()?;
    std::fs::write(fixture.config(), whole.replace("[oidc]", "[oidc]\nuser_claim = \"sub\""))?;
    std::fs::remove_file(fixture.log())?;
    fixture.start_gateway()?;
    let base = fixture.api()?;
    let mut after = Browser::default();
    after.set_cookie(&base, "gatehouse_session", &session)?;
    assert_eq!(me(&base, &after)?.0, 401);
    Ok(())
}

/// A name is one person's at a time, a person has one name at a time, and what is shut is shut before they come.
#[test]
fn names_do_not_pass_from_one_person_to_another() -> Result<()> {
    let (_folder, provider, fixture) = start("")?;
    let base = fixture.api()?;
    let dana = signed_in(&base, "d1")?;
    assert_eq!(me(&base, &dana)?.1["user"], DANA);
    // Another account has her address now, in other letters.
    let mut changed = accounts();
    changed["d1"]["email"] = json!("dana.k@corp.example");
    changed["n5"] = json!({ "email": "Dana@Corp.example", "email_verified": true, "groups": [] });
    provider.change(&changed)?;
    let other = signed_in(&base, "n5")?;
    assert_eq!(me(&base, &other)?.1["user"], DANA);
    assert_eq!(me(&base, &dana)?.0, 401, "whoever had the name before is out");
    let dana = signed_in(&base, "d1")?;
    assert_eq!(me(&base, &dana)?.1["user"], "user:dana.k@corp.example");
    changed["d1"]["email"] = json!("dana.m@corp.example");
    provider.change(&changed)?;
    let again = signed_in(&base, "d1")?;
    assert_eq!(me(&base, &again)?.1["user"], "user:dana.m@corp.example");
    assert_eq!(me(&base, &dana)?.0, 401, "the old name is nobody's");
    // The new name is as shut as the old one, and so is whoever has not come yet.
    for scope in ["user:dana.m@corp.example", "user:eve@corp.example"] {
        assert!(fixture.command(&["lockdown", "begin", scope, "--reason", "a test"])?.status.success());
    }
    changed["d1"]["email"] = json!("dana@elsewhere.example");
    provider.change(&changed)?;
    for subject in ["d1", "e2"] {
        let browser = signed_in(&base, subject)?;
        assert_eq!((browser.page.status, me(&base, &browser)?.0), (403, 401), "{subject}: {}", browser.page.text);
    }
    Ok(())
}

/// An approval is worth what its giver is: whoever is let in no more has approved nothing.
#[test]
fn what_an_approver_said_goes_when_they_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(folder.path(), &accounts())?;
    let setup = Setup::default();
    let hold = "@id(\"two\") @hold(\"dba\") @quorum(\"2\")\nforbid (principal in Group::\"agents\", \
                action == Action::\"sql:update\", resource);\n";
    let fixture = Fixture::start(Setup {
        config: provider.config("refresh_secs = 1"),
        policies: format!("{}{ADMINISTRATORS}{hold}", setup.policies),
        files: vec![("oidc.secret", CLIENT_SECRET.into())],
        target: "on_hold = \"refuse\"".into(),
        ..setup
    })?;
    let base = fixture.api()?;
    let dana = signed_in(&base, "d1")?;
    let agent = fixture.task("agent:claude", "10m")?;
    let update = "UPDATE orders SET total = 1 WHERE id = 1";
    assert!(fixture.psql(&agent, update)?.contains("2 of dba"));
    let request = fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    let cookie = format!("gatehouse_session={}", dana.cookie(&base, "gatehouse_session").context("a session")?);
    let path = format!("/api/v1/requests/{request}/approve");
    let answer = call_with(&base, &path, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")], "{}")?;
    assert_eq!((answer.0, &answer.1["still_needs"]["dba"]), (200, &json!(1)), "{}", answer.1);
    let mut changed = accounts();
    changed.as_object_mut().context("accounts")?.remove("d1");
    provider.change(&changed)?;
    let begun = Instant::now();
    while fixture.request_state(&request)? == "open" {
        assert!(begun.elapsed() < PATIENCE, "her approval stands");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(fixture.request_state(&request)?, "withdrawn");
    assert!(!fixture.command(&["approve", &request, "--as", "user:dana"])?.status.success());
    assert!(fixture.psql(&agent, update)?.contains("2 of dba"), "it is asked for anew");
    Ok(())
}

#[test]
fn no_page_begins_a_sign_in_for_a_terminal_and_a_configuration_may_have_none() -> Result<()> {
    let (_folder, _provider, fixture) = start("admit = [\"dba\"]")?;
    let base = fixture.api()?;
    let begin =
        |headers: &[(&str, &str)]| Ok::<_, anyhow::Error>(call_with(&base, "/api/v1/login/device", headers, "")?.0);
    assert_eq!((begin(&[("origin", "http://evil.example")])?, begin(&[("sec-fetch-site", "cross-site")])?), (403, 403));
    assert_eq!(begin(&[])?, 200);
    let eve = signed_in(&base, "e2")?;
    assert_eq!((eve.page.status, me(&base, &eve)?.0), (403, 401), "she is none of those who are let in");
    assert_eq!(me(&base, &signed_in(&base, "d1")?)?.0, 200);
    let config = std::fs::read_to_string(fixture.config())?.replace("[oidc]", "[oidc]\ndevice_login = false");
    std::fs::write(fixture.config(), config)?;
    let begun = Instant::now();
    while begin(&[])? != 404 {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    Ok(())
}

/// A session that is let in while its target is being reached stands on what is so when it is reached.
#[test]
fn whose_groups_changed_while_the_target_was_reached_is_not_let_in() -> Result<()> {
    let (_folder, provider, fixture) = start("refresh_secs = 1")?;
    let (base, target) = (fixture.api()?, fixture.postgres.port);
    let relay = TcpListener::bind("127.0.0.1:0")?;
    let port = relay.local_addr()?.port();
    let (accepted, opened) = (channel(), channel::<()>());
    std::thread::spawn(move || relay_after(&relay, target, &accepted.0, opened.1));
    let config = std::fs::read_to_string(fixture.config())?;
    std::fs::write(fixture.config(), config.replace(&format!(":{target}\""), &format!(":{port}\"")))?;
    let begun = Instant::now();
    while fixture.json(&["targets", "ls"])?[0]["address"] != format!("127.0.0.1:{port}") {
        assert!(begun.elapsed() < PATIENCE, "the relay is not the target");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let dana = signed_in(&base, "d1")?;
    let credential = task_for_dana(&fixture)?;
    let mut psql = fixture.psql_command(&credential);
    psql.args(["-c", "select 'passed'"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = psql.spawn()?;
    accepted.1.recv_timeout(PATIENCE)?;
    let mut changed = accounts();
    changed["d1"]["groups"] = json!([]);
    provider.change(&changed)?;
    let begun = Instant::now();
    while me(&base, &dana)?.1["groups"] != json!([]) {
        assert!(begun.elapsed() < PATIENCE, "her groups do not change");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    opened.0.send(())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("is not what it was") && !said.contains("passed"), "{said}");
    assert!(fixture.psql(&credential, "select 'passed'")?.contains("no policy permits connect"));
    Ok(())
}

/// Passes connections on; the first waits until it is let through. The catalog is read over others.
fn relay_after(relay: &TcpListener, target: u16, accepted: &Sender<()>, opened: Receiver<()>) -> std::io::Result<()> {
    let mut gate = Some(opened);
    for client in relay.incoming() {
        let (client, gate, accepted) = (client?, gate.take(), accepted.clone());
        std::thread::spawn(move || -> std::io::Result<()> {
            if let Some(gate) = gate {
                // The test may have failed meanwhile.
                let _ = accepted.send(());
                let _ = gate.recv();
            }
            let mut server = TcpStream::connect(("127.0.0.1", target))?;
            let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::io::copy(&mut server, &mut { client }).map(|_| ())
        });
    }
    Ok(())
}

/// A task of the agent that works for Dana.
fn task_for_dana(fixture: &Fixture) -> Result<Credential> {
    let task =
        ["task", "start", "--as", "agent:claude", "--on-behalf-of", DANA, "--target", "shop", "--reason", "a test"];
    Credential::of(&fixture.json(&task)?)
}

/// A link to a request survives signing in at the provider, and only whoever has a part in it learns of it. (What the page shows
/// of it, and how it is decided there, the web front end's own tests tell.)
#[test]
fn a_link_to_a_request_leads_to_it_by_way_of_the_provider() -> Result<()> {
    let (_folder, _provider, fixture) = start("")?;
    let base = fixture.api()?;
    let agent = fixture.task("agent:claude", "10m")?;
    let update = ["-c", "UPDATE orders SET note = '<script>' WHERE id = 1"];
    let held = fixture.psql_command(&agent).args(update).spawn()?;
    let request = fixture.open_request()?["id"].as_str().context("an id")?.to_string();
    let mut dana = Browser::default();
    dana.open(&format!("{base}/login?return_to=/requests/{request}"))?;
    sign_in(&mut dana, "d1")?;
    assert_eq!(dana.page.url, format!("{base}/requests/{request}"));
    assert!(!dana.page.text.contains("UPDATE"), "the page itself says nothing of it");
    let as_person = |browser: &Browser, method: &str, path: &str, body: &str| {
        let session = browser.cookie(&base, "gatehouse_session").unwrap_or_default();
        let cookie = format!("gatehouse_session={session}");
        send(&base, method, path, &[("cookie", &cookie), ("sec-fetch-site", "same-origin")], body)
    };
    let at = format!("/api/v1/requests/{request}");
    let eve = signed_in(&base, "e2")?;
    assert_eq!(as_person(&eve, "GET", &at, "")?.0, 404);
    assert_eq!(as_person(&eve, "POST", &format!("{at}/approve"), "{}")?.0, 404);
    assert_eq!(as_person(&dana, "POST", &format!("{at}/approve"), r#"{"reason":"fine"}"#)?.0, 200);
    assert!(held.wait_with_output()?.status.success());
    assert_eq!(fixture.truth("select note from orders where id = 1")?, "<script>");
    Ok(())
}

/// To sign out in one place is not to be out everywhere; whom the provider lets in nowhere is.
#[test]
fn each_sign_in_ends_by_itself_and_all_end_with_the_person() -> Result<()> {
    let (folder, provider, fixture) = start("refresh_secs = 1")?;
    let (base, file) = (fixture.api()?, folder.path().join("token"));
    login(&base, &file, "d1")?;
    let token = format!("Bearer {}", std::fs::read_to_string(&file)?.trim());
    let mut browser = signed_in(&base, "d1")?;
    browser.open(&base)?;
    browser.post("/logout", &[])?;
    // The provider asks, and ends what this browser was let in by.
    browser.submit(&[("logout", "yes")])?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    let by_token =
        |token: &str| Ok::<_, anyhow::Error>(call(&base, "GET", "/api/v1/me", &[("authorization", token)])?.0);
    assert_eq!(by_token(&token)?, 200, "{}", std::fs::read_to_string(fixture.log())?);
    let mut changed = accounts();
    changed.as_object_mut().context("accounts")?.remove("d1");
    provider.change(&changed)?;
    let begun = Instant::now();
    while by_token(&token)? != 401 {
        assert!(begun.elapsed() < PATIENCE, "still let in");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

/// Sign-ins that are under way, and links that wait, are so many and no more.
#[test]
fn strangers_and_administrators_begin_only_so_many_sign_ins() -> Result<()> {
    let (_folder, _provider, fixture) = start("")?;
    let (base, socket) = (fixture.api()?, fixture.data.join("admin.sock"));
    let statuses = |door: Door<'_>, path: &str, body: &str| -> Result<Vec<u16>> {
        (0..=100).map(|_| Ok(http::call(door, "POST", path, &[JSON], body)?.status)).collect()
    };
    let devices = statuses(Door::Web(&base), "/api/v1/login/device", "")?;
    assert!(devices.iter().take(100).all(|status| *status == 200) && devices.last() == Some(&429), "{devices:?}");
    // Whoever does not ask what became of theirs gives the place free.
    let begun = Instant::now();
    while http::call(Door::Web(&base), "POST", "/api/v1/login/device", &[JSON], "")?.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "no place becomes free");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let links = statuses(Door::Socket(&socket), "/api/v1/links", "{\"user\":\"user:dana\"}")?;
    assert!(links.iter().take(100).all(|status| *status == 201) && links.last() == Some(&429), "{links:?}");
    Ok(())
}
