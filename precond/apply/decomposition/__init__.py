"""A proof in two halves that meet at a layer."""
