"""Certified radii, ranges of outputs and monotone outputs."""
