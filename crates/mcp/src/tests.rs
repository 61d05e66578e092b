//! What messages ask for and what of answers is shown, as tables of cases.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use gatehouse_http::Rider as _;
use gatehouse_model::{Access, ClassName, ClassifiedField, Denial, Reason, Resource, Secret, TargetName};
use gatehouse_protocol::{
    CancelKey, Classifier, Edit, Editor, Exchanges as _, Field, HttpFacts, Meaning, Opening, Protocol as _, Reply,
    Session, Side, Step, Tag, TargetReady, Told, frames, write_frame, write_head,
};

use crate::Mcp;
use crate::rider::McpRider;

struct ByName;

impl Classifier for ByName {
    fn column(&self, _: &str, column: &str) -> Vec<ClassName> {
        if column == "email" { ClassName::new("email").into_iter().collect() } else { Vec::new() }
    }

    fn fields(&self, _: &str, _: &str) -> Vec<ClassifiedField> {
        Vec::new()
    }

    fn all(&self) -> Vec<ClassName> {
        ClassName::new("email").into_iter().collect()
    }
}

/// Lets some things be done, and hides what is of a class.
struct Only<'a>(&'a [&'a str]);

impl Editor for Only<'_> {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        if field.column <= 2 || self.0.contains(&"everything") {
            return Edit::Keep;
        }
        out.extend_from_slice(b"hidden");
        Edit::Replace
    }

    fn offers(&mut self, access: &Access) -> bool {
        self.0.contains(&"everything") || self.0.contains(&access.to_string().as_str())
    }

    fn describes(&mut self, resource: &Resource, _: &str) -> Told {
        match self.0.contains(&"an older add") && &*resource.id == "lab/add" {
            true => Told::Instead(r#"{"name":"add","description":"as it was"}"#.into()),
            false => Told::AsIs,
        }
    }
}

fn session() -> Box<dyn Session> {
    let target = TargetName::new("lab").unwrap();
    Mcp.session(Opening {
        facts: Mcp.learn(&target, HttpFacts::default()).unwrap(),
        target,
        classifier: Arc::new(ByName),
        ready: TargetReady { parameters: Vec::new(), cancel: CancelKey(Bytes::new()) },
        parameters: Vec::new(),
        shows_order: true,
        secrets: Vec::new(),
        bond: Secret::new(*b"this task at this target"),
        frame_bytes_max: 4096,
    })
}

fn message(tag: Tag, first: &str, fields: &[(&str, &str)], body: &str) -> Bytes {
    let mut out = BytesMut::new();
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    write_head(tag, Some(first.as_bytes()), fields, &mut out);
    if !body.is_empty() {
        write_frame(Tag::Body, body.as_bytes(), &mut out);
    }
    write_head(Tag::End, None, std::iter::empty(), &mut out);
    out.freeze()
}

const JSON: (&str, &str) = ("content-type", "application/json");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");

fn post(fields: &[(&str, &str)], body: &str) -> Bytes {
    message(Tag::Request, "POST /", &[&[JSON], fields].concat(), body)
}

/// What a request asks for.
fn asks(run: &Bytes) -> String {
    match session().inspect(Side::Client, run).unwrap() {
        Step::Run { meaning: Meaning::Misunderstood(unclear), .. } => format!("refused: {}", unclear.denial.detail),
        Step::Run { meaning: Meaning::Act(operation), .. } => {
            let intent = &operation.intent;
            let accesses: Vec<String> = intent.accesses.iter().map(ToString::to_string).collect();
            format!("{}: {} ({:?})", intent.title, accesses.join(", "), intent.effect)
        }
        other => format!("{other:?}"),
    }
}

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&asks(&post(&[], body)));
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn messages_are_understood() {
    check(&request("initialize", "{}"), expect!["initialize: mcp:session on Target lab (Read)"]);
    check(&request("tools/list", "{}"), expect!["tools/list: mcp:list on Target lab (Read)"]);
    check(
        &request("tools/call", r#"{"name":"add","arguments":{"a":1}}"#),
        expect!["tools/call add: mcp:call on Tool lab/add (Write)"],
    );
    check(
        &request("resources/read", r#"{"uri":"file:///notes.txt"}"#),
        expect!["resources/read file:///notes.txt: mcp:resource on McpResource lab/file:///notes.txt (Read)"],
    );
    check(
        &request("prompts/get", r#"{"name":"sum"}"#),
        expect!["prompts/get sum: mcp:prompt on Prompt lab/sum (Read)"],
    );
    check(
        &request("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"sum"}}"#),
        expect!["completion/complete: mcp:complete on Prompt lab/sum (Read)"],
    );
    check(&request("tasks/result", r#"{"taskId":"1"}"#), expect!["tasks/result 1: mcp:task on Target lab (Read)"]);
    check(&request("tasks/cancel", r#"{"taskId":"1"}"#), expect!["tasks/cancel 1: mcp:cancel on Target lab (Write)"]);
    check(&request("sql/run", "{}"), expect!["sql/run: mcp:other on Target lab (Write)"]);
    check(
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        expect!["notifications/initialized: mcp:session on Target lab (Read)"],
    );
    check(
        r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"add"}}"#,
        expect!["tools/call add: mcp:other on Target lab (Write)"],
    );
    check(
        &request("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":["file:///a","file:///b"]}}"#),
        expect![
            "subscriptions/listen: mcp:session on Target lab, mcp:resource on McpResource lab/file:///a, mcp:resource on McpResource lab/file:///b (Read)"
        ],
    );
    let answer = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":0,"result":{result}}}"#);
    check(
        &answer(r#"{"role":"assistant","model":"m","content":{}}"#),
        expect!["response: mcp:sample on Target lab (Write)"],
    );
    check(&answer(r#"{"action":"accept","content":{}}"#), expect!["response: mcp:elicit on Target lab (Write)"]);
    check(&answer(r#"{"roots":[]}"#), expect!["response: mcp:roots on Target lab (Write)"]);
    check(&answer("{}"), expect!["response: mcp:session on Target lab (Read)"]);
    check(
        &answer(r#"{"roots":[],"model":"m","x":1}"#),
        expect!["response: mcp:roots on Target lab, mcp:sample on Target lab, mcp:other on Target lab (Write)"],
    );
    check(
        &request("tools/call", r#"{"name":"add","inputResponses":{"1":{"action":"accept"}}}"#),
        expect!["tools/call add: mcp:call on Tool lab/add, mcp:elicit on Target lab (Write)"],
    );
    expect!["stream: mcp:session on Target lab (Read)"].assert_eq(&asks(&message(Tag::Request, "GET /mcp", &[], "")));
    expect!["end: mcp:session on Target lab (Read)"].assert_eq(&asks(&message(Tag::Request, "DELETE /", &[], "")));
}

#[test]
fn a_tool_is_asked_for_as_a_person_writes_it() {
    for (text, expected) in [
        ("search {\"query\": \"x\"}", "tools/call search: mcp:call on Tool lab/search"),
        ("search", "tools/call search: mcp:call on Tool lab/search"),
    ] {
        let asked = asks(&Mcp.question(text).freeze());
        assert!(asked.starts_with(expected), "{text}: {asked}");
    }
    assert_eq!(
        asks(&Mcp.question(&request("tools/list", "{}")).freeze()),
        asks(&post(&[], &request("tools/list", "{}")))
    );
    assert!(asks(&Mcp.question("search {query: x}").freeze()).starts_with("refused: "));
}

#[test]
fn what_servers_may_read_in_several_ways_is_refused() {
    for body in [
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]"#,
        r#"{"id":1,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":["tools/list"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["add"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","uri":"b"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","inputResponses":[]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"Method":"tools/call","Params":{"name":"drop"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"},"param\u017f":{"name":"drop"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","InputResponses":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","inputRe\u017fponses":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///customers/x/../7.txt"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"FILE:///a"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"resourceSubscriptions":["file:///a/../b"]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["file:///a/../b"]}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"Notifications":{"resourceSubscriptions":["file:///a"]}}}"#,
        "1",
    ] {
        let said = asks(&post(&[], body));
        assert!(said.starts_with("refused: "), "{body}: {said}");
    }
    let call = request("tools/call", r#"{"name":"add","arguments":{"a":1,"b":"x"}}"#);
    let agree =
        [("mcp-method", "tools/call"), ("mcp-name", "=?base64?YWRk?="), ("mcp-param-a", "1"), ("mcp-param-b", "x")];
    assert!(asks(&post(&agree, &call)).starts_with("tools/call add"));
    for (name, value) in [("mcp-method", "ping"), ("mcp-name", "drop"), ("Mcp_Name", "drop"), ("mcp-param-a", "2")] {
        let said = asks(&post(&[(&name.to_ascii_lowercase(), value)], &call));
        assert!(said.starts_with("refused: "), "{name}: {said}");
    }
    let many: Vec<(String, &str)> = (0..100).map(|place| (format!("mcp-param-{place}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert!(asks(&post(&many, &call)).starts_with("refused: "));
    for run in [
        message(Tag::Request, "GET /", &[("content-type", "text/plain")], &call),
        message(Tag::Request, "DELETE /", &[JSON], &call),
        message(Tag::Request, "PUT /", &[JSON], &call),
        message(Tag::Request, "POST /", &[("content-type", "text/plain")], &call),
        message(Tag::Request, "POST /", &[JSON, ("content-encoding", "gzip")], "coded"),
        message(Tag::Request, "POST /", &[JSON, ("content-length", "99999")], "{"),
        message(Tag::Request, "POST /elsewhere", &[JSON], &call),
        message(Tag::Request, "POST /mcp?name=add", &[JSON], &call),
    ] {
        let said = asks(&run);
        assert!(said.starts_with("refused: "), "{said}");
    }
}

/// What an approver is shown and an approval binds to.
fn stated(body: &str) -> String {
    let Step::Run { meaning: Meaning::Act(operation), .. } = session().inspect(Side::Client, &post(&[], body)).unwrap()
    else {
        return "refused".into();
    };
    operation.intent.statement.lines().next().unwrap_or_default().to_string()
}

#[test]
fn a_statement_says_all_that_matters_as_it_is_written() {
    let call = |meta: &str| {
        let params =
            format!(r#"{{"name":"pay","arguments":{{"account":100000000000000000000001,"n":1.0}},"_meta":{meta}}}"#);
        stated(&request("tools/call", &params))
    };
    let once = call(r#"{"progressToken":1,"traceparent":"a"}"#);
    expect![[r#"tools/call {"arguments":{"account":100000000000000000000001,"n":1.0},"name":"pay"}"#]].assert_eq(&once);
    assert_eq!(call(r#"{"progressToken":2,"traceparent":"b"}"#), once, "the same asked again");
    assert_ne!(call(r#"{"x":1}"#), once);
    expect![[r#"response 17 {"action":"accept"}"#]]
        .assert_eq(&stated(r#"{"jsonrpc":"2.0","id":17,"result":{"action":"accept"}}"#));
    let null = r#"{"jsonrpc":"2.0","id":17,"params":null,"result":{"action":"accept"}}"#;
    expect![[r#"response 17 {"action":"accept"}"#]].assert_eq(&stated(null));
    let odd = stated(&request("tools/call", r#"{"name":"a","_meta":"x"}"#));
    expect![[r#"tools/call {"_meta":"x","name":"a"}"#]].assert_eq(&odd);
    let nested = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let deep = stated(&request("tools/call", &format!(r#"{{"name":"a","arguments":{{"x":{nested}}}}}"#)));
    assert!(deep.len() < 300, "it grows by nothing");
}

#[test]
fn honest_messages_pass() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":null}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"Name":1}}}"#,
    ] {
        assert!(!asks(&post(&[], body)).starts_with("refused"), "{body}");
    }
    // One SDK says what there is not.
    assert!(asks(&message(Tag::Request, "GET /", &[JSON], "")).starts_with("stream"));
    assert!(asks(&message(Tag::Request, "DELETE /", &[JSON], "")).starts_with("end"));
    let half = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"cut \\ud83d \ud83d"}]}}"#;
    assert_eq!(shown(&[JSON], half, &[]), half.replace(r" \ud83d", r" \ufffd"));
    let whole = r#"{"jsonrpc":"2.0","id":1,"result":{"x":"\ud83d\ude00"}}"#;
    assert_eq!(shown(&[JSON], whole, &[]), whole);
}

#[test]
fn refusals_are_told_as_tools_and_the_protocol_tell_them() {
    let refused = |body: &str| {
        let (mut session, run) = (session(), post(&[], body));
        let _ = session.inspect(Side::Client, &run);
        let mut reply = Reply::default();
        session.refuse(&run, &Denial::new(Reason::Policy, "no", "because", "ask"), &mut reply);
        let said: Vec<_> =
            frames(&reply.to_client).map(|frame| String::from_utf8_lossy(frame.content).into_owned()).collect();
        format!("{} {}", said[0].lines().next().unwrap_or_default(), said[1])
    };
    expect![[r#"200 {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"Refused: no. because. ask."}],"isError":true,"resultType":"complete"}}"#]]
        .assert_eq(&refused(&request("tools/call", r#"{"name":"add"}"#)));
    expect![[r#"200 {"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"no","data":{"detail":"because","remedy":"ask","policies":[],"request":null}}}"#]]
        .assert_eq(&refused(&request("tools/list", "{}")));
    let told = refused(r#"{"jsonrpc":"2.0","method":"notifications/other"}"#);
    assert!(told.starts_with("403 ") && told.contains("\"title\":\"no\""), "{told}");
}

/// What a client is shown of a body.
fn shown(fields: &[(&str, &str)], body: &str, may: &[&str]) -> String {
    let mut session = session();
    let asked = post(&[], &request("ping", "{}"));
    let _ = session.inspect(Side::Client, &asked);
    let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
    let mut rest = BytesMut::from(&message(Tag::Response, "200", fields, body)[..]);
    let mut out = BytesMut::new();
    while !rest.is_empty() {
        let Ok(Step::Run { len, meaning: Meaning::Content(shape), .. }) = session.inspect(Side::Target, &rest) else {
            return "nothing is due".into();
        };
        let run = rest.split_to(len).freeze();
        if let Err(breach) = session.rewrite(&shape, &run, &mut Only(may), &mut out) {
            return breach.message;
        }
    }
    let bodies = frames(&out).filter(|frame| frame.tag == Tag::Body);
    bodies.map(|frame| String::from_utf8_lossy(frame.content).into_owned()).collect()
}

#[test]
fn lists_show_what_is_permitted() {
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","inputSchema":{"properties":{"email":{"type":"string"}}},"outputSchema":{}},{"name":"drop"},{"title":"x"}],"nextCursor":"2","email":"x"}}"#;
    expect![[r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","inputSchema":{"properties":{"email":{"type":"string"}}}}],"nextCursor":"2"}}"#]]
        .assert_eq(&shown(&[JSON], tools, &["mcp:call on Tool lab/add"]));
    let older = shown(&[JSON], tools, &["mcp:call on Tool lab/add", "an older add"]);
    assert!(older.contains(r#""tools":[{"name":"add","description":"as it was"}]"#), "{older}");
    assert!(shown(&[JSON], tools, &["mcp:offer on Tool lab/drop"]).contains(r#""tools":[{"name":"drop"}]"#));
    assert!(shown(&[JSON], tools, &[]).contains(r#""tools":[]"#));
    assert!(shown(&[JSON], tools, &["everything"]).contains("outputSchema"));
    let event = format!("event: message\ndata: {tools}\n\n");
    let told = shown(&[EVENTS], &event, &["mcp:call on Tool lab/add"]);
    assert!(told.starts_with("event: message\ndata: {") && told.contains("add") && !told.contains("drop"), "{told}");
    for (list, name, may) in [
        ("resources", "uri", "mcp:resource on McpResource lab/a"),
        ("resourceTemplates", "uriTemplate", "mcp:resource on McpResource lab/a"),
        ("prompts", "name", "mcp:prompt on Prompt lab/a"),
    ] {
        let listed = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"{list}":[{{"{name}":"a"}},{{"{name}":"b"}}]}}}}"#);
        let told = shown(&[JSON], &listed, &[may]);
        assert!(told.contains(r#""a""#) && !told.contains(r#""b""#), "{told}");
    }
}

#[test]
fn what_servers_ask_is_heard_where_that_is_permitted() {
    let asks = "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"sampling/createMessage\",\"params\":{}}\n\n";
    assert_eq!(shown(&[EVENTS], asks, &[]), "id: 1\n\n");
    assert_eq!(shown(&[EVENTS], asks, &["mcp:sample on Target lab"]), asks);
    let form = "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"elicitation/create\",\"params\":{\"requestedSchema\":{\"properties\":{\"email\":{\"type\":\"string\"}}}}}\n\n";
    assert_eq!(shown(&[EVENTS], form, &["mcp:elicit on Target lab"]), form);
    let told =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"email\":\"a@b.example\"}}\n\n";
    assert_eq!(shown(&[EVENTS], told, &[]), told.replace("a@b.example", "hidden"));
    assert_eq!(shown(&[EVENTS], "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"x/y\"}\n\n", &[]), "\n");
    let later = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"1":{"method":"roots/list"}}}}"#;
    assert!(shown(&[JSON], later, &[]).contains("\"error\""));
    assert_eq!(shown(&[JSON], later, &["mcp:roots on Target lab"]), later);
    let list = r#"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":[{"method":"roots/list"}]}}"#;
    assert!(!shown(&[JSON], list, &["everything"]).contains("roots/list"));
}

#[test]
fn what_cannot_be_looked_into_is_not_shown() {
    let listed = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"drop"}]}}"#;
    for events in [
        format!("\u{feff}data: {listed}\n\n"),
        format!("data: [{listed}]\n\n"),
        format!("data: {}\ndata: {}\n\n", &listed[..20], &listed[20..]),
        format!("data : {listed}\n\n"),
        format!("data: \u{feff}{listed}\n\n"),
        format!("data:\t\u{a0}{listed}\n\n"),
        format!("data: {listed}\r\ndata: {listed}\r\r"),
        format!("event: x\u{2028}data: {listed}\n\n"),
        format!("id: 1\u{85}data: {listed}\n\n"),
        format!(": \u{b}data: {listed}\n\n"),
        format!("data: {}\n\n", listed.replace("result", "Result")),
        format!("data: {}\n\n", listed.replace("tools", "Tools")),
        format!("data: {}\n\n", listed.replace("\"id\":1", "\"id\":1,\"method\":\"ping\",\"params\":5")),
    ] {
        let told = shown(&[EVENTS], &events, &[]);
        assert!(!told.contains("drop"), "{events}: {told}");
    }
    // Readers differ in which of two members of a name counts.
    let other = "\"result\":{},\"result\"";
    for twice in [
        listed.replace("}]}}", "}]},\"result\":{}}"),
        listed.replace("}]}}", "}],\"tools\":0}}"),
        listed.replace("\"result\"", other).replace("}]}}", "}]},\"result\":{}}"),
        listed.replace("}]}}", "}],\"\\u0074ools\":0}}"),
    ] {
        let told = shown(&[JSON], &twice, &[]);
        assert!(!told.contains("drop"), "{twice}: {told}");
    }
    assert!(!shown(&[JSON], &format!("[{listed}]"), &[]).contains("drop"));
    let split = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"x\":\"\u{2028}\u{2028}data: 1\u{85}\"}}\n\n";
    let told = shown(&[EVENTS], split, &["everything"]);
    assert!(told.contains("\\u2028\\u2028data: 1\\u0085"), "{told}");
    for kind in [
        "text/event-streams",
        "text/plain; x=text/event-stream",
        "application/json; charset=utf-16",
        "multipart/mixed; boundary=x",
        "application/vnd.api+json",
    ] {
        let told = shown(&[("content-type", kind)], &format!("data: {listed}\n\n"), &["everything"]);
        assert!(told.starts_with("an answer was kept back"), "{kind}: {told}");
    }
    assert!(
        shown(&[JSON, ("content-encoding", "foo")], listed, &["everything"]).starts_with("an answer was kept back")
    );
    let url = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"x","data":{"elicitations":[{"url":"https://evil.example"}]}}}"#;
    assert!(!shown(&[JSON], url, &[]).contains("evil.example"));
    assert!(shown(&[JSON], url, &["mcp:elicit on Target lab"]).contains("evil.example"));
    let values = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"add","inputSchema":{"properties":{"default":{"default":"Ada","examples":["Ada"]}}}}]}}"#;
    let told = shown(&[JSON], values, &["mcp:call on Tool lab/add"]);
    assert!(told.contains(r#""properties":{"default":{}}"#), "{told}");
    assert!(!shown(&[("content-type", "application/x-ndjson")], &format!("{listed}\n"), &[]).contains("drop"));
}

#[test]
fn the_name_of_a_session_is_marked_for_its_task() {
    let rider = |bond: &str| McpRider::new(&TargetName::new("lab").unwrap(), &Secret::new(bond));
    let (own, other) = (rider("this task"), rider("another"));
    assert_eq!(own.given("content-type", b"x"), None);
    for name in ["9f86d081", "a.b.c", "."] {
        let given = own.given("mcp-session-id", name.as_bytes()).unwrap();
        assert!(given.starts_with(name.as_bytes()) && given.len() == name.len() + 23, "{name}");
        for field in ["mcp-session-id", "mcp_session_id"] {
            assert_eq!(own.taken(field, &given).unwrap(), Some(name.as_bytes().to_vec()));
            assert_eq!(other.taken(field, &given).unwrap_err().reason, Reason::Unknown);
            for cut in [&given[..given.len() - 1], &given[..given.len() - 22], name.as_bytes(), b""] {
                assert!(own.taken(field, cut).is_err(), "{name} {field}");
            }
        }
    }
    assert_eq!(own.taken("mcp-protocol-version", b"x").unwrap(), None);
}

#[test]
fn the_protocols_own_words_about_a_list_are_shown() {
    let meta = r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"lab","version":"1","email":"a@b.example"},"io.modelcontextprotocol/x":"y","own":1}"#;
    let text = shown(&[JSON], &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[],{meta}}}}}"#), &[]);
    let entry = r#"{"name":"add","_meta":{"salary":"a lot"}}"#;
    let listed = shown(&[JSON], &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{entry}]}}}}"#), &["lab/add"]);
    assert!(!listed.contains("a lot"), "{listed}");
    assert!(text.contains(r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"lab","version":"1"}}"#), "{text}");
}
