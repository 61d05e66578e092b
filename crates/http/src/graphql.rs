//! What a GraphQL document asks for: every field that is selected, by its path from the root.
//!
//! Knows the language, not the target's schema. A field whose name is of a class keeps that name in the answer, or else asks to
//! be revealed: by another name its values would not be known.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_model::{Access, Action, Denial, Parent, Resource, TargetName, kind};
use graphql_parser::query::{Definition, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet};
use serde_json::Value;

use crate::columns::Columns;
use crate::request::not_taken;
use crate::said;

const QUERY: Action = Action::new("graphql:query");
const MUTATION: Action = Action::new("graphql:mutation");
const SUBSCRIPTION: Action = Action::new("graphql:subscription");
/// How many documents a request may have, how many fields they may select, fragments followed, and how deep.
const DOCUMENTS_MAX: usize = 32;
const FIELDS_MAX: usize = 1_000;
const DEPTH_MAX: usize = 32;
/// The longest document that is read, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// What a request to a path of GraphQL's asks for besides the request itself.
pub(crate) fn accesses(
    target: &TargetName,
    query: &str,
    is_json: bool,
    body: Option<&[u8]>,
    columns: &Columns,
) -> Result<Vec<Access>, Denial> {
    let mut documents: Vec<(String, Option<String>)> = Vec::new();
    // Servers differ in which names are the same, and in what parts one from the next.
    let standing = said::names_as_servers_read(query.as_bytes());
    let parameter = |wanted: &str| -> Result<Option<String>, Denial> {
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == wanted);
        let count = standing.get(&said::folded(wanted)).copied().unwrap_or_default();
        match (found.next(), count) {
            (None, 0) => Ok(None),
            (Some((_, value)), 1) => Ok(Some(value.into_owned())),
            (Some(_), _) => Err(unclear("a parameter of it stands twice")),
            (None, _) => Err(unclear("a parameter of it is written otherwise than it is called")),
        }
    };
    for kept in ["documentId", "extensions"] {
        if parameter(kept)?.is_some() {
            return Err(unclear("its address names a document that the server keeps"));
        }
    }
    let has_body = body.is_none_or(|body| !body.iter().all(u8::is_ascii_whitespace));
    match (parameter("query")?, parameter("operationName")?) {
        (None, None) => {}
        // Servers differ in which of both goes first.
        (_, _) if has_body => return Err(unclear("it asks both in its address and in its body")),
        (Some(document), operation) => documents.push((document, operation)),
        (None, Some(_)) => return Err(unclear("it has no `query`")),
    }
    match body {
        Some(body) if body.iter().all(u8::is_ascii_whitespace) => {}
        Some(body) if is_json => {
            let asked: Value = serde_json::from_slice(body).map_err(|_| unclear("its body is no JSON"))?;
            // Several may be asked at a time.
            let asked = asked.as_array().cloned().unwrap_or_else(|| vec![asked]);
            for one in asked {
                let is_kept = |name: &str, of: &Value| of.get(name).is_some_and(|kept| !kept.is_null());
                let extensions = one.get("extensions").unwrap_or(&Value::Null);
                if is_kept("documentId", &one) || is_kept("id", &one) || is_kept("persistedQuery", extensions) {
                    return Err(unclear("it names a document that the server keeps"));
                }
                let text = |name: &str| one.get(name).and_then(Value::as_str).map(String::from);
                documents.push((text("query").ok_or_else(|| unclear("it has no `query`"))?, text("operationName")));
            }
        }
        Some(_) | None => return Err(unclear("its body is not JSON that was read")),
    }
    if documents.is_empty() {
        return Err(unclear("it has no `query`"));
    }
    if documents.len() > DOCUMENTS_MAX {
        return Err(unclear("it asks too many things at a time"));
    }
    let (mut found, mut fields) = (BTreeSet::new(), 0);
    for (text, operation) in documents {
        fields = read(target, &text, operation.as_deref(), columns, &mut found, fields)?;
    }
    Ok(found.into_iter().collect())
}

fn unclear(why: &str) -> Denial {
    not_taken(&format!("the GraphQL of this request is not understood: {why}"), "Send a document as JSON, in `query`")
}

fn read(
    target: &TargetName,
    text: &str,
    operation: Option<&str>,
    columns: &Columns,
    found: &mut BTreeSet<Access>,
    fields: usize,
) -> Result<usize, Denial> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(unclear("the document is too long"));
    }
    // The parser goes as deep as the text does.
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest > 2 * DEPTH_MAX {
        return Err(unclear("it is nested too deeply"));
    }
    let document: Document<'_, &str> =
        graphql_parser::parse_query(text).map_err(|_| unclear("it is no document of the language"))?;
    let mut fragments = BTreeMap::new();
    for definition in &document.definitions {
        if let Definition::Fragment(fragment) = definition {
            fragments.insert(fragment.name, fragment);
        }
    }
    let mut reader = Reader { target, columns, fragments, found, fields, is_one: false };
    for definition in &document.definitions {
        let Definition::Operation(one) = definition else { continue };
        let (name, action, root, selected) = match one {
            OperationDefinition::SelectionSet(selected) => (None, QUERY, "query", selected),
            OperationDefinition::Query(query) => (query.name, QUERY, "query", &query.selection_set),
            OperationDefinition::Mutation(mutation) => (mutation.name, MUTATION, "mutation", &mutation.selection_set),
            OperationDefinition::Subscription(subscription) => {
                (subscription.name, SUBSCRIPTION, "subscription", &subscription.selection_set)
            }
        };
        // Of several operations the one that is named is done; which that is, is the server's to say where none is.
        if operation.is_none_or(|wanted| wanted.is_empty() || name == Some(wanted)) {
            reader.is_one = true;
            reader.select(action, root, "data", selected, 0)?;
        }
    }
    if reader.is_one { Ok(reader.fields) } else { Err(unclear("it has no such operation")) }
}

struct Reader<'r, 'd> {
    target: &'r TargetName,
    columns: &'r Columns,
    fragments: BTreeMap<&'d str, &'r FragmentDefinition<'d, &'d str>>,
    found: &'r mut BTreeSet<Access>,
    fields: usize,
    /// Whether an operation was found.
    is_one: bool,
}

impl<'d> Reader<'_, 'd> {
    fn select(
        &mut self,
        action: Action,
        path: &str,
        shown: &str,
        selected: &SelectionSet<'d, &'d str>,
        depth: usize,
    ) -> Result<(), Denial> {
        if depth > DEPTH_MAX {
            return Err(unclear("it is nested too deeply"));
        }
        for selection in &selected.items {
            self.fields += 1;
            if self.fields > FIELDS_MAX {
                return Err(unclear("it selects too many fields"));
            }
            match selection {
                Selection::Field(field) => {
                    let path = format!("{path}.{}", field.name);
                    self.found.insert(Access::new(action, self.resource(&path)));
                    let shown = format!("{shown}.{}", field.alias.unwrap_or(field.name));
                    // As the answer would have it without any alias, and as it has it.
                    let named = path.split_once('.').map_or_else(String::new, |(_, rest)| format!("data.{rest}"));
                    if let Some(column) = self.columns.of(&named)
                        && self.columns.of(&shown) != Some(column)
                    {
                        self.found.extend(self.columns.revealed(column));
                    }
                    self.select(action, &path, &shown, &field.selection_set, depth + 1)?;
                }
                Selection::InlineFragment(fragment) => {
                    self.select(action, path, shown, &fragment.selection_set, depth + 1)?
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = *self
                        .fragments
                        .get(spread.fragment_name)
                        .ok_or_else(|| unclear("it spreads a fragment that it does not have"))?;
                    self.select(action, path, shown, &fragment.selection_set, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn resource(&self, path: &str) -> Resource {
        let id = |path: &str| format!("{}/{path}", self.target);
        let mut within = Vec::new();
        let mut above = path;
        while let Some((parent, _)) = above.rsplit_once('.') {
            above = parent;
            within.push(Parent { kind: "Field", id: id(above).into() });
        }
        within.push(Parent { kind: kind::TARGET, id: self.target.as_str().into() });
        Resource::new("Field", &id(path), within)
    }
}
