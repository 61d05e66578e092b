//! What of a server's messages its client is shown.

use std::collections::BTreeMap;

use gatehouse_http::{Screened, members, shows_all};
use gatehouse_protocol::{Editor, Told};
use serde_json::{Map, Value, json};

use crate::asked::{Accesses, List};
use crate::message::{Message, is_nearly};

/// What else the result of a list says.
const OF_LISTS: [&str; 4] = ["nextCursor", "ttlMs", "cacheScope", "resultType"];
/// What the protocol itself has in the `_meta` of a result, and the texts that it holds.
const OF_PROTOCOL: [(&str, &[&str]); 2] = [
    ("io.modelcontextprotocol/related-task", &["taskId"]),
    ("io.modelcontextprotocol/serverInfo", &["name", "title", "version"]),
];
/// What a result says that matters to what is shown of it.
const TELLING: [&str; 5] = ["inputRequests", "prompts", "resourceTemplates", "resources", "tools"];
/// What of a schema has names of its own.
const NAMED: [&str; 4] = ["$defs", "definitions", "patternProperties", "properties"];
/// The code of an answer that was kept back.
const KEPT_BACK: i64 = 403;

/// Looks at one message.
pub(crate) fn screen(accesses: &Accesses<'_>, json: &[u8], editor: &mut dyn Editor) -> Screened {
    // Halves of characters, as programs leave them that cut a text in the middle of one, are read by most, and not by this.
    let (message, as_mended) = match serde_json::from_slice::<Value>(json) {
        Ok(message) => (message, None),
        Err(_) => {
            let text = mended(json);
            // What is not read by this might be by its client.
            let Ok(message) = serde_json::from_slice::<Value>(&text) else { return Screened::Unreadable };
            (message, Some(text))
        }
    };
    match screened(accesses, &message, editor) {
        // Readers differ in which of two members of a name counts: all are given the one that this has read.
        Shown::AsIs if members(as_mended.as_deref().unwrap_or(json)) != Some(members_read(&message)) => {
            Screened::Changed(message.to_string().into_bytes())
        }
        Shown::AsIs => as_mended.map_or(Screened::Kept, Screened::Changed),
        Shown::Instead(message) => Screened::Changed(message.to_string().into_bytes()),
        Shown::Described(message) => Screened::Described(message.to_string().into_bytes()),
        Shown::Not => Screened::Dropped,
        Shown::Unclear => Screened::Unreadable,
    }
}

/// How many members the objects of a message have, one for each name.
fn members_read(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.len() + fields.values().map(members_read).sum::<usize>(),
        Value::Array(entries) => entries.iter().map(members_read).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// A text with a sign for each half of a character that is escaped in it.
fn mended(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    while let Some((first, after)) = rest.split_first() {
        let is_low = |text: &[u8]| unit(text).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        let len = match unit(rest) {
            Some(0xd800..0xdc00) if is_low(rest.get(6..).unwrap_or_default()) => 12,
            Some(0xd800..0xe000) => {
                out.extend_from_slice(b"\\ufffd");
                rest = rest.get(6..).unwrap_or_default();
                continue;
            }
            // What is escaped begins no escape.
            _ if *first == b'\\' => 2,
            _ => {
                out.push(*first);
                rest = after;
                continue;
            }
        };
        let (whole, more) = rest.split_at(len.min(rest.len()));
        out.extend_from_slice(whole);
        rest = more;
    }
    out
}

/// What is shown of one message.
enum Shown {
    AsIs,
    Instead(Value),
    /// This, in which names of fields are names and not what they are names of.
    Described(Value),
    Not,
    /// Readers may differ on what it is.
    Unclear,
}

fn screened(accesses: &Accesses<'_>, message: &Value, editor: &mut dyn Editor) -> Shown {
    let (result, error) = match Message::read(message) {
        None => return Shown::Unclear,
        // What a server asks of its client, or tells it.
        Some(Message::Request { method, .. } | Message::Notification { method, .. }) => {
            if accesses.heard(method).is_some_and(|access| !editor.offers(&access)) {
                return Shown::Not;
            }
            if method != "elicitation/create" {
                return Shown::AsIs;
            }
            // It holds the schema of a form.
            let mut message = message.clone();
            if let Some(schema) = message.pointer_mut("/params/requestedSchema").filter(|_| !shows_all(editor)) {
                without_values(schema);
            }
            return Shown::Described(message);
        }
        Some(Message::Response { result, error }) => (result, error),
    };
    // An error may send the client's user somewhere.
    let sends = error.and_then(|error| error.get("data")?.get("elicitations")).is_some();
    if sends && !editor.offers(&accesses.asked_by_server()) {
        return Shown::Instead(kept_back(message, "elicitation/create"));
    }
    let Some(result) = result else { return Shown::AsIs };
    if result.keys().any(|name| is_nearly(name, &TELLING)) {
        return Shown::Unclear;
    }
    let asks = match result.get("inputRequests") {
        None | Some(Value::Null) => None,
        Some(Value::Object(asks)) => Some(asks),
        Some(_) => return Shown::Unclear,
    };
    if let Some(method) = asks.into_iter().flat_map(Map::values).find_map(|asked| {
        let method = asked.get("method").and_then(Value::as_str).unwrap_or_default();
        let is_kept_back = accesses.heard(method).is_some_and(|access| !editor.offers(&access));
        is_kept_back.then(|| method.to_string())
    }) {
        return Shown::Instead(kept_back(message, &method));
    }
    if !List::ALL.iter().any(|list| result.contains_key(list.keys().0)) {
        return Shown::AsIs;
    }
    let listed = listed(accesses, result, editor);
    let id = message.get("id").cloned().unwrap_or_default();
    Shown::Described(json!({ "jsonrpc": "2.0", "id": id, "result": listed }))
}

/// A result with lists, of which the client is shown what policy offers it.
fn listed(accesses: &Accesses<'_>, result: &Map<String, Value>, editor: &mut dyn Editor) -> Map<String, Value> {
    let mut listed = Map::new();
    for list in List::ALL {
        let (key, name) = list.keys();
        let Some(Value::Array(entries)) = result.get(key) else { continue };
        let is_shown = |entry: &&Value| {
            let named = entry.get(name).and_then(Value::as_str);
            named.is_some_and(|named| accesses.listed(list, named).iter().any(|access| editor.offers(access)))
        };
        let mut shown: Vec<Value> = entries.iter().filter(is_shown).cloned().collect();
        if !shows_all(editor) {
            // What a server has to say of its own there may be anything.
            for entry in shown.iter_mut().filter_map(Value::as_object_mut) {
                entry.shift_remove("_meta");
            }
        }
        if list == List::Tools {
            shown.retain_mut(|tool| is_as_described(accesses, tool, editor));
        }
        if list == List::Tools && !shows_all(editor) {
            // What is masked is not of the form any more that it promises, and clients would refuse it.
            for tool in shown.iter_mut().filter_map(Value::as_object_mut) {
                tool.shift_remove("outputSchema");
                tool.get_mut("inputSchema").map(without_values);
            }
        }
        listed.insert(key.into(), Value::Array(shown));
    }
    for key in OF_LISTS {
        listed.extend(result.get(key).map(|value| (key.to_string(), value.clone())));
    }
    listed.extend(result.get("_meta").and_then(|meta| of_protocol(meta, editor)).map(|meta| ("_meta".into(), meta)));
    listed
}

/// What the protocol itself says in a result's `_meta`; a server's own words there are for those who may see everything, for
/// here names of fields say nothing of what is classified.
fn of_protocol(meta: &Value, editor: &mut dyn Editor) -> Option<Value> {
    let meta = meta.as_object()?;
    if shows_all(editor) {
        return Some(meta.clone().into());
    }
    let shown = OF_PROTOCOL.iter().filter_map(|(name, texts)| {
        let mut of = meta.get(*name)?.as_object()?.clone();
        of.retain(|text, value| texts.contains(&text.as_str()) && value.is_string());
        Some(((*name).to_string(), Value::from(of)))
    });
    let shown: Map<String, Value> = shown.collect();
    (!shown.is_empty()).then(|| shown.into())
}

/// Takes values out of a schema that stand there for what others wrote.
fn without_values(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.shift_remove("default");
            members.shift_remove("examples");
            for (name, inner) in members {
                match (NAMED.contains(&name.as_str()), inner) {
                    (true, Value::Object(named)) => named.values_mut().for_each(without_values),
                    (_, inner) => without_values(inner),
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(without_values),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Puts what was accepted in the place of a tool that is described otherwise now; false if nothing is shown of it.
fn is_as_described(accesses: &Accesses<'_>, tool: &mut Value, editor: &mut dyn Editor) -> bool {
    let Some(name) = tool.get("name").and_then(Value::as_str) else { return false };
    let [access, _] = accesses.listed(List::Tools, name);
    match editor.describes(&access.resource, &sorted(tool).to_string()) {
        Told::AsIs => true,
        Told::Not => false,
        Told::Instead(text) => match serde_json::from_str(&text) {
            Ok(before) => {
                *tool = before;
                true
            }
            Err(_) => false,
        },
    }
}

/// The same, in whatever order it was written.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, Value> = members.iter().map(|(name, value)| (name, sorted(value))).collect();
            members.into_iter().map(|(name, value)| (name.clone(), value)).collect::<Map<_, _>>().into()
        }
        Value::Array(entries) => entries.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn kept_back(message: &Value, method: &str) -> Value {
    let told = format!("the server asks its client for `{method}`, which policy does not let it hear");
    json!({ "jsonrpc": "2.0", "id": message.get("id"), "error": { "code": KEPT_BACK, "message": told } })
}
