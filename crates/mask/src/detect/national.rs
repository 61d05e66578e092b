//! Numbers that states and banks give: of persons, of firms and of banks.
//!
//! Knows how each is written and its checksum. A form that many other numbers have as well counts only behind a word that
//! names it, or where it is all that there is.

use std::ops::Range;

use super::Detector;
use super::bytes::{before, is_alnum_at, is_digit_at, is_label};

/// How far before a number a word that names it may stand, in bytes.
const CONTEXT_BYTES_MAX: usize = 40;
/// The longest of these numbers with all that may part its digits, in bytes.
const FORM_BYTES_MAX: usize = 28;
/// How many signs may stand on either side of a number that is all that there is.
const AROUND_BYTES_MAX: usize = 4;

/// Where a number counts.
#[derive(Clone, Copy)]
enum Where {
    /// Anywhere: its form and its checksum are its own.
    Anywhere,
    /// Behind one of these words.
    Behind(&'static [&'static str]),
    /// Behind one of these words, or as the whole of a value.
    AloneOrBehind(&'static [&'static str]),
    /// Anywhere but behind one of the first of these words, unless one of the others stands there too.
    Unless(&'static [&'static str], &'static [&'static str]),
}

/// One kind of number.
struct Form {
    detector: Detector,
    /// Its form: `9` stands for a digit, `A` for a capital, `*` for either, `a` for a small letter, `~` for a space, a dash
    /// or nothing, anything else for itself.
    form: &'static str,
    is_valid: fn(&[u8]) -> bool,
    counts: Where,
}

const fn person(form: &'static str, is_valid: fn(&[u8]) -> bool, counts: Where) -> Form {
    Form { detector: Detector::NationalId, form, is_valid, counts }
}

const fn firm(form: &'static str, is_valid: fn(&[u8]) -> bool, counts: Where) -> Form {
    Form { detector: Detector::TaxId, form, is_valid, counts }
}

const fn social(form: &'static str, is_valid: fn(&[u8]) -> bool, counts: Where) -> Form {
    Form { detector: Detector::UsSsn, form, is_valid, counts }
}

const fn bank(form: &'static str, is_valid: fn(&[u8]) -> bool, counts: Where) -> Form {
    Form { detector: Detector::BankCode, form, is_valid, counts }
}

/// Longer forms before the shorter ones that they begin with.
static FORMS: &[Form] = &[
    // Brazil: of persons and of firms.
    person("999.999.999-99", is_cpf, Where::Anywhere),
    person("99999999999", is_cpf, Where::AloneOrBehind(&["cpf"])),
    person("999999999-99", is_cpf, Where::AloneOrBehind(&["cpf"])),
    firm("**.***.***/****-99", is_cnpj, Where::Anywhere),
    firm("99999999/9999-99", is_cnpj, Where::Anywhere),
    firm("99999999999999", is_cnpj, Where::Behind(&["cnpj"])),
    firm("99999999999999", is_cnpj_of_office, Where::AloneOrBehind(&["cnpj"])),
    // India: Aadhaar and the permanent account number.
    person("9999~9999~9999", is_aadhaar, Where::Behind(AADHAAR)),
    person("9999-9999-9999", is_aadhaar, Where::AloneOrBehind(AADHAAR)),
    person("9999 9999 9999", is_aadhaar, Where::Anywhere),
    person("AAAAA9999A", is_pan_of_no_year, Where::Anywhere),
    person("AAAAA9999A", is_pan, Where::Behind(&["pan", "permanent account"])),
    // Spain, Italy, France.
    person("99999999~A", is_dni, Where::Anywhere),
    person("99.999.999~A", is_dni, Where::Anywhere),
    person("99999999~a", is_dni, Where::Behind(&["dni", "nif"])),
    person("A~9999999~A", is_nie, Where::Anywhere),
    person("A-9999999A", is_nie, Where::Anywhere),
    person("A9999999-A", is_nie, Where::Anywhere),
    person("a~9999999~a", is_nie, Where::Behind(&["nie", "nif"])),
    person("AAAAAA**A**A***A", is_codice_fiscale, Where::Anywhere),
    person("aaaaaa99a99a999a", is_codice_fiscale, Where::Anywhere),
    person("AAA AAA 99A99 A999A", is_codice_fiscale, Where::Anywhere),
    person("9~99~99~9*~999~999~99", is_nir, Where::Anywhere),
    person("999999*999999 99", is_nir, Where::Anywhere),
    person("9 99999* 999999 99", is_nir, Where::Anywhere),
    person("9 99 99 9* 999 999-99", is_nir, Where::Anywhere),
    person("9 99 99 9* 999 999 / 99", is_nir, Where::Anywhere),
    // Germany, the Netherlands, Belgium, Poland, Sweden, Portugal.
    person("99~999~999~999", is_steuer_id, Where::AloneOrBehind(STEUER)),
    person("99/999/999/999", is_steuer_id, Where::AloneOrBehind(STEUER)),
    person("999~999~999", is_bsn, Where::Behind(BSN)),
    person("9999~99~999", is_bsn, Where::Behind(BSN)),
    person("99.99.99-999.99", is_belgian, Where::Anywhere),
    person("99.99.99-999-99", is_belgian, Where::Anywhere),
    person("99-99-99-999-99", is_belgian, Where::Anywhere),
    person("99999999999", is_belgian, Where::AloneOrBehind(BELGIAN)),
    person("99 99 99 999 99", is_belgian, Where::AloneOrBehind(BELGIAN)),
    person("999999-999-99", is_belgian, Where::AloneOrBehind(BELGIAN)),
    person("999999-999.99", is_belgian, Where::AloneOrBehind(BELGIAN)),
    person("99999999999", is_pesel, Where::AloneOrBehind(&["pesel"])),
    person("99999999-9999", is_personnummer, Where::Anywhere),
    // Orders are numbered by days too.
    person("999999-9999", is_personnummer, Where::Unless(ORDER, PERSONNUMMER)),
    person("999999+9999", is_personnummer, Where::Unless(ORDER, PERSONNUMMER)),
    person("9999999999", is_personnummer, Where::Behind(PERSONNUMMER)),
    person("999999999999", is_personnummer, Where::Behind(PERSONNUMMER)),
    person("99999999 9999", is_personnummer, Where::Behind(PERSONNUMMER)),
    // Minutes are written alike in this century.
    person("999999999999", is_personnummer_of_1900, Where::AloneOrBehind(PERSONNUMMER)),
    person("999~999~999", is_nif, Where::Behind(NIF)),
    // The United Kingdom, Canada, Australia.
    person("AA~99~99~99~A", is_nino, Where::Anywhere),
    person("AA 999999 A", is_nino, Where::Anywhere),
    // No digit checks these: they are told from other numbers by their name.
    person("AA 999999A", is_nino, Where::Behind(NINO)),
    person("AA999999 A", is_nino, Where::Behind(NINO)),
    person("aa~99~99~99~a", is_nino, Where::Behind(NINO)),
    person("aa 999999 a", is_nino, Where::Behind(NINO)),
    // North American phone numbers are parted alike.
    person("999 999 9999", is_nhs_of_no_phone, Where::Unless(PHONE, NHS)),
    person("999 999 9999", is_nhs, Where::Behind(NHS)),
    person("999~999~9999", is_nhs, Where::Behind(NHS)),
    person("999~999~999", is_sin, Where::Behind(&["sin", "social insurance", "nas", "assurance sociale"])),
    person("999~999~999", is_tfn, Where::Behind(&["tfn", "tax file"])),
    person("9999~99999~9", is_medicare, Where::Behind(&["medicare"])),
    person("9999 99999 9", is_medicare, Where::Anywhere),
    // With the place of the person on the card.
    person("9999 99999 9/9", is_medicare, Where::Anywhere),
    // The United States: of persons without dashes, of employers, and of banks.
    social("999999999", is_ssn, Where::Behind(SSN)),
    social("999.99.9999", is_ssn, Where::Behind(SSN)),
    social("999999999", is_itin, Where::Behind(&["itin", "individual taxpayer"])),
    firm("99-9999999", is_ein, Where::AloneOrBehind(&["tin", "taxpayer identification", "tax identification"])),
    firm("99-9999999", is_ein, Where::Behind(EIN)),
    firm("999999999", is_ein, Where::Behind(EIN)),
    bank("999999999", is_aba, Where::Behind(&["aba", "routing", "rtn", "transit"])),
    bank("AAAAAA**", is_bic, Where::Behind(BIC)),
    bank("AAAAAA*****", is_bic, Where::Behind(BIC)),
    // Taxes of firms, where no country stands before the number.
    firm("99999999999", is_partita_iva, Where::Behind(&["partita iva", "p iva", "piva"])),
    firm("9999999999", is_nip, Where::Behind(&["nip"])),
    firm("999-999-99-99", is_nip, Where::Behind(&["nip"])),
    firm("999-99-99-999", is_nip, Where::Behind(&["nip"])),
    firm("A~9999999*", is_spanish_firm, Where::Behind(&["cif", "nif"])),
    firm("A~99999999", is_spanish_firm, Where::Behind(&["cif", "nif"])),
    // The United Kingdom has kept its own.
    firm("GB~999999999", is_vat, Where::Anywhere),
    firm("GB 999 9999 99", is_vat, Where::Anywhere),
    firm("XI~999999999", is_vat, Where::Anywhere),
    firm("XI 999 9999 99", is_vat, Where::Anywhere),
    // Value added tax in the European Union.
    firm("ATA~99999999", is_vat, Where::Anywhere),
    firm("AT A99999999", is_vat, Where::Anywhere),
    firm("BE~9999999999", is_vat, Where::Anywhere),
    firm("BE~9999.999.999", is_vat, Where::Anywhere),
    firm("BE 9999 999 999", is_vat, Where::Anywhere),
    firm("DE~999999999", is_vat, Where::Anywhere),
    firm("DE~999 999 999", is_vat, Where::Anywhere),
    firm("DK~99999999", is_vat, Where::Anywhere),
    firm("DK 99 99 99 99", is_vat, Where::Anywhere),
    firm("EL~999999999", is_vat, Where::Anywhere),
    firm("FI~99999999", is_vat, Where::Anywhere),
    firm("FR~99~999999999", is_vat, Where::Anywhere),
    firm("FR~99~999~999~999", is_vat, Where::Anywhere),
    firm("FR 99999999999", is_vat, Where::Anywhere),
    firm("FR-99999999999", is_vat, Where::Anywhere),
    firm("FR99 999999999", is_vat, Where::Anywhere),
    firm("FR99-999999999", is_vat, Where::Anywhere),
    firm("FR99 999 999 999", is_vat, Where::Anywhere),
    firm("IT~99999999999", is_vat, Where::Anywhere),
    firm("LU~99999999", is_vat, Where::Anywhere),
    firm("NL~999999999A99", is_vat, Where::Anywhere),
    firm("PL~9999999999", is_vat, Where::Anywhere),
    firm("PT~999999999", is_vat, Where::Anywhere),
    firm("SE~999999999999", is_vat, Where::Anywhere),
    firm("ES~*9999999*", is_vat, Where::Anywhere),
    firm("ES~*-9999999*", is_vat, Where::Anywhere),
    firm("CY~99999999A", is_vat, Where::Anywhere),
    firm("EE~999999999", is_vat, Where::Anywhere),
    firm("IE~9999999A", is_vat, Where::Anywhere),
    firm("IE~9999999AA", is_vat, Where::Anywhere),
    firm("LT~999999999", is_vat, Where::Anywhere),
    firm("LT~999999999999", is_vat, Where::Anywhere),
    firm("MT~99999999", is_vat, Where::Anywhere),
    // Behind these letters days may stand too.
    firm("HR~99999999999", is_vat_of_no_day, Where::Anywhere),
    firm("LV~99999999999", is_vat_of_no_day, Where::Anywhere),
    firm("SK~9999999999", is_vat_of_no_day, Where::Anywhere),
    // Numbers of goods begin with these letters too.
    firm("BG~999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("BG~9999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("CZ~99999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("CZ~999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("CZ~9999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("HR~99999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("HU~99999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("LV~99999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("RO~999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("RO~9999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("RO~99999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("RO~999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("RO~9999999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("SI~99999999", is_vat, Where::AloneOrBehind(VAT)),
    firm("SK~9999999999", is_vat, Where::AloneOrBehind(VAT)),
];

const BIC: &[&str] = &["bic", "bicfi", "swift", "bank identifier code"];
const AADHAAR: &[&str] = &["aadhaar", "aadhar", "adhaar", "uid", "uidai", "\u{906}\u{927}\u{93e}\u{930}"];
const STEUER: &[&str] = &[
    "steuer",
    "steuerid",
    "steueridnr",
    "steuernummer",
    "steueridentifikationsnummer",
    "idnr",
    "identifikationsnr",
    "identifikationsnummer",
    "tin",
    "tax id",
];
const BSN: &[&str] = &["bsn", "burgerservicenummer", "sofinummer", "sofi"];
const BELGIAN: &[&str] = &[
    "nrn",
    "rrn",
    "rijksregisternummer",
    "rijksregisternr",
    "rijksregister",
    "registre national",
    "num\u{e9}ro national",
    "numero national",
    "niss",
    "insz",
];
const NIF: &[&str] = &["nif", "contribuinte", "identifica\u{e7}\u{e3}o fiscal", "n\u{fa}mero fiscal", "numero fiscal"];
pub(super) const SSN: &[&str] = &["ssn", "social security", "soc sec"];
const EIN: &[&str] = &["ein", "fein", "employer identification", "employer id", "tax id"];
const NINO: &[&str] = &["nino", "national insurance", "ni number", "ni no"];
const NHS: &[&str] = &["nhs"];
const PHONE: &[&str] = &["phone", "telephone", "tel", "mobile", "cell", "call", "fax"];
/// What is numbered by its day, and `no` right before a number.
const ORDER: &[&str] = &[
    "order",
    "orders",
    "orderno",
    "ordernr",
    "ordernummer",
    "invoice",
    "invoices",
    "faktura",
    "fakturanr",
    "fakturanummer",
    "receipt",
    "ticket",
    "article",
    "batch",
    "shipment",
    "no ",
    "no.",
    "no:",
    "no=",
];
const PERSONNUMMER: &[&str] =
    &["personnummer", "personnr", "persnr", "pnr", "samordningsnummer", "samordningsnr", "personal identity number"];
/// What value added tax is called where these numbers are given.
const VAT: &[&str] = &[
    "vat",
    "tax",
    "ust",
    "tva",
    "iva",
    "btw",
    "moms",
    "dph",
    "di\u{10d}",
    "dic",
    "ddv",
    "pdv",
    "oib",
    "cui",
    "cif",
    "pvn",
    "ad\u{f3}sz\u{e1}m",
    "eik",
    "\u{434}\u{434}\u{441}",
];

/// The number that begins at `start`, and what it is; the longest of those that are valid.
pub(super) fn number(hay: &[u8], start: usize) -> Option<(Detector, Range<usize>)> {
    let is_next = matches!(before(hay, start), Some(b'-' | b'.' | b'/')) && start >= 2 && is_alnum_at(hay, start - 2);
    if is_next || before(hay, start).is_some_and(|byte| byte == b'+') {
        return None;
    }
    // The last groups of a longer number are none by themselves.
    if before(hay, start) == Some(b' ') && start >= 2 && is_digit_at(hay, start - 2) && is_grouped(hay, start) {
        return None;
    }
    let first = *hay.get(start)?;
    let fits = |form: &&Form| match form.form.as_bytes().first() {
        Some(b'9') => first.is_ascii_digit(),
        Some(b'A') if form.form.as_bytes().get(1) != Some(&b'T') => first.is_ascii_uppercase(),
        Some(b'a') => first.is_ascii_lowercase(),
        Some(b'*') => first.is_ascii_uppercase() || first.is_ascii_digit(),
        Some(sign) => *sign == first,
        None => false,
    };
    // One for all forms: texts that are full of digits ask for each of them at every digit.
    let mut plain = Vec::with_capacity(FORM_BYTES_MAX);
    let found = FORMS.iter().filter(fits).filter_map(|form| {
        let end = matched(form.form.as_bytes(), hay, start, &mut plain)?;
        let counts = (form.is_valid)(&plain)
            && match form.counts {
                Where::Anywhere => true,
                Where::Behind(words) => is_behind(hay, start, words),
                Where::AloneOrBehind(words) => is_alone(hay, start..end) || is_behind(hay, start, words),
                Where::Unless(words, others) => !is_behind(hay, start, words) || is_behind(hay, start, others),
            };
        counts.then_some((form.detector, start..end))
    });
    found.max_by_key(|(_, range)| range.end)
}

/// Whether a number is the whole of a value, but for quotation marks, brackets and the like.
fn is_alone(hay: &[u8], number: Range<usize>) -> bool {
    let is_around = |text: Option<&[u8]>| {
        let text = text.unwrap_or_default();
        let is_sign = |byte: &u8| b"\"'()[]{}<>.,;".contains(byte) || byte.is_ascii_whitespace();
        text.len() <= AROUND_BYTES_MAX && text.iter().all(is_sign)
    };
    is_around(hay.get(..number.start)) && is_around(hay.get(number.end..))
}

/// Whether four digits stand before the space before `start`, and four behind it: a group of a card's number.
fn is_grouped(hay: &[u8], start: usize) -> bool {
    let is_group = |from: usize| hay.get(from..from + 4).is_some_and(|group| group.iter().all(u8::is_ascii_digit));
    start >= 5 && is_group(start - 5) && is_group(start) && start.checked_sub(6).is_none_or(|at| !is_alnum_at(hay, at))
}

/// Where a form ends that begins at `start`; in `plain` its letters, as capitals, and its digits alone.
fn matched(form: &[u8], hay: &[u8], start: usize, plain: &mut Vec<u8>) -> Option<usize> {
    plain.clear();
    let mut at = start;
    // What parts the digits parts all of them.
    let mut parted = None;
    for sign in form {
        let byte = hay.get(at).copied();
        let is_there = match (sign, byte) {
            (b'9', Some(byte)) => byte.is_ascii_digit(),
            (b'A', Some(byte)) => byte.is_ascii_uppercase(),
            (b'a', Some(byte)) => byte.is_ascii_lowercase(),
            (b'*', Some(byte)) => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            (b'~', byte) => {
                let separator = byte.filter(|byte| matches!(byte, b' ' | b'-' | b'.'));
                if *parted.get_or_insert(separator) != separator {
                    return None;
                }
                at += usize::from(separator.is_some());
                continue;
            }
            (sign, Some(byte)) => *sign == byte,
            (_, None) => false,
        };
        if !is_there {
            return None;
        }
        plain.extend(byte.filter(u8::is_ascii_alphanumeric).map(|byte| byte.to_ascii_uppercase()));
        at += 1;
    }
    let goes_on = is_alnum_at(hay, at)
        || matches!(hay.get(at), Some(b'-' | b'.' | b'/')) && is_alnum_at(hay, at + 1)
        || hay.get(at) == Some(&b' ') && is_digit_at(hay, at + 1) && form.contains(&b' ');
    (!goes_on).then_some(at)
}

/// What stands before a position, in small letters and with its words apart: `taxFile_number` is `tax file number`.
fn context(hay: &[u8], start: usize) -> Vec<u8> {
    let text = hay.get(start.saturating_sub(CONTEXT_BYTES_MAX)..start).unwrap_or_default();
    let mut words = Vec::with_capacity(2 * text.len());
    let mut last = 0_u8;
    for (place, byte) in text.iter().enumerate() {
        let is_before_small = text.get(place + 1).is_some_and(u8::is_ascii_lowercase);
        // `NHSNumber` is two words as well.
        let begins_word = last.is_ascii_lowercase() || last.is_ascii_uppercase() && is_before_small;
        if begins_word && byte.is_ascii_uppercase() {
            words.push(b' ');
        }
        words.push(if matches!(byte, b'_' | b'-') { b' ' } else { byte.to_ascii_lowercase() });
        last = *byte;
    }
    words
}

/// Whether one of these words stands before a position, by itself.
pub(super) fn is_behind(hay: &[u8], start: usize, words: &[&str]) -> bool {
    let plain = hay.get(start.saturating_sub(CONTEXT_BYTES_MAX)..start).unwrap_or_default().to_ascii_lowercase();
    // Capitals part some words, and others not: `taxFileNumber`, `IdNr`.
    // Points stand in `N.I.F.` and `soc. sec.`
    let dotless: Vec<u8> = plain.iter().copied().filter(|byte| *byte != b'.').collect();
    has_word(&plain, words) || has_word(&context(hay, start), words) || has_word(&dotless, words)
}

fn has_word(text: &[u8], words: &[&str]) -> bool {
    words.iter().any(|word| {
        let found = memchr::memmem::find_iter(text, word.as_bytes());
        found.into_iter().any(|at| {
            let stands_alone = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_lowercase());
            stands_alone(at.checked_sub(1).and_then(|at| text.get(at))) && stands_alone(text.get(at + word.len()))
        })
    })
}

fn digits(plain: &[u8]) -> impl DoubleEndedIterator<Item = u32> + ExactSizeIterator + '_ {
    plain.iter().map(|byte| u32::from(byte.saturating_sub(b'0')))
}

fn digit(plain: &[u8], place: usize) -> u32 {
    plain.get(place).map_or(0, |byte| u32::from(byte.saturating_sub(b'0')))
}

fn weighed(plain: &[u8], weights: &[u32]) -> u32 {
    digits(plain).zip(weights).map(|(digit, weight)| digit * weight).sum()
}

fn value(plain: &[u8]) -> u64 {
    digits(plain).fold(0, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit)))
}

fn is_one_digit(plain: &[u8]) -> bool {
    plain.windows(2).all(|pair| pair.first() == pair.last())
}

fn is_luhn(plain: &[u8]) -> bool {
    let sum: u32 = digits(plain)
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10)
}

/// Both check digits of a Brazilian number: sums modulo 11 of what stands before them.
fn has_brazilian_checks(plain: &[u8], first: &[u32], second: &[u32]) -> bool {
    let check = |weights: &[u32]| match weighed(plain, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    let is_plain = !is_one_digit(plain);
    is_plain && check(first) == digit(plain, first.len()) && check(second) == digit(plain, second.len())
}

fn is_cpf(plain: &[u8]) -> bool {
    has_brazilian_checks(plain, &[10, 9, 8, 7, 6, 5, 4, 3, 2], &[11, 10, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Letters may be among what stands before the check digits, and count by their places in ASCII.
fn is_cnpj(plain: &[u8]) -> bool {
    let first = [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    has_brazilian_checks(plain, &first, &[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
}

/// Of a firm's first offices, most have no other: alone, the checks say less than that, for times have as many digits.
fn is_cnpj_of_office(plain: &[u8]) -> bool {
    is_cnpj(plain) && plain.get(8..11) == Some(b"000")
}

/// Verhoeff's checksum, over the dihedral group of ten elements.
fn is_aadhaar(plain: &[u8]) -> bool {
    const PERMUTED: [[u8; 10]; 8] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 5, 7, 6, 2, 8, 3, 0, 9, 4],
        [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
        [8, 9, 1, 6, 0, 4, 3, 5, 2, 7],
        [9, 4, 5, 3, 1, 2, 6, 8, 7, 0],
        [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
        [2, 7, 9, 3, 8, 0, 6, 4, 1, 5],
        [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
    ];
    let times = |one: u32, other: u32| match (one < 5, other < 5) {
        (true, true) => (one + other) % 5,
        (true, false) => 5 + (one + other - 5) % 5,
        (false, true) => 5 + (one + 5 - other - 5) % 5,
        (false, false) => (one + 5 - other) % 5,
    };
    let check = digits(plain).rev().enumerate().fold(0, |check, (place, digit)| {
        let row = PERMUTED.get(place % 8).and_then(|row| row.get(digit as usize));
        times(check, u32::from(row.copied().unwrap_or_default()))
    });
    check == 0 && digit(plain, 0) >= 2 && !is_one_digit(plain)
}

/// The fourth letter says whose it is.
fn is_pan(plain: &[u8]) -> bool {
    plain.get(3).is_some_and(|kind| b"ABCFGHLJPT".contains(kind)) && plain.get(5..9) != Some(b"0000")
}

/// Names of versions and lots end with a year and a letter: `BUILD2024A`.
fn is_pan_of_no_year(plain: &[u8]) -> bool {
    is_pan(plain) && !matches!(value(plain.get(5..9).unwrap_or_default()), 1900..=2099)
}

const DNI_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn has_dni_letter(number: u64, letter: Option<&u8>) -> bool {
    usize::try_from(number % 23).ok().and_then(|place| DNI_LETTERS.get(place)) == letter
}

fn is_dni(plain: &[u8]) -> bool {
    has_dni_letter(value(plain.get(..8).unwrap_or_default()), plain.last())
}

fn is_nie(plain: &[u8]) -> bool {
    let first = match plain.first() {
        Some(b'X') => 0,
        Some(b'Y') => 1,
        Some(b'Z') => 2,
        Some(_) | None => return false,
    };
    has_dni_letter(first * 10_000_000 + value(plain.get(1..8).unwrap_or_default()), plain.last())
}

/// Where two persons would have the same, letters stand for the last digits of one.
fn is_codice_fiscale(plain: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let month = plain.get(8).is_some_and(|month| b"ABCDEHLMPRST".contains(month));
    let digits = [6, 7, 9, 10, 12, 13, 14].map(|place| plain.get(place).copied().unwrap_or_default());
    let stands_for = |byte: u8| match b"LMNPQRSTUV".iter().position(|letter| *letter == byte) {
        Some(digit) => u8::try_from(digit).ok().map(|digit| b'0' + digit),
        None => byte.is_ascii_digit().then_some(byte),
    };
    let are_digits = digits.iter().all(|byte| stands_for(*byte).is_some());
    // Of sixteen capitals alone some words have the form.
    let is_mostly = digits.iter().any(u8::is_ascii_digit);
    let day = value(&[digits[2], digits[3]].map(|byte| stands_for(byte).unwrap_or_default()));
    let sum: u32 = plain
        .iter()
        .take(15)
        .enumerate()
        .map(|(place, byte)| {
            let value = if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' };
            match place % 2 {
                0 => ODD.get(usize::from(value)).copied().unwrap_or_default(),
                _ => u32::from(value),
            }
        })
        .sum();
    let check = u8::try_from(sum % 26).ok().map(|check| b'A' + check);
    month && are_digits && is_mostly && matches!(day, 1..=31 | 41..=71) && plain.last().copied() == check
}

/// The French number of social security: 97 less the rest of what stands before the key.
fn is_nir(plain: &[u8]) -> bool {
    let (number, key) = plain.split_at_checked(13).unwrap_or_default();
    let mut number = number.to_vec();
    // Corsica counts by letters.
    let less = match number.get_mut(6) {
        Some(letter @ b'A') => {
            *letter = b'0';
            1_000_000
        }
        Some(letter @ b'B') => {
            *letter = b'0';
            2_000_000
        }
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(_) | None => return false,
    };
    let month = value(number.get(3..5).unwrap_or_default());
    let is_of_person = matches!(number.first(), Some(b'1'..=b'4' | b'7' | b'8'));
    is_of_person && matches!(month, 1..=12 | 20..=42 | 50..=99) && 97 - (value(&number) - less) % 97 == value(key)
}

/// The checksum of ISO 7064, modulo 11 and 10.
fn is_mod_11_10(plain: &[u8]) -> bool {
    let (check, number) = plain.split_last().unwrap_or((&0, &[]));
    let product = digits(number).fold(10, |product, digit| {
        let sum = (digit + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u32::from(check.saturating_sub(b'0'))
}

fn is_steuer_id(plain: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for digit in digits(plain).take(10) {
        if let Some(count) = usize::try_from(digit).ok().and_then(|digit| counts.get_mut(digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let is_spread = repeated == 1 && counts.iter().all(|count| *count <= 3);
    digit(plain, 0) != 0 && is_spread && is_mod_11_10(plain)
}

fn is_bsn(plain: &[u8]) -> bool {
    let sum = weighed(plain, &[9, 8, 7, 6, 5, 4, 3, 2]);
    !is_one_digit(plain) && (sum + 11 * 10 - digit(plain, 8)).is_multiple_of(11)
}

fn is_belgian(plain: &[u8]) -> bool {
    let (number, check) = plain.split_at_checked(9).unwrap_or_default();
    let (number, check) = (value(number), value(check));
    let (month, day) = (value(plain.get(2..4).unwrap_or_default()), value(plain.get(4..6).unwrap_or_default()));
    let is_day = matches!(month % 20, 0..=12) && day <= 31;
    is_day && [number, 2_000_000_000 + number].iter().any(|number| 97 - number % 97 == check)
}

fn is_pesel(plain: &[u8]) -> bool {
    let sum = weighed(plain, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    let (month, day) = (value(plain.get(2..4).unwrap_or_default()), value(plain.get(4..6).unwrap_or_default()));
    matches!(month, 1..=12 | 21..=32) && (1..=31).contains(&day) && (10 - sum % 10) % 10 == digit(plain, 10)
}

fn is_personnummer(plain: &[u8]) -> bool {
    let short = plain.get(plain.len().saturating_sub(10)..).unwrap_or_default();
    let (month, day) = (value(short.get(2..4).unwrap_or_default()), value(short.get(4..6).unwrap_or_default()));
    let century = plain.len() == 10 || matches!(plain.get(..2), Some(b"18" | b"19" | b"20"));
    century && (1..=12).contains(&month) && matches!(day, 1..=31 | 61..=91) && is_luhn(short)
}

fn is_personnummer_of_1900(plain: &[u8]) -> bool {
    plain.starts_with(b"19") && is_personnummer(plain)
}

fn is_nif(plain: &[u8]) -> bool {
    let rest = weighed(plain, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    matches!(plain.first(), Some(b'1'..=b'3' | b'5' | b'6' | b'8' | b'9')) && check == digit(plain, 8)
}

fn is_nino(plain: &[u8]) -> bool {
    let (first, second) = (plain.first().copied().unwrap_or(0), plain.get(1).copied().unwrap_or(0));
    let is_given = !b"DFIQUV".contains(&first) && !b"DFIQUVO".contains(&second);
    let is_kept = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[first, second]);
    is_given && !is_kept && matches!(plain.last(), Some(b'A'..=b'D'))
}

fn is_nhs(plain: &[u8]) -> bool {
    let check = 11 - weighed(plain, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    !is_one_digit(plain) && matches!(plain.first(), Some(b'3'..=b'7' | b'9')) && check % 11 == digit(plain, 9)
}

/// `555` is the exchange of phone numbers that are made up.
fn is_nhs_of_no_phone(plain: &[u8]) -> bool {
    is_nhs(plain) && plain.get(3..6) != Some(b"555")
}

fn is_sin(plain: &[u8]) -> bool {
    is_luhn(plain) && !matches!(plain.first(), Some(b'8')) && !is_one_digit(plain)
}

fn is_tfn(plain: &[u8]) -> bool {
    weighed(plain, &[1, 4, 3, 7, 5, 8, 6, 9, 10]).is_multiple_of(11) && !is_one_digit(plain)
}

fn is_medicare(plain: &[u8]) -> bool {
    let check = weighed(plain, &[1, 3, 7, 9, 1, 3, 7, 9]) % 10;
    matches!(plain.first(), Some(b'2'..=b'6')) && check == digit(plain, 8)
}

/// By the campuses that give them.
fn is_ein(plain: &[u8]) -> bool {
    let prefix = value(plain.get(..2).unwrap_or_default());
    let is_given = matches!(prefix, 1..=6 | 10..=16 | 20..=27 | 30..=39 | 40..=48 | 50..=68 | 71..=77 | 80..=88 | 90..=95 | 98 | 99);
    is_given && !is_one_digit(plain.get(2..).unwrap_or_default())
}

fn is_aba(plain: &[u8]) -> bool {
    let district = value(plain.get(..2).unwrap_or_default());
    let is_given = matches!(district, 0..=12 | 21..=32 | 61..=72 | 80);
    is_given && value(plain) != 0 && weighed(plain, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

/// The fifth and the sixth letter name a country (ISO 3166-1), or Kosovo.
fn is_bic(plain: &[u8]) -> bool {
    const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY \
        BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD \
        GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM \
        KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA \
        NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ \
        SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU \
        WF WS XK YE YT ZA ZM ZW";
    // Words that would name a country there.
    const WORDS: &str = "ACCOUNTS BUSINESS CODEBASE COMPILER CUSTOMER DATABASE DELIVERY DOCUMENT FUNCTION LANGUAGE MESSAGES OPERATOR \
        PACKAGES PROGRAMS PROVIDER REGISTER REQUIRED TRAINING";
    let country = plain.get(4..6).unwrap_or_default();
    let is_word = WORDS.split_ascii_whitespace().any(|word| word.as_bytes() == plain);
    !is_word && COUNTRIES.split_ascii_whitespace().any(|known| known.as_bytes() == country)
}

/// Of persons, as the United States give them; two were printed in advertisements.
fn is_ssn(plain: &[u8]) -> bool {
    let part = |range: Range<usize>| value(plain.get(range).unwrap_or_default());
    let is_printed = plain == b"078051120" || plain == b"219099999";
    !is_printed && !matches!(part(0..3), 0 | 666 | 900..) && part(3..5) != 0 && part(5..9) != 0 && !is_one_digit(plain)
}

/// Of persons who pay taxes and have no number of social security.
fn is_itin(plain: &[u8]) -> bool {
    let group = value(plain.get(3..5).unwrap_or_default());
    plain.first() == Some(&b'9') && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn is_partita_iva(plain: &[u8]) -> bool {
    is_luhn(plain) && value(plain.get(..7).unwrap_or_default()) != 0
}

fn is_nip(plain: &[u8]) -> bool {
    weighed(plain, &[6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == digit(plain, 9) && !is_one_digit(plain)
}

fn is_spanish_firm(plain: &[u8]) -> bool {
    !matches!(plain.first(), Some(b'X'..=b'Z')) && is_spanish(plain)
}

/// Numbers that begin with a day are of orders and goods.
fn is_vat_of_no_day(plain: &[u8]) -> bool {
    let part = |range: Range<usize>| value(plain.get(range).unwrap_or_default());
    let is_day = matches!(part(2..6), 1900..=2099) && matches!(part(6..8), 1..=12) && matches!(part(8..10), 1..=31);
    is_vat(plain) && !is_day
}

fn is_vat(plain: &[u8]) -> bool {
    let (country, number) = plain.split_at_checked(2).unwrap_or_default();
    let of = |range: Range<usize>| number.get(range).unwrap_or_default();
    match country {
        b"AT" => {
            let sum: u32 = digits(of(1..8))
                .enumerate()
                .map(|(place, digit)| if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
                .sum();
            number.first() == Some(&b'U') && (10 - (sum + 4) % 10) % 10 == digit(number, 8)
        }
        b"BE" => matches!(number.first(), Some(b'0' | b'1')) && 97 - value(of(0..8)) % 97 == value(of(8..10)),
        b"DE" => digit(number, 0) != 0 && is_mod_11_10(number),
        b"DK" => weighed(number, &[2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11) && digit(number, 0) != 0,
        b"EL" => weighed(number, &[256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == digit(number, 8),
        b"FI" => (weighed(number, &[7, 9, 10, 5, 8, 4, 2]) + digit(number, 7)).is_multiple_of(11),
        b"FR" => (12 + 3 * (value(of(2..11)) % 97)) % 97 == value(of(0..2)) && is_luhn(of(2..11)),
        b"GB" | b"XI" => {
            let sum = u64::from(weighed(number, &[8, 7, 6, 5, 4, 3, 2])) + value(of(7..9));
            value(number) != 0 && (sum.is_multiple_of(97) || (sum + 55).is_multiple_of(97))
        }
        b"IT" => is_partita_iva(number),
        b"LU" => value(of(0..6)) % 89 == value(of(6..8)),
        b"NL" => number.get(9) == Some(&b'B') && is_bsn(of(0..9)),
        b"PL" => is_nip(number),
        b"PT" => is_nif(number),
        b"SE" => is_luhn(of(0..10)) && of(10..12) == b"01",
        b"ES" => is_spanish(number),
        _ => is_eastern_vat(country, number),
    }
}

/// Of the members of the Union since 2004, and Ireland, by what is published of their checks.
fn is_eastern_vat(country: &[u8], number: &[u8]) -> bool {
    let of = |range: Range<usize>| number.get(range).unwrap_or_default();
    let len = number.len();
    // A sum modulo 11; where that is 10, by other weights; where that is 10 again, 0.
    let twice = |weights: &[u32], others: &[u32]| match weighed(number, weights) % 11 {
        10 => weighed(number, others) % 11 % 10,
        check => check,
    };
    match country {
        b"BG" if len == 9 => twice(&[1, 2, 3, 4, 5, 6, 7, 8], &[3, 4, 5, 6, 7, 8, 9, 10]) == digit(number, 8),
        b"BG" => {
            let person = weighed(number, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
            let foreigner = weighed(number, &[21, 19, 17, 13, 11, 9, 7, 3, 1]) % 10;
            let other = (11 - weighed(number, &[4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11) % 11;
            [person, foreigner, other].contains(&digit(number, 9))
        }
        b"CY" => {
            let odd = |digit: u32| [1, 0, 5, 7, 9, 13, 15, 17, 19, 21].get(digit as usize).copied().unwrap_or_default();
            let sum: u32 = digits(of(0..8))
                .enumerate()
                .map(|(place, digit)| if place % 2 == 0 { odd(digit) } else { digit })
                .sum();
            number.get(8).copied() == u8::try_from(sum % 26).ok().map(|check| b'A' + check) && of(0..2) != b"12"
        }
        b"CZ" if len == 8 => {
            let check = match 11 - weighed(number, &[8, 7, 6, 5, 4, 3, 2]) % 11 {
                10 => 0,
                11 => 1,
                check => check,
            };
            digit(number, 0) != 9 && check == digit(number, 7)
        }
        b"CZ" => {
            let month = value(of(2..4)) % 50 % 20;
            (1..=12).contains(&month)
                && (1..=31).contains(&value(of(4..6)))
                && (len == 9 || value(number).is_multiple_of(11))
        }
        b"EE" => of(0..2) == b"10" && (10 - weighed(number, &[3, 7, 1, 3, 7, 1, 3, 7]) % 10) % 10 == digit(number, 8),
        b"HR" => is_mod_11_10(number) && !is_one_digit(number),
        b"HU" => (10 - weighed(number, &[9, 7, 3, 1, 9, 7, 3]) % 10) % 10 == digit(number, 7) && digit(number, 0) != 0,
        b"IE" => {
            let letter = |place| number.get(place).map_or(0, |byte: &u8| u32::from(byte.saturating_sub(b'A')) + 1);
            let second = match (len, letter(8)) {
                (9, 23) => 0,
                (9, second) => second,
                _ => 0,
            };
            let sum = weighed(number, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second;
            // `W` stands for 0.
            letter(7) % 23 == sum % 23 && letter(7) <= 23 && second <= 9
        }
        b"LT" if len == 9 => {
            number.get(7) == Some(&b'1')
                && twice(&[1, 2, 3, 4, 5, 6, 7, 8], &[3, 4, 5, 6, 7, 8, 9, 1]) == digit(number, 8)
        }
        b"LT" => {
            let check = twice(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2], &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]);
            number.get(10) == Some(&b'1') && check == digit(number, 11)
        }
        b"LV" if digit(number, 0) > 3 => {
            let rest = weighed(number, &[9, 1, 4, 8, 3, 10, 2, 5, 7, 6]) % 11;
            (14 - rest) % 11 == digit(number, 10)
        }
        b"LV" => (1 + weighed(number, &[10, 5, 8, 4, 2, 1, 6, 3, 7, 9])) % 11 % 10 == digit(number, 10),
        b"MT" => 37 - u64::from(weighed(number, &[3, 4, 6, 7, 8, 9])) % 37 == value(of(6..8)) && digit(number, 0) != 0,
        b"RO" => {
            let weights = [7, 5, 3, 2, 1, 7, 5, 3, 2];
            let weights = weights.get(10 - len.min(10)..).unwrap_or_default();
            weighed(number, weights) * 10 % 11 % 10 == digit(number, len - 1) && digit(number, 0) != 0
        }
        b"SI" => {
            let rest = weighed(number, &[8, 7, 6, 5, 4, 3, 2]) % 11;
            rest != 0 && (11 - rest) % 10 == digit(number, 7) && digit(number, 0) != 0
        }
        b"SK" => digit(number, 0) != 0 && matches!(digit(number, 2), 2..=4 | 7..=9) && value(number).is_multiple_of(11),
        _ => false,
    }
}

/// Of persons as above, and of firms: a letter, seven digits and a check that is one or the other.
fn is_spanish(number: &[u8]) -> bool {
    if number.first().is_some_and(u8::is_ascii_digit) {
        return is_dni(number);
    }
    if matches!(number.first(), Some(b'X'..=b'Z')) {
        return is_nie(number);
    }
    let sum: u32 = digits(number.get(1..8).unwrap_or_default())
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    let check = (10 - sum % 10) % 10;
    let letter = b"JABCDEFGHI".get(check as usize);
    let is_firm = number.first().is_some_and(|kind| b"ABCDEFGHJNPQRSUVW".contains(kind));
    is_firm && number.get(8).is_some_and(|found| Some(found) == letter || u32::from(found.wrapping_sub(b'0')) == check)
}

/// The address of a network card (IEEE 802) that begins at `start`: six bytes, parted by colons or dashes, or by dots in
/// three parts, of which one has a letter.
pub(super) fn mac(hay: &[u8], start: usize) -> Option<Range<usize>> {
    if hay.get(start + 4) == Some(&b'.') {
        let end = start + 14;
        let text = hay.get(start..end)?;
        let is_form = text.iter().enumerate().all(|(place, byte)| match place {
            4 | 9 => *byte == b'.',
            _ => byte.is_ascii_hexdigit(),
        });
        let is_next = before(hay, start) == Some(b'.') || hay.get(end) == Some(&b'.') && is_alnum_at(hay, end + 1);
        let has = |is: fn(&u8) -> bool| text.iter().any(is);
        let is_address = has(u8::is_ascii_alphabetic) && has(u8::is_ascii_digit);
        return (is_form && !is_next && !is_alnum_at(hay, end) && is_address).then_some(start..end);
    }
    let end = start + 17;
    let text = hay.get(start..end)?;
    let separator = *text.get(2)?;
    let is_form = matches!(separator, b':' | b'-')
        && text.iter().enumerate().all(|(place, byte)| match place % 3 {
            2 => *byte == separator,
            _ => byte.is_ascii_hexdigit(),
        });
    let is_next =
        before(hay, start) == Some(separator) && !is_label(hay, start - 1) || hay.get(end) == Some(&separator);
    let bytes = text.iter().filter(|byte| **byte != separator);
    // All of one digit is nobody's: nothing, or everybody.
    let is_nobodys = bytes.clone().zip(bytes.skip(1)).all(|(one, next)| one == next);
    (is_form && !is_next && !is_alnum_at(hay, end) && !is_nobodys).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use crate::detect::Detector;
    use crate::detect::finder::tests::{check_found, check_left};

    #[test]
    fn finds_numbers_of_persons() {
        let alone = [
            "529.982.247-25",
            "2341 2341 2346",
            "ABCPE1234F",
            "12345678Z",
            "X1234567L",
            "RSSMRA85T10A562S",
            "2 84 12 76 451 089 93",
            "284127645108993",
            "86095742719",
            "52998224725",
            "85.07.30-033.28",
            "44051401359",
            "811218-9876",
            "19811218-9876",
            "AB123456C",
            "AB 12 34 56 C",
            "AB 123456 C",
            "rssmra85t10a562s",
            "943 476 5919",
            "2123 45670 1",
        ];
        for number in alone {
            check_found(Detector::NationalId, &[(number, number)]);
        }
        for number in alone.iter().filter(|number| !["86095742719", "52998224725", "44051401359"].contains(number)) {
            let text = format!("{{\"x\": \"{number}\"}}, no. {number}, yes");
            check_found(Detector::NationalId, &[(text.split(", no").next().unwrap_or_default(), number)]);
        }
        check_found(
            Detector::NationalId,
            &[
                ("CPF 52998224725", "52998224725"),
                ("BSN: 111222333", "111222333"),
                ("NIF 123456789", "123456789"),
                ("SIN 046 454 286", "046 454 286"),
                ("my tfn is 123 456 782.", "123 456 782"),
                ("NHS number 9434765919", "9434765919"),
                ("Aadhaar: 234123412346", "234123412346"),
                ("PESEL 44051401359", "44051401359"),
                ("Steuer-ID 86 095 742 719", "86 095 742 719"),
                ("personnummer 8112189876", "8112189876"),
                ("medicare 2123456701", "2123456701"),
                ("{\"sin\":\"046454286\"}", "046454286"),
                ("NINO AB123456 C", "AB123456 C"),
                ("national_insurance=ab123456c", "ab123456c"),
                ("ni no: ab 123456 c", "ab 123456 c"),
                ("(86095742719)", "86095742719"),
                ("PAN ABCPE2024F", "ABCPE2024F"),
                ("dni: 12345678z", "12345678z"),
                ("nie x1234567l", "x1234567l"),
                ("N.I.E. X1234567-L", "X1234567-L"),
                ("RSS MRA 85T10 A562S", "RSS MRA 85T10 A562S"),
                ("IdNr 86/095/742/719", "86/095/742/719"),
                ("BSN 111 222 333", "111 222 333"),
                ("85.07.30-033-28", "85.07.30-033-28"),
                ("S.I.N. 046-454-286", "046-454-286"),
                ("Medicare: 2123 45670 1/1", "2123 45670 1/1"),
                ("cpf: 529982247-25", "529982247-25"),
                ("811218+9876", "811218+9876"),
                ("198112189876", "198112189876"),
                ("NHS 415 555 0121", "415 555 0121"),
                ("order 7 of personnummer 240115-0004", "240115-0004"),
                ("240115-0004", "240115-0004"),
                ("order 20240115-0004", "20240115-0004"),
                ("<NHSNumber>9434765919</NHSNumber>", "9434765919"),
                ("{\"BSNNummer\":\"111222333\"}", "111222333"),
                ("TFNNumber: 123 456 782", "123 456 782"),
            ],
        );
    }

    #[test]
    fn finds_numbers_of_firms_and_banks() {
        check_found(
            Detector::TaxId,
            &[
                ("11.222.333/0001-81", "11.222.333/0001-81"),
                ("12-3456789", "12-3456789"),
                ("EIN 12-3456789", "12-3456789"),
                ("VAT DE136695976", "DE136695976"),
                ("ATU13585627", "ATU13585627"),
                ("BE0403019261", "BE0403019261"),
                ("FR40303265045", "FR40303265045"),
                ("IT00743110157", "IT00743110157"),
                ("NL004495445B01", "NL004495445B01"),
                ("PL8567346215", "PL8567346215"),
                ("PT501964843", "PT501964843"),
                ("SE556188840401", "SE556188840401"),
                ("DK13585628", "DK13585628"),
                ("FI20774740", "FI20774740"),
                ("LU15027442", "LU15027442"),
                ("EL094259216", "EL094259216"),
                ("ESB58378431", "ESB58378431"),
                ("ES B58378431", "ES B58378431"),
                ("ES B-58378431", "ES B-58378431"),
                ("FR 40303265045", "FR 40303265045"),
                ("FR40 303265045,", "FR40 303265045"),
                ("FR40 303 265 045", "FR40 303 265 045"),
                ("FR 40 303 265 045", "FR 40 303 265 045"),
                ("DE 136 695 976", "DE 136 695 976"),
                ("ATU 13585627", "ATU 13585627"),
                ("AT U13585627", "AT U13585627"),
                ("BE 0403 019 261", "BE 0403 019 261"),
                ("row HR46170078521 rejected", "HR46170078521"),
                ("(BG227942612)", "BG227942612"),
                ("partita IVA 00743110157", "00743110157"),
                ("NIP: 856-734-62-15", "856-734-62-15"),
                ("CIF B58378431", "B58378431"),
                ("GB 980 7806 84", "GB 980 7806 84"),
                ("ein=123456789", "123456789"),
                ("11222333/0001-81", "11222333/0001-81"),
            ],
        );
        check_found(
            Detector::BankCode,
            &[
                ("routing number 021000021", "021000021"),
                ("BIC: DEUTDEFF500", "DEUTDEFF500"),
                ("Bank Identifier Code: DEUTDEFF500", "DEUTDEFF500"),
                ("<BICFI>BOFAUS3N</BICFI>", "BOFAUS3N"),
                ("SWIFT DEUTDEFF, please", "DEUTDEFF"),
            ],
        );
        check_found(
            Detector::MacAddress,
            &[
                ("from 00:1B:44:11:3a:b7.", "00:1B:44:11:3a:b7"),
                ("00-1B-44-11-3A-B7", "00-1B-44-11-3A-B7"),
                ("D3-82-58-6B-4A-E1", "D3-82-58-6B-4A-E1"),
                ("0319.3927.14da", "0319.3927.14da"),
            ],
        );
    }

    #[test]
    fn leaves_what_only_looks_like_one() {
        let plain = [
            "529.982.247-26",
            "111.111.111-11",
            "2341 2341 2347",
            "12345678A",
            "X1234567A",
            "RSSMRA85T10A562T",
            "284127645108947",
            "85.07.30-033.29",
            "811218-9875",
            "QQ123456C",
            "AB123456E",
            "943 476 5918",
            "046 454 286",
            "123456782",
            "111222333",
            "021000021",
            "order 44051401359",
            "ref 86095742719",
            "11.222.333/0001-82",
            "part 12-3456789",
            "DE136695977",
            "DEUTDEFF",
            "using 046 454 286",
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "43:51:43:a1:b5:fc:8b:b7:0a:3a:a9:b1:0f:66:73:a8",
            "2026-11-26",
            "1732394202123",
            "ISBN 9783161484100",
            "0123456789012345",
            "AAAAA0000A",
            "BUILD2024A",
            "BATCH2024B",
            "DELTA2024X",
            "GRAPH2024A",
            "Order 240115-0004",
            "order_no=240115-0004",
            "invoice 240115-0004",
            "serial no. 240115-0004",
            "415 555 0121",
            "call 943 476 5919",
            "PO 123456 A",
            "code ab123456c",
            "rssmra85t10a562t",
            "078051120",
            "SSN 219099999",
            "ref 52998224725",
            "FR 40303265046",
            "ATU 13585628",
            "lot SK2024010103",
            "SWIFT DATABASE outage",
            "202405060708",
            "order 00743110157",
            "GB 980 7806 85",
            "12345678z",
        ];
        for detector in [Detector::NationalId, Detector::TaxId, Detector::BankCode, Detector::MacAddress] {
            check_left(detector, &plain);
        }
    }
}
