"""A list of queries, answered in one run: what to ask, each answer's row, and the run itself."""
