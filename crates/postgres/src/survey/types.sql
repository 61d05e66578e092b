with own as materialized (select pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws('/',
    (select pg_catalog.string_agg(t.xmin::pg_catalog.text, ' ') from pg_catalog.pg_type t where t.oid < 16384),
    (select pg_catalog.string_agg(n.xmin::pg_catalog.text, ' ') from pg_catalog.pg_namespace n)), 'UTF8')), 'hex'), 32) as stamp)
select t.oid, t.typname, false, t.typbasetype, t.typtypmod, null
  from pg_catalog.pg_type t where t.typtype <> 'c' and t.typcategory <> 'A' and t.oid >= 16384
union all select t.oid, t.typname, n.nspname in ('pg_catalog', 'information_schema'), t.typbasetype, t.typtypmod,
    (select o.stamp from own o)
  from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where t.typtype <> 'c' and t.typcategory <> 'A' and t.oid < 16384 and (select o.stamp from own o) <> $1
