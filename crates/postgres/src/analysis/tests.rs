//! What statements mean, as tables of cases: text in, accesses, lineage and facts out.

use expect_test::{Expect, expect};
use gatehouse_model::{ClassName, ClassifiedField, Effect, FactValue, Provenance, Resource, TargetName};
use gatehouse_protocol::Classifier;

use super::*;
use crate::catalog::{ColumnInfo, FunctionInfo, Making, Parts, RelationKind, TypeInfo, Writes};
use crate::reading::{Known, Reader};

struct ByName;

impl Classifier for ByName {
    fn column(&self, table: &str, column: &str) -> Vec<ClassName> {
        let class = match (table, column) {
            (_, "email") | ("public.sealed", "data") => "email",
            (_, "ssn") => "us_ssn",
            _ => return Vec::new(),
        };
        ClassName::new(class).into_iter().collect()
    }

    fn fields(&self, table: &str, column: &str) -> Vec<ClassifiedField> {
        let (email, ssn) = match (table, column) {
            ("public.letters" | "public.archive" | "public.made", "data") => ("to.email", "to.ssn"),
            ("public.drafts" | "public.sealed", "data") => ("from.email", "from.ssn"),
            _ => return Vec::new(),
        };
        let field = |path: &str, class| Some(ClassifiedField { path: path.into(), class: ClassName::new(class).ok()? });
        [field(email, "email"), field(ssn, "us_ssn")].into_iter().flatten().collect()
    }

    fn all(&self) -> Vec<ClassName> {
        ["email", "us_ssn"].into_iter().flat_map(ClassName::new).collect()
    }
}

fn relation(
    oid: u32,
    schema: &str,
    name: &str,
    kind: RelationKind,
    columns: &[&str],
    definition: Option<&str>,
) -> Relation {
    let column = |(place, name): (usize, &&str)| ColumnInfo {
        number: i16::try_from(place + 1).expect("few columns"),
        name: (*name).into(),
        type_oid: 25,
        type_modifier: -1,
        generated: false,
        not_null: *name == "id",
        tested: false,
        divides: false,
        folds: false,
        indexed: matches!(*name, "id" | "email"),
        ordered: false,
        expression: None,
        refers: Vec::new(),
    };
    Relation {
        oid,
        schema: schema.into(),
        name: name.into(),
        kind,
        columns: columns.iter().enumerate().map(column).collect(),
        definition: definition.map(Into::into),
        parents: Vec::new(),
        keys: columns.iter().take(1).filter(|first| **first == "id").map(|_| vec![1]).collect(),
        has_effects: false,
        triggers: if name == "customers" { Writes::UPDATE.with(Writes::DELETE) } else { Writes::default() },
        rules: Writes::default(),
        quotes: false,
    }
}

fn relations() -> Vec<Relation> {
    let table = |oid, schema, name, columns: &[&str]| relation(oid, schema, name, RelationKind::Table, columns, None);
    let view =
        |oid, name, columns: &[&str], query| relation(oid, "public", name, RelationKind::View, columns, Some(query));
    let mut child = table(106, "public", "vip", &["id", "name", "email", "ssn", "level"]);
    child.parents = vec![100];
    // Its keys are columns of others, one of them by way of a third.
    let mut visits = table(108, "public", "visits", &["who", "whose"]);
    let mut guests = table(109, "public", "guests", &["mail"]);
    for (columns, refers) in [(&mut visits.columns, (109, 1)), (&mut guests.columns, (106, 3))] {
        columns.first_mut().expect("a column").refers = vec![refers];
    }
    // Kin of one whose key is a column of others, by a child that they share.
    let mut stays = table(133, "public", "stays", &["who"]);
    stays.columns.first_mut().expect("a column").refers = vec![(106, 3)];
    let mut bridge = table(132, "public", "bridge", &["who"]);
    bridge.parents = vec![131, 133];
    // Some of their columns are short: an int4, a varchar(40) and a timestamptz.
    let mut members = table(126, "public", "members", &["id", "name", "email", "ssn", "level", "tier", "at"]);
    for (column, (type_oid, modifier)) in members.columns.iter_mut().skip(4).zip([(23, -1), (1043, 44), (1184, -1)]) {
        (column.type_oid, column.type_modifier) = (type_oid, modifier);
    }
    // Which part a row is in is told by a classified column.
    let mut years = relation(112, "public", "years", RelationKind::PartitionedTable, &["id", "email"], None);
    years.columns.last_mut().expect("a column").divides = true;
    let mut year = table(113, "public", "year_1", &["id", "email"]);
    year.parents = vec![112];
    // Their documents have fields of classes; those of one are computed.
    let mut old_letters = table(121, "public", "old_letters", &["id", "data"]);
    old_letters.parents = vec![120];
    let mut made = table(125, "public", "made", &["ssn", "data"]);
    let computed = made.columns.last_mut().expect("a column");
    (computed.generated, computed.expression) = (true, Some("ssn".into()));
    vec![
        table(120, "public", "letters", &["id", "data"]),
        old_letters,
        table(122, "public", "archive", &["id", "data"]),
        table(123, "public", "drafts", &["id", "data"]),
        table(124, "public", "sealed", &["id", "data"]),
        made,
        visits,
        guests,
        stays,
        bridge,
        table(131, "public", "calls", &["who"]),
        years,
        year,
        table(100, "public", "customers", &["id", "name", "email", "ssn"]),
        table(101, "public", "orders", &["id", "customer_id", "total"]),
        view(
            102,
            "customer_view",
            &["id", "mail", "n", "low"],
            " SELECT customers.id, customers.email AS mail, customers.name AS n, lower(customers.ssn) AS low\n   FROM public.customers;",
        ),
        view(103, "view_of_view", &["m"], " SELECT customer_view.mail AS m FROM public.customer_view"),
        view(104, "loop_view", &["m"], " SELECT loop_view.m FROM public.loop_view"),
        view(105, "opaque_view", &["x"], " SELECT public.leak() AS x"),
        relation(114, "public", "sq", RelationKind::Sequence, &["last_value", "log_cnt", "is_called"], None),
        relation(115, "hidden", "draws", RelationKind::Sequence, &["last_value", "log_cnt", "is_called"], None),
        view(110, "counting_view", &["n"], " SELECT nextval('public.sq') AS n FROM public.orders"),
        relation(
            111,
            "public",
            "kept_view",
            RelationKind::MaterializedView,
            &["x"],
            Some(" SELECT public.leak() AS x"),
        ),
        child,
        table(107, "hidden", "orders", &["id", "email"]),
        members,
        table(1259, "pg_catalog", "pg_class", &["oid", "relname"]),
        table(1260, "pg_catalog", "pg_authid", &["rolname", "rolpassword"]),
        table(12_000, "pg_catalog", "pg_settings", &["name", "setting"]),
    ]
}

fn catalog() -> Catalog {
    let own = |name: &str, volatile| FunctionInfo {
        name: name.into(),
        schema: None,
        computes: false,
        volatile,
        stable: false,
    };
    let plain = [
        "count",
        "max",
        "lower",
        "upper",
        "length",
        "row_to_json",
        "now",
        "string_agg",
        "array_agg",
        "row_number",
        "generate_series",
        "unnest",
        "json_each",
        "regexp_split_to_table",
        "pg_table_is_visible",
        "percentile_disc",
        "obj_description",
        "concat",
        "database_to_xml",
        "ascii",
        "json_agg",
        "jsonb_build_object",
        "min",
        "substring",
        "to_jsonb",
        "jsonb_populate_record",
        "jsonb_to_record",
        "current_setting",
        "pg_show_all_settings",
    ];
    let volatile = [
        "nextval",
        "setval",
        "currval",
        "pg_sequence_last_value",
        "lastval",
        "random",
        "query_to_xml",
        "pg_read_file",
        "set_config",
        "pg_notify",
        "pg_sleep",
        "pg_advisory_lock",
        "lo_import",
    ];
    let mut functions: Vec<FunctionInfo> = plain.iter().map(|name| own(name, false)).collect();
    functions.extend(volatile.iter().map(|name| own(name, true)));
    let outside = |name: &str, computes| FunctionInfo {
        name: name.into(),
        schema: Some("public".into()),
        computes,
        volatile: false,
        stable: false,
    };
    functions.extend([outside("leak", false), outside("similarity", true)]);
    let own_type = |(place, name): (usize, &&str)| TypeInfo {
        oid: 9000 + u32::try_from(place).expect("few types"),
        name: (*name).into(),
        system: true,
        base: 0,
        base_modifier: -1,
    };
    Catalog::new(Parts {
        relations: relations(),
        functions,
        operators: vec!["public.===".into()],
        types: ["text", "int4", "regclass", "int8", "varchar", "record", "interval"]
            .iter()
            .enumerate()
            .map(own_type)
            .collect(),
        makings: [("loud", 0), ("regclass", 25), ("int8", 9_999)]
            .map(|(of, from)| Making {
                oid: 20_000,
                of: of.into(),
                from,
                schema: "public".into(),
                function: "leak".into(),
            })
            .into(),
        search_path: vec!["public".into()],
        code: Vec::new(),
    })
}

fn with_context<T>(path: &SearchPath, read: impl FnOnce(&Context<'_>) -> T) -> T {
    let target = TargetName::new("shop").expect("a name");
    let catalog = catalog();
    read(&Context {
        target: &target,
        catalog: &catalog,
        classifier: &ByName,
        tables: &Tables::default(),
        path,
        moved: &Moved::default(),
    })
}

fn known() -> SearchPath {
    SearchPath::Known(vec!["public".into()])
}

fn try_analyze(sql: &str) -> Result<Analysis, Misunderstood> {
    with_context(&known(), |context| analyze(sql, context))
}

fn analyzed(sql: &str) -> Analysis {
    try_analyze(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn short(resource: &Resource) -> String {
    let id = resource.id.strip_prefix("shop/").unwrap_or(&resource.id);
    id.strip_prefix("public.").unwrap_or(id).to_string()
}

fn shown(provenance: &Provenance) -> String {
    match provenance {
        Provenance::Copy(column) => format!("={}", short(column)),
        Provenance::Derived(columns) => format!("~{}", columns.iter().map(short).collect::<Vec<_>>().join("+")),
        Provenance::Clean => "-".into(),
        Provenance::Unknown => "?".into(),
    }
}

fn shown_outputs(outputs: &Outputs) -> String {
    match outputs {
        Outputs::None => "none".into(),
        Outputs::Columns(columns) => columns.iter().map(shown).collect::<Vec<_>>().join(" "),
        Outputs::Cursor(name) => format!("cursor {name}"),
        Outputs::Prepared(name) => format!("prepared {name}"),
        Outputs::Clean => "clean".into(),
        Outputs::Unknown => "unknown".into(),
    }
}

/// The outputs of the last statement.
fn outputs(sql: &str) -> String {
    analyzed(sql).statements.last().map(|output| shown_outputs(&output.columns)).unwrap_or_default()
}

/// In the order of the alphabet.
fn accesses(sql: &str) -> String {
    let shown = |access: &Access| {
        let verb = access.action.as_str();
        format!("{} {}", verb.strip_prefix("sql:").unwrap_or(verb), short(&access.resource))
    };
    let mut shown: Vec<String> = analyzed(sql).intent.accesses.iter().map(shown).collect();
    shown.sort();
    shown.join(", ")
}

#[track_caller]
fn misunderstood(sql: &str) {
    if let Ok(analysis) = try_analyze(sql) {
        panic!("{sql} was understood: {analysis:?}");
    }
}

fn check(sql: &str, expected: Expect) {
    let analysis = analyzed(sql);
    let outputs: Vec<String> = analysis.statements.iter().map(|output| shown_outputs(&output.columns)).collect();
    let text = format!(
        "{}\n{}\n{}\n{:?} {:?} sensitive={}\n{}\n",
        analysis.intent.title,
        accesses(sql),
        outputs.join(" | "),
        analysis.intent.effect,
        analysis.intent.facts,
        analysis.sensitive,
        analysis.intent.evidence.as_ref(),
    );
    expected.assert_eq(&text);
}

/// What a view reads is its owner's to read. Its functions, and those of casts and domains, run for whoever asks.
#[test]
fn what_is_called_out_of_sight_is_called_all_the_same() {
    let cases = [
        ("select x from opaque_view", "call leak, select opaque_view"),
        ("select n from counting_view", "select counting_view, update pg_catalog.nextval, update sq"),
        ("select m from view_of_view", "select view_of_view"),
        // What is not looked through may call anything.
        ("select m from loop_view", "call loop_view, select loop_view"),
        // It ran when the view was filled.
        ("select x from kept_view", "select kept_view"),
        ("select 'x'::loud", "call leak"),
        ("select cast('x' as public.loud[])", "call leak"),
        ("select loud('x')", "call leak, call loud"),
        ("select id from years", "select years"),
        ("select id from year_1", "probe years.email, select year_1"),
        // A cast from a type of which nothing is in sight is another.
        ("select id::regclass from orders", "call leak, select orders"),
        ("select 1::regclass", "select shop"),
        ("select id::int8 from orders", "select orders"),
        // What takes a type from its argument may make a value of any, unless a cast names it.
        ("select jsonb_populate_record(o, '{}') from orders o", "call leak, select orders"),
        ("select * from orders o, json_populate_recordset(o, '[]')", "call leak, select orders"),
        ("select jsonb_populate_record(o::record, '{}') from orders o", "call leak, select orders"),
        (
            "select jsonb_populate_record(from_json => null::orders, base => o) from orders o",
            "call leak, select orders",
        ),
        ("select jsonb_populate_record(null::orders, '{}')", "select shop"),
        ("select a from jsonb_to_record('{}') as t(a int)", "select shop"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn what_a_write_sets_off_is_a_fact() {
    let of = |sql: &str| analyzed(sql).intent.facts.get("has_triggers").cloned();
    assert_eq!(of("update customers set name = 'x' where id = 1"), Some(FactValue::Bool(true)));
    assert_eq!(of("insert into customers (id) values (1)"), Some(FactValue::Bool(false)));
    let or_else = "insert into customers (id) values (1) on conflict (id) do";
    assert_eq!(of(&format!("{or_else} update set name = 'x'")), Some(FactValue::Bool(true)));
    assert_eq!(of(&format!("{or_else} nothing")), Some(FactValue::Bool(false)));
    let merged = "merge into customers c using orders o on c.id = o.id when";
    assert_eq!(of(&format!("{merged} matched then delete")), Some(FactValue::Bool(true)));
    assert_eq!(of(&format!("{merged} matched then do nothing")), Some(FactValue::Bool(false)));
    assert_eq!(of(&format!("{merged} not matched then insert (id) values (1)")), Some(FactValue::Bool(false)));
    assert_eq!(of("truncate customers"), Some(FactValue::Bool(false)));
    // Its rows are those of a table that has one.
    assert_eq!(of("delete from vip where id = 1"), Some(FactValue::Bool(true)));
    assert_eq!(of("insert into orders values (1, 2, 3)"), Some(FactValue::Bool(false)));
    assert_eq!(of("select 1"), None);
}

#[test]
fn columns_have_lineage() {
    let cases = [
        ("select email from customers", "=customers.email"),
        ("select email as x, id from public.customers as c", "=customers.email =customers.id"),
        // Its values are those of what its key refers to.
        ("select who, whose, who || '' from visits", "=visits.who =visits.whose ~visits.who"),
        ("table customers", "=customers.id =customers.name =customers.email =customers.ssn"),
        ("select * from (select email as x from customers) s", "=customers.email"),
        ("select s.x from (select email from customers) s(x)", "=customers.email"),
        ("select c.* from customers c(a, b)", "=customers.id =customers.name =customers.email =customers.ssn"),
        ("select c from customers c", "~customers.email+customers.ssn"),
        ("select row_to_json(c) from customers c", "~customers.email+customers.ssn"),
        ("select (c).email from customers c", "~customers.email+customers.ssn"),
        ("select (c).* from customers c", "=customers.id =customers.name =customers.email =customers.ssn"),
        ("select row(c.*) from customers c", "~customers.email+customers.ssn"),
        // A star becomes several columns, or none, so that what stands behind it is in another place.
        ("select v.column2 from customers c, lateral (values (c.*, 'x')) v", "~customers.email+customers.ssn"),
        (
            "select v.column2 from (select id, email from customers) t, lateral (values (t.*, 'x')) v",
            "~customers.email",
        ),
        (
            "select a from (select id, email from customers) t, lateral (values (t.*, 'x')) v(z, a, b)",
            "~customers.email",
        ),
        ("values ((select c from customers c).*, 1)", "unknown"),
        // A subquery without a name is called what its column came to be called.
        (
            "select q.a from (select (select t.* from (select c.email as a) t), (select a.* from (select 'x' as b) a) \
          from customers c) q",
            "~customers.email",
        ),
        (
            "select q.\"text\" from (select (select (c.email || '')::text)::varchar, (select 'x'::name)::text \
          from customers c) q",
            "~customers.email",
        ),
        ("select q.a from (select (select email as a from customers limit 1), 'x' as b) q", "=customers.email"),
        ("select o from orders o", "-"),
        ("select max(email) from customers", "~customers.email"),
        ("select count(*) from customers", "-"),
        ("select count(email) from customers", "-"),
        ("select lower(name) from customers", "-"),
        ("select email::text from customers", "~customers.email"),
        ("select email collate \"C\" from customers", "=customers.email"),
        ("select email || name, 1, 'x', now(), null, $1 from customers", "~customers.email - - - - -"),
        ("select coalesce(email, 'x') from customers", "~customers.email"),
        ("select case when id = 1 then email end from customers", "~customers.email"),
        ("select email = 'a' from customers", "~customers.email"),
        ("select email is null from customers", "~customers.email"),
        ("select (select email from customers limit 1)", "=customers.email"),
        ("select array(select email from customers)", "~customers.email"),
        ("select exists (select email from customers)", "-"),
        ("select 'a' in (select email from customers)", "~customers.email"),
        ("select array[email], (array[ssn])[1] from customers", "~customers.email ~customers.ssn"),
        ("select string_agg(name, ',' order by id) from customers", "-"),
        ("select percentile_disc(0.5) within group (order by email) from customers", "~customers.email"),
        ("select row_number() over (order by id) from customers", "-"),
        ("select greatest(email, ssn) from customers", "~customers.email+customers.ssn"),
        ("select json_object('a': email) from customers", "~customers.email"),
        ("select xmlelement(name a, email) from customers", "~customers.email"),
        ("select no_such_column from customers", "?"),
        ("select x.email from customers", "?"),
        ("select ctid, tableoid from customers", "- -"),
        ("select id, tableoid from years", "=years.id ~years.email"),
        ("select y.tableoid::int4 from years y", "~years.email"),
        ("select x.* from nowhere x", "unknown"),
        ("select a from nowhere", "?"),
        ("select leak()", "?"),
        ("select never_heard_of()", "?"),
        ("select name === 'x' from customers", "?"),
        ("select relname from pg_class", "-"),
        ("select * from pg_authid", "- ?"),
        ("select pg_catalog.lower(email) from customers", "~customers.email"),
        ("select from customers", ""),
        ("values (1, 'x'), (2, null)", "- -"),
        ("select \"email\" from \"customers\"", "=customers.email"),
        ("select U&\"\\0065mail\" from customers", "=customers.email"),
        ("select EMAIL from CUSTOMERS", "=customers.email"),
        ("select /* email */ id -- ssn\n from customers", "=customers.id"),
        ("select 'select email from customers'", "-"),
    ];
    for (sql, expected) in cases {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
}

#[test]
fn lineage_goes_through_from() {
    let cases = [
        (
            "select c.email, o.total from customers c join orders o on o.customer_id = c.id",
            "=customers.email =orders.total",
        ),
        (
            "select * from orders o join customers c using (id)",
            "=orders.id =orders.customer_id =orders.total =customers.name =customers.email =customers.ssn",
        ),
        (
            "select * from orders natural join customers",
            "=orders.id =orders.customer_id =orders.total =customers.name =customers.email =customers.ssn",
        ),
        ("select j.email from (orders o join customers c on true) as j", "=customers.email"),
        ("select x from customers c, lateral (select c.email as x) l", "=customers.email"),
        ("select x from customers c, unnest(array[c.email]) as x", "~customers.email"),
        ("select * from generate_series(1, 3)", "-"),
        ("select g from generate_series(1, 3) g", "-"),
        ("select * from json_each('{}')", "clean"),
        ("select * from leak()", "unknown"),
        ("select part from customers, regexp_split_to_table(email, '@') part", "~customers.email"),
        ("select * from (values (1, 2)) v(a, b)", "- -"),
        ("select v.column1 from (values ((select email from customers limit 1))) v", "=customers.email"),
        ("select email from customers tablesample bernoulli (10)", "=customers.email"),
        ("select t.a from customers c, json_table(c.email, '$' columns (a text path '$')) t", "~customers.email"),
        ("select x.a from customers c, xmltable('/a' passing c.email columns a text) x", "~customers.email"),
        ("select email from customers union all select email from customers", "=customers.email"),
        ("select email from customers union all select name from customers", "~customers.email"),
        ("select email from customers union all select null", "=customers.email"),
        ("select id from customers union all select id from orders", "-"),
        ("select id, email from customers union all select * from nowhere", "? ?"),
        ("select mail from customer_view", "=customers.email"),
        ("select * from customer_view", "=customers.id =customers.email =customers.name ~customers.ssn"),
        ("select m from view_of_view", "=customers.email"),
        ("select m from loop_view", "?"),
        ("select x from opaque_view", "?"),
        ("select email from vip", "=vip.email"),
        ("select (select c.email) from customers c", "=customers.email"),
        ("select (select email from orders limit 1) from customers", "=customers.email"),
    ];
    for (sql, expected) in cases {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
}

#[test]
fn with_queries_hide_tables_where_they_are_visible() {
    let cases = [
        ("with c as (select email from customers) select * from c", "=customers.email"),
        ("with customers as (select 1 as email) select email from customers", "-"),
        ("with customers as (select email from customers) select * from customers", "=customers.email"),
        ("with customers as (select 1 as email) select email from public.customers", "=customers.email"),
        ("with a as (select email from customers), b(x) as (select * from a) select x from b", "=customers.email"),
        (
            "select (with customers as (select 1 as email) select email from customers), (select email from customers limit 1)",
            "- =customers.email",
        ),
        ("with recursive t(n) as (select 1 union all select n + 1 from t) select n from t", "-"),
        (
            "with recursive t(e) as (select email from customers union all select e from t) select e from t",
            "=customers.email",
        ),
        (
            "with recursive t(a, b) as (select name, email from customers union all select b, a from t) select a, b from t",
            "~customers.email ~customers.email",
        ),
        ("with recursive a as (select * from b), b as (select email from customers) select * from a", "unknown"),
        ("with d as (delete from customers returning email) select * from d", "=customers.email"),
    ];
    for (sql, expected) in cases {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
    assert_eq!(accesses("with customers as (select 1 as email) select email from customers"), "select shop");
}

#[test]
fn accesses_are_found_wherever_they_are() {
    let cases = [
        ("select 1", "select shop"),
        ("", "select shop"),
        ("select id from customers", "select customers"),
        ("select id from orders where exists (select from customers)", "select customers, select orders"),
        ("select id from customers where email = 'a'", "probe customers.email, select customers"),
        ("select id from customers order by email", "probe customers.email, select customers"),
        ("select email from customers order by 1", "probe customers.email, select customers"),
        ("select email as e from customers order by e", "probe customers.email, select customers"),
        ("select email as e from customers group by e", "probe customers.email, select customers"),
        ("select count(*) from customers group by rollup (email, id)", "probe customers.email, select customers"),
        ("select distinct email from customers", "probe customers.email, select customers"),
        ("select distinct on (ssn) id from customers", "probe customers.ssn, select customers"),
        ("select count(distinct email) from customers", "probe customers.email, select customers"),
        ("select count(nullif(email, 'a')) from customers", "probe customers.email, select customers"),
        ("select count(*) filter (where email = 'a') from customers", "probe customers.email, select customers"),
        ("select name from customers group by name having max(email) > 'a'", "probe customers.email, select customers"),
        ("select row_number() over (partition by email) from customers", "probe customers.email, select customers"),
        (
            "select row_number() over w from customers window w as (order by email)",
            "probe customers.email, select customers",
        ),
        ("select case when email = 'a' then 1 end from customers", "probe customers.email, select customers"),
        ("select generate_series(1, length(email)) from customers", "probe customers.email, select customers"),
        (
            "select id from customers limit (select length(max(email)) from customers)",
            "probe customers.email, select customers",
        ),
        ("select email from customers union select 'a'", "probe customers.email, select customers"),
        (
            "select id from (select id, email as e from customers) s where s.e = 'a'",
            "probe customers.email, select customers",
        ),
        ("select n from customer_view where mail = 'a'", "probe customers.email, select customer_view"),
        (
            "select 1 from customers a join vip b using (email)",
            "probe customers.email, probe vip.email, select customers, select vip",
        ),
        (
            "select relname from pg_catalog.pg_class c where c.relname operator(pg_catalog.=) 'x' and pg_catalog.pg_table_is_visible(c.oid)",
            "select pg_catalog.pg_class",
        ),
        ("select rolname from pg_authid", "admin pg_catalog.pg_authid, select pg_catalog.pg_authid"),
        ("select leak()", "call leak"),
        ("select c.leak from customers c", "call leak, probe customers.email, probe customers.ssn, select customers"),
        ("select (c).leak from customers c", "call leak, probe customers.email, probe customers.ssn, select customers"),
        ("select name === 'x' from customers", "call ===, select customers"),
        ("select query_to_xml('select email from customers', true, true, '')", "admin pg_catalog.query_to_xml"),
        ("select database_to_xml(true, true, '')", "admin pg_catalog.database_to_xml"),
        ("select pg_read_file('/etc/passwd')", "admin pg_catalog.pg_read_file"),
        (
            "select pg_sleep(length(email)) from customers",
            "admin pg_catalog.pg_sleep, probe customers.email, reveal customers.email, select customers",
        ),
        (
            "select pg_notify('c', email) from customers",
            "listen shop, probe customers.email, reveal customers.email, select customers",
        ),
        ("select nextval('s')", "update ?.s, update pg_catalog.nextval"),
        ("select id from customers for update", "lock customers, select customers"),
        ("select * from nowhere", "select ?.nowhere"),
        ("select * from away.nowhere", "select away.nowhere"),
        ("select * from pg_temp.customers", "select pg_temp.customers"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn columns_that_are_given_other_values_are_known() {
    let cases: [(&str, &[&str]); 6] = [
        (
            "update orders set id = 1, (customer_id, total) = (select 1, 2) where note = 'x'",
            &["customer_id", "id", "total"],
        ),
        ("insert into orders (id, total) values (1, 2)", &[]),
        ("insert into orders (id) values (1) on conflict (id) do update set total = excluded.total", &["total"]),
        ("with u as (update orders set id = 2 returning id) select total from u", &["id"]),
        (
            "merge into orders o using customers c on o.id = c.id when matched then update set id = c.id
               when not matched then insert (total) values (1)",
            &["id"],
        ),
        ("select id from orders; update orders set \"Id\" = 1; nonsense", &[]),
    ];
    for (sql, expected) in cases {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(columns_assigned(sql), expected, "{sql}");
    }
}

/// A sequence is a table like others, where a constant says which. Reading where it stands changes nothing.
#[test]
fn sequences_are_named_by_constants() {
    let cases = [
        ("select nextval('sq')", "update pg_catalog.nextval, update sq"),
        ("select pg_catalog.nextval('public.SQ'::regclass)", "update pg_catalog.nextval, update sq"),
        ("select nextval('\"hidden\".draws'::text::regclass)", "update hidden.draws, update pg_catalog.nextval"),
        // Not on the path, not in the catalog, and not in the letters that it has there.
        ("select nextval('draws')", "update ?.draws, update pg_catalog.nextval"),
        ("select nextval('\"SQ\"')", "update ?.SQ, update pg_catalog.nextval"),
        ("select nextval(114)", "update pg_catalog.nextval, update sq"),
        ("select nextval('114')", "update pg_catalog.nextval, update sq"),
        ("select nextval(116)", "update ?.116, update pg_catalog.nextval"),
        ("select setval('sq', 1), currval('sq')", "select sq, update pg_catalog.setval, update sq"),
        ("select currval('sq')", "select sq"),
        ("select pg_sequence_last_value('sq')", "select sq"),
        ("select pg_sequence_last_value(115)", "select hidden.draws"),
        ("select ('sq'::regclass).pg_sequence_last_value", "select sq"),
        ("select ('sq'::regclass).nextval", "update pg_catalog.nextval, update sq"),
        ("select * from nextval('sq')", "update pg_catalog.nextval, update sq"),
        ("insert into orders values (nextval('sq'), 1, 2)", "insert orders, update pg_catalog.nextval, update sq"),
        // A default draws from it for whoever inserts.
        ("create table z (id int default nextval('sq'))", "ddl z, update pg_catalog.nextval, update sq"),
        ("create table z (id int default 1 + nextval('z'))", "ddl z, update ?.z, update pg_catalog.nextval"),
        (
            "alter table orders alter id set default nextval('hidden.draws'::regclass)",
            "ddl orders, update hidden.draws, update pg_catalog.nextval",
        ),
        (
            "alter table orders add drawn int default ('sq'::regclass).nextval",
            "ddl orders, update pg_catalog.nextval, update sq",
        ),
        ("create domain drawn as int default nextval('sq')", "ddl public, update pg_catalog.nextval, update sq"),
        // What is computed or bound is not followed.
        ("select nextval('s' || 'q')", "update pg_catalog.nextval"),
        ("select nextval($1)", "update pg_catalog.nextval"),
        ("select nextval('sq'::varchar(1)::regclass)", "update pg_catalog.nextval"),
        ("select nextval('sq'::varchar), nextval('sq'::regclass::oid)", "update pg_catalog.nextval, update sq"),
        ("select lastval()", "select shop"),
        ("select public.nextval('sq')", "call nextval"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

/// What tells a setting asks for what `SHOW` of it asks for.
#[test]
fn settings_are_read_by_other_names_of_show() {
    let cases = [
        ("select current_setting('server_version')", "show server_version"),
        ("select pg_catalog.current_setting('Primary_ConnInfo'::text, true)", "show primary_conninfo"),
        ("select total from orders where id::text = current_setting('app.tenant')", "select orders, show app.tenant"),
        // What is computed, bound or cut may be any.
        ("select current_setting('server' || '_version')", "show all"),
        ("select current_setting($1)", "show all"),
        ("select current_setting('primary_conninfo_x'::varchar(16))", "show all"),
        ("select ('server_version'::text).current_setting", "show all"),
        ("select * from pg_show_all_settings()", "show all"),
        ("select name from pg_settings", "select pg_catalog.pg_settings, show all"),
        // A default tells it to whoever reads the row.
        ("create table z (s text default current_setting('primary_conninfo'))", "ddl z, show primary_conninfo"),
        ("alter table orders alter total set default current_setting('a' || 'b')", "ddl orders, show all"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

/// JSON is written by a type's own cast to it, and which types are among the values is not followed.
#[test]
fn what_writes_json_calls_the_casts_to_it() {
    let mut parts = catalog().parts();
    parts.makings.push(Making {
        oid: 114,
        of: "json".into(),
        from: 20_001,
        schema: "public".into(),
        function: "jsoned".into(),
    });
    let (target, catalog) = (TargetName::new("shop").expect("a name"), Catalog::new(parts));
    let calls = |sql: &str| {
        let analysis = with_context(&known(), |context| {
            analyze(sql, &Context { target: &target, catalog: &catalog, ..*context }).expect("it is understood")
        });
        let accesses = &analysis.intent.accesses;
        accesses.iter().any(|access| access.action == action::CALL && short(&access.resource).ends_with("jsoned"))
    };
    for sql in [
        "select to_json(1)",
        "select to_jsonb(1)",
        "select json_agg(1)",
        "select jsonb_build_object('a', 1)",
        "select json_object_agg('a', 1)",
        "select row_to_json(row(1))",
        "select json_array(1)",
        "select (row(1)).to_jsonb",
    ] {
        assert!(calls(sql), "{sql}");
        assert!(!accesses(sql).contains("jsoned"), "{sql} where there is no such cast");
    }
    for sql in ["select json_each('{}')", "select jsonb_populate_record(null::orders, '{}')", "select id from orders"] {
        assert!(!calls(sql), "{sql}");
    }
}

#[test]
fn accesses_of_other_statements_are_found() {
    let cases = [
        ("explain select id from customers", "explain shop, select customers"),
        ("explain analyze delete from customers", "delete customers, explain shop"),
        (
            "explain (analyze, format json) with d as (delete from orders returning id) select * from d",
            "delete orders, explain shop, select orders",
        ),
        ("declare c cursor for select email from customers", "cursor shop, select customers"),
        ("prepare p as delete from orders where id = $1", "delete orders, prepared shop, select orders"),
        ("select 1; delete from orders", "delete orders, select shop"),
        ("copy customers to stdout", "copy_out customers, select customers"),
        ("copy customers (id, email) to stdout csv", "copy_out customers, select customers"),
        ("copy customers to stdout (format binary)", "copy_out customers, select customers"),
        (
            "copy customers (id, email) to stdout (null '')",
            "copy_out customers, reveal customers.email, select customers",
        ),
        (
            "copy customers (email) to stdout (format csv, quote E'\\n')",
            "copy_out customers, reveal customers.email, select customers",
        ),
        (
            "copy customers (email) to '/tmp/x' csv",
            "copy_out customers, file shop, reveal customers.email, select customers",
        ),
        ("copy (select id from customers) to stdout", "copy_out shop, select customers"),
        ("copy orders to program 'x'", "copy_out orders, program shop, select orders"),
        ("copy orders from '/etc/passwd'", "copy_in orders, file shop"),
        ("copy orders from stdin", "copy_in orders"),
        ("drop owned by app cascade", "admin shop, drop shop"),
        ("drop database victim", "admin shop, drop shop"),
        ("drop role app", "admin shop, drop shop"),
        ("create index on orders (id) include (total)", "ddl orders"),
        ("create index on customers (id) include (email)", "ddl customers, probe customers.email"),
        ("select count(c.*), count(c) from customers c", "select customers"),
        ("select count(distinct c.*) from customers c", "probe customers.email, probe customers.ssn, select customers"),
        ("do $$ begin delete from customers; end $$", "do shop"),
        ("call leak()", "call leak"),
        ("lock table customers", "lock customers"),
        ("truncate customers, orders cascade", "truncate customers, truncate orders"),
        ("drop table customers", "drop customers"),
        // What is of a class by its kin alone is not known to go along with it.
        ("drop schema public cascade", "drop public, reveal letters.data, reveal letters.data"),
        ("drop function leak()", "call leak, drop leak"),
        ("grant all on customers to public", "admin shop"),
        ("alter system set x = 1", "admin shop"),
        ("create extension dblink", "admin shop"),
        ("alter role r password 'secret'", "admin shop"),
        ("set work_mem = '1MB'", "set work_mem"),
        ("set app.tenant = '1'", "set app.tenant"),
        ("set session_replication_role = replica", "admin session_replication_role, set session_replication_role"),
        ("set role postgres", "admin shop, set role"),
        ("show server_version", "show server_version"),
        ("begin", "transaction shop"),
        ("set transaction read only", "transaction shop"),
        ("listen c", "listen shop"),
        ("discard all", "set all"),
        ("fetch 5 from c", "cursor shop"),
        ("execute p(1)", "prepared shop"),
        ("vacuum customers", "ddl customers"),
        ("select 1 === 2", "call ==="),
        ("create function leak() returns int language sql as 'select 1'", "call leak, ddl leak"),
        (
            "create function pg_catalog.fresh() returns int language sql leakproof as 'select 1'",
            "admin pg_catalog.fresh, ddl pg_catalog.fresh",
        ),
        ("select pg_advisory_lock(1)", "lock shop"),
        ("select pg_advisory_unlock(1)", "select shop"),
        ("update orders set total = 1", "update orders"),
        ("update orders set total = 1 where id = 5", "select orders, update orders"),
        ("update orders set total = id", "select orders, update orders"),
        ("delete from orders", "delete orders"),
        ("delete from orders where id = 5", "delete orders, select orders"),
        (
            "insert into orders (id) values (1) on conflict (id) do update set total = excluded.total",
            "insert orders, update orders",
        ),
        (
            "insert into orders (id) values (1) on conflict (id) do update set total = orders.id",
            "insert orders, select orders, update orders",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn what_can_fail_for_some_values_probes_them() {
    let probing = [
        "1 / (ascii(email) - 79)",
        "email::int4",
        "email::text[]",
        "int4(email)",
        "email::nobodys_type",
        "nullif(email, 'a')",
        "substring(email from '^a')",
        "case when id = 1 then email end",
        "case email when 'a' then 1 end",
        "email = 'a'",
        "email is null",
        "email || name = 'a'",
        "(email = 'a') || name",
        "email like 'a%'",
        "coalesce(email, 'x')",
        "greatest(email, 'm')",
        "length(email)",
        "lower(substring(email, 1))",
        "(array[email])[2]",
        "email in ('a')",
        "email = any(array['a'])",
        "jsonb_build_object(email, 1)",
        "json_object('a': email)",
        "xmlelement(name a, email)",
        "string_agg(name, email)",
        "array(select email::int4 from customers)",
        "leak(email)",
        "name in (select email from customers)",
    ];
    for expression in probing {
        let sql = format!("select {expression} from customers");
        assert!(accesses(&sql).contains("probe customers.email"), "{sql}");
    }
    let passing = [
        "email",
        "c",
        "row(c.*)",
        "array[email]",
        "row_to_json(c)",
        "to_jsonb(email)",
        "json_agg(c)",
        "array_agg(email)",
        "string_agg(email, ', ')",
        "lower(email), upper(ssn)",
        "upper(lower(email))",
        "concat(email, name, ssn)",
        "email || ' ' || name || ssn",
        "email::text, ssn::varchar(3), (email || '')::text collate \"C\"",
        "count(email), count(*)",
        "(select email)",
        "array(select email from customers)",
        "id = 1, name::int4",
    ];
    for expression in passing {
        let sql = format!("select {expression} from customers c");
        assert_eq!(accesses(&sql), "select customers", "{sql}");
    }
}

#[test]
fn what_can_fail_probes_wherever_it_is() {
    let cases = [
        ("select low, upper(low), mail || 'x' from customer_view", "select customer_view"),
        ("select mail::int4 from customer_view", "probe customers.email, select customer_view"),
        (
            "update customers set id = 1 where id = 2 returning email::int4",
            "probe customers.email, select customers, update customers",
        ),
        ("values ((select email::int4 from customers))", "probe customers.email, select customers"),
        (
            "update customers set email = (1 / (ascii(email) - 79))::text where id = 1",
            "probe customers.email, reveal customers.email, select customers, update customers",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn qualified_names_are_only_what_the_catalog_says() {
    let cases = [
        ("select pg_temp.lower(email) from customers", "?"),
        ("select pg_temp_3.now()", "?"),
        ("select public.count(*) from customers", "?"),
        ("select public.similarity(email, 'a') from customers", "~customers.email"),
        ("select similarity(email, 'a') from customers", "~customers.email"),
        ("select hidden.similarity('a', 'b')", "?"),
        ("select name operator(pg_temp.||) 'x' from customers", "?"),
        ("select email from pg_temp.customers", "?"),
        ("select email from pg_temp_3.customers", "?"),
    ];
    for (sql, expected) in cases {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
    assert_eq!(accesses("select pg_temp.lower('x')"), "call pg_temp.lower");
    assert!(analyzed("select pg_temp.lower('x')").sensitive);
    assert!(analyzed("select id from pg_temp.customers").unknown_relation.is_some());
}

#[test]
fn where_a_foreign_key_goes_its_class_goes() {
    let cases = [
        ("alter table visits drop constraint visits_who", "ddl visits, reveal visits.who"),
        ("alter table visits drop column who", "ddl visits, drop visits"),
        ("alter table guests drop constraint whatever", "ddl guests, reveal guests.mail, reveal visits.who"),
        ("alter table guests drop constraint guests_pkey cascade", "ddl guests, reveal guests.mail, reveal visits.who"),
        ("alter table orders drop constraint whatever", "ddl orders"),
        ("drop table guests cascade", "drop guests, reveal visits.who"),
        // The server refuses it where the other table refers to it.
        ("drop table guests", "drop guests, reveal visits.who"),
        ("drop table bridge", "drop bridge, reveal calls.who"),
        ("drop table stays cascade", "drop stays, reveal calls.who"),
        ("alter table stays drop column who", "ddl stays, drop stays, reveal bridge.who, reveal calls.who"),
        (
            "alter table only stays drop constraint stays_who",
            "ddl stays, reveal bridge.who, reveal calls.who, reveal stays.who",
        ),
        ("drop table orders cascade", "drop orders"),
        (
            "drop domain short cascade",
            "drop shop, reveal bridge.who, reveal calls.who, reveal guests.mail, reveal stays.who, reveal visits.who",
        ),
        (
            "drop index idx cascade",
            "drop ?.idx, reveal bridge.who, reveal calls.who, reveal guests.mail, reveal stays.who, reveal visits.who",
        ),
        ("drop view customer_view cascade", "drop customer_view"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn types_are_made_in_their_schemas() {
    let cases = [
        ("create domain short as text", "ddl public"),
        ("create domain hidden.short as text", "ddl hidden"),
        ("create type hidden.mood as enum ('glad')", "ddl hidden"),
        ("create type pair as (one int, other text)", "ddl public"),
        ("create type pg_catalog.mood as enum ('glad')", "admin pg_catalog, admin shop, ddl pg_catalog"),
        ("set search_path = hidden; create type mood as enum ('glad')", "ddl shop, set search_path"),
        ("create statistics s on id, name from customers", "ddl customers"),
        ("comment on schema hidden is 'x'", "ddl hidden"),
        // Where these are is not followed.
        ("alter type mood add value 'sad'", "ddl shop"),
        ("comment on type mood is 'x'", "ddl shop"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn temporary_things_are_noted() {
    let cases = [
        ("select id from customers", false),
        ("create table x (id int)", false),
        ("create temp table x (id int)", true),
        ("create local temporary table x as select 1", true),
        ("select 1 into temp x", true),
        ("create temporary view v as select 1", true),
        ("create temp sequence s", true),
        ("create function pg_temp.f() returns int language sql as 'select 1'", true),
        ("create domain PG_TEMP.d as text", true),
        ("select id from pg_temp_12.x", true),
        ("set search_path = pg_temp, public", true),
        ("select U&\"\\0070g_temp\".f()", true),
    ];
    for (sql, expected) in cases {
        assert_eq!(analyzed(sql).makes_temporary, expected, "{sql}");
    }
}

#[test]
fn writes_keep_data_in_its_classes() {
    let cases = [
        ("insert into orders (total) values (1)", "insert orders"),
        ("insert into orders (total) select id from customers", "insert orders, select customers"),
        (
            "insert into orders (total) select ssn from customers",
            "insert orders, probe customers.ssn, reveal customers.ssn, select customers",
        ),
        ("insert into customers (email) select email from customers", "insert customers, select customers"),
        // Which of several values is the greater would show in what is written.
        (
            "update customers set email = (select max(e) from (select email e from customers union all select 'g') x)",
            "probe customers.email, reveal customers.email, select customers, update customers",
        ),
        // A star moves what stands behind it into another column.
        (
            "update customers c set (name, email) = row(z.*, c.email, 'x') from (select) z where c.id = 5",
            "probe customers.email, reveal customers.email, select customers, update customers",
        ),
        (
            "merge into customers k using (select 'q' a, email b from customers) t on k.id = 7 \
             when not matched then insert (email, name, id) values (t.*, 7, 'u')",
            "insert customers, merge customers, probe customers.email, reveal customers.email, select customers",
        ),
        (
            "insert into customers (name) select email from customers",
            "insert customers, probe customers.email, reveal customers.email, select customers",
        ),
        ("insert into customers values (1, 'n', 'e', 's') returning email", "insert customers, select customers"),
        (
            "insert into customers (id, email) values (1, 'e') on conflict (id) do update set email = excluded.email",
            "insert customers, update customers",
        ),
        (
            "insert into customers (email) values ('e') on conflict (email) do nothing",
            "insert customers, probe customers.email",
        ),
        // A mask that shows the first letters must not be shown others.
        (
            "update customers set email = substring(email, 3) where id = 1",
            "probe customers.email, reveal customers.email, select customers, update customers",
        ),
        (
            "update customers set name = email where id = 1",
            "probe customers.email, reveal customers.email, select customers, update customers",
        ),
        (
            "update orders set (total, id) = (select c.ssn, c.id from customers c limit 1) where id = 1",
            "probe customers.ssn, reveal customers.ssn, select customers, select orders, update orders",
        ),
        (
            "delete from orders using customers c where c.id = customer_id and c.email = 'a'",
            "delete orders, probe customers.email, select customers, select orders",
        ),
        (
            "merge into orders o using customers c on o.customer_id = c.id when matched then update set total = c.ssn when not matched then insert (id) values (c.id)",
            "insert orders, merge orders, probe customers.ssn, reveal customers.ssn, select customers, select orders, update orders",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

/// A document goes by its fields only where they are the same; whatever is taken from it may be any of them.
#[test]
fn fields_of_documents_are_of_classes() {
    for (sql, expected) in [
        ("select data from letters", "=letters.data"),
        ("select * from old_letters", "=old_letters.id =old_letters.data"),
        ("select data -> 'to' from letters", "~letters.data"),
        ("select data['to'] from letters", "~letters.data"),
        ("select data::text, to_jsonb(l), l from letters l", "~letters.data ~letters.data ~letters.data"),
        // What is computed from other columns is of their classes as well.
        ("select data from made", "~made.data+made.ssn"),
    ] {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
    let leaves = |table: &str, of: &str| {
        let all = [format!("probe {of}.data"), format!("reveal {of}.data")];
        format!("insert {table}, {0}, {0}, {1}, {1}, select {of}", all[0], all[1])
    };
    for (sql, expected) in [
        // Leave for one field is none for another.
        (
            "select id from letters where data ->> 'a' = 'b'",
            "probe letters.data, probe letters.data, select letters".to_string(),
        ),
        ("insert into archive (data) select data from letters", "insert archive, select letters".into()),
        ("insert into letters (data) select data from old_letters", "insert letters, select old_letters".into()),
        ("insert into drafts (data) select data from letters", leaves("drafts", "letters")),
        ("insert into sealed (data) select data from drafts", leaves("sealed", "drafts")),
        ("insert into letters (data['a']) select data from archive", leaves("letters", "archive")),
        ("update letters set data = data where id = 1", "select letters, update letters".into()),
        (
            "update letters set data['a'] = data where id = 1",
            "probe letters.data, probe letters.data, reveal letters.data, reveal letters.data, select letters, update letters"
                .into(),
        ),
    ] {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
    let analysis = analyzed("select id from letters where data is null");
    let probes = analysis.intent.accesses.iter().filter(|access| access.action == Action::PROBE);
    let classes = probes.map(|access| {
        let classes = resource::classes(&access.resource).map(|class| class.id.to_string());
        classes.collect::<Vec<_>>().join("+")
    });
    assert_eq!(classes.collect::<Vec<_>>(), ["email", "us_ssn"]);
    // A class as a whole outranks fields.
    let analysis = analyzed("select id from sealed where data is null");
    let sealed = analysis.intent.accesses.iter().find(|access| access.action == Action::PROBE).expect("a probe");
    assert_eq!(sealed.resource.fields, None);
}

#[test]
fn definitions_keep_data_in_its_classes() {
    let cases = [
        (
            "create table x as select email from customers",
            "ddl x, probe customers.email, reveal customers.email, select customers",
        ),
        (
            "select email into x from customers",
            "ddl x, probe customers.email, reveal customers.email, select customers",
        ),
        ("create view v as select email from customers", "ddl v, select customers"),
        (
            "create table y (email text, copy text generated always as (email) stored)",
            "ddl y, probe y.email, reveal y.email",
        ),
        (
            "alter table customers rename column email to other",
            "ddl customers, probe customers.email, probe vip.email, reveal customers.email, reveal vip.email",
        ),
        (
            "alter table customers alter column name type text using ssn",
            "ddl customers, probe customers.ssn, reveal customers.ssn",
        ),
        ("alter table customers drop column email", "ddl customers, drop customers"),
        ("alter table customers disable trigger all", "admin customers, ddl customers"),
        ("create table z (id int default leak())", "call leak, ddl z"),
        ("create index on customers (lower(name))", "ddl customers"),
        ("create unique index on customers ((email < 'm'))", "ddl customers, probe customers.email"),
        ("create statistics s on (ssn < '5'), name from customers", "ddl customers, probe customers.ssn"),
        ("alter table customers add check (ssn < '5')", "ddl customers, probe customers.ssn"),
        ("alter table customers add check (id > 0)", "ddl customers"),
        ("alter table customers alter email type short_text", "ddl customers, probe customers.email"),
        ("create table p (ssn text) partition by list (ssn)", "ddl p, probe p.ssn"),
        ("create table p (like customers) partition by list (email)", "ddl p, probe customers.email, select customers"),
        (
            "alter table customers add exclude using btree ((email < 'm') with =)",
            "ddl customers, probe customers.email",
        ),
        ("create table g (e text references customers (email))", "ddl customers, ddl g, probe customers.email"),
        // What older servers take for a call, in the text that makes the function.
        (
            "create function \"json_scalar\"(int) returns text language sql as ''; select json_scalar(id) from orders",
            "call json_scalar, ddl json_scalar, probe email, probe us_ssn, select orders",
        ),
        // What asks for nothing more than it did.
        ("create table g (c int references customers (id))", "ddl customers, ddl g"),
        ("alter table orders add column score int default 0 check (score >= 0)", "ddl orders"),
        ("create table c (check (total > 0)) inherits (orders)", "ddl c, ddl orders"),
        ("create table x (like orders including all, check (id > 0))", "ddl x, select orders"),
    ];
    for (sql, expected) in cases {
        assert_eq!(accesses(sql), expected, "{sql}");
    }
}

#[test]
fn results_of_other_statements() {
    let cases = [
        ("insert into orders (id) values (1)", "none"),
        (
            "insert into customers (id) values (1) returning *",
            "=customers.id =customers.name =customers.email =customers.ssn",
        ),
        (
            "update customers set id = 1 where id = 2 returning email as x, lower(ssn)",
            "=customers.email ~customers.ssn",
        ),
        ("delete from customers where id = 1 returning customers", "~customers.email+customers.ssn"),
        ("show all", "clean"),
        ("explain select email from customers", "clean"),
        ("explain select leak()", "unknown"),
        ("explain (analyze off) select email from customers", "clean"),
        ("explain (analyze 0, format json) select email from customers", "clean"),
        ("explain analyze select id from orders", "clean"),
        ("select email from customers; explain analyze select id from orders", "clean"),
        ("explain analyze select email from customers", "unknown"),
        ("explain analyse verbose select email from customers", "unknown"),
        ("explain (buffers, ANALYZE) select 1 from customers where email = 'a'", "unknown"),
        ("explain (analyze off, analyze 1) select email from customers", "unknown"),
        ("explain (analyze 'true') delete from customers", "unknown"),
        ("fetch all from c", "cursor c"),
        ("move 5 in c", "none"),
        ("execute p", "prepared p"),
        ("declare c cursor for select email from customers", "=customers.email"),
        ("prepare p as select email from customers", "=customers.email"),
        ("copy customers to stdout", "=customers.id =customers.name =customers.email =customers.ssn"),
        ("copy (select email e from customers) to stdout", "=customers.email"),
        ("create table x as select 1", "none"),
        ("select 1 into x", "none"),
        ("call leak()", "unknown"),
        ("create table t (id int); select email from customers", "?"),
    ];
    for (sql, expected) in cases {
        assert_eq!(outputs(sql), expected, "{sql}");
    }
    let analysis = analyzed("declare c cursor for select 1");
    assert_eq!(analysis.statements.first().and_then(|output| output.cursor.as_deref()), Some("c"));
}

#[track_caller]
fn copies(options: &str, expected: CopyOut) {
    let analysis = analyzed(&format!("copy customers to stdout {options}"));
    assert_eq!(analysis.statements.first().and_then(|output| output.copy.clone()), Some(expected), "{options}");
}

fn comma() -> CopyCsv {
    CopyCsv {
        delimiter: b',',
        quote: b'"',
        escape: b'"',
        null: "".into(),
        forces_quotes: false,
        has_header: false,
        is_utf8: false,
    }
}

#[test]
fn forms_of_copies_are_read_off_their_options() {
    let tab = CopyText { delimiter: b'\t', has_header: false, is_utf8: false };
    let pipe = CopyText { delimiter: b'|', ..tab };
    copies("", CopyOut::Text(tab));
    copies("(format text, null '\\N', header off)", CopyOut::Text(tab));
    let utf8 = CopyText { has_header: true, is_utf8: true, ..pipe };
    copies("(delimiter '|', header, encoding 'UTF8')", CopyOut::Text(utf8));
    copies("with delimiter as '|'", CopyOut::Text(pipe));
    copies("using delimiters '|'", CopyOut::Text(pipe));
    copies("csv", CopyOut::Csv(comma()));
    for header in ["csv header", "(format csv, header)", "(header true, format csv)", "(format csv, header 1)"] {
        copies(header, CopyOut::Csv(CopyCsv { has_header: true, ..comma() }));
    }
    for none in ["(format csv, header 0)", "(format csv, header 'FALSE')", "(format csv, header off)"] {
        copies(none, CopyOut::Csv(comma()));
    }
    let single = CopyCsv { delimiter: b';', quote: b'\'', escape: b'\'', null: "NULL".into(), ..comma() };
    copies("(format csv, delimiter ';', quote '''', null 'NULL')", CopyOut::Csv(single));
    let forced = CopyCsv { forces_quotes: true, ..comma() };
    copies("(format csv, force_quote (id, email))", CopyOut::Csv(forced.clone()));
    let old = CopyCsv { quote: b'@', escape: b'\\', has_header: true, ..forced };
    copies("with csv header quote as '@' escape as '\\' force quote *", CopyOut::Csv(old));
    copies("(format csv, delimiter E'\\t')", CopyOut::Csv(CopyCsv { delimiter: b'\t', ..comma() }));
    copies("(format binary)", CopyOut::Binary);
    copies("binary", CopyOut::Binary);
    let analysis = analyzed("copy binary customers to stdout");
    assert_eq!(analysis.statements.first().and_then(|output| output.copy.clone()), Some(CopyOut::Binary));
}

#[test]
fn forms_that_are_not_followed_are_lines() {
    for options in [
        "(null '')",
        "(null 'x')",
        "(delimiter 'N')",
        "(delimiter 'é')",
        "(delimiter '||')",
        "(quote '@')",
        "(header match)",
        "(header 2)",
        "(default 'x')",
        "(format csv, delimiter '\"')",
        "(format csv, delimiter E'\\n')",
        "(format csv, delimiter ',,')",
        "(format csv, quote 'ä')",
        "(format csv, escape E'\\r')",
        "(format csv, null 'a,b')",
        "(format csv, null '\"')",
        "(format csv, null 1)",
        "(format csv, default 'x')",
        "(format csv, header maybe)",
    ] {
        copies(options, CopyOut::Lines);
    }
}

#[test]
fn what_is_not_understood_does_not_pass() {
    let deep = format!("select {}1{}", "(select ".repeat(400), ")".repeat(400));
    let unions = format!("select 1{}", " union all select 1".repeat(5_000));
    let cases = [
        "selec 1",
        "select 'a\0b'",
        "set backslash_quote = on",
        "set search_path from current",
        "explain execute p",
        "create table x as execute p",
        "create schema s create table t (id int)",
        "copy orders to stdout (encoding 'latin1')",
        "create foreign table f (id int) server s",
        deep.as_str(),
        unions.as_str(),
    ];
    for sql in cases {
        misunderstood(sql);
    }
    let chain = format!("select email{} from customers", " || 'x'".repeat(10_000));
    assert_eq!(outputs(&chain), "~customers.email");
    let error = try_analyze("selec 1").expect_err("no SQL");
    assert!(error.message.starts_with("syntax error"), "{error}");
}

#[test]
fn a_list_of_more_columns_than_a_table_has_is_not_understood() {
    let because = |count: usize| {
        let sql = format!("select {}", vec!["1"; count].join(", "));
        try_analyze(&sql).map(|_| ()).map_err(|error| error.message)
    };
    assert_eq!(because(1_664), Ok(()));
    assert_eq!(because(1_665), Err("target lists can have at most 1664 entries".into()));
}

/// What would take the parser minutes, or its stack, is not given to it.
#[test]
fn texts_that_are_slow_to_read_are_not_read() {
    let because = |sql: String| try_analyze(&sql).map(|_| ()).map_err(|error| error.message);
    let slow = || -> Result<(), String> {
        Err("the statement has too many comments or operator signs in a row to be read".into())
    };
    assert_eq!(because(format!("select 1 {}", "/**/ ".repeat(256))), Ok(()));
    assert_eq!(because(format!("select 1 {}", "/**/ ".repeat(257))), slow());
    assert_eq!(because(format!("select 1 {}", "--\n".repeat(2_048))), Ok(()));
    assert_eq!(because(format!("select 1 {}", "--\n".repeat(2_049))), slow());
    assert_ne!(because(format!("select 1 {} 1", "+".repeat(512))), slow());
    assert_eq!(because(format!("select 1 {} 1", "+".repeat(513))), slow());
    let long = |bytes: usize| format!("select 1{}", " ".repeat(bytes - "select 1".len()));
    assert_eq!(because(long(4 * 1024 * 1024)), Ok(()));
    assert_eq!(because(long(4 * 1024 * 1024 + 1)), Err("the statement is too long to be read".into()));
}

#[test]
fn conditions_are_told_from_none() {
    let cases = [
        ("select 1", None),
        ("delete from orders", Some(false)),
        ("delete from orders where true", Some(false)),
        ("delete from orders where 1 = 1", Some(false)),
        ("delete from orders where id = id", Some(false)),
        ("delete from orders o where o.id = id", Some(false)),
        ("delete from orders where id = 1 or true", Some(false)),
        ("delete from orders where id = 1 and true", Some(true)),
        ("delete from orders where total like '%'", Some(false)),
        ("delete from orders where total not like '%'", Some(true)),
        ("delete from orders where id = $1", Some(true)),
        ("update orders set id = 1 where id in (select id from customers)", Some(true)),
        ("update orders set id = 1 where current of c", Some(true)),
        ("update orders set id = 1 where id = 2; delete from orders", Some(false)),
        ("with d as (delete from orders returning id) select * from d", Some(false)),
        ("delete from orders where id is not null", Some(false)),
        ("delete from orders o where o.id is not null and 1 = 1", Some(false)),
        ("delete from orders where total is not null", Some(true)),
        ("delete from nowhere where id is not null", Some(true)),
        ("delete from orders where not (id is null)", Some(false)),
        ("delete from orders where not (total is null)", Some(true)),
        ("delete from orders where ctid is not null", Some(false)),
        ("delete from orders where (id = id) is true", Some(false)),
        ("delete from orders where (id = 1) is true", Some(true)),
        ("delete from orders where id in (1, id)", Some(false)),
        ("delete from orders where id between id and id", Some(false)),
        ("delete from orders where id between 1 and id", Some(true)),
        ("delete from orders where false", Some(true)),
        ("delete from orders where null", Some(true)),
        ("delete from orders where 1 = 0", Some(true)),
        ("delete from orders where not false", Some(false)),
        ("update orders set total = 1 where id = 5 or 1 = 0", Some(true)),
        ("update orders set total = 1 where id in (1, 2) or false", Some(true)),
    ];
    for (sql, expected) in cases {
        let expected = expected.map(FactValue::Bool);
        assert_eq!(analyzed(sql).intent.facts.get("has_where").cloned(), expected, "{sql}");
    }
}

#[track_caller]
fn check_condition(condition: &str, excludes_rows: bool) {
    let facts = analyzed(&format!("delete from orders where {condition}")).intent.facts.clone();
    assert_eq!(facts.get("has_where"), Some(&FactValue::Bool(excludes_rows)), "{condition}");
    assert_eq!(facts.get("where_is_constant"), Some(&FactValue::Bool(!excludes_rows)), "{condition}");
}

#[test]
fn conditions_that_no_row_fails_count_as_none() {
    let conditions = [
        // A parameter alone is no filter.
        "$1",
        "id = 5 or $1",
        "id = 5 or $1::bool",
        // Of queries that read nothing.
        "exists (select 1)",
        "exists (select)",
        "exists (values (1))",
        "exists (select 1 where id = id)",
        "exists (select 1 union select 2)",
        "exists (select count(*) where false)",
        "exists (select * from generate_series(1, 2))",
        "not exists (select 1 where null)",
        "(select true)",
        "(select (select true))",
        "1 in (select 1)",
        "id in (select id)",
        "id in (values (1), (id))",
        "id = (select id)",
        "id = any (select id)",
        "(id, total) in (select id, total)",
        "(id, total) = (select id, total)",
        // Of a value and itself.
        "id >= id",
        "id = any(array[id])",
        "id = any(array[1, id])",
        "id <> all('{}')",
        "id <> all(array[]::int4[])",
        "(id, total) = (id, total)",
        "(id, 1) = (id, 1)",
        "(id, total) in ((1, 2), (id, total))",
        "id::text = id::text",
        "id collate \"C\" = id",
        "lower(total) = lower(total)",
        "not (id <> id)",
        "not (lower(total) <> lower(total))",
        "not (id = id and id < id)",
        "not (id is distinct from id)",
        "id is not distinct from id",
        "id between symmetric id and id",
        "id between symmetric 1 and id",
        "id not between 2 and 1",
        // Of what is never NULL.
        "id is distinct from null",
        "null is distinct from id",
        "row(id) is not null",
        "row(id, 1) is not null",
        "not (row(id, total) is null)",
        "(id > 5) is not null",
        "coalesce(total, '') is not null",
        // Of texts, all of which are like the pattern.
        "id ~~ '%' and id is not null",
        "total ilike '%%'",
        "total like '%' escape '!'",
        "total similar to '%'",
        "total ~ '.*'",
        "total like any(array['a', '%'])",
        "not (total !~~ '%')",
        // Of conditions.
        "(id = id) = true",
        "(id = id) <> false",
        "(id = 1) >= false",
        "(id = 1) is not distinct from (id = 1)",
        "(id <> id) is false",
        "(null = 1) is not true",
        "(id = id)::bool",
        "coalesce(true)",
        "coalesce(null, id = id, false)",
        "'t'",
        "'yes'::bool",
        "1::bool",
    ];
    for condition in conditions {
        check_condition(condition, false);
    }
}

#[test]
fn conditions_whose_parts_leave_no_row_count_as_none() {
    let conditions = [
        "id = 1 or id <> 1",
        "1 = id or id <> 1",
        "id = 1 or not (id = 1)",
        "not (id = 1 and id <> 1)",
        "id = 1 or (total = '2' or id <> 1)",
        "id <> 1 or id <> 2",
        "total <> 'a' or total <> 'b'",
        "id < 5 or id > 3",
        "id < 5 or id >= 5",
        "id < 1 or id = 1 or id > 1",
        "id = customer_id or customer_id <> id",
        "id = $1 or id <> $1",
        "total is null or total is not null",
        "total is null or not (total is null)",
        "$1 is null or $1 is not null",
        "(id = 1) is true or (id = 1) is not true",
        "total like 'a' or total not like 'a'",
        "id in (1, 2) or id not in (1, 2)",
        "id between 1 and 2 or id not between 1 and 2",
        "id is distinct from 1 or id is not distinct from 1",
        "id = any($1) or id <> all($1)",
        // The same for every row, but what.
        "$1",
        "$1 is null",
        "$1 = 1 and $2",
        "now() is not null",
        "not (now() is null)",
        "id = 1 or now() is not null",
        "random() >= 0",
        "random() < 2",
        "null = null",
        "id = 1 or null = null",
        "'1' = 1",
        "1.00000000000000000001 > 1",
        "'1' in ('01', 1)",
    ];
    for condition in conditions {
        check_condition(condition, false);
    }
}

#[test]
fn conditions_that_leave_rows_alone_count_as_such() {
    let conditions = [
        // Filters that parameters turn off.
        "$1 is null or customer_id = $1",
        "($1::text is null or total = $1) and ($2::int4 is null or customer_id = $2)",
        "coalesce($1, '') = '' or total = $1",
        "customer_id = coalesce($1, customer_id)",
        // Of constants, that come to nothing.
        "id = 5 or 'a' = 'b'",
        "id = 5 or 1 > 2",
        "id = 5 or 1.5 > 2",
        "id = 5 or not true",
        "id = 5 or (1 = 1 and null)",
        "id = 5 or null = 1",
        "id = 5 or '1' = 2",
        "id = 5 or 'a'::text = 'b'::text",
        "id = 5 or 1 in (2, 3)",
        "id = 5 or 1 between 2 and 3",
        "id = 5 or exists (select 1 where false)",
        "id = 5 or 'no'",
        "1 <> 1",
        "not (1 = 1 or null)",
        "id = 5 and 1 = 1",
        "null <> 1",
        "(select false)",
        "1 in (select 2)",
        // A sample.
        "random() < 0.01",
        "0.5 > random()",
        // What looks like a tautology, and is none.
        "id = 1 or id = 2",
        "id > 5 or id < 3",
        "id > 5 or id < 5",
        "id <> 1 or customer_id <> 2",
        "total = 'a' or total <> 'b'",
        "total is null or customer_id is not null",
        "total is not null or total = '5'",
        "total is distinct from null",
        "row(id, total) is not null",
        "row(id, total) is null",
        "total::int4 = total",
        "(array[id])[1] = (array[id])[2]",
        "(id, total) = (id, customer_id)",
        "id in (select id from customers)",
        "exists (select 1 from customers c where c.id = customer_id)",
        "id = (select max(id) from customers)",
        "id = any($1)",
        "id = any('{1,2}')",
        "id <> all(array[1, 2])",
        "id between symmetric 1 and 2",
        "id not between 1 and 2",
        "total like 'a%'",
        "total !~~ '%'",
        "total ~ '^a'",
        "(id = 1) = true",
        "(id = 1) is not true",
        "(id = id) = false",
        "id <> id",
        "coalesce(total = 'a', true)",
        "case when id = 1 then true else false end",
        "id = null",
    ];
    for condition in conditions {
        check_condition(condition, true);
    }
}

#[test]
fn the_session_is_told_what_changes() {
    let cases = [
        ("select 1", (false, false, false, false)),
        ("set work_mem = '1MB'", (true, false, false, false)),
        ("set search_path = x", (true, true, false, false)),
        ("set schema 'x'", (true, true, false, false)),
        ("reset all", (true, true, false, false)),
        ("set role r", (true, true, false, false)),
        ("select set_config('search_path', 'x', false)", (true, true, false, true)),
        ("select leak()", (true, true, false, true)),
        ("do $$ begin end $$", (true, true, true, true)),
        ("create table x (id int)", (false, false, true, true)),
        ("create index on orders ((1 / total))", (false, false, true, true)),
        ("drop table orders", (false, false, true, false)),
        ("select id from customers", (false, false, false, false)),
        ("select email from customers", (false, false, false, true)),
        ("select id from customers where ssn = '1'", (false, false, false, true)),
        ("delete from customers where id = 5", (false, false, false, true)),
        ("delete from orders where id = 5", (false, false, false, false)),
        ("update customers set id = 5 where id = 6", (false, false, false, true)),
        ("alter role r password 'x'", (false, false, true, true)),
    ];
    for (sql, (meaning, path, catalog, sensitive)) in cases {
        let analysis = analyzed(sql);
        let found = (analysis.changes_meaning, analysis.changes_path, analysis.changes_catalog, analysis.sensitive);
        assert_eq!(found, (meaning, path, catalog, sensitive), "{sql}");
    }
}

#[test]
fn an_uncertain_path_means_every_relation_of_a_name() {
    let shown = with_context(&SearchPath::Uncertain, |context| {
        let analysis = analyze("select email, total from orders", context).expect("understood");
        let tables: Vec<String> = analysis.intent.accesses.iter().map(|access| short(&access.resource)).collect();
        (tables.join(" "), analysis.statements.first().map(|output| shown_outputs(&output.columns)))
    });
    assert_eq!(shown, ("hidden.orders orders".to_string(), Some("=hidden.orders.email =orders.total".to_string())));
    assert_eq!(
        accesses("set search_path = hidden; select id from orders"),
        "select hidden.orders, select orders, set search_path"
    );
}

#[test]
fn evidence_holds_no_constants_of_sensitive_statements() {
    assert_eq!(
        analyzed("select id from orders where id = 5").intent.evidence.as_ref(),
        "select id from orders where id = 5"
    );
    assert_eq!(
        analyzed("select 1 from customers where email = 'a@b'").intent.evidence.as_ref(),
        "select … from customers where email = '…'"
    );
    assert_eq!(analyzed("alter role r password 'x'").intent.evidence.as_ref(), "alter role r password '…'");
    assert_eq!(
        analyzed("delete from customers where id = 5").intent.evidence.as_ref(),
        "delete from customers where id = …"
    );
    assert_eq!(
        analyzed("alter table orders add check (total <> 'Hidden')").intent.evidence.as_ref(),
        "alter table orders add check (total <> '…')"
    );
    assert_eq!(
        analyzed("select E'x'\n'\\'Hidden, ' from customers where email = ''").intent.evidence.as_ref(),
        "select '…' from customers where email = '…'"
    );
}

#[test]
fn columns_of_row_descriptions() {
    let target = TargetName::new("shop").expect("a name");
    let classifier: Arc<dyn gatehouse_protocol::Classifier> = Arc::new(ByName);
    let (kept, path) = (Known::new(catalog()), known());
    let moved = Moved::default();
    let reader = Reader { target: &target, classifier: &classifier, path: &path, moved: &moved };
    let of = |table, attribute| shown(&kept.column(table, attribute, &reader));
    assert_eq!(of(100, 3), "=customers.email");
    assert_eq!(of(102, 2), "=customers.email");
    assert_eq!(of(102, 4), "~customers.ssn");
    assert_eq!(of(103, 1), "=customers.email");
    assert_eq!(of(100, 99), "?");
    assert_eq!(of(100, -1), "-");
    assert_eq!(of(4242, 1), "?");
}

#[test]
fn a_column_is_in_its_classes_and_its_table() {
    let analysis = analyzed("select 1 from vip where email = 'a'");
    let probe = analysis.intent.accesses.iter().find(|access| access.action == Action::PROBE).expect("a probe");
    let within: Vec<String> =
        probe.resource.within.iter().map(|parent| format!("{} {}", parent.kind, parent.id)).collect();
    assert_eq!(within, ["Class email", "Table shop/public.vip", "Schema shop/public", "Target shop"]);
}

#[test]
fn effects() {
    assert_eq!(analyzed("select email from customers where ssn = 'x'").intent.effect, Effect::Read);
    assert_eq!(analyzed("begin; set work_mem = '1MB'; commit").intent.effect, Effect::Read);
    assert_eq!(analyzed("select leak()").intent.effect, Effect::Write);
    assert_eq!(analyzed("prepare p as delete from orders").intent.effect, Effect::Write);
}

#[test]
fn whole_analyses() {
    check(
        "delete from customers where email = 'a@b.c' returning id",
        expect![[r#"
            DELETE
            delete customers, probe customers.email, select customers
            =customers.id
            Write {"has_rules": Bool(false), "has_triggers": Bool(true), "has_where": Bool(true), "statements_in_batch": Long(1), "tables": Long(1), "where_is_constant": Bool(false)} sensitive=true
            delete from customers where email = '…' returning id
        "#]],
    );
    check(
        "begin; select id from orders where id = 7; commit",
        expect![[r#"
        BEGIN; SELECT; COMMIT
        select orders, transaction shop
        none | =orders.id | none
        Read {"statements_in_batch": Long(3), "tables": Long(1)} sensitive=false
        begin; select id from orders where id = 7; commit
    "#]],
    );
}

#[test]
fn facts_tell_of_limits_and_objects() {
    let fact = |sql: &str, name: &str| analyzed(sql).intent.facts.get(name).cloned();
    let text = |kind: &str| Some(FactValue::Text(kind.into()));
    assert_eq!(fact("select id from orders limit 5", "row_limit"), Some(FactValue::Long(5)));
    let limited = [
        "select id from orders limit 5::bigint",
        "select id from orders limit '5'",
        "select id from orders fetch first 5 rows only",
        "(select id from orders limit 5)",
        "copy (select id from orders limit 5) to stdout",
        "declare c cursor for select id from orders limit 5",
        "explain select id from orders limit 5",
        "explain analyze declare c cursor for select id from orders limit 5",
        "prepare p as select id from orders limit 5",
        "prepare p (int4) as select id from orders where id = $1 limit 5::int4",
    ];
    for sql in limited {
        assert_eq!(fact(sql, "row_limit"), Some(FactValue::Long(5)), "{sql}");
    }
    let unlimited = [
        "select id from orders",
        "select id from orders limit all",
        "select id from orders limit null",
        "select id from orders limit $1",
        "select id from orders limit 5.5",
        "select id from orders limit 5::text::int4",
        "select id from (select id from orders limit 5) o",
        "copy orders to stdout",
        "copy (select id from orders) to stdout",
        "explain select id from orders",
        "prepare p as select id from orders order by id fetch first 5 rows with ties",
    ];
    for sql in unlimited {
        assert_eq!(fact(sql, "row_limit"), None, "{sql}");
    }
    assert_eq!(fact("select id from orders limit 10000000000", "row_limit"), Some(FactValue::Long(10_000_000_000)));
    assert_eq!(fact("select id from orders limit 2 + 3", "row_limit"), None);
    assert_eq!(fact("select id from orders limit 5; select id from orders", "row_limit"), None);
    assert_eq!(fact("select id from orders; select id from orders limit 5", "row_limit"), None);
    assert_eq!(fact("select id from orders order by 1 = 1 fetch first 5 rows with ties", "row_limit"), None);
    let joined = |one: &str, more: &str, name: &str| {
        let mut facts = analyzed(one).intent.facts.clone();
        super::join_facts(&mut facts, &analyzed(more).intent.facts);
        facts.get(name).cloned()
    };
    let (blind, seeing) = ("update orders set note = 'x'", "update orders set note = 'x' where id = 1");
    assert_eq!(joined(blind, seeing, "has_where"), Some(FactValue::Bool(false)));
    assert_eq!(joined(seeing, blind, "has_where"), Some(FactValue::Bool(false)));
    assert_eq!(joined("execute p", seeing, "has_where"), Some(FactValue::Bool(true)));
    assert_eq!(joined(&format!("{seeing}; execute p"), seeing, "statements_in_batch"), Some(FactValue::Long(2)));
    assert_eq!(joined("execute p", "select id from orders limit 5", "row_limit"), Some(FactValue::Long(5)));
    assert_eq!(joined("select 1; execute p", "select id from orders limit 5", "row_limit"), None);
    assert_eq!(fact("drop view customer_view", "object_kind"), text("view"));
    assert_eq!(fact("create table t (a int); create index on t (a)", "object_kind"), text("several"));
    assert_eq!(fact("select 1", "object_kind"), None);
    assert_eq!(fact("delete from orders where 1 = 1", "where_is_constant"), Some(FactValue::Bool(true)));
    assert_eq!(fact("delete from orders", "where_is_constant"), Some(FactValue::Bool(false)));
}

#[test]
fn values_stand_in_the_place_of_parameters() {
    let values = ["'a$2'".to_string(), "7".to_string()];
    let with = |sql: &str| with_values(sql, &values);
    assert_eq!(
        with("update t set a = $1, b = $2 where c = $1").as_deref(),
        Some("update t set a = 'a$2', b = 7 where c = 'a$2'")
    );
    assert_eq!(with("select '$1', \"$2\", $$ $1 $$ -- $1").as_deref(), Some("select '$1', \"$2\", $$ $1 $$ -- $1"));
    assert_eq!(with("select $3"), None);
    assert_eq!(with("selec $1"), None);
}

/// What may be pseudonyms in a statement, each with `[]` behind it where it is an array of them.
fn candidates_of(sql: &str) -> String {
    let one = |candidate: &Candidate| {
        let text = match &candidate.place {
            Place::Text(_, text) => text.to_string(),
            Place::Bind(number) => format!("${}", number + 1),
        };
        if candidate.is_list { text + "[]" } else { text }
    };
    let candidates = analyzed(sql).candidates;
    candidates.map_or_else(String::new, |known| known.all.iter().map(one).collect::<Vec<_>>().join(" "))
}

#[test]
fn texts_beside_classified_columns_may_be_pseudonyms() {
    let of = |condition: &str| format!("select id from customers c where {condition}");
    let by = |list: &str, condition: &str| format!("select c.id from customers c join {list} on {condition}");
    for (sql, expected) in [
        (of("email = 'a'"), "a"),
        (of("email in ($1, $2)"), "$1 $2"),
        (of("email not in ('a', $1)"), "a $1"),
        (of("email = any($1)"), "$1[]"),
        (of("email = any($1::text[])"), "$1[]"),
        (of("email <> all('{a,b}')"), "{a,b}[]"),
        (of("email = any(array['a', $1::text])"), "a $1"),
        (of("email = any(array['a']::text[])"), "a"),
        (of("email in (values ('a'), ($1))"), "a $1"),
        (of("email in (values (null), ('a'))"), "a"),
        (of("email not in ('a', null)"), "a"),
        (of("email = any(array['a', null])"), "a"),
        (by("(values ('a'), ('b')) as v(email)", "c.email = v.email"), "a b"),
        (by("(values ('a', 1), (null, 2)) v", "v.column1 = c.email"), "a"),
        ("with v(m) as (values ('a')) select c.id from customers c, v where email = v.m".into(), "a"),
        ("with v(m) as (values ('a')) select id, email from customers where email in (select m from v)".into(), "a"),
        (
            "with v(email) as (values ('a')) select email from customers where email in (select email from v)".into(),
            "a",
        ),
        ("update customers c set id = v.n from (values ('a', 1)) v(m, n) where c.email = v.m".into(), "a"),
        ("delete from customers c using (values ($1)) v(m) where c.email = v.m".into(), "$1"),
        ("merge into customers c using (values ('a')) v(m) on c.email = v.m when matched then delete".into(), "a"),
        (format!("copy ({}) to stdout (format csv)", of("email = 'a'")), "a"),
        (format!("copy ({}) to stdout", by("(values ('a')) v(m)", "c.email = v.m")), "a"),
    ] {
        assert_eq!(candidates_of(&sql), expected, "{sql}");
    }
}

#[test]
fn a_statement_has_so_many_pseudonyms() {
    let of = |count: usize, one: &str| vec![one; count].join(", ");
    for (count, found) in [(CANDIDATES_MAX, CANDIDATES_MAX), (CANDIDATES_MAX + 1, 0)] {
        for sql in [
            format!("select id from customers where email in ({})", of(count, "'a'")),
            format!("select id from customers where email = any(array[{}])", of(count, "'a'")),
            format!("select id from customers where email in (values {})", of(count, "('a')")),
            format!("select c.id from customers c join (values {}) v(m) on c.email = v.m", of(count, "('a')")),
        ] {
            assert_eq!(candidates_of(&sql).split_whitespace().count(), found, "{count}: {}", &sql[..80]);
        }
    }
}

/// What may be pseudonyms of which several would be put in order, one list of them behind the other.
fn compared_in(sql: &str) -> String {
    let known = analyzed(sql).candidates.unwrap_or_else(|| panic!("{sql}: no candidates"));
    let one = |number: &usize| match &known.all[*number].place {
        Place::Text(_, text) => text.to_string(),
        Place::Bind(number) => format!("${}", number + 1),
    };
    let lists = known.together.iter().map(|list| list.iter().map(&one).collect::<Vec<_>>().join(" "));
    lists.collect::<Vec<_>>().join(", ")
}

#[test]
fn where_no_order_shows_texts_are_not_compared() {
    let of = |shown: &str, rest: &str| format!("select {shown} from members c where email in ('a', $1) {rest}");
    for sql in [
        of("id, name", "order by id"),
        of("id", "order by 1 desc limit 10 offset 2"),
        of("name, id as key", "order by key"),
        of("*", "order by level desc, tier, c.id"),
        of("c.id", "and (tier <> $2 or c.name is null) and tier not in ('x', $3::text) and level >= 3 order by id"),
        of("id", "and at > now() - interval '7 days' order by id"),
        of("id", "and level = any(array[1, $2]) order by id"),
        of("count(*)", ""),
        of("count(*) filter (where level between 1 and 2)", ""),
        of("count(distinct level), min(id), max(c.tier), 7", "and level > 1"),
        "select id from members where email = 'a' or email = $1 order by id".into(),
        "select id from members where email = any($1) order by id".into(),
        "select id from members where email = any(array['a', $1]::text[]) order by id".into(),
        // Nothing is looked up by an index: rows are those that it is not, or the column is in none.
        "select id from members where email not in ('a', 'b')".into(),
        "select id from members where email <> 'a' and email <> 'b' limit 1".into(),
        "select id from members where email <> all($1) limit 1".into(),
        "select id from members where not email in ('a', 'b') limit 1".into(),
        "select id from members where ssn in ('a', 'b') limit 1".into(),
        "update members set name = 'x' where ssn in ('a', 'b')".into(),
    ] {
        assert_eq!(compared_in(&sql), "", "{sql}");
    }
}

#[test]
fn where_an_order_may_show_texts_are_compared() {
    let of = |shown: &str, rest: &str| format!("select {shown} from members c where email in ('a', $1) {rest}");
    let by = |shown: &str, rest: &str| {
        format!("select {shown} from members c join (values ('a'), ($1)) v(m) on c.email = v.m {rest}")
    };
    for sql in [
        of("id", ""),
        of("id", "limit 1"),
        of("id", "order by name"),
        of("name", "order by 1"),
        of("name as id", "order by id"),
        of("c.*, id", "order by 5"),
        of("id", "order by c.id || ''"),
        of("id", "order by ctid"),
        of("distinct on (id) id", "order by id"),
        of("name", "group by id order by id"),
        of("id", "order by id for update"),
        of("id, row_number() over ()", "order by id"),
        of("array_agg(id)", ""),
        of("string_agg(id, ',')", ""),
        of("count(*), array_agg(id)", ""),
        of("max(length(name))", ""),
        of("id, nextval('sq')", "order by id"),
        of("id, public.leak()", "order by id"),
        of("id, random()", "order by id"),
        // What looks elsewhere leaves behind how far it came, and what stops at the first row tells which one it was.
        of("id", "and id in (select customer_id from orders where total > $2) order by id"),
        of("count(*)", "and exists (select from orders o where o.customer_id = c.id)"),
        of("count(*)", "and case when id = 'x' then true else tier = 'y' end"),
        "select count(*) from (select id from members where email in ('a', $1)) s".into(),
        "select count(*) from orders where exists (select from members where email in ('a', $1))".into(),
        "with s as (select id from members where email in ('a', $1)) select count(*) from s".into(),
        "select c.id from members c join orders o on o.customer_id = c.id where c.email in ('a', $1) order by o.id, c.id"
            .into(),
        "with v(m) as (values ('a'), ($1)) select id from members where email in (select m from v) order by id".into(),
        by("count(*)", ""),
        // What fails, tells which row came first.
        of("coalesce(name, id)", "order by id"),
        of("id", "and lower(tier) = 'x' order by id"),
        of("id", "and id = tier order by id"),
        of("id", "and level > 1e30::money order by id"),
        of("id", "and tier in ($2::uuid, $3::uuid) order by id"),
        of("id", "and level > now() - interval '7 days' order by id"),
        // What takes long, tells by how many rows were fetched until it was stopped.
        of("id", "and name = 'x' order by id"),
        of("id", "and tier < 'x' order by id"),
        of("id", "and tier between 'x' and 'y' order by id"),
        of("id", "and level = any($2) order by id"),
        of("id", "order by name, id"),
        of("max(name)", ""),
        of("id", &format!("and ({}) order by id", ["level = 1"; 600].join(" or "))),
        of("id, 1 / length(name)", "order by id"),
        of("id, name::int4", "order by id"),
        of("id", "and name like name order by id"),
        of("id", "and id > $2::int8 and name > $3::int4 order by id"),
        of("id", "and (at > now() - interval '7 days' or at < now() + interval '7 days') order by id"),
        of("id, (select o.id from orders o)", "order by id"),
        of("id, array(select o.id from orders o)", "order by id"),
        // An order of the whole leaves open what is found first inside of it.
        of("id", "and id in (select customer_id from orders limit 1) order by id"),
        "select count(*) from (select id from members where email in ('a', $1) limit 1) s where s.id = '1'".into(),
        "select count(*) from (select distinct on (name) id from members where email in ('a', $1)) s".into(),
        "with s as (select id from members where email in ('a', $1) limit 1) select count(*) from s".into(),
        "with s as (select id from members where email in ('a', $1)) select id from s order by id".into(),
        "with orders as (select 1 as id), s as (select id from members where email in ('a', $1)) \
             select id from orders where id in (select id from s) order by id"
            .into(),
        // What is sorted by does not tell the rows of each table apart.
        "select c.id from members c join orders o on o.customer_id = c.id where c.email in ('a', $1) order by c.id".into(),
        "select c.id from members c, generate_series(1, 2) where c.email in ('a', $1) order by c.id".into(),
        "select id from years where email in ('a', $1)".into(),
        // It is the key of these rows, and not of those of other tables that are read with them.
        "select id from customers where email in ('a', $1) order by id".into(),
        "select id from members where email = 'a' or email = $1".into(),
        "select id from members where not (email <> 'a' and email <> $1) limit 1".into(),
        "select id from members where not (1 = (select 1 from members where email in ('a', $1) limit 1))".into(),
        "select mail from customer_view where mail in ('a', $1) order by id".into(),
        by("c.id", ""),
        by("c.id", "order by c.id"),
        "select id from members where email in (values ('a'), ($1))".into(),
        // What is written comes to lie in that order, or says so itself.
        "update members set name = 'x' where email in ('a', $1)".into(),
        "update members c set name = 'x' from (values ('a'), ($1)) v(m) where c.email = v.m".into(),
        "delete from members where email in ('a', $1)".into(),
        "insert into orders (id) select id from members where email in ('a', $1) order by id".into(),
        "merge into members c using (values ('a'), ($1)) v(m) on c.email = v.m when matched then delete".into(),
        "with w as (update orders set total = '1' returning id) select id from members where email in ('a', $1) order by id"
            .into(),
    ] {
        assert_eq!(compared_in(&sql), "a $1", "{sql}");
    }
    assert_eq!(compared_in("select id from members where email = any($1)"), "$1");
    // Each statement by itself, and each column.
    let one = "select id from members where email = 'a'";
    assert_eq!(compared_in(&format!("{one}; {one}")), "a, a");
    assert_eq!(compared_in("select id from members where email in ('a', 'b') or ssn in ('c', 'd')"), "a b");
}

#[test]
fn texts_that_could_be_seen_or_tried_are_no_pseudonyms() {
    let of = |condition: &str| format!("select id from customers c where {condition}");
    let by = |shown: &str, rest: &str| {
        format!("select {shown} from customers c join (values ('a'), ('b')) as v(m) on c.email = v.m {rest}")
    };
    let with = |query: &str| format!("with v(m) as (values ('a')) {query}");
    for sql in [
        // Tried for what is not seen of them.
        of("email like 'a'"),
        of("email like any('{a}')"),
        of("email between 'a' and 'b'"),
        of("email > 'a'"),
        of("email > any('{a}')"),
        of("email is distinct from 'a'"),
        of("case when email = 'a' then true else false end"),
        of("case email when 'a' then true else false end"),
        of("nullif(email, 'a') is null"),
        of("(email = 'a') is true"),
        of("email = coalesce('a')"),
        of("email = any(array['a', lower('b')])"),
        of("email = any('a'::text)"),
        of("email = any('{a}'::name[])"),
        of("email = any(string_to_array('a', ','))"),
        of("email in (values ('a'), (lower('b')))"),
        of("email in (values ('a'), (null::name))"),
        of("email in (null)"),
        of("email in (values ('a'), ('b') order by 1 limit 1)"),
        of("email in (select m from (values ('a')) v(m) where m > 'b')"),
        of("email in (select lower(m) from (values ('a')) v(m))"),
        "select email = 'a' from customers".into(),
        "select case when email = 'a' then 1 end from customers".into(),
        // Seen where the list is.
        by("v.m", ""),
        by("*", ""),
        by("v.*", ""),
        by("v", ""),
        by("(v).m", ""),
        by("(v).*", ""),
        by("row_to_json(v)", ""),
        by("v.text", ""),
        by("m", ""),
        by("upper(v.m)", ""),
        by("c.id, (select v.m)", ""),
        by("c.id", "order by v.m"),
        by("c.id", "where v.m like 'a%'"),
        by("c.id", "where m > 'a'"),
        by("c.id", "join orders o on o.total = v.m"),
        by("c.id", "join (values ('a')) w(n) on w.n = v.m"),
        by("c.id", "group by c.id, v.m"),
        by("count(distinct v.m)", ""),
        by("x.m", "cross join lateral (select v.m) x"),
        "select 1 from customers c join (values ('a')) v(email) on c.email = v.email join (values ('x')) w(email) using (email)"
            .into(),
        "select 1 from (values ('a')) v(m) natural join (values ('a')) w(m), customers c where c.email = v.m".into(),
        "select j.m from (customers c join (values ('a')) v(m) on c.email = v.m) as j".into(),
        "select w.m from (select * from (values ('a')) v(m)) w join customers c on c.email = w.m".into(),
        "select c.id from customers c join (values ('a') union values ('b')) v(m) on c.email = v.m".into(),
        with("select w.m from v, v as w, customers c where c.email = v.m"),
        with("select c.id, (select max(m) from v) from customers c where c.email in (select m from v)"),
        with("insert into orders (id, total) select c.id, m from customers c join v on c.email = v.m"),
        "update orders o set total = v.m from (values ('a')) v(m), customers c where c.email = v.m".into(),
        "update customers c set id = 1 from (values ('a')) v(m) where c.email = v.m returning *".into(),
        "merge into customers c using (values ('a')) v(m) on c.email = v.m when not matched then insert (name) values (v.m)"
            .into(),
        // Compared with what is seen, or of another class.
        "select c.id from customers c join (values ('a')) v(m) on c.email = v.m and c.name = v.m".into(),
        "select c.id from customers c join (values ($1)) v(m) on c.email = v.m and c.ssn = $1".into(),
        // Not run, but kept or shown.
        format!("explain {}", by("c.id", "")),
        format!("prepare p as {}", by("c.id", "")),
        format!("copy ({}) to '/tmp/c'", by("c.id", "")),
        format!("copy ({}) to program 'cat'", of("email = 'a'")),
        format!("copy ({}) to stdout", by("v.m", "")),
        format!("create view w as {}", by("c.id", "")),
    ] {
        assert_eq!(candidates_of(&sql), "", "{sql}");
    }
}

#[test]
fn what_could_make_an_index_cheap_is_told() {
    let bounded = |sql: &str| with_context(&known(), |context| is_bounded(sql, &[], context));
    for sql in [
        "select id from customers where name = 'x' order by id limit 5",
        "select o.id from orders o join customers c on c.id = o.id where c.name = 'x'",
        "select o.id from orders o, customers c where c.id = o.id and upper(c.name) = 'x'",
        "select o.id from customers c left join orders o using (id)",
        "select o.id from orders o right join customers c on o.id = c.id",
        "copy (select id from customers) to stdout",
        "copy customers to stdout",
        "update customers set name = 'x' where id = 5 returning id",
        "insert into orders (id) values (1)",
        "insert into orders (id) select id from customers",
        "insert into orders (id) values (1) on conflict (id) do update set note = 'x' returning id",
        "begin; select id from orders; commit",
    ] {
        assert!(bounded(sql), "{sql}");
    }
    for sql in [
        "select c.id from customers c, generate_series(1, c.id) g order by c.name",
        "select c.id from customers c, orders o order by c.name",
        "select c.id from customers c join orders o on o.note = c.name",
        "select c.id from customers c join orders o on o.id = c.id or true",
        "select c.id from customers c natural join orders o",
        // The condition of an outer join leaves none of the rows out that it keeps.
        "select o.id from customers c left join orders o on o.id > c.id",
        "select o.id from orders o left join customers c on o.id = c.id",
        "select o.id from orders o full join customers c on o.id = c.id",
        "select x.id from (orders x cross join orders y) left join orders z on x.id = y.id and z.id = x.id",
        "select x.id from (orders x cross join orders y) left join orders z on x.id = z.id and y.id = z.id",
        "select id from customers where id in (select id from orders)",
        "select id, (select count(*) from orders) from customers",
        "with o as (select id from orders) select id from customers",
        "select id from customers union all select id from orders",
        "select id, unnest(array[1, 2]) from customers",
        "update customers c set name = 'x' from orders o",
        "update customers set name = 'x' returning (select array_agg(o.id) from orders o, customers c)",
        "delete from customers where id = 1 returning (select count(*) from orders)",
        "insert into orders (id) values (1) returning (select array_agg(o.id) from orders o, customers c)",
        "insert into orders (id) values (1) on conflict (id) do update set note = (select max(name) from customers)",
        "insert into orders (id) values ((select count(*) from customers))",
        "explain select id from customers where id in (select id from orders)",
        "execute anything",
        "merge into customers c using orders o on o.id = c.id when matched then delete",
        "select id from customers where own_function(id)",
    ] {
        assert!(!bounded(sql), "{sql}");
    }
    let long =
        |count: usize| format!("select id from customers where {} order by id", vec!["id <> 1"; count].join(" and "));
    assert!(bounded(&long(100)) && !bounded(&long(1_000)));
    let joined = |count: usize| {
        let more = (1..count).map(|table| format!(" join orders o{table} on o{table}.id = o0.id"));
        format!("select o0.id from orders o0{}", more.collect::<String>())
    };
    assert!(bounded(&joined(8)) && !bounded(&joined(9)));
}

#[test]
fn what_could_be_too_long_is_told() {
    let probes = |sql: &str| accesses(sql).contains("probe");
    let literal = |bytes: usize| format!("select email || '{}' from customers", "x".repeat(bytes));
    let parts = |count: usize| format!("select concat({}) from customers", vec!["email"; count].join(", "));
    assert!(!probes(&literal(1_024)) && probes(&literal(1_025)));
    assert!(!probes(&parts(64)) && probes(&parts(65)));
    for sql in
        ["select email || $1 from customers", "select to_json(array[email, repeat('x', id::int)]) from customers"]
    {
        assert!(probes(sql), "{sql}");
    }
}
