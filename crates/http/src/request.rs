//! What a request asks for, in one form: what is judged, what is sent, what an approver sees.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_model::{
    Access, Action, Bind, Denial, Effect, FactValue, Facts, Intent, Operation, Parent, Phase, Reason, Repacks,
    Resource, TargetName, kind,
};
use gatehouse_protocol::{Endpoint, Head, HttpFacts, Tag, write_head};

use crate::address::{Address, Ambiguous, Slashes, folded_path};
use crate::body::Kind;
use crate::coding::CODINGS;
use crate::columns::Columns;
use crate::endpoint::best;
use crate::graphql;
use crate::json;
use crate::links::Base;
use crate::own::Own;
use crate::rider::{Carrying, Reader, Rider};
use crate::said::{self, Form, Said, form_fields, head_fields, is_plain_form, without_classified};
use crate::tags;

/// The actions of methods that have one.
const ACTIONS: [(&str, Action); 7] = [
    ("GET", Action::new("http:get")),
    ("HEAD", Action::new("http:head")),
    ("OPTIONS", Action::new("http:options")),
    ("POST", Action::new("http:post")),
    ("PUT", Action::new("http:put")),
    ("PATCH", Action::new("http:patch")),
    ("DELETE", Action::new("http:delete")),
];
const GET: Action = Action::new("http:get");
const OTHER: Action = Action::new("http:other");
const MESSAGE: Action = Action::new("http:message");
const UNDOCUMENTED: Action = Action::new("http:undocumented");
/// The safe methods (RFC 9110, section 9.2.1) that have an action.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Fields that say how this connection is used, not what is asked for (RFC 9110, section 7.6.1), and those that the carrier
/// makes anew.
const OF_CONNECTION: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    // Nobody could look into what is compressed from one message to the next.
    "sec-websocket-extensions",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields by which a client would say who it is, or where it comes from, in somebody else's place.
const OF_PROXIES: [&str; 6] =
    ["client-ip", "forwarded", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "x-real-ip"];
/// Fields that have some servers understand another request than the one that was judged.
const OVERRIDES: [&str; 4] = ["x-http-method", "x-http-method-override", "x-method-override", "x-rewrite-url"];
/// Fields that differ from one try to the next and ask for nothing: an approval does not bind to them.
const OF_TRY: [&str; 18] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "cache-control",
    "dnt",
    "mcp-session-id",
    "pragma",
    "priority",
    "referer",
    "sec-gpc",
    "sec-websocket-key",
    "traceparent",
    "tracestate",
    "user-agent",
    // What signs for AWS writes it anew.
    "x-amz-date",
    "x-request-id",
];
/// Where a client says how it would like to be answered (RFC 7240). A target may do another thing by it, so that an approval binds to
/// all of it but what is of the answer's time alone.
const PREFER: &str = "prefer";
const RESPOND_ASYNC: &str = "respond-async";
const WAIT: &str = "wait";
/// Where a client of an object store says what is to be copied.
const COPY_SOURCE: &str = "x-amz-copy-source";
/// Fields that name a second path, as others have them: nobody judges it.
const SECOND_PATHS: [&str; 4] = ["destination", "x-copy-from", "x-goog-copy-source", "x-ms-copy-source"];
/// Fields of AWS's services, each of which some of them read by another spelling or take for a list.
const OF_AWS: &str = "x-amz-";
/// What a client signed of its body, for AWS; and how that begins where it signed each chunk, which nobody can do anew on the way.
const SIGNED_BODY: &str = "x-amz-content-sha256";
const SIGNED_CHUNKS: &[u8] = b"STREAMING-AWS4-";
/// The parameter with a signature for AWS, which is none of the client's where the gateway signs.
const AWS_SIGNATURE: &str = "X-Amz-Signature";
/// Fields by which services tell operations apart, as policy is shown them: in AWS's, all else of a request may be the same.
const OF_OPERATION: [&str; 1] = ["x-amz-target"];
/// Where the carrier says at which address of its own the target is reached.
const BASE: &str = "x-gatehouse-base";
/// The head of a request, in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    address: Address,
    /// What goes on.
    fields: Vec<(String, Vec<u8>)>,
    /// Where its client reaches the target.
    pub(crate) base: Base,
    pub(crate) prefers_async: bool,
    /// What the client sent where the gateway's own credential goes.
    removed: Vec<String>,
    length: Length,
    /// Whether its client hears what comes after a body.
    hears_trailers: bool,
    /// Whether it asks for a WebSocket.
    pub(crate) is_socket: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(u64),
    Unknown,
}

impl Length {
    fn of(head: &Head<'_>) -> Result<Self, Denial> {
        let mut lengths = head.all("content-length");
        let is_coded = head.all("transfer-encoding").next().is_some();
        match (lengths.next(), lengths.next(), is_coded) {
            (None, _, false) => Ok(Self::Known(0)),
            (None, _, true) => Ok(Self::Unknown),
            (Some(length), None, false) if length.iter().all(u8::is_ascii_digit) => {
                let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
                length
                    .map(Self::Known)
                    .ok_or_else(|| not_taken("its length is no length", "This is a defect of the client"))
            }
            (Some(_), _, _) => Err(not_taken("it says in two ways how long it is", "This is a defect of the client")),
        }
    }
}

pub(crate) fn not_taken(what: &str, hint: &str) -> Denial {
    Denial::new(Reason::NotUnderstood, "the request is not passed on", what, hint)
}

impl From<Ambiguous> for Denial {
    fn from(ambiguous: Ambiguous) -> Self {
        not_taken(ambiguous.0, "Servers understand such an address in more than one way: write it in its plain form")
    }
}

impl Request {
    /// Reads a head; the denial is of one that some server could understand in another way.
    pub(crate) fn read(head: &Head<'_>, facts: &HttpFacts, is_carrying: bool) -> Result<Self, Denial> {
        let (method, target) = head
            .first
            .split_once(' ')
            .ok_or_else(|| not_taken("it has no method", "This is a defect of the client"))?;
        // There are servers that take no notice of the size of letters.
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            return Err(not_taken("its method is not written in capitals", "Write the method in capitals"));
        }
        let slashes = if facts.keeps_slashes { Slashes::Kept } else { Slashes::Refused };
        let address = at_endpoint(Address::read(target, slashes)?, facts.endpoint.as_deref())?;
        let asks_to_switch =
            head.all("upgrade").next().is_some() && names(head, "connection").any(|name| name == "upgrade");
        let is_socket = asks_to_switch && head.text("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        if asks_to_switch && !(is_socket && method == "GET" && !is_carrying) {
            return Err(not_taken("it asks for another protocol on its connection", "Send it without `Upgrade`"));
        }
        is_plain_form(address.query.as_deref().unwrap_or_default().as_bytes())?;
        for name in ["content-type", "content-encoding"] {
            if head.all(name).nth(1).is_some() {
                let why = format!("it says in two ways what its body is: `{name}`");
                return Err(not_taken(&why, "Send the field once"));
            }
        }
        if !head.text("content-type").is_none_or(is_clear_type) {
            let why = "its content type is not written as RFC 9110 has it, and servers differ in what they make of it";
            return Err(not_taken(why, "Write it as `type/subtype`, with parameters after semicolons"));
        }
        let (address, mut removed) = without_credential(address, &facts.credential_parameters);
        let fields = fields(head, facts, is_carrying, &mut removed)?;
        let length = Length::of(head)?;
        if is_socket && length != Length::Known(0) {
            let why = "it asks for a WebSocket and has a body, which a server may take for the first message";
            return Err(not_taken(why, "Send it without a body"));
        }
        Ok(Self {
            method: method.to_string(),
            address,
            fields,
            base: Base::read(head.text(BASE).unwrap_or_default()),
            prefers_async: names(head, PREFER).any(|preference| preference == RESPOND_ASYNC),
            removed,
            length,
            hears_trailers: names(head, "te").any(|coding| coding == "trailers"),
            is_socket,
        })
    }

    /// Has what rides on HTTP say what its fields are to the target.
    pub(crate) fn take(&mut self, rider: &dyn Rider) -> Result<(), Denial> {
        for (name, value) in &mut self.fields {
            if let Some(taken) = rider.taken(name, value)? {
                *value = taken;
            }
        }
        Ok(())
    }

    /// As it is sent. The length of a body that is there in whole needs no word.
    pub(crate) fn write(&self, is_whole: bool, out: &mut BytesMut) {
        let first = format!("{} {}", self.method, self.address.text());
        let length = match self.length {
            Length::Known(length) if !is_whole => Some(length.to_string()),
            Length::Known(_) | Length::Unknown => None,
        };
        let length = length.as_ref().map(|length| ("content-length", length.as_bytes()));
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).chain(length);
        // A server says nothing after a body to those who do not ask for it (RFC 9110, section 10.1.4).
        let switch: &[(&str, &[u8])] = match (self.is_socket, self.hears_trailers) {
            (true, _) => &[("connection", b"upgrade"), ("upgrade", b"websocket")],
            (false, true) => &[("te", b"trailers")],
            (false, false) => &[],
        };
        write_head(Tag::Request, Some(first.as_bytes()), fields.chain(switch.iter().copied()), out);
    }

    /// What it says itself, to tell it in its answer.
    pub(crate) fn own(&self, body: Option<&[u8]>) -> Own {
        let mut head = self.address.text();
        for (_, value) in &self.fields {
            head.push('\n');
            head.push_str(&String::from_utf8_lossy(value));
        }
        let is_form = Kind::of(self.text("content-type")) == Kind::Form;
        Own::new(head, body, self.text("content-encoding").is_some(), is_form)
    }

    /// What goes on.
    pub(crate) fn fields(&self) -> &[(String, Vec<u8>)] {
        &self.fields
    }

    fn text(&self, name: &str) -> Option<&str> {
        let values = self.fields.iter().filter(|(other, _)| other == name);
        gatehouse_protocol::field(values.map(|(_, value)| value.as_slice()))
    }

    /// Whether the body goes by as it comes: it is longer than may be held, or of unknown length and nothing that policy could
    /// read, and its client may wait for an answer before it goes on. Any other is there in whole before it is judged.
    pub(crate) fn is_streamed(&self, bytes_max: usize) -> bool {
        match self.length {
            Length::Known(length) => length > bytes_max as u64,
            Length::Unknown => Form::of(self.text("content-type")) == Form::Other,
        }
    }

    /// What it asks for; `body` where it is there in whole.
    pub(crate) fn operation(
        &self,
        target: &TargetName,
        facts: &HttpFacts,
        reader: Reader<'_>,
        body: Option<&[u8]>,
    ) -> Result<Operation, Denial> {
        let Reader { columns, rider } = reader;
        let content_type = self.text("content-type");
        let form = Form::of(content_type);
        let is_coded = self.text("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let read = body.filter(|_| !is_coded);
        let is_there = body.is_none_or(|body| !body.is_empty());
        // Nobody looks into parts of such a kind.
        let is_unread = is_there && (read.is_none() || form == Form::OddParts);
        if self.method == "POST" && form.may_be_form() && is_unread {
            return Err(not_taken(
                "its form is not read, and some servers find another method in forms",
                "Send it without a coding and in UTF-8, no longer than limits.body_bytes_max and in few pieces; or by another method than POST",
            ));
        }
        let said = read.map(|body| form.said(content_type, body, columns)).transpose()?.unwrap_or_default();
        let is_safe = SAFE.contains(&self.method.as_str());
        let mut intent = Intent {
            title: format!("{} {}", self.method, self.address.path),
            statement: self.statement(&format!("{} {}", self.method, self.address.text())),
            evidence: self.evidence(columns),
            accesses: self.accesses(target, facts, form, read, columns)?,
            facts: self.facts(facts, form, body, said, columns),
            effect: if is_safe { Effect::Read } else { Effect::Write },
            only_ends: false,
            names: Vec::new(),
            repacks: Repacks::Classes(Vec::new()),
            unclear: None,
        };
        let shown = body.filter(|body| !body.is_empty());
        let mut binds: Vec<Bind> = shown.map(bind).into_iter().collect();
        if let Some(rider) = rider {
            let json = read.filter(|body| form == Form::Json && !body.is_empty());
            let asked =
                rider.read(&Carrying { method: &self.method, json, has_body: is_there, fields: &self.fields })?;
            intent.facts.extend(asked.facts);
            intent.evidence = asked.title.as_str().into();
            (intent.title, intent.accesses, intent.effect) = (asked.title, asked.accesses, asked.effect);
            // It knows what of its body is another with every try.
            intent.statement = self.statement(&asked.statement);
            binds.clear();
        }
        Ok(Operation {
            intent: Arc::new(intent),
            candidates: None,
            binds,
            evidence_binds: shown
                .map(|body| form.evidence(content_type, body, is_coded, columns))
                .into_iter()
                .collect(),
            state: Arc::default(),
            phase: Phase::Run,
            waits: !self.prefers_async,
        })
    }

    /// What it does, to what: by its method, its path, what it copies from, and what GraphQL says in it.
    fn accesses(
        &self,
        target: &TargetName,
        facts: &HttpFacts,
        form: Form,
        read: Option<&[u8]>,
        columns: &mut Columns,
    ) -> Result<Vec<Access>, Denial> {
        let asked = self.judged_path(facts);
        let endpoint = self.endpoint(facts, &asked);
        let path = self.resource(target, &asked, endpoint.flatten());
        let action = ACTIONS.iter().find(|(method, _)| *method == self.method).map_or(OTHER, |(_, action)| *action);
        let mut accesses = vec![Access::new(action, path.clone())];
        if endpoint == Some(None) {
            accesses.push(Access::new(UNDOCUMENTED, path));
        }
        if let Some(source) = self.text(COPY_SOURCE) {
            accesses.push(Access::new(GET, copied(target, source, facts)?));
        }
        let is_asked = |path: &String| as_judged(path, facts).trim_end_matches('/') == asked.trim_end_matches('/');
        if facts.graphql.iter().any(is_asked) {
            if self.is_socket {
                return Err(not_taken("GraphQL is not read on WebSockets", "Ask in a POST, or for server-sent events"));
            }
            let query = self.address.query.as_deref().unwrap_or_default();
            accesses.extend(graphql::accesses(target, query, form == Form::Json, read, columns)?);
        }
        Ok(accesses)
    }

    /// What a message of a client asks for on the WebSocket that this opened.
    pub(crate) fn message(
        &self,
        target: &TargetName,
        facts: &HttpFacts,
        columns: &mut Columns,
        message: &[u8],
    ) -> Result<Operation, Denial> {
        let (form, body) = match message.split_first() {
            Some((b't', text)) if json::walk(text, |_| {}).is_ok() => (Form::Json, text),
            Some((b't', text)) => (Form::Text, text),
            Some((_, bytes)) => (Form::Other, bytes),
            None => (Form::Other, message),
        };
        let said = form.said(None, body, columns)?;
        let asked = self.judged_path(facts);
        let endpoint = self.endpoint(facts, &asked).flatten();
        let intent = Intent {
            title: format!("message {}", self.address.path),
            statement: self.statement(&format!("message to {}", self.address.text())),
            evidence: format!("message to {}", self.address.path).into(),
            accesses: vec![Access::new(MESSAGE, self.resource(target, &asked, endpoint))],
            facts: self.facts(facts, form, Some(body), said, columns),
            effect: Effect::Write,
            only_ends: false,
            names: Vec::new(),
            repacks: Repacks::Classes(Vec::new()),
            unclear: None,
        };
        Ok(Operation {
            intent: Arc::new(intent),
            candidates: None,
            // A message of bytes is another than one of text.
            binds: vec![if message.first() == Some(&b't') { bind(body) } else { Bind::Binary(body.to_vec()) }],
            evidence_binds: vec![form.evidence(None, body, false, columns)],
            state: Arc::default(),
            phase: Phase::Run,
            waits: true,
        })
    }

    fn facts(
        &self,
        of_target: &HttpFacts,
        form: Form,
        body: Option<&[u8]>,
        said: Said,
        columns: &mut Columns,
    ) -> Facts {
        let query = self.address.query.as_deref().unwrap_or_default();
        let query = form_fields(query.as_bytes(), columns);
        let is_empty = body.is_some_and(<[u8]>::is_empty);
        let mut facts = Facts::from([
            ("method", FactValue::Text(self.method.clone())),
            ("body", FactValue::Text(if is_empty { "none" } else { form.name() }.into())),
            ("body_read", FactValue::Bool(is_empty || said.is_all)),
        ]);
        if let Some(body) = body {
            facts.insert("body_bytes", FactValue::Long(i64::try_from(body.len()).unwrap_or(i64::MAX)));
        }
        let of_operation = self.fields.iter().filter(|(name, _)| OF_OPERATION.contains(&name.as_str()));
        let operation = of_operation.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>();
        facts.extend((!operation.is_empty()).then_some(("operation", FactValue::Texts(operation))));
        if !of_target.headers.is_empty() {
            let named = self.fields.iter().filter(|(name, _)| of_target.headers.contains(name));
            facts.extend(head_fields(named, columns).map(|headers| ("headers", FactValue::Texts(headers))));
        }
        facts.extend(query.map(|query| ("query", FactValue::Texts(query))));
        facts.extend(said.fields.map(|fields| ("fields", FactValue::Texts(fields))));
        facts
    }

    /// The path that is judged: the one that is sent, without what counts for nothing at the target.
    fn judged_path(&self, facts: &HttpFacts) -> Cow<'_, str> {
        as_judged(&self.address.path, facts)
    }

    /// What the target's own document calls this, if there is a document.
    fn endpoint<'f>(&self, facts: &'f HttpFacts, asked: &str) -> Option<Option<&'f Endpoint>> {
        let endpoints = facts.endpoints.as_ref()?;
        Some(best(endpoints, &self.method, asked, &|template| as_judged(template, facts)))
    }

    fn resource(&self, target: &TargetName, path: &str, endpoint: Option<&Endpoint>) -> Resource {
        let mut within = Vec::new();
        if let Some(endpoint) = endpoint {
            let called = |name: &str| Parent { kind: "Endpoint", id: format!("{target}/{name}").into() };
            within.push(called(&format!("{} {}", endpoint.method, endpoint.template)));
            within.extend(endpoint.operation.as_deref().map(called));
        }
        path_resource(target, path, within)
    }

    /// To the letter, but for what differs with every try.
    fn statement(&self, asked: &str) -> Arc<str> {
        let mut text = asked.to_string();
        for (name, value) in self.fields.iter().filter(|(name, _)| !OF_TRY.contains(&name.as_str())) {
            let value = String::from_utf8_lossy(value);
            let bound = if name == PREFER { preferences_bound(value) } else { Some(value) };
            if let Some(bound) = bound {
                text.push_str(&format!("\n{name}: {bound}"));
            }
        }
        text.into()
    }

    fn evidence(&self, columns: &mut Columns) -> Arc<str> {
        let mut text = format!("{} {}", self.method, self.address.path);
        if let Some(query) = &self.address.query {
            text.push('?');
            text.push_str(&without_classified(query.as_bytes(), columns));
        }
        for (name, value) in
            self.fields.iter().filter(|(name, _)| OF_OPERATION.contains(&name.as_str()) || name == COPY_SOURCE)
        {
            text.push_str(&format!(" {name}={}", String::from_utf8_lossy(value)));
        }
        if !self.removed.is_empty() {
            text.push_str(&format!(" (without {}, which the client sent)", self.removed.join(" and ")));
        }
        text.into()
    }
}

/// A path as it is judged.
fn as_judged<'p>(path: &'p str, facts: &HttpFacts) -> Cow<'p, str> {
    if facts.ignores_case { Cow::Owned(folded_path(path)) } else { Cow::Borrowed(path) }
}

/// What a store copies from, where it is asked to do that: to copy is to read it. It takes the whole of it for escaped, slashes too.
fn copied(target: &TargetName, source: &str, facts: &HttpFacts) -> Result<Resource, Denial> {
    let source = if source.starts_with('/') { source.to_string() } else { format!("/{source}") };
    let address = Address::read(&source, Slashes::Refused)?;
    Ok(path_resource(target, &as_judged(&address.path, facts), Vec::new()))
}

/// A path, in each path above it, in its target, and in what else it is in.
fn path_resource(target: &TargetName, path: &str, mut within: Vec<Parent>) -> Resource {
    let id = |path: &str| -> Arc<str> { format!("{target}{path}").into() };
    let mut above = path;
    while let Some((parent, _)) = above.rsplit_once('/') {
        above = parent;
        within.push(Parent { kind: "Path", id: id(if above.is_empty() { "/" } else { above }) });
    }
    within.dedup();
    within.retain(|parent| *parent.id != *id(path));
    within.push(Parent { kind: kind::TARGET, id: target.as_str().into() });
    Resource::new("Path", &id(path), within)
}

/// Where what is asked at one path only is asked.
fn at_endpoint(address: Address, endpoint: Option<&str>) -> Result<Address, Denial> {
    let Some(endpoint) = endpoint else { return Ok(address) };
    let is_there = address.path == "/" || address.path == endpoint;
    if !is_there || address.query.is_some() {
        let why = format!("this target is asked at one address, {endpoint}, and without a query");
        return Err(not_taken(&why, "Ask at the address of the target itself"));
    }
    Ok(Address { path: endpoint.into(), query: None })
}

/// Whether a content type is one (RFC 9110, section 8.3.1), and of no parameter that matters there are two.
fn is_clear_type(content_type: &str) -> bool {
    let is_token = |word: &str| {
        let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !word.is_empty() && word.bytes().all(is_of_it)
    };
    let mut pieces = content_type.split(';').map(str::trim);
    let essence = pieces.next().unwrap_or_default();
    let is_essence = essence.split_once('/').is_some_and(|(kind, of)| is_token(kind) && is_token(of));
    let mut names = Vec::new();
    let is_parameter = |piece: &str| {
        let Some((name, value)) = piece.split_once('=') else { return piece.is_empty() };
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let is_value = quoted.map_or_else(|| is_token(value), |quoted| !quoted.contains(['"', '\\']));
        // Servers look for the word wherever it stands.
        let is_odd = name.to_ascii_lowercase().contains("boundary") && !name.eq_ignore_ascii_case("boundary");
        let is_twice = names.iter().any(|other: &String| other.eq_ignore_ascii_case(name));
        names.push(name.to_string());
        is_token(name) && is_value && !is_odd && !is_twice
    };
    is_essence && pieces.all(is_parameter)
}

/// The fields that go on.
fn fields(
    head: &Head<'_>,
    facts: &HttpFacts,
    is_carrying: bool,
    removed: &mut Vec<String>,
) -> Result<Vec<(String, Vec<u8>)>, Denial> {
    let listed: Vec<String> = names(head, "connection").collect();
    // What rides on HTTP gets no token of its client's: it was given to somebody else.
    let has_credential = facts.credential_header.is_some() || !facts.credential_parameters.is_empty() || is_carrying;
    let mut fields = Vec::with_capacity(head.fields.len());
    for (name, value) in &head.fields {
        // Many servers hand fields on by names in which a hyphen and a low line are the same.
        let plain = name.replace('_', "-");
        if OVERRIDES.contains(&plain.as_str()) || plain.starts_with("x-original-") {
            let why = format!("the field `{name}` has some servers do something else than what was asked for");
            return Err(not_taken(&why, "Send the method and the path that are meant"));
        }
        if SECOND_PATHS.contains(&plain.as_str()) {
            let why = format!("the field `{name}` names a second path, which is not judged");
            return Err(not_taken(&why, "Read the one and write the other, in two requests"));
        }
        let is_single = [COPY_SOURCE, OF_OPERATION[0], SIGNED_BODY].contains(&plain.as_str());
        if plain.starts_with(OF_AWS) && *name != plain || is_single && head.all(name).nth(1).is_some() {
            let why = format!("the field `{name}` can be read in several ways");
            return Err(not_taken(&why, "Send it once, with hyphens in its name"));
        }
        let is_aws = || facts.credential_parameters.iter().any(|name| name == AWS_SIGNATURE);
        if plain == SIGNED_BODY && value.trim_ascii().starts_with(SIGNED_CHUNKS) && is_aws() {
            let why = "its body is in chunks that its client signed (`STREAMING-AWS4-…`), by another key than the gateway proves itself by";
            let hint = "Have the client leave its chunks unsigned (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`), as SDKs of AWS do over https://, or send \
                        the body as it is";
            return Err(not_taken(why, hint));
        }
        let is_it = |header: &String| header.replace('_', "-") == plain;
        if facts.headers.iter().any(is_it) {
            let spelled = head.fields.iter().filter(|(other, _)| other.replace('_', "-") == plain);
            if spelled.count() > 1 || !facts.headers.iter().any(|header| header == name) {
                let why = format!("the field `{name}`, by which policy judges, can be read in several ways");
                return Err(not_taken(&why, "Send it once, with its name as it is usually written"));
            }
        }
        if facts.credential_header.as_ref().is_some_and(is_it) || has_credential && plain == "authorization" {
            removed.push(format!("the field `{name}`"));
            continue;
        }
        let is_dropped = !goes_on(&plain) || listed.iter().any(|listed| listed == name);
        if is_dropped {
            continue;
        }
        if std::str::from_utf8(value).is_err() {
            let why = format!("the field `{name}` is no text, so that nobody can be shown it");
            return Err(not_taken(&why, "Send text in UTF-8"));
        }
        let is_of_connection =
            |scheme: &[u8]| value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if plain == "authorization" && (is_of_connection(b"ntlm") || is_of_connection(b"negotiate")) {
            let why = "it proves itself for a whole connection, and connections to the target are shared";
            return Err(not_taken(why, "Prove it with each request, by Basic or Bearer"));
        }
        let value = match *name {
            "accept-encoding" => understood_codings(value),
            name => tags::restored(name, value).unwrap_or_else(|| value.to_vec()),
        };
        // HTTP/2 may have a field for each cookie, and HTTP/1.1 has one for all (RFC 9113, section 8.2.3).
        let cookies = fields.iter_mut().find(|(other, _): &&mut (String, Vec<u8>)| *name == "cookie" && other == name);
        match cookies {
            Some((_, cookies)) => {
                cookies.extend_from_slice(b"; ");
                cookies.extend_from_slice(&value);
            }
            None => fields.push(((*name).to_string(), value)),
        }
    }
    Ok(fields)
}

/// Whether a field of this name goes on to a target, where its client sends it; in small letters, with hyphens.
pub fn goes_on(name: &str) -> bool {
    let is_the_gateways = name.starts_with("x-forwarded-") || name.starts_with("x-gatehouse-");
    !OF_CONNECTION.contains(&name) && !OF_PROXIES.contains(&name) && !is_the_gateways
}

/// The words of a field that lists them, in small letters, without their parameters.
fn names<'a>(head: &'a Head<'_>, field: &'a str) -> impl Iterator<Item = String> + 'a {
    let values = head.all(field).flat_map(|value| value.split(|byte| *byte == b','));
    values.filter_map(|word| {
        let word = String::from_utf8_lossy(word);
        let word = word.split([';', '=']).next().unwrap_or_default().trim().to_ascii_lowercase();
        (!word.is_empty()).then_some(word)
    })
}

/// Takes out of the query what would prove somebody at the target: that is the gateway's to do.
fn without_credential(address: Address, parameters: &[String]) -> (Address, Vec<String>) {
    let (false, Some(query)) = (parameters.is_empty(), &address.query) else { return (address, Vec::new()) };
    let mut removed = Vec::new();
    let mut is_other = |pair: &&str| {
        // As any server may read it.
        let is_own = |name: &str| {
            let read = said::as_servers_read(name);
            parameters.iter().any(|own| own == name || said::as_servers_read(own) == read)
        };
        let mut pieces = pair.split(';').flat_map(|piece| form_urlencoded::parse(piece.as_bytes()));
        let found = pieces.find(|(name, _)| is_own(name));
        removed.extend(found.iter().map(|(name, _)| format!("the parameter `{name}`")));
        found.is_none()
    };
    let kept: Vec<&str> = query.split('&').filter(&mut is_other).collect();
    let query = (!kept.is_empty()).then(|| kept.join("&"));
    removed.sort();
    removed.dedup();
    (Address { path: address.path, query }, removed)
}

/// What of preferences an approval binds to; `None` if nothing. Where something is quoted that is all: what parts preferences may stand
/// in a quotation.
fn preferences_bound(value: Cow<'_, str>) -> Option<Cow<'_, str>> {
    if value.contains('"') {
        return Some(value);
    }
    // With parameters, nobody knows what it is to the target.
    let is_of_try = |preference: &&str| match preference.split_once('=') {
        Some((name, secs)) => {
            name.trim().eq_ignore_ascii_case(WAIT) && secs.trim().bytes().all(|byte| byte.is_ascii_digit())
        }
        None => preference.is_empty() || preference.eq_ignore_ascii_case(RESPOND_ASYNC),
    };
    let bound: Vec<&str> = value.split(',').map(str::trim).filter(|preference| !is_of_try(preference)).collect();
    (!bound.is_empty()).then(|| bound.join(", ").into())
}

/// Only what can be looked into is asked for.
fn understood_codings(value: &[u8]) -> Vec<u8> {
    let value = String::from_utf8_lossy(value);
    let is_understood = |word: &&str| {
        let coding = word.split(';').next().unwrap_or_default().trim();
        CODINGS.iter().any(|known| known.eq_ignore_ascii_case(coding))
    };
    let kept: Vec<&str> = value.split(',').map(str::trim).filter(is_understood).collect();
    if kept.is_empty() { b"identity".to_vec() } else { kept.join(", ").into_bytes() }
}

fn bind(body: &[u8]) -> Bind {
    match std::str::from_utf8(body) {
        Ok(text) => Bind::Text(text.into()),
        Err(_) => Bind::Binary(body.to_vec()),
    }
}
