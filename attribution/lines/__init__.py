"""Exact integrals of gradients along straight lines: where a network bends, and its slopes."""
