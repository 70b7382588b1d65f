-- One row a unit: who or what it is, the label to be predicted (a text or a whole number), and its features,
-- in any number; `at`, if you have it, says when, and is shown and nothing else. Put your own columns here, and
-- your table's name into flow.toml. Filter on the table's partition column.
select
  patient as unit,
  measured_at as `at`,
  diagnosis as target,
  radius,
  texture,
  perimeter,
  area,
  smoothness,
  compactness,
  concavity,
  concave_points,
  symmetry,
  fractal_dimension
from ${table} for system_time as of ${snapshot}
where measured_at >= @window_from
  and measured_at < @window_until
