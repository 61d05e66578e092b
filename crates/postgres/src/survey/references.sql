select k.conrelid, s.own, k.confrelid, s.other
  from pg_catalog.pg_constraint k
    cross join lateral rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) as s(own, other)
  where k.contype = 'f'
