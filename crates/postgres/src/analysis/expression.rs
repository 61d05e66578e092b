//! Where the value of an expression comes from, and what computing it does.
//!
//! Knows PostgreSQL's expressions. One that is not known here is not understood, and so is its statement.

use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    A_Expr, A_Indirection, CaseExpr, ColumnRef, FuncCall, JsonAggConstructor, JsonBehavior, JsonFuncExpr, JsonKeyValue,
    JsonValueExpr, SortBy, SubLink, TypeCast, TypeName, WindowDef,
};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, JsonExprOp, SubLinkType};
use pg_raw_parse::{ConstValue, Node};

use super::Misunderstood;
use super::analyzer::{Analyzer, COUNTS_OF_ROWS};
use super::candidate::CandidateForm;
use super::lineage::{Columns, Lineage};
use super::query::expands;
use super::scope::{self, Scope};
use super::tree::{self, strings};
use crate::catalog::is_temporary_schema;
use crate::function::{self, Kind};

impl Analyzer<'_> {
    /// Of one value.
    pub(super) fn expression(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        self.enter(|analyzer| analyzer.value(node, scope))
    }

    /// Of a value that decides which rows there are, or in which order.
    pub(super) fn predicate(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        match node {
            Node::BoolExpr(expression) => {
                let outside = self.is_negated;
                self.is_negated ^= expression.boolop == BoolExprType::NOT_EXPR;
                let mut parts = expression.args().iter();
                let read = parts.try_for_each(|part| self.enter(|analyzer| analyzer.predicate(part, scope)));
                self.is_negated = outside;
                return read;
            }
            Node::A_Expr(expression) if self.compared(expression, scope)? => return Ok(()),
            Node::SubLink(link) if self.compared_in(link, scope)? => return Ok(()),
            _ => {}
        }
        let lineage = self.expression(node, scope)?;
        self.probe(&lineage);
        Ok(())
    }

    /// Of a value computed from all of these.
    pub(super) fn expressions<'t>(
        &mut self,
        nodes: impl IntoIterator<Item = Node<'t>>,
        scope: &Scope<'_>,
    ) -> Result<Lineage, Misunderstood> {
        let mut parts = Vec::new();
        for node in nodes {
            parts.push(self.expression(node, scope)?);
        }
        Ok(Lineage::derive(&parts))
    }

    fn value(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        match node {
            Node::None
            | Node::ParamRef(_)
            | Node::SetToDefault(_)
            | Node::CurrentOfExpr(_)
            | Node::SQLValueFunction(_)
            | Node::Integer(_)
            | Node::Float(_)
            | Node::Boolean(_)
            | Node::String(_)
            | Node::BitString(_) => Ok(Lineage::Clean),
            Node::MergeSupportFunc(_) => Ok(self.newer_syntax("merge_action", Lineage::Clean)),
            Node::A_Const(constant) => Ok(if constant.isnull { Lineage::Nothing } else { Lineage::Clean }),
            Node::NodeList(list) => self.expressions(list, scope),
            Node::ColumnRef(column) => Ok(self.column(column, scope)),
            Node::A_Expr(expression) => self.operation(expression, scope),
            Node::BoolExpr(expression) => self.computed(expression.args(), scope),
            Node::NullTest(test) => self.computed([test.arg()], scope),
            Node::BooleanTest(test) => self.computed([test.arg()], scope),
            Node::FuncCall(call) => self.function_call(call, scope),
            Node::NamedArgExpr(argument) => self.expression(argument.arg(), scope),
            Node::SubLink(link) => self.sublink(link, scope),
            Node::CaseExpr(case) => self.case(case, scope),
            Node::CoalesceExpr(expression) => self.computed(expression.args(), scope),
            Node::MinMaxExpr(expression) => self.computed(expression.args(), scope),
            Node::RowExpr(row) => self.expressions(row.args(), scope),
            Node::A_ArrayExpr(array) => self.expressions(array.elements(), scope),
            Node::A_Indirection(indirection) => self.indirection(indirection, scope),
            Node::A_Indices(indices) => self.expressions([indices.lidx(), indices.uidx()], scope),
            Node::TypeCast(cast) => self.cast(cast, scope),
            Node::CollateClause(clause) => self.expression(clause.arg(), scope),
            Node::GroupingFunc(grouping) => {
                self.expressions(grouping.args(), scope)?;
                Ok(Lineage::Clean)
            }
            Node::MultiAssignRef(assignment) => self.expressions([assignment.source()], scope),
            Node::ResTarget(target) => self.expression(target.val(), scope),
            Node::XmlExpr(xml) => {
                let named = self.expressions(xml.named_args(), scope)?;
                let others = self.expressions(xml.args(), scope)?;
                Ok(self.probed(Lineage::derive([&named, &others])))
            }
            Node::XmlSerialize(xml) => self.computed([xml.expr()], scope),
            other => {
                let lineage = self.json(other, scope)?;
                let lineage = self.probed(lineage);
                Ok(match json_name(other) {
                    Some(name) => {
                        self.call_casts_to_json();
                        self.newer_syntax(name, lineage)
                    }
                    None => lineage,
                })
            }
        }
    }

    /// Of a value whose computing can fail, or give NULL, for some values: that is seen even where it is masked.
    fn computed<'t>(
        &mut self,
        nodes: impl IntoIterator<Item = Node<'t>>,
        scope: &Scope<'_>,
    ) -> Result<Lineage, Misunderstood> {
        let lineage = self.expressions(nodes, scope)?;
        Ok(self.probed(lineage))
    }

    fn probed(&mut self, lineage: Lineage) -> Lineage {
        self.probe(&lineage);
        lineage
    }

    fn json(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        match node {
            Node::JsonValueExpr(value) => self.json_value(Some(value), scope),
            Node::JsonParseExpr(parse) => self.json_value(parse.expr(), scope),
            Node::JsonScalarExpr(scalar) => self.expressions([scalar.expr()], scope),
            Node::JsonSerializeExpr(serialize) => self.json_value(serialize.expr(), scope),
            Node::JsonIsPredicate(predicate) => self.expressions([predicate.expr()], scope),
            Node::JsonArgument(argument) => self.json_value(argument.val(), scope),
            Node::JsonKeyValue(pair) => self.json_pair(Some(pair), scope),
            Node::JsonBehavior(behavior) => self.expressions([behavior.expr()], scope),
            Node::JsonFuncExpr(call) => self.json_function(call, scope),
            Node::JsonObjectConstructor(object) => self.expressions(object.exprs().iter().map(Node::from), scope),
            Node::JsonArrayConstructor(array) => self.expressions(array.exprs().iter().map(Node::from), scope),
            Node::JsonArrayQueryConstructor(array) => {
                let columns = self.query(array.query(), scope)?;
                Ok(columns.row())
            }
            Node::JsonObjectAgg(aggregate) => {
                let value = self.json_pair(aggregate.arg(), scope)?;
                self.json_aggregate(aggregate.constructor(), value, scope)
            }
            Node::JsonArrayAgg(aggregate) => {
                let value = self.json_value(aggregate.arg(), scope)?;
                self.json_aggregate(aggregate.constructor(), value, scope)
            }
            _ => Err(Misunderstood::new(
                "the statement has an expression that is not understood",
                "Write it in another way",
            )),
        }
    }

    pub(super) fn json_value(
        &mut self,
        value: Option<&JsonValueExpr>,
        scope: &Scope<'_>,
    ) -> Result<Lineage, Misunderstood> {
        match value {
            Some(value) => self.expressions([value.raw_expr(), value.formatted_expr()], scope),
            None => Ok(Lineage::Clean),
        }
    }

    fn json_pair(&mut self, pair: Option<&JsonKeyValue>, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let Some(pair) = pair else {
            return Ok(Lineage::Clean);
        };
        let key = self.expression(pair.key(), scope)?;
        let value = self.json_value(pair.value(), scope)?;
        Ok(Lineage::derive([&key, &value]))
    }

    fn json_function(&mut self, call: &JsonFuncExpr, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let context = self.json_value(call.context_item(), scope)?;
        let path = self.expression(call.pathspec(), scope)?;
        let passing = self.expressions(call.passing(), scope)?;
        let empty = self.json_behavior(call.on_empty(), scope)?;
        let error = self.json_behavior(call.on_error(), scope)?;
        Ok(Lineage::derive([&context, &path, &passing, &empty, &error]))
    }

    pub(super) fn json_behavior(
        &mut self,
        behavior: Option<&JsonBehavior>,
        scope: &Scope<'_>,
    ) -> Result<Lineage, Misunderstood> {
        behavior.map_or(Ok(Lineage::Clean), |behavior| self.expression(behavior.expr(), scope))
    }

    fn json_aggregate(
        &mut self,
        constructor: Option<&JsonAggConstructor>,
        value: Lineage,
        scope: &Scope<'_>,
    ) -> Result<Lineage, Misunderstood> {
        if let Some(constructor) = constructor {
            for order in constructor.agg_order() {
                self.order(order, scope)?;
            }
            self.predicate(constructor.agg_filter(), scope)?;
            self.ordering_by(|analyzer| analyzer.window(constructor.over(), scope))?;
        }
        Ok(Lineage::derive([&value]))
    }

    /// Of a column, or of a whole row under the name of its source.
    fn column(&mut self, column: &ColumnRef, scope: &Scope<'_>) -> Lineage {
        self.inventory.strike(Node::ColumnRef(column));
        let is_star = matches!(column.fields().iter().next_back(), Some(Node::A_Star(_)));
        self.spend_steps(scope.width());
        let lineage = if is_star {
            self.star(column, scope).row()
        } else {
            let names = strings(column.fields());
            self.touch(scope.touched(&names), column.location);
            self.named_column(&names, scope)
        };
        self.read(&lineage);
        lineage
    }

    fn named_column(&mut self, names: &[&str], scope: &Scope<'_>) -> Lineage {
        let (schema, source, name) = match names {
            [] => return Lineage::unknown(),
            [name] => {
                let row = || scope.item(None, name).map(|item| item.columns.row());
                return scope.column(name).or_else(row).unwrap_or_else(Lineage::unknown);
            }
            [source, name] => (None, *source, *name),
            [.., schema, source, name] => (Some(*schema), *source, *name),
        };
        let Some(item) = scope.item(schema, source) else {
            return self.attribute(name, &Lineage::unknown()).unwrap_or_else(Lineage::unknown);
        };
        let found = scope::column_of(item, name);
        if let Some(lineage) = found.as_ref().filter(|_| item.columns.has(name) && !self.found.changes_catalog) {
            return lineage.clone();
        }
        // What is not a column for certain can also be a call: `source.name` stands for `name(source)`.
        let row = item.columns.row();
        match (found, self.attribute(name, &row)) {
            (Some(found), Some(called)) => Lineage::derive([&found, &called]),
            (Some(lineage), None) | (None, Some(lineage)) => lineage,
            (None, None) => row.doubted(),
        }
    }

    /// Of `name(value)` written as `value.name`; `None` if there is no function of the name that does more than compute.
    pub(super) fn attribute(&mut self, name: &str, value: &Lineage) -> Option<Lineage> {
        let kind = self.function_kind(None, name);
        let catalog = self.resources.catalog;
        let acts = match kind {
            Kind::Plain | Kind::Count | Kind::Place | Kind::SequenceRead | Kind::Setting => false,
            // A name that no function has is a field's.
            Kind::User => catalog.is_user_function(name) || self.is_remade(name),
            Kind::Rows | Kind::Lock | Kind::Memory | Kind::Sequence | Kind::Notify | Kind::Dangerous => true,
        };
        if catalog.is_user_type(name) || self.is_remade(name) || self.is_made_as_relation(name) {
            // What that runs may quote anything.
            self.mark_sensitive();
        }
        self.call_makings(&[name]);
        if function::makes_json(name) {
            self.call_casts_to_json();
        }
        self.access_setting(kind, None);
        // The name of a type stands for a cast, which can fail.
        let computes = acts || catalog.own_function(name).is_some() || catalog.is_type(name);
        if computes && !passes(kind, name) {
            self.probe(value);
        }
        acts.then(|| self.call(kind, None, name, value.clone()))
    }

    /// Syntax that older servers read as the call of a function of this name.
    pub(super) fn newer_syntax(&mut self, name: &str, lineage: Lineage) -> Lineage {
        if self.resources.catalog.is_user_function(name) || self.is_remade(name) {
            return self.call(Kind::User, None, name, lineage);
        }
        lineage
    }

    /// The columns that `*` or `source.*` stands for.
    pub(super) fn star(&mut self, column: &ColumnRef, scope: &Scope<'_>) -> Columns {
        self.inventory.strike(Node::ColumnRef(column));
        let names = strings(column.fields());
        self.touch(scope.touched(&names), column.location);
        let columns = match tree::qualified(&names) {
            (None, "") => Some(&scope.sources.columns),
            (schema, source) => scope.item(schema, source).map(|item| &item.columns),
        };
        let columns = columns.cloned().unwrap_or_else(Columns::unknown);
        self.read(&columns.row());
        columns
    }

    /// An operator; a chain of them, as in `a || b || c`, is followed without going deeper.
    fn operation(&mut self, outermost: &A_Expr, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let (mut parts, mut is_known, mut passes) = (Vec::new(), true, true);
        let mut expression = outermost;
        loop {
            let is_own = match implied_operators(expression.kind) {
                [] => self.operator(expression.name()),
                // Each is asked of: all of them are called.
                implied => implied.iter().map(|name| self.operator_named(None, name)).min() != Some(false),
            };
            is_known &= is_own;
            // What stands further left flows into this operator too.
            passes &= is_own && is_passing_operation(expression);
            let left = expression.lexpr();
            let next = if let Node::A_Expr(next) = left { Some(next) } else { None };
            for operand in std::iter::once(expression.rexpr()).chain(next.is_none().then_some(left)) {
                let lineage = self.expression(operand, scope)?;
                if !passes {
                    self.probe(&lineage);
                }
                parts.push(lineage);
            }
            match next {
                Some(next) => expression = next,
                None => break,
            }
        }
        let lineage = Lineage::derive(&parts);
        if passes && !self.stay_short([Node::A_Expr(outermost)], scope)? {
            self.probe(&lineage);
        }
        Ok(if is_known { lineage } else { lineage.doubted() })
    }

    /// Whether an operator can be seen through.
    fn operator(&mut self, name: &NodeList) -> bool {
        let names = strings(name);
        let (schema, name) = tree::qualified(&names);
        self.operator_named(schema, name)
    }

    /// The same of one that the syntax stands for, or that is written.
    pub(super) fn operator_named(&mut self, schema: Option<&str>, name: &str) -> bool {
        // The catalog has no operators of temporary schemas.
        let is_temporary = schema.is_some_and(is_temporary_schema);
        if schema == Some("pg_catalog") || !is_temporary && !self.resources.catalog.is_user_operator(name) {
            return true;
        }
        let schemas = match schema {
            Some(schema) => vec![Some(schema)],
            None => self.visible(self.resources.catalog.user_operator_schemas(name), false),
        };
        for schema in schemas {
            self.call_operator(schema, name);
        }
        self.opaque();
        false
    }

    fn case(&mut self, case: &CaseExpr, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let mut parts = vec![self.expression(case.arg(), scope)?, self.expression(case.defresult(), scope)?];
        let is_known = matches!(case.arg(), Node::None) || self.operator_named(None, "=");
        for when in case.args() {
            let Node::CaseWhen(when) = when else {
                return Err(Misunderstood::new("a CASE is not understood", "Write it in another way"));
            };
            parts.push(self.expression(when.expr(), scope)?);
            parts.push(self.expression(when.result(), scope)?);
        }
        let lineage = self.probed(Lineage::derive(&parts));
        Ok(if is_known { lineage } else { lineage.doubted() })
    }

    fn sublink(&mut self, link: &SubLink, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        self.inventory.strike(Node::SubLink(link));
        let test = self.expression(link.testexpr(), scope)?;
        let is_in = link.sub_link_type == SubLinkType::ANY_SUBLINK && link.oper_name().is_empty();
        let is_known = if is_in { self.operator_named(None, "=") } else { self.operator(link.oper_name()) };
        let columns = self.query(link.subselect(), scope)?;
        let lineage = match (link.sub_link_type, columns.named.as_slice()) {
            (SubLinkType::EXISTS_SUBLINK, _) => Lineage::Clean,
            (SubLinkType::EXPR_SUBLINK, [only]) if columns.rest.is_none() => only.lineage.clone(),
            (SubLinkType::EXPR_SUBLINK | SubLinkType::ARRAY_SUBLINK, _) => Lineage::derive([&test, &columns.row()]),
            _ => self.probed(Lineage::derive([&test, &columns.row()])),
        };
        Ok(if is_known { lineage } else { lineage.doubted() })
    }

    fn indirection(&mut self, indirection: &A_Indirection, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let mut lineage = self.expressions([indirection.arg()], scope)?;
        for (place, step) in indirection.indirection().iter().enumerate() {
            lineage = match step {
                Node::A_Star(_) => lineage,
                // `(value).name` can also stand for `name(value)`.
                Node::String(name) => {
                    let name = name.sval().unwrap_or_default();
                    let kind = self.function_kind(None, name);
                    self.access_sequence(kind, (place == 0).then(|| indirection.arg()));
                    self.attribute(name, &lineage).unwrap_or(lineage)
                }
                index => {
                    let index = self.expression(index, scope)?;
                    self.probed(Lineage::derive([&lineage, &index]))
                }
            };
        }
        Ok(lineage)
    }

    fn cast(&mut self, cast: &TypeCast, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        if !cast.type_name().is_some_and(|name| self.is_own_type(name)) {
            self.mark_sensitive();
        }
        if cast.type_name().is_some_and(|name| self.is_passing_type(name)) {
            self.expressions([cast.arg()], scope)
        } else {
            self.computed([cast.arg()], scope)
        }
    }

    pub(super) fn is_passing_type(&self, name: &TypeName) -> bool {
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        self.is_own_type(name) && name.array_bounds().is_empty() && function::is_passing_type(tree::qualified(&names).1)
    }

    /// What a text is in a type in which it stays as it is, which are `text`, `varchar` of any length and `uuid`; and whether the
    /// type is of arrays of them.
    pub(super) fn form_of(&self, name: &TypeName) -> Option<(CandidateForm, bool)> {
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        let form = match tree::qualified(&names).1 {
            "text" | "varchar" => CandidateForm::Text,
            "uuid" => CandidateForm::Uuid,
            _ => return None,
        };
        let dimensions = name.array_bounds().len();
        let is_plain = dimensions <= 1 && name.typmods().is_empty() && !name.setof && !name.pct_type;
        (is_plain && self.is_own_type(name)).then_some((form, dimensions == 1))
    }

    fn is_own_type(&self, name: &TypeName) -> bool {
        let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
        self.is_own_type_named(&names)
    }

    pub(super) fn is_own_type_named(&self, names: &[&str]) -> bool {
        let catalog = self.resources.catalog;
        match tree::qualified(names) {
            (Some(schema), name) => schema == "pg_catalog" && catalog.is_own_type(name),
            // Where the path says so, another's type of the name comes first.
            (None, name) => {
                // A relation's name is a type's as well.
                let is_only = !catalog.is_user_type(name) && catalog.relations_named(name).is_empty();
                let is_first = is_only || self.own_names_come_first();
                catalog.is_own_type(name) && is_first && !self.is_remade(name) && !self.is_made_as_relation(name)
            }
        }
    }

    pub(super) fn function_call(&mut self, call: &FuncCall, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        self.inventory.strike(Node::FuncCall(call));
        let (schema, name) = tree::function_name(call);
        let mut arguments = Vec::new();
        for argument in call.args() {
            arguments.push(self.expression(argument, scope)?);
        }
        let mut ordered = Vec::new();
        for order in call.agg_order() {
            ordered.push(self.ordering_by(|analyzer| analyzer.order(Node::from(order), scope))?);
        }
        self.predicate(call.agg_filter(), scope)?;
        self.ordering_by(|analyzer| analyzer.window(call.over(), scope))?;
        let whole = Lineage::derive(&arguments);
        if call.agg_distinct {
            self.probe(&whole);
        }
        let kind = self.function_kind(schema, name);
        self.access_sequence(kind, call.args().iter().next());
        self.access_setting(kind, call.args().iter().next());
        // A cast can be written as a call.
        self.call_makings(&[name]);
        // Only the first argument passes, but for `concat`: a second one, such as a separator, must be constant.
        // With a length, `varchar` fails on longer values.
        let rest_is_clean = match name {
            "concat" => true,
            "varchar" => arguments.len() == 1,
            _ => arguments.iter().skip(1).all(Lineage::is_clean),
        };
        let passes = passes(kind, name) && rest_is_clean;
        self.note_growth(name);
        if name.starts_with(COUNTS_OF_ROWS) {
            self.probe_divided();
        }
        if kind != Kind::Count && !(passes && self.stay_short(call.args(), scope)?) {
            self.probe(&whole);
        }
        self.makes_values(name, call.args().iter().next());
        let result = self.call(kind, schema, name, whole);
        Ok(match kind {
            Kind::Count => {
                // Which values are there is told by the count of anything but a column as it stands. A row is counted whatever
                // is in it.
                let is_row = !call.agg_distinct && call.args().iter().all(|argument| is_row_of(argument, scope));
                if !is_row && !arguments.iter().all(|argument| argument.is_plain() || argument.is_clean()) {
                    self.probe(&result);
                }
                Lineage::Clean
            }
            Kind::Place if !call.agg_within_group => Lineage::Clean,
            Kind::Plain
            | Kind::Place
            | Kind::Rows
            | Kind::Lock
            | Kind::Memory
            | Kind::Sequence
            | Kind::SequenceRead
            | Kind::Setting
            | Kind::Notify
            | Kind::Dangerous
            | Kind::User => {
                if call.agg_within_group {
                    Lineage::derive([&result, &Lineage::derive(&ordered)])
                } else {
                    result
                }
            }
        })
    }

    /// Notes what runs where a function makes values of types, or of JSON, that its name does not tell.
    fn makes_values(&mut self, name: &str, first: Option<Node<'_>>) {
        if makes_rows_of_any_type(name) {
            self.mark_sensitive();
        }
        // A value that is cast to a type of users has that type, which is named there. Others may have the type of any table, also
        // behind `record`.
        let is_named = |node: Node<'_>| match node {
            Node::TypeCast(cast) => cast
                .type_name()
                .is_some_and(|kind| !self.is_own_type(kind) && !tree::words(kind.names()).contains(&"record")),
            _ => false,
        };
        if makes_rows_of_its_argument(name) && !first.is_some_and(is_named) {
            self.call_makings_of_any_type();
        }
        if function::makes_json(name) {
            self.call_casts_to_json();
        }
    }

    /// An ORDER BY of an aggregate or a window.
    fn order(&mut self, node: Node<'_>, scope: &Scope<'_>) -> Result<Lineage, Misunderstood> {
        let Node::SortBy(order) = node else {
            return Err(Misunderstood::new("an ORDER BY is not understood", "Write it in another way"));
        };
        let lineage = self.expression(order.node(), scope)?;
        self.probe(&lineage);
        self.sort_operator(order);
        Ok(lineage)
    }

    pub(super) fn sort_operator(&mut self, order: &SortBy) {
        self.operator(order.use_op());
    }

    /// A window: its rows and their order.
    pub(super) fn window(&mut self, window: Option<&WindowDef>, scope: &Scope<'_>) -> Result<(), Misunderstood> {
        let Some(window) = window else {
            return Ok(());
        };
        for node in window.partition_clause() {
            self.predicate(node, scope)?;
        }
        for order in window.order_clause() {
            self.order(Node::from(order), scope)?;
        }
        self.predicate(window.start_offset(), scope)?;
        self.predicate(window.end_offset(), scope)
    }
}

/// The name of a function that looks like this syntax to a server that does not have it.
fn json_name(node: Node<'_>) -> Option<&'static str> {
    Some(match node {
        Node::JsonParseExpr(_) => "json",
        Node::JsonScalarExpr(_) => "json_scalar",
        Node::JsonSerializeExpr(_) => "json_serialize",
        Node::JsonObjectConstructor(_) => "json_object",
        Node::JsonArrayConstructor(_) | Node::JsonArrayQueryConstructor(_) => "json_array",
        Node::JsonObjectAgg(_) => "json_objectagg",
        Node::JsonArrayAgg(_) => "json_arrayagg",
        Node::JsonFuncExpr(call) => match call.op {
            JsonExprOp::JSON_EXISTS_OP => "json_exists",
            JsonExprOp::JSON_QUERY_OP => "json_query",
            JsonExprOp::JSON_VALUE_OP => "json_value",
            _ => "json_table",
        },
        _ => return None,
    })
}

/// True for the functions that make values of whatever type their first argument or the statement names.
fn makes_rows_of_any_type(name: &str) -> bool {
    let name = name.strip_prefix("jsonb_").or_else(|| name.strip_prefix("json_")).unwrap_or_default();
    name.starts_with("populate_record") || name.starts_with("to_record")
}

/// True for those of them that take the type from their first argument.
fn makes_rows_of_its_argument(name: &str) -> bool {
    makes_rows_of_any_type(name) && name.contains("_populate_")
}

/// True for a function of PostgreSQL's own that gives nothing away but in its result.
fn passes(kind: Kind, name: &str) -> bool {
    kind == Kind::Plain && function::is_passing(name)
}

/// The operators that an expression stands for without naming them.
fn implied_operators(kind: A_Expr_Kind::Type) -> &'static [&'static str] {
    match kind {
        A_Expr_Kind::AEXPR_BETWEEN | A_Expr_Kind::AEXPR_BETWEEN_SYM => &[">=", "<="],
        A_Expr_Kind::AEXPR_NOT_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM => &["<", ">"],
        _ => &[],
    }
}

/// True for a plain operator that gives nothing away but in its result.
pub(super) fn is_passing_operation(expression: &A_Expr) -> bool {
    // Beside an array, or a value of another type, a text is read as one, and fails where it is none.
    let is_plain = |operand: Node<'_>| match operand {
        Node::A_ArrayExpr(_) => false,
        Node::TypeCast(cast) => cast.type_name().is_some_and(|name| {
            let names: Vec<&str> = name.names().iter().filter_map(|part| part.sval()).collect();
            name.array_bounds().is_empty() && function::is_passing_type(tree::qualified(&names).1)
        }),
        _ => true,
    };
    expression.kind == A_Expr_Kind::AEXPR_OP
        && function::is_passing_operator(tree::qualified(&strings(expression.name())).1)
        && is_plain(expression.lexpr())
        && is_plain(expression.rexpr())
}

/// The place that an integer constant stands for in ORDER BY and GROUP BY, from 0.
pub(super) fn position(node: Node<'_>) -> Option<usize> {
    let Node::A_Const(constant) = node else {
        return None;
    };
    match constant.val() {
        Some(ConstValue::Integer(number)) => usize::try_from(number).ok()?.checked_sub(1),
        _ => None,
    }
}

/// The name of a column that stands alone, which ORDER BY and GROUP BY may take for an output column.
pub(super) fn bare_name(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(column) = node else {
        return None;
    };
    match strings(column.fields()).as_slice() {
        [name] if column.fields().len() == 1 => Some(*name),
        _ => None,
    }
}

/// True for the whole row of something in FROM: `o.*`, or `o` where no column goes by that name.
pub(super) fn is_row_of(node: Node<'_>, scope: &Scope<'_>) -> bool {
    let Node::ColumnRef(column) = node else { return false };
    let names = strings(column.fields());
    let sources = &scope.sources;
    let is_item =
        |name: &str| sources.items.iter().any(|item| item.name.as_deref() == Some(name) && !item.tables.is_empty());
    let is_column = |name: &str| sources.columns.is_open() || sources.columns.find(name).is_some();
    match names.as_slice() {
        [name] if column.fields().len() == 2 => is_item(name) && expands(node),
        [name] if column.fields().len() == 1 => is_item(name) && !is_column(name),
        _ => false,
    }
}
