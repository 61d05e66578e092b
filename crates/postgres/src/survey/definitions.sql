with locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock'),
  free as materialized (select c.oid from pg_catalog.pg_class c
    where c.oid = any($1::pg_catalog.oid[]) and c.relkind in ('v', 'm')
      and not exists (select from locked k where k.relation = c.oid)
      and not exists (select from locked k
        join pg_catalog.pg_depend d on d.refobjid = k.relation and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        join pg_catalog.pg_rewrite r on r.oid = d.objid and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        where r.ev_class = c.oid))
select f.oid, case when pg_catalog.octet_length(t.text) <= 4194304 then t.text end
  from free f cross join lateral (select pg_catalog.pg_get_viewdef(f.oid) as text offset 0) t
