//! Names the resources of a target: `shop/public.orders` in `shop/public` in `shop`.
//!
//! Knows the catalog's relations and the classifier. Must not know statements.

use std::collections::BTreeSet;
use std::sync::Arc;

use gatehouse_model::{ClassName, ClassifiedField, Parent, Resource, TargetName, kind};
use gatehouse_protocol::Classifier;

use crate::catalog::{Catalog, Relation, is_system_schema};

const SCHEMA: &str = "Schema";
const TABLE: &str = "Table";
const COLUMN: &str = "Column";
const FUNCTION: &str = "Function";
const SETTING: &str = "Setting";

/// Stands for a schema that is not known.
pub(super) const UNKNOWN_SCHEMA: &str = "?";

/// A setting of a target.
pub(super) fn setting(target: &Resource, name: &str) -> Resource {
    let parent = Parent { kind: target.kind, id: target.id.clone() };
    Resource::new(SETTING, &format!("{}/{name}", target.id), vec![parent])
}

/// True for a schema whose name only PostgreSQL itself may give: its own, and those of its large values.
fn is_reserved(schema: &str) -> bool {
    is_system_schema(schema) || schema.starts_with("pg_toast")
}

/// What a column is of: classes as a whole, and classes in fields of its documents.
#[derive(Default)]
struct Kinds {
    classes: BTreeSet<ClassName>,
    fields: BTreeSet<ClassifiedField>,
}

/// Makes the resources of one target.
#[derive(Clone, Copy)]
pub(super) struct Resources<'a> {
    pub(super) target: &'a TargetName,
    pub(super) catalog: &'a Catalog,
    pub(super) classifier: &'a dyn Classifier,
}

impl Resources<'_> {
    pub(super) fn target(&self) -> Resource {
        Resource::root(kind::TARGET, self.target.as_str())
    }

    pub(super) fn schema(&self, schema: &str) -> Resource {
        Resource::new(SCHEMA, &self.id(schema), vec![self.target_parent()])
    }

    pub(super) fn table(&self, schema: &str, name: &str) -> Resource {
        Resource::new(TABLE, &self.id(&format!("{schema}.{name}")), self.schema_parents(schema))
    }

    pub(super) fn function(&self, schema: Option<&str>, name: &str) -> Resource {
        let id = match schema {
            Some(schema) => self.id(&format!("{schema}.{name}")),
            None => self.id(name),
        };
        Resource::new(FUNCTION, &id, vec![self.target_parent()])
    }

    /// True for a table, a function or a schema of PostgreSQL itself.
    pub(super) fn is_servers_own(&self, resource: &Resource) -> bool {
        let own = [SCHEMA, TABLE, FUNCTION].contains(&resource.kind);
        let name = resource.id.strip_prefix(self.target.as_str()).and_then(|rest| rest.strip_prefix('/'));
        own && name.is_some_and(|name| is_reserved(name.split('.').next().unwrap_or_default()))
    }

    pub(super) fn setting(&self, name: &str) -> Resource {
        setting(&self.target(), name)
    }

    /// A column with its classes: its own, those of the same column in the tables that its table inherits from or that
    /// inherit from it, and those of the columns that foreign keys refer to. Fields of its documents likewise.
    pub(super) fn column(&self, relation: &Arc<Relation>, column: &str) -> Resource {
        self.column_by(self.catalog, relation, column)
    }

    /// The same, where the relations are others.
    pub(super) fn column_by(&self, catalog: &Catalog, relation: &Arc<Relation>, column: &str) -> Resource {
        let mut kinds = Kinds::default();
        for (source, name) in catalog.sources(relation, column) {
            self.classify(&source.schema, &source.name, &name, &mut kinds);
        }
        self.column_of(&relation.schema, &relation.name, column, kinds)
    }

    /// Every class there is: what a value of unknown origin may hold.
    pub(super) fn all_classes(&self) -> Vec<Resource> {
        self.classifier.all().iter().map(|class| Resource::root(kind::CLASS, class.as_str())).collect()
    }

    /// A column of a table that the catalog does not have, or not yet.
    pub(super) fn column_named(&self, schema: &str, table: &str, column: &str) -> Resource {
        let mut kinds = Kinds::default();
        self.classify(schema, table, column, &mut kinds);
        self.column_of(schema, table, column, kinds)
    }

    fn classify(&self, schema: &str, table: &str, column: &str, kinds: &mut Kinds) {
        let table = format!("{schema}.{table}");
        kinds.classes.extend(self.classifier.column(&table, column));
        kinds.fields.extend(self.classifier.fields(&table, column));
    }

    fn column_of(&self, schema: &str, table: &str, column: &str, kinds: Kinds) -> Resource {
        let Kinds { mut classes, fields } = kinds;
        // What is of a class as a whole is so in every field.
        let is_whole = !classes.is_empty() || fields.is_empty();
        classes.extend(fields.iter().map(|field| field.class.clone()));
        let class = |name: ClassName| Parent { kind: kind::CLASS, id: name.as_str().into() };
        let mut within: Vec<Parent> = classes.into_iter().map(class).collect();
        within.push(Parent { kind: TABLE, id: self.id(&format!("{schema}.{table}")).into() });
        within.extend(self.schema_parents(schema));
        let resource = Resource::new(COLUMN, &self.id(&format!("{schema}.{table}.{column}")), within);
        if is_whole { resource } else { resource.with_fields(fields.into_iter().collect::<Vec<_>>()) }
    }

    fn schema_parents(&self, schema: &str) -> Vec<Parent> {
        vec![Parent { kind: SCHEMA, id: self.id(schema).into() }, self.target_parent()]
    }

    fn target_parent(&self) -> Parent {
        Parent { kind: kind::TARGET, id: self.target.as_str().into() }
    }

    fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.target)
    }
}

/// The relation and the name that a column's resource stands for; `None` where the catalog has no such relation.
pub(crate) fn column_at<'c, 'r>(
    catalog: &'c Catalog,
    target: &TargetName,
    column: &'r Resource,
) -> Option<(&'c Arc<Relation>, &'r str)> {
    let table = column.within.iter().find(|parent| parent.kind == TABLE)?;
    let schema = column.within.iter().find(|parent| parent.kind == SCHEMA)?;
    let name = column.id.strip_prefix(&*table.id)?.strip_prefix('.')?;
    let schema_name = schema.id.strip_prefix(target.as_str())?.strip_prefix('/')?;
    let table_name = table.id.strip_prefix(&*schema.id)?.strip_prefix('.')?;
    Some((catalog.relation(schema_name, table_name)?, name))
}

/// The classes that a column is of.
pub(super) fn classes(column: &Resource) -> impl Iterator<Item = &Parent> {
    column.within.iter().filter(|parent| parent.kind == kind::CLASS)
}

/// What a column's values are of: each class with the path of the field that is of it, or with none where the whole is.
pub(super) fn kinds(column: &Resource) -> BTreeSet<(&str, Option<&str>)> {
    match &column.fields {
        Some(fields) => fields.iter().map(|field| (field.class.as_str(), Some(&*field.path))).collect(),
        None => classes(column).map(|class| (&*class.id, None)).collect(),
    }
}

/// True for a column of at least one class, be it in a field alone.
pub(super) fn is_classified(column: &Resource) -> bool {
    classes(column).next().is_some()
}

/// True for a table, view, sequence or index.
pub(super) fn is_table(resource: &Resource) -> bool {
    resource.kind == TABLE
}
