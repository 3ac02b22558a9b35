"""Boxes inside the region of a pattern, and how large such a region is."""
