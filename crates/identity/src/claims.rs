//! What is read of a token's claims, whoever signed it.
//!
//! Knows names and forms; whether the token is good is found out before.

use gatehouse_model::UserName;
use serde_json::Value;

/// How many parties may have acted before the one that acts now.
pub const ACTORS_MAX: usize = 8;
/// How much of what others chose is kept of one name, in characters.
const NAME_CHARS_MAX: usize = 200;

/// A claim by its name; one that begins with `/` is a JSON pointer (RFC 6901).
pub(crate) fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// The person whom a claim names. An `email` counts only where it is verified.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn user(claims: &Value, name: &str) -> Result<UserName, &'static str> {
    let user = claim(claims, name).and_then(Value::as_str).ok_or("it is no text")?;
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    if name.trim_start_matches('/') == "email" && !is_verified {
        return Err("`email_verified` is not true, so it may be anybody's");
    }
    // One address is one person, however a directory spells it.
    let user = if user.contains('@') { user.to_ascii_lowercase() } else { user.to_string() };
    UserName::new(&user).map_err(|_| "it cannot be a user name here")
}

/// A name that others chose, in one line and not without end.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Who acted before, the last of them first (`act` of RFC 8693, section 4.1); `None` if it is no such chain, or too long.
pub(crate) fn actors(claims: &Value) -> Option<Vec<String>> {
    let (mut actors, mut next) = (Vec::new(), claims.get("act"));
    while let Some(act) = next {
        let name = act.get("sub").and_then(Value::as_str)?;
        if actors.len() == ACTORS_MAX {
            return None;
        }
        actors.push(match act.get("iss").and_then(Value::as_str) {
            Some(issuer) => format!("{} of {}", shown(name), shown(issuer)),
            None => shown(name),
        });
        next = act.get("act");
    }
    Some(actors)
}

/// Whether a token lets its holder be acted for by whoever has these claims (`may_act` of RFC 8693, section 4.4). Who that is, its
/// `sub` and `iss` say: other claims an agent may choose for itself. Without an `iss` it is of the same issuer as the holder. A
/// token without `may_act` leaves that to policy.
pub(crate) fn may_act(claims: &Value, actor: &Value) -> bool {
    match claims.get("may_act") {
        None => true,
        Some(Value::Object(named)) => {
            let is_understood = named.keys().all(|name| name == "sub" || name == "iss");
            let same = |named: Option<&Value>, name: &str| named.is_some() && named == actor.get(name);
            is_understood && same(named.get("sub"), "sub") && same(named.get("iss").or(claims.get("iss")), "iss")
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_acted_before_is_read_and_what_is_no_chain_is_not() {
        let of = |act: Value| actors(&json!({ "act": act }));
        assert_eq!(actors(&json!({})), Some(vec![]));
        assert_eq!(
            of(json!({ "sub": "b", "act": { "sub": "a", "iss": "x" } })),
            Some(vec!["b".into(), "a of x".into()])
        );
        for odd in [json!("b"), json!({}), json!({ "sub": 7 }), json!({ "sub": "b", "act": [] }), json!(null)] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
        let chain = |length| {
            (0..length).fold(Value::Null, |act, _| match act {
                Value::Null => json!({ "sub": "a" }),
                act => json!({ "sub": "a", "act": act }),
            })
        };
        assert_eq!(of(chain(ACTORS_MAX)).map(|actors| actors.len()), Some(ACTORS_MAX));
        assert_eq!(of(chain(ACTORS_MAX + 1)), None);
    }

    #[test]
    fn a_token_says_who_may_act_for_its_holder() {
        let actor = json!({ "iss": "ci", "sub": "build" });
        let may = |named: Value| may_act(&json!({ "iss": "ci", "may_act": named }), &actor);
        assert!(!may_act(&json!({ "iss": "people", "may_act": { "sub": "build" } }), &actor), "of another issuer");
        assert!(may_act(&json!({}), &actor));
        assert!(may(json!({ "sub": "build" })) && may(json!({ "sub": "build", "iss": "ci" })));
        for other in [
            json!({ "sub": "other" }),
            json!({ "sub": "build", "iss": "x" }),
            json!({ "client_id": "x" }),
            json!({ "iss": "ci" }),
            json!({}),
            json!("build"),
            json!(null),
        ] {
            assert!(!may(other.clone()), "{other}");
        }
    }
}
