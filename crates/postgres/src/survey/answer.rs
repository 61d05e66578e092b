//! What the answers to a survey come to: a [`Catalog`].
//!
//! Knows the shape of each answer. Must not know how it was asked for, nor frames.

use foldhash::HashMap;

use super::question::Topic;
use crate::catalog::{Catalog, ColumnInfo, FunctionInfo, Making, Parts, Relation, RelationKind, TypeInfo, Writes};

/// A row that does not have the shape of its answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer about {topic:?} is not as expected: {problem}")]
pub(super) struct AnswerError {
    topic: Topic,
    problem: &'static str,
}

/// What is the server's own, and the same in each survey until somebody changes it: then its stamp, of the rows' number and
/// their `xmin`, is another.
#[derive(Debug, Default)]
pub(super) struct Own {
    columns: Stamped<(u32, ColumnInfo)>,
    functions: Stamped<FunctionInfo>,
    types: Stamped<TypeInfo>,
}

impl Own {
    /// The stamp of what is known of a topic; empty for nothing.
    pub(super) fn stamp(&self, topic: Topic) -> &str {
        match topic {
            Topic::Columns => &self.columns.stamp,
            Topic::Functions => &self.functions.stamp,
            Topic::Types => &self.types.stamp,
            _ => "",
        }
    }

    fn renew(&mut self, newer: Self) {
        self.columns.renew(newer.columns);
        self.functions.renew(newer.functions);
        self.types.renew(newer.types);
    }
}

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
            Topic::DefinitionSettings => {}
            Topic::Definitions => {
                let (oid, definition) = (row.number(0)?, row.optional(1)?);
                self.of(oid).into_iter().for_each(|relation| relation.definition = definition.map(Into::into));
            }
            Topic::Expressions => {
                let expression = row.optional(2)?;
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

    /// The catalog, when every answer is complete, with what of `own` was not told anew; that is renewed.
    pub(super) fn finish(mut self, own: &mut Own) -> Result<Catalog, AnswerError> {
        own.renew(std::mem::take(&mut self.own));
        for (oid, column) in &own.columns.of {
            self.of(*oid).into_iter().for_each(|relation| relation.columns.push(column.clone()));
        }
        self.parts.functions.extend(own.functions.of.iter().cloned());
        self.parts.types.extend(own.types.of.iter().cloned());
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

    /// A stamp is said again within a question, so that it is of nothing but numbers.
    fn stamp(&self, place: usize) -> Result<Option<&'a str>, AnswerError> {
        let stamp = self.optional(place)?;
        if stamp.is_some_and(|stamp| !stamp.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ')) {
            return Err(self.error("a stamp is not of numbers"));
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
        builder.finish(&mut Own::default()).expect("a catalog")
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
        let catalog = builder.finish(&mut Own::default()).expect("a catalog");
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
        let catalog = builder.finish(&mut Own::default()).expect("a catalog");
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
        let catalog = builder.finish(&mut Own::default()).expect("a catalog");
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
        let mut own = Own::default();
        let mut survey = |told: &[(Topic, &[&str])]| {
            let mut builder = Builder::default();
            tell(&mut builder, Topic::Settings, &["pg_catalog"]).expect("a row");
            tell(&mut builder, Topic::Relations, &["1259", "pg_catalog", "pg_class", "r", "0", "0"]).expect("a row");
            told.iter().for_each(|(topic, row)| tell(&mut builder, *topic, row).expect("a row"));
            let catalog = builder.finish(&mut own).expect("a catalog");
            let stamps =
                [Topic::Columns, Topic::Functions, Topic::Types, Topic::Keys].map(|topic| own.stamp(topic).to_owned());
            (catalog.parts(), stamps)
        };
        let first: [(Topic, &[&str]); 4] = [
            (Topic::Columns, &["1259", "2", "relname", "19", "-1", "f", "t", "7 1"]),
            (Topic::Columns, &["1259", "1", "oid", "26", "-1", "f", "t", "7 1"]),
            (Topic::Functions, &["lower", "NULL", "f", "i", "8 1"]),
            (Topic::Types, &["25", "text", "t", "0", "-1", "9 1"]),
        ];
        let (parts, stamps) = survey(&first);
        assert_eq!(stamps, ["7 1", "8 1", "9 1", ""]);
        let names: Vec<&str> = parts.relations[0].columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names, ["oid", "relname"]);
        // Then only what is new; and what was changed replaces what was there.
        let (again, stamps) = survey(&[(Topic::Functions, &["mine", "public", "f", "i", "NULL"])]);
        assert_eq!(stamps, ["7 1", "8 1", "9 1", ""]);
        assert_eq!((&again.relations, &again.types), (&parts.relations, &parts.types));
        assert_eq!(again.functions.len(), 2);
        let (renamed, stamps) = survey(&[(Topic::Functions, &["upper", "NULL", "f", "i", "8 2"])]);
        assert_eq!(stamps, ["7 1", "8 2", "9 1", ""]);
        assert_eq!(renamed.functions.iter().map(|function| &*function.name).collect::<Vec<_>>(), ["upper"]);
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
        assert!(builder.finish(&mut Own::default()).is_err());
    }
}
