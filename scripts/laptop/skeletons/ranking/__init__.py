"""An order of candidates, by the features of each."""
