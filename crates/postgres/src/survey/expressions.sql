with locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock'),
  free as materialized (select d.adrelid, d.adnum, d.adbin
    from pg_catalog.pg_attrdef d join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where a.attgenerated <> '' and d.adrelid = any($1::pg_catalog.oid[])
      and not exists (select from locked k where k.relation = d.adrelid))
select f.adrelid, f.adnum, case when pg_catalog.octet_length(t.text) <= 4194304 then t.text end
  from free f cross join lateral (select pg_catalog.pg_get_expr(f.adbin, f.adrelid) as text offset 0) t
