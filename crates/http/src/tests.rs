//! What requests mean and how answers are shown, as tables of cases.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use gatehouse_model::{
    Access, ClassName, ClassifiedField, Denial, FactValue, Reason, RequestId, Resource, Secret, ShapeRole, TargetName,
};
use gatehouse_protocol::{
    CancelKey, Classifier, Edit, Editor, Endpoint, Exchanges as _, Field, HttpFacts, Meaning, Opening, Passed,
    Protocol as _, Reply, Session, Side, Step, Tag, TargetReady, Told, frames, write_frame, write_head,
};

use crate::Http;
use crate::columns::{Columns, ROOT, UNKNOWN};
use crate::seal::Seals;
use crate::{csv, graphql, head};

struct ByName;

impl Classifier for ByName {
    fn column(&self, table: &str, column: &str) -> Vec<ClassName> {
        let class = match (table, column) {
            (_, "email") => "email",
            ("http.fields.card", "number") => "payment_card",
            _ => return Vec::new(),
        };
        ClassName::new(class).into_iter().collect()
    }

    fn fields(&self, _: &str, _: &str) -> Vec<ClassifiedField> {
        Vec::new()
    }

    fn all(&self) -> Vec<ClassName> {
        ["email", "payment_card"].into_iter().flat_map(ClassName::new).collect()
    }
}

/// Says which column each value is taken for.
struct Telling;

impl Editor for Telling {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        let column = match field.column {
            0 => "header",
            1 => "text",
            2 => "json",
            3 => "opaque",
            4 => "email",
            5 => "card",
            _ => "unknown",
        };
        match field.column {
            2 => return Edit::Keep,
            _ => out.extend_from_slice(format!("<{column}>").as_bytes()),
        }
        Edit::Replace
    }

    fn offers(&mut self, _: &Access) -> bool {
        true
    }

    fn describes(&mut self, _: &Resource, _: &str) -> Told {
        Told::AsIs
    }
}

fn session(facts: HttpFacts) -> Box<dyn Session> {
    session_with(facts, Vec::new())
}

fn session_with(facts: HttpFacts, secrets: Vec<Secret>) -> Box<dyn Session> {
    let target = TargetName::new("api").unwrap();
    Http.session(Opening {
        facts: Http.learn(&target, facts).unwrap(),
        target,
        classifier: Arc::new(ByName),
        ready: TargetReady { parameters: Vec::new(), cancel: CancelKey(Bytes::new()) },
        parameters: Vec::new(),
        shows_order: true,
        secrets,
        bond: Secret::new(*b"this task at this target"),
        frame_bytes_max: 1024,
    })
}

fn message(tag: Tag, first: &str, fields: &[(&str, &str)], body: &[&str]) -> BytesMut {
    let mut out = BytesMut::new();
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    write_head(tag, Some(first.as_bytes()), fields, &mut out);
    body.iter().for_each(|part| write_frame(Tag::Body, part.as_bytes(), &mut out));
    write_head(Tag::End, None, std::iter::empty(), &mut out);
    out
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// What a request asks for, and how it is sent.
fn check(first: &str, fields: &[(&str, &str)], body: &str, expected: Expect) {
    let endpoint = |template: &str, operation: Option<&str>| Endpoint {
        method: "GET".into(),
        template: template.into(),
        operation: operation.map(Into::into),
    };
    let facts = HttpFacts {
        endpoints: Some(vec![endpoint("/people/{id}", Some("getPerson")), endpoint("/people/me", None)]),
        graphql: vec!["/graphql".into()],
        credential_header: Some("x-key".into()),
        credential_parameters: vec!["key".into()],
        ..HttpFacts::default()
    };
    let mut session = session(facts);
    let parts: &[&str] = if body.is_empty() { &[] } else { &[body] };
    let run = message(Tag::Request, first, fields, parts).freeze();
    let said = match session.inspect(Side::Client, &run).unwrap() {
        Step::Run { meaning: Meaning::Misunderstood(unclear), .. } => format!("refused: {}", unclear.denial.detail),
        Step::Run { meaning: Meaning::Act(operation), tail, .. } => {
            let mut out = BytesMut::new();
            let _ = session.pass(Side::Client, &run, &mut out);
            let head = frames(&out).next().map(|frame| String::from_utf8_lossy(frame.content).trim_end().to_string());
            let accesses: Vec<String> = operation.intent.accesses.iter().map(ToString::to_string).collect();
            let within: Vec<&str> =
                operation.intent.accesses[0].resource.within.iter().map(|parent| &*parent.id).collect();
            let texts = |name: &str| match operation.intent.facts.get(name) {
                Some(FactValue::Texts(texts)) => texts.join(" "),
                _ => "-".into(),
            };
            // Heads have a test of their own.
            let bodies: Vec<&String> =
                operation.evidence_binds.iter().filter(|bind| !bind.starts_with(head::FIRST_LINE)).collect();
            format!(
                "{}\nin {}\nquery {} | fields {} | tail {tail}\nevidence {} {:?}\nsent {}",
                accesses.join(", "),
                within.join(", "),
                texts("query"),
                texts("fields"),
                operation.intent.evidence,
                bodies,
                head.unwrap_or_default().replace('\n', " | "),
            )
        }
        other => format!("{other:?}"),
    };
    expected.assert_eq(&said);
}

#[test]
fn requests_are_understood() {
    check(
        "GET /people/7?page=2&key=stolen",
        &[("x-key", "stolen"), ("accept", "*/*")],
        "",
        expect![[r#"
        http:get on Path api/people/7
        in api/GET /people/{id}, api/getPerson, api/people, api/, api
        query page=2 | fields - | tail 0
        evidence GET /people/7?page=2 (without the parameter `key` and the field `x-key`, which the client sent) []
        sent GET /people/7?page=2 | accept: */*"#]],
    );
    check(
        "GET /people/me",
        &[],
        "",
        expect![[r#"
        http:get on Path api/people/me
        in api/GET /people/me, api/people, api/, api
        query  | fields - | tail 0
        evidence GET /people/me []
        sent GET /people/me"#]],
    );
    check(
        "GET /elsewhere",
        &[],
        "",
        expect![[r#"
        http:get on Path api/elsewhere, http:undocumented on Path api/elsewhere
        in api/, api
        query  | fields - | tail 0
        evidence GET /elsewhere []
        sent GET /elsewhere"#]],
    );
}

#[test]
fn what_cannot_be_held_names_what_keeps_it_from_that() {
    let said = |length: (&str, &str)| {
        let mut session = session(HttpFacts::default());
        let fields = [("content-type", "application/octet-stream"), length];
        let run = message(Tag::Request, "PUT /a", &fields, &[]).freeze();
        let step = session.inspect(Side::Client, &run).unwrap();
        assert!(matches!(step, Step::Run { meaning: Meaning::Act(_), tail: 1, .. }), "{step:?}");
        let denial = session.unheld("PUT /a");
        assert_eq!(denial.reason, Reason::Limit);
        format!("{}: {}", denial.message, denial.detail)
    };
    let long = said(("content-length", "1025"));
    assert!(long.contains("too long to be held") && long.contains("limits.body_bytes_max = 1024"), "{long}");
    let endless = said(("transfer-encoding", "chunked"));
    assert!(endless.contains("no Content-Length") && !endless.contains("limits."), "{endless}");
}

/// A body is as long as what is in its pieces; what parts them has a limit of its own.
#[test]
fn a_body_in_pieces_is_as_long_as_what_they_hold() {
    let fields = [JSON, ("transfer-encoding", "chunked")];
    let pieces = |body: &str| {
        let mut all = BytesMut::new();
        body.bytes().for_each(|byte| write_frame(Tag::Body, &[byte], &mut all));
        all
    };
    let mut head = BytesMut::new();
    write_head(Tag::Request, Some(b"PUT /a"), fields.iter().map(|(name, value)| (*name, value.as_bytes())), &mut head);
    let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    let mut session = session_with(HttpFacts::default(), Vec::new());
    let mut begun = [&head[..], &pieces(&text(1024))[..]].concat();
    let step = session.inspect(Side::Client, &begun).unwrap();
    assert!(matches!(step, Step::Read { at_least } if at_least == begun.len() + 5), "{step:?}");
    let mut end = BytesMut::new();
    write_head(Tag::End, None, std::iter::empty(), &mut end);
    begun.extend_from_slice(&end);
    let step = session.inspect(Side::Client, &begun).unwrap();
    assert!(matches!(step, Step::Run { meaning: Meaning::Act(_), tail: 0, len } if len == begun.len()), "{step:?}");
    // One byte more is longer than is held.
    let mut session = session_with(HttpFacts::default(), Vec::new());
    let step = session.inspect(Side::Client, &[&head[..], &pieces(&text(1025))[..]].concat()).unwrap();
    assert!(matches!(step, Step::Run { meaning: Meaning::Act(_), tail: 1, .. }), "{step:?}");
    assert!(session.unheld("PUT /a").detail.contains("its body is longer than limits.body_bytes_max = 1024"));
    // Of pieces that hold nothing there are only so many.
    let empty = |count: usize| {
        let mut all = head.clone();
        (0..count).for_each(|_| write_frame(Tag::Body, b"", &mut all));
        all
    };
    let most = (1024 + 64 * 1024) / 5;
    let mut session = session_with(HttpFacts::default(), Vec::new());
    let step = session.inspect(Side::Client, &empty(most)).unwrap();
    assert!(matches!(step, Step::Read { .. }), "{step:?}");
    let step = session.inspect(Side::Client, &empty(most + 1)).unwrap();
    assert!(matches!(step, Step::Run { meaning: Meaning::Act(_), tail: 1, .. }), "{step:?}");
    let denial = session.unheld("PUT /a");
    assert!(denial.message.contains("too many pieces") && !denial.detail.contains("its body is longer"), "{denial:?}");
}

#[test]
fn a_held_run_is_parted_from_its_body() {
    let mut session = session(HttpFacts::default());
    let run = message(Tag::Request, "POST /a", &[JSON], &["{\"a\"", ": 1}"]).freeze();
    let parted = session.part(&run).unwrap();
    assert_eq!(parted.body, b"{\"a\": 1}");
    assert_eq!(parted.outline, message(Tag::Request, "POST /a", &[JSON], &[]).freeze());
    let joined = session.join(&parted.outline, &parted.body);
    assert_eq!(joined, message(Tag::Request, "POST /a", &[JSON], &["{\"a\": 1}"]).freeze());
    let long: Vec<u8> = (0..200_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let joined = session.join(&parted.outline, &long);
    let bodies: Vec<&[u8]> =
        frames(&joined).filter(|frame| frame.tag == Tag::Body).map(|frame| frame.content).collect();
    assert_eq!((bodies.len(), bodies.concat() == long), (4, true));
    assert_eq!(session.part(&parted.outline), None, "there is nothing to part");
    // What is left is enough to refuse it, so that the next request is taken.
    let denial = Denial::new(Reason::Disapproved, "no", "", "");
    for _ in 0..2 {
        let step = session.inspect(Side::Client, &run).unwrap();
        assert!(matches!(step, Step::Run { meaning: Meaning::Act(_), tail: 0, .. }), "{step:?}");
        session.refuse(&parted.outline, &denial, &mut Reply::default());
    }
    // A message of a WebSocket.
    let mut said = BytesMut::new();
    write_frame(Tag::Message, b"thello", &mut said);
    let said = said.freeze();
    let parted = session.part(&said).unwrap();
    assert_eq!(parted.body, b"hello");
    assert_eq!(session.join(&parted.outline, &parted.body), said);
    // There is one place where a body goes back to, or it is not taken out.
    let mut endless = BytesMut::new();
    write_frame(Tag::Body, b"hello", &mut endless);
    assert_eq!(session.part(&endless.freeze()), None);
    assert_eq!(session.part(&[&said[..], &said[..]].concat().into()), None);
    assert_eq!(session.part(&[&run[..], &said[..]].concat().into()), None);
}

/// What a client prefers may have the target do another thing, but for how soon it would be answered.
#[test]
fn an_approval_binds_to_what_is_preferred() {
    let bound = |preferred: &[&str]| {
        let fields: Vec<(&str, &str)> = preferred.iter().map(|value| ("prefer", *value)).collect();
        let mut session = session(HttpFacts::default());
        let run = message(Tag::Request, "POST /a", &fields, &[]).freeze();
        match session.inspect(Side::Client, &run).unwrap() {
            Step::Run { meaning: Meaning::Act(operation), .. } => operation.intent.statement.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let plain = bound(&[]);
    assert_eq!(plain, "POST /a");
    for of_try in [&["respond-async"][..], &["wait=10"], &["Respond-Async , Wait = 5,"], &["respond-async", "wait=1"]] {
        assert_eq!(bound(of_try), plain, "{of_try:?}");
    }
    assert_eq!(bound(&["respond-async, tx=commit, wait=10"]), "POST /a\nprefer: tx=commit");
    let twice = ["respond-async", "resolution=merge-duplicates,tx=rollback", "return=minimal"];
    assert_eq!(bound(&twice), "POST /a\nprefer: resolution=merge-duplicates, tx=rollback\nprefer: return=minimal");
    for odd in ["respond-async; tx=commit", "wait=tx", "wait=1 tx=commit", "respond-async=1", "a=\"b, wait=1\", wait=2"]
    {
        assert_eq!(bound(&[odd]), format!("POST /a\nprefer: {odd}"));
    }
}

#[test]
fn a_refusal_says_where_its_request_is_looked_at() {
    let told = |facts: HttpFacts, request: Option<&str>| {
        let mut session = session(facts);
        let run = message(Tag::Request, "DELETE /people/7", &[], &[]).freeze();
        let _ = session.inspect(Side::Client, &run).unwrap();
        let mut denial = Denial::new(Reason::Held, "it needs approval", "a person decides", "ask again");
        denial.request = request.map(|id| RequestId::parse(id).unwrap());
        let mut reply = Reply::default();
        session.refuse(&run, &denial, &mut reply);
        let body = frames(&reply.to_client).find(|frame| frame.tag == Tag::Body).unwrap().content.to_vec();
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let public = || HttpFacts { requests: Some("https://gateway.example/requests".into()), ..HttpFacts::default() };
    let id = RequestId::from_random(7).to_string();
    let body = told(public(), Some(id.as_str()));
    assert_eq!(body["remedy"], "ask again");
    assert_eq!(body["request"], id);
    assert_eq!(body["request_url"], format!("https://gateway.example/requests/{id}"));
    assert_eq!(told(HttpFacts::default(), Some(id.as_str())).get("request_url"), None);
    assert_eq!(told(public(), None).get("request_url"), None, "none was filed");
}

/// The head of a request as evidence keeps it, behind the body.
#[test]
fn heads_are_on_record_without_secrets() {
    let evidence = |fields: &[(&str, &str)], body: &[&str]| {
        let mut session =
            session_with(HttpFacts::default(), vec![Secret::new("of the gateway"), Secret::new("Of-The-Gateway")]);
        let run = message(Tag::Request, "POST /people?page=2", fields, body).freeze();
        match session.inspect(Side::Client, &run).unwrap() {
            Step::Run { meaning: Meaning::Act(operation), .. } => {
                (operation.intent.evidence.to_string(), operation.evidence_binds.clone())
            }
            other => panic!("{other:?}"),
        }
    };
    let fields = [
        JSON,
        ("accept", "*/*"),
        ("authorization", "Basic cGVyc29u"),
        ("cookie", "a=b"),
        ("x-api-key", "k"),
        ("email", "a@b"),
        ("x-said", "is of the gateway"),
        ("referer", "https://a.example/b?code=c"),
        ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.dG9rZW4"),
        ("x-back", "/b?code=c"),
        ("x-from", "https://user:pass@a.example/"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-of-the-gateway", "1"),
    ];
    let (first, binds) = evidence(&fields, &["{\"n\": 1}"]);
    assert_eq!(first, "POST /people?page=2", "listings show one line");
    let [body, head] = binds.as_slice() else { panic!("{binds:?}") };
    assert_eq!(body, "{\"n\": 1}");
    expect![[r#"
        (fields of the head)
        content-type: application/json
        accept: */*
        authorization: …
        cookie: …
        x-api-key: …
        email: …
        x-said: is **************
        referer: https://a.example/b?…
        sec-websocket-protocol: …
        x-back: /b?…
        x-from: …
        (1 more fields)"#]]
    .assert_eq(head);
    // Of a long one the beginning is kept, and how much more there was.
    let columns = Columns::new(&TargetName::new("api").unwrap(), Arc::new(ByName), false, ShapeRole::Rows);
    let long = [("x-long", "x".repeat(head::HEAD_EVIDENCE_BYTES_MAX)), ("x-a", "a".into())];
    let long = long.map(|(name, value)| (name.to_string(), value.into_bytes()));
    let kept = head::evidence(&long, &columns, &Seals::default()).unwrap();
    assert_eq!(kept, "(fields of the head)\nx-a: a\n(1 more fields)");
    assert_eq!(head::read(&kept), Some((vec![("x-a", "a")], Some("(1 more fields)"))));
    assert_eq!(evidence(&[], &[]).1, Vec::<String>::new());
}

#[test]
fn what_stores_and_services_are_asked_by_fields_is_understood() {
    let fields = [("x-amz-copy-source", "a/b%20c?versionId=1"), ("x-amz-target", "DynamoDB.DeleteTable")];
    check(
        "PUT /people/7",
        &fields,
        "",
        expect![[r#"
        http:put on Path api/people/7, http:undocumented on Path api/people/7, http:get on Path api/a/b%20c
        in api/people, api/, api
        query  | fields - | tail 0
        evidence PUT /people/7 x-amz-copy-source=a/b%20c?versionId=1 x-amz-target=DynamoDB.DeleteTable []
        sent PUT /people/7 | x-amz-copy-source: a/b%20c?versionId=1 | x-amz-target: DynamoDB.DeleteTable"#]],
    );
    check(
        "PUT /people/7",
        &[("x-amz-copy-source", "/a/../../b")],
        "",
        expect!["refused: the path leads out of its root"],
    );
}

#[test]
fn servers_differ_in_what_a_parameter_is() {
    for more in ["&%20query=", "&+query=", "&query%00=", "&query%5B%5D=", "&Query=", "&x=1;query="] {
        check(
            &format!("GET /graphql?query=%7Bme%7D{more}%7Bsecret%7D"),
            &[],
            "",
            expect!["refused: the GraphQL of this request is not understood: a parameter of it stands twice"],
        );
    }
    for more in ["&documentid=1", ";extensions=1", "&extensions%5B%5D=1"] {
        check(
            &format!("GET /graphql?query=%7Bme%7D{more}"),
            &[],
            "",
            expect![
                "refused: the GraphQL of this request is not understood: a parameter of it is written otherwise than it is called"
            ],
        );
    }
    // What a policy asks for must be all that there is of it, however a server reads it.
    for form in ["scope=order&x=1;scope=all", "scope=order&Scope=all", "scope=order&%20scope=all"] {
        let mut session = session(HttpFacts::default());
        let run = message(Tag::Request, &format!("GET /q?{form}"), &[], &[]).freeze();
        let Step::Run { meaning: Meaning::Act(operation), .. } = session.inspect(Side::Client, &run).unwrap() else {
            panic!("{form}")
        };
        let Some(FactValue::Texts(query)) = operation.intent.facts.get("query") else { panic!("{form}") };
        assert!(!query.iter().any(|field| &**field == "scope=order"), "{form}: {query:?}");
    }
}

#[test]
fn graphql_is_understood() {
    let check = |document: &str, expected: Expect| {
        let body = serde_json::json!({ "query": document, "operationName": "A" }).to_string();
        check("POST /graphql", &[JSON], &body, expected);
    };
    check(
        "query A { me { id ...F } } query B { no } fragment F on P { name: email, email }",
        expect![[r#"
            http:post on Path api/graphql, http:undocumented on Path api/graphql, graphql:query on Field api/query.me, graphql:query on Field api/query.me.email, graphql:query on Field api/query.me.id, reveal on Class email
            in api/, api
            query  | fields query=query A { me { id ...F } } query B { no } fragment F on P { name: email, email } operationName=A | tail 0
            evidence POST /graphql ["{\"query\":\"query A { me { id ...F } } query B { no } fragment F on P { name: email, email }\",\"operationName\":\"A\"}"]
            sent POST /graphql | content-type: application/json"#]],
    );
    // Servers differ in which name goes first.
    let two = r#"{"query": "query A { me { id } } mutation B { refund }", "operationName": "A"}"#;
    self::check(
        "POST /graphql?operationName=B",
        &[JSON],
        two,
        expect!["refused: the GraphQL of this request is not understood: it asks both in its address and in its body"],
    );
    let kept = r#"{"query": "{ me { id } }", "d\u006fcumentId": "1"}"#;
    self::check(
        "POST /graphql",
        &[JSON],
        kept,
        expect!["refused: the GraphQL of this request is not understood: it names a document that the server keeps"],
    );
    check(
        "mutation A { refund(order: 7) { id } }",
        expect![[r#"
            http:post on Path api/graphql, http:undocumented on Path api/graphql, graphql:mutation on Field api/mutation.refund, graphql:mutation on Field api/mutation.refund.id
            in api/, api
            query  | fields query=mutation A { refund(order: 7) { id } } operationName=A | tail 0
            evidence POST /graphql ["{\"query\":\"mutation A { refund(order: 7) { id } }\",\"operationName\":\"A\"}"]
            sent POST /graphql | content-type: application/json"#]],
    );
    check(
        "query A { x: customer { email } }",
        expect![[r#"
            http:post on Path api/graphql, http:undocumented on Path api/graphql, graphql:query on Field api/query.customer, graphql:query on Field api/query.customer.email
            in api/, api
            query  | fields query=query A { x: customer { email } } operationName=A | tail 0
            evidence POST /graphql ["{\"query\":\"query A { x: customer { email } }\",\"operationName\":\"A\"}"]
            sent POST /graphql | content-type: application/json"#]],
    );
    check(
        "query B { me }",
        expect!["refused: the GraphQL of this request is not understood: it has no such operation"],
    );
    check(
        "query A { ...F } fragment F on Q { ...F }",
        expect!["refused: the GraphQL of this request is not understood: it is nested too deeply"],
    );
    check(
        "query A {",
        expect!["refused: the GraphQL of this request is not understood: it is no document of the language"],
    );
    check(
        &format!("query A {{ {} }}", "a { ".repeat(100)),
        expect!["refused: the GraphQL of this request is not understood: it is nested too deeply"],
    );
}

/// What a short request may make of little is bounded, and so is what it is read from.
#[test]
fn graphql_that_asks_for_too_much_is_refused() {
    let target = TargetName::new("api").unwrap();
    let columns = Columns::new(&target, Arc::new(ByName), false, ShapeRole::Rows);
    let said = |body: serde_json::Value| {
        let body = body.to_string();
        let accesses = graphql::accesses(&target, "", true, Some(body.as_bytes()), &columns);
        accesses.map(|_| ()).map_err(|denial| denial.detail)
    };
    let of = |document: String| said(serde_json::json!({ "query": document }));
    let refused =
        |why: &str| -> Result<(), String> { Err(format!("the GraphQL of this request is not understood: {why}")) };
    assert_eq!(of(format!("{{ {} }}", "a ".repeat(1_000))), Ok(()));
    assert_eq!(of(format!("{{ {} }}", "a ".repeat(1_001))), refused("it selects too many fields"));
    // Each use of a fragment selects its fields once more.
    let doubled: Vec<String> =
        (0..20).map(|at| format!("fragment f{at} on Q {{ ...f{next} ...f{next} }}", next = at + 1)).collect();
    let doubled = format!("{{ ...f0 }} {} fragment f20 on Q {{ a }}", doubled.join(" "));
    assert_eq!(of(doubled), refused("it selects too many fields"));
    assert_eq!(of(format!("{{ a }} # {}", "x".repeat(64 * 1024))), refused("the document is too long"));
    let one = serde_json::json!({ "query": "{ a }" });
    assert_eq!(said(vec![one.clone(); 32].into()), Ok(()));
    assert_eq!(said(vec![one; 33].into()), refused("it asks too many things at a time"));
}

#[test]
fn bodies_are_understood() {
    let body = r#"{"card": {"number": "4111"}, "items": [{"sku": "A1"}, {"sku": "B2"}], "\u0065mail": "x", "n": 1.50}"#;
    check(
        "POST /orders?email=a%40b",
        &[JSON],
        body,
        expect![[r#"
            http:post on Path api/orders, http:undocumented on Path api/orders
            in api/, api
            query email=… | fields card.number=… items[].sku=A1 items[].sku=B2 email=… n=1.50 | tail 0
            evidence POST /orders?email=%E2%80%A6 ["{\"card\": {\"number\": \"…\"}, \"items\": [{\"sku\": \"A1\"}, {\"sku\": \"B2\"}], \"\\u0065mail\": \"…\", \"n\": 1.50}"]
            sent POST /orders?email=a%40b | content-type: application/json"#]],
    );
    let form = ("content-type", "application/x-www-form-urlencoded");
    check(
        "POST /login",
        &[form],
        "user=bob&email=a%40b",
        expect![[r#"
        http:post on Path api/login, http:undocumented on Path api/login
        in api/, api
        query  | fields user=bob email=… | tail 0
        evidence POST /login ["user=bob&email=%E2%80%A6"]
        sent POST /login | content-type: application/x-www-form-urlencoded"#]],
    );
    let parts = ("content-type", "multipart/form-data; boundary=x");
    check(
        "POST /upload",
        &[parts],
        "--x\r\ncontent-disposition: form-data; name=\"scope\"\r\n\r\norder\r\n--x\r\ncontent-disposition: form-data; \
         name=\"email\"\r\n\r\na@b\r\n--x\r\ncontent-disposition: form-data; name=f; filename=p\r\n\r\n\0\r\n--x--\r\n",
        expect![[r#"
            http:post on Path api/upload, http:undocumented on Path api/upload
            in api/, api
            query  | fields scope=order email=… | tail 0
            evidence POST /upload ["scope=order\nemail=… (187 bytes in parts)"]
            sent POST /upload | content-type: multipart/form-data; boundary=x"#]],
    );
    check(
        "POST /upload",
        &[parts],
        "--x\r\n\r\n1\n--x--",
        expect!["refused: its parts are not clear, and servers differ in what they find there"],
    );
    check(
        "PUT /upload",
        &[parts],
        "--x\r\ncontent-disposition: form-data; name=_method\r\n\r\nDELETE\r\n--x--",
        expect!["refused: `_method` has some servers do something else than what was asked for"],
    );
    check(
        "PUT /file",
        &[("content-type", "image/png")],
        "data",
        expect![[r#"
        http:put on Path api/file, http:undocumented on Path api/file
        in api/, api
        query  | fields - | tail 0
        evidence PUT /file ["(4 bytes)"]
        sent PUT /file | content-type: image/png"#]],
    );
    check(
        "PUT /file",
        &[("content-type", "image/png"), ("transfer-encoding", "chunked")],
        "data",
        expect![[r#"
        http:put on Path api/file, http:undocumented on Path api/file
        in api/, api
        query  | fields - | tail 1
        evidence PUT /file []
        sent PUT /file | content-type: image/png"#]],
    );
    check(
        "PUT /file",
        &[("content-type", "image/png"), ("content-length", "99999")],
        "data",
        expect![[r#"
        http:put on Path api/file, http:undocumented on Path api/file
        in api/, api
        query  | fields - | tail 1
        evidence PUT /file []
        sent PUT /file | content-type: image/png"#]],
    );
}

#[test]
fn what_is_not_clear_is_refused() {
    check(
        "POST /x",
        &[JSON],
        "{\"a\":1,\"b\":{\"a\":2},\"a\":3}",
        expect!["refused: the body has a field twice, and servers differ in which counts"],
    );
    // Whose simple folding has three letters for one, as Go's.
    check(
        "POST /x",
        &[JSON],
        "{\"scope\":\"order\",\"\u{17f}cope\":\"all\"}",
        expect!["refused: the body has a field twice, and servers differ in which counts"],
    );
    for kind in [
        "application/x-www-form-urlencoded,x",
        "application/x-www-form-urlencoded x",
        "application/json,x",
        "multipart/form-data,z; boundary=x",
        "multipart/form-data; xboundary=evil; boundary=x",
        "multipart/form-data; boundary=x; boundary=x",
        "multipart/form-data; boundary=\"a\\\"b\"",
    ] {
        let clear =
            "refused: its content type is not written as RFC 9110 has it, and servers differ in what they make of it";
        check("POST /x", &[("content-type", kind)], "a=1", Expect { data: clear, ..expect![[""]] });
    }
    check(
        "POST /x",
        &[("content-length", "1"), ("content-length", "2")],
        "",
        expect!["refused: it says in two ways how long it is"],
    );
    let socket = [("connection", "upgrade"), ("upgrade", "websocket")];
    check(
        "GET /x",
        &[&socket[..], &[("content-length", "9")]].concat(),
        "",
        expect!["refused: it asks for a WebSocket and has a body, which a server may take for the first message"],
    );
    check("GET /graphql?query=%7Bid%7D", &socket, "", expect!["refused: GraphQL is not read on WebSockets"]);
    check(
        "GET /x",
        &[("connection", "upgrade"), ("upgrade", "h2c")],
        "",
        expect!["refused: it asks for another protocol on its connection"],
    );
}

/// How an answer is shown.
fn shown(fields: &[(&str, &str)], body: &[&str]) -> String {
    shown_of(HttpFacts::default(), fields, body)
}

fn shown_of(facts: HttpFacts, fields: &[(&str, &str)], body: &[&str]) -> String {
    let mut session = session(facts);
    let asked = message(Tag::Request, "GET /", &[], &[]).freeze();
    let _ = session.inspect(Side::Client, &asked);
    let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
    let mut rest = message(Tag::Response, "200", fields, body);
    let mut out = BytesMut::new();
    while !rest.is_empty() {
        let (len, shape) = match session.inspect(Side::Target, &rest) {
            Ok(Step::Run { len, meaning: Meaning::Content(shape), .. }) => (len, shape),
            Ok(other) => return format!("{other:?}"),
            Err(breach) => return breach.message,
        };
        let run = rest.split_to(len).freeze();
        if let Err(breach) = session.rewrite(&shape, &run, &mut Telling, &mut out) {
            return breach.message;
        }
    }
    let text = |frame: gatehouse_protocol::Frame<'_>| String::from_utf8_lossy(frame.content).into_owned();
    frames(&out).map(text).collect::<Vec<_>>().concat().trim_end().replace('\r', ",").replace('\n', " | ")
}

fn check_answer(fields: &[(&str, &str)], body: &[&str], expected: Expect) {
    expected.assert_eq(&shown(fields, body));
}

#[test]
fn json_is_masked_where_its_values_stand() {
    check_answer(
        &[JSON, ("etag", "\"1\""), ("x-own", "v"), ("content-length", "9")],
        &["{\"email\": \"x\", \"n\": 1}"],
        expect![[
            r#"200 | content-type: application/json | etag: W/<header> | x-own: <header> |  | {"email": "<email>", "n": 1}"#
        ]],
    );
    // However it is wrapped, and what is wrapped too deep is not shown.
    check_answer(
        &[JSON],
        &[r#"{"log": " {\"email\": \"x\"}", "again": "\"{\\\"email\\\": \\\"x\\\"}\""}"#],
        expect![[
            r#"200 | content-type: application/json |  | {"log": " {\"email\": \"<email>\"}", "again": "\"{\\\"email\\\": \\\"<email>\\\"}\""}"#
        ]],
    );
    let deep = (0..5).fold("{\"email\": \"x\"}".to_string(), |inner, _| serde_json::json!({ "in": inner }).to_string());
    check_answer(
        &[JSON],
        &[&deep],
        expect![[
            r#"200 | content-type: application/json |  | {"in":"{\"in\":\"{\\\"in\\\":\\\"{\\\\\\\"in\\\\\\\":\\\\\\\"{\\\\\\\\\\\\\\\"in\\\\\\\\\\\\\\\":\\\\\\\\\\\\\\\"<opaque>\\\\\\\\\\\\\\\"}\\\\\\\"}\\\"}\"}"}"#
        ]],
    );
    check_answer(
        &[("content-type", "text/csv")],
        &["id,email\r1,x\r2,y\r"],
        expect!["200 | content-type: text/csv |  | <text>,<text>,<text>,<email>,<text>,<email>"],
    );
    check_answer(
        &[JSON],
        &["{\"card\": {\"num", "ber\": 4111}, \"number\": 5}"],
        expect![[r#"200 | content-type: application/json |  | {"card": {"number": "<card>"}, "number": 5}"#]],
    );
    check_answer(
        &[JSON],
        &["{\"email\": {\"home\": \"a\", \"all\": [\"b\", null, 1]}, \"x\": [\"c\"]}"],
        expect![[
            r#"200 | content-type: application/json |  | {"email": {"home": "<email>", "all": ["<email>", null, "<email>"]}, "x": ["c"]}"#
        ]],
    );
    check_answer(
        &[JSON],
        &[r#"{"\u0065mail": "a", "x\"y": "b", "z": "\u0041"}"#],
        expect![[
            r#"200 | content-type: application/json |  | {"<text>": "<email>", "<text>": "<text>", "z": "<text>"}"#
        ]],
    );
    check_answer(&[JSON], &["[1"], expect!["the target's body is not the JSON that it says it is"]);
    check_answer(&[JSON], &[" \n"], expect!["200 | content-type: application/json"]);
}

/// However texts stand in each other, each is walked through a few times at most, and names are known in all of them.
#[test]
fn texts_in_texts_are_masked_and_end() {
    let escaped = |text: &str| text.replace('\\', "\\u005c").replace('"', "\\u0022").replace('\n', "\\u000a");
    let mut text = "{\"email\":\"hidden\"}".to_string();
    for _ in 0..60 {
        text = format!("[\"{}\"] x\nx", escaped(&text));
    }
    assert!(!shown(&[JSON], &[&format!("[\"{}\"]", escaped(&text))]).contains("hidden"));
    let many: String = (0..8_300).map(|number| format!("\"k{number}\":1,")).collect();
    let inner = r#""data":{"a":"{]\n}","email":"x"}"#;
    let masked = shown(&[JSON], &[&format!("{{{many}{inner}}}")]);
    assert!(!masked.contains(r#""x""#), "{}", &masked[masked.len() - 60..]);
    for lenient in [
        r#"{"email":"x","a":NaN}"#,
        "\u{feff}{\"email\":\"x\"}",
        r#"{"email":"x",}"#,
        r#"[null,{"email":"x",}]"#,
        r#"{'email':'x'}"#,
        &format!("{{\"email\":\"x\",\"a\":{}{}}}", "[".repeat(130), "]".repeat(130)),
    ] {
        let wrapped = serde_json::json!({ "text": lenient }).to_string();
        assert!(shown(&[JSON], &[&wrapped]).ends_with(r#"{"text":"<opaque>"}"#), "{lenient}");
        let line = shown(&[("content-type", "text/plain")], &[lenient]);
        assert!(!line.contains("\"x\"") && !line.contains("'x'"), "{line}");
    }
    let inner = shown(&[JSON], &[r#"{"a":"[\"{'email':'x'}\", \"b\"]","b":["{'email':'x'}"]}"#]);
    assert!(!inner.contains("'x'") && inner.contains("b"), "{inner}");
    let honest = shown(&[JSON], &[r#"{"a":"[info] it is {user}","b":"{user} came","c":"[x]"}"#]);
    assert!(honest.ends_with(r#"{"a":"[info] it is {user}","b":"{user} came","c":"[x]"}"#), "{honest}");
}

/// What cannot be read by its names is hidden, over however many lines it stands and where; JSON is found behind other words.
#[test]
fn what_is_meant_to_be_json_is_not_shown_unread() {
    for lenient in [
        "{\n  \"email\": \"x\",\n}",
        "\u{feff}{\n  \"email\": \"x\"\n}",
        "{\n \"email\": \"x\",\n \"y\": \"tr",
        "{\n \"email\": \"x\"\n}\n{\n \"email\": \"x\"\n}\n",
        "{\n  'email': 'x'\n}",
        "{email: \"x\"}",
        "{/*c*/\"email\": \"x\"}",
        "[NaN,\n{\"email\":\n\"x\"}]",
        "\"{\\\"email\\\":\\\"x\\\"}\",",
    ] {
        let wrapped = serde_json::json!({ "text": lenient }).to_string();
        assert!(shown(&[JSON], &[&wrapped]).ends_with(r#"{"text":"<opaque>"}"#), "{lenient}");
        let key = serde_json::json!({ lenient: 1 }).to_string();
        let masked = shown(&[JSON], &[&key]);
        assert!(masked.contains(r#"{"<opaque>":"#), "{lenient} became {masked}");
    }
    let lines = shown(&[JSON], &[r#"{"a":"[log] a\n{\"email\":\"x\"}\nb","b":"[log] {\"email\":\"x\"}"}"#]);
    assert!(!lines.contains("\"x") && !lines.contains("x\\"), "{lines}");
    let line = shown(&[("content-type", "text/plain")], &[r#"[07:31] [12] [info] [api] [GET /] it is {"email":"x"}"#]);
    assert!(line.contains(r#""email":"<email>""#), "{line}");
    let line = shown(&[("content-type", "text/plain")], &[r#" "{\"email\": \"x\"}""#]);
    assert!(!line.contains("x\\"), "{line}");
}

/// What some take for JSON and others do not hides nothing of what is in it; what is read in several ways is not shown.
#[test]
fn sloppy_json_is_masked_as_well() {
    for kind in [JSON, ("content-type", "text/plain"), ("content-type", "application/x-ndjson")] {
        let shown = |body: &[u8]| {
            let shown = shown(&[kind], &[&String::from_utf8_lossy(body)]);
            shown.rsplit(" |  | ").next().unwrap_or_default().to_string()
        };
        assert_eq!(shown(br#"{"msg":"a\qb","email":"x"}"#), r#"{"msg":"<opaque>","email":"<email>"}"#);
        assert_eq!(shown(br#"{"msg":"\x40","email":"x"}"#), r#"{"msg":"<opaque>","email":"<email>"}"#);
        assert_eq!(shown(br#"{"msg":"\u00g0","email":"x"}"#), r#"{"msg":"<opaque>","email":"<email>"}"#);
        assert_eq!(shown(br#"{"e\qmail":"x","n":{"a":1}}"#), r#"{"<opaque>":"<unknown>","n":{"a":1}}"#);
        assert_eq!(shown(br#"{"e\qmail":{"n":[1]}}"#), r#"{"<opaque>":{"n":["<unknown>"]}}"#);
        assert_eq!(shown(b"{\"msg\":\"a\tb\",\"email\":\"x\"}"), "{\"msg\":\"a\tb\",\"email\":\"<email>\"}");
        assert_eq!(
            shown(br#"{"n":"{\"email\":\"x\",\"m\":\"a\tb\"}"}"#),
            r#"{"n":"{\"email\":\"<email>\",\"m\":\"a\tb\"}"}"#
        );
    }
}

#[test]
fn lines_are_masked_as_they_come() {
    let lines = ("content-type", "application/x-ndjson");
    check_answer(
        &[lines],
        &["{\"email\":\"a\"}\n{\"ema", "il\":\"b\"}\n{\"n\":1}"],
        expect![[
            r#"200 | content-type: application/x-ndjson |  | {"email":"<email>"} | {"email":"<email>"} | {"n":1}"#
        ]],
    );
    check_answer(
        &[lines],
        &["{\"email\":\n\"a\"}\n"],
        expect!["200 | content-type: application/x-ndjson |  | <opaque> | <opaque>"],
    );
    let events = ("content-type", "text/event-stream");
    check_answer(
        &[events],
        &["id: 1\ndata: {\"email\":\"a\"}\n\n", "data: {\"email\":\ndata: \"a\"}\n\nda", "ta: {\"n\":1}\n\n"],
        expect![[
            r#"200 | content-type: text/event-stream |  | <text> | data: {"email":"<email>"} |  | <opaque> | <opaque> |  | data: {"n":1}"#
        ]],
    );
    check_answer(
        &[("content-type", "text/plain")],
        &["one\r\ntw", "o"],
        expect!["200 | content-type: text/plain |  | <text>, | <text>"],
    );
}

#[test]
fn events_end_where_their_readers_end_them() {
    let events = ("content-type", "text/event-stream");
    check_answer(
        &[events],
        &["\u{feff}data: {\"email\":\ndata: \"a@b\"\ndata: }\n\n"],
        expect!["200 | content-type: text/event-stream |  | <opaque> | <opaque> | <opaque>"],
    );
    check_answer(
        &[events],
        &["data: {\"email\":\n \t \ndata: \"a@b\"\ndata: }\n\ndata: text\n\n"],
        expect!["200 | content-type: text/event-stream |  | <opaque> |  	  | <opaque> | <opaque> |  | <text>"],
    );
}

/// What is asked for, and what that is in.
fn asked(facts: &HttpFacts, first: &str, fields: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut session = session(facts.clone());
    let run = message(Tag::Request, first, fields, &[]).freeze();
    match session.inspect(Side::Client, &run) {
        Ok(Step::Run { meaning: Meaning::Act(operation), .. }) => {
            let accesses = operation.intent.accesses.iter();
            let within = |access: &Access| {
                access.resource.within.iter().map(|parent| &*parent.id).collect::<Vec<_>>().join(", ")
            };
            Ok(accesses.map(|access| format!("{access} in {}", within(access))).collect())
        }
        Ok(Step::Run { meaning: Meaning::Misunderstood(unclear), .. }) => Err(unclear.denial.detail.to_string()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn letters_and_slashes_of_a_path_count_as_they_do_at_the_target() {
    let facts = HttpFacts {
        endpoints: Some(vec![Endpoint { method: "GET".into(), template: "/People/{id}".into(), operation: None }]),
        graphql: vec!["/GraphQL".into()],
        ignores_case: true,
        keeps_slashes: true,
        ..HttpFacts::default()
    };
    let person = "http:get on Path api/people/a%2Fb in api/GET /People/{id}, api/people, api/, api";
    assert_eq!(asked(&facts, "GET /PEOPLE/A%2fB", &[]), Ok(vec![person.to_string()]));
    let fields = asked(&facts, "GET /graphql?query=%7Bme%7D", &[]).unwrap();
    assert!(fields.iter().any(|field| field.starts_with("graphql:query on Field api/query.me ")), "{fields:?}");
    let dots = "the path has an escaped slash beside nothing or beside dots";
    assert_eq!(asked(&facts, "GET /people/..%2fadmin", &[]), Err(dots.to_string()));
    // What a store is to copy is escaped as a whole.
    let copied = asked(&facts, "PUT /People/7", &[("x-amz-copy-source", "a%2Fb")]);
    assert_eq!(copied, Err("the path has an escaped slash".to_string()));
    let exact = HttpFacts { ignores_case: false, keeps_slashes: false, ..facts };
    let undocumented = asked(&exact, "GET /people/7", &[]).unwrap();
    assert!(undocumented.iter().any(|access| access.starts_with("http:undocumented on Path api/people/7")));
    assert_eq!(asked(&exact, "GET /people/a%2fb", &[]), Err("the path has an escaped slash".to_string()));
}

#[test]
fn policy_is_shown_the_fields_that_are_named() {
    let facts = HttpFacts { headers: vec!["stripe-account".into(), "email".into()], ..HttpFacts::default() };
    let shown = |fields: &[(&str, &str)]| {
        let mut session = session(facts.clone());
        let run = message(Tag::Request, "GET /", fields, &[]).freeze();
        match session.inspect(Side::Client, &run) {
            Ok(Step::Run { meaning: Meaning::Act(operation), .. }) => match operation.intent.facts.get("headers") {
                Some(FactValue::Texts(headers)) => headers.join(" | "),
                Some(_) | None => "nothing".into(),
            },
            Ok(Step::Run { meaning: Meaning::Misunderstood(unclear), .. }) => unclear.denial.detail.to_string(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(shown(&[]), "");
    assert_eq!(shown(&[("stripe-account", "acct_1"), ("x-own", "1")]), "stripe-account=acct_1");
    assert_eq!(shown(&[("email", "lotte@corp.example")]), "email=\u{2026}", "what is classified is not shown");
    assert_eq!(shown(&[("stripe-account", &"a".repeat(300))]), "nothing", "no part is taken for all");
    let odd = "the field `stripe-account`, by which policy judges, can be read in several ways";
    assert_eq!(shown(&[("stripe-account", "acct_1"), ("stripe-account", "acct_2")]), odd);
    assert_eq!(shown(&[("stripe-account", "acct_1"), ("stripe_account", "acct_2")]), odd);
    let other = "the field `stripe_account`, by which policy judges, can be read in several ways";
    assert_eq!(shown(&[("stripe_account", "acct_1")]), other);
    // What is a matter of the connection goes nowhere, and is not shown.
    assert_eq!(shown(&[("connection", "stripe-account"), ("stripe-account", "acct_1")]), "");
}

#[test]
fn tags_and_trailers_are_asked_for_as_the_target_knows_them() {
    check(
        "PUT /people/7",
        &[("if-match", "W/\"gatehouse~1\""), ("if-none-match", "W/\"2\""), ("te", "gzip;q=0.5, trailers")],
        "",
        expect![[r#"
        http:put on Path api/people/7, http:undocumented on Path api/people/7
        in api/people, api/, api
        query  | fields - | tail 0
        evidence PUT /people/7 []
        sent PUT /people/7 | if-match: "1" | if-none-match: W/"2" | te: trailers"#]],
    );
    check(
        "PUT /people/7",
        &[("te", "gzip")],
        "",
        expect![[r#"
        http:put on Path api/people/7, http:undocumented on Path api/people/7
        in api/people, api/, api
        query  | fields - | tail 0
        evidence PUT /people/7 []
        sent PUT /people/7"#]],
    );
}

/// What is seen of an answer by whoever sees all, of a target at which the gateway proves itself; and whether it was broken off.
fn shown_plainly(fields: &[(&str, &str)], body: &str, trailers: &[(&str, &str)]) -> (String, bool) {
    let mut session = session_with(HttpFacts::default(), vec![Secret::new("s3cret-of-it")]);
    let asked = message(Tag::Request, "GET /", &[], &[]).freeze();
    let _ = session.inspect(Side::Client, &asked);
    let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
    let mut rest = BytesMut::new();
    let head = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    write_head(Tag::Response, Some(b"200"), head, &mut rest);
    write_frame(Tag::Body, body.as_bytes(), &mut rest);
    write_head(Tag::End, None, trailers.iter().map(|(name, value)| (*name, value.as_bytes())), &mut rest);
    let mut out = BytesMut::new();
    while let Ok(Step::Run { len, .. }) = session.inspect(Side::Target, &rest) {
        let run = rest.split_to(len).freeze();
        let mut shown = BytesMut::new();
        match session.pass(Side::Target, &run, &mut shown) {
            Passed::AsIs => out.extend_from_slice(&run),
            Passed::Written => out.extend_from_slice(&shown),
        }
        if rest.is_empty() || frames(&shown).any(|frame| frame.tag == Tag::Abort) {
            break;
        }
    }
    let is_broken = frames(&out).any(|frame| frame.tag == Tag::Abort);
    (String::from_utf8_lossy(&out).into_owned(), is_broken)
}

/// Values have stars where it stood; a name has no room for any.
#[test]
fn a_field_whose_name_is_the_gateways_proof_is_dropped() {
    let odd = [("s3cret-of-it", "1"), ("x-cznjcmv0lw9mlwl0", "1"), ("x-kept", "s3cret-of-it")];
    let fields = [&[("content-type", "text/plain")][..], &odd].concat();
    let (plain, is_broken) = shown_plainly(&fields, "hello", &odd);
    assert!(!is_broken && !plain.contains("s3cret") && !plain.contains("cznjcmv0"), "{plain}");
    assert_eq!(plain.matches("x-kept: ************").count(), 2, "in the head, and behind the body: {plain}");
    let mut session = session_with(HttpFacts::default(), vec![Secret::new("S3cret-Of-It")]);
    let asked = message(Tag::Request, "GET /", &[], &[]).freeze();
    let _ = session.inspect(Side::Client, &asked);
    let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
    let (mut said, mut shown) = (BytesMut::new(), BytesMut::new());
    let fields = || odd.iter().map(|(name, value)| (*name, value.as_bytes()));
    write_head(Tag::Interim, Some(b"103"), fields(), &mut said);
    write_head(Tag::Response, Some(b"200"), fields().chain([("content-type", &b"text/plain"[..])]), &mut said);
    write_head(Tag::End, None, fields(), &mut said);
    while !said.is_empty() {
        let Ok(Step::Run { len, meaning: Meaning::Content(shape), .. }) = session.inspect(Side::Target, &said) else {
            panic!("nothing is due");
        };
        let run = said.split_to(len).freeze();
        session.rewrite(&shape, &run, &mut Telling, &mut shown).unwrap();
    }
    let masked = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(masked.matches("x-kept: <header>").count(), 3, "{masked}");
    assert!(!masked.contains("s3cret-of-it: "), "{masked}");
    // What is kept back says of what type it was, in the target's own words.
    let kept_back = |kind: &str| {
        let mut session = session_with(HttpFacts::default(), vec![Secret::new("s3cret-of-it")]);
        let _ = session.inspect(Side::Client, &asked);
        let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
        let run = message(Tag::Response, "200", &[("content-type", kind)], &["x"]);
        let Ok(Step::Run { len, meaning: Meaning::Content(shape), .. }) = session.inspect(Side::Target, &run) else {
            panic!("nothing is due");
        };
        let run = run.freeze().slice(..len);
        session.rewrite(&shape, &run, &mut Telling, &mut BytesMut::new()).unwrap_err().message
    };
    let said = kept_back("application/s3cret-of-it");
    assert!(said.contains("application/************"), "{said}");
}

/// What is true of the target's bytes alone is not said of others.
#[test]
fn of_a_changed_body_no_digest_is_told() {
    let digests = [
        ("content-digest", "sha-256=:AA==:"),
        ("repr-digest", "sha-256=:AA==:"),
        ("digest", "SHA-256=AA=="),
        ("content-md5", "AA=="),
        ("x-amz-checksum-crc32", "AA=="),
        ("etag", "\"1\""),
    ];
    check_answer(
        &[&[JSON][..], &digests].concat(),
        &["{\"email\": \"x\"}"],
        expect![[r#"200 | content-type: application/json | etag: W/<header> |  | {"email": "<email>"}"#]],
    );
    for digest in digests {
        let fields = [("content-type", "text/plain"), digest];
        let (shown, is_broken) = shown_plainly(&fields, "it is a secret", &[]);
        assert!(!is_broken && shown.contains(digest.1) && shown.contains("it is a secret"), "{shown}");
        // Once it is said, what it is true of cannot be changed.
        let (shown, is_broken) = shown_plainly(&fields, "it is s3cret-of-it", &[]);
        assert!(is_broken && !shown.contains("***") && !shown.contains("s3cret"), "{shown}");
    }
    for fields in [&[("content-type", "text/plain")][..], &[("etag", "W/\"1\"")]] {
        let trailers = [("content-digest", "sha-256=:AA==:"), ("x-sum", "6")];
        let (shown, is_broken) = shown_plainly(fields, "it is s3cret-of-it", &trailers);
        assert!(!is_broken && shown.contains("it is ************"), "{shown}");
        assert!(!shown.contains("sha-256") && shown.contains("x-sum: 6"), "what comes behind it: {shown}");
        let (shown, _) = shown_plainly(fields, "it is a secret", &trailers);
        assert!(shown.contains("sha-256"), "{shown}");
    }
}

#[test]
fn of_the_gateways_own_proof_nothing_is_told() {
    let facts = HttpFacts { credential_header: Some("authorization".into()), ..HttpFacts::default() };
    let asks = [("www-authenticate", "Bearer resource_metadata=\"http://evil.example\""), ("x", "1")];
    assert_eq!(shown_of(facts, &asks, &[]), "200 | x: <header>");
    assert!(shown_of(HttpFacts::default(), &asks, &[]).contains("www-authenticate"));
}

#[test]
fn parts_are_masked_each_as_what_it_is() {
    check_answer(
        &[("content-type", "multipart/mixed; boundary=\"x\"")],
        &[
            "--x\r\nContent-Type: application/json\r\nContent-Length: 30\r\n\r\n{\"email\": \"a@b\", \"n\": 1}\r\n--x\r",
            "\n\r\nsome text\r\n--x\r\ncontent-disposition: form-data; name=\"email\"\r\n\r\na@b\r\n--x\r\nContent-Type: \
             image/png\r\n\r\n\0\r\n--x--\r\n",
        ],
        expect![[
            r#"200 | content-type: multipart/mixed; boundary="x" |  | --x, | content-type: <header>, | , | {"email": "<email>", "n": 1}, | --x, | , | <text>, | --x, | content-disposition: <header>, | , | <email>, | --x, | content-type: <header>, | , | <opaque>, | --x--"#
        ]],
    );
    check_answer(
        &[("content-type", "multipart/mixed; boundary=x")],
        &["--x\r\n\r\n1\n--x--"],
        expect!["the parts of the target's body are not clear"],
    );
    check_answer(
        &[("content-type", "multipart/x-mixed-replace; boundary=x")],
        &["--x--"],
        expect!["an answer was kept back: it is of multipart/x-mixed-replace; boundary=x, which cannot be looked into"],
    );
}

#[test]
fn what_cannot_be_looked_into_is_kept_back() {
    check_answer(
        &[("content-type", "image/png")],
        &["x"],
        expect!["an answer was kept back: it is of image/png, which cannot be looked into"],
    );
    check_answer(
        &[JSON, ("content-encoding", "compress")],
        &["x"],
        expect!["an answer was kept back: it is of application/json, coded as compress, which cannot be looked into"],
    );
    check_answer(&[JSON, ("content-length", "5000")], &["x"], expect!["an answer is longer than may be held"]);
    check_answer(
        &[("content-type", "text/plain")],
        &[&"x".repeat(900), &"x".repeat(900)],
        expect!["a body, or a line of it, is longer than the 1024 bytes that may be held"],
    );
}

#[test]
fn masks_have_their_room() {
    let numbers = |count: usize| format!("{{\"email\":[{}1]}}", "1,".repeat(count));
    assert!(shown(&[JSON], &[&numbers(100)]).contains("<email>"));
    assert_eq!(
        shown(&[JSON], &[&numbers(400)]),
        "the masks of an answer are longer than what they stand for, by more than may be held"
    );
}

/// JSON is found wherever it begins in a text, however many there are and over however many lines of a string.
#[test]
fn json_in_text_is_masked_wherever_it_stands() {
    for text in [
        "x \0 {\"email\":\"BLUE\"}",
        "[log]\n{\"email\":\"BLUE\"}\n-----BEGIN PRIVATE KEY-----\nx\n",
        "[\0] {\"email\":\"BLUE\"}",
        "failed: {\n  \"email\": \"BLUE\"\n}",
        "failed: {\n  \"email\": \"BLUE\"\n} and {\"email\":\"BLUE\"}",
        "a {\"email\":\"BLUE\"} b {\"email\":\"BLUE\"} c",
        "a {\"email\":\"BLUE\"}{\"email\":\"BLUE\",}",
        "[1] [2] [3] [4] [5] [6] [7] [8] [9] [10] {\"email\":\"BLUE\"}",
    ] {
        let is_known = |masked: &str| {
            masked.contains("<opaque>") || masked.matches("<email>").count() == text.matches("BLUE").count()
        };
        let masked = shown(&[JSON], &[&serde_json::json!({ "text": text }).to_string()]);
        assert!(is_known(&masked), "{text:?} became {masked}");
        if !text.contains(['\0', '\n']) {
            let masked = shown(&[("content-type", "text/plain")], &[text]);
            assert!(is_known(&masked), "{text:?} became {masked}");
        }
    }
}

/// JSON in strings of JSON is read so deep; what is deeper is hidden, whatever it is.
#[test]
fn json_in_json_is_masked_however_deep_it_is() {
    let mut text = "{\"email\":\"BLUE\"}".to_string();
    for depth in 0..7 {
        let masked = shown(&[JSON], &[&text]);
        assert!(!masked.contains("BLUE"), "{depth}: {masked}");
        let (is_read, is_hidden) = (masked.contains("<email>"), masked.contains("<opaque>"));
        assert!(if depth == 0 { is_read } else { is_read || is_hidden }, "{depth}: {masked}");
        assert!(depth < 6 || is_hidden, "{depth}: {masked}");
        text = serde_json::json!({ "a": text }).to_string();
    }
}

/// Fields that are too many to be followed may be any.
#[test]
fn fields_beyond_those_that_are_followed_are_not_known() {
    let mut columns = Columns::new(&TargetName::new("api").unwrap(), Arc::new(ByName), false, ShapeRole::Rows);
    let mut column = |at: usize| {
        let field = columns.field(ROOT, format!("field_{at}").as_bytes());
        columns.column(field)
    };
    assert_eq!(column(0), None);
    let mut last = None;
    for at in 1..=16 * 1024 {
        last = column(at);
    }
    assert_eq!(last, Some(UNKNOWN));
    assert_eq!(column(0), None, "what was met before stays known");
}

/// Beyond the fields of a table that are known by their names any may be of a class.
#[test]
fn what_is_behind_the_fields_that_are_known_is_hidden() {
    let mut columns = Columns::new(&TargetName::new("api").unwrap(), Arc::new(ByName), false, ShapeRole::Rows);
    let mut table = csv::Table::default();
    let mut show = |record: &str| {
        let mut out = Vec::new();
        table.show(record.as_bytes(), &mut columns, &mut Telling, &mut out);
        String::from_utf8(out).unwrap()
    };
    let count = 16 * 1024 + 1;
    show(&vec!["note"; count].join(","));
    let shown = show(&vec!["x"; count].join(","));
    assert_eq!((shown.matches("<text>").count(), shown.matches("<unknown>").count()), (count - 1, 1));
    assert!(shown.ends_with("<text>,<unknown>"));
}

/// What one reader of tables finds and another does not is of a class for all.
#[test]
fn tables_are_read_in_every_way() {
    let masked = |kind: &str, table: &str| {
        let shown = shown(&[("content-type", kind)], &[table]);
        shown.split_once(" |  | ").map(|(_, body)| body.to_string()).unwrap_or_default()
    };
    assert_eq!(
        masked("text/csv", "\u{feff}\"co\nde\",email\r\n1,BLUE\r\n"),
        "\u{feff}\"<text>\",<text>, | <text>,<email>"
    );
    let tabs = "email\tnote\nBLUE\t\"5 inch\nBLUE\tok\nBLUE\tok\"\nBLUE\tok\n";
    assert_eq!(masked("text/tab-separated-values", tabs), "<text>\t<text> | <unknown> | <email>\t<text>");
    assert!(!masked("text/csv", "Name; Vorname,email\nx,BLUE; y\n").contains("BLUE"));
    assert!(!masked("text/csv", "id,len;\"in,email\n1,z,BLUE\n").contains("BLUE"));
    assert_eq!(masked("text/csv", "sep=;\n\"a,b\";email\n1;BLUE\n"), "sep=; | \"<text>\";<text> | <text>;<email>");
    assert_eq!(
        masked("text/csv", "note\n\"a log {\"\"email\"\": \"\"BLUE\"\"}\"\n"),
        "<text> | \"<text>{\"\"email\"\": \"\"<email>\"\"}\""
    );
}

#[test]
fn xml_that_is_otherwise_encoded_is_not_shown() {
    for (declared, expected) in [
        ("<?xml version=\"1.0\"?>", "<text> | <text>"),
        ("<?xml version='1.0' encoding = 'ISO-8859-1'?>", "<text> | <text>"),
        ("<?xml version=\"1.0\" encoding=\"UTF-7\"?>", "<opaque> | <opaque>"),
        ("<?xml version=\"1.0\"", "<opaque> | <opaque>"),
    ] {
        let shown = shown(&[("content-type", "application/xml")], &[declared, "\n<a/>"]);
        assert!(shown.ends_with(&format!("|  | {expected}")), "{declared}: {shown}");
    }
}

#[test]
fn tables_and_forms_are_masked_by_names() {
    let table = ("content-type", "text/csv; charset=utf-8");
    check_answer(
        &[table],
        &["id,email,note\n1,\"a\nb\",\"x", " \"\"y\"\"\"\r\n2,c", ",d"],
        expect![[
            r#"200 | content-type: text/csv; charset=utf-8 |  | <text>,<text>,<text> | <text>,"<email>","<text>", | <text>,<email>,<text>"#
        ]],
    );
    check_answer(
        &[table],
        &["id;\"email\"\n1;a;b\n"],
        expect![[r#"200 | content-type: text/csv; charset=utf-8 |  | <text>;"<text>" | <email>;<email>;<email>"#]],
    );
    check_answer(
        &[table],
        &["sep=;\nid;email\n1,5\" pipe;Alice\n2,6\" pipe;Bob\n"],
        expect![
            "200 | content-type: text/csv; charset=utf-8 |  | sep=; | <text>;<text> | <text>;<email> | <text>;<email>"
        ],
    );
    check_answer(
        &[("content-type", "application/x-www-form-urlencoded")],
        &["a=1&email=x%40y&word"],
        expect![
            "200 | content-type: application/x-www-form-urlencoded |  | %3Ctext%3E=%3Ctext%3E&%3Ctext%3E=%3Cemail%3E&%3Ctext%3E"
        ],
    );
    check_answer(
        &[table],
        &["id,told\n1,\"{\"\"email\"\": \"\"x\"\"}\"\n"],
        expect![[
            r#"200 | content-type: text/csv; charset=utf-8 |  | <text>,<text> | <text>,"{""email"": ""<email>""}""#
        ]],
    );
    check_answer(
        &[JSON],
        &["{\"email.keyword\": \"a\", \"s\": \"{\\\"email\\\": [1]}\"}"],
        expect![[
            r#"200 | content-type: application/json |  | {"email.keyword": "<email>", "s": "{\"email\": [\"<email>\"]}"}"#
        ]],
    );
    check_answer(
        &[("content-type", "text/plain")],
        &["x = {\"email\": \"a\"}; y"],
        expect![[r#"200 | content-type: text/plain |  | <text>{"email": "<email>"}<text>"#]],
    );
    check_answer(
        &[("content-type", "text/plain; charset=utf-16")],
        &["x"],
        expect!["an answer was kept back: it is of text/plain; charset=utf-16, which cannot be looked into"],
    );
    check_answer(
        &[JSON, ("transfer-encoding", "gzip, chunked")],
        &["x"],
        expect!["an answer was kept back: it is of application/json, coded as unclear, which cannot be looked into"],
    );
    check_answer(
        &[JSON, ("content-encoding", "gzip"), ("content-encoding", "gzip")],
        &["x"],
        expect!["an answer was kept back: it is of application/json, coded as unclear, which cannot be looked into"],
    );
    let key = "k".repeat(600);
    check_answer(
        &[JSON],
        &[&format!("{{\"{key}\": {{\"a\": 7}}}}").replace(&key, &key[..500])],
        expect![[
            r#"200 | content-type: application/json |  | {"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk": {"a": 7}}"#
        ]],
    );
    check_answer(&[], &[], expect!["200"]);
    check_answer(&[], &["x"], expect!["the target sent what is not due"]);
}

/// Finds nothing in what it is shown.
struct Finding;

impl Editor for Finding {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        if field.column == UNKNOWN && field.value == Some(b"") {
            // Not everything is shown as it is.
            return Edit::Replace;
        }
        out.extend_from_slice(field.value.unwrap_or_default());
        Edit::Keep
    }

    fn offers(&mut self, _: &Access) -> bool {
        true
    }

    fn describes(&mut self, _: &Resource, _: &str) -> Told {
        Told::AsIs
    }
}

/// Masks look at single values; what they leave of the credential between them does not come back either.
#[test]
fn a_credential_that_masks_cut_in_pieces_does_not_come_back() {
    for (kind, secret) in [
        ("text/plain", "tok[12345]xyz-9"),
        ("text/plain", "pw{\"a\":1}Zq9"),
        ("text/event-stream", "tok[12345]xyz-9"),
        ("text/csv", "one,two;three"),
        ("application/x-www-form-urlencoded", "one=1&two=2"),
    ] {
        let mut session = session_with(HttpFacts::default(), vec![Secret::new(secret)]);
        let asked = message(Tag::Request, "GET /", &[], &[]).freeze();
        let _ = session.inspect(Side::Client, &asked);
        let _ = session.pass(Side::Client, &asked, &mut BytesMut::new());
        let body = format!("data: a\n\ndata: {secret}\n\n");
        let mut rest = message(Tag::Response, "200", &[("content-type", kind)], &[&body]);
        let mut out = BytesMut::new();
        while !rest.is_empty() {
            let Ok(Step::Run { len, meaning: Meaning::Content(shape), .. }) = session.inspect(Side::Target, &rest)
            else {
                panic!("nothing is due");
            };
            let run = rest.split_to(len).freeze();
            session.rewrite(&shape, &run, &mut Finding, &mut out).unwrap();
        }
        let text = String::from_utf8_lossy(&out).into_owned();
        assert!(!text.contains(secret), "{kind}: {text}");
    }
}
