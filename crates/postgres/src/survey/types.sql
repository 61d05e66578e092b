with own as materialized (select pg_catalog.concat_ws(' ',
    (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8))
      from pg_catalog.pg_type t where t.oid < 16384),
    (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(n.xmin::pg_catalog.text::pg_catalog.int8))
      from pg_catalog.pg_namespace n)) as stamp)
select t.oid, t.typname, false, t.typbasetype, t.typtypmod, null
  from pg_catalog.pg_type t where t.typtype <> 'c' and t.typcategory <> 'A' and t.oid >= 16384
union all select t.oid, t.typname, n.nspname in ('pg_catalog', 'information_schema'), t.typbasetype, t.typtypmod,
    (select o.stamp from own o)
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where t.typtype <> 'c' and t.typcategory <> 'A' and t.oid < 16384 and (select o.stamp from own o) <> $1
