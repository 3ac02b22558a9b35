"""Marabou in a process of its own."""
