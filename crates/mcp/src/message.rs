//! Messages of JSON-RPC 2.0, as far as it takes to judge them.

use gatehouse_http::folded;
use serde_json::{Map, Value};

/// What a message may have.
const MEMBERS: [&str; 6] = ["error", "id", "jsonrpc", "method", "params", "result"];

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message<'m> {
    /// It wants an answer.
    Request { id: &'m Value, method: &'m str, params: Option<&'m Map<String, Value>> },
    /// It wants none.
    Notification { method: &'m str, params: Option<&'m Map<String, Value>> },
    /// The answer to a request of the other side: its result, or an error.
    Response { result: Option<&'m Map<String, Value>>, error: Option<&'m Map<String, Value>> },
}

impl<'m> Message<'m> {
    /// `None` if readers may differ on what it is.
    pub(crate) fn read(value: &'m Value) -> Option<Self> {
        let message = value.as_object()?;
        let is_known = message.keys().all(|member| MEMBERS.contains(&member.as_str()));
        if !is_known || message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return None;
        }
        // There are those who write out what is not there.
        let there = |member: &str| message.get(member).filter(|value| !value.is_null());
        let object = |value: Option<&'m Value>| match value {
            None => Some(None),
            Some(value) => value.as_object().map(Some),
        };
        let id = there("id");
        if !id.is_none_or(|id| id.is_string() || id.is_i64() || id.is_u64()) {
            return None;
        }
        let (params, result, error) = (object(there("params"))?, object(there("result"))?, object(there("error"))?);
        match (there("method"), id, result, error) {
            (Some(method), Some(id), None, None) => Some(Self::Request { id, method: method.as_str()?, params }),
            (Some(method), None, None, None) if !message.contains_key("id") => {
                Some(Self::Notification { method: method.as_str()?, params })
            }
            (None, Some(_), Some(_), None) | (None, _, None, Some(_)) if params.is_none() => {
                Some(Self::Response { result, error })
            }
            (Some(_) | None, _, _, _) => None,
        }
    }
}

/// Whether a name is one of these to readers who take no notice of the size of letters, and to no others.
pub(crate) fn is_nearly(name: &str, of: &[&str]) -> bool {
    !of.contains(&name) && of.iter().any(|other| folded(name) == folded(other))
}
