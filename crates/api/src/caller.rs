//! Who calls the API, by the door that the call came through.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use gatehouse_model::UserName;

use crate::cookies::{SESSION, cookie};
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

/// What a person showed, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shown {
    /// A token in a header.
    Token,
    /// A browser's cookie.
    Cookie,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Somebody at the admin socket, for the person they name, if they name one.
    Administrator(Option<UserName>),
    /// A person who proved who they are.
    User(UserName, Shown),
}

impl Caller {
    /// The person who calls, or for whom the administrator calls.
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::Administrator(user) => user.as_ref(),
            Self::User(user, _) => Some(user),
        }
    }

    /// How the call came, for the record.
    pub fn via(&self) -> &'static str {
        match self {
            Self::Administrator(_) => "admin socket",
            Self::User(_, Shown::Token) => "api token",
            Self::User(_, Shown::Cookie) => "browser",
        }
    }

    /// Refuses whoever is not at the admin socket.
    pub fn must_be_local(&self) -> Result<(), Problem> {
        match self {
            Self::Administrator(_) => Ok(()),
            Self::User(user, _) => Err(Problem::forbidden(
                format!("{user} may not do this over the network"),
                "Use the admin socket on the gateway's machine: --admin-socket PATH",
            )),
        }
    }
}

/// The token that a call brings: in a header, or else in a browser's cookie, which no page of another site may make use of.
pub(crate) fn token(parts: &Parts, is_secure: bool) -> Result<Option<(&str, Shown)>, Problem> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        return Ok(header.strip_prefix("Bearer ").map(|token| (token, Shown::Token)));
    }
    let Some(token) = cookie(&parts.headers, SESSION, is_secure) else { return Ok(None) };
    if !parts.method.is_safe() {
        must_be_same_origin(&parts.headers)?;
    }
    Ok(Some((token, Shown::Cookie)))
}

/// Refuses what a page of another site sent. Browsers say where a request comes from (Fetch Metadata), old ones at least
/// from which origin.
pub(crate) fn must_be_same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), _, _) => site == "same-origin",
        (None, Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, origin)| origin == host),
        (None, _, _) => false,
    };
    if is_own {
        return Ok(());
    }
    Err(Problem::forbidden(
        "this may have come from a page of another site",
        "Use the gateway's own pages; a program sends its token as `Authorization: Bearer`, or with a cookie also `Origin`",
    ))
}

impl FromRequestParts<Served> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, served: &Served) -> Result<Self, Problem> {
        // Who calls is found out once for each call.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        match served.door {
            Door::AdminSocket => {
                let named = parts.headers.get(ACT_AS).map(|name| name.to_str().unwrap_or_default());
                let user =
                    named.map(UserName::new).transpose().map_err(|error| Problem::bad_request(error.to_string()))?;
                Ok(Self::Administrator(user))
            }
            Door::Tcp => {
                let shown = token(parts, served.is_secure())?;
                let user = match shown {
                    Some((token, shown)) => served.control.user_of(token, shown).await?.map(|user| (user, shown)),
                    None => None,
                };
                let Some((user, shown)) = user else {
                    served.count_stranger(parts)?;
                    return Err(Problem::unauthorized());
                };
                served.control.count_person(&user)?;
                Ok(Self::User(user, shown))
            }
        }
    }
}
