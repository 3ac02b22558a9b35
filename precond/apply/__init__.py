"""Preconditions put to use: one module (or a few of one name) for each command."""
