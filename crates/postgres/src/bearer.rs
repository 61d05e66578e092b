//! The mechanism OAUTHBEARER (RFC 7628), as PostgreSQL 18 speaks it: a token in one message.
//!
//! Knows the form of the messages; what a token is worth is for others to say.

use gatehouse_model::Secret;

use crate::frame::Reader;

/// The name under which the mechanism is offered.
pub(crate) const MECHANISM: &str = "OAUTHBEARER";

/// The token of a client's first message, SASLInitialResponse; `None` from a client that shows none, to be told where
/// tokens come from.
pub(crate) fn token(body: &[u8]) -> Result<Option<Secret>, &'static str> {
    let mut reader = Reader(body);
    if reader.text() != Some(MECHANISM) {
        return Err("the client chose no mechanism that was offered");
    }
    let message = reader.value().flatten().and_then(|message| std::str::from_utf8(message).ok());
    let message = message.ok_or("the client's first message is not text")?;
    // Channel binding cannot be had with this mechanism, and nobody logs in for somebody else.
    let rest = message.strip_prefix("n,,\u{1}").or_else(|| message.strip_prefix("y,,\u{1}"));
    let pairs =
        rest.and_then(|rest| rest.strip_suffix("\u{1}\u{1}")).ok_or("the client's first message is malformed")?;
    let mut auth = None;
    for pair in pairs.split('\u{1}') {
        match pair.split_once('=') {
            Some(("auth", value)) if auth.is_none() => auth = Some(value),
            Some((name, _)) if name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic()) => {}
            Some(_) | None => return Err("the client's first message is malformed"),
        }
    }
    match auth.ok_or("the client's first message has no `auth`")? {
        "" => Ok(None),
        shown => {
            let (scheme, token) = shown.split_once(' ').ok_or("`auth` is no bearer token")?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty();
            if is_bearer { Ok(Some(Secret::new(token.trim()))) } else { Err("`auth` is no bearer token") }
        }
    }
}

/// What a client is told whose token is not good, or that shows none (RFC 7628, section 3.2.2).
pub(crate) fn failure(issuer: &str) -> String {
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let place = place.replace('\\', "\\\\").replace('"', "\\\"");
    format!(r#"{{"status":"invalid_token","openid-configuration":"{place}","scope":""}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &str) -> Result<Option<Secret>, &'static str> {
        let mut body = b"OAUTHBEARER\0".to_vec();
        body.extend(i32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message.as_bytes());
        token(&body)
    }

    #[test]
    fn a_token_is_read_and_what_is_not_of_the_form_is_not() {
        assert_eq!(read("n,,\u{1}auth=Bearer a.b.c\u{1}\u{1}"), Ok(Some(Secret::new("a.b.c"))));
        assert_eq!(read("y,,\u{1}host=x\u{1}auth=bearer  a\u{1}port=1\u{1}\u{1}"), Ok(Some(Secret::new("a"))));
        assert_eq!(read("n,,\u{1}auth=\u{1}\u{1}"), Ok(None));
        for odd in [
            "",
            "n,,",
            "n,,\u{1}\u{1}",
            "p=tls-server-end-point,,\u{1}auth=Bearer a\u{1}\u{1}",
            "n,a=dana,\u{1}auth=Bearer a\u{1}\u{1}",
            "n,,\u{1}auth=Bearer a\u{1}",
            "n,,\u{1}auth=Basic a\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Bearer a\u{1}auth=Bearer b\u{1}\u{1}",
            "n,,\u{1}auth\u{1}\u{1}",
            "n,,\u{1}host=x\u{1}\u{1}",
        ] {
            assert!(read(odd).is_err(), "{odd:?}");
        }
        assert!(token(b"SCRAM-SHA-256\0").is_err());
    }

    #[test]
    fn a_failure_says_where_tokens_come_from() {
        let place = "https://id.example/.well-known/openid-configuration";
        assert_eq!(
            failure("https://id.example/"),
            format!(r#"{{"status":"invalid_token","openid-configuration":"{place}","scope":""}}"#)
        );
    }
}
