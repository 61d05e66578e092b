//! What a client asks for its session when it connects: settings, options of the server's command line, replication.
//!
//! Knows which settings every driver asks for, and so nobody needs leave for. Everything else is a `SET` like any other,
//! and wants what that wants.

use gatehouse_model::{Access, Denial, Effect, Facts, Intent, Reason, Repacks, Resource, TargetName, kind};

use crate::analysis::{SearchPath, action, setting_accesses};

/// What a client may set at its login without anybody's leave, for drivers ask for it by themselves. What of it changes
/// the meaning of constants is bound to approvals all the same.
const NEEDS_NO_PERMIT: [&str; 6] =
    ["application_name", "client_encoding", "datestyle", "extra_float_digits", "intervalstyle", "timezone"];

/// Settings that change no statement's meaning: an approval is good whatever they are.
const MEANS_NOTHING: [&str; 4] = ["application_name", "client_encoding", "enable_indexonlyscan", "enable_indexscan"];

/// The wishes, understood.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Settings by name, in the order in which the server takes them over.
    settings: Vec<(String, String)>,
    /// The connection speaks the commands of replication.
    pub(crate) replication: Replication,
    /// The client's own word for that.
    replication_word: Option<String>,
}

/// Whether a connection is one for replication.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Replication {
    /// It is an ordinary one.
    #[default]
    No,
    /// It is for replication, of a database or of the whole server.
    Yes,
}

impl Wishes {
    /// Reads the parameters of a startup packet.
    pub(crate) fn read(parameters: &[(String, String)]) -> Result<Self, Denial> {
        let mut wishes = Self::default();
        // The server takes over what the options set before anything else.
        for (_, value) in parameters.iter().filter(|(name, _)| name == "options") {
            wishes.options(value)?;
        }
        for (name, value) in parameters {
            match name.as_str() {
                "options" => {}
                "replication" => {
                    wishes.replication = replication(value)?;
                    wishes.replication_word = Some(value.clone());
                }
                setting => wishes.settings.push((setting.to_ascii_lowercase(), value.clone())),
            }
        }
        Ok(wishes)
    }

    /// The command line of a server process, as far as it sets something: `-c name=value`, `-cname=value`, `--name=value`.
    fn options(&mut self, text: &str) -> Result<(), Denial> {
        let mut words = words(text).into_iter();
        while let Some(word) = words.next() {
            let assignment = if word == "-c" {
                words.next().ok_or_else(|| not_understood("options", "-c has nothing behind it"))?
            } else if let Some(rest) = word.strip_prefix("--").or_else(|| word.strip_prefix("-c")) {
                rest.to_string()
            } else {
                return Err(not_understood("options", &format!("{word} sets nothing")));
            };
            let (name, value) = assignment
                .split_once('=')
                .ok_or_else(|| not_understood("options", &format!("{assignment} has no value")))?;
            self.settings.push((name.replace('-', "_").to_ascii_lowercase(), value.to_string()));
        }
        Ok(())
    }

    /// What the wishes want.
    pub(crate) fn intent(&self, target: &TargetName) -> Intent {
        let mut accesses: Vec<Access> = Vec::new();
        let asked = || self.settings.iter().filter(|(name, _)| !NEEDS_NO_PERMIT.contains(&name.as_str()));
        for (name, _) in asked() {
            accesses.extend(setting_accesses(target, name));
        }
        if self.replication == Replication::Yes {
            accesses.push(Access::new(action::REPLICATION, Resource::root(kind::TARGET, target.as_str())));
        }
        accesses.sort();
        accesses.dedup();
        let mut words: Vec<String> = asked().map(|(name, value)| format!("{name} = {value}")).collect();
        if self.replication == Replication::Yes {
            words.push("replication".into());
        }
        let text = words.join("; ");
        Intent {
            title: "CONNECT".into(),
            statement: text.as_str().into(),
            evidence: text.into(),
            accesses,
            facts: Facts::new(),
            effect: Effect::Read,
            only_ends: false,
            names: Vec::new(),
            repacks: Repacks::Classes(Vec::new()),
            unclear: None,
        }
    }

    /// What the target is told: every setting by its own name, so that nothing is left for it to read otherwise than it
    /// was read here.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        settings.chain(self.replication_word.as_deref().map(|word| ("replication", word)))
    }

    /// The settings that may change what a statement means, for approvals to bind to.
    pub(crate) fn state(&self) -> impl Iterator<Item = (String, String)> {
        let telling = self.settings.iter().filter(|(name, _)| !MEANS_NOTHING.contains(&name.as_str()));
        telling.map(|(name, value)| (format!("asked at login: {name}"), value.clone()))
    }

    /// Where unqualified names are looked up, given where they are without any wishes.
    pub(crate) fn path(&self, otherwise: SearchPath) -> SearchPath {
        let moves = ["search_path", "role", "session_authorization"];
        if self.settings.iter().any(|(name, _)| moves.contains(&name.as_str())) {
            SearchPath::Uncertain
        } else {
            otherwise
        }
    }
}

fn replication(value: &str) -> Result<Replication, Denial> {
    let value = value.to_ascii_lowercase();
    let is_prefix_of = |word: &str| !value.is_empty() && word.starts_with(&value);
    if ["database", "on", "1"].contains(&value.as_str()) || is_prefix_of("true") || is_prefix_of("yes") {
        Ok(Replication::Yes)
    } else if ["", "off", "0"].contains(&value.as_str()) || is_prefix_of("false") || is_prefix_of("no") {
        Ok(Replication::No)
    } else {
        Err(not_understood("replication", "it is neither a truth value nor `database`"))
    }
}

/// Splits at white space; a backslash takes the next character as it is.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.get_or_insert_default().extend(letters.next()),
            // The vertical tab is white space to the server.
            space if space.is_ascii_whitespace() || space == '\u{b}' => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

fn not_understood(parameter: &str, cause: &str) -> Denial {
    Denial::new(
        Reason::Login,
        format!("the connection parameter \"{parameter}\" is not understood"),
        cause,
        "Leave it out and use SET after connecting, where policy permits it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameters: &[(&str, &str)], expected: &str) {
        let parameters: Vec<(String, String)> =
            parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let target = TargetName::new("shop").unwrap();
        let shown = match Wishes::read(&parameters) {
            Ok(wishes) => {
                let intent = wishes.intent(&target);
                let accesses: Vec<String> = intent.accesses.iter().map(ToString::to_string).collect();
                format!("{} | {}", intent.statement, accesses.join(", "))
            }
            Err(denial) => format!("{}: {}", denial.message, denial.detail),
        };
        assert_eq!(shown, expected, "{parameters:?}");
    }

    #[test]
    fn wishes_want_what_their_settings_want() {
        check(&[("application_name", "x"), ("DateStyle", "ISO"), ("client_encoding", "LATIN1")], " | ");
        check(&[("search_path", "a, b")], "search_path = a, b | sql:set on Setting shop/search_path");
        check(
            &[("options", r"-c role=boss --statement-timeout=5s -cwork_mem=1\ MB")],
            "role = boss; statement_timeout = 5s; work_mem = 1 MB | sql:admin on Target shop, sql:set on Setting shop/role, \
             sql:set on Setting shop/statement_timeout, sql:set on Setting shop/work_mem",
        );
        check(&[("replication", "database")], "replication | sql:replication on Target shop");
        check(&[("replication", "off")], " | ");
        check(
            &[("replication", "maybe")],
            "the connection parameter \"replication\" is not understood: it is neither a truth value nor `database`",
        );
        check(&[("options", "-d 5")], "the connection parameter \"options\" is not understood: -d sets nothing");
        check(&[("options", "-c")], "the connection parameter \"options\" is not understood: -c has nothing behind it");
        check(&[("options", "--bare")], "the connection parameter \"options\" is not understood: bare has no value");
    }
}
