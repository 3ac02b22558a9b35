"""Inputs grouped by the rules they share."""
