//! Masks that keep a hint of the value.
//!
//! Knows the forms of values. Shows at most a quarter of a value's characters, letters and digits only, and nothing of
//! a value that is shorter than six.

use gatehouse_model::ClassName;

use crate::Detector;

const CHARS_MIN: usize = 6;
const NO_HINT: &str = "***";
const CARD_DIGITS_MIN: usize = 8;

/// The form of a class's values, as far as masks imitate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Email,
    PersonName,
    Phone,
    UsSsn,
    PaymentCard,
    Other,
}

impl Form {
    /// By the class's detector, else by its name.
    pub(crate) fn of(class: &ClassName, detector: Option<Detector>) -> Self {
        match detector {
            Some(Detector::Email) => Self::Email,
            Some(Detector::PhoneNumber) => Self::Phone,
            Some(Detector::UsSsn) => Self::UsSsn,
            Some(Detector::PaymentCard) => Self::PaymentCard,
            Some(
                Detector::Iban
                | Detector::IpAddress
                | Detector::Jwt
                | Detector::PrivateKey
                | Detector::AwsKey
                | Detector::GithubToken
                | Detector::ApiKey
                | Detector::PasswordHash
                | Detector::UrlPassword,
            ) => Self::Other,
            None => match class.as_str() {
                "email" => Self::Email,
                "person_name" => Self::PersonName,
                "phone" => Self::Phone,
                "us_ssn" => Self::UsSsn,
                "payment_card" => Self::PaymentCard,
                _ => Self::Other,
            },
        }
    }
}

/// The hint that stands for a value.
pub(crate) fn hint(form: Form, value: &str) -> String {
    let chars = value.chars().count();
    if chars < CHARS_MIN {
        return NO_HINT.to_owned();
    }
    let shown_max = chars / 4;
    match form {
        Form::Email => email(value, shown_max),
        Form::Phone => [NO_HINT, &last_digits(value, shown_max.min(2))].concat(),
        Form::UsSsn => format!("***-**-{:*>4}", last_digits(value, shown_max.min(4))),
        Form::PaymentCard => card(value, shown_max),
        Form::PersonName | Form::Other => initial(value),
    }
}

fn initial(value: &str) -> String {
    let mut hint = String::new();
    hint.extend(value.chars().next().map(shown));
    hint + NO_HINT
}

/// `b***@e***.com`, with as much of it as the quarter allows.
fn email(value: &str, shown_max: usize) -> String {
    let Some((local, domain)) = value.rsplit_once('@') else { return initial(value) };
    let top_level = domain.rsplit_once('.').map(|(_, label)| label);
    let mut hint = String::new();
    hint.extend(local.chars().next().map(shown));
    hint.push_str("***@");
    if shown_max >= 2 {
        hint.extend(domain.chars().next().map(shown));
    }
    hint.push_str("***.");
    match top_level {
        Some(label) if shown_max >= 2 + label.len() && label.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            hint.push_str(label);
        }
        Some(_) | None => hint.push_str(NO_HINT),
    }
    hint
}

fn card(value: &str, shown_max: usize) -> String {
    if value.bytes().filter(u8::is_ascii_digit).count() < CARD_DIGITS_MIN {
        return NO_HINT.to_owned();
    }
    format!("**** **** **** {:*>4}", last_digits(value, shown_max.min(4)))
}

/// The last digits, of at most a quarter of all digits.
fn last_digits(value: &str, shown_max: usize) -> String {
    let count = value.bytes().filter(u8::is_ascii_digit).count();
    let shown = shown_max.min(count / 4);
    let digits = value.bytes().filter(u8::is_ascii_digit).skip(count - shown);
    digits.map(char::from).collect()
}

/// Letters and digits show; quotes, backslashes and control characters must not get into a JSON string unescaped.
fn shown(c: char) -> char {
    if c.is_alphanumeric() { c } else { '*' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_show_little() {
        for (form, value, expected) in [
            (Form::Email, "robert.tables@example.com", "r***@e***.com"),
            (Form::Email, "bob@example.com", "b***@e***.***"),
            (Form::Email, "a@b.co", "a***@***.***"),
            (Form::Email, "not an address", "n***"),
            (Form::Phone, "+1 415 555 0123", "***23"),
            (Form::Phone, "unlisted", "***"),
            (Form::UsSsn, "123-45-6789", "***-**-**89"),
            (Form::PaymentCard, "4111 1111 1111 1234", "**** **** **** 1234"),
            (Form::PaymentCard, "378282246310005", "**** **** **** *005"),
            (Form::PaymentCard, "card 12", "***"),
            (Form::PersonName, "Åsa Lindqvist", "Å***"),
            (Form::Other, "\"quoted\"", "****"),
            (Form::Other, "short", "***"),
            (Form::Other, "", "***"),
        ] {
            assert_eq!(hint(form, value), expected, "{value}");
        }
    }
}
