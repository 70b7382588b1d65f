-- One row a person: who it is, three measures of the body, three counts of exercises. The table has pounds
-- and inches; the model is trained on, and asked with, kilograms and centimetres.
select
  subject,
  measured_at as `at`,
  weight * 0.45359237 as weight,
  waist * 2.54 as waist,
  pulse,
  chins,
  situps,
  jumps
from ${table} for system_time as of ${snapshot}
where measured_at >= @window_from
  and measured_at < @window_until
