//! The model of `[recognizer]`, where the gateway was built to have one.

use std::path::Path;
use std::sync::Arc;

use gatehouse_mask::Recognizer;

use crate::config::RecognizerSection;

/// What mends a model that cannot be used.
#[cfg(feature = "recognizer")]
pub(crate) const REMEDY: &str = "Export a token classification model to ONNX, with its tokenizer.json and config.json";
#[cfg(not(feature = "recognizer"))]
pub(crate) const REMEDY: &str =
    "Build it with `cargo build --release --locked -p gatehouse --features recognizer`, or take the section out";

/// Loads the model, or says which key is wrong and why.
#[cfg(not(feature = "recognizer"))]
pub(crate) fn load(_: &RecognizerSection, _: &Path) -> Result<Arc<dyn Recognizer>, (&'static str, String)> {
    Err(("model", "this gateway was built without the feature `recognizer`".into()))
}

#[cfg(feature = "recognizer")]
pub(crate) use with_model::load;

#[cfg(feature = "recognizer")]
mod with_model {
    use std::path::PathBuf;
    use std::sync::{Mutex, PoisonError};
    use std::time::SystemTime;

    use gatehouse_recognizer::{Labels, LoadError, Model, Settings};

    use super::{Arc, Path, Recognizer, RecognizerSection};

    /// What a model was loaded from: as long as nothing of it changes, a new configuration has the same.
    type Origin = (RecognizerSection, Vec<(PathBuf, Option<SystemTime>)>);

    static LOADED: Mutex<Option<(Origin, Arc<Model>)>> = Mutex::new(None);

    /// Loads the model, or says which key is wrong and why.
    pub(crate) fn load(
        section: &RecognizerSection,
        base: &Path,
    ) -> Result<Arc<dyn Recognizer>, (&'static str, String)> {
        let files = [&section.model, &section.tokenizer, &section.labels].map(|file| base.join(file));
        let changed = |file: &PathBuf| std::fs::metadata(file).and_then(|about| about.modified()).ok();
        let from = (section.clone(), files.iter().map(|file| (file.clone(), changed(file))).collect());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, model)) = &*loaded
            && *known == from
        {
            return Ok(model.clone());
        }
        let read = |key: &'static str, file: &PathBuf| {
            std::fs::read(file).map_err(|error| (key, format!("{} cannot be read: {error}", file.display())))
        };
        let [model, tokenizer, labels] = &files;
        let labels = String::from_utf8(read("labels", labels)?).map_err(|error| ("labels", error.to_string()))?;
        let labels = Labels::read(&labels, &section.persons, &section.addresses).map_err(|error| ("labels", error))?;
        let (tokens_max, score_min, value_bytes_max) = (section.tokens_max, section.score_min, section.value_bytes_max);
        let (model, tokenizer) = (&*read("model", model)?, &*read("tokenizer", tokenizer)?);
        let settings = Settings { model, tokenizer, labels, tokens_max, score_min, value_bytes_max };
        let model = Model::load(settings).map_err(|error| match error {
            LoadError::Model(_) => ("model", error.to_string()),
            LoadError::Tokenizer(_) => ("tokenizer", error.to_string()),
        })?;
        let model = Arc::new(model);
        *loaded = Some((from, model.clone()));
        Ok(model)
    }
}
