//! What a model's labels mean here.

use std::collections::BTreeMap;

use gatehouse_mask::Detector;
use serde_json::Value;

/// How the beginning, the inside and the end of something are told apart in labels, before a dash.
const PLACES: [&str; 6] = ["B", "I", "E", "S", "L", "U"];

/// What each of a model's outputs stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<Option<Detector>>);

impl Labels {
    /// Reads `id2label` of a model's `config.json`: labels that are among `persons` or `addresses`, whatever their case and
    /// without what says at which place of something a token is, as in `B-PER`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(config: &str, persons: &[String], addresses: &[String]) -> Result<Self, String> {
        let config: Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let named = config.get("id2label").and_then(Value::as_object).ok_or("it has no `id2label`")?;
        let mut labels = BTreeMap::new();
        for (id, label) in named {
            let id: usize = id.parse().map_err(|_| format!("`{id}` is no number of a label"))?;
            let label = label.as_str().ok_or_else(|| format!("label {id} is no text"))?;
            labels.insert(id, meaning(label, persons, addresses));
        }
        if !labels.keys().copied().eq(0..labels.len()) {
            return Err("the numbers of its labels have gaps".into());
        }
        if labels.values().all(Option::is_none) {
            return Err("none of its labels is a person's name or an address: see `persons` and `addresses`".into());
        }
        Ok(Self(labels.into_values().collect()))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn of(&self, place: usize) -> Option<Detector> {
        self.0.get(place).copied().flatten()
    }
}

fn meaning(label: &str, persons: &[String], addresses: &[String]) -> Option<Detector> {
    let name = match label.split_once('-') {
        Some((place, name)) if PLACES.contains(&place) => name,
        Some(_) | None => label,
    };
    let is_among = |names: &[String]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
    if is_among(persons) {
        return Some(Detector::PersonName);
    }
    is_among(addresses).then_some(Detector::PostalAddress)
}
