//! What a target's own catalog says: relations, columns, views, functions, operators and types, as one snapshot.
//!
//! Knows the question that reads it and the answer's shape. Must not know statements, policies, classes or frames.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use foldhash::HashMap;
use gatehouse_model::ValueKind;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

/// One question (a simple query of several statements) whose answers, in text form, build a [`Catalog`].
///
/// The first answer is read before `search_path` is set, so it uses no operator and qualifies every function;
/// the settings last as long as the question's implicit transaction; to compile it takes longer than to answer it. Functions of extensions that only compute from their arguments are marked as such.
/// Number 817 is `current_query`, by which what is computed of a row tells the text of the statement.
/// The last answer is a digest of all functions, aggregates, operators, casts and checks of domains that are not PostgreSQL's
/// own, and for each relation one of its triggers, rules, checks and query: whatever is changed of them, the digest is another. So
/// it is where something was changed and put back (`xmin`): whoever looked at it in between saw what does not run. Functions
/// of temporary schemas are among them, of all sessions, for a survey cannot know which is whose. A function is shown by its name
/// alone where that is the only one of it in sight, so that the number stands beside it.
pub(crate) const QUESTION: &str = "\
select s from pg_catalog.unnest(pg_catalog.current_schemas(false)) as s;
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('jit', 'off', true);
with recursive calling as materialized (select d.classid, d.objid from pg_catalog.pg_depend d
    where d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
      and d.refobjid >= 16384
      and not exists (select from pg_catalog.pg_depend e
        where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e')
    union all select 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid from pg_catalog.pg_attrdef f
      where f.adbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid from pg_catalog.pg_constraint k
      where k.conbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid from pg_catalog.pg_index i
      where (i.indexprs::pg_catalog.text ~ ':funcid 817 ' or i.indpred::pg_catalog.text ~ ':funcid 817 ')
    union all select 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid from pg_catalog.pg_type t
      where t.typdefaultbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid from pg_catalog.pg_policy p
      where (p.polqual::pg_catalog.text ~ ':funcid 817 ' or p.polwithcheck::pg_catalog.text ~ ':funcid 817 ')),
  made_of as (
    select t.oid, t.typbasetype as part from pg_catalog.pg_type t where t.typbasetype <> 0
    union all select t.oid, t.typelem from pg_catalog.pg_type t where t.typelem <> 0
    union all select g.rngtypid, g.rngsubtype from pg_catalog.pg_range g
    union all select d.objid, d.refobjid from pg_catalog.pg_type t join pg_catalog.pg_depend d on d.objid = t.oid
      where t.typtype = 'm' and d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refclassid = d.classid
    union all select t.oid, a.atttypid from pg_catalog.pg_class c join pg_catalog.pg_type t on t.typrelid = c.oid
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0
      where a.atttypid >= 16384),
  checked as (
    select k.contypid as oid from calling d join pg_catalog.pg_constraint k
        on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid and k.contypid <> 0
    union select d.objid from calling d where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    union select m.oid from checked c join made_of m on m.part = c.oid),
  speaking as materialized (
    select d.classid, d.objid from calling d
    union all select d.classid, d.objid from checked c join pg_catalog.pg_depend d
      on d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = c.oid),
  computing as materialized (
    select k.conrelid as oid from speaking d join pg_catalog.pg_constraint k
        on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid
    union all select a.attrelid from checked c join pg_catalog.pg_attribute a on a.atttypid = c.oid
    union all select d.objid from speaking d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    union all select f.adrelid from speaking d join pg_catalog.pg_attrdef f
        on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and f.oid = d.objid
    union all select i.indrelid from speaking d join pg_catalog.pg_index i
        on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.indexrelid = d.objid
    union all select p.polrelid from speaking d join pg_catalog.pg_policy p
        on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and p.oid = d.objid)
select c.oid, n.nspname, c.relname,
    case when c.relkind in ('r', 'p') and (c.oid in (select o.oid from computing o) or c.relhasrules or c.relhastriggers and exists (select from pg_catalog.pg_trigger g
        left join pg_catalog.pg_constraint k on k.oid = g.tgconstraint and k.confrelid = c.oid
        where g.tgrelid = c.oid
          and (not g.tgisinternal or k.confdeltype not in ('a', 'r') or k.confupdtype not in ('a', 'r'))))
      then pg_catalog.upper(c.relkind::pg_catalog.text) else c.relkind::pg_catalog.text end
    || case when c.relrowsecurity and c.oid in (select o.oid from computing o) then '!' else '' end
    || case when c.relhastriggers and exists (select from pg_catalog.pg_trigger g
        where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled <> 'D') then '+' else '' end
    || case when c.relhasrules and exists (select from pg_catalog.pg_rewrite r
        where r.ev_class = c.oid and r.ev_type <> '1' and r.ev_enabled <> 'D') then '*' else '' end
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_(toast|temp_)'
    and (c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      or c.relkind in ('c', 'i', 'I') and n.nspname not in ('pg_catalog', 'information_schema'));
with whole as materialized (select i.indrelid as relation, i.indexrelid as index from pg_catalog.pg_index i
      where i.indrelid >= 16384
        and (i.indexprs::pg_catalog.text ~ ':varattno 0 ' or i.indpred::pg_catalog.text ~ ':varattno 0 ')
    union all select k.conrelid, 0 from pg_catalog.pg_constraint k
      where k.conrelid >= 16384 and k.conbin::pg_catalog.text ~ ':varattno 0 '),
  tested as materialized (select distinct d.refobjid, d.refobjsubid from pg_catalog.pg_depend d
    left join pg_catalog.pg_constraint k
      on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid and k.contype in ('c', 'x')
    left join pg_catalog.pg_index i on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      and i.indexrelid = d.objid and (i.indexprs is not null or i.indpred is not null)
    where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 and d.refobjid >= 16384
      and (k.oid is not null or i.indexrelid is not null
        or d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.deptype = 'n'
        or d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = d.refobjid)
    union select p.partrelid, k.attnum
      from pg_catalog.pg_partitioned_table p cross join lateral pg_catalog.unnest(p.partattrs) as k(attnum)
    union select w.relation, s.attnum from whole w join pg_catalog.pg_attribute s on s.attrelid = w.relation),
  indexed as materialized (select i.indrelid, k.attnum
      from pg_catalog.pg_index i cross join lateral pg_catalog.unnest(i.indkey) as k(attnum) where i.indrelid >= 16384
    union select w.relation, s.attnum from whole w join pg_catalog.pg_attribute s on s.attrelid = w.relation
      where w.index <> 0
    union select d.refobjid, d.refobjsubid from pg_catalog.pg_index i
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid
      where i.indexprs is not null or i.indpred is not null),
  chosen as materialized (select i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts, i.indexprs from pg_catalog.pg_index i
      where i.indrelid >= 16384 and (i.indnkeyatts > 1 or i.indpred is not null)
        and pg_catalog.pg_index_has_property(i.indexrelid::pg_catalog.regclass, 'index_scan')),
  ordered as materialized (select i.indrelid, k.attnum
      from chosen i cross join lateral pg_catalog.unnest(i.indkey) with ordinality as k(attnum, place)
      where k.place <= i.indnkeyatts
    union select w.relation, s.attnum from whole w join chosen i on i.indexrelid = w.index
      join pg_catalog.pg_attribute s on s.attrelid = w.relation
    union select d.refobjid, d.refobjsubid from chosen i
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid
      where i.indexprs is not null)
select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated <> '',
    case when a.attnotnull then 't' else 'f' end || case when t.refobjid is not null then '?' else '' end
    || case when l.oid is not null then '~' else '' end
    || case when p.partrelid is not null then '%' else '' end
    || case when i.indrelid is not null then '#' else '' end
    || case when o.indrelid is not null then '&' else '' end
  from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    left join tested t on t.refobjid = a.attrelid and t.refobjsubid = a.attnum
    left join pg_catalog.pg_collation l on l.oid = a.attcollation and not l.collisdeterministic
    left join pg_catalog.pg_partitioned_table p
      on p.partrelid = a.attrelid and (a.attnum = any(p.partattrs) or p.partexprs is not null)
    left join indexed i on i.indrelid = a.attrelid and i.attnum = a.attnum
    left join ordered o on o.indrelid = a.attrelid and o.attnum = a.attnum
  where a.attnum > 0 and not a.attisdropped and n.nspname !~ '^pg_(toast|temp_)'
    and (c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      or c.relkind = 'c' and n.nspname not in ('pg_catalog', 'information_schema'))
  order by a.attrelid, a.attnum;
select i.inhrelid, i.inhparent from pg_catalog.pg_inherits i;
select p.proname, s.outside, s.computes,
    pg_catalog.max(case when s.outside is null then p.provolatile::pg_catalog.text else 'i' end)
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    left join pg_catalog.pg_depend d
      on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    left join pg_catalog.pg_extension e
      on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and e.oid = d.refobjid
    cross join lateral (select
      case when n.nspname not in ('pg_catalog', 'information_schema') or p.oid >= 16384 then n.nspname end,
      p.prolang in (12, 13, 14) and coalesce(e.extname in
        ('btree_gin', 'btree_gist', 'citext', 'cube', 'earthdistance', 'fuzzystrmatch', 'hstore', 'intarray', 'isn',
         'ltree', 'pg_trgm', 'pgcrypto', 'seg', 'unaccent', 'uuid-ossp', 'vector'), false)) as s(outside, computes)
  group by 1, 2, 3;
select distinct n.nspname::pg_catalog.text || '.' || o.oprname::pg_catalog.text
  from pg_catalog.pg_operator o join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  where (n.nspname not in ('pg_catalog', 'information_schema') or o.oid >= 16384)
    and not exists (select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.objid = o.oid and d.deptype = 'e');
select t.oid, t.typname, n.nspname in ('pg_catalog', 'information_schema') and t.oid < 16384, t.typbasetype, t.typtypmod
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where t.typtype <> 'c' and t.typcategory <> 'A';
with recursive made_of as (
    select t.oid, t.typbasetype as part from pg_catalog.pg_type t where t.typbasetype >= 16384
    union all select t.oid, t.typelem from pg_catalog.pg_type t where t.typelem >= 16384
    union all select g.rngtypid, g.rngsubtype from pg_catalog.pg_range g
    union all select t.oid, a.atttypid from pg_catalog.pg_class c join pg_catalog.pg_type t on t.typrelid = c.oid
      join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where a.atttypid >= 16384),
  making as (
    select k.contypid as oid, case when o.oid is null then d.refobjid else o.oprcode end as function
      from pg_catalog.pg_constraint k
        join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = k.oid
          and d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
        left join pg_catalog.pg_operator o
          on d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and o.oid = d.refobjid
      where k.contypid <> 0 and d.refobjid >= 16384
    union select c.casttarget, c.castfunc from pg_catalog.pg_cast c
      where c.castfunc >= 16384 and (c.casttarget >= 16384 or c.castsource < 16384)
    union select m.oid, g.function from making g join made_of m on m.part = g.oid),
  all_of_them as (
    select t.oid, t.typname, 0 as made_from, g.function from making g join pg_catalog.pg_type t on t.oid = g.oid
    union all select t.oid, case c.castcontext when 'i' then '' else t.typname end, c.castsource, c.castfunc
      from pg_catalog.pg_cast c join pg_catalog.pg_type t on t.oid = c.casttarget
      where c.castfunc >= 16384 and c.casttarget < 16384 and c.castsource >= 16384
        and not exists (select from pg_catalog.pg_depend d
          where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = c.castfunc and d.deptype = 'e'))
select distinct a.oid, a.typname, a.made_from, n.nspname, p.proname
  from all_of_them a join pg_catalog.pg_proc p on p.oid = a.function
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace;
select d.runs_at, pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(d.digest, '' order by d.digest)), 'hex')
  from (select c.runs_at, pg_catalog.sha256(pg_catalog.convert_to(c.definition, pg_catalog.getdatabaseencoding())) as digest
    from (select 0::pg_catalog.oid as runs_at, pg_catalog.concat_ws(',', p.xmin, pg_catalog.row_to_json(p)::pg_catalog.text) as definition
        from pg_catalog.pg_proc p where p.oid >= 16384
      union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', a.xmin, pg_catalog.row_to_json(a)::pg_catalog.text,
          a.aggtransfn::pg_catalog.oid, a.aggfinalfn::pg_catalog.oid, a.aggcombinefn::pg_catalog.oid,
          a.aggserialfn::pg_catalog.oid, a.aggdeserialfn::pg_catalog.oid, a.aggmtransfn::pg_catalog.oid,
          a.aggminvtransfn::pg_catalog.oid, a.aggmfinalfn::pg_catalog.oid)
        from pg_catalog.pg_aggregate a where a.aggfnoid::pg_catalog.oid >= 16384
      union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', o.xmin, pg_catalog.row_to_json(o)::pg_catalog.text,
          o.oprcode::pg_catalog.oid)
        from pg_catalog.pg_operator o where o.oid >= 16384
      union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', c.xmin, pg_catalog.row_to_json(c)::pg_catalog.text)
        from pg_catalog.pg_cast c where c.oid >= 16384
      union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', k.xmin, pg_catalog.row_to_json(k)::pg_catalog.text)
        from pg_catalog.pg_constraint k where k.contypid <> 0 and k.oid >= 16384
      union all select k.conrelid, pg_catalog.concat_ws(',', k.xmin, pg_catalog.row_to_json(k)::pg_catalog.text)
        from pg_catalog.pg_constraint k where k.contype = 'c' and k.conrelid <> 0 and k.oid >= 16384
      union all select g.tgrelid, pg_catalog.concat_ws(',', g.xmin, pg_catalog.row_to_json(g)::pg_catalog.text)
        from pg_catalog.pg_trigger g where not g.tgisinternal
      union all select r.ev_class, pg_catalog.concat_ws(',', r.xmin,
          case when r.ev_type <> '1' then pg_catalog.row_to_json(r)::pg_catalog.text end)
        from pg_catalog.pg_rewrite r where r.oid >= 16384) as c) as d
  group by d.runs_at";

/// The second question: the definitions of views, with every name qualified, what generated columns are computed by,
/// foreign keys, and the columns by which rows are told apart: those of unique indexes that hold of every row at any time. To read a definition takes a lock on the tables underneath, so that those which somebody changes right now are
/// left out, and nobody is waited for.
pub(crate) const DEFINITIONS: &str = "\
select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true),
  pg_catalog.set_config('lock_timeout', '200ms', true);
with locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock')
select c.oid, pg_catalog.pg_get_viewdef(c.oid)
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname !~ '^pg_(toast|temp_)'
    and not exists (select from locked k where k.relation = c.oid)
    and not exists (select from locked k
      join pg_catalog.pg_depend d on d.refobjid = k.relation and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      join pg_catalog.pg_rewrite r on r.oid = d.objid and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      where r.ev_class = c.oid);
select d.adrelid, d.adnum, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
  from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
  where a.attgenerated <> '' and not exists (select from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock' and l.relation = d.adrelid);
select k.conrelid, s.own, k.confrelid, s.other
  from pg_catalog.pg_constraint k
    cross join lateral rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) as s(own, other)
  where k.contype = 'f';
select i.indrelid, i.indkey
  from pg_catalog.pg_index i
  where i.indrelid >= 16384 and i.indisunique and i.indimmediate and i.indisvalid and i.indisready and i.indislive
    and i.indpred is null and i.indexprs is null and i.indnatts = i.indnkeyatts
    and not exists (select from pg_catalog.pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any(i.indkey) and not a.attnotnull)
    and not exists (select from pg_catalog.pg_constraint k
      where k.conrelid = i.indrelid and k.contype = 'n' and not k.convalidated and k.conkey[1] = any(i.indkey))";

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
    /// Reads `pg_class.relkind`, which the question has in capitals for tables with effects.
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
    /// Whether a trigger that somebody made runs when it is written to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_triggers: bool,
    /// Whether a rule has something else done when it is written to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_rules: bool,
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
                calls |= relation.has_effects || relation.has_triggers || relation.has_rules || relation.quotes;
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
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(&relation.oid.to_be_bytes());
    part(relation.schema.as_bytes());
    part(relation.definition.as_deref().unwrap_or_default().as_bytes());
    part(&[relation.has_effects, relation.has_triggers, relation.has_rules].map(u8::from));
    for parent in &relation.parents {
        part(&parent.to_be_bytes());
    }
    for column in &relation.columns {
        part(column.name.as_bytes());
        part(&column.type_oid.to_be_bytes());
        part(column.expression.as_deref().unwrap_or_default().as_bytes());
    }
    shown(&hash.finalize())
}

/// A text in place of a longer one.
fn digest_of(bytes: &[u8]) -> String {
    shown(&Sha256::digest(bytes))
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

/// An answer to [`QUESTION`] that does not have its shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("answer {result_set} of the catalog question is not as expected: {problem}")]
pub(crate) struct CatalogError {
    /// Which answer, from 0.
    pub(crate) result_set: usize,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
}

/// Builds a [`Catalog`] from the answers to [`QUESTION`].
#[derive(Debug, Default)]
pub(crate) struct Builder {
    parts: Parts,
    places: HashMap<u32, usize>,
    answered: bool,
}

impl Builder {
    /// Takes one row of an answer, its values in text form.
    pub(crate) fn row(&mut self, result_set: usize, fields: &[Option<&[u8]>]) -> Result<(), CatalogError> {
        let row = Row { result_set, fields };
        match result_set {
            0 => {
                self.parts.search_path.push(row.text(0)?.into());
                Ok(())
            }
            1 => {
                self.answered = true;
                Ok(())
            }
            2 => self.relation(&row),
            3 => self.column(&row),
            4 => self.parent(&row),
            5 => self.function(&row),
            6 => {
                self.parts.operators.push(row.text(0)?.into());
                Ok(())
            }
            7 => self.kind(&row),
            8 => {
                self.parts.makings.push(Making {
                    oid: row.number(0)?,
                    of: row.text(1)?.into(),
                    from: row.number(2)?,
                    schema: row.text(3)?.into(),
                    function: row.text(4)?.into(),
                });
                Ok(())
            }
            9 => {
                self.parts.code.push((row.number(0)?, row.text(1)?.into()));
                Ok(())
            }
            10 => Ok(()),
            11 => self.definition(&row),
            12 => self.expression(&row),
            13 => self.reference(&row),
            14 => self.key(&row),
            _ => Err(row.error("there is no such answer")),
        }
    }

    /// The catalog, when every answer is complete.
    pub(crate) fn finish(self) -> Result<Catalog, CatalogError> {
        if !self.answered || self.parts.relations.is_empty() || self.parts.functions.is_empty() {
            return Err(CatalogError { result_set: 0, problem: "an answer is missing" });
        }
        Ok(Catalog::new(self.parts))
    }

    fn relation(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
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
            has_triggers: marks.contains('+'),
            has_rules: marks.contains('*'),
            quotes: marks.contains('!'),
        });
        Ok(())
    }

    fn definition(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let oid: u32 = row.number(0)?;
        if let Some(relation) = self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place)) {
            relation.definition = row.optional(1)?.map(Into::into);
        }
        Ok(())
    }

    fn expression(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let (oid, number): (u32, i16) = (row.number(0)?, row.number(1)?);
        let relation = self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place));
        let columns = relation.into_iter().flat_map(|relation| &mut relation.columns);
        for column in columns.filter(|column| column.number == number) {
            column.expression = row.optional(2)?.map(Into::into);
        }
        Ok(())
    }

    fn reference(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let (oid, number): (u32, i16) = (row.number(0)?, row.number(1)?);
        let other = (row.number(2)?, row.number(3)?);
        let relation = self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place));
        let columns = relation.into_iter().flat_map(|relation| &mut relation.columns);
        for column in columns.filter(|column| column.number == number) {
            if !column.refers.contains(&other) {
                column.refers.push(other);
            }
        }
        Ok(())
    }

    fn key(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let oid: u32 = row.number(0)?;
        let numbers: Result<Vec<i16>, _> = row.text(1)?.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|_| row.error("a key is not of numbers"))?;
        if let Some(relation) = self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place)) {
            relation.keys.push(numbers);
        }
        Ok(())
    }

    fn column(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let marks = row.text(6)?;
        let column = ColumnInfo {
            number: row.number(1)?,
            name: row.text(2)?.into(),
            type_oid: row.number(3)?,
            type_modifier: row.number(4)?,
            generated: row.truth(5)?,
            not_null: marks.starts_with('t'),
            tested: marks.contains('?'),
            divides: marks.contains('%'),
            folds: marks.contains('~'),
            indexed: marks.contains('#'),
            ordered: marks.contains('&'),
            expression: None,
            refers: Vec::new(),
        };
        let oid: u32 = row.number(0)?;
        if let Some(relation) = self.places.get(&oid).and_then(|&place| self.parts.relations.get_mut(place)) {
            relation.columns.push(column);
        }
        Ok(())
    }

    fn parent(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let (child, parent): (u32, u32) = (row.number(0)?, row.number(1)?);
        if let Some(relation) = self.places.get(&child).and_then(|&place| self.parts.relations.get_mut(place)) {
            relation.parents.push(parent);
        }
        Ok(())
    }

    fn function(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        let mark = row.text(3)?;
        // In answers that were written down before there were three marks, `t` and `f` say whether it is volatile.
        if !["i", "s", "v", "t", "f"].contains(&mark) {
            return Err(row.error("an unknown mark of a function"));
        }
        self.parts.functions.push(FunctionInfo {
            name: row.text(0)?.into(),
            schema: row.optional(1)?.map(Into::into),
            computes: row.truth(2)?,
            volatile: matches!(mark, "v" | "t"),
            stable: mark == "s",
        });
        Ok(())
    }

    fn kind(&mut self, row: &Row<'_>) -> Result<(), CatalogError> {
        self.parts.types.push(TypeInfo {
            oid: row.number(0)?,
            name: row.text(1)?.into(),
            system: row.truth(2)?,
            base: row.number(3)?,
            base_modifier: row.number(4)?,
        });
        Ok(())
    }
}

struct Row<'a> {
    result_set: usize,
    fields: &'a [Option<&'a [u8]>],
}

impl<'a> Row<'a> {
    fn error(&self, problem: &'static str) -> CatalogError {
        CatalogError { result_set: self.result_set, problem }
    }

    fn optional(&self, place: usize) -> Result<Option<&'a str>, CatalogError> {
        match self.fields.get(place) {
            Some(Some(bytes)) => std::str::from_utf8(bytes).map(Some).map_err(|_| self.error("a value is not UTF-8")),
            Some(None) => Ok(None),
            None => Err(self.error("a column is missing")),
        }
    }

    fn text(&self, place: usize) -> Result<&'a str, CatalogError> {
        self.optional(place)?.ok_or_else(|| self.error("a value is null"))
    }

    fn number<N: std::str::FromStr>(&self, place: usize) -> Result<N, CatalogError> {
        self.text(place)?.parse().map_err(|_| self.error("a value is not a number"))
    }

    fn truth(&self, place: usize) -> Result<bool, CatalogError> {
        match self.text(place)? {
            "t" => Ok(true),
            "f" => Ok(false),
            _ => Err(self.error("a value is not a boolean")),
        }
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

    fn with_code(code: &[(&str, &str)]) -> Catalog {
        let mut builder = Builder::default();
        let mut row = |result_set: usize, fields: &[&str]| {
            let fields: Vec<Option<&[u8]>> = fields.iter().map(|field| Some(field.as_bytes())).collect();
            builder.row(result_set, &fields).expect("a row");
        };
        row(1, &["pg_catalog"]);
        row(2, &["16384", "public", "plain", "r"]);
        row(2, &["16385", "public", "watched", "r+"]);
        row(5, &["f", "public", "f", "f"]);
        for &(at, digest) in code {
            row(9, &[at, digest]);
        }
        builder.finish().expect("a catalog")
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
        let mut row = |result_set: usize, fields: &[&str]| {
            let fields: Vec<Option<&[u8]>> = fields.iter().map(|field| Some(field.as_bytes())).collect();
            builder.row(result_set, &fields).expect("a row");
        };
        row(1, &["pg_catalog"]);
        row(2, &["16384", "public", "customers", "r"]);
        row(3, &["16384", "1", "name", "25", "-1", "f", "f"]);
        row(3, &["16384", "2", "profile", "3802", "-1", "f", "f"]);
        row(5, &["f", "public", "f", "f"]);
        let catalog = builder.finish().expect("a catalog");
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
        let mut row = |result_set: usize, fields: &[&str]| {
            let fields: Vec<Option<&[u8]>> = fields.iter().map(|field| Some(field.as_bytes())).collect();
            builder.row(result_set, &fields)
        };
        row(1, &["pg_catalog"]).expect("a row");
        row(2, &["16384", "public", "seats", "r"]).expect("a row");
        row(3, &["16384", "1", "hall", "20", "-1", "f", "t#"]).expect("a row");
        row(3, &["16384", "2", "number", "20", "-1", "f", "t?~%#&"]).expect("a row");
        row(3, &["16384", "3", "note", "25", "-1", "f", "f"]).expect("a row");
        row(5, &["f", "public", "f", "f"]).expect("a row");
        row(14, &["16384", "1 2"]).expect("a row");
        assert!(row(14, &["16384", "1 x"]).is_err());
        let catalog = builder.finish().expect("a catalog");
        let seats = catalog.relation("public", "seats").expect("a table");
        assert_eq!(seats.columns.iter().map(|column| column.indexed).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(seats.columns.iter().map(|column| column.ordered).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(seats.keys, [vec![1, 2]]);
    }

    #[test]
    fn functions_are_marked() {
        let mut builder = Builder::default();
        for (name, mark) in [("a", "i"), ("b", "s"), ("c", "v"), ("d", "t"), ("e", "f")] {
            builder.row(5, &[Some(name.as_bytes()), None, Some(b"f"), Some(mark.as_bytes())]).expect("a row");
        }
        assert!(builder.row(5, &[Some(b"x"), None, Some(b"f"), Some(b"x")]).is_err());
        // Whatever is written down of it says the same.
        let catalog = Catalog::new(Catalog::new(builder.parts).parts());
        let marks = ["a", "b", "c", "d", "e"].map(|name| catalog.own_function(name));
        let (immutable, stable, volatile) = (Volatility::Immutable, Volatility::Stable, Volatility::Volatile);
        assert_eq!(marks, [immutable, stable, volatile, volatile, immutable].map(Some));
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
    fn a_short_row_is_an_error() {
        let mut builder = Builder::default();
        assert!(builder.row(2, &[Some(b"1")]).is_err());
        assert!(builder.row(99, &[]).is_err());
        assert!(builder.finish().is_err());
    }
}
