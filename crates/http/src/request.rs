//! What a request asks for, in one form: what is judged, what is sent, what an approver sees.

use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_model::{
    Access, Action, Bind, Denial, Effect, FactValue, Facts, Intent, Operation, Parent, Phase, Reason, Repacks,
    Resource, TargetName, kind,
};
use gatehouse_protocol::{Edit, Editor, Endpoint, Field, Head, HttpFacts, Tag, write_head};

use crate::address::{Address, Ambiguous};
use crate::body::{self, Kind};
use crate::coding::CODINGS;
use crate::columns::{Columns, JSON, TEXT};
use crate::graphql;
use crate::json::{self, Met};

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
const OTHER: Action = Action::new("http:other");
const UNDOCUMENTED: Action = Action::new("http:undocumented");
/// The safe methods (RFC 9110, section 9.2.1) that have an action.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// Fields that say how this connection is used, not what is asked for (RFC 9110, section 7.6.1), and those that the carrier
/// makes anew.
const OF_CONNECTION: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields by which a client would say who it is, or where it comes from, in somebody else's place.
const OF_PROXIES: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-real-ip"];
/// Fields that have some servers understand another request than the one that was judged.
const OVERRIDES: [&str; 7] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
];
/// The parameter that is the same in a query or a form.
const OVERRIDE_PARAMETER: &str = "_method";
/// Fields that differ from one try to the next and ask for nothing: an approval does not bind to them.
const OF_TRY: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "dnt",
    "pragma",
    "prefer",
    "priority",
    "referer",
    "sec-gpc",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-request-id",
];
/// Where the carrier says under which path of its own the target is reached.
const BASE: &str = "x-gatehouse-base";
/// How many of a body's values policy is shown.
const FIELDS_MAX: usize = 256;
/// How much of a value.
const FIELD_BYTES_MAX: usize = 256;
/// How much of a body stands in the evidence, in bytes.
const EVIDENCE_BYTES_MAX: usize = 4096;
/// What stands for a value that is not written down.
const HIDDEN: &str = "…";

/// The head of a request, in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    address: Address,
    /// What goes on.
    fields: Vec<(String, Vec<u8>)>,
    /// The path of the carrier's own under which the client reaches the target.
    pub(crate) base: String,
    pub(crate) prefers_async: bool,
    /// What the client sent where the gateway's own credential goes.
    removed: Vec<String>,
    length: Length,
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
    pub(crate) fn read(head: &Head<'_>, facts: &HttpFacts) -> Result<Self, Denial> {
        let (method, target) = head
            .first
            .split_once(' ')
            .ok_or_else(|| not_taken("it has no method", "This is a defect of the client"))?;
        let address = Address::read(target)?;
        if let Some(name) = head.fields.iter().find_map(|(name, _)| OVERRIDES.iter().find(|other| *other == name)) {
            let why = format!("the field `{name}` has some servers do something else than what was asked for");
            return Err(not_taken(&why, "Send the method and the path that are meant"));
        }
        if head.all("upgrade").next().is_some() && names(head, "connection").any(|name| name == "upgrade") {
            return Err(not_taken("it asks for another protocol on its connection", "Send it without `Upgrade`"));
        }
        let parameters = address.query.as_deref().unwrap_or_default();
        if form_urlencoded::parse(parameters.as_bytes()).any(|(name, _)| name == OVERRIDE_PARAMETER) {
            let why = "the parameter `_method` has some servers do something else than what was asked for";
            return Err(not_taken(why, "Send the method that is meant"));
        }
        let (address, mut removed) = without_credential(address, facts.credential_parameter.as_deref());
        let listed: Vec<String> = names(head, "connection").collect();
        let mut fields = Vec::with_capacity(head.fields.len());
        for (name, value) in &head.fields {
            if facts.credential_header.as_deref() == Some(*name) {
                removed.push(format!("the field `{name}`"));
                continue;
            }
            let is_dropped = OF_CONNECTION.contains(name)
                || OF_PROXIES.contains(name)
                || name.starts_with("x-gatehouse-")
                || listed.iter().any(|listed| listed == name);
            if is_dropped {
                continue;
            }
            let value = if *name == "accept-encoding" { understood_codings(value) } else { value.to_vec() };
            fields.push(((*name).to_string(), value));
        }
        Ok(Self {
            method: method.to_string(),
            address,
            fields,
            base: head.text(BASE).unwrap_or_default().to_string(),
            prefers_async: names(head, "prefer").any(|preference| preference == "respond-async"),
            removed,
            length: Length::of(head)?,
        })
    }

    /// As it is sent.
    pub(crate) fn write(&self, out: &mut BytesMut) {
        let first = format!("{} {}", self.method, self.address.text());
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        write_head(Tag::Request, Some(first.as_bytes()), fields, out);
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
        columns: &mut Columns,
        body: Option<&[u8]>,
    ) -> Result<Operation, Denial> {
        let form = Form::of(self.text("content-type"));
        let is_coded = self.text("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"));
        let read = body.filter(|_| !is_coded);
        let fields = read.map(|body| form.fields(body, columns)).transpose()?.flatten();
        let endpoint = facts.endpoints.as_ref().map(|endpoints| best(endpoints, &self.method, &self.address.path));
        let path = self.resource(target, endpoint.flatten());
        let action = ACTIONS.iter().find(|(method, _)| *method == self.method).map_or(OTHER, |(_, action)| *action);
        let mut accesses = vec![Access::new(action, path.clone())];
        if endpoint == Some(None) {
            accesses.push(Access::new(UNDOCUMENTED, path));
        }
        if facts.graphql.contains(&self.address.path) {
            let query = self.address.query.as_deref().unwrap_or_default();
            accesses.extend(graphql::accesses(target, query, form == Form::Json, read, columns)?);
        }
        let is_safe = SAFE.contains(&self.method.as_str());
        let intent = Intent {
            title: format!("{} {}", self.method, self.address.path),
            statement: self.statement(),
            evidence: self.evidence(columns),
            accesses,
            facts: self.facts(form, body, fields, columns),
            effect: if is_safe { Effect::Read } else { Effect::Write },
            only_ends: false,
            repacks: Repacks::Classes(Vec::new()),
            unclear: None,
        };
        let shown = body.filter(|body| !body.is_empty());
        Ok(Operation {
            intent: Arc::new(intent),
            binds: shown.map(bind).into_iter().collect(),
            evidence_binds: shown.map(|body| form.evidence(body, is_coded, columns)).into_iter().collect(),
            state: Arc::default(),
            phase: Phase::Run,
            waits: !self.prefers_async,
        })
    }

    fn facts(&self, form: Form, body: Option<&[u8]>, fields: Option<Vec<String>>, columns: &mut Columns) -> Facts {
        let query = self.address.query.as_deref().unwrap_or_default();
        let query =
            form_urlencoded::parse(query.as_bytes()).map(|(name, value)| field(&name, &value, columns)).collect();
        let is_empty = body.is_some_and(<[u8]>::is_empty);
        let mut facts = Facts::from([
            ("method", FactValue::Text(self.method.clone())),
            ("query", FactValue::Texts(query)),
            ("body", FactValue::Text(if is_empty { "none" } else { form.name() }.into())),
            ("body_read", FactValue::Bool(is_empty || fields.is_some())),
        ]);
        if let Some(body) = body {
            facts.insert("body_bytes", FactValue::Long(i64::try_from(body.len()).unwrap_or(i64::MAX)));
        }
        facts.extend(fields.map(|fields| ("fields", FactValue::Texts(fields))));
        facts
    }

    fn resource(&self, target: &TargetName, endpoint: Option<&Endpoint>) -> Resource {
        let id = |path: &str| -> Arc<str> { format!("{target}{path}").into() };
        let mut within = Vec::new();
        if let Some(endpoint) = endpoint {
            let called = |name: &str| Parent { kind: "Endpoint", id: format!("{target}/{name}").into() };
            within.push(called(&format!("{} {}", endpoint.method, endpoint.template)));
            within.extend(endpoint.operation.as_deref().map(called));
        }
        let mut above = self.address.path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            above = parent;
            within.push(Parent { kind: "Path", id: id(if above.is_empty() { "/" } else { above }) });
        }
        within.dedup();
        within.retain(|parent| *parent.id != *id(&self.address.path));
        within.push(Parent { kind: kind::TARGET, id: target.as_str().into() });
        Resource::new("Path", &id(&self.address.path), within)
    }

    /// To the letter, but for what differs with every try.
    fn statement(&self) -> Arc<str> {
        let mut text = format!("{} {}", self.method, self.address.text());
        for (name, value) in self.fields.iter().filter(|(name, _)| !OF_TRY.contains(&name.as_str())) {
            text.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value)));
        }
        text.into()
    }

    fn evidence(&self, columns: &mut Columns) -> Arc<str> {
        let mut text = format!("{} {}", self.method, self.address.path);
        if let Some(query) = &self.address.query {
            text.push('?');
            text.push_str(&without_classified(query.as_bytes(), columns));
        }
        if !self.removed.is_empty() {
            text.push_str(&format!(" (without {}, which the client sent)", self.removed.join(" and ")));
        }
        text.into()
    }
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

/// Takes out of the query what the gateway puts there itself.
fn without_credential(address: Address, parameter: Option<&str>) -> (Address, Vec<String>) {
    let (Some(parameter), Some(query)) = (parameter, &address.query) else { return (address, Vec::new()) };
    let is_it = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == parameter);
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_it(pair)).collect();
    if kept.len() == query.split('&').count() {
        return (address, Vec::new());
    }
    let query = (!kept.is_empty()).then(|| kept.join("&"));
    (Address { path: address.path, query }, vec![format!("the parameter `{parameter}`")])
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

/// What a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Fields,
    Text,
    Other,
}

impl Form {
    fn of(content_type: Option<&str>) -> Self {
        match Kind::of(content_type) {
            Kind::Form => Self::Fields,
            Kind::Json => Self::Json,
            Kind::JsonLines | Kind::Events | Kind::Table | Kind::Lines => Self::Text,
            Kind::Opaque => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Fields => "form",
            Self::Text => "text",
            Self::Other => "other",
        }
    }

    /// Its values as policy is shown them; `None` if there are more than that.
    fn fields(self, body: &[u8], columns: &mut Columns) -> Result<Option<Vec<String>>, Denial> {
        let mut fields = Fields(Some(Vec::new()));
        match self {
            Self::Json if body.iter().all(u8::is_ascii_whitespace) => {}
            Self::Json => {
                let mut path: Vec<String> = Vec::new();
                let mut keys: Vec<usize> = Vec::new();
                let mut has_twice = false;
                let mut seen: Vec<std::collections::BTreeSet<String>> = Vec::new();
                let walked = json::walk(body, |met| match met {
                    Met::Open => {
                        keys.push(path.len());
                        seen.push(Default::default());
                    }
                    Met::Close => {
                        path.truncate(keys.pop().unwrap_or_default());
                        seen.pop();
                    }
                    Met::Key(quoted) => {
                        path.truncate(keys.last().copied().unwrap_or_default());
                        let key = json::plain(body.get(quoted.at).unwrap_or_default());
                        has_twice |= seen.last_mut().is_some_and(|seen| !seen.insert(key.clone()));
                        path.push(key);
                    }
                    Met::Text(quoted) => {
                        fields.push(&path.join("."), &json::plain(body.get(quoted.at).unwrap_or_default()), columns);
                    }
                    Met::Bare(at) => {
                        fields.push(
                            &path.join("."),
                            &String::from_utf8_lossy(body.get(at).unwrap_or_default()),
                            columns,
                        );
                    }
                });
                if walked.is_err() {
                    return Err(not_taken(
                        "the body is not the JSON that it says it is",
                        "Send JSON, or another content type",
                    ));
                }
                if has_twice {
                    return Err(not_taken(
                        "the body has a field twice, and servers differ in which counts",
                        "Send it once",
                    ));
                }
            }
            Self::Fields => {
                for (name, value) in form_urlencoded::parse(body) {
                    if name == OVERRIDE_PARAMETER {
                        let why = "the field `_method` has some servers do something else than what was asked for";
                        return Err(not_taken(why, "Send the method that is meant"));
                    }
                    fields.push(&name, &value, columns);
                }
            }
            Self::Text | Self::Other => fields.0 = None,
        }
        Ok(fields.0)
    }

    /// As evidence keeps it: without what is of a class by its name. What is found in the rest is taken out by whoever writes it.
    fn evidence(self, body: &[u8], is_coded: bool, columns: &mut Columns) -> String {
        let unseen = || format!("({} bytes)", body.len());
        if is_coded || body.len() > EVIDENCE_BYTES_MAX {
            return unseen();
        }
        match self {
            Self::Json => {
                let mut out = Vec::with_capacity(body.len());
                match body::mask_json(body, columns, &mut Redacting, &mut out) {
                    Ok(()) => String::from_utf8_lossy(&out).into_owned(),
                    Err(_) => unseen(),
                }
            }
            Self::Fields => without_classified(body, columns),
            Self::Text => std::str::from_utf8(body).map_or_else(|_| unseen(), Into::into),
            Self::Other => unseen(),
        }
    }
}

/// The values of a body; none of them where not all can be shown, for policy would take what it sees for everything.
struct Fields(Option<Vec<String>>);

impl Fields {
    fn push(&mut self, path: &str, value: &str, columns: &mut Columns) {
        if value.len() > FIELD_BYTES_MAX || self.0.as_ref().is_some_and(|fields| fields.len() >= FIELDS_MAX) {
            self.0 = None;
        }
        if let Some(fields) = &mut self.0 {
            fields.push(field(path, value, columns));
        }
    }
}

/// A value as policy and evidence have it; of what is of a class only the name.
fn field(path: &str, value: &str, columns: &Columns) -> String {
    format!("{path}={}", if columns.of(path).is_some() { HIDDEN } else { value })
}

/// A query or a form without the values that are of a class.
fn without_classified(form: &[u8], columns: &mut Columns) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(form) {
        let is_classified = columns.of(&name).is_some();
        out.append_pair(&name, if is_classified { HIDDEN } else { &value });
    }
    out.finish()
}

/// Takes out what is of a class by its name.
struct Redacting;

impl Editor for Redacting {
    fn edit(&mut self, field: Field<'_>, out: &mut Vec<u8>) -> Edit {
        if matches!(field.column, TEXT | JSON) {
            return Edit::Keep;
        }
        out.extend_from_slice(HIDDEN.as_bytes());
        Edit::Replace
    }
}

/// What the target's own document calls a request: the template that says most of its path.
fn best<'e>(endpoints: &'e [Endpoint], method: &str, path: &str) -> Option<&'e Endpoint> {
    let of_method = endpoints.iter().filter(|endpoint| endpoint.method == method);
    let fitting = of_method.filter(|endpoint| fits(&endpoint.template, path));
    fitting.min_by_key(|endpoint| endpoint.template.matches('{').count())
}

fn fits(template: &str, path: &str) -> bool {
    let (mut segments, mut parts) = (path.split('/'), template.split('/'));
    loop {
        match (segments.next(), parts.next()) {
            (None, None) => return true,
            (Some(segment), Some(part)) if part.starts_with('{') && part.ends_with('}') && !segment.is_empty() => {}
            (Some(segment), Some(part)) if segment == part => {}
            (Some(_) | None, _) => return false,
        }
    }
}
