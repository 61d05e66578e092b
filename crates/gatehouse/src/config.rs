//! The configuration file: its sections, their defaults and their limits.
//!
//! The reference in docs/configuration.md is generated from these types and their comments.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This gateway.
    #[serde(default)]
    pub gateway: Gateway,
    /// Where clients connect, by protocol.
    pub listen: BTreeMap<String, Listen>,
    /// The control API on a TCP address; without it there is only the admin socket.
    pub api: Option<Api>,
    /// The provider that people sign in by, with OpenID Connect: in a browser, or with `gatehouse login`. People who sign in
    /// need not be listed under `[users]`.
    pub oidc: Option<Oidc>,
    /// The admin socket.
    #[serde(default)]
    pub admin: Admin,
    /// The policies.
    #[serde(default)]
    pub policies: PolicyFiles,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
    /// People, by name.
    #[serde(default)]
    pub users: BTreeMap<String, Member>,
    /// Machines, by name.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentSection>,
    /// Issuers of workload tokens that are trusted, by name: a machine that shows such a token is the agent that its claims
    /// say, and may start a task for itself where policy permits `start`.
    #[serde(default)]
    pub issuers: BTreeMap<String, IssuerSection>,
    /// Authorities whose certificates clients may log in by, by name, where a listener has TLS.
    #[serde(default)]
    pub certificates: BTreeMap<String, CertificateSection>,
    /// Who is told of requests and what became of them, by name. Read at the start only.
    #[serde(default)]
    pub receivers: BTreeMap<String, ReceiverSection>,
    /// HashiCorp Vault or OpenBao, which secrets of targets are asked of.
    pub vault: Option<VaultSection>,
    /// AWS Secrets Manager, likewise.
    pub aws: Option<AwsSection>,
    /// Classes of data, by name. They come on top of the built-in ones; one of the same name changes what it says and
    /// keeps the rest.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassSection>,
    /// A model that finds names of persons and addresses in text, in a gateway that was built with `--features recognizer`.
    pub recognizer: Option<RecognizerSection>,
    /// Backends, by name.
    #[serde(default)]
    pub targets: BTreeMap<String, TargetSection>,
}

/// This gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gateway {
    /// The name of this gateway's journal; it stands in every signature, so it should not change.
    pub name: String,
    /// The folder of the journal, the index, recordings and keys, relative to this file. Made with mode 0700.
    pub data: PathBuf,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { name: "gatehouse.local".into(), data: "data".into() }
    }
}

/// One listening address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// `HOST:PORT`.
    pub address: String,
    /// A PEM certificate chain, relative to this file. Needed unless the address is a loopback one.
    pub tls_certificate: Option<PathBuf>,
    /// Its PEM key, with mode 0600.
    pub tls_key: Option<PathBuf>,
    /// Whether clients must use TLS. Always true off the loopback interface.
    #[serde(default)]
    pub tls_required: bool,
    /// Of `listen.http`: where clients reach it, such as `https://gateway.example`; its own address where it is not given. It is
    /// what tokens are asked for by, as `resource` (RFC 8707).
    pub url: Option<String>,
    /// Of `listen.http`: a domain below which each target has a name, such as `gw.example`: `billing.gw.example` leads to the target
    /// `billing`, if it leads to this listener. `names` of a target come before it.
    pub domain: Option<String>,
}

/// The control API on a TCP address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// `HOST:PORT`, on a loopback interface; put a TLS proxy before it for anything else.
    pub address: String,
    /// Where it is reached from outside, such as `https://gateway.example`. Its own address where it is not given.
    pub url: Option<String>,
    /// Whether a proxy before it says in `X-Forwarded-For` whom it speaks for: the last address there is then the caller's. Without
    /// it all who come by a proxy and prove nothing share one limit.
    #[serde(default)]
    pub forwarded: bool,
}

impl Api {
    /// Where it is reached, as far as that is known before it listens.
    pub(crate) fn outside(&self) -> Option<String> {
        let own = (!self.address.ends_with(":0")).then(|| format!("http://{}", self.address));
        self.url.as_ref().map(|url| url.trim_end_matches('/').to_string()).or(own)
    }
}

/// The provider that people sign in by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its issuer, to the letter; its discovery document is at `ISSUER/.well-known/openid-configuration`.
    pub issuer: String,
    /// What it calls this gateway. The address to register there for coming back is `API/login/callback`, where `API` is
    /// `api.url`; for signing out, `API/`.
    pub client_id: String,
    /// The gateway's secret there: `file:PATH` (mode 0600, relative to this file) or `env:NAME`. A public client has none.
    pub client_secret: Option<String>,
    /// What is asked for besides `openid`.
    #[serde(default = "oidc_scopes")]
    pub scopes: Vec<String>,
    /// The claim that is a person's name here; it must be one that people cannot choose for themselves. An `email` counts
    /// only with `email_verified`. One that begins with `/` is a JSON pointer (RFC 6901).
    #[serde(default = "oidc_user_claim")]
    pub user_claim: String,
    /// The claim that lists a person's groups.
    #[serde(default = "oidc_groups_claim")]
    pub groups_claim: String,
    /// Which of the provider's groups are which of the gateway's: `"theirs" = "ours"`. Where any is given, only these
    /// count; otherwise all do, under their own names.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
    /// Only members of one of these groups, by the gateway's names, may sign in; where it is empty, anybody whom the provider
    /// lets in.
    #[serde(default)]
    pub admit: Vec<String>,
    /// Whether `gatehouse login` may begin a sign-in with a code that a person types at the provider (RFC 8628). Whoever is
    /// talked into typing a stranger's code signs the stranger in.
    #[serde(default = "yes")]
    pub device_login: bool,
    /// How long a person is signed in, in seconds; at most `limits.token_secs_max`.
    #[serde(default = "oidc_session_secs")]
    pub session_secs: u32,
    /// How often the provider is asked again whether a person may still be let in, in seconds, where it gave a refresh token.
    /// The token is in memory alone: of people who signed in before a restart it is not asked again.
    #[serde(default = "oidc_refresh_secs")]
    pub refresh_secs: u32,
    /// PEM certificates of the authorities that vouch for it, relative to this file; the system's where not given.
    pub tls_authorities: Option<PathBuf>,
}

const fn yes() -> bool {
    true
}

fn oidc_scopes() -> Vec<String> {
    vec!["profile".into(), "email".into()]
}

fn oidc_user_claim() -> String {
    "email".into()
}

fn oidc_groups_claim() -> String {
    "groups".into()
}

const fn oidc_session_secs() -> u32 {
    8 * 3600
}

const fn oidc_refresh_secs() -> u32 {
    300
}

/// The admin socket. Whoever can open it administers the gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Its path, relative to the data folder. Made with mode 0600.
    pub socket: PathBuf,
}

impl Default for Admin {
    fn default() -> Self {
        Self { socket: "admin.sock".into() }
    }
}

/// The policies.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFiles {
    /// The folder of the `*.cedar` files, relative to this file.
    pub directory: PathBuf,
}

impl Default for PolicyFiles {
    fn default() -> Self {
        Self { directory: "policies".into() }
    }
}

/// Limits.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections per listener at a time that logged in.
    pub connections_max: usize,
    /// Connections per listener that have not logged in, beside those; at more, the oldest is ended.
    pub logins_max: usize,
    /// Seconds that a client may take to log in.
    pub login_secs_max: u32,
    /// The largest message that is held whole, in bytes; at least 65536. Read at the start only.
    pub frame_bytes_max: usize,
    /// The longest body of HTTP, or message of a WebSocket, that is held whole, to be judged, masked or shown to a person, in bytes; at
    /// least 65536. Read at the start only.
    pub body_bytes_max: usize,
    /// How much may wait to be written to one side before the other is no longer read, in bytes.
    pub outlet_bytes_max: usize,
    /// How long connecting to a target and logging in there may take, in seconds.
    pub connect_secs_max: u32,
    /// How long a target that was asked over HTTP may say nothing, in seconds; then the client is answered with 504.
    pub http_silence_secs_max: u32,
    /// The longest life of a task, in seconds.
    pub task_secs_max: u32,
    /// Tasks of one identity that live at a time.
    pub live_tasks_max: usize,
    /// The longest life of a person's token, in seconds.
    pub token_secs_max: u32,
    /// How long a request for a task waits for an answer, in seconds.
    pub request_secs_max: u32,
    /// How long an approval may wait for its use, in seconds.
    pub approval_secs_max: u32,
    /// The longest life of a static key, in seconds.
    pub api_key_secs_max: u32,
    /// Static keys that one agent has at a time.
    pub api_keys_max: usize,
    /// How many calls a minute the API takes of a person over the network.
    pub api_calls_per_minute_max: NonZeroU32,
    /// How many calls a minute it takes of an address whose callers prove nothing: sign-ins, `/oauth/token`, wrong tokens.
    pub api_unproven_calls_per_minute_max: NonZeroU32,
    /// How long a secret is kept that was asked for elsewhere (`vault:`, `aws:`, `exec:`), in seconds. Others are read each time.
    pub secret_cache_secs: u32,
    /// Requests that one task may have open, and one identity for tasks.
    pub open_requests_max: usize,
    /// The longest body, or message of a WebSocket, that is kept while a person decides, in bytes; a longer one is refused. At least
    /// 1024, and at most `body_bytes_max`, which counts before it. Read at the start only.
    pub held_body_bytes_max: usize,
    /// How long all bodies may be together that are kept while people decide, in bytes; what would be held beyond is refused. One
    /// identity has a quarter of that, or one body of the largest where that is more. Refused is also what would leave the disk less
    /// than 512 MiB to spare, or less than a quarter of a disk of less than 2 GiB. At least `held_body_bytes_max`. Read at the start
    /// only.
    pub held_bodies_bytes_max: usize,
    /// How much of what a session's client saw is recorded in full, in bytes; after that, only digests.
    pub recording_bytes_max: u64,
    /// The size at which the journal begins a new file, in bytes.
    pub segment_bytes_max: u64,
    /// How often the journal is signed, in seconds, when there is something new.
    pub checkpoint_secs: u32,
    /// Whether reads, too, wait until their record is on disk. Writes and refusals always do.
    pub every_record_to_disk: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_000,
            logins_max: 1_000,
            login_secs_max: 30,
            frame_bytes_max: 64 * 1024 * 1024,
            body_bytes_max: 16 * 1024 * 1024,
            outlet_bytes_max: 1024 * 1024,
            connect_secs_max: 15,
            http_silence_secs_max: 600,
            task_secs_max: 24 * 3600,
            live_tasks_max: 100,
            token_secs_max: 12 * 3600,
            request_secs_max: 4 * 3600,
            approval_secs_max: 900,
            api_key_secs_max: 90 * 24 * 3600,
            api_keys_max: 10,
            api_calls_per_minute_max: per_minute(600),
            api_unproven_calls_per_minute_max: per_minute(300),
            secret_cache_secs: 60,
            open_requests_max: 20,
            held_body_bytes_max: 16 * 1024 * 1024,
            held_bodies_bytes_max: 1024 * 1024 * 1024,
            recording_bytes_max: 256 * 1024 * 1024,
            segment_bytes_max: 64 * 1024 * 1024,
            checkpoint_secs: 10,
            every_record_to_disk: false,
        }
    }
}

/// So many; one at least.
fn per_minute(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN)
}

/// A person.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The groups that they are in.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentSection {
    /// The groups that it is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Its own public keys, where it has a private one to sign for itself by (RFC 7523): a file with a JSON Web Key Set,
    /// relative to this one, which is read with the configuration.
    pub keys: Option<PathBuf>,
}

/// An authority whose certificates clients may log in by, such as a SPIFFE trust domain's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSection {
    /// Its PEM certificates, relative to this file.
    pub authorities: PathBuf,
    /// Which of its certificates are which agent's; the first that fits counts.
    pub agents: Vec<CertifiedAgent>,
    /// The longest life of a task that is started with one of its certificates, in seconds.
    #[serde(default = "issued_task_secs_max")]
    pub task_secs_max: u32,
}

/// Which certificates of an authority are an agent's.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertifiedAgent {
    /// The agent, one of `[agents]`.
    pub agent: String,
    /// A name that stands in the certificate: `uri:…` (such as a SPIFFE ID), `dns:…` or `email:…` among its alternative names,
    /// or `cn:…` in its subject.
    pub name: String,
}

/// An issuer of workload tokens (RFC 7519).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSection {
    /// What its tokens say as `iss`, to the letter.
    pub issuer: String,
    /// What they must say as `aud`: a name that is this gateway's alone, so that a token for somebody else is none here.
    pub audience: Audience,
    /// Its public keys: a file with a JSON Web Key Set, relative to this one, which is read with the configuration. Without it
    /// they are fetched: from where the issuer's discovery document says, `ISSUER/.well-known/openid-configuration`.
    pub keys: Option<PathBuf>,
    /// Where they are fetched from, for an issuer that has no discovery document.
    pub jwks_uri: Option<String>,
    /// PEM certificates of the authorities that vouch for where they are fetched from, relative to this file; the system's
    /// where not given.
    pub tls_authorities: Option<PathBuf>,
    /// Which of its tokens are which agent's; the first that fits counts.
    #[serde(default)]
    pub agents: Vec<IssuedAgent>,
    /// The claim that names a person, where tokens that are no agent's are people's: an agent that shows one beside its own
    /// works on that person's behalf. An `email` counts only with `email_verified`. One that begins with `/` is a JSON pointer
    /// (RFC 6901).
    pub user_claim: Option<String>,
    /// How an agent's tokens are shown to a listener: in a password's place, over TLS alone; or by a mechanism that is made
    /// for them, PostgreSQL's `oauth` (SASL OAUTHBEARER).
    #[serde(default)]
    pub login: TokenLoginForm,
    /// The longest life of a task that is started with one of its tokens, in seconds.
    #[serde(default = "issued_task_secs_max")]
    pub task_secs_max: u32,
}

const fn issued_task_secs_max() -> u32 {
    3600
}

/// How tokens are shown to a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenLoginForm {
    /// In a password's place.
    #[default]
    Password,
    /// By a mechanism of their own.
    Oauth,
}

/// Which tokens of an issuer are an agent's.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuedAgent {
    /// The agent, one of `[agents]`.
    pub agent: String,
    /// What claims of the token must be, by name: all of them. A list in the token must hold the value. A name that begins
    /// with `/` is a JSON pointer (RFC 6901).
    pub claims: BTreeMap<String, String>,
}

/// HashiCorp Vault or OpenBao. The gateway proves itself in one of three ways: `token`, `approle` or `kubernetes`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VaultSection {
    /// Its address, such as `https://vault.example:8200`.
    pub address: String,
    /// Its namespace, where it has some.
    pub namespace: Option<String>,
    /// A token: `file:PATH` (mode 0600, relative to this file) or `env:NAME`. It is read for each call, so that another program
    /// can renew it.
    pub token: Option<String>,
    /// As an application.
    pub approle: Option<AppRoleSection>,
    /// As a service account.
    pub kubernetes: Option<KubernetesSection>,
    /// PEM certificates of the authorities that vouch for it, relative to this file; the system's where not given.
    pub tls_authorities: Option<PathBuf>,
}

/// How the gateway proves itself as an application (`approle`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRoleSection {
    /// Where the method is mounted.
    #[serde(default = "approle_mount")]
    pub mount: String,
    /// The role's id.
    pub role_id: String,
    /// The secret that belongs to it: `file:PATH` (mode 0600, relative to this file) or `env:NAME`.
    pub secret_id: String,
}

fn approle_mount() -> String {
    "approle".into()
}

/// How the gateway proves itself as a service account of Kubernetes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesSection {
    /// Where the method is mounted.
    #[serde(default = "kubernetes_mount")]
    pub mount: String,
    /// The role.
    pub role: String,
    /// The file with the service account's token.
    #[serde(default = "kubernetes_token")]
    pub token: PathBuf,
}

fn kubernetes_mount() -> String {
    "kubernetes".into()
}

fn kubernetes_token() -> PathBuf {
    "/var/run/secrets/kubernetes.io/serviceaccount/token".into()
}

/// AWS Secrets Manager.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsSection {
    /// The region.
    pub region: String,
    /// Where it is reached; `https://secretsmanager.REGION.amazonaws.com` where not given.
    pub endpoint: Option<String>,
    /// The access key: `file:PATH` (mode 0600, relative to this file) or `env:NAME`.
    #[serde(default = "aws_access_key_id")]
    pub access_key_id: String,
    /// Its secret, likewise.
    #[serde(default = "aws_secret_access_key")]
    pub secret_access_key: String,
    /// The token that belongs to a key that expires, likewise.
    pub session_token: Option<String>,
    /// PEM certificates of the authorities that vouch for it, relative to this file; the system's where not given.
    pub tls_authorities: Option<PathBuf>,
}

fn aws_access_key_id() -> String {
    "env:AWS_ACCESS_KEY_ID".into()
}

fn aws_secret_access_key() -> String {
    "env:AWS_SECRET_ACCESS_KEY".into()
}

/// Who is told of requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiverSection {
    /// Where it is told: an address that begins with https://, or, where the address is a secret, `file:PATH` or `env:NAME`.
    /// For mail, the server: `smtps://HOST:PORT` (TLS), or `smtp://HOST:PORT` (STARTTLS, which must succeed; a server on this
    /// machine is spoken to without, unless `tls_authorities` are given).
    pub url: String,
    /// What it reads.
    #[serde(default)]
    pub form: ReceiverForm,
    /// The secret of a webhook, `whsec_…`, or the password of an account at a mail server: `file:PATH` (mode 0600, relative to
    /// this file) or `env:NAME`.
    pub secret: Option<String>,
    /// The account at a mail server, where it asks for one.
    pub user: Option<String>,
    /// Whom mail is from, such as `Gatehouse <gatehouse@example.org>`.
    pub from: Option<String>,
    /// Whom it goes to.
    #[serde(default)]
    pub to: Vec<String>,
    /// What it is told of: `request.opened`, `request.answered`, `request.ended`.
    #[serde(default = "receiver_events")]
    pub events: Vec<String>,
    /// PEM certificates of the authorities that vouch for it, relative to this file; the system's where not given.
    pub tls_authorities: Option<PathBuf>,
}

fn receiver_events() -> Vec<String> {
    vec!["request.opened".into()]
}

/// What tokens say as `aud`: one name, or several of which one will do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audience {
    /// The names.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        }
    }
}

/// What a receiver reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverForm {
    /// JSON, signed by the Standard Webhooks scheme.
    #[default]
    Webhook,
    /// A message of Slack.
    Slack,
    /// A message of Microsoft Teams.
    Teams,
    /// Mail.
    Mail,
}

/// A class of data.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassSection {
    /// What is done to its values. A class of the name of a built-in one keeps its mask where none is given; any other needs one.
    pub mask: Option<Mask>,
    /// Columns of these names are of this class; case, `_` and `-` do not count, `*` stands for anything at either end.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What finds its values in other text, by name; `docs/masking.md` lists the detectors.
    pub detector: Option<String>,
}

/// A model that finds names of persons and addresses in text: one that classes the tokens of a text, in ONNX, with what
/// Hugging Face puts beside it. Each value that is looked into waits for it, for milliseconds.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecognizerSection {
    /// The model, relative to this file; inputs `input_ids`, and `attention_mask` and `token_type_ids` where it has them.
    pub model: PathBuf,
    /// Its `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// Its `config.json`, whose `id2label` says what its outputs stand for.
    pub labels: PathBuf,
    /// Labels of names of persons (detector `person_name`), without `B-` and its like.
    #[serde(default = "person_labels")]
    pub persons: Vec<String>,
    /// Labels of addresses (detector `postal_address`).
    #[serde(default = "address_labels")]
    pub addresses: Vec<String>,
    /// How many tokens are looked at together; longer texts are looked at in windows.
    #[serde(default = "tokens_max")]
    pub tokens_max: usize,
    /// How sure the model must be, from 0 to 1.
    #[serde(default = "score_min")]
    pub score_min: f32,
    /// A longer value is not looked at, but masked in whole, in bytes.
    #[serde(default = "recognized_bytes_max")]
    pub value_bytes_max: usize,
}

fn person_labels() -> Vec<String> {
    ["PER", "PERSON", "GIVENNAME", "FIRSTNAME", "SURNAME", "LASTNAME"].map(String::from).into()
}

fn address_labels() -> Vec<String> {
    ["ADDRESS", "STREET", "STREETADDRESS", "STREET_ADDRESS"].map(String::from).into()
}

const fn tokens_max() -> usize {
    256
}

const fn score_min() -> f32 {
    0.5
}

const fn recognized_bytes_max() -> usize {
    64 * 1024
}

/// What is done to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// A word in its place.
    Redact,
    /// A hint of it.
    Partial,
    /// Nothing.
    Null,
    /// An invented value; equal values stay equal.
    Pseudonym,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSection {
    /// What it speaks: `postgres`, `http` or `mcp`.
    pub protocol: String,
    /// `HOST:PORT`.
    pub address: String,
    /// The gateway's account there.
    pub user: Option<String>,
    /// Its secret: `file:PATH` (mode 0600, relative to this file), `env:NAME`, `vault:MOUNT/PATH#FIELD` (a key-value store of
    /// version 2), `aws:NAME` or `aws:NAME#FIELD` (AWS Secrets Manager), or `exec:/PATH ARGUMENT…`, which prints it.
    pub password: Option<String>,
    /// In their place, a role of `[vault]` that makes an account for each task, such as `vault:database/creds/shop`. It is gone
    /// when the task ends.
    pub credentials: Option<String>,
    /// How the gateway proves itself to a target that speaks `http` or `mcp`; without it, it does not.
    pub credential: Option<Credential>,
    /// Of a target that speaks `http` or `mcp`: the hosts that clients call it by, each as `HOST` or `HOST:PORT`. Where it is not given: that
    /// of its address. For requests to them the gateway stands in as a proxy.
    pub names: Option<Vec<String>>,
    /// Of a target that speaks `http`: its OpenAPI document (JSON or YAML), relative to this file. Paths then have the names that it
    /// gives them, and what it does not have is `http:undocumented`.
    pub openapi: Option<PathBuf>,
    /// Of a target that speaks `mcp`: the path at which it is asked; `/mcp` if it is not given.
    pub path: Option<String>,
    /// Of a target that speaks `http`: the paths at which it is asked in GraphQL, such as `/graphql`.
    #[serde(default)]
    pub graphql: Vec<String>,
    /// Of a target that speaks `http`: what becomes of bodies that cannot be looked into, for those who may not see everything;
    /// `refuse` if it is not given.
    pub opaque_bodies: Option<OpaqueBodies>,
    /// Of a target that speaks `http`: whether its own address in texts, such as the link to the next page in JSON, leads its
    /// clients through the gateway. Bodies are then written anew, also for those who may see everything.
    pub rewrite_links: Option<bool>,
    /// Of a target that speaks `http`: the names of request fields that policy is shown as `headers`, such as `stripe-account`. None
    /// by which somebody proves who they are.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Of a target that speaks `http`: whether it takes no notice of the size of letters in paths, as `/Admin` for `/admin`. Policies
    /// then name paths in small letters.
    pub ignore_case: Option<bool>,
    /// Of a target that speaks `http`: what becomes of an escaped slash (`%2F`) in a path; `refuse` if it is not given.
    pub encoded_slashes: Option<EncodedSlashes>,
    /// Classes of single fields of JSON bodies, by their path, which is names with dots between them, without the places of lists:
    /// `"customer.email" = "email"`, or `"clear"` for none.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The database there. The target's own name where it is not given.
    pub database: Option<String>,
    /// TLS towards it. Where it is not given: for an address of this machine `prefer`, or `disable` if it speaks `http` or `mcp`; for any
    /// other `require`, which checks no certificate, or `verify-full` if it speaks `http` or `mcp`.
    pub tls: Option<Tls>,
    /// PEM certificates of the authorities that vouch for it, relative to this file; the system's where not given.
    pub tls_authorities: Option<PathBuf>,
    /// A PEM certificate chain that the gateway shows to it, relative to this file.
    pub tls_certificate: Option<PathBuf>,
    /// Its PEM key, with mode 0600.
    pub tls_key: Option<PathBuf>,
    /// What happens to an operation that policy holds.
    #[serde(default)]
    pub on_hold: OnHold,
    /// How long a held operation waits for an answer, in seconds.
    #[serde(default = "hold_secs_max")]
    pub hold_secs_max: u32,
    /// How long one waits at most inside of a transaction, whose locks keep others waiting, in seconds.
    #[serde(default = "transaction_hold_secs_max")]
    pub transaction_hold_secs_max: u32,
    /// How old the gateway's picture of the catalog may be, in seconds.
    #[serde(default = "survey_secs_max")]
    pub survey_secs_max: u32,
    /// Whether a `postgres` target finds rows without the indexes whose order would tell of classified values, for those whom policy
    /// does not let `probe` the columns.
    #[serde(default = "hide_row_order")]
    pub hide_row_order: bool,
    /// Classes of single columns: `"schema.table.column" = "class"`, or `"clear"` for none.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// Classes of single fields of `json` and `jsonb` columns that are of none as a whole, by the column and by their path without
    /// the places of lists: `"schema.table.column" = { "contact.email" = "class" }`.
    #[serde(default)]
    pub documents: BTreeMap<String, BTreeMap<String, String>>,
}

/// How the gateway proves itself with each request. Secrets are written as `password` is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Credential {
    /// A token, as `Authorization: Bearer`.
    Bearer(String),
    /// A user and a password, as `Authorization: Basic`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A header field, such as `X-API-Key`.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A token that an authorization server gives the gateway for itself, as `Authorization: Bearer` (OAuth 2, client
    /// credentials).
    Oauth {
        /// The server's token endpoint.
        token_url: String,
        /// What it calls the gateway.
        client_id: String,
        /// The gateway's secret there: `file:PATH` or `env:NAME`.
        client_secret: String,
        /// What the token is to be for.
        scope: Option<String>,
    },
    /// A signature over each request, for services of AWS (Signature Version 4).
    Aws {
        /// The region, such as `eu-central-1`.
        region: String,
        /// The service, as signatures name it, such as `s3` or `dynamodb`.
        service: String,
        /// The access key's id. Not needed where `secret_access_key` brings it.
        access_key_id: Option<String>,
        /// The secret; or, for keys that expire, what `aws configure export-credentials` prints:
        /// `exec:/usr/bin/aws configure export-credentials`.
        secret_access_key: String,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// What becomes of bodies that cannot be looked into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpaqueBodies {
    /// They are kept back.
    #[default]
    Refuse,
    /// They pass.
    Pass,
}

/// What becomes of an escaped slash in a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EncodedSlashes {
    /// The request is refused.
    #[default]
    Refuse,
    /// It stays inside of its segment, as GitLab, registries of npm and stores like S3 have it: only for servers that never take it
    /// for a slash that parts segments.
    Keep,
}

const fn transaction_hold_secs_max() -> u32 {
    60
}

const fn hold_secs_max() -> u32 {
    900
}

const fn hide_row_order() -> bool {
    true
}

const fn survey_secs_max() -> u32 {
    30
}

/// TLS towards a target, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tls {
    /// Never.
    Disable,
    /// Where the target has it; its certificate is not checked.
    Prefer,
    /// Always; its certificate is not checked.
    Require,
    /// Always; its certificate must come from a trusted authority.
    VerifyCa,
    /// The same, and it must be for the target's host.
    VerifyFull,
}

/// What happens to an operation that policy holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnHold {
    /// It waits on its own connection.
    #[default]
    Wait,
    /// It is refused at once; once approved, the same operation passes once.
    Refuse,
}
