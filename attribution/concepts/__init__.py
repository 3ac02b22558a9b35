"""Concepts that people name (stripes, circles, red) in the layers of a network."""
