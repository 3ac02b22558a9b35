"""Integrated gradients and distributional influence."""
