//! Texts that are read from answers and erased afterwards.

use gatehouse_model::Secret;
use serde::Deserialize;
use zeroize::Zeroize as _;

/// A text that is erased when it is dropped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<&Text> for Secret {
    fn from(text: &Text) -> Self {
        Self::new(text.0.as_str())
    }
}
