with whole as materialized (select i.indrelid as relation, i.indexrelid as index from pg_catalog.pg_index i
      where i.indrelid >= 16384
        and (i.indexprs::pg_catalog.text ~ ':varattno 0 ' or i.indpred::pg_catalog.text ~ ':varattno 0 ')
    union all select k.conrelid, 0 from pg_catalog.pg_constraint k
      where k.conrelid >= 16384 and k.conbin::pg_catalog.text ~ ':varattno 0 '),
  entire as materialized (select w.relation, w.index, s.attnum
      from whole w join pg_catalog.pg_attribute s on s.attrelid = w.relation where s.attnum > 0),
  chosen as materialized (select i.indexrelid, i.indrelid, i.indkey, i.indnkeyatts from pg_catalog.pg_index i
      where i.indrelid >= 16384 and (i.indnkeyatts > 1 or i.indpred is not null)
        and pg_catalog.pg_index_has_property(i.indexrelid::pg_catalog.regclass, 'index_scan')),
  computed as materialized (select i.indrelid, i.indexrelid, i.indexprs is not null as is_key, d.attnum
      from pg_catalog.pg_index i cross join lateral (select d.refobjsubid as attnum from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = i.indexrelid
          and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = i.indrelid offset 0) d
      where i.indrelid >= 16384 and (i.indexprs is not null or i.indpred is not null))
select d.refobjid, d.refobjsubid, '?' from pg_catalog.pg_constraint k cross join lateral
    (select d.refobjid, d.refobjsubid from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = k.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 offset 0) d
    where k.contype in ('c', 'x') and k.oid >= 16384
  union all select d.refobjid, d.refobjsubid, '?' from pg_catalog.pg_attrdef f cross join lateral
    (select d.refobjid, d.refobjsubid from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.objid = f.oid and d.deptype = 'n'
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 offset 0) d
    where f.oid >= 16384
  union all select d.refobjid, d.refobjsubid, '?' from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = d.objid and d.objid >= 16384
      and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0
  union all select c.indrelid, c.attnum, '?#' from computed c
  union all select e.relation, e.attnum, case when e.index <> 0 then '?#' else '?' end from entire e
  union all select p.partrelid, u.attnum, '?' from pg_catalog.pg_partitioned_table p
    cross join lateral pg_catalog.unnest(p.partattrs) as u(attnum)
  union all select a.attrelid, a.attnum, '%' from pg_catalog.pg_partitioned_table p
    join pg_catalog.pg_attribute a on a.attrelid = p.partrelid and (a.attnum = any(p.partattrs) or p.partexprs is not null)
    where a.attnum > 0
  union all select a.attrelid, a.attnum, '~' from pg_catalog.pg_collation l
    join pg_catalog.pg_attribute a on a.attcollation = l.oid where not l.collisdeterministic and a.attnum > 0
  union all select i.indrelid, u.attnum, '#' from pg_catalog.pg_index i
    cross join lateral pg_catalog.unnest(i.indkey) as u(attnum) where i.indrelid >= 16384
  union all select c.indrelid, u.attnum, '&' from chosen c
    cross join lateral pg_catalog.unnest(c.indkey) with ordinality as u(attnum, place) where u.place <= c.indnkeyatts
  union all select e.relation, e.attnum, '&' from entire e join chosen c on c.indexrelid = e.index
  union all select m.indrelid, m.attnum, '&' from computed m join chosen c on c.indexrelid = m.indexrelid where m.is_key
  union all select d.refobjid, d.refobjsubid, '&' from pg_catalog.pg_policy p cross join lateral
    (select d.refobjid, d.refobjsubid from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 offset 0) d
