//! What a client's message asks for.

use gatehouse_model::{Access, Action, Denial, Effect, Parent, Reason, Resource, TargetName, kind};
use serde_json::{Map, Value};

use crate::message::{Message, is_nearly};
use crate::uri::must_be_plain;

const SESSION: Action = Action::new("mcp:session");
const LIST: Action = Action::new("mcp:list");
const TASK: Action = Action::new("mcp:task");
const CANCEL: Action = Action::new("mcp:cancel");
const RESOURCE: Action = Action::new("mcp:resource");
const PROMPT: Action = Action::new("mcp:prompt");
const COMPLETE: Action = Action::new("mcp:complete");
const CALL: Action = Action::new("mcp:call");
const OFFER: Action = Action::new("mcp:offer");
const SAMPLE: Action = Action::new("mcp:sample");
const ELICIT: Action = Action::new("mcp:elicit");
const ROOTS: Action = Action::new("mcp:roots");
const OTHER: Action = Action::new("mcp:other");

/// What clients tell their servers.
const TOLD: [&str; 5] = [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "notifications/tasks/status",
];
/// What servers tell their clients.
const TOLD_BY_SERVERS: [&str; 10] = [
    "notifications/cancelled",
    "notifications/progress",
    "notifications/message",
    "notifications/resources/updated",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/tasks/status",
    "notifications/elicitation/complete",
    "notifications/subscriptions/acknowledged",
];

/// The parameters that say what is asked.
const TELLING: [&str; 8] =
    ["arguments", "inputResponses", "name", "notifications", "ref", "resourceSubscriptions", "type", "uri"];

pub(crate) fn not_understood(why: &str, hint: &str) -> Denial {
    Denial::new(Reason::NotUnderstood, "the message is not passed on", why, hint)
}

/// The accesses of a server's targets.
pub(crate) struct Accesses<'t> {
    pub(crate) target: &'t TargetName,
}

impl Accesses<'_> {
    fn at_target(&self, action: Action) -> Access {
        Access::new(action, Resource::root(kind::TARGET, self.target.as_str()))
    }

    fn on(&self, action: Action, kind_of: &'static str, name: &str) -> Access {
        let within = Parent { kind: kind::TARGET, id: self.target.as_str().into() };
        Access::new(action, Resource::new(kind_of, &format!("{}/{name}", self.target), [within]))
    }

    /// What is asked where there is no message: to be told what the server says by itself, and to end.
    pub(crate) fn without_message(&self) -> Vec<Access> {
        vec![self.at_target(SESSION)]
    }

    pub(crate) fn of(&self, message: &Message<'_>) -> Result<Vec<Access>, Denial> {
        let (method, params) = match message {
            Message::Request { method, params, .. } => (*method, *params),
            Message::Notification { method, .. } => {
                let action = if TOLD.contains(method) { SESSION } else { OTHER };
                return Ok(vec![self.at_target(action)]);
            }
            Message::Response { result: None, .. } => return Ok(vec![self.at_target(SESSION)]),
            Message::Response { result: Some(result), .. } => return Ok(self.answered(result)),
        };
        must_be_exact(params)?;
        let text = |name: &str| {
            let text = params.and_then(|params| params.get(name)).and_then(Value::as_str);
            text.ok_or_else(|| not_understood(&format!("`{method}` has no `params.{name}`"), "Name what is meant"))
        };
        let mut accesses = vec![match method {
            "initialize" | "ping" | "server/discover" | "logging/setLevel" | "subscriptions/listen" => {
                self.at_target(SESSION)
            }
            "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => self.at_target(LIST),
            "tools/call" => self.on(CALL, "Tool", text("name")?),
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                let uri = text("uri")?;
                must_be_plain(uri)?;
                self.on(RESOURCE, "McpResource", uri)
            }
            "prompts/get" => self.on(PROMPT, "Prompt", text("name")?),
            "completion/complete" => self.completed(params)?,
            "tasks/get" | "tasks/result" | "tasks/list" => self.at_target(TASK),
            "tasks/cancel" | "tasks/update" => self.at_target(CANCEL),
            _ => self.at_target(OTHER),
        }];
        accesses.extend(self.listened(params)?);
        // What a server asked in its last answer is answered when it is asked again (revision 2026-07-28).
        match params.and_then(|params| params.get("inputResponses")) {
            None => {}
            Some(Value::Object(answers)) => {
                for answer in answers.values() {
                    let answer = answer.as_object();
                    accesses.extend(answer.map_or_else(|| vec![self.at_target(OTHER)], |answer| self.answered(answer)));
                }
            }
            Some(_) => return Err(not_understood("`params.inputResponses` is no object", "Write it as MCP has it")),
        }
        Ok(accesses)
    }

    /// Who listens may name what is listened to (revision 2026-07-28).
    fn listened(&self, params: Option<&Map<String, Value>>) -> Result<Vec<Access>, Denial> {
        let mut accesses = Vec::new();
        let listens = params.and_then(|params| params.get("notifications"));
        let within = match listens {
            None | Some(Value::Null) => None,
            Some(Value::Object(within)) => {
                must_be_exact(Some(within))?;
                within.get("resourceSubscriptions")
            }
            Some(_) => return Err(not_understood("`params.notifications` is no object", "Write it as MCP has it")),
        };
        for subscribed in [params.and_then(|params| params.get("resourceSubscriptions")), within].into_iter().flatten()
        {
            match subscribed {
                Value::Null => {}
                Value::Array(uris) => {
                    for uri in uris {
                        let uri = uri
                            .as_str()
                            .ok_or_else(|| not_understood("a resource has no URI", "Name it by its URI"))?;
                        must_be_plain(uri)?;
                        accesses.push(self.on(RESOURCE, "McpResource", uri));
                    }
                }
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    accesses.push(self.at_target(OTHER));
                }
            }
        }
        Ok(accesses)
    }

    fn completed(&self, params: Option<&Map<String, Value>>) -> Result<Access, Denial> {
        let of = params.and_then(|params| params.get("ref")).and_then(Value::as_object);
        must_be_exact(of)?;
        let text = |name: &str| of.and_then(|of| of.get(name)).and_then(Value::as_str);
        match (text("type"), text("name"), text("uri")) {
            (Some("ref/prompt"), Some(name), None) => Ok(self.on(COMPLETE, "Prompt", name)),
            (Some("ref/resource"), None, Some(uri)) => {
                must_be_plain(uri)?;
                Ok(self.on(COMPLETE, "McpResource", uri))
            }
            _ => Err(not_understood("it does not say clearly what is to be completed", "Name one prompt or resource")),
        }
    }

    /// What the answer to a server's request gives it. By what it holds, for the server decides which request it answers.
    fn answered(&self, result: &Map<String, Value>) -> Vec<Access> {
        let mut accesses = Vec::new();
        for key in result.keys() {
            let action = match key.as_str() {
                "_meta" => continue,
                "roots" => ROOTS,
                "action" => ELICIT,
                // A form's values are called `content` too, and stand beside `action`.
                "content" if result.contains_key("action") => ELICIT,
                "model" | "role" | "content" | "stopReason" => SAMPLE,
                _ => OTHER,
            };
            accesses.push(self.at_target(action));
        }
        accesses.dedup();
        if accesses.is_empty() { vec![self.at_target(SESSION)] } else { accesses }
    }

    /// What it takes to be asked for something by the server.
    pub(crate) fn asked_by_server(&self) -> Access {
        self.at_target(ELICIT)
    }

    /// What it takes for a client to hear a message that its server sends by itself; `None` where that is said to everybody.
    pub(crate) fn heard(&self, method: &str) -> Option<Access> {
        match method {
            "ping" => None,
            told if TOLD_BY_SERVERS.contains(&told) => None,
            "sampling/createMessage" => Some(self.at_target(SAMPLE)),
            "elicitation/create" => Some(self.at_target(ELICIT)),
            "roots/list" => Some(self.at_target(ROOTS)),
            "tasks/get" | "tasks/result" | "tasks/list" | "tasks/cancel" => Some(self.at_target(TASK)),
            _ => Some(self.at_target(OTHER)),
        }
    }

    /// What lets something be shown in a list: either of these.
    pub(crate) fn listed(&self, list: List, name: &str) -> [Access; 2] {
        let (action, kind_of) = match list {
            List::Tools => (CALL, "Tool"),
            List::Resources | List::Templates => (RESOURCE, "McpResource"),
            List::Prompts => (PROMPT, "Prompt"),
        };
        [self.on(action, kind_of, name), self.on(OFFER, kind_of, name)]
    }
}

/// Refuses names that some servers take for those that say what is asked.
fn must_be_exact(params: Option<&Map<String, Value>>) -> Result<(), Denial> {
    let odd = params.and_then(|params| params.keys().find(|name| is_nearly(name, &TELLING)));
    match odd {
        None => Ok(()),
        Some(name) => Err(not_understood(
            &format!("there are servers that take `{name}` for another name"),
            "Write names as MCP has them",
        )),
    }
}

/// What servers list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Tools,
    Resources,
    Templates,
    Prompts,
}

impl List {
    pub(crate) const ALL: [Self; 4] = [Self::Tools, Self::Resources, Self::Templates, Self::Prompts];

    /// Where in a result the list stands, and what in one of its entries says which it is.
    pub(crate) const fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Tools => ("tools", "name"),
            Self::Resources => ("resources", "uri"),
            Self::Templates => ("resourceTemplates", "uriTemplate"),
            Self::Prompts => ("prompts", "name"),
        }
    }
}

/// Whether a message can change anything at the server.
pub(crate) fn effect(accesses: &[Access]) -> Effect {
    let is_harmless = |access: &Access| [SESSION, LIST, TASK, RESOURCE, PROMPT, COMPLETE].contains(&access.action);
    if accesses.iter().all(is_harmless) { Effect::Read } else { Effect::Write }
}
