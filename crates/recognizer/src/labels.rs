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

    /// What the scores of a token make it likeliest to be of what is looked for, and how likely that is: whatever place in a name
    /// it has. Nothing if a score is no number.
    pub(crate) fn likeliest(&self, scores: &[f32]) -> Option<(Detector, f32)> {
        let highest = scores.iter().copied().max_by(f32::total_cmp).filter(|highest| highest.is_finite())?;
        let weights: Vec<f32> = scores.iter().map(|score| (score - highest).exp()).collect();
        let sum: f32 = weights.iter().sum();
        let of = |detector: Detector| {
            let labelled = self.0.iter().zip(&weights).filter(move |(label, _)| **label == Some(detector));
            (detector, labelled.map(|(_, weight)| weight / sum).sum::<f32>())
        };
        let (person, address) = (of(Detector::PersonName), of(Detector::PostalAddress));
        sum.is_finite().then_some(if person.1 >= address.1 { person } else { address })
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
