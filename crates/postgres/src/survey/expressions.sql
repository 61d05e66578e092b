with locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock')
select d.adrelid, d.adnum, case when pg_catalog.octet_length(t.text) <= 4194304 then t.text end
  from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    cross join lateral (select pg_catalog.pg_get_expr(d.adbin, d.adrelid) as text offset 0) t
  where a.attgenerated <> '' and d.adrelid = any($1::pg_catalog.oid[]) and not exists (select from locked k where k.relation = d.adrelid)
