//! URIs of resources in one form, for servers read them in several: what is judged is what any of them finds.

use gatehouse_model::Denial;
use url::Url;

use crate::asked::not_understood;

/// Refuses a URI that some server would read as another. Braces, as templates have them, stand for nothing.
pub(crate) fn must_be_plain(uri: &str) -> Result<(), Denial> {
    let refused = |why: &str, hint: String| Err(not_understood(&format!("the URI of a resource {why}"), &hint));
    if uri.chars().any(|char| char.is_control() || char.is_whitespace() || char == '\\') {
        return refused("has blanks, control characters or backslashes", "Escape them".into());
    }
    let bare = uri.replace(['{', '}'], "");
    if !has_plain_escapes(&bare) {
        return refused("escapes what needs no escape, or in small letters", "Write out what it stands for".into());
    }
    let Ok(url) = Url::parse(&bare) else {
        if bare.contains("://") {
            return refused("is none", "Write it as RFC 3986 has it".into());
        }
        let is_dotted = bare.split('/').any(|segment| matches!(segment, "." | ".."));
        return if is_dotted { refused("has dot segments", "Follow them".into()) } else { Ok(()) };
    };
    // Readers of files look at the path alone.
    let is_odd_file = url.scheme() == "file"
        && (url.query().is_some()
            || !bare.starts_with("file:///")
            || url.path().contains(';')
            || url.path().ends_with('/'));
    if url.fragment().is_some() || is_odd_file {
        return refused("has a part that servers leave out", "Leave it out".into());
    }
    let canonical = url.to_string();
    if canonical == bare || canonical.strip_suffix('/') == Some(&bare) {
        return Ok(());
    }
    refused("is not in its plain form", format!("Write it as {canonical}"))
}

/// Whether each escape stands for something that cannot be written out, in capitals (RFC 3986, section 6.2.2).
fn has_plain_escapes(uri: &str) -> bool {
    uri.split('%').skip(1).all(|after| {
        let digits =
            after.get(..2).filter(|digits| digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| !byte.is_ascii_alphanumeric() && !b"-._~/\\%".contains(&byte) && byte >= b' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_of_each_is_taken() {
        for plain in [
            "file:///customers/7.txt",
            "file:///a%20b/%C3%A9",
            "https://example.com",
            "https://example.com/a?b=c",
            "customer://7/orders",
            "urn:isbn:7",
            "notes",
            "file:///customers/{id}.txt",
        ] {
            assert!(must_be_plain(plain).is_ok(), "{plain}");
        }
        for odd in [
            "file:///customers/x/../7.txt",
            "FILE:///customers/7.txt",
            "file://localhost/customers/7.txt",
            " file:///customers/7.txt",
            "file:\\\\\\customers\\7.txt",
            "file:///customers/7.tx\tt",
            "file:///customers/%37.txt",
            "file:///customers%2f7.txt",
            "file:///customers/%2E%2E/7.txt",
            "file:///customers/7.txt#x",
            "file:///customers/7.txt?x",
            "file:///%c3%a9",
            "file://127.0.0.1/secret.txt",
            "file://user@/secret.txt",
            "file:///secret.txt;x",
            "file:///secret.txt/",
            "file:///%",
            "customer://a/../7",
            "HTTPS://EXAMPLE.com/",
            "a/../b",
        ] {
            assert!(must_be_plain(odd).is_err(), "{odd}");
        }
    }
}
