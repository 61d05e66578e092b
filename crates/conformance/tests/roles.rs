//! Who may call what: every route of the API by every kind of caller. The table is to be read; a route that is not in it,
//! or that answers somebody otherwise than it says, fails.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use expect_test::{Expect, expect};
use gatehouse_conformance::http::{Door, JSON, call};
use gatehouse_conformance::{Fixture, Setup};
use serde_json::{Value, json};

/// Nobody; somebody of no group; somebody who may ask for tasks; who answers requests; who administers; the admin socket.
const CALLERS: [&str; 6] = ["nobody", "nina", "sam", "dana", "root", "socket"];

const POLICIES: &str = r#"
permit (principal in Group::"administrators", action == Action::"administer", resource);
@hold("dba") permit (principal in Group::"support", action == Action::"start", resource);
"#;

/// What is called of each route: the method and the path as the document has them, and a body. `{id}` is of a task, a
/// session or a request that the agent made, or of another's static key.
fn routes() -> Vec<(&'static str, &'static str, Value)> {
    let task = json!({ "targets": ["shop"], "reason": "roles", "ttl_secs": 60 });
    let key = json!({ "identity": "agent:other", "targets": ["shop"], "reason": "roles", "ttl_secs": 60 });
    vec![
        ("get", "/healthz", Value::Null),
        ("get", "/readyz", Value::Null),
        ("get", "/metrics", Value::Null),
        ("get", "/api/v1/version", Value::Null),
        ("get", "/.well-known/oauth-authorization-server", Value::Null),
        ("get", "/oauth/jwks", Value::Null),
        ("post", "/oauth/token", Value::Null),
        ("post", "/oauth/revoke", Value::Null),
        ("get", "/api/v1/me", Value::Null),
        ("get", "/api/v1/targets", Value::Null),
        ("get", "/api/v1/targets/{name}/catalog", Value::Null),
        ("get", "/api/v1/policies", Value::Null),
        ("post", "/api/v1/explain", json!({ "target": "shop", "statement": "select 1", "identity": "agent:claude" })),
        ("get", "/api/v1/lockdowns", Value::Null),
        ("get", "/api/v1/tasks", Value::Null),
        ("get", "/api/v1/tasks/{id}", Value::Null),
        ("get", "/api/v1/sessions", Value::Null),
        ("get", "/api/v1/sessions/{id}", Value::Null),
        ("get", "/api/v1/sessions/{id}/replay", Value::Null),
        ("get", "/api/v1/sessions/{id}/har", Value::Null),
        ("get", "/api/v1/sessions/{id}/moments", Value::Null),
        ("get", "/api/v1/operations", Value::Null),
        ("get", "/api/v1/activity", Value::Null),
        ("get", "/api/v1/events", Value::Null),
        ("get", "/api/v1/policies/revisions", Value::Null),
        ("get", "/api/v1/policies/revisions/{revision}", Value::Null),
        ("post", "/api/v1/policies/backtest", json!({ "files": {}, "since_secs": 60 })),
        ("get", "/api/v1/checkpoints", Value::Null),
        ("get", "/api/v1/requests", Value::Null),
        ("get", "/api/v1/requests/{id}", Value::Null),
        ("post", "/api/v1/evidence", json!({ "selection": "all" })),
        ("post", "/api/v1/tasks", task),
        ("post", "/api/v1/tasks/{id}/heartbeat", Value::Null),
        ("post", "/api/v1/requests/{id}/approve", json!({ "reason": "roles" })),
        ("post", "/api/v1/requests/{id}/deny", json!({ "reason": "roles" })),
        ("post", "/api/v1/requests/{id}/withdraw", Value::Null),
        ("post", "/api/v1/sessions/{id}/kill", json!({})),
        ("post", "/api/v1/tasks/{id}/end", json!({ "cause": "done" })),
        ("post", "/api/v1/lockdowns", json!({ "scope": "agent:other", "reason": "roles" })),
        ("post", "/api/v1/lockdowns/lift", json!({ "scope": "agent:other" })),
        ("post", "/api/v1/tokens", json!({ "user": "user:nina", "ttl_secs": 60 })),
        ("post", "/api/v1/links", json!({ "user": "user:nina" })),
        ("get", "/api/v1/keys", Value::Null),
        ("get", "/api/v1/keys/{id}", Value::Null),
        ("post", "/api/v1/keys", key),
        ("post", "/api/v1/keys/{id}/revoke", Value::Null),
        ("post", "/api/v1/login/device", Value::Null),
        ("post", "/api/v1/login/device/poll", json!({ "handle": "x" })),
        ("post", "/api/v1/logout", Value::Null),
    ]
}

/// What a listing shows, counted: whoever may list is not whoever sees everything.
fn shown(body: &Value) -> String {
    body.as_array().map(|entries| format!(" ({})", entries.len())).unwrap_or_default()
}

/// What every route answers every caller; of listings also how much.
fn expected() -> Expect {
    expect![[r#"
                                                     nobody   nina     sam      dana     root     socket
        get /healthz                                 200      200      200      200      200      200
        get /readyz                                  200      200      200      200      200      200
        get /metrics                                 200      200      200      200      200      200
        get /api/v1/version                          200      200      200      200      200      200
        get /.well-known/oauth-authorization-server  200      200      200      200      200      200
        get /oauth/jwks                              200      200      200      200      200      200
        post /oauth/token                            400      400      400      400      400      400
        post /oauth/revoke                           400      400      400      400      400      400
        get /api/v1/me                               401      200      200      200      200      200
        get /api/v1/targets                          401      200 (1)  200 (1)  200 (1)  200 (1)  200 (1)
        get /api/v1/targets/{name}/catalog           401      403      403      200      200      200
        get /api/v1/policies                         401      403      403      200 (10) 200 (10) 200 (10)
        post /api/v1/explain                         401      403      403      200      200      200
        get /api/v1/lockdowns                        401      200 (0)  200 (0)  200 (0)  200 (0)  200 (0)
        get /api/v1/tasks                            401      200 (0)  200 (0)  200 (1)  200 (1)  200 (1)
        get /api/v1/tasks/{id}                       401      404      404      200      200      200
        get /api/v1/sessions                         401      200 (0)  200 (0)  200 (19) 200 (19) 200 (19)
        get /api/v1/sessions/{id}                    401      404      404      200      200      200
        get /api/v1/sessions/{id}/replay             401      404      404      200      200      200
        get /api/v1/sessions/{id}/har                401      404      404      409      409      409
        get /api/v1/sessions/{id}/moments            401      404      404      200      200      200
        get /api/v1/operations                       401      200 (0)  200 (0)  200 (19) 200 (19) 200 (19)
        get /api/v1/activity                         401      200      200      200      200      200
        get /api/v1/events                           401      200      200      200      200      200
        get /api/v1/policies/revisions               401      403      403      200 (1)  200 (1)  200 (1)
        get /api/v1/policies/revisions/{revision}    401      403      403      200      200      200
        post /api/v1/policies/backtest               401      403      403      200      200      200
        get /api/v1/checkpoints                      401      200      200      200      200      200
        get /api/v1/requests                         401      200 (0)  200 (0)  200 (19) 200 (19) 200 (19)
        get /api/v1/requests/{id}                    401      404      404      200      200      200
        post /api/v1/evidence                        401      403      403      403      200      200
        post /api/v1/tasks                           401      403      202      201      403      400
        post /api/v1/tasks/{id}/heartbeat            401      403      403      403      204      204
        post /api/v1/requests/{id}/approve           401      404      404      200      403      403
        post /api/v1/requests/{id}/deny              401      404      404      200      403      403
        post /api/v1/requests/{id}/withdraw          401      403      403      403      200      200
        post /api/v1/sessions/{id}/kill              401      403      403      403      409      409
        post /api/v1/tasks/{id}/end                  401      403      403      403      200      409
        post /api/v1/lockdowns                       401      403      403      403      201      201
        post /api/v1/lockdowns/lift                  401      403      403      403      204      404
        post /api/v1/tokens                          401      403      403      403      403      201
        post /api/v1/links                           401      403      403      403      403      201
        get /api/v1/keys                             401      403      403      403      200 (1)  200 (1)
        get /api/v1/keys/{id}                        401      403      403      403      200      200
        post /api/v1/keys                            401      403      403      403      201      201
        post /api/v1/keys/{id}/revoke                401      403      403      403      200      409
        post /api/v1/login/device                    404      404      404      404      404      404
        post /api/v1/login/device/poll               404      404      404      404      404      404
        post /api/v1/logout                          401      204      204      204      204      204
    "#]]
}

#[test]
fn every_route_answers_every_caller_as_the_table_says() -> Result<()> {
    let setup = Setup::default();
    let fixture = Fixture::start(Setup {
        policies: format!("{}{POLICIES}", setup.policies),
        config: "[limits]\nopen_requests_max = 30\n[users.root]\ngroups = [\"administrators\"]\n".into(),
        target: "on_hold = \"refuse\"".into(),
        ..setup
    })?;
    let mut tokens = vec![String::new()];
    for name in ["nina", "sam", "dana", "root"] {
        let issued = fixture.json(&["login", "--as", &format!("user:{name}")])?;
        tokens.push(issued["token"].as_str().context("a token")?.into());
    }
    tokens.push(String::new());
    let agent = fixture.task("agent:claude", "10m")?;
    // One for each that is decided: whoever comes later must not find it decided.
    for order in 0..=3 * CALLERS.len() {
        fixture.psql(&agent, &format!("update orders set total = 1 where id = {order}"))?;
    }
    let first = |listing: &str| -> Result<String> {
        let all = fixture.json(&[listing, "ls"])?;
        Ok(all[0]["id"].as_str().context("an entry")?.into())
    };
    let session = first("sessions")?;
    let issued = ["keys", "issue", "--as", "agent:other", "--target", "shop", "--reason", "roles", "--ttl", "1h"];
    let key = fixture.json(&issued)?["id"].as_str().context("a key")?.to_string();
    let listed = fixture.json(&["requests", "ls"])?;
    let mut requests = listed.as_array().into_iter().flatten().filter_map(|request| request["id"].as_str());
    let request = requests.next().context("a request")?.to_string();

    let revisions =
        call(Door::Socket(&fixture.data.join("admin.sock")), "GET", "/api/v1/policies/revisions", &[], "")?.json();
    let revision = revisions[0]["revision"].as_str().context("a revision")?.to_string();

    let mut table = format!("{:<45}{}", "", CALLERS.map(|caller| format!("{caller:<9}")).concat());
    for (method, path, body) in routes() {
        let places = [("/tasks/", &agent.task), ("/sessions/", &session), ("/keys/", &key)];
        let id = places.iter().find(|(part, _)| path.contains(part)).map_or(&request, |(_, id)| id).as_str();
        let is_decided = ["/approve", "/deny", "/withdraw"].iter().any(|end| path.ends_with(end));
        write!(table, "\n{:<45}", format!("{method} {path}"))?;
        for (caller, token) in CALLERS.into_iter().zip(&tokens) {
            let id = if is_decided { requests.next().context("requests enough")? } else { id };
            let (api, socket) = (fixture.api()?, fixture.data.join("admin.sock"));
            let door = if caller == "socket" { Door::Socket(&socket) } else { Door::Web(&api) };
            let bearer = format!("Bearer {token}");
            let proof = [JSON, ("authorization", bearer.as_str())];
            let headers = if token.is_empty() { &proof[..1] } else { &proof };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let at = path.replace("{id}", id).replace("{name}", "shop").replace("{revision}", &revision);
            // What goes on as long as somebody listens.
            let at = if at.ends_with("/events") { format!("{at}?secs=1") } else { at };
            let answer = call(door, &method.to_uppercase(), &at, headers, &body)?;
            if answer.status >= 500 {
                bail!("{method} {path} fails for {caller}: {}", answer.body);
            }
            write!(table, "{:<9}", format!("{}{}", answer.status, shown(&answer.json())))?;
        }
    }
    let table: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    expected().assert_eq(&table);
    Ok(())
}

#[test]
fn every_route_of_the_document_is_in_the_table() -> Result<()> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"))?;
    let document: Value = serde_json::from_str(&text)?;
    let paths = document["paths"].as_object().context("paths")?;
    let documented = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .into_iter()
            .flat_map(move |methods| methods.keys().map(move |method| (method.clone(), path.clone())))
    });
    let documented: std::collections::BTreeSet<(String, String)> = documented.collect();
    let listed = routes().into_iter().map(|(method, path, _)| (method.to_string(), path.to_string())).collect();
    assert_eq!(documented, listed);
    Ok(())
}
