//! Tokens that agents sign for themselves (RFC 7523): each is good once.
//!
//! Knows which were shown since the gateway started; what is older than that is not believed, so nothing has to be kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::issuer::{SKEW_SECS_MAX, TokenError};

/// The longest life of such a token, in seconds.
const ASSERTION_SECS_MAX: i64 = 300;
/// How many are remembered at a time of one agent.
const ASSERTIONS_MAX: usize = 10_000;
/// How far its clock may be ahead, in seconds: less than an issuer's, for what was shown before a start is not known after.
const AHEAD_SECS_MAX: i64 = 5;

/// What was shown.
pub struct Assertions {
    since: Timestamp,
    /// Until when each is good, by who signed it and the digest of its `jti`.
    shown: Mutex<HashMap<String, HashMap<[u8; 32], Timestamp>>>,
}

impl Assertions {
    /// Of a gateway that starts now.
    pub fn new(now: Timestamp) -> Self {
        Self { since: now, shown: Mutex::default() }
    }

    /// Takes note of one that is good otherwise.
    pub(crate) fn use_once(
        &self,
        signer: &str,
        jti: &str,
        made: Timestamp,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        if expires.duration_since(made) > SignedDuration::from_secs(ASSERTION_SECS_MAX) {
            return Err(TokenError::LongLived(ASSERTION_SECS_MAX));
        }
        if made.as_second() > now.as_second() + AHEAD_SECS_MAX {
            return Err(TokenError::NotYet);
        }
        if made.as_second() < self.since.as_second() + AHEAD_SECS_MAX {
            return Err(TokenError::Old);
        }
        let name = Sha256::digest(jti).into();
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // Signers are agents of the configuration, so there are few.
        let shown = shown.entry(signer.into()).or_default();
        let is_over = |until: &Timestamp| until.as_second() + SKEW_SECS_MAX < now.as_second();
        if shown.len() >= ASSERTIONS_MAX {
            shown.retain(|_, until| !is_over(until));
        }
        if shown.contains_key(&name) {
            return Err(TokenError::Replayed);
        }
        if shown.len() >= ASSERTIONS_MAX {
            return Err(TokenError::TooMany);
        }
        shown.insert(name, expires);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_remembered_than_may_be_and_none_is_forgotten_while_it_is_good() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let assertions = Assertions::new(at(0));
        let first = |made, now| assertions.use_once("agent:b", "1", at(made), at(made + 60), at(now));
        // One of a moment before the start may have been shown before it.
        assert_eq!((first(4, 4), first(11, 5), first(10, 5)), (Err(TokenError::Old), Err(TokenError::NotYet), Ok(())));
        let show = |jti: usize, second| {
            assertions.use_once("agent:a", &jti.to_string(), at(second), at(second + 60), at(second))
        };
        for jti in 0..ASSERTIONS_MAX {
            show(jti, 10).unwrap();
        }
        assert_eq!(show(ASSERTIONS_MAX, 10), Err(TokenError::TooMany));
        assertions.use_once("agent:b", "2", at(10), at(70), at(10)).unwrap();
        assert_eq!(show(0, 70 + SKEW_SECS_MAX), Err(TokenError::Replayed));
        show(ASSERTIONS_MAX, 71 + SKEW_SECS_MAX).unwrap();
    }
}
