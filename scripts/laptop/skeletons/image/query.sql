-- One row an image: where it lies in Cloud Storage (gs://…, a PNG or JPEG), and its label; `at`, if you have it,
-- says when, and is shown and nothing else. Put your own columns here, and your table's name into flow.toml.
-- Filter on the table's partition column. The account of the pipeline must be able to read the images:
-- roles/storage.objectViewer on their bucket. A new image needs a new name: one that is written over another
-- changes no row, so nothing sees that there is something to train on.
select
  image,
  label,
  taken_at as `at`
from ${table} for system_time as of ${snapshot}
where taken_at >= @window_from
  and taken_at < @window_until
