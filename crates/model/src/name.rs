//! Names and identifiers: short strings that were checked once, when they were made.

use std::fmt;
use std::sync::Arc;

/// Why a string cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {what}: {rule}")]
pub struct InvalidName {
    /// What the string was meant to name.
    pub what: &'static str,
    /// The string.
    pub value: String,
    /// What a valid one looks like.
    pub rule: &'static str,
}

const NAME_RULE: &str = "use 1 to 63 of a-z, A-Z, 0-9, `.`, `_` and `-`, starting with a letter or digit";

fn is_name(value: &str) -> bool {
    let mut bytes = value.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && value.len() <= 63
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to 63 ASCII letters, digits, `.`, `_` and `-`, starting with a letter or a digit.
            pub fn new(value: &str) -> Result<Self, InvalidName> {
                if is_name(value) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidName { what: $what, value: value.into(), rule: NAME_RULE })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }
    };
}

name!(
    /// A registered backend.
    TargetName, "target name"
);
name!(
    /// A kind of data, such as `email`.
    ClassName, "class name"
);
name!(
    /// A policy's `@id`, or the file and position that stand for it.
    PolicyId, "policy id"
);

/// Crockford's base 32 alphabet in lower case: no `i`, `l`, `o` or `u`, so that an identifier survives being read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(prefix: &str, random: u64) -> Arc<str> {
    let mut text = String::with_capacity(prefix.len() + 12);
    text.push_str(prefix);
    for place in (0..12).rev() {
        let digit = (random >> (place * 5)) & 31;
        text.extend(ALPHABET.get(digit as usize).map(|&byte| char::from(byte)));
    }
    text.into()
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes an identifier of the low 60 bits of a random number.
            pub fn from_random(random: u64) -> Self {
                Self(encode($prefix, random))
            }

            /// Reads an identifier back from its text form.
            pub fn parse(value: &str) -> Result<Self, InvalidName> {
                let digits = value.strip_prefix($prefix).unwrap_or_default();
                if digits.len() == 12 && digits.bytes().all(|byte| ALPHABET.contains(&byte)) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidName {
                        what: "identifier",
                        value: value.into(),
                        rule: concat!("it is `", $prefix, "` and 12 letters and digits, as the listings show it"),
                    })
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier!(
    /// One task.
    TaskId, "tsk-"
);
identifier!(
    /// One session.
    SessionId, "ses-"
);
identifier!(
    /// One request to a person.
    RequestId, "req-"
);
identifier!(
    /// One static key of an agent.
    KeyId, "key-"
);

/// One operation: its place, from 0, among the operations of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_survive_their_text_form() {
        let id = TaskId::from_random(0x0123_4567_89ab_cdef);
        assert_eq!(TaskId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(id.as_str().len(), "tsk-".len() + 12);
        assert!(SessionId::parse(id.as_str()).is_err());
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", ".x", "a b", "é", "a/b", &"x".repeat(64)] {
            assert!(TargetName::new(bad).is_err(), "{bad}");
        }
        assert!(TargetName::new("shop-1.eu_west").is_ok());
    }
}
