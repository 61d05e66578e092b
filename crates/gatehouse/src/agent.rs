//! The gateway as an MCP server: for agents that speak nothing else.
//!
//! What they ask for goes the way of everybody's: a task is started where tasks are, and statements and requests go to the
//! gateway's own listeners with that task's credential. Nothing here is permitted that is not permitted there.

mod access;
mod desk;
mod work;

use std::sync::Arc;

use anyhow::Result;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{Reach, WhoArgs};
use crate::client::Client;
use crate::control::ApiControl;
use crate::state::State;

pub(crate) use desk::Desks;
use desk::{Desk, HttpAsked, Wanted};

/// What a model is told of all this.
const INSTRUCTIONS: &str = "Gatehouse stands between you and infrastructure. Ask for access to a target first, with the reason \
    for which you need it; then query it or send it requests. Some things wait for a person: you are told the id of the request, and \
    wait_for_approval gives the result once it is approved. What is masked stays masked: do not try to get round it.";

/// An MCP server for one caller, or for many.
#[derive(Clone)]
pub(crate) struct Agent {
    whose: Whose,
    tool_router: ToolRouter<Self>,
}

#[derive(Clone)]
enum Whose {
    /// Of the process that started it.
    One(Arc<Desk>),
    /// Of whoever proves who they are with each call.
    Each(Arc<Desks>),
}

/// The path under which the control API serves MCP.
const AT: &str = "/mcp";
/// Where its clients find out who gives tokens for it (RFC 9728).
const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

/// The part of the control API that speaks MCP, with agents that show a token of their workload's or a static key. Each call says
/// whose it is, so that there are no sessions to take over.
pub(crate) fn router(state: &Arc<State>) -> Router {
    let desks = Arc::new(Desks::new(ApiControl::new(state.clone())));
    let hosts = state.api_address().and_then(|url| url.parse::<Uri>().ok()?.authority().map(ToString::to_string));
    let hosts = hosts.into_iter().chain(["localhost", "127.0.0.1", "[::1]"].map(String::from));
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .enforce_origin_validation();
    let served = move || Ok(Agent::for_each(desks.clone()));
    let service = StreamableHttpService::new(served, Arc::new(LocalSessionManager::default()), config);
    let described = state.clone();
    Router::new()
        .nest_service(AT, service)
        .layer(from_fn_with_state(state.clone(), must_show))
        .route(METADATA, get(async move || described_by(&described)))
}

/// Whoever shows nothing is told who gives tokens.
async fn must_show(asked: axum::extract::State<Arc<State>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    let base = asked.api_address().unwrap_or_default();
    let challenge = format!("Bearer realm=\"gatehouse\", resource_metadata=\"{base}{METADATA}\"");
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response()
}

fn described_by(state: &State) -> Json<Value> {
    let base = state.api_address().unwrap_or_default();
    Json(json!({
        "resource": format!("{base}{AT}"),
        "authorization_servers": [base],
        "bearer_methods_supported": ["header"],
    }))
}

/// Serves MCP on standard input and output until its client closes them.
pub(crate) async fn serve_stdio(reach: &Reach, who: WhoArgs) -> Result<()> {
    let access = access::ByClient::new(Client::new(reach)?, who);
    let desk = Arc::new(Desk::new(Box::new(access), String::new()));
    let served = Agent::new(Whose::One(desk.clone())).serve(rmcp::transport::stdio()).await?;
    let outcome = served.waiting().await;
    desk.end().await;
    outcome?;
    Ok(())
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Access {
    /// The names of the targets, as list_targets has them.
    targets: Vec<String>,
    /// What the work is for. A person may read it.
    reason: String,
    /// For how many minutes; 30 if it is not given.
    minutes: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Query {
    /// The name of a target that speaks postgres.
    target: String,
    /// The SQL.
    sql: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Approval {
    /// The id of the request.
    request: String,
    /// How long to wait, in seconds, at most 50.
    seconds: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct EndAccess {
    /// The id of the task that request_access gave.
    task: String,
}

#[tool_router]
impl Agent {
    fn new(whose: Whose) -> Self {
        Self { whose, tool_router: Self::tool_router() }
    }

    /// The server of all who prove who they are.
    pub(crate) fn for_each(desks: Arc<Desks>) -> Self {
        Self::new(Whose::Each(desks))
    }

    async fn desk(&self, context: &RequestContext<RoleServer>) -> Result<Arc<Desk>> {
        match &self.whose {
            Whose::One(desk) => Ok(desk.clone()),
            Whose::Each(desks) => desks.of(context.extensions.get::<Parts>()).await,
        }
    }

    /// Shows the targets that access can be asked for, and what they speak.
    #[tool(annotations(read_only_hint = true))]
    async fn list_targets(&self, context: RequestContext<RoleServer>) -> Result<CallToolResult, ErrorData> {
        told(async { self.desk(&context).await?.targets().await }.await)
    }

    /// Asks for access to targets, for a reason and a time. Where a person must approve it, the answer is the id of a request to
    /// wait for.
    #[tool]
    async fn request_access(
        &self,
        Parameters(Access { targets, reason, minutes }): Parameters<Access>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let wanted = Wanted { targets, reason, ttl_secs: minutes.map(|minutes| minutes.saturating_mul(60)) };
        told(async { self.desk(&context).await?.request_access(wanted).await }.await)
    }

    /// Runs SQL on a target that speaks postgres, and gives its rows. One statement at a time is best.
    #[tool]
    async fn query(
        &self,
        Parameters(Query { target, sql }): Parameters<Query>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        told(async { self.desk(&context).await?.query(target, sql).await }.await)
    }

    /// Sends an HTTP request to a target that speaks http. Leave credentials out: the gateway has them.
    #[tool]
    async fn http_request(
        &self,
        Parameters(asked): Parameters<HttpAsked>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        told(async { self.desk(&context).await?.http_request(asked).await }.await)
    }

    /// Waits until a person has answered a request, and gives what was asked for.
    #[tool]
    async fn wait_for_approval(
        &self,
        Parameters(Approval { request, seconds }): Parameters<Approval>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        told(async { self.desk(&context).await?.wait_for(request, seconds).await }.await)
    }

    /// Gives access back before its time is over.
    #[tool]
    async fn end_access(
        &self,
        Parameters(EndAccess { task }): Parameters<EndAccess>,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        told(async { self.desk(&context).await?.end_access(&task).await }.await)
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Agent {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("gatehouse", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}

/// Models read what tools say, also of what went wrong.
fn told(outcome: Result<Value>) -> Result<CallToolResult, ErrorData> {
    Ok(match outcome {
        Ok(value) => CallToolResult::structured(value),
        Err(error) => CallToolResult::error(vec![ContentBlock::text(format!("{error:#}"))]),
    })
}
