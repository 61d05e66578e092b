//! Tells others what waits for a person, and what became of it: webhooks signed by the Standard Webhooks scheme, and messages
//! for Slack and Microsoft Teams, and mail.
//!
//! Nothing waits for it. What cannot be delivered is tried again for a while; what is more than a queue holds is lost, and
//! counted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gatehouse_gate::RequestState;
use gatehouse_identity::{Fetch, FetchError, hmac};
use gatehouse_journal::{Entry, Record, RequestAnswered, RequestEnded, RequestOpened, TaskRequested};
use gatehouse_model::{RequestId, Secret};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use crate::mail::{Mail, NotTaken};
use crate::state::State;

/// Deliveries to one receiver that may be under way, those that are tried again among them.
const DELIVERIES_MAX: usize = 16;
/// The same of mail.
const MAILS_MAX: usize = 2;
/// Events that may wait for one receiver.
pub(crate) const QUEUE_EVENTS_MAX: usize = 1_000;
/// How often one event is tried, and how long is waited after the first failure. Each wait is twice the one before.
const ATTEMPTS_MAX: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What receivers are told of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Opened,
    Answered,
    Ended,
}

impl EventKind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Opened, Self::Answered, Self::Ended];

    /// Its name in the configuration and in webhooks.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "request.opened",
            Self::Answered => "request.answered",
            Self::Ended => "request.ended",
        }
    }
}

/// Something that happened, as receivers are told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    /// Which record of the journal says so.
    index: u64,
    time: Timestamp,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    /// A person must decide about an operation.
    Operation(Box<RequestOpened>),
    /// The same about a task.
    Task(Box<TaskRequested>),
    Answered(RequestAnswered),
    Ended(RequestEnded),
}

impl Event {
    /// What a record tells others, if anything.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let what = match &record.entry {
            Entry::RequestOpened(request) => What::Operation(Box::new(request.clone())),
            Entry::TaskRequested(request) => What::Task(Box::new(request.clone())),
            Entry::RequestAnswered(answer) => What::Answered(answer.clone()),
            Entry::RequestEnded(ended) => What::Ended(ended.clone()),
            _ => return None,
        };
        Some(Self { index: record.index, time: record.time, what })
    }

    fn kind(&self) -> EventKind {
        match &self.what {
            What::Operation(_) | What::Task(_) => EventKind::Opened,
            What::Answered(_) => EventKind::Answered,
            What::Ended(_) => EventKind::Ended,
        }
    }

    fn request(&self) -> &str {
        match &self.what {
            What::Operation(request) => &request.request,
            What::Task(request) => &request.request,
            What::Answered(answer) => &answer.request,
            What::Ended(ended) => &ended.request,
        }
    }

    /// The same for each attempt, so that a receiver knows what it has already.
    fn message_id(&self) -> String {
        format!("msg_{}", self.index)
    }

    /// Whether nobody needs to be told any more: it is about a request that is over by now.
    fn is_over(&self, state: &State) -> bool {
        let request = || state.gate.desk().request(&RequestId::parse(self.request()).ok()?);
        self.kind() == EventKind::Opened && request().is_none_or(|request| request.state != RequestState::Open)
    }

    /// As webhooks have it. No statement and no value is in it.
    fn data(&self) -> Value {
        match &self.what {
            What::Operation(request) => json!({
                "request": request.request, "asks_for": request.title, "identity": request.identity,
                "on_behalf_of": request.on_behalf_of, "targets": [request.target], "groups": request.groups,
                "quorum": request.quorum, "reasons": request.reasons, "expires": request.expires,
            }),
            What::Task(request) => json!({
                "request": request.request, "asks_for": "task", "identity": request.identity,
                "on_behalf_of": request.on_behalf_of, "targets": request.targets, "groups": request.groups,
                "quorum": request.quorum, "reasons": request.reasons, "reason": request.reason,
                "ttl_secs": request.ttl_secs, "expires": request.expires,
            }),
            What::Answered(answer) => json!({
                "request": answer.request, "answer": answer.answer, "by": answer.by, "reason": answer.reason,
            }),
            What::Ended(ended) => json!({ "request": ended.request, "cause": ended.cause }),
        }
    }

    /// One line for people, with the address of the request's page.
    fn line(&self, base: Option<&str>) -> String {
        let request = self.request();
        let place = base.map_or_else(|| request.into(), |base| format!("{base}/requests/{request}"));
        format!("{place} {}", self.words())
    }

    /// The same without the address.
    fn words(&self) -> String {
        let asks = |identity: &str, user: Option<&String>, what: &str, targets: &str, groups: &[String]| {
            let whom = user.map(|user| format!(" for {user}")).unwrap_or_default();
            format!("{identity}{whom} asks for {what} on {targets} and needs {}", groups.join(", "))
        };
        match &self.what {
            What::Operation(request) => {
                let RequestOpened { identity, on_behalf_of, title, target, groups, .. } = &**request;
                asks(identity, on_behalf_of.as_ref(), title, target, groups)
            }
            What::Task(request) => {
                let TaskRequested { identity, on_behalf_of, targets, groups, reason, .. } = &**request;
                asks(identity, on_behalf_of.as_ref(), "task", &targets.join(", "), groups) + &because(reason)
            }
            What::Answered(answer) => {
                format!("{} {} request {}{}", answer.by, answer.answer, answer.request, because(&answer.reason))
            }
            What::Ended(ended) => format!("request {} is {}", ended.request, ended.cause),
        }
    }
}

/// A reason, if there is one. An address in it is not one to follow.
fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {}", reason.replace("://", ": //").replace("www.", "www ."))
    }
}

/// How a receiver is reached.
#[derive(Clone)]
pub(crate) enum Channel {
    /// By a call to its address.
    Web { url: Secret, form: Form, fetch: Fetch },
    /// By mail.
    Mail(Mail),
}

/// What a receiver reads.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// JSON, signed with a key.
    Webhook(Secret),
    /// Slack's.
    Slack,
    /// Microsoft Teams'.
    Teams,
}

/// What one receiver wants to be told, and its queue.
pub(crate) struct Subscription {
    name: String,
    events: Vec<EventKind>,
    queue: mpsc::Sender<Event>,
}

impl Subscription {
    /// Puts an event into the queue, if the receiver wants it and there is room.
    pub(crate) fn tell(&self, event: &Event) {
        if self.events.contains(&event.kind()) && self.queue.try_send(event.clone()).is_err() {
            lost(&self.name);
            tracing::error!(receiver = self.name, "a notification is lost: the receiver is too slow");
        }
    }
}

fn lost(receiver: &str) {
    metrics::counter!("gatehouse_notifications_lost_total", "receiver" => receiver.to_string()).increment(1);
}

/// Somebody who is told.
#[derive(Clone)]
pub struct Receiver {
    pub(crate) name: String,
    pub(crate) events: Vec<EventKind>,
    pub(crate) channel: Channel,
}

/// The key of a webhook's secret: `whsec_` and base64, of 24 to 64 bytes (Standard Webhooks).
pub(crate) fn webhook_key(text: &str) -> Result<Secret> {
    let encoded = text.strip_prefix("whsec_").context("a webhook's secret begins with whsec_")?;
    let key = BASE64.decode(encoded.trim()).context("what follows whsec_ is base64")?;
    if !(24..=64).contains(&key.len()) {
        bail!("a webhook's secret has 24 to 64 bytes");
    }
    Ok(Secret::new(key))
}

impl Receiver {
    /// Its queue: what is put in, and what comes out.
    pub(crate) fn subscribe(&self) -> (Subscription, mpsc::Receiver<Event>) {
        let (queue, events) = mpsc::channel(QUEUE_EVENTS_MAX);
        (Subscription { name: self.name.clone(), events: self.events.clone(), queue }, events)
    }

    /// Tells the receiver of everything that it wants to know, until the runtime ends. What is tried again holds up nothing.
    pub(crate) async fn follow(self, mut events: mpsc::Receiver<Event>, state: Arc<State>) {
        let at_a_time = match &self.channel {
            Channel::Web { .. } => DELIVERIES_MAX,
            // What a mail server answers is not bounded by the library that reads it.
            Channel::Mail(_) => MAILS_MAX,
        };
        let (receiver, places) = (Arc::new(self), Arc::new(Semaphore::new(at_a_time)));
        while let Some(event) = events.recv().await {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            if event.is_over(&state) {
                continue;
            }
            let (receiver, state) = (receiver.clone(), state.clone());
            tokio::spawn(async move {
                let _place = place;
                receiver.deliver(&event, &state).await;
            });
        }
    }

    async fn deliver(&self, event: &Event, state: &State) {
        let mut wait = FIRST_WAIT;
        for attempt in 1..=ATTEMPTS_MAX {
            if attempt > 1 {
                tokio::time::sleep(wait).await;
                wait *= 2;
                if event.is_over(state) {
                    return;
                }
            }
            let base = state.api_address();
            let sent = match &self.channel {
                Channel::Web { url, form, fetch } => post(url, form, fetch, event, base.as_deref()).await,
                Channel::Mail(mail) => {
                    let text = format!("{}\n", event.line(base.as_deref()));
                    // Another data folder begins to count anew; the same message is of the same moment.
                    let id = format!("{}.{}", event.message_id(), event.time.as_microsecond());
                    mail.send(&id, &event.words(), &text).await
                }
            };
            match sent {
                Ok(()) => return,
                Err(NotTaken { cause, is_final }) => {
                    tracing::warn!(receiver = self.name, attempt, "a notification could not be delivered: {cause:#}");
                    if is_final {
                        break;
                    }
                }
            }
        }
        lost(&self.name);
        tracing::error!(receiver = self.name, kind = event.kind().as_str(), "a notification is given up");
    }
}

/// Tells a receiver by a call.
async fn post(url: &Secret, form: &Form, fetch: &Fetch, event: &Event, base: Option<&str>) -> Result<(), NotTaken> {
    let url = String::from_utf8_lossy(url.expose());
    let request = Request::post(url.as_ref()).header(header::CONTENT_TYPE, "application/json");
    let request = match form {
        Form::Webhook(key) => {
            let body =
                json!({ "type": event.kind().as_str(), "timestamp": event.time.to_string(), "data": event.data() })
                    .to_string();
            let id = event.message_id();
            let now = Timestamp::now().as_second().to_string();
            let signature = BASE64.encode(hmac(key.expose(), format!("{id}.{now}.{body}").as_bytes()));
            request
                .header("webhook-id", id)
                .header("webhook-timestamp", now)
                .header("webhook-signature", format!("v1,{signature}"))
                .body(body.into_bytes())
        }
        Form::Slack => request.body(json!({ "text": slack_text(&event.line(base)) }).to_string().into_bytes()),
        Form::Teams => request.body(teams_card(&event.line(base)).to_string().into_bytes()),
    };
    // The address of a receiver may be a secret, so it stands in no error.
    let request = request.map_err(|_| NotTaken { cause: "the address is none".into(), is_final: true })?;
    let answer = fetch(request).await;
    let failed = |error: FetchError| NotTaken { cause: error.0.replace(url.as_ref(), "…"), is_final: false };
    let status = answer.map_err(failed)?.status();
    if status.is_success() {
        return Ok(());
    }
    // What a receiver does not want it wants no better a second time, but for these.
    let is_busy = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    let is_final = status.is_client_error() && !is_busy;
    Err(NotTaken { cause: format!("the receiver answered {status}"), is_final })
}

/// What Slack must not take for its own marks.
fn slack_text(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn teams_card(line: &str) -> Value {
    // A text run, so that nothing in it is taken for Markdown.
    let text = json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": line }] });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard", "version": "1.4", "body": [text],
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Event {
        let entry = TaskRequested {
            request: "req-1".into(),
            identity: "agent:claude".into(),
            on_behalf_of: Some("user:dana".into()),
            targets: vec!["shop".into(), "bank".into()],
            reason: "see <!channel> & *fix*".into(),
            ttl_secs: 60,
            budget: None,
            by: "user:dana".into(),
            digest: "aa".into(),
            groups: vec!["dba".into()],
            quorum: std::collections::BTreeMap::new(),
            reasons: Vec::new(),
            policies: Vec::new(),
            revision: "r".into(),
            expires: "2026-01-01T00:00:00Z".into(),
        };
        Event::of(&Record::new(7, jiff::Timestamp::UNIX_EPOCH, entry.into())).unwrap()
    }

    #[test]
    fn people_read_who_asks_for_what() {
        let line = asked().line(Some("https://gw.example"));
        assert_eq!(
            line,
            "https://gw.example/requests/req-1 agent:claude for user:dana asks for task on shop, bank and needs dba: \
             see <!channel> & *fix*"
        );
        assert!(slack_text(&line).contains("see &lt;!channel&gt; &amp; *fix*"));
        assert_eq!(teams_card("x")["attachments"][0]["content"]["body"][0]["inlines"][0]["text"], "x");
        let ended = RequestEnded { request: "req-1".into(), cause: "expired".into() };
        let event = Event::of(&Record::new(8, jiff::Timestamp::UNIX_EPOCH, ended.into())).unwrap();
        assert_eq!(event.line(None), "req-1 request req-1 is expired");
        let answer = |reason: &str| RequestAnswered {
            request: "req-1".into(),
            answer: "denied".into(),
            by: "user:dana".into(),
            groups: vec!["dba".into()],
            reason: reason.into(),
            via: "browser".into(),
            expires: None,
            targets: Vec::new(),
            ttl_secs: None,
        };
        let said = |reason| Event::of(&Record::new(9, Timestamp::UNIX_EPOCH, answer(reason).into())).unwrap().words();
        assert_eq!(said("see https://evil.example"), "user:dana denied request req-1: see https: //evil.example");
        assert_eq!(said(""), "user:dana denied request req-1");
    }

    #[test]
    fn secrets_of_webhooks_are_of_the_schemes_form() {
        assert!(webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
        for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_MfKQ", "whsec_not base64"] {
            assert!(webhook_key(wrong).is_err(), "{wrong}");
        }
    }
}
