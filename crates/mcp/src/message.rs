//! Messages of JSON-RPC 2.0, as far as it takes to judge them.

use serde_json::{Map, Value};

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message<'m> {
    /// It wants an answer.
    Request { id: &'m Value, method: &'m str, params: Option<&'m Map<String, Value>> },
    /// It wants none.
    Notification { method: &'m str, params: Option<&'m Map<String, Value>> },
    /// The answer to a request of the other side: its result, or none where it is an error.
    Response { result: Option<&'m Map<String, Value>> },
}

impl<'m> Message<'m> {
    /// `None` if servers may differ on what it is.
    pub(crate) fn read(value: &'m Value) -> Option<Self> {
        let message = value.as_object()?;
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return None;
        }
        let id = message.get("id");
        if !id.is_none_or(|id| id.is_string() || id.is_i64() || id.is_u64()) {
            return None;
        }
        let params = match message.get("params") {
            None => None,
            Some(params) => Some(params.as_object()?),
        };
        match (message.get("method"), id, message.get("result"), message.get("error")) {
            (Some(method), Some(id), None, None) => Some(Self::Request { id, method: method.as_str()?, params }),
            (Some(method), None, None, None) => Some(Self::Notification { method: method.as_str()?, params }),
            (None, Some(_), Some(result), None) if params.is_none() => {
                Some(Self::Response { result: Some(result.as_object()?) })
            }
            (None, Some(_), None, Some(error)) if params.is_none() && error.is_object() => {
                Some(Self::Response { result: None })
            }
            (Some(_) | None, _, _, _) => None,
        }
    }
}
