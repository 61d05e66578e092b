select c.runs_at, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.string_agg(c.version, ' ' order by c.version), 'UTF8')), 'hex')
  from (select 0::pg_catalog.oid as runs_at, pg_catalog.concat_ws(',', 'p', p.oid, p.xmin) as version
      from pg_catalog.pg_proc p where p.oid >= 16384
    union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', 'a', a.aggfnoid::pg_catalog.oid, a.xmin)
      from pg_catalog.pg_aggregate a where a.aggfnoid::pg_catalog.oid >= 16384
    union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', 'o', o.oid, o.xmin)
      from pg_catalog.pg_operator o where o.oid >= 16384
    union all select 0::pg_catalog.oid, pg_catalog.concat_ws(',', 'c', c.oid, c.xmin)
      from pg_catalog.pg_cast c where c.oid >= 16384
    union all select k.conrelid, pg_catalog.concat_ws(',', 'k', k.oid, k.xmin)
      from pg_catalog.pg_constraint k
      where k.oid >= 16384 and (k.contypid <> 0 and k.conrelid = 0 or k.contype = 'c' and k.conrelid <> 0)
    union all select g.tgrelid, pg_catalog.concat_ws(',', 'g', g.oid, g.xmin)
      from pg_catalog.pg_trigger g where not g.tgisinternal
    union all select r.ev_class, pg_catalog.concat_ws(',', 'r', r.oid, r.xmin)
      from pg_catalog.pg_rewrite r where r.oid >= 16384) as c
  group by c.runs_at
