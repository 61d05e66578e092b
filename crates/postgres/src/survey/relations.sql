with recursive calling as materialized (select d.classid, d.objid from pg_catalog.pg_depend d
    where d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
      and d.refobjid >= 16384
      and not exists (select from pg_catalog.pg_depend e
        where e.classid = d.refclassid and e.objid = d.refobjid and e.deptype = 'e' offset 0)
    union all select 'pg_catalog.pg_attrdef'::pg_catalog.regclass, f.oid from pg_catalog.pg_attrdef f
      where f.adbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid from pg_catalog.pg_constraint k
      where k.conbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid from pg_catalog.pg_index i
      where (i.indexprs::pg_catalog.text ~ ':funcid 817 ' or i.indpred::pg_catalog.text ~ ':funcid 817 ')
    union all select 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid from pg_catalog.pg_type t
      where t.typdefaultbin::pg_catalog.text ~ ':funcid 817 '
    union all select 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid from pg_catalog.pg_policy p
      where (p.polqual::pg_catalog.text ~ ':funcid 817 ' or p.polwithcheck::pg_catalog.text ~ ':funcid 817 ')),
  checked as (
    select k.contypid as oid from calling d join pg_catalog.pg_constraint k
        on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid and k.contypid <> 0
    union select d.objid from calling d where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
    union select m.oid from checked c cross join lateral (
      select d.objid as oid from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
          and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = c.oid
      union all select r.reltype from pg_catalog.pg_depend d join pg_catalog.pg_class r on r.oid = d.objid
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = c.oid and r.reltype <> 0
      offset 0) m),
  speaking as materialized (
    select d.classid, d.objid from calling d
    union all select m.classid, m.objid from checked c cross join lateral (
      select d.classid, d.objid from pg_catalog.pg_depend d
        where d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = c.oid offset 0) m),
  computing as materialized (
    select k.conrelid as oid from speaking d join pg_catalog.pg_constraint k
        on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid
    union all select d.objid from speaking d where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    union all select f.adrelid from speaking d join pg_catalog.pg_attrdef f
        on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and f.oid = d.objid
    union all select i.indrelid from speaking d join pg_catalog.pg_index i
        on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.indexrelid = d.objid
    union all select p.polrelid from speaking d join pg_catalog.pg_policy p
        on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and p.oid = d.objid),
  acting as materialized (select g.tgrelid as oid from pg_catalog.pg_trigger g
      left join pg_catalog.pg_constraint k on k.oid = g.tgconstraint and k.confrelid = g.tgrelid
    where not g.tgisinternal or k.confdeltype not in ('a', 'r') or k.confupdtype not in ('a', 'r'))
select c.oid, n.nspname, c.relname,
    case when c.relkind in ('r', 'p') and (c.oid in (select o.oid from computing o) or c.relhasrules
        or c.relhastriggers and c.oid in (select o.oid from acting o))
      then pg_catalog.upper(c.relkind::pg_catalog.text) else c.relkind::pg_catalog.text end
    || case when c.relrowsecurity and c.oid in (select o.oid from computing o) then '!' else '' end,
    case when c.relhastriggers then (select coalesce(pg_catalog.bit_or(g.tgtype) & 60, 0) from pg_catalog.pg_trigger g
      where g.tgrelid = c.oid and not g.tgisinternal and g.tgenabled <> 'D') else 0 end,
    case when c.relhasrules then (select coalesce(pg_catalog.bit_or(1 << r.ev_type::pg_catalog.text::pg_catalog.int4), 0)
      from pg_catalog.pg_rewrite r
      where r.ev_class = c.oid and r.ev_type <> '1' and r.ev_enabled <> 'D') else 0 end
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_(toast|temp_)'
    and (c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      or c.relkind in ('c', 'i', 'I') and n.nspname not in ('pg_catalog', 'information_schema'))
