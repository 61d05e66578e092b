//! What the gateway would make of a statement, on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that a client could ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExplanation {
    /// Of which target.
    pub target: String,
    /// What: SQL; `GET /path`, then fields and, after an empty line, a body; or a tool of MCP with its arguments.
    pub statement: String,
    /// By whom: `user:NAME` or `agent:NAME`. The caller themselves where not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// For whom: `user:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
}

/// What the gateway would make of it. Nothing was sent to the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplanationView {
    /// Of which target.
    pub target: String,
    /// By whom.
    pub identity: String,
    /// For whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// What it is, in a word or two.
    pub title: String,
    /// `read` or `write`: whether it can change the target.
    pub effect: String,
    /// `allow`, `hold` or `deny`.
    pub verdict: String,
    /// The policies that made it so.
    pub policies: Vec<String>,
    /// How many of each group would have to approve.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hold: BTreeMap<String, u32>,
    /// Why, where it would be held or denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// What it wants, each with what is decided of it.
    pub accesses: Vec<ExplainedAccess>,
    /// What policies can test.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// What would come back; absent where that shows only when it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<ExplainedColumn>>,
    /// The policies it was decided by.
    pub revision: String,
}

/// Something that it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedAccess {
    /// The action.
    pub action: String,
    /// On what: its kind and its id.
    pub resource: String,
    /// The classes that it is of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// `allow`, `hold` or `deny`.
    pub verdict: String,
    /// The policies that made it so.
    pub policies: Vec<String>,
}

/// A column of what would come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedColumn {
    /// Its name; `*` for any number of them.
    pub name: String,
    /// `copy` of a column as it stands, `derived` from columns, `clean` of anything classified, or `unknown`.
    pub source: String,
    /// The columns that it is of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// `clear`; `scanned`, where what detectors find is masked; `masked`; or `hidden` whole.
    pub shown: String,
    /// The class that it is masked as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
}
