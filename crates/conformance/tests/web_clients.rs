//! Unmodified clients of HTTP: what they do directly they do through the gateway, by its address and by it as their proxy, when
//! everything is allowed.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::program;
use gatehouse_conformance::web::{WebCredential, WebHouse};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/run");
/// The name by which clients call the target through the proxy.
const NAMED: &str = "names = [\"api.test\"]";

/// Runs a client, and gives what it prints.
fn printed(mut command: Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "{out}{err}");
    Ok(out.into_owned())
}

fn directly(house: &WebHouse, client: &str) -> Result<String> {
    let mut command = Command::new(CLIENTS);
    command.args([client, "directly"]).env("BASE", format!("http://127.0.0.1:{}", house.target.port));
    printed(command)
}

fn by_address(house: &WebHouse, dana: &WebCredential, client: &str) -> Result<String> {
    let mut command = Command::new(CLIENTS);
    command.args([client, "address"]).env("BASE", format!("{}/http/api", house.base));
    command.env("BASIC", format!("{}:{}", dana.user, dana.password));
    command.env("CURL", format!("--user {}:{}", dana.user, dana.password));
    command.env("GIT_HEADER", format!("Authorization: {}", dana.basic()));
    printed(command)
}

/// Under `gatehouse run`, which says to every client who its proxy is and whom it may believe.
fn by_proxy(house: &WebHouse, client: &str) -> Result<String> {
    let mut command = Command::new(program()?);
    command.args(["run", "--as", "user:dana", "--target", "api", "--reason", "a test", "--", CLIENTS, client, "proxy"]);
    command.env("GATEHOUSE_ADMIN_SOCKET", house.fixture.data.join("admin.sock")).env("BASE", "https://api.test");
    printed(command)
}

fn is_the_same(client: &str) -> Result<()> {
    let house = WebHouse::start(NAMED, "")?;
    let direct = directly(&house, client)?;
    assert!(direct.lines().count() > 10, "{direct}");
    let dana = house.task("user:dana")?;
    similar(&by_address(&house, &dana, client)?, &direct, "by its address");
    // fetch of this version of Node knows no proxies.
    if !client.ends_with(".mjs") {
        similar(&by_proxy(&house, client)?, &direct, "by a proxy");
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

fn similar(through: &str, direct: &str, way: &str) {
    for (through, direct) in through.lines().zip(direct.lines()) {
        assert_eq!(through, direct, "{way}");
    }
    assert_eq!(through.lines().count(), direct.lines().count(), "{way}");
}

#[test]
fn curl_and_git() -> Result<()> {
    is_the_same("client_web.sh")
}

#[test]
fn requests_and_httpx() -> Result<()> {
    is_the_same("client_web.py")
}

#[test]
fn fetch_of_node() -> Result<()> {
    is_the_same("client_web.mjs")
}

#[test]
fn hosts_that_are_no_targets_are_refused_and_none_is_mistaken() -> Result<()> {
    let house = WebHouse::start(NAMED, "")?;
    let task = house.task("agent:claude")?;
    let proxy = house.base.replace("http://", &format!("http://{}:{}@", task.user, task.password));
    let curl = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("curl").args(["-sS", "-k", "--max-time", "60"]).args(arguments).output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    let told = curl(&["-x", &proxy, "https://api.test/told"])?;
    assert!(told.contains("\"path\": \"/told\""), "{told}");
    let told = curl(&["-x", &proxy, "http://api.test/told"])?;
    assert!(told.contains("\"path\": \"/told\""), "{told}");
    let masked = curl(&["-x", &proxy, "https://api.test/people"])?;
    assert!(masked.contains("masked.example") && !masked.contains("lotte@corp"), "{masked}");
    for elsewhere in ["https://elsewhere.test/", &format!("https://127.0.0.1:{}/", house.target.port)] {
        let refused = curl(&["-x", &proxy, elsewhere])?;
        assert!(refused.contains("403"), "{elsewhere}: {refused}");
    }
    let refused = curl(&["-x", &proxy, "http://elsewhere.test/"])?;
    assert!(refused.contains("there is no target at this address"), "{refused}");
    let refused = curl(&["-x", &house.base, "https://api.test/told"])?;
    assert!(refused.contains("407"), "{refused}");
    let misdirected = curl(&["-x", &proxy, "-H", "Host: elsewhere.test", "https://api.test/told"])?;
    assert!(misdirected.contains("is not whom this connection was opened to"), "{misdirected}");
    let wrong = house.base.replace("http://", &format!("http://{}:wrong@", task.user));
    let refused = curl(&["-x", &wrong, "https://api.test/told"])?;
    assert!(refused.contains("407"), "{refused}");
    let requests = house.fixture.json(&["targets", "ls"])?;
    requests.as_array().context("targets")?;
    Ok(())
}
