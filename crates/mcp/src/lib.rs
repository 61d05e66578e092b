//! MCP, the Model Context Protocol, over Streamable HTTP: what a client's messages ask for, and what of a server's is shown.
//!
//! It rides on HTTP: <https://modelcontextprotocol.io/specification>, revisions 2025-03-26 to 2026-07-28. Messages are read as
//! JSON, not into types of a library, for what was judged goes on to the byte, with what no type knows. Must not know policies,
//! sockets or who asks.

mod asked;
mod message;
mod rider;
mod screen;
#[cfg(test)]
mod tests;
mod uri;

use std::sync::Arc;

use bytes::BytesMut;
use gatehouse_model::TargetName;
use gatehouse_protocol::{
    Archive, Carriage, Exchanges, HttpFacts, Opening, Protocol, Session, SurveyFacts, Transcript,
};

/// Where servers are asked that say nothing else.
const ENDPOINT: &str = "/mcp";

/// MCP, as the registry holds it.
#[derive(Debug, Default)]
pub struct Mcp;

impl Protocol for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn schema(&self) -> &'static str {
        include_str!("mcp.cedarschema")
    }

    fn application_protocols(&self) -> &'static [&'static [u8]] {
        &[b"h2", b"http/1.1"]
    }

    fn carriage(self: Arc<Self>) -> Carriage {
        Carriage::Exchanges(self)
    }

    fn session(&self, opening: Opening) -> Box<dyn Session> {
        let rider = rider::McpRider::new(&opening.target, &opening.bond);
        gatehouse_http::session(opening, Some(Box::new(rider)))
    }

    /// A message, or the name of a tool with its arguments behind it.
    fn question(&self, text: &str) -> BytesMut {
        let text = text.trim();
        let call = |text: &str| {
            let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, "{}"));
            let name = serde_json::Value::from(name);
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name},"arguments":{arguments}}}}}"#
            )
        };
        let message = if text.starts_with('{') { text.into() } else { call(text) };
        gatehouse_http::whole_request("POST /", [("content-type", "application/json")].into_iter(), &message)
    }

    fn name_of_bind(&self, bind: &str, is_exact: bool) -> Option<&'static str> {
        Some(gatehouse_http::name_of_bind(bind, is_exact))
    }

    fn transcript(&self) -> Box<dyn Transcript> {
        gatehouse_http::transcript()
    }
}

impl Exchanges for Mcp {
    fn learn(&self, _: &TargetName, mut described: HttpFacts) -> Result<SurveyFacts, &'static str> {
        if described.endpoints.is_some() {
            return Err("openapi");
        }
        if !described.graphql.is_empty() {
            return Err("graphql");
        }
        // Nothing that rides passes unread.
        if described.passes_opaque {
            return Err("opaque_bodies");
        }
        if described.rewrites_links {
            return Err("rewrite_links");
        }
        // It is asked at one path, and by what its messages say.
        if !described.headers.is_empty() {
            return Err("headers");
        }
        if described.ignores_case {
            return Err("ignore_case");
        }
        if described.keeps_slashes {
            return Err("encoded_slashes");
        }
        described.endpoint.get_or_insert_with(|| ENDPOINT.into());
        Ok(Arc::new(described))
    }

    fn archive(&self, target: &TargetName) -> Box<dyn Archive> {
        gatehouse_http::archive(target)
    }
}
