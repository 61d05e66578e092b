//! Who may depend on whom. The tables may only shrink: an entry that nothing uses any more is a finding too.
//!
//! Development dependencies are free, for they are in no binary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{Findings, House};

const TABLES: &str = "xtask/src/dependencies.rs";

/// The rooms, and the rooms that each may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("gatehouse-model", &[]),
    ("gatehouse-policy", &["gatehouse-model"]),
    ("gatehouse-mask", &["gatehouse-model"]),
    ("gatehouse-journal", &["gatehouse-model"]),
    ("gatehouse-protocol", &["gatehouse-model"]),
    (
        "gatehouse-gate",
        &["gatehouse-model", "gatehouse-policy", "gatehouse-mask", "gatehouse-journal", "gatehouse-protocol"],
    ),
    ("gatehouse-postgres", &["gatehouse-model", "gatehouse-protocol"]),
    ("gatehouse-http", &["gatehouse-model", "gatehouse-protocol"]),
    ("gatehouse-mcp", &["gatehouse-model", "gatehouse-protocol", "gatehouse-http"]),
    ("gatehouse-recognizer", &["gatehouse-mask"]),
    ("gatehouse-registry", &["gatehouse-protocol", "gatehouse-postgres", "gatehouse-http", "gatehouse-mcp"]),
    (
        "gatehouse-laws",
        &[
            "gatehouse-model",
            "gatehouse-policy",
            "gatehouse-mask",
            "gatehouse-journal",
            "gatehouse-protocol",
            "gatehouse-gate",
            "gatehouse-registry",
        ],
    ),
    ("gatehouse-scratch", &[]),
    ("gatehouse-engine", &["gatehouse-model", "gatehouse-gate", "gatehouse-protocol", "gatehouse-mask"]),
    ("gatehouse-identity", &["gatehouse-model", "gatehouse-store"]),
    ("gatehouse-secrets", &["gatehouse-model"]),
    ("gatehouse-store", &["gatehouse-model"]),
    ("gatehouse-api", &["gatehouse-model"]),
    ("xtask", &[]),
];

/// The binary wires all rooms, and the conformance suite looks into all.
const MAY_USE_ALL: &[&str] = &["gatehouse", "gatehouse-conformance"];

/// Libraries that open something to the outside or do what one room is for, and the rooms that may name them.
/// The conformance suite may name any.
const NAMED_BY: &[(&str, &[&str])] = &[
    ("tokio", &["gatehouse-engine", "gatehouse"]),
    ("tokio-rustls", &["gatehouse-engine"]),
    ("rustls", &["gatehouse-engine", "gatehouse"]),
    ("rustls-native-certs", &["gatehouse-engine"]),
    ("socket2", &["gatehouse-engine"]),
    ("h2", &["gatehouse-engine"]),
    ("hyper", &["gatehouse-engine", "gatehouse"]),
    ("hyper-util", &["gatehouse-engine", "gatehouse"]),
    ("axum", &["gatehouse-api", "gatehouse"]),
    ("tokio-tungstenite", &["gatehouse-engine"]),
    ("tokio-postgres", &["gatehouse"]),
    ("rmcp", &["gatehouse"]),
    ("aws-sigv4", &["gatehouse-engine", "gatehouse-secrets"]),
    ("sqlx", &["gatehouse-store"]),
    ("cedar-policy", &["gatehouse-policy"]),
    ("ed25519-dalek", &["gatehouse-journal"]),
    ("jsonwebtoken", &["gatehouse-identity"]),
    ("openidconnect", &["gatehouse-identity"]),
    ("ring", &["gatehouse-model", "gatehouse-mask", "gatehouse-identity", "gatehouse"]),
    ("pg_raw_parse", &["gatehouse-postgres"]),
    ("tract-onnx", &["gatehouse-recognizer"]),
    ("tokenizers", &["gatehouse-recognizer"]),
    ("clap", &["gatehouse"]),
];

/// Rooms whose types have no wire form.
const NOT_SERIALIZED: &[&str] = &["gatehouse-model", "gatehouse-protocol", "gatehouse-gate"];

/// What a pure room must not reach by any way.
const UNREACHABLE: &[&str] = &["tokio", "hyper", "socket2", "rustls", "mio"];

/// The pure rooms, besides the protocols.
const PURE: &[&str] = &[
    "gatehouse-model",
    "gatehouse-policy",
    "gatehouse-mask",
    "gatehouse-journal",
    "gatehouse-protocol",
    "gatehouse-gate",
];

/// Who depends on `gatehouse-protocol` and is no protocol.
const NOT_A_PROTOCOL: &[&str] =
    &["gatehouse-gate", "gatehouse-engine", "gatehouse-registry", "gatehouse-laws", "gatehouse"];

/// Reads the dependencies from cargo and compares them with the tables.
pub(crate) fn check(house: &House, findings: &mut Findings) -> Result<()> {
    let graph = Graph::read(house)?;
    rooms(&graph, findings);
    named_by(&graph, findings);
    not_serialized(&graph, findings);
    unreachable(&graph, findings);
    Ok(())
}

fn rooms(graph: &Graph, findings: &mut Findings) {
    for member in graph.members() {
        if MAY_USE_ALL.contains(&member.name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == member.name) else {
            findings.wrong(&member.manifest, 1, format!("`{}` is no room that {TABLES} knows", member.name));
            continue;
        };
        let used = member.direct.iter().filter(|name| graph.is_member(name));
        for name in used.filter(|name| !allowed.contains(&name.as_str())) {
            let message = format!("`{}` must not use `{name}`: see the rooms in ARCHITECTURE.md", member.name);
            findings.wrong(&member.manifest, member.line(name), message);
        }
        for name in allowed.iter().filter(|name| !member.direct.contains(**name)) {
            findings.wrong(TABLES, 0, format!("`{}` uses `{name}` no more: delete it from ROOMS", member.name));
        }
    }
    for (room, _) in ROOMS.iter().filter(|(room, _)| !graph.is_member(room)) {
        findings.wrong(TABLES, 0, format!("`{room}` is no more: delete it from ROOMS"));
    }
}

fn named_by(graph: &Graph, findings: &mut Findings) {
    for (library, allowed) in NAMED_BY {
        let users: Vec<&Member> = graph.members().filter(|member| member.direct.contains(*library)).collect();
        let rooms = users.iter().filter(|member| member.name != "gatehouse-conformance");
        for member in rooms.filter(|member| !allowed.contains(&member.name.as_str())) {
            let message = format!("`{}` must not name `{library}`, which is for {}", member.name, allowed.join(", "));
            findings.wrong(&member.manifest, member.line(library), message);
        }
        for room in allowed.iter().filter(|room| !users.iter().any(|member| member.name == **room)) {
            findings.wrong(TABLES, 0, format!("`{room}` names `{library}` no more: delete it from NAMED_BY"));
        }
    }
}

fn not_serialized(graph: &Graph, findings: &mut Findings) {
    for member in graph.members().filter(|member| NOT_SERIALIZED.contains(&member.name.as_str())) {
        if member.direct.contains("serde") {
            let message = format!("`{}` must not name `serde`: wire types live at the edge and convert", member.name);
            findings.wrong(&member.manifest, member.line("serde"), message);
        }
    }
}

fn unreachable(graph: &Graph, findings: &mut Findings) {
    for member in graph.members() {
        let name = member.name.as_str();
        let is_protocol = member.direct.contains("gatehouse-protocol") && !NOT_A_PROTOCOL.contains(&name);
        if !is_protocol && !PURE.contains(&name) {
            continue;
        }
        // The table of rooms keeps the gate from the rooms below it; a protocol is named again, for it matters most.
        let gate = is_protocol.then_some("gatehouse-gate");
        for banned in UNREACHABLE.iter().copied().chain(gate) {
            if let Some(path) = graph.path(&member.id, banned) {
                let first = path.get(1).map_or("", String::as_str);
                let message = format!("`{name}` must not reach `{banned}`, but does by {}", path.join(" -> "));
                findings.wrong(&member.manifest, member.line(first), message);
            }
        }
    }
}

/// One crate of the workspace.
struct Member {
    id: String,
    name: String,
    /// Its manifest, from the root.
    manifest: String,
    manifest_text: String,
    /// The names of what it needs to run or to build.
    direct: BTreeSet<String>,
}

impl Member {
    /// The line of its manifest that names a dependency.
    fn line(&self, dependency: &str) -> usize {
        let names = |line: &str| {
            let rest = line.trim_start().strip_prefix(dependency);
            rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        };
        self.manifest_text.lines().position(names).map_or(1, |index| index + 1)
    }
}

/// The crates of the workspace, and everything that they are built of.
struct Graph {
    members: Vec<Member>,
    names: BTreeMap<String, String>,
    /// Normal dependencies alone, by id.
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(house: &House) -> Result<Self> {
        let output = house.cargo().args(["metadata", "--format-version", "1", "--locked"]).output()?;
        if !output.status.success() {
            bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
        let ids: BTreeSet<&str> = array(&metadata, "workspace_members").filter_map(Value::as_str).collect();
        let mut members = Vec::new();
        let mut names = BTreeMap::new();
        for package in array(&metadata, "packages") {
            let id = text(package, "id")?;
            names.insert(id.to_string(), text(package, "name")?.to_string());
            if ids.contains(id) {
                members.push(member(house, package)?);
            }
        }
        let resolve = metadata.get("resolve").context("cargo's metadata has no resolve")?;
        let mut edges = BTreeMap::new();
        for node in array(resolve, "nodes") {
            let normal = array(node, "deps").filter(|dependency| is_normal(dependency));
            let targets = normal.map(|dependency| text(dependency, "pkg").map(str::to_string));
            edges.insert(text(node, "id")?.to_string(), targets.collect::<Result<_>>()?);
        }
        Ok(Self { members, names, edges })
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter()
    }

    fn is_member(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// The shortest way from a crate to one of a name, by names.
    fn path(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut came_from: BTreeMap<&str, Option<&str>> = BTreeMap::from([(from, None)]);
        let mut queue = std::collections::VecDeque::from([from]);
        while let Some(id) = queue.pop_front() {
            if id != from && self.names.get(id).is_some_and(|name| name == to) {
                let way = std::iter::successors(Some(id), |at| came_from.get(at).copied().flatten());
                let mut way: Vec<String> = way.filter_map(|id| self.names.get(id).cloned()).collect();
                way.reverse();
                return Some(way);
            }
            for next in self.edges.get(id).into_iter().flatten() {
                if !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, Some(id));
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

fn member(house: &House, package: &Value) -> Result<Member> {
    let manifest = Path::new(text(package, "manifest_path")?);
    let needed = array(package, "dependencies").filter(|one| one.get("kind").and_then(Value::as_str) != Some("dev"));
    Ok(Member {
        id: text(package, "id")?.to_string(),
        name: text(package, "name")?.to_string(),
        manifest: house.shown(manifest),
        manifest_text: std::fs::read_to_string(manifest)?,
        direct: needed.map(|one| text(one, "name").map(str::to_string)).collect::<Result<_>>()?,
    })
}

fn is_normal(dependency: &Value) -> bool {
    array(dependency, "dep_kinds").any(|kind| kind.get("kind").is_some_and(Value::is_null))
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("cargo's metadata has no `{key}`"))
}
