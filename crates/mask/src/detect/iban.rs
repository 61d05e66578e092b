//! International bank account numbers (ISO 13616).
//!
//! Knows the length of each country's numbers and the checksum.

use std::ops::Range;

use super::bytes::{before, is_alnum_at};

/// Where the number begins that its own name may stand before.
pub(super) fn after_label(hay: &[u8], start: usize) -> usize {
    let is_named = hay.get(start..).is_some_and(|rest| rest.starts_with(b"IBAN"));
    if is_named { start + 4 } else { start }
}

/// The number that begins at `start`, as one word or in groups of four.
pub(super) fn iban(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let len = length(hay.get(start..start + 2)?)?;
    let mut number = Vec::with_capacity(len);
    let mut at = start;
    while number.len() < len {
        match hay.get(at)? {
            byte @ (b'A'..=b'Z' | b'0'..=b'9') => number.push(*byte),
            b' ' | b'-'
                if number.len() % 4 == 0 && before(hay, at).is_some_and(|byte| byte.is_ascii_alphanumeric()) => {}
            _ => return None,
        }
        at += 1;
    }
    (is_valid(&number) && !is_alnum_at(hay, at)).then_some(start..at)
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
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" => 20,
        b"CH" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"CR" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HU" | b"LB" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
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
            ],
        );
    }
}
