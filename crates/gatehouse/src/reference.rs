//! The generated references: the configuration's keys, the API's document, the commands.

use std::borrow::Cow;

use anyhow::{Result, bail};
use clap::CommandFactory as _;
use serde_json::Value;

use crate::cli::Cli;
use crate::config::Config;

/// A reference, by name.
pub(crate) fn reference(which: &str) -> Result<String> {
    match which {
        "configuration" => Ok(configuration()),
        "openapi" => Ok(gatehouse_api::openapi()),
        "commands" => Ok(commands()),
        other => bail!("there is no reference `{other}`: ask for configuration, openapi or commands"),
    }
}

/// A Markdown page of every section and key.
fn configuration() -> String {
    let schema = schemars::schema_for!(Config);
    let schema = schema.as_value();
    let mut page = String::from(
        "# Configuration reference\n\nGenerated from the types that read the file (`gatehouse reference configuration`).\n\
         `gatehouse check` names every mistake by file, line and remedy; a key that there is not, alone, for then nothing else is read.\n\
         Changes are taken over within two seconds, or on\n\
         SIGHUP, all at once or not at all; `listen`, `api`, `admin`, `gateway` and most `limits` are read at the start only.\n",
    );
    section(schema, "", schema, &mut page);
    page
}

fn section(root: &Value, path: &str, schema: &Value, page: &mut String) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let mut inner: Vec<Inner<'_>> = Vec::new();
    let mut rows = String::new();
    for (name, property) in properties {
        let target = resolved(root, property);
        let described = text(property, "description").or_else(|| text(target, "description")).unwrap_or_default();
        let map = target
            .get("additionalProperties")
            .map(|value| resolved(root, value))
            .filter(|value| value.get("properties").is_some());
        if let Some(value) = map {
            let schema = Cow::Borrowed(value);
            inner.push(Inner { path: join(path, &format!("{name}.NAME")), described, schema, is_list: false });
        } else if target.get("properties").is_some() {
            inner.push(Inner { path: join(path, name), described, schema: Cow::Borrowed(target), is_list: false });
        } else {
            if let Some(schema) = any_of_tables(target) {
                inner.push(Inner { path: join(path, name), described, schema: Cow::Owned(schema), is_list: false });
            } else if let Some(items) = items_with_keys(root, target) {
                inner.push(Inner { path: join(path, name), described, schema: Cow::Borrowed(items), is_list: true });
            }
            let default = property.get("default").map(|value| format!("`{value}`")).unwrap_or_default();
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|all| all.contains(&Value::from(name.as_str())));
            let default = if required { "(required)".into() } else { default };
            rows.push_str(&format!(
                "| `{name}` | {} | {default} | {} |\n",
                kind(root, target),
                described.replace('\n', " ")
            ));
        }
    }
    if !rows.is_empty() {
        page.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
        page.push_str(&rows);
    }
    for Inner { path, described, schema, is_list } in inner {
        let heading = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
        page.push_str(&format!("\n## `{heading}`\n\n{described}\n"));
        section(root, &path, &schema, page);
    }
}

/// What has a section of its own below another.
struct Inner<'s> {
    path: String,
    described: &'s str,
    schema: Cow<'s, Value>,
    /// There may be several, one after the other.
    is_list: bool,
}

/// What is one of several tables of one key, as a table that has the keys of all.
fn any_of_tables(schema: &Value) -> Option<Value> {
    let mut properties = serde_json::Map::new();
    for one in schema.get("oneOf")?.as_array()? {
        for (name, property) in one.get("properties")?.as_object()? {
            let mut property = property.clone();
            if let (Some(description), Some(property)) = (one.get("description"), property.as_object_mut()) {
                property.entry("description").or_insert_with(|| description.clone());
            }
            properties.insert(name.clone(), property);
        }
    }
    Some(serde_json::json!({ "properties": properties }))
}

/// What a list holds, where that is tables with keys of their own.
fn items_with_keys<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let items = resolved(root, schema.get("items")?);
    items.get("properties").is_some().then_some(items)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

/// Follows references, and the non-null alternative of an optional value.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = text(schema, "$ref").and_then(|path| path.strip_prefix("#/$defs/")) {
        return root.pointer(&format!("/$defs/{name}")).unwrap_or(schema);
    }
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    match alternatives.and_then(|all| all.iter().find(|one| text(one, "type") != Some("null"))) {
        Some(one) => resolved(root, one),
        None => schema,
    }
}

fn kind(root: &Value, schema: &Value) -> String {
    if let Some(all) = schema.get("oneOf").and_then(Value::as_array) {
        let words: Vec<String> =
            all.iter().filter_map(|one| text(one, "const")).map(|word| format!("`\"{word}\"`")).collect();
        // What has no word of its own is a table of one key.
        return if words.is_empty() { "table".into() } else { words.join(", ") };
    }
    if let Some(all) = schema.get("anyOf").and_then(Value::as_array) {
        return all.iter().map(|one| kind_of_items(root, one)).collect::<Vec<_>>().join(" or ");
    }
    let named = |kind: &str| match kind {
        "array" => {
            format!("list of {}", schema.get("items").map(|items| kind_of_items(root, items)).unwrap_or_default())
        }
        "object" => "table".into(),
        kind => kind.into(),
    };
    match schema.get("type") {
        Some(Value::String(kind)) => named(kind),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.map(named).collect::<Vec<_>>().join(" or ")
        }
        _ => String::new(),
    }
}

fn kind_of_items(root: &Value, items: &Value) -> String {
    kind(root, resolved(root, items))
}

/// A Markdown page of every command.
fn commands() -> String {
    let mut page = String::from("# Commands\n\nGenerated from the program (`gatehouse reference commands`).\n");
    let mut root = Cli::command();
    root.build();
    let all: Vec<clap::Command> = root.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    for command in all.into_iter().filter(|command| command.get_name() != "help") {
        describe(&command, &mut page);
        let inner: Vec<clap::Command> =
            command.get_subcommands().filter(|inner| inner.get_name() != "help").cloned().collect();
        inner.iter().for_each(|inner| describe(inner, &mut page));
    }
    page
}

fn describe(command: &clap::Command, page: &mut String) {
    let name = command.get_display_name().unwrap_or(command.get_name()).replace('-', " ");
    let help = command
        .clone()
        .disable_help_flag(true)
        .disable_version_flag(true)
        .term_width(100)
        .render_long_help()
        .to_string();
    let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", help.trim()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_tells_types_defaults_and_keys_of_tables_in_lists() {
        let page = configuration();
        for expected in [
            "| `on_hold` | `\"wait\"`, `\"refuse\"` | `\"wait\"` |",
            "| `login` | `\"password\"`, `\"oauth\"` | `\"password\"` |",
            "| `audience` | string or list of string | (required) |",
            "| `credential` | table |  |",
            "| `path` | string |  |",
            "| `names` | list of string |  |",
            "\n## `[[issuers.NAME.agents]]`\n",
            "\n## `[targets.NAME.credential]`\n",
            "\n## `[targets.NAME.credential.basic]`\n",
            "| `bearer` | string |  | A token, as `Authorization: Bearer`. |",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }
}
