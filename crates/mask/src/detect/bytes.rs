//! Looking around in a value: bounded reads that never go out of it.
//!
//! Knows bytes only.

/// How far back a label is read, in bytes.
const LABEL_BYTES_MAX: usize = 40;

/// The byte before a position.
pub(super) fn before(hay: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|at| hay.get(at)).copied()
}

/// True if there is an ASCII letter or digit at a position.
pub(super) fn is_alnum_at(hay: &[u8], at: usize) -> bool {
    hay.get(at).is_some_and(u8::is_ascii_alphanumeric)
}

/// True if there is an ASCII digit at a position.
pub(super) fn is_digit_at(hay: &[u8], at: usize) -> bool {
    hay.get(at).is_some_and(u8::is_ascii_digit)
}

/// True if what ends before a colon at a position is a word, and no part of an address in hexadecimal digits.
pub(super) fn is_label(hay: &[u8], at: usize) -> bool {
    let word = hay.get(..at).unwrap_or_default().iter().rev().take(LABEL_BYTES_MAX);
    let mut word = word.take_while(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    word.any(|byte| !byte.is_ascii_hexdigit())
}

/// The end of the run of accepted bytes that begins at `from`, at most `bytes_max` further.
pub(super) fn run(hay: &[u8], from: usize, bytes_max: usize, accept: impl Fn(u8) -> bool) -> usize {
    from + hay.iter().skip(from).take(bytes_max).take_while(|byte| accept(**byte)).count()
}

/// The number that exactly `count` digits make; at most 9 of them.
pub(super) fn number(hay: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = hay.get(at..at.checked_add(count)?)?;
    digits.iter().try_fold(0_u32, |number, byte| {
        byte.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(byte - b'0')))
    })
}

/// True if at least so many different bytes occur: `xxxxxxxx` stands for a secret, it is none.
pub(super) fn is_varied(bytes: &[u8], different_min: u32) -> bool {
    bytes.iter().fold(0_u128, |seen, byte| seen | (1_u128 << (byte & 127))).count_ones() >= different_min
}

/// Steps over what may stand before a value without belonging to it: `_`, and an escape of JSON such as `\n`, whose
/// letter would hide the boundary.
pub(super) fn after_lead(hay: &[u8], at: usize) -> usize {
    match (hay.get(at), hay.get(at + 1)) {
        (Some(b'_'), _) => at + 1,
        (Some(b'\\'), Some(b'u')) => at + 6,
        (Some(b'\\'), Some(_)) => at + 2,
        _ => at,
    }
}
