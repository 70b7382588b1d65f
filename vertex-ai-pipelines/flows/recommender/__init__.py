"""Products for each household, from its purchases."""
