"""Attributions as pictures and as words."""
