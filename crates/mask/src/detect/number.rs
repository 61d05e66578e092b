//! Values made of digits: payment cards, social security numbers, phone numbers and network addresses.
//!
//! Knows what tells them from the many numbers that are none of them: checksums, issuers, ranges and boundaries.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::bytes::{before, is_alnum_at, is_digit_at, is_label, number, run};
use super::national::{SSN, is_behind};

const CARD_DIGITS_MAX: usize = 19;
const CARD_GROUP_DIGITS_MIN: usize = 4;
const CARD_DOTTED_BYTES: usize = 19;
const IPV6_BYTES_MAX: usize = 45;
/// How much may part two digits of a phone number, as in `(0) 89 / 636`.
const PHONE_GAP_BYTES_MAX: usize = 3;
/// How far behind the code of a country `(0)` may stand, in bytes.
const TRUNK_BYTES_MAX: usize = 8;
/// How many groups the digits of one have that begins with 0.
const PHONE_GROUPS_MAX: usize = 6;

/// The payment card number that begins at `start`, the longest that is valid; groups are parted by one space or dash.
pub(super) fn card(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if is_fraction(hay, start) || is_in_uuid(hay, start) || is_within_groups(hay, start) {
        return None;
    }
    let mut digits = Vec::with_capacity(CARD_DIGITS_MAX);
    let mut group = 0;
    let mut end = None;
    let mut at = start;
    while digits.len() <= CARD_DIGITS_MAX {
        if let Some(byte @ b'0'..=b'9') = hay.get(at) {
            digits.push(byte - b'0');
            group += 1;
        } else {
            let whole = float_end(hay, at);
            if (whole.is_some() || !is_joined(hay, at)) && is_card(&digits) {
                end = Some(whole.unwrap_or(at));
            }
            let goes_on = matches!(hay.get(at), Some(b' ' | b'-')) && is_digit_at(hay, at + 1);
            // Old numbers of 13 digits are written in groups of three behind the first.
            if !goes_on || group < CARD_GROUP_DIGITS_MIN && !(group == 3 && digits.len() < 13) {
                break;
            }
            group = 0;
        }
        at += 1;
    }
    end.map(|end| start..end)
}

/// True if groups begin at `start` and such a group stands before them too: those of an account, or of a longer number. Words
/// and years do.
fn is_within_groups(hay: &[u8], start: usize) -> bool {
    let Some(separator @ (b' ' | b'-')) = before(hay, start) else { return false };
    let Some(first) = start.checked_sub(CARD_GROUP_DIGITS_MIN + 1) else { return false };
    let group = hay.get(first..start - 1).unwrap_or_default();
    let is_group = group.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let is_year = matches!(number(hay, first, CARD_GROUP_DIGITS_MIN), Some(1900..=2099));
    let is_bounded = first.checked_sub(1).is_none_or(|at| !is_alnum_at(hay, at));
    let goes_on = hay.get(start + CARD_GROUP_DIGITS_MIN) == Some(&separator);
    goes_on && is_bounded && is_group && group.iter().any(u8::is_ascii_digit) && !is_year
}

/// The same in four groups of four with dots between; in other groups a dot parts a fraction.
pub(super) fn card_dotted(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let end = start + CARD_DOTTED_BYTES;
    let text = hay.get(start..end)?;
    let is_form = text.iter().enumerate().all(|(place, byte)| match place {
        4 | 9 | 14 => *byte == b'.',
        _ => byte.is_ascii_digit(),
    });
    let digits: Vec<u8> = text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0').collect();
    (is_form && !is_fraction(hay, start) && !is_joined(hay, end) && is_card(&digits)).then_some(start..end)
}

/// Where a whole number ends that was written as one of floating point, as programs do that keep columns with gaps as such.
fn float_end(hay: &[u8], at: usize) -> Option<usize> {
    let is_whole = hay.get(at..)?.starts_with(b".0") && !is_joined(hay, at + 2);
    is_whole.then_some(at + 2)
}

fn is_card(digits: &[u8]) -> bool {
    let Some(prefix) = digits.get(..4) else { return false };
    let prefix = prefix.iter().fold(0_u32, |prefix, digit| prefix * 10 + u32::from(*digit));
    is_issued(prefix, digits.len()) && is_luhn(digits) && !is_article_number(digits)
}

/// Whether an issuer has numbers with these first four digits, of this length.
fn is_issued(prefix: u32, len: usize) -> bool {
    match prefix {
        4000..=4999 => matches!(len, 13 | 16 | 19),
        2221..=2720 | 5100..=5599 => len == 16,
        3400..=3499 | 3700..=3799 => len == 15,
        3000..=3059 | 3095 | 3600..=3699 | 3800..=3999 => len == 14,
        2200..=2204 | 3528..=3589 | 6011 | 6200..=6299 | 6440..=6599 => (16..=19).contains(&len),
        // RuPay and Troy; Dankort; Elo and Hipercard.
        5080..=5089 | 6000..=6010 | 6012..=6039 | 8100..=8299 | 9792 => len == 16,
        5019 | 5041 | 5066 | 5067 | 5090..=5099 | 6062 | 6362 | 6363 => len == 16,
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 => (13..=19).contains(&len),
        _ => false,
    }
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (place, digit)| {
        let digit = u32::from(*digit);
        sum + if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
    });
    sum % 10 == 0
}

/// True for the 13 digits of an EAN with its checksum: goods are likelier than the old cards of that length.
fn is_article_number(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| u32::from(*digit) * if place % 2 == 0 { 1 } else { 3 };
    let sum: u32 = digits.iter().enumerate().map(weigh).sum();
    digits.len() == 13 && sum.is_multiple_of(10)
}

/// Numbers that were printed in advertisements, and are nobody's since.
const SSN_PRINTED: [(u32, u32, u32); 2] = [(78, 5, 1120), (219, 9, 9999)];

/// The US social security number that begins at `start`.
pub(super) fn ssn(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let separator = *hay.get(start + 3)?;
    if !matches!(separator, b'-' | b' ') || hay.get(start + 6) != Some(&separator) || is_continued(hay, start) {
        return None;
    }
    let area = number(hay, start, 3)?;
    let group = number(hay, start + 4, 2)?;
    let serial = number(hay, start + 7, 4)?;
    let end = start + 11;
    // The numbers of goods begin with letters, and end with them; those of books, in groups with spaces, go on.
    let is_after_letter = before(hay, start) == Some(b'-') && start >= 2 && is_letter_at(hay, start - 2);
    let goes_on = hay.get(end) == Some(&b'/') && is_letter_at(hay, end + 1)
        || separator == b' ' && hay.get(end) == Some(&b' ') && is_digit_at(hay, end + 1);
    let is_other = is_after_letter || goes_on || is_numbered(hay, start);
    if is_other && !is_behind(hay, start, SSN) {
        return None;
    }
    let is_issuable = match area {
        0 | 666 => false,
        // Of persons who pay taxes and have no other number (ITIN).
        900.. => matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99),
        _ => group != 0 && serial != 0 && !SSN_PRINTED.contains(&(area, group, serial)),
    };
    (is_issuable && !is_joined(hay, end) && !is_chained(hay, end)).then_some(start..end)
}

/// The North American number that begins at `start`: `415-555-0123`, with or without `1-`, or `415.555.0123`; with spaces
/// only behind `1`, for numbers of other things are parted so.
pub(super) fn phone_dashed(hay: &[u8], start: usize) -> Option<Range<usize>> {
    let rest = hay.get(start..)?;
    let is_spaced = rest.starts_with(b"1 ");
    let at = if is_spaced || rest.starts_with(b"1-") { start + 2 } else { start };
    let area = number(hay, at, 3)?;
    let exchange = number(hay, at + 4, 3)?;
    number(hay, at + 8, 4)?;
    let end = at + 12;
    let separators = (hay.get(at + 3), hay.get(at + 7));
    let is_parted = match separators {
        (Some(b'-'), Some(b'-')) | (Some(b'.'), Some(b'.')) => !is_spaced,
        (Some(b' '), Some(b' ')) => is_spaced,
        _ => false,
    };
    let is_bounded = !is_continued(hay, start) && is_dialled_until(hay, end) && !is_chained(hay, end);
    let is_given = is_assigned(area) && is_assigned(exchange);
    (is_parted && is_bounded && is_given && !is_numbered(hay, start)).then_some(start..end)
}

/// True if a number that is dialled ends there, but for an extension: `415-555-0123x45`.
fn is_dialled_until(hay: &[u8], end: usize) -> bool {
    let is_extended = matches!(hay.get(end), Some(b'x' | b'X')) && is_digit_at(hay, end + 1);
    is_extended || !is_joined(hay, end)
}

/// True for an area or an exchange of the North American plan: 200 to 999, and none of 211 to 911.
fn is_assigned(code: u32) -> bool {
    code >= 200 && code % 100 != 11
}

/// The number `(415) 555-0123`, which the trigger has matched whole, or the one whose area begins with 0, as in `(02) 9876 5432`.
pub(super) fn phone_bracketed(hay: &[u8], range: Range<usize>) -> Option<Range<usize>> {
    let is_call = before(hay, range.start).is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_trunk = hay.get(range.start + 1) == Some(&b'0');
    let most = TRUNK_DIGITS.1 + usize::from(is_german_mobile(hay, range.start + 1));
    let end = if is_trunk { dialled_end(hay, range.start, TRUNK_DIGITS.0, most).0? } else { range.end };
    // In North America, whose form this is, no area begins with 0.
    let text = hay.get(range.start..end)?;
    let is_american = matches!(text, [b'(', _, _, _, b')', .., b'-', _, _, _, _]) && text.len() <= 14;
    let is_bounded = is_dialled_until(hay, end) && !is_chained(hay, end);
    let is_other = is_call || is_trunk && is_american || is_numbered(hay, range.start);
    (is_bounded && !is_other).then_some(range.start..end)
}

/// The international number that begins at `start` with `+`, with that as a query has it, or with `00`: as many digits as its
/// country gives.
pub(super) fn phone_international(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if before(hay, start).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'+') {
        return None;
    }
    let is_dialled = hay.get(start) == Some(&b'0');
    // Bytes are written in pairs of digits too.
    let is_pair = hay.get(start + 2) == Some(&b' ') && before(hay, start) == Some(b' ');
    if is_dialled
        && is_pair
        && start >= 2
        && hay.get(start - 2).is_some_and(u8::is_ascii_hexdigit)
        && is_digit_at(hay, start + 4)
    {
        return None;
    }
    let first = match hay.get(start) {
        Some(b'+') => start + 1,
        Some(b'%') => start + 3,
        _ if is_continued(hay, start) => return None,
        _ => start + 2 + usize::from(hay.get(start + 2) == Some(&b' ')),
    };
    let country = leading_digits(hay, first);
    let (least, most) = phone_digits(country);
    // The 0 of a call inside the country is written in brackets.
    let begin = hay.get(first..).unwrap_or_default().get(..TRUNK_BYTES_MAX).unwrap_or_default();
    let more = usize::from(begin.windows(3).any(|part| part == b"(0)"));
    // Some write it without.
    let is_trunk = has_code_of_two(country) && country.is_multiple_of(10);
    let end = dialled_end(hay, first, least + more, most + more.max(usize::from(is_trunk))).0?;
    // Many other numbers are filled up with zeros: those of North America count in groups.
    let is_in_groups = hay.get(first..end)?.iter().any(|byte| !byte.is_ascii_digit());
    let is_other = is_joined(hay, end) || is_chained(hay, end) || is_behind(hay, start, NUMBERED_ALIKE);
    if is_dialled && (country < 200 && !is_in_groups || is_other) {
        return None;
    }
    let digits: Vec<u8> = hay.get(first..end)?.iter().copied().filter(u8::is_ascii_digit).collect();
    // Of a sum such as `+4500000000` all that follows its first digits is the same.
    let own = digits.get(3..)?;
    let is_varied = own.iter().any(|digit| own.first() != Some(digit));
    // North American areas begin with 2 at the least.
    let is_given = is_country(country) && !(100..=119).contains(&country);
    (is_given && is_varied).then_some(start..end)
}

/// How many digits international numbers have with the code of their country, of which these are the first three digits,
/// by what countries notify to the ITU (E.164).
fn phone_digits(leading: u32) -> (usize, usize) {
    match leading / 10 {
        10..=19 | 27 | 31 | 33 | 34 | 40 | 56 | 61 | 70..=79 | 93 | 94 => (11, 11),
        45 | 47 | 53 | 65 => (10, 10),
        51 | 32 | 36 | 66 => (10, 11),
        81 | 84 | 92 => (11, 12),
        90 | 91 | 98 => (12, 12),
        20 | 30 | 41 | 44 | 46 | 48 | 57 | 58 | 60 | 63 | 64 | 82 => (10, 12),
        52 | 54 | 55 | 86 => (11, 13),
        95 => (9, 12),
        _ => match leading {
            298 | 299 | 376 | 508 | 687 => (9, 9),
            352 | 358 => (9, 15),
            354 | 385 | 386 => (10, 12),
            356 | 357 | 370 | 371 | 852 | 853 => (11, 11),
            351 | 380 | 420 | 421 | 254 | 255 | 256 | 251 => (12, 12),
            390..=399 | 430..=439 | 490..=499 | 620..=629 => (10, 15),
            _ => (10, 13),
        },
    }
}

/// The number that the first three digits make, whatever parts them; less if there are not as many.
fn leading_digits(hay: &[u8], at: usize) -> u32 {
    let text = hay.get(at..).unwrap_or_default().iter().take(8);
    let digits = text.filter(|byte| byte.is_ascii_digit()).take(3);
    digits.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// True if the first two of these three digits are the whole code of a country.
fn has_code_of_two(leading: u32) -> bool {
    let code = leading / 10;
    matches!(code, 20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86 | 90..=95 | 98)
}

/// True if a country, or a service of several, has the code that three digits begin with (ITU-T E.164).
fn is_country(leading: u32) -> bool {
    match leading / 10 {
        10..=19 | 35 | 37 | 70..=79 => true,
        _ if has_code_of_two(leading) => true,
        21 => matches!(leading, 211..=213 | 216 | 218),
        22..=24 | 26 | 50 | 59 => true,
        25 => leading != 259,
        29 => matches!(leading, 290 | 291 | 297..=299),
        38 => !matches!(leading, 384 | 388),
        42 => matches!(leading, 420 | 421 | 423),
        67 => !matches!(leading, 671 | 684),
        68 => leading != 684,
        69 => leading <= 692,
        80 => matches!(leading, 800 | 808),
        85 => matches!(leading, 850 | 852 | 853 | 855 | 856),
        87 => matches!(leading, 870 | 878),
        88 => !matches!(leading, 884 | 885 | 887 | 889),
        96 => leading != 969,
        97 => leading != 978,
        99 => matches!(leading, 992..=996 | 998),
        _ => false,
    }
}

/// Where a number ends that is dialled, the longest with so many digits, and how many there are.
fn dialled_end(hay: &[u8], start: usize, least: usize, most: usize) -> (Option<usize>, usize) {
    let (mut digits, mut gap, mut end) = (0, 0, None);
    let mut at = start;
    while let Some(byte) = hay.get(at) {
        match byte {
            b'0'..=b'9' if digits < most => {
                digits += 1;
                gap = 0;
                if digits >= least && !is_alnum_at(hay, at + 1) {
                    end = Some(at + 1);
                }
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if gap < PHONE_GAP_BYTES_MAX => gap += 1,
            _ => break,
        }
        at += 1;
    }
    (end, digits)
}

/// The number behind a word for it, which stand there together, as it is written at home: 7 to 15 digits.
pub(super) fn phone_named(hay: &[u8], named: Range<usize>) -> Option<Range<usize>> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'(';
    let start = named.start + hay.get(named)?.iter().position(is_number)?;
    // With 1 begin the numbers of China, of São Paulo and, with their country, of North America; and the seconds of clocks.
    let begins_with_one = hay.get(start) == Some(&b'1');
    let (least, most) = if begins_with_one { (11, 11) } else { (1, 15) };
    if begins_with_one && leading_digits(hay, start) < 119 {
        return None;
    }
    let (end, digits) = dialled_end(hay, start, least, most);
    let end = end.filter(|_| digits >= 7)?;
    let text = hay.get(start..end)?;
    (!is_day(text) && hay.get(end) != Some(&b':')).then_some(start..end)
}

/// True for a day, which stands behind such words too, as in `phone: 2026-11-26` or `call 26.11.2026`.
fn is_day(text: &[u8]) -> bool {
    let is_parted = |places: [usize; 2], separators: &[u8]| {
        let [first, second] = places.map(|place| text.get(place));
        first == second && first.is_some_and(|separator| separators.contains(separator))
    };
    let year_ends = text.get(6..10).is_some_and(|year| year.iter().all(u8::is_ascii_digit))
        && text.get(10).is_none_or(|byte| !byte.is_ascii_digit());
    text.len() >= 10 && (is_parted([4, 7], b"-") || year_ends && is_parted([2, 5], b"-./"))
}

/// The number behind a word that is mostly followed by something else: only with the 0 of a call inside the country, and
/// 9 to 12 digits.
pub(super) fn phone_contact(hay: &[u8], named: Range<usize>) -> Option<Range<usize>> {
    let found = phone_named(hay, named)?;
    let digits = hay.get(found.clone())?.iter().filter(|byte| byte.is_ascii_digit()).count();
    (9..=12).contains(&digits).then_some(found)
}

/// How many digits there are in a number that begins with the 0 of a call inside the country, with that.
const TRUNK_DIGITS: (usize, usize) = (9, 11);
/// What is numbered like a phone, and is none.
const NUMBERED_ALIKE: &[&str] = &[
    "awb",
    "air waybill",
    "ndc",
    "order",
    "lot",
    "batch",
    "ref",
    "sku",
    "part",
    "serial",
    "article",
    "invoice",
    "isbn",
    "konto",
    "ticket",
    "tracking",
    "rechnung",
    "factura",
    "facture",
    "commande",
    "pedido",
];
/// The same where it stands right before the number: further away these are words like any other.
const NUMBERED_RIGHT_BEHIND: &[&str] = &["model", "item", "case", "pn", "waybill"];
/// How compounds begin that name such a number: `Bestellnummer`, `order_no`, `partNumber`.
const NUMBERED_BEGINNINGS: &[&str] = &[
    "bestell", "artikel", "auftrag", "kunden", "vertrag", "serien", "teile", "liefer", "mitglied", "rechnung", "order",
    "invoice", "part", "item", "product", "model", "serial", "article", "case", "batch", "lot", "ticket", "tracking",
    "commande", "facture", "pedido", "factura", "konto", "bestel", "artikkel",
];
/// What says that a number follows.
const NUMBER_WORDS: &[&str] = &["no", "nr", "num", "number", "nummer", "numero", "n", "id", "code"];
/// How far back it is read what a number is called, in bytes.
const NUMBERED_BYTES_MAX: usize = 40;

/// True if the name of another number stands right before this one: `Part no. 551-45-7481`, `Bestellnummer: 0171 5550123`.
fn is_numbered(hay: &[u8], start: usize) -> bool {
    let text = hay.get(start.saturating_sub(NUMBERED_BYTES_MAX)..start).unwrap_or_default().to_ascii_lowercase();
    let (before, word) = last_word(&text);
    let is_one = |words: &[&str], word: &[u8]| words.iter().any(|one| one.as_bytes() == word);
    let begins = |word: &[u8]| NUMBERED_BEGINNINGS.iter().any(|begin| word.starts_with(begin.as_bytes()));
    let is_named = |word: &[u8]| is_one(NUMBERED_ALIKE, word) || is_one(NUMBERED_RIGHT_BEHIND, word);
    if is_one(NUMBER_WORDS, word) {
        let (_, name) = last_word(before);
        return before.ends_with(b"p/") || is_named(name) || begins(name);
    }
    let is_compound = NUMBER_WORDS.iter().any(|end| end.len() > 1 && word.ends_with(end.as_bytes()));
    is_named(word) || is_compound && begins(word)
}

/// The last word of a text, and what stands before it.
fn last_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    let text = text.get(..end).unwrap_or_default();
    let letters = text.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    text.split_at(end - letters)
}

/// The number that begins at `start` with the 0 of a call inside the country, in groups as people write them: `0171 5550123`,
/// `020 7946 0018`, `06 12 34 56 78`, `03-1234-5678`. Where it is in one group it is a number like any other.
pub(super) fn phone_at_home(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if hay.get(start) != Some(&b'0') || hay.get(start + 1) == Some(&b'0') {
        return None;
    }
    let is_next = matches!(before(hay, start), Some(b' ' | b'-' | b'.' | b'/' | b'+'))
        && start >= 2
        && (is_digit_at(hay, start - 2) || before(hay, start) != Some(b' ') && is_alnum_at(hay, start - 2));
    let (mut groups, mut end) = (Vec::with_capacity(PHONE_GROUPS_MAX), start);
    let mut separators = Vec::with_capacity(PHONE_GROUPS_MAX);
    while groups.len() < PHONE_GROUPS_MAX {
        let from = end;
        end = run(hay, from, TRUNK_DIGITS.1, |byte| byte.is_ascii_digit());
        groups.push(end - from);
        match hay.get(end) {
            Some(separator @ (b' ' | b'-' | b'/' | b'.')) if is_digit_at(hay, end + 1) => {
                separators.push(*separator);
                end += 1;
            }
            _ => break,
        }
    }
    let is_ended = separators.len() < groups.len() && !is_alnum_at(hay, end) && hay.get(end) != Some(&b':');
    let [area, first, ..] = groups.as_slice() else { return None };
    let digits: usize = groups.iter().sum();
    let is_german_mobile = groups.len() == 2 && is_german_mobile(hay, start);
    let is_in_pairs = groups.len() == 5 && groups.iter().all(|group| *group == 2);
    let is_form = match area {
        2 => digits == 10 && *first >= 3 || digits == 11 && *first == 4,
        3 => matches!(digits, 10 | 11),
        4 => matches!(digits, 10 | 11) && (groups.len() > 2 || digits == 11) || digits == 12 && is_german_mobile,
        5 if matches!(groups.as_slice(), [5, 4, 2]) => false,
        5 => digits == 11 || digits == 10 && groups.len() > 2,
        _ => false,
    };
    let is_of_groups = groups.iter().all(|group| *group >= 2);
    let is_parted = separators.iter().all(|separator| *separator != b'.') && !is_chained(hay, end);
    let is_alike = separators.iter().all(|separator| Some(separator) == separators.first());
    // The numbers of Belgian firms are written alike.
    let is_firm = hay.get(..start).is_some_and(|text| text.ends_with(b"BE ") || text.ends_with(b"BE"));
    let is_phone = is_in_pairs && is_alike || is_form && is_of_groups && is_parted;
    let is_other = is_behind(hay, start, NUMBERED_ALIKE) || is_numbered(hay, start);
    (is_phone && is_ended && !is_next && !is_firm && !is_other).then_some(start..end)
}

/// True for the codes of German mobile phones, of which some have a digit more than others.
fn is_german_mobile(hay: &[u8], at: usize) -> bool {
    matches!(hay.get(at..), Some([b'0', b'1', b'5' | b'6' | b'7', ..]))
}

/// The IPv4 address that begins at `start`, unless it is a host's own or no host's.
pub(super) fn ipv4(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if before(hay, start) == Some(b'.') {
        return None;
    }
    let mut octets = [0_u8; 4];
    let mut at = start;
    for (place, octet) in octets.iter_mut().enumerate() {
        if place > 0 {
            if hay.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
        let end = run(hay, at, 4, |byte| byte.is_ascii_digit());
        let len = end - at;
        if !(1..=3).contains(&len) || (len > 1 && hay.get(at) == Some(&b'0')) {
            return None;
        }
        *octet = u8::try_from(number(hay, at, len)?).ok()?;
        at = end;
    }
    let address = Ipv4Addr::from(octets);
    let is_nobodys = address.is_unspecified() || address.is_loopback() || octets[0] == 255;
    // `1.2.3.4-beta` is a version as well.
    let follows = hay.get(at..).unwrap_or_default();
    let is_before_release = [b"-alpha" as &[u8], b"-beta", b"-rc", b"-snapshot"]
        .iter()
        .any(|stage| follows.get(..stage.len()).is_some_and(|text| text.eq_ignore_ascii_case(stage)));
    let is_version = is_before_release || is_version(hay, start, octets) || is_release(hay, start, at, octets[0]);
    (!is_nobodys && !is_joined(hay, at) && !is_version).then_some(start..at)
}

/// What a version is called; what else has numbers with dots; and programs, whose logs begin lines with addresses too.
const VERSIONS: [&[u8]; 3] = [b"version", b"ver", b"release"];
const NUMBERED: [&[u8]; 14] = [
    b"section",
    b"sections",
    b"chapter",
    b"clause",
    b"paragraph",
    b"firmware",
    b"fw",
    b"bios",
    b"build",
    b"revision",
    b"rev",
    b"patch",
    b"oid",
    b"oids",
];
const PROGRAMS: [&[u8]; 13] = [
    b"nginx", b"apache", b"openssl", b"kernel", b"driver", b"plugin", b"sdk", b"chrome", b"firefox", b"safari",
    b"edge", b"opera", b"java",
];
/// Versions begin with a smaller number.
const RELEASE_PART_MIN: u8 = 30;
/// How far back it is read that a program is another than before, in bytes.
const RELEASE_BYTES_MAX: usize = 48;
/// How far back the word is read that says what stands there, in bytes.
const VERSION_WORD_BYTES_MAX: usize = 20;

/// True for a version of a program by what is written around it: `app-6.5.29.6.jar`, `pkg==2.9.3.1`, `upgraded from 2.9.3.1`.
fn is_release(hay: &[u8], start: usize, end: usize, first: u8) -> bool {
    const ENDINGS: [&[u8]; 9] = [b".jar", b".so", b".whl", b".deb", b".rpm", b".zip", b".tar", b".tgz", b"_amd64"];
    const HOSTS: &str = "ip ipv4 addr address host server client dns node peer src dst remote";
    const CHANGES: &str = "upgrad updated downgrad bumped";
    if first >= RELEASE_PART_MIN {
        return false;
    }
    let follows = hay.get(end..).unwrap_or_default();
    let text = hay.get(start.saturating_sub(RELEASE_BYTES_MAX)..start).unwrap_or_default();
    let lower = text.to_ascii_lowercase();
    let line = lower.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let has_host = line
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| HOSTS.split(' ').any(|host| host.as_bytes() == word));
    let is_changed = !has_host && CHANGES.split(' ').any(|word| memchr::memmem::find(line, word.as_bytes()).is_some());
    let is_from_to = line.ends_with(b"from ") || line.ends_with(b"to ");
    if ENDINGS.iter().any(|ending| follows.starts_with(ending)) || lower.ends_with(b"==") || is_changed && is_from_to {
        return true;
    }
    // Many hosts have addresses that begin with 10, and are called by them.
    let Some((sign @ (b'-' | b'_' | b'/'), name)) = text.split_last() else { return false };
    let (ahead, word) = last_word(name);
    if word.is_empty() || name.last().is_some_and(|byte| !byte.is_ascii_alphabetic()) || first == 10 {
        return false;
    }
    // So browsers and their kin call themselves.
    let is_product = word.first().is_some_and(u8::is_ascii_uppercase)
        && ahead.last().is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'(;".contains(byte));
    let lower = word.to_ascii_lowercase();
    if *sign == b'/' { is_product } else { !HOSTS.split(' ').any(|host| host.as_bytes() == lower) }
}

/// True for the four parts of a version: `Chrome/120.0.0.0`, `version 1.2.3.4`; and of sections and identifiers of objects.
fn is_version(hay: &[u8], start: usize, octets: [u8; 4]) -> bool {
    let before = hay.get(start.saturating_sub(VERSION_WORD_BYTES_MAX)..start).unwrap_or_default().to_ascii_lowercase();
    let signs = |byte: &u8| byte.is_ascii_punctuation() || byte.is_ascii_whitespace();
    let word_end = before.len() - before.iter().rev().take_while(|byte| signs(byte)).count();
    let text = before.get(..word_end).unwrap_or_default();
    if text.ends_with("\u{a7}".as_bytes()) && octets[0] < 100 {
        return true;
    }
    let letters = text.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = text.get(text.len() - letters..).unwrap_or_default();
    if word_end == before.len() {
        return false;
    }
    // Versions begin with small numbers, most hosts with greater ones.
    let is_program = PROGRAMS.contains(&word) && octets[0] < 10;
    if let [.., product, b'/'] = before.as_slice() {
        return is_program || product.is_ascii_alphabetic() && octets[2] == 0 && octets[3] == 0;
    }
    // `appVersion` is one as well.
    let is_called_so = VERSIONS.contains(&word) || word.ends_with(b"version") || word.ends_with(b"release");
    is_called_so || is_program || NUMBERED.contains(&word) && octets[0] < 100
}

/// The IPv6 address that begins at `start`; at least three groups are written out, or two of which the first has a letter,
/// as no year has; `fe80::1` many hosts have.
pub(super) fn ipv6(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if before(hay, start) == Some(b':') && !is_label(hay, start - 1) {
        return None;
    }
    let end = run(hay, start, IPV6_BYTES_MAX + 1, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let text = std::str::from_utf8(hay.get(start..end)?).ok()?.trim_end_matches('.');
    let text = if text.ends_with("::") { text } else { text.trim_end_matches(':') };
    text.parse::<Ipv6Addr>().ok()?;
    let groups = text.split(':').filter(|group| !group.is_empty()).count();
    let has_letter = text.bytes().take(4).any(|byte| byte.is_ascii_alphabetic());
    let is_of_link = text.get(..4).is_some_and(|group| group.eq_ignore_ascii_case("fe80"));
    let end = start + text.len();
    ((groups >= 3 || groups == 2 && has_letter && !is_of_link) && !is_alnum_at(hay, end)).then_some(start..end)
}

fn is_letter_at(hay: &[u8], at: usize) -> bool {
    hay.get(at).is_some_and(u8::is_ascii_alphabetic)
}

/// True if the number before `end` goes on with a letter, a digit or a fraction.
fn is_joined(hay: &[u8], end: usize) -> bool {
    is_alnum_at(hay, end) || (hay.get(end) == Some(&b'.') && is_digit_at(hay, end + 1))
}

/// True if more follows after a dash.
fn is_chained(hay: &[u8], end: usize) -> bool {
    hay.get(end) == Some(&b'-') && is_alnum_at(hay, end + 1)
}

/// True if the number at `start` is the next link after a digit and a dash, or a fraction.
fn is_continued(hay: &[u8], start: usize) -> bool {
    let is_next = before(hay, start) == Some(b'-') && start >= 2 && is_digit_at(hay, start - 2);
    is_next || is_fraction(hay, start)
}

/// True if the digits at `start` follow a decimal point.
fn is_fraction(hay: &[u8], start: usize) -> bool {
    before(hay, start) == Some(b'.') && start >= 2 && is_digit_at(hay, start - 2)
}

/// True if a group of a UUID begins at `start`.
fn is_in_uuid(hay: &[u8], start: usize) -> bool {
    [0, 9, 14, 19, 24].iter().any(|place| {
        let uuid = start.checked_sub(*place).and_then(|first| hay.get(first..first + 36));
        uuid.is_some_and(|uuid| {
            uuid.iter().enumerate().all(|(place, byte)| match place {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;
    use crate::detect::finder::tests::{check_found, check_left};

    /// What must never be taken for anything.
    const PLAIN: &[&str] = &[
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111-1111-4111-8111-111111111111",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "d41d8cd98f00b204e9800998ecf8427e",
        "4a5c1e7",
        "1732394202",
        "1732394202123",
        "1732394202123456789",
        "2026-11-23T20:36:42.123456Z",
        "2026-11-23 20:36:42",
        "20261123203642",
        "ORD-2026-000123",
        "978-3-16-148410-0",
        "9783161484100",
        "4006381333931",
        "1.2.3",
        "v10.12.1-rc.3",
        "3.141592653589793",
        "{\"a\":0.4111111111111111,\"b\":[1,2,3]}",
    ];

    #[test]
    fn leaves_plain_numbers_to_themselves() {
        for detector in Detector::ALL {
            check_left(detector, PLAIN);
        }
    }

    #[test]
    fn finds_cards() {
        check_found(
            Detector::PaymentCard,
            &[
                ("4111111111111111", "4111111111111111"),
                ("pay 5555-5555-5555-4444 now", "5555-5555-5555-4444"),
                ("3782 822463 10005", "3782 822463 10005"),
                ("30569309025904", "30569309025904"),
                ("6011111111111117,", "6011111111111117"),
                ("card_3530111333300000", "3530111333300000"),
                ("4111 1111 1111 1111 12/26", "4111 1111 1111 1111"),
                ("order 12 4111111111111111", "4111111111111111"),
                ("2223003122003222", "2223003122003222"),
                ("\\n4111111111111111", "4111111111111111"),
                ("{\"card\":4111111111111111.0}", "4111111111111111.0"),
                ("4111.1111.1111.1111.", "4111.1111.1111.1111"),
                ("5019717010103742", "5019717010103742"),
                ("6062826786276634", "6062826786276634"),
                ("6362970000457013", "6362970000457013"),
                ("VISA 4111 1111 1111 1111", "4111 1111 1111 1111"),
                ("of 2024 4111 1111 1111 1111", "4111 1111 1111 1111"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_a_card() {
        check_left(
            Detector::PaymentCard,
            &[
                "4111111111111112",
                "5555-5555-5555-4445",
                "9999999999999995",
                "41111111111111111111",
                "a4111111111111111",
                "4111111111111111a",
                "4111111111111111.5",
                "4111111111111111.05",
                "4111111111111111.0.1",
                "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
                "4111  1111  1111  1111",
                "4111.1111.1111.1112",
                "4111.1111.1111.1111.2",
                "1.4111.1111.1111.1111",
                "4111.1111 1111 1111",
                "1111111111111117",
                "0000000000000000",
                "DE92 5364 5637 5314 1965 29",
                "1234-4111-1111-1111-1111",
            ],
        );
    }

    #[test]
    fn finds_social_security_numbers() {
        check_found(
            Detector::UsSsn,
            &[
                ("123-45-6789", "123-45-6789"),
                ("ssn: 123 45 6789.", "123 45 6789"),
                ("{\"s\":\"001-01-0001\"}", "001-01-0001"),
                ("ssn_899-99-9999", "899-99-9999"),
                ("912-73-1234", "912-73-1234"),
                ("itin=912731234", "912731234"),
                ("SSN 123.45.6789", "123.45.6789"),
                ("SSN-123-45-6789", "123-45-6789"),
                ("order 7 of 123-45-6789", "123-45-6789"),
                ("{\"ref\":\"abc\",\"ssn\":\"123-45-6789\"}", "123-45-6789"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_a_social_security_number() {
        check_left(
            Detector::UsSsn,
            &[
                "123456789",
                "000-45-6789",
                "666-45-6789",
                "900-45-6789",
                "123-00-6789",
                "123-45-0000",
                "123-45 6789",
                "123-45-67890",
                "123-45-6789-0",
                "9-123-45-6789",
                "1.123-45-6789",
                "078-05-1120",
                "219-09-9999",
                "Part no. 551-45-7481",
                "SKU 123-45-6789",
                "item #273-45-8244",
                "{\"partNumber\":\"551-45-7481\"}",
                "P/N 551-45-7481",
                "HC-123-45-1724",
                "123-45-1724/B",
                "978 65 8747 624 7",
            ],
        );
    }

    #[test]
    fn finds_phone_numbers() {
        check_found(
            Detector::PhoneNumber,
            &[
                ("+14155550123", "+14155550123"),
                ("+1 (415) 555-0123 2 times", "+1 (415) 555-0123"),
                ("tel:+44 20 7946 0958, ext", "+44 20 7946 0958"),
                ("+44 20 7946 0958 2026-01-01", "+44 20 7946 0958"),
                ("+44 (0)20 7946 0958", "+44 (0)20 7946 0958"),
                ("call (415) 555-0123!", "(415) 555-0123"),
                ("415-555-0123", "415-555-0123"),
                ("1-415-555-0123", "1-415-555-0123"),
                ("415.555.0132", "415.555.0132"),
                ("phone: 13800138000", "13800138000"),
                ("my phone is 4155550123", "4155550123"),
                ("Call 020 7946 0958", "020 7946 0958"),
                ("WhatsApp 07700 900123", "07700 900123"),
                ("Kontakt: 0171 1234567", "0171 1234567"),
                ("m\u{f3}vil: 612 345 678", "612 345 678"),
                ("portable n\u{b0} 030 23125-055", "030 23125-055"),
                ("+298 312345", "+298 312345"),
                ("+299321234", "+299321234"),
                ("+49 (0) 89 / 636-48018", "+49 (0) 89 / 636-48018"),
                ("+33 06 12 34 56 78", "+33 06 12 34 56 78"),
                ("phone=%2B12125550123&x", "%2B12125550123"),
                ("0049 171 5550123", "0049 171 5550123"),
                ("00 33 6 12 34 56 78", "00 33 6 12 34 56 78"),
                ("1 212 555 0123", "1 212 555 0123"),
                ("0171/5550123 or later", "0171/5550123"),
                ("07700 900123", "07700 900123"),
                ("06 12 34 56 78", "06 12 34 56 78"),
                ("01.42.68.53.00", "01.42.68.53.00"),
                ("03-1234-5678", "03-1234-5678"),
                ("(02) 9876 5432", "(02) 9876 5432"),
                ("(11) 91234-5678", "(11) 91234-5678"),
                ("celular: 11912345678", "11912345678"),
                ("Ph 02 9876 5432", "02 9876 5432"),
                ("homeTel: 2125550123", "2125550123"),
                ("0151 23456789", "0151 23456789"),
                ("0151/23456789", "0151/23456789"),
                ("(0176) 23456789", "(0176) 23456789"),
                ("Call me at (415)555-0142x33", "(415)555-0142"),
                ("415-555-0142x33", "415-555-0142"),
                ("Mobilfunk: 3477424190", "3477424190"),
                ("order 17 shipped, call 415-555-0123", "415-555-0123"),
                ("Kunden-Nr. 4711, privat 415-555-0123", "415-555-0123"),
                ("17 0049 171 5550123", "0049 171 5550123"),
                ("\u{624b}\u{673a}\u{ff1a}13800138000", "13800138000"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_a_phone_number() {
        check_left(
            Detector::PhoneNumber,
            &[
                "4155550123",
                "115-555-0123",
                "415-155-0123",
                "911-555-0123",
                "415-555-01234",
                "415-555-0123-7",
                "7-415-555-0123",
                "+1234567890123456",
                "GMT+0200 2026-11-23",
                "+100",
                "+1,234,567,890",
                "a+14155550123",
                "f(415) 555-0123",
                "x1+1234567890",
                "delta +4500000000",
                "+999 123 456 789",
                "+1 000 000 0000",
                "+44 123456",
                "415.155.0132",
                "415.555.0132.7",
                "phone: 1732394202",
                "phone: 1732394202123",
                "mobile 10000000000",
                "recall 01711234567",
                "lot 0171 1234567",
                "0171 1234567 89",
                "AWB 020-60562716",
                "(020) 555-0123",
                "0001 0002 0003",
                "01 02 03 04 05 06",
                "06-07-2024",
                "0171 5550123:",
                "00112233445566778899",
                "+33 1 42 68 53",
                "invoice 006587718170",
                "+49 1234",
                "call 20261126",
                "Call 01.02.2026 14:00",
                "contact 01/02/2026 1430",
                "called 0171 times",
                "Order No. 415-555-2060",
                "SKU 555-219-7116",
                "order number (415) 555-3783",
                "Bestellnummer 0171 5558155",
                "Artikelnr. 06 12 47 87 60",
                "Kundennr. 030 1234567",
                "commande n\u{b0} 06 12 34 56 78",
                "pedido 0612 345 678",
                "0181 23456789",
                "24 42 00 88 31 47 55 35 73 97",
            ],
        );
    }

    #[test]
    fn finds_network_addresses() {
        check_found(
            Detector::IpAddress,
            &[
                ("10.0.0.1", "10.0.0.1"),
                ("from 203.0.113.77:443.", "203.0.113.77"),
                ("http://192.168.1.20/x", "192.168.1.20"),
                ("192.168.0.0/16", "192.168.0.0"),
                ("myhost/10.20.30.40", "10.20.30.40"),
                ("[2001:db8::8a2e:370:7334]:80", "2001:db8::8a2e:370:7334"),
                ("fd12:3456:789a:1::1.", "fd12:3456:789a:1::1"),
                ("2a00::1", "2a00::1"),
                ("firmware 192.168.1.20", "192.168.1.20"),
                ("nginx 203.0.113.7", "203.0.113.7"),
                ("host-10.1.2.3", "10.1.2.3"),
                ("client_ip_5.6.7.8", "5.6.7.8"),
                ("https://whois.example/8.8.8.8", "8.8.8.8"),
                ("login from 8.8.4.4 to it", "8.8.4.4"),
                ("updated the DNS from 8.8.4.4", "8.8.4.4"),
                ("server-203.0.113.7.jar", "203.0.113.7"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_a_network_address() {
        check_left(
            Detector::IpAddress,
            &[
                "1.2.3.4.5",
                "v1.2.3.4",
                "1.2.3.4-beta",
                "\u{a7} 1.2.3.4",
                "version 1.2.3.4",
                "<Version>1.2.3.4",
                "section 3.2.1.4",
                "firmware 2.14.3.7",
                "nginx 1.24.0.2",
                "nginx/1.24.0.2",
                "OID 1.3.6.1",
                "2026::1",
                "fe80::1",
                "Chrome/120.0.0.0",
                "app-6.5.29.6.jar",
                "libfoo.6.5.29.6.so",
                "pkg==2.9.3.1",
                "foo_2.9.3.1_amd64.deb",
                "upgraded from 2.9.3.1 to 2.9.4.2",
                "Mozilla/5.0 YaBrowser/24.1.0.154",
                "256.1.1.1",
                "01.2.3.4",
                "127.0.0.1",
                "0.0.0.0",
                "255.255.255.0",
                "12:30:45",
                "aa:bb:cc:dd:ee:ff",
                "dead::beef",
                "std::fd12::x",
                "2026:11",
            ],
        );
    }
}
