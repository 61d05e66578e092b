with recursive locked as materialized (select l.relation from pg_catalog.pg_locks l
    where l.locktype = 'relation' and l.granted and l.mode = 'AccessExclusiveLock'),
  named as (select r.ev_class as view, d.refclassid as kind, d.refobjid as object
      from pg_catalog.pg_rewrite r cross join lateral (select d.refclassid, d.refobjid from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid offset 0) d
      where r.ev_class >= 16384 and r.ev_type = '1'
    union select n.view, d.refclassid, d.refobjid
      from named n cross join lateral (select d.refclassid, d.refobjid from pg_catalog.pg_depend d
        where d.classid = n.kind and d.objid = n.object
          and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass offset 0) d
      where n.kind in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)),
  relations as materialized (select n.view, n.object as oid from named n
      where n.kind = 'pg_catalog.pg_class'::pg_catalog.regclass
    union select n.view, t.typrelid from named n join pg_catalog.pg_type t on t.oid = n.object
      where n.kind = 'pg_catalog.pg_type'::pg_catalog.regclass and t.typrelid <> 0),
  columns as materialized (select a.attrelid, pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
        pg_catalog.string_agg(a.xmin::pg_catalog.text, ' '), 'UTF8')), 'hex'), 32) as version
      from pg_catalog.pg_attribute a
      where a.attnum > 0 and a.attrelid in (select r.oid from relations r) group by a.attrelid),
  objects as materialized (
    select r.view, c.relnamespace as schema, c.xmin from relations r join pg_catalog.pg_class c on c.oid = r.oid
    union all select n.view, p.pronamespace as schema, p.xmin from named n join pg_catalog.pg_proc p on p.oid = n.object
      where n.kind = 'pg_catalog.pg_proc'::pg_catalog.regclass
    union all select n.view, t.typnamespace as schema, t.xmin from named n join pg_catalog.pg_type t on t.oid = n.object
      where n.kind = 'pg_catalog.pg_type'::pg_catalog.regclass
    union all select n.view, o.oprnamespace as schema, o.xmin from named n join pg_catalog.pg_operator o on o.oid = n.object
      where n.kind = 'pg_catalog.pg_operator'::pg_catalog.regclass
    union all select n.view, l.collnamespace as schema, l.xmin from named n join pg_catalog.pg_collation l on l.oid = n.object
      where n.kind = 'pg_catalog.pg_collation'::pg_catalog.regclass
    union all select n.view, s.cfgnamespace as schema, s.xmin from named n join pg_catalog.pg_ts_config s on s.oid = n.object
      where n.kind = 'pg_catalog.pg_ts_config'::pg_catalog.regclass
    union all select n.view, s.dictnamespace as schema, s.xmin from named n join pg_catalog.pg_ts_dict s on s.oid = n.object
      where n.kind = 'pg_catalog.pg_ts_dict'::pg_catalog.regclass),
  versions as (
    select r.ev_class as view, r.xmin::pg_catalog.text as version from pg_catalog.pg_rewrite r where r.ev_class >= 16384
    union all select o.view, o.xmin::pg_catalog.text from objects o
    union all select o.view, s.xmin::pg_catalog.text from objects o join pg_catalog.pg_namespace s on s.oid = o.schema
    union all select r.view, c.version from relations r join columns c on c.attrelid = r.oid
    union all select n.view, e.xmin::pg_catalog.text from named n join pg_catalog.pg_enum e on e.enumtypid = n.object
      where n.kind = 'pg_catalog.pg_type'::pg_catalog.regclass),
  own as materialized (select pg_catalog.concat_ws('/',
    (select pg_catalog.string_agg(o.xmin::pg_catalog.text, ' ') from pg_catalog.pg_operator o where o.oid < 16384),
    (select pg_catalog.string_agg(l.xmin::pg_catalog.text, ' ') from pg_catalog.pg_collation l where l.oid < 16384),
    (select pg_catalog.string_agg(s.xmin::pg_catalog.text, ' ') from pg_catalog.pg_ts_config s where s.oid < 16384),
    (select pg_catalog.string_agg(s.xmin::pg_catalog.text, ' ') from pg_catalog.pg_ts_dict s where s.oid < 16384),
    (select pg_catalog.string_agg(s.xmin::pg_catalog.text, ' ') from pg_catalog.pg_namespace s where s.oid < 16384),
    (select pg_catalog.string_agg(p.xmin::pg_catalog.text, ' ') from pg_catalog.pg_proc p
      where p.oid >= 16384 and p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)) as stamp)
select c.oid, pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.concat_ws('/', (select o.stamp from own o), v.versions), 'UTF8')), 'hex'), 32)
  from (select v.view, pg_catalog.string_agg(v.version, ' ') as versions from versions v group by v.view) v
    join pg_catalog.pg_class c on c.oid = v.view join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')
    and n.nspname !~ '^pg_(toast|temp_)'
    and not exists (select from locked k where k.relation = c.oid)
    and not exists (select from locked k
      join pg_catalog.pg_depend d on d.refobjid = k.relation and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      join pg_catalog.pg_rewrite r on r.oid = d.objid and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      where r.ev_class = c.oid)
