"""Regions of inputs: boxes, decision patterns, and the signatures they are read from."""
