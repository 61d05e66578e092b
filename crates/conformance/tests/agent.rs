//! An agent that speaks nothing but MCP works through the gateway's own server, by the official client: over standard input and
//! output, and over HTTP with its workload's token.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use gatehouse_conformance::fixture::{POLICIES, Setup, program};
use gatehouse_conformance::http::{self, Door, JSON};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::signer::Signer;
use gatehouse_conformance::web::WebHouse;
use serde_json::{Value, json};

const START: &str = "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource) when { \
                     [Target::\"shop\", Target::\"api\"].contains(resource) };\n";

fn house(ci: &Signer) -> Result<WebHouse> {
    let trusted = "[issuers.ci]\nissuer = \"https://ci.example\"\naudience = \"gatehouse\"\nkeys = \"ci.jwks\"\n\
                   agents = [{ agent = \"claude\", claims = { repository_id = \"77\" } }]\n";
    let policies = format!("{}{START}", POLICIES.replace("@id(\"", "@id(\"shop-"));
    let setup = Setup { config: trusted.into(), files: vec![("ci.jwks", ci.keys())], ..Setup::default() };
    WebHouse::start_with("", &policies, setup)
}

fn agent(house: &WebHouse, more: &[(&str, &str)]) -> Result<Child> {
    let mut command = Command::new(CLIENTS);
    command.arg("client_agent.mjs").envs(more.iter().copied());
    command.env("GATEHOUSE", program()?).env("GATEHOUSE_ADMIN_SOCKET", house.fixture.data.join("admin.sock"));
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

/// Approves what the agent waits for, twice, and gives what it was told.
fn approved(house: &WebHouse, agent: Child) -> Result<Value> {
    for begins in ["delete from orders", "DELETE /orders/5"] {
        let request = house.fixture.open_request()?;
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        assert!(text("statement").starts_with(begins), "{request}");
        let id = text("id");
        assert!(house.fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
    }
    let output = agent.wait_with_output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&out).with_context(|| format!("{out}{err}"))
}

/// The same by standard input and output, and over HTTP with its workload's token.
#[test]
fn an_agent_works_with_nothing_but_mcp() -> Result<()> {
    for is_web in [false, true] {
        let ci = Signer::new()?;
        let house = &house(&ci)?;
        let (url, token) = (format!("{}/mcp", house.fixture.api()?), ci.job("production")?);
        let way: &[(&str, &str)] = if is_web { &[("URL", &url), ("TOKEN", &token)] } else { &[] };
        let told = approved(house, agent(house, way)?)?;
        let tools = ["list_targets", "request_access", "query", "http_request", "wait_for_approval", "end_access"];
        let named = told["tools"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut named: Vec<&str> = named.collect();
        named.sort_unstable();
        let mut tools = tools.to_vec();
        tools.sort_unstable();
        assert_eq!(named, tools, "{told}");
        let targets = json!([{ "name": "api", "protocol": "http" }, { "name": "shop", "protocol": "postgres" }]);
        assert_eq!(told["targets"]["targets"], targets);
        let refused = |step: &str| told[step]["refused"].as_str().unwrap_or_default().to_string();
        assert!(refused("early").contains("call request_access first"), "{told}");
        assert!(!refused("unknown").is_empty(), "{told}");
        assert_eq!(told["access"]["targets"], json!(["api", "shop"]), "{told}");
        let rows = &told["rows"]["results"][0];
        assert_eq!((&rows["columns"], &rows["count"]), (&json!(["id", "email"]), &json!(2)), "{told}");
        assert_eq!(rows["rows"][0][0], "1");
        let truth = house.fixture.truth("select email from customers where id = 1")?;
        assert!(!told.to_string().contains(truth.trim()), "a masked value got out: {told}");
        assert_eq!(told["many"]["results"][0]["rows"].as_array().map(Vec::len), Some(1000), "{}", told["many"]["cut"]);
        assert!(told["many"]["cut"].is_string());
        assert!(refused("wrong").contains("SQLSTATE 42703"), "{told}");
        assert!(refused("forbidden").contains("SQLSTATE 42501"), "{told}");
        assert!(refused("otherTool").contains("speaks http"), "{told}");
        assert_eq!(told["deleted"]["results"], json!([{ "count": 1 }]), "{told}");
        assert_eq!(house.fixture.truth("select count(*) from orders where id = 1")?.trim(), "0");
        assert_eq!(told["found"]["status"], 200, "{told}");
        assert!(refused("own").contains("leave `Authorization` out"), "{told}");
        assert_eq!(
            (&told["removed"]["status"], &told["removedAsked"]["next"].is_string()),
            (&json!(200), &true),
            "{told}"
        );
        assert!(refused("nothing").contains("nothing waits"), "{told}");
        assert_eq!(told["ended"]["ended"], told["access"]["task"]);
        assert!(refused("late").contains("call request_access first"), "{told}");
        let id = told["access"]["task"].as_str().context("a task")?;
        let tasks = house.fixture.json(&["tasks", "ls"])?;
        let task = tasks.as_array().into_iter().flatten().find(|task| task["id"] == id);
        assert_eq!(
            task.map(|task| (&task["state"], &task["reason"])),
            Some((&json!("done"), &json!("ticket 7"))),
            "{tasks}"
        );
        assert!(house.fixture.verify()?.contains("sound"));
    }
    Ok(())
}

#[test]
fn whoever_proves_nothing_is_told_who_gives_tokens_and_nothing_else() -> Result<()> {
    let house = house(&Signer::new()?)?;
    let api = house.fixture.api()?;
    let call =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "list_targets" } }).to_string();
    let post = |more: &[(&str, &str)]| {
        let fields =
            [&[JSON, ("accept", "application/json, text/event-stream"), ("mcp-protocol-version", "2025-11-25")], more];
        http::call(Door::Web(&api), "POST", "/mcp", &fields.concat(), &call)
    };
    let unproven = post(&[])?;
    assert_eq!(unproven.status, 401);
    assert!(unproven.head.contains(&format!("{api}/.well-known/oauth-protected-resource/mcp")), "{}", unproven.head);
    let described = http::call(Door::Web(&api), "GET", "/.well-known/oauth-protected-resource/mcp", &[], "")?.json();
    assert_eq!(
        (&described["resource"], &described["authorization_servers"]),
        (&json!(format!("{api}/mcp")), &json!([api]))
    );
    let stranger = Signer::new()?.job("production")?;
    for token in ["x", &stranger] {
        let refused = post(&[("authorization", &format!("Bearer {token}"))])?;
        assert!(refused.json()["result"]["isError"] == true && !refused.body.contains("shop"), "{}", refused.body);
    }
    let foreign = post(&[("authorization", "Bearer x"), ("origin", "https://evil.example")])?;
    assert_eq!(foreign.status, 403, "a page of another site");
    Ok(())
}
