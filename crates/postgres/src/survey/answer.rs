//! What the answers to a survey come to: a [`Catalog`].
//!
//! Knows the shape of each answer. Must not know how it was asked for, nor frames.

use std::sync::Arc;

use foldhash::HashMap;

use super::question::Topic;
use crate::catalog::{Catalog, ColumnInfo, FunctionInfo, Making, Parts, Relation, RelationKind, TypeInfo, Writes};

/// How long everything is that the server prints of views and computed columns, in bytes. What is beyond it is not known.
const PRINTED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A row that does not have the shape of its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer about {topic:?} is not as expected: {problem}")]
pub(super) struct AnswerError {
    topic: Topic,
    problem: &'static str,
}

/// What the surveys before read, and the next one is not told again unless its stamp is another.
#[derive(Debug, Default)]
pub(super) struct Kept {
    own: Own,
    definitions: HashMap<u32, Definition>,
}

/// What is the server's own.
#[derive(Debug, Default)]
struct Own {
    columns: Stamped<(u32, ColumnInfo)>,
    functions: Stamped<FunctionInfo>,
    types: Stamped<TypeInfo>,
}

/// A view's.
#[derive(Debug)]
struct Definition {
    stamp: Box<str>,
    /// `None` for one that is too long, or more than is kept.
    text: Option<Arc<str>>,
}

impl Kept {
    /// The stamp of what is known of a topic; empty for nothing.
    pub(super) fn stamp(&self, topic: Topic) -> &str {
        match topic {
            Topic::Columns => &self.own.columns.stamp,
            Topic::Functions => &self.own.functions.stamp,
            Topic::Types => &self.own.types.stamp,
            _ => "",
        }
    }

    /// The views whose definitions are to be told, by the answers in `builder`.
    pub(super) fn views_to_read(&self, builder: &Builder) -> Vec<u32> {
        let views = builder.views.iter().filter(|(oid, stamp)| !self.has(**oid, stamp, builder));
        let mut views: Vec<u32> = views.map(|(oid, _)| *oid).collect();
        views.sort_unstable();
        views
    }

    /// Whether a view's definition is known. Its stamp does not count what is the server's own.
    fn has(&self, view: u32, stamp: &str, builder: &Builder) -> bool {
        builder.own.is_empty() && self.definitions.get(&view).is_some_and(|definition| *definition.stamp == *stamp)
    }

    /// What was told anew replaces what was there, and what was not told of holds no more.
    fn renew(&mut self, builder: &mut Builder) {
        let mut told = std::mem::take(&mut builder.definitions);
        let mut length = 0;
        let stamps = builder.views.iter();
        let definitions = stamps.filter_map(|(view, stamp)| {
            let text = match told.remove(view) {
                Some(text) => text,
                None if self.has(*view, stamp, builder) => self.definitions.get(view)?.text.clone(),
                None => return None,
            };
            length += text.as_deref().map_or(0, str::len);
            let text = text.filter(|_| length <= PRINTED_BYTES_MAX);
            Some((*view, Definition { stamp: stamp.clone(), text }))
        });
        self.definitions = definitions.collect();
        self.own.renew(std::mem::take(&mut builder.own));
    }
}

impl Own {
    fn is_empty(&self) -> bool {
        self.columns.of.is_empty() && self.functions.of.is_empty() && self.types.of.is_empty()
    }

    fn renew(&mut self, newer: Self) {
        self.columns.renew(newer.columns);
        self.functions.renew(newer.functions);
        self.types.renew(newer.types);
    }
}

/// The same in each survey until somebody changes it: then its stamp, of the rows' `xmin`, is another.
#[derive(Debug)]
struct Stamped<T> {
    stamp: String,
    of: Vec<T>,
}

impl<T> Default for Stamped<T> {
    fn default() -> Self {
        Self { stamp: String::new(), of: Vec::new() }
    }
}

impl<T> Stamped<T> {
    fn push(&mut self, stamp: &str, one: T) {
        if self.stamp != stamp {
            stamp.clone_into(&mut self.stamp);
        }
        self.of.push(one);
    }

    /// Where it is not told anew, what was told before holds.
    fn renew(&mut self, newer: Self) {
        if !newer.of.is_empty() {
            *self = newer;
        }
    }
}

/// Builds a [`Catalog`] from the rows of the answers.
#[derive(Debug, Default)]
pub(super) struct Builder {
    parts: Parts,
    places: HashMap<u32, usize>,
    own: Own,
    /// The stamps of the views' definitions.
    views: HashMap<u32, Box<str>>,
    definitions: HashMap<u32, Option<Arc<str>>>,
    /// How long all that the server prints is, in bytes.
    printed: usize,
    was_set: bool,
}

impl Builder {
    /// Takes one row, its values in text form.
    pub(super) fn row(&mut self, topic: Topic, fields: &[Option<&[u8]>]) -> Result<(), AnswerError> {
        let row = Row { topic, fields };
        match topic {
            Topic::SearchPath => self.parts.search_path.push(row.text(0)?.into()),
            Topic::Settings => self.was_set = true,
            Topic::Relations => self.relation(&row)?,
            Topic::Columns => self.column(&row)?,
            Topic::Marks => self.mark(&row)?,
            Topic::Parents => {
                let (child, parent) = (row.number(0)?, row.number(1)?);
                self.of(child).into_iter().for_each(|relation| relation.parents.push(parent));
            }
            Topic::Functions => self.function(&row)?,
            Topic::Operators => self.parts.operators.push(row.text(0)?.into()),
            Topic::Types => self.kind(&row)?,
            Topic::Makings => self.parts.makings.push(Making {
                oid: row.number(0)?,
                of: row.text(1)?.into(),
                from: row.number(2)?,
                schema: row.text(3)?.into(),
                function: row.text(4)?.into(),
            }),
            Topic::Code => self.parts.code.push((row.number(0)?, row.text(1)?.into())),
            Topic::Views => {
                let stamp = row.stamp(1)?.ok_or_else(|| row.error("a view has no stamp"))?;
                self.views.insert(row.number(0)?, stamp.into());
            }
            Topic::PrintSettings => {}
            Topic::Definitions => {
                let text = row.optional(1)?.filter(|text| self.takes(text));
                self.definitions.insert(row.number(0)?, text.map(Into::into));
            }
            Topic::Expressions => {
                let expression = row.optional(2)?.filter(|text| self.takes(text));
                if let Some(column) = self.column_of(row.number(0)?, row.number(1)?) {
                    column.expression = expression.map(Into::into);
                }
            }
            Topic::References => {
                let other = (row.number(2)?, row.number(3)?);
                let column = self.column_of(row.number(0)?, row.number(1)?);
                if let Some(column) = column.filter(|column| !column.refers.contains(&other)) {
                    column.refers.push(other);
                }
            }
            Topic::Keys => self.key(&row)?,
        }
        Ok(())
    }

    /// The relations with columns that are computed.
    pub(super) fn computed_relations(&self) -> Vec<u32> {
        let computed = self.parts.relations.iter();
        let computed = computed.filter(|relation| relation.columns.iter().any(|column| column.generated));
        computed.map(|relation| relation.oid).collect()
    }

    /// The catalog, when every answer is complete, with what of `kept` was not told anew; that is renewed.
    pub(super) fn finish(mut self, kept: &mut Kept) -> Result<Catalog, AnswerError> {
        kept.renew(&mut self);
        for (oid, column) in &kept.own.columns.of {
            self.of(*oid).into_iter().for_each(|relation| relation.columns.push(column.clone()));
        }
        for (oid, definition) in &kept.definitions {
            self.of(*oid).into_iter().for_each(|relation| relation.definition.clone_from(&definition.text));
        }
        self.parts.functions.extend(kept.own.functions.of.iter().cloned());
        self.parts.types.extend(kept.own.types.of.iter().cloned());
        let missing = [
            (Topic::Settings, !self.was_set),
            (Topic::Relations, self.parts.relations.is_empty()),
            (Topic::Functions, self.parts.functions.is_empty()),
        ];
        if let Some(&(topic, _)) = missing.iter().find(|(_, is_missing)| *is_missing) {
            return Err(AnswerError { topic, problem: "it is missing" });
        }
        for relation in &mut self.parts.relations {
            relation.columns.sort_by_key(|column| column.number);
        }
        Ok(Catalog::new(self.parts))
    }

    /// Whether there is room for what the server prints.
    fn takes(&mut self, text: &str) -> bool {
        self.printed += text.len();
        self.printed <= PRINTED_BYTES_MAX
    }

    fn of(&mut self, oid: u32) -> Option<&mut Relation> {
        self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place))
    }

    fn column_of(&mut self, oid: u32, number: i16) -> Option<&mut ColumnInfo> {
        self.of(oid)?.columns.iter_mut().find(|column| column.number == number)
    }

    fn relation(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let oid = row.number(0)?;
        let (letter, marks) = row.text(3)?.split_at_checked(1).ok_or_else(|| row.error("a relation has no kind"))?;
        let kind = RelationKind::parse(letter).ok_or_else(|| row.error("an unknown kind of relation"))?;
        self.places.insert(oid, self.parts.relations.len());
        self.parts.relations.push(Relation {
            oid,
            schema: row.text(1)?.into(),
            name: row.text(2)?.into(),
            kind,
            columns: Vec::new(),
            definition: None,
            parents: Vec::new(),
            keys: Vec::new(),
            has_effects: matches!(letter, "R" | "P"),
            triggers: Writes::of_triggers(row.number(4)?),
            rules: Writes::of_rules(row.number(5)?),
            quotes: marks.contains('!'),
        });
        Ok(())
    }

    fn column(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let (oid, stamp) = (row.number(0)?, row.stamp(7)?);
        let column = ColumnInfo {
            number: row.number(1)?,
            name: row.text(2)?.into(),
            type_oid: row.number(3)?,
            type_modifier: row.number(4)?,
            generated: row.truth(5)?,
            not_null: row.truth(6)?,
            tested: false,
            divides: false,
            folds: false,
            indexed: false,
            ordered: false,
            expression: None,
            refers: Vec::new(),
        };
        match stamp {
            Some(stamp) => self.own.columns.push(stamp, (oid, column)),
            None => {
                if let Some(relation) = self.of(oid) {
                    relation.columns.push(column);
                }
            }
        }
        Ok(())
    }

    fn mark(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let marks = row.text(2)?;
        if let Some(column) = self.column_of(row.number(0)?, row.number(1)?) {
            column.tested |= marks.contains('?');
            column.divides |= marks.contains('%');
            column.folds |= marks.contains('~');
            column.indexed |= marks.contains('#');
            column.ordered |= marks.contains('&');
        }
        Ok(())
    }

    fn function(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let mark = row.text(3)?;
        if !["i", "s", "v"].contains(&mark) {
            return Err(row.error("an unknown mark of a function"));
        }
        let function = FunctionInfo {
            name: row.text(0)?.into(),
            schema: row.optional(1)?.map(Into::into),
            computes: row.truth(2)?,
            volatile: mark == "v",
            stable: mark == "s",
        };
        match row.stamp(4)? {
            Some(stamp) => self.own.functions.push(stamp, function),
            None => self.parts.functions.push(function),
        }
        Ok(())
    }

    fn kind(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let kind = TypeInfo {
            oid: row.number(0)?,
            name: row.text(1)?.into(),
            system: row.truth(2)?,
            base: row.number(3)?,
            base_modifier: row.number(4)?,
        };
        match row.stamp(5)? {
            Some(stamp) => self.own.types.push(stamp, kind),
            None => self.parts.types.push(kind),
        }
        Ok(())
    }

    fn key(&mut self, row: &Row<'_>) -> Result<(), AnswerError> {
        let numbers: Result<Vec<i16>, _> = row.text(1)?.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| row.error("a key is not of numbers"))?;
        if let Some(relation) = self.of(row.number(0)?) {
            relation.keys.push(numbers);
        }
        Ok(())
    }
}

struct Row<'a> {
    topic: Topic,
    fields: &'a [Option<&'a [u8]>],
}

impl<'a> Row<'a> {
    fn error(&self, problem: &'static str) -> AnswerError {
        AnswerError { topic: self.topic, problem }
    }

    fn optional(&self, place: usize) -> Result<Option<&'a str>, AnswerError> {
        match self.fields.get(place) {
            Some(Some(bytes)) => std::str::from_utf8(bytes).map(Some).map_err(|_| self.error("a value is not UTF-8")),
            Some(None) => Ok(None),
            None => Err(self.error("a column is missing")),
        }
    }

    fn text(&self, place: usize) -> Result<&'a str, AnswerError> {
        self.optional(place)?.ok_or_else(|| self.error("a value is null"))
    }

    fn number<N: std::str::FromStr>(&self, place: usize) -> Result<N, AnswerError> {
        self.text(place)?.parse().map_err(|_| self.error("a value is not a number"))
    }

    fn truth(&self, place: usize) -> Result<bool, AnswerError> {
        match self.text(place)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.error("a value is not a boolean")),
        }
    }

    /// A stamp is said again within a question, so that it is of nothing but hexadecimal digits.
    fn stamp(&self, place: usize) -> Result<Option<&'a str>, AnswerError> {
        let stamp = self.optional(place)?;
        if stamp.is_some_and(|stamp| !stamp.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return Err(self.error("a stamp is not of hexadecimal digits"));
        }
        Ok(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Volatility;

    /// A row as it comes, `NULL` for null.
    fn tell(builder: &mut Builder, topic: Topic, fields: &[&str]) -> Result<(), AnswerError> {
        let value = |field: &&'_ str| -> Option<Vec<u8>> { (*field != "NULL").then(|| field.as_bytes().to_vec()) };
        let fields: Vec<Option<Vec<u8>>> = fields.iter().map(value).collect();
        builder.row(topic, &fields.iter().map(Option::as_deref).collect::<Vec<_>>())
    }

    fn with_code(code: &[(&str, &str)]) -> Catalog {
        let mut builder = Builder::default();
        let mut row = |topic, fields: &[&str]| tell(&mut builder, topic, fields).expect("a row");
        row(Topic::Settings, &["pg_catalog"]);
        row(Topic::Relations, &["16384", "public", "plain", "r", "0", "0"]);
        row(Topic::Relations, &["16385", "public", "watched", "r", "21", "0"]);
        row(Topic::Functions, &["f", "public", "f", "i", "NULL"]);
        for &(at, digest) in code {
            row(Topic::Code, &[at, digest]);
        }
        builder.finish(&mut Kept::default()).expect("a catalog")
    }

    #[test]
    fn code_counts_where_it_runs() {
        let (one, other) = (with_code(&[("0", "a")]), with_code(&[("0", "b")]));
        let of = |catalog: &Catalog, name: &str, calls: bool| catalog.stands_for([name], calls);
        assert_eq!(of(&one, "plain", false), of(&other, "plain", false));
        assert_ne!(of(&one, "plain", true), of(&other, "plain", true));
        assert_ne!(of(&one, "watched", false), of(&other, "watched", false));
        let another_trigger = with_code(&[("0", "a"), ("16385", "c")]);
        assert_ne!(of(&one, "watched", false), of(&another_trigger, "watched", false));
        assert_eq!(of(&one, "plain", true), of(&another_trigger, "plain", true));
    }

    #[test]
    fn a_column_that_is_not_there_is_told() {
        let mut builder = Builder::default();
        let mut row = |topic, fields: &[&str]| tell(&mut builder, topic, fields).expect("a row");
        row(Topic::Settings, &["pg_catalog"]);
        row(Topic::Relations, &["16384", "public", "customers", "r", "0", "0"]);
        row(Topic::Columns, &["16384", "1", "name", "25", "-1", "f", "f", "NULL"]);
        row(Topic::Columns, &["16384", "2", "profile", "3802", "-1", "f", "f", "NULL"]);
        row(Topic::Functions, &["f", "public", "f", "i", "NULL"]);
        let catalog = builder.finish(&mut Kept::default()).expect("a catalog");
        let said = |column: &str, has_documents| catalog.misnamed(column, has_documents).unwrap_or_default();
        assert_eq!(said("public.customers.name", false), "");
        assert_eq!(said("public.customers.profile", false) + &said("public.customers.profile", true), "");
        assert_eq!(said("public.custmers.name", false), "there is no table public.custmers");
        assert_eq!(said("sales.customers.name", true), "there is no table sales.customers");
        assert_eq!(said("public.customers.nmae", false), "public.customers has no column nmae");
        assert_eq!(said("public.customers.name", true), "it is neither json nor jsonb, and is masked as a whole");
    }

    #[test]
    fn what_indexes_hold_and_tell_apart_is_known() {
        let mut builder = Builder::default();
        let mut row = |topic, fields: &[&str]| tell(&mut builder, topic, fields);
        row(Topic::Settings, &["pg_catalog"]).expect("a row");
        row(Topic::Relations, &["16384", "public", "seats", "r", "0", "0"]).expect("a row");
        row(Topic::Columns, &["16384", "1", "hall", "20", "-1", "f", "t", "NULL"]).expect("a row");
        row(Topic::Columns, &["16384", "2", "number", "20", "-1", "f", "t", "NULL"]).expect("a row");
        row(Topic::Columns, &["16384", "3", "note", "25", "-1", "f", "f", "NULL"]).expect("a row");
        for (number, marks) in [("1", "#"), ("2", "?#"), ("2", "~%"), ("2", "&"), ("9", "#")] {
            row(Topic::Marks, &["16384", number, marks]).expect("a row");
        }
        row(Topic::Functions, &["f", "public", "f", "i", "NULL"]).expect("a row");
        row(Topic::Keys, &["16384", "1 2"]).expect("a row");
        assert!(row(Topic::Keys, &["16384", "1 x"]).is_err());
        let catalog = builder.finish(&mut Kept::default()).expect("a catalog");
        let seats = catalog.relation("public", "seats").expect("a table");
        assert_eq!(seats.columns.iter().map(|column| column.indexed).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(seats.columns.iter().map(|column| column.ordered).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(seats.keys, [vec![1, 2]]);
    }

    #[test]
    fn what_is_set_off_is_told_by_the_write() {
        let mut builder = Builder::default();
        tell(&mut builder, Topic::Settings, &["pg_catalog"]).expect("a row");
        // A trigger for each row after INSERT or DELETE, and a rule ON UPDATE.
        tell(&mut builder, Topic::Relations, &["16384", "public", "seats", "R", "12", "4"]).expect("a row");
        tell(&mut builder, Topic::Functions, &["f", "public", "f", "i", "NULL"]).expect("a row");
        let catalog = builder.finish(&mut Kept::default()).expect("a catalog");
        let seats = catalog.relation("public", "seats").expect("a table");
        assert_eq!(seats.triggers, Writes::INSERT.with(Writes::DELETE));
        assert_eq!(seats.rules, Writes::UPDATE);
    }

    #[test]
    fn functions_are_marked() {
        let mut builder = Builder::default();
        for (name, mark) in [("a", "i"), ("b", "s"), ("c", "v"), ("c", "i")] {
            tell(&mut builder, Topic::Functions, &[name, "NULL", "f", mark, "NULL"]).expect("a row");
        }
        assert!(tell(&mut builder, Topic::Functions, &["x", "NULL", "f", "x", "NULL"]).is_err());
        // Whatever is written down of it says the same.
        let catalog = Catalog::new(Catalog::new(builder.parts).parts());
        let marks = ["a", "b", "c"].map(|name| catalog.own_function(name));
        assert_eq!(marks, [Volatility::Immutable, Volatility::Stable, Volatility::Volatile].map(Some));
    }

    #[test]
    fn what_is_the_servers_own_is_told_once() {
        let mut kept = Kept::default();
        let mut survey = |told: &[(Topic, &[&str])]| {
            let mut builder = Builder::default();
            tell(&mut builder, Topic::Settings, &["pg_catalog"]).expect("a row");
            tell(&mut builder, Topic::Relations, &["1259", "pg_catalog", "pg_class", "r", "0", "0"]).expect("a row");
            told.iter().for_each(|(topic, row)| tell(&mut builder, *topic, row).expect("a row"));
            let catalog = builder.finish(&mut kept).expect("a catalog");
            let topics = [Topic::Columns, Topic::Functions, Topic::Types, Topic::Keys];
            let stamps = topics.map(|topic| kept.stamp(topic).to_owned());
            (catalog.parts(), stamps)
        };
        let first: [(Topic, &[&str]); 4] = [
            (Topic::Columns, &["1259", "2", "relname", "19", "-1", "f", "t", "7a1"]),
            (Topic::Columns, &["1259", "1", "oid", "26", "-1", "f", "t", "7a1"]),
            (Topic::Functions, &["lower", "NULL", "f", "i", "8a1"]),
            (Topic::Types, &["25", "text", "t", "0", "-1", "9a1"]),
        ];
        let (parts, stamps) = survey(&first);
        assert_eq!(stamps, ["7a1", "8a1", "9a1", ""]);
        let names: Vec<&str> = parts.relations[0].columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["oid", "relname"]);
        // Then only what is new; and what was changed replaces what was there.
        let (again, stamps) = survey(&[(Topic::Functions, &["mine", "public", "f", "i", "NULL"])]);
        assert_eq!(stamps, ["7a1", "8a1", "9a1", ""]);
        assert_eq!((&again.relations, &again.types), (&parts.relations, &parts.types));
        assert_eq!(again.functions.len(), 2);
        let (renamed, stamps) = survey(&[(Topic::Functions, &["upper", "NULL", "f", "i", "8a2"])]);
        assert_eq!(stamps, ["7a1", "8a2", "9a1", ""]);
        assert_eq!(renamed.functions.iter().map(|function| &*function.name).collect::<Vec<_>>(), ["upper"]);
    }

    #[test]
    fn a_definition_is_asked_for_when_its_stamp_is_another() {
        let mut kept = Kept::default();
        // The stamps of views, what the server tells of their definitions, and whether something of its own was changed.
        let mut survey = |views: &[(&str, &str)], told: &[(&str, &str)], changed: bool| {
            let mut builder = Builder::default();
            tell(&mut builder, Topic::Settings, &["pg_catalog"]).expect("a row");
            for view in ["16384", "16385"] {
                tell(&mut builder, Topic::Relations, &[view, "public", view, "v", "0", "0"]).expect("a row");
            }
            let stamp = if changed { "8a2" } else { "NULL" };
            tell(&mut builder, Topic::Functions, &["f", "public", "f", "i", stamp]).expect("a row");
            for (view, stamp) in views {
                tell(&mut builder, Topic::Views, &[view, stamp]).expect("a row");
            }
            let asked: Vec<String> = kept.views_to_read(&builder).iter().map(u32::to_string).collect();
            for (view, text) in told {
                tell(&mut builder, Topic::Definitions, &[view, text]).expect("a row");
            }
            let catalog = builder.finish(&mut kept).expect("a catalog");
            let of = |view| catalog.relation("public", view).and_then(|view| view.definition.as_deref()).unwrap_or("");
            format!("asked for {}: {} and {}", asked.join(" "), of("16384"), of("16385"))
        };
        let both = [("16384", "a1"), ("16385", "b1")];
        assert_eq!(survey(&both, &[("16384", "one"), ("16385", "two")], false), "asked for 16384 16385: one and two");
        assert_eq!(survey(&both, &[], false), "asked for : one and two");
        // One is changed; then somebody holds it, so that it could not be told.
        let changed = [("16384", "a1"), ("16385", "b2")];
        assert_eq!(survey(&changed, &[("16385", "three")], false), "asked for 16385: one and three");
        assert_eq!(survey(&both, &[], false), "asked for 16385: one and ");
        // Somebody changes it now; afterwards it is asked for, though its stamp be as before.
        assert_eq!(survey(&both, &[("16385", "two")], false), "asked for 16385: one and two");
        assert_eq!(survey(&both[..1], &[], false), "asked for : one and ");
        assert_eq!(survey(&both, &[("16385", "two")], false), "asked for 16385: one and two");
        // What is the server's own is in no stamp.
        assert_eq!(survey(&both, &[("16384", "four")], true), "asked for 16384 16385: four and ");
    }

    #[test]
    fn what_is_not_understood_may_set_off_anything() {
        let one = with_code(&[("0", "a"), ("16385", "c")]);
        let same = with_code(&[("16385", "c"), ("0", "a")]);
        assert_eq!(one.stands_for_everything(), same.stands_for_everything());
        for other in [with_code(&[("0", "b"), ("16385", "c")]), with_code(&[("0", "a"), ("16385", "d")])] {
            assert_ne!(one.stands_for_everything(), other.stands_for_everything());
        }
    }

    #[test]
    fn a_row_of_another_shape_is_an_error() {
        let mut builder = Builder::default();
        assert!(tell(&mut builder, Topic::Relations, &["1"]).is_err());
        // It would be said to the target again.
        let stamp = ["lower", "NULL", "f", "i", "1'); drop table orders; --"];
        assert!(tell(&mut builder, Topic::Functions, &stamp).is_err());
        assert!(builder.finish(&mut Kept::default()).is_err());
    }
}
