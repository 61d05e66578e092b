//! Answers in every coding, in parts and of unknown kinds, and GraphQL: what comes back is masked, or does not come back.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use gatehouse_conformance::Setup;
use gatehouse_conformance::http::{self, Answer, Door, JSON};
use gatehouse_conformance::served::Served;
use gatehouse_conformance::web::{TOKEN, WebCredential, WebHouse};
use serde_json::{Value, json};

/// What of the target's answers is personal.
const RAW: [&str; 5] = ["lotte@corp", "linus@corp", "Lotte Elmgren", "Linus Glenmore", "somebody's"];

fn is_masked(text: &str) -> bool {
    RAW.iter().all(|raw| !text.contains(raw))
}

fn house(said: &str) -> Result<WebHouse> {
    WebHouse::before(Served::start("bodies_target.mjs", &[])?, said, "", Setup::default())
}

/// The head and the body of what curl prints with both.
fn taken_apart(printed: &[u8]) -> Result<(String, Vec<u8>)> {
    let end = printed.windows(4).position(|window| window == b"\r\n\r\n").context("a head")?;
    let (head, body) = printed.split_at(end + 4);
    Ok((String::from_utf8_lossy(head).to_ascii_lowercase(), body.to_vec()))
}

/// The body at a path of the target itself.
fn directly(house: &WebHouse, path: &str) -> Result<Vec<u8>> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "60"]).arg(format!("http://127.0.0.1:{}{path}", house.target.port));
    Ok(curl.stdin(Stdio::null()).output()?.stdout)
}

/// The same through the gateway, and its head.
fn through(house: &WebHouse, task: &WebCredential, path: &str) -> Result<(String, Vec<u8>)> {
    taken_apart(&house.curl(task, &["-D", "-"], path)?.output()?.stdout)
}

#[test]
fn json_is_masked_in_every_coding() -> Result<()> {
    let house = house("")?;
    let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
    let plain = house.get(&task, "/json")?.json();
    assert!(plain[0]["email"].as_str().is_some_and(|email| email.ends_with("@masked.example")), "{plain}");
    for (path, coding) in
        [("/br", "br"), ("/zstd", "zstd"), ("/deflate", "deflate"), ("/zlib", "deflate"), ("/gzip", "gzip")]
    {
        for path in [path.to_string(), format!("{path}?split")] {
            let answer = house.get(&task, &path)?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert_eq!(answer.headers("content-encoding").next(), None, "{path}");
            assert_eq!(answer.headers("etag").collect::<Vec<_>>(), ["W/\"gatehouse~1\""], "{path}");
            assert!(is_masked(&format!("{}{}", answer.head, answer.body)), "{path}: {}", answer.body);
            let people = answer.json();
            let people = people.as_array().with_context(|| answer.body.clone())?;
            assert_eq!(people.len(), 100, "{path}");
            for (at, person) in people.iter().enumerate() {
                // What is not masked is as it was, and what is equal stays equal.
                assert_eq!(*person, plain[at % 2], "{path}");
            }
            let (head, body) = through(&house, &dana, &path)?;
            assert!(
                head.contains(&format!("content-encoding: {coding}\r\n")) && head.contains("etag: \"1\""),
                "{head}"
            );
            assert_eq!(body, directly(&house, &path)?, "{path}: to the byte");
        }
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn what_is_not_coded_as_it_says_is_kept_back() -> Result<()> {
    let house = house("")?;
    let task = house.task("agent:claude")?;
    for path in ["/br-cut", "/zstd-cut", "/deflate-cut", "/br-and-more", "/lies", "/unknown", "/twice"] {
        for path in [path.to_string(), format!("{path}?split")] {
            let answer = house.get(&task, &path)?;
            assert!(answer.status >= 400 || answer.body.is_empty(), "{path}: {} {}", answer.status, answer.body);
            assert!(is_masked(&format!("{}{}", answer.head, answer.body)), "{path}: {}", answer.body);
        }
    }
    assert_eq!(house.get(&task, "/br")?.status, 200, "and the next is answered");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn each_part_is_masked_as_what_it_is() -> Result<()> {
    let house = house("")?;
    let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
    for path in ["/mixed", "/related", "/alternative", "/form-data"] {
        for path in [path.to_string(), format!("{path}?split")] {
            let answer = house.get(&task, &path)?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            let kind = answer.headers("content-type").next().context("a content type")?;
            assert!(kind.starts_with("multipart/") && kind.contains("cut"), "{path}: {kind}");
            assert!(is_masked(&answer.body) && !answer.body.contains("PNG"), "{path}: {}", answer.body);
            for kept in ["and nothing else", "tier\r\n", ",gold\r\n", "<people>", "\r\n\r\nkept\r\n"] {
                assert!(answer.body.contains(kept), "{path}: {kept} in {}", answer.body);
            }
            let parts: Vec<&str> = answer.body.split("--cut").collect();
            assert_eq!((parts.len(), parts.first(), parts.last()), (8, Some(&""), Some(&"--\r\n")), "{}", answer.body);
            let (_, people) = parts[1].split_once("\r\n\r\n").context("a head of a part")?;
            let people: Value = serde_json::from_str(people)?;
            assert_eq!((&people[0]["id"], &people[1]["tier"]), (&json!(1), &json!("standard")));
            assert!(people[1]["email"].as_str().is_some_and(|email| email.ends_with("@masked.example")), "{people}");
            assert_eq!(through(&house, &dana, &path)?.1, directly(&house, &path)?, "{path}: to the byte");
        }
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Where readers would find other parts, or none, nobody says what these are.
#[test]
fn what_is_not_clearly_in_parts_is_kept_back() -> Result<()> {
    let house = house("")?;
    let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
    for path in ["/digest", "/mixed-by-lf", "/mixed-cut", "/mixed-before", "/mixed-without"] {
        for path in [path.to_string(), format!("{path}?split")] {
            let answer = house.get(&task, &path)?;
            assert!(answer.status >= 400 || answer.body.is_empty(), "{path}: {} {}", answer.status, answer.body);
            assert!(is_masked(&answer.body) && !answer.body.contains("nothing else"), "{path}: {}", answer.body);
            assert_eq!(through(&house, &dana, &path)?.1, directly(&house, &path)?, "{path}: to the byte");
        }
    }
    Ok(())
}

/// What cannot be looked into passes where the operator says so, and nowhere else; what can is masked in either case.
#[test]
fn what_cannot_be_looked_into_passes_where_it_may() -> Result<()> {
    for (said, passes) in [("", false), ("opaque_bodies = \"refuse\"", false), ("opaque_bodies = \"pass\"", true)] {
        let house = house(said)?;
        let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
        for path in ["/opaque", "/opaque?split", "/image"] {
            let direct = directly(&house, path)?;
            let (head, body) = through(&house, &task, path)?;
            if passes {
                assert!(head.starts_with("http/1.1 200"), "{said} {path}: {head}");
                assert_eq!(body, direct, "{said} {path}: to the byte");
            } else {
                let body = String::from_utf8_lossy(&body).into_owned();
                assert!(!head.starts_with("http/1.1 2") && is_masked(&body), "{said} {path}: {head}{body}");
                assert!(!body.contains("of the target") && !body.contains("PNG"), "{said} {path}: {body}");
                assert!(head.contains("content-type: application/problem+json"), "{said} {path}: {head}");
                assert!(body.contains("opaque_bodies"), "its remedy is named: {body}");
            }
            assert!(!head.contains(TOKEN), "{said} {path}: {head}");
            let (head, body) = through(&house, &dana, path)?;
            assert!(head.starts_with("http/1.1 200") && !head.contains(TOKEN), "{said} {path}: {head}");
            assert_eq!(body, direct, "{said} {path}: to the byte");
        }
        for path in ["/json", "/br", "/zstd?split", "/mixed"] {
            let answer = house.get(&task, path)?;
            assert_eq!(answer.status, 200, "{said} {path}: {}", answer.body);
            let text =
                answer.body.replace("lotte@corp.example\r\n--cut\r\ncontent-type: text/plain\r\ncontent-disp", "");
            assert!(is_masked(if passes { &text } else { &answer.body }), "{said} {path}: {}", answer.body);
        }
        assert!(house.fixture.verify()?.contains("sound"));
    }
    Ok(())
}

const GRAPHQL: &str = r#"
@id("no-lists")
forbid (principal in Group::"agents", action == Action::"graphql:query", resource in Field::"api/query.customers");

@id("no-deletions")
forbid (principal in Group::"agents", action == Action::"graphql:mutation", resource in Field::"api/mutation.deleteCustomer");

@id("refunds-are-read") @hold("dba") @reason("a person reads a refund before it is made")
permit (principal in Group::"agents", action == Action::"graphql:mutation", resource in Field::"api/mutation.refund");
"#;

/// A gateway before a target that speaks GraphQL.
struct GraphqlHouse {
    house: WebHouse,
    task: WebCredential,
}

impl GraphqlHouse {
    fn start() -> Result<Self> {
        let said = "graphql = [\"/graphql\"]\n[targets.api.fields]\n\"data.customer.contact\" = \"email\"";
        let house = WebHouse::before(Served::start("graphql_target.py", &[])?, said, GRAPHQL, Setup::default())?;
        let task = house.task("agent:claude")?;
        Ok(Self { house, task })
    }

    /// Asks for what a body says.
    fn post(&self, body: &Value) -> Result<Answer> {
        self.house.call(&self.task, "POST", "/graphql", &[JSON], &body.to_string())
    }

    fn ask(&self, document: &str) -> Result<Answer> {
        self.post(&json!({ "query": document }))
    }

    /// Asks in the address.
    fn get(&self, document: &str) -> Result<Answer> {
        let query: String = form_urlencoded::byte_serialize(document.as_bytes()).collect();
        self.house.get(&self.task, &format!("/graphql?query={query}"))
    }

    /// What the target itself answers.
    fn directly(&self, document: &str) -> Result<Value> {
        let base = format!("http://127.0.0.1:{}", self.house.target.port);
        let body = json!({ "query": document }).to_string();
        Ok(http::call(Door::Web(&base), "POST", "/graphql", &[JSON], &body)?.json())
    }

    /// What it did.
    fn done(&self) -> Result<Value> {
        Ok(self.directly("{ done }")?.pointer("/data/done").cloned().unwrap_or_default())
    }

    /// It is refused by this policy, and nothing was done.
    fn is_refused(&self, what: &str, answer: &Answer, policy: &str) -> Result<()> {
        let policies = answer.json().get("policies").cloned();
        assert_eq!((answer.status, policies), (403, Some(json!([policy]))), "{what}: {}", answer.body);
        assert_eq!(self.done()?, json!([]), "{what}");
        Ok(())
    }
}

#[test]
fn a_query_passes_and_its_answer_is_masked() -> Result<()> {
    let house = GraphqlHouse::start()?;
    let document = "query One { customer(id: 1) { id email full_name contact tier } }";
    let answer = house.ask(document)?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    let customer = &told["data"]["customer"];
    assert_eq!((&customer["id"], &customer["tier"]), (&json!("1"), &json!("gold")), "{told}");
    let email = customer["email"].as_str().context("an email")?;
    assert!(email.ends_with("@masked.example"), "{told}");
    assert!(is_masked(&answer.body) && !answer.body.contains("room 4711"), "by its name, and by its path: {told}");
    for (what, answer) in [
        ("in the address", house.get(document)?),
        (
            "by variables",
            house.post(&json!({
                "query": "query One($id: ID!) { customer(id: $id) { id email full_name contact tier } }",
                "variables": { "id": "1" },
            }))?,
        ),
        (
            "by its name",
            house.post(&json!({
                "query": format!("{document} query Other {{ customers {{ id }} }}"),
                "operationName": "One",
            }))?,
        ),
        (
            "by fragments",
            house.ask(
                "{ customer(id: 1) { ...F ... on Customer { contact tier } } } fragment F on Customer { id email full_name }",
            )?,
        ),
    ] {
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!(answer.json()["data"]["customer"]["email"], email, "{what}");
        assert_eq!(answer.json()["data"]["customer"]["tier"], "gold", "{what}");
        assert!(is_masked(&answer.body) && !answer.body.contains("room 4711"), "{what}: {}", answer.body);
    }
    let nested = house.ask("{ customer(id: 2) { orders { total customer { email } } } }")?;
    let orders = nested.json()["data"]["customer"]["orders"].clone();
    assert_eq!(orders[0]["total"], 12, "{}", nested.body);
    assert!(
        orders[0]["customer"]["email"].as_str().is_some_and(|email| email.ends_with("@masked.example")),
        "{orders}"
    );
    let several = house.post(&json!([{ "query": document }, { "query": "{ customer(id: 2) { email } }" }]))?;
    assert_eq!(several.status, 200, "{}", several.body);
    assert!(is_masked(&several.body), "{}", several.body);
    let dana = house.house.task("user:dana")?;
    let body = json!({ "query": document }).to_string();
    let seen = house.house.call(&dana, "POST", "/graphql", &[JSON], &body)?;
    assert_eq!(seen.json(), house.directly(document)?, "who may see all does");
    assert!(house.house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// A field is what it is, whatever a document calls it, wherever it stands.
#[test]
fn an_alias_does_not_rename_what_is_judged() -> Result<()> {
    let house = GraphqlHouse::start()?;
    for document in [
        "mutation { deleteCustomer(id: 1) { id } }",
        "mutation { customer: deleteCustomer(id: 1) { id } }",
        "mutation note { note: deleteCustomer(id: 1) { id } }",
        "mutation { note(text: \"x\") deleteCustomer(id: 1) { id } }",
        "mutation { note(text: \"x\") ... on Mutation { note2: deleteCustomer(id: 1) { id } } }",
        "mutation { ...F } fragment F on Mutation { refund: deleteCustomer(id: 1) { id } }",
        "mutation { ...F } fragment F on Mutation { ...G } fragment G on Mutation { deleteCustomer(id: 1) { id } }",
        "mutation { a: refund(order: 7) { id } b: deleteCustomer(id: 1) { id } }",
        "mutation { deleteCustomer(id: 1) @include(if: true) { id } }",
        "# query\nmutation\n{\ndeleteCustomer\n(id: 1) { id } }",
    ] {
        house.is_refused(document, &house.ask(document)?, "no-deletions")?;
        house.is_refused(document, &house.get(document)?, "no-deletions")?;
        let listed = json!([{ "query": "{ customer(id: 1) { id } }" }, { "query": document }]);
        house.is_refused(document, &house.post(&listed)?, "no-deletions")?;
    }
    let both = "query A { customer(id: 1) { id } } mutation B { deleteCustomer(id: 1) { id } }";
    let named = house.post(&json!({ "query": both, "operationName": "B" }))?;
    house.is_refused("the one that is named", &named, "no-deletions")?;
    assert_eq!(house.post(&json!({ "query": both, "operationName": "A" }))?.status, 200);
    for document in ["{ customers { id } }", "{ customer: customers { id } }", "query { a: customers { b: id } }"] {
        house.is_refused(document, &house.ask(document)?, "no-lists")?;
    }
    // A name that is of a class is not to be hidden behind another.
    for document in [
        "{ customer(id: 1) { tier: email } }",
        "{ customer(id: 1) { x: full_name } }",
        "{ customer(id: 1) { x: contact } }",
        "{ c: customer(id: 1) { contact } }",
        "{ customer(id: 1) { ...F } } fragment F on Customer { tier: email }",
    ] {
        let refused = house.ask(document)?;
        assert_eq!(refused.status, 403, "{document}: {}", refused.body);
        assert!(is_masked(&refused.body) && !refused.body.contains("room 4711"), "{document}: {}", refused.body);
    }
    // One that hides nothing is.
    let aliased = house.ask("{ c: customer(id: 1) { i: id email t: tier } }")?;
    let told = aliased.json();
    assert_eq!((aliased.status, &told["data"]["c"]["t"]), (200, &json!("gold")), "{told}");
    assert!(told["data"]["c"]["email"].as_str().is_some_and(|email| email.ends_with("@masked.example")), "{told}");
    assert!(house.house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_mutation_waits_for_a_person() -> Result<()> {
    let house = GraphqlHouse::start()?;
    let ask = |document: &str| {
        let body = json!({ "query": document }).to_string();
        house.house.call(&house.task, "POST", "/graphql", &[("prefer", "respond-async"), JSON], &body)
    };
    let noted = ask("mutation { note(text: \"as it may\") }")?;
    assert_eq!((noted.status, house.done()?), (200, json!(["note as it may"])), "{}", noted.body);
    for (document, done) in [
        ("mutation { refund(order: 7) { id customer { email } } }", json!(["note as it may", "refund 7"])),
        ("mutation { note: refund(order: 8) { id } }", json!(["note as it may", "refund 7", "refund 8"])),
    ] {
        let before = house.done()?;
        assert_eq!(ask(document)?.status, 202, "{document}");
        assert_eq!(house.done()?, before, "{document}: it is not done before");
        let request = house.house.fixture.open_request()?;
        let statement = request["statement"].as_str().unwrap_or_default();
        assert!(statement.starts_with("POST /graphql"), "{request}");
        let id = request["id"].as_str().context("an id")?;
        assert!(house.house.fixture.command(&["approve", id, "--as", "user:dana"])?.status.success());
        let passed = ask(document)?;
        assert_eq!((passed.status, house.done()?), (200, done.clone()), "{document}: {}", passed.body);
        assert!(is_masked(&passed.body), "{}", passed.body);
        // An approval is used once, and is for one document.
        assert_eq!(ask(document)?.status, 202, "{document}");
        assert_eq!(house.done()?, done);
        let id = house.house.fixture.open_request()?["id"].as_str().context("an id")?.to_string();
        let deny = ["deny", &id, "--as", "user:dana", "--reason", "once is enough"];
        assert!(house.house.fixture.command(&deny)?.status.success());
        let denied = ask(document)?;
        assert!(denied.status == 403 && denied.body.contains("once is enough"), "{document}: {}", denied.body);
        assert_eq!(house.done()?, done);
    }
    assert!(house.house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn what_is_no_clear_document_goes_nowhere() -> Result<()> {
    let house = GraphqlHouse::start()?;
    let deletes = "mutation { deleteCustomer(id: 1) { id } }";
    for body in [
        json!({}),
        json!({ "query": null }),
        json!({ "query": 7 }),
        json!({ "query": "" }),
        json!({ "query": "mutation { deleteCustomer(id: 1) { id }" }),
        json!({ "query": deletes, "operationName": "Other" }),
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "0" } } }),
        json!({ "id": "7", "query": deletes }),
        json!([]),
        json!("mutation"),
        json!(vec![json!({ "query": "{ customer(id: 1) { id } }" }); 33]),
        json!({ "query": format!("{{ {}id{} }}", "customer(id: 1) { orders { ".repeat(40), " } }".repeat(40)) }),
    ] {
        let refused = house.post(&body)?;
        assert_eq!(refused.status, 400, "{body:.200}: {}", refused.body);
    }
    let call = |method: &str, path: &str, fields: &[(&str, &str)], body: &str| {
        house.house.call(&house.task, method, path, fields, body).map(|answer| answer.status)
    };
    let body = json!({ "query": deletes }).to_string();
    let query: String = form_urlencoded::byte_serialize(deletes.as_bytes()).collect();
    assert_eq!(call("POST", &format!("/graphql?query={query}"), &[JSON], &body)?, 400, "in two places");
    assert_eq!(call("POST", "/graphql", &[("content-type", "application/graphql")], deletes)?, 400, "as no JSON");
    assert_eq!(call("POST", "/graphql", &[http::FORM], &format!("query={query}"))?, 400, "as a form");
    assert_eq!(call("POST", "/graphql", &[("content-type", "text/plain")], &body)?, 400, "as a text");
    assert_eq!(call("GET", "/graphql", &[], "")?, 400, "nothing at all");
    // The same place by other ways to write it.
    for path in ["/graphql/", "/%67raphql", "/x/../graphql", "/./graphql"] {
        assert_eq!(call("POST", path, &[JSON], &body)?, 403, "{path}");
    }
    assert_eq!(house.done()?, json!([]));
    assert!(house.house.fixture.verify()?.contains("sound"));
    Ok(())
}
