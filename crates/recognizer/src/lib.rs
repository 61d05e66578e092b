//! Finds names of persons and their addresses in texts, by a model of language that its operator brings.
//!
//! Knows models in ONNX that class the tokens of a text, with a tokenizer and labels as Hugging Face writes them. Knows
//! nothing of classes or masks. Values are looked at on the caller's thread, for milliseconds each.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests may fail"
    )
)]

mod labels;
mod model;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod spans;

pub use labels::Labels;
pub use model::{LoadError, Model, Settings};

#[cfg(test)]
mod tests;
