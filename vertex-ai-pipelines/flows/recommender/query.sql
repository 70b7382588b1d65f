-- One row a purchase: user, item, at. Filter on your table's partition column here.
select
  household_id as user,
  product_id as item,
  cast(transaction_timestamp as timestamp) as `at`
from ${table} for system_time as of ${snapshot}
where cast(transaction_timestamp as timestamp) >= @window_from
  and cast(transaction_timestamp as timestamp) < @window_until
  and household_id is not null
  and product_id is not null
