"""Claims, verdicts, and everything that answers one with the other."""
