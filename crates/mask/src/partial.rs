//! Masks that keep a hint of the value.
//!
//! Knows the forms of values. Shows at most a quarter of a value's characters, letters and digits only, and nothing of
//! a value that is shorter than six.

use gatehouse_model::ClassName;

use crate::Detector;

const CHARS_MIN: usize = 6;
const NO_HINT: &[u8] = b"***";
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
            Some(Detector::PersonName) => Self::PersonName,
            Some(
                Detector::Iban
                | Detector::IpAddress
                | Detector::Jwt
                | Detector::PrivateKey
                | Detector::AwsKey
                | Detector::GithubToken
                | Detector::ApiKey
                | Detector::PasswordHash
                | Detector::UrlPassword
                | Detector::NationalId
                | Detector::TaxId
                | Detector::BankCode
                | Detector::MacAddress
                | Detector::PostalAddress,
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

/// Appends the hint that stands for a value.
pub(crate) fn hint(form: Form, value: &str, out: &mut Vec<u8>) {
    // Of ASCII the length is the number of characters.
    let chars = if value.is_ascii() { value.len() } else { value.chars().count() };
    if chars < CHARS_MIN {
        return out.extend_from_slice(NO_HINT);
    }
    let shown_max = chars / 4;
    match form {
        Form::Email => email(value, shown_max, out),
        Form::Phone => {
            out.extend_from_slice(NO_HINT);
            last_digits(value, shown_max.min(2), 0, out);
        }
        Form::UsSsn => {
            out.extend_from_slice(b"***-**-");
            last_digits(value, shown_max.min(4), 4, out);
        }
        Form::PaymentCard => card(value, shown_max, out),
        Form::PersonName | Form::Other => initial(value, out),
    }
}

fn initial(value: &str, out: &mut Vec<u8>) {
    push_shown(value.chars().next(), out);
    out.extend_from_slice(NO_HINT);
}

/// `b***@e***.com`, with as much of it as the quarter allows.
fn email(value: &str, shown_max: usize, out: &mut Vec<u8>) {
    let Some((local, domain)) = value.rsplit_once('@') else { return initial(value, out) };
    let top_level = domain.rsplit_once('.').map(|(_, label)| label);
    push_shown(local.chars().next(), out);
    out.extend_from_slice(b"***@");
    if shown_max >= 2 {
        push_shown(domain.chars().next(), out);
    }
    out.extend_from_slice(b"***.");
    match top_level {
        Some(label) if shown_max >= 2 + label.len() && label.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            out.extend_from_slice(label.as_bytes());
        }
        Some(_) | None => out.extend_from_slice(NO_HINT),
    }
}

fn card(value: &str, shown_max: usize, out: &mut Vec<u8>) {
    if value.bytes().filter(u8::is_ascii_digit).count() < CARD_DIGITS_MIN {
        return out.extend_from_slice(NO_HINT);
    }
    out.extend_from_slice(b"**** **** **** ");
    last_digits(value, shown_max.min(4), 4, out);
}

/// The last digits, of at most a quarter of all digits, behind as many stars as make them `width` wide.
fn last_digits(value: &str, shown_max: usize, width: usize, out: &mut Vec<u8>) {
    let count = value.bytes().filter(u8::is_ascii_digit).count();
    let shown = shown_max.min(count / 4);
    out.extend(std::iter::repeat_n(b'*', width.saturating_sub(shown)));
    let start = out.len();
    out.extend(value.bytes().rev().filter(u8::is_ascii_digit).take(shown));
    out.get_mut(start..).unwrap_or_default().reverse();
}

fn push_shown(c: Option<char>, out: &mut Vec<u8>) {
    if let Some(c) = c {
        out.extend_from_slice(shown(c).encode_utf8(&mut [0; 4]).as_bytes());
    }
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
            let mut out = Vec::new();
            hint(form, value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{value}");
        }
    }
}
