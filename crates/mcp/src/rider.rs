//! What HTTP asks of what rides on it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use gatehouse_http::{Asked, Carrying, Rider, Screened};
use gatehouse_model::{Access, Denial, FactValue, Facts, PolicyId, Reason, Secret, TargetName};
use gatehouse_protocol::Editor;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::asked::{Accesses, effect, not_understood};
use crate::message::Message;
use crate::screen;

/// The code of a refusal: none of those that JSON-RPC and MCP keep for themselves.
const REFUSED: i64 = 403;
/// Fields that repeat what the message says (revision 2026-07-28).
const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAMETER: &str = "mcp-param-";
const REPEATED: &str = "mcp-";
/// How many fields may do that.
const PARAMETERS_MAX: usize = 64;
/// The field that names a session, of servers that keep some: a name is marked, for whoever finds one out may speak in its place.
const SESSION: &str = "mcp-session-id";
/// What stands before the mark, and how long the mark is before it is written, in bytes.
const MARK: u8 = b'.';
const MARK_BYTES: usize = 16;
/// What of a message's own words about itself is another with every try.
const OF_TRY: [&str; 4] = ["baggage", "progressToken", "traceparent", "tracestate"];

/// Members of an object, as they are written.
type Members<'j> = BTreeMap<String, &'j RawValue>;

/// The request that was read last, as far as its refusal needs it.
struct Asking {
    id: Value,
    is_call: bool,
}

pub(crate) struct McpRider {
    target: TargetName,
    /// Marks names of sessions as this task's.
    bond: Secret,
    asking: Option<Asking>,
}

impl McpRider {
    pub(crate) fn new(target: &TargetName, bond: &Secret) -> Self {
        Self { target: target.clone(), bond: bond.clone(), asking: None }
    }

    fn marked(&self, session: &[u8]) -> Option<Hmac<Sha256>> {
        Some(Hmac::<Sha256>::new_from_slice(self.bond.expose()).ok()?.chain_update(session))
    }

    fn accesses(&self) -> Accesses<'_> {
        Accesses { target: &self.target }
    }
}

impl Rider for McpRider {
    fn taken(&self, name: &str, value: &[u8]) -> Result<Option<Vec<u8>>, Denial> {
        // Servers on some stacks take one character for the other.
        if name.replace('_', "-") != SESSION {
            return Ok(None);
        }
        let session = value.rsplitn(2, |byte| *byte == MARK).collect::<Vec<_>>();
        let own = match *session {
            [mark, session] => self.marked(session).zip(BASE64URL.decode(mark).ok()).and_then(|(marked, mark)| {
                marked.verify_truncated_left(&mark).ok().filter(|()| mark.len() == MARK_BYTES)?;
                Some(session.to_vec())
            }),
            _ => None,
        };
        own.map(Some).ok_or_else(|| {
            Denial::new(
                Reason::Unknown,
                "there is no such session",
                "it is another task's, or the gateway began anew since",
                "Begin another with `initialize`, as clients do by themselves",
            )
        })
    }

    fn given(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let mark = (name == SESSION).then(|| self.marked(value)).flatten()?.finalize().into_bytes();
        let mark = BASE64URL.encode(mark.get(..MARK_BYTES)?);
        Some([value, &[MARK], mark.as_bytes()].concat())
    }

    fn read(&mut self, request: &Carrying<'_>) -> Result<Asked, Denial> {
        self.asking = None;
        match (request.method, request.json) {
            ("POST", Some(json)) => self.read_message(json, request.fields),
            ("GET", None) if !request.has_body => {
                Ok(asked("stream", "stream".into(), self.accesses().without_message(), None))
            }
            ("DELETE", None) if !request.has_body => {
                Ok(asked("end", "end".into(), self.accesses().without_message(), None))
            }
            _ => Err(not_understood(
                "a message is a POST of JSON, whole and without a coding; what the server says by itself is a GET",
                "Use a client that speaks MCP's Streamable HTTP, and send no more than limits.body_bytes_max at a time",
            )),
        }
    }

    fn screen(&mut self, json: &[u8], editor: &mut dyn Editor) -> Screened {
        screen::screen(&self.accesses(), json, editor)
    }

    fn refusal(&self, denial: &Denial) -> Option<String> {
        let Asking { id, is_call } = self.asking.as_ref()?;
        let request = denial.request.as_ref().map(ToString::to_string);
        let answer = if *is_call {
            // Models are shown what tools say, and seldom what the protocol does.
            let mut text = format!("Refused: {}. {}. {}.", denial.message, denial.detail, denial.hint);
            if let Some(request) = request {
                text.push_str(&format!(" Request: {request}"));
            }
            // Revision 2026-07-28 asks for the type; those before it have no such field, and pass it by.
            let result =
                json!({ "content": [{ "type": "text", "text": text }], "isError": true, "resultType": "complete" });
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        } else {
            let policies: Vec<&str> = denial.policies.iter().map(PolicyId::as_str).collect();
            let data =
                json!({ "detail": denial.detail, "remedy": denial.hint, "policies": policies, "request": request });
            let error = json!({ "code": REFUSED, "message": denial.message, "data": data });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        };
        Some(answer.to_string())
    }
}

impl McpRider {
    fn read_message(&mut self, json: &[u8], fields: &[(String, Vec<u8>)]) -> Result<Asked, Denial> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|_| not_understood("its body is no message", "Send one message of JSON-RPC 2.0"))?;
        let message = Message::read(&value).ok_or_else(|| {
            not_understood(
                "its body is not one message of JSON-RPC 2.0, of which all servers would read the same",
                "Send one message at a time, with an id that is a text or a whole number",
            )
        })?;
        let (method, params) = match message {
            Message::Request { id, method, params } => {
                self.asking = Some(Asking { id: id.clone(), is_call: method == "tools/call" });
                (method, params)
            }
            Message::Notification { method, params } => (method, params),
            Message::Response { .. } => ("response", None),
        };
        agrees(fields, method, params)?;
        let accesses = self.accesses().of(&message)?;
        let uri = params.and_then(|params| params.get("uri")).and_then(Value::as_str);
        let statement = stated(json, method).unwrap_or_else(|| method.to_string());
        let mut asked = asked(method, statement, accesses, uri);
        if let Some(name) = params.and_then(|params| named(method, params)) {
            asked.title = format!("{method} {name}");
        }
        Ok(asked)
    }
}

fn asked(message: &str, statement: String, accesses: Vec<Access>, uri: Option<&str>) -> Asked {
    let mut facts = Facts::from([("message", FactValue::Text(message.into()))]);
    facts.extend(uri.map(|uri| ("uri", FactValue::Text(uri.into()))));
    let effect = effect(&accesses);
    Asked { title: message.into(), statement: statement.into(), accesses, facts, effect }
}

/// A message as it is written, but for what is another with every try.
fn stated(json: &[u8], method: &str) -> Option<String> {
    let message: Members<'_> = serde_json::from_slice(json).ok()?;
    let is_there = |said: &&&RawValue| said.get() != "null";
    let Some(params) = message.get("params").filter(is_there) else {
        // An answer is to one question.
        let said =
            ["id", "result", "error"].into_iter().filter_map(|name| message.get(name).filter(|_| method == "response"));
        return Some(said.fold(method.to_string(), |text, said| format!("{text} {}", said.get())));
    };
    let mut params: Members<'_> = serde_json::from_str(params.get()).ok()?;
    let meta = params.get("_meta").and_then(|meta| serde_json::from_str::<Members<'_>>(meta.get()).ok());
    let meta = meta.map(|mut meta| {
        params.remove("_meta");
        meta.retain(|name, _| !OF_TRY.contains(&name.as_str()));
        meta
    });
    let written = |members: &Members<'_>| {
        let pairs = members.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), value.get()));
        format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
    };
    let mut text = format!("{method} {}", written(&params));
    if let Some(meta) = meta.filter(|meta| !meta.is_empty()) {
        text.push_str(&format!(" with {}", written(&meta)));
    }
    Some(text)
}

/// What a message is about.
fn named<'p>(method: &str, params: &'p Map<String, Value>) -> Option<&'p str> {
    let name = match method.split_once('/').map_or(method, |(kind, _)| kind) {
        "resources" => "uri",
        "tasks" => "taskId",
        _ => "name",
    };
    params.get(name).and_then(Value::as_str)
}

/// Whether the fields that repeat a message say what it says, for there are servers that go by them.
fn agrees(fields: &[(String, Vec<u8>)], method: &str, params: Option<&Map<String, Value>>) -> Result<(), Denial> {
    let mut said = None;
    for (place, (name, value)) in
        fields.iter().filter(|(name, _)| name.replace('_', "-").starts_with(REPEATED)).enumerate()
    {
        let value = std::str::from_utf8(value).ok().and_then(decoded);
        let says = |other: &str| value.as_deref() == Some(other);
        let agrees = match name.replace('_', "-").as_str() {
            METHOD => says(method),
            NAME => params.and_then(|params| named(method, params)).is_some_and(says),
            name if name.starts_with(PARAMETER) => {
                let said = said.get_or_insert_with(|| scalars(params));
                place < PARAMETERS_MAX && value.is_some_and(|value| said.contains(&value))
            }
            _ => true,
        };
        if !agrees {
            let why = format!("the field `{name}` says something else than the message");
            return Err(not_understood(&why, "Say the same in both"));
        }
    }
    Ok(())
}

/// Every single value of the arguments, as text.
fn scalars(params: Option<&Map<String, Value>>) -> BTreeSet<String> {
    let mut open: Vec<&Value> = params.and_then(|params| params.get("arguments")).into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => open.extend(members.values()),
            Value::Array(entries) => open.extend(entries),
            Value::String(text) => drop(found.insert(text.clone())),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => {
                let text = value.to_string();
                found.extend(text.strip_suffix(".0").map(String::from));
                found.insert(text);
            }
        }
    }
    found
}

/// A field's value, which is coded where it is not all letters.
fn decoded(value: &str) -> Option<String> {
    let coded = value.strip_prefix("=?base64?").and_then(|coded| coded.strip_suffix("?="));
    match coded {
        Some(coded) => BASE64.decode(coded).ok().and_then(|text| String::from_utf8(text).ok()),
        None => Some(value.into()),
    }
}
