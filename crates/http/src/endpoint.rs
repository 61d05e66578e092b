//! What the target's own document calls a request, by the templates of its paths.

use std::borrow::Cow;
use std::cmp::Reverse;

use gatehouse_protocol::Endpoint;
use memchr::memmem;

use crate::answer::percent_decoded;

/// The endpoint whose template says most of a path: the fewest segments of which nothing is said, then the fewest variables, then
/// the longest text around them.
///
/// `judged` makes of a template what is made of a path before it is judged.
pub(crate) fn best<'e>(
    endpoints: &'e [Endpoint],
    method: &str,
    path: &str,
    judged: &dyn for<'t> Fn(&'t str) -> Cow<'t, str>,
) -> Option<&'e Endpoint> {
    let segments = segments(path);
    let of_method = |method: &str| {
        let of_method = endpoints.iter().filter(|endpoint| endpoint.method == method);
        let fitting = of_method.filter(|endpoint| fits(&judged(&endpoint.template), &segments));
        fitting.min_by_key(|endpoint| {
            let template = endpoint.template.as_str();
            let is_open = |part: &&str| literals(part).iter().all(|literal| literal.is_empty()) && !part.is_empty();
            let literal: usize = template.split('/').flat_map(literals).map(str::len).sum();
            (template.split('/').filter(is_open).count(), template.matches('{').count(), Reverse(literal))
        })
    };
    // Whoever may be asked for something may be asked for its head (RFC 9110, section 9.3.2).
    of_method(method).or_else(|| (method == "HEAD").then(|| of_method("GET")).flatten())
}

/// The segments of a path, each as it is written and without its escapes: servers read both as the same, `/jobs/7%3Acancel` as
/// `/jobs/7:cancel`.
fn segments(path: &str) -> Vec<(&str, Vec<u8>)> {
    path.split('/').map(|segment| (segment, percent_decoded(segment.as_bytes()))).collect()
}

/// Whether a template is of a path.
fn fits(template: &str, segments: &[(&str, Vec<u8>)]) -> bool {
    let parts = template.split('/');
    parts.clone().count() == segments.len()
        && parts.zip(segments).all(|(part, (segment, plain))| part == *segment || fits_segment(part, plain))
}

/// Whether a segment is what a part of a template says, such as `{id}.json` or `{name}:cancel`. No variable is empty.
fn fits_segment(part: &str, segment: &[u8]) -> bool {
    let literals = literals(part);
    let [first, between @ .., last] = literals.as_slice() else { return segment == part.as_bytes() };
    let within = segment.strip_prefix(first.as_bytes()).and_then(|rest| rest.strip_suffix(last.as_bytes()));
    let Some(mut rest) = within else { return false };
    for literal in between {
        // The earliest place leaves most for what follows.
        let found = rest.get(1..).and_then(|rest| memmem::find(rest, literal.as_bytes()));
        let Some(at) = found else { return false };
        rest = rest.get(1 + at + literal.len()..).unwrap_or_default();
    }
    !rest.is_empty()
}

/// The texts around the variables of a part of a template: one more than there are variables.
fn literals(part: &str) -> Vec<&str> {
    let (mut literals, mut rest) = (Vec::new(), part);
    while let Some((literal, variable)) = rest.split_once('{')
        && let Some((_, after)) = variable.split_once('}')
    {
        literals.push(literal);
        rest = after;
    }
    literals.push(rest);
    literals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_fit_what_they_say() {
        let fits = |template: &str, path: &str| super::fits(template, &segments(path));
        for (template, path) in [
            ("/people/{id}", "/people/7"),
            ("/people/{id}.json", "/people/7.json"),
            ("/people/{id}.json", "/people/a.json.json"),
            ("/jobs/{name}:cancel", "/jobs/7:cancel"),
            ("/jobs/{name}:cancel", "/jobs/7%3Acancel"),
            ("/{from}-{to}/x", "/a-b-c/x"),
            ("/{a}{b}", "/ab"),
            ("/caf%C3%A9", "/caf%C3%A9"),
            ("/café/{id}", "/caf%C3%A9/1"),
            ("/{odd", "/{odd"),
        ] {
            assert!(fits(template, path), "{template} {path}");
        }
        for (template, path) in [
            ("/people/{id}", "/people/"),
            ("/people/{id}", "/people/7/more"),
            ("/people/{id}.json", "/people/.json"),
            ("/people/{id}.json", "/people/7.jsonp"),
            ("/jobs/{name}:cancel", "/jobs/7"),
            ("/jobs/{name}:cancel", "/jobs/7:cancel:not"),
            ("/{from}-{to}/x", "/ab/x"),
            ("/{from}-{to}/x", "/-b/x"),
            ("/{from}-{to}/x", "/a-/x"),
            ("/{a}{b}", "/a"),
        ] {
            assert!(!fits(template, path), "{template} {path}");
        }
    }

    #[test]
    fn the_template_that_says_most_counts() {
        let templates = ["/{any}", "/{id}.json", "/{id}", "/{from}-{to}", "/me", "/jobs/{name}", "/jobs/{name}:cancel"];
        let endpoint = |template: &str| Endpoint { method: "GET".into(), template: template.into(), operation: None };
        let endpoints = templates.map(endpoint);
        let best = |method: &str, path: &str| {
            best(&endpoints, method, path, &|template| template.into()).map(|endpoint| endpoint.template.clone())
        };
        for (path, template) in [
            ("/7", Some("/{any}")),
            ("/7.json", Some("/{id}.json")),
            ("/a-b", Some("/{from}-{to}")),
            ("/me", Some("/me")),
            ("/jobs/7", Some("/jobs/{name}")),
            ("/jobs/7:cancel", Some("/jobs/{name}:cancel")),
            ("/jobs/7%3Acancel", Some("/jobs/{name}:cancel")),
            ("/jobs/7/8", None),
        ] {
            assert_eq!(best("GET", path).as_deref(), template, "{path}");
            assert_eq!(best("HEAD", path).as_deref(), template, "{path}");
            assert_eq!(best("POST", path), None);
        }
    }
}
