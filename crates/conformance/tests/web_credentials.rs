//! Who proves themselves by what, over HTTP: the gateway to its targets, by what no client sees and none replaces; and clients to
//! the gateway, by tokens that no target sees.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_conformance::Setup;
use gatehouse_conformance::fixture::wait_until;
use gatehouse_conformance::http::{self, Answer, Door, FORM};
use gatehouse_conformance::secret::{remember, remember_token};
use gatehouse_conformance::served::Served;
use gatehouse_conformance::signer::{Signer, now};
use gatehouse_conformance::web::{TOKEN, WebCredential, WebHouse};
use serde_json::{Value, json};

/// What has signs that mean something in addresses, in XML and in forms.
const SECRET: &str = "s3cret/of+the gateway=own & co";
/// What has signs that some escape and others do not, and not all in the same way.
const ODD_SECRET: &str = "s3cret's of+the/gateway~and*its own";
/// What a client would rather be known by at the target.
const THEIRS: &str = "theirs-and-nobody-elses";
const START: &str =
    "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource in Target::\"api\");\n";

/// A gateway that proves itself by a credential to a target that says everything back.
fn house(credential: &str, secret: &str) -> Result<WebHouse> {
    let target = Served::start("credential_target.py", &[])?;
    let files = vec![("own.secret", secret.to_string())];
    WebHouse::before(target, &format!("credential = {credential}"), "", Setup { files, ..Setup::default() })
}

/// What is asked of the target itself.
fn directly(house: &WebHouse, path: &str) -> Result<Value> {
    let base = format!("http://127.0.0.1:{}", house.target.port);
    Ok(http::call(Door::Web(&base), "GET", path, &[], "")?.json())
}

/// All requests that the target heard.
fn heard(house: &WebHouse) -> Result<Vec<Value>> {
    Ok(directly(house, "/_heard")?.get("heard").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// All that it was asked tokens by.
fn asked(house: &WebHouse) -> Result<Vec<Value>> {
    Ok(directly(house, "/_heard")?.get("asked").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// The values of a field of a request that was heard.
fn field(request: &Value, name: &str) -> Vec<String> {
    let fields = request["fields"].as_array().into_iter().flatten();
    let named = fields.filter(|field| field[0] == name).filter_map(|field| field[1].as_str().map(String::from));
    named.collect()
}

/// A call of a client that shows the gateway who it is as a proxy's, and the target what it likes.
fn call(house: &WebHouse, task: &WebCredential, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    let basic = task.basic();
    let fields = [&[("proxy-authorization", basic.as_str())], fields].concat();
    http::call(Door::Web(&house.base), "GET", &format!("/http/api{path}"), &fields, "")
}

fn in_form(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A way in which the gateway proves itself, and what of it the target hears.
struct Kind {
    credential: &'static str,
    path: String,
    authorization: Vec<String>,
    key: Vec<String>,
    /// What no answer may hold.
    hidden: Vec<String>,
}

fn kinds() -> [Kind; 3] {
    let pair = BASE64.encode(format!("gatehouse:{SECRET}"));
    let hidden = vec![SECRET.to_string(), BASE64.encode(SECRET), in_form(SECRET)];
    let theirs = vec![THEIRS.to_string(); 2];
    [
        Kind {
            credential: "{ basic = { user = \"gatehouse\", password = \"file:own.secret\" } }",
            path: format!("/echo?a=1&key={THEIRS}"),
            authorization: vec![format!("Basic {pair}")],
            key: theirs.clone(),
            hidden: [&hidden[..], &[pair]].concat(),
        },
        Kind {
            credential: "{ header = { name = \"X-API-Key\", value = \"file:own.secret\" } }",
            path: format!("/echo?a=1&key={THEIRS}"),
            authorization: Vec::new(),
            key: vec![SECRET.into()],
            hidden: hidden.clone(),
        },
        Kind {
            credential: "{ query = { name = \"key\", value = \"file:own.secret\" } }",
            path: format!("/echo?a=1&key={}", in_form(SECRET)),
            authorization: Vec::new(),
            key: theirs,
            hidden,
        },
    ]
}

/// The target hears what the gateway proves itself by, once, and nothing that the client sent in its place.
#[test]
fn the_target_hears_the_gateways_credential_and_no_other() -> Result<()> {
    for kind in kinds() {
        let house = house(kind.credential, SECRET)?;
        for who in ["agent:claude", "user:dana"] {
            let task = house.task(who)?;
            let theirs = format!("Bearer {THEIRS}");
            let own = [("authorization", theirs.as_str()), ("x-api-key", THEIRS), ("X-Api-Key", THEIRS)];
            let answer = call(&house, &task, &format!("/echo?a=1&key={THEIRS}"), &own)?;
            assert_eq!(answer.status, 200, "{}: {}", kind.credential, answer.body);
            let told = heard(&house)?.pop().context("it was heard")?;
            assert_eq!(told["path"], kind.path.as_str(), "{}", kind.credential);
            assert_eq!(field(&told, "authorization"), kind.authorization, "{}", kind.credential);
            assert_eq!(field(&told, "x-api-key"), kind.key, "{}", kind.credential);
            assert!(field(&told, "proxy-authorization").is_empty() && !told.to_string().contains(&task.password));
            // Nor where the client shows the gateway who it is by the same field.
            assert_eq!(house.get(&task, "/echo")?.status, 200);
            let told = heard(&house)?.pop().context("it was heard")?;
            assert_eq!(field(&told, "authorization"), kind.authorization, "{}", kind.credential);
            assert!(!told.to_string().contains(&BASE64.encode(format!("{}:{}", task.user, task.password))), "{told}");
        }
        // The record says what was left out, and nothing of what it was.
        let records = house.fixture.records()?;
        assert!(records.iter().any(|record| record.to_string().contains("which the client sent")), "{records:?}");
        assert!(house.fixture.verify()?.contains("sound"));
    }
    Ok(())
}

/// However a server may read the name of what the gateway proves itself by, it is the gateway's alone.
#[test]
fn other_ways_to_write_its_name_go_no_further() -> Result<()> {
    let keyed = house("{ header = { name = \"X-API-Key\", value = \"file:own.secret\" } }", SECRET)?;
    let task = keyed.task("agent:claude")?;
    for name in ["x-api-key", "X-API-KEY", "x_api_key", "X_Api-Key"] {
        assert_eq!(call(&keyed, &task, "/echo", &[(name, THEIRS)])?.status, 200, "{name}");
        let told = heard(&keyed)?.pop().context("it was heard")?;
        assert_eq!(field(&told, "x-api-key"), [SECRET], "{name}");
        assert!(!told.to_string().contains(THEIRS), "{name}: {told}");
    }
    let queried = house("{ query = { name = \"api_key\", value = \"file:own.secret\" } }", SECRET)?;
    let task = queried.task("agent:claude")?;
    for query in [
        "api_key=T",
        "api%5Fkey=T",
        "%61pi_key=T",
        "API_KEY=T",
        "api_key[]=T",
        "api.key=T",
        "api%20key=T",
        "api_key=T&api_key=T",
    ] {
        let answer = call(&queried, &task, &format!("/echo?a=1&{}", query.replace('T', THEIRS)), &[])?;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let told = heard(&queried)?.pop().context("it was heard")?;
        assert_eq!(told["path"], format!("/echo?a=1&api_key={}", in_form(SECRET)), "{query}");
    }
    Ok(())
}

/// Whatever a target says back of what the gateway proved itself by, and in whatever it says it, stars stand there.
#[test]
fn no_kind_of_credential_comes_back() -> Result<()> {
    for kind in kinds() {
        let house = house(kind.credential, SECRET)?;
        remember(&BASE64.encode(format!("gatehouse:{SECRET}")));
        remember(&in_form(SECRET));
        for (who, sees_all) in [("agent:claude", false), ("user:dana", true)] {
            let task = house.task(who)?;
            for form in ["json", "text", "xml", "head", "bytes"] {
                let answer = house.call(&task, "GET", "/echo?a=1", &[("x-as", form)], "")?;
                let all = format!("{}\n\n{}", answer.head, answer.body);
                let what = format!("{} to {who} as {form}", kind.credential);
                for hidden in &kind.hidden {
                    assert!(!all.contains(hidden.as_str()), "{what}: {all}");
                }
                if form == "bytes" && !sees_all {
                    assert!(answer.status >= 400, "{what}: {all}");
                } else {
                    let is_starred = all.contains(&"*".repeat(SECRET.len()));
                    assert!(answer.status == 200 && (is_starred || !sees_all), "{what}: {all}");
                }
            }
        }
    }
    Ok(())
}

/// The name of a field has no room for stars, and loses the size of its letters on the way.
#[test]
fn it_does_not_come_back_as_a_name() -> Result<()> {
    let house = house("{ bearer = \"file:own.secret\" }", "Tok-The-Secret-Of-Gateway")?;
    for who in ["agent:claude", "user:dana"] {
        let task = house.task(who)?;
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let options = [version, "-D", "-", "-H", "x-as: name", "-H", "te: trailers"];
            let output = house.curl(&task, &options, "/echo")?.output()?;
            let told = String::from_utf8_lossy(&output.stdout).to_ascii_lowercase();
            let is_whole = ["x-before: 1", " 200", "hello"].iter().all(|part| told.contains(part));
            assert!(is_whole && !told.contains("secret-of"), "{who}, {version}: {told}");
        }
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// Escaped as RFC 3986 has it, where forms write a plus for a space, and for XML as those do who write numbers in sixteens.
#[test]
fn it_does_not_come_back_however_it_is_escaped() -> Result<()> {
    let mut shown = Vec::new();
    for kind in kinds() {
        let house = house(kind.credential, ODD_SECRET)?;
        for (who, form) in
            [("agent:claude", "address"), ("user:dana", "address"), ("agent:claude", "xml"), ("user:dana", "xml")]
        {
            let answer = house.call(&house.task(who)?, "GET", "/echo", &[("x-as", form)], "")?;
            assert_eq!(answer.status, 200, "{}", answer.body);
            // Of the query, what is escaped again is another text.
            let lines = answer.body.lines().filter(|line| line.contains("s3cret") && !line.contains("key="));
            shown.extend(lines.map(|line| format!("{} to {who} as {form}: {line}", kind.credential)));
        }
    }
    assert!(shown.is_empty(), "{}", shown.join("\n"));
    Ok(())
}

/// Where the gateway has none, a client's own goes on, unless it was shown to the gateway.
#[test]
fn without_a_credential_the_clients_own_goes_on() -> Result<()> {
    let target = Served::start("credential_target.py", &[])?;
    let house = WebHouse::before(target, "# no credential\n", "", Setup::default())?;
    let task = house.task("user:dana")?;
    let theirs = format!("Bearer {THEIRS}");
    let basic = task.basic();
    for (own, expected) in [(theirs.as_str(), vec![theirs.clone()]), (basic.as_str(), Vec::new())] {
        assert_eq!(call(&house, &task, "/echo", &[("authorization", own)])?.status, 200);
        assert_eq!(field(&heard(&house)?.pop().context("it was heard")?, "authorization"), expected);
    }
    assert_eq!(house.get(&task, "/echo")?.status, 200);
    assert!(field(&heard(&house)?.pop().context("it was heard")?, "authorization").is_empty());
    assert!(!heard(&house)?.iter().any(|told| told.to_string().contains(&task.password)));
    Ok(())
}

/// A gateway that gets tokens for itself, of a target that takes no others.
fn with_oauth(environment: &[(&str, &str)]) -> Result<WebHouse> {
    let target = Served::start("credential_target.py", &[&[("WANTS_TOKEN", "1")], environment].concat())?;
    for number in 1..4 {
        remember(&format!("token-{number}-is-the-gateways-own"));
    }
    let credential = format!(
        "credential = {{ oauth = {{ token_url = \"http://127.0.0.1:{}/token\", client_id = \"gatehouse\", \
         client_secret = \"file:own.secret\", scope = \"read write\" }} }}",
        target.port
    );
    let files = vec![("own.secret", SECRET.to_string())];
    WebHouse::before(target, &credential, "", Setup { files, ..Setup::default() })
}

fn token(number: usize) -> Vec<String> {
    vec![format!("Bearer token-{number}-is-the-gateways-own")]
}

#[test]
fn a_token_is_asked_for_once_and_used_by_all() -> Result<()> {
    let house = with_oauth(&[("EXPIRES_IN", "3600")])?;
    let (task, dana) = (house.task("agent:claude")?, house.task("user:dana")?);
    // At a time, too.
    let mut running = Vec::new();
    for who in [&task, &dana, &task, &dana] {
        let mut curl = house.curl(who, &["-o", "/dev/null", "-w", "%{http_code}"], "/echo")?;
        running.push(curl.stdout(Stdio::piped()).spawn()?);
    }
    for curl in running {
        assert_eq!(String::from_utf8_lossy(&curl.wait_with_output()?.stdout), "200");
    }
    for who in [&task, &dana] {
        let answer = house.get(who, "/echo")?;
        let all = format!("{}{}", answer.head, answer.body);
        assert!(answer.status == 200 && !all.contains("is-the-gateways-own"), "{all}");
    }
    let asked = asked(&house)?;
    let expected = json!({
        "grant_type": "client_credentials", "client_id": "gatehouse", "client_secret": SECRET, "scope": "read write",
    });
    assert_eq!(asked, [expected]);
    let heard = heard(&house)?;
    assert_eq!(heard.len(), 6);
    for told in &heard {
        assert_eq!(field(told, "authorization"), token(1));
    }
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_token_that_ends_is_asked_for_anew() -> Result<()> {
    let house = with_oauth(&[("EXPIRES_IN", "5")])?;
    let task = house.task("agent:claude")?;
    wait_until("another token is used", || {
        assert_eq!(house.get(&task, "/echo")?.status, 200, "there is no time without a token");
        let told = heard(&house)?.pop().context("it was heard")?;
        Ok(field(&told, "authorization") == token(2))
    })?;
    let heard = heard(&house)?;
    let used: Vec<Vec<String>> = heard.iter().map(|told| field(told, "authorization")).collect();
    let first = used.iter().filter(|used| **used == token(1)).count();
    assert!(first > 1, "it is used for most of its life: {used:?}");
    assert!(used[..first].iter().all(|used| *used == token(1)) && asked(&house)?.len() == 2, "{used:?}");
    Ok(())
}

#[test]
fn a_token_that_is_not_taken_is_asked_for_anew() -> Result<()> {
    let house = with_oauth(&[("EXPIRES_IN", "3600")])?;
    let task = house.task("agent:claude")?;
    assert_eq!(house.get(&task, "/echo")?.status, 200);
    directly(&house, "/_forget")?;
    // Whether it asks again by itself or has its client do so.
    let refused = house.get(&task, "/echo")?;
    assert!(refused.status == 401 || refused.status == 200, "{}", refused.body);
    assert_eq!(refused.headers("www-authenticate").next(), None, "it is nothing to the client");
    for _ in 0..2 {
        assert_eq!(house.get(&task, "/echo")?.status, 200);
    }
    let told = heard(&house)?.pop().context("it was heard")?;
    assert_eq!((field(&told, "authorization"), asked(&house)?.len()), (token(2), 2));
    // On one connection, too.
    directly(&house, "/_forget")?;
    let url = format!("{}/http/api/echo", house.base);
    let more = ["-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{http_code} ", &url, &url];
    let answers = house.curl(&task, &more, "/echo")?.output()?;
    let answers = String::from_utf8_lossy(&answers.stdout).into_owned();
    assert!(answers.ends_with("200 "), "{answers}");
    assert_eq!(asked(&house)?.len(), 3);
    Ok(())
}

#[test]
fn without_a_token_nothing_is_said() -> Result<()> {
    let house = with_oauth(&[])?;
    directly(&house, "/_break")?;
    let refused = house.get(&house.task("agent:claude")?, "/echo")?;
    assert_eq!(refused.status, 502, "{}", refused.body);
    assert_eq!(refused.headers("content-type").next(), Some("application/problem+json"));
    assert!(!refused.body.contains("/token") && !refused.body.contains("127.0.0.1"), "{}", refused.body);
    assert!(heard(&house)?.is_empty(), "it was asked without");
    assert!(!asked(&house)?.is_empty());
    Ok(())
}

/// A gateway that trusts a CI system, before a target that says everything back.
fn trusting(ci: &Signer, policies: &str) -> Result<WebHouse> {
    let trusted = "[issuers.ci]\nissuer = \"https://ci.example\"\naudience = \"gatehouse\"\nkeys = \"ci.jwks\"\n\
                   agents = [{ agent = \"claude\", claims = { environment = \"production\" } }]\n";
    let target = Served::start("credential_target.py", &[])?;
    let setup = Setup { config: trusted.into(), files: vec![("ci.jwks", ci.keys())], ..Setup::default() };
    WebHouse::before(target, "", policies, setup)
}

/// A call of whoever has nothing but a token.
fn by_bearer(house: &WebHouse, field: &str, token: &str) -> Result<Answer> {
    let bearer = format!("Bearer {token}");
    http::call(Door::Web(&house.base), "GET", "/http/api/echo", &[(field, &bearer)], "")
}

fn tasks(house: &WebHouse) -> Result<Vec<Value>> {
    Ok(house.fixture.json(&["tasks", "ls"])?.as_array().cloned().unwrap_or_default())
}

/// What only the gateway may see of a token.
fn signature(token: &str) -> &str {
    token.rsplit('.').next().unwrap_or_default()
}

#[test]
fn a_workloads_token_is_the_proof_of_who_asks() -> Result<()> {
    let ci = Signer::new()?;
    let house = trusting(&ci, START)?;
    let token = ci.job("production")?;
    for field in ["authorization", "authorization", "proxy-authorization"] {
        let answer = by_bearer(&house, field, &token)?;
        assert_eq!(answer.status, 200, "{field}: {}", answer.body);
    }
    let basic = format!("Basic {}", BASE64.encode(format!("claude:{token}")));
    let named = http::call(Door::Web(&house.base), "GET", "/http/api/echo", &[("authorization", &basic)], "")?;
    assert_eq!(named.status, 200, "by its name, too: {}", named.body);
    let begun = tasks(&house)?;
    let of_claude = |task: &&Value| task["identity"] == "agent:claude" && task["started_by"] == "issuer ci (repo:shop)";
    assert!(begun.len() <= 2 && begun.iter().filter(of_claude).count() == begun.len(), "{begun:?}");
    for told in heard(&house)? {
        assert_eq!(field(&told, "authorization"), [format!("Bearer {TOKEN}")]);
        assert!(field(&told, "proxy-authorization").is_empty(), "{told}");
        assert!(!told.to_string().contains(signature(&token)), "a token is for the gateway alone: {told}");
    }
    let heard_before = heard(&house)?.len();
    let claims = |more: Value| {
        let mut claims = json!({
            "iss": "https://ci.example", "aud": "gatehouse", "sub": "repo:shop", "environment": "production",
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name.as_str()] = value.clone();
        }
        ci.sign(&claims)
    };
    let mut changed = token.clone().into_bytes();
    let middle = changed.len() / 2;
    changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
    for (what, wrong) in [
        ("of another kind of job", ci.job("staging")?),
        ("of another signer", Signer::new()?.job("production")?),
        ("for somebody else", claims(json!({ "aud": "another" }))?),
        ("of somebody else", claims(json!({ "iss": "https://other.example" }))?),
        ("that is over", claims(json!({ "iat": now() - 600, "exp": now() - 300 }))?),
        ("that is not good yet", claims(json!({ "nbf": now() + 300 }))?),
        ("that was changed", String::from_utf8(changed)?),
        ("without its signature", format!("{}.", token.rsplit_once('.').context("a signature")?.0)),
        ("that is none", "nonsense".into()),
        ("that is empty", String::new()),
    ] {
        let refused = by_bearer(&house, "authorization", &wrong)?;
        assert_eq!(refused.status, 401, "a token {what}: {}", refused.body);
        assert!(refused.headers("www-authenticate").any(|scheme| scheme.starts_with("Bearer")), "{what}");
    }
    assert_eq!((heard(&house)?.len(), tasks(&house)?.len()), (heard_before, begun.len()));
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

#[test]
fn a_token_alone_starts_nothing_that_policy_does_not_permit() -> Result<()> {
    let ci = Signer::new()?;
    let house = trusting(&ci, "")?;
    let refused = by_bearer(&house, "authorization", &ci.job("production")?)?;
    assert!(refused.status == 401 || refused.status == 403, "{}: {}", refused.status, refused.body);
    assert!(tasks(&house)?.is_empty() && heard(&house)?.is_empty());
    Ok(())
}

#[test]
fn a_static_key_is_a_bearer_token() -> Result<()> {
    let house = trusting(&Signer::new()?, START)?;
    let issue = ["keys", "issue", "--as", "agent:other", "--target", "api", "--reason", "a plotter", "--ttl", "1h"];
    let issued = house.fixture.json(&issue)?;
    let (key, id) = (issued["secret"].as_str().context("a key")?, issued["id"].as_str().context("an id")?);
    for _ in 0..2 {
        let answer = by_bearer(&house, "authorization", key)?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!answer.body.contains(key), "{}", answer.body);
    }
    let begun = tasks(&house)?;
    assert_eq!((begun.len(), &begun[0]["identity"], &begun[0]["api_key"]), (1, &json!("agent:other"), &json!(id)));
    assert!(!heard(&house)?.iter().any(|told| told.to_string().contains(key)));
    let elsewhere = http::call(
        Door::Web(&house.base),
        "GET",
        "/http/shop/echo",
        &[("authorization", &format!("Bearer {key}"))],
        "",
    )?;
    assert!(matches!(elsewhere.status, 401 | 403 | 404), "it is for one target: {}", elsewhere.body);
    house.fixture.json(&["keys", "revoke", id])?;
    assert_eq!(by_bearer(&house, "authorization", key)?.status, 401);
    assert_eq!(heard(&house)?.len(), 2);
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}

/// What the API gives for a workload's token is good at the listener: a token of its task, and a task's user name and password.
#[test]
fn what_the_api_gives_is_good_at_the_listener() -> Result<()> {
    let ci = Signer::new()?;
    let house = trusting(&ci, START)?;
    let workload = ci.job("production")?;
    let exchange = |more: &[(&str, &str)]| -> Result<Value> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        form.append_pair("subject_token", &workload);
        form.append_pair("subject_token_type", "urn:ietf:params:oauth:token-type:jwt");
        form.append_pair("reason", "to look something up").extend_pairs(more);
        let answer = http::call(Door::Web(&house.fixture.api()?), "POST", "/oauth/token", &[FORM], &form.finish())?;
        anyhow::ensure!(answer.status == 200, "{}", answer.body);
        Ok(answer.json())
    };
    let resource = format!("{}/http/api", house.base);
    let wanted = ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token");
    let given = exchange(&[wanted, ("resource", &resource)])?;
    let given = given["access_token"].as_str().with_context(|| given.to_string())?;
    remember_token(given);
    let answer = by_bearer(&house, "authorization", given)?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!heard(&house)?.iter().any(|told| told.to_string().contains(signature(given))));
    let issued = exchange(&[("audience", "api")])?;
    let text = |name: &str| issued[name].as_str().map(String::from).with_context(|| issued.to_string());
    let (user, password) = (text("user")?, text("access_token")?);
    remember(&password);
    let basic = WebCredential { task: String::new(), user, password };
    let answer = house.get(&basic, "/echo")?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!heard(&house)?.iter().any(|told| told.to_string().contains(&basic.password)));
    // They end with their tasks.
    for task in tasks(&house)? {
        house.fixture.json(&["task", "end", task["id"].as_str().context("an id")?])?;
    }
    assert_eq!(by_bearer(&house, "authorization", given)?.status, 401);
    assert_eq!(house.get(&basic, "/echo")?.status, 401);
    assert_eq!(heard(&house)?.len(), 2);
    assert!(house.fixture.verify()?.contains("sound"));
    Ok(())
}
