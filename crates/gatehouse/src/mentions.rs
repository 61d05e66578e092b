//! Names in policies that nothing has: a policy about them never applies, and a `forbid` that never applies protects
//! nothing.
//!
//! Knows how the ids of entities are written; must not know what policies mean.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_http::folded_path;
use gatehouse_policy::Mention;

use crate::load::Fault;
use crate::nearest::nearest;

/// What there is, by the entity's type.
pub(crate) struct Known {
    pub(crate) targets: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) agents: BTreeSet<String>,
    pub(crate) classes: BTreeSet<String>,
    pub(crate) gateways: BTreeSet<String>,
    /// What the OpenAPI documents of targets have, for each target with one: methods with paths, and the names of operations.
    pub(crate) endpoints: BTreeMap<String, BTreeSet<String>>,
    /// Targets that take no notice of the size of letters in paths.
    pub(crate) folding: BTreeSet<String>,
    /// Types whose names a provider may bring when somebody signs in, so that none is strange.
    pub(crate) brought: Vec<&'static str>,
}

/// Types whose ids begin with the name of a target and a slash.
const WITHIN_TARGETS: [&str; 11] =
    ["Schema", "Table", "Column", "Function", "Setting", "Path", "Endpoint", "Field", "Tool", "Prompt", "McpResource"];

impl Known {
    /// A warning for each name that nothing has.
    pub(crate) fn strangers(&self, mentions: &[Mention], shown: impl Fn(&str) -> String) -> Vec<Fault> {
        let fault = |mention: &Mention| {
            let (message, remedy) = self.fault(&mention.kind, &mention.id)?;
            Some(Fault { file: shown(&mention.file), line: Some(mention.line), message, remedy })
        };
        mentions.iter().filter_map(fault).collect()
    }

    /// A name of another form than things of its kind have is that of nothing, whatever there is.
    fn misshapen(&self, kind: &str, id: &str) -> Option<(String, String)> {
        match (kind, id.split_once('/')) {
            ("Path", Some((target, path))) => return self.misshapen_path(target, path),
            ("Endpoint", Some((target, name))) => return self.unknown_endpoint(target, name),
            _ => {}
        }
        let (_, parts, shape) = SHAPES.iter().find(|(shaped, ..)| *shaped == kind)?;
        let name = id.split_once('/').map_or("", |(_, name)| name);
        let count = name.split('.').count();
        let is_odd = match kind {
            // Names of settings have one form, whatever case they are written in.
            "Setting" => name.chars().any(char::is_uppercase),
            "Function" => count != *parts || name.contains('('),
            _ => count != *parts,
        };
        (is_odd || name.is_empty()).then(|| {
            let message = format!("no {kind} is called \"{id}\", so what is said of it never applies");
            (message, format!("Write {kind}::\"{shape}\""))
        })
    }

    fn misshapen_path(&self, target: &str, path: &str) -> Option<(String, String)> {
        let is_folded = self.folding.contains(target);
        let plain = plain_path(path);
        let remedy =
            format!("Write Path::\"{target}/{}\"", if is_folded { folded_path(&plain) } else { plain.clone() });
        let id = format!("{target}/{path}");
        // A slash at its end makes it another path, but not the target's own.
        let within = path.strip_suffix('/').filter(|within| !within.is_empty());
        if within.unwrap_or(path) != plain {
            let message = format!("no path is judged as \"{id}\", so what is said of it never applies");
            return Some((message, remedy));
        }
        if is_folded && folded_path(path) != path {
            let message = format!(
                "paths of the target \"{target}\" are judged in small letters, so what is said of \"{id}\" never applies"
            );
            return Some((message, remedy));
        }
        // What is in a path is in the path without a slash at its end.
        path.ends_with('/').then(|| {
            let message =
                format!("of paths, \"{id}\" is only itself, so what is said of it does not apply to what is in it");
            (message, remedy)
        })
    }

    /// What a target's document does not have is never asked for by that name.
    fn unknown_endpoint(&self, target: &str, name: &str) -> Option<(String, String)> {
        let names = self.endpoints.get(target).filter(|names| !names.contains(name))?;
        let message = format!(
            "the OpenAPI document of the target \"{target}\" has no \"{name}\", so what is said of it never applies"
        );
        let remedy = match nearest(name, names.iter().map(String::as_str)) {
            Some(meant) => format!("Write Endpoint::\"{target}/{meant}\""),
            None => "Write an operationId of the document, or a method and a path as it has them, such as `GET /people/{id}`"
                .into(),
        };
        Some((message, remedy))
    }

    fn fault(&self, kind: &str, whole: &str) -> Option<(String, String)> {
        let id = whole;
        let (word, known, id) = match kind {
            "Target" => ("target", &self.targets, id),
            "Group" => ("group", &self.groups, id),
            "User" => ("user", &self.users, id),
            "Agent" => ("agent", &self.agents, id),
            "Class" => ("class", &self.classes, id),
            "Gateway" => ("gateway", &self.gateways, id),
            within if WITHIN_TARGETS.contains(&within) => ("target", &self.targets, id.split('/').next().unwrap_or(id)),
            _ => return None,
        };
        if known.contains(id) || self.brought.contains(&kind) {
            return self.misshapen(kind, whole);
        }
        let all: Vec<&str> = known.iter().map(String::as_str).collect();
        let all = if all.is_empty() { "none".to_string() } else { all.join(", ") };
        Some((
            format!("there is no {word} \"{id}\", so what is said of it never applies"),
            format!("Correct the name, or add it to the configuration; there is: {all}"),
        ))
    }
}

/// A path as requests for it are judged, without a slash at either end: in that form no two slashes stand together, and no dots lead
/// elsewhere.
fn plain_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

/// How the ids of things in a database are written: of how many parts after the target.
const SHAPES: [(&str, usize, &str); 5] = [
    ("Schema", 1, "TARGET/SCHEMA"),
    ("Table", 2, "TARGET/SCHEMA.TABLE"),
    ("Function", 2, "TARGET/SCHEMA.FUNCTION"),
    ("Column", 3, "TARGET/SCHEMA.TABLE.COLUMN"),
    ("Setting", 1, "TARGET/setting_in_lower_case"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_and_misshapen_names_are_named() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let known = Known {
            targets: set(&["app", "sloppy"]),
            groups: set(&["agents"]),
            users: set(&[]),
            agents: set(&["claude"]),
            classes: set(&["email"]),
            gateways: set(&["gw"]),
            endpoints: BTreeMap::from([("sloppy".into(), set(&["createRefund", "POST /refunds"]))]),
            folding: set(&["sloppy"]),
            brought: vec!["User"],
        };
        let said = |kind: &str, id: &str| {
            let mention = Mention { file: "a.cedar".into(), line: 7, kind: kind.into(), id: id.into() };
            known
                .strangers(&[mention], str::to_string)
                .first()
                .map(|fault| format!("{:?} {}", fault.line, fault.message))
        };
        let stranger = |word: &str, id: &str| {
            Some(format!("Some(7) there is no {word} \"{id}\", so what is said of it never applies"))
        };
        assert_eq!(said("Group", "agent"), stranger("group", "agent"));
        assert_eq!(said("Gateway", "gatehouse.local"), stranger("gateway", "gatehouse.local"));
        assert_eq!(said("Table", "apx/public.t"), stranger("target", "apx"));
        assert_eq!(said("Path", "/admin"), stranger("target", ""));
        assert!(said("Path", "app/admin/").is_some_and(|said| said.contains("is only itself")));
        assert!(said("Path", "sloppy/Admin").is_some_and(|said| said.contains("judged in small letters")));
        let remedy = |kind: &str, id: &str| known.fault(kind, id).map(|(_, remedy)| remedy);
        for (id, expected) in [
            ("app//admin/", "app/admin"),
            ("app/admin/", "app/admin"),
            ("app/a//b", "app/a/b"),
            ("app/a/../b", "app/b"),
            ("app//", "app/"),
            ("sloppy//Admin/", "sloppy/admin"),
            ("sloppy/Admin/", "sloppy/admin"),
        ] {
            let written = format!("Write Path::\"{expected}\"");
            assert_eq!(remedy("Path", id), Some(written), "{id}");
            assert_eq!(remedy("Path", expected), None, "what is advised is right: {expected}");
        }
        assert!(said("Path", "app//admin/").is_some_and(|said| said.contains("no path is judged as")));
        let misspelt = "Some(7) the OpenAPI document of the target \"sloppy\" has no \"createRefnd\", \
                        so what is said of it never applies";
        assert_eq!(said("Endpoint", "sloppy/createRefnd").as_deref(), Some(misspelt));
        let meant = "Write Endpoint::\"sloppy/createRefund\"";
        assert_eq!(remedy("Endpoint", "sloppy/createRefnd").as_deref(), Some(meant));
        assert!(remedy("Endpoint", "sloppy/GET /").is_some_and(|remedy| remedy.contains("operationId")));
        for (kind, id) in [
            ("Schema", "app"),
            ("Schema", "app/"),
            ("Schema", "app/public.orders"),
            ("Table", "app/orders"),
            ("Table", "app/app.public.orders"),
            ("Column", "app/public.orders"),
            ("Function", "app/public.leak(bigint)"),
            ("Setting", "app/TimeZone"),
        ] {
            let misshapen = format!("Some(7) no {kind} is called \"{id}\", so what is said of it never applies");
            assert_eq!(said(kind, id), Some(misshapen));
        }
        for (kind, id) in [
            ("Schema", "app/public"),
            ("Table", "app/public.orders"),
            ("Column", "app/public.orders.note"),
            ("Function", "app/public.leak"),
            ("Setting", "app/app.tenant"),
            ("Setting", "app/timezone"),
            ("Path", "app/admin"),
            ("Path", "app/"),
            ("Path", "app/Admin"),
            ("Path", "sloppy/admin/a%2Fb"),
            ("Endpoint", "app/GET /x"),
            ("Endpoint", "sloppy/createRefund"),
            ("Endpoint", "sloppy/POST /refunds"),
            ("User", "dana@corp.example"),
            ("Action", "sql:read"),
        ] {
            assert_eq!(said(kind, id), None, "{kind}::{id}");
        }
    }
}
