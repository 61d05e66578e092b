//! What a target says of itself in an OpenAPI document, of any version 3: which paths there are, and what they are called.

use std::path::Path;

use gatehouse_protocol::Endpoint;
use serde_json::Value;

/// What a path can be asked for by, as the document has it.
const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];

/// Reads a document.
pub(super) fn endpoints(path: &Path) -> Result<Vec<Endpoint>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the document cannot be read: {error}"))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?;
    let paths = document.get("paths").and_then(Value::as_object);
    let is_one = document.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with("3."));
    let paths = paths.filter(|_| is_one).ok_or("it is no OpenAPI document of version 3 with paths")?;
    let base = document.pointer("/servers/0/url").and_then(Value::as_str).map(path_of).unwrap_or_default();
    let operations = paths.iter().flat_map(|(template, item)| {
        METHODS.into_iter().filter_map(move |method| Some((template, method, item.get(method)?)))
    });
    Ok(operations
        .map(|(template, method, operation)| Endpoint {
            method: method.to_ascii_uppercase(),
            template: format!("{base}{template}"),
            operation: operation.get("operationId").and_then(Value::as_str).map(Into::into),
        })
        .collect())
}

/// The path of a server's address, without a slash at its end.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default().trim_end_matches('/')
}
