//! The pseudonyms that a task was given, and what they stand for, so that it can name by them what it saw.
//!
//! Kept in memory for as long as the task lives. Knows no keys: what was not given is nothing here, whoever made it up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::{ClassName, Secret, TargetName};

/// How many a task has; past that the oldest are forgotten.
pub const GIVEN_MAX: usize = 10_000;
/// The longest value, or pseudonym, that is kept, in bytes.
pub const GIVEN_BYTES_MAX: usize = 255;

/// Those of a class at a target.
#[derive(Debug)]
struct OfClass {
    target: TargetName,
    class: ClassName,
    /// `None` of one that stands for several values: it names none of them.
    values: HashMap<Arc<[u8]>, Option<Secret>>,
}

/// Pseudonyms with what they stand for.
#[derive(Debug, Default)]
pub struct Given {
    /// By target and class, of which there are few.
    classes: Vec<OfClass>,
    /// All of them, the oldest first, with where they are.
    order: VecDeque<(usize, Arc<[u8]>)>,
}

impl Given {
    /// A client was shown a pseudonym in the place of a value. A UUID is its sixteen bytes, so that it is the same in each of its
    /// forms, and no text.
    pub fn add(&mut self, target: &TargetName, class: &ClassName, pseudonym: &[u8], value: &[u8]) {
        if pseudonym.len() > GIVEN_BYTES_MAX || value.len() > GIVEN_BYTES_MAX || pseudonym == value {
            return;
        }
        let place = self.place(target, class).unwrap_or_else(|| {
            self.classes.push(OfClass { target: target.clone(), class: class.clone(), values: HashMap::new() });
            self.classes.len() - 1
        });
        let Some(OfClass { values, .. }) = self.classes.get_mut(place) else { return };
        if let Some(known) = values.get_mut(pseudonym) {
            if known.as_ref().is_some_and(|known| known.expose() != value) {
                *known = None;
            }
            return;
        }
        let pseudonym: Arc<[u8]> = pseudonym.into();
        values.insert(pseudonym.clone(), Some(Secret::new(value)));
        self.order.push_back((place, pseudonym));
        if self.order.len() > GIVEN_MAX
            && let Some((place, oldest)) = self.order.pop_front()
            && let Some(OfClass { values, .. }) = self.classes.get_mut(place)
        {
            values.remove(&oldest);
        }
    }

    /// What a pseudonym of a class stands for at a target.
    pub fn value(&self, target: &TargetName, class: &ClassName, pseudonym: &[u8]) -> Option<Secret> {
        let of = self.classes.get(self.place(target, class)?)?;
        of.values.get(pseudonym).cloned().flatten()
    }

    fn place(&self, target: &TargetName, class: &ClassName) -> Option<usize> {
        self.classes.iter().position(|of| of.target == *target && of.class == *class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_found_and_nothing_else() {
        let (shop, other) = (TargetName::new("shop").unwrap(), TargetName::new("other").unwrap());
        let (email, name) = (ClassName::new("email").unwrap(), ClassName::new("person_name").unwrap());
        let mut given = Given::default();
        given.add(&shop, &email, b"p@x", b"real@x");
        given.add(&shop, &email, b"p@x", b"real@x");
        let found = |given: &Given, target, class: &ClassName, text: &str| {
            given.value(target, class, text.as_bytes()).map(|value| value.expose().to_vec())
        };
        assert_eq!(found(&given, &shop, &email, "p@x"), Some(b"real@x".to_vec()));
        assert_eq!(found(&given, &shop, &email, "q@x"), None);
        assert_eq!(found(&given, &shop, &name, "p@x"), None);
        assert_eq!(found(&given, &other, &email, "p@x"), None);
        // One that stands for two names neither, now and later.
        given.add(&shop, &email, b"p@x", b"another@x");
        given.add(&shop, &email, b"p@x", b"real@x");
        assert_eq!(found(&given, &shop, &email, "p@x"), None);
    }

    #[test]
    fn the_oldest_are_forgotten_and_long_ones_are_not_kept() {
        let (shop, email) = (TargetName::new("shop").unwrap(), ClassName::new("email").unwrap());
        let mut given = Given::default();
        for number in 0..=GIVEN_MAX {
            given.add(&shop, &email, format!("p{number}").as_bytes(), format!("v{number}").as_bytes());
        }
        assert_eq!((given.classes[0].values.len(), given.order.len()), (GIVEN_MAX, GIVEN_MAX));
        assert!(given.value(&shop, &email, b"p0").is_none() && given.value(&shop, &email, b"p1").is_some());
        given.add(&shop, &email, &vec![b'x'; GIVEN_BYTES_MAX + 1], b"v");
        assert_eq!(given.classes[0].values.len(), GIVEN_MAX);
    }
}
