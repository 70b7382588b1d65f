-- One row a person: who it is, three measures of the body, three counts of exercises.
select
  subject,
  weight,
  waist,
  pulse,
  chins,
  situps,
  jumps
from ${table} for system_time as of ${snapshot}
where measured_at >= @window_from
  and measured_at < @window_until
