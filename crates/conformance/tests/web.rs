//! HTTP through the gateway: what reaches the target is what was judged, and what comes back is masked.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use gatehouse_conformance::Fixture;
use gatehouse_conformance::Setup;
use gatehouse_conformance::fixture::{program, wait_until};
use gatehouse_conformance::http::{self, Door, JSON};
use gatehouse_conformance::provider::{CLIENT_SECRET, Provider};
use gatehouse_conformance::secret::{files, remember};
use gatehouse_conformance::served::CLIENTS;
use gatehouse_conformance::web::{self, POLICIES, TOKEN, WebCredential, WebHouse};
use serde_json::{Value, json};

const RAW: [&str; 3] = ["lotte@corp", "linus@corp", "x@y.example"];

fn is_masked(text: &str) -> bool {
    RAW.iter().all(|raw| !text.contains(raw))
}

fn fields(told: &Value, name: &str) -> Vec<String> {
    let fields = told["fields"].as_array().into_iter().flatten();
    let named = fields.filter(|field| field[0] == name).filter_map(|field| field[1].as_str().map(String::from));
    named.collect()
}

#[test]
fn what_reaches_the_target_is_what_was_judged() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let sent = [
        ("connection", "x-hop"),
        ("x-hop", "for the next one only"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-user", "root"),
        ("x_forwarded_for", "10.0.0.1"),
        ("x_gatehouse_on_behalf_of", "root"),
        ("proxy-authorization", "Basic bm9ib2R5OnNlY3JldA=="),
        ("x-own", "stays"),
        ("x-gatehouse-base", "/elsewhere"),
        ("accept-encoding", "compress, gzip;q=0.5"),
    ];
    // Where both are shown, the one for proxies counts: it is nobody's.
    assert_eq!(house.call(&task, "GET", "/told", &sent, "")?.status, 401);
    let sent: Vec<_> = sent.into_iter().filter(|(name, _)| *name != "proxy-authorization").collect();
    let told = house.call(&task, "GET", "/a/./b/../%7etold?q=1%202&r", &sent, "")?;
    assert_eq!(told.status, 200, "{}", told.body);
    let told = told.json();
    assert_eq!((&told["method"], &told["path"]), (&json!("GET"), &json!("/a/~told?q=1%202&r")));
    let hidden = format!("Bearer {}", "*".repeat(TOKEN.len()));
    assert_eq!(fields(&told, "authorization"), [hidden], "the target has it, and the client does not see it");
    assert_eq!(fields(&told, "x-own"), ["stays"]);
    assert_eq!(fields(&told, "accept-encoding"), ["gzip;q=0.5"]);
    assert_eq!(fields(&told, "host"), [format!("127.0.0.1:{}", house.target.port)]);
    for gone in [
        "connection",
        "x-hop",
        "x-forwarded-for",
        "x-forwarded-user",
        "x_forwarded_for",
        "x_gatehouse_on_behalf_of",
        "x-gatehouse-base",
        "proxy-authorization",
    ] {
        assert!(fields(&told, gone).is_empty(), "{gone} went on: {told}");
    }
    let told = house.call(&task, "POST", "/told", &[JSON], "{\"a\": 1}")?.json();
    assert_eq!((&told["method"], &told["body"]), (&json!("POST"), &json!("{\"a\": 1}")));
    assert_eq!(fields(&told, "content-length"), ["8"]);
    assert_eq!(house.call(&task, "PURGE", "/told", &[], "")?.json()["method"], "PURGE");
    let socket = house.fixture.data.join("admin.sock");
    let done = http::call(Door::Socket(&socket), "GET", "/api/v1/operations", &[], "")?.json();
    let posted = |operation: &&Value| operation["statement"].as_str().is_some_and(|text| text.starts_with("POST"));
    let posted = done.as_array().into_iter().flatten().find(posted).context("what was posted is on record")?;
    assert_eq!(posted["bind_names"][0], "body", "{posted}");
    assert_eq!(posted["bind_names"].as_array().map(Vec::len), posted["binds"].as_array().map(Vec::len), "{posted}");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn what_can_be_understood_in_two_ways_is_refused() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    for path in ["/%2e%2e/admin", "//admin", "/a//b", "/a%2fb", "/a%5cb", "/a;b=c/d", "/a%00", "/x?_method=DELETE"] {
        let refused = house.get(&task, path)?;
        assert_eq!(
            (refused.status, refused.json()["title"].as_str()),
            (400, Some("the request is not passed on")),
            "{path}"
        );
    }
    for (name, value) in [
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x_http_method_override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-original-method", "DELETE"),
        ("x-rewrite-url", "/admin"),
        ("destination", "http://127.0.0.1/admin"),
        ("x-copy-from", "/secret/k"),
        ("x_amz_copy_source", "/secret/k"),
        ("x_amz_target", "DynamoDB_20120810.DeleteTable"),
    ] {
        assert_eq!(house.call(&task, "POST", "/told", &[(name, value)], "")?.status, 400, "{name}");
    }
    let twice = [("x-amz-copy-source", "/pub/k"), ("x-amz-copy-source", "/secret/k")];
    assert_eq!(house.call(&task, "PUT", "/told", &twice, "")?.status, 400, "which of them is meant");
    let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
    assert_eq!(fields(&house.call(&task, "GET", "/told", &cookies, "")?.json(), "cookie"), ["a=1; b=2"]);
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(house.call(&task, "POST", "/told", &[form], "a=1&_method=DELETE")?.status, 400);
    assert_eq!(house.call(&task, "POST", "/told", &[form, ("content-encoding", "br")], "coded")?.status, 400);
    assert_eq!(house.call(&task, "POST", "/told", &[JSON], "{\"a\":1,\"a\":2}")?.status, 400);
    assert_eq!(house.call(&task, "POST", "/told", &[JSON], "{\"a\":")?.status, 400);
    for (body, kind) in [
        ("{\"a\":1,\"A\":2}", "application/json"),
        ("{\"_Method\":\"DELETE\"}", "application/json"),
        ("a=1;_method=DELETE", "application/x-www-form-urlencoded"),
        (
            "--x\r\ncontent-disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--x--",
            "multipart/form-data; boundary=x",
        ),
        (
            "--x\r\ncontent-disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--x--",
            "Multipart/Form-Data; boundary=x",
        ),
        (".method=DELETE", "application/x-www-form-urlencoded"),
        ("[method=DELETE", "application/x-www-form-urlencoded"),
        ("_method[0]=DELETE", "application/x-www-form-urlencoded"),
        ("_method%00x=DELETE", "application/x-www-form-urlencoded"),
        ("a=1&_method=PUT", "application/x-www-form-urlencoded; charset=koi8-r"),
        ("{_method: 'DELETE'}", "application/json5"),
        ("_method=DELETE", ""),
    ] {
        assert_eq!(house.call(&task, "POST", "/told", &[("content-type", kind)], body)?.status, 400, "{body}");
    }
    assert_eq!(house.call(&task, "POST", "/told", &[JSON, ("content-type", "text/plain")], "{}")?.status, 400);
    for method in ["delete", "Get", "DELETE_X"] {
        assert_eq!(house.call(&task, method, "/told", &[], "")?.status, 400, "{method}");
    }
    assert_eq!(house.call(&task, "OPTIONS", "*", &[], "")?.status, 404);
    // However it is written, what is forbidden is.
    for path in ["/admin", "/admin/", "/admin/users", "/x/../admin", "/%61dmin", "/./admin/./users"] {
        let refused = house.get(&task, path)?;
        assert_eq!((refused.status, &refused.json()["policies"]), (403, &json!(["no-admin"])), "{path}");
        assert!(refused.headers("content-type").any(|kind| kind == "application/problem+json"));
    }
    Ok(())
}

#[test]
fn policy_decides_by_what_a_body_says() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let refund = |body: &str| house.call(&task, "POST", "/refunds", &[JSON], body).map(|answer| answer.status);
    assert_eq!(refund(r#"{"scope": "order", "order": 7}"#)?, 200);
    assert_eq!(refund(r#"{"scope": "all"}"#)?, 403);
    assert_eq!(refund(r#"{"\u0073cope": "order"}"#)?, 200);
    assert_eq!(refund("")?, 403);
    for twice in [r#"{"scope": ["order", "all"]}"#, r#"[{"scope": "order"}]"#, r#"{"x": {"scope": "order"}}"#] {
        assert_eq!(refund(twice)?, 403, "{twice}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(house.call(&task, "POST", "/refunds", &[form], "scope=order")?.status, 200);
    assert_eq!(house.call(&task, "POST", "/refunds", &[form], "scope=order&scope=all")?.status, 403);
    // More than policy is shown is not shown in part.
    let many: Vec<String> = (0..300).map(|number| format!("\"f{number}\": 1")).collect();
    assert_eq!(refund(&format!("{{\"scope\": \"order\", {}}}", many.join(", ")))?, 403);
    Ok(())
}

#[test]
fn policy_decides_by_the_fields_that_are_named() -> Result<()> {
    let only = "\n@id(\"own-account\") forbid (principal in Group::\"agents\", action == Action::\"http:get\", resource)\n  \
                unless { context has headers && context.headers.contains(\"stripe-account=acct_1\") };\n";
    let house = WebHouse::start("headers = [\"Stripe-Account\"]", only)?;
    let task = house.task("agent:claude")?;
    let get = |fields: &[(&str, &str)]| house.call(&task, "GET", "/told", fields, "");
    let own = get(&[("Stripe-Account", "acct_1")])?;
    assert_eq!((own.status, fields(&own.json(), "stripe-account")), (200, vec!["acct_1".to_string()]), "{}", own.body);
    for other in [&[("stripe-account", "acct_2")][..], &[("x-own", "acct_1")], &[]] {
        let refused = get(other)?;
        assert_eq!((refused.status, &refused.json()["policies"]), (403, &json!(["own-account"])), "{other:?}");
    }
    let twice = [("stripe-account", "acct_1"), ("stripe-account", "acct_2")];
    assert_eq!(get(&twice)?.status, 400, "which of them is meant");
    assert_eq!(get(&[("stripe_account", "acct_1")])?.status, 400, "some servers read it as the other");
    Ok(())
}

/// Where a target takes no notice of the size of letters, a policy holds for each; what is sent is as it was typed.
#[test]
fn a_path_is_judged_as_its_target_reads_it() -> Result<()> {
    let house = WebHouse::start("ignore_case = true\nencoded_slashes = \"keep\"", "")?;
    let task = house.task("agent:claude")?;
    for path in ["/ADMIN", "/Admin/users", "/x/../aDMIN/", "/%41dmin"] {
        let refused = house.get(&task, path)?;
        assert_eq!((refused.status, &refused.json()["policies"]), (403, &json!(["no-admin"])), "{path}");
    }
    assert_eq!(house.call(&task, "POST", "/REFUNDS", &[JSON], "{\"scope\": \"all\"}")?.status, 403);
    let told = house.get(&task, "/Projects/a%2fB/Files")?;
    assert_eq!((told.status, &told.json()["path"]), (200, &json!("/Projects/a%2FB/Files")), "{}", told.body);
    for path in ["/x/..%2fadmin", "/x%2f..%2fadmin", "/%2fadmin", "/x%5cadmin"] {
        assert_eq!(house.get(&task, path)?.status, 400, "{path}");
    }
    Ok(())
}

/// Below the listener's domain each target has a name; those that a target has itself come before it.
#[test]
fn targets_have_names_below_a_domain() -> Result<()> {
    remember(TOKEN);
    let target = web::target()?;
    let said = "names = [\"other.gw.example\"]\ncredential = { bearer = \"file:api.secret\" }";
    let config = web::config(target.port, said).replace("[listen.http]\n", "[listen.http]\ndomain = \"GW.example\"\n");
    let other = "[targets.other]\nprotocol = \"http\"\naddress = \"127.0.0.1:9\"\nnames = [\"other.test\"]\n";
    let files = vec![("api.secret", TOKEN.into())];
    let setup = Setup { policies: POLICIES.into(), config: format!("{config}{other}"), files, ..Setup::default() };
    let fixture = Fixture::start(setup)?;
    let (base, task) = (web::listening(&fixture, "api")?, web::task(&fixture, "agent:claude", "api")?);
    let basic = task.basic();
    let at = |host: &str, path: &str| {
        let fields = [("authorization", basic.as_str()), ("host", host)];
        http::call(Door::Named(&base), "GET", path, &fields, "")
    };
    for host in ["api.gw.example", "API.GW.EXAMPLE", "api.gw.example:8480", "other.gw.example"] {
        let told = at(host, "/told?q=1")?;
        assert_eq!((told.status, &told.json()["path"]), (200, &json!("/told?q=1")), "{host}: {}", told.body);
    }
    assert_eq!(at("gw.example", "/http/api/told")?.json()["path"], "/told", "the domain itself is the gateway");
    for host in ["none.gw.example", "x.api.gw.example", "apigw.example", "shop.gw.example", ".gw.example", "gw.example"]
    {
        let nowhere = at(host, "/told")?;
        assert!([400, 404].contains(&nowhere.status), "{host}: {} {}", nowhere.status, nowhere.body);
    }
    Ok(())
}

#[test]
fn what_comes_back_is_masked_by_any_coding_and_split() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    for path in
        ["/people", "/people.gz", "/people.zz", "/people.csv", "/people.txt", "/split", "/lines", "/events", "/escaped"]
    {
        let answer = house.get(&task, path)?;
        let all = format!("{}{}", answer.head, answer.body);
        assert!(answer.status == 200 && is_masked(&all), "{path}: {all}");
    }
    let people = house.get(&task, "/people")?;
    assert_eq!(people.headers("etag").collect::<Vec<_>>(), ["W/\"gatehouse~1\""]);
    let people = people.json();
    assert_eq!((&people[0]["id"], &people[0]["tier"]), (&json!(1), &json!("gold")));
    assert!(people[0]["email"].as_str().is_some_and(|email| email.ends_with("@masked.example")), "{people}");
    // Equal values stay equal, however they came.
    let lines = house.get(&task, "/lines")?.body;
    let first: Value = serde_json::from_str(lines.lines().next().context("a line")?)?;
    assert_eq!(first["email"], people[0]["email"]);
    let table = house.get(&task, "/people.csv")?.body;
    assert!(
        table.contains(first["full_name"].as_str().unwrap_or("none")) && !table.contains("Lotte Elmgren,"),
        "{table}"
    );
    // What cannot be looked into is kept back.
    for path in ["/picture", "/untyped", "/part", "/broken", "/bomb", "/twice", "/wide", "/wide.csv"] {
        let answer = house.get(&task, path)?;
        assert!(answer.status >= 400 || answer.body.is_empty(), "{path}: {} {}", answer.status, answer.body.len());
    }
    assert_eq!(house.get(&task, "/people")?.status, 200, "and the connection lives on");

    let support = house.task("user:sam")?;
    assert_eq!(house.get(&support, "/people")?.status, 403, "who may not look is not let in");
    let dana = house.task("user:dana")?;
    assert!(house.get(&dana, "/people")?.body.contains("lotte@corp.example"));
    assert_eq!(house.get(&dana, "/picture")?.headers("content-type").next(), Some("image/png"));
    assert_eq!(house.get(&dana, "/part")?.status, 206);
    let bundle = house.fixture.verify()?;
    assert!(bundle.contains("sound"), "{bundle}");
    Ok(())
}

/// A tag that the gateway weakened is the target's own again when it is told back, and of what is masked nobody is given a part.
#[test]
fn conditions_are_told_with_the_targets_own_tags() -> Result<()> {
    let house = WebHouse::start("", "")?;
    for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
        let task = house.task(who)?;
        let got = house.get(&task, "/tagged")?;
        let tag = got.headers("etag").next().context("a tag")?.to_string();
        assert_eq!(tag, if sees_all { "\"1\"" } else { "W/\"gatehouse~1\"" }, "{who}");
        assert_eq!(got.headers("content-digest").next().is_some(), sees_all, "{}", got.head);
        let put = |tag: &str| house.call(&task, "PUT", "/tagged", &[JSON, ("if-match", tag)], "{}");
        assert_eq!(put(&tag)?.status, 200, "{who}: it is the target's own");
        assert_eq!(put("W/\"1\"")?.status, 412, "{who}: one that the gateway did not give stays as it is");
        let again = house.call(&task, "GET", "/tagged", &[("if-none-match", &tag)], "")?;
        assert_eq!((again.status, again.headers("etag").next()), (304, Some(tag.as_str())), "{who}");
        let part = house.call(&task, "GET", "/tagged", &[("range", "bytes=0-8"), ("if-range", &tag)], "")?;
        assert_eq!(part.status, if sees_all { 206 } else { 200 }, "{who}: {}", part.body);
        assert_eq!(is_masked(&part.body) && part.json()["id"] == 1, !sees_all, "{who}: {}", part.body);
    }
    // Where what cannot be looked into passes, so does a part.
    let house = WebHouse::start("opaque_bodies = \"pass\"", "")?;
    let part = house.call(&house.task("agent:claude")?, "GET", "/tagged", &[("range", "bytes=0-8")], "")?;
    assert_eq!(part.status, 206, "{}", part.body);
    Ok(())
}

/// What a name before a value tells, and what stands over several lines, is found however it is written.
#[test]
fn what_is_known_by_what_is_around_it_is_found() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let shown = |kind: &str, body: &str| -> Result<String> {
        let answer = house.call(&task, "POST", "/as", &[("content-type", "text/plain"), ("x-as", kind)], body)?;
        anyhow::ensure!(answer.status == 200, "{body}: {}", answer.body);
        Ok(answer.body)
    };
    for (kind, body) in [
        ("application/json", r#"{"handy":"0170\/1234567", "n": 7, "path": "a\/b"}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "phone": ["0170\/1234567"]}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "handy": "0170\/1234567 x@y.example"}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "h\u0061ndy": "01701234567"}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "h\u0061ndy": 3012345678}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "handy": "\"01701234567\""}"#),
        ("application/json", r#"{"n": 7, "path": "a\/b", "k\u0065y": "{\"handy\":\"0170\\/1234567\"}"}"#),
        ("text/csv", "n,path,handy\n7,a\\/b,01701234567\n"),
        ("text/csv", "n,path,told\n7,a\\/b,\"{\"\"handy\"\":\"\"01701234567\"\"}\"\n"),
        ("application/x-www-form-urlencoded", "n=7&path=a%5C%2Fb&handy=0170%2F1234567"),
    ] {
        let masked = shown(kind, body)?;
        assert!(!masked.contains("1234567"), "{kind}: {body} became {masked}");
        assert!(masked.contains(r"a\/b") || masked.contains("a%5C%2Fb"), "{kind}: {body} became {masked}");
    }
    let secret = r#"{"aws_secret_access_key":"wJalrXUtnFEMI\/K7MDENG\/bPxRfiCYzzzzzzzzKEY"}"#;
    assert!(!shown("application/json", secret)?.contains("K7MDENG"));
    let kept = r#"{"handy":"none\/known","alice@corp.example":"some\/text"}"#;
    let masked = shown("application/json", kept)?;
    assert!(masked.contains(r"none\/known") && masked.contains(r"some\/text"), "{masked}");

    let key =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEow\nIBAAKC==\n-----END RSA PRIVATE KEY-----";
    for (front, kind) in [
        ("", "text/plain"),
        ("  | ", "application/yaml"),
        ("> ", "text/markdown"),
        ("web-1  | ", "text/plain"),
        ("2026-11-27T10:00:00Z ", "text/plain"),
        ("12:", "text/plain"),
    ] {
        let text = format!("{front}before\n{front}{}\n{front}after: it\n", key.replace('\n', &format!("\n{front}")));
        let masked = shown(kind, &text)?;
        let is_kept =
            masked.starts_with(&format!("{front}before\n")) && masked.ends_with(&format!("{front}after: it\n"));
        assert!(is_kept && !masked.contains("MII") && !masked.contains("AAKC"), "{masked}");
    }
    let code = "MIIEowIBAAKCAQEAwJ";
    for (front, back) in [("\"", "\\n\" +"), ("", "<br>"), ("     2\t", ""), ("'", "',")] {
        let text = format!(
            "{front}-----BEGIN PRIVATE KEY-----{back}\na line of others\n{front}{code}{back}\n{front}{code}{back}\n"
        );
        let masked = shown("text/plain", &text)?;
        assert!(!masked.contains("MII") && masked.contains("a line of others"), "{masked}");
    }
    let end = "-----END PRIVATE KEY-----";
    for (kind, body) in [
        ("text/plain", format!("-----BEGIN PRIVATE KEY-----\n{code}\n{end}-----BEGIN PRIVATE KEY-----\n{code}\n")),
        ("text/csv", format!("note\n-----BEGIN PRIVATE KEY-----\n{code}\n{end}\n")),
        ("application/json", format!(r#"{{"source":["-----BEGIN PRIVATE KEY-----\n","{code}\n","{code}"],"n":1}}"#)),
    ] {
        let masked = shown(kind, &body)?;
        assert!(!masked.contains("MII"), "{kind}: {masked}");
    }
    let events =
        shown("text/event-stream", &format!("data: -----BEGIN PRIVATE KEY-----\ndata: {code}\ndata: ab=\n\n"))?;
    assert!(!events.contains("MII") && !events.contains("ab="), "{events}");
    let cut = shown("text/plain", "-----BEGIN PRIVATE KEY-----\nMIIEow\nand what follows is seen\nabc\n")?;
    assert!(!cut.contains("MII") && cut.ends_with("\nand what follows is seen\nabc\n"), "{cut}");
    Ok(())
}

#[test]
fn a_request_waits_for_a_person() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let approve = |house: &WebHouse| -> Result<String> {
        let request = house.fixture.open_request()?.get("id").and_then(Value::as_str).context("an id")?.to_string();
        assert!(house.fixture.command(&["approve", &request, "--as", "user:dana"])?.status.success());
        Ok(request)
    };
    let waiting = house.curl(&task, &["-X", "DELETE"], "/orders/5")?.stdout(std::process::Stdio::piped()).spawn()?;
    let request = house.fixture.open_request()?;
    assert!(
        request["statement"].as_str().is_some_and(|statement| statement.starts_with("DELETE /orders/5")),
        "{request}"
    );
    approve(&house)?;
    let told: Value = serde_json::from_slice(&waiting.wait_with_output()?.stdout)?;
    assert_eq!(told["method"], "DELETE");

    // Who would rather not wait asks again.
    let again = |body: &str| house.call(&task, "DELETE", "/orders/6", &[("prefer", "respond-async"), JSON], body);
    let first = again("{\"why\": \"x\"}")?;
    assert_eq!(first.status, 202, "{}", first.body);
    let at = first.headers("location").next().context("a place to ask")?.to_string();
    assert!(first.headers("retry-after").next().is_some());
    let problem = first.json();
    let request = problem["request"].as_str().context("a request")?;
    assert_eq!(at.rsplit('/').next(), Some(request), "{problem}");
    let remedy = problem["remedy"].as_str().context("a remedy")?;
    assert!(remedy.contains(&format!("gatehouse approve {request}")), "{problem}");
    assert_eq!(problem.get("request_url"), None, "the configuration names no place where it could be looked at");
    let state = |at: &str| -> Result<(u16, Value)> {
        let answer = http::call(Door::Web(&house.base), "GET", at, &[("authorization", &task.basic())], "")?;
        Ok((answer.status, answer.json()["state"].clone()))
    };
    assert_eq!(state(&at)?, (200, json!("open")));
    let other = house.task("agent:other")?;
    let theirs = http::call(Door::Web(&house.base), "GET", &at, &[("authorization", &other.basic())], "")?;
    assert_eq!(theirs.status, 404, "what a task asked is nobody else's business");
    assert_eq!(again("{\"why\": \"x\"}")?.status, 202);
    approve(&house)?;
    assert_eq!(state(&at)?, (200, json!("approved")));
    assert_eq!(again("{\"why\": \"y\"}")?.status, 202, "another body is another request");
    let passed = again("{\"why\": \"x\"}")?;
    assert_eq!((passed.status, &passed.json()["method"]), (200, &json!("DELETE")));
    assert_eq!(again("{\"why\": \"x\"}")?.status, 202, "an approval is used once");

    // A denial is heard by whoever asks again, with its reason.
    let request = house.fixture.open_request()?.get("id").and_then(Value::as_str).context("an id")?.to_string();
    let deny = ["deny", &request, "--as", "user:dana", "--reason", "not today"];
    assert!(house.fixture.command(&deny)?.status.success());
    let open = house.fixture.json(&["requests", "ls"])?;
    let open = open.as_array().into_iter().flatten().filter(|request| request["state"] == "open");
    for request in open.filter_map(|request| request["id"].as_str()) {
        assert!(
            house.fixture.command(&["deny", request, "--as", "user:dana", "--reason", "not today"])?.status.success()
        );
    }
    for _ in 0..2 {
        let denied = again("{\"why\": \"y\"}")?;
        assert!(denied.status == 403 && denied.body.contains("not today"), "{} {}", denied.status, denied.body);
    }

    // A client that goes takes its request along.
    let mut gone = house.curl(&task, &["-X", "DELETE"], "/orders/7")?.spawn()?;
    let mut request = String::new();
    wait_until("it is filed", || {
        let requests = house.fixture.json(&["requests", "ls"])?;
        let open = requests.as_array().into_iter().flatten().find(|open| {
            open["state"] == "open"
                && open["statement"].as_str().is_some_and(|statement| statement.contains("orders/7"))
        });
        request = open.and_then(|open| open["id"].as_str()).unwrap_or_default().into();
        Ok(!request.is_empty())
    })?;
    gone.kill()?;
    gone.wait()?;
    wait_until("it is withdrawn", || Ok(house.fixture.request_state(&request)? == "withdrawn"))?;
    Ok(())
}

/// A line of the bodies that are held.
const LINE: &str = "a line that stands nowhere before a person has answered\n";

/// A gateway at which a person reads first what agents post.
fn posting(said: &str, config: &str) -> Result<WebHouse> {
    let policy = "\n@id(\"posts-are-read\") @hold(\"dba\") @reason(\"what an agent posts is read by a person first\")\n\
                  permit (principal in Group::\"agents\", action == Action::\"http:post\", resource in Target::\"api\");\n";
    WebHouse::start_with(said, policy, Setup { config: config.into(), ..Setup::default() })
}

/// What the gateway keeps of bodies.
fn kept(house: &WebHouse) -> Result<Vec<PathBuf>> {
    Ok(files(&[&house.fixture.data.join("held")])?)
}

fn is_all_gone(house: &WebHouse) -> Result<()> {
    wait_until("what was kept of a body is gone", || Ok(kept(house)?.is_empty()))
}

/// A post that waits for a person.
fn posting_of(house: &WebHouse, task: &WebCredential, body: &str) -> Result<Child> {
    let file = house.fixture.folder.path().join("posted.txt");
    std::fs::write(&file, body)?;
    let data = format!("@{}", file.display());
    let arguments = ["-X", "POST", "-H", "content-type: text/plain", "-H", "expect:", "--data-binary", &data];
    Ok(house.curl(task, &arguments, "/taken")?.stdout(Stdio::piped()).spawn()?)
}

/// The same, and its request.
fn posted(house: &WebHouse, task: &WebCredential, body: &str) -> Result<(Child, String)> {
    let waiting = posting_of(house, task, body)?;
    let request = house.fixture.open_request()?.get("id").and_then(Value::as_str).context("an id")?.to_string();
    ensure!(kept(house)?.len() == 1, "one body is kept, and there are {:?}", kept(house)?);
    Ok((waiting, request))
}

/// The bodies that reached the target.
fn taken(house: &WebHouse) -> Result<Vec<String>> {
    let target = format!("http://127.0.0.1:{}", house.target.port);
    Ok(serde_json::from_value(http::call(Door::Web(&target), "GET", "/heard", &[], "")?.json())?)
}

fn answer(house: &WebHouse, word: &str, request: &str) -> Result<()> {
    let answered = house.fixture.command(&[word, request, "--as", "user:dana", "--reason", "it was read"])?;
    ensure!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    Ok(())
}

fn printed(child: Child) -> Result<String> {
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

#[test]
fn a_held_body_lies_encrypted_until_the_answer() -> Result<()> {
    let house = posting("", "")?;
    let task = house.task("agent:claude")?;
    let body = LINE.repeat(2 * 1024 * 1024 / LINE.len() + 1);
    let (waiting, request) = posted(&house, &task, &body)?;
    let has_line = |path: &Path| -> Result<bool> {
        Ok(std::fs::read(path)?.windows(LINE.len()).any(|window| window == LINE.as_bytes()))
    };
    let all = files(&[&house.fixture.data])?;
    assert!(all.len() > 3, "{all:?}");
    for path in all {
        assert!(!has_line(&path)?, "{}", path.display());
    }
    let length: u64 = std::fs::metadata(&kept(&house)?[0])?.len();
    assert!(length > body.len() as u64, "{length}");
    // Who decides sees all of it, and a listing how it begins.
    let shown = house.fixture.json(&["requests", "show", &request])?;
    assert!(shown["binds"] == json!([format!("'{body}'")]), "it is shown to the letter");
    assert_eq!(shown["bind_names"], json!(["body"]));
    assert_eq!(shown["exact"], true);
    let listed = house.fixture.open_request()?;
    assert_eq!(listed["exact"], false);
    let all = format!("({} bytes in all)", body.len());
    assert!(listed["binds"][0].as_str().is_some_and(|bind| bind.len() < 1024 && bind.ends_with(&all)), "{listed}");
    answer(&house, "approve", &request)?;
    assert_eq!(printed(waiting)?, "{}");
    assert!(taken(&house)? == [body.clone()], "the target got exactly it");
    is_all_gone(&house)?;

    let (waiting, request) = posted(&house, &task, &body)?;
    answer(&house, "deny", &request)?;
    let denied = printed(waiting)?;
    assert!(denied.contains("dana"), "{denied}");
    is_all_gone(&house)?;

    let (mut waiting, request) = posted(&house, &task, &body)?;
    waiting.kill()?;
    waiting.wait()?;
    is_all_gone(&house)?;
    assert_eq!(house.fixture.request_state(&request)?, "withdrawn");

    let (waiting, _) = posted(&house, &task, &body)?;
    assert!(house.fixture.command(&["revoke", &task.task])?.status.success());
    printed(waiting)?;
    is_all_gone(&house)?;
    assert_eq!(taken(&house)?.len(), 1, "nothing else reached the target");
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Of whoever asks again it is what they send then that goes on.
#[test]
fn a_body_that_nobody_waits_with_is_kept_for_who_decides() -> Result<()> {
    let mut house = posting("", "")?;
    let task = house.task("agent:claude")?;
    let body = LINE.repeat(2_000);
    let ask = |house: &WebHouse, body: &str| {
        house.call(&task, "POST", "/taken", &[("prefer", "respond-async"), ("content-type", "text/plain")], body)
    };
    let asked = |house: &WebHouse| -> Result<String> {
        let first = ask(house, &body)?;
        ensure!(first.status == 202, "{} {}", first.status, first.body);
        ensure!(ask(house, &body)?.status == 202 && kept(house)?.len() == 1, "asked twice, it is kept once");
        Ok(first.json()["request"].as_str().context("a request")?.to_string())
    };
    let request = asked(&house)?;
    let shown = house.fixture.json(&["requests", "show", &request])?;
    assert!(shown["binds"] == json!([format!("'{body}'")]), "it is shown to the letter");
    answer(&house, "approve", &request)?;
    is_all_gone(&house)?;
    assert_eq!(ask(&house, &format!("{body}."))?.status, 202, "another body is another request");
    let other = house.fixture.open_request()?.get("id").and_then(Value::as_str).context("an id")?.to_string();
    answer(&house, "deny", &other)?;
    assert_eq!(ask(&house, &body)?.status, 200);
    assert!(taken(&house)? == [body.clone()]);
    is_all_gone(&house)?;

    // What a gateway leaves behind that was killed, the next one sweeps.
    asked(&house)?;
    house.fixture.kill_gateway()?;
    assert_eq!(kept(&house)?.len(), 1);
    house.fixture.start_gateway()?;
    assert!(kept(&house)?.is_empty());
    let request = house.fixture.open_request()?;
    assert_eq!(request["exact"], false, "{request}");
    house.base = web::listening(&house.fixture, "api")?;
    // Whoever asks again brings it back, for whoever decides to look at.
    let id = request["id"].as_str().context("an id")?;
    assert_eq!(asked(&house)?, id, "it is the same request");
    let shown = house.fixture.json(&["requests", "show", id])?;
    assert!(shown["binds"] == json!([format!("'{body}'")]) && shown["exact"] == true, "it is shown to the letter");
    answer(&house, "approve", id)?;
    is_all_gone(&house)?;
    assert_eq!(ask(&house, &body)?.status, 200, "the approval binds to the digest");

    // One that is asked to stop leaves nothing.
    asked(&house)?;
    house.fixture.stop_gateway()?;
    assert!(kept(&house)?.is_empty());
    Ok(())
}

#[test]
fn what_is_not_kept_of_a_body_does_not_pass() -> Result<()> {
    let limits = "[limits]\nheld_body_bytes_max = 4096\nheld_bodies_bytes_max = 6144\n";
    let house = posting("", limits)?;
    let task = house.task("agent:claude")?;
    let fields = [("prefer", "respond-async"), ("content-type", "text/plain")];
    let ask = |body: &str| house.call(&task, "POST", "/taken", &fields, body);
    let refused = |body: &str, limit: &str| -> Result<()> {
        let refused = ask(body)?;
        ensure!(refused.status == 413 && refused.body.contains(limit), "{} {}", refused.status, refused.body);
        Ok(())
    };
    refused(&"x".repeat(4097), "limits.held_body_bytes_max = 4096")?;
    let held = ask(&"x".repeat(4096))?;
    assert_eq!(held.status, 202, "{}", held.body);
    refused(&"y".repeat(4096), "limits.held_bodies_bytes_max = 6144")?;
    assert_eq!(kept(&house)?.len(), 1);
    let request = held.json()["request"].as_str().context("a request")?.to_string();
    answer(&house, "deny", &request)?;
    is_all_gone(&house)?;

    // A file that is gone, or that somebody changed.
    let changes: [fn(&Path) -> std::io::Result<()>; 2] =
        [|path| std::fs::remove_file(path), |path| std::fs::write(path, "somebody else's")];
    for change in changes {
        let (waiting, request) = posted(&house, &task, &"z".repeat(4000))?;
        change(&kept(&house)?[0])?;
        answer(&house, "approve", &request)?;
        let lost = printed(waiting)?;
        assert!(lost.contains("its body is lost"), "{lost}");
        is_all_gone(&house)?;
    }
    assert_eq!(taken(&house)?, Vec::<String>::new());
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_body_that_nobody_answered_for_is_gone() -> Result<()> {
    let house = posting("hold_secs_max = 1\n", "")?;
    let task = house.task("agent:claude")?;
    let late = printed(posting_of(&house, &task, LINE)?)?;
    assert!(late.contains("in time"), "{late}");
    is_all_gone(&house)?;
    assert_eq!(taken(&house)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn nobody_comes_in_without_a_live_credential() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let bare = |fields: &[(&str, &str)]| http::call(Door::Web(&house.base), "GET", "/http/api/told", fields, "");
    let nobody = bare(&[])?;
    assert_eq!(nobody.status, 401);
    assert!(nobody.headers("www-authenticate").next().is_some_and(|schemes| schemes.contains("Bearer")));
    let wrong = gatehouse_conformance::web::WebCredential { password: format!("{}x", task.password), ..task.clone() };
    assert_eq!(bare(&[("authorization", &wrong.basic())])?.status, 401);
    assert_eq!(bare(&[("authorization", "Bearer nonsense")])?.status, 401);
    assert_eq!(house.get(&task, "/told")?.status, 200);
    for nowhere in ["/http/none/told", "/http/shop/told", "/elsewhere"] {
        let answer = http::call(Door::Web(&house.base), "GET", nowhere, &[("authorization", &task.basic())], "")?;
        assert_eq!(answer.status, 404, "{nowhere}");
    }
    let events = house.running(&task)?;
    assert!(house.fixture.command(&["revoke", &task.task])?.status.success());
    assert_eq!(house.get(&task, "/told")?.status, 401);
    // It would have gone on for a minute.
    Fixture::cut_off(events)?;
    Ok(())
}

#[test]
fn the_gateways_own_credential_does_not_come_back() -> Result<()> {
    let house = WebHouse::start("", "")?;
    for who in ["agent:claude", "user:dana"] {
        let task = house.task(who)?;
        let answer = house.get(&task, "/secret")?;
        let all = format!("{}{}", answer.head, answer.body);
        assert!(answer.status == 200 && !all.contains(TOKEN) && all.contains(&"*".repeat(TOKEN.len())), "{who}: {all}");
    }
    // What cannot be looked into for it is kept back, and the next request on the same connection is answered.
    let unreadable = format!("{}/http/api/twice", house.base);
    let one_connection = ["-w", "%{http_code} ", "-o", "/dev/null", "-o", "/dev/null", &unreadable];
    let answers = house.curl(&house.task("user:dana")?, &one_connection, "/told")?.output()?;
    assert_eq!(String::from_utf8_lossy(&answers.stdout), "403 200 ");
    let own = house.call(&house.task("agent:claude")?, "GET", "/told", &[("x-own", TOKEN)], "")?;
    assert!(!own.body.contains(TOKEN), "{}", own.body);
    Ok(())
}

#[test]
fn a_guess_is_not_told_from_what_it_guesses() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let pseudonym = house.get(&task, "/people")?.json()[0]["email"].as_str().context("a pseudonym")?.to_string();
    for (fields, body) in [
        (vec![("x-guess", "lotte@corp.example")], ""),
        (vec![JSON], "{\"email\": \"lotte@corp.example\"}"),
        (vec![JSON], "{\"email\": \"LOTTE\\u0040corp.example\"}"),
        (vec![("content-type", "application/x-www-form-urlencoded")], "email=lotte%40corp.example"),
    ] {
        let told = house.call(&task, "POST", "/echo?email=lotte%40corp.example", &fields, body)?;
        assert!(told.status == 200 && !told.body.contains(&pseudonym) && is_masked(&told.body), "{}", told.body);
    }
    Ok(())
}

#[test]
fn links_of_the_target_lead_through_the_gateway() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let moved = house.get(&task, "/moved")?;
    assert_eq!(moved.headers("location").collect::<Vec<_>>(), ["/http/api/people"]);
    assert_eq!(moved.headers("set-cookie").collect::<Vec<_>>(), ["seen=1; Path=/http/api/; HttpOnly"]);
    let followed =
        house.curl(&task, &["-L", "-w", "%{http_code} %{num_redirects}", "-o", "/dev/null"], "/moved")?.output()?;
    assert_eq!(String::from_utf8_lossy(&followed.stdout), "200 1");
    let page = house.get(&task, "/pages")?;
    let links = "</http/api/pages?page=2>; rel=\"next\", </http/api/pages>; rel=\"first\"";
    assert_eq!(page.headers("link").collect::<Vec<_>>(), [links]);
    let own = format!("http://127.0.0.1:{}", house.target.port);
    assert_eq!(page.json()["next"], format!("{own}/pages?page=2"), "{}", page.body);
    Ok(())
}

#[test]
fn links_in_bodies_do_so_where_it_is_wanted() -> Result<()> {
    let house = WebHouse::start("rewrite_links = true\nnames = [\"api.test\"]", "")?;
    let own = format!("http://127.0.0.1:{}", house.target.port);
    for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
        let task = house.task(who)?;
        let page = house.get(&task, "/pages")?;
        assert_eq!(page.json()["next"], format!("{}/http/api/pages?page=2", house.base), "{}", page.body);
        assert_eq!(page.json()["other"], format!("{own}1/pages"), "{}", page.body);
        assert_eq!(page.json()["email"] == "lotte@corp.example", sees_all, "{}", page.body);
        let basic = task.basic();
        let fields = [("authorization", basic.as_str()), ("host", "api.test")];
        let named = http::call(Door::Named(&house.base), "GET", "/pages", &fields, "")?;
        assert_eq!(named.json()["next"], "http://api.test/pages?page=2", "{}", named.body);
        assert_eq!(named.headers("link").next(), Some("</pages?page=2>; rel=\"next\", </pages>; rel=\"first\""));
        assert_eq!(house.get(&task, "/picture")?.status == 200, sees_all, "what is no text is as it was");
        // By whatever coding; and text that is not the JSON that it says it is, to those who may see it.
        for coded in [&["--compressed"][..], &["-H", "accept-encoding: identity"]] {
            let page = house.curl(&task, coded, "/pages?coded")?.output()?.stdout;
            let page = String::from_utf8_lossy(&page).into_owned();
            assert!(page.contains(&format!("{}/http/api/pages?page=2", house.base)), "{who} {coded:?}: {page}");
        }
        assert_eq!(house.get(&task, "/broken")?.body.ends_with("lotte@corp.example\""), sees_all);
        let host = format!("{}.test", "a".repeat(300));
        let long = http::call(Door::Named(&house.base), "GET", "/http/api/pages", &[fields[0], ("host", &host)], "")?;
        assert!(!long.body.contains(&host), "no answer repeats a name that is none");
    }
    Ok(())
}

/// What a target says before its answer is judged and masked like the answer.
#[test]
fn what_comes_before_an_answer_is_passed_on() -> Result<()> {
    let house = WebHouse::start("", "")?;
    let task = house.task("agent:claude")?;
    let heads = |version: &str, path: &str| -> Result<String> {
        let output = house.curl(&task, &[version, "-D", "-"], path)?.output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let told = heads("--http1.1", "/hints")?;
    let statuses: Vec<&str> = told.lines().filter(|line| line.starts_with("HTTP")).map(str::trim).collect();
    assert_eq!(statuses, ["HTTP/1.1 103 Early Hints", "HTTP/1.1 102 Processing", "HTTP/1.1 200 OK"], "{told}");
    assert!(told.contains("link: <style.css>; rel=preload") && told.contains("x-contact: "), "{told}");
    assert!(is_masked(&told) && told.ends_with("hinted"), "{told}");
    // Of many the first go on.
    let told = heads("--http1.1", "/hints?n=400")?;
    let hints = told.lines().filter(|line| line.starts_with("HTTP/1.1 103")).count();
    assert!(hints == 16 && told.ends_with("hinted"), "{hints}");
    let dana = house.task("user:dana")?;
    let told = house.curl(&dana, &["--http1.1", "-D", "-"], "/hints")?.output()?.stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(
        told.contains("103 Early Hints\r\nlink: <style.css>; rel=preload\r\nx-contact: lotte@corp.example"),
        "{told}"
    );
    let told = heads("--http2-prior-knowledge", "/hints")?;
    let statuses: Vec<&str> = told.lines().filter(|line| line.starts_with("HTTP")).map(str::trim).collect();
    assert_eq!(statuses, ["HTTP/2 103", "HTTP/2 102", "HTTP/2 200"], "{told}");
    assert!(told.contains("link: <style.css>; rel=preload") && told.contains("date: "), "{told}");
    assert!(is_masked(&told) && told.ends_with("hinted"), "{told}");
    // Older clients know of none.
    let told = heads("--http1.0", "/hints")?;
    assert!(!told.contains(" 103") && told.ends_with("hinted"), "{told}");
    Ok(())
}

#[test]
fn the_targets_document_names_its_paths() -> Result<()> {
    let json = json!({
        "openapi": "3.0.3", "info": { "title": "api", "version": "1" },
        "paths": {
            "/people": { "get": { "operationId": "listPeople" } },
            "/people/{id}": { "get": { "operationId": "getPerson" } },
            "/people/me": { "get": { "operationId": "getMe" } },
        },
    });
    let yaml = "openapi: 3.0.3\ninfo: { title: api, version: 1 }\npaths:\n  /people:\n    get: { operationId: listPeople }\n\
                \x20 /people/{id}:\n    get: { operationId: getPerson }\n  /people/me:\n    get: { operationId: getMe }\n";
    let only = "\n@id(\"undocumented\") forbid (principal in Group::\"agents\", action == Action::\"http:undocumented\", resource);\n\
                @id(\"nobody\") forbid (principal, action, resource in Endpoint::\"api/getPerson\");\n";
    for (name, document) in [("api.json", json.to_string()), ("api.yaml", yaml.to_string())] {
        let setup = gatehouse_conformance::Setup { files: vec![(name, document)], ..Default::default() };
        let house = WebHouse::start_with(&format!("openapi = \"{name}\""), only, setup)?;
        let task = house.task("agent:claude")?;
        let status =
            |path: &str| house.get(&task, path).map(|answer| (answer.status, answer.json()["policies"].clone()));
        assert_eq!(status("/people")?.0, 200, "{name}");
        assert_eq!(status("/people/me")?.0, 200, "{name}");
        assert_eq!(status("/people/7")?, (403, json!(["nobody"])), "{name}");
        assert_eq!(status("/elsewhere")?, (403, json!(["undocumented"])), "{name}");
        assert_eq!(house.call(&task, "POST", "/people", &[JSON], "{}")?.json()["policies"], json!(["undocumented"]));

        std::fs::write(
            house.fixture.folder.path().join("gatehouse").join(name),
            "openapi: 3.0.3\npaths: {}\npaths: {}\n",
        )?;
        let output = house.fixture.command(&["check", "--config", &house.fixture.config().display().to_string()])?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let config = std::fs::read_to_string(house.fixture.config())?;
        let line = config.lines().position(|line| line.starts_with("openapi")).map_or(0, |line| line + 1);
        assert!(!output.status.success() && told.contains(&format!("gatehouse.toml:{line}:")), "{told}");
        assert!(told.contains(name) && told.contains("in JSON or YAML"), "{told}");
        // Where in the document, and what.
        let cause = if name == "api.yaml" { ["duplicate", "line 3"] } else { ["no JSON", "line 1"] };
        assert!(cause.iter().all(|cause| told.contains(cause)), "{told}");
    }
    Ok(())
}

#[test]
fn the_gateway_gets_a_token_for_itself() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let provider = Provider::start(folder.path(), &json!({}))?;
    let credential = format!(
        "credential = {{ oauth = {{ token_url = \"{}/token\", client_id = \"deployer\", client_secret = \"file:oauth.secret\" }} }}",
        provider.issuer
    );
    let files = vec![("oauth.secret", CLIENT_SECRET.into())];
    let house = WebHouse::start_with(&credential, "", gatehouse_conformance::Setup { files, ..Default::default() })?;
    let told = house.get(&house.task("user:dana")?, "/told")?.json();
    let shown = fields(&told, "authorization");
    let stars = shown.first().and_then(|shown| shown.strip_prefix("Bearer ")).context("a token")?;
    assert!(stars.len() > 20 && stars.bytes().all(|byte| byte == b'*'), "{stars}");
    Ok(())
}

/// Whoever is held is told where the request is looked at, if the configuration says where that is.
#[test]
fn a_held_request_says_where_it_is_looked_at() -> Result<()> {
    let mut house = WebHouse::start("", "")?;
    let config = std::fs::read_to_string(house.fixture.config())?;
    let api = "[api]\naddress = \"127.0.0.1:0\"\n";
    let public = config.replace(api, &format!("{api}url = \"https://gateway.example/\"\n"));
    assert_ne!(public, config);
    house.fixture.stop_gateway()?;
    std::fs::write(house.fixture.config(), public)?;
    house.fixture.start_gateway()?;
    house.base = gatehouse_conformance::web::listening(&house.fixture, "api")?;
    let task = house.task("agent:claude")?;
    let held = house.call(&task, "DELETE", "/orders/6", &[("prefer", "respond-async")], "")?;
    assert_eq!(held.status, 202, "{}", held.body);
    let problem = held.json();
    let request = problem["request"].as_str().context("a request")?;
    assert_eq!(problem["request_url"], format!("https://gateway.example/requests/{request}"));
    assert!(problem["remedy"].as_str().is_some_and(|remedy| remedy.contains(request)), "{problem}");
    Ok(())
}

/// AWS's own library takes the signatures, whatever the agent showed.
#[test]
fn requests_to_aws_are_signed() -> Result<()> {
    let printed = format!(
        "{{\"AccessKeyId\": \"AKIDGATEHOUSE\", \"SecretAccessKey\": \"{TOKEN}\", \"SessionToken\": \"a-token-for-a-while\"}}"
    );
    for (service, secret, more) in
        [("s3", TOKEN, "access_key_id = \"AKIDGATEHOUSE\","), ("dynamodb", printed.as_str(), "")]
    {
        let credential = format!(
            "credential = {{ aws = {{ region = \"eu-central-1\", service = \"{service}\", {more} secret_access_key = \
             \"file:aws.secret\" }} }}"
        );
        let setup = Setup { files: vec![("aws.secret", secret.to_string())], ..Setup::default() };
        let house = WebHouse::start_with(&credential, "", setup)?;
        let task = house.task("agent:claude")?;
        let own = [
            ("x-amz-date", "20200101T000000Z"),
            ("x-amz-security-token", "of somebody else"),
            ("x-amz-content-sha256", "0"),
            ("x-amz-target", "DynamoDB_20120810.GetItem"),
        ];
        for (method, path, body) in [
            ("GET", "/signed/a%20b/%C3%A9?list-type=2&prefix=a%2Fb&flag", ""),
            ("GET", "/signed/b?X-Amz-Signature=00&X-Amz-Credential=theirs&kept=1", ""),
            ("PUT", "/signed/object", "some content"),
            ("POST", "/signed/", "{\"Key\": 1}"),
        ] {
            let kind = ("content-type", if method == "POST" { "application/x-amz-json-1.0" } else { "text/plain" });
            let told = house.call(&task, method, path, &[&own[..], &[kind]].concat(), body)?;
            let told = told.json();
            assert_eq!(told["signed"], true, "{service} {method} {path}: {told}");
            let sent = told["path"].as_str().context("a path")?;
            assert!(
                !sent.contains("X-Amz-") && (!path.contains("kept") || sent.ends_with("/signed/b?kept=1")),
                "{sent}"
            );
            assert!(!told.to_string().contains("a-token-for-a-while"), "it comes back: {told}");
        }
        let odd = [("authorization", task.basic()), ("x-amz-meta-a", "\u{e9}".into())];
        let odd = odd.each_ref().map(|(name, value)| (*name, value.as_str()));
        let refused = http::call(Door::Web(&house.base), "GET", "/http/api/signed/b", &odd, "")?;
        assert!(refused.status == 400 && refused.body.contains("ASCII"), "{}", refused.body);
    }
    Ok(())
}

/// The configuration of a store that is signed for.
const STORE: &str = "names = [\"api.test\"]\ncredential = { aws = { region = \"eu-central-1\", service = \"s3\", \
                     access_key_id = \"AKIDGATEHOUSE\", secret_access_key = \"file:aws.secret\" } }";

fn store() -> Result<WebHouse> {
    WebHouse::start_with(STORE, "", Setup { files: vec![("aws.secret", TOKEN.into())], ..Setup::default() })
}

/// What the target heard of uploads.
fn uploads(house: &WebHouse) -> Result<Vec<Value>> {
    let target = format!("http://127.0.0.1:{}", house.target.port);
    let heard = http::call(Door::Web(&target), "GET", "/heard", &[], "")?.json();
    let each = heard.as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(each.map(serde_json::from_str::<Value>).collect::<Result<_, _>>()?)
}

/// A body in AWS's chunks is signed as what it is: as one in a piece, a store would keep the chunks' own words with it.
#[test]
fn uploads_in_chunks_of_aws_stay_such() -> Result<()> {
    let house = store()?;
    let task = house.task("agent:claude")?;
    let unsigned = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let body = "c\r\nsome content\r\n0\r\nx-amz-checksum-crc32:Qx8xPw==\r\n\r\n";
    let said = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", unsigned),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-decoded-content-length", "12"),
    ];
    assert_eq!(house.call(&task, "PUT", "/signed/upload", &said, body)?.status, 200);
    let mut streamed = vec!["-X".into(), "PUT".into(), "--data-binary".into(), body.to_string()];
    for (name, value) in said.iter().chain(&[("transfer-encoding", "chunked"), ("content-type", "binary/octet-stream")])
    {
        streamed.extend(["-H".to_string(), format!("{name}: {value}")]);
    }
    let streamed: Vec<&str> = streamed.iter().map(String::as_str).collect();
    assert!(house.curl(&task, &streamed, "/signed/upload")?.status()?.success());
    let heard = uploads(&house)?;
    assert_eq!(heard.len(), 2);
    for heard in heard {
        assert_eq!((&heard["signed"], &heard["body"]), (&json!(true), &json!(body)), "{heard}");
        for (name, value) in said {
            assert_eq!(heard["fields"][name], value, "{heard}");
        }
    }
    for signed in ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"] {
        let refused = house.call(&task, "PUT", "/signed/upload", &[("x-amz-content-sha256", signed)], body)?;
        assert_eq!(refused.status, 400, "{}", refused.body);
        assert!(
            refused.body.contains("another key than the gateway") && refused.body.contains(unsigned),
            "{}",
            refused.body
        );
    }
    let twice = [("x-amz-content-sha256", unsigned), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")];
    assert_eq!(house.call(&task, "PUT", "/signed/upload", &twice, body)?.status, 400);
    assert_eq!(uploads(&house)?.len(), 2);
    Ok(())
}

/// AWS's SDK uploads as it does by itself.
#[test]
fn an_sdk_of_aws_uploads() -> Result<()> {
    let house = store()?;
    let mut command = Command::new(program()?);
    command.args(["run", "--as", "agent:claude", "--target", "api", "--reason", "a test", "--"]);
    command.args([CLIENTS, "client_s3.py"]);
    command.env("GATEHOUSE_ADMIN_SOCKET", house.fixture.data.join("admin.sock")).env("BASE", "https://api.test");
    let output = command.stdin(Stdio::null()).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let heard = uploads(&house)?;
    let [heard] = heard.as_slice() else { anyhow::bail!("{heard:?}") };
    let fields = heard["fields"].as_object().context("fields")?;
    let field =
        |wanted: &str| fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    assert_eq!(heard["signed"], true, "{heard}");
    assert_eq!(field("x-amz-content-sha256"), Some(&json!("STREAMING-UNSIGNED-PAYLOAD-TRAILER")), "{heard}");
    assert_eq!(field("content-encoding"), Some(&json!("aws-chunked")), "{heard}");
    assert_eq!(field("x-amz-decoded-content-length"), Some(&json!("12")), "{heard}");
    let body = heard["body"].as_str().context("a body")?;
    assert!(body.starts_with("c\r\nsome content\r\n0\r\nx-amz-checksum-"), "{body}");
    Ok(())
}

#[test]
fn a_session_is_exported_as_an_http_archive() -> Result<()> {
    let house =
        WebHouse::start("", "permit (principal, action == Action::\"connect\", resource in Target::\"shop\");")?;
    let task = house.task("agent:claude")?;
    let sent = [
        ("x-shown", "plainly"),
        ("cookie", "crumbs=c00kie"),
        ("x-customer-token", "t0ken"),
        ("x-said", TOKEN),
        ("email", "lotte@corp.example"),
        ("x-found", "linus@corp.example"),
        ("referer", "https://elsewhere.example/a?code=c0de"),
    ];
    assert_eq!(house.call(&task, "GET", "/people?page=1", &sent, "")?.status, 200);
    assert_eq!(house.get(&task, "/admin")?.status, 403);
    let sessions = house.fixture.json(&["sessions", "ls"])?;
    let id = sessions[0]["task"].as_str().context("a task")?;
    let output = house.fixture.command(&["replay", "--har", "--task", id])?;
    let archive: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(archive["log"]["version"], "1.2");
    let entries = archive["log"]["entries"].as_array().context("entries")?;
    let [seen, refused] = entries.as_slice() else { anyhow::bail!("{entries:?}") };
    let of =
        |entry: &Value| sessions.as_array().is_some_and(|all| all.iter().any(|one| one["id"] == entry["connection"]));
    assert!(of(seen) && of(refused), "{archive}");
    // What went on is there, without what proves anybody and what is classified.
    let header = |name: &str| {
        let mut fields = seen["request"]["headers"].as_array().into_iter().flatten();
        fields.find(|field| field["name"] == name).map(|field| field["value"].clone()).unwrap_or_default()
    };
    assert_eq!((header("x-shown"), header("authorization")), (json!("plainly"), Value::Null));
    for hidden in ["cookie", "x-customer-token"] {
        assert_eq!(header(hidden), "…", "{seen}");
    }
    assert_eq!(header("x-said"), "*".repeat(TOKEN.len()));
    assert_eq!(header("referer"), "https://elsewhere.example/a?…");
    let request = seen["request"].to_string();
    let said = ["c00kie", "t0ken", "lotte@corp", "linus@corp", "c0de", task.password.as_str()];
    assert!(said.iter().all(|said| !request.contains(said)), "{request}");
    assert_eq!(
        (&seen["request"]["method"], &seen["request"]["url"]),
        (&json!("GET"), &json!("http://api/people?page=1"))
    );
    let body = seen["response"]["content"]["text"].as_str().context("a text")?;
    assert!(body.contains("full_name") && !body.contains("lotte@corp.example"), "as the client saw it: {body}");
    assert!(seen["timings"]["wait"].as_f64() > Some(0.0), "{seen}");
    assert_eq!(refused["response"]["status"], 403);
    let other = house.fixture.task("agent:claude", "5m")?;
    house.fixture.psql(&other, "select 1")?;
    let mut sessions = Value::Null;
    wait_until("the session is listed", || {
        sessions = house.fixture.json(&["sessions", "ls", "--target", "shop"])?;
        Ok(sessions[0]["id"].is_string())
    })?;
    let id = sessions[0]["id"].as_str().context("an id")?;
    let output = house.fixture.command(&["replay", id, "--har"])?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("was not over HTTP"));
    let of = sessions[0]["task"].as_str().context("a task")?;
    let output = house.fixture.command(&["replay", "--har", "--task", of])?;
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no session over HTTP"));
    Ok(())
}
