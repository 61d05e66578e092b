//! Tags of bodies (RFC 9110, section 8.8.3): what a client is told of its target's, and what the target's own was.
//!
//! A body that was changed is not to the byte what its target's tag stands for, so that a strong tag of the target's is told as a
//! weak one. Conditions of writes (`If-Match`) compare strongly, and a weak tag never fulfils one: so the target is given back what it
//! said. What the gateway weakened it marks, for there are targets that want a weak tag of their own back as they said it.

/// How a tag begins that the gateway weakened.
const WEAKENED: &str = "W/\"gatehouse~";

/// The fields in which a client says tags. Not `If-Range`: a body that was changed is not to be put together with parts of the
/// target's, and a weak tag keeps it from that.
const CONDITIONS: [&str; 3] = ["if", "if-match", "if-none-match"];

/// A tag as it is told of a body that may have been changed.
pub(crate) fn weakened(tag: &[u8]) -> Vec<u8> {
    match tag.strip_prefix(b"\"") {
        Some(rest) => [WEAKENED.as_bytes(), rest].concat(),
        None if is_weak(tag) => tag.to_vec(),
        None => [b"W/", tag].concat(),
    }
}

/// Whether a tag says no more of a body than that it means the same.
pub(crate) fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// What a condition says with the target's own tags in the place of those that the gateway weakened; `None` for a field that is no
/// condition. No tag has a quotation mark in it, so that the mark is found at the beginning of tags alone.
pub(crate) fn restored(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let value = CONDITIONS.contains(&name).then(|| std::str::from_utf8(value).ok()).flatten()?;
    Some(value.replace(WEAKENED, "\"").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, told: &str) {
        let weak = weakened(tag.as_bytes());
        assert_eq!(String::from_utf8_lossy(&weak), told);
        let back = restored("if-match", &weak).map(|back| String::from_utf8_lossy(&back).into_owned());
        assert_eq!(back.as_deref(), Some(if tag.starts_with(['"', 'W']) { tag } else { told }));
        assert_eq!(weakened(&weak), weak, "{tag}: it is weakened once");
        assert!(is_weak(&weak), "{tag}");
    }

    #[test]
    fn a_target_is_given_its_own_tags() {
        check("\"1\"", "W/\"gatehouse~1\"");
        check("\"\"", "W/\"gatehouse~\"");
        check("\"a,b\"", "W/\"gatehouse~a,b\"");
        check("W/\"1\"", "W/\"1\"");
        check("bare", "W/bare");
        let list = b"W/\"gatehouse~1\", \"2\",W/\"3\", *";
        assert_eq!(restored("if-none-match", list).unwrap(), b"\"1\", \"2\",W/\"3\", *");
        assert_eq!(restored("if", b"(<urn:x> [W/\"gatehouse~1\"])").unwrap(), b"(<urn:x> [\"1\"])");
        assert_eq!(restored("if-range", b"W/\"gatehouse~1\""), None);
    }
}
