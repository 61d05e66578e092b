with recursive making as (
    select k.contypid as oid, case when o.oid is null then d.refobjid else o.oprcode end as function
      from pg_catalog.pg_constraint k cross join lateral (select d.refclassid, d.refobjid from pg_catalog.pg_depend d
          where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = k.oid
            and d.refclassid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
            and d.refobjid >= 16384 offset 0) d
        left join pg_catalog.pg_operator o
          on d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass and o.oid = d.refobjid
      where k.contypid <> 0
    union select c.casttarget, c.castfunc from pg_catalog.pg_cast c
      where c.castfunc >= 16384 and (c.casttarget >= 16384 or c.castsource < 16384)
    union select m.oid, g.function from making g cross join lateral (
      select d.objid as oid from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
          and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = g.oid
      union all select r.reltype from pg_catalog.pg_depend d join pg_catalog.pg_class r on r.oid = d.objid
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          and d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.refobjid = g.oid and r.reltype <> 0
      offset 0) m),
  all_of_them as (
    select t.oid, t.typname, 0 as made_from, g.function from making g join pg_catalog.pg_type t on t.oid = g.oid
    union all select t.oid, case c.castcontext when 'i' then '' else t.typname end, c.castsource, c.castfunc
      from pg_catalog.pg_cast c join pg_catalog.pg_type t on t.oid = c.casttarget
      where c.castfunc >= 16384 and c.casttarget < 16384 and c.castsource >= 16384
        and not exists (select from pg_catalog.pg_depend d
          where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = c.castfunc and d.deptype = 'e'))
select distinct a.oid, a.typname, a.made_from, n.nspname, p.proname
  from all_of_them a join pg_catalog.pg_proc p on p.oid = a.function
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
