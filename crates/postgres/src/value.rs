//! Bind values as a person reads them.
//!
//! Knows the binary forms of the commonest types; any other binary value stays bytes.

use gatehouse_model::Bind;

/// Type OIDs, which are the same in every PostgreSQL: see `pg_type.dat`.
pub(crate) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const TEXTS: u32 = 1009;
    pub(crate) const VARCHARS: u32 = 1015;
    pub(crate) const BPCHAR: u32 = 1042;
    pub(crate) const VARCHAR: u32 = 1043;
    pub(crate) const UUID: u32 = 2950;
    pub(crate) const UUIDS: u32 = 2951;
}

/// A bind value in the format `0` (text) or `1` (binary).
pub(crate) fn bind(value: &[u8], format: i16, kind: u32) -> Bind {
    let text = if format == 0 { std::str::from_utf8(value).ok().map(str::to_string) } else { binary(value, kind) };
    text.map_or_else(|| Bind::Binary(value.to_vec()), Bind::Text)
}

fn binary(value: &[u8], kind: u32) -> Option<String> {
    match kind {
        oid::BOOL => Some((value.first()? != &0).to_string()),
        oid::INT2 => Some(i16::from_be_bytes(value.try_into().ok()?).to_string()),
        oid::INT4 => Some(i32::from_be_bytes(value.try_into().ok()?).to_string()),
        oid::INT8 => Some(i64::from_be_bytes(value.try_into().ok()?).to_string()),
        oid::FLOAT4 => Some(f32::from_be_bytes(value.try_into().ok()?).to_string()),
        oid::FLOAT8 => Some(f64::from_be_bytes(value.try_into().ok()?).to_string()),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR => std::str::from_utf8(value).ok().map(str::to_string),
        oid::UUID => uuid(value.try_into().ok()?),
        _ => None,
    }
}

/// The bytes of a UUID that is written in any of PostgreSQL's forms.
pub(crate) fn uuid_of(text: &str) -> Option<[u8; 16]> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let mut digits = inner.chars().filter(|letter| *letter != '-');
    let mut digit = || digits.next().and_then(|letter| letter.to_digit(16));
    let mut uuid = [0_u8; 16];
    for byte in &mut uuid {
        let (high, low) = (digit()?, digit()?);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(uuid)
}

/// A UUID as PostgreSQL writes it.
pub(crate) fn uuid(value: [u8; 16]) -> Option<String> {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [digits.get(..8)?, digits.get(8..12)?, digits.get(12..16)?, digits.get(16..20)?, digits.get(20..)?];
    Some(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_become_readable() {
        assert_eq!(bind(&42i32.to_be_bytes(), 1, oid::INT4), Bind::Text("42".into()));
        assert_eq!(bind(b"x", 0, 0), Bind::Text("x".into()));
        assert_eq!(bind(&[0xff], 0, 0), Bind::Binary(vec![0xff]));
        assert_eq!(bind(&[1, 2], 1, oid::INT4), Bind::Binary(vec![1, 2]));
        assert_eq!(bind(&[0x11; 16], 1, oid::UUID), Bind::Text("11111111-1111-1111-1111-111111111111".into()));
    }

    #[test]
    fn a_uuid_is_read_in_each_of_its_forms() {
        let value = *b"0123456789abcdef";
        let text = uuid(value).unwrap();
        assert_eq!(text, "30313233-3435-3637-3839-616263646566");
        for form in [text.clone(), text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}")] {
            assert_eq!(uuid_of(&form), Some(value), "{form}");
        }
        for other in ["", "x", &text[1..], &format!("{text}0"), &format!("{{{text}"), &text.replace('3', "g")] {
            assert_eq!(uuid_of(other), None, "{other}");
        }
    }
}
