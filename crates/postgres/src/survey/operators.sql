select distinct n.nspname::pg_catalog.text || '.' || o.oprname::pg_catalog.text
  from pg_catalog.pg_operator o join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  where (n.nspname not in ('pg_catalog', 'information_schema') or o.oid >= 16384)
    and not exists (select from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.objid = o.oid and d.deptype = 'e')
