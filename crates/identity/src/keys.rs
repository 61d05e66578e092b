//! Static keys of agents that can show nothing better: issued once, kept as digests, always expiring.
//!
//! Knows which keys are good. What is done with one belongs to a task, as with everything that is issued.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatehouse_model::{AgentName, KeyId, Secret, TargetName};
use jiff::Timestamp;

use crate::credential::{encode, token_digest};

/// What every key begins with.
const PREFIX: &str = "ghk_";

/// A key, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub agent: AgentName,
    /// The targets that tasks may be started for with it.
    pub targets: BTreeSet<TargetName>,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl ApiKey {
    /// Makes the text of a key, which is shown once, and the digest to keep.
    pub fn issue(entropy: [u8; 32]) -> (Secret, [u8; 32]) {
        let text = format!("{PREFIX}{}", encode(&entropy));
        let digest = token_digest(&text);
        (Secret::new(text), digest)
    }

    /// Whether a text is of the form that keys have.
    pub fn is_key(text: &str) -> bool {
        text.starts_with(PREFIX)
    }
}

/// The keys that are good.
#[derive(Default)]
pub struct KeyBook(Mutex<HashMap<[u8; 32], ApiKey>>);

impl KeyBook {
    /// Takes a key in.
    pub fn adopt(&self, sha256: [u8; 32], key: ApiKey) {
        self.lock().insert(sha256, key);
    }

    /// The key that somebody shows.
    pub fn shown(&self, text: &str, now: Timestamp) -> Option<ApiKey> {
        self.lock().get(&token_digest(text)).filter(|key| now < key.expires).cloned()
    }

    /// Whether a key is good.
    pub fn is_good(&self, id: &KeyId, now: Timestamp) -> bool {
        self.lock().values().any(|key| key.id == *id && now < key.expires)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// How many good keys an agent has.
    pub fn count(&self, agent: &AgentName, now: Timestamp) -> usize {
        self.lock().values().filter(|key| key.agent == *agent && now < key.expires).count()
    }

    /// Forgets a key; `None` if it was not there.
    pub fn end(&self, id: &KeyId) -> Option<ApiKey> {
        let mut keys = self.lock();
        let sha256 = *keys.iter().find(|(_, key)| key.id == *id)?.0;
        keys.remove(&sha256)
    }

    /// Keys whose time has run out.
    pub fn over(&self, now: Timestamp) -> Vec<KeyId> {
        self.lock().values().filter(|key| key.expires <= now).map(|key| key.id.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], ApiKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_until_it_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let book = KeyBook::default();
        let (text, sha256) = ApiKey::issue([7; 32]);
        let text = String::from_utf8(text.expose().to_vec()).unwrap();
        assert!(ApiKey::is_key(&text) && !text.contains(&String::from_utf8_lossy(&sha256).into_owned()));
        let key = ApiKey {
            id: KeyId::from_random(1),
            agent: AgentName::new("plotter").unwrap(),
            targets: [TargetName::new("shop").unwrap()].into(),
            expires: at(100),
        };
        book.adopt(sha256, key.clone());
        assert_eq!(book.shown(&text, at(99)), Some(key.clone()));
        assert_eq!((book.shown(&text, at(100)), book.shown("ghk_x", at(99))), (None, None));
        assert_eq!(
            (book.count(&key.agent, at(99)), book.over(at(99)), book.over(at(100))),
            (1, vec![], vec![key.id.clone()])
        );
        assert_eq!((book.end(&key.id), book.end(&key.id)), (Some(key), None));
        assert_eq!(book.shown(&text, at(99)), None);
    }
}
