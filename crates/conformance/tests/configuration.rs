//! Configuration: every mistake is named by file, line and remedy; changed files come into force whole or not at all.

use anyhow::Context as _;
use gatehouse_conformance::fixture::wait_until;
use gatehouse_conformance::{Fixture, Setup};
use gatehouse_mask::{Counts, Outcome, PseudonymKey};
use gatehouse_model::{Column, Encoding, Parent, Provenance, Resource, Shape, ShapeRole, ValueKind, kind};

/// What is changed of a good configuration, into what, which line has it then, and what is said of it.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("user = \"gatehouse\"", "usre = \"gatehouse\"", "usre", "unknown field `usre`; did you mean `user`?"),
    (
        "[users.dana]",
        "[classes.salary]\ncolumns = [\"salary\"]\n[users.dana]",
        "[classes.salary]",
        "the class `salary` is not built in and has no mask",
    ),
    (
        "[targets.shop]",
        "[targets.web]\nprotocol = \"http\"\naddress = \"http://api.internal:80\"\n[targets.shop]",
        "http://api.internal",
        "the address `http://api.internal:80` is not HOST:PORT",
    ),
    ("protocol = \"postgres\"", "protocol = \"postgers\"", "postgers", "there is no protocol `postgers`"),
    ("password = \"file:shop.secret\"", "password = \"hunter2\"", "hunter2", "is no reference to a secret"),
    ("password = \"file:shop.secret\"", "password = \"file:nowhere\"", "nowhere", "cannot be read"),
    ("groups = [\"dba\"]", "groups = [\"d b a\"]", "d b a", "is not a valid group name"),
    ("address = \"127.0.0.1:0\"\n\n[api]", "address = \"0.0.0.0:0\"\n\n[api]", "[listen.postgres]", "needs TLS"),
    (
        "[targets.shop]",
        "[targets.shop.columns]\n\"a.b\" = \"email\"\n[targets.shop]",
        "\"a.b\"",
        "is not schema.table.column",
    ),
    (
        "[targets.shop]",
        "[targets.shop.columns]\n\"a.b.c\" = \"emial\"\n[targets.shop]",
        "\"a.b.c\"",
        "there is no class `emial`",
    ),
    (
        "[targets.shop]",
        "[targets.shop.documents]\n\"a.b\" = { \"x\" = \"email\" }\n[targets.shop]",
        "\"a.b\"",
        "is not schema.table.column",
    ),
    (
        "[targets.shop]",
        "[targets.shop.documents.\"a.b.c\"]\n\"x.y\" = \"email\"\n\"$.x\" = \"email\"\n[targets.shop]",
        "\"$.x\"",
        "`$.x` leads to no field: a path begins with a name, not with `$`",
    ),
    (
        "[targets.shop]",
        "[targets.shop.documents.\"a.b.c\"]\n\"items[0].y\" = \"email\"\n[targets.shop]",
        "\"items[0].y\"",
        "the places of a list are not told apart in a path",
    ),
    (
        "[targets.shop]",
        "[targets.shop.documents.\"a.b.c\"]\n\"x.y\" = \"emial\"\n[targets.shop]",
        "\"x.y\"",
        "there is no class `emial`",
    ),
    (
        "[targets.shop]",
        "[targets.shop.columns]\n\"a..c\" = \"email\"\n[targets.shop]",
        "\"a..c\"",
        "is not schema.table.column",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\".a.b\" = \"email\"\n\"[].c\" = \"email\"\n\"$.a.b\" = \"email\"\n[targets.web]\n\
             protocol = \"http\"\naddress = \"127.0.0.1:1\"\n[targets.shop]",
        "\"$.a.b\"",
        "`$.a.b` leads to no field: a path begins with a name, not with `$`",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"/a/b\" = \"email\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"/a/b\"",
        "`/a/b` leads to no field: the path is not names with dots between them",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"a->b\" = \"clear\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"a->b\"",
        "`a->b` leads to no field: the path is not names with dots between them",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"[*].a\" = \"email\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"[*].a\"",
        "the places of a list are not told apart in a path",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"items[0].a\" = \"email\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"items[0].a\"",
        "the places of a list are not told apart in a path",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"a..b\" = \"email\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"a..b\"",
        "`a..b` leads to no field: a name is missing in the path",
    ),
    (
        "[targets.shop]",
        "[targets.web.fields]\n\"\" = \"email\"\n[targets.web]\nprotocol = \"http\"\n\
             address = \"127.0.0.1:1\"\n[targets.shop]",
        "\"\" = ",
        "`` leads to no field: a name is missing in the path",
    ),
    (
        "[listen.postgres]",
        "[listen.postgres]\ndomain = \"gw.example\"",
        "gw.example",
        "is no domain below which targets are reached over HTTP",
    ),
    (
        "[targets.shop]",
        "[targets.shop]\nignore_case = true",
        "ignore_case",
        "ignore_case is not for targets that speak postgres",
    ),
    (
        "[targets.shop]",
        "[listen.http]\naddress = \"127.0.0.1:0\"\ndomain = \"*.gw.example\"\n[targets.shop]",
        "*.gw.example",
        "is no domain below which targets are reached over HTTP",
    ),
    (
        "[targets.shop]",
        "[listen.http]\naddress = \"127.0.0.1:0\"\n[targets.web]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\n\
             headers = [\"Cookie\"]\n[targets.shop]",
        "Cookie",
        "`cookie` is no field of requests that policy can be shown",
    ),
    (
        "[targets.shop]",
        "[targets.web]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\ngraphql = [\"/graphql\", \"graphql\"]\n[targets.shop]",
        "graphql = ",
        "`graphql` is no path, so nothing that is asked for is ever read as GraphQL by it",
    ),
    (
        "[targets.shop]",
        "[targets.web]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\nopenapi = \"nowhere.yaml\"\n[targets.shop]",
        "openapi = ",
        "There is no such file",
    ),
    ("[api]", "[api]\nurl = \"gateway.example\"", "gateway.example", "not where an API can be reached"),
    ("[api]", "[api]\nurl = \"https://dana:secret@gateway.example\"", "dana:secret", "not where an API can be reached"),
    (
        "[users.dana]",
        "[oidc]\nissuer = \"http://id.example\"\nclient_id = \"x\"\n[users.dana]",
        "id.example",
        "is no issuer",
    ),
    (
        "[users.dana]",
        "[oidc]\nissuer = \"https://id.example\"\nclient_id = \"x\"\nclient_secret = \"hunter2\"\n[users.dana]",
        "hunter2",
        "is no reference to a secret",
    ),
    (
        "[users.dana]",
        "[oidc]\nissuer = \"https://id.example\"\nclient_id = \"x\"\nsession_secs = 99999\n[users.dana]",
        "session_secs",
        "is not between 1 and",
    ),
    (
        "[users.dana]",
        "[oidc]\nissuer = \"https://id.example\"\nclient_id = \"x\"\ntls_authorities = \"nowhere\"\n[users.dana]",
        "nowhere",
        "Name a PEM file",
    ),
    (
        "[users.dana]",
        "[oidc]\nissuer = \"https://id.example\"\nclient_id = \"x\"\ngroups = { a = \"d b a\" }\n[users.dana]",
        "d b a",
        "is not a valid group name",
    ),
    ("[users.dana]", "[limits]\nframe_bytes_max = 1\n[users.dana]", "frame_bytes_max", "is too small"),
    ("[users.dana]", "[limits]\nheld_body_bytes_max = 1023\n[users.dana]", "held_body_bytes_max", "Use at least 1024"),
    (
        "[users.dana]",
        "[limits]\nheld_body_bytes_max = 4096\nheld_bodies_bytes_max = 4095\n[users.dana]",
        "held_bodies_bytes_max",
        "Use at least 4096",
    ),
];

#[test]
fn check_names_file_line_and_remedy() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let good = std::fs::read_to_string(fixture.config())?;
    let config = fixture.folder.path().join("gatehouse/other.toml");
    let policies = fixture.folder.path().join("gatehouse/policies/other.cedar");
    let check = |text: &str| -> anyhow::Result<String> {
        std::fs::write(&config, text)?;
        let output = fixture.command(&["check", "--config", &config.display().to_string()])?;
        Ok(format!("{} {}", output.status.success(), String::from_utf8(output.stdout)?))
    };
    assert!(check(&good)?.starts_with("true"), "{}", check(&good)?);
    for (from, to, line_of, expected) in WRONG {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        let line = text.lines().position(|line| line.contains(line_of)).map(|line| line + 1).unwrap_or_default();
        let said = check(&text)?;
        assert!(said.starts_with("false") && said.contains(expected), "{said}");
        assert!(said.contains(&format!("other.toml:{line}:")), "line {line}: {said}");
        assert!(!said.contains("hunter2"), "a secret in the wrong place is not repeated: {said}");
    }
    for (fields, is_too_many) in [(256, false), (257, true)] {
        let fields: String = (0..fields).map(|number| format!("\"x{number}\" = \"email\"\n")).collect();
        let table = format!("[targets.shop.documents.\"a.b.c\"]\n{fields}[targets.shop]");
        let said = check(&good.replacen("[targets.shop]", &table, 1))?;
        assert_eq!(said.contains("there are more than 256 fields of `a.b.c`"), is_too_many, "{said}");
    }
    std::fs::write(
        &policies,
        "permit (principal, action, resource);\n\npermit (principal, action == Action::\"sql:selct\", resource);\n",
    )?;
    let said = check(&good)?;
    assert!(said.contains("other.cedar:3:") && said.contains("sql:selct"), "{said}");
    std::fs::write(&policies, "@hold(\"nobody\") @id(\"x\") permit (principal, action, resource);\n")?;
    assert!(check(&good)?.contains("nobody in that group may approve"));
    Ok(())
}

#[test]
fn changed_policies_come_into_force_and_broken_ones_do_not() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let policies = fixture.folder.path().join("gatehouse/policies/test.cedar");
    let good = std::fs::read_to_string(&policies)?;
    let reads = || Ok(fixture.psql(&agent, "select count(*) from orders")?.trim() == "200");
    assert!(reads()?);

    std::fs::write(&policies, good.replace("Action::\"sql:read\"", "Action::\"sql:raed\""))?;
    wait_until("the mistake is shown", || Ok(std::fs::read_to_string(fixture.log())?.contains("sql:raed")))?;
    assert!(reads()?, "the last good ones are kept");

    std::fs::write(
        &policies,
        format!("{good}\n@id(\"closed\") forbid (principal, action == Action::\"sql:select\", resource);"),
    )?;
    wait_until("the new policy is in force", || Ok(!reads()?))?;
    assert!(fixture.psql(&agent, "select count(*) from orders")?.contains("policy closed"));
    std::fs::write(&policies, good)?;
    wait_until("the old policy is back", reads)?;
    let loaded = fixture.records()?.iter().filter(|record| record["kind"] == "policies.loaded").count();
    assert_eq!(loaded, 3, "each revision is on the record, and no broken one");
    assert!(fixture.verify()?.starts_with("sound: "));
    Ok(())
}

#[test]
fn a_mistake_is_mended_where_it_stands() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let home = fixture.folder.path().join("gatehouse");
    let (config, other) = (home.join("gatehouse.toml"), home.join("other"));
    std::fs::create_dir(&other)?;
    std::fs::write(other.join("new.cedar"), "permit (principal, action == Action::\"sql:raed\", resource);\n")?;
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("policies.directory = \"other\"\n{text}"))?;
    wait_until("the mistake is shown", || Ok(std::fs::read_to_string(fixture.log())?.contains("sql:raed")))?;
    let good = "@id(\"elsewhere\") forbid (principal, action == Action::\"sql:select\", resource);\n\
                permit (principal, action, resource);\n";
    std::fs::write(other.join("new.cedar"), good)?;
    wait_until("what was mended is in force", || {
        Ok(fixture.psql(&agent, "select count(*) from orders")?.contains("policy elsewhere"))
    })
}

#[test]
fn an_identity_that_is_taken_away_loses_its_sessions() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut psql = fixture.psql_command(&agent);
    let mut child = psql
        .args(["-c", "select count(*) from generate_series(1, 1000000000)"])
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    wait_until("the session lives", || Ok(fixture.json(&["targets", "ls"])?[0]["sessions"] == 1))?;
    let config = std::fs::read_to_string(fixture.config())?;
    std::fs::write(fixture.config(), config.replace("[agents.claude]", "[agents.claudia]"))?;
    wait_until("the session is cut", || Ok(child.try_wait()?.is_some()))?;
    let said = fixture.psql(&agent, "select 1")?;
    assert!(said.contains("the task has ended"), "{said}");
    Ok(())
}

#[test]
fn the_api_is_closed_without_a_token_and_administration_over_tcp() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let url = fixture.api()?;
    let token = fixture.folder.path().join("token");
    let path = token.display().to_string();
    fixture.command(&["login", "--as", "user:dana", "-o", &path])?;
    let over_tcp = |arguments: &[&str]| -> anyhow::Result<(bool, String)> {
        let output = fixture.command(&[arguments, &["--api", url.as_str(), "--token-file", path.as_str()]].concat())?;
        Ok((output.status.success(), String::from_utf8(output.stderr)?))
    };
    assert!(over_tcp(&["requests", "ls"])?.0, "{url}: {:?}", over_tcp(&["requests", "ls"])?);
    for forbidden in [
        vec!["task", "start", "--as", "agent:claude", "--target", "shop", "--reason", "x"],
        vec!["revoke", "tsk-000000000000"],
        vec!["kill", "ses-000000000000"],
        vec!["lockdown", "begin", "all", "--reason", "x"],
        vec!["login", "--as", "user:dana"],
        vec!["login", "--as", "user:dana", "--link"],
    ] {
        let (worked, said) = over_tcp(&forbidden)?;
        let refused =
            ["does not administer", "made at the admin socket", "for themselves"].iter().any(|why| said.contains(why));
        assert!(!worked && refused, "{forbidden:?}: {said}");
    }
    std::fs::write(&token, "ghu_guessed")?;
    let (worked, said) = over_tcp(&["requests", "ls"])?;
    assert!(!worked && said.contains("no valid token"), "{said}");
    Ok(())
}

#[test]
fn a_token_shows_only_what_its_holder_oversees() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let support = fixture.task("user:sam", "10m")?;
    fixture.psql(&support, "select email from customers where id = 8")?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, "update customers set tier = 'gold' where id = 8")?;
    let session = fixture.json(&["sessions", "ls"])?;
    let id = session.as_array().and_then(|all| all.last()?["id"].as_str()).unwrap_or_default().to_string();
    let url = fixture.api()?;
    for (user, oversees) in [("user:dana", true), ("user:nina", false), ("user:sam", false)] {
        let token = fixture.folder.path().join("token").display().to_string();
        fixture.command(&["login", "--as", user, "-o", &token])?;
        let over_tcp = |arguments: &[&str]| -> anyhow::Result<String> {
            let output =
                fixture.command(&[arguments, &["--api", url.as_str(), "--token-file", token.as_str()]].concat())?;
            Ok(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
        };
        let bundle = fixture.folder.path().join("theirs.tar").display().to_string();
        assert_eq!(over_tcp(&["replay", &id])?.contains("raw.person8"), oversees, "{user}");
        assert_eq!(over_tcp(&["requests", "ls"])?.contains("req-"), oversees, "{user}");
        assert_eq!(
            over_tcp(&["evidence", "export", "--session", &id, "-o", &bundle, "--force"])?.contains("bytes"),
            oversees,
            "{user}"
        );
        assert!(
            !over_tcp(&["evidence", "export", "-o", &bundle, "--force"])?.contains("bytes"),
            "all of it is for administrators"
        );
    }
    Ok(())
}

#[test]
fn a_class_that_changes_its_mask_keeps_its_names_and_its_detector() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup { config: "[classes.email]\nmask = \"redact\"\n".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let said = fixture.psql(&agent, "select email, note from customers where id = 8")?;
    assert!(said.starts_with("[redacted:email]|call [redacted:email] about"), "{said}");
    Ok(())
}

#[test]
fn a_class_that_changes_its_names_keeps_its_mask() -> anyhow::Result<()> {
    let config = "[classes.email]\ncolumns = [\"note\"]\n".into();
    let fixture = Fixture::start(Setup { config, ..Setup::default() })?;
    let config = fixture.config().display().to_string();
    let checked = fixture.command(&["check", "--config", &config])?;
    anyhow::ensure!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let loaded = gatehouse::load::load(&fixture.config(), PseudonymKey::new([7; 32]))
        .map_err(|faults| anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<String>()))?;
    let classes = &loaded.targets.get("shop").context("the target")?.classes.0;
    let email = gatehouse_model::ClassName::new("email")?;
    let before = gatehouse_mask::Classes::builtin().into_iter().find(|rule| rule.name == email).context("the class")?;
    assert_eq!(classes.transform(&email), before.transform);
    assert_eq!(classes.column("public.customers", "note"), [email]);
    Ok(())
}

#[test]
fn an_index_that_is_lost_is_built_anew() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    fixture.psql(&agent, "select 1")?;
    // psql may be gone a moment before the gateway has seen it go.
    wait_until("the session is closed", || Ok(fixture.json(&["sessions", "ls"])?[0]["cause"] == "the client left"))?;
    let sessions = fixture.json(&["sessions", "ls"])?;
    fixture.json(&["lockdown", "begin", "agent:other", "--reason", "a test"])?;
    let lockdowns = fixture.json(&["lockdown", "ls"])?;
    fixture.stop_gateway()?;
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(fixture.data.join(file));
    }
    fixture.start_gateway()?;
    assert_eq!(fixture.json(&["sessions", "ls"])?, sessions);
    assert_eq!(fixture.json(&["lockdown", "ls"])?, lockdowns, "it is in force still");
    assert_eq!(
        fixture.json(&["tasks", "show", &agent.task])?["state"],
        "revoked",
        "its verifier is gone, so it is too"
    );
    Ok(())
}

#[test]
fn groups_that_are_taken_away_end_the_sessions_that_stood_on_them() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let agent = fixture.task("agent:claude", "10m")?;
    let mut psql = fixture.psql_command(&agent);
    psql.args(["-c", "select count(*) from generate_series(1, 1000000000)"]);
    let mut child = psql.stderr(std::process::Stdio::piped()).spawn()?;
    wait_until("the session lives", || Ok(fixture.json(&["targets", "ls"])?[0]["sessions"] == 1))?;
    let config = std::fs::read_to_string(fixture.config())?;
    let without = config.replacen("[agents.claude]\ngroups = [\"agents\"]", "[agents.claude]\ngroups = []", 1);
    assert_ne!(config, without);
    std::fs::write(fixture.config(), without)?;
    wait_until("the session is cut", || Ok(child.try_wait()?.is_some()))?;
    Ok(())
}

#[test]
fn a_value_has_another_pseudonym_at_each_target() -> anyhow::Result<()> {
    let fixture = Fixture::start(Setup::default())?;
    let twin = "[targets.twin]\nprotocol = \"postgres\"\naddress = \"127.0.0.1:1\"\nuser = \"gatehouse\"\n\
                password = \"file:shop.secret\"\n[classes.email]\nmask = \"pseudonym\"\n";
    let config = fixture.folder.path().join("gatehouse/twin.toml");
    std::fs::write(&config, format!("{}\n{twin}", std::fs::read_to_string(fixture.config())?))?;
    let loaded = gatehouse::load::load(&config, PseudonymKey::new([7; 32]))
        .map_err(|faults| anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<String>()))?;

    let text = ValueKind::Text { chars_max: None };
    let class = Parent { kind: kind::CLASS, id: "email".into() };
    let provenance = Provenance::Copy(Resource::new("Column", "x/public.customers.email", [class]));
    let column = Column { name: "email".into(), provenance, kind: text, encoding: Encoding::Text };
    let shape = Shape { role: ShapeRole::Rows, columns: vec![column] };
    let pseudonym = |target: &str| -> anyhow::Result<String> {
        let classes = &loaded.targets.get(target).context("the target")?.classes;
        let plan = classes.plan(&shape, &mut |_| false, &mut |_| false, &|_| false);
        let mut out = Vec::new();
        let outcome =
            plan.apply(classes, 0, text, Encoding::Text, b"bob@example.com", &mut out, &mut Counts::default());
        anyhow::ensure!(outcome == Outcome::Replace, "{outcome:?}");
        Ok(String::from_utf8(out)?)
    };
    let (shop, twin) = (pseudonym("shop")?, pseudonym("twin")?);
    anyhow::ensure!(shop.ends_with("@masked.example") && twin.ends_with("@masked.example"), "{shop} {twin}");
    anyhow::ensure!(shop != twin && shop == pseudonym("shop")?, "{shop} {twin}");
    Ok(())
}

/// A misspelt column protects nothing, which is not found before the catalog is read.
#[test]
fn columns_that_are_not_there_are_told() -> anyhow::Result<()> {
    const WARNED: &str = "the configuration names columns that are not what it takes them for";
    let target = "[targets.shop.columns]\n\"public.custmers.note\" = \"email\"\n\"public.customers.nmae\" = \"email\"\n\
                  \"public.customers.note\" = \"email\"\n[targets.shop.documents]\n\
                  \"public.customers.tier\" = { contact = \"email\" }\n\
                  \"public.customers.profile\" = { \"contact.email\" = \"email\" }\n";
    let fixture = Fixture::start(Setup { target: target.into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    let misnamed = || -> anyhow::Result<Vec<String>> {
        let shown = fixture.json(&["targets", "show", "shop"])?;
        let lines = shown["misnamed"].as_array().into_iter().flatten();
        Ok(lines.filter_map(|line| line.as_str().map(String::from)).collect())
    };
    let warned = || -> anyhow::Result<usize> { Ok(std::fs::read_to_string(fixture.log())?.matches(WARNED).count()) };
    assert_eq!(fixture.psql(&agent, "select 1")?.trim(), "1");
    let expected = [
        "\"public.custmers.note\" in [targets.shop.columns]: there is no table public.custmers",
        "\"public.customers.nmae\" in [targets.shop.columns]: public.customers has no column nmae",
        "\"public.customers.tier\" in [targets.shop.documents]: it is neither json nor jsonb, and is masked as a whole",
    ];
    assert_eq!(misnamed()?, expected);
    let page = fixture.command(&["targets", "show", "shop"])?;
    assert!(String::from_utf8(page.stdout)?.contains("public.customers has no column nmae"));
    // For what it does not know the catalog is read once more.
    assert!(fixture.psql(&agent, "select * from nowhere")?.contains("nowhere"));
    assert_eq!(warned()?, 1, "once");

    let config = std::fs::read_to_string(fixture.config())?;
    let mended = config.replace("public.custmers.note", "public.orders.note");
    std::fs::write(fixture.config(), &mended)?;
    wait_until("what is mended is not told any more", || Ok(misnamed()?.len() == 2))?;
    wait_until("what is left is told", || Ok(warned()? == 2))?;
    let mended = mended.replace("customers.nmae", "customers.full_name");
    let mended = mended.replace("\"public.customers.tier\" = { contact = \"email\" }\n", "");
    std::fs::write(fixture.config(), mended)?;
    wait_until("all is mended", || Ok(misnamed()?.is_empty()))?;
    assert_eq!(warned()?, 2);
    Ok(())
}

/// What counts at the start alone is told, and nobody is sent past the gateway meanwhile.
#[test]
fn a_listener_that_is_new_counts_at_the_next_start() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let config = std::fs::read_to_string(fixture.config())?;
    let billing =
        "[listen.http]\naddress = \"127.0.0.1:0\"\n[targets.billing]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\n";
    std::fs::write(fixture.config(), format!("limits.connections_max = 7\n{config}{billing}"))?;
    let logged = |text: &str| -> anyhow::Result<bool> { Ok(std::fs::read_to_string(fixture.log())?.contains(text)) };
    wait_until("the listener is told of", || logged("[listen.http] counts at the next start"))?;
    wait_until("so is the limit", || logged("limits.connections_max counts at the next start"))?;
    assert!(!logged("[listen.postgres] counts")?, "what did not change is not");

    let who = ["--as", "agent:claude", "--target", "billing", "--reason", "a test"];
    let refused = fixture.json(&[&["task", "start"][..], &who].concat());
    let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refused.contains("nothing listens for target billing: [listen.http] counts at the next start"),
        "{refused}"
    );
    let output = fixture.command(&[&["run"][..], &who, &["--", "echo", "it runs"]].concat())?;
    let (said, complained) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(!output.status.success() && !said.contains("it runs"), "{said}");
    assert!(complained.contains("nothing listens for target billing"), "{complained}");
    // Whatever something listens for is as it was.
    fixture.task("agent:claude", "1m")?;

    fixture.stop_gateway()?;
    fixture.start_gateway()?;
    let started = fixture.json(&[&["task", "start"][..], &who].concat())?;
    assert!(started["addresses"]["billing"].is_string(), "{started}");
    Ok(())
}
