with locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock')
select d.adrelid, d.adnum, pg_catalog.pg_get_expr(d.adbin, d.adrelid)
  from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
  where a.attgenerated <> '' and d.adrelid = any($1::pg_catalog.oid[]) and not exists (select from locked k where k.relation = d.adrelid)
