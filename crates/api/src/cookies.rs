//! The gateway's cookies (RFC 6265): a browser's session, and the secret of a sign-in that is under way.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// A browser's session.
pub(crate) const SESSION: &str = "gatehouse_session";
/// What a browser must bring back from the provider.
pub(crate) const SIGN_IN: &str = "gatehouse_sign_in";

/// With this prefix browsers take a cookie only from the host itself, over TLS, and for all of its paths.
const HOST_PREFIX: &str = "__Host-";

/// The value of a cookie that came with a request. Over TLS only one that the host itself set.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str, is_secure: bool) -> Option<&'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let prefix = if is_secure { HOST_PREFIX } else { "" };
    pairs.find(|(found, _)| found.strip_prefix(prefix) == Some(name)).map(|(_, value)| value)
}

/// A cookie to be set for so many seconds; for none, to be forgotten.
pub(crate) fn set(name: &str, value: &str, secs: u32, is_secure: bool) -> Option<HeaderValue> {
    let (prefix, secure) = if is_secure { (HOST_PREFIX, "; Secure") } else { ("", "") };
    // `Lax`, for a browser comes back from the provider by a link.
    let cookie = format!("{prefix}{name}={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let found = |is_secure, values: &[&str]| cookie(&headers(values), SESSION, is_secure).map(str::to_string);
        assert_eq!(found(false, &[]), None);
        assert_eq!(found(false, &["a=b; gatehouse_session=x ; c"]), Some("x".into()));
        assert_eq!(found(true, &["a=b", "__Host-gatehouse_session=y"]), Some("y".into()));
        assert_eq!(found(true, &["gatehouse_session=planted; __Host-gatehouse_session=own"]), Some("own".into()));
        assert_eq!(found(true, &["gatehouse_session=planted"]), None);
        assert_eq!(found(false, &["xgatehouse_session=x; gatehouse_sessionx=x"]), None);
    }

    #[test]
    fn over_tls_a_cookie_is_the_hosts_alone() {
        let set = |is_secure| set(SESSION, "x", 60, is_secure).unwrap().to_str().unwrap().to_string();
        assert_eq!(set(true), "__Host-gatehouse_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(set(false), "gatehouse_session=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }
}
