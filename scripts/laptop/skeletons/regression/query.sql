-- One row a unit: who or what it is, the number to be predicted, and its features, in any number; `at`, if you
-- have it, says when, and is shown and nothing else. Put your own columns here, and your table's name into
-- flow.toml. Filter on the table's partition column.
select
  patient as unit,
  measured_at as `at`,
  progression as target,
  age,
  sex,
  bmi,
  pressure,
  cholesterol,
  ldl,
  hdl,
  cholesterol_ratio,
  triglycerides,
  sugar
from ${table} for system_time as of ${snapshot}
where measured_at >= @window_from
  and measured_at < @window_until
