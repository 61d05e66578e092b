//! Makes statements about the shop of the tests, by a grammar: most of them are valid, many touch what is classified.

/// The statements of one seed, without end.
pub struct Statements {
    random: u64,
    /// How deep what is being made is.
    depth: u32,
}

/// A relation in scope, by its alias.
#[derive(Clone, Copy)]
struct Source {
    alias: &'static str,
    table: &'static Table,
}

/// What is known of a relation: its columns by kind.
struct Table {
    name: &'static str,
    numbers: &'static [&'static str],
    texts: &'static [&'static str],
    /// Those of a class, and what holds some.
    classified: &'static [&'static str],
}

static TABLES: [Table; 7] = [
    Table {
        name: "customers",
        numbers: &["id"],
        texts: &["tier", "note"],
        classified: &["full_name", "email", "ssn", "phone", "birth_date", "profile"],
    },
    Table { name: "orders", numbers: &["id", "customer_id", "total"], texts: &["note"], classified: &[] },
    Table { name: "contacts", numbers: &["id"], texts: &[], classified: &["reach_at", "shouted"] },
    Table { name: "contacts_again", numbers: &[], texts: &[], classified: &["a", "b"] },
    Table { name: "notes", numbers: &["id", "order_id"], texts: &["body"], classified: &[] },
    Table { name: "tiers", numbers: &["people"], texts: &["tier"], classified: &[] },
    Table { name: "days", numbers: &["id"], texts: &["day::text"], classified: &[] },
];
const ALIASES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

impl Statements {
    /// Those of this seed.
    pub fn new(seed: u64) -> Self {
        // Seeds that are next to each other are to begin far apart.
        Self { random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, depth: 0 }
    }

    /// A number below another, by xorshift (Marsaglia 2003).
    fn below(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.get(self.below(of.len())).copied().unwrap_or("1")
    }

    fn column(&mut self, scope: &[Source], of: fn(&Table) -> &'static [&'static str]) -> Option<String> {
        let source = scope.get(self.below(scope.len()))?;
        let columns = of(source.table);
        (!columns.is_empty()).then(|| format!("{}.{}", source.alias, self.one(columns)))
    }

    fn number(&mut self, scope: &[Source]) -> String {
        self.depth += 1;
        let made = match self.below(if self.depth > 4 { 3 } else { 11 }) {
            0 => self.below(200).to_string(),
            1 | 2 => self.column(scope, |table| table.numbers).unwrap_or_else(|| "7".into()),
            3 => format!("({} {} {})", self.number(scope), self.one(&["+", "-", "*", "%"]), self.number(scope)),
            4 => format!("length({})", self.text(scope)),
            5 => format!("coalesce({}, {})", self.number(scope), self.number(scope)),
            6 => format!(
                "case when {} then {} else {} end",
                self.condition(scope),
                self.number(scope),
                self.number(scope)
            ),
            7 => format!(
                "(select {}({}) {})",
                self.one(&["count", "max", "min"]),
                self.number(scope),
                self.any_from("z")
            ),
            8 => format!("abs({})", self.number(scope)),
            9 => format!("({})::int", self.number(scope)),
            _ => format!("greatest({}, {})", self.number(scope), self.number(scope)),
        };
        self.depth -= 1;
        made
    }

    fn text(&mut self, scope: &[Source]) -> String {
        self.depth += 1;
        let made = match self.below(if self.depth > 4 { 3 } else { 12 }) {
            0 => format!("'{}'", self.one(&["gold", "standard", "order 7", "x", "a@example.org", ""])),
            1 | 2 => self.column(scope, |table| table.texts).unwrap_or_else(|| "'none'".into()),
            3 if self.percent(30) => self.classified(scope),
            3 | 4 => format!("({} || {})", self.text(scope), self.text(scope)),
            5 => format!(
                "{}({})",
                self.one(&["upper", "lower", "md5", "reverse", "initcap", "quote_literal"]),
                self.text(scope)
            ),
            6 => format!("substr({}, {}, 3)", self.text(scope), self.below(5)),
            7 => format!("coalesce({}, {})", self.text(scope), self.text(scope)),
            8 => format!("({})::text", self.number(scope)),
            9 => format!("case when {} then {} end", self.condition(scope), self.text(scope)),
            10 => format!("concat_ws('-', {}, {})", self.text(scope), self.number(scope)),
            _ => format!("replace({}, 'a', {})", self.text(scope), self.text(scope)),
        };
        self.depth -= 1;
        made
    }

    /// A classified value, plain or in another form.
    fn classified(&mut self, scope: &[Source]) -> String {
        let Some(column) = self.column(scope, |table| table.classified) else { return "'nothing'".into() };
        match self.below(14) {
            0..=6 => column,
            7 => format!("({column})::text"),
            8 => format!("upper(({column})::text)"),
            9 => format!("to_json({column})"),
            10 => format!("coalesce(({column})::text, 'x')"),
            11 => format!("array[({column})::text]"),
            12 => format!("(select {column})"),
            _ => format!("length(({column})::text)"),
        }
    }

    fn condition(&mut self, scope: &[Source]) -> String {
        self.depth += 1;
        let made = match self.below(if self.depth > 4 { 2 } else { 10 }) {
            0 | 1 => format!("{} {} {}", self.number(scope), self.one(&["<", "=", ">", "<>"]), self.number(scope)),
            2 => format!("{} like '{}%'", self.text(scope), self.one(&["o", "s", "1", ""])),
            3 => format!("({} and {})", self.condition(scope), self.condition(scope)),
            4 => format!("not ({})", self.condition(scope)),
            5 => format!("{} is not null", self.number(scope)),
            6 => format!("exists (select 1 {} where z.{})", self.any_orders(), "id < 9"),
            7 => format!("{} in (select {} {})", self.number(scope), "z.id", self.any_orders()),
            8 if self.percent(25) => format!("({})::text > 'R'", self.classified(scope)),
            _ => format!("{} between 1 and {}", self.number(scope), self.below(100)),
        };
        self.depth -= 1;
        made
    }

    fn any_orders(&mut self) -> String {
        format!("from {} z", self.one(&["orders", "notes", "customers"]))
    }

    fn any_from(&mut self, alias: &str) -> String {
        format!("from {} {alias}", self.one(&["orders", "customers", "notes", "days"]))
    }

    fn sources(&mut self) -> (String, Vec<Source>) {
        let count = if self.percent(60) { 1 } else { 2 };
        let mut scope = Vec::new();
        let mut from = String::new();
        for alias in ALIASES.iter().take(count) {
            let Some(table) = TABLES.get(self.below(TABLES.len())) else { continue };
            let source = Source { alias, table };
            if scope.is_empty() {
                from = format!("{} {alias}", table.name);
            } else {
                let both = [scope.as_slice(), &[source]].concat();
                from = match self.below(4) {
                    0 => format!("{from} cross join (select * from {} limit 3) {alias}", table.name),
                    1 => format!("{from} left join {} {alias} on {}", table.name, self.joined(&both)),
                    2 => format!("{from}, lateral (select * from {} limit 2) {alias}", table.name),
                    _ => format!("{from} join {} {alias} on {}", table.name, self.joined(&both)),
                };
            }
            scope.push(source);
        }
        (from, scope)
    }

    fn joined(&mut self, scope: &[Source]) -> String {
        let sides: Vec<String> = scope
            .iter()
            .map(|source| {
                source.table.numbers.first().map_or("1".into(), |column| format!("{}.{column}", source.alias))
            })
            .collect();
        sides.join(" = ")
    }

    fn outputs(&mut self, scope: &[Source]) -> String {
        let count = 1 + self.below(4);
        let outputs: Vec<String> = (0..count)
            .map(|place| {
                let made = match self.below(12) {
                    0 | 1 => self.number(scope),
                    2 | 3 => self.text(scope),
                    4..=8 => self.classified(scope),
                    9 => self.one(&["a", "a.*", "row_to_json(a)", "a::text", "to_jsonb(a)", "(a).*"]).into(),
                    10 => format!("count(*) over (order by {})", self.number(scope)),
                    _ => self.condition(scope),
                };
                if self.percent(30) && !made.ends_with('*') { format!("{made} as x{place}") } else { made }
            })
            .collect();
        outputs.join(", ")
    }

    fn select(&mut self) -> String {
        self.depth += 1;
        let (from, scope) = self.sources();
        let mut made = if self.percent(15) {
            let grouped = self.text(&scope);
            let aggregate = self.one(&["count(*)", "max", "string_agg", "array_agg", "bool_or", "json_agg"]);
            let aggregate = match aggregate {
                "count(*)" => aggregate.to_string(),
                "string_agg" => format!("string_agg({}, ',')", self.text(&scope)),
                "bool_or" => format!("bool_or({})", self.condition(&scope)),
                "max" => format!("max({})", self.number(&scope)),
                _ if self.percent(40) => format!("{aggregate}({})", self.classified(&scope)),
                _ => format!("{aggregate}({})", self.number(&scope)),
            };
            format!("select {grouped}, {aggregate} from {from} group by 1")
        } else {
            format!("select {}{} from {from}", if self.percent(6) { "distinct " } else { "" }, self.outputs(&scope))
        };
        if self.percent(45) && !made.contains(" group by ") {
            made = format!("{made} where {}", self.condition(&scope));
        }
        // Two plans may give rows in another order.
        made = format!("select * from ({made}) q limit {}", 1 + self.below(60));
        self.depth -= 1;
        made
    }

    fn with(&mut self) -> String {
        let inner = self.select();
        match self.below(4) {
            0 => format!("with w as ({inner}) select * from w"),
            1 => format!("with w as materialized ({inner}) select count(*) from w"),
            2 => format!(
                "with recursive w(n, t) as (select 1, {} from customers a where id = 1 union all select n + 1, t from w where n < 4) select * from w",
                self.classified(&[Source { alias: "a", table: &TABLES[0] }])
            ),
            _ => format!("with orders as ({inner}) select * from orders, (select 1) one"),
        }
    }

    fn write(&mut self) -> String {
        let orders = [Source { alias: "orders", table: &TABLES[1] }];
        match self.below(12) {
            0 => format!("update orders set note = {} where id = {} returning *", self.text(&orders), self.below(200)),
            1 => format!("delete from notes where id = {} returning body", self.below(60)),
            2 => format!(
                "insert into notes select id + 1000, id, {} from orders where id < 9 returning *",
                self.text(&orders)
            ),
            3 => format!("create temp table t{} as {}", self.below(9), self.select()),
            4 => format!(
                "begin; update customers set tier = 'gold' where id = {}; {}; rollback",
                self.below(9),
                self.select()
            ),
            5 => format!(
                "insert into orders (id, total, note) values ({}, 1, 'x') on conflict (id) do update set note = excluded.note returning *",
                self.below(300)
            ),
            6 => format!(
                "insert into customers (id, full_name, email) select 7000 + id, full_name, {} from customers where id < 3",
                self.one(&["email", "'n' || id", "full_name"])
            ),
            7 => "merge into orders o using notes n on n.order_id = o.id when matched then update set note = n.body"
                .into(),
            8 => format!("select nextval('sq'), {}", self.below(9)),
            9 => "truncate notes".into(),
            10 => format!("create view v{} as {}", self.below(9), self.select()),
            _ => format!("alter table notes add column c{} int default {}", self.below(99), self.below(9)),
        }
    }
}

impl Iterator for Statements {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.depth = 0;
        Some(match self.below(100) {
            0..=49 => self.select(),
            50..=62 => self.with(),
            63..=69 => format!(
                "({}) {} ({})",
                self.select(),
                self.one(&["union", "union all", "except", "intersect"]),
                self.select()
            ),
            70..=74 => format!(
                "explain ({}costs off) {}",
                self.one(&["", "verbose, ", "analyze, timing off, summary off, "]),
                self.select()
            ),
            75..=79 => format!(
                "copy ({}) to stdout {}",
                self.select(),
                self.one(&["", "csv header", "(format binary)", "with delimiter '|'", "csv force quote *"])
            ),
            80..=84 => format!("begin; declare c cursor for {}; fetch 20 from c; fetch all c; rollback", self.select()),
            85..=87 => format!("prepare p{0} as {1}; deallocate p{0}", self.below(1000), self.select()),
            88..=90 => format!("table {}", self.one(&["customers", "contacts", "orders", "staff", "tiers"])),
            _ => self.write(),
        })
    }
}
