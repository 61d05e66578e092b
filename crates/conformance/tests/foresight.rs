//! What the gateway says beforehand of a statement is what it does with it, with a database and without; and what other
//! policies would have said to what was done.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use expect_test::expect;
use gatehouse_conformance::fixture::{Fixture, Setup};
use gatehouse_conformance::web::WebHouse;
use serde_json::Value;

/// Statements of which each is one of an agent, and what psql is shown of it.
const STATEMENTS: [&str; 14] = [
    "select id, tier from customers where id = 1",
    "select id, email, upper(full_name) as loud, count(*) over () from customers where id = 1",
    "select reach_at, shouted from contacts where id = 1",
    "select * from customers where email = 'a@example.org'",
    "select row_to_json(c) from customers c where id = 1",
    "update orders set total = 2 where id = 1",
    "update orders set total = 2",
    "insert into orders (id, note) select id, email from customers where id = 1",
    "drop table orders",
    "select leak(1)",
    "select pg_read_file('/etc/passwd')",
    "explain analyze select 1 from customers where ssn = '1'",
    "selec 1",
    "show server_version_num",
];

fn explained(fixture: &Fixture, statement: &str) -> Result<Value> {
    fixture.json(&["explain", "--target", "shop", "--identity", "agent:claude", statement])
}

/// What is foreseen in a line.
fn line(view: &Value) -> String {
    let texts = |list: &Value, shown: &dyn Fn(&Value) -> String| {
        list.as_array().into_iter().flatten().map(shown).collect::<Vec<_>>().join(", ")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let columns = texts(&view["columns"], &|column| {
        format!("{} {}", text(&column["name"]), column["class"].as_str().unwrap_or(&text(&column["shown"])))
    });
    let accesses =
        texts(&view["accesses"], &|access| format!("{} on {}", text(&access["action"]), text(&access["resource"])));
    let accesses = if accesses.len() > 200 {
        format!("{} accesses", view["accesses"].as_array().map_or(0, Vec::len))
    } else {
        accesses
    };
    let said = format!("{} [{}]\n  {accesses}\n  {columns}", text(&view["verdict"]), texts(&view["policies"], &text));
    said.trim_end().to_string()
}

#[test]
fn what_is_foreseen_is_what_is_done() -> Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let mut table = String::new();
    let mut verdicts = Vec::new();
    for statement in STATEMENTS {
        let view = explained(&fixture, statement)?;
        writeln!(table, "{statement}\n  {}", line(&view))?;
        verdicts.push((statement, view["verdict"].as_str().context("a verdict")?.to_string()));
    }
    ensure!(fixture.records()?.iter().all(|record| record["operation.decided"].is_null()), "nothing was asked yet");
    // Whom policy does not let connect, or a person has shut out, asks nothing.
    let by = |identity: &str| fixture.json(&["explain", "--target", "shop", "--identity", identity, "select 1"]);
    ensure!(by("user:nina")?["verdict"] == "deny" && by("user:sam")?["verdict"] == "allow");
    fixture.command(&["lockdown", "begin", "agent:other", "--reason", "a test"])?;
    let shut = by("agent:other")?;
    ensure!(shut["verdict"] == "deny" && shut["reasons"].to_string().contains("agent:other is shut"), "{shut}");
    let agent = fixture.task("agent:claude", "10m")?;
    for (statement, verdict) in &verdicts {
        let said = fixture.psql(&agent, statement)?;
        let done = match &said {
            said if said.contains("needs approval") => "hold",
            said if said.contains("ERROR:") => "deny",
            _ => "allow",
        };
        assert_eq!((done, *statement), (verdict.as_str(), *statement), "{said}");
    }
    expect![[r#"
        select id, tier from customers where id = 1
          allow [agents-read]
          sql:select on Table shop/public.customers
          id clear, tier scanned
        select id, email, upper(full_name) as loud, count(*) over () from customers where id = 1
          allow [agents-read]
          sql:select on Table shop/public.customers
          id clear, email email, loud hidden, count scanned
        select reach_at, shouted from contacts where id = 1
          allow [agents-read]
          sql:select on Table shop/public.contacts
          reach_at email, shouted hidden
        select * from customers where email = 'a@example.org'
          deny []
          probe on Column shop/public.customers.email, sql:select on Table shop/public.customers
          id clear, full_name person_name, email email, ssn us_ssn, phone phone, birth_date date_of_birth, tier scanned, profile scanned, note scanned
        select row_to_json(c) from customers c where id = 1
          allow [agents-read]
          sql:select on Table shop/public.customers
          row_to_json hidden
        update orders set total = 2 where id = 1
          hold [agents-write]
          sql:select on Table shop/public.orders, sql:update on Table shop/public.orders
        update orders set total = 2
          deny [blind-writes]
          sql:update on Table shop/public.orders
        insert into orders (id, note) select id, email from customers where id = 1
          deny []
          probe on Column shop/public.customers.email, reveal on Column shop/public.customers.email, sql:insert on Table shop/public.orders, sql:select on Table shop/public.customers
        drop table orders
          deny [no-destroy]
          sql:drop on Table shop/public.orders
        select leak(1)
          deny []
          sql:call on Function shop/public.leak
          leak hidden
        select pg_read_file('/etc/passwd')
          deny []
          sql:admin on Function shop/pg_catalog.pg_read_file
          pg_read_file hidden
        explain analyze select 1 from customers where ssn = '1'
          deny []
          probe on Column shop/public.customers.ssn, sql:explain on Target shop, sql:select on Table shop/public.customers
          * hidden
        selec 1
          deny [no-destroy]
          26 accesses
        show server_version_num
          allow [agents-read]
          sql:show on Setting shop/server_version_num
          * scanned
    "#]].assert_eq(&table);
    Ok(())
}

#[test]
fn requests_and_calls_of_tools_are_foreseen() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let explain =
        |statement: &str| house.fixture.json(&["explain", "--target", "api", "--identity", "agent:claude", statement]);
    let mut table = String::new();
    for statement in [
        "GET /people?times=2",
        "delete /orders/1",
        "DELETE /orders/1",
        "POST /orders\ncontent-type: application/json\n\n{\"total\": 3}",
        "GET //..%2f/x",
        "nothing",
    ] {
        let said = explain(statement).map_or_else(|error| error.to_string(), |view| line(&view));
        writeln!(table, "{}\n  {}", statement.replace('\n', " | "), said.trim_end().replace("\n\n", "\n"))?;
    }
    expect![[r#"
        GET /people?times=2
          allow [agents-look]
          http:get on Path api/people
        delete /orders/1
          gatehouse: the request is not passed on: its method is not written in capitals
        Write the method in capitals
        DELETE /orders/1
          hold [deletes-are-read]
          http:delete on Path api/orders/1
        POST /orders | content-type: application/json |  | {"total": 3}
          allow [agents-write]
          http:post on Path api/orders
        GET //..%2f/x
          gatehouse: the request is not passed on: the path has two slashes one after the other
        Servers understand such an address in more than one way: write it in its plain form
        nothing
          gatehouse: the request is not passed on: it has no method
        This is a defect of the client
    "#]]
    .assert_eq(&table);
    Ok(())
}

/// Cases that come to what they say, and one of each kind that does not.
const CASES: &str = r#"
target = "shop"
catalog = "shop.catalog"

[[case]]
identity = "agent:claude"
statement = "select id, email, upper(full_name) as loud from customers"
verdict = "allow"
policies = ["agents-read"]
accesses = ["sql:select on Table shop/public.customers"]
masks = { id = "clear", email = "email", loud = "hidden" }

[[case]]
name = "agents ask before they write"
identity = "agent:claude"
on_behalf_of = "user:dana"
statement = "update orders set total = 2 where id = 1"
verdict = "hold"
"#;
const WRONG: &str = r#"
[[case]]
name = "said to be allowed"
identity = "agent:claude"
statement = "drop table orders"
verdict = "allow"

[[case]]
name = "said to be shown"
identity = "agent:claude"
statement = "select email from customers"
verdict = "allow"
masks = { email = "clear", nothing = "clear" }
"#;

#[test]
fn cases_are_tried_without_a_gateway_or_a_database() -> Result<()> {
    let mut fixture = Fixture::start(Setup::default())?;
    let folder = tempfile::tempdir()?;
    let config = fixture.config();
    let config = config.to_str().context("a path")?;
    let catalog = fixture.command(&["targets", "catalog", "shop"])?;
    ensure!(catalog.status.success(), "{}", String::from_utf8_lossy(&catalog.stderr));
    std::fs::write(folder.path().join("shop.catalog"), &catalog.stdout)?;
    let again = fixture.command(&["targets", "catalog", "shop"])?;
    ensure!(catalog.stdout == again.stdout, "the same each time");
    ensure!(!String::from_utf8_lossy(&catalog.stdout).contains("Realname"), "no data is in it");
    std::fs::write(folder.path().join("shop.toml"), CASES)?;
    let path = folder.path().to_str().context("a path")?;
    // The configuration names a database that is reached no more than the gateway is.
    fixture.stop_gateway()?;
    let run = || fixture.command(&["policy", "test", path, "--config", config]);
    let passed = fixture.command(&["policy", "test", path, "--config", config, "--json"])?;
    ensure!(passed.status.success(), "{}", String::from_utf8_lossy(&passed.stdout));

    std::fs::write(folder.path().join("shop.toml"), format!("{CASES}{WRONG}"))?;
    let failed = run()?;
    ensure!(!failed.status.success());
    let said = format!("{}{}", String::from_utf8_lossy(&failed.stdout), String::from_utf8_lossy(&failed.stderr));
    expect![[r#"
        ./shop.toml:20: said to be allowed
            expected allow
            found    deny
        ./shop.toml:26: said to be shown
            expected email: clear
            found    email: email
        ./shop.toml:26: said to be shown
            expected nothing: clear
            found    nothing: no column (there are email)
        2 of 4 cases came to what they say
    "#]]
    .assert_eq(&said.replace(path, "."));

    for (cases, cause) in [
        ("target = \"shop\"\n", "`catalog` is missing"),
        ("target = \"none\"\n", "there is no target `none`"),
        ("target = \"shop\"\ncatalog = \"shop.catalog\"\n", "it would test nothing"),
        ("target = \"shop\"\ncatalog = \"broken.catalog\"\n", "broken.catalog:2: "),
        ("target = \"shop\"\nverdict = \"deny\"\n", "unknown field `verdict`"),
    ] {
        std::fs::write(folder.path().join("broken.catalog"), "{\"form\":1}\n{\"relations\":[]}\n")?;
        std::fs::write(folder.path().join("shop.toml"), cases)?;
        let refused = run()?;
        let said = String::from_utf8_lossy(&refused.stderr);
        ensure!(!refused.status.success() && said.contains(cause), "{cause}: {said}");
    }
    Ok(())
}

#[test]
fn other_policies_are_tried_on_what_is_on_record() -> Result<()> {
    let fixture = Fixture::start(Setup { target: "on_hold = \"refuse\"".into(), ..Setup::default() })?;
    let agent = fixture.task("agent:claude", "10m")?;
    for _ in 0..3 {
        fixture.psql(&agent, "select count(*) from orders")?;
    }
    fixture.psql(&agent, "select tier from customers where id = 7")?;
    fixture.psql(&agent, "update customers set tier = 'x' where id = 1")?;
    fixture.psql(&agent, "drop table orders")?;
    let folder = tempfile::tempdir()?;
    let candidate = r#"
        @id("reads") permit (principal, action in [Action::"sql:read"], resource in Table::"shop/public.customers");
        @id("connects") permit (principal, action == Action::"connect", resource in Target::"shop");
        @id("blind") permit (principal, action in Action::"sql:write", resource in Target::"shop") when { context has has_where && context.has_where };
    "#;
    std::fs::write(folder.path().join("candidate.cedar"), candidate)?;
    let config = fixture.config();
    let arguments = |since| -> Result<Vec<String>> {
        let (config, folder) = (config.to_str().context("a path")?, folder.path().to_str().context("a path")?);
        let arguments = ["policy", "backtest", "--since", since, "--policies", folder, "--config", config];
        Ok(arguments.map(String::from).into())
    };
    let arguments_of = |since| -> Result<Value> {
        let arguments = arguments(since)?;
        fixture.json(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    // The gateway runs, and writes on: what is recorded is read where it lies.
    let report = arguments_of("1d")?;
    let mut table = format!("{} {}\n", report["operations"], report["verdicts"]);
    for change in report["changes"].as_array().context("changes")? {
        let [was, would_be, statement] =
            ["was", "would_be", "statement"].map(|name| change[name].as_str().unwrap_or("?"));
        writeln!(table, "{} x {was} -> {would_be} {}: {statement}", change["operations"], change["policies_would_be"])?;
    }
    expect![[r#"
        6 {"allow -> allow":1,"allow -> deny":3,"deny -> deny":1,"hold -> allow":1}
        3 x allow -> deny []: select count(*) from orders
        1 x hold -> allow ["blind","reads"]: update customers set tier = '…' where id = …
    "#]]
    .assert_eq(&table);
    std::fs::write(folder.path().join("candidate.cedar"), "permit (principal")?;
    let arguments = arguments("1d")?;
    let refused = fixture.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(!refused.status.success() && said.contains("candidate.cedar:1"), "{said}");
    Ok(())
}
