//! Who calls the API, by the door that the call came through.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use gatehouse_model::UserName;

use crate::problem::Problem;
use crate::routes::Served;

/// The header by which an administrator names the person who answers.
pub(crate) const ACT_AS: &str = "gatehouse-user";

/// Through which door calls come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The admin socket: whoever can open it administers the gateway.
    AdminSocket,
    /// A TCP address: callers show a token.
    Tcp,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody at the admin socket, for the person they name, if they name one.
    Administrator(Option<UserName>),
    /// A person who showed a token.
    User(UserName),
}

impl Caller {
    /// The person who calls, or for whom the administrator calls.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Administrator(user) => user.as_ref(),
            Self::User(user) => Some(user),
        }
    }

    /// How the call came, for the record.
    pub fn via(&self) -> &'static str {
        match self {
            Self::Administrator(_) => "admin socket",
            Self::User(_) => "api token",
        }
    }

    /// Refuses everyone but administrators.
    pub fn must_administer(&self) -> Result<(), Problem> {
        match self {
            Self::Administrator(_) => Ok(()),
            Self::User(user) => Err(Problem::forbidden(
                format!("{user} may not do this over the network"),
                "Use the admin socket on the gateway's machine: --admin-socket PATH",
            )),
        }
    }
}

impl FromRequestParts<Served> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Problem> {
        match served.door {
            Door::AdminSocket => {
                let named = parts.headers.get(ACT_AS).map(|name| name.to_str().unwrap_or_default());
                let user =
                    named.map(UserName::new).transpose().map_err(|error| Problem::bad_request(error.to_string()))?;
                Ok(Self::Administrator(user))
            }
            Door::Tcp => {
                let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
                let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(Problem::unauthorized)?;
                served.control.user_of(token).await?.map(Self::User).ok_or_else(Problem::unauthorized)
            }
        }
    }
}
