-- One row an image: where it lies in Cloud Storage, and what it shows. The step's account must be able to
-- read it there: roles/storage.objectViewer on the bucket. A new image needs a new name: one that is written
-- over another changes no row, so nothing sees that there is something to train on.
select
  image,
  label,
  taken_at as `at`
from ${table} for system_time as of ${snapshot}
where taken_at >= @window_from
  and taken_at < @window_until
