//! Secrets and raw values are nowhere: not in the data folder, the logs, nor a process's arguments or environment.

use gatehouse_conformance::{Fixture, Setup};

fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn holds(content: &[u8], needle: &str) -> bool {
    content.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn secrets_and_raw_values_are_nowhere() -> anyhow::Result<()> {
    let policies = gatehouse_conformance::fixture::POLICIES.to_string()
        + "permit (principal in Group::\"dba\", action, resource);";
    let mut fixture = Fixture::start(Setup { policies, target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let (agent, dba) = (fixture.task("agent:claude", "10m")?, fixture.task("user:dana", "10m")?);
    let token = fixture.json(&["login", "--as", "user:dana"])?["token"].as_str().unwrap_or_default().to_string();
    assert!(token.starts_with("ghu_"));

    fixture.psql(&agent, "select * from customers limit 50")?;
    fixture.psql(&agent, "update customers set full_name = 'Newname Typed' where id = 1")?;
    fixture.psql(
        &dba,
        "insert into customers (id, full_name, email) values (300, 'Newname Typed', 'typed@example.net')",
    )?;
    fixture.psql(&dba, "update customers set ssn = '212-34-5678' where email = 'raw.person3@example.org'")?;
    fixture.psql(&dba, "select count(*) from customers where full_name = 'Realname4 Rawlings4'")?;
    fixture.psql(&dba, "create role somebody password 'chosen-secret'")?;
    fixture.psql(&dba, "select 'jwt', 'ghp_0123456789abcdefghijklmnopqrstuvwxyzAB'")?;

    let run = fixture.command(&[
        "run", "--as", "agent:claude", "--target", "shop", "--reason", "look around", "--", "sh", "-c",
        "tr '\\0' '\\n' < /proc/self/environ; cat /proc/$PPID/cmdline /proc/$PPID/environ; psql -X -c 'select 1' >/dev/null && cat $PGPASSFILE >&2",
    ])?;
    let passfile = String::from_utf8(run.stderr)?;
    let issued = passfile.trim().rsplit(':').next().unwrap_or_default().to_string();
    assert!(issued.starts_with("gh_"), "{passfile}");
    assert!(!holds(&run.stdout, &issued), "the credential is in no environment and no argument");

    let secrets = [agent.password.as_str(), &dba.password, &fixture.secret.clone(), &token, &issued, "chosen-secret"];
    if let Some(pid) = fixture.gateway_pid() {
        for place in ["cmdline", "environ"] {
            let content = std::fs::read(format!("/proc/{pid}/{place}"))?;
            assert!(secrets.iter().all(|secret| !holds(&content, secret)), "{place}");
        }
    }
    fixture.stop_gateway()?;
    let raw = [
        "raw.person",
        "Realname",
        "Rawlings",
        "Newname Typed",
        "typed@example.net",
        "212-34-5678",
        "202-555-01",
        "4111 1111",
    ];
    let mut found = vec![fixture.log()];
    files(&fixture.data, &mut found)?;
    assert!(found.len() > 6, "{found:?}");
    for path in found {
        let content = std::fs::read(&path)?;
        for needle in secrets.iter().chain(&raw) {
            assert!(!holds(&content, needle), "{} holds `{needle}`", path.display());
        }
    }
    Ok(())
}
