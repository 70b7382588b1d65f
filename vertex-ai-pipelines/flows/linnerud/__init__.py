"""Exercise counts from body measures: twenty rows, for the frame's own tests and for a first look."""
