//! Masking: which class a column is of, what sensitive values look like in text, and what stands in their place.
//!
//! Knows classes, detectors and transforms over bytes. Knows nothing of protocols, policies, connections or where a
//! configuration is stored; whether a class is revealed is asked of the caller, column by column, once per result.

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

mod builtin;
mod class;
mod detect;
mod document;
mod fields;
mod json;
mod partial;
mod plan;
mod pseudonym;
mod replace;
mod texts;

pub use class::{Assignment, ClassError, ClassRule, Classes, Transform};
pub use detect::{Detector, Detectors, NotLooked, Recognized, Recognizer};
pub use fields::{FieldPath, Fields, PathError};
pub use plan::{ColumnPlan, Counts, Outcome, Plan};
pub use pseudonym::PseudonymKey;
