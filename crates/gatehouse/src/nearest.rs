//! Which name somebody may have meant who wrote another.
//!
//! Knows how far two words are from each other; must not know what they name.

/// How far a word may be from the one that was meant: so many of its letters are one typed wrong.
const LETTERS_PER_MISTAKE: usize = 3;

/// The name nearest to a word, if it is near enough to have been meant.
pub(crate) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |name: &'n str| (strsim::osa_distance(word, name), name);
    let (distance, name) = names.into_iter().map(distance).min()?;
    let is_near = distance <= (word.chars().count() / LETTERS_PER_MISTAKE).max(1);
    is_near.then_some(name)
}

/// The same, as a question behind what is said of the word.
pub(crate) fn did_you_mean<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(word, names).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_was_meant() {
        let names = ["user", "password", "protocol", "hold_secs_max", "on_hold"];
        for (word, expected) in [
            ("usre", Some("user")),
            ("pasword", Some("password")),
            ("hold_sec_max", Some("hold_secs_max")),
            ("onhold", Some("on_hold")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
        assert_eq!(nearest("user", std::iter::empty()), None);
        assert_eq!(did_you_mean("usre", names), "; did you mean `user`?");
        assert_eq!(did_you_mean("colour", names), "");
    }
}
