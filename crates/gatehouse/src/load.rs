//! Loads configuration and policies, and names every mistake by file, line and remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Uri;
use gatehouse_engine::ClientAuthority;
use gatehouse_gate::{
    Account, AwsSigning, HoldMode, Route, Showing, Target, TargetClasses, TlsIdentity, TlsMode, Trust,
};
use gatehouse_identity::{
    AgentRule, Issuer, KeySet, Keys, People, Provider, ProviderSettings, PublishedKeys, TokenLogin,
};
use gatehouse_mask::{
    Assignment, ClassRule, Classes, Detector, FieldPath, PathError, PseudonymKey, Recognizer, Transform,
};
use gatehouse_model::{AgentName, ClassName, Digest, GroupName, Parent, Resource, Secret, TargetName, UserName, kind};
use gatehouse_policy::{Policies, PolicyFault, PolicySource};
use gatehouse_protocol::{Carriage, Endpoint, HttpFacts, SurveyFacts};
use gatehouse_secrets::{Keeper, Reference};
use sha2::{Digest as _, Sha256};

use crate::config::{
    Api, Config, Credential, EncodedSlashes, IssuerSection, Listen, Mask, Oidc, OnHold, OpaqueBodies, TargetSection,
    Tls, TokenLoginForm,
};
use crate::mentions::Known;
use crate::nearest::did_you_mean;
use crate::notify::Receiver;
use crate::{recognizer, registry, web};

mod accounts;
mod openapi;
mod receivers;

/// What an address says that was signed for AWS beforehand.
const AWS_PARAMETERS: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// How many fields of the documents of a column may be of classes.
const DOCUMENT_FIELDS_MAX: usize = 256;

/// Fields of requests that policy is not shown, besides those that never go on: by these somebody proves themselves.
const NOT_SHOWN: [&str; 2] = ["authorization", "cookie"];

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, from 1, where one can be named.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// Of a policy.
    pub(crate) fn of_policy(fault: PolicyFault) -> Self {
        Self { file: fault.file, line: fault.line, message: fault.message, remedy: fault.remedy }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        write!(f, "{}{line}: {}\n    {}", self.file, self.message, self.remedy)
    }
}

/// Configuration and policies that fit together.
pub struct Loaded {
    /// The configuration as it stands in the file.
    pub config: Config,
    /// The folder of the configuration file, which paths are relative to.
    pub base: PathBuf,
    /// The digest of the file, and of the keys of issuers that it names.
    pub digest: Digest,
    /// Everyone who is named.
    pub people: People,
    /// The issuers whose workload tokens are trusted.
    pub issuers: Vec<Issuer>,
    /// The keys of agents that sign for themselves.
    pub agent_keys: BTreeMap<AgentName, KeySet>,
    /// Authorities whose certificates clients may log in by.
    pub certificates: Vec<Certificates>,
    /// The provider that people sign in by.
    pub provider: Option<Arc<Provider>>,
    /// Who is told of requests.
    pub receivers: Vec<Receiver>,
    /// The targets.
    pub targets: BTreeMap<String, Arc<Target>>,
    /// As whom the gateway logs in there.
    pub accounts: BTreeMap<TargetName, AccountSource>,
    /// The targets that hosts stand for, each by its name and, where that was said, its port.
    pub hosts: BTreeMap<(String, Option<u16>), String>,
    /// Asks for secrets.
    pub keeper: Arc<Keeper>,
    /// The policies.
    pub policies: Arc<Policies>,
    /// What is not wrong but probably not meant.
    pub warnings: Vec<Fault>,
}

impl Loaded {
    /// The target that a host, in small letters, is the name of below the listener's domain, if there is one.
    pub fn below_domain(&self, host: &str) -> Option<String> {
        let called = host.strip_suffix(self.domain()?.as_str())?.strip_suffix('.')?;
        let is_it = |(name, target): &(&String, &Arc<Target>)| {
            name.eq_ignore_ascii_case(called) && registry::rides_on_http(&target.protocol)
        };
        self.targets.iter().find(is_it).map(|(name, _)| name.clone())
    }

    /// Whether a host is the listener's domain, or below it: all of it is the gateway's own.
    pub fn is_in_domain(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.domain().is_some_and(|domain| {
            host.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }

    fn domain(&self) -> Option<String> {
        Some(self.config.listen.get(registry::HTTP)?.domain.as_ref()?.to_ascii_lowercase())
    }
}

/// Where the gateway's account at a target comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountSource {
    /// Its password lies there.
    Password(Reference),
    /// A role of the vault makes it.
    Role(String),
}

/// An authority whose certificates clients may log in by.
pub struct Certificates {
    /// Its name, and who vouches.
    pub authority: ClientAuthority,
    /// Which of its certificates are which agent's, by a name that stands in them; the first that fits counts.
    pub agents: Vec<(AgentName, String)>,
    /// The longest life of a task that is started with one of them, in seconds.
    pub task_secs_max: u32,
}

/// Reads a configuration text alone: for its paths, before anything else is known.
pub fn read_config(path: &Path) -> Result<(Config, String), Vec<Fault>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Fault {
            file: file.clone(),
            line: None,
            message: format!("the configuration cannot be read: {error}"),
            remedy: "Name it with --config PATH; the README has one to begin with".into(),
        }]
    })?;
    match toml::from_str::<Config>(&text) {
        Ok(config) => Ok((config, text)),
        Err(error) => Err(vec![Fault {
            line: error.span().map(|span| line_at(&text, span.start)),
            message: meant(&error.message().replace('\n', " ")),
            remedy: "See docs/configuration.md for the sections and their keys".into(),
            file,
        }]),
    }
}

/// What is said of a key that there is not: in place of all keys that there are, the one that was meant, where that can be told.
fn meant(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let (true, Some(written)) = (message.starts_with("unknown field `"), names.next()) else { return message.into() };
    let question = did_you_mean(written, names);
    if question.is_empty() { message.into() } else { format!("unknown field `{written}`{question}") }
}

/// Loads everything, or names all that is wrong.
pub fn load(path: &Path, key: PseudonymKey) -> Result<Loaded, Vec<Fault>> {
    let (config, text) = read_config(path)?;
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut checker = Checker {
        file: path.display().to_string(),
        text: &text,
        base: &base,
        endpoints: BTreeMap::new(),
        faults: Vec::new(),
    };
    checker.listeners(&config);
    checker.limits(&config);
    let people = checker.people(&config);
    let issuers = checker.issuers(&config, &people);
    let agent_keys = checker.agent_keys(&config);
    let certificates = checker.certificates(&config, &people);
    let provider = checker.provider(&config);
    let receivers = checker.receivers(&config);
    let rules = checker.class_rules(&config);
    let recognizer = checker.recognizer(&config);
    let (targets, accounts) = checker.targets(&config, &rules, &key, recognizer.as_ref());
    let hosts = checker.hosts(&config);
    let keeper = Arc::new(Keeper::new(checker.sources(&config)));
    let (mut faults, endpoints) = (checker.faults, checker.endpoints);
    let policies = load_policies(&base.join(&config.policies.directory), &mut faults);
    let Some(policies) = policies.filter(|_| faults.is_empty()) else {
        return Err(faults);
    };
    let mut warnings = warnings(&config, &people, &targets, &policies, &path.display().to_string(), &text);
    warnings.extend(policy_warnings(&config, &base.join(&config.policies.directory), &policies, endpoints));
    Ok(Loaded {
        digest: digest(&text, &config, &base),
        config,
        base,
        people,
        issuers,
        agent_keys,
        certificates,
        provider,
        receivers,
        targets,
        accounts,
        hosts,
        keeper,
        policies: Arc::new(policies),
        warnings,
    })
}

/// Whether paths can be put behind a URL, as in the metadata of RFC 8414: it has a scheme and a host, and nobody's password,
/// query or fragment.
fn is_base(url: &str) -> bool {
    url.parse::<Uri>().is_ok_and(|parsed| {
        let is_web = matches!(parsed.scheme_str(), Some("http" | "https")) && url.starts_with("http");
        let is_host = parsed.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        is_web && is_host && parsed.query().is_none() && !url.contains('#')
    })
}

/// The digest of the file, and of the keys that it names: whom it trusts is a part of what it says.
fn digest(text: &str, config: &Config, base: &Path) -> Digest {
    let mut hash = Sha256::new_with_prefix(text);
    for file in trusted_files(config) {
        hash.update(Sha256::digest(std::fs::read(base.join(file)).unwrap_or_default()));
    }
    Digest(hash.finalize().into())
}

/// The files by which it is decided who is who.
pub(crate) fn trusted_files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let issuers = config.issuers.values().filter_map(|issuer| issuer.keys.as_ref());
    let agents = config.agents.values().filter_map(|agent| agent.keys.as_ref());
    let listeners = config.listen.values().filter_map(|listen| listen.tls_certificate.as_ref());
    issuers.chain(agents).chain(config.certificates.values().map(|section| &section.authorities)).chain(listeners)
}

/// The files that are read anew when one of them changes, besides the configuration itself and its policies.
pub(crate) fn watched_files(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let keys = config.listen.values().filter_map(|listen| listen.tls_key.as_ref());
    let targets = config.targets.values();
    let documents = targets
        .flat_map(|target| [&target.openapi, &target.tls_authorities, &target.tls_certificate, &target.tls_key])
        .flatten();
    trusted_files(config).chain(keys).chain(documents)
}

struct Checker<'a> {
    file: String,
    text: &'a str,
    base: &'a Path,
    /// What the OpenAPI documents of targets have, by the names that policies may use.
    endpoints: BTreeMap<String, BTreeSet<String>>,
    faults: Vec<Fault>,
}

/// Where a credential is shown.
fn showing(credential: &Credential) -> Showing {
    match credential {
        Credential::Bearer(_) | Credential::Oauth { .. } => Showing::Bearer,
        Credential::Basic { user, .. } => Showing::Basic(user.clone()),
        Credential::Header { name, .. } => Showing::Header(name.to_ascii_lowercase()),
        Credential::Query { name, .. } => Showing::Parameter(name.clone()),
        Credential::Aws { region, service, access_key_id, .. } => Showing::Aws(AwsSigning {
            region: region.clone(),
            service: service.clone(),
            access_key_id: access_key_id.clone(),
        }),
    }
}

fn transform(mask: Mask) -> Transform {
    match mask {
        Mask::Redact => Transform::Redact,
        Mask::Partial => Transform::Partial,
        Mask::Null => Transform::Null,
        Mask::Pseudonym => Transform::Pseudonym,
    }
}

/// TLS towards a target where nothing is said of it. There is no HTTP that could go on without TLS where the target has none.
fn default_tls(section: &TargetSection, host: &str) -> Tls {
    match (registry::rides_on_http(&section.protocol), is_loopback(host)) {
        (true, true) => Tls::Disable,
        (true, false) => Tls::VerifyFull,
        (false, true) => Tls::Prefer,
        (false, false) => Tls::Require,
    }
}

impl Checker<'_> {
    fn fault(&mut self, place: &[&str], message: impl Into<String>, remedy: impl Into<String>) {
        let line = line_of(self.text, place);
        self.faults.push(Fault { file: self.file.clone(), line, message: message.into(), remedy: remedy.into() });
    }

    fn listeners(&mut self, config: &Config) {
        for (name, listen) in &config.listen {
            let place = ["listen", name.as_str()];
            if registry::spoken_at(name).is_none() {
                let listeners: BTreeSet<_> = registry::protocols()
                    .iter()
                    .map(|protocol| registry::listener(protocol.name()).to_string())
                    .collect();
                self.fault(
                    &place,
                    format!("there is no listener `{name}`"),
                    format!("The listeners are: {}", Vec::from_iter(listeners).join(", ")),
                );
            }
            let address: Result<SocketAddr, _> = listen.address.parse();
            let Ok(address) = address else {
                let place = ["listen", name, "address"];
                self.fault(
                    &place,
                    format!("`{}` is not an address", listen.address),
                    "Write an IP address and a port, such as 127.0.0.1:5433",
                );
                continue;
            };
            if listen.url.as_ref().is_some_and(|url| name != registry::HTTP || !is_base(url)) {
                self.fault(
                    &["listen", name, "url"],
                    "it is not where clients reach targets over HTTP",
                    "Write https:// and a host under listen.http, such as https://gateway.example; or take it out",
                );
            }
            self.domain(config, name, listen);
            match (&listen.tls_certificate, &listen.tls_key) {
                (Some(_), None) | (None, Some(_)) => {
                    self.fault(&place, "TLS takes a certificate and a key", "Give both tls_certificate and tls_key");
                }
                (None, None) if !address.ip().is_loopback() || listen.tls_required => {
                    self.fault(
                        &place,
                        "this listener needs TLS",
                        "Give tls_certificate and tls_key, or listen on a loopback address",
                    );
                }
                (None, None) => {}
                (Some(certificate), Some(key)) => self.certificate(name, certificate, key),
            }
        }
        if let Some(api) = &config.api {
            let is_private = |url: &String| url.parse::<Uri>().is_ok_and(|uri| web::is_private(&uri));
            if api.url.as_ref().is_some_and(|url| !is_base(url) || !is_private(url)) {
                self.fault(
                    &["api", "url"],
                    "it is not where an API can be reached without being read on the way",
                    "Write https:// and a host, with a port or a path where there is one, such as https://gateway.example",
                );
            }
            match api.address.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => {}
                Ok(_) => self.fault(
                    &["api", "address"],
                    "the API is served without TLS, so only on a loopback address",
                    "Use 127.0.0.1:PORT, with a TLS proxy before it",
                ),
                Err(_) => self.fault(
                    &["api", "address"],
                    format!("`{}` is not an address", api.address),
                    "Write an IP address and a port, such as 127.0.0.1:8470",
                ),
            }
        }
    }

    /// The domain below which targets have names.
    fn domain(&mut self, config: &Config, name: &str, listen: &Listen) {
        let Some(domain) = &listen.domain else { return };
        let place = ["listen", name, "domain"];
        let is_label =
            |label: &str| !label.is_empty() && label.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
        let is_domain = domain.split('.').all(is_label) && domain.parse::<std::net::IpAddr>().is_err();
        if name != registry::HTTP || !is_domain {
            let message = format!("`{domain}` is no domain below which targets are reached over HTTP");
            self.fault(
                &place,
                message,
                "Write a domain under listen.http, such as gw.example, without `*.`; or take it out",
            );
        }
        let mut names = BTreeMap::new();
        let of_http = config.targets.iter().filter(|(_, section)| registry::rides_on_http(&section.protocol));
        for (target, _) in of_http {
            // Nobody tells hosts apart by the size of their letters.
            if let Some(other) = names.insert(target.to_ascii_lowercase(), target) {
                let message = format!("`{other}` and `{target}` would have one name");
                self.fault(&place, message, "Give one of these targets another name");
            }
        }
    }

    fn certificate(&mut self, name: &str, certificate: &Path, key: &Path) {
        let place = ["listen", name, "tls_certificate"];
        let chain = std::fs::read(self.base.join(certificate));
        let key = Reference::File(self.base.join(key)).fetch();
        match (chain, key) {
            (Err(error), _) => self.fault(
                &place,
                format!("the certificate cannot be read: {error}"),
                "Name a PEM file that the gateway can read",
            ),
            (_, Err(error)) => {
                self.fault(&["listen", name, "tls_key"], error.to_string(), "Name a PEM file with mode 0600")
            }
            (Ok(chain), Ok(key)) => {
                if let Err(error) = gatehouse_engine::ServerTls::new(&chain, key.expose(), &[], &[]) {
                    self.fault(&place, error.to_string(), "Name a certificate chain and its key, both in PEM form");
                }
            }
        }
    }

    fn limits(&mut self, config: &Config) {
        let limits = &config.limits;
        let least = [
            ("connections_max", limits.connections_max as u64, 1),
            ("logins_max", limits.logins_max as u64, 1),
            ("login_secs_max", limits.login_secs_max.into(), 1),
            ("frame_bytes_max", limits.frame_bytes_max as u64, 64 * 1024),
            ("body_bytes_max", limits.body_bytes_max as u64, 64 * 1024),
            ("outlet_bytes_max", limits.outlet_bytes_max as u64, 16 * 1024),
            ("connect_secs_max", limits.connect_secs_max.into(), 1),
            ("http_silence_secs_max", limits.http_silence_secs_max.into(), 1),
            ("task_secs_max", limits.task_secs_max.into(), 1),
            ("token_secs_max", limits.token_secs_max.into(), 1),
            ("request_secs_max", limits.request_secs_max.into(), 1),
            ("approval_secs_max", limits.approval_secs_max.into(), 1),
            ("api_key_secs_max", limits.api_key_secs_max.into(), 1),
            ("open_requests_max", limits.open_requests_max as u64, 1),
            ("held_body_bytes_max", limits.held_body_bytes_max as u64, 1024),
            ("held_bodies_bytes_max", limits.held_bodies_bytes_max as u64, limits.held_body_bytes_max as u64),
            ("segment_bytes_max", limits.segment_bytes_max, 64 * 1024),
            ("checkpoint_secs", limits.checkpoint_secs.into(), 1),
        ];
        for (name, value, least) in least {
            if value < least {
                self.fault(
                    &["limits", name],
                    format!("limits.{name} = {value} is too small"),
                    format!("Use at least {least}"),
                );
            }
        }
    }

    fn groups(&mut self, place: [&str; 2], names: &[String]) -> BTreeSet<GroupName> {
        let mut groups = BTreeSet::new();
        for name in names {
            match GroupName::new(name) {
                Ok(group) => {
                    groups.insert(group);
                }
                Err(error) => {
                    self.fault(&[place[0], place[1], "groups"], error.to_string(), "Correct the group's name")
                }
            }
        }
        groups
    }

    fn people(&mut self, config: &Config) -> People {
        let mut people = People::default();
        for (name, member) in &config.users {
            let groups = self.groups(["users", name], &member.groups);
            match UserName::new(name) {
                Ok(user) => {
                    people.users.insert(user, groups);
                }
                Err(error) => self.fault(&["users", name], error.to_string(), "Correct the name"),
            }
        }
        for (name, member) in &config.agents {
            let groups = self.groups(["agents", name], &member.groups);
            match AgentName::new(name) {
                Ok(agent) => {
                    people.agents.insert(agent, groups);
                }
                Err(error) => self.fault(&["agents", name], error.to_string(), "Correct the name"),
            }
        }
        people
    }

    fn issuers(&mut self, config: &Config, people: &People) -> Vec<Issuer> {
        let mut issuers: Vec<Issuer> = Vec::new();
        for (name, section) in &config.issuers {
            let place = ["issuers", name.as_str()];
            let audience = section.audience.names();
            if section.issuer.is_empty() || audience.is_empty() || audience.iter().any(String::is_empty) {
                self.fault(&place, "an issuer has an `issuer` and an `audience`", "Write what its tokens say");
            }
            if issuers.iter().any(|other| other.issuer == section.issuer) {
                let message = format!("two issuers are `{}`", section.issuer);
                self.fault(&place, message, "Put their agents under one of them");
            }
            if section.task_secs_max == 0 {
                self.fault(&place, "task_secs_max = 0 lets no task live", "Write a number of seconds, or nothing");
            }
            let agents = self.issued_agents(&place, section, people);
            if section.issuer.starts_with("agent:") {
                let message = "tokens whose `iss` begins with `agent:` are those that agents sign for themselves";
                self.fault(&place, message, "Give the agent its keys: [agents.NAME] keys = \"FILE\"");
            }
            if let Some(keys) = self.keys(&place, section) {
                issuers.push(Issuer {
                    name: name.clone(),
                    issuer: section.issuer.clone(),
                    audience: audience.to_vec(),
                    keys,
                    agents,
                    user_claim: section.user_claim.clone(),
                    login: match section.login {
                        TokenLoginForm::Password => TokenLogin::Password,
                        TokenLoginForm::Oauth => TokenLogin::Bearer,
                    },
                    task_secs_max: section.task_secs_max,
                });
            }
        }
        self.one_login_each(&issuers);
        issuers
    }

    /// A listener asks an agent for its token before it knows whose that is, so there is one way to ask.
    fn one_login_each(&mut self, issuers: &[Issuer]) {
        let mut logins: BTreeMap<&AgentName, (TokenLogin, &str)> = BTreeMap::new();
        for (issuer, rule) in issuers.iter().flat_map(|issuer| issuer.agents.iter().map(move |rule| (issuer, rule))) {
            let (login, first) = *logins.entry(&rule.agent).or_insert((issuer.login, &issuer.name));
            if login != issuer.login {
                let message = format!("agent {} has another `login` under [issuers.{first}]", rule.agent);
                self.fault(
                    &["issuers", &issuer.name, "login"],
                    message,
                    "Give one of them another agent, or both one `login`",
                );
            }
        }
    }

    fn agent_keys(&mut self, config: &Config) -> BTreeMap<AgentName, KeySet> {
        let mut keys = BTreeMap::new();
        for (name, section) in &config.agents {
            let (Some(path), Ok(agent)) = (&section.keys, AgentName::new(name)) else { continue };
            if let Some(set) = self.key_set(&["agents", name, "keys"], path) {
                keys.insert(agent, set);
            }
        }
        keys
    }

    fn certificates(&mut self, config: &Config, people: &People) -> Vec<Certificates> {
        let mut all = Vec::new();
        for (name, section) in &config.certificates {
            let place = |key: &'static str| ["certificates", name.as_str(), key];
            let before = self.faults.len();
            let pem = std::fs::read_to_string(self.base.join(&section.authorities)).map_err(|error| error.to_string());
            let checked = pem.and_then(|pem| match gatehouse_engine::check_client_authority(&pem) {
                Ok(()) => Ok(pem),
                Err(error) => Err(error.to_string()),
            });
            let pem =
                checked.map_err(|error| self.fault(&place("authorities"), error, "Name a PEM file with certificates"));
            let mut agents = Vec::new();
            for rule in &section.agents {
                let agent = AgentName::new(&rule.agent).ok().filter(|agent| people.agents.contains_key(agent));
                if agent.is_none() {
                    let message = format!("there is no agent `{}`", rule.agent);
                    self.fault(&place("agents"), message, "Add it under [agents]");
                }
                if !["uri:", "dns:", "email:", "cn:"].iter().any(|kind| rule.name.starts_with(kind)) {
                    let message = format!("`{}` is no name that stands in a certificate", rule.name);
                    let remedy = "Write what kind it is, too, such as uri:spiffe://example.org/agent";
                    self.fault(&place("agents"), message, remedy);
                }
                agents.extend(agent.map(|agent| (agent, rule.name.clone())));
            }
            if section.task_secs_max == 0 {
                self.fault(&place("task_secs_max"), "task_secs_max = 0 lets no task live", "Write a number of seconds");
            }
            if let (Ok(pem), true) = (pem, self.faults.len() == before) {
                let authority = ClientAuthority { name: name.clone(), pem };
                all.push(Certificates { authority, agents, task_secs_max: section.task_secs_max });
            }
        }
        all
    }

    fn key_set(&mut self, place: &[&str], path: &Path) -> Option<KeySet> {
        let path = self.base.join(path);
        let read = std::fs::read(&path).map_err(|error| error.to_string());
        let keys = read.and_then(|text| KeySet::parse(&text).map_err(|error| error.to_string()));
        let keys = keys.map_err(|error| {
            let remedy = "Put a JSON Web Key Set of public keys there; an issuer's may be left away to have it fetched";
            self.fault(place, format!("the keys {} cannot be used: {error}", path.display()), remedy);
        });
        keys.ok()
    }

    fn keys(&mut self, place: &[&str], section: &IssuerSection) -> Option<Keys> {
        if let Some(path) = &section.keys {
            return self.key_set(place, path).map(Keys::Held);
        }
        let from = section.jwks_uri.as_ref().unwrap_or(&section.issuer);
        if !from.parse::<Uri>().is_ok_and(|uri| web::is_private(&uri)) {
            let remedy = "Give `jwks_uri` with an address that begins with https://, or the keys in a file with `keys`";
            self.fault(
                place,
                format!("keys cannot be fetched from `{}` without being changed on the way", web::shown(from)),
                remedy,
            );
            return None;
        }
        let trust = self.trust(&[place, &["tls_authorities"]].concat(), section.tls_authorities.as_deref());
        Some(Keys::Published(PublishedKeys::new(&section.issuer, section.jwks_uri.clone(), web::fetcher(trust))))
    }

    fn issued_agents(&mut self, place: &[&str], issuer: &IssuerSection, people: &People) -> Vec<AgentRule> {
        if issuer.agents.is_empty() && issuer.user_claim.is_none() {
            let remedy = "Add `agents = [{ agent = \"NAME\", claims = { … } }]`, or `user_claim` for people's tokens";
            self.fault(place, "an issuer has agents, or people", remedy);
        }
        let mut rules = Vec::new();
        for section in &issuer.agents {
            let agent = AgentName::new(&section.agent).ok().filter(|agent| people.agents.contains_key(agent));
            if section.claims.is_empty() {
                let message = format!("any token of the issuer would be agent {}", section.agent);
                self.fault(place, message, "Pin the claims that are the workload's alone");
            }
            match agent {
                Some(agent) => rules.push(AgentRule { agent, claims: section.claims.clone() }),
                None => {
                    let message = format!("there is no agent `{}`", section.agent);
                    self.fault(place, message, "Add it under [agents]");
                }
            }
        }
        rules
    }

    fn provider(&mut self, config: &Config) -> Option<Arc<Provider>> {
        let section = config.oidc.as_ref()?;
        let before = self.faults.len();
        let place = |key| ["oidc", key];
        if !section.issuer.parse::<Uri>().is_ok_and(|uri| web::is_private(&uri)) || !is_base(&section.issuer) {
            self.fault(
                &place("issuer"),
                format!("`{}` is no issuer", web::shown(&section.issuer)),
                "Write the provider's issuer, which begins with https://",
            );
        }
        if section.client_id.is_empty() {
            self.fault(&place("client_id"), "the client id is empty", "Write what the provider calls this gateway");
        }
        if config.api.is_none() {
            let remedy = "Add [api] with an address, and with the url that browsers reach it by";
            self.fault(&["oidc"], "nobody could come back from the provider, for there is no API", remedy);
        }
        for (key, secs, most) in [
            ("session_secs", section.session_secs, config.limits.token_secs_max),
            ("refresh_secs", section.refresh_secs, section.session_secs.max(1)),
        ] {
            if secs == 0 || secs > most {
                let message = format!("oidc.{key} = {secs} is not between 1 and {most}");
                self.fault(
                    &place(key),
                    message,
                    "Use a number between these; no sign-in lasts longer than limits.token_secs_max",
                );
            }
        }
        let mut groups = BTreeMap::new();
        for (theirs, ours) in &section.groups {
            match GroupName::new(ours) {
                Ok(ours) => drop(groups.insert(theirs.clone(), ours)),
                Err(error) => self.fault(&["oidc", "groups", theirs], error.to_string(), "Correct the group's name"),
            }
        }
        let admit = self.groups(["oidc", "admit"], &section.admit);
        let client_secret = self.provider_secret(section);
        let trust = self.trust(&["oidc", "tls_authorities"], section.tls_authorities.as_deref());
        if self.faults.len() > before {
            return None;
        }
        let settings = ProviderSettings {
            issuer: section.issuer.clone(),
            client_id: section.client_id.clone(),
            client_secret,
            scopes: section.scopes.clone(),
            user_claim: section.user_claim.clone(),
            groups_claim: section.groups_claim.clone(),
            groups,
            admit,
        };
        Some(Arc::new(Provider::new(settings, web::fetcher(trust))))
    }

    fn provider_secret(&mut self, section: &Oidc) -> Option<Secret> {
        let reference = section.client_secret.as_ref()?;
        let secret = Reference::parse(reference, self.base).and_then(|secret| secret.fetch());
        let remedy = "Put the secret in a file with mode 0600 and write client_secret = \"file:PATH\"";
        secret.map_err(|error| self.fault(&["oidc", "client_secret"], error.to_string(), remedy)).ok()
    }

    /// Who vouches for a web server that the configuration names.
    fn trust(&mut self, place: &[&str], path: Option<&Path>) -> Trust {
        let Some(path) = path else { return Trust::System };
        let pem = std::fs::read_to_string(self.base.join(path)).map_err(|error| error.to_string());
        let checked = pem.and_then(|pem| {
            gatehouse_engine::check_authorities(&pem).map_err(|error| error.to_string())?;
            Ok(Trust::Pem(pem.into()))
        });
        checked.unwrap_or_else(|error| {
            self.fault(place, error, "Name a PEM file with certificates");
            Trust::System
        })
    }

    fn class_rules(&mut self, config: &Config) -> Vec<ClassRule> {
        let mut rules = Classes::builtin();
        for (name, section) in &config.classes {
            let class = match ClassName::new(name) {
                Ok(class) => class,
                Err(error) => {
                    self.fault(&["classes", name], error.to_string(), "Correct the class's name");
                    continue;
                }
            };
            let detector = section.detector.as_deref().and_then(|detector| {
                let found = Detector::from_name(detector);
                if found.is_none() {
                    self.fault(
                        &["classes", name, "detector"],
                        format!("there is no detector `{detector}`"),
                        "docs/masking.md lists the detectors",
                    );
                }
                if found.is_some_and(Detector::is_recognized) && config.recognizer.is_none() {
                    self.fault(
                        &["classes", name, "detector"],
                        format!("nothing finds what the detector `{detector}` is for"),
                        "Name a model under [recognizer]",
                    );
                }
                found
            });
            // What is not said anew stays as it was: to change a mask must not lose the names and the detector.
            let before = rules.iter().position(|rule| rule.name == class).map(|place| rules.remove(place));
            let said = section.mask.map(transform);
            let Some(transform) = said.or_else(|| before.as_ref().map(|rule| rule.transform)) else {
                self.fault(
                    &["classes", name],
                    format!("the class `{class}` is not built in and has no mask"),
                    "Say what is done to its values: mask = \"redact\", \"partial\", \"null\" or \"pseudonym\"",
                );
                continue;
            };
            let (names, found_by) = before.map_or((Vec::new(), None), |rule| (rule.column_names, rule.detector));
            rules.push(ClassRule {
                name: class,
                transform,
                column_names: if section.columns.is_empty() { names } else { section.columns.clone() },
                detector: detector.or(found_by),
            });
        }
        rules
    }

    fn recognizer(&mut self, config: &Config) -> Option<Arc<dyn Recognizer>> {
        let section = config.recognizer.as_ref()?;
        let limits = [
            ("tokens_max", (16..=4096).contains(&section.tokens_max), "Say how many tokens, from 16 to 4096"),
            ("score_min", (0.0..=1.0).contains(&section.score_min), "Say how sure, from 0 to 1"),
            ("value_bytes_max", section.value_bytes_max > 0, "Say how many bytes"),
        ];
        for (key, is_right, remedy) in limits {
            if !is_right {
                self.fault(&["recognizer", key], format!("`{key}` is out of bounds"), remedy);
                return None;
            }
        }
        let loaded = recognizer::load(section, self.base);
        loaded.map_err(|(key, error)| self.fault(&["recognizer", key], error, recognizer::REMEDY)).ok()
    }

    fn targets(
        &mut self,
        config: &Config,
        rules: &[ClassRule],
        key: &PseudonymKey,
        recognizer: Option<&Arc<dyn Recognizer>>,
    ) -> (BTreeMap<String, Arc<Target>>, BTreeMap<TargetName, AccountSource>) {
        let mut targets = BTreeMap::new();
        let mut accounts = BTreeMap::new();
        for (name, section) in &config.targets {
            let before = self.faults.len();
            let target_name = TargetName::new(name)
                .map_err(|error| self.fault(&["targets", name], error.to_string(), "Correct the name"))
                .ok();
            for (key, value) in [
                ("hold_secs_max", section.hold_secs_max),
                ("transaction_hold_secs_max", section.transaction_hold_secs_max),
                ("survey_secs_max", section.survey_secs_max),
            ] {
                if value == 0 {
                    self.fault(&["targets", name, key], format!("{key} = 0 is too small"), "Use at least 1");
                }
            }
            let route = self.route(name, section);
            let classes = self.classes(name, section, rules, key, recognizer);
            let facts = self.facts(config, name, section);
            let account = self.account(config, name, section);
            let listener = registry::listener(&section.protocol);
            if !config.listen.contains_key(listener) && registry::protocol(&section.protocol).is_some() {
                self.fault(
                    &["targets", name, "protocol"],
                    format!("nothing listens for {}", section.protocol),
                    format!("Add [listen.{listener}] with an address"),
                );
            }
            let (Some(target_name), Some(route), Some(classes), Some(account), Some(facts)) =
                (target_name, route, classes, account, facts)
            else {
                continue;
            };
            if self.faults.len() > before {
                continue;
            }
            accounts.extend(account.map(|account| (target_name.clone(), account)));
            targets.insert(
                name.clone(),
                Arc::new(Target {
                    name: target_name,
                    protocol: section.protocol.clone(),
                    route,
                    on_hold: match section.on_hold {
                        OnHold::Wait => HoldMode::Wait,
                        OnHold::Refuse => HoldMode::Refuse,
                    },
                    hold_secs_max: section.hold_secs_max,
                    transaction_hold_secs_max: section.transaction_hold_secs_max,
                    survey_secs_max: section.survey_secs_max,
                    shows_order: !section.hide_row_order,
                    classes: Arc::new(TargetClasses(classes)),
                    facts,
                }),
            );
        }
        (targets, accounts)
    }

    /// Which targets hosts stand for.
    fn hosts(&mut self, config: &Config) -> BTreeMap<(String, Option<u16>), String> {
        let mut hosts = BTreeMap::new();
        let of_http = config.targets.iter().filter(|(_, section)| registry::rides_on_http(&section.protocol));
        // What is wrong with an address is said where it stands.
        let of_http =
            of_http.filter(|(_, section)| section.names.is_some() || host_and_port(&section.address).is_some());
        for (name, section) in of_http {
            let named = section.names.clone().unwrap_or_else(|| vec![section.address.clone()]);
            for host in named {
                let is_name = |char: char| char.is_ascii_alphanumeric() || "-._:[]".contains(char);
                if host.is_empty() || !host.chars().all(is_name) {
                    let message = format!("`{host}` is no host");
                    self.fault(
                        &["targets", name, "names"],
                        message,
                        "Write HOST or HOST:PORT, such as billing.internal; for names of all targets, set listen.http.domain",
                    );
                }
                let (only, port) = match host.rsplit_once(':') {
                    Some((only, port)) if !port.ends_with(']') => (only, port.parse().ok()),
                    Some(_) | None => (host.as_str(), None),
                };
                let before = hosts.insert((only.to_ascii_lowercase(), port), name.clone());
                if let Some(other) = before.filter(|other| other != name) {
                    let message = format!("`{host}` stands for the target `{other}` already");
                    self.fault(&["targets", name, "names"], message, "Give each target hosts of its own with `names`");
                }
            }
        }
        hosts
    }

    fn route(&mut self, name: &str, section: &TargetSection) -> Option<Route> {
        if registry::protocol(&section.protocol).is_none() {
            self.fault(
                &["targets", name, "protocol"],
                format!("there is no protocol `{}`", section.protocol),
                format!("The protocols are: {}", protocol_names()),
            );
        }
        let Some((host, port)) = host_and_port(&section.address) else {
            self.fault(
                &["targets", name, "address"],
                format!("the address `{}` is not HOST:PORT", web::shown(&section.address)),
                "Write the host, a colon and the port, such as db.internal:5432, without http:// and without a path; `tls` says \
                 whether it speaks TLS",
            );
            return None;
        };
        let trust = match &section.tls_authorities {
            None => Trust::System,
            Some(path) => match std::fs::read_to_string(self.base.join(path)) {
                Ok(pem) => Trust::Pem(pem.into()),
                Err(error) => {
                    self.fault(
                        &["targets", name, "tls_authorities"],
                        format!("the certificates cannot be read: {error}"),
                        "Name a PEM file",
                    );
                    return None;
                }
            },
        };
        let host = host.trim_matches(['[', ']']);
        let identity = self.tls_identity(name, section)?;
        Some(Route {
            host: host.into(),
            port,
            account: match (&section.credential, &section.user) {
                (Some(credential), _) => Account::Shown(showing(credential)),
                (None, Some(user)) => Account::Named(user.clone()),
                (None, None) if section.credentials.is_some() => Account::Leased,
                (None, None) => Account::None,
            },
            database: section.database.clone().unwrap_or_else(|| name.into()),
            tls: match section.tls.unwrap_or(default_tls(section, host)) {
                Tls::Disable => TlsMode::Disable,
                Tls::Prefer => TlsMode::Prefer,
                Tls::Require => TlsMode::Require,
                Tls::VerifyCa => TlsMode::VerifyCa,
                Tls::VerifyFull => TlsMode::VerifyFull,
            },
            trust,
            identity,
        })
    }

    /// What the protocol of a target makes of what else is said of it.
    fn facts(&mut self, config: &Config, name: &str, section: &TargetSection) -> Option<SurveyFacts> {
        let protocol = registry::protocol(&section.protocol)?;
        let of_http = [
            ("credential", section.credential.is_some()),
            ("names", section.names.is_some()),
            ("openapi", section.openapi.is_some()),
            ("graphql", !section.graphql.is_empty()),
            ("opaque_bodies", section.opaque_bodies.is_some()),
            ("rewrite_links", section.rewrite_links.is_some()),
            ("headers", !section.headers.is_empty()),
            ("ignore_case", section.ignore_case.is_some()),
            ("encoded_slashes", section.encoded_slashes.is_some()),
            ("fields", !section.fields.is_empty()),
            ("path", section.path.is_some()),
        ];
        let of_streams = [
            ("user", section.user.is_some()),
            ("password", section.password.is_some()),
            ("credentials", section.credentials.is_some()),
            ("database", section.database.is_some()),
            ("columns", !section.columns.is_empty()),
            ("documents", !section.documents.is_empty()),
        ];
        let (carriage, foreign) = match protocol.carriage() {
            Carriage::Stream(_) => (None, of_http.as_slice()),
            Carriage::Exchanges(protocol) => (Some(protocol), of_streams.as_slice()),
        };
        for (key, _) in foreign.iter().filter(|(_, is_there)| *is_there) {
            self.foreign_key(name, key, &section.protocol);
        }
        let Some(protocol) = carriage else { return Some(Arc::new(())) };
        let document = section.openapi.as_ref();
        let endpoints = match document.map(|path| openapi::endpoints(&self.base.join(path))).transpose() {
            Ok(endpoints) => endpoints,
            Err(error) => {
                let document = document.map(|path| path.display().to_string()).unwrap_or_default();
                self.fault(&["targets", name, "openapi"], format!("`{document}`: {error}"), error.remedy());
                return None;
            }
        };
        self.endpoints.extend(endpoints.as_ref().map(|endpoints| (name.to_string(), names_of(endpoints))));
        let (header, parameters) = match section.credential.as_ref().map(showing) {
            Some(Showing::Bearer | Showing::Basic(_)) => (Some("authorization".into()), Vec::new()),
            Some(Showing::Aws(_)) => (Some("authorization".into()), AWS_PARAMETERS.map(String::from).into()),
            Some(Showing::Header(name)) => (Some(name), Vec::new()),
            Some(Showing::Parameter(name)) => (None, vec![name]),
            None => (None, Vec::new()),
        };
        let host = section.address.rsplit_once(':').map_or("", |(host, _)| host);
        let scheme = if section.tls.unwrap_or(default_tls(section, host)) == Tls::Disable { "http" } else { "https" };
        let usual = if scheme == "http" { ":80" } else { ":443" };
        let target = TargetName::new(name).ok()?;
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "/-._~".contains(char);
        if let Some(path) = section.path.as_ref().filter(|path| !is_path(path) || !path.chars().all(is_plain)) {
            let message = format!("`{path}` is no path in its plain form");
            self.fault(&["targets", name, "path"], message, "Write it from its first slash on, such as /mcp");
        }
        for path in section.graphql.iter().filter(|path| !is_path(path)) {
            let message = format!("`{path}` is no path, so nothing that is asked for is ever read as GraphQL by it");
            let remedy = "Write the path alone, in its plain form and from its first slash on, such as /graphql";
            self.fault(&["targets", name, "graphql"], message, remedy);
        }
        let headers = self.shown_headers(name, section, header.as_deref());
        let described = HttpFacts {
            origin: format!("{scheme}://{}", section.address.strip_suffix(usual).unwrap_or(&section.address)),
            endpoints,
            endpoint: section.path.clone(),
            graphql: section.graphql.clone(),
            credential_header: header,
            credential_parameters: parameters,
            passes_opaque: section.opaque_bodies == Some(OpaqueBodies::Pass),
            rewrites_links: section.rewrite_links == Some(true),
            requests: config.api.as_ref().and_then(Api::outside).map(|url| format!("{url}/requests")),
            headers,
            ignores_case: section.ignore_case == Some(true),
            keeps_slashes: section.encoded_slashes == Some(EncodedSlashes::Keep),
        };
        let learnt = protocol.learn(&target, described);
        learnt.map_err(|key| self.foreign_key(name, key, &section.protocol)).ok()
    }

    /// The fields of requests that policy is shown, besides the one that the gateway proves itself by.
    fn shown_headers(&mut self, name: &str, section: &TargetSection, own: Option<&str>) -> Vec<String> {
        let plain = |header: &str| header.replace('_', "-");
        let mut shown: Vec<String> = Vec::new();
        for header in &section.headers {
            let header = header.to_ascii_lowercase();
            let is_name = axum::http::HeaderName::from_bytes(header.as_bytes()).is_ok();
            let is_hidden = NOT_SHOWN.contains(&plain(&header).as_str())
                || !gatehouse_http::goes_on(&plain(&header))
                || own.is_some_and(|own| plain(own) == plain(&header));
            if !is_name || is_hidden {
                let message = format!("`{header}` is no field of requests that policy can be shown");
                let remedy = "Name fields that go on to the target and prove nobody, such as stripe-account";
                self.fault(&["targets", name, "headers"], message, remedy);
            } else if !shown.iter().any(|other| plain(other) == plain(&header)) {
                shown.push(header);
            }
        }
        shown
    }

    fn foreign_key(&mut self, name: &str, key: &str, protocol: &str) {
        let message = format!("{key} is not for targets that speak {protocol}");
        self.fault(&["targets", name, key], message, "Take it out");
    }

    /// The gateway's own certificate for a target, if it has one there; the outer `None` is a fault.
    fn tls_identity(&mut self, name: &str, section: &TargetSection) -> Option<Option<TlsIdentity>> {
        let (chain, key) = match (&section.tls_certificate, &section.tls_key) {
            (None, None) => return Some(None),
            (Some(chain), Some(key)) => (chain, key),
            (Some(_), None) | (None, Some(_)) => {
                self.fault(&["targets", name], "tls_certificate and tls_key belong together", "Give both, or neither");
                return None;
            }
        };
        let chain = std::fs::read_to_string(self.base.join(chain)).map_err(|error| error.to_string());
        let key = Reference::File(self.base.join(key)).fetch().map_err(|error| error.to_string());
        match (chain, key) {
            (Ok(chain), Ok(key)) => {
                let identity = TlsIdentity { chain: chain.into(), key };
                if let Err(error) = gatehouse_engine::check_identity(&identity) {
                    let key = ["targets", name, "tls_certificate"];
                    self.fault(&key, error.to_string(), "Give a PEM certificate and its PEM key");
                    return None;
                }
                Some(Some(identity))
            }
            (Err(error), _) => {
                self.fault(&["targets", name, "tls_certificate"], error, "Name a PEM file");
                None
            }
            (_, Err(error)) => {
                self.fault(&["targets", name, "tls_key"], error, "Name a PEM file with mode 0600");
                None
            }
        }
    }

    fn classes(
        &mut self,
        name: &str,
        section: &TargetSection,
        rules: &[ClassRule],
        key: &PseudonymKey,
        recognizer: Option<&Arc<dyn Recognizer>>,
    ) -> Option<Classes> {
        let columns = self.columns(name, section, rules);
        let documents = self.documents(name, section, rules);
        let classes = Classes::new(rules.to_vec(), columns, key.of_target(name), recognizer.cloned());
        match classes.and_then(|classes| classes.with_fields(documents)) {
            Ok(classes) => Some(classes),
            Err(error) => {
                self.fault(&["targets", name], error.to_string(), "Correct the classes");
                None
            }
        }
    }

    /// The configuration's word on columns, and on fields of what is told over HTTP, which are columns of one table.
    fn columns(&mut self, name: &str, section: &TargetSection, rules: &[ClassRule]) -> BTreeMap<String, Assignment> {
        let mut columns = BTreeMap::new();
        for (column, class) in &section.columns {
            let place = ["targets", name, "columns", column];
            if is_column(column) {
                columns.extend(self.assignment(&place, class, rules).map(|assignment| (column.clone(), assignment)));
            } else {
                self.fault(
                    &place,
                    format!("`{column}` is not schema.table.column"),
                    "Write all three parts, such as \"public.customers.email\"",
                );
            }
        }
        for (field, class) in &section.fields {
            let place = ["targets", name, "fields", field];
            // A dot before the first name says where the path begins, as other tools have it.
            match FieldPath::parse(field.strip_prefix('.').unwrap_or(field)) {
                Ok(path) => columns.extend(
                    self.assignment(&place, class, rules)
                        .map(|assignment| (format!("http.fields.{}", path.as_str()), assignment)),
                ),
                Err(error) => self.no_field(&place, field, error),
            }
        }
        columns
    }

    fn assignment(&mut self, place: &[&str], class: &str, rules: &[ClassRule]) -> Option<Assignment> {
        if class == "clear" {
            return Some(Assignment::Clear);
        }
        let rule = rules.iter().find(|rule| rule.name.as_str() == class);
        if rule.is_none() {
            let remedy = format!("Use one of the classes, or add [classes.{class}]");
            self.fault(place, format!("there is no class `{class}`"), remedy);
        }
        rule.map(|rule| Assignment::Class(rule.name.clone()))
    }

    /// A path to a field is none.
    fn no_field(&mut self, place: &[&str], path: &str, error: PathError) {
        self.fault(
            place,
            format!("`{path}` leads to no field: {error}"),
            "Write the names of fields with dots between them, such as contact.email or items[].email",
        );
    }

    /// The fields of documents that are of a class, by their column.
    fn documents(
        &mut self,
        name: &str,
        section: &TargetSection,
        rules: &[ClassRule],
    ) -> BTreeMap<String, Vec<(FieldPath, ClassName)>> {
        let mut documents = BTreeMap::new();
        for (column, fields) in &section.documents {
            let place = ["targets", name, "documents", column];
            if !is_column(column) {
                self.fault(
                    &place,
                    format!("`{column}` is not schema.table.column"),
                    "Write all three parts of the column, and the fields' paths in its table: \
                     \"public.customers.profile\" = { \"contact.email\" = \"email\" }",
                );
                continue;
            }
            if fields.len() > DOCUMENT_FIELDS_MAX {
                let message = format!("there are more than {DOCUMENT_FIELDS_MAX} fields of `{column}`");
                self.fault(&place, message, "Give a field that holds several the class, or the column itself");
                continue;
            }
            let mut classified = Vec::with_capacity(fields.len());
            for (path, class) in fields {
                let place = ["targets", name, "documents", column, path];
                let rule = rules.iter().find(|rule| rule.name.as_str() == class);
                match (FieldPath::parse(path), rule) {
                    (Err(error), _) => self.no_field(&place, path, error),
                    (Ok(_), None) => self.fault(
                        &place,
                        format!("there is no class `{class}`"),
                        "Use one of the classes, or add it under [classes]; a field that is of none is left out",
                    ),
                    (Ok(path), Some(rule)) => classified.push((path, rule.name.clone())),
                }
            }
            documents.insert(column.clone(), classified);
        }
        documents
    }
}

/// What endpoints are called in policies: by method and path, and by the name of the operation.
fn names_of(endpoints: &[Endpoint]) -> BTreeSet<String> {
    let by_path = endpoints.iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.template));
    let by_name = endpoints.iter().filter_map(|endpoint| endpoint.operation.as_deref().map(str::to_string));
    by_path.chain(by_name).collect()
}

/// Whether a path is written as paths are judged: from its first slash on, in their plain form, without what may stand behind one.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(['?', '#', ' '])
        && !path.contains("//")
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// The two parts of an address.
fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let is_host = !host.is_empty() && !host.contains(['/', '@', ' ']);
    Some((host, port.parse().ok()?)).filter(|_| is_host)
}

/// Whether a column is named as `schema.table.column`.
fn is_column(column: &str) -> bool {
    column.split('.').count() == 3 && !column.split('.').any(str::is_empty)
}

fn protocol_names() -> String {
    registry::protocols().iter().map(|protocol| protocol.name()).collect::<Vec<_>>().join(", ")
}

/// A configuration for a command that needs no running gateway; its pseudonyms are not those of one.
pub(crate) fn alone(path: &Path) -> anyhow::Result<Loaded> {
    load(path, PseudonymKey::new([0; 32])).map_err(|faults| all_wrong(&faults))
}

/// All mistakes as one error.
pub(crate) fn all_wrong(faults: &[Fault]) -> anyhow::Error {
    anyhow::anyhow!("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The policies of a folder by themselves, or all that is wrong with them.
pub fn policies(directory: &Path) -> Result<Policies, Vec<Fault>> {
    let mut faults = Vec::new();
    load_policies(directory, &mut faults).ok_or(faults)
}

/// The stack that policies are read on, in bytes. Their reader calls itself for whatever stands within something else, which
/// takes tens of kilobytes a time; the system gives what of it is used.
const POLICY_STACK_BYTES: usize = 256 * 1024 * 1024;

/// Reads policies with room for the deepest that may be.
pub(crate) fn read_policies(sources: &[PolicySource]) -> Result<Policies, Vec<PolicyFault>> {
    let failed = |message: &str| {
        let remedy = "Look at the gateway's log, and give it more memory".into();
        vec![PolicyFault { file: "(policies)".into(), line: None, message: message.into(), remedy }]
    };
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("policies".into()).stack_size(POLICY_STACK_BYTES);
        let reading = reader.spawn_scoped(scope, || Policies::load(sources, &registry::schemas()));
        let read = reading.map_err(|error| failed(&format!("there is no thread to read them: {error}")))?.join();
        read.unwrap_or_else(|_| Err(failed("they cannot be read")))
    })
}

fn load_policies(directory: &Path, faults: &mut Vec<Fault>) -> Option<Policies> {
    let sources = match policy_sources(directory) {
        Ok(sources) => sources,
        Err(error) => {
            faults.push(Fault {
                file: directory.display().to_string(),
                line: None,
                message: format!("the policies cannot be read: {error}"),
                remedy: "Set policies.directory to a folder with *.cedar files".into(),
            });
            return None;
        }
    };
    match read_policies(&sources) {
        Ok(policies) => Some(policies),
        Err(found) => {
            faults.extend(found.into_iter().map(|fault| {
                let file = directory.join(&fault.file).display().to_string();
                Fault { file, ..Fault::of_policy(fault) }
            }));
            None
        }
    }
}

/// Policies that cannot do what they were written for: about what there is not, or in files that are not read.
fn policy_warnings(
    config: &Config,
    directory: &Path,
    policies: &Policies,
    endpoints: BTreeMap<String, BTreeSet<String>>,
) -> Vec<Fault> {
    let groups = || {
        let users = config.users.values().flat_map(|member| member.groups.clone());
        users.chain(config.agents.values().flat_map(|agent| agent.groups.clone()))
    };
    let builtin = Classes::builtin().into_iter().map(|rule| rule.name.to_string());
    let mapped = || config.oidc.iter().flat_map(|oidc| oidc.groups.values().cloned());
    let known = Known {
        brought: match &config.oidc {
            None => Vec::new(),
            Some(oidc) if oidc.groups.is_empty() => vec!["User", "Group"],
            Some(_) => vec!["User"],
        },
        targets: config.targets.keys().cloned().collect(),
        groups: groups().chain(mapped()).collect(),
        users: config.users.keys().cloned().collect(),
        agents: config.agents.keys().cloned().collect(),
        classes: builtin.chain(config.classes.keys().cloned()).collect(),
        gateways: BTreeSet::from([config.gateway.name.clone()]),
        endpoints,
        folding: config
            .targets
            .iter()
            .filter(|(_, section)| section.ignore_case == Some(true))
            .map(|(name, _)| name.clone())
            .collect(),
    };
    let shown = |name: &str| directory.join(name).display().to_string();
    let mut warnings = known.strangers(policies.mentions(), shown);
    warnings.extend(policies.warnings().iter().map(|fault| Fault {
        file: shown(&fault.file),
        line: fault.line,
        message: fault.message.clone(),
        remedy: fault.remedy.clone(),
    }));
    warnings.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    let files = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let ignored = files.map(|entry| entry.path()).filter(|path| {
        path.is_file() && path.extension().is_none_or(|extension| extension != "cedar" && extension != "md")
    });
    warnings.extend(ignored.map(|path| Fault {
        file: path.display().to_string(),
        line: None,
        message: "it is not read: only files whose names end in .cedar are policies".into(),
        remedy: "Rename it, or move it elsewhere".into(),
    }));
    if policies.is_empty() {
        warnings.push(Fault {
            file: directory.display().to_string(),
            line: None,
            message: "there is no policy, so nothing is permitted".into(),
            remedy: "Write one: the README has a first example, docs/policies.md has more".into(),
        });
    }
    warnings
}

/// The `*.cedar` files of a folder, in the order of their names.
pub fn policy_sources(directory: &Path) -> std::io::Result<Vec<PolicySource>> {
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            sources.push(PolicySource { name, text: std::fs::read_to_string(&path)? });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

/// What of a configuration is right and looks like a mistake: holds that nobody could ever answer, people who are known twice,
/// strangers who share one limit, no target.
fn warnings(
    config: &Config,
    people: &People,
    targets: &BTreeMap<String, Arc<Target>>,
    policies: &Policies,
    file: &str,
    text: &str,
) -> Vec<Fault> {
    let mut warnings = Vec::new();
    for summary in policies.summaries() {
        for group in &summary.hold {
            let can = |target: &Arc<Target>| {
                let resource = || Resource::new(kind::TARGET, target.name.as_str(), [] as [Parent; 0]);
                // Who signs in at a provider is known when they do; what their group may is known now.
                let visitor = (UserName::new("somebody").ok(), BTreeSet::from([group.clone()]));
                let visitor = visitor.0.as_ref().filter(|_| config.oidc.is_some()).map(|user| (user, &visitor.1));
                let mut members = people.users.iter().chain(visitor);
                members.any(|(user, groups)| groups.contains(group) && policies.may_approve(user, groups, resource()))
            };
            if !targets.is_empty() && !targets.values().any(can) {
                warnings.push(Fault {
                    file: summary.file.clone(),
                    line: None,
                    message: format!("policy `{}` holds for \"{group}\", but nobody in that group may approve", summary.id),
                    remedy: format!("Put a user into the group, and permit (principal in Group::\"{group}\", action == Action::\"approve\", resource)"),
                });
            }
        }
    }
    let by_email = config.oidc.as_ref().is_some_and(|oidc| oidc.user_claim.trim_start_matches('/') == "email");
    for (name, _) in
        config.users.iter().filter(|(name, member)| by_email && !name.contains('@') && !member.groups.is_empty())
    {
        warnings.push(Fault {
            file: file.into(),
            line: line_of(text, &["users", name]),
            message: format!("user:{name} is not whoever signs in by the provider, whose names are addresses of mail"),
            remedy: "One person with two names can approve for themselves: leave the section away, or name them as the provider does"
                .into(),
        });
    }
    warnings.extend(spaced_fields(config, file, text));
    warnings.extend(limit_that_never_counts(config, file, text));
    if config.api.as_ref().is_some_and(|api| api.url.is_some() && !api.forwarded) {
        warnings.push(Fault {
            file: file.into(),
            line: line_of(text, &["api", "url"]),
            message: "all who come by the proxy before the API and prove nothing share one limit".into(),
            remedy: "Have the proxy append to X-Forwarded-For, and write api.forwarded = true".into(),
        });
    }
    if config.targets.is_empty() {
        warnings.push(Fault {
            file: file.into(),
            line: None,
            message: "there is no target".into(),
            remedy: "Add [targets.NAME]: see docs/configuration.md".into(),
        });
    }
    warnings
}

/// A limit on bodies that are kept for a person, where none that long is read. One that nobody wrote down is nobody's mistake.
fn limit_that_never_counts(config: &Config, file: &str, text: &str) -> Option<Fault> {
    let (kept, read) = (config.limits.held_body_bytes_max, config.limits.body_bytes_max);
    let document = toml::from_str::<toml::Table>(text).ok()?;
    let is_written = document.get("limits")?.get("held_body_bytes_max").is_some();
    (is_written && kept > read).then(|| Fault {
        file: file.into(),
        line: line_of(text, &["limits", "held_body_bytes_max"]),
        message: format!(
            "limits.held_body_bytes_max = {kept} never counts, for it is more than limits.body_bytes_max = {read}"
        ),
        remedy: "Raise limits.body_bytes_max as far, or lower this one".into(),
    })
}

/// Paths to fields whose names have spaces in them. There are such names, in heads of tables above all; and somebody may have
/// meant two.
fn spaced_fields(config: &Config, file: &str, text: &str) -> Vec<Fault> {
    let mut places: Vec<Vec<&str>> = Vec::new();
    for (name, section) in &config.targets {
        places.extend(section.fields.keys().map(|path| vec!["targets", name.as_str(), "fields", path.as_str()]));
        for (column, fields) in &section.documents {
            let of_column = |path| vec!["targets", name.as_str(), "documents", column.as_str(), path];
            places.extend(fields.keys().map(String::as_str).map(of_column));
        }
    }
    places.retain(|place| place.last().is_some_and(|path| path.contains(' ')));
    let warning = |place: Vec<&str>| Fault {
        file: file.into(),
        line: line_of(text, &place),
        message: format!(
            "`{}` has a space in it, and leads to a field alone whose name has it too",
            place.last().unwrap_or(&"")
        ),
        remedy: "Where names of several fields are meant, write dots between them, such as contact.email".into(),
    };
    places.into_iter().map(warning).collect()
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The line of a key, or of the nearest section that holds it.
fn line_of(text: &str, place: &[&str]) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut line = None;
    for part in place {
        let Some((key, value)) = table.get_key_value(*part) else {
            return line;
        };
        line = Some(line_at(text, key.span().start));
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => return line,
        }
    }
    line
}

/// True for a host of this machine alone.
fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use gatehouse_model::{Access, Action, Facts, Identity, Subject};

    use super::*;

    #[test]
    fn a_misspelt_key_is_told_what_was_meant() {
        for (message, expected) in [
            (
                "unknown field `usre`, expected one of `protocol`, `address`, `user`",
                "unknown field `usre`; did you mean `user`?",
            ),
            (
                "unknown field `colour`, expected `agent` or `name`",
                "unknown field `colour`, expected `agent` or `name`",
            ),
            ("unknown field `x`, there are no fields", "unknown field `x`, there are no fields"),
            ("missing field `listen`", "missing field `listen`"),
        ] {
            assert_eq!(meant(message), expected);
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (address, expected) in [
            ("db.internal:5432", Some(("db.internal", 5432))),
            ("[::1]:80", Some(("[::1]", 80))),
            ("http://api.internal:80", None),
            ("https://api.internal", None),
            ("dana:secret@api.internal:80", None),
            ("api.internal", None),
            ("api.internal:80/v1", None),
            (":80", None),
        ] {
            assert_eq!(host_and_port(address), expected, "{address}");
        }
    }

    #[test]
    fn a_name_with_a_space_in_it_is_warned_of() {
        let text = "[listen]\n[targets.web]\nprotocol = \"http\"\naddress = \"127.0.0.1:1\"\n[targets.web.fields]\n\
                    \"customer.name\" = \"email\"\n\"customer name\" = \"email\"\n\
                    [targets.web.documents.\"a.b.c\"]\n\"customer mail\" = \"email\"\n";
        let config: Config = toml::from_str(text).unwrap();
        let warnings = spaced_fields(&config, "a.toml", text);
        let said: Vec<_> = warnings.iter().map(|fault| (fault.line, fault.message.as_str())).collect();
        let expected = [
            (Some(7), "`customer name` has a space in it, and leads to a field alone whose name has it too"),
            (Some(9), "`customer mail` has a space in it, and leads to a field alone whose name has it too"),
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_limit_that_never_counts_is_warned_of() {
        let said = |limits: &str| {
            let text = format!("[listen]\n[limits]\n{limits}\n");
            let config: Config = toml::from_str(&text).unwrap();
            limit_that_never_counts(&config, "a.toml", &text).map(|fault| (fault.line, fault.message))
        };
        let message =
            "limits.held_body_bytes_max = 131072 never counts, for it is more than limits.body_bytes_max = 65536";
        let expected = Some((Some(4), message.to_string()));
        assert_eq!(said("body_bytes_max = 65536\nheld_body_bytes_max = 131072"), expected);
        for limits in ["", "body_bytes_max = 65536", "body_bytes_max = 65536\nheld_body_bytes_max = 65536"] {
            assert_eq!(said(limits), None, "{limits}");
        }
    }

    /// The deepest that may be is read without a word, and decided on as small a stack as any thread of the gateway's has.
    #[test]
    fn the_deepest_policies_take_no_thread_along() {
        let within = |body: &str| format!("permit (principal, action, resource) when {{ {body} }};");
        for body in [
            format!("{}true{}", "(".repeat(30), ")".repeat(30)),
            format!("{}1{}.contains(1) || true", "[".repeat(30), "]".repeat(30)),
            "true && ".repeat(190) + "true",
            "false || ".repeat(190) + "true",
            "if true then true else ".repeat(390) + "true",
            format!("{}1 > 0", "1 + ".repeat(390)),
        ] {
            let text = within(&body);
            let source = PolicySource { name: "deep.cedar".into(), text };
            let policies = match read_policies(std::slice::from_ref(&source)) {
                Ok(policies) => policies,
                // Sets of different types are refused, which is as good.
                Err(faults) => {
                    assert!(faults.iter().all(|fault| fault.file == "deep.cedar"), "{faults:?}");
                    continue;
                }
            };
            let subject = Subject {
                identity: Identity::parse("agent:claude").unwrap(),
                groups: BTreeSet::new(),
                on_behalf_of: None,
            };
            let connect = Access::new(Action::CONNECT, Resource::root(kind::TARGET, "shop"));
            let decide = move || policies.decide(&subject, &connect, &Facts::new()).verdict;
            let decided = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(decide).unwrap().join();
            // What is too deep to be decided on is denied.
            assert!(decided.is_ok(), "{}", body.get(..30).unwrap_or_default());
        }
        let deeper = PolicySource { name: "deep.cedar".into(), text: within(&"(".repeat(100_000)) };
        assert!(read_policies(&[deeper]).is_err());
    }
}
