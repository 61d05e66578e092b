//! The kinds of value that can be recognised by themselves, inside any text.
//!
//! Knows what values look like, byte by byte. Knows nothing of classes, columns or what is done to a find.

mod bytes;
mod finder;
mod fold;
mod iban;
mod mail;
mod national;
mod number;
mod recognizer;
mod secret;

use std::fmt;

pub(crate) use finder::{Finder, Found};
pub use recognizer::{NotLooked, Recognized, Recognizer};

/// Recognises one kind of value and validates it, by checksum where the kind has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detector {
    /// An e-mail address.
    Email,
    /// A phone number: international with `+`, or North American with its punctuation.
    PhoneNumber,
    /// A payment card number: issuer prefix and Luhn checksum.
    PaymentCard,
    /// An IBAN: the country's length and the checksum of ISO 13616.
    Iban,
    /// A US social security number with its dashes or spaces.
    UsSsn,
    /// An IPv4 address, or an IPv6 address of a global or unique local network.
    IpAddress,
    /// A JSON web token (RFC 7519) in compact form.
    Jwt,
    /// A private key in PEM, whole.
    PrivateKey,
    /// An AWS access key id, or a secret access key that is labelled as one.
    AwsKey,
    /// A GitHub token.
    GithubToken,
    /// A key with the prefix of another vendor: GitLab, Slack, Stripe, OpenAI, Anthropic, npm, PyPI, Google.
    ApiKey,
    /// A stored password: bcrypt, Argon2, PBKDF2 as Django writes it, PostgreSQL's SCRAM and md5.
    PasswordHash,
    /// The password in the user part of a URL, or after its name and `=`.
    UrlPassword,
    /// The number of a person with a state: of Australia, Belgium, Brazil, Canada, France, Germany, India, Italy, the
    /// Netherlands, Poland, Portugal, Spain, Sweden or the United Kingdom.
    NationalId,
    /// The number of a firm for its taxes: of Brazil and the United States, and of VAT in the European Union.
    TaxId,
    /// The number of a bank: a BIC (ISO 9362) or a US routing number.
    BankCode,
    /// The address of a network card.
    MacAddress,
    /// The name of a person, where a [`Recognizer`] finds it.
    PersonName,
    /// Where somebody lives or gets mail, likewise.
    PostalAddress,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 19] = [
        Self::Email,
        Self::PhoneNumber,
        Self::PaymentCard,
        Self::Iban,
        Self::UsSsn,
        Self::IpAddress,
        Self::Jwt,
        Self::PrivateKey,
        Self::AwsKey,
        Self::GithubToken,
        Self::ApiKey,
        Self::PasswordHash,
        Self::UrlPassword,
        Self::NationalId,
        Self::TaxId,
        Self::BankCode,
        Self::MacAddress,
        Self::PersonName,
        Self::PostalAddress,
    ];

    /// The word that names it in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::PhoneNumber => "phone_number",
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::UsSsn => "us_ssn",
            Self::IpAddress => "ip_address",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::AwsKey => "aws_key",
            Self::GithubToken => "github_token",
            Self::ApiKey => "api_key",
            Self::PasswordHash => "password_hash",
            Self::UrlPassword => "url_password",
            Self::NationalId => "national_id",
            Self::TaxId => "tax_id",
            Self::BankCode => "bank_code",
            Self::MacAddress => "mac_address",
            Self::PersonName => "person_name",
            Self::PostalAddress => "postal_address",
        }
    }

    /// The detector of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|detector| detector.name() == name)
    }

    /// Whether only a [`Recognizer`] finds its values: they have no form by which to know them.
    pub const fn is_recognized(self) -> bool {
        matches!(self, Self::PersonName | Self::PostalAddress)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of detectors.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Detectors(u32);

impl Detectors {
    /// Every detector.
    pub fn all() -> Self {
        Detector::ALL.into_iter().collect()
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, detector: Detector) -> Self {
        Self(self.0 | detector.bit())
    }

    /// The set with one less.
    #[must_use]
    pub const fn without(self, detector: Detector) -> Self {
        Self(self.0 & !detector.bit())
    }

    /// True if the detector is in the set.
    pub const fn contains(self, detector: Detector) -> bool {
        self.0 & detector.bit() != 0
    }

    /// True if no detector is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The detectors of the set.
    pub fn iter(self) -> impl Iterator<Item = Detector> {
        Detector::ALL.into_iter().filter(move |detector| self.contains(*detector))
    }
}

impl FromIterator<Detector> for Detectors {
    fn from_iter<I: IntoIterator<Item = Detector>>(detectors: I) -> Self {
        detectors.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for Detectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for detector in Detector::ALL {
            assert_eq!(Detector::from_name(detector.name()), Some(detector));
        }
        assert_eq!(Detector::from_name("Email"), None);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = Detectors::default().with(Detector::Email).with(Detector::Jwt).without(Detector::Email);
        assert!(set.contains(Detector::Jwt) && !set.contains(Detector::Email));
        assert_eq!(Detectors::all().iter().count(), Detector::ALL.len());
        assert!(set.without(Detector::Jwt).is_empty());
    }
}
