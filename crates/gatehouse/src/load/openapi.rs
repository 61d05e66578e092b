//! What a target says of itself in an OpenAPI document, of any version 3: which paths there are, and what they are called.

use std::path::Path;

use gatehouse_protocol::Endpoint;
use serde_json::Value;

/// What a path can be asked for by, as the document has it.
const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];

/// Reads a document.
pub(super) fn endpoints(path: &Path) -> Result<Vec<Endpoint>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("the document cannot be read: {error}"))?;
    described(&text)
}

fn described(text: &str) -> Result<Vec<Endpoint>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let paths = document.get("paths").and_then(Value::as_object);
    let is_one = document.get("openapi").and_then(Value::as_str).is_some_and(|version| version.starts_with("3."));
    let paths = paths.filter(|_| is_one).ok_or("it is no OpenAPI document of version 3 with paths")?;
    let everywhere = bases(&document).unwrap_or_else(|| vec![String::new()]);
    let mut endpoints = Vec::new();
    for (template, item) in paths {
        let of_path = bases(item);
        for (method, operation) in METHODS.into_iter().filter_map(|method| Some((method, item.get(method)?))) {
            // The servers that are named nearest count (OpenAPI 3.1, section 4.8.9.1).
            let of_operation = bases(operation);
            let bases = of_operation.as_ref().or(of_path.as_ref()).unwrap_or(&everywhere);
            endpoints.extend(bases.iter().map(|base| Endpoint {
                method: method.to_ascii_uppercase(),
                template: format!("{base}{template}"),
                operation: operation.get("operationId").and_then(Value::as_str).map(Into::into),
            }));
        }
    }
    Ok(endpoints)
}

/// The paths below which the servers that are named here have what is described, each once; `None` where none is named.
fn bases(of: &Value) -> Option<Vec<String>> {
    let servers = of.get("servers")?.as_array().filter(|servers| !servers.is_empty())?;
    let mut bases: Vec<String> = servers.iter().filter_map(|server| Some(path_of(&url(server)?).to_string())).collect();
    bases.sort();
    bases.dedup();
    (!bases.is_empty()).then_some(bases)
}

/// The address of a server, with the values that its variables have where nothing else is said.
fn url(server: &Value) -> Option<String> {
    let mut url = server.get("url")?.as_str()?.to_string();
    for (name, variable) in server.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let value = variable.get("default").and_then(Value::as_str).unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), value);
    }
    Some(url)
}

/// The path of a server's address, without a slash at its end.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_those_of_all_servers() {
        let document = json!({
            "openapi": "3.1.0",
            "servers": [
                { "url": "https://api.example/v1/" },
                { "url": "https://other.example/v1" },
                { "url": "/{stage}/v2", "variables": { "stage": { "default": "live", "enum": ["live", "test"] } } },
            ],
            "paths": {
                "/a": { "get": { "operationId": "getA" } },
                "/b": { "servers": [{ "url": "https://api.example" }], "get": {}, "put": { "servers": [{ "url": "/up" }] } },
            },
        });
        let told = |document: &str| -> Result<Vec<String>, String> {
            let told = |endpoint: Endpoint| {
                format!("{} {} {}", endpoint.method, endpoint.template, endpoint.operation.as_deref().unwrap_or("-"))
            };
            Ok(described(document)?.into_iter().map(told).collect())
        };
        let expected = ["GET /live/v2/a getA", "GET /v1/a getA", "GET /b -", "PUT /up/b -"];
        assert_eq!(told(&document.to_string()).unwrap(), expected);
        let plain = json!({ "openapi": "3.0.0", "servers": [], "paths": { "/a": { "get": {} } } });
        assert_eq!(told(&plain.to_string()).unwrap(), ["GET /a -"]);
        assert!(told("{}").unwrap_err().contains("no OpenAPI document"));
    }
}
