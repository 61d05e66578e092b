//! What of a server's messages its client is shown.

use gatehouse_http::{Screened, shows_all};
use gatehouse_protocol::Editor;
use serde_json::{Map, Value, json};

use crate::asked::{Accesses, List};

/// What else the result of a list says.
const OF_LISTS: [&str; 4] = ["nextCursor", "ttlMs", "cacheScope", "resultType"];
/// The code of an answer that was kept back.
const KEPT_BACK: i64 = 403;

/// Looks at one message.
pub(crate) fn screen(accesses: &Accesses<'_>, json: &[u8], editor: &mut dyn Editor) -> Screened {
    // What is not read by this might be by its client. Of several messages at a time nobody asked for any.
    let message = match serde_json::from_slice::<Value>(json) {
        Ok(message) if message.is_object() => message,
        Ok(_) | Err(_) => return Screened::Dropped,
    };
    match screened(accesses, message, editor) {
        Shown::AsIs => Screened::Kept,
        Shown::Instead(message) => Screened::Changed(message.to_string().into_bytes()),
        Shown::Described(message) => Screened::Described(message.to_string().into_bytes()),
        Shown::Not => Screened::Dropped,
    }
}

/// What is shown of one message.
enum Shown {
    AsIs,
    Instead(Value),
    /// This, in which names of fields are names and not what they are names of.
    Described(Value),
    Not,
}

fn screened(accesses: &Accesses<'_>, message: Value, editor: &mut dyn Editor) -> Shown {
    if let Some(method) = message.get("method") {
        // What a server asks of its client, or tells it.
        let Some(method) = method.as_str() else { return Shown::Not };
        if accesses.heard(method).is_some_and(|access| !editor.offers(&access)) {
            return Shown::Not;
        }
        // It holds the schema of a form.
        return if method == "elicitation/create" { Shown::Described(message) } else { Shown::AsIs };
    }
    let Some(result) = message.get("result").and_then(Value::as_object) else { return Shown::AsIs };
    let asks = result.get("inputRequests").and_then(Value::as_object);
    if let Some(method) = asks.into_iter().flat_map(Map::values).find_map(|asked| {
        let method = asked.get("method").and_then(Value::as_str).unwrap_or_default();
        let is_kept_back = accesses.heard(method).is_some_and(|access| !editor.offers(&access));
        is_kept_back.then(|| method.to_string())
    }) {
        return Shown::Instead(kept_back(&message, &method));
    }
    if !List::ALL.iter().any(|list| result.contains_key(list.keys().0)) {
        return Shown::AsIs;
    }
    let mut listed = Map::new();
    for list in List::ALL {
        let (key, name) = list.keys();
        let Some(Value::Array(entries)) = result.get(key) else { continue };
        let is_shown = |entry: &&Value| {
            let named = entry.get(name).and_then(Value::as_str);
            named.is_some_and(|named| accesses.listed(list, named).iter().any(|access| editor.offers(access)))
        };
        let mut shown: Vec<Value> = entries.iter().filter(is_shown).cloned().collect();
        if list == List::Tools && !shows_all(editor) {
            // What is masked is not of the form any more that it promises, and clients would refuse it.
            for tool in shown.iter_mut().filter_map(Value::as_object_mut) {
                tool.shift_remove("outputSchema");
            }
        }
        listed.insert(key.into(), Value::Array(shown));
    }
    for key in OF_LISTS {
        listed.extend(result.get(key).map(|value| (key.to_string(), value.clone())));
    }
    let id = message.get("id").cloned().unwrap_or_default();
    Shown::Described(json!({ "jsonrpc": "2.0", "id": id, "result": listed }))
}

fn kept_back(message: &Value, method: &str) -> Value {
    let told = format!("the server asks its client for `{method}`, which policy does not let it hear");
    json!({ "jsonrpc": "2.0", "id": message.get("id"), "error": { "code": KEPT_BACK, "message": told } })
}
