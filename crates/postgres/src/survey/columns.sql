with own as materialized (select pg_catalog.concat_ws(' ',
    (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(a.xmin::pg_catalog.text::pg_catalog.int8))
      from pg_catalog.pg_attribute a where a.attrelid < 16384),
    (select pg_catalog.concat_ws(' ', pg_catalog.count(*), pg_catalog.sum(c.xmin::pg_catalog.text::pg_catalog.int8))
      from pg_catalog.pg_class c where c.oid < 16384)) as stamp),
  columns as not materialized (
    select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated <> '' as generated, a.attnotnull
      from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c') and a.attnum > 0 and not a.attisdropped)
select c.attrelid, c.attnum, c.attname, c.atttypid, c.atttypmod, c.generated, c.attnotnull, null
  from columns c where c.attrelid >= 16384
union all select c.attrelid, c.attnum, c.attname, c.atttypid, c.atttypmod, c.generated, c.attnotnull, (select o.stamp from own o)
  from columns c where c.attrelid < 16384 and (select o.stamp from own o) <> $1
