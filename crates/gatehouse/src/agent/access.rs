//! Where tasks are started: over the control API, as everybody does, or inside of the gateway with a token.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use gatehouse_api::{EndTask, Exchange, Issues, NewTask, RequestView, Shows, StartedTaskView, TargetView, TaskView};
use gatehouse_identity::ApiKey;
use gatehouse_model::{RequestId, Secret};
use serde::Deserialize;

use super::desk::{Lease, Seen, Wanted};
use crate::cli::WhoArgs;
use crate::client::Client;
use crate::control::ApiControl;
use crate::run::{HEARTBEAT_SECS, give_signs_of_life};

/// Who lets a caller work.
pub(super) trait Access: Send + Sync {
    /// What access can be asked for.
    fn targets(&self) -> BoxFuture<'_, Result<Vec<Seen>>>;

    /// Asks for a task.
    fn start<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Begun>>;

    /// What became of a request.
    fn state<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Answered>>;

    /// Ends a task.
    fn end<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<()>>;
}

/// What comes of asking for a task.
pub(super) enum Begun {
    Started(Box<Lease>),
    /// A person is asked, by this request.
    Asked(String),
}

/// What became of a request.
pub(super) struct Answered {
    pub(super) state: String,
    pub(super) reason: Option<String>,
}

/// Over the control API.
pub(super) struct ByClient {
    client: Arc<Client>,
    who: WhoArgs,
}

impl ByClient {
    pub(super) fn new(client: Client, who: WhoArgs) -> Self {
        Self { client: Arc::new(client), who }
    }
}

/// What the API answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum TaskAnswer {
    Started(Box<StartedTaskView>),
    Asked(Box<RequestView>),
}

impl Access for ByClient {
    fn targets(&self) -> BoxFuture<'_, Result<Vec<Seen>>> {
        async {
            let targets: Vec<TargetView> = self.client.get("/api/v1/targets").await?;
            Ok(targets.into_iter().map(|target| Seen { name: target.name, protocol: target.protocol }).collect())
        }
        .boxed()
    }

    fn start<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Begun>> {
        async {
            let task = NewTask {
                identity: self.who.identity.clone(),
                on_behalf_of: self.who.on_behalf_of.clone(),
                targets: wanted.targets.clone(),
                reason: wanted.reason.clone(),
                ttl_secs: wanted.ttl_secs.unwrap_or(super::desk::TASK_SECS),
                heartbeat_secs: Some(HEARTBEAT_SECS),
                budget: None,
            };
            Ok(match self.client.post("/api/v1/tasks", &task).await? {
                TaskAnswer::Asked(request) => Begun::Asked(request.id),
                TaskAnswer::Started(started) => {
                    let (client, task) = (self.client.clone(), started.task.id.clone());
                    let alive = tokio::spawn(async move { drop(give_signs_of_life(&client, &task).await) });
                    Begun::Started(Box::new(Lease {
                        task: started.task.id,
                        expires: started.task.expires,
                        user: started.user,
                        password: Secret::new(started.password),
                        addresses: started.addresses,
                        protocols: started.protocols,
                        root_certificates: started.root_certificates,
                        alive: Some(alive.abort_handle()),
                    }))
                }
            })
        }
        .boxed()
    }

    fn state<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Answered>> {
        async move {
            let id = RequestId::parse(request).map_err(|_| anyhow!("`{request}` is no request's id"))?;
            let request: RequestView = self.client.get(&format!("/api/v1/requests/{id}")).await?;
            Ok(Answered { state: request.state, reason: request.answer_reason })
        }
        .boxed()
    }

    fn end<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        async {
            let end = EndTask { cause: "done".into(), reason: None };
            let _: TaskView = self.client.post(&format!("/api/v1/tasks/{}/end", lease.task), &end).await?;
            Ok(())
        }
        .boxed()
    }
}

/// By a workload's token, or a static key, that the caller shows.
pub(super) struct ByToken {
    pub(super) control: ApiControl,
    pub(super) token: Secret,
}

impl ByToken {
    /// Whose the token is.
    pub(super) async fn whose(&self) -> Result<String> {
        let found = self.control.startable(&self.exchange(Wanted::default())).await;
        found.map(|(whose, _)| whose).map_err(|error| anyhow!(error.error_description))
    }

    fn exchange(&self, wanted: Wanted) -> Exchange {
        let is_key = ApiKey::is_key(&String::from_utf8_lossy(self.token.expose()));
        Exchange {
            shows: if is_key { Shows::Key(self.token.clone()) } else { Shows::Token(self.token.clone()) },
            actor_token: None,
            client_assertion: None,
            client_id: None,
            issues: Issues::Credential,
            targets: wanted.targets,
            resources: Vec::new(),
            reason: wanted.reason,
            ttl_secs: wanted.ttl_secs,
            budget: Default::default(),
        }
    }
}

impl Access for ByToken {
    fn targets(&self) -> BoxFuture<'_, Result<Vec<Seen>>> {
        async {
            let found = self.control.startable(&self.exchange(Wanted::default())).await;
            let found = found.map_err(|error| anyhow!(error.error_description))?;
            Ok(found.1.into_iter().map(|(name, protocol)| Seen { name, protocol }).collect())
        }
        .boxed()
    }

    fn start<'a>(&'a self, wanted: &'a Wanted) -> BoxFuture<'a, Result<Begun>> {
        async {
            let started = match self.control.exchanged(self.exchange(wanted.clone())).await {
                Ok(started) => started,
                Err(error) => match error.request {
                    Some(request) => return Ok(Begun::Asked(request)),
                    None => bail!(error.error_description),
                },
            };
            let spoken = self.control.protocols();
            let protocol = |name: &String| Some((name.clone(), spoken.get(name)?.clone()));
            let protocols: BTreeMap<String, String> = started.addresses.keys().filter_map(protocol).collect();
            Ok(Begun::Started(Box::new(Lease {
                task: started.task.id,
                expires: started.task.expires,
                user: started.user,
                password: Secret::new(started.access_token),
                addresses: started.addresses,
                protocols,
                root_certificates: started.root_certificates,
                alive: None,
            })))
        }
        .boxed()
    }

    fn state<'a>(&'a self, request: &'a str) -> BoxFuture<'a, Result<Answered>> {
        async move {
            let (state, reason) =
                self.control.request_state(request).ok_or_else(|| anyhow!("there is no such request"))?;
            Ok(Answered { state, reason })
        }
        .boxed()
    }

    fn end<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, Result<()>> {
        async {
            let password = String::from_utf8_lossy(lease.password.expose()).into_owned();
            let ended = self.control.given_back(Some(&lease.user), &password).await;
            ended.map_err(|error| anyhow!(error.error_description))
        }
        .boxed()
    }
}
