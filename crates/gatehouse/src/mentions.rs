//! Names in policies that nothing has: a policy about them never applies, and a `forbid` that never applies protects
//! nothing.
//!
//! Knows how an entity is written in Cedar, and where a comment begins; must not know what policies mean.

use std::collections::BTreeSet;

use gatehouse_policy::PolicySource;

use crate::load::Fault;

/// What there is, by the entity's type.
pub(crate) struct Known {
    pub(crate) targets: BTreeSet<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) users: BTreeSet<String>,
    pub(crate) agents: BTreeSet<String>,
    pub(crate) classes: BTreeSet<String>,
    /// Types whose names a provider may bring when somebody signs in, so that none is strange.
    pub(crate) brought: Vec<&'static str>,
}

/// Types whose ids begin with the name of a target and a slash.
const WITHIN_TARGETS: [&str; 5] = ["Schema", "Table", "Column", "Function", "Setting"];

impl Known {
    /// A warning for each name that nothing has.
    pub(crate) fn strangers(&self, sources: &[PolicySource], shown: impl Fn(&str) -> String) -> Vec<Fault> {
        let mut faults = Vec::new();
        for source in sources {
            for (number, line) in source.text.lines().enumerate() {
                for (kind, id) in mentions(line) {
                    faults.extend(self.fault(kind, id).map(|(message, remedy)| Fault {
                        file: shown(&source.name),
                        line: Some(number + 1),
                        message,
                        remedy,
                    }));
                }
            }
        }
        faults
    }

    /// A name with too few parts is that of nothing, whatever there is.
    fn misshapen(&self, kind: &str, id: &str) -> Option<(String, String)> {
        let (_, parts, shape) = SHAPES.iter().find(|(shaped, ..)| *shaped == kind)?;
        let (_, name) = id.split_once('/')?;
        (name.split('.').count() < *parts).then(|| {
            (
                format!("no {kind} is called \"{id}\", so what is said of it never applies"),
                format!("Write {kind}::\"{shape}\""),
            )
        })
    }

    fn fault(&self, kind: &str, whole: &str) -> Option<(String, String)> {
        let id = whole;
        let (word, known, id) = match kind {
            "Target" => ("target", &self.targets, id),
            "Group" => ("group", &self.groups, id),
            "User" => ("user", &self.users, id),
            "Agent" => ("agent", &self.agents, id),
            "Class" => ("class", &self.classes, id),
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

/// How the ids of things in a database are written.
const SHAPES: [(&str, usize, &str); 3] = [
    ("Table", 2, "TARGET/SCHEMA.TABLE"),
    ("Function", 2, "TARGET/SCHEMA.FUNCTION"),
    ("Column", 3, "TARGET/SCHEMA.TABLE.COLUMN"),
];

/// The entities that a line names, as type and id.
fn mentions(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("::\"").filter_map(move |(at, mark)| {
        let before = code.get(..at)?;
        let begin = before.rfind(|letter: char| !letter.is_ascii_alphanumeric()).map_or(0, |place| place + 1);
        let (id, _) = code.get(at + mark.len()..)?.split_once('"')?;
        Some((before.get(begin..)?, id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_named_with_their_lines() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let known = Known {
            targets: set(&["app"]),
            groups: set(&["agents"]),
            users: set(&[]),
            agents: set(&["claude"]),
            classes: set(&["email"]),
            brought: vec!["User"],
        };
        let text = "permit (principal in Group::\"agent\",\n action in [Action::\"connect\"], resource in Target::\"ap\");\n\
                    // Group::\"nobody\"\nforbid (principal == Agent::\"claude\", action, resource == Table::\"apx/public.t\");\n\
                    permit (principal == User::\"dana@corp.example\", action, resource);";
        let source = PolicySource { name: "a.cedar".into(), text: text.into() };
        let shapes = PolicySource {
            name: "b.cedar".into(),
            text: "Table::\"app/orders\" Table::\"app/public.orders\" Column::\"app/public.orders\" Schema::\"app/public\"".into(),
        };
        let misshapen: Vec<String> =
            known.strangers(&[shapes], str::to_string).iter().map(ToString::to_string).collect();
        assert_eq!(misshapen.len(), 2, "{misshapen:?}");
        assert!(misshapen[0].contains("no Table is called \"app/orders\""), "{}", misshapen[0]);
        assert!(misshapen[1].contains("Write Column::\"TARGET/SCHEMA.TABLE.COLUMN\""), "{}", misshapen[1]);
        let said: Vec<String> = known.strangers(&[source], str::to_string).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].starts_with("a.cedar:1: there is no group \"agent\""), "{}", said[0]);
        assert!(said[1].starts_with("a.cedar:2: there is no target \"ap\""), "{}", said[1]);
        assert!(said[2].starts_with("a.cedar:4: there is no target \"apx\""), "{}", said[2]);
    }
}
