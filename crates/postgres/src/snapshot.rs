//! A catalog as text, for tests of policies where there is no database: a JSON object to a line.
//!
//! Knows the form of the text. What it means is the catalog's business.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, FunctionInfo, Making, Parts, Relation, TypeInfo};

/// The form that is written and read here.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Form(u32),
    SearchPath(Vec<Arc<str>>),
    Relation(Relation),
    Function(FunctionInfo),
    Operator(Arc<str>),
    Type(TypeInfo),
    Making(Making),
}

/// Writes a catalog.
pub(crate) fn write(catalog: &Catalog) -> String {
    // What code is, no policy asks.
    let Parts { relations, functions, operators, types, makings, search_path, code: _ } = catalog.parts();
    let lines = [Line::Form(FORM), Line::SearchPath(search_path)].into_iter();
    let lines = lines.chain(relations.into_iter().map(Line::Relation));
    let lines = lines.chain(functions.into_iter().map(Line::Function));
    let lines = lines.chain(operators.into_iter().map(Line::Operator));
    let lines = lines.chain(types.into_iter().map(Line::Type));
    let lines = lines.chain(makings.into_iter().map(Line::Making));
    // Text, numbers and lists of them are always written.
    lines.map(|line| serde_json::to_string(&line).unwrap_or_default() + "\n").collect()
}

/// Reads it back; an error names its line, from 1.
pub(crate) fn read(text: &str) -> Result<Catalog, (usize, String)> {
    let mut parts = Parts::default();
    let mut form = None;
    for (place, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line = serde_json::from_str(line).map_err(|error| (place + 1, error.to_string()))?;
        if form.is_none() && !matches!(line, Line::Form(_)) {
            break;
        }
        match line {
            Line::Form(found) if found != FORM => {
                return Err((place + 1, format!("its form is {found}, and {FORM} is what is read here")));
            }
            Line::Form(found) => form = Some(found),
            Line::SearchPath(schemas) => parts.search_path = schemas,
            Line::Relation(relation) => parts.relations.push(relation),
            Line::Function(function) => parts.functions.push(function),
            Line::Operator(name) => parts.operators.push(name),
            Line::Type(kind) => parts.types.push(kind),
            Line::Making(making) => parts.makings.push(making),
        }
    }
    match form {
        Some(_) if !parts.relations.is_empty() && !parts.functions.is_empty() => Ok(Catalog::new(parts)),
        Some(_) => Err((1, "it holds no relations or no functions".into())),
        None => Err((1, "it does not begin with its form".into())),
    }
}
