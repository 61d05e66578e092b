//! International bank account numbers (ISO 13616).
//!
//! Knows the length of each country's numbers and the checksum.

use std::ops::Range;

use memchr::memmem;

use super::bytes::{before, is_alnum_at};

/// How far before a number in small letters its name may stand, in bytes.
const NAME_BYTES_MAX: usize = 40;
/// How many letters at most name a bank before the digits of an account.
const BANK_LETTERS_MAX: usize = 4;

/// Where the number begins that its own name may stand before.
pub(super) fn after_label(hay: &[u8], start: usize) -> usize {
    let is_named = hay.get(start..).is_some_and(|rest| rest.starts_with(b"IBAN"));
    if is_named { start + 4 } else { start }
}

/// The number that begins at `start`, as one word or in groups of four, in letters that are all great or all small.
pub(super) fn iban(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let country = hay.get(start..start + 2)?;
    let is_small = country.iter().all(u8::is_ascii_lowercase);
    let len = length(&country.to_ascii_uppercase())?;
    let mut number = Vec::with_capacity(len);
    let mut at = start;
    while number.len() < len {
        match hay.get(at)? {
            byte @ b'0'..=b'9' => number.push(*byte),
            byte @ b'A'..=b'Z' if !is_small => number.push(*byte),
            byte @ b'a'..=b'z' if is_small => number.push(byte.to_ascii_uppercase()),
            b' ' | b'-'
                if number.len() % 4 == 0 && before(hay, at).is_some_and(|byte| byte.is_ascii_alphanumeric()) => {}
            _ => return None,
        }
        at += 1;
    }
    // Digests and other keys have small letters between digits as well.
    let counts = !is_small || is_of_digits(&number) || is_named(hay, start);
    (counts && is_valid(&number) && !is_alnum_at(hay, at)).then_some(start..at)
}

/// True if nothing but digits follows the letters of the bank, if there are any.
fn is_of_digits(number: &[u8]) -> bool {
    let account = number.get(4..).unwrap_or_default();
    let letters = account.iter().take(BANK_LETTERS_MAX).take_while(|byte| byte.is_ascii_uppercase()).count();
    account.iter().skip(letters).all(u8::is_ascii_digit)
}

fn is_named(hay: &[u8], start: usize) -> bool {
    let text = hay.get(start.saturating_sub(NAME_BYTES_MAX)..start).unwrap_or_default();
    memmem::find(&text.to_ascii_lowercase(), b"iban").is_some()
}

fn is_valid(number: &[u8]) -> bool {
    let Some((head, tail)) = number.split_at_checked(4) else { return false };
    let rest = tail.iter().chain(head).fold(0_u32, |rest, byte| match byte {
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        digit => (rest * 10 + u32::from(digit.saturating_sub(b'0'))) % 97,
    });
    rest == 1
}

/// The length of a country's numbers, from the registry that SWIFT keeps.
fn length(country: &[u8]) -> Option<usize> {
    Some(match country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FK" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"MN" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HN" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;
    use crate::detect::finder::tests::{check_found, check_left};

    #[test]
    fn finds_account_numbers() {
        check_found(
            Detector::Iban,
            &[
                ("DE89370400440532013000", "DE89370400440532013000"),
                ("IBAN: GB82 WEST 1234 5698 7654 32 AND MORE", "GB82 WEST 1234 5698 7654 32"),
                ("FR1420041010050500013M02606.", "FR1420041010050500013M02606"),
                ("{\"iban\":\"NO9386011117947\"}", "NO9386011117947"),
                ("FK88SC123456789012", "FK88SC123456789012"),
                ("DJ2100010000000154000100186", "DJ2100010000000154000100186"),
                ("RU0204452560040702810412345678901", "RU0204452560040702810412345678901"),
                ("SO211000001001000100141", "SO211000001001000100141"),
                ("de89370400440532013000", "de89370400440532013000"),
                ("to gb82 west 1234 5698 7654 32, please", "gb82 west 1234 5698 7654 32"),
                ("it60x0542811101000000123456", "it60x0542811101000000123456"),
                ("iban: fr1420041010050500013m02606", "fr1420041010050500013m02606"),
                ("acct_DE89-3704-0044-0532-0130-00", "DE89-3704-0044-0532-0130-00"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_one() {
        check_left(
            Detector::Iban,
            &[
                "DE88370400440532013000",
                "DE8937040044053201300",
                "DE893704004405320130001",
                "ZZ89370400440532013000",
                "xDE89370400440532013000",
                "DE89  3704 0044 0532 0130 00",
                "US12345678901234567890",
                "SKU: AB12 CDEF 3456",
                "de88370400440532013000",
                "De89370400440532013000",
                "fr1420041010050500013m02606",
                "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                "RU0304452560040702810412345678901",
            ],
        );
    }
}
