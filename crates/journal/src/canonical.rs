//! Canonical JSON in the manner of RFC 8785: sorted members, no white space, the fewest escapes.
//!
//! Knows JSON values; must not know what any of them means. Fractions are refused, so that no two writers can disagree
//! about a number. Integers are written in full, which differs from RFC 8785 only beyond 2^53.

use std::fmt::Write as _;

use serde_json::Value;

/// A number with a fraction or an exponent: it has no canonical form here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction;

/// Appends the canonical form of `value` to `out`. It never holds a line break.
pub(crate) fn write(value: &Value, out: &mut String) -> Result<(), Fraction> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            if number.is_f64() {
                return Err(Fraction);
            }
            // Writing to a String cannot fail.
            let _ = write!(out, "{number}");
        }
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            out.push('{');
            for (place, (name, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                write(member, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Appends a text in quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    if !text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            plain => out.push(plain),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: &str) {
        let value: Value = serde_json::from_str(input).expect("valid JSON");
        let mut out = String::new();
        write(&value, &mut out).expect("no fractions");
        assert_eq!(out, expect);
    }

    #[test]
    fn sorts_members_and_escapes_little() {
        check(r#"{"b": [1, -2, null], "a": {"d": true, "c": false}}"#, r#"{"a":{"c":false,"d":true},"b":[1,-2,null]}"#);
        check(r#""\u0007\n\u001f\/\u00e9\u2028\"""#, "\"\\u0007\\n\\u001f/é\u{2028}\\\"\"");
        check("18446744073709551615", "18446744073709551615");
    }

    #[test]
    fn sorts_by_utf16_units_as_rfc_8785_wants() {
        // The example of RFC 8785, section 3.2.3: U+1F600 sorts before U+FB33, against the order of code points.
        check(
            r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}",
        );
    }

    #[test]
    fn refuses_fractions() {
        assert_eq!(write(&serde_json::json!([1.5]), &mut String::new()), Err(Fraction));
    }
}
