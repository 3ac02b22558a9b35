"""One run of the search for patterns over a whole domain."""
