//! What targets say of what they offer. It is remembered as it was first told; told otherwise later, it is shown as it was, and
//! what it describes is used with a person's leave alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gatehouse_journal::{DescriptionAccepted, DescriptionTold};
use gatehouse_model::{Digest, RequestId, Resource};
use gatehouse_protocol::Told;
use jiff::Timestamp;

use crate::ledger::Ledger;

/// The longest description that is compared, in bytes, and how many of one target are remembered. What is past that is not shown.
const DESCRIPTION_BYTES_MAX: usize = 64 * 1024;
const DESCRIPTIONS_MAX: usize = 1_000;
/// How often the text of one is recorded while the gateway runs. A target that tells it otherwise each time does not fill the
/// journal: after that its digest alone is.
const TEXTS_MAX: u32 = 16;
const KEPT_NO_MORE: &str = "(told otherwise so often that its text is kept no more)";

/// A description, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// Its SHA-256.
    pub digest: Digest,
    /// What it says, without what is found in it that is classified.
    pub text: Arc<str>,
}

/// What is known of one thing that a target offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// As it was first told, or as a person accepted it.
    pub accepted: Saying,
    /// As it was told last, where that is something else.
    pub latest: Option<Saying>,
}

/// The kind of a resource, and its id.
type Name = (String, String);

/// Every description.
pub struct Descriptions {
    known: Mutex<BTreeMap<Name, Description>>,
    /// How often the text of each was recorded.
    texts: Mutex<BTreeMap<Name, u32>>,
    /// Whether any ever changed: operations ask for nothing else, and seldom has one.
    has_changed: AtomicBool,
    ledger: Ledger,
}

/// How many are known of the target of a resource, whose name its id begins with.
fn count_at(known: &BTreeMap<Name, Description>, resource: &Resource) -> usize {
    let target = |id: &str| id.split('/').next().unwrap_or_default().to_string();
    let of = target(&resource.id);
    known.keys().filter(|(_, id)| target(id) == of).count()
}

fn name(resource: &Resource) -> Name {
    (resource.kind.to_string(), resource.id.to_string())
}

impl Descriptions {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { known: Mutex::default(), texts: Mutex::default(), has_changed: AtomicBool::default(), ledger }
    }

    /// Puts back what a restart found in the index, by the kinds and ids of what is described.
    pub fn restore(&self, found: impl IntoIterator<Item = ((String, String), Description)>) {
        let found: BTreeMap<Name, Description> = found.into_iter().collect();
        self.has_changed.store(found.values().any(|known| known.latest.is_some()), Ordering::Relaxed);
        *self.lock() = found;
    }

    /// A target tells of something that it offers. What is new is recorded before it is shown.
    pub(crate) fn told(&self, now: Timestamp, resource: &Resource, text: &str, scrub: impl Fn(&str) -> String) -> Told {
        if text.len() > DESCRIPTION_BYTES_MAX {
            return Told::Not;
        }
        let saying = Saying { digest: Digest::of(text), text: scrub(text).into() };
        let mut known = self.lock();
        let before = known.get(&name(resource)).cloned();
        let changed = match &before {
            None if count_at(&known, resource) >= DESCRIPTIONS_MAX => return Told::Not,
            None => Description { accepted: saying.clone(), latest: None },
            Some(before) if before.accepted.digest == saying.digest => {
                Description { accepted: before.accepted.clone(), latest: None }
            }
            Some(before) => Description { accepted: before.accepted.clone(), latest: Some(saying.clone()) },
        };
        if before.as_ref() != Some(&changed) {
            let entry = DescriptionTold {
                kind_of: resource.kind.into(),
                id: resource.id.to_string(),
                digest: saying.digest.to_string(),
                text: self.text_of(resource, &saying).into(),
                was: before.as_ref().map(|before| before.accepted.digest.to_string()),
            };
            if self.ledger.record(now, entry).is_err() {
                return Told::Not;
            }
            if changed.latest.is_some() {
                self.has_changed.store(true, Ordering::Relaxed);
            }
            known.insert(name(resource), changed.clone());
        }
        match changed.latest {
            None => Told::AsIs,
            Some(_) => Told::Instead(changed.accepted.text),
        }
    }

    /// What of a description goes on record.
    fn text_of<'s>(&self, resource: &Resource, saying: &'s Saying) -> &'s str {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = texts.entry(name(resource)).or_default();
        *count = count.saturating_add(1);
        if *count > TEXTS_MAX { KEPT_NO_MORE } else { &saying.text }
    }

    /// What is known of something whose description is not what was accepted.
    pub(crate) fn changed(&self, resource: &Resource) -> Option<Description> {
        if !self.has_changed.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().get(&name(resource)).filter(|known| known.latest.is_some()).cloned()
    }

    /// A person accepted what was told, by a request that binds to its digest.
    pub(crate) fn accept(&self, now: Timestamp, resource: &Resource, digest: &str, request: &RequestId) {
        let mut known = self.lock();
        let Some(description) = known.get_mut(&name(resource)) else { return };
        let latest = description.latest.clone().filter(|latest| latest.digest.to_string() == digest);
        let Some(latest) = latest else { return };
        let entry = DescriptionAccepted {
            kind_of: resource.kind.into(),
            id: resource.id.to_string(),
            digest: latest.digest.to_string(),
            request: request.to_string(),
        };
        // What is not recorded is asked again.
        if self.ledger.record(now, entry).is_ok() {
            *description = Description { accepted: latest, latest: None };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Description>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use gatehouse_journal::{Frontier, Journal, Sink, SyncTarget};

    use super::*;

    /// Takes so many records.
    struct Room(usize);

    impl Sink for Room {
        fn append(&mut self, _: &[u8]) -> io::Result<()> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }

        fn sync_target(&self) -> SyncTarget {
            SyncTarget::memory()
        }
    }

    fn descriptions(room: usize) -> Descriptions {
        let sink: Box<dyn Sink> = Box::new(Room(room));
        Descriptions::new(Ledger::new(Journal::new(sink, Frontier::default()), Arc::new(|_| {})))
    }

    fn tool(name: &str) -> Resource {
        Resource::new("Tool", name, [])
    }

    #[test]
    fn what_changed_is_shown_as_it_was_until_just_that_is_accepted() {
        let (known, add) = (descriptions(100), tool("lab/add"));
        let told = |text: &str| known.told(Timestamp::UNIX_EPOCH, &add, text, |text| text.replace("eve", "…"));
        let request = RequestId::from_random(1);
        assert_eq!((told("adds"), told("adds")), (Told::AsIs, Told::AsIs));
        assert_eq!(told("adds, tell eve"), Told::Instead("adds".into()));
        let latest = known.changed(&add).unwrap().latest.unwrap();
        assert_eq!(&*latest.text, "adds, tell …");
        // Of another that looks the same where it is written down.
        assert_eq!(told("adds, tell …"), Told::Instead("adds".into()));
        known.accept(Timestamp::UNIX_EPOCH, &add, &latest.digest.to_string(), &request);
        assert!(known.changed(&add).is_some());
        assert_eq!(told("adds, tell eve"), Told::Instead("adds".into()));
        known.accept(Timestamp::UNIX_EPOCH, &add, &latest.digest.to_string(), &request);
        assert_eq!((told("adds, tell eve"), known.changed(&add)), (Told::AsIs, None));
        assert_eq!(told("adds"), Told::Instead("adds, tell …".into()), "what was is as good as anything else");
        assert_eq!((told("adds, tell eve"), known.changed(&add)), (Told::AsIs, None), "it is as accepted again");
    }

    #[test]
    fn what_is_not_recorded_or_past_a_limit_is_not_shown() {
        let none = descriptions(0);
        let told = |known: &Descriptions, name: &str, text: &str| {
            known.told(Timestamp::UNIX_EPOCH, &tool(name), text, str::to_string)
        };
        assert_eq!((told(&none, "lab/add", "adds"), told(&none, "lab/add", "adds")), (Told::Not, Told::Not));
        let known = descriptions(usize::MAX);
        assert_eq!(told(&known, "lab/add", &"x".repeat(DESCRIPTION_BYTES_MAX + 1)), Told::Not);
        for count in 0..DESCRIPTIONS_MAX {
            assert_eq!(told(&known, &format!("lab/{count}"), "x"), Told::AsIs);
        }
        assert_eq!((told(&known, "lab/more", "x"), told(&known, "lab/1", "x")), (Told::Not, Told::AsIs));
        assert_eq!(told(&known, "other/add", "x"), Told::AsIs, "one target takes no other's place");
    }

    #[test]
    fn what_is_told_otherwise_each_time_does_not_fill_the_journal() {
        struct Counted(Arc<std::sync::atomic::AtomicUsize>);

        impl Sink for Counted {
            fn append(&mut self, line: &[u8]) -> io::Result<()> {
                self.0.fetch_add(line.len(), Ordering::Relaxed);
                Ok(())
            }

            fn sync_target(&self) -> SyncTarget {
                SyncTarget::memory()
            }
        }

        let bytes = Arc::new(std::sync::atomic::AtomicUsize::default());
        let sink: Box<dyn Sink> = Box::new(Counted(bytes.clone()));
        let known = Descriptions::new(Ledger::new(Journal::new(sink, Frontier::default()), Arc::new(|_| {})));
        let add = tool("lab/add");
        for turn in 0..1_000 {
            let text = format!("{turn}{}", "x".repeat(DESCRIPTION_BYTES_MAX - 10));
            known.told(Timestamp::UNIX_EPOCH, &add, &text, str::to_string);
        }
        let most = TEXTS_MAX as usize * DESCRIPTION_BYTES_MAX + 1_000 * 1_024;
        assert!(bytes.load(Ordering::Relaxed) < most, "{}", bytes.load(Ordering::Relaxed));
        assert!(known.changed(&add).is_some(), "it is held all the same");
    }
}
