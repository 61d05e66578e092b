//! How people sign in: in a browser by their provider or by a one-time link, in a terminal with a code that they type at
//! their provider; and how they sign out.
//!
//! Knows pages, cookies and forms. Who somebody is it asks [`Control`](crate::Control).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::{Caller, Shown, must_be_same_origin};
use crate::cookies::{SESSION, SIGN_IN, cookie, set};
use crate::extract::{Form, Json, Query};
use crate::pace::Stranger;
use crate::pages::{Page, escape};
use crate::problem::Problem;
use crate::routes::Served;
use crate::views::TokenView;

/// The longest path that a browser is sent back to, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// A sign-in that begins: where the browser goes, and what it must bring back.
#[derive(Debug, Clone)]
pub struct SignInBegun {
    /// The provider's page.
    pub location: String,
    /// The secret of this browser.
    pub secret: String,
    /// For how many seconds that is good.
    pub secs: u32,
}

/// What a provider sends a browser back with (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Debug, Clone, Default, Deserialize)]
pub struct CameBack {
    /// What proves that it is the browser that went there.
    pub state: Option<String>,
    /// What the provider tells the person by.
    pub code: Option<String>,
    /// Which provider it is.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The same in words.
    pub error_description: Option<String>,
}

/// A browser's new session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Its token.
    pub token: String,
    /// For how many seconds it is good.
    pub secs: u32,
}

/// A sign-in in a terminal: what the person is shown.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceLoginView {
    /// What to ask by whether the person has signed in; it is a secret.
    pub handle: String,
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code in it, if the provider has that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
    /// What they type there.
    pub user_code: String,
    /// For how many seconds that is good.
    pub expires_in: u32,
}

/// Which sign-in is asked about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceHandle {
    /// What the sign-in began with.
    pub handle: String,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// `user:NAME`; at the admin socket the person who is named, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Their groups.
    pub groups: Vec<String>,
    /// Whether they administer the gateway.
    pub administers: bool,
    /// How the call came: `admin socket`, `api token` or `browser`.
    pub via: String,
}

/// A one-time link to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// For whom: `user:NAME`.
    pub user: String,
}

/// A link that signs a browser in, once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    /// The link.
    pub url: String,
    /// When it expires.
    pub expires: String,
}

#[derive(Deserialize)]
pub(crate) struct ReturnTo {
    return_to: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Code {
    code: String,
}

/// A path of the gateway's own, and of characters that a cookie can hold.
pub(crate) fn own_path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix('/')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~?=&%".contains(&byte);
    (!rest.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.bytes().all(is_plain)).then_some(path)
}

/// Sends a browser somewhere else, with its new cookies.
fn send(location: &str, cookies: impl IntoIterator<Item = Option<HeaderValue>>) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else {
        return Page::problem(&Problem::unavailable("there is nowhere to go on to")).into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies.into_iter().flatten() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn shown(outcome: Result<Response, Problem>) -> Response {
    outcome.unwrap_or_else(|problem| Page::problem(&problem).into_response())
}

impl Served {
    pub(crate) fn is_secure(&self) -> bool {
        self.control.address().is_some_and(|address| address.starts_with("https://"))
    }

    fn session(&self, signed_in: &SignedIn) -> Option<HeaderValue> {
        set(SESSION, &signed_in.token, signed_in.secs, self.is_secure())
    }

    fn forgotten(&self, name: &str) -> Option<HeaderValue> {
        set(name, "", 0, self.is_secure())
    }
}

/// Sends a browser to the provider.
pub(crate) async fn login(State(served): State<Served>, _: Stranger, Query(back): Query<ReturnTo>) -> Response {
    let begun = served.control.begin_sign_in().await.map(|begun| {
        let path = back.return_to.as_deref().and_then(own_path).unwrap_or("/");
        let secret = format!("{}:{path}", begun.secret);
        send(&begun.location, [set(SIGN_IN, &secret, begun.secs, served.is_secure())])
    });
    shown(begun)
}

/// Takes a browser back from the provider.
pub(crate) async fn callback(
    State(served): State<Served>,
    _: Stranger,
    headers: HeaderMap,
    Query(back): Query<CameBack>,
) -> Response {
    let held = cookie(&headers, SIGN_IN, served.is_secure()).and_then(|held| held.split_once(':'));
    let Some((secret, path)) = held else {
        let title = "this sign-in was not begun in this browser, or too long ago";
        return Page::problem(&Problem::forbidden(title, "Begin anew at /login")).into_response();
    };
    let path = own_path(path).unwrap_or("/");
    let signed_in = served.control.complete_sign_in(secret, back).await;
    let forgotten = served.forgotten(SIGN_IN);
    shown(signed_in.map(|signed_in| send(path, [served.session(&signed_in), forgotten])))
}

/// What a one-time link shows: whoever only looks at it, such as a preview, does not use it up.
pub(crate) async fn link(State(served): State<Served>, _: Stranger, Query(code): Query<Code>) -> Response {
    let user = match served.control.link_user(&code.code) {
        Ok(user) => user,
        Err(problem) => return Page::problem(&problem).into_response(),
    };
    let body = format!(
        "<p>This link signs this browser in as <strong>user:{}</strong>, once.</p>\
         <form method=\"post\" action=\"/login/link\"><input type=\"hidden\" name=\"code\" value=\"{}\">\
         <button>Sign in</button></form>",
        escape(user.as_str()),
        escape(&code.code)
    );
    Page::new("Sign in", body).into_response()
}

/// Signs a browser in by a one-time link.
pub(crate) async fn use_link(
    State(served): State<Served>,
    _: Stranger,
    headers: HeaderMap,
    Form(code): Form<Code>,
) -> Response {
    if let Err(problem) = must_be_same_origin(&headers) {
        return Page::problem(&problem).into_response();
    }
    let signed_in = served.control.use_link(&code.code).await;
    shown(signed_in.map(|signed_in| send("/", [served.session(&signed_in)])))
}

/// Signs a browser out, here and where the provider has that, there.
pub(crate) async fn logout(State(served): State<Served>, _: Stranger, headers: HeaderMap) -> Response {
    if let Err(problem) = must_be_same_origin(&headers) {
        return Page::problem(&problem).into_response();
    }
    let outcome = match cookie(&headers, SESSION, served.is_secure()) {
        Some(token) => served.control.sign_out(token, Shown::Cookie).await,
        None => Ok(None),
    };
    shown(outcome.map(|elsewhere| match elsewhere {
        Some(location) => signed_out(&location, served.forgotten(SESSION)),
        None => send("/", [served.forgotten(SESSION)]),
    }))
}

/// Leads on to the provider, where a browser signs out too. Not as a redirect: the pages here send their forms to this origin
/// alone, and a redirect would be a part of that.
fn signed_out(location: &str, cookie: Option<HeaderValue>) -> Response {
    let body =
        format!("<p>You are signed out here. <a href=\"{}\">Sign out at your provider too</a></p>", escape(location));
    let mut response = Page::new("Signed out", body).into_response();
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(&format!("0; url={location}")).ok().map(|refresh| (header::REFRESH, refresh)));
    headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

/// Who calls, as the gateway sees it.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(crate) async fn me(State(served): State<Served>, caller: Caller) -> Result<Json<Me>, Problem> {
    served.control.me(&caller).map(Json)
}

/// Begins a sign-in in a terminal (RFC 8628, by way of the provider).
#[utoipa::path(post, path = "/api/v1/login/device", responses((status = 200, body = DeviceLoginView), (status = 404, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn device_login(
    State(served): State<Served>,
    _: Stranger,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Pages say where they come from, terminals do not.
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Problem::forbidden("this is not for web pages", "In a browser, sign in at /login"));
    }
    let begun = served.control.begin_device_login().await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(begun)).into_response())
}

/// Asks whether the person has signed in: 202 while not, and the token once.
#[utoipa::path(post, path = "/api/v1/login/device/poll", request_body = DeviceHandle, responses((status = 200, body = TokenView), (status = 202), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn device_poll(
    State(served): State<Served>,
    _: Stranger,
    Json(asked): Json<DeviceHandle>,
) -> Result<Response, Problem> {
    Ok(match served.control.poll_device_login(&asked.handle)? {
        Some(token) => ([(header::CACHE_CONTROL, "no-store")], Json(token)).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    })
}

/// Ends the token that this is called with.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 204), (status = 401, body = Problem)))]
pub(crate) async fn end_token(
    State(served): State<Served>,
    headers: HeaderMap,
    _caller: Caller,
) -> Result<StatusCode, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) {
        served.control.sign_out(token, Shown::Token).await?;
    } else if let Some(token) = cookie(&headers, SESSION, served.is_secure()) {
        served.control.sign_out(token, Shown::Cookie).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a link that signs a browser in, once; at the admin socket only.
#[utoipa::path(post, path = "/api/v1/links", request_body = NewLink, responses((status = 201, body = LinkView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub(crate) async fn new_link(
    State(served): State<Served>,
    caller: Caller,
    Json(new): Json<NewLink>,
) -> Result<Response, Problem> {
    let link = served.control.new_link(&caller, new).await?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(link)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for path in ["/", "/requests/req-1", "/api/v1/me?x=%20"] {
            assert_eq!(own_path(path), Some(path));
        }
        for path in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a;b", "/a b", "/\r\nx: y"] {
            assert_eq!(own_path(path), None, "{path:?}");
        }
        assert_eq!(own_path(&format!("/{}", "a".repeat(PATH_BYTES_MAX))), None);
    }
}
