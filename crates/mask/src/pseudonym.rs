//! Invented values that stand for real ones: keyed, so that only the key's holder could test a guess, and
//! deterministic, so that equal values stay equal within a class.
//!
//! Knows the forms of values and how long one may be. Cannot be reversed.

use std::fmt;

use gatehouse_model::{ClassName, Secret};
use ring::hmac;

use crate::partial::Form;

/// A key of pseudonyms: 32 random bytes. With another key every pseudonym is another. The gateway keeps one, and each target has
/// its own of it.
#[derive(Clone)]
pub struct PseudonymKey(Secret);

impl PseudonymKey {
    /// Takes 32 random bytes over.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// The key of a target. Nobody can tell by their pseudonyms whether values of two targets are the same.
    #[must_use]
    pub fn of_target(&self, target: &str) -> Self {
        Self::new(tag_bytes(hmac::sign(&self.mac_key(), &[b"target\0", target.as_bytes()].concat())))
    }

    fn mac_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.expose())
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

/// Crockford's base 32 alphabet in lower case: no `i`, `l`, `o` or `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

const PHONE_CHARS: usize = 15;
const US_SSN_CHARS: usize = 11;
const CARD_CHARS: usize = 16;
const HASH_CHARS: usize = 12;
const EMAIL_HASH_CHARS: usize = 10;
/// A shorter hash behind a prefix would not keep values apart: then the prefix goes.
const HASH_CHARS_MIN: usize = 4;

const DIGEST_BYTES: usize = 32;

/// Makes pseudonyms with one key.
pub(crate) struct Pseudonyms {
    key: hmac::Key,
}

impl Pseudonyms {
    pub(crate) fn new(key: &PseudonymKey) -> Self {
        Self { key: key.mac_key() }
    }

    /// The pseudonyms of a class. The class is a part of what is hashed: equal values of different classes cannot be
    /// joined.
    pub(crate) fn of(&self, class: &ClassName) -> ClassPseudonyms {
        let mut keyed = hmac::Context::with_key(&self.key);
        keyed.update(class.as_str().as_bytes());
        keyed.update(&[0]);
        ClassPseudonyms { keyed, prefix: format!("{class}-") }
    }
}

/// Makes the pseudonyms of one class.
#[derive(Clone)]
pub(crate) struct ClassPseudonyms {
    /// After the key and the class.
    keyed: hmac::Context,
    /// What those of no other form begin with.
    prefix: String,
}

impl ClassPseudonyms {
    /// Appends the text that stands for a value; at most `chars_max` characters, all ASCII, none a quotation mark or
    /// backslash.
    pub(crate) fn text(&self, form: Form, value: &[u8], chars_max: Option<u32>, out: &mut Vec<u8>) {
        let mac = self.mac(value);
        let room = chars_max.map_or(usize::MAX, |chars| chars as usize);
        match form {
            Form::Email => affixed(b"user-", &mac, EMAIL_HASH_CHARS, b"@masked.example", room, out),
            Form::PersonName => person_name(&mac, room, out),
            Form::Phone if room >= PHONE_CHARS => {
                out.extend_from_slice(b"+1555");
                push_digits(&mac, 0, 10, out);
            }
            Form::UsSsn if room >= US_SSN_CHARS => us_ssn(&mac, out),
            Form::PaymentCard if room >= CARD_CHARS => payment_card(&mac, out),
            Form::Phone | Form::UsSsn | Form::PaymentCard => push_digits(&mac, 0, room, out),
            Form::Other => affixed(self.prefix.as_bytes(), &mac, HASH_CHARS, b"", room, out),
        }
    }

    /// The UUID that stands for another: version 8 of RFC 9562.
    pub(crate) fn uuid(&self, value: [u8; 16]) -> [u8; 16] {
        let mac = self.mac(&value);
        let mut uuid = [0_u8; 16];
        for (to, from) in uuid.iter_mut().zip(mac) {
            *to = from;
        }
        uuid[6] = (uuid[6] & 0x0f) | 0x80;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        uuid
    }

    /// HMAC-SHA-256 of class and value.
    fn mac(&self, value: &[u8]) -> [u8; DIGEST_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(value);
        tag_bytes(mac.sign())
    }
}

fn tag_bytes(tag: hmac::Tag) -> [u8; DIGEST_BYTES] {
    let mut bytes = [0; DIGEST_BYTES];
    bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

/// A hash between a prefix and a suffix, as long as there is room for; alone where that would be too short.
fn affixed(prefix: &[u8], mac: &[u8; 32], hash_chars: usize, suffix: &[u8], room: usize, out: &mut Vec<u8>) {
    match room.checked_sub(prefix.len() + suffix.len()) {
        Some(rest) if rest >= HASH_CHARS_MIN => {
            out.extend_from_slice(prefix);
            push_hash(mac, 0, rest.min(hash_chars), out);
            out.extend_from_slice(suffix);
        }
        Some(_) | None => push_hash(mac, 0, HASH_CHARS.min(room), out),
    }
}

/// A name with four letters that keep apart whom the lists would confuse.
fn person_name(mac: &[u8; 32], room: usize, out: &mut Vec<u8>) {
    let name = |byte: u8, names: &[&'static str; 64]| names.get(usize::from(byte & 63)).copied().unwrap_or_default();
    let (first, last) = (name(mac[0], &FIRST_NAMES), name(mac[1], &LAST_NAMES));
    if first.len() + last.len() + 6 > room {
        return push_hash(mac, 0, HASH_CHARS.min(room), out);
    }
    for part in [first, " ", last, "-"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_hash(mac, 2, 4, out);
}

/// Areas from 900 are never issued, and groups below 50 are no taxpayer's number either.
fn us_ssn(mac: &[u8; 32], out: &mut Vec<u8>) {
    out.push(b'9');
    push_digits(mac, 0, 2, out);
    out.extend_from_slice(&[b'-', b'0' + mac[2] % 5]);
    push_digits(mac, 3, 1, out);
    out.push(b'-');
    push_digits(mac, 4, 4, out);
}

/// Sixteen digits of no issuer, whose last one fails Luhn's checksum.
fn payment_card(mac: &[u8; 32], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"9999");
    push_digits(mac, 0, 11, out);
    let card = out.get(start..).unwrap_or_default();
    let sum = card.iter().rev().enumerate().fold(0_u32, |sum, (place, digit)| {
        let digit = u32::from(digit.saturating_sub(b'0'));
        sum + if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
    });
    let right = (10 - sum % 10) % 10;
    let wrong = (right + 1 + u32::from(mac[11]) % 9) % 10;
    out.extend(u8::try_from(wrong).map(|wrong| b'0' + wrong));
}

fn push_hash(mac: &[u8; 32], skip: usize, chars: usize, out: &mut Vec<u8>) {
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'0');
    out.extend(mac.get(skip..).unwrap_or_default().iter().take(chars).map(letter));
}

fn push_digits(mac: &[u8; 32], skip: usize, count: usize, out: &mut Vec<u8>) {
    out.extend(mac.get(skip..).unwrap_or_default().iter().take(count).map(|byte| b'0' + byte % 10));
}

#[rustfmt::skip]
const FIRST_NAMES: [&str; 64] = [
    "Adela", "Albin", "Alma", "Amir", "Anouk", "Arlo", "Astrid", "Basil", "Beatrix", "Bela", "Bram", "Calla",
    "Caspar", "Celia", "Cosmo", "Dalia", "Dario", "Delia", "Dorian", "Edda", "Elio", "Elke", "Emil", "Enid", "Esme",
    "Fabian", "Farah", "Fenna", "Flora", "Gideon", "Greta", "Hanne", "Hugo", "Ida", "Imre", "Ines", "Ivo", "Jarek",
    "Jonna", "Juno", "Kaia", "Kasimir", "Lale", "Leonie", "Linus", "Lotte", "Magnus", "Mara", "Milo", "Nadia", "Nico",
    "Odile", "Orla", "Otis", "Petra", "Quentin", "Rafi", "Rhea", "Runa", "Silas", "Tamsin", "Thea", "Viggo", "Yara",
];

#[rustfmt::skip]
const LAST_NAMES: [&str; 64] = [
    "Abendroth", "Alder", "Almgren", "Amberley", "Ashgrove", "Bellweather", "Birkholm", "Blackmoor", "Brandvik",
    "Brightwater", "Calloway", "Cardew", "Castellan", "Coldwell", "Cranmore", "Dahlberg", "Darrow", "Delacourt",
    "Dunmore", "Eastlake", "Elmgren", "Fairhurst", "Falkenberg", "Farrow", "Fenwick", "Galbraith", "Glenmore",
    "Goldring", "Grantham", "Greenlaw", "Halloran", "Harrowgate", "Hartwell", "Hawksley", "Hollander", "Ingleby",
    "Ironwood", "Jansdotter", "Kestrel", "Kingsmere", "Kirkwall", "Langmere", "Larkspur", "Lindqvist", "Lockhart",
    "Marchbank", "Merriweather", "Moorland", "Nightingale", "Northcote", "Oakhurst", "Ormsby", "Pemberton",
    "Quillfeather", "Ravenhill", "Rosenthal", "Sandoval", "Silverton", "Stormont", "Thornbury", "Underhill",
    "Vandermeer", "Westbrook", "Winterbourne",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMS: [Form; 6] = [Form::Email, Form::PersonName, Form::Phone, Form::UsSsn, Form::PaymentCard, Form::Other];

    fn pseudonyms(key: u8) -> Pseudonyms {
        Pseudonyms::new(&PseudonymKey::new([key; 32]))
    }

    fn class(name: &str) -> ClassName {
        ClassName::new(name).unwrap()
    }

    fn text_of(pseudonyms: &ClassPseudonyms, form: Form, value: &[u8], chars_max: Option<u32>) -> String {
        let mut out = Vec::new();
        pseudonyms.text(form, value, chars_max, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn text(form: Form, value: &str) -> String {
        text_of(&pseudonyms(1).of(&class("thing")), form, value.as_bytes(), None)
    }

    #[test]
    fn forms_are_plausible() {
        let email = text(Form::Email, "bob@example.com");
        assert!(email.starts_with("user-") && email.ends_with("@masked.example") && email.len() == 30, "{email}");
        let name = text(Form::PersonName, "Bob Tables");
        assert!(name.split([' ', '-']).count() == 3, "{name}");
        let phone = text(Form::Phone, "+14155550123");
        assert!(phone.starts_with("+1555") && phone.len() == 15, "{phone}");
        let ssn = text(Form::UsSsn, "123-45-6789");
        assert!(ssn.starts_with('9') && ssn.len() == 11 && ssn.split('-').count() == 3, "{ssn}");
        let other = text(Form::Other, "something");
        assert!(other.starts_with("thing-") && other.len() == 18, "{other}");
    }

    #[test]
    fn cards_fail_their_checksum() {
        for value in 0..200 {
            let card = text(Form::PaymentCard, &value.to_string());
            let sum: u32 = card.bytes().rev().enumerate().fold(0, |sum, (place, digit)| {
                let digit = u32::from(digit - b'0');
                sum + if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
            });
            assert!(card.len() == 16 && !sum.is_multiple_of(10), "{card}");
        }
    }

    #[test]
    fn key_and_class_make_a_difference() {
        let value = b"bob@example.com";
        let make = |key, name| text_of(&pseudonyms(key).of(&class(name)), Form::Other, value, None);
        let hash = |text: String| text.rsplit_once('-').unwrap().1.to_owned();
        assert_eq!(make(1, "a"), make(1, "a"));
        assert_ne!(make(1, "a"), make(2, "a"));
        assert_ne!(hash(make(1, "a")), hash(make(1, "b")));
        assert_eq!(format!("{:?}", PseudonymKey::new([7; 32])), "PseudonymKey(…)");
    }

    #[test]
    fn each_target_has_a_key_of_its_own() {
        let master = PseudonymKey::new([1; 32]);
        let make =
            |key: &PseudonymKey| text_of(&Pseudonyms::new(key).of(&class("a")), Form::Other, b"bob@example.com", None);
        let [shop, again, shops] = ["shop", "shop", "shops"].map(|target| make(&master.of_target(target)));
        assert_eq!(shop, again);
        assert_ne!(shop, shops);
        assert_ne!(shop, make(&master));
        assert_ne!(shop, make(&PseudonymKey::new([2; 32]).of_target("shop")));
    }

    #[test]
    fn uuids_have_their_version() {
        let uuid = pseudonyms(1).of(&class("a")).uuid([3; 16]);
        assert_eq!((uuid[6] >> 4, uuid[8] >> 6), (8, 2));
        assert_eq!(uuid, pseudonyms(1).of(&class("a")).uuid([3; 16]));
    }

    #[test]
    fn uuids_are_told_apart_by_all_that_their_version_leaves() {
        let make = |key: u8, name: &str, value: u32| {
            let mut uuid = [0_u8; 16];
            uuid[12..].copy_from_slice(&value.to_be_bytes());
            pseudonyms(key).of(&class(name)).uuid(uuid)
        };
        let mut seen = std::collections::HashSet::new();
        let (mut ones, mut zeros) = ([0_u8; 16], [0_u8; 16]);
        for value in 0..10_000 {
            let uuid = make(1, "a", value);
            assert!(seen.insert(uuid), "{value}");
            for ((ones, zeros), byte) in ones.iter_mut().zip(&mut zeros).zip(uuid) {
                (*ones, *zeros) = (*ones | byte, *zeros | !byte);
            }
        }
        // Each bit but those of version and variant is the one as well as the other.
        let open: u32 = ones.iter().zip(zeros).map(|(one, zero)| (one & zero).count_ones()).sum();
        assert_eq!(open, 122);
        // Whoever has another key, another target's or another class cannot make it.
        let master = PseudonymKey::new([1; 32]);
        let of_target = |target| Pseudonyms::new(&master.of_target(target)).of(&class("a")).uuid([0; 16]);
        let all = [make(1, "a", 0), make(2, "a", 0), make(1, "b", 0), of_target("shop"), of_target("shops")];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
    }

    #[test]
    fn pseudonyms_are_of_hmac_whatever_the_length() {
        use ::hmac::{Hmac, KeyInit as _, Mac as _};
        let pseudonyms = pseudonyms(1).of(&class("a"));
        for length in 0..200 {
            let value = vec![b'v'; length];
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[1; 32]).unwrap();
            mac.update(&[b"a\0", value.as_slice()].concat());
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            assert_eq!(pseudonyms.mac(&value), expected, "{length}");
        }
    }

    proptest! {
        #[test]
        fn pseudonyms_fit(value in prop::collection::vec(any::<u8>(), 0..40), chars_max in 0_u32..40) {
            let pseudonyms = pseudonyms(1).of(&class("thing"));
            for form in FORMS {
                let text = text_of(&pseudonyms, form, &value, Some(chars_max));
                prop_assert!(text.is_ascii() && text.len() <= chars_max as usize);
                prop_assert_eq!(&text, &text_of(&pseudonyms, form, &value, Some(chars_max)));
            }
        }
    }
}
