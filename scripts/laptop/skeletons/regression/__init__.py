"""A number for each row of a table."""
