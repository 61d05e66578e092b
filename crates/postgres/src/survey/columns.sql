with own as materialized (select pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.concat_ws('/',
    (select pg_catalog.string_agg(a.xmin::pg_catalog.text, ' ') from pg_catalog.pg_attribute a where a.attrelid < 16384),
    (select pg_catalog.string_agg(c.xmin::pg_catalog.text, ' ') from pg_catalog.pg_class c where c.oid < 16384)), 'UTF8')), 'hex'), 32) as stamp),
  columns as not materialized (
    select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated <> '' as generated, a.attnotnull
      from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and a.attnum > 0 and not a.attisdropped)
select c.attrelid, c.attnum, c.attname, c.atttypid, c.atttypmod, c.generated, c.attnotnull, null
  from columns c where c.attrelid >= 16384
union all select c.attrelid, c.attnum, c.attname, c.atttypid, c.atttypmod, c.generated, c.attnotnull, (select o.stamp from own o)
  from columns c where c.attrelid < 16384 and (select o.stamp from own o) <> $1
