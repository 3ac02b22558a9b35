"""z3 in a process of its own: exact rational arithmetic."""
