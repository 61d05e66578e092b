//! A gateway that believes others, and agents that work for people by their tokens.

use anyhow::Result;
use serde_json::{Value, json};

use crate::fixture::SLEEP;
use crate::http::{self, Door};
use crate::signer::{Signer, now};
use crate::{Fixture, Setup};

/// The grant of an exchange.
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of a signed token.
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The type of the gateway's own tokens.
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of what an agent proves itself by.
pub const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Whoever is in "support" lets agents work for them.
pub const POLICIES: &str = "\npermit (principal in Group::\"agents\", action == Action::\"start\", resource in Target::\"shop\");\n\
    permit (principal in Group::\"support\", action in [Action::\"start\", Action::\"connect\", Action::\"sql:read\", \
    Action::\"sql:session\"], resource in Target::\"shop\");\n";

/// A gateway that trusts a CI system, people's provider, and an agent's own key.
pub struct House {
    /// Signs for the agents `claude` and `planner`.
    pub ci: Signer,
    /// Signs for people.
    pub people: Signer,
    /// The key of the agent `signer`.
    pub claude: Signer,
    /// The gateway.
    pub fixture: Fixture,
}

/// Puts the members of one object into another.
fn merge(claims: &mut Value, more: Value) {
    if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more) {
        claims.extend(more);
    }
}

impl House {
    /// Starts it, with policies beside those of every fixture.
    pub fn start(policies: &str) -> Result<Self> {
        Self::start_with(policies, "")
    }

    /// The same with other limits.
    pub fn start_with(policies: &str, limits: &str) -> Result<Self> {
        let (ci, people, claude) = (Signer::new()?, Signer::new()?, Signer::new()?);
        let setup = Setup::default();
        let fixture = Fixture::start(Setup {
            policies: format!("{}{SLEEP}{policies}", setup.policies),
            config: format!("[limits]\n{limits}\n")
                + "[agents.planner]\ngroups = [\"agents\"]\n[agents.signer]\ngroups = [\"agents\"]\nkeys = \"claude.jwks\"\n\
                     [issuers.ci]\nissuer = \"https://ci.example\"\naudience = \"gatehouse\"\nkeys = \"ci.jwks\"\n\
                     agents = [{ agent = \"claude\", claims = { environment = \"production\" } }, \
                     { agent = \"planner\", claims = { environment = \"planning\" } }]\n\
                     [issuers.people]\nissuer = \"https://id.example\"\naudience = \"gatehouse\"\nkeys = \"people.jwks\"\n\
                     user_claim = \"login\"\n",
            files: vec![("ci.jwks", ci.keys()), ("people.jwks", people.keys()), ("claude.jwks", claude.keys())],
            ..setup
        })?;
        Ok(Self { ci, people, claude, fixture })
    }

    /// Calls the token endpoint.
    pub fn call(&self, form: &[(&str, &str)]) -> Result<(u16, Value)> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let answer = http::call(Door::Web(&self.fixture.api()?), "POST", "/oauth/token", &[http::FORM], &body)?;
        Ok((answer.status, answer.json()))
    }

    /// Exchanges a token, with what is shown beside it.
    pub fn exchange(&self, subject: &str, more: &[(&str, &str)]) -> Result<(u16, Value)> {
        let form = [("grant_type", EXCHANGE), ("subject_token", subject), ("subject_token_type", JWT)];
        let rest = [("audience", "shop"), ("reason", "a delegated job")];
        self.call(&[&form[..], &rest, more].concat())
    }

    /// The same, with an actor's token.
    pub fn acting(&self, subject: &str, actor: &str, more: &[(&str, &str)]) -> Result<(u16, Value)> {
        self.exchange(subject, &[&[("actor_token", actor), ("actor_token_type", JWT)], more].concat())
    }

    /// A person's token.
    pub fn person(&self, login: &str, more: Value) -> Result<String> {
        let mut claims =
            json!({ "iss": "https://id.example", "aud": "gatehouse", "sub": format!("id-{login}"), "login": login });
        merge(&mut claims, more);
        self.people.sign(&claims)
    }

    /// What the agent `signer` signs for itself.
    /// What the agent `signer` signs for itself.
    pub fn assertion(&self, jti: &str, more: Value) -> Result<String> {
        let mut claims =
            // The clock is a little ahead: what is of the first moments of a gateway may have been shown to the one before.
            json!({ "iss": "agent:signer", "sub": "agent:signer", "aud": self.fixture.api()?, "jti": jti, "iat": now() + 5 });
        merge(&mut claims, more);
        self.claude.sign(&claims)
    }
}
