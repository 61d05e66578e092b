//! What a target says of itself in an OpenAPI document, of any version 3: which paths there are, and what they are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use gatehouse_protocol::Endpoint;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::MergeKeyPolicy;

/// What a path can be asked for by, as the document has it.
const METHODS: [&str; 7] = ["get", "head", "options", "post", "put", "patch", "delete"];
/// How long a document is at most, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How deep YAML is at most, of how many values it is, and how long these are together, in bytes. JSON has no aliases, so that its
/// length bounds it, and its library bounds its depth.
const YAML_LEVELS_MAX: usize = 64;
const YAML_VALUES_MAX: usize = 1_000_000;
const YAML_TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many anchors and how many aliases YAML has, and for how many values and ends of values all aliases stand together: an alias
/// for what has aliases in it stands for more than it seems.
const YAML_ANCHORS_MAX: usize = 10_000;
/// How many keys of YAML are merged (`<<`).
const YAML_MERGED_MAX: usize = 10_000;
const YAML_ALIASED_MAX: usize = 200_000;
/// How long the address of a server is at most, as it is written and with the values of its variables, in bytes.
const ADDRESS_BYTES_MAX: usize = 2 * 1024;
/// How many endpoints a document has at most, and how long their paths are together, in bytes: each path is there once for each
/// server.
const ENDPOINTS_MAX: usize = 100_000;
const ENDPOINTS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a document is written in.
#[derive(Clone, Copy)]
enum Language {
    Json,
    Yaml,
}

impl Language {
    /// By the name of the file, where that says it.
    fn of(path: &Path, text: &str) -> Self {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("json") => Self::Json,
            Some("yaml" | "yml") => Self::Yaml,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// The file cannot be read.
    #[error("the document cannot be read: {0}")]
    Unread(io::Error),
    /// It is no document, or none that is read.
    #[error("{0}")]
    NoDocument(String),
    /// It has a path that no request is ever for.
    #[error("its path `{0}` does not begin with a slash, so nothing that is asked for is ever it")]
    NoPath(String),
    /// It has two operations of one name, of which a policy that names it could mean either.
    #[error("its operations `{first}` and `{second}` have the same operationId, `{name}`")]
    SameName {
        /// What both are called.
        name: String,
        /// The one, by method and path.
        first: String,
        /// The other.
        second: String,
    },
}

impl NotTaken {
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Unread(error) if error.kind() == io::ErrorKind::NotFound => {
                "There is no such file: put the document there, or correct its path, which is relative to the configuration"
            }
            Self::Unread(_) => "Name a file that the gateway can read",
            Self::NoDocument(_) => {
                "Name an OpenAPI document of version 3 in JSON or YAML, whose keys are there once, and whose aliases stand for little"
            }
            Self::NoPath(_) => "Write it from its first slash on, as OpenAPI wants it: /refunds/{id}",
            Self::SameName { .. } => {
                "Give each an operationId of its own, as OpenAPI wants it, or one of them none: policies then name it by method and path"
            }
        }
    }
}

/// Reads a document.
pub(super) fn endpoints(path: &Path) -> Result<Vec<Endpoint>, NotTaken> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(NotTaken::Unread)?;
    file.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(NotTaken::Unread)?;
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(NotTaken::NoDocument(format!("the document is longer than {DOCUMENT_BYTES_MAX} bytes")));
    }
    let text =
        String::from_utf8(bytes).map_err(|error| NotTaken::NoDocument(format!("the document is no UTF-8: {error}")))?;
    described(Language::of(path, &text), &text)
}

fn read(language: Language, text: &str) -> Result<Value, String> {
    match language {
        Language::Json => match serde_json::from_str(text) {
            Ok(Unambiguous(document)) => Ok(document),
            Err(error) => Err(format!("it is no JSON that is taken: {error}")),
        },
        Language::Yaml => read_yaml(text),
    }
}

/// JSON in which each key is there once, as in YAML: which of two counts, each library has its own opinion.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Unambiguous;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Unambiguous, A::Error> {
        let mut values = Vec::new();
        while let Some(Unambiguous(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Unambiguous(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unambiguous, A::Error> {
        let mut values = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            let Unambiguous(value) = members.next_value()?;
            values.insert(key, value);
        }
        Ok(Unambiguous(Value::Object(values)))
    }
}

/// Reads YAML 1.2, in which `on` and `no` are words. Keys are texts, whatever they look like.
fn read_yaml(text: &str) -> Result<Value, String> {
    // Where what is merged is looked up, its key is not looked for a second time.
    if text.matches("<<").nth(1).is_some() {
        read_yaml_with(text, MergeKeyPolicy::AsOrdinary)?;
    }
    read_yaml_with(text, MergeKeyPolicy::Merge)
}

fn read_yaml_with(text: &str, merge_keys: MergeKeyPolicy) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: YAML_LEVELS_MAX,
            max_nodes: YAML_VALUES_MAX,
            max_events: 2 * YAML_VALUES_MAX,
            max_total_scalar_bytes: YAML_TEXT_BYTES_MAX,
            max_anchors: YAML_ANCHORS_MAX,
            max_aliases: YAML_ANCHORS_MAX,
            max_merge_keys: YAML_MERGED_MAX,
            // Many aliases for the same few answers are what anchors are for.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: YAML_ALIASED_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: merge_keys,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| {
        let cause = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
        format!("it is no YAML that is taken: {cause}")
    })
}

fn described(language: Language, text: &str) -> Result<Vec<Endpoint>, NotTaken> {
    let document = read(language, text).map_err(NotTaken::NoDocument)?;
    let paths = document.get("paths").and_then(Value::as_object);
    let is_one = document.get("openapi").and_then(said).is_some_and(|version| version.starts_with("3."));
    let unlike = || NotTaken::NoDocument("it is no OpenAPI document of version 3 with paths".into());
    let paths = paths.filter(|_| is_one).ok_or_else(unlike)?;
    let everywhere = bases(&document).map_err(NotTaken::NoDocument)?.unwrap_or_else(|| vec![String::new()]);
    let (mut endpoints, mut bytes) = (Vec::new(), 0);
    let mut named: BTreeMap<Arc<str>, String> = BTreeMap::new();
    // What is no path is an extension.
    for (template, item) in paths.iter().filter(|(template, _)| !template.starts_with("x-")) {
        let of_path = bases(item).map_err(NotTaken::NoDocument)?;
        for (method, operation) in METHODS.into_iter().filter_map(|method| Some((method, item.get(method)?))) {
            if !template.starts_with('/') {
                return Err(NotTaken::NoPath(template.clone()));
            }
            // The servers that are named nearest count (OpenAPI 3.1, section 4.8.9.1).
            let of_operation = bases(operation).map_err(NotTaken::NoDocument)?;
            let bases = of_operation.as_ref().or(of_path.as_ref()).unwrap_or(&everywhere);
            let operation: Option<Arc<str>> = operation.get("operationId").and_then(said).map(Into::into);
            let method = method.to_ascii_uppercase();
            if let Some(name) = &operation {
                let second = format!("{method} {template}");
                if let Some(first) = named.insert(name.clone(), second.clone()) {
                    return Err(NotTaken::SameName { name: name.to_string(), first, second });
                }
            }
            for base in bases {
                bytes += base.len() + template.len();
                if endpoints.len() >= ENDPOINTS_MAX || bytes > ENDPOINTS_BYTES_MAX {
                    return Err(NotTaken::NoDocument(too_many()));
                }
                endpoints.push(Endpoint {
                    method: method.clone(),
                    template: format!("{base}{template}"),
                    operation: operation.clone(),
                });
            }
        }
    }
    Ok(endpoints)
}

/// A text, which in YAML may look like something else where it has no quotation marks, as `3.0` and `true` do.
fn said(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_so) => Some(is_so.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The paths below which the servers that are named here have what is described, each once; `None` where none is named.
fn bases(of: &Value) -> Result<Option<Vec<String>>, String> {
    let (mut bases, mut bytes) = (BTreeSet::<String>::new(), 0);
    for server in of.get("servers").and_then(Value::as_array).into_iter().flatten() {
        let Some(template) = server.get("url").and_then(Value::as_str) else { continue };
        let url = url(template, server.get("variables"))?;
        let base = path_of(&url);
        if bases.contains(base) {
            continue;
        }
        bytes += base.len();
        if bases.len() >= ENDPOINTS_MAX || bytes > ENDPOINTS_BYTES_MAX {
            return Err(too_many());
        }
        bases.insert(base.to_string());
    }
    Ok((!bases.is_empty()).then(|| bases.into_iter().collect()))
}

/// The address of a server, with the values that its variables have where nothing else is said. What stands in a value stays as it
/// is: values that name variables would grow with each.
fn url(template: &str, variables: Option<&Value>) -> Result<String, String> {
    let mut rest = within(template)?;
    let mut url = String::new();
    while let Some((before, behind)) = rest.split_once('{') {
        url.push_str(before);
        let variable = behind.split_once('}').and_then(|(name, after)| Some((variables?.get(name)?, after)));
        if let Some((variable, after)) = variable {
            url.push_str(&variable.get("default").and_then(said).unwrap_or_default());
            rest = after;
        } else {
            url.push('{');
            rest = behind;
        }
        within(&url)?;
    }
    url.push_str(rest);
    within(&url)?;
    Ok(url)
}

/// An address, if it is no longer than it may be.
fn within(url: &str) -> Result<&str, String> {
    let long =
        || format!("the address of a server, with its variables, is longer than {ADDRESS_BYTES_MAX} bytes: shorten it");
    (url.len() <= ADDRESS_BYTES_MAX).then_some(url).ok_or_else(long)
}

fn too_many() -> String {
    format!(
        "it has more than {ENDPOINTS_MAX} paths to ask for, or ones of more than {ENDPOINTS_BYTES_MAX} bytes together, each at each \
         of its servers: name fewer servers, or leave paths out"
    )
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

    fn told(language: Language, document: &str) -> Result<Vec<String>, String> {
        let told = |endpoint: Endpoint| {
            format!("{} {} {}", endpoint.method, endpoint.template, endpoint.operation.as_deref().unwrap_or("-"))
        };
        let endpoints = described(language, document).map_err(|error| error.to_string())?;
        Ok(endpoints.into_iter().map(told).collect())
    }

    fn yaml(document: &str) -> Result<Vec<String>, String> {
        told(Language::Yaml, document)
    }

    /// A document with something beside its one path.
    fn beside(what: &str) -> String {
        format!("openapi: 3.1.0\npaths:\n  /a:\n    get: {{ operationId: getA }}\n{what}\n")
    }

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
        let expected = ["GET /live/v2/a getA", "GET /v1/a getA", "GET /b -", "PUT /up/b -"];
        // JSON is YAML as well.
        for language in [Language::Json, Language::Yaml] {
            assert_eq!(told(language, &document.to_string()).unwrap(), expected);
        }
        let plain = json!({ "openapi": "3.0.0", "servers": [], "paths": { "/a": { "get": {} } } });
        assert_eq!(told(Language::Json, &plain.to_string()).unwrap(), ["GET /a -"]);
        for nothing in [told(Language::Json, "{}"), yaml("{}"), yaml(""), yaml("- openapi: 3.1.0")] {
            assert!(nothing.unwrap_err().contains("no OpenAPI document"));
        }
    }

    #[test]
    fn what_is_wrong_with_a_document_has_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let remedy = |name: &str| endpoints(&folder.path().join(name)).unwrap_err().remedy();
        assert!(remedy("nowhere.yaml").starts_with("There is no such file"));
        assert!(remedy("").contains("the gateway can read"), "a folder is no file");
        std::fs::write(folder.path().join("a.yaml"), "a: 1").unwrap();
        assert!(remedy("a.yaml").contains("version 3"));
        std::fs::write(folder.path().join("b.yaml"), "openapi: 3.1.0\npaths:\n  refunds:\n    get: {}\n").unwrap();
        assert!(remedy("b.yaml").contains("first slash"));
        let said = yaml("openapi: 3.1.0\npaths:\n  refunds:\n    get: {}\n").unwrap_err();
        assert!(said.contains("`refunds` does not begin with a slash"), "{said}");
        let extended = "openapi: 3.1.0\npaths:\n  x-owner: { get: somebody }\n  /a:\n    get: {}\n";
        assert_eq!(yaml(extended).unwrap(), ["GET /a -"]);
    }

    #[test]
    fn words_and_numbers_of_yaml_are_what_they_look_like() {
        let document = r##"
openapi: 3.0
info: { title: "A", version: 1.10 }
servers:
  - url: /{stage}/v{version}
    variables:
      stage: { default: on }
      version: { default: 2 }
paths:
  /off:
    get:
      operationId: no
      responses:
        200: { description: yes }
        "404": { $ref: "#/components/responses/missing" }
        default: { description: ~ }
  /people/{id}.json:
    post:
      operationId: 17
    put: &plain { tags: [x] }
    patch: *plain
  ? /long
  : delete:
  1.5: {}
on: { no: off }
"##;
        let expected = [
            "GET /on/v2/off no",
            "POST /on/v2/people/{id}.json 17",
            "PUT /on/v2/people/{id}.json -",
            "PATCH /on/v2/people/{id}.json -",
            "DELETE /on/v2/long -",
        ];
        assert_eq!(yaml(document).unwrap(), expected);
        let merged =
            "  /b:\n    get: &base { operationId: getB, tags: [x] }\n    put: { <<: *base, operationId: putB }";
        let merged = beside(merged);
        assert_eq!(yaml(&merged).unwrap(), ["GET /a getA", "GET /b getB", "PUT /b putB"]);
    }

    #[test]
    fn yaml_that_says_something_twice_is_refused() {
        for (what, line) in [
            ("paths: {}", "line 5"),
            ("  /a: {}", "line 5"),
            ("  \"/a\": {}", "line 5"),
            ("    get: {}", "line 5"),
            ("x: { a: 1, a: 2 }", "line 5"),
            ("x: &m { a: 1 }\ny: &n { b: 1 }\nz:\n  <<: *m\n  <<: *n", "line 9"),
            ("x: &m { a: 1 }\ny: { <<: *m, <<: *m }", "line 6"),
        ] {
            let error = yaml(&beside(what)).unwrap_err();
            assert!(error.contains("duplicate") && error.contains(line), "{what}: {error}");
        }
        let error = yaml("openapi: 3.1.0\npaths: {}\n---\nopenapi: 3.1.0\npaths: {}\n").unwrap_err();
        assert!(error.contains("no YAML that is taken"), "{error}");
        let error = yaml("openapi: 3.1.0\npaths: [\n").unwrap_err();
        assert!(error.contains("no YAML that is taken") && error.contains("line"), "{error}");
    }

    /// What is merged once in each of two places is not said twice.
    #[test]
    fn yaml_that_merges_in_several_places_is_taken() {
        let lists = "x: &m { a: 1 }\ny: { <<: *m, b: \"<<\" }\nz: { <<: [*m, { c: 1 }] }";
        assert_eq!(yaml(&beside(lists)).unwrap(), ["GET /a getA"]);
    }

    /// A policy that names it could mean either.
    #[test]
    fn two_operations_of_one_name_are_refused() {
        let error = yaml(&beside("  /b:\n    put: { operationId: getA }")).unwrap_err();
        assert!(error.contains("`GET /a` and `PUT /b`") && error.contains("`getA`"), "{error}");
        let error = yaml(&beside("    put: { operationId: getA }")).unwrap_err();
        assert!(error.contains("`GET /a` and `PUT /a`"), "{error}");
        let two = beside("    servers: [{ url: /v1 }, { url: /v2 }]");
        assert_eq!(yaml(&two).unwrap(), ["GET /v1/a getA", "GET /v2/a getA"], "one operation at two servers is one");
    }

    #[test]
    fn json_that_says_something_twice_is_refused() {
        let json = |document: &str| told(Language::Json, document);
        for twice in [
            r#"{ "openapi": "3.1.0", "paths": { "/a": { "get": {} } },
                 "paths": {} }"#,
            r#"{ "openapi": "3.1.0", "paths": { "/a": { "get": {} },
                 "\u002fa": {} } }"#,
            r#"{ "openapi": "3.1.0", "paths": {}, "x": [{ "a": 1,
                 "a": 1 }] }"#,
        ] {
            let error = json(twice).unwrap_err();
            assert!(error.contains("duplicate key") && error.contains("line 2"), "{twice}: {error}");
        }
        let all = r#"{ "openapi": "3.1.0", "paths": { "/a": { "get": { "operationId": "getA" } } },
            "x": [null, true, -1, 1, 1.5, "a", { "x": { "x": {} } }, { "x": [] }] }"#;
        assert_eq!(json(all).unwrap(), ["GET /a getA"]);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(json(&deep).unwrap_err().contains("no JSON that is taken"));
    }

    /// What is short and stands for much (the billion laughs), and what is deep, is refused before it takes memory or the stack.
    #[test]
    fn yaml_that_grows_is_refused() {
        let mut bomb = String::from("x0: &x0 [lol, lol]\n");
        for level in 1..=9 {
            let aliases = vec![format!("*x{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("x{level}: &x{level} [{aliases}]\n"));
        }
        let error = yaml(&beside(&bomb)).unwrap_err();
        assert!(error.contains("total_replayed_events"), "{error}");
        // One long text, many times.
        let text = "x".repeat(100_000);
        let error = yaml(&beside(&format!("x: &x {text}\ny: [{}]", vec!["*x"; 2_000].join(", ")))).unwrap_err();
        assert!(error.contains("ScalarBytes"), "{error}");
        let error = yaml(&beside("x: &x { y: *x }")).unwrap_err();
        assert!(error.contains("no YAML that is taken"), "{error}");
        for levels in [YAML_LEVELS_MAX + 1, 100_000] {
            let error = yaml(&beside(&format!("x: {}{}", "[".repeat(levels), "]".repeat(levels)))).unwrap_err();
            assert!(error.contains("no YAML that is taken"), "{levels}: {error}");
        }
        let listed = |what: &str, times: usize| beside(&format!("x: &x 0\ny: [{}]", vec![what; times].join(", ")));
        let error = yaml(&listed("0", YAML_VALUES_MAX)).unwrap_err();
        assert!(error.contains("Nodes"), "{error}");
        let error = yaml(&listed("*x", YAML_ANCHORS_MAX + 1)).unwrap_err();
        assert!(error.contains("Aliases"), "{error}");
        let merges = ["{ <<: *x }"; 2].join(", ");
        let merged = format!("x: &x {{ a: 0 }}\ny: [{}]", vec!["{ <<: { a: 0 } }"; YAML_MERGED_MAX + 1].join(", "));
        assert_eq!(yaml(&beside(&format!("x: &x {{ a: 0 }}\ny: [{merges}]"))).unwrap(), ["GET /a getA"]);
        let error = yaml(&beside(&merged)).unwrap_err();
        assert!(error.contains("MergeKeys"), "{error}");
        let anchors: Vec<String> = (0..=YAML_ANCHORS_MAX).map(|at| format!("&a{at} 0")).collect();
        let error = yaml(&beside(&format!("x: [{}]", anchors.join(", ")))).unwrap_err();
        assert!(error.contains("Anchors"), "{error}");
        // What a document may well have is taken: the same few answers, said once and meant everywhere.
        let answers = vec!["{ responses: { 404: *missing } }"; 500].join(", ");
        let many = beside(&format!("x: &missing {{ description: none }}\ny: [{answers}]"));
        assert_eq!(yaml(&many).unwrap(), ["GET /a getA"]);
        let deep = beside(&format!("x: {}{}", "[".repeat(YAML_LEVELS_MAX / 2), "]".repeat(YAML_LEVELS_MAX / 2)));
        assert_eq!(yaml(&deep).unwrap(), ["GET /a getA"]);
    }

    /// What stands in the value of a variable is no variable.
    #[test]
    fn the_values_of_variables_do_not_grow() {
        let variables: serde_json::Map<String, Value> = (0..12)
            .map(|level| (format!("v{level}"), json!({ "default": format!("{{v{}}}", level + 1).repeat(10) })))
            .collect();
        let document = |url: &str| {
            let servers = json!([{ "url": url, "variables": variables }]);
            json!({ "openapi": "3.1.0", "servers": servers, "paths": { "/a": { "get": {} } } }).to_string()
        };
        let told_of = |url: &str| told(Language::Json, &document(url));
        assert_eq!(told_of("/{v0}").unwrap(), [format!("GET /{}/a -", "{v1}".repeat(10))]);
        assert_eq!(
            told_of("/{v12}/{{v11}/{v11").unwrap(),
            [format!("GET /{{v12}}/{{{}/{{v11/a -", "{v12}".repeat(10))]
        );
        let error = told_of(&"/{v0}".repeat(ADDRESS_BYTES_MAX / 40)).unwrap_err();
        assert!(error.contains("longer than 2048 bytes"), "{error}");
    }

    /// Each path is there at each server, so that little may say much.
    #[test]
    fn a_document_of_too_many_paths_is_refused() {
        let document = |servers: Vec<String>, paths: usize| {
            let servers: Vec<Value> = servers.into_iter().map(|url| json!({ "url": url })).collect();
            let paths: serde_json::Map<String, Value> =
                (0..paths).map(|path| (format!("/p{path}"), json!({ "get": {} }))).collect();
            json!({ "openapi": "3.1.0", "servers": servers, "paths": paths }).to_string()
        };
        let error_of = |servers: Vec<String>, paths: usize| {
            described(Language::Json, &document(servers, paths)).map(|endpoints| endpoints.len()).unwrap_err()
        };
        let many = |servers: usize| (0..servers).map(|server| format!("/s{server}")).collect::<Vec<_>>();
        let error = error_of(many(30_000), 20_000);
        assert!(
            error.to_string().contains("more than 100000 paths") && error.to_string().contains("fewer servers"),
            "{error}"
        );
        let error = error_of(many(ENDPOINTS_MAX + 1), 1);
        assert!(error.to_string().contains("more than 100000 paths"), "{error}");
        let error = error_of(vec![format!("/{}", "x".repeat(1_000_000))], 20_000);
        assert!(error.to_string().contains("longer than 2048 bytes"), "{error}");
        let error = error_of(vec![format!("/{}", "x".repeat(2_000))], 40_000);
        assert!(error.to_string().contains("67108864 bytes together"), "{error}");
        let large = described(Language::Json, &document(many(10), ENDPOINTS_MAX / 10)).unwrap();
        assert_eq!(large.len(), ENDPOINTS_MAX);
    }

    #[test]
    fn the_name_of_a_file_says_what_it_is_written_in() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            endpoints(&path).map(|endpoints| endpoints.len()).map_err(|error| error.to_string())
        };
        let json = r#"{ "openapi": "3.1.0", "paths": { "/a": { "get": {} } } }"#;
        let names = ["a.json", "a.yaml", "a.YML", "a"];
        assert!(names.iter().all(|name| read(name, json) == Ok(1)));
        assert!(names[1..].iter().all(|name| read(name, &beside("")) == Ok(1)));
        assert!(read("a.json", &beside("")).unwrap_err().contains("no JSON"));
        let long = format!("# {}\n{}", "x".repeat(DOCUMENT_BYTES_MAX as usize), beside(""));
        assert!(read("a.yaml", &long).unwrap_err().contains("longer than"));
        assert!(read("a.json", &long).unwrap_err().contains("longer than"));
    }
}
