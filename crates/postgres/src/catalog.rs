//! What a target's own catalog says: relations, columns, views, functions, operators and types, as one snapshot.
//!
//! Must not know how it is read, statements, policies, classes or frames.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use gatehouse_model::{Digest, Sha256, ValueKind};
use serde::{Deserialize, Serialize};

/// The schemas that belong to PostgreSQL itself.
pub(crate) const SYSTEM_SCHEMAS: [&str; 2] = ["pg_catalog", "information_schema"];

/// The temporary schema of the session at hand; with `_` and a number behind it, that of any session.
pub(crate) const TEMPORARY_SCHEMA: &str = "pg_temp";

/// What was there before anybody made anything has an OID below this (`FirstNormalObjectId` in access/transam.h).
pub(crate) const OWN_OIDS_END: u32 = 16_384;

/// How many domains may stand on each other before a type is taken for opaque.
const DOMAIN_DEPTH_MAX: usize = 16;

/// True for a schema that belongs to PostgreSQL itself.
pub(crate) fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS.contains(&schema)
}

/// True for the temporary schema of this or another session.
pub(crate) fn is_temporary_schema(schema: &str) -> bool {
    schema.strip_prefix(TEMPORARY_SCHEMA).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// What kind of relation a row of `pg_class` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RelationKind {
    /// An ordinary table.
    Table,
    /// A partitioned table.
    PartitionedTable,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
    /// A sequence.
    Sequence,
    /// An index.
    Index,
    /// A composite type.
    Composite,
}

impl RelationKind {
    /// Reads `pg_class.relkind`, which a survey has in capitals for tables with effects.
    pub(crate) fn parse(relkind: &str) -> Option<Self> {
        match relkind {
            "r" | "R" => Some(Self::Table),
            "p" | "P" => Some(Self::PartitionedTable),
            "v" => Some(Self::View),
            "m" => Some(Self::MaterializedView),
            "f" => Some(Self::ForeignTable),
            "S" => Some(Self::Sequence),
            "i" | "I" => Some(Self::Index),
            "c" => Some(Self::Composite),
            _ => None,
        }
    }
}

/// One column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnInfo {
    /// `pg_attribute.attnum`, from 1.
    pub(crate) number: i16,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its type.
    pub(crate) type_oid: u32,
    /// Its type modifier; -1 for none.
    pub(crate) type_modifier: i32,
    /// Whether it is a generated column, which `COPY` leaves out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) generated: bool,
    /// Whether no row has NULL there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) not_null: bool,
    /// Whether a check, an expression of an index, a generated column or a partition key looks at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tested: bool,
    /// Whether it decides which partition a row is in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) divides: bool,
    /// Whether texts are equal there that are not the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) folds: bool,
    /// Whether an index holds it, in whatever place, or looks at it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) indexed: bool,
    /// Whether an index that puts rows in its order holds some of them only, or other columns too that may choose them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ordered: bool,
    /// What a generated column is computed by, as far as that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expression: Option<Arc<str>>,
    /// The columns that foreign keys of its refer to, each by its relation and number: all its values are of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) refers: Vec<(u32, i16)>,
}

/// Kinds of writes to a relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Writes(u8);

impl Writes {
    /// New rows.
    pub(crate) const INSERT: Self = Self(1);
    /// Other values in rows.
    pub(crate) const UPDATE: Self = Self(2);
    /// Rows that go.
    pub(crate) const DELETE: Self = Self(4);
    /// All rows, at once.
    pub(crate) const TRUNCATE: Self = Self(8);

    /// Reads `pg_trigger.tgtype`, or several in one.
    pub(crate) fn of_triggers(types: u8) -> Self {
        let kinds = [(4, Self::INSERT), (8, Self::DELETE), (16, Self::UPDATE), (32, Self::TRUNCATE)];
        kinds.into_iter().filter(|(bit, _)| types & bit != 0).fold(Self::default(), |all, (_, kind)| all.with(kind))
    }

    /// Reads `pg_rewrite.ev_type`, of several each as one bit by its number.
    pub(crate) fn of_rules(types: u8) -> Self {
        let kinds = [(1 << 2, Self::UPDATE), (1 << 3, Self::INSERT), (1 << 4, Self::DELETE)];
        kinds.into_iter().filter(|(bit, _)| types & bit != 0).fold(Self::default(), |all, (_, kind)| all.with(kind))
    }

    /// Both.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one of another's.
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub(crate) const fn is_none(&self) -> bool {
        self.0 == 0
    }
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Relation {
    /// `pg_class.oid`.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: Arc<str>,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// What it is.
    pub(crate) kind: RelationKind,
    /// Its columns by ascending number, without dropped ones.
    pub(crate) columns: Vec<ColumnInfo>,
    /// The query of a view or materialized view that is not PostgreSQL's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) definition: Option<Arc<str>>,
    /// The tables that it inherits from or is a partition of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parents: Vec<u32>,
    /// The numbers of columns that are never NULL, and never the same in two rows of it, for each unique index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<Vec<i16>>,
    /// Whether a write to it sets something else going: a trigger, what a foreign key does to the rows that refer to it, or
    /// a function that is not PostgreSQL's own, in a check, a default, an index or a domain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_effects: bool,
    /// The writes at which a trigger that somebody made runs.
    #[serde(default, skip_serializing_if = "Writes::is_none")]
    pub(crate) triggers: Writes,
    /// The writes for which a rule has something else done.
    #[serde(default, skip_serializing_if = "Writes::is_none")]
    pub(crate) rules: Writes,
    /// Whether a function that is not PostgreSQL's own decides who sees a row of it, and may speak of the row.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) quotes: bool,
}

impl Relation {
    /// True if it belongs to PostgreSQL itself.
    pub(crate) fn is_system(&self) -> bool {
        is_system_schema(&self.schema) && self.oid < OWN_OIDS_END
    }
}

/// A function name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FunctionInfo {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its schema; `None` for PostgreSQL's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Arc<str>>,
    /// Whether it belongs to an extension whose functions only compute from their arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) computes: bool,
    /// Whether one of PostgreSQL's own by that name is volatile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) volatile: bool,
    /// Whether one is stable, and none is volatile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stable: bool,
}

impl FunctionInfo {
    fn volatility(&self) -> Volatility {
        match (self.volatile, self.stable) {
            (true, _) => Volatility::Volatile,
            (false, true) => Volatility::Stable,
            (false, false) => Volatility::Immutable,
        }
    }
}

/// What the result of a function may hang on besides its arguments, as the catalog marks it: of several the last counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Volatility {
    /// Nothing, or it is not known.
    #[default]
    Immutable,
    /// Settings, and what is in the database.
    Stable,
    /// Anything, and it may change something.
    Volatile,
}

/// A type that is neither an array nor a relation's row type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeInfo {
    /// `pg_type.oid`.
    pub(crate) oid: u32,
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Whether it is PostgreSQL's own.
    pub(crate) system: bool,
    /// What a domain stands on; 0 for none.
    pub(crate) base: u32,
    /// The type modifier that a domain gives its base.
    pub(crate) base_modifier: i32,
}

/// A function that is not PostgreSQL's own, and that runs where a value of a type is made: by a cast, or in the checks of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Making {
    /// `pg_type.oid` of the type.
    pub(crate) oid: u32,
    /// The type's name; empty for a cast that is written nowhere.
    pub(crate) of: Arc<str>,
    /// The type that the value is made from, where it is not made from any; 0 for all others.
    pub(crate) from: u32,
    /// The function's schema.
    pub(crate) schema: Arc<str>,
    /// Its name.
    pub(crate) function: Arc<str>,
}

/// What a catalog is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The relations.
    pub(crate) relations: Vec<Relation>,
    /// The functions.
    pub(crate) functions: Vec<FunctionInfo>,
    /// The operators that are neither PostgreSQL's own nor an extension's, each as `schema.name`.
    pub(crate) operators: Vec<Arc<str>>,
    /// The types.
    pub(crate) types: Vec<TypeInfo>,
    /// What runs where values of types are made.
    pub(crate) makings: Vec<Making>,
    /// The schemas that exist on the account's search path, `"$user"` resolved, without the implicit ones.
    pub(crate) search_path: Vec<Arc<str>>,
    /// Digests of code: by 0 of all that may be called, and by its OID of the triggers, rules, checks and query of a relation.
    pub(crate) code: Vec<(u32, Arc<str>)>,
}

/// A snapshot of a target's catalog.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    relations: HashMap<u32, Arc<Relation>>,
    named: HashMap<Arc<str>, Vec<Arc<Relation>>>,
    children: HashMap<u32, Vec<u32>>,
    /// The relations of which a column is computed from others, there or in their kin.
    generating: HashSet<u32>,
    own_functions: HashMap<Arc<str>, Volatility>,
    /// By name, the schemas in which extensions have one that only computes.
    computing_functions: HashMap<Arc<str>, Vec<Arc<str>>>,
    user_functions: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// By name, the schemas that have such operators, in order.
    user_operators: HashMap<Arc<str>, Vec<Arc<str>>>,
    types: HashMap<u32, TypeInfo>,
    own_types: HashSet<Arc<str>>,
    user_types: HashSet<Arc<str>>,
    makings: Vec<Making>,
    search_path: Vec<Arc<str>>,
    identifiers: HashSet<Arc<str>>,
    code: HashMap<u32, Arc<str>>,
    /// What all of it stands for, once that was asked for.
    everything: OnceLock<String>,
}

impl Catalog {
    /// Indexes the parts.
    pub(crate) fn new(parts: Parts) -> Self {
        let mut catalog = Self { search_path: parts.search_path, makings: parts.makings, ..Self::default() };
        catalog.code.extend(parts.code);
        catalog.makings.sort_by(|one, other| {
            (&one.of, &one.function, &one.schema).cmp(&(&other.of, &other.function, &other.schema))
        });
        for operator in &parts.operators {
            let (schema, name) = operator.rsplit_once('.').unwrap_or(("", operator));
            let schemas = catalog.user_operators.entry(name.into()).or_default();
            schemas.push(schema.into());
            schemas.sort();
        }
        for relation in parts.relations {
            let relation = Arc::new(relation);
            catalog.identifiers.extend([relation.schema.clone(), relation.name.clone()]);
            catalog.identifiers.extend(relation.columns.iter().map(|column| column.name.clone()));
            for &parent in &relation.parents {
                catalog.children.entry(parent).or_default().push(relation.oid);
            }
            catalog.named.entry(relation.name.clone()).or_default().push(relation.clone());
            catalog.relations.insert(relation.oid, relation);
        }
        for function in parts.functions {
            match function.schema {
                Some(schema) if function.computes => {
                    catalog.own_functions.entry(function.name.clone()).or_default();
                    catalog.computing_functions.entry(function.name).or_default().push(schema);
                }
                Some(schema) => catalog.user_functions.entry(function.name).or_default().push(schema),
                None => {
                    let volatility = function.volatility();
                    let own = catalog.own_functions.entry(function.name).or_default();
                    *own = (*own).max(volatility);
                }
            }
        }
        let computes = |relation: &&Arc<Relation>| relation.columns.iter().any(|column| column.generated);
        let computing: Vec<Arc<Relation>> = catalog.relations.values().filter(computes).cloned().collect();
        for relation in computing {
            if !catalog.generating.contains(&relation.oid) {
                let family = catalog.family(&relation);
                catalog.generating.extend(family.iter().map(|kin| kin.oid));
            }
        }
        for kind in parts.types {
            let named = if kind.system { &mut catalog.own_types } else { &mut catalog.user_types };
            named.insert(kind.name.clone());
            catalog.types.insert(kind.oid, kind);
        }
        catalog
    }

    /// What it is made of, in an order that is the same each time.
    pub(crate) fn parts(&self) -> Parts {
        let mut relations: Vec<Relation> = self.relations.values().map(|relation| (**relation).clone()).collect();
        relations.sort_by_key(|relation| relation.oid);
        let own = self.own_functions.iter().map(|(name, volatility)| FunctionInfo {
            name: name.clone(),
            schema: None,
            computes: false,
            volatile: *volatility == Volatility::Volatile,
            stable: *volatility == Volatility::Stable,
        });
        let of = |named: &'_ HashMap<Arc<str>, Vec<Arc<str>>>, computes| {
            let each = named.iter().flat_map(|(name, schemas)| schemas.iter().map(move |schema| (name, schema)));
            each.map(move |(name, schema)| (name.clone(), schema.clone(), computes)).collect::<Vec<_>>()
        };
        let others = [of(&self.computing_functions, true), of(&self.user_functions, false)].concat();
        let mut functions: Vec<FunctionInfo> = own
            .chain(others.into_iter().map(|(name, schema, computes)| FunctionInfo {
                name,
                schema: Some(schema),
                computes,
                volatile: false,
                stable: false,
            }))
            .collect();
        functions.sort_by(|one, other| (&one.name, &one.schema).cmp(&(&other.name, &other.schema)));
        let of_name = |(name, schemas): (&Arc<str>, &Vec<Arc<str>>)| -> Vec<Arc<str>> {
            schemas.iter().map(|schema| format!("{schema}.{name}").into()).collect()
        };
        let mut operators: Vec<Arc<str>> = self.user_operators.iter().flat_map(of_name).collect();
        operators.sort();
        let mut types: Vec<TypeInfo> = self.types.values().cloned().collect();
        types.sort_by_key(|kind| kind.oid);
        let (makings, search_path) = (self.makings.clone(), self.search_path.clone());
        let mut code: Vec<(u32, Arc<str>)> = self.code.iter().map(|(at, digest)| (*at, digest.clone())).collect();
        code.sort();
        Parts { relations, functions, operators, types, makings, search_path, code }
    }

    /// The relation of an OID.
    pub(crate) fn relation_by_oid(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// All relations.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    /// The relation of a schema and a name.
    pub(crate) fn relation(&self, schema: &str, name: &str) -> Option<&Arc<Relation>> {
        self.relations_named(name).iter().find(|relation| &*relation.schema == schema)
    }

    /// All relations of a name, in any schema.
    pub(crate) fn relations_named(&self, name: &str) -> &[Arc<Relation>] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }

    /// What the names of relations stand for: a text that is the same as long as they do. Where something is called, or set off
    /// by what is named, the functions are part of it: all of them, for which of them call each other is not known.
    pub(crate) fn stands_for<'n>(&self, names: impl IntoIterator<Item = &'n str>, calls: bool) -> String {
        let code = |at: u32| self.code.get(&at).map_or("", |digest| &**digest);
        let (mut text, mut calls) = (String::new(), calls);
        for name in names {
            // Names may hold anything.
            text.push_str(&format!("{}:{name}", name.len()));
            // In an order of their own: a survey has none.
            let named = self.relations_named(name).iter().filter(|relation| !relation.is_system());
            let mut named: Vec<&Arc<Relation>> = named.collect();
            named.sort_by_key(|relation| relation.oid);
            for relation in named {
                calls |= relation.has_effects
                    || !relation.triggers.is_none()
                    || !relation.rules.is_none()
                    || relation.quotes;
                text.push('=');
                text.push_str(&identity(relation));
                text.push_str(code(relation.oid));
            }
            text.push('\n');
        }
        if calls {
            text.push_str("code=");
            text.push_str(code(0));
        }
        text
    }

    /// What stands for all relations and all code: what is not understood may name and set off any of them.
    pub(crate) fn stands_for_everything(&self) -> &str {
        self.everything.get_or_init(|| {
            let mut names: Vec<&str> = self.named.keys().map(|name| &**name).collect();
            names.sort_unstable();
            digest_of(self.stands_for(names, true).as_bytes())
        })
    }

    /// True if a materialized view may take rows from a view of this name.
    pub(crate) fn is_materialized_from(&self, name: &str) -> bool {
        let mut names = HashSet::from([name]);
        // Within quotes a quote stands twice.
        let names_it = |text: &str, name: &str| text.contains(&name.replace('"', "\"\""));
        let takes = |relation: &Relation, names: &HashSet<&str>| {
            relation.definition.as_deref().is_none_or(|text| names.iter().any(|name| names_it(text, name)))
        };
        let of = |kind| self.relations.values().filter(move |relation| relation.kind == kind);
        // Views of views are followed until there are no more.
        loop {
            let more: Vec<&str> =
                of(RelationKind::View).filter(|view| takes(view, &names)).map(|view| &*view.name).collect();
            let before = names.len();
            names.extend(more);
            if names.len() == before {
                return of(RelationKind::MaterializedView).any(|view| takes(view, &names));
            }
        }
    }

    /// The relations of a schema.
    pub(crate) fn relations_in(&self, schema: &str) -> Vec<Arc<Relation>> {
        self.relations.values().filter(|relation| *relation.schema == *schema).cloned().collect()
    }

    /// True for the name of a domain, whoever owns it.
    pub(crate) fn is_domain(&self, name: &str) -> bool {
        (self.is_user_type(name) || self.is_own_type(name))
            && self.types.values().any(|kind| kind.base != 0 && *kind.name == *name)
    }

    /// True if a function of this name belongs to an extension; with a schema, in that.
    pub(crate) fn is_extensions_function(&self, schema: Option<&str>, name: &str) -> bool {
        let schemas = self.computing_functions.get(name).map_or(&[][..], Vec::as_slice);
        schemas.iter().any(|other| schema.is_none_or(|schema| **other == *schema))
    }

    /// Whether a column of a relation is computed from others, there or in its kin.
    pub(crate) fn is_generating(&self, relation: &Relation) -> bool {
        self.generating.contains(&relation.oid)
    }

    /// Whether rows of other relations count as its own: of those that inherit from it, and of its partitions.
    pub(crate) fn has_children(&self, relation: &Relation) -> bool {
        self.children.contains_key(&relation.oid)
    }

    /// A relation with all that it is of one tree of inheritance with: rows go from one to the other.
    pub(crate) fn family(&self, relation: &Arc<Relation>) -> Vec<Arc<Relation>> {
        let mut family = vec![relation.clone()];
        if relation.parents.is_empty() && !self.children.contains_key(&relation.oid) {
            return family;
        }
        let mut seen = HashSet::from([relation.oid]);
        let children = |oid: u32| self.children.get(&oid).cloned().unwrap_or_default();
        let kin = |of: &Relation| [of.parents.clone(), children(of.oid)].concat();
        self.follow(kin(relation), &mut seen, &mut family, kin);
        family
    }

    /// The relations alone, each as what it becomes.
    pub(crate) fn changed(&self, becomes: impl Fn(&Arc<Relation>) -> Option<Relation>) -> Self {
        let mut changed = Self::default();
        for relation in self.relations.values().filter_map(becomes) {
            for &parent in &relation.parents {
                changed.children.entry(parent).or_default().push(relation.oid);
            }
            changed.relations.insert(relation.oid, Arc::new(relation));
        }
        changed
    }

    pub(crate) fn by_oid(&self, oid: u32) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// Whether a type is none of rows, nor an array.
    pub(crate) fn knows_type(&self, oid: u32) -> bool {
        self.types.contains_key(&oid)
    }

    /// A relation with those whose rows count to it: its children, and theirs.
    pub(crate) fn descent(&self, relation: &Arc<Relation>) -> Vec<Arc<Relation>> {
        let mut descent = vec![relation.clone()];
        let children = |of: &Relation| self.children.get(&of.oid).cloned().unwrap_or_default();
        self.follow(children(relation), &mut HashSet::from([relation.oid]), &mut descent, children);
        descent
    }

    /// A relation with those that its rows count to: its parents, and theirs.
    pub(crate) fn ancestry(&self, relation: &Arc<Relation>) -> Vec<Arc<Relation>> {
        let mut ancestry = vec![relation.clone()];
        self.follow(relation.parents.clone(), &mut HashSet::from([relation.oid]), &mut ancestry, |of| {
            of.parents.clone()
        });
        ancestry
    }

    /// A column with all that its values may come from: the same in its relation's family, and what foreign keys refer to.
    pub(crate) fn sources(&self, relation: &Arc<Relation>, column: &str) -> Vec<(Arc<Relation>, Arc<str>)> {
        let is_alone = relation.parents.is_empty() && !self.children.contains_key(&relation.oid);
        let own = relation.columns.iter().find(|other| &*other.name == column);
        if let Some(own) = own.filter(|own| is_alone && own.refers.is_empty()) {
            return vec![(relation.clone(), own.name.clone())];
        }
        let mut sources = Vec::new();
        let mut pending = vec![(relation.clone(), Arc::<str>::from(column))];
        let mut seen = HashSet::new();
        while let Some((relation, name)) = pending.pop() {
            // Whoever is of a family that was gone through was gone through with it.
            if seen.contains(&(relation.oid, name.clone())) {
                continue;
            }
            for kin in self.family(&relation) {
                let Some(column) = kin.columns.iter().find(|column| column.name == name) else { continue };
                if !seen.insert((kin.oid, name.clone())) {
                    continue;
                }
                for (oid, number) in &column.refers {
                    let Some(other) = self.relations.get(oid) else { continue };
                    let named = other.columns.iter().find(|column| column.number == *number);
                    pending.extend(named.map(|column| (other.clone(), column.name.clone())));
                }
                sources.push((kin, name.clone()));
            }
        }
        sources
    }

    fn follow(
        &self,
        mut pending: Vec<u32>,
        seen: &mut HashSet<u32>,
        family: &mut Vec<Arc<Relation>>,
        next: impl Fn(&Relation) -> Vec<u32>,
    ) {
        while let Some(oid) = pending.pop() {
            if !seen.insert(oid) {
                continue;
            }
            if let Some(kin) = self.relations.get(&oid) {
                pending.extend(next(kin));
                family.push(kin.clone());
            }
        }
    }

    /// True if every function of this schema and name belongs to an extension whose functions only compute.
    pub(crate) fn is_computing_function(&self, schema: &str, name: &str) -> bool {
        let holds = |schemas: &[Arc<str>]| schemas.iter().any(|other| &**other == schema);
        self.computing_functions.get(name).is_some_and(|schemas| holds(schemas))
            && !holds(self.user_function_schemas(name))
    }

    /// True for the name of a function that is neither PostgreSQL's own nor of an extension whose functions only
    /// compute, in any schema.
    pub(crate) fn is_user_function(&self, name: &str) -> bool {
        self.user_functions.contains_key(name)
    }

    /// The schemas that have such a function of this name.
    pub(crate) fn user_function_schemas(&self, name: &str) -> &[Arc<str>] {
        self.user_functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// For a name that PostgreSQL's own functions or those of computing extensions have, how its own are marked; `None` if
    /// there is none of this name.
    pub(crate) fn own_function(&self, name: &str) -> Option<Volatility> {
        self.own_functions.get(name).copied()
    }

    /// True for the name of an operator that is neither PostgreSQL's own nor an extension's.
    pub(crate) fn is_user_operator(&self, name: &str) -> bool {
        self.user_operators.contains_key(name)
    }

    /// The schemas that have such an operator.
    pub(crate) fn user_operator_schemas(&self, name: &str) -> &[Arc<str>] {
        self.user_operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// True for the name of one of PostgreSQL's own types.
    pub(crate) fn is_own_type(&self, name: &str) -> bool {
        self.own_types.contains(name)
    }

    /// True for the name of a type that is not PostgreSQL's own.
    pub(crate) fn is_user_type(&self, name: &str) -> bool {
        self.user_types.contains(name)
    }

    /// True for the name of a type, whoever owns it.
    pub(crate) fn is_type(&self, name: &str) -> bool {
        self.is_own_type(name) || self.is_user_type(name)
    }

    /// What runs where values of types are made.
    pub(crate) fn makings(&self) -> &[Making] {
        &self.makings
    }

    /// What the values of a type are, so that a masked one stays valid. A domain is what it stands on.
    pub(crate) fn kind_of(&self, type_oid: u32, type_modifier: i32) -> ValueKind {
        let (mut oid, mut modifier) = (type_oid, type_modifier);
        for _ in 0..DOMAIN_DEPTH_MAX {
            match self.types.get(&oid) {
                Some(domain) if domain.base != 0 => {
                    if modifier < 0 {
                        modifier = domain.base_modifier;
                    }
                    oid = domain.base;
                }
                Some(plain) if &*plain.name == "citext" => return ValueKind::Text { chars_max: None },
                Some(_) | None => return kind_of_own(oid, modifier),
            }
        }
        ValueKind::Opaque
    }

    /// How many characters a text of this type has at most, where two are equal only if their bytes are: of `text` and
    /// `varchar`. `None` of any other, a domain over them too: its checks may tell of what is compared.
    pub(crate) fn chars_of(&self, type_oid: u32, type_modifier: i32) -> Option<usize> {
        match type_oid {
            25 => Some(usize::MAX),
            1043 => {
                Some(type_modifier.checked_sub(4).and_then(|chars| usize::try_from(chars).ok()).unwrap_or(usize::MAX))
            }
            _ => None,
        }
    }

    /// Why a column that somebody names as `schema.table.column` is not what they take it for, if so it is.
    pub(crate) fn misnamed(&self, column: &str, has_documents: bool) -> Option<String> {
        let (table, name) = column.rsplit_once('.')?;
        let (schema, table_name) = table.split_once('.')?;
        let Some(relation) = self.relation(schema, table_name) else {
            return Some(format!("there is no table {table}"));
        };
        let Some(found) = relation.columns.iter().find(|column| *column.name == *name) else {
            return Some(format!("{table} has no column {name}"));
        };
        let is_document =
            matches!(self.kind_of(found.type_oid, found.type_modifier), ValueKind::Json | ValueKind::Jsonb);
        (has_documents && !is_document).then(|| "it is neither json nor jsonb, and is masked as a whole".into())
    }

    /// The schemas that exist on the account's search path, `"$user"` resolved, without the implicit ones.
    pub(crate) fn search_path(&self) -> &[Arc<str>] {
        &self.search_path
    }

    /// True for the name of a schema, relation, column, function or type: a word that is no data.
    pub(crate) fn is_identifier(&self, word: &str) -> bool {
        self.identifiers.contains(word)
            || self.own_functions.contains_key(word)
            || self.user_functions.contains_key(word)
            || self.own_types.contains(word)
    }
}

/// What tells a relation from another, and from what it was before it was defined anew.
fn identity(relation: &Relation) -> String {
    let mut hash = Sha256::default();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&relation.oid.to_be_bytes());
    part(relation.schema.as_bytes());
    part(relation.definition.as_deref().unwrap_or_default().as_bytes());
    part(&[u8::from(relation.has_effects), relation.triggers.0, relation.rules.0]);
    for parent in &relation.parents {
        part(&parent.to_be_bytes());
    }
    for column in &relation.columns {
        part(column.name.as_bytes());
        part(&column.type_oid.to_be_bytes());
        part(column.expression.as_deref().unwrap_or_default().as_bytes());
    }
    shown(&hash.finish().0)
}

/// A text in place of a longer one.
fn digest_of(bytes: &[u8]) -> String {
    shown(&Digest::of(bytes).0)
}

/// As many bits of a digest as nobody finds twice.
fn shown(digest: &[u8]) -> String {
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// By the OIDs that `pg_type.dat` fixes.
fn kind_of_own(oid: u32, modifier: i32) -> ValueKind {
    let chars_max = || modifier.checked_sub(4).and_then(|chars| u32::try_from(chars).ok());
    match oid {
        25 | 705 => ValueKind::Text { chars_max: None },
        1042 | 1043 => ValueKind::Text { chars_max: chars_max() },
        // text[]; char(n)[], varchar(n)[].
        1009 => ValueKind::Texts { chars_max: None },
        1014 | 1015 => ValueKind::Texts { chars_max: chars_max() },
        19 => ValueKind::Text { chars_max: Some(63) },
        114 => ValueKind::Json,
        3802 => ValueKind::Jsonb,
        2950 => ValueKind::Uuid,
        // bool; int8, int2, int4, oid; float4, float8, numeric; date, time, timestamp, timestamptz, interval, timetz.
        16 | 20 | 21 | 23 | 26 | 700 | 701 | 1700 | 1082 | 1083 | 1114 | 1184 | 1186 | 1266 => ValueKind::Fixed,
        _ => ValueKind::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(oid: u32, base: u32, base_modifier: i32) -> TypeInfo {
        TypeInfo { oid, name: "d".into(), system: false, base, base_modifier }
    }

    #[test]
    fn a_domain_is_what_it_stands_on() {
        let types =
            vec![domain(9000, 1043, 44), domain(9001, 9000, -1), domain(9002, 9002, -1), domain(9003, 1700, -1)];
        let catalog = Catalog::new(Parts { types, ..Parts::default() });
        assert_eq!(catalog.kind_of(9001, -1), ValueKind::Text { chars_max: Some(40) });
        assert_eq!(catalog.kind_of(9002, -1), ValueKind::Opaque);
        assert_eq!(catalog.kind_of(1043, -1), ValueKind::Text { chars_max: None });
        assert_eq!(catalog.kind_of(2950, -1), ValueKind::Uuid);
        assert_eq!(catalog.kind_of(23, -1), ValueKind::Fixed);
        assert_eq!(catalog.kind_of(9003, -1), ValueKind::Fixed);
        assert_eq!(catalog.kind_of(1009, -1), ValueKind::Texts { chars_max: None });
        assert_eq!(catalog.kind_of(1015, 24), ValueKind::Texts { chars_max: Some(20) });
        assert_eq!(catalog.kind_of(1015, -1), ValueKind::Texts { chars_max: None });
        // Domains on domains, beyond those that are followed.
        let deep = u32::try_from(DOMAIN_DEPTH_MAX).unwrap();
        let types = (0..deep).map(|level| domain(9000 + level, if level == 0 { 1043 } else { 8999 + level }, -1));
        let catalog = Catalog::new(Parts { types: types.collect(), ..Parts::default() });
        assert_eq!(catalog.kind_of(8999 + deep - 1, -1), ValueKind::Text { chars_max: None });
        assert_eq!(catalog.kind_of(8999 + deep, -1), ValueKind::Opaque);
        // int4[], bytea, xml, inet, record, and one that nobody knows.
        for opaque in [1007, 17, 142, 869, 2249, 4_000_000] {
            assert_eq!(catalog.kind_of(opaque, -1), ValueKind::Opaque);
        }
    }
}
