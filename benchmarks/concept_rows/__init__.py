"""Rows of the table of ``benchmarks.concepts``, by subject."""
