//! Where what a target says of its own address leads its client: through the gateway, the way that the client came.

use gatehouse_protocol::Breach;
use memchr::memmem;

use crate::rider::Rider;

/// What a target says of how to prove oneself there: of the gateway's own credential, it is nothing to its client.
const OF_PROOF: [&str; 2] = ["authentication-info", "www-authenticate"];

/// Where a client reaches a target, as the client calls it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Base {
    /// Such as `https://gateway.example:8443`; empty where it does not say.
    pub(crate) origin: String,
    /// The path that comes before the target's own, such as `/http/billing`; empty where there is none.
    pub(crate) path: String,
    /// The client takes it for the target itself, and not for the gateway.
    pub(crate) is_the_targets: bool,
}

impl Base {
    /// Reads `https://gateway.example:8443/http/billing`, or `=https://api.example`, where the client takes that for the target.
    pub(crate) fn read(text: &str) -> Self {
        let (url, is_the_targets) = text.strip_prefix('=').map_or((text, false), |url| (url, true));
        let host = url.find("://").map_or(0, |scheme| scheme + "://".len());
        let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |path| host + path);
        let (origin, path) = url.split_at_checked(path).unwrap_or((url, ""));
        Self { origin: origin.into(), path: path.into(), is_the_targets }
    }
}

/// Where links of the target lead for its client.
pub(crate) struct Links<'a> {
    /// Where the target is.
    pub(crate) origin: &'a str,
    /// Where its client reaches it.
    pub(crate) base: &'a Base,
    /// Whether the gateway proves itself there in its clients' place.
    pub(crate) proves_itself: bool,
    /// What rides on HTTP there.
    pub(crate) rider: Option<&'a dyn Rider>,
}

impl Links<'_> {
    pub(crate) fn hides(&self, name: &str) -> bool {
        self.proves_itself && OF_PROOF.contains(&name)
    }

    /// A field's value where it leads somewhere else for the client.
    pub(crate) fn changed(&self, name: &str, value: &[u8]) -> Option<Vec<u8>> {
        let value = std::str::from_utf8(value).ok()?;
        let changed = match name {
            "location" | "content-location" => self.led(value),
            "link" => self.all_led(value),
            "refresh" => self.refreshed(value),
            "set-cookie" => self.baked(value),
            _ => None,
        };
        changed.map(String::into_bytes)
    }

    /// What is shown of a field, as the client is to know it.
    pub(crate) fn given(&self, name: &str, shown: &mut Vec<u8>) {
        if let Some(given) = self.rider.and_then(|rider| rider.given(name, shown)) {
            *shown = given;
        }
    }

    /// A reference that leads through the gateway; `None` where it leads somewhere else, or is relative to what it stands in.
    fn led(&self, reference: &str) -> Option<String> {
        let ends = |path: &&str| path.is_empty() || path.starts_with(['/', '?', '#']);
        let base = &self.base.path;
        match reference.strip_prefix(self.origin).filter(ends) {
            Some(_) if base.is_empty() && self.base.origin == self.origin => None,
            Some(path) if base.is_empty() && !path.starts_with('/') => Some(format!("/{path}")),
            Some(path) => Some(format!("{base}{path}")),
            None if reference.starts_with('/') && !reference.starts_with("//") && !base.is_empty() => {
                Some(format!("{base}{reference}"))
            }
            None => None,
        }
    }

    /// Links, each in angle brackets (RFC 8288, section 3).
    fn all_led(&self, value: &str) -> Option<String> {
        let (mut out, mut rest, mut is_changed) = (String::with_capacity(value.len()), value, false);
        while let Some((before, after)) = rest.split_at_checked(unquoted(rest, '<')) {
            let Some((reference, after)) = after.strip_prefix('<').and_then(|after| after.split_once('>')) else {
                break;
            };
            let led = self.led(reference);
            is_changed |= led.is_some();
            out.extend([before, "<", led.as_deref().unwrap_or(reference), ">"]);
            rest = after;
        }
        out.push_str(rest);
        is_changed.then_some(out)
    }

    /// What to show next, and when: `5; url=/next`, as the HTML standard has it.
    fn refreshed(&self, value: &str) -> Option<String> {
        let (before, after) = value.split_at_checked(value.to_ascii_lowercase().find("url")?)?;
        let reference = after.get("url".len()..)?.trim_start().strip_prefix('=')?;
        self.led(reference.trim().trim_matches(['"', '\''])).map(|led| format!("{before}url={led}"))
    }

    /// A cookie that comes back by the way that the client knows: its own pair, and then what is said of it.
    fn baked(&self, value: &str) -> Option<String> {
        let base = &self.base.path;
        let (pair, said) = value.split_once(';').unwrap_or((value, ""));
        let (mut baked, mut is_changed, mut has_path) = (pair.to_string(), false, false);
        for part in said.split(';').filter(|part| !part.trim().is_empty()) {
            let (name, of) = part.split_once('=').unwrap_or((part, ""));
            let (name, of) = (name.trim(), of.trim());
            if name.eq_ignore_ascii_case("path") && of.starts_with('/') {
                (has_path, is_changed) = (true, is_changed || !base.is_empty());
                baked.push_str(&format!("; Path={base}{of}"));
            } else if name.eq_ignore_ascii_case("domain") && !self.base.is_the_targets {
                // It is for whoever gave it, and all targets of the gateway may be under one name.
                is_changed = true;
            } else {
                baked.push_str(&format!(";{part}"));
            }
        }
        if !has_path && !base.is_empty() {
            is_changed = true;
            baked.push_str(&format!("; Path={base}/"));
        }
        is_changed.then_some(baked)
    }
}

/// Where a sign stands first outside of quotation marks; the text's end if nowhere.
fn unquoted(text: &str, sign: char) -> usize {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let found = text.char_indices().find(|(_, char)| {
        let is_it = *char == sign && !is_quoted;
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        is_it
    });
    found.map_or(text.len(), |(at, _)| at)
}

/// A way to write the target's address, and what stands in its place.
struct Form {
    finder: memmem::Finder<'static>,
    to: Vec<u8>,
}

impl Form {
    fn origin(&self) -> &[u8] {
        self.finder.needle()
    }
}

/// Has the target's address in bodies lead through the gateway, as it stands and as it stands in JSON.
pub(crate) struct Relinker {
    forms: [Form; 2],
    /// The end of what came, which may be the beginning of one.
    held: Vec<u8>,
    /// How much longer the body may become by it, in bytes.
    room: usize,
}

impl Relinker {
    /// `None` where the client calls the target by its own address, or does not say how. A body becomes no more than
    /// `bytes_max` longer.
    pub(crate) fn new(links: &Links<'_>, bytes_max: usize) -> Option<Self> {
        let to = format!("{}{}", links.base.origin, links.base.path);
        if links.base.origin.is_empty() || to == links.origin {
            return None;
        }
        let form = |slash: &str| Form {
            finder: memmem::Finder::new(&links.origin.replace('/', slash)).into_owned(),
            to: to.replace('/', slash).into_bytes(),
        };
        Some(Self { forms: [form("/"), form("\\/")], held: Vec::new(), room: bytes_max })
    }

    /// What is seen of a part of a body.
    pub(crate) fn pass(&mut self, part: &[u8]) -> Result<Vec<u8>, Breach> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(part);
        let begun = self.begun(&bytes);
        let mut out = Vec::with_capacity(bytes.len());
        let end = self.lead(&bytes, bytes.len() - begun, &mut out)?;
        self.held = bytes.split_off(end);
        Ok(out)
    }

    /// What is seen of the rest of it.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, Breach> {
        let bytes = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(bytes.len());
        self.lead(&bytes, bytes.len(), &mut out)?;
        Ok(out)
    }

    /// Writes what begins before `end`, with what stands in its place, and says where that ends.
    fn lead(&mut self, bytes: &[u8], end: usize, out: &mut Vec<u8>) -> Result<usize, Breach> {
        let after = |form: &Form, from: usize| Some(from + form.finder.find(bytes.get(from..)?)?);
        // Where each form stands next: what was found is looked for again only once it was passed.
        let mut places = self.forms.each_ref().map(|form| after(form, 0));
        let mut from = 0;
        loop {
            let next = places.iter().enumerate().filter_map(|(form, at)| Some(((*at)?, form))).min();
            let Some((at, found)) = next.filter(|(at, _)| *at < end) else { break };
            let Some(form) = self.forms.get(found) else { break };
            let over = at + form.origin().len();
            // Another host's name, or another port, may begin so.
            let is_whole =
                bytes.get(over).is_none_or(|next| !next.is_ascii_alphanumeric() && !b".:-_@%".contains(next));
            let shown = if is_whole { form.to.as_slice() } else { form.origin() };
            self.room = self.room.checked_sub(shown.len().saturating_sub(over - at)).ok_or_else(|| {
                Breach::target("an answer becomes too long by the links in it that lead through the gateway")
            })?;
            out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
            out.extend_from_slice(shown);
            from = over;
            for (place, form) in places.iter_mut().zip(&self.forms) {
                if place.is_some_and(|place| place < from) {
                    *place = after(form, from);
                }
            }
        }
        let end = end.max(from);
        out.extend_from_slice(bytes.get(from..end).unwrap_or_default());
        Ok(end)
    }

    /// How much of the end may be the beginning of one, or one whose next byte is not there yet.
    fn begun(&self, bytes: &[u8]) -> usize {
        let longest = self.forms.iter().map(|form| form.origin().len()).max().unwrap_or_default();
        let is_begun = |len: &usize| {
            let end = bytes.get(bytes.len() - len..).unwrap_or_default();
            self.forms.iter().any(|form| form.origin().starts_with(end))
        };
        (1..=longest.min(bytes.len())).rev().find(is_begun).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://api.internal:8443";

    fn changed(base: &str, name: &str, value: &str) -> String {
        let links = Links { origin: ORIGIN, base: &Base::read(base), proves_itself: false, rider: None };
        let changed = links.changed(name, value.as_bytes());
        changed.map_or_else(|| "as it is".into(), |value| String::from_utf8(value).unwrap())
    }

    #[test]
    fn fields_lead_the_way_that_the_client_came() {
        let (path, name, own) = ("https://gw:1/http/api", "https://api.gw.example", ORIGIN);
        for (base, field, value, expected) in [
            (path, "location", "https://api.internal:8443/x?y#z", "/http/api/x?y#z"),
            (path, "location", "https://api.internal:8443", "/http/api"),
            (path, "location", "/x", "/http/api/x"),
            (path, "location", "//other/x", "as it is"),
            (path, "location", "https://api.internal:84431/x", "as it is"),
            (path, "location", "x", "as it is"),
            (name, "location", "https://api.internal:8443/x", "/x"),
            (name, "location", "https://api.internal:8443?x", "/?x"),
            (name, "location", "/x", "as it is"),
            (own, "location", "https://api.internal:8443/x", "as it is"),
            (
                path,
                "link",
                "</a>; rel=next, <https://o.example/b>; rel=\"<\"",
                "</http/api/a>; rel=next, <https://o.example/b>; rel=\"<\"",
            ),
            (path, "link", "<https://api.internal:8443/a?page=2>; rel=\"next\"", "</http/api/a?page=2>; rel=\"next\""),
            (path, "link", "</a>; title=\"a < b\", </c>", "</http/api/a>; title=\"a < b\", </http/api/c>"),
            (path, "refresh", "5; URL = '/x'", "5; url=/http/api/x"),
            (path, "set-cookie", "a=b", "a=b; Path=/http/api/"),
            (path, "set-cookie", "a=b; Path=/x; HttpOnly", "a=b; Path=/http/api/x; HttpOnly"),
            (name, "set-cookie", "a=b; Domain=api.internal; Path=/x", "a=b; Path=/x"),
            (name, "set-cookie", "a=b; Domain=.gw.example; Path=/x", "a=b; Path=/x"),
            ("=https://api.corp.example", "set-cookie", "a=b; Domain=corp.example; Path=/x", "as it is"),
            (path, "set-cookie", "a=b; Path =/http/victim/", "a=b; Path=/http/api/http/victim/"),
            (path, "set-cookie", "path=/x; Secure", "path=/x; Secure; Path=/http/api/"),
            (name, "set-cookie", "domain=eu; Domain =api.internal; Secure", "domain=eu; Secure"),
            (path, "date", "/x", "as it is"),
        ] {
            assert_eq!(changed(base, field, value), expected, "{base} {field} {value}");
        }
    }

    #[test]
    fn addresses_in_bodies_lead_there_too_however_they_are_split() {
        let body = r#"{"next": "https://api.internal:8443/x?page=2", "e": "https:\/\/api.internal:8443\/y", "o": "https://api.internal:84431/", "at": "https://api.internal:8443"} https://api.internal:8443"#;
        let expected = r#"{"next": "http://gw:1/http/api/x?page=2", "e": "http:\/\/gw:1\/http\/api\/y", "o": "https://api.internal:84431/", "at": "http://gw:1/http/api"} http://gw:1/http/api"#;
        let base = Base::read("http://gw:1/http/api");
        for size in 1..=body.len() {
            let links = Links { origin: ORIGIN, base: &base, proves_itself: false, rider: None };
            let mut relinker = Relinker::new(&links, 1024).unwrap();
            let mut shown: Vec<u8> =
                body.as_bytes().chunks(size).flat_map(|part| relinker.pass(part).unwrap()).collect();
            shown.extend(relinker.finish().unwrap());
            assert_eq!(String::from_utf8(shown).unwrap(), expected, "{size}");
        }
        let none = |url: &str| {
            let links = Links { origin: ORIGIN, base: &Base::read(url), proves_itself: false, rider: None };
            Relinker::new(&links, 1024)
        };
        assert!(none(ORIGIN).is_none() && none("/http/api").is_none());
        let links = Links { origin: "http://a", base: &base, proves_itself: false, rider: None };
        let many = "http://a ".repeat(200);
        assert!(Relinker::new(&links, 1024).unwrap().pass(many.as_bytes()).is_err(), "it becomes no longer than that");
    }
}
