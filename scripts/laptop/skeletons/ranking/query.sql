-- One row a candidate: `unit` is the question, for example a person; `target` says how relevant this candidate
-- was (0: not at all); `at`, if you have it, when, which is shown and nothing else; every other column is a
-- feature of the two. Put your own columns here, and your table's name into flow.toml. Filter on the table's
-- partition column.
select
  household as unit,
  asked_at as `at`,
  bought as target,
  times,
  days_since,
  days_known,
  price,
  households
from ${table} for system_time as of ${snapshot}
where asked_at >= @window_from
  and asked_at < @window_until
