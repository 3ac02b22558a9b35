"""Engines: one solver per file; each answers a ``Problem`` within a deadline."""
