//! Texts that a classified column is compared with, or that are written into one: pseudonyms may stand there.
//!
//! Knows where they stand in a statement. Whether one is a pseudonym, and of what, is not known here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use gatehouse_model::{Access, Action, ClassName, FactValue, GIVEN_BYTES_MAX, Intent, Parent, Resource, kind};
use pg_raw_parse::nodes::{A_Expr, ColumnRef, InsertStmt, SelectStmt, SubLink};
use pg_raw_parse::raw::{A_Expr_Kind, SetOperation, SubLinkType};
use pg_raw_parse::{ConstValue, Node};

use super::analyzer::{Analyzer, Found};
use super::lineage::Lineage;
use super::query::expands;
use super::resource::{classes, column_at, is_classified};
use super::scope::Scope;
use super::tree::{self, strings};
use super::{Misunderstood, action};
use crate::catalog::{Relation, RelationKind};
use crate::value::oid;

/// How many a statement has; of more, none is turned back.
pub(crate) const CANDIDATES_MAX: usize = 256;

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the statement, with its quotation marks, in bytes.
    Text(Range<usize>, Arc<str>),
    /// Among the bind values, from 0.
    Bind(usize),
}

/// What a text is where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CandidateForm {
    /// A text.
    Text,
    /// A UUID.
    Uuid,
}

/// One text, or one list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) classes: Arc<[ClassName]>,
    pub(crate) place: Place,
    pub(crate) form: CandidateForm,
    /// An array stands there, and each of its elements is one.
    pub(crate) is_list: bool,
    /// It decides which rows there are.
    pub(crate) decides: bool,
    /// It is written into a column.
    pub(crate) is_written: bool,
}

/// Those of a statement, and what it wants if each that decides is a pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub(crate) intent: Arc<Intent>,
    pub(crate) all: Vec<Candidate>,
    /// Those, by their places in `all`, that one column is looked up by where the order of what is found shows: of several texts
    /// among them it tells which is the lesser.
    pub(crate) together: Vec<BTreeSet<usize>>,
    /// Something in the statement shows its text or what it writes, or may: what is turned back in it would be seen.
    pub(crate) shows_text: bool,
}

/// A text, as it is met.
#[derive(Debug)]
pub(super) struct Met {
    column: Resource,
    form: CandidateForm,
    written: Written,
    decides: bool,
    /// The statement, where what is found by it may come in the order of the column's values.
    comes_in_order: Option<usize>,
}

/// How texts that a column is compared with find rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    /// By an index of the column, if there is one.
    ByIndex,
    /// As rows that are joined with, which may be sorted for it.
    ByJoin,
    /// By looking at each row: those that are none of them are found.
    Others,
}

#[derive(Debug, Clone)]
enum At {
    /// Where a constant begins, and what it is.
    Text(usize, Arc<str>),
    /// Which one, and where.
    Bind(usize, i32),
}

/// A constant or a parameter, and what it is said to be there.
#[derive(Debug, Clone)]
pub(super) struct Written {
    at: At,
    /// `None`: what its place wants.
    cast: Option<CandidateForm>,
    is_list: bool,
}

impl Written {
    fn is_one(&self) -> bool {
        !self.is_list
    }

    fn fits(&self, form: CandidateForm) -> bool {
        self.cast.is_none_or(|cast| cast == form)
    }
}

/// The texts of a column of VALUES, in which there is nothing else but NULL.
#[derive(Debug)]
pub(super) struct Listed {
    /// Where the first of them stands, by which lists are told apart.
    pub(super) id: usize,
    texts: Vec<Written>,
}

/// A constant or a parameter, as it is or as a text or UUID, or as an array of them.
fn written(analyzer: &Analyzer<'_>, node: Node<'_>) -> Option<Written> {
    let as_it_is = |at: At| Written { at, cast: None, is_list: false };
    match node {
        Node::A_Const(constant) => match constant.val() {
            Some(ConstValue::String(text)) => {
                Some(as_it_is(At::Text(usize::try_from(constant.location).ok()?, text.into())))
            }
            _ => None,
        },
        Node::ParamRef(parameter) => {
            let number = usize::try_from(parameter.number).ok()?.checked_sub(1)?;
            Some(as_it_is(At::Bind(number, parameter.location)))
        }
        Node::TypeCast(cast) => {
            // Any other type would make another text of it.
            let (form, is_list) = analyzer.form_of(cast.type_name()?)?;
            let inner = written(analyzer, cast.arg())?;
            let is_same = inner.cast.is_none() || inner.cast == Some(form) && inner.is_list == is_list;
            is_same.then_some(Written { at: inner.at, cast: Some(form), is_list })
        }
        _ => None,
    }
}

/// Whether NULL is written there, and as nothing else: no value is equal to it, nor any other, so that it tells nothing.
fn is_null(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(constant) if constant.isnull)
}

/// The texts of a list in which there is nothing else but NULL.
fn written_one_by_one<'n>(analyzer: &Analyzer<'_>, list: impl Iterator<Item = Node<'n>>) -> Option<Vec<Written>> {
    let texts = list.filter(|value| !is_null(*value));
    texts.map(|value| written(analyzer, value).filter(Written::is_one)).collect()
}

/// What `ANY` and `ALL` look through, where there are only texts.
fn written_in(analyzer: &Analyzer<'_>, array: Node<'_>) -> Option<Vec<Written>> {
    match array {
        Node::A_ArrayExpr(array) => written_one_by_one(analyzer, array.elements().iter()),
        Node::TypeCast(cast) if matches!(cast.arg(), Node::A_ArrayExpr(_)) => {
            let (form, is_list) = analyzer.form_of(cast.type_name()?)?;
            let texts = written_in(analyzer, cast.arg())?;
            (is_list && texts.iter().all(|text| text.fits(form))).then_some(texts)
        }
        array => {
            let list = written(analyzer, array).filter(|list| list.is_list || list.cast.is_none())?;
            Some(vec![Written { is_list: true, ..list }])
        }
    }
}

impl Analyzer<'_> {
    /// A condition that compares a classified column with texts alone. False of any other, which is not looked at.
    pub(super) fn compared(&mut self, expression: &A_Expr, scope: &Scope<'_>) -> Result<bool, Misunderstood> {
        let names = strings(expression.name());
        let (schema, name) = tree::qualified(&names);
        let compares = matches!(name, "=" | "<>") && schema.is_none_or(|schema| schema == "pg_catalog");
        if !compares || !self.compares_as_usual() {
            return Ok(false);
        }
        let (left, right) = (expression.lexpr(), expression.rexpr());
        let (column, others, texts): (&ColumnRef, Node<'_>, Option<Vec<Written>>) = match (expression.kind, left, right)
        {
            (A_Expr_Kind::AEXPR_OP, Node::ColumnRef(one), Node::ColumnRef(other)) => {
                return self.compared_columns(one, other, scope);
            }
            (A_Expr_Kind::AEXPR_IN, Node::ColumnRef(column), Node::NodeList(list)) => {
                (column, right, written_one_by_one(self, list.iter()))
            }
            (A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL, Node::ColumnRef(column), array) => {
                (column, array, written_in(self, array))
            }
            (A_Expr_Kind::AEXPR_OP, Node::ColumnRef(column), value)
            | (A_Expr_Kind::AEXPR_OP, value, Node::ColumnRef(column)) => {
                let text = written(self, value).filter(Written::is_one);
                (column, value, text.map(|text| vec![text]))
            }
            _ => return Ok(false),
        };
        let Some(texts) = texts else { return Ok(false) };
        let lineage = self.expression(Node::ColumnRef(column), scope)?;
        self.expression(others, scope)?;
        // What is not to be unequal is looked up as what is to be equal.
        let finding = if (name == "=") == self.is_negated { Finding::Others } else { Finding::ByIndex };
        self.decided(lineage, texts, finding);
        Ok(true)
    }

    /// The same of a column and a list of texts that is written out as a row source: `c.email = v.email`.
    fn compared_columns(
        &mut self,
        one: &ColumnRef,
        other: &ColumnRef,
        scope: &Scope<'_>,
    ) -> Result<bool, Misunderstood> {
        let (listed, text, column) = match (listed_as(one, scope), listed_as(other, scope)) {
            (Some(listed), None) => (listed, one, other),
            (None, Some(listed)) => (listed, other, one),
            _ => return Ok(false),
        };
        let lineage = self.expression(Node::ColumnRef(column), scope)?;
        self.expression(Node::ColumnRef(text), scope)?;
        if self.decided(lineage, listed.texts.clone(), Finding::ByJoin) {
            self.found.looked_up.insert((listed.id, text.location));
        }
        Ok(true)
    }

    /// The same of `IN` with a subquery that is such a list, or selects it.
    pub(super) fn compared_in(&mut self, link: &SubLink, scope: &Scope<'_>) -> Result<bool, Misunderstood> {
        let is_in = link.sub_link_type == SubLinkType::ANY_SUBLINK && link.oper_name().is_empty();
        let (Node::ColumnRef(_), Node::SelectStmt(select)) = (link.testexpr(), link.subselect()) else {
            return Ok(false);
        };
        if !is_in || !self.compares_as_usual() {
            return Ok(false);
        }
        let (listed, location) = match self.lists(link.subselect()).as_slice() {
            [Some(listed)] => (listed.clone(), None),
            [] => match self.selected_list(select, scope)? {
                Some((listed, location)) => (listed, Some(location)),
                None => return Ok(false),
            },
            _ => return Ok(false),
        };
        self.inventory.strike(Node::SubLink(link));
        let lineage = self.expression(link.testexpr(), scope)?;
        self.query(link.subselect(), scope)?;
        let finding = if self.is_negated { Finding::Others } else { Finding::ByJoin };
        if self.decided(lineage, listed.texts.clone(), finding) {
            self.found.looked_up.extend(location.map(|location| (listed.id, location)));
        }
        Ok(true)
    }

    /// The list that a query selects and does nothing else, and where it names it.
    fn selected_list(
        &mut self,
        select: &SelectStmt,
        scope: &Scope<'_>,
    ) -> Result<Option<(Rc<Listed>, i32)>, Misunderstood> {
        let is_plain = is_bare(select)
            && select.values_lists().is_empty()
            && select.group_clause().is_empty()
            && select.distinct_clause().is_empty()
            && select.window_clause().is_empty()
            && select.into_clause().is_none()
            && [select.where_clause(), select.having_clause()].iter().all(|clause| matches!(clause, Node::None));
        let is_source = |node| matches!(node, Node::RangeVar(_) | Node::RangeSubselect(_));
        let has_one_source = select.from_clause().len() == 1 && select.from_clause().iter().all(is_source);
        let mut targets = select.target_list().iter();
        let (Some(target), None) = (targets.next(), targets.next()) else { return Ok(None) };
        let Node::ColumnRef(column) = target.val() else { return Ok(None) };
        if !is_plain || !has_one_source {
            return Ok(None);
        }
        let sources = self.from(select.from_clause(), scope)?;
        Ok(listed_as(column, &scope.inner(&sources)).map(|listed| (listed, column.location)))
    }

    /// Whether `=` and `<>` are PostgreSQL's own, and what stands beside them is the client's.
    fn compares_as_usual(&self) -> bool {
        let catalog = self.resources.catalog;
        !catalog.is_user_operator("=") && !catalog.is_user_operator("<>") && !self.is_in_view()
    }

    /// Texts that something is compared with decide which rows there are. False if they cannot be pseudonyms of it.
    fn decided(&mut self, compared: Lineage, texts: Vec<Written>, finding: Finding) -> bool {
        let column = match compared {
            Lineage::Copy(column) if is_classified(&column) => column,
            lineage => {
                self.probe(&lineage);
                return false;
            }
        };
        let Some((form, _)) = self.form_and_room(&column).filter(|(form, _)| texts.iter().all(|text| text.fits(*form)))
        else {
            self.probe(&Lineage::Copy(column));
            return false;
        };
        self.found.conditional.insert(Access::new(Action::PROBE, column.clone()));
        self.mark_sensitive();
        let comes_in_order = match finding {
            Finding::ByIndex => self.comes_in_order(&column),
            Finding::ByJoin => true,
            Finding::Others => false,
        };
        let comes_in_order = comes_in_order.then_some(self.found.statement);
        for written in texts {
            self.meet(Met { column: column.clone(), form, written, decides: true, comes_in_order });
        }
        true
    }

    /// Whether rows that a column is looked up in may come in the order of its values: by an index that holds it, or part by part.
    fn comes_in_order(&self, column: &Resource) -> bool {
        let catalog = self.resources.catalog;
        let is_scanned = |kin: &Arc<Relation>| matches!(kin.kind, RelationKind::Table | RelationKind::PartitionedTable);
        self.found.reads_materialized
            || column_at(catalog, self.resources.target, column).is_none_or(|(relation, name)| {
                let is_held = |kin: &Arc<Relation>| {
                    kin.columns.iter().any(|info| *info.name == *name && (info.indexed || info.divides))
                };
                catalog.family(relation).iter().any(|kin| !is_scanned(kin) || is_held(kin))
            })
    }

    /// Notes of the statement at hand whether the order in which it finds rows shows, where that could tell anything.
    pub(super) fn settle(&mut self, statement: Node<'_>) {
        let at_hand = self.found.statement;
        let is_asked = self.found.met.iter().any(|met| met.comes_in_order == Some(at_hand));
        if is_asked && self.is_settled(statement) {
            self.found.settled.insert(at_hand);
        }
    }

    /// Of each column of a query that is VALUES alone, the texts in it, where there is nothing else but NULL.
    pub(super) fn lists(&self, query: Node<'_>) -> Vec<Option<Rc<Listed>>> {
        let Node::SelectStmt(select) = query else { return Vec::new() };
        if self.is_in_view() || !is_bare(select) || select.values_lists().len() > CANDIDATES_MAX {
            return Vec::new();
        }
        let mut columns: Option<Vec<Option<Vec<Written>>>> = None;
        for row in select.values_lists() {
            let Node::NodeList(row) = row else { return Vec::new() };
            let columns = columns.get_or_insert_with(|| row.iter().map(|_| Some(Vec::new())).collect());
            if row.iter().any(expands) || row.len() != columns.len() {
                return Vec::new();
            }
            for (texts, value) in columns.iter_mut().zip(row.iter()).filter(|(_, value)| !is_null(*value)) {
                let text = written(self, value).filter(Written::is_one);
                *texts = texts.take().zip(text).map(|(mut texts, text)| {
                    texts.push(text);
                    texts
                });
            }
        }
        let list = |texts: Option<Vec<Written>>| {
            let texts = texts?;
            let id = match &texts.first()?.at {
                At::Text(start, _) => *start,
                At::Bind(_, location) => usize::try_from(*location).ok()?,
            };
            Some(Rc::new(Listed { id, texts }))
        };
        columns.unwrap_or_default().into_iter().map(list).collect()
    }

    /// Something is done with lists, or may be, by what stands here; nobody can say where, if that is negative.
    pub(super) fn touch(&mut self, lists: Vec<usize>, location: i32) {
        self.found.touched.extend(lists.into_iter().map(|list| (list, location)));
    }

    /// A value is written into a column.
    pub(super) fn assigned(&mut self, value: Node<'_>, into: Option<&Resource>) {
        // Where it may be too long for the column, or is tested, that would tell of it.
        if let Some(column) = into.filter(|column| is_classified(column) && !self.is_tested(column))
            && !self.is_in_view()
            && let Some((form, _)) = self.form_and_room(column).filter(|(_, room)| *room >= GIVEN_BYTES_MAX)
            && let Some(written) = written(self, value).filter(|text| text.is_one() && text.fits(form))
        {
            self.meet(Met { column: column.clone(), form, written, decides: false, comes_in_order: None });
        }
    }

    /// The rows of VALUES are written into columns that are named. Of those of a query, what comes of their values is unknown.
    pub(super) fn assigned_rows(&mut self, insert: &InsertStmt, into: &[Option<Resource>]) {
        let Node::SelectStmt(select) = insert.select_stmt() else { return };
        if insert.cols().is_empty() || !is_bare(select) {
            return;
        }
        for row in select.values_lists() {
            let Node::NodeList(row) = row else { continue };
            if row.iter().any(expands) {
                continue;
            }
            for (value, into) in row.iter().zip(into) {
                self.assigned(value, into.as_ref());
            }
        }
    }

    /// What the texts of a column are, and how many characters they have at most, where they are equal only if their bytes are;
    /// `None` of any other, and of one that the catalog does not have.
    pub(super) fn form_and_room(&self, column: &Resource) -> Option<(CandidateForm, usize)> {
        let catalog = self.resources.catalog;
        let (relation, name) = column_at(catalog, self.resources.target, column)?;
        let column = relation.columns.iter().find(|info| *info.name == *name && !info.folds)?;
        if column.type_oid == oid::UUID {
            return Some((CandidateForm::Uuid, usize::MAX));
        }
        catalog.chars_of(column.type_oid, column.type_modifier).map(|chars| (CandidateForm::Text, chars))
    }

    /// Whether a value that is written into a column is looked at by what is defined on it, or on a column of its kin.
    pub(super) fn is_tested(&self, column: &Resource) -> bool {
        let catalog = self.resources.catalog;
        column_at(catalog, self.resources.target, column).is_none_or(|(relation, name)| {
            let family = catalog.family(relation);
            let is_tested = |kin: &Arc<Relation>| {
                kin.has_effects || kin.columns.iter().any(|info| *info.name == *name && (info.tested || info.folds))
            };
            family.iter().any(is_tested)
        })
    }

    fn meet(&mut self, met: Met) {
        if self.found.met.len() <= CANDIDATES_MAX {
            self.found.met.push(met);
        }
    }
}

/// The list that a column is of, for certain.
fn listed_as(column: &ColumnRef, scope: &Scope<'_>) -> Option<Rc<Listed>> {
    let names = strings(column.fields());
    // What is negative is no place of its own.
    let is_whole = names.len() == column.fields().len() && column.location >= 0;
    is_whole.then(|| scope.listed(&names)).flatten()
}

/// Whether a query stands by itself, and all its rows are taken as they come.
fn is_bare(select: &SelectStmt) -> bool {
    select.op == SetOperation::SETOP_NONE
        && select.with_clause().is_none()
        && select.sort_clause().is_empty()
        && select.locking_clause().is_empty()
        && [select.limit_count(), select.limit_offset()].iter().all(|limit| matches!(limit, Node::None))
}

/// Whether anything else is done with the lists that columns are looked up in: that would tell what stands in them.
fn tells_of_lists(found: &Found) -> bool {
    let lists: BTreeSet<usize> = found.looked_up.iter().map(|(list, _)| *list).collect();
    found.touched.iter().any(|touch| lists.contains(&touch.0) && !found.looked_up.contains(touch))
}

/// The range of a plain constant that begins at `start`, if it is this text.
fn quoted(sql: &str, start: usize, text: &str) -> Option<Range<usize>> {
    let rest = sql.get(start..)?.strip_prefix('\'')?;
    let (mut value, mut bytes) = (String::new(), rest.char_indices().peekable());
    while let Some((at, letter)) = bytes.next() {
        if letter != '\'' {
            value.push(letter);
        } else if bytes.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return (value == text).then_some(start..start + 1 + at + 1);
        }
    }
    None
}

/// The table that a column is in.
fn table_of(column: &Resource) -> Option<Resource> {
    let parents: Vec<Parent> = column.within.iter().filter(|parent| parent.kind != kind::CLASS).cloned().collect();
    let (table, within) = parents.split_first()?;
    Some(Resource::new(table.kind, &table.id, within))
}

/// The candidates of a text, with what it wants if all that decide are pseudonyms; `intent` wants more.
pub(super) fn candidates(
    sql: &str,
    found: &mut Found,
    intent: &Intent,
    parameters: &HashMap<usize, HashSet<i32>>,
) -> Option<Candidates> {
    let met = std::mem::take(&mut found.met);
    if met.is_empty() || met.len() > CANDIDATES_MAX || !found.is_plain || found.changes_catalog || tells_of_lists(found)
    {
        return None;
    }
    let mut uses: HashMap<usize, (HashSet<i32>, Arc<[ClassName]>)> = HashMap::new();
    let (mut all, mut read): (Vec<Candidate>, Vec<Access>) = (Vec::new(), Vec::new());
    let mut together: BTreeMap<(usize, Resource), BTreeSet<usize>> = BTreeMap::new();
    for Met { column, form, written: Written { at, is_list, .. }, decides, comes_in_order } in met {
        if decides {
            read.extend(table_of(&column).map(|table| Access::new(action::SELECT, table)));
        }
        let names = classes(&column).filter_map(|class| ClassName::new(&class.id).ok());
        let classes: Arc<[ClassName]> = names.collect();
        let place = match at {
            At::Bind(number, location) => {
                let (places, others) = uses.entry(number).or_insert_with(|| (HashSet::new(), classes.clone()));
                places.insert(location);
                if *others != classes {
                    return None;
                }
                Some(Place::Bind(number))
            }
            At::Text(start, text) => quoted(sql, start, &text).map(|range| Place::Text(range, text)),
        };
        match place {
            // What is read several times, as the body of a recursive query is, stands there once.
            Some(place) => {
                let number = all.iter().position(|other| other.place == place).unwrap_or(all.len());
                match all.get_mut(number) {
                    Some(other) if (&other.classes, other.form, other.is_list) != (&classes, form, is_list) => {
                        return None;
                    }
                    Some(other) => {
                        other.decides |= decides;
                        other.is_written |= !decides;
                    }
                    None => all.push(Candidate { classes, place, form, is_list, decides, is_written: !decides }),
                }
                if let Some(statement) = comes_in_order.filter(|statement| !found.settled.contains(statement)) {
                    together.entry((statement, column)).or_default().insert(number);
                }
            }
            None if decides => return None,
            None => {}
        }
    }
    // What stands for a value elsewhere too would be told by what that does.
    let is_elsewhere = |number: &usize| uses.get(number).map(|(places, _)| places) != parameters.get(number);
    if uses.keys().any(is_elsewhere) {
        return None;
    }
    let mut intent = intent.clone();
    let conditional = &found.conditional;
    intent.accesses.retain(|access| !conditional.contains(access) || found.accesses.contains(access));
    // What a write tells by which rows it finds, only who may read the table sees by its pseudonyms.
    intent.accesses.extend(read);
    intent.accesses.sort();
    intent.accesses.dedup();
    let deciding = all.iter().filter(|candidate| candidate.decides).count();
    intent.facts.insert("pseudonyms", FactValue::Long(i64::try_from(deciding).unwrap_or(i64::MAX)));
    (!all.is_empty() && !intent.accesses.is_empty()).then(|| Candidates {
        intent: Arc::new(intent),
        all,
        together: together.into_values().collect(),
        shows_text: found.shows_text || found.opaque,
    })
}
