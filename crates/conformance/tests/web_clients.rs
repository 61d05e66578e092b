//! Unmodified clients of HTTP: what they do directly they do through the gateway, by its address and by it as their proxy, when
//! everything is allowed.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use anyhow::{Context as _, Result};
use gatehouse_conformance::Setup;
use gatehouse_conformance::certificates::{Certificates, certificates};
use gatehouse_conformance::fixture::{folder, program, wait_until};
use gatehouse_conformance::http::{self, Door};
use gatehouse_conformance::served::{CLIENTS, Served};
use gatehouse_conformance::web::{self, WebCredential, WebHouse};

/// The name by which clients call the target through the proxy.
const NAMED: &str = "names = [\"api.test\"]";
/// An address of this machine that `gatehouse run` has its command reach by the proxy.
const ELSEWHERE: &str = "127.0.0.2";

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

/// `gatehouse run` as that agent works, without its command.
fn under_run(house: &WebHouse) -> Result<Command> {
    let mut command = Command::new(program()?);
    command.args(["run", "--as", "agent:claude", "--target", "api", "--reason", "a test", "--"]);
    command.env("GATEHOUSE_ADMIN_SOCKET", house.fixture.data.join("admin.sock"));
    Ok(command)
}

fn is_the_same(client: &str) -> Result<()> {
    let house = WebHouse::start(NAMED, "")?;
    let direct = directly(&house, client)?;
    assert!(direct.lines().count() > 10, "{direct}");
    let dana = house.task("user:dana")?;
    similar(&by_address(&house, &dana, client)?, &direct, "by its address");
    similar(&by_proxy(&house, client)?, &direct, "by a proxy");
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

/// Uploads of unknown length go in chunks, and it speaks HTTP/2 to whoever can, behind a proxy as well.
#[test]
fn a_client_of_go() -> Result<()> {
    is_the_same("client_web.go")
}

/// Chromium finds the same site by every way to it.
#[test]
fn a_browser() -> Result<()> {
    let site = Served::start("browser_target.mjs", &[])?;
    let mut direct = Command::new(CLIENTS);
    direct.args(["client_browser.mjs"]).env("BASE", format!("http://127.0.0.1:{}/", site.port));
    let direct = printed(direct)?;
    assert!(direct.lines().count() > 40 && !direct.contains("failed"), "{direct}");
    let house = WebHouse::before(site, "names = [\"api.test\", \"api.localhost\"]", "", Setup::default())?;
    let dana = house.task("user:dana")?;
    let shown = |url: String| {
        let mut command = Command::new(CLIENTS);
        command.arg("client_browser.mjs").env("BASE", url);
        command.env("WEB_USER", &dana.user).env("WEB_PASSWORD", &dana.password);
        command
    };
    similar(&printed(shown(format!("{}/http/api/", house.base)))?, &direct, "by its address");
    let mut named = shown("http://api.localhost/".into());
    named.env("RESOLVE", format!("MAP api.localhost {}", house.base.trim_start_matches("http://")));
    similar(&printed(named)?, &direct, "by its name");
    similar(&by_proxy(&house, "client_browser.mjs")?, &direct, "by a proxy");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// A server of this machine that is no target, and whose certificate is good for an address that `NO_PROXY` does not have; with the
/// folder in which its authority is `authority.pem`.
fn elsewhere() -> Result<(Served, tempfile::TempDir)> {
    let folder = folder()?;
    let Certificates { authority, certificate, key } = certificates(ELSEWHERE)?;
    let write = |name: &str, content: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path.display().to_string())
    };
    let (certificate, key) = (write("server.pem", &certificate)?, write("server.key", &key)?);
    let authority = write("authority.pem", &authority)?;
    let environment = [
        ("ADDRESS", ELSEWHERE),
        ("CERTIFICATE", certificate.as_str()),
        ("KEY", key.as_str()),
        ("AUTHORITY", authority.as_str()),
        ("OPEN", "1"),
    ];
    Ok((Served::start("tls_target.mjs", &environment)?, folder))
}

/// A host that is reached unseen is verified by whom the caller believes, by every tool; targets go on being verified by the gateway's
/// own authority.
#[test]
fn hosts_that_are_reached_unseen_are_verified() -> Result<()> {
    let (server, folder) = elsewhere()?;
    let may = format!(
        "permit (principal in Group::\"agents\", action == Action::\"tunnel\", resource in Host::\"{ELSEWHERE}\");"
    );
    let house = WebHouse::start(NAMED, &may)?;
    let base = format!("https://{ELSEWHERE}:{}/told", server.port);
    let authority = folder.path().join("authority.pem");
    let run = |command: &[&str]| -> Result<Command> {
        let mut run = under_run(&house)?;
        run.args(command).env("SSL_CERT_FILE", &authority).env("BASE", &base);
        for name in ["SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"] {
            run.env_remove(name);
        }
        Ok(run)
    };
    let status = ["curl", "-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(printed(run(&[&status[..], &[base.as_str()]].concat())?)?, "200");
    assert_eq!(printed(run(&[&status[..], &["https://api.test/told"]].concat())?)?, "200", "a target");
    assert_eq!(printed(run(&[CLIENTS, "client_believes.py"])?)?, "urllib 200\nrequests 200\nhttpx 200\n");
    let count = "grep -c BEGIN \"$NODE_EXTRA_CA_CERTS\" \"$SSL_CERT_FILE\" \"$GIT_PROXY_SSL_CAINFO\" | sed 's/.*://'";
    assert_eq!(printed(run(&["sh", "-c", count])?)?, "1\n2\n2\n", "Node adds what it is told to its own");
    // Whoever does not believe the authority does not come to do so here.
    let mut other = run(&[&status[..], &[base.as_str()]].concat())?;
    other.env("SSL_CERT_FILE", house.fixture.data.join("keys/interception.crt"));
    assert!(printed(other).is_err());
    let records = house.fixture.records()?;
    let tunnels = records.iter().filter(|record| record["kind"] == "tunnel.opened" && record["host"] == ELSEWHERE);
    assert_eq!(tunnels.count(), 5, "nothing went past the gateway");
    Ok(())
}

/// Java's client finds the gateway, proves itself to it and believes it, by what its launcher is told.
#[test]
fn a_client_of_java() -> Result<()> {
    let house = WebHouse::start(NAMED, "")?;
    let mut command = under_run(&house)?;
    command.args([CLIENTS, "client_http.java"]).env("BASE", "https://api.test").env_remove("JDK_JAVA_OPTIONS");
    let output = command.stdin(Stdio::null()).output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.lines().filter(|line| line.starts_with("200 ")).count(), 2, "{out}");
    assert!(out.contains("masked.example") && !out.contains("lotte@corp"), "{out}");
    assert!(err.contains("JDK_JAVA_OPTIONS: @") && !err.contains("proxyPassword"), "{err}");
    Ok(())
}

/// A tunnel to a target carries HTTP as it is, too: clients open one for `ws://`, and others for `http://`.
#[test]
fn a_tunnel_to_a_target_carries_plain_http() -> Result<()> {
    let house = WebHouse::start(NAMED, "")?;
    let task = house.task("agent:claude")?;
    let curl = |arguments: &[&str]| -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "60", "--proxytunnel", "-w", " %{http_code} %{http_version}"]);
        curl.args(["--proxy-user", &format!("{}:{}", task.user, task.password), "--proxy", &house.base]);
        let output = curl.args(arguments).stdin(Stdio::null()).output()?;
        Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    };
    for (version, shown) in [("--http1.1", "200 1.1"), ("--http2-prior-knowledge", "200 2")] {
        let told = curl(&[version, "http://api.test/told"])?;
        assert!(told.contains("\"path\": \"/told\"") && told.ends_with(shown), "{version}: {told}");
        // Some versions of curl cannot ask twice on a connection of HTTP/2 that they began without TLS.
        let times = if version == "--http1.1" { 2 } else { 1 };
        let people = ["http://api.test/people"].repeat(times);
        let masked = curl(&[&[version][..], &people].concat())?;
        assert_eq!(masked.matches("200 ").count(), times, "one connection carries several: {masked}");
        assert!(masked.contains("masked.example") && !masked.contains("lotte@corp"), "{version}: {masked}");
        assert!(curl(&[version, "http://api.test/admin"])?.contains(" 403 "), "{version}: policy decides as ever");
        let elsewhere = curl(&[version, "-H", "Host: elsewhere.test", "http://api.test/told"])?;
        assert!(elsewhere.contains("is not whom this connection was opened to"), "{version}: {elsewhere}");
    }
    // A name without a port is for the usual ones, whatever is spoken at them.
    let other = curl(&["http://api.test:8080/told"])?;
    assert!(other.contains("403") && !other.contains("/told"), "{other}");
    assert!(curl(&["http://api.test:443/told"])?.contains("\"path\": \"/told\""));
    assert!(curl(&["-k", "https://api.test:80/told"])?.contains("\"path\": \"/told\""));
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// What policy names may be reached unseen, as long as its task lives; the record has its host.
#[test]
fn hosts_that_policy_names_are_reached_unseen() -> Result<()> {
    let other = web::target()?;
    let may = format!(
        "permit (principal in Group::\"agents\", action == Action::\"tunnel\", resource in Host::\"127.0.0.1\")\n\
         unless {{ resource == Host::\"127.0.0.1:1\" }};\n\
         permit (principal in Group::\"agents\", action == Action::\"tunnel\", resource)\n\
         when {{ [Host::\"localhost:{0}\", Host::\"127.1:{0}\", Host::\"2130706433:{0}\"].contains(resource) }};",
        other.port
    );
    let house = WebHouse::start("", &may)?;
    let task = house.task("agent:claude")?;
    let curl = |to: &str| -> Result<Command> {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--proxytunnel", "-w", "%{http_connect} %{http_code}"]);
        curl.args(["--proxy-user", &format!("{}:{}", task.user, task.password), "--proxy", &house.base, to]);
        curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(curl)
    };
    let reached = curl(&format!("http://127.0.0.1:{}/told", other.port))?.output()?;
    let told = String::from_utf8_lossy(&reached.stdout).into_owned();
    assert!(told.ends_with("200 200") && !told.contains(&task.password), "{told}");
    // A port that it does not name, and names that lead into the gateway's own network.
    for refused in [
        "http://127.0.0.1:1/".to_string(),
        format!("http://localhost:{}/told", other.port),
        // The gateway itself.
        format!("{}/http/api/told", house.base),
        format!("{}/healthz", house.fixture.api()?),
    ] {
        let output = curl(&refused)?.output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !output.status.success() && (told.ends_with("403 000") || told.ends_with("502 000")),
            "{refused}: {told}"
        );
    }
    let same = curl(&format!("http://[::ffff:127.0.0.1]:{}/told", other.port))?.output()?;
    assert!(String::from_utf8_lossy(&same.stdout).ends_with("200 200"), "an address is judged in one form");
    // Other ways to write it, which curl would write out.
    for odd in ["127.1", "2130706433"] {
        let shown = [("proxy-authorization", task.basic())];
        let shown = shown.each_ref().map(|(name, value)| (*name, value.as_str()));
        let refused = http::call(Door::Web(&house.base), "CONNECT", &format!("{odd}:{}", other.port), &shown, "")?;
        assert_eq!(refused.status, 502, "{odd}: {}", refused.body);
    }
    let mut endless = curl(&format!("http://127.0.0.1:{}/endless", other.port))?.args(["-N"]).spawn()?;
    let mut first = [0; 1];
    std::io::Read::read_exact(endless.stdout.as_mut().context("what curl says")?, &mut first)?;
    // One that policy permits no more ends.
    let mut other_way = curl(&format!("http://127.0.0.1:{}/endless", other.port))?.args(["-N"]).spawn()?;
    std::io::Read::read_exact(other_way.stdout.as_mut().context("what curl says")?, &mut first)?;
    let policies = house.fixture.folder.path().join("gatehouse/policies/test.cedar");
    let before = std::fs::read_to_string(&policies)?;
    std::fs::write(&policies, format!("{before}\nforbid (principal, action == Action::\"tunnel\", resource);\n"))?;
    let gateway = house.fixture.gateway_pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    kill_process(gateway.context("the gateway")?, Signal::HUP)?;
    assert!(!other_way.wait()?.success());
    std::fs::write(&policies, before)?;
    let begun = std::time::Instant::now();
    house.fixture.json(&["task", "end", &task.task])?;
    assert!(!endless.wait()?.success());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "it ended with its task, not with its own time");
    let mut closed = Vec::new();
    wait_until("the ends are recorded", || {
        closed = house.fixture.records()?.into_iter().filter(|record| record["kind"] == "tunnel.closed").collect();
        Ok(closed.len() == 7)
    })?;
    let records = house.fixture.records()?;
    let opened: Vec<_> = records.iter().filter(|record| record["kind"] == "tunnel.opened").collect();
    assert_eq!(opened.len(), 7, "four that were carried, and three that led inwards");
    assert_eq!((&opened[0]["host"], &opened[0]["port"]), (&"127.0.0.1".into(), &other.port.into()));
    assert!(closed[0]["received"].as_u64() > Some(100), "{closed:?}");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn hosts_that_are_no_targets_are_refused_and_none_is_mistaken() -> Result<()> {
    let house = WebHouse::start(NAMED, "permit (principal, action == Action::\"tunnel\", resource);")?;
    let task = house.task("agent:claude")?;
    // A target that is known by its name is none by its address either.
    let by_name = house.fixture.config();
    let said = std::fs::read_to_string(&by_name)?;
    let other = web::target()?;
    let more = format!("\n[targets.byname]\nprotocol = \"http\"\naddress = \"localhost:{}\"\n", other.port);
    std::fs::write(&by_name, format!("{said}{more}"))?;
    wait_until("the target is known", || Ok(house.fixture.json(&["targets", "ls"])?.to_string().contains("byname")))?;
    for spelling in [format!("127.0.0.1:{}", other.port), format!("[::ffff:7f00:1]:{}", other.port)] {
        let basic = task.basic();
        let shown = [("proxy-authorization", basic.as_str())];
        let refused = http::call(Door::Web(&house.base), "CONNECT", &spelling, &shown, "")?;
        assert!(matches!(refused.status, 403 | 502), "{spelling}: {}", refused.status);
    }
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
    // Nothing leads round the gateway to a target, by whatever name, although policy permits every host.
    let shown = [("proxy-authorization", task.basic())];
    let shown = shown.each_ref().map(|(name, value)| (*name, value.as_str()));
    for own in [
        format!("127.0.0.1:{}", house.target.port),
        format!("[::ffff:7f00:1]:{}", house.target.port),
        "api.test.:8443".into(),
    ] {
        let refused = http::call(Door::Web(&house.base), "CONNECT", &own, &shown, "")?;
        assert!(refused.status == 403 && refused.body.contains("nobody goes round"), "{own}: {}", refused.body);
    }
    let unreached = http::call(Door::Web(&house.base), "CONNECT", "elsewhere.test:443", &shown, "")?;
    assert_eq!(unreached.status, 502);
    let refused = curl(&["-x", &proxy, "http://elsewhere.test/"])?;
    assert!(refused.contains("there is no target at this address") && refused.contains("--proxytunnel"), "{refused}");
    let recorded = house.fixture.records()?;
    let tunnels: Vec<&str> = recorded
        .iter()
        .filter(|record| record["kind"] == "tunnel.refused")
        .filter_map(|record| record["cause"].as_str())
        .collect();
    assert!(tunnels.iter().any(|cause| cause.contains("nobody goes round")), "{tunnels:?}");
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
