select i.indrelid, i.indkey
  from pg_catalog.pg_index i
  where i.indrelid >= 16384 and i.indisunique and i.indimmediate and i.indisvalid and i.indisready and i.indislive
    and i.indpred is null and i.indexprs is null and i.indnatts = i.indnkeyatts
    and not exists (select from pg_catalog.pg_attribute a
      where a.attrelid = i.indrelid and a.attnum = any(i.indkey) and not a.attnotnull)
    and not exists (select from pg_catalog.pg_constraint k
      where k.conrelid = i.indrelid and k.contype = 'n' and not k.convalidated and k.conkey[1] = any(i.indkey))
